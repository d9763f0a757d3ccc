//! `lifetimes`: how long blocks live, and how large they are, as histograms.

use crate::context::{Context, Style, place_and_source};
use crate::json::{self, Head, JsonAmount, JsonFrame};
use crate::table::Table;
use crate::units::{count, share, size, visible};
use heaptide_analyze::lifetimes::{CLASSES, Lifetimes, SiteLifetimes, TO_THE_END};
use heaptide_analyze::profile::Profile;
use heaptide_format::capture::summary::Amount;
use serde::Serialize;
use std::io::{self, Write};

/// What a class is called.
fn name(class: usize) -> &'static str {
    const NAMES: [&str; CLASSES] = [
        "under 1 ms",
        "1 to 10 ms",
        "10 to 100 ms",
        "0.1 to 1 s",
        "1 to 10 s",
        "10 to 100 s",
        "100 s and more",
        "to the end",
    ];
    NAMES[class]
}

/// Characters of the longest bar.
const WIDEST: u64 = 40;

/// A bar as long as this part of the longest is; one of something is never empty.
fn bar(part: u64, longest: u64) -> String {
    let eighths = (u128::from(part) * u128::from(WIDEST) * 8).div_ceil(u128::from(longest.max(1))) as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{rest}", "█".repeat(eighths / 8))
}

/// Writes the histograms, then a line for each site.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    context: &Context<'_>,
    profile: &Profile,
    (all, sites): (&Lifetimes, &[SiteLifetimes]),
    limit: Option<usize>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let total = all.total();
    let title = format!("how long blocks lived: {} in {} blocks", size(total.bytes), count(total.count));
    context.write_title(style, &title, out)?;
    let rows = all.0.iter().enumerate().map(|(class, amount)| (name(class).to_owned(), *amount));
    write_bars("lived", rows.collect(), total, style, out)?;

    writeln!(out, "\n{}", style.bold("How large they were"))?;
    let sizes = &context.capture.account.totals.sizes;
    let class = |(bits, amount): (usize, &Amount)| {
        let from = if bits == 0 { 0 } else { 1u64 << (bits - 1) };
        let text = if bits < 2 { from.to_string() } else { format!("from {}", size(from)) };
        (text, *amount)
    };
    let sizes: Vec<(String, Amount)> =
        sizes.iter().take(64).enumerate().filter(|(_, amount)| amount.count > 0).map(class).collect();
    let total = sizes.iter().map(|(_, amount)| *amount).sum();
    write_bars("bytes", sizes, total, style, out)?;

    writeln!(out, "\n{}", style.bold("By site"))?;
    let mut table = Table::new(&["blocks", "bytes", "half lived", "to the end", "site"]);
    let shown = limit.unwrap_or(usize::MAX);
    for site in sites.iter().take(shown) {
        let (frame, total) = (profile.frame(site.node), site.lifetimes.total());
        let median = match site.lifetimes.median() {
            TO_THE_END => name(TO_THE_END).to_owned(),
            class => Lifetimes::limits(class).1.map_or(name(class).into(), |_| format!("up to {}", upper(class))),
        };
        table.push([
            count(total.count),
            size(total.bytes),
            median,
            share(site.lifetimes.0[TO_THE_END].count, total.count),
            format!("{}  {}", visible(&frame.function), style.dim(&place_and_source(frame))),
        ]);
    }
    table.write(style, out)?;
    if sites.len() > shown {
        writeln!(out, "\n{} more sites; show them with --limit 0.", count((sites.len() - shown) as u64))?;
    }
    Ok(())
}

/// The upper limit of a class that has one.
fn upper(class: usize) -> &'static str {
    ["1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s"].get(class).copied().unwrap_or("")
}

fn write_bars(
    what: &str,
    rows: Vec<(String, Amount)>,
    total: Amount,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let most = rows.iter().map(|(_, amount)| amount.count).max().unwrap_or(0);
    let mut table = Table::new(&[what, "blocks", "share", "bytes", "share", ""]);
    for (name, amount) in rows {
        table.push([
            name,
            count(amount.count),
            share(amount.count, total.count),
            size(amount.bytes),
            share(amount.bytes, total.bytes),
            bar(amount.count, most),
        ]);
    }
    table.write(style, out)
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    lifetimes: Vec<Class>,
    sizes: Vec<SizeClass>,
    sites: Vec<Site<'a>>,
}

#[derive(Serialize)]
struct Class {
    name: &'static str,
    /// Nanoseconds; `null`: to the end.
    from_ns: Option<u64>,
    /// `null`: no limit.
    below_ns: Option<u64>,
    #[serde(flatten)]
    amount: JsonAmount,
}

#[derive(Serialize)]
struct SizeClass {
    from: u64,
    #[serde(flatten)]
    amount: JsonAmount,
}

#[derive(Serialize)]
struct Site<'a> {
    lifetimes: Vec<JsonAmount>,
    #[serde(flatten)]
    frame: JsonFrame<'a>,
}

/// Writes the same as JSON.
///
/// # Errors
/// Those of writing.
pub fn write_json(
    context: &Context<'_>,
    profile: &Profile,
    (all, sites): (&Lifetimes, &[SiteLifetimes]),
    limit: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let class = |(class, amount): (usize, &Amount)| {
        let (from, below) = Lifetimes::limits(class);
        let from_ns = (class != TO_THE_END).then_some(from);
        Class { name: name(class), from_ns, below_ns: below, amount: (*amount).into() }
    };
    let sizes = context.capture.account.totals.sizes.iter().take(64).enumerate();
    let report = Report {
        head: Head::new("lifetimes", context),
        lifetimes: all.0.iter().enumerate().map(class).collect(),
        sizes: sizes
            .filter(|(_, amount)| amount.count > 0)
            .map(|(bits, amount)| SizeClass {
                from: if bits == 0 { 0 } else { 1 << (bits - 1) },
                amount: (*amount).into(),
            })
            .collect(),
        sites: sites
            .iter()
            .take(limit.unwrap_or(usize::MAX))
            .map(|site| Site {
                lifetimes: site.lifetimes.0.iter().map(|amount| (*amount).into()).collect(),
                frame: profile.frame(site.node).into(),
            })
            .collect(),
    };
    json::write(&report, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert_eq!(bar(10, 10), "█".repeat(40));
        assert_eq!(bar(5, 10), "█".repeat(20));
        assert_eq!(bar(1, 1_000_000), "▏");
        assert_eq!(bar(0, 10), "");
        assert_eq!(bar(0, 0), "");
    }
}
