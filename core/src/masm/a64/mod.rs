//! The macro assembler for arm64. The register convention is [`convention`].

mod calls;
pub mod convention;
mod floats;
mod flow;
mod ints;
mod objects;
mod saves;
mod stubs;
mod tail;

use super::FUNCTION_ALIGN;
use super::{
    Any, COLD_CAPACITY, Cold, ColdKind, Float, Int, Masm, NoRun, Place, PlainOp, PoolReg, Prepared, Src, Stubs,
};
use crate::asm::a64::{self, BranchOffset, Cond, D, Imm12, Mem, Size, X, XSp};
use crate::asm::{Buf, EmitError, Label};
use crate::runtime::context::Context;
use crate::runtime::trap::{Site, Trap, TrapKind};
use convention::{CONTEXT, FAR, FLOAT_POOL, FRAME, INT_POOL, LINK, RESULT, SITE};
use tail::Tail;

/// All operands are 64 bits wide, but for call sites.
const S64: Size = Size::X;

/// The macro assembler for arm64.
pub struct A64<'m> {
    buf: Buf<'m>,
    place: Place,
    cold: heapless::Vec<Cold, COLD_CAPACITY>,
    /// The function's entry.
    entry: Label,
    /// Where the function is left for the interpreter, and where it goes on with what the frame holds.
    leave: Label,
    reload: Label,
    /// Whether the function left its return address in x30.
    leaf: bool,
    /// What the instruction that ends at `tail_at` has done.
    tail: Tail,
    tail_at: usize,
    /// [`Masm::moved`]
    moved: Option<(usize, i32)>,
    /// A frame that ends so many bytes from the start of this one is known to fit on the VM stack.
    fits: u32,
    /// The oldest branch to a rare half that reaches [`NEAR_DISTANCE`] only.
    near_branch: Option<usize>,
}

/// How far behind the oldest branch to a rare half the rare halves are written out at the latest. Conditional branches
/// reach 1 MiB; what may still come before the list is asked again is a dispatch of at most 65,536 cases of 4 bytes.
const COLD_DISTANCE: usize = 512 * 1024;
/// The same behind the oldest test of one bit, which reaches 32 KiB. Where that does not do, the function is emitted again
/// for far branches.
const NEAR_DISTANCE: usize = 16 * 1024;

/// In place of [`Cold::back`]: it goes on with the next rare half on the list, wherever that comes to lie.
const CHAINED: usize = usize::MAX;

/// The general register of a machine number that the pool handed out.
#[cfg_attr(not(small), inline(always))]
fn gpr(number: u32) -> X {
    X::ALL[(number & 31) as usize]
}

/// The float register of a machine number that the pool handed out.
#[cfg_attr(not(small), inline(always))]
fn fpr(number: u32) -> D {
    D::ALL[(number & 31) as usize]
}

/// A register where number 31 would be the stack pointer. No verb computes into the zero register.
#[cfg_attr(not(small), inline(always))]
fn or_sp(reg: X) -> XSp {
    XSp::new(reg).unwrap_or(XSp::X17)
}

impl A64<'_> {
    /// The 8 bytes at an offset from a base, by an immediate offset if one reaches, else through [`FAR`].
    #[inline]
    fn at(&mut self, base: X, offset: u32) -> Mem<3> {
        if let Some(mem) = Mem::at(or_sp(base), offset.into()) {
            return mem;
        }
        self.far(base, offset)
    }

    #[cold]
    fn far(&mut self, base: X, offset: u32) -> Mem<3> {
        // The upper part by an addition, the rest in the access: 2 instructions below 16 MiB, which no frame exceeds.
        let (upper, rest) = (offset & !0xFFF, offset & 0xFFF);
        if let (Some(upper), Some(mem)) = (Imm12::new(upper.into()), Mem::at(or_sp(FAR), rest.into())) {
            a64::add_imm(&mut self.buf, S64, or_sp(FAR), or_sp(base), upper);
            return mem;
        }
        a64::mov_imm(&mut self.buf, FAR, offset.into());
        Mem::index(or_sp(base), FAR, a64::IndexExtend::Lsl, false)
    }

    /// The frame slot at a byte offset. Frames end below 2^20 bytes, and a callee's begins where its caller's ends.
    #[cfg_attr(not(small), inline(always))]
    fn slot(&mut self, offset: u32) -> Mem<3> {
        self.at(FRAME, offset)
    }

    /// Loads the context's word at a byte offset.
    #[inline]
    fn load_context(&mut self, d: X, offset: usize) {
        let mem = self.at(CONTEXT, offset as u32);
        a64::ldr_x(&mut self.buf, d, mem);
    }

    /// Stores to the context's word at a byte offset.
    #[inline]
    fn store_context(&mut self, offset: usize, s: X) {
        let mem = self.at(CONTEXT, offset as u32);
        a64::str_x(&mut self.buf, s, mem);
    }

    /// `d = n + value`; `d` may be `n`. May use [`FAR`].
    #[inline]
    fn add_offset(&mut self, d: X, n: X, value: u32) {
        self.by_offset(d, n, value, a64::add_imm, a64::add);
    }

    /// `d = n - value`; `d` may be `n`. May use [`FAR`].
    #[inline]
    fn sub_offset(&mut self, d: X, n: X, value: u32) {
        self.by_offset(d, n, value, a64::sub_imm, a64::sub);
    }

    #[cfg_attr(not(small), inline(always))]
    fn by_offset(
        &mut self,
        d: X,
        n: X,
        value: u32,
        by_imm: impl Fn(&mut Buf, Size, XSp, XSp, Imm12),
        by_reg: impl Fn(&mut Buf, Size, X, X, X),
    ) {
        let (upper, rest) = (value & !0xFFF, value & 0xFFF);
        if let Some(imm) = Imm12::new(value.into()) {
            by_imm(&mut self.buf, S64, or_sp(d), or_sp(n), imm);
        } else if let (Some(upper), Some(rest)) = (Imm12::new(upper.into()), Imm12::new(rest.into())) {
            by_imm(&mut self.buf, S64, or_sp(d), or_sp(n), upper);
            by_imm(&mut self.buf, S64, or_sp(d), or_sp(d), rest);
        } else {
            a64::mov_imm(&mut self.buf, FAR, value.into());
            by_reg(&mut self.buf, S64, d, n, FAR);
        }
    }

    /// The register that `x` is in; if it is in the frame, `scratch`, loaded with it.
    #[inline]
    fn in_gpr(&mut self, x: Int, scratch: X) -> X {
        match x {
            Int::Reg(reg) => gpr(reg.0),
            Int::Slot(at) if scratch == RESULT && matches!(self.tail(), Tail::Slot(held) if held == at) => scratch,
            Int::Slot(at) => {
                let mem = self.slot(at);
                a64::ldr_x(&mut self.buf, scratch, mem);
                scratch
            }
        }
    }

    /// The register that any source is in; `scratch` if it is in none. Zero is in the zero register.
    #[inline]
    fn any_in_gpr(&mut self, s: Src, scratch: X) -> X {
        match s {
            Src::At(place) => self.in_gpr(place, scratch),
            Src::Imm(0) => X::Zr,
            Src::Imm(value) => {
                a64::mov_imm(&mut self.buf, scratch, value as u64);
                scratch
            }
        }
    }

    /// The register that `x` is in; if it is in the frame, `scratch`, loaded with it.
    #[inline]
    fn in_fpr(&mut self, x: Float, scratch: D) -> D {
        match x {
            Float::Reg(reg) => fpr(reg.0),
            Float::Slot(at) => {
                let mem = self.slot(at);
                a64::ldr_d(&mut self.buf, scratch, mem);
                scratch
            }
        }
    }

    /// The register to compute `d` in: its own, or `scratch`. [`A64::put`] completes it.
    #[cfg_attr(not(small), inline(always))]
    fn target(d: Int, scratch: X) -> X {
        match d {
            Int::Reg(reg) => gpr(reg.0),
            Int::Slot(_) => scratch,
        }
    }

    /// As [`A64::target`], for floats. [`A64::put_float`] completes it.
    #[cfg_attr(not(small), inline(always))]
    fn float_target(d: Float, scratch: D) -> D {
        match d {
            Float::Reg(reg) => fpr(reg.0),
            Float::Slot(_) => scratch,
        }
    }

    /// Moves a register into a place, if it is not there already.
    #[inline]
    fn put(&mut self, d: Int, s: X) {
        match d {
            Int::Reg(reg) if gpr(reg.0) == s => {}
            Int::Reg(reg) => a64::mov(&mut self.buf, S64, gpr(reg.0), s),
            Int::Slot(at) => {
                let mem = self.slot(at);
                a64::str_x(&mut self.buf, s, mem);
            }
        }
    }

    /// Moves a register into a place, if it is not there already.
    #[inline]
    fn put_float(&mut self, d: Float, s: D) {
        match d {
            Float::Reg(reg) if fpr(reg.0) == s => {}
            Float::Reg(reg) => a64::fmov(&mut self.buf, fpr(reg.0), s),
            Float::Slot(at) => {
                let mem = self.slot(at);
                a64::str_d(&mut self.buf, s, mem);
            }
        }
    }

    /// Puts a rare half on the list; its branch goes to the label next.
    #[inline]
    fn cold_with(&mut self, kind: ColdKind, branch: impl FnOnce(&mut Buf, &mut Label)) {
        let mut label = Label::new();
        branch(&mut self.buf, &mut label);
        let back = self.buf.pos();
        if self.cold.push(Cold { label, back, kind }).is_err() {
            self.buf.fail(EmitError::Label { at: back });
        }
    }

    /// Branches to a rare half if `cond` holds. The hot code goes on behind the branch.
    #[inline]
    fn cold_if(&mut self, cond: Cond, kind: ColdKind) {
        self.cold_with(kind, |buf, label| a64::b_cond(buf, cond, label));
    }

    /// Traps if `cond` holds.
    #[inline]
    fn trap_if(&mut self, cond: Cond, kind: TrapKind, site: Site) {
        self.cold_if(cond, ColdKind::Trap { trap: Trap::new(kind), site });
    }

    /// Traps if a register is zero.
    #[inline]
    fn trap_if_zero(&mut self, reg: X, kind: TrapKind, site: Site) {
        let kind = ColdKind::Trap { trap: Trap::new(kind), site };
        self.cold_with(kind, |buf, label| a64::cbz(buf, S64, reg, label));
    }

    /// The distance from here to a stub.
    fn stub(&mut self, stub: usize) -> Option<BranchOffset> {
        let at = self.buf.pos();
        let from = self.place.offset.wrapping_add(at);
        let offset = BranchOffset::new((stub as i64).wrapping_sub(from as i64));
        if offset.is_none() {
            self.buf.fail(EmitError::BranchRange { at, target: stub });
        }
        offset
    }

    /// Calls a stub. x30 is lost.
    fn call_stub(&mut self, stub: usize) {
        if let Some(offset) = self.stub(stub) {
            a64::bl_by(&mut self.buf, offset);
        }
    }

    /// Goes to a stub.
    fn jump_stub(&mut self, stub: usize) {
        if let Some(offset) = self.stub(stub) {
            a64::b_by(&mut self.buf, offset);
        }
    }

    /// Writes the rare halves out here, behind a jump around them, if the oldest of them is getting out of reach. Verbs of
    /// which one template may have thousands ask this.
    #[inline]
    fn keep_cold_near(&mut self) {
        let oldest = self.cold.first().and_then(|cold| cold.label.head());
        let beyond = |at: Option<usize>, most: usize| at.is_some_and(|at| self.buf.pos().wrapping_sub(at) > most);
        if beyond(oldest, COLD_DISTANCE) || beyond(self.near_branch, NEAR_DISTANCE) {
            self.emit_cold_inside();
        }
    }

    #[cold]
    fn emit_cold_inside(&mut self) {
        let mut over = Label::new();
        a64::b(&mut self.buf, &mut over);
        self.emit_cold();
        a64::bind(&mut self.buf, &mut over);
    }

    /// Emits all rare halves.
    fn emit_cold(&mut self) {
        self.near_branch = None;
        // The start of the one on the list behind this.
        let mut next = 0;
        // None adds another.
        while let Some(mut cold) = self.cold.pop() {
            let start = self.buf.pos();
            a64::bind(&mut self.buf, &mut cold.label);
            let mut back = Label::bound_at(if cold.back == CHAINED { next } else { cold.back });
            next = start;
            match cold.kind {
                ColdKind::Trap { trap, site } => {
                    super::Flow::trap(self, trap, site);
                    continue;
                }
                ColdKind::Guard { site, head } => self.guard(site, head),
                ColdKind::Pace { site } => {
                    self.load_context(convention::RESULT, field::GUARD);
                    let mut asked = Label::new();
                    a64::tbnz(&mut self.buf, convention::RESULT, ints::modulo_64(0), &mut asked);
                    a64::b(&mut self.buf, &mut back);
                    a64::bind(&mut self.buf, &mut asked);
                    self.guard(site, true);
                }
                ColdKind::Stack { end, site } => {
                    self.compare_stack(end);
                    a64::b_cond(&mut self.buf, Cond::Ls, &mut back);
                    super::Flow::trap(self, Trap::new(TrapKind::StackOverflow), site);
                    continue;
                }
                ColdKind::Op(slow) => self.service_op(slow),
                ColdKind::Cache { service, found, cache, slow } => {
                    self.cache_chain(service, found as usize, cache, slow);
                }
                ColdKind::Callee { frame, site, .. } => {
                    a64::mov_imm(&mut self.buf, convention::SECOND, frame.into());
                    a64::mov_imm(&mut self.buf, SITE, site.0.into());
                    self.call_stub(self.place.stubs.closure);
                }
                // Other ISAs' instructions have these rare halves.
                ColdKind::Unpaid { .. }
                | ColdKind::Saturate { .. }
                | ColdKind::DivideByMinusOne { .. }
                | ColdKind::FloatMinMax { .. } => {
                    self.buf.fail(EmitError::Operand { at: start });
                }
            }
            a64::b(&mut self.buf, &mut back);
        }
    }

    /// [`ColdKind::Guard`]: the return address may still be in x30 alone.
    fn guard(&mut self, site: Site, head: bool) {
        self.push_link();
        a64::mov_imm(&mut self.buf, SITE, site.0.into());
        let stubs = &self.place.stubs;
        self.call_stub(if head { stubs.poll } else { stubs.guard });
        self.pop_link();
        if self.place.switching {
            a64::mov_imm(&mut self.buf, SITE, site.0.into());
            let mut stay = Label::new();
            a64::cbz(&mut self.buf, S64, X::X0, &mut stay);
            if head {
                // The status is what the function is to be left with.
                a64::b(&mut self.buf, &mut self.leave);
            } else {
                self.jump_stub(self.place.stubs.whole);
            }
            a64::bind(&mut self.buf, &mut stay);
        }
    }

    fn push_link(&mut self) {
        if let Some(below) = a64::Offset9::new(-16) {
            a64::str_x(&mut self.buf, LINK, Mem::pre(XSp::Sp, below));
        }
    }

    fn pop_link(&mut self) {
        if let Some(above) = a64::Offset9::new(16) {
            a64::ldr_x(&mut self.buf, LINK, Mem::post(XSp::Sp, above));
        }
    }
}

impl<'m> Masm<'m> for A64<'m> {
    /// Everything is done by verbs.
    type Recipe = ();
    type Run<'r>
        = NoRun
    where
        Self: 'r;

    const INT_POOL: &'static [PoolReg] = &INT_POOL;
    const FLOAT_POOL: &'static [PoolReg] = &FLOAT_POOL;
    const VIEWS: bool = true;
    const PACES: bool = true;
    const LAZY: usize = stubs::LAZY;

    fn new(buf: Buf<'m>, place: Place) -> Self {
        Self {
            buf,
            place,
            cold: heapless::Vec::new(),
            entry: Label::new(),
            leave: Label::new(),
            reload: Label::new(),
            leaf: false,
            tail: Tail::Other,
            tail_at: 0,
            moved: None,
            fits: 0,
            near_branch: None,
        }
    }

    fn stubs(&mut self) -> Stubs {
        self.emit_stubs()
    }

    fn prepare(_: Any) -> Prepared {
        Prepared::default()
    }

    const NEAR: u32 = 0;

    fn near(&mut self, _: u32) {}

    fn prepare_near(_: i32) -> Prepared {
        Prepared::default()
    }

    #[cfg_attr(not(small), inline(always))]
    fn plain(&mut self, (): (), _: PlainOp<'_>) -> bool {
        false
    }

    fn run(&mut self) -> NoRun {
        NoRun
    }

    fn pin(&mut self, _: u8, _: Any) {}

    fn set_link(&mut self, _: u32) {}

    fn resolve(&mut self, _: usize, _: usize) -> u32 {
        0
    }

    #[cfg_attr(not(small), inline(always))]
    fn check(&self) -> Result<(), EmitError> {
        self.buf.check()
    }

    #[cfg_attr(not(small), inline(always))]
    fn pos(&self) -> usize {
        self.buf.pos()
    }

    #[inline]
    fn moved(&mut self) -> Option<(usize, i32)> {
        self.moved.take()
    }

    fn flush_cold(&mut self) {
        self.emit_cold();
    }

    #[inline]
    fn relieve_cold(&mut self) {
        // No template has more than two rare halves; the head of a loop has one before that of its op.
        if self.cold.len() + 3 > COLD_CAPACITY {
            self.emit_cold_inside();
        } else {
            self.keep_cold_near();
        }
    }

    fn finish(&mut self) -> Result<usize, EmitError> {
        let end = self.buf.pos();
        while !self.buf.pos().is_multiple_of(FUNCTION_ALIGN) {
            a64::udf(&mut self.buf, 0);
        }
        self.buf.check().map(|()| end)
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
    pub const TRAP: usize = offset_of!(Context, trap);
    pub const TRAP_SITE: usize = offset_of!(Context, trap_site);
    pub const TRAP_FRAME: usize = offset_of!(Context, trap_frame);
    pub const RESULT: usize = offset_of!(Context, result);
    pub const FLOAT_RESULT: usize = offset_of!(Context, float_result);
    pub const OPERANDS: usize = offset_of!(Context, operands);
    pub const FUEL: usize = offset_of!(Context, fuel);
    pub const RECORDS: usize = offset_of!(Context, records);
}
