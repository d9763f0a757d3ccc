//! Processes: how they end, what they leave to others, how they multiply, and what cannot be traced.

use crate::support::Scratch;
use crate::traced::{Run, Traced, announce, compiled, fixture, newest_python, pythons, script, sh};
use std::ffi::OsStr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn exit_codes_are_the_commands() {
    for how in ["exit", "_exit", "thread", "main"] {
        for code in [0, 3, 77] {
            let run = Traced::program("ends.c").args([how, &code.to_string()]).record();
            assert_eq!(run.exits(code).stdout(), "here\n");
            assert_eq!(run.at_exit("keep"), (12_345, 1), "{how} {code}");
            assert_eq!(run.capture().status, Some(code));
        }
    }
}

#[test]
fn death_by_a_signal_is_the_commands() {
    for signal in [libc::SIGKILL, libc::SIGABRT, libc::SIGTERM, libc::SIGINT, libc::SIGPIPE, libc::SIGUSR1] {
        let run = Traced::program("ends.c").args(["signal", &signal.to_string()]).record();
        assert_eq!((run.status.signal(), run.stdout().as_str()), (Some(signal), "here\n"));
        assert_eq!(run.at_exit("keep"), (12_345, 1), "signal {signal}");
        assert_eq!(run.capture().status, Some(128 + signal));
    }
    let run = Traced::program("ends.c").args(["segv"]).record();
    assert_eq!((run.status.signal(), run.at_exit("keep")), (Some(libc::SIGSEGV), (12_345, 1)));
}

#[test]
fn nothing_is_lost_when_the_target_kills_itself() {
    for threads in ["1", "4"] {
        for options in [&[][..], &["--aggregate"]] {
            let run = Traced::program("counts_and_dies.c").args([threads]).options(options).record();
            assert_eq!(run.status.signal(), Some(libc::SIGKILL));
            let counted: u64 = run.stdout().trim().parse().unwrap();
            let (bytes, blocks) = run.at_exit("keep");
            // Those that were counted, and what the other threads did between the count and the end.
            assert!(blocks >= counted && bytes == blocks * 1_000, "{blocks} blocks, at least {counted} expected");
            assert!(threads != "1" || blocks == counted, "{blocks} blocks, {counted} expected");
        }
    }
}

#[test]
fn standard_streams_pass_untouched() {
    // All byte values, more than a pipe holds.
    let input: Vec<u8> = (0..300_000_u32).map(|index| (index * 7 / 3) as u8).collect();
    let run = Traced::command(["sh", "-c", "tee /dev/stderr"]).options(["-q"]).input(&input).record();
    assert!(run.exits(0).stdout == input, "standard output differs");
    assert!(run.stderr == input, "standard error differs");
}

/// What differs between a command's output alone and under heaptide: lines only there, lines only here.
fn differences(bare: &Run, run: &Run) -> (Vec<String>, Vec<String>) {
    let lines = |run: &Run| run.stdout().split(['\n', '\0']).map(str::to_owned).collect::<Vec<_>>();
    let (bare, run) = (lines(bare), lines(run));
    let only =
        |these: &[String], those: &[String]| these.iter().filter(|line| !those.contains(line)).cloned().collect();
    (only(&bare, &run), only(&run, &bare))
}

#[test]
fn the_environment_differs_by_two_variables() {
    let command = Traced::command(["env", "-0"]);
    let (bare, run) = differences(&command.clone().bare(), &command.clone().run());
    assert_eq!(bare.iter().filter(|line| !line.starts_with("PWD=")).count(), 0, "{bare:?}");
    let names: Vec<&str> =
        run.iter().map(|line| line.split('=').next().unwrap()).filter(|name| *name != "PWD").collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&"LD_PRELOAD") && names.contains(&"HEAPTIDE_SHARED"), "{names:?}");
    // What was preloaded before stays, behind ours.
    let forwarding = compiled("bump.c", ".so", &["-shared", "-fPIC"]);
    let run = command.env("LD_PRELOAD", forwarding.as_os_str()).run();
    let preload = run.stdout().split('\0').find_map(|line| line.strip_prefix("LD_PRELOAD=").map(str::to_owned));
    assert!(preload.unwrap().ends_with(&format!(":{}", forwarding.display())));
}

#[test]
fn descriptors_signals_and_limits_are_the_same() {
    // The process itself, not a child of a shell that would tidy up.
    let status = "import os; print(sorted(os.listdir('/proc/self/fd')), os.nice(0), os.getpgrp() == os.getppid(), \
                  os.umask(0), open('/proc/self/limits').read(), open('/proc/self/cgroup').read()); \
                  print([line for line in open('/proc/self/status') \
                         if line.startswith(('SigP', 'SigB', 'SigI', 'SigC', 'Shd', 'Threads', 'Groups', 'Uid', 'Seccomp', 'NoNewPrivs', 'Cap'))])";
    let python = &newest_python().path;
    let command = Traced::command([python.as_os_str(), OsStr::new("-c"), OsStr::new(status)]);
    let (bare, run) = (command.clone().bare(), command.record());
    // Only the process group's leader differs: the test's child is heaptide.
    assert_eq!(run.stdout().replace(" True ", " False "), bare.stdout().replace(" True ", " False "));
}

#[test]
fn errno_is_left_alone() {
    let run = Traced::program("errors.c").record();
    assert_eq!(run.stdout(), "77 ".repeat(12));
}

#[test]
fn forks() {
    for arguments in [&[][..], &["in a thread"]] {
        let run = Traced::program("forks.c").args(arguments).record();
        assert_eq!(run.exits(0).images().len(), 2);
        assert_eq!(run.at_exit("before"), (12_345, 1));
        assert_eq!(run.at_exit("after"), (34_567, 1));
        assert_eq!(run.at_exit("in_child"), (23_456, 1));
        assert_eq!(run.at_exit("many"), (10_000, 100));
        // The block that the child inherited and freed.
        assert!(run.totals().freed_unknown >= 1);
    }
}

#[test]
fn children_are_left_out_if_asked_for() {
    let run = Traced::program("forks.c").options(["--no-follow"]).record();
    assert_eq!(run.exits(0).images().len(), 1);
    assert_eq!((run.at_exit("in_child"), run.at_exit("after")), ((0, 0), (34_567, 1)));
    assert_eq!(run.totals().freed_unknown, 0);
    let run = Traced::program("spawns.c").args([compiled("peak.c", "", &[])]).options(["--no-follow"]).record();
    assert_eq!(run.exits(0).images(), ["spawns_c"]);
    // What the process itself becomes is still it.
    let peak = compiled("peak.c", "", &[]);
    let run = Traced::command(["sh", "-c", "exec \"$0\""]).args([&peak]).options(["--no-follow"]).record();
    assert_eq!(run.at_exit("make_blocks"), (13_345, 2));
}

#[test]
fn spawned_and_executed() {
    let peak = compiled("peak.c", "", &[]);
    let run = Traced::program("spawns.c").args([&peak]).record();
    let mut images = run.exits(0).images();
    images.sort();
    images.dedup_by(|a, b| a == b && a == "spawns_c");
    assert_eq!(images, ["peak_c", "peak_c", "peak_c", "spawns_c"]);
    assert_eq!(run.at_exit("make_blocks"), (3 * 13_345, 6));
    assert_eq!(run.at_exit("after"), (12_345, 1));
}

#[test]
fn exec_begins_a_second_image() {
    let peak = compiled("peak.c", "", &[]);
    let run = Traced::program("spawns.c").args([peak.as_os_str(), OsStr::new("exec")]).record();
    assert_eq!(run.exits(0).at_exit("make_blocks"), (4 * 13_345, 8));
    assert_eq!(run.at_exit("after"), (12_345, 1));
    let images = run.capture().names.images();
    let (first, last) = (&images[0], images.last().unwrap());
    assert_eq!(first.pid, last.pid);
    assert_eq!(last.parent.map(|parent| parent.index()), Some(0));
}

#[test]
fn python_subprocesses() {
    for python in pythons() {
        let run = Traced::python("children.py", python).record();
        assert_eq!(run.exits(0).stack_of(10_102), "lines:13 < plain:14 < <module>:30");
        assert_eq!(run.stack_of(18_101), "<module>:10");
        let run = Traced::python("children.py", python).args(["exec"]).record();
        assert_eq!(run.exits(0).stack_of(14_001), "several:8 < <module>:29");
    }
}

#[test]
fn daemons_are_followed() {
    let run = Traced::program("daemon.c").record();
    assert_eq!(run.exits(0).allocated("in_daemon"), (617_250, 50));
    assert!(run.stderr().contains("traced process"), "{}", run.stderr());
}

#[test]
fn daemons_that_allocate_only_after_their_parents_have_ended() {
    let run = Traced::program("daemon.c").args(["quick"]).record();
    assert_eq!(run.exits(0).allocated("in_daemon"), (617_250, 50));
}

#[test]
fn scripts_as_the_command() {
    let scratch = Scratch::new();
    let python = newest_python().path.display();
    let functions = fixture("functions.py");
    let functions = functions.display();
    let shell = scratch.path("starts");
    script(&shell, &format!("#!/bin/sh\nexport SOME=thing\nexec \"{python}\" \"{functions}\" \"$@\"\n"));
    let body = std::fs::read_to_string(fixture("functions.py")).unwrap();
    // The first line stays one line, so that the others keep their numbers.
    let body = body.split_once('\n').unwrap().1.to_owned();
    let environment = scratch.path("by_env");
    script(&environment, &format!("#!/usr/bin/env python3\n{body}"));
    let console = scratch.path("console");
    script(&console, &format!("#!{python}\n{body}"));
    let named = scratch.file("named.py", format!("# a script\n{body}").as_bytes());
    for command in [&shell, &environment, &console, &named] {
        let run = Traced::command([command]).record();
        assert_eq!(run.exits(0).stack_of(10_102), "lines:13 < plain:14 < <module>:30", "{}", command.display());
    }
}

#[test]
fn the_capture_has_a_name_of_its_own() {
    let run = Traced::python("functions.py", newest_python()).unnamed().run();
    let names: Vec<String> = std::fs::read_dir(run.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let pid = names[0].strip_prefix("heaptide-functions.py.").and_then(|rest| rest.strip_suffix(".bin"));
    assert!(pid.is_some_and(|pid| pid.parse::<u32>().is_ok()), "{names:?}");
    assert!(run.stderr().contains(&names[0]), "{}", run.stderr());
}

#[test]
fn a_signal_to_heaptide_is_handed_to_the_target() {
    for (signal, says) in [
        (libc::SIGTERM, "INT 0 TERM 1 USR1 0"),
        (libc::SIGINT, "INT 1 TERM 0 USR1 0"),
        (libc::SIGUSR1, "INT 0 TERM 0 USR1 1"),
    ] {
        let running = Traced::program("signals.c").start();
        running.wait_for("ready");
        running.signal(signal);
        let run = running.finish();
        assert_eq!(run.exits(5).is_whole().stdout(), format!("ready\n{says}\n"));
    }
}

/// In a terminal of its own, Ctrl-C goes to heaptide and to the target.
#[test]
fn ctrl_c_reaches_the_target_once() {
    let scratch = Scratch::new();
    let (keyboard, terminal) = terminal();
    let mut command = Command::new(env!("CARGO_BIN_EXE_heaptide"));
    command.args(["run", "-o"]).arg(scratch.path("run.bin")).arg("--").arg(compiled("signals.c", "", &[]));
    command.stdin(terminal.try_clone().unwrap()).stdout(Stdio::piped()).stderr(terminal.try_clone().unwrap());
    // SAFETY: both may be called between fork and exec; standard input is the terminal by then.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    std::io::Write::write_all(&mut &keyboard, b"\x03").unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "INT 1 TERM 0 USR1 0\n");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

/// Both ends of a new terminal.
fn terminal() -> (std::fs::File, std::fs::File) {
    use std::os::fd::FromRawFd;
    let (mut keyboard, mut terminal) = (-1, -1);
    let null: *mut libc::c_void = std::ptr::null_mut();
    // SAFETY: two integers are written; no name, settings or size are asked for.
    let result = unsafe { libc::openpty(&raw mut keyboard, &raw mut terminal, null.cast(), null.cast(), null.cast()) };
    assert_eq!(result, 0, "openpty: {}", std::io::Error::last_os_error());
    for descriptor in [keyboard, terminal] {
        // SAFETY: opened just now.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // SAFETY: opened just now, nobody else's.
    unsafe { (std::fs::File::from_raw_fd(keyboard), std::fs::File::from_raw_fd(terminal)) }
}

#[test]
fn the_target_outlives_a_collector_that_is_killed() {
    let running = Traced::program("long_run.c").start();
    running.wait_for("ready");
    running.signal(libc::SIGKILL);
    let run = running.finish();
    assert_eq!(run.status.signal(), Some(libc::SIGKILL));
    // The output ends when the target has closed it: it went on to its own end.
    assert_eq!(run.stdout(), "ready\nend\n");
    let ends_early = run.capture().ends_early.as_ref().expect("nobody finished the capture");
    assert!(!ends_early.complete);
    assert_eq!(run.at_exit("keep"), (12_345, 1));
    let pairs = run.allocated("pairs").1;
    assert!(pairs > 200_000, "{pairs} of at least 500 000 pairs are in whole blocks");
}

#[test]
fn a_stopped_collector_does_not_hurt() {
    let running = Traced::program("long_run.c").start();
    running.wait_for("ready");
    running.signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(600));
    running.signal(libc::SIGCONT);
    let run = running.finish();
    assert_eq!(run.exits(7).is_whole().stdout(), "ready\nend\n");
    assert_eq!(run.at_exit("keep"), (12_345, 1));
}

#[test]
fn aggregated_totals_are_those_of_events() {
    let full = Traced::program("reallocs.c").record();
    let aggregated = Traced::program("reallocs.c").options(["--aggregate"]).record();
    for function in ["to_nothing", "in_place", "moves", "same_size", "shrinks", "grows_often", "begins", "takes_over"] {
        let amounts = |run: &Run| [run.allocated(function), run.at_peak(function), run.at_exit(function)];
        assert_eq!(amounts(&aggregated), amounts(&full), "{function}");
    }
    let numbers = |run: &Run| (run.totals().events, run.totals().allocated, run.totals().peak, run.totals().leaked);
    assert_eq!(numbers(&aggregated), numbers(&full));
    assert!(aggregated.steps().is_empty());
}

/// `heaptide run` refuses the command with this code, in these words, and leaves no capture.
fn check_refused(command: &[&OsStr], code: i32, words: &str) {
    let run = Traced::command(command).run();
    run.exits(code);
    assert!(run.stderr().contains(words), "{words:?} is not in {}", run.stderr());
    assert!(run.stderr().starts_with("heaptide: "), "{}", run.stderr());
    assert_eq!(run.stdout(), "");
    assert!(!run.path().exists(), "an empty capture was left behind");
}

#[test]
fn commands_that_cannot_be_run() {
    let scratch = Scratch::new();
    check_refused(&[OsStr::new("no-such-command-here")], 127, "no-such-command-here: command not found");
    check_refused(&[OsStr::new("./no/such/file")], 127, "command not found");
    check_refused(&[scratch.path("").as_os_str()], 126, "directory");
    let plain = scratch.file("plain", b"#!/bin/sh\necho here\n");
    check_refused(&[plain.as_os_str()], 126, "no permission to execute it");
    let no_interpreter = scratch.path("no_interpreter");
    script(&no_interpreter, "#!/no/such/interpreter\n");
    check_refused(&[no_interpreter.as_os_str()], 126, "/no/such/interpreter");
    let garbage = scratch.path("garbage");
    script(&garbage, "\u{1}\u{2}\0\u{3}");
    check_refused(&[garbage.as_os_str()], 126, "neither an ELF program nor a script");
    let cut = scratch.path("cut");
    sh("sh", &[OsStr::new("-c"), OsStr::new("head -c 100 /bin/sh > \"$0\"; chmod 755 \"$0\""), cut.as_os_str()]);
    check_refused(&[cut.as_os_str()], 126, "cut");
}

#[test]
fn programs_that_cannot_be_traced() {
    let program = compiled("peak.c", "_static", &["-static"]);
    check_refused(&[program.as_os_str()], 126, "statically linked");
    // A script is judged by what it starts.
    let scratch = Scratch::new();
    let by_static = scratch.path("by_static");
    script(&by_static, &format!("#!{}\n", program.display()));
    check_refused(&[by_static.as_os_str()], 126, "statically linked");
    let can_32_bit = Command::new("cc").args(["-m32", "-o", "/dev/null"]).arg(fixture("nothing.c")).output();
    if can_32_bit.is_ok_and(|output| output.status.success()) {
        check_refused(&[compiled("nothing.c", "_32", &["-m32"]).as_os_str()], 126, "32-bit");
    } else {
        announce("skipped: cc -m32 does not work on this machine");
    }
}

#[test]
fn programs_with_other_rights() {
    let scratch = Scratch::new();
    // SAFETY: no precondition.
    if unsafe { libc::geteuid() } == 0 {
        let copy = scratch.path("other_rights");
        let steps = "cp \"$1\" \"$0\" && chown 65534:65534 \"$0\" && chmod 4755 \"$0\"";
        sh("sh", &[OsStr::new("-c"), OsStr::new(steps), copy.as_os_str(), compiled("peak.c", "", &[]).as_os_str()]);
        check_refused(&[copy.as_os_str()], 126, "other rights than yours");
    } else if let Some(program) =
        ["/usr/bin/su", "/bin/su", "/usr/bin/passwd"].iter().find(|path| Path::new(path).exists())
    {
        check_refused(&[OsStr::new(program)], 126, "other rights than yours");
    } else {
        announce("skipped: no program with other rights on this machine");
    }
}
