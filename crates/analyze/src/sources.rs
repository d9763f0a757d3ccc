//! Source lines of frames, and the class of a Python method where only the source tells: read from the files when a
//! report is made, if they are still those that ran.
//!
//! A capture names any file it likes, so what is read is only what can be Python source: a regular file that is called
//! so or says so in its first line. What a line means to a name is in [`crate::python`].

use crate::names::Names;
use crate::python::QualifiedNames;
use heaptide_format::capture::definitions::{CodeDef, FrameDef};
use heaptide_format::ids::{FrameId, StringId};
use rustc_hash::FxHashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Largest file that is read, in bytes. The largest module of CPython's own library has 0.6 MB.
const MOST_BYTES: u64 = 8 << 20;

/// Longest source line that is kept, in characters.
const MOST_CHARACTERS: usize = 160;

/// What the source files of a capture's frames tell.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: FxHashMap<StringId, Told>,
    /// The files that are no longer those that ran, in the order of their names.
    pub changed: Vec<String>,
}

/// What one file tells.
#[derive(Clone, Debug, Default)]
struct Told {
    /// By line.
    lines: FxHashMap<u32, Arc<str>>,
    /// By first line and own name.
    qualified: FxHashMap<(u32, StringId), Arc<str>>,
}

/// Versions from this one on keep qualified names.
const KEEPS_QUALIFIED_NAMES: u16 = 0x030b;

impl Sources {
    /// Reads the files of those frames of a capture for which `wanted` (by [`FrameId`]) is true. `ran_at` is when the
    /// run began, in seconds since 1970. A file in which one of the frames has no place is not the one that ran, and
    /// tells nothing.
    pub fn of(names: &Names, wanted: &[bool], ran_at: u64) -> Self {
        let mut files: FxHashMap<StringId, Vec<(CodeDef, u32)>> = FxHashMap::default();
        for (id, _) in (0u32..).zip(wanted).filter(|(_, wanted)| **wanted) {
            if let FrameDef::Python { code, line, .. } = names.frame(FrameId(id)) {
                let code = names.code(code);
                files.entry(code.file).or_default().push((code.clone(), line));
            }
        }
        let bare = names.images().iter().any(|image| (1..KEEPS_QUALIFIED_NAMES).contains(&image.python));
        let mut sources = Self::default();
        for (file, frames) in files {
            let path = names.text(file);
            // What has no file, such as `<string>`.
            if path.starts_with('<') {
                continue;
            }
            let text = match SourceFile::read(Path::new(path), ran_at) {
                SourceFile::Read(text)
                    if frames.iter().all(|(code, _)| text.holds(code.first_line, names.text(code.name))) =>
                {
                    text
                }
                SourceFile::Missing => continue,
                SourceFile::Read(_) | SourceFile::Changed => {
                    sources.changed.push(path.to_owned());
                    continue;
                }
            };
            let mut told = Told::default();
            let qualified = if bare { text.names() } else { QualifiedNames::default() };
            for (code, line) in frames {
                if let Some(shown) = text.shown(line) {
                    told.lines.insert(line, shown);
                }
                if let Some(name) = qualified.get(code.first_line, names.text(code.name)) {
                    told.qualified.insert((code.first_line, code.name), name.into());
                }
            }
            sources.files.insert(file, told);
        }
        sources.changed.sort_unstable();
        sources
    }

    /// The text of a line, if it is known.
    pub fn line(&self, file: StringId, line: u32) -> Option<Arc<str>> {
        self.files.get(&file)?.lines.get(&line).cloned()
    }

    /// The qualified name of a code object, if it keeps none itself and its source tells.
    pub fn qualified(&self, code: &CodeDef) -> Option<Arc<str>> {
        self.files.get(&code.file)?.qualified.get(&(code.first_line, code.name)).cloned()
    }
}

/// Source lines of native code, read file by file as they are asked for.
#[derive(Debug)]
pub struct NativeSources {
    /// `None`: no file is read.
    ran_at: Option<u64>,
    files: FxHashMap<Arc<str>, SourceFile>,
}

impl NativeSources {
    /// Nothing is read yet. `ran_at` is when the run began, in seconds since 1970; `None`: nothing is to be read.
    pub fn new(ran_at: Option<u64>) -> Self {
        Self { ran_at, files: FxHashMap::default() }
    }

    /// What stands in this line of this file, by its absolute path, if it is source and as old as the run.
    pub fn line(&mut self, file: &Arc<str>, line: u32) -> Option<Arc<str>> {
        let ran_at = self.ran_at?;
        if line == 0 || !file.starts_with('/') {
            return None;
        }
        let source = self.files.entry(file.clone()).or_insert_with(|| {
            let path = Path::new(&**file);
            let known = path.extension().and_then(OsStr::to_str).is_some_and(|ending| NATIVE_ENDINGS.contains(&ending));
            if known { read_known(path, ran_at).unwrap_or(SourceFile::Missing) } else { SourceFile::Missing }
        });
        match source {
            SourceFile::Read(text) => text.shown(line),
            SourceFile::Changed | SourceFile::Missing => None,
        }
    }

    /// The files asked for that are newer than the run.
    pub fn changed(self) -> impl Iterator<Item = String> {
        let changed = self.files.into_iter().filter(|(_, source)| matches!(source, SourceFile::Changed));
        changed.map(|(file, _)| file.to_string())
    }
}

/// How files of source are called from which machine code is made. No other file is read, whatever a foreign capture names.
const NATIVE_ENDINGS: [&str; 32] = [
    "c", "cc", "cpp", "cxx", "c++", "C", "h", "hh", "hpp", "hxx", "h++", "ipp", "tcc", "inl", "inc", "rs", "pyx",
    "pxd", "pxi", "f", "F", "f90", "F90", "f95", "go", "zig", "swift", "m", "mm", "cu", "cuh", "S",
];

/// A source file, or why there is none.
#[derive(Clone, Debug)]
pub enum SourceFile {
    /// As it was when the program ran, as far as that can be told.
    Read(SourceText),
    /// It was written after the run began.
    Changed,
    /// Not there, not readable, or not Python source.
    Missing,
}

/// The text of a source file.
#[derive(Clone, Debug)]
pub struct SourceText {
    text: String,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl SourceFile {
    /// Reads a file; `ran_at` is when the run began, in seconds since 1970. A file that was changed in the same second
    /// passes for unchanged, as does one that got its old time back.
    pub fn read(path: &Path, ran_at: u64) -> Self {
        match try_read(path, ran_at) {
            Some(file) => file,
            None => Self::Missing,
        }
    }
}

fn try_read(path: &Path, ran_at: u64) -> Option<SourceFile> {
    let known = path.extension().is_some_and(|extension| extension == "py" || extension == "pyw");
    if !known {
        path.metadata().ok().filter(|metadata| metadata.is_file() && metadata.len() > 0)?;
        let mut file = File::open(path).ok()?;
        let mut start = [0; 128];
        let count = file.read(&mut start).ok()?;
        let first_line = start[..count].split(|byte| *byte == b'\n').next().unwrap_or_default();
        if !first_line.starts_with(b"#!") || !first_line.windows(6).any(|word| word == b"python") {
            return None;
        }
    }
    read_known(path, ran_at)
}

/// Reads a file that is called as source is.
fn read_known(path: &Path, ran_at: u64) -> Option<SourceFile> {
    // Before it is opened: a FIFO would wait for a writer. Files of /proc have no length, and may wait as well.
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() || metadata.len() == 0 || metadata.len() > MOST_BYTES {
        return None;
    }
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    let written = metadata.modified().ok()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    if written > ran_at {
        return Some(SourceFile::Changed);
    }
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    // What is in another encoding is shown with replacement characters, and gives no names.
    Some(SourceFile::Read(SourceText::of(String::from_utf8_lossy(&bytes).into_owned())))
}

impl SourceText {
    /// Of this text.
    pub fn of(text: String) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for (at, byte) in bytes.iter().enumerate() {
            // As Python counts lines: by `\n`, `\r\n` or `\r`.
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                starts.push(at + 1);
            }
        }
        Self { text, starts }
    }

    /// A line by its number, from 1, without blanks at its ends; `None` if there is no such line.
    fn line(&self, line: u32) -> Option<&str> {
        let place = (line as usize).checked_sub(1)?;
        let start = *self.starts.get(place)?;
        let end = self.starts.get(place + 1).copied().unwrap_or(self.text.len());
        Some(self.text[start..end].trim())
    }

    /// A line as reports show it; `None` if there is none such or it is empty. A long one is cut.
    pub fn shown(&self, line: u32) -> Option<Arc<str>> {
        let text = self.line(line).filter(|text| !text.is_empty())?;
        Some(match text.char_indices().nth(MOST_CHARACTERS) {
            Some((end, _)) => format!("{}…", &text[..end]).into(),
            None => text.into(),
        })
    }

    /// Whether a code object of this name, qualified or not, can have begun in this line. That of a module, and what
    /// has no name in the source, can begin in any line there is.
    pub fn holds(&self, first_line: u32, name: &str) -> bool {
        let own_name = name.rsplit('.').next().unwrap_or(name);
        let Some(mut text) = self.line(first_line.max(1)) else { return false };
        if own_name.starts_with('<') {
            return true;
        }
        // Behind the decorators, of which the first was the line.
        let mut line = first_line;
        let decorated = text.starts_with('@');
        loop {
            if defined(text) == Some(own_name) {
                return true;
            }
            line += 1;
            match self.line(line) {
                Some(next) if decorated && line - first_line < MOST_DECORATOR_LINES => text = next,
                _ => return false,
            }
        }
    }

    /// The qualified names in it.
    pub fn names(&self) -> QualifiedNames {
        QualifiedNames::of(&self.text)
    }
}

/// Most lines from the first decorator to what it decorates.
const MOST_DECORATOR_LINES: u32 = 1_000;

/// The function or class whose definition begins in this line, if one does.
fn defined(line: &str) -> Option<&str> {
    let keyword = |text: &'_ str, word: &str| -> Option<usize> {
        let rest = text.strip_prefix(word)?;
        let name = rest.trim_start_matches([' ', '\t', '\x0c', '\\']);
        (name.len() < rest.len()).then(|| text.len() - name.len())
    };
    // Of a module that begins with a byte order mark.
    let line = line.trim_start_matches('\u{feff}');
    let after_async = keyword(line, "async").map_or(line, |at| &line[at..]);
    let name = keyword(after_async, "def").or_else(|| keyword(after_async, "class")).map(|at| &after_async[at..])?;
    let end = name.find(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    Some(&name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "import os\r\n@one(\n  2)\n@two\nasync def f(x): pass\n\nclass A:\r    def g[T](self):\n        x = 1  \n";

    #[test]
    fn lines_are_as_python_counts_them() {
        let text = SourceText::of(TEXT.to_owned());
        assert_eq!(text.shown(1).as_deref(), Some("import os"));
        assert_eq!(text.shown(8).as_deref(), Some("def g[T](self):"));
        assert_eq!(text.shown(9).as_deref(), Some("x = 1"));
        for none in [0, 6, 10, 11, u32::MAX] {
            assert_eq!(text.shown(none), None, "line {none}");
        }
        let long = SourceText::of("é".repeat(161));
        assert_eq!(long.shown(1).unwrap().chars().count(), 161);
        assert!(long.shown(1).unwrap().ends_with("é…"));
    }

    #[test]
    fn a_file_whose_definitions_moved_is_another() {
        let text = SourceText::of(TEXT.to_owned());
        for (line, name) in
            [(2, "f"), (5, "f"), (7, "A"), (8, "A.g"), (8, "g"), (1, "<module>"), (0, "<module>"), (9, "<lambda>")]
        {
            assert!(text.holds(line, name), "{name} in line {line}");
        }
        for (line, name) in [(1, "f"), (6, "f"), (8, "A"), (2, "h"), (12, "<module>"), (u32::MAX, "f")] {
            assert!(!text.holds(line, name), "{name} in line {line}");
        }
    }
}
