//! Standard streams that are closed when heaptide starts. Rust's runtime opens `/dev/null` in their places, so that no file
//! gets such a number by chance; the target is to find them closed all the same, as it would alone.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A bit for each of the descriptors 0 to 2 that was closed.
static CLOSED: AtomicU32 = AtomicU32::new(0);

/// Runs before the runtime's own preparations, which come with `main`.
extern "C" fn look() {
    for stream in 0..3 {
        // SAFETY: plain numbers; only asks.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } < 0 {
            CLOSED.fetch_or(1 << stream, Ordering::Relaxed);
        }
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// Lets a command start with the standard streams closed that were closed for us.
pub fn close_in(command: &mut Command) {
    let closed = CLOSED.load(Ordering::Relaxed);
    if closed == 0 {
        return;
    }
    let close = move || {
        for stream in (0..3).filter(|stream| closed >> stream & 1 != 0) {
            // SAFETY: a plain number. In the child these are the runtime's `/dev/null`, which nobody there will use.
            unsafe { libc::close(stream) };
        }
        Ok(())
    };
    // SAFETY: close(2) may be called between fork and exec.
    unsafe { command.pre_exec(close) };
}
