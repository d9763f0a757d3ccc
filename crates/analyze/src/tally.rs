//! Live bytes, peaks and totals, kept event by event. The collector runs this while it records, a replay runs it over
//! the events of a capture: same code, same answers.
//!
//! Who was alive at the peak is known without a second pass. Each row (a stack of an image) keeps its live amount, and
//! the amount it had at the last peak together with that peak's generation. A new peak only counts the generation up;
//! a row that changes first notes what it had if its generation is old. So every event costs the same, however many
//! rows there are.
//!
//! Which block an address means is elsewhere: callers say the row and the size of what comes and goes.

use heaptide_format::allocator::Allocator;
use heaptide_format::capture::summary::{Amount, ImageTotals, Row, Sample, Totals};
use heaptide_format::ids::{ImageIndex, Nanos, StackId};
use rustc_hash::FxHashMap;

/// A row of a [`Tally`]: one stack of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RowId(pub u32);

#[derive(Clone, Copy, Debug, Default)]
struct Peak {
    amount: Amount,
    /// Of the last peak that `amount` is right for.
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
struct RowState {
    live: Amount,
    allocated: Amount,
    tree_peak: Peak,
    image_peak: Peak,
    temporary: [Amount; 2],
    leaked: Amount,
    image: ImageIndex,
    stack: StackId,
}

impl RowState {
    /// Notes what the row had at the last peaks, before it changes.
    #[inline]
    fn settle(&mut self, tree_generation: u64, image_generation: u64) {
        if self.tree_peak.generation != tree_generation {
            self.tree_peak = Peak { amount: self.live, generation: tree_generation };
        }
        if self.image_peak.generation != image_generation {
            self.image_peak = Peak { amount: self.live, generation: image_generation };
        }
    }
}

#[derive(Debug, Default)]
struct ImageState {
    live: Amount,
    generation: u64,
    totals: ImageTotals,
    rows: FxHashMap<StackId, RowId>,
    /// What it leaked has been noted.
    program_ended: bool,
}

/// The running account of all images.
#[derive(Debug)]
pub struct Tally {
    rows: Vec<RowState>,
    images: Vec<ImageState>,
    live: Amount,
    generation: u64,
    other_live: Amount,
    live_high: u64,
    now: Nanos,
    totals: Totals,
    /// Of a window: what each row had live when it began and has still, by [`RowId`]. Rows beyond its end had nothing.
    old: Vec<Amount>,
    /// Limits of live bytes that have not been passed, the lowest last.
    limits: Vec<u64>,
    /// The lowest of them, or no limit.
    next_limit: u64,
    crossings: Vec<Crossing>,
}

/// Live bytes of all images have passed a limit for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The limit: live bytes are more than this now.
    pub limit: u64,
    /// Events of the run up to here, with the one that did it.
    pub events: u64,
    /// Live bytes after it.
    pub live: u64,
}

/// What a [`Tally`] comes to in the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Numbers of the run; what the tracer lost and cost is not known here and left at zero.
    pub totals: Totals,
    /// Numbers of each image.
    pub images: Vec<ImageTotals>,
    /// Every stack that allocated.
    pub rows: Vec<Row>,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self {
            rows: Vec::new(),
            images: Vec::new(),
            live: Amount::default(),
            generation: 0,
            other_live: Amount::default(),
            live_high: 0,
            now: Nanos(0),
            totals: Totals::new(),
            old: Vec::new(),
            limits: Vec::new(),
            next_limit: u64::MAX,
            crossings: Vec::new(),
        }
    }

    /// Notes from here on where live bytes pass these limits for the first time, in any order.
    pub fn watch(&mut self, mut limits: Vec<u64>) {
        limits.sort_unstable_by(|a, b| b.cmp(a));
        limits.dedup();
        self.next_limit = limits.last().copied().unwrap_or(u64::MAX);
        self.limits = limits;
    }

    /// The crossings since this was asked last, in their order. Costs nothing if there are none.
    pub fn take_crossings(&mut self) -> Vec<Crossing> {
        std::mem::take(&mut self.crossings)
    }

    #[cold]
    fn cross(&mut self) {
        let live = self.live.bytes;
        while let Some(limit) = self.limits.pop_if(|limit| *limit < live) {
            self.crossings.push(Crossing { limit, events: self.totals.events, live });
        }
        self.next_limit = self.limits.last().copied().unwrap_or(u64::MAX);
    }

    /// It is now this time; what follows happened at it.
    pub fn clock(&mut self, now: Nanos) {
        self.now = now;
    }

    /// The account begins in the middle of a run, after so many events: what is live then is told by [`Self::was_there`].
    pub fn begin_at(&mut self, events: u64, now: Nanos) {
        self.totals.events = events;
        self.now = now;
    }

    /// This block was live when the account began.
    pub fn was_there(&mut self, row: RowId, allocator: Allocator, size: u64) {
        if !allocator.is_heap() {
            return add(&mut self.other_live, size);
        }
        let row = &mut self.rows[row.0 as usize];
        add(&mut row.live, size);
        add(&mut self.images[row.image.index()].live, size);
        add(&mut self.live, size);
    }

    /// From now on the account is that of a window: nothing has been allocated yet, and what is live now is the peak so far but
    /// not leaked. The number of events is still that of the run.
    pub fn begin_window(&mut self) {
        self.old = self.rows.iter().map(|row| row.live).collect();
        self.totals = Totals {
            events: self.totals.events,
            peak: self.live,
            peak_at: self.now,
            other_mappings_peak: self.other_live.bytes,
            ..Totals::new()
        };
        self.generation += 1;
        self.live_high = self.live.bytes;
        for image in &mut self.images {
            image.generation += 1;
            let ended = image.totals.ended;
            image.totals = ImageTotals { peak: image.live, peak_at: self.now, ended, ..ImageTotals::default() };
        }
        for row in &mut self.rows {
            row.allocated = Amount::default();
            row.temporary = [Amount::default(); 2];
            row.leaked = Amount::default();
        }
    }

    /// What was released now was live when the window began.
    #[inline]
    pub fn old_gone(&mut self, row: RowId, gone: Amount) {
        if let Some(old) = self.old.get_mut(row.0 as usize) {
            *old -= gone;
        }
    }

    /// Heap blocks that are live now, all images together.
    pub fn live(&self) -> Amount {
        self.live
    }

    /// Heap blocks of an image that are live now.
    pub fn image_live(&self, image: ImageIndex) -> Amount {
        self.images.get(image.index()).map_or(Amount::default(), |image| image.live)
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.totals.events
    }

    /// Images so far.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// The most live bytes so far and when.
    pub fn peak(&self) -> (Amount, Nanos) {
        (self.totals.peak, self.totals.peak_at)
    }

    /// The row of this stack of this image, made if it is new.
    pub fn row(&mut self, image: ImageIndex, stack: StackId) -> RowId {
        if self.images.len() <= image.index() {
            self.images.resize_with(image.index() + 1, ImageState::default);
        }
        let state = &mut self.images[image.index()];
        if let Some(row) = state.rows.get(&stack) {
            return *row;
        }
        // At most 2^32 - 1 rows: a capture's stacks have 32-bit numbers, and more images than that cannot be.
        let id = RowId(self.rows.len() as u32);
        state.rows.insert(stack, id);
        let at = |generation| Peak { amount: Amount::default(), generation };
        self.rows.push(RowState {
            image,
            stack,
            live: Amount::default(),
            allocated: Amount::default(),
            tree_peak: at(self.generation),
            image_peak: at(state.generation),
            temporary: [Amount::default(); 2],
            leaked: Amount::default(),
        });
        id
    }

    /// The stack of a row.
    #[inline]
    pub fn stack(&self, row: RowId) -> StackId {
        self.rows[row.0 as usize].stack
    }

    /// The image and the stack of a row.
    pub fn place(&self, row: RowId) -> (ImageIndex, StackId) {
        let state = &self.rows[row.0 as usize];
        (state.image, state.stack)
    }

    /// A block came to life.
    #[inline]
    pub fn allocated(&mut self, row: RowId, allocator: Allocator, size: u64) {
        self.come(row, allocator, size, 1);
    }

    /// A block was released.
    #[inline]
    pub fn freed(&mut self, row: RowId, allocator: Allocator, size: u64) {
        self.totals.freed += 1;
        self.go(row, allocator, Amount { bytes: size, count: 1 }, 1);
    }

    /// A block was reallocated: one event, however it went about.
    #[inline]
    pub fn reallocated(&mut self, old: (RowId, Allocator, u64), new: (RowId, Allocator, u64)) {
        self.totals.reallocated += 1;
        self.go(old.0, old.1, Amount { bytes: old.2, count: 1 }, 0);
        self.come(new.0, new.1, new.2, 1);
    }

    /// A part of a mapping was given back, the block lives on.
    pub fn shrunk(&mut self, row: RowId, allocator: Allocator, bytes: u64) {
        self.go(row, allocator, Amount { bytes, count: 0 }, 1);
    }

    /// A block that was never seen was released.
    pub fn freed_unknown(&mut self) {
        self.totals.events += 1;
        self.totals.freed_unknown += 1;
    }

    /// The block that is just being released was temporary; see [`Recent`] for `between`.
    #[inline]
    pub fn temporary(&mut self, row: RowId, allocator: Allocator, size: u64, between: usize) {
        if allocator.is_heap() {
            let amount = &mut self.rows[row.0 as usize].temporary[between];
            amount.bytes = amount.bytes.saturating_add(size);
            amount.count += 1;
        }
    }

    /// A block came, by so many events.
    #[inline(always)]
    fn come(&mut self, row: RowId, allocator: Allocator, size: u64, events: u64) {
        let row = &mut self.rows[row.0 as usize];
        let image = &mut self.images[row.image.index()];
        self.totals.events += events;
        image.totals.events += events;
        let mix = &mut self.totals.allocators[allocator as usize];
        mix.bytes = mix.bytes.saturating_add(size);
        mix.count += 1;
        if !allocator.is_heap() {
            self.other_live.bytes = self.other_live.bytes.saturating_add(size);
            self.other_live.count += 1;
            self.totals.other_mappings_peak = self.totals.other_mappings_peak.max(self.other_live.bytes);
            return;
        }
        let bits = (u64::BITS - size.leading_zeros()) as usize;
        add(&mut self.totals.sizes[bits], size);
        add(&mut self.totals.allocated, size);

        row.settle(self.generation, image.generation);
        add(&mut row.allocated, size);
        add(&mut row.live, size);
        add(&mut image.totals.allocated, size);
        add(&mut image.live, size);
        add(&mut self.live, size);
        // Strictly more: of several equal maxima the first is the peak.
        if image.live.bytes > image.totals.peak.bytes {
            image.totals.peak = image.live;
            image.totals.peak_at = self.now;
            image.generation += 1;
        }
        if self.live.bytes > self.totals.peak.bytes {
            self.totals.peak = self.live;
            self.totals.peak_at = self.now;
            self.generation += 1;
            // Whoever passes a limit for the first time is at a new peak.
            if self.live.bytes > self.next_limit {
                self.cross();
            }
        }
        self.live_high = self.live_high.max(self.live.bytes);
    }

    /// A block or a part of one went, by so many events.
    #[inline(always)]
    fn go(&mut self, row: RowId, allocator: Allocator, gone: Amount, events: u64) {
        let row = &mut self.rows[row.0 as usize];
        let image = &mut self.images[row.image.index()];
        self.totals.events += events;
        image.totals.events += events;
        if !allocator.is_heap() {
            self.other_live -= gone;
            return;
        }
        row.settle(self.generation, image.generation);
        row.live -= gone;
        image.live -= gone;
        self.live -= gone;
    }

    /// The image's own code has ended, its interpreter goes on to tear everything down: what is live now is leaked,
    /// whatever is released from here on. Without effect the second time and for an image that is not there.
    pub fn program_ended(&mut self, image: ImageIndex) {
        let Some(state) = self.images.get_mut(image.index()) else { return };
        if state.program_ended || state.totals.ended.is_some() {
            return;
        }
        state.program_ended = true;
        state.totals.leaked = state.live;
        for id in state.rows.values() {
            let row = &mut self.rows[id.0 as usize];
            row.leaked = row.live;
            if let Some(old) = self.old.get(id.0 as usize) {
                row.leaked -= *old;
                state.totals.leaked -= *old;
            }
        }
    }

    /// The image is no more; what it had live is leaked (unless [`Self::program_ended`] was said before), and the tree
    /// holds it no longer. Without effect if it has ended before.
    pub fn image_ended(&mut self, image: ImageIndex) {
        let now = self.now;
        self.end(image, Some(now));
    }

    fn end(&mut self, image: ImageIndex, when: Option<Nanos>) {
        self.program_ended(image);
        let Some(state) = self.images.get_mut(image.index()) else { return };
        if state.totals.ended.is_some() {
            return;
        }
        state.totals.ended = when;
        self.totals.leaked += state.totals.leaked;
        self.totals.left += state.live;
        for row in state.rows.values() {
            let row = &mut self.rows[row.0 as usize];
            row.settle(self.generation, state.generation);
            row.live = Amount::default();
        }
        self.live -= state.live;
        state.live = Amount::default();
    }

    /// A point of the timeline at this time, and the start of the interval for the next one's `live_high`.
    pub fn sample(&mut self, time: Nanos, rss: u64) -> Sample {
        let sample = Sample { time, live: self.live.bytes, live_high: self.live_high, rss };
        self.live_high = self.live.bytes;
        sample
    }

    /// The account so far, as if every image that still runs ended now (their `ended` stays `None`).
    pub fn finish(mut self) -> Account {
        self.totals.other_mappings = self.other_live;
        for image in 0..self.images.len() {
            self.end(ImageIndex(image as u32), None);
        }
        // Rows of images that ended before the last peak of the tree have not been looked at since.
        for row in &mut self.rows {
            row.settle(self.generation, self.images[row.image.index()].generation);
        }
        self.totals.duration = self.now;
        let rows = self.rows.iter().map(|row| Row {
            image: row.image,
            stack: row.stack,
            allocated: row.allocated,
            at_peak: row.tree_peak.amount,
            at_image_peak: row.image_peak.amount,
            leaked: row.leaked,
            temporary: row.temporary[0],
            temporary_1: row.temporary[1],
        });
        Account {
            rows: rows.collect(),
            totals: self.totals,
            images: self.images.into_iter().map(|image| image.totals).collect(),
        }
    }
}

// Sizes that a damaged capture claims may add up to more than 64 bits: they saturate rather than wrap.
#[inline]
fn add(amount: &mut Amount, size: u64) {
    amount.bytes = amount.bytes.saturating_add(size);
    amount.count += 1;
}

/// The last two allocations of a thread: tells whether a block that the thread releases was temporary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recent {
    /// Slot + 1 of the last and of the one before; 0 is none.
    slots: [u64; 2],
}

impl Recent {
    /// The thread allocated the block in this slot.
    #[inline]
    pub fn allocated(&mut self, slot: u32) {
        self.slots = [u64::from(slot) + 1, self.slots[0]];
    }

    /// The thread releases the block in this slot, which it allocated itself: how many other allocations of the thread
    /// lie between, if 0 or 1.
    #[inline]
    pub fn freed(&mut self, slot: u32) -> Option<usize> {
        let between = self.slots.iter().position(|recent| *recent == u64::from(slot) + 1)?;
        self.slots[between] = 0;
        Some(between)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: ImageIndex = ImageIndex(0);

    fn amount(bytes: u64, count: u64) -> Amount {
        Amount { bytes, count }
    }

    fn row_of(account: &Account, image: ImageIndex, stack: u32) -> Row {
        *account.rows.iter().find(|row| row.image == image && row.stack == StackId(stack)).unwrap()
    }

    /// a = 40 000, b = 12 345, free(a), c = 1 000: most live when a and b are.
    #[test]
    fn peak_is_what_was_alive_together() {
        let mut tally = Tally::new();
        let [a, b, c] = [1, 2, 3].map(|stack| tally.row(IMAGE, StackId(stack)));
        tally.allocated(a, Allocator::Malloc, 40_000);
        tally.allocated(b, Allocator::Malloc, 12_345);
        tally.freed(a, Allocator::Malloc, 40_000);
        tally.allocated(c, Allocator::Malloc, 1_000);
        let account = tally.finish();
        assert_eq!(account.totals.peak, amount(52_345, 2));
        assert_eq!([1, 2, 3].map(|s| row_of(&account, IMAGE, s).at_peak.bytes), [40_000, 12_345, 0]);
        assert_eq!([1, 2, 3].map(|s| row_of(&account, IMAGE, s).leaked.bytes), [0, 12_345, 1_000]);
    }

    /// 60, 100, 40, 250, 300 live: 100 is passed by the fourth event, as is 200, and 300 never.
    #[test]
    fn a_limit_is_passed_once_and_by_one_event() {
        let mut tally = Tally::new();
        tally.watch(vec![300, 100, 200, 100]);
        let a = tally.row(IMAGE, StackId(1));
        tally.allocated(a, Allocator::Malloc, 60);
        tally.allocated(a, Allocator::Malloc, 40);
        tally.freed(a, Allocator::Malloc, 60);
        assert_eq!(tally.take_crossings(), []);
        tally.allocated(a, Allocator::Malloc, 210);
        tally.allocated(a, Allocator::Malloc, 50);
        let crossing = |limit| Crossing { limit, events: 4, live: 250 };
        assert_eq!(tally.take_crossings(), [crossing(100), crossing(200)]);
        tally.freed(a, Allocator::Malloc, 210);
        tally.allocated(a, Allocator::Malloc, 209);
        assert_eq!(tally.take_crossings(), []);
    }

    /// 100 then 50 freed, then 100 again: twice 100, the first counts.
    #[test]
    fn of_equal_peaks_the_first_counts() {
        let mut tally = Tally::new();
        let [a, b] = [1, 2].map(|stack| tally.row(IMAGE, StackId(stack)));
        tally.clock(Nanos(1));
        tally.allocated(a, Allocator::Malloc, 100);
        tally.freed(a, Allocator::Malloc, 100);
        tally.clock(Nanos(2));
        tally.allocated(b, Allocator::Malloc, 100);
        let account = tally.finish();
        assert_eq!(account.totals.peak_at, Nanos(1));
        assert_eq!([1, 2].map(|s| row_of(&account, IMAGE, s).at_peak.bytes), [100, 0]);
    }

    /// Image 0 has 70 and ends; image 1 then has 60: the tree's peak is 70 + 20, image 1's own is 60.
    #[test]
    fn tree_and_image_peaks_are_apart() {
        let mut tally = Tally::new();
        let first = tally.row(ImageIndex(0), StackId(1));
        let second = tally.row(ImageIndex(1), StackId(1));
        tally.allocated(first, Allocator::Malloc, 70);
        tally.allocated(second, Allocator::Malloc, 20);
        tally.image_ended(ImageIndex(0));
        tally.allocated(second, Allocator::Malloc, 40);
        let account = tally.finish();
        assert_eq!(account.totals.peak, amount(90, 2));
        assert_eq!(row_of(&account, ImageIndex(1), 1).at_peak, amount(20, 1));
        assert_eq!(row_of(&account, ImageIndex(1), 1).at_image_peak, amount(60, 2));
        assert_eq!(row_of(&account, ImageIndex(0), 1).leaked, amount(70, 1));
        assert_eq!(account.totals.leaked, amount(130, 3));
    }

    /// Image 0 has 70 and ends; image 1 then has 100: at the peak of the tree, image 0 holds nothing.
    #[test]
    fn what_ended_before_the_peak_is_not_in_it() {
        let mut tally = Tally::new();
        let first = tally.row(ImageIndex(0), StackId(1));
        let second = tally.row(ImageIndex(1), StackId(1));
        tally.allocated(first, Allocator::Malloc, 70);
        tally.image_ended(ImageIndex(0));
        tally.allocated(second, Allocator::Malloc, 100);
        let account = tally.finish();
        assert_eq!(account.totals.peak, amount(100, 1));
        assert_eq!(row_of(&account, ImageIndex(0), 1).at_peak, amount(0, 0));
        assert_eq!(row_of(&account, ImageIndex(0), 1).at_image_peak, amount(70, 1));
    }

    /// 70 live when the program's own code ends, 50 of it torn down; then 9 more.
    #[test]
    fn leaked_is_what_was_live_before_the_interpreter_finalized() {
        let mut tally = Tally::new();
        let [global, residue, late] = [1, 2, 3].map(|stack| tally.row(IMAGE, StackId(stack)));
        tally.allocated(global, Allocator::Malloc, 50);
        tally.allocated(residue, Allocator::Malloc, 20);
        tally.program_ended(IMAGE);
        tally.freed(global, Allocator::Malloc, 50);
        tally.allocated(late, Allocator::Malloc, 9);
        tally.program_ended(IMAGE);
        tally.image_ended(IMAGE);
        let account = tally.finish();
        assert_eq!((account.totals.leaked, account.totals.left), (amount(70, 2), amount(29, 2)));
        assert_eq!(account.images[0].leaked, amount(70, 2));
        assert_eq!([1, 2, 3].map(|s| row_of(&account, IMAGE, s).leaked.bytes), [50, 20, 0]);
    }

    #[test]
    fn file_maps_are_not_heap() {
        let mut tally = Tally::new();
        let row = tally.row(IMAGE, StackId(1));
        tally.allocated(row, Allocator::MmapFile, 300 << 20);
        tally.allocated(row, Allocator::Mmap, 4096);
        tally.freed(row, Allocator::MmapFile, 300 << 20);
        let account = tally.finish();
        assert_eq!(account.totals.peak, amount(4096, 1));
        assert_eq!(account.totals.other_mappings_peak, 300 << 20);
        assert_eq!(account.totals.other_mappings, amount(0, 0));
    }

    #[test]
    fn part_of_a_mapping_leaves_the_block_alive() {
        let mut tally = Tally::new();
        let row = tally.row(IMAGE, StackId(1));
        tally.allocated(row, Allocator::Mmap, 12_288);
        tally.shrunk(row, Allocator::Mmap, 4096);
        assert_eq!(row_of(&tally.finish(), IMAGE, 1).leaked, amount(8192, 1));
    }

    #[test]
    fn sizes_are_filed_by_their_bits() {
        let mut tally = Tally::new();
        let row = tally.row(IMAGE, StackId(1));
        for size in [0, 1, 2, 3, 4, u64::MAX >> 1] {
            tally.allocated(row, Allocator::Malloc, size);
        }
        let counts: Vec<u64> = tally.finish().totals.sizes.iter().map(|amount| amount.count).collect();
        assert_eq!(counts[..4], [1, 1, 2, 1]);
        assert_eq!(counts[63], 1);
    }

    #[test]
    fn temporary_is_freed_before_anything_else_is_allocated() {
        let mut recent = Recent::default();
        recent.allocated(7);
        recent.allocated(9);
        assert_eq!(recent.freed(7), Some(1));
        assert_eq!(recent.freed(9), Some(0));
        recent.allocated(1);
        recent.allocated(2);
        recent.allocated(3);
        assert_eq!(recent.freed(1), None);
    }
}
