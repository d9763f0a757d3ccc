//! The names of tasks that a thread has described, each as a pseudo code object.

use crate::memory::Pages;
use crate::python::codes::Codes;
use crate::python::offsets::Offsets;
use crate::ring::Writer;

/// The file of the frame.
const FILE: &[u8] = b"<asyncio task>";
/// Its function if the name is one that asyncio made up (`Task-7`).
const AUTOMATIC: &[u8] = b"Task";
/// Its function once a thread has shown [`MOST_NAMES`].
const OTHERS: &[u8] = b"other tasks";
/// Names that a thread shows.
const MOST_NAMES: usize = 4096;
/// Bytes of a name that are kept: beyond, it is cut.
const NAME_BYTES: usize = 96;

/// What is shown above a frame of `Handle._run`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Name {
    kind: u8,
    width: u8,
    length: u8,
    bytes: [u8; NAME_BYTES],
}

impl Name {
    /// No task, or its name cannot be read.
    pub const NOTHING: Self = Self { kind: 0, width: 1, length: 0, bytes: [0; NAME_BYTES] };
    /// A name that asyncio made up.
    pub const AUTOMATIC: Self = Self { kind: 1, ..Self::NOTHING };

    /// A name that the program gave; `width` is the bytes of each of its characters.
    pub fn given(text: &[u8], width: u8) -> Self {
        let length = text.len().min(NAME_BYTES / usize::from(width) * usize::from(width));
        let mut name = Self { kind: 2, width, length: length as u8, ..Self::NOTHING };
        name.bytes[..length].copy_from_slice(&text[..length]);
        name
    }

    fn hash(&self) -> usize {
        let seed = u64::from(self.length) << 8 | u64::from(self.width);
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        let hash = self.bytes.iter().fold(seed ^ 0xCBF2_9CE4_8422_2325, mix);
        (hash ^ hash >> 32) as usize
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Named {
    name: Name,
    /// Number of the pseudo code plus 1; 0: the entry is free.
    number: u32,
}

/// The names of a thread.
#[derive(Default)]
#[repr(C)]
pub struct Names {
    table: Pages<Named>,
    named: usize,
    /// Numbers of the pseudo codes for [`AUTOMATIC`] and [`OTHERS`] plus 1; 0: not described yet.
    shared: [u32; 2],
}

impl Names {
    /// Bytes it holds beside itself.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Forgets everything: a new thread begins in this ring.
    pub fn clear(&mut self) {
        self.table.truncate(0);
        (self.named, self.shared) = (0, [0; 2]);
    }

    /// Number of the pseudo code that shows a name, described now if it is new. `None` if it cannot be.
    pub fn number(&mut self, codes: &mut Codes, ring: &mut Writer, name: &Name, offsets: &Offsets) -> Option<u32> {
        if *name == Name::AUTOMATIC {
            return self.shared(0, AUTOMATIC, codes, ring, offsets);
        }
        if self.named * 2 >= self.table.len() && self.named < MOST_NAMES && !self.grow() {
            return None;
        }
        let place = match self.find(name) {
            Ok(place) => return Some(self.table.as_slice()[place].number - 1),
            Err(place) => place,
        };
        if self.named >= MOST_NAMES {
            return self.shared(1, OTHERS, codes, ring, offsets);
        }
        let text = (&name.bytes[..usize::from(name.length)], name.width);
        let number = codes.pseudo(ring, text, FILE, offsets)?;
        self.table.as_mut_slice()[place] = Named { name: *name, number: number + 1 };
        self.named += 1;
        Some(number)
    }

    fn shared(
        &mut self,
        which: usize,
        name: &[u8],
        codes: &mut Codes,
        ring: &mut Writer,
        offsets: &Offsets,
    ) -> Option<u32> {
        if self.shared[which] == 0 {
            self.shared[which] = codes.pseudo(ring, (name, 1), FILE, offsets)? + 1;
        }
        Some(self.shared[which] - 1)
    }

    /// Where the name is, or the place where it belongs. The table is at most half full.
    fn find(&self, name: &Name) -> Result<usize, usize> {
        let table = self.table.as_slice();
        let mask = table.len().wrapping_sub(1);
        let mut place = name.hash() & mask;
        while let Some(entry) = table.get(place) {
            if entry.number == 0 {
                return Err(place);
            }
            if entry.name == *name {
                return Ok(place);
            }
            place = (place + 1) & mask;
        }
        Err(0)
    }

    fn grow(&mut self) -> bool {
        let mut larger = Pages::default();
        if !larger.resize_zeroed((self.table.len() * 2).max(64)) {
            return false;
        }
        let mut old = core::mem::replace(&mut self.table, larger);
        for entry in old.as_slice().iter().filter(|entry| entry.number != 0) {
            if let Err(place) = self.find(&entry.name) {
                self.table.as_mut_slice()[place] = *entry;
            }
        }
        old.release();
        true
    }
}
