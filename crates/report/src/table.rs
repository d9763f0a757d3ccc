//! Columns of text: figures right-aligned, the name last and as long as it is, so that nothing is cut off.

use crate::context::Style;
use std::io::{self, Write};

/// Most characters that cells are aligned to. A damaged capture can have a name of any length, which would push all others
/// out of sight, and Rust pads to 65 535 at most.
const MOST_WIDTH: usize = 200;

/// A table whose last column is text and whose others are figures.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// Appends a row, one cell for each heading.
    pub fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there is no row but the headings.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// Writes it, two spaces between columns.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, style: Style, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(MOST_WIDTH);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, width) in row[..columns - 1].iter().zip(&widths) {
                line.push_str(&format!("{cell:>width$}  "));
            }
            line.push_str(&row[columns - 1]);
            let line = line.trim_end();
            if index == 0 { writeln!(out, "{}", style.dim(line))? } else { writeln!(out, "{line}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_aligned_right() {
        let mut table = Table::new(&["own", "function"]);
        table.push(["1.5 KiB".to_owned(), "main".to_owned()]);
        table.push(["7 B".to_owned(), "a long name".to_owned()]);
        let mut out = Vec::new();
        table.write(Style::default(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "    own  function\n1.5 KiB  main\n    7 B  a long name\n");
    }

    /// Found by fuzzing: a name of 65 536 characters, which is no width.
    #[test]
    fn a_cell_can_be_of_any_length() {
        let mut table = Table::new(&["allocator", "path"]);
        table.push(["x".repeat(70_000), "first".to_owned()]);
        table.push(["y".to_owned(), "second".to_owned()]);
        let mut out = Vec::new();
        table.write(Style::default(), &mut out).unwrap();
        // Three lines, of which only one is long.
        assert_eq!(out.len(), (200 + 2 + 4 + 1) + (70_000 + 2 + 5 + 1) + (200 + 2 + 6 + 1));
    }
}
