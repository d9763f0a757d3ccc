use super::*;
use crate::profile::tests::{native, profile, python};

const BOOTSTRAP: &str = "<frozen importlib._bootstrap>";
const EXTERNAL: &str = "<frozen importlib._bootstrap_external>";

/// A stack as text, outermost first: `name:line` a module's body, `name()` a function of it (line 9), `load` the frames of
/// the import system up to the loader, `code` where code objects are made, `body` where a body is called, `create` where an extension module is made.
fn stack(text: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    for word in text.split(' ') {
        match word {
            "load" => {
                frames.extend(
                    [("_find_and_load", 1176), ("_find_and_load_unlocked", 1147)].map(|(f, l)| python(f, BOOTSTRAP, l)),
                );
            }
            "code" => frames.extend(["SourceLoader.get_code", "_compile_bytecode"].map(|f| python(f, EXTERNAL, 729))),
            "body" => frames.push(python("_call_with_frames_removed", BOOTSTRAP, 241)),
            "create" => frames.extend([
                python("ExtensionFileLoader.create_module", EXTERNAL, 1233),
                python("_call_with_frames_removed", BOOTSTRAP, 241),
            ]),
            native_ if native_.starts_with("PyInit_") => frames.push(native(native_, "/lib/x.so")),
            other => frames.push(match other.split_once(':') {
                Some((name, line)) => python("<module>", &format!("/app/{name}.py"), line.parse().unwrap()),
                None => python("call", &format!("/app/{}.py", other.trim_end_matches("()")), 9),
            }),
        }
    }
    frames
}

/// The tree as lines of depth, name, own and total bytes.
fn check(stacks: &[(&str, u64)], expected: &[&str], rest: u64) -> Imports {
    let frames: Vec<(Vec<Frame>, u64)> = stacks.iter().map(|(text, bytes)| (stack(text), *bytes)).collect();
    let stacks: Vec<(Vec<&Frame>, u64)> =
        frames.iter().map(|(stack, bytes)| (stack.iter().collect(), *bytes)).collect();
    let stacks: Vec<(&[&Frame], u64)> = stacks.iter().map(|(stack, bytes)| (&stack[..], *bytes)).collect();
    let profile = profile(&stacks);
    let imports = Imports::of(&profile, Metric::Leaked);
    let mut depths: Vec<usize> = Vec::new();
    let line = |entry: &Entry| {
        let depth = entry.parent.map_or(0, |parent| depths[parent] + 1);
        depths.push(depth);
        format!("{depth} {} {} {}/{}", entry.what.name(), entry.name, entry.own.bytes, entry.total.bytes)
    };
    let lines: Vec<String> = imports.entries.iter().map(line).collect();
    assert_eq!(lines, expected);
    assert_eq!(imports.rest.bytes, rest);
    assert_eq!(imports.imports.bytes + rest, profile.total.of(Metric::Leaked).bytes);
    imports
}

#[test]
fn modules_that_import_modules() {
    check(
        &[
            ("main:1", 1_000_000),
            ("main:1 load code", 1),
            ("main:1 load body a:1", 10),
            ("main:1 load body a:2 load code", 100),
            ("main:1 load body a:2 load body b:5", 1_000),
            ("main:1 load body a:7 a()", 10_000),
            // Later, by a function: no import's.
            ("main:4 a()", 2_000_000),
        ],
        &["0 program main 0/11111", "1 module a 10011/11111", "2 module b 1100/1100"],
        3_000_000,
    );
}

#[test]
fn an_import_in_a_function_is_its_callers() {
    check(
        &[("main:1 load body a:1", 10), ("main:3 a() load code", 100), ("main:3 a() load body late:1", 1_000)],
        &["0 program main 0/1110", "1 module late 1100/1100", "1 module a 10/10"],
        0,
    );
}

/// One line, `from package import a, b`: until a body runs the stacks are the same.
#[test]
fn loads_that_cannot_be_told_apart_are_one() {
    check(
        &[("main:1 load code", 1), ("main:1 load body a:1", 10), ("main:1 load body b:1", 100)],
        &["0 program main 0/111", "1 module b 100/100", "1 module a 10/10", "1 loads a, b 1/1"],
        0,
    );
}

/// `import package.part`: the package is loaded within the load of its part, by whoever imports the part.
#[test]
fn a_package_is_loaded_before_its_part() {
    check(
        &[
            ("main:1 load body load code", 1),
            ("main:1 load body load body package/__init__:1", 10),
            ("main:1 load code", 100),
            ("main:1 load body package/part:1", 1_000),
        ],
        &["0 program main 0/1111", "1 module package.part 1100/1100", "1 module package 11/11"],
        0,
    );
}

/// `from . import a` and in the next line `from . import b`: between the line and the load stand frames of the import
/// system that are the same.
#[test]
fn lines_that_import_parts_are_told_apart() {
    check(
        &[
            ("main:1 body load code", 1),
            ("main:1 body load body a:1", 10),
            ("main:2 body load code", 100),
            ("main:2 body load body b:1", 1_000),
        ],
        &["0 program main 0/1111", "1 module b 1100/1100", "1 module a 11/11"],
        0,
    );
}

#[test]
fn extensions_have_no_body() {
    let imports = check(
        &[("main:1 load create", 1), ("main:2 load create PyInit__struct", 10), ("main:3 load", 100)],
        &["0 program main 0/111", "1 search  100/100", "1 extension _struct 10/10", "1 extension  1/1"],
        0,
    );
    assert_eq!(imports.entries[3].importer.as_ref().map(|frame| frame.line), Some(1));
}

/// `from . import a, _b`: what makes the extension is its own, what was loaded before is the module's.
#[test]
fn an_extension_beside_a_module() {
    check(
        &[("main:1 load code", 1), ("main:1 load body a:1", 10), ("main:1 load create PyInit__b", 100)],
        &["0 program main 0/111", "1 extension _b 100/100", "1 module a 11/11"],
        0,
    );
    check(
        &[
            ("main:1 load", 1),
            ("main:1 load create PyInit__b", 10),
            ("main:1 load create PyInit__b load body c:1", 100),
        ],
        &["0 program main 0/111", "1 extension _b 11/111", "2 module c 100/100"],
        0,
    );
}

/// What the interpreter imports before the program has no importer.
#[test]
fn the_start_of_the_interpreter() {
    check(&[("load body site:1", 5), ("main:1", 7), ("a()", 11)], &["0 module site 5/5"], 18);
}

/// Code that a module executes is the module's.
#[test]
fn executed_text_is_no_module() {
    check(&[("main:1 load body a:1 a() x:1", 5)], &["0 program main 0/5", "1 module a 5/5"], 0);
}

#[test]
fn packages_count_a_block_once() {
    let imports = check(
        &[
            ("main:1 load body p/__init__:1", 1),
            ("main:1 load body p/__init__:2 load body q/__init__:1", 10),
            ("main:1 load body p/__init__:2 load body q/__init__:3 load body p/part:1", 100),
        ],
        &["0 program main 0/111", "1 module p 1/111", "2 module q 10/110", "3 module p.part 100/100"],
        0,
    );
    let packages: Vec<_> =
        imports.packages().iter().map(|p| (p.name.to_string(), p.modules, p.own.bytes, p.total.bytes)).collect();
    assert_eq!(packages, [("p".into(), 2, 101, 111), ("q".into(), 1, 10, 110)]);
}

#[test]
fn a_line_tells_what_it_imports() {
    let cases = [
        ("from _struct import *", Some("_struct")),
        ("import _json", Some("_json")),
        ("    import numpy.core as np", Some("numpy.core")),
        ("try: import grp", Some("grp")),
        ("import _ssl  # if we can't import it, so be it", Some("_ssl")),
        ("from _asyncio import (_get_running_loop, _set_running_loop,", Some("_asyncio")),
        ("import a, b", None),
        ("from . import x", None),
        ("__import__(name)", None),
    ];
    for (line, name) in cases {
        assert_eq!(imported_name(line).as_deref(), name, "{line}");
    }
}
