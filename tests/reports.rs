//! What the reports say of captures whose numbers are known.

use crate::support::Scratch;
use crate::support::page;
use crate::support::recording::Recording;
use heaptide_format::capture::summary::Amount;
use heaptide_format::capture::{Growth, UnseenAllocator, UnseenAllocators};
use heaptide_format::ids::{ImageIndex, StackId, ThreadIndex};

const APP: &str = "/app/app.py";
const NUMPY: &str = "/venv/lib/python3.8/site-packages/numpy/core.py";

/// 40 000 in `load` and 12 345 in `array`, called by `main`, make the peak of 52 345; `load`'s is freed, `array`'s is
/// left, and so are 700 that an import left. `load` freed 7 bytes at once, and 40 000 after one other allocation.
fn recording(array: u64) -> Recording {
    let mut recording = Recording::new();
    let main = [("<module>", APP, 1), ("main", APP, 10)];
    let [load, array_] =
        [("load", APP, 20), ("array", NUMPY, 30)].map(|inner| recording.stack(&[&main[..], &[inner]].concat()));
    let import = recording.stack(&[("<module>", APP, 1), ("_find_and_load", "<frozen importlib._bootstrap>", 1176)]);
    let loaded = recording.allocate(load, 40_000);
    recording.clock_ms(1_500);
    recording.allocate(array_, array);
    recording.sample(3 << 20);
    recording.free(loaded);
    let temporary = recording.allocate(load, 7);
    recording.free(temporary);
    recording.allocate(import, 700);
    recording.clock_ms(2_000);
    recording.sample(2 << 20);
    recording
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording(12_345).finish());
    scratch
}

#[test]
fn summary() {
    let ran = scratch().heaptide("summary run.bin").succeeds();
    assert_eq!(
        ran.stdout(),
        "\
peak memory: 51.1 KiB in 2 blocks, 1.50 s after the start
python app.py  (run.bin)

     own  share     total   share  count  function
39.1 KiB  76.4%  39.1 KiB   76.4%      1  load  /app/app.py
12.1 KiB  23.6%  12.1 KiB   23.6%      1  array  numpy/core.py
     0 B   0.0%  51.1 KiB  100.0%      0  <module>  /app/app.py
     0 B   0.0%  51.1 KiB  100.0%      0  main  /app/app.py
"
    );
    let json = scratch().heaptide("summary --json --leaks --limit 1 run.bin").succeeds().json();
    assert_eq!((&json["report"], &json["version"], &json["metric"]), (&"summary".into(), &1.into(), &"leaked".into()));
    assert_eq!(json["total"]["bytes"], 13_045);
    assert_eq!(json["functions"].as_array().unwrap().len(), 1);
    assert_eq!(json["functions"][0]["function"], "array");
    assert_eq!(json["functions"][0]["own"]["bytes"], 12_345);
}

#[test]
fn tree() {
    let ran = scratch().heaptide("tree run.bin").succeeds();
    assert_eq!(
        ran.stdout(),
        "\
peak memory: 51.1 KiB in 2 blocks, 1.50 s after the start
python app.py  (run.bin)

  51.1 KiB 100.0%  <module>  /app/app.py:1
  51.1 KiB 100.0%  main  /app/app.py:10
  39.1 KiB  76.4%    load  /app/app.py:20
  12.1 KiB  23.6%    array  numpy/core.py:30
"
    );
}

#[test]
fn tree_hides_the_interpreter() {
    // At the end 12 345 of array and the 700 of the import that `<module>` made.
    let ran = scratch().heaptide("tree --leaks run.bin").succeeds();
    assert_eq!(
        ran.stdout(),
        "\
memory live at the end: 12.7 KiB in 2 blocks
python app.py  (run.bin)

  12.7 KiB 100.0%  <module>  /app/app.py:1  own 700 B
  12.1 KiB  94.6%    main  /app/app.py:10
  12.1 KiB  94.6%    array  numpy/core.py:30
"
    );
    let ran = scratch().heaptide("tree --leaks --all-frames run.bin").succeeds();
    assert_eq!(
        ran.stdout(),
        "\
memory live at the end: 12.7 KiB in 2 blocks
python app.py  (run.bin)

  12.7 KiB 100.0%  <module>  /app/app.py:1
  12.1 KiB  94.6%    main  /app/app.py:10
  12.1 KiB  94.6%    array  numpy/core.py:30
     700 B   5.4%    _find_and_load  <frozen importlib._bootstrap>:1176
"
    );
    // JSON has all frames, whatever the text shows.
    let json = scratch().heaptide("tree --leaks --json run.bin").succeeds().json();
    assert_eq!(json["nodes"].as_array().unwrap().len(), 4);
}

#[test]
fn tree_says_what_the_interpreter_holds_alone() {
    let scratch = Scratch::new();
    let mut recording = Recording::new();
    let import = ("_find_and_load", "<frozen importlib._bootstrap>", 1176);
    let [alone, module] = [&[import][..], &[import, ("<module>", APP, 1)]].map(|frames| recording.stack(frames));
    recording.allocate(alone, 250);
    recording.allocate(module, 650);
    recording.allocate(StackId::EMPTY, 100);
    scratch.file("run.bin", &recording.finish());
    let ran = scratch.heaptide("tree run.bin").succeeds();
    let lines: Vec<String> = ran.stdout().lines().skip(3).map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "     650 B  65.0%  <module>  /app/app.py:1",
            "     250 B  25.0%  in the interpreter alone",
            "     100 B  10.0%  without a stack"
        ]
    );
}

#[test]
fn leaks() {
    let ran = scratch().heaptide("leaks run.bin").succeeds();
    assert_eq!(
        ran.stdout(),
        "\
memory live at the end: 12.7 KiB in 2 blocks
python app.py  (run.bin)

   bytes  share  blocks  left by
12.1 KiB  94.6%       1  the program
   700 B   5.4%       1  the import system (code and names of loaded modules)
     0 B   0.0%       0  the interpreter itself

Nothing of it grows steadily, the newest 10 % left out.

By site
   bytes  blocks   verdict  site
12.1 KiB       1  start-up  main  /app/app.py:10

By stack
12.1 KiB in 1 blocks
    array (numpy/core.py:30)
    main (/app/app.py:10)
    <module> (/app/app.py:1)
1 more stacks; show them with --limit 0 --all.
"
    );
    let json = scratch().heaptide("leaks --all --json run.bin").succeeds().json();
    assert_eq!((&json["program"]["bytes"], &json["import"]["bytes"]), (&12_345.into(), &700.into()));
    assert_eq!(json["stacks"][1]["frames"][0]["function"], "_find_and_load");
}

/// 5 000 bytes from 0.1 s and 7 000 from 1.5 s, to the end at 2 s; 900 of another process from 0.5 s to its end at 1 s. The curve has 200
/// parts of 10 ms.
#[test]
fn a_curve_ends_with_what_was_live_at_the_end() {
    let mut recording = Recording::new();
    let stack = recording.stack(&[("keep", APP, 20)]);
    recording.clock_ms(100);
    recording.allocate(stack, 5_000);
    recording.clock_ms(500);
    let child = recording.process(4_001, 0x030b);
    recording.thread(child);
    recording.allocate(stack, 900);
    recording.clock_ms(1_000);
    recording.end(child);
    recording.clock_ms(1_500);
    recording.switch(ThreadIndex(0));
    recording.allocate(stack, 7_000);
    recording.clock_ms(2_000);
    recording.end(ImageIndex(0));
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording.finish());
    let report = scratch.heaptide("leaks --json run.bin").succeeds().json();
    let curve: Vec<u64> =
        report["sites"][0]["curve"].as_array().unwrap().iter().map(|bytes| bytes.as_u64().unwrap()).collect();
    assert_eq!((report["sites"][0]["bytes"].as_u64(), curve.len()), (Some(12_900), 200));
    let at = |parts: &[usize]| parts.iter().map(|part| curve[*part]).collect::<Vec<u64>>();
    // What comes in a part is never less than itself from the next one on; what goes is missing at once.
    assert_eq!(at(&[10, 11, 50, 51, 99, 100, 150, 151]), [0, 5_000, 5_000, 5_900, 5_900, 5_000, 5_000, 12_000]);
    assert_eq!(at(&[198, 199]), [12_000, 12_000]);
}

#[test]
fn leaks_fail_above_a_size() {
    let scratch = scratch();
    scratch.heaptide("leaks --fail-above 12345 run.bin").exits(0);
    scratch
        .heaptide("leaks --fail-above 12344 run.bin")
        .exits(3)
        .says("heaptide: run.bin: 12.1 KiB (12,345 bytes) live at the end, more than the 12,344 bytes of --fail-above")
        .shows("By stack");
    // What imports left counts only if it is asked for.
    scratch.heaptide("leaks --fail-above 13kB run.bin").exits(0);
    scratch.heaptide("leaks --all --fail-above 13kB run.bin").exits(3);
}

#[test]
fn stats() {
    let ran = scratch().heaptide("stats run.bin").succeeds();
    for line in [
        "peak          51.1 KiB in 2 blocks, 1.50 s after the start",
        "at the end    12.7 KiB in 2 blocks",
        "allocated     51.8 KiB in 4 allocations",
        "highest RSS   3.0 MiB",
        "events        6, 3 a second",
        "exit status   3",
        "16.0 KiB      1  12.1 KiB  ████",
        "    4  51.8 KiB  malloc",
        "39.1 KiB  76.4%       1  load  /app/app.py:20",
        "12.1 KiB  23.6%       1  numpy",
    ] {
        assert!(ran.stdout().contains(line), "{line:?} is not in\n{}", ran.stdout());
    }
    let json = scratch().heaptide("stats --json run.bin").succeeds().json();
    assert_eq!(json["peak"]["bytes"], 52_345);
    assert_eq!(json["timeline"].as_array().unwrap().len(), 2);
    assert_eq!(json["timeline"][0]["rss_bytes"], 3 << 20);
    assert_eq!(json["timeline"][0]["live_bytes"], 52_345);
    assert_eq!(json["processes"][0]["pid"], 4_000);
    assert_eq!(json["processes"][0]["python"], "3.8");
    assert_eq!(json["tracer"]["lost"], 0);
}

/// 1 200 MiB of growth, of which 100 MiB are blocks and at most 900 MiB mappings.
#[test]
fn allocators_that_were_not_seen() {
    let object = "/venv/lib/python3.8/site-packages/polars/polars.abi3.so";
    let found = |image, allocator: &str| UnseenAllocator {
        image,
        path: object.into(),
        allocator: allocator.into(),
        evidence: "_rjem_mallctlbymib".into(),
    };
    let growth = |image, bytes: u64| Growth {
        image,
        first: 1 << 20,
        highest: (1 << 20) + bytes,
        blocks: Amount { bytes: 100 << 20, count: 0 },
        mappings: 900 << 20,
        ..Growth::default()
    };
    let mut recording = recording(12_345);
    let child = recording.process(4_001, 0);
    recording.unseen(&UnseenAllocators { found: vec![found(ImageIndex(0), "jemalloc")], ..Default::default() });
    recording.unseen(&UnseenAllocators {
        found: vec![found(child, "jemalloc"), found(child, "mimalloc"), found(ImageIndex(9), "tcmalloc")],
        growth: vec![growth(ImageIndex(0), 1200 << 20), growth(child, 110 << 20), growth(ImageIndex(9), 9 << 30)],
        unread: 3,
    });
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording.finish());
    let warning = "jemalloc in polars.abi3.so is not traced: of 1.2 GiB by which RSS grew, 900.0 MiB is in mappings \
                   whose blocks were not seen, 200.0 MiB is not explained by what was recorded";
    let unread = "3 objects were not searched for allocators that cannot be traced";
    for report in ["summary", "tree", "leaks", "stats"] {
        let lines = format!("(run.bin)\nwarning: {warning}\nwarning: {unread}\n\n");
        scratch.heaptide(&format!("{report} run.bin")).succeeds().shows(&lines);
        let json = scratch.heaptide(&format!("{report} --json run.bin")).succeeds().json();
        assert_eq!(json["warnings"], serde_json::json!([warning, unread]));
    }
    let lines = format!("\nwarning: before: {warning}\nwarning: before: {unread}\nwarning: after: {warning}\n");
    scratch.heaptide("diff run.bin run.bin").succeeds().shows(&lines);
    scratch.heaptide("flamegraph run.bin").exits(0);
    assert!(page::text(&scratch.read("run.flamegraph.html")).contains(warning));
    // The child's 10 MiB are little.
    let json = scratch.heaptide("summary --json --pid 4001 run.bin").succeeds().json();
    assert_eq!(json["warnings"], serde_json::json!([unread]));
    scratch.heaptide("stats run.bin").succeeds().shows(
        "\
Allocators that are not traced
processes  allocator            known by  object
        2   jemalloc  _rjem_mallctlbymib  /venv/lib/python3.8/site-packages/polars/polars.abi3.so
        1   mimalloc  _rjem_mallctlbymib  /venv/lib/python3.8/site-packages/polars/polars.abi3.so

 pid   RSS grew  in mappings  not explained
4000    1.2 GiB    900.0 MiB  200.0 MiB
4001  110.0 MiB     10.0 MiB  0 B
",
    );
    let json = scratch.heaptide("stats --json run.bin").succeeds().json();
    let of_child = serde_json::json!({"pid": 4_001, "growth_bytes": 115_343_360, "in_mappings_bytes": 10_485_760,
        "not_explained_bytes": 0, "significant": false});
    assert_eq!(json["unseen_allocators"]["growth"][1], of_child);
    assert_eq!(json["unseen_allocators"]["found"].as_array().unwrap().len(), 3);
}

#[test]
fn diff() {
    let scratch = scratch();
    scratch.file("after.bin", &recording(112_345).finish());
    let ran = scratch.heaptide("diff run.bin after.bin").succeeds();
    assert_eq!(
        ran.stdout(),
        "\
before and after
before: python app.py  (run.bin)
 after: python app.py  (after.bin)

  before      after      bytes  count  of
51.1 KiB  148.8 KiB  +97.7 KiB      0  peak memory
12.7 KiB  110.4 KiB  +97.7 KiB      0  memory live at the end
51.8 KiB  149.5 KiB  +97.7 KiB      0  all memory ever allocated
39.1 KiB   39.1 KiB        0 B      0  temporary allocations (at most 1 other between)

What grew: peak memory
+97.7 KiB (0 blocks)  12.1 KiB → 109.7 KiB
    array (numpy/core.py:30)
    main (/app/app.py:10)
    <module> (/app/app.py:1)
"
    );
    let json = scratch.heaptide("diff --json --metric leaked run.bin after.bin").succeeds().json();
    assert_eq!(json["changes"].as_array().unwrap().len(), 1);
    assert_eq!(json["changes"][0]["after"]["bytes"], 112_345);
    scratch.heaptide("diff --html run.bin after.bin").exits(0);
    assert!(page::text(&scratch.read("after.diff.html")).contains("array"));
}

#[test]
fn flamegraphs() {
    let scratch = scratch();
    let folded = scratch.heaptide("flamegraph --format folded run.bin").succeeds();
    assert_eq!(
        folded.stdout(),
        "\
<module> (/app/app.py:1);main (/app/app.py:10);load (/app/app.py:20) 40000
<module> (/app/app.py:1);main (/app/app.py:10);array (numpy/core.py:30) 12345
"
    );
    let inverted = scratch.heaptide("flamegraph --format folded --inverted --temporary 0 run.bin").succeeds();
    assert_eq!(inverted.stdout(), "load (/app/app.py:20);main (/app/app.py:10);<module> (/app/app.py:1) 7\n");
    scratch.heaptide("flamegraph --format svg --leaks run.bin").exits(0);
    let svg = scratch.read("run.flamegraph-leaked.svg");
    assert!(svg.contains("array (numpy/core.py:30)") && svg.contains("memory live at the end"));
    scratch.heaptide("flamegraph run.bin").exits(0);
    assert!(page::text(&scratch.read("run.flamegraph.html")).contains("numpy/core.py"));
    assert!(page::text(&scratch.read("run.flamegraph.html")).contains("<title>heaptide: python app.py</title>"));
    assert!(page::text(&scratch.read("run.flamegraph.html")).contains(r#""inverted":false,"temporary_within":1,"#));
    // Nothing to be told: the page opens so.
    let ran = scratch.heaptide("flamegraph --inverted --temporary 5 -o inverted.html run.bin").exits(0);
    assert!(!ran.stderr().contains("#view"), "{}", ran.stderr());
    assert!(page::text(&scratch.read("inverted.html")).contains(r#""inverted":true,"temporary_within":5,"#));
    scratch.heaptide("flamegraph --temporary run.bin").exits(0);
    assert!(page::text(&scratch.read("run.flamegraph-temporary.html")).contains("load"));
}

#[test]
fn temporary_needs_events_beyond_one() {
    let scratch = Scratch::new();
    let mut recording = Recording::aggregate();
    let main = recording.stack(&[("main", APP, 10)]);
    let block = recording.allocate(main, 123);
    recording.free(block);
    scratch.file("run.bin", &recording.finish());
    scratch.heaptide("flamegraph --format folded --temporary 1 run.bin").succeeds().shows("main (/app/app.py:10) 123");
    scratch.heaptide("summary --temporary 2 run.bin").exits(65).says(
        "heaptide: run.bin: recorded with --aggregate, so it holds no events to answer this from; record again without \
         --aggregate, or ask for --at peak or --temporary with 0 or 1",
    );
}

#[test]
fn parse_shows_every_record() {
    let text = scratch().heaptide("parse run.bin").succeeds().stdout();
    for line in [
        "header format=\"1.1\"\n",
        "string id=0 text=\"/usr/bin/python3\"\n",
        "code id=2 name=4 file=2 first_line=20\n",
        "stack id=1 parent=0 frame=0\n",
        "on_thread thread=0\n",
        "clock time_ns=1500000000\n",
        "allocated size=40000 stack=3 allocator=\"malloc\"\n",
        "freed slot=0\n",
        "sample time_ns=1500000000 live=52345 live_high=52345 rss=3145728\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let json = scratch().heaptide("parse --json run.bin").succeeds().stdout();
    for line in json.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(record["record"].is_string(), "{line}");
    }
    assert_eq!(json.lines().count(), text.lines().count());
}

#[test]
fn one_process_of_several() {
    let scratch = Scratch::new();
    let mut recording = recording(12_345);
    let child = recording.process(4_001, 0x308);
    recording.thread(child);
    let work = recording.stack(&[("work", APP, 50)]);
    let block = recording.allocate(work, 5_000);
    recording.free(block);
    recording.end(child);
    assert_eq!(child, ImageIndex(1));
    scratch.file("run.bin", &recording.finish());
    let folded = |arguments: &str| scratch.heaptide(&format!("flamegraph --format folded {arguments}")).succeeds();
    // Not at the peak of the whole tree, but at its own.
    assert_eq!(folded("--pid 4001 run.bin").stdout(), "work (/app/app.py:50) 5000\n");
    assert!(!folded("run.bin").stdout().contains("work"));
}

#[test]
fn names_do_no_harm() {
    let scratch = Scratch::new();
    let mut recording = Recording::new();
    let stack = recording.stack(&[("</script><b>\x1b[31m;\n\u{202e}&\"", "/app/<x> y.py", 1)]);
    recording.allocate(stack, 5);
    scratch.file("run.bin", &recording.finish());
    for command in ["summary", "tree", "leaks", "stats", "parse", "flamegraph --format folded"] {
        let text = scratch.heaptide(&format!("{command} run.bin")).succeeds().stdout();
        assert!(!text.contains(['\x1b', '\u{202e}']), "{command}:\n{text}");
    }
    scratch.heaptide("flamegraph run.bin").exits(0);
    assert!(!scratch.read("run.flamegraph.html").contains("</script><b>"));
    assert!(page::text(&scratch.read("run.flamegraph.html")).contains("</script><b>"));
    scratch.heaptide("flamegraph --format svg run.bin").exits(0);
    assert!(!scratch.read("run.flamegraph.svg").contains("<b>"));
}

/// 12 000 calls of one another, each with a block of 1000 bytes: their stacks, all written out, are gigabytes.
#[test]
fn a_picture_of_a_deep_recursion_is_cut_but_whole_in_width() {
    let scratch = Scratch::new();
    let deep = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures/hostile/deep.bin");
    scratch.heaptide(&format!("flamegraph --format svg -o deep.svg {}", deep.display())).exits(0);
    let svg = scratch.read("deep.svg");
    assert!(svg.contains("<title>all (12,000,000 bytes, 100%)</title>"));
    assert!(svg.len() < 4 << 20, "{} bytes", svg.len());
}

/// When the recordings made up for tests began, in seconds since 1970.
const RAN_AT: u64 = 1_700_000_000;

/// A source file of the scratch directory, last written so many seconds after the run began.
fn source(scratch: &Scratch, name: &str, text: &[u8], after_start: i64) -> String {
    let path = scratch.file(name, text);
    let written = std::time::UNIX_EPOCH + std::time::Duration::from_secs(RAN_AT.saturating_add_signed(after_start));
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    path.display().to_string()
}

const SOURCE: &[u8] = b"\
import json
class Reader:
    @staticmethod
    def load():
        return [bytearray(1) for _ in
                range(2)]
x = Reader.load()  # caf\xc3\xa9
";

/// `<module>` in line 7 called `Reader.load` (begins in line 3), in which a list was built from line 5 on.
fn with_source(file: &str, python: u16) -> Recording {
    let mut recording = Recording::of_python(python);
    let stack = recording.stack_of(&[("<module>", file, 1, 7), ("load", file, 3, 5), ("<listcomp>", file, 5, 6)]);
    recording.allocate(stack, 12_345);
    recording
}

#[test]
fn source_lines_and_classes_are_told_if_the_file_is_there() {
    let scratch = Scratch::new();
    let file = source(&scratch, "app.py", SOURCE, 0);
    scratch.file("run.bin", &with_source(&file, 0x308).finish());
    let ran = scratch.heaptide("leaks run.bin").succeeds();
    ran.shows(&format!(
        "\
    Reader.load.<locals>.<listcomp> ({file}:6)  range(2)]
    Reader.load ({file}:5)  return [bytearray(1) for _ in
    <module> ({file}:7)  x = Reader.load()  # café
"
    ));
    scratch
        .heaptide("tree run.bin")
        .succeeds()
        .shows(&format!("  Reader.load  {file}:5  return [bytearray(1) for _ in\n"));
    scratch.heaptide("stats run.bin").succeeds().shows(&format!("{file}:6  range(2)]"));
    scratch
        .heaptide("summary --by line run.bin")
        .succeeds()
        .shows(&format!("<module>  {file}:7  x = Reader.load()  # café"));
    let json = scratch.heaptide("leaks --json run.bin").succeeds().json();
    assert_eq!(json["stacks"][0]["frames"][1]["function"], "Reader.load");
    assert_eq!(json["stacks"][0]["frames"][2]["source"], "x = Reader.load()  # café");
    scratch.heaptide("flamegraph run.bin").exits(0);
    assert!(page::text(&scratch.read("run.flamegraph.html")).contains("return [bytearray(1) for _ in"));

    // The switch leaves all of it out.
    for command in ["leaks", "tree", "stats", "summary --by line", "leaks --json", "flamegraph -o - "] {
        let mut text = scratch.heaptide(&format!("{command} --no-source run.bin")).succeeds().stdout();
        if command.starts_with("flamegraph") {
            text = page::data(&text).to_string();
        }
        assert!(
            text.contains("listcomp") && !text.contains("Reader") && !text.contains("bytearray"),
            "{command}:\n{text}"
        );
    }
}

/// Versions from 3.11 on say themselves what a method's class is.
#[test]
fn names_of_versions_that_keep_them_stay() {
    let scratch = Scratch::new();
    let file = source(&scratch, "app.py", SOURCE, 0);
    scratch.file("run.bin", &with_source(&file, 0x30b).finish());
    scratch
        .heaptide("leaks run.bin")
        .succeeds()
        .shows(&format!("    load ({file}:5)  return [bytearray(1) for _ in\n"));
}

#[test]
fn files_that_are_not_those_that_ran_tell_nothing() {
    let written_later = |scratch: &Scratch| source(scratch, "app.py", SOURCE, 1);
    // One line more above: the time says nothing, but `load` is not where it was.
    let moved = |scratch: &Scratch| source(scratch, "app.py", &[b"# new\n", SOURCE].concat(), 0);
    let shorter = |scratch: &Scratch| source(scratch, "app.py", b"import json\n", 0);
    for changed in [&written_later as &dyn Fn(&Scratch) -> String, &moved, &shorter] {
        let scratch = Scratch::new();
        let file = changed(&scratch);
        scratch.file("run.bin", &with_source(&file, 0x308).finish());
        let json = scratch.heaptide("leaks --json run.bin").succeeds().json();
        assert_eq!(json["stacks"][0]["frames"][1]["function"], "load");
        assert_eq!(json["stacks"][0]["frames"][1]["source"], serde_json::Value::Null);
        assert_eq!(json["warnings"][0], format!("{file} has changed since the recording: no lines from it."));
    }
}

/// A capture can name any file: none of these is shown, waited for or read to its end.
#[test]
fn source_files_that_are_none_do_no_harm() {
    let scratch = Scratch::new();
    let fifo = scratch.path("fifo.py");
    assert!(scratch.run(std::process::Command::new("mkfifo").arg(&fifo)).code() == Some(0));
    let huge = scratch.path("huge.py");
    std::fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    let secret = source(&scratch, "secret", b"password\n", 0);
    let script = source(&scratch, "tool", b"#!/usr/bin/env python3\nprint(caf\xe9)\n", 0);
    let files = [fifo.to_str().unwrap(), huge.to_str().unwrap(), &secret, &script];
    let mut recording = Recording::new();
    for file in files.into_iter().chain(["/dev/zero", "/proc/kmsg", "/dev/stdin", ".", "", "a\0b.py"]) {
        let stack = recording.stack_of(&[("<module>", file, 1, 1), ("<module>", file, 1, 2)]);
        recording.allocate(stack, 100);
    }
    scratch.file("run.bin", &recording.finish());
    let text = scratch.heaptide("leaks --limit 0 run.bin").succeeds().stdout();
    assert!(!text.contains("password"), "{text}");
    // Only what says that it is Python, with what is no UTF-8 replaced.
    assert!(text.contains(&format!("({script}:2)  print(caf\u{fffd})\n")), "{text}");
}

#[test]
fn summary_by_package_module_file_and_line() {
    let scratch = scratch();
    let rows = |by: &str| -> Vec<String> {
        let ran = scratch.heaptide(&format!("summary --by {by} run.bin")).succeeds();
        ran.stdout().lines().skip(3).map(str::to_owned).collect()
    };
    assert_eq!(
        rows("package"),
        [
            "     own  share     total   share  count  package",
            "39.1 KiB  76.4%  51.1 KiB  100.0%      1  app",
            "12.1 KiB  23.6%  12.1 KiB   23.6%      1  numpy",
        ]
    );
    assert_eq!(rows("module")[2], "12.1 KiB  23.6%  12.1 KiB   23.6%      1  numpy.core");
    assert_eq!(rows("file")[1], "39.1 KiB  76.4%  51.1 KiB  100.0%      1  /app/app.py");
    assert_eq!(rows("line")[1], "39.1 KiB  76.4%  39.1 KiB   76.4%      1  load  /app/app.py:20");
    let json = scratch.heaptide("summary --by package --leaks --json run.bin").succeeds().json();
    assert_eq!((&json["by"], &json["functions"]), (&"package".into(), &serde_json::Value::Null));
    let names: Vec<_> =
        json["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["numpy", "importlib (frozen)", "app"]);
    assert_eq!(json["groups"][2]["total"]["bytes"], 13_045);
    assert_eq!(json["groups"][1]["own"]["bytes"], 700);
}
