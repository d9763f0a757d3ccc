//! A thread beside the collector that looks for allocators in the objects of the target's processes: which files are
//! mapped to be executed, and what is in each, once in a run. The collector only asks, and takes answers when it likes.
//!
//! It works in memory that does not depend on the target, at a lower priority than anything else, and touches nothing of
//! the target but `/proc/<pid>`.

use super::object::{self, Known, Verdict};
use heaptide_format::ids::ImageIndex;
use rustc_hash::{FxHashMap, FxHashSet};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender};

/// What the collector says.
#[derive(Clone, Debug)]
pub enum Request {
    /// What has this image mapped now? There is an answer to each of these.
    Look(Question),
    /// This image has ended, and is not asked about any more.
    Forget(ImageIndex),
}

/// A question about an image.
#[derive(Clone, Debug)]
pub struct Question {
    /// The image.
    pub image: ImageIndex,
    /// Its process.
    pub pid: u32,
    /// The path of its program. If nothing of it is mapped, the process has another program by now.
    pub program: String,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The image.
    pub image: ImageIndex,
    /// Objects of the image that no answer before was about.
    pub new_objects: usize,
    /// Allocators in them whose blocks are not recorded.
    pub found: Vec<Found>,
    /// Writable bytes of them.
    pub writable: u64,
}

/// An allocator in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The object, as the process sees it.
    pub path: String,
    /// Its name.
    pub allocator: &'static str,
    /// The symbol or text by which it was known.
    pub evidence: String,
}

/// Device (major number above, minor below) and inode of a file.
type Identity = (u64, u64);

/// Does as it is asked until there is nobody who asks. `unread` is the number of objects that are known but not looked at.
pub fn serve(requests: &Receiver<Request>, answers: &Sender<Answer>, unread: &Arc<AtomicU32>, python_is_seen: bool) {
    // SAFETY: plain numbers; on Linux it is this thread's priority, 0 being the caller. If it is refused nothing is
    // lost but politeness.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
    let mut searcher = Searcher { python_is_seen, ..Searcher::default() };
    while let Ok(request) = requests.recv() {
        match request {
            Request::Look(question) => {
                if answers.send(searcher.look(&question, unread)).is_err() {
                    return;
                }
            }
            Request::Forget(image) => drop(searcher.answered.remove(&image)),
        }
    }
}

#[derive(Default)]
struct Searcher {
    /// Blocks of CPython's own allocators are recorded.
    python_is_seen: bool,
    verdicts: FxHashMap<Identity, Verdict>,
    /// Objects of living images that answers were about.
    answered: FxHashMap<ImageIndex, FxHashSet<Identity>>,
}

impl Searcher {
    fn look(&mut self, question: &Question, unread: &AtomicU32) -> Answer {
        let mut answer = Answer { image: question.image, ..Answer::default() };
        let Ok(maps) = fs::read(format!("/proc/{}/maps", question.pid)) else { return answer };
        let objects = objects_in(&maps);
        if !objects.iter().any(|(path, _)| path.as_os_str().as_bytes() == question.program.as_bytes()) {
            return answer;
        }
        let answered = self.answered.entry(question.image).or_default();
        let new: Vec<_> = objects.into_iter().filter(|(_, identity)| answered.insert(*identity)).collect();
        let unknown = new.iter().filter(|(_, identity)| !self.verdicts.contains_key(identity)).count();
        unread.fetch_add(unknown as u32, Ordering::Relaxed);
        answer.new_objects = new.len();
        for (path, identity) in new {
            let is_program = path.as_os_str().as_bytes() == question.program.as_bytes();
            let verdict = self.verdicts.entry(identity).or_insert_with(|| {
                let verdict = open(question.pid, &path).and_then(|file| object::search(&file)).unwrap_or_default();
                unread.fetch_sub(1, Ordering::Relaxed);
                verdict
            });
            answer.writable = answer.writable.saturating_add(verdict.writable);
            let of_python = verdict.is_python && !verdict.found.is_empty();
            let python_is_seen = self.python_is_seen;
            let found = verdict.unseen(is_program).filter_map(|(known, evidence)| {
                let allocator = match known {
                    Known::Mimalloc if of_python => {
                        let used = verdict.is_free_threaded || chooses_mimalloc(question.pid);
                        (used && !python_is_seen).then_some("CPython's mimalloc")?
                    }
                    known => known.name(),
                };
                let path = path.to_string_lossy().into_owned();
                Some(Found { path, allocator, evidence: evidence.clone() })
            });
            answer.found.extend(found);
        }
        answer
    }
}

/// The files that are mapped to be executed, each once, in order of their addresses.
fn objects_in(maps: &[u8]) -> Vec<(PathBuf, Identity)> {
    let mut objects: Vec<(PathBuf, Identity)> = Vec::new();
    for line in maps.split(|byte| *byte == b'\n') {
        // 7f0000-7f1000 r-xp 00001000 08:02 1311     /usr/lib/libc.so.6
        let mut rest = line;
        let mut word = || {
            let start = rest.iter().position(|byte| *byte != b' ')?;
            let end = rest[start..].iter().position(|byte| *byte == b' ').map_or(rest.len(), |length| start + length);
            let word = &rest[start..end];
            rest = &rest[end..];
            Some(word)
        };
        let (Some(_), Some(protection), Some(_), Some(device), Some(inode)) = (word(), word(), word(), word(), word())
        else {
            continue;
        };
        let path = rest.trim_ascii_start();
        let inode = std::str::from_utf8(inode).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        if protection.get(2) != Some(&b'x') || inode == 0 || path.first() != Some(&b'/') {
            continue;
        }
        let Some(device) = device_number(device) else { continue };
        let identity = (device, inode);
        if objects.iter().all(|(_, known)| *known != identity) {
            objects.push((std::ffi::OsString::from_vec(path.to_vec()).into(), identity));
        }
    }
    objects
}

/// `08:02`, hexadecimal.
fn device_number(text: &[u8]) -> Option<u64> {
    let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some(u64::from(u32::from_str_radix(major, 16).ok()?) << 32 | u64::from(u32::from_str_radix(minor, 16).ok()?))
}

/// Opens what a process calls by this path. What lies there by now is what is read: a file that was replaced since it
/// was mapped is taken for the one that was, one that was deleted is not found.
fn open(pid: u32, path: &Path) -> std::io::Result<File> {
    // A container's own root, if the process is there still.
    let mut of_process = PathBuf::from(format!("/proc/{pid}/root"));
    of_process.push(path.strip_prefix("/").unwrap_or(path));
    let open = |path: &Path| {
        // Not to wait for the other end, should it be a FIFO by now.
        let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let is_file = file.metadata()?.mode() & libc::S_IFMT == libc::S_IFREG;
        if is_file { Ok(file) } else { Err(std::io::ErrorKind::InvalidInput.into()) }
    };
    open(&of_process).or_else(|_| open(path))
}

/// Whether the environment asks a CPython that has both for mimalloc.
fn chooses_mimalloc(pid: u32) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(b"PYTHONMALLOC=mimalloc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_executed_are_objects() {
        let maps = b"\
            55d0-55d1 r--p 00000000 08:02 77                         /usr/bin/app\n\
            55d1-55d9 r-xp 00001000 08:02 77                         /usr/bin/app\n\
            55da-55db rw-p 00000000 00:00 0                          [heap]\n\
            7f00-7f01 r-xp 00000000 08:02 78                         /opt/with blanks/lib.so\n\
            7f01-7f02 r-xp 00000000 08:02 77                         /usr/bin/app\n\
            7f02-7f03 r--s 00000000 08:02 79                         /data/table.parquet\n\
            7f03-7f04 r-xp 00000000 00:00 0 \n\
            7f04-7f05 r-xp 00000000 00:00 0                          [vdso]\n";
        let expected = [("/usr/bin/app", 77), ("/opt/with blanks/lib.so", 78)];
        let objects = objects_in(maps);
        let found: Vec<_> = objects.iter().map(|(path, (_, inode))| (path.to_str().unwrap(), *inode)).collect();
        assert_eq!(found, expected);
        assert!(objects_in(b"nonsense\n\xFF 1 2\n").is_empty());
    }
}
