//! When the resident memory is looked at more closely: when it is higher than ever, when a mark was set, and now and then, so
//! that there is a look near the end. What a look finds is in `crate::memory`.

use super::Session;
use crate::memory::{self, Subject};
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
/// Between two looks that nothing has happened for.
const NOW_AND_THEN: u64 = 1_000_000_000;

/// What the session knows of looks.
#[derive(Default)]
pub(super) struct Looking {
    /// The next may be taken then.
    allowed_at: u64,
    /// When the last was taken.
    last: u64,
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

impl Session {
    /// So many bytes are resident now: looks, if it is time to.
    pub(super) fn look_if_due(&mut self, resident: u64) {
        let looks = &self.looks;
        let now = self.now.0;
        if now < looks.allowed_at {
            return;
        }
        let is_much_higher = resident > looks.highest + looks.highest / MORE;
        let is_high = is_much_higher || (resident > looks.highest && now >= looks.last + PLATEAU);
        let is_marked = looks.marks > looks.marks_seen;
        if !is_high && !is_marked && now < looks.last + NOW_AND_THEN {
            return;
        }
        let began = self.elapsed();
        let look = self.look();
        self.looks.last = now;
        self.looks.allowed_at = now + SOONEST.max((self.elapsed() - began) * RARELY);
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
