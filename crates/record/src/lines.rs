//! The position of a Python instruction, from the line table that its code object carries.
//!
//! CPython has had three encodings: `co_lnotab` (to 3.9), the `co_linetable` of PEP 626 (3.10), and the location table
//! of 3.11 and later. Whatever the bytes are, the answer is a position; damaged tables give wrong ones, not panics.
//!
//! The collector asks once for each place that allocates. A capture then holds lines instead of tables, which made up
//! three quarters of the small ones.

/// A line table and what is needed to read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LineTable {
    /// Interpreter version, `major << 8 | minor`.
    pub python: u16,
    /// `co_firstlineno`.
    pub first_line: u32,
    /// `co_linetable`, or `co_lnotab` before 3.10.
    pub bytes: Vec<u8>,
}

/// Where an instruction stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column of the expression's start, in bytes of UTF-8 from 1; 0 if the table has none (before 3.11, or left out).
    pub column: u32,
}

impl LineTable {
    /// The position of this instruction: in code units from the first, in bytes up to Python 3.9. Negative: the frame
    /// had not begun, which is its first line. For instructions that the compiler gave no line, that of the code
    /// before them.
    pub fn position(&self, instruction: i32) -> Position {
        let Ok(instruction) = u64::try_from(instruction) else { return Position { line: self.first_line, column: 0 } };
        let first = i64::from(self.first_line);
        let (line, column) = match self.python {
            ..0x30A => (byte_offsets(&self.bytes, first, instruction), 0),
            0x30A => (ranges(&self.bytes, first, instruction * 2), 0),
            _ => locations(&self.bytes, first, instruction),
        };
        Position { line: u32::try_from(line).unwrap_or(self.first_line), column }
    }
}

/// `co_lnotab`: pairs of (bytes of code, lines), the lines signed. An entry holds from its offset on.
fn byte_offsets(table: &[u8], first: i64, offset: u64) -> i64 {
    let (mut line, mut at) = (first, 0);
    for &[bytes, lines] in table.as_chunks().0 {
        at += u64::from(bytes);
        if at > offset {
            break;
        }
        line += i64::from(lines as i8);
    }
    line
}

/// PEP 626: pairs of (bytes of code, lines), the lines signed, -128 for code without a line. An entry holds for the
/// bytes it counts.
fn ranges(table: &[u8], first: i64, offset: u64) -> i64 {
    let (mut line, mut end) = (first, 0);
    for &[bytes, lines] in table.as_chunks().0 {
        end += u64::from(bytes);
        if lines as i8 != -128 {
            line += i64::from(lines as i8);
        }
        if end > offset {
            break;
        }
    }
    line
}

/// Entries of one byte `1cccclll`, where the code units are `lll + 1`, and further bytes (top bit clear) by `cccc`.
/// See `Objects/locations.md` (`InternalDocs/code_objects.md`) of CPython.
fn locations(table: &[u8], first: i64, instruction: u64) -> (i64, u32) {
    let (mut line, mut column, mut end) = (first, 0, 0);
    let mut rest = table;
    while let Some((&head, tail)) = rest.split_first() {
        let further = tail.iter().take_while(|byte| **byte < 0x80).count();
        let (mut detail, next) = tail.split_at(further);
        rest = next;
        end += u64::from(head & 7) + 1;
        let code = head >> 3 & 15;
        let byte = |at: usize| u32::from(detail.get(at).copied().unwrap_or(0));
        column = match code {
            // The start in the code's number and the upper half of one byte.
            0..=9 => (u32::from(code) << 3 | byte(0) >> 4) + 1,
            // One line further by 0, 1 or 2; the start in one byte.
            10..=12 => {
                line += i64::from(code) - 10;
                byte(0) + 1
            }
            13 => {
                line += signed(varint(&mut detail));
                0
            }
            14 => {
                line += signed(varint(&mut detail));
                let _last_line = varint(&mut detail);
                // Counted from 1 in the table, 0 is none.
                u32::try_from(varint(&mut detail)).unwrap_or(0)
            }
            // Without a line: it is the line before that is shown.
            _ => column,
        };
        if end > instruction {
            break;
        }
    }
    (line, column)
}

/// Six bits a byte, the least first, bit 6 says that more follow.
fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0u64;
    for index in 0..6 {
        let Some((byte, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        value |= u64::from(byte & 63) << (6 * index);
        if byte & 64 == 0 {
            break;
        }
    }
    value
}

/// The lowest bit is the sign.
fn signed(value: u64) -> i64 {
    let size = (value >> 1) as i64;
    if value & 1 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(python: u16, bytes: Vec<u8>) -> LineTable {
        LineTable { python, first_line: 2, bytes }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// Checks the line at the start of each run, and just before the next.
    fn check(python: u16, hex: &str, runs: &[(i32, u32)]) {
        let table = table(python, bytes(hex));
        let line_of = |instruction: i32| table.position(instruction).line;
        assert_eq!(line_of(-1), 2, "not begun");
        for (index, (start, line)) in runs.iter().enumerate() {
            assert_eq!(line_of(*start), *line, "instruction {start}");
            let last = runs.get(index + 1).map_or(*start, |(next, _)| next - 1);
            assert_eq!(line_of(last), *line, "instruction {last}");
        }
    }

    // What the interpreters themselves say (`code.co_lines()`, `dis.findlinestarts`) of one function: an expression
    // over two lines, a loop with a subscript over several, 300 empty lines, try and finally.

    #[test]
    fn python_3_8_and_3_9() {
        check(
            0x308,
            "0002020102ff04020c010201020102fe020302fd087f007f00330201040102ff0a030401",
            &[(0, 4), (2, 5), (4, 4), (8, 6), (20, 7), (22, 8), (24, 9), (26, 7), (28, 10), (30, 7), (38, 312)],
        );
        check(
            0x309,
            "0002020102ff04020c010201020102fe020302fd087f007f00330201040102ff08030801",
            &[(30, 7), (38, 312), (40, 313), (44, 314), (46, 313), (54, 316), (62, 317)],
        );
    }

    #[test]
    fn python_3_10() {
        check(
            0x30A,
            "0202020104ff0c0202010201020102fe020308fd007f007f02330401020108ff0203040104ff",
            &[
                (0, 4),
                (1, 5),
                (2, 4),
                (4, 6),
                (10, 7),
                (11, 8),
                (12, 9),
                (13, 7),
                (14, 10),
                (15, 7),
                (19, 312),
                (20, 313),
                (22, 314),
                (23, 313),
                (27, 316),
                (28, 317),
                (30, 316),
            ],
        );
    }

    #[test]
    fn python_3_11() {
        check(
            0x30B,
            "8000e00d0ed80d0ef103010e0f8045e51116907191189418f00004050df00004050d8805d8080dd80c11d80c0df00503120af006000b\
             0cf40703120df10003090d88058805f0620904050edd10139543d80c11f103011513f400011513f100011114f4000111148805f006\
             000d0e8841f888418805880588058805d80b10804c",
            // The compiler gave instruction 68 no line.
            &[(0, 2), (1, 4), (2, 5), (3, 4), (6, 6), (23, 7), (24, 8), (25, 9), (26, 7), (27, 10), (28, 7), (37, 312)],
        );
    }

    #[test]
    fn python_3_12_and_3_13() {
        check(
            0x30C,
            "8000e00d0ed80d0ef103010e0f8045e4111690719318f20004050d8805d8080dd80c11d80c0df00503120af006000b0cf10703120df1\
             0003090d8905f00304050df0640904050edc10139443d80c11f303011513f3000111148805f006000d0ed80b10804cf8f103000d0efa",
            &[(25, 7), (31, 6), (32, 312), (33, 313), (43, 314), (44, 313), (53, 316), (54, 317), (57, 316)],
        );
        check(
            0x30D,
            "8000e00d0ed80d0ef103010e0f8045e41116907196188805d8080dd80c11d80c0df00503120af006000b0cf10703120df10003090d8a\
             05f10300121af0640904050edc10139443d80c11f303011513f3000111148805f006000d0ed80b10804cf8f103000d0efa",
            &[(25, 7), (32, 6), (34, 312), (35, 313), (45, 314), (46, 313), (55, 316), (56, 317), (59, 316)],
        );
    }

    #[test]
    fn python_3_14_and_3_15() {
        // Another function of the same kind, whose first two instructions have no line.
        let middle = "00f602020513f406000e1390318";
        let end = "588801e10e0ff300010f0ef00300090a8821f30001090cf103000e16f0600904050cd90809d80a0bf40301090df10600090a8\
                   e03f889018d03fa";
        check(
            0x30E,
            &format!("f980{middle}e{end}"),
            &[
                (0, 2),
                (3, 3),
                (10, 6),
                (24, 8),
                (30, 7),
                (36, 6),
                (38, 310),
                (39, 311),
                (41, 312),
                (42, 311),
                (47, 314),
            ],
        );
        let newest = format!("f981{middle}f{end}");
        check(
            0x30F,
            &newest,
            &[
                (0, 2),
                (4, 3),
                (11, 6),
                (26, 8),
                (32, 7),
                (38, 6),
                (40, 310),
                (41, 311),
                (43, 312),
                (44, 311),
                (49, 314),
            ],
        );
        // What `co_positions` says, from 0.
        let table = table(0x30F, bytes(&newest));
        assert_eq!(table.position(15), Position { line: 6, column: 14 });
        assert_eq!(table.position(16), Position { line: 6, column: 20 });
    }

    proptest! {
        #[test]
        fn no_table_makes_it_panic(bytes: Vec<u8>, python in 0x300u16..0x320, instruction: i32) {
            table(python, bytes).position(instruction);
        }
    }
}
