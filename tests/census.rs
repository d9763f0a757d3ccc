//! Censuses (`run --census`): exact numbers of objects by type, what is new and who holds it, on every interpreter that is
//! there; and that the program does not notice.

use crate::support::Scratch;
use crate::traced::{Python, Run, Traced, announce, pythons};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The types of a run's only process that had censuses.
fn types(run: &Run) -> Value {
    let report = run.heaptide("types --json run.bin").exits(0).json();
    assert_eq!(report["processes"].as_array().map(Vec::len), Some(1), "{report}");
    report["processes"][0].clone()
}

fn find<'v>(process: &'v Value, name: &str) -> &'v Value {
    let found = process["types"].as_array().unwrap().iter().find(|kind| kind["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {process:#}"))
}

/// `count` or `bytes` of a type at each census.
fn numbers(process: &Value, kind: &Value, field: &str) -> Vec<u64> {
    let censuses = process["censuses"].as_array().unwrap().len();
    let mut numbers = vec![0; censuses];
    for change in kind["changes"].as_array().unwrap() {
        let from = change["census"].as_u64().unwrap() as usize;
        numbers[from..].fill(change[field].as_u64().unwrap());
    }
    numbers
}

/// The objects of a type at each census.
fn counts(process: &Value, name: &str) -> Vec<u64> {
    numbers(process, find(process, name), "count")
}

/// A script that is longer than a fixture.
fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name)
}

fn supported(name: &str, python: &Python) -> Traced {
    Traced::command([python.path.clone(), script(name)])
}

fn grows(python: &Python) -> Traced {
    Traced::python("census_growth.py", python).args(["0.15"]).options(["--census", "50ms"])
}

/// Five steps of 1 000, each made by C code, so that no census sees a part of one; the last is at exit, after all.
#[test]
fn growth_is_counted_exactly() {
    for python in pythons() {
        let run = grows(python).record();
        run.exits(0);
        let process = types(&run);
        let items = counts(&process, "__main__.Item");
        assert!(items.len() >= 5, "3.{}: {items:?}", python.minor);
        assert!(items.iter().all(|count| count % 1_000 == 0), "3.{}: {items:?}", python.minor);
        assert!(items.is_sorted(), "3.{}: {items:?}", python.minor);
        assert_eq!(items.last(), Some(&5_000), "3.{}", python.minor);
        let bounded = counts(&process, "__main__.Kept");
        assert!(bounded.iter().all(|count| *count <= 10), "3.{}: {bounded:?}", python.minor);
        let last = process["censuses"].as_array().unwrap().last().unwrap();
        assert_eq!(last["reason"], "exit");
        assert_eq!(last["cut"], false);
        // The sum of all types is what is said of all.
        let sum = |field: &str| -> u64 {
            let of = process["types"].as_array().unwrap().iter();
            of.map(|kind| *numbers(&process, kind, field).last().unwrap()).sum()
        };
        assert_eq!((sum("count"), sum("bytes")), (last["objects"].as_u64().unwrap(), last["bytes"].as_u64().unwrap()));
    }
}

/// All of what is new has the stack that made it, and is held as the program says.
#[test]
fn what_is_new_has_its_stack_and_its_holder() {
    for python in pythons() {
        let run = grows(python).options(["--python-allocators"]).record();
        run.exits(0);
        let process = types(&run);
        let new = &find(&process, "__main__.Item")["new"];
        let (count, looked_up) = (new["count"].as_u64().unwrap(), new["looked_up"].as_u64().unwrap());
        // One in ten thousands may be taken for an old one.
        assert!(count >= 995 && count % 1_000 <= 1_000, "3.{}: {new:#}", python.minor);
        let stack = &new["stacks"][0];
        assert_eq!(stack["count"].as_u64(), Some(looked_up), "3.{}: {new:#}", python.minor);
        assert_eq!(stack["frames"][0]["function"], "main", "3.{}", python.minor);
        assert_eq!(stack["frames"][0]["line"], 24, "3.{}", python.minor);
        let text = run.heaptide("leaks run.bin").exits(0).stdout();
        assert!(text.contains("Types that grow, over "), "{text}");
        assert!(text.contains("] ← dict[\"orders\"] ← module __main__.CACHE"), "{text}");
        let steady: Vec<&str> = (process["types"].as_array().unwrap().iter())
            .filter(|kind| kind["steady"] == true)
            .map(|kind| kind["name"].as_str().unwrap())
            .collect();
        assert_eq!(steady, ["__main__.Item"], "3.{}: neither the start nor a bounded cache", python.minor);
    }
}

/// Whatever allocator Python uses, and with the headers that its debug hooks put in front of blocks.
#[test]
fn blocks_are_found_under_any_allocator() {
    for python in pythons() {
        for choice in ["malloc", "debug", "malloc_debug"] {
            let run = grows(python).options(["--python-allocators"]).env("PYTHONMALLOC", choice).record();
            run.exits(0);
            let process = types(&run);
            let new = &find(&process, "__main__.Item")["new"];
            let stack = &new["stacks"][0];
            assert_eq!(stack["count"], new["looked_up"], "{choice} on 3.{}: {new:#}", python.minor);
            assert_eq!(stack["frames"][0]["function"], "main", "{choice} on 3.{}", python.minor);
        }
    }
}

/// Digits between brackets as `N`: which of the objects was looked at depends on the moment.
fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut digits = false;
    for c in text.chars() {
        let was = digits;
        digits = c.is_ascii_digit();
        match (was, digits) {
            (false, true) => out.push('N'),
            (true, true) => {}
            _ => out.push(c),
        }
    }
    out
}

#[test]
fn holders_are_named_as_the_program_names_them() {
    for python in pythons() {
        let run = supported("census_holders.py", python).args(["0.6"]).options(["--census", "100ms"]).record();
        run.exits(0);
        let process = types(&run);
        let ways = |name: &str| -> Vec<String> {
            let holders = find(&process, &format!("holders.{name}"))["new"]["holders"].as_array().unwrap().clone();
            let way = |holder: &Value| {
                let steps = holder["steps"].as_array().unwrap().iter();
                assert_eq!(holder["rooted"], true, "{holder}");
                masked(&steps.map(|step| step.as_str().unwrap()).collect::<Vec<_>>().join(" ← "))
            };
            let mut ways: Vec<String> = holders.iter().map(way).collect();
            ways.sort();
            ways.dedup();
            ways
        };
        let expected = [
            ("Listed", "holders.Listed ← list[N] ← dict[\"orders\"] ← module __main__.CACHE"),
            ("Keyed", "holders.Keyed ← dict[\"name N\"] ← module __main__.BY_NAME"),
            ("Numbered", "holders.Numbered ← dict[N] ← module __main__.BY_NUMBER"),
            (
                "Enclosed",
                "holders.Enclosed ← list[N] ← closure variable seen of function remember.<locals>.add ← module __main__.ADD",
            ),
            ("Chained", "holders.Chained ← list[N] ← __main__.Node.values ← __main__.Node.next ← module __main__.HEAD"),
            ("Slotted", "holders.Slotted ← list[N] ← __main__.Pair.left ← module __main__.PAIR"),
            ("Local", "holders.Local ← list[N] ← local own of main()"),
            ("Registered", "holders.Registered ← list[N] ← class __main__.Registry.entries ← module __main__.Registry"),
            ("Tupled", "holders.Tupled ← tuple[N] ← list[N] ← module __main__.TUPLES"),
            ("Global", "holders.Global ← module __main__.GN"),
        ];
        for (name, way) in expected {
            let found = ways(name);
            assert!(found == [way], "3.{}: {name}: {found:#?}", python.minor);
        }
        // Nobody but themselves: garbage that the collector has not met yet, or has by now.
        if let Some(cycled) = process["types"].as_array().unwrap().iter().find(|kind| kind["name"] == "holders.Cycled")
            && let Some(holder) = cycled["new"]["holders"].as_array().and_then(|holders| holders.first())
        {
            let steps = holder["steps"].as_array().unwrap();
            let is_cycle = steps.iter().all(|step| step == "holders.Cycled" || step == "holders.Cycled.partner");
            let is_local = steps.last().unwrap().as_str().unwrap().starts_with("local ");
            assert!(is_cycle || is_local, "3.{}: {holder}", python.minor);
        }
    }
}

/// What `sys.getsizeof` says, class by class.
#[test]
fn bytes_are_those_of_getsizeof() {
    for python in pythons() {
        let run = supported("census_sizes.py", python).options(["--census", "exit"]).record();
        run.exits(0);
        let process = types(&run);
        let stdout = run.stdout();
        assert!(stdout.lines().count() > 15, "{stdout}");
        for line in stdout.lines() {
            let [name, count, bytes] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let named = |kind: &&Value| {
                let full = kind["name"].as_str().unwrap();
                full.rsplit('.').next() == Some(name)
            };
            let found: Vec<&Value> = process["types"].as_array().unwrap().iter().filter(named).collect();
            let last = |field: &str| numbers(&process, found[0], field).last().unwrap().to_string();
            assert_eq!(found.len(), 1, "3.{}: {name}", python.minor);
            assert_eq!((last("count"), last("bytes")), (count.into(), bytes.into()), "3.{}: {name}", python.minor);
        }
    }
}

/// What a program can see of its interpreter is as without a census; `atexit` functions run in their order.
#[test]
fn the_program_does_not_notice() {
    for python in pythons() {
        let traced = |options: &[&str]| {
            let run =
                Traced::python("census_guest.py", python).args(["0.25"]).options(options.iter().copied()).record();
            run.exits(0);
            assert_eq!(run.stderr(), "", "3.{}", python.minor);
            run
        };
        let (with, without) = (traced(&["-q", "--census", "20ms", "--python-allocators"]), traced(&["-q"]));
        assert_eq!(with.stdout(), without.stdout(), "3.{}", python.minor);
        assert!(with.stdout().contains("collections 0"), "{}", with.stdout());
        let process = types(&with);
        assert!(process["censuses"].as_array().unwrap().len() > 3, "3.{}", python.minor);
        with.lost_nothing();
    }
}

/// Every stack read twice, beside censuses.
#[test]
fn stacks_stay_exact() {
    for python in pythons() {
        let run = grows(python).env("HEAPTIDE_VERIFY", "1").options(["-q", "--python-allocators"]).record();
        run.exits(0);
        assert_eq!(run.stderr(), "", "3.{}", python.minor);
        run.lost_nothing();
        assert_eq!(counts(&types(&run), "__main__.Item").last(), Some(&5_000));
    }
}

/// The main thread waits for a worker: from 3.12 on the worker is asked, before there is the census at exit.
#[test]
fn threads_are_counted_by_whoever_runs() {
    for python in pythons() {
        let run = Traced::python("census_threads.py", python).options(["--census", "50ms"]).record();
        run.exits(0);
        let process = types(&run);
        let items = counts(&process, "__main__.Item");
        assert_eq!(items.last(), Some(&4_000), "3.{}: {items:?}", python.minor);
        if python.since(12) {
            assert!(items.len() >= 3, "3.{}: {items:?}", python.minor);
            let new = &find(&process, "__main__.Item")["new"];
            let text = new["holders"][0]["steps"].to_string();
            assert!(text.contains("local own of work()") || text.contains("KEPT"), "3.{}: {new:#}", python.minor);
        }
    }
}

/// Forked children count themselves, and what they ask for is not their parent's.
#[test]
fn children_count_themselves() {
    for python in pythons() {
        let run = Traced::python("census_fork.py", python).options(["--census", "50ms"]).record();
        run.exits(0);
        assert_eq!(run.stdout(), "children ended with [0, 0, 0]\n", "3.{}: {}", python.minor, run.stderr());
        let report = run.heaptide("types --json run.bin").exits(0).json();
        let processes = report["processes"].as_array().unwrap();
        assert_eq!(processes.len(), 4, "3.{}", python.minor);
        let most: Vec<u64> =
            (processes.iter()).map(|process| *counts(process, "__main__.Item").last().unwrap()).collect();
        // 500 are inherited.
        assert_eq!(most, [500, 1_500, 2_500, 3_500], "3.{}", python.minor);
    }
}

#[test]
fn asyncio_programs_are_counted() {
    for python in pythons() {
        let run = Traced::python("census_tasks.py", python).options(["--census", "50ms"]).record();
        run.exits(0);
        let items = counts(&types(&run), "__main__.Item");
        assert_eq!(items.last(), Some(&3_000), "3.{}: {items:?}", python.minor);
        assert!(items.len() >= 3, "3.{}: {items:?}", python.minor);
    }
}

/// Asked for every 10 ms while the program ends: its `atexit` functions allocate, its objects die, its modules are torn down.
#[test]
fn a_program_that_ends_is_left_alone() {
    for python in pythons() {
        let run = Traced::python("census_end.py", python).options(["-q", "--census", "10ms"]).record();
        run.exits(7);
        assert_eq!((run.stdout().as_str(), run.stderr().as_str()), ("last words\n", ""), "3.{}", python.minor);
        let run = Traced::python("census_end.py", python).args(["_exit"]).options(["-q", "--census", "exit"]).record();
        run.exits(8);
        let ran = run.heaptide("types run.bin").exits(65);
        assert!(ran.stderr().contains("run.bin: holds no census; record again with `heaptide run --census 10s`"));
    }
}

#[test]
fn a_capture_without_census_says_how_to_get_one() {
    let run = Traced::python("census_end.py", &pythons()[0]).record();
    let ran = run.heaptide("types run.bin").exits(65);
    assert!(ran.stdout().is_empty());
    assert!(!run.heaptide("leaks run.bin").exits(0).stdout().contains("Types that grow"));
}

#[test]
fn a_period_that_is_none_is_refused() {
    let scratch = Scratch::new();
    for (word, what) in [("10", "a time like 10s"), ("1ms", "at least 10ms"), ("", "a time like 10s")] {
        let ran = scratch.heaptide(&format!("run --census={word} -- true")).exits(2);
        assert!(ran.stderr().contains(what), "{word}: {}", ran.stderr());
    }
}

/// Names of the program's do not get out of a stripped capture; numbers do.
#[test]
fn stripped_captures_keep_the_numbers() {
    let python = pythons().last().unwrap();
    let run = supported("census_holders.py", python).args(["0.3"]).options(["--census", "50ms"]).record();
    run.heaptide("strip --paths anonymize --names anonymize -o stripped.bin run.bin").exits(0);
    // Without any option what is data goes, and names stay.
    run.heaptide("strip -o plain.bin run.bin").exits(0);
    let plain = run.heaptide("types --json plain.bin").exits(0).stdout();
    assert!(!plain.contains("name 1") && !plain.contains("orders") && plain.contains("__main__.BY_NAME"), "{plain}");
    let (before, after) = (types(&run), run.heaptide("types --json stripped.bin").exits(0).json());
    let after = &after["processes"][0];
    assert_eq!(before["censuses"], after["censuses"]);
    let text = after.to_string();
    for name in ["holders.", "CACHE", "orders", "Registry", "BY_NAME", "remember"] {
        assert!(before.to_string().contains(name) && !text.contains(name), "{name}");
    }
    let changes = |process: &Value| {
        let mut changes: Vec<String> =
            process["types"].as_array().unwrap().iter().map(|kind| kind["changes"].to_string()).collect();
        changes.sort();
        changes
    };
    assert_eq!(changes(&before), changes(after));
}

/// `docs/read_capture.py` and `parse` say the same of the blocks.
#[test]
fn the_other_reader_agrees() {
    let python = pythons().last().unwrap();
    let run = supported("census_holders.py", python).args(["0.3"]).options(["--census", "50ms"]).record();
    let ours = run.heaptide("parse --json run.bin").exits(0).stdout();
    let reader = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/read_capture.py");
    let output = std::process::Command::new(&python.path).arg(reader).arg(run.path()).output().unwrap();
    let theirs = String::from_utf8_lossy(&output.stdout);
    let of = |text: &str| -> Vec<Value> {
        let lines = text
            .lines()
            .filter(|line| line.contains("\"record\": \"census\"") || line.contains("\"record\":\"census\""));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert!(!of(&ours).is_empty());
    assert_eq!(of(&ours), of(&theirs), "{}", String::from_utf8_lossy(&output.stderr));
}

/// objgraph, Pympler and guppy on the same program: see `census_peers.py`. Where there are none, that is said.
#[test]
fn peers_count_the_same() {
    let Some(path) = std::env::var_os("HEAPTIDE_CENSUS_PYTHON") else {
        announce(
            "skipped: HEAPTIDE_CENSUS_PYTHON names no Python with objgraph, Pympler and guppy3; tests/run.sh does",
        );
        return;
    };
    let run = Traced::command([PathBuf::from(path), script("census_peers.py")]).options(["--census", "exit"]).record();
    run.exits(0);
    let process = types(&run);
    let told: BTreeMap<String, Value> = serde_json::from_str(&run.stdout()).unwrap();
    let of = |name: &str| {
        let found = find(&process, name);
        let last = |field: &str| *numbers(&process, found, field).last().unwrap();
        (last("count"), last("bytes"))
    };
    let mut compared = 0;
    for (name, figures) in &told["types"].as_object().unwrap().clone() {
        let (count, bytes) = of(name);
        let of_peer = |peer: &str| figures[peer].as_array().map(|pair| (pair[0].as_u64(), pair[1].as_u64()));
        for peer in ["objgraph", "pympler", "guppy"] {
            let Some((theirs, their_bytes)) = of_peer(peer) else { continue };
            assert_eq!(theirs, Some(count), "{peer}: objects of {name}");
            if let Some(their_bytes) = their_bytes {
                assert_eq!(their_bytes, bytes, "{peer}: bytes of {name}");
            }
            compared += 1;
        }
    }
    assert!(compared >= 20, "{compared} figures: {told:?}");
}
