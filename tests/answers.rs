//! What no footer says: the peak without each site, and how long blocks live. On a program whose numbers are known.

use crate::traced::{Run, Traced, compiled};
use serde_json::Value;

fn recorded(options: &[&str]) -> Run {
    Traced::command([compiled("two_peaks.c", "", &[])]).options(options.iter().copied()).record()
}

fn site<'r>(report: &'r Value, function: &str) -> Option<&'r Value> {
    report["sites"].as_array().expect("a list").iter().find(|site| site["function"] == function)
}

#[test]
fn without_a_site_another_instant_may_be_the_peak() {
    let run = recorded(&[]);
    let report = run.heaptide("peak --json --limit 0 run.bin").succeeds().json();
    let total = report["total"]["bytes"].as_u64().unwrap();
    assert_eq!(total, 11_000_000);
    let figures = |function: &str| {
        let site = site(&report, function).expect("a site");
        let number = |name: &str| site[name].as_u64().unwrap();
        (number("falls_by"), number("without"), site["at_peak"]["bytes"].as_u64().unwrap())
    };
    // 9 000 000 and 1 000 000 were live together.
    assert_eq!(figures("first"), (1_000_000, 10_000_000, 10_000_000));
    assert_eq!(figures("base"), (1_000_000, 10_000_000, 1_000_000));
    // Without these nothing changes.
    assert_eq!((site(&report, "second"), site(&report, "lasting")), (None, None));

    let text = run.heaptide("peak run.bin").succeeds().stdout();
    let line = text.lines().find(|line| line.contains("first  ")).expect("a line");
    assert!(line.starts_with("976.6 KiB   9.1%  9.5 MiB"), "{text}");
    let error = run.heaptide("peak --at 1ms run.bin").exits(2).stderr();
    assert_eq!(error, "heaptide: --at is no part of a run that could have a peak; use --from and --to\n");
}

#[test]
fn blocks_are_counted_by_how_long_they_lived() {
    let run = recorded(&[]);
    let report = run.heaptide("lifetimes --json --limit 0 run.bin").succeeds().json();
    let counts = |amounts: &Value| -> Vec<u64> {
        amounts.as_array().unwrap().iter().map(|amount| amount["count"].as_u64().unwrap()).collect()
    };
    let of = |function: &str| counts(&site(&report, function).expect("a site")["lifetimes"]);
    // On a busy machine a round of the recorder may take its time, and a fifth of a second be longer.
    assert_eq!(of("brief")[..3].iter().sum::<u64>(), 1_000);
    assert_eq!(of("lasting")[3..5].iter().sum::<u64>(), 50);
    assert_eq!(of("kept_to_the_end"), [0, 0, 0, 0, 0, 0, 0, 7]);
    let all = counts(&report["lifetimes"]);
    assert_eq!(all.iter().sum::<u64>(), 1_000 + 50 + 7 + 3);
    assert_eq!(all[7], 8);
    assert_eq!(report["lifetimes"][1]["name"], "1 to 10 ms");
    assert_eq!(report["lifetimes"][1]["from_ns"], 1_000_000);
    // 123 has 7 bits, 456 has 9, 789 has 10.
    let sizes: Vec<(u64, u64)> = report["sizes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|size| (size["from"].as_u64().unwrap(), size["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(sizes, [(64, 1_000), (256, 50), (512, 7), (524_288, 1), (8_388_608, 2)]);
    run.heaptide("lifetimes run.bin").succeeds().shows("to the end");
}

#[test]
fn without_events_neither_is_known() {
    let run = recorded(&["--aggregate"]);
    for report in ["peak", "lifetimes"] {
        let error = run.heaptide(&format!("{report} run.bin")).exits(65).stderr();
        assert!(error.starts_with("heaptide: run.bin: recorded with --aggregate"), "{error}");
    }
}
