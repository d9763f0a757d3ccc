//! `heaptide strip`: a copy of a capture that can be given away.

use crate::exit::{self, CliError};
use crate::input::{capture_error, shown, warn_ends_early};
use crate::output::{OutputArgs, beside};
use heaptide_analyze::CaptureError;
use heaptide_analyze::source::Source;
use heaptide_analyze::strip::{self, Key, Names, Options, Paths};
use heaptide_report::units::count;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Copy a capture without what it tells of its owner: arguments, paths, the time; if asked for, names too. All numbers stay
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The copy is written beside the capture, as run.stripped.bin, unless -o names another file.
Pseudonyms are made under a random key that is forgotten. To compare two stripped captures give both the same --key.

Examples:
  heaptide strip run.bin
  heaptide strip --paths anonymize --names anonymize -o out.bin run.bin
  heaptide symbolize -o named.bin run.bin && heaptide strip -o out.bin named.bin
  head -c 32 /dev/urandom > key && heaptide strip --key key old.bin && heaptide strip --key key new.bin")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// What becomes of the paths of source files, libraries and programs. Build ids go where the path is changed
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = PathsArg::Base)]
    paths: PathsArg,
    /// What becomes of the names of functions, classes and threads
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Keeping::Keep)]
    names: Keeping,
    /// What becomes of the arguments of the command and of all processes; programs stay, as paths
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Leaving::Drop)]
    arguments: Leaving,
    /// What becomes of the date of the run. Times within the run stay
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Leaving::Drop)]
    start: Leaving,
    /// Make pseudonyms under this key: 16 bytes or more, of which nobody else should know
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum PathsArg {
    /// They stay
    Keep,
    /// Directories get pseudonyms; names of files, and what is in installed packages, stay
    Base,
    /// Files and packages get pseudonyms too, but not the standard library and the system's libraries
    Anonymize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Keeping {
    /// They stay
    Keep,
    /// They get pseudonyms, but not those of the standard library and the system's libraries
    Anonymize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Leaving {
    /// Left out
    Drop,
    /// Kept as it is
    Keep,
}

/// Writes the copy.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let output = args.output.or_file(beside(path, "stripped.bin"), &[path])?;
    let source = Source::open(path).map_err(|error| capture_error(path, &error.into()))?;
    let key = key(args.key.as_deref())?;
    let options = Options {
        paths: match args.paths {
            PathsArg::Keep => Paths::Keep,
            PathsArg::Base => Paths::Base,
            PathsArg::Anonymize => Paths::Anonymize,
        },
        names: if args.names == Keeping::Keep { Names::Keep } else { Names::Anonymize },
        arguments: args.arguments == Leaving::Keep,
        start: args.start == Leaving::Keep,
    };
    let mut stripped = None;
    let mut failure = None;
    let written = output.write(|out, _| match strip::strip(&source, options, key, out) {
        Ok(done) => {
            stripped = Some(done);
            Ok(())
        }
        Err(CaptureError::Io(error)) => Err(error),
        Err(error) => {
            failure = Some(error);
            Err(io::ErrorKind::InvalidData.into())
        }
    });
    if let Some(error) = failure {
        return Err(capture_error(path, &error));
    }
    written?;
    let Some(stripped) = stripped else { return Ok(exit::OK) };
    if let Some(ends_early) = &stripped.ends_early {
        warn_ends_early(path, ends_early);
    }
    if stripped.unknown_blocks > 0 {
        let blocks = count(stripped.unknown_blocks as u64);
        eprintln!("heaptide: {}: {blocks} blocks of a newer version were left out", shown(path));
    }
    if stripped.nameless > 0 {
        let places = count(stripped.nameless as u64);
        eprintln!(
            "heaptide: {}: {places} native places have lost the way to their names; `heaptide symbolize` keeps them if it \
             comes first",
            shown(path)
        );
    }
    Ok(exit::OK)
}

/// Fewest bytes of a key that cannot be guessed.
const LEAST_KEY_BYTES: usize = 16;
/// Most that are read: a key file is no film.
const MOST_KEY_BYTES: u64 = 1 << 20;

fn key(file: Option<&Path>) -> Result<Key, CliError> {
    let path = file.unwrap_or(Path::new("/dev/urandom"));
    let most = if file.is_some() { MOST_KEY_BYTES } else { 32 };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    match read {
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound { exit::NO_INPUT } else { exit::IO };
            Err(CliError::new(code, format!("{}: cannot be read: {error}; name a key with --key", shown(path))))
        }
        Ok(_) if bytes.len() < LEAST_KEY_BYTES => {
            let message = format!(
                "{}: a key of {} bytes can be guessed; it takes {LEAST_KEY_BYTES} or more, at random",
                shown(path),
                bytes.len()
            );
            Err(CliError::new(2, message))
        }
        Ok(_) => Ok(Key::new(&bytes)),
    }
}
