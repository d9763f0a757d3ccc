//! Names of asyncio's tasks: a frame more in the stack, above `Handle._run`, for what runs in a task.
//!
//! The event loop calls everything through `Handle._run` (asyncio/events.py). From its frame the task can be found that
//! it runs, with its name (see [`handle`]), while the thread holds the GIL. Without the GIL, and for tasks that are not
//! the interpreter's own (in Python, of uvloop), and those that begin eagerly, there is no such frame.
//!
//! The same frame of `_run` runs one handle after another, with the same address, code and instruction: so for each such
//! frame of the kept chain the name is read again at every event and compared with the one it was filed under.

mod handle;
mod layout;
mod names;

pub use handle::{is_handles_run, prepare};

use super::codes::Codes;
use super::offsets::Offsets;
use crate::ring::Writer;
use crate::stacks::{Node, Stacks};
use names::{Name, Names};

/// Loops that may run inside another, in one thread, and have names.
const MOST_RUNS: usize = 4;

/// A frame of `Handle._run` in the kept chain.
#[derive(Clone, Copy)]
#[repr(C)]
struct Run {
    /// Which link it is.
    link: usize,
    name: Name,
}

/// The frames of `Handle._run` in a thread's chain, and the names that it has described.
#[repr(C)]
pub struct Tasks {
    count: usize,
    runs: [Run; MOST_RUNS],
    names: Names,
}

impl Default for Tasks {
    fn default() -> Self {
        let run = Run { link: 0, name: Name::NOTHING };
        Self { count: 0, runs: [run; MOST_RUNS], names: Names::default() }
    }
}

impl Tasks {
    /// Bytes it holds beside itself.
    pub fn bytes(&self) -> usize {
        self.names.bytes()
    }

    /// Forgets everything: a new thread begins in this ring.
    pub fn clear(&mut self) {
        self.names.clear();
        self.count = 0;
    }

    /// Whether the chain has no frame of `Handle._run`.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets the frames from link `valid` on: they are about to be read anew.
    #[inline(always)]
    pub fn forget_from(&mut self, valid: usize) {
        while self.count > 0 && self.runs[self.count - 1].link >= valid {
            self.count -= 1;
        }
    }

    /// How many links are as they were, if `valid` of them look like it, of a stack that has `total` now.
    ///
    /// # Safety
    /// `frame_of` gives the frame of a link; those below `valid` are on the stack of this thread, whose state is `state`.
    #[cold]
    #[inline(never)]
    pub unsafe fn still_valid(
        &self,
        valid: usize,
        total: usize,
        state: usize,
        offsets: &Offsets,
        frame_of: impl Fn(usize) -> usize,
    ) -> usize {
        let runs = self.runs[..self.count].iter().take_while(|run| run.link < valid);
        // SAFETY: the caller's promise.
        let mut changed = runs.filter(
            |run| unsafe { handle::name_above(frame_of(run.link), run.link + 1 == total, state, offsets) } != run.name,
        );
        changed.next().map_or(valid, |run| run.link)
    }

    /// The stack above a frame of `Handle._run` that has the stack `node` and is link `link` of `total`.
    ///
    /// # Safety
    /// `frame` is one, on the stack of this thread, whose state is `state`.
    #[cold]
    #[inline(never)]
    pub unsafe fn above(
        &mut self,
        (codes, stacks, ring): (&mut Codes, &mut Stacks, &mut Writer),
        node: Node,
        (link, total): (usize, usize),
        (frame, state): (usize, usize),
        offsets: &Offsets,
    ) -> Node {
        if self.count >= MOST_RUNS {
            return node;
        }
        // SAFETY: the caller's promise.
        let name = unsafe { handle::name_above(frame, link + 1 == total, state, offsets) };
        self.runs[self.count] = Run { link, name };
        self.count += 1;
        if name == Name::NOTHING {
            return node;
        }
        // What cannot be described is left out, as with any other frame.
        self.names
            .number(codes, ring, &name, offsets)
            .and_then(|number| stacks.python(ring, node, (number, -1), false))
            .unwrap_or(node)
    }
}
