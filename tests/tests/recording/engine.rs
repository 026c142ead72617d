//! Emission: everything is opened and written, then published, then made known.

use crate::recorder::{REFUSED, Recording, Request};
use opstamp::code::CodeRange;
use opstamp::jit::{self, Options};
use opstamp::runtime::context::Entry;
use opstamp::vm3::text;
use opstamp::{Engine, Module};
use std::fmt::Write;

/// Functions of many sizes, one of them far larger than the room that is opened for it at first.
fn source() -> String {
    let mut source = String::new();
    for size in [0, 1, 40, 3000] {
        writeln!(source, "func f{size}(n: i64, x: f64) -> i64").unwrap();
        for _ in 0..size {
            source += "  i64.div n, n, n\n  f64.min x, x, x\n";
        }
        source += "  ret n\nend\n";
    }
    source
}

/// Makes an engine in such memory. Gives what it asked for, whether it was made, and whether a page stayed writable.
fn make(size: usize, fails: usize) -> (Vec<Request>, Result<(), String>, bool) {
    let source = source();
    let sizes = text::sizes(&source);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let len = text::assemble(&source, &mut words, &mut scratch, &mut |_| {}).unwrap();
    let module = Module::verify(&words[..len], &mut scratch).unwrap();
    let mut functions: Vec<_> = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect();
    let mut scratch = vec![0; jit::scratch_words(&module)];
    let mut code = Recording::new(size, fails);
    let made = Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &Options::default());
    let made = made.map(|_| ()).map_err(|error| error.to_string());
    (code.take_log(), made, code.anything_writable())
}

#[test]
fn everything_is_opened_then_published_then_made_known() {
    let (requests, made, writable) = make(1 << 20, usize::MAX);
    assert_eq!(made, Ok(()));
    assert!(!writable, "what was opened is published, also where no code came to lie");
    let (opens, rest) = requests.split_at(requests.len() - 3);
    let (mut end, mut count, mut lent) = (0, 0, None);
    for request in opens {
        match (*request, lent.take()) {
            (Request::Open(range), _) => {
                // Nothing is left out between the ranges, so whatever code lies in has been opened.
                assert!(range.start <= end && range.end > range.start, "{range:?} leaves a gap behind {end}");
                end = end.max(range.end);
                count += 1;
                lent = Some(range);
            }
            // That it lies inside what was lent the recorder has checked.
            (Request::Write(_), Some(_)) => {}
            _ => panic!("{request:?} before everything was written"),
        }
    }
    assert!(count > 5, "stubs, four functions, and one of them again with more room");
    let written = opens.iter().filter(|request| matches!(request, Request::Write(_))).count();
    assert!(written >= 5, "stubs and four functions");
    assert_eq!(rest, [Request::Publish(CodeRange { start: 0, end }), Request::Sync, Request::Describe]);
}

#[test]
fn each_request_may_fail_and_nothing_stays_writable() {
    let asked = |log: Vec<Request>| -> Vec<Request> {
        log.into_iter().filter(|request| !matches!(request, Request::Write(_))).collect()
    };
    let requests = asked(make(1 << 20, usize::MAX).0);
    for (fails, &request) in requests.iter().enumerate() {
        let (log, made, writable) = make(1 << 20, fails);
        assert_eq!(made, Err(REFUSED.to_string()), "request {fails}, {request:?}, failed");
        assert_eq!(asked(log)[fails], request);
        // Only where publishing itself fails there is nothing left to ask.
        let publishing = matches!(request, Request::Publish(_));
        assert_eq!(writable, publishing, "behind the failure of {request:?}");
    }
}

#[test]
fn a_window_that_is_too_small_is_left_published() {
    for size in (0..64).chain((64..60_000).step_by(997)) {
        let (_, made, writable) = make(size, usize::MAX);
        assert!(!writable, "a window of {size} bytes");
        let error = made.expect_err("the module is larger than the greatest of these windows");
        assert!(error.contains("code memory is full"), "{size}: {error}");
    }
}
