//! ELF files as they are on the disk: opened, told apart by build id, and where in memory their bytes come to lie.

use memmap2::Mmap;
use object::read::elf::{ElfFile, FileHeader, ProgramHeader as _};
use object::{Endianness, FileKind, Object, ReadRef, elf};
use std::fs::{File, Metadata};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// A file that was mapped. Of an object of a gigabyte only what is looked at is read.
pub struct Mapped {
    bytes: Mmap,
    /// Size and time of the last change.
    pub stamp: Stamp,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change in nanoseconds since 1970; 0 if the file system does not tell, or before.
    pub modified: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        Self { size: metadata.len(), modified }
    }

    /// That of the regular file at `path`, if there is one.
    pub fn at(path: &Path) -> Option<Self> {
        path.metadata().ok().filter(Metadata::is_file).map(|metadata| Self::of(&metadata))
    }
}

impl Mapped {
    /// Maps a regular file that begins as ELF does; `None` for anything else.
    pub fn open(path: &Path) -> Option<Self> {
        // A path in a capture can name anything: a FIFO would wait for ever.
        Stamp::at(path)?;
        let file = File::open(path).ok()?;
        let stamp = Stamp::of(&file.metadata().ok()?);
        // SAFETY: the mapping is private and read-only, so nothing of ours changes it. That nobody else writes to the
        // file or cuts it while a report is made, nobody guarantees: linkers and installers put a new file in the place
        // of the old, but one who copies over it in place can make the bytes change between two reads (all readers of
        // them check each value that they use) or end the report by SIGBUS. Reading sections into memory instead would
        // cost gigabytes for the objects that have the most to tell.
        let bytes = unsafe { Mmap::map(&file) }.ok()?;
        bytes.starts_with(b"\x7fELF").then_some(Self { bytes, stamp })
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The object in it, if its tables can be read.
    pub fn object(&self) -> Option<object::File<'_>> {
        object::File::parse(self.bytes()).ok()
    }

    /// The loaded part of the object; see [`Segments`].
    pub fn segments(&self) -> Segments {
        match FileKind::parse(self.bytes()) {
            Ok(FileKind::Elf64) => Segments::of::<elf::FileHeader64<Endianness>, _>(self.bytes()),
            Ok(FileKind::Elf32) => Segments::of::<elf::FileHeader32<Endianness>, _>(self.bytes()),
            _ => Segments(Vec::new()),
        }
    }
}

/// Where the executable bytes of an object are loaded.
#[derive(Clone, Debug)]
pub struct Segments(Vec<Segment>);

#[derive(Clone, Copy, Debug)]
struct Segment {
    offset: u64,
    size: u64,
    address: u64,
}

impl Segments {
    fn of<'d, H, R>(data: R) -> Self
    where
        H: FileHeader<Endian = Endianness>,
        R: ReadRef<'d>,
    {
        let Ok(object) = ElfFile::<H, R>::parse(data) else { return Self(Vec::new()) };
        let endian = object.endian();
        let loaded = object
            .elf_program_headers()
            .iter()
            .filter(|header| header.p_type(endian) == elf::PT_LOAD && header.p_flags(endian).contains(elf::PF_X));
        let segment = |header: &H::ProgramHeader| {
            let (offset, size) = header.file_range(endian);
            Segment { offset, size, address: header.p_vaddr(endian).into() }
        };
        Self(loaded.map(segment).collect())
    }

    /// Where the byte at this offset of the file is loaded, relative to the object's base; `None` if it is in no
    /// executable segment.
    pub fn address(&self, offset: u64) -> Option<u64> {
        let inside = |segment: &&Segment| offset >= segment.offset && offset - segment.offset < segment.size;
        let segment = self.0.iter().find(inside)?;
        segment.address.checked_add(offset - segment.offset)
    }
}

/// The GNU build id of an object; empty if it has none.
pub fn build_id<'d>(object: &object::File<'d>) -> &'d [u8] {
    object.build_id().ok().flatten().unwrap_or_default()
}
