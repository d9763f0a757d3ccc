//! Windows and instants of a run: against an account that remembers every block, and from keyframes as from the start.

use crate::support::recording::{Block, Recording};
use heaptide_analyze::instants::{Position, Span};
use heaptide_analyze::profile::{Metric, Options, Profile};
use heaptide_analyze::{Capture, CaptureError};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::summary::{Amount, Row};
use heaptide_format::ids::{ImageIndex, Nanos, StackId, ThreadIndex};
use proptest::prelude::*;
use std::collections::BTreeMap;

const APP: &str = "/app/app.py";

/// A capture of two hundred steps, with keyframes, and every step as it was meant.
pub struct Story {
    recording: Recording,
    stacks: Vec<StackId>,
    live: Vec<(Block, usize)>,
    threads: Vec<(ThreadIndex, ImageIndex)>,
    current: usize,
    ended: Vec<bool>,
    now_ms: u64,
    steps: Vec<Step>,
    blocks: usize,
}

#[derive(Clone, Debug)]
struct Step {
    ms: u64,
    /// The numbers of blocks that went, and how many bytes of each; none: all.
    went: Vec<(usize, Option<u64>)>,
    came: Option<(usize, (ImageIndex, StackId), u64)>,
    /// Ends of processes are no events that are counted.
    counts: bool,
}

impl Story {
    /// Told by random numbers.
    pub fn of(steps: &[(u8, u8, u8)]) -> Self {
        let mut recording = Recording::new();
        let mut stacks = vec![recording.stack(&[("main", APP, 1)])];
        stacks.push(recording.stack(&[("main", APP, 1), ("load", APP, 20)]));
        let threads = vec![(ThreadIndex(0), ImageIndex(0))];
        let (live, ended, steps_of) = (Vec::new(), vec![false], Vec::new());
        let mut story =
            Self { recording, stacks, live, threads, current: 0, ended, now_ms: 0, steps: steps_of, blocks: 0 };
        steps.iter().for_each(|step| story.step(*step));
        story
    }

    /// The capture.
    pub fn finish(self) -> Vec<u8> {
        self.recording.finish()
    }

    /// The capture as it is if the collector dies now.
    pub fn unfinished(self) -> Vec<u8> {
        self.recording.unfinished()
    }

    fn push(
        &mut self,
        went: Vec<(usize, Option<u64>)>,
        came: Option<(usize, (ImageIndex, StackId), u64)>,
        counts: bool,
    ) {
        self.steps.push(Step { ms: self.now_ms, went, came, counts });
    }

    fn step(&mut self, (kind, x, y): (u8, u8, u8)) {
        let (_, image) = self.threads[self.current];
        if self.ended[image.index()] && !matches!(kind % 12, 7..=9) {
            return;
        }
        let stack = self.stacks[usize::from(y) % 2];
        let mine: Vec<usize> = (0..self.live.len()).filter(|place| self.live[*place].0.image() == image).collect();
        let chosen = mine.get(usize::from(x) % mine.len().max(1)).copied();
        match (kind % 12, chosen) {
            (0..=2, _) => {
                let (size, number) = (u64::from(x) * 3, self.blocks);
                self.blocks += 1;
                let allocator = if y > 200 { Allocator::Mmap } else { Allocator::Malloc };
                let block = self.recording.allocate_by(allocator, stack, size);
                self.live.push((block, number));
                self.push(Vec::new(), Some((number, (image, stack), size)), true);
            }
            (3 | 4, Some(place)) => {
                let (block, number) = self.live.swap_remove(place);
                self.recording.free(block);
                self.push(vec![(number, None)], None, true);
            }
            (5, Some(place)) => {
                let (block, number) = self.live[place];
                if self.recording.is_mapping(block) {
                    return;
                }
                let (size, fresh) = (u64::from(y) * 5, self.blocks);
                self.blocks += 1;
                self.recording.reallocate(block, stack, size);
                self.live[place].1 = fresh;
                self.push(vec![(number, None)], Some((fresh, (image, stack), size)), true);
            }
            (6, Some(place)) => {
                let (block, number) = self.live[place];
                let bytes = self.recording.size(block) / 2;
                if self.recording.is_mapping(block) && bytes > 0 {
                    self.recording.shrink(block, bytes);
                    self.push(vec![(number, Some(bytes))], None, true);
                }
            }
            (7, _) => {
                self.current = usize::from(x) % self.threads.len();
                self.recording.switch(self.threads[self.current].0);
            }
            (8, _) if self.ended.len() < 3 => {
                let image = self.recording.process(5_000 + self.ended.len() as u32, 0);
                self.ended.push(false);
                self.threads.push((self.recording.thread(image), image));
                self.current = self.threads.len() - 1;
            }
            (9, _) => {
                self.now_ms += u64::from(x) % 7;
                self.recording.clock_ms(self.now_ms);
            }
            (10, _) => self.recording.keyframe(),
            // An end of a process that held no bytes cannot be told from what is before it.
            (11, _) if x > 240 && mine.iter().any(|place| self.recording.size(self.live[*place].0) > 0) => {
                self.recording.end(image);
                self.ended[image.index()] = true;
                let (gone, left): (Vec<_>, Vec<_>) = self.live.drain(..).partition(|(block, _)| block.image() == image);
                self.live = left;
                self.push(gone.into_iter().map(|(_, number)| (number, None)).collect(), None, false);
            }
            _ => {}
        }
    }
}

type Rows = BTreeMap<(ImageIndex, StackId), [Amount; 3]>;

/// What lives, by the number of the block: whose, how much, and since which step.
#[derive(Clone, Default)]
struct Model(BTreeMap<usize, ((ImageIndex, StackId), u64, usize)>);

impl Model {
    fn step(&mut self, index: usize, step: &Step) {
        for (number, bytes) in &step.went {
            match bytes {
                None => drop(self.0.remove(number)),
                Some(bytes) => self.0.get_mut(number).expect("live").1 -= bytes,
            }
        }
        if let Some((number, row, size)) = step.came {
            self.0.insert(number, (row, size, index));
        }
    }

    fn bytes(&self) -> u64 {
        self.0.values().map(|(_, size, _)| size).sum()
    }

    fn add(&self, rows: &mut Rows, which: usize, since: usize) {
        for (row, size, _) in self.0.values().filter(|(_, _, born)| *born >= since) {
            rows.entry(*row).or_default()[which] += Amount { bytes: *size, count: 1 };
        }
    }
}

/// Peak, leaked and allocated of each row from one step to another.
fn expected(steps: &[Step], from: usize, to: usize) -> Rows {
    let mut model = Model::default();
    steps[..from].iter().enumerate().for_each(|(index, step)| model.step(index, step));
    let mut rows = Rows::new();
    let mut highest = model.clone();
    for (index, step) in steps.iter().enumerate().take(to).skip(from) {
        if !step.counts {
            // What a process holds when it ends is leaked.
            let ended: Vec<usize> = step.went.iter().map(|(number, _)| *number).collect();
            let of_it = model.0.iter().filter(|(number, _)| ended.contains(number));
            Model(of_it.map(|(number, block)| (*number, *block)).collect()).add(&mut rows, 1, from);
        }
        model.step(index, step);
        if let Some((_, row, size)) = step.came {
            rows.entry(row).or_default()[2] += Amount { bytes: size, count: 1 };
        }
        if model.bytes() > highest.bytes() {
            highest = model.clone();
        }
    }
    highest.add(&mut rows, 0, 0);
    model.add(&mut rows, 1, from);
    rows.retain(|_, amounts| *amounts != [Amount::default(); 3]);
    rows
}

fn found(rows: &[Row]) -> Rows {
    let amounts = |row: &Row| ((row.image, row.stack), [row.at_peak, row.leaked, row.allocated]);
    rows.iter().map(amounts).filter(|(_, amounts)| *amounts != [Amount::default(); 3]).collect()
}

/// The place before the step with this number.
fn position(steps: &[Step], before: usize) -> Position {
    let mut model = Model::default();
    steps[..before].iter().enumerate().for_each(|(index, step)| model.step(index, step));
    let count = steps[..before].iter().filter(|step| step.counts).count() as u64;
    Position::Event {
        count,
        live: model.bytes(),
        time: Nanos(before.checked_sub(1).map_or(0, |last| steps[last].ms) * 1_000_000),
    }
}

proptest! {
    #[test]
    fn windows_are_what_happened_in_them(
        steps in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..200),
        from: prop::sample::Index,
        to: prop::sample::Index,
        finished: bool,
    ) {
        let Story { recording, steps, .. } = Story::of(&steps);
        let file = if finished { recording.finish() } else { recording.unfinished() };
        let capture = Capture::from_bytes(file).unwrap();
        let (a, b) = (from.index(steps.len() + 1), to.index(steps.len() + 1));
        let (from, to) = (a.min(b), a.max(b));
        let rows = |span| {
            let replayed = capture.replay(span, 0, (), &mut |_| {}).unwrap();
            assert_eq!((replayed.damage, replayed.account.totals.tracer.inconsistent), (None, 0));
            found(&replayed.account.rows)
        };
        prop_assert_eq!(rows(Span::Between(position(&steps, from), position(&steps, to))), expected(&steps, from, to));
        prop_assert_eq!(rows(Span::Between(Position::Start, Position::End)), found(&capture.account.rows));
        prop_assert_eq!(rows(Span::Between(Position::Start, Position::End)), expected(&steps, 0, steps.len()));
        // By time: behind all that happened until then.
        let ms = steps.get(from).map_or(0, |step| step.ms);
        let until = steps.iter().take_while(|step| step.ms <= ms).count();
        let later = steps.get(to).map_or(ms, |step| step.ms).max(ms);
        let end = steps.iter().take_while(|step| step.ms <= later).count();
        let time = |ms| Position::Time(Nanos(ms * 1_000_000));
        prop_assert_eq!(rows(Span::Between(time(ms), time(later))), expected(&steps, until, end));
        // The peak of all, found among the events.
        let totals = &capture.account.totals;
        if totals.peak.bytes > 0 {
            let peak = Position::Peak { live: totals.peak.bytes, time: totals.peak_at };
            let at_peak = |rows: Rows| -> BTreeMap<_, Amount> {
                rows.into_iter().map(|(row, amounts)| (row, amounts[0])).filter(|(_, a)| *a != Amount::default()).collect()
            };
            prop_assert_eq!(at_peak(rows(Span::At(peak))), at_peak(found(&capture.account.rows)));
        }
    }
}

#[test]
fn a_profile_of_a_window_has_its_amounts() {
    let mut recording = Recording::new();
    let main = recording.stack(&[("main", APP, 10)]);
    recording.allocate(main, 100);
    recording.clock_ms(1_000);
    let early = recording.allocate(main, 1_000);
    recording.clock_ms(3_000);
    recording.allocate(main, 10_000);
    let short = recording.allocate(main, 7);
    recording.free(short);
    recording.free(early);
    recording.clock_ms(4_000);
    recording.allocate(main, 500_000);
    let capture = Capture::from_bytes(recording.finish()).unwrap();
    let of = |span| {
        let options = Options { span, byte_seconds: true, ..Options::default() };
        let profile = Profile::of(&capture, &options, &mut |_| {}).unwrap();
        let metrics = Metric::ALL.into_iter().chain([Metric::ByteSeconds]);
        metrics.map(|metric| profile.total.of(metric).bytes).collect::<Vec<u64>>()
    };
    let second = |seconds: u64| Position::Time(Nanos(seconds * 1_000_000_000));
    // 100 + 1 000 + 10 000 + 7 at the most, 10 000 and 7 came, 10 000 are left; 100 and 1 000 for 1 s, then 100 and 10 000 for
    // 0.5 s.
    let window = Span::Between(second(2), Position::Time(Nanos(3_500_000_000)));
    assert_eq!(of(window), [11_107, 10_000, 10_007, 7, 1_100 + 5_050]);
    assert_eq!(of(Span::At(second(2))), [1_100, 1_100, 0, 0, 0]);
    assert_eq!(of(Span::At(second(0))), [100, 100, 0, 0, 0]);
    // 100 for 4 s, 1 000 for 2 s, 10 000 for 1 s.
    assert_eq!(of(Span::Whole), [510_100, 510_100, 511_107, 7, 400 + 2_000 + 10_000]);
}

#[test]
fn without_events_there_is_only_the_peak() {
    let mut recording = Recording::aggregate();
    let main = recording.stack(&[("main", APP, 10)]);
    recording.allocate(main, 12_345);
    let capture = Capture::from_bytes(recording.finish()).unwrap();
    let of = |span| Profile::of(&capture, &Options { span, ..Options::default() }, &mut |_| {});
    let peak = Position::Peak { live: 12_345, time: Nanos(0) };
    assert_eq!(of(Span::At(peak)).unwrap().total.of(Metric::Peak).bytes, 12_345);
    assert!(matches!(of(Span::At(Position::Time(Nanos(0)))), Err(CaptureError::NoEvents)));
}
