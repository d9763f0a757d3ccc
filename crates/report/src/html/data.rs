//! The data contract of the page: [`FlamePage`] → the JSON text, compressed, that `assets/data.js` reads.
//!
//! Rows become columns, each string is written once, and a metric lists only the nodes that have a value.
//!
//! | name | content |
//! |---|---|
//! | `version` | [`VERSION`]; the script refuses any other |
//! | `title`, `facts`, `warnings` | texts; a fact is `[label, value]` |
//! | `strings` | the strings of `frames`, each once |
//! | `frames` | columns `function`, `file`, `package`, `source` (indices in `strings`), `line` (0: not known), `kind` (number of `FrameKind`) |
//! | `nodes` | columns `back` (how many nodes before this one its parent is; 0: none), `frame` |
//! | `cells` | columns `node`, `thread`, `allocator` (−1: not known): who had the amounts |
//! | `processes` | columns `pid`, `command`, `ended` (part of the course in which the program ended, −1: before the first, or null) |
//! | `threads` | columns `process`, `tid`, `name` |
//! | `allocators` | names of the functions that allocate |
//! | `metrics` | `key`, `label`, columns `cell`, `bytes`, `counts`; `before`: the same three columns, or null |
//! | `span` | null, or the ends of the part of the run that all is of, in seconds; twice the same for an instant |
//! | `course` | null, or what was live when, see below |
//! | `default_metric` | index in `metrics` |
//! | `inverted` | whether the page opens with the inverted view |
//! | `temporary_within` | most other allocations between a temporary block and its release |
//! | `timeline` | columns `seconds`, `live`, `rss` |
//! | `marks` | columns `seconds`, `name` |
//! | `censuses` | seconds |
//! | `started_unix` | seconds since 1970; 0: not known |
//! | `peak_at_seconds` | number or null |
//! | `modules` | index in `strings` for each frame; not there if the page does not tell modules |
//! | `leaks` | `LeaksSection` (`html/leaks.rs`); not there if the page has no leaks |
//! | `types` | `TypesSection` (`html/types.rs`); not there without a census |
//! | `view` | the view that the page opens with, if it is not the call tree |
//!
//! The parts of a `course` are numbered from 0; instant i is the beginning of part i. Rows speak of cells by their index.
//!
//! | name | columns |
//! |---|---|
//! | `instants` | `nanos`, `live`, `mark` (index in `marks`, −1: none): one more than there are parts |
//! | `peaks_at` | `bytes`, `nanos`: the highest instant of each part |
//! | `lives` | `cell`, `born`, `died` (parts), `bytes`, `counts`: came in one part (−1: before the first), went in a later one (number of parts: never) |
//! | `late` | `cell`, `born`, `died`, `bytes`, `counts`: what of `lives` was temporary |
//! | `flows` | `cell`, `part`, `bytes`, `counts`: allocated |
//! | `brief` | `cell`, `part`, `bytes`, `counts`: what of `flows` was temporary and went in the same part |
//! | `peaks` | `cell`, `part`, `bytes`, `counts`: at the highest instant of the part less at its beginning |
//! | `leaked` | `cell`, `born`, `bytes`, `counts`: live when its program ended |

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufWriter, IntoInnerError, Write};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::course::{CourseData, course_data};
use super::{FlamePage, LeaksSection, TypesSection};
use crate::units::acts;

/// Version of the data; `DATA_VERSION` in `assets/data.js` is the same number.
pub(super) const VERSION: u32 = 3;

#[derive(Serialize)]
struct PageData<'a> {
    version: u32,
    title: &'a str,
    facts: &'a [(String, String)],
    warnings: &'a [String],
    strings: Vec<&'a str>,
    frames: FrameColumns,
    nodes: NodeColumns,
    cells: CellColumns,
    processes: ProcessColumns<'a>,
    threads: ThreadColumns<'a>,
    allocators: &'a [&'static str],
    metrics: Vec<MetricData<'a>>,
    span: Option<[f64; 2]>,
    course: Option<CourseData>,
    default_metric: usize,
    inverted: bool,
    temporary_within: u32,
    timeline: TimeColumns,
    marks: MarkColumns<'a>,
    censuses: &'a [f64],
    started_unix: u64,
    peak_at_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    modules: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaks: Option<&'a LeaksSection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<&'a TypesSection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<&'static str>,
}

#[derive(Serialize)]
struct FrameColumns {
    function: Vec<usize>,
    file: Vec<usize>,
    package: Vec<usize>,
    source: Vec<usize>,
    line: Vec<u32>,
    kind: Vec<u8>,
}

#[derive(Serialize)]
struct NodeColumns {
    back: Vec<u32>,
    frame: Vec<u32>,
}

#[derive(Serialize)]
struct CellColumns {
    node: Vec<u32>,
    thread: Vec<i64>,
    allocator: Vec<i16>,
}

#[derive(Serialize)]
struct ProcessColumns<'a> {
    pid: Vec<u32>,
    command: Vec<&'a str>,
    ended: Vec<Option<i16>>,
}

#[derive(Serialize)]
struct ThreadColumns<'a> {
    process: Vec<u32>,
    tid: Vec<u32>,
    name: Vec<&'a str>,
}

#[derive(Serialize)]
struct MarkColumns<'a> {
    seconds: Vec<f64>,
    name: Vec<&'a str>,
}

#[derive(Serialize)]
struct MetricData<'a> {
    key: &'a str,
    label: &'a str,
    #[serde(flatten)]
    after: SparseColumns,
    before: Option<SparseColumns>,
}

#[derive(Serialize)]
struct SparseColumns {
    cell: Vec<usize>,
    bytes: Vec<u64>,
    counts: Vec<u64>,
}

impl SparseColumns {
    fn new(bytes: &[u64], counts: &[u64]) -> Self {
        let mut sparse = Self { cell: Vec::new(), bytes: Vec::new(), counts: Vec::new() };
        for (cell, (&bytes, &counts)) in bytes.iter().zip(counts).enumerate() {
            if bytes != 0 || counts != 0 {
                sparse.cell.push(cell);
                sparse.bytes.push(bytes);
                sparse.counts.push(counts);
            }
        }
        sparse
    }
}

#[derive(Serialize)]
struct TimeColumns {
    seconds: Vec<f64>,
    live: Vec<u64>,
    rss: Vec<u64>,
}

/// Writes the page's data: JSON, compressed by gzip, as Base64. No text in it can end or begin a tag.
///
/// # Errors
/// Those of `out`.
pub(super) fn write(page: &FlamePage, out: &mut dyn Write) -> io::Result<()> {
    let mut strings = Vec::new();
    let mut known = HashMap::new();
    let mut intern = |text| {
        *known.entry(text).or_insert_with(|| {
            strings.push(text);
            strings.len() - 1
        })
    };
    let frames = FrameColumns {
        function: page.frames.iter().map(|frame| intern(&*frame.function)).collect(),
        file: page.frames.iter().map(|frame| intern(&*frame.file)).collect(),
        package: page.frames.iter().map(|frame| intern(&*frame.package)).collect(),
        source: page.frames.iter().map(|frame| intern(&*frame.source)).collect(),
        line: page.frames.iter().map(|frame| frame.line).collect(),
        kind: page.frames.iter().map(|frame| frame.kind as u8).collect(),
    };
    let modules = page.modules.iter().map(|module| intern(module)).collect();
    let back = |(index, parent): (u32, Option<u32>)| parent.map_or(0, |parent| index - parent);
    let data = PageData {
        version: VERSION,
        title: &page.title,
        facts: &page.facts,
        warnings: &page.warnings,
        strings,
        frames,
        nodes: NodeColumns {
            back: (0..).zip(page.nodes.iter().map(|node| node.parent)).map(back).collect(),
            frame: page.nodes.iter().map(|node| node.frame).collect(),
        },
        cells: CellColumns {
            node: page.cells.iter().map(|cell| cell.node).collect(),
            thread: page.cells.iter().map(|cell| cell.thread.map_or(-1, i64::from)).collect(),
            allocator: page.cells.iter().map(|cell| cell.allocator.map_or(-1, i16::from)).collect(),
        },
        processes: ProcessColumns {
            pid: page.processes.iter().map(|process| process.pid).collect(),
            command: page.processes.iter().map(|process| process.command.as_str()).collect(),
            ended: page.processes.iter().map(|process| process.ended).collect(),
        },
        threads: ThreadColumns {
            process: page.threads.iter().map(|thread| thread.process).collect(),
            tid: page.threads.iter().map(|thread| thread.tid).collect(),
            name: page.threads.iter().map(|thread| thread.name.as_str()).collect(),
        },
        allocators: &page.allocators,
        metrics: page
            .metrics
            .iter()
            .map(|metric| MetricData {
                key: &metric.key,
                label: &metric.label,
                after: SparseColumns::new(&metric.bytes, &metric.counts),
                before: metric.before.as_ref().map(|before| SparseColumns::new(&before.bytes, &before.counts)),
            })
            .collect(),
        span: page.span,
        course: page.course.as_ref().map(course_data),
        default_metric: page.default_metric,
        inverted: page.inverted,
        temporary_within: page.temporary_within,
        timeline: TimeColumns {
            seconds: page.timeline.iter().map(|point| point.seconds).collect(),
            live: page.timeline.iter().map(|point| point.live).collect(),
            rss: page.timeline.iter().map(|point| point.rss).collect(),
        },
        marks: MarkColumns {
            seconds: page.marks.iter().map(|mark| mark.seconds).collect(),
            name: page.marks.iter().map(|mark| mark.name.as_str()).collect(),
        },
        censuses: &page.censuses,
        started_unix: page.started_unix,
        peak_at_seconds: page.peak_at_seconds,
        modules,
        leaks: page.leaks.as_ref(),
        types: page.types.as_ref(),
        view: page.first_view,
    };
    let text = EncoderWriter::new(out, &STANDARD);
    // Without it, each number would be a call of the compressor, which clears its buffer.
    let mut packed = BufWriter::with_capacity(1 << 16, GzEncoder::new(text, Compression::fast()));
    serde_json::to_writer(&mut packed, &data)?;
    packed.into_inner().map_err(IntoInnerError::into_error)?.finish()?.finish()?;
    Ok(())
}

/// The text with control characters and those that turn the reading direction written out (`\u202e`), for the
/// few texts that are outside the data; `visible` in `assets/words.js` does the same for all others.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for c in text.chars() {
        if acts(c) {
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}
