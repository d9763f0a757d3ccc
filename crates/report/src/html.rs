//! The interactive flame graph: one HTML file that needs no network, no server and no second file.
//!
//! In: a [`FlamePage`], rows as the analysis has them. Out: bytes. The data contract between this side and the
//! page's script is in `html/data.rs`; how style and scripts get into the one file, and what the browser may
//! run, in `html/assets.rs`. Totals, widths, search and inversion are computed in the page
//! (`assets/calls.js`, `views.js`, `layout.js`), since they depend on what the reader looks at.

mod assets;
mod data;
mod sha256;

use std::io::{self, Write};
use std::sync::Arc;

/// Everything one page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlamePage {
    /// Name of the page, in the browser's tab and at its top: "heaptide: python script.py". Without the metric, which
    /// the reader can change and the headline names.
    pub title: String,
    /// Label and value pairs for the information dialog, in the order shown: command, peak, duration, losses.
    pub facts: Vec<(String, String)>,
    /// What the reader has to know before trusting a number, one sentence each; shown as a banner. Empty: none.
    pub warnings: Vec<String>,
    /// The distinct frames, in any order; nodes refer to them by index.
    pub frames: Vec<PageFrame>,
    /// The call tree, parents before their children. Siblings with equal frames are merged in the page.
    pub nodes: Vec<PageNode>,
    /// What the page can switch between, at least one.
    pub metrics: Vec<Metric>,
    /// Index in `metrics` of the one shown first.
    pub default_metric: usize,
    /// Whether the page opens with the inverted view; the reader can turn it.
    pub inverted: bool,
    /// Most other allocations of its thread between a temporary block and its release; explains the word.
    pub temporary_within: u32,
    /// Memory over time, earliest first; empty: no plot.
    pub timeline: Vec<TimePoint>,
    /// When the peak was, in seconds since the start of the program; `None`: not known, or not one instant.
    pub peak_at_seconds: Option<f64>,
}

/// A place in the code, as it is named in the page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageFrame {
    /// Name of the function, demangled; empty: not known. Any text is harmless here.
    pub function: Arc<str>,
    /// Path of its source file, or of the library for a native frame without one; empty: not known.
    pub file: Arc<str>,
    /// Line in `file`, from 1; 0: not known.
    pub line: u32,
    /// Whose code it is; gives the colour.
    pub kind: FrameKind,
    /// The package it belongs to; gives the shade.
    pub package: Arc<str>,
    /// What stands in the line; empty: not known.
    pub source: Arc<str>,
}

/// Whose code a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// The code of the traced project itself.
    Project = 0,
    /// An installed package or library.
    Library = 1,
    /// The standard library of the language.
    Stdlib = 2,
    /// The import system and other inner parts of the interpreter; the page can hide these.
    Interpreter = 3,
    /// Machine code.
    Native = 4,
    /// Not known.
    Unknown = 5,
}

/// One node of the call tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageNode {
    /// Index in [`FlamePage::nodes`] of the caller, smaller than this node's own; `None`: an outermost frame.
    pub parent: Option<u32>,
    /// Index in [`FlamePage::frames`].
    pub frame: u32,
}

/// One way to weigh the call tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// "peak", "leaked", "allocated" or "temporary": the page picks the words for its numbers by this.
    pub key: String,
    /// Name on the switch: "Peak".
    pub label: String,
    /// Own bytes of each node, without those of its callees; as many as there are nodes.
    pub bytes: Vec<u64>,
    /// Own blocks (peak, leaked) or allocations (allocated, temporary) of each node, likewise.
    pub counts: Vec<u64>,
    /// The other side of a difference, for the same nodes; `bytes` and `counts` are then the side after it.
    /// `None`: not a difference. All metrics of a page have it or none.
    pub before: Option<Amounts>,
}

/// Own values of each node, as many as there are nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Bytes of each node, without those of its callees.
    pub bytes: Vec<u64>,
    /// Blocks or allocations of each node, likewise.
    pub counts: Vec<u64>,
}

/// Memory at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimePoint {
    /// Since the start of the program.
    pub seconds: f64,
    /// Live bytes: allocated and not yet freed.
    pub live: u64,
    /// Bytes the kernel counts as resident; 0: not measured.
    pub rss: u64,
}

/// Writes the page as one HTML file.
///
/// Sums in the page are exact up to 2^53 bytes (8 PiB). The data are held in memory once as text: some 20 bytes
/// a node.
///
/// # Errors
/// `InvalidInput` if the page contradicts itself (a parent after its child, an index out of range, columns of
/// unequal length, no metric), else what `out` reports.
pub fn write(page: &FlamePage, out: &mut dyn Write) -> io::Result<()> {
    check(page).map_err(|contradiction| io::Error::new(io::ErrorKind::InvalidInput, contradiction))?;
    let data = data::to_json(page)?;
    assets::write_page(&data::visible(&page.title), &data, out)
}

/// Says what is wrong with a page, if anything: a damaged page must not be found out by its reader.
fn check(page: &FlamePage) -> Result<(), String> {
    for (index, node) in page.nodes.iter().enumerate() {
        if node.parent.is_some_and(|parent| parent as usize >= index) {
            return Err(format!("node {index} of the flame graph comes before its parent"));
        }
        if node.frame as usize >= page.frames.len() {
            return Err(format!("node {index} of the flame graph has no frame"));
        }
    }
    for metric in &page.metrics {
        let columns = [&metric.bytes, &metric.counts].into_iter();
        let before = metric.before.iter().flat_map(|before| [&before.bytes, &before.counts]);
        if columns.chain(before).any(|column| column.len() != page.nodes.len()) {
            return Err(format!("metric {:?} of the flame graph has not one value per node", metric.key));
        }
        if metric.before.is_some() != page.metrics[0].before.is_some() {
            return Err(format!("metric {:?} of the flame graph has not the same sides as the first", metric.key));
        }
    }
    if page.default_metric >= page.metrics.len() {
        return Err("the flame graph has no metric to show first".to_owned());
    }
    let instants = page.timeline.iter().map(|point| point.seconds).chain(page.peak_at_seconds);
    if instants.into_iter().any(|seconds| !seconds.is_finite()) {
        return Err("an instant of the timeline is not a number".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod demo;
#[cfg(test)]
mod tests;
