//! Speedscope's own file format: a "sampled" profile for each metric, weighed in bytes.
//!
//! <https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources>, with the schema at
//! <https://www.speedscope.app/file-format-schema.json>
//!
//! | Speedscope | heaptide |
//! |---|---|
//! | `profiles` | one for each metric, those without any bytes left out; `activeProfileIndex` is the one that was asked for |
//! | `samples`, `weights` | the stacks that have bytes in that metric, outermost frame first, and their bytes; in the order of the tree, which is no order in time |
//! | `unit` | `bytes`; `none` for byte-seconds, which it has no word for |
//! | `frames` | function, file, line |
//!
//! Lost: numbers of blocks, threads, the timeline, objects, the kind of a frame and its package.

use super::{Export, NO_STACK, function};
use crate::context::title_within;
use crate::units::visible;
use heaptide_analyze::profile::Metric;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Writes it.
///
/// # Errors
/// Those of writing.
pub fn write(export: Export<'_>, out: &mut dyn Write) -> io::Result<()> {
    let profile = export.profile;
    let mut shown: Vec<Metric> = profile.metrics.clone();
    shown.retain(|metric| *metric == export.metric || profile.total.of(*metric).bytes > 0);
    let active = shown.iter().position(|metric| *metric == export.metric).unwrap_or(0);
    let name = format!("{} ({})", export.context.command(), visible(export.context.file));
    write!(out, "{{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"name\":{}", json!(name))?;
    write!(out, ",\"exporter\":{}", json!(format!("heaptide {}", env!("CARGO_PKG_VERSION"))))?;
    write!(out, ",\"activeProfileIndex\":{active},\"shared\":{{\"frames\":[")?;
    for frame in &profile.frames {
        let mut fields = Map::from_iter([("name".to_owned(), Value::from(function(frame)))]);
        if !frame.file.is_empty() {
            fields.insert("file".to_owned(), visible(&frame.file).into());
        }
        if frame.line > 0 {
            fields.insert("line".to_owned(), frame.line.into());
        }
        write!(out, "{},", Value::Object(fields))?;
    }
    write!(out, "{}]}},\"profiles\":[", json!({ "name": NO_STACK }))?;
    for (index, metric) in shown.iter().enumerate() {
        if index > 0 {
            write!(out, ",")?;
        }
        write_metric(export, *metric, out)?;
    }
    writeln!(out, "]}}")
}

fn write_metric(export: Export<'_>, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    let mut stacks: Vec<_> = export.stacks(&[metric]).collect();
    stacks.retain(|(_, own)| own.of(metric).bytes > 0);
    let total: u64 = stacks.iter().fold(0, |sum, (_, own)| sum.saturating_add(own.of(metric).bytes));
    let unit = if metric == Metric::ByteSeconds { "none" } else { "bytes" };
    let name = title_within(export.profile, metric, export.within);
    write!(out, "{{\"type\":\"sampled\",\"name\":{},\"unit\":\"{unit}\"", json!(name))?;
    write!(out, ",\"startValue\":0,\"endValue\":{total},\"samples\":[")?;
    let mut frames: Vec<u32> = Vec::new();
    for (index, (stack, _)) in stacks.iter().enumerate() {
        frames.clear();
        frames.extend(export.frames(*stack));
        write!(out, "{}[", if index > 0 { "," } else { "" })?;
        for (index, frame) in frames.iter().rev().enumerate() {
            write!(out, "{}{frame}", if index > 0 { "," } else { "" })?;
        }
        write!(out, "]")?;
    }
    write!(out, "],\"weights\":[")?;
    for (index, (_, own)) in stacks.iter().enumerate() {
        write!(out, "{}{}", if index > 0 { "," } else { "" }, own.of(metric).bytes)?;
    }
    write!(out, "]}}")
}
