//! The qualified names that reports make up from source, against those of the interpreter itself: all code objects of a
//! part of each version's own standard library.

use crate::traced::{Python, announce, pythons};
use heaptide_analyze::python::QualifiedNames;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python files of the standard library: all with `HEAPTIDE_ALL_NAMES`, else the modules without a package and some
/// packages full of nested scopes.
fn files(python: &Python) -> Vec<PathBuf> {
    let question = "import os; print(os.path.dirname(os.__file__))";
    let answer = Command::new(&python.path).args(["-I", "-c", question]).output().unwrap();
    let library = PathBuf::from(String::from_utf8(answer.stdout).unwrap().trim());
    let mut files = Vec::new();
    let mut directories = match std::env::var_os("HEAPTIDE_ALL_NAMES") {
        Some(_) => vec![library.clone()],
        None => ["asyncio", "unittest", "email", "concurrent", "ctypes", "importlib", "json"]
            .map(|package| library.join(package))
            .to_vec(),
    };
    let in_directory = |directory: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    files.extend(in_directory(&library));
    while let Some(directory) = directories.pop() {
        let entries = in_directory(&directory);
        directories.extend(entries.iter().filter(|path| path.is_dir()).cloned());
        files.extend(entries);
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "py") && path.is_file());
    files.sort();
    files.dedup();
    files
}

#[test]
fn names_are_those_of_the_interpreter() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/code_names.py");
    for python in pythons() {
        // Later versions name the scopes of type parameters, and compile what is in formatted strings as it stands.
        if python.minor > 11 {
            announce(&format!("skipped: 3.{} needs no names made up", python.minor));
            continue;
        }
        let told = Command::new(&python.path)
            .args(["-I".as_ref(), script.as_os_str()])
            .args(files(python))
            .env("PYTHONIOENCODING", "utf-8")
            .output()
            .unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let told = String::from_utf8(told.stdout).unwrap();
        let (mut all, mut unanswered, mut wrong) = (0u32, Vec::new(), Vec::new());
        let (mut path, mut names) = ("", QualifiedNames::default());
        for line in told.lines() {
            if let Some(file) = line.strip_prefix("= ") {
                path = file;
                names = QualifiedNames::of(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
                continue;
            }
            let mut fields = line.split('\t');
            let mut field = || fields.next().unwrap();
            let (first_line, name, expected) = (field().parse().unwrap(), field(), field());
            all += 1;
            match names.get(first_line, name) {
                Some(found) if found == expected => {}
                Some(found) => wrong.push(format!("{path}:{first_line}: {found}, not {expected}")),
                None => unanswered.push(format!("{path}:{first_line}: {expected}")),
            }
        }
        announce(&format!("3.{}: {all} names, {} left bare", python.minor, unanswered.len()));
        if std::env::var_os("HEAPTIDE_ALL_NAMES").is_some() {
            announce(&unanswered.join("\n"));
        }
        assert!(all > 8_000, "only {all} code objects of {}", python.path.display());
        assert!(wrong.is_empty(), "{}: {} of {all}:\n{}", python.path.display(), wrong.len(), wrong.join("\n"));
        // Two in one line whose names differ, and what is in formatted strings.
        assert!(unanswered.len() * 200 < all as usize, "{} of {all}:\n{}", unanswered.len(), unanswered.join("\n"));
    }
}
