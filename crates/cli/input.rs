//! Captures by name: opening them, saying what is wrong with them, and a progress bar if that takes long.

use crate::exit::{self, CliError};
use heaptide_analyze::reader::{EndsEarly, Progress};
use heaptide_analyze::{Capture, CaptureError};
use heaptide_format::capture::ReadError;
use heaptide_report::units::visible;
use indicatif::{ProgressBar, ProgressStyle};
use std::io;
use std::path::Path;

/// A capture that was opened.
pub struct Input {
    /// As the user named it.
    pub name: String,
    /// What is in it.
    pub capture: Capture,
}

impl Input {
    /// Gives back what only a profile needs, once it is made: 128 bytes for each stack that allocated.
    pub fn forget_rows(&mut self) {
        self.capture.account.rows = Vec::new();
    }

    /// Opens a capture; says on standard error if it ends early.
    pub fn open(path: &Path) -> Result<Self, CliError> {
        let mut bar = Bar::default();
        let opened = Capture::open(path, &mut |progress| bar.show(progress));
        bar.clear();
        let capture = opened.map_err(|error| capture_error(path, &error))?;
        if let Some(ends_early) = &capture.ends_early {
            warn_ends_early(path, ends_early);
        }
        Ok(Self { name: path.display().to_string(), capture })
    }
}

/// The one line that says that a capture is not whole.
pub fn warn_ends_early(path: &Path, ends_early: &EndsEarly) {
    eprintln!("heaptide: {}: {ends_early}", shown(path));
}

/// A path for a message.
pub fn shown(path: &Path) -> String {
    visible(&path.display().to_string())
}

/// What to tell the user of a capture that gives no answer.
pub fn capture_error(path: &Path, error: &CaptureError) -> CliError {
    let file = shown(path);
    match error {
        CaptureError::Io(error) => io_error(&file, error),
        CaptureError::Read(error) => read_error(&file, error),
        CaptureError::NoEvents => CliError::new(
            exit::BAD_CAPTURE,
            format!(
                "{file}: {error}; record again without --aggregate, or ask for --at peak or --temporary with 0 or 1"
            ),
        ),
        CaptureError::NoSuchProcess { known, .. } => {
            let mut known: Vec<String> = known.iter().take(20).map(u32::to_string).collect();
            known.dedup();
            let known = known.join(", ");
            CliError::new(USAGE, format!("{file}: {error}; it holds {known}"))
        }
        other => CliError::new(exit::IO, format!("{file}: {other}")),
    }
}

/// clap's own exit code for wrong usage.
pub const USAGE: u8 = 2;

fn io_error(file: &str, error: &io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::NotFound => {
            CliError::new(exit::NO_INPUT, format!("{file}: there is no such file; check the name"))
        }
        io::ErrorKind::IsADirectory => {
            CliError::new(exit::NO_INPUT, format!("{file}: is a directory; name the capture in it"))
        }
        io::ErrorKind::PermissionDenied => {
            let advice = "ask its owner, or read it as the user who recorded it";
            CliError::new(exit::NO_PERMISSION, format!("{file}: permission denied; {advice}"))
        }
        _ => CliError::new(exit::IO, format!("{file}: cannot be read: {error}; try again")),
    }
}

fn read_error(file: &str, error: &ReadError) -> CliError {
    let message = match error {
        ReadError::NotACapture { found } if found.is_empty() => {
            format!("{file}: ends at byte 0: the file is empty; record again with `heaptide run`")
        }
        ReadError::NotACapture { .. } => {
            format!("{file}: at byte 0: {error}; give a file that `heaptide run` wrote")
        }
        // These say themselves what to do.
        ReadError::TooNew { .. } | ReadError::TooOld { .. } => format!("{file}: at byte 8: {error}"),
        _ => format!("{file}: {error}; nothing in it can be reported, record again with `heaptide run`"),
    };
    CliError::new(exit::BAD_CAPTURE, message)
}

/// A progress bar on standard error if that is a terminal, made when there is something to show.
#[derive(Default)]
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// So far have we come.
    pub fn show(&mut self, progress: Progress) {
        let bar = self.0.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("replaying events {wide_bar} {percent}% {eta}");
            let bar = ProgressBar::new(progress.total);
            style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
        });
        bar.set_position(progress.done);
    }

    /// Done: leaves the terminal as it was.
    pub fn clear(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}
