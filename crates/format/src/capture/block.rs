//! A block: a head of [`HEAD_BYTES`] bytes, then its content, compressed where that saves room.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | [`BlockKind`] |
//! | 1 | codec: 0 as it is, 1 lz4 block |
//! | 2–3 | 0 |
//! | 4–7 | stored length of the content, little-endian |
//! | 8–11 | unpacked length |
//! | 12–15 | CRC-32 of bytes 0–11 and the stored content |

use super::{MAX_BLOCK_BYTES, error::ReadError};

/// Bytes of a block's head.
pub const HEAD_BYTES: usize = 16;

/// What a block holds. Numbers stand in files: never renumber. Readers skip kinds they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockKind {
    /// [`super::RunInfo`]: the command, the options. The first block.
    Run = 1,
    /// [`super::Definitions`] that the following blocks use.
    Definitions = 2,
    /// Events, see [`super::events`].
    Events = 3,
    /// All live blocks at this place in the file: where a replay may begin. See [`super::events`].
    Keyframe = 4,
    /// [`super::Samples`]: RSS and live bytes over time.
    Samples = 5,
    /// [`super::Footer`]: index and summary. The last block.
    Footer = 6,
    /// [`super::NativeNames`]: names of native frames. Behind all other blocks but the footer.
    NativeNames = 7,
    /// [`super::UnseenAllocators`]: allocators whose blocks were not recorded.
    UnseenAllocators = 8,
    /// [`super::Marks`]: instants that somebody gave a name.
    Marks = 9,
    /// [`super::Censuses`]: Python objects by type.
    Census = 10,
    /// [`super::MemoryMaps`]: what resident memory consisted of.
    MemoryMaps = 11,
}

impl BlockKind {
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Run,
            2 => Self::Definitions,
            3 => Self::Events,
            4 => Self::Keyframe,
            5 => Self::Samples,
            6 => Self::Footer,
            7 => Self::NativeNames,
            8 => Self::UnseenAllocators,
            9 => Self::Marks,
            10 => Self::Census,
            11 => Self::MemoryMaps,
            _ => return None,
        })
    }
}

/// Appends a block with this content to `out`.
///
/// # Panics
/// If the content is longer than [`MAX_BLOCK_BYTES`]; the collector closes blocks long before.
pub fn write(out: &mut Vec<u8>, kind: BlockKind, content: &[u8]) {
    assert!(content.len() <= MAX_BLOCK_BYTES, "block of {} bytes", content.len());
    let start = out.len();
    out.resize(start + HEAD_BYTES + lz4_flex::block::get_maximum_output_size(content.len()), 0);
    let packed = lz4_flex::block::compress_into(content, &mut out[start + HEAD_BYTES..]);
    let (codec, stored) = match packed {
        Ok(packed) if packed < content.len() => (1, packed),
        _ => {
            out[start + HEAD_BYTES..][..content.len()].copy_from_slice(content);
            (0, content.len())
        }
    };
    out.truncate(start + HEAD_BYTES + stored);
    let head = &mut out[start..start + HEAD_BYTES];
    head[0] = kind as u8;
    head[1] = codec;
    head[4..8].copy_from_slice(&(stored as u32).to_le_bytes());
    head[8..12].copy_from_slice(&(content.len() as u32).to_le_bytes());
    let sum = checksum(&out[start..start + 12], &out[start + HEAD_BYTES..]);
    out[start + 12..start + HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
}

fn checksum(head: &[u8], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(stored);
    hasher.finalize()
}

/// A block as it stands in a file, checked but not yet unpacked.
#[derive(Clone, Copy, Debug)]
pub struct BlockRead<'a> {
    /// What it holds; `None` for a kind of a newer minor version.
    pub kind: Option<BlockKind>,
    /// Where its head begins in the file.
    pub offset: u64,
    /// Bytes with its head: the next block begins there.
    pub bytes: u64,
    codec: u8,
    unpacked: usize,
    stored: &'a [u8],
}

impl<'a> BlockRead<'a> {
    /// Bytes of its content once unpacked.
    pub fn unpacked_bytes(&self) -> usize {
        self.unpacked
    }

    /// The block at the start of `rest`, which is the file from byte `offset` on.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] if it goes beyond the end, [`ReadError::Checksum`], [`ReadError::BadBlock`].
    pub fn parse(rest: &'a [u8], offset: u64) -> Result<Self, ReadError> {
        let truncated = ReadError::Truncated { offset, inside: "a block" };
        let Some((head, content)) = rest.split_first_chunk::<HEAD_BYTES>() else { return Err(truncated) };
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (stored_bytes, unpacked) = (number(4) as usize, number(8) as usize);
        if content.len() < stored_bytes {
            return Err(truncated);
        }
        let stored = &content[..stored_bytes];
        if checksum(&head[..12], stored) != number(12) {
            return Err(ReadError::Checksum { offset, inside: "a block" });
        }
        let bad = |what: String| Err(ReadError::BadBlock { offset, what });
        if head[1] > 1 {
            return bad(format!("unknown codec {}", head[1]));
        }
        if unpacked > MAX_BLOCK_BYTES || (head[1] == 0 && unpacked != stored_bytes) {
            return bad(format!("a block of {unpacked} bytes"));
        }
        // lz4 packs at most 255 to 1: a larger claim is a lie, and would cost memory out of proportion.
        if unpacked / 255 > stored_bytes {
            return bad(format!("{stored_bytes} bytes cannot unpack to {unpacked}"));
        }
        let bytes = (HEAD_BYTES + stored_bytes) as u64;
        Ok(Self { kind: BlockKind::from_number(head[0]), offset, bytes, codec: head[1], unpacked, stored })
    }

    /// Its content.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] if it does not unpack to the length in its head.
    pub fn unpack(&self) -> Result<Vec<u8>, ReadError> {
        if self.codec == 0 {
            return Ok(self.stored.to_vec());
        }
        let content = lz4_flex::block::decompress(self.stored, self.unpacked);
        self.check_unpacked(content.as_ref().map(Vec::len))?;
        content.map_err(|error| self.is_bad(error.to_string()))
    }

    /// Its content in place of what is in `content`, whose memory is used again if it is enough.
    ///
    /// # Errors
    /// As [`BlockRead::unpack`]; what is in `content` then has no meaning.
    pub fn unpack_into(&self, content: &mut Vec<u8>) -> Result<(), ReadError> {
        content.clear();
        if self.codec == 0 {
            content.extend_from_slice(self.stored);
            return Ok(());
        }
        // A length that is a lie must not make us touch so much memory.
        if content.capacity() < self.unpacked {
            *content = self.unpack()?;
            return Ok(());
        }
        content.resize(self.unpacked, 0);
        self.check_unpacked(lz4_flex::block::decompress_into(self.stored, content).as_ref().copied())
    }

    fn check_unpacked(&self, bytes: Result<usize, &lz4_flex::block::DecompressError>) -> Result<(), ReadError> {
        match bytes {
            Ok(bytes) if bytes == self.unpacked => Ok(()),
            Ok(bytes) => Err(self.is_bad(format!("unpacks to {bytes} bytes, not {}", self.unpacked))),
            Err(error) => Err(self.is_bad(error.to_string())),
        }
    }

    fn is_bad(&self, what: String) -> ReadError {
        ReadError::BadBlock { offset: self.offset, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn content_comes_back(content: Vec<u8>, repeat in 1usize..40) {
            let content = content.repeat(repeat);
            let mut file = Vec::new();
            write(&mut file, BlockKind::Events, &content);
            let block = BlockRead::parse(&file, 7).unwrap();
            prop_assert_eq!(block.kind, Some(BlockKind::Events));
            prop_assert_eq!(block.bytes, file.len() as u64);
            prop_assert_eq!(&block.unpack().unwrap(), &content);
            // Over what was there before, shorter and longer.
            for mut before in [Vec::new(), vec![7; 3], vec![7; 100_000]] {
                block.unpack_into(&mut before).unwrap();
                prop_assert_eq!(&before, &content);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            if let Ok(block) = BlockRead::parse(&bytes, 0) {
                let mut into = vec![7; 1000];
                let done = block.unpack_into(&mut into).map(|()| into);
                prop_assert_eq!(done, block.unpack());
            }
        }

        #[test]
        fn every_flipped_bit_is_noticed(content: Vec<u8>, bit: prop::sample::Index) {
            let mut file = Vec::new();
            write(&mut file, BlockKind::Samples, &content);
            let bit = bit.index(file.len() * 8);
            file[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(BlockRead::parse(&file, 0).is_err());
        }
    }

    #[test]
    fn a_block_cut_anywhere_is_truncated() {
        let mut file = Vec::new();
        write(&mut file, BlockKind::Run, b"what was run");
        for end in 0..file.len() {
            assert_eq!(
                BlockRead::parse(&file[..end], 40).err(),
                Some(ReadError::Truncated { offset: 40, inside: "a block" })
            );
        }
    }
}
