//! Runs of the targets that keep a ledger, held against it: what was live when they died, how many events they had published,
//! and that the reports open without a warning.

use crate::ledger::{Ledger, PER_PROCESS, SharedMemory, THREADS};
use crate::traced::{Python, Run, Running, Traced, compiled, fixture};
use heaptide_analyze::frames::Frame;
use heaptide_analyze::profile::Metric;
use heaptide_format::capture::summary::Amount;
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// Random numbers whose seed is told if the test fails; `HEAPTIDE_KILLS_SEED` sets it. Not the moment alone decides what a
/// kill meets: the same seed gives the same plan, not the same run.
pub struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// Of a test of this name.
    pub fn new(test: &str) -> Self {
        let given = std::env::var("HEAPTIDE_KILLS_SEED").ok().map(|seed| seed.parse().expect("a number as seed"));
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            now.as_nanos() as u64 ^ test.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte))
        });
        Self { seed, state: seed }
    }

    /// A number below `limit` (splitmix64).
    pub fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % limit
    }

    /// Sleeps for up to so long.
    pub fn pause(&mut self, most: Duration) {
        std::thread::sleep(Duration::from_nanos(self.below(most.as_nanos() as u64)));
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("==== HEAPTIDE_KILLS_SEED={}", self.seed);
        }
    }
}

/// How often a test of `short` random moments repeats itself: `HEAPTIDE_KILLS=20` makes it twenty times as many.
pub fn times(short: usize) -> usize {
    let factor = std::env::var("HEAPTIDE_KILLS").ok().map(|text| text.parse().expect("a number in HEAPTIDE_KILLS"));
    short * factor.unwrap_or(1)
}

/// A target that keeps a ledger, not yet started.
pub struct Witness {
    traced: Traced,
    ledger: Ledger,
    /// It is `ledger.py`.
    python: bool,
    /// See [`crate::ledger::Entry::possible`].
    per_block: Option<u64>,
}

impl Witness {
    /// `ledger.c` with this many threads in each process, and what it is to do.
    pub fn program(threads: usize, how: &[&str]) -> Self {
        let (ledger, program) = (Ledger::new(), compiled("../stress/ledger.c", "", &[]));
        let traced = Traced::command([program]).args(arguments(&ledger, threads, how));
        Self { traced, ledger, python: false, per_block: None }
    }

    /// The same program started by a shell, `"$@"` being the command.
    pub fn by_shell(line: &str, threads: usize, how: &[&str]) -> Self {
        let (ledger, program) = (Ledger::new(), compiled("../stress/ledger.c", "", &[]));
        let traced = Traced::command(["sh", "-c", line, "sh"]).args([program]).args(arguments(&ledger, threads, how));
        Self { traced, ledger, python: false, per_block: None }
    }

    /// `ledger.py`.
    pub fn python(python: &Python, how: &[&str]) -> Self {
        let ledger = Ledger::new();
        let traced = Traced::python("../stress/ledger.py", python).args(arguments(&ledger, 1, how));
        Self { traced, ledger, python: true, per_block: None }
    }

    /// `ledger.py` started by a shell, `"$@"` being the command.
    pub fn python_by_shell(line: &str, python: &Python, how: &[&str]) -> Self {
        let ledger = Ledger::new();
        let command: [OsString; 2] = [python.path.clone().into(), fixture("../stress/ledger.py").into()];
        let traced = Traced::command(["sh", "-c", line, "sh"]).args(command).args(arguments(&ledger, 1, how));
        Self { traced, ledger, python: true, per_block: None }
    }

    /// Options of `heaptide run`.
    pub fn options(mut self, options: &[&str]) -> Self {
        if options.contains(&"--python-allocators") && self.python {
            // The bytearray itself, which the interpreter's allocator carves out of its arenas otherwise.
            self.per_block = Some(56);
        }
        self.traced = self.traced.options(options);
        self
    }

    /// Starts it.
    pub fn start(self) -> Witnessed {
        let Self { traced, ledger, python, per_block } = self;
        let running = traced.start();
        let memory = eventually("its shared memory", || SharedMemory::of(running.pid()));
        // Not before: a target that ends at once could have taken the memory with it.
        ledger.open_gate();
        Witnessed { running, ledger, python, per_block, memory }
    }
}

fn arguments(ledger: &Ledger, threads: usize, how: &[&str]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![ledger.path().into(), "0".into(), threads.to_string().into()];
    arguments.extend(how.iter().map(OsString::from));
    arguments
}

/// Such a target under way.
pub struct Witnessed {
    pub running: Running,
    ledger: Ledger,
    python: bool,
    per_block: Option<u64>,
    memory: SharedMemory,
}

impl Witnessed {
    /// The id of its process of this number, once its threads work.
    pub fn pid(&self, process: usize) -> i32 {
        eventually("the process works", || self.ledger.pid(process))
    }

    /// The id of heaptide's child, as early as it is there.
    pub fn first_child(&self) -> i32 {
        let heaptide = self.running.pid();
        eventually("heaptide's child", || {
            let children = std::fs::read_to_string(format!("/proc/{heaptide}/task/{heaptide}/children")).ok()?;
            children.split_ascii_whitespace().next()?.parse().ok()
        })
    }

    /// Waits for its end.
    pub fn finish(self) -> Ended {
        let Self { running, ledger, python, per_block, memory } = self;
        Ended { run: running.finish(), ledger, python, per_block, memory }
    }
}

/// Where `ledger.py` makes its blocks.
fn line_of_keep() -> u32 {
    let source = std::fs::read_to_string(fixture("../stress/ledger.py")).expect("a fixture");
    1 + source.lines().position(|line| line.contains("= bytearray(size)")).expect("a line that makes blocks") as u32
}

/// Polls until it is there.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// Sends a signal to a process of the target.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: plain numbers. Whoever is its parent has not waited for it: it lives on until we end it.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal} to {pid}: {}", std::io::Error::last_os_error());
}

/// Such a target at its end.
pub struct Ended {
    pub run: Run,
    ledger: Ledger,
    python: bool,
    per_block: Option<u64>,
    memory: SharedMemory,
}

impl Ended {
    /// Expects that no event is missing that was published, that what was live is what the target says, and that the reports
    /// have nothing to complain about.
    pub fn agrees(&self) -> &Self {
        self.run.is_whole();
        self.every_event();
        self.live();
        self.reports();
        self
    }

    /// A thread that is killed between publishing an event and counting it leaves one more than it has counted. Events of
    /// Python can be more for other reasons: an `munmap` over several mappings is one call and several events.
    fn every_event(&self) {
        let (published, recorded) = (self.memory.events(), self.run.totals().events);
        assert!(recorded >= published, "{published} events were published, {recorded} are in the capture");
        let most = published + self.run.threads() as u64;
        assert!(
            self.python || recorded <= most,
            "{published} events were published, but {recorded} are in the capture"
        );
    }

    /// What each thread had live is one of the amounts that its last entry allows. Gives how many threads were looked at.
    pub fn live(&self) -> usize {
        let mut looked_at = 0;
        for thread in 0..THREADS {
            let Some(entry) = self.ledger.entry(thread) else { continue };
            let site = self.site(thread);
            let (found, possible) = (self.left_by(&site), entry.possible(self.per_block));
            assert!(
                possible.contains(&found),
                "{site} of process {}: {found:?} bytes and blocks are in the capture, but {entry:?}",
                thread / PER_PROCESS
            );
            looked_at += 1;
        }
        looked_at
    }

    /// The function that makes the blocks of a thread.
    fn site(&self, thread: usize) -> String {
        if self.python { "keep".to_owned() } else { format!("site_{thread}") }
    }

    /// Bytes and blocks that were live at the end, made by this function or what it called: with native stacks the innermost
    /// frame is the interpreter's. Of Python's those of its one line: what the interpreter (3.10 at the 1 024th call) keeps
    /// for the function itself is not the program's.
    fn left_by(&self, function: &str) -> (u64, u64) {
        let profile = self.run.profile();
        let line = if self.python { line_of_keep() } else { 0 };
        let is_its = |frame: &Frame| &*frame.function == function && (line == 0 || frame.line == line);
        let its = profile.nodes().filter(|node| profile.path(*node).any(is_its));
        let amount: Amount = its.map(|node| profile.own[node.index()].of(Metric::Leaked)).sum();
        (amount.bytes, amount.count)
    }

    fn reports(&self) {
        for report in ["leaks run.bin", "flamegraph -f -o report.html run.bin"] {
            let ran = self.run.heaptide(report).exits(0);
            let said = format!("{}{}", ran.stdout(), ran.stderr());
            // A stack of thousands of frames is cut, and a report says so.
            let is_cut = self.run.totals().tracer.cut_stacks > 0;
            let warnings =
                said.lines().filter(|line| line.contains("warning") && !(is_cut && line.contains("were cut")));
            assert!(warnings.count() == 0 && !said.contains("ends early"), "{report}:\n{said}");
        }
    }

    /// The longest time that a thread of the target took between two of its operations.
    pub fn longest_pause(&self) -> Duration {
        Duration::from_nanos(self.ledger.longest_pause())
    }
}
