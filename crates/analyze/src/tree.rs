//! The call tree as lines of an outline: the widest path first, what is too small to matter in one line.

use crate::call_tree::NodeId;
use crate::profile::{Metric, Profile};
use heaptide_format::capture::summary::Amount;

/// A line of the outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Branchings above it. A frame that is its caller's only callee stands under it without a new level, so that a
    /// stack of a thousand frames is a list, not a staircase.
    pub level: u32,
    /// What it says.
    pub entry: Entry,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A frame.
    Node {
        /// Which.
        node: NodeId,
        /// It and all it called.
        total: Amount,
        /// It alone.
        own: Amount,
    },
    /// Callees of the frame above that are below the threshold one by one, but not together.
    Rest {
        /// How many.
        nodes: usize,
        /// All together.
        total: Amount,
    },
}

/// The outline of one metric. What has less than `least_bytes` is not worth a line: not as a node, not as a rest.
pub fn outline(profile: &Profile, metric: Metric, least_bytes: u64) -> Vec<Line> {
    // What has no bytes is never worth one.
    let least_bytes = least_bytes.max(1);
    let own = profile.own(metric);
    let totals = profile.tree.totals(&own);
    let children = profile.tree.children(|_| true);
    let mut lines = Vec::new();
    // In reverse: the last is looked at next.
    let mut open = callees(&children.outermost, &totals, &own, least_bytes, None);
    while let Some(line) = open.pop() {
        lines.push(line);
        if let Entry::Node { node, .. } = line.entry {
            open.extend(callees(children.of(node), &totals, &own, least_bytes, Some(line)));
        }
    }
    lines
}

/// The lines for what `caller` calls, in reverse order.
fn callees(nodes: &[NodeId], totals: &[Amount], own: &[Amount], least_bytes: u64, caller: Option<Line>) -> Vec<Line> {
    let is_small = |node: &NodeId| totals[node.index()].bytes < least_bytes;
    let (small, mut large): (Vec<NodeId>, Vec<NodeId>) = nodes.iter().copied().partition(is_small);
    large.sort_by_key(|node| (totals[node.index()].bytes, std::cmp::Reverse(*node)));
    let rest: Amount = small.iter().map(|node| totals[node.index()]).sum();
    let has_rest = rest.bytes >= least_bytes;
    let level = match caller {
        None => 0,
        Some(Line { level, entry: Entry::Node { own, .. } }) => {
            let branches = large.len() > 1 || has_rest || own.bytes >= least_bytes;
            level + u32::from(branches)
        }
        Some(Line { level, .. }) => level,
    };
    let rest = has_rest.then_some(Line { level, entry: Entry::Rest { nodes: small.len(), total: rest } });
    let line =
        |node: NodeId| Line { level, entry: Entry::Node { node, total: totals[node.index()], own: own[node.index()] } };
    rest.into_iter().chain(large.into_iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Frame;
    use crate::profile::tests::{profile, python};

    fn check(stacks: &[(&[&Frame], u64)], least_bytes: u64, expected: &[&str]) {
        let profile = profile(stacks);
        let text: Vec<String> = outline(&profile, Metric::Peak, least_bytes)
            .iter()
            .map(|line| match line.entry {
                Entry::Node { node, total, own } => {
                    format!("{} {} {}/{}", line.level, profile.frame(node).function, total.bytes, own.bytes)
                }
                Entry::Rest { nodes, total } => format!("{} +{nodes} {}", line.level, total.bytes),
            })
            .collect();
        assert_eq!(text, expected);
    }

    #[test]
    fn the_widest_path_comes_first() {
        let [main, small, wide, inner, tiny] =
            ["main", "small", "wide", "inner", "tiny"].map(|name| python(name, "/app/main.py", 1));
        let stacks: [(&[&Frame], u64); 4] =
            [(&[&main, &small], 10), (&[&main, &wide, &inner], 100), (&[&main, &tiny], 3), (&[&main, &inner], 3)];
        check(&stacks, 5, &["0 main 116/0", "1 wide 100/0", "1 inner 100/100", "1 small 10/10", "1 +2 6"]);
        // The rest is not worth a line either, and what is left is no branching.
        check(&stacks, 20, &["0 main 116/0", "0 wide 100/0", "0 inner 100/100"]);
    }

    #[test]
    fn a_stack_of_many_frames_is_a_list() {
        let frame = python("recurse", "/app/main.py", 1);
        let stack = vec![&frame; 20_000];
        let lines = outline(&profile(&[(&stack, 7)]), Metric::Peak, 1);
        assert_eq!(lines.len(), 20_000);
        assert!(lines.iter().all(|line| line.level == 0));
    }
}
