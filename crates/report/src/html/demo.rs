//! Pages with invented but plausible content: for the tests here, and to look at.
//!
//! `HEAPTIDE_DEMO=/some/directory cargo test -p heaptide-report -- --ignored write_demo_pages` writes them.

use super::*;

/// One part of the invented program: whose code, where, its files and functions.
type Part = (FrameKind, &'static str, &'static [&'static str], &'static [&'static str]);

/// A small web shop's nightly job. A part calls itself or one further down.
const PARTS: &[Part] = &[
    (
        FrameKind::Project,
        "/srv/shop/jobs",
        &["nightly.py", "orders.py", "cache.py"],
        &[
            "load_orders",
            "build_report",
            "join_customers",
            "score_baskets",
            "Cache.refresh",
            "export_rows",
            "render_page",
        ],
    ),
    (
        FrameKind::Library,
        "/usr/lib/python3.13/site-packages/pandas/core",
        &["frame.py", "reshape/merge.py", "internals/managers.py"],
        &["DataFrame.__init__", "concat", "merge", "GroupBy.apply", "BlockManager.take", "astype_nansafe", "factorize"],
    ),
    (
        FrameKind::Library,
        "/usr/lib/python3.13/site-packages/sqlalchemy/orm",
        &["session.py", "loading.py", "identity.py"],
        &["Session.execute", "instances", "_instance", "Query.all", "IdentityMap.replace"],
    ),
    (
        FrameKind::Library,
        "/usr/lib/python3.13/site-packages/numpy",
        &["lib/_arraysetops.py", "core/numeric.py"],
        &["empty_like", "concatenate", "unique", "asarray", "zeros"],
    ),
    (
        FrameKind::Stdlib,
        "/usr/lib/python3.13",
        &["json/decoder.py", "json/__init__.py", "collections/__init__.py"],
        &["loads", "JSONDecoder.decode", "raw_decode", "OrderedDict.__setitem__", "Counter.update"],
    ),
    (
        FrameKind::Interpreter,
        "",
        &["<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"],
        &["_find_and_load", "_load_unlocked", "exec_module", "_call_with_frames_removed", "get_code"],
    ),
    (
        FrameKind::Native,
        "/usr/lib",
        &["libarrow.so.1900"],
        &[
            "arrow::AllocateBuffer(long)",
            "arrow::compute::Take",
            "std::vector<double, std::allocator<double> >::reserve",
        ],
    ),
    (FrameKind::Unknown, "", &[""], &["", "0x7f31c02a9b10"]),
];

/// A sequence of numbers that looks random and is the same every time (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    /// From 0 to `sides - 1`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A page of `node_count` nodes; with a "before" side if `difference`.
pub(super) fn page(node_count: u32, difference: bool) -> FlamePage {
    let mut dice = Dice(7);
    let (frames, parts) = frames(&mut dice);
    let nodes = nodes(node_count, &parts, &mut dice);
    let metric = |key: &str, label: &str, dice: &mut Dice| {
        let (bytes, counts) = amounts(&nodes, dice);
        let before = difference.then(|| before(&bytes, &counts, dice));
        Metric { key: key.to_owned(), label: label.to_owned(), bytes, counts, before }
    };
    let metrics = vec![
        metric("peak", "Peak", &mut dice),
        metric("leaked", "Leaked", &mut dice),
        metric("allocated", "Allocated", &mut dice),
        metric("temporary", "Temporary", &mut dice),
    ];
    let title = if difference {
        "heaptide: monday.htc → tuesday.htc"
    } else {
        "heaptide: peak of python -m shop.jobs nightly"
    };
    FlamePage {
        title: title.to_owned(),
        facts: [
            ("Command", "python -m shop.jobs nightly --date 2026-11-03"),
            ("Peak", "512 MiB live, 1.42 s after the start"),
            ("Duration", "2.31 s"),
            ("Allocations", "1,284,113, of which 402,118 temporary"),
            ("Events lost", "none"),
            ("Interpreter", "CPython 3.13.1"),
        ]
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into(),
        warnings: vec![],
        frames,
        cells: cells(nodes.len()),
        nodes,
        metrics,
        temporary_within: 1,
        timeline: if difference { vec![] } else { timeline(&mut dice) },
        peak_at_seconds: (!difference).then_some(1.42),
        ..FlamePage::default()
    }
}

/// One for each node.
fn cells(nodes: usize) -> Vec<PageCell> {
    (0..nodes as u32).map(|node| PageCell { node, thread: None, allocator: None }).collect()
}

/// The frames, and for each the index of its part.
fn frames(dice: &mut Dice) -> (Vec<PageFrame>, Vec<usize>) {
    let module = PageFrame {
        function: "<module>".into(),
        file: "/srv/shop/jobs/__main__.py".into(),
        line: 14,
        kind: FrameKind::Project,
        package: "jobs".into(),
        source: "main()".into(),
    };
    let (mut frames, mut parts) = (vec![module], vec![0]);
    for (part, &(kind, place, files, functions)) in PARTS.iter().enumerate() {
        for (index, function) in functions.iter().enumerate() {
            let file = files[index % files.len()];
            let file = if place.is_empty() { file.to_owned() } else { format!("{place}/{file}") };
            let line_known = !matches!(kind, FrameKind::Native | FrameKind::Unknown);
            for _ in 0..if line_known { 3 } else { 1 } {
                let line = if line_known { 10 + dice.roll(900) as u32 } else { 0 };
                let (package, source) =
                    (files[0].split('/').next().unwrap_or(""), if line > 0 { "rows = load(path)" } else { "" });
                frames.push(PageFrame {
                    function: (*function).into(),
                    file: file.as_str().into(),
                    line,
                    kind,
                    package: package.into(),
                    source: source.into(),
                });
                parts.push(part);
            }
        }
    }
    (frames, parts)
}

/// A walk through calls and returns, at most 40 deep.
fn nodes(count: u32, parts: &[usize], dice: &mut Dice) -> Vec<PageNode> {
    let mut nodes = vec![PageNode { parent: None, frame: 0 }];
    let mut path = vec![0_u32];
    while nodes.len() < count as usize {
        let depth = path.len() as u64;
        let returns = if dice.roll(8) == 0 { dice.roll(depth) } else { dice.roll(5) / 2 };
        path.truncate((depth - returns.min(depth - 1)).min(40) as usize);
        let caller = path[path.len() - 1];
        let part = parts[nodes[caller as usize].frame as usize];
        let further = if dice.roll(10) < 6 { 0 } else { dice.roll(4) as usize };
        let part = (part + further).min(PARTS.len() - 1);
        let choices: Vec<u32> = (1..).zip(&parts[1..]).filter(|&(_, &of)| of == part).map(|(frame, _)| frame).collect();
        let frame = choices[dice.roll(choices.len() as u64) as usize];
        path.push(nodes.len() as u32);
        nodes.push(PageNode { parent: Some(caller), frame });
    }
    nodes
}

/// Few nodes hold much, many little, inner ones seldom anything.
fn amounts(nodes: &[PageNode], dice: &mut Dice) -> (Vec<u64>, Vec<u64>) {
    let mut leaf = vec![true; nodes.len()];
    for node in nodes {
        if let Some(parent) = node.parent {
            leaf[parent as usize] = false;
        }
    }
    leaf.into_iter()
        .map(|leaf| {
            if !leaf && dice.roll(12) > 0 {
                return (0, 0);
            }
            let blocks = 1 + dice.roll(400);
            (blocks * (16 << (dice.roll(4) + dice.roll(4) + dice.roll(4))), blocks)
        })
        .unzip()
}

/// Most stays as it was; some is new, some gone, some changed.
fn before(bytes: &[u64], counts: &[u64], dice: &mut Dice) -> Amounts {
    let mut before = Amounts { bytes: bytes.to_vec(), counts: counts.to_vec() };
    for (bytes, counts) in before.bytes.iter_mut().zip(&mut before.counts) {
        let (times, of) = [(1, 1), (1, 1), (1, 1), (0, 1), (3, 1), (1, 2), (5, 4)][dice.roll(7) as usize];
        (*bytes, *counts) = (*bytes * times / of, *counts * times / of);
    }
    before
}

fn timeline(dice: &mut Dice) -> Vec<TimePoint> {
    let mib = |mib: f64| (mib * 1_048_576.0) as u64;
    (0..=231)
        .map(|step| {
            let seconds = f64::from(step) / 100.0;
            let wave = 40.0 * (seconds * 9.0).sin().abs() + dice.roll(12) as f64;
            let live = if seconds < 1.42 { 40.0 + 300.0 * seconds + wave } else { 180.0 + wave - 20.0 * seconds };
            let live = if step == 142 { 512.0 } else { live };
            TimePoint { seconds, live: mib(live), rss: mib(60.0 + (300.0 * seconds.min(1.42) + 70.0)) }
        })
        .collect()
}

/// A page on which every text tries to be something else.
pub(super) fn hostile_page() -> FlamePage {
    let mut page = page(60, false);
    let texts = [
        "</script><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "operator<<(std::ostream&, \"quoted\" 'name')",
        "txt.\u{202e}gpj\u{2066}\u{200b}",
        "line\u{2028}end\u{2029}s\n\0\u{7}",
        "<!--<script>",
        "{{ 7 * 7 }}{% raw %}",
        "\\u003c & &lt; 名前 🌊",
    ];
    for (index, frame) in page.frames.iter_mut().enumerate() {
        frame.function = texts[index % texts.len()].into();
        frame.file = texts[(index + 3) % texts.len()].into();
        frame.package = texts[(index + 5) % texts.len()].into();
        frame.source = texts[(index + 6) % texts.len()].into();
    }
    page.title = texts.concat();
    page.facts = texts.map(|text| (text.to_owned(), text.to_owned())).into();
    page.warnings = texts.map(str::to_owned).into();
    page.metrics[1].label = texts[1].to_owned();
    page.marks = texts.map(|name| PageMark { seconds: 0.5, name: name.into() }).into();
    page.processes = vec![PageProcess { pid: 1, command: texts.concat(), ended: None }];
    page.threads = texts.map(|name| PageThread { process: 0, tid: 1, name: name.into() }).into();
    page
}

#[test]
#[ignore = "writes files to look at, to the directory in HEAPTIDE_DEMO"]
fn write_demo_pages() {
    let directory =
        std::path::PathBuf::from(std::env::var_os("HEAPTIDE_DEMO").expect("HEAPTIDE_DEMO names a directory"));
    let mut warned = page(1_000, false);
    warned.warnings = vec![
        "The capture ends early: the program was killed, what follows is what it had sent until then.".to_owned(),
        "1,204 of 3,400,112 stacks are cut off at 256 frames.".to_owned(),
    ];
    let empty = FlamePage {
        nodes: vec![],
        cells: vec![],
        metrics: page(0, false).metrics.into_iter().map(|m| Metric { bytes: vec![], counts: vec![], ..m }).collect(),
        ..page(1, false)
    };
    let pages = [
        ("small.html", page(1_000, false)),
        ("diff.html", page(1_000, true)),
        ("large.html", page(100_000, false)),
        ("warned.html", warned),
        ("hostile.html", hostile_page()),
        ("empty.html", empty),
    ];
    for (name, page) in pages {
        let mut file = std::io::BufWriter::new(std::fs::File::create(directory.join(name)).expect("a file there"));
        write(&page, &mut file).expect("a page without contradictions");
    }
}
