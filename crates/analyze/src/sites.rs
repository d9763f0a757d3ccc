//! Amounts by package, module, file, function, line and site: the call tree seen from the side.

use crate::call_tree::{CallTree, NodeId};
use crate::frames::{Frame, FrameKind, KnownBy};
use crate::packages::owners;
use crate::profile::{Metric, Profile};
use heaptide_format::capture::summary::Amount;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What amounts are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// What is installed or loaded as one, see [`crate::packages`].
    Package,
    /// Python module or native object, see [`crate::packages`].
    Module,
    /// Source file or native object.
    File,
    /// Function of a file.
    Function,
    /// Line of a function.
    Line,
}

impl By {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Module => "module",
            Self::File => "file",
            Self::Function => "function",
            Self::Line => "line",
        }
    }
}

/// A package, module, file, function or line, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAmount {
    /// Name of the package, module, file or function; of a line that of its function.
    pub name: Arc<str>,
    /// Its file or object; empty for a package and a module, which may have several.
    pub file: Arc<str>,
    /// Its line; 0 for all but lines, and if it is not known.
    pub line: u32,
    /// What stands in that line, if it is known.
    pub source: Option<Arc<str>>,
    /// Whose code it is. Of a package with more than one kind that of the frame which was met first.
    pub kind: FrameKind,
    /// Asked for by itself: the innermost frame is of it.
    pub own: Amount,
    /// Asked for by itself and by what it called, each block once however many frames of its stack are of it.
    pub total: Amount,
}

/// Everything with a part in this metric, the largest own bytes first.
pub fn by_group(profile: &Profile, metric: Metric, by: By) -> Vec<GroupAmount> {
    let (group_of, mut groups) = groups(&profile.frames, by);
    let own = profile.own(metric);
    let totals = profile.tree.totals(&own);
    for (node, first) in profile.nodes().zip(first_of_its_group(&profile.tree, &group_of, groups.len())) {
        let group = &mut groups[group_of[profile.tree.nodes()[node.index()].frame as usize]];
        group.own += own[node.index()];
        if first {
            group.total += totals[node.index()];
        }
    }
    groups.retain(|group| group.total != Amount::default());
    groups.sort_by(|a, b| {
        let key =
            |g: &GroupAmount| (std::cmp::Reverse((g.own.bytes, g.total.bytes)), g.name.clone(), g.file.clone(), g.line);
        key(a).cmp(&key(b))
    });
    groups
}

/// For each frame the place of its group, and the groups.
pub(crate) fn groups(frames: &[Frame], by: By) -> (Vec<usize>, Vec<GroupAmount>) {
    let owners = match by {
        By::Package | By::Module => owners(frames),
        By::File | By::Function | By::Line => Vec::new(),
    };
    let none: Arc<str> = "".into();
    let mut known: FxHashMap<(Arc<str>, Arc<str>, u32), usize> = FxHashMap::default();
    let mut groups: Vec<GroupAmount> = Vec::new();
    let of_frame = frames.iter().enumerate().map(|(place, frame)| {
        let (name, file, line) = match by {
            By::Package => (owners[place].package.clone(), none.clone(), 0),
            By::Module => (owners[place].module.clone(), none.clone(), 0),
            By::File if frame.file.is_empty() => ("unknown".into(), none.clone(), 0),
            By::File => (frame.file.clone(), frame.file.clone(), 0),
            // Places of one object are one entry: their offsets tell a reader nothing.
            By::Function | By::Line if frame.known_by == KnownBy::Place => {
                (base_name(&frame.file).into(), frame.file.clone(), 0)
            }
            By::Function => (frame.function.clone(), frame.file.clone(), 0),
            By::Line => (frame.function.clone(), frame.file.clone(), frame.line),
        };
        *known.entry((name, file, line)).or_insert_with_key(|(name, file, line)| {
            groups.push(GroupAmount {
                name: name.clone(),
                file: file.clone(),
                line: *line,
                source: frame.source.clone().filter(|_| by == By::Line),
                kind: frame.kind,
                own: Amount::default(),
                total: Amount::default(),
            });
            groups.len() - 1
        })
    });
    (of_frame.collect(), groups)
}

/// For each node whether none of its callers is of the same group.
pub(crate) fn first_of_its_group(tree: &CallTree, group_of: &[usize], groups: usize) -> Vec<bool> {
    enum Step {
        Enter(NodeId),
        Leave(usize),
    }
    let mut first = vec![false; tree.nodes().len()];
    // How often each group is on the path to where the walk is.
    let mut active = vec![0u32; groups];
    let children = tree.children(|_| true);
    let mut steps: Vec<Step> = children.outermost.iter().map(|node| Step::Enter(*node)).collect();
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(node) => {
                let group = group_of[tree.nodes()[node.index()].frame as usize];
                first[node.index()] = active[group] == 0;
                active[group] += 1;
                steps.push(Step::Leave(group));
                steps.extend(children.of(node).iter().map(|child| Step::Enter(*child)));
            }
            Step::Leave(group) => active[group] -= 1,
        }
    }
    first
}

/// A line of the user's and what was asked for there, or in code called from there that is not the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteAmount {
    /// Where.
    pub frame: Frame,
    /// How much.
    pub amount: Amount,
}

/// Every site (see [`Profile::sites`]) with a part in this metric, the largest first.
pub fn by_site(profile: &Profile, metric: Metric) -> Vec<SiteAmount> {
    let mut amounts: FxHashMap<u32, Amount> = FxHashMap::default();
    for (site, own) in profile.sites().iter().zip(profile.own(metric)).filter(|(_, own)| *own != Amount::default()) {
        *amounts.entry(profile.tree.nodes()[site.index()].frame).or_default() += own;
    }
    let mut sites: Vec<SiteAmount> = amounts
        .into_iter()
        .map(|(frame, amount)| SiteAmount { frame: profile.frames[frame as usize].clone(), amount })
        .collect();
    sites.sort_by(|a, b| {
        let key = |site: &SiteAmount| {
            (
                std::cmp::Reverse(site.amount.bytes),
                site.frame.file.clone(),
                site.frame.line,
                site.frame.function.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    sites
}

/// What the code of each module asked for in this metric, the largest first. The module is that of the innermost
/// Python frame, without one the innermost native object: a package, a module of the standard library, a file.
pub fn by_module(profile: &Profile, metric: Metric) -> Vec<(String, Amount)> {
    // Names are made once a file, not once a frame or node.
    let mut files: FxHashMap<(&str, FrameKind), usize> = FxHashMap::default();
    let mut names: Vec<String> = Vec::new();
    let of_frame: Vec<usize> = profile
        .frames
        .iter()
        .map(|frame| {
            *files.entry((&**frame.loaded_from(), frame.kind)).or_insert_with(|| {
                names.push(module_of(frame.kind, frame.loaded_from()));
                names.len() - 1
            })
        })
        .collect();
    let mut amounts: FxHashMap<&str, Amount> = FxHashMap::default();
    // The innermost Python frame on the path to each node, from callers to callees.
    let mut python: Vec<Option<u32>> = Vec::with_capacity(profile.tree.nodes().len());
    for (node, own) in profile.tree.nodes().iter().zip(profile.own(metric)) {
        let is_python = !matches!(profile.frames[node.frame as usize].kind, FrameKind::Native | FrameKind::Unknown);
        python.push(if is_python { Some(node.frame) } else { node.parent.and_then(|parent| python[parent.index()]) });
        if own == Amount::default() {
            continue;
        }
        let frame = python.last().copied().flatten().unwrap_or(node.frame);
        *amounts.entry(&names[of_frame[frame as usize]]).or_default() += own;
    }
    let mut modules: Vec<_> = amounts.into_iter().map(|(name, amount)| (name.to_owned(), amount)).collect();
    modules.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(&b.0)));
    modules
}

/// The module that a file of this kind of code belongs to, as one would name it.
pub fn module_of(kind: FrameKind, file: &str) -> String {
    let file = file.replace('\\', "/");
    let after = |mark: &str| file.rsplit_once(mark).map(|(_, rest)| rest.to_owned());
    let top = |path: String| {
        let first = path.split('/').next().unwrap_or("").to_owned();
        first.strip_suffix(".py").map_or(first.clone(), str::to_owned)
    };
    match kind {
        FrameKind::Library => {
            after("/site-packages/").or_else(|| after("/dist-packages/")).map_or_else(|| base_name(&file).into(), top)
        }
        FrameKind::Stdlib => match after("/lib/python").or_else(|| after("/lib64/python")) {
            // Behind the version.
            Some(rest) => top(rest.split_once('/').map_or(rest.clone(), |(_, module)| module.to_owned())),
            None => base_name(&file).to_owned(),
        },
        FrameKind::Interpreter => "python (frozen)".to_owned(),
        FrameKind::Native => base_name(&file).to_owned(),
        FrameKind::Unknown => "unknown".to_owned(),
        FrameKind::Project => file,
    }
}

/// The last part of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::{profile, python};

    /// main → recurse → recurse → recurse: 5 own bytes each, and main 1.
    #[test]
    fn recursion_counts_once() {
        let [main, recurse] = [python("main", "/app/main.py", 1), python("recurse", "/app/main.py", 7)];
        let profile = profile(&[
            (&[&main], 1),
            (&[&main, &recurse], 5),
            (&[&main, &recurse, &recurse], 5),
            (&[&main, &recurse, &recurse, &recurse], 5),
        ]);
        let table: Vec<_> = by_group(&profile, Metric::Peak, By::Function)
            .iter()
            .map(|row| (row.name.to_string(), row.own.bytes, row.total.bytes, row.total.count))
            .collect();
        assert_eq!(table, [("recurse".into(), 15, 15, 3), ("main".into(), 1, 16, 4)]);
    }

    /// main, pandas in two files of which one calls the other back through `json`: each block counts once for pandas.
    #[test]
    fn packages_and_modules_count_a_block_once() {
        let main = python("main", "/app/main.py", 3);
        let frame = python("read", "/v/lib/python3.11/site-packages/pandas/frame.py", 7);
        let json = python("loads", "/usr/lib/python3.11/json/__init__.py", 40);
        let hook = python("hook", "/v/lib/python3.11/site-packages/pandas/hook.py", 9);
        let profile = profile(&[
            (&[&main, &frame], 1),
            (&[&main, &frame, &json], 10),
            (&[&main, &frame, &json, &hook], 100),
            (&[&json], 1_000),
        ]);
        let check = |by, expected: &[(&str, u64, u64)]| {
            let rows = by_group(&profile, Metric::Peak, by);
            let found: Vec<_> = rows.iter().map(|row| (&*row.name, row.own.bytes, row.total.bytes)).collect();
            assert_eq!(found, expected);
        };
        check(By::Package, &[("json (stdlib)", 1_010, 1_110), ("pandas", 101, 111), ("main", 0, 111)]);
        check(
            By::Module,
            &[("json", 1_010, 1_110), ("pandas.hook", 100, 100), ("pandas.frame", 1, 111), ("main", 0, 111)],
        );
    }

    #[test]
    fn sites_are_the_users_own_lines() {
        let main = python("main", "/app/main.py", 3);
        let numpy = python("array", "/venv/lib/python3.11/site-packages/numpy/core.py", 99);
        let json = python("loads", "/usr/lib/python3.11/json/__init__.py", 40);
        let profile =
            profile(&[(&[&main], 1), (&[&main, &numpy], 10), (&[&main, &numpy, &json], 100), (&[&json], 1000)]);
        let sites: Vec<_> = by_site(&profile, Metric::Peak)
            .iter()
            .map(|site| (site.frame.function.to_string(), site.frame.line, site.amount.bytes))
            .collect();
        assert_eq!(sites, [("loads".into(), 40, 1000), ("main".into(), 3, 111)]);
        let modules: Vec<_> =
            by_module(&profile, Metric::Peak).into_iter().map(|(name, amount)| (name, amount.bytes)).collect();
        assert_eq!(modules, [("json".into(), 1100), ("numpy".into(), 10), ("/app/main.py".into(), 1)]);
    }
}
