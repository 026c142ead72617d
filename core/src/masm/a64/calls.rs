//! Functions, calls, the frame and the memory behind the context on arm64.

use super::convention::{
    CONTEXT, FLOAT_POOL, FLOAT_RESULT, FRAME, INT_POOL, LINK, RESULT, ROOM_END, SECOND, SITE, SMALL, TARGET, THIRD,
};
use super::saves::Saves;
use super::tail::Tail;
use super::{A64, S64, field, fpr, gpr, or_sp};
use crate::asm::Label;
use crate::asm::a64::{self, Imm12, IndexExtend, Mem, Offset7, Offset9, PairMem, X};
use crate::masm::{Any, Callee, Calls, ColdKind, ContextWord, EarlyReturn, Float, Int, Saved, Src};
use crate::runtime::frame::TAIL_CALLEE;
use crate::runtime::services::{LEAVE_BEHIND, SWITCH};
use crate::runtime::trap::{Site, TrapKind};

/// The longest run of slots that [`Calls::fill`] writes without a loop.
const UNROLLED: u32 = 8;

impl A64<'_> {
    /// Loads the address in a context word into x0.
    fn base(&mut self, base: ContextWord) {
        let at = match base {
            ContextWord::Globals => field::GLOBALS,
            ContextWord::Tables => field::TABLES,
        };
        self.load_context(RESULT, at);
    }

    /// Loads 8 bytes of memory into a place. May use x1.
    pub(super) fn load_any(&mut self, d: Any, mem: Mem<3>) {
        match d {
            Any::Float(Float::Reg(reg)) => a64::ldr_d(&mut self.buf, fpr(reg.0), mem),
            Any::Int(Int::Reg(reg)) => a64::ldr_x(&mut self.buf, gpr(reg.0), mem),
            Any::Int(Int::Slot(at)) | Any::Float(Float::Slot(at)) => {
                a64::ldr_x(&mut self.buf, SECOND, mem);
                self.put(Int::Slot(at), SECOND);
            }
        }
    }

    /// Stores the value of a place behind a base. May use x1.
    pub(super) fn store_any(&mut self, base: X, offset: u32, s: Any) {
        if let Any::Float(Float::Reg(reg)) = s {
            let mem = self.at(base, offset);
            return a64::str_d(&mut self.buf, fpr(reg.0), mem);
        }
        let place = match s {
            Any::Int(place) => place,
            Any::Float(Float::Slot(at)) => Int::Slot(at),
            Any::Float(Float::Reg(_)) => return,
        };
        let s = self.in_any(Src::At(place), SECOND);
        let mem = self.at(base, offset);
        a64::str_x(&mut self.buf, s, mem);
    }

    /// What a function with these pinned registers saves.
    fn saves(&self, saved: &Saved) -> Saves {
        let link = (!self.leaf).then_some(LINK);
        let ints = INT_POOL.iter().filter(|reg| saved.ints >> reg.number & 1 != 0).map(|reg| gpr(reg.number));
        let floats = FLOAT_POOL.iter().filter(|reg| saved.floats >> reg.number & 1 != 0).map(|reg| fpr(reg.number));
        Saves::new(link.into_iter().chain(ints), floats, 0)
    }

    /// Compares the end of a frame with that of the VM stack.
    pub(super) fn compare_stack(&mut self, end: u32) {
        self.load_context(SECOND, field::STACK_END);
        self.add_offset(RESULT, FRAME, end);
        a64::cmp(&mut self.buf, S64, RESULT, SECOND);
    }

    /// Loads the code address of an entry into x16.
    fn load_entry(&mut self, at: u32) {
        self.load_context(TARGET, field::ENTRIES);
        let mem = self.at(TARGET, at);
        a64::ldr_x(&mut self.buf, TARGET, mem);
    }
}

impl Calls for A64<'_> {
    fn prologue(&mut self, leaf: bool, site: Site, saved: &Saved) {
        self.entry = Label::bound_at(self.buf.pos());
        self.leaf = leaf;
        (self.tail, self.fits) = (Tail::Other, 0);
        if !leaf {
            self.poll(site, false);
        }
        let saves = self.saves(saved);
        self.save(&saves);
    }

    fn prologue_or_return(&mut self, leaf: bool, site: Site, saved: &Saved, early: &EarlyReturn) {
        // A leaf's prologue saves nothing but what is pinned.
        self.prologue(true, site, &Saved::default());
        self.leaf = leaf;
        if !leaf {
            self.poll(site, false);
        }
        let mut stay = Label::new();
        crate::masm::Flow::branch(self, early.cond.negate(), early.x, early.y, &mut stay);
        let (tail, _) = self.before();
        if let Some(value) = early.value {
            self.result(value);
        }
        a64::ret(&mut self.buf, LINK);
        a64::bind(&mut self.buf, &mut stay);
        let saves = self.saves(saved);
        self.save(&saves);
        // The branch left it, and saving keeps it.
        self.leave(tail);
    }

    fn epilogue(&mut self, saved: &Saved) {
        let saves = self.saves(saved);
        self.restore(&saves);
        a64::ret(&mut self.buf, LINK);
    }

    fn result(&mut self, value: Any) {
        match value {
            Any::Int(place) => {
                let s = self.in_gpr(place, RESULT);
                if s != RESULT && !self.redirect_int(s) {
                    a64::mov(&mut self.buf, S64, RESULT, s);
                }
            }
            Any::Float(place) => {
                let s = self.in_fpr(place, FLOAT_RESULT);
                if s != FLOAT_RESULT && !self.redirect_float(s) {
                    a64::fmov(&mut self.buf, FLOAT_RESULT, s);
                }
            }
        }
    }

    fn deopt(&mut self, site: Site, behind: bool) {
        a64::mov_imm(&mut self.buf, SITE, site.0.into());
        a64::mov_imm(&mut self.buf, RESULT, if behind { LEAVE_BEHIND } else { SWITCH });
        a64::b(&mut self.buf, &mut self.leave);
    }

    fn leaving(&mut self) {
        a64::bind(&mut self.buf, &mut self.leave);
    }

    fn left(&mut self, loops: bool, saved: &Saved) {
        if self.leaf {
            self.push_link();
        }
        self.call_stub(self.place.stubs.deopt);
        if self.leaf {
            self.pop_link();
        }
        if loops {
            a64::b_cond(&mut self.buf, a64::Cond::Ne, &mut self.reload);
        }
        self.epilogue(saved);
    }

    fn entering(&mut self, saved: &Saved) -> usize {
        let at = self.buf.pos();
        let saves = self.saves(saved);
        self.save(&saves);
        a64::bind(&mut self.buf, &mut self.reload);
        at
    }

    fn entered(&mut self) {
        self.load_context(TARGET, field::OPERANDS + 8);
        a64::br(&mut self.buf, TARGET);
    }

    fn data(&mut self, word: u64) {
        self.buf.put_u32(word as u32);
        self.buf.put_u32((word >> 32) as u32);
    }

    fn check_stack(&mut self, end: u32, site: Site) {
        if end <= self.fits {
            return;
        }
        self.fits = end;
        if end <= SMALL {
            a64::cmp(&mut self.buf, S64, FRAME, ROOM_END);
            self.cold_if(a64::Cond::Hi, ColdKind::Stack { end, site });
        } else {
            self.compare_stack(end);
            self.trap_if(a64::Cond::Hi, TrapKind::StackOverflow, site);
        }
    }

    #[inline]
    fn store(&mut self, offset: u32, value: Any) {
        self.keep_cold_near();
        self.store_any(FRAME, offset, value);
    }

    fn fill(&mut self, offset: u32, count: u32, bits: u64) {
        self.keep_cold_near();
        let s = self.any_in_gpr(Src::Imm(bits as i64), RESULT);
        if count <= UNROLLED {
            let mut index = 0;
            while index < count {
                let at = offset.wrapping_add(8 * index);
                if count - index >= 2
                    && let Some(at) = Offset7::new(at.into())
                {
                    a64::stp_x(&mut self.buf, s, s, PairMem::offset(or_sp(FRAME), at));
                    index += 2;
                } else {
                    let mem = self.slot(at);
                    a64::str_x(&mut self.buf, s, mem);
                    index += 1;
                }
            }
            return;
        }
        let (Some(one), Some(two), Some(step)) = (Offset9::new(8), Offset7::new(16), Imm12::new(1)) else {
            return;
        };
        self.add_offset(SECOND, FRAME, offset);
        if !count.is_multiple_of(2) {
            a64::str_x(&mut self.buf, s, Mem::post(or_sp(SECOND), one));
        }
        a64::mov_imm(&mut self.buf, THIRD, (count / 2).into());
        let mut again = Label::new();
        a64::bind(&mut self.buf, &mut again);
        a64::stp_x(&mut self.buf, s, s, PairMem::post(or_sp(SECOND), two));
        a64::subs_imm(&mut self.buf, S64, THIRD, or_sp(THIRD), step);
        a64::b_cond(&mut self.buf, a64::Cond::Ne, &mut again);
    }

    fn exchange(&mut self, x: u32, y: u32) {
        self.keep_cold_near();
        let first = self.in_gpr(Int::Slot(x), RESULT);
        let second = self.in_gpr(Int::Slot(y), SECOND);
        self.put(Int::Slot(x), second);
        self.put(Int::Slot(y), first);
    }

    fn load(&mut self, value: Any, offset: u32) {
        self.keep_cold_near();
        let mem = self.slot(offset);
        self.load_any(value, mem);
    }

    fn call(&mut self, callee: Callee, frame: u32, site: Site) {
        a64::mov_imm(&mut self.buf, SITE, site.0.into());
        let mem = match Offset9::new(frame.into()) {
            Some(by) => Some(Mem::pre(or_sp(FRAME), by)),
            None => {
                self.add_offset(FRAME, FRAME, frame);
                Mem::at(or_sp(FRAME), 0)
            }
        };
        if let Some(mem) = mem {
            // With a zero upper half: no function's number.
            a64::str_x(&mut self.buf, SITE, mem);
        }
        match callee {
            Callee::Own => a64::bl(&mut self.buf, &mut self.entry),
            Callee::Entry { at, .. } => {
                self.load_entry(at);
                a64::blr(&mut self.buf, TARGET);
            }
        }
        self.sub_offset(FRAME, FRAME, frame);
    }

    fn take_result(&mut self, d: Any) {
        match d {
            Any::Int(place) => {
                self.put(place, RESULT);
                self.leave(match place {
                    Int::Reg(reg) => Tail::Copy(gpr(reg.0)),
                    Int::Slot(at) => Tail::Slot(at),
                });
            }
            Any::Float(place) => self.put_float(place, FLOAT_RESULT),
        }
    }

    fn tail(&mut self, callee: Callee, saved: &Saved) {
        let saves = self.saves(saved);
        self.restore(&saves);
        match callee {
            Callee::Own => a64::b(&mut self.buf, &mut self.entry),
            Callee::Entry { at, func } => {
                a64::mov_imm(&mut self.buf, RESULT, 1 + u64::from(func));
                if let Some(mem) = Mem::at(or_sp(FRAME), TAIL_CALLEE.into()) {
                    a64::str_w(&mut self.buf, RESULT, mem);
                }
                self.load_entry(at);
                a64::br(&mut self.buf, TARGET);
            }
        }
    }

    fn host(&mut self, index: u32, frame: u32, site: Site) {
        self.add_offset(SECOND, FRAME, frame);
        a64::mov_imm(&mut self.buf, SITE, site.0.into());
        if let Some(mem) = Mem::at(or_sp(SECOND), 0) {
            a64::str_w(&mut self.buf, SITE, mem);
        }
        a64::mov_imm(&mut self.buf, RESULT, index.into());
        self.call_stub(self.place.stubs.host);
    }

    fn load_word(&mut self, d: Any, base: ContextWord, index: u32) {
        self.base(base);
        let mem = self.at(RESULT, index.wrapping_mul(8));
        self.load_any(d, mem);
    }

    fn store_word(&mut self, base: ContextWord, index: u32, s: Any) {
        let at = index.wrapping_mul(8);
        if let Any::Float(x) = s {
            self.canonical_bits(THIRD, x);
            self.base(base);
            let mem = self.at(RESULT, at);
            a64::str_x(&mut self.buf, THIRD, mem);
        } else {
            self.base(base);
            self.store_any(RESULT, at, s);
        }
    }

    fn load_element(&mut self, d: Int, base: ContextWord, start: u32, len: u32, x: Int, site: Site) {
        let x = self.in_gpr(x, THIRD);
        self.cmp(x, Src::Imm(len.into()));
        self.trap_if(a64::Cond::Hs, TrapKind::OutOfBounds, site);
        self.base(base);
        let mut offset = u64::from(start) * 8;
        if let Ok(near) = u32::try_from(offset)
            && near < 1 << 24
        {
            if near != 0 {
                self.add_offset(RESULT, RESULT, near);
            }
            offset = 0;
        }
        if offset != 0 {
            a64::mov_imm(&mut self.buf, SECOND, offset);
            a64::add(&mut self.buf, S64, RESULT, RESULT, SECOND);
        }
        self.load_any(Any::Int(d), Mem::index(or_sp(RESULT), x, IndexExtend::Lsl, true));
    }
}

/// What a stub and its caller agree on does not overlap, and nothing pinned is lost by a call.
const _: () = assert!(matches!((RESULT, SECOND, SITE, CONTEXT), (X::X0, X::X1, X::X2, X::X19)));
