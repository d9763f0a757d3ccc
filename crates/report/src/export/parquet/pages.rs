//! Columns, their pages and what the end of a Parquet file says of them.
//!
//! Each column of a row group is one data page: numbers as they are ("plain"), texts as numbers of a dictionary page
//! before it, run by run. No column is optional or repeated, so there are no levels.

use super::thrift::Struct;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

// Numbers of `parquet.thrift`.
const MAGIC: &[u8] = b"PAR1";
const INT32: i32 = 1;
const INT64: i32 = 2;
const DOUBLE: i32 = 5;
const BYTE_ARRAY: i32 = 6;
const REQUIRED: i32 = 0;
const UTF8: i32 = 0;
const GZIP: i32 = 2;
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const RLE_DICTIONARY: i32 = 8;
const DATA_PAGE: i32 = 0;
const DICTIONARY_PAGE: i32 = 2;

/// Rows of one row group, which are in memory until they are written: 7 MiB of numbers.
const GROUP_ROWS: usize = 1 << 17;
/// Bytes of different texts, after which a group is ended as well.
const GROUP_TEXTS: usize = 8 << 20;

/// A column of the row group that is being filled.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) values: Values,
}

/// Its values.
pub(super) enum Values {
    /// `INT32`.
    Ints(Vec<u8>),
    /// `INT64`.
    Longs(Vec<u8>),
    /// `DOUBLE`.
    Doubles(Vec<u8>),
    /// `BYTE_ARRAY` that is UTF-8: how often one after the other, and which of the dictionary.
    Texts { runs: Vec<(u32, u32)>, known: HashMap<Arc<str>, u32>, all: Vec<Arc<str>>, bytes: usize },
}

impl Values {
    pub(super) fn ints() -> Self {
        Self::Ints(Vec::new())
    }

    pub(super) fn longs() -> Self {
        Self::Longs(Vec::new())
    }

    pub(super) fn doubles() -> Self {
        Self::Doubles(Vec::new())
    }

    pub(super) fn texts() -> Self {
        Self::Texts { runs: Vec::new(), known: HashMap::new(), all: Vec::new(), bytes: 0 }
    }

    /// Adds a number to such a column; they are signed there.
    pub(super) fn int(&mut self, value: u32) {
        let Self::Ints(bytes) = self else { unreachable!("the column has another type") };
        bytes.extend(i32::try_from(value).unwrap_or(i32::MAX).to_le_bytes());
    }

    /// Adds a number to such a column; they are signed there.
    pub(super) fn long(&mut self, value: u64) {
        let Self::Longs(bytes) = self else { unreachable!("the column has another type") };
        bytes.extend(i64::try_from(value).unwrap_or(i64::MAX).to_le_bytes());
    }

    pub(super) fn double(&mut self, value: f64) {
        let Self::Doubles(bytes) = self else { unreachable!("the column has another type") };
        bytes.extend(value.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &Arc<str>) {
        let Self::Texts { runs, known, all, bytes } = self else { unreachable!("the column has another type") };
        // Mostly the one before.
        if let Some((times, number)) = runs.last_mut()
            && all[*number as usize] == *text
        {
            *times += 1;
            return;
        }
        let next = all.len() as u32;
        let number = *known.entry(text.clone()).or_insert(next);
        if number == next {
            all.push(text.clone());
            *bytes += text.len();
        }
        runs.push((1, number));
    }

    fn kind(&self) -> i32 {
        match self {
            Self::Ints(_) => INT32,
            Self::Longs(_) => INT64,
            Self::Doubles(_) => DOUBLE,
            Self::Texts { .. } => BYTE_ARRAY,
        }
    }

    /// What was filled in, leaving it empty: the content of a dictionary page with the number of its texts, and that of the
    /// data page.
    fn take(&mut self) -> (Option<(Vec<u8>, usize)>, Vec<u8>) {
        match self {
            Self::Ints(bytes) | Self::Longs(bytes) | Self::Doubles(bytes) => (None, std::mem::take(bytes)),
            Self::Texts { runs, known, all, bytes } => {
                known.clear();
                *bytes = 0;
                let all = std::mem::take(all);
                let mut dictionary = Vec::new();
                for text in &all {
                    dictionary.extend((text.len() as u32).to_le_bytes());
                    dictionary.extend_from_slice(text.as_bytes());
                }
                (Some((dictionary, all.len())), encoded(&std::mem::take(runs), all.len()))
            }
        }
    }
}

/// Runs as "RLE": the width of a number in bits, then each run's length, doubled, and its number in whole bytes.
fn encoded(runs: &[(u32, u32)], texts: usize) -> Vec<u8> {
    let width = usize::BITS - texts.saturating_sub(1).leading_zeros();
    let mut bytes = vec![width as u8];
    for (times, number) in runs {
        let mut head = u64::from(*times) << 1;
        while head >= 0x80 {
            bytes.push(head as u8 | 0x80);
            head >>= 7;
        }
        bytes.push(head as u8);
        bytes.extend(&number.to_le_bytes()[..width.div_ceil(8) as usize]);
    }
    bytes
}

/// A file being written.
pub(super) struct Table<'o> {
    out: &'o mut dyn Write,
    columns: Vec<Column>,
    /// Bytes written.
    offset: u64,
    rows_in_group: usize,
    rows: i64,
    groups: Vec<Struct>,
}

impl<'o> Table<'o> {
    pub(super) fn new(out: &'o mut dyn Write, columns: Vec<Column>) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { out, columns, offset: MAGIC.len() as u64, rows_in_group: 0, rows: 0, groups: Vec::new() })
    }

    /// The group that is being filled has as many rows, or as long texts, as are to be in memory.
    pub(super) fn is_full(&self) -> bool {
        let texts = |column: &Column| match column.values {
            Values::Texts { bytes, .. } => bytes,
            _ => 0,
        };
        self.rows_in_group >= GROUP_ROWS || self.columns.iter().map(texts).sum::<usize>() >= GROUP_TEXTS
    }

    /// Adds a row: `fill` gives each column its value.
    pub(super) fn push(&mut self, fill: impl FnOnce(&mut [Column])) {
        fill(&mut self.columns);
        self.rows_in_group += 1;
    }

    /// Writes the group that was filled.
    pub(super) fn write_group(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows_in_group);
        let mut columns = std::mem::take(&mut self.columns);
        let mut chunks = Vec::new();
        let mut total = 0;
        for column in &mut columns {
            let (chunk, bytes) = self.write_chunk(column, rows)?;
            chunks.push(chunk);
            total += bytes;
        }
        self.columns = columns;
        self.rows += rows as i64;
        let group = Struct::default().structs(1, chunks.into_iter()).i64(2, total).i64(3, rows as i64);
        self.groups.push(group);
        Ok(())
    }

    /// A column of the group, and how many bytes it is unpacked.
    fn write_chunk(&mut self, column: &mut Column, rows: usize) -> io::Result<(Struct, i64)> {
        let (kind, start) = (column.values.kind(), self.offset);
        let (dictionary, data) = column.values.take();
        let mut unpacked = 0;
        let encoding = match dictionary {
            Some(_) => RLE_DICTIONARY,
            None => PLAIN,
        };
        let has_dictionary = dictionary.is_some();
        if let Some((texts, count)) = dictionary {
            let head = Struct::default().i32(1, count as i32).i32(2, PLAIN);
            unpacked += self.write_page(DICTIONARY_PAGE, (7, head), &texts)?;
        }
        let data_offset = self.offset;
        let head = Struct::default().i32(1, rows as i32).i32(2, encoding).i32(3, RLE).i32(4, RLE);
        unpacked += self.write_page(DATA_PAGE, (5, head), &data)?;
        let packed = (self.offset - start) as i64;
        let encodings: &[i32] = if has_dictionary { &[PLAIN, RLE, RLE_DICTIONARY] } else { &[PLAIN, RLE] };
        let mut about = Struct::default().i32(1, kind).i32s(2, encodings).texts(3, &[column.name]).i32(4, GZIP);
        about = about.i64(5, rows as i64).i64(6, unpacked).i64(7, packed).i64(9, data_offset as i64);
        if has_dictionary {
            about = about.i64(11, start as i64);
        }
        Ok((Struct::default().i64(2, start as i64).nested(3, about), unpacked))
    }

    /// Gives its size with its head, unpacked.
    fn write_page(&mut self, kind: i32, (field, about): (u8, Struct), content: &[u8]) -> io::Result<i64> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(content)?;
        let packed = packed.finish()?;
        let head = Struct::default().i32(1, kind).i32(2, content.len() as i32).i32(3, packed.len() as i32);
        let head = head.nested(field, about).finish();
        self.out.write_all(&head)?;
        self.out.write_all(&packed)?;
        self.offset += (head.len() + packed.len()) as u64;
        Ok((head.len() + content.len()) as i64)
    }

    /// Writes what is left and the end of the file, with these facts in it.
    pub(super) fn finish(mut self, facts: &[(&str, &str)]) -> io::Result<()> {
        if self.rows_in_group > 0 {
            self.write_group()?;
        }
        let root = Struct::default().text(4, "heaptide").i32(5, self.columns.len() as i32);
        let mut schema = vec![root];
        for column in &self.columns {
            let mut element = Struct::default().i32(1, column.values.kind()).i32(3, REQUIRED).text(4, column.name);
            if column.values.kind() == BYTE_ARRAY {
                element = element.i32(6, UTF8);
            }
            schema.push(element);
        }
        let facts = facts.iter().map(|(key, value)| Struct::default().text(1, key).text(2, value));
        let end = Struct::default().i32(1, 1).structs(2, schema.into_iter()).i64(3, self.rows);
        let end = end.structs(4, self.groups.into_iter()).structs(5, facts);
        let end = end.text(6, concat!("heaptide version ", env!("CARGO_PKG_VERSION"))).finish();
        self.out.write_all(&end)?;
        self.out.write_all(&(end.len() as u32).to_le_bytes())?;
        self.out.write_all(MAGIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_as_the_specification_has_them() {
        // One text needs no bits for its number; three need two, in a byte; 257 need nine, in two.
        assert_eq!(encoded(&[(100, 0)], 1), [0, 0xc8, 1]);
        assert_eq!(encoded(&[(3, 0), (1, 2)], 3), [2, 6, 0, 2, 2]);
        assert_eq!(encoded(&[(1, 256)], 257), [9, 2, 0, 1]);
    }
}
