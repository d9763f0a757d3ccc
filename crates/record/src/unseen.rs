//! Allocators whose blocks we do not see, because they are linked into a program or a library under names of their own,
//! and how the memory of the images that have one grows.
//!
//! Which files an image has mapped is asked for when it is first sampled, when more of its files became resident since,
//! and when its program ends; ever more rarely while nothing new comes. Looking is a thread's ([`search`]), which reads
//! each object once in a run ([`object`]). What the figures mean is told in `heaptide_analyze::unseen`.

pub mod object;
pub mod search;

use crate::heap::Anonymous;
use crate::image::Image;
use crate::process::Resident;
use heaptide_format::capture::summary::Amount;
use heaptide_format::capture::{Growth, UnseenAllocator, UnseenAllocators};
use heaptide_format::ids::{ImageIndex, Nanos};
use search::{Answer, Question, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// What more of an image's files has become resident before it is worth a look: less than the smallest object of use.
const MORE_FILES: u64 = 64 * 1024;
/// Between two looks at an image: at least this, twice as long after each that found nothing new, at most the other.
const SOONEST: u64 = 50_000_000;
const LATEST: u64 = 1_000_000_000;
/// How long the end of a recording waits for answers.
const PATIENCE: Duration = Duration::from_millis(500);

/// An image as this module knows it.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    growth: Growth,
    sampled: bool,
    /// Resident bytes of its own at the last sample.
    last: u64,
    /// Live blocks, without mappings: the most so far.
    most_blocks: Amount,
    /// Resident bytes of files when it was last looked at.
    files: u64,
    /// When it may be looked at again, and how long after that.
    next_look: u64,
    interval: u64,
    /// An answer is due: a thread that hangs in a file system gets no further questions.
    asked: bool,
    has_unseen: bool,
}

/// A sample of an image.
#[derive(Clone, Copy, Debug)]
pub struct Sampled {
    /// When.
    pub time: Nanos,
    /// What is resident.
    pub resident: Resident,
    /// Private bytes of the shim in it.
    pub own: u64,
    /// Its live heap.
    pub live: Amount,
    /// What of that are mappings.
    pub anonymous: Anonymous,
}

/// All images, and the thread that looks.
#[derive(Debug, Default)]
pub struct Unseen {
    images: Vec<Watched>,
    python_is_seen: bool,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    requests: Sender<Request>,
    answers: Receiver<Answer>,
    /// Questions without an answer.
    open: usize,
    unread: Arc<AtomicU32>,
}

impl Unseen {
    /// Nothing is known. `python_is_seen`: blocks of Python's own allocators are recorded, whichever it uses.
    pub fn new(python_is_seen: bool) -> Self {
        Self { images: Vec::new(), python_is_seen, thread: None }
    }

    /// Takes in a sample of an image, and asks for its objects if there may be new ones.
    pub fn sampled(&mut self, image: &Image, sample: Sampled) {
        let resident = sample.resident.anonymous.saturating_sub(sample.own);
        // However late the first sample comes: a program that was executed began with nothing, a forked child with what
        // its parent held.
        let first = match image.parent {
            _ if !image.forked => 0,
            Some(parent) if self.image(parent).sampled => resident.min(self.image(parent).last),
            _ => resident,
        };
        let watched = self.image(image.index);
        watched.last = resident;
        let mappings = sample.anonymous.mappings.saturating_add(sample.anonymous.arenas);
        let blocks = sample.live.bytes.saturating_sub(mappings);
        if blocks >= watched.most_blocks.bytes {
            watched.most_blocks = Amount { bytes: blocks, count: sample.live.count };
        }
        if !watched.sampled {
            watched.growth = Growth { image: image.index, first, ..watched.growth };
        }
        if !watched.sampled || resident > watched.growth.highest {
            watched.growth = Growth {
                highest: resident,
                highest_at: sample.time,
                blocks: watched.most_blocks,
                mappings: sample.anonymous.mappings,
                arenas: sample.anonymous.arenas,
                ..watched.growth
            };
        }
        let more = sample.resident.files > watched.files.saturating_add(MORE_FILES);
        if (!watched.sampled || more) && !watched.asked && sample.time.0 >= watched.next_look {
            watched.asked = true;
            watched.files = sample.resident.files;
            watched.next_look = sample.time.0 + watched.interval.max(SOONEST);
            self.look(image);
        }
        self.image(image.index).sampled = true;
    }

    /// An image has ended: nothing more is asked about it.
    pub fn ended(&mut self, image: ImageIndex) {
        if let Some(thread) = &self.thread {
            // If nobody listens, nothing is kept either.
            let _ = thread.requests.send(Request::Forget(image));
        }
    }

    /// Takes answers that have come. What was found for the first time is to be written.
    pub fn take_found(&mut self) -> Vec<UnseenAllocator> {
        let Some(thread) = &mut self.thread else { return Vec::new() };
        let answers: Vec<Answer> = thread.answers.try_iter().collect();
        thread.open -= answers.len();
        answers.into_iter().flat_map(|answer| self.take(answer)).collect()
    }

    /// Waits for answers that are due, for a bounded time, and gives what has not been written: the rest of what was
    /// found, and how the images with such allocators grew.
    pub fn finish(mut self) -> UnseenAllocators {
        let until = Instant::now() + PATIENCE;
        let mut rest = UnseenAllocators { found: self.take_found(), ..UnseenAllocators::default() };
        while let Some(thread) = self.thread.as_mut().filter(|thread| thread.open > 0) {
            let Ok(answer) = thread.answers.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                // At least one: it may not even have listed them.
                rest.unread = thread.unread.load(Ordering::Relaxed).max(1);
                break;
            };
            thread.open -= 1;
            rest.found.extend(self.take(answer));
        }
        rest.growth
            .extend(self.images.iter().filter(|image| image.has_unseen && image.sampled).map(|image| image.growth));
        rest
    }

    fn image(&mut self, image: ImageIndex) -> &mut Watched {
        if self.images.len() <= image.index() {
            self.images.resize_with(image.index() + 1, Watched::default);
        }
        &mut self.images[image.index()]
    }

    /// Asks what an image has mapped.
    pub fn look(&mut self, image: &Image) {
        let python_is_seen = self.python_is_seen;
        let thread = self.thread.get_or_insert_with(|| {
            let (requests, to_serve) = mpsc::channel();
            let (give, answers) = mpsc::channel();
            let unread = Arc::new(AtomicU32::new(0));
            let theirs = Arc::clone(&unread);
            let search = move || search::serve(&to_serve, &give, &theirs, python_is_seen);
            // Without a thread nothing is found, and the channel says that nobody listens.
            let _ = std::thread::Builder::new().name("objects".into()).spawn(search);
            Thread { requests, answers, open: 0, unread }
        });
        let question = Question { image: image.index, pid: image.pid, program: image.program_path.clone() };
        if thread.requests.send(Request::Look(question)).is_ok() {
            thread.open += 1;
        }
    }

    fn take(&mut self, answer: Answer) -> Vec<UnseenAllocator> {
        let image = answer.image;
        let watched = self.image(image);
        watched.interval = if answer.new_objects > 0 { SOONEST } else { (watched.interval * 2).clamp(SOONEST, LATEST) };
        watched.growth.writable = watched.growth.writable.saturating_add(answer.writable);
        watched.asked = false;
        watched.has_unseen |= !answer.found.is_empty();
        (answer.found.into_iter())
            .map(|found| UnseenAllocator {
                image,
                path: found.path,
                allocator: found.allocator.into(),
                evidence: found.evidence,
            })
            .collect()
    }
}
