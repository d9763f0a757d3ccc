//! The parts that all JSON reports are made of. `docs/reports.md` describes them; the version counts up when a reader
//! of the old ones would misunderstand the new.

use crate::context::Context;
use crate::units::acts;
use heaptide_analyze::call_tree::{CallTree, NodeId};
use heaptide_analyze::frames::Frame;
use heaptide_analyze::instants::Span;
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_format::capture::summary::Amount;
use serde::{Serialize, Serializer};
use std::io::{self, Write};

/// Version of all JSON reports.
pub const VERSION: u32 = 1;

/// The first fields of every report.
#[derive(Debug, Serialize)]
pub struct Head<'a> {
    report: &'static str,
    version: u32,
    capture: &'a str,
    command: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// The part of the run, unless it is all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<JsonSpan>,
    warnings: &'a [String],
}

/// A part of a run, in nanoseconds after its start.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum JsonSpan {
    At { at_ns: u64 },
    Between { from_ns: u64, to_ns: u64 },
}

impl<'a> Head<'a> {
    /// Of a report with this name.
    pub fn new(report: &'static str, context: &'a Context<'_>) -> Self {
        let duration = context.capture.account.totals.duration;
        Self {
            report,
            version: VERSION,
            capture: context.file,
            command: &context.capture.run.command,
            pid: context.pid,
            span: match context.span {
                Span::Whole => None,
                Span::At(position) => Some(JsonSpan::At { at_ns: position.time(duration).0 }),
                Span::Between(from, to) => {
                    Some(JsonSpan::Between { from_ns: from.time(duration).0, to_ns: to.time(duration).0 })
                }
            },
            warnings: &context.warnings,
        }
    }
}

/// Bytes and blocks.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct JsonAmount {
    bytes: u64,
    count: u64,
}

impl From<Amount> for JsonAmount {
    fn from(amount: Amount) -> Self {
        Self { bytes: amount.bytes, count: amount.count }
    }
}

/// What a report of one metric says before its rows.
#[derive(Debug, Serialize)]
pub struct Figures {
    metric: &'static str,
    total: JsonAmount,
    /// What has no stack.
    without_frames: JsonAmount,
    peak_at_ns: u64,
}

impl Figures {
    /// Of this metric.
    pub fn new(profile: &Profile, metric: Metric) -> Self {
        Self {
            metric: metric.name(),
            total: profile.total.of(metric).into(),
            without_frames: profile.bare.of(metric).into(),
            peak_at_ns: profile.peak_at.0,
        }
    }
}

/// A frame.
#[derive(Debug, Serialize)]
pub struct JsonFrame<'a> {
    function: &'a str,
    file: &'a str,
    /// `null` if not known.
    line: Option<u32>,
    kind: &'static str,
    /// Of native code.
    #[serde(skip_serializing_if = "str::is_empty")]
    object: &'a str,
    /// What stands in the line, if it was looked up and found.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
}

impl<'a> From<&'a Frame> for JsonFrame<'a> {
    fn from(frame: &'a Frame) -> Self {
        Self {
            function: &frame.function,
            file: &frame.file,
            line: (frame.line > 0).then_some(frame.line),
            kind: frame.kind.name(),
            object: &frame.object,
            source: frame.source.as_deref(),
        }
    }
}

/// A stack, innermost frame first. It is walked while it is written: the stacks of a deep recursion, all at once, would
/// need memory out of proportion.
pub struct JsonStack<'a> {
    /// Where it is.
    pub tree: &'a CallTree,
    /// The frames of the tree.
    pub frames: &'a [Frame],
    /// Its innermost node.
    pub node: NodeId,
}

impl Serialize for JsonStack<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.tree.path(self.node).map(|frame| JsonFrame::from(&self.frames[frame as usize])))
    }
}

/// Writes a report and a line end.
///
/// # Errors
/// Those of writing.
pub fn write(report: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(Plain(&mut *out), report)?;
    writeln!(out)
}

/// Passes JSON on, with the characters that a terminal would act on written as `\u009b`, which means the same. JSON itself
/// asks for that below U+0020 only.
pub(crate) struct Plain<'o>(pub &'o mut dyn Write);

impl Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let plain = |byte: &u8| *byte < 0x7F;
        // Texts are written whole, so no character is cut.
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| !bytes.iter().all(plain)) else {
            return self.0.write_all(bytes).map(|()| bytes.len());
        };
        // What is below is either escaped already or a line end of the layout.
        let acts = |c: char| c >= '\u{7F}' && acts(c);
        let mut rest = text;
        while let Some(at) = rest.find(acts) {
            let (harmless, tail) = rest.split_at(at);
            let mut characters = tail.chars();
            let escaped = characters.next().map_or(0, u32::from);
            write!(self.0, "{harmless}\\u{escaped:04x}")?;
            rest = characters.as_str();
        }
        self.0.write_all(rest.as_bytes()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_cannot_steer_a_terminal() {
        let mut out = Vec::new();
        let name = "a\x1b[2J\u{9b}2J\u{7f}\u{202e}é\u{feff}";
        write(&[name], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "[\n  \"a\\u001b[2J\\u009b2J\\u007f\\u202eé\\ufeff\"\n]\n");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [name]);
    }
}
