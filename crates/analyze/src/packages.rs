//! Packages and modules: whom a frame belongs to, as one would speak of it, told by its path alone.
//!
//! | code | package | module |
//! |---|---|---|
//! | `…/site-packages/pandas/core/frame.py` | `pandas` | `pandas.core.frame` |
//! | `…/lib/python3.11/json/decoder.py`, `…/python311.zip/json/decoder.py` | `json (stdlib)` | `json.decoder` |
//! | `<frozen importlib._bootstrap>` | `importlib (frozen)` | `importlib._bootstrap` |
//! | a file of the user's own | first part of its path below the directory that all of them are in | the whole path below it |
//! | `<string>`, `<stdin>`, code made up by a library | the same | the same |
//! | a native object under `site-packages` | as a Python file there | likewise |
//! | another native object | its file name | the same |
//!
//! Packages that share a first part without owning it (`google.cloud.storage` and `google.protobuf`) are one: a path
//! does not tell them from parts of one package. By module they are apart.

use crate::frames::{Frame, FrameKind};
use crate::sites::base_name;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Whom a frame belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// What is installed, or loaded, as one.
    pub package: Arc<str>,
    /// The file as it is imported; for what is not imported the package again.
    pub module: Arc<str>,
}

/// The owner of each frame, in their order.
pub fn owners(frames: &[Frame]) -> Vec<Owner> {
    let root = common_directory(frames);
    let mut known: FxHashMap<(&str, FrameKind), Owner> = FxHashMap::default();
    let owner = |frame: &'_ Frame| owner(frame.loaded_from(), frame.kind, &root);
    frames
        .iter()
        .map(|frame| known.entry((frame.loaded_from(), frame.kind)).or_insert_with(|| owner(frame)).clone())
        .collect()
}

/// The directory, with its last slash, that all absolute files of the user's own are in; empty without any.
fn common_directory(frames: &[Frame]) -> String {
    let mut common: Option<String> = None;
    for frame in frames.iter().filter(|frame| frame.kind == FrameKind::Project) {
        let file = frame.file.replace('\\', "/");
        let Some((directory, _)) = file.rsplit_once('/').filter(|_| !file.starts_with('<')) else { continue };
        // A relative path is below where the program was started, which is not known.
        if !is_absolute(&file) {
            continue;
        }
        let shared = match &common {
            None => format!("{directory}/"),
            Some(common) => {
                let parts = common.split_inclusive('/').zip(file.split_inclusive('/'));
                parts.take_while(|(a, b)| a == b).map(|(part, _)| part).collect()
            }
        };
        common = Some(shared);
    }
    common.unwrap_or_default()
}

fn is_absolute(file: &str) -> bool {
    file.starts_with('/') || file.as_bytes().get(1) == Some(&b':')
}

fn owner(file: &str, kind: FrameKind, root: &str) -> Owner {
    let file = file.replace('\\', "/");
    let same = |name: &str| Owner { package: name.into(), module: name.into() };
    if let Some(rest) = file.strip_prefix("<frozen ").and_then(|rest| rest.strip_suffix('>')) {
        let top = rest.split('.').next().unwrap_or(rest);
        return Owner { package: format!("{top} (frozen)").into(), module: rest.into() };
    }
    if file.starts_with('<') || file.is_empty() {
        return same(if file.is_empty() { "unknown" } else { &file });
    }
    if let Some(path) = installed(&file) {
        return of_path(path, "");
    }
    match (kind, in_stdlib(&file)) {
        (FrameKind::Stdlib | FrameKind::Native, Some(path)) => of_path(path, " (stdlib)"),
        (FrameKind::Project, _) => of_path(file.strip_prefix(root).unwrap_or(&file), ""),
        _ => same(base_name(&file)),
    }
}

/// The path below the directory that packages are installed in.
fn installed(file: &str) -> Option<&str> {
    let (_, path) = file.rsplit_once("/site-packages/").or_else(|| file.rsplit_once("/dist-packages/"))?;
    // An egg is a directory around its packages.
    match path.split_once('/') {
        Some((egg, rest)) if egg.ends_with(".egg") => Some(rest),
        _ => Some(path),
    }
}

/// The path below that of the standard library.
fn in_stdlib(file: &str) -> Option<&str> {
    let below = ["/lib/python", "/lib64/python"].iter().find_map(|mark| {
        let (version, path) = file.split_once(mark)?.1.split_once('/')?;
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(path)
    });
    let path = below.or_else(|| Some(file.split_once("/python3")?.1.split_once(".zip/")?.1))?;
    Some(path.strip_prefix("lib-dynload/").unwrap_or(path))
}

/// Of a path below a place that modules are imported from.
fn of_path(path: &str, mark: &str) -> Owner {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if let Some(last) = parts.last_mut() {
        *last = without_ending(last);
    }
    if parts.len() > 1 && parts.last() == Some(&"__init__") {
        parts.pop();
    }
    // Libraries that came with a package: `numpy.libs/libopenblas.so`.
    let top = parts.first().copied().unwrap_or(path);
    let top = top.strip_suffix(".libs").unwrap_or(top);
    Owner { package: format!("{top}{mark}").into(), module: parts.join(".").into() }
}

/// `frame.py` and `frame.cpython-311-x86_64-linux-gnu.so` are `frame`; `libopenblas.so.0` stays what it is.
fn without_ending(name: &str) -> &str {
    let plain = [".py", ".pyw", ".pyx", ".pyc"].iter().find_map(|ending| name.strip_suffix(ending));
    let extension = || name.strip_suffix(".so").or_else(|| name.strip_suffix(".pyd"))?.split('.').next();
    plain.or_else(extension).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::{native, python};

    #[test]
    fn paths_tell_package_and_module() {
        let cases = [
            ("/v/lib/python3.11/site-packages/pandas/core/frame.py", "pandas", "pandas.core.frame"),
            ("/v/lib/python3.11/site-packages/pandas/__init__.py", "pandas", "pandas"),
            ("/usr/lib/python3/dist-packages/six.py", "six", "six"),
            ("/v/lib/python3.11/site-packages/google/cloud/storage/blob.py", "google", "google.cloud.storage.blob"),
            ("/v/lib/python3.8/site-packages/foo-1.0-py3.8.egg/foo/x.py", "foo", "foo.x"),
            ("C:\\v\\Lib\\site-packages\\x\\y.py", "x", "x.y"),
            ("/usr/lib/python3.11/json/decoder.py", "json (stdlib)", "json.decoder"),
            ("/usr/lib64/python3.11/threading.py", "threading (stdlib)", "threading"),
            ("/usr/lib/python311.zip/os.py", "os (stdlib)", "os"),
            ("<frozen importlib._bootstrap>", "importlib (frozen)", "importlib._bootstrap"),
            ("<string>", "<string>", "<string>"),
            ("<__array_function__ internals>", "<__array_function__ internals>", "<__array_function__ internals>"),
            ("/v/bin/pytest", "pytest", "pytest"),
            ("", "unknown", "unknown"),
        ];
        for (file, package, module) in cases {
            let owner = &owners(&[python("f", file, 1)])[0];
            assert_eq!((&*owner.package, &*owner.module), (package, module), "{file}");
        }
        let cases = [
            ("/v/lib/python3.11/site-packages/numpy/core/_x.cpython-311-x86_64-linux-gnu.so", "numpy", "numpy.core._x"),
            ("/v/lib/python3.11/site-packages/numpy.libs/libopenblas.so.0", "numpy", "numpy.libs.libopenblas.so.0"),
            ("/usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so", "_json (stdlib)", "_json"),
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", "libc.so.6", "libc.so.6"),
            ("/usr/bin/python3.11", "python3.11", "python3.11"),
        ];
        for (file, package, module) in cases {
            let owner = &owners(&[native("f", file)])[0];
            assert_eq!((&*owner.package, &*owner.module), (package, module), "{file}");
        }
    }

    #[test]
    fn the_users_own_files_are_named_below_what_they_share() {
        let check = |files: &[&str], expected: &[(&str, &str)]| {
            let frames: Vec<Frame> = files.iter().map(|file| python("f", file, 1)).collect();
            let owners = owners(&frames);
            let found: Vec<_> = owners.iter().map(|owner| (&*owner.package, &*owner.module)).collect();
            assert_eq!(found, expected);
        };
        check(&["/home/me/app/main.py"], &[("main", "main")]);
        check(
            &["/home/me/app/main.py", "/home/me/app/web/views.py", "<string>", "/usr/lib/python3.11/os.py"],
            &[("main", "main"), ("web", "web.views"), ("<string>", "<string>"), ("os (stdlib)", "os")],
        );
        check(
            &["/home/me/app/main.py", "/home/me/lib/x.py", "run.py", "t/y.py"],
            &[("app", "app.main"), ("lib", "lib.x"), ("run", "run"), ("t", "t.y")],
        );
    }
}
