//! `heaptide parse`: every record of a capture.

use crate::exit::{self, CliError};
use crate::input::{capture_error, warn_ends_early};
use crate::output::OutputArgs;
use heaptide_analyze::reader::{EndsEarly, Reason};
use heaptide_analyze::records::{Stop, walk};
use heaptide_analyze::source::Source;
use heaptide_report::parse::Printer;
use std::io;
use std::path::PathBuf;

/// Print every record of a capture, as it stands in the file: for debugging and for scripts
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide parse run.bin | less
  heaptide parse --json run.bin | jq 'select(.record == \"allocated\")'")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// One JSON object a line, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Writes them, up to where the capture is readable.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let output = args.output.or_stdout(&[path])?;
    let source = Source::open(path).map_err(|error| capture_error(path, &error.into()))?;
    let mut capture_failure = None;
    let mut ends_early = None;
    output
        .write(|mut out, _| {
            let mut printer = Printer::new(&mut out, args.json);
            let mut damage = None;
            let walked = walk(
                &source,
                &mut |offset, record| match printer.record(offset, record) {
                    Ok(None) => Ok(()),
                    Ok(Some(error)) => {
                        damage = Some(EndsEarly { offset, reason: Reason::Read(error), complete: false });
                        Err(None)
                    }
                    Err(error) => Err(Some(error)),
                },
                &mut |_| {},
            );
            match walked {
                Ok(end) => ends_early = end,
                Err(Stop::Visitor(None)) => ends_early = damage,
                Err(Stop::Visitor(Some(error))) => return Err(error),
                Err(Stop::Capture(error)) => {
                    capture_failure = Some(capture_error(path, &error));
                    // So that an output file does not stay behind.
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            Ok(())
        })
        .or_else(|error| if capture_failure.is_some() { Ok(()) } else { Err(error) })?;
    if let Some(ends_early) = ends_early {
        warn_ends_early(path, &ends_early);
    }
    capture_failure.map_or(Ok(exit::OK), Err)
}
