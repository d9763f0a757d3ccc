//! What the fuzz targets share: bytes → a capture → every report, into nothing. What each target feeds in, and what it
//! asks of the answer beyond that there is one, is in the modules.

pub mod events;
pub mod file;
pub mod names;
pub mod replay;
pub mod words;

/// Captures made up event by event, as in the tests.
#[path = "../../crates/analyze/tests/support/recording.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod recording;

use heaptide_analyze::course::{Course, Division};
use heaptide_analyze::diff::Diff;
use heaptide_analyze::instants::{Position, Span};
use heaptide_analyze::leaks::{Judging, Leaks};
use heaptide_analyze::profile::{Metric, Options, Profile};
use heaptide_analyze::records::walk;
use heaptide_analyze::sites::By;
use heaptide_analyze::source::Source;
use heaptide_analyze::strip::{self, Key, Names, Paths};
use heaptide_analyze::suppressions::Suppressions;
use heaptide_analyze::symbolize::Symbolized;
use heaptide_analyze::symbols::{self, Request, Settings};
use heaptide_analyze::{Capture, CaptureError};
use heaptide_analyze::{lifetimes, peaks};
use heaptide_format::capture::block::{self, BlockKind};
use heaptide_format::capture::summary::IndexEntry;
use heaptide_format::capture::{Footer, decode_meta, encode_meta, header};
use heaptide_format::ids::Nanos;
use heaptide_report::export::{
    Export, ExportError, dhat, firefox, gprof2dot, heaptrack, parquet, pprof, rows, speedscope,
};
use heaptide_report::parse::Printer;
use heaptide_report::{Context, Style, diff, folded, html, leaks, page, stats, summary, svg, tree, types};
use heaptide_report::{lifetimes as report, peak};
use std::io::{self, Write};

/// A disk that is full after 4 MiB. What a format needs in length (`folded` writes each stack whole) is no fault, and
/// a report that stops when it cannot write on is what a full disk asks for.
struct SmallDisk(usize);

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(report: impl FnOnce(&mut SmallDisk) -> io::Result<()>) {
    match report(&mut SmallDisk(4 << 20)) {
        Ok(()) => {}
        // An invalid page or an unreadable graph would be our own fault.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
        Err(error) => panic!("{error}"),
    }
}

/// As [`written`], for what may be refused because the events cannot be read.
fn exported<T>(export: impl FnOnce(&mut SmallDisk) -> Result<T, ExportError>) {
    written(|out| match export(out) {
        Err(ExportError::Io(error)) => Err(error),
        _ => Ok(()),
    });
}

/// Opens the capture as `heaptide` does and writes every report of it.
pub fn every_report(bytes: &[u8]) {
    let source = Source::from_bytes(bytes.to_vec());
    for as_json in [false, true] {
        written(|out| {
            let mut printer = Printer::new(out, as_json);
            match walk(&source, &mut |offset, record| printer.record(offset, record).map(|_| ()), &mut |_| {}) {
                Err(heaptide_analyze::records::Stop::Visitor(error)) => Err(error),
                _ => Ok(()),
            }
        });
    }
    let Ok(capture) = Capture::from_bytes(bytes.to_vec()) else { return };
    let first_pid = capture.names.images().first().map(|image| image.pid);
    for options in [
        Options::default(),
        Options { pid: first_pid, temporary_within: 0, ..Options::default() },
        Options { temporary_within: 5, ..Options::default() },
    ] {
        // An aggregated capture has no events to look for more in.
        let Ok(profile) = Profile::of(&capture, &options, &mut |_| {}) else { continue };
        reports_of(&capture, &profile, &options);
    }
    let strict = strip::Options { paths: Paths::Anonymize, names: Names::Anonymize, arguments: false, start: false };
    written(|out| match strip::strip(&source, strict, Key::new(b"fuzz"), out) {
        Err(CaptureError::Io(error)) => Err(error),
        // What only a report that does not look at all blocks can read is refused.
        _ => Ok(()),
    });
    written(|out| match Symbolized::of(&capture, &Settings::default()).write(out) {
        Err(CaptureError::Io(error)) => Err(error),
        other => Ok(other.expect("what was read before can be read again")),
    });
}

/// Asks an object with these bytes, without build id, for the names of places all over it.
pub fn every_name(bytes: &[u8]) {
    let path = std::env::temp_dir().join(format!("heaptide-fuzz-{}.so", std::process::id()));
    std::fs::write(&path, bytes).expect("a file for the object");
    let step = (bytes.len() / 64).max(1);
    let offsets = (0..bytes.len() as u64).step_by(step).collect();
    let path = path.to_string_lossy().into_owned();
    let request = Request { path, build_id: Vec::new(), ran_at: u64::MAX, offsets };
    symbols::resolve(vec![request], &Settings::default());
}

fn reports_of(capture: &Capture, profile: &Profile, options: &Options<'_>) {
    let context = Context::new("run.bin", capture, Some(profile), options.pid);
    let style = Style { colour: true };
    let within = options.temporary_within;
    for metric in Metric::ALL {
        written(|out| folded::write(profile, metric, options.pid.is_some(), out));
        for by in [By::Package, By::Module, By::File, By::Function, By::Line] {
            let (limit, by_total, filtered) = (Some(30), true, None);
            let table = summary::Options { metric, temporary_within: within, by, limit, by_total, filtered };
            written(|out| summary::write_text(&context, profile, &table, style, out));
            written(|out| summary::write_json(&context, profile, &summary::Options { limit: None, ..table }, out));
        }
        for all_frames in [false, true] {
            let outline = tree::Options { metric, temporary_within: within, least_percent: 0.5, all_frames };
            written(|out| tree::write_text(&context, profile, &outline, style, out));
            written(|out| tree::write_json(&context, profile, &tree::Options { least_percent: 0.0, ..outline }, out));
        }
    }
    // A page holds all metrics. It is the slowest to write, for the checksums of its own scripts.
    if options.pid.is_none() {
        let course = (!capture.run.aggregate)
            .then(|| Course::of(capture, (options.span, Division::FINE), None, within, (), &mut |_| {}).ok())
            .flatten();
        let course = course.map(|(course, ())| course);
        written(|out| html::write(&page::of_profile(&context, profile, course.clone(), Metric::Peak, within), out));
    }
    // A picture of as many stacks as it takes is seconds of inferno's work.
    if options.pid.is_some() {
        written(|out| svg::write(&context, profile, Metric::Peak, within, true, out));
    }
    let suppressions = Suppressions::builtin();
    let mut found = Leaks::of(profile, &suppressions);
    // A capture without events, or with damaged ones, has no answer to these: that is one too.
    let judging = Judging { span: profile.span, newest: 0.1 };
    let _ = found.judge(capture, profile, judging, &mut |_| {});
    for all in [false, true] {
        let list = leaks::Options { limit: Some(20), all, newest: 0.1 };
        written(|out| leaks::write_text(&context, profile, &found, &list, style, out));
        let list = leaks::Options { limit: None, ..list };
        written(|out| leaks::write_json(&context, profile, &found, &suppressions, &list, out));
    }
    if options.pid.is_none() {
        if let Ok(sites) = peaks::by_site(capture, profile, &mut |_| {}) {
            written(|out| peak::write_text(&context, profile, &sites, Some(20), style, out));
        }
        if let Ok((all, sites)) = lifetimes::of(capture, profile, &mut |_| {}) {
            written(|out| report::write_text(&context, profile, (&all, &sites), Some(20), style, out));
        }
        let end = capture.account.totals.duration.0;
        for (from, to) in [(0, end / 2), (end / 3, end)] {
            let span = Span::Between(Position::Time(Nanos(from)), Position::Time(Nanos(to)));
            let window = Profile::of(capture, &Options { span, byte_seconds: true, ..*options }, &mut |_| {});
            let course = Course::of(capture, (span, Division::FINE), None, within, (), &mut |_| {});
            if let (Ok(window), Ok((course, ()))) = (window, course) {
                let context = Context::new("run.bin", capture, Some(&window), None);
                written(|out| {
                    html::write(&page::of_profile(&context, &window, Some(course), Metric::Peak, within), out)
                });
            }
        }
    }
    let export = Export::new(&context, profile, Metric::Leaked, within);
    written(|out| pprof::write(export, out));
    written(|out| speedscope::write(export, out));
    written(|out| gprof2dot::write(export, out));
    written(|out| rows::write_csv(export, out));
    written(|out| rows::write_jsonl(export, out));
    if !capture.run.aggregate {
        exported(|out| dhat::write(export, &mut |_| {}, out));
        exported(|out| heaptrack::write(export, &mut |_| {}, out));
        exported(|out| firefox::write(export, &mut |_| {}, out));
        exported(|out| parquet::write(export, &mut |_| {}, out));
    }
    written(|out| types::write_text(&context, Some(20), style, out));
    written(|out| types::write_json(&context, out));
    written(|out| stats::write_text(&context, profile, Some(10), style, out));
    written(|out| stats::write_json(&context, profile, None, out));
    let nothing = Profile { metrics: Metric::ALL.to_vec(), ..Profile::default() };
    let between = if options.pid.is_some() { Diff::of(profile, &nothing) } else { Diff::of(&nothing, profile) };
    let changes =
        diff::Options { metric: Metric::Allocated, by: None, by_total: false, limit: Some(20), filtered: None };
    written(|out| diff::write_text(&context, &context, &between, &changes, style, out));
    written(|out| diff::write_json(&context, &context, &between, &changes, out));
    if options.pid.is_some() {
        written(|out| html::write(&page::of_diff(&context, &context, &between, Metric::Peak), out));
    }
}

/// A capture whose header, checksums, lengths, index and trailer are right, whatever its blocks hold. `content` is a
/// list of blocks: kind, length of the content (three bytes, little-endian), content; `seeds.py` makes such lists of
/// real captures. The footer, if there is one and it is one, gets an index that leads to the blocks.
pub fn wrapped(mut content: &[u8]) -> Vec<u8> {
    let mut file = header::header().to_vec();
    let mut index = Vec::new();
    while let Some((head, rest)) = content.split_first_chunk::<4>() {
        let length = (u32::from_le_bytes([head[1], head[2], head[3], 0]) as usize).min(rest.len());
        let (block, rest) = rest.split_at(length);
        content = rest;
        let kind = match head[0] {
            1 => BlockKind::Run,
            2 => BlockKind::Definitions,
            3 => BlockKind::Events,
            4 => BlockKind::Keyframe,
            5 => BlockKind::Samples,
            7 => BlockKind::NativeNames,
            8 => BlockKind::UnseenAllocators,
            9 => BlockKind::Marks,
            11 => BlockKind::MemoryMaps,
            10 => BlockKind::Census,
            _ => BlockKind::Footer,
        };
        let offset = file.len() as u64;
        if kind == BlockKind::Footer
            && let Ok(footer) = decode_meta::<Footer>(block, 0)
        {
            block::write(&mut file, kind, &encode_meta(&Footer { index: index.clone(), ..footer }));
            file.extend_from_slice(&header::trailer(offset));
            break;
        }
        index.push(IndexEntry { kind: kind as u8, offset, first_event: 0, time: Default::default(), live: 0 });
        block::write(&mut file, kind, block);
    }
    file
}
