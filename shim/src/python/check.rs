//! Whether the interpreter lies in memory as its version's row says, found out before any stack is read.
//!
//! At start: the names of well-known types, and from 3.13 on the interpreter's own report of its offsets
//! (`_Py_DebugOffsets`, at the start of `_PyRuntime`). At the first stack: every frame of it must have a code object of
//! the type of code objects, at an instruction that lies in it, with names that are str and a line table that is bytes.
//! From then on nothing is asked again but the types of what a code object holds, when one is first described.
//!
//! What is read here may be anything, so nothing is read that the kernel does not call readable ([`probe`]).

use super::codes::read;
use super::offsets::{self, Offsets, Report, executable};
use crate::interpreter_symbols::{Symbol, symbol};
use crate::sys;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

static CODE_TYPE: AtomicUsize = AtomicUsize::new(0);
static STR_TYPE: AtomicUsize = AtomicUsize::new(0);
static BYTES_TYPE: AtomicUsize = AtomicUsize::new(0);

/// Bits of `tp_flags`: a str or a subclass of it, a bytes or a subclass of it.
const IS_STR: usize = 1 << 28;
const IS_BYTES: usize = 1 << 27;
/// Frames of the first stack that are looked at; one that has more is as plausible as one can be.
const MOST_FRAMES: usize = 256;
/// What the report begins with.
const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");

/// What a look at the stack has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// There is no frame yet.
    Empty,
    /// As the row says.
    Fits,
    /// Not as the row says.
    Differs,
}

/// A `T` at this address, if it can be read at all.
fn probe<T: Copy>(address: usize) -> Option<T> {
    // Pages are readable or not as a whole: eight bytes at a multiple of eight lie in one.
    let (first, last) = (address & !7, address.checked_add(size_of::<T>() - 1)? & !7);
    if !address.is_multiple_of(align_of::<T>())
        || !sys::is_readable(first)
        || (last != first && !sys::is_readable(last))
    {
        return None;
    }
    // SAFETY: aligned, and the kernel has just read the words in which it lies; nobody unmaps them in between, if they
    // are the interpreter's (this thread is inside of it); if they are not, that is the one hole, for this one moment.
    // Any bits are a `T`, which is an integer or an array of them here.
    Some(unsafe { (address as *const T).read() })
}

/// Whether this is a build without the global lock. Its objects have other heads, and nothing else fits either.
pub fn is_free_threaded() -> bool {
    // A function that only these builds have, and export: each extension module may call it at a DECREF.
    symbol(Symbol::_Py_MergeZeroLocalRefcount).is_some()
        || runtime().is_some_and(|runtime| {
            probe(runtime) == Some(COOKIE) && probe::<u64>(runtime + 16).is_some_and(|free_threaded| free_threaded != 0)
        })
}

fn runtime() -> Option<usize> {
    symbol(Symbol::_PyRuntime).map(|runtime| runtime.as_ptr() as usize)
}

/// The check that is possible before the interpreter runs.
pub fn at_start(code_type: NonNull<u8>, offsets: &Offsets) -> bool {
    let types = [
        (Some(code_type), &CODE_TYPE, b"code\0".as_slice()),
        (symbol(Symbol::PyUnicode_Type), &STR_TYPE, b"str\0"),
        (symbol(Symbol::PyBytes_Type), &BYTES_TYPE, b"bytes\0"),
    ];
    for (object, place, name) in types {
        let Some(address) = object.map(|object| object.as_ptr() as usize) else { return false };
        place.store(address, Ordering::Relaxed);
        let Some(text) = probe::<usize>(address + offsets::TYPE_NAME) else { return false };
        if !name.iter().enumerate().all(|(at, byte)| probe(text.wrapping_add(at)) == Some(*byte)) {
            return false;
        }
    }
    match (&offsets.report, runtime()) {
        (Some(report), Some(runtime)) => agrees(runtime, report, offsets),
        // Before 3.13 there is no report; and an interpreter that hides it can only be asked by its first stack.
        _ => true,
    }
}

/// Whether the report at `runtime` says what the row does.
fn agrees(runtime: usize, report: &Report, offsets: &Offsets) -> bool {
    let word = |index: usize| probe::<u64>(runtime + 8 * index);
    let Some((owner, _)) = offsets.entry_frame else { return false };
    let Some(first_instruction) = offsets.code_first_instruction else { return false };
    // The order of fields in each part has been the same in all versions; the parts have grown at their ends.
    let expected = [
        (report.runtime + 1, offsets.runtime_finalizing),
        (report.thread + 4, offsets.thread_frame),
        (report.frame + 1, offsets.frame_previous),
        (report.frame + 2, offsets.frame_code),
        (report.frame + 3, offsets.frame_instruction),
        (report.frame + 5, owner),
        (report.code + 1, offsets.code_file),
        (report.code + 3, offsets.code_name),
        (report.code + 4, offsets.code_line_table),
        (report.code + 5, offsets.code_first_line),
        (report.code + 9, first_instruction),
        (report.object + 1, offsets::OBJECT_TYPE),
        (report.kind + 1, offsets::TYPE_NAME),
        (report.kind + 3, offsets::TYPE_FLAGS),
        (report.bytes + 1, offsets::BYTES_LENGTH),
        (report.bytes + 2, offsets::BYTES_DATA),
        (report.text + 1, offsets::STR_STATE),
        (report.text + 2, offsets::STR_LENGTH),
        (report.text + 3, offsets.ascii_data),
    ];
    word(0) == Some(COOKIE)
        && word(1).is_some_and(|version| version >> 16 == u64::from(offsets.version))
        && expected.iter().all(|(index, offset)| word(*index) == Some(*offset as u64))
}

/// Looks at the whole stack of the calling thread, whose `PyThreadState` is at `state`.
pub fn first_stack(state: usize, offsets: &Offsets) -> Stack {
    // No kernel is asked as long as there is no frame: the interpreter allocates thousands of times before its first.
    // SAFETY: the interpreter has just said that a thread state is there; those of all versions are longer.
    let mut frame: usize = unsafe { read(state, offsets.thread_frame) };
    if let (Some(cframe_frame), true) = (offsets.cframe_frame, frame != 0) {
        let place = frame.wrapping_add(cframe_frame);
        // Bytes of a `PyThreadState` of 3.11 and of 3.12. The first `_PyCFrame` of a thread lies near its end.
        let length = if offsets.version == 0x030B { 360 } else { 288 };
        let in_state = place.wrapping_sub(state) <= length - 8 && place.is_multiple_of(8);
        // SAFETY: in the thread state, as above.
        let inner = if in_state { Some(unsafe { read(place, 0) }) } else { probe(place) };
        let Some(inner) = inner else { return Stack::Differs };
        frame = inner;
    }
    let mut found = Stack::Empty;
    for _ in 0..MOST_FRAMES {
        if frame == 0 {
            break;
        }
        match frame_fits(frame, offsets) {
            None => return Stack::Differs,
            Some(true) => found = Stack::Fits,
            Some(false) => {}
        }
        let Some(previous) = probe(frame.wrapping_add(offsets.frame_previous)) else { return Stack::Differs };
        frame = previous;
    }
    found
}

/// Whether a frame is one of a function (and not of the interpreter's own). `None`: it is nothing of the kind.
fn frame_fits(frame: usize, offsets: &Offsets) -> Option<bool> {
    if let Some((owner, entry)) = offsets.entry_frame {
        // Five owners are the most that any version has.
        match probe::<u8>(frame.wrapping_add(owner))? {
            owner if owner > 4 => return None,
            owner if owner >= entry => return Some(false),
            _ => {}
        }
    }
    let code = executable(probe(frame.wrapping_add(offsets.frame_code))?);
    let place = frame.wrapping_add(offsets.frame_instruction);
    let is_there = match offsets.code_first_instruction {
        Some(first) => {
            // In code units of two bytes; before the first one if the frame has not begun.
            let units = probe::<usize>(code.wrapping_add(offsets::VARIABLE_SIZE))?;
            let start = code.wrapping_add(first - 2);
            probe::<usize>(place)?.wrapping_sub(start) <= units.checked_mul(2)? + 2
        }
        // -1, or an index of bytes or units; no function comes near 16 million.
        None => (-1..1 << 24).contains(&probe::<i32>(place)?),
    };
    let is_code = probe::<usize>(code.wrapping_add(offsets::OBJECT_TYPE))? == CODE_TYPE.load(Ordering::Relaxed);
    (is_there && is_code && code_fits(code, offsets, probe)).then_some(true)
}

/// Whether an object is a code object, exactly (the type has no subclasses).
///
/// # Safety
/// `address` is a live object.
pub unsafe fn is_code(address: usize) -> bool {
    // SAFETY: every object has a type there.
    unsafe { read::<usize>(address, offsets::OBJECT_TYPE) == CODE_TYPE.load(Ordering::Relaxed) }
}

/// Whether what a code object holds is of the types that it must be.
///
/// # Safety
/// `code` is a live code object, and the row has passed the check of the first stack.
pub unsafe fn holds_what_it_must(code: usize, offsets: &Offsets) -> bool {
    // SAFETY: fields of the code object and of the objects in it, where the first stack had them too.
    code_fits(code, offsets, |address| Some(unsafe { read(address, 0) }))
}

fn code_fits(code: usize, offsets: &Offsets, word: impl Fn(usize) -> Option<usize>) -> bool {
    let held = |offset: usize| word(code.wrapping_add(offset));
    // A subclass too, if a program makes code objects itself.
    let is = |object: usize, exact: &AtomicUsize, flag: usize| {
        word(object.wrapping_add(offsets::OBJECT_TYPE)).is_some_and(|kind| {
            kind == exact.load(Ordering::Relaxed)
                || word(kind.wrapping_add(offsets::TYPE_FLAGS)).is_some_and(|flags| flags & flag != 0)
        })
    };
    held(offsets.code_name).is_some_and(|name| is(name, &STR_TYPE, IS_STR))
        && held(offsets.code_file).is_some_and(|file| is(file, &STR_TYPE, IS_STR))
        && held(offsets.code_line_table).is_some_and(|table| is(table, &BYTES_TYPE, IS_BYTES))
}
