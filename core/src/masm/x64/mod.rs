//! The macro assembler for x86-64. The register convention is [`convention`].

mod calls;
pub mod convention;
mod floats;
mod flow;
mod ints;
pub mod lane;
mod objects;
mod stubs;

use super::FUNCTION_ALIGN;
use super::{Any, COLD_CAPACITY, Cold, ColdKind, Float, Int, Masm, Place, PlainOp, PoolReg, Prepared, Src, Stubs};
use crate::asm::x64::{Alu, Asm, Cc, Gpr, Mem, Size, Xmm};
use crate::asm::{Buf, EmitError, Label};
use crate::runtime::context::Context;
use crate::runtime::trap::{Site, Trap, TrapKind};
use convention::{CONTEXT, FLOAT_POOL, FRAME, INT_POOL, NEAR, SITE};

const B8: Size = Size::B8;
const B4: Size = Size::B4;

/// The macro assembler for x86-64.
pub struct X64<'m> {
    asm: Asm<'m>,
    place: Place,
    cold: heapless::Vec<Cold, COLD_CAPACITY>,
    /// The function's entry.
    entry: Label,
    /// Where the function is left for the interpreter, and where it goes on with what the frame holds.
    leave: Label,
    reload: Label,
    lane: lane::Lane,
}

/// The frame slot at a byte offset. Frames end below 2^20 bytes, and a callee's begins where its caller's ends.
#[cfg_attr(not(small), inline(always))]
fn slot(offset: u32) -> Mem {
    Mem::base(FRAME, offset as i32)
}

/// The context's word at a byte offset.
#[cfg_attr(not(small), inline(always))]
fn context(offset: usize) -> Mem {
    Mem::base(CONTEXT, offset as i32)
}

/// The general register of a machine number that the pool handed out.
#[cfg_attr(not(small), inline(always))]
fn gpr(number: u32) -> Gpr {
    Gpr::from_low_bits(number as u8)
}

/// The vector register of a machine number that the pool handed out.
#[cfg_attr(not(small), inline(always))]
fn xmm(number: u32) -> Xmm {
    Xmm::from_low_bits(number as u8)
}

impl X64<'_> {
    /// The register that `x` is in; if it is in the frame, `scratch`, loaded with it.
    #[inline]
    fn in_gpr(&mut self, x: Int, scratch: Gpr) -> Gpr {
        match x {
            Int::Reg(reg) => gpr(reg.0),
            Int::Slot(at) => {
                self.asm.mov_rm(B8, scratch, slot(at));
                scratch
            }
        }
    }

    /// The register that `x` is in; if it is in the frame, `scratch`, loaded with it.
    #[inline]
    fn in_xmm(&mut self, x: Float, scratch: Xmm) -> Xmm {
        match x {
            Float::Reg(reg) => xmm(reg.0),
            Float::Slot(at) => {
                self.asm.movsd_rm(scratch, slot(at));
                scratch
            }
        }
    }

    /// The register to compute `d` in: its own, or `scratch`. [`X64::put`] completes it.
    #[cfg_attr(not(small), inline(always))]
    fn target(d: Int, scratch: Gpr) -> Gpr {
        match d {
            Int::Reg(reg) => gpr(reg.0),
            Int::Slot(_) => scratch,
        }
    }

    /// As [`X64::target`], for floats. [`X64::put_float`] completes it.
    #[cfg_attr(not(small), inline(always))]
    fn float_target(d: Float, scratch: Xmm) -> Xmm {
        match d {
            Float::Reg(reg) => xmm(reg.0),
            Float::Slot(_) => scratch,
        }
    }

    /// Moves a register into a place, if it is not there already.
    #[inline]
    fn put(&mut self, d: Int, s: Gpr) {
        match d {
            Int::Reg(reg) if gpr(reg.0) == s => {}
            Int::Reg(reg) => self.asm.mov_rr(B8, gpr(reg.0), s),
            Int::Slot(at) => self.asm.mov_mr(B8, slot(at), s),
        }
    }

    /// Moves a register into a place, if it is not there already.
    #[inline]
    fn put_float(&mut self, d: Float, s: Xmm) {
        match d {
            Float::Reg(reg) if xmm(reg.0) == s => {}
            Float::Reg(reg) => self.asm.movaps_rr(xmm(reg.0), s),
            Float::Slot(at) => self.asm.movsd_mr(slot(at), s),
        }
    }

    /// Loads a place into a register, if it is not there already.
    #[inline]
    fn get(&mut self, d: Gpr, s: Int) {
        match s {
            Int::Reg(reg) if gpr(reg.0) == d => {}
            Int::Reg(reg) => self.asm.mov_rr(B8, d, gpr(reg.0)),
            Int::Slot(at) => self.asm.mov_rm(B8, d, slot(at)),
        }
    }

    /// Loads a place into a register, if it is not there already.
    #[inline]
    fn get_float(&mut self, d: Xmm, s: Float) {
        match s {
            Float::Reg(reg) if xmm(reg.0) == d => {}
            Float::Reg(reg) => self.asm.movaps_rr(d, xmm(reg.0)),
            Float::Slot(at) => self.asm.movsd_rm(d, slot(at)),
        }
    }

    /// `op d, s` for a source of any kind; a literal beyond 32 bits goes through `scratch`.
    #[inline]
    fn alu(&mut self, op: Alu, d: Gpr, s: Src, scratch: Gpr) {
        match s {
            Src::At(Int::Reg(reg)) => self.asm.alu_rr(op, B8, d, gpr(reg.0)),
            Src::At(Int::Slot(at)) => self.asm.alu_rm(op, B8, d, slot(at)),
            Src::Imm(value) => match i32::try_from(value) {
                Ok(imm) => self.asm.alu_ri(op, B8, d, imm),
                Err(_) => {
                    self.asm.mov_ri(scratch, value as u64);
                    self.asm.alu_rr(op, B8, d, scratch);
                }
            },
        }
    }

    /// Jumps to a rare half if `cc` holds. The hot code goes on behind the jump, or where [`X64::back_here`] says.
    #[inline]
    fn cold_if(&mut self, cc: Cc, kind: ColdKind) {
        let mut label = Label::new();
        self.asm.jcc(cc, &mut label);
        let back = self.asm.buf.pos();
        if self.cold.push(Cold { label, back, kind }).is_err() {
            self.asm.buf.fail(EmitError::Label { at: back });
        }
    }

    /// The newest rare half goes back to here.
    #[inline]
    fn back_here(&mut self) {
        let pos = self.asm.buf.pos();
        if let Some(cold) = self.cold.last_mut() {
            cold.back = pos;
        }
    }

    /// Traps if `cc` holds.
    #[inline]
    fn trap_if(&mut self, cc: Cc, kind: TrapKind, site: Site) {
        self.cold_if(cc, ColdKind::Trap { trap: Trap::new(kind), site });
    }

    /// The offset of a stub from the start of the buffer.
    fn stub(&self, at: usize) -> isize {
        (at as isize).wrapping_sub(self.place.offset as isize)
    }

    /// Emits all rare halves.
    fn emit_cold(&mut self) {
        // An item is at most 48 bytes on the stack, and none adds another.
        while let Some(mut cold) = self.cold.pop() {
            self.asm.bind(&mut cold.label);
            let mut back = Label::bound_at(cold.back);
            match cold.kind {
                ColdKind::Trap { trap, site } => {
                    super::Flow::trap(self, trap, site);
                    continue;
                }
                ColdKind::Guard { site, head } => {
                    self.asm.mov_ri(SITE, site.0.into());
                    let stubs = &self.place.stubs;
                    self.asm.call_outside(self.stub(if head { stubs.poll } else { stubs.guard }));
                    if self.place.switching {
                        self.asm.mov_ri(SITE, site.0.into());
                        self.asm.test_rr(B4, Gpr::Rax, Gpr::Rax);
                        if head {
                            // The status is what the function is to be left with.
                            self.asm.jcc(Cc::Ne, &mut self.leave);
                        } else {
                            let mut stay = Label::new();
                            self.asm.jcc(Cc::E, &mut stay);
                            self.asm.jmp_outside(self.stub(self.place.stubs.whole));
                            self.asm.bind(&mut stay);
                        }
                    }
                }
                ColdKind::Unpaid { units, site } => {
                    super::Flow::refund(self, units);
                    super::Flow::trap(self, Trap::new(TrapKind::OutOfFuel), site);
                    continue;
                }
                // Other ISAs' instructions have these.
                ColdKind::Stack { .. } | ColdKind::Pace { .. } => {
                    let at = self.asm.buf.pos();
                    self.asm.buf.fail(EmitError::Operand { at });
                }
                ColdKind::Saturate { d, x } => self.saturate(d, x, &mut back),
                ColdKind::FloatMinMax { max, d, x, y } => self.float_min_max_rarely(max, d, x, y),
                ColdKind::DivideByMinusOne { d, x, remainder } => self.divide_by_minus_one(d, x, remainder),
                ColdKind::Op(slow) => self.service_op(slow),
                ColdKind::Cache { service, found, cache, slow } => {
                    self.cache_chain(service, found as usize, cache, slow);
                }
                ColdKind::Callee { frame, cache, site } => {
                    self.asm.mov_ri(Gpr::Rcx, u64::from(cache.from_context()) << 32 | u64::from(frame));
                    self.asm.mov_ri(SITE, site.0.into());
                    self.asm.call_outside(self.stub(self.place.stubs.closure));
                }
            }
            self.asm.jmp(&mut back);
        }
    }
}

impl<'m> Masm<'m> for X64<'m> {
    type Recipe = lane::Recipe;
    type Run<'r>
        = lane::words::Words<'r>
    where
        Self: 'r;

    const INT_POOL: &'static [PoolReg] = &INT_POOL;
    const FLOAT_POOL: &'static [PoolReg] = &FLOAT_POOL;
    const VIEWS: bool = false;
    const PACES: bool = false;
    const LAZY: usize = stubs::LAZY;

    fn new(buf: Buf<'m>, place: Place) -> Self {
        Self {
            asm: Asm::new(buf),
            place,
            cold: heapless::Vec::new(),
            entry: Label::new(),
            leave: Label::new(),
            reload: Label::new(),
            lane: lane::Lane::new(place.features),
        }
    }

    fn stubs(&mut self) -> Stubs {
        self.emit_stubs()
    }

    #[cfg_attr(not(small), inline(always))]
    fn prepare(place: Any) -> Prepared {
        lane::prepare(place)
    }

    // What a displacement of 8 bits reaches (SDM vol. 2, 2.1.3).
    const NEAR: u32 = if cfg!(feature = "stencils") { 256 } else { 0 };

    fn near(&mut self, offset: u32) {
        self.asm.lea(B8, NEAR, slot(offset));
    }

    #[cfg_attr(not(small), inline(always))]
    fn prepare_near(distance: i32) -> Prepared {
        lane::prepare_at(Mem::base(NEAR, distance))
    }

    #[cfg_attr(not(small), inline(always))]
    fn plain(&mut self, recipe: lane::Recipe, op: PlainOp<'_>) -> bool {
        self.by_table(recipe, op)
    }

    #[cfg_attr(not(small), inline(always))]
    fn run(&mut self) -> lane::words::Words<'_> {
        self.words()
    }

    fn pin(&mut self, number: u8, place: Any) {
        self.pin_word(number, place);
    }

    #[cfg_attr(not(small), inline(always))]
    fn set_link(&mut self, link: u32) {
        self.link(link);
    }

    fn resolve(&mut self, end: usize, target: usize) -> u32 {
        self.asm.resolve(end, target)
    }

    #[cfg_attr(not(small), inline(always))]
    fn check(&self) -> Result<(), EmitError> {
        self.asm.buf.check()
    }

    #[cfg_attr(not(small), inline(always))]
    fn pos(&self) -> usize {
        self.asm.buf.pos()
    }

    #[inline(always)]
    fn moved(&mut self) -> Option<(usize, i32)> {
        None
    }

    fn flush_cold(&mut self) {
        self.emit_cold();
    }

    #[inline]
    fn relieve_cold(&mut self) {
        // No template has more than two rare halves; the head of a loop has one before that of its op.
        if self.cold.len() + 3 > COLD_CAPACITY {
            let mut over = Label::new();
            self.asm.jmp(&mut over);
            self.emit_cold();
            self.asm.bind(&mut over);
        }
    }

    fn finish(&mut self) -> Result<usize, EmitError> {
        let end = self.asm.buf.pos();
        while !self.asm.buf.pos().is_multiple_of(FUNCTION_ALIGN) {
            self.asm.int3();
        }
        // Every put stores 8 bytes; this one leaves int3 behind the padding where zeros would be left.
        self.asm.buf.put(u64::from_le_bytes([0xCC; 8]), 0);
        self.asm.buf.check().map(|()| end)
    }
}

/// The offsets of the context's fields.
mod field {
    use super::Context;
    use core::mem::offset_of;

    pub const GUARD: usize = offset_of!(Context, poll.guard);
    pub const STACK_END: usize = offset_of!(Context, stack_end);
    pub const ENTRIES: usize = offset_of!(Context, entries);
    pub const GLOBALS: usize = offset_of!(Context, globals);
    pub const TABLES: usize = offset_of!(Context, tables);
    pub const ENTRY_SP: usize = offset_of!(Context, entry_sp);
    pub const SERVICES: usize = offset_of!(Context, services);
    pub const SIGN: usize = offset_of!(Context, sign);
    pub const MAGNITUDE: usize = offset_of!(Context, magnitude);
    pub const NAN: usize = offset_of!(Context, nan);
    pub const TRAP: usize = offset_of!(Context, trap);
    pub const TRAP_SITE: usize = offset_of!(Context, trap_site);
    pub const TRAP_FRAME: usize = offset_of!(Context, trap_frame);
    pub const RESULT: usize = offset_of!(Context, result);
    pub const FLOAT_RESULT: usize = offset_of!(Context, float_result);
    pub const OPERANDS: usize = offset_of!(Context, operands);
    pub const FUEL: usize = offset_of!(Context, fuel);
    pub const RECORDS: usize = offset_of!(Context, records);
}

/// The masks are read with 8 bytes more, and all constants are behind displacements of one byte.
const _: () = {
    assert!(field::SIGN + 16 <= size_of::<Context>() && field::MAGNITUDE + 16 <= size_of::<Context>());
    assert!(field::SIGN < 128 && field::MAGNITUDE < 128 && field::NAN < 128);
};

/// Whether two places are the same one.
#[cfg_attr(not(small), inline(always))]
fn same(x: Int, y: Src) -> bool {
    matches!(y, Src::At(place) if place == x)
}

/// The place of a value of any bank that is no float.
#[cfg_attr(not(small), inline(always))]
fn int_of(value: Any) -> Option<Int> {
    match value {
        Any::Int(place) => Some(place),
        Any::Float(_) => None,
    }
}
