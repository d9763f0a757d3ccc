//! A thread's stacks: a trie whose nodes are numbered in the order in which they are defined in the thread's ring.
//!
//! A stack is a node: a frame called from another stack. Finding the node of a known pair costs one probe of a hash
//! table; a new one is written to the ring before the first event that uses it.

use crate::arch;
use crate::memory::Pages;
use crate::native::modules;
use crate::process;
use crate::ring::Writer;
use heaptide_format::wire::{BlobKind, definition, kind, word0};

/// A node of the writing thread's trie; 0 is the empty stack.
pub type Node = u32;

#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    /// Stands for the frame: see [`key`].
    key: u64,
    parent: Node,
    /// 0: the entry is free.
    node: Node,
}

/// Nodes a thread may have: 16 million, 512 MiB of table. Beyond, stacks are cut (and counted).
const MOST: usize = 1 << 24;
const FIRST_CAPACITY: usize = 1024;
/// A Python frame is its code << 32 | instruction, and this if C called it.
const ENTRY: u64 = definition::ENTRY;
/// A native frame is this, whether it evaluates Python frames << 62, the period, the return address.
const NATIVE: u64 = 1 << 63;
const CODE_BITS: u32 = 48;
const CODE_MASK: u64 = (1 << CODE_BITS) - 1;
const PERIOD_BITS: u32 = 14;
/// A pair is this and the Python stack; its parent is the native one, with [`OF_PAIR`].
const PAIR: u64 = 1 << 61;
const OF_PAIR: Node = 1 << 31;

/// A native stack: its node, and that node's key.
#[derive(Clone, Copy, Default)]
pub struct Path {
    /// The node.
    pub node: Node,
    /// See [`key`]; 0 for the empty stack.
    pub key: u64,
}

/// The trie.
#[derive(Default)]
#[repr(C)]
pub struct Stacks {
    table: Pages<Entry>,
    nodes: usize,
    /// Native frames recur at once more often than not: the last one is kept apart, with the period it is known for.
    last_native: (u64, Node, u32),
    /// The last pair of a native and a Python stack.
    last_pair: ((Node, Node), Node),
    /// By serial number: 1 if the module is defined in the ring.
    told_modules: Pages<u8>,
}

impl Stacks {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.told_modules.bytes()
    }

    /// Forgets all nodes: a new thread begins in this ring.
    pub fn clear(&mut self) {
        self.table.truncate(0);
        self.nodes = 0;
        self.last_native = (0, 0, 0);
        self.last_pair = ((0, 0), 0);
        self.told_modules.truncate(0);
    }

    /// The stack of a Python frame, its code and instruction, called from `parent`, or (`is_entry`) from C. `None` if it could not be defined.
    #[inline]
    pub fn python(
        &mut self,
        ring: &mut Writer,
        parent: Node,
        (code, instruction): (u32, i32),
        is_entry: bool,
    ) -> Option<Node> {
        // `code` counts from 0 and stays far below 2^29.
        let entry = if is_entry { ENTRY } else { 0 };
        let frame = entry | u64::from(code) << 32 | u64::from(instruction as u32);
        let words = [word0(kind::DEFINITION, definition::PYTHON_NODE, u64::from(parent)), frame];
        self.intern(ring, parent, key(u64::from(parent), frame), words)
    }

    /// The stack of one native frame alone.
    #[inline(always)]
    pub fn native_alone(&mut self, ring: &mut Writer, address: u64) -> Node {
        let (known, node, period) = self.last_native;
        if known == address && period == modules::period() {
            return node;
        }
        let node = self.native(ring, Path::default(), native_key(0, address, false), address, false);
        let node = node.unwrap_or(0);
        self.last_native = (address, node, modules::period());
        node
    }

    /// Has the memory fetched that looking for a native stack of this key will need.
    #[inline(always)]
    pub fn prefetch(&self, key: u64) {
        let table = self.table.as_slice();
        if let Some(entry) = table.get(key as usize & table.len().wrapping_sub(1)) {
            arch::prefetch(core::ptr::from_ref(entry) as usize);
        }
    }

    /// The stack of a native frame called from `parent`: of the return address into it, with the key that [`native_key`] gives.
    /// `None` if it could not be defined.
    #[inline]
    pub fn native(&mut self, ring: &mut Writer, parent: Path, key: u64, address: u64, evaluates: bool) -> Option<Node> {
        match self.find(parent.node, key) {
            Ok(node) => Some(node),
            Err(_) => self.define_native(ring, parent.node, key, address, evaluates),
        }
    }

    #[cold]
    #[inline(never)]
    fn define_native(
        &mut self,
        ring: &mut Writer,
        parent: Node,
        key: u64,
        address: u64,
        evaluates: bool,
    ) -> Option<Node> {
        self.define_module(ring, address as usize);
        let flag = if evaluates { definition::EVALUATION } else { 0 };
        let words = [word0(kind::DEFINITION, definition::NATIVE_NODE, address), u64::from(parent) | flag];
        self.define(ring, parent, key, words)
    }

    /// What stacks begin with whose outermost frames are not known.
    pub fn cut(&mut self, ring: &mut Writer) -> Path {
        let key = native_key(0, 0, false);
        Path { node: self.native(ring, Path::default(), key, 0, false).unwrap_or(0), key }
    }

    /// A native and a Python stack of one instant, if they have met before.
    #[inline(always)]
    pub fn known_pair(&mut self, native: Node, python: Node) -> Option<Node> {
        if self.last_pair.0 != (native, python) {
            let node = self.find(native | OF_PAIR, pair_key(native, python)).ok()?;
            self.last_pair = ((native, python), node);
        }
        Some(self.last_pair.1)
    }

    /// Makes them a pair, of which the collector makes one stack.
    #[cold]
    pub fn define_pair(&mut self, ring: &mut Writer, native: Node, python: Node) -> Node {
        let words = [word0(kind::DEFINITION, definition::PAIR_NODE, u64::from(native)), u64::from(python)];
        self.intern(ring, native | OF_PAIR, pair_key(native, python), words).unwrap_or(python)
    }

    /// Makes sure that the object in which `address` lies is defined in the ring, before the address's own node.
    #[cold]
    fn define_module(&mut self, ring: &mut Writer, address: usize) {
        let Some(process) = process::state() else { return };
        process.modules.describe(address, |module, path| {
            let serial = module.serial as usize;
            if self.told_modules.len() <= serial && !self.told_modules.resize_zeroed(serial + 1) {
                return;
            }
            let told = &mut self.told_modules.as_mut_slice()[serial];
            if *told == 0 && !path.is_empty() {
                *told = 1;
                let (start, end) = (module.start as u64, module.end as u64);
                let head = [start.to_le_bytes(), end.to_le_bytes(), module.file_offset.to_le_bytes()];
                ring.put_blob(BlobKind::Module, &[&head[0], &head[1], &head[2], path]);
            }
        });
    }

    #[inline]
    fn intern(&mut self, ring: &mut Writer, parent: Node, key: u64, words: [u64; 2]) -> Option<Node> {
        match self.find(parent, key) {
            Ok(node) => Some(node),
            Err(_) => self.define(ring, parent, key, words),
        }
    }

    /// The node, or the place where it belongs.
    #[inline]
    fn find(&self, parent: Node, key: u64) -> Result<Node, usize> {
        let table = self.table.as_slice();
        let mask = table.len().wrapping_sub(1);
        let mut place = key as usize & mask;
        // The table is at most half full, so a free entry ends the search.
        while let Some(entry) = table.get(place) {
            if entry.node == 0 {
                return Err(place);
            }
            if entry.key == key && entry.parent == parent {
                return Ok(entry.node);
            }
            place = (place + 1) & mask;
        }
        Err(0)
    }

    #[cold]
    fn define(&mut self, ring: &mut Writer, parent: Node, key: u64, words: [u64; 2]) -> Option<Node> {
        if self.nodes >= MOST || (self.nodes * 2 >= self.table.len() && !self.grow(ring)) {
            ring.header().cut.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
            return None;
        }
        if !ring.put(words) {
            return None;
        }
        self.nodes += 1;
        let node = self.nodes as Node;
        let place = self.find(parent, key).err()?;
        self.table.as_mut_slice()[place] = Entry { key, parent, node };
        Some(node)
    }

    fn grow(&mut self, ring: &mut Writer) -> bool {
        let mut larger = Pages::default();
        if !larger.resize_zeroed((self.table.len() * 2).max(FIRST_CAPACITY)) {
            return false;
        }
        let mut old = core::mem::replace(&mut self.table, larger);
        for entry in old.as_slice().iter().filter(|entry| entry.node != 0) {
            if let Err(place) = self.find(entry.parent, entry.key) {
                self.table.as_mut_slice()[place] = *entry;
            }
        }
        let grown = self.table.bytes().saturating_sub(old.bytes());
        ring.header().shim_bytes.fetch_add(grown as u64, core::sync::atomic::Ordering::Relaxed);
        old.release();
        true
    }
}

/// What a frame is known by among those called from one stack, of which `seed` is a number: no two frames have the same,
/// because each step can be undone. Its low bits are a place in the table: they depend on every bit of both.
#[inline(always)]
fn key(seed: u64, frame: u64) -> u64 {
    let mixed = (frame.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    mixed ^ mixed >> 32
}

/// The key of a native frame on a stack with this key. The seed is the stack's key, not its node as for the others: so the
/// keys of a whole path are known before any of its nodes is, and their memory can be fetched at once.
#[inline(always)]
pub fn native_key(parent: u64, address: u64, evaluates: bool) -> u64 {
    // An address means another function in another period.
    let period = u64::from(modules::period()) % (1 << PERIOD_BITS);
    key(parent, NATIVE | u64::from(evaluates) << 62 | period << CODE_BITS | (address & CODE_MASK))
}

#[inline(always)]
fn pair_key(native: Node, python: Node) -> u64 {
    key(u64::from(native), PAIR | u64::from(python))
}
