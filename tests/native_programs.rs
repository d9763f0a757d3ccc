//! Programs that were not written for a test, with native stacks that the tracer itself verifies at every event
//! (`HEAPTIDE_VERIFY=1`): compilers with their children, interpreters. They do what they do without heaptide, and every
//! stack is complete. `tests/native_programs.sh` has more of them, and larger ones.

use crate::native::{CUT, Stacks, built};
use crate::support::Scratch;
use crate::traced::{Run, Traced, announce, compiled, fixture, newest_python, pythons};
use heaptide_format::capture::FrameDef;
use heaptide_format::ids::FrameId;
use std::process::Command;

/// Records the command with verified native stacks; it prints what it prints without heaptide.
fn verified(traced: Traced) -> Run {
    let bare = traced.clone().bare();
    let run = traced.options(["--native"]).env("HEAPTIDE_VERIFY", "1").record();
    assert_eq!((run.status.code(), run.stdout()), (bare.status.code(), bare.stdout()));
    assert!(!run.stderr().contains("VERIFY"), "{}", run.stderr());
    run
}

/// Whether a stack in this capture was cut.
fn has_cuts(run: &Run) -> bool {
    let names = &run.capture().names;
    (0..names.frames() as u32).any(|id| names.frame(FrameId(id)) == FrameDef::Unknown { address: 0 })
}

#[test]
fn c_and_cxx_compilers() {
    let commands = [
        ("cc", fixture("../native/told_library.c"), ["cc", "cc1"]),
        ("c++", fixture("../native/exceptions.cpp"), ["c++", "cc1plus"]),
    ];
    for (compiler, source, [driver, proper]) in commands {
        let run = verified(Traced::command([compiler]).args(["-O2", "-w", "-S", "-o", "-"]).args([source]));
        let images = run.images();
        // The driver may be a link to a name of another form, `x86_64-linux-gnu-gcc-12`.
        assert!(images.iter().any(|image| image == proper), "{driver}: {images:?}");
        assert!(!has_cuts(&run));
        assert!(run.totals().allocated.count > 1_000, "{:?}", run.totals().allocated);
    }
}

/// JSON, regular expressions, SQLite, compression, text, modules in C that throw and catch.
#[test]
fn python_and_its_libraries() {
    let script = "import decimal, hashlib, json, re, sqlite3, xml.etree.ElementTree as tree, zlib, csv, io, pickle\n\
        base = sqlite3.connect(':memory:')\n\
        base.create_function('twice', 1, lambda text: text * 2)\n\
        base.execute('create table t(a, b)')\n\
        base.executemany('insert into t values(?, ?)', ((i, 'x' * (i % 90)) for i in range(3000)))\n\
        rows = base.execute('select twice(b), count(*) from t group by b order by b').fetchall()\n\
        text = json.dumps(rows) + str(decimal.Decimal(2) ** 900)\n\
        print(hashlib.sha256(zlib.compress(re.sub('x+', lambda m: str(len(m[0])), text).encode())).hexdigest())\n\
        root = tree.fromstring('<a>' + '<b c=\"1\">d</b>' * 500 + '</a>')\n\
        print(len(pickle.dumps([child.attrib for child in root])), len(list(csv.reader(io.StringIO(text)))))\n";
    for python in pythons() {
        let run = verified(Traced::command([python.path.as_os_str(), "-c".as_ref(), script.as_ref()]));
        assert!(!has_cuts(&run), "on 3.{}", python.minor);
        // All that main leads to, and only that, is from `main` or from a thread's beginning.
        let stacks = Stacks::of(run);
        let starts = stacks.outermost();
        assert!(
            starts.iter().all(|start| start == "[python]" || start == "[libc]" || start.starts_with("[ld-linux")),
            "{starts:?}"
        );
    }
}

/// Both of Python's ways to start others, and the shell.
#[test]
fn children_of_python() {
    let python = newest_python();
    let run = verified(Traced::python("children.py", python));
    assert!(!has_cuts(&run));
    assert!(run.images().len() >= 2, "{:?}", run.images());
}

/// Machine code made at run time has no unwind data: most stacks are cut there, and the program does not mind.
#[test]
fn node_whose_code_is_made_at_run_time() {
    if Command::new("node").arg("--version").output().is_err() {
        return announce("skipped: no node on this machine");
    }
    let script = "let all = []; for (let i = 0; i < 20000; i++) all.push(JSON.parse('{\"a\":[' + i + ']}'));\
                  console.log(all.length, require('zlib').gzipSync(JSON.stringify(all)).length > 100);";
    let run = verified(Traced::command(["node", "-e", script]));
    assert_eq!(run.stdout(), "20000 true\n");
    assert!(has_cuts(&run));
}

/// Rust: mangled names of the newer kind, generic functions, closures, a vtable, a callback from C.
#[test]
fn a_rust_program() {
    let Ok(version) = Command::new("rustc").arg("--version").output() else {
        return announce("skipped: no rustc on this machine");
    };
    assert!(version.status.success());
    let library = built("told_library.c", ".o", &["-c", "-O2"]);
    let scratch = Scratch::new();
    let program = scratch.path("rust");
    let linked = format!("link-arg={}", library.display());
    let flags = ["--edition", "2024", "-C", "symbol-mangling-version=v0", "-C", "opt-level=2", "-C", &linked, "-o"];
    scratch.run(Command::new("rustc").args(flags).arg(&program).arg(fixture("../native/rust.rs"))).exits(0);
    let stacks = Stacks::agreed(Traced::command([&program]).options(["--native"]));
    let functions = |size| stacks.functions(size).join(" < ");
    assert!(
        functions(27_001).starts_with("take < <rust::Holder<u32> as rust::Takes>::takes < rust::main < "),
        "{}",
        functions(27_001)
    );
    let closure = "take < <rust::Holder<u16> as rust::Takes>::takes < ";
    assert!(
        functions(27_002).starts_with(closure)
            && functions(27_002).contains("rust::generic::<rust::main::{closure#0}> < rust::main < "),
        "{}",
        functions(27_002)
    );
    let callback = "take < <rust::Holder<u8> as rust::Takes>::takes < ";
    assert!(
        functions(27_003).starts_with(callback) && functions(27_003).contains("through_c < rust::main < "),
        "{}",
        functions(27_003)
    );
    assert!(functions(27_004).contains("rust::main < "), "{}", functions(27_004));
    assert!(!functions(27_004).contains(CUT));
}

/// `--native` changes nothing of what is said of programs that cannot be traced.
#[test]
fn statically_linked_programs_are_refused() {
    for (kind, flags) in [("_static", &["-static"][..]), ("_static_pie", &["-static-pie", "-fPIE"])] {
        let run = Traced::command([compiled("peak.c", kind, flags)]).options(["--native"]).run();
        run.exits(126);
        assert!(run.stderr().contains("statically linked"), "{}", run.stderr());
    }
}
