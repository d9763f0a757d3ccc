//! A call tree: frames called from frames, each node with amounts of its own.
//!
//! Parents stand before their children, so one pass backwards adds everything up and no walk needs recursion, however
//! deep the stacks are. What the amounts mean is the owner's: [`crate::profile`] and [`crate::diff`].

use heaptide_format::capture::summary::Amount;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;

/// A node of a [`CallTree`], counted from 0; parents have smaller numbers than their children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// Its place in lists with one entry per node.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A frame called from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The calling node; `None` for an outermost frame.
    pub parent: Option<NodeId>,
    /// The frame, a place in the owner's list.
    pub frame: u32,
}

/// Nodes, each (caller, frame) once.
#[derive(Clone, Debug, Default)]
pub struct CallTree {
    nodes: Vec<Node>,
    /// A hash table of numbers of nodes, each counted from 1; 0: the place is free. A power of two of places, at most two
    /// thirds full. A map with the nodes as keys would be five times as large, and trees of millions of nodes occur.
    known: Vec<u32>,
}

impl CallTree {
    /// The node of this frame called from that node, made if it is new.
    pub fn insert(&mut self, parent: Option<NodeId>, frame: u32) -> NodeId {
        let node = Node { parent, frame };
        if self.nodes.len() * 3 >= self.known.len() * 2 {
            self.known = vec![0; (self.known.len() * 2).max(64)];
            for (index, node) in (1u32..).zip(&self.nodes) {
                let place = self.place(*node);
                self.known[place] = index;
            }
        }
        let place = self.place(node);
        if self.known[place] == 0 {
            self.nodes.push(node);
            self.known[place] = self.nodes.len() as u32;
        }
        NodeId(self.known[place] - 1)
    }

    /// Where the node is in `known`, or would be.
    fn place(&self, node: Node) -> usize {
        let mask = self.known.len() - 1;
        let hash = FxBuildHasher.hash_one(node);
        let mut place = (hash ^ hash >> 32) as usize & mask;
        while let Some(index) = self.known[place].checked_sub(1)
            && self.nodes[index as usize] != node
        {
            place = (place + 1) & mask;
        }
        place
    }

    /// All nodes, by [`NodeId`].
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The frames from this node outwards, innermost first.
    pub fn path(&self, node: NodeId) -> impl Iterator<Item = u32> {
        let mut next = Some(node);
        std::iter::from_fn(move || {
            let node = self.nodes[next?.index()];
            next = node.parent;
            Some(node.frame)
        })
    }

    /// Amounts with those of all callees, from own amounts by [`NodeId`].
    pub fn totals(&self, own: &[Amount]) -> Vec<Amount> {
        let mut totals = own.to_vec();
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if let Some(parent) = node.parent {
                let amount = totals[index];
                totals[parent.index()] += amount;
            }
        }
        totals
    }

    /// The callees of each node by [`NodeId`], and the outermost nodes; `keep` says which to list. Each list in the
    /// order of the nodes.
    pub fn children(&self, keep: impl Fn(NodeId) -> bool) -> Children {
        let kept = || self.nodes.iter().zip((0u32..).map(NodeId)).filter(|(_, id)| keep(*id));
        // First how many each has, then where the list of each ends; filled from behind, they are where they begin.
        let mut begins = vec![0u32; self.nodes.len() + 1];
        let callers = || kept().filter_map(|(node, _)| node.parent);
        callers().for_each(|caller| begins[caller.index()] += 1);
        let mut end = 0;
        for place in &mut begins {
            end += *place;
            *place = end;
        }
        let mut callees = vec![NodeId(0); end as usize];
        for index in (0..self.nodes.len()).rev() {
            let id = NodeId(index as u32);
            if let Some(caller) = self.nodes[index].parent.filter(|_| keep(id)) {
                begins[caller.index()] -= 1;
                callees[begins[caller.index()] as usize] = id;
            }
        }
        let outermost = kept().filter(|(node, _)| node.parent.is_none()).map(|(_, id)| id).collect();
        Children { outermost, begins, callees }
    }
}

/// Who calls whom.
#[derive(Clone, Debug)]
pub struct Children {
    /// Nodes without caller.
    pub outermost: Vec<NodeId>,
    /// Where the callees of each node begin in `callees`; they end where those of the next begin.
    begins: Vec<u32>,
    callees: Vec<NodeId>,
}

impl Children {
    /// Whom this node calls.
    pub fn of(&self, caller: NodeId) -> &[NodeId] {
        let [begin, end] = [0, 1].map(|next| self.begins[caller.index() + next] as usize);
        &self.callees[begin..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_hold_those_of_callees() {
        let mut tree = CallTree::default();
        let main = tree.insert(None, 0);
        let [left, right] = [1, 2].map(|frame| tree.insert(Some(main), frame));
        let deep = tree.insert(Some(left), 2);
        assert_eq!(tree.insert(Some(main), 2), right);
        let own = [1, 10, 100, 1000].map(|bytes| Amount { bytes, count: 1 });
        let totals: Vec<_> = tree.totals(&own).iter().map(|amount| (amount.bytes, amount.count)).collect();
        assert_eq!(totals, [(1111, 4), (1010, 2), (100, 1), (1000, 1)]);
        assert_eq!(tree.path(deep).collect::<Vec<_>>(), [2, 1, 0]);
        let children = tree.children(|_| true);
        assert_eq!((children.outermost.as_slice(), children.of(main)), (&[main][..], &[left, right][..]));
        assert_eq!((children.of(left), children.of(right), children.of(deep)), (&[deep][..], &[][..], &[][..]));
        let children = tree.children(|node| node != left);
        assert_eq!((children.of(main), children.of(left)), (&[right][..], &[deep][..]));
    }

    #[test]
    fn each_pair_is_one_node_however_many_there_are() {
        let mut tree = CallTree::default();
        let main = tree.insert(None, 7);
        for _ in 0..2 {
            for frame in 0..10_000 {
                let node = tree.insert(Some(main), frame);
                assert_eq!((node, tree.insert(Some(node), 3)), (NodeId(1 + 2 * frame), NodeId(2 + 2 * frame)));
            }
        }
        assert_eq!(tree.nodes().len(), 20_001);
    }
}
