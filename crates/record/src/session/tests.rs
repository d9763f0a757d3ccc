//! The order of records, with a target that does what it does at the worst moment.

use super::*;
use heaptide_format::wire::{BlobKind, blob_word, definition, kind, word0};

/// Parent, reason and version, then no path and no command line.
const ANNOUNCEMENT: [u64; 3] = [blob_word(BlobKind::Image, 15, true), 0, 0];

/// A session whose target is this test: image 1, announced in ring 0.
fn session(threads: usize) -> Session {
    let mut shared = Shared::create(0, 0, 0).expect("shared memory");
    for ring in 0..threads {
        shared.claim(ring, 1);
    }
    shared.publish(0, &ANNOUNCEMENT);
    let file = File::options().write(true).open("/dev/null").expect("/dev/null");
    let run = RunInfo { aggregate: true, ..RunInfo::default() };
    let mut session = Session::new(shared, CaptureWriter::new(file, &run).expect("a capture"));
    session.round();
    assert_eq!(session.images.len(), 1);
    session
}

fn allocated(address: u64, stamp: u64) -> [u64; 3] {
    [word0(kind::ALLOCATED_STAMPED, 0, address), 100, stamp]
}

fn freed(address: u64, stamp: u64) -> [u64; 2] {
    [word0(kind::FREED_STAMPED, 0, address), stamp]
}

#[test]
fn what_is_left_in_a_full_ring_is_not_passed_by_other_threads() {
    let mut session = session(2);
    // The collector has taken its stamp, and is held up before it takes the words of ring 0: it finds it full of later ones.
    let later = rings::stamp(session.shared.control()) + (1 << 28);
    let mut words = freed(0x3000, later).to_vec();
    while words.len() + 5 < RING_WORDS {
        words.extend(allocated(0x2000, later));
        words.extend(freed(0x2000, later));
    }
    words.extend(allocated(0x1000, later));
    words.extend([word0(kind::DEFINITION, definition::NATIVE_NODE, 0), 0]);
    assert_eq!(words.len(), RING_WORDS);
    session.shared.publish(0, &words);
    session.round();
    assert_eq!(session.rings[0].words.len() - session.rings[0].at, RING_WORDS, "nothing is due yet");
    // The thread goes on and releases the block, and another thread is given its address.
    session.shared.publish(0, &freed(0x1000, later + 1));
    session.shared.publish(1, &allocated(0x1000, later + 2));
    while rings::stamp(session.shared.control()) <= later + 2 {
        std::thread::yield_now();
    }
    session.round();
    assert!(session.rings.iter().all(Ring::is_empty));
    let heap = &session.images[0].heap;
    assert_eq!((heap.len(), heap.inconsistent), (1, 0));
}

#[test]
fn a_program_that_is_heard_of_after_the_one_that_took_its_place_has_ended() {
    let mut session = session(1);
    session.shared.claim(1, 3);
    session.shared.publish(1, &ANNOUNCEMENT);
    session.round();
    // The ring of the one between was taken before it was written.
    session.shared.claim(2, 2);
    session.shared.publish(2, &ANNOUNCEMENT);
    session.round();
    let images: Vec<_> = session.images.iter().map(|image| (image.number, image.ended)).collect();
    assert_eq!(images, [(1, true), (3, false), (2, true)]);
}
