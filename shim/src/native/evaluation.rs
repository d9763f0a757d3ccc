//! The functions that evaluate Python frames: where they stand in a native stack, the frames that they run belong.
//!
//! Compilers put what is seldom run of a function elsewhere, as a part with unwind data of its own. In a program without
//! symbols nothing says whose part that is; [`super::Unwinder::learn_evaluation`] finds it out.

use core::sync::atomic::{AtomicUsize, Ordering};

/// Parts at most.
const MOST: usize = 8;

/// Where the parts begin; 0: no further one.
static STARTS: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

/// Whether the part of a function that begins here is one of them.
pub fn includes(start: usize) -> bool {
    STARTS.iter().any(|known| known.load(Ordering::Relaxed) == start)
}

/// The part that is known from the start: the interpreter's `_PyEval_EvalFrameDefault`; 0 without an interpreter.
pub fn first() -> usize {
    STARTS[0].load(Ordering::Relaxed)
}

/// Adds the part that begins here. False if there is no more room, or it is known.
pub fn add(start: usize) -> bool {
    if includes(start) {
        return false;
    }
    STARTS.iter().any(|free| free.compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed).is_ok())
}
