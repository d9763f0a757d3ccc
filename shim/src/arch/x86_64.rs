//! x86-64, System V.

use super::Registers;
use core::arch::{asm, global_asm};

// The one thread-local of the shim, in the initial-exec model: `thread_local!` in a shared object goes through
// __tls_get_addr, which may allocate. A preloaded library's TLS is part of the static block, so this always links.
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

/// The calling thread's word; 0 in a new thread.
#[inline(always)]
pub fn thread_word() -> usize {
    let value: usize;
    // SAFETY: the offset in the GOT is that of `heaptide_thread` above, which every thread's static TLS block holds.
    unsafe {
        asm!(
            "mov {0}, qword ptr [rip + heaptide_thread@GOTTPOFF]",
            "mov {0}, qword ptr fs:[{0}]",
            out(reg) value,
            options(nostack, preserves_flags, readonly)
        );
    }
    value
}

/// Sets the calling thread's word.
#[inline(always)]
pub fn set_thread_word(value: usize) {
    // SAFETY: as for `thread_word`; only this thread reads and writes its word.
    unsafe {
        asm!(
            "mov {0}, qword ptr [rip + heaptide_thread@GOTTPOFF]",
            "mov qword ptr fs:[{0}], {1}",
            out(reg) _,
            in(reg) value,
            options(nostack, preserves_flags)
        );
    }
}

/// A system call. Returns what the kernel does: errors are `-errno`, and the C library's `errno` stays as it is.
///
/// # Safety
/// As for that system call with these arguments.
#[inline]
pub unsafe fn syscall(number: i64, arguments: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11; what the call does is our caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// A stamp: later than every one that another thread took before what this thread has seen of it, earlier than every one
/// that another thread takes after it has seen what this thread does next.
///
/// The fence is for the first half: without it the counter is read before the loads that came before it have finished,
/// the one by which the thread learnt of a block's address among them (seen up to 400 cycles early). The second half
/// needs none: stores become visible after all earlier instructions have finished.
#[inline(always)]
pub fn stamp() -> u64 {
    // SAFETY: reads the time-stamp counter; user mode may unless CR4.TSD forbids it, which Linux does only on request
    // of the process itself (PR_SET_TSC). lfence has no precondition.
    unsafe {
        core::arch::x86_64::_mm_lfence();
        core::arch::x86_64::_rdtsc()
    }
}

/// Has the memory at this address fetched.
#[inline(always)]
pub fn prefetch(address: usize) {
    // SAFETY: a hint that never faults.
    unsafe { core::arch::x86_64::_mm_prefetch(address as *const i8, core::arch::x86_64::_MM_HINT_T0) };
}

/// Hides from the compiler where a value came from, so that it cannot replace it by another one known to be equal.
#[inline(always)]
pub fn opaque(mut value: usize) -> usize {
    // Not `pure`: it must stay where it stands, before a comparison that would make the two values one.
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Who called a hook: the address of the return address on the stack; 0 if it is not known.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Caller(usize);

impl Caller {
    /// Not known.
    pub const NONE: Self = Self(0);

    /// The return address; 0 if it is not known.
    #[inline(always)]
    pub fn return_address(self) -> usize {
        // SAFETY: the export's own stack frame, which is there as long as the hook runs.
        if self.0 == 0 { 0 } else { unsafe { (self.0 as *const usize).read() } }
    }

    /// Where the return address lies, if that is known.
    #[inline(always)]
    pub fn slot(self) -> Option<usize> {
        (self.0 != 0).then_some(self.0)
    }
}

/// DWARF's numbers of the registers that functions preserve, the frame pointer first (System V ABI, figure 3.36): rbp, rbx,
/// r12 to r15.
pub const SAVED: [u16; 6] = [6, 3, 12, 13, 14, 15];
/// DWARF's number of the stack pointer.
pub const STACK_REGISTER: u16 = 7;
/// DWARF's number of the return address.
pub const RETURN_REGISTER: u16 = 16;

/// Where the registers of [`SAVED`] are, from the stack pointer after a signal handler has returned: in `struct ucontext` of
/// the kernel (`uc_mcontext` at 40; asm/sigcontext.h).
pub const SIGNAL_SAVED: [usize; 6] = [120, 128, 72, 80, 88, 96];
/// There: the stack pointer.
pub const SIGNAL_STACK_POINTER: usize = 160;
/// There: the interrupted instruction.
pub const SIGNAL_PC: usize = 168;
/// There: the register of return addresses. There is none: any that can be read will do.
pub const SIGNAL_LINK: usize = SIGNAL_PC;

/// The registers here, in the function that this is inlined into.
#[inline(always)]
pub fn registers() -> Registers {
    let mut words = [0usize; 8];
    // SAFETY: writes the eight words and nothing else.
    unsafe {
        asm!(
            "mov [{words}], rbp",
            "mov [{words} + 8], rbx",
            "mov [{words} + 16], r12",
            "mov [{words} + 24], r13",
            "mov [{words} + 32], r14",
            "mov [{words} + 40], r15",
            "mov [{words} + 48], rsp",
            "lea {scratch}, [rip]",
            "mov [{words} + 56], {scratch}",
            words = in(reg) words.as_mut_ptr(),
            scratch = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
    let [rbp, rbx, r12, r13, r14, r15, stack_pointer, pc] = words;
    let saved = [rbp, rbx, r12, r13, r14, r15];
    Registers { pc, stack_pointer, link: 0, saved, interrupted: true, is_whole: false }
}

/// Bytes of the longest jump that [`jump_target`] knows.
pub const JUMP_BYTES: usize = 6;

/// Bytes from the stack pointer to the canonical frame address in a function's first instruction.
pub const OFFSET_AT_ENTRY: i32 = 8;

/// Where the jump at this address leads, if the bytes there are a jump, conditional or not, that may leave a function.
///
/// # Safety
/// So many bytes as [`JUMP_BYTES`] can be read there.
pub unsafe fn jump_target(address: usize) -> Option<usize> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { (address as *const [u8; JUMP_BYTES]).read() };
    let (length, distance) = match bytes {
        [0xE9, a, b, c, d, _] => (5, [a, b, c, d]),
        [0x0F, 0x80..=0x8F, a, b, c, d] => (6, [a, b, c, d]),
        _ => return None,
    };
    Some((address + length).wrapping_add_signed(i32::from_le_bytes(distance) as isize))
}

/// Whether the instruction in front of this address, which lies in code that is mapped from `start` on, may be a call.
pub fn is_behind_call(address: usize, start: usize) -> bool {
    // SAFETY: `byte` is asked for places from `start` on, in front of an address in the same mapping.
    let byte = |back: usize| unsafe { ((address - back) as *const u8).read() };
    // `call rel32`; `call` through a register, or through a place that is named by two to seven bytes: `ff /2`.
    address - start >= 8 && (byte(5) == 0xE8 || (2..=7).any(|back| byte(back) == 0xFF && byte(back - 1) >> 3 & 7 == 2))
}

/// Bytes of what a signal handler returns to.
pub const SIGNAL_RETURN_BYTES: usize = 9;

/// Whether the kernel's call to return from a signal handler stands at this address: `mov $15, %rax; syscall`, which C
/// libraries put there byte by byte, because debuggers look for it.
///
/// # Safety
/// So many bytes as [`SIGNAL_RETURN_BYTES`] can be read there.
pub unsafe fn is_signal_return(address: usize) -> bool {
    const CODE: [u8; SIGNAL_RETURN_BYTES] = [0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05];
    // SAFETY: the caller's promise.
    unsafe { (address as *const [u8; SIGNAL_RETURN_BYTES]).read() == CODE }
}

/// A return address as an address of code.
#[inline(always)]
pub fn plain_address(address: usize) -> usize {
    address
}

/// Defines an exported function that hands the place of its return address to `$target` as one more argument, in the
/// register named: its caller is the innermost native frame.
#[macro_export]
macro_rules! export_with_caller {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $target:path, $register:literal, $aarch64:literal) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            core::arch::naked_asm!(
                // For stacks of signal handlers that interrupt it.
                ".cfi_startproc",
                concat!("mov ", $register, ", rsp"),
                "jmp {target}",
                ".cfi_endproc",
                target = sym $target
            )
        }
    };
}

/// The same for a function whose six arguments fill the registers: the place goes onto the stack, where the seventh
/// argument belongs.
#[macro_export]
macro_rules! export_six_with_caller {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $target:path) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            core::arch::naked_asm!(
                ".cfi_startproc",
                "push rsp",
                ".cfi_adjust_cfa_offset 8",
                "call {target}",
                "add rsp, 8",
                ".cfi_adjust_cfa_offset -8",
                "ret",
                ".cfi_endproc",
                target = sym $target
            )
        }
    };
}

/// System call numbers.
pub mod number {
    #![allow(missing_docs, reason = "each is the call of that name")]
    pub const READ: i64 = 0;
    pub const WRITE: i64 = 1;
    pub const CLOSE: i64 = 3;
    pub const MMAP: i64 = 9;
    pub const MUNMAP: i64 = 11;
    pub const MREMAP: i64 = 25;
    pub const LSEEK: i64 = 8;
    pub const MADVISE: i64 = 28;
    pub const GETPID: i64 = 39;
    pub const GETPPID: i64 = 110;
    pub const GETTID: i64 = 186;
    pub const FUTEX: i64 = 202;
    pub const OPENAT: i64 = 257;
    pub const PRCTL: i64 = 157;
    pub const PROCESS_VM_READV: i64 = 310;
    pub const READLINKAT: i64 = 267;
    pub const CLOCK_GETTIME: i64 = 228;
    pub const EXIT_GROUP: i64 = 231;
    pub const SCHED_YIELD: i64 = 24;
    pub const RT_SIGPROCMASK: i64 = 14;
}
