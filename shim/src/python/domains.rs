//! What a call of one of Python's domains means, and in which order it is recorded: as in [`crate::hooks`], but for two
//! things.
//!
//! - A block is recorded under an address that need not be the program's ([`super::debug_hooks`]).
//! - The program can wrap the domains again, above us. pymalloc hands large blocks to the RAW domain, so such a wrapper
//!   is called from within a call that is recorded already. What it releases of its own then must be recorded
//!   (`tracemalloc` releases its note of the block with `free`), and the block itself must not be a second time. So the
//!   thread does not hold its guard while the wrapped domain releases or moves a block, but says which block that is.

use crate::arch::Caller;
use crate::events;
use crate::thread;
use core::ffi::c_void;
use heaptide_format::allocator::Allocator;
use heaptide_format::wire::Reallocator;

/// A call that gives a block of `size` bytes, or null.
#[inline(always)]
pub fn allocate(
    allocator: Allocator,
    size: usize,
    filed: impl FnOnce(*mut c_void) -> usize,
    real: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    let Some(mut guard) = thread::enter() else { return real() };
    let block = real();
    if !block.is_null() {
        events::allocated(&mut guard, allocator, filed(block), size, Caller::NONE);
    }
    block
}

/// A call that releases a block. Null is no block.
#[inline(always)]
pub fn release(block: *mut c_void, filed: impl FnOnce(*mut c_void) -> usize, real: impl FnOnce()) {
    if block.is_null() {
        return real();
    }
    let address = filed(block);
    let Some(mut guard) = thread::enter() else {
        let _within = release_within(address);
        return real();
    };
    events::releasing(&mut guard, address);
    let _serving = guard.serve(address);
    real();
}

/// A call that reallocates; zero bytes are a block too. A null `old` makes it an allocation.
#[inline(always)]
pub fn reallocate(
    reallocator: Reallocator,
    old: *mut c_void,
    size: usize,
    filed: impl Fn(*mut c_void) -> usize,
    real: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    if old.is_null() {
        return allocate(reallocator.allocator(), size, filed, real);
    }
    let Some(mut guard) = thread::enter() else { return real() };
    let address = filed(old);
    events::reallocating(&mut guard, address);
    let serving = guard.serve(address);
    let block = real();
    let mut guard = serving.end();
    if block.is_null() {
        events::reallocation_failed(&mut guard, reallocator);
    } else {
        events::reallocated(&mut guard, reallocator, filed(block), size, Caller::NONE);
    }
    block
}

/// A block is released by a thread that is in a hook. Recorded if that is a hook of a domain, and not for this block. To be
/// held until the block is released.
#[cold]
#[inline(never)]
pub fn release_within(address: usize) -> Option<thread::Within> {
    thread::within(address, |guard| events::releasing(guard, address))
}
