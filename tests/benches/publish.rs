//! What publishing a function of 4 KiB costs: system calls, as strace(1) counts them in a process of its own, and time.

use crate::support::timed;
use opstamp::code::{CodeMemory, CodeRange};
use opstamp_platform::{HostCode, Scheme};
use serde_json::json;
use std::fs;
use std::process::Command;

/// A function of 4 KiB on two pages.
const PLACE: CodeRange = CodeRange { start: 2048, end: 2048 + 4096 };
/// The steps, in the order in which [`steps`] takes them.
const STEPS: [&str; 4] = ["open, new pages", "publish", "open again", "publish again"];
/// Paths that name no file: asking for one is a system call that shows in the trace.
const MARK: &str = "/opstamp-mark/";
/// The flag by which the benchmark runs as the process that is counted.
pub const FLAG: &str = "publish-steps";
const SCHEMES: [(&str, Scheme); 2] = [("two mappings", Scheme::TwoMappings), ("one mapping", Scheme::Flip)];

/// Takes the steps with each scheme, and leaves marks around them.
pub fn steps() {
    let mark = |name: &str| fs::metadata(format!("{MARK}{name}")).is_ok();
    // The first makes a call more.
    mark("first");
    for (name, scheme) in SCHEMES {
        let Ok(mut code) = HostCode::new_with(1 << 20, scheme) else { continue };
        mark(name);
        code.open(PLACE).expect("opens").fill(0);
        mark(name);
        code.publish(PLACE).expect("publishes");
        mark(name);
        code.open(PLACE).expect("opens").fill(1);
        mark(name);
        code.publish(PLACE).expect("publishes");
        mark(name);
    }
}

/// The system calls between the marks of a scheme, for each step; `None` if this machine cannot count them.
fn count(scheme: &str) -> Option<Vec<usize>> {
    let trace = std::env::temp_dir().join(format!("opstamp-strace-{}", std::process::id()));
    let program = std::env::current_exe().ok()?;
    let run = Command::new("strace").arg("-o").arg(&trace).arg(program).arg(format!("--{FLAG}")).output();
    let text = fs::read_to_string(&trace);
    let _ = fs::remove_file(&trace);
    let text = run.ok().filter(|run| run.status.success()).and(text.ok())?;
    let mark = format!("\"{MARK}{scheme}\"");
    // One call a line, from its first column; signals begin otherwise.
    let calls: Vec<&str> = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase())).collect();
    let marks: Vec<usize> = (0..calls.len()).filter(|&at| calls[at].contains(&mark)).collect();
    (marks.len() == STEPS.len() + 1).then(|| marks.windows(2).map(|pair| pair[1] - pair[0] - 1).collect())
}

/// Prints the counts and the time.
pub fn report() -> serde_json::Value {
    let mut json = serde_json::Map::new();
    for (name, scheme) in SCHEMES {
        let Ok(mut code) = HostCode::new_with(1 << 20, scheme) else {
            println!("4 KiB, {name}: not on this machine");
            continue;
        };
        let calls = count(name);
        match &calls {
            Some(calls) => {
                let line: Vec<String> =
                    STEPS.iter().zip(calls).map(|(step, calls)| format!("{step} {calls}")).collect();
                println!("4 KiB, {name}, system calls: {}", line.join(", "));
            }
            None => println!("4 KiB, {name}: system calls not counted (install strace, and let it trace)"),
        }
        let mut times: Vec<f64> = (0..1001)
            .map(|_| {
                code.open(PLACE).expect("opens").fill(1);
                timed(|| code.publish(PLACE).expect("publishes")).0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        println!("4 KiB, {name}: published in {median:.0} ns");
        json.insert(name.into(), json!({ "steps": STEPS, "system_calls": calls, "publish_ns": median }));
    }
    println!();
    json.into()
}
