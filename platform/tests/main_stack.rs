//! What remains of the main thread's native stack. It needs a process whose main thread runs the test, so it has no
//! harness: it starts itself once for each limit, and the copy answers.

#[cfg(target_os = "linux")]
mod linux {
    use opstamp_platform::native_stack;
    use std::process::Command;

    const MIB: usize = 1 << 20;
    /// Set in a copy.
    const ANSWER: &str = "OPSTAMP_MAIN_STACK_ANSWER";

    /// `native_stack` below `blocks` frames of at least 64 KiB each.
    #[inline(never)]
    fn below(blocks: usize) -> usize {
        let block = std::hint::black_box([0_u8; 64 * 1024]);
        let found = if blocks == 0 { native_stack().unwrap() } else { below(blocks - 1) };
        found + usize::from(std::hint::black_box(&block)[0])
    }

    /// Says how much there is, having used nearly all of it.
    fn answer() {
        let found = native_stack().unwrap();
        let mut blocks = 0;
        while below(blocks) > 256 * 1024 {
            blocks += 1;
        }
        println!("{found}");
    }

    pub fn main() {
        if std::env::var_os(ANSWER).is_some() {
            return answer();
        }
        let executable = std::env::current_exe().unwrap();
        let limits = [("2048", 2 * MIB), ("8192", 8 * MIB), ("unlimited", 127 * MIB)];
        for (limit, bytes) in limits {
            let script = format!("ulimit -s {limit} && exec \"$0\"");
            let output = Command::new("sh").args(["-c", &script]).arg(&executable).env(ANSWER, "").output().unwrap();
            assert!(output.status.success(), "with ulimit -s {limit}: {output:?}");
            let found = String::from_utf8(output.stdout).unwrap().trim().parse::<usize>().unwrap();
            assert!(found < bytes && found + 256 * 1024 > bytes, "ulimit -s {limit}: {found} of {bytes}");
        }
        println!("{} passed, 0 failed", limits.len());
    }
}

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}
