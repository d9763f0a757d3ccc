//! What `heaptide export` writes, opened by those who read it: their numbers are ours.
//!
//! HEAPTIDE_EXPORTS_PYTHON names an interpreter with polars and gprof2dot; node's packages are in `tests/page`. Who is not
//! installed is said and not asked.

use crate::support::page;
use crate::support::recording::Recording;
use crate::support::{Scratch, exists};
use crate::traced::{Traced, announce, newest_python};
use heaptide_format::ids::StackId;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const APP: &str = "/app/app.py";
const NUMPY: &str = "/venv/lib/python3.8/site-packages/numpy/core.py";
/// A name that wants to be a field, a tag, a separator, the end of a line and text from right to left.
const HOSTILE: &str = "say \"hi\",\n</script>;\u{202e}=1+1";

/// What is live at the peak: 40 000 of `load`, 12 345 of `array`, 100 without a stack, so 52 445. `load`'s is freed; left are
/// the others and 300 of a function with a hostile name, 12 745. With 7 that were freed at once, 52 752 were allocated.
fn recording() -> Recording {
    let mut recording = Recording::new();
    let main = [("<module>", APP, 1), ("main", APP, 10)];
    let [load, array, hostile] = [("load", APP, 20), ("array", NUMPY, 30), (HOSTILE, "/app/a,\"b\".py", 40)]
        .map(|inner| recording.stack(&[&main[..], &[inner]].concat()));
    let loaded = recording.allocate(load, 40_000);
    recording.clock_ms(1_500);
    recording.allocate(array, 12_345);
    recording.allocate(StackId::EMPTY, 100);
    recording.sample(3 << 20);
    recording.clock_ms(1_700);
    recording.free(loaded);
    let temporary = recording.allocate(load, 7);
    recording.free(temporary);
    recording.allocate(hostile, 300);
    recording.clock_ms(2_000);
    recording.sample(2 << 20);
    recording
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording().finish());
    scratch
}

/// Exports with these options into a file of this name.
fn export(scratch: &Scratch, options: &str, file: &str) {
    scratch.heaptide(&format!("export --format {options} -f -o {file} run.bin")).exits(0);
}

/// An interpreter with these modules, if there is one.
fn python_with(modules: &str) -> Option<PathBuf> {
    let named = std::env::var_os("HEAPTIDE_EXPORTS_PYTHON").unwrap_or("python3".into());
    let has_them = Command::new(&named).args(["-c", &format!("import {modules}")]).output();
    if !has_them.is_ok_and(|output| output.status.success()) {
        announce(&format!("skipped: no Python with {modules}; HEAPTIDE_EXPORTS_PYTHON can name one"));
        return None;
    }
    Some(named.into())
}

/// What a script prints, run in the scratch directory.
fn printed_by(python: &Path, scratch: &Scratch, script: &str) -> String {
    scratch.run(Command::new(python).args(["-c", script])).succeeds().stdout()
}

#[test]
fn folded_lines_are_those_of_flamegraph() {
    let scratch = scratch();
    for options in ["", "--leaks", "--allocated", "--temporary=0"] {
        let [exported, drawn] = ["export", "flamegraph"].map(|command| {
            scratch.heaptide(&format!("{command} --format folded {options} run.bin")).succeeds().stdout()
        });
        assert_eq!(exported, drawn);
        assert_eq!(exported.lines().any(|line| line == "[no stack] 100"), options != "--temporary=0");
    }
}

/// Python's own reader of CSV: a row is a stack, and every name is what it was.
#[test]
fn csv_as_python_reads_it() {
    let scratch = scratch();
    export(&scratch, "csv", "run.csv");
    let script = "
import csv
for row in csv.DictReader(open('run.csv', newline='')):
    print(*(ascii(row[key]) for key in ('function', 'file', 'line', 'kind', 'package', 'site_function', 'depth')))
    print(*(row[key] for key in ('peak_bytes', 'leaked_bytes', 'leaked_blocks', 'allocated_bytes', 'allocations')))
    print(row['temporary_bytes'], row['temporary_allocations'], ascii(row['stack']))
";
    let expected = "\
'load' '/app/app.py' '20' 'project' 'app' 'load' '3'
40000 0 0 40007 2
7 1 '<module> (/app/app.py:1);main (/app/app.py:10);load (/app/app.py:20)'
'array' '/venv/lib/python3.8/site-packages/numpy/core.py' '30' 'library' 'numpy' 'main' '3'
12345 12345 1 12345 1
0 0 '<module> (/app/app.py:1);main (/app/app.py:10);array (numpy/core.py:30)'
'say \"hi\",\\n</script>;\\u202e=1+1' '/app/a,\"b\".py' '40' 'project' 'a,\"b\"' 'say \"hi\",\\n</script>;\\u202e=1+1' '3'
0 300 1 300 1
0 0 '<module> (/app/app.py:1);main (/app/app.py:10);say \"hi\",\\\\u{a}</script>:\\\\u{202e}=1+1 (/app/a,\"b\".py:40)'
'[no stack]' '' '' 'unknown' '' '' '0'
100 100 1 100 1
0 0 '[no stack]'
";
    assert_eq!(printed_by(Path::new("python3"), &scratch, script), expected);
}

#[test]
fn json_lines_are_one_object_each() {
    let scratch = scratch();
    let text = scratch.heaptide("export --format jsonl --byte-seconds run.bin").succeeds().stdout();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 4);
    let sum = |key: &str| rows.iter().map(|row| row[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!([sum("peak_bytes"), sum("leaked_bytes"), sum("allocated_bytes")], [52_445, 12_745, 52_752]);
    // 40 000 for 1.7 s, 12 445 for 0.5 s, 300 for 0.3 s: rounded for each stack.
    assert_eq!(
        rows.iter().map(|row| row["byte_seconds"].as_u64().unwrap()).collect::<Vec<_>>(),
        [68_000, 6_173, 90, 50]
    );
    assert_eq!((&rows[2]["function"], &rows[2]["stack"][2]["function"]), (&HOSTILE.into(), &HOSTILE.into()));
    assert_eq!(rows[0]["stack"][0], serde_json::json!({ "function": "<module>", "file": APP, "line": 1 }));
    assert_eq!((&rows[3]["file"], &rows[3]["stack"]), (&serde_json::Value::Null, &serde_json::json!([])));
    let at = scratch.heaptide("export --format jsonl --at 1.6s run.bin").succeeds().stdout();
    let first: serde_json::Value = serde_json::from_str(at.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["live_bytes"], &first["live_blocks"], first.get("peak_bytes")),
        (&40_000.into(), &1.into(), None)
    );
}

#[test]
fn data_frames_have_the_same_sums() {
    let Some(python) = python_with("polars") else { return };
    let scratch = scratch();
    export(&scratch, "csv", "run.csv");
    export(&scratch, "jsonl", "run.jsonl");
    let script = "
import polars
for table in polars.read_csv('run.csv'), polars.read_ndjson('run.jsonl'):
    print(table.height, *(table[name].sum() for name in ('peak_bytes', 'leaked_bytes', 'allocated_bytes')))
    by_site = table.group_by('site_function').agg(polars.col('peak_bytes').sum()).sort('peak_bytes', descending=True)
    print(*by_site.rows()[:2])
";
    let expected = "4 52445 12745 52752\n('load', 40000) ('main', 12345)\n".repeat(2);
    assert_eq!(printed_by(&python, &scratch, script), expected);
}

#[test]
fn gprof2dot_draws_the_graph() {
    let Some(python) = python_with("gprof2dot") else { return };
    let scratch = scratch();
    export(&scratch, "gprof2dot", "run.json");
    let arguments = ["-m", "gprof2dot", "-f", "json", "-n", "0", "-e", "0", "run.json"];
    let dot = scratch.run(Command::new(&python).args(arguments)).succeeds();
    // 40 000 of 52 445 are 76.27 %; the rest but for the 100 without a stack is 99.81 % in all of main.
    let dot =
        dot.shows("label=\"/app/app.py\\nload\\n76.27%\\n(76.27%)").shows("/app/app.py\\nmain\\n99.81%\\n(0.00%)");
    dot.shows("[no stack]\\n0.19%").shows("numpy/core.py\\narray\\n23.54%");
}

/// pprof and Speedscope files as packages of npm read them, the latter in a browser: `tests/page/exports.test.js`, which
/// has the numbers.
#[test]
fn readers_in_node_find_the_same_numbers() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    if !page.join("node_modules/pprof-format").exists() {
        announce("skipped: no readers of exports in tests/page/node_modules; `npm ci` there installs them");
        return;
    }
    let scratch = scratch();
    export(&scratch, "pprof", "run.pb.gz");
    export(&scratch, "pprof --leaks", "leaks.pb.gz");
    export(&scratch, "pprof --at 1.8s", "at.pb.gz");
    export(&scratch, "speedscope --leaks", "run.speedscope.json");
    export(&scratch, "firefox", "run.firefox.json.gz");
    export(&scratch, "dhat", "run.dhat.json");
    export(&scratch, "dhat --at 1.8s", "at.dhat.json");
    let mut node = Command::new("node");
    node.args(["--test", "exports.test.js"]).env("EXPORTS", scratch.path(""));
    let output = node.current_dir(&page).output().expect("node runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// 301 threads with the same 500 stacks are 150,000 entries even where a step is all of the run: threads are put together, and the
/// run has its course.
#[test]
fn firefox_has_memory_over_time_of_a_run_with_very_many_threads() {
    let run = Traced::python("many_cells.py", newest_python()).record();
    let said = run.heaptide("export --format firefox -f -o run.gz run.bin").exits(0).stderr();
    assert!(said.contains("threads of a process are not told apart: so many had the same stacks"), "{said}");
    let profile = unpacked(&run.directory().join("run.gz"));
    let native = &profile["threads"][0]["nativeAllocations"];
    let numbers = |name: &str| native[name].as_array().unwrap();
    assert!(numbers("time").len() <= 2 * (1 << 17), "{}", numbers("time").len());
    let times: BTreeSet<String> = numbers("time").iter().map(ToString::to_string).collect();
    assert!(times.len() >= 32, "{} steps", times.len());
    let threads: BTreeSet<String> = numbers("threadId").iter().map(ToString::to_string).collect();
    assert_eq!(threads.len(), 1);
    let left: i64 = numbers("weight").iter().map(|bytes| bytes.as_i64().unwrap()).sum();
    assert_eq!(left as u64, run.totals().leaked.bytes);
}

/// What was looked at while recording misses a peak of half a second; plots show it all the same.
#[test]
fn the_peak_is_in_memory_over_time() {
    let scratch = Scratch::new();
    let mut recording = Recording::new();
    let stack = recording.stack(&[("main", APP, 10)]);
    recording.allocate(stack, 1_003);
    recording.clock_ms(1_000);
    recording.sample(1 << 20);
    recording.clock_ms(1_200);
    let spike = recording.allocate(stack, 50_021);
    recording.clock_ms(1_700);
    recording.free(spike);
    recording.clock_ms(2_000);
    recording.sample(2 << 20);
    scratch.file("run.bin", &recording.finish());
    export(&scratch, "firefox", "run.gz");
    let profile = unpacked(&scratch.path("run.gz"));
    assert_eq!(profile["counters"][0]["samples"]["count"], serde_json::json!([1_003, 50_021, -50_021]));
    for quick in ["--quick", ""] {
        scratch.heaptide(&format!("flamegraph {quick} -f -o page.html run.bin")).exits(0);
        let timeline = &page::data(&scratch.read("page.html"))["timeline"];
        assert_eq!(timeline["live"], serde_json::json!([1_003, 51_024, 1_003]));
        assert_eq!(timeline["rss"], serde_json::json!([1 << 20, 1 << 20, 2 << 20]));
    }
}

fn unpacked(path: &Path) -> serde_json::Value {
    let mut json = String::new();
    flate2::read::GzDecoder::new(&*std::fs::read(path).unwrap()).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// Whether this program is installed; a line says if it is not.
fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        announce(&format!("skipped: no {program} on this machine"));
    }
    found
}

/// The bytes of each function by heaptrack's own account: at its peak, leaked, allocations, temporary ones.
fn by_heaptrack(scratch: &Scratch, function: &str) -> [u64; 4] {
    ["peak", "leaked", "allocations", "temporary"].map(|cost| {
        let arguments = ["-f", "run.gz", "-F", "out", "--flamegraph-cost-type", cost];
        scratch.run(Command::new("heaptrack_print").args(arguments)).exits(0);
        let text = scratch.read("out");
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        // `function (file);`
        let innermost =
            |stack: &str| stack.trim_end_matches(';').rsplit(';').next().is_some_and(|f| f.starts_with(function));
        lines.filter(|(stack, _)| innermost(stack)).map(|(_, number)| number.parse::<u64>().unwrap()).sum()
    })
}

#[test]
fn heaptrack_prints_the_same_totals() {
    if !is_installed("heaptrack_print") {
        return;
    }
    let scratch = scratch();
    export(&scratch, "heaptrack", "run.gz");
    let print = scratch.run(Command::new("heaptrack_print").args(["-f", "run.gz"])).exits(0);
    let print = print.shows("calls to allocation functions: 5 (").shows("temporary memory allocations: 1 (");
    let print = print.shows("peak heap memory consumption: 52.45K\n").shows("total memory leaked: 12.74K\n");
    print
        .shows("peak RSS (including heaptrack overhead): 3.15M\n")
        .shows("total runtime: 2.00s.")
        .shows("40.00K peak memory consumed over 2 calls from\nload\n  at /app/app.py:20\n  in app\n");
    assert_eq!(by_heaptrack(&scratch, "load"), [40_000, 0, 2, 1]);
    assert_eq!(by_heaptrack(&scratch, "array"), [12_345, 12_345, 1, 0]);
    assert_eq!(by_heaptrack(&scratch, "[no stack]"), [100, 100, 1, 0]);
    assert_eq!(by_heaptrack(&scratch, "say \"hi\",\\u{a}</script>;\\u{202e}=1+1".rsplit(';').next().unwrap())[1], 300);
    // What is live at an instant, and nothing else.
    export(&scratch, "heaptrack --at 1.6s", "run.gz");
    assert_eq!(by_heaptrack(&scratch, "load"), [40_000, 40_000, 1, 0]);
    export(&scratch, "heaptrack --from 1.6s", "run.gz");
    // It is there when the window begins, and gone before it ends.
    assert_eq!(by_heaptrack(&scratch, "load"), [40_000, 0, 2, 1]);
    assert_eq!(by_heaptrack(&scratch, "array"), [12_345, 0, 1, 0]);
}

/// A C program whose header says what is live when. A child of it that ended does not leak in heaptrack, which knows but one
/// process, and a line says so.
#[test]
fn heaptrack_of_several_processes_has_the_peak_of_all() {
    if !is_installed("heaptrack_print") {
        return;
    }
    let run = Traced::program("family.c").record();
    let ran = run.heaptide("export --format heaptrack -f -o run.gz run.bin").exits(0);
    let line = "heaptide: run.bin: leaked will be 4.8 MiB in heaptrack, not 12.4 MiB: what programs left before \
                another one allocated is not in it\n";
    assert!(ran.stderr().ends_with(line), "{}", ran.stderr());
    let print = Command::new("heaptrack_print").args(["-f", "run.gz"]).current_dir(run.directory()).output().unwrap();
    let print = String::from_utf8_lossy(&print.stdout).into_owned();
    assert!(print.contains("peak heap memory consumption: 9.00M\n"), "{print}");
    assert!(print.contains("total memory leaked: 5.00M\n"), "{print}");
}

/// What is live at each instant, by stack: sums are those of `--at`, and marks have their names.
#[test]
fn parquet_has_every_stack_at_every_instant() {
    let Some(python) = python_with("polars") else { return };
    let scratch = scratch();
    export(&scratch, "parquet", "run.parquet");
    let script = "
import polars
table = polars.read_parquet('run.parquet')
print(*sorted(set(str(kind) for kind in table.dtypes)), table.null_count().sum_horizontal().item())
sums = dict(table.group_by('seconds').agg(polars.col('live_bytes').sum()).iter_rows())
print(len(sums), *(sums[at] for at in (0.01, 1.49, 1.6, 1.69, 1.8, 2.0)))
at = table.filter(polars.col('seconds') == 1.6)
for row in at.sort('live_bytes').iter_rows(named=True):
    print(*(row[key] for key in ('live_bytes', 'live_blocks', 'pid', 'tid', 'allocator', 'function', 'line', 'kind')))
    print(*(row[key] for key in ('package', 'site_function', 'depth', 'stack')))
print(ascii(table.filter(polars.col('live_bytes') == 300)['function'].unique().item()))
";
    let expected = "\
Float64 Int32 Int64 String 0
200 40000 40000 52445 52445 12745 12745
100 1 4000 4000 malloc [no stack] 0 unknown
  0 [no stack]
12345 1 4000 4000 malloc array 30 library
numpy main 3 <module> (/app/app.py:1);main (/app/app.py:10);array (numpy/core.py:30)
40000 1 4000 4000 malloc load 20 project
app load 3 <module> (/app/app.py:1);main (/app/app.py:10);load (/app/app.py:20)
'say \"hi\",\\n</script>;\\u202e=1+1'
";
    assert_eq!(printed_by(&python, &scratch, script), expected);
    export(&scratch, "parquet --from 1.6s --to 1.65s", "run.parquet");
    let script = "
import polars
table = polars.read_parquet('run.parquet')
print(table['seconds'].min(), table['seconds'].max(), table.height)";
    // A millisecond apart, from 1.6 to 1.65 s, three stacks at each.
    assert_eq!(printed_by(&python, &scratch, script), "1.6 1.65 153\n");
    let refused = scratch.heaptide("export --format parquet --at 1.6s -o x run.bin").exits(2);
    assert!(refused.stderr().contains("take csv or jsonl"), "{}", refused.stderr());
}

#[test]
fn parquet_of_more_rows_than_a_group_holds() {
    let Some(python) = python_with("polars") else { return };
    let scratch = Scratch::new();
    let mut recording = Recording::new();
    for line in 1..=1_000 {
        let stack = recording.stack(&[("main", APP, line)]);
        recording.allocate(stack, u64::from(1_000 + line));
    }
    recording.clock_ms(1_000);
    scratch.file("run.bin", &recording.finish());
    export(&scratch, "parquet", "run.parquet");
    let script = "
import polars
table = polars.read_parquet('run.parquet')
by_line = table.group_by('line').agg(polars.len(), polars.col('live_bytes').min(), polars.col('live_bytes').max().alias('most'))
print(table.height, by_line.filter((polars.col('live_bytes') == polars.col('line') + 1000)
    & (polars.col('most') == polars.col('line') + 1000) & (polars.col('len') == 200)).height)";
    // 200 instants behind the first, at which nothing was there.
    assert_eq!(printed_by(&python, &scratch, script), "200000 1000\n");
}

/// A C program that sets marks: what its header says is live at each.
#[test]
fn parquet_names_the_marks() {
    let Some(python) = python_with("polars") else { return };
    let run = Traced::program("windows.c").record();
    run.heaptide("export --format parquet -f -o run.parquet run.bin").exits(0);
    let script = "
import polars
table = polars.read_parquet('run.parquet').filter(polars.col('mark') != '')
sums = table.group_by('instant', 'mark').agg(polars.col('live_bytes').sum(), polars.col('pid').n_unique()).sort('instant')
for row in sums.iter_rows():
    print(*row[1:])";
    let output = Command::new(&python).args(["-c", script]).current_dir(run.directory()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "one 100003 1\ntwo 130014 1\ntick 80032 1\ntick 87033 1\nchild 87810 2\ndone 87033 1\n";
    assert_eq!(printed, expected, "{}", String::from_utf8_lossy(&output.stderr));
}

/// Without events there is no stream of them; DHAT then has one amount.
#[test]
fn without_events() {
    let scratch = Scratch::new();
    let mut recording = Recording::aggregate();
    let stack = recording.stack(&[("main", APP, 10)]);
    recording.allocate(stack, 12_345);
    scratch.file("run.bin", &recording.finish());
    let refused = scratch.heaptide("export --format heaptrack -o out run.bin").exits(65);
    assert!(refused.stderr().contains("recorded with --aggregate, so it holds no events"), "{}", refused.stderr());
    assert!(!exists(&scratch.path("out")));
    scratch.heaptide("export --format parquet -o out run.bin").exits(65);
    export(&scratch, "firefox --leaks", "run.gz");
    export(&scratch, "dhat --leaks", "run.json");
    let dhat: serde_json::Value = serde_json::from_str(&scratch.read("run.json")).unwrap();
    assert_eq!(
        (&dhat["bklt"], &dhat["verb"], &dhat["pps"][0]["tb"]),
        (&false.into(), &"Leaked".into(), &12_345.into())
    );
}

/// Nothing was allocated: every format has a file all the same.
#[test]
fn a_run_without_allocations() {
    let scratch = Scratch::new();
    scratch.file("run.bin", &Recording::new().finish());
    for format in FORMATS {
        export(&scratch, format, "out");
    }
}

/// All of them.
const FORMATS: [&str; 10] =
    ["pprof", "speedscope", "folded", "gprof2dot", "csv", "jsonl", "dhat", "heaptrack", "firefox", "parquet"];
