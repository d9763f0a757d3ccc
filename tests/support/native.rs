//! Programs recorded with `--native`, and their stacks as return addresses and as names.
//!
//! The programs of `fixtures/native` print the return addresses that glibc's backtrace(3) finds at each of their blocks
//! (see `told.h`). What is recorded must be the same, frame by frame; the names are for the literal expectations of tests.

use crate::traced::{Run, Traced, compiled};
use heaptide_analyze::frames::{Frames, LookUp};
use heaptide_analyze::records::{self, Record};
use heaptide_analyze::source::Source;
use heaptide_format::capture::FrameDef;
use heaptide_format::capture::events::Event;
use heaptide_format::ids::{FrameId, StackId};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What stands for the callers that are missing in a stack that was cut.
pub const CUT: &str = "[cut]";

/// Begins the place of a Python frame: `python main:12`.
const PYTHON: &str = "python ";

/// A program of `fixtures/native`, compiled with these flags and recorded with native stacks. `kind` names the flavour.
pub fn program(source: &str, kind: &str, flags: &[&str]) -> Traced {
    Traced::command([built(source, kind, flags)]).options(["--native"])
}

/// The same, only built. Without debug information: what is tested here are stacks, and an inlined function has none.
pub fn built(source: &str, kind: &str, flags: &[&str]) -> PathBuf {
    compiled(&format!("../native/{source}"), kind, &[&["-g0"], flags].concat())
}

/// Stacks of the blocks of a run.
pub struct Stacks {
    pub run: Run,
    /// By size: the stack of each allocation and reallocation in its order.
    events: BTreeMap<u64, Vec<StackId>>,
    /// Names of the programs' own functions, once they are asked for.
    frames: OnceCell<Frames>,
    /// What the program said, by size: return addresses, innermost first.
    told: BTreeMap<u64, Vec<Vec<String>>>,
}

impl Stacks {
    /// Records a program twice: as users do, and with each stack verified by the tracer itself. Both must agree with what
    /// the program told.
    pub fn agreed(program: Traced) -> Self {
        Self::agreed_but_for_cuts(program, &[])
    }

    /// The same, but the stacks of blocks of these sizes end in a cut where the program's own account ends.
    pub fn agreed_but_for_cuts(program: Traced, cut: &[u64]) -> Self {
        let verified = Self::of(program.clone().env("HEAPTIDE_VERIFY", "1").record());
        assert!(!verified.run.stderr().contains("VERIFY"), "{}", verified.run.stderr());
        verified.agree(cut);
        let stacks = Self::of(program.record());
        stacks.agree(cut);
        stacks
    }

    /// The stacks of a run.
    pub fn of(run: Run) -> Self {
        run.capture();
        let mut events = BTreeMap::<u64, Vec<StackId>>::new();
        let source = Source::open(run.path()).expect("the capture was opened before");
        let visit = &mut |_, record: Record<'_>| -> Result<(), std::convert::Infallible> {
            let Record::Events(block) = record else { return Ok(()) };
            for event in block.map_while(Result::ok) {
                if let Event::Allocated { size, stack, .. } | Event::Reallocated { size, stack, .. } = event {
                    events.entry(size).or_default().push(stack);
                }
            }
            Ok(())
        };
        let walked = records::walk(&source, visit, &mut |_| {});
        assert!(walked.is_ok(), "{}: {:?}", run.path().display(), walked.err());
        let told = told(&run.stdout());
        Self { run, events, frames: OnceCell::new(), told }
    }

    /// The frames of a stack, innermost first.
    fn labelled(&self, mut stack: StackId, label: impl Fn(FrameId) -> String) -> Vec<String> {
        let mut labels = Vec::new();
        while let Some(node) = self.run.capture().names.node(stack) {
            labels.push(label(node.frame));
            stack = node.parent;
        }
        labels
    }

    /// By the addresses that were recorded: `object+0xoffset`, `0xaddress`, [`CUT`], or `python function:line`.
    fn place_of(&self, id: FrameId) -> String {
        let names = &self.run.capture().names;
        match names.frame(id) {
            FrameDef::Native { module, offset } => format!("{}+{offset:#x}", names.text(names.module(module).path)),
            FrameDef::Unknown { address: 0 } => CUT.to_owned(),
            FrameDef::Unknown { address } => format!("{address:#x}"),
            FrameDef::Python { code, line, .. } => {
                let function = simple(names.text(names.code(code).name));
                // As the oracle writes it: what stands for a task has no line.
                if line == 0 { format!("{PYTHON}{function}") } else { format!("{PYTHON}{function}:{line}") }
            }
        }
    }

    /// The programs' own functions by name; of others, whose symbols depend on the machine, the object.
    fn name_of(&self, id: FrameId) -> String {
        let names = &self.run.capture().names;
        match names.frame(id) {
            FrameDef::Native { module, .. } => {
                let path = names.text(names.module(module).path);
                match path.rsplit_once('/') {
                    Some(_) if is_own(path) => {
                        let frames = self.frames.get_or_init(|| self.own_names());
                        // Of what is inlined into each other that whose frame it is.
                        plain(&frames.distinct[frames.places(id)[0] as usize].function)
                    }
                    Some((_, object)) => format!("[{}]", object_name(object)),
                    None => path.to_owned(),
                }
            }
            FrameDef::Unknown { address: 0 } => CUT.to_owned(),
            FrameDef::Unknown { .. } => "nowhere".to_owned(),
            FrameDef::Python { code, .. } => simple(names.text(names.code(code).name)).to_owned(),
        }
    }

    fn own_names(&self) -> Frames {
        let names = &self.run.capture().names;
        let own = |id| match names.frame(FrameId(id)) {
            FrameDef::Native { module, .. } => is_own(names.text(names.module(module).path)),
            _ => false,
        };
        let wanted: Vec<bool> = (0..names.frames() as u32).map(own).collect();
        Frames::resolve(names, &wanted, &LookUp { ran_at: u64::MAX, ..LookUp::default() })
    }

    /// Expects that each stack that the program told was recorded, with the same frames. The innermost one of ours is
    /// the place in `take` that calls malloc; the program's account begins with its caller.
    fn agree(&self, cut: &[u64]) {
        assert!(!self.told.is_empty(), "the program told nothing");
        for (size, told) in &self.told {
            let is_cut = cut.contains(size);
            let mut expected: Vec<Vec<String>> = told.clone();
            expected.iter_mut().filter(|_| is_cut).for_each(|stack| stack.push(CUT.to_owned()));
            let mut found = self.places(*size).0;
            found.iter_mut().for_each(|stack| drop(stack.drain(..stack.len().min(1))));
            // Threads and processes print in any order.
            expected.sort();
            found.sort();
            if let Some(at) = (0..expected.len().max(found.len())).find(|at| expected.get(*at) != found.get(*at)) {
                let of = |stacks: &[Vec<String>]| stacks.get(at).map_or("nothing".into(), |stack| stack.join("\n  "));
                let counts = (expected.len(), found.len());
                panic!(
                    "blocks of {size} bytes: {counts:?} stacks; the first that differ:\nexpected\n  {}\nfound\n  {}",
                    of(&expected),
                    of(&found)
                );
            }
        }
    }

    /// Expects that each stack that the program told was recorded with the same native frames in the same order, and that
    /// Python's frames stand exactly where the interpreter's evaluation function stood, one or more each time. Which
    /// frames they are is not told by the program.
    pub fn agree_around_python(&self) {
        assert!(!self.told.is_empty(), "the program told nothing");
        let merged = |stack: &[String], is_python: &dyn Fn(&str) -> bool| {
            let mut merged: Vec<String> =
                stack.iter().map(|place| if is_python(place) { "P".into() } else { place.clone() }).collect();
            merged.dedup_by(|a, b| a == "P" && b == "P");
            merged
        };
        for (size, told) in &self.told {
            let (found, _) = self.places(*size);
            let mut found: Vec<_> =
                found.iter().map(|stack| merged(&stack[1..], &|place| place.starts_with(PYTHON))).collect();
            let mut told: Vec<_> = told.iter().map(|stack| merged(stack, &|place| place == "evaluation")).collect();
            told.sort();
            found.sort();
            assert_eq!(found, told, "blocks of {size} bytes");
        }
    }

    /// Python's frames of each stack of this size, `inner:3 < outer:9`, and how often.
    pub fn python_parts(&self, size: u64) -> BTreeMap<String, usize> {
        let mut parts = BTreeMap::new();
        for stack in &self.places(size).0 {
            let frames: Vec<&str> = stack.iter().filter_map(|place| place.strip_prefix(PYTHON)).collect();
            *parts.entry(frames.join(" < ")).or_default() += 1;
        }
        parts
    }

    /// The stacks of blocks of this size by name, each once, from the function `root` (outermost, itself included) or
    /// from the beginning if there is none of this name: `main > descend*8 > take`. A row of frames of one foreign object
    /// is one `[libc]`.
    pub fn all_from(&self, root: &str, size: u64) -> BTreeSet<String> {
        let stacks = self.events.get(&size).unwrap_or_else(|| panic!("no block of {size} bytes was recorded"));
        let different: BTreeSet<StackId> = stacks.iter().copied().collect();
        different.iter().map(|stack| shown(&self.labelled(*stack, |frame| self.name_of(frame)), root)).collect()
    }

    /// The one stack of all blocks of this size.
    pub fn from(&self, root: &str, size: u64) -> String {
        let mut stacks = self.all_from(root, size);
        assert_eq!(stacks.len(), 1, "stacks of blocks of {size} bytes: {stacks:#?}");
        stacks.pop_first().expect("one")
    }

    /// The functions of the one stack of blocks of this size, as reports name them, innermost first.
    pub fn functions(&self, size: u64) -> Vec<String> {
        let stacks = self.run.of_size(size);
        assert_eq!(stacks.len(), 1, "blocks of {size} bytes");
        stacks[0]
            .stack
            .iter()
            .map(|label| {
                label
                    .rsplit_once(':')
                    .filter(|(_, line)| line.parse::<u32>().is_ok())
                    .map_or(label.as_str(), |(function, _)| function)
                    .to_owned()
            })
            .collect()
    }

    /// The outermost frames of all stacks.
    pub fn outermost(&self) -> BTreeSet<String> {
        let different: BTreeSet<StackId> = self.events.values().flatten().copied().collect();
        different.iter().filter_map(|stack| self.labelled(*stack, |frame| self.name_of(frame)).pop()).collect()
    }

    /// How many blocks of this size were allocated.
    pub fn count(&self, size: u64) -> usize {
        self.events.get(&size).map_or(0, Vec::len)
    }

    /// The stacks of blocks of this size as they were recorded, and as they were told; innermost frame first.
    pub fn places(&self, size: u64) -> (Vec<Vec<String>>, &[Vec<String>]) {
        let stacks = self.events.get(&size).into_iter().flatten();
        let found = stacks.map(|stack| self.labelled(*stack, |frame| self.place_of(frame))).collect();
        (found, self.told.get(&size).map_or(&[], Vec::as_slice))
    }
}

/// Whether an object is one of the programs that tests compile.
fn is_own(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(directory, _)| directory.ends_with("tmp/programs"))
}

/// `stack SIZE FRAME FRAME...`, by size.
fn told(output: &str) -> BTreeMap<u64, Vec<Vec<String>>> {
    let mut told = BTreeMap::<u64, Vec<Vec<String>>>::new();
    for line in output.lines() {
        let mut words = line.split(' ');
        if words.next() == Some("stack") {
            let size = words.next().and_then(|word| word.parse().ok()).expect("a size");
            told.entry(size).or_default().push(words.map(str::to_owned).collect());
        }
    }
    told
}

/// A function's name without parameters, template arguments of functions and what compilers append to parts of one.
fn plain(function: &str) -> String {
    let name = function.split('(').next().unwrap_or(function);
    let end = name.find(".cold").or_else(|| name.find(" [clone")).unwrap_or(name.len());
    name[..end].to_owned()
}

/// The last part of `Class.method`, which is what versions before 3.11 call it.
fn simple(function: &str) -> &str {
    if function.starts_with('<') { function } else { function.rsplit('.').next().unwrap_or(function) }
}

/// `libc.so.6` as `libc`, `_ctypes.cpython-311-x86_64-linux-gnu.so` as `_ctypes`, and both `python3.11` and its library as
/// `python`.
fn object_name(file: &str) -> &str {
    let name = file.split(".so").next().unwrap_or(file).split(".cpython").next().unwrap_or(file);
    if name.trim_start_matches("lib").starts_with("python3") { "python" } else { name }
}

fn shown(stack: &[String], root: &str) -> String {
    let from = stack.iter().rposition(|name| name == root).map_or(stack.len(), |at| at + 1);
    let mut rows: Vec<(&str, usize)> = Vec::new();
    for name in stack[..from].iter().rev() {
        match rows.last_mut() {
            Some((last, times)) if last == name => *times += 1,
            _ => rows.push((name, 1)),
        }
    }
    let text = |(name, times): &(&str, usize)| {
        if *times == 1 || name.starts_with('[') { (*name).to_owned() } else { format!("{name}*{times}") }
    };
    rows.iter().map(text).collect::<Vec<_>>().join(" > ")
}
