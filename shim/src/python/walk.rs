//! The Python stack of the calling thread, read at the allocation and made cheap by validation.
//!
//! The chain that was read last is kept: for each frame its address, code, instruction and node. The next reading
//! follows the interpreter's pointers from the innermost frame until it meets a frame of the kept chain, then checks
//! that this frame and all below still have the same code, instruction and caller. What is unchanged keeps its nodes.
//!
//! The check ends at the first frame that bears an intact mark (see [`super::marks`]): whatever is below has not run
//! since. So it costs the same at any depth, where the version allows marks.
//!
//! The check follows only pointers that were just read from live frames, so it is safe whatever was freed meanwhile;
//! but the *predicted* address of the next frame (from the kept chain, hidden from the compiler's knowledge that it
//! equals the pointer) lets the processor fetch frames without waiting for each other: about 1 ns a frame.

use super::codes::{self, Codes, read};
use super::marks::Mark;
use super::offsets::{
    Offsets, PYTHON_3_8, PYTHON_3_10, PYTHON_3_11, PYTHON_3_12, PYTHON_3_14, PYTHON_3_15, executable,
};
use super::tasks::Tasks;
use super::window::Window;
use crate::arch::opaque;
use crate::memory::Pages;
use crate::process;
use crate::ring::Writer;
use crate::stacks::{Node, Stacks};
use core::sync::atomic::Ordering;

/// A frame of the kept chain. Addresses and values as they were when it was read.
#[derive(Clone, Copy)]
#[repr(C)]
struct Link {
    frame: usize,
    code: usize,
    /// Pointer to the instruction, or `f_lasti`.
    instruction: usize,
    /// The stack up to and with this frame.
    node: Node,
    /// Number of the code among the thread's, or [`UNKNOWN`].
    number: u32,
    /// Tells whether this call has ended since.
    mark: Mark,
}

/// No code has this number.
const UNKNOWN: u32 = u32::MAX;

/// Stands below the outermost frame, as its caller: element 0 of every chain.
const NO_FRAME: Link = Link { frame: 0, code: 0, instruction: 0, node: 0, number: UNKNOWN, mark: Mark::NONE };

/// A check that passes more frames than this marks them, for the next one. Fewer are not worth it: innermost functions
/// have ended by then.
const MARKED_FROM: usize = 4;

const PLACES: usize = 1024;
/// Frames of one stack that are followed: only a broken chain is longer than CPython's own limits let it be.
const MOST_FRAMES: usize = 1 << 20;

/// The kept chain of a thread: [`NO_FRAME`], then the frames, outermost first.
#[repr(C)]
pub struct Chain {
    links: Pages<Link>,
    /// Frames above the join, innermost first, while a stack is read.
    fresh: Pages<usize>,
    /// Guesses where a frame stands in `links`, by hash of its address.
    places: [u16; PLACES],
    /// [`codes::deaths`] when the chain was last right.
    deaths: u32,
    /// Marks written so far.
    marks: u64,
    /// The codes of the thread.
    codes: Codes,
    /// The frames of asyncio's `Handle._run` among them.
    tasks: Tasks,
    /// `PyThreadState` of the stack that is being read.
    state: usize,
    /// Takes the place of the above where the stacks are to be cut: then `links` is empty.
    window: Window,
    /// Most frames of a stack; 0: all.
    depth: u32,
    /// Links at most, codes and places for stacks that there were when the bytes below were told to the collector.
    most_links: usize,
    known_codes: usize,
    told_bytes: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            links: Pages::default(),
            fresh: Pages::default(),
            places: [0; PLACES],
            deaths: 0,
            marks: 0,
            codes: Codes::default(),
            tasks: Tasks::default(),
            state: 0,
            window: Window::default(),
            depth: process::control().max_depth,
            most_links: 0,
            known_codes: 0,
            told_bytes: 0,
        }
    }
}

/// How a version keeps its frames, known at compile time in the hot loop. Versions that agree share one.
trait Shape {
    /// The version's row.
    const ROW: Offsets;
    /// Frame: the calling frame.
    const PREVIOUS: usize = Self::ROW.frame_previous;
    /// Frame: the code, where the instruction does not tell it. A pointer to the instruction does: it points into the
    /// code object.
    const CODE: Option<usize> =
        if Self::ROW.code_first_instruction.is_none() { Some(Self::ROW.frame_code) } else { None };

    /// Where the frame stands in its code: `f_lasti`, an int, up to 3.10, then a pointer.
    ///
    /// # Safety
    /// `frame` is a live frame of a version with this shape.
    #[inline(always)]
    unsafe fn instruction(frame: usize) -> usize {
        let offset = Self::ROW.frame_instruction;
        // SAFETY: the caller's promise.
        unsafe { if Self::CODE.is_some() { read::<u32>(frame, offset) as usize } else { read(frame, offset) } }
    }
}

/// 3.8 and 3.9: frame objects.
struct Python38;
/// 3.10: frame objects.
struct Python310;
/// 3.11: interpreter frames.
struct Python311;
/// 3.12 and 3.13: interpreter frames.
struct Python312;
/// 3.14: the same, but for the evaluation stack.
struct Python314;
/// 3.15: without marks.
struct Python315;

impl Shape for Python38 {
    const ROW: Offsets = PYTHON_3_8;
}
impl Shape for Python310 {
    const ROW: Offsets = PYTHON_3_10;
}
impl Shape for Python311 {
    const ROW: Offsets = PYTHON_3_11;
}
impl Shape for Python312 {
    const ROW: Offsets = PYTHON_3_12;
}
impl Shape for Python314 {
    const ROW: Offsets = PYTHON_3_14;
}
impl Shape for Python315 {
    const ROW: Offsets = PYTHON_3_15;
}

impl Chain {
    /// Bytes it holds beside itself.
    pub fn bytes(&self) -> usize {
        self.links.bytes() + self.fresh.bytes() + self.codes.bytes() + self.tasks.bytes() + self.window.bytes()
    }

    /// Forgets everything: a new thread begins in this ring.
    pub fn clear(&mut self) {
        self.links.truncate(0);
        self.codes.clear();
        self.tasks.clear();
        self.window.clear();
    }

    /// The stack of the thread whose `PyThreadState` is at `thread_state`: the calling thread's. 0 if no Python
    /// function runs in it.
    #[inline(always)]
    pub fn read(&mut self, stacks: &mut Stacks, ring: &mut Writer, thread_state: usize, offsets: &Offsets) -> Node {
        // SAFETY: the interpreter's own state of this thread, alive while the thread runs in this hook.
        let mut top: usize = unsafe { read(thread_state, offsets.thread_frame) };
        if let (Some(cframe_frame), true) = (offsets.cframe_frame, top != 0) {
            // SAFETY: the `_PyCFrame` of this thread.
            top = unsafe { read(top, cframe_frame) };
        }
        if top == 0 {
            return 0;
        }
        self.state = thread_state;
        match offsets.version {
            0x030B => self.read_from::<Python311>(stacks, ring, top, offsets),
            0x030C | 0x030D => self.read_from::<Python312>(stacks, ring, top, offsets),
            0x030E => self.read_from::<Python314>(stacks, ring, top, offsets),
            0x030F => self.read_from::<Python315>(stacks, ring, top, offsets),
            0x030A => self.read_from::<Python310>(stacks, ring, top, offsets),
            _ => self.read_from::<Python38>(stacks, ring, top, offsets),
        }
    }

    /// The node of the stack whose innermost frame is `top`. With HEAPTIDE_VERIFY the kept chain is not trusted: tracing
    /// ends if the whole stack, read again, is another.
    #[inline(always)]
    fn read_from<S: Shape>(&mut self, stacks: &mut Stacks, ring: &mut Writer, top: usize, offsets: &Offsets) -> Node {
        let node = self.read_what_changed::<S>(stacks, ring, top, offsets);
        if super::verifies() && !self.is_right::<S>(stacks, ring, top, node, offsets) {
            process::stop(b"heaptide: HEAPTIDE_VERIFY: a stack is not what was kept of it; tracing stops here\n");
        }
        node
    }

    #[inline(always)]
    fn read_what_changed<S: Shape>(
        &mut self,
        stacks: &mut Stacks,
        ring: &mut Writer,
        top: usize,
        offsets: &Offsets,
    ) -> Node {
        let deaths = codes::deaths();
        // The case of a loop that allocates: the innermost frame is the same, often everything is.
        if let Some(last) = self.links.as_slice().last()
            && last.frame == top
            && self.deaths == deaths
        {
            let length = self.links.len();
            if let Check::Valid { valid, unchanged } = self.check::<S>(length, true) {
                if length - unchanged > MARKED_FROM {
                    self.mark(unchanged + 1, length, offsets);
                }
                let valid = self.valid_with_tasks(valid, length, offsets);
                if valid == length {
                    return self.links.as_slice()[length - 1].node;
                }
                self.fresh.truncate(0);
                return self.rebuild::<S>(stacks, ring, valid, length, offsets);
            }
        }
        self.read_slowly::<S>(stacks, ring, top, deaths, offsets)
    }

    #[inline(never)]
    fn read_slowly<S: Shape>(
        &mut self,
        stacks: &mut Stacks,
        ring: &mut Writer,
        top: usize,
        deaths: u32,
        offsets: &Offsets,
    ) -> Node {
        if self.depth != 0 {
            return self.read_window(stacks, ring, top, deaths, offsets);
        }
        self.fresh.truncate(0);
        if self.links.len() == 0 && !self.links.push(NO_FRAME) {
            return 0;
        }
        // If a code of the kept chain may have died, another may have taken its address: look at every one again.
        let codes_live = self.deaths == deaths;
        self.deaths = deaths;
        let mut frame = top;
        // Links below this may still be met.
        let mut known = self.links.len();
        let mut valid = 1;
        let mut join = 1;
        while frame != 0 {
            let place = usize::from(self.places[place_of(frame)]);
            if place < known && self.links.as_slice()[place].frame == frame {
                match self.check::<S>(place + 1, codes_live) {
                    Check::Valid { valid: prefix, unchanged } => {
                        join = place + 1;
                        if !codes_live {
                            self.forget_codes(join);
                        } else {
                            valid = prefix;
                            if join - unchanged > MARKED_FROM {
                                self.mark(unchanged + 1, join, offsets);
                            }
                        }
                        break;
                    }
                    Check::Broken { at, caller } => {
                        // The frames from `at` on are on the stack, but called by another one than before.
                        for index in (at..=place).rev() {
                            let on_stack = self.links.as_slice()[index].frame;
                            self.fresh.push(on_stack);
                        }
                        known = at;
                        frame = caller;
                        continue;
                    }
                }
            }
            if self.fresh.len() >= MOST_FRAMES || !self.fresh.push(frame) {
                ring.header().cut.fetch_add(1, Ordering::Relaxed);
                break;
            }
            // SAFETY: `frame` is on the stack of this thread, hence alive.
            frame = unsafe { read(frame, S::PREVIOUS) };
        }
        let valid = self.valid_with_tasks(valid, join + self.fresh.len(), offsets);
        self.rebuild::<S>(stacks, ring, valid, join, offsets)
    }

    /// How many links are as they were, if `valid` look like it, of a stack that has `total` now.
    #[inline(always)]
    fn valid_with_tasks(&self, valid: usize, total: usize, offsets: &Offsets) -> usize {
        if self.tasks.is_empty() {
            return valid;
        }
        let frame_of = |link: usize| self.links.as_slice()[link].frame;
        // SAFETY: the check has found the first `valid` links on the stack, or that nothing below one can have changed.
        unsafe { self.tasks.still_valid(valid, total, self.state, offsets, frame_of) }
    }

    /// Compares the first `length` links with the live frames, innermost first, down to the first that bears an intact
    /// mark if marks may be `trusted`. The innermost of the links must be on the stack.
    #[inline(always)]
    fn check<S: Shape>(&self, length: usize, trusted: bool) -> Check {
        let links = &self.links.as_slice()[..length];
        let mut valid = length;
        let mut callers = links.iter().rev();
        let Some(mut link) = callers.next() else { return Check::Valid { valid, unchanged: 0 } };
        let mut frame = opaque(link.frame);
        let mut index = length;
        for caller_link in callers {
            index -= 1;
            // SAFETY: `frame` is on the stack: the first by the caller's promise, each further one because the check
            // below has found that its address is what the frame above it has as its caller.
            let (caller, instruction) = unsafe { (read::<usize>(frame, S::PREVIOUS), S::instruction(frame)) };
            // SAFETY: as above.
            let same_code = S::CODE.is_none_or(|code| unsafe { read::<usize>(frame, code) } == link.code);
            if instruction != link.instruction || !same_code {
                valid = index;
            }
            let predicted = opaque(caller_link.frame);
            if caller != caller_link.frame {
                return Check::Broken { at: index, caller };
            }
            if let Some(evaluation) = &S::ROW.evaluation
                && link.mark.exists()
                && trusted
            {
                // SAFETY: `caller` is on the stack, as its callee says. The instruction lies in the code, and no code
                // has died since the chain was read, so it is the code of then.
                let intact = unsafe {
                    S::instruction(caller) == caller_link.instruction && link.mark.is_intact(caller, evaluation)
                };
                if intact {
                    return Check::Valid { valid, unchanged: index };
                }
            }
            (frame, link) = (predicted, caller_link);
        }
        Check::Valid { valid, unchanged: 0 }
    }

    /// Marks the links from `from` up to `to`, which a check has just passed: all are on the stack.
    #[cold]
    #[inline(never)]
    fn mark(&mut self, from: usize, to: usize, offsets: &Offsets) {
        let Some(evaluation) = &offsets.evaluation else { return };
        // The outermost frame is link 1 and has no caller.
        for index in from.max(2)..to {
            let links = self.links.as_mut_slice();
            let (caller, link) = (links[index - 1].frame, &mut links[index]);
            if link.mark.is_possible() {
                self.marks += 1;
                // SAFETY: the check has found both on the stack, and that the one is the other's caller.
                link.mark = unsafe { Mark::write(link.frame, caller, self.marks, offsets, evaluation) };
            }
        }
    }

    /// Forgets the marks and codes of the links below `to`: what they were written for may be another code by now.
    fn forget_codes(&mut self, to: usize) {
        for link in &mut self.links.as_mut_slice()[..to] {
            (link.number, link.mark) = (UNKNOWN, Mark::NONE);
        }
    }

    /// Reads the whole stack again, as if nothing were known of it. Whether that gives what the chain has.
    #[cold]
    #[inline(never)]
    fn is_right<S: Shape>(
        &mut self,
        stacks: &mut Stacks,
        ring: &mut Writer,
        top: usize,
        node: Node,
        offsets: &Offsets,
    ) -> bool {
        let mut frame = top;
        for index in (1..self.links.len()).rev() {
            let link = self.links.as_slice()[index];
            if frame == 0 || link.frame != frame {
                return false;
            }
            // SAFETY: on the stack of this thread: reached from its innermost frame.
            frame = unsafe { read(frame, S::PREVIOUS) };
        }
        let mut found = 0;
        self.tasks.forget_from(0);
        for index in 1..self.links.len() {
            let frame = self.links.as_slice()[index].frame;
            // SAFETY: on the stack, as was just found.
            let (code, instruction) = unsafe { (read(frame, offsets.frame_code), S::instruction(frame)) };
            let code = executable(code);
            let number = number_of(&mut self.codes, ring, frame, code, offsets);
            found = node_of(stacks, ring, found, number, (frame, code, instruction), offsets);
            if self.codes.runs_handles(code) {
                found = self.node_above(stacks, ring, found, frame, (index, self.links.len()), offsets);
            }
        }
        frame == 0 && found == node
    }

    /// Makes the chain what the stack is: the links below `valid` stay, those up to `join` are on the stack but have
    /// changed, and the fresh frames follow.
    fn rebuild<S: Shape>(
        &mut self,
        stacks: &mut Stacks,
        ring: &mut Writer,
        valid: usize,
        join: usize,
        offsets: &Offsets,
    ) -> Node {
        let mut node = self.links.as_slice()[valid - 1].node;
        let total = join + self.fresh.len();
        self.tasks.forget_from(valid);
        for index in valid..total {
            let frame = if index < join {
                self.links.as_slice()[index].frame
            } else {
                self.fresh.as_slice()[total - 1 - index]
            };
            // SAFETY: all of them are on the stack of this thread.
            let (code, instruction) = unsafe { (read(frame, offsets.frame_code), S::instruction(frame)) };
            let code = executable(code);
            // A frame that has only moved on is still the same call, or its mark is gone.
            let kept = if index < join { self.links.as_slice()[index] } else { NO_FRAME };
            let number = if kept.code == code && kept.number != UNKNOWN {
                kept.number
            } else {
                number_of(&mut self.codes, ring, frame, code, offsets)
            };
            node = node_of(stacks, ring, node, number, (frame, code, instruction), offsets);
            if self.codes.runs_handles(code) {
                node = self.node_above(stacks, ring, node, frame, (index, total), offsets);
            }
            let link = Link { frame, code, instruction, node, number, mark: kept.mark };
            if let Some(slot) = self.links.as_mut_slice().get_mut(index) {
                *slot = link;
            } else if !self.links.push(link) {
                break;
            }
            self.places[place_of(frame)] = index as u16;
        }
        self.links.truncate(total);
        // What is held is asked only when it may have grown: adding up takes longer than all the rest.
        let size = [self.most_links.max(total), self.codes.len()];
        if size != [self.most_links, self.known_codes] {
            [self.most_links, self.known_codes] = size;
            let bytes = self.bytes();
            let grown = bytes.saturating_sub(self.told_bytes);
            self.told_bytes = bytes;
            ring.header().shim_bytes.fetch_add(grown as u64, Ordering::Relaxed);
        }
        node
    }

    /// The stack above `Handle._run`, which has the task's name in it.
    #[cold]
    fn node_above(
        &mut self,
        stacks: &mut Stacks,
        ring: &mut Writer,
        node: Node,
        frame: usize,
        place: (usize, usize),
        offsets: &Offsets,
    ) -> Node {
        // SAFETY: the frame is on the stack of this thread, and runs the code of `Handle._run`.
        unsafe { self.tasks.above((&mut self.codes, stacks, ring), node, place, (frame, self.state), offsets) }
    }

    /// How many frames of the stack that was read last were called from C. Not known (0) of stacks that are cut.
    #[cold]
    pub fn entries(&self, offsets: &Offsets) -> usize {
        let links = self.links.as_slice().get(1..).unwrap_or_default();
        links.iter().filter(|link| link.number != UNKNOWN && is_entry(link.frame, offsets)).count()
    }

    fn read_window(
        &mut self,
        stacks: &mut Stacks,
        ring: &mut Writer,
        top: usize,
        deaths: u32,
        offsets: &Offsets,
    ) -> Node {
        let held = self.bytes();
        let (depth, state) = (self.depth as usize, self.state);
        let parts = (&mut self.codes, &mut self.tasks, stacks, &mut *ring);
        let node = self.window.read(parts, (top, state), depth, deaths, offsets);
        if self.bytes() != held {
            ring.header().shim_bytes.fetch_add((self.bytes() - held) as u64, Ordering::Relaxed);
        }
        node
    }
}

/// Whether a live frame is one of the program's: not the interpreter's own.
#[inline(always)]
pub fn is_shown(frame: usize, code: usize, offsets: &Offsets) -> bool {
    if let Some((owner, entry)) = offsets.entry_frame {
        // SAFETY: a live frame.
        if unsafe { read::<u8>(frame, owner) } >= entry {
            return false;
        }
    }
    code != 0
}

/// The number of a live frame's code; [`UNKNOWN`] if the frame is not to be shown, or cannot be: the ring has counted it
/// then, or tracing has ended.
#[inline]
pub fn number_of(codes: &mut Codes, ring: &mut Writer, frame: usize, code: usize, offsets: &Offsets) -> u32 {
    if is_shown(frame, code, offsets) { codes.number(ring, code, offsets).unwrap_or(UNKNOWN) } else { UNKNOWN }
}

/// The node of a live frame, its code and instruction, called from `parent`; or `parent` for one that is not shown.
#[inline]
pub fn node_of(
    stacks: &mut Stacks,
    ring: &mut Writer,
    parent: Node,
    number: u32,
    (frame, code, instruction): (usize, usize, usize),
    offsets: &Offsets,
) -> Node {
    if number == UNKNOWN {
        return parent;
    }
    let place = match offsets.code_first_instruction {
        // In code units of two bytes; the instruction before the first one gives -1.
        Some(first) => (instruction.wrapping_sub(code + first) as isize >> 1) as i32,
        None => instruction as u32 as i32,
    };
    let is_entry = super::joins_native() && is_entry(frame, offsets);
    // What cannot be defined is left out; the ring has counted it or tracing has ended.
    stacks.python(ring, parent, (number, place), is_entry).unwrap_or(parent)
}

/// Whether a live frame was called from C: a call of the interpreter's evaluation function began with it.
fn is_entry(frame: usize, offsets: &Offsets) -> bool {
    // SAFETY: fields of a live frame and of its caller, which lives as long, by the version's row.
    unsafe {
        if let Some(is_entry) = offsets.evaluation.as_ref().and_then(|evaluation| evaluation.is_entry) {
            return read::<u8>(frame, is_entry) != 0;
        }
        let Some((owner, entry)) = offsets.entry_frame else {
            // Up to 3.10 each frame has its own call.
            return true;
        };
        let caller: usize = read(frame, offsets.frame_previous);
        caller == 0 || read::<u8>(caller, owner) >= entry
    }
}

#[inline(always)]
fn place_of(frame: usize) -> usize {
    ((frame >> 3) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize >> (usize::BITS - PLACES.trailing_zeros())
}

enum Check {
    /// All are on the stack, each called by the one before. The first `valid` are as they were, and so are the first
    /// `unchanged` without having been looked at.
    Valid { valid: usize, unchanged: usize },
    /// The frame of link `at` is on the stack, but its caller is another one now.
    Broken { at: usize, caller: usize },
}
