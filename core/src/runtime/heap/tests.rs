//! Tests of allocation and collection alone.
