//! Names that are markup, steer a terminal or turn the writing round, through the whole way: a program that has them,
//! recorded, in every report. In a browser the pages are opened by `tests/page/hostile.test.js`.

use crate::support::{self, Ran, Scratch};
use crate::traced::fixture;
use std::process::Command;

/// A capture of the program, with arguments of the same kind, as `run.bin`.
fn recorded() -> Scratch {
    let scratch = Scratch::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_heaptide"));
    command.args(["run", "-o", "run.bin", "--", "python3"]).arg(fixture("../hostile/hostile_names.py"));
    command.args(["</script><script>alert(9)</script>", "\u{1b}[2J\u{9b}31m", "txt.\u{202e}gpj", "-->"]);
    let ran = scratch.run(&mut command).exits(0);
    plain("what run says", &ran.stderr());
    scratch
}

/// No character is in the text that a terminal would act on but the end of a line, and none that turns or hides others.
fn plain(what: &str, text: &str) {
    let acts = |c: char| {
        let hides = ['\u{ad}', '\u{61c}', '\u{feff}'].contains(&c);
        let turns = ('\u{200b}'..='\u{200f}').contains(&c) || ('\u{2028}'..='\u{202e}').contains(&c);
        c != '\n' && (c.is_control() || hides || turns || ('\u{2060}'..='\u{206f}').contains(&c))
    };
    if let Some(at) = text.find(acts) {
        let around: String = text[at..].chars().take(30).collect();
        panic!("{what} has {around:?}");
    }
}

fn both_plain(ran: Ran, what: &str) -> String {
    plain(what, &ran.stdout());
    plain(what, &ran.stderr());
    ran.stdout()
}

#[test]
fn text_reports_cannot_steer_a_terminal() {
    let scratch = recorded();
    let mut seen = String::new();
    for report in [
        "summary -n 0 run.bin",
        "summary -n 0 --by line run.bin",
        "summary -n 0 --by file run.bin",
        "summary -n 0 --by module run.bin",
        "summary -n 0 --by package run.bin",
        "tree --min-percent 0 run.bin",
        "leaks --all run.bin",
        "stats run.bin",
        "parse run.bin",
        "flamegraph --format folded run.bin",
        "diff run.bin run.bin",
        "summary --pid 1 run.bin",
    ] {
        let ran = scratch.heaptide(report);
        assert!(matches!(ran.code(), Some(0 | 2)), "{report}: {:?}", ran.code());
        seen += &both_plain(ran, report);
    }
    // Nothing was left out to get there.
    for name in ["txt.\\u{202e}gpj\\u{2066}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}", "\\u{9b}31m", "null\\u{0}byte"] {
        assert!(seen.contains(name), "{name} is in no report");
    }
}

#[test]
fn json_reports_are_plain_and_say_the_names_as_they_are() {
    let scratch = recorded();
    for report in ["tree --min-percent 0", "leaks --all", "stats", "diff run.bin", "summary -n 0"] {
        let ran = scratch.heaptide(&format!("{report} --json run.bin")).exits(0);
        plain(report, &ran.stdout());
        ran.json();
    }
    let json = scratch.heaptide("summary -n 0 --json run.bin").exits(0).json();
    let functions: Vec<&str> =
        json["functions"].as_array().unwrap().iter().filter_map(|row| row["function"].as_str()).collect();
    for name in [
        "</script><script>alert(2)</script>",
        "txt.\u{202e}gpj\u{2066}\u{2067}\u{200e}",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
    ] {
        assert!(functions.contains(&name), "{name:?} is not among {functions:?}");
    }
    let lines = scratch.heaptide("parse --json run.bin").exits(0).stdout();
    plain("parse --json", &lines);
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line:.200}"));
    }
}

#[test]
fn every_name_keeps_its_own_bytes() {
    let scratch = recorded();
    let folded = scratch.heaptide("flamegraph --format folded run.bin").exits(0).stdout();
    // One a name: twenty of them. `bytearray(n)` is a block of n + 1 bytes.
    for place in 0..20 {
        let ending = format!(" {}", 10_001 + place);
        assert_eq!(folded.lines().filter(|line| line.ends_with(&ending)).count(), 1, "{ending} in\n{folded:.3000}");
    }
    let long = folded.lines().map(str::len).max().unwrap();
    assert!(long < 20_000, "the longest line has {long} bytes");
}

#[test]
fn no_name_is_markup_in_the_picture() {
    let scratch = recorded();
    scratch.heaptide("flamegraph --format svg -o run.svg run.bin").exits(0);
    // A parser of XML that is not ours.
    let count = "import sys, xml.dom.minidom as xml; d = xml.parse(sys.argv[1]); \
                 print(sorted({e.tagName for e in d.getElementsByTagName('*')}), \
                 len(d.getElementsByTagName('script')), \
                 sorted({a for e in d.getElementsByTagName('*') for a in e.attributes.keys() if a.startswith('on')}))";
    let ran = scratch.run(Command::new("python3").args(["-c", count, "run.svg"])).exits(0);
    let elements = "['defs', 'g', 'linearGradient', 'rect', 'stop', 'style', 'svg', 'text', 'title']";
    let with_script = elements.replace("'rect', ", "'rect', 'script', ");
    assert_eq!(ran.stdout().trim_end(), format!("{with_script} 1 ['onload']"));
    plain("the picture", &scratch.read("run.svg").replace(['\t', '\r'], " "));
}

#[test]
fn no_name_is_markup_in_the_page() {
    let scratch = recorded();
    scratch.heaptide("flamegraph -o page.html run.bin").exits(0);
    scratch.heaptide("diff --html -o diff.html run.bin run.bin").exits(0);
    for name in ["page.html", "diff.html"] {
        let html = scratch.read(name);
        let data = support::page::packed(&html);
        assert!(!data.contains('<'), "{name}");
        support::page::data(&html);
        let outside = html.replace(data, "");
        assert!(
            !outside.contains("<script>alert(") && !outside.contains("<img") && !outside.contains("<!--"),
            "{name}"
        );
        // The title, which is the command, is there as text.
        assert!(outside.contains("&lt;&#x2f;script&gt;&lt;script&gt;alert(9)"), "{name}");
        assert_eq!(html.matches("<script").count(), 2, "{name}");
        assert_eq!(html.matches("</script").count(), 2, "{name}");
        plain(name, &outside.replace('\t', " "));
    }
}
