//! The least of a kernel that runs a guest as machine code: no allocator, no interrupts, one core, and page tables that are
//! constants but for one table of code pages.
#![no_std]
#![no_main]

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod machine;

use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use opstamp::jit::{self, Options};
use opstamp::runtime::context::{CONTEXT_WORDS, Entry};
use opstamp::vm3::text;
use opstamp::{Engine, HostCall, HostFn, Instance, InstanceMemory, Module, TypeId, Value};
use opstamp_platform::bare::{AliasCode, OneCore};

/// The guest: a factorial by recursion, told to the kernel on the way.
const GUEST: &str = "
import tell(i64)
func main(n: i64) -> i64
  local r: i64
  br.i64.gt n, 1, more
  i64.const r, 1
  ret r
more:
  i64.sub r, n, 1
  call r, main(r)
  i64.mul r, r, n
  host tell(r)
  ret r
end
func divide(n: i64) -> i64
  local z: i64
  i64.div n, n, z
  ret n
end
";

/// Memory that one function takes, once.
struct Memory<T>(UnsafeCell<T>);

// SAFETY: there is one core, and `take` is called once for each.
unsafe impl<T> Sync for Memory<T> {}

impl<T> Memory<T> {
    /// # Safety
    ///
    /// It is called once.
    #[allow(clippy::mut_from_ref)]
    unsafe fn take(&self) -> &mut T {
        // SAFETY: nobody else has a reference.
        unsafe { &mut *self.0.get() }
    }
}

static WORDS: Memory<[u64; 1024]> = Memory(UnsafeCell::new([0; 1024]));
static SCRATCH: Memory<[u64; 8192]> = Memory(UnsafeCell::new([0; 8192]));
static STACK: Memory<[u64; 1024]> = Memory(UnsafeCell::new([0; 1024]));
static STATE: Memory<[u64; CONTEXT_WORDS + 8]> = Memory(UnsafeCell::new([0; CONTEXT_WORDS + 8]));
static FUNCTIONS: Memory<[Entry; 4]> = Memory(UnsafeCell::new([const { Entry::new() }; 4]));

/// What goes wrong ends in here.
type Result<T> = core::result::Result<T, &'static str>;

/// Where the machine's entry comes to.
fn start() -> ! {
    let done = run();
    if let Err(what) = done {
        let _ = writeln!(Console, "error: {what}");
    }
    machine::exit(if done.is_ok() { 0 } else { 1 })
}

fn run() -> Result<()> {
    // SAFETY: this function is called once.
    let (words, scratch, stack, state, functions) =
        unsafe { (WORDS.take(), SCRATCH.take(), STACK.take(), STATE.take(), FUNCTIONS.take()) };
    let used = text::assemble(GUEST, words, scratch, &mut |_| {}).map_err(|_| "the guest does not assemble")?;
    let module = Module::verify(&words[..used], scratch).map_err(|_| "the guest is refused")?;
    if scratch.len() < jit::scratch_words(&module) {
        return Err("there is too little scratch");
    }
    let window = machine::window();
    // SAFETY: the window is mapped writable and not executable, and the second address is its own.
    let code = unsafe { AliasCode::new(window, machine::CODE, machine::Tables, OneCore) };
    let mut code = code.map_err(|_| "there is no code memory")?;
    let options = Options { features: opstamp_platform::features(), ..Options::default() };
    let engine = Engine::machine_code(module, functions, &mut code, scratch, &options);
    let engine = engine.map_err(|_| "the guest does not compile")?;
    let tell = |call: &mut HostCall<'_>| {
        let _ = writeln!(Console, "{}", call.i64(0));
        Ok(())
    };
    let imports = [HostFn { name: "tell", params: &[TypeId::I64], result: TypeId::NONE, run: &tell }];
    let memory = InstanceMemory { heap: &mut [], seed: 0, stack, state, native_stack: machine::STACK_BYTES / 2 };
    let mut instance = Instance::new(&engine, memory, &imports).map_err(|_| "an import is missing")?;
    let result = instance.call("main", &[Value::I64(5)]).map_err(|_| "the guest trapped")?;
    if result != Some(Value::I64(120)) {
        return Err("the guest's result is wrong");
    }
    let trap = instance.call("divide", &[Value::I64(5)]).err().ok_or("a division by zero gave a result")?;
    let _ = writeln!(Console, "{trap}");
    Ok(())
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(machine::write);
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(Console, "{info}");
    machine::exit(2)
}
