//! Names of asyncio's tasks: a frame more in the stack, above `Handle._run`, for what runs in a task.
//!
//! The event loop calls everything through `Handle._run` (asyncio/events.py). That frame's first local is the handle, the
//! handle's `_callback` is what the task made to be resumed by, and this has the task, which has its name. Each step is
//! taken only when the type of what is there has been read and is the one wanted; and only while the thread holds the
//! GIL, so that nobody changes or frees anything meanwhile. Without the GIL, and for tasks that are not the
//! interpreter's own (in Python, of uvloop), and those that begin eagerly, there is no such frame.
//!
//! The same frame of `_run` runs one handle after another, with the same address, code and instruction: so for each such
//! frame of the kept chain the name is read again at every event and compared with the one it was filed under.

use super::codes::{Codes, read, text};
use super::interpreters;
use super::offsets::Offsets;
use crate::memory::Pages;
use crate::real;
use crate::ring::Writer;
use crate::stacks::{Node, Stacks};
use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

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
/// Loops that may run inside another, in one thread, and have names.
const MOST_RUNS: usize = 4;

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

/// Where things are in a version (Modules/_asynciomodule.c has the structure, no header).
struct Layout {
    /// Frame: its first local.
    first_local: usize,
    /// Bytes of a task. Another number, and no names are read.
    task: usize,
    /// Task: its name.
    task_name: usize,
}

fn layout(version: u16) -> Option<&'static Layout> {
    static LAYOUTS: [(u16, Layout); 6] = [
        (0x0308, Layout { first_local: 360, task: 144, task_name: 120 }),
        (0x0309, Layout { first_local: 360, task: 184, task_name: 160 }),
        (0x030A, Layout { first_local: 352, task: 192, task_name: 168 }),
        (0x030B, Layout { first_local: 72, task: 176, task_name: 144 }),
        (0x030C, Layout { first_local: 72, task: 176, task_name: 144 }),
        (0x030D, Layout { first_local: 72, task: 144, task_name: 128 }),
    ];
    LAYOUTS.iter().find(|(of, _)| *of == version).map(|(_, layout)| layout)
}

/// Prepares for the interpreter that was found.
pub fn prepare() {
    let address = |name: &CStr| real::symbol(name).map_or(0, |symbol| symbol.as_ptr() as usize);
    STR_TYPE.store(address(c"PyUnicode_Type"), Ordering::Relaxed);
    INT_TYPE.store(address(c"PyLong_Type"), Ordering::Relaxed);
    BUILTIN_TYPE.store(address(c"PyCFunction_Type"), Ordering::Relaxed);
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

/// What is shown above a frame of `Handle._run`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Name {
    kind: u8,
    width: u8,
    length: u8,
    bytes: [u8; NAME_BYTES],
}

impl Name {
    const NOTHING: Self = Self { kind: 0, width: 1, length: 0, bytes: [0; NAME_BYTES] };
    const AUTOMATIC: Self = Self { kind: 1, ..Self::NOTHING };

    fn given(text: &[u8], width: u8) -> Self {
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

/// A frame of `Handle._run` in the kept chain.
#[derive(Clone, Copy)]
#[repr(C)]
struct Run {
    /// Which link it is.
    link: usize,
    name: Name,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Named {
    name: Name,
    /// Number of the pseudo code plus 1; 0: the entry is free.
    number: u32,
}

/// The frames of `Handle._run` in a thread's chain, and the names that it has described.
#[repr(C)]
pub struct Tasks {
    count: usize,
    runs: [Run; MOST_RUNS],
    names: Pages<Named>,
    named: usize,
    /// Numbers of the pseudo codes for [`AUTOMATIC`] and [`OTHERS`] plus 1; 0: not described yet.
    shared: [u32; 2],
}

impl Default for Tasks {
    fn default() -> Self {
        let run = Run { link: 0, name: Name::NOTHING };
        Self { count: 0, runs: [run; MOST_RUNS], names: Pages::default(), named: 0, shared: [0; 2] }
    }
}

impl Tasks {
    /// Bytes it holds beside itself.
    pub fn bytes(&self) -> usize {
        self.names.bytes()
    }

    /// Forgets everything: a new thread begins in this ring.
    pub fn clear(&mut self) {
        self.names.truncate(0);
        (self.count, self.named, self.shared) = (0, 0, [0; 2]);
    }

    /// Whether the chain has no frame of `Handle._run`.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets the frames from link `valid` on: they are about to be read anew.
    #[inline(always)]
    pub fn forget_from(&mut self, valid: usize) {
        while self.count > 0 && self.runs[self.count - 1].link >= valid {
            self.count -= 1;
        }
    }

    /// How many links are as they were, if `valid` of them look like it, of a stack that has `total` now.
    ///
    /// # Safety
    /// `frame_of` gives the frame of a link; those below `valid` are on the stack of this thread, whose state is `state`.
    #[cold]
    #[inline(never)]
    pub unsafe fn still_valid(
        &self,
        valid: usize,
        total: usize,
        state: usize,
        offsets: &Offsets,
        frame_of: impl Fn(usize) -> usize,
    ) -> usize {
        let runs = self.runs[..self.count].iter().take_while(|run| run.link < valid);
        // SAFETY: the caller's promise.
        let mut changed = runs
            .filter(|run| unsafe { name_above(frame_of(run.link), run.link + 1 == total, state, offsets) } != run.name);
        changed.next().map_or(valid, |run| run.link)
    }

    /// The stack above a frame of `Handle._run` that has the stack `node` and is link `link` of `total`.
    ///
    /// # Safety
    /// `frame` is one, on the stack of this thread, whose state is `state`.
    #[cold]
    #[inline(never)]
    pub unsafe fn above(
        &mut self,
        (codes, stacks, ring): (&mut Codes, &mut Stacks, &mut Writer),
        node: Node,
        (link, total): (usize, usize),
        (frame, state): (usize, usize),
        offsets: &Offsets,
    ) -> Node {
        if self.count >= MOST_RUNS {
            return node;
        }
        // SAFETY: the caller's promise.
        let name = unsafe { name_above(frame, link + 1 == total, state, offsets) };
        self.runs[self.count] = Run { link, name };
        self.count += 1;
        if name == Name::NOTHING {
            return node;
        }
        // What cannot be described is left out, as with any other frame.
        self.number(codes, ring, &name, offsets)
            .and_then(|number| stacks.python(ring, node, number, -1))
            .unwrap_or(node)
    }

    /// Number of the pseudo code that shows a name.
    fn number(&mut self, codes: &mut Codes, ring: &mut Writer, name: &Name, offsets: &Offsets) -> Option<u32> {
        if *name == Name::AUTOMATIC {
            return self.shared(0, AUTOMATIC, codes, ring, offsets);
        }
        if self.named * 2 >= self.names.len() && self.named < MOST_NAMES && !self.grow() {
            return None;
        }
        let place = match self.find(name) {
            Ok(place) => return Some(self.names.as_slice()[place].number - 1),
            Err(place) => place,
        };
        if self.named >= MOST_NAMES {
            return self.shared(1, OTHERS, codes, ring, offsets);
        }
        let text = (&name.bytes[..usize::from(name.length)], name.width);
        let number = codes.pseudo(ring, text, FILE, offsets)?;
        self.names.as_mut_slice()[place] = Named { name: *name, number: number + 1 };
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
        let table = self.names.as_slice();
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
        if !larger.resize_zeroed((self.names.len() * 2).max(64)) {
            return false;
        }
        let mut old = core::mem::replace(&mut self.names, larger);
        for entry in old.as_slice().iter().filter(|entry| entry.number != 0) {
            if let Err(place) = self.find(&entry.name) {
                self.names.as_mut_slice()[place] = *entry;
            }
        }
        old.release();
        true
    }
}

/// What is to be shown above a frame of `Handle._run`; nothing if it `is_top`, the innermost one.
///
/// # Safety
/// `frame` is one, on the stack of the calling thread, whose state is `state`.
unsafe fn name_above(frame: usize, is_top: bool, state: usize, offsets: &Offsets) -> Name {
    let Some(layout) = layout(offsets.version).filter(|_| !is_top && interpreters::holds_gil(state)) else {
        return Name::NOTHING;
    };
    // SAFETY: the caller's promise; a frame's first local is the function's first argument (it is no closure), an
    // object or null. Objects do not go and do not change while this thread, which holds the GIL, is in this hook.
    unsafe {
        let handle: usize = read(frame, layout.first_local);
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
