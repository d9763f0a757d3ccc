//! Frames with names: what a reader is told of a place in the code, and whose code it is.
//!
//! Lines stand in the capture; how a native name is found is in [`crate::symbols`].

use crate::names::Names;
use crate::sources::Sources;
use crate::symbols::{self, Symbols};
use heaptide_format::capture::FrameDef;
use heaptide_format::ids::{FrameId, StringId};
use rustc_hash::FxHashMap;
use std::path::Path;
use std::sync::Arc;

/// A place in the code by name. Two instructions of one line are one frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Function, demangled; for a native one without symbol its object and offset, for one nowhere its address.
    pub function: Arc<str>,
    /// Source file of a Python function, object of a native one; empty if not known.
    pub file: Arc<str>,
    /// Line in the file, from 1; 0 if not known.
    pub line: u32,
    /// Whose code it is.
    pub kind: FrameKind,
    /// The function has no name of its own: it is a place in an object, or nowhere.
    pub nameless: bool,
    /// What stands in that line of the file, without blanks at its ends; `None` if it is not known, or not to be
    /// looked up.
    pub source: Option<Arc<str>>,
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

/// Named frames of a capture: those that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// All that differ, in the order in which they were first met.
    pub distinct: Vec<Frame>,
    /// What the reader has to know of the names, one sentence each.
    pub notes: Vec<String>,
    /// By [`FrameId`]: place in `distinct`, or `UNNAMED`.
    places: Vec<u32>,
}

const UNNAMED: u32 = u32::MAX;

impl Frames {
    /// Names those frames of a capture for which `wanted` (by [`FrameId`]) is true. Reads the objects of native ones,
    /// and the source files of Python ones if `sources_of` says when the run began, in seconds since 1970.
    pub fn resolve(names: &Names, wanted: &[bool], sources_of: Option<u64>) -> Self {
        let sources = sources_of.map_or(Sources::default(), |ran_at| Sources::of(names, wanted, ran_at));
        let mut resolver = Resolver {
            names,
            texts: FxHashMap::default(),
            known: FxHashMap::default(),
            frames: Self { places: vec![UNNAMED; names.frames()], ..Self::default() },
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
                    resolver.add(id, Frame { function, file, line, kind, nameless: false, source });
                }
                FrameDef::Native { module, offset } => {
                    let module = names.module(module);
                    native.entry((names.text(module.path), &module.build_id)).or_default().push((id, offset));
                }
                FrameDef::Unknown { address } => {
                    let function = format!("{address:#x}").into();
                    let kind = FrameKind::Unknown;
                    let frame = Frame { function, file: "".into(), line: 0, kind, nameless: true, source: None };
                    resolver.add(id, frame);
                }
            }
        }
        if let [first, others @ ..] = sources.changed.as_slice() {
            let which = match others.len() {
                0 => format!("{first} has changed since the recording: no lines from it."),
                more => format!("{first} and {more} more files have changed since the recording: no lines from them."),
            };
            resolver.frames.notes.push(which);
        }
        let mut native: Vec<_> = native.into_iter().collect();
        native.sort_unstable_by_key(|(module, _)| *module);
        for ((path, build_id), places) in native {
            resolver.add_native(path, build_id, &places);
        }
        resolver.frames
    }

    /// Where in [`Frames::distinct`] this frame is.
    ///
    /// # Panics
    /// If it was not asked for.
    pub fn place(&self, id: FrameId) -> u32 {
        let place = self.places[id.index()];
        assert_ne!(place, UNNAMED, "frame {} was not asked for", id.0);
        place
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

fn shortened(text: &str) -> Arc<str> {
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

    fn add(&mut self, id: FrameId, frame: Frame) {
        let next = self.frames.distinct.len() as u32;
        let place = *self.known.entry(frame).or_insert_with_key(|frame| {
            self.frames.distinct.push(frame.clone());
            next
        });
        self.frames.places[id.index()] = place;
    }

    fn add_native(&mut self, path: &str, build_id: &[u8], places: &[(FrameId, u64)]) {
        let file = shortened(path);
        let base = file.rsplit('/').next().unwrap_or(&file).to_owned();
        let offsets: Vec<u64> = places.iter().map(|(_, offset)| *offset).collect();
        let found = match symbols::functions_at(Path::new(path), build_id, &offsets) {
            Symbols::Found(found) => found,
            Symbols::Changed => {
                self.frames.notes.push(format!("{file} has changed since the recording: no names from it."));
                Vec::new()
            }
            Symbols::Missing => Vec::new(),
        };
        let mut found = found.into_iter();
        for (id, offset) in places {
            let symbol = found.next().flatten();
            let nameless = symbol.is_none();
            let function = symbol.unwrap_or_else(|| format!("{base}+{offset:#x}")).into();
            let kind = FrameKind::Native;
            self.add(*id, Frame { function, file: file.clone(), line: 0, kind, nameless, source: None });
        }
    }
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
