//! Exit codes, and errors that carry theirs. `docs/exit-codes.md` says the same at length.

/// All went well.
pub const OK: u8 = 0;
/// `leaks --fail-above`: more was live at the end. `diff --fail-on-growth`: it grew by more.
pub const EXCEEDED: u8 = 3;
/// The capture is none, of a version that is not read, or too damaged to be read. As `EX_DATAERR` of sysexits.h.
pub const BAD_CAPTURE: u8 = 65;
/// The capture is not there, or a directory. As `EX_NOINPUT`.
pub const NO_INPUT: u8 = 66;
/// The process is not traced, or no longer. As `EX_UNAVAILABLE`.
pub const UNAVAILABLE: u8 = 69;
/// The recorder does not answer. As `EX_TEMPFAIL`.
pub const NO_ANSWER: u8 = 75;
/// The output exists, or cannot be created. As `EX_CANTCREAT`.
pub const NO_OUTPUT: u8 = 73;
/// Reading or writing failed: disk full, for example. As `EX_IOERR`.
pub const IO: u8 = 74;
/// The system refuses to open the file for this user. As `EX_NOPERM`.
pub const NO_PERMISSION: u8 = 77;

/// The end of `heaptide --help`.
pub const HELP: &str = "\
Examples:
  heaptide run -o run.bin -- python script.py
  heaptide flamegraph run.bin            the peak as an interactive page
  heaptide leaks --fail-above 10MiB run.bin

Exit codes of the reports:
  0   done
  2   wrong usage
  3   leaks --fail-above: more was live at the end; diff --fail-on-growth: it grew by more
  65  not a capture, of another version, or damaged
  66  the capture is missing or a directory
  73  the output exists (see --force) or cannot be created
  74  reading or writing failed, for example because the disk is full
  77  permission denied
`heaptide run` exits as its command does, or with 125 to 127: see `heaptide run --help`.
`heaptide mark` has 69 and 75 too: see `heaptide mark --help`.";

/// A message for the user and the status to exit with.
#[derive(Debug)]
pub struct CliError {
    /// Exit status.
    pub code: u8,
    /// Without `heaptide:`. One line; what follows on others is a list that belongs to it.
    pub message: String,
}

impl CliError {
    /// An error with this exit status.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
