//! A census (`run --census`): how many objects of each type there are, which types grew, and who holds what came.
//!
//! **When.** The collector counts a word up ([`Control::census`]). The next event on a thread that holds the GIL of the main
//! interpreter finds it changed and asks the interpreter for a pending call, once; the interpreter makes that between two
//! instructions, where Python code may run, and so may we. It is the one place in the shim where the interpreter's API is
//! used at will, for three reasons: the GIL is held, no allocator is under way, and the interpreter itself has called.
//!
//! **Asking from inside an allocation** is safe because of what `Py_AddPendingCall` does in 3.8 to 3.15: takes one lock, writes
//! one of 32 places (300 from 3.13 on), gives the lock back, sets a flag. It allocates nothing. Nobody allocates while having that lock (adding,
//! taking out and clearing are all that is done under it), so this thread does not have it; who else has it needs neither the
//! GIL nor anything of ours to give it back. Two holes, known and of nanoseconds: the C handler of a signal that
//! allocates and came while its own thread had the lock; and from 3.13 on a thread that has to wait for the lock gives the
//! GIL up meanwhile, so another thread without GIL that adds a call at that instant would let a third run inside this one's
//! allocation. Not done: while the interpreter starts (`Py_IsInitialized`) or finalizes, in subinterpreters, without GIL.
//!
//! **At exit** a function that the first pending call registered with `atexit` makes a last census: registered first, it
//! runs after all the program's own.
//!
//! **What it does to the program.** No Python code runs, no object dies. The cyclic collector does not run meanwhile, and its
//! counters are afterwards what they were. Blocks that are made meanwhile (an int for a size) are gone when it ends, and are
//! not recorded. A forked child starts afresh: what it needs to know is in memory that it finds wiped.

mod api;
mod graph;
mod growth;
mod kinds;
mod labels;
mod layout;
mod text;

use super::offsets::{self, Offsets};
use super::{codes::read, interpreters};
use crate::interpreter_symbols::{Symbol, symbol};
use crate::memory::Pages;
use crate::{process, sys, thread};
use api::{Api, Object};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use graph::Graph;
use growth::Known;
use heaptide_format::shared::option;
use heaptide_format::wire::{BlobKind, census};
use kinds::{Kinds, Measuring};
use layout::Layout;
use text::Texts;

/// The stage begins at 0: nothing was asked of the interpreter yet. A pending call is under way.
const ASKED: u32 = 1;
/// The last one has been made.
const IDLE: u32 = 2;

/// What an image knows of its censuses. In wiped memory: all zeros at first, and in a forked child.
#[repr(C)]
pub struct State {
    stage: AtomicU32,
    /// Requests that were there before this image, or have been answered.
    answered: AtomicU32,
    /// Not zero while a census is made.
    busy: AtomicU32,
    /// The exit function is registered.
    registered: AtomicU32,
}

impl State {
    /// An image begins: what was asked before it is not asked of it.
    pub fn begin(&self, requests: u32) {
        self.answered.store(requests, Ordering::Relaxed);
    }
}

static LAYOUT: AtomicPtr<Layout> = AtomicPtr::new(core::ptr::null_mut());

/// If the run wants censuses, and this interpreter can be asked. Once.
pub fn prepare(offsets: &Offsets) -> bool {
    if !process::has_option(option::CENSUS) || Api::find().is_none() {
        return false;
    }
    let Some(layout) = layout::of_version(offsets.version) else { return false };
    LAYOUT.store(core::ptr::from_ref(layout).cast_mut(), Ordering::Release);
    true
}

/// Looks whether a census is due, and asks for the call that makes it. `state` is that of the calling thread.
pub fn look(process: &'static process::State, state: usize) {
    let mine = &process.census;
    let stage = mine.stage.load(Ordering::Relaxed);
    let requests = process::control().census.load(Ordering::Relaxed);
    if stage == ASKED || (stage == IDLE && requests == mine.answered.load(Ordering::Relaxed)) {
        return;
    }
    ask(mine, stage, state);
}

#[cold]
#[inline(never)]
fn ask(mine: &State, stage: u32, state: usize) {
    // SAFETY: null, or a reference to a static row that `prepare` stored.
    let Some(layout) = (unsafe { LAYOUT.load(Ordering::Acquire).as_ref() }) else { return };
    let Some(api) = Api::find() else { return };
    // SAFETY: `PyInterpreterState_Main` reads a variable; a thread state has its interpreter there in all versions.
    let is_main = || unsafe { read::<usize>(state, layout::THREAD_INTERPRETER) == (api.main_interpreter)() as usize };
    // SAFETY: reads a variable.
    let is_initialized = || unsafe { (api.is_initialized)() } != 0;
    if super::is_finalizing() || !interpreters::holds_gil(state) || !is_main() || !is_initialized() || finishes(layout)
    {
        return;
    }
    if mine.stage.compare_exchange(stage, ASKED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return;
    }
    // SAFETY: errno's address is valid for the calling thread.
    let errno = unsafe { *libc::__errno_location() };
    let nothing = core::ptr::null_mut();
    // The main thread may wait for others for ever: from 3.12 on any thread will do.
    let refused = match api.add_pending_anywhere.filter(|_| layout.version >= 0x030C) {
        // SAFETY: the main interpreter, of which this thread holds the GIL; why it may be called here says the module.
        Some(add) => unsafe { add((api.main_interpreter)(), called, nothing, 0) },
        // SAFETY: as above.
        None => unsafe { (api.add_pending_call)(called, nothing) },
    };
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    if refused != 0 {
        mine.stage.store(stage, Ordering::Release);
    }
}

/// Whether pending calls are refused for good, which 3.8 says on standard error if it is asked for one.
fn finishes(layout: &Layout) -> bool {
    let Some((offset, runtime)) = layout.finishing.zip(symbol(Symbol::_PyRuntime)) else { return false };
    // SAFETY: an int in the interpreter's static structure, by the version's row.
    unsafe { read::<i32>(runtime.as_ptr() as usize, offset) != 0 }
}

/// The pending call.
unsafe extern "C" fn called(_: *mut c_void) -> c_int {
    if let Some(process) = process::state() {
        let mine = &process.census;
        // In a forked child this may be what its parent asked for.
        if mine.stage.load(Ordering::Acquire) == ASKED {
            if !super::is_finalizing() {
                register(mine);
            }
            let requests = process::control().census.load(Ordering::Acquire);
            if mine.answered.swap(requests, Ordering::AcqRel) != requests {
                take(process, requests, 0);
            }
            mine.stage.store(IDLE, Ordering::Release);
        }
    }
    0
}

/// What `atexit` calls.
unsafe extern "C" fn exits(_: Object, _: Object) -> Object {
    if let Some(process) = process::state() {
        take(process, process::control().census.load(Ordering::Acquire), census::AT_EXIT);
    }
    let Some(api) = Api::find() else { return core::ptr::null_mut() };
    let none = api.none as Object;
    // SAFETY: a new reference to None, for the caller.
    unsafe { (api.increase)(none) };
    none
}

/// `PyMethodDef`.
#[repr(C)]
struct Definition {
    name: *const c_char,
    function: api::Method,
    flags: c_int,
    text: *const c_char,
}

// SAFETY: never written.
unsafe impl Sync for Definition {}

static EXIT: Definition = Definition {
    name: c"heaptide_census_at_exit".as_ptr(),
    function: exits,
    // METH_NOARGS.
    flags: 4,
    text: core::ptr::null(),
};

/// Has the exit function called when the program ends. In a forked child the interpreter has a copy of the list.
fn register(mine: &State) {
    static INHERITED: AtomicU32 = AtomicU32::new(0);
    if mine.registered.swap(1, Ordering::AcqRel) != 0 || INHERITED.swap(1, Ordering::AcqRel) != 0 {
        return;
    }
    let Some(api) = Api::find() else { return };
    // SAFETY: in a pending call any function of the interpreter may be called; each result is checked, and released.
    unsafe {
        let module = (api.import)(c"atexit".as_ptr());
        let function = (api.new_function)((&raw const EXIT).cast(), core::ptr::null_mut(), core::ptr::null_mut());
        let result = match module.is_null() || function.is_null() {
            true => core::ptr::null_mut(),
            false => (api.call_method)(module, c"register".as_ptr(), c"O".as_ptr(), function),
        };
        if result.is_null() {
            (api.clear_error)();
        }
        for object in [module, function, result] {
            if !object.is_null() {
                (api.decrease)(object);
            }
        }
    }
}

struct Kept(UnsafeCell<Known>);

// SAFETY: used only by `take`, under `State::busy` of the process.
unsafe impl Sync for Kept {}

static KNOWN: Kept = Kept(UnsafeCell::new(Known::EMPTY));

/// Makes a census and sends it. In a pending call or the exit function, under the GIL.
fn take(process: &'static process::State, number: u32, flags: u8) {
    // SAFETY: null, or a reference to a static row that `prepare` stored.
    let Some(layout) = (unsafe { LAYOUT.load(Ordering::Acquire).as_ref() }) else { return };
    let (Some(api), Some(offsets)) = (Api::find(), super::known_offsets()) else { return };
    // A call that was asked for before may be made while modules are torn down.
    if super::is_finalizing() || process.census.busy.swap(1, Ordering::AcqRel) != 0 {
        return;
    }
    // SAFETY: errno's address is valid for the calling thread.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: an int that is no small one is made and released: whatever allocator is used, it has room for the next, so that
    // no memory is fetched from the system while nothing is recorded. The text is interned: all types have it.
    let name = unsafe {
        let spare = (api.long)(1 << 20);
        if !spare.is_null() {
            (api.decrease)(spare);
        }
        (api.intern)(c"__sizeof__".as_ptr())
    };
    if !name.is_null() {
        if let Some(mut guard) = thread::enter() {
            let with = Measuring { api: &api, offsets, layout, method_name: name, plain: None };
            // SAFETY: a static type; the GIL is held.
            let plain = unsafe { with.method(api.base_object) };
            let with = Measuring { plain, ..with };
            // SAFETY: `busy` keeps everybody else away.
            let known = unsafe { &mut *KNOWN.0.get() };
            make(&mut guard, known, &with, process.image.load(Ordering::Relaxed), (number, flags));
        }
        // SAFETY: ours.
        unsafe { (api.decrease)(name) };
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    process.census.busy.store(0, Ordering::Release);
}

fn make(guard: &mut thread::Guard, known: &mut Known, with: &Measuring<'_>, image: u32, (number, flags): (u32, u8)) {
    let began = sys::now();
    known.begin(image);
    let (mut graph, mut kinds, mut grown) = (Graph::default(), Kinds::default(), Pages::default());
    let told = &guard.ring.header().shim_bytes;
    graph.told = Some((told, told.load(Ordering::Relaxed)));
    // SAFETY: reads a variable.
    let interpreter = unsafe { (with.api.main_interpreter)() } as usize;
    // SAFETY: `take` is called under the GIL, from a pending call or `atexit`; nothing below runs Python code, so nothing
    // changes until this function returns.
    unsafe {
        graph::without_collector(with, interpreter, || {
            graph.walk(&mut kinds, with, &known.kinds, interpreter);
            known.push_grown(&mut grown, &graph, &mut kinds, with);
        });
    }
    let (mut head, mut types) = (Pages::default(), Pages::default());
    let (mut objects, mut bytes) = (0, 0);
    for kind in kinds.kinds.as_slice() {
        objects += kind.count;
        bytes += kind.bytes;
        types.push_u64(kind.count);
        types.push_u64(kind.bytes);
        types.push_bytes(&(kind.name.1 as u16).to_le_bytes());
        types.push_bytes(kinds.name_bytes(kind.name));
    }
    let own = graph.memory() + kinds.memory() + known.memory() + grown.bytes() + types.bytes();
    let flags = flags | if graph.cut { census::CUT } else { 0 } | if known.has_one { 0 } else { census::FIRST };
    head.push_u32(number);
    head.push_u32(u32::from(flags));
    head.push_u64(objects);
    head.push_u64(bytes);
    head.push_u64(sys::now().saturating_sub(began));
    head.push_u64(own as u64);
    head.push_u32(kinds.kinds.len() as u32);
    guard.ring.put_blob(BlobKind::Census, &[head.as_slice(), types.as_slice(), grown.as_slice()]);
    known.remember(&graph, kinds, with.offsets);
    graph.release();
    for mut pages in [head, types, grown] {
        pages.release();
    }
    guard.census_bytes = known.memory();
    guard.report_memory();
}

const _: () = assert!(offsets::OBJECT_TYPE == 8);
