//! aarch64, AAPCS64.

use core::arch::{asm, global_asm};
use core::sync::atomic::Ordering;

// See x86_64.rs: initial-exec TLS, which never allocates.
global_asm!(
    ".section .tbss.heaptide_thread,\"awT\",@nobits",
    ".globl heaptide_thread",
    ".hidden heaptide_thread",
    ".type heaptide_thread,@object",
    ".size heaptide_thread,8",
    ".p2align 3",
    "heaptide_thread:",
    ".zero 8",
    ".text",
);

#[inline(always)]
fn thread_slot() -> *mut usize {
    let slot: *mut usize;
    // SAFETY: the GOT holds the offset of `heaptide_thread` from the thread pointer.
    unsafe {
        asm!(
            "mrs {0}, tpidr_el0",
            "adrp {1}, :gottprel:heaptide_thread",
            "ldr {1}, [{1}, :gottprel_lo12:heaptide_thread]",
            "add {0}, {0}, {1}",
            out(reg) slot,
            out(reg) _,
            options(nostack, preserves_flags, readonly)
        );
    }
    slot
}

/// The calling thread's word; 0 in a new thread.
#[inline(always)]
pub fn thread_word() -> usize {
    // SAFETY: `thread_slot` is this thread's own, live as long as the thread.
    unsafe { thread_slot().read() }
}

/// Sets the calling thread's word.
#[inline(always)]
pub fn set_thread_word(value: usize) {
    // SAFETY: as for `thread_word`; only this thread reads and writes its word.
    unsafe { thread_slot().write(value) }
}

/// A system call. Returns what the kernel does: errors are `-errno`, and the C library's `errno` stays as it is.
///
/// # Safety
/// As for that system call with these arguments.
#[inline]
pub unsafe fn syscall(number: i64, arguments: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps all registers but x0; what the call does is our caller's promise.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") arguments[0] => result,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            in("x5") arguments[5],
            options(nostack)
        );
    }
    result
}

// The virtual counter of many aarch64 machines ticks at 25 MHz: two threads would often read the same. One shared
// counter costs a cache line that moves between cores, but orders every pair.
fn stamp() -> u64 {
    crate::process::control().stamps.fetch_add(1, Ordering::SeqCst)
}

/// Stamp for what happens after it in program order (a release).
#[inline(always)]
pub fn stamp_before() -> u64 {
    stamp()
}

/// Stamp for what happened before it in program order (an allocation).
#[inline(always)]
pub fn stamp_after() -> u64 {
    stamp()
}

/// Hides from the compiler where a value came from, so that it cannot replace it by another one known to be equal.
#[inline(always)]
pub fn opaque(mut value: usize) -> usize {
    // Not `pure`: it must stay where it stands, before a comparison that would make the two values one.
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Defines an exported function that hands its caller's return address to `$target` as one more argument, in the
/// register named: the caller is the innermost native frame.
#[macro_export]
macro_rules! export_with_caller {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $target:path, $x86_64:literal, $register:literal) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            core::arch::naked_asm!(concat!("mov ", $register, ", x30"), "b {target}", target = sym $target)
        }
    };
}

/// The same for a function of six arguments: the seventh register is free here.
#[macro_export]
macro_rules! export_six_with_caller {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $target:path) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            core::arch::naked_asm!("mov x6, x30", "b {target}", target = sym $target)
        }
    };
}

/// System call numbers.
pub mod number {
    #![allow(missing_docs, reason = "each is the call of that name")]
    pub const READ: i64 = 63;
    pub const WRITE: i64 = 64;
    pub const CLOSE: i64 = 57;
    pub const MMAP: i64 = 222;
    pub const MUNMAP: i64 = 215;
    pub const MADVISE: i64 = 233;
    pub const GETPID: i64 = 172;
    pub const GETTID: i64 = 178;
    pub const FUTEX: i64 = 98;
    pub const OPENAT: i64 = 56;
    pub const PRCTL: i64 = 167;
    pub const PROCESS_VM_READV: i64 = 270;
    pub const READLINKAT: i64 = 78;
    pub const CLOCK_GETTIME: i64 = 113;
    pub const EXIT_GROUP: i64 = 94;
    pub const SCHED_YIELD: i64 = 124;
    pub const RT_SIGPROCMASK: i64 = 135;
}
