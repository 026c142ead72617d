//! What the verifier proves about every section but the code.

use super::error::{Fault, RecordReason, Thing};
use super::names::{Names, check_unequal};
use super::{TypeId, VerifyOptions};
use crate::vm3::container::{CellConst, Container, ContainerError, HEADER_WORDS, Section, Sig};
use crate::vm3::op::Bank;
use crate::vm3::types::Composite;

/// The greatest number of slots and of words of a function, and of fields of a shape: what 16 bits can name.
const MOST: u32 = 1 << 16;

/// Words of scratch for the depths of that many composite types, a byte each.
pub(super) fn depth_words(types: usize) -> usize {
    types.div_ceil(8)
}

/// Checks every section but the code.
pub(super) fn check(container: &Container<'_>, scratch: &mut [u64], options: VerifyOptions) -> Result<(), Fault> {
    let records = Records { container, options };
    records.strings(scratch)?;
    records.lists()?;
    records.sigs()?;
    records.types(scratch)?;
    let mut names = Names::new(container, scratch);
    records.shapes(&mut names)?;
    records.cell_consts()?;
    names.clear();
    records.tables(&mut names)?;
    names.clear();
    records.globals(&mut names)?;
    names.clear();
    records.imports(&mut names)?;
    records.funcs(&mut names)
}

/// Whether a cell constant lives on the heap: strings over 5 bytes and ints outside 48 bits do.
pub(super) fn needs_heap(container: &Container<'_>, constant: CellConst) -> bool {
    match constant {
        CellConst::Bool(_) | CellConst::Float(_) => false,
        CellConst::Int(index) => {
            let value = container.constant(index).unwrap_or(0).cast_signed();
            value << 16 >> 16 != value
        }
        CellConst::Str(index) => container.string_record(index).is_none_or(|string| string.len > 5),
    }
}

/// The type of a cell constant: `str` or `any`.
pub(super) fn literal_type(constant: CellConst) -> TypeId {
    if let CellConst::Str(_) = constant { TypeId::STR } else { TypeId::ANY }
}

struct Records<'m, 'a> {
    container: &'m Container<'a>,
    options: VerifyOptions,
}

/// Takes the range of a record, which has to start where the one before it ended.
fn follow(next: &mut u32, start: u32, count: u32) -> Result<(), RecordReason> {
    if start != *next {
        return Err(RecordReason::Start { found: start, expected: *next });
    }
    *next = start.checked_add(count).ok_or(RecordReason::Overflow)?;
    Ok(())
}

impl Records<'_, '_> {
    /// Runs a check on each record of a section, and says of which record a reason is.
    fn each(&self, section: Section, mut check: impl FnMut(u32) -> Result<(), RecordReason>) -> Result<(), Fault> {
        (0..self.container.count(section))
            .try_for_each(|index| check(index).map_err(|reason| Fault::Record { section, index, reason }))
    }

    /// Checks that a record is written as `encode` writes it, so that reserved bits are zero.
    fn canonical<const N: usize>(&self, section: Section, index: u32, words: [u64; N]) -> Result<(), RecordReason> {
        if self.container.record(section, index) == Some(words) { Ok(()) } else { Err(RecordReason::Reserved) }
    }

    /// Checks that the ranges of the records of `owner` ended at the end of a section.
    fn covered(&self, section: Section, owner: Section, used: u32) -> Result<(), Fault> {
        let count = self.container.count(section);
        if used == count { Ok(()) } else { Err(Fault::Covered { section, owner, used, count }) }
    }

    fn index(&self, section: Section, index: u32) -> Result<(), RecordReason> {
        let count = self.container.count(section);
        if index < count { Ok(()) } else { Err(RecordReason::Index { section, index, count }) }
    }

    /// The parameters of a signature. [`Records::lists`] has checked that they are there.
    fn params(&self, sig: &Sig) -> Result<&[TypeId], RecordReason> {
        self.container.params(sig).ok_or(RecordReason::Overflow)
    }

    /// Checks that a type is known and, if composite, comes before entry `before` of the type section.
    fn known(&self, ty: TypeId, before: u32) -> Result<(), RecordReason> {
        let known = match ty.composite() {
            Some(index) => index < before as usize,
            None => ty.simple_name().is_some(),
        };
        if known { Ok(()) } else { Err(RecordReason::Type { ty, before }) }
    }

    /// Checks that the bytes of a section behind its last record are zero.
    fn padding(&self, section: Section, bits: u32) -> Result<(), Fault> {
        let used = (self.container.count(section) % (64 / bits)) * bits;
        match self.container.section(section).last() {
            Some(word) if used != 0 && word >> used != 0 => {
                let upto = Section::ALL.into_iter().take(section as usize + 1);
                let words: usize = upto.map(|section| self.container.section(section).len()).sum();
                Err(Fault::Container(ContainerError::Reserved { word: HEADER_WORDS + words - 1 }))
            }
            _ => Ok(()),
        }
    }

    fn strings(&self, scratch: &mut [u64]) -> Result<(), Fault> {
        let mut next = 0;
        self.each(Section::Strings, |index| {
            let string = self.container.string_record(index).ok_or(RecordReason::Reserved)?;
            follow(&mut next, string.start, string.len)?;
            let count = self.container.count(Section::Bytes);
            if next > count { Err(RecordReason::Range { section: Section::Bytes, end: next, count }) } else { Ok(()) }
        })?;
        self.covered(Section::Bytes, Section::Strings, next)?;
        self.padding(Section::Bytes, 8)?;
        check_unequal(self.container, scratch).map_err(|index| Fault::Record {
            section: Section::Strings,
            index,
            reason: RecordReason::Equal,
        })
    }

    /// Checks that signatures and functions own the type lists together, each in their order: the next to own the place
    /// at hand is the next signature or the next function. One that owns nothing goes first.
    fn lists(&self) -> Result<(), Fault> {
        let count = self.container.count(Section::Lists);
        let (mut sigs, mut funcs, mut next) = (0, 0, 0);
        loop {
            let sig = self.container.sig(sigs).map(|sig| (sig.params, u32::from(sig.count)));
            let func = self.container.func(funcs).map(|func| (func.slots, func.slot_count));
            let (section, index, (start, len)) = match (sig, func) {
                (None, None) => break,
                (Some(sig), Some(func)) if func.0 == next && (sig.0 != next || (sig.1 != 0 && func.1 == 0)) => {
                    (Section::Funcs, &mut funcs, func)
                }
                (Some(sig), _) => (Section::Sigs, &mut sigs, sig),
                (None, Some(func)) => (Section::Funcs, &mut funcs, func),
            };
            let taken = follow(&mut next, start, len).and_then(|()| {
                let range = RecordReason::Range { section: Section::Lists, end: next, count };
                if next > count { Err(range) } else { Ok(()) }
            });
            taken.map_err(|reason| Fault::Record { section, index: *index, reason })?;
            *index += 1;
        }
        self.covered(Section::Lists, Section::Funcs, next)?;
        self.padding(Section::Lists, 16)
    }

    fn sigs(&self) -> Result<(), Fault> {
        let types = self.container.count(Section::Types);
        self.each(Section::Sigs, |index| {
            let sig = self.container.sig(index).ok_or(RecordReason::Reserved)?;
            let params = self.params(&sig)?;
            params.iter().try_for_each(|&ty| self.known(ty, types))?;
            if sig.result == TypeId::NONE { Ok(()) } else { self.known(sig.result, types) }
        })
    }

    /// Checks the composite types. A closure type's depth is one more than the greatest of those that it names, which
    /// come before it.
    fn types(&self, scratch: &mut [u64]) -> Result<(), Fault> {
        let place = |index: usize| (index / 8, index % 8 * 8);
        self.each(Section::Types, |index| {
            let depth = match self.container.composite_record(index).ok_or(RecordReason::Kind)? {
                Composite::Obj(shape) => {
                    self.index(Section::Shapes, shape)?;
                    0
                }
                Composite::Fn(sig) => {
                    self.index(Section::Sigs, sig)?;
                    let sig = self.container.sig(sig).ok_or(RecordReason::Kind)?;
                    if sig.count > Composite::PARAMS {
                        return Err(RecordReason::ClosureParams { count: sig.count });
                    }
                    let params = self.params(&sig)?;
                    let mut inner = 0;
                    for &ty in params.iter().chain([&sig.result]) {
                        if let Some(other) = ty.composite() {
                            self.known(ty, index)?;
                            let (word, shift) = place(other);
                            inner = inner.max(scratch.get(word).map_or(0, |word| (word >> shift) as u8));
                        }
                    }
                    inner.saturating_add(1)
                }
            };
            if depth > Composite::DEPTH {
                return Err(RecordReason::Depth);
            }
            let (word, shift) = place(index as usize);
            if let Some(word) = scratch.get_mut(word) {
                *word = (*word & !(0xFF << shift)) | u64::from(depth) << shift;
            }
            Ok(())
        })
    }

    fn shapes(&self, names: &mut Names<'_>) -> Result<(), Fault> {
        let mut next = 0;
        self.each(Section::Shapes, |index| {
            let shape = self.container.shape(index).ok_or(RecordReason::Reserved)?;
            self.canonical(Section::Shapes, index, shape.encode())?;
            names.take(shape.name)?;
            follow(&mut next, shape.fields, shape.count)?;
            if shape.count > MOST {
                return Err(RecordReason::Limit { thing: Thing::Fields, found: shape.count, least: 0, most: MOST });
            }
            let count = self.container.count(Section::Fields);
            let range = RecordReason::Range { section: Section::Fields, end: next, count };
            if next > count { Err(range) } else { Ok(()) }
        })?;
        self.covered(Section::Fields, Section::Shapes, next)?;
        names.clear();
        for index in 0..self.container.count(Section::Shapes) {
            let Some(shape) = self.container.shape(index) else { break };
            let range = shape.fields..shape.fields.saturating_add(shape.count);
            for index in range.clone() {
                self.field(index, names).map_err(|reason| Fault::Record { section: Section::Fields, index, reason })?;
            }
            range.filter_map(|index| self.container.field(index)).for_each(|field| names.free(field.name));
        }
        Ok(())
    }

    fn field(&self, index: u32, names: &mut Names<'_>) -> Result<(), RecordReason> {
        let field = self.container.field(index).ok_or(RecordReason::Reserved)?;
        self.canonical(Section::Fields, index, field.encode())?;
        names.take(field.name)?;
        self.known(field.ty, self.container.count(Section::Types))
    }

    fn cell_consts(&self) -> Result<(), Fault> {
        self.each(Section::CellConsts, |index| match self.container.cell_const(index).ok_or(RecordReason::Kind)? {
            CellConst::Bool(_) => Ok(()),
            CellConst::Int(index) | CellConst::Float(index) => self.index(Section::Consts, index),
            CellConst::Str(index) => self.index(Section::Strings, index),
        })
    }

    fn tables(&self, names: &mut Names<'_>) -> Result<(), Fault> {
        let mut next = 0;
        self.each(Section::Tables, |index| {
            let table = self.container.table(index).ok_or(RecordReason::Reserved)?;
            self.canonical(Section::Tables, index, table.encode())?;
            names.take(table.name)?;
            follow(&mut next, table.start, table.len)?;
            let count = self.container.count(Section::TableData);
            let range = RecordReason::Range { section: Section::TableData, end: next, count };
            self.container.table_data(&table).map(|_| ()).ok_or(range)
        })?;
        self.covered(Section::TableData, Section::Tables, next)
    }

    fn globals(&self, names: &mut Names<'_>) -> Result<(), Fault> {
        self.each(Section::Globals, |index| {
            let global = self.container.global(index).ok_or(RecordReason::Reserved)?;
            self.canonical(Section::Globals, index, global.encode())?;
            names.take(global.name)?;
            self.known(global.ty, self.container.count(Section::Types))?;
            let Some(init) = global.init else { return Ok(()) };
            if global.ty.bank() != Bank::Cell {
                return self.index(Section::Consts, init);
            }
            self.index(Section::CellConsts, init)?;
            let constant = self.container.cell_const(init).ok_or(RecordReason::Kind)?;
            let found = literal_type(constant);
            if !found.fits(global.ty) {
                return Err(RecordReason::Init { found, expected: global.ty });
            }
            if !self.options.heap && needs_heap(self.container, constant) {
                return Err(RecordReason::NoHeap);
            }
            Ok(())
        })
    }

    fn imports(&self, names: &mut Names<'_>) -> Result<(), Fault> {
        self.each(Section::Imports, |index| {
            let import = self.container.import(index).ok_or(RecordReason::Reserved)?;
            names.take(import.name)?;
            self.index(Section::Sigs, import.sig)
        })
    }

    fn funcs(&self, names: &mut Names<'_>) -> Result<(), Fault> {
        let mut next = 0;
        self.each(Section::Funcs, |index| {
            let func = self.container.func(index).ok_or(RecordReason::Reserved)?;
            names.take(func.name)?;
            self.index(Section::Sigs, func.sig)?;
            let sig = self.container.sig(func.sig).ok_or(RecordReason::Reserved)?;
            let limit = |thing, found, least| {
                let within = (least..=MOST).contains(&found);
                if within { Ok(()) } else { Err(RecordReason::Limit { thing, found, least, most: MOST }) }
            };
            limit(Thing::Slots, func.slot_count, sig.count.into())?;
            limit(Thing::Words, func.code_len, 1)?;
            follow(&mut next, func.code, func.code_len)?;
            let count = self.container.count(Section::Code);
            let range = RecordReason::Range { section: Section::Code, end: next, count };
            self.container.code(&func).ok_or(range)?;
            self.slots(self.container.slots(&func).ok_or(RecordReason::Overflow)?, self.params(&sig)?)
        })?;
        self.covered(Section::Code, Section::Funcs, next)
    }

    /// Checks the order of a function's slots.
    fn slots(&self, slots: &[TypeId], params: &[TypeId]) -> Result<(), RecordReason> {
        let types = self.container.count(Section::Types);
        let mut last = Bank::I64;
        for (slot, &found) in (0..).zip(slots) {
            self.known(found, types)?;
            match params.get(slot as usize) {
                Some(&expected) if found != expected => {
                    return Err(RecordReason::Param { slot, found, expected });
                }
                Some(_) => {}
                None if (found.bank() as u8) < last as u8 => return Err(RecordReason::Order { slot, found }),
                None => last = found.bank(),
            }
        }
        Ok(())
    }
}
