//! `diff`: what grew and what shrank from one capture to another.

use crate::context::{Context, Style, title};
use crate::json::{self, Head, JsonAmount, JsonStack};
use crate::leaks::write_stack;
use crate::table::Table;
use crate::units::{count, signed_count, signed_size, size, visible};
use heaptide_analyze::diff::{Change, Diff};
use heaptide_analyze::profile::Metric;
use serde::Serialize;
use std::io::{self, Write};

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// By which bytes stacks are compared; the totals of all are shown.
    pub metric: Metric,
    /// Most stacks that grew, and most that shrank; `None`: all.
    pub limit: Option<usize>,
}

/// Writes the totals, then the stacks that grew, then those that shrank.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    before: &Context<'_>,
    after: &Context<'_>,
    diff: &Diff,
    options: &Options,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}", style.bold("before and after"))?;
    for (side, context) in [("before", before), ("after", after)] {
        writeln!(out, "{}", style.dim(&format!("{side:>6}: {}  ({})", context.command(), visible(context.file))))?;
    }
    for (side, context) in [("before: ", before), ("after: ", after)] {
        context.write_missing(style, side, out)?;
    }
    writeln!(out)?;
    let mut totals = Table::new(&["before", "after", "bytes", "count", "of"]);
    for metric in Metric::ALL {
        let [was, is] = [diff.total_before.of(metric), diff.total_after.of(metric)];
        totals.push([
            size(was.bytes),
            size(is.bytes),
            signed_size(i128::from(is.bytes) - i128::from(was.bytes)),
            signed_count(i128::from(is.count) - i128::from(was.count)),
            title(metric, 1),
        ]);
    }
    totals.write(style, out)?;
    let changes = diff.changes(options.metric);
    let (shrunk, grown): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| change.growth() < 0);
    for (heading, changes) in [("grew", grown), ("shrank", shrunk)] {
        if changes.is_empty() {
            continue;
        }
        let what = format!("What {heading}: {}", title(options.metric, 1));
        writeln!(out, "\n{}", style.bold(&what))?;
        let shown = options.limit.unwrap_or(usize::MAX);
        for change in changes.iter().take(shown) {
            write_change(diff, change, style, out)?;
        }
        if changes.len() > shown {
            writeln!(out, "{} more; show them with --limit 0.", count((changes.len() - shown) as u64))?;
        }
    }
    Ok(())
}

fn write_change(diff: &Diff, change: &Change, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let growth = signed_size(change.growth());
    let growth = if change.growth() < 0 { style.green(&growth) } else { style.red(&growth) };
    let blocks = signed_count(i128::from(change.after.count) - i128::from(change.before.count));
    let sides = style.dim(&format!("{} → {}", size(change.before.bytes), size(change.after.bytes)));
    writeln!(out, "{growth} ({blocks} blocks)  {sides}")?;
    write_stack(diff.path(change.node), style, out)
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    before: &'a str,
    before_warnings: &'a [String],
    metric: &'static str,
    totals: Vec<Total>,
    changes: Vec<JsonChange<'a>>,
}

#[derive(Serialize)]
struct Total {
    metric: &'static str,
    before: JsonAmount,
    after: JsonAmount,
}

#[derive(Serialize)]
struct JsonChange<'a> {
    before: JsonAmount,
    after: JsonAmount,
    frames: JsonStack<'a>,
}

/// Writes the same as JSON; the head is that of the capture after.
///
/// # Errors
/// Those of writing.
pub fn write_json(
    before: &Context<'_>,
    after: &Context<'_>,
    diff: &Diff,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let total = |metric| Total {
        metric: Metric::name(metric),
        before: diff.total_before.of(metric).into(),
        after: diff.total_after.of(metric).into(),
    };
    let change = |change: Change| JsonChange {
        before: change.before.into(),
        after: change.after.into(),
        frames: JsonStack { tree: &diff.tree, frames: &diff.frames, node: change.node },
    };
    let report = Report {
        head: Head::new("diff", after),
        before: before.file,
        before_warnings: &before.warnings,
        metric: options.metric.name(),
        totals: Metric::ALL.into_iter().map(total).collect(),
        changes: diff
            .changes(options.metric)
            .into_iter()
            .take(options.limit.unwrap_or(usize::MAX))
            .map(change)
            .collect(),
    };
    json::write(&report, out)
}
