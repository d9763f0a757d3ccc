//! Where a report goes: standard output, or a file that is not overwritten unless asked for.

use crate::exit::{self, CliError};
use crate::input::shown;
use heaptide_report::Style;
use heaptide_report::units::size;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Options of every report.
#[derive(clap::Args, Debug)]
pub struct OutputArgs {
    /// Write to this file; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(short, long)]
    force: bool,
}

/// Where one report goes.
#[derive(Debug)]
pub struct Output {
    /// `None`: standard output.
    file: Option<PathBuf>,
    force: bool,
}

impl OutputArgs {
    /// Whether a place was named.
    pub fn is_given(&self) -> bool {
        self.output.is_some()
    }

    /// Standard output if nothing else was asked for.
    pub fn or_stdout(&self, inputs: &[&Path]) -> Result<Output, CliError> {
        self.resolve(None, inputs)
    }

    /// This file if nothing else was asked for.
    pub fn or_file(&self, default: PathBuf, inputs: &[&Path]) -> Result<Output, CliError> {
        self.resolve(Some(default), inputs)
    }

    /// Refuses at once what could not be written in the end.
    fn resolve(&self, default: Option<PathBuf>, inputs: &[&Path]) -> Result<Output, CliError> {
        let file = match &self.output {
            Some(path) if path.as_os_str() == "-" => None,
            Some(path) => Some(path.clone()),
            None => default,
        };
        if let Some(path) = &file {
            if !self.force && path.symlink_metadata().is_ok() {
                return Err(create_error(path, &io::ErrorKind::AlreadyExists.into()));
            }
            let same = |input: &&Path| matches!((path.canonicalize(), input.canonicalize()), (Ok(output), Ok(input)) if output == input);
            if inputs.iter().any(same) {
                let message = format!("{}: is the capture itself; choose another name with -o", shown(path));
                return Err(CliError::new(exit::NO_OUTPUT, message));
            }
        }
        Ok(Output { file, force: self.force })
    }
}

impl Output {
    /// Writes the report; says where it is if it is a file. A reader of standard output that has seen enough is no
    /// error.
    pub fn write(self, report: impl FnOnce(&mut dyn Write, Style) -> io::Result<()>) -> Result<(), CliError> {
        let Some(path) = self.file else {
            let colour =
                io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let mut out = BufWriter::new(io::stdout().lock());
            let written = report(&mut out, Style { colour }).and_then(|()| out.flush());
            return match written {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                Err(error) => Err(write_error("standard output", &error)),
                Ok(()) => Ok(()),
            };
        };
        let mut options = OpenOptions::new();
        options.write(true);
        match self.force {
            true => options.create(true).truncate(true),
            false => options.create_new(true),
        };
        let file = options.open(&path).map_err(|error| create_error(&path, &error))?;
        match write_file(file, report) {
            Ok(bytes) => {
                eprintln!("heaptide: wrote {} ({})", shown(&path), size(bytes));
                Ok(())
            }
            Err(error) => {
                // Half a report is worse than none; a device is left alone.
                if path.metadata().is_ok_and(|metadata| metadata.is_file()) {
                    let _ = std::fs::remove_file(&path);
                }
                Err(write_error(&shown(&path), &error))
            }
        }
    }
}

fn write_file(file: File, report: impl FnOnce(&mut dyn Write, Style) -> io::Result<()>) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 16, file);
    report(&mut out, Style::default())?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(file.metadata()?.len())
}

/// What to tell the user of a file that cannot be made.
pub fn create_error(path: &Path, error: &io::Error) -> CliError {
    let file = shown(path);
    match error.kind() {
        io::ErrorKind::AlreadyExists => CliError::new(
            exit::NO_OUTPUT,
            format!("{file}: exists already; choose another name with -o, or overwrite it with -f"),
        ),
        io::ErrorKind::NotFound => {
            CliError::new(exit::NO_OUTPUT, format!("{file}: its directory does not exist; make it first"))
        }
        io::ErrorKind::IsADirectory => {
            CliError::new(exit::NO_OUTPUT, format!("{file}: is a directory; name a file with -o"))
        }
        io::ErrorKind::PermissionDenied => CliError::new(
            exit::NO_PERMISSION,
            format!("{file}: permission denied; choose a place that you may write to with -o"),
        ),
        _ => CliError::new(exit::NO_OUTPUT, format!("{file}: cannot be created: {error}; choose another with -o")),
    }
}

/// What to tell the user of a file that cannot be written.
pub fn write_error(file: &str, error: &io::Error) -> CliError {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, or write elsewhere with -o",
        _ => "write elsewhere with -o",
    };
    CliError::new(exit::IO, format!("{file}: cannot be written: {error}; {advice}"))
}

/// The name of a report beside its capture: `run.bin` and `flamegraph.html` give `run.flamegraph.html`, in the
/// capture's directory.
pub fn beside(capture: &Path, ending: &str) -> PathBuf {
    let mut name = match capture.extension() {
        Some(extension) if extension == "bin" => capture.file_stem().unwrap_or_default().to_owned(),
        _ => capture.file_name().unwrap_or_default().to_owned(),
    };
    name.push(".");
    name.push(ending);
    capture.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_stand_beside_their_capture() {
        assert_eq!(beside(Path::new("/a/run.bin"), "diff.html"), Path::new("/a/run.diff.html"));
        assert_eq!(beside(Path::new("heaptide-x.py.12.bin"), "f.svg"), Path::new("heaptide-x.py.12.f.svg"));
        assert_eq!(beside(Path::new("capture"), "f.svg"), Path::new("capture.f.svg"));
    }
}
