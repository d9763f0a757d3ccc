//! `summary`: what each function, or package, module, file or line, asked for itself, and what with all it called.

use crate::context::{Context, Style, headline, short_file, title_within, with_source};
use crate::filtered::{Filtered, JsonFilter};
use crate::json::{self, Figures, Head, JsonAmount};
use crate::table::Table;
use crate::units::{count, share, size, visible};
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_analyze::sites::{By, GroupAmount, by_group};
use heaptide_format::capture::summary::Amount;
use serde::Serialize;
use std::io::{self, Write};

/// What to show.
#[derive(Clone, Debug)]
pub struct Options<'f> {
    /// Which bytes.
    pub metric: Metric,
    /// For [`Metric::Temporary`], see [`heaptide_analyze::profile::Options::temporary_within`].
    pub temporary_within: u32,
    /// What amounts are put together by.
    pub by: By,
    /// Most rows; `None`: all.
    pub limit: Option<usize>,
    /// By total instead of own bytes.
    pub by_total: bool,
    /// What was kept of the capture, if not all.
    pub filtered: Option<Filtered<'f>>,
}

fn rows(profile: &Profile, options: &Options<'_>) -> (Vec<GroupAmount>, usize) {
    let mut rows = by_group(profile, options.metric, options.by);
    if options.by_total {
        // Stable: of equal totals the one with more of its own stays first.
        rows.sort_by_key(|row| std::cmp::Reverse(row.total.bytes));
    }
    let all = rows.len();
    rows.truncate(options.limit.unwrap_or(all));
    (rows, all)
}

/// Writes the table.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    context: &Context<'_>,
    profile: &Profile,
    options: &Options<'_>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (metric, whole) = (options.metric, profile.total.of(options.metric).bytes);
    context.write_title(style, &headline(profile, metric, options.temporary_within), out)?;
    if let Some(filtered) = &options.filtered {
        filtered.write_text(&title_within(profile, metric, options.temporary_within), style, out)?;
        writeln!(out)?;
    }
    let (rows, all) = rows(profile, options);
    let mut table = Table::new(&["own", "share", "total", "share", "count", options.by.name()]);
    for row in &rows {
        table.push([
            size(row.own.bytes),
            share(row.own.bytes, whole),
            size(row.total.bytes),
            share(row.total.bytes, whole),
            count(row.own.count),
            name_and_place(row, options.by, style),
        ]);
    }
    table.write(style, out)?;
    let bare = profile.bare.of(metric);
    if bare.count > 0 {
        writeln!(out, "\n{} in {} blocks have no stack.", size(bare.bytes), count(bare.count))?;
    }
    if rows.len() < all {
        let what = options.by.name();
        writeln!(out, "\n{} more {what}s; show them with --limit 0.", count((all - rows.len()) as u64))?;
    }
    Ok(())
}

fn name_and_place(row: &GroupAmount, by: By, style: Style) -> String {
    let name = visible(&row.name);
    let file = || short_file(row.kind, &row.file);
    match by {
        By::Package | By::Module => name,
        // Whole: it is the name.
        By::File => name,
        By::Function => format!("{name}  {}", style.dim(&file())),
        By::Line => {
            let place = if row.line > 0 { format!("{}:{}", file(), row.line) } else { file() };
            format!("{name}  {}", style.dim(&with_source(place, row.source.as_deref())))
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    figures: Figures,
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<JsonFilter<JsonAmount>>,
    /// By function only.
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<Vec<Function<'a>>>,
    /// By anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Group<'a>>>,
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    /// Of a file and a line.
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    kind: &'static str,
    own: JsonAmount,
    total: JsonAmount,
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
pub fn write_json(
    context: &Context<'_>,
    profile: &Profile,
    options: &Options<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (rows, _) = rows(profile, options);
    let functions = rows.iter().map(|row| Function {
        function: &row.name,
        file: &row.file,
        kind: row.kind.name(),
        own: row.own.into(),
        total: row.total.into(),
    });
    let groups = rows.iter().map(|row| Group {
        name: &row.name,
        file: &row.file,
        line: (row.line > 0).then_some(row.line),
        source: row.source.as_deref(),
        kind: row.kind.name(),
        own: row.own.into(),
        total: row.total.into(),
    });
    let by_function = options.by == By::Function;
    let report = Report {
        head: Head::new("summary", context),
        figures: Figures::new(profile, options.metric),
        by: options.by.name(),
        filter: options.filtered.as_ref().map(|filtered| {
            let left_out: Amount = filtered.left_out.iter().map(|(_, amount)| *amount).sum();
            JsonFilter::new(filtered.filter, left_out.into())
        }),
        functions: by_function.then(|| functions.collect()),
        groups: (!by_function).then(|| groups.collect()),
    };
    json::write(&report, out)
}
