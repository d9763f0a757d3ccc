//! A difference by line, function, file, module or package.

use super::{Diff, Sides};
use crate::frames::{Frame, FrameKind};
use crate::profile::Metric;
use crate::sites::{By, first_of_its_group, groups};
use heaptide_format::capture::summary::Amount;
use std::sync::Arc;

/// What changed of a package, module, file, function or line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name of the package, module, file or function; of a line that of its function.
    pub name: Arc<str>,
    /// Its file or object, as the side after has it; empty for a package and a module, which may have several.
    pub file: Arc<str>,
    /// Its line, of the side after if that has it; 0 for all but lines, and if it is not known.
    pub line: u32,
    /// What stands in that line, if it is known.
    pub source: Option<Arc<str>>,
    /// Whose code it is. Of a package with more than one kind that of the frame which was met first.
    pub kind: FrameKind,
    /// Asked for by itself: the innermost frame is of it.
    pub own: Sides,
    /// Asked for by itself and by what it called, each block once however many frames of its stack are of it.
    pub total: Sides,
}

impl Diff {
    /// Everything of which own or total amounts changed in this metric, the largest change of own bytes first. For lines
    /// the difference must be one [with lines](super::Detail::Line).
    pub fn rows(&self, metric: Metric, by: By) -> Vec<Row> {
        let (group_of, groups) = groups(&self.frames, by);
        let mut rows: Vec<Row> = match by {
            // Lines of the two sides can have one number and be two.
            By::Line => self.frames.iter().map(Row::of_line).collect(),
            _ => groups.iter().map(|group| Row { kind: group.kind, ..Row::named(&group.name, &group.file) }).collect(),
        };
        let group_of = match by {
            By::Line => (0..rows.len()).collect(),
            _ => group_of,
        };
        let first = first_of_its_group(&self.tree, &group_of, rows.len());
        for is_before in [true, false] {
            let side = |sides: &'_ mut Sides, amount: Amount| match is_before {
                true => sides.before += amount,
                false => sides.after += amount,
            };
            let own = if is_before { &self.before } else { &self.after };
            let own: Vec<Amount> = own.iter().map(|amounts| amounts.of(metric)).collect();
            let totals = self.tree.totals(&own);
            for (index, node) in self.tree.nodes().iter().enumerate() {
                let row = &mut rows[group_of[node.frame as usize]];
                side(&mut row.own, own[index]);
                if first[index] {
                    side(&mut row.total, totals[index]);
                }
            }
        }
        rows.retain(|row| !row.own.is_same() || !row.total.is_same());
        rows.sort_by(|a, b| {
            let key = |row: &Row| {
                let sizes =
                    [row.own.growth(), row.total.growth()].map(|growth| std::cmp::Reverse(growth.unsigned_abs()));
                (sizes, row.name.clone(), row.file.clone(), row.line)
            };
            key(a).cmp(&key(b))
        });
        rows
    }
}

impl Row {
    fn named(name: &Arc<str>, file: &Arc<str>) -> Self {
        Self {
            name: name.clone(),
            file: file.clone(),
            line: 0,
            source: None,
            kind: FrameKind::Unknown,
            own: Sides::default(),
            total: Sides::default(),
        }
    }

    fn of_line(frame: &Frame) -> Self {
        let (line, source, kind) = (frame.line, frame.source.clone(), frame.kind);
        Self { line, source, kind, ..Self::named(&frame.function, &frame.file) }
    }
}
