//! `leaks`: what was live at the end, the program's own first.

use crate::context::{Context, Style, frame_and_source, headline, place_and_source};
use crate::json::{self, Head, JsonAmount, JsonFrame, JsonStack};
use crate::table::Table;
use crate::types::{self, JsonImage};
use crate::units::{count, share, size, visible};
use heaptide_analyze::frames::Frame;
use heaptide_analyze::leaks::{Leak, Leaks, Origin};
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_analyze::suppressions::Suppressions;
use heaptide_format::capture::summary::Amount;
use serde::Serialize;
use std::io::{self, Write};

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most sites and most stacks; `None`: all.
    pub limit: Option<usize>,
    /// Also what the import system, the interpreter and other programs left.
    pub all: bool,
    /// This part of the run at its end, from 0 to 1, was left out when sites were judged.
    pub newest: f64,
}

fn shown<'l>(leaks: &'l [Leak], options: &Options) -> impl Iterator<Item = &'l Leak> + use<'l> {
    let Options { all, limit, .. } = *options;
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
    let suppressed: Amount = leaks.suppressed.iter().map(|(_, amount)| *amount).sum();
    if suppressed.count > 0 {
        let what = "left out: known to suppressions".to_owned();
        let part = share(suppressed.bytes, leaks.total.bytes);
        origins.push([size(suppressed.bytes), part, count(suppressed.count), what]);
    }
    origins.write(style, out)?;
    write_growing(profile, leaks, options, style, out)?;

    let is_judged = leaks.step.0 > 0;
    let mut sites = match is_judged {
        true => Table::new(&["bytes", "blocks", "verdict", "site"]),
        false => Table::new(&["bytes", "blocks", "site"]),
    };
    for leak in shown(&leaks.sites, options) {
        let site = profile.frame(leak.node);
        let origin = if options.all { format!("  [{}]", leak.origin.name()) } else { String::new() };
        let text = format!("{}  {}{}", visible(&site.function), style.dim(&place_and_source(site)), style.dim(&origin));
        let (bytes, blocks) = (size(leak.amount.bytes), count(leak.amount.count));
        match is_judged {
            true => sites.push([bytes, blocks, verdict(leak), text]),
            false => sites.push([bytes, blocks, text]),
        }
    }
    if sites.is_empty() {
        writeln!(out, "\nNothing of the program's own was live at the end.")?;
        return types::write_growth(context, style, out);
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
    types::write_growth(context, style, out)
}

/// The sites that grow, or that none does.
fn write_growing(
    profile: &Profile,
    leaks: &Leaks,
    options: &Options,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    if leaks.step.0 == 0 {
        return Ok(());
    }
    let left_out = match options.newest > 0.0 {
        true => format!(", the newest {} % left out", (options.newest * 100.0).round()),
        false => String::new(),
    };
    let growing = growing(leaks, options);
    if growing.is_empty() {
        return writeln!(out, "\nNothing of it grows steadily{left_out}.");
    }
    writeln!(out, "\n{}", style.bold(&format!("What grows{left_out}")))?;
    let mut table = Table::new(&["per second", "score", "bytes", "blocks", "verdict", "site"]);
    for leak in growing.iter().take(options.limit.unwrap_or(usize::MAX)) {
        let (rate, score) =
            leak.judged.as_ref().map_or((0.0, 0), |judged| (judged.bytes_per_second, judged.judgement.score));
        let site = profile.frame(leak.node);
        table.push([
            size(rate.round() as u64),
            score.to_string(),
            size(leak.amount.bytes),
            count(leak.amount.count),
            verdict(leak),
            format!("{}  {}", visible(&site.function), style.dim(&place_and_source(site))),
        ]);
    }
    table.write(style, out)
}

/// Those that are to be shown.
fn growing<'l>(leaks: &'l Leaks, options: &Options) -> Vec<&'l Leak> {
    leaks.growing().into_iter().filter(|leak| options.all || leak.origin == Origin::Program).collect()
}

fn verdict(leak: &Leak) -> String {
    leak.judged.as_ref().map_or(String::new(), |judged| judged.judgement.verdict.words().to_owned())
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
    suppressed: Vec<Suppressed<'a>>,
    /// How sites were judged; none: they were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    judged: Option<JsonJudging>,
    /// Sites that grow, the fastest first.
    growing: Vec<Site<'a>>,
    sites: Vec<Site<'a>>,
    stacks: Vec<Stack<'a>>,
    /// Types that grow, where there are two censuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grown: Vec<JsonImage<'a>>,
}

#[derive(Serialize)]
struct Suppressed<'a> {
    pattern: &'a str,
    builtin: bool,
    #[serde(flatten)]
    amount: JsonAmount,
}

#[derive(Serialize)]
struct JsonJudging {
    /// Share of the run that was left out at its end.
    newest: f64,
    /// Of a part of the curves.
    step_ns: u64,
}

#[derive(Serialize)]
struct JsonJudged<'a> {
    verdict: &'static str,
    score: u8,
    bytes_per_second: f64,
    bytes_per_1000_events: f64,
    garbage: JsonAmount,
    highest_bytes: u64,
    curve: &'a [u64],
}

#[derive(Serialize)]
struct Site<'a> {
    #[serde(flatten)]
    amount: JsonAmount,
    origin: &'static str,
    #[serde(flatten)]
    judged: Option<JsonJudged<'a>>,
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
    suppressions: &Suppressions,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    fn site<'a>(profile: &'a Profile, leak: &'a Leak) -> Site<'a> {
        let judged = leak.judged.as_ref().map(|judged| JsonJudged {
            verdict: judged.judgement.verdict.name(),
            score: judged.judgement.score,
            bytes_per_second: judged.bytes_per_second,
            bytes_per_1000_events: judged.bytes_per_1000_events,
            garbage: judged.garbage.into(),
            highest_bytes: judged.highest,
            curve: &judged.curve,
        });
        let frame = profile.frame(leak.node).into();
        Site { amount: leak.amount.into(), origin: leak.origin.name(), judged, frame }
    }
    let stack = |leak: &Leak| Stack {
        amount: leak.amount.into(),
        origin: leak.origin.name(),
        frames: JsonStack { tree: &profile.tree, frames: &profile.frames, node: leak.node },
    };
    let (images, type_stacks) = types::of_context(context);
    let report = Report {
        head: Head::new("leaks", context),
        total: leaks.total.into(),
        program: leaks.of_origin(Origin::Program).into(),
        import: leaks.of_origin(Origin::Import).into(),
        interpreter: leaks.of_origin(Origin::Interpreter).into(),
        other: leaks.of_origin(Origin::Other).into(),
        suppressed: leaks
            .suppressed
            .iter()
            .map(|(place, amount)| {
                let pattern = &suppressions.patterns()[*place];
                Suppressed { pattern: &pattern.text, builtin: pattern.is_builtin, amount: (*amount).into() }
            })
            .collect(),
        judged: (leaks.step.0 > 0).then_some(JsonJudging { newest: options.newest, step_ns: leaks.step.0 }),
        growing: growing(leaks, options)
            .into_iter()
            .take(options.limit.unwrap_or(usize::MAX))
            .map(|leak| site(profile, leak))
            .collect(),
        sites: shown(&leaks.sites, options).map(|leak| site(profile, leak)).collect(),
        stacks: shown(&leaks.stacks, options).map(stack).collect(),
        grown: types::json(&images, &type_stacks, false),
    };
    json::write(&report, out)
}
