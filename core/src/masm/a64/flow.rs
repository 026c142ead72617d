//! Control flow on arm64.

use super::convention::{RESULT, SECOND, SITE, TARGET};
use super::ints::modulo_64;
use super::tail::Tail;
use super::{A64, S64, field, gpr, or_sp};
use crate::asm::a64::{self, AdrOffset, Extend, Extended, Imm12, LogicalImm, Reach, Shift, X, XSp};
use crate::asm::{Buf, Label};
use crate::masm::{ColdKind, Cond, Float, FloatCond, Flow, Int, IntReg, Pace, PaceStep, ROUNDS, Src};
use crate::runtime::trap::{Site, Trap, TrapKind};

/// A case of a dispatch is one `b`: the binary logarithm of its size.
const CASE_BITS: u32 = 2;

const AWAY: Imm12 = Imm12::new(ROUNDS as u64).unwrap();
const ONE: Imm12 = Imm12::new(1).unwrap();
/// The greatest integer.
const GREATEST: LogicalImm = LogicalImm::new(i64::MAX as u64, S64).unwrap();

/// A conditional branch to a label: `branch` emits it and, told so, its negation.
///
/// Where the label is bound, its distance decides. Where it is not, the short form may turn out not to reach; then the
/// whole function is emitted again for far branches ([`crate::masm::Place::far_branches`]).
#[inline]
fn conditional(buf: &mut Buf, far: bool, label: &mut Label, branch: impl FnOnce(&mut Buf, bool, &mut Label)) {
    let near = (!far || label.offset().is_some()) && a64::can_refer(buf, Reach::Imm19, label);
    if near {
        return branch(buf, false, label);
    }
    let mut over = Label::new();
    branch(buf, true, &mut over);
    a64::b(buf, label);
    a64::bind(buf, &mut over);
}

impl A64<'_> {
    /// `b.cond label`, however far it is.
    fn branch_if(&mut self, cond: a64::Cond, label: &mut Label) {
        conditional(&mut self.buf, self.place.far_branches, label, |buf, negate, label| {
            a64::b_cond(buf, if negate { cond.negate() } else { cond }, label);
        });
    }

    /// Goes to a label if a register is zero, or is not; however far it is.
    fn branch_if_zero(&mut self, zero: bool, x: X, label: &mut Label) {
        conditional(&mut self.buf, self.place.far_branches, label, |buf, negate, label| {
            if zero != negate {
                a64::cbz(buf, S64, x, label);
            } else {
                a64::cbnz(buf, S64, x, label);
            }
        });
    }
}

impl A64<'_> {
    /// A poll and a look at the native stack, at the head of a loop or at the entry.
    pub(super) fn poll(&mut self, site: Site, head: bool) {
        self.load_context(RESULT, field::GUARD);
        if let Some(extend) = Extended::new(Extend::Uxtx, 0) {
            a64::cmp_extended(&mut self.buf, S64, XSp::Sp, RESULT, extend);
        }
        self.cold_if(a64::Cond::Lo, ColdKind::Guard { site, head });
    }
}

impl Flow for A64<'_> {
    #[inline]
    fn bind(&mut self, label: &mut Label) {
        a64::bind(&mut self.buf, label);
        // Control may come from elsewhere.
        self.tail = Tail::Other;
        self.fits = 0;
    }

    fn loop_head(&mut self, site: Site) {
        if self.place.far_branches {
            return self.poll(site, true);
        }
        // No limit of the native stack has the lowest bit set (`context::POLL`).
        self.load_context(RESULT, field::GUARD);
        self.near_branch = self.near_branch.or(Some(self.buf.pos()));
        self.cold_with(ColdKind::Guard { site, head: true }, |buf, label| {
            a64::tbnz(buf, RESULT, modulo_64(0), label);
        });
    }

    fn set_limit(&mut self, limit: IntReg, pace: &Pace) {
        let (limit, index) = (gpr(limit.0), gpr(pace.index.0));
        // If this leads beyond the range, it comes out at the other end, no more rounds from what the first step comes to. Of
        // steps of 2^53 and more it may come out anywhere, but from one end to the other there are only 2^11 of them.
        let cond = match pace.step {
            PaceStep::Up => {
                a64::add_imm(&mut self.buf, S64, or_sp(limit), or_sp(index), AWAY);
                a64::Cond::Lt
            }
            PaceStep::Down => {
                a64::sub_imm(&mut self.buf, S64, or_sp(limit), or_sp(index), AWAY);
                a64::Cond::Gt
            }
            PaceStep::By(step) => {
                a64::add_shifted(&mut self.buf, limit, index, gpr(step.0), Shift::Lsl(modulo_64(ROUNDS.ilog2())));
                a64::Cond::Lt
            }
        };
        let bound = self.any_in_gpr(pace.bound, SECOND);
        a64::cmp(&mut self.buf, S64, limit, bound);
        a64::csel(&mut self.buf, S64, limit, limit, bound, cond);
        if let PaceStep::By(step) = pace.step {
            // From 2^63 - step on another step leads beyond the range. For 0 that is its low end, which nothing is below; for
            // steps below that, it is so low that what is below it is not, one step on.
            a64::sub_imm(&mut self.buf, S64, or_sp(RESULT), or_sp(gpr(step.0)), ONE);
            a64::eor_imm(&mut self.buf, or_sp(RESULT), RESULT, GREATEST);
            a64::cmp(&mut self.buf, S64, limit, RESULT);
            a64::csel(&mut self.buf, S64, limit, limit, RESULT, a64::Cond::Lt);
        }
    }

    fn paced_branch(&mut self, limit: IntReg, pace: &Pace, body: usize, head: usize, site: Site) {
        let index = gpr(pace.index.0);
        let cond = if let PaceStep::Down = pace.step { a64::Cond::Gt } else { a64::Cond::Lt };
        a64::cmp(&mut self.buf, S64, index, gpr(limit.0));
        self.branch_if(cond, &mut Label::bound_at(body));
        self.cmp(index, pace.bound);
        self.cold_if(cond, ColdKind::Pace { site });
        if let Some(cold) = self.cold.last_mut() {
            cold.back = head;
        }
    }

    fn jump(&mut self, label: &mut Label) {
        a64::b(&mut self.buf, label);
    }

    fn branch(&mut self, cond: Cond, place: Int, y: Src, label: &mut Label) {
        let x = self.in_gpr(place, RESULT);
        match (cond, y) {
            (Cond::Eq | Cond::Ule, Src::Imm(0)) => self.branch_if_zero(true, x, label),
            (Cond::Ne | Cond::Ugt, Src::Imm(0)) => self.branch_if_zero(false, x, label),
            // The sign decides. A test of one bit reaches 32 KiB only, so the label must be known to be that near.
            (Cond::Lt | Cond::Ge, Src::Imm(0))
                if label.offset().is_some() && a64::can_refer(&self.buf, Reach::Imm14, label) =>
            {
                let emit = if cond == Cond::Lt { a64::tbnz } else { a64::tbz };
                emit(&mut self.buf, x, modulo_64(63), label);
            }
            _ => {
                self.cmp(x, y);
                self.branch_if(super::ints::cond_of(cond), label);
            }
        }
        if let Int::Slot(at) = place {
            self.leave(Tail::Slot(at));
        }
    }

    fn float_branch(&mut self, cond: FloatCond, x: Float, y: Float, label: &mut Label) {
        self.fcmp(x, y);
        self.branch_if(super::floats::cond_of(cond), label);
    }

    fn switch(&mut self, x: Int, count: u32, default: &mut Label) {
        let x = self.in_gpr(x, RESULT);
        self.cmp(x, Src::Imm(count.into()));
        self.branch_if(a64::Cond::Hs, default);
        // The table starts behind the three instructions from here on.
        if let Some(table) = AdrOffset::new(3 * 4) {
            a64::adr_by(&mut self.buf, TARGET, table);
        }
        a64::add_shifted(&mut self.buf, TARGET, TARGET, x, Shift::Lsl(modulo_64(CASE_BITS)));
        a64::br(&mut self.buf, TARGET);
    }

    fn switch_case(&mut self, label: &mut Label) {
        a64::b(&mut self.buf, label);
    }

    fn trap(&mut self, trap: Trap, site: Site) {
        a64::mov_imm(&mut self.buf, SITE, site.0.into());
        let stubs = self.place.stubs;
        let stub = if trap.kind.has_payload() {
            a64::mov_imm(&mut self.buf, RESULT, trap.encode());
            stubs.trap
        } else {
            stubs.trap_kind.get(trap.kind as usize).copied().unwrap_or(stubs.trap)
        };
        self.jump_stub(stub);
    }

    fn charge(&mut self, units: u32, site: Site) {
        self.load_context(RESULT, field::FUEL);
        if let Some(imm) = Imm12::new(units.into()) {
            a64::subs_imm(&mut self.buf, S64, RESULT, or_sp(RESULT), imm);
        } else {
            a64::mov_imm(&mut self.buf, SECOND, units.into());
            a64::subs(&mut self.buf, S64, RESULT, RESULT, SECOND);
        }
        // The word is as it was until the branch has not been taken.
        self.trap_if(a64::Cond::Lo, TrapKind::OutOfFuel, site);
        self.store_context(field::FUEL, RESULT);
    }

    fn refund(&mut self, units: u32) {
        self.load_context(RESULT, field::FUEL);
        self.add_offset(RESULT, RESULT, units);
        self.store_context(field::FUEL, RESULT);
    }
}
