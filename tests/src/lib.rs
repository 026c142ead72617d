//! opstamp-tests
#![no_std]
