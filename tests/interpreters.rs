//! Builds of the interpreter: debug builds, the interpreter as a library, and interpreters that are not what they say,
//! whose stacks must be left alone. And what all of them push on the stack that no program wrote.

use crate::python::check;
use crate::support::Scratch;
use crate::traced::{Python, Run, Traced, announce, compiled, debug_pythons, fetched_interpreters, fixture, pythons};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[test]
fn frames_of_the_interpreter_are_not_shown() {
    for python in pythons().iter().chain(debug_pythons()) {
        let run = check("constructs.py", &[], python);
        assert_eq!(run.stack_of(18_001), "__init__:8 < makes:13 < <module>:16", "{}", python.path.display());
        assert_eq!(run.of_size(18_001).len(), 200);
        // Its name and its file are one object too, but a program's.
        assert_eq!(run.stack_of(18_101), "same:1 < <module>:19", "{}", python.path.display());
        for frame in run.profile().frames.iter() {
            assert!(*frame.function != *frame.file || *frame.function == *"same", "{frame:?} on 3.{}", python.minor);
        }
    }
}

#[test]
fn debug_builds() {
    for python in debug_pythons() {
        let run = check("functions.py", &[], python);
        assert_eq!(run.stack_of(10_101), "lines:12 < plain:14 < <module>:30");
        let run = check("generators.py", &[], python);
        assert_eq!(run.stack_of(11_101), "generator:8 < resumes:9 < <module>:27");
        let run = check("lines.py", &[], python);
        assert_eq!(run.stack_of(14_201), "long:500 < <module>:29");
        let run = check("größe_名前.py", &[], python);
        assert_eq!(run.stack_of(15_201), "𐍈:6 < <module>:9");
        let run = check("callbacks.py", &[], python);
        assert_eq!(run.stack_of(13_101), "__del__:10 < collects:18 < <module>:28");
        assert_eq!(run.stderr().matches("native caller only").count(), 0, "{}", run.stderr());
        // As it comes: three words around each block of the debug allocators, of pymalloc and of malloc below it.
        let run = Traced::command([python.path.clone(), fixture("functions.py")]).record();
        assert_eq!(run.stack_of(10_102 + 48), "lines:13 < plain:14 < <module>:30");
    }
}

/// The interpreter's shared library, if this build has one: beside a binary in `<prefix>/bin`.
fn library_of(python: &Python) -> Option<PathBuf> {
    let libraries = python.path.parent()?.parent()?.join("lib");
    let name = format!("libpython3.{}{}.so.1.0", python.minor, if python.debug { "d" } else { "" });
    let folders = std::fs::read_dir(&libraries).ok()?.flatten().map(|entry| entry.path());
    folders.chain([libraries]).map(|folder| folder.join(&name)).find(|library| library.exists())
}

/// A program that embeds this interpreter's library.
fn embedding(python: &Python, library: &Path, kind: &str, flags: &[&str]) -> Traced {
    let folder = library.parent().expect("in a folder");
    let mut arguments = vec![library.display().to_string(), format!("-Wl,-rpath,{}", folder.display())];
    if library.starts_with(fetched_interpreters()) {
        // Made for a newer C library, which lies beside it with its loader.
        let files = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
        let is_loader =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"));
        let loader = files.into_iter().find(is_loader).expect("a loader beside the C library");
        arguments.push(format!("-Wl,--dynamic-linker={}", loader.display()));
        arguments.extend(["-Wl,--disable-new-dtags", "-Wl,--allow-shlib-undefined"].map(str::to_owned));
    }
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let kind = format!("{}{}_{kind}", python.minor, if python.debug { "d" } else { "" });
    let program = compiled("embeds.c", &kind, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let home = python.path.parent().and_then(Path::parent).expect("<prefix>/bin");
    Traced::command([program, fixture("functions.py")]).env("PYTHONHOME", home).env("PYTHONMALLOC", "pymalloc")
}

#[test]
fn the_interpreter_as_a_shared_library() {
    let mut found = 0;
    for python in pythons().iter().chain(debug_pythons()) {
        let Some(library) = library_of(python) else { continue };
        found += 1;
        let run = embedding(python, &library, "", &[]).record();
        run.exits(0);
        assert_eq!(run.stack_of(10_102), "lines:13 < plain:14 < <module>:30", "{}", library.display());
        assert_eq!(run.stack_of(10_601), "target:29 < <lambda>:27 < <module>:30", "{}", library.display());
    }
    if found == 0 {
        announce("skipped: no shared library of Python on this machine");
    }
}

/// The program has run to its end; every block is where a native function called, and one line says why.
fn is_left_alone(run: &Run, warning: &str) {
    run.exits(0);
    let warnings: Vec<String> =
        run.stderr().lines().filter(|line| line.contains("native caller only")).map(str::to_owned).collect();
    assert_eq!(warnings, [format!("heaptide: {warning}: its stacks are the native caller only")]);
    assert!(run.steps().len() > 100, "{} events", run.steps().len());
    for step in run.steps() {
        assert!(step.stack.iter().all(|frame| !frame.contains(':')), "{step:?}");
    }
}

/// A preloaded library that pretends, compiled from false_python.c.
fn pretending(flag: &str) -> PathBuf {
    compiled("false_python.c", &flag.replace(['=', '-'], "_"), &["-shared", "-fPIC", flag])
}

#[test]
fn versions_that_are_not_known() {
    let library = pretending("-DFALSE_VERSION=0x031200f0");
    for python in pythons().iter().filter(|python| !python.since(11)) {
        let run = Traced::python("functions.py", python).env("LD_PRELOAD", &library).record();
        is_left_alone(&run, "Python 3.18 is not known to this version of heaptide");
    }
}

#[test]
fn free_threaded_builds() {
    let library = pretending("-DFREE_THREADED");
    for python in pythons() {
        let run = Traced::python("functions.py", python).env("LD_PRELOAD", &library).record();
        let minor = python.minor;
        is_left_alone(&run, &format!("Python 3.{minor} is a free-threaded build, which heaptide does not read"));
    }
}

#[test]
fn structures_of_another_version() {
    // 3.8 to 3.10 say that they are later ones. A 3.13 would have a report; where a 3.11 and a 3.12 have their frame these have
    // nothing, which shows when code objects die without a stack having been seen.
    for (version, minor) in [("0x030d00f0", 13), ("0x030f00f0", 15), ("0x030c01f0", 12), ("0x030b07f0", 11)] {
        let library = pretending(&format!("-DFALSE_VERSION={version}"));
        for python in pythons().iter().filter(|python| !python.since(11)) {
            let run = Traced::python("functions.py", python).env("LD_PRELOAD", &library).record();
            is_left_alone(&run, &other_layout(minor));
        }
    }
    // 3.11 and later say it themselves, so that only a program that embeds them can say otherwise.
    for python in pythons().iter().filter(|python| python.since(11)) {
        let Some(library) = library_of(python) else { continue };
        for (version, minor) in [("0x03080ff0", 8), ("0x030a0df0", 10), ("0x030b07f0", 11), ("0x030d00f0", 13)] {
            if minor == python.minor {
                continue;
            }
            let run = embedding(python, &library, version, &[&format!("-DFALSE_VERSION={version}")]).record();
            is_left_alone(&run, &other_layout(minor));
        }
    }
}

fn other_layout(minor: u32) -> String {
    format!("Python 3.{minor} does not lie in memory as this version of heaptide knows it")
}

/// Copies of interpreters whose own report says that a frame has its caller somewhere else.
#[test]
fn a_report_that_says_otherwise() {
    let mut found = 0;
    for python in pythons().iter().filter(|python| python.since(13)) {
        let mut program = std::fs::read(&python.path).unwrap();
        // Where the report stands, and in it a frame's `previous`, which is 8 in all these versions.
        let starts =
            |bytes: &[u8]| bytes.starts_with(b"xdebugpy") && bytes[10..16] == [python.minor as u8, 3, 0, 0, 0, 0];
        let Some(report) = program.windows(16).position(starts) else {
            // A small program linked with the shared library, which has it.
            continue;
        };
        found += 1;
        let place = report + 8 * [29, 32, 40][python.minor as usize - 13];
        assert_eq!(program[place..place + 8], 8u64.to_le_bytes(), "3.{}", python.minor);
        program[place] = 16;
        let scratch = Scratch::new();
        let copy = scratch.path("python");
        std::fs::write(&copy, program).unwrap();
        std::fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
        let home = python.path.parent().and_then(Path::parent).expect("<prefix>/bin");
        let run = Traced::command([copy, fixture("functions.py")]).env("PYTHONHOME", home).record();
        is_left_alone(&run, &other_layout(python.minor));
    }
    if found == 0 {
        announce("skipped: no Python from 3.13 on in one file on this machine");
    }
}
