//! Texts of the interpreter's as UTF-8, and numbers, at the end of an array of bytes.

use crate::memory::Pages;

/// Longest text that is taken of a name or a key, in bytes.
pub const MOST_BYTES: usize = 200;

/// What can be put at the end of bytes. Where there is no memory for it, it is left out.
pub trait Texts {
    /// Bytes as they are.
    fn push_bytes(&mut self, bytes: &[u8]);

    /// Characters of so many bytes each. What is no character (half of a pair) becomes U+FFFD.
    fn push_text(&mut self, text: (&[u8], u8)) {
        let (bytes, width) = text;
        let mut written = 0;
        for unit in bytes.chunks_exact(usize::from(width.max(1))) {
            let code = unit.iter().rev().fold(0u32, |code, byte| code << 8 | u32::from(*byte));
            let mut buffer = [0; 4];
            let encoded = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut buffer);
            written += encoded.len();
            if written > MOST_BYTES {
                return self.push_bytes("…".as_bytes());
            }
            self.push_bytes(encoded.as_bytes());
        }
    }

    /// In the order of the wire.
    fn push_u32(&mut self, number: u32) {
        self.push_bytes(&number.to_le_bytes());
    }

    /// In the order of the wire.
    fn push_u64(&mut self, number: u64) {
        self.push_bytes(&number.to_le_bytes());
    }

    /// In decimal digits.
    fn push_decimal(&mut self, number: i64) {
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        let mut rest = number.unsigned_abs();
        while rest != 0 || first == digits.len() {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        if number < 0 {
            self.push_bytes(b"-");
        }
        self.push_bytes(&digits[first..]);
    }
}

impl Texts for Pages<u8> {
    fn push_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.push(*byte) {
                return;
            }
        }
    }
}
