//! `heaptide mark`: names an instant of a recording that is under way, from outside.

use crate::exit::{self, CliError};
use heaptide_format::ids::Nanos;
use heaptide_record::outside::{self, MarkError};
use heaptide_report::units::{count, size, visible};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Give this instant of a running recording a name
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide mark 4711 \"after load\"
  heaptide mark $(pgrep -f server.py) warm

A program sets marks itself by calling heaptide_mark: see docs/guide/marks.md.

Exit codes: 0 the mark is set; 66 there is no such process; 69 it is not traced by heaptide, its recording has ended or is
another version's; 75 its recorder does not answer within 5 seconds; 77 it is another user's.")]
pub struct Args {
    /// Any process of the run: the command, one that it started, or `heaptide run` itself
    pid: u32,
    /// The mark's name; of more than 200 bytes the first 200 are kept. Names need not differ
    name: OsString,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Sets it, and says where it was set.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let answer = outside::mark(args.pid, args.name.as_bytes()).map_err(|error| mark_error(args.pid, &error))?;
    if !args.quiet {
        let rss = if answer.rss > 0 { format!(", RSS {}", size(answer.rss)) } else { String::new() };
        println!(
            "marked {:?} at {:.3} s, after {} events: {} live{rss}",
            visible(&args.name.to_string_lossy()),
            Nanos(answer.time).seconds(),
            count(answer.event),
            size(answer.live),
        );
    }
    Ok(exit::OK)
}

fn mark_error(pid: u32, error: &MarkError) -> CliError {
    let (code, advice) = match error {
        MarkError::NoSuchProcess => (exit::NO_INPUT, "check the number"),
        MarkError::Denied => (exit::NO_PERMISSION, "set the mark as the user who records it"),
        MarkError::NotTraced => (exit::UNAVAILABLE, "start it with `heaptide run`"),
        MarkError::Ended => (exit::UNAVAILABLE, "no mark can be added to it"),
        MarkError::OtherVersion => (exit::UNAVAILABLE, "use the heaptide that records it"),
        MarkError::NoAnswer { .. } => (exit::NO_ANSWER, "the mark is not set; is the recorder stopped? Try again"),
        _ => (exit::IO, "try again"),
    };
    CliError::new(code, format!("process {pid}: {error}; {advice}"))
}
