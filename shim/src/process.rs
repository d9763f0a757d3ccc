//! The traced process: its connection to the collector, and what must start afresh in a forked child.
//!
//! The shared memory stays mapped in a forked child, which then needs neither descriptor nor path to go on: it finds
//! its [`State`] wiped to zeros and registers as a new image.

use crate::native::modules::Modules;
use crate::{native, python, real, sys, thread};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use heaptide_format::shared::{
    self, CONTROL_BYTES, Control, MAX_SLABS, RING_BYTES, RINGS_PER_SLAB, RingHeader, SLAB_BYTES, option,
};

/// What a forked child must not inherit. All zeros is its state before [`register`].
#[repr(C)]
pub struct State {
    /// 0 not registered, 1 being registered, 2 registered.
    registered: AtomicU32,
    /// This image's number.
    pub image: AtomicU32,
    /// Process id as the collector sees it.
    pub process_id: AtomicU32,
    /// Threads that ever claimed a ring in this image. From the second on, events are stamped.
    pub threads: AtomicU32,
    /// Mapped objects.
    pub modules: Modules,
    /// States of threads that ended, to be used again.
    pub pool: thread::Pool,
    /// Its censuses.
    pub census: python::census::State,
}

const UNTRIED: usize = 0;
const TRYING: usize = 1;
const CONNECTED: usize = 2;
const OFF: usize = 3;
static CONNECTION: AtomicUsize = AtomicUsize::new(UNTRIED);
static CONTROL: AtomicPtr<Control> = AtomicPtr::new(core::ptr::null_mut());
static STATE: AtomicPtr<State> = AtomicPtr::new(core::ptr::null_mut());
static SLABS: [AtomicPtr<u8>; MAX_SLABS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_SLABS];
static MAPPING_SLAB: AtomicU32 = AtomicU32::new(0);
/// Image of this process, or in a child that has not registered yet, of its parent.
static LAST_IMAGE: AtomicU32 = AtomicU32::new(0);

const PATH_BYTES: usize = 256;
static PATH: [AtomicUsize; PATH_BYTES / 8] = [const { AtomicUsize::new(0) }; PATH_BYTES / 8];

unsafe extern "C" {
    static environ: *const *const u8;
}

unsafe extern "C" {
    fn __register_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
        library: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
}

/// Has forked children register at once: one that only waits for a while must be known before its parent ends.
fn announce_children() {
    // SAFETY: what pthread_atfork(3) calls; without a library's handle the handler stays for good, as this library does.
    unsafe { __register_atfork(Some(about_to_fork), None, Some(constructor), core::ptr::null_mut()) };
}

/// Tells the collector to expect another image: the parent may be gone before the child has had its first moment.
extern "C" fn about_to_fork() {
    if CONNECTION.load(Ordering::Acquire) == CONNECTED {
        control().forks.fetch_add(1, Ordering::AcqRel);
    }
}

/// Runs as a constructor of the library, for programs that allocate nothing before `main`, and in a forked child.
extern "C" fn constructor() {
    drop(thread::enter());
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

/// The state of this process if it is traced; connects to the collector at the first call. `None` while another thread
/// is connecting, before the C library is ready, and for ever if this process is not to be traced.
pub fn state() -> Option<&'static State> {
    match CONNECTION.load(Ordering::Acquire) {
        CONNECTED => {}
        UNTRIED => connect()?,
        _ => return None,
    }
    NonNull::new(STATE.load(Ordering::Acquire)).map(|state| {
        // SAFETY: `connect` mapped it, zeroed and for good; all its fields may be zero and are shared safely.
        unsafe { state.as_ref() }
    })
}

/// Whether this process will never be traced (any more).
pub fn is_off() -> bool {
    CONNECTION.load(Ordering::Relaxed) == OFF
}

/// Stops tracing in this process, for good.
pub fn turn_off() {
    CONNECTION.store(OFF, Ordering::Release);
}

/// Stops tracing in all processes, for good, and says why on standard error, once.
#[cold]
pub fn stop(message: &[u8]) {
    if control().stopped.swap(1, Ordering::AcqRel) == 0 {
        sys::complain(message);
    }
    turn_off();
}

/// The control area. Only after [`state`] has given one.
pub fn control() -> &'static Control {
    // SAFETY: `connect` stores it before any state exists; it stays mapped as long as the process lives.
    unsafe { &*CONTROL.load(Ordering::Acquire) }
}

/// Whether the run has this option (see [`option`]).
pub fn has_option(bit: u32) -> bool {
    control().options & bit != 0
}

fn connect() -> Option<()> {
    // SAFETY: the C library's own variable; null until it has started.
    if unsafe { environ }.is_null() {
        return None;
    }
    if CONNECTION.compare_exchange(UNTRIED, TRYING, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return None;
    }
    real::resolve();
    let connected = try_connect();
    CONNECTION.store(if connected.is_some() { CONNECTED } else { OFF }, Ordering::Release);
    connected
}

fn try_connect() -> Option<()> {
    let file = sys::File::open(remember_path()?, libc::O_RDWR)?;
    if !is_shared_memory(&file) {
        return None;
    }
    let control = sys::map_shared(&file, 0, CONTROL_BYTES)?.cast::<Control>();
    CONTROL.store(control.as_ptr(), Ordering::Release);
    // SAFETY: mapped just now, CONTROL_BYTES long; the collector has filled it before it started us.
    let control = unsafe { control.as_ref() };
    if control.layout != shared::LAYOUT || control.stopped.load(Ordering::Acquire) != 0 {
        control.refused.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    let me = sys::process_id();
    let first = control.first_process.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire);
    if control.options & option::FOLLOW == 0 && first.is_err_and(|first| first != me) {
        return None;
    }
    let slab = sys::map_shared(&file, shared::ring_offset(0), SLAB_BYTES);
    let state_bytes = sys::whole_pages(size_of::<State>());
    let state = sys::map(state_bytes).filter(|state| sys::wipe_on_fork(*state, state_bytes));
    let (Some(slab), Some(state)) = (slab, state) else {
        control.refused.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    SLABS[0].store(slab.as_ptr(), Ordering::Release);
    STATE.store(state.cast().as_ptr(), Ordering::Release);
    thread::prepare();
    announce_children();
    native::prepare();
    python::detect();
    Some(())
}

/// Whether the file is what its path says. The collector may have ended long ago, and its process id and descriptor be
/// those of another program, whose file must not be touched.
fn is_shared_memory(file: &sys::File) -> bool {
    let mut start = [0; 8];
    file.length().is_some_and(|length| length >= CONTROL_BYTES)
        && file.read(&mut start) == start.len()
        && u64::from_ne_bytes(start) == shared::MAGIC
}

/// The path of the shared memory with NUL at its end, from the environment. Kept, for later slabs.
fn remember_path() -> Option<&'static [u8]> {
    // SAFETY: checked for null by `connect`; an array of NUL-terminated strings that ends with null. Nobody changes it
    // yet: this runs before the program's own code.
    let mut entry = unsafe { environ };
    loop {
        // SAFETY: `entry` is inside that array.
        let text = NonNull::new(unsafe { entry.read() }.cast_mut())?;
        // SAFETY: a NUL-terminated string of the environment.
        let bytes = unsafe { core::ffi::CStr::from_ptr(text.as_ptr().cast()) }.to_bytes_with_nul();
        if let Some(path) =
            bytes.strip_prefix(shared::PATH_VARIABLE.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        {
            if path.len() > PATH_BYTES {
                return None;
            }
            for (slot, chunk) in PATH.iter().zip(path.chunks(8)) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                slot.store(usize::from_ne_bytes(word), Ordering::Relaxed);
            }
            return Some(stored_path());
        }
        // SAFETY: the end was not reached.
        entry = unsafe { entry.add(1) };
    }
}

fn stored_path() -> &'static [u8] {
    // SAFETY: AtomicUsize has the layout of usize; written only by `remember_path`, before anybody reads.
    let bytes = unsafe { core::slice::from_raw_parts(PATH.as_ptr().cast::<u8>(), PATH_BYTES) };
    let end = bytes.iter().position(|byte| *byte == 0).map_or(0, |nul| nul + 1);
    &bytes[..end]
}

/// The header of ring `index`; maps its slab if it is the first ring used there.
pub fn ring(index: usize) -> Option<NonNull<RingHeader>> {
    let slab = index / RINGS_PER_SLAB;
    let slot = SLABS.get(slab)?;
    let mut start = slot.load(Ordering::Acquire);
    if start.is_null() {
        while MAPPING_SLAB.swap(1, Ordering::Acquire) != 0 {
            sys::yield_now();
        }
        start = slot.load(Ordering::Acquire);
        if start.is_null() {
            start = map_slab(slab).map_or(core::ptr::null_mut(), NonNull::as_ptr);
            slot.store(start, Ordering::Release);
        }
        MAPPING_SLAB.store(0, Ordering::Release);
    }
    // SAFETY: the slab holds RINGS_PER_SLAB rings of RING_BYTES.
    NonNull::new(start).map(|start| unsafe { start.add(index % RINGS_PER_SLAB * RING_BYTES) }.cast())
}

/// Maps a slab that is not the first one, next to one that is mapped. The program may by now have no descriptor left, may
/// have changed its user or its root: the path is the second choice.
fn map_slab(slab: usize) -> Option<NonNull<u8>> {
    let (below, start) =
        (0..slab).rev().find_map(|below| Some((below, NonNull::new(SLABS[below].load(Ordering::Acquire))?)))?;
    // SAFETY: a slab that `try_connect` or `ring` has mapped, for good.
    unsafe { sys::map_more(start, (slab - below) * SLAB_BYTES, SLAB_BYTES) }.or_else(|| {
        let file = sys::File::open(stored_path(), libc::O_RDWR).filter(is_shared_memory)?;
        sys::map_shared(&file, shared::ring_offset(slab * RINGS_PER_SLAB), SLAB_BYTES)
    })
}

/// The ids of this process and of the calling thread, as those see them who mounted `/proc`: in a pid namespace of its own
/// a process counts from 1, which the collector would take for another's. Where `/proc` cannot tell, as it sees itself.
fn outer_ids() -> (u32, u32) {
    let mut link = [0; 48];
    let mut numbers = sys::read_link(b"/proc/thread-self\0", &mut link).split(|byte| *byte == b'/');
    // "PID/task/TID".
    let mut number = || {
        let digits = numbers.next()?;
        let value = digits.iter().try_fold(0u32, |value, digit| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
            value.checked_mul(10)?.checked_add(u32::from(digit))
        });
        value.filter(|value| *value != 0)
    };
    match (number(), number().or_else(&mut number)) {
        (Some(process), Some(thread)) => (process, thread),
        _ => (sys::process_id(), sys::thread_id()),
    }
}

/// The ids of this process and of the calling thread as the collector sees them. Only after [`register`].
pub fn ids(state: &State) -> (u32, u32) {
    match state.process_id.load(Ordering::Acquire) {
        process if process == sys::process_id() => (process, sys::thread_id()),
        _ => outer_ids(),
    }
}

/// How an image began, for its first record.
pub struct Birth {
    /// Image it was forked from; 0 if it was executed.
    pub parent: u32,
    /// It is a forked child.
    pub forked: bool,
}

/// Registers this process as an image, if that has not been done. `Some` to the one thread that does it: it must write
/// the image's first record and call [`announced`]. Other threads wait until then.
pub fn register(state: &State) -> Result<Option<Birth>, ()> {
    let registered = &state.registered;
    loop {
        match registered.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => break,
            Err(2) => return Ok(None),
            Err(_) => sys::yield_now(),
        }
    }
    let parent = LAST_IMAGE.load(Ordering::Acquire);
    // A thread that held it while this process was forked off does not exist here.
    MAPPING_SLAB.store(0, Ordering::Release);
    if parent != 0 && !has_option(option::FOLLOW) {
        turn_off();
        registered.store(0, Ordering::Release);
        return Err(());
    }
    state.process_id.store(outer_ids().0, Ordering::Release);
    state.census.begin(control().census.load(Ordering::Acquire));
    let image = control().next_image.fetch_add(1, Ordering::AcqRel);
    state.image.store(image, Ordering::Release);
    LAST_IMAGE.store(image, Ordering::Release);
    Ok(Some(Birth { parent, forked: parent != 0 }))
}

/// The first record has been written, or (`false`) could not be: then another thread may try.
pub fn announced(state: &State, done: bool) {
    state.registered.store(if done { 2 } else { 0 }, Ordering::Release);
}
