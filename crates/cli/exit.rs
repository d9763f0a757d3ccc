//! Exit codes, and errors that carry theirs.

/// A message for the user and the status to exit with.
#[derive(Debug)]
pub struct CliError {
    /// Exit status.
    pub code: u8,
    /// One line, without `heaptide:`.
    pub message: String,
}

impl CliError {
    /// An error with this exit status.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
