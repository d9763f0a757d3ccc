//! `stats`: a capture in figures, and what tracing cost and missed.

use crate::context::{Context, Style, place_and_source};
use crate::json::{self, Head, JsonAmount, JsonFrame};
use crate::marks::{self, JsonMark};
use crate::processes;
use crate::table::Table;
use crate::units::{count, share, size, time, visible};
use crate::unseen::{self, JsonUnseen};
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_analyze::sites::{by_module, by_site};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::summary::{Amount, Totals};
use heaptide_format::ids::ImageIndex;
use serde::Serialize;
use std::io::{self, Write};

/// Width of the longest bar of the histogram, in characters.
const BAR: u64 = 40;

/// Writes all sections; `limit` is the most sites, modules, processes and unseen allocators, `None` all.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    context: &Context<'_>,
    profile: &Profile,
    limit: Option<usize>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let totals = &context.capture.account.totals;
    context.write_title(style, "statistics", out)?;
    write_totals(context, totals, out)?;
    let limit = limit.unwrap_or(usize::MAX);

    writeln!(out, "\n{}", style.bold("Sizes of allocations"))?;
    write_histogram(totals, style, out)?;

    writeln!(out, "\n{}", style.bold("Allocators"))?;
    let mut allocators = Table::new(&["calls", "bytes", "function"]);
    for (allocator, amount) in allocator_mix(totals) {
        allocators.push([count(amount.count), size(amount.bytes), allocator.name().to_owned()]);
    }
    allocators.write(style, out)?;

    let whole = profile.total.of(Metric::Peak).bytes;
    writeln!(out, "\n{}", style.bold("Largest sites at the peak"))?;
    let mut sites = Table::new(&["bytes", "share", "blocks", "site"]);
    for site in by_site(profile, Metric::Peak).iter().filter(|site| site.amount.bytes > 0).take(limit) {
        let text = format!("{}  {}", visible(&site.frame.function), style.dim(&place_and_source(&site.frame)));
        sites.push([size(site.amount.bytes), share(site.amount.bytes, whole), count(site.amount.count), text]);
    }
    sites.write(style, out)?;

    writeln!(out, "\n{}", style.bold("Largest modules at the peak"))?;
    let mut modules = Table::new(&["bytes", "share", "blocks", "module"]);
    for (module, amount) in by_module(profile, Metric::Peak).iter().filter(|(_, a)| a.bytes > 0).take(limit) {
        modules.push([size(amount.bytes), share(amount.bytes, whole), count(amount.count), visible(module)]);
    }
    modules.write(style, out)?;

    if context.capture.names.images().len() > 1 {
        writeln!(out, "\n{}", style.bold("Processes"))?;
        processes::write_text(context, limit, style, out)?;
    }
    marks::write_text(context.capture, style, out)?;
    unseen::write_text(context.capture, &images_of(context), limit, style, out)?;
    writeln!(out, "\n{}", style.bold("The tracer"))?;
    write_tracer(totals, out)
}

fn images_of(context: &Context<'_>) -> Vec<ImageIndex> {
    // A process that is not there was refused before.
    context.capture.images_of(context.pid).unwrap_or_default()
}

fn write_totals(context: &Context<'_>, totals: &Totals, out: &mut dyn Write) -> io::Result<()> {
    let amount = |amount: Amount| format!("{} in {} blocks", size(amount.bytes), count(amount.count));
    let mut line = |name: &str, value: String| writeln!(out, "{name:<14}{value}");
    line("peak", format!("{}, {} after the start", amount(totals.peak), time(totals.peak_at)))?;
    line("at the end", amount(totals.leaked))?;
    if totals.left != totals.leaked {
        line("after cleanup", format!("{}, when interpreters had finalized", amount(totals.left)))?;
    }
    let allocated = totals.allocated;
    line("allocated", format!("{} in {} allocations", size(allocated.bytes), count(allocated.count)))?;
    line("freed", format!("{} blocks, and {} that were never seen", count(totals.freed), count(totals.freed_unknown)))?;
    line("reallocated", format!("{} times", count(totals.reallocated)))?;
    if totals.peak_rss > 0 {
        line("highest RSS", size(totals.peak_rss))?;
    }
    let other = totals.other_mappings;
    let files = format!("{} at the most, {} at the end", size(totals.other_mappings_peak), size(other.bytes));
    line("not heap", format!("{files} (file maps, reservations, thread stacks)"))?;
    line("duration", time(totals.duration))?;
    let per_second = events_per_second(totals).map_or(String::new(), |rate| format!(", {} a second", count(rate)));
    line("events", format!("{}{per_second}", count(totals.events)))?;
    if let Some(status) = context.capture.status {
        line("exit status", status.to_string())?;
    }
    Ok(())
}

/// `None` for a run without length.
fn events_per_second(totals: &Totals) -> Option<u64> {
    (totals.duration.0 > 0).then(|| (totals.events as f64 / totals.duration.seconds()) as u64)
}

/// (least, most, amount) of each class of sizes up to the largest in use.
fn size_classes(totals: &Totals) -> Vec<(u64, u64, Amount)> {
    let bounds = |bits: u32| match bits {
        0 => (0, 0),
        _ => (1u64 << (bits - 1), u64::MAX >> (64 - bits)),
    };
    let mut classes: Vec<_> = totals
        .sizes
        .iter()
        .take(65)
        .zip(0u32..)
        .map(|(amount, bits)| (bounds(bits).0, bounds(bits).1, *amount))
        .collect();
    while classes.last().is_some_and(|(.., amount)| amount.count == 0) {
        classes.pop();
    }
    classes
}

fn write_histogram(totals: &Totals, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let classes = size_classes(totals);
    let most = classes.iter().map(|(.., amount)| amount.count).max().unwrap_or(0).max(1);
    let first = classes.iter().position(|(.., amount)| amount.count > 0).unwrap_or(0);
    let mut table = Table::new(&["up to", "count", "bytes", ""]);
    for (_, up_to, amount) in &classes[first..] {
        // Rounded up: what is there is seen.
        let bar = (u128::from(amount.count) * u128::from(BAR)).div_ceil(u128::from(most)) as usize;
        table.push([size(*up_to), count(amount.count), size(amount.bytes), "█".repeat(bar)]);
    }
    table.write(style, out)
}

/// Allocators in use, the most calls first.
fn allocator_mix(totals: &Totals) -> Vec<(Allocator, Amount)> {
    let numbered = totals.allocators.iter().zip(0u8..=u8::MAX).filter(|(amount, _)| amount.count > 0);
    let mut mix: Vec<_> =
        numbered.filter_map(|(amount, number)| Some((Allocator::from_number(number)?, *amount))).collect();
    mix.sort_by_key(|(allocator, amount)| (std::cmp::Reverse(amount.count), *allocator));
    mix
}

fn write_tracer(totals: &Totals, out: &mut dyn Write) -> io::Result<()> {
    let tracer = &totals.tracer;
    let mut line = |name: &str, value: String| writeln!(out, "{name:<22}{value}");
    line("events lost", count(tracer.lost))?;
    line("inconsistent events", count(tracer.inconsistent))?;
    line("stacks cut", count(tracer.cut_stacks))?;
    line("without any frame", count(tracer.bare))?;
    line("processes refused", count(tracer.refused))?;
    line("waits for the tracer", format!("{}, {} in all", count(tracer.waits), time(tracer.waited)))?;
    line("collector's processor", time(tracer.collector_cpu))?;
    line("collector's memory", size(tracer.collector_rss))?;
    line("in the program", size(tracer.shim_bytes))
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    heaptide: &'a str,
    architecture: &'a str,
    started_unix: u64,
    python_allocators: bool,
    aggregate: bool,
    status: Option<i32>,
    duration_ns: u64,
    events: u64,
    events_per_second: Option<u64>,
    peak: JsonAmount,
    peak_at_ns: u64,
    leaked: JsonAmount,
    left: JsonAmount,
    allocated: JsonAmount,
    freed: u64,
    freed_unknown: u64,
    reallocated: u64,
    peak_rss_bytes: u64,
    other_mappings: JsonAmount,
    other_mappings_peak_bytes: u64,
    sizes: Vec<SizeClass>,
    allocators: Vec<JsonAllocator>,
    sites: Vec<JsonSite<'a>>,
    modules: Vec<JsonModule<'a>>,
    processes: Vec<processes::JsonProcess<'a>>,
    marks: Vec<JsonMark<'a>>,
    unseen_allocators: JsonUnseen<'a>,
    tracer: Tracer,
    timeline: Vec<Point>,
}

#[derive(Serialize)]
struct SizeClass {
    least: u64,
    most: u64,
    #[serde(flatten)]
    amount: JsonAmount,
}

#[derive(Serialize)]
struct JsonAllocator {
    allocator: &'static str,
    #[serde(flatten)]
    amount: JsonAmount,
}

#[derive(Serialize)]
struct JsonSite<'a> {
    #[serde(flatten)]
    frame: JsonFrame<'a>,
    #[serde(flatten)]
    amount: JsonAmount,
}

#[derive(Serialize)]
struct JsonModule<'a> {
    module: &'a str,
    #[serde(flatten)]
    amount: JsonAmount,
}

#[derive(Serialize)]
struct Tracer {
    lost: u64,
    inconsistent: u64,
    cut_stacks: u64,
    bare: u64,
    refused: u64,
    waits: u64,
    waited_ns: u64,
    collector_cpu_ns: u64,
    collector_rss_bytes: u64,
    shim_bytes: u64,
}

#[derive(Serialize)]
struct Point {
    time_ns: u64,
    live_bytes: u64,
    live_high_bytes: u64,
    /// `null` if it was not measured.
    rss_bytes: Option<u64>,
}

/// Writes the same as JSON, with the timeline; `limit` is the most sites and modules.
///
/// # Errors
/// Those of writing.
pub fn write_json(
    context: &Context<'_>,
    profile: &Profile,
    limit: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let capture = context.capture;
    let (run, totals) = (&capture.run, &capture.account.totals);
    let limit = limit.unwrap_or(usize::MAX);
    let sites = by_site(profile, Metric::Peak);
    let modules = by_module(profile, Metric::Peak);
    let report = Report {
        head: Head::new("stats", context),
        heaptide: &run.heaptide,
        architecture: &run.architecture,
        started_unix: run.started_unix,
        python_allocators: run.python_allocators,
        aggregate: run.aggregate,
        status: capture.status,
        duration_ns: totals.duration.0,
        events: totals.events,
        events_per_second: events_per_second(totals),
        peak: totals.peak.into(),
        peak_at_ns: totals.peak_at.0,
        leaked: totals.leaked.into(),
        left: totals.left.into(),
        allocated: totals.allocated.into(),
        freed: totals.freed,
        freed_unknown: totals.freed_unknown,
        reallocated: totals.reallocated,
        peak_rss_bytes: totals.peak_rss,
        other_mappings: totals.other_mappings.into(),
        other_mappings_peak_bytes: totals.other_mappings_peak,
        sizes: size_classes(totals)
            .into_iter()
            .map(|(least, most, amount)| SizeClass { least, most, amount: amount.into() })
            .collect(),
        allocators: allocator_mix(totals)
            .into_iter()
            .map(|(allocator, amount)| JsonAllocator { allocator: allocator.name(), amount: amount.into() })
            .collect(),
        sites: sites
            .iter()
            .take(limit)
            .map(|site| JsonSite { frame: (&site.frame).into(), amount: site.amount.into() })
            .collect(),
        modules: modules
            .iter()
            .take(limit)
            .map(|(module, amount)| JsonModule { module, amount: (*amount).into() })
            .collect(),
        processes: processes::list(context),
        marks: marks::list(capture),
        unseen_allocators: JsonUnseen::new(capture, &images_of(context)),
        tracer: tracer(totals),
        timeline: capture
            .timeline
            .iter()
            .map(|sample| Point {
                time_ns: sample.time.0,
                live_bytes: sample.live,
                live_high_bytes: sample.live_high,
                rss_bytes: (sample.rss > 0).then_some(sample.rss),
            })
            .collect(),
    };
    json::write(&report, out)
}

fn tracer(totals: &Totals) -> Tracer {
    let tracer = &totals.tracer;
    Tracer {
        lost: tracer.lost,
        inconsistent: tracer.inconsistent,
        cut_stacks: tracer.cut_stacks,
        bare: tracer.bare,
        refused: tracer.refused,
        waits: tracer.waits,
        waited_ns: tracer.waited.0,
        collector_cpu_ns: tracer.collector_cpu.0,
        collector_rss_bytes: tracer.collector_rss,
        shim_bytes: tracer.shim_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_end_with_the_largest_in_use() {
        let mut totals = Totals::new();
        totals.sizes[0] = Amount { bytes: 0, count: 1 };
        totals.sizes[3] = Amount { bytes: 9, count: 2 };
        let bounds: Vec<_> = size_classes(&totals).iter().map(|(least, most, _)| (*least, *most)).collect();
        assert_eq!(bounds, [(0, 0), (1, 1), (2, 3), (4, 7)]);
        totals.sizes[64] = Amount { bytes: 1, count: 1 };
        assert_eq!(size_classes(&totals).last().map(|class| class.1), Some(u64::MAX));
    }
}
