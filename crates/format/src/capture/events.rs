//! Events in columns, and the slots that name blocks.
//!
//! A capture holds no addresses. A live block is named by its [`Slot`]: an allocation takes the slot that its image
//! gave back last (or the next new one), so it need not be written; a release names the slot. That makes the events
//! small, and a replay a matter of array indexing instead of hashing. Writer and reader keep the same [`SlotTable`].
//!
//! Programs repeat themselves: the same place asks for the same size again and again. So what an event says beside its
//! slot (operation, allocator, size, stack) is written out once a block and gets the next number; from then on the event
//! is that number.
//!
//! Content of an events block: six integers (LEB128), the lengths of the six columns, then the columns:
//!
//! | column | for each | encoding |
//! |---|---|---|
//! | symbols | event | LEB128: 0 freed, 1 control, 2 new, n + 3 the n-th new one of this block again |
//! | operations | control, new | one byte: operation in bits 0–2, allocator number or detail in bits 3–7 |
//! | sizes | new with a size | LEB128 |
//! | stacks | new with a stack | LEB128 of the zigzagged difference to the new one with a stack before, at first to 0 |
//! | slots | event with a slot | LEB128 of the zigzagged difference to the event with a slot before, at first to 0 |
//! | others | control | LEB128 of thread, nanoseconds since the previous clock (at first since 0), image, image |
//!
//! | operation | event | has |
//! |---|---|---|
//! | 0 | control: detail 0 thread, 1 clock, 2 image end, 3 program end | |
//! | 1 | allocated | size, stack |
//! | 2 | freed: symbol 0, never written as an operation | slot |
//! | 3 | reallocated | size, stack, slot |
//! | 4 | shrunk | size (the bytes given back), slot |
//! | 5 | freed unknown | |
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
    /// The image's own code has ended and its interpreter begins to finalize: what is live now is what it leaked. A second and
    /// a third one of an image say that the interpreter's last collection of cyclic garbage has begun and is over: what was
    /// released between is such garbage.
    ProgramEnded(ImageIndex),
}

pub(super) mod operation {
    pub const CONTROL: u8 = 0;
    pub const ALLOCATED: u8 = 1;
    pub const REALLOCATED: u8 = 3;
    pub const SHRUNK: u8 = 4;
    pub const FREED_UNKNOWN: u8 = 5;
    /// In the detail of a `CONTROL`.
    pub const THREAD: u8 = 0;
    pub const CLOCK: u8 = 1;
    pub const IMAGE_ENDED: u8 = 2;
    pub const PROGRAM_ENDED: u8 = 3;
}

pub(super) mod symbol {
    pub const FREED: u64 = 0;
    pub const CONTROL: u64 = 1;
    pub const NEW: u64 = 2;
    /// The first that stands for an earlier one.
    pub const FIRST: u64 = 3;
}

/// What an event says beside its slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Saying {
    pub(super) size: u64,
    pub(super) stack: u32,
    /// Operation and allocator, as in the column.
    pub(super) operation: u8,
}

impl Saying {
    const fn new(operation: u8, allocator: Allocator, size: u64, stack: StackId) -> Self {
        Self { size, stack: stack.0, operation: operation | allocator.number() << 3 }
    }

    const fn bare(operation: u8, size: u64) -> Self {
        Self { size, stack: 0, operation }
    }

    const fn has_size(self) -> bool {
        matches!(self.operation & 7, operation::ALLOCATED | operation::REALLOCATED | operation::SHRUNK)
    }

    const fn has_stack(self) -> bool {
        matches!(self.operation & 7, operation::ALLOCATED | operation::REALLOCATED)
    }
}

/// Where the writer finds the number of what was said before. A place holds one saying; another one that belongs there
/// takes it, and the first gets a new number when it comes back. The reader needs none of this.
#[derive(Debug)]
struct Said {
    places: Vec<(Saying, u32)>,
    /// Sayings that were numbered in this block.
    count: u32,
    /// Numbers below are of earlier blocks.
    first: u32,
}

const PLACES: usize = 1 << 13;

impl Default for Said {
    fn default() -> Self {
        Self { places: vec![(Saying::default(), 0); PLACES], count: 1, first: 1 }
    }
}

impl Said {
    /// The number of a saying in this block, if it has one; else it gets the next.
    #[inline]
    fn number(&mut self, saying: Saying) -> Option<u32> {
        let mixed = saying.size.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ (u64::from(saying.stack) << 8 | u64::from(saying.operation)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let place = &mut self.places[(mixed >> (u64::BITS - PLACES.trailing_zeros())) as usize];
        if place.0 == saying && place.1 >= self.first {
            return Some(place.1 - self.first);
        }
        *place = (saying, self.count);
        self.count += 1;
        None
    }

    fn next_block(&mut self) {
        self.first = self.count;
        if self.count > u32::MAX / 2 {
            *self = Self::default();
        }
    }
}

/// Events on their way into a block.
#[derive(Debug, Default)]
pub struct EventBlock {
    symbols: Vec<u8>,
    operations: Vec<u8>,
    sizes: Vec<u8>,
    stacks: Vec<u8>,
    slots: Vec<u8>,
    others: Vec<u8>,
    count: usize,
    last_stack: u32,
    last_slot: u32,
    last_clock: u64,
    said: Said,
}

impl EventBlock {
    /// Number of events in it.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends an event.
    #[inline]
    pub fn push(&mut self, event: Event) {
        self.count += 1;
        match event {
            Event::Allocated { allocator, size, stack } => {
                self.say(Saying::new(operation::ALLOCATED, allocator, size, stack));
            }
            Event::Freed { slot } => {
                self.symbols.push(symbol::FREED as u8);
                self.slot(slot);
            }
            Event::Reallocated { slot, allocator, size, stack } => {
                self.say(Saying::new(operation::REALLOCATED, allocator, size, stack));
                self.slot(slot);
            }
            Event::Shrunk { slot, bytes } => {
                self.say(Saying::bare(operation::SHRUNK, bytes));
                self.slot(slot);
            }
            Event::FreedUnknown => self.say(Saying::bare(operation::FREED_UNKNOWN, 0)),
            Event::Thread(thread) => self.control(operation::THREAD, u64::from(thread.0)),
            Event::Clock(time) => {
                self.control(operation::CLOCK, time.0.wrapping_sub(self.last_clock));
                self.last_clock = time.0;
            }
            Event::ImageEnded(image) => self.control(operation::IMAGE_ENDED, u64::from(image.0)),
            Event::ProgramEnded(image) => self.control(operation::PROGRAM_ENDED, u64::from(image.0)),
        }
    }

    #[inline]
    fn say(&mut self, saying: Saying) {
        if let Some(number) = self.said.number(saying) {
            return varint::put(&mut self.symbols, u64::from(number) + symbol::FIRST);
        }
        self.symbols.push(symbol::NEW as u8);
        self.operations.push(saying.operation);
        if saying.has_size() {
            varint::put(&mut self.sizes, saying.size);
        }
        if saying.has_stack() {
            let difference = i64::from(saying.stack) - i64::from(self.last_stack);
            varint::put(&mut self.stacks, varint::zigzag(difference));
            self.last_stack = saying.stack;
        }
    }

    #[inline]
    fn slot(&mut self, slot: Slot) {
        varint::put(&mut self.slots, varint::zigzag(i64::from(slot.0) - i64::from(self.last_slot)));
        self.last_slot = slot.0;
    }

    fn control(&mut self, which: u8, value: u64) {
        self.symbols.push(symbol::CONTROL as u8);
        self.operations.push(operation::CONTROL | which << 3);
        varint::put(&mut self.others, value);
    }

    /// Appends the block's content to `out` and empties it.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let columns = [
            &mut self.symbols,
            &mut self.operations,
            &mut self.sizes,
            &mut self.stacks,
            &mut self.slots,
            &mut self.others,
        ];
        for column in &columns {
            varint::put(out, column.len() as u64);
        }
        for column in columns {
            out.append(column);
        }
        self.count = 0;
        (self.last_stack, self.last_slot, self.last_clock) = (0, 0, 0);
        self.said.next_block();
    }
}

/// The events of a block, one after the other.
#[derive(Clone, Debug)]
pub struct EventReader<'a> {
    pub(super) symbols: &'a [u8],
    operations: &'a [u8],
    sizes: &'a [u8],
    stacks: &'a [u8],
    pub(super) slots: &'a [u8],
    others: &'a [u8],
    last_stack: u32,
    pub(super) last_slot: u32,
    last_clock: u64,
    /// By number less [`symbol::FIRST`].
    said: Vec<Saying>,
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
        let mut lengths = [0usize; 6];
        for length in &mut lengths {
            let value = varint::take(&mut content).ok_or_else(bad)?;
            *length = usize::try_from(value).map_err(|_| bad())?;
        }
        let mut columns = [&content[..0]; 6];
        for (column, length) in columns.iter_mut().zip(lengths) {
            (*column, content) = content.split_at_checked(length).ok_or_else(bad)?;
        }
        if !content.is_empty() {
            return Err(bad());
        }
        let [symbols, operations, sizes, stacks, slots, others] = columns;
        let (last_stack, last_slot, last_clock, said) = (0, 0, 0, Vec::new());
        Ok(Self { symbols, operations, sizes, stacks, slots, others, last_stack, last_slot, last_clock, said, offset })
    }

    #[inline]
    fn decode(&mut self) -> Option<Event> {
        let saying = match varint::take(&mut self.symbols)? {
            symbol::FREED => return Some(Event::Freed { slot: self.slot()? }),
            symbol::CONTROL => return self.control(),
            symbol::NEW => {
                let saying = self.new_saying()?;
                self.said.push(saying);
                saying
            }
            number => *self.said.get(usize::try_from(number - symbol::FIRST).ok()?)?,
        };
        let Saying { size, stack, operation } = saying;
        let (stack, allocator) = (StackId(stack), Allocator::from_number(operation >> 3)?);
        Some(match operation & 7 {
            operation::ALLOCATED => Event::Allocated { allocator, size, stack },
            operation::REALLOCATED => Event::Reallocated { slot: self.slot()?, allocator, size, stack },
            operation::SHRUNK => Event::Shrunk { slot: self.slot()?, bytes: size },
            operation::FREED_UNKNOWN => Event::FreedUnknown,
            _ => return None,
        })
    }

    pub(super) fn control(&mut self) -> Option<Event> {
        let byte = self.operation()?;
        let value = varint::take(&mut self.others)?;
        if byte & 7 != operation::CONTROL {
            return None;
        }
        Some(match byte >> 3 {
            operation::THREAD => Event::Thread(ThreadIndex(u32::try_from(value).ok()?)),
            operation::CLOCK => {
                self.last_clock = self.last_clock.wrapping_add(value);
                Event::Clock(Nanos(self.last_clock))
            }
            operation::IMAGE_ENDED => Event::ImageEnded(ImageIndex(u32::try_from(value).ok()?)),
            operation::PROGRAM_ENDED => Event::ProgramEnded(ImageIndex(u32::try_from(value).ok()?)),
            _ => return None,
        })
    }

    pub(super) fn new_saying(&mut self) -> Option<Saying> {
        let mut saying = Saying::bare(self.operation()?, 0);
        if saying.has_size() {
            saying.size = varint::take(&mut self.sizes)?;
        }
        if saying.has_stack() {
            self.last_stack = moved(self.last_stack, varint::take(&mut self.stacks)?)?;
            saying.stack = self.last_stack;
        }
        Some(saying)
    }

    fn operation(&mut self) -> Option<u8> {
        let (&byte, rest) = self.operations.split_first()?;
        self.operations = rest;
        Some(byte)
    }

    #[inline]
    fn slot(&mut self) -> Option<Slot> {
        self.last_slot = moved(self.last_slot, varint::take(&mut self.slots)?)?;
        Some(Slot(self.last_slot))
    }
}

/// A number and a zigzagged difference; `None` outside 32 bits.
#[inline]
pub(super) fn moved(from: u32, difference: u64) -> Option<u32> {
    u32::try_from(i64::from(from).checked_add(varint::unzigzag(difference))?).ok()
}

impl Iterator for EventReader<'_> {
    type Item = Result<Event, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.symbols.is_empty() {
            return None;
        }
        Some(self.decode().ok_or_else(|| self.is_damaged()))
    }
}

impl EventReader<'_> {
    /// Nothing more is read.
    pub(super) fn is_damaged(&mut self) -> ReadError {
        self.symbols = &[];
        ReadError::BadBlock { offset: self.offset, what: "an event that is none".into() }
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
            any::<u32>().prop_map(|image| Event::ProgramEnded(ImageIndex(image))),
        ]
    }

    proptest! {
        #[test]
        fn events_come_back(events in prop::collection::vec(event(), 0..50), repeat in 1usize..40) {
            let mut block = EventBlock::default();
            let mut content = Vec::new();
            // Repeated, so that some were said before.
            let events = events.repeat(repeat);
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

    /// A loop that allocates and frees: a byte for each allocation, two for each release.
    #[test]
    fn what_was_said_before_is_a_number() {
        let mut block = EventBlock::default();
        for _ in 0..1000 {
            block.push(Event::Allocated { allocator: Allocator::Malloc, size: 123_456_789, stack: StackId(70_000) });
            block.push(Event::Freed { slot: Slot(3) });
        }
        assert_eq!(block.len(), 2000);
        let mut content = Vec::new();
        block.finish(&mut content);
        assert!(content.len() < 3020, "{} bytes", content.len());
    }

    #[test]
    fn a_number_of_nothing_is_refused() {
        let content = [1, 0, 0, 0, 0, 0, 3];
        let read: Vec<_> = EventReader::new(&content, 9).unwrap().collect();
        assert!(matches!(read[..], [Err(ReadError::BadBlock { offset: 9, .. })]));
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
