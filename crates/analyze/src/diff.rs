//! Two captures side by side, matched by names: the same functions of the same files called in the same order are one
//! node, at whatever lines and addresses they stand.

use crate::call_tree::{CallTree, NodeId};
use crate::frames::{Frame, FrameKind};
use crate::profile::{Amounts, Metric, Profile};
use crate::sites::base_name;
use heaptide_format::capture::summary::Amount;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Two profiles in one tree.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// The frames of the tree; where both sides have one, line and path are those of the side after. The line is 0 if
    /// it is not one line only.
    pub frames: Vec<Frame>,
    /// Its nodes.
    pub tree: CallTree,
    /// Own amounts by [`NodeId`], before.
    pub before: Vec<Amounts>,
    /// Own amounts by [`NodeId`], after.
    pub after: Vec<Amounts>,
    /// What was allocated on stacks without any frame, before.
    pub bare_before: Amounts,
    /// The same, after.
    pub bare_after: Amounts,
    /// Everything before, stacks without frames included.
    pub total_before: Amounts,
    /// Everything after.
    pub total_after: Amounts,
}

/// A stack whose amount is not the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its innermost node.
    pub node: NodeId,
    /// What it had.
    pub before: Amount,
    /// What it has.
    pub after: Amount,
}

impl Change {
    /// Bytes more (less, if negative) than before.
    pub fn growth(&self) -> i128 {
        i128::from(self.after.bytes) - i128::from(self.before.bytes)
    }
}

impl Diff {
    /// From `before` to `after`.
    pub fn of(before: &Profile, after: &Profile) -> Self {
        let mut merger = Merger { same_file: match_files(&before.frames, &after.frames), ..Merger::default() };
        merger.add(after, false);
        merger.add(before, true);
        let Merger { mut diff, .. } = merger;
        let nodes = diff.tree.nodes().len();
        diff.before.resize(nodes, Amounts::default());
        diff.after.resize(nodes, Amounts::default());
        (diff.bare_before, diff.bare_after) = (before.bare, after.bare);
        (diff.total_before, diff.total_after) = (before.total, after.total);
        diff
    }

    /// The stacks that changed in this metric, the largest change of bytes first.
    pub fn changes(&self, metric: Metric) -> Vec<Change> {
        let sides = self.before.iter().zip(&self.after).zip((0u32..).map(NodeId));
        let mut changes: Vec<Change> = sides
            .map(|((before, after), node)| Change { node, before: before.of(metric), after: after.of(metric) })
            .filter(|change| change.before != change.after)
            .collect();
        changes.sort_by_key(|change| (std::cmp::Reverse(change.growth().unsigned_abs()), change.node));
        changes
    }

    /// The frames from a node outwards, innermost first.
    pub fn path(&self, node: NodeId) -> impl Iterator<Item = &Frame> {
        self.tree.path(node).map(|frame| &self.frames[frame as usize])
    }
}

#[derive(Debug, Default)]
struct Merger {
    /// For files of the side before, the file of the side after that is the same one.
    same_file: FxHashMap<Arc<str>, Arc<str>>,
    /// By function and file (as the side after has it).
    known: FxHashMap<(Arc<str>, Arc<str>), u32>,
    /// For each frame, whether it is the side before that gave it its line.
    from_before: Vec<bool>,
    diff: Diff,
}

impl Merger {
    fn add(&mut self, profile: &Profile, is_before: bool) {
        let frames: Vec<u32> = profile.frames.iter().map(|frame| self.frame(frame, is_before)).collect();
        let mut places: Vec<NodeId> = Vec::with_capacity(profile.tree.nodes().len());
        for (node, own) in profile.tree.nodes().iter().zip(&profile.own) {
            let parent = node.parent.map(|parent| places[parent.index()]);
            let place = self.diff.tree.insert(parent, frames[node.frame as usize]);
            places.push(place);
            let side = if is_before { &mut self.diff.before } else { &mut self.diff.after };
            if side.len() <= place.index() {
                side.resize(place.index() + 1, Amounts::default());
            }
            side[place.index()] += *own;
        }
    }

    fn frame(&mut self, frame: &Frame, is_before: bool) -> u32 {
        let same = is_before.then(|| self.same_file.get(&frame.file)).flatten();
        let file = same.unwrap_or(&frame.file).clone();
        // Offsets in an object change with every build of it.
        let function: Arc<str> = if frame.nameless { base_name(&file).into() } else { frame.function.clone() };
        let next = self.diff.frames.len() as u32;
        let place = *self.known.entry((function.clone(), file.clone())).or_insert(next);
        if place == next {
            self.diff.frames.push(Frame { function, file, ..frame.clone() });
            self.from_before.push(is_before);
        } else if self.from_before[place as usize] == is_before && self.diff.frames[place as usize].line != frame.line {
            // Several lines of the function are one frame here.
            self.diff.frames[place as usize].line = 0;
            self.diff.frames[place as usize].source = None;
        }
        place
    }
}

/// Which file after is which file before, where the paths are not the same: another checkout, another interpreter.
/// Matched by the longest common end of the paths, the file's name at least; what two files could claim stays apart.
fn match_files(before: &[Frame], after: &[Frame]) -> FxHashMap<Arc<str>, Arc<str>> {
    type File = (Arc<str>, FrameKind);
    let files = |frames: &[Frame]| -> FxHashSet<File> {
        frames.iter().map(|frame| (frame.file.clone(), frame.kind)).filter(|(file, _)| !file.is_empty()).collect()
    };
    let (before, after) = (files(before), files(after));
    let mut open_before: Vec<&File> = before.difference(&after).collect();
    let mut open_after: Vec<&File> = after.difference(&before).collect();
    let mut matched: FxHashMap<Arc<str>, Arc<str>> = FxHashMap::default();
    // The longest ends first. By name of the end, not file by file with every other: a thousand packages have a
    // thousand `__init__.py`.
    for parts in (1..=MOST_COMMON_PARTS).rev() {
        let mut by_end: FxHashMap<(&str, FrameKind), [Vec<&File>; 2]> = FxHashMap::default();
        for (side, files) in [&open_before, &open_after].into_iter().enumerate() {
            for file in files {
                if let Some(end) = last_parts(&file.0, parts) {
                    by_end.entry((end, file.1)).or_default()[side].push(file);
                }
            }
        }
        let mut taken: FxHashSet<&File> = FxHashSet::default();
        for [before, after] in by_end.into_values().filter(|[before, after]| !before.is_empty() && !after.is_empty()) {
            if let ([file], [other]) = (&before[..], &after[..]) {
                matched.insert(file.0.clone(), other.0.clone());
            }
            // Claimed twice: a shorter common end would not decide it better.
            taken.extend(after);
        }
        open_before.retain(|file| !matched.contains_key(&file.0));
        open_after.retain(|file| !taken.contains(file));
    }
    matched
}

/// Parts of two paths that are compared at most. Deeper ones do not tell files apart that these do not.
const MOST_COMMON_PARTS: usize = 24;

/// The last so many parts of a path; `None` if it has fewer.
fn last_parts(path: &str, parts: usize) -> Option<&str> {
    match path.rmatch_indices('/').nth(parts - 1) {
        Some((at, _)) => Some(&path[at + 1..]),
        // The whole of it has one part more than separators.
        None => (path.matches('/').count() + 1 == parts).then_some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::{native, profile, python};

    fn growth(diff: &Diff) -> Vec<(String, u64, u64)> {
        let function = |change: &Change| diff.path(change.node).next().unwrap().function.to_string();
        diff.changes(Metric::Peak).iter().map(|c| (function(c), c.before.bytes, c.after.bytes)).collect()
    }

    #[test]
    fn moved_lines_and_checkouts_are_the_same_stack() {
        let side = |root: &str, shift: u32, load: u64, parse: u64| {
            let main = python("main", &format!("{root}/main.py"), 10 + shift);
            let load_ = python("load", &format!("{root}/pkg/__init__.py"), 20 + shift);
            let parse_ = python("parse", &format!("{root}/other/__init__.py"), 30 + shift);
            profile(&[(&[&main, &load_], load), (&[&main, &parse_], parse), (&[&main], 5)])
        };
        let diff = Diff::of(&side("/home/a/app", 0, 100, 50), &side("/tmp/checkout", 7, 400, 20));
        assert_eq!(growth(&diff), [("load".into(), 100, 400), ("parse".into(), 50, 20)]);
        assert_eq!(diff.total_after.of(Metric::Peak).bytes, 425);
        assert_eq!(diff.tree.nodes().len(), 3);
        assert_eq!(diff.frames[0].line, 17);
    }

    #[test]
    fn what_only_one_side_has_is_growth_or_shrinkage() {
        let [main, old, new] = ["main", "old", "new"].map(|name| python(name, "/app/main.py", 1));
        let diff = Diff::of(&profile(&[(&[&main, &old], 30)]), &profile(&[(&[&main, &new], 70)]));
        assert_eq!(growth(&diff), [("new".into(), 0, 70), ("old".into(), 30, 0)]);
    }

    #[test]
    fn nameless_places_of_an_object_are_one() {
        let place = |function: &str| Frame { nameless: true, ..native(function, "/lib/libx.so.1") };
        let diff =
            Diff::of(&profile(&[(&[&place("libx.so.1+0x10")], 3)]), &profile(&[(&[&place("libx.so.1+0x90")], 3)]));
        assert_eq!(growth(&diff), []);
    }

    #[test]
    fn files_that_two_could_be_stay_apart() {
        let file = |path: &str| python("f", path, 1);
        let matched = match_files(&[file("/a/util.py")], &[file("/b/util.py"), file("/c/util.py")]);
        assert_eq!(matched, FxHashMap::default());
    }

    #[test]
    fn the_longest_common_end_decides() {
        let file = |path: &str| python("f", path, 1);
        let matched = match_files(
            &[file("/a/x/util.py"), file("/a/y/util.py"), file("main.py")],
            &[file("/b/y/util.py"), file("/b/x/util.py"), file("/c/main.py")],
        );
        let mut pairs: Vec<_> = matched.iter().map(|(file, other)| (&**file, &**other)).collect();
        pairs.sort_unstable();
        assert_eq!(
            pairs,
            [("/a/x/util.py", "/b/x/util.py"), ("/a/y/util.py", "/b/y/util.py"), ("main.py", "/c/main.py")]
        );
    }

    #[test]
    fn many_files_of_one_name_are_matched_in_no_time() {
        let files = |root: &str| -> Vec<Frame> {
            (0..20_000).map(|index| python("f", &format!("{root}/{index}/__init__.py"), 1)).collect()
        };
        // 400 million pairs would need 10 GB.
        assert_eq!(match_files(&files("/a"), &files("/b")).len(), 20_000);
    }
}
