//! Which file after is which file before.

use crate::frames::{Frame, FrameKind};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Which file after is which file before, where the paths are not the same: another checkout, another interpreter.
/// Matched by the longest common end of the paths, the file's name at least; what two files could claim stays apart.
pub(super) fn match_files(before: &[Frame], after: &[Frame]) -> FxHashMap<Arc<str>, Arc<str>> {
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
            taken.extend(before);
            taken.extend(after);
        }
        open_before.retain(|file| !taken.contains(file));
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
    use crate::profile::tests::python;

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
