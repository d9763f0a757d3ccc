//! Code objects: each is described in the thread's ring once, before the first stack that has it.
//!
//! Code objects die, and another may come to lie at the same address. Threads know codes by address, so a death must
//! be noticed: the deallocator of the code type is wrapped, the one write this shim makes to the interpreter's memory.
//! It counts deaths by address (hashed) and altogether. A thread that finds the sum changed looks at each code of its
//! stack again; one whose own count has changed is described anew.

use super::check;
use super::offsets::{self, Offsets};
use super::tasks;
use crate::memory::Pages;
use crate::ring::Writer;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use heaptide_format::shared::Unread;
use heaptide_format::wire::{BlobKind, code};

const COUNTERS: usize = 1 << 16;
static DEATHS: [AtomicU32; COUNTERS] = [const { AtomicU32::new(0) }; COUNTERS];
static ALL_DEATHS: AtomicU32 = AtomicU32::new(0);
static REAL_DEALLOCATOR: AtomicUsize = AtomicUsize::new(0);

/// Begins to count deaths of code objects.
pub fn watch_deaths(code_type: NonNull<u8>, _offsets: &Offsets) {
    // SAFETY: `PyCode_Type` is a PyTypeObject, aligned and alive for ever; tp_dealloc is a pointer in it that all
    // versions read anew at each deallocation. Only this function writes it.
    let slot = unsafe { code_type.add(offsets::TYPE_DEALLOC).cast::<AtomicUsize>().as_ref() };
    REAL_DEALLOCATOR.store(slot.load(Ordering::Acquire), Ordering::Release);
    slot.store(code_dies as extern "C" fn(usize) as usize, Ordering::Release);
}

extern "C" fn code_dies(object: usize) {
    super::note_death();
    counter(object).fetch_add(1, Ordering::Relaxed);
    ALL_DEATHS.fetch_add(1, Ordering::Release);
    // SAFETY: the type's own deallocator, which takes the object.
    let real: extern "C" fn(usize) = unsafe { core::mem::transmute(REAL_DEALLOCATOR.load(Ordering::Relaxed)) };
    real(object);
}

/// Deaths so far; if this has not changed, no code object has died since.
#[inline(always)]
pub fn deaths() -> u32 {
    ALL_DEATHS.load(Ordering::Acquire)
}

fn hash(address: usize) -> usize {
    (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(20) as usize
}

fn counter(address: usize) -> &'static AtomicU32 {
    &DEATHS[hash(address) & (COUNTERS - 1)]
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    address: usize,
    /// Number of the code in this thread's ring, plus 1; 0: the entry is free; [`HIDDEN`].
    number: u32,
    /// Count of deaths at this address when it was described.
    deaths: u32,
    /// Count of all deaths when the one above was compared last: the counters need not be asked again before it changes.
    compared: u32,
}

/// As an entry's number: a code of the interpreter's own, which is not shown.
const HIDDEN: u32 = u32::MAX;

/// The codes that a thread has described.
#[derive(Default)]
#[repr(C)]
pub struct Codes {
    table: Pages<Entry>,
    entries: usize,
    described: u32,
    /// Addresses of those that are `Handle._run` of asyncio (there is one, unless somebody copies it).
    runners: [usize; 4],
    runner_count: usize,
}

impl Codes {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// How many addresses it knows.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Forgets all: a new thread begins in this ring.
    pub fn clear(&mut self) {
        self.table.truncate(0);
        (self.entries, self.described, self.runner_count) = (0, 0, 0);
    }

    /// The number of a code object that is alive (a frame holds it). `None` if it is the interpreter's own, or could not
    /// be described.
    #[inline]
    pub fn number(&mut self, ring: &mut Writer, address: usize, offsets: &Offsets) -> Option<u32> {
        let all = deaths();
        if let Ok(place) = self.find(address) {
            let entry = &mut self.table.as_mut_slice()[place];
            if entry.compared == all {
                return (entry.number != HIDDEN).then(|| entry.number - 1);
            }
            if entry.deaths == counter(address).load(Ordering::Relaxed) {
                entry.compared = all;
                return (entry.number != HIDDEN).then(|| entry.number - 1);
            }
        }
        self.describe(ring, address, all, offsets)
    }

    /// The entry of this address, or the place where it belongs.
    #[inline]
    fn find(&self, address: usize) -> Result<usize, usize> {
        let table = self.table.as_slice();
        let mask = table.len().wrapping_sub(1);
        let mut place = hash(address) & mask;
        while let Some(entry) = table.get(place) {
            if entry.number == 0 {
                return Err(place);
            }
            if entry.address == address {
                return Ok(place);
            }
            place = (place + 1) & mask;
        }
        Err(0)
    }

    #[cold]
    fn describe(&mut self, ring: &mut Writer, address: usize, compared: u32, offsets: &Offsets) -> Option<u32> {
        let deaths = counter(address).load(Ordering::Relaxed);
        if self.entries * 2 >= self.table.len() && !self.grow() {
            return None;
        }
        // SAFETY: a frame of this thread holds the object, so it and the objects in it live through this hook.
        if !unsafe { check::is_code(address) } {
            // A frame of something else than a function (3.13 leaves room for that). Its death would not be noticed, so
            // nothing is remembered of it.
            return None;
        }
        // SAFETY: as above. This is not the first stack.
        if !unsafe { check::holds_what_it_must(address, offsets) } {
            super::leave_unread(Unread::OtherLayout);
            return None;
        }
        // SAFETY: as above.
        let number = if unsafe { is_of_the_interpreter(address, offsets) } {
            HIDDEN
        } else {
            // SAFETY: as above.
            unsafe { write_code(ring, address, offsets) }.then_some(())?;
            // SAFETY: as above.
            self.note_runner(address, unsafe { is_handles_run(address, offsets) });
            self.described += 1;
            self.described
        };
        let entry = Entry { address, number, deaths, compared };
        let place = match self.find(address) {
            Ok(place) => place,
            Err(place) => {
                self.entries += 1;
                place
            }
        };
        self.table.as_mut_slice()[place] = entry;
        (number != HIDDEN).then(|| number - 1)
    }

    /// Whether this code, which [`Self::number`] has just been asked for, is `Handle._run` of asyncio.
    #[inline(always)]
    pub fn runs_handles(&self, address: usize) -> bool {
        self.runner_count != 0 && self.runners[..self.runner_count].contains(&address)
    }

    fn note_runner(&mut self, address: usize, runs_handles: bool) {
        if let Some(place) = self.runners[..self.runner_count].iter().position(|runner| *runner == address) {
            self.runner_count -= 1;
            self.runners[place] = self.runners[self.runner_count];
        }
        if runs_handles && self.runner_count < self.runners.len() {
            self.runners[self.runner_count] = address;
            self.runner_count += 1;
        }
    }

    /// Describes what is no code object, but shown as a frame of that name and file, without line (instruction -1). The
    /// width is the bytes of each character of the name. `None` if it could not be described.
    pub fn pseudo(&mut self, ring: &mut Writer, name: (&[u8], u8), file: &[u8], offsets: &Offsets) -> Option<u32> {
        put_code(ring, (0, offsets.version), name, (file, 1), &[]).then_some(())?;
        self.described += 1;
        Some(self.described - 1)
    }

    fn grow(&mut self) -> bool {
        let mut larger = Pages::default();
        if !larger.resize_zeroed((self.table.len() * 2).max(512)) {
            return false;
        }
        let mut old = core::mem::replace(&mut self.table, larger);
        for entry in old.as_slice().iter().filter(|entry| entry.number != 0) {
            if let Err(place) = self.find(entry.address) {
                self.table.as_mut_slice()[place] = *entry;
            }
        }
        old.release();
        true
    }
}

/// Whether a code is one that no program wrote: `_Py_InitCleanup`, which the interpreter (3.13 on) puts between a call of a
/// class and its `__init__`. Its name is its file name too, the same object. That could be so of a program's own code,
/// but this one is static, and says so by a count of references that no other code object has.
///
/// # Safety
/// `address` is a live code object.
unsafe fn is_of_the_interpreter(address: usize, offsets: &Offsets) -> bool {
    // SAFETY: fields of a live code object.
    let (name, file): (usize, usize) = unsafe { (read(address, offsets.code_name), read(address, offsets.code_file)) };
    // SAFETY: the count of references, its lower half, is what every object begins with.
    offsets.version >= 0x030D && name == file && unsafe { read::<u32>(address, 0) } >= offsets::IMMORTAL
}

/// Reads a `T` at `address + offset`.
///
/// # Safety
/// There must be one.
#[inline(always)]
pub unsafe fn read<T: Copy>(address: usize, offset: usize) -> T {
    // SAFETY: the caller's promise; unaligned, because nothing promises alignment of the fields.
    unsafe { ((address + offset) as *const T).read_unaligned() }
}

/// Writes the blob of a code.
fn put_code(
    ring: &mut Writer,
    (first_line, version): (u32, u16),
    (name, name_width): (&[u8], u8),
    (file, file_width): (&[u8], u8),
    table: &[u8],
) -> bool {
    let mut head = [0; code::HEAD];
    head[..4].copy_from_slice(&first_line.to_le_bytes());
    head[4..6].copy_from_slice(&version.to_le_bytes());
    head[6] = name_width;
    head[7] = file_width;
    for (at, part) in [(8, name), (12, file), (16, table)] {
        head[at..at + 4].copy_from_slice(&(part.len() as u32).to_le_bytes());
    }
    ring.put_blob(BlobKind::Code, &[&head, name, file, table])
}

/// # Safety
/// `address` is a live code object.
unsafe fn write_code(ring: &mut Writer, address: usize, offsets: &Offsets) -> bool {
    // SAFETY: fields of a live code object, by the version's row; str and bytes objects that it holds.
    let (first_line, name, file, table) = unsafe {
        (
            read::<u32>(address, offsets.code_first_line),
            text(read(address, offsets.code_name), offsets),
            text(read(address, offsets.code_file), offsets),
            bytes(read(address, offsets.code_line_table)),
        )
    };
    put_code(ring, (first_line, offsets.version), name, file, table)
}

/// # Safety
/// `address` is a live code object.
unsafe fn is_handles_run(address: usize, offsets: &Offsets) -> bool {
    // SAFETY: as in `write_code`.
    unsafe {
        let (name, file) = (read(address, offsets.code_name), read(address, offsets.code_file));
        tasks::is_handles_run(text(name, offsets), text(file, offsets))
    }
}

/// The characters of a str and the bytes each takes. Empty for what is not a compact str (which names always are).
///
/// # Safety
/// `address` is null or a live str.
pub unsafe fn text<'a>(address: usize, offsets: &Offsets) -> (&'a [u8], u8) {
    if address == 0 {
        return (&[], 1);
    }
    // SAFETY: a live str.
    let (length, state): (usize, u32) =
        unsafe { (read(address, offsets::STR_LENGTH), read(address, offsets::STR_STATE)) };
    let (width, compact, ascii) = (state >> 2 & 7, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
    if !compact || !matches!(width, 1 | 2 | 4) {
        return (&[], 1);
    }
    let data = address + if ascii { offsets.ascii_data } else { offsets.compact_data };
    // Names longer than this are cut; files have paths of at most 4096 bytes.
    let bytes = length.min(16 * 1024) * width as usize;
    // SAFETY: a compact str keeps its characters right behind its head.
    (unsafe { core::slice::from_raw_parts(data as *const u8, bytes) }, width as u8)
}

/// # Safety
/// `address` is null or a live bytes object.
unsafe fn bytes<'a>(address: usize) -> &'a [u8] {
    if address == 0 {
        return &[];
    }
    // SAFETY: a live bytes object.
    let length: usize = unsafe { read(address, offsets::BYTES_LENGTH) };
    // SAFETY: its bytes stand behind its head.
    unsafe { core::slice::from_raw_parts((address + offsets::BYTES_DATA) as *const u8, length) }
}
