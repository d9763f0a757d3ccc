//! What a call means, and in which order it is recorded. Every hook of a kind goes through the same function here.
//!
//! The order, which makes the merged events of several threads right for every address:
//!
//! - An allocation is recorded after the real call: before it returns, no other thread can know the address.
//! - A release is recorded before the real call: afterwards another thread may be given the same address, and its
//!   allocation must come later.
//! - A reallocation is both, so it is recorded on both sides: what it releases before, what it gives after. If it
//!   fails, the second record says so and the old block is alive as if nothing had happened.

use crate::arch::Caller;
use crate::events;
use crate::process;
use crate::python::{allocators, domains};
use crate::real::{self, bootstrap};
use crate::thread;
use core::ffi::{c_int, c_void};
use heaptide_format::allocator::Allocator;
use heaptide_format::wire::Reallocator;

/// A call that gives a block of `size` bytes, or null.
#[inline(always)]
pub fn allocate(allocator: Allocator, size: usize, caller: Caller, real: impl FnOnce() -> *mut c_void) -> *mut c_void {
    let Some(mut guard) = thread::enter() else { return real() };
    events::expect(&guard, caller);
    let block = real();
    if !block.is_null() {
        events::allocated(&mut guard, allocator, block as usize, size, caller);
    }
    block
}

/// A call that releases a block. Null is no block.
#[inline(always)]
pub fn release(block: *mut c_void, real: impl FnOnce()) {
    if block.is_null() {
        // Not even a guard: the C library frees null pointers after a thread has given its ring back, and that must not
        // claim another.
        return real();
    }
    // Held to the end: what the allocator unmaps in here is not the program's.
    let Some(mut guard) = thread::enter() else {
        let _within = domains::release_within(block as usize);
        return real();
    };
    events::releasing(&mut guard, block as usize);
    real();
}

/// A call that reallocates. A null `old` makes it an allocation; a `size` of zero may release the block and give null.
#[inline(always)]
pub fn reallocate(
    reallocator: Reallocator,
    old: *mut c_void,
    size: usize,
    caller: Caller,
    real: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    if old.is_null() {
        return allocate(reallocator.allocator(), size, caller, real);
    }
    let Some(mut guard) = thread::enter() else { return real() };
    events::reallocating(&mut guard, old as usize);
    let block = real();
    if block.is_null() && size != 0 {
        events::reallocation_failed(&mut guard, reallocator);
    } else {
        events::reallocated(&mut guard, reallocator, block as usize, size, caller);
    }
    block
}

/// `malloc` and the like, with the caller's return address.
pub unsafe extern "C" fn malloc(size: usize, caller: Caller) -> *mut c_void {
    // SAFETY: malloc takes any size.
    allocate(Allocator::Malloc, size, caller, || unsafe { real::malloc(size) })
}

/// See [`malloc`].
pub unsafe extern "C" fn calloc(count: usize, size: usize, caller: Caller) -> *mut c_void {
    // A product that overflows makes the real call fail, and nothing is recorded.
    // SAFETY: calloc takes any two numbers.
    allocate(Allocator::Calloc, count.wrapping_mul(size), caller, || unsafe { real::calloc(count, size) })
}

/// See [`malloc`].
///
/// # Safety
/// As for realloc(3).
pub unsafe extern "C" fn realloc(old: *mut c_void, size: usize, caller: Caller) -> *mut c_void {
    if bootstrap::owns(old) {
        return leave_bootstrap(old, size, caller);
    }
    // SAFETY: passed on unchanged, so our caller's promise is the one realloc needs.
    reallocate(Reallocator::Realloc, old, size, caller, || unsafe { real::realloc(old, size) })
}

/// See [`malloc`].
///
/// # Safety
/// As for reallocarray(3).
pub unsafe extern "C" fn reallocarray(old: *mut c_void, count: usize, size: usize, caller: Caller) -> *mut c_void {
    let bytes = count.wrapping_mul(size);
    if bootstrap::owns(old) {
        return leave_bootstrap(old, bytes, caller);
    }
    // SAFETY: passed on unchanged.
    reallocate(Reallocator::ReallocArray, old, bytes, caller, || unsafe { real::reallocarray(old, count, size) })
}

/// A block from the time before the real functions were known moves to the real heap.
#[cold]
fn leave_bootstrap(old: *mut c_void, size: usize, caller: Caller) -> *mut c_void {
    // SAFETY: malloc takes any size.
    let fresh = unsafe { malloc(size, caller) };
    if !fresh.is_null() {
        // SAFETY: both are at least this long, and apart.
        unsafe { core::ptr::copy_nonoverlapping(old.cast::<u8>(), fresh.cast(), bootstrap::size(old).min(size)) };
    }
    fresh
}

/// `free`, `free_sized`, `free_aligned_sized`.
///
/// # Safety
/// As for free(3).
#[inline(always)]
pub unsafe fn free(block: *mut c_void) {
    if bootstrap::owns(block) {
        return;
    }
    // SAFETY: passed on unchanged, so our caller's promise is the one free needs.
    release(block, || unsafe { real::free(block) });
}

/// See [`malloc`].
///
/// # Safety
/// As for posix_memalign(3).
pub unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize, caller: Caller) -> c_int {
    let guard = thread::enter();
    // SAFETY: passed on unchanged.
    let result = unsafe { real::posix_memalign(out, alignment, size) };
    if let (Some(mut guard), 0) = (guard, result) {
        // SAFETY: the call has succeeded, so it has written the block's address there.
        let block = unsafe { out.read() };
        if !block.is_null() {
            events::allocated(&mut guard, Allocator::PosixMemalign, block as usize, size, caller);
        }
    }
    result
}

/// See [`malloc`].
pub unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize, caller: Caller) -> *mut c_void {
    // SAFETY: takes any two numbers.
    allocate(Allocator::AlignedAlloc, size, caller, || unsafe { real::aligned_alloc(alignment, size) })
}

/// See [`malloc`].
pub unsafe extern "C" fn memalign(alignment: usize, size: usize, caller: Caller) -> *mut c_void {
    // SAFETY: takes any two numbers.
    allocate(Allocator::Memalign, size, caller, || unsafe { real::memalign(alignment, size) })
}

/// See [`malloc`].
pub unsafe extern "C" fn valloc(size: usize, caller: Caller) -> *mut c_void {
    // SAFETY: takes any size.
    allocate(Allocator::Valloc, size, caller, || unsafe { real::valloc(size) })
}

/// See [`malloc`].
pub unsafe extern "C" fn pvalloc(size: usize, caller: Caller) -> *mut c_void {
    // SAFETY: takes any size.
    allocate(Allocator::Pvalloc, size, caller, || unsafe { real::pvalloc(size) })
}

const PAGE: usize = 4096;

/// What the kernel makes of a length; one that has no whole pages above it makes the call fail.
fn whole_pages(length: usize) -> usize {
    length.checked_next_multiple_of(PAGE).unwrap_or(0)
}

/// Whether a mapping like this may be an arena of the interpreter's allocators: pymalloc's have 256 KiB up to 3.9 and
/// 1 MiB from 3.10 on, those of its mimalloc (3.13) 1 GiB and no swap space set aside. `mmap.mmap` shares, they do not.
fn like_an_arena(length: usize, flags: c_int) -> bool {
    flags & libc::MAP_ANONYMOUS != 0
        && flags & libc::MAP_SHARED == 0
        && (length == 256 << 10 || length == 1 << 20 || (length == 1 << 30 && flags & libc::MAP_NORESERVE != 0))
}

/// See [`malloc`].
///
/// # Safety
/// As for mmap(2).
pub unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: libc::off_t,
    caller: Caller,
) -> *mut c_void {
    let mut guard = thread::enter();
    let anonymous = flags & libc::MAP_ANONYMOUS != 0;
    if guard.is_some() && like_an_arena(length, flags) && allocators::is_arena(caller) {
        // Its blocks are recorded one by one.
        allocators::install();
        guard = None;
    }
    if let (Some(guard), true) = (&mut guard, flags & libc::MAP_FIXED != 0) {
        // It replaces whatever lies there.
        events::unmapping(guard, address as usize, whole_pages(length));
    }
    // SAFETY: passed on unchanged.
    let block = unsafe { real::mmap(address, length, protection, flags, file, offset) };
    if let (Some(mut guard), true) = (guard, block != libc::MAP_FAILED) {
        let allocator = match () {
            () if !anonymous => Allocator::MmapFile,
            () if flags & (libc::MAP_STACK | libc::MAP_GROWSDOWN) != 0 => Allocator::MmapStack,
            () if protection == libc::PROT_NONE => Allocator::MmapReserved,
            () => Allocator::Mmap,
        };
        events::allocated(&mut guard, allocator, block as usize, length, caller);
    }
    block
}

/// `dlclose`: another library may come to lie where the closed one was.
///
/// # Safety
/// As for dlclose(3).
pub unsafe fn dlclose(handle: *mut c_void) -> c_int {
    // SAFETY: passed on unchanged.
    let result = unsafe { real::dlclose(handle) };
    // The table of modules takes no lock that the loader could hold, and allocates nothing.
    if let Some(state) = process::state() {
        state.modules.look_again();
    }
    result
}

/// `munmap`.
///
/// # Safety
/// As for munmap(2).
pub unsafe fn munmap(address: *mut c_void, length: usize) -> c_int {
    let mut guard = thread::enter();
    // An invalid call changes nothing; the kernel refuses these two.
    if let (Some(guard), true) = (&mut guard, (address as usize).is_multiple_of(PAGE) && length != 0) {
        events::unmapping(guard, address as usize, whole_pages(length));
    }
    // SAFETY: passed on unchanged.
    unsafe { real::munmap(address, length) }
}

/// See [`malloc`].
///
/// # Safety
/// As for mremap(2).
pub unsafe extern "C" fn mremap(
    old: *mut c_void,
    old_length: usize,
    length: usize,
    flags: c_int,
    fixed: *mut c_void,
    caller: Caller,
) -> *mut c_void {
    let mut guard = thread::enter();
    if let Some(guard) = &mut guard {
        if flags & libc::MREMAP_FIXED != 0 {
            events::unmapping(guard, fixed as usize, whole_pages(length));
        }
        events::remapping(guard, old as usize, whole_pages(old_length));
    }
    // SAFETY: passed on unchanged.
    let block = unsafe { real::mremap(old, old_length, length, flags, fixed) };
    if let Some(mut guard) = guard {
        if block == libc::MAP_FAILED {
            events::reallocation_failed(&mut guard, Reallocator::Mremap);
        } else {
            events::reallocated(&mut guard, Reallocator::Mremap, block as usize, length, caller);
        }
    }
    block
}

/// See [`malloc`]. The C library's own growing of its heap does not come through here.
///
/// # Safety
/// As for brk(2).
pub unsafe extern "C" fn brk(end: *mut c_void, caller: Caller) -> c_int {
    // SAFETY: asks where the end is.
    let before = unsafe { real::sbrk(0) } as usize;
    move_break(before, end as usize, caller, || {
        // SAFETY: passed on unchanged.
        let result = unsafe { real::brk(end) };
        (result, result == 0)
    })
}

/// See [`brk`].
///
/// # Safety
/// As for sbrk(2).
pub unsafe extern "C" fn sbrk(increment: libc::intptr_t, caller: Caller) -> *mut c_void {
    // SAFETY: asks where the end is.
    let before = unsafe { real::sbrk(0) } as usize;
    move_break(before, before.wrapping_add_signed(increment), caller, || {
        // SAFETY: passed on unchanged.
        let result = unsafe { real::sbrk(increment) };
        (result, result as usize != usize::MAX)
    })
}

fn move_break<R>(before: usize, after: usize, caller: Caller, real: impl FnOnce() -> (R, bool)) -> R {
    let mut guard = thread::enter();
    if let (Some(guard), true) = (&mut guard, after < before) {
        events::unmapping(guard, after, before - after);
    }
    let (result, moved) = real();
    if let (Some(mut guard), true) = (guard, moved && after > before) {
        events::allocated(&mut guard, Allocator::Brk, before, after - before, caller);
    }
    result
}
