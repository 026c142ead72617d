//! The binary container: its layout, and reading it in place.
//!
//! A container is a sequence of 64-bit little-endian words, so that it can be read and run where it lies; the host keeps
//! it 8-byte aligned ([`words_of`] checks). All engines are little-endian.
//!
//! | word | holds |
//! |---|---|
//! | 0 | [`MAGIC`] in the low half, [`VERSION`] in the high half |
//! | 1 | the number of words of the whole container in the low half, zero in the high half |
//! | 2 to 9 | the number of records in each section, two sections a word, low half first, in the order of [`Section`] |
//! | 10 on | the sections, in that order, each starting at a word, without gaps |
//!
//! Because sections have fixed order and fixed record sizes, their places follow from the counts: there is no offset that
//! could lie. Bytes and lists are padded to a word with zeros.
//!
//! Records that own a range of another section own it in order and without gaps, from the section's first record to its
//! last: strings the bytes, shapes the fields, tables the table data, functions the code. Signatures and functions own
//! the type lists together: signatures in their order, functions in theirs, in any mixture. So nothing has two owners,
//! and whoever walks what every record owns walks the container once. No two strings are equal, so names are equal
//! exactly if their indices are.
//!
//! Types are compared by their indices too. A producer that writes one closure type twice, or a signature twice and a type
//! of each, makes types that no value fits both of: the verifier does not look for equal ones. The assembler writes each
//! once.

use super::op::Op;
use super::types::{Composite, TypeId};
use core::fmt;

/// `"vm3\n"` as a little-endian number.
pub const MAGIC: u32 = u32::from_le_bytes(*b"vm3\n");
/// The version of the layout and of the op codes.
pub const VERSION: u32 = 1;
/// Words before the first section.
pub const HEADER_WORDS: usize = 2 + SECTIONS.div_ceil(2);

/// The sections, in the order in which they lie in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Section {
    /// The bytes of all strings; a record is one byte.
    Bytes,
    /// Strings, [`Str`]: names and literals.
    Strings,
    /// Composite types, [`Composite`].
    Types,
    /// Signatures, [`Sig`].
    Sigs,
    /// Type lists of signatures, functions and nothing else; a record is one [`TypeId`], 16 bits.
    Lists,
    /// Shapes, [`Shape`].
    Shapes,
    /// Fields of shapes, [`Field`].
    Fields,
    /// Constants of 64 bits: i64, the bits of f64.
    Consts,
    /// Cell constants, [`CellConst`].
    CellConsts,
    /// Lookup tables, [`Table`].
    Tables,
    /// The elements of all tables, 64 bits each.
    TableData,
    /// Globals, [`Global`].
    Globals,
    /// Imported host functions, [`Import`].
    Imports,
    /// Functions, [`Func`].
    Funcs,
    /// Op words of all functions.
    Code,
}

/// The number of sections.
pub const SECTIONS: usize = Section::Code as usize + 1;

impl Section {
    /// All sections in order.
    pub const ALL: [Section; SECTIONS] = [
        Self::Bytes,
        Self::Strings,
        Self::Types,
        Self::Sigs,
        Self::Lists,
        Self::Shapes,
        Self::Fields,
        Self::Consts,
        Self::CellConsts,
        Self::Tables,
        Self::TableData,
        Self::Globals,
        Self::Imports,
        Self::Funcs,
        Self::Code,
    ];

    /// The number of words that `count` records take.
    pub const fn words(self, count: u32) -> u64 {
        let count = count as u64;
        match self {
            Self::Bytes => count.div_ceil(8),
            Self::Lists => count.div_ceil(4),
            Self::Shapes | Self::Tables | Self::Globals => count * 2,
            Self::Funcs => count * 3,
            _ => count,
        }
    }

    /// The greatest number of records: what an operand's index can name, 2^31 strings, or else 2^32 - 1.
    pub const fn limit(self) -> u32 {
        match self {
            Self::Shapes | Self::Tables | Self::Globals | Self::Imports | Self::Funcs => 1 << 16,
            Self::Types => (TypeId::NONE.0 - TypeId::FIRST_COMPOSITE.0) as u32,
            Self::Strings => 1 << 31,
            _ => u32::MAX,
        }
    }
}

/// A record that is stored in the two halves of consecutive words.
const fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}
const fn join(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// A string: a range of [`Section::Bytes`], which starts where the string before it ends. Its bytes are those of no other
/// string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str {
    /// The first byte.
    pub start: u32,
    /// The number of bytes.
    pub len: u32,
}

/// A signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sig {
    /// The first parameter's type in [`Section::Lists`]: behind those of the signature before it, without a gap that no
    /// function's slots fill.
    pub params: u32,
    /// The number of parameters.
    pub count: u16,
    /// The result's type, or [`TypeId::NONE`].
    pub result: TypeId,
}

/// A shape: the declared fields of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its name, a string.
    pub name: u32,
    /// Its first field in [`Section::Fields`]: where the fields of the shape before it end.
    pub fields: u32,
    /// The number of its fields, at most 65,536.
    pub count: u32,
}

/// A field of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, a string.
    pub name: u32,
    /// Its type.
    pub ty: TypeId,
}

/// A constant that becomes a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellConst {
    /// `true` or `false`.
    Bool(bool),
    /// An int, an index of [`Section::Consts`].
    Int(u32),
    /// A float, an index of [`Section::Consts`].
    Float(u32),
    /// A string, an index of [`Section::Strings`].
    Str(u32),
}

/// A lookup table of i64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, a string.
    pub name: u32,
    /// Its first element in [`Section::TableData`]: where the table before it ends.
    pub start: u32,
    /// The number of its elements.
    pub len: u32,
}

/// A global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global {
    /// Its name, a string.
    pub name: u32,
    /// Its type.
    pub ty: TypeId,
    /// Its initial value: an index of [`Section::Consts`] for i64 and f64, of [`Section::CellConsts`] for cells. `None`
    /// is zero or null.
    pub init: Option<u32>,
}

/// An imported host function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name, a string.
    pub name: u32,
    /// Its signature.
    pub sig: u32,
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Func {
    /// Its name, a string.
    pub name: u32,
    /// Its signature.
    pub sig: u32,
    /// The type of its first slot in [`Section::Lists`]: behind those of the function before it, without a gap that no
    /// signature's parameters fill. The parameters come first, in their order, then the locals: all i64, then all f64,
    /// then all cells.
    pub slots: u32,
    /// The number of its slots, at most 65,536.
    pub slot_count: u32,
    /// Its first word in [`Section::Code`]: where the function before it ends.
    pub code: u32,
    /// The number of its words, 1 to 65,536.
    pub code_len: u32,
}

/// Why a container cannot be read. Word numbers count from the start of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerError {
    /// The bytes do not start at a multiple of 8.
    Misaligned,
    /// There are fewer bytes than a header, or the number of bytes is no multiple of 8.
    Size {
        /// The number of bytes found.
        bytes: usize,
    },
    /// The magic number is another.
    Magic {
        /// The value found.
        found: u32,
    },
    /// The version is another.
    Version {
        /// The value found.
        found: u32,
    },
    /// The size that the header states, or that its counts imply, is not the size of the container.
    Length {
        /// Words that the header states or implies.
        stated: u64,
        /// Words found.
        found: u64,
    },
    /// A field that must be zero is not.
    Reserved {
        /// The word.
        word: usize,
    },
    /// A section holds more records than can be named.
    TooMany {
        /// The section.
        section: Section,
        /// The number of records stated.
        count: u32,
        /// The greatest number allowed.
        limit: u32,
    },
}

impl fmt::Display for ContainerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned => write!(f, "the container does not start at a multiple of 8 bytes"),
            Self::Size { bytes } => {
                let least = HEADER_WORDS * 8;
                write!(f, "the container has {bytes} bytes, expected a multiple of 8 and at least {least}")
            }
            Self::Magic { found } => {
                write!(f, "no vm3 container: it starts with {found:#010x}, expected {MAGIC:#010x} (\"vm3\\n\")")
            }
            Self::Version { found } => write!(f, "container version {found}, expected {VERSION}"),
            Self::Length { stated, found } => {
                write!(f, "the header accounts for {stated} words, the container has {found}")
            }
            Self::Reserved { word } => write!(f, "word {word} of the container has a reserved field that is not zero"),
            Self::TooMany { section, count, limit } => {
                write!(f, "section {section:?} states {count} records, at most {limit} are allowed")
            }
        }
    }
}

impl core::error::Error for ContainerError {}

/// The words of a container that lies in bytes, in place.
pub fn words_of(bytes: &[u8]) -> Result<&[u64], ContainerError> {
    // SAFETY: every bit pattern is a valid u64, and `align_to` only hands out the aligned middle of the slice.
    let (before, words, after) = unsafe { bytes.align_to::<u64>() };
    if !before.is_empty() {
        return Err(ContainerError::Misaligned);
    }
    if !after.is_empty() || words.len() < HEADER_WORDS {
        return Err(ContainerError::Size { bytes: bytes.len() });
    }
    Ok(words)
}

/// A container whose header has been checked: the sections' places are known and lie inside. Nothing in the sections has
/// been checked; that is the verifier's work. Accessors return `None` for what is not there.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    sections: [&'a [u64]; SECTIONS],
    counts: [u32; SECTIONS],
    words: &'a [u64],
}

impl<'a> Container<'a> {
    /// Reads the header of a container in place. Takes constant time.
    pub fn read(words: &'a [u64]) -> Result<Self, ContainerError> {
        let size = ContainerError::Size { bytes: words.len().saturating_mul(8) };
        let (&[first, second], rest) = words.split_first_chunk::<2>().ok_or(size)?;
        let (magic, version) = halves(first);
        if magic != MAGIC {
            return Err(ContainerError::Magic { found: magic });
        }
        if version != VERSION {
            return Err(ContainerError::Version { found: version });
        }
        let (length, zero) = halves(second);
        if u64::from(length) != words.len() as u64 {
            return Err(ContainerError::Length { stated: length.into(), found: words.len() as u64 });
        }
        if zero != 0 {
            return Err(ContainerError::Reserved { word: 1 });
        }
        let (counted, mut rest) = rest.split_at_checked(HEADER_WORDS - 2).ok_or(size)?;
        let mut sections: [&[u64]; SECTIONS] = [&[]; SECTIONS];
        let mut counts = [0; SECTIONS];
        let mut stated = HEADER_WORDS as u64;
        for (index, section) in Section::ALL.into_iter().enumerate() {
            let pair = halves(counted.get(index / 2).copied().unwrap_or(0));
            let count = if index % 2 == 0 { pair.0 } else { pair.1 };
            if count > section.limit() {
                return Err(ContainerError::TooMany { section, count, limit: section.limit() });
            }
            stated += section.words(count);
            let short = ContainerError::Length { stated, found: words.len() as u64 };
            let wanted = usize::try_from(section.words(count)).map_err(|_| short)?;
            let (taken, left) = rest.split_at_checked(wanted).ok_or(short)?;
            rest = left;
            if let (Some(place), Some(number)) = (sections.get_mut(index), counts.get_mut(index)) {
                *place = taken;
                *number = count;
            }
        }
        if !rest.is_empty() {
            return Err(ContainerError::Length { stated, found: words.len() as u64 });
        }
        if SECTIONS % 2 == 1 && counted.last().is_some_and(|&word| halves(word).1 != 0) {
            return Err(ContainerError::Reserved { word: HEADER_WORDS - 1 });
        }
        Ok(Self { sections, counts, words })
    }

    /// All words of the container.
    pub fn words(&self) -> &'a [u64] {
        self.words
    }

    /// The number of records in a section.
    #[inline]
    pub fn count(&self, section: Section) -> u32 {
        self.counts.get(section as usize).copied().unwrap_or(0)
    }

    /// The words of a section.
    #[inline]
    pub fn section(&self, section: Section) -> &'a [u64] {
        self.sections.get(section as usize).copied().unwrap_or(&[])
    }

    /// Record `index` of a section whose records take `N` words.
    #[inline]
    pub(super) fn record<const N: usize>(&self, section: Section, index: u32) -> Option<[u64; N]> {
        let start = usize::try_from(index).ok()?.checked_mul(N)?;
        self.section(section).get(start..)?.first_chunk::<N>().copied()
    }

    /// A string's record.
    pub fn string_record(&self, index: u32) -> Option<Str> {
        let [word] = self.record(Section::Strings, index)?;
        let (start, len) = halves(word);
        Some(Str { start, len })
    }

    /// A string's bytes. `None` if there is no such string or its range is not inside the bytes.
    pub fn bytes(&self, index: u32) -> Option<&'a [u8]> {
        let Str { start, len } = self.string_record(index)?;
        let end = start.checked_add(len)?;
        if end > self.count(Section::Bytes) {
            return None;
        }
        let words = self.section(Section::Bytes);
        // SAFETY: the section is a live slice of words, and a word is 8 initialized bytes without alignment demands.
        let all = unsafe { core::slice::from_raw_parts(words.as_ptr().cast::<u8>(), words.len() * 8) };
        all.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// A string as text, for names. `None` as for [`Container::bytes`], and if it is not UTF-8.
    pub fn text(&self, index: u32) -> Option<&'a str> {
        core::str::from_utf8(self.bytes(index)?).ok()
    }

    /// Element `index` of the type lists.
    #[inline]
    pub fn list(&self, index: u32) -> Option<TypeId> {
        if index >= self.count(Section::Lists) {
            return None;
        }
        let word = self.section(Section::Lists).get(usize::try_from(index / 4).ok()?)?;
        Some(TypeId((word >> (16 * (index % 4))) as u16))
    }

    /// All type lists.
    #[inline]
    pub fn lists(&self) -> &'a [TypeId] {
        let words = self.section(Section::Lists);
        // SAFETY: the section is a live slice of words; a word is four initialized 16-bit numbers, which need less
        // alignment, and `TypeId` is one such number of any value.
        let all = unsafe { core::slice::from_raw_parts(words.as_ptr().cast::<TypeId>(), words.len() * 4) };
        usize::try_from(self.count(Section::Lists)).ok().and_then(|count| all.get(..count)).unwrap_or(&[])
    }

    /// The types of a signature's parameters. `None` if its range is not inside the type lists.
    #[inline]
    pub fn params(&self, sig: &Sig) -> Option<&'a [TypeId]> {
        self.lists().get(usize::try_from(sig.params).ok()?..)?.get(..usize::from(sig.count))
    }

    /// The types of a function's slots. `None` if its range is not inside the type lists.
    #[inline]
    pub fn slots(&self, func: &Func) -> Option<&'a [TypeId]> {
        self.lists().get(usize::try_from(func.slots).ok()?..)?.get(..usize::try_from(func.slot_count).ok()?)
    }

    /// What a composite type describes.
    pub fn composite(&self, ty: TypeId) -> Option<Composite> {
        self.composite_record(u32::try_from(ty.composite()?).ok()?)
    }

    /// Entry `index` of the type section.
    pub fn composite_record(&self, index: u32) -> Option<Composite> {
        let [word] = self.record(Section::Types, index)?;
        Composite::decode(word)
    }

    /// A signature.
    #[inline]
    pub fn sig(&self, index: u32) -> Option<Sig> {
        let [word] = self.record(Section::Sigs, index)?;
        Some(Sig::decode(word))
    }

    /// The type of parameter `index` of a signature.
    #[inline]
    pub fn param(&self, sig: &Sig, index: u16) -> Option<TypeId> {
        if index < sig.count { self.list(sig.params.checked_add(index.into())?) } else { None }
    }

    /// A shape.
    pub fn shape(&self, index: u32) -> Option<Shape> {
        let [first, second] = self.record(Section::Shapes, index)?;
        let (name, fields) = halves(first);
        let (count, _) = halves(second);
        Some(Shape { name, fields, count })
    }

    /// A field, by its place in the field section.
    pub fn field(&self, index: u32) -> Option<Field> {
        let [word] = self.record(Section::Fields, index)?;
        let (name, ty) = halves(word);
        Some(Field { name, ty: TypeId(ty as u16) })
    }

    /// A 64-bit constant.
    #[inline]
    pub fn constant(&self, index: u32) -> Option<u64> {
        self.section(Section::Consts).get(usize::try_from(index).ok()?).copied()
    }

    /// A cell constant. `None` also if its kind is unknown.
    pub fn cell_const(&self, index: u32) -> Option<CellConst> {
        let [word] = self.record(Section::CellConsts, index)?;
        match halves(word) {
            (0, 0) => Some(CellConst::Bool(false)),
            (0, 1) => Some(CellConst::Bool(true)),
            (1, index) => Some(CellConst::Int(index)),
            (2, index) => Some(CellConst::Float(index)),
            (3, index) => Some(CellConst::Str(index)),
            _ => None,
        }
    }

    /// A table.
    #[inline]
    pub fn table(&self, index: u32) -> Option<Table> {
        let [first, second] = self.record(Section::Tables, index)?;
        let (name, start) = halves(first);
        let (len, _) = halves(second);
        Some(Table { name, start, len })
    }

    /// The elements of a table. `None` if its range is not inside the table data.
    pub fn table_data(&self, table: &Table) -> Option<&'a [u64]> {
        let start = usize::try_from(table.start).ok()?;
        let end = start.checked_add(usize::try_from(table.len).ok()?)?;
        self.section(Section::TableData).get(start..end)
    }

    /// A global.
    #[inline]
    pub fn global(&self, index: u32) -> Option<Global> {
        let [first, second] = self.record(Section::Globals, index)?;
        let (name, rest) = halves(first);
        let (init, _) = halves(second);
        Some(Global { name, ty: TypeId(rest as u16), init: if rest >> 16 != 0 { Some(init) } else { None } })
    }

    /// An import.
    #[inline]
    pub fn import(&self, index: u32) -> Option<Import> {
        let [word] = self.record(Section::Imports, index)?;
        let (name, sig) = halves(word);
        Some(Import { name, sig })
    }

    /// A function's record.
    #[inline]
    pub fn func(&self, index: u32) -> Option<Func> {
        let [first, second, third] = self.record(Section::Funcs, index)?;
        let (name, sig) = halves(first);
        let (slots, slot_count) = halves(second);
        let (code, code_len) = halves(third);
        Some(Func { name, sig, slots, slot_count, code, code_len })
    }

    /// The type of slot `slot` of a function.
    #[inline]
    pub fn slot(&self, func: &Func, slot: u16) -> Option<TypeId> {
        if u32::from(slot) < func.slot_count { self.list(func.slots.checked_add(slot.into())?) } else { None }
    }

    /// The words of a function. `None` if its range is not inside the code.
    #[inline]
    pub fn code(&self, func: &Func) -> Option<&'a [u64]> {
        let start = usize::try_from(func.code).ok()?;
        let end = start.checked_add(usize::try_from(func.code_len).ok()?)?;
        self.section(Section::Code).get(start..end)
    }
}

/// How records are written: what the assembler uses, beside the readers above so that the two stay one thing.
impl Str {
    /// Its word.
    pub const fn encode(self) -> [u64; 1] {
        [join(self.start, self.len)]
    }
}

impl Composite {
    /// What a word describes.
    #[inline]
    pub const fn decode(word: u64) -> Option<Self> {
        match halves(word) {
            (0, shape) => Some(Self::Obj(shape)),
            (1, sig) => Some(Self::Fn(sig)),
            _ => None,
        }
    }

    /// Its word.
    pub const fn encode(self) -> [u64; 1] {
        match self {
            Self::Obj(shape) => [join(0, shape)],
            Self::Fn(sig) => [join(1, sig)],
        }
    }
}

impl Sig {
    /// What a word describes.
    #[inline]
    pub const fn decode(word: u64) -> Self {
        let (params, rest) = halves(word);
        Self { params, count: rest as u16, result: TypeId((rest >> 16) as u16) }
    }

    /// Its word.
    pub const fn encode(self) -> [u64; 1] {
        [join(self.params, self.count as u32 | (self.result.0 as u32) << 16)]
    }
}

impl Shape {
    /// Its words.
    pub const fn encode(self) -> [u64; 2] {
        [join(self.name, self.fields), join(self.count, 0)]
    }
}

impl Field {
    /// Its word.
    pub const fn encode(self) -> [u64; 1] {
        [join(self.name, self.ty.0 as u32)]
    }
}

impl CellConst {
    /// Its word.
    pub const fn encode(self) -> [u64; 1] {
        match self {
            Self::Bool(value) => [join(0, value as u32)],
            Self::Int(index) => [join(1, index)],
            Self::Float(index) => [join(2, index)],
            Self::Str(index) => [join(3, index)],
        }
    }
}

impl Table {
    /// Its words.
    pub const fn encode(self) -> [u64; 2] {
        [join(self.name, self.start), join(self.len, 0)]
    }
}

impl Global {
    /// Its words.
    pub const fn encode(self) -> [u64; 2] {
        let (flag, init) = match self.init {
            Some(init) => (1, init),
            None => (0, 0),
        };
        [join(self.name, self.ty.0 as u32 | flag << 16), join(init, 0)]
    }
}

impl Import {
    /// Its word.
    pub const fn encode(self) -> [u64; 1] {
        [join(self.name, self.sig)]
    }
}

impl Func {
    /// Its words.
    pub const fn encode(self) -> [u64; 3] {
        [join(self.name, self.sig), join(self.slots, self.slot_count), join(self.code, self.code_len)]
    }
}

/// The header's words for sections of these sizes.
pub fn encode_header(counts: &[u32; SECTIONS]) -> [u64; HEADER_WORDS] {
    let mut words = HEADER_WORDS as u64;
    for (section, &count) in Section::ALL.into_iter().zip(counts) {
        words += section.words(count);
    }
    let mut header = [0; HEADER_WORDS];
    let pairs =
        counts.chunks(2).map(|pair| join(pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)));
    let fixed = [join(MAGIC, VERSION), words & 0xFFFF_FFFF];
    for (place, word) in header.iter_mut().zip(fixed.into_iter().chain(pairs)) {
        *place = word;
    }
    header
}

/// The op index (the ordinal that traps and listings use) of the op at word `word` of a function: the number of ops
/// before it. Linear in `word`.
pub fn op_index(code: &[u64], word: usize) -> u32 {
    code.iter().take(word).filter(|&&w| w as u8 != Op::Args as u8).count() as u32
}
