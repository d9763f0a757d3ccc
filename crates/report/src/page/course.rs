//! The course of a run, with the cells of the page: its nodes by thread and function.

use super::cells::Cells;
use super::label;
use crate::context::Context;
use crate::html::{FlamePage, Metric as PageMetric, PageCourse, PageInstant, PageProcess, PageThread};
use crate::units::visible;
use heaptide_analyze::course::{Course, Division};
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::ImageIndex;

/// Rows of a course in a page, some 6 bytes each. A run with more is divided into fewer parts.
const MOST_ROWS: usize = 600_000;
/// The same of a run that is divided into more than [`Division::COARSE`]: it is worth a file of a megabyte, not of four.
const ROWS_OF_MANY_PARTS: usize = 150_000;
/// Rows for each cell, of a page that has more cells than would leave so many: dividing the run less and less finely does not help
/// where the cells themselves are many, and the page is long anyway.
const ROWS_OF_A_CELL: usize = 4;

/// What a course tells of the whole run, in its order, and the byte-seconds.
const METRICS: [Metric; 5] = [Metric::Peak, Metric::Leaked, Metric::Allocated, Metric::Temporary, Metric::ByteSeconds];

/// In place of a thread's name: whichever allocated before the window.
const EARLIER: &str = "before the window";
/// In place of the name of one: several that are put together.
const OTHERS: &str = "other threads";

/// What there is to say of a course that does not agree with its profile.
const CONTRADICTION: &str = "the events of this capture do not add up to its summary, so it is damaged and no instant of the \
                             run can be chosen; what is shown is the summary";

/// Puts the course into the page, in place of the amounts by node; `bare` is the node of what has no stack. Shows this
/// metric first.
pub(super) fn add(
    page: &mut FlamePage,
    context: &Context<'_>,
    profile: &Profile,
    bare: Option<u32>,
    mut course: Course,
    metric: Metric,
) {
    if let Some(damage) = &course.damage {
        page.warnings.push(format!("events are missing, so no instant of the run can be chosen: {damage}"));
        return;
    }
    if !course.agrees_with(profile) {
        page.warnings.push(CONTRADICTION.to_owned());
        return;
    }
    let Cells { images, threads, allocators, cells, places } = Cells::of(&course, profile, bare);
    let names = &context.capture.names;
    page.threads = threads
        .iter()
        .map(|(process, thread)| PageThread {
            process: *process,
            tid: thread.and_then(|thread| names.thread(thread)).map_or(0, |thread| thread.tid),
            name: match thread.map(|thread| (names.thread(thread), names.thread_name(thread))) {
                Some((Some(_), name)) => name.unwrap_or_default().to_owned(),
                // A replay from a keyframe on does not know of whom what was live there was.
                Some((None, _)) => EARLIER.to_owned(),
                None => OTHERS.to_owned(),
            },
        })
        .collect();
    page.allocators = allocators;
    page.cells = cells;

    let mut sums = vec![[Amount::default(); METRICS.len()]; page.cells.len()];
    for ((place, whole), cost) in places.iter().zip(course.whole()).zip(&course.byte_seconds) {
        let amounts = whole.iter().chain([cost]);
        sums[*place as usize].iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += *amount);
    }
    let of_cells = |(index, metric): (usize, Metric)| PageMetric {
        key: metric.name().to_owned(),
        label: label(metric, profile.span).to_owned(),
        bytes: sums.iter().map(|amounts| amounts[index].bytes).collect(),
        counts: sums.iter().map(|amounts| amounts[index].count).collect(),
        before: None,
    };
    page.metrics = METRICS.into_iter().enumerate().map(of_cells).collect();
    page.default_metric = METRICS.into_iter().position(|shown| shown == metric).unwrap_or(0);

    course.join_cells(&places);
    course.limit(ROWS_OF_MANY_PARTS.max(page.cells.len() * ROWS_OF_A_CELL), Division::COARSE.parts as usize);
    course.limit(MOST_ROWS.max(page.cells.len() * ROWS_OF_A_CELL), 0);
    // The parts have their last numbers now.
    page.processes = images
        .iter()
        .map(|image| PageProcess {
            pid: names.image(*image).map_or(0, |image| image.pid),
            command: command(context, *image),
            ended: course.ended.get(image.index()).copied().flatten(),
        })
        .collect();
    let instant = |instant: &heaptide_analyze::course::Instant| PageInstant {
        nanos: instant.time.0,
        live: instant.live,
        mark: instant.mark,
    };
    page.course = Some(PageCourse {
        instants: course.instants.iter().map(instant).collect(),
        peaks_at: course.peaks_at,
        lives: course.lives,
        flows: course.flows,
        peaks: course.peaks,
        leaked: course.leaked,
    });
}

/// The command of a process, as one would type it; its program if that is all that is known.
fn command(context: &Context<'_>, image: ImageIndex) -> String {
    let names = &context.capture.names;
    let Some(image) = names.image(image) else { return String::new() };
    let arguments: Vec<&str> = image.arguments.iter().map(|argument| names.text(*argument)).collect();
    match arguments.is_empty() {
        true => visible(names.text(image.program)),
        false => visible(&arguments.join(" ")),
    }
}
