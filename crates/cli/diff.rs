//! `heaptide diff`: what changed from one capture to another, and a gate for automatic tests.

use crate::exit::{self, CliError};
use crate::filter::FilterArgs;
use crate::growth::Allowed;
use crate::input::{Input, USAGE, shown};
use crate::output::{OutputArgs, beside};
use crate::selection::{SourceArgs, profile, profile_of};
use crate::span::SpanArgs;
use heaptide_analyze::diff::{Detail, Diff, programs};
use heaptide_analyze::filter::Filter;
use heaptide_analyze::profile::{Metric, Options};
use heaptide_analyze::sites;
use heaptide_report::filtered::Filtered;
use heaptide_report::{Context, diff, html, page};
use std::path::PathBuf;

/// Compare two captures, or two instants of one, matched by names: what grew, what shrank, by stack, function, line, file, module or package
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide diff before.bin after.bin
  heaptide diff run.bin --from mark:warm --to mark:done         what was live at one, and at the other
  heaptide diff --metric leaked --by line before.bin after.bin
  heaptide diff --by package --exclude 'package:*(stdlib)' before.bin after.bin
  heaptide diff --fail-on-growth 5%,1MB before.bin after.bin    exits with 3 if the peak grew so
  heaptide diff --html before.bin after.bin                     writes after.diff.html

A size is a number with B, kB, MB, GB (by 1000), KiB, MiB, GiB or K, M, G (by 1024).")]
pub struct Args {
    /// The capture to compare with
    before: PathBuf,
    /// The capture to look at; if it is left out, the first at --from is compared with the same at --to
    after: Option<PathBuf>,
    #[command(flatten)]
    span: SpanArgs,
    /// By which bytes to compare; the totals of all are shown. Between instants it is what was live then
    #[arg(long, value_enum, default_value_t = MetricArg::Peak)]
    metric: MetricArg,
    /// What to put together
    #[arg(long, value_enum, default_value_t = By::Stack)]
    by: By,
    /// What to order packages, modules, files, functions and lines by
    #[arg(long, value_enum, default_value_t = Sort::Own)]
    sort: Sort,
    #[command(flatten)]
    filter: FilterArgs,
    /// Most that grew, and most that shrank, to list; 0: all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Exit with 3 if the bytes compared (after the filters) grew by more than this: 5% of what they were, 10MB, or, as
    /// 5%,10MB, more than both
    #[arg(long, value_name = "LIMIT")]
    fail_on_growth: Option<Allowed>,
    /// Write an interactive page in two colours, with what changed by each of these
    #[arg(long, conflicts_with_all = ["json", "by"])]
    html: bool,
    /// Write JSON, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: SourceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum MetricArg {
    /// Live at the peak
    Peak,
    /// Live at the end
    Leaked,
    /// All that was ever allocated
    Allocated,
    /// Freed soon
    Temporary,
}

impl From<MetricArg> for Metric {
    fn from(metric: MetricArg) -> Self {
        match metric {
            MetricArg::Peak => Self::Peak,
            MetricArg::Leaked => Self::Leaked,
            MetricArg::Allocated => Self::Allocated,
            MetricArg::Temporary => Self::Temporary,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum By {
    /// A stack of functions
    Stack,
    /// A line of source
    Line,
    /// A function of a file
    Function,
    /// A source file or a native object
    File,
    /// A Python module
    Module,
    /// An installed package, a module of the standard library, a part of the program, a native object
    Package,
}

impl By {
    fn rows(self) -> Option<sites::By> {
        match self {
            Self::Stack => None,
            Self::Line => Some(sites::By::Line),
            Self::Function => Some(sites::By::Function),
            Self::File => Some(sites::By::File),
            Self::Module => Some(sites::By::Module),
            Self::Package => Some(sites::By::Package),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// What changed of what they asked for themselves
    Own,
    /// What changed of that and of all they called
    Total,
}

/// Stacks or rows that are named when too much grew.
const MOST_NAMED: usize = 5;

/// Writes it, then decides.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let metric = Metric::from(args.metric);
    let after_path = args.after.as_ref().unwrap_or(&args.before);
    let inputs = [args.before.as_path(), after_path.as_path()];
    let output = match args.html {
        true => args.output.or_file(beside(after_path, "diff.html"), &inputs)?,
        false => args.output.or_stdout(&inputs)?,
    };
    let (by, filter) = (args.by.rows(), args.filter.filter());
    // The page has them all, and puts them together as its reader asks.
    let lines = args.html || by == Some(sites::By::Line) || filter.as_ref().is_some_and(Filter::names_lines);
    let mut before = Input::open(&args.before)?;
    let symbols = args.sources.symbols();
    // Texts of lines help to match lines, and only them.
    let options = Options { symbols: Some(&symbols), sources: lines && args.sources.wanted(), ..Options::default() };
    // One after the other, so that not all is in memory at once.
    let (was, after, is) = match &args.after {
        Some(path) => {
            let was = profile(&args.before, &before, Some(&args.span), &options)?;
            before.forget_rows();
            let mut after = Input::open(path)?;
            let is = profile(path, &after, Some(&args.span), &options)?;
            after.forget_rows();
            (was, Some(after), is)
        }
        None => {
            let Some([from, to]) = args.span.two_instants(&args.before, &before.capture)? else {
                let advice = "name a second capture, or two instants of this one with --from and --to";
                return Err(CliError::new(
                    USAGE,
                    format!("{}: there is nothing to compare it with; {advice}", shown(&args.before)),
                ));
            };
            let was = profile_of(&args.before, &before, from, &options)?;
            let is = profile_of(&args.before, &before, to, &options)?;
            before.forget_rows();
            (was, None, is)
        }
    };
    if metric != Metric::Peak && (after.is_none() || args.span.is_instant()) {
        let message = "--metric is for runs and windows: at an instant there is only what was live";
        return Err(CliError::new(USAGE, message));
    }
    let after = after.as_ref().unwrap_or(&before);
    let mut found = Diff::in_detail(&was, &is, if lines { Detail::Line } else { Detail::Function });
    found.notes = programs::notes(&before.capture, &after.capture);
    let before = Context::new(&before.name, &before.capture, Some(&was), None);
    let after = Context::new(&after.name, &after.capture, Some(&is), None);
    drop((was, is));
    let mut filtered = None;
    if let Some(filter) = &filter {
        let (kept, left_out) = found.filtered(filter);
        found = kept;
        let left_out = ["before", "after"].into_iter().zip(left_out.map(|amounts| amounts.of(metric)));
        filtered = Some(Filtered { filter, left_out: left_out.collect() });
    }
    if lines && by.is_none() && !args.html {
        found = found.by_function();
    }
    if args.html && filtered.is_some() {
        found = found.without_unused_frames();
    }
    let limit = (args.limit > 0).then_some(args.limit);
    let options = diff::Options { metric, by, by_total: args.sort == Sort::Total, limit, filtered };
    output.write(|out, style| match (args.html, args.json) {
        (true, _) => {
            let mut page = page::of_diff(&before, &after, &found, metric);
            let sentences =
                options.filtered.iter().flat_map(|filtered| filtered.sentences(&diff::words(&found, metric)));
            page.facts.extend(sentences.map(|sentence| ("filter".to_owned(), sentence)));
            html::write(&page, out)
        }
        (_, true) => diff::write_json(&before, &after, &found, &options, out),
        _ => diff::write_text(&before, &after, &found, &options, style, out),
    })?;
    decide(args, &found, &options)
}

/// Whether it grew too much, and if so by what.
fn decide(args: &Args, found: &Diff, options: &diff::Options<'_>) -> Result<u8, CliError> {
    let total = found.total(options.metric);
    let Some(allowed) = args.fail_on_growth.as_ref().filter(|allowed| allowed.is_exceeded(&total)) else {
        return Ok(exit::OK);
    };
    let of_filter = if options.filtered.is_some() { " of what the filters keep" } else { "" };
    let what = format!("{}{of_filter}", diff::words(found, options.metric));
    let mut message = format!(
        "{}: {}; what grew most:",
        shown(args.after.as_ref().unwrap_or(&args.before)),
        allowed.message(&what, &total)
    );
    for line in diff::grown(found, options, MOST_NAMED) {
        message.push_str("\n  ");
        message.push_str(&line);
    }
    Err(CliError::new(exit::EXCEEDED, message))
}
