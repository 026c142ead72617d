//! What ends the machine with a report: accesses that the page tables do not permit, and the kernel's own failures.

use crate::engines::Guest;
use core::hint::black_box;
use core::ptr;
use opstamp_qemu::arch::{Arch, Machine};
use opstamp_qemu::command_line::Word;
use opstamp_qemu::memory::Region;

/// A guest that is compiled and never runs.
const GUEST: &str = "func f() -> i64\n  local r: i64\n  i64.const r, 7\n  ret r\nend\n";

/// A constant, which lies in memory that is only read.
static CONSTANT: [u64; 4] = [1, 2, 3, 4];

/// The machine code of a function that returns.
#[cfg(target_arch = "x86_64")]
const RETURN: [u8; 4] = [0xC3; 4];
/// The machine code of a function that returns.
#[cfg(target_arch = "aarch64")]
const RETURN: [u8; 4] = 0xD65F_03C0_u32.to_le_bytes();

/// Does what the word names. False if it is no such word; true if the machine went on.
pub fn run(region: &mut Region, word: Word<'_>) -> bool {
    if word.is("protect-code") {
        write(Guest::new(region, GUEST).code);
    } else if word.is("protect-kernel-code") {
        write(run as *const () as usize);
    } else if word.is("protect-constants") {
        write(CONSTANT.as_ptr() as usize);
    } else if word.is("protect-data") {
        call(function(region).as_ptr() as usize);
    } else if word.is("protect-writable-view") {
        // The window's own memory, where the engine writes: the same frames that are executed elsewhere.
        call(Guest::new(region, GUEST).writable);
    } else if word.is("protect-stack") {
        black_box(deep(black_box(1)));
    } else if word.is("protect-handler-stack") {
        Machine::start_ticks(100, || {
            black_box(deep(black_box(1)));
        });
        loop {
            core::hint::spin_loop();
        }
    } else if word.is("protect-null") {
        // SAFETY: the page is not mapped, so the load reports and does not go on.
        black_box(unsafe { ptr::without_provenance::<u64>(8).read_volatile() });
    } else if word.is("protect-filler") {
        // Behind the last function of a window lies what faults.
        let guest = Guest::new(region, GUEST);
        call(guest.code + guest.engine.functions().len().max(1) * 4096 - 64);
    } else if word.is("protect-unopened") {
        let window = Guest::new(region, GUEST);
        call(window.code + window.window - 64);
    } else if word.is("protect-panic") {
        panic!("as the command line wants");
    } else {
        return false;
    }
    true
}

/// Writes to where nothing may write.
fn write(address: usize) {
    // SAFETY: the page may not be written, so the store reports and does not go on.
    unsafe { ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(0) };
}

/// A function in memory that is not executable.
fn function(region: &mut Region) -> &'static [u8] {
    let bytes = region.bytes(4096, 4096);
    bytes[..RETURN.len()].copy_from_slice(&RETURN);
    // SAFETY: the bytes are mapped at this address.
    unsafe { opstamp_platform::icache::publish(bytes.as_ptr(), bytes.as_ptr(), RETURN.len()) };
    bytes
}

/// Calls what must not be executed.
fn call(address: usize) {
    // SAFETY: what is there is not executable, or is an instruction that raises an exception: the call reports and does
    // not go on.
    let function = unsafe { core::mem::transmute::<usize, extern "C" fn()>(address) };
    function();
}

/// Uses stack without end.
#[allow(unconditional_recursion, reason = "the stack's end is what is tested")]
fn deep(depth: u64) -> u64 {
    let used = [depth; 32];
    black_box(&used);
    deep(black_box(depth + 1)) + used[0]
}
