//! What was live at the end, and whose it is.
//!
//! A Python process always ends with some memory live: the modules it imported, the interpreter's own tables. That is
//! no leak of the user's, and is told apart here, not hidden.

use crate::call_tree::NodeId;
use crate::frames::{Frame, FrameKind};
use crate::profile::{Metric, Profile};
use crate::sites::base_name;
use heaptide_format::capture::summary::Amount;
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The stack's innermost node; for a site one of its nodes.
    pub node: NodeId,
    /// Live at the end.
    pub amount: Amount,
    /// Whose.
    pub origin: Origin,
}

/// All that was live at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaks {
    /// By stack, the largest first.
    pub stacks: Vec<Leak>,
    /// By site (see [`Profile::sites`]), the largest first.
    pub sites: Vec<Leak>,
    /// Everything.
    pub total: Amount,
    by_origin: [Amount; 4],
}

impl Leaks {
    /// Of a profile.
    pub fn of(profile: &Profile) -> Self {
        let mut stacks = Vec::new();
        let mut sites: FxHashMap<(u32, Origin), Leak> = FxHashMap::default();
        let mut by_origin = [Amount::default(); 4];
        let (all_sites, origins) = (profile.sites(), Origin::of_nodes(profile));
        for (node, amount) in profile.nodes().zip(profile.own(Metric::Leaked)) {
            // A block of no bytes is a block.
            if amount.count == 0 && amount.bytes == 0 {
                continue;
            }
            let origin = origins[node.index()];
            stacks.push(Leak { node, amount, origin });
            by_origin[origin as usize] += amount;
            let site = all_sites[node.index()];
            let frame = profile.tree.nodes()[site.index()].frame;
            let leak = sites.entry((frame, origin)).or_insert(Leak { node: site, amount: Amount::default(), origin });
            leak.amount += amount;
        }
        let without_frame = if profile.python { Origin::Interpreter } else { Origin::Program };
        by_origin[without_frame as usize] += profile.bare.of(Metric::Leaked);
        let mut sites: Vec<Leak> = sites.into_values().collect();
        for leaks in [&mut stacks, &mut sites] {
            leaks.sort_by_key(|leak| (std::cmp::Reverse((leak.amount.bytes, leak.amount.count)), leak.node));
        }
        Self { stacks, sites, total: profile.total.of(Metric::Leaked), by_origin }
    }

    /// What this one left, stacks without any frame included.
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
        let leaks = Leaks::of(&profile);
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
        assert_eq!(Leaks::of(&profile).of_origin(Origin::Program).bytes, 7);
    }
}
