//! The interpreter's last collection of cyclic garbage: the first thing it does when it finalizes, unless the program has
//! switched the collector off. What that releases, nobody held any more; what is released afterwards, somebody did.
//!
//! The interpreter says that it collects, and counts its full collections. So the collection is over at the first release that
//! finds the number changed since the program ended. (From 3.15 on the number lies elsewhere: not told.)

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};

/// Where a version keeps the state of its garbage collector, `struct _gc_runtime_state`. Offsets are in bytes, as
/// `fixtures/c/python_offsets.c` prints them.
#[derive(Debug)]
pub struct Layout {
    /// `major << 8 | minor`.
    pub version: u16,
    /// `_PyRuntime`: the main interpreter, a pointer, to which the others are relative. `None`: they are to `_PyRuntime`.
    pub runtime_main: Option<usize>,
    /// An int: not 0 if the collector is switched on.
    pub enabled: usize,
    /// A `Py_ssize_t`: full collections until now.
    pub collections: usize,
}

const fn row(version: u16, runtime_main: usize, enabled: usize, collections: usize) -> Layout {
    Layout { version, runtime_main: Some(runtime_main), enabled, collections }
}

static ROWS: [Layout; 7] = [
    Layout { version: 0x0308, runtime_main: None, enabled: 356, collections: 520 },
    row(0x0309, 40, 628, 792),
    row(0x030A, 40, 628, 792),
    row(0x030B, 48, 660, 824),
    row(0x030C, 48, 124, 288),
    row(0x030D, 640, 7412, 7576),
    row(0x030E, 816, 7420, 7576),
];

/// The row of a version; `None` if it is not known.
pub fn of_version(version: u16) -> Option<&'static Layout> {
    ROWS.iter().find(|row| row.version == version)
}

/// The number of collections; null if it is not to be looked at.
static COLLECTIONS: AtomicPtr<AtomicUsize> = AtomicPtr::new(core::ptr::null_mut());
/// What it was before the last collection.
static BEFORE: AtomicUsize = AtomicUsize::new(0);
/// Where it was and what it was when it was looked at last; 0: never. A program seldom has a full collection just before its
/// end, and if it has one since, the last collection is taken to be over when finalization begins: garbage is then taken for
/// held, never the reverse.
static SEEN_AT: AtomicUsize = AtomicUsize::new(0);
static SEEN: AtomicUsize = AtomicUsize::new(0);
/// It has released something.
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);

/// Looks at the number while the program runs, now and then. `read` gives the word at an address, if it can be read: another
/// thread may be about to finalize the interpreter.
pub fn look(runtime: NonNull<u8>, version: u16, read: fn(usize) -> Option<usize>) {
    let Some(layout) = of_version(version) else { return };
    let runtime = runtime.as_ptr() as usize;
    let state = layout.runtime_main.map_or(Some(runtime), |main| read(runtime + main));
    let Some(state) = state.filter(|state| *state != 0) else { return };
    if let Some(number) = read(state + layout.collections) {
        SEEN.store(number, Ordering::Relaxed);
        SEEN_AT.store(state + layout.collections, Ordering::Release);
    }
}

/// Finalization of the interpreter whose `_PyRuntime` this is has begun; it is of this version, as a stack of it has shown. False
/// if its last collection cannot be told from here on: it may be over.
pub fn begin(runtime: NonNull<u8>, version: u16) -> bool {
    let Some(layout) = of_version(version) else { return false };
    let state = match layout.runtime_main {
        None => runtime,
        Some(main) => {
            // SAFETY: a pointer in the interpreter's static structure, by the version's headers, aligned as pointers are; the
            // main interpreter lives until finalization, which has just begun, is over.
            match NonNull::new(unsafe { runtime.add(main).cast::<*mut u8>().read_volatile() }) {
                Some(interpreter) => interpreter,
                None => return false,
            }
        }
    };
    // SAFETY: inside the same structure, which lives as said; an int and a `Py_ssize_t`, aligned as such. The thread that
    // finalizes writes them, with plain stores that this thread, if it is another, may see late.
    let (enabled, collecting, collections) = unsafe {
        (
            state.add(layout.enabled).cast::<AtomicI32>().as_ref(),
            state.add(layout.collections + COLLECTING).cast::<AtomicI32>().as_ref(),
            state.add(layout.collections).cast::<AtomicUsize>().as_ref(),
        )
    };
    let number = collections.load(Ordering::Relaxed);
    let was_seen = SEEN_AT.load(Ordering::Acquire) == core::ptr::from_ref(collections) as usize
        && SEEN.load(Ordering::Relaxed) == number;
    // Either it is under way, or it has not begun. If nobody has looked before, it may be over already.
    let is_ahead = collecting.load(Ordering::Relaxed) != 0 || was_seen;
    if enabled.load(Ordering::Relaxed) == 0 || !is_ahead {
        return false;
    }
    BEFORE.store(number, Ordering::Relaxed);
    COLLECTIONS.store(core::ptr::from_ref(collections).cast_mut(), Ordering::Release);
    true
}

/// `collecting`, an int that is not 0 during a collection, lies so many bytes behind the number of full collections: two more
/// words of the same statistics are between.
pub const COLLECTING: usize = 24;

/// True when the collection has begun to release something, and a second time when it is over. A collection that releases nothing
/// is not told.
pub fn goes_on() -> bool {
    let collections = COLLECTIONS.load(Ordering::Acquire);
    if collections.is_null() {
        return false;
    }
    // SAFETY: what `begin` stored. The interpreter's structure is freed at the very end of finalization, long after the last
    // collection, of which there is one at least: by then the pointer has been forgotten.
    let (number, collecting) = unsafe { (&*collections, &*collections.byte_add(COLLECTING).cast::<AtomicI32>()) };
    if number.load(Ordering::Relaxed) != BEFORE.load(Ordering::Relaxed) {
        COLLECTIONS.store(core::ptr::null_mut(), Ordering::Release);
        return HAS_BEGUN.load(Ordering::Relaxed);
    }
    collecting.load(Ordering::Relaxed) != 0 && !HAS_BEGUN.swap(true, Ordering::Relaxed)
}

/// Whether there is nothing more to be told.
pub fn is_over() -> bool {
    COLLECTIONS.load(Ordering::Relaxed).is_null()
}
