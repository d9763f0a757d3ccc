//! `heaptide diff` by line, function, file, module and package, with filters, as a gate, and beside `tracemalloc`.

use crate::support::page;
use crate::support::recording::Recording;
use crate::support::{Ran, Scratch};
use crate::traced::{Python, Traced, fixture, newest_python, pythons};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const APP: &str = "/app/app.py";
const LOAD: &str = "/app/lib/load.py";
const NUMPY: &str = "/venv/lib/python3.8/site-packages/numpy/core.py";

/// `main` calls `load` (40 000 bytes) and numpy's `array`, `main` itself asks for 1 000. `shift` lines stand above each
/// function; `lines` is where `main` calls `load` from, counted from its first line.
fn recording(shift: u32, load: u64, arrays: &[u64]) -> Recording {
    let mut recording = Recording::new();
    let main = |below: u32| [("<module>", APP, 1, 90), ("main", APP, 10 + shift, 10 + shift + below)];
    let load_ = recording.stack_of(&[&main(2)[..], &[("load", LOAD, 20 + shift, 23 + shift)]].concat());
    let array = recording.stack_of(&[&main(3)[..], &[("array", NUMPY, 30, 31)]].concat());
    let itself = recording.stack_of(&main(1));
    recording.allocate(load_, load);
    recording.allocate(itself, 1_000);
    for bytes in arrays {
        recording.allocate(array, *bytes);
    }
    recording
}

/// `load` grows by 10 000 at another line of the file, `array` shrinks by 345 and one block.
fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording(0, 40_000, &[12_000, 345]).finish());
    scratch.file("after.bin", &recording(7, 50_000, &[12_000]).finish());
    scratch
}

#[test]
fn by_line() {
    let ran = scratch().heaptide("diff --by line run.bin after.bin").succeeds();
    assert_eq!(
        ran.stdout(),
        "\
before and after
before: python app.py  (run.bin)
 after: python app.py  (after.bin)

  before     after     bytes  count  of
52.1 KiB  61.5 KiB  +9.4 KiB     -1  peak memory
52.1 KiB  61.5 KiB  +9.4 KiB     -1  memory live at the end
52.1 KiB  61.5 KiB  +9.4 KiB     -1  all memory ever allocated
     0 B       0 B       0 B      0  temporary allocations (at most 1 other between)

What grew by line, its own bytes: peak memory
  growth  blocks  of all    before     after     total  line
+9.8 KiB       0  +18.7%  39.1 KiB  48.8 KiB  +9.8 KiB  load  /app/lib/load.py:30

What shrank by line, its own bytes: peak memory
growth  blocks  of all    before     after   total  line
-345 B      -1   -0.6%  12.1 KiB  11.7 KiB  -345 B  array  numpy/core.py:31

3 lines changed only by what was called there: see --sort total.
"
    );
}

/// Own and total growth of each group.
fn groups(json: &Value) -> Vec<(String, i64, i64)> {
    let growth = |sides: &Value| sides["after"]["bytes"].as_i64().unwrap() - sides["before"]["bytes"].as_i64().unwrap();
    let groups = json["groups"].as_array().expect("groups").iter();
    groups
        .map(|group| (group["name"].as_str().unwrap().to_owned(), growth(&group["own"]), growth(&group["total"])))
        .collect()
}

#[test]
fn by_everything_else() {
    let scratch = scratch();
    let check = |by: &str, expected: &[(&str, i64, i64)]| {
        let json = scratch.heaptide(&format!("diff --json --by {by} run.bin after.bin")).succeeds().json();
        assert_eq!(json["by"], by);
        assert_eq!(json["totals"][0]["after"]["bytes"], 63_000);
        let expected: Vec<_> = expected.iter().map(|(name, own, total)| ((*name).to_owned(), *own, *total)).collect();
        assert_eq!(groups(&json), expected, "{by}");
    };
    let rest = [("<module>", 0, 9_655), ("main", 0, 9_655)];
    check("function", &[&[("load", 10_000, 10_000), ("array", -345, -345)], &rest[..]].concat());
    check("file", &[(LOAD, 10_000, 10_000), (NUMPY, -345, -345), (APP, 0, 9_655)]);
    check("module", &[("lib.load", 10_000, 10_000), ("numpy.core", -345, -345), ("app", 0, 9_655)]);
    check("package", &[("lib", 10_000, 10_000), ("numpy", -345, -345), ("app", 0, 9_655)]);
    // The lines of `main` are those of the side after; its calls are told apart.
    check(
        "line",
        &[
            ("load", 10_000, 10_000),
            ("array", -345, -345),
            ("main", 0, 10_000),
            ("<module>", 0, 9_655),
            ("main", 0, -345),
        ],
    );
    scratch
        .heaptide("diff --by function --sort total run.bin after.bin")
        .succeeds()
        .shows("by function, its total bytes");
    let json = scratch.heaptide("diff --json --by stack run.bin after.bin").succeeds().json();
    assert_eq!((json["changes"].as_array().unwrap().len(), &json["groups"]), (2, &Value::Null));
}

#[test]
fn what_filters_leave_out_is_said() {
    let scratch = scratch();
    let ran = scratch.heaptide("diff --exclude package:numpy --exclude app.py:18 run.bin after.bin").succeeds();
    assert_eq!(
        ran.stdout(),
        "\
before and after
before: python app.py  (run.bin)
 after: python app.py  (after.bin)
filtered by --exclude package:numpy --exclude app.py:18
left out of peak memory: before 13.0 KiB in 3 blocks, after 12.7 KiB in 2 blocks

  before     after     bytes  count  of
39.1 KiB  48.8 KiB  +9.8 KiB      0  peak memory
39.1 KiB  48.8 KiB  +9.8 KiB      0  memory live at the end
39.1 KiB  48.8 KiB  +9.8 KiB      0  all memory ever allocated
     0 B       0 B       0 B      0  temporary allocations (at most 1 other between)

What grew: peak memory
+9.8 KiB (0 blocks)  39.1 KiB → 48.8 KiB
    load (/app/lib/load.py:30)
    main (/app/app.py)
    <module> (/app/app.py:90)
"
    );
    let json = scratch.heaptide("diff --json --include app/lib/ --any-frame run.bin after.bin").succeeds().json();
    assert_eq!(
        json["filter"],
        serde_json::json!({"include": ["app/lib/*"], "exclude": [], "any_frame": true,
            "left_out": {"before": {"bytes": 13_345, "count": 3}, "after": {"bytes": 13_000, "count": 2}}})
    );
    scratch.heaptide("diff --html -o page.html --include app/lib/ run.bin after.bin").exits(0);
    let page = page::text(&scratch.read("page.html"));
    assert!(page.contains("filtered by --include app/lib/*") && !page.contains("numpy"), "{page}");
    // In `summary` as well.
    let ran = scratch.heaptide("summary --include app.py --any-frame --exclude function:load run.bin").succeeds();
    ran.shows("filtered by --include app.py --exclude function:load --any-frame\nleft out of peak memory: 39.1 KiB in 1 blocks\n");
    let json = scratch.heaptide("summary --json --exclude function:load run.bin").succeeds().json();
    assert_eq!((&json["total"]["bytes"], &json["filter"]["left_out"]["bytes"]), (&13_345.into(), &40_000.into()));
}

#[test]
fn growth_fails() {
    let scratch = scratch();
    let fails = |options: &str| scratch.heaptide(&format!("diff {options} run.bin after.bin")).exits(3).stderr();
    // 9 655 of 53 345 bytes are 18.1 %.
    assert_eq!(
        fails("--fail-on-growth 18%"),
        "\
heaptide: after.bin: peak memory grew by 9.4 KiB (9,655 bytes, +18.1%) from 52.1 KiB to 61.5 KiB, more than --fail-on-growth 18% allows; what grew most:
  +9.8 KiB (0 blocks)  load (/app/lib/load.py:30) < main (/app/app.py) < <module> (/app/app.py:90)
"
    );
    assert_eq!(
        fails("--fail-on-growth 5%,9kB --by file --metric leaked --exclude package:numpy"),
        "\
heaptide: after.bin: memory live at the end of what the filters keep grew by 9.8 KiB (10,000 bytes, +24.4%) from 40.0 KiB to 49.8 KiB, more than --fail-on-growth 5%,9kB allows; what grew most:
  +9.8 KiB (0 blocks)  /app/lib/load.py
"
    );
    for allowed in ["19%", "9655", "10kB", "5%,10kB", "19%,1kB"] {
        scratch.heaptide(&format!("diff --fail-on-growth {allowed} run.bin after.bin")).succeeds();
    }
    // To less, and from a capture to itself.
    scratch.heaptide("diff --fail-on-growth 0 after.bin run.bin").succeeds();
    scratch.heaptide("diff --fail-on-growth 0% run.bin run.bin").succeeds();
    scratch.heaptide("diff --fail-on-growth 5%,6% run.bin after.bin").exits(2);
    scratch.heaptide("diff --include package: run.bin after.bin").exits(2);
}

/// Five at most, of many.
#[test]
fn what_grew_most_is_named() {
    let scratch = Scratch::new();
    let side = |more: u64| {
        let mut recording = Recording::new();
        for index in 0..8u64 {
            let function = format!("part{index}");
            let stack = recording.stack(&[("<module>", APP, 1), (&function, APP, 10)]);
            recording.allocate(stack, 1_000 + index * more);
        }
        recording.finish()
    };
    scratch.file("run.bin", &side(0));
    scratch.file("after.bin", &side(100));
    let said = scratch.heaptide("diff --fail-on-growth 1B run.bin after.bin").exits(3).stderr();
    let named: Vec<&str> = said.lines().skip(1).map(|line| line.split_whitespace().nth(4).unwrap()).collect();
    assert_eq!(named, ["part7", "part6", "part5", "part4", "part3"]);
}

#[test]
fn captures_of_different_programs() {
    let scratch = Scratch::new();
    scratch.file("one.py", b"");
    scratch.file("two.py", b"");
    std::fs::create_dir(scratch.path("other")).unwrap();
    scratch.file("other/one.py", b"");
    let record = |name: &str, command: &str| scratch.heaptide(&format!("run -q -o {name}.bin {command}")).succeeds();
    let python = newest_python().path.display().to_string();
    record("one", &format!("-- {python} one.py"));
    // Another checkout, other arguments, by a shell that becomes it.
    record("same", &format!("-- env {python} -B -X dev other/one.py --size 3"));
    record("two", &format!("-- {python} two.py"));
    record("module", &format!("-- {python} -m this"));
    record("objects", &format!("--python-allocators -- {python} one.py"));
    record("native", "-- true");
    record("other", "-- ls");
    let warnings = |before: &str, after: &str| {
        let ran = scratch.heaptide(&format!("diff --json {before}.bin {after}.bin")).succeeds();
        let warnings: Vec<String> = serde_json::from_value(ran.json()["warnings"].clone()).unwrap();
        let text = scratch.heaptide(&format!("diff {before}.bin {after}.bin")).succeeds().stdout();
        scratch.heaptide(&format!("diff -f -o page.html --html {before}.bin {after}.bin")).exits(0);
        let page = page::text(&scratch.read("page.html"));
        for warning in &warnings {
            assert!(text.contains(&format!("warning: {warning}\n")) && page.contains(warning), "{warning}\n{text}");
        }
        assert_eq!(text.contains("warning: "), !warnings.is_empty());
        warnings
    };
    let different = |a: &str, b: &str| {
        vec![format!("the captures are of different programs, {a} and {b}: what differs need not be growth")]
    };
    assert_eq!(warnings("one", "one"), [""; 0]);
    assert_eq!(warnings("one", "same"), [""; 0]);
    assert_eq!(warnings("one", "two"), different("python one.py", "python two.py"));
    assert_eq!(warnings("module", "one"), different("python -m this", "python one.py"));
    assert_eq!(warnings("one", "native"), different("python one.py", "true"));
    assert_eq!(warnings("native", "other"), different("true", "ls"));
    let only = "only the capture after has the blocks of Python's own allocators (--python-allocators): they are in the difference";
    assert_eq!(warnings("one", "objects"), [only]);
}

/// A program of two files; `comments` stand above each function and each line of the modules' bodies.
fn write_program(scratch: &Scratch, directory: &str, comments: &str) {
    std::fs::create_dir_all(scratch.path(&format!("{directory}/parts"))).unwrap();
    let main = "\
import parts.cache
\u{1}
table = bytearray(54321)
\u{1}
class Loader:
    \u{1}
    def __init__(self):
        self.rows = [None] * 100
    \u{1}
    def load(self, count):
        for number in range(count):
            self.rows[number] = bytearray(2000 + number)
        return len(self.rows)
\u{1}
def main():
    loader = Loader()
    loader.load(50)
    return loader, [parts.cache.remember(number) for number in range(40)]
\u{1}
kept = main()
";
    let cache = "\
known = [None] * 100
\u{1}
class Entry:
    \u{1}
    def __init__(self, size):
        self.content = bytes(size)
\u{1}
def remember(number):
    known[number] = Entry(1000 + number)
    return bytearray(700 + number)
\u{1}
first = remember(99)
";
    scratch.file(&format!("{directory}/main.py"), main.replace('\u{1}', comments).as_bytes());
    scratch.file(&format!("{directory}/parts/cache.py"), cache.replace('\u{1}', comments).as_bytes());
}

fn record(scratch: &Scratch, python: &Python, directory: &str, seed: &str, options: &str) -> Ran {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_heaptide"));
    command.args(["run", "-q", "-o", &format!("{directory}.bin")]).args(options.split_whitespace()).arg("--");
    command.arg(&python.path).arg("-B").arg(format!("{directory}/main.py")).env("PYTHONHASHSEED", seed);
    scratch.run(&mut command).succeeds()
}

/// The same program from two directories, with different seeds, the second with comments between all: of the program's
/// own code nothing differs, whatever is put together.
#[test]
fn what_is_the_same_does_not_differ() {
    for python in pythons() {
        let scratch = Scratch::new();
        write_program(&scratch, "first", "");
        write_program(&scratch, "second", "# a comment\n    # and another\n");
        record(&scratch, python, "first", "1", "");
        record(&scratch, python, "second", "77", "");
        no_difference(&scratch, "", 133, &format!("on 3.{}", python.minor));
    }
}

/// The same with two versions of Python: names of methods, paths of the library and much of it differ, the program's own
/// blocks do not. Without comprehensions, which are functions of their own up to 3.11.
#[test]
fn versions_of_python_do_not_differ_in_the_programs_own() {
    // `bytearray` has a longer block in 3.15.
    let (first, last) = (&pythons()[0], newest_python());
    let scratch = Scratch::new();
    write_program(&scratch, "first", "");
    write_program(&scratch, "second", "# a comment\n");
    for directory in ["first", "second"] {
        let main = format!("{directory}/main.py");
        let text = scratch.read(&main).replace(
            "[parts.cache.remember(number) for number in range(40)]",
            "list(map(parts.cache.remember, range(40)))",
        );
        scratch.file(&main, text.as_bytes());
    }
    record(&scratch, first, "first", "1", "");
    record(&scratch, last, "second", "77", "");
    // The bodies of the modules make classes, which are larger in each version.
    let which = format!("3.{} and 3.{}", first.minor, last.minor);
    no_difference(&scratch, "--exclude function:<module>", 130, &which);
}

/// In code of the program's own that the filter keeps, at least so many blocks.
fn no_difference(scratch: &Scratch, filter: &str, least: u64, which: &str) {
    for metric in ["peak", "leaked", "allocated"] {
        for by in ["stack", "line", "function", "file", "module", "package"] {
            let filter = format!("--include main.py --include cache.py {filter}");
            let ran =
                scratch.heaptide(&format!("diff --json --metric {metric} --by {by} {filter} first.bin second.bin"));
            let json = ran.succeeds().json();
            // The lines of the import system that lead there are others in each version.
            let own = |group: &&Value| by == "stack" || group["kind"] == "project";
            let found = if by == "stack" { &json["changes"] } else { &json["groups"] };
            let found: Vec<&Value> = found.as_array().expect("changes").iter().filter(own).collect();
            assert!(found.is_empty(), "{metric} by {by} {which}: {found:#?}");
            // 50 rows and their table, 41 entries with a content and a block each: they are there.
            let total = &json["totals"][2];
            let count = total["after"]["count"].as_u64().unwrap();
            assert!(count >= least && total["before"] == total["after"], "{which}: {total}");
        }
    }
}

/// Bytes and blocks by line of the script that differ.
type Lines = BTreeMap<u64, (i64, i64)>;

/// Two runs that end where tracemalloc took its snapshots, against what it says itself: each line of the script that
/// differs, bytes and blocks, and the file. Up to 3.10 frames are objects that come from free lists, of which tracemalloc
/// says who uses them now, and we who asked the allocator for them: lines that call are compared in the sum only.
#[test]
fn the_same_differences_as_tracemalloc() {
    for python in pythons().iter().filter(|python| !python.since(14)) {
        let told =
            Traced::python("../compared.py", python).env("PYTHONHASHSEED", "0").args(["tracemalloc"]).bare().stdout();
        let mut expected: [Lines; 2] = Default::default();
        for line in told.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let numbers: Vec<i64> = words[1..].iter().map(|word| word.parse().expect("a number")).collect();
            expected[usize::from(words[0] == "filename")].insert(numbers[0] as u64, (numbers[1], numbers[2]));
        }
        assert!(expected[0].len() >= 7 && expected[1].len() == 1, "on 3.{}: {told}", python.minor);
        let runs = ["1", "2"].map(|point| {
            Traced::python("../compared.py", python)
                .env("PYTHONHASHSEED", "0")
                .args([point])
                .options(["--python-allocators"])
                .record()
        });
        for (by, expected) in ["line", "file"].into_iter().zip(expected) {
            let paths = [runs[0].path(), runs[1].path()].map(|path: &Path| path.display().to_string());
            let options = format!("diff --json --limit 0 --metric leaked --by {by} --include compared.py");
            let json = runs[0].heaptide(&format!("{options} {} {}", paths[0], paths[1])).succeeds().json();
            let mut found = Lines::new();
            for group in json["groups"].as_array().expect("groups") {
                assert_eq!(Path::new(group["file"].as_str().unwrap()), fixture("../compared.py"));
                let of = |what: &str| {
                    let side = |side: &str| group["own"][side][what].as_i64().expect("a number");
                    side("after") - side("before")
                };
                let place = found.entry(group["line"].as_u64().unwrap_or(0)).or_default();
                *place = (place.0 + of("bytes"), place.1 + of("count"));
            }
            found.retain(|_, growth| *growth != (0, 0));
            let (mut found, mut expected) = (found, expected);
            if by == "line" && !python.since(11) {
                found.retain(|line, _| !calls(*line));
                expected.retain(|line, _| !calls(*line));
            }
            assert_eq!(found, expected, "by {by} on 3.{}", python.minor);
        }
    }
}

/// Whether the body of compared.py calls a function in this line.
fn calls(line: u64) -> bool {
    let source = std::fs::read_to_string(fixture("../compared.py")).expect("a fixture");
    let line = source.lines().nth(line as usize - 1).expect("a line");
    ["fill(", "empty(", "name(", "remember(", "open_sessions(", "point("].iter().any(|call| line.starts_with(call))
}
