//! Two captures side by side, matched by names: the same functions of the same files called in the same order are one
//! node, at whatever lines and addresses they stand.
//!
//! What is matched how: files by the ends of their paths ([`files`](self)), functions by name, also where only one side
//! knows the class of a method, and lines, where they matter, by their distance from the function's first one and by
//! their text. Functions without name are matched by where they begin, if that is in one build of their object. Whether the
//! captures are of one program at all is for [`programs`] to say.

mod files;
mod functions;
mod lines;
pub mod programs;
mod rows;

use crate::call_tree::{CallTree, NodeId};
use crate::filter::{Filter, pruned};
use crate::frames::{Frame, FrameKind, KnownBy};
use crate::instants::Span;
use crate::profile::{Amounts, Metric, Profile};
use crate::sites::base_name;
use files::match_files;
use functions::match_functions;
use heaptide_format::capture::summary::Amount;
use lines::{Line, match_lines};
pub use rows::Row;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
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
    /// What the reader has to know of the comparison, one sentence each.
    pub notes: Vec<String>,
    /// The metrics that both sides have amounts of.
    pub metrics: Vec<Metric>,
    /// Both sides are instants: [`Metric::Peak`] is what was live then.
    pub of_instants: bool,
}

/// How much is one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A function, at whatever line.
    Function,
    /// A line of a function. A line that only the side before has keeps its number there.
    Line,
}

/// An amount on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// What it was.
    pub before: Amount,
    /// What it is.
    pub after: Amount,
}

impl Sides {
    /// Bytes more (less, if negative) than before.
    pub fn growth(&self) -> i128 {
        i128::from(self.after.bytes) - i128::from(self.before.bytes)
    }

    /// Blocks more (fewer, if negative) than before.
    pub fn blocks(&self) -> i128 {
        i128::from(self.after.count) - i128::from(self.before.count)
    }

    /// Whether neither bytes nor blocks changed.
    pub fn is_same(&self) -> bool {
        self.before == self.after
    }
}

/// A stack whose amount is not the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its innermost node.
    pub node: NodeId,
    /// What it had and has.
    pub sides: Sides,
}

impl Diff {
    /// From `before` to `after`.
    pub fn of(before: &Profile, after: &Profile) -> Self {
        Self::in_detail(before, after, Detail::Function)
    }

    /// The same, with lines apart if they are asked for.
    pub fn in_detail(before: &Profile, after: &Profile, detail: Detail) -> Self {
        let Merged { frames, places: [places_before, places_after] } = Merged::of(before, after, detail);
        let is_instant = |profile: &Profile| matches!(profile.span, Span::At(_));
        let mut diff = Self {
            frames,
            metrics: before.metrics.iter().copied().filter(|metric| after.metrics.contains(metric)).collect(),
            of_instants: is_instant(before) && is_instant(after),
            ..Self::default()
        };
        // The side after first: where it has a node its order decides.
        diff.after = diff.add(after, &places_after);
        diff.before = diff.add(before, &places_before);
        let nodes = diff.tree.nodes().len();
        diff.after.resize(nodes, Amounts::default());
        (diff.bare_before, diff.bare_after) = (before.bare, after.bare);
        (diff.total_before, diff.total_after) = (before.total, after.total);
        diff
    }

    /// Adds the stacks of a side, whose frames are at these places now, and gives its own amounts by node.
    fn add(&mut self, profile: &Profile, places: &[u32]) -> Vec<Amounts> {
        let mut own = vec![Amounts::default(); self.tree.nodes().len()];
        let mut nodes: Vec<NodeId> = Vec::with_capacity(profile.tree.nodes().len());
        for (node, amounts) in profile.tree.nodes().iter().zip(&profile.own) {
            let parent = node.parent.map(|parent| nodes[parent.index()]);
            let place = self.tree.insert(parent, places[node.frame as usize]);
            nodes.push(place);
            if own.len() <= place.index() {
                own.resize(place.index() + 1, Amounts::default());
            }
            own[place.index()] += *amounts;
        }
        own
    }

    /// What the filter keeps, and how much it leaves out, before and after. The totals are of what is kept.
    pub fn filtered(self, filter: &Filter) -> (Self, [Amounts; 2]) {
        let stacks = filter.stacks(&self.frames, &self.tree);
        let (tree, places) = pruned(&self.tree, &stacks);
        let mut left_out = [Amounts::default(); 2];
        let mut totals = [Amounts::default(); 2];
        let mut kept = [&self.before, &self.after].map(|_| vec![Amounts::default(); tree.nodes().len()]);
        for (side, own) in [&self.before, &self.after].into_iter().enumerate() {
            for (node, amounts) in own.iter().enumerate() {
                match places[node].filter(|_| stacks[node]) {
                    Some(place) => {
                        kept[side][place.index()] += *amounts;
                        totals[side] += *amounts;
                    }
                    None => left_out[side] += *amounts,
                }
            }
        }
        let mut bare = [self.bare_before, self.bare_after];
        for side in 0..2 {
            if filter.keeps_bare() {
                totals[side] += bare[side];
            } else {
                left_out[side] += std::mem::take(&mut bare[side]);
            }
        }
        let [before, after] = kept;
        let ([bare_before, bare_after], [total_before, total_after]) = (bare, totals);
        let kept = Self { tree, before, after, bare_before, bare_after, total_before, total_after, ..self };
        (kept, left_out)
    }

    /// The same without the frames that no node has, which a filter leaves behind: they tell packages apart, but nobody
    /// who asked for a part wants to hand on the names of the rest.
    pub fn without_unused_frames(self) -> Self {
        let mut places: Vec<Option<u32>> = vec![None; self.frames.len()];
        let (mut frames, mut tree) = (Vec::new(), CallTree::default());
        for node in self.tree.nodes() {
            let frame = *places[node.frame as usize].get_or_insert_with(|| {
                frames.push(self.frames[node.frame as usize].clone());
                frames.len() as u32 - 1
            });
            // The same number of nodes in the same order.
            tree.insert(node.parent, frame);
        }
        Self { frames, tree, ..self }
    }

    /// The same with all lines of a function as one frame.
    pub fn by_function(self) -> Self {
        let mut known: FxHashMap<(Arc<str>, Arc<str>), u32> = FxHashMap::default();
        let mut functions = Self::default();
        let mut places: Vec<u32> = Vec::with_capacity(self.frames.len());
        for frame in &self.frames {
            let next = functions.frames.len() as u32;
            let place = *known.entry((frame.function.clone(), frame.file.clone())).or_insert(next);
            match functions.frames.get_mut(place as usize) {
                Some(known) => (known.line, known.source) = (0, None),
                None => functions.frames.push(frame.clone()),
            }
            places.push(place);
        }
        let side = |own: &[Amounts]| Profile { tree: self.tree.clone(), own: own.to_vec(), ..Profile::default() };
        functions.after = functions.add(&side(&self.after), &places);
        functions.before = functions.add(&side(&self.before), &places);
        let Self { frames, tree, before, after, .. } = functions;
        Self { frames, tree, before, after, ..self }
    }

    /// The stacks that changed in this metric, the largest change of bytes first.
    pub fn changes(&self, metric: Metric) -> Vec<Change> {
        let sides = self.before.iter().zip(&self.after).zip((0u32..).map(NodeId));
        let mut changes: Vec<Change> = sides
            .map(|((before, after), node)| Change {
                node,
                sides: Sides { before: before.of(metric), after: after.of(metric) },
            })
            .filter(|change| !change.sides.is_same())
            .collect();
        changes.sort_by_key(|change| (std::cmp::Reverse(change.sides.growth().unsigned_abs()), change.node));
        changes
    }

    /// What all stacks have in this metric.
    pub fn total(&self, metric: Metric) -> Sides {
        Sides { before: self.total_before.of(metric), after: self.total_after.of(metric) }
    }

    /// The frames from a node outwards, innermost first.
    pub fn path(&self, node: NodeId) -> impl Iterator<Item = &Frame> {
        self.tree.path(node).map(|frame| &self.frames[frame as usize])
    }
}

/// The frames of both sides, each once.
struct Merged {
    frames: Vec<Frame>,
    /// By frame of each side, before and after: where it is in `frames`.
    places: [Vec<u32>; 2],
}

/// What makes two frames one: function, file, and the line if it is wanted.
type Key = (Arc<str>, Arc<str>, Slot);

/// A line, in the numbers of the side that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Slot {
    All,
    After(u32),
    Before(u32),
}

impl Merged {
    fn of(before: &Profile, after: &Profile, detail: Detail) -> Self {
        let keys = keys([&before.frames, &after.frames], detail);
        let mut known: FxHashMap<&Key, u32> = FxHashMap::default();
        let mut merged = Self { frames: Vec::new(), places: [Vec::new(), Vec::new()] };
        // For each frame, which side gave it its line.
        let mut from: Vec<usize> = Vec::new();
        for (side, frames) in [(1, &after.frames), (0, &before.frames)] {
            for (frame, key) in frames.iter().zip(&keys[side]) {
                let next = merged.frames.len() as u32;
                let place = *known.entry(key).or_insert(next);
                if place == next {
                    // Functions that are known by their start, and are not of one build, have become places.
                    let known_by = match &frame.known_by {
                        KnownBy::Start { .. } if key.0 != frame.function => KnownBy::Place,
                        known_by => known_by.clone(),
                    };
                    let (function, file) = (key.0.clone(), key.1.clone());
                    merged.frames.push(Frame { function, file, known_by, ..frame.clone() });
                    from.push(side);
                } else if from[place as usize] == side && merged.frames[place as usize].line != frame.line {
                    // Several lines of the function are one frame here.
                    let several = &mut merged.frames[place as usize];
                    (several.line, several.source) = (0, None);
                }
                merged.places[side].push(place);
            }
        }
        merged
    }
}

fn keys(sides: [&[Frame]; 2], detail: Detail) -> [Vec<Key>; 2] {
    let same_file = match_files(sides[0], sides[1]);
    let with_file = [0, 1].map(|side: usize| {
        let file = |frame: &Frame| match same_file.get(&frame.file).filter(|_| side == 0) {
            Some(file) => file.clone(),
            None => frame.file.clone(),
        };
        sides[side].iter().map(|frame| (frame, file(frame))).collect::<Vec<_>>()
    });
    let renamed = match_functions([&with_file[0], &with_file[1]]);
    let builds = with_file.each_ref().map(|frames| builds_of(frames));
    let named = [0, 1].map(|side: usize| {
        let name = |(frame, file): &(&Frame, Arc<str>)| -> (Arc<str>, Arc<str>) {
            // Offsets in an object change with every build of it.
            let is_one_build = |build: &Build| {
                builds[side].get(file) == Some(&Some(build.clone()))
                    && builds[1 - side].get(file).is_none_or(|other| other.as_ref() == Some(build))
            };
            let function = match &frame.known_by {
                KnownBy::Place => base_name(file).into(),
                KnownBy::Start { build_id } if !is_one_build(build_id) => base_name(file).into(),
                KnownBy::Start { .. } => frame.function.clone(),
                KnownBy::Name => {
                    let code = (file.clone(), frame.function.clone(), frame.first_line);
                    renamed[side].get(&code).unwrap_or(&frame.function).clone()
                }
            };
            (function, file.clone())
        };
        with_file[side].iter().map(name).collect::<Vec<_>>()
    });
    let lines = match detail {
        Detail::Function => FxHashMap::default(),
        Detail::Line => same_lines(sides, &named),
    };
    [0, 1].map(|side: usize| {
        let slot = |frame: &Frame, name: &(Arc<str>, Arc<str>)| match (detail, side) {
            (Detail::Function, _) => Slot::All,
            // One without name has an offset instead, and whatever line there may be is of no use.
            _ if frame.known_by != KnownBy::Name => Slot::After(0),
            (Detail::Line, 0) => match lines.get(name).and_then(|lines| lines.get(&frame.line)) {
                Some(line) => Slot::After(*line),
                None => Slot::Before(frame.line),
            },
            (Detail::Line, _) => Slot::After(frame.line),
        };
        let keys = sides[side].iter().zip(&named[side]);
        keys.map(|(frame, name)| (name.0.clone(), name.1.clone(), slot(frame, name))).collect()
    })
}

/// A build id.
type Build = Arc<[u8]>;

/// Of each object with functions that have no name, the build of all of them that begin somewhere; `None` if there is none,
/// or several, or it is not known.
fn builds_of(frames: &[(&Frame, Arc<str>)]) -> FxHashMap<Arc<str>, Option<Build>> {
    let mut builds: FxHashMap<&Arc<str>, BTreeSet<&Build>> = FxHashMap::default();
    for (frame, file) in frames {
        match &frame.known_by {
            KnownBy::Name => {}
            KnownBy::Start { build_id } => _ = builds.entry(file).or_default().insert(build_id),
            KnownBy::Place => _ = builds.entry(file).or_default(),
        }
    }
    let the_one = |builds: BTreeSet<&Build>| match builds.first() {
        Some(build) if builds.len() == 1 && !build.is_empty() => Some(Build::clone(build)),
        _ => None,
    };
    builds.into_iter().map(|(file, builds)| (file.clone(), the_one(builds))).collect()
}

/// Of each function that both sides have, for lines before those after.
fn same_lines(
    sides: [&[Frame]; 2],
    named: &[Vec<(Arc<str>, Arc<str>)>; 2],
) -> FxHashMap<(Arc<str>, Arc<str>), BTreeMap<u32, u32>> {
    type OfFunction<'f> = [Vec<&'f Frame>; 2];
    let mut functions: FxHashMap<&(Arc<str>, Arc<str>), OfFunction<'_>> = FxHashMap::default();
    for side in 0..2 {
        let lines = sides[side].iter().zip(&named[side]).filter(|(frame, _)| frame.known_by == KnownBy::Name);
        for (frame, name) in lines {
            functions.entry(name).or_default()[side].push(frame);
        }
    }
    let both = functions.into_iter().filter(|(_, [before, after])| !before.is_empty() && !after.is_empty());
    both.map(|(name, [before, after])| (name.clone(), match_lines(&lines_of(&before), &lines_of(&after)))).collect()
}

/// The lines of one function, or of several of one name, in ascending order.
fn lines_of(frames: &[&Frame]) -> Vec<Line> {
    let first_line = |frame: &Frame| match frame.kind {
        FrameKind::Native | FrameKind::Unknown => 0,
        _ => frame.first_line,
    };
    let firsts: BTreeSet<u32> = frames.iter().map(|frame| first_line(frame)).collect();
    let order: BTreeMap<u32, usize> = firsts.into_iter().zip(0..).collect();
    let mut lines: BTreeMap<u32, Line> = BTreeMap::new();
    for frame in frames {
        let first = first_line(frame);
        let place = (order[&first], i64::from(frame.line) - i64::from(first));
        let text = frame.source.clone();
        lines.entry(frame.line).or_insert(Line { number: frame.line, place, text });
    }
    lines.into_values().collect()
}

#[cfg(test)]
mod tests;
