//! A call tree: frames called from frames, each node with amounts of its own.
//!
//! Parents stand before their children, so one pass backwards adds everything up and no walk needs recursion, however
//! deep the stacks are. What the amounts mean is the owner's: [`crate::profile`] and [`crate::diff`].

use heaptide_format::capture::summary::Amount;
use rustc_hash::FxHashMap;

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
    known: FxHashMap<Node, NodeId>,
}

impl CallTree {
    /// The node of this frame called from that node, made if it is new.
    pub fn insert(&mut self, parent: Option<NodeId>, frame: u32) -> NodeId {
        let next = NodeId(self.nodes.len() as u32);
        let node = Node { parent, frame };
        *self.known.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            next
        })
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
        let mut children = Children { outermost: Vec::new(), of: vec![Vec::new(); self.nodes.len()] };
        for (node, id) in self.nodes.iter().zip((0u32..).map(NodeId)).filter(|(_, id)| keep(*id)) {
            match node.parent {
                Some(parent) => children.of[parent.index()].push(id),
                None => children.outermost.push(id),
            }
        }
        children
    }
}

/// Who calls whom.
#[derive(Clone, Debug)]
pub struct Children {
    /// Nodes without caller.
    pub outermost: Vec<NodeId>,
    /// By caller.
    pub of: Vec<Vec<NodeId>>,
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
        assert_eq!(tree.children(|_| true).of[0], [left, right]);
    }
}
