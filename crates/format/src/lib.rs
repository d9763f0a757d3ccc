//! The contract of heaptide: what the shim writes for the collector, and what the collector writes for the reports.
//!
//! Two halves that share a few names:
//!
//! - [`shared`] and [`wire`]: the shared memory between the traced program and the collector. No `std`, no allocation.
//! - [`capture`] (feature `capture`): the file, its blocks, its versions, and everything in it.
//!
//! Your part: bytes in, bytes out. This crate knows no operating system, opens no file and never panics on any
//! bytes. What events *mean* (live heap, peak, leaks) is the analyzer's.
#![cfg_attr(not(feature = "capture"), no_std)]

pub mod allocator;
#[cfg(feature = "capture")]
pub mod capture;
#[cfg(feature = "capture")]
pub mod ids;
pub mod shared;
pub mod wire;
