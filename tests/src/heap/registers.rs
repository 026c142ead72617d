//! The heap ops with operands that are numbers, for every way to name and to place those (see [`crate::pure`]).

use crate::digest;
use crate::func::Text;
use crate::oracle::{Eval, canonical};
use crate::pure::{Around, Pure};
use core::fmt::Write;
use opstamp::TrapKind;
use opstamp::vm3::op::{Bank, Op};

/// What the modules of these ops have beside them.
pub(crate) const MODULE: &str = concat!(
    "shape S { i: i64, f: f64, a: any }\n",
    "func minus(x: i64, y: i64) -> i64\n  i64.sub x, x, y\n  ret x\nend\n",
    "func scaled(x: f64, y: i64) -> f64\n  local z: f64\n  i64.to_f64 z, y\n  f64.mul x, x, z\n  ret x\nend\n",
);

const I: Bank = Bank::I64;
const F: Bank = Bank::F64;

/// The elements of the arrays that are tried.
const ELEMENTS: [i64; 3] = [40, 50, 60];
/// The keys and values of the imaps.
const ENTRIES: [(i64, i64); 3] = [(1, 10), (-1, 20), (0x1234_5678_9ABC_DEF0, 30)];
/// The string.
const STRING: &[u8] = b"0123456789";

fn at(bits: u64) -> Result<usize, TrapKind> {
    usize::try_from(bits).ok().filter(|&at| at < ELEMENTS.len()).ok_or(TrapKind::OutOfBounds)
}

fn value(key: u64) -> Option<i64> {
    ENTRIES.iter().find(|entry| entry.0 == key as i64).map(|entry| entry.1)
}

/// The checksum of an array with these elements.
fn array(kind: i64, elements: [i64; 3]) -> Result<u64, TrapKind> {
    Ok(elements.iter().fold(digest::mix(kind, 3), |sum, &element| digest::mix(sum, element)) as u64)
}

fn set(kind: i64, index: u64, element: i64, map: fn(i64) -> i64) -> Result<u64, TrapKind> {
    let mut elements = ELEMENTS.map(map);
    elements[at(index)?] = element;
    array(kind, elements)
}

fn bits(value: i64) -> i64 {
    (value as f64).to_bits() as i64
}

/// The checksum of the imap after a change.
fn imap(key: i64, value: Option<i64>) -> Result<u64, TrapKind> {
    let known = ENTRIES.iter().any(|entry| entry.0 == key);
    let len = ENTRIES.len() + usize::from(!known && value.is_some()) - usize::from(known && value.is_none());
    let mut sum = digest::mix(7, len as i64);
    for entry in ENTRIES {
        let value = if entry.0 == key { value } else { Some(entry.1) };
        if let Some(value) = value {
            sum = digest::mix(digest::mix(sum, entry.0), value);
        }
    }
    if let (false, Some(value)) = (known, value) {
        sum = digest::mix(digest::mix(sum, key), value);
    }
    Ok(sum as u64)
}

fn new_len(bits: u64) -> Result<u64, TrapKind> {
    match bits as i64 {
        ..0 => Err(TrapKind::OutOfBounds),
        0..1000 => Ok(bits),
        _ => Err(TrapKind::OutOfMemory),
    }
}

fn slice(from: u64, to: u64) -> Result<u64, TrapKind> {
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    let bytes = range.and_then(|(from, to)| STRING.get(from..to)).ok_or(TrapKind::OutOfBounds)?;
    Ok(digest::text(bytes) as u64)
}

fn printed(what: core::fmt::Arguments<'_>) -> Result<u64, TrapKind> {
    let mut buffer = [0; 400];
    let mut text = Text::new(&mut buffer);
    let _ = text.write_fmt(what);
    Ok(digest::text(text.as_str().as_bytes()) as u64)
}

fn float_text(bits: u64) -> Result<u64, TrapKind> {
    let value = f64::from_bits(bits);
    if value.is_nan() { printed(format_args!("nan")) } else { printed(format_args!("{value:?}")) }
}

/// An op: its destination and sources that are numbers, and how it is written.
type Row = (Op, Option<Bank>, &'static [Bank], Eval, Around);

macro_rules! row {
    ($op:ident $dest:expr, [$($source:ident)*] $locals:expr, $before:expr, $line:expr, $after:expr, $eval:expr) => {
        (
            Op::$op,
            $dest,
            &[$($source),*],
            $eval,
            Around { locals: $locals, before: $before, line: $line, after: $after },
        )
    };
}

/// What makes the checksum of the object in `hx`.
const SUM: &str = "i64.const d, 3\ncall d, digest(hx, d)";

/// The rows of one type of array: its name, its kind, the bank of its elements, the op for their constants, what the
/// checksum sees of an element and of an i64 made one, and the names of its ops.
macro_rules! array_rows {
    ($name:literal $kind:literal $bank:ident $ty:literal, $bits:expr, $element:expr;
     $new:ident $new_len:ident $len:ident $push:ident $pop:ident $get:ident $set:ident $fill:ident) => {{
        const LOCALS: &str = concat!("hx: ", $name, ", he: ", $ty);
        const BEFORE: &str = concat!(
            $name, ".new hx, 0\n", $ty, ".const he, 40\n", $name, ".push hx, he\n", $ty, ".const he, 50\n",
            $name, ".push hx, he\n", $ty, ".const he, 60\n", $name, ".push hx, he"
        );
        const BITS: fn(u64) -> i64 = $bits;
        const ELEMENT: fn(i64) -> i64 = $element;
        [
            row!($new None, [I] LOCALS, "nop", concat!($name, ".new hx, $0"), SUM, |_| Ok(digest::mix($kind, 0) as u64)),
            row!($new_len None, [I] LOCALS, "nop", concat!($name, ".new_len hx, $0"), concat!($name, ".len d, hx"),
                |a| new_len(a[0])),
            row!($len Some(I), [] LOCALS, BEFORE, concat!($name, ".len $0, hx"), "nop", |_| Ok(3)),
            row!($push None, [$bank] LOCALS, BEFORE, concat!($name, ".push hx, $0"), SUM, |a| {
                let sum = ELEMENTS.iter().fold(digest::mix($kind, 4), |sum, &x| digest::mix(sum, ELEMENT(x)));
                Ok(digest::mix(sum, BITS(a[0])) as u64)
            }),
            row!($pop Some($bank), [] LOCALS, BEFORE, concat!($name, ".pop $0, hx"), "nop", |_| Ok(ELEMENT(60) as u64)),
            row!($get Some($bank), [I] LOCALS, BEFORE, concat!($name, ".get $0, hx, $1"), "nop",
                |a| Ok(ELEMENT(ELEMENTS[at(a[0])?]) as u64)),
            row!($set None, [I $bank] LOCALS, BEFORE, concat!($name, ".set hx, $0, $1"), SUM,
                |a| set($kind, a[0], BITS(a[1]), ELEMENT)),
            row!($fill None, [$bank] LOCALS, BEFORE, concat!($name, ".fill hx, $0"), SUM,
                |a| array($kind, [BITS(a[0]); 3])),
        ]
    }};
}

static ARR_I64: [Row; 8] = array_rows!("arr.i64" 8 I "i64", |x| x as i64, |x| x;
    ArrI64New ArrI64NewLen ArrI64Len ArrI64Push ArrI64Pop ArrI64Get ArrI64Set ArrI64Fill);
static ARR_F64: [Row; 8] = array_rows!("arr.f64" 9 F "f64", |x| canonical(x) as i64, bits;
    ArrF64New ArrF64NewLen ArrF64Len ArrF64Push ArrF64Pop ArrF64Get ArrF64Set ArrF64Fill);
static ARR_U8: [Row; 8] = array_rows!("arr.u8" 10 I "i64", |x| x as i64 & 255, |x| x;
    ArrU8New ArrU8NewLen ArrU8Len ArrU8Push ArrU8Pop ArrU8Get ArrU8Set ArrU8Fill);

const LIST: &str = "hx: list, hc: any";
const LIST_BEFORE: &str = "list.new hx, 0\ncell.const hc, 40\nlist.push hx, hc\ncell.const hc, 50\nlist.push hx, hc\n\
                           cell.const hc, 60\nlist.push hx, hc\ncell.const hc, 70";
const IMAP: &str = "hx: imap, hk: i64, hv: i64";
const IMAP_BEFORE: &str = "imap.new hx, 0\ni64.const hk, 1\ni64.const hv, 10\nimap.set hx, hk, hv\ni64.const hk, -1\n\
                           i64.const hv, 20\nimap.set hx, hk, hv\ni64.const hk, 0x123456789ABCDEF0\n\
                           i64.const hv, 30\nimap.set hx, hk, hv";
const MAP: &str = "hx: map, hc: any, hz: any";
const MAP_BEFORE: &str = "map.new hx, 0\ncell.const hc, \"a key of a map\"\nmap.set hx, hc, hx";
const STR: &str = "hs: str, ht: str, hx: str";
const STR_BEFORE: &str = "cell.const hs, \"0123456789\"\ncell.const ht, \"0123456788\"";
const OBJ: &str = "ho: obj S, hx: any, hi: i64, hf: f64";
const OBJ_BEFORE: &str =
    "obj.new ho\ni64.const hi, 7\nobj.set ho, i, hi\nf64.const hf, 2.5\nobj.set ho, f, hf\ncell.mov hx, ho";
const CELL: &str = "hx: any, hy: any, hf: f64";

static OTHERS: [Row; 45] = [
    row!(ListNew None, [I] LIST, "nop", "list.new hx, $0", SUM, |_| Ok(digest::mix(5, 0) as u64)),
    row!(ListNewLen None, [I] LIST, "nop", "list.new_len hx, $0", "list.len d, hx", |a| new_len(a[0])),
    row!(ListLen Some(I), [] LIST, LIST_BEFORE, "list.len $0, hx", "nop", |_| Ok(3)),
    row!(ListGet None, [I] LIST, LIST_BEFORE, "list.get hc, hx, $0", "unbox.i64 d, hc", |a| Ok(ELEMENTS[at(a[0])?] as u64)),
    row!(ListSet None, [I] LIST, LIST_BEFORE, "list.set hx, $0, hc", SUM,
        |a| set(5, a[0], digest::scalar(2, 70), |x| digest::scalar(2, x))),
    row!(IMapNew None, [I] IMAP, "nop", "imap.new hx, $0", SUM, |_| Ok(digest::mix(7, 0) as u64)),
    row!(IMapLen Some(I), [] IMAP, IMAP_BEFORE, "imap.len $0, hx", "nop", |_| Ok(3)),
    row!(IMapGet Some(I), [I] IMAP, IMAP_BEFORE, "imap.get $0, hx, $1", "nop", |a| Ok(value(a[0]).unwrap_or(0) as u64)),
    row!(IMapHas Some(I), [I] IMAP, IMAP_BEFORE, "imap.has $0, hx, $1", "nop", |a| Ok(value(a[0]).is_some().into())),
    row!(IMapSet None, [I I] IMAP, IMAP_BEFORE, "imap.set hx, $0, $1", SUM, |a| imap(a[0] as i64, Some(a[1] as i64))),
    row!(IMapDel Some(I), [I] IMAP, IMAP_BEFORE, "imap.del $0, hx, $1", "nop", |a| Ok(value(a[0]).is_some().into())),
    row!(IMapDel None, [I] IMAP, IMAP_BEFORE, "imap.del hk, hx, $0", SUM, |a| imap(a[0] as i64, None)),
    row!(MapNew None, [I] MAP, "nop", "map.new hx, $0", SUM, |_| Ok(digest::mix(6, 0) as u64)),
    row!(MapLen Some(I), [] MAP, MAP_BEFORE, "map.len $0, hx", "nop", |_| Ok(1)),
    row!(MapHas Some(I), [] MAP, MAP_BEFORE, "map.has $0, hx, hc", "nop", |_| Ok(1)),
    row!(MapHas Some(I), [] MAP, MAP_BEFORE, "map.has $0, hx, hz", "nop", |_| Ok(0)),
    row!(MapDel Some(I), [] MAP, MAP_BEFORE, "map.del $0, hx, hc", "nop", |_| Ok(1)),
    row!(StrLen Some(I), [] STR, STR_BEFORE, "str.len $0, hs", "nop", |_| Ok(10)),
    row!(StrByte Some(I), [I] STR, STR_BEFORE, "str.byte $0, hs, $1", "nop", |a| {
        let byte = usize::try_from(a[0]).ok().and_then(|at| STRING.get(at));
        byte.map(|&byte| byte.into()).ok_or(TrapKind::OutOfBounds)
    }),
    row!(StrSlice None, [I I] STR, STR_BEFORE, "str.slice hx, hs, $0, $1", SUM, |a| slice(a[0], a[1])),
    row!(StrEq Some(I), [] STR, STR_BEFORE, "str.eq $0, hs, ht", "nop", |_| Ok(0)),
    row!(StrCmp Some(I), [] STR, STR_BEFORE, "str.cmp $0, hs, ht", "nop", |_| Ok(1)),
    row!(StrFromI64 None, [I] STR, "nop", "str.from_i64 hx, $0", SUM, |a| printed(format_args!("{}", a[0] as i64))),
    row!(StrFromF64 None, [F] STR, "nop", "str.from_f64 hx, $0", SUM, |a| float_text(a[0])),
    row!(StrToI64 Some(I), [] STR, STR_BEFORE, "str.to_i64 $0, ht", "nop", |_| Ok(123_456_788)),
    row!(StrToF64 Some(F), [] STR, STR_BEFORE, "str.to_f64 $0, hs", "nop", |_| Ok(123_456_789f64.to_bits())),
    row!(ObjGetI64 Some(I), [] OBJ, OBJ_BEFORE, "obj.get $0, ho, i", "nop", |_| Ok(7)),
    row!(ObjGetF64 Some(F), [] OBJ, OBJ_BEFORE, "obj.get $0, ho, f", "nop", |_| Ok(2.5f64.to_bits())),
    row!(ObjSetI64 None, [I] OBJ, OBJ_BEFORE, "obj.set ho, i, $0", SUM, |a| Ok(object(a[0] as i64, 2.5f64.to_bits() as i64))),
    row!(ObjSetF64 None, [F] OBJ, OBJ_BEFORE, "obj.set ho, f, $0", SUM, |a| Ok(object(7, canonical(a[0]) as i64))),
    row!(BoxI64 None, [I] CELL, "nop", "box.i64 hx, $0", "unbox.i64 d, hx", |a| Ok(a[0])),
    row!(BoxF64 None, [F] CELL, "nop", "box.f64 hx, $0", "unbox.f64 hf, hx\nf64.bits d, hf", |a| Ok(canonical(a[0]))),
    row!(BoxBool None, [I] CELL, "nop", "box.bool hx, $0", "unbox.bool d, hx", |a| Ok((a[0] != 0).into())),
    row!(UnboxI64 Some(I), [] CELL, "cell.const hx, 0x123456789ABCDEF0", "unbox.i64 $0, hx", "nop",
        |_| Ok(0x1234_5678_9ABC_DEF0)),
    row!(UnboxI64 Some(I), [] CELL, "cell.const hx, -5", "unbox.i64 $0, hx", "nop", |_| Ok(-5i64 as u64)),
    row!(UnboxF64 Some(F), [] CELL, "cell.const hx, 0.1", "unbox.f64 $0, hx", "nop", |_| Ok(0.1f64.to_bits())),
    row!(UnboxBool Some(I), [] CELL, "cell.const hx, true", "unbox.bool $0, hx", "nop", |_| Ok(1)),
    row!(CellKind Some(I), [] CELL, "cell.const hx, \"abcdef\"", "cell.kind $0, hx", "nop", |_| Ok(4)),
    row!(CellSame Some(I), [] CELL, "cell.const hx, 1\ncell.const hy, 1.0", "cell.same $0, hx, hy", "nop", |_| Ok(0)),
    row!(DynEq Some(I), [] CELL, "cell.const hx, 1\ncell.const hy, 1.0", "dyn.eq $0, hx, hy", "nop", |_| Ok(1)),
    row!(DynLt Some(I), [] CELL, "cell.const hx, 1\ncell.const hy, 1.5", "dyn.lt $0, hx, hy", "nop", |_| Ok(1)),
    row!(DynLe Some(I), [] CELL, "cell.const hx, 2\ncell.const hy, 1.5", "dyn.le $0, hx, hy", "nop", |_| Ok(0)),
    row!(FnCallI64 Some(I), [I I] "hx: fn(i64, i64) -> i64", "fn.new hx, minus()", "fn.call $0, hx($1, $2)", "nop",
        |a| Ok(a[0].wrapping_sub(a[1]))),
    row!(FnCallF64 Some(F), [F I] "hx: fn(f64, i64) -> f64", "fn.new hx, scaled()", "fn.call $0, hx($1, $2)", "nop",
        |a| Ok((f64::from_bits(a[0]) * (a[1] as i64) as f64).to_bits())),
    row!(FnNew None, [I I] "hx: fn() -> i64", "nop", "fn.new hx, minus($0, $1)", "fn.call d, hx()",
        |a| Ok(a[0].wrapping_sub(a[1]))),
];

/// The checksum of the object.
fn object(i: i64, f: i64) -> u64 {
    let fields = [digest::scalar(2, i), digest::scalar(3, f), digest::NULL];
    fields.into_iter().fold(11, digest::mix) as u64
}

/// All of them.
pub(crate) fn ops() -> impl Iterator<Item = Pure> {
    let rows = ARR_I64.iter().chain(&ARR_F64).chain(&ARR_U8).chain(&OTHERS);
    rows.map(|&(op, dest, banks, eval, around)| {
        let mut sources = [None; 3];
        sources.iter_mut().zip(banks).for_each(|(source, &bank)| *source = Some(bank));
        let mnemonic = op.info().map_or("", |row| row.mnemonic);
        Pure { op, mnemonic, eval, dest, sources, literal: None, around: Some(around) }
    })
}
