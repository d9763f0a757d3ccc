//! Events back to what they meant: the live blocks of each image, and the [`Tally`] that the collector kept as well.
//!
//! For a capture without a footer, this gives its answers; for one with, what the footer does not hold: any window of
//! time ([`Replay::between`]), and whatever a [`Watch`] makes of blocks as they come and go. Blocks of the file come in
//! one after the other, from the first or from a keyframe on; finding them is the reader's.

use crate::instants::Position;
use crate::names::Names;
use crate::tally::{Account, Recent, RowId, Tally};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::batch::{Batch, BatchReader, Operation, Saying, Word};
use heaptide_format::capture::events::{Event, KeyframeImage, SlotTable};
use heaptide_format::capture::summary::Amount;
use heaptide_format::capture::{ReadError, varint};
use heaptide_format::ids::{ImageIndex, Nanos, Slot, StackId, ThreadIndex};

/// What somebody wants to know of blocks beside the account. Only of blocks that are heap.
pub trait Watch {
    /// A stack of an image that allocates for the first time; rows are numbered from 0 in this order.
    fn row(&mut self, _row: RowId, _image: ImageIndex, _stack: StackId) {}
    /// The window begins at this time, with so many live bytes. Blocks that came before it are told by [`Watch::was_there`].
    fn begins(&mut self, _now: Nanos, _live: u64) {}
    /// A block that is live when the window begins.
    fn was_there(&mut self, _block: Block) {}
    /// It is now this time.
    fn clock(&mut self, _now: Nanos) {}
    /// One of the places that were asked for is reached, see [`Replay::with_stops`].
    fn reached(&mut self) {}
    /// A block came to life; `live` bytes of all images then.
    fn came(&mut self, _block: Block, _live: u64) {}
    /// A block, or a part of one, was released; `live` bytes of all images then.
    fn went(&mut self, _block: Block, _gone: Gone, _live: u64) {}
    /// A block was reallocated: one goes and one comes, at once.
    fn reallocated(&mut self, old: Block, gone: Gone, new: Block, live: u64) {
        self.went(old, gone, live);
        self.came(new, live);
    }
    /// The code of this program has ended, after what it leaked was told; its interpreter, if any, is torn down.
    fn program_ended(&mut self, _image: ImageIndex) {}
    /// The last collection of cyclic garbage of this image's interpreter begins.
    fn collects(&mut self, _image: ImageIndex) {}
    /// It is over: what of the leaked was released between was garbage.
    fn collected(&mut self, _image: ImageIndex) {}
    /// This image is no more, after what it left was told.
    fn image_ended(&mut self, _image: ImageIndex) {}
    /// The window ends: what is told from now on as left is live at its end.
    fn ends(&mut self) {}
    /// A block was live when its program ended, so it leaked.
    fn leaked(&mut self, _block: Block) {}
    /// A block was live at the very end of its image, or of the window.
    fn left(&mut self, _block: Block) {}
}

/// What of a block was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its bytes, or those of a part of a mapping.
    pub bytes: u64,
    /// 1; 0 for a part of a mapping.
    pub blocks: u64,
    /// It was temporary: released by the thread that allocated it, with at most so many other allocations of that thread
    /// between as the replay was made for.
    pub temporary: bool,
}

impl Gone {
    /// As an amount.
    pub fn amount(self) -> Amount {
        Amount { bytes: self.bytes, count: self.blocks }
    }
}

/// Nothing.
impl Watch for () {}

/// Both are told of everything.
macro_rules! forward {
    ($($method:ident($($name:ident: $kind:ty),*);)*) => {
        impl<A: Watch, B: Watch> Watch for (A, B) {
            $(#[inline] fn $method(&mut self, $($name: $kind),*) {
                self.0.$method($($name),*);
                self.1.$method($($name),*);
            })*
        }

        impl<W: Watch> Watch for Option<W> {
            $(#[inline] fn $method(&mut self, $($name: $kind),*) {
                if let Some(watch) = self {
                    watch.$method($($name),*);
                }
            })*
        }
    };
}

forward! {
    row(row: RowId, image: ImageIndex, stack: StackId);
    begins(now: Nanos, live: u64);
    was_there(block: Block);
    clock(now: Nanos);
    reached();
    came(block: Block, live: u64);
    went(block: Block, gone: Gone, live: u64);
    reallocated(old: Block, gone: Gone, new: Block, live: u64);
    program_ended(image: ImageIndex);
    collects(image: ImageIndex);
    collected(image: ImageIndex);
    image_ended(image: ImageIndex);
    ends();
    leaked(block: Block);
    left(block: Block);
}

/// When a block came to life, to [`Born::UNIT`] nanoseconds (the collector's clock goes in larger steps).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Born(u32);

impl Born {
    /// Nanoseconds of one step: 32 bits of them are 6 days, after which all are born in the last.
    pub const UNIT: u64 = 1 << 17;

    fn at(now: Nanos) -> Self {
        Self(u32::try_from(now.0 / Self::UNIT).unwrap_or(u32::MAX))
    }

    /// The beginning of its step.
    pub fn time(self) -> Nanos {
        Nanos(u64::from(self.0) * Self::UNIT)
    }
}

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
    part: u8,
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

/// Where a replay stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Before the window.
    #[default]
    Before,
    Within,
    /// Nothing more is to be read.
    Behind,
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

/// A live block, or [`Block::NONE`].
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Size in bits 0–50, number of the allocator in 51–55, part of the window above.
    packed: u64,
    /// Its row in bits 0–31, its thread above.
    whose: u64,
    /// Allocations of the thread up to this one, modulo 2^32, in bits 0–31, when it was [`Born`] above. Halves of words: two
    /// that were just stored cannot be loaded as one without waiting, and blocks are often copied as soon as they are made.
    since: u64,
}

impl Block {
    /// No block: the slot is free.
    const NONE: Self = Self { packed: u64::MAX, whose: 0, since: 0 };
    const MOST_BYTES: u64 = (1 << Self::ALLOCATOR) - 1;
    const ALLOCATOR: u32 = 51;
    const PART: u32 = 56;

    /// Size, allocator and part.
    fn packed(size: u64, allocator: Allocator, part: u8) -> u64 {
        // No address space is as large as the size that is cut here: a damaged capture claims it.
        let numbers = u64::from(allocator.number()) << Self::ALLOCATOR | u64::from(part) << Self::PART;
        size.min(Self::MOST_BYTES) | numbers
    }

    #[inline]
    fn new(packed: u64, (row, thread): (RowId, ThreadIndex), sequence: u32, born: Born) -> Self {
        let two = |low, high| u64::from(low) | u64::from(high) << 32;
        Self { packed, whose: two(row.0, thread.0), since: two(sequence, born.0) }
    }

    /// A block for the tests of a [`Watch`].
    #[cfg(test)]
    pub(crate) fn of_row(row: RowId, bytes: u64) -> Self {
        Self::new(Self::packed(bytes, Allocator::Malloc, 1), (row, ThreadIndex(0)), 0, Born(0))
    }

    fn is_none(self) -> bool {
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

    fn sequence(self) -> u32 {
        self.since as u32
    }

    /// In which part of the window: 0 before it, 1 up to the first stop, see [`Replay::with_stops`].
    pub fn part(self) -> u8 {
        (self.packed >> Self::PART) as u8
    }

    /// It came before the window.
    fn is_old(self) -> bool {
        self.part() == 0
    }

    fn whole(self, temporary: bool) -> Gone {
        Gone { bytes: self.bytes(), blocks: 1, temporary }
    }
}

/// What an event says beside its slot, as a replay needs it.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// As in [`Block`], of part 0.
    packed: u64,
    stack: StackId,
    /// [`NO_ROW`] until it is met.
    row: RowId,
    /// Whose `row` is.
    image: ImageIndex,
    allocator: Allocator,
    operation: Operation,
}

/// No row yet. A capture has fewer stacks.
const NO_ROW: RowId = RowId(u32::MAX);

impl Said {
    fn of(saying: &Saying) -> Self {
        let Saying { size, stack, allocator, operation } = *saying;
        let packed = Block::packed(size, allocator, 0);
        Self { packed, stack, row: NO_ROW, image: ImageIndex(0), allocator, operation }
    }

    fn bytes(self) -> u64 {
        self.packed & Block::MOST_BYTES
    }

    fn packed(self, part: u8) -> u64 {
        self.packed | u64::from(part) << Block::PART
    }
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

    /// Tells the watch when these places are reached, in their order, which must be that of the run; at most
    /// [`MOST_STOPS`]. They divide the window into parts, and each block knows in which it came.
    pub fn with_stops(mut self, stops: &[Position]) -> Self {
        self.stops.extend(stops.iter().take(MOST_STOPS).rev());
        self
    }

    /// Whether the end of the window was reached, so that no more events are wanted.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Behind
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

    /// Begins and ends the window where this event, which comes next and is not of a block, lies behind its beginning or
    /// its end.
    fn stops_before(&mut self, event: Event) -> bool {
        self.stop_where(|replay, position| replay.is_before(position, event))
    }

    /// The same for an event of a block.
    #[cold]
    fn stops_before_block(&mut self) -> bool {
        self.stop_where(Self::is_before_block)
    }

    fn stop_where(&mut self, is_before: impl Fn(&Self, Position) -> bool) -> bool {
        if self.stage == Stage::Before && is_before(self, self.from) {
            self.begin();
        }
        while self.stage == Stage::Within && self.stops.last().is_none_or(|stop| is_before(self, *stop)) {
            self.stop();
        }
        self.next_stop = match (self.stage, self.stops.last()) {
            (Stage::Before, _) => least_events(self.from),
            (Stage::Within, Some(stop)) => least_events(*stop),
            _ => 0,
        };
        self.stage == Stage::Behind
    }

    /// The next stop, or the end of the window, is reached.
    fn stop(&mut self) {
        self.stops.pop();
        if self.stops.is_empty() {
            self.stage = Stage::Behind;
            return;
        }
        self.part += 1;
        self.watch.reached();
    }

    /// Whether a position lies before an event that is not of a block, all events before it having been replayed.
    fn is_before(&self, position: Position, event: Event) -> bool {
        match position {
            Position::Time(time) => matches!(event, Event::Clock(now) if now > time),
            Position::Event { count, live, time } => {
                let events = self.tally.events();
                let counts = match event {
                    Event::Thread(_) => false,
                    Event::Clock(now) => now > time,
                    // A process that ended at the same place: before it or after it? The live bytes tell.
                    _ => self.tally.live().bytes == live,
                };
                events > count || events == count && counts
            }
            Position::Start | Position::End | Position::Peak { .. } => self.is_before_block(position),
        }
    }

    /// The same for an event of a block, whichever.
    fn is_before_block(&self, position: Position) -> bool {
        match position {
            Position::Start => true,
            // Only a clock can be later.
            Position::End | Position::Time(_) => false,
            Position::Event { count, .. } => self.tally.events() >= count,
            Position::Peak { live, time } => self.now > time || self.now == time && self.tally.live().bytes == live,
        }
    }

    /// The window begins here.
    fn begin(&mut self) {
        self.stage = Stage::Within;
        self.now = self.now.max(self.from.time(self.now));
        self.tally.clock(self.now);
        self.tally.begin_window();
        self.temporary.clear();
        self.part = 1;
        self.watch.begins(self.now, self.tally.live().bytes);
        for block in self.images.iter().flat_map(|image| &image.blocks) {
            if !block.is_none() && block.allocator().is_heap() {
                self.watch.was_there(*block);
            }
        }
        self.threads.iter_mut().for_each(|thread| thread.recent = Recent::default());
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
            let live = known.map_or(0, |image| image.blocks.iter().filter(|block| !block.is_none()).count() as u64);
            // Only what our own events say is believed: claimed numbers would cost memory.
            if count != live {
                return Err(bad("a keyframe that is not what the events before it left"));
            }
            let frame = KeyframeImage::read(&mut content).ok_or_else(|| bad("a keyframe that is none"))?;
            let Some(image) = self.images.get_mut(frame.image.index()) else { continue };
            let live = image.blocks.iter().zip(0u32..).filter(|(block, _)| !block.is_none()).map(|(_, slot)| slot);
            if frame.used != image.slots.used() || !live.clone().eq(frame.blocks.iter().map(|block| block.slot.0)) {
                return Err(bad("a keyframe that is not what the events before it left"));
            }
            image.slots = SlotTable::after_keyframe(live, frame.used);
        }
        Ok(())
    }

    /// Begins at the keyframe at byte `offset` of the file, which came after so many events at this time.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] if it is none, or if most of the slots it names are free: an index by slot would be out of
    /// proportion. Nothing has been replayed then, and another beginning may be tried.
    pub fn begin_at(
        &mut self,
        mut content: &[u8],
        offset: u64,
        names: &Names,
        (events, now): (u64, Nanos),
    ) -> Result<(), ReadError> {
        let bad = |what: &str| ReadError::BadBlock { offset, what: what.to_owned() };
        let mut frames: Vec<KeyframeImage> = Vec::new();
        while !content.is_empty() {
            let frame = KeyframeImage::read(&mut content).ok_or_else(|| bad("a keyframe that is none"))?;
            let is_defined = names.image(frame.image).is_some()
                && frame.blocks.iter().all(|block| names.has_stack(block.stack))
                && frames.last().is_none_or(|last| last.image < frame.image);
            if !is_defined {
                return Err(bad("a keyframe of what is not defined"));
            }
            frames.push(frame);
        }
        let slots: u64 = frames.iter().map(|frame| u64::from(frame.used)).sum();
        let live: u64 = frames.iter().map(|frame| frame.blocks.len() as u64).sum();
        if slots > live.saturating_mul(MOST_SLOTS_PER_LIVE) + MOST_FREE_SLOTS {
            return Err(bad("a keyframe with almost no live blocks"));
        }
        self.now = now;
        self.tally.begin_at(events, now);
        for frame in frames {
            let image = frame.image;
            if self.images.len() <= image.index() {
                self.images.resize_with(image.index() + 1, ImageBlocks::default);
            }
            self.images[image.index()].slots =
                SlotTable::after_keyframe(frame.blocks.iter().map(|block| block.slot.0), frame.used);
            for live in frame.blocks {
                let row = self.row(image, live.stack);
                // Whose it is and when it came is not known: nobody's, at the beginning.
                let block = Block::new(Block::packed(live.size, live.allocator, 0), (row, NOBODY), 0, Born(0));
                self.tally.was_there(row, live.allocator, block.bytes());
                self.put(live.slot, image, block);
            }
        }
        Ok(())
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

/// How many events there are at least before an event of a block that lies behind this position.
fn least_events(position: Position) -> u64 {
    match position {
        Position::Start | Position::Peak { .. } => 0,
        Position::Event { count, .. } => count,
        Position::Time(_) | Position::End => u64::MAX,
    }
}

/// Most stops of a replay: blocks know their part in 8 bits, of which 255 is no part.
pub const MOST_STOPS: usize = 252;

/// A keyframe may have so many slots for each live block, and so many beside: 96 MiB.
const MOST_SLOTS_PER_LIVE: u64 = 16;
const MOST_FREE_SLOTS: u64 = 4 << 20;
/// The thread of a block that came before the replay began.
pub(crate) const NOBODY: ThreadIndex = ThreadIndex(u32::MAX);

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
        .finish()
        .0;
        assert_eq!(account.totals.leaked, amount(120, 2));
        assert_eq!(account.totals.peak, amount(120, 2));
        assert_eq!(account.images[1].peak, amount(7, 1));
        assert_eq!(account.totals.tracer.inconsistent, 0);
    }

    #[test]
    fn an_ended_image_leaves_its_slots() {
        let account =
            replayed(0, &[thread(0), allocated(100, 1), Event::ImageEnded(ImageIndex(0)), freed(0), allocated(5, 1)])
                .finish()
                .0;
        assert_eq!(account.totals.tracer.inconsistent, 1);
        assert_eq!(account.images[0].leaked, amount(100, 1));
    }

    #[test]
    fn a_realloc_keeps_its_slot_and_changes_its_stack() {
        let realloc = Event::Reallocated { slot: Slot(0), allocator: Allocator::Realloc, size: 300, stack: StackId(2) };
        let account = replayed(0, &[thread(0), allocated(100, 1), realloc]).finish().0;
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
        let account = replayed(0, &[thread(0), freed(u32::MAX), shrunk, realloc]).finish().0;
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
        assert_eq!(replay.finish().0.totals.leaked, amount(6, 2));

        let mut replay = replayed(0, &[thread(0), allocated(1, 1)]);
        assert!(replay.keyframe(&content_, 8).is_err());
    }
}
