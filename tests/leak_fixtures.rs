//! The programs of `fixtures/leaks` do what their table says: how many blocks the site ever asked for, how many of them
//! lived at once, how many are left.

use crate::traced::{Run, Traced, What, compiled, newest_python};
use std::collections::BTreeSet;

/// Each with 100 ticks.
fn recorded(file: &str) -> Run {
    let path = format!("../leaks/{file}");
    let traced = match file.ends_with(".c") {
        true => Traced::command([compiled(&path, "", &[])]),
        false => Traced::python(&path, newest_python()),
    };
    traced.args(["100"]).record()
}

/// Blocks of this size that the function itself asked for: in all, most at once, at the end of the program.
fn counts(run: &Run, function: &str, bytes: u64) -> (u64, u64, u64) {
    let (mut all, mut most) = (0, 0);
    let mut live = BTreeSet::new();
    for step in run.steps().iter().filter(|step| step.function == function && step.bytes == bytes) {
        match step.what {
            What::Freed => drop(live.remove(&step.slot)),
            _ => {
                live.insert(step.slot);
                all += 1;
                most = most.max(live.len() as u64);
            }
        }
    }
    // Not what is live now: the interpreter has taken its modules apart.
    let blocks = run.at_exit(function).0.checked_div(bytes).unwrap_or(0);
    (all, most, blocks)
}

#[test]
fn programs_with_known_growth_grow_so() {
    // Of the file: function, size, blocks in all, most at once, left.
    type Site = (&'static str, &'static str, u64, (u64, u64, u64));
    const SITES: [Site; 22] = [
        ("leak_list.py", "remember", 4_001, (100, 100, 100)),
        ("leak_dict.py", "respond", 6_001, (80, 80, 80)),
        ("leak_error_path.py", "read", 7_001, (100, 5, 5)),
        ("leak_slow.py", "note", 12_346, (20, 20, 20)),
        ("leak_slow.py", "work", 1_000, (100, 1, 0)),
        ("leak_native.py", "fetch", 5_000, (100, 100, 100)),
        ("leak_native.py", "borrow", 5_500, (100, 1, 0)),
        ("leak_requests.c", "handle", 3_000, (100, 100, 100)),
        ("bounded_lru.py", "answer", 8_001, (100, 65, 64)),
        ("bounded_ring.c", "receive", 9_000, (100, 51, 50)),
        ("bounded_threads.py", "prepare", 5_001, (80, 80, 80)),
        ("sawtooth_buffer.py", "log", 6_501, (100, 40, 20)),
        ("sawtooth_batches.c", "collect", 4_504, (100, 30, 10)),
        ("startup_tables.py", "work", 3_001, (100, 1, 0)),
        ("step_loads.py", "first_model", 3_000_001, (1, 1, 1)),
        ("growing_vector.c", "append", 128_000, (1, 1, 1)),
        ("drained_queue.py", "produce", 3_501, (160, 81, 0)),
        ("clean_churn.py", "handle", 700, (100, 1, 0)),
        ("clean_server.py", "session", 10_001, (140, 41, 40)),
        ("clean_workers.c", "work", 1_500, (1_000, 10, 0)),
        ("clean_imports.py", "document", 2_001, (0, 0, 0)),
        ("clean_sort.py", "ordered", 2_001, (0, 0, 0)),
    ];
    let mut files: Vec<&str> = SITES.iter().map(|site| site.0).collect();
    files.dedup();
    // They sleep most of the time.
    std::thread::scope(|scope| {
        for file in files {
            scope.spawn(move || {
                let run = recorded(file);
                for (_, function, bytes, expected) in SITES.iter().filter(|site| site.0 == file) {
                    assert_eq!(counts(&run, function, *bytes), *expected, "{function} of {file}");
                }
            });
        }
    });
}

/// Those whose site is a comprehension (a function of its own up to 3.11) or a block of changing size.
#[test]
fn programs_whose_site_has_blocks_of_many_kinds() {
    let left = |file: &str, bytes: u64| {
        let run = recorded(file);
        let of_size = run.steps().iter().filter(|step| step.bytes == bytes && step.what == What::Allocated).count();
        (run, of_size)
    };
    let (run, blocks) = left("startup_tables.py", 2_001);
    assert!(blocks >= 300, "{blocks} on 3.{}", newest_python().minor);
    assert_eq!(run.totals().tracer.lost, 0);
    let (_, blocks) = left("step_loads.py", 50_001);
    assert_eq!(blocks, 40);
    let (run, _) = left("growing_bytes.py", 0);
    let (bytes, blocks) = run.at_exit("extend");
    assert_eq!(blocks, 1);
    // 200 000 bytes, and up to an eighth more.
    assert!((200_000..=225_100).contains(&bytes), "{bytes}");
}
