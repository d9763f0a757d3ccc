//! Processes seen from outside: whether they live, what they hold, what their threads are called.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A process that is watched. Its number cannot be taken for that of a later process.
#[derive(Debug)]
pub struct Watched {
    pid: u32,
    /// `None` if the process had gone (reaped) before it could be watched, or the kernel cannot (before 5.3).
    handle: Option<OwnedFd>,
}

impl Watched {
    /// Begins to watch a process.
    pub fn new(pid: u32) -> Self {
        // SAFETY: plain numbers.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        // SAFETY: opened just now, nobody else's.
        let handle = (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor as i32) });
        Self { pid, handle }
    }

    /// It has ended, which is known: gives its descriptor back.
    pub fn forget(&mut self) {
        self.handle = None;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        if let Some(handle) = &self.handle {
            // SAFETY: a live descriptor and plain numbers.
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), signal, 0, 0) };
        }
    }
}

/// Which of these processes have ended (a zombie has), in their order.
pub fn which_ended(processes: &[&Watched]) -> Vec<bool> {
    // Of those alone that have a descriptor: the kernel refuses to look at more than may be open.
    let handles = processes.iter().filter_map(|process| process.handle.as_ref());
    let mut polls: Vec<libc::pollfd> =
        handles.map(|handle| libc::pollfd { fd: handle.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: as many live structures as is said.
    unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, 0) };
    let mut polls = polls.iter();
    let ended = processes.iter().map(|process| match process.handle {
        Some(_) => polls.next().is_some_and(|poll| poll.revents != 0),
        None => is_gone(process.pid),
    });
    ended.collect()
}

/// Whether there is no such process, or but a zombie. False if `/proc` cannot be asked (no descriptor is left).
pub(crate) fn is_gone(pid: u32) -> bool {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(text) => fields(&text).is_some_and(|fields| matches!(fields[0].as_str(), "Z" | "X")),
        Err(error) => error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH),
    }
}

/// Fields of the text of /proc/PID/stat after the name, the state first, all that there are.
fn fields(text: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(text);
    let fields: Vec<String> = text[text.rfind(')')? + 1..].split_ascii_whitespace().map(str::to_owned).collect();
    (!fields.is_empty()).then_some(fields)
}

/// The parent of a process, if both are there.
pub fn parent(pid: u32) -> Option<u32> {
    fields(&fs::read(format!("/proc/{pid}/stat")).ok()?)?.get(1)?.parse().ok()
}

/// Resident bytes of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Of files and of memory that is shared.
    pub files: u64,
    /// All others: its own.
    pub anonymous: u64,
}

impl Resident {
    /// All of them.
    pub fn all(self) -> u64 {
        self.files + self.anonymous
    }
}

/// What of a process is resident; `None` if it is gone.
pub fn resident(pid: u32) -> Option<Resident> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    // Size of the address space, resident, resident of files, …
    let mut fields = text.split(' ').skip(1);
    let mut pages = || fields.next()?.parse::<u64>().ok();
    let (all, files) = (pages()? * page_size(), pages()? * page_size());
    Some(Resident { files, anonymous: all.saturating_sub(files) })
}

/// Whether the thread exists. Asked of the kernel, not of `/proc`, which may hide a process that has changed its user
/// (`hidepid`): a thread that is taken for dead while it writes would lose its events.
pub fn has_thread(pid: u32, thread: u32) -> bool {
    // SAFETY: plain numbers; signal 0 is none, only the thread is looked for.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, 0) };
    result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// The name of a thread.
pub fn thread_name(pid: u32, thread: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/task/{thread}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

/// Processor time (nanoseconds) and most resident bytes of this process so far. Resident are also the pages of the rings
/// that it has read, which it shares with the targets.
pub fn own_cost() -> io::Result<(u64, u64)> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills the structure.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: filled; all zeros is a value of it anyway.
    let usage = unsafe { usage.assume_init() };
    let nanoseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    // Not `ru_maxrss`: that remembers over exec what the process held that started us, which may be a large one.
    let resident = most_resident().unwrap_or(usage.ru_maxrss as u64 * 1024);
    Ok((nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime), resident))
}

/// Nanoseconds of processor time that the calling thread has used.
pub fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a live structure, which is written. It cannot fail: every thread has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The most bytes of this program that were resident at once.
fn most_resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn page_size() -> u64 {
    // SAFETY: no precondition.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}
