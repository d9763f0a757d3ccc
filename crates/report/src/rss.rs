//! `rss`: what resident memory consisted of, at the instant of the highest, at a mark or at the end.

use crate::context::{Context, Style};
use crate::json::{self, Head};
use crate::table::Table;
use crate::units::{count, share, size, time, visible};
use heaptide_format::capture::{Look, LookReason, Part, ProcessMemory};
use serde::Serialize;
use std::io::{self, Write};

/// A part that holds so much of RSS, in percent, is worth a word; of what the program asked for itself there is none to say.
const DOMINATES: u64 = 40;
/// Slack is worth one earlier.
const MUCH_SLACK: u64 = 20;

/// Resident memory of one process, or of several together.
struct Sum {
    rss: u64,
    pss: u64,
    swapped: u64,
    live: u64,
    blocks: u64,
    arenas: u32,
    by_page: bool,
    parts: Vec<(Part, u64)>,
}

impl Sum {
    fn of<'l>(processes: impl Iterator<Item = &'l ProcessMemory> + Clone) -> Self {
        let sum = |of: fn(&ProcessMemory) -> u64| processes.clone().map(of).fold(0, u64::saturating_add);
        let part = |part| {
            let all = processes.clone().flat_map(|process| &process.parts);
            all.filter(|(kind, _)| *kind == part).fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes))
        };
        Self {
            rss: sum(|process| process.rss),
            pss: sum(|process| process.pss),
            swapped: sum(|process| process.swapped),
            live: sum(|process| process.live),
            blocks: sum(|process| process.blocks),
            arenas: processes.clone().fold(0, |sum, process| sum.saturating_add(process.arenas)),
            by_page: processes.clone().all(|process| process.by_page),
            parts: Part::ALL.into_iter().map(|kind| (kind, part(kind))).collect(),
        }
    }

    fn part(&self, part: Part) -> u64 {
        self.parts.iter().find(|(kind, _)| *kind == part).map_or(0, |(_, bytes)| *bytes)
    }

    /// Bytes that were asked for and are not resident: never touched, or swapped out.
    fn not_resident(&self) -> u64 {
        self.live.saturating_sub(self.part(Part::Requested))
    }

    /// What to do about the part that holds most of it, if there is anything to do.
    fn advice(&self, objects_are_seen: bool) -> Option<String> {
        let holds = |part, percent: u64| {
            u128::from(self.part(part)) * 100 >= u128::from(self.rss) * u128::from(percent) && self.part(part) > 0
        };
        let said = |part, advice: &str| {
            let what = words(part, objects_are_seen)[1];
            Some(format!("{} of RSS is {what}: {advice}", share(self.part(part), self.rss)))
        };
        if holds(Part::Kept, DOMINATES) {
            // glibc's slack is known, that of others is not.
            let is_glibc = self.part(Part::Slack) > 0;
            let advice = match self.arenas {
                _ if !is_glibc => {
                    "the allocator gives it back when it thinks fit (jemalloc: dirty_decay_ms, tcmalloc: ReleaseFreeMemory); \
                     blocks that live long between others that are freed hold whole pages"
                }
                0..=1 => {
                    "malloc_trim(0) after large releases gives whole pages back, wherever they lie; MALLOC_TRIM_THRESHOLD_ only \
                     those at the end of the heap"
                }
                _ => {
                    "heaps of threads keep what each of them has freed: try MALLOC_ARENA_MAX=2, or malloc_trim(0) after large \
                     releases"
                }
            };
            return said(Part::Kept, advice);
        }
        if holds(Part::Slack, MUCH_SLACK) {
            return said(
                Part::Slack,
                "a block of glibc costs 8 bytes more, in steps of 16, 32 at least; keep small things together",
            );
        }
        let others = [
            (
                Part::PythonArenas,
                match objects_are_seen {
                    true => {
                        "an arena goes back to the system when the last object in it is gone; look for small ones that live long"
                    }
                    false => "record with --python-allocators to see the objects in them",
                },
            ),
            (Part::Inherited, "what a fork inherits is shared until it is written; compare PSS"),
            (Part::Anonymous, "`heaptide stats` names allocators that cannot be traced"),
            (
                Part::Objects,
                "`heaptide stats` lists the largest modules; code is shared between processes, compare PSS",
            ),
            (Part::Files, "the system drops pages of files when it needs memory"),
            (Part::Shared, "it is counted in each process that has touched it; compare PSS"),
            (Part::Stacks, "fewer threads, or less on their stacks"),
            (Part::Tracer, "without heaptide RSS is lower by that"),
        ];
        others.into_iter().find(|(part, _)| holds(*part, DOMINATES)).and_then(|(part, advice)| said(part, advice))
    }
}

/// What a part is called in JSON, in a word, and in the table.
fn words(part: Part, objects_are_seen: bool) -> [&'static str; 3] {
    match part {
        Part::Requested => ["requested", "requested", "requested: the program asked for it and holds it"],
        Part::Slack => ["slack", "slack", "slack: heads and rounding of its blocks"],
        Part::Kept => ["kept", "kept by the allocator", "kept by the allocator: freed, or not handed out yet"],
        Part::PythonArenas if objects_are_seen => {
            ["python_arenas", "free room in arenas of Python", "free room in arenas of Python"]
        }
        Part::PythonArenas => {
            ["python_arenas", "arenas of Python", "arenas of Python: objects that were not recorded, and free room"]
        }
        Part::Inherited => ["inherited", "inherited", "inherited: the heap of the process that forked it"],
        Part::Anonymous => ["anonymous", "other mappings", "other mappings without a file"],
        Part::Objects => ["objects", "programs and libraries", "programs and libraries: code and variables"],
        Part::Files => ["files", "mapped files", "mapped files"],
        Part::Shared => ["shared", "shared memory", "shared memory"],
        Part::Stacks => ["stacks", "stacks", "stacks of threads"],
        Part::Tracer => ["tracer", "heaptide", "heaptide itself: its library and buffers"],
    }
}

/// When it was.
fn instant(context: &Context<'_>, look: &Look) -> String {
    match look.reason {
        LookReason::Highest => "at its highest".into(),
        LookReason::Mark(number) => match context.capture.marks.get(number as usize) {
            Some(mark) => format!("at the mark {:?}", visible(&mark.name)),
            None => "at a mark".into(),
        },
        LookReason::Last => "when it was last looked at".into(),
    }
}

fn chosen<'c>(context: &Context<'c>, look: &'c Look) -> Vec<&'c ProcessMemory> {
    // A process that is not there was refused before.
    let images = context.capture.images_of(context.pid).unwrap_or_default();
    look.processes.iter().filter(|process| images.contains(&process.image)).collect()
}

/// Writes the table.
///
/// # Errors
/// Those of writing.
pub fn write_text(context: &Context<'_>, look: &Look, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let processes = chosen(context, look);
    let sum = Sum::of(processes.iter().copied());
    let objects_are_seen = context.capture.run.python_allocators;
    context.write_title(style, &format!("resident memory {}: {}", instant(context, look), size(sum.rss)), out)?;
    let mut table = Table::new(&["bytes", "share", "part"]);
    for (part, bytes) in sum.parts.iter().filter(|(_, bytes)| *bytes > 0) {
        table.push([size(*bytes), share(*bytes, sum.rss), words(*part, objects_are_seen)[2].to_owned()]);
    }
    table.push([size(sum.rss), share(sum.rss, sum.rss), "RSS".to_owned()]);
    table.write(style, out)?;
    writeln!(out)?;
    let mut line = |name: &str, value: String| writeln!(out, "{name:<14}{value}");
    line("at", format!("{} after the start, event {}", time(look.time), count(look.event)))?;
    let live = format!("{} in {} blocks", size(sum.live), count(sum.blocks));
    line("live", format!("{live}, of which {} is not resident", size(sum.not_resident())))?;
    // The tracer's own is not in what was sampled.
    let sampled = context.capture.account.totals.peak_rss.saturating_add(sum.part(Part::Tracer));
    if look.reason == LookReason::Highest && context.pid.is_none() && sampled > sum.rss + sum.rss / 100 {
        line("highest RSS", format!("{} as sampled, more often than it is looked at so closely", size(sampled)))?;
    }
    if sum.swapped > 0 {
        line("swapped out", format!("{}, which is in no part", size(sum.swapped)))?;
    }
    line("PSS", format!("{}: what is shared with other processes divided among them", size(sum.pss)))?;
    if sum.arenas > 0 {
        line("arenas", format!("{} heaps of glibc beside the first", count(u64::from(sum.arenas))))?;
    }
    if !sum.by_page {
        line(
            "note",
            "the system does not tell which pages are resident: requested and slack are the most they can be".into(),
        )?;
    }
    if let Some(advice) = sum.advice(objects_are_seen) {
        line("advice", advice)?;
    }
    if processes.len() > 1 {
        writeln!(out, "\n{}", style.bold("Processes"))?;
        let mut table = Table::new(&["pid", "RSS", "PSS", "requested", "kept", "program"]);
        for process in &processes {
            let Some(image) = context.capture.names.image(process.image) else { continue };
            let own = Sum::of(std::iter::once(*process));
            let [requested, kept] = [Part::Requested, Part::Kept].map(|part| size(own.part(part)));
            let program = visible(context.capture.names.text(image.program));
            table.push([image.pid.to_string(), size(own.rss), size(own.pss), requested, kept, program]);
        }
        table.write(style, out)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    instant: &'static str,
    mark: Option<&'a str>,
    time_ns: u64,
    event: u64,
    #[serde(flatten)]
    sum: JsonSum,
    advice: Option<String>,
    processes: Vec<JsonProcess<'a>>,
}

#[derive(Serialize)]
struct JsonSum {
    rss_bytes: u64,
    pss_bytes: u64,
    swapped_bytes: u64,
    live_bytes: u64,
    live_blocks: u64,
    not_resident_bytes: u64,
    arenas: u32,
    by_page: bool,
    parts: Vec<JsonPart>,
}

#[derive(Serialize)]
struct JsonPart {
    part: &'static str,
    bytes: u64,
}

#[derive(Serialize)]
struct JsonProcess<'a> {
    pid: u32,
    program: &'a str,
    #[serde(flatten)]
    sum: JsonSum,
}

impl From<&Sum> for JsonSum {
    fn from(sum: &Sum) -> Self {
        Self {
            rss_bytes: sum.rss,
            pss_bytes: sum.pss,
            swapped_bytes: sum.swapped,
            live_bytes: sum.live,
            live_blocks: sum.blocks,
            not_resident_bytes: sum.not_resident(),
            arenas: sum.arenas,
            by_page: sum.by_page,
            parts: sum
                .parts
                .iter()
                .map(|(part, bytes)| JsonPart { part: words(*part, false)[0], bytes: *bytes })
                .collect(),
        }
    }
}

/// Writes the same as JSON.
///
/// # Errors
/// Those of writing.
pub fn write_json(context: &Context<'_>, look: &Look, out: &mut dyn Write) -> io::Result<()> {
    let processes = chosen(context, look);
    let sum = Sum::of(processes.iter().copied());
    let names = &context.capture.names;
    let (instant, mark) = match look.reason {
        LookReason::Highest => ("highest", None),
        LookReason::Mark(number) => ("mark", context.capture.marks.get(number as usize).map(|mark| mark.name.as_str())),
        LookReason::Last => ("last", None),
    };
    let report = Report {
        head: Head::new("rss", context),
        instant,
        mark,
        time_ns: look.time.0,
        event: look.event,
        sum: (&sum).into(),
        advice: sum.advice(context.capture.run.python_allocators),
        processes: (processes.iter())
            .filter_map(|process| {
                let image = names.image(process.image)?;
                let sum = (&Sum::of(std::iter::once(*process))).into();
                Some(JsonProcess { pid: image.pid, program: names.text(image.program), sum })
            })
            .collect(),
    };
    json::write(&report, out)
}
