//! `types`: Python objects by type, over the censuses of a run, and the part of `leaks` that says which types grow.

use crate::context::{Context, Style, frame};
use crate::json::{self, Head, JsonFrame};
use crate::table::Table;
use crate::units::{count, size, time, visible};
use heaptide_analyze::Capture;
use heaptide_analyze::frames::{Frames, LookUp};
use heaptide_analyze::types::{Counted, TypeGrowth, Types, difference};
use heaptide_format::capture::census::CensusReason;
use heaptide_format::ids::{ImageIndex, StackId};
use serde::Serialize;
use std::io::{self, Write};

/// Types of which `leaks` tells, and of which `types` tells who holds them.
const MOST_TOLD: usize = 10;
/// Stacks of a type that grew, in text.
const MOST_STACKS: usize = 3;
/// Frames of such a stack, the innermost ones, in text.
const MOST_FRAMES: usize = 6;

/// An image that had censuses.
#[derive(Debug)]
pub struct OfImage {
    /// Its process.
    pub pid: u32,
    /// What they say.
    pub types: Types,
}

/// Those of these images that had any.
pub fn of_images(capture: &Capture, images: &[ImageIndex]) -> Vec<OfImage> {
    let of = |image: &ImageIndex| {
        let types = Types::of(&capture.censuses, *image);
        let pid = capture.names.image(*image)?.pid;
        (!types.taken.is_empty()).then_some(OfImage { pid, types })
    };
    images.iter().filter_map(of).collect()
}

/// The stacks of a report, whose frames have names.
pub struct Stacks<'c> {
    capture: &'c Capture,
    frames: Frames,
}

impl<'c> Stacks<'c> {
    /// Of all stacks that these images' types name.
    pub fn of(capture: &'c Capture, images: &[OfImage], look_up: &LookUp<'_>) -> Self {
        let mut wanted = vec![false; capture.names.frames()];
        let stacks = images.iter().flat_map(|image| &image.types.types).filter_map(|growth| growth.new.as_ref());
        for (stack, _) in stacks.flat_map(|new| &new.stacks) {
            for frame in path(capture, *stack) {
                wanted[frame.index()] = true;
            }
        }
        Self { capture, frames: Frames::resolve(&capture.names, &wanted, look_up) }
    }

    /// The distinct frames of all.
    pub(crate) fn frames(&self) -> &[heaptide_analyze::frames::Frame] {
        &self.frames.distinct
    }

    /// The frames of a stack, innermost first: their places in [`Stacks::frames`].
    pub(crate) fn places(&self, stack: StackId) -> impl Iterator<Item = u32> {
        path(self.capture, stack).flat_map(|id| self.frames.places(id)).copied()
    }

    /// The frames of a stack, innermost first.
    fn path(&self, stack: StackId) -> impl Iterator<Item = &heaptide_analyze::frames::Frame> {
        self.places(stack).map(|at| &self.frames.distinct[at as usize])
    }
}

/// What a context's capture says of its processes, and the stacks of that.
pub fn of_context<'c>(context: &Context<'c>) -> (Vec<OfImage>, Stacks<'c>) {
    // A process that is not there was refused before.
    let images = of_images(context.capture, &context.capture.images_of(context.pid).unwrap_or_default());
    let stacks = Stacks::of(context.capture, &images, &LookUp::default());
    (images, stacks)
}

/// The frames of a stack, innermost first; none of one that is not defined.
fn path(capture: &Capture, stack: StackId) -> impl Iterator<Item = heaptide_format::ids::FrameId> {
    let known = |stack: &StackId| capture.names.has_stack(*stack);
    let node = move |stack: StackId| Some(stack).filter(known).and_then(|stack| capture.names.node(stack));
    std::iter::successors(node(stack), move |inner| node(inner.parent)).map(|node| node.frame)
}

/// Its word in data.
pub(crate) fn reason(reason: CensusReason) -> &'static str {
    match reason {
        CensusReason::Period => "period",
        CensusReason::Exit => "exit",
        CensusReason::Mark => "mark",
        CensusReason::Peak => "peak",
    }
}

/// A number with its sign.
fn change(by: i64, shown: impl Fn(u64) -> String) -> String {
    let sign = if by < 0 { "−" } else { "+" };
    format!("{sign}{}", shown(by.unsigned_abs()))
}

fn grown(types: &Types) -> impl Iterator<Item = &TypeGrowth> {
    types.types.iter().filter(|growth| growth.growth().1 > 0 || growth.growth().0 > 0)
}

/// Writes the part of `leaks`: types that grew from the first census to the last. Nothing without two censuses.
///
/// # Errors
/// Those of writing.
pub fn write_growth(context: &Context<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let (images, stacks) = of_context(context);
    for OfImage { pid, types } in images.iter().filter(|image| image.types.taken.len() > 1) {
        let of = if images.len() > 1 { format!(" in process {pid}") } else { String::new() };
        let title = format!("Types that grow{of}, over {} censuses in {:.1} s", types.taken.len(), types.seconds());
        writeln!(out, "\n{}", style.bold(&title))?;
        let mut table = Table::new(&["objects", "bytes", "between censuses", "type"]);
        for growth in grown(types).take(MOST_TOLD) {
            table.push([
                change(growth.growth().0, count),
                change(growth.growth().1, size),
                steps(growth),
                visible(&growth.name),
            ]);
        }
        if table.is_empty() {
            writeln!(out, "None.")?;
            continue;
        }
        table.write(style, out)?;
        for growth in grown(types).take(MOST_TOLD) {
            write_new(growth, types, &stacks, style, out)?;
        }
    }
    Ok(())
}

/// Most numbers of objects between censuses that are shown, the last ones.
const MOST_STEPS: usize = 6;

/// By how many objects it grew from one census to the next.
fn steps(growth: &TypeGrowth) -> String {
    let steps = growth.censuses.saturating_sub(1);
    let first = steps.saturating_sub(MOST_STEPS);
    let step = |at: usize| change(difference(growth.at(at).count, growth.at(at + 1).count), count);
    let shown: Vec<String> = (first..steps).map(step).collect();
    let more = if first > 0 { "… " } else { "" };
    format!("{more}{}{}", shown.join(" "), if growth.is_steady() { " (steady)" } else { "" })
}

/// Who holds what is new of a type, and where it was allocated.
fn write_new(
    growth: &TypeGrowth,
    types: &Types,
    stacks: &Stacks<'_>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(new) = &growth.new else { return Ok(()) };
    let at = types.taken.get(new.census).map_or(String::new(), |taken| format!(" by {}", time(taken.time)));
    writeln!(out, "\n{}  {} new{at}", style.bold(&visible(&growth.name)), count(new.count))?;
    for way in &new.holders {
        let which = if new.count == 0 { "one of the largest, held" } else { "held" };
        writeln!(out, "    {which}: {}", visible(&way.to_string()))?;
    }
    for (stack, blocks) in new.stacks.iter().take(MOST_STACKS) {
        let of =
            if new.looked_up < new.count { format!(" of {} looked up", count(new.looked_up)) } else { String::new() };
        writeln!(out, "    {} allocated{of} by", count(*blocks))?;
        if stacks.path(*stack).next().is_none() {
            writeln!(out, "        (no frame)")?;
        }
        for place in stacks.path(*stack).take(MOST_FRAMES) {
            writeln!(out, "        {}", frame(place))?;
        }
    }
    Ok(())
}

/// Writes all types of all these images.
///
/// # Errors
/// Those of writing.
pub fn write_text(context: &Context<'_>, limit: Option<usize>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let (images, stacks) = &of_context(context);
    context.write_title(style, "Python objects by type", out)?;
    for (place, OfImage { pid, types }) in images.iter().enumerate() {
        if images.len() > 1 {
            let gap = if place > 0 { "\n" } else { "" };
            writeln!(out, "{gap}{}", style.bold(&format!("Process {pid}")))?;
        }
        let mut censuses = Table::new(&["census", "after", "objects", "bytes", "took", "tracer's memory", "why"]);
        for (number, taken) in (1u64..).zip(&types.taken) {
            let why = if taken.cut {
                format!("{}; cut: more objects", reason(taken.reason))
            } else {
                reason(taken.reason).into()
            };
            censuses.push([
                count(number),
                time(taken.time),
                count(taken.objects),
                size(taken.bytes),
                format!("{:.1} ms", taken.cost.seconds() * 1e3),
                size(taken.own_bytes),
                why,
            ]);
        }
        censuses.write(style, out)?;
        writeln!(out)?;
        let mut table = Table::new(&["objects", "bytes", "grew by", "bytes", "between censuses", "type"]);
        let shown = types.types.iter().take(limit.unwrap_or(usize::MAX));
        for growth in shown {
            let (_, last) = growth.ends();
            let (objects, bytes) = growth.growth();
            let name = visible(&growth.name);
            table.push([
                count(last.count),
                size(last.bytes),
                change(objects, count),
                change(bytes, size),
                steps(growth),
                name,
            ]);
        }
        table.write(style, out)?;
        let left_out = types.types.len() - types.types.len().min(limit.unwrap_or(usize::MAX));
        if left_out > 0 {
            writeln!(out, "{} more types; show them with --limit 0.", count(left_out as u64))?;
        }
        for growth in grown(types).take(limit.map_or(MOST_TOLD, |limit| limit.min(MOST_TOLD))) {
            write_new(growth, types, stacks, style, out)?;
        }
    }
    Ok(())
}

/// An image, in JSON.
#[derive(Serialize)]
pub struct JsonImage<'a> {
    pid: u32,
    censuses: Vec<JsonTaken>,
    types: Vec<JsonType<'a>>,
}

#[derive(Serialize)]
struct JsonTaken {
    reason: &'static str,
    time_ns: u64,
    objects: u64,
    bytes: u64,
    cost_ns: u64,
    own_bytes: u64,
    cut: bool,
}

#[derive(Serialize)]
struct JsonType<'a> {
    name: &'a str,
    growth: JsonGrowth,
    steady: bool,
    changes: Vec<JsonChange>,
    new: Option<JsonNew<'a>>,
}

#[derive(Serialize)]
struct JsonChange {
    census: usize,
    count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct JsonGrowth {
    count: i64,
    bytes: i64,
    /// `null` with fewer than two censuses.
    bytes_per_second: Option<f64>,
}

#[derive(Serialize)]
struct JsonNew<'a> {
    census: usize,
    count: u64,
    looked_up: u64,
    holders: Vec<JsonHolder<'a>>,
    stacks: Vec<JsonStack<'a>>,
}

#[derive(Serialize)]
struct JsonHolder<'a> {
    rooted: bool,
    steps: &'a [String],
}

#[derive(Serialize)]
struct JsonStack<'a> {
    count: u64,
    frames: Vec<JsonFrame<'a>>,
}

/// The same as JSON; `all`: also types that did not grow.
pub fn json<'a>(images: &'a [OfImage], stacks: &'a Stacks<'_>, all: bool) -> Vec<JsonImage<'a>> {
    let new = |growth: &'a TypeGrowth| {
        let new = growth.new.as_ref()?;
        let holders = new.holders.iter().map(|way| JsonHolder { rooted: way.is_rooted, steps: &way.steps });
        let stacks = new.stacks.iter().map(|(stack, count)| JsonStack {
            count: *count,
            frames: stacks.path(*stack).map(JsonFrame::from).collect(),
        });
        let (holders, stacks) = (holders.collect(), stacks.collect());
        Some(JsonNew { census: new.census, count: new.count, looked_up: new.looked_up, holders, stacks })
    };
    let image = |OfImage { pid, types }: &'a OfImage| {
        let (seconds, several) = (types.seconds(), types.taken.len() > 1);
        let change = |(census, counted): &(usize, Counted)| JsonChange {
            census: *census,
            count: counted.count,
            bytes: counted.bytes,
        };
        let of_type = |growth: &'a TypeGrowth| {
            let (count, bytes) = growth.growth();
            let bytes_per_second = (several && seconds > 0.0).then(|| bytes as f64 / seconds);
            JsonType {
                name: &growth.name,
                growth: JsonGrowth { count, bytes, bytes_per_second },
                steady: growth.is_steady(),
                changes: growth.changes.iter().map(change).collect(),
                new: new(growth),
            }
        };
        let taken = types.taken.iter().map(|taken| JsonTaken {
            reason: reason(taken.reason),
            time_ns: taken.time.0,
            objects: taken.objects,
            bytes: taken.bytes,
            cost_ns: taken.cost.0,
            own_bytes: taken.own_bytes,
            cut: taken.cut,
        });
        let shown: Vec<JsonType<'_>> = match all {
            true => types.types.iter().map(of_type).collect(),
            false if several => grown(types).map(of_type).collect(),
            false => Vec::new(),
        };
        JsonImage { pid: *pid, censuses: taken.collect(), types: shown }
    };
    images.iter().map(image).collect()
}

/// Writes all as JSON.
///
/// # Errors
/// Those of writing.
pub fn write_json(context: &Context<'_>, out: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        #[serde(flatten)]
        head: Head<'a>,
        processes: Vec<JsonImage<'a>>,
    }
    let (images, stacks) = &of_context(context);
    json::write(&Report { head: Head::new("types", context), processes: json(images, stacks, true) }, out)
}
