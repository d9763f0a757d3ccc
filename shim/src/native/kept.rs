//! The stacks that were read lately, as frames that know which frame is outside them: stacks with the same outer frames
//! share those. A frame is found by its state; see [`super`] for when it may be trusted.
//!
//! What a comparison needs of each frame is in 16 bytes, so that four frames are a line of the processor's cache: that is
//! most of what a stack costs that has not changed.

use crate::arch::{opaque, plain_address, prefetch};
use crate::memory::Pages;
use crate::stacks::{Node, Path};

/// A frame, or a word that one of the rules read besides: then it is `HIDDEN`.
#[derive(Clone, Copy)]
pub struct Frame {
    /// Where its return address lies: into the function, from what it has called.
    pub slot: usize,
    /// The return address; of a hidden one what lies there.
    pub pc: usize,
    /// Where its frame pointer was saved by what it has called, if it is `RESTORED`.
    pub restored_from: usize,
    /// Its frame pointer, if it is `RESTORED` or needed.
    pub frame_pointer: usize,
    /// The stack up to and with it.
    pub path: Path,
    /// The frame outside it; 0: it is the outermost.
    pub outer: u32,
    /// Frames of the stack up to and with it, hidden ones too.
    pub depth: u32,
    /// Bits of [`bit`].
    pub bits: u32,
}

/// Bits of an address.
const ADDRESS_BITS: u32 = 48;
const ADDRESS: u64 = (1 << ADDRESS_BITS) - 1;

/// What a comparison needs of a frame.
#[derive(Clone, Copy)]
#[repr(C)]
struct Check {
    /// The slot, and in the upper bits the number of the frame outside.
    slot_and_outer: u64,
    /// The return address, and in the upper bits those of [`bit`].
    pc_and_bits: u64,
}

/// The rest of a frame.
#[derive(Clone, Copy)]
#[repr(C)]
struct Rest {
    restored_from: usize,
    frame_pointer: usize,
    key: u64,
    node: Node,
    depth: u32,
}

impl Check {
    #[inline(always)]
    fn slot(self) -> usize {
        (self.slot_and_outer & ADDRESS) as usize
    }

    #[inline(always)]
    fn outer(self) -> u32 {
        (self.slot_and_outer >> ADDRESS_BITS) as u32
    }

    #[inline(always)]
    fn pc(self) -> usize {
        (self.pc_and_bits & ADDRESS) as usize
    }

    #[inline(always)]
    fn has(self, bit: u32) -> bool {
        self.pc_and_bits & u64::from(bit) << ADDRESS_BITS != 0
    }
}

/// What is noted of a frame.
pub mod bit {
    /// No frame, but a word that was read to find the next one.
    pub const HIDDEN: u32 = 1;
    /// It was interrupted: `pc` is the next instruction, not what a call returns to.
    pub const INTERRUPTED: u32 = 2;
    /// Its frame pointer is needed, by its own rule or by one further out.
    pub const NEEDS_FRAME_POINTER: u32 = 4;
    /// Its own rule needs it.
    pub const RULE_NEEDS: u32 = 8;
    /// The rule of what it has called has restored it.
    pub const RESTORED: u32 = 16;
    /// It evaluates Python frames.
    pub const EVALUATION: u32 = 32;
    /// Outside it are frames that are left out, because stacks are not to be deeper.
    pub const LIMITED: u32 = 64;
    /// Both `RESTORED` and needed: the place it was restored from must hold what it held.
    pub const CHECK_FRAME_POINTER: u32 = 128;
    /// Not all frames outside it are known: no unwind data, or `LIMITED`.
    pub const CUT: u32 = 256;
    /// The frame outside it was kept just before it.
    pub const ADJACENT: u32 = 512;
}

impl Frame {
    /// No frame.
    pub const NONE: Self = Self {
        slot: 0,
        pc: 0,
        restored_from: 0,
        frame_pointer: 0,
        path: Path { node: 0, key: 0 },
        outer: 0,
        depth: 0,
        bits: bit::HIDDEN,
    };

    /// Whether its addresses are such as user programs have.
    #[inline(always)]
    pub fn is_plausible(&self) -> bool {
        (self.slot | self.pc) as u64 & !ADDRESS == 0
    }

    /// The address of the instruction that it is at, or one inside the call.
    #[inline(always)]
    pub fn instruction(&self) -> usize {
        if self.has(bit::INTERRUPTED) { self.pc } else { self.pc.wrapping_sub(1) }
    }

    /// As it is recorded: a return address, one byte behind the instruction.
    #[inline(always)]
    pub fn recorded(&self) -> u64 {
        self.instruction() as u64 + 1
    }

    /// Whether it has this bit.
    #[inline(always)]
    pub fn has(&self, bit: u32) -> bool {
        self.bits & bit != 0
    }
}

/// Frames at first.
const FIRST_CAPACITY: usize = 256;
/// Frames at most: 920 KiB. When they are used up, all are forgotten.
const MOST: usize = 1 << 14;
const _: () = assert!(MOST <= 1 << (u64::BITS - ADDRESS_BITS));
/// Frames in the same state that are kept.
const WAYS: usize = 4;

/// A frame of a hash. All zeros is none.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Way {
    /// Another part of the hash: frames of other states are told by it without being looked at.
    tag: u16,
    frame: u16,
}

/// What [`Kept::candidates`] gives.
pub struct Candidates {
    ways: [Way; WAYS],
    tag: u16,
    next: usize,
}

/// The frames. All zeros is empty.
#[derive(Default)]
#[repr(C)]
pub struct Kept {
    /// Frame 0 is none.
    checks: Pages<Check>,
    rests: Pages<Rest>,
    /// Some frames for each hash of a state, the newest first.
    places: Pages<[Way; WAYS]>,
}

impl Kept {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.checks.bytes() + self.rests.bytes() + self.places.bytes()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.checks.truncate(0);
        self.rests.truncate(0);
        self.places.as_mut_slice().fill([Way::default(); WAYS]);
    }

    /// A frame.
    #[inline]
    pub fn frame(&self, index: u32) -> Frame {
        let index = index as usize;
        match (self.checks.as_slice().get(index), self.rests.as_slice().get(index)) {
            (Some(check), Some(rest)) if index != 0 => Frame {
                slot: check.slot(),
                pc: check.pc(),
                restored_from: rest.restored_from,
                frame_pointer: rest.frame_pointer,
                path: Path { node: rest.node, key: rest.key },
                outer: check.outer(),
                depth: rest.depth,
                bits: (check.pc_and_bits >> ADDRESS_BITS) as u32,
            },
            _ => Frame::NONE,
        }
    }

    /// The stack up to and with a frame.
    #[inline(always)]
    pub fn node(&self, index: u32) -> Node {
        self.rests.as_slice().get(index as usize).map_or(0, |rest| rest.node)
    }

    /// What is noted of a frame, see [`bit`].
    #[inline(always)]
    pub fn bits(&self, index: u32) -> u32 {
        self.checks.as_slice().get(index as usize).map_or(0, |check| (check.pc_and_bits >> ADDRESS_BITS) as u32)
    }

    /// The frames that are in this place of the stack and of the code.
    #[inline(always)]
    pub fn candidates(&self, slot: usize, pc: usize) -> Candidates {
        let places = self.places.as_slice();
        let hash = hash(slot, pc);
        let ways = places.get(hash >> 16 & places.len().wrapping_sub(1)).copied().unwrap_or_default();
        Candidates { ways, tag: hash as u16, next: 0 }
    }

    /// Has the memory fetched that [`Self::candidates`] will read.
    #[inline(always)]
    pub fn prefetch(&self, slot: usize, pc: usize) {
        let places = self.places.as_slice();
        if let Some(ways) = places.get(hash(slot, pc) >> 16 & places.len().wrapping_sub(1)) {
            prefetch(core::ptr::from_ref(ways) as usize);
        }
    }

    /// The next of the candidates.
    #[inline(always)]
    pub fn next_of(&self, candidates: &mut Candidates, slot: usize, pc: usize) -> Option<u32> {
        while let Some(way) = candidates.ways.get(candidates.next) {
            candidates.next += 1;
            if way.frame != 0 && way.tag == candidates.tag && self.is_at(u32::from(way.frame), slot, pc) {
                return Some(u32::from(way.frame));
            }
        }
        None
    }

    /// Whether a frame is in this place of the stack and of the code.
    #[inline(always)]
    fn is_at(&self, index: u32, slot: usize, pc: usize) -> bool {
        let check = self.checks.as_slice().get(index as usize);
        check.is_some_and(|check| check.slot() == slot && check.pc() == pc)
    }

    /// The first frame outside this one whose words are not what they were: where its return address lies.
    ///
    /// # Safety
    /// The frame is in the state that it was in when it was kept.
    #[inline(always)]
    pub unsafe fn first_change(&self, index: u32) -> Option<usize> {
        let checks = self.checks.as_slice();
        let mut index = index as usize;
        let mut check = *checks.get(index)?;
        loop {
            if check.has(bit::ADJACENT) {
                // Known without waiting for anything: the comparisons of several frames overlap.
                index -= 1;
            } else {
                // A branch of its own: chosen from two values, the next frame's place would have to be waited for.
                index = opaque(check.outer() as usize);
                if index == 0 {
                    return None;
                }
            }
            check = *checks.get(index)?;
            // SAFETY: the frame inside this one is in the state that it was in, by our caller's promise or by the check of
            // the round before; so its rule, which was followed then, reads this very place of the live stack.
            let pc = unsafe { (check.slot() as *const usize).read() };
            let is_restored = || self.is_restored(index);
            if plain_address(pc) != check.pc() || (check.has(bit::CHECK_FRAME_POINTER) && !is_restored()) {
                return Some(check.slot());
            }
        }
    }

    /// Whether a frame's frame pointer is still restored to what it was.
    #[inline(never)]
    fn is_restored(&self, index: usize) -> bool {
        let Some(rest) = self.rests.as_slice().get(index) else { return false };
        // SAFETY: as in `first_change`, which has found the frame inside this one in the state that it was in.
        rest.frame_pointer == unsafe { (rest.restored_from as *const usize).read() }
    }

    /// Makes sure that so many more frames can be kept. False if all had to be forgotten for that, or there cannot be so many.
    pub fn has_room(&mut self, more: usize) -> bool {
        if self.checks.len() + more <= self.places.len() {
            return true;
        }
        let capacity = (self.places.len() * 2).max(FIRST_CAPACITY).max((more + 1).next_power_of_two());
        if capacity <= MOST {
            // Without memory for them there are as many as before.
            self.places.resize_zeroed(capacity);
        }
        self.clear();
        false
    }

    /// Keeps a frame; its number, or 0 if there is no memory for it. There is room for it.
    pub fn add(&mut self, frame: Frame) -> u32 {
        if self.checks.len() == 0 && !self.push(&Frame::NONE) {
            return 0;
        }
        let index = self.checks.len();
        let adjacent = if frame.outer != 0 && frame.outer as usize + 1 == index { bit::ADJACENT } else { 0 };
        if index >= MOST || !self.push(&Frame { bits: frame.bits | adjacent, ..frame }) {
            return 0;
        }
        if !frame.has(bit::HIDDEN) {
            let places = self.places.as_mut_slice();
            let mask = places.len().wrapping_sub(1);
            let hash = hash(frame.slot, frame.pc);
            if let Some(ways) = places.get_mut(hash >> 16 & mask) {
                ways.rotate_right(1);
                ways[0] = Way { tag: hash as u16, frame: index as u16 };
            }
        }
        index as u32
    }

    fn push(&mut self, frame: &Frame) -> bool {
        let check = Check {
            slot_and_outer: frame.slot as u64 & ADDRESS | u64::from(frame.outer) << ADDRESS_BITS,
            pc_and_bits: frame.pc as u64 & ADDRESS | u64::from(frame.bits) << ADDRESS_BITS,
        };
        let Frame { restored_from, frame_pointer, path: Path { node, key }, depth, .. } = *frame;
        self.checks.push(check) && self.rests.push(Rest { restored_from, frame_pointer, key, node, depth })
    }

    /// A frame and those outside it, without the hidden ones.
    pub fn stack(&self, innermost: u32) -> impl Iterator<Item = Frame> + Clone {
        let mut next = innermost;
        core::iter::from_fn(move || {
            let frame = self.frame(next);
            (next != 0).then(|| {
                next = frame.outer;
                frame
            })
        })
        .filter(|frame| !frame.has(bit::HIDDEN))
    }
}

#[inline(always)]
fn hash(slot: usize, pc: usize) -> usize {
    ((slot as u64).rotate_left(20) ^ pc as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize >> 24
}
