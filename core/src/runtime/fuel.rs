//! Fuel: where straight runs begin and end, and what they cost.
//!
//! vm3.md charges each straight run as a whole when it starts. What begins and ends one here:
//! - A run begins at the entry of a function, at the target of a branch, and behind an op that may branch or that calls
//!   ([`Flags::BRANCHES`], [`Flags::CALLS`]).
//! - It ends before the next of these, and with an op that control never goes on behind ([`Flags::ENDS`]): what follows a
//!   `ret` or a `trap` costs nothing unless it is reached. `args` words are no ops.
//! - Only what runs other code of the guest or of the host is a call: `call`, `tail`, `host` and `fn.call`. `deopt`,
//!   `fn.new` and the ops that work on the heap are ops like others, however an engine does them.
//! - At the entry and at the head of a loop the poll comes first: a guest that is stopped there is not charged.
//!
//! The compiler has the targets of branches from its scan, and charges each run where it starts. The interpreter has no
//! memory to keep them in. It charges a *stretch*: all ops up to and with the first that branches, calls or ends, which
//! are one run or several behind one another. That comes to the same, because inside a stretch control only goes on,
//! unless the fuel does not suffice for all of it or an op inside traps. Both end the call, so then the whole function is
//! searched for targets: [`shortfall`] finds the run that cannot be paid, [`unused`] what is to be given back.
//!
//! Who leaves machine code in the midst of a run gives back what is charged for its ops that are still to come, and
//! whoever goes on charges from there. So neither engine has to know what the other has charged.

use crate::vm3::op::{Flags, OPS, Op, each_target};

/// What a word counts, by its code, and whether a stretch ends with it.
static STEPS: [u8; 256] = {
    let mut steps = [0; 256];
    let mut row = 0;
    while row < OPS.len() {
        let flags = OPS[row].flags;
        let last = flags.has(Flags::BRANCHES) || flags.has(Flags::CALLS) || flags.has(Flags::ENDS);
        let goes_on = if flags.has(Flags::ENDS) { 0 } else { GOES_ON };
        steps[OPS[row].op as usize] = UNIT | goes_on | if last { LAST } else { 0 };
        row += 1;
    }
    steps
};

/// It is an op.
const UNIT: u8 = 1;
/// A stretch ends with it.
const LAST: u8 = 2;
/// Control may go on behind it.
const GOES_ON: u8 = 4;

#[inline(always)]
fn step(word: u64) -> u8 {
    STEPS[usize::from(word as u8)]
}

/// The fuel of the stretch that starts at word `at` of a function.
pub(crate) fn stretch(words: &[u64], at: usize) -> u64 {
    let mut units = 0;
    for &word in words.iter().skip(at) {
        let step = step(word);
        units += u64::from(step & UNIT);
        if step & LAST != 0 {
            break;
        }
    }
    units
}

/// The fuel of the run that starts at word `start` of a function, where `begins` tells by its word whether a run starts.
pub(crate) fn run(words: &[u64], start: usize, begins: impl Fn(usize) -> bool) -> u32 {
    let mut units = 0;
    for (at, &word) in words.iter().enumerate().skip(start) {
        if at != start && begins(at) {
            break;
        }
        let step = step(word);
        units += u32::from(step & UNIT);
        if step & LAST != 0 {
            break;
        }
    }
    units
}

/// Calls `begins` with each word of a function at which a run begins, with some more than once.
pub(crate) fn each_run(words: &[u64], mut begins: impl FnMut(usize)) {
    begins(0);
    let mut behind = false;
    for (at, &word) in words.iter().enumerate() {
        let step = step(word);
        if step & UNIT == 0 {
            continue;
        }
        if behind {
            begins(at);
        }
        behind = step & (LAST | GOES_ON) == LAST | GOES_ON;
        if step & LAST != 0 {
            each_target(words.get(at..).unwrap_or(&[]), &mut |target| begins(target.into()));
        }
    }
}

/// The fuel of the ops in these words.
pub(crate) fn units(words: &[u64]) -> u32 {
    words.iter().map(|&word| u32::from(step(word) & UNIT)).sum()
}

/// The word behind the stretch that goes on at word `at`.
fn stretch_end(words: &[u64], at: usize) -> usize {
    let rest = words.get(at..).unwrap_or(&[]);
    at + rest.iter().position(|&word| step(word) & LAST != 0).map_or(rest.len(), |last| last + 1)
}

/// Calls `visit` with each target of a branch of the function.
fn targets(words: &[u64], mut visit: impl FnMut(usize)) {
    for (at, &word) in words.iter().enumerate() {
        if step(word) & LAST != 0 {
            each_target(words.get(at..).unwrap_or(&[]), &mut |target| visit(target.into()));
        }
    }
}

/// For a stretch at word `at` of a function that costs more than `fuel`: the word at which the first run starts that
/// cannot be paid, and what the runs before it cost. Linear in the function's length.
#[cold]
pub(crate) fn shortfall(words: &[u64], at: usize, fuel: u64) -> (usize, u32) {
    // The op before which the fuel is used up: a run that starts behind it would not have been reached.
    let mut left = fuel;
    let mut last = at;
    for (place, &word) in words.iter().enumerate().skip(at) {
        if step(word) & UNIT == 0 {
            continue;
        }
        last = place;
        let Some(less) = left.checked_sub(1) else { break };
        left = less;
    }
    let mut stop = at;
    targets(words, |target| {
        if target <= last {
            stop = stop.max(target);
        }
    });
    (stop, units(words.get(at..stop).unwrap_or(&[])))
}

/// What has been charged of a stretch for runs behind that of the op at word `at`, which has trapped. The stretch was
/// charged up to word `paid`, or to its end. Linear in the function's length.
#[cold]
pub(crate) fn unused(words: &[u64], at: usize, paid: Option<usize>) -> u32 {
    let end = paid.unwrap_or_else(|| stretch_end(words, at));
    let mut next = end;
    targets(words, |target| {
        if target > at {
            next = next.min(target);
        }
    });
    units(words.get(next..end).unwrap_or(&[]))
}

const _: () = assert!(STEPS[Op::Args as usize] == 0);
