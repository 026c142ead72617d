//! What the engine asks of code memory, and in which order, by an implementation that records it. Neither an emulator nor
//! x86-64 would show a range that is not published, or one that is written after it was.

use opstamp::code::{CodeError, CodeMemory, CodeRange};
use opstamp::jit::{self, Options};
use opstamp::runtime::context::Entry;
use opstamp::vm3::text;
use opstamp::{Engine, Module};
use std::cell::RefCell;
use std::fmt::Write;

/// The unit of permissions: as small as a function's alignment, so that a range that is a page too short shows.
const PAGE: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    Open(CodeRange),
    Publish(CodeRange),
    Sync,
    Describe,
}

/// Code memory that runs nothing: a page is writable from its opening to its publishing.
struct Recording {
    bytes: Vec<u8>,
    open: Vec<bool>,
    ever_open: Vec<bool>,
    requests: RefCell<Vec<Request>>,
    /// The request that fails, counted from 0.
    fails: usize,
}

const REFUSED: CodeError = CodeError::System { action: "do what the test forbids", code: 7 };

impl Recording {
    fn new(size: usize, fails: usize) -> Self {
        let pages = size.div_ceil(PAGE);
        let (open, ever_open) = (vec![false; pages], vec![false; pages]);
        Self { bytes: vec![0xCC; size], open, ever_open, requests: RefCell::default(), fails }
    }

    fn record(&self, request: Request) -> Result<(), CodeError> {
        let mut requests = self.requests.borrow_mut();
        requests.push(request);
        if requests.len() - 1 == self.fails { Err(REFUSED) } else { Ok(()) }
    }

    fn pages(&self, range: CodeRange) -> std::ops::Range<usize> {
        assert!(range.start <= range.end && range.end <= self.bytes.len(), "{range:?} is not inside the window");
        range.start / PAGE..range.end.div_ceil(PAGE)
    }
}

// SAFETY: nothing is ever run from this memory: the tests make engines and call nothing.
unsafe impl CodeMemory for Recording {
    fn base(&self) -> usize {
        self.bytes.as_ptr() as usize
    }

    fn size(&self) -> usize {
        self.bytes.len()
    }

    fn page(&self) -> usize {
        PAGE
    }

    fn concurrent_write(&self) -> bool {
        false
    }

    fn open(&mut self, range: CodeRange) -> Result<&mut [u8], CodeError> {
        self.record(Request::Open(range))?;
        for page in self.pages(range) {
            self.open[page] = true;
            self.ever_open[page] = true;
        }
        Ok(&mut self.bytes[range.start..range.end])
    }

    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        self.record(Request::Publish(range))?;
        for page in self.pages(range) {
            assert!(self.ever_open[page], "page {page} of {range:?} was never opened");
            self.open[page] = false;
        }
        Ok(())
    }

    fn sync_cores(&self) -> Result<(), CodeError> {
        self.record(Request::Sync)
    }

    fn describe(&mut self, _: CodeRange) -> Result<(), CodeError> {
        self.record(Request::Describe)
    }
}

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
    (code.requests.take(), made, code.open.contains(&true))
}

#[test]
fn everything_is_opened_then_published_then_made_known() {
    let (requests, made, writable) = make(1 << 20, usize::MAX);
    assert_eq!(made, Ok(()));
    assert!(!writable, "what was opened is published, also where no code came to lie");
    let (opens, rest) = requests.split_at(requests.len() - 3);
    let mut end = 0;
    for request in opens {
        let Request::Open(range) = request else { panic!("{request:?} before everything was written") };
        // Nothing is left out between the ranges, so whatever code lies in has been opened.
        assert!(range.start <= end && range.end > range.start, "{range:?} leaves a gap behind {end}");
        end = end.max(range.end);
    }
    assert!(opens.len() > 5, "stubs, four functions, and one of them again with more room");
    assert_eq!(rest, [Request::Publish(CodeRange { start: 0, end }), Request::Sync, Request::Describe]);
}

#[test]
fn each_request_may_fail_and_nothing_stays_writable() {
    let (requests, ..) = make(1 << 20, usize::MAX);
    for fails in 0..requests.len() {
        let (asked, made, writable) = make(1 << 20, fails);
        assert_eq!(made, Err(REFUSED.to_string()), "request {fails}, {:?}, failed", requests[fails]);
        assert_eq!(asked[fails], requests[fails]);
        // Only where publishing itself fails there is nothing left to ask.
        let publishing = matches!(requests[fails], Request::Publish(_));
        assert_eq!(writable, publishing, "behind the failure of {:?}", requests[fails]);
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
