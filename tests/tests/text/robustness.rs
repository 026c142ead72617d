//! Broken sources and containers: nothing panics, and errors point into the source.

use super::modules::{EXAMPLE, ODD};
use super::{asm, text, words};
use fastrand::Rng;
use opstamp::vm3::container::{Container, HEADER_WORDS};
use opstamp::vm3::text::{DISASSEMBLE_SCRATCH, disassemble, expectations, parse_literal, write_op};

/// A tail of expectations, so that they are mutated too.
const EXPECT: &str = "\n;! fib(20) = 6765\n;! with stack=1 fuel=2\n;! f(\"a\\n\", 1.5, null) traps user(3) in f at 2\n";

fn check(source: &str) -> bool {
    let lines = source.split('\n').count();
    let inside = |line: u32, column: u32| {
        let text = source.split('\n').nth(line as usize - 1).unwrap_or_else(|| panic!("{line}:{column} in\n{source}"));
        assert!(column >= 1 && column as usize <= text.chars().count() + 1, "{line}:{column} in\n{source}");
    };
    for expectation in expectations(source) {
        match expectation {
            Ok(expectation) => assert_eq!(expectation.call.args.clone().count(), expectation.call.args.len()),
            Err(error) => inside(error.line, error.column),
        }
    }
    match asm(source) {
        Ok((first, sites)) => {
            assert!(sites.iter().all(|site| site.line as usize <= lines));
            assert_eq!(words(&text(&first)), first);
            true
        }
        Err(error) => {
            inside(error.line, error.column);
            let message = error.to_string();
            assert!(message.contains("expected"), "{message}");
            assert!(!message.contains("memory"), "{message}");
            false
        }
    }
}

#[test]
fn truncated_sources() {
    for source in [EXAMPLE, ODD, EXPECT] {
        for end in (0..source.len()).filter(|&end| source.is_char_boundary(end)) {
            check(&source[..end]);
            check(&source[end..]);
        }
    }
}

#[test]
fn mutated_sources() {
    const PIECES: [&str; 40] = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "=",
        "->",
        "\n",
        "\"",
        "\\",
        ";",
        ";!",
        " ",
        "-",
        "0x",
        "e",
        ".",
        "é",
        "\u{0}",
        "end",
        "local a: i64\n",
        "nan",
        "true",
        "1",
        "99999999999",
        "1.5",
        "obj T",
        "fn(",
        "func x()\n",
        "L:",
        "f64",
        "any",
        "switch",
        "trap",
        "n",
        "\r",
        "\u{feff}",
    ];
    let mut random = Rng::with_seed(4);
    let mut accepted = 0;
    for round in 0..6_000 {
        let mut source = [EXAMPLE, ODD][round % 2].to_string() + EXPECT;
        for _ in 0..=random.usize(..3) {
            let at = random.usize(..=source.len());
            let Some(at) = (at..=source.len()).find(|&at| source.is_char_boundary(at)) else { continue };
            let end =
                (at..=source.len()).filter(|&end| source.is_char_boundary(end)).nth(random.usize(..6)).unwrap_or(at);
            match random.usize(..3) {
                0 => source.replace_range(at..end, ""),
                1 => source.insert_str(at, PIECES[random.usize(..PIECES.len())]),
                _ => source.replace_range(at..end, PIECES[random.usize(..PIECES.len())]),
            }
        }
        accepted += usize::from(check(&source));
    }
    // Some mutations hit comments, blanks or numbers: if none is accepted, the loop tests less than it should.
    assert!(accepted > 100, "{accepted} mutated sources were accepted");
}

#[test]
fn mutated_literals() {
    let mut random = Rng::with_seed(5);
    for _ in 0..50_000 {
        let text: String = (0..random.usize(..10))
            .map(|_| ['"', '\\', 'x', 'u', '{', '}', '0', '1', 'e', '.', '-', 'é'][random.usize(..12)])
            .collect();
        if let Err(error) = parse_literal(&text) {
            assert!(error.offset <= text.len() && text.is_char_boundary(error.offset), "{text}: {error}");
        }
    }
}

#[test]
fn mutated_containers() {
    let mut random = Rng::with_seed(6);
    let mut scratch = vec![0; DISASSEMBLE_SCRATCH];
    for round in 0..4_000 {
        let mut words = words([EXAMPLE, ODD][round % 2]);
        for _ in 0..=random.usize(..4) {
            let at = HEADER_WORDS + random.usize(..(words.len() - HEADER_WORDS));
            let shift = 8 * random.usize(..8);
            words[at] = match random.usize(..3) {
                0 => words[at] ^ 1 << random.usize(..64),
                1 => words[at] & !(0xFF << shift) | (random.u64(..) & 0xFF) << shift,
                _ => random.u64(..),
            };
        }
        let container = Container::read(&words).unwrap();
        let mut text = String::new();
        disassemble(&container, &mut text, &mut scratch).unwrap();
        for func in 0..4 {
            for word in 0..20 {
                write_op(&container, func, word, &mut text).unwrap();
            }
        }
    }
    let words = words(EXAMPLE);
    let container = Container::read(&words).unwrap();
    assert!(disassemble(&container, &mut String::new(), &mut scratch[1..]).is_err());
}
