//! Programs and test suites of others, that once fared worse when traced, or could. The long form, with many more of them,
//! is `tests/guests/run.sh`; docs/guests.md tells what came out.

use crate::traced::{Traced, announce, compiled, pythons};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// PostgreSQL with libgpg-error: `initdb` waited for ever. Our first moment asked `dlsym` for what is not there and then
/// `dlerror`, which takes and gives back the lock that `bindtextdomain` was holding.
#[test]
fn first_allocation_under_a_lock_of_gettext() {
    let library = compiled("first_in_gettext.c", ".so", &["-DLIBRARY", "-shared", "-fPIC"]);
    let library = library.to_str().expect("a path that is text");
    let program = compiled("first_in_gettext.c", "", &[library]);
    for options in [&[][..], &["--native"]] {
        // A limit, because a failure of this test would not end.
        let command = [OsStr::new("timeout"), OsStr::new("60"), program.as_os_str()];
        let run = Traced::command(command).options(options).record();
        assert_eq!(run.exits(0).stdout(), "here none\n");
        assert_eq!(run.at_exit("keep"), (12_345, 1));
    }
}

/// NumPy's `test_multithreading`, 500 threads again and again: on a busy machine more of them had ended than there are rings
/// before the collector had taken one back, and what the next ones did was lost.
#[test]
fn threads_come_and_go_while_the_collector_has_no_processor() {
    let run = Traced::program("come_and_go.c").record();
    run.exits(0).is_whole().lost_nothing();
    assert_eq!(run.at_exit("keep"), (6_000 * 1_234, 6_000));
}

/// Quick modules of CPython's own tests, one or two of each area.
const MODULES: &str = "test_gc test_mmap test_thread test_threading_local test_posix test_popen test_atexit test_frame \
                       test_struct test_context test_wait4 test_poll test_threadsignals test_finalization";

#[test]
fn tests_of_cpython_come_out_the_same() {
    let has_tests = |python: &Path| {
        let ask = "import test.libregrtest, test.test_gc, test.test_threadsignals";
        Command::new(python).args(["-c", ask]).output().is_ok_and(|output| output.status.success())
    };
    let (with, without): (Vec<_>, Vec<_>) = pythons()
        .iter()
        .filter(|python| (11..=13).contains(&python.minor) && !python.debug)
        .map(|python| python.path.as_path())
        .partition(|python| has_tests(python));
    for python in &without {
        announce(&format!("skipped: {} has no package `test`", python.display()));
    }
    if with.is_empty() {
        announce("skipped: no Python 3.11 to 3.13 with its package `test`");
        return;
    }
    std::thread::scope(|scope| {
        for python in with.into_iter().rev().take(2) {
            scope.spawn(move || same_outcomes(python));
        }
    });
}

fn same_outcomes(python: &Path) {
    let scratch = crate::support::Scratch::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/cpython.py");
    let mut command = Command::new(python);
    command.arg(script).args(["--heaptide", env!("CARGO_BIN_EXE_heaptide"), "--modules", MODULES, "--results"]);
    let output = command.arg(scratch.path("results")).arg(python).output().expect("a Python that was found");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // More than some modules that could not be imported.
    let counted =
        said.lines().find_map(|line| line.split_once(" outcomes compared")?.0.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(counted.is_some_and(|outcomes| outcomes > 300), "{said}");
    assert!(said.contains(": 14 units"), "{said}");
}
