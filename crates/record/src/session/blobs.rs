//! Blobs: what the shim says at length, in parts. Their layouts are in `heaptide_format::wire`.

use crate::dictionary::{CodeObject, Dictionary};
use crate::image::Ring;
use crate::lines::LineTable;
use heaptide_format::capture::definitions::CodeDef;
use heaptide_format::wire::{BlobKind, blob_parts, code};

/// Most bytes of a blob that are kept: the line table of a function of some million lines. A target that never ends a blob
/// must not fill our memory.
const MOST_BYTES: usize = 16 << 20;

/// Adds a part to the ring's blob; the whole if that was the last part.
pub(super) fn collect(ring: &mut Ring, record: &[u64]) -> Option<(BlobKind, Vec<u8>)> {
    let (kind, length, last) = blob_parts(record[0]);
    let most = MOST_BYTES.saturating_sub(ring.blob.len()).min(length as usize);
    ring.blob.extend(record[1..].iter().flat_map(|word| word.to_le_bytes()).take(most));
    if !last {
        return None;
    }
    Some((BlobKind::from_number(kind)?, std::mem::take(&mut ring.blob)))
}

pub(super) fn code_of(dictionary: &mut Dictionary, blob: &[u8]) -> CodeObject {
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
pub(super) struct Announcement {
    pub(super) parent: u32,
    pub(super) forked: bool,
    pub(super) python: u16,
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
}

impl Announcement {
    pub(super) fn parse(blob: &[u8]) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::shared::RingHeader;
    use heaptide_format::wire::blob_word;

    #[test]
    fn a_blob_without_end_is_cut() {
        // SAFETY: all fields are plain numbers and atomics, of which zero is a value.
        let header: RingHeader = unsafe { std::mem::zeroed() };
        let mut ring = Ring::new(Box::leak(Box::new(header)));
        let mut record = vec![u64::MAX; 1 + (1 << 17)];
        record[0] = blob_word(BlobKind::Module, 8 << 17, false);
        for _ in 0..20 {
            assert!(collect(&mut ring, &record).is_none());
        }
        assert_eq!(ring.blob.len(), 16 << 20);
        record[0] = blob_word(BlobKind::Module, 5, true);
        let (kind, blob) = collect(&mut ring, &record).expect("the last part");
        assert_eq!((kind, blob.len(), ring.blob.len()), (BlobKind::Module, 16 << 20, 0));
    }
}
