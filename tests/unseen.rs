//! Allocators that are linked into programs and libraries: told where their blocks are not recorded, and only there.

use crate::support::page;
use crate::traced::{Run, Traced, announce, compiled, pythons};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// holds.c: 12 400 pages. The allocator has its own tables beside them; what the objects' data may explain is taken off.
const HELD: std::ops::RangeInclusive<u64> = 44_000_000..=56_000_000;
const BLOCK: u64 = 123_456;

/// A static library of Debian's, if it is installed.
fn archive(name: &str) -> Option<&'static str> {
    let directories = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let found = directories.map(|directory| Path::new(directory).join(name)).into_iter().find(|path| path.exists());
    if found.is_none() {
        announce(&format!("skipped: no {name} on this machine"));
    }
    found.and_then(|path| Some(&*Box::leak(path.to_str()?.to_owned().into_boxed_str())))
}

/// A program with this allocator instead of the C library's.
fn program(kind: &str, archive: &str, more: &[&str]) -> PathBuf {
    compiled("holds.c", kind, &[&[archive, "-lm", "-lstdc++"], more].concat())
}

/// jemalloc with all its names changed to `own_…`, as those who link it into a library do, in an archive.
fn renamed_jemalloc() -> Option<PathBuf> {
    let archive = archive("libjemalloc_pic.a")?;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    std::fs::create_dir_all(&directory).unwrap();
    let [names, fresh, renamed] =
        ["names", "a", "renamed.a"].map(|end| directory.join(format!("own_jemalloc.{}.{end}", std::process::id())));
    let symbols = Command::new("nm").args(["-g", "--defined-only", "-f", "posix", archive]).output().unwrap();
    let symbols = String::from_utf8(symbols.stdout).unwrap();
    let defined = symbols.lines().filter(|line| line.split(' ').count() > 2 && !line.starts_with("_Z"));
    let renames = defined.filter_map(|line| line.split(' ').next()).map(|name| format!("{name} own_{name}\n"));
    std::fs::write(&names, renames.collect::<String>()).unwrap();
    let mut objcopy = Command::new("objcopy");
    objcopy.arg(format!("--redefine-syms={}", names.display())).args([archive.as_ref(), fresh.as_path()]);
    assert!(objcopy.status().unwrap().success(), "{objcopy:?}");
    std::fs::rename(&fresh, &renamed).unwrap();
    std::fs::remove_file(names).unwrap();
    Some(renamed)
}

/// A library whose `hold` allocates from a jemalloc that has other names, none of which is exported.
fn library(kind: &str, more: &[&str]) -> Option<PathBuf> {
    let jemalloc = renamed_jemalloc()?;
    let flags = ["-DLIBRARY", "-Dmalloc=own_malloc", "-shared", "-fPIC", "-Wl,--exclude-libs,ALL"];
    Some(compiled("holds.c", kind, &[&flags[..], &[jemalloc.to_str().unwrap(), "-lm"], more].concat()))
}

/// Debian's jemalloc has its thread's data in the part that is shared out at start: more of that is asked for.
fn loads_late() -> Traced {
    Traced::program("loads_late.c").env("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=20000")
}

fn unseen(run: &Run) -> (Value, Vec<String>) {
    let json = run.heaptide("stats --json run.bin").succeeds().json();
    let warnings = json["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    (json["unseen_allocators"].clone(), warnings)
}

/// Expects one allocator, in this object; that it holds what holds.c does, as `in_mappings_bytes` or as
/// `not_explained_bytes`; and that every report says so.
fn check_found(run: &Run, object: &Path, allocator: &str, evidence: &str, part: &str) {
    let (found, warnings) = unseen(run);
    let objects = found["found"].as_array().unwrap();
    let object_path = object.canonicalize().unwrap();
    assert_eq!(objects.len(), 1, "{found}");
    assert_eq!(objects[0]["object"], object_path.to_str().unwrap());
    assert_eq!((&objects[0]["allocator"], &objects[0]["evidence"]), (&allocator.into(), &evidence.into()));
    assert_eq!(found["objects_not_searched"], 0);
    let growth = found["growth"].as_array().unwrap();
    let significant: Vec<&Value> = growth.iter().filter(|growth| growth["significant"] == true).collect();
    let [growth] = significant[..] else { panic!("{found}") };
    assert!(HELD.contains(&growth[part].as_u64().unwrap()), "{found}");
    let name = object.file_name().unwrap().to_str().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with(&format!("{allocator} in {name} is not traced: of ")), "{warnings:?}");
    for report in ["summary", "tree", "leaks", "stats", "diff run.bin"] {
        run.heaptide(&format!("{report} run.bin")).succeeds().shows(&warnings[0]);
    }
    run.heaptide("flamegraph -f run.bin").exits(0);
    let page = page::text(&std::fs::read_to_string(run.directory().join("run.flamegraph.html")).unwrap());
    assert!(page.contains(&warnings[0]));
}

fn check_none(run: &Run) {
    let (found, warnings) = unseen(run);
    assert_eq!(found["found"].as_array().unwrap().len(), 0, "{found}");
    assert_eq!(warnings, [""; 0]);
}

/// A program's own malloc comes before the preloaded one, so none of its blocks is seen; jemalloc's mappings are, and
/// tcmalloc makes its own without asking the C library.
#[test]
fn a_program_with_an_allocator_of_its_own_says_so() {
    let jemalloc = [("mallctlbymib", ".je", &[][..]), ("<jemalloc>: ", ".je.stripped", &["-s"])];
    let tcmalloc = [("tc_malloc", ".tc", &[][..]), ("tcmalloc.max_total_thread_cache_bytes", ".tc.stripped", &["-s"])];
    for (allocator, name, kinds, part) in [
        ("jemalloc", "libjemalloc.a", jemalloc, "in_mappings_bytes"),
        ("tcmalloc", "libtcmalloc_minimal.a", tcmalloc, "not_explained_bytes"),
    ] {
        let Some(archive) = archive(name) else { continue };
        for (evidence, kind, more) in kinds {
            let program = program(kind, archive, more);
            let run = Traced::command([&program]).record();
            assert_eq!(run.of_size(BLOCK).len(), 0);
            check_found(&run, &program, allocator, evidence, part);
        }
    }
}

#[test]
fn an_allocator_that_holds_little_is_named_but_not_blamed() {
    let Some(archive) = archive("libjemalloc.a") else { return };
    // 40 blocks: 4 938 240 bytes.
    let run = Traced::command([program(".je", archive, &[])]).args(["40"]).record();
    let (found, warnings) = unseen(&run);
    assert_eq!(found["found"][0]["allocator"], "jemalloc");
    assert_eq!((&found["growth"][0]["significant"], warnings.len()), (&false.into(), 0));
    run.heaptide("stats run.bin").succeeds().shows("Allocators that are not traced");
}

#[test]
fn a_library_that_comes_late_is_searched() {
    for (kind, evidence, more) in
        [(".own.so", "own_mallctlbymib", &[][..]), (".own.stripped.so", "<jemalloc>: ", &["-s"])]
    {
        let Some(library) = library(kind, more) else { return };
        for options in [&[][..], &["--aggregate"]] {
            let run = loads_late().args([&library]).options(options).record();
            check_found(&run, &library, "jemalloc", evidence, "in_mappings_bytes");
        }
        // The parent has no such library: one image is named, the child.
        let run = loads_late().args([library.as_os_str(), "fork".as_ref()]).record();
        assert_eq!(run.capture().names.images().len(), 2);
        check_found(&run, &library, "jemalloc", evidence, "in_mappings_bytes");
        let child = run.capture().names.images()[1].pid;
        assert_eq!(unseen(&run).0["found"][0]["pid"], child);
    }
}

/// Linked dynamically, or preloaded by the user, or in a library that exports `malloc`: ours is called instead, and
/// calls it. All 400 blocks are seen.
#[test]
fn an_allocator_that_is_hooked_is_not_told() {
    let Some(archive) = archive("libjemalloc_pic.a") else { return };
    let plain = compiled("holds.c", "", &[]);
    let mut runs = vec![Traced::command([compiled("holds.c", ".dynamic", &["-ljemalloc"])]).record()];
    let shared = Path::new(archive).with_file_name("libjemalloc.so.2");
    runs.push(Traced::command([plain]).env("LD_PRELOAD", shared).record());
    let flags = ["-DLIBRARY", "-shared", "-fPIC", archive, "-lm", "-lstdc++"];
    let exports = compiled("holds.c", ".exports.so", &flags);
    runs.push(loads_late().args([exports]).record());
    for run in runs {
        assert_eq!(run.of_size(BLOCK).len(), 400);
        check_none(&run);
    }
    // Bound to itself: its calls do not leave it.
    let symbolic = compiled("holds.c", ".symbolic.so", &[&flags[..], &["-Wl,-Bsymbolic"]].concat());
    let run = loads_late().args([&symbolic]).record();
    assert_eq!(run.of_size(BLOCK).len(), 0);
    check_found(&run, &symbolic, "jemalloc", "mallctlbymib", "in_mappings_bytes");
}

/// From 3.13 on every CPython has a mimalloc, which only `PYTHONMALLOC` makes it use.
#[test]
fn cpythons_mimalloc_is_told_where_it_is_used() {
    // 200 000 floats of 24 bytes in a list, and as many strings of 74: 20 MB. Held for 0.3 s.
    let script = "import time; a = [(i / 7, 'x' * 20 + str(i)) for i in range(200_000)]; time.sleep(.3)";
    let Some(python) = pythons().iter().find(|python| python.minor == 13) else { return };
    let traced = || Traced::command([&python.path]).args(["-c", script]);
    check_none(&traced().record());
    check_none(&traced().env("PYTHONMALLOC", "mimalloc").options(["--python-allocators"]).record());
    let run = traced().env("PYTHONMALLOC", "mimalloc").record();
    let (found, warnings) = unseen(&run);
    assert_eq!(found["found"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["found"][0]["allocator"], "CPython's mimalloc");
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("CPython's mimalloc in "), "{warnings:?}");
}
