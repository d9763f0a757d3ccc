//! `heaptide export`: a capture in the file formats of other tools.

use crate::exit::{self, CliError};
use crate::input::{Bar, Input, USAGE, capture_error, shown};
use crate::output::{OutputArgs, beside};
use crate::selection::{Selection, profile};
use heaptide_analyze::CaptureError;
use heaptide_analyze::reader::Progress;
use heaptide_report::export::{
    Export, ExportError, dhat, firefox, gprof2dot, heaptrack, parquet, pprof, rows, speedscope,
};
use heaptide_report::{Context, folded};
use std::io::{self, Write};
use std::path::PathBuf;

/// Write a capture in the format of another tool
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide export --format pprof run.bin           writes run.pb.gz, for go tool pprof
  heaptide export --format speedscope run.bin      writes run.speedscope.json
  heaptide export --format csv --from 50% run.bin  a row for each stack, to standard output

Formats of one metric (folded, gprof2dot) have the peak, or what is asked for; the others have all
metrics and begin with that one.")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// profile.proto, packed by gzip, with the sample types of Go's heap profiles
    Pprof,
    /// For speedscope.app: a profile for each metric
    Speedscope,
    /// A line for each stack, for flame graph tools; to standard output
    Folded,
    /// For gprof2dot -f json, which draws a graph of calls
    Gprof2dot,
    /// A table with a row for each stack, for spreadsheets and data frames; to standard output
    Csv,
    /// The same as a JSON object a line; to standard output
    Jsonl,
    /// For valgrind's dh_view.html, with the lifetimes of blocks
    Dhat,
    /// For heaptrack_print and heaptrack_gui: every allocation and release, packed by gzip
    Heaptrack,
    /// For profiler.firefox.com: allocations with their releases, memory over time, packed by gzip
    Firefox,
    /// A table for data frames and databases: what each stack had live at some 200 instants
    Parquet,
}

impl Format {
    /// What the file is called behind the capture's name; `None`: it goes to standard output.
    fn ending(self) -> Option<&'static str> {
        match self {
            Self::Pprof => Some("pb.gz"),
            Self::Speedscope => Some("speedscope.json"),
            Self::Gprof2dot => Some("gprof2dot.json"),
            Self::Dhat => Some("dhat.json"),
            Self::Heaptrack => Some("heaptrack.gz"),
            Self::Firefox => Some("firefox.json.gz"),
            Self::Parquet => Some("parquet"),
            Self::Folded | Self::Csv | Self::Jsonl => None,
        }
    }

    /// There is no such file without the single events.
    fn needs_events(self) -> bool {
        matches!(self, Self::Heaptrack | Self::Parquet)
    }
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let selection = &args.selection;
    let output = match args.format.ending() {
        Some(ending) => args.output.or_file(beside(path, ending), &[path])?,
        None => args.output.or_stdout(&[path])?,
    };
    if args.format == Format::Parquet && selection.span.is_instant() {
        let message = "--format parquet has all instants; leave out --at, or take csv or jsonl for one of them";
        return Err(CliError::new(USAGE, message.to_owned()));
    }
    let mut input = Input::open(path)?;
    if args.format.needs_events() && input.capture.run.aggregate {
        return Err(capture_error(path, &CaptureError::NoEvents));
    }
    let profile = profile(path, &input, Some(&selection.span), &selection.options(&selection.symbols()))?;
    input.forget_rows();
    let context = Context::new(&input.name, &input.capture, Some(&profile), selection.pid);
    let export = Export::new(&context, &profile, selection.metric(), selection.temporary_within());
    let mut notes = Vec::new();
    let mut unreadable = None;
    let mut bar = Bar::default();
    let written = output.write(|out, _| {
        let written = write(args.format, export, &mut |progress| bar.show(progress), out);
        match written {
            Ok(said) => notes = said,
            Err(ExportError::Io(error)) => return Err(error),
            Err(ExportError::Capture(error)) => {
                unreadable = Some(error);
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(())
    });
    bar.clear();
    match unreadable {
        Some(error) => return Err(capture_error(path, &error)),
        None => written?,
    }
    for note in notes {
        eprintln!("heaptide: {}: {note}", shown(path));
    }
    Ok(exit::OK)
}

/// Gives what the user has to know, a sentence each.
fn write(
    format: Format,
    export: Export<'_>,
    progress: &mut dyn FnMut(Progress),
    out: &mut dyn Write,
) -> Result<Vec<String>, ExportError> {
    match format {
        Format::Pprof => pprof::write(export, out)?,
        Format::Speedscope => speedscope::write(export, out)?,
        Format::Folded => folded::write(export.profile, export.metric, false, out)?,
        Format::Gprof2dot => gprof2dot::write(export, out)?,
        Format::Csv => rows::write_csv(export, out)?,
        Format::Jsonl => rows::write_jsonl(export, out)?,
        Format::Dhat => dhat::write(export, progress, out)?,
        Format::Heaptrack => return heaptrack::write(export, progress, out),
        Format::Firefox => return firefox::write(export, progress, out),
        Format::Parquet => return parquet::write(export, progress, out),
    }
    Ok(Vec::new())
}
