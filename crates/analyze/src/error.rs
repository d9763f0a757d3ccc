//! What can go wrong between a path and an answer. Which file it was, the caller knows.

use heaptide_format::capture::ReadError;
use std::io;

/// Why a capture cannot be opened or cannot answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The operating system could not read the file.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is no capture, of another version, or damaged before anything could be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The question needs the events, and the capture was recorded without.
    #[error("recorded with --aggregate, so it holds no events to answer this from")]
    NoEvents,
    /// No process of the capture has this id.
    #[error("holds no process {pid}")]
    NoSuchProcess {
        /// The id asked for.
        pid: u32,
        /// Those that there are, in the order in which they were met.
        known: Vec<u32>,
    },
}
