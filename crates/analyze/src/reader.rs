//! Opens a capture, whichever way it ended.
//!
//! Finished: header, trailer, footer, and the definitions that the footer's index leads to; event blocks are not
//! touched, so it takes as long for ten thousand events as for a hundred million. Cut or damaged: all blocks from the
//! start, their events replayed, up to the first that is not whole; what the capture then lacks is in
//! [`Capture::ends_early`].

use crate::ahead::Reading;
use crate::error::CaptureError;
use crate::names::Names;
use crate::replay::Replay;
use crate::source::Source;
use crate::tally::Account;
use crate::timeline::Timeline;
use crate::unseen::Unseen;
use heaptide_format::capture::header::{self, HEADER_BYTES, TRAILER_BYTES};
use heaptide_format::capture::summary::{Footer, IndexEntry, Sample};
use heaptide_format::capture::{
    BlockKind, BlockRead, Census, Censuses, Definitions, Look, Mark, Marks, MemoryMaps, NativeNames, ReadError,
    RunInfo, Samples, Version, decode_meta,
};
use heaptide_format::ids::ImageIndex;
use std::path::Path;

/// Blocks that say more than events do.
const DEFINING: [BlockKind; 6] = [
    BlockKind::Run,
    BlockKind::Definitions,
    BlockKind::UnseenAllocators,
    BlockKind::Marks,
    BlockKind::MemoryMaps,
    BlockKind::Census,
];

/// A capture with its answers.
#[derive(Debug)]
pub struct Capture {
    /// Format version of the file.
    pub version: Version,
    /// What was run, and how.
    pub run: RunInfo,
    /// What the numbers in the account stand for.
    pub names: Names,
    /// Totals, images, and what each stack did.
    pub account: Account,
    /// Live and resident bytes over time.
    pub timeline: Vec<Sample>,
    /// Allocators whose blocks were not recorded.
    pub unseen: Unseen,
    /// Instants with a name, in the order in which they were set.
    pub marks: Vec<Mark>,
    /// What resident memory consisted of, at some instants.
    pub looks: Vec<Look>,
    /// Python objects by type, at instants, in their order.
    pub censuses: Vec<Census>,
    /// Status of the command, exit code or 128 + signal; `None` if the recording did not see its end.
    pub status: Option<i32>,
    /// Where and why the readable part ends, if that is before the end of the recording.
    pub ends_early: Option<EndsEarly>,
    /// Names of native functions that are embedded in the capture are damaged, and not used.
    pub damaged_names: bool,
    /// Where the blocks are: as the footer says, or as they were met.
    pub(crate) index: Vec<IndexEntry>,
    /// Who reads for replays.
    pub(crate) reading: Reading,
    source: Source,
}

/// What is missing of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndsEarly {
    /// Bytes of the file up to here were used.
    pub offset: u64,
    /// Why not more.
    pub reason: Reason,
    /// The answers are whole all the same: only what follows them is damaged.
    pub complete: bool,
}

/// Why a capture was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file ends after a whole block, without a footer: the collector died, or records still.
    NoFooter,
    /// A block is cut or damaged.
    Read(ReadError),
}

impl std::fmt::Display for EndsEarly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ends early at byte {}: ", self.offset)?;
        match &self.reason {
            Reason::NoFooter => write!(f, "the recording was not finished")?,
            Reason::Read(ReadError::Truncated { inside, .. }) => write!(f, "the file is cut inside {inside}")?,
            Reason::Read(ReadError::Checksum { inside, .. }) => write!(f, "the checksum of {inside} does not match")?,
            Reason::Read(ReadError::BadBlock { what, .. }) => write!(f, "{what}")?,
            Reason::Read(error) => write!(f, "{error}")?,
        }
        let rest = if self.complete { "no figure is missing" } else { "the report covers what is before" };
        write!(f, "; {rest}")
    }
}

/// How far a scan has come, in bytes of the file.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Bytes read.
    pub done: u64,
    /// Bytes of the file.
    pub total: u64,
}

impl Capture {
    /// Opens the file. Quick if it was finished; otherwise replays it, telling `progress` after each block.
    ///
    /// # Errors
    /// [`CaptureError::Io`]; [`CaptureError::Read`] if it is no capture, of a version that is not read, or ends before
    /// its first block does.
    pub fn open(path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Self, CaptureError> {
        Self::read(Source::open(path)?, progress)
    }

    /// The same for a capture in memory.
    ///
    /// # Errors
    /// As [`Capture::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, CaptureError> {
        Self::read(Source::from_bytes(bytes), &mut |_| {})
    }

    fn read(source: Source, progress: &mut dyn FnMut(Progress)) -> Result<Self, CaptureError> {
        let version = check_header(&source)?;
        match Self::from_footer(&source, version) {
            Ok(Some(parts)) => Ok(parts.with(source)),
            // No footer, or damage on the way to the answers: what the blocks give from the start.
            Ok(None) | Err(CaptureError::Read(_)) => Ok(Self::scan(&source, version, progress)?.with(source)),
            Err(error) => Err(error),
        }
    }

    /// The answers of a finished capture; `None` if it was not.
    fn from_footer(source: &Source, version: Version) -> Result<Option<Parts>, CaptureError> {
        let mut buffer = Vec::new();
        let Some(end) = source.len().checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        source.read(end, TRAILER_BYTES, &mut buffer)?;
        let Some(offset) = buffer.first_chunk().and_then(header::footer_offset) else { return Ok(None) };
        let mut parts = Parts::new(source, version);
        let block = source.block(offset, &mut buffer)?;
        if block.kind != Some(BlockKind::Footer) || offset.checked_add(block.bytes) != Some(end) {
            return Ok(None);
        }
        let footer: Footer = parts.meta(&block)?;
        let mut least = HEADER_BYTES as u64;
        for entry in &footer.index {
            let wanted = DEFINING.iter().any(|kind| entry.kind == *kind as u8);
            // In order and without overlap, so that an index cannot lead to the same block a million times.
            if entry.offset < least || entry.offset >= offset {
                return Err(ReadError::BadBlock { offset, what: "an index that is not in order".into() }.into());
            }
            least = entry.offset + 1;
            if wanted {
                let block = source.block(entry.offset, &mut buffer)?;
                parts.definitions(&block)?;
            }
        }
        let named = footer.index.iter().filter(|entry| entry.kind == BlockKind::NativeNames as u8);
        let named: Vec<u64> = named.map(|entry| entry.offset).collect();
        parts.answer(footer, offset)?;
        for offset in named {
            let content = source.block(offset, &mut buffer).and_then(|block| parts.native_names(&block));
            parts.embed(content, offset);
        }
        Ok(Some(parts))
    }

    /// The answers of a capture without a (reachable) footer.
    fn scan(source: &Source, version: Version, progress: &mut dyn FnMut(Progress)) -> Result<Parts, CaptureError> {
        let mut parts = Parts::new(source, version);
        let mut replay = Replay::new(0);
        let mut timeline = Timeline::default();
        let mut offset = HEADER_BYTES as u64;
        let mut buffer = Vec::new();
        // To be understood when all definitions are there.
        let mut names = Vec::new();
        let reason = loop {
            if offset == source.len() {
                break Reason::NoFooter;
            }
            let (first_event, time, live) = replay.position();
            let stepped = source.block(offset, &mut buffer).and_then(|block| {
                if let Some(kind) = block.kind {
                    parts.index.push(IndexEntry { kind: kind as u8, offset, first_event, time, live });
                }
                match block.kind {
                    Some(kind) if DEFINING.contains(&kind) => parts.definitions(&block)?,
                    Some(BlockKind::Events) => replay.events(&block.unpack()?, offset, &parts.names)?,
                    Some(BlockKind::Keyframe) => replay.keyframe(&block.unpack()?, offset)?,
                    Some(BlockKind::Samples) => {
                        let samples: Samples = parts.meta(&block)?;
                        samples.points.into_iter().for_each(|point| timeline.push(point));
                    }
                    Some(BlockKind::Footer) => return parts.meta(&block).map(|footer| (block.bytes, Some(footer))),
                    Some(BlockKind::NativeNames) => names.push((parts.native_names(&block), offset)),
                    _ => {}
                }
                Ok((block.bytes, None))
            });
            match stepped {
                Ok((bytes, Some(footer))) => match parts.answer(footer, offset) {
                    Ok(()) => {
                        names.into_iter().for_each(|(content, offset)| parts.embed(content, offset));
                        let offset = offset + bytes;
                        let reason = Reason::Read(ReadError::Truncated { offset, inside: "the trailer" });
                        parts.ends_early = Some(EndsEarly { offset, reason, complete: true });
                        return Ok(parts);
                    }
                    Err(error) => break Reason::Read(error),
                },
                Ok((bytes, None)) => offset += bytes,
                Err(CaptureError::Read(error)) => break Reason::Read(error),
                Err(error) => return Err(error),
            }
            progress(Progress { done: offset, total: source.len() });
        };
        if parts.run.is_none() {
            // Nothing at all was recorded, or cannot be told: no report to give.
            return Err(match reason {
                Reason::Read(error) => error,
                Reason::NoFooter => ReadError::Truncated { offset, inside: "its first block" },
            }
            .into());
        }
        names.into_iter().for_each(|(content, offset)| parts.embed(content, offset));
        parts.timeline = timeline.into_points();
        parts.account = replay.finish().0;
        parts.account.totals.peak_rss = parts.timeline.iter().map(|sample| sample.rss).max().unwrap_or(0);
        parts.ends_early = Some(EndsEarly { offset, reason, complete: false });
        Ok(parts)
    }

    /// The bytes that it was read from.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// From now on replays are read so. It makes no difference to what they say.
    pub fn set_reading(&mut self, reading: Reading) {
        self.reading = reading;
    }

    /// Length of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.source.len()
    }

    /// The images of the process with this id, in the order in which they were met; all if it is `None`.
    ///
    /// # Errors
    /// [`CaptureError::NoSuchProcess`] if there are none.
    pub fn images_of(&self, pid: Option<u32>) -> Result<Vec<ImageIndex>, CaptureError> {
        let images = self.names.images().iter().zip(0u32..);
        let chosen: Vec<ImageIndex> = images
            .filter(|(image, _)| pid.is_none_or(|pid| image.pid == pid))
            .map(|(_, index)| ImageIndex(index))
            .collect();
        match pid {
            Some(pid) if chosen.is_empty() => {
                let mut known: Vec<u32> = self.names.images().iter().map(|image| image.pid).collect();
                known.dedup();
                Err(CaptureError::NoSuchProcess { pid, known })
            }
            _ => Ok(chosen),
        }
    }
}

pub(crate) fn check_header(source: &Source) -> Result<Version, CaptureError> {
    let mut buffer = Vec::new();
    source.read(0, HEADER_BYTES, &mut buffer)?;
    Ok(header::check_header(&buffer)?)
}

/// A capture while it is put together.
struct Parts {
    version: Version,
    run: Option<RunInfo>,
    names: Names,
    account: Account,
    timeline: Vec<Sample>,
    unseen: Unseen,
    marks: Vec<Mark>,
    looks: Vec<Look>,
    censuses: Vec<Census>,
    status: Option<i32>,
    ends_early: Option<EndsEarly>,
    damaged_names: bool,
    index: Vec<IndexEntry>,
    budget: MetadataBudget,
}

impl Parts {
    fn new(source: &Source, version: Version) -> Self {
        Self {
            version,
            run: None,
            names: Names::default(),
            account: Account::default(),
            timeline: Vec::new(),
            unseen: Unseen::default(),
            marks: Vec::new(),
            looks: Vec::new(),
            censuses: Vec::new(),
            status: None,
            ends_early: None,
            damaged_names: false,
            index: Vec::new(),
            budget: MetadataBudget::of(source),
        }
    }

    fn with(mut self, source: Source) -> Capture {
        self.unseen.keep_known(self.names.images().len());
        Capture {
            version: self.version,
            run: self.run.unwrap_or_default(),
            names: self.names,
            account: self.account,
            timeline: self.timeline,
            unseen: self.unseen,
            marks: self.marks,
            looks: self.looks,
            censuses: self.censuses,
            status: self.status,
            ends_early: self.ends_early,
            damaged_names: self.damaged_names,
            index: self.index,
            reading: Reading::default(),
            source,
        }
    }

    fn meta<T: serde::de::DeserializeOwned>(&mut self, block: &BlockRead<'_>) -> Result<T, CaptureError> {
        self.budget.meta(block)
    }

    /// Takes in a block that says more than events do: run, definitions, unseen allocators, marks, memory maps.
    fn definitions(&mut self, block: &BlockRead<'_>) -> Result<(), CaptureError> {
        match block.kind {
            Some(BlockKind::Run) => self.run = Some(self.meta(block)?),
            Some(BlockKind::Definitions) => {
                let more: Definitions = self.meta(block)?;
                self.names.extend(more, block.offset)?;
            }
            Some(BlockKind::UnseenAllocators) => {
                let more = self.meta(block)?;
                self.unseen.extend(more);
            }
            Some(BlockKind::Marks) => {
                let more: Marks = self.meta(block)?;
                self.marks.extend(more.marks);
            }
            Some(BlockKind::MemoryMaps) => {
                let more: MemoryMaps = self.meta(block)?;
                self.looks.extend(more.looks);
            }
            Some(BlockKind::Census) => {
                let more: Censuses = self.meta(block)?;
                self.censuses.extend(more.censuses);
            }
            _ => {
                let what = "the index calls it definitions, but it is not".into();
                return Err(ReadError::BadBlock { offset: block.offset, what }.into());
            }
        }
        Ok(())
    }

    /// The content of a native names block.
    fn native_names(&mut self, block: &BlockRead<'_>) -> Result<NativeNames, CaptureError> {
        if block.kind != Some(BlockKind::NativeNames) {
            let what = "the index calls it native names, but it is not".into();
            return Err(ReadError::BadBlock { offset: block.offset, what }.into());
        }
        self.meta(block)
    }

    /// Takes in what was read of a native names block. A figure never depends on one, so one that is damaged is as if it
    /// were not there, but for a note.
    fn embed(&mut self, content: Result<NativeNames, CaptureError>, offset: u64) {
        if content.and_then(|content| Ok(self.names.embed(&content, offset)?)).is_err() {
            self.damaged_names = true;
        }
    }

    /// Takes in the footer, whose block is at byte `offset`.
    fn answer(&mut self, footer: Footer, offset: u64) -> Result<(), ReadError> {
        self.names.extend(footer.definitions, offset)?;
        let defined = |image: ImageIndex, stack| self.names.image(image).is_some() && self.names.has_stack(stack);
        if !footer.rows.iter().all(|row| defined(row.image, row.stack)) {
            return Err(ReadError::BadBlock { offset, what: "a summary of a stack that is not defined".into() });
        }
        self.index = footer.index;
        self.account = Account { totals: footer.totals, images: footer.images, rows: footer.rows };
        self.timeline = footer.timeline;
        self.status = Some(footer.status);
        Ok(())
    }
}

/// How much metadata a capture may unpack to. lz4 lets a few kilobytes claim a megabyte; what we record packs about
/// four to one, so sixteen times the file's length is never reached by an honest one.
#[derive(Debug)]
pub(crate) struct MetadataBudget(u64);

impl MetadataBudget {
    pub(crate) fn of(source: &Source) -> Self {
        Self(source.len().saturating_mul(16).saturating_add(1 << 20))
    }

    /// The content of a metadata block.
    pub(crate) fn meta<T: serde::de::DeserializeOwned>(&mut self, block: &BlockRead<'_>) -> Result<T, CaptureError> {
        let Some(left) = self.0.checked_sub(block.unpacked_bytes() as u64) else {
            let what = "more metadata than a file of this length can hold".into();
            return Err(ReadError::BadBlock { offset: block.offset, what }.into());
        };
        self.0 = left;
        Ok(decode_meta(&block.unpack()?, block.offset)?)
    }
}
