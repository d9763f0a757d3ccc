//! The course of a run, with the cells of the page: its nodes by thread and function.

use super::label;
use crate::context::Context;
use crate::html::{FlamePage, Metric as PageMetric, PageCell, PageCourse, PageInstant, PageProcess, PageThread};
use crate::units::visible;
use heaptide_analyze::course::Course;
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, ThreadIndex};
use std::collections::HashMap;
use std::hash::Hash;

/// Rows of a course in a page, some 6 bytes each. A run with more is divided into fewer parts.
const MOST_ROWS: usize = 600_000;

/// What a course tells of the whole run, in its order, and the byte-seconds.
const METRICS: [Metric; 5] = [Metric::Peak, Metric::Leaked, Metric::Allocated, Metric::Temporary, Metric::ByteSeconds];

/// In place of a thread's name: whichever allocated before the window.
const EARLIER: &str = "before the window";

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
    let mut images = Numbered::<ImageIndex>::default();
    let mut threads = Numbered::<(ImageIndex, ThreadIndex)>::default();
    let mut allocators = Numbered::<&'static str>::default();
    let mut cells = Numbered::<PageCell>::default();
    // Stacks that differ only in instructions of one line are one node.
    let places: Vec<u32> = course
        .cells
        .iter()
        .map(|cell| {
            let node = profile.places.get(cell.stack.index()).copied().flatten().map(|node| node.0).or(bare);
            images.number(cell.image);
            cells.number(PageCell {
                // What has no stack has a node if there is any such.
                node: node.unwrap_or(u32::MAX),
                thread: Some(threads.number((cell.image, cell.thread))),
                allocator: Some(allocators.number(cell.allocator.name()) as u8),
            })
        })
        .collect();
    let names = &context.capture.names;
    page.threads = threads
        .all
        .iter()
        .map(|(image, thread)| PageThread {
            process: images.number(*image),
            tid: names.thread(*thread).map_or(0, |thread| thread.tid),
            name: match names.thread(*thread) {
                // A replay from a keyframe on does not know of whom what was live there was.
                None => EARLIER.to_owned(),
                Some(_) => names.thread_name(*thread).unwrap_or_default().to_owned(),
            },
        })
        .collect();
    page.allocators = allocators.all;
    page.cells = cells.all;

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
    course.limit(MOST_ROWS);
    // The parts have their last numbers now.
    page.processes = images
        .all
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

/// Things in the order in which they were first met, each with its number.
struct Numbered<T> {
    numbers: HashMap<T, u32>,
    all: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), all: Vec::new() }
    }
}

impl<T: Copy + Eq + Hash> Numbered<T> {
    fn number(&mut self, thing: T) -> u32 {
        *self.numbers.entry(thing).or_insert_with(|| {
            self.all.push(thing);
            self.all.len() as u32 - 1
        })
    }
}
