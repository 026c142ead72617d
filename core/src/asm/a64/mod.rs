//! arm64 (A64) instructions.
//!
//! One function per instruction or alias, one 32-bit word per call. The encodings are those of the Arm Architecture
//! Reference Manual (DDI 0487): the tables of C4.1 (classes and fields), C6.2 (base instructions), C7.2 (SIMD and
//! floating point), C5.3 (cache maintenance) and D19 (system registers); `DecodeBitMasks` and `VFPExpandImm` of its
//! pseudocode define two kinds of immediate.
//!
//! # How a word is composed
//!
//! A word is the OR of the instruction's fixed bits, `sf` (bit 31) from the operand [`Size`], and the operands in their
//! fields: `Rd` or `Rt` in bits 0 to 4, `Rn` in 5 to 9, `Ra` or `Rt2` in 10 to 14, `Rm` in 16 to 20, and immediates, which
//! their types already hold in place. So one table row per instruction is all that tells it from its family.
//!
//! # What is refused, and how
//!
//! - An immediate or offset that its field cannot hold is refused by the type's constructor, which returns `None`. A
//!   type that is bound to an operand size or access size carries it (in the value, or as the `SCALE` parameter), so a
//!   64-bit shift amount cannot reach a 32-bit instruction and an offset scaled by 8 cannot reach a byte access.
//! - Register 31 is [`X::Zr`] or [`XSp::Sp`] by the parameter's type, never by accident.
//! - What depends on two operands (a base that is written back and transferred, a pair loaded into one register:
//!   CONSTRAINED UNPREDICTABLE in the manual) records [`EmitError::Operand`].
//! - A label out of reach records [`EmitError::BranchRange`]; a label bound twice, [`EmitError::Label`]; a full buffer is
//!   [`EmitError::Full`]. See [`bind`].
//!
//! What was emitted at or after a recorded error is meaningless, and [`Buf::finish`] does not accept it.
//!
//! # Labels
//!
//! References to an unbound label form a list. [`Label`] holds the offset of the newest reference; the displacement field
//! of each reference holds the distance back to the one before it, in words, as an unsigned number; 0 ends the list
//! (no instruction lies 0 words before itself). The unit is a word whatever the instruction, `adr` included, and
//! [`bind`] recognizes each instruction's field from its fixed bits, so `b`, `b.cond`, `cbz`, `tbz`, `ldr` and `adr`
//! may mix on one label.
//!
//! The field of an instruction must hold the distance to the reference emitted before it. An unsigned field holds twice the
//! instruction's own forward reach: 64 KiB for `tbz`, 2 MiB for `b.cond`, 8 MiB for `adr`. Where two references are
//! farther apart, [`EmitError::BranchRange`] is recorded with the older reference as the target, although the label might
//! still be bound in reach; [`can_refer`] tells beforehand.

mod branch;
mod float;
mod imm;
mod int;
mod mem;
mod reg;
mod system;

use super::{Buf, EmitError, Label};

pub use branch::*;
pub use float::*;
pub use imm::{
    AdrOffset, BitField, BranchOffset, Extend, Extended, FpImm8, Imm5, Imm12, LogicalImm, LogicalShift, MoveImm, Nzcv,
    Offset7, Offset9, Offset12, PageOffset, Shift, Shift6,
};
pub use int::*;
pub use mem::*;
pub use reg::{Cond, D, Size, X, XSp};
pub use system::*;

/// `Rd` and `Rn` in place.
#[cfg_attr(not(small), inline(always))]
const fn rd_rn(d: u32, n: u32) -> u32 {
    n << 5 | d
}

/// `Rd`, `Rn` and `Rm` in place.
#[cfg_attr(not(small), inline(always))]
const fn rd_rn_rm(d: u32, n: u32, m: u32) -> u32 {
    m << 16 | rd_rn(d, n)
}
