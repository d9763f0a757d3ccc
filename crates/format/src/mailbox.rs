//! The mailbox for marks in the control area: how a process that has no ring, or cannot use its ring at the moment, asks the
//! collector to set a mark, and is told where it was set.
//!
//! ```text
//!          claim            post            take            answer
//!   FREE ─────────▶ CLAIMED ─────▶ POSTED ───────▶ TAKEN ─────────▶ ANSWERED ──▶ FREE
//!                                    │ withdraw       │ nobody waits    read by who waits
//!                                    ▼                ▼
//!                                   FREE             FREE
//! ```
//!
//! Several may use it at once, each a slot of its own. A step is a compare-and-swap of one word that also holds the number
//! of the claim, so that whoever comes too late changes nothing. Who dies between two steps leaves a slot that stands still:
//! the collector frees it ([`STALE_NANOS`]). What a slot holds is not believed by the collector: it may be anything.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Most bytes of the name of a mark; longer ones are cut.
pub const NAME_BYTES: usize = 200;
/// Slots, that is marks that may be under way at once. Who finds none free tries again.
pub const SLOTS: usize = 8;
/// A slot that has stood still for so long is freed: longer than anybody waits for an answer.
pub const STALE_NANOS: u64 = 10_000_000_000;

const FREE: u64 = 0;
const CLAIMED: u64 = 1;
/// Posted by one who waits for the answer.
const POSTED: u64 = 2;
/// Posted by one who does not.
const TOLD: u64 = 3;
const TAKEN: u64 = 4;
const ANSWERED: u64 = 5;
const STATE_BITS: u32 = 8;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;

/// A slot. All zeros is a free one.
#[repr(C)]
pub struct Slot {
    /// Number of the claim << 8 | state.
    word: AtomicU64,
    /// Image that the mark is for, as the shim knows it; 0: see `pid`. Written by who has claimed the slot.
    image: AtomicU32,
    /// Process that the mark is for, as the collector sees it; 0: the run as a whole. Written by who has claimed the slot.
    pid: AtomicU32,
    /// Bytes of the name. Written by who has claimed the slot.
    length: AtomicU64,
    /// The name. Written by who has claimed the slot.
    name: [AtomicU64; NAME_BYTES / 8],
    /// The answer: time, event, live, rss. Written by the collector.
    answer: [AtomicU64; 4],
}

/// All slots. All zeros is an empty mailbox.
#[repr(C)]
pub struct Mailbox {
    /// Claims so far. Added to by who claims.
    claims: AtomicU64,
    slots: [Slot; SLOTS],
}

/// A slot of one's own, until it is posted.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    slot: usize,
    number: u64,
}

/// What a mark is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// An image, by its number as the shim knows it.
    Image(u32),
    /// The image that a process runs, by its id as the collector sees it; the run as a whole if it runs none.
    Process(u32),
}

/// Where a mark was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Nanoseconds since the start of the recording.
    pub time: u64,
    /// Events of the run before it.
    pub event: u64,
    /// Live bytes of the run.
    pub live: u64,
    /// Resident bytes of the run as last sampled; 0: not known.
    pub rss: u64,
}

/// A mark that the collector has taken out of the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    slot: usize,
    word: u64,
    /// Somebody waits for the answer.
    awaits: bool,
    whose: Whose,
    name: [u8; NAME_BYTES],
    length: usize,
}

impl Letter {
    /// The name: any bytes.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.length]
    }

    /// What the mark is for.
    pub fn whose(&self) -> Whose {
        self.whose
    }
}

impl Mailbox {
    /// An empty one.
    pub fn new() -> Self {
        let zero = || AtomicU64::new(0);
        let slot = || Slot {
            word: zero(),
            image: AtomicU32::new(0),
            pid: AtomicU32::new(0),
            length: zero(),
            name: core::array::from_fn(|_| zero()),
            answer: core::array::from_fn(|_| zero()),
        };
        Self { claims: zero(), slots: core::array::from_fn(|_| slot()) }
    }

    /// Takes a slot. `None` if all are taken.
    pub fn claim(&self) -> Option<Claim> {
        let number = self.claims.fetch_add(1, Ordering::Relaxed) + 1;
        let slot = self.slots.iter().position(|slot| {
            let word = slot.word.load(Ordering::Relaxed);
            word & STATE_MASK == FREE
                && slot
                    .word
                    .compare_exchange(word, number << STATE_BITS | CLAIMED, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        })?;
        Some(Claim { slot, number })
    }

    /// Hands a mark to the collector; of the name the first [`NAME_BYTES`] bytes. False if the slot was taken away
    /// meanwhile, because this came far too late.
    pub fn post(&self, claim: Claim, name: &[u8], whose: Whose, awaits: bool) -> bool {
        let slot = &self.slots[claim.slot];
        let (image, pid) = match whose {
            Whose::Image(image) => (image, 0),
            Whose::Process(pid) => (0, pid),
        };
        let length = name.len().min(NAME_BYTES);
        slot.image.store(image, Ordering::Relaxed);
        slot.pid.store(pid, Ordering::Relaxed);
        slot.length.store(length as u64, Ordering::Relaxed);
        for (word, bytes) in slot.name.iter().zip(name[..length].chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
        }
        self.step(claim, CLAIMED, if awaits { POSTED } else { TOLD })
    }

    /// Takes a mark back that the collector has not taken. False if it has.
    pub fn withdraw(&self, claim: Claim) -> bool {
        self.step(claim, POSTED, FREE)
    }

    /// The collector's answer to a mark that was posted, and frees the slot; `None` as long as there is none.
    pub fn answer_to(&self, claim: Claim) -> Option<Answer> {
        let slot = &self.slots[claim.slot];
        if slot.word.load(Ordering::Acquire) != claim.number << STATE_BITS | ANSWERED {
            return None;
        }
        let [time, event, live, rss] = core::array::from_fn(|place| slot.answer[place].load(Ordering::Relaxed));
        self.step(claim, ANSWERED, FREE).then_some(Answer { time, event, live, rss })
    }

    fn step(&self, claim: Claim, from: u64, to: u64) -> bool {
        let number = claim.number << STATE_BITS;
        let word = &self.slots[claim.slot].word;
        word.compare_exchange(number | from, number | to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The collector's side: whether there is anything to take.
    pub fn has_post(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.word.load(Ordering::Relaxed) & STATE_MASK, POSTED | TOLD))
    }

    /// The collector's side: takes the marks that were posted, in the order of their claims, into `letters`.
    pub fn take(&self, letters: &mut [Option<Letter>; SLOTS]) {
        for (index, (slot, letter)) in self.slots.iter().zip(letters.iter_mut()).enumerate() {
            *letter = None;
            let word = slot.word.load(Ordering::Relaxed);
            let state = word & STATE_MASK;
            let taken = word & !STATE_MASK | TAKEN;
            if !matches!(state, POSTED | TOLD)
                || slot.word.compare_exchange(word, taken, Ordering::AcqRel, Ordering::Relaxed).is_err()
            {
                continue;
            }
            let mut name = [0; NAME_BYTES];
            for (bytes, word) in name.chunks_mut(8).zip(&slot.name) {
                bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes()[..bytes.len()]);
            }
            let whose = match slot.image.load(Ordering::Relaxed) {
                0 => Whose::Process(slot.pid.load(Ordering::Relaxed)),
                image => Whose::Image(image),
            };
            let length = (slot.length.load(Ordering::Relaxed) as usize).min(NAME_BYTES);
            *letter = Some(Letter { slot: index, word: taken, awaits: state == POSTED, whose, name, length });
        }
        letters.sort_unstable_by_key(|letter| letter.as_ref().map(|letter| letter.word));
    }

    /// The collector's side: the mark was set there.
    pub fn answer(&self, letter: &Letter, answer: Answer) {
        let slot = &self.slots[letter.slot];
        let Answer { time, event, live, rss } = answer;
        for (place, value) in slot.answer.iter().zip([time, event, live, rss]) {
            place.store(value, Ordering::Relaxed);
        }
        let after = letter.word & !STATE_MASK | if letter.awaits { ANSWERED } else { FREE };
        // Fails only if somebody writes here who may not.
        let _ = slot.word.compare_exchange(letter.word, after, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The collector's side: the slots as they stand, for [`Self::free_stale`].
    pub fn words(&self) -> [u64; SLOTS] {
        core::array::from_fn(|slot| self.slots[slot].word.load(Ordering::Relaxed))
    }

    /// The collector's side: frees a slot that is still as it was in [`Self::words`] [`STALE_NANOS`] ago: its owner is dead.
    pub fn free_stale(&self, slot: usize, word: u64) {
        if word & STATE_MASK != FREE {
            let free = word & !STATE_MASK | FREE;
            let _ = self.slots[slot].word.compare_exchange(word, free, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, feature = "capture", not(feature = "model")))]
mod tests {
    use super::*;

    const ANSWER: Answer = Answer { time: 12, event: 345, live: 6789, rss: 0 };

    fn taken(mailbox: &Mailbox) -> Vec<Letter> {
        let mut letters = [const { None }; SLOTS];
        mailbox.take(&mut letters);
        letters.into_iter().flatten().collect()
    }

    #[test]
    fn a_mark_is_posted_taken_and_answered() {
        let mailbox = Mailbox::new();
        let claim = mailbox.claim().unwrap();
        assert!(taken(&mailbox).is_empty());
        assert!(mailbox.post(claim, &[b'x'; 300], Whose::Process(77), true));
        assert!(mailbox.has_post());
        assert_eq!(mailbox.answer_to(claim), None);
        let letters = taken(&mailbox);
        assert_eq!(
            (letters[0].name(), letters[0].whose, letters[0].awaits),
            (&[b'x'; 200][..], Whose::Process(77), true)
        );
        assert!(!mailbox.has_post() && !mailbox.withdraw(claim));
        mailbox.answer(&letters[0], ANSWER);
        assert_eq!(mailbox.answer_to(claim), Some(ANSWER));
        assert_eq!(mailbox.answer_to(claim), None);
        assert_eq!(mailbox.words().map(|word| word & STATE_MASK), [FREE; SLOTS]);
    }

    #[test]
    fn marks_are_taken_in_the_order_of_their_claims() {
        let mailbox = Mailbox::new();
        let first: Vec<Claim> = (0..SLOTS).map_while(|_| mailbox.claim()).collect();
        assert!(first.len() == SLOTS && mailbox.claim().is_none());
        assert!(mailbox.post(first[0], b"0", Whose::Image(1), true) && mailbox.withdraw(first[0]));
        let last = mailbox.claim().unwrap();
        for (claim, name) in [(last, b"4"), (first[2], b"2"), (first[1], b"1")] {
            assert!(mailbox.post(claim, name, Whose::Image(1), false));
        }
        let letters = taken(&mailbox);
        let names: Vec<&[u8]> = letters.iter().map(Letter::name).collect();
        assert_eq!(names, [b"1", b"2", b"4"]);
        // Nobody waits: the slots are free as soon as that is done.
        letters.iter().for_each(|letter| mailbox.answer(letter, ANSWER));
        assert_eq!((0..SLOTS).map_while(|_| mailbox.claim()).count(), 3);
    }

    #[test]
    fn who_dies_midway_blocks_nobody_for_ever() {
        let mailbox = Mailbox::new();
        let dead: Vec<Claim> = (0..SLOTS).map_while(|_| mailbox.claim()).collect();
        assert!(mailbox.claim().is_none());
        let words = mailbox.words();
        (0..SLOTS).for_each(|slot| mailbox.free_stale(slot, words[slot]));
        let living = mailbox.claim().unwrap();
        // It was not dead, but stopped: it changes nothing any more.
        assert!(!mailbox.post(dead[0], b"late", Whose::Image(1), true));
        assert!(mailbox.post(living, b"in time", Whose::Image(2), true));
        // Neither does one who frees what has moved on.
        mailbox.free_stale(0, words[0]);
        assert!(mailbox.has_post());
    }
}
