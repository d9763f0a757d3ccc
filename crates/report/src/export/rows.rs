//! Tables with a row for each stack, for spreadsheets, data frames and scripts: CSV ([`write_csv`]) as RFC 4180 has it, and
//! JSON lines ([`write_jsonl`]).
//!
//! The columns are described in `docs/guide/exports.md`. Nothing of a profile is lost but the tree itself: which stacks
//! have callers in common is told by their texts alone. Names are as they were recorded, not made harmless for a terminal.

use super::{Export, NO_STACK};
use crate::folded::Labels;
use heaptide_analyze::frames::{Frame, FrameKind};
use heaptide_analyze::packages::owners;
use heaptide_analyze::profile::Metric;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::sync::Arc;

/// Columns that say which stack it is, before those of the metrics and the stack itself.
const PLACE_COLUMNS: [&str; 9] =
    ["function", "file", "line", "kind", "package", "site_function", "site_file", "site_line", "depth"];

/// The names of a metric's two columns.
fn columns(metric: Metric) -> [&'static str; 2] {
    match metric {
        Metric::Peak => ["peak_bytes", "peak_blocks"],
        Metric::Leaked => ["leaked_bytes", "leaked_blocks"],
        Metric::Allocated => ["allocated_bytes", "allocations"],
        Metric::Temporary => ["temporary_bytes", "temporary_allocations"],
        Metric::ByteSeconds => ["byte_seconds", "block_seconds"],
    }
}

/// Those of a profile; of an instant, whose amounts are kept as its peak, they are called `live`.
pub(crate) fn metric_columns(export: Export<'_>) -> Vec<(Metric, [&'static str; 2])> {
    let is_instant = matches!(export.profile.span, heaptide_analyze::instants::Span::At(_));
    let columns =
        |metric: &Metric| (*metric, if is_instant { ["live_bytes", "live_blocks"] } else { columns(*metric) });
    export.profile.metrics.iter().map(columns).collect()
}

/// What a row says of its stack, besides the amounts.
struct Places<'a> {
    export: Export<'a>,
    packages: Vec<Arc<str>>,
    sites: Vec<heaptide_analyze::call_tree::NodeId>,
    depths: Vec<u32>,
}

struct Place<'a> {
    /// The innermost frame and its package.
    frame: &'a Frame,
    package: &'a str,
    site: &'a Frame,
    depth: u32,
}

impl<'a> Places<'a> {
    fn of(export: Export<'a>) -> Self {
        let packages = owners(&export.profile.frames).into_iter().map(|owner| owner.package).collect();
        let mut depths: Vec<u32> = Vec::new();
        for node in export.profile.tree.nodes() {
            depths.push(node.parent.map_or(1, |parent| depths[parent.index()] + 1));
        }
        Self { export, packages, sites: export.profile.sites(), depths }
    }

    fn of_stack(&self, node: heaptide_analyze::call_tree::NodeId) -> Place<'_> {
        let profile = self.export.profile;
        Place {
            frame: profile.frame(node),
            package: &self.packages[profile.tree.nodes()[node.index()].frame as usize],
            site: profile.frame(self.sites[node.index()]),
            depth: self.depths[node.index()],
        }
    }
}

/// Writes CSV: a line with the names of the columns, then one for each stack. Lines end as the RFC wants it, with CR LF; a
/// field is quoted if it must be. What is not known is empty.
///
/// # Errors
/// Those of writing.
pub fn write_csv(export: Export<'_>, out: &mut dyn Write) -> io::Result<()> {
    let places = Places::of(export);
    let metrics = metric_columns(export);
    let amounts = metrics.iter().flat_map(|(_, names)| names);
    let header: Vec<&str> = PLACE_COLUMNS.iter().chain(amounts).chain(&["stack"]).copied().collect();
    write!(out, "{}\r\n", header.join(","))?;
    let labels = Labels::of(&export.profile.frames);
    let mut frames: Vec<u32> = Vec::new();
    for (stack, own) in export.stacks(&export.profile.metrics) {
        match stack.map(|node| places.of_stack(node)) {
            Some(Place { frame, package, site, depth }) => {
                for text in [&*frame.function, &*frame.file, &line(frame.line), frame.kind.name(), package] {
                    write_field(text, out)?;
                }
                for text in [&*site.function, &*site.file, &line(site.line)] {
                    write_field(text, out)?;
                }
                write!(out, "{depth}")?;
            }
            None => write!(out, "{NO_STACK},,,{},,,,,0", FrameKind::Unknown.name())?,
        }
        for amount in metrics.iter().map(|(metric, _)| own.of(*metric)) {
            write!(out, ",{},{}", amount.bytes, amount.count)?;
        }
        frames.clear();
        frames.extend(stack.into_iter().flat_map(|node| export.profile.tree.path(node)));
        let texts: Vec<_> = frames.iter().rev().map(|frame| labels.get(*frame)).collect();
        let text = if stack.is_none() { NO_STACK.to_owned() } else { texts.join(";") };
        write!(out, ",{}\r\n", quoted(&text))?;
    }
    Ok(())
}

/// A line number, empty if it is not known.
fn line(number: u32) -> String {
    if number > 0 { number.to_string() } else { String::new() }
}

fn write_field(text: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{},", quoted(text))
}

/// A field as it stands in a file.
fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")).into(),
        false => text.into(),
    }
}

/// Writes JSON lines: an object for each stack, with the columns of the CSV as keys. What is not known is null; `stack` is
/// a list of frames, outermost first.
///
/// # Errors
/// Those of writing.
pub fn write_jsonl(export: Export<'_>, out: &mut dyn Write) -> io::Result<()> {
    let places = Places::of(export);
    let metrics = metric_columns(export);
    let number = |line: u32| if line > 0 { Value::from(line) } else { Value::Null };
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    for (stack, own) in export.stacks(&export.profile.metrics) {
        let values: [Value; 9] = match stack.map(|node| places.of_stack(node)) {
            Some(Place { frame, package, site, depth }) => [
                text(&frame.function),
                text(&frame.file),
                number(frame.line),
                frame.kind.name().into(),
                text(package),
                text(&site.function),
                text(&site.file),
                number(site.line),
                depth.into(),
            ],
            None => {
                let mut values: [Value; 9] = Default::default();
                values[0] = NO_STACK.into();
                values[3] = FrameKind::Unknown.name().into();
                values[8] = 0.into();
                values
            }
        };
        let mut row: Map<String, Value> = PLACE_COLUMNS.into_iter().map(str::to_owned).zip(values).collect();
        for (metric, [bytes, count]) in &metrics {
            let amount = own.of(*metric);
            row.insert((*bytes).to_owned(), amount.bytes.into());
            row.insert((*count).to_owned(), amount.count.into());
        }
        let mut frames: Vec<Value> = Vec::new();
        for frame in stack.into_iter().flat_map(|node| export.profile.path(node)) {
            frames.push(json!({ "function": &*frame.function, "file": text(&frame.file), "line": number(frame.line) }));
        }
        frames.reverse();
        row.insert("stack".to_owned(), frames.into());
        serde_json::to_writer(&mut *out, &row)?;
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_if_they_must_be() {
        assert_eq!(quoted("<lambda>"), "<lambda>");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"hi\"\n"), "\"say \"\"hi\"\"\n\"");
    }
}
