//! How the live bytes of groups of stacks went, and when what they left was born: what leaks are judged by.

use crate::replay::{Block, Gone as Released, Watch};
use crate::tally::RowId;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, Nanos, StackId};

/// Parts that a run is divided into, of equal length.
pub const INTERVALS: usize = 200;

/// No group: not looked at.
pub const NO_GROUP: u32 = u32::MAX;

/// Live bytes of a group during one part of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
}

/// What a group did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Its live bytes in each part of the run.
    pub intervals: Vec<Interval>,
    /// What of it leaked, by the part of the run in which it was allocated.
    pub born: Vec<Amount>,
    /// Blocks that were ever allocated.
    pub allocated: u64,
    /// Blocks that were released while the programs ran.
    pub freed: u64,
    /// What leaked and was cyclic garbage: the interpreter's last collection released it. It is not in `born`.
    pub garbage: Amount,
    /// Those of them in each part of the run.
    pub freed_in: Vec<u32>,
    pub(crate) live: Amount,
    /// The part in which a program that had any of it ended, and the least until then; `None` if there was more of it since. The
    /// last part has what was live while a program ran, not what was there after all had ended.
    pub(crate) at_end: Option<(usize, u64)>,
}

/// Follows groups of stacks through a run or a window of it.
#[derive(Debug)]
pub struct Histories {
    /// By stack: its group or [`NO_GROUP`].
    group_of: Vec<u32>,
    groups: Vec<History>,
    rows: Vec<RowState>,
    /// By image: whether its own code has ended. What it releases since is its interpreter's tearing down.
    over: Vec<bool>,
    /// By image: whether it has allocated.
    met: Vec<bool>,
    /// By image whose interpreter collects garbage at its end: what that has released until now.
    since: Vec<Option<Vec<Garbage>>>,
    from: Nanos,
    /// Nanoseconds of a part; at least 1.
    step: u64,
    part: usize,
    end: Nanos,
}

/// A block that was released after the end of its program.
#[derive(Clone, Copy, Debug)]
struct Garbage {
    group: u32,
    bytes: u64,
    part: u16,
}

/// More garbage than this is not looked at: a program that leaves so much to its end.
const MOST_GARBAGE: usize = 4 << 20;

#[derive(Clone, Copy, Debug)]
struct RowState {
    group: u32,
    image: ImageIndex,
    live: Amount,
}

impl Histories {
    /// Of this number of groups, from one time to another; `group_of` says for each stack, by its number, which it is in.
    pub fn new(group_of: Vec<u32>, groups: usize, from: Nanos, to: Nanos) -> Self {
        let history = History {
            born: vec![Amount::default(); INTERVALS],
            intervals: vec![Interval::default()],
            freed_in: vec![0; INTERVALS],
            ..History::default()
        };
        Self {
            group_of,
            groups: vec![history; groups],
            rows: Vec::new(),
            over: Vec::new(),
            met: Vec::new(),
            since: Vec::new(),
            from,
            step: (to.0.saturating_sub(from.0) / INTERVALS as u64).max(1),
            part: 0,
            end: from,
        }
    }

    /// The histories of all groups, the parts of the run until the last program ended, and how long a part is.
    pub fn finish(mut self) -> (Vec<History>, usize, Nanos) {
        self.go_to(INTERVALS - 1);
        let last = self.part_of(self.end);
        for group in &mut self.groups {
            if let Some((part, least)) = group.at_end
                && part == last
            {
                group.intervals[part].least = least;
            }
        }
        (self.groups, last + 1, Nanos(self.step))
    }

    fn part_of(&self, now: Nanos) -> usize {
        ((now.0.saturating_sub(self.from.0) / self.step) as usize).min(INTERVALS - 1)
    }

    fn go_to(&mut self, part: usize) {
        for _ in self.part..part {
            for group in &mut self.groups {
                let live = group.live.bytes;
                group.intervals.push(Interval { least: live, most: live });
            }
        }
        self.part = part.max(self.part);
    }

    /// A block of a program that has ended went.
    #[cold]
    fn went_since(&mut self, block: Block, gone: Released, image: ImageIndex, group: u32) {
        let part = self.part_of(block.born().time()) as u16;
        // What came since its end was not leaked.
        let is_leaked = block.born().time() <= self.end;
        if let Some(Some(since)) = self.since.get_mut(image.index())
            && is_leaked
            && since.len() < MOST_GARBAGE
        {
            since.push(Garbage { group, bytes: gone.bytes, part });
        }
    }

    /// The row's group, if it has one and its program runs: so more of it goes on.
    #[inline]
    fn running(&mut self, row: RowId) -> Option<(&mut RowState, &mut History)> {
        let row = &mut self.rows[row.0 as usize];
        let group = self.groups.get_mut(row.group as usize)?;
        if self.over.get(row.image.index()) == Some(&true) {
            return None;
        }
        group.at_end = None;
        Some((row, group))
    }
}

impl Watch for Histories {
    fn row(&mut self, _: RowId, image: ImageIndex, stack: StackId) {
        let group = self.group_of.get(stack.index()).copied().unwrap_or(NO_GROUP);
        self.rows.push(RowState { group, image, live: Amount::default() });
        if self.over.len() <= image.index() {
            // Those between have not allocated, and may never.
            self.over.resize(image.index() + 1, true);
            self.met.resize(image.index() + 1, false);
        }
        if !std::mem::replace(&mut self.met[image.index()], true) {
            self.over[image.index()] = false;
        }
    }

    fn was_there(&mut self, block: Block) {
        if let Some((row, group)) = self.running(block.row()) {
            row.live += Amount { bytes: block.bytes(), count: 1 };
            group.live += Amount { bytes: block.bytes(), count: 1 };
            group.intervals[0] = Interval { least: group.live.bytes, most: group.live.bytes };
        }
    }

    fn clock(&mut self, now: Nanos) {
        let part = self.part_of(now);
        if part > self.part {
            self.go_to(part);
        }
        if self.over.contains(&false) {
            self.end = now;
        }
    }

    #[inline(always)]
    fn came(&mut self, block: Block, _live: u64) {
        if let Some((row, group)) = self.running(block.row()) {
            row.live += Amount { bytes: block.bytes(), count: 1 };
            group.live += Amount { bytes: block.bytes(), count: 1 };
            group.allocated += 1;
            if let Some(interval) = group.intervals.last_mut() {
                interval.most = interval.most.max(group.live.bytes);
            }
        }
    }

    #[inline(always)]
    fn went(&mut self, block: Block, gone: Released, _live: u64) {
        let part = self.part;
        let RowState { group, image, .. } = self.rows[block.row().0 as usize];
        if self.over.get(image.index()) == Some(&true) && group != NO_GROUP {
            return self.went_since(block, gone, image, group);
        }
        if let Some((row, group)) = self.running(block.row()) {
            row.live -= gone.amount();
            group.live -= gone.amount();
            group.freed += gone.blocks;
            group.freed_in[part] = group.freed_in[part].saturating_add(gone.blocks as u32);
            if let Some(interval) = group.intervals.last_mut() {
                interval.least = interval.least.min(group.live.bytes);
            }
        }
    }

    fn reallocated(&mut self, old: Block, gone: Released, new: Block, live: u64) {
        let [from, to] = [old, new].map(|block| self.rows[block.row().0 as usize].group);
        if from != to || self.running(old.row()).is_none() {
            self.went(old, gone, live);
            return self.came(new, live);
        }
        // At no time it had neither.
        let part = self.part;
        let (went, came) = (gone.amount(), Amount { bytes: new.bytes(), count: 1 });
        self.rows[old.row().0 as usize].live -= went;
        self.rows[new.row().0 as usize].live += came;
        let Some(group) = self.groups.get_mut(from as usize) else { return };
        group.live -= went;
        group.live += came;
        (group.allocated, group.freed) = (group.allocated + 1, group.freed + 1);
        group.freed_in[part] = group.freed_in[part].saturating_add(1);
        if let Some(interval) = group.intervals.last_mut() {
            interval.least = interval.least.min(group.live.bytes);
            interval.most = interval.most.max(group.live.bytes);
        }
    }

    fn leaked(&mut self, block: Block) {
        let part = self.part_of(block.born().time());
        if let Some(group) = self.groups.get_mut(self.rows[block.row().0 as usize].group as usize) {
            group.born[part] += Amount { bytes: block.bytes(), count: 1 };
        }
    }

    fn program_ended(&mut self, image: ImageIndex) {
        if let Some(over) = self.over.get_mut(image.index()) {
            *over = true;
        }
    }

    fn collects(&mut self, image: ImageIndex) {
        if self.since.len() <= image.index() {
            self.since.resize(image.index() + 1, None);
        }
        self.since[image.index()] = Some(Vec::new());
    }

    fn collected(&mut self, image: ImageIndex) {
        let Some(garbage) = self.since.get_mut(image.index()).and_then(Option::take) else { return };
        for Garbage { group, bytes, part } in garbage {
            let Some(group) = self.groups.get_mut(group as usize) else { continue };
            let block = Amount { bytes, count: 1 };
            // A block that came and went since was not leaked.
            let born = &mut group.born[part as usize];
            if born.count > 0 && born.bytes >= bytes {
                *born -= block;
                group.garbage += block;
            }
        }
    }

    fn image_ended(&mut self, image: ImageIndex) {
        if let Some(since) = self.since.get_mut(image.index()) {
            *since = None;
        }
        let part = self.part;
        // A site has several rows of an image: all of them before any is taken away.
        for row in self.rows.iter().filter(|row| row.image == image && row.live.bytes > 0) {
            if let Some(group) = self.groups.get_mut(row.group as usize) {
                group.at_end = group.intervals.last().map(|interval| (part, interval.least));
            }
        }
        for row in self.rows.iter_mut().filter(|row| row.image == image) {
            let held = std::mem::take(&mut row.live);
            if let Some(group) = self.groups.get_mut(row.group as usize) {
                group.live -= held;
                if let Some(interval) = group.intervals.last_mut() {
                    interval.least = interval.least.min(group.live.bytes);
                }
            }
        }
    }
}
