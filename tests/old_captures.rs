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
