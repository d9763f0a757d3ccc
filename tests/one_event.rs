//! One block of 12 345 bytes on its way from the hook to the page: what each hop makes of it. The table of these hops is
//! in docs/architecture.md; a hop that is added there is added here.

use crate::support;
use crate::traced::{Run, Traced, What, newest_python};
use heaptide_analyze::profile::Metric;
use heaptide_format::allocator::Allocator;

#[test]
fn from_the_hook_to_the_page() {
    let run = Traced::python("one_block.py", newest_python()).record();
    an_event(&run);
    a_row(&run);
    a_node(&run);
    a_line_of_each_report(&run);
    a_rectangle(&run);
}

/// Hook, ring and collector: two events of the capture, with the stack of the first.
fn an_event(run: &Run) {
    let steps: Vec<_> = run.steps().iter().filter(|step| step.bytes == 12_345).collect();
    assert_eq!(steps.iter().map(|step| step.what).collect::<Vec<_>>(), [What::Allocated, What::Freed]);
    assert!(steps.iter().all(|step| step.allocator == Allocator::Malloc));
    assert_eq!(steps[0].stack.join(" < "), "keep:4 < main:9 < <module>:13");
}

/// Account: a row of the footer.
fn a_row(run: &Run) {
    let rows = run.capture().account.rows.iter().filter(|row| row.allocated.bytes == 12_345);
    let rows: Vec<_> = rows.filter(|row| row.allocated.count == 1).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].at_peak.bytes, rows[0].leaked.bytes), (12_345, 0));
}

/// Analysis: a node of the call tree, with function, file and line.
fn a_node(run: &Run) {
    let profile = run.profile();
    let of = |metric| profile.nodes().filter(move |node| profile.own[node.index()].of(metric).bytes == 12_345);
    let node = of(Metric::Peak).next().expect("a node with the block's bytes");
    let path: Vec<String> = profile.path(node).map(|frame| format!("{}:{}", frame.function, frame.line)).collect();
    assert_eq!(path, ["keep:4", "main:9", "<module>:13"]);
    assert!(profile.frame(node).file.ends_with("/fixtures/programs/one_block.py"));
    assert_eq!(of(Metric::Allocated).count(), 1);
    assert_eq!(of(Metric::Leaked).count(), 0);
}

/// Reports as text and JSON.
fn a_line_of_each_report(run: &Run) {
    run.heaptide("parse run.bin").exits(0).shows("size=12345 ");
    let summary = run.heaptide("summary --json --limit 0 run.bin").exits(0).json();
    let functions = summary["functions"].as_array().expect("functions");
    let keep = functions.iter().find(|function| function["function"] == "keep").expect("keep");
    assert_eq!(keep["own"]["bytes"], 12_345);
    run.heaptide("flamegraph --format folded run.bin").exits(0).shows("keep (");
    let folded = run.heaptide("flamegraph --format folded run.bin").exits(0).stdout();
    let line = folded.lines().find(|line| line.contains("keep (")).expect("a stack with keep");
    assert!(line.ends_with("one_block.py:4) 12345"), "{line}");
}

/// The page: the data from which a rectangle gets its width.
fn a_rectangle(run: &Run) {
    run.heaptide("flamegraph -o page.html run.bin").exits(0);
    let page = std::fs::read_to_string(run.directory().join("page.html")).unwrap();
    let data = support::page::data(&page);
    let metrics = data["metrics"].as_array().unwrap();
    let peak = metrics.iter().find(|metric| metric["key"] == "peak").expect("the peak");
    let position = |column: &serde_json::Value, value: u64| {
        column.as_array().unwrap().iter().position(|entry| entry.as_u64() == Some(value))
    };
    let entry = position(&peak["bytes"], 12_345).expect("the block's bytes");
    assert_eq!(peak["counts"][entry], 1);
    let at = |column: &serde_json::Value, place: usize| column[place].as_u64().unwrap() as usize;
    let cell = at(&peak["cell"], entry);
    let frame = at(&data["nodes"]["frame"], at(&data["cells"]["node"], cell));
    assert_eq!(data["allocators"][at(&data["cells"]["allocator"], cell)], "malloc");
    let name = data["frames"]["function"][frame].as_u64().unwrap() as usize;
    assert_eq!((&data["strings"][name], &data["frames"]["line"][frame]), (&"keep".into(), &4.into()));
}
