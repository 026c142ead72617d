//! A builder of containers, and the module that most tests change a bit of.

use opstamp::vm3::Module;
use opstamp::vm3::container::{
    CellConst, Field, Func, Global, Import, SECTIONS, Section, Shape, Sig, Str, Table, encode_header,
};
use opstamp::vm3::op::{Op, word};
use opstamp::vm3::types::{Composite, TypeId};
use opstamp::vm3::verify::{VerifyError, VerifyOptions};

pub const HEAP: VerifyOptions = VerifyOptions { heap: true };
pub const NO_HEAP: VerifyOptions = VerifyOptions { heap: false };

pub type Types = Vec<TypeId>;

#[derive(Clone, Default)]
pub struct Function {
    pub name: u32,
    pub sig: u32,
    pub slots: Types,
    pub code: Vec<u64>,
}

/// A module as lists of what it declares; names are indices of `strings`.
#[derive(Clone, Default)]
pub struct Parts {
    pub strings: Vec<Vec<u8>>,
    pub types: Vec<Composite>,
    pub sigs: Vec<(Types, TypeId)>,
    pub shapes: Vec<(u32, Vec<(u32, TypeId)>)>,
    pub consts: Vec<u64>,
    pub cell_consts: Vec<CellConst>,
    pub tables: Vec<(u32, Vec<u64>)>,
    pub globals: Vec<Global>,
    pub imports: Vec<Import>,
    pub funcs: Vec<Function>,
}

/// The words of every section, before they are put together: what tests of single records change.
#[derive(Clone)]
pub struct Raw {
    pub words: [Vec<u64>; SECTIONS],
    pub counts: [u32; SECTIONS],
}

impl Raw {
    pub fn section(&mut self, section: Section) -> &mut Vec<u64> {
        &mut self.words[section as usize]
    }

    pub fn join(&self) -> Vec<u64> {
        let mut all = encode_header(&self.counts).to_vec();
        all.extend(self.words.iter().flatten());
        all
    }
}

fn pack(values: &[u64], bits: u32) -> Vec<u64> {
    let each = (64 / bits) as usize;
    values.chunks(each).map(|part| part.iter().rev().fold(0, |word, value| word << bits | value)).collect()
}

impl Parts {
    /// The index of a string, which is added if it is not there.
    pub fn string(&mut self, text: &str) -> u32 {
        let at = self.strings.iter().position(|string| string == text.as_bytes()).unwrap_or_else(|| {
            self.strings.push(text.into());
            self.strings.len() - 1
        });
        at as u32
    }

    /// The index of a string that is known not to be there.
    pub fn string_unchecked(&mut self, text: String) -> u32 {
        self.strings.push(text.into());
        self.strings.len() as u32 - 1
    }

    pub fn func(&mut self, name: &str, sig: u32, slots: &[TypeId], code: &[u64]) -> u32 {
        let name = self.string(name);
        self.funcs.push(Function { name, sig, slots: slots.into(), code: code.into() });
        self.funcs.len() as u32 - 1
    }

    pub fn raw(&self) -> Raw {
        let mut words: [Vec<u64>; SECTIONS] = Default::default();
        let mut counts = [0; SECTIONS];
        let mut bytes = Vec::new();
        let mut put = |section: Section, count: usize, content: Vec<u64>| {
            counts[section as usize] = count as u32;
            words[section as usize] = content;
        };
        let mut strings = Vec::new();
        for string in &self.strings {
            strings.extend(Str { start: bytes.len() as u32, len: string.len() as u32 }.encode());
            bytes.extend(string.iter().map(|&byte| u64::from(byte)));
        }
        put(Section::Bytes, bytes.len(), pack(&bytes, 8));
        put(Section::Strings, self.strings.len(), strings);
        put(Section::Types, self.types.len(), self.types.iter().flat_map(|ty| ty.encode()).collect());
        let mut lists: Vec<u64> = Vec::new();
        let mut sigs = Vec::new();
        for (params, result) in &self.sigs {
            sigs.extend(Sig { params: lists.len() as u32, count: params.len() as u16, result: *result }.encode());
            lists.extend(params.iter().map(|ty| u64::from(ty.0)));
        }
        put(Section::Sigs, self.sigs.len(), sigs);
        let (mut shapes, mut fields) = (Vec::new(), Vec::new());
        for (name, list) in &self.shapes {
            let shape = Shape { name: *name, fields: fields.len() as u32, count: list.len() as u32 };
            shapes.extend(shape.encode());
            fields.extend(list.iter().flat_map(|&(name, ty)| Field { name, ty }.encode()));
        }
        put(Section::Shapes, self.shapes.len(), shapes);
        put(Section::Fields, fields.len(), fields);
        put(Section::Consts, self.consts.len(), self.consts.clone());
        put(Section::CellConsts, self.cell_consts.len(), self.cell_consts.iter().flat_map(|c| c.encode()).collect());
        let (mut tables, mut data) = (Vec::new(), Vec::new());
        for (name, elements) in &self.tables {
            let table = Table { name: *name, start: data.len() as u32, len: elements.len() as u32 };
            tables.extend(table.encode());
            data.extend(elements);
        }
        put(Section::Tables, self.tables.len(), tables);
        put(Section::TableData, data.len(), data);
        put(Section::Globals, self.globals.len(), self.globals.iter().flat_map(|global| global.encode()).collect());
        put(Section::Imports, self.imports.len(), self.imports.iter().flat_map(|import| import.encode()).collect());
        let (mut funcs, mut code) = (Vec::new(), Vec::new());
        for func in &self.funcs {
            let record = Func {
                name: func.name,
                sig: func.sig,
                slots: lists.len() as u32,
                slot_count: func.slots.len() as u32,
                code: code.len() as u32,
                code_len: func.code.len() as u32,
            };
            funcs.extend(record.encode());
            lists.extend(func.slots.iter().map(|ty| u64::from(ty.0)));
            code.extend(&func.code);
        }
        put(Section::Funcs, self.funcs.len(), funcs);
        put(Section::Lists, lists.len(), pack(&lists, 16));
        put(Section::Code, code.len(), code);
        Raw { words, counts }
    }

    pub fn words(&self) -> Vec<u64> {
        self.raw().join()
    }
}

/// The words of an op with these fields.
pub fn op(op: Op, fields: &[u16]) -> Vec<u64> {
    let field = |index: usize| fields.get(index).copied().unwrap_or(0);
    let mut words = vec![word(op, field(0), field(1), field(2))];
    words.extend((3..fields.len()).step_by(3).map(|at| word(Op::Args, field(at), field(at + 1), field(at + 2))));
    words
}

/// Verifies with scratch memory of just the right size, full of ones.
pub fn verify(words: &[u64], options: VerifyOptions) -> Result<Module<'_>, VerifyError<'_>> {
    let mut scratch = vec![u64::MAX; Module::scratch_words(words).unwrap_or(0)];
    Module::verify_with(words, &mut scratch, options)
}

/// The message of the refusal, or `"accepted"`.
pub fn message(words: &[u64], options: VerifyOptions) -> String {
    verify(words, options).map_or_else(|error| error.to_string(), |_| "accepted".into())
}

/// Places in [`world`], which tests name.
pub mod at {
    use super::TypeId;
    /// Composite types.
    pub const OBJ_P: TypeId = TypeId(16);
    pub const FN_NONE: TypeId = TypeId(17);
    pub const FN_I64: TypeId = TypeId(18);
    pub const FN_F64: TypeId = TypeId(19);
    pub const FN_LIST: TypeId = TypeId(20);
    /// Signatures: `()`, and with each result.
    pub const SIG: u32 = 0;
    pub const SIG_I64: u32 = 1;
    pub const SIG_F64: u32 = 2;
    pub const SIG_LIST: u32 = 3;
    /// Signatures from i64 with each result, then `(f64, i64) -> i64`.
    pub const TAKES: u32 = 4;
    pub const TAKES_TWO: u32 = 8;
    /// `main`, whose slots are [`SLOTS`].
    pub const MAIN: usize = 0;
    /// The slots of `main`.
    pub const SLOTS: [TypeId; 18] = [
        TypeId::I64,
        TypeId::I64,
        TypeId::F64,
        TypeId::F64,
        TypeId::ANY,
        TypeId::ANY,
        TypeId::STR,
        TypeId::ARR_I64,
        TypeId::ARR_F64,
        TypeId::ARR_U8,
        TypeId::LIST,
        TypeId::IMAP,
        TypeId::MAP,
        OBJ_P,
        FN_NONE,
        FN_I64,
        FN_F64,
        FN_LIST,
    ];
}

/// A module that declares something of every kind, with a function `main` that has registers of every type and does
/// nothing.
pub fn world() -> Parts {
    let mut parts = Parts::default();
    let p = parts.string("P");
    let fields = [("i", TypeId::I64), ("f", TypeId::F64), ("l", TypeId::LIST), ("next", at::OBJ_P)];
    let fields = fields.map(|(name, ty)| (parts.string(name), ty));
    parts.shapes.push((p, fields.to_vec()));
    let results = [TypeId::NONE, TypeId::I64, TypeId::F64, TypeId::LIST];
    parts.types.push(Composite::Obj(0));
    parts.types.extend((0..4).map(|index| Composite::Fn(at::TAKES + index)));
    parts.sigs.extend(results.map(|result| (vec![], result)));
    parts.sigs.extend(results.map(|result| (vec![TypeId::I64], result)));
    parts.sigs.push((vec![TypeId::F64, TypeId::I64], TypeId::I64));
    parts.consts = vec![7, 1.5f64.to_bits(), 1 << 47];
    let text = parts.string("hello!");
    let short = parts.string("hello");
    parts.cell_consts = vec![
        CellConst::Int(0),
        CellConst::Float(1),
        CellConst::Bool(true),
        CellConst::Str(short),
        CellConst::Int(2),
        CellConst::Str(text),
    ];
    let days = parts.string("days");
    parts.tables.push((days, vec![31, 28, 31]));
    for (name, ty, init) in [
        ("gi", TypeId::I64, Some(0)),
        ("gf", TypeId::F64, Some(1)),
        ("gl", TypeId::LIST, None),
        ("ga", TypeId::ANY, Some(0)),
        ("gs", TypeId::STR, Some(3)),
    ] {
        let name = parts.string(name);
        parts.globals.push(Global { name, ty, init });
    }
    let trap = word(Op::TrapUnreachable, 0, 0, 0);
    parts.func("main", at::SIG, &at::SLOTS, &[word(Op::Nop, 0, 0, 0), trap]);
    for (index, name) in (0..).zip(["takes", "takes_i64", "takes_f64", "takes_list"]) {
        parts.func(name, at::TAKES + index, &[TypeId::I64], &[trap]);
        let name = parts.string(["host", "host_i64", "host_f64", "host_list"][index as usize]);
        parts.imports.push(Import { name, sig: at::TAKES + index });
    }
    parts.func("takes_two", at::TAKES_TWO, &[TypeId::F64, TypeId::I64], &[trap]);
    parts
}
