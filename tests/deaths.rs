//! How programs end while their threads allocate: whatever it is, heaptide ends alike, nothing that was published is missing,
//! and what was live at that instant is exact.

use crate::traced::{announce, pythons};
use crate::witnessed::{Ended, Witness};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

const MODES: [&[&str]; 4] = [&[], &["--python-allocators"], &["--native"], &["--aggregate"]];

/// In all modes: `ledger.c` ends so after 30 milliseconds, with four threads, as if alone.
fn check(how: &str, expected: impl Fn(&Ended)) {
    for options in MODES {
        let ended = Witness::program(4, &[how, "30"]).options(options).start().finish();
        expected(ended.agrees());
        // On a busy machine not all have begun.
        assert!(ended.live() > 0, "{how}");
    }
}

fn dies_of(signal: i32) -> impl Fn(&Ended) {
    move |ended| assert_eq!(ended.run.status.signal(), Some(signal))
}

fn exits_with(code: i32) -> impl Fn(&Ended) {
    move |ended| {
        ended.run.exits(code);
    }
}

#[test]
fn by_a_bad_access() {
    check("segv", dies_of(libc::SIGSEGV));
}

#[test]
fn by_abort() {
    check("abort", dies_of(libc::SIGABRT));
}

#[test]
fn without_destructors() {
    check("_exit", exits_with(30));
    check("quick_exit", exits_with(30));
}

#[test]
fn by_exit_while_others_allocate() {
    check("exit", exits_with(30));
}

/// The other threads end in the middle of what they do; the program that takes their place has its own account.
#[test]
fn by_exec_while_others_allocate() {
    check("exec", |ended| {
        assert_eq!(ended.run.exits(20).images().len(), 2);
    });
}

/// The stack ends somewhere: in the program, in the allocator or in the tracer.
#[test]
fn by_a_stack_that_is_full() {
    for options in MODES {
        let line = "ulimit -s 1024; exec \"$@\"";
        let ended = Witness::by_shell(line, 4, &["overflow", "30"]).options(options).start().finish();
        dies_of(libc::SIGSEGV)(ended.agrees());
    }
}

#[test]
fn in_python() {
    for (place, python) in pythons().iter().filter(|python| !python.since(15)).enumerate() {
        let ends = |how| Witness::python(python, &[how, "50"]).options(MODES[place % 4]).start().finish();
        dies_of(libc::SIGABRT)(ends("abort").agrees());
        dies_of(libc::SIGSEGV)(ends("segv").agrees());
        exits_with(7)(ends("lasts").agrees());
        exits_with(5)(ends("exit").agrees());
    }
}

#[test]
fn by_too_little_address_space() {
    for options in MODES {
        let limited = |how| {
            let line = "ulimit -v 200000; exec \"$@\"";
            Witness::by_shell(line, 4, &[how, "30"]).options(options).start().finish()
        };
        dies_of(libc::SIGABRT)(limited("full").agrees());
        // Null pointers are no blocks; the program goes on.
        assert_eq!(limited("refused").agrees().run.exits(3).stdout(), "refused\n");
    }
}

/// A control group with little memory, removed at the end. `Err` says why there is none.
struct Group(PathBuf);

const GROUP_BYTES: &str = "50331648";

impl Group {
    fn new() -> Result<Self, String> {
        let groups =
            std::fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
        let own = |controller: &str| {
            let mut lines = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
            lines.find_map(|(controllers, path)| controllers.split(',').any(|name| name == controller).then_some(path))
        };
        // Version 1 has a hierarchy for memory, version 2 has one for all.
        let (root, path, limit) = match (own("memory"), own("")) {
            (Some(path), _) => ("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"),
            (None, Some(path)) => ("/sys/fs/cgroup", path, "memory.max"),
            (None, None) => return Err("no control groups".into()),
        };
        // Ours as it is seen from here, or where groups are mounted.
        let below = [Path::new(root).join(path.trim_start_matches('/')), root.into()];
        let parent = below.iter().find(|path| path.is_dir()).ok_or_else(|| format!("{root}: not there"))?;
        let group = Self(parent.join(format!("heaptide-test-{}", std::process::id())));
        let failed = |error| format!("{}: {error}", group.0.display());
        std::fs::create_dir(&group.0).map_err(failed)?;
        std::fs::write(group.0.join(limit), GROUP_BYTES).map_err(failed)?;
        // Without this the rest would go to swap space. Not there in all kernels.
        for (file, most) in [("memory.swappiness", "0"), ("memory.swap.max", "0")] {
            let _ = std::fs::write(group.0.join(file), most);
        }
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The kernel kills it when its group has no memory left: 48 MiB. What it had is known to the last block.
#[test]
fn by_the_kernel_for_want_of_memory() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => return announce(&format!("skipped: no control group with little memory can be made: {why}")),
    };
    for options in MODES {
        let line = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", group.0.display());
        let ended = Witness::by_shell(&line, 4, &["full", "30"]).options(options).start().finish();
        dies_of(libc::SIGKILL)(ended.agrees());
        let (bytes, _) = ended.run.at_exit("site_0");
        assert!(bytes > 20 << 20 || options.contains(&"--native"), "{bytes} bytes of 48 MiB");
    }
}
