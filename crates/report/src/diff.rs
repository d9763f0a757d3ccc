//! `diff`: what grew and what shrank from one capture to another, by stack or by what [`Row`]s are of.

use crate::context::{self, Context, Style, short_file, title, with_source};
use crate::filtered::{Filtered, JsonFilter};
use crate::json::{self, Head, JsonAmount, JsonStack};
use crate::leaks::write_stack;
use crate::table::Table;
use crate::units::{count, signed_count, signed_share, signed_size, size, visible};
use heaptide_analyze::diff::{Change, Diff, Row, Sides};
use heaptide_analyze::frames::{Frame, FrameKind};
use heaptide_analyze::profile::Metric;
use heaptide_analyze::sites::By;
use serde::Serialize;
use std::io::{self, Write};

/// What to show.
#[derive(Clone, Debug)]
pub struct Options<'f> {
    /// By which bytes stacks are compared; the totals of all are shown.
    pub metric: Metric,
    /// What changes are put together by; `None`: by stack. For lines the difference must be one with lines.
    pub by: Option<By>,
    /// Rows are ordered by how much their total changed, not their own bytes.
    pub by_total: bool,
    /// Most stacks or rows that grew, and most that shrank; `None`: all.
    pub limit: Option<usize>,
    /// What was kept of the captures, if not all.
    pub filtered: Option<Filtered<'f>>,
}

impl Options<'_> {
    fn sides(&self, row: &Row) -> Sides {
        if self.by_total { row.total } else { row.own }
    }

    /// The rows to show, the largest change first.
    fn rows(&self, diff: &Diff, by: By) -> Vec<Row> {
        let mut rows = diff.rows(self.metric, by);
        if self.by_total {
            rows.retain(|row| !row.total.is_same());
            // Stable: of equal totals the one with more of its own stays first.
            rows.sort_by_key(|row| std::cmp::Reverse(row.total.growth().unsigned_abs()));
        }
        rows
    }
}

/// What the amounts of a metric are.
pub fn words(diff: &Diff, metric: Metric) -> String {
    if diff.of_instants { "live memory".into() } else { title(metric, 1) }
}

/// Writes the totals, then what grew, then what shrank.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    before: &Context<'_>,
    after: &Context<'_>,
    diff: &Diff,
    options: &Options<'_>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}", style.bold("before and after"))?;
    for (side, context) in [("before", before), ("after", after)] {
        let span = context.span.words();
        let when = if span.is_empty() { span } else { format!(", {span}") };
        writeln!(
            out,
            "{}",
            style.dim(&format!("{side:>6}: {}{when}  ({})", context.command(), visible(context.file)))
        )?;
    }
    for (side, context) in [("before: ", before), ("after: ", after)] {
        context.write_missing(style, side, out)?;
    }
    for note in &diff.notes {
        writeln!(out, "{} {}", style.red("warning:"), visible(note))?;
    }
    if let Some(filtered) = &options.filtered {
        filtered.write_text(&words(diff, options.metric), style, out)?;
    }
    writeln!(out)?;
    let mut totals = Table::new(&["before", "after", "bytes", "count", "of"]);
    for metric in diff.metrics.iter().copied() {
        let total = diff.total(metric);
        totals.push([
            size(total.before.bytes),
            size(total.after.bytes),
            signed_size(total.growth()),
            signed_count(total.blocks()),
            words(diff, metric),
        ]);
    }
    totals.write(style, out)?;
    match options.by {
        None => write_stacks(diff, options, style, out),
        Some(by) => write_rows(diff, options, by, style, out),
    }
}

fn write_stacks(diff: &Diff, options: &Options<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let changes = diff.changes(options.metric);
    let (shrunk, grown): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| change.sides.growth() < 0);
    for (heading, changes) in [("grew", grown), ("shrank", shrunk)] {
        if changes.is_empty() {
            continue;
        }
        let what = format!("What {heading}: {}", words(diff, options.metric));
        writeln!(out, "\n{}", style.bold(&what))?;
        let shown = options.limit.unwrap_or(usize::MAX);
        for change in changes.iter().take(shown) {
            write_change(diff, change, style, out)?;
        }
        write_rest(changes.len(), shown, out)?;
    }
    Ok(())
}

fn write_change(diff: &Diff, change: &Change, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let Change { node, sides } = change;
    let growth = signed_size(sides.growth());
    let growth = if sides.growth() < 0 { style.green(&growth) } else { style.red(&growth) };
    let blocks = signed_count(sides.blocks());
    let both = style.dim(&format!("{} → {}", size(sides.before.bytes), size(sides.after.bytes)));
    writeln!(out, "{growth} ({blocks} blocks)  {both}")?;
    write_stack(diff.path(*node), style, out)
}

fn write_rows(diff: &Diff, options: &Options<'_>, by: By, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let whole = diff.total(options.metric).before.bytes;
    let rows = options.rows(diff, by);
    // Those that only called what changed are shown if totals are asked for.
    let (changed, callers): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| !options.sides(row).is_same());
    let (shrunk, grown): (Vec<Row>, Vec<Row>) = changed.into_iter().partition(|row| options.sides(row).growth() < 0);
    let (which, other) = if options.by_total { ("total", "own") } else { ("own", "total") };
    for (heading, rows) in [("grew", grown), ("shrank", shrunk)] {
        if rows.is_empty() {
            continue;
        }
        let what = format!("What {heading} by {}, its {which} bytes: {}", by.name(), words(diff, options.metric));
        writeln!(out, "\n{}", style.bold(&what))?;
        let mut table = Table::new(&["growth", "blocks", "of all", "before", "after", other, by.name()]);
        let shown = options.limit.unwrap_or(usize::MAX);
        for row in rows.iter().take(shown) {
            let sides = options.sides(row);
            let others = if options.by_total { row.own } else { row.total };
            table.push([
                signed_size(sides.growth()),
                signed_count(sides.blocks()),
                signed_share(sides.growth(), whole),
                size(sides.before.bytes),
                size(sides.after.bytes),
                signed_size(others.growth()),
                name_and_place(row, by, style),
            ]);
        }
        table.write(style, out)?;
        write_rest(rows.len(), shown, out)?;
    }
    if !callers.is_empty() {
        let (what, plural) = (by.name(), if callers.len() == 1 { "" } else { "s" });
        let callers = count(callers.len() as u64);
        writeln!(out, "\n{callers} {what}{plural} changed only by what was called there: see --sort total.")?;
    }
    Ok(())
}

fn write_rest(all: usize, shown: usize, out: &mut dyn Write) -> io::Result<()> {
    if all > shown {
        writeln!(out, "{} more; show them with --limit 0.", count((all - shown) as u64))?;
    }
    Ok(())
}

fn name_and_place(row: &Row, by: By, style: Style) -> String {
    let name = visible(&row.name);
    match by {
        By::Package | By::Module | By::File => name,
        By::Function | By::Line => format!("{name}  {}", style.dim(&place(row))),
    }
}

fn place(row: &Row) -> String {
    let file = short_file(row.kind, &row.file);
    let place = if row.line > 0 { format!("{file}:{}", row.line) } else { file };
    with_source(place, row.source.as_deref())
}

/// Frames of a stack in one line; more tell nothing that these do not.
const MOST_FRAMES_A_LINE: usize = 12;

/// Those that grew most, the largest first, each in one line that says all: `+1.5 KiB (+3 blocks)  inner (file:1) < outer
/// (file:9)`, without the import system's frames, or the row of the table. Empty if nothing did.
pub fn grown(diff: &Diff, options: &Options<'_>, most: usize) -> Vec<String> {
    let line = |sides: &Sides, what: String| {
        format!("{} ({} blocks)  {what}", signed_size(sides.growth()), signed_count(sides.blocks()))
    };
    match options.by {
        None => {
            let changes = diff.changes(options.metric).into_iter().filter(|change| change.sides.growth() > 0);
            let stack = |change: Change| {
                // Where imports import, most frames are the import system's.
                let is_shown = |(place, frame): &(usize, &Frame)| *place == 0 || frame.kind != FrameKind::Interpreter;
                let mut frames = diff.path(change.node).enumerate().filter(is_shown).map(|(_, frame)| frame);
                let mut shown: Vec<String> = frames.by_ref().take(MOST_FRAMES_A_LINE).map(context::frame).collect();
                let more = frames.count();
                shown.extend((more > 0).then(|| format!("{} more", count(more as u64))));
                line(&change.sides, shown.join(" < "))
            };
            changes.take(most).map(stack).collect()
        }
        Some(by) => {
            let rows = options.rows(diff, by).into_iter().filter(|row| options.sides(row).growth() > 0);
            rows.take(most).map(|row| line(&options.sides(&row), name_and_place(&row, by, Style::default()))).collect()
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    before: &'a str,
    before_warnings: &'a [String],
    metric: &'static str,
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<JsonFilter<JsonSides>>,
    totals: Vec<Total>,
    /// By stack only.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<JsonChange<'a>>>,
    /// By anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Group<'a>>>,
}

#[derive(Serialize)]
struct Total {
    metric: &'static str,
    #[serde(flatten)]
    sides: JsonSides,
}

#[derive(Serialize)]
struct JsonSides {
    before: JsonAmount,
    after: JsonAmount,
}

impl From<Sides> for JsonSides {
    fn from(sides: Sides) -> Self {
        Self { before: sides.before.into(), after: sides.after.into() }
    }
}

#[derive(Serialize)]
struct JsonChange<'a> {
    #[serde(flatten)]
    sides: JsonSides,
    frames: JsonStack<'a>,
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    /// Of a file, a function and a line.
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    kind: &'static str,
    own: JsonSides,
    total: JsonSides,
}

impl<'a> From<&'a Row> for Group<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            name: &row.name,
            file: &row.file,
            line: (row.line > 0).then_some(row.line),
            source: row.source.as_deref(),
            kind: row.kind.name(),
            own: row.own.into(),
            total: row.total.into(),
        }
    }
}

/// Writes the same as JSON; the head is that of the capture after.
///
/// # Errors
/// Those of writing.
pub fn write_json(
    before: &Context<'_>,
    after: &Context<'_>,
    diff: &Diff,
    options: &Options<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut after = after.clone();
    after.warnings.extend(diff.notes.iter().cloned());
    let limit = options.limit.unwrap_or(usize::MAX);
    let changes = || {
        let change = |Change { node, sides }| JsonChange {
            sides: sides.into(),
            frames: JsonStack { tree: &diff.tree, frames: &diff.frames, node },
        };
        diff.changes(options.metric).into_iter().take(limit).map(change).collect()
    };
    let rows = options.by.map(|by| options.rows(diff, by));
    let filter = options.filtered.as_ref().map(|filtered| {
        let side = |name| filtered.left_out.iter().filter(|(side, _)| *side == name).map(|(_, amount)| *amount).sum();
        JsonFilter::new(filtered.filter, Sides { before: side("before"), after: side("after") }.into())
    });
    let report = Report {
        head: Head::new("diff", &after),
        before: before.file,
        before_warnings: &before.warnings,
        metric: options.metric.name(),
        by: options.by.map_or("stack", By::name),
        filter,
        totals: diff
            .metrics
            .iter()
            .map(|metric| Total { metric: metric.name(), sides: diff.total(*metric).into() })
            .collect(),
        changes: rows.is_none().then(changes),
        groups: rows.as_ref().map(|rows| rows.iter().take(limit).map(Group::from).collect()),
    };
    json::write(&report, out)
}
