//! Windows' own unwinder on frames of machine code: walks, exceptions, panics.
#![cfg(all(windows, target_arch = "x86_64"))]

use core::arch::asm;
use core::ffi::c_void;
use opstamp::code::CodeMemory;
use opstamp::jit::{self, Options};
use opstamp::runtime::context::{Context, Entry, ServiceFn, Services};
use opstamp::{Engine, HostCall, HostFn, Instance, InstanceMemory, Module, TypeId, Value};
use opstamp_platform::{HostCode, Scheme};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::Command;
use windows_sys::Win32::System::Diagnostics::Debug::{
    CONTEXT, RtlCaptureContext, RtlLookupFunctionEntry, RtlVirtualUnwind, UNW_FLAG_NHANDLER,
};

const SCHEMES: [Scheme; 2] = [Scheme::TwoMappings, Scheme::Flip];

/// `middle` keeps values in registers that it has to save, so that its frame is more than a return address.
const SOURCE: &str = "
import boom(i64)

func inner(n: i64) -> i64
  host      boom(n)
  ret       n
end

func middle(n: i64) -> i64
  local a: i64, b: i64, c: i64, x: f64, y: f64
  i64.add   a, n, 1
  i64.mul   b, n, 3
  i64.to_f64  x, a
  f64.add   y, x, x
  call      c, inner(a)
  i64.add   c, c, a
  i64.add   c, c, b
  f64.add   x, x, y
  f64.to_i64  a, x
  i64.add   c, c, a
  ret       c
end
";

/// Hands machine code of [`SOURCE`] and its function table to `body`.
fn with_engine<R>(scheme: Scheme, body: impl FnOnce(&Engine<'_>, usize) -> R) -> R {
    let (mut words, mut scratch) = (vec![0; 4096], vec![0; 64 * 1024]);
    let len = opstamp::vm3::text::assemble(SOURCE, &mut words, &mut scratch, &mut |_| {}).unwrap();
    let module = Module::verify(&words[..len], &mut scratch).unwrap();
    let mut functions: Vec<Entry> = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect();
    let mut code = HostCode::new_with(1 << 20, scheme).unwrap();
    let base = code.base();
    let mut scratch = vec![0; jit::scratch_words(&module)];
    let engine = Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &Options::default()).unwrap();
    body(&engine, base)
}

/// Calls `middle(5)` in an instance whose import is `boom`.
fn call(boom: &dyn Fn(i64)) -> i64 {
    with_engine(Scheme::Auto, |engine, _| {
        let run = |call: &mut HostCall<'_>| {
            let Some(Value::I64(n)) = call.arg(0) else { panic!("an i64") };
            boom(n);
            Ok(())
        };
        let imports = [HostFn { name: "boom", params: &[TypeId::I64], result: TypeId::NONE, run: &run }];
        let (mut stack, mut state) = (vec![0; 4096], vec![0; Instance::state_words(engine.module())]);
        let memory =
            InstanceMemory { heap: &mut [], seed: 0, stack: &mut stack, state: &mut state, native_stack: 512 * 1024 };
        let mut instance = Instance::new(engine, memory, &imports).unwrap();
        let Ok(Some(Value::I64(result))) = instance.call("middle", &[Value::I64(5)]) else { panic!("an i64") };
        result
    })
}

/// The address of a function's machine code: the first word of its entry, which calls go through.
fn code_of(entry: &Entry) -> u64 {
    // SAFETY: an entry starts with that word.
    unsafe { (&raw const *entry).cast::<u64>().read() }
}

/// What the entry stub needs, outside an instance: so that a test can be the service that it calls.
struct Run {
    context: Box<Context>,
    services: Box<Services>,
    stack: Vec<u64>,
    code: u64,
}

impl Run {
    fn new(engine: &Engine<'_>, service: ServiceFn) -> Self {
        let services = Box::new(Services {
            host_call: service,
            guard: service,
            soft: service,
            op: service,
            deopt: service,
            lazy: service,
        });
        let mut context = Box::new(Context::new());
        let mut stack = vec![0; 4096];
        context.stack_end = stack.as_mut_ptr_range().end as u64;
        context.entries = engine.functions().as_ptr() as u64;
        context.services = &raw const *services as u64;
        stack[1] = 5;
        let middle = usize::from(engine.module().func_index("middle").unwrap());
        let code = code_of(&engine.functions()[middle]);
        Self { context, services, stack, code }
    }
}

/// One step of a walk: where it is, and the registers that a callee must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    pc: u64,
    sp: u64,
    kept: [u64; 6],
}

#[repr(align(16))]
struct Aligned(CONTEXT);

/// The frame of a register state.
fn frame(context: &CONTEXT) -> Frame {
    let kept = [context.Rbx, context.Rbp, context.R12, context.R13, context.R14, context.R15];
    Frame { pc: context.Rip, sp: context.Rsp, kept }
}

/// Goes to the caller.
fn step(context: &mut CONTEXT) {
    let (mut base, mut data, mut establisher) = (0, core::ptr::null_mut::<c_void>(), 0);
    // SAFETY: the pointers are to live variables, and the state is one of this thread's frames.
    unsafe {
        let entry = RtlLookupFunctionEntry(context.Rip, &mut base, core::ptr::null_mut());
        if entry.is_null() {
            context.Rip = *(context.Rsp as *const u64);
            context.Rsp += 8;
            return;
        }
        RtlVirtualUnwind(
            UNW_FLAG_NHANDLER,
            base,
            context.Rip,
            entry,
            context,
            &mut data,
            &mut establisher,
            core::ptr::null_mut(),
        );
    }
}

thread_local! {
    static WALK: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
    static FROM_GUEST: RefCell<Option<Frame>> = const { RefCell::new(None) };
}

/// A service that walks the stack, and once more from the guest function's own frame.
unsafe extern "sysv64" fn walks(context: *mut Context, _frame: *mut u64, _site: u32, _operand: u64) -> u64 {
    let mut state = Aligned(CONTEXT::default());
    // SAFETY: the pointer is to a live, aligned record.
    unsafe { RtlCaptureContext(&mut state.0) };
    let mut frames = Vec::new();
    for _ in 0..20 {
        step(&mut state.0);
        frames.push(frame(&state.0));
    }
    WALK.set(frames);
    // SAFETY: the entries are those of the running engine.
    let guest = code_of(unsafe { &*((*context).entries as *const Entry) });
    let mut state = Aligned(CONTEXT::default());
    state.0.Rip = guest;
    state.0.Rbp = context as u64;
    state.0.Rsp = (&raw const NOWHERE) as u64;
    step(&mut state.0);
    FROM_GUEST.set(Some(frame(&state.0)));
    0
}

/// An address for a stack pointer that the guest's frames do not need.
static NOWHERE: [u64; 2] = [0; 2];

#[test]
fn walks_lead_from_machine_code_to_the_caller_of_the_entry() {
    for scheme in SCHEMES {
        with_engine(scheme, |engine, base| {
            let mut run = Run::new(engine, walks);
            let (mut back, mut sp) = (0_u64, 0_u64);
            let status: u64;
            // SAFETY: the entry stub, which is the first in the window, keeps what System V says; the others are restored.
            unsafe {
                asm!(
                    "push rbx", "push rbp",
                    "lea rax, [rip + 2f]", "mov [r8], rax", "mov [r9], rsp",
                    "mov ebx, 0x11", "mov ebp, 0x22", "mov r12d, 0x33", "mov r13d, 0x44", "mov r14d, 0x55", "mov r15d, 0x66",
                    "call r10",
                    "2:",
                    "pop rbp", "pop rbx",
                    in("rdi") &raw mut *run.context, in("rsi") run.stack.as_mut_ptr(), in("rdx") run.code,
                    in("r8") &mut back, in("r9") &mut sp, in("r10") base,
                    lateout("rax") status, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
                    clobber_abi("sysv64"),
                );
            }
            assert_eq!(status, 0);
            assert_eq!(run.context.result, 6 + 6 + 15 + 18, "what `middle` returns for 5");
            let caller = Frame { pc: back, sp, kept: [0x11, 0x22, 0x33, 0x44, 0x55, 0x66] };
            let walk = WALK.take();
            let window = base as u64..base as u64 + (1 << 20);
            let inside = walk.iter().position(|frame| window.contains(&frame.pc)).expect("a frame of machine code");
            assert_eq!(walk[inside + 1], caller, "{scheme:?}");
            assert_eq!(walk.iter().filter(|frame| window.contains(&frame.pc)).count(), 1);
            assert_eq!(FROM_GUEST.take(), Some(caller), "{scheme:?}");
        });
    }
}

/// A service that panics, and may.
unsafe extern "sysv64-unwind" fn panics(_context: *mut Context, frame: *mut u64, _site: u32, _operand: u64) -> u64 {
    // SAFETY: the frame of a host call has its argument behind its header.
    panic_any(unsafe { *frame.add(1) })
}

#[test]
fn exceptions_unwind_to_a_handler_above_the_entry() {
    type Enter = unsafe extern "sysv64-unwind" fn(*mut Context, *mut u64, u64) -> u64;
    type Panics = unsafe extern "sysv64-unwind" fn(*mut Context, *mut u64, u32, u64) -> u64;
    for scheme in SCHEMES {
        with_engine(scheme, |engine, base| {
            // SAFETY: the two conventions differ in nothing but that one may unwind.
            let service = unsafe { std::mem::transmute::<Panics, ServiceFn>(panics) };
            for round in 0..100_u64 {
                let mut run = Run::new(engine, service);
                run.stack[1] = round;
                // SAFETY: the entry stub is the first in the window.
                let enter = unsafe { std::mem::transmute::<usize, Enter>(base) };
                let before = std::hint::black_box([round, round + 1, round + 2, round + 3]);
                // SAFETY: the context and the stack are what the stub and `middle` need.
                let enter = || unsafe { enter(&mut *run.context, run.stack.as_mut_ptr(), run.code) };
                let thrown = catch_unwind(AssertUnwindSafe(enter)).expect_err("it panics");
                assert_eq!(thrown.downcast_ref::<u64>(), Some(&(round + 1)), "{scheme:?}: the argument of `inner`");
                assert_eq!(std::hint::black_box(before), [round, round + 1, round + 2, round + 3]);
                assert_eq!(run.services.host_call as usize, panics as *const () as usize);
            }
        });
    }
}

/// Runs the `#[ignore]`d test below in a process of its own; gives its exit code and what it wrote to stderr.
fn child(test: &str) -> (Option<i32>, String) {
    let executable = std::env::current_exe().unwrap();
    let output = Command::new(executable).args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[ignore = "ends the process; run by the test below"]
fn panics_in_a_host_function() {
    call(&|n| panic!("boom {n}"));
}

#[test]
fn a_panic_in_a_host_function_ends_the_process_with_its_message() {
    let (code, message) = child("panics_in_a_host_function");
    assert!(code.is_some_and(|code| code != 0 && code != 101), "{code:?} {message}");
    assert!(message.contains("boom 6") && message.contains("cannot unwind"), "{message}");
}

#[test]
fn windows_come_and_go_with_their_tables() {
    for scheme in SCHEMES {
        for _ in 0..200 {
            let base = with_engine(scheme, |_, base| {
                let (mut found, place) = (0, base as u64 + 64);
                // SAFETY: the pointer is to a live variable.
                let entry = unsafe { RtlLookupFunctionEntry(place, &mut found, core::ptr::null_mut()) };
                assert!(!entry.is_null() && found < place);
                place
            });
            let mut found = 0;
            // SAFETY: the pointer is to a live variable.
            assert!(unsafe { RtlLookupFunctionEntry(base, &mut found, core::ptr::null_mut()) }.is_null());
        }
    }
    let boom = |n| assert_eq!(n, 6);
    assert_eq!(call(&boom), 6 + 6 + 15 + 18);
}
