//! Targets killed at random moments, in every mode: every event that was published is in the capture, and what was live at
//! that instant is what it says. `HEAPTIDE_KILLS=20 cargo test --test main -- kills` kills 200 times in each mode.

use crate::traced::{Python, announce, newest_python, pythons};
use crate::witnessed::{Dice, Ended, Witness, Witnessed, kill, times};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// How long a target works at most before it is killed.
const LIFE: Duration = Duration::from_millis(80);

fn expect_killed(ended: &Ended) {
    assert_eq!(ended.run.status.signal(), Some(libc::SIGKILL));
    ended.agrees();
}

/// At work, or (one of four) from the first sight of the process on: before `main`, in the shim's own beginnings.
fn kill_at_random(running: Witnessed, dice: &mut Dice) -> Ended {
    let pid = if dice.below(4) == 0 { running.first_child() } else { running.pid(0) };
    dice.pause(LIFE);
    kill(pid, libc::SIGKILL);
    running.finish()
}

fn threads_are_killed(dice: &mut Dice, options: &[&str]) {
    let threads = 1 + dice.below(4) as usize;
    expect_killed(&kill_at_random(Witness::program(threads, &["works"]).options(options).start(), dice));
}

fn python_is_killed(dice: &mut Dice, options: &[&str], python: &Python) {
    expect_killed(&kill_at_random(Witness::python(python, &["works"]).options(options).start(), dice));
}

/// A process, two that it forks and one that it executes (an image more), three threads each, in any order.
fn tree_is_killed(dice: &mut Dice, options: &[&str]) {
    let running = Witness::program(3, &["forks"]).options(options).start();
    let mut pids: Vec<i32> = (0..4).map(|process| running.pid(process)).collect();
    while !pids.is_empty() {
        dice.pause(LIFE / 2);
        kill(pids.swap_remove(dice.below(pids.len() as u64) as usize), libc::SIGKILL);
    }
    let ended = running.finish();
    expect_killed(&ended);
    // The first thread of each worked before the first kill.
    assert!(ended.live() >= 4);
    assert_eq!(ended.run.images().len(), 5);
}

/// In fork: of the parent, with threads that allocate. Children of the last fork end of themselves.
fn fork_is_killed(dice: &mut Dice, options: &[&str]) {
    let running = Witness::program(3, &["forking"]).options(options).start();
    let pid = running.pid(0);
    dice.pause(LIFE);
    kill(pid, libc::SIGKILL);
    expect_killed(&running.finish());
}

/// Ten kills, or as many times ten as asked for.
fn killed(name: &str, options: &[&str]) {
    let mut dice = Dice::new(name);
    let known: Vec<&Python> = pythons().iter().filter(|python| !python.since(15)).collect();
    for round in 0..times(1) {
        (0..4).for_each(|_| threads_are_killed(&mut dice, options));
        // The newest version, and in the long form all.
        let python = if round == 0 { newest_python() } else { known[dice.below(known.len() as u64) as usize] };
        (0..3).for_each(|_| python_is_killed(&mut dice, options, python));
        (0..2).for_each(|_| tree_is_killed(&mut dice, options));
        fork_is_killed(&mut dice, options);
    }
    if times(1) > 1 {
        announce(&format!("{} kills {options:?}: nothing was lost", times(10)));
    }
}

#[test]
fn at_random_moments() {
    killed("default", &[]);
}

#[test]
fn at_random_moments_with_python_allocators() {
    killed("python-allocators", &["--python-allocators"]);
}

#[test]
fn at_random_moments_with_native_stacks() {
    killed("native", &["--native"]);
}

#[test]
fn at_random_moments_without_events() {
    killed("aggregate", &["--aggregate"]);
}
