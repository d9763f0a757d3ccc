//! What depends on the processor: thread-local pointer, system calls, clock stamps, and the way to the caller.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

/// What functions preserve, as it was at one place.
pub struct Registers {
    /// Place in the code.
    pub pc: usize,
    /// Stack pointer.
    pub stack_pointer: usize,
    /// Return address, where the processor has a register for it.
    pub link: usize,
    /// Those of [`SAVED`].
    pub saved: [usize; SAVED.len()],
    /// `pc` is the next instruction, not one that a call returns to.
    pub interrupted: bool,
    /// There is no caller.
    pub is_whole: bool,
}
