//! arm64 instructions.
