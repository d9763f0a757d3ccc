//! A recording made of the input, each byte a step of a program, and two answers to it: the account that was kept while
//! it was made, and the one that a replay of its events gives. They must be the same.

use crate::recording::{Block, Recording};
use heaptide_analyze::Capture;
use heaptide_analyze::instants::Span;
use heaptide_analyze::source::Source;
use heaptide_analyze::strip::{self, Key, Names, Paths};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::Row;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, StackId, ThreadIndex};

/// What a keyframe may stand for, and a replay that begins at the first event makes nothing of.
const MOST_PROCESSES: usize = 5;
const MOST_THREADS: usize = 24;

struct Live {
    block: Block,
    image: ImageIndex,
    is_mapping: bool,
    bytes: u64,
}

struct Program<'a> {
    recording: Recording,
    input: std::slice::Iter<'a, u8>,
    stacks: Vec<StackId>,
    live: Vec<Live>,
    /// By number: its image, and whether that lives.
    threads: Vec<(ThreadIndex, ImageIndex)>,
    processes: Vec<bool>,
    current: usize,
    now_ms: u64,
}

impl<'a> Program<'a> {
    fn run(input: &'a [u8]) -> Recording {
        let mut recording = Recording::new();
        let mut stacks = vec![StackId::EMPTY];
        stacks.push(recording.stack(&[("main", "/app/app.py", 1)]));
        stacks.push(recording.stack(&[("main", "/app/app.py", 1), ("load", "/app/app.py", 20)]));
        stacks.push(recording.native(stacks[1], "/lib/libx.so", 0x1234));
        let mut program = Self {
            recording,
            input: input.iter(),
            stacks,
            live: Vec::new(),
            threads: vec![(ThreadIndex(0), ImageIndex(0))],
            processes: vec![true],
            current: 0,
            now_ms: 0,
        };
        while let Some(step) = program.input.next() {
            program.step(*step);
        }
        program.recording
    }

    fn byte(&mut self) -> usize {
        self.input.next().copied().unwrap_or(0).into()
    }

    fn stack(&mut self) -> StackId {
        let number = self.byte();
        self.stacks[number % self.stacks.len()]
    }

    fn image(&self) -> ImageIndex {
        self.threads[self.current].1
    }

    /// A live block of the current process, if it has any.
    fn block(&mut self) -> Option<usize> {
        let (number, image) = (self.byte(), self.image());
        let its: Vec<usize> = (0..self.live.len()).filter(|place| self.live[*place].image == image).collect();
        (!its.is_empty()).then(|| its[number % its.len()])
    }

    fn step(&mut self, step: u8) {
        if !self.processes[self.image().index()] && !matches!(step % 16, 8..=10) {
            return;
        }
        match step % 16 {
            0..=3 => {
                let allocator = if step & 64 == 0 { Allocator::Malloc } else { Allocator::Mmap };
                let stack = self.stack();
                // Sizes of all orders, up to 2^40: their sums stay exact.
                let bytes = (1 + self.byte() as u64) << (self.byte() % 33);
                let block = self.recording.allocate_by(allocator, stack, bytes);
                self.live.push(Live { block, image: self.image(), is_mapping: allocator == Allocator::Mmap, bytes });
            }
            4 | 5 => {
                if let Some(place) = self.block() {
                    let live = self.live.swap_remove(place);
                    self.recording.free(live.block);
                }
            }
            6 => {
                let Some(place) = self.block() else { return };
                let stack = self.stack();
                let bytes = self.byte() as u64 * 17;
                let live = &mut self.live[place];
                if !live.is_mapping {
                    live.bytes = bytes;
                    self.recording.reallocate(live.block, stack, bytes);
                }
            }
            7 => {
                let Some(place) = self.block() else { return };
                let part = self.byte() as u64;
                let live = &mut self.live[place];
                if live.is_mapping && part < live.bytes {
                    live.bytes -= part;
                    self.recording.shrink(live.block, part);
                }
            }
            8 => {
                self.current = self.byte() % self.threads.len();
                self.recording.switch(self.threads[self.current].0);
            }
            9 if self.threads.len() < MOST_THREADS => {
                let image = ImageIndex((self.byte() % self.processes.len()) as u32);
                self.begin(image);
            }
            10 if self.processes.len() < MOST_PROCESSES => {
                let number = self.processes.len() as u32;
                let image = self.recording.process(4_001 + number, 0x30B);
                self.processes.push(true);
                self.begin(image);
            }
            11 => {
                self.now_ms += 1 + self.byte() as u64;
                self.recording.clock_ms(self.now_ms);
            }
            12 => {
                let resident = self.byte() as u64 * 4096;
                self.recording.sample(resident);
            }
            13 => self.recording.flush(),
            14 => self.recording.keyframe(),
            15 if step & 128 != 0 => {
                let image = self.image();
                self.recording.end(image);
                self.processes[image.index()] = false;
                self.live.retain(|live| live.image != image);
            }
            _ => {}
        }
    }

    fn begin(&mut self, image: ImageIndex) {
        let thread = self.recording.thread(image);
        self.current = self.threads.len();
        self.threads.push((thread, image));
    }
}

/// Keeps the account twice and compares.
pub fn answers_agree(input: &[u8]) {
    let kept = Capture::from_bytes(Program::run(input).finish()).expect("a capture");
    let replayed = Capture::from_bytes(Program::run(input).unfinished()).expect("a capture");
    assert_eq!(kept.ends_early, None);
    assert!(replayed.ends_early.is_some());
    let rows = |capture: &Capture| {
        let mut rows: Vec<Row> = capture.account.rows.clone();
        // A process is in the account from its first event on, or from its announcement.
        rows.retain(|row| *row != Row { image: row.image, stack: row.stack, ..Row::default() });
        rows.sort_by_key(|row| (row.image, row.stack));
        rows
    };
    let (kept_rows, replayed_rows) = (rows(&kept), rows(&replayed));
    assert_eq!(kept_rows, replayed_rows);
    let (mut expected, mut found) = (kept.account.totals.clone(), replayed.account.totals.clone());
    // Samples tell these; those after the last flush are only in the footer.
    (expected.peak_rss, found.peak_rss) = (0, 0);
    assert_eq!(expected, found);
    stripped_is_the_same(&kept, Program::run(input).finish());
    for within in [0, 1] {
        let mut temporary = temporary_of(&kept, within);
        temporary.retain(|(_, _, amount)| *amount != Amount::default());
        temporary.sort_by_key(|(image, stack, _)| (*image, *stack));
        let of = |row: &Row| if within == 0 { row.temporary } else { sum(row.temporary, row.temporary_1) };
        let rows = kept_rows.iter().map(|row| (row.image, row.stack, of(row)));
        let rows: Vec<_> = rows.filter(|(_, _, amount)| *amount != Amount::default()).collect();
        assert_eq!(temporary, rows, "within {within}");
    }
}

/// A copy without names has the same numbers, and the same events.
fn stripped_is_the_same(capture: &Capture, bytes: Vec<u8>) {
    let options = strip::Options { paths: Paths::Anonymize, names: Names::Anonymize, arguments: false, start: false };
    let mut copy = Vec::new();
    strip::strip(&Source::from_bytes(bytes), options, Key::new(b"fuzz"), &mut copy).expect("a copy");
    let copy = Capture::from_bytes(copy).expect("a capture");
    assert_eq!(copy.ends_early, None);
    assert_eq!((&copy.account.totals, &copy.account.rows), (&capture.account.totals, &capture.account.rows));
    assert_eq!((&copy.account.images, &copy.timeline), (&capture.account.images, &capture.timeline));
    assert_eq!(temporary_of(&copy, 3), temporary_of(capture, 3));
}

fn temporary_of(capture: &Capture, within: u32) -> Vec<(ImageIndex, StackId, Amount)> {
    capture.replay(Span::Whole, within, (), &mut |_| {}).expect("it has events").temporary
}

fn sum(a: Amount, b: Amount) -> Amount {
    [a, b].into_iter().sum()
}
