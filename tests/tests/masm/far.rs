//! Functions whose code is larger than what the short forms of branches reach.

use crate::bench::{Bench, Code, FUNC, Family, POISON};
use crate::values::{float_holds, holds};
use opstamp::asm::{EmitError, Label};
use opstamp::masm::{Any, Calls, Cond, DivOp, Float, FloatCond, Flow, Int, Ints, Masm, Saved, Src};
use opstamp::runtime::frame::slot_offset;
use opstamp::runtime::trap::{Site, Trap, TrapKind};

/// Bytes between a branch and its target: more than 1 MiB, the reach of arm64's conditional branches.
const GAP: usize = (1 << 20) + 4096;

/// The slots of the function.
const SELECT: u16 = 0;
const X: u16 = 1;
const Y: u16 = 2;
const RESULT: u16 = 3;
const FILL: u16 = 4;

fn at(slot: u16) -> Int {
    Int::Slot(slot_offset(slot))
}

/// Code that counts how often it runs, in many small verbs, as the compiler would emit it.
fn gap<F: Family>(masm: &mut F::Masm<'_>) {
    let start = masm.pos();
    while masm.pos() - start < GAP {
        masm.relieve_cold();
        for _ in 0..64 {
            masm.int(opstamp::masm::IntOp::Add, at(FILL), at(FILL), Src::Imm(1));
        }
    }
}

type Branch<F> = Box<dyn Fn(&mut <F as Family>::Masm<'_>, &mut Label)>;
type Holds = Box<dyn Fn(u64, u64) -> bool>;

/// Every conditional branch: on two integers, on an integer and 0, on two floats.
fn branches<F: Family>() -> Vec<(String, Branch<F>, Holds)> {
    let mut all: Vec<(String, Branch<F>, Holds)> = Vec::new();
    use Cond::*;
    for cond in [Eq, Ne, Lt, Le, Gt, Ge, Ult, Ule, Ugt, Uge] {
        let emit = move |m: &mut F::Masm<'_>, label: &mut Label| m.branch(cond, at(X), Src::At(at(Y)), label);
        all.push((format!("{cond:?}"), Box::new(emit), Box::new(move |x, y| holds(cond, x, y))));
        let emit = move |m: &mut F::Masm<'_>, label: &mut Label| m.branch(cond, at(X), Src::Imm(0), label);
        all.push((format!("{cond:?} 0"), Box::new(emit), Box::new(move |x, _| holds(cond, x, 0))));
    }
    for cond in [FloatCond::Eq, FloatCond::Ne, FloatCond::Lt, FloatCond::Le, FloatCond::Gt, FloatCond::Ge] {
        let [x, y] = [X, Y].map(|slot| Float::Slot(slot_offset(slot)));
        let emit = move |m: &mut F::Masm<'_>, label: &mut Label| m.float_branch(cond, x, y, label);
        all.push((format!("float {cond:?}"), Box::new(emit), Box::new(move |x, y| float_holds(cond, x, y))));
    }
    all
}

/// A function that makes branch number SELECT / 2 backward, or forward if SELECT is odd, over a gap. RESULT is 2 for a
/// branch back, 3 for one forward, 0 for none and 4 for the default of the dispatch over SELECT, also behind the gap.
fn function<F: Family>(bench: &mut Bench, far: bool, kinds: &[(String, Branch<F>, Holds)]) -> Result<Code, EmitError> {
    bench.try_emit::<F>(4 * GAP, far, &mut |masm| {
        let (mut start, mut back, mut forward) = (Label::new(), Label::new(), Label::new());
        let (mut default, mut end) = (Label::new(), Label::new());
        masm.prologue(false, Site::new(FUNC, 1), &Saved::default());
        // Its rare half is to be written out within reach.
        masm.divide(DivOp::Div, at(RESULT), at(SELECT), Src::At(at(RESULT)), Site::new(FUNC, 2));
        masm.jump(&mut start);
        masm.bind(&mut back);
        masm.mov(at(RESULT), Src::Imm(2));
        masm.jump(&mut end);
        gap::<F>(masm);
        masm.bind(&mut start);
        let mut cases = vec![Label::new(); 2 * kinds.len()];
        masm.switch(at(SELECT), cases.len() as u32, &mut default);
        for case in &mut cases {
            masm.switch_case(case);
        }
        for (case, (_, branch, _)) in cases.chunks_mut(2).zip(kinds) {
            for (case, target) in case.iter_mut().zip([&mut back, &mut forward]) {
                masm.bind(case);
                branch(masm, target);
                masm.mov(at(RESULT), Src::Imm(0));
                masm.jump(&mut end);
            }
        }
        gap::<F>(masm);
        masm.bind(&mut forward);
        masm.mov(at(RESULT), Src::Imm(3));
        masm.jump(&mut end);
        masm.bind(&mut default);
        masm.mov(at(RESULT), Src::Imm(4));
        masm.bind(&mut end);
        masm.result(Any::Int(at(RESULT)));
        masm.epilogue(&Saved::default());
    })
}

pub fn check<F: Family>(bench: &mut Bench) {
    let kinds = branches::<F>();
    bench.clear();
    // Where the short forms do not reach they say so.
    if let Err(error) = function::<F>(bench, false, &kinds) {
        assert!(matches!(error, EmitError::BranchRange { .. }), "{error}");
    }
    bench.clear();
    let code = function::<F>(bench, true, &kinds).expect("far branches reach");
    assert!(code.len > 2 * GAP);
    bench.publish();
    let values = [0, 1, u64::MAX, 1 << 63, 1.5_f64.to_bits(), f64::NAN.to_bits(), f64::NEG_INFINITY.to_bits()];
    let mut run = |select: u64, x: u64, y: u64| {
        [select, x, y, 1, 0].into_iter().zip(0..).for_each(|(value, slot)| bench.set_slot(slot, value));
        assert_eq!(bench.run(code), 0);
        assert_eq!(bench.slot(FILL.into()), 0, "no gap is run");
        bench.slot(RESULT.into())
    };
    let mut runs = 0;
    for (number, (name, _, holds)) in (0_u64..).zip(&kinds) {
        for (x, y) in values.into_iter().flat_map(|x| values.map(|y| (x, y))) {
            for forward in [0, 1] {
                let want = if holds(x, y) { 2 + forward } else { 0 };
                assert_eq!(run(2 * number + forward, x, y), want, "branch {name}, forward {forward}, {x:#x} {y:#x}");
                runs += 1;
            }
        }
    }
    for select in [2 * kinds.len() as u64, u64::MAX, 1 << 32] {
        assert_eq!(run(select, 0, 0), 4, "the default");
    }
    bench.set_slot(RESULT.into(), 0);
    assert_eq!(bench.run(code), 1);
    assert_eq!(bench.context.trap, Trap::new(TrapKind::DivisionByZero).encode());
    assert_eq!(bench.context.trap_site, Site::new(FUNC, 2).0.into());
    println!("far: {runs} branches over {GAP} bytes agree in a function of {} bytes", code.len);
}

/// One call with more arguments than a rare half can wait for.
pub fn many_arguments<F: Family>(bench: &mut Bench) {
    const COUNT: u16 = 65_000;
    let frame = slot_offset(COUNT);
    let code = |bench: &mut Bench| {
        bench.clear();
        let code = bench.try_emit::<F>(4 << 20, false, &mut |masm| {
            masm.prologue(true, Site::new(FUNC, 1), &Saved::default());
            masm.check_stack(frame + slot_offset(COUNT), Site::new(FUNC, 2));
            for index in 0..COUNT {
                masm.store(frame + slot_offset(index), Any::Int(at(COUNT - 1 - index)));
            }
            masm.epilogue(&Saved::default());
        });
        bench.publish();
        code.expect("can be emitted")
    };
    let code = code(bench);
    for index in 0..u32::from(COUNT) {
        bench.set_slot(index, index.into());
        bench.set_slot(frame / 8 + index, POISON);
    }
    assert_eq!(bench.run(code), 0);
    for index in 0..u32::from(COUNT) {
        assert_eq!(bench.slot(frame / 8 + index), u64::from(u32::from(COUNT) - 1 - index));
    }
    let end = bench.context.stack_end;
    bench.context.stack_end = bench.stack.as_ptr() as u64 + 4096;
    assert_eq!(bench.run(code), 1);
    assert_eq!(bench.context.trap_site, Site::new(FUNC, 2).0.into());
    bench.context.stack_end = end;
    println!("far: a call with {COUNT} arguments takes {} bytes", code.len);
}
