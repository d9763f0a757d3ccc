//! Protocol buffers, as far as [`super::pprof`] writes them: numbers, texts and messages.
//!
//! <https://protobuf.dev/programming-guides/encoding/>. Written here because a generator for one message of seven types
//! would be larger than they are.

/// A message, as bytes without its length.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A number; 0 is what is read if nothing stands there, so nothing is written.
    pub(super) fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
    }

    /// A list of numbers, zeros included.
    pub(super) fn numbers(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.varint(value));
        self.bytes(field, &packed.0);
    }

    /// Bytes or a text, empty ones included.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Another message.
    pub(super) fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// What was written since the last time, so that a long message needs no room.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification: 150 in field 1, "testing" in field 2, the first as field 3; 3, 270, 86942 packed in
    /// field 6.
    #[test]
    fn as_the_specification_has_it() {
        let mut first = Message::default();
        first.number(1, 150);
        let mut message = Message::default();
        message.bytes(2, b"testing");
        message.message(3, &first);
        message.numbers(6, [3, 270, 86942]);
        message.number(7, 0);
        let mut expected = b"\x12\x07testing\x1a\x03\x08\x96\x01".to_vec();
        expected.extend_from_slice(b"\x32\x06\x03\x8e\x02\x9e\xa7\x05");
        assert_eq!(message.take(), expected);
        let mut most = Message::default();
        most.number(1, u64::MAX);
        assert_eq!(most.take(), [&[8][..], &[0xff; 9], &[1]].concat());
    }
}
