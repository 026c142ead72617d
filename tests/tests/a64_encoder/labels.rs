//! Labels: every distance at its ends, chains of mixed branches, and what is refused.

use crate::cases::{lower, r};
use crate::draw::{Draw, Rng, seed};
use crate::oracle::Batch;
use opstamp::asm::a64::{self, *};
use opstamp::asm::{Buf, EmitError, Label};

type Put = Box<dyn Fn(&mut Buf, &mut Label)>;

/// One instruction that names a label: its text up to the distance, and how to emit it.
struct Reference {
    text: String,
    put: Put,
    reach: Reach,
}

const KINDS: usize = 10;

fn reference(kind: usize, g: &mut Draw) -> Reference {
    let (s, t, d, c, (bit, _, n)) = (g.size(), g.x(), g.d(), g.cond(), g.shift6());
    let bit_text = format!("{}, #{n}", r(if n < 32 { Size::W } else { Size::X }, t));
    let (text, reach, put): (_, _, Put) = match kind {
        0 => ("b ".into(), Reach::Imm26, Box::new(a64::b)),
        1 => ("bl ".into(), Reach::Imm26, Box::new(a64::bl)),
        2 => (format!("b.{} ", lower(c)), Reach::Imm19, Box::new(move |b, l| a64::b_cond(b, c, l))),
        3 => (format!("cbz {}, ", r(s, t)), Reach::Imm19, Box::new(move |b, l| a64::cbz(b, s, t, l))),
        4 => (format!("cbnz {}, ", r(s, t)), Reach::Imm19, Box::new(move |b, l| a64::cbnz(b, s, t, l))),
        5 => (format!("tbz {bit_text}, "), Reach::Imm14, Box::new(move |b, l| a64::tbz(b, t, bit, l))),
        6 => (format!("tbnz {bit_text}, "), Reach::Imm14, Box::new(move |b, l| a64::tbnz(b, t, bit, l))),
        7 => (format!("ldr {}, ", r(Size::X, t)), Reach::Imm19, Box::new(move |b, l| a64::ldr_literal_x(b, t, l))),
        8 => (format!("ldr {}, ", lower(d)), Reach::Imm19, Box::new(move |b, l| a64::ldr_literal_d(b, d, l))),
        _ => (format!("adr {}, ", r(Size::X, t)), Reach::Adr, Box::new(move |b, l| a64::adr(b, t, l))),
    };
    Reference { text, put, reach }
}

/// Bytes before and after an instruction that it reaches, by the Arm ARM.
fn ends(reach: Reach) -> (usize, usize) {
    match reach {
        Reach::Imm26 => (1 << 27, (1 << 27) - 4),
        Reach::Imm19 => (1 << 20, (1 << 20) - 4),
        Reach::Imm14 => (1 << 15, (1 << 15) - 4),
        Reach::Adr => (1 << 20, (1 << 20) - 1),
    }
}

/// Appends filler up to `offset`.
fn fill(buf: &mut Buf, offset: usize) {
    while buf.pos() + 8 <= offset {
        buf.put(0, 8);
    }
    buf.put(0, offset - buf.pos());
}

fn word(memory: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([memory[at], memory[at + 1], memory[at + 2], memory[at + 3]])
}

#[test]
fn both_ends_of_every_distance() {
    let mut rng = Rng::new(seed());
    let mut batch = Batch::new();
    let mut memory = vec![0; (1 << 27) + 64];
    for kind in 0..KINDS {
        let reference = reference(kind, &mut Draw::new(&mut rng, None));
        let (back, ahead) = ends(reference.reach);
        let step = if reference.reach == Reach::Adr { 1 } else { 4 };
        for distance in [4, 8, (ahead / 2) & !3, ahead - step, ahead] {
            let (mut buf, mut label) = (Buf::new(&mut memory).expect("large"), Label::new());
            (reference.put)(&mut buf, &mut label);
            fill(&mut buf, distance);
            a64::bind(&mut buf, &mut label);
            assert_eq!((label.offset(), buf.finish()), (Some(distance), Ok(distance.max(4))));
            batch.expect(format!("{}#{distance}", reference.text), word(&memory, 0));
        }
        for distance in [0, 4, back / 2, back - step, back] {
            let (mut buf, mut label) = (Buf::new(&mut memory).expect("large"), Label::new());
            a64::bind(&mut buf, &mut label);
            fill(&mut buf, distance);
            (reference.put)(&mut buf, &mut label);
            assert_eq!(buf.finish(), Ok(distance + 4));
            batch.expect(format!("{}#-{distance}", reference.text), word(&memory, distance));
        }
        let beyond = ahead + step;
        let (mut buf, mut label) = (Buf::new(&mut memory).expect("large"), Label::new());
        (reference.put)(&mut buf, &mut label);
        fill(&mut buf, beyond);
        a64::bind(&mut buf, &mut label);
        assert_eq!(buf.finish(), Err(EmitError::BranchRange { at: 0, target: beyond }), "{}", reference.text);

        let beyond = back + step;
        let (mut buf, mut label) = (Buf::new(&mut memory).expect("large"), Label::new());
        a64::bind(&mut buf, &mut label);
        fill(&mut buf, beyond);
        assert!(!a64::can_refer(&buf, reference.reach, &label));
        (reference.put)(&mut buf, &mut label);
        assert_eq!(buf.finish(), Err(EmitError::BranchRange { at: beyond, target: 0 }), "{}", reference.text);

        // Ahead to a label that is bound already.
        let mut far = Label::bound_at(ahead + step);
        let mut buf = Buf::new(&mut memory).expect("large");
        (reference.put)(&mut buf, &mut far);
        assert_eq!(buf.finish(), Err(EmitError::BranchRange { at: 0, target: ahead + step }), "{}", reference.text);
    }
    batch.check();
}

/// A link back spans twice the forward reach, less one word; then both references resolve if the label follows at once.
#[test]
fn both_ends_of_every_link() {
    let mut rng = Rng::new(seed());
    let mut batch = Batch::new();
    let mut memory = vec![0; (1 << 23) + 64];
    for (kind, longest) in [(2, (1 << 21) - 4), (5, (1 << 16) - 4), (9, (1 << 23) - 4)] {
        let newer = reference(kind, &mut Draw::new(&mut rng, None));
        for (gap, good) in [(4, true), (longest - 4, true), (longest, true), (longest + 4, false)] {
            let (mut buf, mut label) = (Buf::new(&mut memory).expect("large"), Label::new());
            a64::b(&mut buf, &mut label);
            fill(&mut buf, gap);
            assert_eq!(a64::can_refer(&buf, newer.reach, &label), good, "{} over {gap}", newer.text);
            (newer.put)(&mut buf, &mut label);
            a64::bind(&mut buf, &mut label);
            let expected = if good { Ok(gap + 4) } else { Err(EmitError::BranchRange { at: gap, target: 0 }) };
            assert_eq!(buf.finish(), expected, "{} over {gap}", newer.text);
            if good {
                batch.expect(format!("b #{}", gap + 4), word(&memory, 0));
                batch.expect(format!("{}#4", newer.text), word(&memory, gap));
            }
        }
    }
    batch.check();
}

/// Random programs: a few labels, references of all kinds before and after each is bound.
#[test]
fn mixed_references_on_shared_labels() {
    let mut rng = Rng::new(seed());
    let mut batch = Batch::new();
    for _ in 0..200 {
        let mut memory = vec![0; 4096];
        let mut buf = Buf::new(&mut memory).expect("large");
        let mut labels = [Label::new(); 6];
        let mut places = [None; 6];
        let mut lines = Vec::new();
        let bind_all = |buf: &mut Buf, labels: &mut [Label; 6], places: &mut [Option<usize>; 6]| {
            for (label, place) in labels.iter_mut().zip(places).filter(|(_, place)| place.is_none()) {
                a64::bind(buf, label);
                *place = Some(buf.pos());
            }
        };
        for _ in 0..rng.below(300) + 1 {
            let which = rng.below(labels.len());
            match rng.below(12) {
                0 if places[which].is_none() && rng.below(3) == 0 => {
                    a64::bind(&mut buf, &mut labels[which]);
                    places[which] = Some(buf.pos());
                }
                0..=2 => {
                    a64::nop(&mut buf);
                    lines.push(("nop".to_owned(), None));
                }
                _ => {
                    let kind = rng.below(KINDS);
                    let reference = reference(kind, &mut Draw::new(&mut rng, None));
                    (reference.put)(&mut buf, &mut labels[which]);
                    lines.push((reference.text, Some(which)));
                }
            }
        }
        bind_all(&mut buf, &mut labels, &mut places);
        assert!(labels.iter().all(|label| !label.is_pending()));
        assert_eq!(buf.finish(), Ok(lines.len() * 4));
        for (index, (text, which)) in lines.into_iter().enumerate() {
            let distance = which.map(|which| places[which].expect("all are bound") as i64 - index as i64 * 4);
            let text = distance.map_or(text.clone(), |distance| format!("{text}#{distance}"));
            batch.expect(text, word(&memory, index * 4));
        }
    }
    batch.check();
}

#[test]
fn misuse_of_labels() {
    let mut memory = [0; 64];
    let mut label = Label::new();
    let mut buf = Buf::new(&mut memory).expect("large");
    a64::bind(&mut buf, &mut label);
    a64::nop(&mut buf);
    a64::bind(&mut buf, &mut label);
    assert_eq!(buf.finish(), Err(EmitError::Label { at: 4 }), "bound twice");

    let mut buf = Buf::new(&mut memory).expect("large");
    a64::nop(&mut buf);
    let mut label = Label::new();
    a64::b(&mut buf, &mut label);
    assert!(label.is_pending());
    let mut other_memory = [0; 64];
    let mut other = Buf::new(&mut other_memory).expect("large");
    for _ in 0..3 {
        a64::nop(&mut other);
    }
    a64::bind(&mut other, &mut label);
    assert_eq!(other.finish(), Err(EmitError::Label { at: 4 }), "its reference is in another buffer");

    // A branch at an offset that is no multiple of 4 cannot name an instruction at one that is.
    for bound in [false, true] {
        let mut buf = Buf::new(&mut memory).expect("large");
        let mut label = Label::new();
        if bound {
            a64::bind(&mut buf, &mut label);
        } else {
            a64::b(&mut buf, &mut label);
        }
        let at = buf.pos() + 2;
        buf.put(0, 2);
        a64::b(&mut buf, &mut label);
        assert_eq!(buf.finish(), Err(EmitError::BranchRange { at, target: 0 }));
    }
}
