//! Records out of words, and the order of several rings of one image.
//!
//! A stamped event is held back until nothing earlier can come from another ring: the session takes a stamp T0, then
//! takes the words of all rings, then reads what is stamped T0 or earlier. Of two events with a common address one was
//! published before the other's stamp was taken, so both are there or the later one is held back.

use crate::image::Ring;
use heaptide_format::wire::{RANGE, STAMPED, WIDE, definition, kind, kind_of, sub_of};

/// Words of the record at the start of `words`; `None` if they end inside it. Blob parts are measured too.
pub fn length(words: &[u64]) -> Option<usize> {
    use heaptide_format::wire::blob_parts;
    let first = *words.first()?;
    let is_wide = || words.get(1).map(|word| usize::from(*word as u32 == WIDE));
    let stamped = usize::from(sub_of(first) & STAMPED != 0);
    let length = match kind_of(first) {
        kind::ALLOCATED => 2 + is_wide()?,
        kind::ALLOCATED_STAMPED => 3 + is_wide()?,
        kind::FREED => 1,
        kind::FREED_STAMPED => 2,
        kind::REALLOC_BEGIN => 1 + stamped + usize::from(sub_of(first) & RANGE != 0),
        kind::REALLOC_END => 2 + stamped + is_wide()?,
        kind::UNMAPPED => 2 + stamped,
        _ => match sub_of(first) {
            definition::BLOB => 1 + usize::try_from(blob_parts(first).1.div_ceil(8)).ok()?,
            _ => 2,
        },
    };
    (length <= words.len()).then_some(length)
}

/// The stamp of a record of this length, if it has one: always its last word.
pub fn stamp(record: &[u64]) -> Option<u64> {
    let first = *record.first()?;
    let stamped = match kind_of(first) {
        kind::ALLOCATED_STAMPED | kind::FREED_STAMPED => true,
        kind::DEFINITION => sub_of(first) == definition::MARK,
        kind::REALLOC_BEGIN | kind::REALLOC_END | kind::UNMAPPED => sub_of(first) & STAMPED != 0,
        _ => false,
    };
    if stamped { record.last().copied() } else { None }
}

/// Where a ring stands among others: the stamp of its next record, or of the one before if it has none.
pub fn next_stamp(ring: &Ring) -> Option<u64> {
    let rest = &ring.words[ring.at..];
    let length = length(rest)?;
    Some(stamp(&rest[..length]).unwrap_or(ring.last_stamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::wire::{BlobKind, blob_word, word0};

    #[test]
    fn every_record_is_as_long_as_its_type_says() {
        let wide = u64::from(WIDE);
        let cases: [(&[u64], usize, Option<u64>); 10] = [
            (&[word0(kind::ALLOCATED, 0, 16), 5], 2, None),
            (&[word0(kind::ALLOCATED, 0, 16), wide, 1 << 40], 3, None),
            (&[word0(kind::ALLOCATED_STAMPED, 0, 16), wide, 1 << 40, 9], 4, Some(9)),
            (&[word0(kind::FREED, 1, 16)], 1, None),
            (&[word0(kind::FREED_STAMPED, 0, 16), 7], 2, Some(7)),
            (&[word0(kind::REALLOC_BEGIN, STAMPED | RANGE, 16), 4096, 8], 3, Some(8)),
            (&[word0(kind::REALLOC_END, STAMPED, 16), 5, 6], 3, Some(6)),
            (&[word0(kind::UNMAPPED, 0, 4096), 4096], 2, None),
            (&[word0(kind::DEFINITION, definition::PYTHON_NODE, 3), 4], 2, None),
            (&[word0(kind::DEFINITION, definition::MARK, 0), 4], 2, Some(4)),
        ];
        for (words, expected, expected_stamp) in cases {
            assert_eq!(length(words), Some(expected), "{words:x?}");
            assert_eq!(stamp(words), expected_stamp);
            assert_eq!(length(&words[..expected - 1]), None, "cut {words:x?}");
        }
        assert_eq!(length(&[blob_word(BlobKind::Code, 17, true), 0, 0, 0]), Some(4));
    }
}
