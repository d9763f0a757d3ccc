//! Hostile places: full, read-only and vanishing files, few of everything, missing file systems, filters of system calls,
//! namespaces. In each the program ends as it does alone, and what heaptide says is one line that tells what to do.
//! What needs rights that a test run may not have says so and is skipped.

use crate::support::{Ran, Scratch};
use crate::traced::{Run, Traced, announce, compiled, newest_python};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// A line of shell in a directory of its own, in which `$H` is heaptide, `$ENDS` a program that prints "here" and keeps
/// 12 345 bytes, `$LONG` one that lasts two seconds and exits with 7, `$REFUSES` one that runs others behind a filter.
fn sh(scratch: &Scratch, line: &str) -> Ran {
    let mut command = Command::new("bash");
    command.args(["-c", line]).env("H", env!("CARGO_BIN_EXE_heaptide")).env("XDG_CACHE_HOME", scratch.path("cache"));
    for (name, source) in
        [("ENDS", "ends.c"), ("LONG", "long_run.c"), ("REFUSES", "refuses.c"), ("THREADS", "many_threads.c")]
    {
        command.env(name, compiled(source, "", &[]));
    }
    scratch.run(&mut command)
}

/// Whether this machine lets tests do such a thing; a line says so if not.
fn may(line: &str, what: &str) -> bool {
    let can = sh(&Scratch::new(), line).code() == Some(0);
    if !can {
        announce(&format!("skipped: {what} (`{line}`) is not to be had here"));
    }
    can
}

fn may_mount() -> bool {
    may("unshare -m sh -c 'mkdir t && mount -t tmpfs none t'", "a mount namespace")
}

/// `$ENDS exit 3` after this beginning of a line (`ulimit …;`): ends as alone, is recorded as a whole, without a word.
fn check_recorded(before: &str) {
    for options in ["", "--native"] {
        let scratch = Scratch::new();
        let ran = sh(&scratch, &format!("{before} $H run {options} -q -o run.bin -- $ENDS exit 3")).exits(3);
        assert_eq!((ran.stdout().as_str(), ran.stderr().as_str()), ("here\n", ""), "{before}");
        let stats = scratch.heaptide("stats --json run.bin").exits(0).json();
        assert_eq!(stats["tracer"]["lost"], 0, "{before}");
        assert_eq!(stats["tracer"]["cut_stacks"], 0, "{before}");
        // The block, and the buffer of standard output.
        assert_eq!(stats["leaked"]["bytes"], 12_345 + 4_096, "{before}: {stats}");
    }
}

/// heaptide itself fails with 125 before the command runs, in one line with these words, and leaves no capture.
fn check_refused(line: &str, words: &[&str]) {
    let scratch = Scratch::new();
    let ran = sh(&scratch, line).exits(125);
    let said = ran.stderr();
    assert_eq!((ran.stdout().as_str(), said.lines().count()), ("", 1), "{line}: {said}");
    assert!(said.starts_with("heaptide: "), "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in {said}"));
    assert!(!scratch.path("run.bin").exists(), "{line}: an empty capture was left behind");
}

#[test]
fn a_disk_that_is_full_from_the_beginning() {
    if !Path::new("/dev/full").exists() {
        return announce("skipped: no /dev/full on this machine");
    }
    let scratch = Scratch::new();
    // By a link: a heaptide that removes what it cannot write must not remove the device.
    symlink("/dev/full", scratch.path("full")).unwrap();
    let ran = sh(&scratch, "$H run -f -o full -- $ENDS exit 3").exits(125);
    assert!(ran.stderr().contains("No space left"), "{}", ran.stderr());
    assert_eq!(ran.stdout(), "");
    sh(&scratch, "$H run -q -o run.bin -- $ENDS exit 3").exits(3);
    for report in ["summary", "leaks", "tree", "stats", "flamegraph", "diff run.bin"] {
        let ran = scratch.heaptide(&format!("{report} -f -o full run.bin")).exits(74);
        assert_eq!(
            ran.stderr(),
            "heaptide: full: cannot be written: No space left on device (os error 28); make room, or write elsewhere with -o\n"
        );
        let ran = sh(&scratch, &format!("$H {report} -o - run.bin > /dev/full")).exits(74);
        assert!(ran.stderr().starts_with("heaptide: standard output: cannot be written: No space left"));
    }
    assert!(scratch.path("full").exists(), "what is no capture was removed");
}

/// What a capture says that ends where there was no more room: $LONG ran on to its end, and what was written can be read.
fn check_cut(ran: &Ran, why: &str) {
    assert!(ran.stdout().starts_with("ready\nend\nexit 7\n"), "{}", ran.stdout());
    let said = ran.stderr();
    assert!(said.contains(&format!("run.bin: the capture ends early: {why}")), "{said}");
    assert!(!said.contains("heaptide: wrote"), "{said}");
    assert!(ran.stdout().contains("keep  long_run.c"), "{}", ran.stdout());
    assert!(said.contains("the report covers what is before"), "{said}");
}

#[test]
fn a_disk_that_fills_during_the_run() {
    if !may_mount() {
        return;
    }
    let line = "unshare -m sh -c 'mkdir t; mount -t tmpfs -o size=12k none t; $H run -o t/run.bin -- $LONG; echo exit $?; \
                $H summary t/run.bin; $H flamegraph -o t/report.html t/run.bin; echo report $?; ls t'";
    let ran = sh(&Scratch::new(), line);
    check_cut(&ran, "No space left on device (os error 28)");
    // Half a report is removed.
    assert!(ran.stdout().ends_with("report 74\nrun.bin\n"), "{}", ran.stdout());
    assert!(ran.stderr().contains("make room"), "{}", ran.stderr());
}

#[test]
fn a_limit_on_the_size_of_files() {
    let line = "ulimit -S -f 8; $H run -o run.bin -- $LONG; echo exit $?; ulimit -S -f unlimited; $H summary run.bin";
    check_cut(&sh(&Scratch::new(), line), "File too large (os error 27)");
    // That of the command is as before, and so is what it dies of.
    let dies = "head -c 100000 /dev/zero > large";
    let scratch = Scratch::new();
    let ran = sh(&scratch, &format!("ulimit -S -f 8; $H run -q -o run.bin -- sh -c '{dies}; echo $?'; echo $?"));
    assert_eq!(ran.stdout(), "153\n0\n");
    let ran = sh(
        &scratch,
        "ulimit -S -f 8; $H run -q -f -o run.bin -- sh -c 'exec head -c 100000 /dev/zero > large'; echo $?",
    );
    assert_eq!(ran.stdout(), "153\n");
    let ran = sh(&scratch, "$H run -q -o 2.bin -- $ENDS exit 3; ulimit -f 0; $H summary 2.bin -o report").exits(74);
    assert!(ran.stderr().contains("report: cannot be written: File too large"), "{}", ran.stderr());
    check_recorded("ulimit -S -f 8;");
    // With a hard limit there is room for fewer threads: all that are recorded are whole.
    let ran = sh(&scratch, "ulimit -f 60000; $H run -o 3.bin -- $THREADS 60").exits(0);
    assert!(ran.stderr().contains("  lost: "), "{}", ran.stderr());
    check_refused("$H run -q -f -o x -- true; rm x; ulimit -f 100; $H run -o run.bin -- $ENDS exit 3", &["ulimit -f"]);
}

#[test]
fn a_capture_that_others_remove_replace_or_cut() {
    type Deed = fn(&Path);
    let cases: [(Deed, &str); 4] = [
        (|path| std::fs::remove_file(path).unwrap(), "the capture is lost: another program has removed or replaced it"),
        (
            |path| std::fs::remove_dir_all(path.parent().unwrap()).unwrap(),
            "the capture is lost: another program has removed",
        ),
        (
            |path| std::fs::rename(path, path.with_extension("moved")).unwrap(),
            "the capture is lost: another program has",
        ),
        (|path| std::fs::write(path, b"").unwrap(), "the capture ends early: another program has cut it short"),
    ];
    for (deed, words) in cases {
        let running = Traced::program("long_run.c").start();
        running.wait_for("ready");
        deed(&running.directory().join("run.bin"));
        let run = running.finish();
        assert_eq!(run.exits(7).stdout(), "ready\nend\n");
        assert!(run.stderr().contains(words), "{}", run.stderr());
        assert!(!run.stderr().contains("heaptide: wrote"), "{}", run.stderr());
    }
}

#[test]
fn places_that_cannot_be_written() {
    let refused = |output: &str, words: &[&str]| {
        check_refused(&format!("touch there; $H run -o {output} -- $ENDS exit 3"), &[&[output], words].concat());
    };
    refused("no/such/directory.bin", &["its directory does not exist"]);
    refused("there", &["exists already", "-f"]);
    check_refused("mkdir d; $H run -f -o d -- $ENDS exit 3", &["d: is a directory", "-o"]);
    let scratch = Scratch::new();
    let ran = sh(
        &scratch,
        "echo precious > there; $H run -q -o there -- true; cat there; $H run -q -f -o there -- $ENDS exit 3",
    );
    assert_eq!(ran.exits(3).stdout(), "precious\nhere\n");
    scratch.heaptide("summary there").exits(0);
    if may_mount() {
        let line = "unshare -m sh -c 'mkdir t; mount -t tmpfs -o ro none t; $H run -o t/run.bin -- $ENDS exit 3'";
        check_refused(line, &["t/run.bin: cannot be created: Read-only file system", "choose another place with -o"]);
    }
}

#[test]
fn homes_that_are_missing_or_read_only() {
    check_recorded("unset HOME XDG_CACHE_HOME; TMPDIR=/no/such/place");
    check_recorded("export HOME=/proc XDG_CACHE_HOME=/proc;");
    check_recorded("env HOME= XDG_CACHE_HOME=relative LANG=nonsense LC_ALL=xx_YY.zz");
    let nowhere = "export HOME=/proc XDG_CACHE_HOME=/proc/c TMPDIR=/proc/t; $H run -o run.bin -- $ENDS exit 3";
    check_refused(nowhere, &["/proc/c/heaptide", "/proc/.cache/heaptide", "/proc/t/heaptide-", "set XDG_CACHE_HOME"]);
}

#[test]
fn directories_that_lie_deeper_than_any_path_reaches() {
    let line = "name=$(printf 'd%.0s' {1..250}); for i in {1..20}; do mkdir $name; cd $name; done; \
                $H run -q -o run.bin -- $ENDS exit 3; echo $?; $H summary run.bin | grep -c 'keep  ends.c'";
    let ran = sh(&Scratch::new(), line).exits(0);
    assert_eq!((ran.stdout().as_str(), ran.stderr().as_str()), ("here\n3\n1\n", ""));
}

#[test]
fn file_systems_that_are_missing() {
    if !may_mount() {
        return;
    }
    for mount in ["-t tmpfs -o ro none /dev/shm", "-o remount,hidepid=2 /proc"] {
        check_recorded(&format!("unshare -m sh -c 'mount {mount} && exec \"$0\" \"$@\"'"));
    }
    check_refused(
        "unshare -m sh -c 'mount -t tmpfs none /proc; $H run -o run.bin -- $ENDS exit 3'",
        &["cannot record without /proc", "mount -t proc proc /proc"],
    );
}

/// Numbers of system calls for `$REFUSES`.
fn numbers(calls: &[libc::c_long]) -> String {
    calls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[test]
fn system_calls_that_are_refused() {
    if !may("$REFUSES 1 9999 true", "a filter of system calls") {
        return;
    }
    let optional = numbers(&[
        libc::SYS_memfd_create,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_send_signal,
        libc::SYS_process_vm_readv,
        libc::SYS_perf_event_open,
        libc::SYS_ptrace,
        libc::SYS_userfaultfd,
        libc::SYS_bpf,
    ]);
    for error in [libc::EPERM, libc::ENOSYS] {
        check_recorded(&format!("$REFUSES {error} {optional}"));
    }
    // Without memory files too the memory is enough for a few dozen threads.
    let memory = numbers(&[libc::SYS_memfd_create]);
    let scratch = Scratch::new();
    sh(&scratch, &format!("$REFUSES 1 {memory} $H run -q -o run.bin -- $THREADS 60")).exits(0);
    let stats = scratch.heaptide("stats --json run.bin").exits(0).json();
    assert_eq!(stats["tracer"]["lost"], 0);
    let signals = numbers(&[libc::SYS_signalfd4]);
    check_refused(
        &format!("$REFUSES 38 {signals} $H run -o run.bin -- $ENDS exit 3"),
        &["cannot prepare the recording", "a filter of system calls"],
    );
    let advice = numbers(&[libc::SYS_madvise]);
    // Here the filter is the command: it is traced, and the program that it becomes cannot be.
    let ran = sh(&scratch, &format!("$REFUSES 22 {advice} $H run -o 2.bin -- $ENDS exit 3")).exits(3);
    assert_eq!(ran.stdout(), "here\n");
    assert!(ran.stderr().starts_with("heaptide: nothing was traced: ") && ran.stderr().contains("MADV_WIPEONFORK"));
    scratch.heaptide("stats 2.bin").exits(0).shows("1 processes could not be traced");
}

#[test]
fn few_descriptors_and_little_address_space() {
    for limits in [
        "ulimit -n 8;",
        "ulimit -n 16;",
        "ulimit -v 100000;",
        "ulimit -v 4000000;",
        "ulimit -u 200 2> /dev/null; ulimit -s 256;",
        "ulimit -s 128;",
        "ulimit -l 0; ulimit -i 0; ulimit -q 0; ulimit -c 0;",
    ] {
        check_recorded(limits);
    }
    check_refused("$H run -q -o x -- true; rm x; ulimit -n 5; $H run -o run.bin -- $ENDS exit 3", &["ulimit -n"]);
    let python = newest_python().path.display();
    let scratch = Scratch::new();
    sh(&scratch, &format!("ulimit -n 16; $H run -q -o run.bin -- {python} -c 'bytearray(12344)'")).exits(0);
    assert_eq!(scratch.heaptide("stats --json run.bin").exits(0).json()["tracer"]["lost"], 0);
}

#[test]
fn a_recorder_that_may_not_start_threads() {
    // Limits on processes are not for root.
    if !may("setpriv --reuid 65534 --clear-groups true", "another user") {
        return;
    }
    let scratch = Scratch::new();
    let line = "chmod 777 .; cp $H $ENDS .; chmod 755 *; setpriv --reuid 65534 --clear-groups bash -c \
                'export XDG_CACHE_HOME=$PWD/c; ulimit -u 2; exec ./heaptide run -q -o run.bin -- ./ends_c exit 3'";
    let ran = sh(&scratch, line).exits(3);
    assert_eq!((ran.stdout().as_str(), ran.stderr().as_str()), ("here\n", ""));
}

#[test]
fn standard_streams_that_are_closed() {
    let scratch = Scratch::new();
    let shows = "for stream in 0 1 2; do test -e /proc/$$/fd/$stream; echo $? >> found; done; exit 3";
    for (index, (closed, found)) in
        [("<&-", "1\n0\n0\n"), (">&-", "0\n1\n0\n"), ("2>&-", "0\n0\n1\n"), ("<&- >&- 2>&-", "1\n1\n1\n")]
            .iter()
            .enumerate()
    {
        for command in ["", &format!("$H run -o {index}.bin --")] {
            let ran = sh(&scratch, &format!("rm -f found; {command} sh -c '{shows}' {closed}")).exits(3);
            assert_eq!((scratch.read("found").as_str(), ran.stdout().as_str()), (*found, ""), "{command} {closed}");
        }
        scratch.heaptide(&format!("summary {index}.bin")).exits(0);
    }
}

#[test]
fn programs_that_change_their_surroundings() {
    for how in ["closes", "all", "none", "user", "root"] {
        for options in [&[][..], &["--native"]] {
            let program = Traced::program("changes.c").args([how]).options(options);
            let bare = program.clone().bare();
            if bare.status.code() == Some(77) {
                announce(&format!("skipped: this user may not do it (changes.c {how})"));
                continue;
            }
            let run = program.run();
            assert_eq!(run.exits(5).stdout(), "end\n", "{how}");
            assert_eq!(run.at_exit("keep"), (40 * 777, 40), "{how} {options:?}");
            assert_eq!(run.totals().tracer.lost, 0, "{how}");
        }
    }
}

#[test]
fn stacks_that_are_small() {
    for options in [&[][..], &["--native"]] {
        for stacks in [["16384", "8192"], ["65536", "65536"]] {
            let run = Traced::program("small_stacks.c").args(stacks).options(options).run();
            assert_eq!(run.exits(5).at_exit("keep"), (2 * 12_345, 2), "{stacks:?} {options:?}");
        }
    }
    for python in crate::traced::pythons() {
        let code = "import threading; threading.stack_size(65536); t = threading.Thread(target=lambda: bytearray(12344)); t.start(); t.join()";
        for options in [&[][..], &["--native"]] {
            let run =
                Traced::command([python.path.as_os_str(), "-c".as_ref(), code.as_ref()]).options(options).record();
            assert_eq!(run.exits(0).of_size(12_345).len(), 1, "3.{} {options:?}", python.minor);
        }
    }
}

#[test]
fn ten_thousand_threads_one_after_another() {
    let run = Traced::program("many_threads.c").args(["10000", "in turn"]).record();
    assert_eq!(run.at_exit("keep"), (10_000 * 777, 10_000));
}

#[test]
fn two_thousand_threads_at_once() {
    let run = Traced::program("many_threads.c").args(["2000"]).record();
    assert_eq!(run.at_exit("keep"), (2_000 * 777, 2_000));
    assert_eq!(run.threads(), 2_001);
}

/// There are 4 096 rings. Further threads are not traced, and what they did is counted and told.
#[test]
fn more_threads_at_once_than_can_be_traced() {
    let run = Traced::program("many_threads.c").args(["4700"]).run();
    // The main thread has a ring too.
    assert_eq!(run.exits(0).at_exit("keep"), (4_095 * 777, 4_095));
    let lost = run.totals().tracer.lost;
    assert!(lost >= 605, "{lost}");
    assert!(run.stderr().contains("  lost: "), "{}", run.stderr());
    run.heaptide("summary run.bin").exits(0).shows("events were lost while recording: all figures are too low");
}

#[test]
fn a_thousand_processes() {
    let scratch = Scratch::new();
    let line = "$H run -q -o run.bin -- sh -c 'i=0; while [ $i -lt 1000 ]; do $0 exit 3; i=$((i + 1)); done' $ENDS";
    let ran = sh(&scratch, line).exits(0);
    assert_eq!(ran.stdout(), "here\n".repeat(1_000));
    let stats = scratch.heaptide("stats --json run.bin").exits(0).json();
    assert_eq!((&stats["tracer"]["lost"], &stats["tracer"]["refused"]), (&0.into(), &0.into()));
    let leaks = scratch.heaptide("leaks --json run.bin").exits(0).stdout();
    assert!(leaks.contains("12345000"), "{leaks}");
}

#[test]
fn two_hundred_processes_at_once() {
    let scratch = Scratch::new();
    let line = "$H run -q -o run.bin -- sh -c 'for i in $(seq 200); do $0 10 & done; wait' $THREADS";
    sh(&scratch, line).exits(0);
    let stats = scratch.heaptide("stats --json run.bin").exits(0).json();
    assert_eq!((&stats["tracer"]["lost"], &stats["tracer"]["refused"]), (&0.into(), &0.into()));
}

#[test]
fn pid_namespaces() {
    if !may("unshare -p -f true", "a pid namespace") {
        return;
    }
    check_recorded("unshare -p -f --mount-proc");
    check_recorded("unshare -U -r");
    // Inside, the program is process 1; outside it has the number by which the recorder knows it.
    for program in [["20", "0"], ["20", "20"]] {
        let threads = compiled("many_threads.c", "", &[]);
        let run = Traced::command(["unshare", "-p", "-f"]).args([threads.as_os_str()]).args(&program[..1]).record();
        assert_eq!(run.exits(0).at_exit("keep"), (20 * 777, 20));
        assert!(!run.stderr().contains("still run"), "{}", run.stderr());
    }
}

/// A program of the benchmark that prints "private" and how many bytes it has that no other shares.
fn bounds(arguments: &[&str]) -> Traced {
    let program = compiled("../../bench/native/bounds.c", "", &["-O1", "-fno-optimize-sibling-calls"]);
    Traced::command([program]).args(arguments)
}

fn private(run: &Run) -> u64 {
    run.stdout().trim().strip_prefix("private ").and_then(|bytes| bytes.parse().ok()).expect("a number of bytes")
}

#[test]
fn the_recorder_needs_48_bytes_a_live_block() {
    let run = bounds(&["live", "2700000", "2700000"]).record();
    assert_eq!(run.exits(0).at_exit("main"), (2_700_000 * 32, 2_700_000));
    let resident = run.totals().tracer.collector_rss;
    // A place in the table is 24 bytes.
    assert!((24 * 2_700_000..(64 << 20) + 48 * 2_700_000).contains(&resident), "{resident}");
}

/// The kernel counts what a process held before it became another program; the recorder does not.
#[test]
fn the_recorders_memory_is_not_that_of_who_started_it() {
    let ballast = std::hint::black_box(vec![1u8; 400 << 20]);
    let run = Traced::program("peak.c").record();
    drop(ballast);
    let resident = run.totals().tracer.collector_rss;
    assert!((1 << 20..64 << 20).contains(&resident), "{resident}");
}

/// 200 000 paths of 33 frames each, which is 800 000 nodes or so.
#[test]
fn the_shims_memory_is_what_the_kernel_says() {
    let program = bounds(&["stacks", "200000", "15"]).options(["--native"]);
    let bare = private(program.clone().bare().exits(0));
    let run = program.record();
    let (grown, told) = (private(run.exits(0)) - bare, run.totals().tracer.shim_bytes);
    assert!(grown > 2 << 20, "{grown}");
    // What is told is room, not all of it touched, and holds a ring of 1 MiB, which is shared.
    assert!(told > grown && told < 2 * grown + (2 << 20), "{grown} bytes more, {told} told");
}
