//! Fuel: what each straight run costs, counted by hand, and where a call ends that has too little; on every engine, with
//! every amount that makes a difference, and with machine code left at every op.

mod common;

use common::{EngineUnderTest, Room, engines, with_stack};
use opstamp::runtime::trap::Site;
use opstamp::vm3::text;
use opstamp::{
    CallError, FuelError, HostCall, HostFn, Instance, InstanceMemory, Interrupter, Module, TrapKind, TypeId, Value,
};
use opstamp_tests::driver::CacheRoom;
use std::cell::Cell;

const SOURCE: &str = r#"
import request()
import back(i64) -> i64
global seen: i64

; a loop whose head is the first op; the host makes a request of the guest in each round
func rounds(n: i64) -> i64
  local s: i64
again:
  host        request()
  i64.add     s, s, n
  i64.sub     n, n, 1
  br.i64.gt   n, 0, again
  ret         s
end

; labels that control falls into, a trap before some of them, ops that are left at
func split(x: i64, y: i64) -> i64
  local z: i64
  br.i64.eq   x, 0, second
  i64.add     z, z, 1
second:
  global.set  seen, z
  i64.add     z, z, 2
  i64.div     z, z, y
third:
  i64.add     z, z, 4
  deopt
  global.set  seen, z
fourth:
  deopt
  i64.add     z, z, 8
  br.i64.eq   x, 7, third
  br.i64.eq   x, 8, fourth
  ret         z
end

; ops of several words, calls, a closure; what follows a `ret` is not reached
func sum(a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64) -> i64
  i64.select  a, b, c, d
  i64.add     a, a, e
  i64.add     a, a, f
  i64.add     a, a, g
  ret         a
  nop
  nop
  ret         b
end
func calls(n: i64) -> i64
  local a: i64, add: fn(i64, i64) -> i64
  fn.new      add, sum(n, n, n, n, n)
  call        a, sum(n, n, n, n, n, n, n)
  fn.call     a, add(a, n)
  host        a, back(a)
  nop
  ret         a
end
func inner(x: i64) -> i64
  br.i64.ge   x, 0, positive
  ret         x
positive:
  nop
  i64.add     x, x, 1
  ret         x
end

; loops by tail calls; a switch
func down(n: i64, s: i64) -> i64
  switch      n, [zero, one], more
zero:
  ret         s
one:
  i64.add     s, s, 100
more:
  i64.add     s, s, n
  i64.sub     n, n, 1
  tail        down(n, s)
end

; runs into a trap that is the end of a run by itself
func fails(xs: arr.i64, n: i64)
  nop
  i64.add     n, n, 1
here:
  nop
  arr.i64.push xs, n
there:
  nop
  br.i64.eq   n, 0, here
  br.i64.eq   n, 0, there
  trap        unreachable
end
"#;

/// A straight run: its function, its first op and its cost.
type Run = (&'static str, u32, u64);

/// What a call comes to that has enough fuel.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Value(i64),
    Trap(TrapKind, &'static str, u32),
}

/// A call, the runs in the order in which they start, and the value of the global before each and at the end if any run
/// changes it.
struct Case {
    func: &'static str,
    args: &'static [Value],
    runs: Vec<Run>,
    end: End,
}

fn cases() -> Vec<Case> {
    use Value::I64;
    let rounds = |n: usize| {
        let round = [("rounds", 0, 1), ("rounds", 1, 3)];
        round.into_iter().cycle().take(2 * n).chain([("rounds", 4, 1)]).collect::<Vec<Run>>()
    };
    let zero = TrapKind::DivisionByZero;
    let sum: Run = ("sum", 0, 5);
    vec![
        Case { func: "rounds", args: &[I64(1)], runs: rounds(1), end: End::Value(1) },
        Case { func: "rounds", args: &[I64(6)], runs: rounds(6), end: End::Value(21) },
        Case {
            func: "split",
            args: &[I64(0), I64(1)],
            runs: vec![
                ("split", 0, 1),
                ("split", 2, 3),
                ("split", 5, 3),
                ("split", 8, 3),
                ("split", 11, 1),
                ("split", 12, 1),
            ],
            end: End::Value(14),
        },
        Case {
            func: "split",
            args: &[I64(1), I64(1)],
            runs: vec![
                ("split", 0, 1),
                ("split", 1, 1),
                ("split", 2, 3),
                ("split", 5, 3),
                ("split", 8, 3),
                ("split", 11, 1),
                ("split", 12, 1),
            ],
            end: End::Value(15),
        },
        Case {
            func: "split",
            args: &[I64(0), I64(0)],
            runs: vec![("split", 0, 1), ("split", 2, 3)],
            end: End::Trap(zero, "split", 4),
        },
        Case {
            func: "split",
            args: &[I64(3), I64(0)],
            runs: vec![("split", 0, 1), ("split", 1, 1), ("split", 2, 3)],
            end: End::Trap(zero, "split", 4),
        },
        Case {
            func: "calls",
            args: &[I64(1)],
            runs: vec![
                ("calls", 0, 2),
                sum,
                ("calls", 2, 1),
                sum,
                ("calls", 3, 1),
                ("inner", 0, 1),
                ("inner", 2, 3),
                ("calls", 4, 2),
            ],
            // 1 + 1 + 1 + 1, then 1 + 1 + 4 + 1, then one more.
            end: End::Value(8),
        },
        Case {
            func: "calls",
            args: &[I64(-1)],
            runs: vec![
                ("calls", 0, 2),
                sum,
                ("calls", 2, 1),
                sum,
                ("calls", 3, 1),
                ("inner", 0, 1),
                ("inner", 1, 1),
                ("calls", 4, 2),
            ],
            end: End::Value(-7),
        },
        Case {
            func: "down",
            args: &[I64(3), I64(0)],
            runs: vec![
                ("down", 0, 1),
                ("down", 3, 3),
                ("down", 0, 1),
                ("down", 3, 3),
                ("down", 0, 1),
                ("down", 2, 1),
                ("down", 3, 3),
                ("down", 0, 1),
                ("down", 1, 1),
            ],
            end: End::Value(106),
        },
        Case {
            func: "fails",
            args: &[Value::Cell(opstamp::Cell::NULL), I64(-1)],
            runs: vec![("fails", 0, 2), ("fails", 2, 2)],
            end: End::Trap(TrapKind::NullReference, "fails", 3),
        },
    ]
}

/// All engines with fuel, and those that leave machine code at one op.
fn all() -> Vec<EngineUnderTest> {
    let mut all: Vec<_> = engines().into_iter().map(|engine| EngineUnderTest { fuel: true, ..engine }).collect();
    let compiled = all.iter().find(|engine| engine.tiered).and_then(|engine| engine.options);
    for (func, word) in compiled.iter().flat_map(|_| (0..7).flat_map(|func| (0..16).map(move |word| (func, word)))) {
        let at = |options| opstamp::jit::Options { threshold: 0, leave_at: Some(Site::new(func, word)), ..options };
        all.push(EngineUnderTest {
            name: "left at an op",
            options: compiled.map(at),
            tiered: true,
            limit: 0,
            fuel: true,
            stress: false,
        });
    }
    all
}

/// What a host function asks of the guest that has called it.
type Request = fn(Interrupter<'_>);

/// Hands `body` a way to make instances on an engine, one after the other. The import `request` makes the request.
fn with_instances(
    engine: &EngineUnderTest,
    room: &mut Room,
    request: Request,
    body: &mut dyn FnMut(&mut Instances<'_>),
) {
    let (memory, code) = room.parts();
    let used = text::assemble(SOURCE, memory.words, memory.scratch, &mut |_| {}).expect("assembles");
    let module = Module::verify(&memory.words[..used], memory.scratch).expect("verifies");
    let mut cache = CacheRoom::new();
    let engine = engine.make(module, memory.functions, code, &mut cache, memory.scratch).expect("an engine");
    let guest = Cell::new(std::ptr::null_mut());
    let make_request = |_: &mut HostCall<'_>| {
        // SAFETY: the memory of the instance that is calling stays lent to it meanwhile.
        request(unsafe { Interrupter::from_raw(guest.get()) });
        Ok(())
    };
    let back = |call: &mut HostCall<'_>| {
        let value = call.call("inner", &[Value::I64(call.i64(0))]).map_err(CallError::as_trap)?;
        call.set_result(value.expect("a result"));
        Ok(())
    };
    let imports = [
        HostFn { name: "request", params: &[], result: TypeId::NONE, run: &make_request },
        HostFn { name: "back", params: &[TypeId::I64], result: TypeId::I64, run: &back },
    ];
    body(&mut |lend| {
        let lent = InstanceMemory {
            heap: memory.heap,
            seed: 0,
            stack: memory.stack,
            state: memory.state,
            native_stack: memory.native_stack,
        };
        let mut instance = Instance::new(&engine, lent, &imports).expect("an instance");
        guest.set(instance.interrupter().into_raw());
        lend(&module, &mut instance);
    });
}

/// Makes an instance and shows it.
type Instances<'l> = dyn FnMut(&mut Shown<'_>) + 'l;
/// What an instance is shown to.
type Shown<'l> = dyn FnMut(&Module<'_>, &mut Instance<'_>) + 'l;

/// What a call with that much fuel comes to, and what it leaves.
fn expected(case: &Case, fuel: u64) -> (End, u64) {
    let mut left = fuel;
    for &(func, op, cost) in &case.runs {
        match left.checked_sub(cost) {
            Some(less) => left = less,
            None => return (End::Trap(TrapKind::OutOfFuel, func, op), left),
        }
    }
    (case.end, left)
}

#[test]
fn every_amount_of_fuel() {
    let mut count = 0;
    with_stack(|| {
        let mut room = Room::new();
        for engine in all() {
            let mut rounds = 0;
            with_instances(&engine, &mut room, |guest| guest.leave(), &mut |instances| {
                for case in cases() {
                    let total: u64 = case.runs.iter().map(|(_, _, cost)| cost).sum();
                    for fuel in (0..=total + 2).chain([u64::MAX]) {
                        rounds += 1;
                        instances(&mut |module, instance| {
                            instance.set_fuel(Some(fuel)).expect("the engine counts fuel");
                            let found = match instance.call(case.func, case.args) {
                                Ok(value) => End::Value(value.and_then(Value::i64).unwrap_or(0)),
                                Err(CallError::Trap(report)) => {
                                    let names = ["rounds", "split", "sum", "calls", "inner", "down", "fails"];
                                    let name = names.iter().find(|name| module.func_index(name) == Some(report.func));
                                    End::Trap(report.trap.kind, name.expect("a function"), report.op)
                                }
                                Err(error) => panic!("{error}"),
                            };
                            let mut want = expected(&case, fuel);
                            if let End::Trap(TrapKind::OutOfFuel, "inner", _) = want.0 {
                                // The host function passes the trap on, at its own call.
                                want.0 = End::Trap(TrapKind::OutOfFuel, "calls", 3);
                            }
                            let left = instance.fuel().expect("the engine counts fuel");
                            let options = &engine.options;
                            assert_eq!(
                                (found, left),
                                want,
                                "{} {options:?}: {}({:?}) with {fuel}",
                                engine.name,
                                case.func,
                                case.args
                            );
                        });
                    }
                }
            });
            count += rounds;
        }
    });
    println!("fuel: {count} calls agree");
}

/// What is set in a run that cannot be paid is not set.
#[test]
fn nothing_of_an_unpaid_run_is_executed() {
    with_stack(|| {
        let mut room = Room::new();
        for engine in all() {
            with_instances(&engine, &mut room, |guest| guest.leave(), &mut |instances| {
                // The global is set in the runs at ops 2 and 5, which start when 2 and 5 units are used up.
                for (fuel, seen) in [(1, 0), (2, 0), (4, 0), (5, 1), (7, 1), (8, 7), (9, 7)] {
                    instances(&mut |_, instance| {
                        instance.set_fuel(Some(fuel)).expect("the engine counts fuel");
                        let outcome = instance.call("split", &[Value::I64(1), Value::I64(1)]);
                        assert!(
                            matches!(outcome, Err(CallError::Trap(report)) if report.trap.kind == TrapKind::OutOfFuel)
                        );
                        let name = engine.name;
                        assert_eq!(instance.global(0), Some(Value::I64(seen)), "{name} {:?}: {fuel}", engine.options);
                    });
                }
            });
        }
    });
}

#[test]
fn an_instance_has_no_fuel_until_it_is_given_some() {
    with_stack(|| {
        let mut room = Room::new();
        for engine in all() {
            with_instances(&engine, &mut room, |guest| guest.leave(), &mut |instances| {
                instances(&mut |module, instance| {
                    assert_eq!(instance.fuel(), Some(0));
                    let Err(CallError::Trap(report)) = instance.call("inner", &[Value::I64(1)]) else {
                        panic!("no trap")
                    };
                    let at = (report.trap.kind, Some(report.func), report.op);
                    assert_eq!(at, (TrapKind::OutOfFuel, module.func_index("inner"), 0));
                    instance.set_fuel(None).expect("the engine counts fuel");
                    assert_eq!(instance.call("inner", &[Value::I64(1)]), Ok(Some(Value::I64(2))));
                    assert_eq!(instance.fuel(), Some(u64::MAX - 4));
                    // Calls share it.
                    instance.set_fuel(Some(10)).expect("the engine counts fuel");
                    for left in [6, 2] {
                        assert_eq!(instance.call("inner", &[Value::I64(1)]), Ok(Some(Value::I64(2))));
                        assert_eq!(instance.fuel(), Some(left));
                    }
                });
            });
        }
        for engine in engines() {
            with_instances(&engine, &mut room, |guest| guest.leave(), &mut |instances| {
                instances(&mut |_, instance| {
                    assert_eq!((instance.fuel(), instance.set_fuel(Some(5))), (None, Err(FuelError)));
                    assert_eq!(instance.set_fuel(None), Ok(()));
                    assert_eq!(instance.call("inner", &[Value::I64(1)]), Ok(Some(Value::I64(2))));
                });
            });
        }
    });
}

/// A guest that is stopped by a poll has not been charged for what it was about to run.
#[test]
fn the_poll_comes_before_the_charge() {
    with_stack(|| {
        let mut room = Room::new();
        for engine in all() {
            with_instances(&engine, &mut room, |guest| guest.interrupt(), &mut |instances| {
                instances(&mut |_, instance| {
                    instance.set_fuel(Some(0)).expect("the engine counts fuel");
                    instance.interrupter().interrupt();
                    let Err(CallError::Trap(report)) = instance.call("rounds", &[Value::I64(1)]) else {
                        panic!("no trap")
                    };
                    assert_eq!((report.trap.kind, instance.fuel()), (TrapKind::Interrupted, Some(0)));
                });
                // At the head of the loop, behind the two runs of its first round.
                instances(&mut |_, instance| {
                    instance.set_fuel(Some(100)).expect("the engine counts fuel");
                    let Err(CallError::Trap(report)) = instance.call("rounds", &[Value::I64(2)]) else {
                        panic!("no trap")
                    };
                    let found = (report.trap.kind, report.op, instance.fuel());
                    assert_eq!(found, (TrapKind::Interrupted, 0, Some(96)), "{}", engine.name);
                });
            });
        }
    });
}
