//! What the collector knows of an image, and of a thread that writes to a ring.

use crate::dictionary::{CodeObject, Dictionary};
use crate::heap::{Heap, Pending};
use crate::process::Watched;
use crate::published::Published;
use crate::stacks::Stacks;
use heaptide_analyze::tally::Recent;
use heaptide_format::ids::{ImageIndex, ModuleId, StringId, ThreadIndex};
use heaptide_format::shared::RingHeader;
use std::collections::BTreeMap;

/// An executable mapping of a file in an image.
#[derive(Clone, Copy, Debug)]
pub struct Mapped {
    /// First address behind it.
    pub end: u64,
    /// Place in the file of its first address.
    pub file_offset: u64,
    /// The file.
    pub module: ModuleId,
}

/// An image whose first record has been read.
pub struct Image {
    /// Its number in the capture.
    pub index: ImageIndex,
    /// Its number as the shim knows it: of two images of one process the later has the higher one.
    pub number: u32,
    /// Process id.
    pub pid: u32,
    /// The program, as in its definition.
    pub program: StringId,
    /// The path of the program.
    pub program_path: String,
    /// Its arguments, as in its definition.
    pub arguments: Vec<StringId>,
    /// Its live blocks.
    pub heap: Heap,
    /// Its native objects, by first address.
    pub modules: BTreeMap<u64, Mapped>,
    /// The process.
    pub process: Watched,
    /// Its parent, as in its definition.
    pub parent: Option<ImageIndex>,
    /// It has a Python interpreter.
    pub is_python: bool,
    /// It was forked, not executed.
    pub forked: bool,
    /// Its end has been recorded.
    pub ended: bool,
}

impl Image {
    /// A file was found mapped from `start` on; whatever was mapped there before is not any more.
    pub fn map_module(&mut self, start: u64, mapped: Mapped) {
        self.modules.retain(|other, known| *other >= mapped.end || known.end <= start);
        self.modules.insert(start, mapped);
    }

    /// The object in which an address lies, and the place in its file.
    pub fn locate(&self, address: u64) -> Option<(ModuleId, u64)> {
        let (start, mapped) = self.modules.range(..=address).next_back()?;
        // A target may say any offset.
        (address < mapped.end).then(|| (mapped.module, (address - start).wrapping_add(mapped.file_offset)))
    }
}

/// A ring that was claimed at least once, and the thread that writes to it now.
pub struct Ring {
    /// Its header in shared memory.
    pub header: &'static RingHeader,
    /// [`RingHeader::claims`] when its thread began.
    pub claims: u32,
    /// Number of the thread's image as the shim knows it.
    pub image: u32,
    /// The thread's number in the capture; `None` before the image is known.
    pub thread: Option<ThreadIndex>,
    /// Words taken out of the ring, and how many of them have been read.
    pub words: Vec<u64>,
    /// See `words`.
    pub at: usize,
    /// Words up to here have been looked at ahead.
    pub ahead: usize,
    /// Stamp of the last event that had one.
    pub last_stamp: u64,
    /// What was published in it, by this thread and those before, and what has been read.
    pub published: Published,
    /// The thread's stacks.
    pub stacks: Stacks,
    /// The thread's codes.
    pub codes: Vec<CodeObject>,
    /// The part of a blob that has come.
    pub blob: Vec<u8>,
    /// The name of a mark that is about to be set.
    pub mark: Option<Vec<u8>>,
    /// A reallocation that has begun.
    pub pending: Pending,
    /// The thread's last allocations.
    pub recent: Recent,
    /// The thread's name as last recorded.
    pub name: String,
    /// /proc has had the thread under its number. In another pid namespace it has not, and that it is not there says nothing.
    pub seen: bool,
}

impl Ring {
    /// A ring that nobody has claimed yet.
    pub fn new(header: &'static RingHeader) -> Self {
        Self {
            header,
            claims: 0,
            image: 0,
            thread: None,
            words: Vec::new(),
            at: 0,
            ahead: 0,
            last_stamp: 0,
            published: Published::default(),
            stacks: Stacks::default(),
            codes: Vec::new(),
            blob: Vec::new(),
            mark: None,
            pending: Pending::None,
            recent: Recent::default(),
            name: String::new(),
            seen: false,
        }
    }

    /// A new thread begins.
    pub fn begin(&mut self, claims: u32, image: u32) {
        let (words, published) = (std::mem::take(&mut self.words), self.published);
        *self = Self { claims, image, words, published, ..Self::new(self.header) };
        self.words.clear();
    }

    /// Notes the thread's name, if it is known and has another one now.
    pub fn rename(&mut self, name: String, dictionary: &mut Dictionary) {
        if let Some(thread) = self.thread
            && name != self.name
        {
            dictionary.name_thread(thread, &name);
            self.name = name;
        }
    }

    /// Whether all words that were taken have been read.
    pub fn is_empty(&self) -> bool {
        self.at >= self.words.len()
    }

    /// Forgets the words that have been read.
    pub fn compact(&mut self) {
        self.words.drain(..self.at);
        self.ahead = self.ahead.saturating_sub(self.at);
        self.at = 0;
    }
}
