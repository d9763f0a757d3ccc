//! From a frame of `Handle._run` to the name of the task that it runs.
//!
//! The frame's first local is the handle, the handle's `_callback` is what the task made to be resumed by, and this has
//! the task, which has its name. Each step is taken only when the type of what is there has been read and is the one
//! wanted; and only while the thread holds the GIL, so that nobody changes or frees anything meanwhile.

use super::layout::{self, Layout};
use super::names::Name;
use crate::interpreter_symbols::{Symbol, symbol};
use crate::python::codes::{read, text};
use crate::python::interpreters;
use crate::python::offsets::{Offsets, local};
use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Type: `tp_name`, `tp_basicsize`, `tp_flags`, `tp_members`, `tp_base`. The same in all versions.
const TYPE_NAME: usize = 24;
const TYPE_BASIC_SIZE: usize = 32;
const TYPE_FLAGS: usize = 168;
const TYPE_MEMBERS: usize = 240;
const TYPE_BASE: usize = 256;
/// Every class made in Python may be inherited from.
const MAY_BE_BASE: usize = 1 << 10;
/// `PyMemberDef`: its size, and the type of a member that is an object.
const MEMBER_BYTES: usize = 40;
const MEMBER_OBJECT: i32 = 16;

static STR_TYPE: AtomicUsize = AtomicUsize::new(0);
static INT_TYPE: AtomicUsize = AtomicUsize::new(0);
static BUILTIN_TYPE: AtomicUsize = AtomicUsize::new(0);

/// Prepares for the interpreter that was found.
pub fn prepare() {
    let address = |name| symbol(name).map_or(0, |symbol| symbol.as_ptr() as usize);
    STR_TYPE.store(address(Symbol::PyUnicode_Type), Ordering::Relaxed);
    INT_TYPE.store(address(Symbol::PyLong_Type), Ordering::Relaxed);
    BUILTIN_TYPE.store(address(Symbol::PyCFunction_Type), Ordering::Relaxed);
}

/// Whether a code of this name and file, each with the bytes of its characters, is `Handle._run`.
pub fn is_handles_run((name, name_width): (&[u8], u8), (file, file_width): (&[u8], u8)) -> bool {
    name_width == 1
        && (name == b"_run" || name == b"Handle._run")
        && ends_with(file, usize::from(file_width), b"asyncio/events.py")
}

fn ends_with(text: &[u8], width: usize, end: &[u8]) -> bool {
    let Some(start) = text.len().checked_sub(end.len() * width) else { return false };
    let characters = text[start..].chunks(width);
    characters.zip(end).all(|(character, byte)| character[0] == *byte && character[1..].iter().all(|rest| *rest == 0))
}

/// What is to be shown above a frame of `Handle._run`; nothing if it `is_top`, the innermost one.
///
/// # Safety
/// `frame` is one, on the stack of the calling thread, whose state is `state`.
pub unsafe fn name_above(frame: usize, is_top: bool, state: usize, offsets: &Offsets) -> Name {
    let Some(layout) = layout::of_version(offsets.version).filter(|_| !is_top && interpreters::holds_gil(state)) else {
        return Name::NOTHING;
    };
    // SAFETY: the caller's promise; a frame's first local is the function's first argument (it is no closure), an
    // object or null. From 3.14 on it may be borrowed: then the caller's frame has it alive as long as the call lasts
    // (even if a debugger writes to that frame's variables: `f_overwritten_fast_locals`). Objects do not go and do not
    // change while this thread, which holds the GIL, is in this hook.
    unsafe {
        let handle = local(read(frame, layout.first_local));
        let callback = if handle == 0 { 0 } else { member(handle, c"_callback") };
        let task = if callback == 0 { 0 } else { task_of(callback) };
        if task == 0 || !is_task(task, layout) {
            return Name::NOTHING;
        }
        let name: usize = read(task, layout.task_name);
        if name == 0 {
            return Name::NOTHING;
        }
        let kind = type_of(name);
        if kind == INT_TYPE.load(Ordering::Relaxed) {
            // From 3.12 on a number, until somebody asks for the text.
            return Name::AUTOMATIC;
        }
        if kind != STR_TYPE.load(Ordering::Relaxed) {
            return Name::NOTHING;
        }
        let (text, width) = text(name, offsets);
        match text.strip_prefix(b"Task-") {
            _ if text.is_empty() => Name::AUTOMATIC,
            Some(digits) if width == 1 && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                Name::AUTOMATIC
            }
            _ => Name::given(text, width),
        }
    }
}

/// # Safety
/// `object` is a live object.
unsafe fn type_of(object: usize) -> usize {
    // SAFETY: every object begins with its count of references and its type.
    unsafe { read(object, 8) }
}

/// The value of an object's slot of this name; 0 if it has none, or nothing in it. Whatever the object is: its type, or
/// one that it inherits from, says where its slots are.
///
/// # Safety
/// `object` is a live object.
unsafe fn member(object: usize, name: &CStr) -> usize {
    // SAFETY: the caller's promise.
    let mut kind = unsafe { type_of(object) };
    while kind != 0 {
        // SAFETY: a live type; its members end with one without a name.
        unsafe {
            let mut at: usize = read(kind, TYPE_MEMBERS);
            while at != 0 && read::<usize>(at, 0) != 0 {
                if is_text(read(at, 0), name) && read::<i32>(at, 8) == MEMBER_OBJECT {
                    return read(object, read(at, 16));
                }
                at += MEMBER_BYTES;
            }
            kind = read(kind, TYPE_BASE);
        }
    }
    0
}

/// The object whose step or wake-up this callback is; 0 if it is something else.
///
/// # Safety
/// `callback` is a live object.
unsafe fn task_of(callback: usize) -> usize {
    // SAFETY: a live object has a live type. What the type says is what is read.
    unsafe {
        let kind = type_of(callback);
        if kind == BUILTIN_TYPE.load(Ordering::Relaxed) {
            // A bound method of C: `m_ml`, whose first field is the name, and `m_self`.
            let definition: usize = read(callback, 16);
            return if is_text(read(definition, 0), c"task_wakeup") { read(callback, 24) } else { 0 };
        }
        let name: usize = read(kind, TYPE_NAME);
        let names = [c"TaskStepMethWrapper", c"TaskWakeupMethWrapper"];
        let qualified = [c"_asyncio.TaskStepMethWrapper", c"_asyncio.TaskWakeupMethWrapper"];
        let is_wrapper = names.iter().chain(&qualified).any(|wanted| is_text(name, wanted));
        // Such a type, if no class of Python's that only bears the name, has the task as its first field.
        if is_wrapper && read::<usize>(kind, TYPE_FLAGS) & MAY_BE_BASE == 0 { read(callback, 16) } else { 0 }
    }
}

/// Whether it is a task of the interpreter's own kind, or of a class that inherits from that.
///
/// # Safety
/// `object` is a live object.
unsafe fn is_task(object: usize, layout: &Layout) -> bool {
    // SAFETY: a live object has a live type, and so have its bases.
    unsafe {
        let mut kind = type_of(object);
        while kind != 0 {
            if is_text(read(kind, TYPE_NAME), c"_asyncio.Task") {
                return read::<usize>(kind, TYPE_BASIC_SIZE) == layout.task;
            }
            kind = read(kind, TYPE_BASE);
        }
    }
    false
}

/// Whether the text at `address`, if that is not null, is this one.
///
/// # Safety
/// There is one that ends with NUL.
unsafe fn is_text(address: usize, text: &CStr) -> bool {
    // SAFETY: the caller's promise: no byte behind the NUL is read, because the comparison ends at the first difference.
    address != 0
        && text.to_bytes_with_nul().iter().enumerate().all(|(at, byte)| unsafe { read::<u8>(address, at) } == *byte)
}
