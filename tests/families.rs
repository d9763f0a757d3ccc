//! Processes that belong together: pools, servers with workers, forks at bad moments, and the peak of all of them.

use crate::traced::{Traced, pythons};

#[test]
fn the_peak_of_all_is_that_of_one_instant() {
    let run = Traced::program("family.c").record();
    assert_eq!(run.exits(0).totals().peak.bytes, 9_000_000);
    let at_peak = |function: &str| run.bytes_at_peak(function);
    assert_eq!(
        [at_peak("base"), at_peak("first"), at_peak("second"), at_peak("last")],
        [1_000_000, 5_000_000, 3_000_000, 0]
    );
    let stats = run.heaptide("stats --json run.bin").succeeds().json();
    let processes = stats["processes"].as_array().expect("a list");
    let column = |name: &str| -> Vec<u64> {
        processes.iter().map(|process| process[name]["bytes"].as_u64().expect("bytes")).collect()
    };
    assert_eq!(column("at_peak"), [1_000_000, 5_000_000, 3_000_000]);
    assert_eq!(column("peak"), [5_000_000, 5_000_000, 3_000_000]);
    assert_eq!(column("leaked"), [5_000_000, 5_000_000, 3_000_000]);
    let pid = |process: usize, name: &str| processes[process][name].as_u64();
    assert_eq!(
        (pid(0, "parent_pid"), pid(1, "parent_pid"), pid(2, "parent_pid")),
        (None, pid(0, "pid"), pid(0, "pid"))
    );
    assert_eq!([&processes[0]["origin"], &processes[1]["origin"]], ["exec", "fork"]);
    // A report of one process is about its own peak.
    let own = run.heaptide(&format!("summary --json --pid {} run.bin", pid(0, "pid").expect("a number")));
    assert_eq!(own.succeeds().json()["total"]["bytes"], 5_000_000);
}

#[test]
fn the_table_shows_who_began_whom() {
    let run = Traced::program("family.c").record();
    let stats = run.heaptide("stats run.bin").succeeds().stdout();
    let table: Vec<&str> = stats.lines().skip_while(|line| *line != "Processes").skip(1).take(4).collect();
    assert!(table[0].contains("of the peak  own peak"), "{stats}");
    assert!(table[1].contains(" 976.6 KiB   4.8 MiB  ") && !table[1].contains("    /"), "{stats}");
    assert!(table[2].contains("   4.8 MiB   4.8 MiB  ") && table[2].contains("    /"), "{stats}");
    let short = run.heaptide("stats -n 2 run.bin").succeeds().stdout();
    assert!(short.contains("and 1 more, whose own peaks are not higher"), "{short}");
}

#[test]
fn forks_while_locks_are_held() {
    for native in [&[][..], &["--native"]] {
        let run = Traced::program("../stress/busy_forks.c").options(native).record();
        assert_eq!(run.exits(0).images().len(), 61);
        assert_eq!(run.at_exit("in_child"), (60 * 7_770, 600));
    }
}

#[test]
fn multiprocessing() {
    for python in pythons() {
        for method in ["fork", "forkserver", "spawn"] {
            let run = Traced::python("pool.py", python).args([method, "2"]).record();
            assert_eq!(run.exits(0).stdout(), "15\n", "{method} on 3.{}", python.minor);
            let blocks = run.of_size(20_001);
            assert_eq!(blocks.len(), 6, "{method} on 3.{}", python.minor);
            assert!(blocks.iter().all(|step| step.stack[0] == "work:10"));
            assert!(blocks.iter().all(|step| step.image != 0), "the main process does not work itself");
        }
    }
}

#[test]
fn pools_of_eight() {
    let python = pythons().last().expect("a Python");
    for method in ["fork", "forkserver", "spawn"] {
        let run = Traced::python("pool.py", python).args([method, "8"]).record();
        assert_eq!(run.exits(0).stdout(), "15\n", "{method}");
        assert_eq!(run.of_size(20_001).len(), 6, "{method}");
        // Beside the main process and its workers: the server of forkserver and the tracker of semaphores.
        let expected = if method == "fork" { 9..=9 } else { 9..=11 };
        assert!(expected.contains(&run.images().len()), "{method}: {:?}", run.images());
    }
}

#[test]
fn a_server_with_workers_that_is_a_daemon() {
    for python in pythons() {
        let run = Traced::python("../stress/prefork.py", python).args(["result"]).record();
        assert_eq!(std::fs::read_to_string(run.directory().join("result")).ok().as_deref(), Some("done"));
        // The command, what forks again, the daemon, and 5 workers.
        assert_eq!(run.images().len(), 8, "3.{}", python.minor);
        let workers = run.of_size(30_001);
        assert_eq!(workers.len(), 5);
        assert!(workers.iter().all(|step| step.stack[..2] == ["work:14", "worker:23"]), "{:?}", workers[0]);
        assert_eq!(run.of_size(40_001).len(), 1);
    }
}
