//! The shared memory between target and collector: one control area, then rings in slabs.
//!
//! ```text
//! 0            CONTROL_BYTES                 + SLAB_BYTES
//! +-----------+--------------------------+--------------------------+ …
//! | Control   | slab 0: RINGS_PER_SLAB   | slab 1                   |
//! +-----------+--------------------------+--------------------------+ …
//!              ring = RingHeader (one page) + RING_WORDS words
//! ```
//!
//! The file behind it is sparse: a slab costs memory only once a thread writes to a ring in it. A target maps the
//! control area and slab 0 at start, later slabs when it has more threads than that.
//!
//! Who writes what: each field says so. Positions count words since the ring was claimed and never wrap in practice
//! (2^64 words); the place of a word is `position & (RING_WORDS - 1)`.

use crate::mailbox::Mailbox;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Changes whenever the layout of this memory or of [`crate::wire`] does; shim and collector are built together, so a
/// difference means that a stale shim was preloaded.
pub const LAYOUT: u32 = 6;

/// First word of the control area: "HEAPTIDE" read as a little-endian number.
pub const MAGIC: u64 = u64::from_le_bytes(*b"HEAPTIDE");

/// Bytes of the control area.
pub const CONTROL_BYTES: usize = 20 * 1024;
/// Words in a ring, a power of two: 1 MiB, 5 ms of the fastest producer seen (2 events of 24 bytes in 12 ns each).
#[cfg(not(feature = "model"))]
pub const RING_WORDS: usize = 128 * 1024;
/// In the model.
#[cfg(feature = "model")]
pub const RING_WORDS: usize = 4;
/// Bytes of a ring with its header page.
pub const RING_BYTES: usize = 4096 + RING_WORDS * 8;
/// Rings in one slab.
pub const RINGS_PER_SLAB: usize = 16;
/// Bytes of one slab.
pub const SLAB_BYTES: usize = RINGS_PER_SLAB * RING_BYTES;
/// Most rings, that is threads traced at the same time over all processes. Further threads are not traced; their
/// events are counted in [`Control::lost`].
pub const MAX_RINGS: usize = 4096;
/// Slabs for all of them.
pub const MAX_SLABS: usize = MAX_RINGS / RINGS_PER_SLAB;

/// Environment variable with the path of the shared memory, set by the collector for the target.
pub const PATH_VARIABLE: &str = "HEAPTIDE_SHARED";

/// Offset of ring `index` in the shared memory.
pub const fn ring_offset(index: usize) -> usize {
    CONTROL_BYTES + index * RING_BYTES
}

/// Options of the run, bits of [`Control::options`].
pub mod option {
    /// Record the PyMem RAW, MEM and OBJ domains too.
    pub const PYTHON_ALLOCATORS: u32 = 1;
    /// Trace processes that the target forks or executes.
    pub const FOLLOW: u32 = 2;
    /// Read every stack as a whole as well, and end tracing at the first that is not what was kept of it. For tests.
    pub const VERIFY: u32 = 4;
    /// Record whole native stacks.
    pub const NATIVE: u32 = 8;
    /// Count Python objects when [`super::Control::census`] is counted up, and at exit.
    pub const CENSUS: u32 = 64;
}

/// States of a ring, in [`Control::ring_states`].
pub mod ring_state {
    /// Any thread may claim it (compare and swap to `CLAIMING`).
    pub const FREE: u32 = 0;
    /// A thread has it. Its header may still be that of the thread before: the collector leaves it alone.
    pub const CLAIMING: u32 = 5;
    /// A thread writes to it, which the header names.
    pub const CLAIMED: u32 = 1;
    /// Its thread will write no more; the collector empties it and sets `FREE`.
    pub const RELEASED: u32 = 2;
    /// Its thread is about to end, but may still release a block or two (its own stack's). The collector sets
    /// `RELEASED` once the thread is gone.
    pub const EXITING: u32 = 3;
    /// There is no memory behind it. Written by the collector before any target starts.
    pub const ABSENT: u32 = 4;
}

/// The first [`CONTROL_BYTES`] of the shared memory.
#[repr(C)]
pub struct Control {
    /// [`MAGIC`]. Written by the collector before any target starts.
    pub magic: u64,
    /// [`LAYOUT`]. Written by the collector before any target starts.
    pub layout: u32,
    /// Bits of [`option`]. Written by the collector before any target starts.
    pub options: u32,
    /// Process id of the collector, in its own pid namespace. Written before any target starts.
    pub collector_pid: u32,
    /// Not zero: targets stop tracing for good. Set by the collector when it ends, by a target that finds it dead.
    pub stopped: AtomicU32,
    /// Counted up by the collector at least every 100 ms while it lives.
    pub heartbeat: AtomicU32,
    /// Futex on which the collector sleeps. A target counts it up and wakes when a ring is full.
    pub doorbell: AtomicU32,
    /// Next image number. A target takes one by adding 1; the first is 1, 0 stands for no image.
    pub next_image: AtomicU32,
    /// Process id, as it sees itself, of the first process that was traced; 0 before. Without [`option::FOLLOW`] no
    /// other one is. Set by that process.
    pub first_process: AtomicU32,
    /// Most Python frames of a stack, the innermost ones; 0: the shim's own limit. Written by the collector before any
    /// target starts.
    pub max_depth: u32,
    /// Most native frames of a stack, the innermost ones. Written by the collector before any target starts.
    pub native_depth: u32,
    /// Next stamp, where the processor's clock is too coarse to order events (aarch64). Taken by adding 1.
    pub stamps: AtomicU64,
    /// Events lost because no ring was to be had. Added to by targets.
    pub lost: AtomicU64,
    /// Processes that started with another layout or could not map the rings. Added to by targets.
    pub refused: AtomicU32,
    /// 1 + the highest ring index ever claimed: the collector looks no further. Raised by targets.
    pub rings_used: AtomicU32,
    /// A [`ring_state`] for each ring.
    pub ring_states: [AtomicU32; MAX_RINGS],
    /// Times a traced process was about to fork; a fork that failed counts too. Added to by targets.
    pub forks: AtomicU32,
    /// Interpreters whose stacks are not read, each once: reason << 16 | version; 0: no further one. See
    /// [`Control::leave_unread`], by which targets write it.
    pub unread_pythons: [AtomicU32; MAX_UNREAD],
    /// Censuses asked for so far, see [`option::CENSUS`]. Counted up by the collector.
    pub census: AtomicU32,
    /// Marks that are to be set by who has no ring. Who writes what is said there.
    pub mailbox: Mailbox,
}

/// Most kinds of interpreters whose stacks are not read that a run reports. More are not met in practice.
pub const MAX_UNREAD: usize = 16;

/// Why the stacks of an interpreter are not read: its allocations have native frames only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Unread {
    /// Its version is not known.
    UnknownVersion = 1,
    /// Its structures are not those of its version.
    OtherLayout = 2,
    /// It has no global lock, which changes its structures.
    FreeThreaded = 3,
}

impl Control {
    /// Notes that the stacks of an interpreter of this version (`major << 8 | minor`) are not read, for the run's report.
    pub fn leave_unread(&self, version: u16, why: Unread) {
        let entry = (why as u32) << 16 | u32::from(version);
        for place in &self.unread_pythons {
            match place.compare_exchange(0, entry, Ordering::AcqRel, Ordering::Acquire) {
                Err(other) if other != entry => {}
                _ => return,
            }
        }
    }

    /// The interpreters whose stacks are not read, in the order in which they were met: version and reason.
    pub fn unread_pythons(&self) -> impl Iterator<Item = (u16, Unread)> {
        self.unread_pythons.iter().map_while(|place| {
            let entry = place.load(Ordering::Acquire);
            // A target may write what it likes here.
            let why = match entry >> 16 {
                1 => Unread::UnknownVersion,
                2 => Unread::OtherLayout,
                3 => Unread::FreeThreaded,
                _ => return None,
            };
            Some((entry as u16, why))
        })
    }
}

/// The first page of a ring; its words follow. The two positions lie on cache lines of their own: each has one writer.
#[cfg_attr(feature = "model", derive(Debug, Default))]
#[cfg_attr(not(feature = "model"), repr(C, align(4096)))]
#[cfg_attr(feature = "model", repr(C))]
pub struct RingHeader {
    /// Image that the writing thread belongs to. Written by the thread at its claim, before `thread`.
    pub image: AtomicU32,
    /// Process id as the collector sees it, if the thread can tell; else as the thread itself does.
    pub pid: AtomicU32,
    /// Kernel's thread id, seen in the same way.
    pub thread: AtomicU32,
    /// Times the ring was claimed: tells the collector that a new thread begins. Written by the thread last at claim.
    pub claims: AtomicU32,
    _pad0: [u64; 14],
    /// Words written. Written by the thread, with release, after the words themselves.
    pub written: AtomicU64,
    _pad1: [u64; 15],
    /// Words read. Written by the collector, with release, after it has taken the words.
    pub read: AtomicU64,
    _pad2: [u64; 15],
    /// Futex: 1 while the thread waits for room; the collector sets 0 and wakes.
    pub waiting: AtomicU32,
    _pad3: u32,
    /// Nanoseconds the thread waited for room. Written by the thread.
    pub waited: AtomicU64,
    /// Times it waited. Written by the thread.
    pub waits: AtomicU64,
    /// Events of this thread that were lost: stack or event that could not be kept. Written by the thread.
    pub lost: AtomicU64,
    /// Events whose stack was cut: at [`Control::max_depth`] or the shim's own limits. Written by the thread.
    pub cut: AtomicU64,
    /// Events that have neither a Python nor a native frame. Written by the thread.
    pub bare: AtomicU64,
    /// Private bytes the shim holds for this thread. Written by the thread.
    pub shim_bytes: AtomicU64,
    /// Events published by all threads that ever had this ring: allocations, releases, reallocations that succeeded, parts
    /// unmapped. Written by the thread, with release, right after each is published: what a kill must not lose. The
    /// collector compares it with what it has read ([`crate::wire::is_event`]).
    pub events: AtomicU64,
    /// An address on the thread's stack. Written by the thread at its claim.
    pub stack: AtomicU64,
}

#[cfg(not(feature = "model"))]
const _: () = assert!(core::mem::size_of::<Control>() <= CONTROL_BYTES);
#[cfg(not(feature = "model"))]
const _: () = assert!(core::mem::size_of::<RingHeader>() == 4096);
const _: () = assert!(RING_WORDS.is_power_of_two() && MAX_RINGS.is_multiple_of(RINGS_PER_SLAB));

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use super::*;

    /// Shim and collector are separate builds: a field that moves must change LAYOUT.
    #[test]
    fn layout_6_is_where_it_was() {
        assert_eq!(core::mem::offset_of!(Control, stopped), 20);
        assert_eq!(core::mem::offset_of!(Control, ring_states), 72);
        assert_eq!(core::mem::offset_of!(Control, forks), 16456);
        assert_eq!(core::mem::offset_of!(Control, unread_pythons), 16460);
        assert_eq!(core::mem::offset_of!(Control, census), 16524);
        assert_eq!(core::mem::offset_of!(Control, mailbox), 16528);
        assert_eq!(core::mem::offset_of!(RingHeader, written), 128);
        assert_eq!(core::mem::offset_of!(RingHeader, read), 256);
        assert_eq!(core::mem::offset_of!(RingHeader, waiting), 384);
    }

    #[test]
    fn an_interpreter_that_is_not_read_is_noted_once() {
        let control = Control {
            magic: MAGIC,
            layout: LAYOUT,
            options: 0,
            collector_pid: 0,
            stopped: AtomicU32::new(0),
            heartbeat: AtomicU32::new(0),
            doorbell: AtomicU32::new(0),
            next_image: AtomicU32::new(0),
            first_process: AtomicU32::new(0),
            max_depth: 0,
            native_depth: 0,
            stamps: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            refused: AtomicU32::new(0),
            rings_used: AtomicU32::new(0),
            ring_states: [const { AtomicU32::new(0) }; MAX_RINGS],
            forks: AtomicU32::new(0),
            unread_pythons: [const { AtomicU32::new(0) }; MAX_UNREAD],
            census: AtomicU32::new(0),
            mailbox: Mailbox::new(),
        };
        assert_eq!(control.unread_pythons().count(), 0);
        for _ in 0..20 {
            control.leave_unread(0x030C, Unread::OtherLayout);
            control.leave_unread(0x0310, Unread::UnknownVersion);
        }
        let mut noted = control.unread_pythons();
        assert_eq!(noted.next(), Some((0x030C, Unread::OtherLayout)));
        assert_eq!(noted.next(), Some((0x0310, Unread::UnknownVersion)));
        assert_eq!(noted.next(), None);
        for version in 0..100 {
            control.leave_unread(version, Unread::FreeThreaded);
        }
        assert_eq!(control.unread_pythons().count(), 16);
    }
}
