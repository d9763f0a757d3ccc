//! Programs recorded by the built binary, and what the capture says of them: the size, function and line of every
//! event. A run that does not fit prints all it knows when its test fails.

use crate::support::{Ran, Scratch};
use heaptide_analyze::Capture;
use heaptide_analyze::call_tree::NodeId;
use heaptide_analyze::frames::{Frame, FrameKind, Frames, LookUp};
use heaptide_analyze::profile::{Metric, Options, Profile};
use heaptide_analyze::records::{self, Record};
use heaptide_analyze::source::Source;
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::events::{Event, SlotTable};
use heaptide_format::capture::summary::{Amount, Totals};
use heaptide_format::ids::{ImageIndex, StackId};
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A file of `fixtures/programs`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/programs").join(name)
}

/// Prints a line that is seen even if the test passes: what was left out, and why. Each line once.
pub fn announce(line: &str) {
    static SAID: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    if SAID.lock().unwrap().insert(line.to_owned()) {
        // Not `eprintln!`, which the test harness keeps to itself.
        let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
    }
}

/// Compiles a fixture, once per test process, and gives the program's path. No optimisation: a function that the source
/// calls is a function that runs. `kind` names the flavour, so that one source can become several files.
pub fn compiled(source: &str, kind: &str, flags: &[&str]) -> PathBuf {
    type Slot = &'static OnceLock<PathBuf>;
    static DONE: LazyLock<Mutex<BTreeMap<String, Slot>>> = LazyLock::new(Mutex::default);
    let name = format!("{}{kind}", source.replace(['.', '/'], "_"));
    let slot: Slot = DONE.lock().unwrap().entry(name.clone()).or_insert_with(|| Box::leak(Box::default()));
    slot.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
        std::fs::create_dir_all(&directory).expect("a directory for compiled fixtures");
        // Not overwritten in place: another test process may be running it.
        let (path, fresh) = (directory.join(&name), directory.join(format!("{name}.{}", std::process::id())));
        let compiler = if source.ends_with(".cpp") { "c++" } else { "cc" };
        let mut command = Command::new(compiler);
        command
            .args(["-O0", "-g", "-w", "-fno-builtin", "-pthread", "-o"])
            .arg(&fresh)
            .arg(fixture(source))
            .args(flags)
            .arg("-ldl");
        let output = command.output().unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(&fresh, &path).expect("a compiled fixture in its place");
        path
    })
    .clone()
}

/// An interpreter of a version whose stacks can be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Python {
    /// Minor version: 8 to 15.
    pub minor: u32,
    /// Built with `Py_DEBUG`.
    pub debug: bool,
    /// Where it is.
    pub path: PathBuf,
}

impl Python {
    /// Whether it is at least 3.`minor`.
    pub fn since(&self, minor: u32) -> bool {
        self.minor >= minor
    }
}

const MINORS: std::ops::RangeInclusive<u32> = 8..=15;

/// Where `tests/interpreters.sh` puts those that few distributions have.
pub fn fetched_interpreters() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache"))).unwrap_or_default();
    cache.join("heaptide-tests/forky/usr")
}

/// All interpreters of this machine, oldest first.
fn all_pythons() -> &'static [Python] {
    static FOUND: LazyLock<Vec<Python>> = LazyLock::new(|| {
        let mut candidates = Vec::new();
        if let Some(home) = std::env::var_os("HOME") {
            let versions = std::fs::read_dir(Path::new(&home).join(".pyenv/versions")).into_iter().flatten().flatten();
            candidates.extend(versions.map(|version| version.path().join("bin/python3")));
        }
        let mut directories: Vec<PathBuf> =
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
        directories.push(fetched_interpreters().join("bin"));
        for directory in directories {
            for suffix in ["", "d"] {
                candidates.extend(MINORS.map(|minor| directory.join(format!("python3.{minor}{suffix}"))));
            }
        }
        candidates.push("/usr/bin/python3".into());
        let mut found: Vec<Python> = candidates.iter().filter_map(|path| identify(path)).collect();
        found.sort();
        found.dedup_by(|a, b| a.path == b.path);
        found
    });
    &FOUND
}

/// The interpreters of this machine, oldest first. A line says which versions are missing; none at all is a failure.
pub fn pythons() -> &'static [Python] {
    static FOUND: LazyLock<Vec<Python>> = LazyLock::new(|| {
        let found: Vec<Python> = all_pythons().iter().filter(|python| !python.debug).cloned().collect();
        for minor in MINORS.filter(|minor| found.iter().all(|python| python.minor != *minor)) {
            announce(&format!("skipped: no Python 3.{minor} on this machine"));
        }
        found
    });
    assert!(!FOUND.is_empty(), "no Python from 3.8 to 3.15 was found, neither under ~/.pyenv nor on PATH");
    &FOUND
}

/// The debug builds of this machine, oldest first. A line says if there is none.
pub fn debug_pythons() -> Vec<&'static Python> {
    let found: Vec<&Python> = all_pythons().iter().filter(|python| python.debug).collect();
    if found.is_empty() {
        announce("skipped: no debug build of Python on this machine");
    }
    found
}

/// What the interpreter behind this path (a link, a shim script) is; `None` if there is none or it is another version.
fn identify(path: &Path) -> Option<Python> {
    let question = "import sys; print(*sys.version_info[:2], hasattr(sys, 'gettotalrefcount'), sys.executable)";
    let output = Command::new(path).args(["-I", "-c", question]).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.trim().splitn(4, ' ');
    let (major, minor, debug) = (words.next()?, words.next()?.parse().ok()?, words.next()? == "True");
    let path = std::fs::canonicalize(words.next()?).ok()?;
    (major == "3" && MINORS.contains(&minor)).then_some(Python { minor, debug, path })
}

/// The newest interpreter whose `bytearray(n)` is a block of n + 1 bytes (to 3.14), for tests that are about processes
/// and not about versions.
pub fn newest_python() -> &'static Python {
    pythons().iter().rfind(|python| !python.since(15)).expect("Python of a version before 3.15")
}

/// A command to record.
#[derive(Clone)]
pub struct Traced {
    command: Vec<OsString>,
    options: Vec<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    input: Vec<u8>,
    output: bool,
    same_addresses: bool,
}

impl Traced {
    /// A C or C++ fixture, compiled.
    pub fn program(source: &str) -> Self {
        Self::command([compiled(source, "", &[])])
    }

    /// A Python fixture under this interpreter. A debug build gets the allocators of the others: its own make each block
    /// some words larger.
    pub fn python(script: &str, python: &Python) -> Self {
        let traced = Self::command([python.path.clone(), fixture(script)]);
        if python.debug { traced.env("PYTHONMALLOC", "pymalloc") } else { traced }
    }

    /// Any command.
    pub fn command(command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            options: Vec::new(),
            // An imported fixture must not leave its compiled form in the source tree.
            environment: vec![("PYTHONDONTWRITEBYTECODE".into(), Some("1".into()))],
            input: Vec::new(),
            output: true,
            same_addresses: false,
        }
    }

    /// Arguments of the command.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.command.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Options of `heaptide run`.
    pub fn options(mut self, options: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.options.extend(options.into_iter().map(Into::into));
        self
    }

    /// Without `-o`: the capture gets its default name in the scratch directory.
    pub fn unnamed(mut self) -> Self {
        self.output = false;
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// With the same addresses in each run, where a sandbox allows it: the interpreter has numbers that are addresses, and
    /// larger ones have more bytes.
    pub fn same_addresses(mut self) -> Self {
        self.same_addresses = true;
        self
    }

    /// What is on standard input.
    pub fn input(mut self, bytes: &[u8]) -> Self {
        self.input = bytes.to_vec();
        self
    }

    /// Records it; a capture must come of it from which nothing is missing.
    pub fn record(self) -> Run {
        let run = self.run();
        run.is_whole();
        run
    }

    /// Runs it under heaptide, whatever comes of it.
    pub fn run(self) -> Run {
        self.start().finish()
    }

    /// Runs it without heaptide, for comparison.
    pub fn bare(self) -> Run {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        self.launch(command).finish()
    }

    /// Starts it under heaptide, in a process group of its own.
    pub fn start(self) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heaptide"));
        command.arg("run");
        if self.output {
            command.args(["-o", "run.bin"]);
        }
        command.args(&self.options).arg("--").args(&self.command);
        self.launch(command)
    }

    fn launch(self, mut command: Command) -> Running {
        let scratch = Scratch::new();
        command.current_dir(scratch.path("")).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if self.same_addresses {
            let ask = || {
                // SAFETY: it takes a number, which is one of the kernel's.
                unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
                Ok(())
            };
            // SAFETY: what runs between fork and exec is one system call.
            unsafe { command.pre_exec(ask) };
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("piped");
        // A target that reads no input closes the pipe early.
        std::thread::spawn(move || drop(stdin.write_all(&self.input)));
        let [stdout, stderr] =
            [collect(child.stdout.take().expect("piped")), collect(child.stderr.take().expect("piped"))];
        Running { child, command: format!("{command:?}"), scratch, stdout, stderr, started: Instant::now() }
    }
}

type Collected = std::sync::Arc<(Mutex<(Vec<u8>, bool)>, std::sync::Condvar)>;

/// Reads a pipe to its end in a thread of its own, so that what has come can be seen in between.
fn collect(mut pipe: impl Read + Send + 'static) -> Collected {
    let collected = Collected::default();
    let shared = collected.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        loop {
            let length = pipe.read(&mut buffer).unwrap_or(0);
            let mut content = shared.0.lock().unwrap();
            content.0.extend_from_slice(&buffer[..length]);
            content.1 = length == 0;
            shared.1.notify_all();
            if length == 0 {
                return;
            }
        }
    });
    collected
}

/// A command under way.
pub struct Running {
    child: Child,
    command: String,
    scratch: Scratch,
    stdout: Collected,
    stderr: Collected,
    started: Instant,
}

/// Longer than any test takes on a busy machine; then it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

impl Running {
    /// Process id of heaptide, which is also that of the process group.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The directory it runs in.
    pub fn directory(&self) -> PathBuf {
        self.scratch.path("")
    }

    /// Waits until the program has printed this.
    pub fn wait_for(&self, text: &str) {
        let (mutex, changed) = &*self.stdout;
        let content = mutex.lock().unwrap();
        let says = |content: &Vec<u8>| String::from_utf8_lossy(content).contains(text);
        let waiting = |content: &mut (Vec<u8>, bool)| !says(&content.0) && !content.1;
        let (content, _) = changed.wait_timeout_while(content, PATIENCE, waiting).unwrap();
        assert!(says(&content.0), "{text:?} was not printed by {}, but\n{}", self.command, lossy(&content.0));
    }

    /// The first line that the program prints, when it has.
    pub fn wait_for_line(&self) -> String {
        self.wait_for("\n");
        let content = self.stdout.0.lock().unwrap();
        lossy(&content.0).lines().next().unwrap_or_default().to_owned()
    }

    /// Sends a signal to heaptide.
    pub fn signal(&self, signal: i32) {
        kill(self.pid(), signal);
    }

    /// Sends a signal to the whole process group, as a terminal does.
    pub fn signal_group(&self, signal: i32) {
        kill(-self.pid(), signal);
    }

    /// Waits for heaptide to end, and until all have closed its output.
    pub fn finish(mut self) -> Run {
        let mut status = None;
        while status.is_none() && self.started.elapsed() < PATIENCE {
            status = self.child.try_wait().expect("our own child");
            if status.is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        if status.is_none() {
            self.signal_group(libc::SIGKILL);
            let _ = self.child.wait();
        }
        let [stdout, stderr] = [whole(&self.stdout, self.started), whole(&self.stderr, self.started)];
        let path = self.scratch.path("run.bin");
        let run = Run {
            command: self.command,
            status: status.unwrap_or_default(),
            stdout,
            stderr,
            scratch: self.scratch,
            path,
            capture: OnceCell::new(),
            profile: OnceCell::new(),
            steps: OnceCell::new(),
            sizes: OnceCell::new(),
        };
        assert!(status.is_some(), "still running after {PATIENCE:?}");
        run
    }
}

fn whole(collected: &Collected, started: Instant) -> Vec<u8> {
    let (mutex, changed) = &**collected;
    let content = mutex.lock().unwrap();
    let patience = PATIENCE.saturating_sub(started.elapsed());
    let (content, _) = changed.wait_timeout_while(content, patience, |content| !content.1).unwrap();
    content.0.clone()
}

fn kill(pid: i32, signal: i32) {
    // SAFETY: plain numbers; the process is a child that has not been waited for, or its group.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal} to {pid}");
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a bytearray's block has in front of its bytes from Python 3.15 on.
pub const BYTES_HEAD: u64 = 32;

/// What happened to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Allocated,
    Freed,
    /// With the size before.
    Reallocated(u64),
    /// A part of a mapping was given back; [`Step::bytes`] is that part.
    Shrunk,
}

/// An event of a block.
#[derive(Clone, Debug)]
pub struct Step {
    pub what: What,
    pub allocator: Allocator,
    pub bytes: u64,
    /// The function that allocated the block.
    pub function: String,
    /// The file it is in: source of a Python function, object of a native one.
    pub file: String,
    /// Where the block came from, `function:line` (native: `function`), innermost first.
    pub stack: Vec<String>,
    /// Number of its process.
    pub image: usize,
    /// Number of the block: no other that lives at the same time in this process has it.
    pub slot: u32,
}

/// A recorded run. Shows itself when its test fails.
pub struct Run {
    command: String,
    /// How heaptide ended.
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    scratch: Scratch,
    path: PathBuf,
    capture: OnceCell<Capture>,
    profile: OnceCell<Profile>,
    steps: OnceCell<Vec<Step>>,
    /// Places in `steps` of the allocations and reallocations of a size.
    sizes: OnceCell<HashMap<u64, Vec<usize>>>,
}

impl Run {
    /// What the program printed.
    pub fn stdout(&self) -> String {
        lossy(&self.stdout)
    }

    /// What the program and heaptide printed on standard error.
    pub fn stderr(&self) -> String {
        lossy(&self.stderr)
    }

    /// The directory it ran in.
    pub fn directory(&self) -> PathBuf {
        self.scratch.path("")
    }

    /// The capture's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `heaptide` with these arguments in the directory of the capture, which is `run.bin`.
    pub fn heaptide(&self, arguments: &str) -> Ran {
        self.scratch.heaptide(arguments)
    }

    /// The capture.
    pub fn capture(&self) -> &Capture {
        self.capture.get_or_init(|| {
            Capture::open(&self.path, &mut |_| {}).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()))
        })
    }

    /// Expects this exit code.
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "{}", self.status);
        self
    }

    /// Expects a finished capture from which nothing is missing.
    pub fn is_whole(&self) -> &Self {
        assert_eq!(self.capture().ends_early, None);
        self.lost_nothing()
    }

    /// Expects that the tracer lost nothing and contradicts itself nowhere.
    pub fn lost_nothing(&self) -> &Self {
        let tracer = &self.totals().tracer;
        assert_eq!((tracer.lost, tracer.inconsistent, tracer.refused), (0, 0, 0), "lost, inconsistent, refused");
        self
    }

    /// Numbers of the whole run.
    pub fn totals(&self) -> &Totals {
        &self.capture().account.totals
    }

    /// Processes, `program` of each by its last part.
    pub fn images(&self) -> Vec<String> {
        let names = &self.capture().names;
        let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        names.images().iter().map(|image| base(names.text(image.program))).collect()
    }

    /// How many threads were traced.
    pub fn threads(&self) -> usize {
        self.capture().names.threads()
    }

    /// The names of its threads, sorted.
    pub fn thread_names(&self) -> Vec<String> {
        let names = &self.capture().names;
        let threads = (0..names.threads() as u32).map(heaptide_format::ids::ThreadIndex);
        let mut found: Vec<String> = threads.filter_map(|id| names.thread_name(id)).map(str::to_owned).collect();
        found.sort();
        found
    }

    /// The profile over all processes.
    pub fn profile(&self) -> &Profile {
        self.profile.get_or_init(|| {
            Profile::of(self.capture(), &Options::default(), &mut |_| {}).expect("a profile of an opened capture")
        })
    }

    fn of(&self, function: &str, metric: Metric) -> (u64, u64) {
        let profile = self.profile();
        let its = profile.nodes().filter(|node| simple_name(profile.frame(*node)) == function);
        let amount: Amount = its.map(|node| profile.own[node.index()].of(metric)).sum();
        (amount.bytes, amount.count)
    }

    /// Bytes that this function itself allocated and that were live at the peak.
    pub fn bytes_at_peak(&self, function: &str) -> u64 {
        self.of(function, Metric::Peak).0
    }

    /// Bytes that this function itself allocated and that were live at the end.
    pub fn bytes_at_exit(&self, function: &str) -> u64 {
        self.of(function, Metric::Leaked).0
    }

    /// Bytes and number of blocks of this function that were live at the peak.
    pub fn at_peak(&self, function: &str) -> (u64, u64) {
        self.of(function, Metric::Peak)
    }

    /// Bytes and number of blocks of this function that were live at the end.
    pub fn at_exit(&self, function: &str) -> (u64, u64) {
        self.of(function, Metric::Leaked)
    }

    /// Bytes and number of all blocks that this function itself ever allocated.
    pub fn allocated(&self, function: &str) -> (u64, u64) {
        self.of(function, Metric::Allocated)
    }

    /// Every event, with sizes and stacks.
    pub fn steps(&self) -> &[Step] {
        self.steps.get_or_init(|| replayed(self.capture(), &self.path))
    }

    /// The allocations and reallocations of this size. `bytearray(n)` is a block of n + 1 bytes; but in Python 3.15 it is
    /// a bytes object, whose head is 32 bytes more. So blocks of 10 000 bytes and more are looked for with such a head
    /// first if a process has that version.
    pub fn of_size(&self, bytes: u64) -> Vec<&Step> {
        let sizes = self.sizes.get_or_init(|| {
            let mut sizes: HashMap<u64, Vec<usize>> = HashMap::new();
            for (place, step) in self.steps().iter().enumerate() {
                if matches!(step.what, What::Allocated | What::Reallocated(_)) {
                    sizes.entry(step.bytes).or_default().push(place);
                }
            }
            sizes
        });
        let of = |size: u64| sizes.get(&size).into_iter().flatten().map(|place| &self.steps()[*place]);
        let python = |step: &&Step| self.capture().names.images()[step.image].python;
        let with_head: Vec<&Step> = of(bytes + BYTES_HEAD).filter(|step| python(step) >= 0x030F).collect();
        if bytes >= 10_000 && !with_head.is_empty() { with_head } else { of(bytes).collect() }
    }

    /// The events of blocks that this function (innermost) allocated, as text: `malloc 5`, `realloc 5 > 6`, `free 6`.
    pub fn story(&self, function: &str) -> Vec<String> {
        let its = self.steps().iter().filter(|step| step.function == function);
        its.map(|step| match step.what {
            What::Allocated => format!("{} {}", step.allocator.name(), step.bytes),
            What::Freed => format!("free {}", step.bytes),
            What::Reallocated(before) => format!("{} {before} > {}", step.allocator.name(), step.bytes),
            What::Shrunk => format!("unmap {}", step.bytes),
        })
        .collect()
    }

    /// The one stack from which blocks of this size came: `inner:3 < outer:9 < <module>:11`.
    pub fn stack_of(&self, bytes: u64) -> String {
        let mut stacks: Vec<String> = self.of_size(bytes).iter().map(|step| step.stack.join(" < ")).collect();
        stacks.dedup();
        assert!(stacks.len() < 2, "blocks of {bytes} bytes come from {stacks:#?}");
        stacks.pop().unwrap_or_else(|| panic!("no block of {bytes} bytes was recorded"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        eprintln!("==== {} ({})", self.command, self.status);
        eprintln!("==== stdout:\n{}\n==== stderr:\n{}", shortened(&self.stdout()), shortened(&self.stderr()));
        let Some(capture) = self.capture.take() else { return };
        eprintln!("==== {:?}\n==== ends early: {:?}", capture.account.totals.tracer, capture.ends_early);
        eprintln!("==== {} processes: {:?}", capture.names.images().len(), capture.account.images);
        let Ok(profile) = Profile::of(&capture, &Options::default(), &mut |_| {}) else { return };
        let allocated = |node: &NodeId| profile.own[node.index()].of(Metric::Allocated);
        let mut nodes: Vec<NodeId> = profile.nodes().filter(|node| allocated(node).count > 0).collect();
        nodes.sort_by_key(|node| std::cmp::Reverse(allocated(node).bytes));
        for node in nodes.iter().take(40) {
            let amounts =
                Metric::ALL.map(|metric| format!("{} {}", metric.name(), profile.own[node.index()].of(metric).bytes));
            let path: Vec<String> = profile.path(*node).take(5).map(label).collect();
            eprintln!("{} of {}: {}", allocated(node).count, path.join(" < "), amounts.join(", "));
        }
        eprintln!("==== {} stacks", nodes.len());
    }
}

fn shortened(text: &str) -> String {
    if text.len() > 4000 { format!("{}…", text.chars().take(4000).collect::<String>()) } else { text.to_owned() }
}

/// `Class.method` and `outer.<locals>.inner` (names from 3.11 on) as versions before call them: the last part.
fn simple_name(frame: &Frame) -> &str {
    match frame.function.rsplit_once('.') {
        Some((_, last)) if frame.kind != FrameKind::Native => last,
        _ => &frame.function,
    }
}

fn label(frame: &Frame) -> String {
    let function = simple_name(frame);
    // Lines of compiled fixtures move with the compiler's whim.
    if frame.line == 0 || frame.kind == FrameKind::Native {
        function.to_owned()
    } else {
        format!("{function}:{}", frame.line)
    }
}

/// All events of a capture, replayed.
fn replayed(capture: &Capture, path: &Path) -> Vec<Step> {
    let names = &capture.names;
    let frames = Frames::resolve(names, &vec![true; names.frames()], &LookUp { ran_at: u64::MAX, ..LookUp::default() });
    // Of functions that are inlined into each other the one whose frame it is: whether the others are known depends on what
    // debug information this machine has.
    let frame_of = |id| &frames.distinct[frames.places(id)[0] as usize];
    let stack_of = |mut stack: StackId| {
        let mut labels = Vec::new();
        while let Some(node) = names.node(stack) {
            labels.push(label(frame_of(node.frame)));
            stack = node.parent;
        }
        labels
    };
    let place_of = |stack| match names.node(stack) {
        Some(node) => {
            let frame = frame_of(node.frame);
            (simple_name(frame).to_owned(), frame.loaded_from().to_string())
        }
        None => Default::default(),
    };
    let mut labels: BTreeMap<StackId, Vec<String>> = BTreeMap::new();
    let mut labelled = |stack: StackId| labels.entry(stack).or_insert_with(|| stack_of(stack)).clone();
    let mut slots: Vec<SlotTable> = vec![SlotTable::default(); names.images().len()];
    let mut live: BTreeMap<(usize, u32), (Allocator, u64, StackId)> = BTreeMap::new();
    let mut image = 0;
    let mut steps = Vec::new();
    let source = Source::open(path).expect("the capture was opened before");
    let visit = &mut |_, record: Record<'_>| -> Result<(), std::convert::Infallible> {
        let events = match record {
            Record::Events(events) => events,
            Record::Keyframe(keyframe) => {
                let taken = keyframe.blocks.iter().map(|block| block.slot.0);
                slots[keyframe.image.index()] = SlotTable::after_keyframe(taken, keyframe.used);
                return Ok(());
            }
            _ => return Ok(()),
        };
        for event in events.map_while(Result::ok) {
            let (what, slot, (allocator, bytes, stack)) = match event {
                Event::Thread(index) => {
                    image = names.thread(index).expect("a defined thread").image.index();
                    continue;
                }
                Event::ImageEnded(ImageIndex(ended)) => {
                    live.retain(|(image, _), _| *image != ended as usize);
                    continue;
                }
                Event::Allocated { allocator, size, stack } => {
                    let slot = slots[image].take();
                    live.insert((image, slot.0), (allocator, size, stack));
                    (What::Allocated, slot, (allocator, size, stack))
                }
                Event::Freed { slot } => {
                    slots[image].give(slot);
                    (What::Freed, slot, live.remove(&(image, slot.0)).expect("a live block is freed"))
                }
                Event::Reallocated { slot, allocator, size, stack } => {
                    let before = live.insert((image, slot.0), (allocator, size, stack));
                    let before = before.expect("a live block is reallocated").1;
                    (What::Reallocated(before), slot, (allocator, size, stack))
                }
                Event::Shrunk { slot, bytes } => {
                    let block = live.get_mut(&(image, slot.0)).expect("a live mapping is shrunk");
                    block.1 -= bytes;
                    (What::Shrunk, slot, (block.0, bytes, block.2))
                }
                Event::Clock(_) | Event::FreedUnknown | Event::ProgramEnded(_) => continue,
            };
            let ((function, file), stack) = (place_of(stack), labelled(stack));
            let slot = slot.0;
            steps.push(Step { what, allocator, bytes, function, file, stack, image, slot });
        }
        Ok(())
    };
    let walked = records::walk(&source, visit, &mut |_| {});
    assert!(walked.is_ok(), "{}: {:?}", path.display(), walked.err());
    steps
}

/// Makes an executable file. Through another process: a descriptor of ours, open for writing, could be inherited by a
/// program that another test starts at this moment, and the kernel would refuse to execute the file.
pub fn script(path: &Path, content: &str) {
    let mut child = Command::new("sh")
        .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    child.stdin.take().expect("piped").write_all(content.as_bytes()).expect("a script");
    assert!(child.wait().expect("our own child").success());
}

/// Runs a command to its end and expects success.
pub fn sh(program: impl AsRef<OsStr>, arguments: &[&OsStr]) {
    let status = Command::new(program.as_ref()).args(arguments).status().expect("a program that is there");
    assert!(status.success(), "{:?} {arguments:?}", program.as_ref());
}
