//! Marks: instants of a run that somebody gave a name, so that reports can be asked for them.

use crate::ids::{ImageIndex, Nanos};
use serde::{Deserialize, Serialize};

/// The content of a marks block. Its list continues those of the blocks before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// In the order in which they were set.
    pub marks: Vec<Mark>,
}

/// An instant with a name. Names need not differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its name, as it was given; bytes that were no UTF-8 are replaced by U+FFFD.
    pub name: String,
    /// Who set it.
    pub origin: MarkOrigin,
    /// The process that set it, or that it was set for; `None`: the run as a whole.
    pub image: Option<ImageIndex>,
    /// When.
    pub time: Nanos,
    /// Events of the run before it, counted as in [`super::IndexEntry::first_event`]: the exact place, of which `time` is only
    /// the round of the collector.
    pub event: u64,
    /// Live bytes of the whole process tree then.
    pub live: u64,
    /// Resident bytes when they were last sampled, without the tracer's own; 0: not known.
    pub rss: u64,
}

/// Who set a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarkOrigin {
    /// The program itself, by calling `heaptide_mark`.
    Program,
    /// Somebody outside, by `heaptide mark`.
    Outside,
    /// The recorder, because a limit of `run --alert` was passed.
    Alert,
}
