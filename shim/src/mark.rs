//! `heaptide_mark`: an instant of the run gets a name, on the program's own word.
//!
//! A mark goes the way of an event, through the thread's ring, so that it is exact: what this thread did before the call is
//! before the mark. In a signal handler that has interrupted a hook the ring is not to be touched; and a thread may have
//! none. Then the mark goes through the mailbox, and is as exact as the collector's rounds, a millisecond.

use crate::{events, process, ring, sys, thread};
use core::ffi::c_char;
use core::sync::atomic::Ordering;
use heaptide_format::mailbox::{Claim, NAME_BYTES, Whose};
use heaptide_format::shared::Control;

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
    let Some(claim) = claim(control) else {
        control.lost.fetch_add(1, Ordering::Relaxed);
        return;
    };
    control.mailbox.post(claim, name, Whose::Image(state.image.load(Ordering::Acquire)), false);
}

/// A place in the mailbox. Waits for one, as for room in a full ring: all come free with the collector's next round, which
/// needs nothing that the interrupted hook may hold. `None` if the collector is dead, or has no processor for too long.
fn claim(control: &Control) -> Option<Claim> {
    const PAUSE_NS: u64 = 1_000_000;
    // Two seconds; and of them a fifth of one without a beat, which is a reason to look whether anybody is there.
    const MOST_PAUSES: u32 = 2_000;
    const PAUSES_WITHOUT_BEAT: u32 = 200;
    let (mut beat, mut still) = (control.heartbeat.load(Ordering::Relaxed), 0);
    for _ in 0..MOST_PAUSES {
        if let Some(claim) = control.mailbox.claim() {
            return Some(claim);
        }
        if control.stopped.load(Ordering::Acquire) != 0 {
            return None;
        }
        control.doorbell.fetch_add(1, Ordering::SeqCst);
        sys::futex_wake(&control.doorbell);
        // Nobody wakes us: the beat comes each round, and one that has come meanwhile ends this at once.
        sys::futex_wait(&control.heartbeat, beat, PAUSE_NS);
        let now = control.heartbeat.load(Ordering::Relaxed);
        still = if now == beat { still + 1 } else { 0 };
        beat = now;
        if still > PAUSES_WITHOUT_BEAT {
            still = 0;
            if ring::stop_if_collector_is_dead() {
                return None;
            }
        }
    }
    None
}
