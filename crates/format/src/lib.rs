//! The contract of heaptide: what the shim writes for the collector, and what the collector writes for the reports.
//!
//! Two halves that share a few names:
//!
//! - [`shared`], [`ring`], [`wire`] and [`mailbox`]: the shared memory between the traced program and the collector. No `std`, no allocation.
//! - [`capture`] (feature `capture`): the file, its blocks, its versions, and everything in it.
//!
//! Your part: bytes in, bytes out. This crate knows no operating system, opens no file and never panics on any
//! bytes. What events *mean* (live heap, peak, leaks) is the analyzer's.
#![cfg_attr(not(any(feature = "capture", feature = "model")), no_std)]

pub mod allocator;
#[cfg(feature = "capture")]
pub mod capture;
#[cfg(feature = "capture")]
pub mod ids;
pub mod mailbox;
pub mod ring;
pub mod shared;
pub mod wire;

/// The atomics of the shared memory: the processor's, or those of the model that tries out all interleavings.
mod sync {
    #[cfg(not(feature = "model"))]
    pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    #[cfg(feature = "model")]
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}
