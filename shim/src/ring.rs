//! Writing records to a ring, and waiting for room in it. The protocol is in `heaptide_format::ring`, what the words mean in
//! `heaptide_format::wire`.

use crate::{process, sys};
use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use heaptide_format::ring;
use heaptide_format::shared::{RING_WORDS, RingHeader};
use heaptide_format::wire::{BlobKind, blob_word};

/// Bytes of a blob in one record: a fraction of the ring, so that a large blob flows through it.
const BLOB_PART: usize = RING_WORDS;

/// The producer's side of a ring.
#[repr(C)]
pub struct Writer {
    header: NonNull<RingHeader>,
    /// Words written so far, published or not.
    written: u64,
    /// `written` may not go beyond this without asking how far the collector has read.
    limit: u64,
}

impl Writer {
    /// Takes over a ring that was just claimed.
    pub fn new(header: NonNull<RingHeader>) -> Self {
        // SAFETY: `process::ring` gave it; it stays mapped.
        let fields = unsafe { header.as_ref() };
        let written = fields.written.load(Ordering::Acquire);
        Self { header, written, limit: ring::limit(fields) }
    }

    /// The ring's header.
    #[inline(always)]
    pub fn header(&self) -> &'static RingHeader {
        // SAFETY: as in `new`.
        unsafe { self.header.as_ref() }
    }

    /// Writes one record, whole or not at all. False if tracing has ended.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, words: [u64; N]) -> bool {
        // Copies: the compiler cannot know that the words do not overlap the fields.
        let (header, written) = (self.header, self.written);
        if written + N as u64 > self.limit && !self.wait_for_room(N as u64) {
            return false;
        }
        for (index, word) in words.into_iter().enumerate() {
            // SAFETY: as in `new`; this thread alone writes to it.
            unsafe { ring::place(header, written + index as u64, word) };
        }
        self.written = written + N as u64;
        ring::publish(self.header(), self.written);
        true
    }

    /// Writes a blob, which is the parts one after the other, in as many records as it needs.
    #[cold]
    pub fn put_blob(&mut self, kind: BlobKind, parts: &[&[u8]]) -> bool {
        let mut left: usize = parts.iter().map(|part| part.len()).sum();
        let mut bytes = parts.iter().flat_map(|part| part.iter().copied());
        loop {
            let length = left.min(BLOB_PART);
            left -= length;
            let words = 1 + length.div_ceil(8) as u64;
            if self.written + words > self.limit && !self.wait_for_room(words) {
                return false;
            }
            // SAFETY: as in `new`; this thread alone writes to it.
            unsafe { ring::place(self.header, self.written, blob_word(kind, length, left == 0)) };
            for index in 1..words {
                let mut word = [0u8; 8];
                let in_word = (length - (index as usize - 1) * 8).min(8);
                for (slot, byte) in word[..in_word].iter_mut().zip(&mut bytes) {
                    *slot = byte;
                }
                // SAFETY: as above.
                unsafe { ring::place(self.header, self.written + index, u64::from_le_bytes(word)) };
            }
            self.written += words;
            ring::publish(self.header(), self.written);
            if left == 0 {
                return true;
            }
        }
    }

    /// Waits until `words` more fit. False if tracing has ended: asked for, or the collector is dead.
    #[cold]
    fn wait_for_room(&mut self, words: u64) -> bool {
        let header = self.header();
        let control = process::control();
        let mut began = 0;
        let mut heartbeat = control.heartbeat.load(Ordering::Relaxed);
        let mut stale = 0;
        loop {
            self.limit = ring::limit(header);
            if self.written + words <= self.limit {
                break;
            }
            if control.stopped.load(Ordering::Acquire) != 0 {
                process::turn_off();
                return false;
            }
            if began == 0 {
                began = sys::now();
            }
            if !ring::is_to_wait(header, self.written + words) {
                continue;
            }
            control.doorbell.fetch_add(1, Ordering::SeqCst);
            sys::futex_wake(&control.doorbell);
            sys::futex_wait(&header.waiting, 1, 50_000_000);
            let beat = control.heartbeat.load(Ordering::Relaxed);
            stale = if beat == heartbeat { stale + 1 } else { 0 };
            heartbeat = beat;
            // 200 ms without a beat: look whether anybody is there.
            if stale >= 4 && stop_if_collector_is_dead() {
                return false;
            }
        }
        if began != 0 {
            header.waited.fetch_add(sys::now().saturating_sub(began), Ordering::Relaxed);
            header.waits.fetch_add(1, Ordering::Relaxed);
        }
        true
    }
}

/// For who has waited for a heartbeat in vain: ends tracing, for good, if there will be none. Gives whether it did.
#[cold]
pub fn stop_if_collector_is_dead() -> bool {
    let is_dead = collector_is_dead(process::control().collector_pid);
    if is_dead {
        process::stop(b"heaptide: the recorder has died; tracing stops here, the program goes on\n");
    }
    is_dead
}

/// Whether the collector's process is gone or a zombie. One that is stopped (Ctrl-Z, a debugger) is not dead. Without
/// /proc nothing is known, and after so long without a heartbeat dead is the safer guess.
fn collector_is_dead(pid: u32) -> bool {
    let mut path = *b"/proc/0000000000/stat\0";
    let mut rest = pid;
    for digit in path[6..16].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // The kernel takes no leading zeros in /proc: move the digits to the front.
    let first = path[6..15].iter().position(|digit| *digit != b'0').unwrap_or(9);
    path.copy_within(6 + first.., 6);
    let Some(file) = sys::File::open(&path[..path.len() - first], libc::O_RDONLY) else { return true };
    let mut text = [0; 512];
    let length = file.read(&mut text);
    // "pid (name) state …"; the name may hold anything, also brackets.
    let text = &text[..length];
    let state = text.iter().rposition(|byte| *byte == b')').and_then(|end| text.get(end + 2));
    !matches!(state, Some(state) if !b"ZXx".contains(state))
}
