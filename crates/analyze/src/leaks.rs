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

    /// Whose the blocks of this node are: decided by the first frame, from the innermost outwards, that tells. The
    /// body of a module that the user wrote is the user's even while it is imported.
    pub fn of(profile: &Profile, node: NodeId) -> Self {
        if !profile.python {
            return Self::Program;
        }
        if !profile.in_python[node.index()] {
            return Self::Other;
        }
        let mut python = false;
        let mut library = false;
        let mut foreign = false;
        for frame in profile.path(node) {
            match frame.kind {
                FrameKind::Project => return Self::Program,
                FrameKind::Interpreter if frame.file.contains("importlib") || frame.file.contains("zipimport") => {
                    return Self::Import;
                }
                FrameKind::Library => (python, library) = (true, true),
                FrameKind::Interpreter | FrameKind::Stdlib => python = true,
                FrameKind::Native | FrameKind::Unknown => foreign |= !is_runtime(frame),
            }
        }
        // Without any Python frame: native code of the program, if an object of its own is on the stack.
        if library || (!python && foreign) { Self::Program } else { Self::Interpreter }
    }
}

/// Whether a native frame is of the interpreter or of what every program is linked to.
fn is_runtime(frame: &Frame) -> bool {
    let name = base_name(&frame.file);
    ["python", "libpython", "libc.", "libc-", "ld-", "ld.", "libpthread", "libdl", "libm.", "[vdso]"]
        .iter()
        .any(|start| name.starts_with(start))
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
    /// By site (see [`Profile::site`]), the largest first.
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
        for (node, amount) in profile.nodes().zip(profile.own(Metric::Leaked)) {
            // A block of no bytes is a block.
            if amount.count == 0 && amount.bytes == 0 {
                continue;
            }
            let origin = Origin::of(profile, node);
            stacks.push(Leak { node, amount, origin });
            by_origin[origin as usize] += amount;
            let site = profile.site(node);
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
