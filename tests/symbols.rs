//! Names of native functions: from debug information wherever it is, from symbol tables, from the capture itself; and
//! never from an object that is not the one that ran.

use crate::support::Scratch;
use crate::traced::{announce, fixture};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

/// A scratch directory with a program in it, `app`, compiled by these words, in which `SOURCE` stands for the fixture.
fn built(source: &str, compiler: &str) -> Scratch {
    let scratch = Scratch::new();
    let path = fixture(source);
    let words = compiler.split_whitespace().map(|word| if word == "SOURCE" { path.as_os_str() } else { word.as_ref() });
    shell(&scratch, words);
    scratch
}

fn shell<'w>(scratch: &Scratch, words: impl IntoIterator<Item = &'w std::ffi::OsStr>) {
    let mut words = words.into_iter();
    let program = words.next().expect("a program");
    scratch.run(Command::new(program).args(words)).exits(0);
}

/// Runs these words in the scratch directory.
fn sh(scratch: &Scratch, words: &str) {
    shell(scratch, words.split_whitespace().map(str::as_ref));
}

/// Records `app` with its native stacks as `run.bin`.
fn recorded(scratch: &Scratch) {
    scratch.heaptide("run --native --quiet -o run.bin -- ./app").exits(0);
}

/// What the stack that allocated so many bytes reads, from the outermost frame on that begins with `from`.
fn stack_of(scratch: &Scratch, bytes: u64, from: &str) -> String {
    let folded = scratch.heaptide("flamegraph --format folded run.bin").exits(0).stdout();
    stack_in(&folded, bytes, from)
}

fn stack_in(folded: &str, bytes: u64, from: &str) -> String {
    let ending = format!(" {bytes}");
    let mut lines = folded.lines().filter(|line| line.ends_with(&ending));
    let line = lines.next().unwrap_or_else(|| panic!("no stack of {bytes} bytes in\n{folded}"));
    assert_eq!(lines.next(), None, "several stacks of {bytes} bytes");
    let frames: Vec<&str> = line.trim_end_matches(&ending).split(';').collect();
    let first = frames.iter().position(|frame| frame.starts_with(from));
    frames[first.unwrap_or_else(|| panic!("{from} is not in {line}"))..].join(";")
}

const OUTER: &str = "outer (inlines.c:18 in app);middle (inlines.c:13 in app);inner (inlines.c:9 in app)";

#[test]
fn inlined_functions_are_frames_of_their_own() {
    let scratch = built("inlines.c", "cc -O1 -g -o app SOURCE");
    recorded(&scratch);
    assert_eq!(stack_of(&scratch, 23456, "main"), format!("main (inlines.c:23 in app);{OUTER}"));
    assert_eq!(stack_of(&scratch, 34567, "outer"), "outer (inlines.c:19 in app);inner (inlines.c:9 in app)");
    // Lines of their source, and the object, in JSON and by file.
    let json = scratch.heaptide("tree --json --min-percent 0 run.bin").succeeds().json();
    let nodes = json["nodes"].as_array().unwrap();
    let middle = nodes.iter().find(|node| node["function"] == "middle").unwrap();
    assert_eq!((&middle["line"], &middle["source"]), (&13.into(), &"return inner(bytes);".into()));
    assert!(middle["file"].as_str().unwrap().ends_with("/fixtures/programs/inlines.c"), "{middle}");
    assert!(middle["object"].as_str().unwrap().ends_with("/app"), "{middle}");
    let ran = scratch.heaptide("summary --by file --sort total run.bin").succeeds();
    assert!(ran.stdout().contains("/fixtures/programs/inlines.c\n"), "{}", ran.stdout());
    let ran = scratch.heaptide("summary --by module --sort total run.bin").succeeds();
    assert!(ran.stdout().contains("2  app\n"), "{}", ran.stdout());
}

#[test]
fn packed_debug_information_is_unpacked() {
    for (version, packing) in [("4", "zlib"), ("4", "zlib-gnu"), ("5", "zlib"), ("5", "zstd")] {
        let scratch = built("inlines.c", &format!("cc -O1 -gdwarf-{version} -o app SOURCE"));
        let packed =
            scratch.run(Command::new("objcopy").args([&format!("--compress-debug-sections={packing}"), "app"]));
        if packed.code() != Some(0) {
            announce(&format!("skipped: objcopy cannot pack with {packing} here"));
            continue;
        }
        let sections = scratch.run(Command::new("readelf").args(["-SW", "app"])).exits(0).stdout();
        assert!(
            sections.contains(" C  ") || sections.contains(".zdebug_info"),
            "nothing is packed by {packing}: {sections}"
        );
        recorded(&scratch);
        assert_eq!(stack_of(&scratch, 23456, "outer"), OUTER, "{packing}");
    }
}

#[test]
fn names_of_cxx_are_readable() {
    for debug in ["-g", "-g0"] {
        let scratch = built("cxx_names.cpp", &format!("c++ -O1 {debug} -o app SOURCE"));
        recorded(&scratch);
        let place = |line: u32| if debug == "-g" { format!("cxx_names.cpp:{line} in app") } else { "app".to_owned() };
        let take = "(anonymous namespace)::Pool<long, 3>::take(unsigned long)";
        assert_eq!(stack_of(&scratch, 11111, take), format!("{take} ({})", place(7)));
        let plus = "shop::Cart::operator+=(unsigned long)";
        assert_eq!(stack_of(&scratch, 22222, plus), format!("{plus} ({})", place(15)));
        let stack = stack_of(&scratch, 33333, "shop::Cart::pack(unsigned long) const");
        let lambda = stack.rsplit(';').next().unwrap();
        let known = "shop::Cart::pack(unsigned long) const::{lambda(unsigned long)#1}::operator()(unsigned long) const";
        assert_eq!(lambda, format!("{known} ({})", place(19)));
    }
}

#[test]
fn names_of_rust_have_no_hashes() {
    for mangling in ["legacy", "v0"] {
        // Legacy names are no longer a stable choice of every compiler.
        let flags = format!("-C symbol-mangling-version={mangling} -Z unstable-options -C debuginfo=2");
        let scratch = Scratch::new();
        let mut command = Command::new("rustc");
        command.env("RUSTC_BOOTSTRAP", "1").args(flags.split(' ')).args(["--edition=2024", "-o", "app"]);
        scratch.run(command.arg(fixture("rust_names.rs"))).exits(0);
        recorded(&scratch);
        let folded = scratch.heaptide("flamegraph --format folded run.bin").exits(0).stdout();
        let has = |bytes: u64, function: &str, line: u32| {
            let place = format!("{function} (rust_names.rs:{line} in app)");
            assert!(stack_in(&folded, bytes, "main").contains(&place), "{place} is not in\n{folded}");
        };
        // v0 knows of what a function is an instance.
        let (store, fill) = match mangling {
            "legacy" => ("<rust_names::Wide<T> as rust_names::Shelf>::store", "rust_names::fill"),
            _ => ("<rust_names::Wide<u32> as rust_names::Shelf>::store", "rust_names::fill::<14142>"),
        };
        has(14142, store, 20);
        has(14142, fill, 13);
        let closure =
            if mangling == "legacy" { "rust_names::main::{{closure}}" } else { "rust_names::main::{closure#0}" };
        has(17320, closure, 25);
        assert!(!folded.contains("::h0") && !folded.contains("_RNv"), "{folded}");
    }
}

/// Without the program the functions of `inlines.c` are places in it.
fn placed(stack: &str) -> bool {
    stack.rsplit(';').next().is_some_and(|innermost| innermost.starts_with("app+0x"))
}

/// Without symbols what is known of `outer` is where it begins, so that its two blocks are one stack.
fn nameless(folded: &str) -> bool {
    let stack = stack_in(folded, 23456 + 34567, "func@0x");
    stack.rsplit(';').next().is_some_and(|innermost| innermost.starts_with("func@0x") && innermost.ends_with(" (app)"))
}

fn folded(scratch: &Scratch) -> String {
    scratch.heaptide("flamegraph --format folded run.bin").exits(0).stdout()
}

#[test]
fn stripped_objects_have_the_names_of_their_exports_alone() {
    let scratch = built("inlines.c", "cc -O1 -s -o app SOURCE");
    recorded(&scratch);
    assert!(nameless(&folded(&scratch)), "{}", folded(&scratch));
    // `outer` is exported; `main` before it and what is static behind it must not pass for it.
    let scratch = built("inlines.c", "cc -O1 -s -rdynamic -o app SOURCE");
    recorded(&scratch);
    // Both blocks have one stack, since no line tells them apart.
    assert_eq!(stack_of(&scratch, 23456 + 34567, "main"), "main (app);outer (app)");
}

/// The library of `starts.c`, compiled with these options and stripped, recorded by the program beside it; and where its
/// functions begin.
fn stripped_library(options: &str) -> (Scratch, impl Fn(&str) -> String) {
    let scratch = built("starts.c", &format!("cc -O1 {options} -DLIBRARY -shared -fPIC -o libstarts.so SOURCE"));
    let program = format!("cc -O1 -o app {} -L. -lstarts -Wl,-rpath,$ORIGIN", fixture("starts.c").display());
    sh(&scratch, &program);
    let symbols = scratch.run(Command::new("nm").arg("libstarts.so")).exits(0).stdout();
    sh(&scratch, "cp libstarts.so whole.so");
    sh(&scratch, "strip libstarts.so");
    recorded(&scratch);
    let start_of = move |function: &str| {
        let line = symbols.lines().find(|line| line.ends_with(&format!(" t {function}"))).expect("a local function");
        let address = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
        format!("func@{address:#x}")
    };
    (scratch, start_of)
}

#[test]
fn functions_of_a_stripped_library_are_known_by_where_they_begin() {
    let (scratch, start_of) = stripped_library("");
    let (first, second) = (start_of("first"), start_of("second"));
    for (by, rows, name) in [("function", "functions", "function"), ("line", "groups", "name")] {
        let json = scratch.heaptide(&format!("summary --json --limit 0 --by {by} run.bin")).succeeds().json();
        let rows = json[rows].as_array().unwrap().iter();
        let library = rows.filter(|row| row["file"].as_str().is_some_and(|file| file.ends_with("/libstarts.so")));
        let own = |row: &serde_json::Value, what: &str| row["own"][what].as_u64().unwrap();
        let rows = library.map(|row| (row[name].as_str().unwrap().to_owned(), own(row, "bytes"), own(row, "count")));
        let expected = [("enter".into(), 5005, 1), (second.clone(), 4003, 2), (first.clone(), 3006, 3)];
        assert_eq!(rows.collect::<Vec<_>>(), expected, "by {by}");
    }
    let enter = "enter (libstarts.so)";
    assert_eq!(stack_of(&scratch, 3006, enter), format!("{enter};{first} (libstarts.so)"));
    assert_eq!(stack_of(&scratch, 4003, enter), format!("{enter};{second} (libstarts.so)"));
    // An export of functions has these and no others.
    let json = scratch.heaptide("export --format speedscope -o - run.bin").succeeds().json();
    let frames = json["shared"]["frames"].as_array().unwrap().iter();
    let library = frames.filter(|frame| frame["file"].as_str().is_some_and(|file| file.ends_with("/libstarts.so")));
    let names: BTreeSet<&str> = library.map(|frame| frame["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["enter", &first, &second]));
    // pprof goes by the name alone.
    scratch.heaptide("export --format pprof -o run.pb.gz run.bin").exits(0);
    let mut profile = Vec::new();
    let packed = std::fs::File::open(scratch.path("run.pb.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut profile).unwrap();
    let profile = String::from_utf8_lossy(&profile);
    assert!(profile.contains(&format!("{first} in libstarts.so")), "{profile}");
    // The exact places are in the capture.
    let parsed = scratch.heaptide("parse run.bin").succeeds().stdout();
    let id_of = |fits: &dyn Fn(&str) -> bool| {
        let line = parsed.lines().find(|line| fits(line)).unwrap_or_else(|| panic!("{parsed}"));
        line.split(' ').find_map(|word| word.strip_prefix("id=")).unwrap().to_owned()
    };
    let path = id_of(&|line| line.starts_with("string ") && line.ends_with("/libstarts.so\""));
    let module = id_of(&|line| line.starts_with("module ") && line.contains(&format!(" path={path} ")));
    let places =
        parsed.lines().filter(|line| line.starts_with("frame ") && line.contains(&format!(" module={module} ")));
    assert_eq!(places.count(), 3 + 2 + 3, "{parsed}");
}

#[test]
fn without_a_table_for_unwinding_each_place_is_one() {
    let (scratch, _) = stripped_library("-fno-asynchronous-unwind-tables -fno-unwind-tables");
    for bytes in [1001, 1002, 1003, 2001, 2002] {
        let stack = stack_of(&scratch, bytes, "libstarts.so+0x");
        assert!(!stack.contains(';'), "{stack}");
    }
}

/// `label` has no size, so that it would be the name of whatever follows without one: `local` lost its symbol.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_label_names_its_own_function_alone() {
    let scratch = Scratch::new();
    let source = r#"
        #include <stdlib.h>
        __asm__(".text\n.globl label\nlabel: .cfi_startproc\nsub $8, %rsp\n.cfi_adjust_cfa_offset 8\n"
            "mov $23456, %edi\ncall malloc@PLT\nadd $8, %rsp\n.cfi_adjust_cfa_offset -8\nret\n.cfi_endproc\n");
        void *label(void);
        void *volatile kept;
        static __attribute__((noipa)) void local(void) { kept = malloc(34567); }
        int main(void) { kept = label(); local(); return 0; }
    "#;
    std::fs::write(scratch.path("label.c"), source).unwrap();
    sh(&scratch, "cc -O1 -o app label.c");
    let symbols = scratch.run(Command::new("nm").args(["-n", "app"])).exits(0).stdout();
    let text: Vec<&str> = symbols.lines().filter(|line| line.contains(" T ") || line.contains(" t ")).collect();
    let local = text.iter().position(|line| line.ends_with(" t local")).unwrap();
    assert!(text[local - 1].ends_with(" T label"), "{symbols}");
    sh(&scratch, "objcopy --discard-all app");
    recorded(&scratch);
    assert_eq!(stack_of(&scratch, 23456, "main"), "main (app);label (app)");
    let start = u64::from_str_radix(text[local].split(' ').next().unwrap(), 16).unwrap();
    assert_eq!(stack_of(&scratch, 34567, "main"), format!("main (app);func@{start:#x} (app)"));
}

/// A damaged table costs names, and nothing else.
#[test]
fn a_damaged_table_for_unwinding_costs_names_alone() {
    let (scratch, start_of) = stripped_library("-Wl,--build-id=0xabcdef0123456789");
    let known = ["first", "second"].map(|function| format!("{} (libstarts.so)", start_of(function)));
    let object = std::fs::read(scratch.path("libstarts.so")).unwrap();
    let sections = scratch.run(Command::new("readelf").args(["-SW", "libstarts.so"])).exits(0).stdout();
    // Behind the name: type, address, offset, size.
    let (_, table) = sections.split_once(" .eh_frame ").expect("a table");
    let numbers = table.split_whitespace().skip(2).take(2).map(|word| usize::from_str_radix(word, 16).unwrap());
    let [at, size] = numbers.collect::<Vec<_>>()[..] else { panic!("{sections}") };
    for (from, fill) in [(0, 0x00), (0, 0xff), (4, 0x41), (size / 2, 0xff), (size - 8, 0x80)] {
        let mut bad = object.clone();
        bad[at + from..at + size].fill(fill);
        std::fs::write(scratch.path("libstarts.so"), bad).unwrap();
        let folded = folded(&scratch);
        let innermost = |line: &str| line.rsplit(';').next().unwrap().rsplit_once(' ').unwrap().0.to_owned();
        let unnamed: Vec<_> = folded.lines().map(innermost).filter(|name| !name.starts_with("enter")).collect();
        let fits =
            |name: &String| known.contains(name) || name.starts_with("libstarts.so+0x") || !name.contains("starts");
        assert!(unnamed.iter().all(fits), "{from}, {fill:#x}: {folded}");
        assert_eq!(folded.contains(&known[0]), from + 8 == size, "{from}, {fill:#x}: {folded}");
    }
}

#[test]
fn where_functions_begin_is_kept_where_names_are() {
    let (scratch, start_of) = stripped_library("-g");
    let (first, second) = (start_of("first"), start_of("second"));
    let [first, second] = [first, second].map(|start| format!(";{start} (libstarts.so)"));
    let by_start = |folded: &str| {
        stack_in(folded, 3006, "enter").ends_with(&first) && stack_in(folded, 4003, "enter").ends_with(&second)
    };
    assert!(by_start(&folded(&scratch)));
    // In the cache.
    std::fs::rename(scratch.path("libstarts.so"), scratch.path("stripped.so")).unwrap();
    assert!(by_start(&folded(&scratch)));
    std::fs::remove_dir_all(scratch.path("cache")).unwrap();
    assert!(stack_of(&scratch, 1001, "libstarts.so+0x").starts_with("libstarts.so+0x"));
    // In a symbolized capture, and in what is stripped of names.
    sh(&scratch, "cp stripped.so libstarts.so");
    sh(&scratch, "cp run.bin plain.bin");
    let named = |stderr: &str| stderr.split(" of ").next().unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    let before = named(&scratch.heaptide("symbolize run.bin").exits(0).stderr());
    for gone in ["libstarts.so", "cache"] {
        sh(&scratch, &format!("rm -r {gone}"));
    }
    assert!(by_start(&folded(&scratch)));
    scratch.heaptide("strip --names anonymize --paths keep -o less.bin run.bin").exits(0);
    let less = scratch.heaptide("flamegraph --format folded less.bin").exits(0).stdout();
    assert!(less.contains(&format!("{first} 3006\n")) && !less.contains("enter"), "{less}");
    // Names are better, from where they are; then they stay.
    sh(&scratch, "objcopy --only-keep-debug whole.so libstarts.debug");
    sh(&scratch, "cp stripped.so libstarts.so");
    sh(&scratch, "objcopy --add-gnu-debuglink=libstarts.debug libstarts.so");
    let after = named(&scratch.heaptide("symbolize run.bin").exits(0).stderr());
    assert_eq!(after - before, 5, "the places that allocate in first and second");
    sh(&scratch, "rm -r libstarts.debug cache");
    scratch.heaptide("symbolize run.bin").exits(0);
    assert_eq!(stack_of(&scratch, 2002, "second"), "second (starts.c:19 in libstarts.so)");
}

/// Two runs of one build have the same functions; in another build they begin elsewhere.
#[test]
fn a_difference_matches_functions_without_name_in_one_build_alone() {
    let (scratch, start_of) = stripped_library("-Wl,--build-id=sha1");
    let changed = || {
        scratch.heaptide("run --native --quiet --force -o after.bin -- ./app once-more").exits(0);
        let ran = scratch.heaptide("diff --json --by function run.bin after.bin").succeeds().json();
        let rows = ran["groups"].as_array().unwrap().iter();
        let library = rows.filter(|row| row["file"].as_str().unwrap_or("").ends_with("/libstarts.so"));
        let bytes = |row: &serde_json::Value, side: &str| row["own"][side]["bytes"].as_u64().unwrap();
        let rows = library.map(|row| (row["name"].to_string(), bytes(row, "before"), bytes(row, "after")));
        // Own bytes; others changed in total alone.
        rows.filter(|(_, before, after)| before != after).collect::<Vec<_>>()
    };
    assert_eq!(changed(), [(format!("\"{}\"", start_of("first")), 3006, 6012)]);
    let source = fixture("starts.c");
    let options = "-O1 -falign-functions=64 -Wl,--build-id=sha1 -DLIBRARY -shared -fPIC -s";
    sh(&scratch, &format!("cc {options} -o libstarts.so {}", source.display()));
    assert_eq!(changed(), [("\"libstarts.so\"".into(), 7009, 10015)]);
    // The build that is gone is known from the cache.
    assert!(folded(&scratch).contains(&start_of("first")));
}

/// As `find-debuginfo` of RPM makes it.
#[test]
fn the_small_symbol_table_of_a_stripped_object_is_read() {
    let scratch = built("inlines.c", "cc -O1 -g -o app SOURCE");
    sh(&scratch, "objcopy --only-keep-debug app mini");
    sh(&scratch, "objcopy --strip-debug --remove-section .comment mini");
    let xz = Command::new("xz").args(["--version"]).output();
    if !xz.is_ok_and(|output| output.status.success()) {
        announce("skipped: no xz on this machine");
        return;
    }
    for packing in ["-6", "-9", "--check=sha256"] {
        sh(&scratch, &format!("xz --keep --force {packing} mini"));
        sh(&scratch, "cp -f app whole");
        sh(&scratch, "strip app");
        sh(&scratch, "objcopy --add-section .gnu_debugdata=mini.xz app");
        recorded(&scratch);
        // No lines, so both blocks of `outer` have one stack.
        assert_eq!(stack_of(&scratch, 23456 + 34567, "main"), "main (app);outer (app)", "{packing}");
        // What is damaged is as none.
        let mut bytes = std::fs::read(scratch.path("mini.xz")).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        std::fs::write(scratch.path("mini.xz"), bytes).unwrap();
        sh(&scratch, "objcopy --update-section .gnu_debugdata=mini.xz app");
        std::fs::remove_dir_all(scratch.path("cache")).unwrap();
        assert!(nameless(&folded(&scratch)), "{packing}");
        sh(&scratch, "mv -f whole app");
        std::fs::remove_dir_all(scratch.path("cache")).unwrap();
        std::fs::remove_file(scratch.path("run.bin")).unwrap();
    }
}

/// `app` stripped, its debug information in `app.debug`, and the link to it.
fn separated(link: &str, build_id: &str) -> Scratch {
    let scratch = built("inlines.c", &format!("cc -O1 -g -Wl,--build-id={build_id} -o app SOURCE"));
    sh(&scratch, "objcopy --only-keep-debug app app.debug");
    sh(&scratch, "strip app");
    if !link.is_empty() {
        sh(&scratch, &format!("objcopy --add-gnu-debuglink={link} app"));
    }
    recorded(&scratch);
    scratch
}

#[test]
fn separate_debug_files_are_found_by_link_and_checksum() {
    for build_id in ["none", "sha1"] {
        for place in ["app.debug", ".debug/app.debug"] {
            let scratch = separated("app.debug", build_id);
            std::fs::create_dir(scratch.path(".debug")).unwrap();
            std::fs::rename(scratch.path("app.debug"), scratch.path("moved")).unwrap();
            std::fs::rename(scratch.path("moved"), scratch.path(place)).unwrap();
            assert_eq!(stack_of(&scratch, 23456, "outer"), OUTER, "{place}, build id {build_id}");
            // One byte more: the checksum is another.
            let mut bytes = std::fs::read(scratch.path(place)).unwrap();
            bytes.push(0);
            std::fs::write(scratch.path(place), bytes).unwrap();
            assert!(nameless(&folded(&scratch)), "{place}, build id {build_id}");
        }
    }
    // Below the debug directory under the object's own path.
    let scratch = separated("app.debug", "none");
    let home = scratch.path("").canonicalize().unwrap();
    let below = scratch.path("debug").join(home.strip_prefix("/").unwrap());
    std::fs::create_dir_all(&below).unwrap();
    std::fs::rename(scratch.path("app.debug"), below.join("app.debug")).unwrap();
    let ran = scratch.heaptide("flamegraph --format folded --debug-file-directory debug run.bin").succeeds();
    assert_eq!(stack_in(&ran.stdout(), 23456, "outer"), OUTER);
}

/// 20 bytes that no linker makes.
const BUILD_ID: &str = "0xabcdef0123456789abcdef0123456789abcdef01";
const BY_BUILD_ID: &str = ".build-id/ab/cdef0123456789abcdef0123456789abcdef01.debug";

#[test]
fn separate_debug_files_are_found_by_build_id() {
    let scratch = separated("", BUILD_ID);
    assert!(nameless(&folded(&scratch)));
    let path = scratch.path("debug").join(BY_BUILD_ID);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::rename(scratch.path("app.debug"), &path).unwrap();
    let folded = || {
        let options = "--debug-file-directory elsewhere --debug-file-directory debug";
        scratch.heaptide(&format!("flamegraph --format folded {options} run.bin")).succeeds().stdout()
    };
    assert_eq!(stack_in(&folded(), 23456, "outer"), OUTER);
    // That of another object in its place.
    sh(&scratch, &format!("cp -f /bin/true {}", path.display()));
    assert!(nameless(&folded()));
}

#[test]
fn an_object_that_is_not_the_one_that_ran_names_nothing() {
    for build_id in ["sha1", "none"] {
        let scratch = built("inlines.c", &format!("cc -O1 -g -Wl,--build-id={build_id} -o app SOURCE"));
        recorded(&scratch);
        std::fs::rename(scratch.path("app"), scratch.path("moved")).unwrap();
        // Gone: nothing to say but where it was.
        let ran = scratch.heaptide("tree --json run.bin").succeeds().json();
        assert_eq!(ran["warnings"].as_array().unwrap().len(), 0, "{ran}");
        assert!(placed(&stack_of(&scratch, 23456, "app+0x")));
        // Built anew: the same functions, elsewhere. Without build id its time tells.
        std::fs::write(scratch.path("other.c"), "int main(void) { return 0; }").unwrap();
        sh(&scratch, &format!("cc -g -Wl,--build-id={build_id} -o app other.c"));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        std::fs::File::options().append(true).open(scratch.path("app")).unwrap().set_modified(later).unwrap();
        let ran = scratch.heaptide("tree --json run.bin").succeeds().json();
        let warning = ran["warnings"][0].as_str().unwrap();
        assert!(warning.ends_with("/app has changed since the recording: no names from it."), "{warning}");
        assert!(placed(&stack_of(&scratch, 23456, "app+0x")));
        // The same again.
        std::fs::rename(scratch.path("moved"), scratch.path("app")).unwrap();
        assert_eq!(stack_of(&scratch, 23456, "outer"), OUTER);
    }
}

#[test]
fn the_cache_keeps_names_and_not_their_absence() {
    let scratch = separated("app.debug", BUILD_ID);
    std::fs::rename(scratch.path("app.debug"), scratch.path("later")).unwrap();
    assert!(nameless(&folded(&scratch)));
    let entry = scratch.path("cache/heaptide/symbols/abcdef0123456789abcdef0123456789abcdef01");
    assert!(entry.is_file());
    // The debug file has come.
    std::fs::rename(scratch.path("later"), scratch.path("app.debug")).unwrap();
    assert_eq!(stack_of(&scratch, 23456, "outer"), OUTER);
    let good = std::fs::read(&entry).unwrap();
    // Object and debug file are gone: what is known of their build id stays.
    for name in ["app", "app.debug"] {
        std::fs::rename(scratch.path(name), scratch.path(&format!("{name}.moved"))).unwrap();
    }
    assert_eq!(stack_of(&scratch, 23456, "outer"), OUTER);
    // A damaged entry is as none.
    std::fs::write(&entry, &good[..good.len() / 2]).unwrap();
    assert!(placed(&stack_of(&scratch, 23456, "app+0x")));
    // No place for a cache.
    for name in ["app", "app.debug"] {
        std::fs::rename(scratch.path(&format!("{name}.moved")), scratch.path(name)).unwrap();
    }
    std::fs::remove_dir_all(scratch.path("cache")).unwrap();
    std::fs::write(scratch.path("cache"), b"in the way").unwrap();
    assert_eq!(stack_of(&scratch, 23456, "outer"), OUTER);
}

#[test]
fn a_symbolized_capture_reads_the_same_without_its_objects() {
    let scratch = built("inlines.c", "cc -O1 -g -o app SOURCE");
    recorded(&scratch);
    let reports = ["tree --min-percent 0 run.bin", "flamegraph --format folded run.bin", "flamegraph -o - run.bin"];
    let all = || reports.map(|report| scratch.heaptide(report).succeeds().stdout());
    let before = all();
    let ran = scratch.heaptide("symbolize run.bin").exits(0);
    assert!(ran.stderr().contains("native places have names now"), "{}", ran.stderr());
    assert_eq!(all()[..2], before[..2]);
    let named = all();
    // Once is enough.
    let bytes = std::fs::read(scratch.path("run.bin")).unwrap();
    let ran = scratch.heaptide("symbolize run.bin").exits(0);
    assert!(ran.stderr().starts_with("heaptide: run.bin: nothing to add, "), "{}", ran.stderr());
    assert_eq!(std::fs::read(scratch.path("run.bin")).unwrap(), bytes);
    // Another machine: neither the object nor what is known of it.
    std::fs::remove_file(scratch.path("app")).unwrap();
    std::fs::remove_dir_all(scratch.path("cache")).unwrap();
    assert_eq!(all(), named);
    assert_eq!(stack_of(&scratch, 23456, "outer"), OUTER);
    // And what was embedded is not lost there.
    scratch.heaptide("symbolize -o again.bin run.bin").exits(0);
    assert_eq!(std::fs::read(scratch.path("again.bin")).unwrap(), bytes);
    let parsed = scratch.heaptide("parse run.bin").succeeds().stdout();
    assert!(parsed.contains("\nnative_names offset="), "{parsed}");
    assert!(parsed.contains("\"function\":\"middle\""), "{parsed}");
}

#[test]
fn any_capture_can_be_symbolized() {
    let scratch = built("inlines.c", "cc -O1 -g -o app SOURCE");
    recorded(&scratch);
    let whole = std::fs::read(scratch.path("run.bin")).unwrap();
    scratch.heaptide("run --native --aggregate --quiet --force -o run.bin -- ./app").exits(0);
    scratch.heaptide("symbolize run.bin").exits(0);
    std::fs::rename(scratch.path("app"), scratch.path("moved")).unwrap();
    std::fs::remove_dir_all(scratch.path("cache")).unwrap();
    assert_eq!(stack_of(&scratch, 23456, "outer"), OUTER);
    // One that is cut is not replaced: it may be recorded still.
    std::fs::rename(scratch.path("moved"), scratch.path("app")).unwrap();
    let footer = u64::from_le_bytes(whole[whole.len() - 20..whole.len() - 12].try_into().unwrap()) as usize;
    scratch.file("cut.bin", &whole[..footer + 10]);
    let ran = scratch.heaptide("symbolize cut.bin").exits(73);
    let message = "heaptide: cut.bin: is not whole, so it is not replaced; name another file with -o";
    assert_eq!(ran.stderr().lines().last(), Some(message));
    scratch.heaptide("symbolize --force -o run.bin cut.bin").exits(0);
    std::fs::remove_file(scratch.path("app")).unwrap();
    std::fs::remove_dir_all(scratch.path("cache")).unwrap();
    assert_eq!(stack_of(&scratch, 23456, "outer"), OUTER);
    // Without its trailer alone it gets a new one.
    scratch.file("no_trailer.bin", &whole[..whole.len() - 3]);
    scratch.heaptide("symbolize -o mended.bin no_trailer.bin").exits(0);
    scratch.heaptide("tree mended.bin").succeeds();
}

#[test]
fn damaged_names_are_not_used() {
    let scratch = built("inlines.c", "cc -O1 -g -o app SOURCE");
    recorded(&scratch);
    let before = std::fs::metadata(scratch.path("run.bin")).unwrap().len() as usize;
    scratch.heaptide("symbolize run.bin").exits(0);
    let mut bytes = std::fs::read(scratch.path("run.bin")).unwrap();
    let at = (0..bytes.len() - 16).rev().find(|at| bytes[*at..*at + 4] == [7, 1, 0, 0]).expect("a block of names");
    assert!(before < bytes.len());
    bytes[at + 40] ^= 1;
    scratch.file("run.bin", &bytes);
    std::fs::remove_file(scratch.path("app")).unwrap();
    std::fs::remove_dir_all(scratch.path("cache")).unwrap();
    let json = scratch.heaptide("tree --json run.bin").succeeds().json();
    assert_eq!(json["warnings"][0], "names of native functions that are embedded in the capture are damaged.");
    assert!(placed(&stack_of(&scratch, 23456, "app+0x")));
}

#[test]
fn what_cannot_be_replaced_is_left_alone() {
    let scratch = built("inlines.c", "cc -O1 -g -o app SOURCE");
    recorded(&scratch);
    std::fs::create_dir(scratch.path("links")).unwrap();
    std::os::unix::fs::symlink("../run.bin", scratch.path("links/run.bin")).unwrap();
    scratch.heaptide("symbolize links/run.bin").exits(0);
    assert!(scratch.path("links/run.bin").is_symlink());
    let names: Vec<_> = std::fs::read_dir(scratch.path("links")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let parsed = scratch.heaptide("parse run.bin").succeeds().stdout();
    assert!(parsed.contains("\nnative_names "), "the capture behind the link was not replaced");
    // An output that exists.
    scratch.file("precious", b"precious");
    scratch.heaptide("symbolize -o precious run.bin").exits(73);
    assert_eq!(std::fs::read(scratch.path("precious")).unwrap(), b"precious");
    assert!(!Path::new(&scratch.path("run.bin.new")).exists());
}
