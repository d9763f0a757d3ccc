//! A recording made up event by event: what the collector would write, without a program to trace. It keeps its own
//! account as the collector does, so that the footer's answers and a replay's can be compared.

use heaptide_analyze::tally::{Recent, RowId, Tally};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::definitions::{
    CodeDef, Definitions, FrameDef, ImageDef, ImageOrigin, ModuleDef, NodeDef, ThreadDef,
};
use heaptide_format::capture::events::{Event, EventBlock, KeyframeImage, LiveBlock, SlotTable};
use heaptide_format::capture::summary::{Footer, IndexEntry, RunInfo, Sample, Samples};
use heaptide_format::capture::{BlockKind, UnseenAllocators, block, encode_meta, header};
use heaptide_format::ids::{CodeId, FrameId, ImageIndex, ModuleId, Nanos, Slot, StackId, StringId, ThreadIndex};
use std::collections::BTreeMap;

/// A live block of a [`Recording`].
#[derive(Clone, Copy, Debug)]
pub struct Block(ImageIndex, Slot);

#[allow(dead_code, reason = "one test uses them")]
impl Block {
    /// Whose it is.
    pub fn image(self) -> ImageIndex {
        self.0
    }
}

struct Live {
    row: RowId,
    thread: ThreadIndex,
    block: LiveBlock,
}

/// A capture being written.
pub struct Recording {
    file: Vec<u8>,
    definitions: Definitions,
    strings: Vec<String>,
    counts: [u32; 4],
    events: EventBlock,
    tally: Tally,
    slots: Vec<SlotTable>,
    live: Vec<BTreeMap<u32, Live>>,
    threads: Vec<(ImageIndex, Recent)>,
    current: Option<ThreadIndex>,
    now: Nanos,
    timeline: Vec<Sample>,
    samples: Vec<Sample>,
    index: Vec<IndexEntry>,
    aggregate: bool,
}

const CODES: usize = 0;
const MODULES: usize = 1;
const FRAMES: usize = 2;
const NODES: usize = 3;

impl Recording {
    /// Of `python app.py`, with one process and one thread.
    pub fn new() -> Self {
        Self::with(false, 0x308)
    }

    /// The same of this version of Python, `major << 8 | minor`.
    #[allow(dead_code, reason = "the tests of the binary use it")]
    pub fn of_python(version: u16) -> Self {
        Self::with(false, version)
    }

    /// Without event blocks.
    pub fn aggregate() -> Self {
        Self::with(true, 0x308)
    }

    fn with(aggregate: bool, python: u16) -> Self {
        let mut recording = Self {
            file: header::header().to_vec(),
            definitions: Definitions::default(),
            strings: Vec::new(),
            counts: [0; 4],
            events: EventBlock::default(),
            tally: Tally::new(),
            slots: Vec::new(),
            live: Vec::new(),
            threads: Vec::new(),
            current: None,
            now: Nanos(0),
            timeline: Vec::new(),
            samples: Vec::new(),
            index: Vec::new(),
            aggregate,
        };
        let run = RunInfo {
            heaptide: "0.1.0".into(),
            command: vec!["python".into(), "app.py".into()],
            started_unix: 1_700_000_000,
            follow: true,
            aggregate,
            architecture: "x86_64".into(),
            ..RunInfo::default()
        };
        recording.block(BlockKind::Run, &encode_meta(&run));
        recording.process(4_000, python);
        recording.thread(ImageIndex(0));
        recording
    }

    fn string(&mut self, text: &str) -> StringId {
        if let Some(place) = self.strings.iter().position(|known| known == text) {
            return StringId(place as u32);
        }
        self.strings.push(text.to_owned());
        self.definitions.strings.push(text.to_owned());
        StringId(self.strings.len() as u32 - 1)
    }

    fn next(&mut self, which: usize) -> u32 {
        self.counts[which] += 1;
        self.counts[which] - 1
    }

    /// Another process.
    pub fn process(&mut self, pid: u32, python: u16) -> ImageIndex {
        let program = self.string("/usr/bin/python3");
        let image = ImageDef {
            pid,
            parent: None,
            origin: ImageOrigin::Exec,
            program,
            arguments: vec![program],
            python,
            started: self.now,
        };
        self.definitions.images.push(image);
        self.slots.push(SlotTable::default());
        self.live.push(BTreeMap::new());
        ImageIndex(self.slots.len() as u32 - 1)
    }

    /// Another thread; what follows is done by it.
    pub fn thread(&mut self, image: ImageIndex) -> ThreadIndex {
        let thread = ThreadIndex(self.threads.len() as u32);
        self.threads.push((image, Recent::default()));
        self.definitions.threads.push(ThreadDef { image, tid: 4_000 + thread.0 });
        self.switch(thread);
        thread
    }

    /// What follows is done by this thread.
    pub fn switch(&mut self, thread: ThreadIndex) {
        self.current = Some(thread);
        if !self.events.is_empty() {
            self.events.push(Event::Thread(thread));
        }
    }

    /// A stack of (function, file, line), outermost first. Each function begins in its line.
    pub fn stack(&mut self, frames: &[(&str, &str, u32)]) -> StackId {
        let frames: Vec<_> = frames.iter().map(|(function, file, line)| (*function, *file, *line, *line)).collect();
        self.stack_of(&frames)
    }

    /// A stack of (function, file, first line of the function, line), outermost first.
    pub fn stack_of(&mut self, frames: &[(&str, &str, u32, u32)]) -> StackId {
        let mut stack = StackId::EMPTY;
        for (function, file, first_line, line) in frames {
            let (name, file) = (self.string(function), self.string(file));
            let code = CodeDef { name, file, first_line: *first_line };
            self.definitions.codes.push(code);
            let code = CodeId(self.next(CODES));
            stack = self.node(stack, FrameDef::Python { code, line: *line, column: 0 });
        }
        stack
    }

    /// A native frame called from that stack.
    pub fn native(&mut self, parent: StackId, path: &str, offset: u64) -> StackId {
        let path = self.string(path);
        self.definitions.modules.push(ModuleDef { path, build_id: Vec::new() });
        let module = ModuleId(self.next(MODULES));
        self.node(parent, FrameDef::Native { module, offset })
    }

    fn node(&mut self, parent: StackId, frame: FrameDef) -> StackId {
        self.definitions.frames.push(frame);
        let frame = FrameId(self.next(FRAMES));
        self.definitions.nodes.push(NodeDef { parent, frame });
        StackId(self.next(NODES) + 1)
    }

    fn event(&mut self, event: Event) {
        if self.events.is_empty() {
            let thread = self.current.expect("a recording has a thread");
            self.events.push(Event::Thread(thread));
            self.events.push(Event::Clock(self.now));
        }
        self.events.push(event);
    }

    /// It is now so many milliseconds since the start.
    pub fn clock_ms(&mut self, milliseconds: u64) {
        self.now = Nanos(milliseconds * 1_000_000);
        self.tally.clock(self.now);
        self.event(Event::Clock(self.now));
    }

    /// A block of this size is allocated.
    pub fn allocate(&mut self, stack: StackId, size: u64) -> Block {
        self.allocate_by(Allocator::Malloc, stack, size)
    }

    /// The same by another call than malloc.
    pub fn allocate_by(&mut self, allocator: Allocator, stack: StackId, size: u64) -> Block {
        self.event(Event::Allocated { allocator, size, stack });
        let thread = self.current.expect("a recording has a thread");
        let image = self.threads[thread.index()].0;
        let row = self.tally.row(image, stack);
        self.tally.allocated(row, allocator, size);
        let slot = self.slots[image.index()].take();
        self.threads[thread.index()].1.allocated(slot.0);
        let live = Live { row, thread, block: LiveBlock { slot, allocator, size, stack } };
        self.live[image.index()].insert(slot.0, live);
        Block(image, slot)
    }

    /// Its bytes now.
    #[allow(dead_code, reason = "one test uses it")]
    pub fn size(&self, Block(image, slot): Block) -> u64 {
        self.live[image.index()][&slot.0].block.size
    }

    /// Whether it is a mapping.
    #[allow(dead_code, reason = "one test uses it")]
    pub fn is_mapping(&self, Block(image, slot): Block) -> bool {
        self.live[image.index()][&slot.0].block.allocator.is_mapping()
    }

    /// It is released.
    pub fn free(&mut self, Block(image, slot): Block) {
        self.event(Event::Freed { slot });
        let live = self.live[image.index()].remove(&slot.0).expect("live");
        self.slots[image.index()].give(slot);
        self.was_temporary(slot, &live);
        self.tally.freed(live.row, live.block.allocator, live.block.size);
    }

    /// It gets another size.
    pub fn reallocate(&mut self, Block(image, slot): Block, stack: StackId, size: u64) {
        let allocator = Allocator::Realloc;
        self.event(Event::Reallocated { slot, allocator, size, stack });
        let thread = self.current.expect("a recording has a thread");
        let old = self.live[image.index()].remove(&slot.0).expect("live");
        self.was_temporary(slot, &old);
        self.threads[thread.index()].1.allocated(slot.0);
        let row = self.tally.row(image, stack);
        self.tally.reallocated((old.row, old.block.allocator, old.block.size), (row, allocator, size));
        self.live[image.index()]
            .insert(slot.0, Live { row, thread, block: LiveBlock { slot, allocator, size, stack } });
    }

    /// A part of it is given back.
    pub fn shrink(&mut self, Block(image, slot): Block, bytes: u64) {
        self.event(Event::Shrunk { slot, bytes });
        let live = self.live[image.index()].get_mut(&slot.0).expect("live");
        live.block.size -= bytes;
        self.tally.shrunk(live.row, live.block.allocator, bytes);
    }

    fn was_temporary(&mut self, slot: Slot, live: &Live) {
        // A mapping never is.
        if self.current == Some(live.thread)
            && !live.block.allocator.is_mapping()
            && let Some(between) = self.threads[live.thread.index()].1.freed(slot.0)
        {
            self.tally.temporary(live.row, live.block.allocator, live.block.size, between);
        }
    }

    /// The process is no more.
    pub fn end(&mut self, image: ImageIndex) {
        self.event(Event::ImageEnded(image));
        self.tally.image_ended(image);
        self.live[image.index()].clear();
        self.slots[image.index()] = SlotTable::default();
    }

    /// A point of the timeline.
    pub fn sample(&mut self, rss: u64) {
        let sample = self.tally.sample(self.now, rss);
        self.timeline.push(sample);
        self.samples.push(sample);
    }

    fn block(&mut self, kind: BlockKind, content: &[u8]) {
        self.index.push(IndexEntry {
            kind: kind as u8,
            offset: self.file.len() as u64,
            first_event: self.tally.events(),
            time: self.now,
            live: self.tally.live().bytes,
        });
        block::write(&mut self.file, kind, content);
    }

    /// Writes what there is as blocks of the file.
    pub fn flush(&mut self) {
        if self.aggregate {
            self.events.finish(&mut Vec::new());
            return;
        }
        if !self.definitions.is_empty() {
            let content = encode_meta(&std::mem::take(&mut self.definitions));
            self.block(BlockKind::Definitions, &content);
        }
        if !self.events.is_empty() {
            let mut content = Vec::new();
            self.events.finish(&mut content);
            self.block(BlockKind::Events, &content);
        }
        if !self.samples.is_empty() {
            let content = encode_meta(&Samples { points: std::mem::take(&mut self.samples) });
            self.block(BlockKind::Samples, &content);
        }
    }

    /// Writes what was found of allocators that are not traced.
    pub fn unseen(&mut self, unseen: &UnseenAllocators) {
        self.block(BlockKind::UnseenAllocators, &encode_meta(unseen));
    }

    /// Writes a keyframe of all processes.
    pub fn keyframe(&mut self) {
        self.flush();
        let mut content = Vec::new();
        for (image, live) in (0u32..).zip(&self.live) {
            let slots = &mut self.slots[image as usize];
            let blocks = live.values().map(|live| live.block).collect();
            KeyframeImage { image: ImageIndex(image), used: slots.used(), blocks }.write(&mut content);
            *slots = SlotTable::after_keyframe(live.keys().copied(), slots.used());
        }
        self.block(BlockKind::Keyframe, &content);
    }

    /// The file as it is if the collector dies now.
    pub fn unfinished(mut self) -> Vec<u8> {
        self.flush();
        self.file
    }

    /// The file as it is when all went well; the command's status was 3.
    pub fn finish(mut self) -> Vec<u8> {
        self.flush();
        let account = self.tally.finish();
        let mut totals = account.totals;
        totals.peak_rss = self.timeline.iter().map(|sample| sample.rss).max().unwrap_or(0);
        let footer = Footer {
            index: self.index,
            definitions: self.definitions,
            totals,
            images: account.images,
            rows: account.rows,
            timeline: self.timeline,
            status: 3,
        };
        let offset = self.file.len() as u64;
        block::write(&mut self.file, BlockKind::Footer, &encode_meta(&footer));
        self.file.extend_from_slice(&header::trailer(offset));
        self.file
    }
}
