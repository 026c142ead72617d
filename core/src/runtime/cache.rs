//! Inline caches of property accesses: what `prop.get` and `prop.set` have seen, in words of the instance's state.
//!
//! The state of an instance ends with [`SITE_WORDS`] words for each of these ops in the module, in the order of the
//! functions and of the ops in them. The first [`CHAIN`] words of a site are its entries, the last counts its misses. An
//! entry holds, in its low half, the shape and [how the field is read or written](Access), and in its high half the
//! field's offset in bytes in the payload; [`EMPTY`] matches no object. Machine code compares the low half with what it
//! makes of the object's shape, one entry after the other, and uses the high half of the first that is equal. If none is,
//! the op's service looks the name up, and puts the shape into the chain.
//!
//! The caches are data of one instance, and not code that is changed while it runs. So no other thread ever reads or
//! writes them, filling one is two plain stores of the thread that runs the guest, machine code stays shared by all
//! instances, nothing has to be opened, published or synchronized (where pages cannot be written while others execute,
//! code may not be changed for this at all), and an instance learns from its own objects only. It costs a load and a
//! comparison with memory where changed code would compare with a literal.
//!
//! Calls of closures have no cache: they go through the function's entry, which is one load, and then an indirect call
//! that the processor predicts.

use super::context::{Context, Entry};
use super::instance::Instance;
use super::trap::Site;
use crate::vm3::Module;
use crate::vm3::container::{Container, Section, op_index};
use crate::vm3::op::{Op, field};
use crate::vm3::types::TypeId;

/// Entries of a site.
pub const CHAIN: usize = 4;
/// Words of a site.
pub const SITE_WORDS: usize = CHAIN + 1;
/// An entry that is not filled: no shape has this number.
pub const EMPTY: u64 = u64::MAX;

/// How a field is read or written by machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Access {
    /// A cell as it is. Only fields of type `any` are written so: what fits others takes more to decide.
    Cell = 0,
    /// An integer that is boxed and unboxed.
    Int = 1,
    /// A float that is boxed and unboxed.
    Float = 2,
}

impl Access {
    /// The access to a field of that type, if there is one.
    pub(crate) fn new(ty: TypeId, writes: bool) -> Option<Self> {
        match ty {
            TypeId::I64 => Some(Self::Int),
            TypeId::F64 => Some(Self::Float),
            TypeId::ANY => Some(Self::Cell),
            _ if writes => None,
            _ => Some(Self::Cell),
        }
    }

    /// What is added to a shape's number, which has 16 bits, to make the low half of an entry.
    pub(crate) const fn mark(self) -> u32 {
        (self as u32) << 16
    }
}

/// A site's place in the state, and how machine code there accesses the field.
#[derive(Clone, Copy, Debug)]
pub struct CacheSite {
    /// Its number in the module, plus 1: what its service is told.
    pub operand: u32,
    /// The byte offset of its first entry from the globals.
    pub offset: u32,
    /// The access of the entries that machine code uses; for others it calls the service.
    pub access: Access,
}

/// Fields of shapes that are looked at for a name.
const LOOKED_AT: u32 = 32;

impl CacheSite {
    /// The site `number` of the module, an op that names string `name`. `None` if it lies beyond every offset.
    ///
    /// The access is that of the first field of that name in the module, if it is among the first 32 fields: a module
    /// seldom gives one name to fields of different types.
    pub(crate) fn new(container: &Container<'_>, number: u32, name: u16, writes: bool) -> Option<Self> {
        let words = usize::try_from(number).ok()?.checked_mul(SITE_WORDS)?.checked_add(first_word(container))?;
        // All entries are within the reach of a displacement.
        i32::try_from(words.checked_add(SITE_WORDS)?.checked_mul(8)?).ok()?;
        let offset = i32::try_from(words.checked_mul(8)?).ok()?;
        let field = (0..LOOKED_AT).map_while(|index| container.field(index)).find(|field| field.name == name.into());
        let access = field.and_then(|field| Access::new(field.ty, writes)).unwrap_or(Access::Cell);
        Some(Self { operand: number.checked_add(1)?, offset: offset.unsigned_abs(), access })
    }
}

/// Whether the op of a word has a cache.
pub(crate) const fn is_cached(word: u64) -> bool {
    word as u8 == Op::PropGet as u8 || word as u8 == Op::PropSet as u8
}

/// The number of sites in these words.
pub(crate) fn sites_in(code: &[u64]) -> usize {
    if crate::HEAP { code.iter().filter(|&&word| is_cached(word)).count() } else { 0 }
}

/// The word of the state at which the first site lies: behind globals, imports and constants.
pub(crate) fn first_word(container: &Container<'_>) -> usize {
    let count = |section| container.count(section) as usize;
    let words = count(Section::Globals).saturating_add(count(Section::Imports));
    words.saturating_add(count(Section::CellConsts))
}

/// The words of all sites of a module.
pub(crate) fn state_words(module: &Module<'_>) -> usize {
    let container = module.container();
    let code = |index| container.func(index).and_then(|func| container.code(&func));
    let sites = (0..container.count(Section::Funcs)).filter_map(code).map(sites_in).sum::<usize>();
    sites.saturating_mul(SITE_WORDS)
}

/// Empties all sites.
pub(crate) fn clear(sites: &mut [u64]) {
    for site in sites.chunks_mut(SITE_WORDS) {
        site.fill(EMPTY);
        if let Some(misses) = site.get_mut(CHAIN) {
            *misses = 0;
        }
    }
}

/// Machine code at `site`, whose number is `number`, has called for its service: puts the shape of the object there into
/// the chain if it is not in it, and the field can be accessed. Traps are left to the op.
///
/// # Safety
///
/// As for [`crate::interp::heap::run`]; the op at `site` is the module's site `number`.
pub(crate) unsafe fn miss(context: *mut Context, frame: *const u64, site: Site, number: u32) {
    // SAFETY: by the contract; the engine outlives the instance, of which nothing is borrowed.
    let (instance, container, op) = unsafe {
        let instance = (*context).instance as *const Instance<'_>;
        let engine = (*instance).engine();
        let words = engine.functions().get(usize::from(site.func())).map_or(0, |entry: &Entry| entry.words);
        let op = (words as *const u64).add(usize::from(site.word())).read();
        (instance, engine.module().container(), op)
    };
    let writes = op as u8 == Op::PropSet as u8;
    let fields = |index| field(&[op], index).unwrap_or(0);
    let (object, name) = if writes { (fields(0), fields(1)) } else { (fields(1), fields(2)) };
    // SAFETY: the object's register is a slot of the frame; the reference to the heap ends here.
    let shape = unsafe {
        let cell = super::cell::Cell::from_slot(frame.add(1 + usize::from(object)).read());
        (*instance).heap().shape_of(cell)
    };
    let Ok(shape) = shape else { return };
    let place = first_word(container).saturating_add((number as usize).saturating_mul(SITE_WORDS));
    // SAFETY: the state has the words of the site, and only this thread uses them.
    let chain = unsafe { core::slice::from_raw_parts_mut((*instance).state().add(place).cast_mut(), SITE_WORDS) };
    let Some((misses, entries)) = chain.split_last_mut() else { return };
    if entries.iter().any(|&entry| entry != EMPTY && shape_in(entry) == shape) {
        return;
    }
    let Ok(property) = super::heap::property_of(container, shape, name.into()) else { return };
    let (Some(access), Some(offset)) = (Access::new(property.ty, writes), property.field.checked_mul(8)) else {
        return;
    };
    // A full chain forgets its entries in turn.
    let turn = (*misses % CHAIN as u64) as usize;
    let free = entries.iter().position(|&entry| entry == EMPTY).unwrap_or(turn);
    *misses = misses.saturating_add(1);
    if let Some(entry) = entries.get_mut(free) {
        *entry = u64::from(shape | access.mark()) | u64::from(offset) << 32;
    }
}

/// The shape in an entry.
const fn shape_in(entry: u64) -> u32 {
    entry as u16 as u32
}

/// What the inline cache of a property access has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStats {
    /// The function of the op, by its index in the module.
    pub func: u16,
    /// The op in that function, counted as vm3.md does.
    pub op: u32,
    /// Whether it is a `prop.set`.
    pub writes: bool,
    /// The shapes in the chain, by their indices in the module, those first that were seen first as long as no more than
    /// the chain holds were seen.
    pub shapes: [Option<u32>; CHAIN],
    /// How many times a shape was not in the chain.
    pub misses: u64,
}

/// The statistics of all sites of a module whose words in the state are `sites`, in the order of the functions and of the
/// ops in them.
pub(crate) fn stats<'i>(container: &'i Container<'i>, sites: &'i [u64]) -> impl Iterator<Item = CacheStats> + 'i {
    let functions = (0..=u16::MAX).zip(0..container.count(Section::Funcs));
    let code = functions.filter_map(|(index, at)| Some((index, container.code(&container.func(at)?)?)));
    let cached = code.flat_map(|(func, code)| {
        let words = code.iter().enumerate().filter(|&(_, &word)| is_cached(word));
        words.map(move |(place, &word)| (func, op_index(code, place), word as u8 == Op::PropSet as u8))
    });
    cached.zip(sites.chunks(SITE_WORDS)).map(|((func, op, writes), words)| {
        let entry = |index: usize| words.get(index).filter(|&&entry| entry != EMPTY).map(|&entry| shape_in(entry));
        let misses = words.get(CHAIN).copied().unwrap_or(0);
        CacheStats { func, op, writes, shapes: core::array::from_fn(entry), misses }
    })
}
