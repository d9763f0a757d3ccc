//! The interactive flame graph: one HTML file that needs no network, no server and no second file.
//!
//! In: a [`FlamePage`], rows as the analysis has them. Out: bytes. The data contract between this side and the
//! page's script is in `html/data.rs`; how style and scripts get into the one file, and what the browser may
//! run, in `html/assets.rs`. Totals, widths, search and inversion are computed in the page
//! (`assets/calls.js`, `views.js`, `layout.js`), since they depend on what the reader looks at.

mod assets;
mod course;
mod data;
mod leaks;
mod sha256;
mod types;

use heaptide_analyze::course::{BEFORE, Change, Flow, Leaked, Life, Peak};
use std::io::{self, Write};
use std::sync::Arc;

pub use leaks::{Curve, Judging, LeaksSection, MOST_SITES, MOST_STACKS, SiteColumns, SiteStack};
pub use types::{CensusColumns, MOST_TYPES, NewObjects, ProcessTypes, TypeColumns, TypeFrames, TypesSection};

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
    /// Who had the amounts, each a node, a thread and a function that allocates: what the page can filter by. Several may be
    /// of one node.
    pub cells: Vec<PageCell>,
    /// The processes of the threads.
    pub processes: Vec<PageProcess>,
    /// The threads of the cells; empty: cells do not tell.
    pub threads: Vec<PageThread>,
    /// Names of the functions that allocate; empty: cells do not tell.
    pub allocators: Vec<&'static str>,
    /// What the page can switch between, at least one.
    pub metrics: Vec<Metric>,
    /// Which part of the run all is of, in seconds since the start of the program; twice the same: an instant; `None`: all of it.
    pub span: Option<[f64; 2]>,
    /// What was live when, for the reader to choose an instant or a window; `None`: not told.
    pub course: Option<PageCourse>,
    /// Index in `metrics` of the one shown first.
    pub default_metric: usize,
    /// Whether the page opens with the inverted view; the reader can turn it.
    pub inverted: bool,
    /// Most other allocations of its thread between a temporary block and its release; explains the word.
    pub temporary_within: u32,
    /// Memory over time, earliest first; empty: no plot.
    pub timeline: Vec<TimePoint>,
    /// Instants with a name, in the order they were set.
    pub marks: Vec<PageMark>,
    /// When the objects of an interpreter were counted, in seconds since the start of the program.
    pub censuses: Vec<f64>,
    /// When the program started, in seconds since 1970; 0: not known.
    pub started_unix: u64,
    /// When the peak was, in seconds since the start of the program; `None`: not known, or not one instant.
    pub peak_at_seconds: Option<f64>,
    /// The Python module or native object of each of `frames`; empty: not told.
    pub modules: Vec<Arc<str>>,
    /// What was left and what is said of it; `None`: the page has no such view.
    pub leaks: Option<LeaksSection>,
    /// Python objects by type; `None`: there was no census.
    pub types: Option<TypesSection>,
    /// The view that the page opens with, "leaks" or "types" if it has that; `None`: the call tree.
    pub first_view: Option<&'static str>,
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

/// A part of a node's amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageCell {
    /// Index in [`FlamePage::nodes`].
    pub node: u32,
    /// Index in [`FlamePage::threads`]; `None`: not known.
    pub thread: Option<u32>,
    /// Index in [`FlamePage::allocators`]; `None`: not known.
    pub allocator: Option<u8>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageProcess {
    /// Its number.
    pub pid: u32,
    /// Its command, as one would type it.
    pub command: String,
    /// The part of the course in which its program ended, or [`BEFORE`]; `None`: it did not.
    pub ended: Option<i16>,
}

/// A thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageThread {
    /// Index in [`FlamePage::processes`].
    pub process: u32,
    /// The kernel's number for it; 0: several that are put together, or not known.
    pub tid: u32,
    /// Its name; empty: not known.
    pub name: String,
}

/// A mark.
#[derive(Clone, Debug, PartialEq)]
pub struct PageMark {
    /// When, since the start of the program.
    pub seconds: f64,
    /// Its name. Any text is harmless here.
    pub name: String,
}

/// What the cells had when: [`heaptide_analyze::course::Course`], whose cells are those of the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageCourse {
    /// Beginning and end of each part.
    pub instants: Vec<PageInstant>,
    /// The highest instant of each part: one less than there are instants.
    pub peaks_at: Vec<Peak>,
    /// What lived from one part into a later one.
    pub lives: Vec<Life>,
    /// What was allocated in each part.
    pub flows: Vec<Flow>,
    /// How the highest instant of a part differs from its beginning.
    pub peaks: Vec<Change>,
    /// What was leaked.
    pub leaked: Vec<Leaked>,
}

/// An instant between two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageInstant {
    /// Nanoseconds since the start of the program.
    pub nanos: u64,
    /// Live bytes of all cells.
    pub live: u64,
    /// Its mark, by its place in [`FlamePage::marks`].
    pub mark: Option<u32>,
}

/// One way to weigh the call tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// "peak", "leaked", "allocated" or "temporary": the page picks the words for its numbers by this.
    pub key: String,
    /// Name on the switch: "Peak".
    pub label: String,
    /// Own bytes of each cell, without those of its node's callees; as many as there are cells.
    pub bytes: Vec<u64>,
    /// Own blocks (peak, leaked) or allocations (allocated, temporary) of each cell, likewise.
    pub counts: Vec<u64>,
    /// The other side of a difference, for the same cells; `bytes` and `counts` are then the side after it.
    /// `None`: not a difference. All metrics of a page have it or none.
    pub before: Option<Amounts>,
}

/// Own values of each cell, as many as there are cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Bytes of each cell, without those of its node's callees.
    pub bytes: Vec<u64>,
    /// Blocks or allocations of each cell, likewise.
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
/// Sums in the page are exact up to 2^53 bytes (8 PiB). The data are
/// compressed as they are written: no second copy of them is made but for their columns.
///
/// # Errors
/// `InvalidInput` if the page contradicts itself (a parent after its child, an index out of range, columns of
/// unequal length, no metric), else what `out` reports.
pub fn write(page: &FlamePage, out: &mut dyn Write) -> io::Result<()> {
    check(page).map_err(|contradiction| io::Error::new(io::ErrorKind::InvalidInput, contradiction))?;
    assets::write_page(&data::visible(&page.title), &|out| data::write(page, out), out)
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
    let within = |index: Option<usize>, length: usize| index.is_none_or(|index| index < length);
    for (index, cell) in page.cells.iter().enumerate() {
        let is_sound = within(Some(cell.node as usize), page.nodes.len())
            && within(cell.thread.map(|thread| thread as usize), page.threads.len())
            && within(cell.allocator.map(usize::from), page.allocators.len());
        if !is_sound {
            return Err(format!("cell {index} of the flame graph is of a node, thread or function that is not there"));
        }
    }
    if let Some(thread) = page.threads.iter().position(|thread| thread.process as usize >= page.processes.len()) {
        return Err(format!("thread {thread} of the flame graph has no process"));
    }
    if let Some(course) = &page.course {
        check_course(course, page)?;
    }
    for metric in &page.metrics {
        let columns = [&metric.bytes, &metric.counts].into_iter();
        let before = metric.before.iter().flat_map(|before| [&before.bytes, &before.counts]);
        if columns.chain(before).any(|column| column.len() != page.cells.len()) {
            return Err(format!("metric {:?} of the flame graph has not one value per cell", metric.key));
        }
        if metric.before.is_some() != page.metrics[0].before.is_some() {
            return Err(format!("metric {:?} of the flame graph has not the same sides as the first", metric.key));
        }
    }
    if !page.modules.is_empty() && page.modules.len() != page.frames.len() {
        return Err("the frames of the flame graph have not one module each".to_owned());
    }
    if page.default_metric >= page.metrics.len() {
        return Err("the flame graph has no metric to show first".to_owned());
    }
    let instants = page.timeline.iter().map(|point| point.seconds).chain(page.peak_at_seconds);
    let instants = instants.chain(page.span.into_iter().flatten());
    let instants = instants.chain(page.marks.iter().map(|mark| mark.seconds)).chain(page.censuses.iter().copied());
    if instants.into_iter().any(|seconds| !seconds.is_finite()) {
        return Err("an instant of the timeline is not a number".to_owned());
    }
    page.leaks.as_ref().map_or(Ok(()), |leaks| leaks.check(page.nodes.len()))?;
    page.types.as_ref().map_or(Ok(()), TypesSection::check)?;
    Ok(())
}

/// That its rows are of parts and cells that there are.
fn check_course(course: &PageCourse, page: &FlamePage) -> Result<(), String> {
    let (parts, cells) = (course.peaks_at.len(), page.cells.len());
    let in_time = |part: i16| part >= 0 && (part as usize) < parts;
    let ended_in_time = |part: i16| part == BEFORE || in_time(part);
    let is_there = |cell: u32| (cell as usize) < cells;
    let lives = course
        .lives
        .iter()
        .all(|life| is_there(life.cell) && life.born >= BEFORE && life.born < life.died && life.died as usize <= parts);
    let is_sound = course.instants.len() == parts + 1
        && course.instants.iter().all(|instant| instant.mark.is_none_or(|mark| (mark as usize) < page.marks.len()))
        && page.processes.iter().all(|process| process.ended.is_none_or(ended_in_time))
        && lives
        && course.flows.iter().all(|flow| is_there(flow.cell) && in_time(flow.part))
        && course.peaks.iter().all(|peak| is_there(peak.cell) && in_time(peak.part))
        && course.leaked.iter().all(|leaked| is_there(leaked.cell) && in_time(leaked.born));
    match is_sound {
        true => Ok(()),
        false => Err("the course of the flame graph speaks of a part or a cell that is not there".to_owned()),
    }
}

#[cfg(test)]
mod demo;
#[cfg(test)]
mod tests;
