//! Events back to what they meant: the live blocks of each image, and the [`Tally`] that the collector kept as well.
//!
//! For a capture without a footer, this gives its answers; for one with, what the footer does not hold: any window of
//! time ([`Replay::between`]), and whatever a [`Watch`] makes of blocks as they come and go. Blocks of the file come in
//! one after the other, from the first or from a keyframe on; finding them is the reader's.

use crate::instants::Position;
use crate::names::Names;
use crate::tally::{Account, Recent, RowId, Tally};
use heaptide_format::capture::ReadError;
use heaptide_format::capture::batch::{Batch, BatchReader, Operation, Word};
use heaptide_format::capture::events::{Event, SlotTable};
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, Nanos, Slot, StackId, ThreadIndex};

mod block;
mod keyframes;
mod watch;
mod window;

pub use block::{Block, Born};
use block::{NO_ROW, Said};
pub use watch::{Gone, Watch};
pub use window::MOST_STOPS;
use window::Stage;

/// A replay, from the first event or from a keyframe on.
#[derive(Debug)]
pub struct Replay<W = ()> {
    tally: Tally,
    images: Vec<ImageBlocks>,
    threads: Vec<ThreadState>,
    /// Most other allocations of the thread between that of a block and its release for [`Replay::temporary`].
    within: u32,
    /// By [`RowId`].
    temporary: Vec<Amount>,
    inconsistent: u64,
    now: Nanos,
    stage: Stage,
    from: Position,
    to: Position,
    /// Places that `watch` wants to be told of, the next one last; below them `to`.
    stops: Vec<Position>,
    /// Stops that were reached in the window, and 1 for its beginning.
    part: u16,
    watch: W,
    /// Rows that were told of.
    rows: u32,
    /// By number, what the block of events that is replayed has said.
    said: Vec<Said>,
    /// Whose its next event is; none at its beginning.
    current: Option<(ThreadIndex, ImageIndex)>,
    /// As long as there were fewer events, no event of a block can lie behind the beginning or the next stop.
    next_stop: u64,
}

/// The live blocks of one image.
#[derive(Debug, Default)]
struct ImageBlocks {
    slots: SlotTable,
    /// By slot.
    blocks: Vec<Block>,
    /// Times that the end of its program was told: the second and third time its interpreter collects garbage.
    program_endings: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct ThreadState {
    recent: Recent,
    allocations: u32,
}

impl Replay {
    /// From the first event to the last. Blocks freed with at most `within` other allocations of their thread between will
    /// be in [`Replay::temporary`].
    pub fn new(within: u32) -> Self {
        Self::between(Position::Start, Position::End, within, ())
    }
}

impl<W: Watch> Replay<W> {
    /// Of a window: allocated and temporary is what came to life in it (and, if temporary, was released in it), leaked what
    /// of that was live at its end, and the peak is the instant in it at which most was live, whenever that was allocated.
    pub fn between(from: Position, to: Position, within: u32, watch: W) -> Self {
        Self {
            tally: Tally::default(),
            images: Vec::new(),
            threads: Vec::new(),
            within,
            temporary: Vec::new(),
            inconsistent: 0,
            now: Nanos(0),
            stage: Stage::Before,
            from,
            to,
            stops: vec![to],
            part: 0,
            watch,
            rows: 0,
            said: Vec::new(),
            current: None,
            next_stop: 0,
        }
    }

    /// Events that the file holds before the next.
    pub fn position(&self) -> (u64, Nanos, u64) {
        (self.tally.events(), self.now, self.tally.live().bytes)
    }

    /// Replays the unpacked content of the events block at byte `offset` of the file, or what of it lies before the end of
    /// the window.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] at the first event that is none or that names what is not defined.
    pub fn events(&mut self, content: &[u8], offset: u64, names: &Names) -> Result<(), ReadError> {
        let (mut reader, mut batch) = (BatchReader::new(content, offset)?, Batch::default());
        while !reader.is_done() && !self.is_done() {
            let read = reader.read(&mut batch);
            self.batch(&batch, offset, names)?;
            if !self.is_done() {
                read?;
            }
        }
        Ok(())
    }

    /// Replays some events of the block at byte `offset` of the file, or what of them lies before the end of the window. The
    /// batches of a block come in their order.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] at the first event that names what is not defined.
    pub fn batch(&mut self, batch: &Batch, offset: u64, names: &Names) -> Result<(), ReadError> {
        let undefined = |what| ReadError::BadBlock { offset, what: format!("an event of {what} that is not defined") };
        if batch.begins() {
            self.said.clear();
            self.current = None;
        }
        self.said.extend(batch.sayings().iter().map(Said::of));
        for word in batch.words() {
            let slot = Slot(word.of);
            if word.what == Word::CONTROL {
                let event = batch.controls()[word.of as usize];
                if self.stops_before(event) {
                    return Ok(());
                }
                self.control(event, names).map_err(undefined)?;
                continue;
            }
            if self.tally.events() >= self.next_stop && self.stops_before_block() {
                return Ok(());
            }
            let Some(number) = word.what.checked_sub(Word::FIRST_SAYING) else {
                let (thread, image) = self.current.ok_or_else(|| undefined("a thread"))?;
                self.freed(slot, thread, image);
                continue;
            };
            let said = self.said[number as usize];
            if said.operation == Operation::FreedUnknown {
                self.tally.freed_unknown();
                continue;
            }
            let (thread, image) = self.current.ok_or_else(|| undefined("a thread"))?;
            if said.operation == Operation::Shrunk {
                self.shrunk(slot, said.bytes(), image);
                continue;
            }
            // Looked at the first time it is said.
            if said.row == NO_ROW && !names.has_stack(said.stack) {
                return Err(undefined("a stack"));
            }
            if said.operation == Operation::Allocated {
                let row = self.row_of(number, said, image);
                self.allocated(row, said, thread, image);
            } else {
                self.reallocated(slot, (number, said), thread, image);
            }
        }
        Ok(())
    }

    /// An event that is not of a block. The error is what it names that is not defined.
    fn control(&mut self, event: Event, names: &Names) -> Result<(), &'static str> {
        match event {
            Event::Thread(thread) => {
                let definition = names.thread(thread).ok_or("a thread")?;
                self.meet(thread, definition.image);
                self.current = Some((thread, definition.image));
            }
            Event::Clock(time) => {
                self.now = time;
                self.tally.clock(time);
                if self.stage == Stage::Within {
                    self.watch.clock(time);
                }
            }
            Event::ImageEnded(image) => {
                names.image(image).ok_or("a process")?;
                self.tell_leaked(image);
                self.tell_left(image);
                self.tally.image_ended(image);
                if let Some(blocks) = self.images.get_mut(image.index()) {
                    *blocks = ImageBlocks::default();
                }
            }
            Event::ProgramEnded(image) => {
                names.image(image).ok_or("a process")?;
                match self.images.get_mut(image.index()) {
                    Some(state) if state.program_endings > 0 => {
                        state.program_endings = state.program_endings.saturating_add(1);
                        match state.program_endings {
                            2 if self.stage == Stage::Within => self.watch.collects(image),
                            3 if self.stage == Stage::Within => self.watch.collected(image),
                            _ => {}
                        }
                    }
                    _ => self.tell_leaked(image),
                }
                self.tally.program_ended(image);
            }
            // Those have words of their own.
            Event::Allocated { .. }
            | Event::Freed { .. }
            | Event::Reallocated { .. }
            | Event::Shrunk { .. }
            | Event::FreedUnknown => {}
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

    #[inline]
    fn row(&mut self, image: ImageIndex, stack: StackId) -> RowId {
        let row = self.tally.row(image, stack);
        if row.0 == self.rows {
            self.rows += 1;
            self.watch.row(row, image, stack);
        }
        row
    }

    /// The row of what was said under this number, for this image; worked out once a block if it has only one.
    #[inline]
    fn row_of(&mut self, number: u32, said: Said, image: ImageIndex) -> RowId {
        if said.row != NO_ROW && said.image == image {
            return said.row;
        }
        let row = self.row(image, said.stack);
        (self.said[number as usize].row, self.said[number as usize].image) = (row, image);
        row
    }

    #[inline(always)]
    fn allocated(&mut self, row: RowId, said: Said, thread: ThreadIndex, image: ImageIndex) {
        self.tally.allocated(row, said.allocator, said.bytes());
        let slot = self.images[image.index()].slots.take();
        let sequence = self.note_allocation(slot, thread);
        let block = Block::new(said.packed(self.part), (row, thread), sequence, Born::at(self.now));
        self.put(slot, image, block);
        self.tell_came(block);
    }

    #[inline(always)]
    fn freed(&mut self, slot: Slot, thread: ThreadIndex, image: ImageIndex) {
        let Some(block) = self.take(image, slot) else { return };
        self.images[image.index()].slots.give(slot);
        let temporary = self.note_temporary(slot, thread, block);
        self.tally.freed(block.row(), block.allocator(), block.bytes());
        self.tell_went(block, block.whole(temporary));
    }

    #[inline(never)]
    fn reallocated(&mut self, slot: Slot, (number, said): (u32, Said), thread: ThreadIndex, image: ImageIndex) {
        let Some(old) = self.take(image, slot) else { return };
        let temporary = self.note_temporary(slot, thread, old);
        let row = self.row_of(number, said, image);
        self.tally.reallocated((old.row(), old.allocator(), old.bytes()), (row, said.allocator, said.bytes()));
        // A mapping that is moved or resized is still the one it was.
        let (thread, sequence) = match old.allocator().is_mapping() {
            true => (old.thread(), old.sequence()),
            false => (thread, self.note_allocation(slot, thread)),
        };
        let block = Block::new(said.packed(self.part), (row, thread), sequence, Born::at(self.now));
        self.put(slot, image, block);
        self.tell_reallocated(old, temporary, block);
    }

    #[inline(never)]
    fn shrunk(&mut self, slot: Slot, bytes: u64, image: ImageIndex) {
        let Some(mut block) = self.take(image, slot) else { return };
        let bytes = bytes.min(block.bytes());
        self.tally.shrunk(block.row(), block.allocator(), bytes);
        block.packed -= bytes;
        self.put(slot, image, block);
        self.tell_went(block, Gone { bytes, blocks: 0, temporary: false });
    }

    #[inline]
    fn tell_came(&mut self, block: Block) {
        if self.stage == Stage::Within && block.allocator().is_heap() {
            self.watch.came(block, self.tally.live().bytes);
        }
    }

    #[inline]
    fn tell_went(&mut self, block: Block, gone: Gone) {
        if self.stage != Stage::Within || !block.allocator().is_heap() {
            return;
        }
        if block.is_old() {
            self.tally.old_gone(block.row(), gone.amount());
        }
        self.watch.went(block, gone, self.tally.live().bytes);
    }

    #[inline]
    fn tell_reallocated(&mut self, old: Block, temporary: bool, new: Block) {
        match (old.allocator().is_heap(), new.allocator().is_heap()) {
            (true, true) if self.stage == Stage::Within => {
                if old.is_old() {
                    self.tally.old_gone(old.row(), old.whole(temporary).amount());
                }
                self.watch.reallocated(old, old.whole(temporary), new, self.tally.live().bytes);
            }
            _ => {
                self.tell_went(old, old.whole(temporary));
                self.tell_came(new);
            }
        }
    }

    /// Tells of what the program of this image leaves, unless it has been told.
    fn tell_leaked(&mut self, index: ImageIndex) {
        let Some(image) = self.images.get_mut(index.index()) else { return };
        let is_told = image.program_endings > 0;
        image.program_endings = image.program_endings.max(1);
        if is_told || self.stage != Stage::Within {
            return;
        }
        let live = image.blocks.iter().filter(|block| !block.is_none() && !block.is_old());
        for block in live.filter(|block| block.allocator().is_heap()) {
            self.watch.leaked(*block);
        }
        self.watch.program_ended(index);
    }

    fn tell_left(&mut self, index: ImageIndex) {
        let Some(image) = self.images.get(index.index()).filter(|_| self.stage == Stage::Within) else { return };
        for block in image.blocks.iter().filter(|block| !block.is_none() && block.allocator().is_heap()) {
            self.watch.left(*block);
        }
        self.watch.image_ended(index);
    }

    /// Takes the block out of its slot; counts it if there is none.
    #[inline]
    fn take(&mut self, image: ImageIndex, slot: Slot) -> Option<Block> {
        let place = self.images[image.index()].blocks.get_mut(slot.index());
        match place {
            Some(place) if !place.is_none() => {
                let block = *place;
                place.packed = Block::NONE.packed;
                Some(block)
            }
            _ => {
                self.inconsistent += 1;
                None
            }
        }
    }

    /// This thread allocates into this slot: gives how many allocations of it that makes.
    #[inline]
    fn note_allocation(&mut self, slot: Slot, thread: ThreadIndex) -> u32 {
        let state = &mut self.threads[thread.index()];
        state.recent.allocated(slot.0);
        state.allocations = state.allocations.wrapping_add(1);
        state.allocations
    }

    #[inline]
    fn put(&mut self, slot: Slot, image: ImageIndex, block: Block) {
        let blocks = &mut self.images[image.index()].blocks;
        // A slot is at most one above those ever used, so this grows by one at a time.
        if blocks.len() <= slot.index() {
            blocks.resize(slot.index() + 1, Block::NONE);
        }
        blocks[slot.index()] = block;
    }

    /// Files the block as temporary if it is, now that this thread releases it. Mappings never are: they are given back
    /// in parts, by whoever likes to. Nor is what came before the window. Gives whether it is, by the number of allocations
    /// between that was asked for.
    #[inline(always)]
    fn note_temporary(&mut self, slot: Slot, thread: ThreadIndex, block: Block) -> bool {
        if block.thread() != thread || block.is_old() || block.allocator().is_mapping() {
            return false;
        }
        let state = &mut self.threads[thread.index()];
        if let Some(between) = state.recent.freed(slot.0) {
            self.tally.temporary(block.row(), block.allocator(), block.bytes(), between);
        }
        let temporary = state.allocations.wrapping_sub(block.sequence()) <= self.within;
        if temporary {
            let row = block.row().0 as usize;
            if self.temporary.len() <= row {
                self.temporary.resize(row + 1, Amount::default());
            }
            self.temporary[row] += Amount { bytes: block.bytes(), count: 1 };
        }
        temporary
    }

    /// The same answers as the footer of a finished capture, save for what only the collector knows; of a window what it is
    /// said to be at [`Replay::between`]. And who watched.
    pub fn finish(mut self) -> (Account, W) {
        if self.stage == Stage::Before {
            self.begin();
        }
        self.stage = Stage::Within;
        self.now = self.now.max(self.to.time(self.now));
        self.tally.clock(self.now);
        self.watch.clock(self.now);
        self.watch.ends();
        for image in 0..self.images.len() {
            let image = ImageIndex(image as u32);
            self.tell_leaked(image);
            self.tell_left(image);
        }
        let mut account = self.tally.finish();
        account.totals.tracer.inconsistent = self.inconsistent;
        (account, self.watch)
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
mod tests;
