//! The footer: where the blocks are, and the answers that need no events.

use super::definitions::Definitions;
use crate::allocator::ALLOCATORS;
use crate::ids::{ImageIndex, Nanos, StackId};
use serde::{Deserialize, Serialize};

/// What was run. The first block of a capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Version of heaptide that recorded it.
    pub heaptide: String,
    /// The command as it was given, program first; only that if the arguments were left out.
    pub command: Vec<String>,
    /// Seconds since 1970 (UTC) when the run began; 0: left out.
    pub started_unix: u64,
    /// PyMem domains were recorded too.
    pub python_allocators: bool,
    /// Children were followed.
    pub follow: bool,
    /// There are no event blocks.
    pub aggregate: bool,
    /// Processor architecture, as Rust names it.
    pub architecture: String,
}

/// Bytes and number of blocks that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Bytes in the sizes the program asked for.
    pub bytes: u64,
    /// Blocks.
    pub count: u64,
}

impl std::ops::AddAssign for Amount {
    /// Saturates: what a damaged capture claims may add up to more than 64 bits.
    fn add_assign(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.count = self.count.saturating_add(other.count);
    }
}

impl std::ops::SubAssign for Amount {
    /// Stops at zero, for the same reason.
    fn sub_assign(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.count = self.count.saturating_sub(other.count);
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), |mut sum, amount| {
            sum += amount;
            sum
        })
    }
}

/// What one stack of one image did. Only heap counts: file maps, reservations and thread stacks are in
/// [`Totals::other_mappings`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Whose.
    pub image: ImageIndex,
    /// The stack.
    pub stack: StackId,
    /// All that was ever allocated here; a realloc counts its new size.
    pub allocated: Amount,
    /// Live at the instant of most live bytes of the whole process tree.
    pub at_peak: Amount,
    /// Live at the instant of most live bytes of this image.
    pub at_image_peak: Amount,
    /// Live when the image's own code had ended: when its interpreter began to finalize, else at its end.
    pub leaked: Amount,
    /// Freed by the same thread with no other allocation of that thread between.
    pub temporary: Amount,
    /// Freed by the same thread with exactly one other allocation of that thread between.
    pub temporary_1: Amount,
}

/// Numbers of the whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Events: allocations, releases, reallocations.
    pub events: u64,
    /// All that was ever allocated on the heap.
    pub allocated: Amount,
    /// Releases of known blocks.
    pub freed: u64,
    /// Reallocations (a successful one is in `allocated` too, with its new size).
    pub reallocated: u64,
    /// Releases of blocks that were never seen: allocated before tracing or inherited by a forked child.
    pub freed_unknown: u64,
    /// Most live bytes of the whole process tree.
    pub peak: Amount,
    /// When that was.
    pub peak_at: Nanos,
    /// Live when the programs' own code had ended, all images together: when an interpreter began to finalize, else at
    /// the end of the process.
    pub leaked: Amount,
    /// Live at the very end of the processes, after their interpreters had finalized.
    pub left: Amount,
    /// Most resident bytes of the whole tree seen by sampling, without the tracer's own.
    pub peak_rss: u64,
    /// Length of the run.
    pub duration: Nanos,
    /// Heap allocations by size: entry n counts sizes of n bits, so entry 0 is size 0, entry 1 size 1, entry 2
    /// sizes 2 and 3 …
    pub sizes: Vec<Amount>,
    /// Allocations by [`crate::allocator::Allocator`] number.
    pub allocators: Vec<Amount>,
    /// Mappings that are not heap, live at the end: files, reservations, thread stacks.
    pub other_mappings: Amount,
    /// Most bytes of such mappings at one time.
    pub other_mappings_peak: u64,
    /// What went missing and what tracing cost.
    pub tracer: TracerTotals,
}

/// Losses, and the tracer's own cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracerTotals {
    /// Events that could not be recorded.
    pub lost: u64,
    /// Releases without their allocation or the reverse, seen inside one image: a sign of lost events. Addresses
    /// handed out twice without a release between.
    pub inconsistent: u64,
    /// Stacks that were cut at the depth limit.
    pub cut_stacks: u64,
    /// Allocations without any frame.
    pub bare: u64,
    /// Processes that could not be traced.
    pub refused: u64,
    /// Times and nanoseconds that threads of the target waited for the collector.
    pub waits: u64,
    /// See `waits`.
    pub waited: Nanos,
    /// Processor time of the collector, user and system.
    pub collector_cpu: Nanos,
    /// Most resident bytes of the collector.
    pub collector_rss: u64,
    /// Most private bytes that the shim held in the target, all threads together, and shared bytes of its rings.
    pub shim_bytes: u64,
}

/// Numbers of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageTotals {
    /// All that it ever allocated on the heap.
    pub allocated: Amount,
    /// Its most live bytes.
    pub peak: Amount,
    /// When that was.
    pub peak_at: Nanos,
    /// Live when its own code had ended: when its interpreter began to finalize, else at its end.
    pub leaked: Amount,
    /// When it ended; `None` if it had not when the recording did.
    pub ended: Option<Nanos>,
    /// Its events.
    pub events: u64,
}

/// One point of the timeline: the whole process tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub time: Nanos,
    /// Live bytes then.
    pub live: u64,
    /// Most live bytes since the point before.
    pub live_high: u64,
    /// Resident bytes then, without the tracer's own; 0 if it could not be read.
    pub rss: u64,
}

/// The content of a samples block, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// The points.
    pub points: Vec<Sample>,
}

/// Where a block is and what the run was like when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// [`super::BlockKind`] as a number.
    pub kind: u8,
    /// Byte offset of its head in the file.
    pub offset: u64,
    /// Events before it.
    pub first_event: u64,
    /// Time when it began.
    pub time: Nanos,
    /// Live bytes of the tree when it began.
    pub live: u64,
}

/// The content of the footer block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Footer {
    /// All blocks before this one, in order.
    pub index: Vec<IndexEntry>,
    /// Definitions that no block before holds (always so in aggregated captures).
    pub definitions: Definitions,
    /// Numbers of the run.
    pub totals: Totals,
    /// Numbers of each image, by [`ImageIndex`].
    pub images: Vec<ImageTotals>,
    /// What each stack of each image did.
    pub rows: Vec<Row>,
    /// The timeline, thinned to at most a few thousand points.
    pub timeline: Vec<Sample>,
    /// Status of the run's command: exit code, or `128 + signal`.
    pub status: i32,
}

impl Totals {
    /// No events yet.
    pub fn new() -> Self {
        Self { sizes: vec![Amount::default(); 65], allocators: vec![Amount::default(); ALLOCATORS], ..Self::default() }
    }
}
