//! The data contract of the page: [`FlamePage`] → the JSON text that `assets/data.js` reads.
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
//! | `metrics` | `key`, `label`, columns `node`, `bytes`, `counts`; `before`: the same three columns, or null |
//! | `default_metric` | index in `metrics` |
//! | `inverted` | whether the page opens with the inverted view |
//! | `temporary_within` | most other allocations between a temporary block and its release |
//! | `timeline` | columns `seconds`, `live`, `rss` |
//! | `peak_at_seconds` | number or null |

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use super::FlamePage;
use crate::units::acts;

/// Version of the data; `DATA_VERSION` in `assets/data.js` is the same number.
pub(super) const VERSION: u32 = 2;

#[derive(Serialize)]
struct PageData<'a> {
    version: u32,
    title: &'a str,
    facts: &'a [(String, String)],
    warnings: &'a [String],
    strings: Vec<&'a str>,
    frames: FrameColumns,
    nodes: NodeColumns,
    metrics: Vec<MetricData<'a>>,
    default_metric: usize,
    inverted: bool,
    temporary_within: u32,
    timeline: TimeColumns,
    peak_at_seconds: Option<f64>,
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
struct MetricData<'a> {
    key: &'a str,
    label: &'a str,
    #[serde(flatten)]
    after: SparseColumns,
    before: Option<SparseColumns>,
}

#[derive(Serialize)]
struct SparseColumns {
    node: Vec<usize>,
    bytes: Vec<u64>,
    counts: Vec<u64>,
}

impl SparseColumns {
    fn new(bytes: &[u64], counts: &[u64]) -> Self {
        let mut sparse = Self { node: Vec::new(), bytes: Vec::new(), counts: Vec::new() };
        for (node, (&bytes, &counts)) in bytes.iter().zip(counts).enumerate() {
            if bytes != 0 || counts != 0 {
                sparse.node.push(node);
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

/// The page's data as JSON without a single `<`, so that no text in it can end or begin a tag.
///
/// # Errors
/// Only those of serialization, which a checked page does not cause.
pub(super) fn to_json(page: &FlamePage) -> io::Result<String> {
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
        default_metric: page.default_metric,
        inverted: page.inverted,
        temporary_within: page.temporary_within,
        timeline: TimeColumns {
            seconds: page.timeline.iter().map(|point| point.seconds).collect(),
            live: page.timeline.iter().map(|point| point.live).collect(),
            rss: page.timeline.iter().map(|point| point.rss).collect(),
        },
        peak_at_seconds: page.peak_at_seconds,
    };
    let mut json = Vec::new();
    data.serialize(&mut serde_json::Serializer::with_formatter(&mut json, InScript))?;
    String::from_utf8(json).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes JSON that is safe inside a `<script>`: outside strings JSON has no `<`, and inside them it is escaped.
/// U+2028 and U+2029, which end a line in older JavaScript, are escaped too.
struct InScript;

impl Formatter for InScript {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '\u{2028}', '\u{2029}']) {
            let (harmless, tail) = rest.split_at(at);
            let mut characters = tail.chars();
            let escaped = characters.next().map_or(0, u32::from);
            write!(writer, "{harmless}\\u{escaped:04x}")?;
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
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
