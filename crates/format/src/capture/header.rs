//! The first and the last bytes of a capture.
//!
//! Header, [`HEADER_BYTES`] bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | "HEAPTIDE" |
//! | 8–9 | version, major, little-endian |
//! | 10–11 | version, minor |
//! | 12–15 | CRC-32 of bytes 0–11 |
//!
//! Trailer, the last [`TRAILER_BYTES`] bytes of a file that was finished:
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | byte offset of the footer block, little-endian |
//! | 8–11 | CRC-32 of bytes 0–7 |
//! | 12–19 | "EDITPAEH" |
//!
//! Version policy: a new minor adds what old readers can skip (a new block kind, a new field at the end of a summary),
//! a new major what they cannot. A reader refuses a newer major, reads any minor of its own, and keeps reading
//! [`OLDEST`] and all between; one capture of each version is kept under `fixtures/captures/`.

use super::error::ReadError;
use std::fmt;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 16;
/// Bytes of the trailer.
pub const TRAILER_BYTES: usize = 20;
/// What this crate writes.
pub const VERSION: Version = Version { major: 1, minor: 1 };
/// The oldest that it reads.
pub const OLDEST: Version = Version { major: 1, minor: 0 };

const MAGIC: &[u8; 8] = b"HEAPTIDE";
const END_MAGIC: &[u8; 8] = b"EDITPAEH";

/// A version of the capture format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Changes when older readers cannot read on.
    pub major: u16,
    /// Changes when they can.
    pub minor: u16,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The header of a file of this version.
pub fn header() -> [u8; HEADER_BYTES] {
    header_of(VERSION)
}

fn header_of(version: Version) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&version.major.to_le_bytes());
    bytes[10..12].copy_from_slice(&version.minor.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Checks the first bytes of a file (all of it, or at least [`HEADER_BYTES`]).
///
/// # Errors
/// [`ReadError::NotACapture`], [`ReadError::Truncated`], [`ReadError::Checksum`], [`ReadError::TooNew`],
/// [`ReadError::TooOld`].
pub fn check_header(bytes: &[u8]) -> Result<Version, ReadError> {
    let start = &bytes[..bytes.len().min(8)];
    if start != &MAGIC[..start.len()] || start.is_empty() {
        return Err(ReadError::NotACapture { found: start.to_vec() });
    }
    let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(ReadError::Truncated { offset: 0, inside: "the header" });
    };
    if crc32fast::hash(&bytes[..12]).to_le_bytes() != bytes[12..] {
        return Err(ReadError::Checksum { offset: 0, inside: "the header" });
    }
    let version =
        Version { major: u16::from_le_bytes([bytes[8], bytes[9]]), minor: u16::from_le_bytes([bytes[10], bytes[11]]) };
    if version.major > VERSION.major {
        return Err(ReadError::TooNew { found: version, supported: VERSION });
    }
    if version < OLDEST {
        return Err(ReadError::TooOld { found: version, supported: OLDEST });
    }
    Ok(version)
}

/// The trailer of a file whose footer block starts at `footer`.
pub fn trailer(footer: u64) -> [u8; TRAILER_BYTES] {
    let mut bytes = [0; TRAILER_BYTES];
    bytes[..8].copy_from_slice(&footer.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..8]);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes[12..].copy_from_slice(END_MAGIC);
    bytes
}

/// Where the footer block starts, from the last bytes of a file; `None` if it was not finished.
pub fn footer_offset(last: &[u8; TRAILER_BYTES]) -> Option<u64> {
    let (offset, rest) = last.split_first_chunk::<8>()?;
    (rest[4..] == END_MAGIC[..] && crc32fast::hash(offset).to_le_bytes() == rest[..4])
        .then(|| u64::from_le_bytes(*offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_older_and_foreign_files_are_told_apart() {
        assert_eq!(check_header(&header()), Ok(VERSION));
        let newer = Version { major: 2, minor: 0 };
        assert_eq!(check_header(&header_of(newer)), Err(ReadError::TooNew { found: newer, supported: VERSION }));
        let older = Version { major: 0, minor: 9 };
        assert_eq!(check_header(&header_of(older)), Err(ReadError::TooOld { found: older, supported: OLDEST }));
        let later_minor = Version { major: 1, minor: 7 };
        assert_eq!(check_header(&header_of(later_minor)), Ok(later_minor));
        assert!(matches!(check_header(b"\x7fELF\x02\x01\x01\x00"), Err(ReadError::NotACapture { .. })));
        assert!(matches!(check_header(b""), Err(ReadError::NotACapture { .. })));
        assert_eq!(check_header(b"HEAPT"), Err(ReadError::Truncated { offset: 0, inside: "the header" }));
    }

    #[test]
    fn a_flipped_bit_in_the_trailer_is_no_footer() {
        let good = trailer(123_456_789);
        assert_eq!(footer_offset(&good), Some(123_456_789));
        for bit in 0..TRAILER_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(footer_offset(&bad), None, "bit {bit}");
        }
    }
}
