//! What bare machines have in common, on this host: two mappings of one memory file stand for page tables, threads for
//! cores.
#![cfg(target_os = "linux")]

use opstamp::code::{CodeError, CodeMemory, CodeRange};
use opstamp_platform::bare::{AliasCode, CoreSync, Cores, OneCore, PageTables};
use opstamp_platform::icache;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{ptr, thread};

const PAGE: usize = 4096;
const PAGES: usize = 16;

/// Memory that is mapped writable at one address and nothing, so far, at another.
struct Machine {
    write: usize,
    execute: usize,
    file: libc::c_int,
    log: Mutex<Vec<String>>,
    refuse: bool,
}

impl Machine {
    fn new() -> Self {
        let size = PAGES * PAGE;
        // SAFETY: a new memory file and new mappings at addresses that the kernel chooses.
        unsafe {
            let file = libc::memfd_create(c"bare".as_ptr(), libc::MFD_CLOEXEC);
            assert!(file >= 0 && libc::ftruncate(file, size as libc::off_t) == 0);
            let write = libc::PROT_READ | libc::PROT_WRITE;
            let write = libc::mmap(ptr::null_mut(), size, write, libc::MAP_SHARED, file, 0);
            let none = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let execute = libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, none, -1, 0);
            assert!(write != libc::MAP_FAILED && execute != libc::MAP_FAILED);
            let (write, execute) = (write as usize, execute as usize);
            Self { write, execute, file, log: Mutex::default(), refuse: false }
        }
    }

    #[allow(clippy::mut_from_ref, reason = "each test takes it once")]
    fn memory(&self) -> &mut [u8] {
        // SAFETY: the mapping is writable and lives as long as the process; each test takes it once.
        unsafe { std::slice::from_raw_parts_mut(self.write as *mut u8, PAGES * PAGE) }
    }

    fn code(&self) -> AliasCode<'_, &Self, &Self> {
        // SAFETY: the memory is mapped writable and not executable, and the second addresses belong to this machine.
        unsafe { AliasCode::new(self.memory(), self.execute, self, self) }.expect("whole pages")
    }

    fn logged(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().expect("the log"))
    }
}

// SAFETY: pages are mapped readable and executable from the same offset of the same file; `hide` takes the access away.
unsafe impl PageTables for &Machine {
    const PAGE: usize = PAGE;

    fn show(&mut self, execute: usize, write: usize) -> Result<(), CodeError> {
        let (at, from) = ((execute - self.execute) / PAGE, (write - self.write) / PAGE);
        if self.refuse {
            return Err(CodeError::Unsupported);
        }
        // SAFETY: the page at `write` is mapped readable.
        let filled = unsafe { std::slice::from_raw_parts(write as *const u8, PAGE) };
        let filled = filled.iter().all(|&byte| byte == icache::FILLER.unwrap_or(0));
        self.log
            .lock()
            .expect("the log")
            .push(format!("show {at} from {from}{}", if filled { "" } else { ", not filled" }));
        let (place, offset) = (execute as *mut libc::c_void, (write - self.write) as libc::off_t);
        let access = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: the page at `execute` is this machine's own.
        let mapped = unsafe { libc::mmap(place, PAGE, access, libc::MAP_SHARED | libc::MAP_FIXED, self.file, offset) };
        if mapped == libc::MAP_FAILED { Err(CodeError::Unsupported) } else { Ok(()) }
    }

    fn hide(&mut self, execute: usize) {
        self.log.lock().expect("the log").push(format!("hide {}", (execute - self.execute) / PAGE));
        // SAFETY: as above.
        unsafe { libc::mprotect(execute as *mut libc::c_void, PAGE, libc::PROT_NONE) };
    }
}

// SAFETY: no other thread runs the window's code.
unsafe impl Cores for &Machine {
    fn sync(&self) {
        self.log.lock().expect("the log").push("sync".to_owned());
    }
}

/// A function that returns `value`.
fn function(value: u8) -> Vec<u8> {
    if cfg!(target_arch = "x86_64") {
        vec![0xB8, value, 0, 0, 0, 0xC3]
    } else {
        [0x5280_0000 | u32::from(value) << 5, 0xD65F_03C0].iter().flat_map(|word: &u32| word.to_le_bytes()).collect()
    }
}

fn call(code: &dyn CodeMemory, at: usize) -> u32 {
    // SAFETY: the tests put functions there.
    let function = unsafe { std::mem::transmute::<usize, extern "C" fn() -> u32>(code.base() + at) };
    function()
}

fn range(start: usize, end: usize) -> CodeRange {
    CodeRange { start, end }
}

#[test]
fn pages_are_shown_once_and_hidden_at_the_end() {
    let machine = Machine::new();
    machine.memory().fill(0x77);
    let mut code = machine.code();
    assert_eq!((code.base(), code.size(), code.page()), (machine.execute, PAGES * PAGE, PAGE));
    assert!(code.concurrent_write() && machine.logged().is_empty());
    for (value, at) in [(7, 0), (8, PAGE + 16), (9, 0)] {
        let bytes = function(value);
        let place = range(at, at + bytes.len());
        let opened = code.open(place).expect("in the window");
        assert_eq!(opened.len(), bytes.len());
        opened.copy_from_slice(&bytes);
        code.publish(place).expect("opened");
        assert_eq!(call(&code, at), value.into());
    }
    // Opened again with the page that it lies on, and not filled again.
    assert_eq!(machine.logged(), ["show 0 from 0", "show 1 from 1"]);
    assert_eq!(call(&code, PAGE + 16), 8);
    // Where nothing was written lies the filler, also in the view that is executed.
    // SAFETY: the page is shown.
    let shown = unsafe { std::slice::from_raw_parts((machine.execute + PAGE + 64) as *const u8, PAGE - 64) };
    assert!(shown.iter().all(|&byte| byte == icache::FILLER.unwrap_or(0)));
    // A range that skips pages shows all below its end.
    code.open(range(3 * PAGE - 1, 3 * PAGE + 1)).expect("in the window");
    assert_eq!(machine.logged(), ["show 2 from 2", "show 3 from 3"]);
    code.sync_cores().expect("never fails");
    assert_eq!(machine.logged(), ["sync"]);
    drop(code);
    assert_eq!(machine.logged(), ["hide 0", "hide 1", "hide 2", "hide 3", "sync"]);
}

#[test]
fn what_is_not_in_the_window_is_refused() {
    let machine = Machine::new();
    let mut code = machine.code();
    let size = PAGES * PAGE;
    for bad in [range(0, size + 1), range(8, 4), range(size + 1, size + 1), range(usize::MAX, usize::MAX)] {
        assert_eq!(code.open(bad).map(|_| ()), Err(CodeError::Range { range: bad, size }));
        assert_eq!(code.publish(bad), Err(CodeError::Range { range: bad, size }));
    }
    assert_eq!(code.open(range(size, size)).map(|bytes| bytes.len()), Ok(0));
    // What was never opened is published without a look at it.
    let other = Machine::new();
    assert_eq!(other.code().publish(range(0, size)), Ok(()));
}

#[test]
fn windows_of_broken_pages_are_refused() {
    let machine = Machine::new();
    let (start, execute) = (machine.write, machine.execute);
    let window = |offset: usize, len: usize, execute: usize| {
        // SAFETY: a part of the writable mapping, of which nothing is made if it is refused.
        unsafe {
            let memory = std::slice::from_raw_parts_mut((start + offset) as *mut u8, len);
            AliasCode::new(memory, execute, &machine, OneCore).map(|code| code.size())
        }
    };
    let refused = |outcome: Result<usize, CodeError>| matches!(outcome, Err(CodeError::System { code: 0, .. }));
    assert_eq!(window(0, PAGE, execute), Ok(PAGE));
    assert!(refused(window(8, PAGE, execute)) && refused(window(0, PAGE + 8, execute)));
    assert!(refused(window(0, PAGE, execute + 8)) && refused(window(0, 0, execute)));
    assert!(refused(window(0, PAGE, usize::MAX & !(PAGE - 1))));
}

#[test]
fn tables_may_refuse() {
    let machine = Machine { refuse: true, ..Machine::new() };
    let mut code = machine.code();
    assert_eq!(code.open(range(0, 8)).map(|_| ()), Err(CodeError::Unsupported));
    drop(code);
    assert_eq!(machine.logged(), ["sync"]);
}

#[test]
fn a_request_returns_when_all_others_have_acknowledged() {
    static SYNC: CoreSync<4> = CoreSync::new();
    static WANTED: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
    static SEEN: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
    static STOP: AtomicBool = AtomicBool::new(false);
    const ROUNDS: usize = 100;
    // Nobody takes part: nobody is waited for.
    SYNC.join(0);
    SYNC.request(0, |core| panic!("core {core} takes no part"));
    let ready = AtomicUsize::new(0);
    thread::scope(|scope| {
        for core in 1..3 {
            let ready = &ready;
            scope.spawn(move || {
                SYNC.join(core);
                ready.fetch_add(1, Ordering::SeqCst);
                while !STOP.load(Ordering::SeqCst) {
                    // An interrupt: what was stored before the request is seen by who acknowledges it.
                    if WANTED[core].swap(0, Ordering::SeqCst) != 0 {
                        SEEN[core].store(SEEN[0].load(Ordering::Relaxed), Ordering::Relaxed);
                        SYNC.acknowledge(core);
                    }
                    thread::yield_now();
                }
                SYNC.leave(core);
            });
        }
        while ready.load(Ordering::SeqCst) < 2 {
            thread::yield_now();
        }
        for round in 1..=ROUNDS {
            SEEN[0].store(round, Ordering::Relaxed);
            let mut interrupted = Vec::new();
            SYNC.request(0, |core| {
                interrupted.push(core);
                WANTED[core].store(1, Ordering::SeqCst);
            });
            assert_eq!(interrupted, [1, 2]);
            assert_eq!((SEEN[1].load(Ordering::Relaxed), SEEN[2].load(Ordering::Relaxed)), (round, round));
        }
        STOP.store(true, Ordering::SeqCst);
    });
    // Who has left is not waited for.
    SYNC.request(0, |core| panic!("core {core} takes no part any more"));
}

#[test]
fn two_requests_at_once_do_not_wait_for_each_other() {
    static SYNC: CoreSync<2> = CoreSync::new();
    const ROUNDS: usize = 300;
    SYNC.join(0);
    SYNC.join(1);
    // Interrupts never arrive: each answers while it waits itself.
    static DONE: AtomicUsize = AtomicUsize::new(0);
    thread::scope(|scope| {
        for core in 0..2 {
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    SYNC.request(core, |_| {});
                }
                DONE.fetch_add(1, Ordering::SeqCst);
                while DONE.load(Ordering::SeqCst) < 2 {
                    SYNC.acknowledge(core);
                    thread::yield_now();
                }
            });
        }
    });
    assert_eq!(DONE.load(Ordering::SeqCst), 2);
}
