//! The functions that evaluate Python frames: where they stand in a native stack, the frames that they run belong.
//!
//! Compilers put what is seldom run of a function elsewhere, as a part with unwind data of its own. In a program without
//! symbols nothing says whose part that is, but the function jumps there, and a jump leaves the stack as it is: so where it
//! leads the frame is as large as where it comes from ([`find_other_part`]). What that does not find,
//! [`super::Unwinder::learn_evaluation`] finds out later.

use super::cfi;
use super::rules::Kind;
use crate::{arch, process};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// Adds the part of the first function that the compiler has put elsewhere, if there is one. Looks for it once.
#[cold]
pub fn find_other_part() {
    /// Jumps that must agree: bytes that only look like one may lead anywhere.
    const AGREED: usize = 2;
    static LOOKED: AtomicBool = AtomicBool::new(false);
    let start = first();
    if start == 0 || LOOKED.swap(true, Ordering::Relaxed) {
        return;
    }
    let Some(module) = process::state().and_then(|state| state.modules.find(start)) else { return };
    let Some((_, (first, end))) = cfi::rule(&module, start) else { return };
    let mut found = [(0usize, 0usize); MOST];
    for from in first..end.min(module.end).saturating_sub(arch::JUMP_BYTES) {
        // SAFETY: in a mapping of code that is in use, so many bytes before the end of its function.
        let Some(target) = (unsafe { arch::jump_target(from) }) else { continue };
        if (first..end).contains(&target) || !(module.start..module.end).contains(&target) {
            continue;
        }
        let (Some((here, _)), Some((there, part))) = (cfi::rule(&module, from), cfi::rule(&module, target)) else {
            continue;
        };
        // Another function's beginning is where a call in last place leads, which has no frame any more.
        let is_same = (here.base, here.offset) == (there.base, there.offset);
        if there.kind != Kind::Caller || !is_same || here.offset == arch::OFFSET_AT_ENTRY {
            continue;
        }
        let Some(known) = found.iter_mut().find(|(part_start, _)| [0, part.0].contains(part_start)) else { return };
        *known = (part.0, known.1 + 1);
        if known.1 == AGREED {
            add(part.0);
            return;
        }
    }
}

/// Adds the part that begins here. False if there is no more room, or it is known.
pub fn add(start: usize) -> bool {
    if includes(start) {
        return false;
    }
    STARTS.iter().any(|free| free.compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed).is_ok())
}
