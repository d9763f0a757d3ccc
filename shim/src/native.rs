//! Native frames: here only the innermost one, the caller of the allocator, and the object it lies in.
//!
//! The mapped objects are read from /proc/self/maps when an address lies in none that is known. That happens once per
//! object that allocates, never in the common case; no loader lock is taken.

use crate::memory::Pages;
use crate::thread::Thread;
use crate::{process, sys};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};
use heaptide_format::wire::BlobKind;

#[derive(Clone, Copy)]
#[repr(C)]
struct Module {
    start: u64,
    end: u64,
    file_offset: u64,
    /// Where its path stands in `paths`.
    path: (usize, usize),
}

/// Times a library was closed: what is known of addresses holds for one of these periods.
static PERIOD: AtomicU32 = AtomicU32::new(0);

/// A library was closed.
pub fn libraries_changed() {
    PERIOD.fetch_add(1, Ordering::Release);
}

/// The period that addresses are known for. Small: libraries are closed rarely.
#[inline(always)]
pub fn period() -> u32 {
    PERIOD.load(Ordering::Relaxed)
}

#[repr(C)]
struct Tables {
    /// When `modules` was read.
    period: u32,
    modules: Pages<Module>,
    paths: Pages<u8>,
}

/// The executable mappings of this image's files. All zeros is empty.
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
}

/// Makes sure that the object in which `address` lies is defined in the thread's ring, before the address's own node.
#[cold]
pub fn define_module(thread: &mut Thread, address: u64) {
    let process = thread.process();
    let ring = &mut thread.ring;
    process.modules.with(|tables| {
        if tables.period != period() || tables.find(address).is_none() {
            tables.period = period();
            tables.read_maps();
        }
        if let Some(module) = tables.find(address) {
            let path = &tables.paths.as_slice()[module.path.0..module.path.1];
            // Told again for every new caller: rare and small, and each ring is complete in itself.
            let (start, end) = (module.start.to_le_bytes(), module.end.to_le_bytes());
            ring.put_blob(BlobKind::Module, &[&start, &end, &module.file_offset.to_le_bytes(), path]);
        }
    });
}

/// Whether two addresses lie in one executable mapping of a file.
#[cold]
pub fn in_same_object(process: Option<&process::State>, one: u64, other: u64) -> bool {
    process.is_some_and(|process| {
        process.modules.with(|tables| {
            if tables.find(other).is_none() {
                tables.read_maps();
            }
            tables.find(other).is_some_and(|module| (module.start..module.end).contains(&one))
        })
    })
}

impl Tables {
    fn find(&self, address: u64) -> Option<Module> {
        self.modules.as_slice().iter().find(|module| (module.start..module.end).contains(&address)).copied()
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
            self.modules.truncate(0);
            self.paths.truncate(0);
            for line in text[..length].split(|byte| *byte == b'\n') {
                self.add(line);
            }
        }
        // SAFETY: nobody uses the text any more.
        unsafe { sys::unmap(pages, TEXT_BYTES) };
    }

    /// Adds a line like `7f12a000-7f12b000 r-xp 00026000 fe:01 1234   /usr/lib/libc.so.6` if it is executable.
    fn add(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let (range, permissions, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let path = fields.nth(2)?.trim_ascii_start();
        if permissions.get(2) != Some(&b'x') || path.is_empty() {
            return None;
        }
        let dash = range.iter().position(|byte| *byte == b'-')?;
        let from = self.paths.len();
        if !path.iter().all(|byte| self.paths.push(*byte)) {
            return None;
        }
        self.modules.push(Module {
            start: hexadecimal(&range[..dash])?,
            end: hexadecimal(&range[dash + 1..])?,
            file_offset: hexadecimal(offset)?,
            path: (from, self.paths.len()),
        });
        Some(())
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| Some(value << 4 | u64::from((*digit as char).to_digit(16)?)))
}
