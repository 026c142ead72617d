//! Loops that poll once in many rounds: they go around as often as the same loop in Rust, and are asked to stop often
//! enough, wherever in the range of 64 bits they count and by whatever step.

use crate::bench::{Bench, Code, FUNC, Family, IN, NEAR, OUT, SITE};
use crate::cases::Count;
use crate::services::{ANSWER, take_noted};
use opstamp::asm::Label;
use opstamp::masm::{Any, Calls, Flow, Int, IntOp, IntReg, Ints, Masm, Pace, PaceStep, ROUNDS, Saved, Src};
use opstamp::runtime::context::POLL;
use opstamp::runtime::frame::slot_offset;
use opstamp::runtime::trap::{Site, Trap, TrapKind};
use std::cell::RefCell;
use std::rc::Rc;

/// Rounds that are followed in Rust.
const MOST: u64 = 10_000;
/// The poll that ends a run.
const LAST: usize = 5;

/// What a loop counts with: its index at first, its bound and its step.
type Values = [i64; 3];

/// Where all rounds end, or after [`MOST`]; the index and the number of rounds.
fn follow([mut index, bound, step]: Values, down: bool) -> (i64, u64) {
    let mut rounds = 0;
    loop {
        rounds += 1;
        index = index.wrapping_add(step);
        let goes_on = if down { index > bound } else { index < bound };
        if !goes_on || rounds == MOST {
            return (index, rounds);
        }
    }
}

/// A loop whose rounds are counted.
fn emit<F: Family>(bench: &mut Bench, step: PaceStep, literal: Option<i64>) -> Code {
    let reg = |index: usize| IntReg(<F::Masm<'_> as Masm<'_>>::INT_POOL[index].number);
    let [index, bound, by, rounds, limit] = [0, 1, 2, 3, 4].map(reg);
    bench.emit::<F>(&mut |masm| {
        masm.prologue(true, SITE, &Saved::default());
        for (slot, reg) in (IN..).zip([index, bound, by, rounds]) {
            masm.load(Any::Int(Int::Reg(reg)), slot_offset(slot));
        }
        let step = if let PaceStep::By(_) = step { PaceStep::By(by) } else { step };
        let pace = Pace { index, bound: literal.map_or(Src::At(Int::Reg(bound)), Src::Imm), step };
        let site = Site::new(FUNC, 7);
        masm.loop_head(site);
        let head = masm.pos();
        masm.set_limit(limit, &pace);
        masm.bind(&mut Label::new());
        let body = masm.pos();
        masm.int(IntOp::Add, Int::Reg(rounds), Int::Reg(rounds), Src::Imm(1));
        masm.store(slot_offset(NEAR), Any::Int(Int::Reg(rounds)));
        masm.int(IntOp::Add, Int::Reg(index), Int::Reg(index), Src::At(Int::Reg(by)));
        masm.paced_branch(limit, &pace, body, head, site);
        for (slot, reg) in (OUT..).zip([index, rounds]) {
            masm.store(slot_offset(slot), Any::Int(Int::Reg(reg)));
        }
        masm.epilogue(&Saved::default());
    })
}

pub fn check<F: Family>(bench: &mut Bench, count: &mut Count) {
    if !<F::Masm<'_> as Masm<'_>>::PACES {
        return;
    }
    let rounds = i64::from(ROUNDS);
    let mut near: Vec<i64> = Vec::new();
    for place in [i64::MIN, i64::MIN + rounds, -rounds, 0, rounds, 1 << 40, i64::MAX - rounds, i64::MAX] {
        near.extend([-5000, -2, -1, 0, 1, 2, 3000].map(|by| place.wrapping_add(by)));
    }
    let mut steps = vec![0, -1, 2, 3, 1000, 1023, 1024, 1025, -1024, i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1];
    steps.extend(
        [40, 52, 53, 54, 61, 62].iter().flat_map(|&bit| [(1_i64 << bit) - 1, 1 << bit, -1 << bit, 3 << (bit - 1)]),
    );
    let literals = [None, Some(0), Some(-5), Some(1), Some(32_767), Some(-32_768), Some(i64::MAX), Some(i64::MIN)];
    let (mut ended, mut stopped) = (0, 0);
    for step in [PaceStep::Up, PaceStep::Down, PaceStep::By(IntReg(0))] {
        let down = matches!(step, PaceStep::Down);
        for literal in literals {
            bench.clear();
            let code = emit::<F>(bench, step, literal);
            bench.publish();
            let bounds = literal.map_or(near.clone(), |literal| vec![literal]);
            let steps = match step {
                PaceStep::Up => vec![1],
                PaceStep::Down => vec![-1],
                PaceStep::By(_) => steps.clone(),
            };
            let mut cases: Vec<Values> = Vec::new();
            for &index in &near {
                for &bound in &bounds {
                    cases.extend(steps.iter().map(|&by| [index, bound, by]));
                }
            }
            // Some of each, where they are many: the number of steps is no multiple of the stride.
            let stride = if cases.len() > 20_000 { 31 } else { 1 };
            assert!(!steps.len().is_multiple_of(31));
            for values in cases.into_iter().step_by(stride) {
                let (end, all) = follow(values, down);
                for asked in [false, true] {
                    // Without a poll it would not end.
                    if !asked && all == MOST {
                        continue;
                    }
                    run(bench, code, values, asked);
                    let polls = take_polls();
                    let what = format!("{step:?} {literal:?} {values:?}, polls after rounds {polls:?}");
                    // It is asked often enough, and nowhere but before a round that is to come.
                    for pair in polls.windows(2) {
                        assert!(pair[1] - pair[0] <= 2 * u64::from(ROUNDS), "{what}");
                    }
                    assert!(asked || polls.is_empty(), "{what}");
                    if polls.len() > LAST {
                        assert!(all == MOST || polls[LAST] < all, "{what}");
                        stopped += 1;
                    } else {
                        let found = [0, 1].map(|slot| bench.slot(u32::from(OUT) + slot));
                        assert_eq!(found, [end as u64, all], "{what}");
                        assert!(polls.last().is_none_or(|&last| all - last <= 2 * u64::from(ROUNDS)), "{what}");
                        ended += 1;
                    }
                    count.runs += 1;
                }
            }
        }
    }
    assert!(ended > 10_000 && stopped > 5_000, "{ended} ended, {stopped} were stopped");
}

thread_local! {
    /// The rounds after which the last run polled.
    static POLLS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

fn take_polls() -> Vec<u64> {
    POLLS.with_borrow_mut(std::mem::take)
}

/// Runs a loop, which is asked to poll and ended by the poll behind number [`LAST`], or not asked.
fn run(bench: &mut Bench, code: Code, values: Values, asked: bool) {
    for (slot, value) in (u32::from(IN)..).zip(values.into_iter().chain([0])) {
        bench.set_slot(slot, value as u64);
    }
    bench.set_slot(NEAR.into(), 0);
    let limit = bench.context.native_limit;
    if asked {
        bench.set_guard(POLL);
    }
    let polls = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&polls);
    ANSWER.set(Some(Box::new(move |context, noted| {
        // SAFETY: the frame is the bench's stack, which has the slot.
        let rounds = unsafe { (noted.frame as *const u64).wrapping_add(1 + usize::from(NEAR)).read() };
        seen.borrow_mut().push(rounds);
        assert_eq!((noted.service, noted.site), ("guard", Site::new(FUNC, 7).0));
        let last = seen.borrow().len() > LAST;
        if last {
            // SAFETY: the stub passes the running context, to which no reference exists.
            unsafe {
                (*context).trap = Trap::new(TrapKind::Interrupted).encode();
                (*context).trap_site = noted.site.into();
            }
        }
        u64::from(last)
    })));
    let status = bench.run(code);
    ANSWER.set(None);
    take_noted();
    if asked {
        bench.set_guard(limit);
    }
    let polls = polls.take();
    assert_eq!(status, u64::from(polls.len() > LAST), "{values:?}");
    POLLS.set(polls);
}
