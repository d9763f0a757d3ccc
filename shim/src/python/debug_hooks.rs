//! CPython's debug hooks (`PYTHONMALLOC=debug`, `-X dev`, debug builds): whether they are on, and under which address a
//! block is known that they gave.
//!
//! They put 16 bytes before each block, and give the program the address behind these:
//!
//! ```text
//! address − 16   size asked for, big-endian
//! address −  8   the domain: r, m or o, then seven times FD
//! address        the program's bytes, then eight times FD
//! ```
//!
//! So what the allocator below gave, and what the hook of `malloc` has recorded before the domains were wrapped, is
//! another address than the one that is released. And pymalloc hands what is too large for it to the RAW domain, which
//! has debug hooks too: such a block has two of these headers. Blocks are therefore filed under the address of the
//! innermost block. No two blocks have it in common, and every release finds what it releases.

use super::allocators::Domain;
use core::ffi::c_void;

/// Size of a header.
const HEADER: usize = 16;
/// What the hooks add to a size: the header, and eight bytes behind the block.
const ADDED: usize = 24;
/// The largest size that pymalloc serves itself (SMALL_REQUEST_THRESHOLD in all versions).
const PYMALLOC_LIMIT: usize = 512;
/// The word before a block: the domain's letter, then seven times PYMEM_FORBIDDENBYTE.
const FENCE: u64 = 0xFDFD_FDFD_FDFD_FD00;

/// `debug_alloc_api_t`, to which the context of a domain with debug hooks points. The same in all versions.
#[repr(C)]
struct Context {
    letter: u8,
    padding: [u8; 7],
    below: Domain,
}

/// How many headers a block has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// One, in every domain.
    One,
    /// One in RAW. In MEM and OBJ one if pymalloc serves it itself, else two.
    OneOrTwo,
}

/// Which headers blocks of these domains (RAW, MEM, OBJ) have; `None` if the debug hooks are not on. `in_interpreter`
/// says whether an address is in the interpreter's code.
pub fn recognise(domains: &[Domain; 3], in_interpreter: impl Fn(*const ()) -> bool) -> Option<Headers> {
    let [raw, mem, object] = domains.each_ref().map(|domain| domain.context.cast::<Context>());
    // An embedding program may have allocators of its own with contexts that are no pointers. Nothing is read before
    // all that can be known without reading is as it is with debug hooks: contexts that stand in one array, and
    // functions that are the interpreter's own.
    let in_an_array = raw.addr() > 1 << 16
        && raw.is_aligned()
        && mem == raw.wrapping_add(1)
        && object == raw.wrapping_add(2)
        && domains[1].malloc as usize == domains[2].malloc as usize;
    if !in_an_array || !domains.iter().all(|domain| in_interpreter(domain.malloc as *const ())) {
        return None;
    }
    // SAFETY: only the debug hooks have such contexts: three of 48 bytes in a row, in the interpreter's static memory.
    let contexts = unsafe { core::slice::from_raw_parts(raw, 3) };
    let named = contexts.iter().zip(*b"rmo").all(|(context, letter)| {
        context.letter == letter && context.padding == [0; 7] && in_interpreter(context.below.malloc as *const ())
    });
    let same_below = contexts[0].below.malloc as usize == contexts[1].below.malloc as usize;
    named.then_some(if same_below { Headers::One } else { Headers::OneOrTwo })
}

/// The address under which a block of the debug hooks is filed.
///
/// # Safety
/// `block` is what a domain with debug hooks gave and has not taken back.
pub unsafe fn filed(headers: Headers, block: *mut c_void) -> usize {
    let words = block.cast::<u64>();
    // SAFETY: the header, by our caller's promise. If that promise is broken by a program that releases what it was
    // never given, then the hooks read this same word next, to say so.
    let fence = u64::from_le(unsafe { words.sub(1).read_unaligned() });
    if fence & !0xFF != FENCE {
        // Not a block of the hooks, or written over.
        return block.addr();
    }
    // SAFETY: the rest of the header.
    let size = u64::from_be(unsafe { words.sub(2).read_unaligned() }) as usize;
    let two = headers == Headers::OneOrTwo && fence as u8 != b'r' && size.saturating_add(ADDED) > PYMALLOC_LIMIT;
    block.addr() - if two { 2 * HEADER } else { HEADER }
}
