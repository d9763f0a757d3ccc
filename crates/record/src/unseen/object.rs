//! Which allocators an object holds under names of their own: by its symbols, or if it was stripped by texts that these
//! allocators always carry. Reads piece by piece, a megabyte at a time, however large the object is.
//!
//! Whether what is found is *unseen* depends on how the object is used, which [`Verdict::unseen`] is told.

use memchr::memmem;
use rustc_hash::FxHashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes that are read at a time.
const PIECE: u64 = 1 << 20;
/// Bytes before and after a piece that are looked at with it: names and texts of allocators are shorter.
const MARGIN: u64 = 512;
/// Bytes of one section that are read at most: a length can claim anything.
const MOST_BYTES: u64 = 1 << 30;
/// Names that end like those we know, and such with something in front, that are kept. Real objects have a few hundred,
/// and one of the latter.
const MOST_NAMES: usize = 64 * 1024;
const MOST_PREFIXED: usize = 64;
/// Entries of a table of sections or segments that are read. Real objects have a few dozen.
const MOST_HEADERS: u16 = 4096;

const HEADER: usize = 64;
const SECTION: usize = 64;
const SEGMENT: usize = 56;
const SYMBOL: usize = 24;
const DYNAMIC: usize = 16;

/// An allocator that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Known {
    /// Of any version that is in use; it is linked with a prefix of the linker's choice.
    Jemalloc,
    /// Of versions 1 to 3.
    Mimalloc,
    /// Of gperftools, or Google's later one.
    Tcmalloc,
}

impl Known {
    const ALL: [Self; 3] = [Self::Jemalloc, Self::Mimalloc, Self::Tcmalloc];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jemalloc => "jemalloc",
            Self::Mimalloc => "mimalloc",
            Self::Tcmalloc => "tcmalloc",
        }
    }

    /// A text that stands in the read-only data of every build: what it prints before its messages, the name of one of
    /// its statistics. Seen in polars, pyarrow, DuckDB, ruff, CPython 3.13, and what Debian 12 has.
    fn text(self) -> &'static [u8] {
        match self {
            Self::Jemalloc => b"<jemalloc>: ",
            Self::Mimalloc => b"mimalloc: warning: ",
            Self::Tcmalloc => b"tcmalloc.max_total_thread_cache_bytes",
        }
    }
}

/// What a symbol says about its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Holds(Known),
    DefinesMalloc,
    IsPython,
    IsFreeThreaded,
}

/// Names of symbols. Jemalloc's may have anything in front.
const NAMES: [(&str, Says); 8] = [
    ("mallctlbymib", Says::Holds(Known::Jemalloc)),
    ("mi_malloc", Says::Holds(Known::Mimalloc)),
    ("_mi_malloc_generic", Says::Holds(Known::Mimalloc)),
    ("tc_malloc", Says::Holds(Known::Tcmalloc)),
    ("TCMallocInternalMalloc", Says::Holds(Known::Tcmalloc)),
    ("malloc", Says::DefinesMalloc),
    ("PyMem_RawMalloc", Says::IsPython),
    ("_Py_MergeZeroLocalRefcount", Says::IsFreeThreaded),
];

/// What was found in an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Allocators and the symbol or text by which each was known. Each allocator once.
    pub found: Vec<(Known, String)>,
    /// Other objects' calls of `malloc` would come to this one's, if no object before it had one: it exports it.
    pub exports_malloc: bool,
    /// Its own calls of what it exports never leave it (`-Bsymbolic`).
    pub symbolic: bool,
    /// It is a CPython, as a program or as a library.
    pub is_python: bool,
    /// It is one without global lock, whose objects are always mimalloc's.
    pub is_free_threaded: bool,
    /// Bytes of its writable segments.
    pub writable: u64,
}

impl Verdict {
    /// Allocators whose blocks do not come past our hooks, where the object is the program itself or a library.
    ///
    /// A program's own `malloc` comes before the preloaded one: its calls were bound when it was linked, and those of
    /// all libraries find it first. A library's comes after: if it is called `malloc`, ours is called instead, and calls
    /// it in turn. Unless it is bound to itself, or is jemalloc under other names.
    pub fn unseen(&self, is_program: bool) -> impl Iterator<Item = &(Known, String)> {
        let replaced = !is_program && self.exports_malloc && !self.symbolic;
        self.found.iter().filter(move |(known, evidence)| {
            let has_prefix = *known == Known::Jemalloc && evidence.len() > "mallctlbymib".len() && !is_text(evidence);
            !replaced || has_prefix
        })
    }
}

fn is_text(evidence: &str) -> bool {
    Known::ALL.iter().any(|known| evidence.as_bytes() == known.text())
}

/// Looks for allocators in an object.
///
/// # Errors
/// Those of reading; [`io::ErrorKind::InvalidData`] for what is no 64-bit little-endian ELF object, or a damaged one.
pub fn search(file: &File) -> io::Result<Verdict> {
    let object = Object::read(file)?;
    let mut verdict = Verdict { writable: object.writable, ..Verdict::default() };
    for table in object.sections.iter().filter(|section| matches!(section.kind, SHT_SYMTAB | SHT_DYNSYM)) {
        let Some(names) = object.sections.get(table.link as usize) else { continue };
        search_symbols(file, table, names, &mut verdict)?;
    }
    if let Some(dynamic) = object.sections.iter().find(|section| section.kind == SHT_DYNAMIC) {
        verdict.symbolic = is_symbolic(file, dynamic)?;
    }
    // A symbol table of the linker's names everything; without one, only what is exported has a name.
    if !object.sections.iter().any(|section| section.kind == SHT_SYMTAB) {
        for (start, length) in object.constants() {
            search_texts(file, start, length, &mut verdict)?;
        }
    }
    Ok(verdict)
}

const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_DYNAMIC: u32 = 6;
const SHT_DYNSYM: u32 = 11;
const SHF_WRITE: u64 = 1;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const SHF_COMPRESSED: u64 = 0x800;
const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

struct Section {
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
}

/// The headers of an object.
struct Object {
    sections: Vec<Section>,
    /// Place in the file and length of segments that can only be read.
    read_only: Vec<(u64, u64)>,
    writable: u64,
}

impl Object {
    fn read(file: &File) -> io::Result<Self> {
        let header = read_exactly(file, 0, HEADER)?;
        // Magic, 64 bits, little-endian.
        if header[..6] != *b"\x7fELF\x02\x01" {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let table = |offset: u64, count: u16, size: usize| {
            read_exactly(file, offset, usize::from(count.min(MOST_HEADERS)) * size)
        };
        let segments = table(u64_at(&header, 32), u16_at(&header, 56), SEGMENT)?;
        let segments = segments.chunks_exact(SEGMENT).filter(|segment| u32_at(segment, 0) == PT_LOAD);
        let (mut read_only, mut writable) = (Vec::new(), 0u64);
        for segment in segments {
            match u32_at(segment, 4) {
                flags if flags & PF_W != 0 => writable = writable.saturating_add(u64_at(segment, 40)),
                flags if flags & PF_X == 0 => read_only.push((u64_at(segment, 8), u64_at(segment, 32))),
                _ => {}
            }
        }
        let sections = table(u64_at(&header, 40), u16_at(&header, 60), SECTION)?;
        let sections = sections.chunks_exact(SECTION).map(|section| Section {
            kind: u32_at(section, 4),
            flags: u64_at(section, 8),
            offset: u64_at(section, 24),
            size: u64_at(section, 32),
            link: u32_at(section, 40),
        });
        Ok(Self { sections: sections.collect(), read_only, writable })
    }

    /// Where constants are: in sections, or, of an object that has no sections any more, in segments.
    fn constants(&self) -> Vec<(u64, u64)> {
        if self.sections.is_empty() {
            return self.read_only.clone();
        }
        let constant = |section: &&Section| {
            section.kind == SHT_PROGBITS
                && section.flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR | SHF_COMPRESSED) == SHF_ALLOC
        };
        self.sections.iter().filter(constant).map(|section| (section.offset, section.size)).collect()
    }
}

/// Looks for names in a table of names, then for symbols that are defined and have one of them.
fn search_symbols(file: &File, table: &Section, names: &Section, verdict: &mut Verdict) -> io::Result<()> {
    // By place in the table of names, from which on the name is one that we know.
    let mut exact: FxHashMap<u64, (&str, Says)> = FxHashMap::default();
    // Names with something in front: first place, place of what we know.
    let mut prefixed: Vec<(u64, u64)> = Vec::new();
    pieces(file, names.offset, names.size, |window, offset, within| {
        for (name, says) in NAMES {
            for at in memmem::find_iter(window, name.as_bytes()).filter(|at| within.contains(at)) {
                // The compiler may have named a copy of a function: `mi_malloc.constprop.0`.
                if !matches!(window.get(at + name.len()), Some(0 | b'.')) {
                    continue;
                }
                if exact.len() < MOST_NAMES {
                    exact.insert(offset + at as u64, (name, says));
                }
                if says == Says::Holds(Known::Jemalloc) && prefixed.len() < MOST_PREFIXED {
                    let start = memchr::memrchr(0, &window[..at]).map_or(0, |zero| zero + 1);
                    prefixed.push((offset + start as u64, offset + at as u64));
                }
            }
        }
    })?;
    if exact.is_empty() {
        return Ok(());
    }
    let is_dynamic = table.kind == SHT_DYNSYM;
    // By the first symbol of each: where its name begins and ends.
    let mut evidence: FxHashMap<Known, (u64, u64)> = FxHashMap::default();
    pieces(file, table.offset, table.size, |window, offset, within| {
        // Entries are of 24 bytes: the first that begins in the piece.
        let first = (within.start as u64 + offset).next_multiple_of(SYMBOL as u64) - offset;
        let begin_here = (within.end as u64).saturating_sub(first).div_ceil(SYMBOL as u64) as usize;
        let symbols = window.get(first as usize..).unwrap_or_default();
        for symbol in symbols.chunks_exact(SYMBOL).take(begin_here) {
            let (name, info, visibility) = (u64::from(u32_at(symbol, 0)), symbol[4], symbol[5] & 3);
            // Section 0: it is wanted, not defined.
            if u16_at(symbol, 6) == 0 {
                continue;
            }
            match exact.get(&name) {
                Some((text, Says::Holds(known))) => {
                    evidence.entry(*known).or_insert((name, name + text.len() as u64));
                }
                // Local, hidden and protected ones are bound when the object is linked.
                Some((_, Says::DefinesMalloc)) => {
                    verdict.exports_malloc |= is_dynamic && info >> 4 != 0 && visibility == 0;
                }
                Some((_, Says::IsPython)) => verdict.is_python = true,
                Some((_, Says::IsFreeThreaded)) => verdict.is_free_threaded = true,
                None => {
                    if let Some((_, known)) = prefixed.iter().find(|(start, known)| (*start..*known).contains(&name)) {
                        let end = known + "mallctlbymib".len() as u64;
                        evidence.entry(Known::Jemalloc).or_insert((name, end));
                    }
                }
            }
        }
    })?;
    let mut evidence: Vec<_> = evidence.into_iter().collect();
    evidence.sort_unstable();
    for (known, (start, end)) in evidence {
        if verdict.found.iter().all(|(before, _)| *before != known) {
            let name = read_exactly(file, names.offset + start, (end - start) as usize)?;
            verdict.found.push((known, String::from_utf8_lossy(&name).into_owned()));
        }
    }
    Ok(())
}

fn search_texts(file: &File, start: u64, length: u64, verdict: &mut Verdict) -> io::Result<()> {
    pieces(file, start, length, |window, _, within| {
        for known in Known::ALL {
            let is_new = verdict.found.iter().all(|(before, _)| *before != known);
            let text = known.text();
            if is_new && memmem::find_iter(window, text).any(|at| within.contains(&at)) {
                verdict.found.push((known, String::from_utf8_lossy(text).into_owned()));
            }
        }
    })
}

/// Whether an object's own references to what it exports are bound to itself.
fn is_symbolic(file: &File, dynamic: &Section) -> io::Result<bool> {
    const DT_SYMBOLIC: u64 = 16;
    const DT_FLAGS: u64 = 30;
    const DF_SYMBOLIC: u64 = 2;
    let entries = read_exactly(file, dynamic.offset, dynamic.size.min(PIECE) as usize)?;
    let mut entries = entries.chunks_exact(DYNAMIC).map(|entry| (u64_at(entry, 0), u64_at(entry, 8)));
    Ok(entries.any(|(tag, value)| tag == DT_SYMBOLIC || (tag == DT_FLAGS && value & DF_SYMBOLIC != 0)))
}

/// Shows a part of a file piece by piece: the piece with its margins, the place of these in the part, and where in them
/// the piece itself lies. Every byte is in exactly one piece.
fn pieces(file: &File, start: u64, length: u64, mut look: impl FnMut(&[u8], u64, Range<usize>)) -> io::Result<()> {
    let length = length.min(MOST_BYTES);
    let mut window = Vec::new();
    let mut at = 0;
    while at < length {
        let end = (at + PIECE).min(length);
        let (from, to) = (at.saturating_sub(MARGIN), (end + MARGIN).min(length));
        window.resize((to - from) as usize, 0);
        file.read_exact_at(&mut window, start.saturating_add(from))?;
        look(&window, from, (at - from) as usize..(end - from) as usize);
        at = end;
    }
    Ok(())
}

fn read_exactly(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn search_bytes(bytes: &[u8]) -> io::Result<Verdict> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        search(&file)
    }

    /// An object with this table of names, a symbol for each (place of its name, section, binding), and constants. The
    /// tables are at the places 0x1000, 0x40_0000, 0x80_0000 of the file.
    fn object(kind: u32, names: &[u8], symbols: &[(u32, u16, u8)], constants: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 0x80_0000];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let mut table = Vec::new();
        for (name, section, binding) in symbols {
            table.extend_from_slice(&name.to_le_bytes());
            table.extend_from_slice(&[binding << 4 | 2, 0]);
            table.extend_from_slice(&section.to_le_bytes());
            table.extend_from_slice(&[0; 16]);
        }
        let sections = [
            (kind, 0, 0x40_0000u64, table.len(), 1u32),
            (3, 0, 0x1000, names.len(), 0),
            (SHT_PROGBITS, SHF_ALLOC, 0x80_0000, constants.len(), 0),
        ];
        for (number, (kind, flags, offset, size, link)) in sections.into_iter().enumerate() {
            let header = &mut file[0x100 + number * SECTION..][..SECTION];
            header[4..8].copy_from_slice(&kind.to_le_bytes());
            header[8..16].copy_from_slice(&flags.to_le_bytes());
            header[24..32].copy_from_slice(&offset.to_le_bytes());
            header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
            header[40..44].copy_from_slice(&link.to_le_bytes());
        }
        file[40..48].copy_from_slice(&0x100u64.to_le_bytes());
        file[60..62].copy_from_slice(&3u16.to_le_bytes());
        file[0x1000..][..names.len()].copy_from_slice(names);
        file[0x40_0000..][..table.len()].copy_from_slice(&table);
        file.extend_from_slice(constants);
        file
    }

    fn check(file: &[u8], found: &[(Known, &str)]) {
        let verdict = search_bytes(file).unwrap();
        let found: Vec<_> = found.iter().map(|(known, evidence)| (*known, (*evidence).to_owned())).collect();
        assert_eq!(verdict.found, found);
    }

    #[test]
    fn what_is_wanted_or_only_named_alike_is_not_held() {
        let names = b"\0own_mallctlbymib\0xmi_malloc\0mi_malloc_usable\0mi_malloc.part.0\0";
        // The table of names is shared: the symbol `mi_malloc` may be the end of `xmi_malloc`.
        let [own, xmi, mi, usable, part] = [1, 18, 19, 29, 46];
        check(&object(SHT_SYMTAB, names, &[(own, 0, 1), (xmi, 7, 1), (usable, 7, 1)], b""), &[]);
        check(&object(SHT_SYMTAB, names, &[(own, 7, 0)], b""), &[(Known::Jemalloc, "own_mallctlbymib")]);
        check(&object(SHT_SYMTAB, names, &[(own + 4, 7, 0)], b""), &[(Known::Jemalloc, "mallctlbymib")]);
        check(&object(SHT_SYMTAB, names, &[(mi, 7, 0)], b""), &[(Known::Mimalloc, "mi_malloc")]);
        check(&object(SHT_SYMTAB, names, &[(part, 7, 0)], b""), &[(Known::Mimalloc, "mi_malloc")]);
    }

    #[test]
    fn names_and_symbols_across_the_ends_of_pieces_are_found() {
        for shift in 0..30 {
            // 43 690 symbols and two thirds are a piece; a name begins up to 30 bytes before the end of one.
            let mut names = vec![b'.'; PIECE as usize - shift];
            names[0] = 0;
            *names.last_mut().unwrap() = 0;
            let at = names.len() as u32;
            names.extend_from_slice(b"own_mallctlbymib\0");
            let mut symbols = vec![(0, 7, 1); 43_680 + shift];
            symbols.push((at, 7, 1));
            check(&object(SHT_DYNSYM, &names, &symbols, b""), &[(Known::Jemalloc, "own_mallctlbymib")]);
        }
    }

    #[test]
    fn texts_count_where_there_is_no_table_of_all_symbols() {
        let mut constants = vec![b'-'; PIECE as usize - 5];
        constants.extend_from_slice(b"mimalloc: warning: %s\0");
        check(&object(SHT_DYNSYM, b"\0", &[], &constants), &[(Known::Mimalloc, "mimalloc: warning: ")]);
        check(&object(SHT_SYMTAB, b"\0", &[], &constants), &[]);
        check(&object(SHT_DYNSYM, b"\0", &[], b"malloc: warning: "), &[]);
    }

    #[test]
    fn an_exported_malloc_of_a_library_is_replaced() {
        let names = b"\0malloc\0mallctlbymib\0own_mallctlbymib\0";
        let unseen = |symbols: &[(u32, u16, u8)], is_program| {
            let verdict = search_bytes(&object(SHT_DYNSYM, names, symbols, b"")).unwrap();
            verdict.unseen(is_program).count()
        };
        let exporting = [(1, 7, 1), (8, 7, 1)];
        assert_eq!((unseen(&exporting, false), unseen(&exporting, true)), (0, 1));
        // It wants malloc, or its jemalloc has a prefix: then malloc is another's.
        assert_eq!(unseen(&[(1, 0, 1), (8, 7, 1)], false), 1);
        assert_eq!(unseen(&[(1, 7, 1), (21, 7, 1)], false), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(place in 0usize..0x1C0, bytes in prop::collection::vec(any::<u8>(), 1..40)) {
            let mut file = object(SHT_DYNSYM, b"\0own_mallctlbymib\0", &[(1, 7, 1)], b"<jemalloc>: ");
            file[place..][..bytes.len()].copy_from_slice(&bytes);
            let _ = search_bytes(&file);
        }
    }
}
