//! What is refused, and what happens when there is no room.

use opstamp::asm::x64::*;
use opstamp::asm::{Buf, EmitError, Label};

use crate::want::{Address, GPRS, XMMS};
use crate::{FIRST, Pick, emit, forms};

#[test]
fn no_other_registers() {
    for (number, (gpr, _)) in (0..).zip(GPRS) {
        assert_eq!(Gpr::from_index(number), Some(gpr));
        assert_eq!(gpr.index(), number);
        assert_eq!(Gpr::ALL[usize::from(number)], gpr);
    }
    for (number, (xmm, _)) in (0..).zip(XMMS) {
        assert_eq!(Xmm::from_index(number), Some(xmm));
        assert_eq!(xmm.index(), number);
        assert_eq!(Xmm::ALL[usize::from(number)], xmm);
    }
    for number in 16..=255 {
        assert_eq!(Gpr::from_index(number), None);
        assert_eq!(Xmm::from_index(number), None);
    }
}

#[test]
fn rsp_is_no_index() {
    for (base, _) in GPRS {
        for scale in [Scale::X1, Scale::X2, Scale::X4, Scale::X8] {
            for disp in [0, 1, i32::MIN] {
                assert_eq!(Mem::indexed(base, Gpr::Rsp, scale, disp), None);
                assert!(Mem::indexed(base, Gpr::R12, scale, disp).is_some());
            }
        }
    }
}

#[test]
fn rotates_have_no_flagless_form_by_register() {
    for op in [Shift::Rol, Shift::Ror] {
        for (size, _) in forms::SIZES {
            let mem = Mem::base(Gpr::Rax, 0);
            let refused = Err(EmitError::Operand { at: 1 });
            let after_one = |f: &dyn Fn(&mut Asm<'_>)| {
                emit(40, |m| {
                    m.ret();
                    f(m);
                    assert_eq!(m.buf.pos(), 1, "nothing was emitted");
                })
            };
            assert_eq!(after_one(&|m| m.shiftx_rr(op, size, Gpr::Rax, Gpr::Rcx, Gpr::Rdx)), refused);
            assert_eq!(after_one(&|m| m.shiftx_rm(op, size, Gpr::Rax, mem, Gpr::Rdx)), refused);
        }
    }
}

#[test]
fn labels_are_bound_once_and_in_their_own_buffer() {
    let twice = emit(40, |m| {
        let mut label = Label::new();
        m.bind(&mut label);
        m.ret();
        m.bind(&mut label);
    });
    assert_eq!(twice, Err(EmitError::Label { at: 1 }));

    // A reference in another buffer, at or beyond the end of what this one holds.
    for length in 0..5 {
        let mut label = Label::new();
        emit(40, |m| m.jmp(&mut label)).expect("room");
        let foreign = emit(40, |m| {
            m.nop(length);
            m.bind(&mut label);
        });
        assert_eq!(foreign, Err(EmitError::Label { at: 1 }), "{length} bytes");
    }

    // A field that names itself, or another that cannot be before it: the walk must end.
    for named in [0u32, 1, 3, 4, 11, 100, u32::MAX - 1] {
        let garbled = emit(40, |m| {
            let mut label = Label::new();
            m.buf.put(0, 2);
            m.jmp(&mut label);
            m.buf.patch_u32(3, named + 1);
            m.ret();
            m.bind(&mut label);
        });
        assert_eq!(garbled, Err(EmitError::Label { at: named as usize }));
    }
}

#[test]
fn displacements_end_at_32_bits() {
    const MAX: usize = i32::MAX as usize;
    type Emit = fn(&mut Asm<'_>, usize);
    // Each with its length, the displacement being the last 4 bytes.
    let forms: [(&str, usize, Emit); 6] = [
        ("jmp_to", 5, |m, target| m.jmp_to(target)),
        ("call_to", 5, |m, target| m.call_to(target)),
        ("jmp", 5, |m, target| m.jmp(&mut Label::bound_at(target))),
        ("jcc", 6, |m, target| m.jcc(Cc::L, &mut Label::bound_at(target))),
        ("call", 5, |m, target| m.call(&mut Label::bound_at(target))),
        ("lea_label", 7, |m, target| m.lea_label(Gpr::R9, &mut Label::bound_at(target))),
    ];
    for (name, len, form) in forms {
        // A label holds 31 bits, so its farthest target is below what a displacement could reach.
        let of_label = !name.ends_with("_to");
        let last = if of_label { MAX } else { MAX + len };
        let bytes = emit(40, |m| form(m, last)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(bytes.len(), len, "{name}");
        assert_eq!(bytes[len - 4..], (last as u32 - len as u32).to_le_bytes(), "{name}");
        if !of_label {
            for target in [last + 1, MAX * 2, MAX * 3, usize::MAX / 2, usize::MAX / 2 + 1, usize::MAX - 3, usize::MAX] {
                let refused = Err(EmitError::BranchRange { at: len - 4, target });
                assert_eq!(emit(40, |m| form(m, target)), refused, "{name} {target:#x}");
            }
        }
    }
}

/// Displacements end backward, and labels have no places, near 2 GiB. The position gets there without the memory: an
/// overflowing buffer keeps counting, and reports an error that was recorded rather than the overflow.
#[test]
fn two_gibibytes() {
    const EDGE: usize = 1 << 31;
    let mut memory = [0; 8];
    let mut far = Asm::new(Buf::new(&mut memory).expect("8 bytes"));
    for _ in 0..EDGE / 8 - 1 {
        far.buf.put(0, 8);
    }
    // Getting there takes seconds, so each case continues from a copy.
    let after = |start: usize, f: &dyn Fn(&mut Asm<'_>)| {
        // SAFETY: `Asm` drops nothing, `memory` outlives the copy, and only one copy at a time writes to it.
        let mut asm = unsafe { std::ptr::read(&far) };
        asm.buf.put(0, start - asm.buf.pos());
        f(&mut asm);
        asm.buf.finish().expect_err("8 bytes hold nothing")
    };
    let ends = after(EDGE - 5, &|m| {
        // -2^31, and one less.
        m.jmp_to(0);
        assert_eq!(m.buf.check(), Err(EmitError::Full { needed: EDGE, capacity: 0 }));
        m.call_to(4);
    });
    assert_eq!(ends, EmitError::BranchRange { at: EDGE + 1, target: 4 });

    // 2^31 - 2 is the last place of a label and the last field that can name it.
    let place = after(EDGE - 2, &|m| {
        m.bind(&mut Label::new());
        assert!(matches!(m.buf.check(), Err(EmitError::Full { .. })));
        m.ret();
        m.bind(&mut Label::new());
    });
    assert_eq!(place, EmitError::BranchRange { at: EDGE - 1, target: EDGE - 1 });
    let field = after(EDGE - 4, &|m| {
        m.jcc(Cc::O, &mut Label::new());
        assert!(matches!(m.buf.check(), Err(EmitError::Full { .. })));
        m.jmp(&mut Label::new());
    });
    assert_eq!(field, EmitError::BranchRange { at: EDGE + 3, target: EDGE + 3 });
}

/// Every instruction into every small buffer: no panic, no byte outside, and the error says what was needed.
#[test]
fn small_buffers() {
    let addresses = [
        Address { base: 3, index: None, disp: 0 },
        Address { base: 12, index: None, disp: 1 },
        Address { base: 13, index: Some((9, 8)), disp: i32::MIN },
    ];
    for mem in addresses {
        let pick = Pick { a: 9, b: 12, c: 13, mem, imm: i32::MIN, ..FIRST };
        forms::all(&pick, &mut |f, want| overflows(&want.to_string(), f));
    }
    overflows("jmp", &|m| m.jmp(&mut Label::new()));
    overflows("jcc", &|m| m.jcc(Cc::E, &mut Label::new()));
    overflows("call", &|m| m.call(&mut Label::new()));
    overflows("lea", &|m| m.lea_label(Gpr::R8, &mut Label::new()));
    overflows("jmp_to", &|m| m.jmp_to(0));
    overflows("call_to", &|m| m.call_to(1000));
    for n in 0..20 {
        overflows("nop", &|m| m.nop(n));
    }
    overflows("a chain", &|m| {
        let mut label = Label::new();
        m.jmp(&mut label);
        m.jcc(Cc::G, &mut label);
        m.lea_label(Gpr::Rbx, &mut label);
        m.call(&mut label);
        m.bind(&mut label);
        m.jmp(&mut label);
    });
    // Clamped stores overwrite a reference that did fit: its field names an offset that no label can have.
    overflows("a chain, then more", &|m| {
        let mut label = Label::new();
        m.jmp(&mut label);
        m.jmp(&mut label);
        (0..3).for_each(|_| m.mov_ri(Gpr::Rax, u64::MAX - (1 << 32)));
        m.bind(&mut label);
    });
}

fn overflows(what: &str, f: &dyn Fn(&mut Asm<'_>)) {
    const TIMES: usize = 12;
    // Instructions differ in length by where they stand, so the length comes from a buffer that is large enough.
    let whole = emit(1000, |m| (0..TIMES).for_each(|_| f(m))).expect("room").len();
    for size in 0..64 {
        let mut memory = [0xaa; 64 + 32];
        let Some(buf) = Buf::new(&mut memory[16..16 + size]) else {
            assert!(size < 8);
            continue;
        };
        let mut asm = Asm::new(buf);
        let capacity = asm.buf.capacity();
        assert_eq!(capacity, size - 8);
        (0..TIMES).for_each(|_| f(&mut asm));
        match asm.buf.finish() {
            Ok(len) => assert!(len == whole && len <= capacity, "{what} into {size} bytes"),
            Err(EmitError::Full { needed, capacity: reported }) => {
                assert!(needed > capacity && needed <= whole && reported == capacity, "{what} into {size} bytes");
            }
            Err(other) => panic!("{what} into {size} bytes: {other}"),
        }
        assert!(memory[..16].iter().chain(&memory[16 + size..]).all(|&b| b == 0xaa), "{what} into {size} bytes");
    }
}

#[test]
fn padding_without_end_is_refused_at_once() {
    for n in [33, 1 << 40, usize::MAX] {
        assert_eq!(emit(40, |m| m.nop(n)), Err(EmitError::Full { needed: n, capacity: 32 }));
        let far = emit(40, |m| {
            m.ret();
            m.align(n);
        });
        assert_eq!(far, Err(EmitError::Full { needed: n, capacity: 32 }));
    }
}
