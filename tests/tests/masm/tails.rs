//! Verbs behind one another, which a backend may do together: every pair that one instruction could do, in every
//! arrangement of a few registers and slots, also with a label between; checks of the VM stack that others make needless;
//! accesses to arrays whose checks may be done at once.

use crate::bench::{Bench, Code, FUNC, Family, IN, NEAR, OUT, SITE, all_saved, load_canaries};
use crate::cases::Count;
#[cfg(feature = "heap")]
use crate::services::ANSWER;
use crate::services::take_noted;
use opstamp::asm::Label;
use opstamp::masm::{
    Any, Callee, Calls, Cond, EarlyReturn, Float, FloatReg, Flow, Int, IntOp, IntReg, Masm, Saved, Src,
};
use opstamp::runtime::frame::slot_offset;
use opstamp::runtime::trap::{Site, Trap, TrapKind};

/// Random numbers: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[cfg(feature = "heap")]
struct Random(u64);

#[cfg(feature = "heap")]
impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }
}

/// An integer operation in Rust.
fn compute(op: IntOp, x: u64, y: u64) -> u64 {
    match op {
        IntOp::Add => x.wrapping_add(y),
        IntOp::Sub => x.wrapping_sub(y),
        IntOp::Mul => x.wrapping_mul(y),
        IntOp::And => x & y,
        IntOp::Or => x | y,
        IntOp::Xor => x ^ y,
        IntOp::Shl => x << (y & 63),
        IntOp::Shr => (x as i64 >> (y & 63)) as u64,
        IntOp::Ushr => x >> (y & 63),
        IntOp::Rotl => x.rotate_left(y as u32 & 63),
        IntOp::Min => (x as i64).min(y as i64) as u64,
        IntOp::Max => (x as i64).max(y as i64) as u64,
    }
}

/// The first verb of a pair, with its second source unless that is an operand.
const FIRST: [(IntOp, Option<i64>); 9] = [
    (IntOp::Shl, Some(3)),
    (IntOp::Shr, Some(63)),
    (IntOp::Ushr, Some(33)),
    (IntOp::Rotl, Some(7)),
    (IntOp::Rotl, Some(64)),
    (IntOp::Mul, Some(16)),
    (IntOp::Mul, Some(10)),
    (IntOp::Mul, None),
    (IntOp::Add, Some(-5)),
];
/// The second.
const SECOND: [IntOp; 7] = [IntOp::Add, IntOp::Sub, IntOp::And, IntOp::Or, IntOp::Xor, IntOp::Mul, IntOp::Max];

/// Pairs of integer verbs.
pub fn pairs<F: Family>(bench: &mut Bench, count: &mut Count) {
    let values = [0x8123_4567_89AB_CDEF_u64, 0xFEDC_BA98_7654_3211, 0x0F1E_2D3C_4B5A_6978];
    let regs: Vec<Int> =
        <F::Masm<'_> as Masm<'_>>::INT_POOL.iter().take(3).map(|reg| Int::Reg(IntReg(reg.number))).collect();
    // All three in registers, or one of them in the frame.
    for in_frame in [None, Some(0), Some(1), Some(2)] {
        let place = |index: usize| {
            if in_frame == Some(index) { Int::Slot(slot_offset(NEAR + index as u16)) } else { regs[index] }
        };
        for (first, by) in FIRST {
            bench.clear();
            let mut all: Vec<(Code, [u64; 4], String)> = Vec::new();
            for arrangement in 0..81 {
                // The first verb writes the last of the three.
                let [x1, d2, x2, y2] = [arrangement % 3, arrangement / 3 % 3, arrangement / 9 % 3, arrangement / 27];
                for second in SECOND {
                    for label in [false, true] {
                        let code = bench.emit::<F>(&mut |masm| {
                            masm.prologue(true, SITE, &Saved::default());
                            for index in 0..3 {
                                masm.load(Any::Int(place(index)), slot_offset(IN + index as u16));
                            }
                            let y1 = by.map_or(Src::At(place(1)), Src::Imm);
                            opstamp::masm::Ints::int(masm, first, place(2), place(x1), y1);
                            if label {
                                masm.bind(&mut Label::new());
                            }
                            opstamp::masm::Ints::int(masm, second, place(d2), place(x2), Src::At(place(y2)));
                            for index in 0..3 {
                                masm.store(slot_offset(OUT + index as u16), Any::Int(place(index)));
                            }
                            // Once more, as the function's result.
                            opstamp::masm::Ints::int(masm, first, place(2), place(x1), y1);
                            masm.result(Any::Int(place(2)));
                            masm.epilogue(&Saved::default());
                        });
                        let mut now = values;
                        now[2] = compute(first, now[x1], by.map_or(now[1], |by| by as u64));
                        now[d2] = compute(second, now[x2], now[y2]);
                        let result = compute(first, now[x1], by.map_or(now[1], |by| by as u64));
                        let what = format!("{first:?} {by:?} {second:?} {:?}, label {label}", [x1, d2, x2, y2]);
                        all.push((code, [now[0], now[1], now[2], result], what));
                    }
                }
            }
            bench.publish();
            for (code, want, what) in all {
                for (slot, value) in (IN..).zip(values) {
                    bench.set_slot(slot.into(), value);
                }
                assert_eq!(bench.run(code), 0);
                let found = [0, 1, 2].map(|index| bench.slot(u32::from(OUT) + index));
                assert_eq!(
                    (found, bench.context.result),
                    ([want[0], want[1], want[2]], want[3]),
                    "{what}, {in_frame:?}"
                );
                count.runs += 1;
            }
        }
    }
}

/// A value that a branch, a store, a sum or the end of the function finds where the verb before has left it.
pub fn forwarded<F: Family>(bench: &mut Bench, count: &mut Count) {
    let slots = [0, 1].map(|index| Int::Slot(slot_offset(NEAR + index)));
    let [from, other] = slots;
    let sub = |masm: &mut F::Masm<'_>, d, x| opstamp::masm::Ints::int(masm, IntOp::Sub, d, x, Src::Imm(7));
    type Body<'b, F> = &'b dyn Fn(&mut <F as Family>::Masm<'_>);
    let bodies: [(Body<'_, F>, u64); 7] = [
        (
            &|m| {
                sub(m, other, from);
                m.store(slot_offset(NEAR + 2), Any::Int(other));
            },
            93,
        ),
        (
            &|m| {
                m.branch(Cond::Lt, from, Src::Imm(5), &mut Label::bound_at(0));
                sub(m, other, from);
            },
            93,
        ),
        (
            &|m| {
                m.branch(Cond::Eq, from, Src::At(other), &mut Label::bound_at(0));
                sub(m, other, from);
            },
            93,
        ),
        (
            &|m| {
                m.branch(Cond::Eq, from, Src::Imm(0), &mut Label::bound_at(0));
                sub(m, other, from);
            },
            93,
        ),
        (
            &|m| {
                sub(m, other, from);
                opstamp::masm::Ints::int(m, IntOp::Max, other, from, Src::At(other));
            },
            100,
        ),
        (
            &|m| {
                sub(m, other, from);
                opstamp::masm::Ints::int(m, IntOp::Add, other, from, Src::At(other));
            },
            193,
        ),
        (
            &|m| {
                sub(m, other, from);
                opstamp::masm::Ints::divide(m, opstamp::masm::DivOp::Div, other, from, Src::At(other), SITE);
            },
            1,
        ),
    ];
    for (body, want) in bodies {
        bench.clear();
        let code = bench.emit::<F>(&mut |masm| {
            masm.prologue(true, SITE, &Saved::default());
            masm.load(Any::Int(from), slot_offset(IN));
            masm.load(Any::Int(other), slot_offset(IN + 1));
            body(masm);
            masm.result(Any::Int(other));
            masm.epilogue(&Saved::default());
        });
        bench.publish();
        bench.set_slot(IN.into(), 100);
        bench.set_slot(u32::from(IN) + 1, 55);
        assert_eq!(bench.run(code), 0);
        assert_eq!((bench.context.result, bench.slot(u32::from(NEAR) + 1)), (want, want));
        count.runs += 1;
    }
}

/// A function that returns before it has saved anything, or saves and goes on.
pub fn early<F: Family>(bench: &mut Bench, count: &mut Count) {
    let saved = all_saved::<F>();
    let [x, other] = [NEAR, NEAR + 1].map(|slot| Int::Slot(slot_offset(slot)));
    for leaf in [false, true] {
        for (cond, y) in [
            (Cond::Lt, Src::Imm(5)),
            (Cond::Eq, Src::Imm(0)),
            (Cond::Ne, Src::Imm(0)),
            (Cond::Ge, Src::Imm(0)),
            (Cond::Ugt, Src::At(other)),
        ] {
            for value in [None, Some(x), Some(other)] {
                bench.clear();
                let inner = bench.emit::<F>(&mut |masm| {
                    let early = EarlyReturn { cond, x, y, value: value.map(Any::Int) };
                    masm.prologue_or_return(leaf, SITE, &saved, &early);
                    load_canaries::<F>(masm);
                    opstamp::masm::Ints::int(masm, IntOp::Add, other, x, Src::Imm(1000));
                    masm.result(Any::Int(other));
                    masm.epilogue(&saved);
                });
                let mut entry = [inner.address; 8];
                bench.context.entries = entry.as_mut_ptr() as u64;
                // The caller finds what callees keep as it was.
                let kept: Vec<Any> = pool_kept::<F>();
                let outer = bench.emit::<F>(&mut |masm| {
                    masm.prologue(false, SITE, &saved);
                    for (slot, &reg) in (IN..).zip(&kept) {
                        masm.load(reg, slot_offset(slot % 8));
                    }
                    masm.call(Callee::Entry { at: 0, func: 0 }, 0, SITE);
                    masm.take_result(Any::Int(Int::Slot(slot_offset(NEAR + 2))));
                    for (slot, &reg) in (NEAR + 10..).zip(&kept) {
                        masm.store(slot_offset(slot), reg);
                    }
                    masm.epilogue(&saved);
                });
                bench.publish();
                for at in [-1_i64, 0, 4, 5, 77] {
                    let near = u32::from(NEAR);
                    (0..8).for_each(|slot| bench.set_slot(slot, 0x4000_1111 + u64::from(slot)));
                    bench.set_slot(near, at as u64);
                    bench.set_slot(near + 1, 50);
                    assert_eq!(bench.run(outer), 0);
                    let with = if let Src::Imm(imm) = y { imm } else { 50 };
                    let holds = match cond {
                        Cond::Lt => at < with,
                        Cond::Eq => at == with,
                        Cond::Ne => at != with,
                        Cond::Ge => at >= with,
                        _ => at as u64 > with as u64,
                    };
                    let found = bench.slot(near + 2);
                    match value {
                        _ if !holds => assert_eq!(found, at.wrapping_add(1000) as u64, "{cond:?} {y:?} {value:?}"),
                        Some(place) => assert_eq!(found, if place == x { at as u64 } else { 50 }, "{cond:?} {y:?}"),
                        None => {}
                    }
                    for index in 0..kept.len() as u32 {
                        assert_eq!(bench.slot(near + 10 + index), 0x4000_1111 + u64::from(index % 8), "{cond:?} {y:?}");
                    }
                    count.runs += 1;
                }
            }
        }
    }
}

/// The registers of the pools that callees keep.
fn pool_kept<F: Family>() -> Vec<Any> {
    let ints = <F::Masm<'_> as Masm<'_>>::INT_POOL.iter().filter(|reg| reg.callee_saved);
    let floats = <F::Masm<'_> as Masm<'_>>::FLOAT_POOL.iter().filter(|reg| reg.callee_saved);
    let ints = ints.map(|reg| Any::Int(Int::Reg(IntReg(reg.number))));
    ints.chain(floats.map(|reg| Any::Float(Float::Reg(FloatReg(reg.number))))).collect()
}

/// Checks of the VM stack: one that fits in another before it, one that is larger, and one behind a label that is reached
/// around the first.
pub fn stack<F: Family>(bench: &mut Bench, count: &mut Count) {
    let [near, far, large] = [50, 500, 600].map(slot_offset);
    let sites = [1, 2].map(|word| Site::new(FUNC, word));
    bench.clear();
    let pairs = [(near, near), (far, near), (near, far), (far, large), (large, near)];
    let mut codes: Vec<Code> = Vec::new();
    for around in [false, true] {
        for (first, second) in pairs {
            codes.push(bench.emit::<F>(&mut |masm| {
                masm.prologue(true, SITE, &Saved::default());
                let mut label = Label::new();
                if around {
                    masm.jump(&mut label);
                }
                masm.check_stack(first, sites[0]);
                if around {
                    masm.bind(&mut label);
                }
                masm.check_stack(second, sites[1]);
                masm.epilogue(&Saved::default());
            }));
        }
    }
    bench.publish();
    let end = bench.context.stack_end;
    let start = bench.stack.as_ptr() as u64;
    for room in [near - 8, near, far - 8, far, large - 8, large, 2 * large] {
        bench.context.stack_end = start + u64::from(room);
        for (index, &code) in codes.iter().enumerate() {
            let (around, (first, second)) = (index >= pairs.len(), pairs[index % pairs.len()]);
            let site = match () {
                () if !around && first > room => Some(sites[0]),
                () if second > room => Some(sites[1]),
                () => None,
            };
            assert_eq!(bench.run(code), u64::from(site.is_some()), "{room} {index}");
            if let Some(site) = site {
                let trap = Trap::new(TrapKind::StackOverflow).encode();
                assert_eq!((bench.context.trap, bench.context.trap_site), (trap, site.0.into()));
            }
            count.runs += 1;
        }
    }
    bench.context.stack_end = end;
    take_noted();
}

/// An access of [`accesses`].
#[cfg(feature = "heap")]
#[derive(Clone, Copy, Debug)]
enum Access {
    /// Of an array, at the index in an integer register, to or from an integer or float register.
    Get {
        array: usize,
        index: usize,
        to: usize,
    },
    Set {
        array: usize,
        index: usize,
        from: usize,
    },
    /// The sum of two float registers.
    Sum {
        d: usize,
        x: usize,
        y: usize,
    },
}

/// Integer registers, float registers behind them, and arrays.
#[cfg(feature = "heap")]
const INTS: usize = 4;
#[cfg(feature = "heap")]
const FLOATS: usize = 2;
#[cfg(feature = "heap")]
const ARRAYS: usize = 2;

/// Random runs of accesses to arrays whose payloads and lengths are pinned, with sums of floats between, in a function: they
/// find and leave what the same does in Rust, and the first that is out of bounds ends them, with all before it done.
#[cfg(feature = "heap")]
pub fn accesses<F: Family>(bench: &mut Bench, count: &mut Count) {
    use opstamp::masm::{Element, FloatOp, Floats, Object, Objects, Slow};
    type M<'m, F> = <F as Family>::Masm<'m>;
    let mut random = Random(7);
    let number = |index: usize| <M<'_, F> as Masm<'_>>::INT_POOL[index].number;
    let reg = |index: usize| {
        if index < INTS {
            Any::Int(Int::Reg(IntReg(number(index))))
        } else {
            Any::Float(Float::Reg(FloatReg(<M<'_, F> as Masm<'_>>::FLOAT_POOL[index - INTS].number)))
        }
    };
    let float = |index: usize| match reg(index) {
        Any::Float(place) => place,
        Any::Int(_) => unreachable!("an integer"),
    };
    let view = |array: usize| {
        let at = INTS + 2 * array;
        Object::View { payload: IntReg(number(at)), len: IntReg(number(at + 1)) }
    };
    let home = |reg: usize| NEAR + reg as u16;
    let cell = |array: usize| NEAR + 20 + array as u16;
    let mut trapped = 0;
    for _ in 0..3000 {
        let len = 1 + random.below(7);
        let lens = [random.below(4), random.below(4)];
        let values: Vec<u64> = (0..INTS + FLOATS)
            .map(|reg| if reg < INTS { random.below(3) as u64 } else { (random.below(9) as f64).to_bits() })
            .collect();
        let script: Vec<Access> = (0..len)
            .map(|_| {
                let (array, index, other) = (random.below(ARRAYS), random.below(INTS), random.below(INTS + FLOATS));
                let [d, x, y] = [(); 3].map(|()| INTS + random.below(FLOATS));
                match random.below(3) {
                    0 => Access::Get { array, index, to: other },
                    1 => Access::Set { array, index, from: other },
                    _ => Access::Sum { d, x, y },
                }
            })
            .collect();
        // What Rust makes of it.
        let fresh: Vec<Vec<u64>> =
            lens.iter().map(|&len| (0..4).map(|at| if at < len { at as u64 } else { 99 }).collect()).collect();
        let (mut regs, mut arrays, mut out) = (values.clone(), fresh.clone(), None);
        for (at, &access) in script.iter().enumerate() {
            match access {
                Access::Get { array, index, .. } | Access::Set { array, index, .. }
                    if regs[index] >= lens[array] as u64 =>
                {
                    out = Some(at);
                    break;
                }
                Access::Get { array, index, to } => regs[to] = arrays[array][regs[index] as usize],
                Access::Set { array, index, from } => {
                    let at = regs[index] as usize;
                    arrays[array][at] = regs[from];
                }
                Access::Sum { d, x, y } => regs[d] = (f64::from_bits(regs[x]) + f64::from_bits(regs[y])).to_bits(),
            }
        }
        bench.clear();
        let saved = all_saved::<F>();
        let code = bench.emit::<F>(&mut |masm| {
            masm.prologue(len.is_multiple_of(2), SITE, &saved);
            for index in 0..INTS + FLOATS {
                masm.load(reg(index), slot_offset(IN + index as u16));
            }
            for array in 0..ARRAYS {
                if let Object::View { payload, len } = view(array) {
                    masm.view(payload, len, slot_offset(cell(array)));
                }
            }
            for (at, &access) in script.iter().enumerate() {
                let mut slow = Slow::new(Site::new(FUNC, at as u16));
                let int = |index: usize| Int::Reg(IntReg(number(index)));
                match access {
                    Access::Get { array, index, to } => {
                        assert!(slow.add(reg(index), home(index), true, to == index));
                        assert!(to == index || slow.add(reg(to), home(to), false, true));
                        masm.get_element(Element::Word, reg(to), view(array), int(index), Some(slow));
                    }
                    Access::Set { array, index, from } => {
                        assert!(slow.add(reg(index), home(index), true, false));
                        assert!(slow.add(reg(from), home(from), true, false));
                        masm.set_element(Element::Word, view(array), int(index), reg(from), Some(slow));
                    }
                    Access::Sum { d, x, y } => masm.float(FloatOp::Add, float(d), float(x), float(y)),
                }
            }
            for index in 0..INTS + FLOATS {
                masm.store(slot_offset(OUT + index as u16), reg(index));
            }
            masm.epilogue(&saved);
        });
        bench.publish();
        // A record for each array, the first for null, and its payload; the service does what it is asked for.
        let mut payloads = fresh.clone();
        let mut records = [[0_u64; 2]; 1 + ARRAYS];
        for (array, payload) in payloads.iter_mut().enumerate() {
            records[ARRAYS - 1 - array] = [payload.as_mut_ptr() as u64, lens[array] as u64 | 0xABCD << 32];
            bench.set_slot(cell(array).into(), 0xFFFF << 48 | 8 << 44 | (array as u64 + 1));
        }
        bench.context.records = &raw const records[ARRAYS] as u64;
        for (slot, &value) in (u32::from(IN)..).zip(&values) {
            bench.set_slot(slot, value);
        }
        let places: Vec<*mut u64> = payloads.iter_mut().map(|payload| payload.as_mut_ptr()).collect();
        let doing = script.clone();
        let answer = move |context: *mut opstamp::runtime::context::Context, noted: crate::services::Noted| {
            let slot = |reg: usize| (noted.frame as *mut u64).wrapping_add(1 + usize::from(home(reg)));
            let (array, index) = match doing[usize::from(Site(noted.site).word())] {
                Access::Get { array, index, .. } | Access::Set { array, index, .. } => (array, index),
                Access::Sum { .. } => unreachable!("no service"),
            };
            // SAFETY: the frame is the bench's stack, which has the slots, and the payloads have 4 words.
            unsafe {
                let at = slot(index).read();
                if at >= lens[array] as u64 {
                    (*context).trap = Trap::new(TrapKind::OutOfBounds).encode();
                    (*context).trap_site = noted.site.into();
                    return 1;
                }
                let element = places[array].add(at as usize);
                match doing[usize::from(Site(noted.site).word())] {
                    Access::Get { to, .. } => slot(to).write(element.read()),
                    Access::Set { from, .. } => element.write(slot(from).read()),
                    Access::Sum { .. } => {}
                }
            }
            0
        };
        ANSWER.set(Some(Box::new(answer)));
        let what = format!("{script:?} on {values:x?}, lengths {lens:?}");
        assert_eq!(bench.run(code), u64::from(out.is_some()), "{what}");
        ANSWER.set(None);
        take_noted();
        if let Some(out) = out {
            assert_eq!(Site(bench.context.trap_site as u32).word(), out as u16, "{what}");
            trapped += 1;
        } else {
            let found: Vec<u64> = (0..regs.len() as u32).map(|index| bench.slot(u32::from(OUT) + index)).collect();
            assert_eq!(found, regs, "{what}");
        }
        assert_eq!(payloads, arrays, "{what}");
        count.runs += 1;
    }
    assert!((500..2500).contains(&trapped), "{trapped} of 3000 trapped");
}
