//! `heaptide symbolize`: the names of native functions into the capture.

use crate::exit::{self, CliError};
use crate::input::{Input, capture_error, shown};
use crate::output::{OutputArgs, create_error, write_error};
use crate::symbols::SymbolArgs;
use heaptide_analyze::CaptureError;
use heaptide_analyze::symbolize::Symbolized;
use heaptide_report::units::{count, size, visible};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Put the names of native functions, their files and lines into a capture, so that it reads the same on another machine
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide symbolize run.bin                  before sending it to somebody else
  heaptide symbolize -o named.bin run.bin     leaves run.bin as it is")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it; it is replaced unless -o names another file
    capture: PathBuf,
    #[command(flatten)]
    symbols: SymbolArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Looks the names up and writes the capture anew.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let output = if args.output.is_given() { Some(args.output.or_stdout(&[path])?) } else { None };
    let input = Input::open(path)?;
    if output.is_none() && input.capture.ends_early.is_some() {
        // It may be recorded still: the recorder would go on writing to the file that was replaced.
        let message = format!("{}: is not whole, so it is not replaced; name another file with -o", shown(path));
        return Err(CliError::new(exit::NO_OUTPUT, message));
    }
    let symbolized = Symbolized::of(&input.capture, &args.symbols.settings());
    for note in &symbolized.notes {
        eprintln!("heaptide: {}", visible(note));
    }
    let of_places = format!("{} of {} native places", count(symbolized.named as u64), count(symbolized.places as u64));
    match output {
        Some(output) => {
            let mut failure = None;
            let written = output.write(|out, _| symbolized.write(out).map_err(|error| into_io(error, &mut failure)));
            if let Some(error) = failure {
                return Err(capture_error(path, &error));
            }
            written?;
            eprintln!("heaptide: {of_places} have names");
        }
        None if symbolized.unchanged => {
            eprintln!("heaptide: {}: nothing to add, {of_places} have names", shown(path));
        }
        None => {
            let bytes = replace(path, &symbolized)?;
            eprintln!("heaptide: {}: {of_places} have names now ({})", shown(path), size(bytes));
        }
    }
    Ok(exit::OK)
}

/// Errors of the output as they are; one of the capture is kept for the caller.
fn into_io(error: CaptureError, failure: &mut Option<CaptureError>) -> io::Error {
    match error {
        CaptureError::Io(error) => error,
        other => {
            *failure = Some(other);
            io::ErrorKind::InvalidData.into()
        }
    }
}

/// Writes a file beside the capture, then puts it in the capture's place: whenever it ends, one of the two is whole.
fn replace(path: &Path, symbolized: &Symbolized<'_>) -> Result<u64, CliError> {
    // What a link leads to is replaced, not the link.
    let target = path.canonicalize().map_err(|error| capture_error(path, &error.into()))?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = target.with_file_name(name);
    let file = File::create_new(&beside).map_err(|error| create_error(&beside, &error))?;
    let done = write_beside(file, &target, symbolized).and_then(|bytes| {
        fs::rename(&beside, &target)?;
        Ok(bytes)
    });
    done.map_err(|error| {
        let _ = fs::remove_file(&beside);
        match error {
            CaptureError::Io(error) => write_error(&shown(&beside), &error),
            other => capture_error(path, &other),
        }
    })
}

fn write_beside(file: File, target: &Path, symbolized: &Symbolized<'_>) -> Result<u64, CaptureError> {
    file.set_permissions(target.metadata()?.permissions())?;
    let mut out = BufWriter::with_capacity(1 << 16, file);
    symbolized.write(&mut out)?;
    out.flush()?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    // A machine that fails after the renaming must not leave an empty capture.
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
