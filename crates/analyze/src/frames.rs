//! Frames with names: what a reader is told of a place in the code, and whose code it is.
//!
//! Lines of Python stand in the capture; names and lines of native code, if they are not embedded in it, come from
//! [`crate::symbols`].

use crate::names::Names;
use crate::sites::base_name;
use crate::sources::{NativeSources, Sources};
use crate::symbols::{self, Call, Chain, Request, Settings, Symbols};
use heaptide_format::capture::FrameDef;
use heaptide_format::ids::{FrameId, StringId};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A place in the code by name. Two instructions of one line are one frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Function, demangled; for a native one without symbol where it begins in its object, or if that is not known the object
    /// and the offset in its file; for one nowhere its address.
    pub function: Arc<str>,
    /// Source file, of a native function without one its object; empty if not known.
    pub file: Arc<str>,
    /// Object that native code is in; empty for Python, and if not known.
    pub object: Arc<str>,
    /// Line in the file, from 1; 0 if not known.
    pub line: u32,
    /// Line in which the function begins, of Python that of its first decorator; 0 if not known, and of native code.
    pub first_line: u32,
    /// Whose code it is.
    pub kind: FrameKind,
    /// What is known of the function.
    pub known_by: KnownBy,
    /// What stands in that line of the file, without blanks at its ends; `None` if it is not known, or not to be
    /// looked up.
    pub source: Option<Arc<str>>,
}

impl Frame {
    /// The file that the program loaded this code from: the object of native code, the source file of Python.
    pub fn loaded_from(&self) -> &Arc<str> {
        if self.object.is_empty() { &self.file } else { &self.object }
    }
}

/// What is known of the function of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KnownBy {
    /// Its name.
    Name,
    /// Where it begins in its object, which is another place in another build.
    Start {
        /// Build id of the object; empty if it has none.
        build_id: Arc<[u8]>,
    },
    /// Nothing: the frame is a place in an object, or nowhere.
    Place,
}

/// Whose code a frame is, as far as its file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Python that belongs to nobody else: the user's own.
    Project,
    /// Python of an installed package.
    Library,
    /// Python's standard library.
    Stdlib,
    /// The import system and other Python code frozen into the interpreter.
    Interpreter,
    /// Machine code.
    Native,
    /// An address in no known object.
    Unknown,
}

impl FrameKind {
    /// One lower-case word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Library => "library",
            Self::Stdlib => "stdlib",
            Self::Interpreter => "interpreter",
            Self::Native => "native",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of Python code with this `co_filename`.
    pub fn of_python(file: &str) -> Self {
        // Windows writes paths the other way; for telling them apart that makes no difference.
        let file = file.replace('\\', "/");
        if file.starts_with("<frozen ") {
            return Self::Interpreter;
        }
        if file.contains("/site-packages/") || file.contains("/dist-packages/") || is_generated(&file) {
            return Self::Library;
        }
        if is_stdlib(&file) {
            return Self::Stdlib;
        }
        // Console scripts: `…/bin/pytest`, written by the installer.
        let installed_script = file.rsplit_once("/bin/").is_some_and(|(_, name)| !name.contains(['/', '.']));
        if installed_script { Self::Library } else { Self::Project }
    }
}

/// Code that libraries make up at run time: `<__array_function__ internals>`, `<attrs generated init …>`. What the
/// user runs without a file is `<string>` or `<stdin>`.
fn is_generated(file: &str) -> bool {
    file.starts_with('<') && file.ends_with('>') && !matches!(file, "<string>" | "<stdin>") && file.contains(' ')
}

/// `…/lib/python3.11/…`, `…/lib64/python3.11/…`, `…/python311.zip/…`.
fn is_stdlib(file: &str) -> bool {
    let directory = |prefix: &str| {
        file.split(prefix).skip(1).any(|rest| {
            let version = rest.split('/').next().unwrap_or("");
            rest.contains('/') && version.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    directory("/lib/python") || directory("/lib64/python") || (file.contains("/python3") && file.contains(".zip/"))
}

/// Where names and source lines may be looked up besides the capture.
#[derive(Clone, Copy, Debug, Default)]
pub struct LookUp<'a> {
    /// When the run began, in seconds since 1970: files that are newer are not those that ran.
    pub ran_at: u64,
    /// Read the program's source files.
    pub sources: bool,
    /// Where debug files are, besides the objects; `None`: nowhere.
    pub symbols: Option<&'a Settings>,
}

/// Named frames of a capture: those that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// All that differ, in the order in which they were first met.
    pub distinct: Vec<Frame>,
    /// What the reader has to know of the names, one sentence each.
    pub notes: Vec<String>,
    /// By [`FrameId`]: where in `chains` its frames begin and end; empty for what was not asked for.
    places: Vec<(u32, u32)>,
    /// Places in `distinct`, outermost first.
    chains: Vec<u32>,
}

/// What stands for the frames that were cut off: an address that no code has.
const CUT: u64 = 0;

impl Frames {
    /// Names those frames of a capture for which `wanted` (by [`FrameId`]) is true. Reads the objects of native ones
    /// whose names the capture does not have itself.
    pub fn resolve(names: &Names, wanted: &[bool], look_up: &LookUp<'_>) -> Self {
        let sources = if look_up.sources { Sources::of(names, wanted, look_up.ran_at) } else { Sources::default() };
        let mut resolver = Resolver {
            names,
            texts: FxHashMap::default(),
            known: FxHashMap::default(),
            frames: Self { places: vec![(0, 0); names.frames()], ..Self::default() },
        };
        // By object: two modules of one file are read once.
        let mut native: FxHashMap<Object<'_>, Vec<(FrameId, u64)>> = FxHashMap::default();
        for (id, _) in (0u32..).zip(wanted).filter(|(_, wanted)| **wanted) {
            let id = FrameId(id);
            match names.frame(id) {
                FrameDef::Python { code, line, column: _ } => {
                    let code = names.code(code);
                    let function = match sources.qualified(code) {
                        Some(name) => shortened(&name),
                        None => resolver.text(code.name),
                    };
                    let file = resolver.text(code.file);
                    let kind = FrameKind::of_python(&file);
                    let source = sources.line(code.file, line);
                    let object = "".into();
                    let (first_line, known_by) = (code.first_line, KnownBy::Name);
                    resolver.add(id, [Frame { function, file, object, line, first_line, kind, known_by, source }]);
                }
                FrameDef::Native { module, offset } => {
                    let module = names.module(module);
                    native.entry((names.text(module.path), &module.build_id)).or_default().push((id, offset));
                }
                FrameDef::Unknown { address } => {
                    let function = match address {
                        CUT => "[native stack cut]".into(),
                        address => format!("{address:#x}").into(),
                    };
                    let [file, object] = ["", ""].map(Arc::from);
                    let (line, first_line, source) = (0, 0, None);
                    let (kind, known_by) = (FrameKind::Unknown, KnownBy::Place);
                    resolver.add(id, [Frame { function, file, object, line, first_line, kind, known_by, source }]);
                }
            }
        }
        let mut changed = sources.changed;
        resolver.add_native(native, look_up, &mut changed);
        changed.sort_unstable();
        if let [first, others @ ..] = changed.as_slice() {
            let which = match others.len() {
                0 => format!("{first} has changed since the recording: no lines from it."),
                more => format!("{first} and {more} more files have changed since the recording: no lines from them."),
            };
            resolver.frames.notes.insert(0, which);
        }
        resolver.frames
    }

    /// Where in [`Frames::distinct`] this frame is, outermost first: one place, or several if functions were inlined
    /// there.
    ///
    /// # Panics
    /// If it was not asked for.
    pub fn places(&self, id: FrameId) -> &[u32] {
        let (start, end) = self.range(id);
        &self.chains[start..end]
    }

    /// The same as numbers for [`Frames::at`], for a caller who adds to `distinct` meanwhile.
    pub(crate) fn range(&self, id: FrameId) -> (usize, usize) {
        let (start, end) = self.places[id.index()];
        assert_ne!(start, end, "frame {} was not asked for", id.0);
        (start as usize, end as usize)
    }

    /// The place in `distinct` with this number.
    pub(crate) fn at(&self, number: usize) -> u32 {
        self.chains[number]
    }
}

struct Resolver<'n> {
    names: &'n Names,
    texts: FxHashMap<StringId, Arc<str>>,
    known: FxHashMap<Frame, u32>,
    frames: Frames,
}

/// A native object: its path and its build id.
type Object<'a> = (&'a str, &'a [u8]);

/// Longest name in bytes. Every frame's is hashed and written: a damaged capture could have a hundred thousand frames of
/// one function whose name is a megabyte.
const MOST_NAME_BYTES: usize = 1024;

pub(crate) fn shortened(text: &str) -> Arc<str> {
    if text.len() <= MOST_NAME_BYTES {
        return text.into();
    }
    let end = (0..=MOST_NAME_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end]).into()
}

impl Resolver<'_> {
    fn text(&mut self, id: StringId) -> Arc<str> {
        self.texts.entry(id).or_insert_with(|| shortened(self.names.text(id))).clone()
    }

    /// Gives a frame its names, outermost first; at least one.
    fn add(&mut self, id: FrameId, frames: impl IntoIterator<Item = Frame>) {
        let start = self.frames.chains.len() as u32;
        for frame in frames {
            let next = self.frames.distinct.len() as u32;
            let place = *self.known.entry(frame).or_insert_with_key(|frame| {
                self.frames.distinct.push(frame.clone());
                next
            });
            self.frames.chains.push(place);
        }
        self.frames.places[id.index()] = (start, self.frames.chains.len() as u32);
    }

    /// Names the frames of native objects; `changed` gets the source files that are no longer those that were compiled.
    fn add_native(
        &mut self,
        objects: FxHashMap<Object<'_>, Vec<(FrameId, u64)>>,
        look_up: &LookUp<'_>,
        changed: &mut Vec<String>,
    ) {
        let mut objects: Vec<_> = objects.into_iter().collect();
        objects.sort_unstable_by_key(|(object, _)| *object);
        let mut requests = Vec::new();
        for ((path, build_id), places) in &objects {
            let unnamed = places.iter().filter(|(id, _)| self.names.embedded(*id).is_none());
            let offsets: Vec<u64> = unnamed.map(|(_, offset)| *offset).collect();
            if !offsets.is_empty() {
                let (path, build_id) = ((*path).to_owned(), build_id.to_vec());
                requests.push(Request { path, build_id, ran_at: look_up.ran_at, offsets });
            }
        }
        let answers = symbols::resolve(requests, look_up.symbols.unwrap_or(&Settings::default()));
        let mut answers = answers.into_iter();
        let mut sources = NativeSources::new(look_up.sources.then_some(look_up.ran_at));
        for ((path, build_id), places) in objects {
            let (object, build_id) = (shortened(path), Arc::from(build_id));
            let unnamed = places.iter().any(|(id, _)| self.names.embedded(*id).is_none());
            let answer = if unnamed { answers.next() } else { None };
            let mut found = match answer {
                Some(Symbols::Found(chains)) => chains,
                Some(Symbols::Changed) => {
                    self.frames.notes.push(format!("{object} has changed since the recording: no names from it."));
                    Vec::new()
                }
                Some(Symbols::Slow) => {
                    self.frames.notes.push(format!("{object} took too long to read: no names from it."));
                    Vec::new()
                }
                Some(Symbols::Missing) | None => Vec::new(),
            }
            .into_iter();
            for (id, offset) in places {
                let chain: Chain = match self.names.embedded(id) {
                    Some(calls) => calls.to_vec(),
                    None => found.next().unwrap_or_default(),
                };
                if chain.is_empty() {
                    self.add(id, [place(&object, offset)]);
                } else {
                    self.add(id, chain.into_iter().map(|call| named(call, &object, &build_id, &mut sources)));
                }
            }
        }
        changed.extend(sources.changed());
    }
}

/// A function of a native object.
fn named(call: Call, object: &Arc<str>, build_id: &Arc<[u8]>, sources: &mut NativeSources) -> Frame {
    let source = sources.line(&call.file, call.line);
    let file = if call.file.is_empty() { object.clone() } else { call.file };
    let known_by = match symbols::is_start(&call.function) {
        true => KnownBy::Start { build_id: build_id.clone() },
        false => KnownBy::Name,
    };
    let function = call.function;
    let (object, kind) = (object.clone(), FrameKind::Native);
    Frame { function, file, object, line: call.line, first_line: 0, kind, known_by, source }
}

/// A place in a native object, by its offset.
fn place(object: &Arc<str>, offset: u64) -> Frame {
    let function = format!("{}+{offset:#x}", base_name(object)).into();
    let (file, object, kind) = (object.clone(), object.clone(), FrameKind::Native);
    Frame { function, file, object, line: 0, first_line: 0, kind, known_by: KnownBy::Place, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_tell_whose_code_it_is() {
        let cases = [
            ("/home/me/app/main.py", FrameKind::Project),
            ("main.py", FrameKind::Project),
            ("<string>", FrameKind::Project),
            ("<stdin>", FrameKind::Project),
            ("/home/me/venv/lib/python3.11/site-packages/numpy/core.py", FrameKind::Library),
            ("/usr/lib/python3/dist-packages/apt/cache.py", FrameKind::Library),
            ("/home/me/venv/bin/pytest", FrameKind::Library),
            ("/home/me/bin/tool.py", FrameKind::Project),
            ("<__array_function__ internals>", FrameKind::Library),
            ("/home/user/.pyenv/versions/3.8.18/lib/python3.8/json/decoder.py", FrameKind::Stdlib),
            ("/usr/lib/python3.11/threading.py", FrameKind::Stdlib),
            ("/usr/lib64/python3.11/threading.py", FrameKind::Stdlib),
            ("/usr/lib/python311.zip/os.py", FrameKind::Stdlib),
            ("/home/me/lib/pythonic/thing.py", FrameKind::Project),
            ("<frozen importlib._bootstrap>", FrameKind::Interpreter),
            ("C:\\venv\\Lib\\site-packages\\x.py", FrameKind::Library),
        ];
        for (file, kind) in cases {
            assert_eq!(FrameKind::of_python(file), kind, "{file}");
        }
    }
}
