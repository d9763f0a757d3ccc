//! The guest: what runs inside the traced program.
//!
//! Rules, because this code runs in somebody else's process, inside its allocator:
//!
//! 1. Never allocate from the program's heap, never call what might. Own memory comes from [`sys`] by `mmap`.
//! 2. Never take a lock in a hook that another thread could hold while it allocates. The only locks are spins around a
//!    few instructions, when a thread is claimed or a module is first seen.
//! 3. Leave `errno`, signals, file descriptors and the environment as they were. System calls go through
//!    [`arch::syscall`], which does not touch `errno`.
//! 4. Never panic: a panic here is the death of the guest's host. What cannot be recorded is counted as lost.
//! 5. Everything read from Python's structures is borrowed for the length of a hook; nothing there is written, but for
//!    one function pointer of the type of code objects ([`python::codes`]). The one exception is a census
//!    ([`python::census`]), which the interpreter itself calls, at a place where its functions may be used.
//!
//! The way of an event: [`exports`] (the C symbol) → [`hooks`] (what it means, in which order) → [`events`] (stack and
//! record) → [`ring`] (shared memory). Beside it: [`thread`] and [`process`] (who writes), [`stacks`], [`python`] and
//! [`native`] (whose memory it is), [`real`] (the functions that are replaced), [`mark`] (what a program may call itself).
#![no_std]

mod arch;
mod events;
mod exports;
mod hooks;
mod interpreter_symbols;
mod mark;
mod memory;
mod native;
mod process;
mod python;
mod real;
mod ring;
mod stacks;
mod sys;
mod thread;

/// Only our own bugs come here (an index out of range); the message would need what may not be used.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::die()
}
