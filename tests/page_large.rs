//! Pages of captures that have more than a page has room for: less finely divided, or with threads put together, but as exact.

use crate::page_course::{METRICS, added_up, asked, compare, has_node, reported};
use crate::support::page;
use crate::traced::{Traced, newest_python};
use serde_json::{Value, json};

/// Some windows between the instants that a page has, each metric in turn, and some instants: questions beside options.
fn windows_of(data: &Value) -> Vec<(Value, String)> {
    let nanos: Vec<u64> =
        data["course"]["instants"]["nanos"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect();
    let marks = data["course"]["instants"]["mark"].as_array().unwrap();
    let last = nanos.len() - 1;
    let seconds = |at: usize| nanos[at] as f64 / 1e9;
    // A mark is one event of its time.
    let name = |at: usize| marks[at].as_i64().filter(|mark| *mark >= 0).map(|_| "middle");
    let asked = |at: usize| name(at).map_or_else(|| json!(seconds(at)), |name| json!(name));
    let option = |at: usize| name(at).map_or_else(|| format!("{}s", seconds(at)), |name| format!("mark:{name}"));
    let mut pairs = Vec::new();
    for at in [1, last / 3, last - 1] {
        pairs.push((json!({"at": asked(at)}), format!("--at {}", option(at))));
    }
    for (from, to) in
        [(0, 1), (0, last), (1, last / 2), (last / 3, last / 3 + 1), (last / 3, last - 1), (last / 2, last)]
    {
        for (metric, shown) in METRICS {
            let question = json!({"metric": metric, "from": asked(from), "to": asked(to)});
            pairs.push((question, format!("--from {} --to {} {shown}", option(from), option(to))));
        }
    }
    pairs
}

/// 4,000 stacks that change in each part: some 12,000 rows for each of 250 rounds, of which a page holds 600,000.
#[test]
fn a_run_with_more_changes_than_a_page_holds_has_fewer_instants_and_they_are_exact() {
    let run = Traced::python("many_changes.py", newest_python()).record();
    if !has_node() {
        return;
    }
    run.heaptide("flamegraph -f -o page.html run.bin").exits(0);
    let data = page::data(&std::fs::read_to_string(run.directory().join("page.html")).unwrap());
    let course = &data["course"];
    let length = |list: &Value| list.as_array().unwrap().len();
    let parts = length(&course["peaks_at"]["nanos"]);
    assert!((8..=401).contains(&parts), "{parts} parts");
    let rows: usize = ["lives", "flows", "peaks", "leaked"].iter().map(|list| length(&course[list]["cell"])).sum();
    assert!((100_000..=600_000).contains(&rows), "{rows} rows");
    // The mark stays, whichever times go.
    assert_eq!(data["marks"]["name"], json!(["middle"]));
    let marks = course["instants"]["mark"].as_array().unwrap();
    assert_eq!(marks.iter().filter(|mark| **mark == 0).count(), 1);
    let mut pairs = windows_of(&data);
    for (metric, option) in METRICS {
        pairs.push((json!({"metric": metric, "from": "middle", "to": null}), format!("--from mark:middle {option}")));
    }
    compare(&run, "", &pairs);
    // The program's own numbers: in the last 149 rounds f17 has made 149 blocks and one is left, of 1,018 + 8 * 249 bytes.
    let [allocated, kept] = ["allocated", "leaked"].map(|metric| {
        let answers = asked(&run, &[json!({"metric": metric, "from": "middle", "to": null})]);
        answers[0]["f17"]
    });
    assert_eq!(allocated, ((101..250).map(|round| 1_018 + 8 * round).sum(), 149));
    assert_eq!(kept, (1_018 + 8 * 249, 1));
}

/// 301 threads with the same 500 stacks and more are 150,000 cells: the page tells the largest 32 apart, and loses nothing of the others.
#[test]
fn of_very_many_threads_the_largest_are_told_apart() {
    let run = Traced::python("many_cells.py", newest_python()).record();
    if !has_node() {
        return;
    }
    let expected = reported(&run, "--allocated");
    run.heaptide("flamegraph -f -o page.html run.bin").exits(0);
    let data = page::data(&std::fs::read_to_string(run.directory().join("page.html")).unwrap());
    let (tids, names) = (data["threads"]["tid"].as_array().unwrap(), data["threads"]["name"].as_array().unwrap());
    assert_eq!(tids.len(), 33);
    let others = tids.iter().position(|tid| *tid == json!(0)).unwrap();
    let name = names[others]
        .as_u64()
        .map_or(names[others].as_str().unwrap(), |at| data["strings"][at as usize].as_str().unwrap());
    assert_eq!(name, "other threads");
    compare(&run, "", &windows_of(&data));
    let questions: Vec<Value> = (0..33).map(|thread| json!({"metric": "allocated", "thread": thread})).collect();
    let answers = asked(&run, &questions);
    // 32 are told apart: the first, which imports, and 31 that work; of each f17 has one block.
    assert_eq!(answers[others]["f17"], (269 * 1_001, 269));
    assert_eq!(added_up(answers.into_iter().flatten()), expected);
}
