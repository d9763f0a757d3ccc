//! The capture file: header, blocks, footer, trailer. The byte tables are in `docs/capture-format.md`.
//!
//! ```text
//! +--------+-------+-------+---- … ----+--------+---------+
//! | Header | Block | Block |           | Footer | Trailer |
//! +--------+-------+-------+---- … ----+--------+---------+
//! ```
//!
//! Any prefix is readable up to its last whole block. The footer (a block too) holds the answers: a report reads the
//! definitions and the footer, never the events. A file without one is answered by replaying the events.

pub mod batch;
pub mod block;
pub mod census;
pub mod definitions;
pub mod error;
pub mod events;
pub mod header;
pub mod marks;
pub mod memory_maps;
pub mod native_names;
pub mod summary;
pub mod unseen;
pub mod varint;

pub use block::{BlockKind, BlockRead, HEAD_BYTES};
pub use census::{Census, Censuses};
pub use definitions::{CodeDef, Definitions, FrameDef, ImageDef, ModuleDef, NodeDef, ThreadDef};
pub use error::ReadError;
pub use events::{Event, EventBlock, EventReader};
pub use header::{HEADER_BYTES, TRAILER_BYTES, VERSION, Version};
pub use marks::{Mark, MarkOrigin, Marks};
pub use memory_maps::{Look, LookReason, MemoryMaps, Part, ProcessMemory};
pub use native_names::{NamedCall, NamedFrame, NativeNames};
pub use summary::{Footer, ImageTotals, IndexEntry, Row, RunInfo, Sample, Samples, Totals};
pub use unseen::{Growth, UnseenAllocator, UnseenAllocators};

use serde::{Serialize, de::DeserializeOwned};

/// Most bytes that one block may unpack to: hostile lengths end here.
pub const MAX_BLOCK_BYTES: usize = 256 << 20;

/// bincode 2, standard configuration: little-endian, variable-length integers. The limit is of what all numbers and texts
/// take unpacked, and is checked before a text whose length is claimed gets its memory.
fn decode_within<T: DeserializeOwned, const LIMIT: usize>(
    bytes: &[u8],
) -> Result<(T, usize), bincode::error::DecodeError> {
    bincode::serde::decode_from_slice(bytes, bincode::config::standard().with_limit::<LIMIT>())
}

/// Metadata as bytes.
pub fn encode_meta<T: Serialize>(value: &T) -> Vec<u8> {
    // Our own types have no state that serde could refuse, and a Vec grows as needed.
    bincode::serde::encode_to_vec(value, bincode::config::standard()).expect("metadata encodes")
}

/// The first value of the unpacked bytes of a block, and how many bytes it takes: for content of which only the beginning is
/// known. `offset` as in [`decode_meta`].
///
/// # Errors
/// [`ReadError::BadBlock`] if the bytes do not begin with such a value.
pub fn decode_first<T: DeserializeOwned>(bytes: &[u8], offset: u64) -> Result<(T, usize), ReadError> {
    // A number takes up to eight times the bytes that it has in the file. The limits are constants in bincode.
    let decoded = match bytes.len() {
        0..=0xffff => decode_within::<T, { 1 << 20 }>(bytes),
        0x1_0000..=0xf_ffff => decode_within::<T, { 16 << 20 }>(bytes),
        _ => decode_within::<T, MAX_BLOCK_BYTES>(bytes),
    };
    decoded.map_err(|error| ReadError::BadBlock { offset, what: format!("its content cannot be decoded ({error})") })
}

/// Metadata from the unpacked bytes of a block; `offset` is the block's place in the file, for the error.
///
/// # Errors
/// [`ReadError::BadBlock`] if the bytes are not such a value.
pub fn decode_meta<T: DeserializeOwned>(bytes: &[u8], offset: u64) -> Result<T, ReadError> {
    decode_first(bytes, offset).map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_length_gets_no_more_memory_than_its_bytes_could_need() {
        // Behind 252 the length in 4 bytes; no bincode gives it memory if the limit is below.
        let claimed = |length: u32| [&[252][..], &length.to_le_bytes(), b"text"].concat();
        let refusal = |length| decode_meta::<String>(&claimed(length), 7).unwrap_err().to_string();
        assert!(refusal(255 << 20).contains("LimitExceeded"), "{}", refusal(255 << 20));
        assert!(refusal((1 << 20) + 1).contains("LimitExceeded"));
        // Within the limit it is the end that is missed.
        assert!(refusal(1000).contains("UnexpectedEnd"), "{}", refusal(1000));
    }

    #[test]
    fn numbers_that_unpack_to_eight_times_their_bytes_are_read() {
        for numbers in [1_000, 60_000, 70_000, 1_000_000] {
            let packed = encode_meta(&vec![7_u64; numbers]);
            assert!(packed.len() < numbers + 16);
            assert_eq!(decode_meta::<Vec<u64>>(&packed, 0).unwrap(), vec![7; numbers]);
        }
    }
}
