//! `heaptide imports`: modules of known cost, and who imported whom beside what `-X importtime` says.

use crate::support::{Ran, Scratch};
use crate::traced::{Python, pythons};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/imports/main.py")
}

/// main.py, recorded in `run.bin`; without `site`, which imports what is installed here.
fn recorded(python: &Python, arguments: &[&str]) -> (Scratch, Ran) {
    let scratch = Scratch::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_heaptide"));
    command.args(["run", "-q", "-o", "run.bin", "--"]).arg(&python.path).args(["-B", "-S", "-X", "importtime"]);
    let ran = scratch.run(command.arg(script()).args(arguments)).exits(0);
    (scratch, ran)
}

fn modules(scratch: &Scratch, options: &str) -> Vec<Value> {
    let json = scratch.heaptide(&format!("imports --json {options} run.bin")).succeeds().json();
    let modules = json["modules"].as_array().expect("modules").clone();
    let bytes = |amount: &Value| amount["bytes"].as_u64().expect("bytes");
    // Own amounts add up to all imports, and totals to those of what is imported.
    assert_eq!(modules.iter().map(|module| bytes(&module["own"])).sum::<u64>(), bytes(&json["imports"]));
    for module in &modules {
        let within = modules.iter().filter(|other| other["parent"] == module["id"]);
        assert_eq!(
            bytes(&module["total"]),
            bytes(&module["own"]) + within.map(|other| bytes(&other["total"])).sum::<u64>()
        );
    }
    modules
}

/// The name of who imported a module: of the next above it that is one. `None`: the program or the interpreter; an empty
/// name: a module in C that is not known.
fn importer<'m>(modules: &'m [Value], module: &Value) -> Option<&'m str> {
    let parent = &modules[module["parent"].as_u64()? as usize];
    match parent["what"].as_str()? {
        "module" | "extension" => parent["name"].as_str(),
        _ => importer(modules, parent),
    }
}

#[test]
fn what_modules_keep() {
    const KEEP: [(&str, Option<&str>, u64); 8] = [
        ("warm", None, 0),
        ("pack", None, 1),
        ("pack.first", None, 2),
        ("pack.second", Some("pack.first"), 3),
        ("pack.parts", None, 4),
        ("pack.parts.one", Some("pack.parts"), 5),
        ("pack.parts.two", Some("pack.parts"), 6),
        ("late", None, 7),
    ];
    for python in pythons() {
        let (scratch, _) = recorded(python, &[]);
        for metric in ["leaked", "peak", "allocated"] {
            let modules = modules(&scratch, &format!("--metric {metric}"));
            for (name, by, times) in KEEP {
                let which = format!("{name}, {metric} on 3.{}", python.minor);
                let found: Vec<&Value> = modules.iter().filter(|module| module["name"] == name).collect();
                assert_eq!(found.len(), 1, "{which}");
                assert_eq!(importer(&modules, found[0]), by, "{which}");
                let own = found[0]["own"]["bytes"].as_u64().unwrap();
                match (metric, name) {
                    (_, "warm") => {}
                    // What is released when the body runs may be a part of the peak.
                    ("peak", _) => assert!(own >= times * 12_345, "{which}: {own}"),
                    // And what was released: the compiler's, and its own block of eight times as much.
                    ("allocated", "pack.second") => assert!(own >= 11 * 12_345, "{which}: {own}"),
                    ("allocated", _) => assert!(own >= times * 12_345, "{which}: {own}"),
                    _ => assert_eq!(own / 12_345, times, "{which}: {own}"),
                }
            }
            let first = modules.iter().find(|module| module["name"] == "pack.first").unwrap();
            let source = first["importer"]["source"].as_str();
            assert_eq!(source, Some("import pack.first"), "on 3.{}", python.minor);
        }
        // One line imports both, so what comes before their bodies is theirs together.
        let mut entries = modules(&scratch, "--metric allocated").into_iter();
        let loads = entries.find(|module| module["what"] == "loads" && module["package"] == "pack");
        assert_eq!(loads.expect("an entry")["name"], "pack.parts.one, pack.parts.two");
    }
}

#[test]
fn packages_and_text() {
    let python = &pythons()[0];
    let (scratch, _) = recorded(python, &[]);
    let json = scratch.heaptide("imports --json --metric leaked run.bin").succeeds().json();
    let package = |name: &str| {
        let found = json["packages"].as_array().unwrap().iter().find(|package| package["name"] == name).unwrap();
        let bytes = |which: &str| found[which]["bytes"].as_u64().unwrap() / 12_345;
        (found["modules"].as_u64().unwrap(), bytes("own"), bytes("total"))
    };
    // 1 + 2 + 3 + 4 + 5 + 6.
    assert_eq!((package("pack"), package("late")), ((6, 21, 21), (1, 7, 7)));
    let text = scratch.heaptide("imports --metric leaked run.bin").succeeds().stdout();
    let lines: Vec<&str> = text.lines().collect();
    let of = |name: &str| {
        let line = lines.iter().position(|line| line.split_whitespace().any(|word| word == name)).expect(name);
        (line, lines[line].find(name).unwrap())
    };
    let [main, parts, two] = [of("main"), of("pack.parts"), of("pack.parts.two")];
    assert!(main.0 < parts.0 && parts.0 < two.0 && (parts.1, two.1) == (main.1 + 2, main.1 + 4), "{text}");
    assert!(lines[two.0].trim_start().starts_with("72."), "{text}");
    scratch.heaptide("imports --packages --metric leaked run.bin").succeeds().shows("modules  package\n");
    let few = scratch.heaptide("imports --min-percent 60 run.bin").succeeds().stdout();
    assert!(few.contains("smaller") && !few.contains("pack.parts"), "{few}");
}

/// Modules and who imported them, as `-X importtime` tells.
fn told(stderr: &str) -> BTreeMap<String, Option<String>> {
    let lines = stderr.lines().filter_map(|line| line.strip_prefix("import time:")?.rsplit_once(" | "));
    let levels = lines.filter(|(times, _)| !times.contains("self")).map(|(_, name)| {
        let plain = name.trim_start();
        ((name.len() - plain.len()) / 2, plain.to_owned())
    });
    // Who imports comes behind what it imports.
    let mut above: Vec<String> = Vec::new();
    let mut told = BTreeMap::new();
    for (level, name) in levels.collect::<Vec<_>>().into_iter().rev() {
        above.truncate(level);
        // A package is loaded within its part, for the one who imports that.
        let importer = above.iter().rev().find(|importer| !importer.starts_with(&format!("{name}.")));
        told.insert(name.clone(), importer.cloned());
        above.push(name);
    }
    told
}

#[test]
fn who_imported_whom_as_importtime_says() {
    for python in pythons() {
        let (scratch, ran) = recorded(python, &["more"]);
        let told = told(&ran.stderr());
        let modules = modules(&scratch, "--metric allocated");
        let mut compared = 0;
        for module in modules.iter().filter(|module| module["what"] == "module") {
            let name = module["name"].as_str().unwrap();
            let by = importer(&modules, module);
            if let Some(expected) = told.get(name)
                && by != Some("")
            {
                assert_eq!(by, expected.as_deref(), "{name} on 3.{}", python.minor);
                compared += 1;
            }
        }
        assert!(compared > 60, "{compared} of {} on 3.{}", told.len(), python.minor);
    }
}

#[test]
fn a_program_without_imports() {
    let scratch = Scratch::new();
    scratch.heaptide("run -q -o run.bin -- true").succeeds();
    scratch.heaptide("imports run.bin").succeeds().shows("Nothing was imported, or the stacks do not show it.\n");
    let json = scratch.heaptide("imports --json run.bin").succeeds().json();
    assert_eq!((json["modules"].as_array().map(Vec::len), &json["imports"]["bytes"]), (Some(0), &0.into()));
    scratch.heaptide("imports --pid 1 run.bin").exits(2);
}
