//! A capture with the names of its native functions in it, so that it reads the same where its objects are not.
//!
//! The file is copied as it is up to its footer; behind its blocks come the names, then the footer with an index that has
//! them, all else of it byte for byte. What was embedded before is replaced, but never by less. Where the copy goes, and
//! whether it takes the place of the capture, is the caller's to decide.

use crate::error::CaptureError;
use crate::reader::Capture;
use crate::source::Source;
use crate::symbols::{self, Call, Chain, Request, Settings, Symbols};
use heaptide_format::capture::header::{self, HEADER_BYTES, TRAILER_BYTES};
use heaptide_format::capture::summary::IndexEntry;
use heaptide_format::capture::{
    BlockKind, FrameDef, NamedCall, NamedFrame, NativeNames, ReadError, block, decode_first, encode_meta,
};
use heaptide_format::ids::{FrameId, ModuleId};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

/// Names that were found for a capture, not yet written.
#[derive(Debug)]
pub struct Symbolized<'c> {
    capture: &'c Capture,
    blocks: Vec<NativeNames>,
    /// Native places of the capture.
    pub places: usize,
    /// Those of them with a name; where their functions begin is none.
    pub named: usize,
    /// The capture has all these names already.
    pub unchanged: bool,
    /// Objects that named nothing, and why; one sentence each.
    pub notes: Vec<String>,
}

/// A native object: the numbers it has, and the places in it.
#[derive(Default)]
struct Object {
    modules: BTreeSet<ModuleId>,
    places: Vec<(FrameId, u64)>,
}

impl<'c> Symbolized<'c> {
    /// Looks up the names of all native frames.
    pub fn of(capture: &'c Capture, settings: &Settings) -> Self {
        let names = &capture.names;
        // By object: two modules of one file are read once.
        let mut objects: FxHashMap<(&str, &[u8]), Object> = FxHashMap::default();
        for id in (0..names.frames() as u32).map(FrameId) {
            if let FrameDef::Native { module, offset } = names.frame(id) {
                let definition = names.module(module);
                let key = (names.text(definition.path), &definition.build_id[..]);
                let object = objects.entry(key).or_default();
                object.modules.insert(module);
                object.places.push((id, offset));
            }
        }
        let mut objects: Vec<_> = objects.into_iter().collect();
        objects.sort_unstable_by_key(|(object, _)| *object);
        let mut requests = Vec::with_capacity(objects.len());
        for ((path, build_id), object) in &objects {
            let offsets = object.places.iter().map(|(_, offset)| *offset).collect();
            let (path, build_id) = ((*path).to_owned(), build_id.to_vec());
            requests.push(Request { path, build_id, ran_at: capture.run.started_unix, offsets });
        }
        let answers = symbols::resolve(requests, settings);
        let mut symbolized =
            Self { capture, blocks: Vec::new(), places: 0, named: 0, unchanged: true, notes: Vec::new() };
        let mut modules: BTreeSet<ModuleId> = BTreeSet::new();
        let mut chains: Vec<(FrameId, Chain)> = Vec::new();
        for (((path, _), object), answer) in objects.into_iter().zip(answers) {
            let mut found = match answer {
                Symbols::Found(found) => {
                    modules.extend(object.modules);
                    found
                }
                not_found => {
                    // What was embedded when the object was at hand stays.
                    let before = |module: &ModuleId| names.has_embedded_module(*module);
                    let (known, unknown): (Vec<ModuleId>, Vec<ModuleId>) = object.modules.into_iter().partition(before);
                    modules.extend(known);
                    // What the kernel maps (`[vdso]`) is no file.
                    if !unknown.is_empty() && !path.starts_with('[') {
                        let why = match not_found {
                            Symbols::Changed => "has changed since the recording",
                            Symbols::Slow => "took too long to read",
                            _ => "is not there",
                        };
                        symbolized.notes.push(format!("{path} {why}: no names from it."));
                    }
                    Vec::new()
                }
            }
            .into_iter();
            symbolized.places += object.places.len();
            for (id, _) in object.places {
                let before = names.embedded(id).unwrap_or_default();
                let fresh = found.next().unwrap_or_default();
                let chain = if worth(&fresh) >= worth(before) { fresh } else { before.to_vec() };
                symbolized.unchanged &= chain == before;
                symbolized.named += usize::from(is_named(&chain));
                if !chain.is_empty() {
                    chains.push((id, chain));
                }
            }
        }
        symbolized.unchanged &= modules.iter().all(|module| names.has_embedded_module(*module));
        chains.sort_unstable_by_key(|(id, _)| *id);
        symbolized.blocks = blocks(modules, &chains);
        symbolized
    }

    /// Writes the capture with the names.
    ///
    /// # Errors
    /// Those of reading the capture and of writing.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), CaptureError> {
        let source = self.capture.source();
        let Some(footer) = footer_of(source, self.capture)? else {
            // Cut: what is readable, and the names behind it.
            let end = self.capture.ends_early.as_ref().map_or(source.len(), |early| early.offset);
            copy(source, end, out)?;
            for names in &self.blocks {
                out.write_all(&packed(BlockKind::NativeNames, &encode_meta(names)))?;
            }
            return Ok(());
        };
        let (mut index, taken): (Vec<IndexEntry>, usize) = decode_first(&footer.content, footer.offset)?;
        let is_names = |entry: &IndexEntry| entry.kind == BlockKind::NativeNames as u8;
        let mut offset = footer.offset;
        while let Some(entry) = index.pop_if(|entry| is_names(entry)) {
            offset = entry.offset;
        }
        copy(source, offset, out)?;
        let totals = &self.capture.account.totals;
        let live = self.capture.timeline.last().map_or(0, |sample| sample.live);
        for names in &self.blocks {
            let bytes = packed(BlockKind::NativeNames, &encode_meta(names));
            let kind = BlockKind::NativeNames as u8;
            index.push(IndexEntry { kind, offset, first_event: totals.events, time: totals.duration, live });
            out.write_all(&bytes)?;
            offset += bytes.len() as u64;
        }
        let mut content = encode_meta(&index);
        content.extend_from_slice(&footer.content[taken..]);
        out.write_all(&packed(BlockKind::Footer, &content))?;
        out.write_all(&header::trailer(offset))?;
        Ok(())
    }
}

/// Whether this is more than where a function begins.
fn is_named(chain: &[Call]) -> bool {
    chain.first().is_some_and(|call| !symbols::is_start(&call.function))
}

/// What tells more is larger: anything than nothing, a name than where a function begins, then lines.
fn worth(chain: &[Call]) -> impl Ord {
    (!chain.is_empty(), is_named(chain), chain.iter().any(|call| call.line > 0))
}

/// The footer as it stands in the file.
struct FooterBlock {
    offset: u64,
    content: Vec<u8>,
}

/// The footer that the capture's answers are from; `None` if they were replayed.
fn footer_of(source: &Source, capture: &Capture) -> Result<Option<FooterBlock>, CaptureError> {
    let mut buffer = Vec::new();
    let offset = match &capture.ends_early {
        Some(early) if !early.complete => return Ok(None),
        // Its trailer is damaged: block by block.
        Some(_) => {
            let mut offset = HEADER_BYTES as u64;
            loop {
                let block = source.block(offset, &mut buffer)?;
                if block.kind == Some(BlockKind::Footer) {
                    break offset;
                }
                offset += block.bytes;
            }
        }
        None => {
            let end = source.len().saturating_sub(TRAILER_BYTES as u64);
            source.read(end, TRAILER_BYTES, &mut buffer)?;
            let trailer = buffer.first_chunk().and_then(header::footer_offset);
            trailer.ok_or(ReadError::Truncated { offset: end, inside: "the trailer" })?
        }
    };
    let content = source.block(offset, &mut buffer)?.unpack()?;
    Ok(Some(FooterBlock { offset, content }))
}

fn packed(kind: BlockKind, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    block::write(&mut bytes, kind, content);
    bytes
}

/// Copies the first bytes of the capture.
fn copy(source: &Source, end: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut offset = 0;
    while offset < end {
        let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(1 << 20);
        source.read(offset, most, &mut buffer)?;
        if buffer.is_empty() {
            // Somebody cuts the file while it is read.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.write_all(&buffer)?;
        offset += buffer.len() as u64;
    }
    Ok(())
}

/// Bytes of content after which a block of names is closed: far below what one may hold.
const BLOCK_BYTES: usize = 16 << 20;

/// The names as blocks of bearable size. The modules stand in the first.
fn blocks(modules: BTreeSet<ModuleId>, chains: &[(FrameId, Chain)]) -> Vec<NativeNames> {
    if modules.is_empty() {
        return Vec::new();
    }
    let mut done = Vec::new();
    let mut names = NativeNames { modules: modules.into_iter().collect(), ..NativeNames::default() };
    let mut known: FxHashMap<Arc<str>, u32> = FxHashMap::default();
    let mut bytes = 0;
    for (frame, chain) in chains {
        let mut place = |text: &Arc<str>| {
            *known.entry(text.clone()).or_insert_with(|| {
                bytes += text.len() + 5;
                names.strings.push(text.to_string());
                names.strings.len() as u32 - 1
            })
        };
        let calls: Vec<NamedCall> = chain
            .iter()
            .map(|call| NamedCall { function: place(&call.function), file: place(&call.file), line: call.line })
            .collect();
        bytes += 10 + 15 * calls.len();
        names.frames.push(NamedFrame { frame: *frame, calls });
        if bytes > BLOCK_BYTES {
            done.push(std::mem::take(&mut names));
            known.clear();
            bytes = 0;
        }
    }
    done.push(names);
    done
}
