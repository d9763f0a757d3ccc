//! What happens to heaptide itself: killed, stopped, told to end, at random moments. The target goes on to its own end.
//! `HEAPTIDE_KILLS=5 cargo test --test main -- recorder` kills it 60 times.

use crate::traced::{newest_python, pythons};
use crate::witnessed::{Dice, Ended, Witness, Witnessed, times};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// The one line that a target may find on its standard error.
const DIED: &str = "heaptide: the recorder has died; tracing stops here, the program goes on\n";

/// Longer than a thread waits for a recorder that is dead: 200 ms without a sign of it, then a look into /proc. The rest is
/// for busy machines.
const HELD_UP: Duration = Duration::from_secs(2);

/// Prints the status of the command, whose parent may be gone.
const TELL: &str = "\"$@\"; echo \"status $?\"";

fn target(dice: &mut Dice, options: &[&str]) -> Witness {
    // Well after the last moment that `at_random` chooses.
    let milliseconds = (1500 + dice.below(300)).to_string();
    let how = ["lasts", &milliseconds];
    match dice.below(3) {
        0 => {
            let known: Vec<_> = pythons().iter().filter(|python| !python.since(15)).collect();
            let python = if times(1) > 1 { known[dice.below(known.len() as u64) as usize] } else { newest_python() };
            Witness::python_by_shell(TELL, python, &how).options(options)
        }
        _ => Witness::by_shell(TELL, 1 + dice.below(4) as usize, &how).options(options),
    }
}

/// At work, or (one of four) from the first sight of the target on.
fn at_random(running: &Witnessed, dice: &mut Dice) {
    if dice.below(4) == 0 {
        running.first_child();
    } else {
        running.pid(0);
    }
    dice.pause(Duration::from_millis(300));
}

fn expect_undisturbed(ended: &Ended) {
    assert_eq!(ended.run.stdout(), "end\nstatus 7\n");
    let pause = ended.longest_pause();
    assert!(pause < HELD_UP, "the target was held up for {pause:?}");
}

fn killed(name: &str, options: &[&str]) {
    let mut dice = Dice::new(name);
    for _ in 0..times(3) {
        let running = target(&mut dice, options).start();
        at_random(&running, &mut dice);
        running.running.signal(libc::SIGKILL);
        let ended = running.finish();
        assert_eq!(ended.run.status.signal(), Some(libc::SIGKILL));
        expect_undisturbed(&ended);
        let said = ended.run.stderr();
        assert!(said.is_empty() || said == DIED, "on the target's standard error:\n{said}");
        // Up to its last whole block; every report says that it ends early.
        let ends_early = ended.run.capture().ends_early.as_ref().expect("nobody finished the capture");
        assert!(!ends_early.complete);
        for report in ["summary", "leaks", "stats", "tree", "flamegraph -f -o report.html"] {
            let ran = ended.run.heaptide(&format!("{report} run.bin")).exits(0);
            assert!(ran.stderr().contains("ends early"), "{report}: {}", ran.stderr());
        }
    }
}

#[test]
fn killed_while_it_records_events() {
    killed("recorder", &[]);
}

#[test]
fn killed_while_it_records_native_stacks() {
    killed("recorder native", &["--native"]);
}

#[test]
fn killed_while_it_records_python_allocators() {
    killed("recorder python", &["--python-allocators"]);
}

#[test]
fn killed_while_it_counts() {
    killed("recorder aggregate", &["--aggregate"]);
}

/// Stopped twice for up to 300 ms, as by a terminal: the target waits for it where its rings are full, and nothing is lost.
#[test]
fn stopped_and_continued() {
    let mut dice = Dice::new("stopped");
    for round in 0..times(4) {
        let running = target(&mut dice, [&[][..], &["--aggregate"]][round % 2]).start();
        running.pid(0);
        for _ in 0..2 {
            dice.pause(Duration::from_millis(100));
            running.running.signal(libc::SIGSTOP);
            dice.pause(Duration::from_millis(300));
            running.running.signal(libc::SIGCONT);
        }
        let ended = running.finish();
        ended.agrees().run.exits(0);
        expect_undisturbed(&ended);
    }
}

/// It hands SIGTERM on and records the target's end.
#[test]
fn told_to_end() {
    let mut dice = Dice::new("told to end");
    for round in 0..times(4) {
        let options = [&[][..], &["--aggregate"]][round % 2];
        let running = Witness::program(3, &["works"]).options(options).start();
        at_random(&running, &mut dice);
        running.running.signal(libc::SIGTERM);
        let ended = running.finish();
        assert_eq!(ended.run.status.signal(), Some(libc::SIGTERM));
        ended.agrees();
    }
}
