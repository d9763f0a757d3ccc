//! The events of a block as numbers, some ten thousand at a time: for whoever decodes them on one thread and replays them on
//! another.
//!
//! [`super::EventReader`] gives events that stand for themselves. Here an event is one [`Word`], and what it says beside its
//! slot is a [`Saying`], which stands in the batch in which the block says it first: so a batch is small, and what a reader
//! works out of a saying it works out once a block, not once an event.

use super::error::ReadError;
use super::events::{Event, EventReader, moved, operation, symbol};
use super::varint;
use crate::allocator::Allocator;
use crate::ids::StackId;

/// Most events of one batch: half a megabyte of words.
pub const BATCH_EVENTS: usize = 64 * 1024;

/// One event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// [`Word::FREED`], [`Word::CONTROL`], or [`Word::FIRST_SAYING`] and the number of a saying of the block, from 0 on.
    pub what: u32,
    /// Its slot, if it has one; of a control the place in [`Batch::controls`].
    pub of: u32,
}

impl Word {
    /// The block in this slot was released.
    pub const FREED: u32 = 0;
    /// No event of a block of memory.
    pub const CONTROL: u32 = 1;
    /// The first saying of the block.
    pub const FIRST_SAYING: u32 = 2;
}

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// As [`Event::Allocated`].
    Allocated,
    /// As [`Event::Reallocated`].
    Reallocated,
    /// As [`Event::Shrunk`]; the size is what was given back.
    Shrunk,
    /// As [`Event::FreedUnknown`]; nothing else counts.
    FreedUnknown,
}

/// What an event says beside its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saying {
    /// Bytes; 0 where there are none.
    pub size: u64,
    /// Where from; 0 where it is not said.
    pub stack: StackId,
    /// By which call; without meaning where it is not said.
    pub allocator: Allocator,
    /// What.
    pub operation: Operation,
}

/// Up to [`BATCH_EVENTS`] events of a block.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    words: Vec<Word>,
    sayings: Vec<Saying>,
    controls: Vec<Event>,
    begins: bool,
}

impl Batch {
    /// Its events in their order.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// What its block says for the first time here. The numbers go on from those of the batches before.
    pub fn sayings(&self) -> &[Saying] {
        &self.sayings
    }

    /// Threads, times and ends.
    pub fn controls(&self) -> &[Event] {
        &self.controls
    }

    /// Whether its block begins with it: no saying has a number yet.
    pub fn begins(&self) -> bool {
        self.begins
    }

    /// Takes everything out of it, but not the memory.
    pub fn clear(&mut self) {
        self.words.clear();
        self.sayings.clear();
        self.controls.clear();
        self.begins = false;
    }
}

/// The events of a block, batch by batch.
#[derive(Clone, Debug)]
pub struct BatchReader<'a> {
    columns: EventReader<'a>,
    /// By number of a saying: whether the events that say it have a slot.
    has_slot: Vec<bool>,
    begins: bool,
}

impl<'a> BatchReader<'a> {
    /// Reads the unpacked content of an events block that stands at byte `offset` of its file.
    ///
    /// # Errors
    /// As [`EventReader::new`].
    pub fn new(content: &'a [u8], offset: u64) -> Result<Self, ReadError> {
        Ok(Self { columns: EventReader::new(content, offset)?, has_slot: Vec::new(), begins: true })
    }

    /// Whether all events were read.
    pub fn is_done(&self) -> bool {
        self.columns.symbols.is_empty()
    }

    /// Puts the next events in place of what is in the batch.
    ///
    /// # Errors
    /// Those of [`EventReader`], at the same event: the batch has those before it, and there are no others.
    pub fn read(&mut self, batch: &mut Batch) -> Result<(), ReadError> {
        batch.clear();
        batch.begins = std::mem::take(&mut self.begins);
        // An event has a byte of symbols at least.
        let most = BATCH_EVENTS.min(self.columns.symbols.len());
        batch.words.reserve(most);
        while batch.words.len() < most && !self.is_done() {
            match self.word(batch) {
                Some(word) => batch.words.push(word),
                None => return Err(self.columns.is_damaged()),
            }
        }
        Ok(())
    }

    #[inline]
    fn word(&mut self, batch: &mut Batch) -> Option<Word> {
        let columns = &mut self.columns;
        let number = match varint::take(&mut columns.symbols)? {
            symbol::FREED => {
                columns.last_slot = moved(columns.last_slot, varint::take(&mut columns.slots)?)?;
                return Some(Word { what: Word::FREED, of: columns.last_slot });
            }
            symbol::CONTROL => {
                batch.controls.push(columns.control()?);
                return Some(Word { what: Word::CONTROL, of: batch.controls.len() as u32 - 1 });
            }
            symbol::NEW => {
                let saying = self.saying()?;
                self.has_slot.push(matches!(saying.operation, Operation::Reallocated | Operation::Shrunk));
                batch.sayings.push(saying);
                self.has_slot.len() - 1
            }
            known => usize::try_from(known - symbol::FIRST).ok()?,
        };
        // A block has fewer sayings than bytes, of which a length counts at most 2^28.
        let what = Word::FIRST_SAYING + number as u32;
        if *self.has_slot.get(number)? {
            let columns = &mut self.columns;
            columns.last_slot = moved(columns.last_slot, varint::take(&mut columns.slots)?)?;
            return Some(Word { what, of: columns.last_slot });
        }
        Some(Word { what, of: 0 })
    }

    fn saying(&mut self) -> Option<Saying> {
        let said = self.columns.new_saying()?;
        let operation = match said.operation & 7 {
            operation::ALLOCATED => Operation::Allocated,
            operation::REALLOCATED => Operation::Reallocated,
            operation::SHRUNK => Operation::Shrunk,
            operation::FREED_UNKNOWN => Operation::FreedUnknown,
            _ => return None,
        };
        let allocator = Allocator::from_number(said.operation >> 3)?;
        Some(Saying { size: said.size, stack: StackId(said.stack), allocator, operation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::events::EventBlock;
    use crate::ids::{ImageIndex, Nanos, Slot, ThreadIndex};
    use proptest::prelude::*;

    /// The events that a block's batches stand for, and the error that they end with.
    fn events_of(content: &[u8]) -> Result<(Vec<Event>, Option<ReadError>), ReadError> {
        let mut reader = BatchReader::new(content, 5)?;
        let (mut batch, mut said, mut events) = (Batch::default(), Vec::new(), Vec::new());
        loop {
            let read = reader.read(&mut batch);
            assert_eq!(batch.begins(), events.is_empty() && said.is_empty());
            assert!(batch.words().len() <= BATCH_EVENTS);
            said.extend_from_slice(batch.sayings());
            events.extend(batch.words().iter().map(|word| {
                let slot = Slot(word.of);
                let Some(number) = word.what.checked_sub(Word::FIRST_SAYING) else {
                    return match word.what {
                        Word::FREED => Event::Freed { slot },
                        _ => batch.controls()[word.of as usize],
                    };
                };
                let Saying { size, stack, allocator, operation }: Saying = said[number as usize];
                match operation {
                    Operation::Allocated => Event::Allocated { allocator, size, stack },
                    Operation::Reallocated => Event::Reallocated { slot, allocator, size, stack },
                    Operation::Shrunk => Event::Shrunk { slot, bytes: size },
                    Operation::FreedUnknown => Event::FreedUnknown,
                }
            }));
            if read.is_err() || reader.is_done() {
                return Ok((events, read.err()));
            }
        }
    }

    fn one_by_one(content: &[u8]) -> Result<(Vec<Event>, Option<ReadError>), ReadError> {
        let mut reader = EventReader::new(content, 5)?;
        let events = reader.by_ref().map_while(Result::ok).collect();
        let damage = EventReader::new(content, 5)?.find_map(Result::err);
        Ok((events, damage))
    }

    /// A block with all that there is.
    fn block() -> EventBlock {
        let mut block = EventBlock::default();
        let (allocator, stack) = (Allocator::Calloc, StackId(7));
        block.push(Event::Thread(ThreadIndex(3)));
        block.push(Event::Clock(Nanos(1 << 40)));
        for size in [300, 5_000_000_000, 300] {
            block.push(Event::Allocated { allocator, size, stack });
            block.push(Event::Reallocated { slot: Slot(size as u32 / 3), allocator, size, stack });
            block.push(Event::Freed { slot: Slot(70_000) });
            block.push(Event::Shrunk { slot: Slot(2), bytes: size });
        }
        block.push(Event::FreedUnknown);
        block.push(Event::ImageEnded(ImageIndex(2)));
        block.push(Event::ProgramEnded(ImageIndex(9)));
        block
    }

    proptest! {
        #[test]
        fn any_bytes_are_the_same_events_as_one_by_one(bytes: Vec<u8>) {
            prop_assert_eq!(events_of(&bytes), one_by_one(&bytes));
        }

        #[test]
        fn damage_is_found_at_the_same_event(place: prop::sample::Index, byte: u8) {
            let mut content = Vec::new();
            block().finish(&mut content);
            *place.get_mut(&mut content) = byte;
            prop_assert_eq!(events_of(&content), one_by_one(&content));
        }
    }

    #[test]
    fn a_large_block_is_several_batches() {
        let mut block = block();
        // 17 before; each of them says something new or something that the first batch said.
        for number in 0..BATCH_EVENTS as u32 {
            let (allocator, size) = (Allocator::Malloc, u64::from(number % 50_000));
            block.push(Event::Allocated { allocator, size, stack: StackId(1) });
        }
        let mut content = Vec::new();
        block.finish(&mut content);
        let (events, damage) = events_of(&content).unwrap();
        assert_eq!((events.len(), damage), (BATCH_EVENTS + 17, None));
        assert_eq!(Ok((events, None)), one_by_one(&content));
    }
}
