//! `heaptide strip`: what is no longer there, and that every number still is.

use crate::support::Scratch;
use crate::support::recording::Recording;
use crate::traced::fixture;
use heaptide_format::capture::UnseenAllocators;
use heaptide_format::capture::unseen::UnseenAllocator;
use heaptide_format::ids::ImageIndex;
use serde_json::Value;
use std::path::Path;

/// The numbers of a report: of each object its numeric fields, of all objects in one order, whatever they are called.
fn numbers(json: &Value) -> Vec<String> {
    let mut all = Vec::new();
    collect("", json, &mut all);
    all.sort();
    all
}

fn collect(key: &str, json: &Value, all: &mut Vec<String>) {
    match json {
        Value::Array(items) => items.iter().for_each(|item| collect(key, item, all)),
        Value::Object(fields) => {
            let own = fields.iter().filter(|(name, value)| {
                // When the run began is left out.
                (value.is_number() || value.is_null() || value.is_boolean()) && *name != "started_unix"
            });
            // With the amounts that stand in it, so that a row stays a row.
            let inner = fields.iter().filter_map(|(name, value)| match value {
                Value::Object(inner) if inner.contains_key("bytes") => Some(format!("{name}:{value}")),
                _ => None,
            });
            let own: Vec<String> = own.map(|(name, value)| format!("{name}:{value}")).chain(inner).collect();
            all.push(format!("{key} {}", own.join(" ")));
            fields.iter().for_each(|(name, value)| collect(name, value, all));
        }
        _ => {}
    }
}

const REPORTS: [&str; 13] = [
    "stats --json",
    "leaks --all --limit 0 --json --no-source",
    "tree --min-percent 0 --json --no-source",
    "summary -n 0 --json --no-source",
    "summary -n 0 --by line --json --no-source",
    "summary -n 0 --by file --json --no-source",
    "summary -n 0 --by module --json --no-source",
    "summary -n 0 --by package --json --no-source",
    "summary -n 0 --leaks --json --no-source",
    "summary -n 0 --allocated --json --no-source",
    "summary -n 0 --temporary --json --no-source",
    "summary -n 0 --by package --sort total --allocated --json --no-source",
    "tree --min-percent 0 --leaks --json --no-source",
];

const WAYS: [&str; 5] = [
    "",
    "--paths anonymize --names anonymize",
    "--paths keep --names anonymize --start keep",
    "--paths base --arguments keep",
    "--paths keep --names keep --arguments keep --start keep",
];

/// Strips `run.bin` in every way, and compares every report.
fn check_numbers(scratch: &Scratch, of: &str) {
    for way in WAYS {
        scratch.heaptide(&format!("strip -f {way} -o out.bin run.bin")).exits(0);
        for report in REPORTS {
            let before = scratch.heaptide(&format!("{report} run.bin"));
            let after = scratch.heaptide(&format!("{report} out.bin"));
            assert_eq!(before.code(), after.code(), "{of} {way}: {report}: {}", after.stderr());
            if before.code() == Some(0) {
                assert_eq!(numbers(&before.json()), numbers(&after.json()), "{of} {way}: {report}");
            }
        }
        // Events, one for one: only texts may differ, and where blocks stand in the file.
        let lines = |file: &str| {
            let text = scratch.heaptide(&format!("parse --json {file}")).exits(0).stdout();
            let kinds = [
                "allocated",
                "freed",
                "reallocated",
                "shrunk",
                "clock",
                "thread",
                "keyframe",
                "live",
                "sample",
                "stack",
                "row",
            ];
            let of_kind = |line: &&str| kinds.iter().any(|kind| line.starts_with(&format!("{{\"record\":\"{kind}\"")));
            let without_place = |line: &str| {
                let mut json: Value = serde_json::from_str(line).expect("JSON");
                json.as_object_mut().expect("an object").remove("offset");
                json
            };
            text.lines().filter(of_kind).map(without_place).collect::<Vec<_>>()
        };
        assert_eq!(lines("run.bin"), lines("out.bin"), "{of} {way}");
    }
}

/// Two processes and three threads; a package, the user's own code, the standard library, native code; a keyframe between.
fn recording() -> Recording {
    let mut recording = Recording::new();
    let main = [("<module>", "/home/anna/acme/app.py", 3)];
    let order = [main[0], ("Order.total", "/home/anna/acme/shop/order.py", 14)];
    let decode = [order[0], order[1], ("JSONDecoder.decode", "/home/anna/v/lib/python3.11/json/decoder.py", 337)];
    let frame = [order[0], order[1], ("DataFrame.copy", "/home/anna/v/lib/python3.11/site-packages/pandas/core.py", 5)];
    let stacks = [&main[..], &order, &decode, &frame].map(|frames| recording.stack(frames));
    let native = recording.native(stacks[3], "/home/anna/acme/build/libacme_price.so", 0x1234);
    let libc = recording.native(stacks[3], "/usr/lib/x86_64-linux-gnu/libdoes-not-exist.so.6", 0x5678);
    let first = recording.allocate(stacks[0], 12_345);
    recording.allocate(stacks[1], 7_001);
    let second = recording.allocate(stacks[2], 5_003);
    recording.clock_ms(40);
    recording.sample(1 << 20);
    recording.free(first);
    recording.keyframe();
    recording.allocate(stacks[3], 3_007);
    recording.reallocate(second, stacks[1], 6_007);
    let other = recording.process(4_100, 0x30B);
    recording.thread(other);
    recording.clock_ms(90);
    recording.allocate(native, 2_003);
    recording.allocate(libc, 1_009);
    let short = recording.allocate(libc, 555);
    recording.free(short);
    recording.flush();
    recording.unseen(&UnseenAllocators {
        found: vec![UnseenAllocator {
            image: ImageIndex(0),
            path: "/home/anna/acme/build/libacme_heap.so".into(),
            allocator: "jemalloc".into(),
            evidence: "je_malloc".into(),
        }],
        ..UnseenAllocators::default()
    });
    recording
}

#[test]
fn numbers_stay_the_same() {
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording().finish());
    check_numbers(&scratch, "finished");
    let unfinished = recording().unfinished();
    scratch.file("run.bin", &unfinished);
    check_numbers(&scratch, "unfinished");
    let whole = recording().finish();
    // In the footer, behind it, in the trailer; in a block of events.
    for end in [whole.len() - 60, whole.len() - 20, whole.len() - 5, unfinished.len() - 30] {
        scratch.file("run.bin", &whole[..end]);
        check_numbers(&scratch, &format!("cut at {end}"));
    }
}

/// Captures of real programs: all kinds of blocks, with their names in them.
#[test]
fn numbers_of_real_captures_stay_the_same() {
    for name in ["1.0", "1.0-aggregated", "1.0-cut", "1.0-native", "1.0-unseen", "1.1", "1.1-aggregated", "1.1-cut"] {
        let scratch = Scratch::new();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/captures/format-{name}.bin"));
        scratch.file("recorded.bin", &std::fs::read(path).unwrap());
        // Names that can be looked up here, since the copy's objects cannot be.
        scratch.heaptide("symbolize -o run.bin recorded.bin").exits(0);
        check_numbers(&scratch, name);
    }
}

/// All blocks of a capture, unpacked.
fn content(scratch: &Scratch, name: &str) -> String {
    scratch.heaptide(&format!("parse {name}")).exits(0).stdout()
}

#[test]
fn what_is_left_out_is_not_there() {
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording().finish());
    let before = content(&scratch, "run.bin");
    let absent = |way: &str, words: &[&str], kept: &[&str]| {
        scratch.heaptide(&format!("strip -f {way} -o out.bin run.bin")).exits(0);
        let after = content(&scratch, "out.bin");
        let raw = scratch.read("out.bin");
        for word in words {
            assert!(before.contains(word), "{word} was never there");
            assert!(!after.contains(word) && !raw.contains(word), "{way}: {word} is there");
        }
        for word in kept {
            assert!(after.contains(word), "{way}: {word} is not there");
        }
        after
    };
    let standard = "/lib/python3.11/json/decoder.py";
    absent(
        "",
        &["anna", "acme/", "/shop/", "\"app.py\"", "1700000000"],
        &[
            "order.py",
            "Order.total",
            "/lib/python3.11/site-packages/pandas/core.py",
            standard,
            "libacme_price.so",
            "python",
        ],
    );
    absent(
        "--paths anonymize",
        &["anna", "acme", "shop", "order.py", "pandas", "app.py", "price"],
        &["Order.total", standard, "/usr/lib/x86_64-linux-gnu/libdoes-not-exist.so.6", "DataFrame.copy"],
    );
    absent(
        "--paths anonymize --names anonymize",
        &["anna", "acme", "Order", "DataFrame", ".total"],
        &["JSONDecoder.decode", "<module>", standard],
    );
    absent(
        "--names anonymize --paths keep",
        &["Order.", "DataFrame"],
        &["/home/anna/acme/shop/order.py", "JSONDecoder.decode"],
    );
    absent("--arguments keep --start keep", &["anna"], &["\"app.py\"", "1700000000"]);
}

#[test]
fn pseudonyms_are_the_keys() {
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording().finish());
    scratch.file("key", b"sixteen bytes or more");
    let strip = |options: &str, output: &str| {
        scratch.heaptide(&format!("strip --paths anonymize --names anonymize {options} -o {output} run.bin")).exits(0);
        scratch.read(output)
    };
    // Forgotten at once: another time other words.
    assert_ne!(strip("", "a.bin"), strip("", "b.bin"));
    assert_eq!(strip("--key key", "c.bin"), strip("--key key", "d.bin"));
    // So that two captures can be compared, by stacks that are named alike.
    let same = scratch.heaptide("diff --json c.bin d.bin").exits(0).json();
    assert_eq!(numbers(&same), numbers(&scratch.heaptide("diff --json run.bin run.bin").exits(0).json()));
    // In one capture the same directory has the same word.
    let text = content(&scratch, "c.bin");
    let files: Vec<&str> = text.split('"').filter(|word| word.ends_with(".py") && word.starts_with('/')).collect();
    let (home, user) = {
        let mut parts = files[0].split('/').skip(1);
        (parts.next().unwrap(), parts.next().unwrap())
    };
    assert!(files.iter().all(|file| file.starts_with(&format!("/{home}/{user}/"))), "{files:?}");
}

#[test]
fn errors_are_those_of_other_commands() {
    let scratch = Scratch::new();
    scratch.file("run.bin", &recording().finish());
    scratch.heaptide("strip run.bin").exits(0);
    let ran = scratch.heaptide("strip run.bin").exits(73);
    assert!(ran.stderr().contains("run.stripped.bin: exists already"), "{}", ran.stderr());
    scratch
        .heaptide("strip -f -o run.bin run.bin")
        .exits(73)
        .says("heaptide: run.bin: is the capture itself; choose another name with -o");
    scratch.heaptide("strip nowhere.bin").exits(66);
    scratch.heaptide("strip .").exits(66);
    scratch.file("elf.bin", b"\x7fELF\x02\x01\x01\x00 and more");
    scratch.heaptide("strip elf.bin").exits(65);
    assert!(!crate::support::exists(&scratch.path("elf.stripped.bin")));
    scratch.heaptide("strip -f -o /dev/full run.bin").exits(74);
    scratch.heaptide("strip -o no/such/place run.bin").exits(73);
    scratch.heaptide("strip -f --key nowhere run.bin").exits(66);
    scratch.file("short", b"short");
    scratch
        .heaptide("strip -f --key short run.bin")
        .exits(2)
        .says("heaptide: short: a key of 5 bytes can be guessed; it takes 16 or more, at random");
    let mut damaged = recording().finish();
    damaged[20] ^= 1;
    scratch.file("damaged.bin", &damaged);
    scratch.heaptide("strip damaged.bin").exits(65);
    let whole = recording().finish();
    scratch.file("cut.bin", &whole[..whole.len() - 30]);
    let ran = scratch.heaptide("strip -o cut-out.bin cut.bin").exits(0);
    assert!(ran.stderr().contains("cut.bin: ends early at byte"), "{}", ran.stderr());
    let ran = scratch.heaptide("strip -o - run.bin").exits(0);
    assert!(ran.stdout().starts_with("HEAPTIDE"));
}

/// A real program in a directory of a telling name, with a thread, an argument and a library of such names.
#[test]
fn a_recorded_program_cannot_be_recognized() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("annas-project")).unwrap();
    std::fs::copy(fixture("thread_names.py"), scratch.path("annas-project/quarterly_report.py")).unwrap();
    scratch
        .heaptide("run -q --native -o run.bin -- python3 annas-project/quarterly_report.py --password=hunter2")
        .exits(0);
    scratch.heaptide("symbolize run.bin").exits(0);
    let before = content(&scratch, "run.bin");
    let words = ["annas-project", "quarterly_report", "hunter2"];
    assert!(words.iter().all(|word| before.contains(word)));
    scratch.heaptide("strip --paths anonymize --names anonymize -o out.bin run.bin").exits(0);
    let after = content(&scratch, "out.bin");
    for word in words {
        assert!(!after.contains(word), "{word} is there");
    }
    let user = std::env::var("HOME").unwrap_or_default();
    if user.matches('/').count() > 1 {
        assert!(!after.contains(&user), "{user} is there");
    }
    check_numbers(&scratch, "recorded");
}
