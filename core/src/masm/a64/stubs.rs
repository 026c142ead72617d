//! The shared stubs on arm64. Each one's contract stands above it; what it does not name it preserves as the convention
//! says.

use super::convention::{
    CONTEXT, FLOAT_POOL, FLOAT_RESULT, FRAME, HOST_FLOATS, HOST_INTS, HOST_ROOM, INT_POOL, LINK, RESULT, SECOND, SITE,
    TARGET,
};
use super::saves::Saves;
use super::{A64, S64, field, fpr, gpr, or_sp};
use crate::asm::Label;
use crate::asm::a64::{self, Imm12, Mem, SysReg, X, XSp};
use crate::masm::{FUNCTION_ALIGN, Stubs};
use crate::runtime::context::Services;
use crate::runtime::trap::TrapKind;
use core::mem::offset_of;

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

        // Ends the run: x0 holds the trap's bits, x2 the site. Does not return.
        self.align();
        let mut trap = Label::bound_at(self.buf.pos());
        stubs.trap = self.buf.pos();
        self.store_context(field::TRAP, RESULT);
        self.store_context(field::TRAP_SITE, SITE);
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
        self.poll(&mut unwind);

        // x0 holds the import, x1 its frame, x2 the site. Uses all that calls may.
        self.align();
        stubs.host = self.buf.pos();
        let link = Saves::new([LINK], [], 0);
        self.save(&link);
        self.service(offset_of!(Services, host_call), SECOND, &mut unwind);
        self.restore(&link);
        a64::ret(&mut self.buf, LINK);

        // x2 holds the site. Gives the function's result in x0 or d0. Uses all that calls may.
        self.align();
        stubs.deopt = self.buf.pos();
        self.save(&link);
        self.service(offset_of!(Services, deopt), FRAME, &mut unwind);
        self.load_context(RESULT, field::RESULT);
        let mem = self.at(CONTEXT, field::FLOAT_RESULT as u32);
        a64::ldr_d(&mut self.buf, FLOAT_RESULT, mem);
        self.restore(&link);
        a64::ret(&mut self.buf, LINK);

        self.align();
        stubs.end = self.buf.pos();
        stubs
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

    /// Calls the guard service with x0 as its operand, with every register of the pools kept.
    fn poll(&mut self, unwind: &mut Label) {
        // Those that guest functions keep AAPCS64 keeps too.
        let ints = INT_POOL.iter().filter(|reg| !reg.callee_saved).map(|reg| gpr(reg.number));
        let floats = FLOAT_POOL.iter().filter(|reg| !reg.callee_saved).map(|reg| fpr(reg.number));
        let saves = Saves::new([LINK].into_iter().chain(ints), floats, 0);
        self.save(&saves);
        self.service(offset_of!(Services, guard), FRAME, unwind);
        self.restore(&saves);
        a64::ret(&mut self.buf, LINK);
    }

    /// Calls a service with the context, the frame that `frame` holds, the site in x2 and the operand in x0. Unwinds if it
    /// does not give 0. x30 is lost.
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
        a64::cbnz(&mut self.buf, S64, X::X0, unwind);
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
