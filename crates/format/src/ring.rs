//! The two sides of a ring: which words may be written and read when, and how a full ring is waited for.
//!
//! One thread of the target writes, the collector reads. `written` and `read` count words since the ring was made; the
//! words between them are the collector's, the others the writer's. Each side moves its own count on, with release, when it
//! has done with the words, and looks at the other's with acquire before it touches them.
//!
//! A writer that finds no room says so in `waiting` and looks once more; the collector makes room and then looks at
//! `waiting`. Between the two steps of each stands a full fence, so that one of them at least sees what the other has done:
//! nobody waits for a wake-up that has been missed. What waiting and waking are is the caller's (a futex on `waiting`).
//!
//! All interleavings of the two sides are tried out on a small ring: `cargo test -p heaptide-format --no-default-features
//! --features model --lib ring`.

use crate::shared::{RING_WORDS, RingHeader};
use crate::sync::{AtomicU64, Ordering, fence};
use core::ptr::NonNull;

const MASK: u64 = RING_WORDS as u64 - 1;

/// The word at a position.
///
/// # Safety
/// `header` is that of a ring: its words follow it, and all stay mapped for the lifetime asked for.
#[inline(always)]
unsafe fn word<'a>(header: NonNull<RingHeader>, position: u64) -> &'a AtomicU64 {
    // SAFETY: the caller's promise; the place is one of RING_WORDS.
    unsafe { &*header.as_ptr().add(1).cast::<AtomicU64>().add((position & MASK) as usize) }
}

/// Writes a word at a position below [`limit`], not yet published.
///
/// # Safety
/// `header` is that of a ring, which stays mapped, and the calling thread its writer.
#[inline(always)]
pub unsafe fn place(header: NonNull<RingHeader>, position: u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { word(header, position) }.store(value, Ordering::Relaxed);
}

/// Hands all words below this position to the collector.
#[inline(always)]
pub fn publish(header: &RingHeader, written: u64) {
    header.written.store(written, Ordering::Release);
}

/// Words may be placed below this position.
#[inline(always)]
pub fn limit(header: &RingHeader) -> u64 {
    header.read.load(Ordering::Acquire).wrapping_add(RING_WORDS as u64)
}

/// Says that the writer waits until words can be placed up to `end`. False if there is room by now; else it sleeps until
/// `waiting` is no longer 1.
pub fn is_to_wait(header: &RingHeader, end: u64) -> bool {
    header.waiting.store(1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    limit(header) < end
}

/// Takes the words below `written` (what was read of the header's, with acquire), appends them to `words`, and gives the
/// room back. True if the writer waits for it and must be woken.
///
/// A writer that claims nonsense there harms its own words only.
///
/// # Safety
/// `header` is that of a ring, which stays mapped, and the calling thread its only reader.
#[cfg(any(feature = "capture", feature = "model"))]
pub unsafe fn take(header: NonNull<RingHeader>, written: u64, words: &mut Vec<u64>) -> bool {
    // SAFETY: the caller's promise.
    let fields = unsafe { header.as_ref() };
    let read = fields.read.load(Ordering::Relaxed);
    let count = written.saturating_sub(read).min(RING_WORDS as u64);
    if count == 0 {
        return false;
    }
    let first = count.min(RING_WORDS as u64 - (read & MASK));
    for (from, length) in [(read, first), (read + first, count - first)] {
        words.reserve(length as usize);
        // SAFETY: the words lie one after the other from here on, inside the ring. A writer that keeps to the rules has
        // written them before it published them and leaves them alone until `read` is moved on below. One that does not
        // makes them wrong: whoever reads them checks each.
        unsafe { copy(word(header, from), length as usize, words) };
    }
    fields.read.store(written, Ordering::Release);
    fence(Ordering::SeqCst);
    fields.waiting.load(Ordering::Relaxed) != 0 && fields.waiting.swap(0, Ordering::Relaxed) != 0
}

/// Appends `length` words to `words`, which has room for them.
///
/// # Safety
/// They lie one after the other from `first` on, and nobody writes them.
#[cfg(all(feature = "capture", not(feature = "model")))]
unsafe fn copy(first: &AtomicU64, length: usize, words: &mut Vec<u64>) {
    // SAFETY: the caller's promise, and its room in `words`.
    unsafe {
        core::ptr::copy_nonoverlapping(first.as_ptr(), words.as_mut_ptr().add(words.len()), length);
        words.set_len(words.len() + length);
    }
}

/// As above, one at a time: the model keeps more of a word than its value.
///
/// # Safety
/// As above.
#[cfg(feature = "model")]
unsafe fn copy(first: &AtomicU64, length: usize, words: &mut Vec<u64>) {
    for index in 0..length {
        // SAFETY: the caller's promise.
        let word = unsafe { &*core::ptr::from_ref(first).add(index) };
        words.push(word.load(Ordering::Relaxed));
    }
}

#[cfg(all(test, feature = "model"))]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    #[repr(C)]
    struct Ring {
        header: RingHeader,
        words: [AtomicU64; RING_WORDS],
    }

    impl Ring {
        fn new() -> Arc<Self> {
            Arc::new(Self { header: RingHeader::default(), words: Default::default() })
        }

        fn header(&self) -> NonNull<RingHeader> {
            NonNull::from(self).cast()
        }
    }

    /// Puts records of two words, as the shim does; waits as on a futex.
    fn write(ring: &Ring, records: u64) {
        let (header, mut written) = (&ring.header, 0);
        for record in 0..records {
            let end = written + 2;
            while limit(header) < end {
                if is_to_wait(header, end) {
                    while header.waiting.load(Ordering::Relaxed) == 1 {
                        thread::yield_now();
                    }
                }
            }
            for word in [record * 2, record * 2 + 1] {
                // SAFETY: this thread is the ring's writer.
                unsafe { place(ring.header(), word, word) };
            }
            written = end;
            publish(header, written);
        }
    }

    fn read(ring: &Ring, records: u64) -> Vec<u64> {
        let mut words = Vec::new();
        while (words.len() as u64) < records * 2 {
            let written = ring.header.written.load(Ordering::Acquire);
            let before = words.len();
            // SAFETY: this thread is the ring's only reader.
            unsafe { take(ring.header(), written, &mut words) };
            assert_eq!(words.len() % 2, 0, "records come whole");
            if words.len() == before {
                thread::yield_now();
            }
        }
        words
    }

    #[test]
    fn every_word_arrives_once_and_in_order() {
        // The ring holds two records: it is full, and goes round.
        const RECORDS: u64 = 4;
        // More switches against a thread's will than this do not end in an hour; those at its waits are all tried.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(4);
        model.check(|| {
            let ring = Ring::new();
            let writer = thread::spawn({
                let ring = ring.clone();
                move || write(&ring, RECORDS)
            });
            let words = read(&ring, RECORDS);
            assert_eq!(words, (0..RECORDS * 2).collect::<Vec<u64>>());
            writer.join().unwrap();
        });
    }
}
