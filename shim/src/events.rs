//! Records of events: the stack at the event, then the words in the ring.
//!
//! Every function takes the guard: without it nothing can be recorded. Order is the hooks' business.

use crate::arch::{self, Caller};
use crate::native;
use crate::python;
use crate::stacks::Node;
use crate::thread::{Guard, Thread};
use core::sync::atomic::Ordering;
use heaptide_format::allocator::Allocator;
use heaptide_format::wire::{BlobKind, FAILED, RANGE, Reallocator, STAMPED, WIDE, definition, kind, word0};

/// An allocation is going to be recorded: what that will need is fetched while the allocator works.
#[inline(always)]
pub fn expect(guard: &Guard, caller: Caller) {
    if native::is_wanted() {
        guard.unwinder.prefetch(caller);
    }
}

/// A block has come to life. `caller` is that of the allocating function.
#[inline(always)]
pub fn allocated(guard: &mut Guard, allocator: Allocator, address: usize, size: usize, caller: Caller) {
    let stack = stack(guard, caller);
    let kind = if guard.is_one_of_many() { kind::ALLOCATED_STAMPED } else { kind::ALLOCATED };
    let word = word0(kind, u64::from(allocator.number()), address as u64);
    put_block(guard, word, size, stack, kind == kind::ALLOCATED_STAMPED);
}

/// A block is about to be released.
#[inline(always)]
pub fn releasing(guard: &mut Guard, address: usize) {
    while python::begins_to_finalize() {
        finalizing(guard);
    }
    let written = if guard.is_one_of_many() {
        let stamp = arch::stamp();
        guard.ring.put([word0(kind::FREED_STAMPED, 0, address as u64), stamp])
    } else {
        guard.ring.put([word0(kind::FREED, 0, address as u64)])
    };
    count(guard, written);
}

#[cold]
#[inline(never)]
fn finalizing(guard: &mut Guard) {
    guard.ring.put([word0(kind::DEFINITION, definition::FINALIZING, 0), 0]);
}

/// The program sets a mark. No event: the record's own stamp puts it between those of all threads.
#[cold]
#[inline(never)]
pub fn mark(guard: &mut Guard, name: &[u8]) {
    // If the name cannot be written, tracing has ended, and with it all marks.
    if guard.ring.put_blob(BlobKind::Mark, &[name]) {
        let stamp = arch::stamp();
        guard.ring.put([word0(kind::DEFINITION, definition::MARK, 0), stamp]);
    }
}

/// A block is about to be reallocated.
#[inline(always)]
pub fn reallocating(guard: &mut Guard, old: usize) {
    let address = old as u64;
    let written = if guard.is_one_of_many() {
        let stamp = arch::stamp();
        guard.ring.put([word0(kind::REALLOC_BEGIN, STAMPED, address), stamp])
    } else {
        guard.ring.put([word0(kind::REALLOC_BEGIN, 0, address)])
    };
    lose_unless(guard, written);
}

/// A range is about to be remapped.
pub fn remapping(guard: &mut Guard, old: usize, length: usize) {
    let stamp = arch::stamp();
    let word = word0(kind::REALLOC_BEGIN, STAMPED | RANGE, old as u64);
    let written = guard.ring.put([word, length as u64, stamp]);
    lose_unless(guard, written);
}

/// A reallocation has ended: with a block at `address`, or (0) as a release.
#[inline(always)]
pub fn reallocated(guard: &mut Guard, reallocator: Reallocator, address: usize, size: usize, caller: Caller) {
    let stack = stack(guard, caller);
    let stamped = guard.is_one_of_many();
    let sub = (reallocator as u64) << 2 | if stamped { STAMPED } else { 0 };
    put_block(guard, word0(kind::REALLOC_END, sub, address as u64), size, stack, stamped);
}

/// A reallocation has failed: the old block lives on.
#[cold]
pub fn reallocation_failed(guard: &mut Guard, reallocator: Reallocator) {
    let stamp = arch::stamp();
    let sub = (reallocator as u64) << 2 | STAMPED | FAILED;
    let written = guard.ring.put([word0(kind::REALLOC_END, sub, 0), 0, stamp]);
    // Nothing has happened: no event.
    lose_unless(guard, written);
}

/// A range is about to be unmapped.
pub fn unmapping(guard: &mut Guard, address: usize, length: usize) {
    let stamp = arch::stamp();
    let written = guard.ring.put([word0(kind::UNMAPPED, STAMPED, address as u64), length as u64, stamp]);
    count(guard, written);
}

#[inline(always)]
fn put_block(guard: &mut Guard, word: u64, size: usize, stack: Node, stamped: bool) {
    let stack = u64::from(stack) << 32;
    let size = size as u64;
    let ring = &mut guard.ring;
    let written = if size < u64::from(WIDE) {
        if stamped { ring.put([word, stack | size, arch::stamp()]) } else { ring.put([word, stack | size]) }
    } else {
        let wide = stack | u64::from(WIDE);
        if stamped { ring.put([word, wide, size, arch::stamp()]) } else { ring.put([word, wide, size]) }
    };
    count(guard, written);
}

/// After so many events something is looked at that changes seldom.
const NOW_AND_THEN: u64 = 1024;

#[inline(always)]
fn count(guard: &mut Guard, written: bool) {
    if written {
        let events = &guard.ring.header().events;
        // Only this thread writes it: no need for an atomic addition. Released, so that whoever sees the number sees that
        // so many were published.
        let number = events.load(Ordering::Relaxed) + 1;
        events.store(number, Ordering::Release);
        if number.is_multiple_of(NOW_AND_THEN) {
            python::look_now_and_then();
        }
    } else {
        lose(guard);
    }
}

#[inline(always)]
fn lose_unless(guard: &mut Guard, written: bool) {
    if !written {
        lose(guard);
    }
}

#[cold]
fn lose(guard: &mut Guard) {
    guard.ring.header().lost.fetch_add(1, Ordering::Relaxed);
}

/// The stack to file an event under: the Python one if there is one, else the native caller; with `--native` both, whole.
#[inline(always)]
fn stack(thread: &mut Thread, caller: Caller) -> Node {
    if native::is_wanted() {
        return whole_stack(thread, caller);
    }
    if python::is_present() {
        let node = python_stack(thread);
        if node != 0 {
            return node;
        }
    }
    native_caller(thread, caller)
}

// A function of its own, so that hooks in programs without Python save no registers for it.
#[inline(never)]
fn python_stack(thread: &mut Thread) -> Node {
    let Some((state, offsets)) = python::current() else { return 0 };
    if python::needs_attention() {
        python::attend(thread.process(), state);
    }
    thread.chain.read(&mut thread.stacks, &mut thread.ring, state, offsets)
}

#[inline(always)]
fn native_caller(thread: &mut Thread, caller: Caller) -> Node {
    let address = caller.return_address() as u64;
    if address == 0 {
        thread.ring.header().bare.fetch_add(1, Ordering::Relaxed);
        return 0;
    }
    thread.stacks.native_alone(&mut thread.ring, address)
}

#[inline(never)]
fn whole_stack(thread: &mut Thread, caller: Caller) -> Node {
    let native = thread.unwinder.read(&mut thread.stacks, &mut thread.ring, caller);
    if !python::is_present() {
        return native;
    }
    let python = python_stack(thread);
    if python == 0 {
        return native;
    }
    match thread.stacks.known_pair(native, python) {
        Some(node) => node,
        None => define_pair(thread, caller, native, python),
    }
}

/// A native and a Python stack have met for the first time.
#[cold]
#[inline(never)]
fn define_pair(thread: &mut Thread, caller: Caller, mut native: Node, python: Node) -> Node {
    // Each call of the evaluation function runs the frames from one that was called from C on. Where fewer such calls are
    // seen than there must be, a part of the function is not known to be one.
    let entries = python::current().map_or(0, |(_, offsets)| thread.chain.entries(offsets));
    let missing = entries.saturating_sub(thread.unwinder.evaluations());
    if missing > 0 && thread.unwinder.learn_evaluation(missing) {
        native = thread.unwinder.read(&mut thread.stacks, &mut thread.ring, caller);
    }
    thread.stacks.define_pair(&mut thread.ring, native, python)
}
