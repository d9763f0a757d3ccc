//! The native stack of the calling thread, read at the event and made cheap by validation.
//!
//! The stacks that were read lately are kept ([`kept`]): for each frame where its return address lies, and its value. The
//! next reading goes from the innermost frame outwards by the rules of the objects' unwind data ([`rules`], [`cfi`]) until
//! it meets a kept frame in the same state, then compares what the rules of that frame and all outside it would read with
//! what they read then. Nothing is patched.
//!
//! Why that is exact: a frame's state is its place in the code, its stack pointer and, if rules further out need it, its
//! frame pointer. A rule is a function of that state and of the words that it reads. So from equal states equal words
//! lead to equal states; and each word is read only where the frame inside it, found unchanged, says that it lies. With
//! `HEAPTIDE_VERIFY=1` every stack is read a second time as a whole, with nothing kept, not even the rules.
//!
//! A rule that needs another register than the two (the dynamic linker's resolver has one) makes that stack be read as a
//! whole, with all registers that functions preserve, and nothing of it is kept.

mod cfi;
pub mod evaluation;
mod kept;
pub mod modules;
mod rules;
mod stack_range;

use crate::arch::{self, Caller, Registers, SAVED};
use crate::memory::Pages;
use crate::process;
use crate::ring::Writer;
use crate::stacks::{Node, Path, Stacks, native_key};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use heaptide_format::shared::option;
use kept::{Frame, Kept, bit};
use rules::{FRAME_POINTER, Kind, Rule, Rules, STACK_POINTER, flag};
use stack_range::StackRange;

/// How a stack ends at its outermost frame.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
enum End {
    /// With the first function of the thread.
    #[default]
    Whole = 0,
    /// Further out it is not known: no unwind data.
    Cut = 1,
    /// It is as deep as wanted.
    Limit = 2,
    /// It has to be read with all registers, and not kept.
    NeedsRegisters = 3,
}

/// No frame that the fresh ones stand on, because the stack is to be no deeper.
const LIMIT: u32 = u32::MAX;

/// What a thread's native stacks are read with.
#[derive(Default)]
#[repr(C)]
pub struct Unwinder {
    rules: Rules,
    kept: Kept,
    /// The innermost frame of the stack that was read last, if it was kept.
    last: u32,
    /// What is read: innermost first.
    fresh: Pages<Frame>,
    range: StackRange,
    /// What the above is known for.
    period: u32,
    /// Most frames of a stack; 0: not known yet.
    depth: u32,
    told_bytes: usize,
}

/// Where a reading is.
#[derive(Clone, Copy)]
struct State {
    slot: usize,
    pc: usize,
    stack_pointer: usize,
    /// 0: not asked for yet.
    frame_pointer: usize,
    knows_frame_pointer: bool,
    /// Where the frame pointer was restored from by the last step; 0: it was not.
    restored_from: usize,
    interrupted: bool,
}

impl Unwinder {
    /// Bytes it holds beside itself.
    pub fn bytes(&self) -> usize {
        self.rules.bytes() + self.kept.bytes() + self.fresh.bytes()
    }

    /// Forgets the stack: a new thread begins. The rules hold for all threads.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.range = StackRange::default();
        self.depth = 0;
    }

    /// Has the memory fetched with which reading the stack of the hook's caller will begin.
    #[inline(always)]
    pub fn prefetch(&self, caller: Caller) {
        if let Some(slot) = caller.slot() {
            let pc = caller.return_address();
            self.kept.prefetch(slot, pc);
            self.rules.prefetch(pc.wrapping_sub(1));
        }
    }

    /// The stack of the hook's caller.
    #[inline]
    pub fn read(&mut self, stacks: &mut Stacks, ring: &mut Writer, caller: Caller) -> Node {
        if self.period != modules::period() || self.depth == 0 {
            self.begin();
        }
        let node = self.read_what_changed(stacks, ring, caller);
        if self.kept.bits(self.last) & bit::CUT != 0 {
            count_cut(ring);
        }
        if VERIFIES.load(Ordering::Relaxed) {
            self.verify(stacks, ring, caller, node);
        }
        node
    }

    #[cold]
    fn begin(&mut self) {
        evaluation::find_other_part();
        self.period = modules::period();
        self.depth = process::control().native_depth.max(1);
        self.rules.clear();
        self.kept.clear();
    }

    #[inline(always)]
    fn read_what_changed(&mut self, stacks: &mut Stacks, ring: &mut Writer, caller: Caller) -> Node {
        let Some(mut state) = self.start(caller) else { return self.unknown(stacks, ring) };
        self.fresh.truncate(0);
        // Something has changed there: frames further inside stand on another stack than when they were kept.
        let mut changed = 0;
        loop {
            // The slot of one that was interrupted does not say what its stack pointer was: the kernel aligns what it saves.
            if state.slot >= changed && !state.interrupted {
                let mut candidates = self.kept.candidates(state.slot, state.pc);
                while let Some(candidate) = self.kept.next_of(&mut candidates, state.slot, state.pc) {
                    if !self.is_in_state(candidate, &mut state, caller) || !self.may_join(candidate) {
                        continue;
                    }
                    // SAFETY: it is in the state that it was in, as was just found.
                    match unsafe { self.kept.first_change(candidate) } {
                        None => return self.join(stacks, ring, caller, candidate),
                        Some(slot) => changed = changed.max(slot),
                    }
                }
            }
            if let Some(end) = self.step(&mut state, caller) {
                return self.finish(stacks, ring, caller, end);
            }
        }
    }

    /// Whether the fresh frames on this kept one are a stack as deep as wanted.
    #[inline(always)]
    fn may_join(&self, kept: u32) -> bool {
        let is_limited = self.kept.bits(kept) & bit::LIMITED != 0;
        if self.fresh.len() == 0 && !is_limited {
            return true;
        }
        let total = self.kept.frame(kept).depth as usize + self.fresh.len();
        if is_limited { total == self.depth as usize } else { total <= self.depth as usize }
    }

    /// The hook's caller.
    #[inline(always)]
    fn start(&mut self, caller: Caller) -> Option<State> {
        if let Some(slot) = caller.slot() {
            return Some(State {
                slot,
                pc: caller.return_address(),
                stack_pointer: slot + 8,
                frame_pointer: 0,
                knows_frame_pointer: false,
                restored_from: 0,
                interrupted: false,
            });
        }
        let (state, _) = self.leave_shim(caller)?;
        Some(state)
    }

    /// Whether the state is that of a kept frame, which is in the same place of the stack and of the code.
    #[inline(always)]
    fn is_in_state(&mut self, kept: u32, state: &mut State, caller: Caller) -> bool {
        match self.kept.bits(kept) & (bit::INTERRUPTED | bit::NEEDS_FRAME_POINTER) {
            0 => true,
            bit::NEEDS_FRAME_POINTER => {
                self.find_frame_pointer(state, caller) && state.frame_pointer == self.kept.frame(kept).frame_pointer
            }
            _ => false,
        }
    }

    /// Goes from the state's function to its caller, which it notes. Tells how the stack ends if there is none.
    #[inline(always)]
    fn step(&mut self, state: &mut State, caller: Caller) -> Option<End> {
        if self.fresh.len() >= self.depth as usize {
            return Some(End::Limit);
        }
        let instruction = if state.interrupted { state.pc } else { state.pc.wrapping_sub(1) };
        let rule = self.rules.at(instruction);
        let restored = state.restored_from != 0;
        let mut bits = 0;
        if state.interrupted {
            bits |= bit::INTERRUPTED;
        }
        if restored {
            bits |= bit::RESTORED;
        }
        if rule.has(flag::EVALUATION) {
            bits |= bit::EVALUATION;
        }
        if rule.base == FRAME_POINTER as u8 || rule.has(flag::BY_FRAME_POINTER) {
            bits |= bit::RULE_NEEDS;
            if !self.find_frame_pointer(state, caller) {
                return Some(End::Cut);
            }
        }
        let frame = Frame {
            slot: state.slot,
            pc: state.pc,
            restored_from: state.restored_from,
            frame_pointer: state.frame_pointer,
            path: Path::default(),
            outer: 0,
            depth: 0,
            bits,
        };
        if !frame.is_plausible() {
            // Nothing that could be compared the next time.
            return Some(End::NeedsRegisters);
        }
        if !self.fresh.push(frame) {
            return Some(End::Cut);
        }
        match rule.kind {
            Kind::Caller => self.step_by(&rule, state),
            Kind::Signal => self.step_out_of_signal(state),
            Kind::Outermost => Some(End::Whole),
            Kind::Unknown => Some(End::Cut),
        }
    }

    #[inline(always)]
    fn step_by(&mut self, rule: &Rule, state: &mut State) -> Option<End> {
        let base = match rule.base {
            STACK_POINTER => state.stack_pointer,
            base if base == FRAME_POINTER as u8 => state.frame_pointer,
            _ => return Some(End::NeedsRegisters),
        };
        if rule.link == 0 {
            return Some(End::NeedsRegisters);
        }
        let mut cfa = base.wrapping_add_signed(rule.offset as isize);
        if rule.has(flag::LOADED) {
            let slot = cfa;
            if !self.range.is_readable(state.stack_pointer, slot) {
                return Some(End::Cut);
            }
            // SAFETY: readable, as was just found.
            cfa = unsafe { (slot as *const usize).read() };
            if !self.hide(slot, cfa) {
                return Some(End::Cut);
            }
        }
        let slot = place(cfa, rule.link);
        // A stack only grows outwards; anything else is unwind data that is wrong.
        if cfa <= state.stack_pointer || !self.range.is_readable(state.stack_pointer, slot) {
            return Some(End::Cut);
        }
        state.restored_from = 0;
        if rule.saved[FRAME_POINTER] != 0 {
            let from = if rule.has(flag::BY_FRAME_POINTER) { state.frame_pointer } else { cfa };
            let from = place(from, rule.saved[FRAME_POINTER]);
            if !self.range.is_readable(state.stack_pointer, from) {
                return Some(End::Cut);
            }
            // SAFETY: readable, as was just found.
            state.frame_pointer = unsafe { (from as *const usize).read() };
            (state.knows_frame_pointer, state.restored_from) = (true, from);
        }
        // SAFETY: readable, as was found above.
        state.pc = arch::plain_address(unsafe { (slot as *const usize).read() });
        (state.slot, state.stack_pointer, state.interrupted) = (slot, cfa, false);
        if state.pc != 0 {
            return None;
        }
        // Where a stack is made by hand, it may end so once and go on another time.
        Some(if self.hide(slot, 0) { End::Whole } else { End::Cut })
    }

    /// The state is at the return from a signal handler: what was interrupted lies on the stack.
    #[cold]
    fn step_out_of_signal(&mut self, state: &mut State) -> Option<End> {
        let context = state.stack_pointer;
        let [sp, pc, fp] = [arch::SIGNAL_STACK_POINTER, arch::SIGNAL_PC, arch::SIGNAL_SAVED[FRAME_POINTER]];
        if ![sp, pc, fp].iter().all(|offset| self.range.is_readable(context, context + offset)) {
            return Some(End::Cut);
        }
        // SAFETY: readable, as was just found.
        let word = |offset: usize| unsafe { ((context + offset) as *const usize).read() };
        (state.stack_pointer, state.pc, state.frame_pointer) = (word(sp), word(pc), word(fp));
        (state.slot, state.restored_from) = (context + pc, context + fp);
        (state.knows_frame_pointer, state.interrupted) = (true, true);
        if self.hide(context + sp, state.stack_pointer) { None } else { Some(End::Cut) }
    }

    /// Notes a word that the next frame depends on.
    fn hide(&mut self, slot: usize, content: usize) -> bool {
        let frame = Frame { slot, pc: content, ..Frame::NONE };
        frame.is_plausible() && self.fresh.push(frame)
    }

    /// Finds out the frame pointer of the state, if no function in between has saved it: it is in its register still, or the
    /// shim's own functions have saved it.
    #[inline(always)]
    fn find_frame_pointer(&mut self, state: &mut State, caller: Caller) -> bool {
        if !state.knows_frame_pointer {
            let Some((_, registers)) = self.leave_shim(caller) else { return false };
            state.frame_pointer = registers.saved[FRAME_POINTER];
            state.knows_frame_pointer = true;
        }
        true
    }

    /// From the registers as they are here, through the shim's own functions, to those of the hook's caller.
    #[inline(never)]
    fn leave_shim(&mut self, caller: Caller) -> Option<(State, Registers)> {
        /// More than there can be.
        const MOST: usize = 32;
        let mut registers = arch::registers();
        let mut interrupted = true;
        for _ in 0..MOST {
            let instruction = if interrupted { registers.pc } else { registers.pc - 1 };
            let slot = self.whole_step(instruction, &mut registers, false)?;
            interrupted = false;
            if caller.slot().map_or_else(|| !is_ours(registers.pc), |outside| outside == slot) {
                let state = State {
                    slot,
                    pc: registers.pc,
                    stack_pointer: registers.stack_pointer,
                    frame_pointer: registers.saved[FRAME_POINTER],
                    knows_frame_pointer: true,
                    restored_from: 0,
                    interrupted: false,
                };
                return Some((state, registers));
            }
        }
        None
    }

    /// One step with all registers that functions preserve; with rules that are read `anew` if wanted. Gives the place of
    /// the return address (0: a register). `None` if there is no further frame, or it is not known.
    fn whole_step(&mut self, instruction: usize, registers: &mut Registers, anew: bool) -> Option<usize> {
        let rule = if anew { rules::read(instruction) } else { self.rules.at(instruction) };
        let stack_pointer = registers.stack_pointer;
        match rule.kind {
            Kind::Caller => {}
            Kind::Signal => {
                let context = stack_pointer;
                let mut word = |offset: usize| {
                    // SAFETY: found readable first.
                    self.range
                        .is_readable(context, context + offset)
                        .then(|| unsafe { ((context + offset) as *const usize).read() })
                };
                for (register, offset) in registers.saved.iter_mut().zip(arch::SIGNAL_SAVED) {
                    *register = word(offset)?;
                }
                registers.stack_pointer = word(arch::SIGNAL_STACK_POINTER)?;
                registers.pc = word(arch::SIGNAL_PC)?;
                registers.link = word(arch::SIGNAL_LINK)?;
                registers.interrupted = true;
                return Some(context + arch::SIGNAL_PC);
            }
            Kind::Outermost => {
                registers.is_whole = true;
                return None;
            }
            Kind::Unknown => return None,
        }
        let base = if rule.base == STACK_POINTER { stack_pointer } else { registers.saved[usize::from(rule.base)] };
        let mut word = |at: usize| {
            // SAFETY: found readable first.
            self.range.is_readable(stack_pointer, at).then(|| unsafe { (at as *const usize).read() })
        };
        let mut cfa = base.wrapping_add_signed(rule.offset as isize);
        if rule.has(flag::LOADED) {
            cfa = word(cfa)?;
        }
        // The first of the shim's functions on aarch64 may have saved nothing yet.
        if cfa <= stack_pointer && rule.link != 0 {
            return None;
        }
        let slot = if rule.link == 0 { 0 } else { place(cfa, rule.link) };
        registers.pc = arch::plain_address(if slot == 0 { registers.link } else { word(slot)? });
        registers.link = registers.pc;
        let from = if rule.has(flag::BY_FRAME_POINTER) { registers.saved[FRAME_POINTER] } else { cfa };
        for (register, offset) in registers.saved.iter_mut().zip(rule.saved).filter(|(_, offset)| *offset != 0) {
            *register = word(place(from, offset))?;
        }
        registers.stack_pointer = cfa;
        registers.interrupted = false;
        if registers.pc == 0 {
            registers.is_whole = true;
            return None;
        }
        Some(slot)
    }

    /// The fresh frames stand on a kept one.
    #[inline(always)]
    fn join(&mut self, stacks: &mut Stacks, ring: &mut Writer, caller: Caller, kept: u32) -> Node {
        if self.fresh.len() == 0 {
            self.last = kept;
            return self.kept.node(kept);
        }
        self.rebuild(stacks, ring, caller, kept, Path::default())
    }

    #[inline(never)]
    fn finish(&mut self, stacks: &mut Stacks, ring: &mut Writer, caller: Caller, end: End) -> Node {
        match end {
            End::NeedsRegisters => {
                self.last = 0;
                let (node, is_whole) = self.read_whole(stacks, ring, caller, false);
                if !is_whole {
                    count_cut(ring);
                }
                node
            }
            End::Whole => self.rebuild(stacks, ring, caller, 0, Path::default()),
            End::Cut | End::Limit => {
                let cut = stacks.cut(ring);
                self.rebuild(stacks, ring, caller, if end == End::Limit { LIMIT } else { 0 }, cut)
            }
        }
    }

    /// Keeps the fresh frames on a kept one, or on none (0, or [`LIMIT`]), where `outermost` is the node they stand on.
    #[inline(never)]
    fn rebuild(&mut self, stacks: &mut Stacks, ring: &mut Writer, caller: Caller, join: u32, outermost: Path) -> Node {
        let is_known = join != 0 && join != LIMIT;
        let mut is_kept = self.kept.has_room(self.fresh.len() + 1);
        if !is_kept && is_known {
            // What they stand on has been forgotten.
            return self.read_anew(stacks, ring, caller);
        }
        is_kept |= self.kept.has_room(self.fresh.len() + 1);
        let outside = self.kept.frame(if is_known { join } else { 0 });
        let (mut outer, mut path) = if is_known { (join, outside.path) } else { (0, outermost) };
        let mut key = path.key;
        for frame in self.fresh.as_mut_slice().iter_mut().rev().filter(|frame| !frame.has(bit::HIDDEN)) {
            key = native_key(key, frame.recorded(), frame.has(bit::EVALUATION));
            frame.path.key = key;
            stacks.prefetch(key);
        }
        let cut = match join {
            LIMIT => bit::LIMITED | bit::CUT,
            _ if is_known => outside.bits & (bit::LIMITED | bit::CUT),
            _ => {
                if outermost.node == 0 {
                    0
                } else {
                    bit::CUT
                }
            }
        };
        let mut needs = outside.bits & bit::NEEDS_FRAME_POINTER;
        // Of the frame outside the one that is looked at.
        let (mut was_restored, mut frame_pointer) = (outside.has(bit::RESTORED), outside.frame_pointer);
        for (index, depth) in (0..self.fresh.len()).rev().zip(outside.depth + 1..) {
            let mut frame = self.fresh.as_slice()[index];
            if !frame.has(bit::HIDDEN) {
                if was_restored {
                    // What is further out has its own.
                    needs = 0;
                }
                if frame.has(bit::RULE_NEEDS) {
                    needs = bit::NEEDS_FRAME_POINTER;
                } else if needs != 0 {
                    // It was not known yet when this frame was read.
                    frame.frame_pointer = frame_pointer;
                }
                frame.bits |= needs;
                if needs != 0 && frame.has(bit::RESTORED) {
                    frame.bits |= bit::CHECK_FRAME_POINTER;
                }
                (was_restored, frame_pointer) = (frame.has(bit::RESTORED), frame.frame_pointer);
                let (key, evaluation) = (frame.path.key, frame.has(bit::EVALUATION));
                // What cannot be defined is left out.
                let node = stacks.native(ring, path, key, frame.recorded(), evaluation).unwrap_or(path.node);
                path = Path { node, key };
            }
            frame.bits |= cut;
            if is_kept {
                outer = self.kept.add(Frame { path, outer, depth, ..frame });
                // Without memory for all of it, none of it is to be trusted.
                is_kept = outer != 0;
            }
        }
        if !is_kept {
            self.kept.clear();
            outer = 0;
        }
        self.last = outer;
        self.tell_bytes(ring);
        path.node
    }

    /// The stack of which nothing is known.
    #[cold]
    fn unknown(&mut self, stacks: &mut Stacks, ring: &mut Writer) -> Node {
        self.last = 0;
        count_cut(ring);
        stacks.cut(ring).node
    }

    #[cold]
    #[inline(never)]
    fn read_anew(&mut self, stacks: &mut Stacks, ring: &mut Writer, caller: Caller) -> Node {
        self.read_what_changed(stacks, ring, caller)
    }

    fn tell_bytes(&mut self, ring: &mut Writer) {
        let bytes = self.bytes();
        if bytes > self.told_bytes {
            let grown = bytes - self.told_bytes;
            self.told_bytes = bytes;
            ring.header().shim_bytes.fetch_add(grown as u64, Ordering::Relaxed);
        }
    }

    /// How many frames of the stack that was read last evaluate Python frames.
    #[cold]
    pub fn evaluations(&self) -> usize {
        self.kept.stack(self.last).filter(|frame| frame.has(bit::EVALUATION)).count()
    }

    /// Reads the stack with all registers and keeps nothing; tells whether it is whole. With rules read `anew` if wanted.
    #[cold]
    #[inline(never)]
    fn read_whole(&mut self, stacks: &mut Stacks, ring: &mut Writer, caller: Caller, anew: bool) -> (Node, bool) {
        let Some((_, mut registers)) = self.leave_shim(caller) else { return (stacks.cut(ring).node, false) };
        self.fresh.truncate(0);
        let mut whole = false;
        while self.fresh.len() < self.depth as usize {
            let mut bits = if registers.interrupted { bit::INTERRUPTED } else { 0 };
            let mut frame = Frame { pc: registers.pc, bits, ..Frame::NONE };
            if self.rules.at(frame.instruction()).has(flag::EVALUATION) {
                bits |= bit::EVALUATION;
            }
            frame.bits = bits;
            if !self.fresh.push(frame) {
                break;
            }
            if self.whole_step(frame.instruction(), &mut registers, anew).is_none() {
                whole = registers.is_whole;
                break;
            }
        }
        let mut path = if whole { Path::default() } else { stacks.cut(ring) };
        for frame in self.fresh.as_slice().iter().rev() {
            let (address, evaluation) = (frame.recorded(), frame.has(bit::EVALUATION));
            let key = native_key(path.key, address, evaluation);
            let node = stacks.native(ring, path, key, address, evaluation).unwrap_or(path.node);
            path = Path { node, key };
        }
        (path.node, whole)
    }

    /// Reads the stack again as if nothing were known, and ends tracing if it is another.
    #[cold]
    fn verify(&mut self, stacks: &mut Stacks, ring: &mut Writer, caller: Caller, node: Node) {
        let (whole, _) = self.read_whole(stacks, ring, caller, true);
        if whole == node {
            return;
        }
        // The fresh frames are those of the second reading, the kept ones those of the first.
        let mut first = self.kept.stack(self.last);
        let place = first.clone().zip(self.fresh.as_slice()).take_while(|(one, other)| one.pc == other.pc).count();
        let kept = first.nth(place).map_or(0, |frame| frame.pc);
        let fresh = self.fresh.as_slice().get(place).map_or(0, |frame| frame.pc);
        let mut text = crate::sys::Text::default();
        text.add(b"heaptide: HEAPTIDE_VERIFY: native frame ").number(place, 10);
        text.add(b" is 0x").number(fresh, 16).add(b", not 0x").number(kept, 16).add(b"; tracing stops here\n");
        process::stop(text.as_slice());
    }

    /// `missing` more of the frames of the stack that was read last must evaluate Python frames. If just as many look like it,
    /// they do: they lie in the interpreter's object and have the rule of the known ones. True if something was learnt.
    #[cold]
    pub fn learn_evaluation(&mut self, missing: usize) -> bool {
        let first = evaluation::first();
        let (Some(state), true) = (process::state(), first != 0) else { return false };
        let Some(module) = state.modules.find(first) else { return false };
        // Behind the prologue, in which the rule changes, all of it has one rule.
        let Some((_, range)) = cfi::rule(&module, first) else { return false };
        let Some((pattern, _)) = cfi::rule(&module, range.0 + (range.1 - range.0) / 2) else { return false };
        let alike = |frame: &Frame| {
            !frame.has(bit::EVALUATION)
                && (module.start..module.end).contains(&frame.instruction())
                && cfi::rule(&module, frame.instruction()).is_some_and(|(rule, _)| rule == pattern)
        };
        let candidates = self.kept.stack(self.last).filter(alike);
        if pattern.base == FRAME_POINTER as u8 || candidates.clone().count() != missing {
            return false;
        }
        let mut learnt = false;
        for frame in candidates {
            if let Some((_, part)) = cfi::rule(&module, frame.instruction()) {
                learnt |= evaluation::add(part.0);
            }
        }
        if learnt {
            self.rules.clear();
            self.kept.clear();
        }
        learnt
    }
}

static WANTED: AtomicBool = AtomicBool::new(false);
static VERIFIES: AtomicBool = AtomicBool::new(false);

/// Reads the options of the run. Once, before any thread is claimed.
pub fn prepare() {
    WANTED.store(process::has_option(option::NATIVE), Ordering::Relaxed);
    VERIFIES.store(process::has_option(option::VERIFY), Ordering::Relaxed);
}

/// Whether whole native stacks are wanted.
#[inline(always)]
pub fn is_wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

#[cold]
fn count_cut(ring: &mut Writer) {
    ring.header().cut.fetch_add(1, Ordering::Relaxed);
}

/// Whether an address lies in the shim itself.
fn is_ours(address: usize) -> bool {
    static OURS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    if OURS[1].load(Ordering::Acquire) == 0 {
        let here = is_ours as fn(usize) -> bool as usize;
        let Some(module) = process::state().and_then(|state| state.modules.find(here)) else { return false };
        OURS[0].store(module.start, Ordering::Relaxed);
        OURS[1].store(module.end, Ordering::Release);
    }
    (OURS[0].load(Ordering::Relaxed)..OURS[1].load(Ordering::Relaxed)).contains(&address)
}

/// The address of a place that is so many words from `from`.
#[inline(always)]
fn place(from: usize, words: i16) -> usize {
    // The smallest number says 0, see `cfi`.
    let words = if words == i16::MIN { 0 } else { words };
    from.wrapping_add_signed(isize::from(words) * 8)
}

const _: () = assert!(SAVED.len() < STACK_POINTER as usize);
