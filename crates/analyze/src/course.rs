//! The course of a run, or of a window of it: who had what at some hundreds of instants, from one replay.
//!
//! It is divided into parts, at regular times and at its marks. For each *cell* (a stack, the thread that allocated
//! and the function it called) there is
//!
//! - how much lived from which part to which ([`Course::lives`]): whatever was live at an instant between two parts,
//! - what was allocated in each part and how much of that was temporary ([`Course::flows`]),
//! - how its live bytes at the highest instant of a part differ from those at its beginning ([`Course::peaks`]),
//! - what it leaked, by the part it came in ([`Course::leaked`]).
//!
//! So whatever [`crate::profile::Profile`] says of an instant or a window whose ends are ends of parts can be added up from
//! these lists, exactly. Blocks that come and go within a part are only in the sums of that part, which keeps the lists short;
//! where they would still become long, parts are put together, while they are made and by [`Course::limit`].

use crate::error::CaptureError;
use crate::instants::{Position, Span, position};
use crate::profile::{Amounts, Metric, Profile};
use crate::reader::{Capture, Progress};
use crate::replay::{Block, Gone, MOST_STOPS, Watch};
use crate::tally::RowId;
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, Nanos, StackId, ThreadIndex};
use rustc_hash::FxHashMap;

mod limit;

/// How finely a run or window is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    /// Parts of equal length, if it is long enough.
    pub parts: u64,
    /// Rows of all lists that are kept while there may be more to come; with more, two parts become one.
    pub rows: usize,
    /// The same for each cell, if that is more: longer parts do not make fewer rows where each cell has but a few.
    pub rows_of_a_cell: usize,
}

impl Division {
    /// About one for each pixel of a plot. With 24 to 40 bytes a row and room to grow, 100 MB.
    pub const FINE: Self = Self { parts: 800, rows: 1_500_000, rows_of_a_cell: 4 };
    /// Where each part is a row to read.
    pub const COARSE: Self = Self { parts: 200, ..Self::FINE };

    fn is_too_fine(self, rows: usize, cells: usize) -> bool {
        rows > self.rows.max(cells.saturating_mul(self.rows_of_a_cell))
    }
}

/// Parts are not shorter: the collector looks at the time about so often.
const SHORTEST: u64 = 1_000_000;

/// In place of a part: earlier than the first.
pub const BEFORE: i16 = -1;

/// Who allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Of which process image.
    pub image: ImageIndex,
    /// With which stack.
    pub stack: StackId,
    /// By which thread.
    pub thread: ThreadIndex,
    /// Calling what.
    pub allocator: Allocator,
}

/// The end of a part, which is the beginning of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// Where it is among the events: what a profile of the same instant is asked by.
    pub position: Position,
    /// When, since the start.
    pub time: Nanos,
    /// Its mark, by its place in [`Capture::marks`]; `None`: a regular time.
    pub mark: Option<u32>,
    /// Live bytes of all that the course is of.
    pub live: u64,
}

/// The highest instant of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Live bytes then.
    pub bytes: u64,
    /// When, to the collector's clock.
    pub at: Nanos,
}

/// Blocks of a cell that came in one part and went in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Place in [`Course::cells`].
    pub cell: u32,
    /// The part they came in; [`BEFORE`] the first: they were there when the window began.
    pub born: i16,
    /// The part they went in, later than `born`; the number of parts for those that were live at the very end.
    pub died: i16,
    /// They.
    pub amount: Amount,
    /// Those of them that were temporary.
    pub temporary: Amount,
}

/// What a cell allocated in a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Place in [`Course::cells`].
    pub cell: u32,
    /// The part.
    pub part: i16,
    /// All.
    pub allocated: Amount,
    /// What of it was temporary and went in the same part.
    pub temporary: Amount,
}

/// How a cell's live bytes at another instant of a part differ from those at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Place in [`Course::cells`].
    pub cell: u32,
    /// The part.
    pub part: i16,
    /// Bytes, less or more.
    pub bytes: i64,
    /// Blocks.
    pub count: i64,
}

impl Change {
    fn between(cell: u32, part: i16, before: Amount, after: Amount) -> Self {
        let bytes = after.bytes.wrapping_sub(before.bytes) as i64;
        Self { cell, part, bytes, count: after.count.wrapping_sub(before.count) as i64 }
    }
}

/// What a cell leaked: was live when its program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaked {
    /// Place in [`Course::cells`].
    pub cell: u32,
    /// The part it came in.
    pub born: i16,
    /// It.
    pub amount: Amount,
}

/// The course of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Who allocated, each once.
    pub cells: Vec<Cell>,
    /// Byte-seconds and block-seconds of each cell.
    pub byte_seconds: Vec<Amount>,
    /// Beginning and end of each part: one more than there are parts. The first is the start of the run or window, the last
    /// its end.
    pub instants: Vec<Instant>,
    /// The highest instant of each part.
    pub peaks_at: Vec<Peak>,
    /// Ordered by cell.
    pub lives: Vec<Life>,
    /// Ordered by part.
    pub flows: Vec<Flow>,
    /// What each cell had at the highest instant of a part. Ordered by part; cells that had the same as at its beginning are
    /// left out.
    pub peaks: Vec<Change>,
    /// The same at the end of a part.
    pub changes: Vec<Change>,
    /// Ordered by cell.
    pub leaked: Vec<Leaked>,
    /// By image: the part in which its program ended, or [`BEFORE`]; `None`: it did not.
    pub ended: Vec<Option<i16>>,
    /// Why it ends before the run did, if it does.
    pub damage: Option<String>,
}

impl Course {
    /// Of the run or a window, divided so finely, of one process or all (`None`), with temporary blocks by at most so many
    /// allocations between. Costs a replay of its events, which `also` watches as well.
    ///
    /// # Errors
    /// As [`Capture::replay`].
    pub fn of<W: Watch>(
        capture: &Capture,
        (span, division): (Span, Division),
        pid: Option<u32>,
        within: u32,
        also: W,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Self, W), CaptureError> {
        let ends = span.ends();
        let stops = stops(capture, ends, division.parts);
        let positions: Vec<Position> = stops.iter().map(|stop| stop.position).collect();
        let chosen = capture.names.images().iter().map(|image| pid.is_none_or(|pid| image.pid == pid)).collect();
        let [start, end] = [ends.0, ends.1].map(|position| end(capture, position));
        let watch = (Following::new(chosen, division, start, stops), also);
        let replayed = capture.replay_with_stops((span, &positions), within, watch, progress)?;
        let (following, also) = replayed.watch;
        let mut course = following.finish(end);
        course.note_earlier_ends(capture);
        course.damage = replayed.damage.map(|error| error.to_string());
        Ok((course, also))
    }

    /// What no replay that began at a keyframe could know: whose program had ended before.
    fn note_earlier_ends(&mut self, capture: &Capture) {
        let begin = self.instants[0].time;
        for (ended, image) in self.ended.iter_mut().zip(&capture.account.images) {
            if ended.is_none()
                && self.instants[0].position != Position::Start
                && image.ended.is_some_and(|ended| ended <= begin)
            {
                *ended = Some(BEFORE);
            }
        }
    }

    /// Number of parts.
    pub fn parts(&self) -> usize {
        self.peaks_at.len()
    }

    /// What each cell had live at one of the instants, by its place in [`Course::instants`].
    pub fn live_at(&self, instant: usize) -> Vec<Amount> {
        let mut live = vec![Amount::default(); self.cells.len()];
        for life in &self.lives {
            if i32::from(life.born) < instant as i32 && instant as i32 <= i32::from(life.died) {
                live[life.cell as usize] += life.amount;
            }
        }
        live
    }

    /// The whole course's answers for each cell: at its peak, leaked, allocated, temporary.
    pub fn whole(&self) -> Vec<[Amount; 4]> {
        let mut sums = vec![[Amount::default(); 4]; self.cells.len()];
        let highest = (0..self.parts()).rev().max_by_key(|part| self.peaks_at[*part].bytes).unwrap_or(0);
        for (sums, live) in sums.iter_mut().zip(self.live_at(highest)) {
            sums[0] = live;
        }
        for peak in self.peaks.iter().filter(|peak| peak.part as usize == highest) {
            let at_peak = &mut sums[peak.cell as usize][0];
            at_peak.bytes = at_peak.bytes.saturating_add_signed(peak.bytes);
            at_peak.count = at_peak.count.saturating_add_signed(peak.count);
        }
        for leaked in &self.leaked {
            sums[leaked.cell as usize][1] += leaked.amount;
        }
        for flow in &self.flows {
            sums[flow.cell as usize][2] += flow.allocated;
            sums[flow.cell as usize][3] += flow.temporary;
        }
        for life in &self.lives {
            sums[life.cell as usize][3] += life.temporary;
        }
        sums
    }

    /// Whether it adds up to the profile of the same run and processes. It does, unless the events of a damaged capture are
    /// not those that its summary was made of.
    pub fn agrees_with(&self, profile: &Profile) -> bool {
        let mut total = [Amount::default(); 4];
        for sums in self.whole() {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        let metrics = [Metric::Peak, Metric::Leaked, Metric::Allocated, Metric::Temporary];
        let has_place = |cell: &Cell| match profile.places.get(cell.stack.index()) {
            Some(Some(_)) => true,
            // A stack without frames.
            _ => profile.bare != Amounts::default(),
        };
        metrics.into_iter().zip(total).all(|(metric, total)| profile.total.of(metric) == total)
            && self.cells.iter().all(has_place)
    }
}

/// An end of the course.
fn end(capture: &Capture, position: Position) -> Instant {
    let time = position.time(capture.account.totals.duration);
    let mark = capture.marks.iter().position(|mark| self::position(mark) == position);
    Instant { position, time, mark: mark.map(|mark| mark as u32), live: 0 }
}

/// The ends of all parts but the last: regular times, of at most so many parts, and marks between these ends, in the order of
/// the run.
fn stops(capture: &Capture, (from, to): (Position, Position), parts: u64) -> Vec<Instant> {
    let [begin, end] = [from, to].map(|end| end.time(capture.account.totals.duration).0);
    let length = end.saturating_sub(begin);
    let stop = |position: Position, time, mark| Instant { position, time, mark, live: 0 };
    let parts = (length / SHORTEST).min(parts).max(1);
    let regular =
        (1..parts).map(|part| Nanos(begin + (u128::from(length) * u128::from(part) / u128::from(parts)) as u64));
    let mut stops: Vec<Instant> = regular.map(|time| stop(Position::Time(time), time, None)).collect();
    let room = MOST_STOPS - stops.len();
    let is_between = |place: Position, time: Nanos| {
        let Position::Event { count, .. } = place else { return false };
        // Behind the event of the one end and before that of the other; what is as near to a peak is not looked into.
        let begun = match from {
            Position::Start => true,
            Position::Event { count: first, time: begin, .. } => (time, count) > (begin, first),
            Position::Time(begin) | Position::Peak { time: begin, .. } => time > begin,
            Position::End => false,
        };
        let is_over = match to {
            Position::Start => true,
            Position::Event { count: last, time: end, .. } => (time, count) >= (end, last),
            Position::Peak { time: end, .. } => time >= end,
            Position::Time(_) | Position::End => time.0 > end,
        };
        begun && !is_over
    };
    let marks = capture.marks.iter().zip(0u32..).filter(|(mark, _)| is_between(position(mark), mark.time)).take(room);
    // A mark lies within a round of the collector, a regular time behind it. Marks of one round are in their order.
    stops.extend(marks.map(|(mark, place)| stop(position(mark), mark.time, Some(place))));
    stops.sort_by_key(|stop| (stop.time, stop.mark.is_none()));
    stops
}

/// Nothing: no cell, no open state.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct CellState {
    cell: Cell,
    live: Amount,
    byte_nanos: u128,
    block_nanos: u128,
    /// Up to here the areas are right, in nanoseconds.
    since: u64,
    /// Place in `open`, if it changed in this part.
    open: u32,
}

/// A stack of an image.
#[derive(Clone, Copy, Debug)]
struct RowState {
    image: ImageIndex,
    stack: StackId,
    /// The last of its cells that was met.
    last: u32,
    /// It has more than one, which are in `others`.
    several: bool,
}

/// What is known of a cell that changed in this part.
#[derive(Clone, Copy, Debug)]
struct Open {
    cell: u32,
    /// At the beginning of the part.
    at_start: Amount,
    /// At the last peak, if `generation` is the present one; else it has not changed since.
    at_peak: Amount,
    generation: u32,
    flow: Amount,
    temporary: Amount,
}

/// Follows the events.
#[derive(Debug)]
struct Following {
    /// By image.
    chosen: Vec<bool>,
    division: Division,
    /// The ends of parts that there may be.
    stops: Vec<Instant>,
    /// By the part that blocks know, which is the number of stops before them: that which it is in. 0 is before the window.
    parts: Vec<i16>,
    /// Regular stops that were reached.
    regular: u32,
    /// One in so many of them ends a part.
    one_in: u32,
    /// By [`RowId`].
    rows: Vec<RowState>,
    cells: Vec<CellState>,
    /// The cells of rows that have several.
    others: FxHashMap<(RowId, ThreadIndex, Allocator), u32>,
    open: Vec<Open>,
    /// By cell and the part they came in: what went in this part.
    gone: FxHashMap<(u32, i16), (Amount, Amount)>,
    /// By cell and the part that blocks know.
    leaked: FxHashMap<(u32, u16), Amount>,
    live: u64,
    peak: Peak,
    generation: u32,
    part: i16,
    now: Nanos,
    /// The window is over.
    ends: bool,
    course: Course,
}

impl Following {
    fn new(chosen: Vec<bool>, division: Division, start: Instant, stops: Vec<Instant>) -> Self {
        Self {
            course: Course { ended: vec![None; chosen.len()], instants: vec![start], ..Course::default() },
            chosen,
            division,
            stops,
            parts: vec![BEFORE, 0],
            regular: 0,
            one_in: 1,
            rows: Vec::new(),
            cells: Vec::new(),
            others: FxHashMap::default(),
            open: Vec::new(),
            gone: FxHashMap::default(),
            leaked: FxHashMap::default(),
            live: 0,
            peak: Peak::default(),
            generation: 0,
            part: 0,
            now: Nanos(0),
            ends: false,
        }
    }

    /// The cell of a block, made if it is new; `None` for a process that was not chosen.
    #[inline(always)]
    fn cell(&mut self, block: Block) -> Option<u32> {
        let row = self.rows[block.row().0 as usize];
        if !self.chosen[row.image.index()] {
            return None;
        }
        let who = (block.thread(), block.allocator());
        match self.cells.get(row.last as usize) {
            Some(state) if (state.cell.thread, state.cell.allocator) == who => Some(row.last),
            _ => Some(self.other_cell(block)),
        }
    }

    /// The same where it is not the last one of its row.
    #[cold]
    fn other_cell(&mut self, block: Block) -> u32 {
        let row = &mut self.rows[block.row().0 as usize];
        let who = (block.thread(), block.allocator());
        let cell = Cell { image: row.image, stack: row.stack, thread: who.0, allocator: who.1 };
        let new = self.cells.len() as u32;
        let place = match row.last {
            NONE => new,
            last => {
                if !std::mem::replace(&mut row.several, true) {
                    let first = self.cells[last as usize].cell;
                    self.others.insert((block.row(), first.thread, first.allocator), last);
                }
                *self.others.entry((block.row(), who.0, who.1)).or_insert(new)
            }
        };
        row.last = place;
        if place == new {
            self.cells.push(CellState {
                cell,
                live: Amount::default(),
                byte_nanos: 0,
                block_nanos: 0,
                since: self.now.0,
                open: NONE,
            });
        }
        place
    }

    /// The cell's state and that of this part, brought up to date before it changes.
    #[inline(always)]
    fn change(&mut self, place: u32) -> (&mut CellState, &mut Open) {
        let state = &mut self.cells[place as usize];
        let elapsed = self.now.0.saturating_sub(state.since);
        if elapsed > 0 {
            state.byte_nanos += u128::from(state.live.bytes) * u128::from(elapsed);
            state.block_nanos += u128::from(state.live.count) * u128::from(elapsed);
            state.since = self.now.0;
        }
        if state.open == NONE {
            state.open = self.open.len() as u32;
            let (at_start, none) = (state.live, Amount::default());
            let generation = self.generation;
            self.open.push(Open { cell: place, at_start, at_peak: at_start, generation, flow: none, temporary: none });
        }
        let open = &mut self.open[state.open as usize];
        if open.generation != self.generation {
            (open.at_peak, open.generation) = (state.live, self.generation);
        }
        (state, open)
    }

    /// The part ends here.
    fn close(&mut self, end: Instant) {
        let part = self.part;
        for open in std::mem::take(&mut self.open) {
            let state = &mut self.cells[open.cell as usize];
            state.open = NONE;
            let at_peak = if open.generation == self.generation { open.at_peak } else { state.live };
            if open.flow != Amount::default() || open.temporary != Amount::default() {
                let (allocated, temporary) = (open.flow, open.temporary);
                self.course.flows.push(Flow { cell: open.cell, part, allocated, temporary });
            }
            if at_peak != open.at_start {
                self.course.peaks.push(Change::between(open.cell, part, open.at_start, at_peak));
            }
            if state.live != open.at_start {
                self.course.changes.push(Change::between(open.cell, part, open.at_start, state.live));
            }
        }
        self.tell_gone();
        self.course.peaks_at.push(self.peak);
        self.course.instants.push(Instant { live: self.live, ..end });
        self.part += 1;
        self.begin_part();
    }

    fn tell_gone(&mut self) {
        for ((cell, born), (amount, temporary)) in self.gone.drain() {
            self.course.lives.push(Life { cell, born, died: self.part, amount, temporary });
        }
    }

    fn begin_part(&mut self) {
        self.peak = Peak { bytes: self.live, at: self.now };
        self.generation = self.generation.wrapping_add(1);
    }

    /// From now on parts are twice as long, and those that there are already.
    fn put_parts_together(&mut self) {
        let Some(now) = self.course.halve(0) else { return };
        self.one_in *= 2;
        self.parts.iter_mut().filter(|part| **part != BEFORE).for_each(|part| *part = now[*part as usize]);
        self.part = now[self.part as usize];
    }

    fn finish(mut self, end: Instant) -> Course {
        // What the end left is live at the end: it went in the part behind the last.
        debug_assert!(self.gone.is_empty() || self.part > 0);
        self.tell_gone();
        let mut course = self.course;
        let leaked = self.leaked.into_iter();
        let leaked = leaked.map(|((cell, part), amount)| Leaked { cell, born: self.parts[usize::from(part)], amount });
        course.leaked = leaked.collect();
        if let Some(last) = course.instants.last_mut() {
            *last = Instant { live: last.live, ..end };
        }
        course.put_same_together();
        let seconds = |nanos: u128| u64::try_from((nanos + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX);
        for state in self.cells {
            course.cells.push(state.cell);
            course.byte_seconds.push(Amount { bytes: seconds(state.byte_nanos), count: seconds(state.block_nanos) });
        }
        course
    }

    #[inline(always)]
    fn release(&mut self, block: Block, gone: Gone) {
        let Some(place) = self.cell(block) else { return };
        let born = self.parts[usize::from(block.part())];
        let part = self.part;
        self.live = self.live.saturating_sub(gone.bytes);
        let (state, open) = self.change(place);
        state.live -= gone.amount();
        if born == part {
            if gone.temporary {
                open.temporary += gone.amount();
            }
            return;
        }
        let (amount, temporary) = self.gone.entry((place, born)).or_default();
        *amount += gone.amount();
        if gone.temporary {
            *temporary += gone.amount();
        }
    }
}

impl Watch for Following {
    fn row(&mut self, _: RowId, image: ImageIndex, stack: StackId) {
        self.rows.push(RowState { image, stack, last: NONE, several: false });
    }

    fn begins(&mut self, now: Nanos, _live: u64) {
        self.now = now;
        self.begin_part();
    }

    fn was_there(&mut self, block: Block) {
        let Some(place) = self.cell(block) else { return };
        self.cells[place as usize].live += Amount { bytes: block.bytes(), count: 1 };
        self.live = self.live.saturating_add(block.bytes());
        self.course.instants[0].live = self.live;
        self.peak.bytes = self.live;
    }

    fn clock(&mut self, now: Nanos) {
        self.now = now;
    }

    fn reached(&mut self) {
        let stop = self.stops[self.parts.len() - 2];
        let is_regular = stop.mark.is_none();
        self.regular += u32::from(is_regular);
        if !is_regular || self.regular.is_multiple_of(self.one_in) {
            self.close(stop);
            let is_too_fine = self.division.is_too_fine(self.course.rows(), self.cells.len());
            if is_too_fine && is_regular && self.regular.is_multiple_of(2 * self.one_in) {
                self.put_parts_together();
            }
        }
        self.parts.push(self.part);
    }

    #[inline(always)]
    fn came(&mut self, block: Block, _live: u64) {
        let Some(place) = self.cell(block) else { return };
        let amount = Amount { bytes: block.bytes(), count: 1 };
        let (state, open) = self.change(place);
        state.live += amount;
        open.flow += amount;
        self.live = self.live.saturating_add(amount.bytes);
        if self.live > self.peak.bytes {
            self.peak = Peak { bytes: self.live, at: self.now };
            self.generation = self.generation.wrapping_add(1);
        }
    }

    #[inline(always)]
    fn went(&mut self, block: Block, gone: Gone, _live: u64) {
        self.release(block, gone);
    }

    fn program_ended(&mut self, image: ImageIndex) {
        if !self.ends {
            self.course.ended[image.index()] = Some(self.part);
        }
    }

    fn leaked(&mut self, block: Block) {
        if let Some(place) = self.cell(block) {
            *self.leaked.entry((place, block.part())).or_default() += Amount { bytes: block.bytes(), count: 1 };
        }
    }

    fn ends(&mut self) {
        // Where it ends is known later.
        self.close(self.course.instants[0]);
        self.ends = true;
    }

    fn left(&mut self, block: Block) {
        self.release(block, Gone { bytes: block.bytes(), blocks: 1, temporary: false });
    }
}
