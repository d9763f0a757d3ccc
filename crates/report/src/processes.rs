//! The processes of a run, for `stats`.

use crate::context::{Context, Style};
use crate::json::JsonAmount;
use crate::table::Table;
use crate::units::{count, size, visible};
use heaptide_analyze::Capture;
use heaptide_analyze::processes::{self, Process};
use heaptide_format::capture::definitions::{ImageDef, ImageOrigin};
use serde::Serialize;
use std::cmp::Reverse;
use std::io::{self, Write};

/// A chain of more processes than this is indented no further.
const MOST_INDENTED: usize = 16;

/// Writes a table, each process below the one that began it, further in. Of more than `limit` those with the highest
/// peaks of their own, and how many are left out. "of the peak" is what was live at the one instant at which all
/// processes together had the most.
///
/// # Errors
/// Those of writing.
pub fn write_text(context: &Context<'_>, limit: usize, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let all = processes::outline(context.capture);
    let mut table = Table::new(&["pid", "of the peak", "own peak", "at end", "allocated", "events", "program"]);
    for process in largest(&all, limit) {
        let program = visible(&command(context.capture, process.image));
        table.push([
            process.image.pid.to_string(),
            size(process.at_peak.bytes),
            size(process.totals.peak.bytes),
            size(process.totals.leaked.bytes),
            size(process.totals.allocated.bytes),
            count(process.totals.events),
            format!("{}{program}", "  ".repeat(process.depth.min(MOST_INDENTED))),
        ]);
    }
    table.write(style, out)?;
    match all.len().saturating_sub(limit) {
        0 => Ok(()),
        left_out => writeln!(out, "and {} more, whose own peaks are not higher", count(left_out as u64)),
    }
}

/// The `limit` ones with the highest peaks (of equal ones the earlier), in the order in which they come.
fn largest<'a>(all: &'a [Process<'a>], limit: usize) -> Vec<&'a Process<'a>> {
    let mut largest: Vec<usize> = (0..all.len()).collect();
    largest.sort_by_key(|index| Reverse(all[*index].totals.peak.bytes));
    largest.truncate(limit);
    largest.sort_unstable();
    largest.into_iter().map(|index| &all[index]).collect()
}

fn command(capture: &Capture, image: &ImageDef) -> String {
    let arguments: Vec<&str> = image.arguments.iter().map(|text| capture.names.text(*text)).collect();
    if arguments.is_empty() { capture.names.text(image.program).to_owned() } else { arguments.join(" ") }
}

/// A process in the JSON of `stats`; `docs/reports.md` says what the fields mean.
#[derive(Serialize)]
pub struct JsonProcess<'a> {
    pid: u32,
    parent_pid: Option<u32>,
    origin: &'static str,
    program: &'a str,
    arguments: Vec<&'a str>,
    python: Option<String>,
    started_ns: u64,
    ended_ns: Option<u64>,
    events: u64,
    at_peak: JsonAmount,
    peak: JsonAmount,
    peak_at_ns: u64,
    leaked: JsonAmount,
    allocated: JsonAmount,
}

/// All processes, in the order of the table.
pub fn list<'a>(context: &Context<'a>) -> Vec<JsonProcess<'a>> {
    let names = &context.capture.names;
    processes::outline(context.capture)
        .into_iter()
        .map(|Process { image, totals, at_peak, .. }| JsonProcess {
            pid: image.pid,
            parent_pid: image.parent.and_then(|parent| names.image(parent)).map(|parent| parent.pid),
            origin: match image.origin {
                ImageOrigin::Exec => "exec",
                ImageOrigin::Fork => "fork",
            },
            program: names.text(image.program),
            arguments: image.arguments.iter().map(|text| names.text(*text)).collect(),
            python: (image.python != 0).then(|| format!("{}.{}", image.python >> 8, image.python & 0xFF)),
            started_ns: image.started.0,
            ended_ns: totals.ended.map(|ended| ended.0),
            events: totals.events,
            at_peak: at_peak.into(),
            peak: totals.peak.into(),
            peak_at_ns: totals.peak_at.0,
            leaked: totals.leaked.into(),
            allocated: totals.allocated.into(),
        })
        .collect()
}
