//! Shorter lists: fewer parts, where they would be too long, and cells put together.

use super::{BEFORE, Change, Course, Flow};
use heaptide_format::capture::summary::Amount;
use rustc_hash::FxHashMap;

impl Course {
    /// Rows of all lists.
    pub fn rows(&self) -> usize {
        self.lives.len() + self.flows.len() + self.peaks.len() + self.leaked.len()
    }

    /// Puts neighbouring parts together, as often as it takes for all lists to have at most so many rows, or until there would be
    /// fewer than `least` parts or only marks divide the run. What is left is as exact as before. Gives whether anything was
    /// done.
    pub fn limit(&mut self, most: usize, least: usize) -> bool {
        let mut limited = false;
        while self.rows() > most && self.halve(least).is_some() {
            limited = true;
        }
        limited
    }

    /// Every second regular end goes; the start, the end and the marks stay. Gives for each part, and what is behind the last,
    /// the one that it is in now; `None`: there would be fewer than `least` parts, or there are only marks.
    pub(super) fn halve(&mut self, least: usize) -> Option<Vec<i16>> {
        let mut regular = 0;
        let last = self.instants.len() - 1;
        let keep = self.instants.iter().enumerate().map(|(place, instant)| {
            let is_fixed = place == 0 || place == last || instant.mark.is_some();
            regular += usize::from(!is_fixed);
            is_fixed || regular % 2 == 0
        });
        let keep: Vec<bool> = keep.collect();
        (regular > 0 && regular / 2 + 1 >= least).then(|| self.put_together(&keep))
    }

    /// Keeps these instants; the first and the last are among them. Gives what [`Course::halve`] does.
    fn put_together(&mut self, keep: &[bool]) -> Vec<i16> {
        let parts = self.parts();
        // By part: the part that it is in now; and by that, which of its parts has the highest peak.
        let mut now = Vec::with_capacity(parts + 1);
        let mut highest: Vec<usize> = Vec::new();
        for (part, begins_here) in keep[..parts].iter().enumerate() {
            if *begins_here {
                highest.push(part);
            }
            let group = highest.len() - 1;
            if self.peaks_at[part].bytes > self.peaks_at[highest[group]].bytes {
                highest[group] = part;
            }
            now.push(group as i16);
        }
        // Behind the last.
        now.push(highest.len() as i16);
        let parts = now;
        let now = |part: i16| match part {
            BEFORE => BEFORE,
            part => parts[part as usize],
        };

        // A peak is told against the beginning of its part, which may be earlier now.
        let highest_of = |part: i16| highest[now(part) as usize] as i16;
        let mut peaks: FxHashMap<(i16, u32), (i64, i64)> = FxHashMap::default();
        let earlier = self.changes.iter().filter(|change| change.part < highest_of(change.part));
        for change in earlier.chain(self.peaks.iter().filter(|peak| peak.part == highest_of(peak.part))) {
            let sum = peaks.entry((now(change.part), change.cell)).or_default();
            *sum = (sum.0.wrapping_add(change.bytes), sum.1.wrapping_add(change.count));
        }

        let zero = (0, 0);
        self.peaks = peaks
            .into_iter()
            .filter(|(_, sum)| *sum != zero)
            .map(|((part, cell), (bytes, count))| Change { cell, part, bytes, count })
            .collect();
        self.changes.iter_mut().for_each(|change| change.part = now(change.part));
        self.flows.iter_mut().for_each(|flow| flow.part = now(flow.part));
        self.leaked.iter_mut().for_each(|leaked| leaked.born = now(leaked.born));
        let flows = &mut self.flows;
        self.lives.retain_mut(|life| {
            (life.born, life.died) = (now(life.born), now(life.died));
            let (cell, part, temporary) = (life.cell, life.born, life.temporary);
            let came_and_went = life.born == life.died;
            if came_and_went && temporary != Amount::default() {
                flows.push(Flow { cell, part, allocated: Amount::default(), temporary });
            }
            !came_and_went
        });
        self.peaks_at = highest.iter().map(|part| self.peaks_at[*part]).collect();
        self.ended.iter_mut().flatten().for_each(|part| *part = now(*part));
        let mut kept = keep.iter();
        self.instants.retain(|_| kept.next() == Some(&true));
        self.put_same_together();
        parts
    }

    /// Rows speak of these numbers from now on, one for each cell, and those that are then of the same are put together. There
    /// are no cells any more.
    pub fn join_cells(&mut self, numbers: &[u32]) {
        self.lives.iter_mut().for_each(|life| life.cell = numbers[life.cell as usize]);
        self.flows.iter_mut().for_each(|flow| flow.cell = numbers[flow.cell as usize]);
        for change in self.peaks.iter_mut().chain(&mut self.changes) {
            change.cell = numbers[change.cell as usize];
        }
        self.leaked.iter_mut().for_each(|leaked| leaked.cell = numbers[leaked.cell as usize]);
        self.put_same_together();
        self.cells.clear();
        self.byte_seconds.clear();
    }

    /// Adds up rows that are of the same cell and parts.
    pub(super) fn put_same_together(&mut self) {
        self.sort();
        self.lives.dedup_by(|one, all| {
            let same = (one.cell, one.born, one.died) == (all.cell, all.born, all.died);
            if same {
                all.amount += one.amount;
                all.temporary += one.temporary;
            }
            same
        });
        self.flows.dedup_by(|one, all| {
            let same = (one.part, one.cell) == (all.part, all.cell);
            if same {
                all.allocated += one.allocated;
                all.temporary += one.temporary;
            }
            same
        });
        for list in [&mut self.peaks, &mut self.changes] {
            list.dedup_by(|one, all| {
                let same = (one.part, one.cell) == (all.part, all.cell);
                if same {
                    all.bytes = all.bytes.wrapping_add(one.bytes);
                    all.count = all.count.wrapping_add(one.count);
                }
                same
            });
            list.retain(|change| (change.bytes, change.count) != (0, 0));
        }
        self.leaked.dedup_by(|one, all| {
            let same = (one.cell, one.born) == (all.cell, all.born);
            if same {
                all.amount += one.amount;
            }
            same
        });
    }

    /// An order that is always the same.
    fn sort(&mut self) {
        self.lives.sort_unstable_by_key(|life| (life.cell, life.born, life.died));
        self.flows.sort_unstable_by_key(|flow| (flow.part, flow.cell));
        for list in [&mut self.peaks, &mut self.changes] {
            list.sort_unstable_by_key(|change| (change.part, change.cell));
        }
        self.leaked.sort_unstable_by_key(|leaked| (leaked.cell, leaked.born));
    }
}
