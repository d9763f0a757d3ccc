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

/// bincode 2, standard configuration: little-endian, variable-length integers. The limit bounds what claimed lengths
/// can make us allocate.
fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_BLOCK_BYTES>()
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
    bincode::serde::decode_from_slice(bytes, config())
        .map_err(|error| ReadError::BadBlock { offset, what: format!("its content cannot be decoded ({error})") })
}

/// Metadata from the unpacked bytes of a block; `offset` is the block's place in the file, for the error.
///
/// # Errors
/// [`ReadError::BadBlock`] if the bytes are not such a value.
pub fn decode_meta<T: DeserializeOwned>(bytes: &[u8], offset: u64) -> Result<T, ReadError> {
    decode_first(bytes, offset).map(|(value, _)| value)
}
