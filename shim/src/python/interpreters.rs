//! Subinterpreters up to 3.11: which interpreter's stack the calling thread runs on.
//!
//! `PyGILState_GetThisThreadState` gives the first state that the thread ever had, in these versions, and a thread of
//! one interpreter that runs code of another has two. (From 3.12 on it gives the one that ran last, which is right.) The
//! running one is the interpreter's *current* state if that belongs to this thread: it may as well be another thread's,
//! which holds the GIL while this one does not. Then, and as long as nobody holds the GIL, the first state is taken: a
//! block that C code of a subinterpreter allocates without the GIL is shown under the main interpreter's frames. So is
//! what a thread does with a state that another thread made.

use super::offsets::Offsets;
use crate::interpreter_symbols::{Symbol, symbol};
use crate::sys;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicI64, AtomicPtr, AtomicUsize, Ordering};

/// `_PyRuntime.interpreters.next_id` lies this far behind the runtime's word for finalization: a lock and the first and
/// the main interpreter are in between (3.8 to 3.11; `tests/python_stacks.rs` would see other frames).
const NEXT_ID_BEHIND_FINALIZING: usize = 32;

static NEVER: AtomicI64 = AtomicI64::new(0);
/// The number of the next interpreter: from 2 on there is or was a subinterpreter. [`NEVER`] from 3.12 on.
static NEXT_ID: AtomicPtr<AtomicI64> = AtomicPtr::new(core::ptr::from_ref(&NEVER).cast_mut());
/// `_PyThreadState_UncheckedGet`, named `PyThreadState_GetUnchecked` from 3.13 on.
static CURRENT: AtomicUsize = AtomicUsize::new(0);
/// `PyThreadState`: the thread, as `pthread_self` calls it.
static THREAD: AtomicUsize = AtomicUsize::new(0);

/// Prepares for the interpreter whose `_PyRuntime` this is.
pub fn prepare(runtime: NonNull<u8>, offsets: &Offsets) {
    let current = symbol(Symbol::_PyThreadState_UncheckedGet).or_else(|| symbol(Symbol::PyThreadState_GetUnchecked));
    let Some(current) = current else { return };
    CURRENT.store(current.as_ptr() as usize, Ordering::Release);
    let thread = match offsets.version {
        0x0308..=0x030A => 176,
        0x030B => 152,
        _ => return,
    };
    THREAD.store(thread, Ordering::Relaxed);
    // SAFETY: inside the interpreter's static structure, by the version's headers; aligned as 64-bit integers are.
    let next_id = unsafe { runtime.add(offsets.runtime_finalizing + NEXT_ID_BEHIND_FINALIZING).cast::<AtomicI64>() };
    NEXT_ID.store(next_id.as_ptr(), Ordering::Release);
}

/// The state that the calling thread runs on, whose first one is `state`.
#[inline(always)]
pub fn running(state: usize) -> usize {
    // SAFETY: the interpreter's own word, which lives as long as the process, or `NEVER`.
    let next_id = unsafe { &*NEXT_ID.load(Ordering::Acquire) };
    if next_id.load(Ordering::Relaxed) > 1 { among_several(state) } else { state }
}

/// Whether the calling thread, which runs on `state`, holds the GIL: nobody else then changes objects of the interpreter.
#[inline]
pub fn holds_gil(state: usize) -> bool {
    current() == state
}

/// The current state: up to 3.11 of who holds the GIL, then of this thread if it holds one. 0: nobody.
fn current() -> usize {
    let function = CURRENT.load(Ordering::Acquire);
    if function == 0 {
        return 0;
    }
    // SAFETY: its address; it takes nothing and returns what one load gives, of an atomic or a thread-local variable.
    unsafe {
        let function: unsafe extern "C" fn() -> usize = core::mem::transmute(function);
        function()
    }
}

#[cold]
#[inline(never)]
fn among_several(state: usize) -> usize {
    let current = current();
    if current == 0 || current == state {
        return state;
    }
    // It may be another thread's, who frees it at this moment: the kernel reads it, and fails where we would crash.
    // SAFETY: no precondition.
    let me = unsafe { libc::pthread_self() } as usize;
    match sys::read_word(current + THREAD.load(Ordering::Relaxed)) {
        Some(thread) if thread == me => current,
        _ => state,
    }
}
