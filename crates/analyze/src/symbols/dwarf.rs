//! Functions, inlined functions and lines, by the debug information of an object.
//!
//! Damage is met in two ways: what addr2line reports leaves a place without name, and what would make it recurse or
//! repeat itself without end is looked for before it is asked ([`is_bearable`]).

use addr2line::gimli::{self, EndianSlice, RunTimeEndian, Section, SectionId};
use addr2line::{Context, Frame};
use object::{CompressionFormat, Object, ObjectSection};
use std::borrow::Cow;

type Reader<'d> = EndianSlice<'d, RunTimeEndian>;

/// The sections of an object that hold debug information, unpacked where they were packed.
pub struct Sections<'d> {
    own: gimli::DwarfSections<Cow<'d, [u8]>>,
    /// Those of the file that several debug files share parts in (`dwz`).
    shared: Option<gimli::DwarfSections<Cow<'d, [u8]>>>,
    endian: RunTimeEndian,
}

/// One function at a place, as its debug information names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level<'a> {
    /// Its linkage name if it has one, else its plain name; `None` if it is not known.
    pub function: Option<&'a str>,
    /// The source file, absolute if the compiler said where it worked; `None` if it is not known.
    pub file: Option<&'a str>,
    /// The line in it, from 1; 0 if it is not known.
    pub line: u32,
}

impl<'d> Sections<'d> {
    /// Those of this object; `None` if it has no debug information.
    pub fn of(object: &object::File<'d>, shared: Option<&object::File<'d>>) -> Option<Self> {
        let endian = if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        object.section_by_name(SectionId::DebugInfo.name())?;
        let own = gimli::DwarfSections::load(|id| section(object, id)).ok()?;
        let shared = shared.and_then(|object| gimli::DwarfSections::load(|id| section(object, id)).ok());
        Some(Self { own, shared, endian })
    }

    /// Everything that can be asked of them; `None` if they are damaged.
    pub fn lookup(&self) -> Option<Lookup<'_>> {
        let dwarf = || {
            let mut dwarf = self.own.borrow(|bytes| EndianSlice::new(bytes, self.endian));
            if let Some(shared) = &self.shared {
                dwarf.set_sup(shared.borrow(|bytes| EndianSlice::new(bytes, self.endian)));
            }
            dwarf
        };
        is_bearable(&dwarf()).ok().filter(|bearable| *bearable)?;
        let mut dwarf = dwarf();
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        Some(Lookup { context: Context::from_dwarf(dwarf).ok()? })
    }
}

/// How much longer than it is stored a section may claim to be: more than compilers' output packs to.
const MOST_UNPACKED: u64 = 100;

fn section<'d>(object: &object::File<'d>, id: SectionId) -> Result<Cow<'d, [u8]>, gimli::Error> {
    let none = Ok(Cow::Borrowed(&[][..]));
    // What neither functions nor lines need, and is large.
    use SectionId::{DebugFrame, DebugLoc, DebugLocLists, DebugMacinfo, DebugMacro, DebugNames, DebugTypes, EhFrame};
    let unused = [DebugFrame, DebugLoc, DebugLocLists, DebugMacinfo, DebugMacro, DebugNames, DebugTypes, EhFrame];
    if unused.contains(&id) {
        return none;
    }
    let Some(section) = object.section_by_name(id.name()) else { return none };
    let Ok(stored) = section.compressed_data() else { return none };
    // A claim of terabytes would be believed.
    let packed = stored.data.len() as u64;
    if stored.format != CompressionFormat::None && stored.uncompressed_size > packed.saturating_mul(MOST_UNPACKED) {
        return none;
    }
    Ok(stored.decompress().unwrap_or_default())
}

/// Deepest nesting of entries that is followed. Blocks and inlined functions of real programs nest to some dozens; each
/// level takes up to a kilobyte of stack.
const MOST_LEVELS: isize = 2_000;

/// Bytes of line programs that units may name beyond those of the section. Files made smaller by `dwz` have thousands of
/// partial units that name the program of one whole unit each.
const SHARED_LINES: u64 = 128 << 20;

/// Whether the entries of all units nest no deeper than [`MOST_LEVELS`], and their line programs are not many times the
/// section that holds them: addr2line recurses into the former, and runs the latter anew for each unit that names one.
fn is_bearable(dwarf: &gimli::Dwarf<Reader<'_>>) -> gimli::Result<bool> {
    let mut units = dwarf.units();
    let mut lines_left = (dwarf.debug_line.reader().len() as u64).saturating_mul(2) + SHARED_LINES;
    while let Some(header) = units.next()? {
        // A unit that cannot be read is passed over by addr2line as well.
        let Ok(unit) = dwarf.unit(header) else { continue };
        if let Some(program) = &unit.line_program {
            let bytes = program.header().raw_program_buf().len() as u64;
            let Some(left) = lines_left.checked_sub(bytes) else { return Ok(false) };
            lines_left = left;
        }
        let mut entries = gimli::UnitRef::new(dwarf, &unit).entries_raw(None)?;
        while !entries.is_empty() {
            if let Some(abbreviation) = entries.read_abbreviation()? {
                if entries.next_depth() > MOST_LEVELS {
                    return Ok(false);
                }
                entries.skip_attributes(abbreviation.attributes())?;
            }
        }
    }
    Ok(true)
}

/// Debug information that can be asked for places.
pub struct Lookup<'a> {
    context: Context<Reader<'a>>,
}

/// Most functions that are taken to be inlined into each other; of more only the outermost is told.
const MOST_INLINED: usize = 200;

impl<'a> Lookup<'a> {
    /// The functions at this address, outermost first: each but the last with the line in which the next is called.
    /// Empty if nothing is known.
    ///
    /// Given to `read`, since the names are borrowed from what this call finds.
    pub fn levels<T>(&self, address: u64, read: impl FnOnce(&[Level<'_>]) -> T) -> T {
        // Parts in files of their own (`.dwo`) are not loaded: what they would have told comes from the symbol table.
        let Ok(mut frames) = self.context.find_frames(address).skip_all_loads() else { return read(&[]) };
        let mut found: Vec<Frame<'_, Reader<'a>>> = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            found.push(frame);
        }
        if found.len() > MOST_INLINED {
            found.drain(..found.len() - 1);
        }
        fn level<'f>(frame: &'f Frame<'_, Reader<'_>>) -> Level<'f> {
            let location = frame.location.as_ref();
            Level {
                function: frame.function.as_ref().and_then(|name| std::str::from_utf8(name.name.slice()).ok()),
                file: location.and_then(|location| location.file).filter(|file| !file.is_empty()),
                line: location.and_then(|location| location.line).unwrap_or(0),
            }
        }
        let levels: Vec<Level<'_>> = found.iter().rev().map(level).collect();
        read(&levels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit of DWARF 4 in which so many inlined functions are each in the one before.
    fn is_nested_bearable(levels: usize) -> bool {
        // Code, tag, has children, no attributes: a unit, an inlined function.
        let abbreviations = [1, 0x11, 1, 0, 0, 2, 0x1d, 1, 0, 0, 0];
        let mut unit = vec![4, 0, 0, 0, 0, 0, 8, 1];
        unit.extend(vec![2; levels]);
        unit.extend(vec![0; levels + 1]);
        let information = [&(unit.len() as u32).to_le_bytes(), &unit[..]].concat();
        let sections = gimli::DwarfSections::load(|id| -> Result<Vec<u8>, gimli::Error> {
            Ok(match id {
                SectionId::DebugAbbrev => abbreviations.to_vec(),
                SectionId::DebugInfo => information.clone(),
                _ => Vec::new(),
            })
        });
        let sections = sections.unwrap();
        is_bearable(&sections.borrow(|bytes| EndianSlice::new(bytes, RunTimeEndian::Little))).unwrap()
    }

    #[test]
    fn nesting_without_end_is_not_followed() {
        assert!(is_nested_bearable(200));
        assert!(!is_nested_bearable(100_000));
    }
}
