//! The `opstamp` command as its users see it: what it writes where, and its exit codes.
#![cfg(feature = "cli")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
    let no_text = file("no_text.vm3", b"func\n\xff");
    let cut = file("cut.vmc", b"vm3\n\x01\0\0\0");
    let of = |path: &PathBuf| path.display().to_string();
    let cases: [(&[&str], String); 22] = [
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
        (&["run", &of(&functions), "--func", "twice"], "twice takes 1 argument, 0 given".into()),
        (&["run", &of(&functions), "--func", "div", "1", "2", "3"], "div takes 2 arguments, 3 given".into()),
        (&["run", &of(&functions), "--func", "twice", "1.5"], "argument 1: `1.5` does not fit its type".into()),
        (&["run", &of(&functions), "--func", "div", "1", "x"], "argument 2: `x` is no literal".into()),
        (&["run", &of(&functions), "--func", "twice", "9223372036854775808"], "argument 1: `9223".into()),
        (&["run", &of(&syntax)], format!("{}:2:3: ", of(&syntax))),
        (&["run", &of(&import)], format!("{}: import nobody is not supplied by the host", of(&import))),
        (&["run", &of(&no_text)], format!("{}: neither a vm3 container nor text: line 2", of(&no_text))),
        (&["check", &of(&cut)], format!("{}: the container has 8 bytes", of(&cut))),
        (&["asm", &of(&functions)], "missing option -o OUT".into()),
        (&["asm", &of(&cut), "-o", "/nonexistent/x"], format!("{}: this is a container already", of(&cut))),
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

#[test]
fn check_prints_what_the_module_holds() {
    let source = "shape P { x: f64, next: obj P }\ntable t = [1, 2, 3]\nglobal g: str = \"a\"\nimport print(i64)\n\
                  func f(x: i64, p: obj P) -> f64\n  local y: f64\n  i64.add x, x, 1\n  host print(x)\n  ret y\nend\n";
    let path = file("check.vm3", source);
    let (stdout, stderr, code) = texts(opstamp([OsStr::new("check"), path.as_os_str()]));
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.first(), Some(&format!("{}: verified", path.display()).as_str()));
    // A frame is a header of 8 bytes and 8 bytes for each of two parameters and a local; `host` with its argument is one
    // word.
    for line in [
        "state of an instance: 16 bytes",
        "shape P { x: f64, next: obj P }",
        "table t: 3 elements",
        "global g: str",
        "import print(i64)",
        "func f(i64, obj P) -> f64: 3 ops in 3 words, 3 registers, frame of 32 bytes",
    ] {
        assert!(lines.contains(&line), "no `{line}` in {stdout}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn code_prints_instructions_below_their_ops() {
    let path = file("code.vm3", FUNCTIONS);
    let arguments = [OsStr::new("code"), path.as_os_str(), OsStr::new("--func"), OsStr::new("div")];
    let (stdout, stderr, code) = texts(opstamp(arguments));
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    let ops: Vec<_> =
        stdout.lines().filter(|line| line.get(..4).is_some_and(|n| n.trim().parse::<u32>().is_ok())).collect();
    assert_eq!(ops.len(), 7, "{stdout}");
    let division = stdout.split("   4  i64.div ").nth(1).and_then(|rest| rest.split("   5  host ").next());
    assert!(division.is_some_and(|code| code.contains("idiv")), "{stdout}");
    assert!(stdout.contains("stub.trap.division_by_zero"), "{stdout}");
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
        ("twice(1, 2) = 3", Some("twice: it takes 1 arguments, 2 given")),
        ("missing(1) = 3", Some("missing: there is no such function")),
        ("half(1.0) = 0.5", None),
        ("half(nan) = nan", None),
        ("half(0.0) = -0.0", Some("half: gave 0.0, expected -0.0")),
        ("any(1) = 1.0", Some("any: gave 1, expected 1.0")),
        ("any(\"a\") = \"a\"", None),
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
        ("nothing() = 1", Some("nothing: ")),
    ];
    let source: String = lines.iter().map(|(line, _)| format!(";! {line}\n")).chain([FUNCTIONS.to_owned()]).collect();
    let path = file("mismatches.vm3", source);
    let (stdout, stderr, code) = texts(opstamp([OsStr::new("test"), path.as_os_str()]));
    assert_eq!((stderr.as_str(), code), ("", Some(1)));
    let mut told = stdout.lines();
    for engine in ENGINES {
        for (number, (_, message)) in (1..).zip(lines) {
            let Some(message) = message else { continue };
            let expected = format!("{}:{number}: [{engine}] {message}", path.display());
            let line = told.next().unwrap_or("");
            assert!(line.starts_with(&expected), "`{line}`, expected `{expected}`");
        }
    }
    let failed = lines.iter().filter(|(_, message)| message.is_some()).count() * ENGINES.len();
    let passed = lines.len() * ENGINES.len() - failed;
    assert_eq!(told.collect::<Vec<_>>(), [format!("{passed} passed, {failed} failed")]);
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
    assert_eq!(opstamp([OsStr::new("test"), empty.as_os_str()]).status.code(), Some(2), "nothing tested is no success");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let file = file("full.vm3", FUNCTIONS);
    for function in [&["div", "7", "2"][..], &["twice", "1"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg(&file).arg("--func").args(function).stdout(full).stderr(Stdio::piped());
        let (_, stderr, code) = texts(command.output().unwrap());
        assert!(stderr.starts_with("error: cannot write to standard output: "), "{stderr}");
        assert_eq!(code, Some(2));
    }
}
