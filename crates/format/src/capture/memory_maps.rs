//! What the resident memory of all processes consisted of at an instant, by who holds it.

use crate::ids::{ImageIndex, Nanos};
use serde::{Deserialize, Serialize};

/// The content of a memory maps block. Its list continues those of the blocks before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryMaps {
    /// In the order in which they were taken.
    pub looks: Vec<Look>,
}

/// A look at all processes that were traced and alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Why then.
    pub reason: LookReason,
    /// When.
    pub time: Nanos,
    /// Events of the run that had been read.
    pub event: u64,
    /// The processes.
    pub processes: Vec<ProcessMemory>,
}

/// Why a look was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LookReason {
    /// RSS of all processes was higher than at all looks of this kind before: the last of them is that of the highest.
    Highest,
    /// The mark of this number (the first of the capture is 0) had been set.
    Mark(u32),
    /// Some time has passed: the last of them is that of the end.
    Last,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMemory {
    /// Whose.
    pub image: ImageIndex,
    /// Resident bytes, as the kernel says of each mapping: the sum of `parts`.
    pub rss: u64,
    /// Resident bytes, of those that processes share a part each.
    pub pss: u64,
    /// Bytes that are swapped out, which are in no part.
    pub swapped: u64,
    /// Live bytes of the blocks and private mappings that were recorded, resident or not, without arenas of Python's own
    /// allocator.
    pub live: u64,
    /// Their number.
    pub blocks: u64,
    /// Heaps of glibc's allocator beside the first: threads that allocate at the same time have one each.
    pub arenas: u32,
    /// It is known of each page whether it is resident; else only of each mapping how many are.
    pub by_page: bool,
    /// Resident bytes of each part that has any, each part once.
    pub parts: Vec<(Part, u64)>,
}

/// Who holds resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// The program: bytes that it asked for and has not given back, and that are resident.
    Requested,
    /// The allocator, for each live block: its head, and the rounding of its size. Of glibc's allocator and of Python's alone.
    Slack,
    /// The allocator: what was given back to it and not to the system, and what it has not handed out yet. Of allocators other
    /// than glibc's their slack too.
    Kept,
    /// Arenas of Python's own allocator: of the objects in them nothing is known; if they were recorded, what the objects leave.
    PythonArenas,
    /// In a forked process: the heap of its parent, which the process may use or not, without what it asked for itself.
    Inherited,
    /// Private mappings without a file that are none of the others.
    Anonymous,
    /// Programs and libraries: code, constants, variables.
    Objects,
    /// Other files that are mapped.
    Files,
    /// Memory that is shared with other processes, or could be.
    Shared,
    /// Stacks of threads.
    Stacks,
    /// Heaptide: its library, its buffers.
    Tracer,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Requested,
        Self::Slack,
        Self::Kept,
        Self::PythonArenas,
        Self::Inherited,
        Self::Anonymous,
        Self::Objects,
        Self::Files,
        Self::Shared,
        Self::Stacks,
        Self::Tracer,
    ];
}
