//! The symbols that take the place of the C library's. No logic: each hands on to [`crate::hooks`], with its caller's
//! return address where a stack may be wanted.

use crate::hooks;
use crate::{export_six_with_caller, export_with_caller};
use core::ffi::{c_int, c_void};

export_with_caller! {
    /// malloc(3)
    fn malloc(size: usize) -> *mut c_void = hooks::malloc, "rsi", "x1"
}
export_with_caller! {
    /// calloc(3)
    fn calloc(count: usize, size: usize) -> *mut c_void = hooks::calloc, "rdx", "x2"
}
export_with_caller! {
    /// realloc(3)
    fn realloc(old: *mut c_void, size: usize) -> *mut c_void = hooks::realloc, "rdx", "x2"
}
export_with_caller! {
    /// reallocarray(3)
    fn reallocarray(old: *mut c_void, count: usize, size: usize) -> *mut c_void = hooks::reallocarray, "rcx", "x3"
}
export_with_caller! {
    /// posix_memalign(3)
    fn posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int = hooks::posix_memalign, "rcx", "x3"
}
export_with_caller! {
    /// aligned_alloc(3)
    fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void = hooks::aligned_alloc, "rdx", "x2"
}
export_with_caller! {
    /// memalign(3)
    fn memalign(alignment: usize, size: usize) -> *mut c_void = hooks::memalign, "rdx", "x2"
}
export_with_caller! {
    /// valloc(3)
    fn valloc(size: usize) -> *mut c_void = hooks::valloc, "rsi", "x1"
}
export_with_caller! {
    /// pvalloc(3)
    fn pvalloc(size: usize) -> *mut c_void = hooks::pvalloc, "rsi", "x1"
}
export_six_with_caller! {
    /// mmap(2)
    fn mmap(address: *mut c_void, length: usize, protection: c_int, flags: c_int, file: c_int, offset: libc::off_t) -> *mut c_void = hooks::mmap
}
export_six_with_caller! {
    /// mmap(2), the name for 64-bit offsets
    fn mmap64(address: *mut c_void, length: usize, protection: c_int, flags: c_int, file: c_int, offset: libc::off_t) -> *mut c_void = hooks::mmap
}
export_with_caller! {
    /// mremap(2); its variable argument, if there is one, is in the register of the fifth
    fn mremap(old: *mut c_void, old_length: usize, length: usize, flags: c_int, fixed: *mut c_void) -> *mut c_void = hooks::mremap, "r9", "x5"
}
export_with_caller! {
    /// brk(2)
    fn brk(end: *mut c_void) -> c_int = hooks::brk, "rsi", "x1"
}
export_with_caller! {
    /// sbrk(2)
    fn sbrk(increment: libc::intptr_t) -> *mut c_void = hooks::sbrk, "rsi", "x1"
}

/// free(3)
///
/// # Safety
/// `block` is null or a live block of the underlying allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: passed on unchanged, so our caller's promise is the one that is needed.
    unsafe { hooks::free(block) }
}

/// free_sized of C23
///
/// # Safety
/// As for [`free`]; `size` is the size asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: *mut c_void, _size: usize) {
    // SAFETY: a promise stronger than free's.
    unsafe { hooks::free(block) }
}

/// free_aligned_sized of C23
///
/// # Safety
/// As for [`free`]; `alignment` and `size` are those asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: *mut c_void, _alignment: usize, _size: usize) {
    // SAFETY: a promise stronger than free's.
    unsafe { hooks::free(block) }
}

/// dlclose(3)
///
/// # Safety
/// As for dlclose(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    // SAFETY: passed on unchanged.
    unsafe { hooks::dlclose(handle) }
}

/// munmap(2)
///
/// # Safety
/// As for munmap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: *mut c_void, length: usize) -> c_int {
    // SAFETY: passed on unchanged.
    unsafe { hooks::munmap(address, length) }
}
