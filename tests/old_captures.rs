//! One capture of each format version, recorded when that was the current one (`fixtures/captures/README.md`): they
//! are read for ever. What they hold is told by the script beside them; totals with the interpreter's own blocks are
//! as they were recorded.

use crate::support::{Ran, Scratch};
use std::path::Path;

fn heaptide(arguments: &str, capture: &str) -> Ran {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures").join(capture);
    Scratch::new().heaptide(&format!("{arguments} {}", path.display()))
}

/// Bytes and blocks of a function's own in `summary --json`.
fn own(json: &serde_json::Value, function: &str) -> (u64, u64) {
    let functions = json["functions"].as_array().expect("a list of functions");
    let found = functions.iter().find(|row| row["function"] == function);
    found.map_or((0, 0), |row| (row["own"]["bytes"].as_u64().unwrap(), row["own"]["count"].as_u64().unwrap()))
}

/// (metric option, bytes and blocks of `load`, of `keep`)
type Expected = (&'static str, (u64, u64), (u64, u64));

/// The same in every mode of format 1.0: from the footer, from the aggregated footer, from a replay.
const FORMAT_1_0: [Expected; 3] =
    [("", (40_000, 1), (12_345, 1)), ("--leaks", (0, 0), (12_345, 1)), ("--allocated", (120_000, 3), (12_345, 1))];

fn functions_are_as_recorded(capture: &str, expected: &[Expected]) {
    for (metric, load, keep) in expected {
        let json = heaptide(&format!("summary --json --limit 0 {metric}"), capture).exits(0).json();
        assert_eq!((own(&json, "load"), own(&json, "keep")), (*load, *keep), "{capture} {metric}");
    }
}

#[test]
fn format_1_0() {
    functions_are_as_recorded("format-1.0.bin", &FORMAT_1_0);
    let json = heaptide("stats --json", "format-1.0.bin").succeeds().json();
    assert_eq!(json["events"], 1_832);
    assert_eq!((&json["peak"]["bytes"], &json["peak"]["count"]), (&2_940_758.into(), &285.into()));
    assert_eq!((&json["leaked"]["bytes"], &json["leaked"]["count"]), (&2_875_062.into(), &280.into()));
    assert_eq!((&json["allocated"]["bytes"], &json["allocated"]["count"]), (&3_491_424.into(), &961.into()));
    assert_eq!((&json["freed"], &json["reallocated"]), (&871.into(), &53.into()));
    assert_eq!((&json["status"], &json["aggregate"]), (&3.into(), &false.into()));
    assert_eq!(json["processes"][0]["python"], "3.11");
    let arguments = ["/usr/bin/python3", "-I", "-S", "-E", "format-1.0.py"];
    assert_eq!(json["command"], serde_json::json!(arguments));
    // All 1 832 are there; of the 961 allocations, 53 are reallocations.
    let parsed = heaptide("parse", "format-1.0.bin").succeeds().stdout();
    let events = |name: &str| parsed.lines().filter(|line| line.split(' ').next() == Some(name)).count();
    assert_eq!((events("allocated"), events("freed"), events("reallocated")), (908, 871, 53));
    assert_eq!((events("program_ended"), events("image_ended")), (1, 1));
}

#[test]
fn format_1_0_aggregated() {
    functions_are_as_recorded("format-1.0-aggregated.bin", &FORMAT_1_0);
    let json = heaptide("stats --json", "format-1.0-aggregated.bin").succeeds().json();
    assert_eq!((&json["events"], &json["aggregate"]), (&1_832.into(), &true.into()));
    assert_eq!((&json["peak"]["bytes"], &json["leaked"]["bytes"]), (&2_940_758.into(), &2_875_062.into()));
}

/// What is named by the capture alone: the program is nowhere.
#[test]
fn format_1_0_native() {
    let folded = heaptide("flamegraph --format folded", "format-1.0-native.bin").succeeds().stdout();
    let first = "main (inlines.c:23 in app);outer (inlines.c:18 in app);middle (inlines.c:13 in app);inner (inlines.c:9 in app)";
    let second = "main (inlines.c:23 in app);outer (inlines.c:19 in app);inner (inlines.c:9 in app)";
    let has = |stack: &str, bytes| folded.lines().any(|line| line.ends_with(&format!(";{stack} {bytes}")));
    assert!(has(first, 23_456) && has(second, 34_567), "{folded}");
}

/// 400 blocks of 123 456 bytes were held by one: 12 400 pages.
#[test]
fn format_1_0_unseen() {
    let json = heaptide("stats --json", "format-1.0-unseen.bin").succeeds().json();
    assert_eq!((&json["events"], &json["peak"]["bytes"]), (&10.into(), &63_963_136.into()));
    let object = "/tmp/heaptide-fixture/holds";
    let found =
        serde_json::json!({"pid": 19_021, "object": object, "allocator": "jemalloc", "evidence": "<jemalloc>: "});
    // Of the growth, the 2 677 872 bytes of the program's data and ten blocks of 32 are explained.
    let growth = serde_json::json!({"pid": 19_021, "growth_bytes": 51_515_392, "in_mappings_bytes": 48_837_200,
        "not_explained_bytes": 0, "significant": true});
    let expected = serde_json::json!({"found": [found], "growth": [growth], "objects_not_searched": 0});
    assert_eq!(json["unseen_allocators"], expected);
    let warning = "jemalloc in holds is not traced: of 49.1 MiB by which RSS grew, 46.6 MiB is in mappings whose blocks \
                   were not seen";
    assert_eq!(json["warnings"], serde_json::json!([warning]));
}

#[test]
fn format_1_0_cut() {
    functions_are_as_recorded("format-1.0-cut.bin", &FORMAT_1_0);
    let ran = heaptide("stats --json", "format-1.0-cut.bin").exits(0);
    assert!(ran.stderr().contains("ends early at byte 6312: the file is cut inside a block"), "{}", ran.stderr());
    let json = ran.json();
    assert_eq!((&json["events"], &json["status"]), (&1_832.into(), &serde_json::Value::Null));
    assert_eq!((&json["peak"]["bytes"], &json["leaked"]["bytes"]), (&2_940_758.into(), &2_875_062.into()));
    // Both captures of one recording answer alike, whether from the footer or from the events.
    let of_whole = heaptide("tree --all-frames --min-percent 0", "format-1.0.bin").succeeds().stdout();
    let of_cut = heaptide("tree --all-frames --min-percent 0", "format-1.0-cut.bin").exits(0).stdout();
    let lines = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&of_whole), lines(&of_cut));
}

/// The peak is soon after the first mark.
const FORMAT_1_1: [Expected; 3] =
    [("", (40_000, 1), (0, 0)), ("--leaks", (0, 0), (12_345, 1)), ("--allocated", (40_000, 1), (12_345, 1))];

/// What is the same from the footer, from the aggregated footer and from a replay.
fn format_1_1_says(capture: &str, pid: u64) -> serde_json::Value {
    functions_are_as_recorded(capture, &FORMAT_1_1);
    let json = heaptide("stats --json", capture).exits(0).json();
    assert_eq!(json["events"], 2_011);
    assert_eq!((&json["peak"]["bytes"], &json["peak"]["count"]), (&3_003_311.into(), &317.into()));
    assert_eq!((&json["leaked"]["bytes"], &json["leaked"]["count"]), (&2_924_874.into(), &308.into()));
    assert_eq!((&json["allocated"]["bytes"], &json["allocated"]["count"]), (&3_731_548.into(), &1_070.into()));
    assert_eq!((&json["freed"], &json["reallocated"]), (&941.into(), &72.into()));
    let marks = json["marks"].as_array().unwrap().iter();
    let fields = |mark: &serde_json::Value| ["name", "event", "live_bytes", "pid"].map(|field| mark[field].clone());
    let marks: Vec<serde_json::Value> = marks.map(|mark| fields(mark).to_vec().into()).collect();
    let expected = [("loaded", 1_678, 2_998_311u64), ("kept", 1_704, 2_972_288)];
    assert_eq!(marks, expected.map(|(name, event, live)| serde_json::json!([name, event, live, pid])));
    // One at each mark, one at the exit.
    let types = heaptide("types --json --limit 0", capture).exits(0).json();
    let process = &types["processes"][0];
    let censuses = process["censuses"].as_array().unwrap().iter();
    let censuses: Vec<_> = censuses.map(|census| (census["reason"].as_str().unwrap(), &census["objects"])).collect();
    assert_eq!(censuses, [("mark", &7_962.into()), ("mark", &8_063.into()), ("exit", &7_921.into())]);
    let items = process["types"].as_array().unwrap().iter().find(|row| row["name"] == "__main__.Item").unwrap();
    assert_eq!((&items["growth"]["count"], &items["growth"]["bytes"]), (&100.into(), &8_000.into()));
    let held = serde_json::json!(["__main__.Item", "list[49]", "module __main__.items"]);
    assert_eq!(items["new"]["holders"][1]["steps"], held);
    json
}

#[test]
fn format_1_1() {
    let json = format_1_1_says("format-1.1.bin", 27_584);
    assert_eq!((&json["status"], &json["aggregate"]), (&3.into(), &false.into()));
    let looks = ["--mark loaded", "--mark kept", "--last"].map(|at| {
        let json = heaptide(&format!("rss --json {at}"), "format-1.1.bin").succeeds().json();
        (json["rss_bytes"].as_u64().unwrap(), json["parts"][0]["bytes"].as_u64().unwrap())
    });
    assert_eq!(looks, [(9_076_736, 512_007), (9_150_464, 485_984), (9_510_912, 438_570)]);
    // All 2 011 are there; of the 1 070 allocations, 72 are reallocations. The interpreter's last collection begins and ends.
    let parsed = heaptide("parse", "format-1.1.bin").succeeds().stdout();
    let records = |name: &str| parsed.lines().filter(|line| line.split(' ').next() == Some(name)).count();
    assert_eq!((records("allocated"), records("freed"), records("reallocated")), (998, 941, 72));
    assert_eq!((records("program_ended"), records("image_ended")), (3, 1));
    assert_eq!((records("mark"), records("census"), records("look")), (2, 3, 7));
}

/// What of it takes the events: a place between two of them, and what the last collection released.
#[test]
fn format_1_1_events() {
    for capture in ["format-1.1.bin", "format-1.1-cut.bin"] {
        let expected = [("--at mark:loaded", (40_000, 1), (0, 0)), ("--at mark:kept", (0, 0), (12_345, 1))];
        functions_are_as_recorded(capture, &expected);
        let json = heaptide("leaks --json", capture).exits(0).json();
        let site = &json["sites"][0];
        assert_eq!((&site["function"], &site["verdict"]), (&"litter".into(), &"garbage".into()));
        assert_eq!(site["garbage"], serde_json::json!({ "bytes": 23_456, "count": 1 }));
    }
}

#[test]
fn format_1_1_aggregated() {
    let json = format_1_1_says("format-1.1-aggregated.bin", 27_596);
    assert_eq!((&json["status"], &json["aggregate"]), (&3.into(), &true.into()));
}

#[test]
fn format_1_1_cut() {
    let json = format_1_1_says("format-1.1-cut.bin", 27_584);
    assert_eq!(json["status"], serde_json::Value::Null);
    let ran = heaptide("stats --json", "format-1.1-cut.bin");
    assert!(ran.stderr().contains("ends early at byte 9861: the file is cut inside a block"), "{}", ran.stderr());
}
