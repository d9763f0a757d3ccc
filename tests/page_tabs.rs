//! What the page has besides its graph is what the reports say: leaks with their verdicts, and types of Python objects.

use crate::support::page::data;
use crate::support::recording::Recording;
use crate::support::{Ran, Scratch};
use crate::traced::{Run, Traced, compiled, newest_python};
use serde_json::{Value, json};

/// The page that this command writes.
fn page(run: &Run, command: &str) -> Value {
    run.heaptide(&format!("{command} -f -o page.html run.bin")).exits(0);
    data(&std::fs::read_to_string(run.directory().join("page.html")).expect("a page"))
}

/// Function, file and line of a node.
fn place(page: &Value, node: &Value) -> (Value, Value, Value) {
    let frame = page["nodes"]["frame"][node.as_u64().unwrap() as usize].as_u64().unwrap() as usize;
    let text = |column: &str| page["strings"][page["frames"][column][frame].as_u64().unwrap() as usize].clone();
    (text("function"), text("file"), page["frames"]["line"][frame].clone())
}

/// A curve with all its parts.
fn dense(curve: &Value, parts: usize) -> Vec<u64> {
    let numbers =
        |name: &str| -> Vec<u64> { curve[name].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect() };
    let mut dense = vec![0; parts];
    for (at, bytes) in numbers("at").into_iter().zip(numbers("bytes")) {
        dense[at as usize..].fill(bytes);
    }
    dense
}

/// Compares the leaks of a page with a report of all sites.
fn same_leaks(page: &Value, report: &Value) {
    let leaks = &page["leaks"];
    let sites = report["sites"].as_array().unwrap();
    assert_eq!(leaks["sites"]["node"].as_array().unwrap().len(), sites.len());
    assert_eq!(leaks["left_out"], json!([0, 0, 0]));
    for (name, origin) in ["program", "import", "interpreter", "other"].iter().zip(leaks["origins"].as_array().unwrap())
    {
        assert_eq!(*origin, json!([name, report[name]["bytes"], report[name]["count"]]));
    }
    let parts = leaks["judged"]["parts"].as_u64().unwrap_or(0) as usize;
    for (i, site) in sites.iter().enumerate() {
        let of = |column: &str| leaks["sites"][column][i].clone();
        let (function, file, line) = place(page, &of("node"));
        assert_eq!((&function, &file), (&site["function"], &site["file"]));
        assert_eq!(line.as_u64().filter(|line| *line > 0), site["line"].as_u64());
        assert_eq!((of("bytes"), of("blocks")), (site["bytes"].clone(), site["count"].clone()), "{site}");
        assert_eq!(leaks["origins"][of("origin").as_u64().unwrap() as usize][0], site["origin"]);
        assert_eq!(of("verdict"), site["verdict"]);
        if !site["verdict"].is_null() {
            for column in ["score", "bytes_per_second", "bytes_per_1000_events"] {
                assert_eq!(of(column), site[column], "{column} of {site}");
            }
            assert_eq!(of("garbage_bytes"), site["garbage"]["bytes"]);
            assert_eq!(of("garbage_blocks"), site["garbage"]["count"]);
            assert_eq!(of("highest"), site["highest_bytes"]);
            let curve: Vec<u64> = site["curve"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
            assert_eq!(dense(&of("curve"), parts), curve);
        }
        // All of its stacks, if they are few, hold what it holds.
        let stacks = of("stacks").as_array().unwrap().clone();
        if of("stack_count") == stacks.len() {
            let sum = |at: usize| stacks.iter().map(|stack| stack[at].as_u64().unwrap()).sum::<u64>();
            assert_eq!((json!(sum(1)), json!(sum(2))), (site["bytes"].clone(), site["count"].clone()), "{site}");
        } else {
            assert_eq!(stacks.len(), 5);
        }
    }
}

/// What came in all parts of the course at the nodes of a site is what the site left.
fn came_in_parts(page: &Value) {
    let numbers = |list: &Value| -> Vec<u64> { list.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect() };
    let leaked = &page["course"]["leaked"];
    let node_of = numbers(&page["cells"]["node"]);
    let mut left = std::collections::HashMap::<u64, (u64, u64)>::new();
    for ((cell, bytes), count) in
        numbers(&leaked["cell"]).into_iter().zip(numbers(&leaked["bytes"])).zip(numbers(&leaked["counts"]))
    {
        let sum = left.entry(node_of[cell as usize]).or_default();
        *sum = (sum.0 + bytes, sum.1 + count);
    }
    let sites = &page["leaks"]["sites"];
    let (bytes, blocks, stacks) = (numbers(&sites["bytes"]), numbers(&sites["blocks"]), numbers(&sites["stack_count"]));
    for (site, nodes) in sites["nodes"].as_array().unwrap().iter().map(numbers).enumerate() {
        assert!(nodes.is_sorted_by(|a, b| a < b));
        let sums = nodes.iter().map(|node| left[node]).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        assert_eq!((sums, nodes.len() as u64), ((bytes[site], blocks[site]), stacks[site]), "site {site}");
    }
}

#[test]
fn the_page_says_of_leaks_what_leaks_says() {
    let run = Traced::python("../leaks/leak_dict.py", newest_python()).args(["60"]).record();
    let report = run.heaptide("leaks --all --limit 0 --json run.bin").exits(0).json();
    let whole = page(&run, "flamegraph");
    same_leaks(&whole, &report);
    came_in_parts(&whole);
    assert_eq!(whole["leaks"]["judged"]["newest"], report["judged"]["newest"]);
    assert_eq!(whole["leaks"]["judged"]["step_ns"], report["judged"]["step_ns"]);
    assert_eq!(whole["leaks"]["judged"]["from_ns"], 0);
    assert_eq!((&whole["view"], &whole["types"]), (&Value::Null, &Value::Null));
    assert!(report["sites"].as_array().unwrap().iter().any(|site| !site["verdict"].is_null()));

    // Of an instant or a window the page is without; `leaks` has those.
    assert_eq!(page(&run, "flamegraph --at 50%")["leaks"], Value::Null);
    let window = page(&run, "leaks --html --from 20% --to 90% --ignore-newest 20%");
    let report = run.heaptide("leaks --all --limit 0 --json --from 20% --to 90% --ignore-newest 20% run.bin").exits(0);
    let report = report.json();
    same_leaks(&window, &report);
    assert_eq!((&window["view"], &window["metrics"][1]["key"]), (&"leaks".into(), &"leaked".into()));
    assert_eq!(window["default_metric"], 1);
    assert_eq!(window["leaks"]["judged"]["newest"], 0.2);
    let duration = run.totals().duration.0;
    let from = window["leaks"]["judged"]["from_ns"].as_u64().unwrap();
    // Instants lie between two events.
    assert!((duration / 6..=duration / 4).contains(&from), "{from} of {duration}");
    let instant = page(&run, "leaks --html --at 50%");
    assert_eq!(instant["leaks"]["judged"], Value::Null);
    same_leaks(&instant, &run.heaptide("leaks --all --limit 0 --json --at 50% run.bin").exits(0).json());
}

#[test]
fn a_quick_page_has_no_verdicts() {
    let run = Traced::command([compiled("../leaks/leak_requests.c", "", &[])]).args(["20"]).record();
    let quick = page(&run, "flamegraph --quick");
    same_leaks(&quick, &run.heaptide("leaks --all --limit 0 --no-verdicts --json run.bin").exits(0).json());
    assert_eq!((&quick["leaks"]["judged"], &quick["leaks"]["sites"]["verdict"][0]), (&Value::Null, &Value::Null));
    // Twenty blocks of 3 000 bytes, which are all of one stack.
    let sites = &quick["leaks"]["sites"];
    let place = sites["bytes"].as_array().unwrap().iter().position(|bytes| *bytes == 60_000).expect("handle");
    assert_eq!((&sites["blocks"][place], &sites["stack_count"][place]), (&20.into(), &1.into()));
    assert_eq!(sites["stacks"][place], json!([[sites["stacks"][place][0][0], 60_000, 20]]));
    assert_eq!(page(&run, "leaks --html --no-verdicts")["leaks"], quick["leaks"]);
}

/// 1 234 bytes, of which a function of an import left 700, and no events to judge by.
#[test]
fn leaks_as_a_page() {
    let mut recording = Recording::aggregate();
    let [main, known] = ["main", "known"].map(|name| recording.stack(&[(name, "/app/app.py", 10)]));
    recording.allocate(main, 1_234);
    recording.allocate(known, 77);
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording.finish());
    scratch.file("known.txt", b"leak:known\n");
    let ran: Ran = scratch.heaptide("leaks --html --suppressions known.txt --fail-above 1kB run.bin");
    // The gate is as without the page.
    let said = ran.exits(3).stderr();
    assert!(said.starts_with("heaptide: wrote run.leaks.html ("), "{said}");
    let page = data(&scratch.read("run.leaks.html"));
    assert_eq!(page["leaks"]["headline"], "memory live at the end: 1.28 KiB in 2 blocks");
    assert_eq!(page["leaks"]["origins"][0], json!(["program", 1_234, 1]));
    assert_eq!(page["leaks"]["suppressed"], json!([["known", false, 77, 1]]));
    assert_eq!((&page["leaks"]["judged"], &page["leaks"]["sites"]["bytes"]), (&Value::Null, &json!([1_234])));
    scratch.heaptide("leaks --html run.bin").exits(73);
    scratch.heaptide("leaks --html --json run.bin").exits(2);
}

#[test]
fn the_page_says_of_types_what_types_says() {
    let run = Traced::python("census_growth.py", newest_python())
        .args(["0.15"])
        .options(["--census", "50ms", "--python-allocators"])
        .record();
    let report = run.heaptide("types --json run.bin").exits(0).json();
    let page = page(&run, "flamegraph --quick");
    let (of_page, of_report) = (&page["types"]["processes"], report["processes"].as_array().unwrap());
    assert_eq!((of_page.as_array().unwrap().len(), of_report.len()), (1, 1));
    let (shown, said) = (&of_page[0], &of_report[0]);
    assert_eq!((&shown["pid"], &shown["left_out"]), (&said["pid"], &0.into()));
    let censuses = said["censuses"].as_array().unwrap();
    for name in ["reason", "time_ns", "objects", "bytes", "cost_ns", "own_bytes", "cut"] {
        let expected: Vec<&Value> = censuses.iter().map(|census| &census[name]).collect();
        assert_eq!(shown["censuses"][name], json!(expected), "{name}");
    }
    let types = said["types"].as_array().unwrap();
    assert_eq!(shown["types"]["name"].as_array().unwrap().len(), types.len());
    let frame = |at: &Value| {
        let of = |name: &str| page["types"]["frames"][name][at.as_u64().unwrap() as usize].clone();
        json!([of("function"), of("file"), of("line")])
    };
    let mut new = shown["new"].as_array().unwrap().iter().peekable();
    for (i, said) in types.iter().enumerate() {
        assert_eq!(shown["types"]["name"][i], said["name"]);
        assert_eq!(shown["types"]["steady"][i], said["steady"]);
        for (column, name) in [("at", "census"), ("objects", "count"), ("bytes", "bytes")] {
            let expected: Vec<&Value> =
                said["changes"].as_array().unwrap().iter().map(|change| &change[name]).collect();
            assert_eq!(shown["types"][column][i], json!(expected), "{name} of {}", said["name"]);
        }
        if said["new"].is_null() {
            assert!(new.peek().is_none_or(|new| new["of"] != i), "{}", said["name"]);
            continue;
        }
        let shown = new.next().expect("what is new of it");
        assert_eq!(shown["of"], i);
        for name in ["census", "count", "looked_up"] {
            assert_eq!(shown[name], said["new"][name], "{name}");
        }
        let holders = said["new"]["holders"].as_array().unwrap().iter();
        let expected: Vec<Value> = holders.map(|way| json!([way["rooted"], way["steps"]])).collect();
        assert_eq!(shown["holders"], json!(expected));
        let stacks = |value: &Value| value.as_array().unwrap().clone();
        let of_page: Vec<Value> = stacks(&shown["stacks"])
            .iter()
            .map(|stack| json!([stack[0], stack[1].as_array().unwrap().iter().map(frame).collect::<Vec<_>>()]))
            .collect();
        let of_frame = |frame: &Value| json!([frame["function"], frame["file"], frame["line"]]);
        let of_report: Vec<Value> = stacks(&said["new"]["stacks"])
            .iter()
            .map(|stack| {
                json!([stack["count"], stack["frames"].as_array().unwrap().iter().map(of_frame).collect::<Vec<_>>()])
            })
            .collect();
        assert_eq!(of_page, of_report);
    }
    let items = types.iter().position(|kind| kind["name"] == "__main__.Item").expect("the type that grows");
    assert_eq!(shown["types"]["objects"][items].as_array().unwrap().last(), Some(&5_000.into()));
    assert!(shown["new"].as_array().unwrap().iter().any(|new| new["of"] == items));
}
