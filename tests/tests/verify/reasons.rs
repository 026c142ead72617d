//! One case at least for each rule, with the exact words of the refusal.

use crate::build::{HEAP, NO_HEAP, Parts, Raw, at, message, op, world};
use opstamp::vm3::Module;
use opstamp::vm3::container::{CellConst, Field, Func, Global, HEADER_WORDS, Import, Section, Shape, Sig, Str, Table};
use opstamp::vm3::op::{Op, word};
use opstamp::vm3::types::{Composite, TypeId};

/// `world` with one change.
fn parts(change: impl FnOnce(&mut Parts)) -> String {
    let mut parts = world();
    change(&mut parts);
    message(&parts.words(), HEAP)
}

/// `world` with one change to the words of its sections.
fn raw(change: impl FnOnce(&mut Raw)) -> String {
    let mut raw = world().raw();
    change(&mut raw);
    message(&raw.join(), HEAP)
}

/// `world` whose `main` is these words, a trap behind them.
fn main_of(words: &[u64]) -> Parts {
    let mut parts = world();
    parts.funcs[at::MAIN].code = [words, &[word(Op::TrapUnreachable, 0, 0, 0)]].concat();
    parts
}

fn code(words: &[u64]) -> String {
    message(&main_of(words).words(), HEAP)
}

/// A module whose one function returns that type by `ret` of these fields.
fn returning(result: TypeId, ret: Op, reg: u16) -> String {
    let mut parts = world();
    parts.sigs[0].1 = result;
    parts.funcs[at::MAIN].code = op(ret, &[reg]);
    message(&parts.words(), HEAP)
}

#[test]
fn the_world_is_accepted() {
    assert_eq!(message(&world().words(), HEAP), "accepted");
    assert_eq!(message(&world().words(), NO_HEAP), "accepted");
    assert_eq!(message(&Parts::default().words(), NO_HEAP), "accepted");
}

#[test]
fn ops() {
    let nop = op(Op::Nop, &[]);
    let cases: &[(&[u64], &str)] = &[
        (&[nop[0], 0xFA], "in main at op 1: no op has the code 250"),
        (&[0], "in main at op 0: no op has the code 0"),
        (&[Op::Nop as u64 | 0x0300], "in main at op 0 (nop): the flags byte is 0x03, expected zero"),
        (&op(Op::Args, &[]), "in main at op 0: the function starts with an args word, expected an op"),
        (&[nop[0], nop[0], word(Op::Args, 0, 0, 0)], "in main at op 1 (nop): it has more args words than operands"),
        (
            &[op(Op::F64Fma, &[2, 2, 2, 2])[0]],
            "in main at op 0 (f64.fma): operand 4 is missing, expected an args word that holds it",
        ),
        (
            &op(Op::I64Not, &[0, 1, 9]),
            "in main at op 0 (i64.not): a field behind the last operand holds 9, expected zero",
        ),
        (&op(Op::I64Add, &[0, 3, 1]), "in main at op 0 (i64.add): operand 2 is register 3 (f64), expected i64"),
        (
            &op(Op::I64Add, &[0, 1, 18]),
            "in main at op 0 (i64.add): operand 3 is register 18, expected a register below 18",
        ),
        (&op(Op::StrLen, &[0, 13]), "in main at op 0 (str.len): operand 2 is register 13 (obj P), expected str"),
        (
            &op(Op::StrConcat, &[10, 6, 6]),
            "in main at op 0 (str.concat): operand 1 is register 10 (list), expected str or any",
        ),
        (
            &op(Op::StrConcat, &[0, 6, 6]),
            "in main at op 0 (str.concat): operand 1 is register 0 (i64), expected str or any",
        ),
        (&op(Op::ListPop, &[6, 10]), "in main at op 0 (list.pop): operand 1 is register 6 (str), expected any"),
        (&op(Op::CellMov, &[10, 6]), "in main at op 0 (cell.mov): operand 2 is register 6 (str), expected list"),
        (&op(Op::CellMov, &[10, 1]), "in main at op 0 (cell.mov): operand 2 is register 1 (i64), expected a cell"),
        (&op(Op::CellMov, &[10, 4]), "in main at op 0 (cell.mov): operand 2 is register 4 (any), expected list"),
        (
            &op(Op::CellConst, &[10, 3, 0]),
            "in main at op 0 (cell.const): operand 2 is cell constant 3 (str), expected list",
        ),
        (
            &op(Op::CellConst, &[6, 0, 0]),
            "in main at op 0 (cell.const): operand 2 is cell constant 0 (any), expected str",
        ),
        (
            &op(Op::I64ConstPool, &[0, 3, 0]),
            "in main at op 0 (i64.const): operand 2 is constant 3, expected an index below 3",
        ),
        (
            &op(Op::F64Const, &[2, 0, 1]),
            "in main at op 0 (f64.const): operand 2 is constant 65536, expected an index below 3",
        ),
        (&op(Op::Jump, &[2]), "in main at op 0 (jump): operand 1 leads to word 2, expected a word below 2"),
        (
            &[op(Op::F64Fma, &[2, 2, 2, 2]), op(Op::BrNull, &[4, 1])].concat(),
            "in main at op 1 (br.null): operand 2 leads to word 1, which holds operands, expected the word of an op",
        ),
        (
            &op(Op::Switch, &[0, 2, 9, 0, 0]),
            "in main at op 0 (switch): the default target leads to word 9, expected a word below 3",
        ),
        (
            &op(Op::Switch, &[0, 2, 0, 0, 9]),
            "in main at op 0 (switch): target 1 leads to word 9, expected a word below 3",
        ),
        (
            &op(Op::Switch, &[0, 9, 0, 0, 0]),
            "in main at op 0 (switch): target 3 is missing, expected an args word that holds it",
        ),
        (&op(Op::Call, &[6, 0]), "in main at op 0 (call): operand 1 is function 6, expected an index below 6"),
        (&op(Op::Call, &[1, 2]), "in main at op 0 (call): argument 1 is register 2 (f64), expected i64"),
        (
            &op(Op::CallI64, &[0, 1, 0]),
            "in main at op 0 (call): operand 2 is function takes without a result, expected i64",
        ),
        (
            &op(Op::CallCell, &[6, 4, 0]),
            "in main at op 0 (call): operand 2 is function takes_list with the result list, expected str",
        ),
        // A function without a result gives nothing that `any` could hold.
        (
            &op(Op::CallCell, &[4, 1, 0]),
            "in main at op 0 (call): operand 2 is function takes without a result, expected any",
        ),
        (
            &op(Op::Tail, &[2, 0]),
            "in main at op 0 (tail): operand 1 is function takes_i64 with the result i64, expected no value",
        ),
        (
            &op(Op::HostF64, &[2, 1, 0]),
            "in main at op 0 (host): operand 2 is import host_i64 with the result i64, expected f64",
        ),
        (&op(Op::Host, &[4, 0]), "in main at op 0 (host): operand 1 is import 4, expected an index below 4"),
        (
            &op(Op::FnNew, &[4, 5, 2]),
            "in main at op 0 (fn.new): operand 1 is register 4 (any), expected a closure type",
        ),
        (
            &op(Op::FnNew, &[16, 5, 2]),
            "in main at op 0 (fn.new): operand 1 is register 16 (fn(i64) -> f64), \
             expected the type of function takes_two less its first parameters",
        ),
        (&op(Op::FnNew, &[15, 5, 1]), "in main at op 0 (fn.new): argument 1 is register 1 (i64), expected f64"),
        (
            &op(Op::FnCall, &[10, 1]),
            "in main at op 0 (fn.call): operand 1 is register 10 (list), expected a closure type",
        ),
        (
            &op(Op::FnCallI64, &[0, 16, 1]),
            "in main at op 0 (fn.call): operand 2 is a closure in register 16 with the result f64, expected i64",
        ),
        (&op(Op::TableGet, &[0, 1, 0]), "in main at op 0 (table.get): operand 2 is table 1, expected an index below 1"),
        (&op(Op::GlobalGetI64, &[0, 1]), "in main at op 0 (global.get): operand 2 is global gf (f64), expected i64"),
        (&op(Op::GlobalGetCell, &[10, 3]), "in main at op 0 (global.get): operand 2 is global ga (any), expected list"),
        (&op(Op::GlobalSetCell, &[2, 6]), "in main at op 0 (global.set): operand 2 is register 6 (str), expected list"),
        (
            &op(Op::GlobalSetI64, &[5, 0]),
            "in main at op 0 (global.set): operand 1 is global 5, expected an index below 5",
        ),
        (&op(Op::ObjNew, &[4]), "in main at op 0 (obj.new): operand 1 is register 4 (any), expected an object type"),
        (
            &op(Op::ObjGetI64, &[0, 4, 0]),
            "in main at op 0 (obj.get): operand 2 is register 4 (any), expected an object type",
        ),
        (&op(Op::ObjGetI64, &[0, 13, 1]), "in main at op 0 (obj.get): operand 3 is field f (f64), expected i64"),
        (&op(Op::ObjGetI64, &[0, 13, 4]), "in main at op 0 (obj.get): operand 3 is field 4, expected an index below 4"),
        (
            &op(Op::ObjSetCell, &[13, 3, 10]),
            "in main at op 0 (obj.set): operand 3 is register 10 (list), expected obj P",
        ),
        (
            &op(Op::PropGet, &[4, 4, 23]),
            "in main at op 0 (prop.get): operand 3 is string 23, expected an index below 23",
        ),
        (&op(Op::PropSet, &[4, 0, 0]), "in main at op 0 (prop.set): operand 3 is register 0 (i64), expected a cell"),
        (&op(Op::Ret, &[]), "accepted"),
        (&op(Op::RetI64, &[0]), "in main at op 0 (ret): operand 1 is register 0 (i64), expected no value"),
    ];
    for (words, expected) in cases {
        assert_eq!(code(words), *expected, "{words:x?}");
    }
}

#[test]
fn the_fault_names_the_op_not_the_word() {
    let words = [op(Op::F64Fma, &[2, 2, 2, 2]), op(Op::Switch, &[0, 0, 0]), op(Op::I64Neg, &[0, 2])].concat();
    assert_eq!(code(&words), "in main at op 2 (i64.neg): operand 2 is register 2 (f64), expected i64");
    let container = main_of(&words).words();
    let error = crate::build::verify(&container, HEAP).map(|_| ()).unwrap_err();
    assert_eq!(error.func_name(), Some("main"));
}

#[test]
fn results() {
    assert_eq!(returning(TypeId::I64, Op::Ret, 0), "in main at op 0 (ret): it returns no value, expected i64");
    assert_eq!(
        returning(TypeId::I64, Op::RetF64, 2),
        "in main at op 0 (ret): operand 1 is register 2 (f64), expected i64"
    );
    assert_eq!(
        returning(TypeId::STR, Op::RetCell, 10),
        "in main at op 0 (ret): operand 1 is register 10 (list), expected str"
    );
    assert_eq!(returning(TypeId::ANY, Op::RetCell, 10), "accepted");
    assert_eq!(
        returning(TypeId::ANY, Op::RetI64, 0),
        "in main at op 0 (ret): operand 1 is register 0 (i64), expected any"
    );
    assert_eq!(
        returning(TypeId::LIST, Op::RetCell, 4),
        "in main at op 0 (ret): operand 1 is register 4 (any), expected list"
    );
}

#[test]
fn a_function_does_not_run_off_its_end() {
    let mut parts = world();
    parts.funcs[at::MAIN].code = [op(Op::Nop, &[]), op(Op::Jump, &[0]), op(Op::F64Fma, &[2, 2, 2, 2])].concat();
    assert_eq!(
        message(&parts.words(), HEAP),
        "in main at op 2 (f64.fma): control runs off the end of the function, expected an op that never goes on"
    );
}

#[test]
fn constants_that_need_a_heap() {
    let load = |register, constant| message(&main_of(&op(Op::CellConst, &[register, constant, 0])).words(), NO_HEAP);
    let refusal = "in main at op 0 (cell.const): it needs a heap, which this host does not lend";
    assert_eq!(load(6, 3), "accepted");
    assert_eq!(load(6, 5), refusal);
    assert_eq!(load(4, 4), refusal);
    assert_eq!(load(4, 0), "accepted");
    // The greatest and the least int of 48 bits, and their neighbours.
    for (value, expected) in [
        ((1 << 47) - 1, "accepted"),
        (1 << 47, refusal),
        (-1 << 47, "accepted"),
        ((-1 << 47) - 1, refusal),
        (i64::MIN, refusal),
        (-1, "accepted"),
    ] {
        let mut parts = main_of(&op(Op::CellConst, &[4, 0, 0]));
        parts.consts[0] = i64::cast_unsigned(value);
        parts.globals[3].init = None;
        assert_eq!(message(&parts.words(), NO_HEAP), expected, "{value}");
    }
    let mut parts = world();
    parts.globals[4].init = Some(5);
    assert_eq!(
        message(&parts.words(), NO_HEAP),
        "global 4 (gs): its initial value needs a heap, which this host does not lend"
    );
    assert_eq!(message(&parts.words(), HEAP), "accepted");
}

#[test]
fn strings_and_names() {
    let start = "string 1: what it owns starts at 2, expected 1, where the record before it ends";
    assert_eq!(raw(|raw| raw.section(Section::Strings)[1] = Str { start: 2, len: 1 }.encode()[0]), start);
    let bytes: usize = world().strings.iter().map(Vec::len).sum();
    assert_eq!(
        raw(|raw| raw.section(Section::Strings)[22] += 1 << 32),
        format!("string 22: what it owns ends at byte {}, the section has {bytes}", bytes + 1)
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Strings)[22] |= 0xFFFF_FFFF << 32),
        "string 22: what it owns ends beyond 4294967295"
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Strings)[22] -= 1 << 32),
        format!("the strings end at byte {} of {bytes}, expected them to cover every byte", bytes - 1)
    );
    assert_eq!(
        parts(|parts| parts.strings.push(b"days".to_vec())),
        "string 23: an earlier string has the same bytes, expected each string once"
    );
    let named = |name: &[u8]| parts(|parts| parts.strings[13] = name.to_vec());
    assert_eq!(named(b"_a.$9"), "accepted");
    assert_eq!(named(b"9a"), "function 0 (9a): its name \"9a\" is no identifier, expected [A-Za-z_.$][A-Za-z0-9_.$]*");
    assert_eq!(named(b""), "function 0 (): its name \"\" is no identifier, expected [A-Za-z_.$][A-Za-z0-9_.$]*");
    assert_eq!(
        named(b"a\xFF"),
        "function 0: its name \"a\\xff\" is no identifier, expected [A-Za-z_.$][A-Za-z0-9_.$]*"
    );
    for word in ["end", "local", "inf", "nan", "true", "false", "null"] {
        assert_eq!(named(word.as_bytes()), format!("function 0 ({word}): its name \"{word}\" is reserved"));
    }
    assert_eq!(parts(|parts| parts.funcs[1].name = 23), "function 1: it names string 23, expected an index below 23");
    assert_eq!(parts(|parts| parts.funcs[1].name = 13), "function 1 (main): its name \"main\" is taken");
    assert_eq!(
        parts(|parts| parts.funcs[1].name = parts.imports[2].name),
        "function 1 (host_f64): its name \"host_f64\" is taken"
    );
    assert_eq!(
        parts(|parts| parts.imports[1].name = parts.imports[0].name),
        "import 1 (host): its name \"host\" is taken"
    );
    assert_eq!(parts(|parts| parts.globals[1].name = parts.globals[0].name), "global 1 (gi): its name \"gi\" is taken");
    assert_eq!(parts(|parts| parts.tables.push((7, vec![]))), "table 1 (days): its name \"days\" is taken");
    assert_eq!(parts(|parts| parts.shapes.push((0, vec![]))), "shape 1 (P): its name \"P\" is taken");
    assert_eq!(parts(|parts| parts.shapes[0].1[3].0 = 1), "field 3 (i): its name \"i\" is taken");
    // Each kind is a namespace of its own, and so is each shape.
    assert_eq!(
        parts(|parts| {
            let fields = parts.shapes[0].1.clone();
            parts.shapes.push((13, fields));
            parts.globals[0].name = 13;
            parts.tables[0].0 = 13;
        }),
        "accepted"
    );
}

#[test]
fn types() {
    let ty = |ty: Composite| move |parts: &mut Parts| parts.types.push(ty);
    assert_eq!(parts(ty(Composite::Obj(1))), "composite type 5: it names shape 1, expected an index below 1");
    assert_eq!(parts(ty(Composite::Fn(9))), "composite type 5: it names signature 9, expected an index below 9");
    assert_eq!(raw(|raw| raw.section(Section::Types)[0] = 2), "composite type 0: its kind is unknown");
    let sig = |ty: TypeId| move |parts: &mut Parts| parts.sigs.push((vec![ty], TypeId::NONE));
    assert_eq!(parts(sig(TypeId(10))), "signature 9: it names type 10, expected one below 10 or 16 to 20");
    assert_eq!(parts(sig(TypeId(21))), "signature 9: it names type 21, expected one below 10 or 16 to 20");
    assert_eq!(parts(sig(TypeId::NONE)), "signature 9: it names type 65535, expected one below 10 or 16 to 20");
    assert_eq!(
        parts(|parts| parts.sigs.push((vec![], TypeId(15)))),
        "signature 9: it names type 15, expected one below 10 or 16 to 20"
    );
    let nested = |result| {
        parts(|parts| {
            parts.types.push(Composite::Fn(9));
            parts.sigs.push((vec![], TypeId(result)));
        })
    };
    assert_eq!(nested(20), "accepted");
    assert_eq!(nested(21), "composite type 5: it names type 21, expected one below 10 or 16 to 20");
    let wide = |count| {
        parts(|parts| {
            parts.types.push(Composite::Fn(9));
            parts.sigs.push((vec![TypeId::F64; count], TypeId::NONE));
        })
    };
    assert_eq!(wide(255), "accepted");
    assert_eq!(wide(256), "composite type 5: a closure type with 256 parameters, expected at most 255");
    // The first closure type of the chain has depth 2, because it names one of depth 1.
    let deep = |count| {
        parts(|parts| {
            for index in 0..count {
                parts.types.push(Composite::Fn(9 + index));
                parts.sigs.push((vec![TypeId::I64, TypeId(20 + index as u16), TypeId::MAP], TypeId::NONE));
            }
        })
    };
    assert_eq!(deep(15), "accepted");
    assert_eq!(deep(16), "composite type 20: closure types are nested deeper than 16");
}

#[test]
fn lists() {
    let sig = |params, count| Sig { params, count, result: TypeId::NONE }.encode()[0];
    assert_eq!(
        raw(|raw| raw.section(Section::Sigs)[5] = sig(2, 1)),
        "signature 5: what it owns starts at 2, expected 1, where the record before it ends"
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Sigs)[8] = sig(4, 100)),
        "signature 8: what it owns ends at type list element 104, the section has 30"
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Funcs)[1] += 1),
        "function 0 (main): what it owns starts at 7, expected 6, where the record before it ends"
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Funcs)[16] -= 1 << 32),
        "the functions end at type list element 29 of 30, expected them to cover every type list element"
    );
    // Parameters may stand behind slots: here a signature is added whose parameter is the last element.
    assert_eq!(
        raw(|raw| {
            raw.section(Section::Sigs).push(sig(30, 1));
            raw.counts[Section::Sigs as usize] += 1;
            raw.counts[Section::Lists as usize] += 1;
        }),
        "accepted"
    );
    let words = world().words();
    let at = HEADER_WORDS + upto(&world().raw(), Section::Lists) - 1;
    assert_eq!(
        raw(|raw| *raw.section(Section::Lists).last_mut().unwrap() |= 1 << 63),
        format!("word {at} of the container has a reserved field that is not zero")
    );
    assert_eq!(
        raw(|raw| *raw.section(Section::Bytes).last_mut().unwrap() |= 1 << 63),
        format!(
            "word {} of the container has a reserved field that is not zero",
            HEADER_WORDS + upto(&world().raw(), Section::Bytes) - 1
        )
    );
    assert_eq!(words.len(), HEADER_WORDS + upto(&world().raw(), Section::Code));
}

/// The number of words of the sections up to and with this one.
fn upto(raw: &Raw, section: Section) -> usize {
    raw.words[..=section as usize].iter().map(Vec::len).sum()
}

#[test]
fn shapes_tables_and_globals() {
    let shape = |fields, count| Shape { name: 0, fields, count }.encode();
    assert_eq!(
        raw(|raw| raw.section(Section::Shapes).copy_from_slice(&shape(1, 3))),
        "shape 0 (P): what it owns starts at 1, expected 0, where the record before it ends"
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Shapes).copy_from_slice(&shape(0, 5))),
        "shape 0 (P): what it owns ends at field 5, the section has 4"
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Shapes).copy_from_slice(&shape(0, 3))),
        "the shapes end at field 3 of 4, expected them to cover every field"
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Shapes).copy_from_slice(&shape(0, 65_537))),
        "shape 0 (P): it has 65537 fields, expected 0 to 65536"
    );
    let reserved = "a reserved part is not zero";
    assert_eq!(raw(|raw| raw.section(Section::Shapes)[1] |= 1 << 32), format!("shape 0 (P): {reserved}"));
    assert_eq!(raw(|raw| raw.section(Section::Fields)[0] |= 1 << 48), format!("field 0 (i): {reserved}"));
    let field = Field { name: 1, ty: TypeId(12) }.encode()[0];
    assert_eq!(
        raw(|raw| raw.section(Section::Fields)[0] = field),
        "field 0 (i): it names type 12, expected one below 10 or 16 to 20"
    );

    let table = |start, len| Table { name: 7, start, len }.encode();
    assert_eq!(
        raw(|raw| raw.section(Section::Tables).copy_from_slice(&table(1, 2))),
        "table 0 (days): what it owns starts at 1, expected 0, where the record before it ends"
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Tables).copy_from_slice(&table(0, 4))),
        "table 0 (days): what it owns ends at table element 4, the section has 3"
    );
    assert_eq!(
        raw(|raw| raw.section(Section::Tables).copy_from_slice(&table(0, 2))),
        "the tables end at table element 2 of 3, expected them to cover every table element"
    );
    assert_eq!(raw(|raw| raw.section(Section::Tables)[1] |= 1 << 32), format!("table 0 (days): {reserved}"));

    let global = |ty, init| parts(|parts| parts.globals[0] = Global { name: 8, ty, init });
    assert_eq!(global(TypeId::I64, Some(3)), "global 0 (gi): it names constant 3, expected an index below 3");
    assert_eq!(global(TypeId::ANY, Some(6)), "global 0 (gi): it names cell constant 6, expected an index below 6");
    assert_eq!(global(TypeId(11), None), "global 0 (gi): it names type 11, expected one below 10 or 16 to 20");
    assert_eq!(global(TypeId::LIST, Some(3)), "global 0 (gi): its initial value is a string and does not fit list");
    assert_eq!(global(TypeId::STR, Some(0)), "global 0 (gi): its initial value is no string and does not fit str");
    assert_eq!(global(TypeId::ANY, Some(3)), "accepted");
    assert_eq!(raw(|raw| raw.section(Section::Globals)[1] |= 1 << 32), format!("global 0 (gi): {reserved}"));
    assert_eq!(raw(|raw| raw.section(Section::Globals)[0] |= 1 << 49), format!("global 0 (gi): {reserved}"));
    // An initial value without the flag that says there is one.
    assert_eq!(raw(|raw| raw.section(Section::Globals)[0] ^= 1 << 48 | 1 << 50), format!("global 0 (gi): {reserved}"));
    assert_eq!(raw(|raw| raw.section(Section::Globals)[5] = 1), format!("global 2 (gl): {reserved}"));

    let constant = |constant| parts(|parts| parts.cell_consts[0] = constant);
    assert_eq!(constant(CellConst::Int(3)), "cell constant 0: it names constant 3, expected an index below 3");
    assert_eq!(constant(CellConst::Float(3)), "cell constant 0: it names constant 3, expected an index below 3");
    assert_eq!(constant(CellConst::Str(23)), "cell constant 0: it names string 23, expected an index below 23");
    for bits in [2 << 32, 4] {
        assert_eq!(raw(|raw| raw.section(Section::CellConsts)[0] = bits), "cell constant 0: its kind is unknown");
    }
}

#[test]
fn functions() {
    assert_eq!(
        parts(|parts| parts.imports[0] = Import { sig: 9, ..parts.imports[0] }),
        "import 0 (host): it names signature 9, expected an index below 9"
    );
    assert_eq!(
        parts(|parts| parts.funcs[0].sig = 9),
        "function 0 (main): it names signature 9, expected an index below 9"
    );
    assert_eq!(parts(|parts| parts.funcs[1].slots.clear()), "function 1 (takes): it has 0 slots, expected 1 to 65536");
    let slots = |count: usize| parts(|parts| parts.funcs[1].slots = vec![TypeId::I64; count]);
    assert_eq!(slots(65_536), "accepted");
    assert_eq!(slots(65_537), "function 1 (takes): it has 65537 slots, expected 1 to 65536");
    let words = |count: usize| parts(|parts| parts.funcs[1].code = vec![word(Op::TrapUnreachable, 0, 0, 0); count]);
    assert_eq!(words(0), "function 1 (takes): it has 0 words, expected 1 to 65536");
    assert_eq!(words(65_536), "accepted");
    assert_eq!(words(65_537), "function 1 (takes): it has 65537 words, expected 1 to 65536");
    assert_eq!(
        parts(|parts| parts.funcs[5].slots[0] = TypeId::ANY),
        "function 5 (takes_two): slot 0 is any, expected f64 as the signature says"
    );
    assert_eq!(
        parts(|parts| parts.funcs[0].slots[3] = TypeId::I64),
        "function 0 (main): slot 3 is i64, expected locals in the order i64, f64, cells"
    );
    assert_eq!(
        parts(|parts| parts.funcs[0].slots[5] = TypeId::F64),
        "function 0 (main): slot 5 is f64, expected locals in the order i64, f64, cells"
    );
    assert_eq!(
        parts(|parts| parts.funcs[0].slots[5] = TypeId(10)),
        "function 0 (main): slot 5 is type 10, expected one below 10 or 16 to 20".replace("slot 5 is", "it names")
    );
    // Parameters keep their own order: cells may come before numbers.
    assert_eq!(
        parts(|parts| {
            parts.sigs[8] = (vec![TypeId::STR, TypeId::I64], TypeId::I64);
            parts.funcs[5].slots = vec![TypeId::STR, TypeId::I64, TypeId::I64, TypeId::F64];
        }),
        "accepted"
    );
    let func = |start, len| {
        raw(|raw| {
            let code = Func { name: 0, sig: 0, slots: 0, slot_count: 0, code: start, code_len: len }.encode()[2];
            raw.section(Section::Funcs)[2] = code;
        })
    };
    assert_eq!(func(1, 1), "function 0 (main): what it owns starts at 1, expected 0, where the record before it ends");
    assert_eq!(func(0, 100), "function 0 (main): what it owns ends at code word 100, the section has 7");
    assert_eq!(
        raw(|raw| raw.section(Section::Funcs).truncate(15)).as_str(),
        "the header accounts for 128 words, the container has 125"
    );
    assert_eq!(
        raw(|raw| {
            raw.section(Section::Code).push(word(Op::TrapUnreachable, 0, 0, 0));
            raw.counts[Section::Code as usize] += 1;
        }),
        "the functions end at code word 7 of 8, expected them to cover every code word"
    );
}

#[test]
fn scratch_memory_of_any_size() {
    let words = world().words();
    let needed = Module::scratch_words(&words).unwrap();
    assert!(needed >= 2);
    for given in 0..needed {
        let error = Module::verify(&words, &mut vec![0; given]).map(|_| ()).unwrap_err();
        let expected = format!("verification needs {needed} words of scratch memory, {given} were given");
        assert_eq!(error.to_string(), expected);
    }
    for given in needed..needed + 3 {
        assert!(Module::verify(&words, &mut vec![u64::MAX; given]).is_ok());
    }
    // Types alone need some too.
    let mut parts = Parts { sigs: vec![(vec![], TypeId::NONE)], ..Parts::default() };
    parts.types = vec![Composite::Fn(0); 9];
    assert_eq!(Module::scratch_words(&parts.words()), Ok(2));
    assert_eq!(message(&parts.words(), NO_HEAP), "accepted");
}

#[test]
fn accessors() {
    let words = world().words();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let module = crate::build::verify(&words, NO_HEAP).unwrap();
    assert_eq!(module.func_count(), 6);
    let names: Vec<_> = (0..7).map_while(|index| module.func(index)).map(|func| func.name).collect();
    assert_eq!(names, ["main", "takes", "takes_i64", "takes_f64", "takes_list", "takes_two"]);
    let two = module.func_by_name("takes_two").unwrap();
    assert_eq!((two.index, two.param_count(), two.sig.result), (5, 2, TypeId::I64));
    assert_eq!(two.slots, [TypeId::F64, TypeId::I64]);
    assert_eq!([two.slot(0), two.slot(1), two.slot(2)], [Some(TypeId::F64), Some(TypeId::I64), None]);
    assert_eq!(two.code, [word(Op::TrapUnreachable, 0, 0, 0)]);
    assert_eq!(module.func_sig(5), Some(two.sig));
    assert_eq!(module.params(&two.sig), Some(two.slots));
    let (name, sig) = module.import(1).unwrap();
    assert_eq!((name, sig.result, sig.count), ("host_i64", TypeId::I64, 1));
    assert!(module.func(6).is_none() && module.func_by_name("host").is_none() && module.import(4).is_none());

    // Bytes, at a place that is right and at seven that are not.
    let mut room = vec![0u64; words.len() + 1];
    let mut scratch = vec![0; Module::scratch_words(&words).unwrap()];
    // SAFETY: a live vector of words, as its bytes.
    let room = unsafe { core::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<u8>(), room.len() * 8) };
    for shift in 0..8 {
        room[shift..shift + bytes.len()].copy_from_slice(&bytes);
        let verified = Module::verify_bytes(&room[shift..shift + bytes.len()], &mut scratch);
        if shift == 0 {
            assert!(verified.is_ok());
        } else {
            let message = verified.map(|_| ()).unwrap_err().to_string();
            assert_eq!(message, "the container does not start at a multiple of 8 bytes");
        }
    }
}
