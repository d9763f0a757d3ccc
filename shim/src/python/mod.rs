//! CPython: whether there is one in this process, and the stack of the calling thread.
//!
//! Frames are read where they lie, at the allocation: no profile hook, no trace hook, no call of the interpreter but
//! for `PyGILState_GetThisThreadState`, which reads one thread-specific value (and neither locks nor allocates), and in
//! programs with subinterpreters or asyncio `_PyThreadState_UncheckedGet`, which reads one variable.

pub mod allocators;
pub mod census;
mod check;
mod codes;
pub mod collection;
mod debug_hooks;
pub mod domains;
mod interpreters;
mod marks;
mod offsets;
mod tasks;
pub mod walk;
mod window;

use crate::interpreter_symbols::{Symbol, symbol};
use crate::native::evaluation;
use crate::process;
use crate::sys;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use heaptide_format::shared::{Unread, option};
use offsets::Offsets;

static OFFSETS: AtomicPtr<Offsets> = AtomicPtr::new(core::ptr::null_mut());
static VERSION: AtomicU32 = AtomicU32::new(0);
static NEVER: AtomicUsize = AtomicUsize::new(0);
/// The interpreter's word that says that it finalizes; [`NEVER`] without interpreter, and when that is of no interest any more.
static FINALIZING: AtomicPtr<AtomicUsize> = AtomicPtr::new(core::ptr::from_ref(&NEVER).cast_mut());
/// It has been told that the interpreter finalizes.
static FINALIZES: AtomicBool = AtomicBool::new(false);
/// Bits of what is to be done beside events.
static ATTENTION: AtomicU32 = AtomicU32::new(0);
const ALLOCATORS: u32 = 1;
const CENSUS: u32 = 2;
static VERIFY: AtomicBool = AtomicBool::new(false);
static JOINS_NATIVE: AtomicBool = AtomicBool::new(false);
/// The function that gives the calling thread's state: [`first_thread_state`] until the first stack has been checked,
/// then the interpreter's own. So the check costs nothing afterwards.
static THIS_THREAD_STATE: AtomicUsize = AtomicUsize::new(0);
/// The interpreter's own.
static REAL_THREAD_STATE: AtomicUsize = AtomicUsize::new(0);
/// Code objects that died before any stack was seen.
static UNSEEN_DEATHS: AtomicU32 = AtomicU32::new(0);
/// So many do not die without any function running: the stack is looked for in the wrong place.
const MOST_UNSEEN_DEATHS: u32 = 8;

/// Looks for an interpreter in the program and the libraries it is linked with. Once, before any thread is claimed.
pub fn detect() {
    let (Some(this_thread_state), Some(code_type)) =
        (symbol(Symbol::PyGILState_GetThisThreadState), symbol(Symbol::PyCode_Type))
    else {
        return;
    };
    let Some(version) = read_version() else { return };
    VERSION.store(u32::from(version), Ordering::Relaxed);
    if check::is_free_threaded() {
        return leave_unread(Unread::FreeThreaded);
    }
    let Some(offsets) = offsets::of_version(version) else { return leave_unread(Unread::UnknownVersion) };
    if !check::at_start(code_type, offsets) {
        return leave_unread(Unread::OtherLayout);
    }
    REAL_THREAD_STATE.store(this_thread_state.as_ptr() as usize, Ordering::Relaxed);
    THIS_THREAD_STATE.store(first_thread_state as extern "C" fn() -> usize as usize, Ordering::Relaxed);
    codes::watch_deaths(code_type, offsets);
    if let Some(runtime) = symbol(Symbol::_PyRuntime) {
        // SAFETY: a pointer inside the interpreter's static structure, by the version's row; aligned as pointers are.
        let finalizing = unsafe { runtime.add(offsets.runtime_finalizing).cast::<AtomicUsize>() };
        FINALIZING.store(finalizing.as_ptr(), Ordering::Relaxed);
        interpreters::prepare(runtime, offsets);
    }
    tasks::prepare();
    if census::prepare(offsets) {
        ATTENTION.fetch_or(CENSUS, Ordering::Relaxed);
    }
    VERIFY.store(process::has_option(option::VERIFY), Ordering::Relaxed);
    if process::has_option(option::NATIVE)
        && let Some(function) = symbol(Symbol::_PyEval_EvalFrameDefault)
    {
        evaluation::add(function.as_ptr() as usize);
        JOINS_NATIVE.store(true, Ordering::Relaxed);
    }
    OFFSETS.store(core::ptr::from_ref(offsets).cast_mut(), Ordering::Release);
    if process::has_option(option::PYTHON_ALLOCATORS) {
        allocators::prepare();
        if allocators::is_wanted() {
            ATTENTION.fetch_or(ALLOCATORS, Ordering::Relaxed);
        }
    }
}

/// Whether [`attend`] has something to do, for an event of a thread that has an interpreter's state.
#[inline(always)]
pub fn needs_attention() -> bool {
    ATTENTION.load(Ordering::Relaxed) != 0
}

/// What is done beside an event, of which there is nothing in most runs: wrapping the allocators, looking for a census.
#[inline(never)]
pub fn attend(process: &'static process::State, state: usize) {
    let due = ATTENTION.load(Ordering::Relaxed);
    if due & ALLOCATORS != 0 {
        ATTENTION.fetch_and(!ALLOCATORS, Ordering::Relaxed);
        if allocators::is_wanted() {
            allocators::install();
        }
    }
    if due & CENSUS != 0 {
        census::look(process, state);
    }
}

/// Gives up on the stacks of this interpreter, for good: its allocations have native frames from now on.
#[cold]
fn leave_unread(why: Unread) {
    OFFSETS.store(core::ptr::null_mut(), Ordering::Release);
    process::control().leave_unread(version(), why);
}

/// The calling thread's state, and whatever stack there is checked; 0 if the thread has none, or if its stack is not
/// what it must be. Stands in for the interpreter's own function until a stack was as it must be.
#[cold]
extern "C" fn first_thread_state() -> usize {
    // SAFETY: stored before the offsets; takes nothing and returns a pointer.
    let real: extern "C" fn() -> usize = unsafe { core::mem::transmute(REAL_THREAD_STATE.load(Ordering::Relaxed)) };
    let state = real();
    // SAFETY: null, or a reference to a static row that `detect` stored.
    let offsets = unsafe { OFFSETS.load(Ordering::Acquire).as_ref() };
    let Some(offsets) = offsets.filter(|_| state != 0) else { return state };
    match check::first_stack(state, offsets) {
        check::Stack::Empty => state,
        check::Stack::Fits => {
            THIS_THREAD_STATE.store(real as usize, Ordering::Relaxed);
            state
        }
        check::Stack::Differs => {
            leave_unread(Unread::OtherLayout);
            0
        }
    }
}

/// A code object dies. That happens while functions run; if none has been seen by then, they are not where they are
/// looked for.
#[inline(always)]
fn note_death() {
    let function = THIS_THREAD_STATE.load(Ordering::Relaxed);
    if function == first_thread_state as extern "C" fn() -> usize as usize {
        note_unseen_death();
    }
}

#[cold]
fn note_unseen_death() {
    if first_thread_state() != 0
        && is_present()
        && !has_fitting_stack()
        && UNSEEN_DEATHS.fetch_add(1, Ordering::Relaxed) + 1 == MOST_UNSEEN_DEATHS
    {
        leave_unread(Unread::OtherLayout);
    }
}

/// Interpreter version as `major << 8 | minor`; 0 if there is none. Also of versions whose stacks are not read.
pub fn version() -> u16 {
    VERSION.load(Ordering::Relaxed) as u16
}

fn read_version() -> Option<u16> {
    // `Py_Version` is a constant since 3.11; before, the text "3.10.13 (main, …" is asked for.
    if let Some(number) = symbol(Symbol::Py_Version) {
        // SAFETY: `const unsigned long Py_Version`, PY_VERSION_HEX of the interpreter.
        let hex = unsafe { number.cast::<libc::c_ulong>().read() };
        return Some((hex >> 16) as u16);
    }
    let function = symbol(Symbol::Py_GetVersion)?;
    // SAFETY: `const char *Py_GetVersion(void)` may be called before the interpreter is initialised (its documentation
    // says so); it formats into a static buffer.
    let text = unsafe {
        let function: unsafe extern "C" fn() -> *const core::ffi::c_char = core::mem::transmute(function);
        CStr::from_ptr(function())
    };
    let mut numbers = text.to_bytes().split(|byte| !byte.is_ascii_digit());
    let mut number =
        || numbers.next()?.iter().try_fold(0u16, |n, d| n.checked_mul(10)?.checked_add(u16::from(d - b'0')));
    Some(number()? << 8 | number()?)
}

/// True when the interpreter has begun to finalize: the program's own code has ended, and what it still holds is about to be
/// torn down. True a second and a third time when the interpreter's last collection of cyclic garbage has begun and when it is
/// over, if it releases anything and that can be told. Asked at each release until it is false, because releases are what
/// a teardown begins with.
#[inline(always)]
pub fn begins_to_finalize() -> bool {
    // SAFETY: the interpreter's own word, which lives as long as the process, or `NEVER`.
    let finalizing = unsafe { &*FINALIZING.load(Ordering::Relaxed) };
    finalizing.load(Ordering::Relaxed) != 0 && goes_on_to_finalize()
}

/// What is looked at now and then while the program runs.
#[cold]
pub fn look_now_and_then() {
    // SAFETY: as above.
    let finalizing = unsafe { &*FINALIZING.load(Ordering::Relaxed) };
    if is_present()
        && finalizing.load(Ordering::Relaxed) == 0
        && let Some(runtime) = symbol(Symbol::_PyRuntime)
    {
        collection::look(runtime, version(), sys::read_word);
    }
}

/// Whether the interpreter has begun to finalize, or cannot be asked.
fn is_finalizing() -> bool {
    // SAFETY: as in `begins_to_finalize`; `NEVER` stands there as well once that has been said.
    let finalizing = unsafe { &*FINALIZING.load(Ordering::Relaxed) };
    core::ptr::eq(finalizing, &raw const NEVER) || finalizing.load(Ordering::Relaxed) != 0
}

/// The row of the interpreter whose stacks are read.
fn known_offsets() -> Option<&'static Offsets> {
    // SAFETY: null, or a reference to a static row that `detect` stored.
    unsafe { OFFSETS.load(Ordering::Acquire).as_ref() }
}

#[cold]
fn goes_on_to_finalize() -> bool {
    let never = core::ptr::from_ref(&NEVER).cast_mut();
    if !FINALIZES.swap(true, Ordering::Relaxed) {
        // Of an interpreter that is not the version it says, "finalizes" may be any word, and nothing must be followed from it.
        let is_known = is_present() && has_fitting_stack();
        if !symbol(Symbol::_PyRuntime).is_some_and(|runtime| is_known && collection::begin(runtime, version())) {
            FINALIZING.store(never, Ordering::Relaxed);
        }
        return true;
    }
    let told = collection::goes_on();
    if collection::is_over() {
        FINALIZING.store(never, Ordering::Relaxed);
    }
    told
}

/// Whether a stack was as the version's must be.
fn has_fitting_stack() -> bool {
    THIS_THREAD_STATE.load(Ordering::Relaxed) == REAL_THREAD_STATE.load(Ordering::Relaxed)
}

/// Whether every stack is to be read twice, see [`option::VERIFY`].
#[inline(always)]
fn verifies() -> bool {
    VERIFY.load(Ordering::Relaxed)
}

/// Whether Python frames are to be put into native stacks.
#[inline(always)]
fn joins_native() -> bool {
    JOINS_NATIVE.load(Ordering::Relaxed)
}

/// Whether there is an interpreter whose stacks can be read.
#[inline(always)]
pub fn is_present() -> bool {
    !OFFSETS.load(Ordering::Relaxed).is_null()
}

/// What reading Python needs in this process: the calling thread's state and the offsets. `None` if there is no known
/// interpreter, it is not initialised, or the thread has nothing to do with it.
#[inline(always)]
pub fn current() -> Option<(usize, &'static Offsets)> {
    let offsets = OFFSETS.load(Ordering::Relaxed);
    if offsets.is_null() {
        return None;
    }
    // SAFETY: stored before the offsets; the interpreter's function, or ours that stands in for it: both take nothing and
    // return a pointer.
    let this_thread_state: unsafe extern "C" fn() -> usize =
        unsafe { core::mem::transmute(THIS_THREAD_STATE.load(Ordering::Relaxed)) };
    // SAFETY: reads a thread-specific value, from any thread, at any time.
    let state = unsafe { this_thread_state() };
    // SAFETY: `detect` stored a reference to a static row.
    (state != 0).then(|| (interpreters::running(state), unsafe { &*offsets }))
}
