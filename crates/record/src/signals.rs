//! Signals that reach the collector while the target runs.
//!
//! What the terminal sends (Ctrl-C, Ctrl-\) reaches the target by itself, as it is in the same process group: here it
//! is only taken note of. What another process sends to the collector is meant for the target and handed on.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

const HANDED_ON: [i32; 6] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];

/// What was done at SIGXFSZ before [`survive_file_limit`].
static AT_FILE_LIMIT: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);

/// Makes a file that would grow beyond the limit on the size of files (`ulimit -f`) an error, not the end of this
/// process. [`Signals::restore_in`] undoes it for the target.
pub fn survive_file_limit() {
    // SAFETY: no handler is installed.
    let before = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    AT_FILE_LIMIT.store(before, Ordering::Relaxed);
}

/// Blocks the signals above and receives them, until it is dropped.
pub struct Signals {
    descriptor: OwnedFd,
    before: libc::sigset_t,
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// The terminal sent it to the whole process group, the target included.
    pub from_terminal: bool,
}

impl Signals {
    /// Begins. Must be called before other threads are started. See [`Signals::restore_in`] for the target.
    ///
    /// # Errors
    /// What the kernel says if it has no descriptor for it.
    pub fn new() -> io::Result<Self> {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the sets are filled by the C library before they are read; the descriptor is new and ours.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in HANDED_ON {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
            let descriptor = libc::signalfd(-1, set.as_ptr(), libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { descriptor: OwnedFd::from_raw_fd(descriptor), before: before.assume_init() })
        }
    }

    /// Lets a command start with the signal mask that was in force before: a child inherits ours.
    pub fn restore_in(&self, command: &mut Command) {
        let (before, at_file_limit) = (self.before, AT_FILE_LIMIT.load(Ordering::Relaxed));
        // SAFETY: both may be called between fork and exec; the set is the child's own copy, and what was done at a signal
        // when this program began is that it was ignored or not.
        unsafe {
            command.pre_exec(move || {
                libc::signal(libc::SIGXFSZ, at_file_limit);
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
                Ok(())
            });
        }
    }

    /// The next signal that came; `None` if there is none.
    pub fn next(&self) -> Option<Received> {
        let mut info = std::mem::MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes.
        let read = unsafe { libc::read(self.descriptor.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if read != size as isize {
            return None;
        }
        // SAFETY: filled by the kernel.
        let info = unsafe { info.assume_init() };
        const SI_KERNEL: i32 = 0x80;
        Some(Received { signal: info.ssi_signo as i32, from_terminal: info.ssi_code == SI_KERNEL })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What came too late is nobody's: taken off before the mask is lifted, so that it does not kill us at the end.
        while self.next().is_some() {}
        // SAFETY: the set that was in force before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}
