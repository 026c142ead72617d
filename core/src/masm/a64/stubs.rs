//! The shared stubs on arm64. Each one's contract stands above it; what it does not name it preserves as the convention
//! says.

use super::convention::{
    CONTEXT, FLOAT_POOL, FLOAT_RESULT, FRAME, HOST_FLOATS, HOST_INTS, HOST_ROOM, INT_POOL, LINK, RESULT, ROOM_END,
    SECOND, SITE, SMALL, TARGET,
};
use super::saves::Saves;
use super::{A64, S64, field, fpr, gpr, or_sp};
use crate::asm::a64::{self, Cond, Extend, Extended, Imm12, Mem, Offset9, Size, SysReg, X, XSp};
use crate::asm::{EmitError, Label};
use crate::masm::{FUNCTION_ALIGN, Stubs};
use crate::runtime::context::{Entry, Services};
use crate::runtime::heap::Record;
use crate::runtime::trap::TrapKind;
use core::mem::{offset_of, size_of};

/// Where the entry keeps the host's FPCR, and the entry around it, above the registers.
const OLD_FPCR: i64 = 8 * (HOST_INTS.len() + HOST_FLOATS.len()) as i64;
const OLD_ENTRY: i64 = OLD_FPCR + 8;

impl A64<'_> {
    /// Emits all stubs.
    pub(super) fn emit_stubs(&mut self) -> Stubs {
        let mut stubs = Stubs::default();
        let mut leave = Label::new();
        let mut unwind = Label::new();

        stubs.enter = self.buf.pos();
        self.enter(&mut leave);

        // Ends the run: x0 holds the trap's bits, x2 the site, x20 its frame. Does not return.
        self.align();
        let mut trap = Label::bound_at(self.buf.pos());
        stubs.trap = self.buf.pos();
        self.store_context(field::TRAP, RESULT);
        self.store_context(field::TRAP_SITE, SITE);
        self.store_context(field::TRAP_FRAME, FRAME);
        a64::bind(&mut self.buf, &mut unwind);
        self.load_context(TARGET, field::ENTRY_SP);
        a64::mov_sp(&mut self.buf, S64, XSp::Sp, or_sp(TARGET));
        a64::mov_imm(&mut self.buf, RESULT, 1);
        a64::b(&mut self.buf, &mut leave);

        // Ends the run with one kind of trap: x2 holds the site. Does not return.
        for (kind, _) in TrapKind::ALL {
            if let Some(place) = stubs.trap_kind.get_mut(kind as usize) {
                *place = self.buf.pos();
            }
            a64::mov_imm(&mut self.buf, RESULT, kind as u64);
            a64::b(&mut self.buf, &mut trap);
        }

        // x2 holds the site; the caller has pushed its x30 and 8 bytes more. Uses x0 to x2, x16, x17, x30, d0 to d2.
        self.align();
        stubs.guard = self.buf.pos();
        // The stack pointer as the guest compared it.
        if let Some(pushed) = Imm12::new(16) {
            a64::add_imm(&mut self.buf, S64, or_sp(RESULT), XSp::Sp, pushed);
        }
        self.keeping_all(offset_of!(Services, guard), &mut unwind);

        // x0 holds the import, x1 its frame, x2 the site. Uses all that calls may.
        self.align();
        stubs.host = self.buf.pos();
        let link = Saves::new([LINK], [], 0);
        self.save(&link);
        self.service(offset_of!(Services, host_call), SECOND, &mut unwind);
        self.restore(&link);
        a64::ret(&mut self.buf, LINK);

        // x2 holds the site, x0 where to go on (`LEAVE_BEHIND`, `LEAVE_AT`). Gives the function's result in x0 or d0, or clears
        // Z if machine code goes on. Uses all that calls may.
        self.align();
        stubs.deopt = self.buf.pos();
        self.save(&link);
        self.service(offset_of!(Services, deopt), FRAME, &mut unwind);
        self.restore(&link);
        a64::cmp(&mut self.buf, S64, RESULT, X::Zr);
        self.load_result();
        a64::ret(&mut self.buf, LINK);

        // x20 holds the frame of the function, whose header says which it is; x30 leads to its caller.
        self.align();
        stubs.lazy = self.buf.pos();
        if let Some(mem) = Mem::at(or_sp(FRAME), 0) {
            a64::ldr_w(&mut self.buf, SITE, mem);
        }
        a64::mov_imm(&mut self.buf, RESULT, 0);
        // The same with the function's own site in x2 and not 0 in x0.
        stubs.whole = self.buf.pos();
        let mut jump = Label::new();
        self.save(&link);
        self.service(offset_of!(Services, lazy), FRAME, &mut unwind);
        self.restore(&link);
        a64::cbnz(&mut self.buf, S64, RESULT, &mut jump);
        self.load_result();
        a64::ret(&mut self.buf, LINK);
        a64::bind(&mut self.buf, &mut jump);
        self.load_context(TARGET, field::OPERANDS);
        a64::br(&mut self.buf, TARGET);

        if crate::HEAP {
            self.heap_stubs(&mut stubs, &mut unwind);
        }
        self.align();
        stubs.end = self.buf.pos();
        stubs
    }

    fn heap_stubs(&mut self, stubs: &mut Stubs, unwind: &mut Label) {
        // x2 holds the site, for `cached_op` x0 the operand. Uses x0 to x2, x16, x17, x30, d0 to d2.
        self.align();
        stubs.op = self.buf.pos();
        a64::mov_imm(&mut self.buf, RESULT, 0);
        stubs.cached_op = self.buf.pos();
        self.keeping_all(offset_of!(Services, op), unwind);

        self.align();
        stubs.closure = self.buf.pos();
        if self.closure(stubs).is_none() {
            let at = self.buf.pos();
            self.buf.fail(EmitError::Operand { at });
        }
    }

    /// Lays out a closure's frame: x0 holds its cell, x1 the frame's address, x2 the site. Gives the place of the first
    /// argument that is not bound in x0 and the code's address in x16. Uses x1, x17. `None` if an operand has no encoding.
    fn closure(&mut self, stubs: &Stubs) -> Option<()> {
        let (entry, end, payload) = (X::X3, X::X4, TARGET);
        let trap = |kind: TrapKind| Label::bound_at(stubs.trap_kind.get(kind as usize).copied().unwrap_or(stubs.trap));
        let saves = Saves::new([entry, end], [], 0);
        self.save(&saves);
        a64::cbz(&mut self.buf, Size::W, RESULT, &mut trap(TrapKind::NullReference));
        self.load_context(payload, field::RECORDS);
        let by_record = Extended::new(Extend::Uxtw, size_of::<Record>().trailing_zeros())?;
        a64::sub_extended(&mut self.buf, S64, or_sp(payload), or_sp(payload), RESULT, by_record);
        a64::ldr_x(&mut self.buf, payload, Mem::at(or_sp(payload), offset_of!(Record, word) as i64)?);
        // The function's entry, by the lowest 16 bits of the first word.
        a64::ldrh(&mut self.buf, RESULT, Mem::at(or_sp(payload), 0)?);
        a64::mov_imm(&mut self.buf, entry, size_of::<Entry>() as u64);
        self.load_context(end, field::ENTRIES);
        a64::madd(&mut self.buf, S64, entry, RESULT, entry, end);
        a64::ldr_w(&mut self.buf, end, Mem::at(or_sp(entry), offset_of!(Entry, frame_bytes) as i64)?);
        a64::add(&mut self.buf, S64, end, end, SECOND);
        self.load_context(RESULT, field::STACK_END);
        a64::cmp(&mut self.buf, S64, end, RESULT);
        a64::b_cond(&mut self.buf, Cond::Hi, &mut trap(TrapKind::StackOverflow));
        a64::str_x(&mut self.buf, SITE, Mem::at(or_sp(SECOND), 0)?);
        // The bound arguments follow the first word, whose next 16 bits are their number.
        a64::ldrh(&mut self.buf, end, Mem::at(or_sp(payload), 2)?);
        let word = Offset9::new(8)?;
        let (mut next, mut done) = (Label::new(), Label::new());
        a64::bind(&mut self.buf, &mut next);
        a64::add_imm(&mut self.buf, S64, or_sp(SECOND), or_sp(SECOND), Imm12::new(8)?);
        a64::cbz(&mut self.buf, S64, end, &mut done);
        a64::ldr_x(&mut self.buf, RESULT, Mem::pre(or_sp(payload), word));
        a64::str_x(&mut self.buf, RESULT, Mem::at(or_sp(SECOND), 0)?);
        a64::sub_imm(&mut self.buf, S64, or_sp(end), or_sp(end), Imm12::new(1)?);
        a64::b(&mut self.buf, &mut next);
        a64::bind(&mut self.buf, &mut done);
        a64::mov(&mut self.buf, S64, RESULT, SECOND);
        a64::ldr_x(&mut self.buf, TARGET, Mem::at(or_sp(entry), offset_of!(Entry, code) as i64)?);
        self.restore(&saves);
        a64::ret(&mut self.buf, LINK);
        Some(())
    }

    /// The entry from the host: x0 holds the context, x1 the frame, x2 the code. Gives 0, or 1 for a trap, in x0. Saves
    /// what AAPCS64 demands, FPCR and the entry around this one.
    fn enter(&mut self, leave: &mut Label) {
        let saves = Saves::new(HOST_INTS, HOST_FLOATS, HOST_ROOM as u32);
        self.save(&saves);
        a64::mov_sp(&mut self.buf, S64, XSp::X29, XSp::Sp);
        let (Some(fpcr), Some(entry)) = (Mem::at(XSp::Sp, OLD_FPCR), Mem::at(XSp::Sp, OLD_ENTRY)) else { return };
        a64::mrs(&mut self.buf, TARGET, SysReg::Fpcr);
        a64::str_x(&mut self.buf, TARGET, fpcr);
        a64::msr(&mut self.buf, SysReg::Fpcr, X::Zr);
        a64::mov(&mut self.buf, S64, CONTEXT, X::X0);
        a64::mov(&mut self.buf, S64, FRAME, X::X1);
        self.load_context(ROOM_END, field::STACK_END);
        if let Some(small) = Imm12::new(SMALL.into()) {
            a64::subs_imm(&mut self.buf, S64, ROOM_END, or_sp(ROOM_END), small);
        }
        a64::csel(&mut self.buf, S64, ROOM_END, ROOM_END, X::Zr, Cond::Hs);
        self.load_context(TARGET, field::ENTRY_SP);
        a64::str_x(&mut self.buf, TARGET, entry);
        a64::mov_sp(&mut self.buf, S64, or_sp(TARGET), XSp::Sp);
        self.store_context(field::ENTRY_SP, TARGET);
        a64::blr(&mut self.buf, X::X2);
        self.store_context(field::RESULT, RESULT);
        let mem = self.at(CONTEXT, field::FLOAT_RESULT as u32);
        a64::str_d(&mut self.buf, FLOAT_RESULT, mem);
        a64::mov_imm(&mut self.buf, RESULT, 0);
        a64::bind(&mut self.buf, leave);
        a64::ldr_x(&mut self.buf, TARGET, entry);
        self.store_context(field::ENTRY_SP, TARGET);
        a64::ldr_x(&mut self.buf, TARGET, fpcr);
        a64::msr(&mut self.buf, SysReg::Fpcr, TARGET);
        self.restore(&saves);
        a64::ret(&mut self.buf, LINK);
    }

    /// Loads the result that the interpreter has left.
    fn load_result(&mut self) {
        self.load_context(RESULT, field::RESULT);
        let mem = self.at(CONTEXT, field::FLOAT_RESULT as u32);
        a64::ldr_d(&mut self.buf, FLOAT_RESULT, mem);
    }

    /// Calls a service with x0 as its operand, with every register of the pools kept, and returns.
    fn keeping_all(&mut self, at: usize, unwind: &mut Label) {
        // Those that guest functions keep AAPCS64 keeps too.
        let ints = INT_POOL.iter().filter(|reg| !reg.callee_saved).map(|reg| gpr(reg.number));
        let floats = FLOAT_POOL.iter().filter(|reg| !reg.callee_saved).map(|reg| fpr(reg.number));
        let saves = Saves::new([LINK].into_iter().chain(ints), floats, 0);
        self.save(&saves);
        self.service(at, FRAME, unwind);
        self.restore(&saves);
        a64::ret(&mut self.buf, LINK);
    }

    /// Calls a service with the context, the frame that `frame` holds, the site in x2 and the operand in x0. Unwinds if it
    /// gives 1; any other status is left in x0. x30 is lost.
    fn service(&mut self, at: usize, frame: X, unwind: &mut Label) {
        a64::mov(&mut self.buf, S64, X::X3, RESULT);
        if frame != X::X1 {
            a64::mov(&mut self.buf, S64, X::X1, frame);
        }
        a64::mov(&mut self.buf, S64, X::X0, CONTEXT);
        self.load_context(TARGET, field::SERVICES);
        let mem = self.at(TARGET, at as u32);
        a64::ldr_x(&mut self.buf, TARGET, mem);
        a64::blr(&mut self.buf, TARGET);
        if let Some(one) = Imm12::new(1) {
            a64::cmp_imm(&mut self.buf, S64, or_sp(X::X0), one);
        }
        a64::b_cond(&mut self.buf, Cond::Eq, unwind);
    }

    /// Pads with words that fault to where a function may start.
    fn align(&mut self) {
        while !self.buf.pos().is_multiple_of(FUNCTION_ALIGN) {
            a64::udf(&mut self.buf, 0);
        }
    }
}

/// The second argument of a service is where a host call's frame is, the third where every site is.
const _: () = assert!(matches!((SECOND, SITE), (X::X1, X::X2)));
