//! What the page says of an instant, of a window and of the whole run is what the other reports say: its own model is asked, in
//! Node instead of a browser.

use crate::support::page;
use crate::traced::{Run, Traced, announce};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

pub(crate) type Functions = BTreeMap<String, (u64, u64)>;

/// Own bytes and blocks of each function, by `summary --json` with these options.
pub(crate) fn reported(run: &Run, options: &str) -> Functions {
    let json = run.heaptide(&format!("summary --json --limit 0 {options} run.bin")).exits(0).json();
    let amount = |row: &Value| (row["own"]["bytes"].as_u64().unwrap(), row["own"]["count"].as_u64().unwrap());
    let rows = json["functions"].as_array().unwrap().iter();
    added_up(rows.map(|row| (row["function"].as_str().unwrap().to_owned(), amount(row))))
}

/// Functions of one name are one, as are those of an object that have none: `libc.so.6+0x3c9fa` is `libc.so.6`.
pub(crate) fn added_up(functions: impl IntoIterator<Item = (String, (u64, u64))>) -> Functions {
    let mut sums = Functions::new();
    for (name, (bytes, count)) in functions.into_iter().filter(|(_, of)| *of != (0, 0)) {
        let name = name.split_once("+0x").map_or(name.as_str(), |(object, _)| object);
        let sum = sums.entry(name.to_owned()).or_default();
        *sum = (sum.0 + bytes, sum.1 + count);
    }
    sums
}

/// The same, by the page's model; one answer for each question.
pub(crate) fn asked(run: &Run, questions: &[Value]) -> Vec<Functions> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/ask.js");
    let mut command = Command::new("node");
    command.arg(script).arg(run.directory().join("page.html")).args(questions.iter().map(Value::to_string));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| added_up(serde_json::from_str::<Functions>(line).unwrap())).collect()
}

/// Each question beside the options that mean the same, of a page made with these options.
pub(crate) fn compare(run: &Run, page: &str, pairs: &[(Value, String)]) {
    run.heaptide(&format!("flamegraph -f -o page.html {page} run.bin")).exits(0);
    let questions: Vec<Value> = pairs.iter().map(|(question, _)| question.clone()).collect();
    for ((question, options), answer) in pairs.iter().zip(asked(run, &questions)) {
        assert_eq!(answer, reported(run, options), "{question} against {options}");
    }
}

pub(crate) fn has_node() -> bool {
    let there = Command::new("node").arg("--version").output().is_ok();
    if !there {
        announce("skipped: no node on this machine");
    }
    there
}

pub(crate) const METRICS: [(&str, &str); 4] =
    [("peak", ""), ("leaked", "--leaks"), ("allocated", "--allocated"), ("temporary", "--temporary")];

#[test]
fn between_marks_of_a_program_whose_every_byte_is_known() {
    let run = Traced::program("windows.c").record();
    if !has_node() {
        return;
    }
    let mut pairs: Vec<(Value, String)> =
        METRICS.iter().map(|(metric, option)| (json!({"metric": metric}), (*option).to_owned())).collect();
    let marks = ["one", "two", "tick", "child", "done"];
    for mark in marks {
        pairs.push((json!({"at": mark}), format!("--at mark:{mark}")));
    }
    for (place, from) in marks.iter().enumerate() {
        for to in &marks[place + 1..] {
            for (metric, option) in METRICS {
                let question = json!({"metric": metric, "from": from, "to": to});
                pairs.push((question, format!("--from mark:{from} --to mark:{to} {option}")));
            }
        }
    }
    for (metric, option) in METRICS {
        pairs.push((json!({"metric": metric, "from": null, "to": "tick"}), format!("--to mark:tick {option}")));
        pairs.push((json!({"metric": metric, "from": "two", "to": null}), format!("--from mark:two {option}")));
    }
    compare(&run, "", &pairs);
    // The program's own numbers, so that both cannot be wrong together.
    let window = asked(&run, &[json!({"metric": "peak", "from": "one", "to": "two"})]).remove(0);
    let expected = [("base", 100_003), ("keep", 30_011), ("brief", 200_017)];
    assert_eq!(window, expected.map(|(name, bytes)| (name.to_owned(), (bytes, 1))).into());
}

/// The page of a window has instants of its own: what it says of the windows in it is what is said of them in the whole run.
#[test]
fn between_marks_of_the_page_of_a_window() {
    let run = Traced::program("windows.c").record();
    if !has_node() {
        return;
    }
    for marks in [["one", "two", "tick", "child"], ["two", "tick", "child", "done"]] {
        let [first, .., last] = marks;
        let all = format!("--from mark:{first} --to mark:{last}");
        let mut pairs: Vec<(Value, String)> = Vec::new();
        for (metric, option) in METRICS {
            pairs.push((json!({"metric": metric}), format!("{all} {option}")));
            pairs.push((json!({"metric": metric, "from": null, "to": null}), format!("{all} {option}")));
        }
        for (place, from) in marks.iter().enumerate() {
            pairs.push((json!({"at": from}), format!("--at mark:{from}")));
            for (to, (metric, option)) in marks[place + 1..].iter().flat_map(|to| METRICS.map(|metric| (to, metric))) {
                let question = json!({"metric": metric, "from": from, "to": to});
                pairs.push((question, format!("--from mark:{from} --to mark:{to} {option}")));
            }
        }
        compare(&run, &all, &pairs);
    }
}

#[test]
fn threads_processes_and_functions_that_allocate_add_up() {
    let run = Traced::program("windows.c").record();
    if !has_node() {
        return;
    }
    run.heaptide("flamegraph -f -o page.html run.bin").exits(0);
    let data = page::data(&std::fs::read_to_string(run.directory().join("page.html")).unwrap());
    let count = |name: &str, column: &str| data[name][column].as_array().unwrap().len();
    let (processes, threads) = (count("processes", "pid"), count("threads", "tid"));
    assert!(processes > 1 && threads >= processes, "{processes} processes, {threads} threads");
    let allocators = data["allocators"].as_array().unwrap();
    let all = |key: &str, values: Vec<Value>| {
        let questions: Vec<Value> = values.iter().map(|value| json!({"metric": "allocated", key: value})).collect();
        added_up(asked(&run, &questions).into_iter().flatten())
    };
    let expected = reported(&run, "--allocated");
    assert_eq!(all("process", (0..processes).map(Value::from).collect()), expected);
    assert_eq!(all("thread", (0..threads).map(Value::from).collect()), expected);
    assert_eq!(all("allocator", allocators.clone()), expected);
    // One process, by itself and as a part.
    let child = data["processes"]["pid"].as_array().unwrap().last().unwrap();
    let place = processes - 1;
    let part = asked(&run, &[json!({"metric": "allocated", "process": place})]).remove(0);
    assert_eq!(part, reported(&run, &format!("--allocated --pid {child}")));
}

#[test]
fn without_the_events_the_page_has_no_course_and_says_nothing_of_threads() {
    let run = Traced::program("windows.c").record();
    run.heaptide("flamegraph --quick -f -o quick.html run.bin").exits(0);
    run.heaptide("flamegraph -f -o page.html run.bin").exits(0);
    let [quick, whole] = ["quick.html", "page.html"]
        .map(|name| page::data(&std::fs::read_to_string(run.directory().join(name)).unwrap()));
    assert!(quick["course"].is_null() && !whole["course"].is_null());
    assert_eq!(quick["threads"]["tid"], json!([]));
    // Both have the same amounts in all.
    let sum = |data: &Value, metric: usize, column: &str| -> u64 {
        data["metrics"][metric][column].as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).sum()
    };
    for metric in 0..4 {
        for column in ["bytes", "counts"] {
            assert_eq!(sum(&quick, metric, column), sum(&whole, metric, column), "{metric} {column}");
        }
    }
}
