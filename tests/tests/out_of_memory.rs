//! Want of memory at every allocation: heaps of every size, and allocations that fail one by one. The trap comes at an op
//! that can give it, at the same one in every engine, with the same contents of the heap behind it, and the instance goes
//! on as if nothing had been.

mod common;

use common::{EngineUnderTest, Room, engines, with_stack};
use opstamp::vm3::op::Op;
use opstamp::vm3::text;
use opstamp::{CallError, Engine, Instance, InstanceMemory, InstantiateError, Module, TrapKind, TrapReport, Value};
use opstamp_tests::digest::{self, GUEST};
use opstamp_tests::{Expect, Group, SOURCE_BYTES, heap_suite, host};

/// Allocations of a call that fail one by one; behind them, ever fewer do.
const EACH: u64 = 24;
/// Allocations of a call, at most, behind which one is made to fail.
const MOST: u64 = 3000;

/// The interpreter, and machine code as it is meant to be used and with everything in the frame.
fn three() -> impl Iterator<Item = EngineUnderTest> {
    engines().into_iter().take(3)
}

/// Makes an engine of a source and runs `work` with it and the memory of an instance.
fn with_engine<T>(
    source: &str,
    engine: &EngineUnderTest,
    room: &mut Room,
    work: impl FnOnce(&Engine<'_>, &mut [u64], &mut [u64], &mut [u64], usize) -> T,
) -> T {
    let (memory, code) = room.parts();
    let used = text::assemble(source, memory.words, memory.scratch, &mut |_| {}).expect("assembles");
    let module = Module::verify(&memory.words[..used], memory.scratch).expect("verifies");
    let engine = match &engine.options {
        None => Engine::interpreter(module, memory.functions),
        Some(options) => Engine::machine_code(module, memory.functions, code, memory.scratch, options),
    };
    work(&engine.expect("an engine"), memory.stack, memory.state, memory.heap, memory.native_stack)
}

/// The op at a place in a module.
fn op_at(engine: &Engine<'_>, report: &TrapReport) -> Op {
    let container = engine.module().container();
    let func = container.func(report.func.into()).expect("a function");
    let code = container.code(&func).expect("its code");
    let ops = code.iter().filter_map(|&word| Op::from_code(word as u8)).filter(|&op| op != Op::Args);
    ops.clone().nth(report.op as usize).expect("an op")
}

/// Whether an op may say that memory ran out: by its row, or because its constant lies on the heap.
fn may_run_out(op: Op) -> bool {
    op == Op::CellConst || op.info().is_some_and(|row| row.traps().contains(&TrapKind::OutOfMemory))
}

/// How a call ended, with the bits of its result.
type Outcome = Result<Option<u64>, CallError>;

fn call(instance: &mut Instance<'_>, func: &str, args: &[Value]) -> Outcome {
    instance.call(func, args).map(|value| value.map(Value::bits))
}

/// The trap, if memory ran out. It did at an op that can say so.
fn ran_out(engine: &Engine<'_>, outcome: &Outcome) -> bool {
    match outcome {
        Err(CallError::Trap(report)) if report.trap.kind == TrapKind::OutOfMemory => {
            let op = op_at(engine, report);
            assert!(may_run_out(op), "{report:?} at {op:?}, which cannot run out of memory");
            true
        }
        _ => false,
    }
}

/// What the cases of a group came to when their allocations failed: the case, the allocations that succeeded, the outcome.
fn failing(group: &Group<'_>, engine: &EngineUnderTest, room: &mut Room) -> Vec<(String, u64, Outcome)> {
    with_engine(group.text, engine, room, |engine, stack, state, heap, native_stack| {
        let imports = host::imports();
        let lent = InstanceMemory { heap, seed: 1, stack, state, native_stack };
        let mut instance = Instance::new(engine, lent, &imports).expect("an instance");
        let mut seen = vec![];
        group.cases(&mut |case| {
            let natural = matches!(case.expect, Expect::Traps { trap, .. } if trap.kind == TrapKind::OutOfMemory);
            if natural {
                return;
            }
            let mut call = |fuse| {
                instance.reset().expect("the globals fit");
                instance.set_heap_fuse(fuse);
                let before = instance.heap_stats().allocations;
                let outcome = self::call(&mut instance, case.func, case.args);
                instance.set_heap_fuse(None);
                (outcome, instance.heap_stats().allocations - before)
            };
            let (plain, allocations) = call(None);
            if allocations > MOST {
                return;
            }
            let mut succeed = 0;
            loop {
                let (outcome, _) = call(Some(succeed));
                let failed = ran_out(engine, &outcome);
                if failed {
                    let (again, _) = call(None);
                    assert_eq!(again, plain, "{}({:?}) behind a call that ran out of memory", case.func, case.args);
                } else {
                    assert_eq!(outcome, plain, "{}({:?}) with {succeed} allocations", case.func, case.args);
                }
                seen.push((format!("{}({:?})", case.func, case.args), succeed, outcome));
                if !failed {
                    break;
                }
                succeed += 1 + succeed.saturating_sub(EACH) / 4;
            }
        });
        seen
    })
}

#[test]
fn every_allocation_of_the_suite_fails_alike() {
    with_stack(|| {
        let mut source = vec![0; SOURCE_BYTES];
        let mut room = Room::new();
        let (mut ran_out, mut ended) = (0, 0);
        let mut ops = std::collections::BTreeSet::new();
        heap_suite(&mut source, &mut |group| {
            let mut first = None;
            for engine in three() {
                let found = failing(group, &engine, &mut room);
                let Some(first) = &first else {
                    for (_, _, outcome) in &found {
                        match outcome {
                            Err(CallError::Trap(report)) if report.trap.kind == TrapKind::OutOfMemory => ran_out += 1,
                            _ => ended += 1,
                        }
                    }
                    with_engine(group.text, &engine, &mut room, |engine, _, _, _, _| {
                        for (_, _, outcome) in &found {
                            if let Err(CallError::Trap(report)) = outcome
                                && report.trap.kind == TrapKind::OutOfMemory
                            {
                                ops.insert(format!("{:?}", op_at(engine, report)));
                            }
                        }
                    });
                    first = Some(found);
                    continue;
                };
                for (first, found) in first.iter().zip(&found) {
                    assert_eq!(first, found, "{}: {}", engine.name, group.name);
                }
                assert_eq!(first.len(), found.len());
            }
        });
        println!("out of memory: {ran_out} calls ran out at {} kinds of op, {ended} did not", ops.len());
        let missing: Vec<_> = opstamp::vm3::op::OPS
            .iter()
            .filter(|row| row.traps().contains(&TrapKind::OutOfMemory) && !ops.contains(&format!("{:?}", row.op)))
            .collect();
        assert!(missing.is_empty(), "no allocation failed at {missing:?}");
    });
}

/// Builds one object of every kind and many more in globals, step by step; `all` is a list of them.
const BUILD: &str = "
shape S { i: i64, f: f64, a: any }
global xs: list
global m: map
global p: imap
global o: obj S
global s: str = \"the start of a text\"
global g: fn(i64) -> any
global steps: i64
func joined(c: any, n: i64) -> any
  local d: any
  box.i64 d, n
  dyn.add d, d, c
  ret d
end
func build(n: i64) -> i64
  local l: list, q: map, r: imap, t: obj S, u: str, v: str, f: fn(i64) -> any, w: i64, c: any, d: any, x: f64
  local y: arr.i64, z: arr.u8, e: arr.f64, k: i64, j: i64
  list.new l, 0
  global.set xs, l
  map.new q, 0
  global.set m, q
  imap.new r, 0
  global.set p, r
again:
  br.i64.ge k, n, done
  i64.shl w, k, 50
  box.i64 c, w
  list.push l, c
  str.from_i64 u, w
  global.get v, s
  str.concat v, v, u
  global.set s, v
  map.set q, u, v
  map.set q, c, u
  imap.set r, w, k
  obj.new t
  obj.set t, i, w
  obj.set t, a, v
  global.set o, t
  cell.mov d, t
  prop.get d, d, \"i\"
  list.push l, d
  fn.new f, joined(c)
  global.set g, f
  fn.call d, f(k)
  list.push l, d
  dyn.mul d, d, c
  list.push l, d
  arr.i64.new y, 1
  list.push l, y
  arr.u8.new_len z, 3
  list.push l, z
  arr.f64.new_len e, 2
  list.push l, e
more:
  i64.add w, w, 1
  arr.i64.push y, w
  arr.u8.push z, w
  i64.to_f64 x, w
  arr.f64.push e, x
  str.from_f64 u, x
  list.push l, u
  i64.and j, w, 15
  br.i64.lt j, 9, more
  str.len j, v
  str.slice u, v, k, j
  cell.const d, \"a constant that is made when it is needed\"
  list.push l, d
  i64.add k, k, 1
  global.set steps, k
  jump again
done:
  list.len k, l
  ret k
end
func part(n: i64) -> any
  local l: list, q: map, r: imap, t: obj S, u: str
  switch n, [a, b, c, d], e
a:
  global.get l, xs
  ret l
b:
  global.get q, m
  ret q
c:
  global.get r, p
  ret r
d:
  global.get t, o
  ret t
e:
  global.get u, s
  ret u
end
func sum(n: i64) -> i64
  local c: any, d: i64
  call c, part(n)
  i64.const d, 3
  call d, digest(c, d)
  ret d
end
";

fn build() -> String {
    format!("{BUILD}{GUEST}")
}

/// Checksums of all that the globals hold.
fn sums(instance: &mut Instance<'_>) -> Vec<Outcome> {
    assert_eq!(digest::DEPTH, 3);
    (0..5).map(|part| call(instance, "sum", &[Value::I64(part)])).collect()
}

#[test]
fn what_is_left_behind_is_the_same() {
    with_stack(|| {
        let source = build();
        let mut room = Room::new();
        let mut first: Option<Vec<(Outcome, Vec<Outcome>)>> = None;
        for engine in three() {
            let name = engine.name;
            let found = with_engine(&source, &engine, &mut room, |engine, stack, state, heap, native_stack| {
                let imports = host::imports();
                let lent = InstanceMemory { heap, seed: 1, stack, state, native_stack };
                let mut instance = Instance::new(engine, lent, &imports).expect("an instance");
                let args = &[Value::I64(6)];
                let plain = call(&mut instance, "build", args);
                assert!(plain.is_ok(), "{plain:?}");
                let whole = sums(&mut instance);
                let mut found = vec![];
                for succeed in 0.. {
                    instance.reset().expect("the globals fit");
                    instance.set_heap_fuse(Some(succeed));
                    let outcome = call(&mut instance, "build", args);
                    instance.set_heap_fuse(None);
                    let failed = ran_out(engine, &outcome);
                    found.push((outcome, sums(&mut instance)));
                    if !failed {
                        break;
                    }
                    instance.reset().expect("the globals fit");
                    assert_eq!(call(&mut instance, "build", args), plain, "behind {succeed} allocations and a failure");
                    assert_eq!(sums(&mut instance), whole, "behind {succeed} allocations and a failure");
                }
                assert_eq!(found.last(), Some(&(plain, whole)));
                found
            });
            println!("out of memory: {} allocations, each of which failed once, {name}", found.len() - 1);
            assert!(found.len() > 100);
            match &first {
                None => first = Some(found),
                Some(first) => {
                    for (succeed, (first, found)) in first.iter().zip(&found).enumerate() {
                        assert_eq!(first, found, "{name}, {succeed} allocations that succeed");
                    }
                    assert_eq!(first.len(), found.len());
                }
            }
        }
    });
}

/// A word beside the heap.
const GUARD: u64 = 0x5AFE_5AFE_5AFE_5AFE;

#[test]
fn heaps_of_every_size() {
    with_stack(|| {
        let source = build();
        let mut room = Room::new();
        let mut first: Option<Vec<Option<Outcome>>> = None;
        for engine in three() {
            let name = engine.name;
            let found = with_engine(&source, &engine, &mut room, |engine, stack, state, heap, native_stack| {
                let imports = host::imports();
                let mut plain = None;
                let mut found = vec![];
                for words in (0..400).chain((400..6000).step_by(37)).rev() {
                    heap[..words + 2].fill(GUARD);
                    heap[1..=words].fill(0xFFFF_FFFF_FFFF_FFFF);
                    let lent = InstanceMemory {
                        heap: &mut heap[1..=words],
                        seed: 1,
                        stack: &mut *stack,
                        state: &mut *state,
                        native_stack,
                    };
                    let made = Instance::new(engine, lent, &imports).map(|mut instance| {
                        let outcome = call(&mut instance, "build", &[Value::I64(3)]);
                        assert!(outcome.is_ok() || ran_out(engine, &outcome), "{outcome:?}");
                        // Less work fits in less memory, also behind a failure.
                        let small = instance.reset().map(|()| call(&mut instance, "build", &[Value::I64(0)]));
                        assert!(small.is_err() || outcome.is_err() || small == Ok(Ok(Some(0))));
                        outcome
                    });
                    let made = match made {
                        Ok(outcome) => Some(outcome),
                        Err(InstantiateError::Heap { name: "s", given }) if given == words => None,
                        Err(error) => panic!("{error}"),
                    };
                    match made {
                        None | Some(Err(CallError::Trap(_))) => {}
                        Some(Ok(value)) => assert_eq!(value, *plain.get_or_insert(value), "{words} words"),
                        Some(Err(error)) => panic!("{error}"),
                    }
                    assert_eq!((heap[0], heap[words + 1]), (GUARD, GUARD), "{words} words");
                    found.push(made);
                }
                found
            });
            let count = |wanted: fn(&Option<Outcome>) -> bool| found.iter().filter(|found| wanted(found)).count();
            let kinds = [
                count(Option::is_none),
                count(|found| matches!(found, Some(Err(_)))),
                count(|found| matches!(found, Some(Ok(_)))),
            ];
            println!(
                "out of memory: of heaps, {kinds:?} were too small for a global, too small, and large enough, {name}"
            );
            assert!(kinds.iter().all(|&count| count > 3), "{kinds:?}");
            match &first {
                None => first = Some(found),
                Some(first) => assert_eq!(first, &found, "{name}"),
            }
        }
    });
}
