//! Names that were found before: a file for each build id, so that the second report of a program is quick.
//!
//! An entry says what it was made from. If that is still all there is (the same object, the same debug file or none), its
//! names are those that would be found again; else they are looked up anew. Where the object itself is gone, the names of
//! its build id stand. Nothing depends on the cache: what is damaged, of another version or cannot be written is as if it
//! were not there. Writers put whole files in place, so that they do not disturb each other; the last one wins.

use super::debug_files::{DebugFile, hex};
use super::object_file::Stamp;
use super::{Call, Chain};
use heaptide_format::capture::{BlockKind, BlockRead, block, decode_meta, encode_meta};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// Whose entry, and how it was made: one of another heaptide may have chosen other names.
const MAKER: &str = concat!("heaptide ", env!("CARGO_PKG_VERSION"), " names 2");

/// Largest entry that is written or read, in bytes of its file; a run has thousands of places in an object, not millions.
const MOST_ENTRY_BYTES: u64 = 32 << 20;

/// Most bytes of all entries together. Beyond it those written longest ago go.
const MOST_BYTES: u64 = 256 << 20;

/// What names were made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The object's state.
    pub object: Option<Stamp>,
    /// The debug file, and what it shares with others.
    pub debug: [Option<DebugFile>; 2],
}

/// The names of one object.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// What they were made from.
    pub made: Made,
    /// By offset in the object's file; empty where nothing is known.
    pub chains: FxHashMap<u64, Chain>,
}

/// An entry as it is written.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    maker: String,
    object: Option<(u64, u64)>,
    debug: Vec<Option<(Vec<u8>, u64, u64)>>,
    strings: Vec<String>,
    /// Offset, and each function from the outermost: places of name and file in `strings`, line.
    chains: Vec<(u64, StoredChain)>,
}

type StoredChain = Vec<(u32, u32, u32)>;

fn file_of(directory: &Path, build_id: &[u8]) -> Option<PathBuf> {
    // What could be no build id: one byte is a directory in other places, and long ones are no file name.
    (2..=64).contains(&build_id.len()).then(|| directory.join(hex(build_id)))
}

/// The entry of an object, if there is one that can be read.
pub fn read(directory: &Path, build_id: &[u8]) -> Option<Entry> {
    let path = file_of(directory, build_id)?;
    // A FIFO in its place would wait for ever.
    Stamp::at(&path).filter(|stamp| stamp.size <= MOST_ENTRY_BYTES)?;
    let mut bytes = Vec::new();
    File::open(&path).ok()?.take(MOST_ENTRY_BYTES).read_to_end(&mut bytes).ok()?;
    let block = BlockRead::parse(&bytes, 0).ok().filter(|block| block.kind == Some(BlockKind::NativeNames))?;
    let stored: Stored = decode_meta(&block.unpack().ok()?, 0).ok().filter(|stored: &Stored| stored.maker == MAKER)?;
    let stamp = |(size, modified)| Stamp { size, modified };
    let mut debug = stored.debug.into_iter().map(|file| {
        let (path, size, modified) = file?;
        let path = PathBuf::from(OsString::from_vec(path));
        Some(DebugFile { path, stamp: Stamp { size, modified } })
    });
    let made = Made { object: stored.object.map(stamp), debug: [debug.next().flatten(), debug.next().flatten()] };
    let strings: Vec<Arc<str>> = stored.strings.into_iter().map(Arc::from).collect();
    let call = |(function, file, line): (u32, u32, u32)| {
        let text = |place: u32| strings.get(place as usize).cloned();
        Some(Call { function: text(function)?, file: text(file)?, line })
    };
    let mut chains = FxHashMap::default();
    for (offset, calls) in stored.chains {
        chains.insert(offset, calls.into_iter().map(call).collect::<Option<Chain>>()?);
    }
    Some(Entry { made, chains })
}

/// Writes the entry of an object. Failure changes nothing but the next report's speed.
pub fn write(directory: &Path, build_id: &[u8], entry: &Entry) {
    let _ = try_write(directory, build_id, entry);
}

fn try_write(directory: &Path, build_id: &[u8], entry: &Entry) -> Option<()> {
    let path = file_of(directory, build_id)?;
    let mut stored = Stored { maker: MAKER.to_owned(), ..Stored::default() };
    stored.object = entry.made.object.map(|stamp| (stamp.size, stamp.modified));
    stored.debug = entry.made.debug.iter().map(|file| file.as_ref().map(stored_file)).collect();
    let mut known: FxHashMap<&str, u32> = FxHashMap::default();
    let mut strings: Vec<&str> = Vec::new();
    let mut place = |text| {
        *known.entry(text).or_insert_with(|| {
            strings.push(text);
            strings.len() as u32 - 1
        })
    };
    let mut offsets: Vec<&u64> = entry.chains.keys().collect();
    offsets.sort_unstable();
    for offset in offsets {
        let calls = entry.chains[offset].iter().map(|call| (place(&call.function), place(&call.file), call.line));
        stored.chains.push((*offset, calls.collect()));
    }
    stored.strings = strings.into_iter().map(str::to_owned).collect();
    let content = encode_meta(&stored);
    // Also the bound of a block.
    if content.len() as u64 > MOST_ENTRY_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    block::write(&mut bytes, BlockKind::NativeNames, &content);
    fs::create_dir_all(directory).ok()?;
    put_in_place(&path, &bytes)
}

fn stored_file(file: &DebugFile) -> (Vec<u8>, u64, u64) {
    let path = file.path.as_os_str().as_bytes().to_vec();
    (path, file.stamp.size, file.stamp.modified)
}

/// Writes beside and renames, so that a reader sees the old file or the new one.
fn put_in_place(path: &Path, bytes: &[u8]) -> Option<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let fresh = path.with_extension(format!("{}-{number}.new", std::process::id()));
    let written = File::create_new(&fresh).and_then(|mut file| file.write_all(bytes));
    let done = written.and_then(|()| fs::rename(&fresh, path));
    if done.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    done.ok()
}

/// Removes the entries that were written longest ago until all together have no more than [`MOST_BYTES`].
pub fn prune(directory: &Path) {
    prune_to(directory, MOST_BYTES);
}

fn prune_to(directory: &Path, most_bytes: u64) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if bytes <= most_bytes {
            break;
        }
        if fs::remove_file(path).is_ok() {
            bytes -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: &str) -> Entry {
        let call = Call { function: function.into(), file: "/src/a.c".into(), line: 12 };
        let object = Some(Stamp { size: 4711, modified: 5 });
        let debug = DebugFile { path: "/usr/lib/debug/x.debug".into(), stamp: Stamp { size: 9, modified: 7 } };
        let made = Made { object, debug: [Some(debug), None] };
        Entry { made, chains: [(0x40, vec![call.clone(), call]), (0x50, Vec::new())].into_iter().collect() }
    }

    #[test]
    fn an_entry_comes_back_and_a_damaged_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("not/there/yet");
        assert!(read(&cache, &[1, 2, 3]).is_none());
        write(&cache, &[1, 2, 3], &entry("work"));
        let found = read(&cache, &[1, 2, 3]).unwrap();
        assert_eq!((found.made, found.chains), (entry("work").made, entry("work").chains));
        assert!(read(&cache, &[1, 2, 4]).is_none());
        let path = cache.join("010203");
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, bad).unwrap();
            assert!(read(&cache, &[1, 2, 3]).is_none(), "byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(read(&cache, &[1, 2, 3]).is_none(), "cut at {at}");
        }
        // Overwritten as a whole, and nothing is left beside it.
        write(&cache, &[1, 2, 3], &entry("other"));
        assert_eq!(&*read(&cache, &[1, 2, 3]).unwrap().chains[&0x40][0].function, "other");
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_no_failure() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"in the way").unwrap();
        write(&file, &[1, 2, 3], &entry("work"));
        assert_eq!(fs::read(&file).unwrap(), b"in the way");
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let directory = tempfile::tempdir().unwrap();
        for (age, name) in [(30, "aa"), (10, "bb"), (20, "cc")] {
            let path = directory.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        prune_to(directory.path(), 250);
        let mut left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["bb", "cc"]);
    }
}
