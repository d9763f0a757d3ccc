//! The bytes of a capture, fetched block by block: nothing is mapped (a file that is cut while it is mapped kills its
//! reader) and nothing is read that is not asked for.

use crate::error::CaptureError;
use heaptide_format::capture::{BlockRead, HEAD_BYTES, MAX_BLOCK_BYTES, ReadError};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the bytes are.
#[derive(Debug)]
pub struct Source {
    bytes: Bytes,
    length: u64,
}

#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

/// A file from a place on. It has no position that threads which read at the same time would take from one another.
struct FileFrom<'f> {
    file: &'f File,
    offset: u64,
}

impl Read for FileFrom<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl Source {
    /// A file; its length is taken now, what is appended later is not seen.
    ///
    /// # Errors
    /// Those of opening it; a directory is one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // What has no places to read from, like a pipe, is told apart here.
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { length: metadata.len(), bytes: Bytes::File(file) })
    }

    /// A capture in memory.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len() as u64, bytes: Bytes::Memory(bytes) }
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Up to `most` bytes from byte `offset` on, fewer only at the end.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(&self, offset: u64, most: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let count = self.length.saturating_sub(offset).min(most as u64);
        match &self.bytes {
            Bytes::File(file) => {
                FileFrom { file, offset }.take(count).read_to_end(buffer)?;
            }
            Bytes::Memory(bytes) => {
                if count > 0 {
                    // Both ends lie within the vector: `count` was cut to what is left of it.
                    buffer.extend_from_slice(&bytes[offset as usize..(offset + count) as usize]);
                }
            }
        }
        Ok(())
    }

    /// The block whose head is at byte `offset`, checked, in `buffer`.
    ///
    /// # Errors
    /// As [`BlockRead::parse`], and those of reading.
    pub fn block<'b>(&self, offset: u64, buffer: &'b mut Vec<u8>) -> Result<BlockRead<'b>, CaptureError> {
        self.read(offset, HEAD_BYTES, buffer)?;
        let stored = match buffer.get(4..8) {
            Some(length) if buffer.len() == HEAD_BYTES => {
                u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize
            }
            _ => return Err(ReadError::Truncated { offset, inside: "a block" }.into()),
        };
        // A larger one is never written; a damaged length must not make us read gigabytes.
        if stored > MAX_BLOCK_BYTES {
            return Err(ReadError::BadBlock { offset, what: format!("a block of {stored} bytes") }.into());
        }
        self.read(offset, HEAD_BYTES + stored, buffer)?;
        Ok(BlockRead::parse(buffer, offset)?)
    }
}
