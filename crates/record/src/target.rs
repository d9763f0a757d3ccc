//! What is to be run, and whether it can be traced at all: found before it starts, so that it can be said clearly.

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A command that can be traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Path of the program.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<std::ffi::OsString>,
}

/// Why a command cannot be run or traced. Each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Nothing of that name.
    #[error("{0}: command not found")]
    NotFound(String),
    /// It is there, but cannot be executed.
    #[error("{path}: cannot be executed: {why}")]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It can be run, but not traced by preloading.
    #[error("{path}: cannot be traced: {why}")]
    NotTraceable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        why: &'static str,
    },
}

/// Finds the program of a command in `search_path` (as in `$PATH`) and checks that it can be traced; a script is judged
/// by its interpreter.
///
/// # Errors
/// See [`TargetError`].
pub fn find(command: &[std::ffi::OsString], search_path: &std::ffi::OsStr) -> Result<Target, TargetError> {
    let Some((name, arguments)) = command.split_first() else {
        return Err(TargetError::NotFound(String::new()));
    };
    let program = resolve(Path::new(name), search_path)?;
    check(&program, search_path, 0)?;
    Ok(Target { program, arguments: arguments.to_vec() })
}

fn resolve(name: &Path, search_path: &std::ffi::OsStr) -> Result<PathBuf, TargetError> {
    let not_found = || TargetError::NotFound(name.display().to_string());
    if name.as_os_str().is_empty() {
        return Err(not_found());
    }
    if name.components().count() > 1 || name.is_absolute() || name.starts_with(".") {
        return if name.exists() { Ok(name.to_owned()) } else { Err(not_found()) };
    }
    let candidates = std::env::split_paths(search_path).map(|directory| directory.join(name));
    let mut found = None;
    for candidate in candidates.filter(|candidate| candidate.is_file()) {
        if is_executable(&candidate) {
            return Ok(candidate);
        }
        found.get_or_insert(candidate);
    }
    found.ok_or_else(not_found)
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

/// Scripts may name scripts as their interpreters; the kernel follows five.
const MOST_SCRIPTS: usize = 5;

fn check(path: &Path, search_path: &std::ffi::OsStr, depth: usize) -> Result<(), TargetError> {
    let not_executable = |why: String| TargetError::NotExecutable { path: path.to_owned(), why };
    let not_traceable = |why| Err(TargetError::NotTraceable { path: path.to_owned(), why });
    let metadata = path.metadata().map_err(|error| not_executable(error.to_string()))?;
    if metadata.is_dir() {
        return Err(not_executable("it is a directory".into()));
    }
    if !is_executable(path) {
        return Err(not_executable("no permission to execute it".into()));
    }
    // A file that may be run but not read cannot be judged: try it.
    let Ok(mut file) = File::open(path) else { return Ok(()) };
    let mut start = Vec::new();
    file.by_ref().take(256).read_to_end(&mut start).map_err(|error| not_executable(error.to_string()))?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let interpreter = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
        if depth >= MOST_SCRIPTS {
            return Err(not_executable("too many interpreters of interpreters".into()));
        }
        if !Path::new(&interpreter).exists() {
            return Err(not_executable(format!("its interpreter {interpreter} does not exist")));
        }
        check(Path::new(&interpreter), search_path, depth + 1)?;
        // `#!/usr/bin/env python3`: what matters is what env will start.
        if interpreter.ends_with("/env")
            && let Some(word) = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))
        {
            let name = String::from_utf8_lossy(word).into_owned();
            check(&resolve(Path::new(&name), search_path)?, search_path, depth + 1)?;
        }
        return Ok(());
    }
    if !start.starts_with(&elf::ELFMAG) {
        return if start.is_empty() || start.contains(&0) {
            Err(not_executable("it is neither an ELF program nor a script".into()))
        } else {
            Err(not_executable(
                "it is a script without a `#!` line; start it with its interpreter, as in `sh FILE`".into(),
            ))
        };
    }
    if start.get(4) != Some(&elf::ELFCLASS64.0) {
        return not_traceable("it is a 32-bit program; heaptide traces 64-bit programs only");
    }
    let set_user = metadata.mode() & 0o4000 != 0 && metadata.uid() != effective_user();
    let set_group = metadata.mode() & 0o2000 != 0;
    if set_user || set_group || has_capabilities(path) {
        return not_traceable(
            "it runs with other rights than yours (setuid, setgid or capabilities), and the system preloads nothing \
             into such programs; run it as its own user, or a copy without these rights",
        );
    }
    let cache = ReadCache::new(file);
    let parsed = parse(&cache).map_err(|error| not_executable(format!("damaged ELF file: {error}")))?;
    if parsed.machine != machine() {
        return not_traceable("it is made for another processor than this heaptide");
    }
    match parsed.interpreter {
        None => not_traceable(
            "it is statically linked, so nothing can be preloaded into it; link it dynamically to trace it",
        ),
        Some(interpreter) if interpreter.contains("ld-musl") => {
            not_traceable("it is linked with musl libc, and this heaptide's shim with glibc")
        }
        Some(_) => Ok(()),
    }
}

struct Parsed {
    machine: elf::Machine,
    interpreter: Option<String>,
}

fn parse(cache: &ReadCache<File>) -> object::Result<Parsed> {
    let header = elf::FileHeader64::<Endianness>::parse(cache)?;
    let endian = header.endian()?;
    let mut interpreter = None;
    for segment in header.program_headers(endian, cache)? {
        if let Some(path) = segment.interpreter(endian, cache)? {
            interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    Ok(Parsed { machine: header.e_machine(endian), interpreter })
}

const fn machine() -> elf::Machine {
    if cfg!(target_arch = "aarch64") { elf::EM_AARCH64 } else { elf::EM_X86_64 }
}

fn effective_user() -> u32 {
    // SAFETY: no precondition.
    unsafe { libc::geteuid() }
}

fn has_capabilities(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: two strings that end with NUL, and no buffer: asks for the length only.
    unsafe { libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), std::ptr::null_mut(), 0) > 0 }
}
