//! The same scripts under memray, on each version of Python for which there is an interpreter with it: the same
//! allocations, function by function and line by line, in both modes, at the peak and at the end.
//!
//! HEAPTIDE_MEMRAY_PYTHON names the interpreters, separated by colons; else `python3` is tried. docs/guide/numbers.md
//! explains the differences to users.

use crate::support::Scratch;
use crate::traced::{Python, Run, Step, Traced, What, announce, fixture};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Prints what the script itself allocated (innermost frame in its file), in all, at the peak and left at the end: Python's function and
/// line, bytes, number of blocks. Without mappings: which function has an arena mapped depends on what filled the last. At
/// the peak and at the end memray puts blocks and mappings of one place together, so `arena` says which places have some.
const TOTALS: &str = "
import collections, sys
from memray import AllocatorType, FileReader
reader, script = FileReader(sys.argv[1]), sys.argv[2]
for when in 'allocation', 'high_watermark_allocation', 'leaked_allocation':
    totals = collections.defaultdict(lambda: [0, 0])
    for record in getattr(reader, 'get_%s_records' % when)():
        kind = AllocatorType(record.allocator).name
        stack = record.stack_trace(1) if 'FREE' not in kind and kind != 'MUNMAP' else ()
        if stack and stack[0][1] == script and kind == 'MMAP':
            print('arena', stack[0][0].rsplit('.', 1)[-1], stack[0][2], 0, 0)
        elif stack and stack[0][1] == script:
            total = totals[stack[0][0].rsplit('.', 1)[-1], stack[0][2]]
            total[0] += record.size
            total[1] += record.n_allocations
    for place, (size, count) in sorted(totals.items()):
        print(when, *place, size, count)
";

fn interpreters() -> &'static [Python] {
    static FOUND: LazyLock<Vec<Python>> = LazyLock::new(|| {
        let named = std::env::var_os("HEAPTIDE_MEMRAY_PYTHON").unwrap_or("python3".into());
        let identify = |path: PathBuf| {
            let question = "import memray, sys; print(sys.version_info[1], sys.executable)";
            let answer = Command::new(&path).args(["-c", question]).output().ok()?;
            let text = String::from_utf8(answer.stdout).ok()?;
            let (minor, path) = text.trim().split_once(' ')?;
            Some(Python { minor: minor.parse().ok()?, debug: false, path: path.into() })
        };
        std::env::split_paths(&named).filter_map(identify).collect()
    });
    if FOUND.is_empty() {
        announce("skipped: no interpreter with memray; HEAPTIDE_MEMRAY_PYTHON can name one or more");
    }
    &FOUND
}

/// Python's function and line; bytes and blocks.
type Places = BTreeMap<(String, u32), (u64, u64)>;

const WHEN: [&str; 4] = ["allocation", "high_watermark_allocation", "leaked_allocation", "arena"];

/// What memray says of a script: of all its allocations, of those at the peak, of those left; and where arenas were mapped.
fn by_memray(python: &Python, script: &str, mode: &str) -> [Places; 4] {
    let scratch = Scratch::new();
    let mut record = Command::new(&python.path);
    record.arg(fixture("under_memray.py")).arg(fixture(script)).arg(scratch.path("m.bin")).arg(mode);
    scratch.run(&mut record).exits(0);
    let mut totals = Command::new(&python.path);
    totals.args(["-c", TOTALS]).arg(scratch.path("m.bin")).arg(fixture(script));
    let output = scratch.run(&mut totals).exits(0).stdout();
    WHEN.map(|when| {
        let lines = output.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|words| words[0] == when);
        let number = |word: &str| word.parse::<u64>().expect("a number");
        lines.map(|w| ((w[1].to_owned(), number(w[2]) as u32), (number(w[3]), number(w[4])))).collect()
    })
}

/// The same interpreter in the same state, memray loaded but idle.
fn recorded(python: &Python, script: &str, mode: &str) -> Run {
    let run = Traced::python("under_memray.py", python).args([&fixture(script), Path::new("-"), Path::new(mode)]);
    let run = if mode == "python" { run.options(["--python-allocators"]) } else { run }.run();
    run.exits(0);
    run
}

/// What a capture says of the same.
fn by_heaptide(run: &Run, script: &str) -> [Places; 3] {
    let script = fixture(script);
    let sum = |steps: &mut dyn Iterator<Item = &Step>| {
        let mut places = Places::new();
        for step in steps.filter(|step| Path::new(&step.file) == script && !step.allocator.is_mapping()) {
            let line = step.stack[0].rsplit(':').next().unwrap().parse().unwrap();
            let place = places.entry((step.function.clone(), line)).or_default();
            *place = (place.0 + step.bytes, place.1 + 1);
        }
        places
    };
    let live_after = |steps: &'_ [Step]| {
        let mut live: BTreeMap<u32, usize> = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            match step.what {
                What::Freed => drop(live.remove(&step.slot)),
                What::Shrunk => {}
                What::Allocated | What::Reallocated(_) => drop(live.insert(step.slot, index)),
            }
        }
        live
    };
    let steps = run.steps();
    let (mut bytes, mut peak, mut after_peak) = (0, 0, 0);
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.allocator.is_heap()) {
        bytes += if matches!(step.what, What::Allocated | What::Reallocated(_)) { step.bytes } else { 0 };
        bytes -= match step.what {
            What::Freed | What::Shrunk => step.bytes,
            What::Reallocated(before) => before,
            What::Allocated => 0,
        };
        if bytes > peak {
            (peak, after_peak) = (bytes, index + 1);
        }
    }
    let gives = |step: &&Step| matches!(step.what, What::Allocated | What::Reallocated(_));
    let sum_of = |live: BTreeMap<u32, usize>| sum(&mut live.into_values().map(|index| &steps[index]));
    [sum(&mut steps.iter().filter(gives)), sum_of(live_after(&steps[..after_peak])), sum_of(live_after(steps))]
}

/// By function: up to 3.10 memray does not know the line in a function that is still in its first one, and says 0.
fn by_function(places: &Places) -> BTreeMap<String, (u64, u64)> {
    let mut functions: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for ((function, _), (bytes, count)) in places {
        let sum = functions.entry(function.clone()).or_default();
        *sum = (sum.0 + bytes, sum.1 + count);
    }
    functions
}

/// Line by line, on the newest version.
#[test]
fn the_same_lines_as_memray() {
    let Some(python) = interpreters().iter().max_by_key(|python| python.minor) else { return };
    for script in ["functions.py", "lines.py", "generators.py", "threads.py", "one_block.py"] {
        let [expected, ..] = by_memray(python, script, "default");
        let [found, ..] = by_heaptide(&recorded(python, script, "default"), script);
        assert!(!expected.is_empty(), "memray tells of nothing in {script}");
        assert_eq!(found, expected, "{script} on 3.{}", python.minor);
    }
}

/// What malloc and the like gave: every function of a script, all it ever allocated, what it held at the peak and what it
/// left. On 3.11 a call in `parses` gets one block more (526 bytes, too large for pymalloc) when memray follows it.
#[test]
fn the_same_functions_as_memray() {
    for python in interpreters() {
        let [all, peak, left, arenas] = by_memray(python, "kinds.py", "default");
        let by_function = |places: &Places| {
            let mut functions = by_function(places);
            functions.retain(|function, _| *function != "parses" || python.minor != 11);
            functions
        };
        let without_arenas = |places: &Places| {
            let mut functions = by_function(places);
            functions.retain(|function, _| arenas.keys().all(|(mapped, _)| mapped != function));
            functions
        };
        let run = recorded(python, "kinds.py", "default");
        let [found, found_peak, found_left] = by_heaptide(&run, "kinds.py");
        assert_eq!(by_function(&found), by_function(&all), "on 3.{}", python.minor);
        assert_eq!(without_arenas(&found_left), without_arenas(&left), "on 3.{}", python.minor);
        assert!(arenas.len() <= 2, "{arenas:?} on 3.{}", python.minor);
        assert!(by_function(&found)["mark"].0 >= 88_888, "on 3.{}", python.minor);
        // The modules that memray does not see are a part of heaptide's total; the peak is the script's nevertheless.
        assert_eq!(without_arenas(&found_peak), without_arenas(&peak), "on 3.{}", python.minor);
        assert_eq!(by_function(&peak)["mark"], (88_888, 1), "on 3.{}", python.minor);
    }
}

/// The same for Python's allocators. Where memray's numbers are others:
///
/// - memray follows calls with a profile function. The interpreter makes objects for it, which those places have that call
///   and return (`<module>`, generators and who runs them; from 3.11 on, where frames are such objects, all that call).
/// - From 3.11 on a generator is made by the first instruction of its function, `yields`. memray's profile function has
///   not been told of the call then, and it says `runs`.
#[test]
fn the_same_objects_as_memray() {
    const OBSERVED: [&str; 3] = ["<module>", "<genexpr>", "parses"];
    const CALL_NOTHING: [&str; 6] = ["numbers", "shrinks", "mapping", "together", "plain", "mark"];
    for python in interpreters() {
        let [all, _, left, arenas] = by_memray(python, "kinds.py", "python");
        let [found, _, found_left] = by_heaptide(&recorded(python, "kinds.py", "python"), "kinds.py");
        let of_both = |places: &Places| {
            let mut functions = by_function(places);
            functions.retain(|function, _| {
                !OBSERVED.contains(&&**function) && (!python.since(11) || CALL_NOTHING.contains(&&**function))
            });
            functions
        };
        assert_eq!(of_both(&found), of_both(&all), "on 3.{}", python.minor);
        let without_arenas = |places: &Places| {
            let mut functions = of_both(places);
            functions.retain(|function, _| arenas.keys().all(|(mapped, _)| mapped != function));
            functions
        };
        assert_eq!(without_arenas(&found_left), without_arenas(&left), "on 3.{}", python.minor);
        // 2 000 numbers and the list.
        assert!(of_both(&found)["numbers"].1 >= 2_002, "on 3.{}", python.minor);
    }
}
