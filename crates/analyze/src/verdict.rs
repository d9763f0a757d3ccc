//! What the history of a site says about what it left: a leak, or something that only looks like one.
//!
//! The run without its newest part is divided into [`SEGMENTS`] segments of equal length. What counts is the least that was
//! live in each (its *trough*): whatever comes and goes within a segment does not show there. A site *rises* in a segment
//! whose trough is above that of the one before.
//!
//! | verdict | if |
//! |---|---|
//! | recent | it began in the newest part, which is left out: it may be about to be released |
//! | garbage | half of what it left or more was cyclic garbage, which the interpreter's last collection released (not told by 3.15, nor where the program has switched the collector off) |
//! | never freed | no block was ever released; the blocks it left were allocated in five segments or more, of which some are in each third of the time since it began. Four are enough if a quarter of the growth or more lies in the last third of that time |
//! | grows | some were released, but the trough rises in as many segments; or it is one block that was reallocated larger five times or more, and is not overdue for the next |
//! | | Of what it grew by, half at least must be left: what was given back again was no leak. |
//! | saw-tooth | it fell by more than half at least twice, and rose again |
//! | bounded | it rose in four segments or more and then stayed, or what it has is replaced |
//! | start-up | it has what it has since the first tenth of the run, or the tenth in which the first site of all began |
//! | one-off | it rose a few times, later |

use crate::histories::{History, Interval};

/// Parts of the run that are compared.
pub const SEGMENTS: usize = 20;
/// Segments in which a leak must have grown; one less, if it has not slowed down.
const LEAST_RISES: usize = 5;
/// Times that a block was reallocated larger, which show that it grows.
const LEAST_STEPS: usize = 5;

/// What is said of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing was ever released, and it goes on.
    NeverFreed,
    /// More is allocated than released, and it goes on.
    Grows,
    /// Cyclic garbage, which the interpreter had not come to collect.
    Garbage,
    /// Too new to be judged.
    Recent,
    /// Fills and is emptied.
    SawTooth,
    /// Does not grow any more: a cache, a pool, a working set.
    Bounded,
    /// A few large steps.
    OneOff,
    /// There since the beginning.
    StartUp,
}

impl Verdict {
    /// Its word in data.
    pub fn name(self) -> &'static str {
        match self {
            Self::NeverFreed => "never_freed",
            Self::Grows => "grows",
            Self::Garbage => "garbage",
            Self::Recent => "recent",
            Self::SawTooth => "saw_tooth",
            Self::Bounded => "bounded",
            Self::OneOff => "one_off",
            Self::StartUp => "start_up",
        }
    }

    /// Its word in text.
    pub fn words(self) -> &'static str {
        match self {
            Self::NeverFreed => "never freed",
            Self::Grows => "grows",
            Self::Garbage => "garbage",
            Self::Recent => "recent",
            Self::SawTooth => "saw-tooth",
            Self::Bounded => "bounded",
            Self::OneOff => "one-off",
            Self::StartUp => "start-up",
        }
    }

    /// Whether it is a leak as far as can be told.
    pub fn is_leak(self) -> bool {
        matches!(self, Self::NeverFreed | Self::Grows)
    }
}

/// A verdict and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// What is said.
    pub verdict: Verdict,
    /// For a leak, from 1 to 100: in how many percent of the segments since it began it grew. Else 0.
    pub score: u8,
    /// Bytes by which the trough grew from the first segment in which it was there to the last. Never negative.
    pub growth: u64,
    /// Parts of the history (see [`crate::histories`]) that this took; at least 1.
    pub parts: usize,
}

/// Judges by the first `parts` parts of a history, of which the last `newest` (from 0 to 1) are left out. `began` is the part
/// in which the first of all sites had something: an interpreter may need its time before that.
pub fn judge(history: &History, parts: usize, newest: f64, began: usize) -> Judgement {
    let parts = parts.clamp(1, history.intervals.len());
    let end = ((parts as f64 * (1.0 - newest)).ceil() as usize).clamp(1, parts);
    let old = &history.intervals[..end];
    let born: Vec<bool> =
        segments(&history.born[..end]).map(|segment| segment.iter().any(|amount| amount.count > 0)).collect();
    let troughs: Vec<u64> =
        segments(old).map(|segment| segment.iter().map(|interval| interval.least).min().unwrap_or(0)).collect();
    let is_there = |segment: &[Interval]| segment.iter().any(|interval| interval.most > 0);
    let first = segments(old).position(is_there).unwrap_or(0);
    // The segment in which it began is one in which it rose.
    let mut rises: Vec<bool> = (0..troughs.len()).map(|k| k > first && troughs[k] > troughs[k - 1]).collect();
    rises[first] = troughs[first] > 0;
    let last = troughs.len() - 1;
    let growth = troughs[last].saturating_sub(troughs[first]);
    // In the last third of the time since it began.
    let lately = troughs[last].saturating_sub(troughs[last - (last - first) / 3]);
    let least = if lately * 4 >= growth { LEAST_RISES - 1 } else { LEAST_RISES };
    let over = ((last - first).max(1) * end / troughs.len()).max(1);
    let judgement = |verdict, score| Judgement { verdict, score, growth, parts: over };
    let percent = |grew: &[bool]| {
        let grew = grew[first..].iter().filter(|grew| **grew).count();
        (100 * grew / (last - first + 1)).clamp(1, 100) as u8
    };
    if old.iter().all(|interval| interval.most == 0) {
        return judgement(Verdict::Recent, 0);
    }
    let left: u64 = history.born[..parts].iter().map(|amount| amount.bytes).sum();
    if history.garbage.bytes > 0 && history.garbage.bytes >= left {
        return judgement(Verdict::Garbage, 0);
    }
    let most = troughs.iter().copied().max().unwrap_or(0);
    let grew = growth > 0 && left >= growth / 2 && troughs[last] >= most / 2;
    if grew && history.freed == 0 && goes_on(&born, first, least) {
        return judgement(Verdict::NeverFreed, percent(&born));
    }
    if grew && goes_on(&rises, first, least) && born.contains(&true) {
        return judgement(Verdict::Grows, percent(&rises));
    }
    if grew && is_reallocated(history, old) {
        return judgement(Verdict::Grows, percent(&rises));
    }
    if falls(old) >= 2 {
        return judgement(Verdict::SawTooth, 0);
    }
    let replaced: u64 = history.freed_in[end / 2..end].iter().map(|freed| u64::from(*freed)).sum();
    let left: u64 = history.born[..parts].iter().map(|amount| amount.count).sum();
    let rose = rises.iter().filter(|rose| **rose).count();
    let last_rise = rises.iter().rposition(|rose| *rose).unwrap_or(first);
    let verdict = match () {
        () if replaced * 10 >= left && replaced > 1 || rose >= LEAST_RISES - 1 => Verdict::Bounded,
        () if last_rise.saturating_sub(began * troughs.len() / end) * 10 <= troughs.len() => Verdict::StartUp,
        () => Verdict::OneOff,
    };
    judgement(verdict, 0)
}

/// Parts of the run in [`SEGMENTS`] segments, or as many as there are parts.
fn segments<T>(parts: &[T]) -> impl Iterator<Item = &[T]> {
    let count = SEGMENTS.min(parts.len());
    (0..count).map(move |k| &parts[k * parts.len() / count..(k + 1) * parts.len() / count])
}

/// Whether it grew in enough segments, and in each third of the time since it began.
fn goes_on(grew: &[bool], first: usize, least: usize) -> bool {
    let since = &grew[first..];
    let third = |n: usize| since[n * since.len() / 3..(n + 1) * since.len() / 3].contains(&true);
    since.iter().filter(|grew| **grew).count() >= least && (0..3).all(third)
}

/// Whether it is one block that is reallocated larger again and again, and not overdue for the next time: a container to
/// which things are added at an even pace, and that grows by a share of its size, needs longer each time.
fn is_reallocated(history: &History, old: &[Interval]) -> bool {
    // Of all that came, all but one went: one block at a time.
    if history.allocated != history.freed + 1 {
        return false;
    }
    let first = old.iter().position(|interval| interval.most > 0).unwrap_or(0);
    let (mut largest, mut steps, mut last) = (old[first].least, 0, None);
    for (part, interval) in old.iter().enumerate().skip(first + 1) {
        if interval.least > largest {
            last = Some((part, interval.least as f64 / largest.max(1) as f64));
            (largest, steps) = (interval.least, steps + 1);
        }
    }
    let Some((last, ratio)) = last.filter(|_| steps >= LEAST_STEPS) else { return false };
    // A quarter more than the ratio says: it need not be that even.
    (old.len() - last) as f64 <= (last - first) as f64 * (ratio - 1.0) * 1.25
}

/// How often it fell by more than half, after it had risen to more than twice the least.
fn falls(old: &[Interval]) -> usize {
    let highest = old.iter().map(|interval| interval.most).max().unwrap_or(0);
    let (mut falls, mut top) = (0, 0);
    for interval in old {
        // Within an interval it is not known which came first, the least or the most.
        match top * 4 >= highest && interval.least < top / 2 {
            true => (falls, top) = (falls + 1, interval.least),
            false => top = top.max(interval.most),
        }
    }
    falls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histories::INTERVALS;
    use heaptide_format::capture::summary::Amount;

    /// The history of blocks of 100 bytes, each with the part in which it came and that in which it went.
    fn history(blocks: impl Iterator<Item = (usize, Option<usize>)>) -> History {
        let mut changes: Vec<(usize, bool)> = Vec::new();
        let mut history =
            History { born: vec![Amount::default(); INTERVALS], freed_in: vec![0; INTERVALS], ..History::default() };
        for (came, went) in blocks {
            history.allocated += 1;
            changes.push((came, true));
            match went {
                Some(went) => {
                    history.freed += 1;
                    history.freed_in[went] += 1;
                    changes.push((went, false));
                }
                None => history.born[came] += Amount { bytes: 100, count: 1 },
            }
        }
        let mut live = 0u64;
        for part in 0..INTERVALS {
            let mut interval = Interval { least: live, most: live };
            for (_, came) in changes.iter().filter(|(at, _)| *at == part) {
                live = if *came { live + 100 } else { live - 100 };
                interval = Interval { least: interval.least.min(live), most: interval.most.max(live) };
            }
            history.intervals.push(interval);
        }
        history
    }

    fn check(blocks: impl Iterator<Item = (usize, Option<usize>)>, expected: Verdict) -> Judgement {
        let judgement = judge(&history(blocks), INTERVALS, 0.1, 0);
        assert_eq!(judgement.verdict, expected, "{judgement:?}");
        judgement
    }

    #[test]
    fn each_shape_has_its_verdict() {
        let every = |n: usize| (0..INTERVALS).step_by(n);
        assert_eq!(check(every(1).map(|part| (part, None)), Verdict::NeverFreed).score, 100);
        // Eight in the whole run.
        check(every(25).map(|part| (part, None)), Verdict::NeverFreed);
        // One of twenty is kept.
        check(every(1).map(|part| (part, (part % 20 != 3).then_some(part))), Verdict::Grows);
        // Sixteen at a time, each for sixteen parts.
        check(every(1).map(|part| (part, Some(part + 16).filter(|went| *went < INTERVALS))), Verdict::Bounded);
        // Filled in the first half.
        check((0..90).map(|part| (part, None)), Verdict::Bounded);
        check((0..300).map(|_| (0, None)), Verdict::StartUp);
        check((0..50).map(|n| (if n < 20 { 60 } else { 120 }, None)), Verdict::OneOff);
        // Flushed each 30 parts.
        check(
            every(1).map(|part| (part, Some((part / 30 + 1) * 30).filter(|went| *went < INTERVALS))),
            Verdict::SawTooth,
        );
        check((185..INTERVALS).map(|part| (part, None)), Verdict::Recent);
        // In bursts: four in the part that is looked at.
        let bursts = [20, 60, 100, 140, 190];
        check((0..50).map(|n| (bursts[n / 10], None)), Verdict::NeverFreed);
        // The same, less each time.
        check(
            [30, 10, 5, 3].iter().zip(bursts).flat_map(|(n, part)| (0..*n).map(move |_| (part, None))),
            Verdict::Bounded,
        );
        // Began in the middle.
        check((100..INTERVALS).map(|part| (part, None)), Verdict::NeverFreed);
    }

    #[test]
    fn a_block_that_doubles_grows() {
        let mut history = history((0..0).map(|part| (part, None)));
        let size = |part: usize| 1000u64 << part.max(1).ilog2();
        history.intervals = (0..INTERVALS).map(|part| Interval { least: size(part), most: size(part) }).collect();
        (history.allocated, history.freed) = (8, 7);
        history.born[128] = Amount { bytes: size(128), count: 1 };
        assert_eq!(judge(&history, INTERVALS, 0.1, 0).verdict, Verdict::Grows);
        // The same, done in the first quarter of the run.
        let size = |part: usize| size((part * 4).min(INTERVALS));
        history.intervals = (0..INTERVALS).map(|part| Interval { least: size(part), most: size(part) }).collect();
        assert!(!judge(&history, INTERVALS, 0.1, 0).verdict.is_leak());
    }
}
