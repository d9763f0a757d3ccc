//! The help texts, whole: a change to them is to be seen in review. `BLESS=1` writes them anew.

use crate::support::Scratch;
use std::path::Path;

#[test]
fn help_is_as_it_was() {
    let scratch = Scratch::new();
    for command in [
        "",
        "run",
        "flamegraph",
        "summary",
        "tree",
        "leaks",
        "peak",
        "lifetimes",
        "types",
        "diff",
        "imports",
        "mark",
        "rss",
        "stats",
        "export",
        "parse",
        "symbolize",
        "strip",
    ] {
        let help = scratch.heaptide(&format!("{command} --help")).succeeds().stdout();
        let name = if command.is_empty() { "heaptide" } else { command };
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/help-{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&golden, &help).expect("the golden file can be written");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(help == expected, "{} differs; BLESS=1 writes it anew. It is now:\n{help}", golden.display());
    }
}
