//! Which bytes, of which process: options that several reports have.

use crate::exit::CliError;
use crate::input::{Bar, Input, capture_error};
use crate::output::{Output, OutputArgs};
use crate::span::SpanArgs;
use crate::symbols::SymbolArgs;
use heaptide_analyze::instants::Span;
use heaptide_analyze::profile::{Metric, Options, Profile};
use heaptide_analyze::symbols::Settings;
use std::ffi::OsString;
use std::path::Path;

/// What was typed.
#[derive(clap::Args, Debug)]
pub struct Selection {
    /// Show what was live at the end, instead of at the peak
    #[arg(long, group = "metric")]
    leaks: bool,
    /// Show all that was ever allocated
    #[arg(long, group = "metric")]
    allocated: bool,
    /// Show what was freed soon: by the thread that allocated it, with at most N other allocations of that thread
    /// between [N if left out: 1]
    #[arg(
        long,
        group = "metric",
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        visible_alias = "temporary-allocations"
    )]
    temporary: Option<u32>,
    /// Show what memory costs over time: bytes times the seconds that they were live
    #[arg(long, group = "metric")]
    byte_seconds: bool,
    #[command(flatten)]
    pub span: SpanArgs,
    /// Only this process; the peak is then its own
    #[arg(long)]
    pub pid: Option<u32>,
    #[command(flatten)]
    sources: SourceArgs,
}

/// Whether source files are read.
#[derive(clap::Args, Debug)]
pub struct SourceArgs {
    /// Do not read the program's source files: leaves out lines of code, and before Python 3.11 the classes of methods
    #[arg(long)]
    no_source: bool,
    #[command(flatten)]
    symbols: SymbolArgs,
}

impl SourceArgs {
    /// They are to be read.
    pub fn wanted(&self) -> bool {
        !self.no_source
    }

    /// Where names of native code are.
    pub fn symbols(&self) -> Settings {
        self.symbols.settings()
    }
}

impl Selection {
    /// The bytes that are meant.
    pub fn metric(&self) -> Metric {
        match self {
            Self { leaks: true, .. } => Metric::Leaked,
            Self { allocated: true, .. } => Metric::Allocated,
            Self { temporary: Some(_), .. } => Metric::Temporary,
            Self { byte_seconds: true, .. } => Metric::ByteSeconds,
            _ => Metric::Peak,
        }
    }

    /// How many allocations may lie between for [`Metric::Temporary`].
    pub fn temporary_within(&self) -> u32 {
        self.temporary.unwrap_or(1)
    }

    /// Where names of native code are.
    pub fn symbols(&self) -> Settings {
        self.sources.symbols()
    }

    /// What all that means to a profile, but for the part of the run.
    pub fn options<'s>(&self, symbols: &'s Settings) -> Options<'s> {
        let (temporary_within, sources, byte_seconds) =
            (self.temporary_within(), self.sources.wanted(), self.byte_seconds);
        Options { byte_seconds, pid: self.pid, temporary_within, sources, symbols: Some(symbols), ..Options::default() }
    }
}

/// Where a text or JSON report goes, and what it is of. The output is looked at first: one that cannot be written is
/// refused before a long capture is read.
pub fn opened(
    path: &Path,
    output: &OutputArgs,
    span: Option<&SpanArgs>,
    options: &Options<'_>,
) -> Result<(Output, Input, Profile), CliError> {
    let output = output.or_stdout(&[path])?;
    let input = Input::open(path)?;
    let profile = profile(path, &input, span, options)?;
    Ok((output, input, profile))
}

/// A profile of an opened capture.
pub fn profile(
    path: &Path,
    input: &Input,
    span: Option<&SpanArgs>,
    options: &Options<'_>,
) -> Result<Profile, CliError> {
    let span = span.map_or(Ok(Span::Whole), |span| span.of(path, &input.capture))?;
    profile_of(path, input, span, options)
}

/// A profile of a part of the run.
pub fn profile_of(path: &Path, input: &Input, span: Span, options: &Options<'_>) -> Result<Profile, CliError> {
    let mut bar = Bar::default();
    let profile = Profile::of(&input.capture, &Options { span, ..*options }, &mut |progress| bar.show(progress));
    bar.clear();
    profile.map_err(|error| capture_error(path, &error))
}

/// Lets `--temporary 5 run.bin` mean `--temporary=5 run.bin`, though `--temporary run.bin` has no number: clap would
/// take whatever follows for it. Arguments of the traced command (after `run`) are left alone.
pub fn join_optional_number(arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|command| command == "run") {
        return arguments;
    }
    let is_number = |text: &OsString| text.to_str().is_some_and(|text| text.parse::<u32>().is_ok());
    let mut joined: Vec<OsString> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        match joined.last_mut() {
            Some(last) if (last == "--temporary" || last == "--temporary-allocations") && is_number(&argument) => {
                last.push("=");
                last.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> String {
        let arguments = join_optional_number(text.split(' ').map(OsString::from).collect());
        arguments.iter().map(|argument| argument.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_number_after_temporary_is_its_own() {
        assert_eq!(joined("heaptide tree --temporary 5 run.bin"), "heaptide tree --temporary=5 run.bin");
        assert_eq!(joined("heaptide tree --temporary run.bin"), "heaptide tree --temporary run.bin");
        assert_eq!(joined("heaptide run -- x --temporary 5"), "heaptide run -- x --temporary 5");
    }
}
