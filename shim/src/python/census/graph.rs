//! All objects: from the roots breadth first, each with the object by which it was reached, so that the way back from
//! any is a shortest one.
//!
//! Roots are the loaded modules and the frames of all threads, then what the cyclic collector knows and neither leads to:
//! garbage that waits for it, and what only C code holds. Objects that the collector does not know (str, int, bytes) are
//! those that another holds.

use super::super::codes::read;
use super::super::offsets::{self, Offsets, executable, local};
use super::api::{Api, Object};
use super::kinds::{Kinds, Measuring};
use super::layout::{self, Generations, LocalNames};
use crate::interpreter_symbols::{Symbol, symbol};
use crate::memory::Pages;
use crate::sys;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering};

/// Most objects of a census: their ways back take 24 to 32 bytes each.
pub const MOST_OBJECTS: usize = 20_000_000;
/// As a parent: there is none.
pub const ROOT: u32 = u32::MAX;
/// As a type: not an object but a frame of a thread (3.11 on; before, frames are objects).
pub const FRAME: u32 = u32::MAX;
/// Not counted yet.
const UNKNOWN: u32 = u32::MAX - 1;
/// Frames of a thread that are looked at, the innermost ones.
const MOST_FRAMES: usize = 10_000;
const MOST_THREADS: usize = 100_000;

/// An object, and who led to it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Entry {
    pub object: usize,
    pub parent: u32,
    pub kind: u32,
}

/// The objects of a census.
#[derive(Default)]
pub struct Graph {
    pub entries: Pages<Entry>,
    /// Entry plus 1, by address.
    table: Pages<u32>,
    /// The entry whose object is asked what it holds.
    parent: u32,
    /// Entries before this one have been counted.
    next: usize,
    /// There were more than can be kept.
    pub cut: bool,
    /// Where the tracer's memory in this thread is told, and what that is without this: so that it is not taken for the
    /// program's meanwhile.
    pub told: Option<(&'static AtomicU64, u64)>,
}

fn hash(address: usize) -> usize {
    ((address >> 3) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26) as usize
}

extern "C" fn held(object: Object, graph: *mut c_void) -> c_int {
    // SAFETY: `Graph::drain` passes itself, and does nothing with itself until the call has ended.
    let graph = unsafe { &mut *graph.cast::<Graph>() };
    graph.found(object as usize, graph.parent);
    0
}

extern "C" fn tracked(object: Object, roots: *mut c_void) -> c_int {
    // SAFETY: `Graph::tracked` passes this.
    let roots = unsafe { &mut *roots.cast::<Pages<usize>>() };
    c_int::from(roots.push(object as usize))
}

impl Graph {
    /// Bytes it holds.
    pub fn memory(&self) -> usize {
        self.entries.bytes() + self.table.bytes()
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        self.entries.release();
        self.table.release();
    }

    /// Walks over everything, and counts.
    ///
    /// # Safety
    /// The calling thread holds the GIL of the main interpreter, `interpreter`, and is between two instructions of a Python
    /// program; nothing makes, releases or changes an object until this returns.
    pub unsafe fn walk(&mut self, kinds: &mut Kinds, with: &Measuring<'_>, before: &Kinds, interpreter: usize) {
        // SAFETY: the caller's promise, here and below; the dict of modules lives as long as the interpreter.
        unsafe {
            for (_, module) in with.api.entries((with.api.modules)() as usize) {
                self.found(module, ROOT);
            }
            self.frames(with, interpreter);
            self.drain(kinds, with, before);
            let mut roots = Pages::default();
            Self::tracked(with, interpreter, &mut roots);
            for root in roots.as_slice() {
                if self.found(*root, ROOT) {
                    self.drain(kinds, with, before);
                }
            }
            roots.release();
        }
    }

    /// Takes in an object. False if it is known, or there is no room.
    fn found(&mut self, object: usize, parent: u32) -> bool {
        if object == 0 || self.cut {
            return false;
        }
        if self.entries.len() * 2 >= self.table.len() && !self.grow() {
            self.cut = true;
            return false;
        }
        let table = self.table.as_mut_slice();
        let mask = table.len() - 1;
        let mut place = hash(object) & mask;
        while table[place] != 0 {
            if self.entries.as_slice()[table[place] as usize - 1].object == object {
                return false;
            }
            place = (place + 1) & mask;
        }
        if self.entries.len() >= MOST_OBJECTS || !self.entries.push(Entry { object, parent, kind: UNKNOWN }) {
            self.cut = true;
            return false;
        }
        table[place] = self.entries.len() as u32;
        true
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let mut larger = Pages::default();
        if !larger.resize_zeroed((self.table.len() * 2).max(1 << 16)) {
            return false;
        }
        let mask = larger.len() - 1;
        let table = larger.as_mut_slice();
        for (number, entry) in (1..).zip(self.entries.as_slice()) {
            if entry.kind == FRAME {
                continue;
            }
            let mut place = hash(entry.object) & mask;
            while table[place] != 0 {
                place = (place + 1) & mask;
            }
            table[place] = number;
        }
        self.table.release();
        self.table = larger;
        if let Some((told, others)) = self.told {
            told.store(others + self.memory() as u64, Ordering::Relaxed);
        }
        true
    }

    /// Counts the objects that wait, and takes in what they hold.
    unsafe fn drain(&mut self, kinds: &mut Kinds, with: &Measuring<'_>, before: &Kinds) {
        while let Some(&Entry { object, kind, .. }) = self.entries.as_slice().get(self.next) {
            let number = self.next as u32;
            self.next += 1;
            if kind == FRAME {
                continue;
            }
            // SAFETY: the object is held by another or known to the collector, and nothing releases it meanwhile; it has a
            // type.
            let number_of_kind = unsafe { kinds.number(read(object, offsets::OBJECT_TYPE), with, before) };
            let Some(kind) = number_of_kind else {
                self.cut = true;
                return;
            };
            self.entries.as_mut_slice()[number as usize].kind = kind;
            let kind = &mut kinds.kinds.as_mut_slice()[kind as usize];
            kind.count += 1;
            // SAFETY: a live object of this type.
            kind.bytes += unsafe { kind.bytes_of(object, with) };
            // SAFETY: as above.
            if let Some(traverse) = unsafe { kind.traverse(object) } {
                self.parent = number;
                let graph = core::ptr::from_mut(self).cast();
                // SAFETY: as the collector calls it, which may be at any such moment; `held` runs none of the program's
                // code and changes nothing of its.
                unsafe { traverse(object as Object, held, graph) };
            }
        }
    }

    /// The frames of all threads, with what their slots hold.
    unsafe fn frames(&mut self, with: &Measuring<'_>, interpreter: usize) {
        let Measuring { api, offsets, layout, .. } = with;
        // SAFETY: the caller of `walk` promises a live interpreter. Threads come and go under the GIL.
        let mut thread = unsafe { (api.first_thread)(interpreter as Object) } as usize;
        for _ in 0..MOST_THREADS {
            if thread == 0 {
                return;
            }
            // SAFETY: a live thread state, whose frames, by the version's row, are linked from the innermost outwards; its
            // thread waits for the GIL, or is in C code that has given it up, or is this one.
            unsafe {
                let mut frame: usize = read(thread, offsets.thread_frame);
                if let (Some(inner), true) = (offsets.cframe_frame, frame != 0) {
                    frame = read(frame, inner);
                }
                for _ in 0..MOST_FRAMES {
                    if frame == 0 {
                        break;
                    }
                    match layout.local_names {
                        LocalNames::Apart { .. } => {
                            self.found(frame, ROOT);
                        }
                        LocalNames::Together { count, .. } if !is_entry(frame, offsets) => {
                            self.slots(frame, count, with)
                        }
                        LocalNames::Together { .. } => {}
                    }
                    frame = read(frame, offsets.frame_previous);
                }
                thread = read(thread, layout::THREAD_NEXT);
            }
        }
    }

    /// A frame that is no object.
    unsafe fn slots(&mut self, frame: usize, count: usize, with: &Measuring<'_>) {
        // SAFETY: a frame of a function has a code object, as the walk of stacks relies on.
        let code = executable(unsafe { read(frame, with.offsets.frame_code) });
        // SAFETY: as above: live, and says how many slots there are.
        let slots: i32 = unsafe { read(code, count) };
        if self.cut || !self.entries.push(Entry { object: frame, parent: ROOT, kind: FRAME }) {
            return;
        }
        let number = self.entries.len() as u32 - 1;
        self.found(code, number);
        for slot in 0..slots.max(0) as usize {
            // SAFETY: one of so many slots, each null or a reference.
            let object = local(unsafe { read(frame, with.layout.frame_slots + 8 * slot) });
            self.found(object, number);
        }
    }

    /// What the cyclic collector knows.
    unsafe fn tracked(with: &Measuring<'_>, interpreter: usize, roots: &mut Pages<usize>) {
        if let (Generations::Shown, Some(visit)) = (with.layout.generations, with.api.visit_tracked) {
            // SAFETY: calls `tracked` with each object; the collector does not run meanwhile.
            return unsafe { visit(tracked, core::ptr::from_mut(roots).cast()) };
        }
        let Some((lists, young, permanent)) = lists(with, interpreter) else { return };
        for list in [young, young + 24, young + 48, permanent] {
            let head = lists + list;
            // SAFETY: a ring of heads, each 16 bytes in front of its object, of which the list's own has none. The lowest bits
            // are the collector's own while it runs.
            let mut at = unsafe { read::<usize>(head, 0) } & !3;
            while at != head && at != 0 && roots.len() < MOST_OBJECTS {
                if !roots.push(at + 16) {
                    return;
                }
                // SAFETY: as above.
                at = unsafe { read::<usize>(at, 0) } & !3;
            }
        }
    }
}

/// Whether a frame is the interpreter's own.
unsafe fn is_entry(frame: usize, offsets: &Offsets) -> bool {
    // SAFETY: every frame has an owner.
    offsets.entry_frame.is_some_and(|(owner, entry)| unsafe { read::<u8>(frame, owner) } >= entry)
}

/// What a name is looked for in: see [`super::labels`].
pub fn name_of_root(api: &Api, object: usize) -> Option<usize> {
    // SAFETY: the dict of modules lives as long as the interpreter; the census holds the GIL.
    let found = unsafe { api.entries((api.modules)() as usize) }.find(|(_, module)| *module == object);
    found.map(|(name, _)| name)
}

/// Where the collector's lists are, that of the youngest objects, and the permanent one. `None` where they are not looked at.
/// The lists must close as rings do: a build of another layout is left alone. Only the permanent one is asked, because the
/// collector, if one of its finalizers made this call, has other things in the others' links.
fn lists(with: &Measuring<'_>, interpreter: usize) -> Option<(usize, usize, usize)> {
    let (start, young, permanent) = match with.layout.generations {
        Generations::Runtime { young, permanent } => (symbol(Symbol::_PyRuntime)?.as_ptr() as usize, young, permanent),
        Generations::Interpreter { young, permanent } => (interpreter, young, permanent),
        Generations::Shown => return None,
    };
    let head = start + permanent;
    let word = |address: usize| {
        // SAFETY: the kernel has just read the word; what lies there nobody unmaps, or it is no pointer of ours and that is
        // the one hole, for this moment.
        (address.is_multiple_of(8) && sys::is_readable(address)).then(|| unsafe { read::<usize>(address, 0) })
    };
    let next = word(head)? & !3;
    (word(next.wrapping_add(8))? & !3 == head).then_some((start, young, permanent))
}

/// Keeps the cyclic collector from running while `action` does: the `__sizeof__` of some C types makes objects that it
/// counts (`io.BytesIO` asks for the size of its bytes by way of a bound method).
///
/// # Safety
/// The calling thread holds the GIL of the main interpreter, `interpreter`, and `action` does not give it up.
pub unsafe fn without_collector(with: &Measuring<'_>, interpreter: usize, action: impl FnOnce()) {
    if let (Some(stop), Some(start)) = (with.api.stop_collector, with.api.start_collector) {
        // SAFETY: each sets a variable of the interpreter.
        let was_on = unsafe { stop() } != 0;
        action();
        if was_on {
            // SAFETY: as above.
            unsafe { start() };
        }
        return;
    }
    // 3.8 and 3.9 have no functions for it: the int that says whether it is on stands twelve bytes in front of its lists.
    let Some((lists, young, _)) = lists(with, interpreter) else { return action() };
    let place = (lists + young - 12) as *mut c_int;
    // SAFETY: a variable of the interpreter's, which is read and written under the GIL only.
    let was_on = unsafe { place.replace(0) };
    action();
    // SAFETY: as above.
    unsafe { place.write(was_on) };
}
