//! Loops that poll once in many rounds against the control-flow graph of random functions, which is known from how they were
//! made.

use super::super::plan::{Pinning, Plan, Pool};
use super::{Paced, Step};
use crate::masm::PoolReg;
use crate::vm3::{Module, text};
use std::{format, string::String, vec, vec::Vec};

/// Random numbers: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) % below as u64) as usize
    }
}

/// An op of one word: what it says, the register that it writes, where it goes beside the next op, and whether it goes
/// there.
struct Line {
    text: String,
    writes: Option<usize>,
    targets: Vec<usize>,
    falls: bool,
    calls: bool,
}

/// Registers: parameters `r0` to `r2`.
const REGS: usize = 3;

fn generate(random: &mut Random, len: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for at in 0..len {
        let [x, y] = [(); 2].map(|()| random.next(REGS));
        let near = (at + random.next(9)).saturating_sub(6).min(len - 1);
        let plain = |text, writes| Line { text, writes, targets: vec![], falls: true, calls: false };
        let goes = |text, target, falls| Line { text, writes: None, targets: vec![target], falls, calls: false };
        lines.push(match random.next(24) {
            _ if at + 1 == len => Line { falls: false, ..plain(String::from("ret r0"), None) },
            0 => Line { falls: false, ..plain(format!("ret r{x}"), None) },
            1 => Line { calls: true, ..plain(String::from("call g()"), None) },
            2 => goes(format!("jump l{near}"), near, false),
            3..5 => goes(format!("br.i64.ne r{x}, r{y}, l{near}"), near, true),
            5..8 => goes(format!("br.i64.lt r{x}, r{y}, l{near}"), near, true),
            8 => goes(format!("br.i64.lt r{x}, 100, l{near}"), near, true),
            9 => goes(format!("br.i64.gt r{x}, r{y}, l{near}"), near, true),
            10 => goes(format!("br.i64.gt r{x}, -7, l{near}"), near, true),
            11..14 => plain(format!("i64.add r{x}, r{x}, 1"), Some(x)),
            14 => plain(format!("i64.sub r{x}, r{x}, 1"), Some(x)),
            15..17 => plain(format!("i64.add r{x}, r{x}, r{y}"), Some(x)),
            17 => plain(format!("i64.add r{x}, r{y}, 1"), Some(x)),
            18 => plain(format!("i64.add r{x}, r{x}, 2"), Some(x)),
            _ => plain(String::from("nop"), None),
        });
    }
    lines
}

/// Which lines control comes to from line `from` without a step into line `not`.
fn reach(lines: &[Line], from: usize, not: usize) -> Vec<bool> {
    let (mut seen, mut next) = (vec![false; lines.len()], vec![from]);
    while let Some(at) = next.pop() {
        let falls = lines[at].falls.then_some(at + 1);
        for to in lines[at].targets.iter().copied().chain(falls) {
            if to != not && !std::mem::replace(&mut seen[to], true) {
                next.push(to);
            }
        }
    }
    seen
}

/// Checks all that the loop has to be.
fn check(lines: &[Line], paced: &Paced, source: &str) {
    let (head, back) = (usize::from(paced.head), usize::from(paced.back));
    let inside = head..=back;
    for (at, line) in lines.iter().enumerate() {
        for &target in line.targets.iter().filter(|target| inside.contains(target)) {
            if inside.contains(&at) {
                assert!(target > at || (at, target) == (back, head), "another loop inside at {at}\n{source}");
            } else {
                assert_eq!(target, head, "{at} goes into the loop\n{source}");
            }
        }
    }
    assert!(inside.clone().all(|at| !lines[at].calls), "a call\n{source}");
    let writes = |slot: u16| inside.clone().filter(|&at| lines[at].writes == Some(slot.into())).collect::<Vec<_>>();
    let steps = writes(paced.index);
    assert_eq!(steps.len(), 1, "steps\n{source}");
    let step = steps[0];
    // Nobody comes to the branch back from the head but by the step.
    let seen = reach(lines, head, step);
    assert!(step == head || !seen[back], "a round without a step\n{source}");
    let index = paced.index;
    let (text, condition) = match paced.step {
        Step::Up => (format!("i64.add r{index}, r{index}, 1"), "lt"),
        Step::Down => (format!("i64.sub r{index}, r{index}, 1"), "gt"),
        Step::By(slot) => {
            assert!(writes(slot).is_empty(), "the step is written\n{source}");
            (format!("i64.add r{index}, r{index}, r{slot}"), "lt")
        }
    };
    assert_eq!(lines[step].text, text, "{source}");
    assert!(lines[back].text.starts_with(&format!("br.i64.{condition} r{index}, ")), "{source}");
    if let Some(bound) = paced.bound {
        assert!(writes(bound).is_empty(), "the bound is written\n{source}");
        assert!(lines[back].text.contains(&format!(", r{bound}, ")), "{source}");
    }
    // Another loop around it: what is behind it comes back to what is before it.
    let around = (back + 1..lines.len()).any(|at| lines[at].targets.iter().any(|&target| target < head));
    assert!(!paced.nested || around, "nothing is around it\n{source}");
}

fn assemble(source: &str) -> (Vec<u64>, Vec<u64>) {
    let sizes = text::sizes(source);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words.max(1 << 12)]);
    let used = text::assemble(source, &mut words, &mut scratch, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    words.truncate(used);
    (words, scratch)
}

fn find(source: &str, regs: u32) -> Vec<Paced> {
    let (words, mut scratch) = assemble(source);
    let module = Module::verify(&words, &mut scratch).unwrap_or_else(|error| panic!("{error}\n{source}"));
    let container = module.container();
    let func = container.func(0).unwrap();
    let code = container.code(&func).unwrap();
    let pool: Vec<PoolReg> = (0..regs).map(|number| PoolReg { number, callee_saved: number >= 4 }).collect();
    let max_pinned = (usize::MAX, usize::MAX);
    let pools = (Pool::new(&pool), Pool::new(&pool));
    let pins = Pinning { pools, views: false, paces: true, max_pinned };
    let plan = Plan::new(container, &func, code, &mut scratch, &pins).unwrap();
    if let Some(limit) = plan.limit {
        assert!(plan.pinned.iter().all(|&slot| plan.place(slot).int() != crate::masm::Int::Reg(limit)), "{source}");
        assert!(limit.0 < 4 || plan.saved.ints >> limit.0 & 1 != 0, "the limit's register is not saved\n{source}");
    }
    assert_eq!(plan.limit.is_some(), !plan.paced.is_empty());
    plan.paced.to_vec()
}

#[test]
fn loops_are_what_they_must_be() {
    let mut random = Random(3);
    let (mut found, mut nested) = (0, 0);
    for _ in 0..100_000 {
        let len = 3 + random.next(18);
        let lines = generate(&mut random, len);
        let mut source = String::from("func f(r0: i64, r1: i64, r2: i64) -> i64\n");
        for (at, line) in lines.iter().enumerate() {
            source += &format!("l{at}: {}\n", line.text);
        }
        source += "end\nfunc g()\nret\nend\n";
        for paced in find(&source, 8) {
            check(&lines, &paced, &source);
            found += 1;
            nested += usize::from(paced.nested);
        }
    }
    // Finding none would be sound too.
    assert!(found > 2000 && nested > 50, "{found} loops, {nested} of them in others");
}

/// A function with this body, in which `n` and `s` are parameters.
fn body(text: &str) -> String {
    format!(
        "func f(n: i64, s: i64) -> i64\nlocal i: i64, t: i64\n{text}\nret t\nend\nfunc g(x: i64) -> i64\nret x\nend\n"
    )
}

#[test]
fn some_loops() {
    let loops = |text: &str| find(&body(text), 8).len();
    assert_eq!(loops("a:\ni64.xor t, t, i\ni64.add i, i, 1\nbr.i64.lt i, n, a"), 1);
    assert_eq!(loops("a:\ni64.add i, i, s\ni64.xor t, t, i\nbr.i64.lt i, n, a"), 1);
    assert_eq!(loops("a:\ni64.add i, s, i\nbr.i64.lt i, 1000, a"), 1);
    assert_eq!(loops("a:\ni64.sub i, i, 1\nbr.i64.gt i, 0, a"), 1);
    assert_eq!(loops("a:\nbr.i64.eq t, 3, b\ni64.add t, t, 5\nb:\ni64.add i, i, 1\nbr.i64.lt i, n, a"), 1);
    assert_eq!(loops("a:\ni64.add i, i, 1\nbr.i64.eq t, 3, b\nbr.i64.lt i, n, a\nb:\n"), 1);
    assert_eq!(loops("a:\ni64.add i, i, 1\nbr.i64.lt i, n, a\nb:\ni64.sub i, i, 1\nbr.i64.gt i, s, b"), 2);
    // A round without a step, two steps, a bound or a step that changes, ways in, calls, steps of another size.
    assert_eq!(loops("a:\nbr.i64.eq t, 3, b\ni64.add i, i, 1\nb:\ni64.xor t, t, i\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("a:\ni64.add i, i, 1\ni64.add i, i, 1\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("a:\ni64.add n, n, 1\ni64.add i, i, 1\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("a:\ni64.sub s, s, 1\ni64.add i, i, s\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("a:\ni64.add i, i, i\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("br.i64.lt n, s, b\na:\nnop\nb:\ni64.add i, i, 1\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("switch n, [b], a\na:\nnop\nb:\ni64.add i, i, 1\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("a:\ncall t, g(i)\ni64.add i, i, 1\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("a:\ni64.add i, i, 2\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("a:\ni64.sub i, i, 1\nbr.i64.lt i, n, a"), 0);
    assert_eq!(loops("a:\ni64.add i, i, 1\nbr.i64.gt i, n, a"), 0);
    assert_eq!(loops("a:\nbr.i64.eq t, 3, a\ni64.add i, i, 1\nbr.i64.lt i, n, a"), 0);
    // Registers for the index and the bound, none for the limit.
    let simple = body("a:\ni64.add i, i, 1\nbr.i64.lt i, n, a");
    assert_eq!([find(&simple, 2).len(), find(&simple, 3).len()], [0, 1]);
}
