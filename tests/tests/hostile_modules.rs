//! Modules that a hostile guest would send: the greatest frames, argument lists and dispatches, loops entered from all
//! sides, and hosts that give odd memory. Every engine has to agree on all of them.

mod support;

use opstamp::asm::EmitError;
use opstamp::jit::{self, CompileError, Options};
use opstamp::runtime::context::Entry;
use opstamp::vm3::container::CellConst;
use opstamp::vm3::op::Op;
use opstamp::vm3::text;
use opstamp::{
    CallError, CodeError, CodeMemory, CodeRange, Engine, EngineError, HostCall, HostFn, Instance, InstanceMemory,
    Module, Trap, TrapKind, TypeId, Value, vm3,
};
use opstamp_platform::HostCode;
use std::time::{Duration, Instant};
use support::{Builder, Code, code, int, trap};

const I: TypeId = TypeId::I64;
const F: TypeId = TypeId::F64;
const ANY: TypeId = TypeId::ANY;
const NONE: TypeId = TypeId::NONE;

/// What the host lends.
#[derive(Clone, Copy)]
struct Host {
    stack: usize,
    native_stack: usize,
    code: usize,
}

const HOST: Host = Host { stack: 1 << 18, native_stack: 1 << 20, code: 64 << 20 };

/// Runs `run` on an instance of each engine: interpreted, and compiled with all, a few and no registers pinned, for this
/// CPU and for a plain one.
fn each(words: &[u64], host: Host, imports: &[HostFn<'_>], mut run: impl FnMut(&mut Instance<'_>)) {
    let features = opstamp_platform::features();
    let all = Options { features, ..Options::default() };
    let pinned = |max_pinned| Some(Options { max_pinned, ..all });
    for options in [None, pinned(usize::MAX), pinned(3), pinned(0), Some(Options::default())] {
        let mut scratch = vec![0; Module::scratch_words(words).unwrap()];
        let module = Module::verify(words, &mut scratch).unwrap_or_else(|error| panic!("{error}"));
        let mut entries: Vec<Entry> = Vec::new();
        entries.resize_with(Engine::functions_needed(&module), Entry::default);
        let mut memory = HostCode::new(host.code).unwrap();
        let engine = match options {
            None => Engine::interpreter(module, &mut entries).unwrap(),
            Some(options) => {
                let mut scratch = vec![0; jit::scratch_words(&module)];
                match Engine::machine_code(module, &mut entries, &mut memory, &mut scratch, &options) {
                    Ok(engine) => engine,
                    Err(opstamp::EngineError::Compile(jit::CompileError::Host)) => return,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let mut stack = vec![0xDEAD_BEEF_DEAD_BEEF; host.stack];
        let mut state = vec![0; Instance::state_words(&module)];
        let memory = InstanceMemory {
            heap: &mut [],
            seed: 0,
            stack: &mut stack,
            state: &mut state,
            native_stack: host.native_stack,
        };
        let mut instance = Instance::new(&engine, memory, imports).unwrap_or_else(|error| panic!("{error}"));
        run(&mut instance);
    }
}

fn assemble(source: &str) -> Vec<u64> {
    let sizes = text::sizes(source);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let used = text::assemble(source, &mut words, &mut scratch, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    words.truncate(used);
    words
}

/// The text form of a module, assembled again, is a module with the same text form.
fn round_trip(words: &[u64]) {
    let text = disassemble(words);
    assert!(disassemble(&assemble(&text)) == text, "the text form of a module of {} words changes", words.len());
}

fn disassemble(words: &[u64]) -> String {
    let mut text = String::new();
    let container = vm3::container::Container::read(words).unwrap();
    let mut scratch = vec![0; text::DISASSEMBLE_SCRATCH];
    text::disassemble(&container, &mut text, &mut scratch).unwrap();
    text
}

/// A local that is read on a way that passes no write of it is zero, also where that way enters one loop through another
/// that overlaps it.
#[test]
fn locals_are_zero_whatever_the_loops() {
    let source = "
        func f(n: i64, far: i64) -> i64
          local i: i64, s: i64, x: i64
          br.i64.ne far, 0, side
          i64.const x, 1000
        first:
          i64.add   s, s, x
          i64.add   s, s, x
          i64.add   i, i, 1
        second:
          br.i64.lt i, n, first
          ret       s
        side:
          jump      second
        end";
    each(&assemble(source), HOST, &[], |instance| {
        assert_eq!(instance.call("f", &[4.into(), 0.into()]), int(8000));
        assert_eq!(instance.call("f", &[4.into(), 1.into()]), int(0));
    });
}

/// A function whose branches go anywhere, so that its loops overlap and are entered from all sides. A budget in a global
/// ends it; most registers are read only on some ways.
fn tangle(random: &mut fastrand::Rng) -> String {
    let mut source = String::from(
        "
        global budget: i64 = 300
        global trace: i64 = 0
        import h(i64, f64) -> i64
        func f(r0: i64, r1: i64, x0: f64) -> i64
        local r2: i64, r3: i64, r4: i64, r5: i64, t: i64, x1: f64, x2: f64, x3: f64
        ",
    );
    let len = random.usize(4..40);
    let spread = random.usize(10..60);
    for at in 0..len {
        let mut reg = || random.usize(0..6);
        let (d, x, y) = (reg(), reg(), reg());
        let mut float = || random.usize(0..4);
        let (fd, fx, fy) = (float(), float(), float());
        let (to, other) = (random.usize(0..=len), random.usize(0..=len));
        source += &format!("l{at}:\n");
        if random.usize(0..100) < spread {
            source += "global.get t, budget\ni64.sub t, t, 1\nglobal.set budget, t\n";
            source += &format!("br.i64.le t, 0, l{len}\n");
            source += &match random.usize(0..10) {
                0 => format!("jump l{to}\n"),
                1 => format!("switch r{x}, [l{to}, l{other}], l{at}\n"),
                2 => format!("br.f64.lt x{fx}, x{fy}, l{to}\n"),
                3 => format!("i64.rem t, t, 5\nbr.i64.ne t, 0, l{to}\ntail f(r{x}, r{y}, x{fx})\n"),
                _ => format!("i64.and t, t, 3\nbr.i64.{} t, {}, l{to}\n", ["eq", "ne"][x % 2], y % 4),
            };
            continue;
        }
        source += &match random.usize(0..18) {
            0 => format!("call r{d}, f(r{x}, r{y}, x{fx})\n"),
            1 => format!("call f(r{x}, r{y}, x{fx})\n"),
            2 => format!("host r{d}, h(r{x}, x{fx})\n"),
            3 if random.usize(0..4) == 0 => String::from("deopt\n"),
            3 | 4 => format!("i64.const r{d}, {}\n", random.i32(-9..9)),
            5 => format!("f64.const x{fd}, {}.5\n", random.i32(-9..9)),
            6 => format!("i64.to_f64 x{fd}, r{x}\n"),
            7 => format!("f64.bits r{d}, x{fx}\n"),
            8 => format!("f64.add x{fd}, x{fx}, x{fy}\n"),
            9 => format!("f64.floor x{fd}, x{fx}\n"),
            10 => format!("i64.popcnt r{d}, r{x}\n"),
            11..14 => format!("global.get t, trace\ni64.mul t, t, 31\ni64.add t, t, r{x}\nglobal.set trace, t\n"),
            14 => format!("i64.select r{d}, r{x}, r{y}, r{x}\n"),
            _ => format!("i64.add r{d}, r{x}, r{y}\n"),
        };
    }
    source += &format!("l{len}:\nret r{}\nend\n", random.usize(0..6));
    source
}

/// Machine code agrees with the interpreter on functions without any structure.
#[test]
fn tangled_functions() {
    let mut random = fastrand::Rng::with_seed(7);
    let host = |call: &mut HostCall<'_>| {
        let (n, x) = (call.i64(0), call.f64(1));
        call.set_result(n.wrapping_mul(3) ^ Value::F64(x).f64().map_or(0, |x| x as i64));
        Ok(())
    };
    let imports = [HostFn { name: "h", params: &[I, F], result: I, run: &host }];
    let mut results = std::collections::HashSet::new();
    for _ in 0..4000 {
        let source = tangle(&mut random);
        let mut expected = None;
        let small = Host { stack: 1 << 12, code: 1 << 18, ..HOST };
        each(&assemble(&source), small, &imports, |instance| {
            let result = instance.call("f", &[3.into(), (-4).into(), 2.5.into()]);
            let found = (result, instance.global(0), instance.global(1));
            let known = expected.get_or_insert(found);
            assert_eq!(found, *known, "{source}");
        });
        results.insert(format!("{expected:?}"));
    }
    assert!(results.len() > 1000, "only {} different results", results.len());
}

/// The greatest frame calls the greatest frame, with the most arguments, at the end of the stack.
#[test]
fn greatest_frames() {
    const SLOTS: usize = 1 << 16;
    let mut module = Builder::default();
    let last = u16::MAX;
    let params = vec![I; SLOTS - 1];
    // The sum of the first and the last parameter, and of the local behind them.
    let sum = code(&[(Op::I64Add, &[0, 0, last - 1]), (Op::I64Add, &[0, 0, last]), (Op::RetI64, &[0])]);
    let callee = module.func("callee", &params, I, &[I], sum);
    let mut body = Code::default();
    body.op(Op::I64Const, &[last, 30, 0]);
    body.op(Op::I64Const, &[0, 4, 0]);
    let args: Vec<u16> = (1..=last).rev().collect();
    body.op(Op::CallI64, &[&[1, callee], &args[..]].concat());
    // args[0] is slot `last`, args[last - 1] slot 1: 30 + 0 + 0.
    body.op(Op::I64Add, &[0, 0, 1]);
    body.op(Op::I64Add, &[0, 0, last]);
    body.op(Op::RetI64, &[0]);
    module.func("caller", &[], I, &vec![I; SLOTS], body);
    let mut body = Code::default();
    body.op(Op::I64Const, &[0, 5, 0]);
    // More parameters than slots: 5 for each.
    body.op(Op::Tail, &[&[callee], &vec![0; SLOTS - 1][..]].concat());
    module.func("tail", &[], I, &[I], body);
    let words = module.finish();
    round_trip(&words);
    let need = 2 * (SLOTS + 1);
    for stack in [need, need - 1] {
        each(&words, Host { stack, ..HOST }, &[], |instance| {
            let expected = if stack == need { int(4 + 30 + 30) } else { trap(TrapKind::StackOverflow, 1, 2) };
            assert_eq!(instance.call("caller", &[]), expected);
            assert_eq!(instance.call("tail", &[]), int(10));
        });
    }
    for stack in [SLOTS + 1, SLOTS, 2, 1, 0] {
        each(&words, Host { stack, ..HOST }, &[], |instance| {
            let expected = match stack {
                0..2 => trap(TrapKind::StackOverflow, 2, 0),
                _ if stack <= SLOTS => trap(TrapKind::StackOverflow, 2, 1),
                _ => int(10),
            };
            assert_eq!(instance.call("tail", &[]), expected);
        });
    }
}

/// Permutations of the most parameters, in place: a rotation, a reversal with fixed points, and one slot to all.
#[test]
fn greatest_tail_moves() {
    const COUNT: u16 = u16::MAX;
    let rotation: Vec<u16> = (0..COUNT).map(|slot| (slot + 1) % COUNT).collect();
    let reversal: Vec<u16> = (0..COUNT).rev().collect();
    // A tree: everyone feeds two others.
    let tree: Vec<u16> = (0..COUNT).map(|slot| slot / 2).collect();
    for sources in [rotation, reversal, tree] {
        let mut module = Builder::default();
        let params = vec![I; COUNT.into()];
        // A polynomial of some slots: small primes apart, so that all parts of the list count.
        let mut body = Code::default();
        for slot in (0..COUNT - 1).step_by(61).chain([COUNT - 1]).filter(|&slot| slot != 0) {
            body.op(Op::I64MulK, &[COUNT, COUNT, 31]);
            body.op(Op::I64Add, &[COUNT, COUNT, slot]);
        }
        body.op(Op::RetI64, &[COUNT]);
        let check = module.func("check", &params, I, &[I], body);
        let mut body = Code::default();
        body.op(Op::Tail, &[&[check], &sources[..]].concat());
        module.func("permute", &params, I, &[I], body);
        let args: Vec<Value> = (0..i64::from(COUNT)).map(|index| Value::I64(index * 7 + 1)).collect();
        let slots = (0..COUNT - 1).step_by(61).chain([COUNT - 1]).filter(|&slot| slot != 0);
        let expected = slots
            .fold(0i64, |sum, slot| sum.wrapping_mul(31).wrapping_add(i64::from(sources[usize::from(slot)]) * 7 + 1));
        each(&module.finish(), Host { stack: 65_537, ..HOST }, &[], |instance| {
            assert_eq!(instance.call("permute", &args), int(expected));
        });
    }
}

/// A dispatch over as many targets as an op can name, and over none.
#[test]
fn greatest_switch() {
    const COUNT: u16 = u16::MAX;
    let mut module = Builder::default();
    for (name, count) in [("most", COUNT), ("none", 0)] {
        let mut body = Code::default();
        let words = 1 + count.div_ceil(3);
        // Behind the switch: two results, at words `words` and `words + 2`. The last target is the second one.
        let mut targets = vec![words; count.into()];
        if let Some(last) = targets.last_mut() {
            *last = words + 2;
        }
        body.op(Op::Switch, &[&[0, count, words + 4], &targets[..]].concat());
        for value in [1, 2, 3] {
            assert_eq!(body.here(), words + 2 * (value - 1));
            body.op(Op::I64Const, &[0, value, 0]);
            body.op(Op::RetI64, &[0]);
        }
        module.func(name, &[I], I, &[], body);
    }
    let words = module.finish();
    round_trip(&words);
    each(&words, HOST, &[], |instance| {
        for (x, expected) in [(0, 1), (65_533, 1), (65_534, 2), (65_535, 3), (-1, 3), (i64::MIN, 3), (1 << 32, 3)] {
            assert_eq!(instance.call("most", &[x.into()]), int(expected), "{x}");
            assert_eq!(instance.call("none", &[x.into()]), int(3), "{x}");
        }
    });
}

/// As many rare halves as fit, then a loop head whose op has two.
#[test]
fn rare_halves_fill_up() {
    for before in 30..60 {
        let mut source = String::from("func f(x: i64, y: i64) -> i64\n");
        for _ in 0..before {
            source += "i64.udiv x, x, y\n";
        }
        source += "again:\ni64.div x, x, y\nbr.i64.gt x, 1000, again\nret x\nend\n";
        each(&assemble(&source), HOST, &[], |instance| {
            assert_eq!(instance.call("f", &[77.into(), 1.into()]), int(77));
            assert_eq!(instance.call("f", &[77.into(), 0.into()]), trap(TrapKind::DivisionByZero, 0, 0));
        });
    }
}

/// A function of many slots and many ops that leave machine code compiles in time that is linear in its size.
#[test]
fn many_deopts_of_many_slots() {
    let mut module = Builder::default();
    let mut body = Code::default();
    let count = 60_000;
    for _ in 0..count {
        body.op(Op::Deopt, &[]);
    }
    body.op(Op::I64AddK, &[0, 0, 1]);
    body.op(Op::RetI64, &[0]);
    module.func("f", &[I], I, &vec![I; 65_535], body);
    let words = module.finish();
    let started = Instant::now();
    each(&words, HOST, &[], |instance| assert_eq!(instance.call("f", &[1.into()]), int(2)));
    // Slot by slot at each op, it would be 4 * 4 * 10^9 steps.
    assert!(started.elapsed() < Duration::from_secs(8), "took {:?}", started.elapsed());
}

/// A host that promises no native stack, or all there is.
#[test]
fn native_stack_of_any_size() {
    let source = "func f(n: i64) -> i64\nbr.i64.gt n, 0, more\nret n\nmore:\ni64.sub n, n, 1\ncall n, f(n)\nret n\nend";
    let words = assemble(source);
    let reserve = opstamp::runtime::context::NATIVE_RESERVE;
    for native_stack in [0, 1, reserve - 1, reserve] {
        each(&words, Host { native_stack, ..HOST }, &[], |instance| {
            assert_eq!(instance.call("f", &[0.into()]), trap(TrapKind::StackOverflow, 0, 0));
        });
    }
    each(&words, Host { native_stack: usize::MAX, ..HOST }, &[], |instance| {
        assert_eq!(instance.call("f", &[100.into()]), int(0));
    });
    // Little native stack ends long before the VM stack, in machine code with a trap as well.
    each(&words, Host { native_stack: reserve + (1 << 14), ..HOST }, &[], |instance| {
        let deep = instance.call("f", &[50_000.into()]);
        let overflow = |report: opstamp::TrapReport| report.trap == Trap::new(TrapKind::StackOverflow);
        assert!(deep == int(0) || matches!(deep, Err(CallError::Trap(report)) if overflow(report)), "{deep:?}");
        assert_eq!(instance.call("f", &[10.into()]), int(0));
    });
}

/// Guest and host call each other, trap inside, and go on; the arguments of a host function stay what they were.
#[test]
fn entries_in_entries() {
    let source = "
        global g: i64 = 0
        import back(i64, f64) -> f64
        func down(n: i64, x: f64) -> f64
          local a: i64, b: f64, c: f64, m: i64, keep: i64, kept: f64
          i64.mul    keep, n, 3
          f64.add    kept, x, x
          global.set g, n
          br.i64.le  n, 0, bottom
          i64.sub    m, n, 1
          host       b, back(m, x)
          f64.add    b, b, kept
          i64.to_f64 c, keep
          f64.add    b, b, c
          ret        b
        bottom:
          i64.div    a, keep, n
          ret        x
        end";
    let words = assemble(source);
    let back = |call: &mut HostCall<'_>| {
        let (n, x) = (call.i64(0), call.f64(1));
        let inner = call.call("down", &[n.into(), x.into()]);
        // The call wrote its own frames only.
        assert_eq!((call.i64(0), call.f64(1)), (n, x));
        match inner {
            Ok(Some(value)) => call.set_result(value),
            Err(CallError::Trap(report)) => {
                assert_eq!((report.trap, n), (Trap::new(TrapKind::DivisionByZero), 0));
                call.set_result(100.0);
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    };
    let imports = [HostFn { name: "back", params: &[I, F], result: F, run: &back }];
    each(&words, HOST, &imports, |instance| {
        // down(n) = down(n - 1) + 2 x + 3 n, and 100 for down(0), which traps.
        let expected = |n: i32| (1..=n).fold(100.0, |sum, n| sum + 3.0 + 3.0 * f64::from(n));
        for n in [1, 2, 10, 40] {
            assert_eq!(instance.call("down", &[i64::from(n).into(), 1.5.into()]), Ok(Some(Value::F64(expected(n)))));
        }
        assert_eq!(instance.global(0), Some(Value::I64(0)));
        assert_eq!(instance.call("down", &[0.into(), 1.5.into()]), trap(TrapKind::DivisionByZero, 0, 10));
    });
}

/// Another thread stops a loop, a recursion and a loop inside two entries; what it asks for between calls holds for the
/// next.
#[test]
fn stopped_from_another_thread() {
    let source = "
        import back()
        func loop()
        again:
          jump again
        end
        func tail()
          tail tail()
        end
        func inside()
          host back()
          ret
        end
        func leaf()
          ret
        end";
    let back = |call: &mut HostCall<'_>| match call.call("loop", &[]) {
        Err(error) => Err(error.as_trap()),
        Ok(_) => Ok(()),
    };
    let imports = [HostFn { name: "back", params: &[], result: NONE, run: &back }];
    each(&assemble(source), HOST, &imports, |instance| {
        for (func, site) in [("loop", (0, 0)), ("tail", (1, 0)), ("inside", (2, 0))] {
            let handle = instance.interrupter();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(10));
                    handle.interrupt();
                });
                assert_eq!(instance.call(func, &[]), trap(TrapKind::Interrupted, site.0, site.1));
            });
        }
        for (func, index) in [("loop", 0), ("inside", 2), ("leaf", 3)] {
            instance.interrupter().interrupt();
            assert_eq!(instance.call(func, &[]), trap(TrapKind::Interrupted, index, 0));
        }
        assert_eq!(instance.call("leaf", &[]), Ok(None));
    });
}

/// A constant that needs a heap, which no engine has, in a module that was verified for one.
#[test]
fn literals_that_need_a_heap() {
    let mut module = Builder::default();
    let long = module.string(b"longer than five");
    let cell = module.cell(CellConst::Str(long)) as u16;
    module.func("f", &[], ANY, &[ANY], code(&[(Op::CellConst, &[0, cell, 0]), (Op::RetCell, &[0])]));
    let words = module.finish();
    let mut scratch = vec![0; Module::scratch_words(&words).unwrap()];
    let options = vm3::verify::VerifyOptions { heap: true };
    let module = Module::verify_with(&words, &mut scratch, options).unwrap_or_else(|error| panic!("{error}"));
    for machine in [false, true] {
        let mut entries = [Entry::default()];
        let mut memory = HostCode::new(1 << 20).unwrap();
        let mut scratch = vec![0; jit::scratch_words(&module)];
        let engine = if machine {
            Engine::machine_code(module, &mut entries, &mut memory, &mut scratch, &Options::default())
        } else {
            Engine::interpreter(module, &mut entries)
        };
        let Ok(engine) = engine else { continue };
        let (mut stack, mut state) = ([0; 16], vec![0; Instance::state_words(&module)]);
        let memory =
            InstanceMemory { heap: &mut [], seed: 0, stack: &mut stack, state: &mut state, native_stack: 1 << 20 };
        let mut instance = Instance::new(&engine, memory, &[]).unwrap();
        assert_eq!(instance.call("f", &[]), trap(TrapKind::OutOfMemory, 0, 0));
    }
}

/// A code window that nothing runs.
struct Window(Vec<u8>);

// SAFETY: the test makes no instance, so nothing in the window is run, which is all that publishing is for.
unsafe impl CodeMemory for Window {
    fn base(&self) -> usize {
        self.0.as_ptr().addr()
    }

    fn size(&self) -> usize {
        self.0.len()
    }

    fn page(&self) -> usize {
        4096
    }

    fn concurrent_write(&self) -> bool {
        true
    }

    fn open(&mut self, range: CodeRange) -> Result<&mut [u8], CodeError> {
        let size = self.0.len();
        self.0.get_mut(range.start..range.end).ok_or(CodeError::Range { range, size })
    }

    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        self.open(range).map(drop)
    }

    fn sync_cores(&self) -> Result<(), CodeError> {
        Ok(())
    }
}

/// Code memory of any size: too little is refused in words that say so, enough is enough, and no byte outside is written
/// (which `open` sees to).
#[test]
fn code_memory_of_any_size() {
    let source = "
        func f(n: i64, x: f64) -> i64
          local s: i64
        again:
          i64.div   s, n, s
          br.i64.gt s, 3, again
          call      s, g(s)
          ret       s
        end
        func g(n: i64) -> i64
          tail g(n)
        end";
    let words = assemble(source);
    let mut scratch = vec![0; Module::scratch_words(&words).unwrap()];
    let module = Module::verify(&words, &mut scratch).unwrap_or_else(|error| panic!("{error}"));
    let mut fitted = None;
    for size in 0..4096 {
        let mut window = Window(vec![0; size]);
        let mut entries = [Entry::default(), Entry::default()];
        let mut scratch = vec![0; jit::scratch_words(&module)];
        match Engine::machine_code(module, &mut entries, &mut window, &mut scratch, &Options::default()) {
            Ok(_) => fitted = fitted.or(Some(size)),
            Err(EngineError::Compile(CompileError::Host)) => return,
            Err(EngineError::Compile(CompileError::Emit { error: EmitError::Full { needed, capacity }, .. })) => {
                assert!(needed > capacity && capacity <= size, "{needed} bytes of {capacity}, in {size}");
                assert_eq!(fitted, None, "{size} bytes are too few");
            }
            Err(error) => panic!("{size} bytes: {error}"),
        }
    }
    assert!(fitted.is_some_and(|size| size > 500), "{fitted:?}");
}
