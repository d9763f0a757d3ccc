//! `peak`: how far the peak would fall without each site.

use crate::context::{Context, Style, headline, place_and_source};
use crate::json::{self, Figures, Head, JsonAmount, JsonFrame};
use crate::table::Table;
use crate::units::{count, share, size, time, visible};
use heaptide_analyze::peaks::SitePeak;
use heaptide_analyze::profile::{Metric, Profile};
use serde::Serialize;
use std::io::{self, Write};

/// Writes a line for each site, `limit` at most.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    context: &Context<'_>,
    profile: &Profile,
    sites: &[SitePeak],
    limit: Option<usize>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    context.write_title(style, &headline(profile, Metric::Peak, 0), out)?;
    let peak = profile.total.of(Metric::Peak).bytes;
    let mut table = Table::new(&["falls by", "share", "to", "then at", "has at the peak", "without this site"]);
    let shown = limit.unwrap_or(usize::MAX);
    for site in sites.iter().take(shown) {
        let frame = profile.frame(site.node);
        let falls = site.falls_by(peak);
        table.push([
            size(falls),
            share(falls, peak),
            size(site.without.bytes),
            time(site.without.at),
            size(site.at_peak.bytes),
            format!("{}  {}", visible(&frame.function), style.dim(&place_and_source(frame))),
        ]);
    }
    if table.is_empty() {
        return writeln!(out, "Without any one site the peak would be as high.");
    }
    table.write(style, out)?;
    if sites.len() > shown {
        writeln!(out, "\n{} more sites; show them with --limit 0.", count((sites.len() - shown) as u64))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    figures: Figures,
    sites: Vec<Site<'a>>,
}

#[derive(Serialize)]
struct Site<'a> {
    falls_by: u64,
    without: u64,
    without_at_ns: u64,
    at_peak: JsonAmount,
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
    sites: &[SitePeak],
    limit: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let peak = profile.total.of(Metric::Peak).bytes;
    let site = |site: &SitePeak| Site {
        falls_by: site.falls_by(peak),
        without: site.without.bytes,
        without_at_ns: site.without.at.0,
        at_peak: site.at_peak.into(),
        frame: profile.frame(site.node).into(),
    };
    let report = Report {
        head: Head::new("peak", context),
        figures: Figures::new(profile, Metric::Peak),
        sites: sites.iter().take(limit.unwrap_or(usize::MAX)).map(site).collect(),
    };
    json::write(&report, out)
}
