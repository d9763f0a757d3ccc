//! A recording from start to end: starts the target, drains in rounds, samples, ends what ended, writes the footer.

use crate::capture::{CaptureWriter, Instant as At};
use crate::dictionary::{CodeObject, Dictionary};
use crate::image::{Image, Mapped, Node, Ring};
use crate::lines::LineTable;
use crate::process::{self, Watched};
use crate::rings::{self, Shared};
use crate::signals::Signals;
use crate::target::Target;
use crate::{heap, merge};
use heaptide_analyze::tally::{RowId, Tally};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::definitions::{CodeDef, Definitions, FrameDef, ImageDef, ImageOrigin, ThreadDef};
use heaptide_format::capture::events::Event;
use heaptide_format::capture::{Footer, RunInfo, Sample, Totals};
use heaptide_format::ids::{ImageIndex, Nanos, StackId};
use heaptide_format::shared::{PATH_VARIABLE, RING_WORDS, RingHeader, option, ring_state};
use heaptide_format::wire::{
    self, BlobKind, FAILED, RANGE, Reallocator, WIDE, blob_parts, code, definition, kind, kind_of, low_of, sub_of,
};
use rustc_hash::FxHashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What to record and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The shim as a file.
    pub shim: PathBuf,
    /// `LD_PRELOAD` as the target would have it without us; the shim goes in front.
    pub preload: OsString,
    /// Name of the program as the user gave it: the target's `argv[0]`.
    pub name: OsString,
    /// Record Python's own allocators too.
    pub python_allocators: bool,
    /// Follow children.
    pub follow: bool,
    /// Write no events, only the summary.
    pub aggregate: bool,
    /// Version of heaptide, for the capture.
    pub version: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub status: std::process::ExitStatus,
    /// Numbers of the run.
    pub totals: Totals,
    /// Processes (images) that were traced.
    pub images: usize,
    /// Bytes of the capture.
    pub capture_bytes: u64,
    /// Interpreter versions that were met and whose stacks cannot be read, `major << 8 | minor`.
    pub unknown_pythons: Vec<u16>,
    /// Why the capture is not whole, if so: it could not be written on.
    pub capture_error: Option<io::Error>,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Shared memory, signals: the system refuses what recording needs.
    #[error("cannot prepare the recording: {0}")]
    Prepare(io::Error),
    /// The command could not be started.
    #[error("{program}: cannot be started: {error}")]
    Start {
        /// The program.
        program: String,
        /// What the system says.
        error: io::Error,
    },
    /// The capture could not be begun.
    #[error("the capture cannot be written: {0}")]
    Capture(io::Error),
}

/// Called once if traced processes outlive the command, with their number.
pub type OnSurvivors<'a> = &'a mut dyn FnMut(usize);

/// Runs the target and records it to `file`, until it and all traced children have ended (or, after the command has
/// ended, the user interrupts).
///
/// # Errors
/// See [`RecordError`]. Once the target runs, nothing is an error any more: it must not be disturbed.
pub fn record(
    target: &Target,
    options: &Options,
    file: File,
    on_survivors: OnSurvivors<'_>,
) -> Result<Outcome, RecordError> {
    let bits = if options.python_allocators { option::PYTHON_ALLOCATORS } else { 0 }
        | if options.follow { option::FOLLOW } else { 0 };
    let shared = Shared::create(bits).map_err(RecordError::Prepare)?;
    let mut command = vec![options.name.to_string_lossy().into_owned()];
    command.extend(target.arguments.iter().map(|argument| argument.to_string_lossy().into_owned()));
    let run = RunInfo {
        heaptide: options.version.clone(),
        command,
        started_unix: std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |time| time.as_secs()),
        python_allocators: options.python_allocators,
        follow: options.follow,
        aggregate: options.aggregate,
        architecture: std::env::consts::ARCH.into(),
    };
    let writer = CaptureWriter::new(file, &run).map_err(RecordError::Capture)?;
    let signals = Signals::new().map_err(RecordError::Prepare)?;
    let session = Session::new(shared, writer);
    let child = start(target, options, &session.shared, &signals)
        .map_err(|error| RecordError::Start { program: target.program.display().to_string(), error })?;
    Ok(session.run(child, &signals, on_survivors))
}

fn start(target: &Target, options: &Options, shared: &Shared, signals: &Signals) -> io::Result<Child> {
    let mut preload = options.shim.clone().into_os_string();
    if !options.preload.is_empty() {
        preload.push(":");
        preload.push(&options.preload);
    }
    let mut command = Command::new(&target.program);
    command.arg0(&options.name).args(&target.arguments).env("LD_PRELOAD", preload).env(PATH_VARIABLE, shared.path());
    signals.restore_in(&mut command);
    command.spawn()
}

/// Words of one ring that are read before the capture and the clock are looked at again.
const BATCH: usize = 16 * 1024;
/// A round that found fewer words than this is followed by a sleep.
const BUSY_WORDS: usize = 512;
/// Rounds (of a quarter of a millisecond to four) that a run with several processes is continued after the last of them.
const GRACE_ROUNDS: u32 = 4;
const SAMPLE_NANOS: u64 = 10_000_000;
const CHORES_NANOS: u64 = 1_000_000_000;
/// Points of the timeline that are kept for the footer; beyond, pairs are merged.
const MOST_POINTS: usize = 4000;

struct Session {
    shared: Shared,
    writer: Option<CaptureWriter>,
    capture_error: Option<io::Error>,
    dictionary: Dictionary,
    tally: Tally,
    rings: Vec<Ring>,
    images: Vec<Image>,
    /// Images by the number that the shim gave them.
    by_number: FxHashMap<u32, usize>,
    started: Instant,
    now: Nanos,
    last_flush: u64,
    timeline: Vec<Sample>,
    peak_rss: u64,
    shim_bytes: u64,
    inconsistent: u64,
    unknown_pythons: Vec<u16>,
}

impl Session {
    fn new(shared: Shared, writer: CaptureWriter) -> Self {
        Self {
            shared,
            writer: Some(writer),
            capture_error: None,
            dictionary: Dictionary::default(),
            tally: Tally::new(),
            rings: Vec::new(),
            images: Vec::new(),
            by_number: FxHashMap::default(),
            started: Instant::now(),
            now: Nanos(0),
            last_flush: 0,
            timeline: Vec::new(),
            peak_rss: 0,
            shim_bytes: 0,
            inconsistent: 0,
            unknown_pythons: Vec::new(),
        }
    }

    fn run(mut self, mut child: Child, signals: &Signals, on_survivors: OnSurvivors<'_>) -> Outcome {
        let main = Watched::new(child.id());
        let mut status = None;
        let mut told = false;
        let mut grace = 0;
        let (mut next_sample, mut next_chores, mut idle_rounds) = (0, CHORES_NANOS, 0u32);
        loop {
            let doorbell = self.shared.control().doorbell.load(Ordering::Acquire);
            let words = self.round();
            let now = self.now.0;
            if now >= next_sample {
                let began = self.elapsed();
                self.release_ended();
                self.sample();
                self.end_dead_images();
                // Many processes take long to ask: at most a tenth of the time goes into it.
                next_sample = now + SAMPLE_NANOS.max((self.elapsed() - began) * 10);
            }
            if now >= next_chores {
                self.chores();
                next_chores = now + CHORES_NANOS;
            }
            while let Some(received) = signals.next() {
                if status.is_some() && !matches!(received.signal, libc::SIGUSR1 | libc::SIGUSR2) {
                    // The command has ended: what is sent now is meant for us.
                    return self.finish(status.unwrap_or_default());
                }
                if !received.from_terminal {
                    main.signal(received.signal);
                }
            }
            if words < BUSY_WORDS {
                if status.is_none() {
                    // An error here means that somebody else has reaped our child; then it has ended.
                    status = child.try_wait().unwrap_or(Some(std::process::ExitStatus::default()));
                    if status.is_some() {
                        self.end_dead_images();
                        continue;
                    }
                } else {
                    let living = self.images.iter().filter(|image| !image.ended).count();
                    if living == 0 {
                        // A child that was just forked may be about to announce itself.
                        grace += 1;
                        if self.images.len() < 2 || grace > GRACE_ROUNDS {
                            break;
                        }
                    } else {
                        grace = 0;
                    }
                    if living > 0 && !told {
                        told = true;
                        on_survivors(living);
                    }
                }
                idle_rounds = if words == 0 { (idle_rounds + 1).min(8) } else { 0 };
                let nap = 250_000 << idle_rounds.min(4);
                rings::wait_for_doorbell(self.shared.control(), doorbell, nap);
            } else {
                idle_rounds = 0;
            }
        }
        self.finish(status.unwrap_or_default())
    }

    fn elapsed(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Takes what is in the rings and reads what is due. Gives the number of words.
    fn round(&mut self) -> usize {
        let due = rings::stamp(self.shared.control());
        self.shared.control().heartbeat.fetch_add(1, Ordering::Relaxed);
        self.now = Nanos(self.elapsed());
        let mut taken = 0;
        let mut released = Vec::new();
        for index in 0..self.shared.rings_used() {
            let state = self.shared.state(index);
            if state == ring_state::FREE {
                continue;
            }
            taken += self.take(index);
            if state == ring_state::RELEASED {
                released.push(index);
            }
        }
        if taken > 0 {
            self.tick();
            self.read_all(due);
        } else if self.rings.iter().any(|ring| !ring.is_empty()) {
            self.read_all(due);
        }
        for index in released {
            if self.rings.get(index).is_some_and(Ring::is_empty) {
                self.shared.free(index);
            }
        }
        if self.now.0 >= self.last_flush + CHORES_NANOS && self.writer.as_ref().is_some_and(CaptureWriter::has_events) {
            self.flush();
        }
        taken
    }

    /// Takes the words of a ring; gives their number.
    fn take(&mut self, index: usize) -> usize {
        while self.rings.len() <= index {
            // A ring that cannot be mapped cannot be read; its thread will wait and find us gone.
            let Ok(header) = self.shared.header(self.rings.len()) else { return 0 };
            self.rings.push(Ring::new(header));
        }
        let ring = &mut self.rings[index];
        let claims = ring.header.claims.load(Ordering::Acquire);
        if claims != ring.claims {
            ring.begin(claims, ring.header.image.load(Ordering::Relaxed));
        }
        ring.compact();
        // Bounded: what is held back is little, unless a thread is stuck between its stamp and its publication.
        if ring.words.len() >= RING_WORDS {
            return 0;
        }
        let before = ring.words.len();
        let written = ring.header.written.load(Ordering::Acquire);
        rings::take(ring.header, written, &mut ring.words);
        ring.words.len() - before
    }

    /// Time goes on: for the account and the capture.
    fn tick(&mut self) {
        self.tally.clock(self.now);
        let now = self.now;
        self.write(|writer| {
            writer.mark(Event::Clock(now));
            Ok(())
        });
    }

    /// Reads every record stamped `due` or earlier, and those without stamp.
    fn read_all(&mut self, due: u64) {
        loop {
            let mut announced = false;
            for index in 0..self.rings.len() {
                if !self.rings[index].is_empty() && !self.by_number.contains_key(&self.rings[index].image) {
                    announced |= self.read_announcement(index);
                }
            }
            let mut numbers: Vec<u32> = (self.rings.iter().filter(|ring| !ring.is_empty()))
                .map(|ring| ring.image)
                .filter(|number| self.by_number.contains_key(number))
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            for number in numbers {
                self.read_image(number, due);
            }
            if !announced {
                return;
            }
        }
    }

    /// Reads the rings of one image in the order of their stamps.
    fn read_image(&mut self, number: u32, due: u64) {
        let Some(&image) = self.by_number.get(&number) else { return };
        self.begin_threads(number, image);
        let members: Vec<usize> = (0..self.rings.len())
            .filter(|&index| self.rings[index].image == number && !self.rings[index].is_empty())
            .collect();
        if let [only] = members[..] {
            while self.read_ring(only, image, due) {}
            return;
        }
        loop {
            // The ring whose next record is the earliest, and up to where it may be read: the next ring's record.
            let mut first: Option<(u64, usize)> = None;
            let mut second = u64::MAX;
            for &index in &members {
                let Some(stamp) = merge::next_stamp(&self.rings[index]) else { continue };
                match first {
                    Some((earliest, _)) if stamp >= earliest => second = second.min(stamp),
                    _ => {
                        second = first.map_or(second, |(earliest, _)| earliest);
                        first = Some((stamp, index));
                    }
                }
            }
            let Some((_, index)) = first.filter(|(stamp, _)| *stamp <= due) else { return };
            while self.read_ring(index, image, second.min(due)) {}
        }
    }

    /// Reads a batch of records of a ring, up to those stamped `due`. False if there is nothing more to read.
    fn read_ring(&mut self, index: usize, image: usize, due: u64) -> bool {
        let ring = &mut self.rings[index];
        let mut words = std::mem::take(&mut ring.words);
        let (mut at, end) = (ring.at, words.len());
        let stop = (at + BATCH).min(end);
        let mut held_back = false;
        while at < stop {
            let rest = &words[at..];
            let Some(length) = merge::length(rest) else {
                // A record that is cut cannot be: they are published whole. A target has overwritten its ring.
                self.inconsistent += 1;
                words.truncate(at);
                break;
            };
            let record = &rest[..length];
            if let Some(stamp) = merge::stamp(record) {
                if stamp > due {
                    held_back = true;
                    break;
                }
                self.rings[index].last_stamp = stamp;
            }
            self.read_record(index, image, record);
            at += length;
        }
        let more = at < words.len() && !held_back;
        let ring = &mut self.rings[index];
        ring.words = words;
        ring.at = at;
        if self.writer.as_ref().is_some_and(CaptureWriter::is_full) {
            self.flush();
        }
        more
    }

    #[inline]
    fn read_record(&mut self, index: usize, image: usize, record: &[u64]) {
        let first = record[0];
        let (record_kind, sub, low) = (kind_of(first), sub_of(first), low_of(first));
        if record_kind == kind::DEFINITION {
            return self.define(index, image, record);
        }
        let block = |ring: &mut Ring, tally: &mut Tally, image: ImageIndex| {
            let word = record[1];
            let size = if word as u32 == WIDE { record[2] } else { word & u64::from(u32::MAX) };
            (size, row(ring, tally, image, (word >> 32) as usize))
        };
        let Self { rings, images, tally, writer, .. } = self;
        let ring = &mut rings[index];
        let Some(thread) = ring.thread else { return };
        let Image { heap, index: image, .. } = &mut images[image];
        let mut recent = ring.recent;
        macro_rules! context {
            () => {
                heap::Context {
                    tally,
                    thread: thread.0,
                    recent: &mut recent,
                    sink: |event| {
                        if let Some(writer) = writer {
                            writer.event(thread, event);
                        }
                    },
                }
            };
        }
        match record_kind {
            kind::ALLOCATED | kind::ALLOCATED_STAMPED => {
                let (size, row) = block(ring, tally, *image);
                let Some(allocator) = Allocator::from_number(sub as u8) else { return };
                heap.allocated(&mut context!(), allocator, low, size, row);
            }
            kind::FREED | kind::FREED_STAMPED => heap.freed(&mut context!(), low),
            kind::REALLOC_BEGIN if sub & RANGE != 0 => ring.pending = heap.remapping(low, record[1]),
            kind::REALLOC_BEGIN => ring.pending = heap.reallocating(low),
            kind::REALLOC_END if sub & FAILED != 0 => heap.reallocation_failed(std::mem::take(&mut ring.pending)),
            kind::REALLOC_END => {
                let (size, row) = block(ring, tally, *image);
                let Some(reallocator) = Reallocator::from_number((sub >> 2) as u8) else { return };
                let pending = std::mem::take(&mut ring.pending);
                heap.reallocated(&mut context!(), pending, reallocator.allocator(), low, size, row);
            }
            _ => heap.unmapped(&mut context!(), low, record[1]),
        }
        rings[index].recent = recent;
    }

    fn define(&mut self, index: usize, image: usize, record: &[u64]) {
        let Self { rings, images, dictionary, .. } = self;
        let ring = &mut rings[index];
        let (low, word) = (low_of(record[0]), record.get(1).copied().unwrap_or(0));
        match sub_of(record[0]) {
            definition::PYTHON_NODE => {
                let parent = ring.nodes.get(low as usize).map_or(StackId::EMPTY, |node| node.stack);
                let Some(&code) = ring.codes.get((word >> 32) as usize) else {
                    return ring.nodes.push(Node { stack: parent, row: None });
                };
                let frame = dictionary.python_frame(code, word as u32 as i32);
                ring.nodes.push(Node { stack: dictionary.stack(parent, frame), row: None });
            }
            definition::NATIVE_NODE => {
                let parent = ring.nodes.get(word as usize).map_or(StackId::EMPTY, |node| node.stack);
                let frame = match images[image].locate(low) {
                    Some((module, offset)) => FrameDef::Native { module, offset },
                    None => FrameDef::Unknown { address: low },
                };
                let frame = dictionary.frame(frame);
                ring.nodes.push(Node { stack: dictionary.stack(parent, frame), row: None });
            }
            definition::BLOB => {
                if let Some((kind, blob)) = collect(ring, record) {
                    self.read_blob(index, image, kind, &blob);
                }
            }
            definition::FINALIZING => {
                let image = images[image].index;
                self.tally.program_ended(image);
                self.write(|writer| {
                    writer.mark(Event::ProgramEnded(image));
                    Ok(())
                });
            }
            _ => self.inconsistent += 1,
        }
    }

    fn read_blob(&mut self, index: usize, image: usize, kind: BlobKind, blob: &[u8]) {
        match kind {
            BlobKind::Code => {
                let code = code_of(&mut self.dictionary, blob);
                self.rings[index].codes.push(code);
            }
            BlobKind::Module => {
                let Some((head, path)) = blob.split_first_chunk::<24>() else { return };
                let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
                let module = self.dictionary.module(&String::from_utf8_lossy(path));
                let mapped = Mapped { end: number(8), file_offset: number(16), module };
                self.images[image].map_module(number(0), mapped);
            }
            // Read before by `read_announcement`; a thread's name is read from /proc.
            BlobKind::Image | BlobKind::ThreadName => {}
        }
    }

    /// Reads the first record of an image that is not known yet, if it stands in this ring and is whole. False if not.
    fn read_announcement(&mut self, index: usize) -> bool {
        let number = self.rings[index].image;
        let ring = &mut self.rings[index];
        let words = std::mem::take(&mut ring.words);
        let found = merge::length(&words[ring.at..]).and_then(|length| {
            let record = &words[ring.at..ring.at + length];
            let is_announcement = kind_of(record[0]) == kind::DEFINITION
                && sub_of(record[0]) == definition::BLOB
                && blob_parts(record[0]).0 == BlobKind::Image as u8;
            is_announcement.then(|| {
                ring.at += length;
                collect(ring, record)
            })?
        });
        ring.words = words;
        match found {
            Some((_, blob)) => {
                self.add_image(number, index, &blob);
                true
            }
            None => false,
        }
    }

    fn add_image(&mut self, number: u32, ring: usize, blob: &[u8]) {
        let pid = self.rings[ring].header.pid.load(Ordering::Relaxed);
        let Some(announcement) = Announcement::parse(blob) else {
            self.inconsistent += 1;
            return;
        };
        // A program that was executed in a process takes the place of the one before.
        let before = self.images.iter().position(|image| image.pid == pid && !image.ended);
        if let Some(before) = before {
            self.end_image(before);
        }
        let parent = match announcement.forked {
            true => self.by_number.get(&announcement.parent).copied(),
            false => before.or_else(|| {
                let parent = process::parent(pid)?;
                self.images.iter().rposition(|image| image.pid == parent)
            }),
        };
        let (program, arguments): (_, Vec<_>) = match parent {
            // A forked child runs what its parent does, and does not say so again.
            Some(parent) if announcement.forked => (self.images[parent].program, self.images[parent].arguments.clone()),
            _ => (
                self.dictionary.string(&announcement.program),
                announcement.arguments.iter().map(|text| self.dictionary.string(text)).collect(),
            ),
        };
        let python = announcement.python;
        let known = python == 0 || (0x0308..=0x030D).contains(&python);
        if !known && !self.unknown_pythons.contains(&python) {
            self.unknown_pythons.push(python);
        }
        let index = self.dictionary.image(ImageDef {
            pid,
            parent: parent.map(|parent| self.images[parent].index),
            origin: if announcement.forked { ImageOrigin::Fork } else { ImageOrigin::Exec },
            program,
            arguments: arguments.clone(),
            python,
            started: self.now,
        });
        self.by_number.insert(number, self.images.len());
        self.images.push(Image {
            index,
            pid,
            program,
            arguments,
            heap: heap::Heap::default(),
            modules: Default::default(),
            process: Watched::new(pid),
            ended: false,
        });
        // The image is in the account even if it never allocates.
        self.tally.row(index, StackId::EMPTY);
        for ring in &mut self.rings {
            if ring.image == number {
                begin_thread(ring, index, &mut self.dictionary);
            }
        }
    }

    fn end_dead_images(&mut self) {
        for image in 0..self.images.len() {
            if !self.images[image].ended && self.images[image].process.has_ended() {
                self.end_image(image);
            }
        }
    }

    /// Reads the rest of an image's rings and ends it. Its process has ended or executes another program: nothing
    /// will be written any more.
    fn end_image(&mut self, image: usize) {
        let Some(number) = self.by_number.iter().find(|(_, index)| **index == image).map(|(number, _)| *number) else {
            return;
        };
        for _ in 0..2 {
            for index in 0..self.shared.rings_used() {
                if self.rings.get(index).is_none_or(|ring| ring.image == number || ring.image == 0)
                    && self.shared.state(index) != ring_state::FREE
                {
                    self.take(index);
                }
            }
            self.begin_threads(number, image);
            self.tick();
            self.read_image(number, u64::MAX);
        }
        for index in 0..self.rings.len() {
            let is_its = self.rings[index].image == number;
            if is_its && self.shared.state(index) != ring_state::FREE && self.rings[index].is_empty() {
                self.shared.free(index);
            }
        }
        self.images[image].ended = true;
        self.inconsistent += std::mem::take(&mut self.images[image].heap).inconsistent;
        let index = self.images[image].index;
        self.tally.image_ended(index);
        self.write(|writer| {
            writer.mark(Event::ImageEnded(index));
            Ok(())
        });
    }

    /// Gives the threads of an image that have begun since their numbers.
    fn begin_threads(&mut self, number: u32, image: usize) {
        let index = self.images[image].index;
        for ring in &mut self.rings {
            if ring.image == number && ring.thread.is_none() {
                begin_thread(ring, index, &mut self.dictionary);
            }
        }
    }

    fn sample(&mut self) {
        let mut resident = 0;
        let mut own = 0;
        for image in self.images.iter().filter(|image| !image.ended) {
            resident += process::resident(image.pid).unwrap_or(0);
        }
        for (index, ring) in self.rings.iter().enumerate() {
            if self.shared.state(index) == ring_state::CLAIMED {
                let written = ring.header.written.load(Ordering::Relaxed).min(RING_WORDS as u64);
                own += 4096 + written * 8 + ring.header.shim_bytes.load(Ordering::Relaxed);
            }
        }
        self.shim_bytes = self.shim_bytes.max(own);
        let resident = resident.saturating_sub(own);
        self.peak_rss = self.peak_rss.max(resident);
        let sample = self.tally.sample(self.now, resident);
        self.write(|writer| writer.sample(sample));
        self.timeline.push(sample);
        if self.timeline.len() > MOST_POINTS {
            self.timeline = self.timeline.chunks(2).map(merge_samples).collect();
        }
    }

    /// Takes the rings back whose threads said that they were about to end, and have.
    fn release_ended(&mut self) {
        for index in 0..self.rings.len() {
            if self.shared.state(index) == ring_state::EXITING {
                self.release_if_ended(index);
            }
        }
    }

    /// What is done once a second: names of threads, rings of threads that ended without saying so.
    fn chores(&mut self) {
        for index in 0..self.rings.len() {
            if self.shared.state(index) == ring_state::CLAIMED && !self.release_if_ended(index) {
                note_name(&mut self.rings[index], &mut self.dictionary);
            }
        }
    }

    fn release_if_ended(&mut self, index: usize) -> bool {
        let header = self.rings[index].header;
        if self.rings[index].claims != header.claims.load(Ordering::Acquire) {
            // A new claim, of which no word has been read.
            return false;
        }
        let of = |header: &RingHeader| (header.pid.load(Ordering::Relaxed), header.thread.load(Ordering::Relaxed));
        let (pid, thread) = of(header);
        // The number may have gone to a new thread, which has a ring of its own then.
        let has_successor = || {
            (0..self.rings.len()).any(|other| {
                other != index
                    && self.shared.state(other) == ring_state::CLAIMED
                    && of(self.rings[other].header) == (pid, thread)
            })
        };
        let state = self.shared.state(index);
        let ended = !process::has_thread(pid, thread) || (state == ring_state::EXITING && has_successor());
        if ended {
            self.shared.control().ring_states[index].store(ring_state::RELEASED, Ordering::Release);
        }
        ended
    }

    fn flush(&mut self) {
        self.last_flush = self.now.0;
        if self.writer.as_ref().is_some_and(CaptureWriter::is_aggregate) {
            // Its definitions stay fresh until the footer takes them.
            return;
        }
        let definitions = self.dictionary.take_fresh();
        let at = At { events: self.tally.events(), time: self.now, live: self.tally.live().bytes };
        if !self.write(|writer| writer.flush(&definitions, at)) {
            return;
        }
        let live: u64 = self.images.iter().map(|image| image.heap.len() as u64).sum();
        // A block that is being reallocated is not in the heap: a keyframe would miss it.
        let settled = self.rings.iter().all(|ring| matches!(ring.pending, heap::Pending::None));
        if settled && self.writer.as_ref().is_some_and(|writer| writer.wants_keyframe(live)) {
            let Self { images, tally, .. } = self;
            let keyframes: Vec<_> = (images.iter_mut().filter(|image| !image.ended))
                .map(|image| image.heap.keyframe(image.index, |row| tally.stack(row)))
                .collect();
            self.write(|writer| writer.keyframe(&keyframes));
        }
    }

    /// Writes to the capture. If that fails the capture ends here and tracing with it; the target goes on. False then.
    fn write(&mut self, action: impl FnOnce(&mut CaptureWriter) -> io::Result<()>) -> bool {
        let Some(writer) = &mut self.writer else { return false };
        match action(writer) {
            Ok(()) => true,
            Err(error) => {
                self.shared.control().stopped.store(1, Ordering::Release);
                self.capture_error = Some(error);
                self.writer = None;
                false
            }
        }
    }

    fn finish(mut self, status: std::process::ExitStatus) -> Outcome {
        self.shared.control().stopped.store(1, Ordering::Release);
        self.round();
        self.sample();
        self.flush();
        let definitions: Definitions = self.dictionary.take_fresh();
        self.inconsistent += self.images.iter().map(|image| image.heap.inconsistent).sum::<u64>();
        self.tally.clock(Nanos(self.started.elapsed().as_nanos() as u64));
        let images = self.images.len();
        let mut account = std::mem::take(&mut self.tally).finish();
        let totals = &mut account.totals;
        totals.peak_rss = self.peak_rss;
        let tracer = &mut totals.tracer;
        let control = self.shared.control();
        let (cpu, resident) = process::own_cost().unwrap_or_default();
        tracer.lost = control.lost.load(Ordering::Relaxed);
        tracer.refused = u64::from(control.refused.load(Ordering::Relaxed));
        tracer.inconsistent = self.inconsistent;
        tracer.collector_cpu = Nanos(cpu);
        tracer.collector_rss = resident;
        tracer.shim_bytes = self.shim_bytes;
        for header in self.rings.iter().map(|ring| ring.header) {
            tracer.lost += header.lost.load(Ordering::Relaxed);
            tracer.cut_stacks += header.cut.load(Ordering::Relaxed);
            tracer.bare += header.bare.load(Ordering::Relaxed);
            tracer.waits += header.waits.load(Ordering::Relaxed);
            tracer.waited.0 += header.waited.load(Ordering::Relaxed);
        }
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let mut capture_bytes = 0;
        if let Some(writer) = self.writer.take() {
            let footer = Footer {
                index: Vec::new(),
                definitions,
                totals: account.totals.clone(),
                images: account.images,
                rows: account.rows,
                timeline: std::mem::take(&mut self.timeline),
                status: code,
            };
            match writer.finish(footer) {
                Ok(bytes) => capture_bytes = bytes,
                Err(error) => self.capture_error = Some(error),
            }
        }
        Outcome {
            status,
            totals: account.totals,
            images,
            capture_bytes,
            unknown_pythons: self.unknown_pythons,
            capture_error: self.capture_error,
        }
    }
}

/// The row of a node of the ring's thread; nodes that do not exist count as the empty stack.
#[inline]
fn row(ring: &mut Ring, tally: &mut Tally, image: ImageIndex, node: usize) -> RowId {
    let node = if node < ring.nodes.len() { node } else { 0 };
    let node = &mut ring.nodes[node];
    match node.row {
        Some(row) => row,
        None => *node.row.insert(tally.row(image, node.stack)),
    }
}

fn begin_thread(ring: &mut Ring, image: ImageIndex, dictionary: &mut Dictionary) {
    let tid = ring.header.thread.load(Ordering::Relaxed);
    ring.thread = Some(dictionary.thread(ThreadDef { image, tid }));
    note_name(ring, dictionary);
}

fn note_name(ring: &mut Ring, dictionary: &mut Dictionary) {
    let (pid, tid) = (ring.header.pid.load(Ordering::Relaxed), ring.header.thread.load(Ordering::Relaxed));
    if let (Some(thread), Some(name)) = (ring.thread, process::thread_name(pid, tid))
        && name != ring.name
    {
        dictionary.name_thread(thread, &name);
        ring.name = name;
    }
}

/// Adds a part to the ring's blob; the whole if that was the last part.
fn collect(ring: &mut Ring, record: &[u64]) -> Option<(BlobKind, Vec<u8>)> {
    let (kind, length, last) = blob_parts(record[0]);
    ring.blob.extend(record[1..].iter().flat_map(|word| word.to_le_bytes()).take(length as usize));
    if !last {
        return None;
    }
    Some((BlobKind::from_number(kind)?, std::mem::take(&mut ring.blob)))
}

fn code_of(dictionary: &mut Dictionary, blob: &[u8]) -> CodeObject {
    let mut head = [0; code::HEAD];
    let whole = blob.len().min(code::HEAD);
    head[..whole].copy_from_slice(&blob[..whole]);
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let mut rest = &blob[whole..];
    let mut part = |length: u32| {
        let (part, after) = rest.split_at(rest.len().min(length as usize));
        rest = after;
        part
    };
    let (name, file, line_table) = (part(number(8)), part(number(12)), part(number(16)));
    let (name, file) = (wire_text(name, head[6]), wire_text(file, head[7]));
    let first_line = number(0);
    let code = CodeDef { name: dictionary.string(&name), file: dictionary.string(&file), first_line };
    let python = u16::from_le_bytes([head[4], head[5]]);
    dictionary.code_object(code, LineTable { python, first_line, bytes: line_table.to_vec() })
}

/// Text as CPython keeps it, with `width` bytes per character.
fn wire_text(bytes: &[u8], width: u8) -> String {
    let characters: Vec<u32> = match width {
        2 => bytes.chunks_exact(2).map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]]))).collect(),
        4 => bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect(),
        _ => bytes.iter().map(|byte| u32::from(*byte)).collect(),
    };
    // Surrogates stand for bytes of a path that are no UTF-8 (PEP 383).
    characters.into_iter().map(|character| char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// The content of a [`BlobKind::Image`].
struct Announcement {
    parent: u32,
    forked: bool,
    python: u16,
    program: String,
    arguments: Vec<String>,
}

impl Announcement {
    fn parse(blob: &[u8]) -> Option<Self> {
        let (head, mut rest) = blob.split_first_chunk::<7>()?;
        let mut part = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            Some(part)
        };
        let (program, command) = (part()?, part()?);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let command = command.strip_suffix(b"\0").unwrap_or(command);
        Some(Self {
            parent: u32::from_le_bytes([head[0], head[1], head[2], head[3]]),
            forked: head[4] != 0,
            python: u16::from_le_bytes([head[5], head[6]]),
            program: text(program),
            arguments: if command.is_empty() {
                Vec::new()
            } else {
                command.split(|byte| *byte == 0).map(text).collect()
            },
        })
    }
}

/// One point for two.
fn merge_samples(points: &[Sample]) -> Sample {
    let mut merged = points[points.len() - 1];
    for point in points {
        merged.live_high = merged.live_high.max(point.live_high);
        merged.rss = merged.rss.max(point.rss);
    }
    merged
}

// The shim writes what `wire` says; a change there must be one here.
const _: () = assert!(wire::ADDRESS_BITS == 56);
