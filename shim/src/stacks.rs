//! A thread's stacks: a trie whose nodes are numbered in the order in which they are defined in the thread's ring.
//!
//! A stack is a node: a frame called from another stack. Finding the node of a known pair costs one probe of a hash
//! table; a new one is written to the ring before the first event that uses it.

use crate::memory::Pages;
use crate::native;
use crate::ring::Writer;
use heaptide_format::wire::{definition, kind, word0};

/// A node of the writing thread's trie; 0 is the empty stack.
pub type Node = u32;

#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    /// The frame: code << 32 | instruction for Python, the return address with the top bit set for native.
    frame: u64,
    parent: Node,
    /// 0: the entry is free.
    node: Node,
}

/// Nodes a thread may have: 16 million, 512 MiB of table. Beyond, stacks are cut (and counted).
const MOST: usize = 1 << 24;
const FIRST_CAPACITY: usize = 1024;
const NATIVE: u64 = 1 << 63;

/// The trie.
#[derive(Default)]
#[repr(C)]
pub struct Stacks {
    table: Pages<Entry>,
    nodes: usize,
    /// Native frames recur at once more often than not: the last one is kept apart, with the period it is known for.
    last_native: (u64, Node, u32),
}

impl Stacks {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Room for nodes: what it holds grows when this does.
    #[inline(always)]
    pub fn places(&self) -> usize {
        self.table.len()
    }

    /// Forgets all nodes: a new thread begins in this ring.
    pub fn clear(&mut self) {
        self.table.truncate(0);
        self.nodes = 0;
        self.last_native = (0, 0, 0);
    }

    /// The stack of a Python frame called from `parent`. `None` if it could not be defined.
    #[inline]
    pub fn python(&mut self, ring: &mut Writer, parent: Node, code: u32, instruction: i32) -> Option<Node> {
        // `code` counts from 0 and stays far below 2^31.
        let frame = u64::from(code) << 32 | u64::from(instruction as u32);
        let words = [word0(kind::DEFINITION, definition::PYTHON_NODE, u64::from(parent)), frame];
        self.intern(ring, parent, frame, words)
    }

    /// The stack of one native frame, if it has been defined.
    #[inline(always)]
    pub fn known_native(&mut self, address: u64) -> Option<Node> {
        let (known, node, period) = self.last_native;
        if known == address && period == native::period() { Some(node) } else { self.find_native(address) }
    }

    #[inline(never)]
    fn find_native(&mut self, address: u64) -> Option<Node> {
        let period = native::period();
        let node = self.find(period, address | NATIVE).ok()?;
        self.last_native = (address, node, period);
        Some(node)
    }

    /// Defines the stack of one native frame. `None` if it could not be.
    #[cold]
    pub fn define_native(&mut self, ring: &mut Writer, address: u64) -> Option<Node> {
        // Native frames have no parent here: the period takes its place in the table.
        self.define(
            ring,
            native::period(),
            address | NATIVE,
            [word0(kind::DEFINITION, definition::NATIVE_NODE, address), 0],
        )
    }

    #[inline]
    fn intern(&mut self, ring: &mut Writer, parent: Node, frame: u64, words: [u64; 2]) -> Option<Node> {
        match self.find(parent, frame) {
            Ok(node) => Some(node),
            Err(_) => self.define(ring, parent, frame, words),
        }
    }

    /// The node, or the place where it belongs.
    #[inline]
    fn find(&self, parent: Node, frame: u64) -> Result<Node, usize> {
        let table = self.table.as_slice();
        let mask = table.len().wrapping_sub(1);
        let mut place = hash(parent, frame) as usize & mask;
        // The table is at most half full, so a free entry ends the search.
        while let Some(entry) = table.get(place) {
            if entry.node == 0 {
                return Err(place);
            }
            if entry.frame == frame && entry.parent == parent {
                return Ok(entry.node);
            }
            place = (place + 1) & mask;
        }
        Err(0)
    }

    #[cold]
    fn define(&mut self, ring: &mut Writer, parent: Node, frame: u64, words: [u64; 2]) -> Option<Node> {
        if self.nodes >= MOST || (self.nodes * 2 >= self.table.len() && !self.grow()) {
            ring.header().cut.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
            return None;
        }
        if !ring.put(words) {
            return None;
        }
        self.nodes += 1;
        let node = self.nodes as Node;
        let place = self.find(parent, frame).err()?;
        self.table.as_mut_slice()[place] = Entry { frame, parent, node };
        Some(node)
    }

    fn grow(&mut self) -> bool {
        let mut larger = Pages::default();
        if !larger.resize_zeroed((self.table.len() * 2).max(FIRST_CAPACITY)) {
            return false;
        }
        let mut old = core::mem::replace(&mut self.table, larger);
        for entry in old.as_slice().iter().filter(|entry| entry.node != 0) {
            if let Err(place) = self.find(entry.parent, entry.frame) {
                self.table.as_mut_slice()[place] = *entry;
            }
        }
        old.release();
        true
    }
}

#[inline(always)]
fn hash(parent: Node, frame: u64) -> u64 {
    // Two rounds: the low bits that are used must depend on every bit of both.
    let mixed = (frame.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(parent)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    mixed ^ mixed >> 32
}
