//! `heaptide diff`: what changed from one capture to another.

use crate::exit::{self, CliError};
use crate::input::Input;
use crate::output::{OutputArgs, beside};
use crate::selection::profile;
use crate::symbols::SymbolArgs;
use heaptide_analyze::diff::Diff;
use heaptide_analyze::profile::{Metric, Options};
use heaptide_report::{Context, diff, html, page};
use std::path::PathBuf;

/// Compare two captures by stack, matched by names: what grew, what shrank
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide diff before.bin after.bin
  heaptide diff --metric leaked before.bin after.bin
  heaptide diff --html before.bin after.bin        writes after.diff.html")]
pub struct Args {
    /// The capture to compare with
    before: PathBuf,
    /// The capture to look at
    after: PathBuf,
    /// By which bytes to compare stacks; the totals of all are shown
    #[arg(long, value_enum, default_value_t = By::Peak)]
    metric: By,
    /// Most stacks that grew, and most that shrank, to list; 0: all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Write an interactive page in two colours
    #[arg(long, conflicts_with = "json")]
    html: bool,
    /// Write JSON, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    symbols: SymbolArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum By {
    /// Live at the peak
    Peak,
    /// Live at the end
    Leaked,
    /// All that was ever allocated
    Allocated,
    /// Freed soon
    Temporary,
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let metric = match args.metric {
        By::Peak => Metric::Peak,
        By::Leaked => Metric::Leaked,
        By::Allocated => Metric::Allocated,
        By::Temporary => Metric::Temporary,
    };
    let inputs = [args.before.as_path(), args.after.as_path()];
    let output = match args.html {
        true => args.output.or_file(beside(&args.after, "diff.html"), &inputs)?,
        false => args.output.or_stdout(&inputs)?,
    };
    let mut before = Input::open(&args.before)?;
    let symbols = args.symbols.settings();
    let options = Options { symbols: Some(&symbols), ..Options::default() };
    // One after the other, so that not all is in memory at once.
    let was = profile(&args.before, &before, None, &options)?;
    before.forget_rows();
    let mut after = Input::open(&args.after)?;
    let is = profile(&args.after, &after, None, &options)?;
    after.forget_rows();
    let found = Diff::of(&was, &is);
    let before = Context::new(&before.name, &before.capture, Some(&was), None);
    let after = Context::new(&after.name, &after.capture, Some(&is), None);
    drop((was, is));
    let options = diff::Options { metric, limit: (args.limit > 0).then_some(args.limit) };
    output.write(|out, style| match (args.html, args.json) {
        (true, _) => html::write(&page::of_diff(&before, &after, &found, metric), out),
        (_, true) => diff::write_json(&before, &after, &found, &options, out),
        _ => diff::write_text(&before, &after, &found, &options, style, out),
    })?;
    Ok(exit::OK)
}
