//! Marks: where they are set, by whom, and what goes wrong. And `run --alert`.

use crate::support::{Ran, Scratch};
use crate::traced::{Run, Running, Traced, newest_python};
use heaptide_analyze::records::{self, Record};
use heaptide_analyze::source::Source;
use heaptide_format::capture::events::Event;
use heaptide_format::capture::{Mark, MarkOrigin};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

fn marks(run: &Run) -> &[Mark] {
    &run.capture().marks
}

fn names(run: &Run) -> Vec<&str> {
    marks(run).iter().map(|mark| &*mark.name).collect()
}

fn mark<'r>(run: &'r Run, name: &str) -> &'r Mark {
    marks(run).iter().find(|mark| mark.name == name).unwrap_or_else(|| panic!("{name:?} is not in {:?}", names(run)))
}

/// Number of events before each allocation of the capture, and its size.
fn allocations(run: &Run) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let mut events = 0;
    let visit = &mut |_, record: Record<'_>| -> Result<(), std::convert::Infallible> {
        if let Record::Events(block) = record {
            for event in block.map_while(Result::ok) {
                match event {
                    Event::Clock(_) | Event::Thread(_) | Event::ImageEnded(_) | Event::ProgramEnded(_) => continue,
                    Event::Allocated { size, .. } => found.push((events, size)),
                    _ => {}
                }
                events += 1;
            }
        }
        Ok(())
    };
    assert!(records::walk(&Source::open(run.path()).unwrap(), visit, &mut |_| {}).is_ok());
    assert_eq!(events, run.totals().events);
    found
}

/// Events before the first allocation of this size.
fn before(run: &Run, size: u64) -> u64 {
    allocations(run).iter().find(|(_, bytes)| *bytes == size).expect("an allocation of that size").0
}

#[test]
fn a_mark_is_between_what_was_before_and_what_came_after() {
    let run = Traced::program("marks.c").record();
    assert_eq!(run.stdout(), "traced\n");
    assert_eq!(names(&run), ["one", "two", "three"]);
    let place = |name| mark(&run, name).event;
    assert_eq!(place("one"), before(&run, 12_345) + 1);
    assert_eq!(place("one"), before(&run, 54_321));
    assert_eq!((place("two"), place("three")), (place("one") + 1, place("one") + 2));
    let live = |name| mark(&run, name).live;
    assert_eq!((live("two"), live("three")), (live("one") + 54_321, live("one") + 54_321 - 12_345));
    assert!(marks(&run).iter().all(|mark| mark.origin == MarkOrigin::Program && mark.image.unwrap().0 == 0));
    assert!(marks(&run).is_sorted_by_key(|mark| mark.time));
}

#[test]
fn without_heaptide_nothing_happens() {
    for how in ["", "fork", "hostile", "many"] {
        let run = Traced::program("marks.c").args([how]).bare();
        assert_eq!(run.exits(0).stdout(), "alone\n");
    }
}

#[test]
fn marks_of_several_threads_are_in_order() {
    let run = Traced::program("mark_threads.c").record();
    let sizes = allocations(&run);
    assert_eq!(names(&run).len(), 500);
    for (round, mark) in marks(&run).iter().enumerate() {
        assert_eq!(mark.name, round.to_string());
        let its = sizes.iter().filter(|(events, size)| *events < mark.event && (1_000..1_500).contains(size));
        assert_eq!(its.count(), round + 1, "{mark:?}");
    }
}

#[test]
fn a_forked_child_sets_its_own() {
    let run = Traced::program("marks.c").args(["fork"]).record();
    let of_parent: Vec<&str> = names(&run).into_iter().filter(|name| *name != "child").collect();
    // Processes are in the order of the recorder's rounds; but the parent has waited for the child's end.
    assert_eq!((of_parent, names(&run).len(), names(&run)[4]), (vec!["one", "two", "three", "parent"], 5, "parent"));
    let child = mark(&run, "child");
    assert_eq!((child.image.unwrap().0, mark(&run, "parent").image.unwrap().0), (1, 0));
    assert_eq!((child.event, child.event), (before(&run, 777) + 1, before(&run, 888)));
}

#[test]
fn many_marks_are_all_there() {
    let run = Traced::program("marks.c").args(["many"]).record();
    let again: Vec<&Mark> = marks(&run).iter().filter(|mark| mark.name == "again").collect();
    assert_eq!(again.len(), 10_000);
    let first = before(&run, 7);
    assert!(again.iter().enumerate().all(|(place, mark)| mark.event == first + 1 + place as u64));
    let text = run.heaptide("stats run.bin").succeeds().stdout();
    assert!(text.contains("and 9,903 more"), "{text}");
    assert_eq!(run.heaptide("stats --json run.bin").succeeds().json()["marks"].as_array().unwrap().len(), 10_003);
}

#[test]
fn names_may_be_anything() {
    let run = Traced::program("marks.c").args(["hostile"]).record();
    let long = "x".repeat(200);
    // Cut in the middle of a letter: that is left out.
    let letters = format!("x{}", "\u{e9}".repeat(99));
    assert_eq!(names(&run)[3..], ["line\nbreak \u{1b}[31m", "a\u{fffd}b", "", "", "caf\u{e9}", &long, &letters]);
    let text = run.heaptide("stats run.bin").succeeds().stdout();
    assert!(text.contains("line\\u{a}break \\u{1b}[31m\n"), "{text}");
    assert_eq!(run.heaptide("stats --json run.bin").succeeds().json()["marks"][3]["name"], "line\nbreak \u{1b}[31m");
}

/// Wherever the handler came, in malloc too, its marks are there, and nothing is lost.
#[test]
fn a_signal_handler_may_set_marks() {
    let run = Traced::program("mark_signals.c").record();
    assert_eq!(run.stdout(), "77 200\n");
    assert_eq!(names(&run), ["signal"; 200]);
    assert!(marks(&run).iter().all(|mark| mark.image.unwrap().0 == 0 && mark.origin == MarkOrigin::Program));
}

#[test]
fn a_mark_survives_the_death_of_the_program() {
    for _ in 0..20 {
        let run = Traced::program("marks.c").args(["kill"]).run();
        assert_eq!(names(&run), ["one", "two", "three", "last"]);
        let last = mark(&run, "last");
        assert_eq!((last.event, last.live), (run.totals().events, mark(&run, "three").live + 54_321));
    }
}

#[test]
fn an_aggregated_capture_has_marks_too() {
    let run = Traced::program("marks.c").options(["--aggregate"]).record();
    assert_eq!(names(&run), ["one", "two", "three"]);
    assert_eq!(mark(&run, "two").live, mark(&run, "one").live + 54_321);
}

#[test]
fn a_capture_without_footer_has_its_marks() {
    let run = Traced::program("marks.c").record();
    let bytes = std::fs::read(run.path()).unwrap();
    std::fs::write(run.directory().join("cut.bin"), &bytes[..bytes.len() - 20]).unwrap();
    let marks = run.heaptide("stats --json cut.bin").exits(0).json()["marks"].clone();
    let names: Vec<&str> = marks.as_array().unwrap().iter().map(|mark| mark["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two", "three"]);
}

/// The helper of docs/guide/marks.md.
#[test]
fn python_sets_marks() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/marks.md")).unwrap();
    let helper = guide.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let script = format!(
        "{helper}\nkept = bytearray(1234567)\nmark('after load \u{e9}')\nmore = bytearray(7654321)\nprint('ok')"
    );
    let python = newest_python().path.clone();
    let run = Traced::command([python.clone()]).args(["-c", &script]).record();
    let place = mark(&run, "after load \u{e9}").event;
    assert!(before(&run, 1_234_568) < place && place <= before(&run, 7_654_322));
    let bare = Traced::command([python]).args(["-c", &script]).bare();
    assert_eq!((bare.exits(0).stdout(), bare.stderr()), ("ok\n".into(), String::new()));
}

/// The header of docs/guide/marks.md.
#[test]
fn the_header_of_the_guide_compiles() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/marks.md")).unwrap();
    let header = guide.split("```c\n").nth(1).unwrap().split("```").next().unwrap();
    let scratch = Scratch::new();
    let source = format!("{header}\nint main(void) {{ heaptide_mark_here(\"from C\"); return 0; }}\n");
    let source = scratch.file("program.c", source.as_bytes());
    for flags in [&["-fPIE", "-pie"][..], &["-O2"], &["-O2", "-xc++"]] {
        let program = scratch.path("program");
        assert!(
            Command::new("cc")
                .args(flags)
                .arg("-Wall")
                .arg("-Werror")
                .arg("-o")
                .arg(&program)
                .arg(&source)
                .status()
                .unwrap()
                .success()
        );
        let run = Traced::command([&program]).record();
        assert_eq!(names(&run), ["from C"], "{flags:?}");
        Traced::command([&program]).bare().exits(0);
    }
}

/// The program and its child, once they wait.
fn waiting(options: &[&str], arguments: &[&str]) -> (Running, u32, u32) {
    let running = Traced::program("waits.c").args(arguments).options(options).start();
    let line = running.wait_for_line();
    let (target, child) = line.split_once(' ').unwrap();
    (running, target.parse().unwrap(), child.parse().unwrap())
}

fn set(pid: u32, name: &str) -> Ran {
    Scratch::new().run(Command::new(env!("CARGO_BIN_EXE_heaptide")).args(["mark", &pid.to_string(), name]))
}

#[test]
fn from_outside_by_any_process_of_the_run() {
    for options in [&[][..], &["--aggregate"]] {
        let (running, target, child) = waiting(options, &[]);
        let recorder = running.pid() as u32;
        for (pid, name) in [(target, "by target"), (child, "by child"), (recorder, "by recorder")] {
            let said = set(pid, name).succeeds().stdout();
            assert!(said.starts_with(&format!("marked {name:?} at ")) && said.contains(" live"), "{said}");
        }
        running.signal(libc::SIGUSR1);
        let run = running.finish();
        run.is_whole();
        assert_eq!(names(&run), ["by target", "by child", "by recorder"]);
        let images: Vec<_> = marks(&run).iter().map(|mark| mark.image.map(|image| image.0)).collect();
        assert_eq!(images, [Some(0), Some(1), None]);
        for mark in marks(&run) {
            assert_eq!(mark.origin, MarkOrigin::Outside);
            assert_eq!(mark.live, marks(&run)[0].live);
            assert!(mark.rss > 100_000, "{mark:?}");
        }
        if options.is_empty() {
            assert!(
                marks(&run).iter().all(|mark| (before(&run, 12_345) + 1..=before(&run, 54_321)).contains(&mark.event))
            );
        }
    }
}

/// By what it has mapped.
#[test]
fn from_outside_where_the_environment_is_gone() {
    let (running, target, _) = waiting(&[], &["overwrite"]);
    set(target, "found").succeeds();
    running.signal(libc::SIGUSR1);
    assert_eq!(names(&running.finish()), ["found"]);
}

#[test]
fn several_from_outside_at_once() {
    let (running, target, _) = waiting(&[], &[]);
    let set: Vec<_> =
        (0..40).map(|number| std::thread::spawn(move || set(target, &format!("m{number}")).succeeds())).collect();
    set.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    running.signal(libc::SIGUSR1);
    let run = running.finish();
    let mut found = names(&run);
    found.sort_unstable();
    let mut expected: Vec<String> = (0..40).map(|number| format!("m{number}")).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// Killed at any moment: of more than there are places in the mailbox, and the next is served all the same.
#[test]
fn markers_that_die_block_nobody() {
    let (running, target, _) = waiting(&[], &[]);
    running.signal(libc::SIGSTOP);
    let mut dying: Vec<_> = (0..12)
        .map(|_| {
            Command::new(env!("CARGO_BIN_EXE_heaptide")).args(["mark", &target.to_string(), "dead"]).spawn().unwrap()
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    for child in &mut dying {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    running.signal(libc::SIGCONT);
    // The places come free when nobody has fetched an answer for ten seconds.
    let began = Instant::now();
    while set(target, "alive").code() != Some(0) {
        assert!(began.elapsed() < Duration::from_secs(40));
    }
    running.signal(libc::SIGUSR1);
    let run = running.finish();
    let found = names(&run);
    assert_eq!(found.last(), Some(&"alive"));
    assert!(found.len() <= 9 && found[..found.len() - 1].iter().all(|name| *name == "dead"), "{found:?}");
}

#[test]
fn what_cannot_be_marked_is_said() {
    let fails =
        |pid: u32, code, what: &str| set(pid, "x").exits(code).says(&format!("heaptide: process {pid}: {what}"));
    // The highest number is 2^22.
    fails(4_194_304, 66, "there is no such process; check the number");
    fails(u32::MAX, 66, "there is no such process; check the number");
    fails(0, 66, "there is no such process; check the number");
    let mut untraced = Command::new("sleep").arg("60").env_remove("HEAPTIDE_SHARED").spawn().unwrap();
    fails(untraced.id(), 69, "is not traced by heaptide; start it with `heaptide run`");
    untraced.kill().unwrap();
    untraced.wait().unwrap();
    assert_eq!(Scratch::new().heaptide("mark").code(), Some(2));
    assert_eq!(Scratch::new().heaptide("mark x y").code(), Some(2));
}

#[test]
fn a_recording_that_has_ended_or_does_not_answer_is_told() {
    let (running, target, child) = waiting(&[], &[]);
    running.signal(libc::SIGSTOP);
    let recorder = running.pid();
    let line = format!(
        "process {target}: its recorder (process {recorder}) does not answer; the mark is not set; is the recorder stopped? Try again"
    );
    set(target, "stopped").exits(75).says(&format!("heaptide: {line}"));
    running.signal(libc::SIGCONT);
    set(target, "goes on").succeeds();
    running.signal(libc::SIGKILL);
    // Its number is free as soon as it has been waited for; a zombie has no memory either.
    std::thread::sleep(Duration::from_millis(200));
    for pid in [target, child] {
        set(pid, "late")
            .exits(69)
            .says(&format!("heaptide: process {pid}: its recording has ended; no mark can be added to it"));
    }
    // SAFETY: plain numbers; the target has not ended: it waits for this.
    unsafe { libc::kill(target as i32, libc::SIGUSR1) };
    assert_eq!(running.finish().capture().marks.iter().map(|mark| &*mark.name).collect::<Vec<_>>(), ["goes on"]);
}

#[test]
fn another_users_process_is_refused() {
    // SAFETY: no precondition.
    if unsafe { libc::geteuid() } != 0 {
        let line = "heaptide: process 1: permission denied; set the mark as the user who records it";
        set(1, "x").exits(77).says(line);
        return;
    }
    let (running, target, _) = waiting(&[], &[]);
    let scratch = Scratch::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_heaptide"));
    command.args(["mark", &target.to_string(), "x"]).uid(65_534).gid(65_534);
    scratch
        .run(&mut command)
        .exits(77)
        .says(&format!("heaptide: process {target}: permission denied; set the mark as the user who records it"));
    running.signal(libc::SIGUSR1);
    assert_eq!(names(&running.finish()), [""; 0]);
}

#[test]
fn alerts_are_told_and_marked_at_the_event() {
    let run = Traced::program("passes_limits.c")
        .options(["--alert", "0.1MB", "--alert=300 kB", "--alert", "30MB", "-q"])
        .record();
    let live: Vec<&Mark> = marks(&run).iter().filter(|mark| mark.name.starts_with("alert: live ")).collect();
    assert_eq!(
        live.iter().map(|mark| &*mark.name).collect::<Vec<_>>(),
        ["alert: live 0.1MB", "alert: live 300 kB", "alert: live 30MB"]
    );
    assert_eq!([live[0].event, live[1].event], [before(&run, 100_000) + 1, before(&run, 210_000) + 1]);
    assert_eq!((live[1].live - live[0].live, live[2].live - live[1].live), (150_000, 40_000_000));
    assert_eq!(live[2].event, before(&run, 40_000_000) + 1);
    let rss = mark(&run, "alert: RSS 30MB");
    assert!(rss.rss > 30_000_000 && rss.time.0 > live[2].time.0 + 300_000_000, "{rss:?}");
    assert!(marks(&run).iter().all(|mark| mark.origin == MarkOrigin::Alert && mark.image.is_none()));
    let said = run.stderr();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), marks(&run).len());
    assert!(lines.iter().all(|line| line.starts_with("heaptide: alert: ")));
    assert_eq!(lines.iter().filter(|line| line.contains("live bytes have passed 30MB at ")).count(), 1, "{said}");
    assert_eq!(lines.iter().filter(|line| line.contains("RSS has passed 30MB at ")).count(), 1, "{said}");
}

#[test]
fn an_alert_that_is_never_reached_says_nothing() {
    let run = Traced::program("passes_limits.c").options(["--alert", "1GB", "--quiet", "--aggregate"]).record();
    assert_eq!((names(&run).len(), run.stderr()), (0, String::new()));
    let refused = Scratch::new().heaptide("run --alert much -- true");
    assert!(refused.code() == Some(2) && refused.stderr().contains("a size is a number and a unit"));
}
