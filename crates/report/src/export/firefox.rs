//! Firefox Profiler's processed profile, packed by gzip: open it at <https://profiler.firefox.com>.
//!
//! <https://github.com/firefox-devtools/profiler/blob/main/docs-developer/processed-profile-format.md>, version 61, with the
//! types in `src/types/profile.ts`; the profiler brings older versions up to its own.
//!
//! | Firefox Profiler | heaptide |
//! |---|---|
//! | thread | a program in a process, the one with the highest peak first; its `nativeAllocations` are those of all its threads, `threadId` says whose |
//! | `nativeAllocations` | balanced: blocks of one stack and thread that came in one step of time and went in one are an allocation and, with the same `memoryAddress` (a number, no address), its release. What leaked has none: it is the "Retained Memory" of the whole range |
//! | `samples` | of the first thread: the bytes of the metric that was asked for, at the instant of the peak, so that the call tree opens with them |
//! | counter `Memory` | live bytes of all processes over time, from the timeline; left out with `--pid`, and of a part of the run |
//! | marker | the marks of the run |
//! | stacks, frames, functions | the tree; frames have their line, functions their file, and the package as library |
//! | category | whose code it is |
//!
//! A step is as short as the collector's clock, unless the list would be longer than 131 072 entries: then it is longer, and
//! `meta.extra` and a line on standard error say how long; before it is longer than a 64th of the run, threads of a process are
//! put together, and a second line says so. What is live at the end of each step is exact, and so are all
//! sums but numbers of blocks, which it has no field for. Of a capture without events, `nativeAllocations` has no addresses
//! (it is unbalanced): the bytes of each stack in the metric that was asked for.
//!
//! Lost: numbers of blocks, temporary allocations, source lines.

mod blocks;
mod tables;

use super::{Export, ExportError};
use crate::context::title_within;
use crate::timeline::with_peak;
use crate::units::{time, visible};
use blocks::{write_lived, write_samples, write_unbalanced};
use flate2::Compression;
use flate2::write::GzEncoder;
use heaptide_analyze::frames::FrameKind;
use heaptide_analyze::instants::Span;
use heaptide_analyze::reader::Progress;
use heaptide_analyze::replay::Born;
use heaptide_analyze::spans::{self, Lived, Spans};
use heaptide_format::ids::{ImageIndex, Nanos};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, BufWriter, IntoInnerError, Write};
use tables::{Texts, write_shared};

const VERSION: u32 = 61;

/// Categories in the order of their numbers, and their colours. The first grey one is for what has none.
const CATEGORIES: [(FrameKind, &str, &str); 6] = [
    (FrameKind::Project, "Project", "blue"),
    (FrameKind::Library, "Library", "purple"),
    (FrameKind::Stdlib, "Standard library", "green"),
    (FrameKind::Interpreter, "Interpreter", "orange"),
    (FrameKind::Native, "Native", "brown"),
    (FrameKind::Unknown, "Other", "grey"),
];

/// Writes it; `progress` is told of the replay. Gives what the reader has to know, a sentence each.
///
/// # Errors
/// Those of writing and of the replay.
pub fn write(
    export: Export<'_>,
    progress: &mut dyn FnMut(Progress),
    out: &mut dyn Write,
) -> Result<Vec<String>, ExportError> {
    let context = export.context;
    let spans = match context.capture.run.aggregate {
        true => None,
        false => Some(spans::lived(context.capture, export.profile, context.pid, spans::MOST, progress)?),
    };
    let mut notes = Vec::new();
    if let Some(spans) = &spans {
        notes.extend(spans.damage.iter().map(|error| format!("events are missing: {error}")));
        if spans.step.0 > Born::UNIT {
            notes.push(coarse(spans));
        }
        if !spans.by_thread {
            notes.push("threads of a process are not told apart: so many had the same stacks".to_owned());
        }
    }
    // Small writes would each be a call of the compressor.
    let mut out = BufWriter::with_capacity(1 << 16, GzEncoder::new(out, Compression::default()));
    write_profile(export, spans.as_ref(), &notes, &mut out)?;
    out.into_inner().map_err(IntoInnerError::into_error)?.finish()?.flush()?;
    Ok(notes)
}

fn coarse(spans: &Spans) -> String {
    format!("blocks are put together by steps of {}, at the end of which all bytes are exact", time(spans.step))
}

fn write_profile(export: Export<'_>, spans: Option<&Spans>, notes: &[String], out: &mut dyn Write) -> io::Result<()> {
    let mut texts = Texts::default();
    write!(out, "{{\"meta\":{},\"libs\":[],\"threads\":[", meta(export, notes))?;
    let mut by_image: HashMap<ImageIndex, Vec<Lived>> = HashMap::new();
    for one in spans.iter().flat_map(|spans| &spans.lived) {
        by_image.entry(one.owner.image).or_default().push(*one);
    }
    let images = images(export, |image| by_image.contains_key(&image));
    for (place, image) in images.iter().enumerate() {
        let lived = by_image.remove(image).unwrap_or_default();
        write!(out, "{}{{{}", if place > 0 { "," } else { "" }, thread(export, *image))?;
        write!(out, ",\"samples\":")?;
        match place {
            0 => write_samples(export, out)?,
            _ => write!(out, "{{\"stack\":[],\"time\":[],\"weight\":[],\"weightType\":\"bytes\",\"length\":0}}")?,
        }
        write!(out, ",\"nativeAllocations\":")?;
        match spans {
            Some(_) => write_lived(export, &lived, out)?,
            None => write_unbalanced(export, place == 0, out)?,
        }
        write!(out, ",\"markers\":{}}}", markers(export, *image, images[0], &mut texts))?;
    }
    write!(out, "],\"shared\":{{")?;
    write_shared(export, &mut texts, out)?;
    write!(out, "}},\"counters\":[{}]}}", counter(export, images.first().copied()))?;
    writeln!(out)
}

/// The programs that are shown: the one with the highest peak first, then the others that allocated.
fn images(export: Export<'_>, has_allocated: impl Fn(ImageIndex) -> bool) -> Vec<ImageIndex> {
    let capture = export.context.capture;
    let mut images = capture.images_of(export.context.pid).unwrap_or_default();
    let peak = |image: &ImageIndex| capture.account.images.get(image.index()).map_or(0, |totals| totals.peak.bytes);
    if let Some(main) = images.iter().copied().max_by_key(peak) {
        images.retain(|image| *image != main && has_allocated(*image));
        images.insert(0, main);
    }
    images
}

fn millis(time: Nanos) -> f64 {
    time.0 as f64 / 1e6
}

fn meta(export: Export<'_>, notes: &[String]) -> Value {
    let context = export.context;
    let run = &context.capture.run;
    let duration = millis(context.capture.account.totals.duration);
    let categories =
        CATEGORIES.map(|(_, name, color)| json!({ "name": name, "color": color, "subcategories": ["Other"] }));
    let fact = |label: &str, value: &str| json!({ "label": label, "format": "string", "value": value });
    let mut facts = vec![
        fact("Samples", &title_within(export.profile, export.metric, export.within)),
        fact("Capture", &visible(context.file)),
    ];
    facts.extend(notes.iter().chain(&context.warnings).map(|note| fact("Note", note)));
    json!({
        "interval": millis(Nanos(Born::UNIT)),
        "startTime": run.started_unix as f64 * 1e3,
        "profilingStartTime": 0,
        "profilingEndTime": duration,
        "processType": 0,
        "product": context.command(),
        "importedFrom": format!("heaptide {}", run.heaptide),
        "arguments": context.command(),
        "stackwalk": 1,
        "version": 30,
        "preprocessedProfileVersion": VERSION,
        "symbolicated": true,
        "symbolicationNotSupported": true,
        "initialVisibleThreads": [0],
        "initialSelectedThreads": [0],
        "usesOnlyOneStackType": true,
        "sourceCodeIsNotOnSearchfox": true,
        "categories": categories,
        "extra": [{ "label": "heaptide", "entries": facts }],
        "markerSchema": [{
            "name": "Mark",
            "display": ["marker-chart", "marker-table", "timeline-overview"],
            "fields": [],
        }],
    })
}

/// The fields of a thread that are not lists of what happened, without braces.
fn thread(export: Export<'_>, image: ImageIndex) -> String {
    let capture = export.context.capture;
    let Some(definition) = capture.names.image(image) else { return "\"name\":\"\"".into() };
    let ended = capture.account.images.get(image.index()).and_then(|totals| totals.ended).map(millis);
    let program = visible(capture.names.text(definition.program));
    let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
    let fields = json!({
        "processType": "default",
        "processName": name,
        "processStartupTime": millis(definition.started),
        "processShutdownTime": ended,
        "registerTime": millis(definition.started),
        "unregisterTime": ended,
        "pausedRanges": [],
        "name": name,
        "isMainThread": true,
        "showMarkersInTimeline": true,
        "pid": definition.pid.to_string(),
        "tid": definition.pid,
    });
    inside(&fields)
}

/// An object's fields without its braces.
fn inside(object: &Value) -> String {
    let text = object.to_string();
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default().to_owned()
}

/// Marks, in the program that set them; those from outside in the first.
fn markers(export: Export<'_>, image: ImageIndex, first: ImageIndex, texts: &mut Texts) -> Value {
    let capture = export.context.capture;
    let marks: Vec<_> = capture.marks.iter().filter(|mark| mark.image.unwrap_or(first) == image).collect();
    json!({
        "data": marks.iter().map(|_| json!({ "type": "Mark" })).collect::<Vec<_>>(),
        "name": marks.iter().map(|mark| texts.number(&visible(&mark.name))).collect::<Vec<_>>(),
        "startTime": marks.iter().map(|mark| millis(mark.time)).collect::<Vec<_>>(),
        "endTime": marks.iter().map(|_| Value::Null).collect::<Vec<_>>(),
        "phase": marks.iter().map(|_| 0).collect::<Vec<_>>(),
        "category": marks.iter().map(|_| CATEGORIES.len() - 1).collect::<Vec<_>>(),
        "length": marks.len(),
    })
}

/// Live bytes of all processes, as changes.
fn counter(export: Export<'_>, first: Option<ImageIndex>) -> String {
    let context = export.context;
    let pid = first.and_then(|image| context.capture.names.image(image)).map(|image| image.pid);
    let (Some(pid), None, Span::Whole) = (pid, context.pid, export.profile.span) else { return String::new() };
    let timeline = with_peak(context.capture);
    let mut before = 0;
    let mut count: Vec<i128> = Vec::with_capacity(timeline.len());
    for sample in &timeline {
        count.push(i128::from(sample.live) - i128::from(before));
        before = sample.live;
    }
    let count: Vec<i64> = count.into_iter().map(|change| i64::try_from(change).unwrap_or(i64::MAX)).collect();
    let time: Vec<f64> = timeline.iter().map(|sample| millis(sample.time)).collect();
    json!({
        "name": "malloc",
        "category": "Memory",
        "description": "Live bytes of all processes",
        "pid": pid.to_string(),
        "mainThreadIndex": 0,
        "samples": { "length": time.len(), "time": time, "count": count },
    })
    .to_string()
}
