//! Marks: how it is known at once that a frame, and so everything below it, has not changed.
//!
//! When a Python function calls another without a C function between (3.11 to 3.14), the interpreter takes the
//! operands of the call from the caller's evaluation stack and notes how many slots remain in use. The slot behind
//! them is dead: nobody reads it, neither the interpreter nor the garbage collector nor a debugger. A mark is a number
//! that occurs nowhere else, written into that slot. It is gone once the callee has ended:
//!
//! - If it returned, its result was stored in that very slot.
//! - If it raised, the slot may have survived; but before the caller can call again with as many slots in use, it must
//!   have stored an operand of that call there, because a call takes at least one. (Resuming a generator takes none, so
//!   a generator's frame is never marked. Nor is one called from the trampoline that constructors of a class run
//!   through, which calls with what it was given.)
//!
//! So a mark that is still there says that the callee is the same call as when it was written. While it lasts, no frame
//! below can run: their instructions, their callers, the functions they belong to are what they were. What a mark is
//! compared with, and when one is written, is in [`super::walk`].

use super::codes::read;
use super::offsets::{Evaluation, Offsets};

/// What is kept with a frame about its mark.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Mark {
    /// [`UNTRIED`], [`IMPOSSIBLE`], or the number in the slot.
    value: u64,
    /// Slots in use in the caller when it was written: its place.
    slot: i32,
}

const UNTRIED: u64 = 0;
const IMPOSSIBLE: u64 = 1;
/// No address that the interpreter could keep in a slot looks like this: it is not canonical. The lowest bits are odd.
const PATTERN: u64 = 0x4EA9 << 48 | 1;

/// Frame owned by the thread's own stack of frames.
const OWNED_BY_THREAD: u8 = 0;
/// Frame owned by a generator or coroutine.
const OWNED_BY_GENERATOR: u8 = 1;

impl Mark {
    /// No mark.
    pub const NONE: Self = Self { value: UNTRIED, slot: 0 };

    /// Whether there is a mark, intact or not.
    #[inline(always)]
    pub fn exists(self) -> bool {
        self.value > IMPOSSIBLE
    }

    /// Whether writing one has not been found impossible.
    pub fn is_possible(self) -> bool {
        self.value != IMPOSSIBLE
    }

    /// Whether the mark, which must exist, is where it was written: in the slots of `caller`.
    ///
    /// # Safety
    /// `caller` is a live frame that is the marked one's caller and runs the same code as when the mark was written.
    #[inline(always)]
    pub unsafe fn is_intact(self, caller: usize, evaluation: &Evaluation) -> bool {
        // SAFETY: our caller's promise.
        let top = unsafe { slots_in_use(caller, evaluation) };
        // SAFETY: the slot is one of the caller's: `write` has compared it with what the code has.
        top == self.slot && unsafe { read::<u64>(caller, place(evaluation, self.slot)) } == self.value
    }

    /// Writes a mark for `frame`, if there can be one. `number` is one that this thread has not used before.
    ///
    /// # Safety
    /// `frame` and `caller` are frames on the calling thread's stack, the one called by the other.
    pub unsafe fn write(frame: usize, caller: usize, number: u64, offsets: &Offsets, evaluation: &Evaluation) -> Self {
        const CANNOT: Mark = Mark { value: IMPOSSIBLE, slot: 0 };
        // SAFETY: fields of live frames, by the version's row.
        let (owner, callers_owner, is_entry, slot, code) = unsafe {
            (
                read::<u8>(frame, evaluation.owner),
                read::<u8>(caller, evaluation.owner),
                evaluation.is_entry.is_some_and(|is_entry| read::<u8>(frame, is_entry) != 0),
                slots_in_use(caller, evaluation),
                read::<usize>(caller, offsets.frame_code),
            )
        };
        if owner != OWNED_BY_THREAD || callers_owner > OWNED_BY_GENERATOR || is_entry || code == 0 {
            return CANNOT;
        }
        // SAFETY: fields of a live code object: a frame that runs it holds it.
        let (locals, stack_size, name, file) = unsafe {
            (
                read::<i32>(code, evaluation.code_locals),
                read::<i32>(code, evaluation.code_stack_size),
                read::<usize>(code, offsets.code_name),
                read::<usize>(code, offsets.code_file),
            )
        };
        // The interpreter's own trampoline has one and the same text for both.
        if name == file || slot < locals || slot - locals >= stack_size {
            return CANNOT;
        }
        let value = PATTERN | number << 1;
        // SAFETY: a slot of the caller's evaluation stack, by the comparison above, and one that is not in use: the
        // caller is in a call, so it has noted how many are. Nobody but this thread, which runs here, uses its frames.
        unsafe { ((caller + place(evaluation, slot)) as *mut u64).write_unaligned(value) };
        Self { value, slot }
    }
}

/// Slots in use in a frame that calls; another number in one that runs.
///
/// # Safety
/// `frame` is a live frame.
#[inline(always)]
unsafe fn slots_in_use(frame: usize, evaluation: &Evaluation) -> i32 {
    // SAFETY: a field of a live frame, by the version's row.
    unsafe {
        if evaluation.top_is_pointer {
            let bytes = read::<usize>(frame, evaluation.top).wrapping_sub(frame + evaluation.slots);
            i32::try_from(bytes >> 3).unwrap_or(-1)
        } else {
            read(frame, evaluation.top)
        }
    }
}

#[inline(always)]
fn place(evaluation: &Evaluation, slot: i32) -> usize {
    evaluation.slots + slot as usize * 8
}
