//! heaptrack: the interpreted data file that `heaptrack_print` and `heaptrack_gui` read, packed by gzip.
//!
//! There is no specification; the reader is `src/analyze/accumulatedtracedata.cpp` of <https://github.com/KDE/heaptrack>.
//! File version 2 is written, which every heaptrack since 1.0 reads. Numbers are hexadecimal, indices count from 1.
//!
//! | line | is | heaptide |
//! |---|---|---|
//! | `v` | versions of heaptrack and of the format | 1.0, 2 |
//! | `X` | the command | the same |
//! | `I` | page size, pages of memory | 4096; memory is not known |
//! | `s` | a string | functions, files, objects |
//! | `i` | a place in the code: address, module, function, file, line | a frame; addresses are not kept, its number stands there. The module of native code is its object, of Python its package |
//! | `t` | a node of the tree of stacks | the same |
//! | `a` | a size and a stack | the same |
//! | `+`, `-` | one of these comes, or goes | each event; a reallocation is both, a part of a mapping that is given back is a `-` of its own size |
//! | `c` | milliseconds since the start | the collector's clock |
//! | `R` | resident pages | the timeline's RSS |
//!
//! Every event is written, as heaptrack itself does: the file is as large as its own would be. So that its totals are
//! ours, what leaked (see `docs/reports.md`) stays live though Python tears it down; what a process left goes when it is gone
//! and another one allocates. heaptrack's "temporary" is `--temporary=0` of heaptide without a release
//! between, of all threads together.
//!
//! Lost: threads and processes (`--pid` exports one), marks.

use super::{Export, ExportError, NO_STACK, function};
use crate::units::{size, visible};
use flate2::Compression;
use flate2::write::GzEncoder;
use heaptide_analyze::instants::Span;
use heaptide_analyze::packages::owners;
use heaptide_analyze::profile::Metric;
use heaptide_analyze::reader::Progress;
use heaptide_analyze::steps::{Owner, Step, steps};
use heaptide_format::capture::summary::Sample;
use heaptide_format::ids::{ImageIndex, Nanos};
use std::collections::HashMap;
use std::io::{self, Write};

const PAGE: u64 = 4096;

/// Writes it; `progress` is told of the replay. Gives what the reader has to know, a sentence each.
///
/// # Errors
/// Those of writing and of the replay, which a capture without events does not allow.
pub fn write(
    export: Export<'_>,
    progress: &mut dyn FnMut(Progress),
    out: &mut dyn Write,
) -> Result<Vec<String>, ExportError> {
    let (context, profile) = (export.context, export.profile);
    let mut lines = Lines::new(out, &context.capture.timeline);
    write_places(export, &mut lines);
    let is_instant = matches!(profile.span, Span::At(_));
    // The tree's nodes, and behind them what has no frame.
    let none = profile.tree.nodes().len() as u32 + 1;
    let trace = |owner: Owner| owner.node.map_or(none, |node| node.0 + 1);
    let mut leaked = Leaked::default();
    let damage = steps(context.capture, profile, context.pid, progress, |step| match step {
        Step::Clock(now) => lines.clock(now),
        Step::WasThere(owner, bytes) | Step::Came(owner, bytes) => {
            leaked.release_of_ended(&mut lines);
            lines.came(trace(owner), bytes);
        }
        Step::Left(..) if is_instant => {}
        Step::Went(owner, released) | Step::Left(owner, released) => {
            let bytes = released.amount.bytes;
            match released.leaked {
                true => leaked.keep(owner.image, trace(owner), bytes),
                false => lines.went(trace(owner), bytes),
            }
        }
        Step::Ended(image) => leaked.ended.push(image),
    })?;
    let (peak, live) = lines.finish()?;
    let mut notes: Vec<String> = damage.map(|error| format!("events are missing: {error}")).into_iter().collect();
    let mut compare = |what, theirs: u64, metric, why| {
        let ours = profile.total.of(metric).bytes;
        if theirs != ours {
            notes.push(format!("{what} will be {} in heaptrack, not {}: {why}", size(theirs), size(ours)));
        }
    };
    compare("the peak", peak, Metric::Peak, "what leaked is still live there while interpreters finalize");
    if !is_instant {
        compare("leaked", live, Metric::Leaked, "what programs left before another one allocated is not in it");
    }
    Ok(notes)
}

/// What leaked is live in the file after it was released, up to the next allocation after its process is gone.
#[derive(Default)]
struct Leaked {
    /// Of each process, by trace and size.
    released: HashMap<ImageIndex, HashMap<(u32, u64), u64>>,
    /// Processes that are gone, but what they leaked is not.
    ended: Vec<ImageIndex>,
}

impl Leaked {
    fn keep(&mut self, image: ImageIndex, trace: u32, bytes: u64) {
        *self.released.entry(image).or_default().entry((trace, bytes)).or_default() += 1;
    }

    fn release_of_ended(&mut self, lines: &mut Lines<'_>) {
        for image in self.ended.drain(..) {
            let mut blocks: Vec<_> = self.released.remove(&image).unwrap_or_default().into_iter().collect();
            // The same file each time.
            blocks.sort_unstable();
            for ((trace, bytes), count) in blocks {
                (0..count).for_each(|_| lines.went(trace, bytes));
            }
        }
    }
}

/// Strings, frames and stacks. A trace has the number of its node, counted from 1.
fn write_places(export: Export<'_>, lines: &mut Lines<'_>) {
    let profile = export.profile;
    lines.line(format_args!("v 10000 2"));
    lines.line(format_args!("X {}", export.context.command()));
    lines.line(format_args!("I {PAGE:x} 0"));
    let mut strings: HashMap<String, usize> = HashMap::new();
    for ((frame, owner), number) in profile.frames.iter().zip(owners(&profile.frames)).zip(1..) {
        let mut string = |text: String| {
            if text.is_empty() {
                return 0;
            }
            let next = strings.len() + 1;
            *strings.entry(text).or_insert_with_key(|text| {
                lines.line(format_args!("s {text}"));
                next
            })
        };
        let module = match frame.object.is_empty() {
            true => string(visible(&owner.package)),
            false => string(visible(&frame.object)),
        };
        let name = string(function(frame));
        // Of native code without source its object stands there, which is the module.
        let file = if frame.file == frame.object { 0 } else { string(visible(&frame.file)) };
        let place = format!("i {number:x} {module:x} {name:x} {file:x} {:x}", frame.line);
        lines.line(format_args!("{place}"));
    }
    lines.line(format_args!("s {NO_STACK}"));
    let number = profile.frames.len() + 1;
    lines.line(format_args!("i {number:x} 0 {:x} 0 0", strings.len() + 1));
    for node in profile.tree.nodes() {
        let parent = node.parent.map_or(0, |parent| parent.0 + 1);
        lines.line(format_args!("t {:x} {parent:x}", node.frame + 1));
    }
    lines.line(format_args!("t {number:x} 0"));
}

/// The file, line by line. The first error ends the writing and is kept.
struct Lines<'o> {
    out: GzEncoder<&'o mut dyn Write>,
    buffer: Vec<u8>,
    error: Option<io::Error>,
    /// Trace and size to the number of their `a` line.
    sizes: HashMap<(u32, u64), u32>,
    /// The last `c` line; `None`: there was none.
    millis: Option<u64>,
    timeline: &'o [Sample],
    live: u64,
    peak: u64,
}

impl<'o> Lines<'o> {
    fn new(out: &'o mut dyn Write, timeline: &'o [Sample]) -> Self {
        let out = GzEncoder::new(out, Compression::default());
        let (buffer, error, sizes) = (Vec::new(), None, HashMap::new());
        Self { out, buffer, error, sizes, millis: None, timeline, live: 0, peak: 0 }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        if self.error.is_some() {
            return;
        }
        let written = writeln!(self.buffer, "{line}").and_then(|()| match self.buffer.len() {
            0..0x1_0000 => Ok(()),
            _ => self.out.write_all(&std::mem::take(&mut self.buffer)),
        });
        self.error = written.err();
    }

    fn clock(&mut self, now: Nanos) {
        while let [sample, later @ ..] = self.timeline
            && sample.time <= now
        {
            self.timeline = later;
            self.time(sample.time);
            if sample.rss > 0 {
                self.line(format_args!("R {:x}", sample.rss / PAGE));
            }
        }
        self.time(now);
    }

    fn time(&mut self, now: Nanos) {
        let millis = now.0 / 1_000_000;
        if self.millis.is_none_or(|before| before < millis) {
            self.millis = Some(millis);
            self.line(format_args!("c {millis:x}"));
        }
    }

    fn number(&mut self, trace: u32, bytes: u64) -> u32 {
        let next = self.sizes.len() as u32;
        let number = *self.sizes.entry((trace, bytes)).or_insert(next);
        if number == next {
            self.line(format_args!("a {bytes:x} {trace:x}"));
        }
        number
    }

    fn came(&mut self, trace: u32, bytes: u64) {
        let number = self.number(trace, bytes);
        self.line(format_args!("+ {number:x}"));
        self.live = self.live.saturating_add(bytes);
        self.peak = self.peak.max(self.live);
    }

    fn went(&mut self, trace: u32, bytes: u64) {
        let number = self.number(trace, bytes);
        self.line(format_args!("- {number:x}"));
        self.live = self.live.saturating_sub(bytes);
    }

    /// Gives the most live bytes that the file tells of, and those at its end.
    fn finish(mut self) -> io::Result<(u64, u64)> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.out.write_all(&self.buffer)?;
        self.out.finish()?.flush()?;
        Ok((self.peak, self.live))
    }
}
