//! Tests of the page as a file: what is in it and, above all, what is not.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::Nanos;
use std::io::Read as _;

fn html(page: &FlamePage) -> String {
    let mut out = Vec::new();
    write(page, &mut out).expect("a page without contradictions");
    String::from_utf8(out).expect("UTF-8")
}

/// What stands between the first `from` and the next `to`.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no {from:?} in {text}")) + from.len();
    let length = text[start..].find(to).unwrap_or_else(|| panic!("no {to:?} after {from:?}"));
    &text[start..start + length]
}

const DATA: &str = "<script type=\"application/octet-stream\" id=\"data\">";

/// The page's data as they stand in it.
fn packed_of(html: &str) -> &str {
    between(html, DATA, "</script>")
}

/// The page's data as JSON.
fn data_of(html: &str) -> String {
    let packed = STANDARD.decode(packed_of(html)).expect("Base64");
    let mut data = String::new();
    GzDecoder::new(&*packed).read_to_string(&mut data).expect("gzip");
    data
}

/// main → {parse (12 345 bytes in 3 blocks), read (1 000 in 1)}, parse → read (55 in 1).
fn tiny_page() -> FlamePage {
    let frame = |function: &str, line| PageFrame {
        function: function.into(),
        file: "job.py".into(),
        line,
        kind: FrameKind::Project,
        package: "job".into(),
        source: if line == 4 { "rows = []".into() } else { "".into() },
    };
    let node = |parent, frame| PageNode { parent, frame };
    FlamePage {
        title: "heaptide: job.py".to_owned(),
        facts: vec![("Command".to_owned(), "python job.py".to_owned())],
        warnings: vec!["Ends early.".to_owned()],
        frames: vec![frame("main", 9), frame("parse", 4), frame("read", 0)],
        nodes: vec![node(None, 0), node(Some(0), 1), node(Some(1), 2), node(Some(0), 2)],
        cells: [(0, 0), (1, 0), (2, 1), (3, 0)]
            .map(|(node, thread)| PageCell { node, thread: Some(thread), allocator: Some(0) })
            .to_vec(),
        processes: vec![PageProcess { pid: 4001, command: "python job.py".into(), ended: Some(1) }],
        threads: [(4001, ""), (4002, "worker")]
            .map(|(tid, name)| PageThread { process: 0, tid, name: name.into() })
            .to_vec(),
        allocators: vec!["malloc"],
        course: Some(tiny_course()),
        marks: vec![PageMark { seconds: 0.25, name: "loaded".into() }],
        censuses: vec![0.4],
        started_unix: 1_700_000_000,
        metrics: vec![Metric {
            key: "peak".to_owned(),
            label: "Peak".to_owned(),
            bytes: vec![0, 12_345, 55, 1_000],
            counts: vec![0, 3, 1, 1],
            before: Some(Amounts { bytes: vec![0, 0, 0, 1_500], counts: vec![0, 0, 0, 2] }),
        }],
        default_metric: 0,
        inverted: true,
        temporary_within: 5,
        timeline: vec![TimePoint { seconds: 0.5, live: 13_400, rss: 40_960 }],
        peak_at_seconds: Some(0.5),
        ..FlamePage::default()
    }
}

/// Two parts, divided by the mark at 0.25 s. 12 000 bytes came in the first and stayed, 345 came in the second; 1 000 came in
/// the first and went in the second, of which 600 were temporary.
fn tiny_course() -> PageCourse {
    let amount = |bytes, count| Amount { bytes, count };
    PageCourse {
        instants: [(0, 0, None), (250_000_000, 13_000, Some(0)), (500_000_000, 0, None)]
            .map(|(nanos, live, mark)| PageInstant { nanos, live, mark })
            .to_vec(),
        peaks_at: vec![Peak { bytes: 13_000, at: Nanos(240_000_000) }, Peak { bytes: 13_345, at: Nanos(300_000_000) }],
        lives: vec![
            Life { cell: 1, born: 0, died: 2, amount: amount(12_000, 2), temporary: amount(0, 0) },
            Life { cell: 3, born: 0, died: 1, amount: amount(1_000, 2), temporary: amount(600, 1) },
        ],
        flows: vec![
            Flow { cell: 1, part: 0, allocated: amount(12_000, 2), temporary: amount(0, 0) },
            Flow { cell: 3, part: 0, allocated: amount(1_000, 2), temporary: amount(0, 0) },
            Flow { cell: 1, part: 1, allocated: amount(345, 1), temporary: amount(345, 1) },
        ],
        peaks: vec![
            Change { cell: 1, part: 0, bytes: 12_000, count: 2 },
            Change { cell: 3, part: 0, bytes: 1_000, count: 2 },
            Change { cell: 1, part: 1, bytes: 345, count: 1 },
        ],
        leaked: vec![Leaked { cell: 1, born: 0, amount: amount(12_000, 2) }],
    }
}

/// The whole contract with assets/data.js in one example; tests/page/layout.test.js reads the same text.
#[test]
fn data_are_columns() {
    let expected = concat!(
        r#"{"version":3,"title":"heaptide: job.py","facts":[["Command","python job.py"]],"#,
        r#""warnings":["Ends early."],"strings":["main","parse","read","job.py","job","","rows = []"],"#,
        r#""frames":{"function":[0,1,2],"file":[3,3,3],"package":[4,4,4],"source":[5,6,5],"line":[9,4,0],"kind":[0,0,0]},"#,
        r#""nodes":{"back":[0,1,1,3],"frame":[0,1,2,2]},"#,
        r#""cells":{"node":[0,1,2,3],"thread":[0,0,1,0],"allocator":[0,0,0,0]},"#,
        r#""processes":{"pid":[4001],"command":["python job.py"],"ended":[1]},"#,
        r#""threads":{"process":[0,0],"tid":[4001,4002],"name":["","worker"]},"allocators":["malloc"],"#,
        r#""metrics":[{"key":"peak","label":"Peak","cell":[1,2,3],"bytes":[12345,55,1000],"counts":[3,1,1],"#,
        r#""before":{"cell":[3],"bytes":[1500],"counts":[2]}}],"#,
        r#""span":null,"course":{"instants":{"nanos":[0,250000000,500000000],"live":[0,13000,0],"mark":[-1,0,-1]},"#,
        r#""peaks_at":{"bytes":[13000,13345],"nanos":[240000000,300000000]},"#,
        r#""lives":{"cell":[1,3],"born":[0,0],"died":[2,1],"bytes":[12000,1000],"counts":[2,2]},"#,
        r#""late":{"cell":[3],"born":[0],"died":[1],"bytes":[600],"counts":[1]},"#,
        r#""flows":{"cell":[1,3,1],"part":[0,0,1],"bytes":[12000,1000,345],"counts":[2,2,1]},"#,
        r#""brief":{"cell":[1],"part":[1],"bytes":[345],"counts":[1]},"#,
        r#""peaks":{"cell":[1,3,1],"part":[0,0,1],"bytes":[12000,1000,345],"counts":[2,2,1]},"#,
        r#""leaked":{"cell":[1],"born":[0],"bytes":[12000],"counts":[2]}},"default_metric":0,"#,
        r#""inverted":true,"temporary_within":5,"#,
        r#""timeline":{"seconds":[0.5],"live":[13400],"rss":[40960]},"#,
        r#""marks":{"seconds":[0.25],"name":["loaded"]},"censuses":[0.4],"started_unix":1700000000,"peak_at_seconds":0.5}"#,
    );
    assert_eq!(data_of(&html(&tiny_page())), expected);
}

#[test]
fn versions_on_both_sides_agree() {
    let (_, reader) = assets::MODULES.iter().find(|(name, _)| *name == "data.js").expect("data.js is inlined");
    assert_eq!(between(reader, "export const DATA_VERSION = ", ";"), data::VERSION.to_string());
}

/// No name gets out of the data: there is no `<` in Base64.
#[test]
fn hostile_names_stay_text() {
    let html = html(&demo::hostile_page());
    let packed = packed_of(&html);
    assert!(!packed.contains(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c))), "{packed}");
    let data = data_of(&html);
    // The names are read back as they were.
    let read: serde_json::Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!(read["facts"][5][0], "<!--<script>");
    assert_eq!(read["facts"][7][1], "\\u003c & &lt; 名前 🌊");
    // Outside the data the title is the only foreign text, and it is escaped, bidi marks written out.
    let outside = html.replace(packed, "");
    assert!(!outside.contains("alert(1)</script>") && !outside.contains("<img"), "{outside}");
    assert!(outside.contains("txt.\\u202egpj\\u2066\\u200b"));
    assert!(outside.contains("{{ 7 * 7 }}{% raw %}"));
    assert_eq!(html.matches("</script>").count(), 2);
}

/// Nothing to load: no address of another file, and the policy would forbid it.
#[test]
fn self_contained() {
    let html = html(&tiny_page());
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "//cdn", "fetch(", "innerHTML", "eval("] {
        assert!(!html.contains(outside), "the page contains {outside}");
    }
    let policy = between(&html, "Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src &#x27;none&#x27;; style-src &#x27;sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

/// The modules become one scope: names at the top level must differ, imports must be there and before.
#[test]
fn modules_can_be_joined() {
    let mut names = std::collections::BTreeMap::new();
    let mut seen = Vec::new();
    for (file, text) in assets::MODULES {
        for line in text.lines() {
            let declared = line.strip_prefix("export ").unwrap_or(line);
            for keyword in ["const ", "let ", "function ", "async function ", "class "] {
                if let Some(rest) = declared.strip_prefix(keyword) {
                    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                    assert_eq!(names.insert(name, file), None, "{name} is declared twice, once in {file}");
                }
            }
            assert!(!line.starts_with("export {") && !line.starts_with("export default"), "{file}: {line}");
            assert!(!line.trim_start().starts_with("import("), "{file}: {line}");
            assert!(line.matches('`').count() % 2 == 0, "{file}: a text over several lines: {line}");
            if line.starts_with("import ") {
                assert!(!line.contains(" as ") && line.ends_with(';'), "{file}: {line}");
                let from = between(line, "from './", "';");
                assert!(seen.contains(&from), "{file} imports {from}, which comes after it");
            }
        }
        seen.push(file);
    }
    // These are the browser's; a function of ours by the same name would be called in their place.
    for browser in ["location", "history", "document", "open", "close", "name", "status", "top", "parent", "self"] {
        assert!(!names.contains_key(browser), "{browser} hides the browser's own");
    }
    let script = assets::script();
    assert!(!script.lines().any(|line| line.starts_with("export ") || line.starts_with("import ")));
    assert!(!script.lines().any(|line| line.trim_start().starts_with("* ")));
    assert!(script.ends_with(".catch(fail);\n"), "the last statement of main.js is there");
    assert!(!script.to_lowercase().contains("</script") && !script.contains("<!--"));
}

#[track_caller]
fn refused(change: impl FnOnce(&mut FlamePage), message: &str) {
    let mut page = tiny_page();
    change(&mut page);
    let error = write(&page, &mut std::io::sink()).expect_err("a contradiction");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), message);
}

#[test]
fn contradictions_are_refused() {
    refused(|page| page.nodes[1].parent = Some(1), "node 1 of the flame graph comes before its parent");
    refused(|page| page.nodes[3].frame = 3, "node 3 of the flame graph has no frame");
    refused(|page| page.metrics[0].counts.truncate(1), "metric \"peak\" of the flame graph has not one value per cell");
    let nowhere = "cell 2 of the flame graph is of a node, thread or function that is not there";
    refused(|page| page.cells[2].node = 4, nowhere);
    refused(|page| page.cells[2].thread = Some(2), nowhere);
    refused(|page| page.cells[2].allocator = Some(1), nowhere);
    refused(|page| page.threads[1].process = 1, "thread 1 of the flame graph has no process");
    let elsewhere = "the course of the flame graph speaks of a part or a cell that is not there";
    refused(|page| page.course.as_mut().unwrap().lives[0].died = 3, elsewhere);
    refused(|page| page.course.as_mut().unwrap().flows[0].cell = 4, elsewhere);
    refused(|page| page.course.as_mut().unwrap().instants.truncate(2), elsewhere);
    refused(|page| page.metrics.clear(), "the flame graph has no metric to show first");
    refused(|page| page.timeline[0].seconds = f64::NAN, "an instant of the timeline is not a number");
}

#[test]
fn a_page_of_nothing_is_a_page() {
    let page = FlamePage {
        metrics: vec![Metric {
            key: "peak".to_owned(),
            label: "Peak".to_owned(),
            bytes: vec![],
            counts: vec![],
            before: None,
        }],
        ..FlamePage::default()
    };
    assert!(data_of(&html(&page)).contains(r#""nodes":{"back":[],"frame":[]}"#));
}

/// What a page costs without any data; a jump here is worth a look.
#[test]
fn overhead_is_small() {
    let length = html(&tiny_page()).len();
    assert!(length < 280_000, "the empty page has {length} bytes");
}
