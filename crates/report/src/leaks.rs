//! `leaks`: what was live at the end, the program's own first.

use crate::context::{Context, Style, frame_and_source, headline, place_and_source};
use crate::json::{self, Head, JsonAmount, JsonFrame, JsonStack};
use crate::table::Table;
use crate::units::{count, share, size, visible};
use heaptide_analyze::frames::Frame;
use heaptide_analyze::leaks::{Leak, Leaks, Origin};
use heaptide_analyze::profile::{Metric, Profile};
use serde::Serialize;
use std::io::{self, Write};

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most sites and most stacks; `None`: all.
    pub limit: Option<usize>,
    /// Also what the import system, the interpreter and other programs left.
    pub all: bool,
}

fn shown<'l>(leaks: &'l [Leak], options: &Options) -> impl Iterator<Item = &'l Leak> + use<'l> {
    let Options { all, limit } = *options;
    leaks.iter().filter(move |leak| all || leak.origin == Origin::Program).take(limit.unwrap_or(usize::MAX))
}

/// Writes sites, then stacks.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    context: &Context<'_>,
    profile: &Profile,
    leaks: &Leaks,
    options: &Options,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    context.write_title(style, &headline(profile, Metric::Leaked, 0), out)?;
    let mut origins = Table::new(&["bytes", "share", "blocks", "left by"]);
    for origin in Origin::ALL {
        let amount = leaks.of_origin(origin);
        let who = match origin {
            Origin::Program => "the program",
            Origin::Import => "the import system (code and names of loaded modules)",
            Origin::Interpreter => "the interpreter itself",
            Origin::Other if amount.count == 0 => continue,
            Origin::Other => "programs beside it that are no Python",
        };
        let cells = [size(amount.bytes), share(amount.bytes, leaks.total.bytes), count(amount.count), who.to_owned()];
        origins.push(cells);
    }
    origins.write(style, out)?;

    let mut sites = Table::new(&["bytes", "blocks", "site"]);
    for leak in shown(&leaks.sites, options) {
        let site = profile.frame(leak.node);
        let origin = if options.all { format!("  [{}]", leak.origin.name()) } else { String::new() };
        let text = format!("{}  {}{}", visible(&site.function), style.dim(&place_and_source(site)), style.dim(&origin));
        sites.push([size(leak.amount.bytes), count(leak.amount.count), text]);
    }
    if sites.is_empty() {
        return writeln!(out, "\nNothing of the program's own was live at the end.");
    }
    writeln!(out, "\n{}", style.bold("By site"))?;
    sites.write(style, out)?;

    writeln!(out, "\n{}", style.bold("By stack"))?;
    for leak in shown(&leaks.stacks, options) {
        writeln!(out, "{} in {} blocks", style.bold(&size(leak.amount.bytes)), count(leak.amount.count))?;
        write_stack(profile.path(leak.node), style, out)?;
    }
    let left_out = leaks.stacks.len() - shown(&leaks.stacks, options).count();
    if left_out > 0 {
        writeln!(out, "{} more stacks; show them with --limit 0 --all.", count(left_out as u64))?;
    }
    Ok(())
}

/// Frames of a stack printed at each end before the middle is left out.
const ENDS: usize = 25;

/// Writes a stack, innermost frame first.
pub(crate) fn write_stack<'f>(
    path: impl Iterator<Item = &'f Frame>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let path: Vec<_> = path.collect();
    let left_out = path.len().saturating_sub(2 * ENDS);
    let (first, rest) = path.split_at(path.len().min(ENDS));
    for place in first {
        writeln!(out, "    {}", frame_and_source(place, style))?;
    }
    if left_out > 0 {
        writeln!(out, "    {}", style.dim(&format!("… {left_out} frames …")))?;
    }
    for place in &rest[left_out..] {
        writeln!(out, "    {}", frame_and_source(place, style))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    total: JsonAmount,
    program: JsonAmount,
    import: JsonAmount,
    interpreter: JsonAmount,
    other: JsonAmount,
    sites: Vec<Site<'a>>,
    stacks: Vec<Stack<'a>>,
}

#[derive(Serialize)]
struct Site<'a> {
    #[serde(flatten)]
    amount: JsonAmount,
    origin: &'static str,
    #[serde(flatten)]
    frame: JsonFrame<'a>,
}

#[derive(Serialize)]
struct Stack<'a> {
    #[serde(flatten)]
    amount: JsonAmount,
    origin: &'static str,
    frames: JsonStack<'a>,
}

/// Writes the same as JSON.
///
/// # Errors
/// Those of writing.
pub fn write_json(
    context: &Context<'_>,
    profile: &Profile,
    leaks: &Leaks,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let site = |leak: &Leak| Site {
        amount: leak.amount.into(),
        origin: leak.origin.name(),
        frame: profile.frame(leak.node).into(),
    };
    let stack = |leak: &Leak| Stack {
        amount: leak.amount.into(),
        origin: leak.origin.name(),
        frames: JsonStack { tree: &profile.tree, frames: &profile.frames, node: leak.node },
    };
    let report = Report {
        head: Head::new("leaks", context),
        total: leaks.total.into(),
        program: leaks.of_origin(Origin::Program).into(),
        import: leaks.of_origin(Origin::Import).into(),
        interpreter: leaks.of_origin(Origin::Interpreter).into(),
        other: leaks.of_origin(Origin::Other).into(),
        sites: shown(&leaks.sites, options).map(site).collect(),
        stacks: shown(&leaks.stacks, options).map(stack).collect(),
    };
    json::write(&report, out)
}
