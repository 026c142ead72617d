//! The verbs of functions, calls, the frame, polls and the memory behind the context.

use crate::bench::{
    Bench, CANARY_IN, CANARY_OUT, Code, FAR, FUNC, Family, IN, NEAR, OUT, POISON, SITE, all_saved, canary,
    load_canaries, pool, store_canaries,
};
use crate::cases::{Count, Places, Verb, Want, check, int, mixes};
use crate::services::{ANSWER, Noted, take_noted};
use opstamp::asm::Label;
use opstamp::masm::{
    Any, Callee, Calls, Cond, ContextWord, Features, Float, FloatReg, Floats, Flow, Int, IntReg, IntUnary, Ints, Masm,
    PoolReg, Saved, Src,
};
#[cfg(feature = "heap")]
use opstamp::masm::{Objects, Slow};
use opstamp::runtime::context::{Context, POLL};
use opstamp::runtime::frame::slot_offset;
use opstamp::runtime::trap::{Site, Trap, TrapKind};
use opstamp::vm3::op::Bank::{F64, I64};

fn set_canaries<F: Family>(bench: &mut Bench) {
    for index in 0..pool::<F>().len() as u32 {
        bench.set_slot(u32::from(CANARY_IN) + index, canary(index as usize));
        bench.set_slot(u32::from(CANARY_OUT) + index, POISON);
    }
}

/// Checks the canaries of the registers that `kept` names, but those that the stubs need not preserve.
fn check_canaries<F: Family>(bench: &Bench, what: &str, kept: impl Fn(&PoolReg) -> bool) {
    let ints = <F::Masm<'_> as Masm<'_>>::INT_POOL.iter();
    let all = ints.chain(<F::Masm<'_> as Masm<'_>>::FLOAT_POOL);
    for (index, reg) in all.enumerate().filter(|&(index, reg)| kept(reg) && bench.preserves::<F>(index)) {
        let found = bench.slot(u32::from(CANARY_OUT) + index as u32);
        assert_eq!(found, canary(index), "{what}: register {index} of the pools, {reg:?}");
    }
}

/// A function that holds canaries in all registers of the pools around `body`, and returns slot IN as its result.
fn around<F: Family>(bench: &mut Bench, leaf: bool, body: &mut dyn FnMut(&mut F::Masm<'_>)) -> Code {
    let saved = all_saved::<F>();
    bench.emit::<F>(&mut |masm| {
        masm.prologue(leaf, SITE, &saved);
        load_canaries::<F>(masm);
        body(masm);
        store_canaries::<F>(masm);
        masm.result(Any::Int(Int::Slot(slot_offset(IN))));
        masm.epilogue(&saved);
    })
}

/// Registers to save, one set for each number of integers and floats, so that every way to pair them occurs.
fn saves<F: Family>() -> Vec<Saved> {
    let kept = |pool: &'static [PoolReg]| pool.iter().filter(|reg| reg.callee_saved).map(|reg| 1_u32 << reg.number);
    let ints: Vec<u32> = kept(<F::Masm<'_> as Masm<'_>>::INT_POOL).collect();
    let floats: Vec<u32> = kept(<F::Masm<'_> as Masm<'_>>::FLOAT_POOL).collect();
    let mut all = Vec::new();
    for i in 0..=ints.len() {
        for f in 0..=floats.len() {
            all.push(Saved { ints: ints[ints.len() - i..].iter().sum(), floats: floats[..f].iter().sum() });
        }
    }
    all
}

/// Puts something else in every register of the pools that callees keep and that is in `saved`.
fn destroy_saved<F: Family>(masm: &mut F::Masm<'_>, saved: &Saved) {
    for reg in 0..32 {
        if saved.ints >> reg & 1 != 0 {
            masm.mov(Int::Reg(IntReg(reg)), Src::Imm(-1));
        }
        if saved.floats >> reg & 1 != 0 {
            masm.float_const(Float::Reg(FloatReg(reg)), 0x4000_0000_0000_0000);
        }
    }
}

/// Words of an entry in the function tables of the tests; only the first, the code's address, is read by calls.
const ENTRY: usize = 6;

fn entry(index: usize) -> Callee {
    Callee::Entry { at: (8 * ENTRY * index) as u32, func: index as u16 }
}

const FRAMES: [u32; 4] = [16, 4104, slot_offset(FAR), 0xF_F008];

/// Calls: what the callee is given, what it keeps, and where its result comes back.
pub fn calls<F: Family>(bench: &mut Bench, count: &mut Count) {
    let mut table = vec![0; 65_536 * ENTRY];
    bench.context.entries = table.as_mut_ptr() as u64;
    for saved in saves::<F>() {
        for leaf in [false, true] {
            bench.clear();
            // Result: its argument plus its header, as an integer and as bits of a float.
            let callee = bench.emit::<F>(&mut |masm| {
                masm.prologue(leaf, SITE, &saved);
                // The services check the native stack.
                if leaf {
                    masm.loop_head(SITE);
                } else {
                    masm.host(0, slot_offset(200), SITE);
                }
                destroy_saved::<F>(masm, &saved);
                let (argument, header) = (Int::Slot(slot_offset(0)), Int::Slot(0));
                masm.int(opstamp::masm::IntOp::Add, argument, argument, Src::At(header));
                masm.result(Any::Int(argument));
                masm.result(Any::Float(Float::Slot(slot_offset(0))));
                masm.epilogue(&saved);
            });
            let mut callers = Vec::new();
            for (number, frame) in (0_usize..).zip(FRAMES) {
                for index in [0, 1, 900, 65_535] {
                    table[ENTRY * index] = callee.address;
                    let mixed = mixes::<F>(if number % 2 == 0 { &[I64] } else { &[F64] }, Places::All);
                    for d in mixed.into_iter().flatten() {
                        let mut site = SITE;
                        let code = around::<F>(bench, false, &mut |masm| {
                            site = Site::new(FUNC, (frame as u16) ^ index as u16);
                            masm.store(frame + slot_offset(0), Any::Int(Int::Slot(slot_offset(IN))));
                            masm.call(entry(index), frame, site);
                            masm.take_result(d);
                            masm.store(slot_offset(OUT), d);
                            // What the result went to no longer holds its canary.
                            for (slot, reg) in (CANARY_IN..).zip(pool::<F>()).filter(|(_, reg)| *reg == d) {
                                masm.load(reg, slot_offset(slot));
                            }
                        });
                        callers.push((code, site, frame));
                    }
                }
            }
            bench.publish();
            for (code, site, frame) in callers {
                set_canaries::<F>(bench);
                bench.stack[frame as usize / 8] = 0x7777_0000_0000;
                bench.set_slot(IN.into(), 5);
                bench.set_guard(POLL);
                assert_eq!(bench.run(code), 0);
                assert!(take_noted().iter().any(|noted| noted.service == if leaf { "guard" } else { "host_call" }));
                // The upper half of the header is no function's number.
                let want = 5 + u64::from(site.0);
                assert_eq!(bench.slot(OUT.into()), want, "call over {frame} bytes, saving {saved:?}");
                assert_eq!(bench.context.result, 5, "the frame register is back");
                check_canaries::<F>(bench, "call", |reg| reg.callee_saved);
                count.runs += 1;
            }
        }
    }
    bench.context.native_limit = 0;
    recursion::<F>(bench);
}

/// A function that calls itself, then one that tail-calls itself and another.
fn recursion<F: Family>(bench: &mut Bench) {
    let saved = all_saved::<F>();
    bench.clear();
    let mut table = vec![0; 2 * ENTRY];
    bench.context.entries = table.as_mut_ptr() as u64;
    let (n, frame) = (Int::Slot(slot_offset(0)), slot_offset(4));
    let kept = <F::Masm<'_> as Masm<'_>>::INT_POOL.iter().find(|reg| reg.callee_saved).expect("some are kept");
    let kept = Int::Reg(IntReg(kept.number));
    // The sum of n + (n-1) + ... + 1, with n in a kept register over the call.
    let sum = bench.emit::<F>(&mut |masm| {
        let mut base = Label::new();
        masm.prologue(false, SITE, &saved);
        masm.load(Any::Int(kept), slot_offset(0));
        masm.branch(Cond::Eq, n, Src::Imm(0), &mut base);
        masm.check_stack(frame + slot_offset(4), SITE);
        masm.int(opstamp::masm::IntOp::Sub, n, kept, Src::Imm(1));
        masm.store(frame + slot_offset(0), Any::Int(n));
        masm.call(Callee::Own, frame, SITE);
        masm.take_result(Any::Int(n));
        masm.int(opstamp::masm::IntOp::Add, n, n, Src::At(kept));
        masm.result(Any::Int(n));
        masm.epilogue(&saved);
        masm.bind(&mut base);
        masm.result(Any::Int(n));
        masm.epilogue(&saved);
    });
    // Counts slot 0 down and slot 1 up, by tail calls, and ends in the other function.
    let count_up = bench.emit::<F>(&mut |masm| {
        let mut end = Label::new();
        let total = Int::Slot(slot_offset(1));
        masm.prologue(false, SITE, &saved);
        destroy_saved::<F>(masm, &saved);
        masm.branch(Cond::Eq, n, Src::Imm(0), &mut end);
        masm.int(opstamp::masm::IntOp::Sub, n, n, Src::Imm(1));
        masm.int(opstamp::masm::IntOp::Add, total, total, Src::Imm(3));
        masm.tail(Callee::Own, &saved);
        masm.bind(&mut end);
        masm.tail(entry(1), &saved);
    });
    let last = bench.emit::<F>(&mut |masm| {
        masm.prologue(true, SITE, &Saved::default());
        masm.result(Any::Int(Int::Slot(slot_offset(1))));
        masm.epilogue(&Saved::default());
    });
    bench.publish();
    table[ENTRY] = last.address;
    bench.set_slot(0, 300);
    assert_eq!(bench.run(sum), 0);
    assert_eq!(bench.context.result, 300 * 301 / 2);
    // Deeper than the VM stack.
    bench.set_slot(0, 1 << 40);
    bench.context.native_limit = 1;
    bench.set_guard(1);
    let end = bench.context.stack_end;
    bench.context.stack_end = bench.stack.as_ptr() as u64 + 8 * 5 * 100;
    assert_eq!(bench.run(sum), 1);
    assert_eq!(bench.context.trap, Trap::new(TrapKind::StackOverflow).encode());
    bench.context.stack_end = end;
    bench.context.native_limit = 0;
    bench.set_slot(0, 100_000);
    bench.set_slot(1, 0);
    assert_eq!(bench.run(count_up), 0);
    assert_eq!(bench.context.result, 300_000);
}

/// What a service does that traps.
fn set_trap(context: *mut Context, trap: Trap, noted: Noted) {
    // SAFETY: the stub passes the running context, to which no reference exists.
    unsafe {
        (*context).trap = trap.encode();
        (*context).trap_site = noted.site.into();
    }
}

/// Host calls, polls and `deopt`: what the services are given, and what survives them.
pub fn services<F: Family>(bench: &mut Bench, count: &mut Count) {
    for leaf in [false, true] {
        bench.clear();
        let hosts: Vec<_> = FRAMES
            .into_iter()
            .zip([0, 1, 4096, 65_535])
            .map(|(frame, import)| {
                (frame, import, around::<F>(bench, false, &mut |masm| masm.host(import, frame, SITE)))
            })
            .collect();
        let polls = around::<F>(bench, leaf, &mut |masm| {
            masm.loop_head(Site::new(FUNC, 1));
            masm.loop_head(Site::new(FUNC, 2));
        });
        let mut result = Vec::new();
        for value in [Any::Int(Int::Slot(slot_offset(IN))), Any::Float(Float::Slot(slot_offset(IN)))] {
            let saved = all_saved::<F>();
            result.push(bench.emit::<F>(&mut |masm| {
                masm.prologue(leaf, SITE, &saved);
                destroy_saved::<F>(masm, &saved);
                masm.deopt(Site::new(FUNC, 3), true);
                masm.leaving();
                masm.left(false, &saved);
                masm.result(value);
            }));
        }
        // Calls the function with the deopt, so that it is seen to return to its caller with all that callees keep.
        let mut table: Vec<u64> = result.iter().flat_map(|code| [code.address; ENTRY]).collect();
        bench.context.entries = table.as_mut_ptr() as u64;
        let callers: Vec<Code> = (0..2)
            .map(|index| {
                around::<F>(bench, false, &mut |masm| {
                    masm.call(entry(index), slot_offset(1000), SITE);
                    let slot = slot_offset(OUT);
                    let d = [Any::Int(Int::Slot(slot)), Any::Float(Float::Slot(slot))][index];
                    masm.take_result(d);
                })
            })
            .collect();
        bench.publish();

        let start = bench.stack.as_ptr() as u64;
        for &(frame, import, code) in &hosts {
            set_canaries::<F>(bench);
            bench.set_slot(IN.into(), 77);
            assert_eq!(bench.run(code), 0);
            let noted =
                Noted { service: "host_call", frame: start + u64::from(frame), site: SITE.0, operand: import.into() };
            assert_eq!(take_noted(), [noted]);
            assert_eq!(bench.stack[frame as usize / 8] as u32, SITE.0, "the header");
            assert_eq!(bench.context.result, 77);
            check_canaries::<F>(bench, "host", |reg| reg.callee_saved);
            count.runs += 1;
            // A service that traps.
            ANSWER.set(Some(Box::new(|context: *mut Context, noted| {
                set_trap(context, Trap::host(9), noted);
                1
            })));
            assert_eq!(bench.run(code), 1);
            assert_eq!((bench.context.trap, bench.context.trap_site), (Trap::host(9).encode(), SITE.0.into()));
            ANSWER.set(None);
            take_noted();
        }

        // No poll is asked for; then each time; then the first one ends the run.
        set_canaries::<F>(bench);
        assert_eq!(bench.run(polls), 0);
        assert_eq!(take_noted(), []);
        let limit = bench.context.native_limit;
        bench.set_guard(POLL);
        set_canaries::<F>(bench);
        assert_eq!(bench.run(polls), 0);
        let noted = take_noted();
        let sites: Vec<u16> = noted.iter().map(|noted| Site(noted.site).word()).collect();
        assert_eq!(sites, if leaf { vec![1, 2] } else { vec![SITE.word(), 1, 2] });
        for noted in &noted {
            assert_eq!((noted.service, noted.frame), ("guard", start));
            if Site(noted.site) == SITE {
                assert!(noted.operand > limit && noted.operand < limit + 512 * 1024, "a native stack pointer");
            } else {
                assert_eq!(noted.operand, u64::MAX, "the head of a loop");
            }
        }
        check_canaries::<F>(bench, "poll", |_| true);
        ANSWER.set(Some(Box::new(|context: *mut Context, noted| {
            set_trap(context, Trap::new(TrapKind::Interrupted), noted);
            1
        })));
        assert_eq!(bench.run(polls), 1);
        assert_eq!(bench.context.trap, Trap::new(TrapKind::Interrupted).encode());
        ANSWER.set(None);
        take_noted();
        bench.set_guard(limit);
        // The end of the native stack is a stack pointer below the guard: the exact one that is compared.
        if !leaf {
            let pointer = noted[0].operand;
            for (guard, polled) in [(pointer, 0), (pointer + 1, 1)] {
                bench.set_guard(guard);
                bench.run(polls);
                let first = take_noted().iter().filter(|noted| Site(noted.site) == SITE).count();
                assert_eq!(first, polled, "at guard {guard:#x}");
            }
            bench.set_guard(limit);
        }
        count.runs += 5;

        for (index, &code) in callers.iter().enumerate() {
            set_canaries::<F>(bench);
            ANSWER.set(Some(Box::new(move |context: *mut Context, _| {
                // SAFETY: the stub passes the running context.
                unsafe { [&raw mut (*context).result, &raw mut (*context).float_result][index].write(4242) };
                0
            })));
            assert_eq!(bench.run(code), 0);
            ANSWER.set(None);
            let frame = start + u64::from(slot_offset(1000));
            let noted = Noted { service: "deopt", frame, site: Site::new(FUNC, 3).0, operand: 0 };
            assert_eq!(take_noted().iter().map(|found| Noted { operand: 0, ..*found }).collect::<Vec<_>>(), [noted]);
            assert_eq!(bench.slot(OUT.into()), 4242);
            check_canaries::<F>(bench, "deopt", |reg| reg.callee_saved);
            count.runs += 1;
        }
    }
    nested::<F>(bench);
}

/// The stubs for functions that pin few floats preserve these, and are the smaller the fewer they are.
pub fn few_floats<F: Family>(count: &mut Count) {
    let most = <F::Masm<'_> as Masm<'_>>::FLOAT_POOL.len();
    let mut bytes = Vec::new();
    for floats in 0..=most {
        let mut bench = Bench::with_floats::<F>(Features::default(), floats);
        bytes.push(bench.stub_bytes());
        services::<F>(&mut bench, count);
        bench.clear();
        // A software popcount where the ISA needs one, and an op by its service.
        let slot = Int::Slot(slot_offset(IN));
        let soft = around::<F>(&mut bench, true, &mut |masm| masm.int_unary(IntUnary::Popcnt, slot, slot));
        #[cfg(feature = "heap")]
        let op = around::<F>(&mut bench, true, &mut |masm| Objects::op(masm, Slow::new(SITE)));
        bench.publish();
        set_canaries::<F>(&mut bench);
        bench.set_slot(IN.into(), 0b1011);
        assert_eq!((bench.run(soft), bench.context.result), (0, 3));
        check_canaries::<F>(&bench, "soft", |_| true);
        take_noted();
        #[cfg(feature = "heap")]
        {
            set_canaries::<F>(&mut bench);
            assert_eq!(bench.run(op), 0);
            let noted: Vec<_> = take_noted().iter().map(|noted| (noted.service, noted.site, noted.operand)).collect();
            assert_eq!(noted, [("op", SITE.0, 0)]);
            check_canaries::<F>(&bench, "op", |_| true);
        }
        count.runs += 2;
    }
    let all = Bench::new::<F>(Features::default()).stub_bytes();
    assert!(bytes.is_sorted() && bytes[0] < all && bytes[most] == all, "{bytes:?}, {all}");
}

/// A host function that enters machine code again finds all that its convention keeps unchanged, and so does its caller.
fn nested<F: Family>(bench: &mut Bench) {
    bench.clear();
    let outer = around::<F>(bench, false, &mut |masm| masm.host(3, slot_offset(500), SITE));
    // Saves nothing although it changes every register of the pools, then traps or returns.
    let wild: Vec<Code> = [false, true]
        .into_iter()
        .map(|traps| {
            bench.emit::<F>(&mut |masm| {
                masm.prologue(true, SITE, &Saved::default());
                destroy_saved::<F>(masm, &all_saved::<F>());
                if traps {
                    masm.trap(Trap::user(7), SITE);
                }
                masm.result(Any::Int(Int::Slot(slot_offset(IN))));
                masm.epilogue(&Saved::default());
            })
        })
        .collect();
    bench.publish();
    for (code, status) in wild.into_iter().zip([0, 1]) {
        set_canaries::<F>(bench);
        let (enter, frame) = (bench.enter_fn(), bench.stack.as_mut_ptr());
        ANSWER.set(Some(Box::new(move |context: *mut Context, _| {
            // SAFETY: the code touches the same frame and context, which only raw pointers refer to meanwhile.
            let found = unsafe {
                let entry = (*context).entry_sp;
                let found = enter(context, frame, code.address);
                assert_eq!((*context).entry_sp, entry);
                found
            };
            assert_eq!(found, status);
            0
        })));
        assert_eq!(bench.run(outer), 0);
        ANSWER.set(None);
        take_noted();
        check_canaries::<F>(bench, "entry", |reg| reg.callee_saved);
    }
}

/// The verbs that move values between the frame and places, beyond what all other tests use them for.
pub fn frame<F: Family>(bench: &mut Bench, count: &mut Count) {
    let patterns = [0, 1, u64::MAX, 0xFFFC_0000_0000_0000, 0x1234_5678_9ABC_DEF0];
    for first in [NEAR, FAR, 505, 4090] {
        for slots in (0..=20).chain([63, 64, 65, 1000, 1001]) {
            for bits in patterns {
                bench.clear();
                let code = around::<F>(bench, true, &mut |masm| masm.fill(slot_offset(first), slots, bits));
                bench.publish();
                let all = u32::from(first) - 2..u32::from(first) + slots + 2;
                all.clone().for_each(|slot| bench.set_slot(slot, POISON));
                set_canaries::<F>(bench);
                assert_eq!(bench.run(code), 0);
                for slot in all {
                    let inside = slot >= first.into() && slot < u32::from(first) + slots;
                    assert_eq!(bench.slot(slot), if inside { bits } else { POISON }, "fill {first} {slots} at {slot}");
                }
                check_canaries::<F>(bench, "fill", |_| true);
                count.runs += 1;
            }
        }
    }
    let places = [IN, NEAR, FAR, 4095, 4096];
    for (x, y) in places.into_iter().flat_map(|x| places.map(|y| (x, y))) {
        bench.clear();
        let code = around::<F>(bench, true, &mut |masm| masm.exchange(slot_offset(x), slot_offset(y)));
        bench.publish();
        set_canaries::<F>(bench);
        bench.set_slot(x.into(), 1);
        bench.set_slot(y.into(), 2);
        assert_eq!(bench.run(code), 0);
        let want = if x == y { (2, 2) } else { (2, 1) };
        assert_eq!((bench.slot(x.into()), bench.slot(y.into())), want, "exchange of {x} and {y}");
        check_canaries::<F>(bench, "exchange", |_| true);
        count.runs += 1;
    }
    for end in [16, 4096, 4104, 32_768, 0x8_0008, 0xF_FFF8, 0x10_0010] {
        bench.clear();
        let code = around::<F>(bench, true, &mut |masm| masm.check_stack(end, SITE));
        bench.publish();
        let (start, real) = (bench.stack.as_ptr() as u64, bench.context.stack_end);
        for (room, status) in [(u64::from(end), 0), (u64::from(end) - 1, 1), (u64::from(end) + 1, 0), (0, 1)] {
            bench.context.stack_end = start + room;
            set_canaries::<F>(bench);
            assert_eq!(bench.run(code), status, "check_stack of {end} with {room}");
            if status != 0 {
                assert_eq!(bench.context.trap, Trap::new(TrapKind::StackOverflow).encode());
                assert_eq!(bench.context.trap_site, SITE.0.into());
            } else {
                check_canaries::<F>(bench, "check_stack", |_| true);
            }
            count.runs += 1;
        }
        bench.context.stack_end = real;
    }
}

/// Words behind the context: globals and tables.
pub fn memory<F: Family>(bench: &mut Bench, count: &mut Count) {
    const WORDS: usize = 2_200_000;
    let word = |index: usize| 0x5A5A_0000_0000 + index as u64;
    let mut globals: Vec<u64> = (0..65_536).map(word).collect();
    let tables: Vec<u64> = (0..WORDS).map(|index| !word(index)).collect();
    bench.context.globals = globals.as_mut_ptr() as u64;
    bench.context.tables = tables.as_ptr() as u64;
    for index in [0, 1, 31, 32, 4095, 4096, 5000, 65_535] {
        for bank in [I64, F64] {
            let banks = if bank == I64 { &[I64] } else { &[F64] };
            let load = Verb::<F> {
                name: format!("load_word {index}"),
                banks,
                emit: Box::new(move |m, p| m.load_word(p[0], ContextWord::Globals, index)),
                want: Box::new(move |_| Want::Bits(word(index as usize))),
            };
            check(bench, &load, Places::All, &[vec![]], count);
            let tables = Verb::<F> {
                emit: Box::new(move |m, p| m.load_word(p[0], ContextWord::Tables, index)),
                want: Box::new(move |_| Want::Bits(!word(index as usize))),
                ..load
            };
            check(bench, &tables, Places::All, &[vec![]], count);
            // Stores the source and reads it back: NaN of a float is canonical then.
            let store = Verb::<F> {
                name: format!("store_word {index}"),
                banks: if bank == I64 { &[I64, I64] } else { &[I64, F64] },
                emit: Box::new(move |m, p| {
                    m.store_word(ContextWord::Globals, index, p[1]);
                    m.load_word(p[0], ContextWord::Globals, index);
                }),
                want: Box::new(move |v| {
                    let nan = bank == F64 && f64::from_bits(v[0]).is_nan();
                    Want::Bits(if nan { 0x7FF8_0000_0000_0000 } else { v[0] })
                }),
            };
            let values = [0, 1, u64::MAX, 0x7FF0_0000_0000_0001, 0xFFF8_0000_0000_0000, 1.5_f64.to_bits(), 1 << 63];
            check(bench, &store, Places::All, &values.map(|value| vec![value]), count);
            globals[index as usize] = word(index as usize);
        }
    }
    assert!(globals.iter().enumerate().all(|(index, &found)| found == word(index)), "other globals are untouched");
    for start in [0_u32, 1, 511, 512, 4096, 70_000, 2_097_151, 2_097_152, 2_100_000] {
        for len in [0_u32, 1, 2, 3, 4096, 5000, 70_000] {
            let verb = Verb::<F> {
                name: format!("load_element {start} {len}"),
                banks: &[I64, I64],
                emit: Box::new(move |m, p| {
                    m.load_element(int(p[0]), ContextWord::Tables, start, len, int(p[1]), SITE);
                }),
                want: Box::new(move |v| match v[0] < len.into() {
                    true => Want::Bits(!word(start as usize + v[0] as usize)),
                    false => Want::Trap(TrapKind::OutOfBounds),
                }),
            };
            let len = u64::from(len);
            let values = [0, 1, 2, len.wrapping_sub(1), len, len + 1, u64::MAX, 1 << 63, 1 << 32, 1 << 61];
            check(bench, &verb, Places::All, &values.map(|value| vec![value]), count);
        }
    }
}

/// Every trap, at every kind of site.
pub fn traps<F: Family>(bench: &mut Bench, count: &mut Count) {
    let payloads = [Trap::user(0), Trap::user(65_535), Trap::host(0), Trap::host(u32::MAX), Trap::host(0x8000_0000)];
    let plain = TrapKind::ALL.into_iter().map(|(kind, _)| Trap::new(kind));
    for trap in plain.chain(payloads) {
        for site in [Site::new(0, 0), Site::new(0, 65_535), Site::new(65_535, 65_535), SITE] {
            bench.clear();
            let code = around::<F>(bench, false, &mut |masm| masm.trap(trap, site));
            bench.publish();
            assert_eq!(bench.run(code), 1);
            assert_eq!((bench.context.trap, bench.context.trap_site), (trap.encode(), site.0.into()));
            count.runs += 1;
        }
    }
}

/// Charges and refunds: what is left, and where it does not suffice. A charge that fails leaves all as it was.
pub fn fuel<F: Family>(bench: &mut Bench, count: &mut Count) {
    let amounts: [u32; 9] = [1, 2, 127, 128, 4095, 4096, 4097, 65_535, 65_536];
    for leaf in [false, true] {
        for units in amounts {
            bench.clear();
            let charge = around::<F>(bench, leaf, &mut |masm| masm.charge(units, SITE));
            let refund = around::<F>(bench, leaf, &mut |masm| masm.refund(units));
            bench.publish();
            let units = u64::from(units);
            for fuel in [0, units - 1, units, units + 1, 1 << 32, 1 << 63, (1 << 63) + units - 1, u64::MAX] {
                set_canaries::<F>(bench);
                (bench.context.fuel, bench.context.trap) = (fuel, 0);
                if fuel < units {
                    assert_eq!(bench.run(charge), 1, "{units} of {fuel}");
                    let trap = Trap::new(TrapKind::OutOfFuel).encode();
                    assert_eq!((bench.context.trap, bench.context.trap_site), (trap, SITE.0.into()));
                    assert_eq!(bench.context.fuel, fuel, "{units} of {fuel}");
                } else {
                    assert_eq!(bench.run(charge), 0, "{units} of {fuel}");
                    assert_eq!((bench.context.fuel, bench.context.trap), (fuel - units, 0), "{units} of {fuel}");
                    check_canaries::<F>(bench, "charge", |_| true);
                    set_canaries::<F>(bench);
                    assert_eq!(bench.run(refund), 0);
                    assert_eq!(bench.context.fuel, fuel, "{units} back");
                    check_canaries::<F>(bench, "refund", |_| true);
                }
                count.runs += 2;
            }
        }
    }
}

/// More rare halves than the list holds, so that they are written out among the hot code.
pub fn many_cold<F: Family>(bench: &mut Bench) {
    bench.clear();
    let (d, n) = (Int::Slot(slot_offset(1)), 500);
    let code = around::<F>(bench, true, &mut |masm| {
        for word in 0..n {
            masm.relieve_cold();
            let y = Src::At(Int::Slot(slot_offset(0)));
            masm.divide(opstamp::masm::DivOp::Div, d, d, y, Site::new(FUNC, word));
            masm.int(opstamp::masm::IntOp::Sub, Int::Slot(slot_offset(0)), Int::Slot(slot_offset(0)), Src::Imm(1));
        }
    });
    bench.publish();
    for divisor in [0_u64, 1, 47, 48, 49, 200, 499] {
        bench.set_slot(0, divisor);
        assert_eq!(bench.run(code), 1);
        assert_eq!(bench.context.trap, Trap::new(TrapKind::DivisionByZero).encode());
        assert_eq!(bench.context.trap_site, Site::new(FUNC, divisor as u16).0.into());
    }
    bench.set_slot(0, 1000);
    assert_eq!(bench.run(code), 0);
}
