//! Events back to what they meant: the live blocks of each image, and the [`Tally`] that the collector kept as well.
//!
//! For a capture without a footer, this gives its answers; for one with, only what the footer does not hold. Blocks of
//! the file come in one after the other; finding them is the reader's.

use crate::names::Names;
use crate::tally::{Account, Recent, RowId, Tally};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::events::{Event, EventReader, KeyframeImage, SlotTable};
use heaptide_format::capture::summary::Amount;
use heaptide_format::capture::{ReadError, varint};
use heaptide_format::ids::{ImageIndex, Slot, StackId, ThreadIndex};

/// A replay from the first event on.
#[derive(Debug, Default)]
pub struct Replay {
    tally: Tally,
    images: Vec<ImageBlocks>,
    threads: Vec<ThreadState>,
    /// Most other allocations of the thread between that of a block and its release for [`Replay::temporary`].
    within: u32,
    /// By [`RowId`].
    temporary: Vec<Amount>,
    inconsistent: u64,
}

/// The live blocks of one image.
#[derive(Debug, Default)]
struct ImageBlocks {
    slots: SlotTable,
    /// By slot; `None` for one that is free.
    blocks: Vec<Option<Block>>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    size: u64,
    row: RowId,
    thread: ThreadIndex,
    /// Allocations of the thread up to this one, modulo 2^32.
    sequence: u32,
    allocator: Allocator,
}

#[derive(Clone, Copy, Debug, Default)]
struct ThreadState {
    recent: Recent,
    allocations: u32,
}

impl Replay {
    /// Nothing has happened yet. Blocks freed with at most `within` other allocations of their thread between will be
    /// in [`Replay::temporary`].
    pub fn new(within: u32) -> Self {
        Self { within, ..Self::default() }
    }

    /// Replays the unpacked content of the events block at byte `offset` of the file.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] at the first event that is none or that names what is not defined.
    pub fn events(&mut self, content: &[u8], offset: u64, names: &Names) -> Result<(), ReadError> {
        let undefined = |what| ReadError::BadBlock { offset, what: format!("an event of {what} that is not defined") };
        let mut current = None;
        for event in EventReader::new(content, offset)? {
            match event? {
                Event::Thread(thread) => {
                    let definition = names.thread(thread).ok_or_else(|| undefined("a thread"))?;
                    self.meet(thread, definition.image);
                    current = Some((thread, definition.image));
                }
                Event::Clock(time) => self.tally.clock(time),
                Event::ImageEnded(image) => {
                    names.image(image).ok_or_else(|| undefined("a process"))?;
                    self.tally.image_ended(image);
                    if let Some(blocks) = self.images.get_mut(image.index()) {
                        *blocks = ImageBlocks::default();
                    }
                }
                Event::ProgramEnded(image) => {
                    names.image(image).ok_or_else(|| undefined("a process"))?;
                    self.tally.program_ended(image);
                }
                Event::FreedUnknown => self.tally.freed_unknown(),
                block_event => {
                    let (thread, image) = current.ok_or_else(|| undefined("a thread"))?;
                    if let Event::Allocated { stack, .. } | Event::Reallocated { stack, .. } = block_event
                        && !names.has_stack(stack)
                    {
                        return Err(undefined("a stack"));
                    }
                    self.block_event(block_event, thread, image);
                }
            }
        }
        Ok(())
    }

    fn meet(&mut self, thread: ThreadIndex, image: ImageIndex) {
        if self.threads.len() <= thread.index() {
            self.threads.resize_with(thread.index() + 1, ThreadState::default);
        }
        if self.images.len() <= image.index() {
            self.images.resize_with(image.index() + 1, ImageBlocks::default);
        }
    }

    fn block_event(&mut self, event: Event, thread: ThreadIndex, image: ImageIndex) {
        match event {
            Event::Allocated { allocator, size, stack } => {
                let row = self.tally.row(image, stack);
                self.tally.allocated(row, allocator, size);
                let slot = self.images[image.index()].slots.take();
                let sequence = self.note_allocation(slot, thread);
                self.put(slot, image, Block { size, row, thread, sequence, allocator });
            }
            Event::Freed { slot } => {
                let blocks = &mut self.images[image.index()];
                let Some(block) = blocks.blocks.get_mut(slot.index()).and_then(Option::take) else {
                    self.inconsistent += 1;
                    return;
                };
                blocks.slots.give(slot);
                self.note_temporary(slot, thread, block);
                self.tally.freed(block.row, block.allocator, block.size);
            }
            Event::Reallocated { slot, allocator, size, stack } => {
                let Some(old) = self.live(image, slot) else {
                    self.inconsistent += 1;
                    return;
                };
                self.note_temporary(slot, thread, old);
                let row = self.tally.row(image, stack);
                self.tally.reallocated((old.row, old.allocator, old.size), (row, allocator, size));
                // A mapping that is moved or resized is still the one it was.
                let (thread, sequence) = match old.allocator.is_mapping() {
                    true => (old.thread, old.sequence),
                    false => (thread, self.note_allocation(slot, thread)),
                };
                self.put(slot, image, Block { size, row, thread, sequence, allocator });
            }
            Event::Shrunk { slot, bytes } => {
                let Some(mut block) = self.live(image, slot) else {
                    self.inconsistent += 1;
                    return;
                };
                let bytes = bytes.min(block.size);
                self.tally.shrunk(block.row, block.allocator, bytes);
                block.size -= bytes;
                self.images[image.index()].blocks[slot.index()] = Some(block);
            }
            Event::Thread(_)
            | Event::Clock(_)
            | Event::FreedUnknown
            | Event::ImageEnded(_)
            | Event::ProgramEnded(_) => {}
        }
    }

    fn live(&self, image: ImageIndex, slot: Slot) -> Option<Block> {
        self.images[image.index()].blocks.get(slot.index()).copied().flatten()
    }

    /// This thread allocates into this slot: gives how many allocations of it that makes.
    fn note_allocation(&mut self, slot: Slot, thread: ThreadIndex) -> u32 {
        let state = &mut self.threads[thread.index()];
        state.recent.allocated(slot.0);
        state.allocations = state.allocations.wrapping_add(1);
        state.allocations
    }

    fn put(&mut self, slot: Slot, image: ImageIndex, block: Block) {
        let blocks = &mut self.images[image.index()].blocks;
        // A slot is at most one above those ever used, so this grows by one at a time.
        if blocks.len() <= slot.index() {
            blocks.resize(slot.index() + 1, None);
        }
        blocks[slot.index()] = Some(block);
    }

    /// Files the block as temporary if it is, now that this thread releases it. Mappings never are: they are given back
    /// in parts, by whoever likes to.
    fn note_temporary(&mut self, slot: Slot, thread: ThreadIndex, block: Block) {
        if block.thread != thread || block.allocator.is_mapping() {
            return;
        }
        let state = &mut self.threads[thread.index()];
        if let Some(between) = state.recent.freed(slot.0) {
            self.tally.temporary(block.row, block.allocator, block.size, between);
        }
        if state.allocations.wrapping_sub(block.sequence) <= self.within {
            let row = block.row.0 as usize;
            if self.temporary.len() <= row {
                self.temporary.resize(row + 1, Amount::default());
            }
            self.temporary[row] += Amount { bytes: block.size, count: 1 };
        }
    }

    /// Passes the unpacked content of the keyframe at byte `offset` of the file: from there on, the writer took free
    /// slots in ascending order.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] if it does not hold the blocks that are live by the events before it.
    pub fn keyframe(&mut self, mut content: &[u8], offset: u64) -> Result<(), ReadError> {
        let bad = |what: &str| ReadError::BadBlock { offset, what: what.to_owned() };
        while !content.is_empty() {
            let mut head = content;
            let [image, _, count] = [(); 3].map(|()| varint::take(&mut head).unwrap_or(u64::MAX));
            let known = usize::try_from(image).ok().and_then(|index| self.images.get(index));
            let live = known.map_or(0, |image| image.blocks.iter().flatten().count() as u64);
            // Only what our own events say is believed: claimed numbers would cost memory.
            if count != live {
                return Err(bad("a keyframe that is not what the events before it left"));
            }
            let frame = KeyframeImage::read(&mut content).ok_or_else(|| bad("a keyframe that is none"))?;
            let Some(image) = self.images.get_mut(frame.image.index()) else { continue };
            let live = image.blocks.iter().zip(0u32..).filter(|(block, _)| block.is_some()).map(|(_, slot)| slot);
            if frame.used != image.slots.used() || !live.clone().eq(frame.blocks.iter().map(|block| block.slot.0)) {
                return Err(bad("a keyframe that is not what the events before it left"));
            }
            image.slots = SlotTable::after_keyframe(live, frame.used);
        }
        Ok(())
    }

    /// The same answers as the footer of a finished capture, save for what only the collector knows.
    pub fn finish(self) -> Account {
        let mut account = self.tally.finish();
        account.totals.tracer.inconsistent = self.inconsistent;
        account
    }

    /// What was freed within the number of allocations given at the start, for each stack of each image that did so.
    pub fn temporary(&self) -> Vec<(ImageIndex, StackId, Amount)> {
        let used = self.temporary.iter().zip(0u32..).filter(|(amount, _)| amount.count > 0);
        used.map(|(amount, row)| {
            let (image, stack) = self.tally.place(RowId(row));
            (image, stack, *amount)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::capture::definitions::{Definitions, FrameDef, ImageDef, ImageOrigin, NodeDef, ThreadDef};
    use heaptide_format::capture::events::EventBlock;
    use heaptide_format::ids::{FrameId, Nanos, StringId};

    /// Two images; threads 0 and 1 belong to the first, thread 2 to the second; stacks 1 to 3.
    fn names() -> Names {
        let image = |pid| ImageDef {
            pid,
            parent: None,
            origin: ImageOrigin::Exec,
            program: StringId(0),
            arguments: Vec::new(),
            python: 0,
            started: Nanos(0),
        };
        let mut names = Names::default();
        let definitions = Definitions {
            strings: vec!["program".into()],
            frames: vec![FrameDef::Unknown { address: 1 }],
            nodes: vec![NodeDef { parent: StackId(0), frame: FrameId(0) }; 3],
            images: vec![image(7), image(8)],
            threads: [0, 0, 1].map(|image| ThreadDef { image: ImageIndex(image), tid: 1 }).to_vec(),
            ..Definitions::default()
        };
        names.extend(definitions, 0).unwrap();
        names
    }

    fn content(events: &[Event]) -> Vec<u8> {
        let mut block = EventBlock::default();
        events.iter().for_each(|event| block.push(*event));
        let mut content = Vec::new();
        block.finish(&mut content);
        content
    }

    fn replayed(within: u32, events: &[Event]) -> Replay {
        let mut replay = Replay::new(within);
        replay.events(&content(events), 0, &names()).unwrap();
        replay
    }

    fn thread(index: u32) -> Event {
        Event::Thread(ThreadIndex(index))
    }

    fn allocated(size: u64, stack: u32) -> Event {
        Event::Allocated { allocator: Allocator::Malloc, size, stack: StackId(stack) }
    }

    fn freed(slot: u32) -> Event {
        Event::Freed { slot: Slot(slot) }
    }

    fn amount(bytes: u64, count: u64) -> Amount {
        Amount { bytes, count }
    }

    #[test]
    fn slots_are_of_an_image() {
        // Both images have a slot 0; each frees its own.
        let account = replayed(
            0,
            &[thread(0), allocated(100, 1), thread(2), allocated(7, 1), freed(0), thread(1), allocated(20, 2)],
        )
        .finish();
        assert_eq!(account.totals.leaked, amount(120, 2));
        assert_eq!(account.totals.peak, amount(120, 2));
        assert_eq!(account.images[1].peak, amount(7, 1));
        assert_eq!(account.totals.tracer.inconsistent, 0);
    }

    #[test]
    fn an_ended_image_leaves_its_slots() {
        let account =
            replayed(0, &[thread(0), allocated(100, 1), Event::ImageEnded(ImageIndex(0)), freed(0), allocated(5, 1)])
                .finish();
        assert_eq!(account.totals.tracer.inconsistent, 1);
        assert_eq!(account.images[0].leaked, amount(100, 1));
    }

    #[test]
    fn a_realloc_keeps_its_slot_and_changes_its_stack() {
        let realloc = Event::Reallocated { slot: Slot(0), allocator: Allocator::Realloc, size: 300, stack: StackId(2) };
        let account = replayed(0, &[thread(0), allocated(100, 1), realloc]).finish();
        assert_eq!(account.rows[0].leaked, amount(0, 0));
        assert_eq!(account.rows[0].temporary, amount(100, 1));
        assert_eq!(account.rows[1].leaked, amount(300, 1));
        assert_eq!(account.totals.allocated, amount(400, 2));
        assert_eq!(account.totals.peak, amount(300, 1));
    }

    #[test]
    fn temporary_within_any_number() {
        // a (10), b (20), c (30), then a freed: two others between. Then d (40) is freed by another thread.
        let events = [
            thread(0),
            allocated(10, 1),
            allocated(20, 1),
            allocated(30, 2),
            freed(0),
            allocated(40, 3),
            thread(1),
            freed(0),
        ];
        assert_eq!(replayed(1, &events).temporary(), []);
        assert_eq!(replayed(2, &events).temporary(), [(ImageIndex(0), StackId(1), amount(10, 1))]);
    }

    #[test]
    fn releases_of_nothing_are_counted_not_believed() {
        let shrunk = Event::Shrunk { slot: Slot(3), bytes: 9 };
        let realloc =
            Event::Reallocated { slot: Slot(u32::MAX), allocator: Allocator::Realloc, size: 9, stack: StackId(0) };
        let account = replayed(0, &[thread(0), freed(u32::MAX), shrunk, realloc]).finish();
        assert_eq!((account.totals.tracer.inconsistent, account.totals.peak), (3, amount(0, 0)));
    }

    #[test]
    fn events_of_what_is_not_defined_are_refused() {
        let refused = |events: &[Event]| Replay::new(0).events(&content(events), 5, &names()).unwrap_err().to_string();
        assert_eq!(refused(&[thread(3)]), "damaged at byte 5: an event of a thread that is not defined");
        assert_eq!(refused(&[allocated(1, 1)]), "damaged at byte 5: an event of a thread that is not defined");
        assert_eq!(
            refused(&[thread(0), allocated(1, 4)]),
            "damaged at byte 5: an event of a stack that is not defined"
        );
        assert_eq!(
            refused(&[Event::ImageEnded(ImageIndex(2))]),
            "damaged at byte 5: an event of a process that is not defined"
        );
    }

    #[test]
    fn a_keyframe_resets_the_order_of_free_slots() {
        use heaptide_format::capture::events::LiveBlock;
        let mut replay = replayed(
            0,
            &[thread(0), allocated(1, 1), allocated(2, 1), allocated(3, 1), allocated(4, 1), freed(0), freed(2)],
        );
        let block = |slot, size| LiveBlock { slot: Slot(slot), allocator: Allocator::Malloc, size, stack: StackId(1) };
        let keyframe = KeyframeImage { image: ImageIndex(0), used: 4, blocks: vec![block(1, 2), block(3, 4)] };
        let mut content_ = Vec::new();
        keyframe.write(&mut content_);
        replay.keyframe(&content_, 0).unwrap();
        // Without the keyframe the next one would be in slot 2.
        replay.events(&content(&[thread(0), allocated(500, 2), freed(0)]), 0, &names()).unwrap();
        assert_eq!(replay.finish().totals.leaked, amount(6, 2));

        let mut replay = replayed(0, &[thread(0), allocated(1, 1)]);
        assert!(replay.keyframe(&content_, 8).is_err());
    }
}
