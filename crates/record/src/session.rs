//! A recording from start to end: starts the target, drains in rounds, samples, writes the footer. What records mean is
//! in [`reading`], which images and threads there are in [`images`].

mod blobs;
mod census;
mod images;
mod looks;
mod marks;
#[cfg(any(test, feature = "nonsense"))]
#[doc(hidden)]
pub mod nonsense;
mod reading;

pub use census::CensusOptions;

use crate::capture::{CaptureWriter, Instant as At};
use crate::dictionary::Dictionary;
use crate::heap;
use crate::image::{Image, Ring};
use crate::process::{self, Watched};
use crate::rings::{self, Shared};
use crate::signals::Signals;
use crate::target::Target;
use crate::unseen::{Sampled, Unseen};
use heaptide_analyze::tally::Tally;
use heaptide_analyze::timeline::Timeline;
use heaptide_format::capture::definitions::Definitions;
use heaptide_format::capture::events::Event;
use heaptide_format::capture::{Footer, Mark, RunInfo, Totals, UnseenAllocators};
use heaptide_format::ids::Nanos;
use heaptide_format::shared::{PATH_VARIABLE, RING_WORDS, Unread, option, ring_state};
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
    /// Read every stack a second time, as a whole, and end tracing if the two differ.
    pub verify: bool,
    /// Write no events, only the summary.
    pub aggregate: bool,
    /// Most Python frames of a stack, the innermost ones; `None`: all.
    pub max_depth: Option<std::num::NonZeroU32>,
    /// Record whole native stacks, of so many frames at most, the innermost ones. `None`: only the innermost, where there
    /// are no Python frames.
    pub native_depth: Option<std::num::NonZeroU32>,
    /// Limits of live and of resident bytes, each of which is told and marked when it is passed for the first time.
    pub alerts: Vec<Limit>,
    /// Count Python objects, and when; `None`: never.
    pub census: Option<CensusOptions>,
    /// Version of heaptide, for the capture.
    pub version: String,
}

/// An amount of memory that is not to be passed without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// More bytes than this pass it.
    pub bytes: u64,
    /// As it was typed, for the name of the mark.
    pub text: String,
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
    /// Interpreters that were met and whose stacks are not read: version (`major << 8 | minor`) and why. Each once.
    pub unread_pythons: Vec<(u16, Unread)>,
    /// Why the capture is not whole, if so: it could not be written on.
    pub capture_error: Option<io::Error>,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Shared memory, signals: the system refuses what recording needs.
    #[error("cannot prepare the recording: {}{}", .0, advice(.0))]
    Prepare(io::Error),
    /// Targets find the shared memory by `/proc`, and the recorder their processes.
    #[error("cannot record without /proc, which is not mounted here; mount it: mount -t proc proc /proc")]
    NoProc,
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

/// What to do about it, if that is known.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "; raise `ulimit -n` to 16 or more",
        Some(libc::EFBIG) => "; raise `ulimit -f`: the memory between target and recorder is a file to the kernel",
        Some(libc::ENOMEM) => "; raise `ulimit -v`, or free memory",
        Some(libc::EPERM | libc::ENOSYS) => "; a filter of system calls refuses it: record outside of it",
        _ => "",
    }
}

/// What is told while a recording goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// So many traced processes outlive the command, which has ended. Told once.
    Survivors(usize),
    /// A limit was passed.
    Alert {
        /// The limit, as it was typed.
        limit: String,
        /// RSS has passed it, as sampled; else live bytes have.
        is_rss: bool,
        /// Where; its name is the alert's.
        mark: Mark,
    },
}

/// Called with what is to be told.
pub type OnNotice<'a> = &'a mut dyn FnMut(Notice);

/// Runs the target and records it to `file`, until it and all traced children have ended (or, after the command has
/// ended, the user interrupts).
///
/// # Errors
/// See [`RecordError`]. Once the target runs, nothing is an error any more: it must not be disturbed.
pub fn record(target: &Target, options: &Options, file: File, on_notice: OnNotice<'_>) -> Result<Outcome, RecordError> {
    if !std::path::Path::new("/proc/self/stat").exists() {
        return Err(RecordError::NoProc);
    }
    let bits = if options.python_allocators { option::PYTHON_ALLOCATORS } else { 0 }
        | if options.follow { option::FOLLOW } else { 0 }
        | if options.verify { option::VERIFY } else { 0 }
        | if options.native_depth.is_some() { option::NATIVE } else { 0 }
        | if options.census.is_some() { option::CENSUS } else { 0 };
    let depth = |most: Option<std::num::NonZeroU32>| most.map_or(0, std::num::NonZeroU32::get);
    let shared =
        Shared::create(bits, depth(options.max_depth), depth(options.native_depth)).map_err(RecordError::Prepare)?;
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
    let mut session = Session::new(shared, writer);
    session.watch_limits(&options.alerts);
    session.census = census::Schedule::new(options.census);
    let child = start(target, options, &session.shared, &signals)
        .map_err(|error| RecordError::Start { program: target.program.display().to_string(), error })?;
    Ok(session.run(child, &signals, on_notice))
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
    crate::streams::close_in(&mut command);
    command.spawn()
}

/// A round that found fewer words than this is followed by a sleep.
const BUSY_WORDS: usize = 512;
/// Sleep between rounds that find little; longer when they find nothing.
const FIRST_NAP_NANOS: i64 = 250_000;
/// Sleep between rounds that find little, once a run has lasted: rings hold what comes meanwhile, one that is full wakes us,
/// and waking up costs as much as reading a thousand events.
const BUSY_NAP_NANOS: i64 = 1_000_000;
/// Short programs are not to wait for us at their end.
const BEGINNING_NANOS: u64 = 100_000_000;
/// How long a run is continued after its last process while a child that was forked has not been heard of. On a busy
/// machine it may take long to get its first moment; one whose fork has failed never comes.
const GRACE_NANOS: u64 = 1_000_000_000;
const SAMPLE_NANOS: u64 = 10_000_000;
const CHORES_NANOS: u64 = 1_000_000_000;

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
    timeline: Timeline,
    peak_rss: u64,
    shim_bytes: u64,
    inconsistent: u64,
    /// Events that were published and never read.
    lost: u64,
    unseen: Unseen,
    marks: marks::Marking,
    looks: looks::Looking,
    census: census::Schedule,
}

impl Session {
    fn new(shared: Shared, writer: CaptureWriter) -> Self {
        let unseen = Unseen::new(shared.control().options & option::PYTHON_ALLOCATORS != 0);
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
            timeline: Timeline::default(),
            peak_rss: 0,
            shim_bytes: 0,
            inconsistent: 0,
            lost: 0,
            unseen,
            marks: marks::Marking::default(),
            looks: looks::Looking::default(),
            census: census::Schedule::default(),
        }
    }

    fn run(mut self, mut child: Child, signals: &Signals, on_notice: OnNotice<'_>) -> Outcome {
        let main = Watched::new(child.id());
        let mut status = None;
        let mut told = false;
        let mut last_alive = 0;
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
                self.look_if_due();
            }
            self.schedule_census();
            if now >= next_chores {
                self.chores();
                next_chores = now + CHORES_NANOS;
            }
            self.marks.take_notices().into_iter().for_each(&mut *on_notice);
            while let Some(received) = signals.next() {
                if status.is_some() && !matches!(received.signal, libc::SIGUSR1 | libc::SIGUSR2) {
                    // The command has ended: what is sent now is meant for us.
                    return self.finish(status.unwrap_or_default(), on_notice);
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
                        last_alive = self.elapsed();
                        self.end_dead_images();
                        continue;
                    }
                } else {
                    let living = self.images.iter().filter(|image| !image.ended).count();
                    if living == 0 {
                        if !self.expects_children() || self.elapsed() - last_alive > GRACE_NANOS {
                            break;
                        }
                    } else {
                        last_alive = self.elapsed();
                    }
                    if living > 0 && !told {
                        told = true;
                        on_notice(Notice::Survivors(living));
                    }
                }
                idle_rounds = if words == 0 { (idle_rounds + 1).min(8) } else { 0 };
                let nap = match idle_rounds {
                    0 if now > BEGINNING_NANOS => BUSY_NAP_NANOS,
                    rounds => FIRST_NAP_NANOS << rounds.min(4),
                };
                rings::wait_for_doorbell(self.shared.control(), doorbell, nap);
            } else {
                idle_rounds = 0;
            }
        }
        self.finish(status.unwrap_or_default(), on_notice)
    }

    /// Whether a child was forked that has not announced itself.
    fn expects_children(&self) -> bool {
        let control = self.shared.control();
        let forked = self.images.iter().filter(|image| image.forked).count();
        control.options & option::FOLLOW != 0 && control.forks.load(Ordering::Acquire) as usize > forked
    }

    fn elapsed(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Takes what is in the rings and reads what is due. Gives the number of words.
    fn round(&mut self) -> usize {
        // Before the stamp: what was published before somebody outside set a mark is read before it is set.
        self.take_letters();
        let due = rings::stamp(self.shared.control());
        self.shared.control().heartbeat.fetch_add(1, Ordering::Relaxed);
        self.now = Nanos(self.elapsed());
        let mut taken = 0;
        let mut released = Vec::new();
        for index in 0..self.shared.rings_used() {
            let state = self.shared.state(index);
            if !self.shared.is_in_use(index) {
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
        self.set_marks();
        self.write_censuses();
        for index in released {
            // If its image has ended meanwhile, the ring was freed with it, and may be another thread's by now.
            if self.shared.state(index) == ring_state::RELEASED && self.rings.get(index).is_some_and(Ring::is_empty) {
                self.free(index);
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
        // What a round holds back it has taken itself, a ring's worth at most: everything older was due. To leave words in a
        // ring while others are taken would break their order. More are held only of an image that never announced itself,
        // or of one that writes nonsense for stamps.
        if ring.words.len() > RING_WORDS {
            return 0;
        }
        let before = ring.words.len();
        ring.published.look(ring.header);
        let written = ring.header.written.load(Ordering::Acquire);
        rings::take(ring.header, written, &mut ring.words);
        ring.words.len() - before
    }

    /// Gives a ring of which everything has been read to whichever thread comes next.
    fn free(&mut self, index: usize) {
        let ring = &mut self.rings[index];
        // Its thread is gone: nothing is counted any more.
        ring.published.look(ring.header);
        self.lost += ring.published.settle(&[]);
        self.shared.free(index);
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

    fn sample(&mut self) {
        let mut resident = 0;
        let mut own = 0;
        // Private bytes of the shim, by the shim's number of the image.
        let mut private: FxHashMap<u32, u64> = FxHashMap::default();
        for (index, ring) in self.rings.iter().enumerate() {
            if self.shared.state(index) == ring_state::CLAIMED {
                let written = ring.header.written.load(Ordering::Relaxed).min(RING_WORDS as u64);
                let shim_bytes = ring.header.shim_bytes.load(Ordering::Relaxed);
                own += 4096 + written * 8 + shim_bytes;
                *private.entry(ring.image).or_default() += shim_bytes;
            }
        }
        for (number, image) in &self.by_number {
            let image = &self.images[*image];
            let Some(of_image) = (!image.ended).then(|| process::resident(image.pid)).flatten() else { continue };
            resident += of_image.all();
            let sampled = Sampled {
                time: self.now,
                resident: of_image,
                own: private.get(number).copied().unwrap_or(0),
                live: self.tally.image_live(image.index),
                anonymous: image.heap.anonymous(),
            };
            self.unseen.sampled(image, sampled);
        }
        let found = self.unseen.take_found();
        self.write(|writer| writer.unseen(&UnseenAllocators { found, ..UnseenAllocators::default() }));
        self.shim_bytes = self.shim_bytes.max(own);
        let resident = resident.saturating_sub(own);
        self.peak_rss = self.peak_rss.max(resident);
        self.rss_is(resident);
        let sample = self.tally.sample(self.now, resident);
        self.write(|writer| writer.sample(sample));
        self.timeline.push(sample);
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

    fn finish(mut self, status: std::process::ExitStatus, on_notice: OnNotice<'_>) -> Outcome {
        self.shared.control().stopped.store(1, Ordering::Release);
        self.round();
        self.sample();
        self.look_last();
        self.write_marks();
        self.marks.take_notices().into_iter().for_each(on_notice);
        self.flush();
        self.write_censuses();
        let unseen = std::mem::take(&mut self.unseen).finish();
        self.write(|writer| writer.unseen(&unseen));
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
        tracer.lost = self.lost + control.lost.load(Ordering::Relaxed);
        tracer.refused = u64::from(control.refused.load(Ordering::Relaxed));
        tracer.inconsistent = self.inconsistent;
        tracer.collector_cpu = Nanos(cpu);
        tracer.collector_rss = resident;
        tracer.shim_bytes = self.shim_bytes;
        for ring in &mut self.rings {
            let header = ring.header;
            let image = self.by_number.get(&header.image.load(Ordering::Relaxed)).map(|image| &self.images[*image]);
            if image.is_none_or(|image| image.ended) {
                ring.published.look(header);
            }
            // What a process that lives on has published since the rings were taken, and what of that is held back, came
            // after the end of the recording.
            tracer.lost += ring.published.settle(&ring.words[ring.at..]);
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
                timeline: std::mem::take(&mut self.timeline).into_points(),
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
            unread_pythons: control.unread_pythons().collect(),
            capture_error: self.capture_error,
        }
    }
}

#[cfg(test)]
mod tests;
