//! The functions that the shim replaces: the next definition of each in the search order, so that a program's own
//! preloaded allocator stays in use.
//!
//! Looking them up can allocate (`dlsym` keeps error texts). While that is going on, [`bootstrap`] serves from a small
//! static area that is never freed.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

type Pointer = *mut c_void;

macro_rules! real {
    ($($index:literal $name:ident($($argument:ident: $type:ty),*) -> $result:ty, else $missing:expr;)*) => {
        const NAMES: &[&[u8]] = &[$(concat!(stringify!($name), "\0").as_bytes()),*];
        static TABLE: [AtomicUsize; NAMES.len()] = [const { AtomicUsize::new(0) }; NAMES.len()];

        $(
            /// The real function of that name.
            ///
            /// # Safety
            /// As for the C function.
            #[inline(always)]
            pub unsafe fn $name($($argument: $type),*) -> $result {
                let address = TABLE[$index].load(Ordering::Relaxed);
                if address == 0 {
                    return $missing;
                }
                // SAFETY: `resolve` stored what the dynamic linker knows under this name, which has this C signature.
                let function: unsafe extern "C" fn($($type),*) -> $result = unsafe { core::mem::transmute(address) };
                // SAFETY: the caller's promise.
                unsafe { function($($argument),*) }
            }
        )*
    };
}

real! {
    0 malloc(size: usize) -> Pointer, else bootstrap::take(size, 16);
    1 calloc(count: usize, size: usize) -> Pointer, else bootstrap::take(count.saturating_mul(size), 16);
    2 realloc(old: Pointer, size: usize) -> Pointer, else bootstrap::take_again(old, size);
    3 reallocarray(old: Pointer, count: usize, size: usize) -> Pointer, else bootstrap::take_again(old, count.saturating_mul(size));
    4 free(block: Pointer) -> (), else leak();
    5 posix_memalign(out: *mut Pointer, alignment: usize, size: usize) -> c_int, else libc::ENOMEM;
    6 aligned_alloc(alignment: usize, size: usize) -> Pointer, else bootstrap::take(size, alignment);
    7 memalign(alignment: usize, size: usize) -> Pointer, else bootstrap::take(size, alignment);
    8 valloc(size: usize) -> Pointer, else bootstrap::take(size, 4096);
    9 pvalloc(size: usize) -> Pointer, else bootstrap::take(size, 4096);
    10 mmap(address: Pointer, length: usize, protection: c_int, flags: c_int, file: c_int, offset: libc::off_t) -> Pointer, else libc::MAP_FAILED;
    11 munmap(address: Pointer, length: usize) -> c_int, else -1;
    12 mremap(old: Pointer, old_length: usize, length: usize, flags: c_int, fixed: Pointer) -> Pointer, else libc::MAP_FAILED;
    13 brk(end: Pointer) -> c_int, else -1;
    14 sbrk(increment: libc::intptr_t) -> Pointer, else usize::MAX as Pointer;
    15 dlclose(handle: Pointer) -> c_int, else -1;
}

unsafe extern "C" {
    fn dlsym(handle: Pointer, name: *const c_char) -> Pointer;
    fn dlerror() -> *mut c_char;
}

/// A block that cannot be released yet stays.
#[inline(always)]
fn leak() {}

/// Finds the real functions. Must be done before any is called in earnest; doing it twice is harmless.
pub fn resolve() {
    let mut all_there = true;
    for (name, slot) in NAMES.iter().zip(&TABLE) {
        // SAFETY: `name` ends with NUL.
        let address = unsafe { dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) };
        slot.store(address as usize, Ordering::Release);
        all_there &= !address.is_null();
    }
    // Only if there is one: `dlerror` translates it under a lock of the C library, inside of which our caller may be
    // (see `interpreter_symbols`). glibc has them all since 2.26.
    if !all_there {
        forget_errors();
    }
    // A preloaded allocator may look its own next functions up at its first call. Let it do so now: later the dynamic
    // linker may hold the text of an error, which it releases at the next look-up, which would then never end.
    // SAFETY: releasing null does nothing else.
    unsafe { free(core::ptr::null_mut()) };
}

/// Forgets the errors of looking up what is not there: the program must not find them, nor a preloaded allocator be
/// called to release their texts when it looks something up itself.
fn forget_errors() {
    for _ in 0..2 {
        // SAFETY: no precondition. The first call hands the error over, the second releases its text.
        unsafe { dlerror() };
    }
}

/// Blocks for those who allocate while the real functions are being looked up: the dynamic linker itself.
pub mod bootstrap {
    use super::Pointer;
    use core::cell::UnsafeCell;
    use core::sync::atomic::{AtomicUsize, Ordering};

    const BYTES: usize = 64 * 1024;

    #[repr(align(4096))]
    struct Area(UnsafeCell<[u8; BYTES]>);
    // SAFETY: `take` hands each byte out once, and its receiver alone uses it.
    unsafe impl Sync for Area {}

    static AREA: Area = Area(UnsafeCell::new([0; BYTES]));
    static USED: AtomicUsize = AtomicUsize::new(0);

    /// A zeroed block with its size in the word before; null when the area is used up.
    #[cold]
    #[inline(never)]
    pub fn take(size: usize, alignment: usize) -> Pointer {
        let alignment = alignment.max(16);
        let need = size.saturating_add(alignment + 16);
        let Ok(from) = USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(need).filter(|end| *end <= BYTES)
        }) else {
            return core::ptr::null_mut();
        };
        let start = AREA.0.get() as usize;
        let block = (start + from + 16).next_multiple_of(alignment);
        // SAFETY: `from..from + need` is this call's alone, and the word before `block` lies in it.
        unsafe { ((block - 16) as *mut usize).write(size) };
        block as Pointer
    }

    /// Whether the block came from here: it must never reach the real `free` or `realloc`.
    #[inline(always)]
    pub fn owns(block: Pointer) -> bool {
        (block as usize).wrapping_sub(AREA.0.get() as usize) < BYTES
    }

    /// Size of a block that came from here.
    pub fn size(block: Pointer) -> usize {
        // SAFETY: `take` wrote it there; the caller has asked `owns`.
        unsafe { ((block as usize - 16) as *const usize).read() }
    }

    /// A larger copy of a block that came from here.
    #[cold]
    #[inline(never)]
    pub fn take_again(old: Pointer, wanted: usize) -> Pointer {
        let fresh = take(wanted, 16);
        if !fresh.is_null() && owns(old) {
            // SAFETY: `old` has `size(old)` bytes and `fresh` has `wanted`; they do not overlap.
            unsafe { core::ptr::copy_nonoverlapping(old.cast::<u8>(), fresh.cast::<u8>(), size(old).min(wanted)) };
        }
        fresh
    }
}
