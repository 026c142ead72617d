//! The verifier: what it accepts, what it refuses and with which words, and that no input upsets it.
//!
//! Containers are put together from records, without the assembler, so that the two are tested apart.

mod build;
mod hostile;
mod reasons;
mod rows;
