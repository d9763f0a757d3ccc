//! When the resident memory is looked at more closely: when it is higher than ever, when a mark was set, and now and then, so
//! that there is a look near the end. What a look finds is in `crate::memory`.

use super::Session;
use crate::memory::{self, Subject};
use crate::process;
use heaptide_format::capture::{Look, LookReason, MemoryMaps};
use heaptide_format::shared::ring_state;
use std::sync::atomic::Ordering;

/// A high that is more by a fiftieth is looked at, and written, at once. One that is less more waits for [`PLATEAU`].
const MORE: u64 = 50;
/// Between two looks at highs that are little more: what is looked at then is written at the end.
const PLATEAU: u64 = 200_000_000;
/// Between two looks: fifty times what the last one took, so that a fiftieth of the time goes into them.
const RARELY: u64 = 50;
/// At least, between two looks: a program that is to be looked at in its first tenths of a second grows fast.
const SOONEST: u64 = 20_000_000;
/// What may be spent beyond that fiftieth in all, so that a heap that grows fast is seen while it is large: when it has grown
/// by half since the last look, or has just stopped to grow.
const CREDIT: u64 = 300_000_000;
/// Rounds before a look, until one finds few words.
const MOST_ROUNDS: usize = 8;
const FEW_WORDS: usize = 1024;
/// Between two looks that nothing has happened for.
const NOW_AND_THEN: u64 = 1_000_000_000;

/// What the session knows of looks.
#[derive(Default)]
pub(super) struct Looking {
    /// The next may be taken then.
    allowed_at: u64,
    /// When the last was taken, at how many resident bytes, and what it cost.
    last: u64,
    last_resident: u64,
    last_cost: u64,
    /// What all of them cost.
    spent: u64,
    /// Resident bytes at the last sample.
    sampled: u64,
    /// Resident bytes at the last look at the highest.
    highest: u64,
    /// The last mark that was looked at, and all marks so far.
    marks_seen: u32,
    pub(super) marks: u32,
    /// That at the highest, if it is not written.
    high: Option<Look>,
    /// The last at processes that still ran. Written at the end.
    latest: Option<Look>,
}

impl Looking {
    /// Whether a look that is not due yet is worth the credit. `before` are the resident bytes of the sample before.
    fn has_credit(&self, now: u64, before: u64) -> bool {
        let resident = self.sampled;
        // It costs as much more as there is more.
        let cost = self.last_cost as f64 * (resident as f64 / self.last_resident.max(1) as f64);
        let is_worth_it = resident > self.last_resident + self.last_resident / 2 || resident <= before + before / 100;
        is_worth_it && now >= self.last + SOONEST && self.spent + cost as u64 <= now / RARELY + CREDIT
    }
}

impl Session {
    /// Looks, if it is time to. Called after a sample.
    pub(super) fn look_if_due(&mut self) {
        let resident = self.resident();
        let now = self.now.0;
        let before = std::mem::replace(&mut self.looks.sampled, resident);
        let looks = &self.looks;
        let is_much_higher = resident > looks.highest + looks.highest / MORE;
        if now < looks.allowed_at && !(is_much_higher && looks.has_credit(now, before)) {
            return;
        }
        let is_high = is_much_higher || (resident > looks.highest && now >= looks.last + PLATEAU);
        let is_marked = looks.marks > looks.marks_seen;
        if !is_high && !is_marked && now < looks.last + NOW_AND_THEN {
            return;
        }
        self.catch_up();
        // By the processor's time: on a busy machine others use it in between.
        let began = process::thread_time();
        let look = self.look();
        let cost = process::thread_time() - began;
        let now = self.now.0;
        self.looks.spent += cost;
        (self.looks.last, self.looks.last_resident, self.looks.last_cost) = (now, resident, cost);
        self.looks.allowed_at = now + SOONEST.max(cost * RARELY);
        if look.processes.is_empty() {
            return;
        }
        let mut looks = Vec::new();
        if is_high {
            self.looks.highest = resident;
            let high = Look { reason: LookReason::Highest, ..look.clone() };
            if is_much_higher {
                looks.push(high);
                self.looks.high = None;
            } else {
                self.looks.high = Some(high);
            }
        }
        if is_marked {
            self.looks.marks_seen = self.looks.marks;
            looks.push(Look { reason: LookReason::Mark(self.looks.marks - 1), ..look.clone() });
        }
        self.looks.latest = Some(look);
        if !looks.is_empty() {
            self.write(|writer| writer.memory_maps(&MemoryMaps { looks }));
        }
    }

    /// The recording ends: processes that go on are looked at again, else the last look is that of the end.
    pub(super) fn look_last(&mut self) {
        let look = self.look();
        let latest = self.looks.latest.take();
        let last = if look.processes.is_empty() { latest } else { Some(look) };
        let looks: Vec<Look> = self.looks.high.take().into_iter().chain(last).collect();
        if !looks.is_empty() {
            self.write(|writer| writer.memory_maps(&MemoryMaps { looks }));
        }
    }

    /// What a program does while a round reads what it did before is not among the live blocks yet, but among its memory:
    /// rounds until little is left, or it is clear that there will always be more.
    fn catch_up(&mut self) {
        for _ in 0..MOST_ROUNDS {
            if self.round() < FEW_WORDS {
                return;
            }
        }
    }

    fn look(&self) -> Look {
        let mut processes = Vec::new();
        for (number, image) in &self.by_number {
            let image = &self.images[*image];
            if image.ended {
                continue;
            }
            let its =
                |index: &usize| self.rings[*index].image == *number && self.shared.state(*index) == ring_state::CLAIMED;
            let rings = (0..self.rings.len()).filter(its);
            let subject = Subject {
                pid: image.pid,
                image: image.index,
                heap: &image.heap,
                is_python: image.is_python,
                forked: image.forked,
                stacks: rings.map(|index| self.rings[index].header.stack.load(Ordering::Relaxed)).collect(),
            };
            processes.extend(memory::look(&subject));
        }
        processes.sort_unstable_by_key(|process| process.image);
        Look { reason: LookReason::Last, time: self.now, event: self.tally.events(), processes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 ms were spent on a look at 1 GB, at 1 s. The regular budget allows the next at 6 s.
    fn check(now: u64, before: u64, sampled: u64, expected: bool) {
        let spent = 100_000_000;
        let (last, last_resident) = (1_000_000_000, 1_000_000_000);
        let looks = Looking { last, last_resident, last_cost: spent, spent, sampled, ..Looking::default() };
        assert_eq!(looks.has_credit(now, before), expected, "{now} {before} {sampled}");
    }

    #[test]
    fn credit_is_for_what_has_grown_much_or_stopped_to_grow() {
        check(1_500_000_000, 1_400_000_000, 1_490_000_000, false);
        check(1_500_000_000, 1_490_000_000, 1_510_000_000, true);
        check(1_500_000_000, 1_199_000_000, 1_200_000_000, true);
        check(1_010_000_000, 1_199_000_000, 1_200_000_000, false);
        // 300 ms would be too much: 400 of 300 and a fiftieth of 1.5 s. At 5 s it is not.
        check(1_500_000_000, 3_000_000_000, 3_000_000_000, false);
        check(5_000_000_000, 3_000_000_000, 3_000_000_000, true);
    }
}
