//! Writing the capture: blocks as they fill, the index, at the end the footer.

use heaptide_format::capture::block::{self, BlockKind};
use heaptide_format::capture::events::{Event, EventBlock, KeyframeImage};
use heaptide_format::capture::{
    Census, Censuses, Definitions, Footer, IndexEntry, Mark, Marks, MemoryMaps, RunInfo, Sample, Samples,
    UnseenAllocators, encode_meta, header,
};
use heaptide_format::ids::{Nanos, ThreadIndex};
use std::fs::File;
use std::io::{self, Write};

/// Events in a block: large enough to compress well, small enough to be lost without much regret.
const BLOCK_EVENTS: usize = 128 * 1024;
/// A keyframe comes after this many events, and at least [`KEYFRAME_PER_LIVE`] for each block that is live: what it
/// costs is then a small part of what the events cost, and a replay from the one before takes a quarter of a second.
const KEYFRAME_EVENTS: u64 = 8 << 20;
const KEYFRAME_PER_LIVE: u64 = 16;
/// With more live blocks than this a keyframe might not fit into a block (18 bytes each at most): there is none then.
const KEYFRAME_MOST_LIVE: u64 = 8 << 20;
/// Samples in a block: ten seconds.
const BLOCK_SAMPLES: usize = 1000;

/// What a block begins with, for the index.
#[derive(Clone, Copy, Debug, Default)]
pub struct Instant {
    /// Events so far.
    pub events: u64,
    /// Time.
    pub time: Nanos,
    /// Live bytes.
    pub live: u64,
}

/// The capture that is being written.
pub struct CaptureWriter {
    file: File,
    /// A file whose length tells how much was written; a device or a pipe does not.
    is_regular: bool,
    offset: u64,
    index: Vec<IndexEntry>,
    events: EventBlock,
    /// At the start of the block that is being filled.
    began: Instant,
    thread: Option<ThreadIndex>,
    samples: Vec<Sample>,
    since_keyframe: u64,
    /// Only the footer is written.
    aggregate: bool,
    content: Vec<u8>,
    packed: Vec<u8>,
}

impl CaptureWriter {
    /// Begins a capture.
    ///
    /// # Errors
    /// What the file says.
    pub fn new(file: File, run: &RunInfo) -> io::Result<Self> {
        let mut this = Self {
            is_regular: file.metadata().is_ok_and(|metadata| metadata.is_file()),
            file,
            offset: 0,
            index: Vec::new(),
            events: EventBlock::default(),
            began: Instant::default(),
            thread: None,
            samples: Vec::new(),
            since_keyframe: 0,
            aggregate: run.aggregate,
            content: Vec::new(),
            packed: Vec::new(),
        };
        this.file.write_all(&header::header())?;
        this.offset = header::HEADER_BYTES as u64;
        this.block(BlockKind::Run, Instant::default(), &encode_meta(run))?;
        Ok(this)
    }

    /// Whether only the footer is written, which then holds all definitions.
    pub fn is_aggregate(&self) -> bool {
        self.aggregate
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// Appends an event of a thread.
    #[inline]
    pub fn event(&mut self, thread: ThreadIndex, event: Event) {
        if self.aggregate {
            return;
        }
        if self.thread != Some(thread) {
            self.thread = Some(thread);
            self.events.push(Event::Thread(thread));
        }
        self.events.push(event);
    }

    /// Appends an event that is no thread's.
    pub fn mark(&mut self, event: Event) {
        if !self.aggregate {
            self.events.push(event);
        }
    }

    /// Whether the block that is being filled should be written.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.events.len() >= BLOCK_EVENTS
    }

    /// Whether there are events that are not written.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Writes the definitions and the events that use them; `now` is the instant after the last of them.
    ///
    /// # Errors
    /// What the file says.
    pub fn flush(&mut self, definitions: &Definitions, now: Instant) -> io::Result<()> {
        if self.aggregate {
            return Ok(());
        }
        if !definitions.is_empty() {
            self.block(BlockKind::Definitions, self.began, &encode_meta(definitions))?;
        }
        if !self.events.is_empty() {
            self.since_keyframe += self.events.len() as u64;
            let mut content = std::mem::take(&mut self.content);
            content.clear();
            self.events.finish(&mut content);
            let result = self.block(BlockKind::Events, self.began, &content);
            self.content = content;
            result?;
            // Every block says anew whose its first event is.
            self.thread = None;
        }
        self.began = now;
        Ok(())
    }

    /// Whether a keyframe is due, with this many live blocks. Only right after [`Self::flush`].
    pub fn wants_keyframe(&self, live_blocks: u64) -> bool {
        !self.aggregate
            && live_blocks <= KEYFRAME_MOST_LIVE
            && self.since_keyframe >= KEYFRAME_EVENTS.max(live_blocks * KEYFRAME_PER_LIVE)
    }

    /// Writes a keyframe.
    ///
    /// # Errors
    /// What the file says.
    pub fn keyframe(&mut self, images: &[KeyframeImage]) -> io::Result<()> {
        let mut content = Vec::new();
        images.iter().for_each(|image| image.write(&mut content));
        self.since_keyframe = 0;
        self.block(BlockKind::Keyframe, self.began, &content)
    }

    /// Appends a point of the timeline.
    ///
    /// # Errors
    /// What the file says.
    pub fn sample(&mut self, sample: Sample) -> io::Result<()> {
        self.samples.push(sample);
        if self.samples.len() >= BLOCK_SAMPLES { self.flush_samples() } else { Ok(()) }
    }

    /// Writes what was found of allocators whose blocks are not recorded, if anything was; in aggregated captures too.
    ///
    /// # Errors
    /// What the file says.
    pub fn unseen(&mut self, unseen: &UnseenAllocators) -> io::Result<()> {
        if *unseen == UnseenAllocators::default() {
            return Ok(());
        }
        self.block(BlockKind::UnseenAllocators, self.began, &encode_meta(unseen))
    }

    /// Writes marks; in aggregated captures too. Their places are counts of events, so that what is not written yet may
    /// come behind them.
    ///
    /// # Errors
    /// What the file says.
    pub fn marks(&mut self, marks: Vec<Mark>) -> io::Result<()> {
        self.block(BlockKind::Marks, self.began, &encode_meta(&Marks { marks }))
    }

    /// Writes what resident memory consisted of; in aggregated captures too.
    ///
    /// # Errors
    /// What the file says.
    pub fn memory_maps(&mut self, maps: &MemoryMaps) -> io::Result<()> {
        self.block(BlockKind::MemoryMaps, self.began, &encode_meta(maps))
    }

    /// Writes censuses, a block for each; in aggregated captures too.
    ///
    /// # Errors
    /// What the file says.
    pub fn censuses(&mut self, censuses: Vec<Census>) -> io::Result<()> {
        for census in censuses {
            self.block(BlockKind::Census, self.began, &encode_meta(&Censuses { censuses: vec![census] }))?;
        }
        Ok(())
    }

    fn flush_samples(&mut self) -> io::Result<()> {
        let points = std::mem::take(&mut self.samples);
        if self.aggregate || points.is_empty() {
            return Ok(());
        }
        self.block(BlockKind::Samples, self.began, &encode_meta(&Samples { points }))
    }

    fn block(&mut self, kind: BlockKind, at: Instant, content: &[u8]) -> io::Result<()> {
        self.packed.clear();
        block::write(&mut self.packed, kind, content);
        // What is written behind a cut leaves a hole, which no reader could pass.
        if self.is_regular && self.file.metadata()?.len() < self.offset {
            return Err(io::Error::other("another program has cut it short"));
        }
        self.file.write_all(&self.packed)?;
        let Instant { events: first_event, time, live } = at;
        self.index.push(IndexEntry { kind: kind as u8, offset: self.offset, first_event, time, live });
        self.offset += self.packed.len() as u64;
        Ok(())
    }

    /// Ends the capture. `footer` needs no index. All events must have been flushed.
    ///
    /// # Errors
    /// What the file says.
    pub fn finish(mut self, mut footer: Footer) -> io::Result<u64> {
        self.flush_samples()?;
        footer.index = std::mem::take(&mut self.index);
        let at = self.offset;
        self.block(BlockKind::Footer, self.began, &encode_meta(&footer))?;
        let trailer = header::trailer(at);
        self.file.write_all(&trailer)?;
        Ok(self.offset + trailer.len() as u64)
    }
}
