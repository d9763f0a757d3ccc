use super::*;
use crate::frames::KnownBy;
use crate::profile::tests::{native, profile, python};
use crate::sites::By;
use proptest::prelude::*;

fn growth(diff: &Diff) -> Vec<(String, u64, u64)> {
    let function = |change: &Change| diff.path(change.node).next().unwrap().function.to_string();
    diff.changes(Metric::Peak).iter().map(|c| (function(c), c.sides.before.bytes, c.sides.after.bytes)).collect()
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
fn places_of_an_object_are_one() {
    let place = |function: &str| Frame { known_by: KnownBy::Place, ..native(function, "/lib/libx.so.1") };
    let diff = Diff::of(&profile(&[(&[&place("libx.so.1+0x10")], 3)]), &profile(&[(&[&place("libx.so.1+0x90")], 3)]));
    assert_eq!(growth(&diff), []);
}

/// A function of an object without symbols, in this build.
fn start(address: u64, file: &str, build_id: &[u8]) -> Frame {
    let name = format!("func@{address:#x}");
    Frame { known_by: KnownBy::Start { build_id: build_id.into() }, ..native(&name, file) }
}

/// At one address stands another function in another build, so that only the object is the same.
#[test]
fn functions_without_name_are_those_of_one_build() {
    let side = |root: &str, build_id: &[u8], first: u64, second: u64| {
        let file = format!("{root}/libx.so.1");
        let [one, other] = [0x10, 0x90].map(|address| start(address, &file, build_id));
        let nowhere = Frame { known_by: KnownBy::Place, ..native("libx.so.1+0xff", &file) };
        profile(&[(&[&one], first), (&[&other], second), (&[&nowhere], 5)])
    };
    let before = side("/lib", &[1, 2], 100, 30);
    let of = |after: &Profile| growth(&Diff::of(&before, after));
    let [one, other] = ["func@0x10", "func@0x90"].map(str::to_owned);
    // Another path makes no difference.
    assert_eq!(of(&side("/usr/lib", &[1, 2], 300, 40)), [(one.clone(), 100, 300), (other.clone(), 30, 40)]);
    assert_eq!(of(&side("/lib", &[1, 3], 300, 40)), [("libx.so.1".into(), 135, 345)]);
    let known = Diff::of(&before, &side("/lib", &[1, 3], 300, 40)).frames;
    assert!(known.iter().all(|frame| frame.known_by == KnownBy::Place), "{known:?}");
    assert_eq!(of(&side("/lib", &[1, 3], 90, 40)), []);
    // One side does not know, or has several builds.
    assert_eq!(of(&side("/lib", &[], 300, 40)), [("libx.so.1".into(), 135, 345)]);
    let gone = Frame { known_by: KnownBy::Place, ..native("libx.so.1+0x14", "/lib/libx.so.1") };
    assert_eq!(of(&profile(&[(&[&gone], 300)])), [("libx.so.1".into(), 135, 300)]);
    let rebuilt = start(0x10, "/lib/libx.so.1", &[1, 3]);
    let same = start(0x10, "/lib/libx.so.1", &[1, 2]);
    assert_eq!(of(&profile(&[(&[&same], 100), (&[&rebuilt], 300)])), [("libx.so.1".into(), 135, 400)]);
    // One side has nothing of it.
    let main = python("main", "/app/main.py", 3);
    let all = [(one, 100, 0), (other, 30, 0), ("main".into(), 0, 7), ("libx.so.1".into(), 5, 0)];
    assert_eq!(of(&profile(&[(&[&main], 7)])), all);
    // By line as well.
    let diff = Diff::in_detail(&before, &side("/lib", &[1, 2], 300, 30), Detail::Line);
    assert_eq!(rows(&diff, By::Line), [("func@0x10".into(), 0, [100, 300], [100, 300])]);
}

/// A frame of a function that begins in `first`, with what stands in its line.
fn at(function: &str, file: &str, first: u32, line: u32, text: &str) -> Frame {
    let source = (!text.is_empty()).then(|| text.into());
    Frame { first_line: first, source, ..python(function, file, line) }
}

/// What rows say: name, line, own bytes before and after, total bytes before and after.
fn rows(diff: &Diff, by: By) -> Vec<(String, u32, [u64; 2], [u64; 2])> {
    let bytes = |sides: &Sides| [sides.before.bytes, sides.after.bytes];
    let rows = diff.rows(Metric::Peak, by).into_iter();
    rows.map(|row| (row.name.to_string(), row.line, bytes(&row.own), bytes(&row.total))).collect()
}

/// Another checkout, comments above each function; `load` takes 40 more, `parse` as much as before, `new` is new.
#[test]
fn rows_of_two_checkouts() {
    let side = |root: &str, shift: u32, load: u64, more: &[u64]| {
        let main = at("main", &format!("{root}/main.py"), 10 + shift, 12 + shift, "");
        let load_ = at("load", &format!("{root}/lib/load.py"), 20 + 2 * shift, 21 + 2 * shift, "");
        let parse = at("parse", &format!("{root}/lib/load.py"), 30 + 3 * shift, 35 + 3 * shift, "");
        let new = at("new", &format!("{root}/main.py"), 50, 51, "");
        let mut stacks: Vec<(&[&Frame], u64)> = vec![];
        let (outer, inner, innermost, newest): ([&Frame; 1], [&Frame; 2], [&Frame; 3], [&Frame; 2]) =
            ([&main], [&main, &load_], [&main, &load_, &parse], [&main, &new]);
        stacks.extend([(&outer[..], 5), (&inner[..], load), (&innermost[..], 7)]);
        stacks.extend(more.iter().map(|bytes| (&newest[..], *bytes)));
        profile(&stacks)
    };
    let diff = Diff::in_detail(&side("/a", 0, 100, &[]), &side("/b/c", 4, 140, &[9]), Detail::Line);
    assert_eq!(
        rows(&diff, By::Line),
        [
            ("load".into(), 29, [100, 140], [107, 147]),
            ("new".into(), 51, [0, 9], [0, 9]),
            ("main".into(), 16, [5, 5], [112, 161]),
        ]
    );
    assert_eq!(
        rows(&diff, By::File),
        [("/b/c/lib/load.py".into(), 0, [107, 147], [107, 147]), ("/b/c/main.py".into(), 0, [5, 14], [112, 161])]
    );
    assert_eq!(
        rows(&diff, By::Package),
        [("lib".into(), 0, [107, 147], [107, 147]), ("main".into(), 0, [5, 14], [112, 161])]
    );
    let functions = Diff::of(&side("/a", 0, 100, &[]), &side("/b/c", 4, 140, &[9]));
    assert_eq!(rows(&functions, By::Function), rows(&diff.clone().by_function(), By::Function));
    assert_eq!(functions.tree.nodes(), diff.by_function().tree.nodes());
}

/// A line in the body of a module has nothing but its text.
#[test]
fn lines_are_matched_by_their_text() {
    let side = |lines: &[(u32, &str, u64)]| {
        let frames: Vec<Frame> =
            lines.iter().map(|(line, text, _)| at("<module>", "/app/main.py", 1, *line, text)).collect();
        let stacks: Vec<[&Frame; 1]> = frames.iter().map(|frame| [frame]).collect();
        let stacks: Vec<(&[&Frame], u64)> =
            stacks.iter().zip(lines).map(|(stack, line)| (&stack[..], line.2)).collect();
        profile(&stacks)
    };
    let before = side(&[(3, "a = load()", 100), (4, "b = parse()", 50), (5, "old()", 7)]);
    let after = side(&[(9, "a = load()", 100), (11, "b = parse()", 60), (12, "new()", 8)]);
    let diff = Diff::in_detail(&before, &after, Detail::Line);
    let found: Vec<_> = rows(&diff, By::Line).into_iter().map(|(_, line, own, _)| (line, own)).collect();
    // A line that is gone keeps its number.
    assert_eq!(found, [(11, [50, 60]), (12, [0, 8]), (5, [7, 0])]);
}

/// On 3.8 a method is `load`, on 3.11 `Loader.load`.
#[test]
fn methods_are_the_same_whether_their_class_is_known_or_not() {
    let side = |name: &str, bytes: u64| profile(&[(&[&at(name, "/app/main.py", 5, 6, "")], bytes)]);
    for (before, after) in [("load", "Loader.load"), ("Loader.load", "load")] {
        let diff = Diff::of(&side(before, 10), &side(after, 30));
        assert_eq!(growth(&diff), [("Loader.load".into(), 10, 30)]);
    }
}

#[test]
fn a_filter_leaves_the_rest_out_of_the_totals() {
    let side = |load: u64, array: u64| {
        let main = python("main", "/app/main.py", 3);
        let array_ = python("array", "/v/lib/python3.11/site-packages/numpy/core.py", 9);
        profile(&[(&[&main], load), (&[&main, &array_], array)])
    };
    let filter = Filter { exclude: vec!["package:numpy".parse().unwrap()], ..Filter::default() };
    let (kept, left_out) = Diff::of(&side(10, 1_000), &side(15, 3_000)).filtered(&filter);
    assert_eq!(growth(&kept), [("main".into(), 10, 15)]);
    let total = kept.total(Metric::Peak);
    assert_eq!((total.before.bytes, total.after.bytes, kept.tree.nodes().len()), (10, 15, 1));
    assert_eq!(left_out.map(|amounts| amounts.of(Metric::Peak).bytes), [1_000, 3_000]);
}

/// Files of which some have a common end.
const ALIKE: [&str; 6] = ["/a/x.py", "/a/p/x.py", "/b/x.py", "/b/p/y.py", "/usr/lib/python3.11/json/x.py", "<string>"];
/// Files of which none could be another.
const APART: [&str; 6] =
    ["/a/x.py", "/a/p/y.py", "/a/p/z.py", "/a/q/u.py", "/usr/lib/python3.11/json/v.py", "<string>"];

/// Stacks of a few functions, files, lines and texts.
fn any_profile(files: [&'static str; 6]) -> impl Strategy<Value = Profile> {
    const FUNCTIONS: [&str; 5] = ["<module>", "load", "Loader.load", "Other.load", "main"];
    let frame = (0..5usize, 0..6usize, 1..4u32, 0..4u32, 0..3usize);
    let frame = frame.prop_map(move |(function, file, first, below, text)| {
        at(FUNCTIONS[function], files[file], first, first + below, ["", "one", "other"][text])
    });
    let stack = (prop::collection::vec(frame, 1..4), 1..1_000u64);
    prop::collection::vec(stack, 0..12).prop_map(|stacks| {
        let stacks: Vec<(Vec<&Frame>, u64)> =
            stacks.iter().map(|(frames, bytes)| (frames.iter().collect(), *bytes)).collect();
        let stacks: Vec<(&[&Frame], u64)> = stacks.iter().map(|(frames, bytes)| (&frames[..], *bytes)).collect();
        profile(&stacks)
    })
}

/// All ways to put together.
const ALL: [By; 5] = [By::File, By::Function, By::Line, By::Package, By::Module];

/// Of stacks and of rows: what grew by how many bytes and blocks, in order.
fn all_growth(diff: &Diff, lines: &Diff, ways: &[By]) -> Vec<Vec<(i128, i128)>> {
    let stacks =
        |diff: &Diff| diff.changes(Metric::Peak).iter().map(|c| (c.sides.growth(), c.sides.blocks())).collect();
    let mut all: Vec<Vec<(i128, i128)>> = vec![stacks(diff), stacks(lines)];
    for by in ways {
        let rows = lines.rows(Metric::Peak, *by);
        all.push(rows.iter().map(|row| (row.own.growth(), row.own.blocks())).filter(|own| *own != (0, 0)).collect());
    }
    all
}

fn check_the_way_back(a: &Profile, b: &Profile, ways: &[By]) -> Result<(), TestCaseError> {
    let both = |a: &Profile, b: &Profile| {
        let [diff, lines] = [Detail::Function, Detail::Line].map(|detail| Diff::in_detail(a, b, detail));
        all_growth(&diff, &lines, ways)
    };
    for (mut there, mut back) in both(a, b).into_iter().zip(both(b, a)) {
        back.iter_mut().for_each(|growth| *growth = (-growth.0, -growth.1));
        // Of equal changes the order is that of the side after.
        there.sort_unstable();
        back.sort_unstable();
        prop_assert_eq!(there, back);
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_changes_from_a_profile_to_itself(profile in any_profile(ALIKE)) {
        let [diff, lines] = [Detail::Function, Detail::Line].map(|detail| Diff::in_detail(&profile, &profile, detail));
        prop_assert!(all_growth(&diff, &lines, &ALL).iter().all(Vec::is_empty));
        prop_assert!(lines.rows(Metric::Peak, By::Line).is_empty());
    }

    #[test]
    fn the_way_back_is_the_way_there_with_the_other_sign(a in any_profile(ALIKE), b in any_profile(ALIKE)) {
        // Packages are named after the paths of the side after, so that two checkouts of which one has another layout
        // may have other packages on the way back.
        check_the_way_back(&a, &b, &ALL[..3])?;
    }

    #[test]
    fn and_so_it_is_by_package(a in any_profile(APART), b in any_profile(APART)) {
        check_the_way_back(&a, &b, &ALL)?;
    }

    #[test]
    fn changes_add_up_to_the_difference_of_the_totals(a in any_profile(ALIKE), b in any_profile(ALIKE)) {
        let [diff, lines] = [Detail::Function, Detail::Line].map(|detail| Diff::in_detail(&a, &b, detail));
        let total = diff.total(Metric::Peak);
        for growth in all_growth(&diff, &lines, &ALL) {
            let sum = growth.iter().fold((0, 0), |sum, growth| (sum.0 + growth.0, sum.1 + growth.1));
            prop_assert_eq!(sum, (total.growth(), total.blocks()));
        }
    }

    #[test]
    fn what_is_kept_and_what_is_left_out_is_all(a in any_profile(ALIKE), b in any_profile(ALIKE), any_frame: bool) {
        let filter = Filter { include: vec!["x.py".parse().unwrap()], exclude: vec!["function:load".parse().unwrap()], any_frame };
        let (kept, left_out) = Diff::of(&a, &b).filtered(&filter);
        let peak = |amounts: &Amounts| amounts.of(Metric::Peak).bytes;
        prop_assert_eq!(peak(&kept.total_before) + peak(&left_out[0]), peak(&a.total));
        prop_assert_eq!(peak(&kept.total_after) + peak(&left_out[1]), peak(&b.total));
        prop_assert_eq!(kept.before.iter().map(peak).sum::<u64>(), peak(&kept.total_before));
    }
}
