//! Names of native functions: from the debug information of the objects they are in, else from their symbol tables. Where
//! neither knows a function, where it begins may be known ([`is_start`]).
//!
//! In: objects, by path and build id, and places in them. Out: for each place the functions that stand there, one inlined
//! into the other, with file and line as far as they are known. A name is right or missing: an object that is not the one
//! that ran names nothing. Where things are looked for on this machine says the caller ([`Settings`]); what is embedded in
//! a capture is in [`crate::names`].

mod cache;
mod debug_files;
mod demangle;
mod dwarf;
mod mini;
mod object_file;
mod ranges;
mod table;

pub use debug_files::hex;
pub use demangle::demangled;
pub use ranges::is_start;

use crate::frames::shortened;
use cache::{Entry, Made};
use debug_files::DebugFile;
use demangle::is_mangled;
use dwarf::Level;
use object::Object as _;
use object_file::{Mapped, build_id};
use ranges::Ranges;
use rustc_hash::FxHashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use table::Symbol;

/// Where names are looked for besides the objects themselves. By default nowhere.
#[derive(Clone, Default)]
pub struct Settings {
    /// Directories of separate debug files, as gdb's `debug-file-directory`.
    pub debug_directories: Vec<PathBuf>,
    /// Where names that were found are kept; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// Who fetches debug files that are not on this machine; `None`: nobody.
    pub download: Option<Arc<dyn Download>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { debug_directories, cache, download } = self;
        write!(f, "Settings {{ {debug_directories:?}, {cache:?}, download: {} }}", download.is_some())
    }
}

/// Who fetches debug files.
pub trait Download: Send + Sync {
    /// The path of the debug file with this build id, which is that of the object at `object`; `None` if it is not to be
    /// had. May take long; is called by several threads.
    fn debug_file(&self, build_id: &[u8], object: &str) -> Option<PathBuf>;
}

/// An object and the places in it that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its path.
    pub path: String,
    /// Build id of what ran; empty if it had none.
    pub build_id: Vec<u8>,
    /// When the run began, in seconds since 1970: what has no build id and is newer is not what ran.
    pub ran_at: u64,
    /// Return addresses, as byte offsets in the file.
    pub offsets: Vec<u64>,
}

/// One function at a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// Its name, demangled; of one without name where it begins, see [`is_start`].
    pub function: Arc<str>,
    /// Its source file; empty if not known.
    pub file: Arc<str>,
    /// The line there, from 1: of the place itself in the last function, in the others of the next one's call. 0 if not
    /// known.
    pub line: u32,
}

/// The functions at a place, outermost first: all but the first are inlined. Empty if no name is known.
pub type Chain = Vec<Call>;

/// What an object says about places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbols {
    /// For each place asked for.
    Found(Vec<Chain>),
    /// The file is there but not the one that was loaded.
    Changed,
    /// The file is not there, or no object.
    Missing,
    /// Reading it took too long, see [`MOST_WAIT`].
    Slow,
}

/// Longest time without an object being done with. One of gigabytes takes some ten seconds; a damaged one could take for
/// ever.
pub const MOST_WAIT: Duration = Duration::from_secs(120);

/// Most threads that read objects.
const MOST_THREADS: usize = 8;

/// Bytes of stack of each. Debug information is followed [`dwarf`]'s number of levels deep, mangled names some hundred.
const STACK_BYTES: usize = 16 << 20;

/// What the objects say, in the order of the requests. Costs a pass over each object's symbols and the units of its debug
/// information that the places are in, however many places; and what fetching debug files takes.
pub fn resolve(requests: Vec<Request>, settings: &Settings) -> Vec<Symbols> {
    if requests.is_empty() {
        return Vec::new();
    }
    let count = requests.len();
    let requests = Arc::new(requests);
    // Debug files first: fetching may take as long as it takes.
    let (sender, receiver) = mpsc::channel();
    let (wanted, how) = (Arc::clone(&requests), settings.clone());
    in_threads(count, move |place| {
        let _ = sender.send((place, Prepared::of(&wanted[place], &how)));
    });
    let mut prepared: Vec<Option<Prepared>> = (0..count).map(|_| None).collect();
    for (place, one) in receiver {
        prepared[place] = Some(one);
    }
    let mut answers = vec![Symbols::Missing; count];
    let mut left = Vec::new();
    for (place, one) in prepared.into_iter().enumerate() {
        match one {
            Some(Prepared::Answered(symbols)) => answers[place] = symbols,
            Some(Prepared::Open(work)) => left.push((place, work)),
            // No thread could be started.
            None => answers[place] = Symbols::Slow,
        }
    }
    // The largest first, so that no thread ends long after the others.
    left.sort_by_key(|(_, work)| std::cmp::Reverse(work.mapped.bytes().len()));
    let places: Vec<usize> = left.iter().map(|(place, _)| *place).collect();
    let (sender, receiver) = mpsc::channel();
    let how = settings.clone();
    in_threads(left.len(), move |index| {
        let (place, work) = &left[index];
        let _ = sender.send((*place, work.answer(&requests[*place], &how)));
    });
    for place in places {
        answers[place] = Symbols::Slow;
    }
    // Threads that do not come to an end are left behind.
    while let Ok((place, symbols)) = receiver.recv_timeout(MOST_WAIT) {
        answers[place] = symbols;
    }
    if let Some(directory) = &settings.cache {
        cache::prune(directory);
    }
    answers
}

/// Calls `work` with each number below `count`, in threads that are not waited for. If none can be started it is dropped.
fn in_threads(count: usize, work: impl Fn(usize) + Send + Sync + 'static) {
    let (next, work) = (Arc::new(AtomicUsize::new(0)), Arc::new(work));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS).min(count);
    for _ in 0..threads {
        let (next, work) = (Arc::clone(&next), Arc::clone(&work));
        let run = move || {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= count {
                    break;
                }
                work(place);
            }
        };
        // One is enough.
        let _ = std::thread::Builder::new().name("symbols".into()).stack_size(STACK_BYTES).spawn(run);
    }
}

/// A request, as far as no debug information has to be read for it.
enum Prepared {
    Answered(Symbols),
    Open(Box<Work>),
}

/// An object that is the one that ran, with places that are not in the cache.
struct Work {
    mapped: Mapped,
    entry: Entry,
}

impl Prepared {
    fn of(request: &Request, settings: &Settings) -> Self {
        let path = Path::new(&request.path);
        let cached = settings.cache.as_ref().and_then(|directory| cache::read(directory, &request.build_id));
        let without = |symbols| {
            // The object is gone, but what ran had the build id of the names.
            let entry = cached.clone().unwrap_or_default();
            let any = request.offsets.iter().any(|offset| entry.chains.contains_key(offset));
            Self::Answered(if any { Symbols::Found(entry.chains_of(&request.offsets)) } else { symbols })
        };
        let Some(mapped) = Mapped::open(path) else { return without(Symbols::Missing) };
        let Some(object) = mapped.object() else { return without(Symbols::Missing) };
        let id = build_id(&object);
        let newer = mapped.stamp.modified / 1_000_000_000 > request.ran_at;
        if id != request.build_id || (id.is_empty() && newer) {
            return without(Symbols::Changed);
        }
        let debug = debug_files_of(path, &object, settings, cached.as_ref().map(|entry| &entry.made));
        let made = Made { object: Some(mapped.stamp), debug };
        let entry = match cached {
            Some(entry) if entry.made == made => entry,
            _ => Entry { made, chains: FxHashMap::default() },
        };
        if request.offsets.iter().all(|offset| entry.chains.contains_key(offset)) {
            return Self::Answered(Symbols::Found(entry.chains_of(&request.offsets)));
        }
        Self::Open(Box::new(Work { mapped, entry }))
    }
}

/// The debug file of an object and the one that it shares parts with, if there are such.
fn debug_files_of(
    path: &Path,
    object: &object::File<'_>,
    settings: &Settings,
    before: Option<&Made>,
) -> [Option<DebugFile>; 2] {
    let directories = &settings.debug_directories;
    let shared = |path: &Path, object: &object::File<'_>| debug_files::find_shared(path, object, directories);
    if has_debug_information(object) {
        return [None, shared(path, object)];
    }
    let checked = before.and_then(|made| made.debug[0].as_ref());
    let id = build_id(object);
    let fetched = || {
        let download = settings.download.as_ref().filter(|_| !id.is_empty())?;
        let path = download.debug_file(id, &path.to_string_lossy())?;
        debug_files::verified(&path, id, None)
    };
    let Some(debug) = debug_files::find(path, object, directories, checked).or_else(fetched) else {
        return [None, None];
    };
    let shared = Mapped::open(&debug.path).and_then(|mapped| shared(&debug.path, &mapped.object()?));
    [Some(debug), shared]
}

/// Whether the file at `path` is an object with this build id, as far as its tables tell.
pub fn is_debug_file(path: &Path, build_id: &[u8]) -> bool {
    !build_id.is_empty() && debug_files::verified(path, build_id, None).is_some()
}

fn has_debug_information(object: &object::File<'_>) -> bool {
    object.section_by_name(".debug_info").is_some()
}

impl Work {
    /// Names what the cache has no names of, and adds them to it.
    fn answer(&self, request: &Request, settings: &Settings) -> Symbols {
        let mut entry = self.entry.clone();
        let mut wanted: Vec<u64> =
            request.offsets.iter().copied().filter(|offset| !entry.chains.contains_key(offset)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let chains = self.named(&wanted).unwrap_or_else(|| vec![Chain::new(); wanted.len()]);
        entry.chains.extend(wanted.into_iter().zip(chains));
        let found = entry.chains_of(&request.offsets);
        if let Some(directory) = settings.cache.as_ref().filter(|_| !request.build_id.is_empty()) {
            cache::write(directory, &request.build_id, &entry);
        }
        Symbols::Found(found)
    }

    fn named(&self, offsets: &[u64]) -> Option<Vec<Chain>> {
        let object = self.mapped.object()?;
        let [debug, shared] = self.entry.made.debug.each_ref().map(|file| file.as_ref().and_then(DebugFile::open));
        let debug = debug.as_ref().and_then(Mapped::object);
        let shared = shared.as_ref().and_then(Mapped::object);
        let segments = self.mapped.segments();
        // One byte back, inside the call: after a call that never returns, the next function begins.
        let addresses: Vec<Option<u64>> =
            offsets.iter().map(|offset| segments.address(offset.saturating_sub(1))).collect();
        let mut sorted: Vec<u64> = addresses.iter().copied().flatten().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let whole = [Some(&object), debug.as_ref()].into_iter().flatten().any(|object| object.symbol_table().is_some());
        let mini = if whole { None } else { mini::unpacked(&object) };
        let mini = mini.as_ref().and_then(|bytes| object::File::parse(&bytes[..]).ok());
        let objects: Vec<&object::File<'_>> = std::iter::once(&object).chain(&debug).chain(&mini).collect();
        let symbols = functions_of(&object, &sorted, &table::symbols_of(&objects, &sorted));
        let sections = dwarf::Sections::of(debug.as_ref().unwrap_or(&object), shared.as_ref());
        let lookup = sections.as_ref().and_then(dwarf::Sections::lookup);
        let mut texts = Texts::default();
        let chains: Vec<Chain> = sorted
            .iter()
            .zip(symbols)
            .map(|(address, symbol)| match &lookup {
                Some(lookup) => lookup.levels(*address, |levels| texts.chain(levels, symbol)),
                None => texts.chain(&[], symbol),
            })
            .collect();
        let chain = |address: &Option<u64>| {
            let place = sorted.binary_search(address.as_ref()?).ok()?;
            Some(chains[place].clone())
        };
        Some(addresses.iter().map(|address| chain(address).unwrap_or_default()).collect())
    }
}

/// What tells a function without debug information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known<'d> {
    Symbol(&'d str),
    /// It has none; where it begins.
    Start(u64),
}

/// The functions that these addresses, in ascending order, are in, by their symbols. A symbol without size counts as far as
/// its function goes, if that is known.
fn functions_of<'d>(
    object: &object::File<'_>,
    addresses: &[u64],
    symbols: &[Option<Symbol<'d>>],
) -> Vec<Option<Known<'d>>> {
    let mut open: Vec<u64> = Vec::new();
    for (address, symbol) in addresses.iter().zip(symbols) {
        let label_at = symbol.and_then(|symbol| symbol.label_at);
        if symbol.is_none() || label_at.is_some() {
            open.push(*address);
            open.extend(label_at);
        }
    }
    open.sort_unstable();
    let ranges = Ranges::of(object, &open);
    let function = |(address, symbol): (&u64, &Option<Symbol<'d>>)| {
        let start = || ranges.start_of(*address);
        let reaches = |symbol: &Symbol<'_>| symbol.label_at.is_none_or(|label| ranges.start_of(label) == start());
        match symbol.filter(reaches) {
            Some(symbol) => Some(Known::Symbol(symbol.name)),
            None => start().map(Known::Start),
        }
    };
    addresses.iter().zip(symbols).map(function).collect()
}

impl DebugFile {
    /// The file, if it still is what it was.
    fn open(&self) -> Option<Mapped> {
        Mapped::open(&self.path).filter(|mapped| mapped.stamp == self.stamp)
    }
}

impl Entry {
    fn chains_of(&self, offsets: &[u64]) -> Vec<Chain> {
        offsets.iter().map(|offset| self.chains.get(offset).cloned().unwrap_or_default()).collect()
    }
}

/// Texts of an object, each made once.
#[derive(Default)]
struct Texts {
    functions: FxHashMap<String, Arc<str>>,
    files: FxHashMap<String, Arc<str>>,
}

impl Texts {
    /// The functions of a place by what debug information says of it, and what else is known.
    fn chain(&mut self, levels: &[Level<'_>], known: Option<Known<'_>>) -> Chain {
        let outermost = levels.first().copied().unwrap_or_default();
        let inlined = levels.get(1..).unwrap_or_default();
        let symbol = match known {
            Some(Known::Symbol(symbol)) => Some(symbol),
            _ => None,
        };
        // Debug information that is only for lines has names without their classes and modules.
        let plain = |name: &&str| !is_mangled(name);
        let name = match (outermost.function, symbol.filter(|symbol| is_mangled(symbol))) {
            (Some(name), Some(symbol)) if plain(&name) => Some(symbol),
            (Some(name), _) => Some(name),
            (None, _) => symbol,
        };
        let mut chain = Chain::with_capacity(levels.len());
        let name = match (name, known) {
            (Some(name), _) => Some(self.name(name)),
            (None, Some(Known::Start(start))) => Some(ranges::name_of(start).into()),
            (None, _) => None,
        };
        chain.extend(name.map(|name| self.call(name, &outermost)));
        for level in inlined {
            // One without name is left out: its caller has the line where it is called.
            chain.extend(level.function.map(|name| {
                let name = self.name(name);
                self.call(name, level)
            }));
        }
        chain
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        interned(&mut self.functions, name, demangled)
    }

    fn call(&mut self, function: Arc<str>, place: &Level<'_>) -> Call {
        let file = interned(&mut self.files, place.file.unwrap_or(""), normalized);
        let line = if file.is_empty() { 0 } else { place.line };
        Call { function, file, line }
    }
}

fn interned(known: &mut FxHashMap<String, Arc<str>>, text: &str, make: impl Fn(&str) -> String) -> Arc<str> {
    if let Some(made) = known.get(text) {
        return made.clone();
    }
    let made = shortened(&make(text));
    known.insert(text.to_owned(), made.clone());
    made
}

/// A path without `.` and without `..` behind a name: compilers put their directory before whatever they were given.
/// (Through a link to a directory it may lead elsewhere than before.)
fn normalized(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." | "" if !parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, ".." | "." | "")) => {
                parts.pop();
            }
            // The root's parent is the root.
            ".." if parts == [""] => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_short_as_they_can_be() {
        let cases = [
            ("/build/glibc/malloc/./malloc/../elf/x.c", "/build/glibc/malloc/elf/x.c"),
            ("/a//b.c", "/a/b.c"),
            ("/../a.c", "/a.c"),
            ("../a/../../b.c", "../../b.c"),
            ("./a.c", "./a.c"),
            ("a.c", "a.c"),
            ("", ""),
        ];
        for (path, short) in cases {
            assert_eq!(normalized(path), short, "{path}");
        }
    }

    #[test]
    fn a_chain_takes_the_better_name_of_two_sources() {
        let level = |function, line| Level { function, file: Some("/src/a.cc"), line };
        let mut texts = Texts::default();
        let mut known = |levels: &[Level<'_>], known| -> Vec<(String, u32)> {
            texts.chain(levels, known).into_iter().map(|call| (call.function.to_string(), call.line)).collect()
        };
        let mut names = |levels: &[Level<'_>], symbol: Option<&'static str>| known(levels, symbol.map(Known::Symbol));
        let outer = level(Some("outer"), 7);
        assert_eq!(names(&[], None), []);
        assert_eq!(names(&[], Some("f")), [("f".into(), 0)]);
        assert_eq!(
            names(&[outer, level(Some("_ZN1A1fEv"), 9)], Some("_ZN1A5outerEv")),
            [("A::outer()".into(), 7), ("A::f()".into(), 9)]
        );
        assert_eq!(names(&[outer, level(None, 9)], Some("outer.cold")), [("outer".into(), 7)]);
        assert_eq!(names(&[level(None, 7)], Some("start")), [("start".into(), 7)]);
        assert_eq!(names(&[level(None, 7)], None), []);
        // Where a function begins is better than nothing, and worse than any name. No symbol can seem to be one.
        let mut starts = |levels: &[Level<'_>]| known(levels, Some(Known::Start(0x12f40)));
        assert_eq!(starts(&[]), [("func@0x12f40".into(), 0)]);
        assert_eq!(starts(&[outer]), [("outer".into(), 7)]);
        let inner = level(Some("f"), 9);
        assert_eq!(starts(&[level(None, 7), inner]), [("func@0x12f40".into(), 7), ("f".into(), 9)]);
        assert_eq!(known(&[], Some(Known::Symbol("func@0x12f40"))), [("func".into(), 0)]);
    }

    #[test]
    fn what_is_no_object_has_no_symbols() {
        for path in ["/nowhere/at/all.so", "/dev/zero", "/", file!()] {
            let request = Request { path: path.into(), build_id: vec![1, 2, 3], ran_at: u64::MAX, offsets: vec![1, 2] };
            assert_eq!(resolve(vec![request], &Settings::default()), [Symbols::Missing]);
        }
    }
}
