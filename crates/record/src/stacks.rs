//! A writing thread's stacks: the nodes that it has defined, and the stacks of the capture that they are. A node becomes
//! one of those when an event uses it.

use crate::dictionary::Dictionary;
use heaptide_analyze::tally::RowId;
use heaptide_format::ids::{FrameId, StackId};

/// What the thread said of a node.
#[derive(Clone, Copy, Debug)]
pub enum Node {
    /// No frame.
    Empty,
    /// A frame called from the stack of another node.
    Frame {
        /// That node.
        parent: u32,
        /// The frame.
        frame: FrameId,
        /// A Python frame that C called, or a native one that evaluates Python frames: where the two kinds meet.
        meets: bool,
    },
    /// The native and the Python stack of one instant.
    Pair {
        /// The native one.
        native: u32,
        /// The Python one.
        python: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    node: Node,
    /// The same stack in the capture, once an event has used it or one that stands on it.
    stack: Option<StackId>,
    /// Its row in the account, once an event has used it.
    row: Option<RowId>,
}

/// The stacks of a thread, by node number.
#[derive(Debug)]
pub struct Stacks {
    entries: Vec<Entry>,
    /// Frames of a stack while it is put together, innermost first.
    frames: Vec<FrameId>,
}

impl Default for Stacks {
    /// Node 0, the empty stack.
    fn default() -> Self {
        let empty = Entry { node: Node::Empty, stack: Some(StackId::EMPTY), row: None };
        Self { entries: vec![empty], frames: Vec::new() }
    }
}

impl Stacks {
    /// The next node.
    pub fn define(&mut self, node: Node) {
        self.entries.push(Entry { node, stack: None, row: None });
    }

    /// The row of a node's stack, which `find` gives the first time. Nodes that do not exist count as the empty stack.
    #[inline]
    pub fn row(&mut self, node: usize, dictionary: &mut Dictionary, find: impl FnOnce(StackId) -> RowId) -> RowId {
        let node = if node < self.entries.len() { node } else { 0 };
        if let Some(row) = self.entries[node].row {
            return row;
        }
        let row = find(self.stack(node as u32, dictionary));
        self.entries[node].row = Some(row);
        row
    }

    /// The stack of the capture that a node is.
    fn stack(&mut self, node: u32, dictionary: &mut Dictionary) -> StackId {
        // Outwards to the first that is known, then back.
        let mut unknown = Vec::new();
        let mut at = node;
        let mut stack = loop {
            let Some(entry) = self.entries.get(at as usize) else { break StackId::EMPTY };
            match (entry.stack, entry.node) {
                (Some(stack), _) => break stack,
                (None, Node::Frame { parent, frame, .. }) => {
                    unknown.push((at, frame));
                    // A node comes after its parent; a damaged ring could say otherwise.
                    if parent >= at {
                        break StackId::EMPTY;
                    }
                    at = parent;
                }
                (None, Node::Pair { native, python }) => {
                    let stack = self.joined(native, python, dictionary);
                    self.entries[at as usize].stack = Some(stack);
                    break stack;
                }
                (None, Node::Empty) => break StackId::EMPTY,
            }
        };
        for (node, frame) in unknown.into_iter().rev() {
            stack = dictionary.stack(stack, frame);
            self.entries[node as usize].stack = Some(stack);
        }
        stack
    }

    /// One stack of a native and a Python one. From the innermost frame outwards, each native frame that evaluates Python
    /// frames is replaced by those it ran: up to the first that C called. Python frames for which none is left (the native
    /// stack is cut) are the outermost; native ones for which no Python frames are left (a greenlet's stack begins
    /// inside them) stay what they are.
    fn joined(&mut self, native: u32, python: u32, dictionary: &mut Dictionary) -> StackId {
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        let mut python = self.outwards(python).peekable();
        for (frame, evaluates) in self.outwards(native) {
            if !evaluates || python.peek().is_none() {
                frames.push(frame);
                continue;
            }
            for (frame, is_entry) in python.by_ref() {
                frames.push(frame);
                if is_entry {
                    break;
                }
            }
        }
        frames.extend(python.map(|(frame, _)| frame));
        let stack = frames.iter().rev().fold(StackId::EMPTY, |stack, frame| dictionary.stack(stack, *frame));
        self.frames = frames;
        stack
    }

    /// The frames of a node's stack, innermost first, and whether they are where the two kinds meet.
    fn outwards(&self, node: u32) -> impl Iterator<Item = (FrameId, bool)> + '_ {
        let mut at = node;
        std::iter::from_fn(move || match self.entries.get(at as usize)?.node {
            Node::Frame { parent, frame, meets } => {
                at = if parent < at { parent } else { 0 };
                Some((frame, meets))
            }
            Node::Empty | Node::Pair { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::capture::definitions::FrameDef;

    /// The addresses of the frames of the stack that the nodes' last one is, outermost first.
    fn stack_of(nodes: &[Node]) -> Vec<u64> {
        let mut dictionary = Dictionary::default();
        // Frame n is that of address n.
        for address in 0..20 {
            dictionary.frame(FrameDef::Unknown { address });
        }
        let mut stacks = Stacks::default();
        nodes.iter().for_each(|node| stacks.define(*node));
        let stack = stacks.stack(nodes.len() as u32, &mut dictionary);
        let defined = dictionary.take_fresh().nodes;
        let mut frames = Vec::new();
        let mut at = stack;
        while let Some(place) = at.index().checked_sub(1) {
            frames.push(u64::from(defined[place].frame.0));
            at = defined[place].parent;
        }
        frames.reverse();
        // No stack is defined that nothing stands on.
        assert_eq!(defined.len(), frames.len());
        frames
    }

    fn frame(parent: u32, frame: u32) -> Node {
        Node::Frame { parent, frame: FrameId(frame), meets: false }
    }

    fn meeting(parent: u32, frame: u32) -> Node {
        Node::Frame { parent, frame: FrameId(frame), meets: true }
    }

    #[test]
    fn python_frames_stand_where_their_evaluation_stood() {
        // main, evaluation, sort, evaluation, malloc's caller; module (entry) and function, key function (entry).
        let native = [frame(0, 1), meeting(1, 2), frame(2, 3), meeting(3, 2), frame(4, 4)];
        let python = [meeting(0, 11), frame(6, 12), meeting(7, 13)];
        let nodes = [&native[..], &python, &[Node::Pair { native: 5, python: 8 }]].concat();
        assert_eq!(stack_of(&nodes), [1, 11, 12, 3, 13, 4]);
    }

    #[test]
    fn what_has_no_partner_stays() {
        // The native stack is cut inside the outer evaluation.
        let cut = [frame(0, 0), frame(1, 3), meeting(2, 2), frame(3, 4)];
        let python = [meeting(0, 11), frame(5, 12), meeting(6, 13)];
        let nodes = [&cut[..], &python, &[Node::Pair { native: 4, python: 7 }]].concat();
        assert_eq!(stack_of(&nodes), [11, 12, 0, 3, 13, 4]);
        // A greenlet: the outer evaluation runs another stack's frames.
        let native = [frame(0, 1), meeting(1, 2), frame(2, 3), meeting(3, 2), frame(4, 4)];
        let python = [meeting(0, 13)];
        let nodes = [&native[..], &python, &[Node::Pair { native: 5, python: 6 }]].concat();
        assert_eq!(stack_of(&nodes), [1, 2, 3, 13, 4]);
    }

    #[test]
    fn a_node_that_names_itself_ends_there() {
        assert_eq!(stack_of(&[frame(1, 5)]), [5]);
        assert_eq!(stack_of(&[Node::Pair { native: 1, python: 1 }]), []);
    }
}
