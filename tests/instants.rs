//! Any instant and any window of a run (`--at`, `--from`, `--to`): of a program whose every byte is known, from captures with and
//! without an end, and what is said where there is no such instant.

use crate::support::recording::Recording;
use crate::support::{Scratch, page};
use crate::traced::{Run, Traced};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn recorded() -> Run {
    Traced::program("windows.c").record()
}

/// Own bytes and blocks of each function that has any, of `summary --json` with these options.
fn functions(run: &Run, options: &str, capture: &str) -> BTreeMap<String, (u64, u64)> {
    let json = run.heaptide(&format!("summary --json --limit 0 {options} {capture}")).exits(0).json();
    let amount = |row: &Value| (row["own"]["bytes"].as_u64().unwrap(), row["own"]["count"].as_u64().unwrap());
    let rows = json["functions"].as_array().unwrap().iter();
    let found: BTreeMap<_, _> = rows.map(|row| (row["function"].as_str().unwrap().to_owned(), amount(row))).collect();
    assert_eq!(json["total"]["bytes"].as_u64(), Some(found.values().map(|(bytes, _)| bytes).sum()), "{json:#}");
    found
}

fn expect(run: &Run, capture: &str, options: &str, expected: &[(&str, u64)]) {
    let expected = expected.iter().map(|(function, bytes)| ((*function).to_owned(), (*bytes, 1))).collect();
    assert_eq!(functions(run, options, capture), expected, "{options} {capture}");
}

const BASE: (&str, u64) = ("base", 100_003);
const KEEP: (&str, u64) = ("keep", 30_011);
const BRIEF: (&str, u64) = ("brief", 200_017);
const MORE: (&str, u64) = ("more", 50_021);
const LATE: (&str, u64) = ("late", 7_001);
const CHILD: (&str, u64) = ("child", 777);
const HUGE: (&str, u64) = ("huge", 900_007);

/// Behind the fork, and all that it may have forgotten of what was before.
fn answers_of(run: &Run, capture: &str) {
    let expect = |options: &str, expected: &[(&str, u64)]| expect(run, capture, options, expected);
    expect("--at start", &[]);
    expect("--at mark:one", &[BASE]);
    expect("--at mark:two", &[BASE, KEEP]);
    expect("--at mark:tick", &[KEEP, MORE]);
    expect("--at mark:tick#1", &[KEEP, MORE]);
    expect("--at mark:tick#2", &[KEEP, MORE, LATE]);
    expect("--at mark:child", &[KEEP, MORE, LATE, CHILD]);
    expect("--at mark:done", &[KEEP, MORE, LATE]);
    // The peak of a window counts what was there before it; all else is of what was allocated in it.
    expect("--from mark:one --to mark:two", &[BASE, KEEP, BRIEF]);
    expect("--from mark:one --to mark:two --allocated", &[KEEP, BRIEF]);
    expect("--from mark:one --to mark:two --leaks", &[KEEP]);
    expect("--from mark:one --to mark:two --temporary", &[BRIEF]);
    expect("--from mark:two --to mark:tick", &[BASE, KEEP]);
    expect("--from mark:two --to mark:tick --leaks", &[MORE]);
    expect("--from mark:two --to mark:tick --temporary", &[]);
    expect("--from mark:tick --to mark:tick#2 --allocated", &[LATE]);
    expect("--from mark:tick#2 --to mark:done --leaks", &[CHILD]);
    expect("--from mark:done --to mark:done", &[KEEP, MORE, LATE]);
    expect("--from mark:done --to mark:done --allocated", &[]);
    expect("--to mark:two --allocated", &[BASE, KEEP, BRIEF]);
    expect("--to mark:done", &[BASE, KEEP, BRIEF]);
}

#[test]
fn what_was_live_and_what_happened() {
    let run = recorded();
    answers_of(&run, "run.bin");
    expect(&run, "run.bin", "", &[KEEP, MORE, LATE, HUGE]);
    expect(&run, "run.bin", "--at peak", &[KEEP, MORE, LATE, HUGE]);
    expect(&run, "run.bin", "--from mark:done --allocated", &[HUGE]);
    expect(&run, "run.bin", "--from mark:done --to peak", &[KEEP, MORE, LATE, HUGE]);
    expect(&run, "run.bin", "--from peak --temporary", &[]);
}

#[test]
fn by_time_and_by_part_of_the_run() {
    let run = recorded();
    let stats = run.heaptide("stats --json run.bin").succeeds().json();
    let time = |place: usize| stats["marks"][place]["time_ns"].as_u64().unwrap();
    // Between "two" and "tick" nothing happens for 0.2 s, but that what came right behind "two" may be read a round later.
    let middle = (time(1) + time(2)) / 2;
    let percent = 100.0 * middle as f64 / stats["duration_ns"].as_f64().unwrap();
    for at in [format!("{middle}ns"), format!("{}us", middle / 1_000), format!("{percent:.6}%")] {
        expect(&run, "run.bin", &format!("--at {at}"), &[KEEP, MORE]);
    }
    expect(&run, "run.bin", &format!("--from {middle}ns --to mark:tick#2 --leaks"), &[LATE]);
    let json = run.heaptide(&format!("summary --json --at {middle}ns run.bin")).succeeds().json();
    assert_eq!(json["span"], serde_json::json!({ "at_ns": middle }));
    let json = run.heaptide("tree --json --from mark:one --to mark:tick run.bin").succeeds().json();
    assert_eq!(json["span"], serde_json::json!({ "from_ns": time(0), "to_ns": time(2) }));
    let json = run.heaptide("leaks --json --from mark:tick run.bin").succeeds().json();
    assert_eq!(json["span"], serde_json::json!({ "from_ns": time(2), "to_ns": stats["duration_ns"] }));
}

#[test]
fn the_whole_run_replayed_is_what_the_footer_says() {
    let run = recorded();
    for report in ["summary --json --limit 0", "tree --json --min-percent 0"] {
        for metric in ["", "--leaks", "--allocated", "--temporary"] {
            let json = |span: &str| {
                let mut json = run.heaptide(&format!("{report} {metric} {span} run.bin")).succeeds().json();
                (json.as_object_mut().unwrap().remove("span").is_some(), json)
            };
            let (whole, window) = (json(""), json("--from start --to end"));
            assert_eq!((whole.0, window.0), (false, true));
            assert_eq!(whole.1, window.1, "{report} {metric}");
        }
        let peak = |span: &str| run.heaptide(&format!("{report} {span} run.bin")).succeeds().json()["total"].clone();
        assert_eq!((peak("--at peak"), &peak("")["bytes"]), (peak(""), &987_040.into()));
    }
}

#[test]
fn every_report_takes_them() {
    let run = recorded();
    let folded =
        |options: &str| run.heaptide(&format!("flamegraph --format folded {options} run.bin")).succeeds().stdout();
    let amounts = |options: &str| -> Vec<String> {
        folded(options).lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(amounts("--at mark:two"), ["100003", "30011"]);
    assert_eq!(amounts("--from mark:one --to mark:two --temporary"), ["200017"]);
    let lines = |report: &str| run.heaptide(&format!("{report} run.bin")).succeeds().stdout();
    let tree = lines("tree --from mark:tick --to mark:tick#2 --allocated");
    assert!(tree.starts_with("all memory allocated from the mark at "), "{tree}");
    assert!(tree.contains(": 6.8 KiB in 1 allocations\n") && tree.contains("\n   6.8 KiB 100.0%  late  "), "{tree}");
    let leaks = |options: &str| run.heaptide(&format!("leaks --json {options} run.bin")).succeeds().json();
    let at = leaks("--at mark:two");
    assert_eq!((&at["total"]["bytes"], &at["program"]["count"]), (&130_014.into(), &2.into()));
    assert_eq!((&at["sites"][0]["function"], &at["sites"][1]["function"]), (&"base".into(), &"keep".into()));
    // An instant has no history.
    assert_eq!((at.get("judged"), at["sites"][0].get("verdict")), (None, None));
    let window = leaks("--from mark:two --to mark:tick");
    assert_eq!((&window["total"]["bytes"], &window["sites"][0]["function"]), (&50_021.into(), &"more".into()));
    assert!(window["sites"][0]["verdict"].is_string() && window["growing"] == serde_json::json!([]), "{window:#}");
    run.heaptide("leaks --from mark:two --to mark:tick --fail-above 50021 run.bin").exits(0);
    run.heaptide("leaks --from mark:two --to mark:tick --fail-above 50020 run.bin").exits(3);
    run.heaptide("flamegraph --at mark:two -f -o page.html run.bin").exits(0);
    let page = page::text(&std::fs::read_to_string(run.directory().join("page.html")).unwrap());
    assert!(page.contains("100003") && !page.contains("900007"));
}

/// `more` and `keep` for 0.2 s at least; more if the machine is busy. The clock is that of the recorder's rounds.
#[test]
fn what_memory_costs_over_time() {
    let run = recorded();
    let json = run.heaptide("summary --json --byte-seconds --from mark:two --to mark:tick run.bin").succeeds().json();
    assert_eq!(json["metric"], "byte_seconds");
    let seconds = |function: &str| {
        let row = json["functions"].as_array().unwrap().iter().find(|row| row["function"] == function);
        row.unwrap_or_else(|| panic!("{json:#}"))["own"]["bytes"].as_f64().unwrap()
    };
    let (keep, more) = (seconds("keep") / 30_011.0, seconds("more") / 50_021.0);
    assert!((0.1..20.0).contains(&keep) && (0.1..20.0).contains(&more), "{keep} s, {more} s");
    // `keep` is the older one.
    assert!(keep > more - 0.001 && keep < more + 0.1, "{keep} s, {more} s");
    let span = &json["span"];
    let length = (span["to_ns"].as_f64().unwrap() - span["from_ns"].as_f64().unwrap()) / 1e9;
    assert!((keep - length).abs() < 0.001, "{keep} s of {length} s");
}

#[test]
fn a_capture_that_was_cut_answers_alike() {
    let run = recorded();
    let bytes = std::fs::read(run.path()).unwrap();
    std::fs::write(run.directory().join("cut.bin"), &bytes[..bytes.len() - 30]).unwrap();
    assert!(run.heaptide("stats cut.bin").exits(0).stderr().contains("ends early at byte"));
    answers_of(&run, "cut.bin");
    expect(&run, "cut.bin", "--at peak", &[KEEP, MORE, LATE, HUGE]);
    expect(&run, "cut.bin", "--from mark:done --allocated", &[HUGE]);
}

#[test]
fn a_capture_whose_recorder_was_killed_answers_alike() {
    let running = Traced::program("windows.c").args(["wait"]).start();
    let target: i32 = running.wait_for_line().parse().unwrap();
    // The file has the mark at once, and what it is behind with the next block of events, seconds later.
    let (scratch, path, began) = (Scratch::new(), running.directory().join("run.bin"), Instant::now());
    let is_there = || {
        let json = scratch.heaptide(&format!("summary --json --at mark:done {}", path.display())).stdout();
        // 30 011 + 50 021 + 7 001.
        serde_json::from_str(&json).is_ok_and(|json: Value| json["total"]["bytes"] == 87_033)
    };
    while !is_there() {
        assert!(began.elapsed() < Duration::from_secs(40), "the events are not in the file");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.signal(libc::SIGKILL);
    // SAFETY: plain numbers; the target has not ended: it waits for a signal.
    assert_eq!(unsafe { libc::kill(target, libc::SIGKILL) }, 0);
    let run = running.finish();
    assert!(run.capture().ends_early.is_some());
    answers_of(&run, "run.bin");
}

/// 2 s, 100 bytes from the start and 1 000 from 1 s on.
fn two_seconds(mut recording: Recording) -> Scratch {
    let main = recording.stack(&[("main", "/app/app.py", 10)]);
    recording.allocate(main, 100);
    recording.clock_ms(1_000);
    recording.allocate(main, 1_000);
    recording.clock_ms(2_000);
    recording.sample(1 << 20);
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording.finish());
    scratch
}

const REPORTS: [&str; 4] = ["flamegraph --format folded", "summary", "tree", "leaks"];

#[test]
fn an_instant_that_is_none_is_2() {
    let scratch = two_seconds(Recording::new());
    let said = |options: &str, line: &str| {
        for report in REPORTS {
            scratch
                .heaptide(&format!("{report} {options} run.bin"))
                .exits(2)
                .says(&format!("heaptide: run.bin: {line}"));
        }
    };
    let outside = "3.500 s is outside of the run, which took 2.000 s; choose one up to 2.00 s";
    said("--at 3.5s", outside);
    said("--from 3500ms", outside);
    said("--to 3.5", outside);
    said("--from 1.5s --to 1s", "the window ends before it begins: from 1.500 s to 1.000 s; exchange --from and --to");
    said("--from end --to 25%", "the window ends before it begins: from 2.000 s to 0.500 s; exchange --from and --to");
    said(
        "--at mark:warm",
        "there is no mark \"warm\"; it has no marks, set some with `heaptide mark` or `heaptide_mark`",
    );
    scratch.heaptide("summary --at 2s run.bin").succeeds().shows("memory live at 2.000 s: 1.1 KiB in 2 blocks\n");
    scratch.heaptide("summary --at 999ms run.bin").succeeds().shows("memory live at 0.999 s: 100 B in 1 blocks\n");
}

#[test]
fn a_mark_that_is_none_is_2_and_the_near_ones_are_named() {
    let run = recorded();
    let said = |options: &str, line: &str| {
        for report in REPORTS {
            run.heaptide(&format!("{report} {options} run.bin")).exits(2).says(&format!("heaptide: run.bin: {line}"));
        }
    };
    said("--at mark:tock", "there is no mark \"tock\"; did you mean mark:tick?");
    said("--from mark:Done", "there is no mark \"Done\"; did you mean mark:done or mark:one?");
    said("--to mark:nothing", "there is no mark \"nothing\"; it has one, two, tick, child, done");
    said("--at mark:tick#3", "the mark \"tick\" was set 2 times only");
    // The first four are set at once: their times may be the same, their places are not.
    let backwards = run.heaptide("summary --from mark:two --to mark:one run.bin").exits(2);
    let line = backwards.stderr();
    assert!(line.starts_with("heaptide: run.bin: the window ends before it begins: from 0."), "{line}");
    assert!(line.ends_with(" s; exchange --from and --to\n"), "{line}");
}

#[test]
fn what_is_no_instant_is_told_by_the_options() {
    let scratch = two_seconds(Recording::new());
    let parses = "an instant is a time after the start (12.5s, 500ms, 2m, 1h), a part of the run (50%), start, end, peak, or \
                  mark:NAME";
    for report in REPORTS {
        for (option, text) in [("at", "noon"), ("from", "101%"), ("to", "1.2.3s")] {
            let ran = scratch.heaptide(&format!("{report} --{option} {text} run.bin")).exits(2);
            let expected = format!("error: invalid value '{text}' for '--{option} <INSTANT>': {parses}");
            assert_eq!(ran.stderr().lines().next(), Some(&*expected));
        }
        for other in ["from", "to"] {
            let ran = scratch.heaptide(&format!("{report} --at peak --{other} 1s run.bin")).exits(2);
            let expected = format!("error: the argument '--at <INSTANT>' cannot be used with '--{other} <INSTANT>'");
            assert_eq!(ran.stderr().lines().next(), Some(&*expected));
        }
    }
}

#[test]
fn of_an_aggregated_capture_there_is_the_peak_alone() {
    let scratch = two_seconds(Recording::aggregate());
    let line = "heaptide: run.bin: recorded with --aggregate, so it holds no events to answer this from; record again without \
                --aggregate, or ask for --at peak or --temporary with 0 or 1";
    for report in REPORTS {
        for options in ["--at 1s", "--at start", "--from 1s", "--to 50%"] {
            scratch.heaptide(&format!("{report} {options} run.bin")).exits(65).says(line);
        }
    }
    scratch
        .heaptide("summary --at peak run.bin")
        .succeeds()
        .shows("memory live at the peak (1.000 s): 1.1 KiB in 2 blocks\n");
    scratch
        .heaptide("leaks --at peak run.bin")
        .succeeds()
        .shows("memory live at the peak (1.000 s): 1.1 KiB in 2 blocks\n");
}
