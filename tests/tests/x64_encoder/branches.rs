//! Labels, branches and padding. A program is written twice, by the encoder and as text for the assembler; the
//! disassembler checks that each branch goes where its label is and is as short as the rules allow.

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use opstamp::asm::Label;

use crate::forms::CC;
use crate::want::GPRS;
use crate::{emit, hex, llvm, random, setting};

/// A piece of a program; labels and registers by number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Bind(usize),
    Jmp(usize),
    Jcc(usize, usize),
    Call(usize),
    Lea(usize, usize),
    /// So many one-byte nops.
    Fill(usize),
}
use Item::*;

impl Item {
    fn label(self) -> Option<usize> {
        match self {
            Bind(_) | Fill(_) => None,
            Jmp(label) | Jcc(_, label) | Call(label) | Lea(_, label) => Some(label),
        }
    }

    /// Length with a 32-bit displacement (SDM vol. 2: JMP E9, Jcc 0F 80, CALL E8, LEA with REX.W).
    fn long(self) -> usize {
        match self {
            Jmp(_) | Call(_) => 5,
            Jcc(..) => 6,
            Lea(..) => 7,
            Bind(_) => 0,
            Fill(n) => n,
        }
    }
}

/// How many labels a program can have.
const LABELS: usize = 8;

fn ours(items: &[Item]) -> Vec<u8> {
    let mut labels = [Label::new(); LABELS];
    let room = items.iter().map(|i| i.long()).sum::<usize>() + 8;
    let code = emit(room, |m| {
        for &item in items {
            match item {
                Bind(l) => m.bind(&mut labels[l]),
                Jmp(l) => m.jmp(&mut labels[l]),
                Jcc(cc, l) => m.jcc(CC[cc].0, &mut labels[l]),
                Call(l) => m.call(&mut labels[l]),
                Lea(r, l) => m.lea_label(GPRS[r].0, &mut labels[l]),
                Fill(n) => (0..n).for_each(|_| m.buf.put(0x90, 1)),
            }
        }
    });
    assert!(labels.iter().all(|l| !l.is_pending()));
    code.unwrap_or_else(|e| panic!("{items:?}: {e}"))
}

/// The program for the assembler, with `stem` before its labels. Branches to labels that come later are asked to have 32
/// bits, as the encoder cannot know better.
fn text(items: &[Item], stem: &str) -> String {
    let mut bound = [false; LABELS];
    let mut text = String::new();
    for &item in items {
        let disp32 = match item.label() {
            Some(label) if !bound[label] => "{disp32} ",
            _ => "",
        };
        text += &match item {
            Bind(l) => {
                bound[l] = true;
                format!("{stem}{l}:\n")
            }
            Jmp(l) => format!("{disp32}jmp {stem}{l}\n"),
            Jcc(cc, l) => format!("{disp32}j{} {stem}{l}\n", CC[cc].1),
            Call(l) => format!("call {stem}{l}\n"),
            Lea(r, l) => format!("lea {}, [rip + {stem}{l}]\n", GPRS[r].1[0]),
            Fill(n) => format!(".fill {n}, 1, 0x90\n"),
        };
    }
    text
}

/// Checks `code` by the disassembler.
fn disassemble(items: &[Item], code: &[u8]) {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut places = [None; LABELS];
    let mut references = Vec::new();
    for &item in items {
        let at = decoder.position();
        let label = match item {
            Bind(label) => {
                places[label] = Some(at);
                continue;
            }
            Fill(n) => {
                assert!(code[at..at + n].iter().all(|&b| b == 0x90));
                decoder.set_position(at + n).expect("inside");
                decoder.set_ip((at + n) as u64);
                continue;
            }
            _ => item.label().expect("a branch"),
        };
        let i = decoder.decode();
        assert!(!i.is_invalid(), "{items:?}: offset {at}");
        let mnemonic = format!("{:?}", i.mnemonic()).to_lowercase();
        let target = if let Lea(r, _) = item {
            assert_eq!((mnemonic.as_str(), i.is_ip_rel_memory_operand()), ("lea", true));
            assert_eq!(format!("{:?}", i.op0_register()).to_lowercase(), GPRS[r].1[0]);
            i.ip_rel_memory_address()
        } else {
            let expected = match item {
                Jcc(cc, _) => format!("j{}", CC[cc].1),
                Call(_) => "call".into(),
                _ => "jmp".into(),
            };
            assert_eq!((mnemonic, i.op0_kind()), (expected, OpKind::NearBranch64));
            i.near_branch_target()
        };
        // To a place that is known, 2 bytes reach from -128 to +127 counted from their end.
        let near = places[label].is_some_and(|place| place + 128 >= at + 2) && matches!(item, Jmp(_) | Jcc(..));
        assert_eq!(i.len(), if near { 2 } else { item.long() }, "{items:?}: offset {at}");
        references.push((label, target, at));
    }
    assert_eq!(decoder.position(), code.len(), "{items:?}");
    for (label, target, at) in references {
        assert_eq!(Some(target as usize), places[label], "{items:?}: offset {at} names label {label}");
    }
}

/// Checks programs by the disassembler and, all in one batch, by the assembler.
fn check(name: &str, programs: &[Vec<Item>]) {
    let codes: Vec<_> = programs.iter().map(|items| ours(items)).collect();
    for (items, code) in programs.iter().zip(&codes) {
        disassemble(items, code);
    }
    let Some(tool) = llvm::find() else { return };
    let text: String = (0..).zip(programs).map(|(n, items): (usize, _)| text(items, &format!("L{n}_"))).collect();
    let theirs = llvm::program(&tool, name, &text);
    let mut at = 0;
    for (items, code) in programs.iter().zip(&codes) {
        let end = theirs.len().min(at + code.len());
        if *code != theirs[at..end] {
            let differs = code.iter().zip(&theirs[at..end]).take_while(|(a, b)| a == b).count();
            let from = differs.saturating_sub(8);
            let part = |bytes: &[u8]| hex(&bytes[from..bytes.len().min(differs + 8)]);
            panic!("{items:?}: from offset {from} {}, but the assembler says {}", part(code), part(&theirs[at..end]));
        }
        at = end;
    }
    assert_eq!(at, theirs.len());
    println!("{name}: {} programs compared", programs.len());
}

/// Every kind of reference: jmp, each jcc, call, lea into each register.
fn references(label: usize) -> Vec<Item> {
    let mut all = vec![Jmp(label), Call(label)];
    all.extend((0..16).map(|cc| Jcc(cc, label)));
    all.extend((0..16).map(|r| Lea(r, label)));
    all
}

#[test]
fn backward() {
    let mut programs = Vec::new();
    for item in references(0) {
        for distance in [0, 1, 2, 64].into_iter().chain(118..=134).chain([255, 256, 4096]) {
            programs.push(vec![Bind(0), Fill(distance), item]);
        }
    }
    for item in [Jmp(0), Jcc(4, 0), Call(0), Lea(8, 0)] {
        for distance in [32765, 32768, 65536, 100_000] {
            programs.push(vec![Bind(0), Fill(distance), item]);
        }
    }
    check("backward", &programs);
}

#[test]
fn forward() {
    let mut programs = Vec::new();
    for item in references(0) {
        for distance in [0, 1, 64, 126, 127, 128, 129, 255, 256, 4096] {
            programs.push(vec![item, Fill(distance), Bind(0)]);
        }
    }
    for item in [Jmp(0), Jcc(4, 0), Call(0), Lea(8, 0)] {
        for distance in [32767, 32768, 65536, 100_000] {
            programs.push(vec![item, Fill(distance), Bind(0)]);
        }
    }
    check("forward", &programs);
}

/// One label with many references of all kinds on both sides, several labels at once, labels that nothing names.
#[test]
fn chains() {
    let mut around = references(0);
    around.extend(references(1));
    around.extend([Bind(0), Bind(2), Fill(3)]);
    around.extend(references(0));
    around.push(Bind(1));
    around.extend(references(1));
    around.extend(references(2));
    let long: Vec<_> = (0..2000).map(|_| Jmp(0)).chain([Bind(0)]).chain((0..100).map(|_| Jcc(5, 0))).collect();
    check("chains", &[around, long, vec![Bind(3)]]);
}

#[test]
fn random_programs() {
    let mut random = random();
    let mut programs = Vec::new();
    for _ in 0..setting("OPSTAMP_COUNT", 200) {
        let mut unbound: Vec<_> = (0..LABELS).collect();
        let mut items = Vec::new();
        for _ in 0..random.below(120) {
            let label = random.below(LABELS);
            items.push(match random.below(8) {
                0 | 1 => Jmp(label),
                2 | 3 => Jcc(random.below(16), label),
                4 => Call(label),
                5 => Lea(random.below(16), label),
                6 => Fill(random.below(60)),
                _ if unbound.is_empty() => Fill(1),
                _ => Bind(unbound.swap_remove(random.below(unbound.len()))),
            });
        }
        items.extend(unbound.into_iter().map(Bind));
        programs.push(items);
    }
    check("programs", &programs);
}

/// Known offsets, before and behind, without a label.
#[test]
fn known_offsets() {
    for at in [0usize, 5, 126, 127, 131, 200] {
        for target in [0usize, 1, at, at + 2, at + 5, at + 129, at + 130, at + 1000] {
            for call in [false, true] {
                let code = emit(400, |m| {
                    m.nop(at);
                    if call { m.call_to(target) } else { m.jmp_to(target) }
                });
                let code = code.expect("room");
                let i = Decoder::with_ip(64, &code[at..], at as u64, DecoderOptions::NONE).decode();
                assert_eq!(i.mnemonic(), if call { Mnemonic::Call } else { Mnemonic::Jmp });
                assert_eq!(i.near_branch_target(), target as u64, "from {at}");
                let near = !call && (-128..128).contains(&(target as i64 - at as i64 - 2));
                assert_eq!((i.len(), code.len()), if near { (2, at + 2) } else { (5, at + 5) }, "{at} to {target}");
            }
        }
    }
}

/// The recommended nops, as the manual prints them (SDM vol. 2, NOP, table 4-12).
const NOPS: [&str; 9] = [
    "90",
    "66 90",
    "0f 1f 00",
    "0f 1f 40 00",
    "0f 1f 44 00 00",
    "66 0f 1f 44 00 00",
    "0f 1f 80 00 00 00 00",
    "0f 1f 84 00 00 00 00 00",
    "66 0f 1f 84 00 00 00 00 00",
];

#[test]
fn nops() {
    for n in 0..=200 {
        let code = emit(220, |m| m.nop(n)).expect("room");
        assert_eq!(code.len(), n);
        let decoded: Vec<_> = Decoder::new(64, &code, DecoderOptions::NONE).into_iter().collect();
        assert!(decoded.iter().all(|i| i.mnemonic() == Mnemonic::Nop), "{n}: {}", hex(&code));
        assert_eq!(decoded.len(), n.div_ceil(9), "{n}: {}", hex(&code));
        if let Some(expected) = n.checked_sub(1).and_then(|i| NOPS.get(i)) {
            assert_eq!(hex(&code), *expected);
        }
    }
}

#[test]
fn alignment() {
    for n in [0usize, 1, 2, 4, 8, 12, 16, 32, 64] {
        for before in 0..70 {
            let code = emit(200, |m| {
                (0..before).for_each(|_| m.ret());
                m.align(n);
            });
            let expected = (before..).find(|&at| n == 0 || at % n == 0).expect("there is one");
            assert_eq!(code.expect("room").len(), expected, "{n} from {before}");
        }
    }
}
