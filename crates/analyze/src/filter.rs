//! Which stacks to look at: patterns for files, lines, functions, modules and packages, as `tracemalloc`'s filters have
//! them for files and lines.
//!
//! A stack is kept if one of the patterns to include fits it, or there is none, and none of those to exclude does. A
//! pattern fits a stack if it fits its innermost frame, with [`Filter::any_frame`] any of its frames. What has no frame
//! fits none.

use crate::call_tree::{CallTree, NodeId};
use crate::frames::Frame;
use crate::glob;
use crate::packages::{Owner, owners};
use crate::profile::{Amounts, Profile};
use std::fmt;
use std::str::FromStr;

/// Which stacks are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that one of these fits; all if there is none.
    pub include: Vec<Pattern>,
    /// None that one of these fits.
    pub exclude: Vec<Pattern>,
    /// Look at all frames of a stack, not only at the innermost.
    pub any_frame: bool,
}

/// What a frame is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    what: What,
    glob: String,
    /// The line as well; 0: any.
    line: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    File,
    Function,
    Module,
    Package,
}

/// A pattern that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing, or nothing behind `function:` and the like.
    #[error(
        "a pattern is a file (src/*.py), FILE:LINE, function:NAME, module:NAME or package:NAME; this names nothing"
    )]
    Empty,
    /// `FILE:0`, or a number that no line has.
    #[error("lines are numbers from 1 to 4294967295")]
    Line,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        const KINDS: [(&str, What); 4] = [
            ("file:", What::File),
            ("function:", What::Function),
            ("module:", What::Module),
            ("package:", What::Package),
        ];
        let kind = KINDS.iter().find_map(|(prefix, what)| Some((*what, text.strip_prefix(prefix)?)));
        let (what, rest) = kind.unwrap_or((What::File, text));
        let (mut glob, mut line) = (rest.to_owned(), 0);
        if what == What::File {
            glob = glob.replace('\\', "/");
            if let Some((file, number)) = rest.rsplit_once(':')
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
            {
                line = number.parse().ok().filter(|line| *line > 0).ok_or(PatternError::Line)?;
                glob = file.replace('\\', "/");
            }
            // A directory means what is in it.
            if glob.ends_with('/') {
                glob.push('*');
            }
        }
        if glob.trim().is_empty() { Err(PatternError::Empty) } else { Ok(Self { what, glob, line }) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.what {
            What::File => "",
            What::Function => "function:",
            What::Module => "module:",
            What::Package => "package:",
        };
        write!(f, "{prefix}{}", self.glob)?;
        if self.line > 0 { write!(f, ":{}", self.line) } else { Ok(()) }
    }
}

impl Pattern {
    fn fits(&self, frame: &Frame, owner: Option<&Owner>) -> bool {
        match self.what {
            What::File => (self.line == 0 || self.line == frame.line) && self.fits_file(frame),
            // Versions before 3.11 may know the last part only, and nobody types the rest.
            What::Function => {
                let last = frame.function.rsplit('.').next().filter(|_| frame.object.is_empty());
                glob::matches(&self.glob, &frame.function) || last.is_some_and(|name| glob::matches(&self.glob, name))
            }
            What::Module => owner.is_some_and(|owner| glob::matches(&self.glob, &owner.module)),
            What::Package => owner.is_some_and(|owner| {
                let plain = owner.package.split(" (").next().unwrap_or_default();
                glob::matches(&self.glob, &owner.package) || glob::matches(&self.glob, plain)
            }),
        }
    }

    /// The source file or the object. One that does not begin at the root may begin at any directory.
    fn fits_file(&self, frame: &Frame) -> bool {
        [&frame.file, &frame.object].into_iter().filter(|file| !file.is_empty()).any(|file| {
            let file = file.replace('\\', "/");
            let ends = || file.match_indices('/').map(|(at, _)| &file[at + 1..]);
            glob::matches(&self.glob, &file)
                || (!self.glob.starts_with(['/', '*']) && ends().any(|end| glob::matches(&self.glob, end)))
        })
    }
}

impl Filter {
    /// Whether it keeps everything.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether it depends on lines.
    pub fn names_lines(&self) -> bool {
        self.include.iter().chain(&self.exclude).any(|pattern| pattern.line > 0)
    }

    /// Whether what has no frames is kept.
    pub fn keeps_bare(&self) -> bool {
        self.include.is_empty()
    }

    /// For each node whether the stack that ends there is kept.
    pub fn stacks(&self, frames: &[Frame], tree: &CallTree) -> Vec<bool> {
        let named = |pattern: &Pattern| matches!(pattern.what, What::Module | What::Package);
        let owners = if self.include.iter().chain(&self.exclude).any(named) { owners(frames) } else { Vec::new() };
        let fits = |patterns: &[Pattern]| -> Vec<bool> {
            let by_frame: Vec<bool> = frames
                .iter()
                .enumerate()
                .map(|(place, frame)| patterns.iter().any(|pattern| pattern.fits(frame, owners.get(place))))
                .collect();
            let mut by_node: Vec<bool> = Vec::with_capacity(tree.nodes().len());
            for node in tree.nodes() {
                let outside = self.any_frame && node.parent.is_some_and(|parent| by_node[parent.index()]);
                by_node.push(outside || by_frame[node.frame as usize]);
            }
            by_node
        };
        let mut kept = match self.include.is_empty() {
            true => vec![true; tree.nodes().len()],
            false => fits(&self.include),
        };
        if !self.exclude.is_empty() {
            kept.iter_mut().zip(fits(&self.exclude)).for_each(|(kept, out)| *kept &= !out);
        }
        kept
    }

    /// What is kept of a profile, and how much is left out.
    pub fn apply(&self, profile: &Profile) -> (Profile, Amounts) {
        let stacks = self.stacks(&profile.frames, &profile.tree);
        let (tree, places) = pruned(&profile.tree, &stacks);
        let nodes = tree.nodes().len();
        let mut left_out = Amounts::default();
        let of_stacks = profile.places.iter();
        let mut kept = Profile {
            tree,
            places: of_stacks
                .map(|node| node.filter(|node| stacks[node.index()]).and_then(|node| places[node.index()]))
                .collect(),
            own: vec![Amounts::default(); nodes],
            in_python: vec![false; nodes],
            bare: Amounts::default(),
            total: Amounts::default(),
            ..profile.clone()
        };
        for (node, stack) in stacks.iter().enumerate() {
            match places[node].filter(|_| *stack) {
                Some(place) => {
                    kept.own[place.index()] += profile.own[node];
                    kept.in_python[place.index()] |= profile.in_python[node];
                    kept.total += profile.own[node];
                }
                None => left_out += profile.own[node],
            }
        }
        if self.keeps_bare() {
            kept.bare = profile.bare;
            kept.total += profile.bare;
        } else {
            left_out += profile.bare;
        }
        (kept, left_out)
    }
}

/// The tree with those nodes alone that are kept or lead to one that is; and for each old node its new number.
pub(crate) fn pruned(tree: &CallTree, kept: &[bool]) -> (CallTree, Vec<Option<NodeId>>) {
    let mut needed = kept.to_vec();
    for (index, node) in tree.nodes().iter().enumerate().rev() {
        if let Some(parent) = node.parent.filter(|_| needed[index]) {
            needed[parent.index()] = true;
        }
    }
    let mut rest = CallTree::default();
    let mut places: Vec<Option<NodeId>> = Vec::with_capacity(needed.len());
    for (node, needed) in tree.nodes().iter().zip(needed) {
        let parent = node.parent.and_then(|parent| places[parent.index()]);
        places.push(needed.then(|| rest.insert(parent, node.frame)));
    }
    (rest, places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Metric;
    use crate::profile::tests::{native, profile, python};

    fn filter(include: &str, exclude: &str, any_frame: bool) -> Filter {
        let patterns = |text: &str| text.split_whitespace().map(|pattern| pattern.parse().unwrap()).collect();
        Filter { include: patterns(include), exclude: patterns(exclude), any_frame }
    }

    /// main (app.py:3) 1, load (app.py:7) 10, from there array (numpy) 100 and loads (json) 1 000, malloc 10 000; and
    /// 100 000 of loads alone.
    fn example() -> Profile {
        let main = python("main", "/home/me/src/app.py", 3);
        let load = python("Loader.load", "/home/me/src/app.py", 7);
        let array = python("array", "/v/lib/python3.11/site-packages/numpy/core.py", 9);
        let json = python("loads", "/usr/lib/python3.11/json/__init__.py", 40);
        let malloc = native("malloc", "/lib/libc.so.6");
        profile(&[
            (&[&main], 1),
            (&[&main, &load], 10),
            (&[&main, &load, &array], 100),
            (&[&main, &load, &json], 1_000),
            (&[&main, &load, &malloc], 10_000),
            (&[&json], 100_000),
        ])
    }

    /// The sum that is kept; each digit is one stack.
    fn kept(include: &str, exclude: &str, any_frame: bool) -> u64 {
        let (kept, left_out) = filter(include, exclude, any_frame).apply(&example());
        let bytes = kept.total.of(Metric::Peak).bytes;
        assert_eq!(kept.own(Metric::Peak).iter().map(|own| own.bytes).sum::<u64>(), bytes);
        assert_eq!(bytes + left_out.of(Metric::Peak).bytes, 111_111);
        bytes
    }

    #[test]
    fn the_innermost_frame_decides() {
        assert_eq!(kept("app.py", "", false), 11);
        assert_eq!(kept("/home/me/src/app.py", "", false), 11);
        assert_eq!(kept("src/", "", false), 11);
        assert_eq!(kept("/src/", "", false), 0);
        assert_eq!(kept("*/src/*", "", false), 11);
        assert_eq!(kept("pp.py", "", false), 0);
        assert_eq!(kept("app.py:7", "", false), 10);
        assert_eq!(kept("app.py:8", "", false), 0);
        assert_eq!(kept("function:load", "", false), 10);
        assert_eq!(kept("function:Loader.*", "", false), 10);
        assert_eq!(kept("function:load*", "", false), 101_010);
        assert_eq!(kept("package:numpy", "", false), 100);
        assert_eq!(kept("package:json", "", false), 101_000);
        assert_eq!(kept("module:numpy.core", "", false), 100);
        assert_eq!(kept("libc.so.*", "", false), 10_000);
        assert_eq!(kept("app.py package:numpy", "", false), 111);
        assert_eq!(kept("", "app.py package:numpy", false), 111_000);
        assert_eq!(kept("app.py", "app.py:3", false), 10);
    }

    #[test]
    fn or_any_frame() {
        assert_eq!(kept("app.py", "", true), 11_111);
        assert_eq!(kept("", "app.py", true), 100_000);
        assert_eq!(kept("app.py", "package:json", true), 10_111);
        assert_eq!(kept("app.py:7", "", true), 11_110);
    }

    #[test]
    fn what_leads_to_nothing_that_is_kept_is_gone() {
        let (kept, _) = filter("package:numpy", "", false).apply(&example());
        let functions: Vec<&str> = kept.nodes().map(|node| &*kept.frame(node).function).collect();
        assert_eq!(functions, ["main", "Loader.load", "array"]);
    }

    #[test]
    fn patterns_that_mean_nothing() {
        for text in ["", " ", "package:", "function:", ":7"] {
            assert_eq!(text.parse::<Pattern>(), Err(PatternError::Empty), "{text:?}");
        }
        for text in ["app.py:0", "app.py:99999999999"] {
            assert_eq!(text.parse::<Pattern>(), Err(PatternError::Line), "{text:?}");
        }
        for text in ["app.py:7", "function:f", "package:json (stdlib)", "<string>", "a:b"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
    }
}
