//! `leaks` tells what grows from what does not: each of the programs in `fixtures/leaks` is judged as its table says, and what
//! is known can be left out.

use crate::support::{Ran, Scratch};
use crate::traced::{Run, Traced, compiled, newest_python, pythons};
use serde_json::Value;

fn recorded(file: &str) -> Run {
    let path = format!("../leaks/{file}");
    match file.ends_with(".c") {
        true => Traced::command([compiled(&path, "", &[])]).record(),
        false => Traced::python(&path, newest_python()).record(),
    }
}

fn growing(report: &Value) -> Vec<(String, String)> {
    let sites = report["growing"].as_array().expect("a list").iter();
    sites.map(|site| (site["function"].as_str().unwrap().into(), site["verdict"].as_str().unwrap().into())).collect()
}

/// Of a function, the verdict of its largest site.
fn verdict(report: &Value, function: &str) -> String {
    let sites = report["sites"].as_array().expect("a list");
    // Up to 3.11 a comprehension is a function of its own.
    let is_its = |site: &&Value| site["function"].as_str().unwrap().starts_with(function);
    sites.iter().find(is_its).map_or("none".into(), |site| site["verdict"].as_str().unwrap().into())
}

/// File, function, its verdict. Whatever else grows is an error, but for the list that a leak is kept in.
const SITES: [(&str, &str, &str); 22] = [
    ("leak_list.py", "remember", "never_freed"),
    ("leak_dict.py", "respond", "grows"),
    ("leak_error_path.py", "read", "grows"),
    ("leak_slow.py", "note", "never_freed"),
    ("leak_native.py", "fetch", "never_freed"),
    ("leak_requests.c", "handle", "never_freed"),
    ("growing_vector.c", "append", "grows"),
    ("growing_bytes.py", "extend", "grows"),
    ("bounded_lru.py", "answer", "bounded"),
    ("bounded_ring.c", "receive", "bounded"),
    ("bounded_threads.py", "prepare", "bounded"),
    ("sawtooth_buffer.py", "log", "saw_tooth"),
    ("sawtooth_batches.c", "collect", "saw_tooth"),
    ("startup_tables.py", "load", "start_up"),
    ("step_loads.py", "first_model", "one_off"),
    ("step_loads.py", "second_model", "one_off"),
    ("drained_queue.py", "nothing", "none"),
    ("clean_churn.py", "nothing", "none"),
    ("clean_imports.py", "nothing", "none"),
    ("clean_server.py", "session", "bounded"),
    ("clean_sort.py", "texts", "start_up"),
    ("clean_workers.c", "nothing", "none"),
];

/// What is not said of a program as it should be.
fn wrong(file: &str) -> Vec<String> {
    let report = recorded(file).heaptide("leaks --json --limit 0 run.bin").succeeds().json();
    let mut wrong = Vec::new();
    let expected = SITES.iter().filter(|site| site.0 == file);
    for (_, function, expected) in expected.clone() {
        let said = verdict(&report, function);
        if said != *expected {
            wrong.push(format!("{function} is said to be {said}, not {expected}"));
        }
    }
    let leaks: Vec<&str> =
        expected.filter(|site| matches!(site.2, "never_freed" | "grows")).map(|site| site.1).collect();
    let others = growing(&report).into_iter().filter(|(function, _)| !leaks.contains(&&**function));
    wrong.extend(others.map(|(function, verdict)| format!("{function} is said to be {verdict}")));
    wrong
}

#[test]
fn each_program_is_judged_as_what_it_is() {
    let mut files: Vec<&str> = SITES.iter().map(|site| site.0).collect();
    files.dedup();
    // They sleep most of the time.
    std::thread::scope(|scope| {
        for file in files {
            scope.spawn(move || {
                // A machine that is busy with other things may hold a program up, and then it does not grow evenly.
                let wrong: Vec<Vec<String>> =
                    (0..3).map_while(|_| Some(wrong(file)).filter(|w| !w.is_empty())).collect();
                assert!(wrong.len() < 3, "{file}: {wrong:?}");
            });
        }
    });
}

#[test]
fn a_rate_is_bytes_per_second() {
    // 3 000 bytes in each tick of 10 ms or a little more.
    let report = recorded("leak_requests.c").heaptide("leaks --json run.bin").succeeds().json();
    let site = &report["growing"][0];
    let rate = site["bytes_per_second"].as_f64().unwrap();
    let seconds = report["judged"]["step_ns"].as_u64().unwrap() as f64 * 200.0 / 1e9;
    let expected = 250.0 * 3_000.0 / seconds;
    assert!((0.8..1.2).contains(&(rate / expected)), "{rate} of {expected}");
    assert_eq!((&site["score"], &report["judged"]["newest"]), (&100.into(), &0.1.into()));
    assert_eq!(site["curve"].as_array().unwrap().len(), 200);
    let text = recorded("leak_requests.c").heaptide("leaks run.bin").succeeds().stdout();
    assert!(text.contains("What grows, the newest 10 % left out\n"), "{text}");
}

#[test]
fn what_is_known_is_left_out() {
    let run = recorded("leak_list.py");
    let scratch = Scratch::new();
    scratch.file("known.txt", b"# a decision\nleak:remember\n");
    let leaks =
        |arguments: &str| -> Ran { scratch.heaptide(&format!("leaks --json {arguments} {}", run.path().display())) };
    let report = leaks("--suppressions known.txt").succeeds().json();
    assert_eq!(growing(&report), []);
    let suppressed = report["suppressed"].as_array().unwrap();
    let known = suppressed.iter().find(|entry| entry["pattern"] == "remember").expect("it was used");
    // 250 blocks of 4 001 bytes, and the list's own.
    assert_eq!((&known["count"], &known["builtin"]), (&251.into(), &false.into()));
    assert!(known["bytes"].as_u64().unwrap() > 250 * 4_001);
    let all = leaks("").succeeds().json();
    let bytes = |report: &Value| report["program"]["bytes"].as_u64().unwrap();
    assert_eq!(bytes(&report) + known["bytes"].as_u64().unwrap(), bytes(&all));
    // Nor does it count for the gate, of the program's own or of all.
    leaks("--suppressions known.txt --fail-above 1MB").exits(0);
    let everything = all["total"]["bytes"].as_u64().unwrap();
    leaks(&format!("--all --no-builtin-suppressions --fail-above {}", everything - 1)).exits(3);
    leaks(&format!("--all --suppressions known.txt --fail-above {}", everything - 1_000_000)).exits(0);

    scratch.file("wrong.txt", b"leak:a\nrace:b\n");
    let error = leaks("--suppressions wrong.txt").exits(65).stderr();
    assert_eq!(error, "heaptide: wrong.txt: line 2: \"race:b\" is no suppression of leaks, which reads leak:PATTERN\n");
    let error = leaks("--suppressions missing.txt").exits(66).stderr();
    assert!(error.starts_with("heaptide: missing.txt: cannot be read: No such file"), "{error}");
}

#[test]
fn without_events_nothing_is_judged() {
    let run = Traced::python("../leaks/leak_list.py", newest_python()).args(["20"]).options(["--aggregate"]).record();
    let report = run.heaptide("leaks --json run.bin").succeeds().json();
    assert_eq!((&report["judged"], growing(&report)), (&Value::Null, vec![]));
    assert_eq!(report["sites"][0]["verdict"], Value::Null);
    let error = run.heaptide("leaks --from 10% --to 90% run.bin").exits(65).stderr();
    assert!(error.contains("recorded with --aggregate"), "{error}");
}

/// What nobody holds any more waits for the collector: no leak, though it is live at the end.
#[test]
fn cyclic_garbage_is_told_apart() {
    for python in pythons() {
        let run = Traced::python("garbage.py", python).record();
        let report = run.heaptide("leaks --json --limit 0 run.bin").succeeds().json();
        let sites = report["sites"].as_array().unwrap();
        let site = |function: &str| sites.iter().find(|site| site["function"] == function).expect("a site");
        let [drop, keep] = [site("drop"), site("keep")];
        // From 3.15 on the number of collections lies elsewhere.
        let garbage = if python.since(15) { 0 } else { 200 };
        assert_eq!(drop["verdict"] == "garbage", garbage > 0, "{python:?}: {drop}");
        let blocks = drop["count"].as_u64().unwrap();
        assert!(drop["garbage"]["count"].as_u64().unwrap() >= garbage && blocks >= 200, "{python:?}: {drop}");
        assert!(drop["bytes"].as_u64().unwrap() >= 200 * 12_345, "{python:?}: {drop}");
        assert_eq!((&keep["garbage"]["count"], keep["verdict"] == "garbage"), (&0.into(), false), "{python:?}");

        let run = Traced::python("garbage.py", python).args(["off"]).record();
        let report = run.heaptide("leaks --json --limit 0 run.bin").succeeds().json();
        let garbage = |site: &Value| site["garbage"]["count"].as_u64().unwrap();
        assert_eq!(report["sites"].as_array().unwrap().iter().map(garbage).sum::<u64>(), 0, "{python:?}");
    }
}
