//! Pseudonyms: words that stand for names, the same for the same name, from which the name cannot be told.
//!
//! A pseudonym is a part of HMAC-SHA-256 of the name under a key. Who does not have the key cannot look a guessed name up.
//! The key is random and forgotten, unless the user keeps one so that several captures get the same words.
//!
//! Names are taken apart where their parts mean something to a report: a path into its directories, the ending of a file,
//! the parts of a qualified name. So what a report puts together by package, module, file or function stays together, and
//! nothing else comes to it.

use super::{Names, Paths};
use crate::frames::FrameKind;
use crate::leaks::runtime_start;
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// What the words depend on besides the names.
#[derive(Clone)]
pub struct Key([u8; BLOCK]);

/// Bytes that SHA-256 works through at a time, to which HMAC extends the key.
const BLOCK: usize = 64;

impl Key {
    /// Of these bytes, any number of them. Thirty-two random ones are as good as more.
    pub fn new(bytes: &[u8]) -> Self {
        let mut key = [0; BLOCK];
        match key.get_mut(..bytes.len()) {
            Some(start) => start.copy_from_slice(bytes),
            None => key[..32].copy_from_slice(&Sha256::digest(bytes)),
        }
        Self(key)
    }

    /// HMAC (RFC 2104).
    fn code(&self, text: &[u8]) -> [u8; 32] {
        let padded = |with: u8| self.0.map(|byte| byte ^ with);
        let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
        Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The words that have been given.
#[derive(Debug)]
pub(super) struct Pseudonyms {
    key: Key,
    words: FxHashMap<String, String>,
    /// Whose a word is: two names whose codes begin alike get longer ones.
    given: FxHashMap<String, String>,
}

/// Letters and digits that are not taken for each other.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters of a word: 50 bits, so that among a hundred thousand names two begin alike once in 200,000 captures.
const LENGTH: usize = 10;

impl Pseudonyms {
    pub(super) fn new(key: Key) -> Self {
        Self { key, words: FxHashMap::default(), given: FxHashMap::default() }
    }

    /// The word for a name.
    pub(super) fn word(&mut self, name: &str) -> &str {
        if !self.words.contains_key(name) {
            let code = self.key.code(name.as_bytes());
            let letter = |place: usize| {
                let bits = (0..5).map(|bit| place * 5 + bit).map(|bit| code[bit / 8] >> (bit % 8) & 1);
                LETTERS[bits.fold(0, |number, bit| number << 1 | usize::from(bit))] as char
            };
            let of_length = |length: usize| format!("x{}", (0..length).map(letter).collect::<String>());
            // All 51 letters of two names alike: that would break SHA-256.
            let lengths = LENGTH..=code.len() * 8 / 5;
            let word = lengths.map(of_length).find(|word| !self.given.contains_key(word));
            let word = word.unwrap_or_else(|| of_length(code.len() * 8 / 5));
            self.given.insert(word.clone(), name.to_owned());
            self.words.insert(name.to_owned(), word);
        }
        &self.words[name]
    }

    /// A path of a source file, an object or a program, or what stands in its place (`<string>`, `[vdso]`).
    pub(super) fn path<'p>(&mut self, path: &'p str, paths: Paths) -> Cow<'p, str> {
        if paths == Paths::Keep || path.is_empty() {
            return path.into();
        }
        if path.starts_with(['<', '[']) {
            return self.made_up(path, paths).into();
        }
        // Of a standard library, and with `Base` of a package, everything inside is as others have it.
        let public = FrameKind::of_python(path) == FrameKind::Stdlib;
        let marks: &[&str] = if paths == Paths::Base { &["/site-packages/", "/dist-packages/"] } else { &[] };
        let packages = marks.iter().filter_map(|mark| path.find(mark)).min();
        let stdlib = if public { stdlib_mark(path) } else { None };
        let from = packages.or(stdlib).unwrap_or(path.len());
        let (outside, inside) = path.split_at(from);
        let mut out = String::with_capacity(path.len());
        let last = if inside.is_empty() { outside.rfind('/').map_or(0, |slash| slash + 1) } else { outside.len() };
        for part in outside[..last].split_inclusive('/') {
            let (name, slash) = part.strip_suffix('/').map_or((part, ""), |name| (name, "/"));
            out.push_str(&self.directory(name));
            out.push_str(slash);
        }
        let file = &outside[last..];
        match paths {
            Paths::Anonymize if !file.is_empty() && !is_system(path) => out.push_str(&self.file(file)),
            _ => out.push_str(file),
        }
        out.push_str(inside);
        out.into()
    }

    fn directory(&mut self, name: &str) -> String {
        if is_public_directory(name) {
            return name.to_owned();
        }
        let (stem, ending) = ending(name, &[".egg", ".libs", ".zip"]);
        format!("{}{ending}", self.word(stem))
    }

    fn file(&mut self, name: &str) -> String {
        if matches!(name, "__init__.py" | "__main__.py") || is_runtime(name) {
            return name.to_owned();
        }
        // Which objects are taken for the interpreter's goes by how they begin.
        let start = runtime_start(name).unwrap_or_default();
        let (stem, rest) = file_ending(&name[start.len()..]);
        format!("{start}{}{rest}", self.word(stem))
    }

    /// What is no file. Python's own and what the user ran without a file stay; with [`Paths::Base`] others do unless there
    /// is a path in them.
    fn made_up(&mut self, path: &str, paths: Paths) -> String {
        let frozen = path.strip_prefix("<frozen ").and_then(|rest| rest.strip_suffix('>'));
        let own = frozen.is_some_and(|module| {
            let top = module.split('.').next().unwrap_or(module);
            FROZEN.contains(&top)
        });
        if own || matches!(path, "<string>" | "<stdin>" | "<unknown>") || path.starts_with("[v") {
            return path.to_owned();
        }
        if paths == Paths::Base && !path.contains('/') {
            return path.to_owned();
        }
        // Whether there is a blank tells code of a library from that of the user.
        let word = self.word(path).to_owned();
        match (path.as_bytes()[0], frozen) {
            (b'<', Some(_)) => format!("<frozen {word}>"),
            (b'<', None) if path.ends_with('>') && path.contains(' ') => format!("<made up {word}>"),
            (b'<', None) => format!("<{word}>"),
            _ => format!("[{word}]"),
        }
    }

    /// The name of a Python function, qualified or not.
    pub(super) fn function<'p>(&mut self, name: &'p str, names: Names) -> Cow<'p, str> {
        if names == Names::Keep {
            return name.into();
        }
        let mut out = String::new();
        for (place, part) in name.split('.').enumerate() {
            if place > 0 {
                out.push('.');
            }
            match OWN_NAMES.contains(&part) {
                true => out.push_str(part),
                false => out.push_str(self.word(part)),
            }
        }
        out.into()
    }

    /// A name as a whole: of a native function, of a thread.
    pub(super) fn whole<'p>(&mut self, name: &'p str, names: Names) -> Cow<'p, str> {
        if names == Names::Keep || name.is_empty() { name.into() } else { self.word(name).to_owned().into() }
    }
}

/// What Python itself calls code, and `__init__`, which is a class's own.
const OWN_NAMES: [&str; 9] =
    ["<module>", "<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<locals>", "__init__", "__new__"];

/// Modules that CPython freezes: what else is frozen belongs to a program that was put together of Python and itself.
const FROZEN: [&str; 21] = [
    "importlib",
    "zipimport",
    "abc",
    "codecs",
    "io",
    "_collections_abc",
    "_sitebuiltins",
    "genericpath",
    "ntpath",
    "posixpath",
    "os",
    "site",
    "stat",
    "runpy",
    "getpath",
    "__hello__",
    "__phello__",
    "_bootstrap",
    "_bootstrap_external",
    "importlib_bootstrap",
    "linecache",
];

/// Directories whose names say nothing of who or what.
fn is_public_directory(name: &str) -> bool {
    let known = [
        "",
        ".",
        "..",
        "usr",
        "lib",
        "lib64",
        "bin",
        "sbin",
        "local",
        "site-packages",
        "dist-packages",
        "lib-dynload",
        "x86_64-linux-gnu",
        "aarch64-linux-gnu",
        "src",
        "tests",
        "__pycache__",
    ];
    known.contains(&name) || is_python(name)
}

/// `python`, `python3`, `python3.11`, `python311.zip`.
fn is_python(name: &str) -> bool {
    let version = name.strip_suffix(".zip").unwrap_or(name).strip_prefix("python");
    version.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// A file of the system's own packages: as it is on other machines.
fn is_system(path: &str) -> bool {
    let directories = ["/usr/lib/", "/lib/", "/lib64/", "/usr/lib64/", "/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"];
    directories.iter().any(|directory| path.starts_with(directory)) && !path.contains("-packages/")
}

/// Whether everybody has this native object: it is the system's, or the interpreter's wherever that was put.
pub(super) fn is_public_object(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let in_stdlib = stdlib_mark(path).is_some_and(|mark| !path[mark..].contains("-packages/"));
    is_system(path) || is_runtime(file) || in_stdlib
}

/// The interpreter, its library, and what every program is linked to.
fn is_runtime(name: &str) -> bool {
    is_python(name) || (runtime_start(name).is_some_and(|start| start != "python") && name.contains(".so"))
}

/// Where in a path of the standard library its own part begins: behind the version.
fn stdlib_mark(path: &str) -> Option<usize> {
    let behind = |mark: &str| {
        let start = path.find(mark)? + mark.len();
        path[start..].find('/').map(|slash| start + slash)
    };
    behind("/lib/python").or_else(|| behind("/lib64/python")).or_else(|| path.find(".zip/").map(|dot| dot + 4))
}

fn ending<'n>(name: &'n str, endings: &[&str]) -> (&'n str, &'n str) {
    let length = endings.iter().find(|ending| name.ends_with(**ending)).map_or(0, |ending| ending.len());
    name.split_at(name.len() - length)
}

/// A file's name without its ending, and the ending: of Python, of C and its kin, `.so` and what stands around it. The
/// endings of others may be names; that there is one is told by `.x`.
fn file_ending(name: &str) -> (&str, &str) {
    let endings = [".py", ".pyw", ".pyx", ".pyc", ".c", ".h", ".cc", ".hh", ".cpp", ".hpp", ".cxx", ".rs", ".go", ".S"];
    let (stem, rest) = ending(name, &endings);
    if !rest.is_empty() {
        return (stem, rest);
    }
    // `frame.cpython-311-x86_64-linux-gnu.so`, `frame.abi3.so`, `libacme.so.1.2`.
    if let Some(dot) = name.find('.') {
        let (stem, rest) = name.split_at(dot);
        let is_object = rest.split('.').skip(1).all(|part| {
            part == "so" || part == "abi3" || part.starts_with("cpython-") || part.chars().all(|c| c.is_ascii_digit())
        });
        return if is_object { (stem, rest) } else { (name, ".x") };
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonyms() -> Pseudonyms {
        Pseudonyms::new(Key::new(b"Jefe"))
    }

    /// Of RFC 4231, test cases 2 and 6: the short key, and one that is longer than a block.
    #[test]
    fn the_code_is_hmac() {
        let hex = |code: [u8; 32]| code.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(Key::new(b"Jefe").code(b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(Key::new(&[0xaa; 131]).code(b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_word_is_the_names_own() {
        let mut words = pseudonyms();
        let first = words.word("anna").to_owned();
        assert_eq!(first.len(), 11);
        assert_eq!(words.word("anna"), first);
        assert_ne!(words.word("bert"), first);
        assert_ne!(Pseudonyms::new(Key::new(b"other")).word("anna"), first);
        // Another name had the word first.
        let mut taken = pseudonyms();
        taken.given.insert(first.clone(), "carl".into());
        let longer = taken.word("anna").to_owned();
        assert!(longer.starts_with(&first) && longer.len() == 12, "{longer}");
    }

    /// Each `{name}` stands for that name's word.
    fn check_path(path: &str, paths: Paths, expected: &str) {
        let mut words = pseudonyms();
        let found = words.path(path, paths).into_owned();
        let mut parts = expected.split(['{', '}']);
        let mut expected = parts.next().unwrap_or_default().to_owned();
        while let (Some(name), Some(text)) = (parts.next(), parts.next()) {
            expected.push_str(words.word(name));
            expected.push_str(text);
        }
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn base_keeps_what_a_file_is_called() {
        let cases = [
            ("/home/anna/acme/web/views.py", "/{home}/{anna}/{acme}/{web}/views.py"),
            ("acme/views.py", "{acme}/views.py"),
            ("views.py", "views.py"),
            (
                "/home/anna/v/lib/python3.11/site-packages/pandas/core.py",
                "/{home}/{anna}/{v}/lib/python3.11/site-packages/pandas/core.py",
            ),
            ("/home/anna/v/lib/python3.11/json/decoder.py", "/{home}/{anna}/{v}/lib/python3.11/json/decoder.py"),
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
            ("/opt/acme/bin/server", "/{opt}/{acme}/bin/server"),
            ("<string>", "<string>"),
            ("<attrs generated init acme.Order>", "<attrs generated init acme.Order>"),
            ("<cell of /home/anna/x.ipynb>", "<made up {<cell of /home/anna/x.ipynb>}>"),
            ("[vdso]", "[vdso]"),
        ];
        for (path, expected) in cases {
            check_path(path, Paths::Base, expected);
            assert_eq!(pseudonyms().path(path, Paths::Keep), path);
        }
    }

    #[test]
    fn anonymize_leaves_what_everybody_has() {
        let cases = [
            ("/home/anna/acme/web/views.py", "/{home}/{anna}/{acme}/{web}/{views}.py"),
            ("/home/anna/acme/__init__.py", "/{home}/{anna}/{acme}/__init__.py"),
            ("/v/lib/python3.11/site-packages/acme/core.py", "/{v}/lib/python3.11/site-packages/{acme}/{core}.py"),
            (
                "/v/lib/python3.11/site-packages/acme.libs/liborder.so.1.2",
                "/{v}/lib/python3.11/site-packages/{acme}.libs/{liborder}.so.1.2",
            ),
            (
                "/v/lib/python3.11/site-packages/a/_x.cpython-311-x86_64-linux-gnu.so",
                "/{v}/lib/python3.11/site-packages/{a}/{_x}.cpython-311-x86_64-linux-gnu.so",
            ),
            ("/v/lib/python3.11/json/decoder.py", "/{v}/lib/python3.11/json/decoder.py"),
            ("/usr/lib/python3/dist-packages/acme.py", "/usr/lib/python3/dist-packages/{acme}.py"),
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
            ("/home/anna/bin/deploy.acme", "/{home}/{anna}/bin/{deploy.acme}.x"),
            ("/home/anna/bin/deploy", "/{home}/{anna}/bin/{deploy}"),
            ("/home/anna/.pyenv/bin/python3.11", "/{home}/{anna}/{.pyenv}/bin/python3.11"),
            ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>"),
            ("<frozen acme.main>", "<frozen {<frozen acme.main>}>"),
            ("<attrs generated init acme.Order>", "<made up {<attrs generated init acme.Order>}>"),
            ("<stdin>", "<stdin>"),
            ("/opt/acme/lib/libpython3.11.so.1.0", "/{opt}/{acme}/lib/libpython3.11.so.1.0"),
            ("/opt/acme/bin/pythonic", "/{opt}/{acme}/bin/python{ic}"),
        ];
        for (path, expected) in cases {
            check_path(path, Paths::Anonymize, expected);
            // Whose code it is stays what it was.
            let found = pseudonyms().path(path, Paths::Anonymize).into_owned();
            assert_eq!(FrameKind::of_python(&found), FrameKind::of_python(path), "{path}");
        }
    }

    #[test]
    fn functions_keep_the_words_of_python() {
        let mut words = pseudonyms();
        let found = words.function("Order.total.<locals>.<lambda>", Names::Anonymize).into_owned();
        let expected =
            format!("{}.{}.<locals>.<lambda>", words.word("Order").to_owned(), words.word("total").to_owned());
        assert_eq!(found, expected);
        assert_eq!(words.function("<module>", Names::Anonymize), "<module>");
        assert_eq!(words.function("Order.total", Names::Keep), "Order.total");
    }
}
