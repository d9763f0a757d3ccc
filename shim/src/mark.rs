//! `heaptide_mark`: an instant of the run gets a name, on the program's own word.
//!
//! A mark goes the way of an event, through the thread's ring, so that it is exact: what this thread did before the call is
//! before the mark. In a signal handler that has interrupted a hook the ring is not to be touched; and a thread may have
//! none. Then the mark goes through the mailbox, and is as exact as the collector's rounds, a millisecond.

use crate::{events, process, thread};
use core::ffi::c_char;
use core::sync::atomic::Ordering;
use heaptide_format::mailbox::{NAME_BYTES, Whose};

/// Sets a mark. Of the name the first 200 bytes are kept; null is an empty name. May be called from any thread, from signal
/// handlers and in forked children; allocates nothing, and leaves `errno` alone.
///
/// # Safety
/// `name` is null or ends with NUL, or has [`NAME_BYTES`] bytes that can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn heaptide_mark(name: *const c_char) {
    let mut bytes = [0; NAME_BYTES];
    // SAFETY: passed on unchanged, so our caller's promise is the one that is needed.
    let name = unsafe { copied(name.cast(), &mut bytes) };
    match thread::enter() {
        Some(mut guard) => events::mark(&mut guard, name),
        None => by_mail(name),
    }
}

/// The text up to its NUL, as far as there is room for it.
///
/// # Safety
/// As for [`heaptide_mark`].
unsafe fn copied(text: *const u8, room: &mut [u8; NAME_BYTES]) -> &[u8] {
    if text.is_null() {
        return &[];
    }
    let mut length = 0;
    for place in room.iter_mut() {
        // SAFETY: no NUL has been met so far: our caller says that this byte can be read.
        *place = unsafe { text.add(length).read() };
        if *place == 0 {
            break;
        }
        length += 1;
    }
    &room[..length]
}

#[cold]
fn by_mail(name: &[u8]) {
    let Some(state) = process::state() else { return };
    let control = process::control();
    if control.stopped.load(Ordering::Acquire) != 0 {
        return;
    }
    let Some(claim) = control.mailbox.claim() else {
        // Not waited for, in a signal handler: slots come free with the collector's next round.
        control.lost.fetch_add(1, Ordering::Relaxed);
        return;
    };
    control.mailbox.post(claim, name, Whose::Image(state.image.load(Ordering::Acquire)), false);
}
