//! What the engine asks of code memory, and in which order, by an implementation that records it. Neither an emulator
//! nor x86-64 would show a range that is not published, or one that is written after it was.

mod engine;
mod patching;
mod recorder;
