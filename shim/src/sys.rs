//! The system calls that the shim makes, each behind a safe signature. None touches `errno`, none goes through a
//! function that the shim replaces.

use crate::arch::{number, syscall};
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

const PAGE: usize = 4096;

/// Fresh zeroed pages, private to this process; `None` if the kernel has none.
pub fn map(bytes: usize) -> Option<NonNull<u8>> {
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    let pages = map_with(bytes, flags, usize::MAX, 0)?;
    // No part of the program's core, and told apart from its memory by that.
    // SAFETY: the advice changes only what is dumped, and these are the shim's own pages.
    unsafe { syscall(number::MADVISE, [pages.as_ptr() as usize, bytes, libc::MADV_DONTDUMP as usize, 0, 0, 0]) };
    Some(pages)
}

/// Lets the kernel use large pages for these, if it has any.
pub fn prefer_large_pages(address: NonNull<u8>, bytes: usize) {
    // SAFETY: the advice changes nothing that can be seen, and these are the shim's own pages.
    unsafe { syscall(number::MADVISE, [address.as_ptr() as usize, bytes, libc::MADV_HUGEPAGE as usize, 0, 0, 0]) };
}

/// Maps `bytes` of a file from `offset` on, shared and writable.
pub fn map_shared(file: &File, offset: usize, bytes: usize) -> Option<NonNull<u8>> {
    map_with(bytes, libc::MAP_SHARED as usize, file.0, offset)
}

/// Maps `bytes` more of the file that is mapped shared at `place`, from `ahead` bytes behind that place on. No descriptor
/// and no path is needed for it.
///
/// # Safety
/// `place` lies in a mapping made by [`map_shared`] that is never unmapped.
pub unsafe fn map_more(place: NonNull<u8>, ahead: usize, bytes: usize) -> Option<NonNull<u8>> {
    let arguments = [place.as_ptr() as usize, 0, ahead + bytes, libc::MREMAP_MAYMOVE as usize, 0, 0];
    // SAFETY: an old length of 0 makes a second mapping of a shared one, at unused addresses; the first stays.
    let result = unsafe { syscall(number::MREMAP, arguments) };
    if (-4095..=0).contains(&result) {
        return None;
    }
    let start = NonNull::new(result as *mut u8)?;
    // SAFETY: the first part of the mapping made just now, which nobody knows of.
    unsafe { syscall(number::MUNMAP, [start.as_ptr() as usize, ahead, 0, 0, 0, 0]) };
    // SAFETY: inside that mapping.
    Some(unsafe { start.add(ahead) })
}

fn map_with(bytes: usize, flags: usize, file: usize, offset: usize) -> Option<NonNull<u8>> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: without MAP_FIXED the kernel chooses unused addresses: no memory of the program is touched.
    let result = unsafe { syscall(number::MMAP, [0, bytes, protection, flags, file, offset]) };
    if (-4095..0).contains(&result) { None } else { NonNull::new(result as *mut u8) }
}

/// Gives pages back.
///
/// # Safety
/// They came from [`map`] with this length, and nobody uses them any more.
pub unsafe fn unmap(address: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { syscall(number::MUNMAP, [address.as_ptr() as usize, bytes, 0, 0, 0, 0]) };
}

/// Makes pages read as zeros in a forked child. False if the kernel cannot (before 4.14).
pub fn wipe_on_fork(address: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the advice changes only what a child sees, and these are the shim's own pages.
    let arguments = [address.as_ptr() as usize, bytes, libc::MADV_WIPEONFORK as usize, 0, 0, 0];
    // SAFETY: as above.
    unsafe { syscall(number::MADVISE, arguments) == 0 }
}

/// Bytes rounded up to whole pages.
pub const fn whole_pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE)
}

/// Process id as this process sees it.
pub fn process_id() -> u32 {
    // SAFETY: no arguments, no effect.
    unsafe { syscall(number::GETPID, [0; 6]) as u32 }
}

/// Process id of the parent, as this process sees it.
pub fn parent_id() -> u32 {
    // SAFETY: plain numbers.
    unsafe { syscall(number::GETPPID, [0; 6]) as u32 }
}

/// Kernel's id of the calling thread.
pub fn thread_id() -> u32 {
    // SAFETY: no arguments, no effect.
    unsafe { syscall(number::GETTID, [0; 6]) as u32 }
}

/// Monotonic nanoseconds.
pub fn now() -> u64 {
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes two words to `time`.
    unsafe { syscall(number::CLOCK_GETTIME, [libc::CLOCK_MONOTONIC as usize, time.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
}

/// Sleeps until `word` is woken, is not `expected`, or the time is over.
pub fn futex_wait(word: &AtomicU32, expected: u32, nanoseconds: u64) {
    let timeout = [nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000];
    let arguments =
        [word.as_ptr() as usize, libc::FUTEX_WAIT as usize, expected as usize, timeout.as_ptr() as usize, 0, 0];
    // SAFETY: the kernel reads a live word and a live timeout.
    unsafe { syscall(number::FUTEX, arguments) };
}

/// Wakes all who sleep on `word`.
pub fn futex_wake(word: &AtomicU32) {
    // SAFETY: the kernel only uses the address of a live word as a key.
    unsafe { syscall(number::FUTEX, [word.as_ptr() as usize, libc::FUTEX_WAKE as usize, i32::MAX as usize, 0, 0, 0]) };
}

/// Whether 8 bytes can be read at this address. Asked of the kernel, which answers instead of raising a signal.
pub fn is_readable(address: usize) -> bool {
    const NO_ACTION: usize = 0x4854;
    // SAFETY: rt_sigprocmask with an action that does not exist changes nothing. It fails with EFAULT if the set at
    // `address` cannot be read, and otherwise, after that, with EINVAL for the action.
    let result = unsafe { syscall(number::RT_SIGPROCMASK, [NO_ACTION, address, 0, 8, 0, 0]) };
    address != 0 && result == -(libc::EINVAL as isize)
}

/// Lets another thread run.
pub fn yield_now() {
    // SAFETY: no arguments, no effect on memory.
    unsafe { syscall(number::SCHED_YIELD, [0; 6]) };
}

/// Writes a message to standard error, once, without caring whether it arrived.
pub fn complain(message: &[u8]) {
    // SAFETY: the kernel reads `message`.
    unsafe { syscall(number::WRITE, [2, message.as_ptr() as usize, message.len(), 0, 0, 0]) };
}

/// A short text that is put together, for [`complain`]. What does not fit is left out.
pub struct Text {
    bytes: [u8; 160],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 160], length: 0 }
    }
}

impl Text {
    /// Adds a text.
    pub fn add(&mut self, text: &[u8]) -> &mut Self {
        for (place, byte) in self.bytes[self.length..].iter_mut().zip(text) {
            *place = *byte;
            self.length += 1;
        }
        self
    }

    /// Adds a number, to base 16 or less.
    pub fn number(&mut self, number: usize, base: usize) -> &mut Self {
        let mut digits = [0; 64];
        let mut rest = number;
        let mut first = digits.len();
        while rest != 0 || first == digits.len() {
            first -= 1;
            digits[first] = b"0123456789abcdef"[rest % base];
            rest /= base;
        }
        self.add(&digits[first..])
    }

    /// What it is so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The calling thread's name, as the kernel knows it.
pub fn thread_name(buffer: &mut [u8; 16]) -> &[u8] {
    // SAFETY: the kernel writes 16 bytes at most, with a NUL.
    unsafe { syscall(number::PRCTL, [libc::PR_GET_NAME as usize, buffer.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
    &buffer[..end]
}

/// The word at `address` of this process, which need not be there: `None` then, and where the kernel does not help.
pub fn read_word(address: usize) -> Option<usize> {
    let mut word = 0usize;
    let (mut here, there) = ([(&raw mut word) as usize, size_of::<usize>()], [address, size_of::<usize>()]);
    let process = process_id() as usize;
    let arguments = [process, here.as_mut_ptr() as usize, 1, there.as_ptr() as usize, 1, 0];
    // SAFETY: the kernel writes at most one word to `word`, and looks itself whether it can read at `address`.
    let result = unsafe { syscall(number::PROCESS_VM_READV, arguments) };
    (result == size_of::<usize>() as isize).then_some(word)
}

/// Ends the process: only for our own bugs.
pub fn die() -> ! {
    complain(b"heaptide: internal error in the traced process\n");
    loop {
        // SAFETY: does not return.
        unsafe { syscall(number::EXIT_GROUP, [134, 0, 0, 0, 0, 0]) };
    }
}

/// An open file, closed when dropped.
pub struct File(usize);

impl File {
    /// Opens a file; `path` ends with NUL.
    pub fn open(path: &[u8], flags: i32) -> Option<Self> {
        debug_assert!(path.ends_with(&[0]));
        let arguments = [libc::AT_FDCWD as usize, path.as_ptr() as usize, (flags | libc::O_CLOEXEC) as usize, 0, 0, 0];
        // SAFETY: the kernel reads a NUL-terminated path.
        let result = unsafe { syscall(number::OPENAT, arguments) };
        (result >= 0).then_some(Self(result as usize))
    }

    /// Its length in bytes; `None` of what has none: a pipe, a terminal. The place where [`File::read`] goes on is its
    /// beginning then.
    pub fn length(&self) -> Option<usize> {
        // SAFETY: plain numbers.
        let length = unsafe { syscall(number::LSEEK, [self.0, 0, libc::SEEK_END as usize, 0, 0, 0]) };
        // SAFETY: as above.
        let start = unsafe { syscall(number::LSEEK, [self.0, 0, libc::SEEK_SET as usize, 0, 0, 0]) };
        (length >= 0 && start == 0).then_some(length as usize)
    }

    /// Reads into `buffer` until it is full or the file ends; the number of bytes.
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            // SAFETY: the kernel writes at most `rest.len()` bytes to `rest`.
            let result = unsafe { syscall(number::READ, [self.0, rest.as_mut_ptr() as usize, rest.len(), 0, 0, 0]) };
            match result {
                1.. => filled += result as usize,
                _ if result == -(libc::EINTR as isize) => {}
                _ => break,
            }
        }
        filled
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours alone.
        unsafe { syscall(number::CLOSE, [self.0, 0, 0, 0, 0, 0]) };
    }
}

/// Reads a symbolic link into `buffer`; what was read.
pub fn read_link<'a>(path: &[u8], buffer: &'a mut [u8]) -> &'a [u8] {
    let arguments = [libc::AT_FDCWD as usize, path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0];
    // SAFETY: the kernel reads a NUL-terminated path and writes at most `buffer.len()` bytes to `buffer`.
    let result = unsafe { syscall(number::READLINKAT, arguments) };
    &buffer[..result.clamp(0, buffer.len() as isize) as usize]
}
