//! Where functions without symbol begin, by the table for unwinding (`.eh_frame`), which a stripped object keeps: each of
//! its entries is for the code of one function. Parts that a compiler has put elsewhere (`.cold`) have entries of their own
//! and are functions here.
//!
//! Not functions are the stubs for calls of other objects: one entry is for all of a `.plt`. Nor are trampolines of signal
//! handlers, whose entries begin one byte early so that a look-up before the return address finds them.

use addr2line::gimli::{BaseAddresses, CieOrFde, EhFrame, RunTimeEndian, UnwindSection};
use object::{Object, ObjectSection, SectionFlags, elf};
use std::ops::Range;

/// The functions that some addresses are in.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// In ascending order of their starts.
    functions: Vec<Range<u64>>,
}

impl Ranges {
    /// Those of an object that these addresses, in ascending order, are in. Costs a pass over the table; what is damaged in
    /// it is passed over, or ends it.
    pub fn of(object: &object::File<'_>, addresses: &[u64]) -> Self {
        let table = object.section_by_name(".eh_frame").filter(|_| !addresses.is_empty());
        let Some((table, bytes)) = table.and_then(|table| Some((table.address(), table.data().ok()?))) else {
            return Self::default();
        };
        let address_of = |name| object.section_by_name(name).map_or(0, |section| section.address());
        let bases =
            BaseAddresses::default().set_eh_frame(table).set_text(address_of(".text")).set_got(address_of(".got"));
        let endian = if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let mut table = EhFrame::new(bytes, endian);
        table.set_address_size(if object.is_64() { 8 } else { 4 });
        Self::in_table(&table, &bases, &Code::of(object), addresses)
    }

    fn in_table(table: &Table<'_>, bases: &BaseAddresses, code: &Code, addresses: &[u64]) -> Self {
        let mut functions = Vec::new();
        let mut entries = table.entries(bases);
        // What entries have in common (CIE): mostly the one before is meant again.
        let mut last = None;
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(entry) = entry else { continue };
            let entry = entry.parse(|table, bases, offset| match &last {
                Some((at, common)) if *at == offset => Ok(Clone::clone(common)),
                _ => {
                    let common = table.cie_from_offset(bases, offset)?;
                    last = Some((offset, common.clone()));
                    Ok(common)
                }
            });
            let Ok(entry) = entry else { continue };
            let start = entry.initial_address();
            let Some(end) = start.checked_add(entry.len()) else { continue };
            let first = addresses.partition_point(|address| *address < start);
            let wanted = addresses.get(first).is_some_and(|address| *address < end);
            if wanted && !entry.is_signal_trampoline() && code.holds(start..end) {
                functions.push(start..end);
            }
        }
        functions.sort_unstable_by_key(|function| (function.start, function.end));
        Self { functions }
    }

    /// Where the function begins that this address, one of those that were asked for, is in; `None` if no function is
    /// known there.
    pub fn start_of(&self, address: u64) -> Option<u64> {
        let next = self.functions.partition_point(|function| function.start <= address);
        let function = &self.functions[next.checked_sub(1)?];
        function.contains(&address).then_some(function.start)
    }
}

type Table<'d> = EhFrame<addr2line::gimli::EndianSlice<'d, RunTimeEndian>>;

/// Sections with the code of functions, in ascending order.
struct Code(Vec<Range<u64>>);

impl Code {
    fn of(object: &object::File<'_>) -> Self {
        let is_code = |flags| match flags {
            SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(elf::SHF_EXECINSTR),
            _ => false,
        };
        let is_stubs = |name: &[u8]| matches!(name, b".plt" | b".iplt") || name.starts_with(b".plt.");
        let sections = object.sections().filter(|section| is_code(section.flags()));
        let functions = sections.filter(|section| section.name_bytes().is_ok_and(|name| !is_stubs(name)));
        let mut ranges: Vec<Range<u64>> = functions
            .filter_map(|section| Some(section.address()..section.address().checked_add(section.size())?))
            .collect();
        ranges.sort_unstable_by_key(|section| (section.start, section.end));
        Self(ranges)
    }

    /// Whether all of this is code of one section. (Entries for what a linker has removed begin at 0.)
    fn holds(&self, function: Range<u64>) -> bool {
        let next = self.0.partition_point(|section| section.start <= function.start);
        next.checked_sub(1).is_some_and(|place| function.end <= self.0[place].end)
    }
}

/// What stands for the name of a function without one that begins at this address of its object.
///
/// No name seems to be one: [`demangled`](super::demangled) takes off what follows an `@`, which is a version.
pub fn name_of(start: u64) -> String {
    format!("{PREFIX}{start:x}")
}

const PREFIX: &str = "func@0x";

/// Whether this is no name but says where the function begins, see [`name_of`].
pub fn is_start(function: &str) -> bool {
    let digits = function.strip_prefix(PREFIX).unwrap_or_default();
    (1..=16).contains(&digits.len()) && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: u64 = 0x9000;

    /// An entry for what others have in common: addresses of four bytes relative to their own place.
    fn common(augmentation: &str) -> Vec<u8> {
        let mut entry = vec![0, 0, 0, 0, 1];
        entry.extend(augmentation.as_bytes());
        // End of the text, factors 1 and -8, return address in 16, one byte more: pcrel | sdata4.
        entry.extend([0, 1, 0x78, 16, 1, 0x1b]);
        sized(entry)
    }

    fn sized(mut entry: Vec<u8>) -> Vec<u8> {
        entry.resize(entry.len().next_multiple_of(4), 0);
        [&(entry.len() as u32).to_le_bytes(), &entry[..]].concat()
    }

    /// A table: entries for functions (start, bytes), each under the common one that begins there.
    fn table(commons: &[&str], functions: &[(usize, u64, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for augmentation in commons {
            places.push(bytes.len());
            bytes.extend(common(augmentation));
        }
        for (of, start, length) in functions {
            let at = bytes.len() + 4;
            let mut entry = ((at - places[*of]) as u32).to_le_bytes().to_vec();
            entry.extend((start.wrapping_sub(TABLE + at as u64 + 4) as u32).to_le_bytes());
            entry.extend(length.to_le_bytes());
            entry.push(0);
            bytes.extend(sized(entry));
        }
        bytes.extend([0; 4]);
        bytes
    }

    fn ranges(bytes: &[u8], code: &[Range<u64>], addresses: &[u64]) -> Ranges {
        let mut table = EhFrame::new(bytes, RunTimeEndian::Little);
        table.set_address_size(8);
        let bases = BaseAddresses::default().set_eh_frame(TABLE);
        Ranges::in_table(&table, &bases, &Code(code.to_vec()), addresses)
    }

    fn starts(bytes: &[u8], code: &[Range<u64>], addresses: &[u64]) -> Vec<Option<u64>> {
        let ranges = ranges(bytes, code, addresses);
        addresses.iter().map(|address| ranges.start_of(*address)).collect()
    }

    const CODE: [Range<u64>; 2] = [0x1000..0x2000, 0x3000..0x3100];

    #[test]
    fn a_function_is_its_bytes_and_no_more() {
        // Not in their order, with a gap from 0x1030 to 0x1040.
        let bytes = table(&["zR"], &[(0, 0x1040, 0x10), (0, 0x1000, 0x20), (0, 0x3000, 0x100), (0, 0x1020, 0x10)]);
        let asked = [0xfff, 0x1000, 0x101f, 0x1020, 0x102f, 0x1030, 0x103f, 0x1040, 0x104f, 0x1050, 0x30ff, 0x3100];
        let [a, b, c, d] = [0x1000, 0x1020, 0x1040, 0x3000].map(Some);
        assert_eq!(starts(&bytes, &CODE, &asked), [None, a, a, b, b, None, None, c, c, None, d, None]);
        // Only what was asked for is kept.
        assert_eq!(format!("{:x?}", ranges(&bytes, &CODE, &[0x1021, 0x1022]).functions), "[1020..1030]");
    }

    #[test]
    fn what_is_no_code_of_one_section_is_no_function() {
        // Removed, across the end of a section, around all, without length, up to the end of all addresses.
        let removed = (0, 0, 0x1800);
        let others = [(0, 0x1ff0, 0x20), (0, 0x800, 0x4000), (0, 0x1010, 0), (0, 0x1020, u32::MAX)];
        let bytes = table(&["zR"], &[&[removed][..], &others].concat());
        assert_eq!(starts(&bytes, &CODE, &[0x1010, 0x1020, 0x1ff8, 0x3000]), [None; 4]);
        // They do not hide the one that is.
        let bytes = table(&["zR"], &[&others[..], &[(0, 0x1008, 0x20)]].concat());
        assert_eq!(starts(&bytes, &CODE, &[0x1010, 0x1020]), [Some(0x1008); 2]);
    }

    #[test]
    fn trampolines_of_signal_handlers_are_no_functions() {
        let bytes = table(&["zR", "zRS"], &[(0, 0x1000, 0x10), (1, 0x1010, 0x10), (0, 0x1020, 0x10), (1, 0x1030, 8)]);
        assert_eq!(starts(&bytes, &CODE, &[0x1004, 0x1014, 0x1024, 0x1034]), [Some(0x1000), None, Some(0x1020), None]);
    }

    /// What is not understood costs its own entries alone, where its length is right.
    #[test]
    fn damage_costs_names_and_nothing_else() {
        let functions: Vec<(usize, u64, u32)> = (0..20).map(|number| (0, 0x1000 + number * 16, 16)).collect();
        let good = table(&["zR"], &functions);
        let asked: Vec<u64> = (0..20).map(|number| 0x1008 + number * 16).collect();
        assert_eq!(starts(&good, &CODE, &asked).iter().flatten().count(), 20);
        for at in 0..good.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= bits;
                for (address, start) in asked.iter().zip(starts(&bad, &CODE, &asked)) {
                    assert!(start.is_none_or(|start| start <= *address), "byte {at}");
                }
            }
            let found = starts(&good[..at], &CODE, &asked);
            let (known, unknown) = found.split_at(found.iter().flatten().count());
            assert!(known.iter().all(Option::is_some) && unknown.iter().all(Option::is_none), "cut at {at}");
        }
        // A table without end: its one entry says that it is as long as can be.
        assert_eq!(starts(&[0xff, 0xff, 0xff, 0xff, 0xf0, 0xff, 0xff, 0xff], &CODE, &asked), [None; 20]);
    }

    /// Of an object that a linker has made: the shell.
    #[test]
    fn stubs_for_calls_of_other_objects_are_no_functions() {
        let bytes = std::fs::read("/bin/sh").unwrap();
        let object = object::File::parse(&*bytes).unwrap();
        let stubs = object.section_by_name(".plt").map(|section| section.address()..section.address() + section.size());
        let Some(stubs) = stubs else { return };
        let asked: Vec<u64> = stubs.clone().chain(object.entry()..object.entry() + 1).collect();
        let ranges = Ranges::of(&object, &asked);
        assert!(stubs.clone().all(|stub| ranges.start_of(stub).is_none()));
        assert_eq!(ranges.start_of(object.entry()), Some(object.entry()));
        // Were they taken for code, one function would be all of them.
        let table = object.section_by_name(".eh_frame").unwrap();
        let bases = BaseAddresses::default().set_eh_frame(table.address());
        let mut frames = EhFrame::new(table.data().unwrap(), RunTimeEndian::Little);
        frames.set_address_size(8);
        let everywhere = Ranges::in_table(&frames, &bases, &Code(std::iter::once(0..u64::MAX).collect()), &asked);
        assert_eq!(everywhere.start_of(stubs.end - 1), Some(stubs.start));
    }

    #[test]
    fn a_start_is_told_from_a_name() {
        assert_eq!(name_of(0x12f40), "func@0x12f40");
        for start in [0, 0x12f40, u64::MAX] {
            assert!(is_start(&name_of(start)));
        }
        for name in ["", "func", "func@0x", "func@0xABC", "func@0x12 in app", "func@0x11112222333344445", "xfunc@0x12"]
        {
            assert!(!is_start(name), "{name}");
        }
    }
}
