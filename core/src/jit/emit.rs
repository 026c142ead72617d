//! The emission of one function: prologue, one template an op, rare halves.

use super::bounds::InBounds;
use super::near::Near;
use super::pace::{Paced, Step};
use super::plan::{
    Pinning, Place as SlotPlace, Plan, Pool, RUN, TARGET, field_of, for_targets, is_array, scratch_words,
};
use super::shape::SHAPES;
use super::templates::{self, Lane};
use super::{Backend, CompileError};
use crate::asm::{Buf, EmitError, Label};
use crate::masm::{
    Any, EarlyReturn, FUNCTION_ALIGN, Float, Int, IntReg, Object, Pace, PaceStep, Place, Plain, PlainOp, Run, Saved,
    Src,
};
use crate::runtime::cell::Cell;
use crate::runtime::frame::{frame_bytes, slot_offset};
use crate::runtime::fuel;
use crate::runtime::trap::Site;
use crate::vm3::Module;
use crate::vm3::container::{Container, Func, Sig};
use crate::vm3::op::{Bank, Flags, Op};
use crate::vm3::types::{Composite, TypeId};

/// What was emitted for a function.
#[derive(Debug)]
pub struct Listing<'s> {
    /// In the low half of each word, the label of that op word.
    ops: &'s [u64],
    body: usize,
    cold: usize,
    len: usize,
    end: usize,
    loops: Option<usize>,
}

/// Where the parts of a function ended up; [`Extent::listing`] adds the labels that emission left in the scratch memory.
pub(super) struct Extent {
    words: usize,
    body: usize,
    cold: usize,
    len: usize,
    end: usize,
    loops: Option<usize>,
}

impl Extent {
    pub(super) fn listing(self, scratch: &[u64]) -> Listing<'_> {
        let ops = scratch.get(..self.words).unwrap_or(&[]);
        let end = self.end.next_multiple_of(FUNCTION_ALIGN);
        Listing { ops, body: self.body, cold: self.cold, len: self.len, end, loops: self.loops }
    }
}

impl Listing<'_> {
    /// Bytes of code.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no code; there always is some.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The offset of the table of loops behind the code, if the function can be entered at the heads of its loops:
    /// 64-bit words, the first with the number of the others in its low half and the offset of the entry in the high half,
    /// the others with a head's word in the function in the low half and its offset in the high half.
    pub fn loops(&self) -> Option<usize> {
        self.loops
    }

    /// Bytes of code, tables and padding: where the next function may start.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The offset of the first op's code, behind the prologue.
    pub fn body(&self) -> usize {
        self.body
    }

    /// The offset of the rare halves behind the last op's code.
    pub fn cold(&self) -> usize {
        self.cold
    }

    /// The offset of the code of the op at word `word` of the function. `None` if no op starts there. Ops that share an
    /// instruction start at the same offset.
    pub fn op(&self, word: usize) -> Option<usize> {
        Label::from_bits(*self.ops.get(word)? as u32).offset()
    }
}

/// Plans one function for a backend: the part of compiling it that comes before emission.
pub(super) fn plan<'m, 's, M: Backend<'m>>(
    module: &Module<'_>,
    index: u16,
    scratch: &'s mut [u64],
    max_pinned: (usize, usize),
    polls: bool,
) -> Result<(Func, Plan<'s>), CompileError> {
    let container = module.container();
    let missing = CompileError::NoFunction { func: index };
    let func = container.func(index.into()).ok_or(missing)?;
    let code = container.code(&func).ok_or(missing)?;
    let needed = scratch_words(&func);
    let given = scratch.len();
    let pools = const { (Pool::new(M::INT_POOL), Pool::new(M::FLOAT_POOL)) };
    let pins = Pinning { pools, views: M::VIEWS, paces: M::PACES && polls, max_pinned };
    let plan = Plan::new(container, &func, code, scratch, &pins);
    let mut plan = plan.ok_or(CompileError::Scratch { needed, given })?;
    plan.prepare(M::prepare);
    Ok((func, plan))
}

/// Compiles one function through a backend.
pub(super) fn function<'m, M: Backend<'m>>(
    module: &Module<'_>,
    index: u16,
    memory: &'m mut [u8],
    place: Place,
    scratch: &mut [u64],
    max_pinned: usize,
) -> Result<Extent, CompileError> {
    // The stubs preserve no more floats.
    let max_floats = max_pinned.min(place.stubs.floats);
    let (func, mut plan) = plan::<M>(module, index, scratch, (max_pinned, max_floats), place.polls)?;
    let container = module.container();
    let missing = CompileError::NoFunction { func: index };
    let sig = container.sig(func.sig).ok_or(missing)?;
    let code = container.code(&func).ok_or(missing)?;
    if place.fuel {
        plan.mark_runs(code);
    }
    let failed = |error| CompileError::Emit { func: Some(index), error };
    let capacity = memory.len();
    let buf = Buf::new(memory).ok_or(failed(EmitError::Full { needed: 8, capacity }))?;
    let caches = place.first_cache;
    let (switching, polls, rest) = (place.switching, place.polls, (0, 0));
    let (leaves, bounds) = (false, InBounds::new());
    // No word has the greatest number there is.
    let leave_at = place.leave_at.map_or(usize::MAX, usize::from);
    let near = Near::new(Compiler::<M>::REACH, func.slot_count, !plan.records.is_empty(), leave_at);
    // Made where it stays: it is some kilobytes.
    let mut compiler = Compiler {
        masm: M::new(buf, Place { func: index, ..place }),
        container,
        index,
        func,
        sig,
        code,
        plan,
        caches,
        switching,
        leave_at,
        polls,
        rest,
        leaves,
        bounds,
        pacing: None,
        near,
    };
    compiler.run().map_err(failed)
}

/// One function under compilation. Templates reach operands only through its methods.
pub(super) struct Compiler<'c, 's, M> {
    pub(super) masm: M,
    pub(super) container: &'c Container<'c>,
    pub(super) index: u16,
    pub(super) func: Func,
    pub(super) sig: Sig,
    pub(super) code: &'c [u64],
    pub(super) plan: Plan<'s>,
    /// The blocks of inline caches so far, in the module.
    pub(super) caches: u32,
    /// [`Place::switching`]
    switching: bool,
    /// [`Place::leave_at`], or greater than any word.
    leave_at: usize,
    /// A word of the run that is emitted, and the fuel of its ops from there on; 0 if fuel is not counted.
    rest: (usize, u32),
    /// [`Place::polls`]
    polls: bool,
    /// Whether the function can be left for the interpreter.
    pub(super) leaves: bool,
    /// Kept where there are pinned records.
    pub(super) bounds: InBounds,
    /// The loop that is emitted, if it polls once in many rounds.
    pacing: Option<Pacing>,
    pub(super) near: Near,
}

/// A loop that polls once in many rounds, behind its head.
struct Pacing {
    /// The word of its branch back.
    back: usize,
    limit: IntReg,
    pace: Pace,
    /// The offset where its limit is set.
    head: usize,
    /// The offset behind that.
    body: usize,
    /// The site of its head.
    site: Site,
}

/// An op to be emitted: its place and its words.
#[derive(Clone, Copy)]
pub(super) struct OpAt<'c> {
    /// The index of its first word in the function.
    pub word: usize,
    /// All words of the function.
    code: &'c [u64],
    /// The fields of its first word.
    pub a: u16,
    pub b: u16,
    pub c: u16,
    /// Where the values of the registers of these numbers are, looked up before the dispatch on the op: it is often
    /// mispredicted, and this work is not lost then.
    pub at_a: SlotPlace,
    pub at_b: SlotPlace,
    pub at_c: SlotPlace,
}

impl<'c> OpAt<'c> {
    #[inline(always)]
    fn new(plan: &Plan<'_>, code: &'c [u64], word: usize, bits: u64) -> Self {
        let (a, b, c) = ((bits >> 16) as u16, (bits >> 32) as u16, (bits >> 48) as u16);
        Self { word, code, a, b, c, at_a: plan.place(a), at_b: plan.place(b), at_c: plan.place(c) }
    }

    /// Its words, and all behind them.
    pub fn words(&self) -> &'c [u64] {
        self.code.get(self.word..).unwrap_or(&[])
    }
}

impl<'m, M: Backend<'m>> Compiler<'_, '_, M> {
    fn run(&mut self) -> Result<Extent, EmitError> {
        let saved = self.plan.saved;
        let early = self.early_return();
        match &early {
            Some(early) => self.masm.prologue_or_return(self.plan.leaf, self.site(0), &saved, early),
            None => self.masm.prologue(self.plan.leaf, self.site(0), &saved),
        }
        self.enter_locals();
        let body = self.masm.pos();
        if early.is_some() {
            self.start_op(0);
        }
        let code = self.code;
        let records = crate::HEAP && !self.plan.records.is_empty();
        let leave_at = self.leave_at;
        // The newest branch, by its word, plus 1, whose displacement is still open: there the one before it is found.
        let mut open = 0;
        // Runs name bytecode registers by a byte, and nothing is done behind their ops.
        let runs = M::RUNS && self.func.slot_count <= 256 && !records;
        for &slot in self.plan.pinned.iter().filter(|_| runs) {
            self.masm.pin(slot as u8, self.plan.place(slot).any());
        }
        let mut next = usize::from(early.is_some());
        loop {
            if runs {
                next = self.plain_run(next, &mut open);
            }
            let word = next;
            let Some(&bits) = code.get(word) else { break };
            next += 1;
            let (lane, recipe) = M::LANES[usize::from(bits as u8)];
            // The verb knows the target of a branch back and takes the shortest form.
            let back = (lane == Lane::Branch) & ((bits >> 48) as usize <= word);
            let plain = (lane != Lane::Template) & !back;
            let by_table = plain & (word < self.near.stop);
            if !by_table {
                self.masm.relieve_cold();
            }
            self.start_op(word);
            let by_table = by_table || plain && self.at_stop(word, leave_at);
            if by_table && self.plain(recipe, bits) {
                if lane == Lane::Branch {
                    if self.near.is_wanted {
                        self.mark_target((bits >> 48) as usize);
                    }
                    self.end_op(word);
                    if records {
                        self.bounds.branch((bits >> 48) as usize);
                    }
                    open = word as u32 + 1;
                    self.masm.set_link(open);
                }
                if records {
                    self.find_records(word, bits);
                }
                continue;
            }
            self.by_template(word, bits, word == leave_at);
            while code.get(next).is_some_and(|&more| more as u8 == Op::Args as u8) {
                next += 1;
            }
            if records {
                self.find_records(word, bits);
            }
            self.masm.check()?;
        }
        self.resolve(open);
        let cold = self.masm.pos();
        self.masm.flush_cold();
        let (len, loops) = self.switches();
        let end = self.masm.finish()?;
        Ok(Extent { words: code.len(), body, cold, len, end, loops })
    }

    /// What a first op that branches to a `ret` comes to, if both read parameters, which are still in the frame, and the
    /// function has anything to save: it is done before that then.
    fn early_return(&self) -> Option<EarlyReturn> {
        let (&first, Saved { ints, floats }) = (self.code.first()?, self.plan.saved);
        // Nobody goes to the first op, and nothing is done at it.
        if self.plan.ops.first()? != &0 || self.leave_at != usize::MAX || (self.plan.leaf && ints | floats == 0) {
            return None;
        }
        let at = OpAt::new(&self.plan, self.code, 0, first);
        // What is pinned would be loaded twice.
        if at.at_a.is_pinned() {
            return None;
        }
        let parameter = |slot: u16| (slot < self.sig.count).then(|| Int::Slot(slot_offset(slot)));
        let (cond, y) = match templates::PLAIN.get(usize::from(first as u8)).copied().flatten()? {
            Plain::Branch(cond) => (cond, Src::At(parameter(at.b)?)),
            Plain::BranchK(cond) => (cond, Src::Imm(i64::from(at.b as i16))),
            _ => return None,
        };
        let last = *self.code.get(usize::from(at.c))?;
        let value = parameter((last >> 16) as u16);
        let value = match Op::of_verified(last as u8) {
            Op::Ret => None,
            Op::RetI64 | Op::RetCell => Some(Any::Int(value?)),
            Op::RetF64 => match value? {
                Int::Slot(at) => Some(Any::Float(Float::Slot(at))),
                Int::Reg(_) => return None,
            },
            _ => return None,
        };
        Some(EarlyReturn { cond, x: parameter(at.a)?, y, value })
    }

    /// Emits an op by its template, behind the place where the function is left if this is the op to leave at. It is apart
    /// so that the loop over all ops is small.
    #[inline(never)]
    fn by_template(&mut self, word: usize, bits: u64, leave: bool) {
        self.leave_near();
        self.masm.relieve_cold();
        if leave {
            self.leave(word, word, false);
        }
        if M::PACES && self.pacing.as_ref().is_some_and(|pacing| pacing.back == word) {
            self.pace_back();
        } else {
            self.template(Op::of_verified(bits as u8), OpAt::new(&self.plan, self.code, word, bits));
        }
        if let Some((from, by)) = self.masm.moved() {
            self.move_ops(word, from, by);
        }
    }

    /// Ops that started at `from` or behind it, of which that at `word` is the last, start so many bytes further on. No branch
    /// names them: else the instructions would have stayed.
    #[cold]
    fn move_ops(&mut self, word: usize, from: usize, by: i32) {
        for op in self.plan.ops.iter_mut().take(word + 1).rev() {
            // The word of an `args` has no label.
            let Some(at) = Label::from_bits(*op as u32).offset() else { continue };
            if at < from {
                break;
            }
            let label = Label::bound_at(at.saturating_add_signed(by as isize));
            *op = *op & 0xFFFF_FFFF_0000_0000 | u64::from(label.bits());
        }
    }

    /// Leaves the function for the interpreter at an op, or behind it, where it goes on at word `next` and pays for itself.
    pub(super) fn leave(&mut self, word: usize, next: usize, behind: bool) {
        let (from, units) = self.rest;
        if units != 0 {
            // Many ops of one run may be left at, so each looks only at those since the last.
            let units = units.saturating_sub(fuel::units(self.code.get(from..next).unwrap_or(&[])));
            self.rest = (next, units);
            if units != 0 {
                self.masm.refund(units);
            }
        }
        self.masm.deopt(self.site(word), behind);
        self.leaves = true;
    }

    /// What follows the rare halves, if the function needs it: where it is left for the interpreter, where it is entered at
    /// a loop, and the table of its loops. Gives the offset behind the code, and that of the table.
    fn switches(&mut self) -> (usize, Option<usize>) {
        let saved = self.plan.saved;
        let heads = self.plan.back_branches;
        let loops = self.switching && heads != 0;
        if self.leaves || loops {
            self.masm.leaving();
            self.store_pinned();
            self.masm.left(loops, &saved);
        }
        if !loops {
            return (self.masm.pos(), None);
        }
        let entry = self.masm.entering(&saved);
        for &slot in &self.plan.pinned {
            self.masm.load(self.plan.place(slot).any(), slot_offset(slot));
        }
        for slot in self.plan.records.clone() {
            if let Some(object) = self.plan.record(slot) {
                self.find_record(object, slot);
            }
        }
        self.masm.entered();
        let table = self.masm.pos();
        self.masm.data(heads as u64 | (entry as u64) << 32);
        self.loop_heads(|compiler, head| {
            let label = compiler.plan.ops.get(head).map_or(Label::new(), |&op| Label::from_bits(op as u32));
            compiler.masm.data(head as u64 | (label.offset().unwrap_or(0) as u64) << 32);
        });
        (table, Some(table))
    }

    /// Calls `visit` with the head of a loop for each branch back to it.
    fn loop_heads(&mut self, mut visit: impl FnMut(&mut Self, usize)) {
        for (word, &bits) in self.code.iter().enumerate() {
            let shape = SHAPES.get(bits as u8);
            if shape.flags.has(Flags::BRANCHES) {
                for_targets(shape, self.code.get(word..).unwrap_or(&[]), |target| {
                    if target <= word {
                        visit(self, target);
                    }
                });
            }
        }
    }

    /// Loads pinned parameters and sets locals to their initial values.
    fn enter_locals(&mut self) {
        for slot in 0..self.sig.count {
            if self.plan.place(slot).is_pinned() {
                self.masm.load(self.plan.place(slot).any(), slot_offset(slot));
            }
        }
        // Runs of frame slots with the same initial value are filled at once.
        let (mut start, mut count, mut bits) = (0, 0, 0);
        let types = self.container.slots(&self.func).unwrap_or(&[]);
        for (slot, ty) in (0..=u16::MAX).zip(types).skip(self.sig.count.into()) {
            let initial = match ty.bank() {
                Bank::Cell => Cell::NULL.bits(),
                _ if !self.plan.needs_zero(slot) => continue,
                Bank::F64 if self.plan.place(slot).is_pinned() => {
                    self.masm.float_const(self.plan.place(slot).float(), 0);
                    continue;
                }
                Bank::I64 if self.plan.place(slot).is_pinned() => {
                    self.masm.mov(self.plan.place(slot).int(), Src::Imm(0));
                    continue;
                }
                _ => 0,
            };
            if count != 0 && initial == bits && u32::from(slot) == start + count {
                count += 1;
                continue;
            }
            self.fill(start, count, bits);
            (start, count, bits) = (slot.into(), 1, initial);
        }
        self.fill(start, count, bits);
        for slot in self.plan.records.clone() {
            let Some(object) = self.plan.record(slot) else { continue };
            if slot < self.sig.count {
                self.find_record(object, slot);
            } else if self.plan.needs_zero(slot) {
                match object {
                    Object::View { len, .. } => self.masm.null_view(len),
                    Object::Record(reg) => self.masm.null_record(reg),
                    Object::Cell(_) => {}
                }
            }
        }
    }

    /// Finds the records anew of the cells that an op has written, and what it may have unsettled.
    fn find_records(&mut self, word: usize, bits: u64) {
        let shape = SHAPES.get(bits as u8);
        let views = self.plan.views && shape.unsettles;
        if views {
            for slot in self.plan.records.clone() {
                if let Some(object @ Object::View { .. }) = self.plan.record(slot) {
                    self.find_record(object, slot);
                }
            }
        }
        if shape.unsettles {
            self.bounds.clear();
        }
        let mut fields = shape.cells | shape.writes;
        while fields != 0 {
            let slot = field_of(self.code.get(word..).unwrap_or(&[]), fields.trailing_zeros() as usize);
            self.bounds.forget(slot);
            match self.plan.record(slot) {
                Some(Object::View { .. }) if views => {}
                Some(object) => self.find_record(object, slot),
                None => {}
            }
            fields &= fields - 1;
        }
    }

    /// Finds the object in a slot: of arrays and objects by their type, of other cells if they are objects.
    fn find_record(&mut self, object: Object, slot: u16) {
        if !crate::HEAP {
            return;
        }
        let reg = match object {
            Object::View { payload, len } => return self.masm.view(payload, len, slot_offset(slot)),
            Object::Record(reg) => reg,
            Object::Cell(_) => return,
        };
        let ty = self.container.slot(&self.func, slot).unwrap_or(TypeId::ANY);
        let objects = matches!(self.container.composite(ty), Some(Composite::Obj(_)));
        if objects || is_array(ty) {
            self.masm.record(reg, slot_offset(slot));
        } else {
            self.masm.object_record(reg, slot_offset(slot));
        }
    }

    fn fill(&mut self, start: u32, count: u32, bits: u64) {
        if count != 0 {
            self.masm.fill(slot_offset(start as u16), count, bits);
        }
    }

    /// The label of the op at a word is here; a loop head polls, and the start of a straight run is charged.
    #[inline(always)]
    fn start_op(&mut self, word: usize) {
        let Some(op) = self.plan.ops.get_mut(word) else { return };
        if *op == 0 {
            *op = Label::bound_at(self.masm.pos()).bits().into();
        } else {
            self.start_marked(word);
        }
    }

    /// [`Compiler::start_op`] of an op that a branch named, a loop head, or the start of a run.
    fn start_marked(&mut self, word: usize) {
        self.leave_near();
        let Some(op) = self.plan.ops.get_mut(word) else { return };
        let (mut label, marks) = (Label::from_bits(*op as u32), (*op >> 32) as u32 & !TARGET);
        if marks != 0 {
            self.masm.relieve_cold();
        }
        self.masm.bind(&mut label);
        self.bounds.clear();
        *op = u64::from(marks) << 32 | u64::from(label.bits());
        let head = marks & !RUN != 0 && self.polls;
        if head && !(M::PACES && !self.plan.paced.is_empty() && self.pace(word)) {
            self.masm.loop_head(self.site(word));
        }
        if marks & RUN != 0 {
            let units = self.plan.run(self.code, word);
            self.masm.charge(units, self.site(word));
            self.rest = (word, units);
        }
    }

    /// Emits plain ops on registers from a word on, up to the first that must be made otherwise or that something is to be
    /// done at, and says which one that is. `open` is as in [`Compiler::run`].
    #[inline(always)]
    fn plain_run(&mut self, from: usize, open: &mut u32) -> usize {
        let end = self.near.stop.min(self.code.len());
        let code = self.code.get(from..end).unwrap_or(&[]);
        let ops = self.plan.ops.get_mut(from..end).unwrap_or_default();
        let mut run = self.masm.run();
        let mut word = from;
        let mut link = *open;
        for (&bits, op) in code.iter().zip(ops) {
            let (_, recipe) = M::LANES[usize::from(bits as u8)];
            if *op != 0 {
                break;
            }
            let Some(len) = run.put(recipe, bits, link) else { break };
            let at = run.pos();
            let mut label = u64::from(Label::bound_at(at).bits());
            if M::Run::branches(recipe) {
                if (bits >> 48) as usize <= word {
                    break;
                }
                link = word as u32 + 1;
                label |= ((at + len) as u64) << 32;
            }
            *op = label;
            run.advance(len);
            word += 1;
        }
        drop(run);
        *open = link;
        self.masm.set_link(link);
        word
    }

    /// The loop whose head is at a word polls, if it does so once in many rounds; `false` if it does not.
    #[cold]
    fn pace(&mut self, word: usize) -> bool {
        let Some(paced) = self.plan.paced.iter().find(|paced| usize::from(paced.head) == word).copied() else {
            return false;
        };
        let Some((limit, pace)) = self.counts(&paced) else { return false };
        if !paced.nested {
            self.masm.loop_head(self.site(word));
        }
        let head = self.masm.pos();
        self.masm.set_limit(limit, &pace);
        // The branch back comes here.
        self.masm.bind(&mut Label::new());
        let (back, body, site) = (paced.back.into(), self.masm.pos(), self.site(word));
        self.pacing = Some(Pacing { back, limit, pace, head, body, site });
        true
    }

    /// Its branch back.
    #[cold]
    fn pace_back(&mut self) {
        if let Some(Pacing { limit, pace, head, body, site, .. }) = self.pacing.take() {
            self.masm.paced_branch(limit, &pace, body, head, site);
        }
    }

    /// The register for its limit, and how it counts.
    fn counts(&self, paced: &Paced) -> Option<(IntReg, Pace)> {
        let reg = |slot| match self.plan.place(slot).int() {
            Int::Reg(reg) => Some(reg),
            Int::Slot(_) => None,
        };
        let literal =
            || Src::Imm(self.code.get(usize::from(paced.back)).map_or(0, |&bits| i64::from((bits >> 32) as i16)));
        let bound = paced.bound.map_or_else(literal, |slot| Src::At(self.plan.place(slot).int()));
        let step = match paced.step {
            Step::Up => PaceStep::Up,
            Step::Down => PaceStep::Down,
            Step::By(slot) => PaceStep::By(reg(slot)?),
        };
        Some((self.plan.limit?, Pace { index: reg(paced.index)?, bound, step }))
    }

    /// Emits a plain op by table, if the backend can.
    #[inline(always)]
    fn plain(&mut self, recipe: M::Recipe, word: u64) -> bool {
        self.masm.plain(recipe, PlainOp { word, places: self.plan.places })
    }

    /// A branch that was made by the table names the op at a word, to which emission has not come yet.
    fn mark_target(&mut self, word: usize) {
        if let Some(op) = self.plan.ops.get_mut(word) {
            *op |= u64::from(TARGET) << 32;
        }
    }

    /// The code of the op at a word, which was made by the table, ends here. Its loop is no longer of interest.
    #[inline(always)]
    fn end_op(&mut self, word: usize) {
        let end = self.masm.pos() as u64;
        if let Some(op) = self.plan.ops.get_mut(word) {
            *op = end << 32 | u64::from(*op as u32);
        }
    }

    /// Gives the branches that were left open their targets.
    fn resolve(&mut self, open: u32) {
        let mut open = open;
        while let Some(word) = open.checked_sub(1) {
            let word = word as usize;
            let op = |word: usize| self.plan.ops.get(word).copied().unwrap_or(0);
            let target = self.code.get(word).map_or(0, |bits| (bits >> 48) as usize);
            let target = Label::from_bits(op(target) as u32).offset().unwrap_or(0);
            open = self.masm.resolve((op(word) >> 32) as usize, target);
        }
    }

    /// Lets `branch` name the label of the op at a word.
    #[inline(always)]
    pub(super) fn with_label(&mut self, word: u16, branch: impl FnOnce(&mut M, &mut Label)) {
        let Some(op) = self.plan.ops.get_mut(usize::from(word)) else { return };
        let mut label = Label::from_bits(*op as u32);
        branch(&mut self.masm, &mut label);
        *op = *op & 0xFFFF_FFFF_0000_0000 | u64::from(label.bits());
    }

    /// The site of the op at a word of this function; functions have at most 65,536 words.
    #[inline(always)]
    pub(super) fn site(&self, word: usize) -> Site {
        Site::new(self.index, word as u16)
    }

    /// The bytes of this function's frame.
    pub(super) fn frame(&self) -> u32 {
        frame_bytes(self.func.slot_count)
    }

    /// Stores all pinned registers to their slots. Takes time by their number, not by that of the slots, because every
    /// `deopt` of the function comes here.
    pub(super) fn store_pinned(&mut self) {
        for &slot in &self.plan.pinned {
            self.masm.store(slot_offset(slot), self.plan.place(slot).any());
        }
    }
}
