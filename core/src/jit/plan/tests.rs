//! The plan against a dataflow analysis of random functions: which values live across a call, and which registers may be
//! read before they were written, computed by iteration over the control-flow graph.

use super::{NARROW, Pinning, Plan, Pool, SPARE};
use crate::masm::{Object, PoolReg};
use crate::vm3::op::Op;
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

/// Two parameters and three locals: all i64, or all objects whose records may be pinned.
const SLOTS: usize = 5;
const PARAMS: usize = 2;

/// An op of a generated function, as the analysis sees it. Sets of slots are bit masks.
struct Line {
    text: String,
    reads: u8,
    writes: u8,
    targets: Vec<usize>,
    falls: bool,
    calls: bool,
}

/// A function of `len` ops whose branches go anywhere, near or far by `near`; `spread` of 100 ops branch. In a sparse one
/// most ops do nothing, and branches read parameters only.
fn generate(random: &mut Random, len: usize, near: bool, spread: usize) -> Vec<Line> {
    let sparse = random.next(2) == 0;
    let mut lines = Vec::new();
    for at in 0..len {
        let (mut x, mut y, d) = (random.next(SLOTS), random.next(SLOTS), random.next(SLOTS));
        let kind = random.next(100);
        if sparse && kind < 3 + spread {
            (x, y) = (x % PARAMS, y % PARAMS);
        }
        let mut target = || if near { (at + random.next(7)).saturating_sub(3).min(len - 1) } else { random.next(len) };
        let (t, u) = (target(), target());
        let line = |text, reads, writes, targets, falls, calls| Line { text, reads, writes, targets, falls, calls };
        let last = at + 1 == len;
        lines.push(match kind {
            kind if last || kind < 3 => line(format!("ret r{x}"), 1 << x, 0, vec![], false, false),
            kind if kind < 3 + spread => match random.next(10) {
                0 | 1 => line(format!("jump l{t}"), 0, 0, vec![t], false, false),
                2 => line(format!("switch r{x}, [l{t}], l{u}"), 1 << x, 0, vec![t, u], false, false),
                3 => line(format!("tail f(r{x}, r{y})"), 1 << x | 1 << y, 0, vec![], false, true),
                _ => line(format!("br.i64.lt r{x}, r{y}, l{t}"), 1 << x | 1 << y, 0, vec![t], true, false),
            },
            kind if kind % 8 == 0 => match random.next(3) {
                0 => line(format!("call f(r{x}, r{y})"), 1 << x | 1 << y, 0, vec![], true, true),
                1 => line(format!("call r{d}, f(r{x}, r{y})"), 1 << x | 1 << y, 1 << d, vec![], true, true),
                _ => line(format!("host r{d}, h(r{x})"), 1 << x, 1 << d, vec![], true, true),
            },
            kind if sparse && kind % 4 != 0 => line(String::from("nop"), 0, 0, vec![], true, false),
            kind if kind % 2 == 0 => line(format!("i64.const r{d}, 1"), 0, 1 << d, vec![], true, false),
            _ => line(format!("i64.add r{d}, r{x}, r{y}"), 1 << x | 1 << y, 1 << d, vec![], true, false),
        });
    }
    lines
}

/// The same of objects: what is read and written are their records, so what only moves cells reads nothing.
#[cfg(feature = "heap")]
fn generate_objects(random: &mut Random, len: usize, near: bool, spread: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for at in 0..len {
        let (x, y, d) = (random.next(SLOTS), random.next(SLOTS), random.next(SLOTS));
        let target = if near { (at + random.next(7)).saturating_sub(3).min(len - 1) } else { random.next(len) };
        let line = |text, reads, writes, targets, falls, calls| Line { text, reads, writes, targets, falls, calls };
        let kind = random.next(100);
        lines.push(match kind {
            kind if at + 1 == len || kind < 3 => line(format!("ret r{x}"), 0, 0, vec![], false, false),
            kind if kind < 3 + spread => match random.next(6) {
                0 | 1 => line(format!("jump l{target}"), 0, 0, vec![target], false, false),
                2 => line(format!("tail f(r{x}, r{y})"), 0, 0, vec![], false, true),
                _ => line(format!("br.null r{x}, l{target}"), 0, 0, vec![target], true, false),
            },
            kind if kind % 8 == 0 => match random.next(3) {
                0 => line(format!("call f(r{x}, r{y})"), 0, 0, vec![], true, true),
                1 => line(format!("call r{d}, f(r{x}, r{y})"), 0, 1 << d, vec![], true, true),
                _ => line(String::from("host v, h(v)"), 0, 0, vec![], true, true),
            },
            kind if kind % 8 == 1 => line(format!("obj.new r{d}"), 0, 1 << d, vec![], true, false),
            kind if kind % 8 == 2 => line(format!("cell.mov r{d}, r{x}"), 0, 1 << d, vec![], true, false),
            kind if kind % 8 == 3 => line(format!("obj.get r{d}, r{x}, o"), 1 << x, 1 << d, vec![], true, false),
            kind if kind % 8 == 4 => line(format!("obj.set r{x}, o, r{y}"), 1 << x, 0, vec![], true, false),
            kind if kind % 8 == 5 => line(format!("obj.set r{x}, i, v"), 1 << x, 0, vec![], true, false),
            _ => line(format!("obj.get v, r{x}, i"), 1 << x, 0, vec![], true, false),
        });
    }
    lines
}

fn successors(lines: &[Line], at: usize) -> impl Iterator<Item = usize> {
    lines[at].targets.iter().copied().chain(lines[at].falls.then_some(at + 1))
}

/// The slots whose value some reachable call must leave alone, and those that may be read before they were written.
fn analyse(lines: &[Line]) -> (u8, u8) {
    // Unwritten slots at each op; `None` where control never gets.
    let mut unwritten: Vec<Option<u8>> = vec![None; lines.len()];
    unwritten[0] = Some(!0 << PARAMS);
    let mut live = vec![0u8; lines.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for at in 0..lines.len() {
            if let Some(before) = unwritten[at] {
                for next in successors(lines, at) {
                    let after = unwritten[next].unwrap_or(0) | before & !lines[at].writes;
                    changed |= unwritten[next].replace(after) != Some(after);
                }
            }
            let after = successors(lines, at).fold(0, |set, next| set | live[next]);
            let before = after & !lines[at].writes | lines[at].reads;
            changed |= core::mem::replace(&mut live[at], before) != before;
        }
    }
    let (mut across, mut unset) = (0, 0);
    for (at, line) in lines.iter().enumerate() {
        let Some(unwritten) = unwritten[at] else { continue };
        unset |= unwritten & line.reads;
        if line.calls {
            across |= successors(lines, at).fold(0, |set, next| set | live[next]) & !line.writes;
        }
    }
    (across, unset)
}

/// Checks the plan of a function against the analysis. Gives how many slots it pins, how many of these to registers that
/// callees keep without need, and how many it sets to zero without need.
fn check(lines: &[Line]) -> [usize; 3] {
    check_as(lines, false, 0)
}

/// The source of a function whose registers are objects, and slots 0, 1, 3, 4 and 5: one other slot is before its locals.
const OBJECTS: &str = "import h(i64) -> i64
shape S { i: i64, o: obj S }
func f(r0: obj S, r1: obj S) -> obj S
local v: i64, r2: obj S, r3: obj S, r4: obj S
";

/// [`check`], of integers or objects, with so many other slots before the locals.
fn check_as(lines: &[Line], objects: bool, others: u16) -> [usize; 3] {
    let mut source = String::from(OBJECTS);
    if !objects {
        let others: String = (0..others).map(|other| format!("v{other}: i64, ")).collect();
        source =
            format!("import h(i64) -> i64\nfunc f(r0: i64, r1: i64) -> i64\nlocal {others}r2: i64, r3: i64, r4: i64\n");
    }
    for (at, line) in lines.iter().enumerate() {
        source += &format!("l{at}: {}\n", line.text);
    }
    source += "end\n";
    let sizes = text::sizes(&source);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words.max(1 << 12)]);
    let used = text::assemble(&source, &mut words, &mut scratch, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let module = Module::verify(&words[..used], &mut scratch).unwrap_or_else(|error| panic!("{error}\n{source}"));
    let container = module.container();
    let func = container.func(0).unwrap();
    let code = container.code(&func).unwrap();
    assert_eq!(code.iter().filter(|&&word| word as u8 != Op::Args as u8).count(), lines.len());
    let kept = |number, callee_saved| PoolReg { number, callee_saved };
    let pool = [kept(0, false), kept(1, false), kept(2, false), kept(3, true), kept(4, true), kept(5, true)];
    let pools = (Pool::new(&pool), Pool::new(&pool));
    let pins = Pinning { pools, views: false, paces: false, max_pinned: (usize::MAX, usize::MAX) };
    // Memory that others have used, and not a word more than is asked for.
    let mut scratch = vec![0x0BAD_0BAD_0BAD_0BAD; super::scratch_words(&func)];
    let plan = Plan::new(container, &func, code, &mut scratch, &pins).unwrap();
    assert!(plan.ops.iter().all(|&op| op as u32 == 0), "what the scan notes at an op is left there\n{source}");
    let (across, unset) = analyse(lines);
    let mut counts = [0; 3];
    for index in 0..SLOTS as u16 {
        let slot = if usize::from(index) >= PARAMS { index + others } else { index };
        let zero = plan.needs_zero(slot);
        let (lives, open) = (across >> index & 1 != 0, unset >> index & 1 != 0);
        assert!(zero || !open, "r{index} may be read before it is written\n{source}");
        let number = match plan.record(slot) {
            Some(Object::Record(reg)) if objects => Some(reg.0),
            None if !objects && plan.place(slot).is_pinned() => Some(plan.place(slot).0 & 0xFF),
            None => None,
            Some(_) => panic!("the record of a number is pinned"),
        };
        assert!(!objects || !plan.place(slot).is_pinned(), "a cell is pinned instead of its record");
        if let Some(number) = number {
            let register = &pool[number as usize];
            assert!(register.callee_saved || !lives, "r{index} lives across a call\n{source}");
            assert!(!register.callee_saved || plan.saved.ints >> register.number & 1 != 0, "r{index} is not saved");
            counts[0] += 1;
            counts[1] += usize::from(register.callee_saved && !lives);
        }
        counts[2] += usize::from(zero && !open);
    }
    counts
}

/// Of each kind of float register, no function uses any but the first so many of the pool.
#[test]
fn few_floats_are_the_first() {
    let kept = |number, callee_saved| PoolReg { number, callee_saved };
    let pools = [
        [kept(0, false), kept(1, false), kept(2, false), kept(3, true), kept(4, true), kept(5, true)],
        [kept(0, true), kept(1, false), kept(2, false), kept(3, true), kept(4, false), kept(5, true)],
    ];
    let mut random = Random(7);
    let mut most = [0; 7];
    for _ in 0..4000 {
        // Some are live across calls, others not; those that are used more often go first.
        let mut source = String::from("import h(i64) -> i64\nfunc f(n: i64) -> f64\nlocal ");
        source += &(0..8).map(|index| format!("x{index}: f64")).collect::<Vec<_>>().join(", ");
        source += "\nagain:\n";
        for _ in 0..1 + random.next(40) {
            let [x, y, z] = [0; 3].map(|_| random.next(8));
            source += &match random.next(12) {
                0 => String::from("host n, h(n)\n"),
                1 => String::from("br.i64.lt n, 0, again\n"),
                _ => format!("f64.add x{x}, x{y}, x{z}\n"),
            };
        }
        source += "ret x0\nend\n";
        let sizes = text::sizes(&source);
        let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words.max(1 << 12)]);
        let used = text::assemble(&source, &mut words, &mut scratch, &mut |_| {}).unwrap_or_else(|e| panic!("{e}"));
        let module = Module::verify(&words[..used], &mut scratch).unwrap_or_else(|error| panic!("{error}\n{source}"));
        let container = module.container();
        let func = container.func(0).unwrap();
        let code = container.code(&func).unwrap();
        let (pool, floats) = (&pools[random.next(2)], random.next(7));
        let pools = (Pool::new(pool), Pool::new(pool));
        let pins = Pinning { pools, views: false, paces: false, max_pinned: (usize::MAX, floats) };
        let plan = Plan::new(container, &func, code, &mut scratch, &pins).unwrap();
        let pinned = (1..9).map(|slot| plan.place(slot)).filter(|place| place.is_pinned());
        let numbers: Vec<usize> = pinned.map(|place| (place.0 & 0xFF) as usize).collect();
        assert!(numbers.len() <= floats, "{numbers:?}\n{source}");
        for &number in &numbers {
            let before = pool[..number].iter().filter(|reg| reg.callee_saved == pool[number].callee_saved);
            assert!(before.count() < floats, "{numbers:?} of {floats}\n{source}");
        }
        most[floats] = most[floats].max(numbers.len());
    }
    assert_eq!(most, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn plan_is_conservative() {
    let mut random = Random(1);
    let mut counts = [0; 3];
    for round in 0..60_000 {
        let (len, spread) = (2 + random.next(if round % 8 == 0 { 60 } else { 14 }), 5 + random.next(60));
        let near = random.next(2) == 0;
        let lines = generate(&mut random, len, near, spread);
        for (count, more) in counts.iter_mut().zip(check(&lines)) {
            *count += more;
        }
    }
    // Refusing everything would be conservative too.
    let [pinned, kept, zeroed] = counts;
    assert!(pinned > 40_000, "{pinned} slots were pinned");
    assert!(kept < pinned / 2 && zeroed < 100_000, "{kept} kept and {zeroed} zeroed without need");
}

/// Functions in which a byte says which slot it is, those with one more, and wide ones, are planned as those of few slots.
#[test]
fn plan_does_not_depend_on_other_slots() {
    let mut random = Random(3);
    let narrow = NARROW - SPARE - SLOTS;
    for _ in 0..300 {
        let (len, spread, near) = (2 + random.next(40), 5 + random.next(60), random.next(2) == 0);
        let lines = generate(&mut random, len, near, spread);
        let alone = check(&lines);
        for others in [1, narrow - 1, narrow, narrow + 1, narrow + SPARE, 2 * NARROW] {
            assert_eq!(check_as(&lines, false, others as u16), alone, "{others} other slots");
        }
    }
    // As many slots as there may be.
    for _ in 0..5 {
        let lines = generate(&mut random, 40, true, 20);
        assert_eq!(check_as(&lines, false, u16::MAX - SLOTS as u16 + 1), check(&lines));
    }
}

#[test]
#[cfg(feature = "heap")]
fn plan_of_records_is_conservative() {
    let mut random = Random(2);
    let mut counts = [0; 3];
    for round in 0..60_000 {
        let (len, spread) = (2 + random.next(if round % 8 == 0 { 60 } else { 14 }), 5 + random.next(60));
        let near = random.next(2) == 0;
        let lines = generate_objects(&mut random, len, near, spread);
        for (count, more) in counts.iter_mut().zip(check_as(&lines, true, 1)) {
            *count += more;
        }
    }
    let [pinned, kept, zeroed] = counts;
    assert!(pinned > 20_000, "{pinned} records were pinned");
    assert!(kept < pinned / 2 && zeroed < 150_000, "{kept} kept and {zeroed} found without need");
}

/// More targets of forward branches at once than the scan remembers.
#[test]
fn many_pending_targets() {
    let mut lines = Vec::new();
    let line = |text, reads, writes, targets, falls| Line { text, reads, writes, targets, falls, calls: false };
    let body = 20;
    for index in 0..body {
        let target = 2 * body - index;
        lines.push(line(format!("br.i64.lt r0, r1, l{target}"), 3, 0, vec![target], true));
    }
    lines.push(line(String::from("i64.const r2, 1"), 0, 1 << 2, vec![], true));
    for _ in 0..body {
        lines.push(line(String::from("i64.add r3, r2, r2"), 1 << 2, 1 << 3, vec![], true));
    }
    lines.push(line(String::from("ret r3"), 1 << 3, 0, vec![], false));
    check(&lines);
}

/// A target that found no room between two that did, with ops that are all alike over it.
#[test]
fn unknown_target_between_known_ones() {
    let line = |text, reads, writes, targets, falls| Line { text, reads, writes, targets, falls, calls: false };
    let branch = |target| line(format!("br.i64.lt r0, r1, l{target}"), 3, 0, vec![target], true);
    let mut lines: Vec<Line> = [12, 40, 41, 42, 43, 44, 45, 46, 16].map(branch).into();
    let op = |at| match at {
        14 => line(String::from("i64.const r2, 1"), 0, 1 << 2, vec![], true),
        18 => line(String::from("i64.add r3, r2, r2"), 1 << 2, 1 << 3, vec![], true),
        _ => line(String::from("nop"), 0, 0, vec![], true),
    };
    lines.extend((lines.len()..48).map(op));
    lines.push(line(String::from("ret r0"), 1, 0, vec![], false));
    check(&lines);
}

/// Two loops that overlap and are entered behind the first write: the way from the second into the first passes no write.
#[test]
fn loops_entered_behind_a_write() {
    let line = |text: &str, reads, writes, target: Option<usize>, falls| Line {
        text: String::from(text),
        reads,
        writes,
        targets: target.into_iter().collect(),
        falls,
        calls: false,
    };
    check(&[
        line("br.i64.lt r0, r1, l6", 3, 0, Some(6), true),
        line("i64.const r2, 1", 0, 1 << 2, None, true),
        line("i64.add r3, r2, r2", 1 << 2, 1 << 3, None, true),
        line("nop", 0, 0, None, true),
        line("br.i64.lt r0, r3, l2", 1 | 1 << 3, 0, Some(2), true),
        line("ret r3", 1 << 3, 0, None, false),
        line("jump l3", 0, 0, Some(3), false),
    ]);
}
