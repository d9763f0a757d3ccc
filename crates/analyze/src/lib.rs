//! The meaning of a capture: live heap, peak, leaks, differences, call trees.
//!
//! Your part: the path of a capture, and which process you want to see. Our part: open it whether it was finished or
//! not ([`reader`]), give its numbers names and lines ([`profile`]), and arrange them ([`sites`], [`leaks`], [`tree`],
//! [`diff`]). [`tally`] is also what the collector runs while it records. Pure: no printing, no options of a command
//! line, no environment. Not for drawing or formatting: that is heaptide-report.
//!
//! Whatever the bytes are, there is an answer or an error, never a panic:
//!
//! ```
//! use heaptide_analyze::{Capture, CaptureError};
//!
//! let Err(CaptureError::Read(error)) = Capture::from_bytes(b"\x7fELF\x02\x01\x01\x00".to_vec()) else { unreachable!() };
//! assert!(error.to_string().starts_with("not a heaptide capture"));
//! ```

mod ahead;
pub mod byte_seconds;
pub mod call_tree;
pub mod course;
pub mod diff;
pub mod error;
pub mod filter;
pub mod frames;
pub mod glob;
pub mod histories;
pub mod imports;
pub mod instants;
pub mod leaks;
pub mod lifetimes;
pub mod lives;
pub mod names;
pub mod packages;
pub mod peaks;
pub mod processes;
pub mod profile;
pub mod python;
pub mod reader;
pub mod records;
pub mod replay;
pub mod sites;
pub mod source;
pub mod sources;
pub mod spans;
pub mod steps;
pub mod strip;
pub mod suppressions;
pub mod symbolize;
pub mod symbols;
pub mod tally;
pub mod timeline;
pub mod tree;
pub mod types;
pub mod unseen;
pub mod verdict;
pub mod windows;
pub mod without;

pub use ahead::Reading;
pub use error::CaptureError;
pub use profile::Profile;
pub use reader::Capture;
