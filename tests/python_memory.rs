//! CPython's own allocators (`--python-allocators`): every call of each domain, and what lives, line by line, beside what
//! the interpreter's own `tracemalloc` says of the same script. On every version that is there, and with all the
//! allocators and debug hooks that it can be told to use.

use crate::traced::{BYTES_HEAD, Python, Run, Step, Traced, What, fixture, pythons};
use heaptide_format::allocator::Allocator;
use std::collections::BTreeMap;
use std::path::Path;

const DOMAINS: [&str; 3] = ["PyMem_Raw", "PyMem_", "PyObject_"];

fn is_of(allocator: Allocator, domain: &str) -> bool {
    let function = allocator.name().strip_prefix(domain);
    function.is_some_and(|function| ["Malloc", "Calloc", "Realloc"].contains(&function))
}

/// A script with the blocks of Python's allocators, `PYTHONMALLOC` set to `choice`; `-X dev` if that is `dev`.
fn traced(script: &str, python: &Python, choice: &str) -> Traced {
    let traced = match choice {
        "dev" => Traced::command([&python.path, Path::new("-Xdev"), &fixture(script)]),
        _ => Traced::python(script, python).env("PYTHONMALLOC", choice),
    };
    traced.options(["--python-allocators"])
}

/// What `PYTHONMALLOC` can say.
fn choices(python: &Python) -> &'static [&'static str] {
    const ALL: [&str; 9] =
        ["", "dev", "debug", "malloc", "malloc_debug", "pymalloc", "pymalloc_debug", "mimalloc", "mimalloc_debug"];
    if python.since(13) { &ALL } else { &ALL[..7] }
}

/// What `drive` in domains.py did in a domain.
fn story(run: &Run, domain: &str) -> Vec<String> {
    let sizes = [0, 488, 984, 1968, 123_000];
    let its = |step: &&Step| step.function == "drive" && is_of(step.allocator, domain) && sizes.contains(&step.bytes);
    let tell = |step: &Step| match step.what {
        What::Freed => format!("free {}", step.bytes),
        What::Reallocated(before) => format!("{} {before} > {}", &step.allocator.name()[domain.len()..], step.bytes),
        _ => format!("{} {}", &step.allocator.name()[domain.len()..], step.bytes),
    };
    run.steps().iter().filter(its).map(tell).collect()
}

#[test]
fn every_call_of_every_domain_is_one_event() {
    for python in pythons() {
        for choice in choices(python) {
            let run = traced("domains.py", python, choice).record();
            run.exits(0);
            assert_eq!(
                run.stdout(),
                "[None, None, None] True True True True\n".repeat(3),
                "{choice} on 3.{}",
                python.minor
            );
            for domain in DOMAINS {
                assert_eq!(
                    story(&run, domain),
                    [
                        "Malloc 984",
                        "free 984",
                        "Calloc 984",
                        "free 984",
                        "Malloc 488",
                        "Realloc 488 > 984",
                        "Realloc 984 > 123000",
                        "Realloc 123000 > 1968",
                        "Realloc 1968 > 488",
                        // Three calls that ask for 2^60 bytes give nothing; the block that could not grow is released.
                        "free 488",
                        // From null; to no bytes, which is a block; two more blocks of no bytes.
                        "Realloc 1968",
                        "Realloc 1968 > 0",
                        "free 0",
                        "Malloc 0",
                        "Calloc 0",
                        "free 0",
                        "free 0",
                        "Malloc 984",
                        "Malloc 488",
                    ],
                    "{domain} with {choice:?} on 3.{}",
                    python.minor
                );
            }
            // RAW's blocks come from malloc, and so do large ones of the others: they are not counted there again.
            let blocks = run.of_size(984).into_iter().filter(|step| step.function == "drive");
            assert_eq!(blocks.filter(|step| step.allocator == Allocator::Malloc).count(), 0);
        }
    }
}

/// Bytes and number of blocks by place: a line of the script, or another file.
type Places = BTreeMap<String, (u64, u64)>;

/// What kinds.py prints.
fn told(stdout: &str) -> Places {
    let mut places = Places::new();
    for line in stdout.lines() {
        let (place, size) = line.rsplit_once(' ').expect("place and size");
        let sum = places.entry(place.to_owned()).or_default();
        *sum = (sum.0 + size.parse::<u64>().expect("a size"), sum.1 + 1);
    }
    places
}

/// What came from the domains MEM and OBJ (`tracemalloc` has its own notes in RAW; the script has none) between the marks of kinds.py and lived at the second.
fn between_marks(run: &Run) -> Places {
    let steps = run.steps();
    let mark = |bytes| {
        let is_it = |step: &Step| [bytes, bytes + BYTES_HEAD].contains(&step.bytes) && step.what == What::Allocated;
        steps.iter().position(is_it).expect("a mark")
    };
    let mut live: BTreeMap<u32, &Step> = BTreeMap::new();
    for step in &steps[mark(77_777) + 1..=mark(88_888)] {
        match step.what {
            What::Freed => drop(live.remove(&step.slot)),
            _ => drop(live.insert(step.slot, step)),
        }
    }
    let mut places = Places::new();
    for step in live.values().filter(|step| step.allocator >= Allocator::PyMemMalloc) {
        let line = step.stack[0].rsplit(':').next().unwrap_or_default();
        let script = fixture("kinds.py");
        let other = step.file.rsplit('/').next().unwrap_or_default();
        let place = if Path::new(&step.file) == script { line } else { other };
        let sum = places.entry(place.to_owned()).or_default();
        *sum = (sum.0 + step.bytes, sum.1 + 1);
    }
    places
}

fn total(places: &Places) -> (u64, u64) {
    places.values().fold((0, 0), |sum, place| (sum.0 + place.0, sum.1 + place.1))
}

/// The one line of a function in kinds.py that allocates.
fn line_of(function: &str) -> String {
    let source = std::fs::read_to_string(fixture("kinds.py")).expect("a fixture");
    let lines = source.lines().position(|line| line.starts_with(&format!("def {function}(")));
    (lines.expect("a function") + 1).to_string()
}

/// All in all the interpreter's `tracemalloc` counts the same bytes and blocks, and the same for nearly every line. Where
/// not, one place has what the other lacks:
///
/// - A block that comes from a free list (tuples, lists, dictionaries, floats, frames) was given by the allocator
///   earlier. heaptide says who asked the allocator for it; `tracemalloc` is told by the interpreter
///   (`_PyTraceMalloc_NewReference`) and says who uses it now.
/// - From 3.14 on that is so for numbers as well.
/// - From 3.11 on a generator is made by the first instruction of its function. heaptide says so; `tracemalloc` leaves
///   frames out that have not come further than that, and says who called the function.
#[test]
fn the_same_bytes_and_blocks_as_tracemalloc() {
    const KEPT: [&str; 2] = ["plain", "objects"];
    const OF_NUMBERS: [&str; 4] = ["numbers", "texts", "mapping", "together"];
    // The mark has a bytearray's object and its bytes; `tracemalloc` counts an argument for it, from a free list.
    const MOVED: [&str; 6] = ["types", "codes", "parses", "runs", "yields", "mark"];
    for python in pythons() {
        // Its numbers are the program's own, and stay as they are.
        let bare = Traced::python("kinds.py", python).args(["tracemalloc"]).same_addresses().bare();
        let expected = told(&bare.stdout());
        let run = traced("kinds.py", python, "").args(["tracemalloc"]).same_addresses().record();
        assert_eq!(told(&run.stdout()), expected, "on 3.{}", python.minor);
        // And are ours, beside it and without it.
        let alone = traced("kinds.py", python, "").same_addresses().record();
        for found in [between_marks(&run), between_marks(&alone)] {
            assert_eq!(total(&found), total(&expected), "on 3.{}", python.minor);
            let of_numbers: &[&str] = if python.since(14) { &[] } else { &OF_NUMBERS };
            for function in KEPT.iter().chain(of_numbers) {
                let line = line_of(function);
                assert!(
                    expected[&line].1 > if python.since(15) { 10 } else { 200 },
                    "{function} has {:?} on 3.{}",
                    expected[&line],
                    python.minor
                );
                assert_eq!(found[&line], expected[&line], "{function} on 3.{}", python.minor);
            }
            let mut moved: Vec<String> = MOVED.iter().map(|function| line_of(function)).collect();
            moved.extend(["decoder.py", "__init__.py"].map(str::to_owned));
            if python.since(14) {
                moved.extend([&OF_NUMBERS[..], &["grows", "shrinks"]].concat().into_iter().map(line_of));
            }
            for place in found.keys().chain(expected.keys()).filter(|place| found.get(*place) != expected.get(*place)) {
                assert!(moved.contains(place), "{place}: {:?}, not {:?}", found.get(place), expected.get(place));
            }
        }
    }
}

/// `tracemalloc` wraps the domains above us, and is called by pymalloc for large blocks, while we record. What it
/// allocates for itself is seen to come and go; once it is stopped all is as before.
#[test]
fn wrappers_that_come_and_go() {
    for python in pythons() {
        for choice in ["", "debug", "malloc"] {
            let run = traced("kinds.py", python, choice).args(["tracemalloc"]).record();
            let head = if python.since(15) { BYTES_HEAD } else { 0 };
            let blocks = |bytes: u64| {
                let bytes = bytes + head;
                let steps = run
                    .steps()
                    .iter()
                    .filter(|step| step.bytes == bytes && ["<module>", "mark"].contains(&&*step.function));
                steps.map(|step| step.what).collect::<Vec<_>>()
            };
            assert_eq!(blocks(77_777), [What::Allocated, What::Freed], "{choice} on 3.{}", python.minor);
            assert_eq!(blocks(88_888), [What::Allocated, What::Freed], "{choice} on 3.{}", python.minor);
            assert_eq!(blocks(66_666), [What::Allocated], "{choice} on 3.{}", python.minor);
            // One block that pymalloc was about to give when the wrappers were installed, and a few that tracemalloc
            // allocates while we record: its table grows smaller when large blocks go. From 3.14 on it notes more there.
            let most = if python.since(14) { 64 } else { 8 };
            assert!(run.totals().freed_unknown < most, "{} on 3.{}", run.totals().freed_unknown, python.minor);
        }
    }
}

/// `PYTHONTRACEMALLOC` starts it during the interpreter's start.
#[test]
fn tracemalloc_from_the_start() {
    for python in pythons() {
        let run = traced("kinds.py", python, "").env("PYTHONTRACEMALLOC", "1").record();
        assert!(run.totals().freed_unknown <= 1, "{} on 3.{}", run.totals().freed_unknown, python.minor);
        let allocator = run.of_size(88_888)[0].allocator;
        assert!(allocator >= Allocator::PyMemMalloc, "{allocator:?} on 3.{}", python.minor);
    }
}

/// Mapped pools are not counted beside the blocks in them, whoever manages them.
#[test]
fn the_pools_of_other_allocators_are_not_counted_twice() {
    for python in pythons() {
        for choice in choices(python) {
            let run = traced("objects.py", python, choice).record();
            assert_eq!(run.at_exit("objects").1, 10_000, "{choice} on 3.{}", python.minor);
            let mapped = run.totals().allocators[usize::from(Allocator::Mmap.number())];
            assert!(mapped.bytes < 256 << 10, "{mapped:?} with {choice} on 3.{}", python.minor);
        }
    }
}

/// The wrappers are there before the first import.
#[test]
fn imports_at_the_start_are_seen() {
    for python in pythons() {
        let run = traced("kinds.py", python, "").record();
        let count = |wanted: &dyn Fn(&str) -> bool| {
            let objects =
                run.steps().iter().filter(|step| step.what == What::Allocated && is_of(step.allocator, "PyObject_"));
            objects.filter(|step| step.stack.iter().any(|frame| wanted(frame))).count()
        };
        // `site` imports and runs before the script does; the script imports json.
        assert!(count(&|frame| frame.starts_with("_find_and_load:")) > 1_000, "on 3.{}", python.minor);
        let in_file = |end: &str| run.steps().iter().filter(|step| step.file.ends_with(end)).count();
        assert!(in_file("/json/decoder.py") > 10, "on 3.{}", python.minor);
        assert!(in_file("/site.py") + in_file("<frozen site>") > 100, "on 3.{}", python.minor);
    }
}

/// Where the interpreter keeps columns (3.11), two places of one line are two in the capture; reports go by lines.
#[test]
fn two_places_on_one_line() {
    for python in pythons() {
        for options in [&[][..], &["--python-allocators"]] {
            let run = Traced::python("columns.py", python).options(options).record();
            let what = |bytes: u64, what: What| {
                let steps = run.steps().iter().filter(|step| step.bytes == bytes && step.what == what);
                steps.filter(|step| step.stack[..2] == ["both:4", "<module>:10"]).count()
            };
            let head = if python.since(15) { BYTES_HEAD } else { 0 };
            for bytes in [18_001 + head, 18_002 + head] {
                let counts = (what(bytes, What::Allocated), what(bytes, What::Freed));
                // Three by the script, two when the interpreter takes the module apart.
                assert_eq!(counts, (5, 5), "{bytes} on 3.{}", python.minor);
            }
            if options.is_empty() {
                let pair = 18_001 + 18_002 + 2 * head;
                assert_eq!(run.allocated("both"), (5 * pair, 10), "on 3.{}", python.minor);
                assert_eq!(run.at_peak("both"), (5 * pair, 10), "on 3.{}", python.minor);
                assert_eq!(run.at_exit("both"), (2 * pair, 4), "on 3.{}", python.minor);
            }
            let columns: Vec<u64> = [18_001, 18_002].map(|bytes| column_of(&run, bytes + head)).into();
            let expected = if python.since(11) { [13, 33] } else { [0, 0] };
            assert_eq!(columns, expected, "on 3.{}", python.minor);
        }
    }
}

/// The column of the innermost frame of the first block of this size, as `heaptide parse` shows it.
fn column_of(run: &Run, bytes: u64) -> u64 {
    let text = run.heaptide("parse --json run.bin").succeeds().stdout();
    let of_kind = |kind: &str, key: &str, value: u64| {
        let start = format!("{{\"record\":\"{kind}\"");
        let mut records = text.lines().filter(|line| line.starts_with(&start));
        let parsed = records.find_map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
            (record[key] == value).then_some(record)
        });
        parsed.unwrap_or_else(|| panic!("no {kind} with {key} {value}"))
    };
    let number = |record: &serde_json::Value, key: &str| record[key].as_u64().expect("a number");
    let stack = number(&of_kind("allocated", "size", bytes), "stack");
    let frame = number(&of_kind("stack", "id", stack), "frame");
    number(&of_kind("frame", "id", frame), "column")
}
