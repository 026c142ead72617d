//! Panics of what a host supplies: one that leaves a host function, a poll handler or a listener aborts the program in
//! every engine; one that the host catches inside is as good as a trap.

mod common;

use common::instance::Setup;
use common::{engines, with_stack};
use opstamp::{CallError, Event, HostCall, HostFn, PollAction, PollCall, Trap, TrapReport, TypeId};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::process::Command;

const SOURCE: &str = "
    import boom(i64) -> i64
    func f(n: i64) -> i64
      nop                  ; 0
      host  n, boom(n)     ; 1
      ret   n
    end
    func spin(n: i64) -> i64
    again:
      i64.sub n, n, 1
      deopt
      br.i64.gt n, 0, again
      ret     n
    end
";

/// What a child process does, and which engine does it.
const WHAT: &str = "OPSTAMP_TEST_PANICS";

/// The things that may panic.
const PLACES: [&str; 3] = ["host function", "poll handler", "listener"];

/// Panics in the place and the engine that the environment names, if it names one.
#[test]
fn child() {
    let Ok(what) = std::env::var(WHAT) else { return };
    let (place, name) = what.split_once('/').expect("a place and an engine");
    let boom = |_: &mut HostCall<'_>| -> Result<(), Trap> { panic!("the {place} panics") };
    let handler = |_: &mut PollCall<'_>| -> PollAction { panic!("the {place} panics") };
    let listener = |event: Event| {
        if place == "listener" && matches!(event, Event::Deoptimized { .. }) {
            panic!("the {place} panics");
        }
    };
    let imports = [HostFn { name: "boom", params: &[TypeId::I64], result: TypeId::I64, run: &boom }];
    let setup = Setup { handler: Some(&handler), listener: Some(&listener), ..Setup::new(SOURCE, &imports) };
    let engine = engines().into_iter().find(|engine| engine.name == name).expect("an engine");
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        setup.with(&engine, |instance| {
            if place == "poll handler" {
                instance.interrupter().poll();
            }
            let func = if place == "host function" { "f" } else { "spin" };
            let _ = instance.call(func, &[10.into()]);
        });
    }));
    println!("survived: {}", outcome.is_ok());
}

#[test]
fn panics_that_leave_abort() {
    for engine in engines() {
        for place in PLACES {
            // The interpreter alone compiles nothing, nor does one call at the default threshold.
            let compiles = engine.options.is_some_and(|options| !engine.tiered || options.threshold <= 3);
            let quiet = place == "listener" && !compiles;
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child", "--nocapture", "--test-threads=1"])
                .env(WHAT, format!("{place}/{}", engine.name))
                .env("RUST_BACKTRACE", "0")
                .output()
                .unwrap();
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let what = format!("{place}, {}: {}\n{stdout}\n{stderr}", engine.name, output.status);
            assert_eq!(stdout.contains("survived: true"), quiet, "{what}");
            assert_eq!(output.status.success(), quiet, "{what}");
            if !quiet {
                assert!(!stdout.contains("survived"), "{what}");
                assert!(stderr.contains(&format!("the {place} panics")), "{what}");
                assert!(stderr.contains("panic in a function that cannot unwind"), "{what}");
                #[cfg(unix)]
                {
                    // SIGABRT has the number 6 (POSIX leaves it open; Linux and macOS agree).
                    use std::os::unix::process::ExitStatusExt;
                    assert_eq!(output.status.signal(), Some(6), "{what}");
                }
            }
        }
    }
}

/// A host that catches its panics: it keeps the payload, passes a trap through all levels of guest and host, and goes
/// on with the panic when the outermost call has returned.
#[test]
fn a_panic_that_is_caught_becomes_a_trap() {
    with_stack(|| {
        let payload: Cell<Option<Box<dyn Any + Send>>> = Cell::new(None);
        let levels = Cell::new(0);
        let boom = |call: &mut HostCall<'_>| {
            let n = call.i64(0);
            let run = AssertUnwindSafe(|| {
                levels.set(levels.get() + 1);
                if n == 0 {
                    panic_any("deep inside");
                }
                call.call("f", &[(n - 1).into()])
            });
            match catch_unwind(run) {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.as_trap()),
                Err(panic) => {
                    payload.set(Some(panic));
                    Err(Trap::host(1))
                }
            }
        };
        let imports = [HostFn { name: "boom", params: &[TypeId::I64], result: TypeId::I64, run: &boom }];
        Setup::new(SOURCE, &imports).each(|engine, instance| {
            for depth in [0, 1, 5] {
                levels.set(0);
                let found = instance.call("f", &[depth.into()]);
                let report = TrapReport { trap: Trap::host(1), func: 0, op: 1 };
                assert_eq!(found, Err(CallError::Trap(report)), "{}", engine.name);
                assert_eq!(levels.get(), depth + 1, "{}", engine.name);
                let payload = payload.take().expect("a payload");
                let resumed = catch_unwind(AssertUnwindSafe(|| resume_unwind(payload)));
                let panic = resumed.expect_err("it panics again");
                assert_eq!(panic.downcast_ref(), Some(&"deep inside"), "{}", engine.name);
                // The instance is as usable as behind any trap.
                assert_eq!(instance.call("spin", &[3.into()]), Ok(Some(0.into())), "{}", engine.name);
            }
        });
    });
}
