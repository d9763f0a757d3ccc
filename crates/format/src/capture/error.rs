//! What can be wrong with a capture's bytes. Opening and reading the file is the caller's, so are its errors.

use super::header::Version;

/// Why bytes are not a (whole) capture. Offsets are in bytes from the start of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file does not start as a capture does.
    #[error("not a heaptide capture: it starts with {found:02x?}, not with \"HEAPTIDE\"")]
    NotACapture {
        /// The first bytes, eight at most.
        found: Vec<u8>,
    },
    /// Written by a later heaptide.
    #[error(
        "capture format {found} is newer than {supported}, the newest that this heaptide reads; use the heaptide that recorded it, or a newer one"
    )]
    TooNew {
        /// The file's version.
        found: Version,
        /// The newest we read.
        supported: Version,
    },
    /// Written by an earlier heaptide whose format is no longer read.
    #[error(
        "capture format {found} is older than {supported}, the oldest that this heaptide reads; use the heaptide that recorded it"
    )]
    TooOld {
        /// The file's version.
        found: Version,
        /// The oldest we read.
        supported: Version,
    },
    /// The bytes end inside the header or inside a block.
    #[error("the file ends early, at byte {offset}, inside {inside}")]
    Truncated {
        /// Where the unfinished part begins.
        offset: u64,
        /// What is unfinished.
        inside: &'static str,
    },
    /// A checksum does not match.
    #[error("damaged at byte {offset}: the checksum of {inside} does not match")]
    Checksum {
        /// Where the damaged part begins.
        offset: u64,
        /// What is damaged.
        inside: &'static str,
    },
    /// A block whose checksum matches but whose content makes no sense.
    #[error("damaged at byte {offset}: {what}")]
    BadBlock {
        /// Where the block begins.
        offset: u64,
        /// What makes no sense.
        what: String,
    },
}

impl ReadError {
    /// The byte of the file that the error is about.
    pub fn offset(&self) -> u64 {
        match self {
            Self::NotACapture { .. } | Self::TooNew { .. } | Self::TooOld { .. } => 0,
            Self::Truncated { offset, .. } | Self::Checksum { offset, .. } | Self::BadBlock { offset, .. } => *offset,
        }
    }
}
