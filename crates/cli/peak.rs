//! `heaptide peak`: how far the peak would fall without each site.

use crate::exit::{self, CliError};
use crate::input::{Bar, capture_error};
use crate::output::OutputArgs;
use crate::selection::{SourceArgs, opened};
use crate::span::SpanArgs;
use heaptide_analyze::peaks;
use heaptide_analyze::profile::Options;
use heaptide_report::{Context, peak};
use std::path::PathBuf;

/// List sites by how far the peak would fall without them: what is worth changing first
#[derive(clap::Args, Debug)]
#[command(after_help = "\
A site with much at the peak may have little to do with it: without it another instant is the highest, at which others have
almost as much. The replay of all events looks for that instant, for each site.

Examples:
  heaptide peak run.bin
  heaptide peak --from mark:serving run.bin
  heaptide peak --json --limit 0 run.bin")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// Most sites to list; 0: all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    span: SpanArgs,
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
    if args.span.is_instant() {
        return Err(CliError::new(
            crate::input::USAGE,
            "--at is no part of a run that could have a peak; use --from and --to",
        ));
    }
    let symbols = args.sources.symbols();
    let options = Options { sources: args.sources.wanted(), symbols: Some(&symbols), ..Options::default() };
    let (output, mut input, profile) = opened(&args.capture, &args.output, Some(&args.span), &options)?;
    let mut bar = Bar::default();
    let found = peaks::by_site(&input.capture, &profile, &mut |progress| bar.show(progress));
    bar.clear();
    let found = found.map_err(|error| capture_error(&args.capture, &error))?;
    input.forget_rows();
    let context = Context::new(&input.name, &input.capture, Some(&profile), None);
    let limit = (args.limit > 0).then_some(args.limit);
    output.write(|out, style| match args.json {
        true => peak::write_json(&context, &profile, &found, limit, out),
        false => peak::write_text(&context, &profile, &found, limit, style, out),
    })?;
    Ok(exit::OK)
}
