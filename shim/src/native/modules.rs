//! The objects that are mapped in this process: read from /proc/self/maps when an address lies in none that is known,
//! and when a library was closed. Never in the common case, and without the loader's lock.

use crate::memory::Pages;
use crate::{process, sys};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

/// An executable mapping.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Module {
    /// First address.
    pub start: usize,
    /// First address behind it.
    pub end: usize,
    /// Place in the file of its first address.
    pub file_offset: u64,
    /// Where the start of its file is mapped, and up to where; 0 if it is not: then it is no object that was loaded.
    pub header: (usize, usize),
    /// Counted from 0; the same as long as the mapping is the same.
    pub serial: u32,
    /// Where its path stands among the paths; of no length for memory without a file.
    path: (usize, usize),
}

impl Module {
    /// Whether it is memory without a file: code that was made at run time.
    pub fn is_anonymous(&self) -> bool {
        self.path.0 == self.path.1
    }
}

/// Counts how often an object was found gone: what is known of addresses holds for one of these periods.
static PERIOD: AtomicU32 = AtomicU32::new(0);

/// The period that addresses are known for. Small: libraries are closed rarely.
#[inline(always)]
pub fn period() -> u32 {
    PERIOD.load(Ordering::Relaxed)
}

#[repr(C)]
struct Tables {
    modules: Pages<Module>,
    /// What `modules` was before it was read again.
    before: Pages<Module>,
    /// The paths of all modules that there ever were, behind one another.
    paths: Pages<u8>,
    serials: u32,
}

/// The executable mappings of this image. All zeros is empty.
#[repr(C)]
pub struct Modules {
    lock: AtomicU32,
    tables: UnsafeCell<Tables>,
}

// SAFETY: `tables` is used only under `lock`.
unsafe impl Sync for Modules {}

impl Modules {
    fn with<R>(&self, action: impl FnOnce(&mut Tables) -> R) -> R {
        while self.lock.swap(1, Ordering::Acquire) != 0 {
            sys::yield_now();
        }
        // SAFETY: the lock is held.
        let result = action(unsafe { &mut *self.tables.get() });
        self.lock.store(0, Ordering::Release);
        result
    }

    /// The mapping in which an address lies, if it lies in an executable one.
    #[cold]
    pub fn find(&self, address: usize) -> Option<Module> {
        self.with(|tables| tables.find_now(address))
    }

    /// As [`Self::find`], and its path.
    #[cold]
    pub fn describe<R>(&self, address: usize, action: impl FnOnce(&Module, &[u8]) -> R) -> Option<R> {
        self.with(|tables| {
            let module = tables.find_now(address)?;
            Some(action(&module, &tables.paths.as_slice()[module.path.0..module.path.1]))
        })
    }

    /// A library was closed: begins another period if something that was known is gone.
    #[cold]
    pub fn look_again(&self) {
        self.with(Tables::read_maps);
    }
}

/// Whether two addresses lie in one executable mapping of a file.
#[cold]
pub fn in_same_object(process: Option<&process::State>, one: usize, other: usize) -> bool {
    let module = process.and_then(|process| process.modules.find(other));
    module.is_some_and(|module| (module.start..module.end).contains(&one))
}

impl Tables {
    fn find(&self, address: usize) -> Option<Module> {
        let modules = self.modules.as_slice();
        // In order of address, as the kernel lists them.
        let behind = modules.partition_point(|module| module.start <= address);
        modules[..behind].last().copied().filter(|module| address < module.end)
    }

    fn find_now(&mut self, address: usize) -> Option<Module> {
        self.find(address).or_else(|| {
            self.read_maps();
            self.find(address)
        })
    }

    /// Replaces what is known by what is mapped now.
    fn read_maps(&mut self) {
        // Large programs have some thousand mappings of about 100 bytes each.
        const TEXT_BYTES: usize = 4 << 20;
        let Some(pages) = sys::map(TEXT_BYTES) else { return };
        // SAFETY: mapped just now, all ours.
        let text = unsafe { core::slice::from_raw_parts_mut(pages.as_ptr(), TEXT_BYTES) };
        if let Some(file) = sys::File::open(b"/proc/self/maps\0", libc::O_RDONLY) {
            let length = file.read(text);
            core::mem::swap(&mut self.modules, &mut self.before);
            self.modules.truncate(0);
            // The file whose start was seen last, and where that is mapped.
            let mut file: (&[u8], (usize, usize)) = (&[], (0, 0));
            for line in text[..length].split(|byte| *byte == b'\n') {
                self.add(line, &mut file);
            }
            let is_there = |old: &Module| self.find(old.start).is_some_and(|new| new.serial == old.serial);
            if !self.before.as_slice().iter().all(|old| old.is_anonymous() || is_there(old)) {
                PERIOD.fetch_add(1, Ordering::Release);
            }
        }
        // SAFETY: nobody uses the text any more.
        unsafe { sys::unmap(pages, TEXT_BYTES) };
    }

    /// Adds a line like `7f12a000-7f12b000 r-xp 00026000 fe:01 1234   /usr/lib/libc.so.6` if it is executable.
    fn add<'t>(&mut self, line: &'t [u8], file: &mut (&'t [u8], (usize, usize))) -> Option<()> {
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let (range, permissions, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let path = fields.nth(2)?.trim_ascii_start();
        let dash = range.iter().position(|byte| *byte == b'-')?;
        let (start, end) = (hexadecimal(&range[..dash])? as usize, hexadecimal(&range[dash + 1..])? as usize);
        let file_offset = hexadecimal(offset)?;
        // The kernel's own: only its shared object is one.
        let is_object = path.first().is_some_and(|first| *first != b'[') || path == b"[vdso]";
        if is_object && file_offset == 0 && permissions.first() == Some(&b'r') {
            *file = (path, (start, end));
        }
        if permissions.get(2) != Some(&b'x') {
            return None;
        }
        let header = if is_object && file.0 == path { file.1 } else { (0, 0) };
        let path = if is_object { path } else { &[] };
        let known = self.before.as_slice().iter().find(|old| {
            (old.start, old.end, old.file_offset, old.header) == (start, end, file_offset, header)
                && self.paths.as_slice().get(old.path.0..old.path.1) == Some(path)
        });
        let module = match known {
            Some(known) => *known,
            None => {
                let from = self.paths.len();
                if !path.iter().all(|byte| self.paths.push(*byte)) {
                    return None;
                }
                self.serials += 1;
                let serial = self.serials - 1;
                Module { start, end, file_offset, header, serial, path: (from, self.paths.len()) }
            }
        };
        self.modules.push(module);
        Some(())
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| Some(value << 4 | u64::from((*digit as char).to_digit(16)?)))
}
