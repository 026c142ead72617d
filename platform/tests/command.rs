//! The `opstamp` command as its users see it: what it writes where, and its exit codes.
#![cfg(feature = "cli")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_opstamp");
const ENGINES: [&str; 2] = ["interp", "jit"];

/// The shared programs of the test suite.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/programs")
}

/// A file of this test run with that name and content.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

fn opstamp<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// Standard output, standard error and the exit code.
fn texts(output: Output) -> (String, String, Option<i32>) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// `opstamp run FILE ARGUMENTS` by every engine: they must do the same.
fn run(file: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let by = |engine| {
        let head = [OsStr::new("run"), file.as_os_str(), OsStr::new("--engine"), OsStr::new(engine)];
        texts(opstamp(head.into_iter().chain(arguments.iter().map(OsStr::new))))
    };
    let [interpreted, compiled] = ENGINES.map(by);
    assert_eq!(interpreted, compiled);
    interpreted
}

fn ok(stdout: &str) -> (String, String, Option<i32>) {
    (stdout.to_owned(), String::new(), Some(0))
}

const FUNCTIONS: &str = r#"
import print(i64)
import print_str(str)

func twice(x: i64) -> i64
  i64.add x, x, x
  ret x
end
func half(x: f64) -> f64
  local two: f64
  f64.const two, 2
  f64.div x, x, two
  ret x
end
func same(s: str) -> str
  ret s
end
func any(c: any) -> any
  ret c
end
func nothing()
  ret
end
func div(x: i64, y: i64) -> i64
  local s: str
  host print(x)
  cell.const s, "by"
  host print_str(s)
  host print(y)
  i64.div x, x, y
  host print(x)
  ret x
end
func nil() -> str
  local s: str
  host print_str(s)
  trap user(7)
end
"#;

#[test]
fn run_prints_the_result_last() {
    let printed = fs::read_to_string(programs().join("print_host.stdout")).unwrap();
    assert_eq!(run(&programs().join("print_host.vm3"), &[]), ok(&format!("{printed}27\n")));
    let file = file("run.vm3", FUNCTIONS);
    assert_eq!(run(&file, &["--func", "div", "7", "2"]), ok("7\nby\n2\n3\n3\n"));
    assert_eq!(run(&file, &["--func", "nothing"]), ok(""));
}

#[test]
fn run_takes_arguments_as_literals_and_strings_as_they_are() {
    let file = file("arguments.vm3", FUNCTIONS);
    let cases: [(&[&str], &str); 20] = [
        (&["--func", "twice", "-5"], "-10"),
        (&["-5", "--func", "twice"], "-10"),
        (&["--func", "twice", "--", "-5"], "-10"),
        (&["--func=twice", "0x7fffffffffffffff"], "-2"),
        (&["--func", "twice", "-9223372036854775808"], "0"),
        (&["--func", "half", "3.0"], "1.5"),
        (&["--func", "half", "-3"], "-1.5"),
        (&["--func", "half", "-inf"], "-inf"),
        (&["--func", "half", "nan"], "nan"),
        (&["--func", "half", "-0.0"], "-0.0"),
        (&["--func", "half", "2e16"], "1e16"),
        (&["--func", "same", "null"], "null"),
        (&["--func", "same", "\"a\""], "\"a\""),
        (&["--func", "same", ""], ""),
        (&["--func", "same", "--", "--x"], "--x"),
        (&["--func", "any", "\"a\\tb\""], "a\tb"),
        (&["--func", "any", "null"], "null"),
        (&["--func", "any", "true"], "true"),
        (&["--func", "any", "1.0"], "1.0"),
        (&["--func", "any", "-140737488355328"], "-140737488355328"),
    ];
    for (arguments, result) in cases {
        assert_eq!(run(&file, arguments), ok(&format!("{result}\n")), "{arguments:?}");
    }
}

#[test]
fn run_counts_fuel() {
    let functions = file("fuel.vm3", FUNCTIONS);
    // Two ops in one run.
    let twice = |fuel: &'static str| run(&functions, &["--func", "twice", "--fuel", fuel, "21"]);
    for fuel in ["2", "3", "18446744073709551615"] {
        assert_eq!(twice(fuel), ok("42\n"), "{fuel}");
    }
    for fuel in ["0", "1"] {
        let trap = "trap: out_of_fuel in twice at op 0\n".to_owned();
        assert_eq!(twice(fuel), (String::new(), trap, Some(1)), "{fuel}");
    }
    for fuel in ["-1", "x", "18446744073709551616"] {
        let (stdout, stderr, code) = twice(fuel);
        let number = "expected a number from 0 to 18446744073709551615 ";
        let wrong = format!("error: the value of --fuel is `{fuel}`, {number}");
        assert!(stdout.is_empty() && stderr.starts_with(&wrong), "{stderr}");
        assert_eq!(code, Some(2));
    }
}

#[cfg(unix)]
#[test]
fn run_passes_bytes_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let file = file("bytes.vm3", FUNCTIONS);
    for engine in ENGINES {
        let bytes = b"\xff\x80\n";
        let head = ["run", "--engine", engine, "--func", "same"].map(OsStr::new);
        let output = opstamp(head.into_iter().chain([file.as_os_str(), OsStr::from_bytes(bytes)]));
        assert_eq!((output.stdout, output.status.code()), (b"\xff\x80\n\n".to_vec(), Some(0)));
    }
}

#[test]
fn a_trap_follows_what_was_printed() {
    let file = file("trap.vm3", FUNCTIONS);
    let trap = |what: &str| format!("trap: {what}\n");
    let by_zero = trap("division_by_zero in div at op 4");
    assert_eq!(run(&file, &["--func", "div", "7", "0"]), ("7\nby\n0\n".to_owned(), by_zero, Some(1)));
    let user = trap("user(7) in nil at op 1");
    assert_eq!(run(&file, &["--func", "nil"]), ("null\n".to_owned(), user, Some(1)));
}

#[test]
fn wrong_input_and_usage_exit_with_2() {
    let functions = file("wrong.vm3", FUNCTIONS);
    let syntax = file("syntax.vm3", "func f()\n  frob\nend\n");
    let import = file("import.vm3", "import nobody()\nfunc main()\n  host nobody()\n  ret\nend\n");
    let other = file("other.vm3", "import print_str(str, fn(i64)) -> obj S\nfunc main()\n  ret\nend\nshape S {}\n");
    let empty = file("no_functions.vm3", "");
    let mistyped = file("mistyped.vm3", "func main()\n  ret\nend\n");
    let no_text = file("no_text.vm3", b"func\n\xff");
    let cut = file("cut.vmc", b"vm3\n\x01\0\0\0");
    let of = |path: &PathBuf| path.display().to_string();
    let cases: [(&[&str], String); 29] = [
        (&[], "missing command".into()),
        (&["frob"], "unknown command `frob`, expected one of: run, ".into()),
        (&["run"], "missing argument FILE".into()),
        (&["run", "/nonexistent"], "/nonexistent: cannot be read: ".into()),
        (
            &["run", &of(&functions)],
            format!("{}: there is no function `main`, the module has: twice, ", of(&functions)),
        ),
        (&["run", "--frob", "x"], "invalid option '--frob'".into()),
        (&["run", "-x", "x"], "invalid option '-x'".into()),
        (&["run", "x", "--func"], "missing argument for option '--func'".into()),
        (&["run", "x", "--engine", "fast"], "unknown engine `fast`, expected jit or interp".into()),
        (&["code", "x", "--isa", "arm"], "unknown ISA `arm`, expected x86-64 or arm64".into()),
        (&["code", &of(&functions), "--func", "no"], format!("{}: there is no function `no`", of(&functions))),
        (&["run", &of(&functions), "--func", "twice"], "twice takes 1 argument, 0 given".into()),
        (&["run", &of(&functions), "--func", "div", "1", "2", "3"], "div takes 2 arguments, 3 given".into()),
        (&["run", &of(&functions), "--func", "twice", "1.5"], "argument 1: `1.5` does not fit its type".into()),
        (&["run", &of(&functions), "--func", "div", "1", "x"], "argument 2: `x` is no literal".into()),
        (&["run", &of(&functions), "--func", "twice", "9223372036854775808"], "argument 1: `9223".into()),
        (&["run", &of(&syntax)], format!("{}:2:3: ", of(&syntax))),
        (
            &["run", &of(&import)],
            format!(
                "{}: import nobody is not supplied by the host, which has: print(i64), print_f64(f64), print_str(str)\n",
                of(&import)
            ),
        ),
        (
            &["run", &of(&other)],
            format!(
                "{}: import print_str(str, fn(i64)) -> obj S is supplied by the host with another signature: \
                 print_str(str)\n",
                of(&other)
            ),
        ),
        (&["run", &of(&empty)], format!("{}: there is no function `main`, the module has no functions\n", of(&empty))),
        (
            &["run", &of(&mistyped), "--func", "mian"],
            format!(
                "{}: there is no function `mian`, the closest name is `main`; the module has: main\n",
                of(&mistyped)
            ),
        ),
        (&["run", ""], "the name of FILE is empty, expected the path of a file\n".into()),
        (&["test", "/nonexistent"], "/nonexistent: cannot be read: ".into()),
        (&["run", &of(&no_text)], format!("{}: neither a vm3 container nor text: line 2", of(&no_text))),
        (&["check", &of(&cut)], format!("{}: the container has 8 bytes", of(&cut))),
        (&["asm", &of(&functions)], "missing option -o OUT".into()),
        (
            &["asm", &of(&cut), "-o", "/nonexistent/x"],
            format!(
                "{}: this is a container, and `opstamp asm` takes vm3 text, which `opstamp dis` makes of it\n",
                of(&cut)
            ),
        ),
        (&["asm", &of(&functions), "-o", "/nonexistent/x"], "/nonexistent/x: cannot be written: ".into()),
        (&["test"], "no vm3 file to test".into()),
    ];
    for (arguments, what) in cases {
        let (stdout, stderr, code) = texts(opstamp(arguments));
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with(&format!("error: {what}")), "{arguments:?}: {stderr}, expected {what}");
    }
}

#[test]
fn help_and_version_exit_with_0() {
    for arguments in [&["--help"][..], &["-h"], &["help"]] {
        let (stdout, stderr, code) = texts(opstamp(arguments));
        assert_eq!((stderr.as_str(), code), ("", Some(0)));
        for command in ["run", "asm", "dis", "check", "code", "test"] {
            assert!(stdout.contains(&format!("\n  {command} ")), "{stdout}");
            let (stdout, _, code) = texts(opstamp([command, "--help"]));
            assert!(stdout.starts_with(&format!("Usage: opstamp {command} ")) && code == Some(0), "{stdout}");
        }
    }
    let says = |command, words: &[&str]| {
        let (stdout, ..) = texts(opstamp([command, "--help"]));
        let stdout = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in words {
            assert!(stdout.contains(words), "no `{words}` in {stdout}");
        }
    };
    says(
        "run",
        &["at most 128M", "the last counts if one is repeated", "cannot be null", "numbers of its own: host(N)"],
    );
    says(
        "test",
        &["The exit code is 0 if", "1 if anything failed, and 2 for", "without it 60000", "FILE is vm3 text."],
    );
    says("asm", &["IN is vm3 text."]);
    assert_eq!(texts(opstamp(["--version"])), ok(concat!("opstamp ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn containers_run_and_read_back_as_their_text() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let assemble = |input: &Path, output: &Path| {
        let arguments = [OsStr::new("asm"), input.as_os_str(), OsStr::new("-o"), output.as_os_str()];
        assert_eq!(texts(opstamp(arguments)), ok(""));
        fs::read(output).unwrap()
    };
    for name in ["fib_rec", "globals_tables", "print_host", "switch_machine", "traps"] {
        let source = programs().join(name).with_extension("vm3");
        let container = directory.join(name).with_extension("vmc");
        let bytes = assemble(&source, &container);
        assert!(bytes.starts_with(b"vm3\n") && bytes.len() % 8 == 0);
        let (text, stderr, code) = texts(opstamp([OsStr::new("dis"), container.as_os_str()]));
        assert_eq!((stderr.as_str(), code), ("", Some(0)));
        let again = file(&format!("{name}.dis.vm3"), text);
        assert_eq!(assemble(&again, &directory.join(name).with_extension("again.vmc")), bytes, "{name}");
    }
    assert_eq!(run(&directory.join("fib_rec.vmc"), &["--func", "fib", "20"]), ok("6765\n"));
}

const CHAIN: &str = r#"
shape P { x: i64 }
func down(n: i64, d: i64) -> i64
  local r: i64
  br.i64.ne n, 0, more     ; 0
  i64.div   r, d, n        ; 1
  ret       r              ; 2
more:
  i64.sub   n, n, 1        ; 3
  call      r, down(n, d)  ; 4
  i64.add   r, r, 1        ; 5
  ret       r              ; 6
end
func main(n: i64) -> i64
  local one: i64, r: i64
  i64.const one, 1         ; 0
  nop                      ; 1
  call      r, down(n, one) ; 2
  ret       r
end
func spin()
  nop
again:
  jump again               ; 1
end
func fill(n: i64) -> i64
  local xs: arr.i64
  arr.i64.new_len xs, n    ; 0
  ret       n
end
func leave(n: i64) -> i64
again:
  deopt                    ; 0
  i64.sub   n, n, 1
  br.i64.gt n, 0, again
  ret       n
end
func property(n: i64) -> i64
  local p: obj P, any: any
  obj.new   p
  cell.mov  any, p
  prop.set  any, "x", any
  ret       n
end
"#;

/// All ways to run a function.
const WAYS: [&[&str]; 4] =
    [&["--engine", "interp"], &["--engine", "jit"], &["--threshold", "0"], &["--threshold", "3"]];

#[test]
fn a_trap_is_followed_by_its_callers() {
    let path = file("chain.vm3", CHAIN);
    for way in WAYS {
        let trap = |more: &[&str]| {
            let (stdout, stderr, code) = texts(opstamp(
                [OsStr::new("run"), path.as_os_str()].into_iter().chain(way.iter().chain(more).map(OsStr::new)),
            ));
            assert_eq!((stdout.as_str(), code), ("", Some(1)), "{way:?} {more:?}: {stderr}");
            stderr
        };
        let (head, down) = ("trap: division_by_zero in down at op 1\n", "  called from down at op 4\n");
        let main = "  called from main at op 2\n";
        assert_eq!(trap(&["--func", "down", "0", "1"]), head, "{way:?}");
        assert_eq!(trap(&["0"]), format!("{head}{main}"), "{way:?}");
        assert_eq!(trap(&["19"]), format!("{head}{}{main}", down.repeat(19)), "{way:?}");
        let long = format!("{head}{}  ... 1 more ...\n{}{main}", down.repeat(10), down.repeat(9));
        assert_eq!(trap(&["20"]), long, "{way:?}");
        // Frames of `main` and `down` have a header and three registers each, 32 bytes: 4096 of them fit in 128 KiB, of
        // which 20 callers are told. Native stack is enough for as many.
        let overflow = "trap: stack_overflow in down at op 4\n";
        let deep = format!("{overflow}{}  ... {} more ...\n{}{main}", down.repeat(10), 4095 - 20, down.repeat(9));
        assert_eq!(trap(&["--stack", "128K", "1000000"]), deep, "{way:?}");
        let none = trap(&["--stack", "24", "1"]);
        assert_eq!(none, "trap: stack_overflow in main at op 0\n", "{way:?}");

        assert_eq!(trap(&["--func", "spin", "--timeout", "20"]), "trap: interrupted in spin at op 1\n", "{way:?}");
        let full = "trap: out_of_memory in fill at op 0\n";
        assert_eq!(trap(&["--func", "fill", "--heap", "8000", "1000"]), full, "{way:?}");
        assert_eq!(trap(&["--func", "fill", "--heap", "0", "1"]), full, "{way:?}");
    }
    for engine in ENGINES {
        let arguments = [OsStr::new("run"), path.as_os_str(), OsStr::new("--engine"), OsStr::new(engine)];
        let more = ["--func", "fill", "--heap=9K", "--timeout=60000", "1000"].map(OsStr::new);
        assert_eq!(texts(opstamp(arguments.into_iter().chain(more))), ok("1000\n"));
    }
}

/// The numbers that `--stats` prints, by their names.
fn statistics(stderr: &str) -> Vec<(&str, u64)> {
    let lines = stderr.lines().filter_map(|line| line.rsplit_once(": "));
    lines.filter_map(|(name, number)| Some((name, number.parse().ok()?))).collect()
}

#[test]
fn run_prints_statistics() {
    let path = file("stats.vm3", CHAIN);
    let of = |arguments: &[&str]| {
        let head = [OsStr::new("run"), path.as_os_str(), OsStr::new("--stats")];
        texts(opstamp(head.into_iter().chain(arguments.iter().map(OsStr::new))))
    };
    let get = |stderr: &str, name: &str| {
        let found = statistics(stderr).into_iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no {name} in {stderr}")).1
    };
    for (arguments, compiled, left) in [
        (&["--engine", "interp"][..], 0, 0),
        // All is compiled before the call, and nothing enters machine code in the middle.
        (&["--engine", "jit"], 6, 1),
        // From the interpreter it is entered again at the head of the loop.
        (&["--threshold", "0"], 1, 4),
        (&["--threshold", "1000000"], 0, 0),
    ] {
        let (stdout, stderr, code) = of(&[arguments, &["--func", "leave", "4"]].concat());
        assert_eq!((stdout.as_str(), code), ("0\n", Some(0)), "{stderr}");
        let numbers = ["functions", "functions compiled", "functions evicted", "returns to the interpreter"];
        assert_eq!(numbers.map(|name| get(&stderr, name)), [6, compiled, 0, left], "{arguments:?}");
        assert_eq!(get(&stderr, "bytes of machine code made") != 0, compiled != 0, "{arguments:?}");
        assert_eq!(get(&stderr, "inline caches"), 1);
        assert_eq!(get(&stderr, "bytes of heap"), 64 << 20);
        assert_eq!(get(&stderr, "allocations"), 0);
    }
    let (stdout, stderr, _) = of(&["--func", "fill", "--heap", "1M", "1000"]);
    assert_eq!(stdout, "1000\n");
    assert_eq!(["bytes of heap", "allocations"].map(|name| get(&stderr, name)), [1 << 20, 1]);
    assert!((8000..8200).contains(&get(&stderr, "bytes of heap used")), "{stderr}");
    // Behind a trap, too.
    let (_, stderr, code) = of(&["1"]);
    let head = "trap: division_by_zero in down at op 1\n  called from down at op 4\n  called from main at op 2\n";
    assert!(stderr.starts_with(&format!("{head}functions: 6\n")), "{stderr}");
    assert_eq!((code, get(&stderr, "collections")), (Some(1), 0));
    assert!(!texts(opstamp([OsStr::new("run"), path.as_os_str(), OsStr::new("1")])).1.contains("functions"));
}

/// Each inline cache that missed has a line.
#[test]
fn run_prints_what_inline_caches_have_seen() {
    let source = "
shape Near { x: i64 }
shape Far { y: any, x: i64 }
func triple(x: i64) -> i64
  i64.mul   x, x, 3
  ret       x
end
func minus(k: i64, x: i64) -> i64
  i64.sub   x, x, k
  ret       x
end
func of(o: any, f: fn(i64) -> i64) -> i64
  local v: i64, c: any
  prop.get  c, o, \"x\"
  unbox.i64 v, c
  fn.call   v, f(v)
  box.i64   c, v
  prop.set  o, \"x\", c
  ret       v
end
func main(n: i64) -> i64
  local a: obj Near, b: obj Far, f: fn(i64) -> i64, g: fn(i64) -> i64, v: i64
  obj.new   a
  obj.new   b
  fn.new    f, triple()
  fn.new    g, minus(n)
  call      v, of(a, f)
  call      v, of(a, f)
  call      v, of(b, f)
  call      v, of(b, g)
  ret       v
end
";
    let path = file("caches.vm3", source);
    let of = |engine: &str| {
        let arguments = [OsStr::new("run"), path.as_os_str(), OsStr::new("--stats"), OsStr::new("--engine")];
        texts(opstamp(arguments.into_iter().chain([engine, "5"].map(OsStr::new))))
    };
    let counts = |stderr: &str| {
        let names =
            ["inline caches", "misses of inline caches", "inline caches of calls", "misses of inline caches of calls"];
        names.map(|name| statistics(stderr).into_iter().find(|(known, _)| *known == name).expect("it is told").1)
    };
    let (stdout, stderr, code) = of("jit");
    assert_eq!((stdout.as_str(), code, counts(&stderr)), ("-5\n", Some(0), [2, 4, 1, 2]), "{stderr}");
    let sites = "prop.get in of at op 0: 2 misses, Near, Far\nfn.call in of at op 2: 2 misses, last of minus\n\
                 prop.set in of at op 4: 2 misses, Near, Far\n";
    assert!(stderr.ends_with(sites), "{stderr}");
    let (stdout, stderr, code) = of("interp");
    assert_eq!((stdout.as_str(), code, counts(&stderr)), ("-5\n", Some(0), [2, 0, 1, 0]), "{stderr}");
    assert!(!stderr.contains(" in of at op "), "{stderr}");
}

/// The smallest limit that is told is one.
#[test]
fn the_smallest_code_limit_is_told() {
    let path = file("limit.vm3", "func main() -> i64\n  local x: i64\n  i64.const x, 7\n  ret x\nend\n");
    let by = |limit: &str| {
        let head = [OsStr::new("run"), path.as_os_str(), OsStr::new("--code-limit"), OsStr::new(limit)];
        texts(opstamp(head))
    };
    let (stdout, stderr, code) = by("1");
    if code == Some(0) {
        // Where writing code means that permissions change, memory for it comes in pages, and one has room for this.
        assert_eq!(stdout, "7\n");
        return;
    }
    assert_eq!((stdout.as_str(), code), ("", Some(2)));
    let rest = stderr.strip_prefix("error: the value of --code-limit is 1, expected at least ");
    let least = rest.and_then(|rest| rest.split_once(" bytes")).and_then(|(least, _)| least.parse::<usize>().ok());
    let least = least.unwrap_or_else(|| panic!("{stderr}"));
    assert_eq!(by(&least.to_string()), ok("7\n"));
    let (_, stderr, code) = by(&(least - 1).to_string());
    let what = format!("error: the value of --code-limit is {}, expected at least {least} bytes ", least - 1);
    assert!(stderr.starts_with(&what) && code == Some(2), "{stderr}");
}

/// What does not fit in the code memory is interpreted.
#[test]
fn code_memory_may_be_too_small() {
    const COUNT: u64 = 2000;
    let mut source = String::new();
    for index in 0..COUNT {
        let next = format!("  call x, f{}(x)\n", index + 1);
        let next = if index + 1 == COUNT { "" } else { &next };
        source += &format!("func f{index}(x: i64) -> i64\n  i64.add x, x, 1\n{next}  ret x\nend\n");
    }
    let path = file("many.vm3", source);
    let mut least = COUNT;
    for (limit, all) in [("64M", true), ("100K", false), ("16K", false)] {
        let head = [OsStr::new("run"), path.as_os_str()].into_iter();
        let more = ["--func", "f0", "--stats", "--code-limit", limit, "5"].map(OsStr::new);
        let (stdout, stderr, code) = texts(opstamp(head.chain(more)));
        assert_eq!((stdout, code), (format!("{}\n", COUNT + 5), Some(0)), "{stderr}");
        let find = |wanted| statistics(&stderr).into_iter().find(|(name, _)| *name == wanted).expect(wanted).1;
        let compiled = find("functions compiled");
        assert_eq!(compiled == COUNT, all, "{limit}: {compiled}");
        assert!(compiled > 0 && compiled <= least, "{limit}: {compiled}");
        // With the page that the system rounds up to.
        assert!(all || find("bytes of machine code made") <= 128 << 10, "{limit}: {stderr}");
        least = compiled;
    }
}

#[test]
fn run_refuses_bad_values() {
    let path = file("values.vm3", CHAIN);
    let cases: [(&[&str], &str); 17] = [
        (&["--threshold", "-1"], "the value of --threshold is `-1`, expected a number from 0 to 4294967295"),
        (&["--threshold", "x"], "the value of --threshold is `x`, expected a number from 0"),
        (&["--threshold", "4294967296"], "the value of --threshold is `4294967296`, expected a number"),
        (&["--threshold"], "missing argument for option '--threshold'"),
        (&["--timeout", "0"], "the value of --timeout is `0`, expected a number from 1 to 4294967295"),
        (&["--timeout", "1s"], "the value of --timeout is `1s`, expected a number"),
        (&["--heap", ""], "the value of --heap is ``, expected a number of bytes from 0 to "),
        (&["--heap", "K"], "the value of --heap is `K`, expected a number of bytes"),
        (&["--heap", "1k"], "the value of --heap is `1k`, expected a number of bytes"),
        (&["--heap", "1.5M"], "the value of --heap is `1.5M`, expected a number of bytes"),
        (&["--heap", "99999999999999G"], "the value of --heap is `99999999999999G`, expected a number of bytes"),
        (&["--stack", "-8"], "the value of --stack is `-8`, expected a number of bytes"),
        (&["--code-limit", "0"], "the value of --code-limit is `0`, expected a number of bytes from 1 to 134217728"),
        (&["--code-limit", "129M"], "the value of --code-limit is `129M`, expected a number of bytes from 1"),
        (&["--stats=1"], "unexpected argument for option '--stats'"),
        (&["--engine", "interp", "--threshold", "1"], "--threshold is about machine code, and --engine interp makes"),
        (&["--code-limit", "1M", "--engine", "interp"], "--code-limit is about machine code, and --engine interp"),
    ];
    for (arguments, message) in cases {
        let head = [OsStr::new("run"), path.as_os_str()];
        let (stdout, stderr, code) = texts(opstamp(head.into_iter().chain(arguments.iter().map(OsStr::new))));
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with(&format!("error: {message}")), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    // More than there is on any machine.
    let head = [OsStr::new("run"), path.as_os_str()];
    let more = ["--heap", "9000000000G", "--func", "fill", "1"].map(OsStr::new);
    let (_, stderr, code) = texts(opstamp(head.into_iter().chain(more)));
    assert!(stderr.starts_with("error: ") && stderr.contains("the heap of "), "{stderr}");
    assert_eq!(code, Some(2));
}

#[test]
fn check_prints_what_the_module_holds() {
    let source = "shape P { x: f64, next: obj P }\ntable t = [1, 2, 3]\nglobal g: str = \"a\"\nimport print(i64)\n\
                  func f(x: i64, p: obj P) -> f64\n  local y: f64\n  i64.add x, x, 1\n  host print(x)\n  ret y\nend\n";
    let path = file("check.vm3", source);
    let (stdout, stderr, code) = texts(opstamp([OsStr::new("check"), path.as_os_str()]));
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.first(), Some(&format!("{}: verified", path.display()).as_str()));
    // The state is a word each for the global, the import and the constant, beside what every instance has.
    let state = |path: &Path| {
        let (stdout, ..) = texts(opstamp([OsStr::new("check"), path.as_os_str()]));
        let line = stdout.lines().find_map(|line| line.strip_prefix("state of an instance: "));
        line.and_then(|rest| rest.strip_suffix(" bytes"))
            .and_then(|bytes| bytes.parse::<u64>().ok())
            .expect("the bytes")
    };
    let least = state(&file("least.vm3", "func f()\n  ret\nend\n"));
    assert_eq!(state(&path) - least, 24);
    // A frame is a header of 8 bytes and 8 bytes for each of two parameters and a local; `host` with its argument is
    // one word.
    for line in [
        "shape P { x: f64, next: obj P }",
        "table t: 3 elements",
        "global g: str",
        "import print(i64)",
        "func f(i64, obj P) -> f64: 3 ops in 3 words, 3 registers, frame of 32 bytes",
    ] {
        assert!(lines.contains(&line), "no `{line}` in {stdout}");
    }
}

/// `opstamp code FILE --isa ISA MORE`, which goes well.
fn code(file: &Path, isa: &str, more: &[&str]) -> String {
    let head = [OsStr::new("code"), file.as_os_str(), OsStr::new("--isa"), OsStr::new(isa)];
    let (stdout, stderr, code) = texts(opstamp(head.into_iter().chain(more.iter().map(OsStr::new))));
    assert_eq!((stderr.as_str(), code), ("", Some(0)), "{}, {isa}", file.display());
    stdout
}

/// The text of the instructions is what GNU objdump makes of the bytes at these offsets, in the notation of NASM (sizes,
/// signed numbers in decimal) and of Arm's manual (`b.lo` for `b.cc`, shifts by a hexadecimal number).
#[test]
fn code_prints_instructions_below_their_ops() {
    let cases = [
        (
            "gcd",
            "gcd",
            "loop:\n   1  i64.rem    t, a, b",
            "
          11  483b6500              cmp     rsp, [rbp]
          15  0f8248000000          jb      0x63
          1b  4885f6                test    rsi, rsi
          1e  0f8435000000          je      0x59
          24  4883feff              cmp     rsi, -1
          28  0f8426000000          je      0x54
          2e  4889f8                mov     rax, rdi
          31  4899                  cqo
          33  48f7fe                idiv    rsi
          36  4989d0                mov     r8, rdx",
            "
           c  f9400260  ldr     x0, [x19]
          10  370001c0  tbnz    w0, #0x0, 0x48
          14  b4000163  cbz     x3, 0x40
          18  9ac30c82  sdiv    x2, x4, x3
          1c  9b039045  msub    x5, x2, x3, x4",
        ),
        (
            "lcg",
            "next",
            "   0  i64.const  k, 6364136223846793005",
            "
           4  48bf2d7f954c2df45158  mov     rdi, 0x5851f42d4c957f2d",
            "
           4  d28fe5a4  mov     x4, #0x7f2d
           8  f2a992a4  movk    x4, #0x4c95, lsl #0x10
           c  f2de85a4  movk    x4, #0xf42d, lsl #0x20
          10  f2eb0a24  movk    x4, #0x5851, lsl #0x30",
        ),
        (
            "collatz",
            "chain",
            "   8  br.i64.gt  x, 1, loop",
            "
          3d  4883fe01              cmp     rsi, 1
          41  7fcd                  jg      0x10",
            "
          34  f100047f  cmp     x3, #0x1
          38  54fffecc  b.gt    0x10",
        ),
        (
            "prime_count",
            "is_prime",
            "   5  i64.add    d, d, 1",
            "
          50  488d7601              lea     rsi, [rsi+1]",
            "
          34  91000463  add     x3, x3, #0x1",
        ),
        (
            "mul_loop",
            "product",
            "   7  br.i64.le  i, n, loop",
            "
          35  4c39ce                cmp     rsi, r9
          38  7ede                  jle     0x18",
            "
          28  eb06007f  cmp     x3, x6
          2c  54ffff4d  b.le    0x14",
        ),
    ];
    for (program, func, op, x64, a64) in cases {
        for (isa, expected) in [("x86-64", x64), ("arm64", a64)] {
            let listing = code(&programs().join(program).with_extension("vm3"), isa, &["--func", func]);
            let expected = format!("{op}{expected}\n");
            let next = listing.split_once(&expected).map(|(_, rest)| rest.lines().next().unwrap_or(""));
            // Behind them there is another op, a label or a heading, but no instruction.
            let is_instruction = |line: &str| line.starts_with("       ");
            assert!(next.is_some_and(|line| !is_instruction(line)), "{program}, {isa}: no\n{expected}in\n{listing}");
        }
    }
    let path = file("code.vm3", FUNCTIONS);
    for isa in ["x86-64", "arm64"] {
        assert!(code(&path, isa, &["--func", "div"]).contains("stub.trap.division_by_zero\n"), "{isa}");
    }
    let host = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86-64" };
    let arguments = [OsStr::new("code"), path.as_os_str()];
    assert_eq!(texts(opstamp(arguments)), ok(&code(&path, host, &[])), "the default is the host's ISA");
}

/// Ops over several lines, comments, `;` in strings, labels; a container has generated names.
#[test]
fn code_prints_ops_as_the_text_has_them() {
    let source = "func f(x: i64) -> i64 ; a comment\n  local s: str\n  cell.const s, \"a;\\\"b\" ; more\n\
                  a: ; first\n\nb:\n  switch x, [a, ; one\n    c,\n    b], c\n c: ret x\nend\n";
    let path = file("lines.vm3", source);
    let container = path.with_extension("vmc");
    let assembled = opstamp([OsStr::new("asm"), path.as_os_str(), OsStr::new("-o"), container.as_os_str()]);
    assert_eq!(texts(assembled), ok(""));
    for isa in ["x86-64", "arm64"] {
        let listing = code(&path, isa, &[]);
        let is_instruction = |line: &&str| line.starts_with("       ");
        let lines: Vec<_> = listing.lines().filter(|line| !is_instruction(line)).collect();
        let expected = [
            "   0  cell.const s, \"a;\\\"b\"",
            "      a:",
            "      b:",
            "   1  switch x, [a, c, b], c",
            "   2  c: ret x",
        ];
        assert!(lines.windows(expected.len()).any(|window| window == expected), "{lines:#?}");
        let generated = code(&container, isa, &[]);
        assert!(generated.lines().any(|line| line == "   2  ret i0"), "{generated}");
        let instructions = |listing: &str| listing.lines().filter(is_instruction).collect::<Vec<_>>().join("\n");
        assert_eq!(instructions(&generated), instructions(&listing));
    }
}

/// Of every program for every ISA: each byte of each function belongs to one instruction that the disassembler knows,
/// and the sizes are sums of what is listed.
#[test]
fn code_lists_every_program_without_a_gap() {
    let paths = fs::read_dir(programs()).unwrap().map(|entry| entry.unwrap().path());
    let paths: Vec<_> = paths.filter(|path| path.extension() == Some(OsStr::new("vm3"))).collect();
    assert!(paths.len() > 20);
    for (path, isa) in paths.iter().flat_map(|path| [(path, "x86-64"), (path, "arm64")]) {
        let listing = code(path, isa, &[]);
        let what = format!("{}, {isa}", path.display());
        let (mut rows, mut total) = (Vec::new(), [0; 2]);
        let (functions, table) = listing.rsplit_once("\n\n").expect("a table behind the functions");
        for function in functions.split("\n\n") {
            let mut lines = function.lines();
            let (name, sizes) = lines.next().and_then(|line| line.split_once(": ")).expect("a heading");
            let (mut ops, mut bytes) = (0, 0);
            for line in lines {
                let words: Vec<_> = line.split_whitespace().collect();
                if line.starts_with("       ") {
                    let [offset, code, instruction, ..] = words[..] else { panic!("{what}: {line}") };
                    assert_eq!(usize::from_str_radix(offset, 16), Ok(bytes), "{what}: {line}");
                    assert!(code.len().is_multiple_of(2) && code.bytes().all(|byte| byte.is_ascii_hexdigit()));
                    assert!(isa == "x86-64" || code.len() == 8, "{what}: {line}");
                    let unknown = ["(bad)", "udf", "db", "ud2"].contains(&instruction);
                    assert!(!unknown && instruction.starts_with(|c: char| c.is_ascii_lowercase()), "{what}: {line}");
                    bytes += code.len() / 2;
                } else if line.as_bytes()[3].is_ascii_digit() {
                    assert_eq!(words[0].parse(), Ok(ops), "{what}: {line}");
                    ops += 1;
                }
            }
            assert_eq!(sizes, format!("{ops} ops, {bytes} bytes"), "{what}: {name}");
            rows.push((name, ops, bytes));
            total = [total[0] + ops, total[1] + bytes];
        }
        let mut table = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(table.next().unwrap()[0], isa);
        let number = |text: &str| text.parse::<usize>().unwrap();
        for (name, ops, bytes) in rows {
            let row = table.next().unwrap();
            assert_eq!((row[0], number(row[1]), number(row[2])), (name, ops, bytes), "{what}");
            assert_eq!(row[3..6].iter().map(|part| number(part)).sum::<usize>(), bytes, "{what}: {name}");
            assert_eq!(row[6], format!("{:.1}", bytes as f64 / ops as f64), "{what}: {name}");
        }
        let stubs = number(table.next().unwrap()[1]);
        let row = table.next().unwrap();
        assert_eq!((row[0], number(row[1]), number(row[2])), ("total", total[0], total[1] + stubs), "{what}");
        assert_eq!(table.next(), None);
    }
}

#[test]
fn test_counts_and_tells_each_mismatch() {
    let (stdout, stderr, code) = texts(opstamp([OsStr::new("test"), programs().join("traps.vm3").as_os_str()]));
    let text = fs::read_to_string(programs().join("traps.vm3")).unwrap();
    let expectations = text.lines().filter(|line| line.starts_with(";!") && !line.starts_with(";! with ")).count();
    assert!(expectations > 50);
    let all = format!("{} passed, 0 failed\n", expectations * ENGINES.len());
    assert_eq!((stdout, stderr.as_str(), code), (all, "", Some(0)));

    let lines = [
        ("twice(1) = 3", Some("twice: gave 2, expected 3")),
        ("twice(1) = 2", None),
        ("half(1.0) = 0.5", None),
        ("half(nan) = nan", None),
        ("half(0.0) = -0.0", Some("half: gave 0.0, expected -0.0")),
        ("any(1) = 1.0", Some("any: gave 1, expected 1.0")),
        ("any(\"a\") = \"a\"", None),
        ("any(\"1\") = 1", Some("any: gave \"1\", expected 1")),
        ("any(1) = \"1\"", Some("any: gave 1, expected \"1\"")),
        ("any(null) = \"null\"", Some("any: gave null, expected \"null\"")),
        ("any(\"<list>\") = <list>", Some("any: gave \"<list>\", expected <list>")),
        (
            "same(\"\\x1b[1m\\xff\\\\ é\\u{7f}\\n\") = \"\\r\\u{9f}\\\"\"",
            Some("same: gave \"\\x1b[1m\\xff\\\\ é\\x7f\\n\", expected \"\\r\\u{9f}\\\"\""),
        ),
        ("div(1, 0) traps division_by_zero in div at 4", None),
        (
            "div(1, 0) traps division_by_zero in div at 3",
            Some("div: gave trap: division_by_zero in div at op 4, expected trap: division_by_zero in div at op 3"),
        ),
        (
            "div(1, 1) traps division_by_zero in div at 4",
            Some("div: gave 1, expected trap: division_by_zero in div at op 4"),
        ),
        ("div(1, 0)", Some("div: gave trap: division_by_zero in div at op 4, expected an end without a trap")),
        (
            "nil() traps user(8) in nil at 1",
            Some("nil: gave trap: user(7) in nil at op 1, expected trap: user(8) in nil at op 1"),
        ),
        ("nothing()", None),
    ];
    // What no call could meet is told once, with its column.
    let mistakes = [
        ("twice(1, 2) = 3", "4: `twice` takes 1 argument, 2 given"),
        ("div(1)", "4: `div` takes 2 arguments, 1 given"),
        (
            "mising(1) = 3",
            "4: there is no function `mising`, the module has: twice, half, same, any, nothing, div, nil",
        ),
        (
            "twise(1) = 3",
            "4: there is no function `twise`, the closest name is `twice`; the module has: twice, half, same, any, \
             nothing, div, nil",
        ),
        ("nothing() = 1", "16: `nothing` has no result, expected the call alone: write `;! nothing()`"),
        ("nothing() = null", "16: `nothing` has no result, expected the call alone: write `;! nothing()`"),
        ("nothing() = <list>", "16: `nothing` has no result, expected the call alone: write `;! nothing()`"),
        ("div(1, 2.5) = 3", "11: argument 2 of `div` is 2.5, expected an i64, as `12`, `-3` or `0x1f`"),
        ("same(\"a\", 2)", "4: `same` takes 1 argument, 2 given"),
        ("same(true)", "9: argument 1 of `same` is true, expected a string or `null`"),
        ("half(\"\\x07\")", "9: argument 1 of `half` is \"\\x07\", expected an f64, as `1.5`, `2e-3` or `inf`"),
        ("twice(1) = \"2\"", "15: `twice` gives i64, which \"2\" cannot be, expected an i64, as `12`, `-3` or `0x1f`"),
        ("same(\"a\") = <list>", "16: `same` gives str, which <list> cannot be, expected a string or `null`"),
        (
            "nil() traps user(7) in nill at 1",
            "16: there is no function `nill`, the closest name is `nil`; the module has: twice, half, same, any, \
             nothing, div, nil",
        ),
        ("nil() traps user(7) in nil at 2", "16: `nil` has 2 ops, so that none is op 2"),
    ];
    let all = lines.iter().map(|(line, _)| line).chain(mistakes.iter().map(|(line, _)| line));
    let source: String = all.map(|line| format!(";! {line}\n")).chain([FUNCTIONS.to_owned()]).collect();
    let path = file("mismatches.vm3", source);
    let (stdout, stderr, code) = texts(opstamp([OsStr::new("test"), path.as_os_str()]));
    assert_eq!((stderr.as_str(), code), ("", Some(1)));
    let mut told = stdout.lines();
    for (number, (_, message)) in (lines.len() + 1..).zip(mistakes) {
        assert_eq!(told.next(), Some(format!("{}:{number}:{message}", path.display()).as_str()));
    }
    for engine in ENGINES {
        for (number, (_, message)) in (1..).zip(lines) {
            let Some(message) = message else { continue };
            assert_eq!(told.next(), Some(format!("{}:{number}: [{engine}] {message}", path.display()).as_str()));
        }
    }
    let failed = lines.iter().filter(|(_, message)| message.is_some()).count() * ENGINES.len();
    let passed = lines.len() * ENGINES.len() - failed;
    assert_eq!(told.collect::<Vec<_>>(), [format!("{passed} passed, {} failed", failed + mistakes.len())]);
}

#[test]
fn test_interrupts_what_does_not_end() {
    let source = ";! spin()\n;! spin() traps interrupted in spin at 1\n;! leave(3) = 0\n";
    let path = file("spin.vm3", format!("{source}{CHAIN}"));
    let arguments = [OsStr::new("test"), path.as_os_str(), OsStr::new("--timeout"), OsStr::new("50")];
    let (stdout, stderr, code) = texts(opstamp(arguments));
    assert_eq!((stderr.as_str(), code), ("", Some(1)));
    let head = "spin: did not end within 50 ms and was interrupted in spin at op 1, expected";
    let expected: String = ENGINES
        .map(|engine| {
            let line = |number, wanted| {
                format!("{}:{number}: [{engine}] {head} {wanted}; --timeout sets the time\n", path.display())
            };
            line(1, "an end without a trap") + &line(2, "trap: interrupted in spin at op 1")
        })
        .concat();
    assert_eq!(stdout, format!("{expected}2 passed, 4 failed\n"));
    let arguments = [OsStr::new("test"), path.as_os_str(), OsStr::new("--timeout=0")];
    let (_, stderr, code) = texts(opstamp(arguments));
    assert!(
        stderr.starts_with("error: the value of --timeout is `0`, expected a number from 1 to 4294967295 ("),
        "{stderr}"
    );
    assert_eq!(code, Some(2));
}

#[test]
fn test_takes_text_alone() {
    let source = file("text.vm3", FUNCTIONS);
    let container = source.with_extension("vmc");
    let assembled = opstamp([OsStr::new("asm"), source.as_os_str(), OsStr::new("-o"), container.as_os_str()]);
    assert_eq!(texts(assembled), ok(""));
    let (stdout, stderr, code) = texts(opstamp([OsStr::new("test"), container.as_os_str()]));
    let what = "this is a container, and `opstamp test` takes vm3 text, which `opstamp dis` makes of it";
    assert_eq!(stdout, format!("{}: {what}\n0 passed, 1 failed\n", container.display()));
    assert_eq!((stderr.as_str(), code), ("", Some(1)));
}

#[test]
fn test_goes_on_after_a_file_that_does_not_assemble() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("directory");
    fs::create_dir_all(directory.join("inner")).unwrap();
    fs::write(directory.join("a.vm3"), "func f()\n  frob\nend\n").unwrap();
    fs::write(
        directory.join("inner/b.vm3"),
        ";! f() = 1\nfunc f() -> i64\n  local x: i64\n  i64.const x, 1\n  ret x\nend\n",
    )
    .unwrap();
    fs::write(directory.join("inner/c.txt"), "no vm3").unwrap();
    let (stdout, _, code) = texts(opstamp([OsStr::new("test"), directory.as_os_str()]));
    let lines: Vec<_> = stdout.lines().collect();
    let expected = format!("{}:2:3: ", directory.join("a.vm3").display());
    assert!(lines.len() == 2 && lines[0].starts_with(&expected), "{stdout}");
    assert_eq!((lines[1], code), ("2 passed, 1 failed", Some(1)));
    let empty = file("empty.vm3", "func f()\n  ret\nend\n");
    let nothing = "error: there is no expectation in these files\n";
    let (stdout, stderr, code) = texts(opstamp([OsStr::new("test"), empty.as_os_str()]));
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("0 passed, 0 failed\n", nothing, Some(2)));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    // More than is gathered before it is written, so that the guest is stopped by it.
    let source = "import print(i64)\nfunc main(n: i64)\nagain:\n  host print(n)\n  i64.sub n, n, 1\n  \
                  br.i64.ge n, 0, again\n  ret\nend\n";
    let (file, much) = (file("full.vm3", FUNCTIONS), file("much.vm3", source));
    let cases: [(&Path, &[&str]); 3] =
        [(&file, &["--func", "div", "7", "2"]), (&file, &["--func", "twice", "1"]), (&much, &["1000000"])];
    for (engine, (file, arguments)) in ENGINES.into_iter().flat_map(|engine| cases.map(|case| (engine, case))) {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg(file).args(["--engine", engine]).args(arguments);
        command.stdout(full).stderr(std::process::Stdio::piped());
        let (_, stderr, code) = texts(command.output().unwrap());
        // ENOSPC, by its number and text in Linux.
        assert_eq!(stderr, "error: cannot write to standard output: No space left on device (os error 28)\n");
        assert_eq!(code, Some(2));
    }
}
