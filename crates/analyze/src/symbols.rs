//! Names of native functions, from the symbol tables of the objects they are in.
//!
//! An object is read when something in it is asked for, piece by piece: its symbol table and their names, never its
//! code. Lines of native code and separate debug files are not looked for here.

use object::read::elf::{ElfFile, FileHeader, ProgramHeader as _};
use object::{Endianness, FileKind, Object, ObjectSymbol, ReadCache, ReadRef, SymbolKind, elf};
use std::fs::File;
use std::path::Path;

/// What an object says about places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbols {
    /// The function of each place asked for, demangled; `None` where it has no symbol.
    Found(Vec<Option<String>>),
    /// The file is there but not the one that was loaded: its build id is another.
    Changed,
    /// The file is not there, or no object.
    Missing,
}

/// The functions that hold these places: return addresses, as byte offsets in the file at `path`. `build_id` is that
/// of the object that ran, empty if not known. Costs one pass over the object's symbols, however many places.
pub fn functions_at(path: &Path, build_id: &[u8], offsets: &[u64]) -> Symbols {
    // A path in a capture can name anything: a FIFO would wait for ever.
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let Some(file) = is_file.then(|| File::open(path).ok()).flatten() else { return Symbols::Missing };
    let cache = ReadCache::new(file);
    match FileKind::parse(&cache) {
        Ok(FileKind::Elf64) => in_elf::<elf::FileHeader64<Endianness>, _>(&cache, build_id, offsets),
        Ok(FileKind::Elf32) => in_elf::<elf::FileHeader32<Endianness>, _>(&cache, build_id, offsets),
        _ => Symbols::Missing,
    }
}

fn in_elf<'d, H, R>(data: R, build_id: &[u8], offsets: &[u64]) -> Symbols
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let Ok(object) = ElfFile::<H, R>::parse(data) else { return Symbols::Missing };
    if !build_id.is_empty() && matches!(object.build_id(), Ok(Some(found)) if found != build_id) {
        return Symbols::Changed;
    }
    // (virtual address, place in `offsets`), in order of address.
    let mut wanted: Vec<(u64, usize)> = Vec::with_capacity(offsets.len());
    for (place, offset) in offsets.iter().enumerate() {
        // One byte back, inside the call: after a call that never returns, the next function begins.
        if let Some(address) = virtual_address(&object, offset.saturating_sub(1)) {
            wanted.push((address, place));
        }
    }
    wanted.sort_unstable();
    // For each wanted address: start and name of the best symbol so far.
    let mut best: Vec<Option<(u64, &str)>> = vec![None; wanted.len()];
    for symbol in object.symbols().chain(object.dynamic_symbols()) {
        if !symbol.is_definition() || !matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown) {
            continue;
        }
        let (start, Some(end)) = (symbol.address(), symbol.address().checked_add(symbol.size().max(1))) else {
            continue;
        };
        let from = wanted.partition_point(|(address, _)| *address < start);
        let within = wanted[from..].iter().take_while(|(address, _)| *address < end).count();
        if within == 0 {
            continue;
        }
        let Ok(name) = symbol.name() else { continue };
        for best in &mut best[from..from + within] {
            // The innermost symbol; of several with one address the first, which is .symtab's.
            if !name.is_empty() && best.is_none_or(|(before, _)| start > before) {
                *best = Some((start, name));
            }
        }
    }
    let mut found = vec![None; offsets.len()];
    for ((_, place), best) in wanted.iter().zip(best) {
        found[*place] = best.map(|(_, name)| demangled(name));
    }
    Symbols::Found(found)
}

/// Where the byte at this offset of the file is loaded, relative to the object's base.
fn virtual_address<'d, H, R>(object: &ElfFile<'d, H, R>, offset: u64) -> Option<u64>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let endian = object.endian();
    object.elf_program_headers().iter().find_map(|header| {
        let (start, size) = header.file_range(endian);
        let inside = header.p_type(endian) == elf::PT_LOAD && offset >= start && offset - start < size;
        inside.then(|| header.p_vaddr(endian).into().checked_add(offset - start)).flatten()
    })
}

/// A symbol's name as its language writes it: Rust without the hash, C++ without the return type.
pub fn demangled(name: &str) -> String {
    // glibc marks versions of a symbol by `@`: `memcpy@@GLIBC_2.14`.
    let bare = name.split_once('@').map_or(name, |(bare, _)| bare);
    if let Ok(rust) = rustc_demangle::try_demangle(bare) {
        return format!("{rust:#}");
    }
    if bare.starts_with("_Z")
        && let Ok(symbol) = cpp_demangle::Symbol::new(bare)
        && let Ok(cpp) = symbol.demangle_with_options(&cpp_demangle::DemangleOptions::new().no_return_type())
    {
        return cpp;
    }
    bare.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_their_language_writes_them() {
        assert_eq!(demangled("PyObject_Malloc"), "PyObject_Malloc");
        assert_eq!(demangled("_ZN3std2io5Write9write_all17h0123456789abcdefE"), "std::io::Write::write_all");
        assert_eq!(demangled("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
        assert_eq!(
            demangled("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back(int const&)"
        );
        assert_eq!(demangled("memcpy@@GLIBC_2.14"), "memcpy");
        assert_eq!(demangled("_Znonsense"), "_Znonsense");
    }

    #[test]
    fn what_is_no_object_has_no_symbols() {
        assert_eq!(functions_at(Path::new("/nowhere/at/all.so"), &[], &[1]), Symbols::Missing);
        assert_eq!(functions_at(Path::new("/dev/zero"), &[], &[1]), Symbols::Missing);
        assert_eq!(functions_at(Path::new(file!()), &[], &[1]), Symbols::Missing);
    }

    /// The test program itself: the place of a function of ours, as an offset in its file.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_function_of_this_program_is_found() {
        let program = std::env::current_exe().unwrap();
        let data = std::fs::read(&program).unwrap();
        let object = ElfFile::<elf::FileHeader64<Endianness>>::parse(&*data).unwrap();
        let symbol =
            object.symbols().find(|symbol| symbol.name().is_ok_and(|name| name.contains("functions_at"))).unwrap();
        let section =
            object::ObjectSection::file_range(&object.section_by_index(symbol.section_index().unwrap()).unwrap())
                .unwrap();
        let section_address =
            object::ObjectSection::address(&object.section_by_index(symbol.section_index().unwrap()).unwrap());
        let offset = symbol.address() - section_address + section.0;
        // The return address just after the last byte still belongs to it, one just at its first does not.
        let found = functions_at(&program, &[], &[offset + symbol.size(), offset, offset + 1]);
        let Symbols::Found(found) = found else { panic!("{found:?}") };
        assert!(found[0].as_ref().unwrap().ends_with("symbols::functions_at"), "{found:?}");
        assert!(!found[1].as_ref().is_some_and(|name| name.ends_with("symbols::functions_at")), "{found:?}");
        assert_eq!(found[2], found[0]);
        assert_eq!(functions_at(&program, &[1, 2, 3], &[offset]), Symbols::Changed);
    }
}
