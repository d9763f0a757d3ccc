//! Which function after is which function before, where one side has qualified names (`Loader.load`) and the other only
//! their last part (`load`): CPython before 3.11 keeps no more, and source files are not always there to look it up.

use crate::frames::{Frame, FrameKind};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A function by its file (as the side after has it), its name, and the line in which it begins.
type Code = (Arc<str>, Arc<str>, u32);

/// For functions of each side, before and after, the name that they are to have instead.
pub(super) type Renamed = [FxHashMap<Code, Arc<str>>; 2];

/// The codes of one last part in one file: first line and name.
type Codes = BTreeSet<(u32, Arc<str>)>;

/// `sides` are frames with their file. Where one side has the last part alone, it gets the other side's name if that is
/// one only; if it is several, but no more and no fewer than this side has functions of the name, one after the other in
/// the order of their lines. Else they stay apart.
pub(super) fn match_functions(sides: [&[(&Frame, Arc<str>)]; 2]) -> Renamed {
    let mut by_last: FxHashMap<(Arc<str>, &str), [Codes; 2]> = FxHashMap::default();
    for (side, frames) in sides.into_iter().enumerate() {
        for (frame, file) in frames.iter().filter(|(frame, _)| is_python(frame.kind)) {
            let codes = &mut by_last.entry((file.clone(), last_part(&frame.function))).or_default()[side];
            codes.insert((frame.first_line, frame.function.clone()));
        }
    }
    let mut renamed = Renamed::default();
    for ((file, last), codes) in &by_last {
        let unqualified = |side: usize| !codes[side].is_empty() && codes[side].iter().all(|(_, name)| **name == **last);
        let side = match (unqualified(0), unqualified(1)) {
            (true, false) if !codes[1].is_empty() => 0,
            (false, true) if !codes[0].is_empty() => 1,
            _ => continue,
        };
        let others: Vec<&Arc<str>> = codes[1 - side].iter().map(|(_, name)| name).collect();
        let one = others.iter().all(|name| **name == *others[0]);
        if one || others.len() == codes[side].len() {
            // Without end if it is one.
            for ((line, name), other) in codes[side].iter().zip(others.iter().cycle()) {
                renamed[side].insert((file.clone(), name.clone(), *line), (*other).clone());
            }
        }
    }
    renamed
}

fn is_python(kind: FrameKind) -> bool {
    !matches!(kind, FrameKind::Native | FrameKind::Unknown)
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::python;

    /// Functions of one file as `name:first line`; what those of the first are called then, and those of the second.
    fn check(before: &str, after: &str, expected: [&str; 2]) {
        let side = |text: &str| -> Vec<Frame> {
            let frame = |word: &str| {
                let (name, line) = word.split_once(':').unwrap();
                Frame { first_line: line.parse().unwrap(), ..python(name, "/app/main.py", 99) }
            };
            text.split(' ').map(frame).collect()
        };
        let frames = [side(before), side(after)];
        let with_file =
            [0, 1].map(|side: usize| frames[side].iter().map(|frame| (frame, frame.file.clone())).collect::<Vec<_>>());
        let renamed = match_functions([&with_file[0], &with_file[1]]);
        let found = frames.iter().zip(renamed).map(|(frames, renamed)| {
            let name = |frame: &Frame| {
                let code = (frame.file.clone(), frame.function.clone(), frame.first_line);
                renamed.get(&code).unwrap_or(&frame.function).to_string()
            };
            frames.iter().map(name).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_last_part_of_a_name_is_the_name() {
        check("load:3 main:9", "Loader.load:5 main:11", ["Loader.load main", "Loader.load main"]);
        check("Loader.load:5", "load:3", ["Loader.load", "Loader.load"]);
    }

    #[test]
    fn several_of_a_name_are_told_by_their_order() {
        check(
            "__init__:3 __init__:30",
            "A.__init__:5 B.__init__:40",
            ["A.__init__ B.__init__", "A.__init__ B.__init__"],
        );
        // Which of the two is not known.
        check("__init__:3", "A.__init__:5 B.__init__:40", ["__init__", "A.__init__ B.__init__"]);
    }

    #[test]
    fn what_is_called_the_same_is_the_same() {
        check("load:3", "load:5 Loader.load:9", ["load", "load Loader.load"]);
        check("A.load:3", "B.load:3", ["A.load", "B.load"]);
    }
}
