//! Processes whose numbers are not those that heaptide sees: in a pid namespace of their own.

use crate::traced::announce;
use crate::witnessed::Witness;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Their rings were taken back after a second, because /proc has no threads of these numbers, and they waited for ever. That
/// the process itself has ended is not seen there: heaptide goes on until it is told to end.
#[test]
fn threads_in_a_pid_namespace_are_not_taken_for_ended() {
    let mut unshare = Command::new("unshare");
    let can = unshare.args(["-pf", "true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !can {
        return announce("skipped: no right to make a pid namespace (unshare -pf)");
    }
    let running = Witness::by_shell("exec unshare -pf \"$@\"", 3, &["lasts", "2500"]).start();
    running.running.wait_for("end");
    let stat = format!("/proc/{}/stat", running.running.pid());
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        running.running.signal(libc::SIGINT);
        std::thread::sleep(Duration::from_millis(200));
    }
    let ended = running.finish();
    ended.agrees().run.exits(7);
    assert_eq!(ended.live(), 3);
}
