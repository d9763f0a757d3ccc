//! What is wrong with captures, outputs and options: one line that names the file, the byte and what to do, and the
//! exit code of `docs/exit-codes.md`.

use crate::support::recording::Recording;
use crate::support::{Ran, Scratch, exists, page};
use std::process::Command;

fn capture() -> Recording {
    let mut recording = Recording::new();
    let main = recording.stack(&[("main", "/app/app.py", 10)]);
    recording.allocate(main, 12_345);
    recording
}

#[test]
fn what_is_no_capture_is_65() {
    let scratch = Scratch::new();
    scratch.file("elf", b"\x7fELF\x02\x01\x01\x00 and more");
    scratch.heaptide("summary elf").exits(65).says(
        "heaptide: elf: at byte 0: not a heaptide capture: it starts with [7f, 45, 4c, 46, 02, 01, 01, 00], not with \
         \"HEAPTIDE\"; give a file that `heaptide run` wrote",
    );
    scratch.file("empty", b"");
    scratch
        .heaptide("leaks empty")
        .exits(65)
        .says("heaptide: empty: ends at byte 0: the file is empty; record again with `heaptide run`");
}

#[test]
fn other_versions_are_65() {
    let scratch = Scratch::new();
    // The header of format 2.0, checksum and all.
    scratch.file("newer.bin", &with_version(&capture().finish(), 2));
    scratch.heaptide("tree newer.bin").exits(65).says(
        "heaptide: newer.bin: at byte 8: capture format 2.0 is newer than 1.1, the newest that this heaptide reads; use \
         the heaptide that recorded it, or a newer one",
    );
    scratch.file("older.bin", &with_version(&capture().finish(), 0));
    scratch.heaptide("parse older.bin").exits(65).says(
        "heaptide: older.bin: at byte 8: capture format 0.0 is older than 1.0, the oldest that this heaptide reads; use \
         the heaptide that recorded it",
    );
}

fn with_version(capture: &[u8], major: u16) -> Vec<u8> {
    let mut capture = capture.to_vec();
    capture[8..10].copy_from_slice(&major.to_le_bytes());
    capture[10..12].fill(0);
    let sum = crc32(&capture[..12]);
    capture[12..16].copy_from_slice(&sum.to_le_bytes());
    capture
}

/// The CRC-32 of zip and Ethernet, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 * (sum & 1))))
}

#[test]
fn a_damaged_start_is_65() {
    let scratch = Scratch::new();
    let mut damaged = capture().finish();
    damaged[20] ^= 1;
    scratch.file("run.bin", &damaged);
    let message = "heaptide: run.bin: damaged at byte 16: the checksum of a block does not match; nothing in it can be \
                   reported, record again with `heaptide run`";
    for command in ["flamegraph", "summary", "stats", "leaks", "tree"] {
        scratch.heaptide(&format!("{command} run.bin")).exits(65).says(message);
    }
    assert!(!exists(&scratch.path("run.flamegraph.html")));
}

#[test]
fn a_cut_capture_is_reported_with_one_warning() {
    let scratch = Scratch::new();
    let whole = capture().finish();
    scratch.file("run.bin", &whole[..whole.len() - 30]);
    let cut_at = capture().unfinished().len();
    let warning =
        format!("ends early at byte {cut_at}: the file is cut inside a block; the report covers what is before");
    let line = format!("heaptide: run.bin: {warning}");
    for command in ["summary", "stats", "leaks", "tree"] {
        scratch.heaptide(&format!("{command} run.bin")).exits(0).says(&line).shows("12.1 KiB");
    }
    scratch.heaptide("parse run.bin").exits(0).says(&line).shows("allocated size=12345 stack=1 allocator=\"malloc\"");
    let json = scratch.heaptide("leaks --json run.bin").exits(0).says(&line).json();
    assert_eq!(json["warnings"][0], warning.as_str());
    scratch.heaptide("flamegraph run.bin").exits(0);
    assert!(page::text(&scratch.read("run.flamegraph.html")).contains("ends early at byte"));
}

#[test]
fn cut_at_any_byte_the_binary_stays_calm() {
    let scratch = Scratch::new();
    let whole = capture().finish();
    // Every byte is tried in the analyzer's own tests; here the ends of header, blocks and trailer.
    for end in (0..whole.len()).step_by(37) {
        scratch.file("run.bin", &whole[..end]);
        let ran = scratch.heaptide("stats run.bin");
        let lines = ran.stderr().lines().count();
        assert_eq!(lines, 1, "cut at {end}: {}", ran.stderr());
        let expected =
            if ran.stderr().contains("ends early at byte") && ran.stdout().contains("peak") { 0 } else { 65 };
        ran.exits(expected);
    }
}

#[test]
fn missing_captures_and_directories_are_66() {
    let scratch = Scratch::new();
    scratch
        .heaptide("summary nowhere.bin")
        .exits(66)
        .says("heaptide: nowhere.bin: there is no such file; check the name");
    scratch.heaptide("summary .").exits(66).says("heaptide: .: is a directory; name the capture in it");
    for report in REPORTS {
        scratch.heaptide(&format!("{report} nowhere.bin")).exits(66);
        scratch.heaptide(&format!("{report} .")).exits(66);
    }
    scratch.file("run.bin", &capture().finish());
    scratch.heaptide("diff run.bin nowhere.bin").exits(66);
}

#[test]
fn an_existing_output_is_73_without_force() {
    let scratch = Scratch::new();
    scratch.file("run.bin", &capture().finish());
    scratch.file("run.flamegraph.html", b"precious");
    scratch
        .heaptide("flamegraph run.bin")
        .exits(73)
        .says("heaptide: run.flamegraph.html: exists already; choose another name with -o, or overwrite it with -f");
    assert_eq!(scratch.read("run.flamegraph.html"), "precious");
    scratch.heaptide("flamegraph --force run.bin").exits(0);
    assert!(scratch.read("run.flamegraph.html").starts_with("<!doctype html>"));
    scratch
        .heaptide("summary -f -o run.bin run.bin")
        .exits(73)
        .says("heaptide: run.bin: is the capture itself; choose another name with -o");
    scratch
        .heaptide("summary -o no/such/place run.bin")
        .exits(73)
        .says("heaptide: no/such/place: its directory does not exist; make it first");
    scratch.heaptide("summary -f -o . run.bin").exits(73).says("heaptide: .: is a directory; name a file with -o");
    for report in ["stats", "leaks", "tree", "parse", "diff run.bin", "flamegraph --format svg"] {
        scratch.heaptide(&format!("{report} -o no/such/place run.bin")).exits(73);
        scratch.file("precious", b"precious");
        scratch.heaptide(&format!("{report} -o precious run.bin")).exits(73);
        assert_eq!(scratch.read("precious"), "precious");
        scratch.heaptide(&format!("{report} --force -o precious run.bin")).exits(0);
        assert_ne!(scratch.read("precious"), "precious");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_74() {
    let scratch = Scratch::new();
    scratch.file("run.bin", &capture().finish());
    for report in ["summary", "stats --json", "leaks", "tree", "parse", "diff run.bin", "flamegraph --format svg"] {
        let ran = scratch.heaptide(&format!("{report} -f -o /dev/full run.bin")).exits(74);
        assert!(ran.stderr().contains("make room, or write elsewhere"), "{report}: {}", ran.stderr());
    }
    scratch.heaptide("flamegraph -f -o /dev/full run.bin").exits(74).says(
        "heaptide: /dev/full: cannot be written: No space left on device (os error 28); make room, or write elsewhere \
         with -o",
    );
    let to_full = format!("exec {} stats run.bin > /dev/full", env!("CARGO_BIN_EXE_heaptide"));
    scratch.run(Command::new("sh").args(["-c", &to_full])).exits(74);
}

/// As another user where the tests run as root, who may read and write everything.
#[cfg(unix)]
#[test]
fn no_permission_is_77() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let Some(as_nobody) = unprivileged(&scratch) else {
        println!("skipped: the tests run as root, and setpriv cannot run heaptide as another user");
        return;
    };
    let secret = scratch.file("secret.bin", &capture().finish());
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    as_nobody("summary secret.bin")
        .exits(77)
        .says("heaptide: secret.bin: permission denied; ask its owner, or read it as the user who recorded it");
    scratch.file("run.bin", &capture().finish());
    std::fs::create_dir(scratch.path("locked")).unwrap();
    std::fs::set_permissions(scratch.path("locked"), std::fs::Permissions::from_mode(0o555)).unwrap();
    as_nobody("summary -o locked/summary.txt run.bin")
        .exits(77)
        .says("heaptide: locked/summary.txt: permission denied; choose a place that you may write to with -o");
}

/// Runs heaptide as a user with no rights in the scratch directory but to look; `None` if that cannot be done.
#[cfg(unix)]
fn unprivileged(scratch: &Scratch) -> Option<impl Fn(&str) -> Ran> {
    use std::os::unix::fs::MetadataExt;
    let program = env!("CARGO_BIN_EXE_heaptide");
    let is_root = scratch.path(".").metadata().unwrap().uid() == 0;
    let command = move |arguments: &str| {
        let mut words: Vec<&str> = Vec::new();
        if is_root {
            words.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        words.push(program);
        words.extend(arguments.split_whitespace());
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command
    };
    // The built program may lie where that user cannot go.
    let works = command("--version").output().is_ok_and(|output| output.status.success());
    works.then_some(move |arguments: &str| scratch.run(&mut command(arguments)))
}

/// A capture recorded from a real program, 8 KiB of it.
const REAL: &[u8] = include_bytes!("../fixtures/captures/format-1.0.bin");
const REPORTS: [&str; 6] = ["stats", "summary", "leaks --all", "tree", "parse", "flamegraph --format folded"];

#[test]
fn a_real_capture_cut_at_many_bytes() {
    let scratch = Scratch::new();
    for (end, report) in (0..REAL.len()).step_by(61).zip(REPORTS.iter().cycle()) {
        scratch.file("run.bin", &REAL[..end]);
        let ran = scratch.heaptide(&format!("{report} run.bin"));
        let (code, said) = (ran.code(), ran.stderr());
        // What cannot be read at all says so with its byte as well.
        assert!(matches!(code, Some(0 | 65)), "cut at {end}, {report}: {code:?} {said}");
        assert_eq!(said.lines().count(), 1, "cut at {end}, {report}: {said}");
        assert!(said.contains("early, at byte ") || said.contains("ends early at byte ") || end == 0, "{end}: {said}");
    }
}

#[test]
fn a_real_capture_with_flipped_bits() {
    let scratch = Scratch::new();
    // Knuth's MMIX generator; any other spread would do.
    let mut random = 12_345u64;
    for report in (0..200).map(|turn| REPORTS[turn % REPORTS.len()]) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bit = (random >> 33) as usize % (REAL.len() * 8);
        let mut damaged = REAL.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        scratch.file("run.bin", &damaged);
        let ran = scratch.heaptide(&format!("{report} run.bin"));
        let (code, said) = (ran.code(), ran.stderr());
        assert!(matches!(code, Some(0 | 65)), "bit {bit}, {report}: {code:?} {said}");
        assert_eq!(said.lines().count(), usize::from(code == Some(65) || !said.is_empty()), "bit {bit}: {said}");
    }
}

/// What fuzzing found, and what was made to be out of proportion: each in 512 MiB and with an answer or a refusal.
#[cfg(target_os = "linux")]
#[test]
fn hostile_captures_do_no_harm() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures/hostile");
    let mut captures: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    captures.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
    captures.sort();
    assert!(captures.len() >= 6, "{captures:?}");
    let scratch = Scratch::new();
    let pages = ["flamegraph -f -o page.html", "leaks --html -f -o page.html"];
    let others = ["leaks --all --json", "flamegraph --format svg -f -o picture.svg"];
    let formats = "pprof speedscope folded gprof2dot csv jsonl dhat heaptrack firefox parquet";
    let exports: Vec<String> = formats.split(' ').map(|format| format!("export --format {format} -o -")).collect();
    let exports: Vec<&str> = exports.iter().map(String::as_str).collect();
    for capture in captures {
        for report in REPORTS.iter().chain(&others).chain(&pages).chain(&exports) {
            // A full disk ends what is long by nature.
            let command = format!(
                "ulimit -v 524288; {} {report} {} | head -c 1000000 > report",
                env!("CARGO_BIN_EXE_heaptide"),
                capture.display()
            );
            let started = std::time::Instant::now();
            let ran = scratch.run(Command::new("bash").args(["-o", "pipefail", "-c", &command]));
            let (code, said) = (ran.code(), ran.stderr());
            // A page that contradicts itself is not written either.
            let is_answer = matches!(code, Some(0 | 65)) || code == Some(74) && !pages.contains(report);
            assert!(is_answer, "{report} {}: {code:?} {said}", capture.display());
            assert!(started.elapsed().as_secs() < 30, "{report} {}: {:?}", capture.display(), started.elapsed());
        }
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let scratch = Scratch::new();
    let mut recording = Recording::new();
    for line in 0..20_000 {
        let stack = recording.stack(&[("main", "/app/app.py", line)]);
        recording.allocate(stack, 1);
    }
    scratch.file("run.bin", &recording.finish());
    // 141 if it died of SIGPIPE, 101 or 134 if it panicked.
    for report in ["parse run.bin", "flamegraph --format svg -o - run.bin", "tree --min-percent 0 run.bin"] {
        let piped = format!("{{ {} {report}; echo $? >&2; }} | head -n 1", env!("CARGO_BIN_EXE_heaptide"));
        scratch.run(Command::new("sh").args(["-c", &piped])).exits(0).says("0");
    }
}

#[test]
fn wrong_usage_is_2_and_suggests_the_near_option() {
    let scratch = Scratch::new();
    let ran = scratch.heaptide("leaks --fail-abov 1MB run.bin").exits(2);
    assert!(ran.stderr().contains("'--fail-above'"), "{}", ran.stderr());
    let ran = scratch.heaptide("summary --alocated run.bin").exits(2);
    assert!(ran.stderr().contains("a similar argument exists: '--allocated'"), "{}", ran.stderr());
    let ran = scratch.heaptide("flamegrah run.bin").exits(2);
    assert!(ran.stderr().contains("'flamegraph'"), "{}", ran.stderr());
    scratch.heaptide("leaks --fail-above ten run.bin").exits(2);
    scratch.file("run.bin", &capture().finish());
    scratch.heaptide("summary --pid 5 run.bin").exits(2).says("heaptide: run.bin: holds no process 5; it holds 4000");
}
