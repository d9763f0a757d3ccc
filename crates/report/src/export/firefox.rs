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
//! `meta.extra` and a line on standard error say how long. What is live at the end of each step is exact, and so are all
//! sums but numbers of blocks, which it has no field for. Of a capture without events, `nativeAllocations` has no addresses
//! (it is unbalanced): the bytes of each stack in the metric that was asked for.
//!
//! Lost: numbers of blocks, temporary allocations, source lines.

use super::{Export, ExportError, NO_STACK, function};
use crate::context::title_within;
use crate::units::{time, visible};
use flate2::Compression;
use flate2::write::GzEncoder;
use heaptide_analyze::call_tree::NodeId;
use heaptide_analyze::frames::FrameKind;
use heaptide_analyze::instants::Span;
use heaptide_analyze::packages::owners;
use heaptide_analyze::reader::Progress;
use heaptide_analyze::replay::Born;
use heaptide_analyze::spans::{self, Lived, Spans};
use heaptide_format::ids::{ImageIndex, Nanos};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, Write};

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
    }
    let mut out = GzEncoder::new(out, Compression::default());
    write_profile(export, spans.as_ref(), &notes, &mut out)?;
    out.finish()?.flush()?;
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

/// The number of a stack: of its node; what has no frame is behind them.
fn stack(export: Export<'_>, node: Option<NodeId>) -> usize {
    node.map_or(export.profile.tree.nodes().len(), NodeId::index)
}

/// A list of numbers, or of whatever is written so.
fn write_list<T: std::fmt::Display>(values: impl IntoIterator<Item = T>, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "[")?;
    let mut separator = "";
    for value in values {
        write!(out, "{separator}{value}")?;
        separator = ",";
    }
    write!(out, "]")
}

/// A list of numbers with a name.
fn write_column<T: std::fmt::Display>(
    name: &str,
    values: impl IntoIterator<Item = T>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "\"{name}\":")?;
    write_list(values, out)?;
    write!(out, ",")
}

fn write_samples(export: Export<'_>, out: &mut dyn Write) -> io::Result<()> {
    let with_bytes =
        || export.stacks(&[export.metric]).filter(|(_, own)| own.of(export.metric).bytes > 0).collect::<Vec<_>>();
    let stacks = with_bytes();
    let at = millis(export.profile.peak_at);
    write!(out, "{{\"weightType\":\"bytes\",\"length\":{},", stacks.len())?;
    write_column("stack", stacks.iter().map(|(node, _)| stack(export, *node)), out)?;
    write_column("time", stacks.iter().map(|_| at), out)?;
    write!(out, "\"weight\":")?;
    write_list(stacks.iter().map(|(_, own)| own.of(export.metric).bytes), out)?;
    write!(out, "}}")
}

/// Allocations and releases in the order of time.
fn write_lived(export: Export<'_>, lived: &[Lived], out: &mut dyn Write) -> io::Result<()> {
    // An allocation stands before its release, which may be at the same time.
    let mut order: Vec<(Nanos, usize, bool)> = Vec::with_capacity(lived.len() * 2);
    for (place, one) in lived.iter().enumerate() {
        order.push((one.from, place, false));
        order.extend(one.to.map(|to| (to, place, true)));
    }
    order.sort_unstable_by_key(|(time, place, is_release)| (*time, *is_release, *place));
    let tid = |one: &Lived| export.context.capture.names.thread(one.owner.thread).map_or(0, |thread| thread.tid);
    write!(out, "{{\"weightType\":\"bytes\",\"length\":{},", order.len())?;
    write_column("time", order.iter().map(|(time, ..)| millis(*time)), out)?;
    let weight = |(_, place, is_release): &(Nanos, usize, bool)| {
        let bytes = i64::try_from(lived[*place].amount.bytes).unwrap_or(i64::MAX);
        if *is_release { -bytes } else { bytes }
    };
    write_column("weight", order.iter().map(weight), out)?;
    write_column("stack", order.iter().map(|(_, place, _)| stack(export, lived[*place].owner.node)), out)?;
    write_column("memoryAddress", order.iter().map(|(_, place, _)| place + 1), out)?;
    write!(out, "\"threadId\":")?;
    write_list(order.iter().map(|(_, place, _)| tid(&lived[*place])), out)?;
    write!(out, "}}")
}

/// Without events: the bytes of each stack.
fn write_unbalanced(export: Export<'_>, is_first: bool, out: &mut dyn Write) -> io::Result<()> {
    if !is_first {
        return write!(out, "{{\"weightType\":\"bytes\",\"length\":0,\"time\":[],\"weight\":[],\"stack\":[]}}");
    }
    write_samples(export, out)
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

/// Stacks, frames, functions, packages, files and strings.
fn write_shared(export: Export<'_>, texts: &mut Texts, out: &mut dyn Write) -> io::Result<()> {
    let profile = export.profile;
    let (nodes, frames) = (profile.tree.nodes(), &profile.frames);
    let all = frames.len() + 1;
    write!(out, "\"stackTable\":{{\"length\":{},", nodes.len() + 1)?;
    let none = [frames.len() as u32];
    write_column("frame", nodes.iter().map(|node| node.frame).chain(none), out)?;
    write!(out, "\"prefix\":")?;
    let prefix = nodes.iter().map(|node| node.parent.map_or("null".to_owned(), |parent| parent.0.to_string()));
    write_list(prefix.chain(["null".to_owned()]), out)?;
    // One function for all lines of it.
    let mut functions: HashMap<(&str, &str), usize> = HashMap::new();
    let mut of_frame: Vec<usize> = Vec::with_capacity(all);
    let [mut names, mut sources, mut resources, mut lines] = [(); 4].map(|()| Vec::<String>::new());
    let [mut files, mut packages] = [(); 2].map(|()| Numbers::default());
    for (frame, owner) in frames.iter().zip(owners(frames)) {
        let next = functions.len();
        let number = *functions.entry((&frame.function, &frame.file)).or_insert(next);
        of_frame.push(number);
        if number < next {
            continue;
        }
        names.push(texts.number(&function(frame)).to_string());
        let or_none = |text: &str, numbers: &mut Numbers, none: &str, texts: &mut Texts| match text {
            "" => none.to_owned(),
            text => numbers.number(texts.number(&visible(text))).to_string(),
        };
        sources.push(or_none(&frame.file, &mut files, "null", texts));
        resources.push(or_none(&owner.package, &mut packages, "-1", texts));
        lines.push(if frame.first_line > 0 { frame.first_line.to_string() } else { "null".into() });
    }
    of_frame.push(functions.len());
    names.push(texts.number(NO_STACK).to_string());
    sources.push("null".into());
    resources.push("-1".into());
    lines.push("null".into());
    write!(out, "}},\"frameTable\":{{\"length\":{all},")?;
    write_column("address", std::iter::repeat_n(-1, all), out)?;
    write_column("inlineDepth", std::iter::repeat_n(0, all), out)?;
    let category = |kind| CATEGORIES.iter().position(|(known, ..)| *known == kind).unwrap_or(CATEGORIES.len() - 1);
    let kinds = frames.iter().map(|frame| frame.kind).chain([FrameKind::Unknown]);
    write_column("category", kinds.map(category), out)?;
    write_column("subcategory", std::iter::repeat_n(0, all), out)?;
    write_column("func", &of_frame, out)?;
    for name in ["nativeSymbol", "innerWindowID", "column"] {
        write_column(name, std::iter::repeat_n("null", all), out)?;
    }
    write!(out, "\"line\":")?;
    let line = frames.iter().map(|frame| if frame.line > 0 { frame.line.to_string() } else { "null".into() });
    write_list(line.chain(["null".to_owned()]), out)?;
    let all = names.len();
    write!(out, "}},\"funcTable\":{{\"length\":{all},")?;
    write_column("name", names, out)?;
    write_column("source", sources, out)?;
    write_column("resource", resources, out)?;
    write_column("lineNumber", lines, out)?;
    write_column("isJS", std::iter::repeat_n(false, all), out)?;
    write_column("relevantForJS", std::iter::repeat_n(false, all), out)?;
    write!(out, "\"columnNumber\":")?;
    write_list(std::iter::repeat_n("null", all), out)?;
    let (packages, files) = (packages.all, files.all);
    let tables = json!({
        "resourceTable": {
            "length": packages.len(),
            "lib": vec![Value::Null; packages.len()],
            "name": packages,
            "host": vec![Value::Null; packages.len()],
            // A library.
            "type": vec![1; packages.len()],
        },
        "nativeSymbols": { "length": 0, "libIndex": [], "address": [], "name": [], "functionSize": [] },
        "sources": {
            "length": files.len(),
            "id": vec![Value::Null; files.len()],
            "filename": files,
            "startLine": vec![1; files.len()],
            "startColumn": vec![1; files.len()],
            "sourceMapURL": vec![Value::Null; files.len()],
        },
        "stringArray": texts.all,
    });
    write!(out, "}},{}", inside(&tables))
}

/// Live bytes of all processes, as changes.
fn counter(export: Export<'_>, first: Option<ImageIndex>) -> String {
    let context = export.context;
    let pid = first.and_then(|image| context.capture.names.image(image)).map(|image| image.pid);
    let (Some(pid), None, Span::Whole) = (pid, context.pid, export.profile.span) else { return String::new() };
    let timeline = &context.capture.timeline;
    let mut before = 0;
    let mut count: Vec<i128> = Vec::with_capacity(timeline.len());
    for sample in timeline {
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

/// Strings, each once.
#[derive(Default)]
struct Texts {
    known: HashMap<String, usize>,
    all: Vec<String>,
}

impl Texts {
    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        self.known.insert(text.to_owned(), self.all.len());
        self.all.push(text.to_owned());
        self.all.len() - 1
    }
}

/// Numbers of strings, each once.
#[derive(Default)]
struct Numbers {
    known: HashMap<usize, usize>,
    all: Vec<usize>,
}

impl Numbers {
    fn number(&mut self, text: usize) -> usize {
        let next = self.all.len();
        let number = *self.known.entry(text).or_insert(next);
        if number == next {
            self.all.push(text);
        }
        number
    }
}
