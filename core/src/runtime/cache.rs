//! Inline caches: what property accesses and calls of closures have seen, in words of the instance's state.
//!
//! The state of an instance ends with [`BLOCK_WORDS`] words for each `prop.get` and `prop.set` in the module and twice as
//! many for each `fn.call`, in the order of the functions and of the ops in them.
//!
//! **Properties.** The first [`CHAIN`] words are entries, the last counts misses. An entry holds, in its low half, the
//! shape and [how the field is read or written](Access), and in its high half the field's offset in bytes in the payload;
//! [`EMPTY`] matches no object. Machine code compares the low half with what it makes of the object's shape, one entry
//! after the other, and uses the high half of the first that is equal. If none is, the op's service looks the name up,
//! and puts the shape into the chain.
//!
//! **Calls.** The cache holds the closure that was called last, by its cell, and what its calls from here need ([`call`]).
//! A closure never changes, so if the cell is the same, all is: that it is not null, the function and its entry, the number
//! and the values of the bound arguments, and so the place of the first named one and the greatest address of a frame
//! that leaves room on the VM stack. What is left of the call is what a `call` does, and that the values are copied: their
//! number is decided once, by which code the call goes to, the function's own or an adaptor that copies just so many and
//! goes on there. In both cases the function is called through its entry, so nothing has to be told of compiling or
//! evicting it. If the cell is another one, a stub decodes the closure, fills the cache and goes back; no Rust is called.
//! Handles are used again and payloads move, but only in collections, each of which makes all calls forget their closures.
//!
//! Beside the stores of named arguments a hit is 12 instructions on x86-64 and 17 on arm64, where a `call` is 9 and 10.
//! With values that are bound it is 2 or 3 more and 2 for each pair of them, a load more where they are more than
//! [`call::BOUND_COUNT`], and a loop over pairs where they are many. The closure decoded at each call took 34 and 32, and 7 and 6 for each bound value. A miss
//! is 53 on both. So what calls another closure each time pays for the cache, less than making a closure costs.
//!
//! The caches are data of one instance, and not code that is changed while it runs. So no other thread ever reads or
//! writes them, filling one is plain stores of the thread that runs the guest, machine code stays shared by all
//! instances, nothing has to be opened, published or synchronized (where pages cannot be written while others execute,
//! code may not be changed for this at all), and an instance learns from its own objects only. It costs a load and a
//! comparison with memory where changed code would compare with a literal. A direct call in place of that through the
//! entry would save one load, and make the cache a thing to unlink when the function is evicted.

use super::cell::Cell;
use super::context::{CONTEXT_WORDS, Context, Entry};
use super::instance::Instance;
use super::trap::Site;
use crate::vm3::Module;
use crate::vm3::container::{Container, Section, op_index};
use crate::vm3::op::{Op, field};
use crate::vm3::types::TypeId;

/// Entries of a property access.
pub const CHAIN: usize = 4;
/// Words of a block.
pub const BLOCK_WORDS: usize = CHAIN + 1;
/// Blocks of a property access.
pub const PROPERTY_BLOCKS: u32 = 1;
/// An entry that is not filled: no shape has this number, and no closure is this cell.
pub const EMPTY: u64 = u64::MAX;

/// The words of the cache of a call, which is of two blocks. But for the first, what they hold counts only if that is the
/// cell of a closure.
pub mod call {
    /// Blocks of a call.
    pub const BLOCKS: u32 = 2;
    /// The closure's cell, or [`super::EMPTY`].
    pub const CELL: usize = 0;
    /// The greatest address of the caller's frame from which the callee's fits on the VM stack.
    pub const LIMIT: usize = 1;
    /// The distance of the first argument that is not bound from the start of the caller's frame, in bytes.
    pub const ARGS: usize = 2;
    /// The address of the word with the address of the code to call: the function's entry, or word [`ADAPTOR`].
    pub const TARGET: usize = 3;
    /// How many times the cache was filled.
    pub const MISSES: usize = super::CHAIN;
    /// The bound values, if they are no more than [`BOUND_COUNT`]; else the address of the payload that they are in.
    pub const BOUND: usize = super::BLOCK_WORDS;
    /// The most bound values that are in the cache.
    pub const BOUND_COUNT: usize = 3;
    /// The address of the code that copies the bound values.
    pub const ADAPTOR: usize = BOUND + BOUND_COUNT;
    /// The address of the function's [`crate::runtime::context::Entry`]; 0 before the first call.
    pub const ENTRY: usize = ADAPTOR + 1;

    const _: () = assert!(ENTRY + 1 == BLOCKS as usize * super::BLOCK_WORDS);
}

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
    /// The number of its first block in the module, plus 1: what its service is told.
    pub operand: u32,
    /// The byte offset of its first entry from the globals.
    pub offset: u32,
    /// The access of the entries that machine code uses; for others it calls the service. Of no meaning for calls.
    pub access: Access,
}

/// Fields of shapes that are looked at for a name.
const LOOKED_AT: u32 = 32;

impl CacheSite {
    /// That of an access to the property that is string `name`, at block `number` of the module. `None` if it lies beyond
    /// every offset.
    ///
    /// The access is that of the first field of that name in the module, if it is among the first 32 fields: a module
    /// seldom gives one name to fields of different types.
    pub(crate) fn property(container: &Container<'_>, number: u32, name: u16, writes: bool) -> Option<Self> {
        let field = (0..LOOKED_AT).map_while(|index| container.field(index)).find(|field| field.name == name.into());
        let access = field.and_then(|field| Access::new(field.ty, writes)).unwrap_or(Access::Cell);
        Self::at(container, number, access)
    }

    /// That of a call at block `number` of the module. `None` if it lies beyond every offset.
    pub(crate) fn call(container: &Container<'_>, number: u32) -> Option<Self> {
        Self::at(container, number, Access::Cell)
    }

    fn at(container: &Container<'_>, number: u32, access: Access) -> Option<Self> {
        let words = usize::try_from(number).ok()?.checked_mul(BLOCK_WORDS)?.checked_add(first_word(container))?;
        // With the last word of a call, and from the context on.
        let end = words.checked_add(CONTEXT_WORDS)?.checked_add(call::ENTRY)?.checked_mul(8)?;
        i32::try_from(end).ok()?;
        Some(Self { operand: number.checked_add(1)?, offset: u32::try_from(words.checked_mul(8)?).ok()?, access })
    }

    /// The byte offset of its first word from the context, behind which the globals lie in an instance's state.
    pub const fn from_context(self) -> u32 {
        self.offset.saturating_add(8 * CONTEXT_WORDS as u32)
    }
}

/// What an op with a cache does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheKind {
    /// `prop.get`
    Get,
    /// `prop.set`
    Set,
    /// `fn.call`
    Call,
}

impl CacheKind {
    /// That of the op of a word, if it has a cache.
    const fn of(word: u64) -> Option<Self> {
        let op = word as u8;
        if op == Op::PropGet as u8 {
            Some(Self::Get)
        } else if op == Op::PropSet as u8 {
            Some(Self::Set)
        } else if op == Op::FnCall as u8
            || op == Op::FnCallI64 as u8
            || op == Op::FnCallF64 as u8
            || op == Op::FnCallCell as u8
        {
            Some(Self::Call)
        } else {
            None
        }
    }

    const fn blocks(self) -> u32 {
        match self {
            Self::Get | Self::Set => PROPERTY_BLOCKS,
            Self::Call => call::BLOCKS,
        }
    }
}

/// The number of blocks of the ops in these words.
pub(crate) fn blocks_in(code: &[u64]) -> usize {
    if !crate::HEAP {
        return 0;
    }
    code.iter().filter_map(|&word| CacheKind::of(word)).map(|kind| kind.blocks() as usize).sum()
}

/// The word of the state at which the first block lies: behind globals, imports and constants.
pub(crate) fn first_word(container: &Container<'_>) -> usize {
    let count = |section| container.count(section) as usize;
    let words = count(Section::Globals).saturating_add(count(Section::Imports));
    words.saturating_add(count(Section::CellConsts))
}

/// The words of all blocks of a module.
pub(crate) fn state_words(module: &Module<'_>) -> usize {
    let container = module.container();
    let code = |index| container.func(index).and_then(|func| container.code(&func));
    let blocks = (0..container.count(Section::Funcs)).filter_map(code).map(blocks_in).sum::<usize>();
    blocks.saturating_mul(BLOCK_WORDS)
}

/// Empties all blocks.
pub(crate) fn clear(blocks: &mut [u64]) {
    for block in blocks.chunks_mut(BLOCK_WORDS) {
        block.fill(EMPTY);
        // Misses, or an entry.
        if let Some(last) = block.get_mut(CHAIN) {
            *last = 0;
        }
    }
}

/// Forgets all closures.
///
/// The first word of a block that looks like a handle is a closure's cell, or a value that it binds, or [`EMPTY`]: shapes
/// and accesses leave the highest bits of an entry clear.
pub(crate) fn forget(blocks: &mut [u64]) {
    for first in blocks.iter_mut().step_by(BLOCK_WORDS) {
        if Cell::from_slot(*first).is_handle() {
            *first = EMPTY;
        }
    }
}

/// Machine code at `site`, whose block is `number`, has called for its service: puts the shape of the object there into
/// the chain if it is not in it, and the field can be accessed. Traps are left to the op.
///
/// # Safety
///
/// As for [`crate::interp::heap::run`]; the op at `site` is a property access, whose block in the module is `number`.
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
    let place = first_word(container).saturating_add((number as usize).saturating_mul(BLOCK_WORDS));
    // SAFETY: the state has the words of the site, and only this thread uses them.
    let chain = unsafe { core::slice::from_raw_parts_mut((*instance).state().add(place).cast_mut(), BLOCK_WORDS) };
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

/// What an inline cache has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStats {
    /// The function of the op, by its index in the module.
    pub func: u16,
    /// The op in that function, counted as vm3.md does.
    pub op: u32,
    /// What the op does.
    pub kind: CacheKind,
    /// The shapes in the chain of a property access, by their indices in the module, those first that were seen first as
    /// long as no more than the chain holds were seen.
    pub shapes: [Option<u32>; CHAIN],
    /// The function of the closure that a call has put into its cache last, by its index in the module.
    pub callee: Option<u16>,
    /// How many times a shape was not in the chain; how many times a closure was not the one called last, or a collection
    /// has come between.
    pub misses: u64,
}

/// The statistics of all caches of a module whose blocks in the state are `blocks`, in the order of the functions and of
/// the ops in them. `functions` is the engine's function table.
pub(crate) fn stats<'i>(
    container: &'i Container<'i>,
    blocks: &'i [u64],
    functions: &'i [Entry],
) -> impl Iterator<Item = CacheStats> + 'i {
    let indices = (0..=u16::MAX).zip(0..container.count(Section::Funcs));
    let code = indices.filter_map(|(index, at)| Some((index, container.code(&container.func(at)?)?)));
    let cached = code.flat_map(|(func, code)| {
        let words = code.iter().enumerate().filter_map(|(place, &word)| Some((place, CacheKind::of(word)?)));
        words.map(move |(place, kind)| (func, op_index(code, place), kind))
    });
    let mut rest = blocks;
    cached.map_while(move |(func, op, kind)| {
        let (words, behind) = rest.split_at_checked(kind.blocks() as usize * BLOCK_WORDS)?;
        rest = behind;
        let misses = words.get(CHAIN).copied().unwrap_or(0);
        let (mut shapes, mut callee) = ([None; CHAIN], None);
        if kind == CacheKind::Call {
            let distance = words.get(call::ENTRY).and_then(|entry| entry.checked_sub(functions.as_ptr() as u64));
            callee = distance.and_then(|distance| u16::try_from(distance / size_of::<Entry>() as u64).ok());
        } else {
            for (shape, &entry) in shapes.iter_mut().zip(words) {
                *shape = (entry != EMPTY).then(|| shape_in(entry));
            }
        }
        Some(CacheStats { func, op, kind, shapes, callee, misses })
    })
}
