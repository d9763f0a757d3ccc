//! CPython's own allocators (`--python-allocators`): the RAW, MEM and OBJ domains, wrapped where the interpreter lets
//! one wrap them, so that pymalloc stays in use.
//!
//! Installed from the hook of the first arena's `mmap`, or when the calling thread first has an interpreter state. The
//! interpreter has chosen its allocators by then, has one thread, and imports nothing yet. Wrapping means copying
//! twenty words: no lock, no allocation, so it may be done inside a hook. Blocks that the interpreter got before are
//! released through the wrappers as well; whichever function gave a block, the wrapped allocator takes it back. Where
//! the interpreter's debug hooks are on, blocks are filed under another address than the program's: [`debug_hooks`].

use super::debug_hooks::{self, Headers};
use super::domains;
use crate::arch::Caller;
use crate::interpreter_symbols::{Symbol, symbol};
use crate::native::modules;
use crate::process;
use crate::sys;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use heaptide_format::allocator::Allocator;
use heaptide_format::wire::Reallocator;

/// `PyMemAllocatorEx`, the same in all versions.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Domain {
    pub context: *mut c_void,
    pub malloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    calloc: unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void,
    realloc: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void),
}

/// What was there before the wrappers.
struct Wrapped {
    domains: [Domain; 3],
    /// What the blocks of the debug hooks have in front; `None` without these hooks.
    headers: Option<Headers>,
}

struct Saved(UnsafeCell<Option<Wrapped>>);
// SAFETY: written by `install` before the wrappers that read it can be called, and never again.
unsafe impl Sync for Saved {}

static SAVED: Saved = Saved(UnsafeCell::new(None));
static GET: AtomicUsize = AtomicUsize::new(0);
static SET: AtomicUsize = AtomicUsize::new(0);

const UNWANTED: u32 = 0;
/// To be installed when the interpreter is ready.
const WANTED: u32 = 1;
const INSTALLED: u32 = 2;
static STATUS: AtomicU32 = AtomicU32::new(UNWANTED);

/// Finds what installing needs; from now on it is wanted.
pub fn prepare() {
    if let (Some(get), Some(set)) = (symbol(Symbol::PyMem_GetAllocator), symbol(Symbol::PyMem_SetAllocator)) {
        GET.store(get.as_ptr() as usize, Ordering::Relaxed);
        SET.store(set.as_ptr() as usize, Ordering::Relaxed);
        STATUS.store(WANTED, Ordering::Release);
    }
}

/// Whether installing is wanted and not done.
#[inline(always)]
pub fn is_wanted() -> bool {
    STATUS.load(Ordering::Relaxed) == WANTED
}

/// Whether a mapping of an arena's size, asked for by this caller, is an arena whose blocks are recorded: a call from
/// within the interpreter's own object.
pub fn is_arena(caller: Caller) -> bool {
    STATUS.load(Ordering::Relaxed) != UNWANTED
        && modules::in_same_object(process::state(), caller.return_address(), GET.load(Ordering::Relaxed))
}

/// Wraps the three domains.
#[cold]
pub fn install() {
    if STATUS.compare_exchange(WANTED, INSTALLED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return;
    }
    // SAFETY: PyMem_GetAllocator(domain, allocator*) and PyMem_SetAllocator likewise, as `prepare` found them.
    let get: unsafe extern "C" fn(c_int, *mut Domain) = unsafe { core::mem::transmute(GET.load(Ordering::Relaxed)) };
    // SAFETY: as above.
    let set: unsafe extern "C" fn(c_int, *mut Domain) = unsafe { core::mem::transmute(SET.load(Ordering::Relaxed)) };
    let domains = [0, 1, 2].map(|number| {
        let mut domain = core::mem::MaybeUninit::uninit();
        // SAFETY: it copies a structure of this layout, of a domain that exists; the interpreter runs in one thread so far.
        unsafe { get(number, domain.as_mut_ptr()) };
        // SAFETY: written just now.
        unsafe { domain.assume_init() }
    });
    let process = process::state();
    let in_interpreter =
        |function: *const ()| modules::in_same_object(process, function.addr(), GET.load(Ordering::Relaxed));
    let headers = debug_hooks::recognise(&domains, in_interpreter);
    // SAFETY: this runs once, and the wrappers, which read it, cannot be called yet.
    unsafe { *SAVED.0.get() = Some(Wrapped { domains, headers }) };
    let wrappers = match headers {
        None => [wrapper::<0, false>(), wrapper::<1, false>(), wrapper::<2, false>()],
        Some(_) => [wrapper::<0, true>(), wrapper::<1, true>(), wrapper::<2, true>()],
    };
    for (number, mut wrapper) in (0..).zip(wrappers) {
        // SAFETY: as for `get`.
        unsafe { set(number, &raw mut wrapper) };
    }
}

/// `DEBUG`: for a domain with debug hooks.
fn wrapper<const DOMAIN: usize, const DEBUG: bool>() -> Domain {
    Domain {
        context: core::ptr::null_mut(),
        malloc: malloc::<DOMAIN, DEBUG>,
        calloc: calloc::<DOMAIN, DEBUG>,
        realloc: realloc::<DOMAIN, DEBUG>,
        free: free::<DOMAIN, DEBUG>,
    }
}

#[inline(always)]
fn wrapped() -> &'static Wrapped {
    // SAFETY: written before the wrappers were installed, never since; `Some` from then on.
    unsafe { (*SAVED.0.get()).as_ref().unwrap_unchecked() }
}

/// The address under which a block is filed.
#[inline(always)]
fn filed<const DEBUG: bool>(block: *mut c_void) -> usize {
    match wrapped().headers {
        // SAFETY: a block that the wrapped domain has given just now, or that our caller has from it and gives back.
        Some(headers) if DEBUG => unsafe { debug_hooks::filed(headers, block) },
        _ => block.addr(),
    }
}

/// The address under which the block is filed that begins at this one, for who knows it from elsewhere.
pub fn filed_under(block: usize) -> usize {
    if STATUS.load(Ordering::Relaxed) != INSTALLED {
        return block;
    }
    match wrapped().headers {
        // SAFETY: the kernel says that the two words in front of it can be read; without the hooks' marks in them it is
        // taken for no block of theirs.
        Some(headers) if block.is_multiple_of(16) && sys::is_readable(block.wrapping_sub(16)) => unsafe {
            debug_hooks::filed(headers, block as *mut c_void)
        },
        _ => block,
    }
}

const MALLOC: [Allocator; 3] = [Allocator::PyRawMalloc, Allocator::PyMemMalloc, Allocator::PyObjectMalloc];
const CALLOC: [Allocator; 3] = [Allocator::PyRawCalloc, Allocator::PyMemCalloc, Allocator::PyObjectCalloc];
const REALLOC: [Reallocator; 3] = [Reallocator::PyRaw, Reallocator::PyMem, Reallocator::PyObject];

unsafe extern "C" fn malloc<const DOMAIN: usize, const DEBUG: bool>(_: *mut c_void, size: usize) -> *mut c_void {
    let domain = &wrapped().domains[DOMAIN];
    // SAFETY: the wrapped allocator's own function and context, our caller's size.
    let real = || unsafe { (domain.malloc)(domain.context, size) };
    domains::allocate(MALLOC[DOMAIN], size, filed::<DEBUG>, real)
}

unsafe extern "C" fn calloc<const DOMAIN: usize, const DEBUG: bool>(
    _: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    let domain = &wrapped().domains[DOMAIN];
    // SAFETY: as for `malloc`.
    let real = || unsafe { (domain.calloc)(domain.context, count, size) };
    domains::allocate(CALLOC[DOMAIN], count.saturating_mul(size), filed::<DEBUG>, real)
}

unsafe extern "C" fn realloc<const DOMAIN: usize, const DEBUG: bool>(
    _: *mut c_void,
    old: *mut c_void,
    size: usize,
) -> *mut c_void {
    let domain = &wrapped().domains[DOMAIN];
    // SAFETY: as for `malloc`, and our caller's block.
    let real = || unsafe { (domain.realloc)(domain.context, old, size) };
    domains::reallocate(REALLOC[DOMAIN], old, size, filed::<DEBUG>, real)
}

unsafe extern "C" fn free<const DOMAIN: usize, const DEBUG: bool>(_: *mut c_void, block: *mut c_void) {
    let domain = &wrapped().domains[DOMAIN];
    // SAFETY: as for `malloc`, and our caller's block.
    let real = || unsafe { (domain.free)(domain.context, block) };
    domains::release(block, filed::<DEBUG>, real);
}
