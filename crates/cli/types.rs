//! `heaptide types`: Python objects by type at each census of a run.

use crate::exit::{self, CliError};
use crate::input::{Input, capture_error, shown};
use crate::output::OutputArgs;
use heaptide_report::{Context, types};
use std::path::PathBuf;

/// List Python objects by type at each census, which types grow and who holds them (needs `run --census`)
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide run --census 10s -o run.bin -- python server.py
  heaptide types run.bin
  heaptide types --json run.bin | jq '.processes[].types[] | select(.steady)'")]
pub struct Args {
    /// The capture, as `heaptide run --census` wrote it
    capture: PathBuf,
    /// Most types to list; 0: all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 30)]
    limit: usize,
    /// Only this process
    #[arg(long)]
    pid: Option<u32>,
    /// Write JSON, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let output = args.output.or_stdout(&[path])?;
    let mut input = Input::open(path)?;
    input.forget_rows();
    let images = input.capture.images_of(args.pid).map_err(|error| capture_error(path, &error))?;
    if types::of_images(&input.capture, &images).is_empty() {
        let message = format!(
            "{}: holds no census; record again with `heaptide run --census 10s` (of a Python program that lasts longer, \
             or ends by itself)",
            shown(path)
        );
        return Err(CliError::new(exit::BAD_CAPTURE, message));
    }
    let context = Context::new(&input.name, &input.capture, None, args.pid);
    let limit = (args.limit > 0).then_some(args.limit);
    output.write(|out, style| match args.json {
        true => types::write_json(&context, out),
        false => types::write_text(&context, limit, style, out),
    })?;
    Ok(exit::OK)
}
