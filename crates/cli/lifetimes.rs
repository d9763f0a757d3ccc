//! `heaptide lifetimes`: how long blocks live.

use crate::exit::{self, CliError};
use crate::input::{Bar, capture_error};
use crate::output::OutputArgs;
use crate::selection::{SourceArgs, opened};
use heaptide_analyze::lifetimes;
use heaptide_analyze::profile::Options;
use heaptide_report::{Context, lifetimes as report};
use std::path::PathBuf;

/// Show how long blocks lived and how large they were, of all and of each site
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Times are those of the recorder's rounds, a millisecond or so apart: what lived for less is in the first class.

Examples:
  heaptide lifetimes run.bin
  heaptide lifetimes --json --limit 0 run.bin")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// Most sites to list; 0: all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
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
    let (output, mut input, profile) = opened(&args.capture, &args.output, None, &options)?;
    let mut bar = Bar::default();
    let found = lifetimes::of(&input.capture, &profile, &mut |progress| bar.show(progress));
    bar.clear();
    let (all, sites) = found.map_err(|error| capture_error(&args.capture, &error))?;
    input.forget_rows();
    let context = Context::new(&input.name, &input.capture, Some(&profile), None);
    let limit = (args.limit > 0).then_some(args.limit);
    output.write(|out, style| match args.json {
        true => report::write_json(&context, &profile, (&all, &sites), limit, out),
        false => report::write_text(&context, &profile, (&all, &sites), limit, style, out),
    })?;
    Ok(exit::OK)
}
