//! `heaptide summary`: a table by function.

use crate::exit::{self, CliError};
use crate::input::Input;
use crate::output::OutputArgs;
use crate::selection::Selection;
use heaptide_report::{Context, summary};
use std::path::PathBuf;

/// List functions by the memory they hold, themselves and with what they call
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide summary run.bin                  of the peak
  heaptide summary --allocated --sort total run.bin
  heaptide summary --json run.bin | jq '.functions[0]'")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// Most functions to list; 0: all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 30)]
    limit: usize,
    /// What to order by
    #[arg(long, value_enum, default_value_t = Sort::Own)]
    sort: Sort,
    /// Write JSON, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// What a function allocated itself
    Own,
    /// What it and all it called allocated
    Total,
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let output = args.output.or_stdout(&[path])?;
    let input = Input::open(path)?;
    let profile = args.selection.profile(path, &input)?;
    let context = Context::new(&input.name, &input.capture, Some(&profile), args.selection.pid);
    let options = summary::Options {
        metric: args.selection.metric(),
        temporary_within: args.selection.temporary_within(),
        limit: (args.limit > 0).then_some(args.limit),
        by_total: args.sort == Sort::Total,
    };
    output.write(|out, style| match args.json {
        true => summary::write_json(&context, &profile, &options, out),
        false => summary::write_text(&context, &profile, &options, style, out),
    })?;
    Ok(exit::OK)
}
