//! Every error of the assembler: a source, and the message with its place.

use super::asm;

/// Sources and what is wrong with them.
const CASES: &[(&str, &str)] = &[
    ("shape S { a: i64, a: f64 }", "1:19: field `a` is declared in line 1 already, expected a new name"),
    ("shape S {}\nshape S {}", "2:7: shape `S` is declared in line 1 already, expected a new name"),
    (
        "table t = [1]\nglobal t: i64\ntable t = [2]",
        "3:7: table `t` is declared in line 1 already, expected a new name",
    ),
    ("import f()\nfunc f()\n  ret\nend", "2:6: import `f` is declared in line 1 already, expected a new name"),
    ("global end: i64", "1:8: `end` is a reserved word, expected a name for what is declared"),
    ("shape S { nan: i64 }", "1:11: `nan` is a reserved word, expected a field's name"),
    ("hello", "1:1: found `hello`, expected `shape`, `table`, `global`, `import` or `func`"),
    ("shape {}", "1:7: found `{`, expected a name for what is declared"),
    ("table t [1]", "1:9: found `[`, expected `=` and the table's elements"),
    ("table t = 1", "1:11: found `1`, expected `[` and the table's elements"),
    ("table t = [1, x]", "1:15: found `x`, expected an INT"),
    ("table t = [1,]", "1:14: found `]`, expected an INT"),
    ("table t = [1 2]", "1:14: found `2`, expected `,` or `]` behind the element"),
    ("table t = [1.5]", "1:12: found `1.5`, expected an INT"),
    (
        "table t = [9223372036854775808]",
        "1:12: `9223372036854775808` does not fit an i64, expected -9223372036854775808 to 9223372036854775807, or \
         0x0 to 0xffffffffffffffff",
    ),
    (
        "table t = [0x10000000000000000]",
        "1:12: `0x10000000000000000` does not fit an i64, expected -9223372036854775808 to 9223372036854775807, or \
         0x0 to 0xffffffffffffffff",
    ),
    (
        "table t = [0x]",
        "1:12: `0x` is no number, expected an INT as `12`, `-3` or `0x1f`, or a FLOAT as `1.5`, `2e-3`, `inf`, \
         `-inf` or `nan`",
    ),
    ("table t = [1] 2", "1:15: found `2`, expected the end of the line behind the declaration"),
    ("global g", "1:9: found the end of the file, expected `:` and the global's type"),
    (
        "global g: int",
        "1:11: found `int`, expected a type: i64, f64, any, str, arr.i64, arr.f64, arr.u8, list, imap, map, `obj \
         NAME` or `fn(...)`",
    ),
    ("global g: obj", "1:14: found the end of the file, expected the name of a shape"),
    ("global g: obj None", "1:15: there is no shape `None`, expected the name of a declared shape"),
    ("global g: fn", "1:13: found the end of the file, expected `(` and the types of the function's parameters"),
    ("global g: fn(i64", "1:17: found the end of the file, expected `,` or `)` behind the type"),
    (
        "global g: fn(i64) -> 5",
        "1:22: found `5`, expected a type: i64, f64, any, str, arr.i64, arr.f64, arr.u8, list, imap, map, `obj NAME` \
         or `fn(...)`",
    ),
    ("global g: i64 = 1.5", "1:17: found `1.5`, expected an INT"),
    ("global g: i64 = true", "1:17: found `true`, expected an INT"),
    ("global g: f64 = \"x\"", "1:17: found the string \"x\", expected a FLOAT or INT"),
    ("global g: f64 = 1e400", "1:17: `1e400` does not fit an f64, expected at most 1.7976931348623157e308, or `inf`"),
    ("global g: str = 1", "1:17: found `1`, expected a \"string\" or null"),
    ("global g: list = 1", "1:18: found `1`, expected null, the only literal of the global's type"),
    ("global g: any =", "1:16: found the end of the file, expected a literal for the global's initial value"),
    ("global g: str = \"a", "1:17: the string is not closed, expected `\"` before the end of the line"),
    ("global g: str = \"é\\q\"", "1:19: `\\q` is no escape, expected \\n \\r \\t \\0 \\\\ \\\" \\xHH or \\u{H}"),
    ("global g: str = \"\\x1\"", "1:18: `\\x` is incomplete, expected two hexadecimal digits, as \\x7f"),
    (
        "global g: str = \"\\u{d800}\"",
        "1:18: `\\u{d800}` is a surrogate, expected a character: at most \\u{d7ff}, or from \\u{e000} on",
    ),
    (
        "global g: str = \"\\u{DFFF}\"",
        "1:18: `\\u{dfff}` is a surrogate, expected a character: at most \\u{d7ff}, or from \\u{e000} on",
    ),
    ("global g: str = \"a\\u{110000}\"", "1:19: `\\u{110000}` is out of range, expected at most \\u{10ffff}"),
    (
        "global g: str = \"\\u{0000000000041}\"",
        "1:18: `\\u` has 13 digits, expected 1 to 6 hexadecimal digits in braces, as \\u{e9}",
    ),
    (
        "global g: str = \"\\u{}\"",
        "1:18: `\\u` is incomplete, expected a Unicode scalar value of 1 to 6 hexadecimal digits in braces, as \\u{e9}",
    ),
    ("shape S { a i64 }", "1:13: found `i64`, expected `:` and the field's type"),
    ("shape S { a: i64 b: i64 }", "1:18: found `b`, expected `,` or `}` behind the field"),
    ("shape S { a: i64", "1:17: found the end of the file, expected `,` or `}` behind the field"),
    (
        "import f(x: i64)",
        "1:10: found `x`, expected a type: i64, f64, any, str, arr.i64, arr.f64, arr.u8, list, imap, map, `obj NAME` \
         or `fn(...)`",
    ),
    ("import f i64", "1:10: found `i64`, expected `(` and the types of the import's parameters"),
    ("import f(i64) i64", "1:15: found `i64`, expected the end of the line behind the declaration"),
    ("func f\n  ret\nend", "1:7: found the end of the line, expected `(` and the function's parameters"),
    ("func f(a)\n  ret\nend", "1:9: found `)`, expected `:` and the parameter's type"),
    ("func f(a: i64, a: f64)\n  ret\nend", "1:16: register `a` is declared in line 1 already, expected a new name"),
    (
        "func f() -> \n  ret\nend",
        "1:13: found the end of the line, expected a type: i64, f64, any, str, arr.i64, arr.f64, arr.u8, list, imap, \
         map, `obj NAME` or `fn(...)`",
    ),
    ("func main() ret end", "1:13: found `ret`, expected the end of the line behind the function's head"),
    (
        "func f(g: fn(i64) -> i64) -> fn(i64) -> obj S i64.const end\nfunc g()\n  ret\nend",
        "1:47: found `i64.const`, expected the end of the line behind the function's head",
    ),
    ("func f(a: i64 ret end", "1:1: function `f` does not end, expected `end` on a line of its own"),
    ("func f() ret\nend", "1:10: found `ret`, expected the end of the line behind the function's head"),
    ("func f()\n  ret", "1:1: function `f` does not end, expected `end` on a line of its own"),
    ("func f()\n  ret\nfunc g()\n  ret\nend", "3:1: function `f` does not end, expected `end` on a line of its own"),
    ("func f()\nend", "2:1: function `f` has no op, expected at least one before `end`"),
    ("func f()\n  ret\nend end", "3:5: found `end`, expected the end of the line behind `end`"),
    ("func f()\n  ret\nL:\nend", "3:1: label `L` names no op, expected an op between it and `end`"),
    (
        "func f()\n  nop\nend",
        "3:1: function `f` runs off its end, expected its last op to be one that control does not go on from, such \
         as `ret`",
    ),
    ("func f()\nL:\n  nop\nL:\n  ret\nend", "4:1: label `L` is declared in line 2 already, expected a new name"),
    (
        "func f()\n  jump M\nL:\n  ret\nend",
        "2:8: there is no label `M`, expected a label of this function, defined as `name:`",
    ),
    (
        "func f()\n  local a: i64\n  local a: f64\n  ret\nend",
        "3:9: register `a` is declared in line 2 already, expected a new name",
    ),
    (
        "func f()\n  nop\n  local a: i64\n  ret\nend",
        "3:3: `local` stands behind an op or label, expected it before the first of them",
    ),
    (
        "func f()\nL:\n  local a: i64\n  ret\nend",
        "3:3: `local` stands behind an op or label, expected it before the first of them",
    ),
    ("func f()\n  local a\n  ret\nend", "2:10: found the end of the line, expected `:` and the local's type"),
    (
        "func f()\n  local a: i64 b: i64\n  ret\nend",
        "2:16: found `b`, expected `,` or the end of the line behind the local",
    ),
    ("func f()\n  local true: i64\n  ret\nend", "2:9: `true` is a reserved word, expected a local's name"),
    ("func f()\nnull:\n  ret\nend", "2:1: `null` is a reserved word, expected an op, a label's name, `local` or `end`"),
    ("func f()\n  , \n  ret\nend", "2:3: found `,`, expected an op, a label, `local` or `end`"),
    ("func f()\n  5\n  ret\nend", "2:3: found `5`, expected an op, a label, `local` or `end`"),
    (
        "func f(a: i64)\n  i64.ad a, a, a\n  ret\nend",
        "2:3: there is no op `i64.ad`, expected an op; the closest name is `i64.add`",
    ),
    (
        "func f(a: i64)\n  add a, a, a\n  ret\nend",
        "2:3: there is no op `add`, expected an op; the closest name is `i64.add`",
    ),
    (
        "func f(a: i64)\n  quite_unknown a\n  ret\nend",
        "2:3: there is no op `quite_unknown`, expected an op, a label with `:`, or `end`",
    ),
    ("func f()\n  trap\nend", "2:3: there is no op `trap`, expected an op; the closest name is `trap user`"),
    (
        "func f()\n  trap unreachabel\nend",
        "2:3: there is no op `trap unreachabel`, expected an op; the closest name is `trap unreachable`",
    ),
    ("func f()\n  trap user\nend", "2:3: `trap user` has 0 operands here, expected `trap user(N)`"),
    ("func f()\n  trap user(65536)\nend", "2:13: `65536` does not fit here, expected an INT from 0 to 65535"),
    ("func f()\n  trap user(-1)\nend", "2:13: `-1` does not fit here, expected an INT from 0 to 65535"),
    ("func f()\n  trap user(1.5)\nend", "2:13: found `1.5`, expected an INT"),
    ("func f()\n  trap user(x)\nend", "2:13: found `x`, expected an INT"),
    ("func f()\n  trap user 5\nend", "2:13: found `5`, expected `(N)` with N from 0 to 65535 in `trap user`"),
    (
        "func f(a: i64)\n  i64.add a, a\n  ret\nend",
        "2:3: `i64.add` has 2 operands here, expected `i64.add i64, i64, i64` or `i64.add i64, i64, INT`",
    ),
    ("func f(a: i64)\n  i64.neg a\n  ret\nend", "2:3: `i64.neg` has 1 operand here, expected `i64.neg i64, i64`"),
    (
        "func f(a: i64)\n  i64.add a, a, a, a\n  ret\nend",
        "2:3: `i64.add` has 4 operands here, expected `i64.add i64, i64, i64` or `i64.add i64, i64, INT`",
    ),
    (
        "func f(a: i64)\n  i64.add a, a,\n  ret\nend",
        "2:16: found the end of the line, expected an operand: a name, a literal or a list of labels",
    ),
    (
        "func f(a: i64)\n  i64.add a a, a\n  ret\nend",
        "2:13: found `a`, expected `,` or the end of the line behind the operand",
    ),
    ("func f(a: i64)\n  nop a\n  ret\nend", "2:3: `nop` has 1 operand here, expected `nop`"),
    (
        "func f(a: i64)\n  i64.add a, b, a\n  ret\nend",
        "2:14: there is no register `b`, expected a parameter or a name from a `local` line",
    ),
    (
        "func f(a: i64, x: f64)\n  i64.add a, x, a\n  ret\nend",
        "2:14: register `x` is f64, expected an i64 register in `i64.add`",
    ),
    (
        "func f(a: i64, x: f64)\n  i64.add a, a, x\n  ret\nend",
        "2:17: register `x` is f64, expected an i64 register in `i64.add`",
    ),
    (
        "func f(a: i64, s: fn(i64, str) -> obj S)\n  i64.add a, a, s\n  ret\nend\nshape S {}",
        "2:17: register `s` is fn(i64, str) -> obj S, expected an i64 register in `i64.add`",
    ),
    (
        "func f(a: i64)\n  f64.add a, a, a\n  ret\nend",
        "2:11: register `a` is i64, expected an f64 register in `f64.add`",
    ),
    ("func f(a: i64)\n  i64.add a, 5, a\n  ret\nend", "2:14: found `5`, expected an i64 register in `i64.add`"),
    ("func f(a: i64)\n  i64.min a, a, 5\n  ret\nend", "2:17: found `5`, expected an i64 register in `i64.min`"),
    (
        "func f(a: i64)\n  i64.add a, a, 32768\n  ret\nend",
        "2:17: `32768` does not fit here, expected an INT from -32768 to 32767, or a register",
    ),
    (
        "func f(a: i64)\n  i64.and a, a, 0xffff\n  ret\nend",
        "2:17: `0xffff` does not fit here, expected an INT from -32768 to 32767, or a register",
    ),
    (
        "func f(a: i64)\n  i64.add a, a, 1.0\n  ret\nend",
        "2:17: found `1.0`, expected an i64 register or a literal from -32768 to 32767 in `i64.add`",
    ),
    (
        "func f(a: i64)\n  br.i64.lt a, inf, L\nL:\n  ret\nend",
        "2:16: found `inf`, expected an i64 register or a literal from -32768 to 32767 in `br.i64.lt`",
    ),
    (
        "func f(a: i64)\n  i64.add a, a, \"x\"\n  ret\nend",
        "2:17: found the string \"x\", expected an i64 register or a literal from -32768 to 32767 in `i64.add`",
    ),
    (
        "func f(a: i64)\n  i64.add a, a, L\nL:\n  ret\nend",
        "2:17: there is no register `L`, expected a parameter or a name from a `local` line",
    ),
    (
        "func f(a: i64)\n  br.i64.eq a, -32769, L\nL:\n  ret\nend",
        "2:16: `-32769` does not fit here, expected an INT from -32768 to 32767, or a register",
    ),
    (
        "func f(a: i64)\n  br.i64.eq a, 1\n  ret\nend",
        "2:3: `br.i64.eq` has 2 operands here, expected `br.i64.eq i64, i64, LABEL` or `br.i64.eq i64, INT, LABEL`",
    ),
    ("func f(a: i64)\n  br.i64.eq a, 1, 5\n  ret\nend", "2:19: found `5`, expected a label in `br.i64.eq`"),
    ("func f(a: i64)\n  i64.const a, 1.5\n  ret\nend", "2:16: found `1.5`, expected an INT"),
    (
        "func f(a: i64)\n  i64.const a, 12ab\n  ret\nend",
        "2:16: `12ab` is no number, expected an INT as `12`, `-3` or `0x1f`, or a FLOAT as `1.5`, `2e-3`, `inf`, \
         `-inf` or `nan`",
    ),
    ("func f(a: i64)\n  i64.const a, a\n  ret\nend", "2:16: found `a`, expected an INT in `i64.const`"),
    (
        "func f(a: f64)\n  i64.const a, 1\n  ret\nend",
        "2:13: register `a` is f64, expected an i64 register in `i64.const`",
    ),
    ("func f(a: f64)\n  f64.const a, true\n  ret\nend", "2:16: found `true`, expected a FLOAT or INT in `f64.const`"),
    (
        "func f(a: f64)\n  f64.const a, 1e999\n  ret\nend",
        "2:16: `1e999` does not fit an f64, expected at most 1.7976931348623157e308, or `inf`",
    ),
    (
        "func f(a: any)\n  cell.const a, null\n  ret\nend",
        "2:17: found `null`, expected an int, float, bool or string literal; `cell.null` gives null",
    ),
    (
        "func f(a: str)\n  cell.const a, 1\n  ret\nend",
        "2:14: register `a` is str, expected any for this literal in `cell.const`",
    ),
    (
        "func f(a: list)\n  cell.const a, \"x\"\n  ret\nend",
        "2:14: register `a` is list, expected str or any for a string in `cell.const`",
    ),
    (
        "func f(a: i64)\n  cell.const a, 1\n  ret\nend",
        "2:14: register `a` is i64, expected a cell register in `cell.const`",
    ),
    (
        "func f(a: str, b: any)\n  cell.mov a, b\n  ret\nend",
        "2:15: register `b` is any, expected str to be moved there",
    ),
    ("func f(a: any)\n  str.len a, a\n  ret\nend", "2:11: register `a` is any, expected an i64 register in `str.len`"),
    ("func f(a: i64, b: any)\n  str.len a, b\n  ret\nend", "2:14: register `b` is any, expected str in `str.len`"),
    (
        "func f(a: list, b: str)\n  str.concat a, b, b\n  ret\nend",
        "2:14: register `a` is list, expected str or any in `str.concat`",
    ),
    (
        "func f(a: str, b: list, i: i64)\n  list.get a, b, i\n  ret\nend",
        "2:12: register `a` is str, expected any in `list.get`",
    ),
    (
        "func f(a: i64, b: list)\n  arr.i64.len a, b\n  ret\nend",
        "2:18: register `b` is list, expected arr.i64 in `arr.i64.len`",
    ),
    ("func f(a: any)\n  obj.new a\n  ret\nend", "2:11: register `a` is any, expected a type `obj NAME` in `obj.new`"),
    (
        "func f(a: i64, o: any)\n  obj.get a, o, x\n  ret\nend",
        "2:14: register `o` is any, expected a type `obj NAME` in `obj.get`",
    ),
    (
        "func f(a: i64, o: obj S)\n  obj.get a, o, z\n  ret\nend\nshape S { x: f64 }",
        "2:17: `obj S` has no field `z`, expected one of its fields: `x`",
    ),
    (
        "func f(a: i64, o: obj S)\n  obj.get a, o, next\n  ret\nend\nshape S {}",
        "2:17: `obj S` has no field `next`, expected a shape that has fields",
    ),
    (
        "shape T { a: i64 }\nshape S { a: fn(i64, fn() -> obj S) -> obj S, nxt: obj T,\n  b: any }\n\
         func f(a: i64, o: obj S)\n  obj.get a, o, next\n  ret\nend",
        "5:17: `obj S` has no field `next`, expected one of its fields: `a`, `nxt`, `b`; the closest name is `nxt`",
    ),
    (
        "shape S { a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64, h: i64, i: i64 }\n\
         func f(a: i64, o: obj S)\n  obj.get a, o, next\n  ret\nend",
        "3:17: `obj S` has no field `next`, expected one of its fields: `a`, `b`, `c`, `d`, `e`, `f`, `g`, `h`, ...",
    ),
    (
        "func f(a: i64, o: obj S)\n  obj.get a, o, x\n  ret\nend\nshape S { x: f64 }",
        "2:17: field `x` is f64, expected i64 in `obj.get`",
    ),
    (
        "func f(a: str, o: obj S)\n  obj.set o, x, a\n  ret\nend\nshape S { x: obj S }",
        "2:17: register `a` is str, expected obj S for the value that is stored",
    ),
    (
        "func f(a: str, o: obj S)\n  obj.get a, o, x\n  ret\nend\nshape S { x: obj S }",
        "2:11: register `a` is str, expected obj S for the value that is read",
    ),
    (
        "func f(a: any)\n  prop.get a, a, x\n  ret\nend",
        "2:18: found `x`, expected a field's name as a \"string\" in `prop.get`",
    ),
    ("func f(a: i64)\n  table.get a, t, a\n  ret\nend", "2:16: there is no table `t`, expected a declared table"),
    ("func f(a: i64)\n  global.get a, g\n  ret\nend", "2:17: there is no global `g`, expected a declared global"),
    (
        "global g: f64\nfunc f(a: i64)\n  global.get a, g\n  ret\nend",
        "3:17: global `g` is f64, expected i64 in `global.get`",
    ),
    (
        "global g: f64\nfunc f(a: i64)\n  global.set g, a\n  ret\nend",
        "3:17: register `a` is i64, expected an f64 register in `global.set`",
    ),
    (
        "global g: any\nfunc f(a: str)\n  global.get a, g\n  ret\nend",
        "3:14: register `a` is str, expected any for the value that is read",
    ),
    (
        "global g: str\nfunc f(a: any)\n  global.set g, a\n  ret\nend",
        "3:17: register `a` is any, expected str for the value that is stored",
    ),
    ("func f() -> i64\n  ret\nend", "2:3: `ret` has no value, expected a register of type i64, the result of `f`"),
    ("func f(a: i64)\n  ret a\nend", "2:7: `ret` has a value, expected `ret` alone because `f` has no result"),
    ("func f(a: f64) -> i64\n  ret a\nend", "2:7: register `a` is f64, expected i64 as the function's result"),
    (
        "func f(a: any) -> fn(i64) -> str\n  ret a\nend",
        "2:7: register `a` is any, expected fn(i64) -> str as the function's result",
    ),
    ("func f(a: i64)\n  ret 5\nend", "2:7: `ret` has a value, expected `ret` alone because `f` has no result"),
    ("func f(a: i64) -> f64\n  ret 5\nend", "2:7: found `5`, expected an f64 register in `ret`"),
    ("func f(a: i64) -> list\n  ret null\nend", "2:7: found `null`, expected a cell register in `ret`"),
    (
        "global G: f64\nfunc f()\n  global.set G, 5\n  ret\nend",
        "3:17: found `5`, expected an f64 register in `global.set`",
    ),
    (
        "shape S { x: str }\nfunc f(o: obj S)\n  obj.set o, x, \"a\"\n  ret\nend",
        "3:17: found the string \"a\", expected a cell register in `obj.set`",
    ),
    (
        "func f()\n  global.set G, 5\n  ret\nend",
        "2:17: found `5`, expected an i64 register, an f64 register or a cell register in `global.set`",
    ),
    (
        "func f(a: i64)\n  ret a, a\nend",
        "2:3: `ret` has 2 operands here, expected `ret` or `ret i64` or `ret f64` or `ret cell`",
    ),
    ("func f(a: i64)\n  call g(a)\n  ret\nend", "2:8: there is no function `g`, expected a declared function"),
    (
        "func f(a: i64)\n  call a, f\n  ret\nend",
        "2:11: found `f`, expected a function with its arguments, as `f(x)` in `call`",
    ),
    (
        "func f(a: i64)\n  call f\n  ret\nend",
        "2:3: `call` has 1 operand here, expected `call function(...)` or `call i64, function(...)` or `call f64, \
         function(...)` or `call cell, function(...)`",
    ),
    ("func f(a: i64)\n  call f(5)\n  ret\nend", "2:10: found `5`, expected a register as an argument"),
    ("func f(a: i64)\n  call f(a a)\n  ret\nend", "2:12: found `a`, expected `,` or `)` behind the argument"),
    (
        "func f(a: i64)\n  call f(b)\n  ret\nend",
        "2:10: there is no register `b`, expected a parameter or a name from a `local` line",
    ),
    ("func f(a: i64)\n  call f()\n  ret\nend", "2:8: `f` has 0 arguments here, expected 1"),
    ("func f(a: i64)\n  call f(a,\n    a)\n  ret\nend", "2:8: `f` has 2 arguments here, expected 1"),
    ("func f(a: i64)\n  call a, f(a)\n  ret\nend", "2:11: `f` has no result, expected `call` without a destination"),
    (
        "func f(a: i64, b: fn(fn(i64), i64) -> f64) -> f64\n  call a, f(a, b)\n  ret\nend",
        "2:8: register `a` is i64, expected f64 for the result of `f`",
    ),
    (
        "func f(a: i64, b: fn(fn(i64), i64) -> f64)\n  call f(a,\n     a)\n  ret\nend",
        "3:6: register `a` is i64, expected fn(fn(i64), i64) -> f64 as argument 2 of `f`",
    ),
    (
        "import p(i64, str)\nfunc f(a: i64)\n  host p(a, a)\n  ret\nend",
        "3:13: register `a` is i64, expected str as argument 2 of `p`",
    ),
    (
        "import p(i64)\nfunc f(a: i64)\n  call p(a)\n  ret\nend",
        "3:8: `p` is an import, expected a function; `host` calls imports",
    ),
    ("func f(a: i64)\n  host f(a)\n  ret\nend", "2:8: `f` is a function, expected an import; `call` calls functions"),
    ("func f(a: i64)\n  host q(a)\n  ret\nend", "2:8: there is no import `q`, expected a declared import"),
    (
        "func f(a: i64) -> i64\n  tail g(a)\nend\nfunc g(a: i64)\n  ret\nend",
        "2:8: `g` gives no result, expected a function that gives i64 as `f` does",
    ),
    (
        "func f(a: i64, c: any)\n  fn.call c(a)\n  ret\nend",
        "2:11: register `c` is any, expected a type `fn(...)` in `fn.call`",
    ),
    (
        "func f(a: i64, c: fn(f64))\n  fn.call c(a)\n  ret\nend",
        "2:13: register `a` is i64, expected f64 as argument 1 of `c`",
    ),
    (
        "func f(a: i64, c: fn(fn(i64) -> i64, f64) -> str)\n  fn.call a, c()\n  ret\nend",
        "2:14: `c` has 0 arguments here, expected 2",
    ),
    (
        "func f(a: i64, c: fn(i64, any))\n  fn.new c, f(a)\n  ret\nend",
        "2:10: register `c` is fn(i64, any), expected fn(fn(i64, any)), which is left of `f` with 1 argument bound",
    ),
    (
        "func f(a: i64)\n  local c: fn()\n  fn.new c, f(a, a)\n  ret\nend",
        "3:13: `f` has 2 arguments here, expected at most 1",
    ),
    (
        "func f(a: i64)\n  local c: any\n  fn.new c, f(a)\n  ret\nend",
        "3:10: register `c` is any, expected fn(), which is left of `f` with 1 argument bound",
    ),
    (
        "func one(a: i64) -> i64\n  local f: fn()\n  fn.new f, one(a)\n  ret a\nend",
        "3:10: register `f` is fn(), expected fn() -> i64, which is left of `one` with 1 argument bound",
    ),
    (
        "func two(a: i64, b: fn(str, f64) -> any, c: obj S) -> fn(i64) -> str\n  local f: any\n\
           fn.new f, two(a)\n  ret b\nend\nshape S {}",
        "3:8: register `f` is any, expected fn(fn(str, f64) -> any, obj S) -> fn(i64) -> str, which is left of `two` with 1 \
         argument bound",
    ),
    ("func f(a: i64)\n  switch a, [L, 5], L\nL:\n  ret\nend", "2:17: found `5`, expected a label"),
    (
        "func f(a: i64)\n  switch a, [L, M], L\nL:\n  ret\nend",
        "2:17: there is no label `M`, expected a label of this function, defined as `name:`",
    ),
    (
        "func f(a: i64)\n  switch a, L\nL:\n  ret\nend",
        "2:13: found `L`, expected a list of labels, as `[L0, L1]` in `switch`",
    ),
    (
        "func f(a: i64)\n  switch a, [L]\nL:\n  ret\nend",
        "2:3: `switch` has 2 operands here, expected `switch i64, [LABEL, ...], LABEL`",
    ),
    ("func f(a: i64)\n  switch a, [L, L\nL:\n  ret\nend", "3:1: found `L`, expected `,` or `]` behind the label"),
    (
        "func f(a: i64)\n  i64.mov a, ?\n  ret\nend",
        "2:14: found `?`, expected an operand: a name, a literal or a list of labels",
    ),
    (
        "func f(a: i64)\n  i64.mov a, \"open\n  ret\nend",
        "2:14: the string is not closed, expected `\"` before the end of the line",
    ),
    ("func f(é: i64)\n  ret\nend", "1:8: found `é`, expected a parameter's name"),
    (
        "\u{feff}func f()\n  ret\nend",
        "1:1: found the character \\u{feff}, expected `shape`, `table`, `global`, `import` or `func`",
    ),
    ("func f()\n\u{a0} ret\nend", "2:1: found the character \\u{a0}, expected an op, a label, `local` or `end`"),
    ("func f(\u{200b}a: i64)\n  ret\nend", "1:8: found the character \\u{200b}, expected a parameter's name"),
    ("func f(\u{3000}a: i64)\n  ret\nend", "1:8: found the character \\u{3000}, expected a parameter's name"),
    ("func f(\u{7}a: i64)\n  ret\nend", "1:8: found the character \\u{7}, expected a parameter's name"),
    (
        "func f()\r  ret\rend\r",
        "1:9: found a carriage return (\\u{d}) without the newline that ends a line, expected the end of the line behind \
         the function's head",
    ),
    (
        "; a comment\rfunc f()\r  ret\rend\r",
        "1:12: found a carriage return (\\u{d}) without the newline that ends a line, expected `shape`, `table`, \
         `global`, `import` or `func`",
    ),
    ("func f()\r\n  rat\r\nend\r\n", "2:3: there is no op `rat`, expected an op; the closest name is `ret`"),
    (
        "func f(count: i64)\n  i64.neg cuont, count\n  ret\nend",
        "2:11: there is no register `cuont`, expected a parameter or a name from a `local` line; the closest name is \
         `count`",
    ),
    (
        "func f(counter: i64)\n  local a: i64\n  i64.neg a, conter\n  ret\nend",
        "3:14: there is no register `conter`, expected a parameter or a name from a `local` line; the closest name is \
         `counter`",
    ),
    (
        "func f()\n  jump agan\nagain:\n  ret\nend",
        "2:8: there is no label `agan`, expected a label of this function, defined as `name:`; the closest name is `again`",
    ),
    (
        "func half()\n  call hallf()\n  ret\nend\nimport hallo()",
        "2:8: there is no function `hallf`, expected a declared function; the closest name is `half`",
    ),
    (
        "import print(i64)\nfunc printer(a: i64)\n  host prnt(a)\n  ret\nend",
        "3:8: there is no import `prnt`, expected a declared import; the closest name is `print`",
    ),
    (
        "table days = [1]\nfunc f(a: i64)\n  table.get a, day, a\n  ret\nend",
        "3:16: there is no table `day`, expected a declared table; the closest name is `days`",
    ),
    (
        "global hits: i64\nfunc f(a: i64)\n  global.get a, hit\n  ret\nend",
        "3:17: there is no global `hit`, expected a declared global; the closest name is `hits`",
    ),
    (
        "shape Body {}\nglobal g: obj body",
        "2:15: there is no shape `body`, expected the name of a declared shape; the closest name is `Body`",
    ),
    (
        "import print(i64)\nfunc f(n: i64)\n  print(n)\n  ret\nend",
        "3:3: `print` is an import, expected an op; `host` calls imports",
    ),
    ("func f(n: i64)\n  f(n)\n  ret\nend", "2:3: `f` is a function, expected an op; `call` calls functions"),
    (
        "func f(n: i64)\n  fn.call f(n)\n  ret\nend",
        "2:11: `f` is a function, expected a register; `call` calls functions",
    ),
    (
        "import p(i64)\nfunc f(n: i64)\n  fn.call p(n)\n  ret\nend",
        "3:11: `p` is an import, expected a register; `host` calls imports",
    ),
    ("global g: any = \"ééé\" x", "1:23: found `x`, expected the end of the line behind the declaration"),
    ("func f()\n  L: M:\nend", "2:6: label `M` names no op, expected an op between it and `end`"),
    (
        "func f(a: i64)\n  jump a\n  ret\nend",
        "2:8: there is no label `a`, expected a label of this function, defined as `name:`",
    ),
    ("func f()\n  rte\nend", "2:3: there is no op `rte`, expected an op; the closest name is `ret`"),
    (
        "func f(ab: i64)\n  i64.neg ab, b\n  ret\nend",
        "2:15: there is no register `b`, expected a parameter or a name from a `local` line",
    ),
    ("func inf()\n  ret\nend", "1:6: `inf` is a reserved word, expected a name for what is declared"),
    (
        "import f(fn(fn(fn(fn(fn(fn(fn(fn(fn(fn(fn(fn(fn(fn(fn(fn(fn()))))))))))))))))))",
        "1:58: this `fn` stands inside 16 others, expected at most 16 in each other",
    ),
    ("global g: i64 = -", "1:17: found `-`, expected a literal for the global's initial value"),
    (
        "func f(o: i64, a: i64)\n  obj.get a, o, x\n  ret\nend",
        "2:14: register `o` is i64, expected a type `obj NAME` in `obj.get`",
    ),
    (
        "func f(a: any)\n  br.i64.lt a, 0, L\nL:\n  ret\nend",
        "2:13: register `a` is any, expected an i64 register in `br.i64.lt`",
    ),
    (
        "func f(a: i64)\n  local c: fn()\n  fn.new c, f()\n  ret\nend",
        "3:10: register `c` is fn(), expected fn(i64), which is left of `f` with 0 arguments bound",
    ),
    ("func f(a: i64)\n  i64.mov a, end\n  ret\nend", "2:14: `end` is a reserved word, expected an operand"),
    (
        "func f(a: i64)\n  i64.mov a, a ; comment\n  i64.mov a\n    , a\n  ret\nend",
        "3:3: `i64.mov` has 1 operand here, expected `i64.mov i64, i64`",
    ),
    ("func f(a: i64)\n  call f(end)\n  ret\nend", "2:10: `end` is a reserved word, expected a register as an argument"),
    (
        "func f(f: fn(i64) -> str, r: i64)\n  fn.call r, f(r)\n  ret\nend",
        "2:11: register `r` is i64, expected str for the result of `f`",
    ),
    ("func f()\n  f64.min\n  ret\nend", "2:3: `f64.min` has 0 operands here, expected `f64.min f64, f64, f64`"),
    ("table t = [1", "1:13: found the end of the file, expected `,` or `]` behind the element"),
    (
        "func f()\n  jump L\nL: ret\nend\nfunc g()\n  jump L\n  ret\nend",
        "6:8: there is no label `L`, expected a label of this function, defined as `name:`",
    ),
    (
        "func f(a: any)\n  prop.get a, a, \"open\n  ret\nend",
        "2:18: the string is not closed, expected `\"` before the end of the line",
    ),
    (
        "import f(obj S)\nfunc g(a: obj T)\n  host f(a)\n  ret\nend\nshape S {}\nshape T {}",
        "3:10: register `a` is obj T, expected obj S as argument 1 of `f`",
    ),
];

/// Names, numbers and strings are told up to 60 characters.
#[test]
fn long_names_are_cut() {
    let dots = "a.b$".repeat(15);
    let short = format!("func f()\n  jump {dots}\n  ret\nend");
    let hint = "expected a label of this function, defined as `name:`";
    assert_eq!(asm(&short).unwrap_err().to_string(), format!("2:8: there is no label `{dots}`, {hint}"));
    for more in ["x", "xy", "x.y$".repeat(1000).as_str()] {
        let long = format!("func f()\n  jump {dots}{more}\n  ret\nend");
        assert_eq!(asm(&long).unwrap_err().to_string(), format!("2:8: there is no label `{dots}...`, {hint}"));
    }
    let number = format!("func f(a: i64)\n  i64.const a, {}\n  ret\nend", "9".repeat(100));
    let message = asm(&number).unwrap_err().to_string();
    let start = format!("2:16: `{}...` does not fit an i64, expected -9223372036854775808 to ", "9".repeat(60));
    assert!(message.starts_with(&start), "{message}");
    let string = format!("func f(a: i64)\n  i64.neg a, \"\u{1b}é{}\"\n  ret\nend", "b".repeat(58));
    let message = "found the string \"\\u{1b}é".to_owned() + &"b".repeat(57);
    let message = format!("2:14: {message}..., expected an i64 register in `i64.neg`");
    assert_eq!(asm(&string).unwrap_err().to_string(), message);
}

#[test]
fn errors_tell_what_and_where() {
    for (source, message) in CASES {
        match asm(source) {
            Ok(_) => panic!("accepted, though {message}:\n{source}"),
            Err(error) => assert_eq!(error.to_string(), *message, "{source}"),
        }
    }
}
