//! Guests that are interrupted from outside, and what a host hears of its guests.

mod common;

use common::instance::Setup;
use common::with_stack;
use opstamp::{
    CallError, Event, HeapStats, HostCall, HostFn, Instance, Interrupter, PollAction, PollCall, Trap, TrapKind, TypeId,
    Value,
};
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LOOPS: &str = "
    import back()
    func jumps()
      nop              ; 0
    again:
      jump    again    ; 1
    end
    func counts() -> i64
      local n: i64
    again:
      i64.add n, n, 1  ; 0
      br.i64.ne n, 0, again
      ret     n
    end
    func tails(n: i64)
      i64.add n, n, 1
      tail    tails(n)
    end
    func calls(n: i64)
      nop              ; 0
    again:
      call    n, next(n) ; 1
      jump    again
    end
    func next(n: i64) -> i64
      i64.add n, n, 1
      ret     n
    end
    func inside()
      nop              ; 0
      host    back()   ; 1
      ret
    end
";

/// The functions of [`LOOPS`] that never end.
const ENDLESS: [&str; 4] = ["jumps", "counts", "tails", "calls"];

fn args(func: &str) -> &'static [Value] {
    if func == "tails" || func == "calls" { &[Value::I64(0)] } else { &[] }
}

/// The name of the function and the op at which a call was interrupted.
fn interrupted(instance: &Instance<'_>, outcome: Result<Option<Value>, CallError>) -> (String, u32) {
    let Err(CallError::Trap(report)) = outcome else { panic!("gave {outcome:?}") };
    assert_eq!(report.trap, Trap::new(TrapKind::Interrupted));
    let first = instance.trap_trace().next().expect("a frame");
    assert_eq!((first.func(), first.op()), (report.func, report.op));
    (first.name().to_owned(), report.op)
}

/// Where such a function can be stopped: at the head of its loop, or at an entry.
fn stops(func: &str) -> &'static [(&'static str, u32)] {
    match func {
        "jumps" => &[("jumps", 1)],
        "counts" => &[("counts", 0)],
        "tails" => &[("tails", 0)],
        _ => &[("calls", 1), ("next", 0)],
    }
}

/// Calls `func` while another thread does `what` all the time.
fn beside(instance: &mut Instance<'_>, func: &str, what: impl Fn() + Sync) -> Result<Option<Value>, CallError> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
                what();
            }
        });
        let outcome = instance.call(func, args(func));
        done.store(true, Ordering::Relaxed);
        outcome
    })
}

/// Answers what was asked for once more, before it is asked what the next call does.
fn settle(instance: &mut Instance<'_>) {
    while instance.call("next", &[Value::I64(0)]).is_err() {}
}

/// Calls `back`, which calls the function that never ends.
fn back(call: &mut HostCall<'_>) -> Result<(), Trap> {
    call.call("jumps", &[]).map(drop).map_err(CallError::as_trap)
}

const BACK: HostFn<'_> = HostFn { name: "back", params: &[], result: TypeId::NONE, run: &back };

#[test]
fn endless_guests_are_stopped_by_other_threads() {
    with_stack(|| {
        Setup::new(LOOPS, &[BACK]).each(|engine, instance| {
            for func in ENDLESS {
                let handle = instance.interrupter();
                let outcome = beside(instance, func, || handle.interrupt());
                let place = interrupted(instance, outcome);
                let place = (place.0.as_str(), place.1);
                // At its entry too, if this thread is slow to make the call.
                assert!(
                    stops(func).contains(&place) || place == (func, 0),
                    "{}: {func} stopped at {place:?}",
                    engine.name
                );
                settle(instance);
            }
            // The trap of the inner call is passed on by the host function.
            let handle = instance.interrupter();
            let place = loop {
                let outcome = beside(instance, "inside", || handle.interrupt());
                let place = interrupted(instance, outcome);
                settle(instance);
                // As above.
                if place != ("inside".to_owned(), 0) {
                    break place;
                }
            };
            assert_eq!(place, ("inside".to_owned(), 1), "{}", engine.name);
        });
    });
}

/// The handler is asked each time, by any thread's request; without one the guest is abandoned.
#[test]
fn the_handler_decides() {
    with_stack(|| {
        let (asked, limit) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let handler = |call: &mut PollCall<'_>| {
            let frame = call.walk().next().expect("a frame");
            assert!(ENDLESS.contains(&frame.name()) || frame.name() == "next");
            let count = asked.fetch_add(1, Ordering::Relaxed) + 1;
            if count > limit.load(Ordering::Relaxed) { PollAction::Abandon } else { PollAction::Continue }
        };
        let setup = Setup::new(LOOPS, &[BACK]);
        Setup { handler: Some(&handler), ..setup }.each(|engine, instance| {
            for (func, turns) in ENDLESS.into_iter().zip([0, 1, 5, 20]) {
                asked.store(0, Ordering::Relaxed);
                limit.store(turns, Ordering::Relaxed);
                let handle = instance.interrupter();
                let outcome = beside(instance, func, || handle.poll());
                interrupted(instance, outcome);
                assert_eq!(asked.load(Ordering::Relaxed), turns + 1, "{}: {func}", engine.name);
                // The other thread may have asked once more.
                limit.store(usize::MAX, Ordering::Relaxed);
                assert_eq!(instance.call("next", &[Value::I64(0)]), Ok(Some(Value::I64(1))), "{}", engine.name);
                // The handler is not asked about an order.
                asked.store(0, Ordering::Relaxed);
                let outcome = beside(instance, func, || handle.interrupt());
                interrupted(instance, outcome);
                assert_eq!(asked.load(Ordering::Relaxed), 0, "{}: {func}", engine.name);
                settle(instance);
            }
            instance.set_poll_handler(None);
            let handle = instance.interrupter();
            let outcome = beside(instance, "counts", || handle.poll());
            interrupted(instance, outcome);
        });
    });
}

/// A request that is made while no guest runs is for the next call, once, however often it was made.
#[test]
fn requests_wait_for_the_next_call() {
    Setup::new(LOOPS, &[BACK]).each(|engine, instance| {
        let handle = instance.interrupter();
        let one = Ok(Some(Value::I64(1)));
        for request in [Interrupter::interrupt, Interrupter::poll] {
            for times in [1, 3] {
                thread::scope(|scope| {
                    for _ in 0..times {
                        scope.spawn(move || request(handle));
                    }
                });
                let outcome = instance.call("next", &[Value::I64(0)]);
                assert_eq!(interrupted(instance, outcome), ("next".to_owned(), 0), "{}", engine.name);
                assert_eq!(instance.call("next", &[Value::I64(0)]), one, "{}", engine.name);
            }
        }
        handle.leave();
        assert_eq!(instance.call("next", &[Value::I64(0)]), one, "{}", engine.name);
    });
}

/// The handle is good for as long as the instance's memory is lent: while it moves, and when it is gone.
#[test]
fn handles_outlive_instances() {
    use opstamp::{Engine, InstanceMemory, Module};
    let words = common::instance::assemble("func f() -> i64\nlocal x: i64\nret x\nend");
    let mut scratch = vec![0; Module::scratch_words(&words).unwrap()];
    let module = Module::verify(&words, &mut scratch).unwrap_or_else(|error| panic!("{error}"));
    let mut entries = [opstamp::runtime::context::Entry::new()];
    let engine = Engine::interpreter(module, &mut entries).unwrap();
    let mut state = vec![0; Instance::state_words(&module)];
    let mut stacks = [[0; 16]; 2];
    for stack in &mut stacks {
        let memory = InstanceMemory { stack, state: &mut state, heap: &mut [], seed: 0, native_stack: 1 << 20 };
        let handle = {
            let instance = Instance::new(&engine, memory, &[]).unwrap_or_else(|error| panic!("{error}"));
            let handle = instance.interrupter();
            let mut moved = Box::new(instance);
            handle.interrupt();
            assert!(moved.call("f", &[]).is_err());
            let mut back = *moved;
            handle.interrupt();
            assert!(back.call("f", &[]).is_err());
            assert_eq!(back.call("f", &[]), Ok(Some(Value::I64(0))));
            handle
        };
        handle.interrupt();
        thread::scope(|scope| scope.spawn(|| handle.poll()).join().unwrap());
    }
    // What was asked of the first two is nothing to the next one in the same memory.
    let memory =
        InstanceMemory { stack: &mut [0; 16], state: &mut state, heap: &mut [], seed: 0, native_stack: 1 << 20 };
    let mut instance = Instance::new(&engine, memory, &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(instance.call("f", &[]), Ok(Some(Value::I64(0))));
}

/// A listener hears of each function that is compiled, with its size, of each time machine code is left, and of
/// collections.
#[test]
fn listeners_hear_of_events() {
    const SOURCE: &str = "
        func leaves(n: i64) -> i64
          i64.add n, n, 1        ; 0
          deopt                  ; 1
          i64.add n, n, 1        ; 2
          ret     n              ; 3
        end
        func many(n: i64, a: i64, b: i64, c: i64) -> i64
          i64.add n, n, a
          call    n, many2(n, a, b, c)
          ret     n
        end
        func many2(n: i64, a: i64, b: i64, c: i64) -> i64
          i64.add n, n, b
          i64.add n, n, c
          ret     n
        end
        func garbage(n: i64)
          local xs: arr.i64
        again:
          arr.i64.new_len xs, 100
          i64.sub  n, n, 1
          br.i64.gt n, 0, again
          ret
        end";
    with_stack(|| {
        let events = Mutex::new(Vec::new());
        let listener = |event: Event| events.lock().unwrap().push(event);
        let take = || std::mem::take(&mut *events.lock().unwrap());
        let setup = Setup { listener: Some(&listener), ..Setup::new(SOURCE, &[]) };
        setup.each(|engine, instance| {
            let compiled = |events: Vec<Event>| {
                let mut found = Vec::new();
                let mut ranges = Vec::new();
                for event in events {
                    let Event::Compiled { func, code, ops } = event else { panic!("{}: {event:?}", engine.name) };
                    assert!(code.start < code.end, "{}: {event:?}", engine.name);
                    assert!(
                        ranges.iter().all(|&(start, end)| code.end <= start || end <= code.start),
                        "{}: {event:?}",
                        engine.name
                    );
                    ranges.push((code.start, code.end));
                    found.push((func, ops));
                }
                found
            };
            let eager = engine.options.is_some() && !engine.tiered;
            // Functions by their indices, with the ops that are counted above.
            let expected: &[_] = if eager { &[(0, 4), (1, 3), (2, 3), (3, 4)] } else { &[] };
            assert_eq!(compiled(take()), expected, "{}", engine.name);
            for _ in 0..3 {
                let ten = [1.into(), 2.into(), 3.into(), 4.into()];
                assert_eq!(instance.call("many", &ten), Ok(Some(10.into())));
            }
            // Three calls are too few for the default threshold.
            let tiered = engine.tiered && engine.options.is_some_and(|options| options.threshold <= 3);
            let expected: &[_] = if tiered { &[(1, 3), (2, 3)] } else { &[] };
            let mut found = compiled(take());
            found.sort_unstable();
            assert_eq!(found, expected, "{}", engine.name);
            for _ in 0..3 {
                assert_eq!(instance.call("leaves", &[1.into()]), Ok(Some(3.into())));
            }
            let found = take();
            let left = found.iter().filter(|event| **event == Event::Deoptimized { func: 0, op: 1 }).count();
            // What is compiled when it is warm is so in the third call.
            let expected = match engine.options {
                None => 0,
                Some(_) if engine.tiered && !tiered => 0,
                Some(options) if engine.tiered && options.threshold == 3 => 1,
                Some(_) => 3,
            };
            assert_eq!(left, expected, "{}: {found:?}", engine.name);
            assert_eq!(found.len(), expected + usize::from(tiered), "{}: {found:?}", engine.name);
            // 16,384 words hold 160 arrays of 100 words with what each needs beside them.
            assert_eq!(instance.call("garbage", &[1000.into()]), Ok(None));
            let of = |event| if let Event::Collected { stats } = event { Some(stats) } else { None };
            let stats: Vec<HeapStats> = take().into_iter().filter_map(of).collect();
            assert!(stats.len() >= 1000 / 160, "{}: {stats:?}", engine.name);
            let counts: Vec<_> = stats.iter().map(|stats| stats.collections).collect();
            assert_eq!(counts, (1..=stats.len() as u64).collect::<Vec<_>>(), "{}", engine.name);
            assert_eq!(stats.last().map(|stats| stats.collections), Some(instance.heap_stats().collections));
        });
    });
}

/// A handle that is left behind by one thread and used by another: nothing but the two words is shared.
#[test]
fn interrupters_are_sent_and_shared() {
    fn sent_and_shared<T: Send + Sync + Copy>(_: &T) {}
    let seen = Cell::new(false);
    Setup::new(LOOPS, &[BACK]).each(|_, instance| {
        let handle = instance.interrupter();
        sent_and_shared(&handle);
        // SAFETY: the address is that of a handle of an instance that lives.
        let same = unsafe { Interrupter::from_raw(handle.into_raw()) };
        assert_eq!(same.into_raw(), handle.into_raw());
        same.interrupt();
        seen.set(instance.call("next", &[Value::I64(0)]).is_err());
        assert!(seen.take());
    });
}

/// Who is asked to leave machine code in every turn of a loop computes the same, and traps at the same place.
#[test]
fn leaving_machine_code_changes_nothing() {
    const SOURCE: &str = "
        import ask()
        func sum(n: i64, x: f64) -> i64
          local s: i64, y: f64, t: i64
        again:
          host    ask()            ; 0
          i64.add s, s, n          ; 1
          f64.add y, y, x          ; 2
          i64.sub n, n, 1          ; 3
          br.i64.gt n, 0, again    ; 4
          f64.to_i64 t, y          ; 5
          i64.add s, s, t          ; 6
          ret     s                ; 7
        end
        func trap(n: i64, x: f64) -> i64
          local zero: i64
          call    n, sum(n, x)     ; 0
          i64.div n, n, zero       ; 1
          ret     n                ; 2
        end";
    with_stack(|| {
        let handle = Cell::new(std::ptr::null_mut());
        let ask = |_: &mut HostCall<'_>| {
            // SAFETY: the address is that of the running instance's handle.
            unsafe { Interrupter::from_raw(handle.get()) }.leave();
            Ok(())
        };
        let imports = [HostFn { name: "ask", params: &[], result: TypeId::NONE, run: &ask }];
        let left = AtomicUsize::new(0);
        let listener = |event: Event| {
            if let Event::Deoptimized { func, op } = event {
                assert_eq!((func, op), (0, 0));
                left.fetch_add(1, Ordering::Relaxed);
            }
        };
        Setup { listener: Some(&listener), ..Setup::new(SOURCE, &imports) }.each(|engine, instance| {
            handle.set(instance.interrupter().into_raw());
            for _ in 0..3 {
                // The sum of 1 to 10, and 10 times 0.5.
                let args = [Value::I64(10), Value::F64(0.5)];
                assert_eq!(instance.call("sum", &args), Ok(Some(Value::I64(60))), "{}", engine.name);
                let Err(CallError::Trap(report)) = instance.call("trap", &args) else { panic!("{}", engine.name) };
                let place = (report.trap, report.func, report.op);
                assert_eq!(place, (Trap::new(TrapKind::DivisionByZero), 1, 1), "{}", engine.name);
            }
            // Machine code that was all made before the first call cannot be left.
            assert_eq!(left.swap(0, Ordering::Relaxed) != 0, engine.tiered, "{}", engine.name);
        });
    });
}

/// Code without loops: what takes long for its objects, and functions of many ops.
fn straight() -> String {
    let long = "i64.add n, n, 1\n".repeat(100);
    format!(
        "import ask()
         global done: i64
         func fills(n: i64) -> i64
           local xs: arr.i64
           arr.i64.new_len xs, 1000 ; 0
           host     ask()           ; 1
           i64.add  n, n, 1         ; 2
           arr.i64.fill xs, n       ; 3
           global.set done, n       ; 4
           ret      n               ; 5
         end
         func calls(n: i64) -> i64
           host     ask()           ; 0
           call     n, long(n)      ; 1
           global.set done, n       ; 2
           ret      n               ; 3
         end
         func long(n: i64) -> i64
           {long}
           ret      n
         end
         func done() -> i64
           local n: i64
           global.get n, done
           ret      n
         end"
    )
}

#[test]
fn code_without_loops_is_stopped_too() {
    with_stack(|| {
        let address = AtomicUsize::new(0);
        let ask = |_: &mut HostCall<'_>| {
            // SAFETY: the instance lives while its guest runs.
            unsafe { Interrupter::from_raw(address.load(Ordering::Relaxed) as *mut ()) }.interrupt();
            Ok(())
        };
        let imports = [HostFn { name: "ask", params: &[], result: TypeId::NONE, run: &ask }];
        Setup::new(&straight(), &imports).each(|engine, instance| {
            address.store(instance.interrupter().into_raw() as usize, Ordering::Relaxed);
            for _ in 0..4 {
                let outcome = instance.call("fills", &[1.into()]);
                assert_eq!(interrupted(instance, outcome), ("fills".to_owned(), 3), "{}", engine.name);
                let outcome = instance.call("calls", &[1.into()]);
                assert_eq!(interrupted(instance, outcome), ("long".to_owned(), 0), "{}", engine.name);
                assert_eq!(instance.call("done", &[]), Ok(Some(0.into())), "{}", engine.name);
            }
        });
    });
}

/// `count` goes round `n` times, and each round is left at its op 2 for the rest of the call.
const ROUNDS: &str = "
    func count(n: i64) -> i64
      local s: i64
    again:
      i64.add   s, s, n    ; 0
      i64.sub   n, n, 1    ; 1
      nop                  ; 2
      br.i64.gt n, 0, again
      ret       s
    end
";

#[test]
fn code_of_whole_modules_is_left_too() {
    for engine in common::engines() {
        let leave_at = Some(opstamp::runtime::trap::Site::new(0, 2));
        let left = engine.options.is_some();
        let engine = common::EngineUnderTest {
            options: engine.options.map(|options| opstamp::jit::Options { leave_at, threshold: 0, ..options }),
            ..engine
        };
        Setup::new(ROUNDS, &[]).with(&engine, |instance| {
            for calls in 1..4 {
                assert_eq!(instance.call("count", &[10.into()]), Ok(Some(55.into())), "{}", engine.name);
                // What compiles while guests run goes back to machine code at the head of the loop, and is left again.
                let found = instance.switches().left;
                let right = if engine.tiered { found >= calls } else { found == u64::from(left) * calls };
                assert!(right, "{}: left {found} times", engine.name);
            }
        });
    }
}
