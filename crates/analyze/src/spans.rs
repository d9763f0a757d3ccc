//! From when to when the blocks of each stack lived, in a bounded list: who draws memory over time needs not each block.
//!
//! Blocks of one stack that came in one step of time and went in one step are one entry. A step is as long as it must be
//! for the list not to become longer than [`MOST`]; what is live at the end of each step is exact. Where very many threads have the
//! same stacks, one for each request of a server, no step would be long enough: then threads are put together before steps become
//! too long to tell anything of the run.

use crate::error::CaptureError;
use crate::instants::Span;
use crate::profile::Profile;
use crate::reader::{Capture, Progress};
use crate::replay::Born;
use crate::steps::{Owner, Released, Step, steps};
use heaptide_format::capture::ReadError;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, Nanos, ThreadIndex};
use rustc_hash::FxHashMap;

/// Entries at most, unless there are more stacks: 12 MiB of a list, and as much JSON as a browser opens without pause.
pub const MOST: usize = 1 << 17;

/// Blocks that lived from one step to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lived {
    /// Whose they are.
    pub owner: Owner,
    /// End of the step in which they came; for what was there before, when the part of the run began.
    pub from: Nanos,
    /// End of the step in which they went; `None`: they leaked, or were live at the end.
    pub to: Option<Nanos>,
    /// They.
    pub amount: Amount,
}

/// What [`lived`] gives.
#[derive(Clone, Debug)]
pub struct Spans {
    /// In the order of stacks.
    pub lived: Vec<Lived>,
    /// Length of a step.
    pub step: Nanos,
    /// Whether threads are told apart; if not, the thread of all in a process image is its first one.
    pub by_thread: bool,
    /// Damage that the replay ended at.
    pub damage: Option<ReadError>,
}

/// A part of the run that a step may be, before threads are put together for shorter ones.
const FEWEST_STEPS: u64 = 64;

/// Replays the part of the run that the profile is of, for one process or all (`None`), into at most `most` entries. What
/// leaked stays, whatever is released when interpreters finalize. Where threads are put together it is replayed twice.
///
/// # Errors
/// As [`Capture::replay`].
pub fn lived(
    capture: &Capture,
    profile: &Profile,
    pid: Option<u32>,
    most: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Spans, CaptureError> {
    let by_thread = replayed(capture, profile, pid, Entries { most, ..Entries::default() }, progress)?;
    if by_thread.step.0 <= capture.account.totals.duration.0 / FEWEST_STEPS || by_thread.step.0 <= Born::UNIT {
        return Ok(by_thread);
    }
    let entries = Entries { most, together: Some(FxHashMap::default()), ..Entries::default() };
    let together = replayed(capture, profile, pid, entries, progress)?;
    Ok(if together.step < by_thread.step { together } else { by_thread })
}

fn replayed(
    capture: &Capture,
    profile: &Profile,
    pid: Option<u32>,
    mut entries: Entries,
    progress: &mut dyn FnMut(Progress),
) -> Result<Spans, CaptureError> {
    let (mut now, mut begin) = (Nanos(0), None);
    let damage = steps(capture, profile, pid, progress, |step| match step {
        Step::Clock(time) => {
            begin.get_or_insert(time);
            now = time;
        }
        Step::WasThere(..) | Step::Came(..) | Step::Ended(_) => {}
        Step::Went(owner, released) if !released.leaked => entries.add(owner, begin, released, Some(now)),
        // It came when its program had ended.
        Step::Left(owner, released) if !released.leaked && profile.span == Span::Whole => {
            entries.add(owner, begin, released, Some(now));
        }
        Step::Went(owner, released) | Step::Left(owner, released) => entries.add(owner, begin, released, None),
    })?;
    let begin = begin.unwrap_or_default();
    let (step, by_thread) = (entries.step(), entries.together.is_none());
    let end = |place: u64| Nanos(((place + 1) * step.0).clamp(begin.0, now.0.max(begin.0)));
    let mut lived: Vec<Lived> = Vec::with_capacity(entries.amounts.len());
    for ((owner, from, to), amount) in entries.amounts {
        lived.push(Lived { owner, from: end(from), to: to.map(end), amount });
    }
    // The same list each time.
    lived.sort_unstable_by_key(|one| (one.owner.node, one.owner.image, one.owner.thread, one.from, one.to));
    Ok(Spans { lived, step, by_thread, damage })
}

#[derive(Default)]
struct Entries {
    most: usize,
    /// How often the length of a step was doubled.
    doubled: u32,
    /// The first thread of each image, if all of its threads are put together.
    together: Option<FxHashMap<ImageIndex, ThreadIndex>>,
    /// By owner and the steps in which they came and went.
    amounts: FxHashMap<(Owner, u64, Option<u64>), Amount>,
}

impl Entries {
    fn step(&self) -> Nanos {
        Nanos(Born::UNIT << self.doubled)
    }

    fn add(&mut self, mut owner: Owner, begin: Option<Nanos>, released: Released, to: Option<Nanos>) {
        if let Some(together) = &mut self.together {
            owner.thread = *together.entry(owner.image).or_insert(owner.thread);
        }
        let place = |time: Nanos| time.0 / self.step().0;
        let from = released.born.max(begin.unwrap_or_default());
        // The clock goes in larger steps than these, and a block is born in the one before it is read.
        let key = (owner, place(from), to.map(|to| place(to.max(from))));
        *self.amounts.entry(key).or_default() += released.amount;
        // 2^17 ns and 28 doublings are ten hours; a step that long is as good as none.
        while self.amounts.len() > self.most && self.doubled < 28 {
            self.doubled += 1;
            let finer = std::mem::take(&mut self.amounts);
            for ((owner, from, to), amount) in finer {
                *self.amounts.entry((owner, from / 2, to.map(|to| to / 2))).or_default() += amount;
            }
            if self.doubled == 28 {
                // There are more stacks than that; they all are told of.
                self.most = usize::MAX;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_a_process_can_be_put_together() {
        let mut entries = Entries { most: 4, together: Some(FxHashMap::default()), ..Entries::default() };
        for (image, thread) in [(0, 3), (0, 4), (1, 5), (0, 9)] {
            let owner = Owner { node: None, image: ImageIndex(image), thread: ThreadIndex(thread) };
            let released = Released { amount: Amount { bytes: 1_000, count: 1 }, born: Nanos(0), leaked: false };
            entries.add(owner, None, released, None);
        }
        let mut found: Vec<_> =
            entries.amounts.iter().map(|((owner, ..), amount)| (owner.image.0, owner.thread.0, amount.bytes)).collect();
        found.sort_unstable();
        assert_eq!(found, [(0, 3, 3_000), (1, 5, 1_000)]);
    }

    #[test]
    fn steps_become_longer_until_the_list_is_short_enough() {
        let mut entries = Entries { most: 4, ..Entries::default() };
        let owner = Owner { node: None, image: ImageIndex(0), thread: ThreadIndex(0) };
        let unit = Born::UNIT;
        for step in 0..8u64 {
            let released =
                Released { amount: Amount { bytes: 100 + step, count: 1 }, born: Nanos(step * unit), leaked: false };
            entries.add(owner, None, released, Some(Nanos((step + 1) * unit)));
        }
        // 0→1 … 7→8 become, with steps of four: within 0, 0→1, within 1, 1→2.
        assert_eq!(entries.step(), Nanos(4 * unit));
        let mut found: Vec<_> =
            entries.amounts.iter().map(|((_, from, to), amount)| (*from, *to, amount.bytes)).collect();
        found.sort_unstable();
        assert_eq!(found, [(0, Some(0), 303), (0, Some(1), 103), (1, Some(1), 315), (1, Some(2), 107)]);
    }
}
