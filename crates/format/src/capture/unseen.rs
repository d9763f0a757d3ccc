//! Allocators that were linked into a program or a library under names of their own, so that their blocks were not
//! recorded, and how the memory of the images that have one grew. What of the growth they explain is for the analysis.

use super::summary::Amount;
use crate::ids::{ImageIndex, Nanos};
use serde::{Deserialize, Serialize};

/// The content of an unseen-allocators block. Its lists continue those of the blocks before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnseenAllocators {
    /// Allocators, in the order in which they were found.
    pub found: Vec<UnseenAllocator>,
    /// Images that have one, each at most once. Only in the last block of a recording that was finished.
    pub growth: Vec<Growth>,
    /// Objects that had not been looked at when the recording ended: what is in them is not known.
    pub unread: u32,
}

/// An allocator in an object that an image has mapped, whose blocks are not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UnseenAllocator {
    /// The image.
    pub image: ImageIndex,
    /// Path of the object as the image sees it; bytes that were no UTF-8 are replaced by U+FFFD.
    pub path: String,
    /// Which allocator it is, as people call it: a name and not a number, so that later versions may know more.
    pub allocator: String,
    /// The name of the symbol, or the text, by which it was known.
    pub evidence: String,
}

/// How the memory of an image grew until it held the most, as seen by sampling. All in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    /// The image.
    pub image: ImageIndex,
    /// Resident bytes that are no file's, without the tracer's own, when it began: of a forked child what its parent
    /// held, else 0.
    pub first: u64,
    /// The most that these ever were.
    pub highest: u64,
    /// When that was.
    pub highest_at: Nanos,
    /// The most that was live in recorded blocks until then: bytes without those of mappings, and the number of all.
    pub blocks: Amount,
    /// Live at `highest_at`: anonymous mappings and what `brk` gave, without `arenas`. They need not be resident.
    pub mappings: u64,
    /// Live at `highest_at`: mappings of the length of the arenas of Python's own allocator.
    pub arenas: u64,
    /// Writable bytes of the objects that it had mapped, as their program headers say: at most as much became its own.
    pub writable: u64,
}
