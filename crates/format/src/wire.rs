//! The records in a ring: what the shim writes and the collector reads, in words of 64 bits.
//!
//! ```text
//! word 0   63      56 55                                                    0
//!         +----------+------------------------------------------------------+
//!         | type|sub | address, or the record's own use of these 56 bits    |
//!         +----------+------------------------------------------------------+
//! ```
//!
//! `type` (3 bits) says which words follow, `sub` (5 bits) is the allocator or a detail:
//!
//! | type | record | word 0 | word 1 | further words |
//! |---|---|---|---|---|
//! | 0 | definition, `sub` says which; a mark is stamped | see [`Definition`] | | |
//! | 1 | allocated | address | stack << 32 \| size | size if it is `WIDE` |
//! | 2 | allocated, stamped | address | stack << 32 \| size | size if it is `WIDE`; stamp |
//! | 3 | freed | address | | |
//! | 4 | freed, stamped | address | stamp | |
//! | 5 | realloc begins: the old block is about to go; `sub` bit 0: stamped, bit 1: a range (`mremap`) | old address | length if it is a range | stamp |
//! | 6 | realloc ends; `sub` bit 0: stamped, bit 1: failed, the old block lives on; bits 2–4 the [`Reallocator`] | new address; 0: the call was a release | stack << 32 \| size | size if it is `WIDE`; stamp |
//! | 7 | range given back (`munmap`); `sub` bit 0: stamped | address | length | stamp |
//!
//! A stack is a node of the writing thread's own trie: nodes are numbered from 1 in the order of their definitions,
//! 0 is the empty stack. A stamp is a reading of the processor's clock, comparable between threads of one process. An
//! event without a stamp is ordered as the one before it in its ring.

use crate::allocator::Allocator;

/// In the size half of word 1: the size is in a word of its own.
pub const WIDE: u32 = u32::MAX;

/// Bits of an address: user addresses have at most 56 bits on x86-64 (five-level paging) and aarch64 (without tags).
pub const ADDRESS_BITS: u32 = 56;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;

/// Types of word 0, as in the table above.
pub mod kind {
    #![allow(missing_docs, reason = "the table of the module says what each is")]
    pub const DEFINITION: u64 = 0;
    pub const ALLOCATED: u64 = 1;
    pub const ALLOCATED_STAMPED: u64 = 2;
    pub const FREED: u64 = 3;
    pub const FREED_STAMPED: u64 = 4;
    pub const REALLOC_BEGIN: u64 = 5;
    pub const REALLOC_END: u64 = 6;
    pub const UNMAPPED: u64 = 7;
}

/// `sub` of types 5 to 7: a stamp follows.
pub const STAMPED: u64 = 1;
/// `sub` of [`kind::REALLOC_END`]: the call failed and the old block lives on.
pub const FAILED: u64 = 2;

/// `sub` of [`kind::REALLOC_BEGIN`]: the old block is a range, whose length follows.
pub const RANGE: u64 = 2;

/// `sub` of a definition.
pub mod definition {
    /// A node with a Python frame. Word 0: parent node. Word 1: code << 32 | instruction offset (as `i32`, code units), and
    /// [`ENTRY`].
    pub const PYTHON_NODE: u64 = 0;
    /// A node with a native frame. Word 0: return address, of an interrupted function the next instruction's plus 1; 0: what
    /// is further out is not known. Word 1: parent node, and [`EVALUATION`].
    pub const NATIVE_NODE: u64 = 1;
    /// A part of a blob. Word 0: `last << 48 | blob kind << 40 | length in bytes`; the bytes follow, padded to words.
    pub const BLOB: u64 = 2;
    /// The interpreter begins to finalize: the program's own code has ended. A second one says that the interpreter's last
    /// collection of cyclic garbage has begun, a third one that it is over. Two words, both without content.
    pub const FINALIZING: u64 = 3;
    /// A node with the native and the Python stack of one instant. Word 0: native node. Word 1: Python node. The run of
    /// Python frames from one with [`ENTRY`] up to the next belongs where the native frame with [`EVALUATION`] stands, the
    /// innermost run to the innermost such frame. No node has it as its parent.
    pub const PAIR_NODE: u64 = 4;
    /// The blob before it, a [`super::BlobKind::Mark`], is the name of a mark, which is set here. Word 0: nothing. Word 1: stamp,
    /// in processes with one thread too.
    pub const MARK: u64 = 16;

    /// In word 1 of a Python node, if native stacks are recorded: C called this frame.
    pub const ENTRY: u64 = 1 << 62;
    /// In word 1 of a native node: its function evaluates Python frames.
    pub const EVALUATION: u64 = 1 << 63;
}

/// What a blob holds; all integers little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlobKind {
    /// A code object; codes are numbered from 0 in the order of their blobs. Layout in [`crate::wire::code`].
    Code = 0,
    /// The start of an image: `parent u32 (if forked: image, if executed: process id, as the image sees it), reason u8 (0
    /// exec, 1 fork), python u16 (3 << 8 | minor, 0 none)`, then length-prefixed (`u32`) executable path and command line
    /// (arguments end with NUL each).
    Image = 1,
    /// A mapped object: `start u64, end u64, file offset u64`, then its path to the end.
    Module = 2,
    /// The name of the writing thread as it is about to end, to the end. Before, the collector reads it from /proc.
    ThreadName = 3,
    /// How many Python objects of each type there are. Layout in [`crate::wire::census`].
    Census = 10,
    /// The name of a mark, to the end: any bytes but 0. The record that follows sets it.
    Mark = 16,
}

impl BlobKind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Code,
            1 => Self::Image,
            2 => Self::Module,
            3 => Self::ThreadName,
            10 => Self::Census,
            16 => Self::Mark,
            _ => return None,
        })
    }
}

/// Layout of a [`BlobKind::Code`]: a head of [`code::HEAD`] bytes, then name, file name and line table.
pub mod code {
    /// `first_line u32, python u16, name width u8, file width u8, name length u32, file length u32, table length u32`.
    /// Lengths are in bytes, widths in bytes per character: 1 is Latin-1, 2 UCS-2, 4 UCS-4, as CPython keeps them.
    pub const HEAD: usize = 20;
}

/// Layout of a [`BlobKind::Census`]: a head of [`census::HEAD`] bytes, then the types, then those that grew.
///
/// Head: `request u32, flags u32, objects u64, bytes u64, nanoseconds u64, bytes of the shim's own u64, types u32`. A type:
/// `objects u64, bytes u64`, and a text, its name. Texts are UTF-8 behind a length of 16 bits. Types that grew: their number
/// u32, then each: `type u32 (from 0, in the order above), new objects u32, samples u8`, the samples, `blocks u32`, and the
/// addresses of so many blocks, u64 each: those of the new objects, or every n-th. A sample: the address of its block u64, `hops u8`, and the
/// hops, from the object itself to its root: `type u32 (u32::MAX: a frame)`, the holder's own name (text), [`census::Via`] u8, and
/// the label (text).
pub mod census {
    /// Bytes of the head.
    pub const HEAD: usize = 44;
    /// Flag: the last one, when the program had ended and the interpreter had not begun to finalize.
    pub const AT_EXIT: u8 = 1;
    /// Flag: there were more objects than it could keep.
    pub const CUT: u8 = 2;
    /// Flag: the first of its image, with which nothing can be compared.
    pub const FIRST: u8 = 4;
    /// As a type: a frame of a thread.
    pub const FRAME: u32 = u32::MAX;

    /// How one object holds another; what the label says.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Via {
        /// Not known. No label.
        Unknown = 0,
        /// The first hop, which holds nothing. No label.
        Itself = 1,
        /// Item of a list or tuple, or of a dict under an int: the number.
        Index = 2,
        /// Item of a dict under a str: the key.
        Key = 3,
        /// Item of a dict under something else: the key's type.
        KeyOfType = 4,
        /// It is a key of a dict. No label.
        IsKey = 5,
        /// Attribute of an instance that has no dict for it, a slot, a field of a C type: its name.
        Attribute = 6,
        /// The dict of the names of a module, a class or an instance. No label.
        Namespace = 7,
        /// Local variable of a frame: its name.
        Local = 8,
        /// The cells of a function, one of which leads on: the variable's name.
        Closure = 9,
    }

    impl Via {
        /// The one with this number; [`Self::Unknown`] if there is none.
        pub fn from_number(number: u8) -> Self {
            const ALL: [Via; 10] = [
                Via::Unknown,
                Via::Itself,
                Via::Index,
                Via::Key,
                Via::KeyOfType,
                Via::IsKey,
                Via::Attribute,
                Via::Namespace,
                Via::Local,
                Via::Closure,
            ];
            ALL.get(usize::from(number)).copied().unwrap_or(Self::Unknown)
        }
    }
}

/// Which call reallocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is the function of that name")]
pub enum Reallocator {
    Realloc = 0,
    ReallocArray = 1,
    Mremap = 2,
    PyRaw = 3,
    PyMem = 4,
    PyObject = 5,
}

impl Reallocator {
    /// The entry point that the new block is filed under.
    pub fn allocator(self) -> Allocator {
        match self {
            Self::Realloc => Allocator::Realloc,
            Self::ReallocArray => Allocator::ReallocArray,
            Self::Mremap => Allocator::Mmap,
            Self::PyRaw => Allocator::PyRawRealloc,
            Self::PyMem => Allocator::PyMemRealloc,
            Self::PyObject => Allocator::PyObjectRealloc,
        }
    }

    /// The reallocator with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Realloc,
            1 => Self::ReallocArray,
            2 => Self::Mremap,
            3 => Self::PyRaw,
            4 => Self::PyMem,
            5 => Self::PyObject,
            _ => return None,
        })
    }
}

/// Builds word 0. Bits of `low` above the address bits are dropped.
#[inline(always)]
pub const fn word0(kind: u64, sub: u64, low: u64) -> u64 {
    kind << 61 | (sub & 31) << 56 | (low & ADDRESS_MASK)
}

/// The type of a word 0.
#[inline(always)]
pub const fn kind_of(word: u64) -> u64 {
    word >> 61
}

/// The `sub` of a word 0.
#[inline(always)]
pub const fn sub_of(word: u64) -> u64 {
    word >> 56 & 31
}

/// The low 56 bits of a word 0.
#[inline(always)]
pub const fn low_of(word: u64) -> u64 {
    word & ADDRESS_MASK
}

/// Whether the record that begins with this word is an event: one that the program would count. The beginning of a
/// reallocation is none, nor is the end of one that failed.
#[inline(always)]
pub const fn is_event(word: u64) -> bool {
    match kind_of(word) {
        kind::DEFINITION | kind::REALLOC_BEGIN => false,
        kind::REALLOC_END => sub_of(word) & FAILED == 0,
        _ => true,
    }
}

/// Word 0 of a blob part of `length` bytes.
pub const fn blob_word(kind: BlobKind, length: usize, last: bool) -> u64 {
    word0(
        self::kind::DEFINITION,
        definition::BLOB,
        (last as u64) << 48 | (kind as u64) << 40 | length as u64 & 0xFF_FFFF_FFFF,
    )
}

/// `(kind number, length in bytes, last)` of a blob's word 0.
pub const fn blob_parts(word: u64) -> (u8, u64, bool) {
    let low = low_of(word);
    ((low >> 40) as u8, low & 0xFF_FFFF_FFFF, low >> 48 & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word0_keeps_its_three_parts() {
        let word = word0(kind::REALLOC_END, 31, 0x00AB_CDEF_0123_4567);
        assert_eq!((kind_of(word), sub_of(word), low_of(word)), (6, 31, 0x00AB_CDEF_0123_4567));
    }

    #[test]
    fn blob_word_keeps_its_parts() {
        assert_eq!(blob_parts(blob_word(BlobKind::Module, 12_345, true)), (2, 12_345, true));
        assert_eq!(blob_parts(blob_word(BlobKind::Code, 8, false)), (0, 8, false));
    }
}
