//! The same scripts under memray: the same allocations, function by function and line by line.
//!
//! Needs an interpreter that can import memray: HEAPTIDE_MEMRAY_PYTHON names one, else `python3` is tried.

use crate::support::Scratch;
use crate::traced::{Traced, What, announce, fixture};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// Prints function, line, bytes and number of blocks of each place in the script that allocated 10 000 bytes or more.
/// Smaller ones and mappings are left out: memray lives in the interpreter, so types that it has initialised and arenas
/// that it has filled are not the script's any more.
const TOTALS: &str = "
import collections, sys
from memray import AllocatorType, FileReader
totals = collections.defaultdict(lambda: [0, 0])
for record in FileReader(sys.argv[1]).get_allocation_records():
    if record.allocator in (AllocatorType.FREE, AllocatorType.MUNMAP, AllocatorType.MMAP) or record.size < 10000: continue
    stack = record.stack_trace(1)
    if stack and stack[0][1] == sys.argv[2]:
        total = totals[stack[0][0].rsplit('.', 1)[-1], stack[0][2]]
        total[0] += record.size
        total[1] += record.n_allocations
for (function, line), (size, count) in sorted(totals.items()):
    print(function, line, size, count)
";

fn interpreter() -> Option<PathBuf> {
    let candidate = std::env::var_os("HEAPTIDE_MEMRAY_PYTHON").map_or("python3".into(), PathBuf::from);
    let answer = Command::new(&candidate).args(["-c", "import memray, sys; print(sys.executable)"]).output().ok()?;
    let path = String::from_utf8(answer.stdout).ok()?;
    (answer.status.success()).then(|| path.trim().into())
}

#[test]
fn the_same_allocations_as_memray() {
    let Some(python) = interpreter() else {
        return announce("skipped: no interpreter with memray; HEAPTIDE_MEMRAY_PYTHON can name one");
    };
    for script in ["functions.py", "lines.py", "generators.py", "threads.py", "one_block.py"] {
        let scratch = Scratch::new();
        let script = fixture(script);
        let mut memray = Command::new(&python);
        memray.args(["-m", "memray", "run", "-q", "-o"]).arg(scratch.path("memray.bin")).arg(&script);
        scratch.run(&mut memray).exits(0);
        let mut totals = Command::new(&python);
        totals.args(["-c", TOTALS]).arg(scratch.path("memray.bin")).arg(&script);
        let expected = scratch.run(&mut totals).exits(0).stdout();

        let run = Traced::command([&python, &script]).record();
        let mut found: BTreeMap<(String, u32), (u64, u64)> = BTreeMap::new();
        for step in run.steps() {
            let allocates = matches!(step.what, What::Allocated | What::Reallocated(_));
            if allocates && step.bytes >= 10_000 && !step.allocator.is_mapping() && script.as_os_str() == &*step.file {
                let line = step.stack[0].rsplit(':').next().unwrap().parse().unwrap();
                let total = found.entry((step.function.clone(), line)).or_default();
                *total = (total.0 + step.bytes, total.1 + 1);
            }
        }
        let found: String = found
            .iter()
            .map(|((function, line), (bytes, count))| format!("{function} {line} {bytes} {count}\n"))
            .collect();
        assert!(expected.lines().count() >= 1, "memray tells of nothing in {}", script.display());
        assert_eq!(found, expected, "{}", script.display());
    }
}
