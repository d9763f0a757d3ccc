//! The part of the address space that is known to be the calling thread's stack. Correct unwind data never leads out of
//! it; wrong data would lead anywhere, and reading there would be the program's death. So what lies outside is asked of
//! the kernel first, page by page.

use crate::sys;

const PAGE: usize = 4096;
/// A gap between what is known and what is found readable that is taken for the same stack.
const GAP: usize = 64 * 1024;

/// Bytes below the stack pointer that a function's own data may lie in. Of one that was interrupted behind `pop rbp`, unwind
/// data still says that the register is in the place that it was taken from, and there it is.
const RED_ZONE: usize = if cfg!(target_arch = "x86_64") { 128 } else { 0 };

/// Readable pages, from the first to the one behind the last. All zeros: none.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct StackRange {
    start: usize,
    end: usize,
}

impl StackRange {
    /// Whether a word at this address can be read. `stack_pointer` is one of a function on the live stack.
    #[inline(always)]
    pub fn is_readable(&mut self, stack_pointer: usize, address: usize) -> bool {
        address.is_multiple_of(8)
            && address.saturating_add(RED_ZONE) >= stack_pointer
            && ((self.start..self.end).contains(&address) || self.ask(address))
    }

    #[cold]
    #[inline(never)]
    fn ask(&mut self, address: usize) -> bool {
        if !sys::is_readable(address) {
            return false;
        }
        let page = address & !(PAGE - 1);
        if page >= self.end && page - self.end <= GAP && self.end != 0 {
            self.end = page + PAGE;
        } else if page < self.start && self.start - page <= GAP {
            self.start = page;
        } else {
            (self.start, self.end) = (page, page + PAGE);
        }
        true
    }
}
