//! The Python stack of the calling thread, read at the allocation and made cheap by validation.
//!
//! The chain that was read last is kept: for each frame its address, code, instruction and node. The next reading
//! follows the interpreter's pointers from the innermost frame until it meets a frame of the kept chain, then checks
//! that this frame and all below still have the same code, instruction and caller. What is unchanged keeps its nodes.
//!
//! The check follows only pointers that were just read from live frames, so it is safe whatever was freed meanwhile;
//! but the *predicted* address of the next frame (from the kept chain, hidden from the compiler's knowledge that it
//! equals the pointer) lets the processor fetch frames without waiting for each other: about 1 ns a frame.

use super::codes::{self, Codes, read};
use super::offsets::{Offsets, PYTHON_3_8, PYTHON_3_10, PYTHON_3_11, PYTHON_3_12, executable};
use crate::arch::opaque;
use crate::memory::Pages;
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
}

/// Stands below the outermost frame, as its caller: element 0 of every chain.
const NO_FRAME: Link = Link { frame: 0, code: 0, instruction: 0, node: 0 };

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
    /// The codes of the thread.
    codes: Codes,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            links: Pages::default(),
            fresh: Pages::default(),
            places: [0; PLACES],
            deaths: 0,
            codes: Codes::default(),
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
/// 3.12 to 3.15: interpreter frames.
struct Python312;

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

impl Chain {
    /// Bytes it holds beside itself.
    pub fn bytes(&self) -> usize {
        self.links.bytes() + self.fresh.bytes() + self.codes.bytes()
    }

    /// Forgets everything: a new thread begins in this ring.
    pub fn clear(&mut self) {
        self.links.truncate(0);
        self.codes.clear();
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
        match offsets.version {
            0x030B => self.read_from::<Python311>(stacks, ring, top, offsets),
            0x030C..=0x030F => self.read_from::<Python312>(stacks, ring, top, offsets),
            0x030A => self.read_from::<Python310>(stacks, ring, top, offsets),
            _ => self.read_from::<Python38>(stacks, ring, top, offsets),
        }
    }

    #[inline(always)]
    fn read_from<S: Shape>(&mut self, stacks: &mut Stacks, ring: &mut Writer, top: usize, offsets: &Offsets) -> Node {
        let deaths = codes::deaths();
        // The case of a loop that allocates: the innermost frame is the same, often everything is.
        if let Some(last) = self.links.as_slice().last()
            && last.frame == top
            && self.deaths == deaths
        {
            let length = self.links.len();
            if let Check::Valid(valid) = self.check::<S>(length) {
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
        self.fresh.truncate(0);
        if self.links.len() == 0 && !self.links.push(NO_FRAME) {
            return 0;
        }
        let mut frame = top;
        // Links below this may still be met.
        let mut known = self.links.len();
        let mut valid = 1;
        let mut join = 1;
        while frame != 0 {
            let place = usize::from(self.places[place_of(frame)]);
            if place < known && self.links.as_slice()[place].frame == frame {
                match self.check::<S>(place + 1) {
                    Check::Valid(prefix) => {
                        (valid, join) = (prefix, place + 1);
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
        if self.deaths != deaths {
            // A code of the kept chain may have died and another taken its address: look at every one again.
            self.deaths = deaths;
            valid = 1;
        }
        self.rebuild::<S>(stacks, ring, valid, join, offsets)
    }

    /// Compares the first `length` links with the live frames, innermost first. The innermost of them must be on the
    /// stack.
    #[inline(always)]
    fn check<S: Shape>(&self, length: usize) -> Check {
        let links = &self.links.as_slice()[..length];
        let mut valid = length;
        let mut callers = links.iter().rev();
        let Some(mut link) = callers.next() else { return Check::Valid(length) };
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
            (frame, link) = (predicted, caller_link);
        }
        Check::Valid(valid)
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
        let held = self.bytes();
        for index in valid..total {
            let frame = if index < join {
                self.links.as_slice()[index].frame
            } else {
                self.fresh.as_slice()[total - 1 - index]
            };
            // SAFETY: all of them are on the stack of this thread.
            let (code, instruction) = unsafe { (read(frame, offsets.frame_code), S::instruction(frame)) };
            let code = executable(code);
            node = self.node_of(stacks, ring, node, frame, (code, instruction), offsets);
            let link = Link { frame, code, instruction, node };
            if let Some(slot) = self.links.as_mut_slice().get_mut(index) {
                *slot = link;
            } else if !self.links.push(link) {
                break;
            }
            self.places[place_of(frame)] = index as u16;
        }
        self.links.truncate(total);
        if self.bytes() != held {
            ring.header().shim_bytes.fetch_add((self.bytes() - held) as u64, Ordering::Relaxed);
        }
        node
    }

    #[inline]
    fn node_of(
        &mut self,
        stacks: &mut Stacks,
        ring: &mut Writer,
        parent: Node,
        frame: usize,
        (code, instruction): (usize, usize),
        offsets: &Offsets,
    ) -> Node {
        if let Some((owner, entry)) = offsets.entry_frame {
            // SAFETY: a live frame.
            if unsafe { read::<u8>(frame, owner) } >= entry {
                return parent;
            }
        }
        if code == 0 {
            return parent;
        }
        let place = match offsets.code_first_instruction {
            // In code units of two bytes; the instruction before the first one gives -1.
            Some(first) => (instruction.wrapping_sub(code + first) as isize >> 1) as i32,
            None => instruction as u32 as i32,
        };
        // What cannot be described is left out; the ring has counted it or tracing has ended.
        self.codes
            .number(ring, code, offsets)
            .and_then(|number| stacks.python(ring, parent, number, place))
            .unwrap_or(parent)
    }
}

#[inline(always)]
fn place_of(frame: usize) -> usize {
    ((frame >> 3) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize >> (usize::BITS - PLACES.trailing_zeros())
}

enum Check {
    /// This many links from the first on are as they were; all are on the stack.
    Valid(usize),
    /// The frame of link `at` is on the stack, but its caller is another one now.
    Broken { at: usize, caller: usize },
}
