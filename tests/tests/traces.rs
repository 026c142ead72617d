//! Stack traces: which functions of the guest are running, at which ops, through machine code and interpreter alike.

mod common;

use common::instance::Setup;
use common::with_stack;
use opstamp::runtime::context::NATIVE_RESERVE;
use opstamp::{CallError, HostCall, HostFn, Instance, PollAction, PollCall, Trap, TrapKind, TypeId, Value, Walk};
use std::cell::{Cell, RefCell};

const NONE: TypeId = TypeId::NONE;

/// A trace in one line: each frame's function and op, with a `|` behind what the host entered.
fn line(walk: Walk<'_>) -> String {
    let frame = |frame: opstamp::GuestFrame<'_>| {
        assert_eq!(frame.to_string(), format!("{} at op {}", frame.name(), frame.op()));
        format!("{} {}{}", frame.name(), frame.op(), if frame.is_entry() { " |" } else { "" })
    };
    walk.map(frame).collect::<Vec<_>>().join(", ")
}

/// Calls a function that has to trap: the trap, and the trace, which starts with the report's place.
fn trapped(instance: &mut Instance<'_>, func: &str, args: &[Value]) -> (Trap, String) {
    let Err(CallError::Trap(report)) = instance.call(func, args) else { panic!("{func} does not trap") };
    let first = instance.trap_trace().next().expect("a frame");
    assert_eq!((first.func(), first.op()), (report.func, report.op));
    (report.trap, line(instance.trap_trace()))
}

const CHAINS: &str = "
    func down(n: i64, d: i64) -> i64
      local r: i64
      br.i64.ne n, 0, more          ; 0
      i64.div   r, d, n             ; 1
      ret       r                   ; 2
    more:
      i64.sub   n, n, 1             ; 3
      call      r, down(n, d)       ; 4
      i64.add   r, r, 1             ; 5
      ret       r                   ; 6
    end
    func main(n: i64) -> i64
      local one: i64, r: i64
      i64.const one, 1              ; 0
      call      r, down(n, one)     ; 1
      ret       r                   ; 2
    end
    func fine() -> i64
      local x: i64
      ret       x
    end

    func first(x: i64) -> i64
      nop                           ; 0
      tail      second(x, x, x, x)  ; 1
    end
    func second(x: i64, y: i64, z: i64, w: i64) -> i64
      i64.add   x, x, y             ; 0
      call      x, third(x)         ; 1
      ret       x                   ; 2
    end
    func third(x: i64) -> i64
      tail      fourth()            ; 0
    end
    func fourth() -> i64
      nop                           ; 0
      nop                           ; 1
      trap      user(3)             ; 2
    end
    func tails() -> i64
      local x: i64
      nop                           ; 0
      nop                           ; 1
      nop                           ; 2
      call      x, first(x)         ; 3
      ret       x                   ; 4
    end

    func sum(a: i64, b: f64, c: any, d: i64) -> i64
      i64.add   a, a, d             ; 0
      br.i64.ne a, 5, fine          ; 1
      trap      unreachable         ; 2
    fine:
      ret       a                   ; 3
    end
    func apply(c: fn(i64) -> i64, x: i64) -> i64
      nop                           ; 0
      fn.call   x, c(x)             ; 1
      ret       x                   ; 2
    end
    func closures(x: i64) -> i64
      local two: i64, b: f64, any: any, c: fn(i64) -> i64
      i64.const two, 2              ; 0
      fn.new    c, sum(two, b, any) ; 1
      call      x, apply(c, x)      ; 2
      ret       x                   ; 3
    end

    func half() -> i64
      local x: i64
      deopt                         ; 0
      call      x, mixed(x)         ; 1
      ret       x                   ; 2
    end
    func mixed(x: i64) -> i64
      i64.add   x, x, 1             ; 0
      deopt                         ; 1
      call      x, tails()          ; 2
      ret       x                   ; 3
    end
    func length(s: str) -> i64
      local n: i64
      nop                           ; 0
      str.len   n, s                ; 1
      ret       n                   ; 2
    end
    func heap() -> i64
      local n: i64, s: str
      call      n, length(s)          ; 0
      ret       n                   ; 1
    end
";

/// By recursion, tail calls, closures, and with the interpreter on top of machine code and the other way round.
#[test]
fn traps_have_a_trace() {
    with_stack(|| {
        Setup::new(CHAINS, &[]).each(|engine, instance| {
            let name = engine.name;
            // Three times, so that an engine that compiles what is warm changes over in between.
            for _ in 0..3 {
                assert_eq!(line(instance.trap_trace()), "", "{name}");
                let by_zero = Trap::new(TrapKind::DivisionByZero);
                let found = trapped(instance, "main", &[3.into()]);
                assert_eq!(found, (by_zero, "down 1, down 4, down 4, down 4, main 1 |".to_owned()), "{name}");
                let found = trapped(instance, "down", &[0.into(), 1.into()]);
                assert_eq!(found, (by_zero, "down 1 |".to_owned()), "{name}");
                let user = Trap::user(3);
                let found = trapped(instance, "tails", &[]);
                assert_eq!(found, (user, "fourth 2, second 1, tails 3 |".to_owned()), "{name}");
                let found = trapped(instance, "first", &[1.into()]);
                assert_eq!(found, (user, "fourth 2, second 1 |".to_owned()), "{name}");
                let found = trapped(instance, "third", &[1.into()]);
                assert_eq!(found, (user, "fourth 2 |".to_owned()), "{name}");
                let found = trapped(instance, "half", &[]);
                let expected = "fourth 2, second 1, tails 3, mixed 2, half 1 |";
                assert_eq!(found, (user, expected.to_owned()), "{name}");
                let found = trapped(instance, "closures", &[3.into()]);
                let expected = "sum 2, apply 1, closures 2 |";
                assert_eq!(found, (Trap::new(TrapKind::Unreachable), expected.to_owned()), "{name}");
                assert_eq!(instance.call("closures", &[4.into()]), Ok(Some(6.into())), "{name}");
                assert_eq!(line(instance.trap_trace()), "", "{name}: that call did not trap");
                let found = trapped(instance, "heap", &[]);
                assert_eq!(found, (Trap::new(TrapKind::NullReference), "length 1, heap 0 |".to_owned()), "{name}");
                assert!(instance.call("main", &[]).is_err());
                assert_eq!(line(instance.trap_trace()), found.1, "{name}: that call was refused");
                assert_eq!(instance.call("fine", &[]), Ok(Some(0.into())));
            }
        });
    });
}

/// At the end of the VM stack and of the native one.
#[test]
fn overflows_have_a_trace() {
    with_stack(|| {
        let overflow = Trap::new(TrapKind::StackOverflow);
        // A frame of `main` is a header, n, one and r, one of `down` is a header, n, d and r: 4 words each.
        Setup { stack: 43, ..Setup::new(CHAINS, &[]) }.each(|engine, instance| {
            for _ in 0..3 {
                let found = trapped(instance, "main", &[1000.into()]);
                assert_eq!(found, (overflow, format!("{}main 1 |", "down 4, ".repeat(9))), "{}", engine.name);
            }
        });
        Setup { stack: 3, ..Setup::new(CHAINS, &[]) }.each(|engine, instance| {
            assert_eq!(trapped(instance, "main", &[1.into()]), (overflow, "main 0 |".to_owned()), "{}", engine.name);
        });
        let native_stack = NATIVE_RESERVE + 4096;
        Setup { stack: 1 << 15, native_stack, ..Setup::new(CHAINS, &[]) }.each(|engine, instance| {
            for _ in 0..3 {
                let (trap, trace) = trapped(instance, "main", &[100_000.into()]);
                let frames: Vec<_> = trace.split(", ").collect();
                let (last, others) = frames.split_last().expect("frames");
                assert_eq!((trap, *last), (overflow, "main 1 |"), "{}", engine.name);
                assert!(others.len() > 10 && others.iter().all(|&frame| frame == "down 4"), "{}: {trace}", engine.name);
            }
        });
    });
}

const LOOPS: &str = "
    global entered: i64
    func deep(n: i64) -> i64
      local i: i64, a: i64, b: i64, c: i64
      global.get i, entered        ; 0
      i64.add    i, i, 1           ; 1
      global.set entered, i        ; 2
      i64.add    a, n, 1           ; 3
      i64.add    b, n, 2           ; 4
      i64.add    c, n, 3           ; 5
      i64.const  i, 0              ; 6
    again:
      i64.add    i, i, 1           ; 7
      br.i64.lt  i, 3, again       ; 8
      call       i, deep(n)        ; 9
      i64.add    i, i, a           ; 10
      i64.add    i, i, b           ; 11
      i64.add    i, i, c           ; 12
      ret        i                 ; 13
    end
    func count() -> i64
      local x: i64
      global.get x, entered
      ret        x
    end
";

/// What has begun is in the trace, wherever the native stack ends: no loop ends the function that it is in.
#[test]
fn the_native_stack_ends_at_calls_only() {
    with_stack(|| {
        for more in 0..64 {
            let native_stack = NATIVE_RESERVE + 4096 + 8 * more;
            Setup { stack: 1 << 15, native_stack, ..Setup::new(LOOPS, &[]) }.each(|engine, instance| {
                let Err(CallError::Trap(report)) = instance.call("deep", &[1.into()]) else { panic!("no trap") };
                let frames = instance.trap_trace().count() as i64;
                assert_eq!((report.trap, report.op), (Trap::new(TrapKind::StackOverflow), 9), "{}", engine.name);
                assert_eq!(instance.call("count", &[]), Ok(Some(Value::I64(frames))), "{}: {more}", engine.name);
            });
        }
    });
}

const LEVELS: &str = "
    import back(i64) -> i64
    import look()
    func outer(n: i64) -> i64
      nop                        ; 0
      call      n, middle(n)     ; 1
      ret       n                ; 2
    end
    func middle(n: i64) -> i64
      local x: i64, y: f64
      i64.add   x, x, n          ; 0
      nop                        ; 1
      host      n, back(n)       ; 2
      i64.add   n, n, 100        ; 3
      host      look()           ; 4
      ret       n                ; 5
    end
    func inner(n: i64) -> i64
      local two: i64
      br.i64.gt n, 0, deeper     ; 0
      i64.const two, 2           ; 1
      host      look()           ; 2
      i64.div   n, two, n        ; 3
      ret       n                ; 4
    deeper:
      i64.sub   n, n, 1          ; 5
      call      n, outer(n)      ; 6
      ret       n                ; 7
    end
";

/// Through host functions that call back into the guest, which traps there: the host passes that on or not.
#[test]
fn traces_go_through_host_functions() {
    with_stack(|| {
        let (looks, traces) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let pass_on = Cell::new(true);
        let look = |call: &mut HostCall<'_>| {
            assert_eq!(line(call.trap_trace()), "");
            looks.borrow_mut().push(line(call.walk()));
            Ok(())
        };
        let back = |call: &mut HostCall<'_>| {
            let here = line(call.walk());
            let found = call.call("inner", &[call.i64(0).into()]);
            assert_eq!(line(call.walk()), here, "the call has ended");
            traces.borrow_mut().push(line(call.trap_trace()));
            match found {
                Err(error) if pass_on.get() => Err(error.as_trap()),
                Err(_) => {
                    call.set_result(7);
                    Ok(())
                }
                Ok(_) => panic!("`inner` ends"),
            }
        };
        let imports = [
            HostFn { name: "back", params: &[TypeId::I64], result: TypeId::I64, run: &back },
            HostFn { name: "look", params: &[], result: NONE, run: &look },
        ];
        Setup::new(LEVELS, &imports).each(|engine, instance| {
            for _ in 0..3 {
                pass_on.set(true);
                let by_zero = Trap::new(TrapKind::DivisionByZero);
                let found = trapped(instance, "outer", &[1.into()]);
                assert_eq!(found, (by_zero, "middle 2, outer 1 |".to_owned()), "{}", engine.name);
                let outermost = "middle 2, outer 1 |";
                let around = format!("middle 2, outer 1, inner 6 |, {outermost}");
                assert_eq!(looks.take(), [format!("inner 2 |, {around}")], "{}", engine.name);
                let expected = [format!("inner 3 |, {around}"), around.clone()];
                assert_eq!(traces.take(), expected, "{}", engine.name);

                pass_on.set(false);
                // `inner` traps, `back` gives 7 in place of its result, and `middle` adds 100.
                let only = Value::I64(0);
                assert_eq!(instance.call("outer", &[only]), Ok(Some(107.into())), "{}", engine.name);
                let expected = [format!("inner 2 |, {outermost}"), "middle 4, outer 1 |".to_owned()];
                assert_eq!(looks.take(), expected, "{}", engine.name);
                assert_eq!(traces.take(), [format!("inner 3 |, {outermost}")], "{}", engine.name);
                assert_eq!(line(instance.trap_trace()), "", "{}", engine.name);
            }
        });
    });
}

const POLLED: &str = "
    import ask()
    func main(n: i64) -> i64
      local x: f64
      nop                        ; 0
      call      n, turns(n)      ; 1
      ret       n                ; 2
    end
    func turns(n: i64) -> i64
      local s: i64
      nop                        ; 0
    again:
      i64.add   s, s, n          ; 1
      host      ask()            ; 2
      i64.sub   n, n, 1          ; 3
      br.i64.gt n, 0, again      ; 4
      host      ask()            ; 5
      call      s, pass(s)       ; 6
      ret       s                ; 7
    end
    func pass(s: i64) -> i64
      i64.neg   s, s             ; 0
      tail      last(s)           ; 1
    end
    func last(s: i64) -> i64
      local t: i64
      nop                        ; 0
      call      t, empty(t)     ; 1
      i64.add   s, s, t          ; 2
      ret       s                ; 3
    end
    func empty(t: i64) -> i64
      ret       t
    end
";

/// A poll handler sees where the guest is, at loop heads and function entries.
#[test]
fn poll_handlers_see_the_frames() {
    with_stack(|| {
        let handle = Cell::new(std::ptr::null_mut());
        let seen = RefCell::new(Vec::new());
        let stop = Cell::new(usize::MAX);
        let ask = |_: &mut HostCall<'_>| {
            // SAFETY: the address is that of the running instance's handle.
            unsafe { opstamp::Interrupter::from_raw(handle.get()) }.poll();
            Ok(())
        };
        let handler = |call: &mut PollCall<'_>| {
            seen.borrow_mut().push(line(call.walk()));
            if seen.borrow().len() == stop.get() { PollAction::Abandon } else { PollAction::Continue }
        };
        let imports = [HostFn { name: "ask", params: &[], result: NONE, run: &ask }];
        Setup { handler: Some(&handler), ..Setup::new(POLLED, &imports) }.each(|engine, instance| {
            handle.set(instance.interrupter().into_raw());
            for _ in 0..3 {
                stop.set(usize::MAX);
                // -(3 + 2 + 1)
                assert_eq!(instance.call("main", &[3.into()]), Ok(Some((-6).into())), "{}", engine.name);
                let seen_now = seen.take();
                let (last, rounds) = seen_now.split_last().expect("polls");
                // The requests of the last round and behind it are one. The interpreter polls at every entry, machine
                // code only at those of functions that call others.
                assert_eq!(rounds, ["turns 1, main 1 |"; 2], "{}", engine.name);
                let polls = ["pass 0, turns 6, main 1 |", "last 0, turns 6, main 1 |"];
                assert!(polls.contains(&last.as_str()), "{}: {last}", engine.name);

                stop.set(2);
                let found = trapped(instance, "main", &[3.into()]);
                let expected = "turns 1, main 1 |";
                assert_eq!(found, (Trap::new(TrapKind::Interrupted), expected.to_owned()), "{}", engine.name);
                assert_eq!(seen.take(), [expected; 2], "{}", engine.name);

                // Asked for before the call: at its entry.
                stop.set(1);
                instance.interrupter().poll();
                let found = trapped(instance, "turns", &[3.into()]);
                assert_eq!(found, (Trap::new(TrapKind::Interrupted), "turns 0 |".to_owned()), "{}", engine.name);
                assert_eq!(seen.take(), ["turns 0 |"], "{}", engine.name);
            }
        });
    });
}
