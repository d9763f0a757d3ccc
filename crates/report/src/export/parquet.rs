//! Apache Parquet: a row for each stack and instant at which it had something live, for data frames and databases.
//!
//! <https://parquet.apache.org/docs/file-format/>. The columns are described in `docs/guide/exports.md`; a row is a stack of
//! a thread by an allocating function, at one of the instants of [`heaptide_analyze::course`]. Rows are in the order of
//! stacks, then instants. Texts are in dictionaries, everything is packed by gzip.
//!
//! Written here: all columns are flat, required and of four kinds, 300 lines; the official crate brings in 35 others and
//! more than a minute of compilation.
//!
//! Lost: what came and went between two instants; allocated, leaked and temporary amounts (`csv` has them).

mod pages;
mod thrift;

use super::{Export, ExportError, NO_STACK};
use crate::folded::Labels;
use heaptide_analyze::call_tree::NodeId;
use heaptide_analyze::course::{Cell, Course, Division};
use heaptide_analyze::frames::FrameKind;
use heaptide_analyze::packages::owners;
use heaptide_analyze::reader::Progress;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::ThreadIndex;
use pages::{Column, Table, Values};
use std::io::Write;
use std::sync::Arc;

/// Writes it; `progress` is told of the replay. Gives what the reader has to know, a sentence each.
///
/// # Errors
/// Those of writing and of the replay, which a capture without events does not allow.
pub fn write(
    export: Export<'_>,
    progress: &mut dyn FnMut(Progress),
    out: &mut dyn Write,
) -> Result<Vec<String>, ExportError> {
    let context = export.context;
    let (course, ()) =
        Course::of(context.capture, (export.profile.span, Division::COARSE), context.pid, 0, (), progress)?;
    let mut table = Table::new(out, columns())?;
    let places = Places::of(export);
    let mut text = String::new();
    let key = |number: &u32| places.key(&course.cells[*number as usize]);
    let mut numbers: Vec<u32> = (0..course.cells.len() as u32).collect();
    numbers.sort_unstable_by_key(|number| (key(number), *number));
    for cells in numbers.chunk_by(|a, b| key(a) == key(b)) {
        let series = series(&course, cells);
        let mut row = None;
        for (instant, amount) in series.into_iter().enumerate() {
            if amount == Amount::default() {
                continue;
            }
            let row = row.get_or_insert_with(|| places.row(&course.cells[cells[0] as usize], &mut text));
            table.push(|columns| fill(columns, export, &course, instant, amount, row));
            if table.is_full() {
                table.write_group()?;
            }
        }
    }
    let command = context.command();
    table.finish(&[("heaptide.command", &command), ("heaptide.version", &context.capture.run.heaptide)])?;
    Ok(course.damage.map(|damage| format!("events are missing: {damage}")).into_iter().collect())
}

/// What these cells had live together at each instant.
fn series(course: &Course, cells: &[u32]) -> Vec<Amount> {
    let mut live = vec![Amount::default(); course.instants.len()];
    for cell in cells {
        let first = course.lives.partition_point(|life| life.cell < *cell);
        for life in course.lives[first..].iter().take_while(|life| life.cell == *cell) {
            // Live at the end of the part that they came in, and at the beginning of that in which they went.
            for amount in &mut live[(life.born + 1) as usize..=life.died as usize] {
                *amount += life.amount;
            }
        }
    }
    live
}

fn columns() -> Vec<Column> {
    [
        ("instant", Values::ints()),
        ("seconds", Values::doubles()),
        ("mark", Values::texts()),
        ("live_bytes", Values::longs()),
        ("live_blocks", Values::longs()),
        ("pid", Values::ints()),
        ("tid", Values::ints()),
        ("thread", Values::texts()),
        ("allocator", Values::texts()),
        ("function", Values::texts()),
        ("file", Values::texts()),
        ("line", Values::ints()),
        ("kind", Values::texts()),
        ("package", Values::texts()),
        ("site_function", Values::texts()),
        ("site_file", Values::texts()),
        ("site_line", Values::ints()),
        ("depth", Values::ints()),
        ("stack", Values::texts()),
    ]
    .map(|(name, values)| Column { name, values })
    .into()
}

/// What all rows of one stack, thread and allocator have in common.
struct Row {
    numbers: [u32; 5],
    texts: [Arc<str>; 9],
}

fn fill(columns: &mut [Column], export: Export<'_>, course: &Course, instant: usize, amount: Amount, row: &Row) {
    let number = instant as u32;
    let instant = &course.instants[instant];
    let mark = instant.mark.and_then(|mark| export.context.capture.marks.get(mark as usize));
    let mark: Arc<str> = mark.map_or("", |mark| &mark.name).into();
    let [pid, tid, line, site_line, depth] = row.numbers;
    let [thread, allocator, function, file, kind, package, site_function, site_file, stack] = &row.texts;
    let mut columns = columns.iter_mut().map(|column| &mut column.values);
    let mut next = || columns.next().expect("fill names the columns in their order");
    next().int(number);
    next().double(instant.time.seconds());
    next().text(&mark);
    next().long(amount.bytes);
    next().long(amount.count);
    next().int(pid);
    next().int(tid);
    next().text(thread);
    next().text(allocator);
    next().text(function);
    next().text(file);
    next().int(line);
    next().text(kind);
    next().text(package);
    next().text(site_function);
    next().text(site_file);
    next().int(site_line);
    next().int(depth);
    next().text(stack);
}

/// Names of stacks.
struct Places<'a> {
    export: Export<'a>,
    labels: Labels<'a>,
    packages: Vec<Arc<str>>,
    sites: Vec<NodeId>,
}

impl<'a> Places<'a> {
    fn of(export: Export<'a>) -> Self {
        let packages = owners(&export.profile.frames).into_iter().map(|owner| owner.package).collect();
        let labels = Labels::of(&export.profile.frames);
        Self { export, labels, packages, sites: export.profile.sites() }
    }

    fn node(&self, cell: &Cell) -> Option<NodeId> {
        self.export.profile.places.get(cell.stack.index()).copied().flatten()
    }

    /// What cells have in common that are one stack by name, in the order of the tree.
    fn key(&self, cell: &Cell) -> (Option<NodeId>, u32, ThreadIndex, u8) {
        let pid = self.export.context.capture.names.image(cell.image).map_or(0, |image| image.pid);
        (self.node(cell), pid, cell.thread, cell.allocator.number())
    }

    fn row(&self, cell: &Cell, text: &mut String) -> Row {
        let (profile, names) = (self.export.profile, &self.export.context.capture.names);
        let pid = names.image(cell.image).map_or(0, |image| image.pid);
        let tid = names.thread(cell.thread).map_or(0, |thread| thread.tid);
        let thread = names.thread_name(cell.thread).unwrap_or_default();
        let allocator = cell.allocator.name();
        let Some(node) = self.node(cell) else {
            let texts = [thread, allocator, NO_STACK, "", FrameKind::Unknown.name(), "", "", "", NO_STACK];
            return Row { numbers: [pid, tid, 0, 0, 0], texts: texts.map(Arc::from) };
        };
        let (frame, site) = (profile.frame(node), profile.frame(self.sites[node.index()]));
        let mut path: Vec<u32> = profile.tree.path(node).collect();
        path.reverse();
        text.clear();
        for (index, frame) in path.iter().enumerate() {
            text.push_str(if index > 0 { ";" } else { "" });
            text.push_str(&self.labels.get(*frame));
        }
        let package = self.packages[profile.tree.nodes()[node.index()].frame as usize].clone();
        let texts = [
            thread.into(),
            allocator.into(),
            frame.function.clone(),
            frame.file.clone(),
            frame.kind.name().into(),
            package,
            site.function.clone(),
            site.file.clone(),
            text.as_str().into(),
        ];
        Row { numbers: [pid, tid, frame.line, site.line, path.len() as u32], texts }
    }
}
