//! A capture record by record, as it stands in the file: for those who want to see or convert the events themselves.
//!
//! Nothing is joined, named or added up here; numbers are those of the file.

use crate::error::CaptureError;
use crate::reader::{EndsEarly, MetadataBudget, Progress, Reason, check_header};
use crate::source::Source;
use heaptide_format::capture::events::KeyframeImage;
use heaptide_format::capture::header::{HEADER_BYTES, TRAILER_BYTES};
use heaptide_format::capture::{
    BlockKind, BlockRead, Censuses, Definitions, EventReader, Footer, Marks, MemoryMaps, NativeNames, ReadError,
    RunInfo, Samples, UnseenAllocators, Version,
};

/// The content of a block.
#[derive(Debug)]
pub enum Record<'a> {
    /// The header of the file.
    Header(Version),
    /// What was run.
    Run(RunInfo),
    /// Definitions.
    Definitions(Definitions),
    /// Events.
    Events(EventReader<'a>),
    /// One process of a keyframe.
    Keyframe(KeyframeImage),
    /// Points of the timeline.
    Samples(Samples),
    /// Embedded names of native frames.
    NativeNames(NativeNames),
    /// Allocators whose blocks were not recorded.
    UnseenAllocators(UnseenAllocators),
    /// Instants with a name.
    Marks(Marks),
    /// What resident memory consisted of.
    MemoryMaps(MemoryMaps),
    /// Python objects by type.
    Censuses(Censuses),
    /// Index and summary.
    Footer(Box<Footer>),
    /// A block of a kind that only newer versions know.
    Unknown,
}

/// Why a walk did not come to the end.
#[derive(Debug)]
pub enum Stop<E> {
    /// The capture cannot be read at all.
    Capture(CaptureError),
    /// The visitor had enough.
    Visitor(E),
}

impl<E, F: Into<CaptureError>> From<F> for Stop<E> {
    fn from(error: F) -> Self {
        Self::Capture(error.into())
    }
}

/// Shows each record to `visit`, with the byte of the file at which it stands, in the order of the file. Gives where
/// and why the capture ends early, if it does.
///
/// # Errors
/// [`Stop::Capture`] if the file cannot be read or is no capture, [`Stop::Visitor`] with the first error of `visit`. An
/// [`EventReader`] that ends with an error is the visitor's to report.
pub fn walk<E>(
    source: &Source,
    visit: &mut dyn FnMut(u64, Record<'_>) -> Result<(), E>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<EndsEarly>, Stop<E>> {
    let version = check_header(source)?;
    visit(0, Record::Header(version)).map_err(Stop::Visitor)?;
    let mut budget = MetadataBudget::of(source);
    let mut buffer = Vec::new();
    let mut offset = HEADER_BYTES as u64;
    let reason = loop {
        if offset == source.len() {
            break Reason::NoFooter;
        }
        let stepped = match source.block(offset, &mut buffer) {
            Ok(block) => show(&block, &mut budget, visit).map(|()| (block.bytes, block.kind)),
            Err(error) => Err(Stop::Capture(error)),
        };
        match stepped {
            Ok((bytes, Some(BlockKind::Footer))) => {
                offset += bytes;
                if source.len() == offset + TRAILER_BYTES as u64 {
                    return Ok(None);
                }
                let reason = Reason::Read(ReadError::Truncated { offset, inside: "the trailer" });
                return Ok(Some(EndsEarly { offset, reason, complete: true }));
            }
            Ok((bytes, _)) => offset += bytes,
            Err(Stop::Capture(CaptureError::Read(error))) => break Reason::Read(error),
            Err(error) => return Err(error),
        }
        progress(Progress { done: offset, total: source.len() });
    };
    Ok(Some(EndsEarly { offset, reason, complete: false }))
}

fn show<E>(
    block: &BlockRead<'_>,
    budget: &mut MetadataBudget,
    visit: &mut dyn FnMut(u64, Record<'_>) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    let offset = block.offset;
    let mut visit = |record: Record<'_>| visit(offset, record).map_err(Stop::Visitor);
    match block.kind {
        Some(BlockKind::Run) => visit(Record::Run(budget.meta(block)?)),
        Some(BlockKind::Definitions) => visit(Record::Definitions(budget.meta(block)?)),
        Some(BlockKind::Events) => visit(Record::Events(EventReader::new(&block.unpack()?, offset)?)),
        Some(BlockKind::Keyframe) => {
            let content = block.unpack()?;
            let mut rest = &content[..];
            while !rest.is_empty() {
                let bad = || ReadError::BadBlock { offset, what: "a keyframe that is none".into() };
                visit(Record::Keyframe(KeyframeImage::read(&mut rest).ok_or_else(bad)?))?;
            }
            Ok(())
        }
        Some(BlockKind::Samples) => visit(Record::Samples(budget.meta::<Samples>(block)?)),
        Some(BlockKind::UnseenAllocators) => visit(Record::UnseenAllocators(budget.meta(block)?)),
        Some(BlockKind::Marks) => visit(Record::Marks(budget.meta(block)?)),
        Some(BlockKind::MemoryMaps) => visit(Record::MemoryMaps(budget.meta(block)?)),
        Some(BlockKind::Census) => visit(Record::Censuses(budget.meta(block)?)),
        Some(BlockKind::Footer) => visit(Record::Footer(Box::new(budget.meta(block)?))),
        Some(BlockKind::NativeNames) => visit(Record::NativeNames(budget.meta(block)?)),
        None => visit(Record::Unknown),
    }
}
