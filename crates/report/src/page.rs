//! A profile or a difference as the interactive page wants it.

mod cells;
mod course;
mod leaks;
mod types;

use crate::context::{Context, headline_in};
use crate::diff::words;
use crate::html::{
    Amounts, FlamePage, FrameKind as PageKind, Metric as PageMetric, PageCell, PageFrame, PageMark, PageNode, TimePoint,
};
use crate::timeline::with_peak;
use crate::units::{count, page_size, share, time};
use heaptide_analyze::call_tree::CallTree;
use heaptide_analyze::course::Course;
use heaptide_analyze::diff::Diff;
use heaptide_analyze::frames::{Frame, FrameKind};
use heaptide_analyze::instants::Span;
use heaptide_analyze::packages::owners;
use heaptide_analyze::profile::{Amounts as AmountsOf, Metric, Profile};
use std::sync::Arc;

pub use leaks::leaks_section;
pub use types::types_section;

/// The page of one capture, showing this metric first; with the course of the same part of the run, if that is known.
pub fn of_profile(
    context: &Context<'_>,
    profile: &Profile,
    course: Option<Course>,
    metric: Metric,
    temporary_within: u32,
) -> FlamePage {
    let capture = context.capture;
    let metrics = profile.metrics.iter().map(|metric| match profile.span {
        Span::At(_) => live(page_metric(*metric, &profile.own)),
        span => PageMetric { label: label(*metric, span).to_owned(), ..page_metric(*metric, &profile.own) },
    });
    let mut page = FlamePage {
        title: format!("heaptide: {}", context.command()),
        facts: facts(context, profile, temporary_within),
        warnings: context.warnings.clone(),
        frames: page_frames(&profile.frames),
        nodes: page_nodes(&profile.tree),
        cells: page_cells(&profile.tree),
        metrics: metrics.collect(),
        default_metric: profile.metrics.iter().position(|shown| *shown == metric).unwrap_or(0),
        inverted: false,
        temporary_within,
        span: (profile.span != Span::Whole).then(|| {
            let (from, to) = profile.span.ends();
            [from, to].map(|position| position.time(capture.account.totals.duration).seconds())
        }),
        marks: capture
            .marks
            .iter()
            .map(|mark| PageMark { seconds: mark.time.seconds(), name: mark.name.clone() })
            .collect(),
        censuses: capture.censuses.iter().map(|census| census.time.seconds()).collect(),
        started_unix: capture.run.started_unix,
        peak_at_seconds: Some(profile.peak_at.seconds()),
        ..FlamePage::default()
    };
    // The timeline is that of the whole tree of processes.
    if context.pid.is_none() {
        page.timeline = with_peak(capture)
            .iter()
            .map(|sample| TimePoint { seconds: sample.time.seconds(), live: sample.live, rss: sample.rss })
            .collect();
    }
    let bare = add_bare(&mut page, &profile.metrics, &profile.bare, None);
    if let Some(course) = course {
        course::add(&mut page, context, profile, bare, course, metric);
    }
    page
}

/// The page of a difference, showing this metric first.
pub fn of_diff(before: &Context<'_>, after: &Context<'_>, diff: &Diff, metric: Metric) -> FlamePage {
    let metrics = diff.metrics.iter().copied().map(|metric| {
        let PageMetric { bytes, counts, .. } = page_metric(metric, &diff.before);
        let after = page_metric(metric, &diff.after);
        let after = if diff.of_instants { live(after) } else { after };
        PageMetric { before: Some(Amounts { bytes, counts }), ..after }
    });
    let metrics: Vec<PageMetric> = metrics.collect();
    let named = |context: &Context<'_>| match context.span.words() {
        span if span.is_empty() => format!("{} ({})", context.command(), context.file),
        span => format!("{} ({}), {span}", context.command(), context.file),
    };
    let mut facts = vec![("before".to_owned(), named(before)), ("after".to_owned(), named(after))];
    for metric in diff.metrics.iter().copied() {
        let [was, is] = [diff.total_before, diff.total_after].map(|total| page_size(total.of(metric).bytes));
        facts.push((words(diff, metric), format!("{was} → {is}")));
    }
    let warning = |side: &'static str| move |text: &String| format!("{side}: {text}");
    let mut page = FlamePage {
        title: format!("heaptide: {}, before and after", after.command()),
        facts,
        warnings: before
            .warnings
            .iter()
            .map(warning("before"))
            .chain(after.warnings.iter().map(warning("after")))
            .chain(diff.notes.iter().cloned())
            .collect(),
        frames: page_frames(&diff.frames),
        nodes: page_nodes(&diff.tree),
        cells: page_cells(&diff.tree),
        metrics,
        default_metric: diff.metrics.iter().position(|shown| *shown == metric).unwrap_or(0),
        temporary_within: 1,
        modules: owners(&diff.frames).into_iter().map(|owner| owner.module).collect(),
        ..FlamePage::default()
    };
    add_bare(&mut page, &diff.metrics, &diff.bare_after, Some(&diff.bare_before));
    page
}

fn facts(context: &Context<'_>, profile: &Profile, within: u32) -> Vec<(String, String)> {
    let run = &context.capture.run;
    let totals = &context.capture.account.totals;
    let mut facts = vec![
        ("command".to_owned(), context.command()),
        ("capture".to_owned(), context.file.to_owned()),
        ("recorded by".to_owned(), format!("heaptide {} on {}", run.heaptide, run.architecture)),
        ("duration".to_owned(), time(totals.duration)),
    ];
    if let Some(pid) = context.pid {
        facts.push(("process".to_owned(), pid.to_string()));
    }
    for metric in profile.metrics.iter().copied() {
        let line = headline_in(profile, metric, within, page_size);
        let (what, figures) = line.split_once(": ").unwrap_or((&line, ""));
        facts.push((what.to_owned(), figures.to_owned()));
    }
    let names = &context.capture.names;
    let mut versions: Vec<u16> =
        names.images().iter().map(|image| image.python).filter(|python| *python != 0).collect();
    versions.sort_unstable();
    versions.dedup();
    if !versions.is_empty() {
        let versions: Vec<String> =
            versions.iter().map(|version| format!("{}.{}", version >> 8, version & 0xff)).collect();
        let objects = match run.python_allocators {
            true => "each object was recorded (--python-allocators)",
            false => "small objects were recorded as the arenas that they lie in; --python-allocators records each",
        };
        facts.push(("Python".to_owned(), format!("{}; {objects}", versions.join(", "))));
    }
    facts.push(("processes".to_owned(), count(names.images().len() as u64)));
    facts.push(("threads".to_owned(), count(names.threads() as u64)));
    facts.push(("different stacks".to_owned(), count(names.stacks() as u64)));
    facts.push(("events".to_owned(), count(totals.events)));
    facts.push(("events lost".to_owned(), count(totals.tracer.lost)));
    if totals.peak_rss > 0 {
        facts.push(("highest RSS seen".to_owned(), page_size(totals.peak_rss)));
    }
    let bare = profile.bare.of(Metric::Allocated);
    facts.push((
        "without a stack".to_owned(),
        format!(
            "{} ({} of allocated)",
            page_size(bare.bytes),
            share(bare.bytes, profile.total.of(Metric::Allocated).bytes)
        ),
    ));
    facts
}

fn page_frames(frames: &[Frame]) -> Vec<PageFrame> {
    frames.iter().zip(owners(frames)).map(|(frame, owner)| page_frame(frame, owner.package)).collect()
}

fn page_frame(frame: &Frame, package: Arc<str>) -> PageFrame {
    let kind = match frame.kind {
        FrameKind::Project => PageKind::Project,
        FrameKind::Library => PageKind::Library,
        FrameKind::Stdlib => PageKind::Stdlib,
        FrameKind::Interpreter => PageKind::Interpreter,
        FrameKind::Native => PageKind::Native,
        FrameKind::Unknown => PageKind::Unknown,
    };
    let source = frame.source.clone().unwrap_or_else(|| "".into());
    PageFrame { function: frame.function.clone(), file: frame.file.clone(), line: frame.line, kind, package, source }
}

fn page_nodes(tree: &CallTree) -> Vec<PageNode> {
    tree.nodes().iter().map(|node| PageNode { parent: node.parent.map(|parent| parent.0), frame: node.frame }).collect()
}

/// One cell for each node: of which threads its amounts are is not known.
fn page_cells(tree: &CallTree) -> Vec<PageCell> {
    (0..tree.nodes().len() as u32).map(|node| PageCell { node, thread: None, allocator: None }).collect()
}

fn page_metric(metric: Metric, own: &[AmountsOf]) -> PageMetric {
    PageMetric {
        key: metric.name().to_owned(),
        label: label(metric, Span::Whole).to_owned(),
        bytes: own.iter().map(|amounts| amounts.of(metric).bytes).collect(),
        counts: own.iter().map(|amounts| amounts.of(metric).count).collect(),
        before: None,
    }
}

fn label(metric: Metric, span: Span) -> &'static str {
    match metric {
        Metric::Peak => "Peak",
        // Allocated in the window and live at its end.
        Metric::Leaked if matches!(span, Span::Between(..)) => "Kept",
        Metric::Leaked => "Leaked",
        Metric::Allocated => "Allocated",
        Metric::Temporary => "Temporary",
        Metric::ByteSeconds => "Byte-seconds",
    }
}

/// What was live at an instant, which is kept where the peak's amounts are.
fn live(metric: PageMetric) -> PageMetric {
    PageMetric { key: "live".into(), label: "Live".into(), ..metric }
}

/// What has no stack gets an outermost frame of its own, so that the widths add up to the totals. Gives its node.
fn add_bare(page: &mut FlamePage, metrics: &[Metric], after: &AmountsOf, before: Option<&AmountsOf>) -> Option<u32> {
    let none = AmountsOf::default();
    if *after == none && before.is_none_or(|before| *before == none) {
        return None;
    }
    let (function, none) = ("[no stack]".into(), Arc::<str>::from(""));
    let (file, package, source) = (none.clone(), none.clone(), none);
    page.frames.push(PageFrame { function, file, line: 0, kind: PageKind::Unknown, package, source });
    let node = page.nodes.len() as u32;
    page.cells.push(PageCell { node, thread: None, allocator: None });
    if !page.modules.is_empty() {
        page.modules.push("".into());
    }
    page.nodes.push(PageNode { parent: None, frame: page.frames.len() as u32 - 1 });
    for (metric, of) in page.metrics.iter_mut().zip(metrics.iter().copied()) {
        metric.bytes.push(after.of(of).bytes);
        metric.counts.push(after.of(of).count);
        if let (Some(side), Some(before)) = (&mut metric.before, before) {
            side.bytes.push(before.of(of).bytes);
            side.counts.push(before.of(of).count);
        }
    }
    Some(node)
}
