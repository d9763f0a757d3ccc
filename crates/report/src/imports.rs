//! `imports`: what each module cost that was imported, as a tree of who imported whom, and by package.

use crate::context::{self, Context, Style, short_file, title};
use crate::json::{self, Head, JsonAmount, JsonFrame};
use crate::table::Table;
use crate::units::{count, share, size, visible};
use heaptide_analyze::frames::FrameKind;
use heaptide_analyze::imports::{Entry, Imports, What};
use heaptide_analyze::profile::Metric;
use heaptide_format::capture::summary::Amount;
use serde::Serialize;
use std::io::{self, Write};

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which bytes.
    pub metric: Metric,
    /// Modules that cost less than this many percent of all imports, with what they import, are put together.
    pub least_percent: f64,
    /// A table of packages instead of the tree.
    pub packages: bool,
}

/// Levels that are still indented.
const DEEPEST_INDENT: usize = 32;

/// Writes the tree or the table.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    context: &Context<'_>,
    imports: &Imports,
    options: &Options,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let whole = imports.imports.bytes;
    let all: u64 = whole.saturating_add(imports.rest.bytes);
    let modules = imports.entries.iter().filter(|entry| entry.what == What::Module).count();
    let headline = format!(
        "imports: {} of {} {}, {} modules",
        size(whole),
        size(all),
        title(options.metric, 1),
        count(modules as u64)
    );
    context.write_title(style, &headline, out)?;
    if whole == 0 {
        return writeln!(out, "Nothing was imported, or the stacks do not show it.");
    }
    match options.packages {
        true => write_packages(imports, style, out)?,
        false => write_tree(imports, options, style, out)?,
    }
    writeln!(
        out,
        "\n{} are not the imports': what the program and the interpreter asked for.",
        size(imports.rest.bytes)
    )?;
    if !context.capture.run.python_allocators {
        let what = "Arenas of small objects count where they were mapped; --python-allocators counts each object where it was made.";
        writeln!(out, "{}", style.dim(what))?;
    }
    Ok(())
}

fn write_tree(imports: &Imports, options: &Options, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let whole = imports.imports.bytes;
    let least = (whole as f64 * options.least_percent / 100.0).ceil() as u64;
    writeln!(out, "{}", style.dim(&format!("{:>10} {:>6} {:>10}  {}", "with all", "share", "own", "module")))?;
    let mut depths: Vec<usize> = Vec::with_capacity(imports.entries.len());
    // What is too small beside the last shown of each level is said behind it and all that it imports.
    let mut small: Vec<(usize, Amount, u64)> = Vec::new();
    for entry in &imports.entries {
        let depth = entry.parent.map_or(0, |parent| depths[parent] + 1);
        depths.push(depth);
        write_small(&mut small, depth + 1, whole, style, out)?;
        if entry.total.bytes >= least.max(1) {
            let indent = "  ".repeat(depth.min(DEEPEST_INDENT));
            let figures = format!("{:>10} {:>6} ", size(entry.total.bytes), share(entry.total.bytes, whole));
            let own = if entry.what == What::Program { String::new() } else { size(entry.own.bytes) };
            writeln!(out, "{figures}{own:>10}  {indent}{}", label(entry, style))?;
        } else if entry.parent.is_none_or(|parent| imports.entries[parent].total.bytes >= least.max(1)) {
            match small.last_mut().filter(|small| small.0 == depth) {
                Some((_, amount, entries)) => {
                    *amount += entry.total;
                    *entries += 1;
                }
                None => small.push((depth, entry.total, 1)),
            }
        }
    }
    write_small(&mut small, 0, whole, style, out)
}

/// Writes what was put together at this depth and below.
fn write_small(
    small: &mut Vec<(usize, Amount, u64)>,
    depth: usize,
    whole: u64,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    while let Some((level, amount, entries)) = small.pop_if(|small| small.0 >= depth) {
        let indent = "  ".repeat(level.min(DEEPEST_INDENT));
        let figures = format!("{:>10} {:>6} {:>10}  ", size(amount.bytes), share(amount.bytes, whole), "");
        writeln!(out, "{}", style.dim(&format!("{figures}{indent}{} smaller", count(entries))))?;
    }
    Ok(())
}

/// What an entry is called, and by whom it was imported if that is not who stands above it.
fn label(entry: &Entry, style: Style) -> String {
    let name = visible(&entry.name);
    let by =
        || entry.importer.as_ref().map_or(String::new(), |frame| format!("  {}", context::place_and_source(frame)));
    let (name, note) = match entry.what {
        What::Module => (name, format!("  {}", short_file(FrameKind::of_python(&entry.file), &entry.file))),
        What::Program => (name, "  the program".to_owned()),
        What::Extension if name.is_empty() => ("a module in C".to_owned(), by()),
        What::Extension => (name, "  in C".to_owned()),
        What::Loads => (loading(&name), by()),
        What::Search => ("looked for, without a body".to_owned(), by()),
    };
    format!("{name}{}", style.dim(&note))
}

/// Names that stand in a line at most; JSON has all.
const MOST_NAMES: usize = 4;

fn loading(names: &str) -> String {
    let names: Vec<&str> = names.split(", ").collect();
    match names.len().checked_sub(MOST_NAMES) {
        Some(more @ 1..) => format!("loading {} and {} more", names[..MOST_NAMES].join(", "), count(more as u64)),
        _ => format!("loading {}", names.join(", ")),
    }
}

fn write_packages(imports: &Imports, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let whole = imports.imports.bytes;
    let mut table = Table::new(&["own", "share", "with all", "share", "modules", "package"]);
    for package in imports.packages() {
        table.push([
            size(package.own.bytes),
            share(package.own.bytes, whole),
            size(package.total.bytes),
            share(package.total.bytes, whole),
            count(package.modules as u64),
            visible(&package.name),
        ]);
    }
    table.write(style, out)
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    metric: &'static str,
    imports: JsonAmount,
    rest: JsonAmount,
    /// Importers before what they import.
    modules: Vec<Module<'a>>,
    packages: Vec<Package>,
}

#[derive(Serialize)]
struct Module<'a> {
    id: usize,
    parent: Option<usize>,
    what: &'static str,
    name: &'a str,
    package: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    importer: Option<JsonFrame<'a>>,
    own: JsonAmount,
    total: JsonAmount,
}

#[derive(Serialize)]
struct Package {
    name: String,
    modules: usize,
    own: JsonAmount,
    total: JsonAmount,
}

/// Writes all of it as JSON.
///
/// # Errors
/// Those of writing.
pub fn write_json(context: &Context<'_>, imports: &Imports, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    let modules = imports.entries.iter().enumerate().map(|(id, entry)| Module {
        id,
        parent: entry.parent,
        what: entry.what.name(),
        name: &entry.name,
        package: &entry.package,
        file: &entry.file,
        importer: entry.importer.as_ref().map(JsonFrame::from),
        own: entry.own.into(),
        total: entry.total.into(),
    });
    let packages = imports.packages().into_iter().map(|package| Package {
        name: package.name.to_string(),
        modules: package.modules,
        own: package.own.into(),
        total: package.total.into(),
    });
    let report = Report {
        head: Head::new("imports", context),
        metric: metric.name(),
        imports: imports.imports.into(),
        rest: imports.rest.into(),
        modules: modules.collect(),
        packages: packages.collect(),
    };
    json::write(&report, out)
}
