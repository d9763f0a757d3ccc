//! CPython's own allocators (`--python-allocators`): the RAW, MEM and OBJ domains, wrapped where the interpreter lets
//! one wrap them, so that pymalloc stays in use.
//!
//! Installed from the hook of the first arena's `mmap`, or when the calling thread first has an interpreter state. The
//! interpreter has chosen its allocators by then, has one thread, and imports nothing yet. Wrapping means copying
//! twenty words: no lock, no allocation, so it may be done inside a hook. Blocks that the interpreter got before are
//! released through the wrappers as well; whichever function gave a block, the wrapped allocator takes it back.

use crate::hooks;
use crate::{native, process, real};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use heaptide_format::allocator::Allocator;
use heaptide_format::wire::Reallocator;

/// `PyMemAllocatorEx`, the same in all versions.
#[derive(Clone, Copy)]
#[repr(C)]
struct Domain {
    context: *mut c_void,
    malloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    calloc: unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void,
    realloc: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void),
}

struct Saved(UnsafeCell<Option<Domain>>);
// SAFETY: written by `install` before the wrappers that read it can be called, and never again.
unsafe impl Sync for Saved {}

static SAVED: [Saved; 3] = [const { Saved(UnsafeCell::new(None)) }; 3];
static GET: AtomicUsize = AtomicUsize::new(0);
static SET: AtomicUsize = AtomicUsize::new(0);

const UNWANTED: u32 = 0;
/// To be installed when the interpreter is ready.
const WANTED: u32 = 1;
const INSTALLED: u32 = 2;
static STATUS: AtomicU32 = AtomicU32::new(UNWANTED);

/// Finds what installing needs; from now on it is wanted.
pub fn prepare() {
    if let (Some(get), Some(set)) = (real::symbol(c"PyMem_GetAllocator"), real::symbol(c"PyMem_SetAllocator")) {
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
pub fn is_arena(caller: usize) -> bool {
    STATUS.load(Ordering::Relaxed) != UNWANTED
        && native::in_same_object(process::state(), caller as u64, GET.load(Ordering::Relaxed) as u64)
}

/// Wraps the three domains.
#[cold]
pub fn install() {
    if STATUS.compare_exchange(WANTED, INSTALLED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return;
    }
    let wrappers = [wrapper::<0>(), wrapper::<1>(), wrapper::<2>()];
    for (number, (saved, mut wrapper)) in SAVED.iter().zip(wrappers).enumerate() {
        // SAFETY: PyMem_GetAllocator(domain, allocator*) and PyMem_SetAllocator likewise copy a structure of this layout;
        // the interpreter runs in one thread so far.
        unsafe {
            let get: unsafe extern "C" fn(c_int, *mut Domain) = core::mem::transmute(GET.load(Ordering::Relaxed));
            let set: unsafe extern "C" fn(c_int, *mut Domain) = core::mem::transmute(SET.load(Ordering::Relaxed));
            let mut domain = core::mem::MaybeUninit::uninit();
            get(number as c_int, domain.as_mut_ptr());
            *saved.0.get() = Some(domain.assume_init());
            set(number as c_int, &raw mut wrapper);
        }
    }
}

fn wrapper<const DOMAIN: usize>() -> Domain {
    Domain {
        context: core::ptr::null_mut(),
        malloc: malloc::<DOMAIN>,
        calloc: calloc::<DOMAIN>,
        realloc: realloc::<DOMAIN>,
        free: free::<DOMAIN>,
    }
}

#[inline(always)]
fn domain<const DOMAIN: usize>() -> &'static Domain {
    // SAFETY: written before the wrappers were installed, never since; `Some` from then on.
    unsafe { (*SAVED[DOMAIN].0.get()).as_ref().unwrap_unchecked() }
}

const MALLOC: [Allocator; 3] = [Allocator::PyRawMalloc, Allocator::PyMemMalloc, Allocator::PyObjectMalloc];
const CALLOC: [Allocator; 3] = [Allocator::PyRawCalloc, Allocator::PyMemCalloc, Allocator::PyObjectCalloc];
const REALLOC: [Reallocator; 3] = [Reallocator::PyRaw, Reallocator::PyMem, Reallocator::PyObject];

unsafe extern "C" fn malloc<const DOMAIN: usize>(_: *mut c_void, size: usize) -> *mut c_void {
    let domain = domain::<DOMAIN>();
    // SAFETY: the wrapped allocator's own function and context, our caller's size.
    hooks::allocate(MALLOC[DOMAIN], size, 0, || unsafe { (domain.malloc)(domain.context, size) })
}

unsafe extern "C" fn calloc<const DOMAIN: usize>(_: *mut c_void, count: usize, size: usize) -> *mut c_void {
    let domain = domain::<DOMAIN>();
    // SAFETY: as for `malloc`.
    hooks::allocate(CALLOC[DOMAIN], count.saturating_mul(size), 0, || unsafe {
        (domain.calloc)(domain.context, count, size)
    })
}

unsafe extern "C" fn realloc<const DOMAIN: usize>(_: *mut c_void, old: *mut c_void, size: usize) -> *mut c_void {
    let domain = domain::<DOMAIN>();
    // Python's realloc never releases: zero bytes are a block too.
    // SAFETY: as for `malloc`, and our caller's block.
    hooks::reallocate(REALLOC[DOMAIN], old, size, hooks::ZeroSize::IsABlock, 0, || unsafe {
        (domain.realloc)(domain.context, old, size)
    })
}

unsafe extern "C" fn free<const DOMAIN: usize>(_: *mut c_void, block: *mut c_void) {
    let domain = domain::<DOMAIN>();
    // SAFETY: as for `malloc`, and our caller's block.
    hooks::release(block, || unsafe { (domain.free)(domain.context, block) });
}
