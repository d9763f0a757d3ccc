//! Setting a mark in a recording of another process, from outside: which recording a process belongs to, and the way to its
//! mailbox.

use crate::rings;
use heaptide_format::mailbox::{Answer, Whose};
use heaptide_format::shared::{CONTROL_BYTES, Control, LAYOUT, MAGIC, PATH_VARIABLE};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long the recorder has for an answer: some thousand rounds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks for it.
const PAUSE: Duration = Duration::from_millis(1);

/// Why no mark was set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MarkError {
    /// Nobody has this number.
    #[error("there is no such process")]
    NoSuchProcess,
    /// It is another user's, or of one who may do more.
    #[error("permission denied")]
    Denied,
    /// It has nothing to do with any recording.
    #[error("is not traced by heaptide")]
    NotTraced,
    /// It was traced.
    #[error("its recording has ended")]
    Ended,
    /// Recorded by a heaptide that does these things otherwise.
    #[error("is recorded by another version of heaptide")]
    OtherVersion,
    /// The recorder has not set the mark in 5 seconds, or all places in its mailbox were taken for so long.
    #[error("its recorder (process {recorder}) does not answer")]
    NoAnswer {
        /// The recorder's process id, as it sees itself.
        recorder: u32,
    },
    /// What the system says.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Sets a mark in the recording that a process belongs to: any process of the run, or the recorder. Its place is behind all
/// that was published when this was called.
///
/// # Errors
/// See [`MarkError`].
pub fn mark(pid: u32, name: &[u8]) -> Result<Answer, MarkError> {
    let control = Mapped::of(&find(pid)?)?;
    let control = control.control();
    let began = Instant::now();
    let has_ended = || control.stopped.load(Ordering::Acquire) != 0;
    let no_answer = || MarkError::NoAnswer { recorder: control.collector_pid };
    let claim = loop {
        if has_ended() {
            return Err(MarkError::Ended);
        }
        if let Some(claim) = control.mailbox.claim() {
            break claim;
        }
        if began.elapsed() > PATIENCE {
            return Err(no_answer());
        }
        std::thread::sleep(PAUSE);
    };
    if !control.mailbox.post(claim, name, Whose::Process(pid), true) {
        return Err(no_answer());
    }
    rings::ring_doorbell(control);
    loop {
        // Looked at first: a recording that ends answers what was posted before.
        let ended = has_ended();
        if let Some(answer) = control.mailbox.answer_to(claim) {
            return Ok(answer);
        }
        // It takes its time even then: what is left in the rings is read before.
        if began.elapsed() > PATIENCE && (control.mailbox.withdraw(claim) || began.elapsed() > 2 * PATIENCE) {
            return Err(if ended { MarkError::Ended } else { no_answer() });
        }
        std::thread::sleep(PAUSE);
    }
}

/// The control area of a recording of somebody else.
struct Mapped(NonNull<Control>);

impl Mapped {
    fn of(file: &File) -> Result<Self, MarkError> {
        let control = rings::map(file, 0, CONTROL_BYTES)?.cast::<Control>();
        let this = Self(control);
        match (this.control().magic, this.control().layout) {
            (MAGIC, LAYOUT) => Ok(this),
            (MAGIC, _) => Err(MarkError::OtherVersion),
            _ => Err(MarkError::NotTraced),
        }
    }

    fn control(&self) -> &Control {
        // SAFETY: CONTROL_BYTES of a file that is at least as long (`checked`), mapped until this is dropped. A recorder of
        // another version keeps the first two fields; no other is looked at before they have been.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `of`, and nothing of it is lent beyond this.
        unsafe { libc::munmap(self.0.as_ptr().cast(), CONTROL_BYTES) };
    }
}

/// The shared memory of the recording that a process belongs to.
fn find(pid: u32) -> Result<File, MarkError> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    // Asked of the kernel, for `/proc` may hide processes of others. A number above 2^31 is no process, and would be a group.
    let asked = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(MarkError::NoSuchProcess)?;
    // SAFETY: plain numbers; signal 0 is none.
    let refusal = (unsafe { libc::kill(asked, 0) } != 0).then(|| io::Error::last_os_error().kind());
    match refusal {
        None => {}
        Some(ErrorKind::PermissionDenied) => return Err(MarkError::Denied),
        Some(_) => return Err(MarkError::NoSuchProcess),
    }
    let environment = match fs::read(directory.join("environ")) {
        Ok(environment) => environment,
        Err(error) => return Err(refused(&error, MarkError::NoSuchProcess)),
    };
    if let Some(file) = by_descriptor(&directory, None) {
        return checked(file);
    }
    let path = environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(PATH_VARIABLE.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec));
    if let Some(path) = path {
        let path = PathBuf::from(OsString::from_vec(path));
        return match OpenOptions::new().read(true).write(true).open(&path) {
            // The recorder's number may be another program's by now.
            Ok(file) => checked(file).map_err(|_| MarkError::Ended),
            Err(_) if is_gone(&path) => Err(MarkError::Ended),
            Err(error) => Err(refused(&error, MarkError::Ended)),
        };
    }
    // It has written over its environment, or was started without: by what it has mapped.
    match mapped_inode(&directory) {
        Some(inode) => others(inode).ok_or(MarkError::Ended).and_then(checked),
        None => Err(MarkError::NotTraced),
    }
}

/// What it means that a file of a process cannot be opened.
fn refused(error: &io::Error, gone: MarkError) -> MarkError {
    match error.kind() {
        ErrorKind::PermissionDenied => MarkError::Denied,
        ErrorKind::NotFound => gone,
        _ if error.raw_os_error() == Some(libc::ESRCH) => gone,
        _ => MarkError::System(io::Error::from(error.kind())),
    }
}

/// Whether the process of a path `/proc/PID/fd/N` is a zombie, whose descriptors nobody may look at.
fn is_gone(path: &Path) -> bool {
    let pid = path.components().nth(2).and_then(|pid| pid.as_os_str().to_str()?.parse().ok());
    pid.is_some_and(crate::process::is_gone)
}

/// Only a file that begins as ours, and is long enough, may be mapped.
fn checked(file: File) -> Result<File, MarkError> {
    let mut start = [0; 8];
    let is_ours = file.metadata()?.len() >= CONTROL_BYTES as u64
        && file.read_exact_at(&mut start, 0).is_ok()
        && u64::from_ne_bytes(start) == MAGIC;
    if is_ours { Ok(file) } else { Err(MarkError::NotTraced) }
}

/// The shared memory among the descriptors of a process, which then is the recorder; if `inode` is given, only that file.
fn by_descriptor(process: &Path, inode: Option<u64>) -> Option<File> {
    let descriptors = fs::read_dir(process.join("fd")).ok()?.flatten();
    let mut found = descriptors.filter_map(|descriptor| {
        let path = descriptor.path();
        if !is_shared_memory(fs::read_link(&path).ok()?.as_os_str().as_encoded_bytes()) {
            return None;
        }
        if inode.is_some_and(|inode| fs::metadata(&path).map_or(0, |metadata| metadata.ino()) != inode) {
            return None;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).ok()?;
        // A descriptor of the same name may be another's.
        checked(file.try_clone().ok()?).is_ok().then_some(file)
    });
    found.next()
}

/// Whether that may be the name of the memory that a recorder has made: see [`rings`].
fn is_shared_memory(name: &[u8]) -> bool {
    let Some(name) = name.strip_suffix(b" (deleted)") else { return false };
    let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    last == b"memfd:heaptide" || last.starts_with(b"heaptide-")
}

/// The inode of the shared memory that a process has mapped.
fn mapped_inode(process: &Path) -> Option<u64> {
    let maps = fs::read(process.join("maps")).ok()?;
    maps.split(|byte| *byte == b'\n').find_map(|line| {
        // "from-to rights offset device inode      name".
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let inode = std::str::from_utf8(words.nth(4)?).ok()?.parse().ok()?;
        is_shared_memory(words.next()?.trim_ascii_start()).then_some(inode)
    })
}

/// This file, from whichever process has it open: its recorder.
fn others(inode: u64) -> Option<File> {
    let mut processes = fs::read_dir("/proc").ok()?.flatten();
    processes.find_map(|process| {
        process.file_name().to_str()?.parse::<u32>().ok()?;
        by_descriptor(&process.path(), Some(inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_recorder_is_told_by_its_name() {
        for name in ["/memfd:heaptide (deleted)", "/dev/shm/heaptide-77 (deleted)"] {
            assert!(is_shared_memory(name.as_bytes()), "{name}");
        }
        for name in ["/memfd:heaptide", "/memfd:other (deleted)", "/tmp/heaptide-77", "socket:[7]", ""] {
            assert!(!is_shared_memory(name.as_bytes()), "{name}");
        }
    }
}
