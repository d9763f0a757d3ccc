//! `heaptide tree`: the call tree as an outline.

use crate::exit::{self, CliError};
use crate::output::OutputArgs;
use crate::selection::{Selection, opened};
use heaptide_report::{Context, tree};
use std::path::PathBuf;

/// Print the call tree as an outline, the widest path first
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide tree run.bin
  heaptide tree --leaks --min-percent 0.1 run.bin")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// Put together what holds less than this share of the whole
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    min_percent: f64,
    /// Show the import system and other inner parts of the interpreter as well, whose bytes are otherwise their
    /// caller's
    #[arg(long)]
    all_frames: bool,
    /// Write JSON, always of all frames, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    output: OutputArgs,
}

/// A percentage as it is typed, without the sign.
pub fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("a percentage is a number from 0 to 100".into()),
    }
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let (output, mut input, profile) = opened(
        &args.capture,
        &args.output,
        Some(&args.selection.span),
        &args.selection.options(&args.selection.symbols()),
    )?;
    input.forget_rows();
    let context = Context::new(&input.name, &input.capture, Some(&profile), args.selection.pid);
    let options = tree::Options {
        metric: args.selection.metric(),
        temporary_within: args.selection.temporary_within(),
        least_percent: args.min_percent,
        all_frames: args.all_frames,
    };
    output.write(|out, style| match args.json {
        true => tree::write_json(&context, &profile, &options, out),
        false => tree::write_text(&context, &profile, &options, style, out),
    })?;
    Ok(exit::OK)
}
