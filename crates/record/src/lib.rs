//! The collector: starts the target with the shim preloaded, drains its rings, keeps the account, writes the capture.
//!
//! The way of an event: [`rings`] (words out of shared memory) → [`merge`] (all rings of an image in causal order) →
//! [`heap`] (which block is meant) → `heaptide_analyze::tally` (live, peak, totals) and [`capture`] (the file).
//! Beside it: [`dictionary`] (what the numbers stand for), [`lines`] (of Python instructions), [`target`] (what can be traced), [`unseen`] (allocators that
//! cannot be traced), [`session`] (the loop), [`memory`] (what resident memory consists of), [`outside`] (marks set in the recording of another process).
//!
//! Prints nothing and reads no environment: [`session::record`] takes options and gives an outcome.

pub mod blocks;
pub mod capture;
pub mod dictionary;
pub mod heap;
pub mod image;
pub mod lines;
mod memory;
pub mod merge;
pub mod outside;
pub mod process;
pub mod published;
pub mod rings;
pub mod session;
pub mod shim_file;
pub mod signals;
mod stacks;
mod streams;
pub mod target;
pub mod unseen;

pub use session::{CensusOptions, Limit, Notice, Options, Outcome, RecordError, record};
pub use target::{Target, TargetError};
