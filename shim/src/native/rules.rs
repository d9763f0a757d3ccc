//! How to get from a function to its caller: one rule for each place in the code that was met, kept by its address.

use super::cfi;
use super::modules;
use crate::arch::{self, SAVED};
use crate::memory::Pages;
use crate::process;

/// What the registers that a function saves, and its caller, are found relative to: see [`Rule::base`].
pub const STACK_POINTER: u8 = u8::MAX;
/// Place of the frame pointer in [`SAVED`].
pub const FRAME_POINTER: usize = 0;

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// There is a caller.
    Caller,
    /// The kernel called: the interrupted function's registers lie on the stack.
    Signal,
    /// The outermost function: nobody called it.
    Outermost,
    /// Not known: no unwind data, or some that is not understood.
    Unknown,
}

/// Bits of [`Rule::flags`].
pub mod flag {
    /// The canonical frame address is not at the place that base and offset give, but in it.
    pub const LOADED: u8 = 1;
    /// Registers are saved relative to the frame pointer, not to the canonical frame address.
    pub const BY_FRAME_POINTER: u8 = 2;
    /// The function is an interpreter's evaluation of Python frames.
    pub const EVALUATION: u8 = 4;
}

/// From the registers in a function to those in its caller. The canonical frame address (CFA) is the caller's stack
/// pointer after the return: `base + offset`. Places are in words of 8 bytes from there; 0: not saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Rule {
    /// The address in the code; 0 is a free entry of the table.
    address: usize,
    /// Bytes from the base to the CFA.
    pub offset: i32,
    /// What is known.
    pub kind: Kind,
    /// A place in [`SAVED`], or [`STACK_POINTER`].
    pub base: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Where the return address is; 0: in its register.
    pub link: i16,
    /// Where the caller's registers of [`SAVED`] are.
    pub saved: [i16; SAVED.len()],
}

impl Rule {
    /// A rule of this kind without anything else.
    pub const fn of(kind: Kind) -> Self {
        Self { address: 0, offset: 0, kind, base: STACK_POINTER, flags: 0, link: 0, saved: [0; SAVED.len()] }
    }

    /// Whether it has this bit.
    #[inline(always)]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

const FIRST_CAPACITY: usize = 1024;

/// The rules that a thread has met.
#[derive(Default)]
#[repr(C)]
pub struct Rules {
    table: Pages<Rule>,
    used: usize,
}

impl Rules {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Forgets all: other objects may lie where they were.
    pub fn clear(&mut self) {
        self.table.truncate(0);
        self.used = 0;
    }

    /// The rule for the instruction at this address.
    #[inline(always)]
    pub fn at(&mut self, address: usize) -> Rule {
        match self.find(address) {
            Ok(place) => self.table.as_slice()[place],
            Err(_) => self.learn(address),
        }
    }

    /// Has the memory fetched that looking for a rule will read.
    #[inline(always)]
    pub fn prefetch(&self, address: usize) {
        let table = self.table.as_slice();
        if let Some(rule) = table.get(place(address) & table.len().wrapping_sub(1)) {
            arch::prefetch(core::ptr::from_ref(rule) as usize);
        }
    }

    /// Where the rule is, or where it belongs.
    #[inline(always)]
    fn find(&self, address: usize) -> Result<usize, usize> {
        let table = self.table.as_slice();
        let mask = table.len().wrapping_sub(1);
        let mut place = place(address) & mask;
        // The table is at most half full, so a free entry ends the search.
        while let Some(rule) = table.get(place) {
            if rule.address == address {
                return Ok(place);
            }
            if rule.address == 0 {
                return Err(place);
            }
            place = (place + 1) & mask;
        }
        Err(0)
    }

    #[cold]
    #[inline(never)]
    fn learn(&mut self, address: usize) -> Rule {
        let rule = read(address);
        // Without memory for it, it is read again the next time.
        if (self.used * 2 < self.table.len() || self.grow())
            && let Err(place) = self.find(address)
        {
            self.used += 1;
            self.table.as_mut_slice()[place] = Rule { address, ..rule };
        }
        rule
    }

    fn grow(&mut self) -> bool {
        let mut larger = Pages::default();
        if !larger.resize_zeroed((self.table.len() * 2).max(FIRST_CAPACITY)) {
            return false;
        }
        let mut old = core::mem::replace(&mut self.table, larger);
        for rule in old.as_slice().iter().filter(|rule| rule.address != 0) {
            if let Err(place) = self.find(rule.address) {
                self.table.as_mut_slice()[place] = *rule;
            }
        }
        old.release();
        true
    }
}

#[inline(always)]
fn place(address: usize) -> usize {
    (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize >> 32
}

/// The rule as the object in which the address lies says it.
pub fn read(address: usize) -> Rule {
    let Some(process) = process::state() else { return Rule::of(Kind::Unknown) };
    let module = process.modules.find(address);
    if let Some(module) = &module
        && let Some((mut rule, range)) = cfi::rule(module, address)
    {
        if super::evaluation::includes(range.0) {
            rule.flags |= flag::EVALUATION;
        }
        return rule;
    }
    // The trampoline of a C library, or of a kernel, that says nothing about it. A handler returns to its first byte, which
    // may be the first of its page.
    let returned_to = address + 1;
    let is_readable = |module: &modules::Module| module.end - returned_to >= arch::SIGNAL_RETURN_BYTES;
    // SAFETY: in a mapping of code, to which a function on the live stack returns, and far enough from its end.
    let is_trampoline = || unsafe { arch::is_signal_return(returned_to) };
    if process.modules.find(returned_to).is_some_and(|module| is_readable(&module)) && is_trampoline() {
        return Rule::of(Kind::Signal);
    }
    let is_outermost = module.is_some_and(|module| cfi::is_outermost(&module, address));
    Rule::of(if is_outermost { Kind::Outermost } else { Kind::Unknown })
}
