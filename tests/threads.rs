//! Threads: exact counts however many there are, and blocks that one thread makes and another frees.

use crate::traced::{Traced, pythons};

#[test]
fn a_hundred_threads_with_a_hundred_blocks_each() {
    let run = Traced::program("hundred_threads.c").record();
    assert_eq!(run.allocated("fill"), (12_370_000, 10_000));
    assert_eq!(run.at_peak("fill"), (12_370_000, 10_000));
    assert_eq!(run.at_exit("fill"), (0, 0));
    assert_eq!(run.threads(), 101);
}

/// No thread caches and one arena: an address freed by one thread is at once given to another.
fn with_immediate_reuse(program: &str) -> Traced {
    Traced::program(program).env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1")
}

#[test]
fn blocks_made_in_one_thread_and_freed_in_another() {
    let run = with_immediate_reuse("passing.c").record();
    assert_eq!(run.allocated("make"), (400_000_000, 400_000));
    assert_eq!(run.at_exit("make"), (8_000, 8));
    // Every release is that of a block that is known.
    assert_eq!(run.totals().freed_unknown, 0);
}

#[test]
fn blocks_freed_as_soon_as_another_thread_knows_of_them() {
    let run = Traced::program("../stress/handing.c").record();
    assert_eq!(run.allocated("make"), (1_000_000_000, 1_000_000));
    assert_eq!(run.at_exit("make"), (0, 0));
    assert_eq!(run.totals().freed_unknown, 0);
}

#[test]
fn blocks_reallocated_in_another_thread() {
    let run = with_immediate_reuse("regrowing.c").record();
    assert_eq!(run.allocated("make"), (100_000_000, 100_000));
    assert_eq!(run.allocated("regrow"), (99_992 * 2_000, 99_992));
    assert_eq!((run.at_exit("make"), run.at_exit("regrow")), ((8_000, 8), (0, 0)));
    assert_eq!(run.totals().freed_unknown, 0);
}

#[test]
fn aggregated_the_same() {
    let run = with_immediate_reuse("passing.c").options(["--aggregate"]).record();
    assert_eq!(run.allocated("make"), (400_000_000, 400_000));
    assert_eq!(run.at_exit("make"), (8_000, 8));
    assert!(run.steps().is_empty());
}

#[test]
fn three_hundred_at_once() {
    let run = Traced::program("many_threads.c").args(["300"]).record();
    assert_eq!(run.at_exit("keep"), (300 * 777, 300));
    assert_eq!(run.threads(), 301);
}

#[test]
fn three_thousand_one_after_another() {
    let run = Traced::program("many_threads.c").args(["3000", "in turn"]).record();
    assert_eq!(run.at_exit("keep"), (3_000 * 777, 3_000));
    assert_eq!(run.threads(), 3_001);
}

#[test]
fn threads_have_the_names_they_were_given() {
    let run = Traced::program("names.c").record();
    let names = run.thread_names();
    assert_eq!(names, ["early", "late", "names", "names"]);
}

#[test]
fn python_threads() {
    for python in pythons() {
        let run = Traced::python("threads.py", python).record();
        assert_eq!(run.of_size(12_345).len(), 1_000);
        // From 3.12 on a comprehension has no frame of its own.
        let function = if python.since(12) { "fill" } else { "<listcomp>" };
        let line = if python.since(12) { "fill:11" } else { "<listcomp>:11 < fill:11" };
        assert!(run.stack_of(12_345).starts_with(&format!("{line} < work:15 < run:")), "{}", run.stack_of(12_345));
        assert!(run.at_peak(function).1 >= 1_000, "{:?}", run.at_peak(function));
        assert!(run.stack_of(54_321).starts_with("sleeper:21 < run:"));
        assert!(run.threads() >= 22);
    }
}

#[test]
fn python_threads_are_counted_once() {
    for python in pythons() {
        // The main thread, the sleeper, and 20.
        assert_eq!(Traced::python("threads.py", python).record().threads(), 22);
    }
}

#[test]
fn python_threads_in_great_numbers() {
    for python in pythons() {
        let run = Traced::python("many_threads.py", python).record();
        let blocks = run.of_size(12_345);
        assert_eq!(blocks.len(), 2_000);
        assert!(blocks.iter().all(|step| step.stack[0] == "work:9"), "{:?}", blocks[0]);
    }
}
