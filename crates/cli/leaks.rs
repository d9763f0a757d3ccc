//! `heaptide leaks`: what was live at the end, and a gate for automatic tests.

use crate::exit::{self, CliError};
use crate::input::{Bar, Input, capture_error, shown};
use crate::output::{OutputArgs, beside};
use crate::selection::{SourceArgs, profile};
use crate::span::SpanArgs;
use crate::threshold::parse_size;
use heaptide_analyze::course::{Course, Division};
use heaptide_analyze::instants::Span;
use heaptide_analyze::leaks::{Judging, Leaks, Origin};
use heaptide_analyze::profile::{self, Metric, Profile};
use heaptide_analyze::suppressions::Suppressions;
use heaptide_format::capture::summary::Amount;
use heaptide_report::units::{count, size};
use heaptide_report::{Context, html, leaks, page};
use std::path::{Path, PathBuf};

/// List what was live at the end and what grows: the program's own, apart from what imports and the interpreter leave
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide leaks run.bin
  heaptide leaks --fail-above 10MB run.bin       exits with 3 if the program left more
  heaptide leaks --all --limit 0 --json run.bin
  heaptide leaks --from mark:warm --to mark:done run.bin
  heaptide leaks --suppressions known.txt run.bin
  heaptide leaks --html run.bin                  writes run.leaks.html

A size is a number with B, kB, MB, GB (by 1000), KiB, MiB, GiB or K, M, G (by 1024).")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// Exit with 3 if the program left more than this; with --all, if everything together is more
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    fail_above: Option<u64>,
    /// Also list what the import system, the interpreter and programs without Python left
    #[arg(long)]
    all: bool,
    /// Most sites and most stacks to list; 0: all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Only this process
    #[arg(long)]
    pid: Option<u32>,
    /// Leave out what a file of suppressions names, as LeakSanitizer reads them: lines of leak:PATTERN. Can be given several
    /// times
    #[arg(long, value_name = "FILE")]
    suppressions: Vec<PathBuf>,
    /// Do not leave out what the C library, the dynamic linker and the interpreter keep on purpose
    #[arg(long)]
    no_builtin_suppressions: bool,
    /// The share of the run whose newest allocations say nothing about growth
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = parse_percent)]
    ignore_newest: f64,
    /// Do not judge how sites grow, which replays the events
    #[arg(long)]
    no_verdicts: bool,
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    sources: SourceArgs,
    /// Write the interactive page, which opens with the leaks: all of them, with the growth of each
    #[arg(long, conflicts_with_all = ["json", "all", "limit"])]
    html: bool,
    /// Write JSON, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    output: OutputArgs,
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>() {
        Ok(percent) if (0.0..=90.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("a share of the run is from 0% to 90%".into()),
    }
}

fn suppressions(args: &Args) -> Result<Suppressions, CliError> {
    let mut suppressions = if args.no_builtin_suppressions { Suppressions::default() } else { Suppressions::builtin() };
    for path in &args.suppressions {
        let file = shown(path);
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::new(exit::NO_INPUT, format!("{file}: cannot be read: {error}; check the name"))
        })?;
        suppressions.add(&text).map_err(|error| CliError::new(exit::BAD_CAPTURE, format!("{file}: {error}")))?;
    }
    Ok(suppressions)
}

/// The share of the run whose newest allocations say nothing about growth, unless another is asked for.
pub const NEWEST: f64 = 0.1;

/// What was left of a profile, judged if `newest` says by what part of the run; and the course of the same part, if `course`
/// says of which process, and how many allocations may lie between for temporary. One replay gives both; a capture without
/// events neither.
pub fn replayed(
    path: &Path,
    input: &Input,
    profile: &Profile,
    suppressions: &Suppressions,
    newest: Option<f64>,
    course: Option<(Option<u32>, u32)>,
) -> Result<(Leaks, Option<Course>), CliError> {
    let mut found = Leaks::of(profile, suppressions);
    let capture = &input.capture;
    if capture.run.aggregate {
        return Ok((found, None));
    }
    let judging = Judging { span: profile.span, newest: newest.unwrap_or(NEWEST) };
    let watch = newest.and_then(|_| found.watch(capture, profile, judging));
    let mut bar = Bar::default();
    let progress = &mut |progress| bar.show(progress);
    let replayed = match course.filter(|_| !matches!(profile.span, Span::At(_))) {
        Some((pid, within)) => Course::of(capture, (profile.span, Division::FINE), pid, within, watch, progress)
            .map(|(course, watch)| (Some(course), watch)),
        None if watch.is_some() => {
            capture.replay(profile.span, 0, watch, progress).map(|replayed| (None, replayed.watch))
        }
        None => Ok((None, watch)),
    };
    bar.clear();
    let (course, watch) = replayed.map_err(|error| capture_error(path, &error))?;
    if let Some(watch) = watch {
        found.judge_by(capture, judging, watch);
    }
    Ok((found, course))
}

/// Writes the list, then decides.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let symbols = args.sources.symbols();
    let (sources, symbols) = (args.sources.wanted(), Some(&symbols));
    let options = profile::Options { pid: args.pid, sources, symbols, ..profile::Options::default() };
    let suppressions = suppressions(args)?;
    let output = match args.html {
        true => args.output.or_file(beside(path, "leaks.html"), &[path])?,
        false => args.output.or_stdout(&[path])?,
    };
    let mut input = Input::open(path)?;
    let profile = profile(path, &input, Some(&args.span), &options)?;
    input.forget_rows();
    let context = Context::new(&input.name, &input.capture, Some(&profile), args.pid);
    let newest = (!args.no_verdicts).then_some(args.ignore_newest);
    let course = args.html.then_some((args.pid, 1));
    let (found, mut course) = replayed(path, &input, &profile, &suppressions, newest, course)?;
    let limit = (args.limit > 0).then_some(args.limit);
    let options = leaks::Options { limit, all: args.all, newest: args.ignore_newest };
    output.write(|out, style| match (args.html, args.json) {
        (true, _) => {
            let page = page::of_profile(&context, &profile, course.take(), Metric::Leaked, 1);
            let section = page::leaks_section(context.capture, &profile, &found, &suppressions, args.ignore_newest);
            let types = page::types_section(&context);
            html::write(&html::FlamePage { leaks: Some(section), types, first_view: Some("leaks"), ..page }, out)
        }
        (_, true) => leaks::write_json(&context, &profile, &found, &suppressions, &options, out),
        _ => leaks::write_text(&context, &profile, &found, &options, style, out),
    })?;
    // What is suppressed is nobody's.
    let left: Amount = match args.all {
        true => Origin::ALL.into_iter().map(|origin| found.of_origin(origin)).sum(),
        false => found.of_origin(Origin::Program),
    };
    match args.fail_above {
        Some(limit) if left.bytes > limit => {
            let figures = format!("{} ({} bytes) live at the end", size(left.bytes), count(left.bytes));
            let limit = format!("more than the {} bytes of --fail-above", count(limit));
            let message = format!("{}: {figures}, {limit}", shown(path));
            Err(CliError::new(exit::EXCEEDED, message))
        }
        _ => Ok(exit::OK),
    }
}
