//! `heaptide flamegraph`: a capture as an interactive page, a picture, or folded stacks.

use crate::exit::{self, CliError};
use crate::input::Input;
use crate::leaks;
use crate::output::{OutputArgs, beside};
use crate::selection::{Selection, profile};
use heaptide_analyze::instants::Span;
use heaptide_analyze::profile::Metric;
use heaptide_analyze::suppressions::Suppressions;
use heaptide_report::{Context, folded, html, page, svg};
use std::path::PathBuf;

/// Draw where the memory went: an interactive page, by default of the peak
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide flamegraph run.bin                      writes run.flamegraph.html
  heaptide flamegraph --leaks -f run.bin           what was left at the end
  heaptide flamegraph --from 10 --to 12 run.bin    two seconds, in steps of ten milliseconds
  heaptide flamegraph --temporary 5 run.bin        what lived for no more than 5 other allocations
  heaptide flamegraph --format svg --inverted run.bin
  heaptide flamegraph --format folded run.bin | other-tool")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Only what the capture has at hand: opens at once however long the run was, but no instant can be chosen in the page,
    /// and leaks have no verdicts
    #[arg(long)]
    quick: bool,
    /// Begin at the allocations and show their callers below. The page only opens so and can be turned at any time
    #[arg(long)]
    inverted: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One file with everything in it, for a browser; needs no network
    Html,
    /// A picture
    Svg,
    /// A line for each stack, for other tools; to standard output
    Folded,
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let (metric, within) = (args.selection.metric(), args.selection.temporary_within());
    let name = |ending| beside(path, &default_ending(metric, args.selection.pid, ending));
    let output = match args.format {
        Format::Html => args.output.or_file(name("html"), &[path])?,
        Format::Svg => args.output.or_file(name("svg"), &[path])?,
        Format::Folded => args.output.or_stdout(&[path])?,
    };
    let mut input = Input::open(path)?;
    // A page of the run or a window gets what a replay of its events tells, byte-seconds among it.
    let replays = args.format == Format::Html && !args.quick && !input.capture.run.aggregate;
    let symbols = args.selection.symbols();
    let mut options = args.selection.options(&symbols);
    options.byte_seconds &= !replays || args.selection.span.is_instant();
    let profile = profile(path, &input, Some(&args.selection.span), &options)?;
    input.forget_rows();
    let context = Context::new(&input.name, &input.capture, Some(&profile), args.selection.pid);
    // Leaks are those of the whole run; `leaks --html` has others.
    let mut course = None;
    let mut leaks = None;
    if args.format == Format::Html {
        let is_whole = profile.span == Span::Whole;
        let suppressions = Suppressions::builtin();
        let newest = (replays && is_whole).then_some(leaks::NEWEST);
        let asked = replays.then_some((args.selection.pid, within));
        let found;
        (found, course) = leaks::replayed(path, &input, &profile, &suppressions, newest, asked)?;
        let section = || page::leaks_section(&input.capture, &profile, &found, &suppressions, leaks::NEWEST);
        leaks = is_whole.then(section);
    }
    output.write(|out, _| match args.format {
        Format::Html => {
            let types = page::types_section(&context);
            let page = page::of_profile(&context, &profile, course.take(), metric, within);
            let page = html::FlamePage { leaks, types, ..page };
            // The page has it all; with millions of stacks both would be hundreds of MiB.
            drop(profile);
            html::write(&html::FlamePage { inverted: args.inverted, ..page }, out)
        }
        Format::Svg => svg::write(&context, &profile, metric, within, args.inverted, out),
        Format::Folded => folded::write(&profile, metric, args.inverted, out),
    })?;
    Ok(exit::OK)
}

/// `flamegraph.html`, `flamegraph-leaked.4001.svg` …
fn default_ending(metric: Metric, pid: Option<u32>, extension: &str) -> String {
    let metric = match metric {
        Metric::Peak => String::new(),
        other => format!("-{}", other.name()),
    };
    let pid = pid.map_or(String::new(), |pid| format!(".{pid}"));
    format!("flamegraph{metric}{pid}.{extension}")
}
