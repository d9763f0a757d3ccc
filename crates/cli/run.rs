//! `heaptide run`: what was typed → what to record → how it went.

use crate::census;
use crate::exit::CliError;
use crate::threshold::parse_size;
use clap::Args as ClapArgs;
use heaptide_format::shared::Unread;
use heaptide_record::{Limit, Notice, Options, Outcome, RecordError, TargetError, target};
use heaptide_report::units::{count, size as bytes};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU32;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

static SHIM: &[u8] = include_bytes!(env!("HEAPTIDE_SHIM"));

/// Record every allocation of a command, with its Python stack.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  heaptide run -- python script.py --its-own-option
  heaptide run -o run.bin -- python -m pytest -x
  heaptide run script.py                 the python3 of the environment runs it
  heaptide run --native -- ./app         from main to malloc
  heaptide run --aggregate -o run.bin -- ./server
  heaptide run --alert 2GB --alert 4GB -o run.bin -- ./server

Exit status: that of the command (128 + n if it died by signal n), or
  125 if heaptide itself failed before the command ran, 126 if the command cannot be executed or traced,
  127 if there is no such command.")]
pub struct Args {
    /// Where to write the capture [default: heaptide-<program>.<pid>.bin]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite an existing capture
    #[arg(short, long)]
    force: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Record Python's own allocators too (PyMem RAW, MEM and OBJ): every object, at a higher cost
    #[arg(long, alias = "trace-python-allocators")]
    python_allocators: bool,
    /// Keep no events, only totals, peak and leaks by stack: a small file however long the run
    #[arg(long)]
    aggregate: bool,
    /// Keep only the N innermost Python frames of each stack
    #[arg(long, value_name = "N")]
    max_depth: Option<NonZeroU32>,
    /// Record the whole native stack too, merged with the Python one: for programs in C, C++, Rust, and extensions
    #[arg(short, long)]
    native: bool,
    /// Keep only the N innermost native frames of each stack
    #[arg(long, value_name = "N", requires = "native", default_value = "4096", hide_default_value = true)]
    native_depth: NonZeroU32,
    /// Say so on standard error and set a mark when live bytes, or RSS, pass this for the first time; may be given several
    /// times
    #[arg(long, value_name = "SIZE", value_parser = limit)]
    alert: Vec<Limit>,
    /// Count Python objects by type, see `heaptide types`: every so often (10s, 500ms, 2m), at each new peak (peak), when
    /// a mark is set (marks), and in any case when the program ends (exit). Several are separated by commas
    #[arg(long, value_name = "WHEN", value_delimiter = ',', value_parser = census::parse)]
    census: Vec<census::When>,
    /// Trace only the command itself, not the processes it starts
    #[arg(long)]
    no_follow: bool,
    /// The command and its arguments; a lone *.py file is run by python3
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn limit(text: &str) -> Result<Limit, String> {
    Ok(Limit { bytes: parse_size(text)?, text: text.trim().to_owned() })
}

/// Exit status for heaptide's own failures.
const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Records a command. Does not return if the command died by a signal: then so does this process.
pub fn execute(args: Args) -> Result<u8, CliError> {
    let search_path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let command = with_interpreter(args.command, &search_path);
    let target = target::find(&command, &search_path).map_err(target_error)?;
    let own = |message: String| CliError::new(OWN_FAILURE, message);
    let directories = shim_directories();
    let shim = heaptide_record::shim_file::unpack(SHIM, &directories).map_err(|error| {
        own(format!(
            "the tracing library cannot be unpacked to any of {}: {error}; set XDG_CACHE_HOME to a writable directory",
            directories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        ))
    })?;
    let output = args.output.unwrap_or_else(|| default_output(&command));
    let file = create(&output, args.force)?;
    let written = identity(file.metadata());
    let options = Options {
        shim,
        preload: std::env::var_os("LD_PRELOAD").unwrap_or_default(),
        name: command[0].clone(),
        python_allocators: args.python_allocators,
        follow: !args.no_follow,
        verify: std::env::var_os("HEAPTIDE_VERIFY").is_some_and(|value| value == "1"),
        aggregate: args.aggregate,
        max_depth: args.max_depth,
        native_depth: args.native.then_some(args.native_depth),
        alerts: args.alert,
        census: census::options(&args.census),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let quiet = args.quiet;
    let mut on_notice = |notice: Notice| match notice {
        Notice::Survivors(living) if !quiet => eprintln!(
            "heaptide: the command has ended, but {living} traced process{} still run{}; recording goes on (Ctrl-C ends it)",
            if living == 1 { "" } else { "es" },
            if living == 1 { "s" } else { "" },
        ),
        // Asked for by name, so `--quiet` does not mean it.
        Notice::Alert { limit, is_rss, mark } => {
            let rss = if mark.rss > 0 { format!(", RSS {}", bytes(mark.rss)) } else { String::new() };
            eprintln!(
                "heaptide: alert: {} {limit} at {:.3} s, after {} events: {} live{rss}",
                if is_rss { "RSS has passed" } else { "live bytes have passed" },
                mark.time.seconds(),
                count(mark.event),
                bytes(mark.live),
            );
        }
        _ => {}
    };
    let outcome = match heaptide_record::record(&target, &options, file, &mut on_notice) {
        Ok(outcome) => outcome,
        Err(error) => {
            // An empty capture would only be in the way of the next attempt; a device or a link is left alone.
            if output.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
                let _ = std::fs::remove_file(&output);
            }
            return Err(record_error(error));
        }
    };
    let is_there = written.is_none() || identity(std::fs::metadata(&output)) == written;
    report(&outcome, &output, is_there, quiet);
    Ok(end_like(outcome.status))
}

/// What a regular file is known by, whatever its name; `None` for others and where there is none.
fn identity(metadata: io::Result<std::fs::Metadata>) -> Option<(u64, u64)> {
    metadata.ok().filter(std::fs::Metadata::is_file).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// A lone Python file is run by the `python3` of the environment.
fn with_interpreter(command: Vec<OsString>, search_path: &OsStr) -> Vec<OsString> {
    let path = Path::new(&command[0]);
    let is_python_file = path.extension().is_some_and(|extension| extension == "py") && path.is_file();
    let on_path = std::env::split_paths(search_path).any(|directory| directory.join(path).is_file());
    if is_python_file && (path.components().count() > 1 || !on_path) {
        return std::iter::once("python3".into()).chain(command).collect();
    }
    command
}

fn target_error(error: TargetError) -> CliError {
    let code = if matches!(error, TargetError::NotFound(_)) { NOT_FOUND } else { NOT_EXECUTABLE };
    CliError::new(code, error.to_string())
}

fn record_error(error: RecordError) -> CliError {
    let code = match &error {
        RecordError::Start { error, .. } if error.kind() == io::ErrorKind::NotFound => NOT_FOUND,
        RecordError::Start { .. } => NOT_EXECUTABLE,
        _ => OWN_FAILURE,
    };
    CliError::new(code, error.to_string())
}

/// Where the shim may be unpacked to, best first.
fn shim_directories() -> Vec<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| Path::new(path).is_absolute()).map(PathBuf::from);
    let home = std::env::var_os("HOME").filter(|path| !path.is_empty()).map(|home| Path::new(&home).join(".cache"));
    let mut directories: Vec<PathBuf> = cache.into_iter().chain(home).map(|path| path.join("heaptide")).collect();
    // SAFETY: no precondition.
    let user = unsafe { libc::geteuid() };
    directories.push(std::env::temp_dir().join(format!("heaptide-{user}")));
    directories
}

/// `heaptide-<program>.<pid>.bin`, after the script if an interpreter runs one.
fn default_output(command: &[OsString]) -> PathBuf {
    let program = Path::new(&command[0]).file_name().unwrap_or(&command[0]).to_string_lossy().into_owned();
    let script = (command.iter().skip(1).find(|argument| Path::new(argument).extension().is_some_and(|e| e == "py")))
        .and_then(|script| Path::new(script).file_name());
    let name = match script {
        Some(script) if program.starts_with("python") => script.to_string_lossy().into_owned(),
        _ => program,
    };
    PathBuf::from(format!("heaptide-{name}.{}.bin", std::process::id()))
}

fn create(path: &Path, force: bool) -> Result<File, CliError> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options.open(path).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "exists already; choose another name with -o, or overwrite it with -f".into()
            }
            io::ErrorKind::NotFound => "cannot be created: its directory does not exist".into(),
            io::ErrorKind::IsADirectory => "is a directory; name a file with -o".into(),
            _ => format!("cannot be created: {error}; choose another place with -o"),
        };
        CliError::new(OWN_FAILURE, format!("{}: {what}", path.display()))
    })
}

/// The block at the end, on standard error.
fn report(outcome: &Outcome, output: &Path, is_there: bool, quiet: bool) {
    let name = output.display();
    for (python, why) in &outcome.unread_pythons {
        let why = match why {
            Unread::UnknownVersion => "is not known to this version of heaptide",
            Unread::OtherLayout => "does not lie in memory as this version of heaptide knows it",
            Unread::FreeThreaded => "is a free-threaded build, which heaptide does not read",
        };
        let (major, minor) = (python >> 8, python & 0xFF);
        eprintln!("heaptide: Python {major}.{minor} {why}: its stacks are the native caller only");
    }
    if let Some(error) = &outcome.capture_error {
        eprintln!("heaptide: {name}: the capture ends early: {error}; what was written before can be read");
    }
    if !is_there {
        eprintln!(
            "heaptide: {name}: the capture is lost: another program has removed or replaced it meanwhile; record again, \
             and name a safe place with -o"
        );
    }
    let refused = outcome.totals.tracer.refused;
    if outcome.images == 0 && refused > 0 {
        eprintln!(
            "heaptide: nothing was traced: the command could not map the recorder's memory, or the kernel refused \
             MADV_WIPEONFORK (before Linux 4.14, or a filter of system calls); try a higher `ulimit -v`"
        );
        return;
    }
    if outcome.images == 0 {
        eprintln!(
            "heaptide: nothing was traced: the command did not load the tracing library (statically linked, other \
             rights, or it cleared LD_PRELOAD or HEAPTIDE_SHARED)"
        );
        return;
    }
    if quiet {
        return;
    }
    let totals = &outcome.totals;
    let tracer = &totals.tracer;
    let is_whole = is_there && outcome.capture_error.is_none();
    if is_whole {
        eprintln!("heaptide: wrote {name} ({})", bytes(outcome.capture_bytes));
    }
    eprintln!(
        "  {} events in {:.2} s{}",
        count(totals.events),
        totals.duration.seconds(),
        if outcome.images > 1 { format!(", {} processes", outcome.images) } else { String::new() }
    );
    eprintln!(
        "  peak {} in {} blocks at {:.2} s; {} in {} blocks live at the end",
        bytes(totals.peak.bytes),
        count(totals.peak.count),
        totals.peak_at.seconds(),
        bytes(totals.leaked.bytes),
        count(totals.leaked.count)
    );
    if tracer.lost + tracer.refused + tracer.inconsistent > 0 {
        eprintln!(
            "  lost: {} events, {} processes not traced, {} addresses inconsistent",
            count(tracer.lost),
            count(tracer.refused),
            count(tracer.inconsistent)
        );
    }
    if tracer.cut_stacks > 0 {
        eprintln!("  cut: the stacks of {} events, whose outermost frames are missing", count(tracer.cut_stacks));
    }
    if is_there {
        eprintln!("  next: heaptide flamegraph {name}    (or summary, leaks, stats, tree)");
    }
}

/// The exit code that says how the command ended; dies by the same signal if it did.
fn end_like(status: ExitStatus) -> u8 {
    if let Some(code) = status.code() {
        return code as u8;
    }
    let signal = status.signal().unwrap_or(libc::SIGKILL);
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain numbers and a live structure; the process is about to end. The command has left its core, if any:
    // ours would only hide it.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    // Signals that do not end a process by default come here.
    128u8.wrapping_add(signal as u8)
}
