//! `heaptide rss`: programs whose memory is known. That the parts add up to what the kernel says, and each is what it is.

use crate::support::Scratch;
use crate::traced::{Python, Run, Running, Traced, announce, newest_python};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// The parts of a process that rests, and its RSS as the kernel says.
struct Rested {
    report: Value,
    run: Run,
}

impl Rested {
    /// Bytes of a part.
    fn part(&self, name: &str) -> u64 {
        part(&self.report, name)
    }

    fn number(&self, name: &str) -> u64 {
        self.report[name].as_u64().unwrap()
    }

    /// Expects so many bytes of a part, and at most so many more: pages that are covered in part, what the C library needs.
    fn expect(&self, name: &str, bytes: u64, more: u64) -> &Self {
        let found = self.part(name);
        assert!((bytes..=bytes + more).contains(&found), "{name}: {found}, not {bytes}..+{more}\n{:#}", self.report);
        self
    }
}

fn part(report: &Value, name: &str) -> u64 {
    let parts = report["parts"].as_array().unwrap();
    parts.iter().find(|part| part["part"] == name).unwrap_or_else(|| panic!("no part {name}"))["bytes"]
        .as_u64()
        .unwrap()
}

/// Resident bytes, summed up by the kernel.
fn rss_of(pid: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

fn adds_up(report: &Value) {
    let sum: u64 = report["parts"].as_array().unwrap().iter().map(|part| part["bytes"].as_u64().unwrap()).sum();
    assert_eq!(report["rss_bytes"].as_u64().unwrap(), sum, "{report:#}");
}

/// What a program that has printed its number, and rests, is found to hold.
fn at_rest(running: Running) -> Rested {
    let pid = running.wait_for_line();
    let mark = Command::new(env!("CARGO_BIN_EXE_heaptide")).args(["mark", "-q", &pid, "rests"]).status().unwrap();
    assert!(mark.success());
    // The look that follows is in the file at once; the file has no end yet.
    // The look that follows is in the file at once, which has no end yet.
    let (scratch, path, began) = (Scratch::new(), running.directory().join("run.bin"), Instant::now());
    while !scratch.heaptide(&format!("parse --json {}", path.display())).stdout().contains(r#""reason":{"Mark":0}"#) {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    let rss = rss_of(&pid);
    running.signal(libc::SIGUSR1);
    let run = running.finish();
    let report = run.heaptide("rss --mark rests --json run.bin").succeeds().json();
    adds_up(&report);
    let number: u64 = pid.parse().unwrap();
    let process = report["processes"].as_array().unwrap().iter().find(|process| process["pid"] == number);
    assert_eq!(process.unwrap()["rss_bytes"].as_u64().unwrap(), rss, "{report:#}");
    assert_eq!(report["by_page"], true);
    Rested { report, run }
}

fn rested(arguments: &[&str]) -> Rested {
    at_rest(Traced::program("resident.c").args(arguments).start())
}

const PAGE: u64 = 4096;

#[test]
fn what_was_asked_for_and_touched() {
    let it = rested(&["touched"]);
    // And a buffer of standard output, of which a page at the most is resident. The head of the block is 16 bytes.
    it.expect("requested", 100_000_000, PAGE).expect("slack", 16, 2 * PAGE);
    assert!(it.part("kept") <= 2 * PAGE && it.number("not_resident_bytes") <= PAGE);
    // A kilobyte of stacks, a megabyte of libraries.
    assert!(it.part("stacks") < 100_000 && it.part("tracer") < 1_000_000 && it.part("objects") < 4_000_000);
}

#[test]
fn what_was_asked_for_and_not_touched_is_not_resident() {
    let it = rested(&["untouched"]);
    it.expect("requested", 0, 2 * PAGE);
    let untouched = it.number("not_resident_bytes");
    assert!((100_000_000 - PAGE..=100_000_000 + PAGE).contains(&untouched), "{untouched}");
    assert_eq!(it.number("live_bytes"), it.part("requested") + untouched);
    assert!(it.number("rss_bytes") < 5_000_000);
}

#[test]
fn slack_is_eight_bytes_a_block() {
    let it = rested(&["small"]);
    it.expect("requested", 4_800_000, PAGE).expect("slack", 1_600_000, 64);
    assert_eq!(it.number("live_blocks"), 200_001);
    assert!(it.part("kept") < 140_000);
}

#[test]
fn what_is_freed_and_kept() {
    // 200 of 200 000 blocks of 500 bytes, which take 512 each, are left; no page of the 102.4 MB is free to go.
    let it = rested(&["holes"]);
    it.expect("requested", 100_000, PAGE).expect("slack", 200 * 12, 64);
    it.expect("kept", 199_800 * 512 - PAGE, 132_000 + 2 * PAGE);
    let text = it.run.heaptide("rss --mark rests run.bin").succeeds().stdout();
    assert!(text.contains("of RSS is kept by the allocator: malloc_trim(0)"), "{text}");
}

#[test]
fn mappings_count_where_they_were_touched() {
    let it = rested(&["mapped"]);
    // 40 000 000 bytes end inside a page.
    it.expect("requested", 40_000_000, 2 * PAGE);
    let untouched = it.number("not_resident_bytes");
    assert!((20_000_000 - 2 * PAGE..=20_000_000 + PAGE).contains(&untouched), "{untouched}");
}

#[test]
fn shared_memory_is_shared() {
    rested(&["shared"]).expect("shared", 30_000_000, PAGE).expect("requested", 0, PAGE);
}

#[test]
fn a_mapped_file_is_a_file() {
    let scratch = Scratch::new();
    let data = scratch.file("data", &vec![7; 50_000_000]);
    let it = rested(&["file", data.to_str().unwrap()]);
    // The kernel maps pages around those that are read, and may leave none out.
    it.expect("files", 50_000_000, 16 * PAGE).expect("requested", 0, PAGE);
}

#[test]
fn stacks_of_threads() {
    rested(&["stacks"]).expect("stacks", 32_000_000, 500_000);
}

#[test]
fn heaps_of_threads_are_counted() {
    let it = rested(&["arenas"]);
    it.expect("requested", 800_000, 2 * PAGE);
    // Eight threads at once, each with a heap of its own, unless there are fewer processors: eight heaps for each.
    assert_eq!(it.report["arenas"], 8);
    assert!(it.part("kept") < 8 * 140_000);
}

fn python(script: &str, options: &[&str]) -> Rested {
    let rests = "import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print(os.getpid(), flush=True); signal.sigwait([signal.SIGUSR1])";
    let script = format!("{script}\n{rests}");
    let Python { path, .. } = newest_python();
    at_rest(Traced::command([path]).args(["-c", &script]).options(options).start())
}

/// 300 000 floats of 24 bytes, which Python's allocator takes as 32 (3.12: 24 in steps of 16).
#[test]
fn objects_of_python() {
    let script = "kept = [float(number) for number in range(300000)]";
    let without = python(script, &[]);
    without.expect("python_arenas", 9_600_000, 6_000_000);
    let with = python(script, &["--python-allocators"]);
    assert!(with.part("requested") > without.part("requested") + 7_200_000);
    assert!(with.part("slack") > 300_000 * 8);
    let (arenas, objects) = (with.part("python_arenas"), without.part("python_arenas"));
    assert!(arenas < objects - 7_200_000, "{arenas} of {objects}");
}

/// The heap of the parent is the child's too: not what it asked for, and nothing that its allocator keeps.
#[test]
fn forked_processes_are_summed_up() {
    let script = "import os, signal; kept = [bytearray(1000) for number in range(50000)]; child = os.fork()
if child == 0:
    more = bytearray(20_000_000)
    while True: signal.pause()
import atexit; atexit.register(lambda: os.kill(child, signal.SIGKILL)); import time; time.sleep(0.2)";
    let it = python(script, &[]);
    let processes = it.report["processes"].as_array().unwrap();
    processes.iter().for_each(adds_up);
    let [parent, child] = &processes[..] else { panic!("two processes") };
    assert!(part(parent, "requested") > 50_000_000 && part(parent, "inherited") == 0);
    assert!((20_000_000..22_000_000).contains(&part(child, "requested")), "{child:#}");
    assert!(part(child, "inherited") > 50_000_000 && part(child, "kept") == 0);
    // The parent's blocks are in both, and half of each in its PSS.
    let [rss, pss] = ["rss_bytes", "pss_bytes"].map(|name| it.number(name));
    assert!(rss > 140_000_000 && pss < rss - 50_000_000, "{rss} {pss}");
}

#[test]
fn the_highest_is_that_of_the_plateau_and_the_last_that_of_the_end() {
    let script = "import time, ctypes; libc = ctypes.CDLL(None)
kept = bytearray(80_000_000); time.sleep(0.5); del kept; time.sleep(1.5)";
    let run = Traced::command([&newest_python().path]).args(["-c", script]).record();
    let report = |options: &str| run.heaptide(&format!("rss {options} --json run.bin")).succeeds().json();
    let (highest, last) = (report(""), report("--last"));
    adds_up(&highest);
    adds_up(&last);
    assert!(part(&highest, "requested") > 80_000_000 && part(&last, "requested") < 40_000_000);
    assert_eq!((highest["instant"].as_str(), last["instant"].as_str()), (Some("highest"), Some("last")));
    let pid = run.capture().names.images()[0].pid;
    assert_eq!(report(&format!("--pid {pid}"))["rss_bytes"], highest["rss_bytes"]);
}

/// Nothing is known of the inside of other allocators: what live blocks do not cover is theirs.
#[test]
fn another_allocator_keeps_what_it_takes() {
    let directories = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let mut places = directories.iter().map(|directory| format!("{directory}/libjemalloc.so.2"));
    let Some(path) = places.find(|path| std::path::Path::new(path).exists()) else {
        return announce("skipped: no libjemalloc.so.2 on this machine");
    };
    let it = at_rest(Traced::program("resident.c").args(["small"]).env("LD_PRELOAD", path).start());
    // 24 bytes take 32; what jemalloc holds besides is some megabytes.
    it.expect("requested", 4_800_000, 100_000).expect("kept", 1_600_000 - 100_000, 8_000_000);
    assert_eq!((it.part("slack"), it.part("inherited")), (0, 0));
}

#[test]
fn aggregated_captures_are_explained_too() {
    let it = at_rest(Traced::program("resident.c").args(["small"]).options(["--aggregate"]).start());
    it.expect("requested", 4_800_000, PAGE).expect("slack", 1_600_000, 64);
}

#[test]
fn what_cannot_be_explained_is_said() {
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/captures/format-1.0.bin");
    let scratch = Scratch::new();
    let line = format!(
        "heaptide: {old}: does not say what resident memory consisted of: the program ended before it could be looked at, or \
         an older heaptide recorded it; record again"
    );
    scratch.heaptide(&format!("rss {old}")).exits(65).says(&line);
    let it = rested(&["untouched"]);
    let line = "heaptide: run.bin: has no mark \"after\"; `heaptide stats` lists those that it has";
    it.run.heaptide("rss --mark after run.bin").exits(65).says(line);
    assert_eq!(it.run.heaptide("rss --pid 1 run.bin").code(), Some(2));
    assert_eq!(it.run.heaptide("rss --last --mark rests run.bin").code(), Some(2));
}
