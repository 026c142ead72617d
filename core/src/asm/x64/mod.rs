//! x86-64 instructions.
//!
//! The source is the Intel 64 and IA-32 Architectures Software Developer's Manual (SDM), volume 2: 2.1 for the format,
//! tables 2-2 and 2-3 for ModRM and SIB, 2.2.1 for REX, 2.3 for VEX, chapters 3 to 5 for each instruction's opcode, and
//! appendix A for the groups that share one.
//!
//! # How an instruction is written
//!
//! Its parts are, lowest byte first:
//!
//! | part | bytes | says |
//! |---|---|---|
//! | mandatory prefix | 0 or 1 | 66, F2 or F3: which instruction of an opcode |
//! | REX, 0100WRXB | 0 or 1 | W: 64-bit operands; R, X, B: bit 3 of the reg, index and rm (or base) numbers |
//! | opcode | 1 to 3 | with the escapes 0F, 0F 3A |
//! | ModRM | 0 or 1 | mod, reg (a register or the opcode's `/digit`), rm (a register or the base) |
//! | SIB | 0 or 1 | scale, index, base; there if rm is 100, so always with rsp and r12 as base |
//! | displacement | 0, 1 or 4 | |
//! | immediate | 0, 1, 4 or 8 | |
//!
//! A VEX prefix (C5 or C4 form) stands for mandatory prefix, REX and escapes together and names one more register.
//!
//! Each part is computed as an integer and a length, and the parts are shifted together and stored with one
//! [`Buf::put`]; two where the instruction is longer than 8 bytes. [`Mem`] holds its ModRM, SIB and displacement ready
//! made.
//!
//! The form is always the shortest of the instruction asked for, operands as given: REX only where it says something,
//! C5 before C4, the shortest displacement and immediate, the forms for rax where they are shorter. The instruction is
//! never replaced by another one (no `xor` for `mov 0`, no swapped operands).
//!
//! # What is refused
//!
//! Most that has no encoding has no value either: registers are enums, and [`Mem::indexed`] is `None` for rsp as index.
//! The rest is recorded as the buffer's sticky [`EmitError`]:
//! [`Operand`](EmitError::Operand) for a rotate as `shiftx`, which emits nothing;
//! [`BranchRange`](EmitError::BranchRange) for a displacement beyond 32 bits or a label at 2 GiB or more;
//! [`Label`](EmitError::Label) for a second `bind`, or where a label shows to be another buffer's;
//! [`Full`](EmitError::Full) as for every emission.
//!
//! # Labels
//!
//! A branch to a bound label uses an 8-bit displacement where it reaches. A branch to one that is not bound has 32 bits,
//! and until `bind` the field holds the offset, plus 1, of the field of the label's previous reference, or 0. A label that
//! was referenced must be bound before the code is used; [`Label::is_pending`] tells.

mod branch;
mod int;
mod operand;
mod sse;
pub mod stencil;
mod vex;
mod word;

use super::{Buf, EmitError, Label};

pub use operand::{Alu, Bits, Cc, Fma, Gpr, Mem, Predicate, Round, Scale, Shift, Size, Sse, SseLogic, Unary, Xmm};

/// Appends x86-64 instructions to a buffer. In the methods' names r is a register, m memory, i an immediate, destination
/// first; in `cvt…`, `movq…` and `movs…` x is a vector register where the other is a general one.
pub struct Asm<'m> {
    /// The buffer; the owner may append data to it.
    pub buf: Buf<'m>,
}

impl<'m> Asm<'m> {
    /// An assembler that appends to `buf`.
    #[inline]
    pub fn new(buf: Buf<'m>) -> Self {
        Self { buf }
    }
}
