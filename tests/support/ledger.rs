//! What a target says of itself in a file (`fixtures/stress/ledger.c`, `ledger.py`), and what it has counted in the
//! memory that it shares with heaptide: the truth that a capture is held against, seen from outside of both.

use crate::support::Scratch;
use heaptide_format::shared::{CONTROL_BYTES, Control, MAX_RINGS, RingHeader, ring_offset};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads of a process that have a place in the file, and places in all.
pub const PER_PROCESS: usize = 4;
pub const THREADS: usize = 16;
const HEAD: usize = 64;
/// The target does nothing before this word is set.
const GATE: usize = 63;
const WORDS: usize = HEAD + THREADS * 16;

/// A file mapped to be read, for as long as the process lives: there are some hundred at most.
fn mapped(file: &File, bytes: usize) -> &'static [AtomicU64] {
    // SAFETY: the kernel chooses unused addresses.
    let address = unsafe {
        let (null, fd) = (std::ptr::null_mut(), file.as_raw_fd());
        libc::mmap(null, bytes, libc::PROT_READ, libc::MAP_SHARED, fd, 0)
    };
    assert!(address != libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
    // SAFETY: mapped just now, never unmapped, and no file of ours is made shorter. Others write it, in whole words.
    unsafe { std::slice::from_raw_parts(address.cast(), bytes / 8) }
}

/// What a thread has said last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    pub blocks: u64,
    pub bytes: u64,
    /// What it was about to do: 0 nothing, 1 malloc of `a`, 2 free of `a`, 3 realloc of `a` to `b`.
    pub next: u64,
    pub a: u64,
    pub b: u64,
}

impl Entry {
    /// What may be live: bytes and blocks, before the operation under way and after it. `per_block`: bytes of a head that each
    /// block has as a block of its own, which is made before it and released after it.
    pub fn possible(&self, per_block: Option<u64>) -> Vec<(u64, u64)> {
        let Self { blocks, bytes, next, a, b } = *self;
        let whole = |blocks: u64, bytes: u64| match per_block {
            Some(head) => (bytes + blocks * head, 2 * blocks),
            None => (bytes, blocks),
        };
        let mut possible = vec![whole(blocks, bytes)];
        // With the head of a block more.
        let and_head = |(bytes, blocks): (u64, u64)| per_block.map(|head| (bytes + head, blocks + 1));
        match next {
            0 => {}
            1 => {
                possible.extend(and_head(whole(blocks, bytes)));
                possible.push(whole(blocks + 1, bytes + a));
            }
            2 => {
                possible.extend(and_head(whole(blocks - 1, bytes - a)));
                possible.push(whole(blocks - 1, bytes - a));
            }
            3 => possible.push(whole(blocks, bytes - a + b)),
            other => panic!("an entry of unknown kind {other}"),
        }
        possible
    }
}

/// The file of a target.
pub struct Ledger {
    scratch: Scratch,
    words: &'static [AtomicU64],
}

impl Ledger {
    /// An empty one.
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let path = scratch.file("ledger", &[0; WORDS * 8]);
        let file = OpenOptions::new().read(true).open(path).expect("the file that was just made");
        Self { words: mapped(&file, WORDS * 8), scratch }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.scratch.path("ledger")
    }

    /// Lets the target begin.
    pub fn open_gate(&self) {
        let file = OpenOptions::new().write(true).open(self.path()).expect("the file is there");
        file.write_all_at(&1_u64.to_ne_bytes(), GATE as u64 * 8).expect("written");
    }

    fn word(&self, index: usize) -> u64 {
        self.words[index].load(Ordering::Acquire)
    }

    /// The id of a process, once its threads work.
    pub fn pid(&self, process: usize) -> Option<i32> {
        Some(self.word(process) as i32).filter(|pid| *pid != 0)
    }

    /// What the thread has said last; `None` if it never began.
    pub fn entry(&self, thread: usize) -> Option<Entry> {
        let first = HEAD + thread * 16;
        let number = self.word(first);
        let at = first + 4 + (number % 2) as usize * 6;
        let entry = || Entry {
            blocks: self.word(at),
            bytes: self.word(at + 1),
            next: self.word(at + 2),
            a: self.word(at + 3),
            b: self.word(at + 4),
        };
        (number > 0).then(entry)
    }

    /// The longest time in nanoseconds that any thread took between two entries.
    pub fn longest_pause(&self) -> u64 {
        (0..THREADS).map(|thread| self.word(HEAD + thread * 16 + 1)).max().unwrap_or(0)
    }
}

/// The memory that targets share with heaptide. It stays when all of them are gone.
pub struct SharedMemory(&'static [AtomicU64]);

impl SharedMemory {
    /// That of the heaptide with this process id; `None` if it has none (yet).
    pub fn of(heaptide: i32) -> Option<Self> {
        let descriptors = std::fs::read_dir(format!("/proc/{heaptide}/fd")).ok()?;
        let is_ours = |path: &Path| {
            std::fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("/memfd:heaptide"))
        };
        let path = descriptors.flatten().map(|entry| entry.path()).find(|path| is_ours(path))?;
        let bytes = ring_offset(MAX_RINGS);
        let file = File::open(path).ok()?;
        // Made, but not given its length yet.
        (file.metadata().ok()?.len() == bytes as u64).then(|| Self(mapped(&file, bytes)))
    }

    /// Events that all targets together have published and counted.
    pub fn events(&self) -> u64 {
        const { assert!(size_of::<Control>() <= CONTROL_BYTES) };
        // SAFETY: the structure lies there, in words that are mapped for good; what changes in it are atomics.
        let control = unsafe { &*self.0.as_ptr().cast::<Control>() };
        let rings = control.rings_used.load(Ordering::Acquire) as usize;
        let of = |ring| {
            // SAFETY: as above.
            let header = unsafe { &*self.0.as_ptr().byte_add(ring_offset(ring)).cast::<RingHeader>() };
            header.events.load(Ordering::Acquire)
        };
        (0..rings).map(of).sum()
    }
}
