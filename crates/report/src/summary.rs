//! `summary`: what each function asked for itself, and what with all it called.

use crate::context::{Context, Style, headline, short_file};
use crate::json::{self, Head, JsonAmount};
use crate::table::Table;
use crate::units::{count, share, size, visible};
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_analyze::sites::{FunctionAmount, by_function};
use serde::Serialize;
use std::io::{self, Write};

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which bytes.
    pub metric: Metric,
    /// For [`Metric::Temporary`], see [`heaptide_analyze::profile::Options::temporary_within`].
    pub temporary_within: u32,
    /// Most functions; `None`: all.
    pub limit: Option<usize>,
    /// By total instead of own bytes.
    pub by_total: bool,
}

fn rows(profile: &Profile, options: &Options) -> (Vec<FunctionAmount>, usize) {
    let mut functions = by_function(profile, options.metric);
    if options.by_total {
        // Stable: of equal totals the one with more of its own stays first.
        functions.sort_by_key(|function| std::cmp::Reverse(function.total.bytes));
    }
    let all = functions.len();
    functions.truncate(options.limit.unwrap_or(all));
    (functions, all)
}

/// Writes the table.
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
    let (metric, whole) = (options.metric, profile.total.of(options.metric).bytes);
    context.write_title(style, &headline(profile, metric, options.temporary_within), out)?;
    let (functions, all) = rows(profile, options);
    let mut table = Table::new(&["own", "share", "total", "share", "count", "function"]);
    for row in &functions {
        table.push([
            size(row.own.bytes),
            share(row.own.bytes, whole),
            size(row.total.bytes),
            share(row.total.bytes, whole),
            count(row.own.count),
            format!("{}  {}", visible(&row.function), style.dim(&short_file(row.kind, &row.file))),
        ]);
    }
    table.write(style, out)?;
    let bare = profile.bare.of(metric);
    if bare.count > 0 {
        writeln!(out, "\n{} in {} blocks have no stack.", size(bare.bytes), count(bare.count))?;
    }
    if functions.len() < all {
        writeln!(out, "\n{} more functions; show them with --limit 0.", count((all - functions.len()) as u64))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    metric: &'static str,
    total: JsonAmount,
    without_frames: JsonAmount,
    peak_at_ns: u64,
    functions: Vec<Function<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    function: &'a str,
    file: &'a str,
    kind: &'static str,
    own: JsonAmount,
    total: JsonAmount,
}

/// Writes the same as JSON.
///
/// # Errors
/// Those of writing.
pub fn write_json(context: &Context<'_>, profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let (functions, _) = rows(profile, options);
    let function = |row: &FunctionAmount| -> (JsonAmount, JsonAmount) { (row.own.into(), row.total.into()) };
    let report = Report {
        head: Head::new("summary", context),
        metric: options.metric.name(),
        total: profile.total.of(options.metric).into(),
        without_frames: profile.bare.of(options.metric).into(),
        peak_at_ns: profile.peak_at.0,
        functions: functions
            .iter()
            .map(|row| {
                let (own, total) = function(row);
                Function { function: &row.function, file: &row.file, kind: row.kind.name(), own, total }
            })
            .collect(),
    };
    json::write(&report, out)
}
