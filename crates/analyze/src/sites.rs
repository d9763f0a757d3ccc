//! Amounts by function, by site and by module: the call tree seen from the side.

use crate::call_tree::{CallTree, NodeId};
use crate::frames::{Frame, FrameKind};
use crate::profile::{Metric, Profile};
use heaptide_format::capture::summary::Amount;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A function and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionAmount {
    /// Its name.
    pub function: Arc<str>,
    /// Its file or object.
    pub file: Arc<str>,
    /// Whose code it is.
    pub kind: FrameKind,
    /// Asked for by itself.
    pub own: Amount,
    /// Asked for by itself and by what it called, each block once however often the function is on its stack.
    pub total: Amount,
}

/// Every function with a part in this metric, the largest own bytes first.
pub fn by_function(profile: &Profile, metric: Metric) -> Vec<FunctionAmount> {
    let (function_of, mut functions) = functions(&profile.frames);
    let own = profile.own(metric);
    let totals = profile.tree.totals(&own);
    for (node, first) in profile.nodes().zip(first_of_its_function(&profile.tree, &function_of, functions.len())) {
        let function = &mut functions[function_of[profile.tree.nodes()[node.index()].frame as usize]];
        function.own += own[node.index()];
        if first {
            function.total += totals[node.index()];
        }
    }
    functions.retain(|function| function.total != Amount::default());
    functions.sort_by(|a, b| {
        let key =
            |f: &FunctionAmount| (std::cmp::Reverse((f.own.bytes, f.total.bytes)), f.function.clone(), f.file.clone());
        key(a).cmp(&key(b))
    });
    functions
}

/// For each frame the place of its function, and the functions.
fn functions(frames: &[Frame]) -> (Vec<usize>, Vec<FunctionAmount>) {
    let mut known: FxHashMap<(&str, &str), usize> = FxHashMap::default();
    let mut functions: Vec<FunctionAmount> = Vec::new();
    let of_frame = frames.iter().map(|frame| {
        // Nameless places of one object are one entry: their offsets tell a reader nothing.
        let name = if frame.nameless { base_name(&frame.file) } else { &*frame.function };
        *known.entry((name, &*frame.file)).or_insert_with(|| {
            functions.push(FunctionAmount {
                function: name.into(),
                file: frame.file.clone(),
                kind: frame.kind,
                own: Amount::default(),
                total: Amount::default(),
            });
            functions.len() - 1
        })
    });
    (of_frame.collect(), functions)
}

/// For each node whether none of its callers is of the same function.
fn first_of_its_function(tree: &CallTree, function_of: &[usize], functions: usize) -> Vec<bool> {
    enum Step {
        Enter(NodeId),
        Leave(usize),
    }
    let mut first = vec![false; tree.nodes().len()];
    // How often each function is on the path to where the walk is.
    let mut active = vec![0u32; functions];
    let children = tree.children(|_| true);
    let mut steps: Vec<Step> = children.outermost.iter().map(|node| Step::Enter(*node)).collect();
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(node) => {
                let function = function_of[tree.nodes()[node.index()].frame as usize];
                first[node.index()] = active[function] == 0;
                active[function] += 1;
                steps.push(Step::Leave(function));
                steps.extend(children.of[node.index()].iter().map(|child| Step::Enter(*child)));
            }
            Step::Leave(function) => active[function] -= 1,
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
            *files.entry((&*frame.file, frame.kind)).or_insert_with(|| {
                names.push(module_of(frame.kind, &frame.file));
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
        let table: Vec<_> = by_function(&profile, Metric::Peak)
            .iter()
            .map(|row| (row.function.to_string(), row.own.bytes, row.total.bytes, row.total.count))
            .collect();
        assert_eq!(table, [("recurse".into(), 15, 15, 3), ("main".into(), 1, 16, 4)]);
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
