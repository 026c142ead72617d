//! Every instruction of the encoder with one choice of operands, beside what it is meant to be.

use opstamp::asm::x64::*;

use crate::want::{Address, Arg, GPRS, Want, XMMS, want};

/// Receives each instruction: how to emit it and what it is.
pub type Out<'a> = &'a mut dyn FnMut(&dyn Fn(&mut Asm<'_>), Want);

/// The operands to use; registers by number.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    pub a: usize,
    pub b: usize,
    pub c: usize,
    pub mem: Address,
    pub imm: i32,
    pub count: u8,
}

impl Pick {
    fn gprs(&self) -> [Gpr; 3] {
        [GPRS[self.a].0, GPRS[self.b].0, GPRS[self.c].0]
    }

    fn xmms(&self) -> [Xmm; 3] {
        [XMMS[self.a].0, XMMS[self.b].0, XMMS[self.c].0]
    }
}

/// The encoder's operand for `address`, which must have an encoding.
pub fn mem(address: Address) -> Mem {
    let base = GPRS[address.base].0;
    match address.index {
        None => Mem::base(base, address.disp),
        Some((index, factor)) => {
            let scale = match factor {
                1 => Scale::X1,
                2 => Scale::X2,
                4 => Scale::X4,
                _ => Scale::X8,
            };
            Mem::indexed(base, GPRS[index].0, scale, address.disp).expect("an index other than rsp")
        }
    }
}

pub const SIZES: [(Size, usize); 2] = [(Size::B4, 4), (Size::B8, 8)];
const ALU: [(Alu, &str); 8] = [
    (Alu::Add, "add"),
    (Alu::Or, "or"),
    (Alu::Adc, "adc"),
    (Alu::Sbb, "sbb"),
    (Alu::And, "and"),
    (Alu::Sub, "sub"),
    (Alu::Xor, "xor"),
    (Alu::Cmp, "cmp"),
];
const SHIFT: [(Shift, &str); 5] =
    [(Shift::Rol, "rol"), (Shift::Ror, "ror"), (Shift::Shl, "shl"), (Shift::Shr, "shr"), (Shift::Sar, "sar")];
const SHIFTX: [(Shift, &str); 3] = [(Shift::Shl, "shlx"), (Shift::Shr, "shrx"), (Shift::Sar, "sarx")];
const UNARY: [(Unary, &str); 6] = [
    (Unary::Not, "not"),
    (Unary::Neg, "neg"),
    (Unary::Mul, "mul"),
    (Unary::Imul, "imul"),
    (Unary::Div, "div"),
    (Unary::Idiv, "idiv"),
];
const BITS: [(Bits, &str); 5] =
    [(Bits::Bsf, "bsf"), (Bits::Bsr, "bsr"), (Bits::Lzcnt, "lzcnt"), (Bits::Tzcnt, "tzcnt"), (Bits::Popcnt, "popcnt")];
pub const CC: [(Cc, &str); 16] = [
    (Cc::O, "o"),
    (Cc::No, "no"),
    (Cc::B, "b"),
    (Cc::Ae, "ae"),
    (Cc::E, "e"),
    (Cc::Ne, "ne"),
    (Cc::Be, "be"),
    (Cc::A, "a"),
    (Cc::S, "s"),
    (Cc::Ns, "ns"),
    (Cc::P, "p"),
    (Cc::Np, "np"),
    (Cc::L, "l"),
    (Cc::Ge, "ge"),
    (Cc::Le, "le"),
    (Cc::G, "g"),
];
const SSE: [(Sse, &str); 7] = [
    (Sse::Add, "addsd"),
    (Sse::Sub, "subsd"),
    (Sse::Mul, "mulsd"),
    (Sse::Div, "divsd"),
    (Sse::Min, "minsd"),
    (Sse::Max, "maxsd"),
    (Sse::Sqrt, "sqrtsd"),
];
const LOGIC: [(SseLogic, &str); 4] =
    [(SseLogic::And, "andpd"), (SseLogic::Andn, "andnpd"), (SseLogic::Or, "orpd"), (SseLogic::Xor, "xorpd")];
/// SDM vol. 2, CMPSD, table 3-1.
const PREDICATES: [(Predicate, i64); 2] = [(Predicate::Unordered, 3), (Predicate::Ordered, 7)];
/// Rounding control with bit 3, the precision exception's mask (SDM vol. 2, ROUNDSD, figure 4-24).
const ROUND: [(Round, i64); 4] = [(Round::Nearest, 8), (Round::Floor, 9), (Round::Ceil, 10), (Round::Trunc, 11)];
const FMA: [(Fma, &str); 3] = [(Fma::F132, "vfmadd132sd"), (Fma::F213, "vfmadd213sd"), (Fma::F231, "vfmadd231sd")];

fn imm8(value: impl Into<i64>) -> Arg {
    Arg::Imm(value.into(), 8)
}

/// What has no operand.
pub fn plain(out: Out<'_>) {
    out(&|m| m.cqo(), want("cqo", []));
    out(&|m| m.cdq(), want("cdq", []));
    out(&|m| m.ret(), want("ret", []));
    out(&|m| m.int3(), want("int3", []));
    out(&|m| m.ud2(), want("ud2", []));
    out(&|m| m.pause(), want("pause", []));
}

/// What takes one or two registers: `a` and `b`.
pub fn registers(p: &Pick, out: Out<'_>) {
    let ([a, b, _], [x, y, _]) = (p.gprs(), p.xmms());
    let (a8, b8) = (Arg::Reg(p.a, 8), Arg::Reg(p.b, 8));
    let (xv, yv) = (Arg::Vec(p.a), Arg::Vec(p.b));
    for (size, bytes) in SIZES {
        let (ra, rb, cl) = (Arg::Reg(p.a, bytes), Arg::Reg(p.b, bytes), Arg::Reg(1, 1));
        for (op, name) in ALU {
            out(&|m| m.alu_rr(op, size, a, b), want(name, [ra, rb]));
        }
        out(&|m| m.mov_rr(size, a, b), want("mov", [ra, rb]));
        out(&|m| m.imul_rr(size, a, b), want("imul", [ra, rb]));
        out(&|m| m.test_rr(size, a, b), want("test", [ra, rb]));
        out(&|m| m.xchg_rr(size, a, b), want("xchg", [ra, rb]));
        for (op, name) in UNARY {
            out(&|m| m.unary_r(op, size, a), want(name, [ra]));
        }
        for (op, name) in SHIFT {
            out(&|m| m.shift_rcl(op, size, a), want(name, [ra, cl]));
        }
        for (cc, name) in CC {
            out(&|m| m.cmov_rr(cc, size, a, b), want(format!("cmov{name}"), [ra, rb]));
        }
        for (op, name) in BITS {
            out(&|m| m.bits_rr(op, size, a, b), want(name, [ra, rb]));
        }
    }
    for (cc, name) in CC {
        out(&|m| m.setcc(cc, a), want(format!("set{name}"), [Arg::Reg(p.a, 1)]));
    }
    out(&|m| m.movzx8_rr(a, b), want("movzx", [Arg::Reg(p.a, 4), Arg::Reg(p.b, 1)]));
    out(&|m| m.movsx32_rr(a, b), want("movsxd", [a8, Arg::Reg(p.b, 4)]));
    out(&|m| m.push_r(a), want("push", [a8]));
    out(&|m| m.pop_r(a), want("pop", [a8]));
    out(&|m| m.call_r(a), want("call", [a8]));
    out(&|m| m.jmp_r(a), want("jmp", [a8]));

    out(&|m| m.movaps_rr(x, y), want("movaps", [xv, yv]));
    for (op, name) in SSE {
        out(&|m| m.sse_rr(op, x, y), want(name, [xv, yv]));
    }
    for (op, name) in LOGIC {
        out(&|m| m.logic_rr(op, x, y), want(name, [xv, yv]));
    }
    for (mode, imm) in ROUND {
        out(&|m| m.roundsd_rr(mode, x, y), want("roundsd", [xv, yv, imm8(imm)]));
    }
    out(&|m| m.ucomisd_rr(x, y), want("ucomisd", [xv, yv]));
    for (predicate, imm) in PREDICATES {
        out(&|m| m.cmpsd_rr(predicate, x, y), want("cmpsd", [xv, yv, imm8(imm)]));
    }
    out(&|m| m.pcmpeqd_rr(x, y), want("pcmpeqd", [xv, yv]));
    out(&|m| m.cvtsi2sd_rr(x, b), want("cvtsi2sd", [xv, b8]));
    out(&|m| m.cvttsd2si_rr(a, y), want("cvttsd2si", [a8, yv]));
    out(&|m| m.movq_xr(x, b), want("movq", [xv, b8]));
    out(&|m| m.movq_rx(a, y), want("movq", [a8, yv]));
}

/// What takes three registers.
pub fn triples(p: &Pick, out: Out<'_>) {
    let ([a, b, c], [x, y, z]) = (p.gprs(), p.xmms());
    let vectors = [Arg::Vec(p.a), Arg::Vec(p.b), Arg::Vec(p.c)];
    for (op, name) in SHIFTX {
        for (size, bytes) in SIZES {
            let args = [p.a, p.b, p.c].map(|r| Arg::Reg(r, bytes));
            out(&|m| m.shiftx_rr(op, size, a, b, c), want(name, args));
        }
    }
    for (form, name) in FMA {
        out(&|m| m.fma_rr(form, x, y, z), want(name, vectors));
    }
    for (op, name) in SSE {
        out(&|m| m.avx_rrr(op, x, y, z), want(format!("v{name}"), vectors));
    }
    for (op, name) in LOGIC {
        out(&|m| m.avx_logic_rrr(op, x, y, z), want(format!("v{name}"), vectors));
    }
    let [d, one, other] = vectors;
    for (predicate, imm) in PREDICATES {
        out(&|m| m.avx_cmpsd_rrr(predicate, x, y, z), want("vcmpsd", [d, one, other, imm8(imm)]));
    }
}

/// What takes memory, with one instruction for each length of what stands before and behind the memory operand.
pub fn memory_shapes(p: &Pick, out: Out<'_>) {
    let ([a, _, c], [x, y, _]) = (p.gprs(), p.xmms());
    let mem = mem(p.mem);
    let at = |bytes| Arg::Mem(p.mem, bytes);
    let (a4, a8, xv, yv) = (Arg::Reg(p.a, 4), Arg::Reg(p.a, 8), Arg::Vec(p.a), Arg::Vec(p.b));
    out(&|m| m.alu_rm(Alu::Sub, Size::B4, a, mem), want("sub", [a4, at(4)]));
    out(&|m| m.mov_rm(Size::B8, a, mem), want("mov", [a8, at(8)]));
    out(&|m| m.alu_mi(Alu::Add, Size::B4, mem, 127), want("add", [at(4), Arg::Imm(127, 32)]));
    out(&|m| m.alu_mi(Alu::Cmp, Size::B8, mem, -129), want("cmp", [at(8), Arg::Imm(-129, 64)]));
    out(&|m| m.movzx16_rm(a, mem), want("movzx", [a4, at(2)]));
    out(&|m| m.sse_rm(Sse::Mul, x, mem), want("mulsd", [xv, at(8)]));
    out(&|m| m.roundsd_rm(Round::Trunc, x, mem), want("roundsd", [xv, at(8), imm8(11)]));
    out(&|m| m.cmpsd_rm(Predicate::Ordered, x, mem), want("cmpsd", [xv, at(8), imm8(7)]));
    out(&|m| m.avx_rrm(Sse::Div, x, y, mem), want("vdivsd", [xv, yv, at(8)]));
    out(&|m| m.shiftx_rm(Shift::Sar, Size::B8, a, mem, c), want("sarx", [a8, at(8), Arg::Reg(p.c, 8)]));
    out(&|m| m.rorx_mi(Size::B4, a, mem, 31), want("rorx", [a4, at(4), imm8(31)]));
}

/// Everything that takes memory, with register `a` and, where there is one more, `b`.
pub fn memory(p: &Pick, out: Out<'_>) {
    let ([a, b, _], [x, y, _]) = (p.gprs(), p.xmms());
    let mem = mem(p.mem);
    let at = |bytes| Arg::Mem(p.mem, bytes);
    let (a4, a8) = (Arg::Reg(p.a, 4), Arg::Reg(p.a, 8));
    let (xv, yv) = (Arg::Vec(p.a), Arg::Vec(p.b));
    for (size, bytes) in SIZES {
        let (ra, rb, cl) = (Arg::Reg(p.a, bytes), Arg::Reg(p.b, bytes), Arg::Reg(1, 1));
        for (op, name) in ALU {
            out(&|m| m.alu_rm(op, size, a, mem), want(name, [ra, at(bytes)]));
            out(&|m| m.alu_mr(op, size, mem, a), want(name, [at(bytes), ra]));
        }
        out(&|m| m.mov_rm(size, a, mem), want("mov", [ra, at(bytes)]));
        out(&|m| m.mov_mr(size, mem, a), want("mov", [at(bytes), ra]));
        out(&|m| m.lea(size, a, mem), want("lea", [ra, at(0)]));
        out(&|m| m.imul_rm(size, a, mem), want("imul", [ra, at(bytes)]));
        for (op, name) in UNARY {
            out(&|m| m.unary_m(op, size, mem), want(name, [at(bytes)]));
        }
        for (op, name) in SHIFT {
            out(&|m| m.shift_mcl(op, size, mem), want(name, [at(bytes), cl]));
        }
        for (op, name) in SHIFTX {
            out(&|m| m.shiftx_rm(op, size, a, mem, b), want(name, [ra, at(bytes), rb]));
        }
        for (cc, name) in CC {
            out(&|m| m.cmov_rm(cc, size, a, mem), want(format!("cmov{name}"), [ra, at(bytes)]));
        }
        for (op, name) in BITS {
            out(&|m| m.bits_rm(op, size, a, mem), want(name, [ra, at(bytes)]));
        }
    }
    out(&|m| m.movzx8_rm(a, mem), want("movzx", [a4, at(1)]));
    out(&|m| m.movzx16_rm(a, mem), want("movzx", [a4, at(2)]));
    out(&|m| m.movsx32_rm(a, mem), want("movsxd", [a8, at(4)]));
    out(&|m| m.mov_mr8(mem, a), want("mov", [at(1), Arg::Reg(p.a, 1)]));
    out(&|m| m.mov_mr16(mem, a), want("mov", [at(2), Arg::Reg(p.a, 2)]));
    out(&|m| m.push_m(mem), want("push", [at(8)]));
    out(&|m| m.pop_m(mem), want("pop", [at(8)]));
    out(&|m| m.call_m(mem), want("call", [at(8)]));
    out(&|m| m.jmp_m(mem), want("jmp", [at(8)]));

    out(&|m| m.ldmxcsr(mem), want("ldmxcsr", [at(4)]));
    out(&|m| m.stmxcsr(mem), want("stmxcsr", [at(4)]));
    out(&|m| m.movsd_rm(x, mem), want("movsd", [xv, at(8)]));
    out(&|m| m.movsd_mr(mem, x), want("movsd", [at(8), xv]));
    out(&|m| m.movups_rm(x, mem), want("movups", [xv, at(16)]));
    out(&|m| m.movups_mr(mem, x), want("movups", [at(16), xv]));
    for (op, name) in SSE {
        out(&|m| m.sse_rm(op, x, mem), want(name, [xv, at(8)]));
        out(&|m| m.avx_rrm(op, x, y, mem), want(format!("v{name}"), [xv, yv, at(8)]));
    }
    for (op, name) in LOGIC {
        out(&|m| m.avx_logic_rrm(op, x, y, mem), want(format!("v{name}"), [xv, yv, at(16)]));
    }
    for (mode, imm) in ROUND {
        out(&|m| m.roundsd_rm(mode, x, mem), want("roundsd", [xv, at(8), imm8(imm)]));
    }
    out(&|m| m.ucomisd_rm(x, mem), want("ucomisd", [xv, at(8)]));
    out(&|m| m.cvtsi2sd_rm(x, mem), want("cvtsi2sd", [xv, at(8)]));
    out(&|m| m.cvttsd2si_rm(a, mem), want("cvttsd2si", [a8, at(8)]));
    for (form, name) in FMA {
        out(&|m| m.fma_rm(form, x, y, mem), want(name, [xv, yv, at(8)]));
    }
}

/// What takes a 32-bit immediate.
pub fn immediates(p: &Pick, out: Out<'_>) {
    let ([a, b, _], value) = (p.gprs(), p.imm);
    let mem = mem(p.mem);
    for (size, bytes) in SIZES {
        let (ra, rb, at) = (Arg::Reg(p.a, bytes), Arg::Reg(p.b, bytes), Arg::Mem(p.mem, bytes));
        let imm = Arg::Imm(value.into(), bytes as u32 * 8);
        for (op, name) in ALU {
            out(&|m| m.alu_ri(op, size, a, value), want(name, [ra, imm]));
            out(&|m| m.alu_mi(op, size, mem, value), want(name, [at, imm]));
        }
        out(&|m| m.test_ri(size, a, value), want("test", [ra, imm]));
        out(&|m| m.test_mi(size, mem, value), want("test", [at, imm]));
        out(&|m| m.imul_rri(size, a, b, value), want("imul", [ra, rb, imm]));
        out(&|m| m.imul_rmi(size, a, mem, value), want("imul", [ra, at, imm]));
        out(&|m| m.mov_mi(size, mem, value), want("mov", [at, imm]));
    }
}

/// What takes a count of 8 bits.
pub fn counts(p: &Pick, out: Out<'_>) {
    let ([a, b, _], [x, ..], count) = (p.gprs(), p.xmms(), p.count);
    let (mem, imm) = (mem(p.mem), imm8(p.count));
    for (size, bytes) in SIZES {
        let (ra, rb, at) = (Arg::Reg(p.a, bytes), Arg::Reg(p.b, bytes), Arg::Mem(p.mem, bytes));
        for (op, name) in SHIFT {
            out(&|m| m.shift_ri(op, size, a, count), want(name, [ra, imm]));
            out(&|m| m.shift_mi(op, size, mem, count), want(name, [at, imm]));
        }
        out(&|m| m.rorx_ri(size, a, b, count), want("rorx", [ra, rb, imm]));
        out(&|m| m.rorx_mi(size, a, mem, count), want("rorx", [ra, at, imm]));
    }
    out(&|m| m.psrlq_ri(x, count), want("psrlq", [Arg::Vec(p.a), imm]));
    out(&|m| m.psllq_ri(x, count), want("psllq", [Arg::Vec(p.a), imm]));
}

/// `mov_ri`: the manual's shortest mov that gives all 64 bits.
pub fn constant(d: usize, value: u64, out: Out<'_>) {
    let reg = GPRS[d].0;
    let want = if value < 1 << 32 {
        want("mov", [Arg::Reg(d, 4), Arg::Imm(value as i64, 32)])
    } else if (-(1 << 31)..1 << 31).contains(&(value as i64)) {
        want("mov", [Arg::Reg(d, 8), Arg::Imm(value as i64, 64)])
    } else {
        want("movabs", [Arg::Reg(d, 8), Arg::Imm(value as i64, 64)])
    };
    out(&|m| m.mov_ri(reg, value), want);
}

/// Every instruction with one choice of operands.
pub fn all(p: &Pick, out: Out<'_>) {
    plain(out);
    registers(p, out);
    triples(p, out);
    memory_shapes(p, out);
    memory(p, out);
    immediates(p, out);
    counts(p, out);
    for value in [p.imm as u64, p.imm as u32 as u64, (p.imm as u64) << 17 ^ u64::from(p.count)] {
        constant(p.a, value, out);
    }
}
