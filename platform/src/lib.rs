//! opstamp-platform
#![no_std]
