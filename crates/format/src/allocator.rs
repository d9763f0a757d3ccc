//! The allocator entry points, one number each. The numbers stand in rings and captures: never renumber, only append.

/// The function by which a program asked for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is the C function of that name, or what its NAMES entry says")]
pub enum Allocator {
    Malloc = 0,
    Calloc = 1,
    Realloc = 2,
    ReallocArray = 3,
    PosixMemalign = 4,
    AlignedAlloc = 5,
    Memalign = 6,
    Valloc = 7,
    Pvalloc = 8,
    /// Anonymous `mmap` that can be read or written.
    Mmap = 9,
    /// File-backed `mmap`: address space and page cache, not heap.
    MmapFile = 10,
    /// `mmap` with `PROT_NONE`: reserved address space, not heap.
    MmapReserved = 11,
    /// `mmap` with `MAP_STACK` or `MAP_GROWSDOWN`: the stack of a thread, not heap.
    MmapStack = 12,
    /// `brk` or `sbrk` called by the program itself.
    Brk = 13,
    PyRawMalloc = 14,
    PyRawCalloc = 15,
    PyRawRealloc = 16,
    PyMemMalloc = 17,
    PyMemCalloc = 18,
    PyMemRealloc = 19,
    PyObjectMalloc = 20,
    PyObjectCalloc = 21,
    PyObjectRealloc = 22,
}

/// How many entry points there are; their numbers are `0..ALLOCATORS`.
pub const ALLOCATORS: usize = 23;

const ALL: [Allocator; ALLOCATORS] = [
    Allocator::Malloc,
    Allocator::Calloc,
    Allocator::Realloc,
    Allocator::ReallocArray,
    Allocator::PosixMemalign,
    Allocator::AlignedAlloc,
    Allocator::Memalign,
    Allocator::Valloc,
    Allocator::Pvalloc,
    Allocator::Mmap,
    Allocator::MmapFile,
    Allocator::MmapReserved,
    Allocator::MmapStack,
    Allocator::Brk,
    Allocator::PyRawMalloc,
    Allocator::PyRawCalloc,
    Allocator::PyRawRealloc,
    Allocator::PyMemMalloc,
    Allocator::PyMemCalloc,
    Allocator::PyMemRealloc,
    Allocator::PyObjectMalloc,
    Allocator::PyObjectCalloc,
    Allocator::PyObjectRealloc,
];

const NAMES: [&str; ALLOCATORS] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "mmap",
    "mmap (file)",
    "mmap (reserved)",
    "mmap (stack)",
    "brk",
    "PyMem_RawMalloc",
    "PyMem_RawCalloc",
    "PyMem_RawRealloc",
    "PyMem_Malloc",
    "PyMem_Calloc",
    "PyMem_Realloc",
    "PyObject_Malloc",
    "PyObject_Calloc",
    "PyObject_Realloc",
];

impl Allocator {
    /// The entry point with this number; `None` for a number of a newer version.
    pub fn from_number(number: u8) -> Option<Self> {
        ALL.get(usize::from(number)).copied()
    }

    /// Its number, below [`ALLOCATORS`].
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name as C or Python knows it.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Whether its blocks are heap: memory that the program asked for to keep data in. File maps, reservations and
    /// thread stacks are counted apart and are neither live bytes nor part of the peak.
    pub const fn is_heap(self) -> bool {
        !matches!(self, Self::MmapFile | Self::MmapReserved | Self::MmapStack)
    }

    /// Whether its blocks are address ranges that can be given back in parts.
    pub const fn is_mapping(self) -> bool {
        matches!(self, Self::Mmap | Self::MmapFile | Self::MmapReserved | Self::MmapStack | Self::Brk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions() {
        for (position, allocator) in ALL.iter().enumerate() {
            assert_eq!(usize::from(allocator.number()), position);
            assert_eq!(Allocator::from_number(position as u8), Some(*allocator));
        }
        assert_eq!(Allocator::from_number(ALLOCATORS as u8), None);
    }
}
