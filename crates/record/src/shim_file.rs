//! The shim as a file: it is embedded in the program and unpacked once, under a name that holds its content's hash.

use crate::rings::with_highest_file_limit;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The shim as a file in one of the directories: the first in which it is already or can be written.
///
/// # Errors
/// The last directory's error if none will do.
pub fn unpack(shim: &[u8], directories: &[PathBuf]) -> io::Result<PathBuf> {
    let name = format!("libheaptide-{:016x}.so", hash(shim));
    let mut last = io::Error::other("no directory to unpack the shim to");
    for directory in directories {
        match unpack_to(shim, directory, &name) {
            Ok(path) => return Ok(path),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn unpack_to(shim: &[u8], directory: &Path, name: &str) -> io::Result<PathBuf> {
    // LD_PRELOAD separates by colons and blanks.
    if directory.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b':' | b' ' | b'\t')) {
        return Err(io::Error::other(format!(
            "{}: a path for preloading must not hold colons or blanks",
            directory.display()
        )));
    }
    let path = directory.join(name);
    if is_ours(&path, shim) {
        return Ok(path);
    }
    DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    // The limit on the size of files is meant for the program's.
    let result = with_highest_file_limit(|| write_new(shim, &temporary)).and_then(|()| fs::rename(&temporary, &path));
    if result.is_err() {
        // The error to report is the first one.
        let _ = fs::remove_file(&temporary);
    }
    result.map(|()| path)
}

fn write_new(shim: &[u8], path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?;
    file.write_all(shim)?;
    // Readable for programs that change their user, whatever the umask.
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

/// Whether the file is there, whole, and nobody else could have put it there: its content is compared, and it is ours.
fn is_ours(path: &Path, shim: &[u8]) -> bool {
    // SAFETY: no precondition.
    let me = unsafe { libc::geteuid() };
    fs::metadata(path).is_ok_and(|metadata| metadata.uid() == me && metadata.mode() & 0o022 == 0)
        && fs::read(path).is_ok_and(|content| content == shim)
}

/// FNV-1a over words: only tells versions of the shim apart.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
    hash ^ bytes.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_once_and_mended_if_damaged() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("cache/heaptide");
        let path = unpack(b"shim of today", std::slice::from_ref(&directory)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"shim of today");
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(unpack(b"shim of today", std::slice::from_ref(&directory)).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);
        fs::write(&path, b"half").unwrap();
        unpack(b"shim of today", std::slice::from_ref(&directory)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"shim of today");
        assert_ne!(unpack(b"shim of tomorrow", &[directory]).unwrap(), path);
    }

    #[test]
    fn the_next_directory_is_tried() {
        let home = tempfile::tempdir().unwrap();
        let blanks = home.path().join("has blanks");
        let good = home.path().join("good");
        assert_eq!(unpack(b"shim", &[blanks, good.clone()]).unwrap().parent(), Some(&*good));
    }
}
