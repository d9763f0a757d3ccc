//! What every report says besides its figures: which capture it is of, and what to know before trusting it.

use crate::units::{count, size, time, visible};
use crate::unseen;
use heaptide_analyze::Capture;
use heaptide_analyze::frames::{Frame, FrameKind, KnownBy};
use heaptide_analyze::instants::Span;
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_analyze::sites::module_of;
use std::io::{self, Write};

/// A capture as reports speak of it.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Its file, as the user named it.
    pub file: &'a str,
    /// The capture.
    pub capture: &'a Capture,
    /// What the reader has to know before trusting a number, one sentence each.
    pub warnings: Vec<String>,
    /// The process looked at; `None`: all.
    pub pid: Option<u32>,
    /// The part of the run looked at.
    pub span: Span,
}

impl<'a> Context<'a> {
    /// Of this capture; `profile` adds what it noted, if there is one.
    pub fn new(file: &'a str, capture: &'a Capture, profile: Option<&Profile>, pid: Option<u32>) -> Self {
        let mut warnings: Vec<String> = capture.ends_early.iter().map(ToString::to_string).collect();
        warnings.extend(missing(capture, pid));
        warnings.extend(profile.into_iter().flat_map(|profile| profile.notes.iter().cloned()));
        Self { file, capture, warnings, pid, span: profile.map_or(Span::Whole, |profile| profile.span) }
    }

    /// The command that was run, as one would type it.
    pub fn command(&self) -> String {
        visible(&self.capture.run.command.join(" "))
    }

    /// The first lines of a text report: what is shown of what.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_title(&self, style: Style, title: &str, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", style.bold(title))?;
        let process = self.pid.map_or(String::new(), |pid| format!(", process {pid}"));
        writeln!(out, "{}", style.dim(&format!("{}{process}  ({})", self.command(), visible(self.file))))?;
        self.write_missing(style, "", out)?;
        writeln!(out)
    }

    /// Those of the warnings that are about what is missing of the figures, a line each. That the capture ends early is
    /// said when it is opened. `whose` stands before each.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_missing(&self, style: Style, whose: &str, out: &mut dyn Write) -> io::Result<()> {
        for warning in missing(self.capture, self.pid) {
            writeln!(out, "{} {whose}{warning}", style.red("warning:"))?;
        }
        Ok(())
    }
}

/// What the tracer did not see, a sentence each.
fn missing(capture: &Capture, pid: Option<u32>) -> Vec<String> {
    let mut warnings = Vec::new();
    let tracer = &capture.account.totals.tracer;
    if tracer.lost > 0 {
        warnings.push(format!("{} events were lost while recording: all figures are too low", count(tracer.lost)));
    }
    if tracer.refused > 0 {
        warnings.push(format!("{} processes could not be traced and are not in the figures", count(tracer.refused)));
    }
    if tracer.cut_stacks > 0 {
        let events = count(tracer.cut_stacks);
        warnings.push(format!("the stacks of {events} events were cut: their outermost frames are missing"));
    }
    // A process that is not there was refused before.
    warnings.extend(unseen::warnings(capture, &capture.images_of(pid).unwrap_or_default()));
    warnings
}

/// How text is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// By escape sequences, for a terminal.
    pub colour: bool,
}

impl Style {
    /// What stands out.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What can be overlooked.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Growth.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Shrinkage.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What an amount of this metric is, in words.
pub fn title(metric: Metric, within: u32) -> String {
    match metric {
        Metric::ByteSeconds => "memory over time (bytes × seconds)".into(),
        Metric::Peak => "peak memory".into(),
        Metric::Leaked => "memory live at the end".into(),
        Metric::Allocated => "all memory ever allocated".into(),
        Metric::Temporary if within == 1 => "temporary allocations (at most 1 other between)".into(),
        Metric::Temporary => format!("temporary allocations (at most {within} others between)"),
    }
}

/// The same of the part of the run that a profile is of.
pub fn title_within(profile: &Profile, metric: Metric, within: u32) -> String {
    let span = profile.span.words();
    match (profile.span, metric) {
        (Span::Whole, _) => title(metric, within),
        (Span::At(_), _) => format!("memory live {span}"),
        (Span::Between(..), Metric::Leaked) => format!("memory allocated {span} and live at its end"),
        (Span::Between(..), Metric::Allocated) => format!("all memory allocated {span}"),
        (Span::Between(..), _) => format!("{} {span}", title(metric, within)),
    }
}

/// The headline of a metric: its total, and for the peak when it was.
pub fn headline(profile: &Profile, metric: Metric, within: u32) -> String {
    headline_in(profile, metric, within, size)
}

/// The same with bytes written by another rule.
pub fn headline_in(profile: &Profile, metric: Metric, within: u32, size: fn(u64) -> String) -> String {
    let total = profile.total.of(metric);
    let what = title_within(profile, metric, within);
    let blocks = match metric {
        Metric::Peak | Metric::Leaked => "blocks",
        Metric::Allocated | Metric::Temporary => "allocations",
        Metric::ByteSeconds => return format!("{what}: {}·s, {} block-seconds", size(total.bytes), count(total.count)),
    };
    let when = match (metric, profile.span) {
        (Metric::Peak, Span::Whole | Span::Between(..)) => format!(", {} after the start", time(profile.peak_at)),
        _ => String::new(),
    };
    format!("{what}: {} in {} {blocks}{when}", size(total.bytes), count(total.count))
}

/// A frame in one line: `function (file:line)`, with the path of installed code cut to what tells it apart.
pub fn frame(frame: &Frame) -> String {
    let place = place(frame);
    let function = visible(&frame.function);
    if place.is_empty() { function } else { format!("{function} ({place})") }
}

/// A frame in one line, and its source line if that is known.
pub fn frame_and_source(place: &Frame, style: Style) -> String {
    match place.source.as_deref() {
        Some(source) => format!("{}  {}", frame(place), style.dim(&cut(source))),
        None => frame(place),
    }
}

/// Where a frame is: `file:line`, of native code also the object; empty if the function's name says it already.
pub fn place(frame: &Frame) -> String {
    if frame.known_by == KnownBy::Place {
        return String::new();
    }
    let file = short_file(frame.kind, &frame.file);
    let place = if frame.line > 0 { format!("{file}:{}", frame.line) } else { file };
    match frame.object.is_empty() || frame.object == frame.file {
        true => place,
        false => format!("{place} in {}", short_file(frame.kind, &frame.object)),
    }
}

/// What follows a frame in a list: where it is, and its source line if that is known.
pub fn place_and_source(frame: &Frame) -> String {
    with_source(place(frame), frame.source.as_deref())
}

/// The same of a place that was put into words already.
pub fn with_source(place: String, source: Option<&str>) -> String {
    match source {
        Some(source) => format!("{place}  {}", cut(source)),
        None => place,
    }
}

/// Characters of a source line in a list: the figures and the place stand before it.
const MOST_SOURCE_CHARACTERS: usize = 80;

fn cut(source: &str) -> String {
    match source.char_indices().nth(MOST_SOURCE_CHARACTERS) {
        Some((end, _)) => format!("{}…", visible(&source[..end])),
        None => visible(source),
    }
}

/// The path of a file of this kind of code: whole for the user's own, from the package on for installed code.
pub fn short_file(kind: FrameKind, file: &str) -> String {
    let short = match kind {
        FrameKind::Library | FrameKind::Stdlib => {
            let module = module_of(kind, file);
            let after = file.rfind(&format!("/{module}")).map(|at| &file[at + 1..]);
            after.unwrap_or(file)
        }
        FrameKind::Native => file.rsplit('/').next().unwrap_or(file),
        FrameKind::Project | FrameKind::Interpreter | FrameKind::Unknown => file,
    };
    visible(short)
}
