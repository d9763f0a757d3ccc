//! Marks in words: the section of `stats`.

use crate::context::Style;
use crate::table::Table;
use crate::units::{count, size, visible};
use heaptide_analyze::Capture;
use heaptide_format::capture::{Mark, MarkOrigin};
use serde::Serialize;
use std::io::{self, Write};

/// Most marks that the text lists: a program may set them in a loop. JSON lists all.
const MOST_LISTED: usize = 100;

/// Writes the marks of a capture, if it has any, in the order in which they were set.
///
/// # Errors
/// Those of writing.
pub fn write_text(capture: &Capture, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if capture.marks.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", style.bold("Marks"))?;
    let mut table = Table::new(&["time", "event", "live", "RSS", "pid", "mark"]);
    for mark in capture.marks.iter().take(MOST_LISTED) {
        let rss = if mark.rss > 0 { size(mark.rss) } else { "-".into() };
        let pid = pid(capture, mark).map_or("-".into(), |pid| pid.to_string());
        let time = format!("{:.3} s", mark.time.seconds());
        table.push([time, count(mark.event), size(mark.live), rss, pid, visible(&mark.name)]);
    }
    table.write(style, out)?;
    match capture.marks.len().checked_sub(MOST_LISTED) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(out, "and {} more", count(more as u64)),
    }
}

/// The process that a mark was set by or for.
fn pid(capture: &Capture, mark: &Mark) -> Option<u32> {
    // Of a recording that was cut the image's definition may be missing.
    Some(capture.names.image(mark.image?)?.pid)
}

/// A mark.
#[derive(Serialize)]
pub struct JsonMark<'a> {
    name: &'a str,
    origin: &'static str,
    /// `null`: the run as a whole.
    pid: Option<u32>,
    time_ns: u64,
    event: u64,
    live_bytes: u64,
    /// `null` if it was not measured.
    rss_bytes: Option<u64>,
}

/// All marks of a capture, in the order in which they were set.
pub fn list<'a>(capture: &'a Capture) -> Vec<JsonMark<'a>> {
    let json = |mark: &'a Mark| JsonMark {
        name: &mark.name,
        origin: match mark.origin {
            MarkOrigin::Program => "program",
            MarkOrigin::Outside => "outside",
            MarkOrigin::Alert => "alert",
        },
        pid: pid(capture, mark),
        time_ns: mark.time.0,
        event: mark.event,
        live_bytes: mark.live,
        rss_bytes: (mark.rss > 0).then_some(mark.rss),
    };
    capture.marks.iter().map(json).collect()
}
