//! Python's frames and native ones in one stack (`--native`): each Python frame exactly where the interpreter's evaluation
//! function stood.
//!
//! Three kinds of expectation: some stacks literally; the native frames around Python's as glibc's backtrace(3) finds them
//! (`hybrid.c` tells them); Python's own as the interpreter tells them, or as they are without `--native`.

use crate::native::{Stacks, built};
use crate::python::told_by_the_interpreter;
use crate::python_stacks::pythons_with;
use crate::traced::{Python, Traced, debug_pythons, pythons};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

fn library() -> PathBuf {
    built("hybrid.c", ".so", &["-shared", "-fPIC", "-O2"])
}

fn hybrid(python: &Python) -> Traced {
    Traced::python("../native/hybrid.py", python).args([library()])
}

/// A stack from `<module>` on. `a, b` is a function called by the same evaluation of bytecode, from 3.11 on; before, each
/// call was an evaluation of its own, with the interpreter's functions between. `a; b` is the same for what runs in the
/// frame of a generator that another one waits for, from 3.12 on.
fn expected(python: &Python, stack: &str) -> String {
    let between = |since| if python.since(since) { " > " } else { " > [python] > " };
    format!("<module>, {stack}").replace(", ", between(11)).replace("; ", between(12))
}

const TO_C: &str = "[python] > [_ctypes] > [libffi]";
const BLOCK: &str = "[python] > [_ctypes] > [libffi] > native > native_inner > take";

#[test]
fn python_frames_stand_where_they_were_evaluated() {
    for python in pythons().iter().chain(debug_pythons()) {
        let stacks = Stacks::of(hybrid(python).options(["--native"]).record());
        stacks.agree_around_python();
        let is = |size, stack: &str| {
            let found = stacks.from("<module>", size);
            assert_eq!(found, expected(python, &format!("{stack} > {BLOCK}")), "{size} on 3.{}", python.minor);
        };
        let callback = format!("{TO_C} > call_back > [libffi] > [_ctypes] > [python]");
        is(40_012, "main, level");
        is(40_011, &format!("main, level, inner > {callback} > level"));
        is(40_001, &format!("main, level, inner > {callback} > level, inner > {callback} > level"));
        is(40_101, "main, iterates > [python] > generates");
        is(40_102, "main, iterates > [python] > steps");
        is(40_103, "main, iterates > [python] > chained; chain");
        is(40_104, "main, iterates > [python] > awaits; awaited");
        is(40_201, "main, by_the_interpreter > [python] > key");
        is(40_202, "main, by_the_interpreter > [python] > mapped");
        is(40_203, "main, by_the_interpreter > [python] > __del__");
        is(40_204, "main, by_the_interpreter > [python] > __init__");
        is(40_301, &format!("main, extends > {TO_C} > extension_call > [python] > extended"));
        let twice = format!("{TO_C} > extension_call > [python] > twice > {TO_C} > extension_call > [python] > nested");
        is(40_302, &format!("main, extends > {twice}"));
        is(40_601, "main > [python] > <module>");
        is(40_701, "main, handles");
        let thread = stacks.from("_bootstrap", 40_501);
        assert!(thread.ends_with(&format!("works > {BLOCK}")), "{thread}");
        // The same from the very beginning.
        let whole = stacks.from("", 40_012);
        assert!(whole.starts_with("[python] > [libc] > [python] > <module> > "), "{whole}");
        // Threads of C that call Python.
        for size in [40_401, 40_403] {
            assert_eq!((stacks.from("", size), stacks.count(size)), ("[libc] > enters > take".into(), 3));
        }
        let inside = format!("[libc] > enters > [libffi] > [_ctypes] > [python] > from_thread > {BLOCK}");
        assert_eq!((stacks.from("", 40_402), stacks.count(40_402)), (inside, 3));
    }
}

/// What `--native` adds changes nothing of Python's part.
#[test]
fn the_same_python_frames_as_without_native_ones() {
    for python in pythons() {
        let with = Stacks::of(hybrid(python).options(["--native"]).record());
        let without = Stacks::of(hybrid(python).record());
        let all = [0..=3, 10..=12, 101..=104, 201..=204, 301..=302, 401..=403, 501..=501, 601..=601, 701..=701];
        for size in all.into_iter().flatten().map(|number| 40_000 + number) {
            assert_eq!(with.python_parts(size), without.python_parts(size), "{size} on 3.{}", python.minor);
        }
    }
}

#[test]
fn hybrid_stacks_verified() {
    for python in pythons().iter().chain(debug_pythons()) {
        let run = hybrid(python).options(["--native"]).env("HEAPTIDE_VERIFY", "1").record();
        assert!(!run.stderr().contains("VERIFY"), "on 3.{}: {}", python.minor, run.stderr());
        Stacks::of(run).agree_around_python();
    }
}

/// Python's part of every stack of a script is what the interpreter says.
fn python_parts_are_told(script: &str, python: &Python) {
    let told = told_by_the_interpreter(script, &[], python);
    assert!(!told.is_empty());
    let stacks = Stacks::of(Traced::python(script, python).options(["--native"]).record());
    for (size, expected) in told {
        let with_head = stacks.python_parts(size + crate::traced::BYTES_HEAD);
        let found = if python.since(15) && !with_head.is_empty() { with_head } else { stacks.python_parts(size) };
        // Not a file of this size that the import system read.
        let found: BTreeMap<String, usize> =
            found.into_iter().filter(|(stack, _)| !stack.starts_with("get_data:")).collect();
        assert_eq!(found, expected, "blocks of {size} bytes in {script} on 3.{}", python.minor);
    }
}

#[test]
fn every_way_in_which_the_interpreter_calls() {
    for python in pythons().iter().chain(debug_pythons()) {
        python_parts_are_told("../stacks/language.py", python);
    }
}

#[test]
fn generators_exceptions_and_finalizers() {
    for python in pythons() {
        for script in ["generators.py", "../stacks/unwinding.py", "../stacks/finalizers.py"] {
            python_parts_are_told(script, python);
        }
    }
}

/// Stacks that are copied away and back.
#[test]
fn greenlets() {
    for python in &pythons_with("greenlet") {
        python_parts_are_told("../stacks/greenlets.py", python);
    }
}

/// A hundred levels of Python, C, Python, each of which is there once.
#[test]
fn as_deep_as_python_goes() {
    let script = "import ctypes, sys\n\
        library = ctypes.CDLL(sys.argv[1])\n\
        native = library.native\n\
        native.argtypes, native.restype = [ctypes.c_size_t], None\n\
        def level(number):\n\
        \x20   if number: library.call_back(levels, number - 1)\n\
        \x20   else: native(41001)\n\
        levels = ctypes.CFUNCTYPE(None, ctypes.c_int)(level)\n\
        library.ready()\n\
        level(99)\n";
    for python in pythons() {
        let command = [python.path.clone().into_os_string(), "-c".into(), script.into(), library().into_os_string()];
        let stacks = Stacks::of(Traced::command(command).options(["--native", "--native-depth", "4000"]).record());
        stacks.agree_around_python();
        let names: BTreeSet<String> = stacks.all_from("<module>", 41_001);
        let stack = names.first().expect("a stack");
        assert_eq!(stack.matches(" > level > ").count(), 100, "{stack}");
        assert_eq!(stack.matches(" > call_back > ").count(), 99, "{stack}");
    }
}
