//! What must be refused: one beyond each range, and memory that is too small.

use crate::cases;
use crate::draw::{Draw, Rng, seed};
use opstamp::asm::a64::{self, *};
use opstamp::asm::{Buf, EmitError, Label};

#[test]
fn one_beyond_each_range() {
    for value in [0, 1, 4095, 4096, 8192, 4095 << 12] {
        assert!(Imm12::new(value).is_some(), "{value}");
    }
    for value in [4097, 4096 + 2048, 8191, (4095 << 12) + 1, 4096 << 12, 1 << 36, u64::MAX, 1 << 63] {
        assert!(Imm12::new(value).is_none(), "{value}");
    }
    for (size, good, bad) in [(Size::W, 31, 32), (Size::X, 63, 64)] {
        assert_eq!(Shift6::new(good, size).map(|s| (s.amount(), s.size())), Some((good as u32, size)));
        assert!(
            Shift6::new(bad, size).is_none()
                && Shift6::new(u64::MAX, size).is_none()
                && Shift6::new(1 << 32, size).is_none()
        );
        let (good, bad) = (good as u32, bad as u32);
        assert!(BitField::new(good, good, size).is_some());
        assert!(BitField::new(good, bad, size).is_none() && BitField::new(bad, good, size).is_none());
        assert!(BitField::new(u32::MAX, 0, size).is_none() && BitField::new(0, u32::MAX, size).is_none());
    }
    for lsl in 0..=256 {
        assert_eq!(MoveImm::new(1, lsl, Size::W).is_some(), [0, 16].contains(&lsl), "{lsl}");
        assert_eq!(MoveImm::new(1, lsl, Size::X).is_some(), [0, 16, 32, 48].contains(&lsl), "{lsl}");
    }
    assert!(Extended::new(Extend::Uxtb, 4).is_some() && Extended::new(Extend::Uxtb, 5).is_none());
    assert!(Nzcv::new(15).is_some() && Nzcv::new(16).is_none() && Nzcv::new(u32::MAX).is_none());
    assert!(Imm5::new(31).is_some() && Imm5::new(32).is_none() && Imm5::new(1 << 32).is_none());
    for (bytes, good) in [(-257, false), (-256, true), (255, true), (256, false), (i64::MIN, false), (i64::MAX, false)]
    {
        assert_eq!(Offset9::new(bytes).is_some(), good, "{bytes}");
    }
    let mib = 1 << 20;
    for (bytes, good) in [(-mib - 1, false), (-mib, true), (mib - 1, true), (mib, false), (i64::MIN, false)] {
        assert_eq!(AdrOffset::new(bytes).is_some(), good, "{bytes}");
    }
    let gib4 = 1_i64 << 32;
    let pages = [-gib4 - 4096, gib4, 1, 2048, 4095, -1, gib4 - 4095, i64::MIN, i64::MAX];
    assert!(pages.iter().all(|&bytes| PageOffset::new(bytes).is_none()));
    assert!([-gib4, gib4 - 4096, 0, 4096].iter().all(|&bytes| PageOffset::new(bytes).is_some()));
    let mib128 = 1_i64 << 27;
    let far = [-mib128 - 4, mib128, 1, 2, 3, -1, mib128 - 3, i64::MIN, i64::MAX];
    assert!(far.iter().all(|&bytes| BranchOffset::new(bytes).is_none()));
    assert!([-mib128, mib128 - 4, 0, 4].iter().all(|&bytes| BranchOffset::new(bytes).is_some()));
}

/// A base that is written back may not be transferred too, and a pair may not be loaded into one register.
#[test]
fn clashing_registers() {
    let refused = Err(EmitError::Operand { at: 0 });
    let (nine, seven) = (Offset9::new(16).expect("in range"), Offset7::new(16).expect("in range"));
    for number in 0..32 {
        let (t, base) = (X::ALL[number], XSp::ALL[number]);
        // Number 31 is two different registers.
        let clash = number != 31;
        for mem in [Mem::pre(base, nine), Mem::post(base, nine)] {
            assert_eq!(cases::emit(|b| a64::ldr_x(b, t, mem)) == refused, clash);
            assert_eq!(cases::emit(|b| a64::str_x(b, t, mem)) == refused, clash);
        }
        for mem in [Mem::pre(base, nine), Mem::post(base, nine)] {
            assert_eq!(cases::emit(|b| a64::ldrsb(b, Size::W, t, mem)) == refused, clash);
        }
        for mem in [Mem::offset(base, Offset12::new(8).expect("in range")), Mem::unscaled(base, nine)] {
            assert!(cases::emit(|b| a64::ldr_x(b, t, mem)).is_ok());
        }
        assert!(cases::emit(|b| a64::ldr_x(b, t, Mem::index(base, t, IndexExtend::Lsl, true))).is_ok());
        let other = X::ALL[(number + 1) % 31];
        for mem in [PairMem::pre(base, seven), PairMem::post(base, seven)] {
            for (first, second) in [(t, other), (other, t)] {
                assert_eq!(cases::emit(|b| a64::ldp_x(b, first, second, mem)) == refused, clash);
                assert_eq!(cases::emit(|b| a64::stp_x(b, first, second, mem)) == refused, clash);
            }
        }
        let plain = PairMem::offset(base, seven);
        assert!(cases::emit(|b| a64::ldp_x(b, t, other, plain)).is_ok());
        assert!(cases::emit(|b| a64::stp_x(b, t, t, plain)).is_ok());
        assert_eq!(cases::emit(|b| a64::ldp_x(b, t, t, plain)), refused);
        let (d, plain) = (D::ALL[number], PairMem::offset(XSp::Sp, seven));
        assert_eq!(cases::emit(|b| a64::ldp_d(b, d, d, plain)), refused);
        assert!(cases::emit(|b| a64::stp_d(b, d, d, plain)).is_ok());
    }
}

fn scaled<const SCALE: u32>() {
    let size = 1_i64 << SCALE;
    for (bytes, good) in
        [(0, true), (size, true), (4095 * size, true), (4096 * size, false), (i64::MIN, false), (-size, false)]
    {
        assert_eq!(Offset12::<SCALE>::new(bytes as u64).is_some(), good, "{bytes} by {size}");
    }
    let pair = [(-65, false), (-64, true), (0, true), (63, true), (64, false)];
    for (registers, good) in pair {
        assert_eq!(Offset7::<SCALE>::new(registers * size).is_some(), good, "{registers} of {size}");
    }
    assert!(Offset7::<SCALE>::new(i64::MIN).is_none());
    for odd in 1..size {
        assert!(
            Offset12::<SCALE>::new(odd as u64).is_none() && Offset12::<SCALE>::new((16 * size + odd) as u64).is_none()
        );
        assert!(Offset7::<SCALE>::new(odd).is_none() && Offset7::<SCALE>::new(-odd).is_none());
    }
    for bytes in -300..=4096 * size + 300 {
        let (positive, multiple) = (bytes >= 0, bytes % size == 0);
        let expected = if positive && multiple && bytes <= 4095 * size {
            Offset12::new(bytes as u64).map(|offset| Mem::<SCALE>::offset(XSp::X1, offset))
        } else if (-256..=255).contains(&bytes) {
            Offset9::new(bytes).map(|offset| Mem::unscaled(XSp::X1, offset))
        } else {
            None
        };
        assert_eq!(Mem::at(XSp::X1, bytes), expected, "{bytes} by {size}");
    }
}

#[test]
fn scaled_offsets() {
    scaled::<0>();
    scaled::<1>();
    scaled::<2>();
    scaled::<3>();
    scaled::<4>();
}

#[test]
fn registers_and_conditions() {
    assert!(X::from_number(32).is_none() && XSp::from_number(255).is_none() && D::from_number(32).is_none());
    for number in 0..32 {
        let (x, sp) = (X::from_number(number).expect("below 32"), XSp::from_number(number).expect("below 32"));
        let same = if number == 31 { None } else { Some(sp) };
        assert_eq!(XSp::new(x), same);
        assert_eq!(X::new(sp), same.map(|_| x));
    }
    let negated = [("Eq", "Ne"), ("Hs", "Lo"), ("Mi", "Pl"), ("Vs", "Vc"), ("Hi", "Ls"), ("Ge", "Lt"), ("Gt", "Le")];
    for cond in Cond::ALL {
        let (a, b) = (format!("{cond:?}"), format!("{:?}", cond.negate()));
        assert!(negated.contains(&(&a, &b)) || negated.contains(&(&b, &a)), "{a} and {b}");
    }
}

/// A program of `count` instructions with branches to three labels.
fn program(buf: &mut Buf, count: usize) {
    let (mut top, mut out, mut data) = (Label::new(), Label::new(), Label::new());
    a64::bind(buf, &mut top);
    for index in 0..count {
        match index % 8 {
            0 => a64::b(buf, &mut out),
            1 => a64::b_cond(buf, Cond::Lt, &mut out),
            2 => a64::tbz(buf, X::X1, Shift6::new(63, Size::X).expect("in range"), &mut out),
            3 => a64::cbnz(buf, Size::X, X::X2, &mut top),
            4 => a64::ldr_literal_x(buf, X::X3, &mut data),
            5 => a64::adr(buf, X::X4, &mut out),
            6 => a64::add(buf, Size::X, X::X1, X::X2, X::X3),
            _ => a64::nop(buf),
        }
    }
    a64::bind(buf, &mut out);
    a64::bind(buf, &mut data);
}

#[test]
fn memory_of_0_to_64_bytes() {
    const FENCE: usize = 16;
    for length in 0..=64 {
        for count in [0, 1, 2, 3, 5, 8, 13, 14, 15, 40, 5000] {
            let mut memory = [0xA5_u8; 64 + 2 * FENCE];
            let (before, rest) = memory.split_at_mut(FENCE);
            let (lent, after) = rest.split_at_mut(length);
            match Buf::new(lent) {
                None => assert!(length < 8),
                Some(mut buf) => {
                    let (needed, capacity) = (4 * count, length - 8);
                    assert_eq!(buf.capacity(), capacity);
                    program(&mut buf, count);
                    let expected =
                        if needed <= capacity { Ok(needed) } else { Err(EmitError::Full { needed, capacity }) };
                    assert_eq!(buf.finish(), expected, "{count} instructions in {length} bytes");
                }
            }
            assert!(before.iter().chain(&*after).all(|&byte| byte == 0xA5), "{length} bytes: wrote outside");
        }
    }
}

#[test]
fn every_instruction_in_full_memory() {
    let mut rng = Rng::new(seed());
    for (name, build) in cases::all() {
        cases::with_memory(8, || {
            let case = build(&mut Draw::new(&mut rng, None));
            let expected = match case.text {
                Some(_) => EmitError::Full { needed: 4, capacity: 0 },
                None => EmitError::Operand { at: 0 },
            };
            assert_eq!(case.word, Err(expected), "{name}");
        });
    }
}

#[test]
fn at_most_2_gib() {
    // Zeroed pages that are never touched take no memory.
    let mut memory = vec![0_u8; (1 << 31) + (1 << 20)];
    assert_eq!(Buf::new(&mut memory).map(|buf| buf.capacity()), Some((1 << 31) - 8));
}
