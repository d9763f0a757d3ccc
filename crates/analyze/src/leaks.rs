//! What was live at the end, and whose it is.
//!
//! A Python process always ends with some memory live: the modules it imported, the interpreter's own tables. That is
//! no leak of the user's, and is told apart here, not hidden.

use crate::call_tree::NodeId;
use crate::error::CaptureError;
use crate::frames::{Frame, FrameKind};
use crate::histories::{Histories, History};
use crate::instants::Span;
use crate::profile::{Metric, Profile};
use crate::reader::{Capture, Progress};
use crate::sites::base_name;
use crate::suppressions::Suppressions;
use crate::verdict::{Judgement, judge};
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::Nanos;
use rustc_hash::FxHashMap;

/// Who left a block alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The program: the user's code, and libraries it called.
    Program,
    /// The import system: code, names and constants of modules that were loaded.
    Import,
    /// The interpreter itself, its start-up and its loader.
    Interpreter,
    /// Programs without an interpreter that ran beside one: the shell that started it, the tools it called.
    Other,
}

impl Origin {
    /// All.
    pub const ALL: [Self; 4] = [Self::Program, Self::Import, Self::Interpreter, Self::Other];

    /// One lower-case word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Import => "import",
            Self::Interpreter => "interpreter",
            Self::Other => "other",
        }
    }

    /// Whose the blocks of each node are: decided by the first frame, from the innermost outwards, that tells. The body
    /// of a module that the user wrote is the user's even while it is imported.
    pub fn of_nodes(profile: &Profile) -> Vec<Self> {
        // From callers to callees, so that each frame is looked at once.
        let mut traces: Vec<Trace> = Vec::with_capacity(profile.tree.nodes().len());
        for (id, node) in profile.nodes().zip(profile.tree.nodes()) {
            let callers = node.parent.map_or(Trace::default(), |parent| traces[parent.index()]);
            traces.push(callers.called(profile.frame(id)));
        }
        let origins =
            traces.iter().zip(&profile.in_python).map(|(trace, in_python)| match (profile.python, in_python) {
                (false, _) => Self::Program,
                (true, false) => Self::Other,
                (true, true) => trace.origin(),
            });
        origins.collect()
    }
}

/// What the frames of a path tell of its origin.
#[derive(Clone, Copy, Debug, Default)]
struct Trace {
    decided: Option<Origin>,
    python: bool,
    library: bool,
    foreign: bool,
}

impl Trace {
    /// With this frame called from it.
    fn called(mut self, frame: &Frame) -> Self {
        match frame.kind {
            FrameKind::Project => self.decided = Some(Origin::Program),
            FrameKind::Interpreter if frame.file.contains("importlib") || frame.file.contains("zipimport") => {
                self.decided = Some(Origin::Import);
            }
            FrameKind::Library => (self.python, self.library) = (true, true),
            FrameKind::Interpreter | FrameKind::Stdlib => self.python = true,
            FrameKind::Native | FrameKind::Unknown => self.foreign |= !is_runtime(frame),
        }
        self
    }

    fn origin(self) -> Origin {
        self.decided.unwrap_or({
            // Without any Python frame: native code of the program, if an object of its own is on the stack.
            let programs = self.library || (!self.python && self.foreign);
            if programs { Origin::Program } else { Origin::Interpreter }
        })
    }
}

/// Whether a native frame is of the interpreter or of what every program is linked to.
fn is_runtime(frame: &Frame) -> bool {
    runtime_start(base_name(frame.loaded_from())).is_some()
}

/// How the name of an object begins that is the interpreter's or what every program is linked to.
pub(crate) fn runtime_start(name: &str) -> Option<&'static str> {
    let starts = ["python", "libpython", "libc.", "libc-", "ld-", "ld.", "libpthread", "libdl", "libm.", "[vdso]"];
    starts.into_iter().find(|start| name.starts_with(start))
}

/// Blocks of one stack or site.
#[derive(Clone, Debug, PartialEq)]
pub struct Leak {
    /// The stack's innermost node; for a site one of its nodes.
    pub node: NodeId,
    /// Live at the end.
    pub amount: Amount,
    /// Whose.
    pub origin: Origin,
    /// Of a site, if it was judged.
    pub judged: Option<Judged>,
}

/// What a site's live bytes over time say of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The verdict and what it rests on.
    pub judgement: Judgement,
    /// Bytes a second by which it grew while it was looked at.
    pub bytes_per_second: f64,
    /// Bytes for each thousand events of the run by which it grew.
    pub bytes_per_1000_events: f64,
    /// What of it was cyclic garbage: nobody held it, the interpreter's last collection released it.
    pub garbage: Amount,
    /// Most bytes that it had at once, at any moment of the time looked at.
    pub highest: u64,
    /// The least live bytes in each part of the run ([`crate::histories::INTERVALS`] to its very end), until the last program
    /// ended.
    pub curve: Vec<u64>,
}

/// All that was live at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leaks {
    /// By stack, the largest first.
    pub stacks: Vec<Leak>,
    /// By site (see [`Profile::sites`]), the largest first.
    pub sites: Vec<Leak>,
    /// Everything.
    pub total: Amount,
    /// What was left out, by pattern of the suppressions: its place among them.
    pub suppressed: Vec<(usize, Amount)>,
    /// Nanoseconds of a part of the curves; 0: nothing was judged.
    pub step: Nanos,
    by_origin: [Amount; 4],
}

/// How sites are judged.
#[derive(Clone, Copy, Debug)]
pub struct Judging {
    /// The part of the run that the profile is of.
    pub span: Span,
    /// This part of it, from 0 to 1, is left out at its end: what is new may still be released.
    pub newest: f64,
}

/// Most sites that are judged, the largest: what a leak of any size is among.
const MOST_JUDGED: usize = 2000;
/// The collector's clock goes in steps of a millisecond or so: a shorter run says nothing.
const SHORTEST: Nanos = Nanos(100_000_000);

impl Leaks {
    /// Of a profile, without what is suppressed.
    pub fn of(profile: &Profile, suppressions: &Suppressions) -> Self {
        let mut leaks = Self { total: profile.total.of(Metric::Leaked), ..Self::default() };
        let mut sites: FxHashMap<(u32, Origin), Leak> = FxHashMap::default();
        let (all_sites, origins) = (profile.sites(), Origin::of_nodes(profile));
        let left_out = suppressions.of_nodes(profile);
        let mut suppressed = vec![Amount::default(); suppressions.patterns().len()];
        for (node, amount) in profile.nodes().zip(profile.own(Metric::Leaked)) {
            // A block of no bytes is a block.
            if amount.count == 0 && amount.bytes == 0 {
                continue;
            }
            if let Some(pattern) = left_out[node.index()] {
                suppressed[pattern] += amount;
                continue;
            }
            let origin = origins[node.index()];
            leaks.stacks.push(Leak { node, amount, origin, judged: None });
            leaks.by_origin[origin as usize] += amount;
            let site = all_sites[node.index()];
            let frame = profile.tree.nodes()[site.index()].frame;
            let leak = Leak { node: site, amount: Amount::default(), origin, judged: None };
            sites.entry((frame, origin)).or_insert(leak).amount += amount;
        }
        let without_frame = if profile.python { Origin::Interpreter } else { Origin::Program };
        leaks.by_origin[without_frame as usize] += profile.bare.of(Metric::Leaked);
        leaks.suppressed = suppressed.into_iter().enumerate().filter(|(_, amount)| amount.count > 0).collect();
        leaks.sites = sites.into_values().collect();
        for leaks in [&mut leaks.stacks, &mut leaks.sites] {
            leaks.sort_by_key(|leak| (std::cmp::Reverse((leak.amount.bytes, leak.amount.count)), leak.node));
        }
        leaks
    }

    /// Judges the largest sites by how their live bytes went over the run, which costs a replay of its events. A run of less
    /// than a tenth of a second is not judged.
    ///
    /// # Errors
    /// As [`Capture::replay`].
    pub fn judge(
        &mut self,
        capture: &Capture,
        profile: &Profile,
        judging: Judging,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CaptureError> {
        if let Some(watch) = self.watch(capture, profile, judging) {
            let replayed = capture.replay(judging.span, 0, watch, progress)?;
            self.judge_by(capture, judging, replayed.watch);
        }
        Ok(())
    }

    /// What watches a replay for [`Leaks::judge_by`]; `None`: there is too little to judge by.
    pub fn watch(&self, capture: &Capture, profile: &Profile, judging: Judging) -> Option<Histories> {
        let duration = capture.account.totals.duration;
        let (from, to) = match judging.span {
            Span::Whole => (Nanos(0), duration),
            Span::At(_) => return None,
            Span::Between(from, to) => (from.time(duration), to.time(duration)),
        };
        if to.0.saturating_sub(from.0) < SHORTEST.0 {
            return None;
        }
        let judged = &self.sites[..self.sites.len().min(MOST_JUDGED)];
        let key = |leak: &Leak| (profile.tree.nodes()[leak.node.index()].frame, leak.origin);
        let groups: FxHashMap<(u32, Origin), u32> = judged.iter().map(key).zip(0u32..).collect();
        let (all_sites, origins) = (profile.sites(), Origin::of_nodes(profile));
        let group_of = profile.by_stack(|node| {
            let frame = profile.tree.nodes()[all_sites[node.index()].index()].frame;
            groups.get(&(frame, origins[node.index()])).copied()
        });
        Some(Histories::new(group_of, judged.len(), from, to))
    }

    /// Judges by what [`Leaks::watch`] gave, after the replay of what is judged.
    pub fn judge_by(&mut self, capture: &Capture, judging: Judging, histories: Histories) {
        let (histories, parts, step) = histories.finish();
        let events = capture.account.totals.events.max(1) as f64;
        let seconds_of_run = capture.account.totals.duration.seconds();
        let first = |history: &History| history.intervals.iter().position(|interval| interval.most > 0);
        let began = histories.iter().filter_map(first).min().unwrap_or(0);
        for (leak, history) in self.sites.iter_mut().zip(&histories) {
            let judgement = judge(history, parts, judging.newest, began);
            let seconds = judgement.parts as f64 * step.seconds();
            let bytes_per_second = judgement.growth as f64 / seconds;
            leak.judged = Some(Judged {
                judgement,
                garbage: history.garbage,
                bytes_per_second,
                bytes_per_1000_events: bytes_per_second * seconds_of_run / events * 1000.0,
                curve: history.intervals[..parts].iter().map(|interval| interval.least).collect(),
                highest: history.intervals[..parts].iter().map(|interval| interval.most).max().unwrap_or(0),
            });
        }
        self.step = step;
    }

    /// The sites that grow, the fastest first. None before they were judged.
    pub fn growing(&self) -> Vec<&Leak> {
        let rate = |leak: &Leak| leak.judged.as_ref().map_or(0.0, |judged| judged.bytes_per_second);
        let is_leak = |leak: &&Leak| leak.judged.as_ref().is_some_and(|judged| judged.judgement.verdict.is_leak());
        let mut growing: Vec<&Leak> = self.sites.iter().filter(is_leak).collect();
        growing.sort_by(|a, b| rate(b).total_cmp(&rate(a)).then(a.node.cmp(&b.node)));
        growing
    }

    /// What this one left, stacks without any frame included, what is suppressed not.
    pub fn of_origin(&self, origin: Origin) -> Amount {
        self.by_origin[origin as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::{native, profile, python};

    #[test]
    fn residue_is_told_from_the_program() {
        let main = python("<module>", "/app/main.py", 1);
        let import = python("_find_and_load", "<frozen importlib._bootstrap>", 1176);
        let get_code = python("get_code", "<frozen importlib._bootstrap_external>", 1000);
        let module = python("<module>", "/app/tables.py", 2);
        let numpy = python("<module>", "/venv/lib/python3.11/site-packages/numpy/__init__.py", 5);
        let cache = python("lru_cache", "/usr/lib/python3.11/functools.py", 9);
        let [start, libc] = [native("Py_RunMain", "/usr/bin/python3.11"), native("strdup", "/lib/libc.so.6")];
        let extension = native("load", "/app/fast.so");
        let profile = profile(&[
            (&[&main], 1),                         // the program
            (&[&main, &import, &get_code], 10),    // marshalled code of an imported module
            (&[&main, &import, &module], 100),     // a table that the user's module builds
            (&[&main, &import, &numpy], 1_000),    // what a library's module body builds
            (&[&start, &libc], 10_000),            // the interpreter
            (&[&start, &extension], 100_000),      // native code of the user's
            (&[&cache], 1_000_000),                // the standard library by itself
            (&[&main, &numpy, &libc], 10_000_000), // a library called by the program
        ]);
        let leaks = Leaks::of(&profile, &Suppressions::default());
        assert_eq!(leaks.of_origin(Origin::Program).bytes, 10_100_101);
        assert_eq!(leaks.of_origin(Origin::Import).bytes, 1_010);
        assert_eq!(leaks.of_origin(Origin::Interpreter).bytes, 1_010_000);
        assert_eq!(leaks.stacks[0].amount, Amount { bytes: 10_000_000, count: 1 });
        assert_eq!(leaks.sites[0].amount, Amount { bytes: 10_000_001, count: 2 });
        assert_eq!(profile.frame(leaks.sites[0].node).function.as_ref(), "<module>");
    }

    #[test]
    fn all_of_a_native_program_is_its_own() {
        let profile =
            crate::profile::Profile { python: false, ..profile(&[(&[&native("strdup", "/lib/libc.so.6")], 7)]) };
        assert_eq!(Leaks::of(&profile, &Suppressions::default()).of_origin(Origin::Program).bytes, 7);
    }
}
