//! Events in columns, and the slots that name blocks.
//!
//! A capture holds no addresses. A live block is named by its [`Slot`]: an allocation takes the slot that its image
//! gave back last (or the next new one), so it need not be written; a release names the slot. That makes the events
//! small, and a replay a matter of array indexing instead of hashing. Writer and reader keep the same [`SlotTable`].
//!
//! Content of an events block: five integers (LEB128) with the number of events and the lengths of the four columns
//! after the first, then the columns:
//!
//! | column | for each | encoding |
//! |---|---|---|
//! | operations | event | one byte: operation in bits 0–2, allocator number in bits 3–7 |
//! | sizes | allocated, reallocated, shrunk | LEB128 |
//! | stacks | allocated, reallocated | LEB128 of the zigzagged difference to the previous entry, at first to 0 |
//! | slots | freed, reallocated, shrunk | LEB128 of the zigzagged difference to the previous entry, at first to 0 |
//! | others | thread, clock, image end | LEB128 of thread, nanoseconds since the previous clock (at first since 0), image |
//!
//! A block is decodable alone. What its slots *are* depends on the events before, back to the last keyframe.

use super::error::ReadError;
use super::varint;
use crate::allocator::Allocator;
use crate::ids::{ImageIndex, Nanos, Slot, StackId, ThreadIndex};

/// One event, in the order in which the collector merged them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The following events are of this thread. At the start of a block it is unknown until this event.
    Thread(ThreadIndex),
    /// It is now this time.
    Clock(Nanos),
    /// A block came to life, in the slot that [`SlotTable::take`] gives.
    Allocated {
        /// By which call.
        allocator: Allocator,
        /// Bytes asked for.
        size: u64,
        /// Where from.
        stack: StackId,
    },
    /// A block was released.
    Freed {
        /// Which.
        slot: Slot,
    },
    /// A block was reallocated, moved or not. It keeps its slot.
    Reallocated {
        /// Which.
        slot: Slot,
        /// By which call.
        allocator: Allocator,
        /// New size.
        size: u64,
        /// Where from: the block is this stack's from now on.
        stack: StackId,
    },
    /// A part of a mapping was given back. What is left keeps its slot.
    Shrunk {
        /// Which.
        slot: Slot,
        /// Bytes given back, less than it had.
        bytes: u64,
    },
    /// A block that was never seen was released.
    FreedUnknown,
    /// The image ended; all its blocks went with it.
    ImageEnded(ImageIndex),
}

mod operation {
    pub const CONTROL: u8 = 0;
    pub const ALLOCATED: u8 = 1;
    pub const FREED: u8 = 2;
    pub const REALLOCATED: u8 = 3;
    pub const SHRUNK: u8 = 4;
    pub const FREED_UNKNOWN: u8 = 5;
    /// In the allocator bits of a `CONTROL`.
    pub const THREAD: u8 = 0;
    pub const CLOCK: u8 = 1;
    pub const IMAGE_ENDED: u8 = 2;
}

/// Events on their way into a block.
#[derive(Debug, Default)]
pub struct EventBlock {
    operations: Vec<u8>,
    sizes: Vec<u8>,
    stacks: Vec<u8>,
    slots: Vec<u8>,
    others: Vec<u8>,
    last_stack: u32,
    last_slot: u32,
    last_clock: u64,
}

impl EventBlock {
    /// Number of events in it.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Appends an event.
    #[inline]
    pub fn push(&mut self, event: Event) {
        match event {
            Event::Allocated { allocator, size, stack } => {
                self.operation(operation::ALLOCATED, allocator.number());
                varint::put(&mut self.sizes, size);
                self.stack(stack);
            }
            Event::Freed { slot } => {
                self.operation(operation::FREED, 0);
                self.slot(slot);
            }
            Event::Reallocated { slot, allocator, size, stack } => {
                self.operation(operation::REALLOCATED, allocator.number());
                varint::put(&mut self.sizes, size);
                self.stack(stack);
                self.slot(slot);
            }
            Event::Shrunk { slot, bytes } => {
                self.operation(operation::SHRUNK, 0);
                varint::put(&mut self.sizes, bytes);
                self.slot(slot);
            }
            Event::FreedUnknown => self.operation(operation::FREED_UNKNOWN, 0),
            Event::Thread(thread) => self.control(operation::THREAD, u64::from(thread.0)),
            Event::Clock(time) => {
                self.control(operation::CLOCK, time.0.wrapping_sub(self.last_clock));
                self.last_clock = time.0;
            }
            Event::ImageEnded(image) => self.control(operation::IMAGE_ENDED, u64::from(image.0)),
        }
    }

    #[inline]
    fn operation(&mut self, operation: u8, detail: u8) {
        self.operations.push(operation | detail << 3);
    }

    fn control(&mut self, which: u8, value: u64) {
        self.operation(operation::CONTROL, which);
        varint::put(&mut self.others, value);
    }

    #[inline]
    fn stack(&mut self, stack: StackId) {
        varint::put(&mut self.stacks, varint::zigzag(i64::from(stack.0) - i64::from(self.last_stack)));
        self.last_stack = stack.0;
    }

    #[inline]
    fn slot(&mut self, slot: Slot) {
        varint::put(&mut self.slots, varint::zigzag(i64::from(slot.0) - i64::from(self.last_slot)));
        self.last_slot = slot.0;
    }

    /// Appends the block's content to `out` and empties it.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let columns = [&self.sizes, &self.stacks, &self.slots, &self.others];
        varint::put(out, self.operations.len() as u64);
        for column in columns {
            varint::put(out, column.len() as u64);
        }
        out.extend_from_slice(&self.operations);
        for column in columns {
            out.extend_from_slice(column);
        }
        for column in [&mut self.operations, &mut self.sizes, &mut self.stacks, &mut self.slots, &mut self.others] {
            column.clear();
        }
        (self.last_stack, self.last_slot, self.last_clock) = (0, 0, 0);
    }
}

/// The events of a block, one after the other.
#[derive(Clone, Debug)]
pub struct EventReader<'a> {
    operations: &'a [u8],
    sizes: &'a [u8],
    stacks: &'a [u8],
    slots: &'a [u8],
    others: &'a [u8],
    last_stack: u32,
    last_slot: u32,
    last_clock: u64,
    /// Of the block in its file, for errors.
    offset: u64,
}

impl<'a> EventReader<'a> {
    /// Reads the unpacked content of an events block that stands at byte `offset` of its file.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] if the columns do not fill the content.
    pub fn new(mut content: &'a [u8], offset: u64) -> Result<Self, ReadError> {
        let bad = || ReadError::BadBlock { offset, what: "the columns of an events block do not fill it".into() };
        let mut lengths = [0usize; 5];
        for length in &mut lengths {
            let value = varint::take(&mut content).ok_or_else(bad)?;
            *length = usize::try_from(value).map_err(|_| bad())?;
        }
        let mut columns = [&content[..0]; 5];
        for (column, length) in columns.iter_mut().zip(lengths) {
            (*column, content) = content.split_at_checked(length).ok_or_else(bad)?;
        }
        if !content.is_empty() {
            return Err(bad());
        }
        let [operations, sizes, stacks, slots, others] = columns;
        Ok(Self { operations, sizes, stacks, slots, others, last_stack: 0, last_slot: 0, last_clock: 0, offset })
    }

    #[inline]
    fn decode(&mut self) -> Option<Event> {
        let (&byte, rest) = self.operations.split_first()?;
        self.operations = rest;
        let detail = byte >> 3;
        Some(match byte & 7 {
            operation::ALLOCATED => Event::Allocated {
                allocator: Allocator::from_number(detail)?,
                size: varint::take(&mut self.sizes)?,
                stack: self.stack()?,
            },
            operation::FREED => Event::Freed { slot: self.slot()? },
            operation::REALLOCATED => Event::Reallocated {
                allocator: Allocator::from_number(detail)?,
                size: varint::take(&mut self.sizes)?,
                stack: self.stack()?,
                slot: self.slot()?,
            },
            operation::SHRUNK => Event::Shrunk { bytes: varint::take(&mut self.sizes)?, slot: self.slot()? },
            operation::FREED_UNKNOWN => Event::FreedUnknown,
            operation::CONTROL => {
                let value = varint::take(&mut self.others)?;
                match detail {
                    operation::THREAD => Event::Thread(ThreadIndex(u32::try_from(value).ok()?)),
                    operation::CLOCK => {
                        self.last_clock = self.last_clock.wrapping_add(value);
                        Event::Clock(Nanos(self.last_clock))
                    }
                    operation::IMAGE_ENDED => Event::ImageEnded(ImageIndex(u32::try_from(value).ok()?)),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    #[inline]
    fn stack(&mut self) -> Option<StackId> {
        self.last_stack = difference(&mut self.stacks, self.last_stack)?;
        Some(StackId(self.last_stack))
    }

    #[inline]
    fn slot(&mut self) -> Option<Slot> {
        self.last_slot = difference(&mut self.slots, self.last_slot)?;
        Some(Slot(self.last_slot))
    }
}

#[inline]
fn difference(column: &mut &[u8], last: u32) -> Option<u32> {
    let difference = varint::unzigzag(varint::take(column)?);
    u32::try_from(i64::from(last).checked_add(difference)?).ok()
}

impl Iterator for EventReader<'_> {
    type Item = Result<Event, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.operations.is_empty() {
            return None;
        }
        Some(self.decode().ok_or_else(|| {
            self.operations = &[];
            ReadError::BadBlock { offset: self.offset, what: "an event that is none".into() }
        }))
    }
}

/// Which slots of an image are free, and which comes next.
#[derive(Clone, Debug, Default)]
pub struct SlotTable {
    free: Vec<u32>,
    next: u32,
}

impl SlotTable {
    /// The slot for a new block: the one given back last, else a new one.
    #[inline]
    pub fn take(&mut self) -> Slot {
        Slot(self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        }))
    }

    /// Gives a slot back.
    #[inline]
    pub fn give(&mut self, slot: Slot) {
        self.free.push(slot.0);
    }

    /// Slots that were ever taken; all are below this.
    pub fn used(&self) -> u32 {
        self.next
    }

    /// The state after a keyframe: `live` (ascending) are taken, the lower a free slot the sooner it is taken.
    pub fn after_keyframe(live: impl Iterator<Item = u32>, used: u32) -> Self {
        let mut free = Vec::new();
        let mut from = 0;
        for slot in live {
            free.extend(from..slot.min(used));
            from = slot.saturating_add(1);
        }
        free.extend(from..used.max(from));
        free.reverse();
        Self { free, next: used }
    }
}

/// A block in a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveBlock {
    /// Its slot.
    pub slot: Slot,
    /// The call it came from.
    pub allocator: Allocator,
    /// Its bytes.
    pub size: u64,
    /// Its stack.
    pub stack: StackId,
}

/// All live blocks of one image at one instant; the content of a keyframe block is one of these after the other.
///
/// Encoding, all LEB128: image, slots used, number of blocks, then for each block in ascending order of slot: distance
/// to the slot before (the first: to 0), allocator, size, stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyframeImage {
    /// Whose.
    pub image: ImageIndex,
    /// [`SlotTable::used`].
    pub used: u32,
    /// In ascending order of slot.
    pub blocks: Vec<LiveBlock>,
}

impl KeyframeImage {
    /// Appends it to the content of a keyframe.
    pub fn write(&self, out: &mut Vec<u8>) {
        for value in [u64::from(self.image.0), u64::from(self.used), self.blocks.len() as u64] {
            varint::put(out, value);
        }
        let mut last = 0;
        for block in &self.blocks {
            varint::put(out, u64::from(block.slot.0 - last));
            out.push(block.allocator.number());
            varint::put(out, block.size);
            varint::put(out, u64::from(block.stack.0));
            last = block.slot.0;
        }
    }

    /// Takes one off the front of a keyframe's content; `None` if that is none.
    pub fn read(content: &mut &[u8]) -> Option<Self> {
        let image = ImageIndex(u32::try_from(varint::take(content)?).ok()?);
        let used = u32::try_from(varint::take(content)?).ok()?;
        let count = usize::try_from(varint::take(content)?).ok()?;
        // Four bytes a block at least: a larger count is a lie. `used` bounds what a free list can cost.
        if count > content.len() / 4 || count > used as usize {
            return None;
        }
        let mut blocks = Vec::with_capacity(count);
        let mut last = 0u32;
        for index in 0..count {
            let distance = u32::try_from(varint::take(content)?).ok()?;
            if index > 0 && distance == 0 {
                return None;
            }
            last = last.checked_add(distance).filter(|slot| *slot < used)?;
            let (&allocator, rest) = content.split_first()?;
            *content = rest;
            blocks.push(LiveBlock {
                slot: Slot(last),
                allocator: Allocator::from_number(allocator)?,
                size: varint::take(content)?,
                stack: StackId(u32::try_from(varint::take(content)?).ok()?),
            });
        }
        Some(Self { image, used, blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn allocator() -> impl Strategy<Value = Allocator> {
        (0..crate::allocator::ALLOCATORS as u8).prop_map(|number| Allocator::from_number(number).unwrap())
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            any::<u32>().prop_map(|thread| Event::Thread(ThreadIndex(thread))),
            any::<u64>().prop_map(|time| Event::Clock(Nanos(time))),
            (allocator(), any::<u64>(), any::<u32>()).prop_map(|(allocator, size, stack)| Event::Allocated {
                allocator,
                size,
                stack: StackId(stack)
            }),
            any::<u32>().prop_map(|slot| Event::Freed { slot: Slot(slot) }),
            (any::<u32>(), allocator(), any::<u64>(), any::<u32>()).prop_map(|(slot, allocator, size, stack)| {
                Event::Reallocated { slot: Slot(slot), allocator, size, stack: StackId(stack) }
            }),
            (any::<u32>(), any::<u64>()).prop_map(|(slot, bytes)| Event::Shrunk { slot: Slot(slot), bytes }),
            Just(Event::FreedUnknown),
            any::<u32>().prop_map(|image| Event::ImageEnded(ImageIndex(image))),
        ]
    }

    proptest! {
        #[test]
        fn events_come_back(events in prop::collection::vec(event(), 0..200)) {
            let mut block = EventBlock::default();
            let mut content = Vec::new();
            // Twice: what `finish` leaves behind must not reach the next block.
            for _ in 0..2 {
                events.iter().for_each(|event| block.push(*event));
                content.clear();
                block.finish(&mut content);
                let read: Vec<Event> = EventReader::new(&content, 0).unwrap().map(Result::unwrap).collect();
                prop_assert_eq!(&read, &events);
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            if let Ok(reader) = EventReader::new(&bytes, 0) {
                reader.for_each(drop);
            }
            let mut rest = &bytes[..];
            while KeyframeImage::read(&mut rest).is_some() {}
        }

        #[test]
        fn keyframes_come_back(slots in prop::collection::btree_set(0u32..5000, 0..100), allocator in allocator()) {
            let blocks: Vec<_> = slots
                .iter()
                .map(|slot| LiveBlock {
                    slot: Slot(*slot), allocator, size: u64::from(*slot) * 77, stack: StackId(slot / 3),
                })
                .collect();
            let image = KeyframeImage { image: ImageIndex(3), used: 5000, blocks };
            let mut content = Vec::new();
            image.write(&mut content);
            let mut rest = &content[..];
            prop_assert_eq!(KeyframeImage::read(&mut rest), Some(image));
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn slots_are_reused_last_first() {
        let mut slots = SlotTable::default();
        assert_eq!([slots.take(), slots.take(), slots.take()], [Slot(0), Slot(1), Slot(2)]);
        slots.give(Slot(0));
        slots.give(Slot(2));
        assert_eq!([slots.take(), slots.take(), slots.take()], [Slot(2), Slot(0), Slot(3)]);
    }

    #[test]
    fn after_a_keyframe_the_lowest_free_slot_comes_first() {
        let mut slots = SlotTable::after_keyframe([1, 3].into_iter(), 5);
        assert_eq!([slots.take(), slots.take(), slots.take(), slots.take()], [Slot(0), Slot(2), Slot(4), Slot(5)]);
    }
}
