//! `heaptide leaks`: what was live at the end, and a gate for automatic tests.

use crate::exit::{self, CliError};
use crate::input::shown;
use crate::output::OutputArgs;
use crate::selection::{SourceArgs, opened};
use crate::span::SpanArgs;
use crate::threshold::parse_size;
use heaptide_analyze::leaks::{Leaks, Origin};
use heaptide_analyze::profile;
use heaptide_report::units::{count, size};
use heaptide_report::{Context, leaks};
use std::path::PathBuf;

/// List what was live at the end, the program's own apart from what imports and the interpreter leave
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide leaks run.bin
  heaptide leaks --fail-above 10MB run.bin       exits with 3 if the program left more
  heaptide leaks --all --limit 0 --json run.bin

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

/// Writes the list, then decides.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let symbols = args.sources.symbols();
    let (sources, symbols) = (args.sources.wanted(), Some(&symbols));
    let options = profile::Options { pid: args.pid, sources, symbols, ..profile::Options::default() };
    let (output, mut input, profile) = opened(path, &args.output, Some(&args.span), &options)?;
    input.forget_rows();
    let context = Context::new(&input.name, &input.capture, Some(&profile), args.pid);
    let found = Leaks::of(&profile);
    let options = leaks::Options { limit: (args.limit > 0).then_some(args.limit), all: args.all };
    output.write(|out, style| match args.json {
        true => leaks::write_json(&context, &profile, &found, &options, out),
        false => leaks::write_text(&context, &profile, &found, &options, style, out),
    })?;
    let left = if args.all { found.total } else { found.of_origin(Origin::Program) };
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
