//! A live block of a replay, in three words, and what an event says of the next one.

use super::Gone;
use crate::tally::RowId;
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::batch::{Operation, Saying};
use heaptide_format::ids::{ImageIndex, Nanos, StackId, ThreadIndex};

/// When a block came to life, to [`Born::UNIT`] nanoseconds (the collector's clock goes in larger steps).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Born(u32);

impl Born {
    /// Nanoseconds of one step: 32 bits of them are 6 days, after which all are born in the last.
    pub const UNIT: u64 = 1 << 17;

    pub(super) fn at(now: Nanos) -> Self {
        Self(u32::try_from(now.0 / Self::UNIT).unwrap_or(u32::MAX))
    }

    /// The beginning of its step.
    pub fn time(self) -> Nanos {
        Nanos(u64::from(self.0) * Self::UNIT)
    }
}

/// A live block, or [`Block::NONE`].
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Size in bits 0–48, number of the allocator in 49–53, part of the window above.
    pub(super) packed: u64,
    /// Its row in bits 0–31, its thread above.
    whose: u64,
    /// Allocations of the thread up to this one, modulo 2^32, in bits 0–31, when it was [`Born`] above. Halves of words: two
    /// that were just stored cannot be loaded as one without waiting, and blocks are often copied as soon as they are made.
    since: u64,
}

impl Block {
    /// No block: the slot is free.
    pub(super) const NONE: Self = Self { packed: u64::MAX, whose: 0, since: 0 };
    const MOST_BYTES: u64 = (1 << Self::ALLOCATOR) - 1;
    const ALLOCATOR: u32 = 49;
    const PART: u32 = 54;

    /// Size, allocator and part.
    pub(super) fn packed(size: u64, allocator: Allocator, part: u16) -> u64 {
        // No process has 512 TiB that does not ask for addresses beyond the usual: a damaged capture claims it.
        let numbers = u64::from(allocator.number()) << Self::ALLOCATOR | u64::from(part) << Self::PART;
        size.min(Self::MOST_BYTES) | numbers
    }

    #[inline]
    pub(super) fn new(packed: u64, (row, thread): (RowId, ThreadIndex), sequence: u32, born: Born) -> Self {
        let two = |low, high| u64::from(low) | u64::from(high) << 32;
        Self { packed, whose: two(row.0, thread.0), since: two(sequence, born.0) }
    }

    /// A block for the tests of a [`Watch`].
    #[cfg(test)]
    pub(crate) fn of_row(row: RowId, bytes: u64) -> Self {
        Self::new(Self::packed(bytes, Allocator::Malloc, 1), (row, ThreadIndex(0)), 0, Born(0))
    }

    pub(super) fn is_none(self) -> bool {
        self.packed == u64::MAX
    }

    /// Its row, as [`Watch::row`] told it.
    #[inline]
    pub fn row(self) -> RowId {
        RowId(self.whose as u32)
    }

    /// Its size.
    pub fn bytes(self) -> u64 {
        self.packed & Self::MOST_BYTES
    }

    /// Who allocated it; no thread of the capture for what came before the keyframe at which the replay began.
    #[inline]
    pub fn thread(self) -> ThreadIndex {
        ThreadIndex((self.whose >> 32) as u32)
    }

    /// By which function.
    pub fn allocator(self) -> Allocator {
        Allocator::from_number((self.packed >> Self::ALLOCATOR & 31) as u8).unwrap_or(Allocator::Malloc)
    }

    /// When.
    #[inline]
    pub fn born(self) -> Born {
        Born((self.since >> 32) as u32)
    }

    pub(super) fn sequence(self) -> u32 {
        self.since as u32
    }

    /// In which part of the window: 0 before it, 1 up to the first stop, see [`Replay::with_stops`].
    pub fn part(self) -> u16 {
        (self.packed >> Self::PART) as u16
    }

    /// It came before the window.
    pub(super) fn is_old(self) -> bool {
        self.part() == 0
    }

    pub(super) fn whole(self, temporary: bool) -> Gone {
        Gone { bytes: self.bytes(), blocks: 1, temporary }
    }
}

/// What an event says beside its slot, as a replay needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// As in [`Block`], of part 0.
    packed: u64,
    pub(super) stack: StackId,
    /// [`NO_ROW`] until it is met.
    pub(super) row: RowId,
    /// Whose `row` is.
    pub(super) image: ImageIndex,
    pub(super) allocator: Allocator,
    pub(super) operation: Operation,
}

/// No row yet. A capture has fewer stacks.
pub(super) const NO_ROW: RowId = RowId(u32::MAX);

impl Said {
    pub(super) fn of(saying: &Saying) -> Self {
        let Saying { size, stack, allocator, operation } = *saying;
        let packed = Block::packed(size, allocator, 0);
        Self { packed, stack, row: NO_ROW, image: ImageIndex(0), allocator, operation }
    }

    pub(super) fn bytes(self) -> u64 {
        self.packed & Block::MOST_BYTES
    }

    pub(super) fn packed(self, part: u16) -> u64 {
        self.packed | u64::from(part) << Block::PART
    }
}

/// The thread of a block that came before the replay began.
pub(super) const NOBODY: ThreadIndex = ThreadIndex(u32::MAX);
