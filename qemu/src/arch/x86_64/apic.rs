//! The local APIC, by its registers in memory (Intel SDM vol. 3, 10.4 to 10.6), and the timer chip that waits are measured
//! by (Intel 8254 data sheet, mode 0).

use super::tables::APIC;
use core::sync::atomic::{AtomicU32, Ordering};
use x86_64::instructions::port::Port;

const ID: usize = 0x20;
const END_OF_INTERRUPT: usize = 0xB0;
const SPURIOUS: usize = 0xF0;
const COMMAND_LOW: usize = 0x300;
const COMMAND_HIGH: usize = 0x310;
const TIMER: usize = 0x320;
const INITIAL_COUNT: usize = 0x380;
const CURRENT_COUNT: usize = 0x390;
const DIVIDE: usize = 0x3E0;

const MASKED: u32 = 1 << 16;
const PERIODIC: u32 = 1 << 17;
/// The timer counts at a sixteenth of the bus clock.
const DIVIDE_BY_16: u32 = 0b0011;
const ENABLED: u32 = 1 << 8;
const PENDING: u32 = 1 << 12;
const INIT: u32 = 0x500;
const START_UP: u32 = 0x600;
const ASSERT: u32 = 1 << 14;
const ALL_OTHERS: u32 = 0b11 << 18;

fn read(register: usize) -> u32 {
    // SAFETY: the page of registers is mapped, uncached; each is a word, and reading those of this file changes nothing.
    unsafe { ((APIC + register) as *const u32).read_volatile() }
}

/// # Safety
///
/// What the command or setting leads to, an interrupt or the start of a core, is prepared for.
unsafe fn write(register: usize, value: u32) {
    // SAFETY: the page of registers is mapped, uncached; the effect is the caller's matter.
    unsafe { ((APIC + register) as *mut u32).write_volatile(value) };
}

/// Enables this core's APIC. Interrupts that nobody waits for come in as `spurious`.
///
/// # Safety
///
/// There is a handler for `spurious`.
pub unsafe fn enable(spurious: u8) {
    // SAFETY: by the contract; the timer stays masked.
    unsafe {
        write(TIMER, MASKED);
        write(SPURIOUS, ENABLED | u32::from(spurious));
    }
}

/// Masks all interrupts of the two chips that a PC had before it had APICs (Intel 8259A data sheet, OCW1).
pub fn mask_legacy() {
    for data in [0x21, 0xA1] {
        // SAFETY: the ports are the chips' mask registers; all interrupts masked is a state that the kernel is ready for.
        unsafe { Port::<u8>::new(data).write(0xFF) };
    }
}

/// This core's identifier.
pub fn id() -> u32 {
    read(ID) >> 24
}

/// Ends the handling of an interrupt.
pub fn end_of_interrupt() {
    // SAFETY: the register takes any value and only lets the next interrupt in.
    unsafe { write(END_OF_INTERRUPT, 0) };
}

fn command(high: u32, low: u32) {
    x86_64::instructions::interrupts::without_interrupts(|| {
        // SAFETY: the two functions that call this send interrupts that have a handler, or start cores.
        unsafe {
            write(COMMAND_HIGH, high);
            write(COMMAND_LOW, low);
        }
        while read(COMMAND_LOW) & PENDING != 0 {
            core::hint::spin_loop();
        }
    });
}

/// Interrupts the core with identifier `id`, which must have a handler for `vector`.
pub fn interrupt(id: u32, vector: u8) {
    command(id << 24, ASSERT | u32::from(vector));
}

/// Resets and starts all other cores at physical address `page << 12` (SDM vol. 3, 8.4.4.1, "Typical BSP Initialization
/// Sequence").
///
/// # Safety
///
/// The page holds code for real mode that is prepared for several cores at once.
pub unsafe fn start_others(page: u8) {
    command(0, ALL_OTHERS | ASSERT | INIT);
    wait_us(10_000);
    for _ in 0..2 {
        command(0, ALL_OTHERS | ASSERT | START_UP | u32::from(page));
        wait_us(200);
    }
}

/// Waits, at most 50 milliseconds.
pub fn wait_us(microseconds: u32) {
    const HZ: u64 = 1_193_182;
    let count = (HZ * u64::from(microseconds.min(50_000)) / 1_000_000).max(1) as u16;
    let [low, high] = count.to_le_bytes();
    // SAFETY: the ports are the timer chip's control and its first channel, whose interrupt is masked; nothing else uses
    // them.
    unsafe {
        let mut control = Port::<u8>::new(0x43);
        let mut channel = Port::<u8>::new(0x40);
        control.write(0b0011_0000);
        channel.write(low);
        channel.write(high);
        loop {
            // Latch the channel's status, whose highest bit is its output: set when it has counted down.
            control.write(0b1110_0010);
            if channel.read() & 0x80 != 0 {
                break;
            }
            core::hint::spin_loop();
        }
    }
}

/// The timer's counts in 10 milliseconds, 0 until measured.
static RATE: AtomicU32 = AtomicU32::new(0);

/// Interrupts this core `hz` times a second by `vector`.
///
/// # Safety
///
/// There is a handler for `vector`.
pub unsafe fn start_timer(hz: u32, vector: u8) {
    // SAFETY: the timer is masked while it is measured; then by the contract.
    unsafe {
        write(DIVIDE, DIVIDE_BY_16);
        if RATE.load(Ordering::Relaxed) == 0 {
            write(TIMER, MASKED);
            write(INITIAL_COUNT, u32::MAX);
            wait_us(10_000);
            RATE.store(u32::MAX - read(CURRENT_COUNT), Ordering::Relaxed);
        }
        write(TIMER, PERIODIC | u32::from(vector));
        let count = u64::from(RATE.load(Ordering::Relaxed)) * 100 / u64::from(hz.max(1));
        write(INITIAL_COUNT, u32::try_from(count).unwrap_or(u32::MAX).max(1));
    }
}

/// Stops this core's timer.
pub fn stop_timer() {
    // SAFETY: masked, the timer does nothing.
    unsafe {
        write(TIMER, MASKED);
        write(INITIAL_COUNT, 0);
    }
}
