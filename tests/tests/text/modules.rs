//! Whole modules: the examples of the bytecode's page, declarations, limits, memory.

use super::{asm, round_trip, words};
use opstamp::vm3::container::{Container, Section};
use opstamp::vm3::text::{ErrorKind, assemble, expectations, sizes};
use opstamp::vm3::types::TypeId;
use std::fmt::Write;

/// The example module of vm3.md.
pub const EXAMPLE: &str = r#"
    shape Body { x: f64, vx: f64, next: obj Body }
    table days = [31, 28, 31]
    global hits: i64 = 0            ; a literal, or nothing for zero or null
    import clock(i64) -> f64

    func fib(n: i64) -> i64
      local a: i64, b: i64
      br.i64.lt n, 2, base
      i64.sub   a, n, 1
      call      a, fib(a)
      i64.sub   b, n, 2
      call      b, fib(b)
      i64.add   a, a, b
      ret       a
    base:
      ret       n
    end

    func fill_sum(n: i64) -> i64
      local i: i64, s: i64, v: i64, xs: arr.i64
      arr.i64.new  xs, 0
    fill:
      br.i64.ge    i, n, done
      arr.i64.push xs, i
      i64.add      i, i, 1
      jump         fill
    done:
      i64.const    i, 0
    sum:
      br.i64.ge    i, n, out
      arr.i64.get  v, xs, i
      i64.add      s, s, v
      i64.add      i, i, 1
      jump         sum
    out:
      ret          s
    end
"#;

/// Types, calls of every kind and literals in unusual places.
pub const ODD: &str = r#"
func main(.a: i64, $b_1: f64) -> any
  local c: any
  local f.g: fn(fn(i64), obj T) -> fn() -> f64, h: fn(obj T) -> fn() -> f64 ; comment ( [ {
  local k: fn(i64), t: obj T, r: fn() -> f64
first:
second: nop
  fn.new f.g, make()
  fn.new h, make(k)
  fn.new k, sink()
  fn.call r, f.g(k,
     t)
  fn.call r, h(t)
  fn.call $b_1, r()
  fn.call r()
  box.f64 c, $b_1
  cell.const c, "\"\\\n\r\t\0\x80\u{10ffff}é ; no comment"
  global.get c, nothing
  global.set pi, $b_1
  global.get .a, count
  host say(c)
  br.null c, second
  ret c
end
func make(f: fn(i64), t: obj T) -> fn() -> f64
  local g: fn() -> f64
  cell.null g
  ret g
end
func sink(x: i64)
  ret
end
shape T {
  value: i64,
  self: obj T, make: fn(obj U,
    obj U) -> obj T
}
shape Empty {}
shape U { x: any }
table none = []
table some = [ -1, 0x7f,
  3 ]
global pi: f64 = 3
global e: f64 = -2.718281828459045e0
global nothing: any = null
global yes: any = true
global text: str = "longer than five bytes"
global t: obj T = null
global count: i64 = 0xffffffffffffffff
import say(any)
import len(str) -> i64
"#;

#[test]
fn examples_assemble() {
    let words = words(EXAMPLE);
    let container = Container::read(&words).unwrap();
    let counts = Section::ALL.map(|section| container.count(section));
    assert_eq!(container.count(Section::Funcs), 2);
    assert_eq!(container.count(Section::Shapes), 1, "{counts:?}");
    let fib = container.func(0).unwrap();
    assert_eq!(container.text(fib.name), Some("fib"));
    assert_eq!((fib.slot_count, fib.code_len), (3, 8));
    assert_eq!(container.func(1).map(|func| (func.slot_count, func.code_len)), Some((5, 12)));
    let shape = container.shape(0).unwrap();
    let next = container.field(shape.fields + 2).unwrap();
    assert_eq!(container.text(next.name), Some("next"));
    assert_eq!(next.ty, TypeId::FIRST_COMPOSITE);
    let table = container.table(0).unwrap();
    assert_eq!(container.table_data(&table), Some(&[31, 28, 31][..]));
    let hits = container.global(0).unwrap();
    assert_eq!(hits.init.and_then(|init| container.constant(init)), Some(0));
    let clock = container.sig(container.import(0).unwrap().sig).unwrap();
    assert_eq!((container.param(&clock, 0), clock.result), (Some(TypeId::I64), TypeId::F64));
    round_trip(EXAMPLE);
}

#[test]
fn odd_modules_assemble() {
    let first = words(ODD);
    let container = Container::read(&first).unwrap();
    let global = |index| container.global(index).unwrap();
    assert_eq!(container.constant(global(0).init.unwrap()), Some(3.0_f64.to_bits()));
    assert_eq!(container.constant(global(1).init.unwrap()), Some((-std::f64::consts::E).to_bits()));
    assert_eq!(global(2).init, None);
    assert_eq!(global(5).init, None);
    assert_eq!(container.constant(global(6).init.unwrap()), Some(u64::MAX));
    assert_eq!(container.count(Section::TableData), 3);
    round_trip(ODD);
    // Line ends and blanks do not matter.
    assert_eq!(words(&ODD.replace('\n', "\r\n")), first);
    assert_eq!(words(&ODD.replace("  ", "\t ")), first);
    // Nor does a last newline.
    assert_eq!(words(ODD.trim_end()), first);
}

#[test]
fn equal_things_are_stored_once() {
    let source = "
func f(a: fn(i64) -> obj S, b: fn(i64) -> obj S)
  local c: any, x: f64
  cell.const c, 7
  f64.const x, 1.5
  f64.const x, 1.5
  cell.const c, \"f\"
  ret
end
func g(a: fn(i64) -> obj S, b: fn(i64) -> obj S)
  ret
end
shape S { f: i64 }";
    let words = words(source);
    let container = Container::read(&words).unwrap();
    let count = |section| container.count(section);
    // S, f, g; `obj S` and the function type; the signature in that type and the one of both functions.
    assert_eq!((count(Section::Strings), count(Section::Types), count(Section::Sigs)), (3, 2, 2));
    assert_eq!((count(Section::Consts), count(Section::CellConsts)), (2, 2));
    round_trip(source);
}

#[test]
fn empty_modules_assemble() {
    for source in ["", "\n\n", "; nothing", "  \r\n\t"] {
        let words = words(source);
        assert_eq!(words.len(), opstamp::vm3::container::HEADER_WORDS);
        round_trip(source);
    }
}

/// The programs of the shared suite.
#[test]
fn programs_assemble() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/programs");
    let mut count = 0;
    let mut expected = 0;
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "vm3") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let place = path.display();
        let first = asm(&source).map(|(words, _)| words).unwrap_or_else(|error| panic!("{place}:{error}"));
        let again = super::text(&first);
        let second = asm(&again).map(|(words, _)| words).unwrap_or_else(|error| panic!("{place} again:{error}"));
        assert_eq!(first, second, "{place}");
        for one in expectations(&source) {
            one.unwrap_or_else(|error| panic!("{place}:{error}"));
            expected += 1;
        }
        count += 1;
    }
    assert!(count >= 20 && expected >= 10 * count, "{count} programs with {expected} expectations");
}

#[test]
fn sizes_are_what_it_takes() {
    for source in [EXAMPLE, ODD] {
        let sizes = sizes(source);
        let needed = words(source).len();
        let mut scratch = vec![0; sizes.scratch_words];
        let mut out = vec![0; needed];
        assert_eq!(assemble(source, &mut out, &mut scratch, &mut |_| ()), Ok(needed));
        let error = assemble(source, &mut out[..needed - 1], &mut scratch, &mut |_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Memory { what: "output", needed, given: needed - 1 });
        let short = sizes.scratch_words - 1;
        let error = assemble(source, &mut out, &mut scratch[..short], &mut |_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Memory { what: "scratch", needed: short + 1, given: short });
        assert_eq!(assemble(source, &mut [], &mut [], &mut |_| ()).unwrap_err().line, 1);
    }
}

/// Sources in which one kind of token stands as densely as it can, to try the bounds of the memory.
#[test]
fn dense_sources_fit_their_sizes() {
    let many = |piece: &dyn Fn(usize) -> String| (0..300).map(piece).collect::<String>();
    let sources = [
        format!("func f()\nlocal {}\nret\nend", many(&|i| format!("a{i}:i64,")).trim_end_matches(',')),
        format!("func f({})\nret\nend", many(&|i| format!("a{i}:obj S,")).trim_end_matches(',')) + "\nshape S{}",
        many(&|i| format!("func f{i}()\nret\nend\n")),
        many(&|i| format!("import f{i}()\n")),
        many(&|i| format!("import f{i}(fn(obj S{i}))\nshape S{i}{{a:obj S{i},b:fn()}}\n")),
        many(&|i| format!("global f{i}:any={i}\n")),
        many(&|i| format!("global f{i}:f64={i}\n")),
        many(&|i| format!("global f{i}:any=\"{i}\"\n")),
        many(&|i| format!("table f{i}=[{i}]\n")),
        format!("table t=[{}]", many(&|i| format!("{i},")).trim_end_matches(',')),
        format!("func f()\n{}ret\nend", "nop\n".repeat(300)),
        format!("func f(a:i64)\n{}ret\nend", many(&|i| format!("i64.const a,{}\n", i as i64 - (1 << 40)))),
        format!("func f(a:f64)\n{}ret\nend", many(&|i| format!("f64.const a,{i}\n"))),
        format!("func f(a:any)\n{}ret\nend", many(&|i| format!("cell.const a,{i}.5\n"))),
        format!("func f(a:any)\n{}ret\nend", many(&|i| format!("prop.get a,a,\"{i}\"\n"))),
        format!("func f(a:i64)\n{}ret\nend", many(&|i| format!("L{i}:\nswitch a,[L{i}],L{i}\n"))),
        format!("func f(a:i64)\n{}ret\nend", many(&|_| "switch a,[],Z\n".into()) + "Z:\n"),
        format!("func f(a:i64)\nL:\nswitch a,[{}],L\nend", many(&|_| "L,".into()).trim_end_matches(',')),
        format!("func f(a:f64)\n{}ret\nend", "f64.fma a,a,a,a\n".repeat(300)),
        format!("func f(a:f64)\n{}ret\nend", "call f(a)\n".repeat(300)),
    ];
    for source in &sources {
        round_trip(source);
    }
}

#[test]
fn limits() {
    // Slots.
    let locals = |count: usize| {
        let lines: String = (0..count).map(|i| format!("  local a{i}: f64\n")).collect();
        format!("func f()\n{lines}  f64.neg a0, a{}\n  ret\nend", count - 1)
    };
    let fits = locals(65_536);
    let first = words(&fits);
    let container = Container::read(&first).unwrap();
    let func = container.func(0).unwrap();
    assert_eq!(func.slot_count, 65_536);
    assert_eq!(container.code(&func).unwrap()[0] >> 16, 0xFFFF_0000);
    round_trip(&fits);
    let error = asm(&locals(65_537)).unwrap_err().to_string();
    assert_eq!(error, "65538:9: too many registers in a function, expected at most 65536");

    // Words.
    let ops = |count: usize| format!("func f()\n{}  jump Z\nZ:\n  ret\nend", "  nop\n".repeat(count - 2));
    let first = words(&ops(65_536));
    let container = Container::read(&first).unwrap();
    let code = container.code(&container.func(0).unwrap()).unwrap();
    assert_eq!(code.len(), 65_536);
    assert_eq!(code[65_534] >> 16, 65_535);
    round_trip(&ops(65_536));
    let error = asm(&ops(65_537)).unwrap_err().to_string();
    assert_eq!(error, "65539:3: too many words in a function, expected at most 65536");

    // Functions.
    let funcs = |count: usize| (0..count).map(|i| format!("func f{i}()\n ret\nend\n")).collect::<String>();
    assert_eq!(Container::read(&words(&funcs(65_536))).unwrap().count(Section::Funcs), 65_536);
    let error = asm(&funcs(65_537)).unwrap_err().to_string();
    assert_eq!(error, "196609:1: too many functions, expected at most 65536");

    // Nested function types.
    let nested = |depth: u32| {
        let mut ty = "i64".to_string();
        for level in 0..depth {
            ty = if level % 2 == 0 { format!("fn({ty})") } else { format!("fn() -> {ty}") };
        }
        format!("global g: {ty}")
    };
    round_trip(&nested(16));
    let deep = nested(17);
    let error = asm(&deep).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooDeep { limit: 16 });
    assert!(asm(&nested(100_000)).is_err());

    // Parameters of a signature.
    let params = |count: usize| {
        let mut list = "i64,".repeat(count);
        list.pop();
        format!("import f({list})")
    };
    round_trip(&params(65_535));
    assert!(asm(&params(65_536)).unwrap_err().to_string().ends_with(": too many parameters, expected at most 65535"));

    let closure = |count: usize| format!("global g: fn({})", vec!["i64"; count].join(", "));
    round_trip(&closure(255));
    let error = asm(&closure(256)).unwrap_err().to_string();
    assert_eq!(error, "1:11: too many parameters of a function type, expected at most 255");
    // A tree of 1 + 255 * (1 + 255 * 3) types, and one of 1 + 255 * (1 + 255 * 2).
    let tree = |leaf: &str| {
        let inner = format!("fn({})", vec![leaf; 255].join(", "));
        format!("global g: fn({})", vec![inner; 255].join(", "))
    };
    round_trip(&tree("fn() -> i64"));
    let big = tree("fn(i64) -> i64");
    let error = asm(&big).unwrap_err().to_string();
    assert!(error.ends_with(": too many types in one type, expected at most 131072"), "{error}");

    // Types.
    let types = |count: usize| {
        let mut source = String::new();
        for i in 0..count {
            writeln!(source, "shape S{i} {{ a: obj S{i} }}\nglobal g{i}: fn(obj S{i})").unwrap();
        }
        source
    };
    let error = asm(&types(40_000)).unwrap_err().to_string();
    assert!(error.ends_with(": too many different obj and fn types, expected at most 65519"), "{error}");

    // Fields of a shape, and a field beyond the first 32,768.
    let shape = |count: usize| {
        let fields: Vec<String> = (0..count).map(|i| format!("a{i}: i64")).collect();
        let last = count - 1;
        format!("shape S {{ {} }}\nfunc f(o: obj S, x: i64)\n  obj.get x, o, a{last}\n  ret\nend", fields.join(", "))
    };
    let first = words(&shape(65_536));
    let container = Container::read(&first).unwrap();
    assert_eq!(container.code(&container.func(0).unwrap()).unwrap()[0] >> 16, 0xFFFF_0000_0001);
    let error = asm(&shape(65_537)).unwrap_err().to_string();
    assert!(error.ends_with(": too many fields in a shape, expected at most 65536"), "{error}");

    // Targets of a `switch`.
    let switch = |count: usize| format!("func f(x: i64)\nL:\n  switch x, [{}], L\nend", vec!["L"; count].join(", "));
    round_trip(&switch(65_535));
    let error = asm(&switch(65_536)).unwrap_err().to_string();
    assert_eq!(error, "3:13: too many targets, expected at most 65535");

    // Strings that `prop` ops can name: `f`, `g` and the constants come before.
    let props = |count: usize| {
        let consts: String = (0..count).map(|i| format!("  cell.const c, \"{i}\"\n")).collect();
        format!("func f(c: any)\n{consts}  ret\nend\nfunc g(c: any)\n  prop.get c, c, \"last\"\n  ret\nend")
    };
    round_trip(&props(65_533));
    let too_many = props(65_534);
    assert_eq!(
        asm(&too_many).unwrap_err().to_string(),
        "65539:18: too many different strings in the module before this one, which `prop` ops must number, expected at \
         most 65536"
    );
}

/// The definition of the language.
const PAGE: &str = include_str!("../../../core/src/vm3/vm3.md");

#[test]
fn the_page_shows_the_example_and_names_every_op() {
    let example: String =
        EXAMPLE.trim_matches('\n').lines().map(|line| format!("{}\n", line.get(4..).unwrap_or(""))).collect();
    assert!(PAGE.contains(&example), "the page and the tests show different examples");
    let (_, ops) = PAGE.split_once("\n## Op set\n").expect("a section of ops");
    let (ops, _) = ops.split_once("\n## ").expect("a section behind it");
    let named: std::collections::HashSet<&str> = ops.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for row in opstamp::vm3::op::OPS {
        for part in row.mnemonic.split(['.', ' ']) {
            assert!(named.contains(part), "{} is not on the page", row.mnemonic);
        }
    }
}
