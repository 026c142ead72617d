//! Every row of the op table, in text and as words worked out here from the layout that `op.rs` documents.

use super::{asm, round_trip, text, words};
use opstamp::vm3::container::{CellConst, Container};
use opstamp::vm3::op::{Access, Bank, CellClass, OPS, Op, OpInfo, Operand};
use opstamp::vm3::text::write_op;

/// Names and slots of the registers of `t` below: parameters, then locals by bank, each in order of declaration.
const I64: [(&str, u16); 4] = [("p", 0), ("i1", 3), ("i2", 4), ("i3", 5)];
const F64: [(&str, u16); 3] = [("q", 1), ("f1", 6), ("f2", 7)];
const ANY: [(&str, u16); 2] = [("r", 2), ("any1", 20)];

/// Indices that follow from the order of declaration: field `x` is field 0, and so on; strings are numbered by first
/// use, so `S` is string 0, `x` 1, `y` 2.
const HEAD: &str = "
shape S { x: i64, y: f64, z: any, next: obj S }
table t0 = [1]
table t1 = [7, 8]
global gc: any
global gf: f64
global gi: i64
import hv(f64)
import hi() -> i64
import hf(i64) -> f64
import hc() -> any
func cv(a: i64, b: f64)
  ret
end
func ci(a: i64, b: f64) -> i64
  ret a
end
func cf() -> f64
  local x: f64
  ret x
end
func cc(a: any) -> any
  ret a
end
";
const FUNC: u32 = 4;
const LOCALS: &str = "
  local s: str, i1: i64, ai: arr.i64, f1: f64, i2: i64
  local af: arr.f64, au: arr.u8, l: list, im: imap, m: map, o: obj S
  local k: fn(i64, f64) -> i64, kv: fn(i64), kf: fn() -> f64, kc: fn() -> any
  local any1: any, f2: f64, i3: i64, kn: fn(f64) -> i64
";

/// What stands for an operand in the text, and its fields.
struct Sample {
    text: String,
    fields: Vec<u16>,
}

fn sample(text: impl Into<String>, fields: impl Into<Vec<u16>>) -> Sample {
    Sample { text: text.into(), fields: fields.into() }
}

/// The module that holds `row`'s op behind a `nop`, and the op's words.
fn case(row: &OpInfo, variant: usize) -> (String, String, Vec<u64>) {
    let mut banks = [0; 3];
    let mut register = |list: &[(&str, u16)], bank: usize| {
        let (name, slot) = list[(banks[bank] + variant) % list.len()];
        banks[bank] += 1;
        sample(name, [slot])
    };
    let result = row.operands.first().and_then(|operand| match operand {
        Operand::Reg(Access::Write, bank, _) => Some(*bank),
        _ => None,
    });
    let mut operands: Vec<Sample> = Vec::new();
    let args = std::cell::RefCell::new(Vec::new());
    let call = |callee: &str, index: u16, names: &str, slots: &[u16]| {
        args.replace(slots.to_vec());
        sample(format!("{callee}({names})"), [index])
    };
    for operand in row.operands {
        operands.push(match *operand {
            Operand::Reg(_, Bank::I64, _) => register(&I64, 0),
            Operand::Reg(_, Bank::F64, _) => register(&F64, 1),
            Operand::Reg(_, Bank::Cell, class) => match (row.op, class) {
                (Op::ObjNew, _) | (_, CellClass::Obj) => sample("o", [15]),
                (Op::FnNew, _) => sample("kn", [21]),
                (_, CellClass::Any | CellClass::AsDeclared) => register(&ANY, 2),
                (_, CellClass::Str) => sample("s", [8]),
                (_, CellClass::ArrI64) => sample("ai", [9]),
                (_, CellClass::ArrF64) => sample("af", [10]),
                (_, CellClass::ArrU8) => sample("au", [11]),
                (_, CellClass::List) => sample("l", [12]),
                (_, CellClass::IMap) => sample("im", [13]),
                (_, CellClass::Map) => sample("m", [14]),
            },
            Operand::Imm16 => match variant {
                0 => sample("-32768", [0x8000]),
                1 => sample("32767", [0x7FFF]),
                2 => sample("0xffffffffffffffff", [0xFFFF]),
                _ => sample("7", [7]),
            },
            Operand::Imm32 => match variant {
                0 => sample("-2147483648", [0, 0x8000]),
                1 => sample("0x7fffffff", [0xFFFF, 0x7FFF]),
                2 => sample("-1", [0xFFFF, 0xFFFF]),
                _ => sample("74565", [0x2345, 1]),
            },
            // The module's only constant.
            Operand::PoolI64 => {
                sample(["2147483648", "-2147483649", "0x8000000000000000", "9223372036854775807"][variant], [0, 0])
            }
            Operand::PoolF64 => sample(["1.5", "-inf", "nan", "3"][variant], [0, 0]),
            Operand::CellConst => sample(["1", "1.0", "true", "\"ab;c\""][variant], [0, 0]),
            Operand::U16 => match variant {
                0 => sample("(0)", [0]),
                _ => sample("(65535)", [0xFFFF]),
            },
            Operand::Label if variant.is_multiple_of(2) => sample("top", [0]),
            // Behind the op, which takes one word if it has a label.
            Operand::Label => sample("behind", [2]),
            Operand::Func if row.op == Op::FnNew => call("ci", 1, "i2", &[4]),
            Operand::Func => match result {
                None => call("cv", 0, "i3, q", &[5, 1]),
                Some(Bank::I64) => call("ci", 1, "p, f2", &[0, 7]),
                Some(Bank::F64) => call("cf", 2, "", &[]),
                Some(Bank::Cell) => call("cc", 3, "ai", &[9]),
            },
            Operand::Import => match result {
                None => call("hv", 0, "f1", &[6]),
                Some(Bank::I64) => call("hi", 1, "", &[]),
                Some(Bank::F64) => call("hf", 2, "i1", &[3]),
                Some(Bank::Cell) => call("hc", 3, "", &[]),
            },
            Operand::Closure => match result {
                None => call("kv", 17, "i1", &[3]),
                Some(Bank::I64) => call("k", 16, "i3, f1", &[5, 6]),
                Some(Bank::F64) => call("kf", 18, "", &[]),
                Some(Bank::Cell) => call("kc", 19, "", &[]),
            },
            Operand::Args => sample("", args.take()),
            Operand::Table => sample("t1", [1]),
            Operand::Global(Bank::Cell) => sample("gc", [0]),
            Operand::Global(Bank::F64) => sample("gf", [1]),
            Operand::Global(Bank::I64) => sample("gi", [2]),
            Operand::Field(Bank::I64) => sample("x", [0]),
            Operand::Field(Bank::F64) => sample("y", [1]),
            Operand::Field(Bank::Cell) => sample("z", [2]),
            Operand::Name => sample("\"y\"", [2]),
            Operand::Targets => match variant {
                0 => sample("[], top", [0, 0]),
                1 => sample("[top], top", [1, 0, 0]),
                // Register, number, default; then three targets in a word of their own.
                2 => sample("[top, behind, top], behind", [3, 3, 0, 3, 0]),
                _ => sample("[top,\n behind, top,\n top], behind", [4, 4, 0, 4, 0, 0]),
            },
        });
    }
    let mut line = row.mnemonic.to_string();
    let listed: Vec<&str> = operands.iter().map(|s| s.text.as_str()).filter(|text| !text.is_empty()).collect();
    if row.op != Op::TrapUser && !listed.is_empty() {
        line.push(' ');
    }
    line.push_str(&listed.join(", "));
    let fields: Vec<u16> = operands.iter().flat_map(|s| s.fields.clone()).collect();
    let mut expected = Vec::new();
    for (number, group) in fields.chunks(3).enumerate() {
        let mut word = if number == 0 { row.op as u64 } else { 1 };
        for (place, &field) in group.iter().enumerate() {
            word |= u64::from(field) << [16, 32, 48][place];
        }
        expected.push(word);
    }
    if fields.is_empty() {
        expected.push(row.op as u64);
    }
    let returns = match row.op {
        Op::RetI64 => " -> i64",
        Op::RetF64 => " -> f64",
        Op::RetCell => " -> any",
        _ => "",
    };
    let source = format!(
        "{HEAD}\nfunc t(p: i64, q: f64, r: any){returns}\n{LOCALS}\ntop:\n  nop\n  {line}\nbehind:\n  trap \
         unreachable\nend\n"
    );
    (source, line, expected)
}

#[test]
fn every_row_gives_its_words() {
    let trap = OPS.iter().find(|row| row.mnemonic == "trap unreachable").unwrap().op as u64;
    let nop = OPS.iter().find(|row| row.mnemonic == "nop").unwrap().op as u64;
    assert!(OPS.len() > 240);
    for row in OPS {
        for variant in 0..4 {
            let (source, line, expected) = case(row, variant);
            let words = words(&source);
            let container = Container::read(&words).unwrap();
            let func = container.func(FUNC).unwrap();
            let code = container.code(&func).unwrap();
            let all: Vec<u64> = [nop].into_iter().chain(expected).chain([trap]).collect();
            assert_eq!(code, all, "{:?}: {line}\n got {code:x?}\nwant {all:x?}", row.op);
            round_trip(&source);
        }
    }
}

/// A few words written out in full, so that the packing above is checked too. Codes are the rows' positions: `nop` is
/// 2.
#[test]
fn some_words_in_full() {
    let source = "
func f(n: i64, x: f64) -> i64
  local c: any, y: f64, m: i64
top:
  nop
  i64.const m, -2
  f64.fma y, x, y, x
  call m, f(m, y)
  switch n, [top, out, top], out
out:
  ret m
end
";
    // Slots: n 0, x 1, m 2, y 3, c 4.
    let code = |mnemonic: &str, operands: usize| {
        2 + OPS.iter().position(|row| row.mnemonic == mnemonic && row.operands.len() == operands).unwrap() as u64
    };
    assert_eq!(code("nop", 0), 2);
    let words = words(source);
    let container = Container::read(&words).unwrap();
    let func = container.func(0).unwrap();
    assert_eq!(
        container.code(&func).unwrap(),
        [
            2,
            0xffff_fffe_0002_0000 | code("i64.const", 2),
            0x0003_0001_0003_0000 | code("f64.fma", 4),
            0x0000_0000_0001_0001,
            // d, f, then m; y in the next word.
            0x0002_0000_0002_0000 | (code("call", 3)),
            0x0000_0000_0003_0001,
            // n, three targets, default at word 8.
            0x0008_0003_0000_0000 | code("switch", 2),
            0x0000_0008_0000_0001,
            0x0000_0000_0002_0000 | code("ret", 1),
        ]
    );
    let types: Vec<u16> = (0..5).map(|slot| container.slot(&func, slot).unwrap().0).collect();
    assert_eq!(types, [0, 1, 0, 1, 2]);
}

#[test]
fn op_sites_tell_lines() {
    let source = "; comment\nfunc f(n: i64)\nL:\n  switch n, [L, L,\n    L, L], L\n\n  ret\nend\nfunc g()\n  ret\nend";
    let (_, sites) = asm(source).unwrap();
    let sites: Vec<_> = sites.iter().map(|site| (site.func, site.word, site.line)).collect();
    // Register, number, default and four targets are seven fields: three words.
    assert_eq!(sites, [(0, 0, 4), (0, 3, 7), (1, 0, 10)]);
}

#[test]
fn cell_constants_keep_their_kind() {
    let source = "func f()\n  local c: any, s: str\n  cell.const c, 1\n  cell.const c, 1.0\n  cell.const c, true\n  \
                  cell.const c, \"1\"\n  cell.const s, \"1\"\n  cell.const c, 0x1\n  ret\nend";
    let words = words(source);
    let container = Container::read(&words).unwrap();
    let consts: Vec<_> = (0..4).map(|index| container.cell_const(index).unwrap()).collect();
    // Strings: `f` is 0, `1` is 1. Constants: the int, then the float's bits.
    assert_eq!(consts, [CellConst::Int(0), CellConst::Float(1), CellConst::Bool(true), CellConst::Str(1)]);
    assert_eq!(container.cell_const(4), None);
    assert_eq!(container.constant(0), Some(1));
    assert_eq!(container.constant(1), Some(0x3ff0_0000_0000_0000));
    assert_eq!(container.bytes(1), Some(&b"1"[..]));
}

#[test]
fn one_op_as_text() {
    let (source, ..) = case(OPS.iter().find(|row| row.op == Op::BrI64LtK).unwrap(), 1);
    let words = words(&source);
    let container = Container::read(&words).unwrap();
    let line = |func, word| {
        let mut text = String::new();
        write_op(&container, func, word, &mut text).unwrap();
        text
    };
    assert_eq!(line(FUNC, 0), "nop");
    assert_eq!(line(FUNC, 1), "br.i64.lt i1, 32767, L2");
    assert_eq!(line(FUNC, 2), "trap unreachable");
    assert_eq!(line(1, 0), "ret i0");
    assert_eq!(line(FUNC, 3), "?");
    assert_eq!(line(99, 0), "?");
}

#[test]
fn disassembly_in_full() {
    let source = r#"
func late(n: i64, s: str) -> i64
  local c: obj P, m: i64, x: f64
top:
  switch n, [top, out], top
  obj.new c
  prop.set c, "x", s
out:
  i64.const m, 0x100000000
  f64.const x, 1
  call late(m, s)
  tail late(n, s)
end
global s: str = "a\tb\x01\xff\u{e9};"
import print(i64)
global n: i64 = -0x
"#
    .replace("-0x", "-3");
    let source = format!("{source}table t = [1, 0xffffffffffffffff]\nshape P {{ x: any, f: fn(obj P, i64) -> f64 }}\n")
        .replace("prop.set c", "prop.set s");
    // `prop` takes registers of type any to read from, which any cell register is.
    let expected = r#"shape P { x: any, f: fn(obj P, i64) -> f64 }
table t = [1, -1]
global s: str = "a\tb\x01\xffé;"
global n: i64 = -3
import print(i64)

func late(i0: i64, c0: str) -> i64
  local i1: i64
  local f0: f64
  local c1: obj P
L0:
  switch i0, [L0, L3], L0
  obj.new c1
  prop.set c0, "x", c0
L3:
  i64.const i1, 4294967296
  f64.const f0, 1.0
  call late(i1, c0)
  tail late(i0, c0)
end
"#;
    assert_eq!(text(&words(&source)), expected);
    round_trip(&source);
}
