//! `heaptide stats`: a capture in figures.

use crate::exit::{self, CliError};
use crate::output::OutputArgs;
use crate::selection::{SourceArgs, opened};
use heaptide_analyze::profile::Options;
use heaptide_report::{Context, stats};
use std::path::PathBuf;

/// Show totals, sizes, allocators, the largest sites and modules, and what tracing cost and missed
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide stats run.bin
  heaptide stats --json run.bin | jq '.timeline'    live bytes and RSS over time")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// Most sites, modules and processes to list; 0: all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    limit: usize,
    #[command(flatten)]
    sources: SourceArgs,
    /// Write JSON, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let symbols = args.sources.symbols();
    let options = Options { sources: args.sources.wanted(), symbols: Some(&symbols), ..Options::default() };
    let (output, input, profile) = opened(&args.capture, &args.output, None, &options)?;
    let context = Context::new(&input.name, &input.capture, Some(&profile), None);
    let limit = (args.limit > 0).then_some(args.limit);
    output.write(|out, style| match args.json {
        true => stats::write_json(&context, &profile, limit, out),
        false => stats::write_text(&context, &profile, limit, style, out),
    })?;
    Ok(exit::OK)
}
