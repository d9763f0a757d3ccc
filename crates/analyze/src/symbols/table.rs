//! Functions by symbol table, where nothing better is known.
//!
//! A symbol with a size is the name of its bytes and of no other; gaps between symbols have no name. One without size (a
//! label of an assembler) reaches to the next symbol of its section, but only if the table is whole: where a stripped
//! object shows nothing but its exported symbols, what follows one of them can be anybody's. Where functions begin and end
//! is another table's to say, and the caller's to ask ([`Symbol::label_at`]). Of several names for one
//! place the one that other objects see is taken, and of those the plainest.

use object::{Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, SectionFlags, SectionIndex, SymbolKind, elf};
use std::cmp::Reverse;

/// The symbol of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'d> {
    /// The name, as it stands in the table.
    pub name: &'d str,
    /// Where the symbol is, if it has no size: how far it reaches is then a guess.
    pub label_at: Option<u64>,
}

/// The symbol of each address; `None` where there is none. `addresses` in ascending order.
/// `objects` are the object and the separate debug file that belongs to it: each has a table of its own.
pub fn symbols_of<'d>(objects: &[&object::File<'d>], addresses: &[u64]) -> Vec<Option<Symbol<'d>>> {
    let mut best: Vec<Option<Candidate<'d>>> = vec![None; addresses.len()];
    for object in objects {
        let executable = executable_sections(object);
        for symbol in object.symbols().chain(object.dynamic_symbols()) {
            let Some(place) = Place::of(&symbol, &executable).filter(|place| place.size > 0) else { continue };
            let Some(end) = place.start.checked_add(place.size) else { continue };
            let from = addresses.partition_point(|address| *address < place.start);
            let within = addresses[from..].iter().take_while(|address| **address < end).count();
            if within == 0 {
                continue;
            }
            let Some(candidate) = Candidate::of(&symbol, place) else { continue };
            for best in &mut best[from..from + within] {
                if best.is_none_or(|before| candidate.key() > before.key()) {
                    *best = Some(candidate);
                }
            }
        }
    }
    let symbol = |best: Candidate<'d>| Symbol { name: best.name, label_at: None };
    let mut symbols: Vec<Option<Symbol<'_>>> = best.into_iter().map(|best| best.map(symbol)).collect();
    for object in objects {
        if symbols.iter().any(Option::is_none) {
            name_by_labels(object, addresses, &mut symbols);
        }
    }
    symbols
}

/// Where a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    start: u64,
    size: u64,
    section: SectionIndex,
}

impl Place {
    /// Of what can be code: functions, and symbols without type in an executable section.
    fn of<'d>(symbol: &impl ObjectSymbol<'d>, executable: &[SectionIndex]) -> Option<Self> {
        let section = symbol.section_index()?;
        let code = match symbol.kind() {
            SymbolKind::Text => true,
            SymbolKind::Unknown | SymbolKind::Label => executable.contains(&section),
            _ => false,
        };
        (code && symbol.is_definition()).then_some(Self { start: symbol.address(), size: symbol.size(), section })
    }
}

#[derive(Clone, Copy, Debug)]
struct Candidate<'d> {
    name: &'d str,
    start: u64,
    global: bool,
    weak: bool,
}

impl<'d> Candidate<'d> {
    fn of(symbol: &impl ObjectSymbol<'d>, place: Place) -> Option<Self> {
        let name = symbol.name().ok().filter(|name| is_name(name))?;
        Some(Self { name, start: place.start, global: symbol.is_global(), weak: symbol.is_weak() })
    }

    /// The largest is taken: the innermost symbol, then the plainest name.
    fn key(&self) -> (u64, bool, bool, Reverse<usize>, Reverse<usize>, Reverse<&'d str>) {
        let underscores = self.name.len() - self.name.trim_start_matches('_').len();
        (self.start, self.global, !self.weak, Reverse(underscores), Reverse(self.name.len()), Reverse(self.name))
    }
}

/// Not empty, not a mark for disassemblers (`$x`, `$d` of arm), not a label of a compiler.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('$') && !name.starts_with(".L")
}

fn executable_sections(object: &object::File<'_>) -> Vec<SectionIndex> {
    // By flags: in a separate debug file the sections of the code have no bytes, hence another kind.
    let executable = |flags| match flags {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(elf::SHF_EXECINSTR),
        _ => false,
    };
    object.sections().filter(|section| executable(section.flags())).map(|section| section.index()).collect()
}

/// Names what is behind symbols without size, by the whole table of an object.
fn name_by_labels<'d>(object: &object::File<'d>, addresses: &[u64], symbols: &mut [Option<Symbol<'d>>]) {
    let Some(table) = object.symbol_table() else { return };
    let executable = executable_sections(object);
    let mut places: Vec<(Place, object::SymbolIndex)> =
        table.symbols().filter_map(|symbol| Some((Place::of(&symbol, &executable)?, symbol.index()))).collect();
    places.sort_unstable_by_key(|(place, index)| (place.start, place.size, index.0));
    for (address, symbol) in addresses.iter().zip(symbols.iter_mut()).filter(|(_, symbol)| symbol.is_none()) {
        let Some(last) = places.partition_point(|(place, _)| place.start <= *address).checked_sub(1) else { continue };
        let (place, index) = places[last];
        // The last of those that begin there is the largest: one with a size has ended before.
        let ends = object.section_by_index(place.section).ok().and_then(|s| s.address().checked_add(s.size()));
        if place.size > 0 || ends.is_none_or(|end| *address >= end) {
            continue;
        }
        let name = table.symbol_by_index(index).ok().and_then(|symbol| symbol.name().ok()).filter(|name| is_name(name));
        *symbol = name.map(|name| Symbol { name, label_at: Some(place.start) });
    }
}
