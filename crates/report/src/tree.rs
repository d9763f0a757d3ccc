//! `tree`: the call tree as an outline, the widest path first.

use crate::context::{Context, Style, headline, place_and_source};
use crate::json::{self, Figures, Head, JsonAmount, JsonFrame};
use crate::units::{count, share, size, visible};
use heaptide_analyze::frames::FrameKind;
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_analyze::tree::{Entry, Line, outline};
use serde::Serialize;
use std::io::{self, Write};

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which bytes.
    pub metric: Metric,
    /// For [`Metric::Temporary`].
    pub temporary_within: u32,
    /// Nodes below this many percent of the whole are put together.
    pub least_percent: f64,
    /// Show the interpreter's own frames in the text as well. JSON always has them.
    pub all_frames: bool,
}

/// Levels that are still indented: deeper ones stay where they are, or the page would be all margin.
const DEEPEST_INDENT: u32 = 32;

fn lines(profile: &Profile, options: &Options) -> Vec<Line> {
    let least = profile.total.of(options.metric).bytes as f64 * options.least_percent / 100.0;
    outline(profile, options.metric, (least.ceil() as u64).max(1))
}

/// Writes the outline. Without [`Options::all_frames`], what the interpreter's own frames hold is their caller's.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    context: &Context<'_>,
    profile: &Profile,
    options: &Options,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let whole = profile.total.of(options.metric).bytes;
    context.write_title(style, &headline(profile, options.metric, options.temporary_within), out)?;
    let bare = profile.bare.of(options.metric).bytes;
    let without_interpreter;
    let profile = match options.all_frames {
        true => profile,
        // A second tree costs as much as the first.
        false if profile.frames.iter().all(|frame| frame.kind != FrameKind::Interpreter) => profile,
        false => {
            without_interpreter = profile.without(FrameKind::Interpreter);
            &without_interpreter
        }
    };
    for line in lines(profile, options) {
        let indent = "  ".repeat(line.level.min(DEEPEST_INDENT) as usize);
        match line.entry {
            Entry::Node { node, total, own } => {
                let node = profile.frame(node);
                let figures = format!("{:>10} {:>6}", size(total.bytes), share(total.bytes, whole));
                let of_itself = if own.bytes > 0 && own != total {
                    style.dim(&format!("  own {}", size(own.bytes)))
                } else {
                    String::new()
                };
                let text = format!("{}  {}", visible(&node.function), style.dim(&place_and_source(node)));
                writeln!(out, "{figures}  {indent}{}{of_itself}", text.trim_end())?;
            }
            Entry::Rest { nodes, total } => {
                let text = format!("{} smaller", count(nodes as u64));
                writeln!(
                    out,
                    "{}",
                    style.dim(&format!("{:>10} {:>6}  {indent}{text}", size(total.bytes), share(total.bytes, whole)))
                )?;
            }
        }
    }
    let hidden = profile.bare.of(options.metric).bytes.saturating_sub(bare);
    for (bytes, what) in [(hidden, "in the interpreter alone"), (bare, "without a stack")] {
        if bytes > 0 {
            writeln!(out, "{:>10} {:>6}  {what}", size(bytes), share(bytes, whole))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    figures: Figures,
    /// Callers before callees.
    nodes: Vec<Node<'a>>,
}

#[derive(Serialize)]
struct Node<'a> {
    id: u32,
    parent: Option<u32>,
    #[serde(flatten)]
    frame: JsonFrame<'a>,
    own: JsonAmount,
    total: JsonAmount,
}

/// Writes all nodes above the threshold as JSON, each with the number of its caller.
///
/// # Errors
/// Those of writing.
pub fn write_json(context: &Context<'_>, profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let nodes = lines(profile, options).into_iter().filter_map(|line| match line.entry {
        Entry::Node { node, total, own } => Some(Node {
            id: node.0,
            parent: profile.tree.nodes()[node.index()].parent.map(|parent| parent.0),
            frame: profile.frame(node).into(),
            own: own.into(),
            total: total.into(),
        }),
        Entry::Rest { .. } => None,
    });
    let report = Report {
        head: Head::new("tree", context),
        figures: Figures::new(profile, options.metric),
        nodes: nodes.collect(),
    };
    json::write(&report, out)
}
