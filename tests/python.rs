//! Python stacks: function and line of every frame, on every version that is there.
//!
//! Two kinds of expectation: some stacks literally, and for each script all of them as the interpreter itself tells them
//! (fixtures/oracle.py), in a run of its own without heaptide.

use crate::traced::{BYTES_HEAD, Python, Run, Traced, What, fixture, pythons};
use heaptide_format::allocator::Allocator;
use std::collections::BTreeMap;

/// What the interpreter says: for each size of a bytearray the stacks it came from, and how often.
pub fn told_by_the_interpreter(
    script: &str,
    arguments: &[&str],
    python: &Python,
) -> BTreeMap<u64, BTreeMap<String, usize>> {
    let told = Traced::python("../oracle.py", python)
        .args([fixture(script)])
        .args(arguments)
        .env("PYTHONIOENCODING", "utf-8")
        .bare();
    told.exits(0);
    let mut stacks: BTreeMap<u64, BTreeMap<String, usize>> = BTreeMap::new();
    for line in told.stdout().lines() {
        let Some((size, stack)) = line.split_once(' ') else { continue };
        let Ok(size) = size.parse() else { continue };
        *stacks.entry(size).or_default().entry(stack.to_owned()).or_default() += 1;
    }
    stacks
}

/// Records a script and compares every stack with what the interpreter says.
pub fn check(script: &str, arguments: &[&str], python: &Python) -> Run {
    let expected = told_by_the_interpreter(script, arguments, python);
    assert!(!expected.is_empty(), "the interpreter tells of no block in {script}");
    let run = Traced::python(script, python).args(arguments).record();
    run.exits(0);
    for (size, stacks) in &expected {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        // A module whose source happens to be of this size, read by the import system, is no bytearray.
        for step in run.of_size(*size).iter().filter(|step| !step.stack[0].starts_with("get_data:")) {
            *found.entry(step.stack.join(" < ")).or_default() += 1;
        }
        assert_eq!(&found, stacks, "blocks of {size} bytes on 3.{}", python.minor);
    }
    run
}

#[test]
fn functions() {
    for python in pythons() {
        let run = check("functions.py", &[], python);
        assert_eq!(run.stack_of(10_001), "plain:10 < <module>:30");
        assert_eq!(run.of_size(10_001).len(), 2);
        assert_eq!(run.stack_of(10_101), "lines:12 < plain:14 < <module>:30");
        assert_eq!(run.stack_of(10_102), "lines:13 < plain:14 < <module>:30");
        assert_eq!(run.stack_of(10_201), "Thing:18 < <module>:17");
        assert_eq!(run.stack_of(10_301), "method:20 < <module>:30");
        assert_eq!(run.stack_of(10_401), "<lambda>:22 < static:22 < <module>:30");
        assert_eq!(run.stack_of(10_601), "target:29 < <lambda>:27 < <module>:30");
        // From 3.12 on a comprehension has no frame of its own.
        let comprehension = if python.since(12) { "<module>:30" } else { "<listcomp>:30 < <module>:30" };
        assert_eq!(run.stack_of(10_701), comprehension);
    }
}

#[test]
fn the_same_line_merges_and_different_lines_stay_apart() {
    for python in pythons() {
        let run = Traced::python("functions.py", python).record();
        let profile = run.profile();
        let places = |function: &str| {
            let mut lines: Vec<u32> =
                profile.frames.iter().filter(|f| f.function.ends_with(function)).map(|f| f.line).collect();
            lines.sort_unstable();
            lines
        };
        // `lines` has a node for each of its two lines; `plain` has one for line 10, though it allocated there twice,
        // and one as the caller of `lines`.
        assert_eq!(places("lines").iter().filter(|line| [12, 13].contains(line)).count(), 2);
        assert_eq!(places("plain"), [10, 14]);
    }
}

#[test]
fn names_are_qualified_where_the_interpreter_knows() {
    for python in pythons() {
        let run = Traced::python("functions.py", python).record();
        let name = if python.since(11) { "Thing.method" } else { "method" };
        let frames: Vec<_> = run.profile().frames.iter().filter(|frame| *frame.function == *name).collect();
        assert_eq!(frames.len(), 1, "{name} on 3.{}", python.minor);
        assert_eq!((&*frames[0].file, frames[0].line), (&*fixture("functions.py").to_string_lossy(), 20));
    }
}

#[test]
fn generators_and_coroutines() {
    for python in pythons() {
        let run = check("generators.py", &[], python);
        assert_eq!(run.stack_of(11_001), "generator:6 < <module>:26");
        assert_eq!(run.stack_of(11_101), "generator:8 < resumes:9 < <module>:27");
        assert_eq!(run.stack_of(11_201), "<genexpr>:28 < <module>:28");
        assert_eq!(run.stack_of(11_501), "generates:12 < delegates:11 < <module>:29");
        assert!(run.stack_of(11_301).starts_with("inner:15 < middle:17 < outer:22 < "), "{}", run.stack_of(11_301));
        assert!(run.stack_of(11_401).starts_with("counts:19 < outer:23 < "), "{}", run.stack_of(11_401));
        assert!(run.stack_of(11_601).starts_with("inner:15 < Task < _run:"), "{}", run.stack_of(11_601));
    }
}

#[test]
fn callbacks_from_the_interpreter() {
    for python in pythons() {
        let run = check("callbacks.py", &[], python);
        assert_eq!(run.stack_of(13_001), "__del__:10 < drops:13 < <module>:28");
        assert_eq!(run.stack_of(13_101), "__del__:10 < collects:18 < <module>:28");
        assert_eq!(run.stack_of(13_201), "called:19 < <module>:29");
        assert_eq!(run.stack_of(13_301), "key:24 < sorts:25 < <module>:28");
        assert_eq!(run.stack_of(13_701), "<lambda>:30");
    }
}

#[test]
fn line_tables() {
    for python in pythons() {
        let run = check("lines.py", &[], python);
        assert_eq!(run.stack_of(14_001), "several:8 < <module>:29");
        assert_eq!(run.stack_of(14_201), "long:500 < <module>:29");
        assert_eq!(run.stack_of(14_301), "loops:18 < <module>:29");
        assert_eq!(run.stack_of(14_501), "<module>:30");
    }
}

#[test]
fn deep_recursion() {
    for python in pythons() {
        // Each level of Python takes a piece of the C stack up to 3.10; the thread's has room for it.
        for (depth, through_c) in [(900, false), (10_000, false), (700, true)] {
            let text = depth.to_string();
            let arguments: &[&str] = if through_c { &[&text, "through C"] } else { &[&text] };
            let run = check("deep.py", arguments, python);
            let stack = &run.of_size(12_345)[0].stack;
            // `bottom`, all the levels, `main`, and three of the threading module.
            assert_eq!(stack.len(), 1 + depth + 1 + 1 + 3, "on 3.{}", python.minor);
            assert_eq!(run.of_size(12_345).len(), 3);
            assert_eq!(run.of_size(23_456).len(), 3 * depth / 100);
            assert_eq!(run.totals().tracer.cut_stacks, 0);
        }
    }
}

/// What is kept of a stack is believed only while it is so: here every stack is read a second time as a whole.
#[test]
fn what_is_kept_of_a_stack_is_what_it_is() {
    for python in pythons() {
        for mode in ["--no-follow", "--python-allocators"] {
            let calls = Traced::python("../stress/calls.py", python).args(["1000"]).options([mode]);
            let run = calls.env("HEAPTIDE_VERIFY", "1").record();
            run.exits(0);
            assert!(!run.stderr().contains("HEAPTIDE_VERIFY"), "{} on 3.{}", run.stderr(), python.minor);
            assert_eq!(run.stdout(), "calls: 87325\n");
            // Tracing went on to the end.
            assert!(run.totals().events > 100_000);
        }
    }
}

#[test]
fn code_objects_that_die_are_not_taken_for_others() {
    for python in pythons() {
        let run = Traced::python("dying.py", python).args(["10000"]).record();
        let mut found: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for step in run.steps().iter().filter(|step| step.what == What::Allocated) {
            found.entry(step.bytes).or_default().push(step.stack.join(" < "));
        }
        let head = if python.since(15) { BYTES_HEAD } else { 0 };
        for number in 1..=10_000_u64 {
            let caller = if number % 2 == 1 { "calls:8" } else { "calls_too:12" };
            let stack = format!("number_{number}:{number} < {caller} < <module>:20");
            assert_eq!(found[&(head + 200_001 + 16 * number)], [stack.as_str()]);
            assert_eq!(found[&(head + 200_009 + 16 * number)], [format!("<module>:1 < {stack}")]);
        }
    }
}

#[test]
fn names_outside_of_ascii() {
    for python in pythons() {
        let run = check("größe_名前.py", &[], python);
        assert_eq!(run.stack_of(15_001), "größe:4 < <module>:7");
        assert_eq!(run.stack_of(15_101), "大きさ:5 < <module>:8");
        assert_eq!(run.stack_of(15_201), "𐍈:6 < <module>:9");
        assert!(run.profile().frames.iter().any(|frame| frame.file.ends_with("/größe_名前.py")));
    }
}

#[test]
fn imports() {
    for python in pythons() {
        let run = check("imports.py", &[], python);
        let stack = run.stack_of(17_001);
        assert!(stack.starts_with("<module>:2 < ") && stack.ends_with(" < <module>:5"), "{stack}");
        assert_eq!(run.stack_of(17_101), "call:6 < <module>:7");
    }
}

#[test]
fn the_programs_own_trace_functions_work() {
    for python in pythons() {
        let traced = Traced::python("tracing.py", python);
        let bare = traced.clone().bare();
        let run = traced.record();
        assert_eq!(run.stdout(), bare.stdout());
        let mut stacks: Vec<String> = run.of_size(16_001).iter().map(|step| step.stack.join(" < ")).collect();
        stacks.sort();
        assert_eq!(stacks, ["traced:17 < <module>:22", "traced:17 < <module>:25"]);
        assert_eq!(run.stack_of(16_101), "note:12 < traced:18 < <module>:22");
    }
}

#[test]
fn small_objects_are_seen_when_asked_for() {
    for python in pythons() {
        let told = Traced::python("objects.py", python).args(["tracemalloc"]).bare();
        let numbers: Vec<u64> = told.stdout().split_whitespace().map(|word| word.parse().unwrap()).collect();
        let run = Traced::python("objects.py", python).options(["--python-allocators"]).record();
        assert_eq!(run.at_exit("objects"), (numbers[0], numbers[1]), "on 3.{}", python.minor);
        assert_eq!(run.at_exit("tuples"), (numbers[2], numbers[3]), "on 3.{}", python.minor);
        assert_eq!((numbers[1], numbers[3]), (10_000, 10_000));
    }
}

#[test]
fn arenas_are_not_counted_beside_their_objects() {
    for python in pythons() {
        let run = Traced::python("objects.py", python).options(["--python-allocators"]).record();
        let mapped = run.totals().allocators[usize::from(Allocator::Mmap.number())];
        assert!(mapped.bytes < 256 << 10, "{mapped:?} on 3.{}", python.minor);
    }
}

#[test]
fn small_objects_are_not_seen_by_default() {
    for python in pythons() {
        let run = Traced::python("objects.py", python).record();
        // At most the arenas that the objects need: some of 256 KiB or 1 MiB.
        assert!(run.at_exit("objects").1 < 10, "{:?}", run.at_exit("objects"));
        let first = usize::from(Allocator::PyRawMalloc.number());
        assert!(run.totals().allocators[first..].iter().all(|amount| amount.count == 0));
    }
}

#[test]
fn other_allocators_of_the_interpreter() {
    for python in pythons() {
        for allocator in ["malloc", "debug", "pymalloc_debug"] {
            let run = Traced::python("functions.py", python)
                .options(["--python-allocators"])
                .env("PYTHONMALLOC", allocator)
                .run();
            run.exits(0);
            assert_eq!(run.stack_of(10_102), "lines:13 < plain:14 < <module>:30", "{allocator} on 3.{}", python.minor);
            assert_eq!(run.totals().tracer.lost, 0);
        }
    }
}

#[test]
fn the_debug_allocator_contradicts_nothing() {
    for python in pythons() {
        let functions = Traced::python("functions.py", python).options(["--python-allocators"]);
        functions.env("PYTHONMALLOC", "debug").record();
    }
}
