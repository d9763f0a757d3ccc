//! Stacks that the user wants cut (`--max-depth`): only the innermost frames, below them one that says so.
//!
//! What the chain of `walk.rs` keeps are stacks from the outermost frame on, which a cut at the other end would change at
//! each call. So here the innermost frames are read anew at each event and compared with those that were read last: a
//! chase of that many pointers, and no new search for what has not changed.

use super::codes::{Codes, read};
use super::offsets::{Offsets, executable};
use super::tasks::Tasks;
use super::walk;
use crate::memory::Pages;
use crate::ring::Writer;
use crate::stacks::{Node, Stacks};
use core::sync::atomic::Ordering;

/// What a cut stack begins with, as its outermost frame.
const CUT: (&[u8], &[u8]) = (b"[cut at --max-depth]", b"<not recorded>");

/// A frame as it was read.
#[derive(Clone, Copy)]
#[repr(C)]
struct Seen {
    frame: usize,
    code: usize,
    instruction: usize,
    /// The stack up to and with this frame.
    node: Node,
}

/// The innermost frames of a thread when they were read last.
#[derive(Default)]
#[repr(C)]
pub struct Window {
    /// Innermost first: what is being read.
    fresh: Pages<Seen>,
    /// Outermost first: what was read last.
    seen: Pages<Seen>,
    /// What `seen` begins at: the empty stack, or the node of the cut.
    root: Node,
    /// [`super::codes::deaths`] when it was read.
    deaths: u32,
    /// Number of the pseudo code of a cut plus 1; 0: not described yet.
    cut: u32,
}

impl Window {
    /// Bytes it holds beside itself.
    pub fn bytes(&self) -> usize {
        self.fresh.bytes() + self.seen.bytes()
    }

    /// Forgets everything: a new thread begins in this ring.
    pub fn clear(&mut self) {
        self.seen.truncate(0);
        (self.root, self.cut) = (0, 0);
    }

    /// The stack of the innermost `depth` frames from `top` on, the innermost frame of the calling thread,
    /// whose state is `state`.
    pub fn read(
        &mut self,
        (codes, tasks, stacks, ring): (&mut Codes, &mut Tasks, &mut Stacks, &mut Writer),
        (top, state): (usize, usize),
        depth: usize,
        deaths: u32,
        offsets: &Offsets,
    ) -> Node {
        self.fresh.truncate(0);
        let mut frame = top;
        let mut is_cut = false;
        while frame != 0 {
            // SAFETY: `frame` is on the stack of this thread, hence alive.
            let seen = unsafe { seen(frame, offsets) };
            if walk::is_shown(frame, seen.code, offsets) {
                is_cut = self.fresh.len() >= depth;
                if is_cut || !self.fresh.push(seen) {
                    break;
                }
            }
            // SAFETY: as above.
            frame = unsafe { read(frame, offsets.frame_previous) };
        }
        let mut root = 0;
        if is_cut {
            ring.header().cut.fetch_add(1, Ordering::Relaxed);
            root = self.cut_node(codes, stacks, ring, offsets);
        }
        let mut is_known = self.root == root && self.deaths == deaths;
        (self.root, self.deaths) = (root, deaths);
        let mut node = root;
        tasks.forget_from(0);
        for (index, fresh) in self.fresh.as_slice().iter().rev().enumerate() {
            // Whose handle a frame of asyncio runs is not to be seen from the frame.
            let runs_handles = codes.runs_handles(fresh.code);
            if is_known
                && !runs_handles
                && let Some(old) = self.seen.as_slice().get(index)
                && (old.frame, old.code, old.instruction) == (fresh.frame, fresh.code, fresh.instruction)
            {
                node = old.node;
                continue;
            }
            is_known = false;
            let number = walk::number_of(codes, ring, fresh.frame, fresh.code, offsets);
            node = walk::node_of(stacks, ring, node, number, (fresh.frame, fresh.code, fresh.instruction), offsets);
            if codes.runs_handles(fresh.code) {
                let place = (index, self.fresh.len());
                // SAFETY: the frame is on the stack of this thread, and runs the code of `Handle._run`.
                node = unsafe { tasks.above((codes, stacks, ring), node, place, (fresh.frame, state), offsets) };
            }
            let seen = Seen { node, ..*fresh };
            if let Some(slot) = self.seen.as_mut_slice().get_mut(index) {
                *slot = seen;
            } else {
                // Without memory for it the next reading compares with fewer frames.
                self.seen.push(seen);
            }
        }
        self.seen.truncate(self.fresh.len());
        node
    }

    fn cut_node(&mut self, codes: &mut Codes, stacks: &mut Stacks, ring: &mut Writer, offsets: &Offsets) -> Node {
        if self.cut == 0 {
            let (name, file) = CUT;
            // If it cannot be described, tracing has ended.
            self.cut = codes.pseudo(ring, (name, 1), file, offsets).map_or(0, |number| number + 1);
        }
        self.cut.checked_sub(1).and_then(|number| stacks.python(ring, 0, (number, -1), false)).unwrap_or(0)
    }
}

/// # Safety
/// `frame` is a live frame.
unsafe fn seen(frame: usize, offsets: &Offsets) -> Seen {
    // SAFETY: the caller's promise; `f_lasti`, an int, where the version has no pointer to the instruction.
    let (code, instruction) = unsafe {
        let instruction = if offsets.code_first_instruction.is_some() {
            read::<usize>(frame, offsets.frame_instruction)
        } else {
            read::<u32>(frame, offsets.frame_instruction) as usize
        };
        (executable(read(frame, offsets.frame_code)), instruction)
    };
    Seen { frame, code, instruction, node: 0 }
}
