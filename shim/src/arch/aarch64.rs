//! aarch64, AAPCS64.

use super::Registers;
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

/// A stamp: later than every one that another thread took before what this thread has seen of it, earlier than every one
/// that another thread takes after it has seen what this thread does next.
///
/// The virtual counter of many aarch64 machines ticks at 25 MHz: two threads would often read the same. One shared counter
/// costs a cache line that moves between cores, but orders every pair.
#[inline(always)]
pub fn stamp() -> u64 {
    crate::process::control().stamps.fetch_add(1, Ordering::SeqCst)
}

/// Has the memory at this address fetched.
#[inline(always)]
pub fn prefetch(address: usize) {
    // SAFETY: a hint that never faults.
    unsafe { asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly)) };
}

/// Hides from the compiler where a value came from, so that it cannot replace it by another one known to be equal.
#[inline(always)]
pub fn opaque(mut value: usize) -> usize {
    // Not `pure`: it must stay where it stands, before a comparison that would make the two values one.
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Who called a hook: the return address; 0 if it is not known.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Caller(usize);

impl Caller {
    /// Not known.
    pub const NONE: Self = Self(0);

    /// The return address; 0 if it is not known.
    #[inline(always)]
    pub fn return_address(self) -> usize {
        plain_address(self.0)
    }

    /// Where the return address lies: it came in a register, so that only the shim's own functions tell.
    #[inline(always)]
    pub fn slot(self) -> Option<usize> {
        None
    }
}

/// DWARF's numbers of the registers that functions preserve, the frame pointer first (AAPCS64): x29, x19 to x28.
pub const SAVED: [u16; 11] = [29, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28];
/// DWARF's number of the stack pointer.
pub const STACK_REGISTER: u16 = 31;
/// DWARF's number of the register with the return address.
pub const RETURN_REGISTER: u16 = 30;

/// Where the registers of [`SAVED`] are, from the stack pointer in the kernel's signal trampoline: in `struct rt_sigframe`
/// (128 bytes of siginfo, `uc_mcontext` 176 bytes into `struct ucontext`, its registers after the fault address).
pub const SIGNAL_SAVED: [usize; 11] = [544, 464, 472, 480, 488, 496, 504, 512, 520, 528, 536];
/// There: the stack pointer.
pub const SIGNAL_STACK_POINTER: usize = 560;
/// There: the interrupted instruction.
pub const SIGNAL_PC: usize = 568;
/// There: the register of return addresses.
pub const SIGNAL_LINK: usize = 552;

/// The registers here, in the function that this is inlined into.
#[inline(always)]
pub fn registers() -> Registers {
    let mut words = [0usize; 14];
    // SAFETY: writes the fourteen words and nothing else.
    unsafe {
        asm!(
            "stp x29, x19, [{words}]",
            "stp x20, x21, [{words}, #16]",
            "stp x22, x23, [{words}, #32]",
            "stp x24, x25, [{words}, #48]",
            "stp x26, x27, [{words}, #64]",
            "stp x28, x30, [{words}, #80]",
            "mov {scratch}, sp",
            "str {scratch}, [{words}, #96]",
            "adr {scratch}, .",
            "str {scratch}, [{words}, #104]",
            words = in(reg) words.as_mut_ptr(),
            scratch = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
    let [saved @ .., link, stack_pointer, pc] = words;
    Registers { pc, stack_pointer, link: plain_address(link), saved, interrupted: true, is_whole: false }
}

/// Bytes of a jump.
pub const JUMP_BYTES: usize = 4;

/// Bytes from the stack pointer to the canonical frame address in a function's first instruction.
pub const OFFSET_AT_ENTRY: i32 = 0;

/// Where the jump at this address leads, if there is a jump, conditional or not, that may leave a function.
///
/// # Safety
/// So many bytes as [`JUMP_BYTES`] can be read there.
pub unsafe fn jump_target(address: usize) -> Option<usize> {
    if !address.is_multiple_of(JUMP_BYTES) {
        return None;
    }
    // SAFETY: the caller's promise.
    let instruction = unsafe { (address as *const u32).read() };
    let distance = match instruction >> 26 {
        // `b`: 26 bits of words.
        0b00_0101 => (instruction << 6) as i32 >> 4,
        // `b.cond`: 19 bits from bit 5 on.
        0b01_0101 if instruction >> 24 == 0x54 => (instruction << 8) as i32 >> 13 << 2,
        _ => return None,
    };
    Some(address.wrapping_add_signed(distance as isize))
}

/// Whether the instruction in front of this address, which lies in code that is mapped from `start` on, is a call.
pub fn is_behind_call(address: usize, start: usize) -> bool {
    if address - start < 4 {
        return false;
    }
    // SAFETY: in the mapping that begins at `start` and in which the address lies.
    let instruction = unsafe { ((address - 4) as *const u32).read_unaligned() };
    // `bl`; `blr` with and without authentication.
    instruction >> 26 == 0b10_0101 || instruction & 0xFEFF_F000 == 0xD63F_0000
}

/// Bytes of what a signal handler returns to.
pub const SIGNAL_RETURN_BYTES: usize = 8;

/// Whether the kernel's call to return from a signal handler stands at this address: `mov x8, #139; svc #0`.
///
/// # Safety
/// So many bytes as [`SIGNAL_RETURN_BYTES`] can be read there.
pub unsafe fn is_signal_return(address: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (address as *const [u32; 2]).read_unaligned() == [0xD280_1168, 0xD400_0001] }
}

/// A return address as an address of code: without the signature that pointer authentication puts into its upper bits
/// (user addresses have at most 48 bits with the page sizes in use).
#[inline(always)]
pub fn plain_address(address: usize) -> usize {
    address & 0x0000_FFFF_FFFF_FFFF
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
            core::arch::naked_asm!(
                // For stacks of signal handlers that interrupt it.
                ".cfi_startproc",
                concat!("mov ", $register, ", x30"),
                "b {target}",
                ".cfi_endproc",
                target = sym $target
            )
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
            core::arch::naked_asm!(
                ".cfi_startproc",
                "mov x6, x30",
                "b {target}",
                ".cfi_endproc",
                target = sym $target
            )
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
    pub const MREMAP: i64 = 216;
    pub const LSEEK: i64 = 62;
    pub const MADVISE: i64 = 233;
    pub const GETPID: i64 = 172;
    pub const GETPPID: i64 = 173;
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
