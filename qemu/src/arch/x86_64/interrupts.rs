//! Segments, interrupt stacks, the interrupt descriptor table, and what is done about interrupts and exceptions.

use super::stacks::{self, Stacks};
use super::{apic, cores, tables};
use crate::arch::{Arch, MAX_CORES};
use crate::kernel::{self, Access, Exception, Status};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use opstamp_platform::bare::x86_64::{Handler, Interrupted, entry};
use spin::{Mutex, Once};
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::registers::control::Cr2;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::{Entry, InterruptDescriptorTable, PageFaultErrorCode};
use x86_64::structures::tss::TaskStateSegment;

/// The vector of the timer.
pub const TIMER: u8 = 0x20;
/// The vector by which a core makes another synchronize.
pub const SYNCHRONIZE: u8 = 0x21;
/// The vector of interrupts that nobody waits for.
pub const SPURIOUS: u8 = 0xFF;

/// The places of the two interrupt stacks in a task state segment, from 0.
const INTERRUPT_STACK: u16 = 0;
const EXCEPTION_STACK: u16 = 1;

/// What cores report exceptions on: exceptions of interrupt handlers too.
pub static EXCEPTIONS: Stacks<{ stacks::INTERRUPT_BYTES }, MAX_CORES> = Stacks::new();

/// What the timer calls, for each core.
static TICKS: [AtomicPtr<()>; MAX_CORES] = [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_CORES];

/// Whether a core is reporting an exception.
static REPORTING: [AtomicBool; MAX_CORES] = [const { AtomicBool::new(false) }; MAX_CORES];

/// A core's segments. They stay where they are once they are loaded.
struct Segments {
    tss: TaskStateSegment,
    gdt: GlobalDescriptorTable,
}

static SEGMENTS: [Mutex<Segments>; MAX_CORES] =
    [const { Mutex::new(Segments { tss: TaskStateSegment::new(), gdt: GlobalDescriptorTable::new() }) }; MAX_CORES];

static TABLE: Once<InterruptDescriptorTable> = Once::new();

/// Gives core `core`, which this runs on, its segments, interrupt stacks and interrupt table.
pub fn install(core: usize) {
    if let Some(segments) = SEGMENTS.get(core) {
        let mut segments = segments.lock();
        let top = |stack: core::ops::Range<usize>| VirtAddr::new(stack.end as u64);
        segments.tss.interrupt_stack_table[usize::from(INTERRUPT_STACK)] = top(stacks::INTERRUPTS.bounds(core));
        segments.tss.interrupt_stack_table[usize::from(EXCEPTION_STACK)] = top(EXCEPTIONS.bounds(core));
        let code = segments.gdt.append(Descriptor::kernel_code_segment());
        // SAFETY: the segment lies in a static and is not changed again.
        let tss = unsafe { Descriptor::tss_segment_unchecked(&raw const segments.tss) };
        let tss = segments.gdt.append(tss);
        // SAFETY: the table lies in a static and is not changed again. Its code segment is like the one in use; data
        // segments have no meaning in 64-bit mode at ring 0 but ss, which becomes null as it may be.
        unsafe {
            segments.gdt.load_unsafe();
            CS::set_reg(code);
            x86_64::instructions::segmentation::SS::set_reg(x86_64::structures::gdt::SegmentSelector(0));
            load_tss(tss);
        }
    }
    TABLE.call_once(table).load();
}

/// Sets what the timer calls on this core.
pub fn set_tick(core: usize, handler: fn()) {
    if let Some(place) = TICKS.get(core) {
        place.store(handler as *mut (), Ordering::Release);
    }
}

fn table() -> InterruptDescriptorTable {
    /// Points a descriptor to the entry of its vector.
    fn set<F, const VECTOR: u8>(descriptor: &mut Entry<F>, stack: u16) {
        let address = VirtAddr::new(entry::<Kernel, VECTOR>() as u64);
        // SAFETY: the entry is made for this vector, and both stacks are there.
        unsafe { descriptor.set_handler_addr(address).set_stack_index(stack) };
    }
    let mut table = InterruptDescriptorTable::new();
    set::<_, 0>(&mut table.divide_error, EXCEPTION_STACK);
    set::<_, 1>(&mut table.debug, EXCEPTION_STACK);
    set::<_, 2>(&mut table.non_maskable_interrupt, EXCEPTION_STACK);
    set::<_, 3>(&mut table.breakpoint, EXCEPTION_STACK);
    set::<_, 4>(&mut table.overflow, EXCEPTION_STACK);
    set::<_, 5>(&mut table.bound_range_exceeded, EXCEPTION_STACK);
    set::<_, 6>(&mut table.invalid_opcode, EXCEPTION_STACK);
    set::<_, 7>(&mut table.device_not_available, EXCEPTION_STACK);
    set::<_, 8>(&mut table.double_fault, EXCEPTION_STACK);
    set::<_, 10>(&mut table.invalid_tss, EXCEPTION_STACK);
    set::<_, 11>(&mut table.segment_not_present, EXCEPTION_STACK);
    set::<_, 12>(&mut table.stack_segment_fault, EXCEPTION_STACK);
    set::<_, 13>(&mut table.general_protection_fault, EXCEPTION_STACK);
    set::<_, 14>(&mut table.page_fault, EXCEPTION_STACK);
    set::<_, 16>(&mut table.x87_floating_point, EXCEPTION_STACK);
    set::<_, 17>(&mut table.alignment_check, EXCEPTION_STACK);
    set::<_, 18>(&mut table.machine_check, EXCEPTION_STACK);
    set::<_, 19>(&mut table.simd_floating_point, EXCEPTION_STACK);
    set::<_, TIMER>(&mut table[TIMER], INTERRUPT_STACK);
    set::<_, SYNCHRONIZE>(&mut table[SYNCHRONIZE], INTERRUPT_STACK);
    set::<_, SPURIOUS>(&mut table[SPURIOUS], INTERRUPT_STACK);
    table
}

/// This kernel's handling.
struct Kernel;

impl Handler for Kernel {
    extern "sysv64" fn handle(interrupted: &mut Interrupted) {
        match interrupted.vector as u8 {
            TIMER => tick(),
            SYNCHRONIZE => {
                cores::SYNC.acknowledge(super::Machine::core());
                apic::end_of_interrupt();
            }
            // It is not to be acknowledged (SDM vol. 3, 10.9).
            SPURIOUS => {}
            _ => exception(interrupted),
        }
    }
}

fn tick() {
    let handler = TICKS.get(super::Machine::core()).map_or(core::ptr::null_mut(), |tick| tick.load(Ordering::Acquire));
    if !handler.is_null() {
        // SAFETY: `set_tick` stored a `fn()`.
        let handler = unsafe { core::mem::transmute::<*mut (), fn()>(handler) };
        handler();
    }
    apic::end_of_interrupt();
}

/// The exceptions' names (Intel SDM vol. 3, table 6-1).
fn name(vector: u64) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug exception",
        2 => "non-maskable interrupt",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack-segment fault",
        13 => "general protection",
        14 => "page fault",
        16 => "x87 floating-point error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD floating-point exception",
        _ => "unknown exception",
    }
}

fn exception(interrupted: &Interrupted) -> ! {
    let nested = REPORTING.get(super::Machine::core()).is_none_or(|flag| flag.swap(true, Ordering::Relaxed));
    if nested {
        super::Machine::write(b"\nexception while an exception was reported\n");
        super::Machine::exit(Status::Exception as u8);
    }
    let address = Cr2::read_raw() as usize;
    let memory = (interrupted.vector == 14).then(|| {
        let error = PageFaultErrorCode::from_bits_truncate(interrupted.error);
        let access = if error.contains(PageFaultErrorCode::INSTRUCTION_FETCH) {
            Access::Execute
        } else if error.contains(PageFaultErrorCode::CAUSED_BY_WRITE) {
            Access::Write
        } else {
            Access::Read
        };
        (access, address, tables::is_mapped(address))
    });
    let i = interrupted;
    kernel::report(&Exception {
        name: name(i.vector),
        memory,
        instruction: i.rip as usize,
        stack: i.rsp as usize,
        registers: &[
            ("error code", i.error),
            ("flags", i.rflags),
            ("rax", i.rax),
            ("rbx", i.rbx),
            ("rcx", i.rcx),
            ("rdx", i.rdx),
            ("rsi", i.rsi),
            ("rdi", i.rdi),
            ("rbp", i.rbp),
            ("r8", i.r8),
            ("r9", i.r9),
            ("r10", i.r10),
            ("r11", i.r11),
            ("r12", i.r12),
            ("r13", i.r13),
            ("r14", i.r14),
            ("r15", i.r15),
        ],
    })
}
