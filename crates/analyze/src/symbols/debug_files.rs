//! Debug information in a file of its own: where it is looked for, and how it is known to belong to an object.
//!
//! In this order: `.build-id/xx/yyyy.debug` in each debug directory; the name in the object's `.gnu_debuglink` beside the
//! object, in `.debug/` there, and below each debug directory under the object's path; the servers. A file counts if its
//! build id is the object's, and if it was found by the link also only with the link's checksum.

use super::object_file::{Mapped, Stamp, build_id};
use object::Object;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A debug file that was found to belong to its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its state when that was found out.
    pub stamp: Stamp,
}

/// Looks on this machine. `checked` is the file that an earlier search found, if any: its checksum is not computed again
/// while its size and time are the same.
pub fn find(
    path: &Path,
    object: &object::File<'_>,
    directories: &[PathBuf],
    checked: Option<&DebugFile>,
) -> Option<DebugFile> {
    let id = build_id(object);
    if let Some(name) = by_build_id(id) {
        let found =
            directories.iter().map(|directory| directory.join(&name)).find_map(|path| verified(&path, id, None));
        if found.is_some() {
            return found;
        }
    }
    let (name, sum) = object.gnu_debuglink().ok().flatten()?;
    // A name, not a path: what leads elsewhere is none.
    let name = Path::new(OsStr::from_bytes(name));
    if name.components().count() != 1 || !matches!(name.components().next(), Some(Component::Normal(_))) {
        return None;
    }
    let home = path.parent()?;
    let below = |directory: &PathBuf| directory.join(home.strip_prefix("/").unwrap_or(home)).join(name);
    let places = [home.join(name), home.join(".debug").join(name)].into_iter().chain(directories.iter().map(below));
    places.filter(|place| place != path).find_map(|place| {
        let stamp = Stamp::at(&place)?;
        let known = checked.is_some_and(|checked| checked.path == place && checked.stamp == stamp);
        verified(&place, id, (!known).then_some(sum))
    })
}

/// The file that shares parts of this debug file (`dwz`), by the debug file's own word.
pub fn find_shared(path: &Path, object: &object::File<'_>, directories: &[PathBuf]) -> Option<DebugFile> {
    let (name, id) = object.gnu_debugaltlink().ok().flatten()?;
    let beside = path.parent()?.join(OsStr::from_bytes(name));
    let by_id = by_build_id(id).into_iter().flat_map(|name| directories.iter().map(move |d| d.join(&name)));
    std::iter::once(beside).chain(by_id).find_map(|path| verified(&path, id, None))
}

/// `.build-id/ab/cdef….debug`; `None` without a build id.
fn by_build_id(id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = id.split_first().filter(|(_, rest)| !rest.is_empty())?;
    Some(Path::new(".build-id").join(format!("{first:02x}")).join(format!("{}.debug", hex(rest))))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file, if it is a debug file of the object with this build id (empty: it has none) and has this checksum.
pub fn verified(path: &Path, id: &[u8], sum: Option<u32>) -> Option<DebugFile> {
    let mapped = Mapped::open(path)?;
    let object = mapped.object()?;
    if build_id(&object) != id || (id.is_empty() && sum.is_none()) {
        return None;
    }
    let whole = sum.is_none_or(|sum| crc32fast::hash(mapped.bytes()) == sum);
    whole.then(|| DebugFile { path: path.to_owned(), stamp: mapped.stamp })
}
