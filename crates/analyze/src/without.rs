//! What the peak would have been without a site: not its part in the peak, for without it another instant is the highest.
//!
//! Exact for all groups at once, in one replay. As long as nothing of a group changes, the most that was live without it is the
//! most that was live at all, less what the group has. So at each event of a group the highest total since its event
//! before is asked for; [`Highest`] knows that for all groups, in steps that grow with the logarithm of their number.

use crate::histories::NO_GROUP;
use crate::replay::{Block, Gone, Watch};
use crate::tally::RowId;
use heaptide_format::ids::{ImageIndex, Nanos, StackId};

/// The highest of a series of numbers since any of the places that are still asked for.
#[derive(Debug, Default)]
struct Highest {
    /// Places, and the highest number from there on; places rise, numbers fall.
    steps: Vec<(u64, u64, Nanos)>,
    /// Numbers so far: the place of the next.
    place: u64,
}

impl Highest {
    /// The next number, at this time.
    fn push(&mut self, number: u64, now: Nanos) {
        let mut place = self.place;
        self.place += 1;
        while let Some(&(first, highest, _)) = self.steps.last()
            && highest <= number
        {
            place = first;
            self.steps.pop();
        }
        self.steps.push((place, number, now));
    }

    /// The highest number from this place on, and when it was.
    fn since(&self, place: u64) -> (u64, Nanos) {
        // The last step that begins at the place or before: its highest number lies at its end or behind, as the steps
        // before it that were lower have been joined to it.
        let at = self.steps.partition_point(|(first, ..)| *first <= place);
        self.steps.get(at.saturating_sub(1)).map_or((0, Nanos(0)), |(_, highest, when)| (*highest, *when))
    }

    /// Forgets what nobody asks for: `asked` are the places that are, in any order.
    fn forget(&mut self, mut asked: Vec<u64>) {
        asked.sort_unstable();
        let mut kept: Vec<(u64, u64, Nanos)> = Vec::with_capacity(asked.len() + 1);
        for place in asked {
            let at = self.steps.partition_point(|(first, ..)| *first <= place).saturating_sub(1);
            if let Some(step) = self.steps.get(at)
                && kept.last().is_none_or(|last| last.0 != step.0)
            {
                kept.push(*step);
            }
        }
        // The newest is where the series goes on.
        if let Some(step) = self.steps.last()
            && kept.last().is_none_or(|last| last.0 != step.0)
        {
            kept.push(*step);
        }
        self.steps = kept;
    }
}

/// The peak without a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Bytes.
    pub bytes: u64,
    /// When.
    pub at: Nanos,
}

#[derive(Clone, Copy, Debug, Default)]
struct Group {
    live: u64,
    /// Where it changed last.
    place: u64,
    highest_without: Peak,
}

/// Follows groups of stacks through a run or a window of it.
#[derive(Debug)]
pub struct Without<'g> {
    /// By stack: its group or [`NO_GROUP`].
    group_of: &'g [u32],
    groups: Vec<Group>,
    rows: Vec<(u32, ImageIndex, u64)>,
    highest: Highest,
    now: Nanos,
    live: u64,
}

impl<'g> Without<'g> {
    /// Of this number of groups; `group_of` says for each stack, by its number, which it is in.
    pub fn new(group_of: &'g [u32], groups: usize) -> Self {
        Self {
            group_of,
            groups: vec![Group::default(); groups],
            rows: Vec::new(),
            highest: Highest::default(),
            now: Nanos(0),
            live: 0,
        }
    }

    /// The peak without each group, of the whole process tree.
    pub fn finish(mut self) -> Vec<Peak> {
        (0..self.groups.len()).for_each(|group| self.settle(group as u32));
        self.groups.iter().map(|group| group.highest_without).collect()
    }

    /// Takes in what was highest since the group's last change.
    fn settle(&mut self, group: u32) {
        let Some(group) = self.groups.get_mut(group as usize) else { return };
        let (highest, at) = self.highest.since(group.place);
        let without = highest.saturating_sub(group.live);
        if without > group.highest_without.bytes {
            group.highest_without = Peak { bytes: without, at };
        }
    }

    /// A row changes by so many bytes, after which so many are live.
    fn change(&mut self, row: RowId, came: u64, went: u64, live: u64) {
        let (group, _, bytes) = &mut self.rows[row.0 as usize];
        *bytes = bytes.saturating_add(came).saturating_sub(went);
        let group = *group;
        self.settle(group);
        self.live = live;
        self.highest.push(live, self.now);
        if let Some(group) = self.groups.get_mut(group as usize) {
            group.live = group.live.saturating_add(came).saturating_sub(went);
            group.place = self.highest.place - 1;
        }
        if self.highest.steps.len() > 4 * self.groups.len() + 4096 {
            self.highest.forget(self.groups.iter().map(|group| group.place).collect());
        }
    }
}

impl Watch for Without<'_> {
    fn row(&mut self, _: RowId, image: ImageIndex, stack: StackId) {
        let group = self.group_of.get(stack.index()).copied().unwrap_or(NO_GROUP);
        self.rows.push((group, image, 0));
    }

    fn begins(&mut self, now: Nanos, live: u64) {
        self.now = now;
        self.live = live;
        self.highest.push(live, now);
    }

    fn was_there(&mut self, block: Block) {
        let (group, _, held) = &mut self.rows[block.row().0 as usize];
        *held += block.bytes();
        if let Some(group) = self.groups.get_mut(*group as usize) {
            group.live += block.bytes();
        }
    }

    fn clock(&mut self, now: Nanos) {
        self.now = now;
    }

    fn came(&mut self, block: Block, live: u64) {
        self.change(block.row(), block.bytes(), 0, live);
    }

    fn went(&mut self, block: Block, gone: Gone, live: u64) {
        self.change(block.row(), 0, gone.bytes, live);
    }

    fn reallocated(&mut self, old: Block, gone: Gone, new: Block, live: u64) {
        let (old, new) = ((old.row(), gone.bytes), (new.row(), new.bytes()));
        // One event: in between nothing was live that the peak could be of.
        let between = live.saturating_sub(new.1);
        match self.rows[old.0.0 as usize].0 == self.rows[new.0.0 as usize].0 {
            true => {
                self.rows[old.0.0 as usize].2 = self.rows[old.0.0 as usize].2.saturating_sub(old.1);
                self.rows[new.0.0 as usize].2 += old.1;
                self.change(new.0, new.1, old.1, live);
            }
            false => {
                self.change(old.0, 0, old.1, between);
                self.change(new.0, new.1, 0, live);
            }
        }
    }

    fn image_ended(&mut self, image: ImageIndex) {
        let rows = (0u32..).zip(&self.rows).filter(|(_, (_, of, bytes))| *of == image && *bytes > 0);
        for row in rows.map(|(row, _)| RowId(row)).collect::<Vec<_>>() {
            let bytes = self.rows[row.0 as usize].2;
            self.change(row, 0, bytes, self.live.saturating_sub(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the series itself, with what is not asked for forgotten now and then.
        #[test]
        fn the_highest_since_any_place(
            numbers in prop::collection::vec(0u64..50, 1..200),
            asked in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let mut highest = Highest::default();
            let mut places: Vec<u64> = Vec::new();
            for (at, number) in numbers.iter().enumerate() {
                highest.push(*number, Nanos(at as u64));
                if asked.iter().any(|asked| asked.index(numbers.len()) == at) {
                    places.push(at as u64);
                }
                if at % 7 == 3 {
                    highest.forget(places.clone());
                }
                for place in &places {
                    let expected = numbers[*place as usize..=at].iter().max();
                    prop_assert_eq!(Some(&highest.since(*place).0), expected);
                }
            }
        }

        /// Against the same run with the group's blocks left out.
        #[test]
        fn the_peak_without_a_group(steps in prop::collection::vec((0usize..5, 0u64..100, any::<bool>()), 1..200)) {
            let group_of = [0u32, 1, 2, NO_GROUP, 1];
            let mut without = Without::new(&group_of, 3);
            (0..5).for_each(|row| without.row(RowId(row), ImageIndex(row / 3), StackId(row)));
            without.begins(Nanos(0), 0);
            let mut live = [0u64; 5];
            let mut expected = [0u64; 3];
            for (row, bytes, came) in steps {
                let id = RowId(row as u32);
                if came {
                    live[row] += bytes;
                    without.came(Block::of_row(id, bytes), live.iter().sum());
                } else if live[row] >= bytes {
                    live[row] -= bytes;
                    let gone = Gone { bytes, blocks: 1, temporary: false };
                    without.went(Block::of_row(id, bytes), gone, live.iter().sum());
                }
                for (group, expected) in (0u32..).zip(&mut expected) {
                    let others = live.iter().zip(group_of).filter(|(_, of)| *of != group);
                    *expected = (*expected).max(others.map(|(bytes, _)| bytes).sum());
                }
            }
            let found: Vec<u64> = without.finish().iter().map(|peak| peak.bytes).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
