//! What makes a test of the binary four lines: a scratch directory, captures made up event by event, and a run of
//! heaptide that prints everything when it is not as expected.

#[path = "../../crates/analyze/tests/support/recording.rs"]
#[allow(dead_code, reason = "the analyzer's tests use the rest")]
pub mod recording;

pub mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of the test's own, removed when the test is over and went well.
pub struct Scratch {
    directory: PathBuf,
}

impl Scratch {
    /// An empty one.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("heaptide-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a scratch directory");
        Self { directory }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes a file in it.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file in the scratch directory");
        path
    }

    /// What a file in it holds.
    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// `heaptide` with these arguments, separated by blanks, run in this directory.
    pub fn heaptide(&self, arguments: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heaptide"));
        // What a test finds must not depend on what was found before it, nor on the network.
        command.env("XDG_CACHE_HOME", self.path("cache")).env_remove("DEBUGINFOD_URLS");
        self.run(command.args(arguments.split_whitespace()))
    }

    /// Any command, run in this directory.
    pub fn run(&self, command: &mut Command) -> Ran {
        command.current_dir(&self.directory).env_remove("NO_COLOR").stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Ran { command: format!("{command:?} in {}", self.directory.display()), output }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// A command that has run.
pub struct Ran {
    command: String,
    output: Output,
}

impl Ran {
    /// Its standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// Its standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Its exit code; `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Its standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.output.stdout).unwrap_or_else(|error| self.fail(&format!("no JSON: {error}")))
    }

    /// Expects this exit code.
    pub fn exits(self, code: i32) -> Self {
        if self.output.status.code() != Some(code) {
            self.fail(&format!("exit code {code} was expected"));
        }
        self
    }

    /// Expects success and nothing on standard error.
    pub fn succeeds(self) -> Self {
        let ran = self.exits(0);
        if !ran.output.stderr.is_empty() {
            ran.fail("nothing was expected on standard error");
        }
        ran
    }

    /// Expects exactly this one line on standard error.
    pub fn says(self, line: &str) -> Self {
        if self.stderr() != format!("{line}\n") {
            self.fail(&format!("this was expected on standard error:\n{line}"));
        }
        self
    }

    /// Expects this text on standard output.
    pub fn shows(self, text: &str) -> Self {
        if !self.stdout().contains(text) {
            self.fail(&format!("this was expected on standard output:\n{text}"));
        }
        self
    }

    fn fail(&self, what: &str) -> ! {
        panic!(
            "\n==== {what}\n==== command: {}\n==== status: {}\n==== stdout:\n{}\n==== stderr:\n{}\n====",
            self.command,
            self.output.status,
            self.stdout(),
            self.stderr()
        )
    }
}

/// Whether a path is there.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
