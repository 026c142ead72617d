//! Changing a site of published code, which other cores may be executing.
//!
//! What may change under execution, and the rule that it rests on:
//! - **arm64**: one aligned instruction word that is `B`, `BL` or `NOP` before and after. These are among the
//!   instructions of which a core that executes the word meanwhile executes the old one or the new one, and nothing
//!   else (Arm ARM DDI 0487, "Concurrent modification and execution of instructions": B2.2.5, in later issues B2.4.4).
//!   Others of that list are of no use here; all that are not on it are refused.
//! - **x86-64**: no instruction at all. Intel allows no unsynchronized change of code that another core may be
//!   executing (SDM vol. 3, 9.1.3). A site jumps or calls through a word of data instead: a store of 8 aligned bytes is
//!   atomic (SDM vol. 3, 9.1.1; AMD APM vol. 2, 7.3.2), so a core reads the old address or the new one. The word should
//!   not share a cache line with instructions that run, which would slow them down when it changes.
//!
//! On either ISA what the new branch or address leads to has been published and made known by
//! [`CodeMemory::sync_cores`] before.

use super::{CodeError, CodeMemory, CodeRange};
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What a site holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    /// An arm64 instruction: `B`, `BL` or `NOP`.
    Instruction(u32),
    /// A word of data that code jumps or calls through.
    Data(u64),
}

impl Patch {
    /// The bytes that it takes, and the alignment that it needs.
    const fn size(self) -> usize {
        match self {
            Self::Instruction(_) => 4,
            Self::Data(_) => 8,
        }
    }
}

/// Why a site was not patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchError {
    /// The site is not a multiple of its own size.
    Misaligned {
        /// The site: an offset in the window.
        offset: usize,
        /// The alignment that it needs in bytes.
        align: usize,
    },
    /// The instruction is none that may be changed, or changed to, while another core executes it.
    Instruction {
        /// The site: an offset in the window.
        offset: usize,
        /// The instruction, that of the site if that is the wrong one.
        word: u32,
    },
    /// The code memory refused. If it refused to open the range, the site is unchanged; if it refused to publish it,
    /// the site may be changed and may not be executable; if it refused to synchronize the cores, the site is changed
    /// and some of them may still go the old way.
    Memory(CodeError),
}

impl From<CodeError> for PatchError {
    fn from(error: CodeError) -> Self {
        Self::Memory(error)
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned { offset, align } => {
                write!(f, "the patch site at offset {offset:#x} is not a multiple of {align}")
            }
            Self::Instruction { offset, word } => write!(
                f,
                "the patch site at offset {offset:#x}: instruction {word:#010x} is not one of B, BL and NOP, and no other \
                 may change while it can be executed"
            ),
            Self::Memory(error) => write!(f, "patching code memory: {error}"),
        }
    }
}

impl core::error::Error for PatchError {}

/// Changes the site at `offset` to `new`, and gives what it held. It opens the site's bytes, stores them at once,
/// publishes them and synchronizes the cores; when it returns, every core goes the new way.
///
/// Where [`CodeMemory::concurrent_write`] is false, no thread may be in guest code meanwhile.
pub fn patch(code: &mut dyn CodeMemory, offset: usize, new: Patch) -> Result<Patch, PatchError> {
    let size = new.size();
    let misaligned = PatchError::Misaligned { offset, align: size };
    if !offset.is_multiple_of(size) {
        return Err(misaligned);
    }
    if let Patch::Instruction(word) = new
        && !may_change(word)
    {
        return Err(PatchError::Instruction { offset, word });
    }
    let range = CodeRange { start: offset, end: offset.saturating_add(size) };
    let stored = store(code.open(range)?, new);
    // Opened, and so published, even if it is unchanged.
    code.publish(range)?;
    let old = stored.ok_or(misaligned)?;
    if let Patch::Instruction(word) = old
        && !may_change(word)
    {
        return Err(PatchError::Instruction { offset, word });
    }
    code.sync_cores()?;
    Ok(old)
}

/// Stores to a site, unless it holds an instruction that may not change; gives what it held. `None` if the memory is
/// not the site's size or not aligned.
fn store(site: &mut [u8], new: Patch) -> Option<Patch> {
    let start = site.as_mut_ptr();
    if site.len() != new.size() || !start.addr().is_multiple_of(new.size()) {
        return None;
    }
    Some(match new {
        Patch::Instruction(word) => {
            // SAFETY: these are 4 bytes, aligned to 4, that are borrowed exclusively. What other cores execute of them
            // they fetch, which is no access of this program.
            let site = unsafe { AtomicU32::from_ptr(start.cast()) };
            let old = u32::from_le(site.load(Ordering::Relaxed));
            if may_change(old) {
                site.store(word.to_le(), Ordering::Release);
            }
            Patch::Instruction(old)
        }
        Patch::Data(value) => {
            // SAFETY: these are 8 bytes, aligned to 8, that are borrowed exclusively. Machine code on other cores only
            // reads them, with aligned loads of 8 bytes.
            let site = unsafe { AtomicU64::from_ptr(start.cast()) };
            let old = u64::from_le(site.load(Ordering::Relaxed));
            site.store(value.to_le(), Ordering::Release);
            Patch::Data(old)
        }
    })
}

/// Whether an arm64 instruction is `B`, `BL` (Arm ARM, C6.2: bits 30 to 26 are 00101, bit 31 is the link) or `NOP`.
const fn may_change(word: u32) -> bool {
    const NOP: u32 = 0xD503_201F;
    word & 0x7C00_0000 == 0x1400_0000 || word == NOP
}
