//! Leaks that somebody knows of and does not want to see, in the syntax of LeakSanitizer's suppression files.
//!
//! A line `leak:PATTERN` leaves out what has a frame whose function, source file or object the pattern matches, wherever in
//! the stack. A pattern matches a part of the name, unless it begins with `^` or ends with `$`; `*` stands for any
//! characters. Lines that begin with `#` and empty ones say nothing.
//! (<https://clang.llvm.org/docs/LeakSanitizer.html>, <https://clang.llvm.org/docs/SanitizerSpecialCaseList.html>)

use crate::frames::Frame;
use crate::profile::Profile;

/// Patterns, in order.
#[derive(Clone, Debug, Default)]
pub struct Suppressions(Vec<Pattern>);

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written, without `leak:`.
    pub text: String,
    /// It was not written by the user.
    pub is_builtin: bool,
}

/// A line that is no suppression of leaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is no suppression of leaks, which reads leak:PATTERN")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

/// What the C library, the dynamic linker, the C++ runtime and CPython keep to the end on purpose, by the functions that
/// allocate it. They match where native frames are known: with `--native`, or where there is no Python frame.
const BUILTIN: [&str; 18] = [
    // glibc: buffers of standard streams, locales, messages, time zones, name services, functions for exit.
    "^_IO_file_doallocate$",
    "^setlocale$",
    "^newlocale$",
    "^_nl_",
    "^__new_exitfn$",
    "^__cxa_atexit$",
    "^tzset_internal$",
    "^__tzfile_read$",
    "^__nss_",
    "^getaddrinfo$",
    "^__res_",
    // The dynamic linker: what belongs to loaded objects and to threads.
    "^_dl_",
    "^call_init",
    "^allocate_dtv",
    // libstdc++: the pool for exceptions when memory is short.
    "*eh_alloc.cc",
    // CPython: the runtime's own state and interned strings, which it keeps when it ends.
    "^_PyRuntime",
    "^_PyUnicode_InternInPlace$",
    "^PyUnicode_InternInPlace$",
];

impl Suppressions {
    /// Those that everybody wants.
    pub fn builtin() -> Self {
        Self(BUILTIN.iter().map(|text| Pattern { text: (*text).to_owned(), is_builtin: true }).collect())
    }

    /// Adds those of a file.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn add(&mut self, file: &str) -> Result<(), BadLine> {
        for (line, text) in (1..).zip(file.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            match text.split_once(':') {
                Some(("leak", pattern)) if !pattern.is_empty() => {
                    self.0.push(Pattern { text: pattern.to_owned(), is_builtin: false });
                }
                _ => return Err(BadLine { line, text: text.to_owned() }),
            }
        }
        Ok(())
    }

    /// The patterns.
    pub fn patterns(&self) -> &[Pattern] {
        &self.0
    }

    /// For each node of the profile, the place of the pattern that leaves it out: that of its outermost frame with one.
    pub fn of_nodes(&self, profile: &Profile) -> Vec<Option<usize>> {
        let of_frame: Vec<Option<usize>> = profile.frames.iter().map(|frame| self.of_frame(frame)).collect();
        let mut of_nodes: Vec<Option<usize>> = Vec::with_capacity(profile.tree.nodes().len());
        for node in profile.tree.nodes() {
            let callers = node.parent.and_then(|parent| of_nodes[parent.index()]);
            of_nodes.push(callers.or(of_frame[node.frame as usize]));
        }
        of_nodes
    }

    fn of_frame(&self, frame: &Frame) -> Option<usize> {
        let names = [&*frame.function, &*frame.file, &*frame.object];
        self.0.iter().position(|pattern| names.iter().any(|name| !name.is_empty() && matches(&pattern.text, name)))
    }
}

/// Whether a pattern of a suppression matches a name.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (begins, pattern) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let (ends, pattern) = pattern.strip_suffix('$').map_or((false, pattern), |rest| (true, rest));
    let parts: Vec<&str> = pattern.split('*').collect();
    let mut rest = name;
    for (place, part) in parts.iter().enumerate() {
        let is_last = place + 1 == parts.len();
        let found = match (place == 0 && begins, is_last && ends) {
            (true, true) => return rest == *part,
            (true, false) => rest.starts_with(part).then_some(0),
            (false, true) => return rest.ends_with(part),
            (false, false) => rest.find(part),
        };
        match found {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::{native, profile, python};

    #[test]
    fn patterns_match_as_those_of_sanitizers() {
        let cases = [
            ("foo", "my_foo_bar", true),
            ("foo", "fo", false),
            ("^foo", "foobar", true),
            ("^foo", "a_foo", false),
            ("foo$", "a_foo", true),
            ("foo$", "foobar", false),
            ("^foo$", "foo", true),
            ("^foo$", "foo ", false),
            ("^a*z$", "abcz", true),
            ("^a*z$", "abczy", false),
            ("a*b*c", "xaxbxcx", true),
            ("a*b*c", "xcxbxax", false),
            ("*", "anything", true),
            ("libx.so", "/usr/lib/libx.so.1", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_file_of_them_is_read() {
        let mut suppressions = Suppressions::default();
        suppressions.add("# known\n\nleak:legacy_cache\n  leak:^init$  \n").unwrap();
        let texts: Vec<&str> = suppressions.patterns().iter().map(|pattern| &*pattern.text).collect();
        assert_eq!(texts, ["legacy_cache", "^init$"]);
        for (file, line) in [("leak:a\nrace:b", 2), ("leak:", 1), ("nonsense", 1)] {
            assert_eq!(Suppressions::default().add(file).unwrap_err().line, line);
        }
    }

    #[test]
    fn what_a_frame_calls_is_left_out_with_it() {
        let [main, cache] = [python("main", "/app/main.py", 1), python("fill", "/app/legacy.py", 2)];
        let malloc = native("strdup", "/lib/libc.so.6");
        let profile = profile(&[(&[&main, &malloc], 1), (&[&main, &cache, &malloc], 10)]);
        let mut suppressions = Suppressions::builtin();
        let builtin = suppressions.patterns().len();
        suppressions.add("leak:legacy.py").unwrap();
        let found = suppressions.of_nodes(&profile);
        assert_eq!(found, [None, None, Some(builtin), Some(builtin)]);
    }
}
