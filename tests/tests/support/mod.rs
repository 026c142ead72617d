//! Containers written by hand, and instances of them.
#![allow(dead_code, reason = "each test program uses its own part")]

use opstamp::runtime::context::Entry;
use opstamp::vm3::container::{
    CellConst, Func, Global, HEADER_WORDS, Import, SECTIONS, Section, Sig, Str, Table, encode_header,
};
use opstamp::vm3::op::{Op, word};
use opstamp::vm3::text;
use opstamp::{CallError, Engine, HostFn, Instance, InstanceMemory, Module, Trap, TrapKind, TrapReport, TypeId, Value};
use std::collections::HashMap;

/// The words of a function.
#[derive(Default, Clone)]
pub struct Code(pub Vec<u64>);

impl Code {
    /// Appends an op with these operand fields, and gives the index of its word.
    pub fn op(&mut self, op: Op, fields: &[u16]) -> u16 {
        let at = self.here();
        let field = |index: usize| fields.get(index).copied().unwrap_or(0);
        self.0.push(word(op, field(0), field(1), field(2)));
        for rest in (3..fields.len()).step_by(3) {
            self.0.push(word(Op::Args, field(rest), field(rest + 1), field(rest + 2)));
        }
        at
    }

    /// The index of the next word.
    pub fn here(&self) -> u16 {
        self.0.len().try_into().unwrap()
    }

    /// Puts `target` in field `field` of the op at `at`.
    pub fn patch(&mut self, at: u16, field: usize, target: u16) {
        let word = &mut self.0[usize::from(at) + field / 3];
        let shift = 16 + 16 * (field % 3);
        *word = *word & !(0xFFFF << shift) | u64::from(target) << shift;
    }
}

/// A module under construction.
#[derive(Default)]
pub struct Builder {
    strings: Vec<Vec<u8>>,
    known: HashMap<Vec<u8>, usize>,
    lists: Vec<u16>,
    sigs: Vec<u64>,
    consts: Vec<u64>,
    cells: Vec<u64>,
    tables: Vec<u64>,
    data: Vec<u64>,
    globals: Vec<u64>,
    imports: Vec<u64>,
    funcs: Vec<u64>,
    code: Vec<u64>,
}

impl Builder {
    /// A string's index; equal strings are one.
    pub fn string(&mut self, text: &[u8]) -> u32 {
        let index = *self.known.entry(text.to_vec()).or_insert_with(|| {
            self.strings.push(text.to_vec());
            self.strings.len() - 1
        });
        index.try_into().unwrap()
    }

    fn types(&mut self, types: &[TypeId]) -> u32 {
        let start = self.lists.len().try_into().unwrap();
        self.lists.extend(types.iter().map(|ty| ty.0));
        start
    }

    fn sig(&mut self, params: &[TypeId], result: TypeId) -> u32 {
        let start = self.types(params);
        self.sigs.extend(Sig { params: start, count: params.len().try_into().unwrap(), result }.encode());
        (self.sigs.len() - 1).try_into().unwrap()
    }

    /// A 64-bit constant's index.
    pub fn constant(&mut self, bits: u64) -> u32 {
        self.consts.push(bits);
        (self.consts.len() - 1).try_into().unwrap()
    }

    /// A cell constant's index.
    pub fn cell(&mut self, constant: CellConst) -> u32 {
        self.cells.extend(constant.encode());
        (self.cells.len() - 1).try_into().unwrap()
    }

    /// A table's index.
    pub fn table(&mut self, name: &str, elements: &[i64]) -> u16 {
        let start = self.data.len().try_into().unwrap();
        self.data.extend(elements.iter().map(|&element| element as u64));
        let table = Table { name: self.string(name.as_bytes()), start, len: elements.len().try_into().unwrap() };
        self.tables.extend(table.encode());
        (self.tables.len() / 2 - 1).try_into().unwrap()
    }

    /// A global's index.
    pub fn global(&mut self, name: &str, ty: TypeId, init: Option<u32>) -> u16 {
        let global = Global { name: self.string(name.as_bytes()), ty, init };
        self.globals.extend(global.encode());
        (self.globals.len() / 2 - 1).try_into().unwrap()
    }

    /// An import's index.
    pub fn import(&mut self, name: &str, params: &[TypeId], result: TypeId) -> u16 {
        let import = Import { name: self.string(name.as_bytes()), sig: self.sig(params, result) };
        self.imports.extend(import.encode());
        (self.imports.len() - 1).try_into().unwrap()
    }

    /// A function's index.
    pub fn func(&mut self, name: &str, params: &[TypeId], result: TypeId, locals: &[TypeId], code: Code) -> u16 {
        let sig = self.sig(params, result);
        let slots = self.types(&[params, locals].concat());
        let func = Func {
            name: self.string(name.as_bytes()),
            sig,
            slots,
            slot_count: (params.len() + locals.len()).try_into().unwrap(),
            code: self.code.len().try_into().unwrap(),
            code_len: code.0.len().try_into().unwrap(),
        };
        self.funcs.extend(func.encode());
        self.code.extend(code.0);
        (self.funcs.len() / 3 - 1).try_into().unwrap()
    }

    /// The container.
    pub fn finish(self) -> Vec<u64> {
        let mut counts = [0u32; SECTIONS];
        let mut count = |section: Section, records: usize| counts[section as usize] = records.try_into().unwrap();
        let mut strings = Vec::new();
        let mut bytes = Vec::new();
        for text in &self.strings {
            let record = Str { start: bytes.len().try_into().unwrap(), len: text.len().try_into().unwrap() };
            strings.extend(record.encode());
            bytes.extend_from_slice(text);
        }
        count(Section::Bytes, bytes.len());
        count(Section::Strings, strings.len());
        count(Section::Sigs, self.sigs.len());
        count(Section::Lists, self.lists.len());
        count(Section::Consts, self.consts.len());
        count(Section::CellConsts, self.cells.len());
        count(Section::Tables, self.tables.len() / 2);
        count(Section::TableData, self.data.len());
        count(Section::Globals, self.globals.len() / 2);
        count(Section::Imports, self.imports.len());
        count(Section::Funcs, self.funcs.len() / 3);
        count(Section::Code, self.code.len());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let mut lists = self.lists;
        lists.resize(lists.len().next_multiple_of(4), 0);
        let bytes: Vec<u64> = bytes.chunks(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap())).collect();
        let lists: Vec<u64> =
            lists.chunks(4).map(|chunk| chunk.iter().rev().fold(0, |word, &ty| word << 16 | u64::from(ty))).collect();
        let mut words = encode_header(&counts).to_vec();
        assert_eq!(words.len(), HEADER_WORDS);
        for section in [
            bytes,
            strings,
            self.sigs,
            lists,
            self.consts,
            self.cells,
            self.tables,
            self.data,
            self.globals,
            self.imports,
            self.funcs,
            self.code,
        ] {
            words.extend(section);
        }
        words
    }
}

/// Interprets the module on a VM stack of `stack` words.
pub fn interpret<R>(
    words: &[u64],
    stack: usize,
    imports: &[HostFn<'_>],
    run: impl FnOnce(&mut Instance<'_>) -> R,
) -> R {
    let mut scratch = vec![0; Module::scratch_words(words).unwrap()];
    let module = Module::verify(words, &mut scratch).unwrap_or_else(|error| panic!("{error}"));
    let mut entries = Vec::new();
    entries.resize_with(Engine::functions_needed(&module), Entry::default);
    let engine = Engine::interpreter(module, &mut entries).unwrap();
    let mut stack = vec![0xDEAD_BEEF_DEAD_BEEF; stack];
    let mut state = vec![0; Instance::state_words(&module)];
    let memory = InstanceMemory { heap: &mut [], seed: 0, stack: &mut stack, state: &mut state, native_stack: 1 << 20 };
    let mut instance = Instance::new(&engine, memory, imports).unwrap();
    run(&mut instance)
}

/// A function of these ops, without labels.
pub fn code(ops: &[(Op, &[u16])]) -> Code {
    let mut code = Code::default();
    for (op, fields) in ops {
        code.op(*op, fields);
    }
    code
}

/// What a call gives that traps at op `op` of function `func`.
pub fn trap(kind: TrapKind, func: u16, op: u32) -> Result<Option<Value>, CallError> {
    Err(CallError::Trap(TrapReport { trap: Trap::new(kind), func, op }))
}

/// What a call gives that returns an integer.
pub fn int(value: i64) -> Result<Option<Value>, CallError> {
    Ok(Some(Value::I64(value)))
}

/// The container of a source.
pub fn assemble(source: &str) -> Vec<u64> {
    let sizes = text::sizes(source);
    let (mut out, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let used = text::assemble(source, &mut out, &mut scratch, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    out.truncate(used);
    out
}
