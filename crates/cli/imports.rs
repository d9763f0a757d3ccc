//! `heaptide imports`: what the modules cost that a program imports.

use crate::exit::{self, CliError};
use crate::output::OutputArgs;
use crate::selection::{SourceArgs, opened};
use crate::tree::percent;
use heaptide_analyze::imports::Imports;
use heaptide_analyze::profile::{Metric, Options};
use heaptide_report::{Context, imports};
use std::path::PathBuf;

/// Show what each imported module cost, as a tree of who imported whom, or by package
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide imports run.bin
  heaptide imports --metric leaked --packages run.bin
  heaptide imports --json run.bin | jq '.packages[0]'")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// Which bytes
    #[arg(long, value_enum, default_value_t = MetricArg::Peak)]
    metric: MetricArg,
    /// A table of packages instead of the tree of modules
    #[arg(long)]
    packages: bool,
    /// Put together what costs less than this share of all imports
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    min_percent: f64,
    /// Only this process; the peak is then its own
    #[arg(long)]
    pid: Option<u32>,
    /// Write JSON, always of all modules and packages, see docs/reports.md
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
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let metric = match args.metric {
        MetricArg::Peak => Metric::Peak,
        MetricArg::Leaked => Metric::Leaked,
        MetricArg::Allocated => Metric::Allocated,
    };
    let symbols = args.sources.symbols();
    // A line of source tells the name of an extension module that it imports.
    let options =
        Options { pid: args.pid, sources: args.sources.wanted(), symbols: Some(&symbols), ..Options::default() };
    let (output, mut input, profile) = opened(&args.capture, &args.output, None, &options)?;
    input.forget_rows();
    let context = Context::new(&input.name, &input.capture, Some(&profile), args.pid);
    let found = Imports::of(&profile, metric);
    let options = imports::Options { metric, least_percent: args.min_percent, packages: args.packages };
    output.write(|out, style| match args.json {
        true => imports::write_json(&context, &found, metric, out),
        false => imports::write_text(&context, &found, &options, style, out),
    })?;
    Ok(exit::OK)
}
