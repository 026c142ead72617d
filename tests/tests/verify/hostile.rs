//! Input that nobody would write: nothing upsets the verifier, and what it accepts is what it claims.

use crate::build::{HEAP, NO_HEAP, Parts, at, op, verify, world};
use opstamp::vm3::container::{Section, op_index};
use opstamp::vm3::op::{Access, Bank, OPS, Op, Operand, field, word};
use opstamp::vm3::types::{Composite, TypeId};
use opstamp::vm3::verify::{Fault, RecordReason};
use std::collections::HashSet;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A seed of the run's own, or that of `SEED`; a failing test shows it.
    fn seeded() -> Self {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = seed.unwrap_or_else(now);
        println!("SEED={seed}");
        Self(seed)
    }
}

/// Verifies, and reads everything that a message or an accepted module gives. Says whether it was accepted.
fn exercise(words: &[u64]) -> bool {
    let mut accepted = false;
    for options in [HEAP, NO_HEAP] {
        match verify(words, options) {
            Ok(module) => {
                accepted |= options == HEAP;
                for index in 0..module.func_count() {
                    sound(&module.func(index).expect("an accepted function is there"));
                }
            }
            Err(error) => {
                let message = error.to_string();
                assert!(!message.is_empty() && message.len() < 8192, "{} bytes of message", message.len());
            }
        }
    }
    accepted
}

/// Checks by other means, word by word, what engines rely on for memory safety.
fn sound(func: &opstamp::vm3::verify::FuncView<'_>) {
    let mut starts = HashSet::new();
    let mut targets = Vec::new();
    let mut at = 0;
    let mut last = None;
    while at < func.code.len() {
        starts.insert(at);
        let words = &func.code[at..];
        let row = Op::from_code(words[0] as u8).and_then(Op::info).expect("a known op");
        let own = 1 + words[1..].iter().take_while(|&&word| word as u8 == Op::Args as u8).count();
        let mut place = 0;
        for operand in row.operands {
            let value = field(words, place).expect("a field");
            match operand {
                Operand::Reg(_, bank, _) => assert_eq!(func.slots[usize::from(value)].bank(), *bank),
                Operand::Label => targets.push(value),
                Operand::Imm32 | Operand::PoolI64 | Operand::PoolF64 | Operand::CellConst => place += 1,
                Operand::Targets => {
                    targets.extend((0..=value).map(|index| field(words, 2 + usize::from(index)).expect("a target")));
                    place += 1 + usize::from(value);
                }
                Operand::Args => {
                    for place in place..own * 3 {
                        let reg = field(words, place).unwrap();
                        assert!(reg == 0 || usize::from(reg) < func.slots.len());
                    }
                    place = own * 3 - 1;
                }
                _ => {}
            }
            place += 1;
        }
        assert!(place <= own * 3);
        assert_eq!(op_index(func.code, at) as usize, starts.len() - 1);
        at += own;
        last = Some(row);
    }
    assert!(targets.iter().all(|&target| starts.contains(&usize::from(target))));
    assert!(last.unwrap().flags.has(opstamp::vm3::op::Flags::ENDS));
}

/// Modules of some variety: the smallest, one of every kind of record, one of every kind of op.
fn modules() -> Vec<Vec<u64>> {
    let mut long = world();
    let body = [
        op(Op::I64Const, &[0, 9, 0]),
        op(Op::Switch, &[0, 3, 0, 1, 0, 1]),
        op(Op::Call, &[5, 2, 1]),
        op(Op::FnNew, &[15, 5, 3]),
        op(Op::FnCallI64, &[1, 15, 0]),
        op(Op::ObjGetF64, &[2, 13, 1]),
        op(Op::MapNext, &[4, 5, 12, 0]),
        op(Op::BrI64LtK, &[0, 0xFFFF, 0]),
        op(Op::GlobalSetCell, &[3, 10]),
        op(Op::Ret, &[]),
    ];
    long.funcs[at::MAIN].code = body.concat();
    let all = vec![Parts::default().words(), world().words(), long.words()];
    assert!(all.iter().all(|words| exercise(words)));
    all
}

#[test]
fn truncated_at_every_word() {
    for words in modules() {
        for length in 0..words.len() {
            assert!(!exercise(&words[..length]));
            let mut honest = words[..length].to_vec();
            if let Some(second) = honest.get_mut(1) {
                *second = length as u64;
            }
            assert!(!exercise(&honest));
        }
    }
}

#[test]
fn every_bit_flipped() {
    for words in modules() {
        let mut words = words;
        for bit in 0..words.len() * 64 {
            words[bit / 64] ^= 1 << (bit % 64);
            exercise(&words);
            words[bit / 64] ^= 1 << (bit % 64);
        }
    }
}

#[test]
fn every_half_word_set_to_an_extreme() {
    for words in modules() {
        for index in 0..words.len() * 2 {
            let shift = index % 2 * 32;
            let half = words[index / 2] >> shift & 0xFFFF_FFFF;
            for value in [0, 1, half + 1, half.wrapping_sub(1), 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]
            {
                let mut words = words.clone();
                words[index / 2] &= !(0xFFFF_FFFF << shift);
                words[index / 2] |= (value & 0xFFFF_FFFF) << shift;
                exercise(&words);
            }
        }
    }
}

#[test]
fn word_soup() {
    let mut random = Random::seeded();
    for _ in 0..20_000 {
        let mut words: Vec<u64> = (0..random.below(60)).map(|_| random.next() >> random.below(64)).collect();
        exercise(&words);
        // Behind a true header.
        let mut raw = world().raw();
        for place in &mut raw.words {
            if random.below(3) == 0 && !place.is_empty() {
                let at = random.below(place.len());
                place[at] = random.next() >> random.below(64);
            }
        }
        words = raw.join();
        exercise(&words);
    }
}

/// Functions of random ops whose fields are small, so that many ops are right: the accepted ones are checked by other
/// means.
#[test]
fn op_soup() {
    let mut random = Random::seeded();
    let mut accepted = 0;
    for _ in 0..60_000 {
        let mut parts = world();
        let mut code = Vec::new();
        for _ in 0..1 + random.below(3) {
            let row = &OPS[random.below(OPS.len())];
            let mut fields = Vec::new();
            for operand in row.operands {
                let fitting = |random: &mut Random, right: &dyn Fn(TypeId) -> bool| {
                    let slots: Vec<_> = (0..).zip(at::SLOTS).filter(|&(_, ty)| right(ty)).collect();
                    slots[random.below(slots.len())].0
                };
                match operand {
                    Operand::Reg(access, bank, _) if random.below(50) != 0 => {
                        let write = *access == Access::Write && *bank == Bank::Cell && random.below(2) == 0;
                        let right = |ty: TypeId| if write { ty == TypeId::ANY } else { ty.bank() == *bank };
                        fields.push(fitting(&mut random, &right));
                    }
                    Operand::Imm32 | Operand::PoolI64 | Operand::PoolF64 | Operand::CellConst => {
                        fields.extend([random.below(4) as u16, 0]);
                    }
                    Operand::Targets => {
                        let count = random.below(4) as u16;
                        fields.push(count);
                        fields.extend((0..=count).map(|_| random.below(6) as u16));
                    }
                    Operand::Args => fields.push(fitting(&mut random, &|ty| ty == TypeId::I64)),
                    _ => fields.push(random.below(6) as u16),
                }
            }
            code.extend(op(row.op, &fields));
        }
        code.push(word(Op::TrapUnreachable, 0, 0, 0));
        parts.funcs[at::MAIN].code = code;
        accepted += usize::from(exercise(&parts.words()));
    }
    assert!(accepted > 5_000, "only {accepted} modules were right: the soup is too thin");
}

#[test]
fn equal_strings_are_found() {
    let mut random = Random::seeded();
    let mut equal = 0;
    for round in 0..3_000 {
        let mut seen = HashSet::new();
        let mut first = None;
        let letters = 1 + random.below(3);
        let longest = 1 + random.below(24);
        let mut parts = Parts::default();
        for index in 0..random.below(40) as u32 {
            let length = random.below(longest);
            let string: Vec<u8> = (0..length).map(|_| [0, 0xFF, b'a', 1][random.below(letters)]).collect();
            if !seen.insert(string.clone()) && first.is_none() {
                first = Some(index);
            }
            parts.strings.push(string);
        }
        let reason = RecordReason::Equal;
        let expected = first.map(|index| Fault::Record { section: Section::Strings, index, reason });
        let container = parts.words();
        assert_eq!(verify(&container, HEAP).err().map(|error| error.fault()), expected, "round {round}");
        equal += usize::from(first.is_some());
    }
    assert!((500..2_900).contains(&equal), "{equal} of the rounds had equal strings");
}

fn accepted(words: &[u64]) -> bool {
    verify(words, HEAP).is_ok()
}

/// What would take minutes if anything were quadratic: many records that share what is long, many ops that compare what
/// is long, many strings that have much in common.
#[test]
fn costly_containers() {
    let mut shared = Parts::default();
    let long = shared.string(&"n".repeat(1 << 20));
    let mut random = Random(1);
    for index in 0..40_000u32 {
        let name = shared.string_unchecked(format!("s{index:x}{}", "x".repeat(random.below(40))));
        shared.shapes.push((name, vec![(long, TypeId::I64)]));
    }
    assert!(accepted(&shared.words()));

    let strings = (0..2_000).map(|length| vec![0; length]).collect();
    let mut prefixes = Parts { strings, ..Parts::default() };
    assert!(accepted(&prefixes.words()));
    prefixes.strings.reverse();
    assert!(accepted(&prefixes.words()));

    let trap = op(Op::TrapUnreachable, &[]);
    let sigs = vec![(vec![TypeId::I64; 255], TypeId::NONE), (vec![], TypeId::NONE)];
    let mut wide = Parts { sigs, types: vec![Composite::Fn(0); 60_000], ..Parts::default() };
    wide.func("f", 0, &[TypeId::I64; 255], &trap);
    wide.func("g", 1, &[TypeId(16)], &[op(Op::FnNew, &[0, 0]).repeat(60_000), trap.clone()].concat());
    assert!(accepted(&wide.words()));

    let slots = vec![TypeId::I64; 65_535];
    let mut lists = Parts { sigs: vec![(slots.clone(), TypeId::NONE)], ..Parts::default() };
    lists.func("f", 0, &slots, &trap);
    assert!(accepted(&lists.words()));
}

/// A closure type whose text would be exponentially long, in a message.
#[test]
fn messages_are_bounded() {
    let mut parts = world();
    for index in 0..15 {
        parts.types.push(Composite::Fn(9 + index));
        parts.sigs.push((vec![TypeId(20 + index as u16); 255], TypeId(20 + index as u16)));
    }
    parts.funcs[at::MAIN].slots.push(TypeId(35));
    parts.funcs[at::MAIN].code = [op(Op::ObjNew, &[18]), op(Op::Ret, &[])].concat();
    let container = parts.words();
    let message = verify(&container, HEAP).map(|_| ()).unwrap_err().to_string();
    assert!(message.starts_with("in main at op 0 (obj.new): operand 1 is register 18 (fn(fn(..), fn(..), "));
    assert!(message.ends_with(") -> fn(..)), expected an object type"));
    assert!(message.len() < 4096);
}
