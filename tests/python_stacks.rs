//! Python stacks in every shape that they take: each way in which CPython itself calls a function, frames that end
//! otherwise than by returning, code that dies, threads of all kinds, greenlets, subinterpreters, and programs that watch
//! themselves.
//!
//! As in `python.rs`, the expectation is what the interpreter itself says, and some stacks literally.

use crate::python::{check, told_by_the_interpreter};
use crate::traced::{
    BYTES_HEAD, Python, Step, Traced, What, announce, compiled, debug_pythons, newest_python, pythons,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn calls_by_the_interpreter_and_its_library() {
    for python in pythons() {
        let run = check("../stacks/language.py", &[], python);
        assert_eq!(run.stack_of(21_001), "take:10 < <lambda>:15 < callbacks:15 < <module>:114");
        assert_eq!(run.stack_of(23_301), "take:10 < __init_subclass__:33 < __new__:29 < <module>:38");
        assert_eq!(run.stack_of(23_501), "take:10 < __get__:36 < __getattribute__:44 < classes:64 < <module>:114");
        assert_eq!(
            run.stack_of(26_901),
            "take:10 < decorated:92 < wrapper:87 < wrapper:87 < contexts:102 < <module>:114"
        );
        // The same call on two lines of a loop that runs three times.
        let mut loops: Vec<String> = run.of_size(27_001).iter().map(|step| step.stack[1].clone()).collect();
        loops.sort();
        assert_eq!(loops, ["loops:107", "loops:107", "loops:107", "loops:108", "loops:108", "loops:108"]);
    }
}

#[test]
fn frames_that_end_by_exceptions_and_come_again() {
    for python in pythons() {
        let run = check("../stacks/unwinding.py", &[], python);
        // The import system may read a module of the same size.
        let taken = |bytes| run.of_size(bytes).into_iter().filter(|step| step.stack[0] == "take:8");
        assert_eq!(taken(31_001).count(), 3 * 4);
        // Called again while the exception of the same function is handled.
        let again: Vec<&str> = taken(31_701).map(|step| step.stack[2].as_str()).collect();
        assert_eq!(again, ["catches:32", "catches:34"]);
        // A generator that another thread resumes.
        let elsewhere = taken(32_002).filter(|step| step.stack[4].starts_with("run:")).count();
        assert_eq!(elsewhere, 2);
        // Before 3.11 the interpreter itself leaves out callers of a generator that an exception is thrown into.
        if python.since(11) {
            assert_eq!(run.stack_of(32_101), "take:8 < generator:45 < outer:51 < generators:67 < <module>:131");
        }
        assert_eq!(taken(34_301).count(), 2);
    }
}

#[test]
fn finalizers_and_callbacks_from_c() {
    for python in pythons() {
        let run = check("../stacks/finalizers.py", &[], python);
        assert_eq!(run.stack_of(35_001), "take:10 < __del__:13 < dies:18 < <module>:66");
        assert_eq!(run.stack_of(35_101), "take:10 < <lambda>:26 < referenced:29 < <module>:66");
        assert_eq!(run.stack_of(36_001), "take:10 < __del__:13 < collects:43 < <module>:66");
        assert_eq!(run.stack_of(36_101), "take:10 < <lambda>:44 < collects:46 < <module>:66");
        assert_eq!(run.stack_of(36_201), "take:10 < __del__:13 < collects:50 < <module>:66");
        assert_eq!(run.stack_of(37_004), "take:10 < compares:53 < sorts:58 < <module>:66");
    }
}

/// `native_threads.c` as a library.
fn library(source: &str) -> PathBuf {
    compiled(source, ".so", &["-shared", "-fPIC"])
}

#[test]
fn threads_that_python_did_not_make() {
    for python in pythons() {
        let run = Traced::python("../stacks/native_threads.py", python)
            .args([library("../stacks/native_threads.c")])
            .record();
        for index in 0..20 {
            let first = 50_000 + 10 * index;
            // Before and after Python knows of the thread, and in between.
            for size in [first, first + 2, first + 4] {
                assert_eq!(run.stack_of(size), "keep");
            }
            for size in [first + 1, first + 3] {
                assert_eq!(run.stack_of(size), "from_c:25");
                assert_eq!(run.stack_of(size + 1_000), "released:12 < from_c:26");
                assert_eq!(run.stack_of(size + 2_000), "released:12 < nested:28 < from_c:27");
            }
        }
        assert_eq!((run.stack_of(50_005), run.of_size(50_005).len()), ("keep".into(), 200));
        assert_eq!(run.thread_names().iter().filter(|name| *name == "stranger").count(), 20);
        let asleep = run.stack_of(42_001);
        assert!(asleep.starts_with("keeps_asleep:30 < run:"), "{asleep}");
        assert_eq!(run.at_exit("keeps_asleep"), (42_001 + if python.since(15) { BYTES_HEAD } else { 0 }, 1));
    }
}

#[test]
fn threads_without_the_gil() {
    for python in pythons() {
        let run = Traced::python("../stacks/native_threads.py", python)
            .args([library("../stacks/native_threads.c")])
            .record();
        assert_eq!(run.stack_of(40_000), "released:12 < <module>:35");
        assert_eq!(run.stack_of(40_100), "released:12 < while_another_holds_the_gil:21 < <module>:36");
        assert_eq!(run.of_size(40_100).len(), 200);
        assert_eq!(run.stack_of(40_200), "released:12 < nested:28 < <module>:37");
        // zlib's own state (deflate_state), allocated without the GIL: the caller's.
        assert!(run.steps().iter().any(|step| step.stack == ["<module>:38"] && step.bytes > 5_000));
    }
}

#[test]
fn names_of_python_threads() {
    for python in pythons() {
        let run = Traced::python("thread_names.py", python).record();
        // The kernel's name is what is known. From 3.14 on a thread tells it its own name, cut at 15 bytes, when it starts
        // and when it gives itself another; "renamed-after" was given from outside, and stays Python's knowledge.
        let names = run.thread_names();
        let own = format!("python3.{}", python.minor);
        let expected = if python.since(14) {
            ["by-prctl", &own, "renamed-before", "renamed-inside"]
        } else {
            ["by-prctl", &own, &own, &own]
        };
        assert_eq!(names, expected);
    }
}

/// The frames are those of the interpreter that runs, also where the thread began in another one.
#[test]
fn subinterpreters() {
    for python in pythons() {
        let run =
            Traced::python("../stacks/interpreters.py", python).args([library("../stacks/interpreters.c")]).record();
        assert_eq!(run.stack_of(711_001), "inner:1 < outer:3 < <module>:1", "on 3.{}", python.minor);
        assert_eq!((run.stack_of(711_002), run.of_size(711_002).len()), ("inner:1 < outer:4 < <module>:1".into(), 2));
        let of_main: Vec<String> = run.of_size(711_101).iter().map(|step| step.stack.join(" < ")).collect();
        assert_eq!(of_main, ["<module>:45", "<module>:49", "<module>:51", "<module>:56"]);
        for number in 0..5 {
            assert_eq!(run.stack_of(722_001 + 10 * number), "inner:1 < outer:3 < <module>:1");
            assert_eq!(run.of_size(722_002 + 10 * number).len(), 50);
            let stack = run.stack_of(722_501 + number);
            assert!(stack.starts_with("threaded:38 < run:"), "{stack}");
        }
        assert_eq!(run.stack_of(744_001), "inner:1 < outer:3 < <module>:6");
        // ctypes has no subinterpreters in 3.12. Before it cannot be told whose frames they are without the GIL.
        if python.minor != 12 {
            let without = if python.since(12) { "native:5 < <module>:6" } else { "runs:31 < <module>:48" };
            assert_eq!(run.stack_of(733_000), without);
            assert_eq!(run.stack_of(733_100), "native:5 < <module>:6");
        }
    }
}

/// What runs in a task has the task's name above the event loop's frames, whatever ran there before.
#[test]
fn names_of_asyncio_tasks() {
    for python in pythons().iter().chain(debug_pythons()) {
        let run = check("../stacks/tasks.py", &[], python);
        let of_workers = |number: usize| {
            let name = format!("worker {number}");
            run.of_size(91_001).iter().filter(|step| step.stack[2] == name).count()
        };
        // In three threads: three rounds and one more.
        assert_eq!((0..10).map(of_workers).collect::<Vec<_>>(), [3 * 4; 10]);
        assert!(run.of_size(91_101).iter().all(|step| step.stack[2] == "Task" && step.stack[3].starts_with("_run:")));
        let names = |bytes| -> Vec<String> {
            let mut names: Vec<String> = run
                .of_size(bytes)
                .iter()
                .filter_map(|step| step.stack.iter().rposition(|frame| frame.starts_with("_run:")).map(|at| (step, at)))
                .map(|(step, at)| step.stack[at - 1].clone())
                .collect();
            names.sort();
            names.dedup();
            names
        };
        let longest = "x".repeat(96);
        assert_eq!(
            names(91_201),
            ["7", "Task", "Task-", "Task-x", "first", "größe", "second", &longest, "大きさ", "𐍈"]
        );
        assert_eq!(names(91_211), ["deep 1", "deep 2"]);
        // A callback is no task.
        assert!(run.of_size(91_301).iter().all(|step| step.stack[1].starts_with("_run:")));
        assert_eq!((names(91_401), names(91_601)), (vec!["late".to_owned()], vec!["own".to_owned()]));
        let frame = run.profile().frames.iter().find(|frame| &*frame.function == "worker 7").expect("its name");
        assert_eq!((&*frame.file, frame.line), ("<asyncio task>", 0));
    }
}

/// A name is read while the thread holds the GIL, when nobody can change it. 5 000 names are more than a thread shows.
#[test]
fn names_of_asyncio_tasks_with_and_without_the_gil_and_too_many() {
    for python in pythons().iter().chain(debug_pythons()) {
        let run = Traced::python("many_tasks.py", python).record();
        assert!(run.stack_of(94_001).starts_with("native:11 < native_task < _run:"), "{}", run.stack_of(94_001));
        assert!(run.stack_of(94_101).starts_with("native:10 < _run:"), "{}", run.stack_of(94_101));
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for step in run.of_size(95_001) {
            *counts.entry(&step.stack[1]).or_default() += 1;
        }
        // `native_task` was the first name.
        assert_eq!((counts.len(), counts["number 0"], counts["number 4094"]), (4_096, 1, 1));
        assert_eq!(counts["other tasks"], 5_000 - 4_095);
    }
}

/// The kept chain and a whole reading agree at every event.
#[test]
fn names_of_asyncio_tasks_verified() {
    for python in pythons().iter().chain(debug_pythons()) {
        let run = Traced::python("../stacks/tasks.py", python).env("HEAPTIDE_VERIFY", "1").record();
        assert!(!run.stderr().contains("VERIFY"), "{}", run.stderr());
        assert_eq!(run.of_size(91_001).len(), 3 * 10 * 4);
    }
}

/// As above in stacks that are cut.
#[test]
fn names_of_asyncio_tasks_in_cut_stacks() {
    for python in pythons().iter().chain(debug_pythons()) {
        let run = Traced::python("../stacks/tasks.py", python).options(["--max-depth", "3"]).record();
        let workers = run.of_size(91_001);
        assert_eq!(workers.len(), 3 * 10 * 4);
        for step in &workers {
            assert!(step.stack[2].starts_with("worker ") && step.stack[3].starts_with("_run:"), "{:?}", step.stack);
            assert_eq!(step.stack[4..], ["[cut at --max-depth]"]);
        }
    }
}

/// `--max-depth`: every stack is the interpreter's, as far as it goes, and says that it was cut.
#[test]
fn stacks_are_cut_where_asked() {
    for python in pythons().iter().chain(debug_pythons()) {
        for (script, arguments, depth) in [
            ("../stacks/unwinding.py", &[][..], 3),
            ("../stacks/language.py", &[], 1),
            ("generators.py", &[], 2),
            ("deep.py", &["900"], 50),
        ] {
            let told = told_by_the_interpreter(script, arguments, python);
            let run = Traced::python(script, python).args(arguments).options([format!("--max-depth={depth}")]).record();
            for (size, stacks) in told {
                let mut expected: BTreeMap<String, usize> = BTreeMap::new();
                for (stack, times) in stacks {
                    let mut frames: Vec<&str> = stack.split(" < ").collect();
                    // The frame with a task's name is not counted. It belongs to the one that follows.
                    let counted = |frame: &&str| frame.contains(':');
                    if let Some((last, _)) = frames.iter().enumerate().filter(|(_, frame)| counted(frame)).nth(depth) {
                        let last = if counted(&frames[last - 1]) { last } else { last - 1 };
                        frames.splice(last.., ["[cut at --max-depth]"]);
                    }
                    *expected.entry(frames.join(" < ")).or_default() += times;
                }
                let mut found: BTreeMap<String, usize> = BTreeMap::new();
                for step in run.of_size(size).iter().filter(|step| !step.stack[0].starts_with("get_data:")) {
                    *found.entry(step.stack.join(" < ")).or_default() += 1;
                }
                assert_eq!(found, expected, "blocks of {size} bytes in {script} on 3.{}", python.minor);
            }
            let counted = |step: &Step| step.stack.iter().filter(|frame| !frame.starts_with("Task")).count();
            assert_eq!(run.steps().iter().map(counted).max(), Some(depth + 1));
        }
    }
}

#[test]
fn cut_stacks_are_counted_and_shown() {
    let run = Traced::python("functions.py", newest_python()).options(["--max-depth", "2"]).record();
    assert_eq!(run.stack_of(10_102), "lines:13 < plain:14 < [cut at --max-depth]");
    assert_eq!(run.stack_of(10_001), "plain:10 < <module>:30");
    let cut = run.totals().tracer.cut_stacks;
    let shown = run.steps().iter().filter(|step| step.stack.len() == 3 && step.what == What::Allocated).count() as u64;
    assert!(shown > 100 && cut >= shown, "{cut} counted, {shown} allocations");
    assert!(run.stderr().contains("whose outermost frames are missing"));
    let warning = "events were cut: their outermost frames are missing";
    run.heaptide("summary --json run.bin").exits(0).shows(warning);
    run.heaptide("tree run.bin").exits(0).shows("[cut at --max-depth]");
    // What is not cut says nothing of it.
    let run = Traced::python("functions.py", newest_python()).options(["--max-depth", "1000"]).record();
    assert_eq!(run.totals().tracer.cut_stacks, 0);
    assert!(!run.heaptide("summary --json run.bin").exits(0).stdout().contains(warning));
}

/// Records `observers.py` under this observer: what the observer sees is what it sees in a bare run, and the stacks are
/// those of the program, with and without it.
fn observed(observer: &str, python: &Python) {
    let traced = Traced::python("../stacks/observers.py", python).args([observer]);
    let bare = traced.clone().bare();
    bare.exits(0);
    let run = traced.record();
    assert_eq!((run.stdout(), run.stderr().contains("Traceback")), (bare.stdout(), false), "{observer}");
    let works = "works:9 < works:9 < works:9 < main:13 < ";
    for (bytes, line, times) in [(81_001, "works:10", 1), (81_101, "works:11", 2)] {
        let comprehension = if line == "works:11" && !python.since(12) { "<listcomp>:11 < " } else { "" };
        let from = |step: &&&Step| step.stack.join(" < ").starts_with(&format!("{comprehension}{line} < {works}"));
        let blocks = run.of_size(bytes);
        assert_eq!(blocks.iter().filter(from).count(), times, "{observer} on 3.{}: {blocks:#?}", python.minor);
        assert_eq!(blocks.len(), 2 * times, "{blocks:#?}");
    }
    assert_eq!(run.stack_of(81_201), "<module>:61");
    // Where the observer is a function of the program's own, it allocates as any other does.
    if ["settrace", "opcodes", "setprofile", "monitoring"].contains(&observer) {
        let stack = run.stack_of(82_001);
        assert!(stack.starts_with("count:21 < ") && stack.contains(" < main:"), "{observer}: {stack}");
    }
}

#[test]
fn programs_that_trace_or_profile_themselves() {
    for python in pythons() {
        for observer in ["settrace", "opcodes", "setprofile"] {
            observed(observer, python);
        }
    }
}

#[test]
fn programs_that_monitor_themselves() {
    for python in pythons().iter().filter(|python| python.since(12)) {
        observed("monitoring", python);
    }
}

#[test]
fn programs_in_a_debugger() {
    for python in pythons() {
        observed("pdb", python);
        observed("bdb", python);
    }
}

#[test]
fn programs_under_coverage() {
    for python in &pythons_with("coverage") {
        observed("coverage", python);
    }
}

/// The interpreters that can import this module, of those that HEAPTIDE_MEMRAY_PYTHON names (separated by colons; those
/// of the virtual environments that `run.sh` makes) and of those on this machine. A line says if there is none.
pub fn pythons_with(module: &str) -> Vec<Python> {
    let named = std::env::var_os("HEAPTIDE_MEMRAY_PYTHON").unwrap_or_default();
    let candidates = std::env::split_paths(&named).chain(pythons().iter().map(|python| python.path.clone()));
    let question = format!("import {module}, sys; print(sys.version_info[1])");
    let able = |path: PathBuf| {
        let output =
            Command::new(&path).args(["-c", &question]).output().ok().filter(|output| output.status.success())?;
        // Not the file behind the link: it is by the link that an interpreter knows its virtual environment.
        Some(Python { minor: String::from_utf8(output.stdout).ok()?.trim().parse().ok()?, debug: false, path })
    };
    let found: Vec<Python> = candidates.filter_map(able).collect();
    if found.is_empty() {
        announce(&format!("skipped: no interpreter with {module}; HEAPTIDE_MEMRAY_PYTHON can name some"));
    }
    found
}

#[test]
fn greenlets_that_switch_at_every_level() {
    for python in &pythons_with("greenlet") {
        let run = check("../stacks/greenlets.py", &[], python);
        // In two threads, each: 8 greenlets × 31 levels, down and up.
        let of_greenlets = |first: u64| (first..first + 800).map(|size| run.of_size(size + 1).len()).sum::<usize>();
        assert_eq!((of_greenlets(61_000), of_greenlets(62_000)), (2 * 8 * 31, 2 * 8 * 31));
        assert_eq!(run.stack_of(61_103), "descend:11 < descend:14 < descend:14 < <lambda>:26");
        assert_eq!(run.stack_of(62_203), "descend:16 < aside:21 < descend:15 < aside:21 < descend:15 < <lambda>:26");
        assert_eq!(run.stack_of(63_101), "closes:36 < <lambda>:31");
    }
}

#[test]
fn a_pool_of_gevent() {
    for python in &pythons_with("gevent") {
        let run = check("gevents.py", &[], python);
        assert_eq!(run.stack_of(65_001), "<module>:24");
        assert_eq!(run.of_size(64_020).len(), 20);
    }
}
