//! The shim's own growing arrays, in pages of their own. Not dropped: they live as long as their thread's state, which
//! is reused and never given back.

use crate::sys;
use core::ptr::NonNull;

/// Bytes from which on an array is looked up all over, so that the processor's table of pages would not do: two large pages.
const LARGE: usize = 4 << 20;

/// An array in mapped pages that only grows. All zeros is the empty array, so it may lie in wiped memory.
#[repr(C)]
pub struct Pages<T> {
    start: Option<NonNull<T>>,
    length: usize,
    capacity: usize,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { start: None, length: 0, capacity: 0 }
    }
}

impl<T: Copy> Pages<T> {
    /// No element.
    pub const EMPTY: Self = Self { start: None, length: 0, capacity: 0 };

    /// Gives its pages back; it is empty then.
    pub fn release(&mut self) {
        if let Some(start) = self.start.take() {
            // SAFETY: `grow` mapped this many bytes, and the array was the only one who knew of them.
            unsafe { sys::unmap(start.cast(), self.bytes()) };
        }
        (self.length, self.capacity) = (0, 0);
    }

    /// Bytes of its pages.
    pub fn bytes(&self) -> usize {
        sys::whole_pages(self.capacity * size_of::<T>())
    }

    /// Number of elements.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Forgets all elements from `length` on.
    #[inline(always)]
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Its elements.
    #[inline(always)]
    pub fn as_slice(&self) -> &[T] {
        match self.start {
            // SAFETY: `length` elements from `start` on were written by `push` or zeroed by the kernel; `&self` keeps
            // them from changing.
            Some(start) => unsafe { core::slice::from_raw_parts(start.as_ptr(), self.length) },
            None => &[],
        }
    }

    /// Its elements, to be changed.
    #[inline(always)]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        match self.start {
            // SAFETY: as for `as_slice`, and `&mut self` is the only way to them.
            Some(start) => unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), self.length) },
            None => &mut [],
        }
    }

    /// Appends; false if there is no memory for it.
    #[inline]
    pub fn push(&mut self, value: T) -> bool {
        if self.length == self.capacity && !self.grow(self.capacity * 2) {
            return false;
        }
        let Some(start) = self.start else { return false };
        // SAFETY: `length` is below `capacity`, so the place is inside the pages.
        unsafe { start.add(self.length).write(value) };
        self.length += 1;
        true
    }

    /// Makes it `length` elements, new ones zero. Only for types of which all zeros is a value. False if there is no
    /// memory.
    pub fn resize_zeroed(&mut self, length: usize) -> bool {
        if length > self.capacity && !self.grow(length) {
            return false;
        }
        let old = self.length;
        self.length = length;
        if let (Some(start), true) = (self.start, length > old) {
            // SAFETY: `old..length` lies inside the pages.
            unsafe { start.add(old).write_bytes(0, length - old) };
        }
        true
    }

    #[cold]
    fn grow(&mut self, wanted: usize) -> bool {
        let bytes = sys::whole_pages(wanted.max(self.capacity + 1) * size_of::<T>());
        let Some(fresh) = sys::map(bytes) else { return false };
        if bytes >= LARGE {
            sys::prefer_large_pages(fresh, bytes);
        }
        let fresh = fresh.cast::<T>();
        if let Some(old) = self.start {
            // SAFETY: both hold at least `length` elements and do not overlap.
            unsafe { fresh.copy_from_nonoverlapping(old, self.length) };
            // SAFETY: `old` came from `map` with these bytes, and nobody else knows of it.
            unsafe { sys::unmap(old.cast(), self.bytes()) };
        }
        self.start = Some(fresh);
        self.capacity = bytes / size_of::<T>();
        true
    }
}
