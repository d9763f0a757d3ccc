//! What is remembered from one census to the next, and from that: which types grew, which of their objects are new, and a
//! few of those for whom it is asked who holds them.

use super::super::allocators;
use super::super::offsets::Offsets;
use super::graph::{FRAME, Graph};
use super::kinds::{Kind, Kinds, Measuring};
use super::labels;
use super::text::Texts;
use crate::memory::Pages;

/// Types that grew, the most by bytes and the most by number, of which more is told.
const MOST_GROWN: usize = 10;
/// Objects of such a type whose holders are told.
const SAMPLES: usize = 3;
/// New objects of such a type whose blocks are told, so that the collector can say where they were allocated.
const MOST_BLOCKS: usize = 4096;
/// Bits for each object of the set of those that were there. With seven of them set for each, in one line of the
/// processor's cache, one new object in some ten thousands is taken for an old one.
const BITS: usize = 32;
/// Words of such a line.
const LINE: usize = 8;

/// What is known of the census before.
pub struct Known {
    image: u32,
    /// There was one.
    pub has_one: bool,
    pub kinds: Kinds,
    /// A Bloom filter of the objects, each with its type: an address that was taken by an object of another type is new.
    seen: Pages<u64>,
}

impl Known {
    pub const EMPTY: Self = Self { image: 0, has_one: false, kinds: Kinds::EMPTY, seen: Pages::EMPTY };

    /// A census of this image begins. What another image left (the parent of this one) is forgotten: it may have been left in
    /// the middle of a census, so its pages are not even given back.
    pub fn begin(&mut self, image: u32) {
        if self.image != image {
            // Neither has a destructor.
            *self = Self { image, ..Self::EMPTY };
        }
    }

    /// Bytes it holds.
    pub fn memory(&self) -> usize {
        self.kinds.memory() + self.seen.bytes()
    }

    /// The eight words among which an object's bits are, and the bits: word of the eight, and place in it.
    fn bits(&self, object: usize, kind: usize) -> (usize, impl Iterator<Item = (usize, u64)> + use<>) {
        let lines = (self.seen.len() / LINE).max(1) as u64;
        let mix = |number: u64| {
            let number = (number ^ number >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            (number ^ number >> 29).wrapping_mul(0x94D0_49BB_1331_11EB)
        };
        let first = mix(object as u64 ^ (kind as u64).rotate_left(17));
        let second = mix(first.wrapping_add(0x9E37_79B9_7F4A_7C15));
        let line = ((u128::from(first) * u128::from(lines)) >> 64) as usize * LINE;
        let bits = (0..7).map(move |at| {
            let bit = (second >> (9 * at) & 511) as usize;
            (bit / 64, 1 << (bit % 64))
        });
        (line, bits)
    }

    /// Whether an object was there in the census before; now and then said of one that was not.
    fn was_there(&self, object: usize, kind: usize) -> bool {
        let (line, mut bits) = self.bits(object, kind);
        let Some(words) = self.seen.as_slice().get(line..line + LINE) else { return false };
        bits.all(|(word, bit)| words[word] & bit != 0)
    }

    /// This census is over.
    pub fn remember(&mut self, graph: &Graph, kinds: Kinds, _: &Offsets) {
        self.kinds.release();
        self.kinds = kinds;
        self.seen.truncate(0);
        let words = (graph.entries.len() * BITS).div_ceil(64 * LINE).max(1) * LINE;
        if !self.seen.resize_zeroed(words) {
            self.seen.release();
        }
        for entry in graph.entries.as_slice() {
            let Some(kind) = self.kinds.kinds.as_slice().get(entry.kind as usize) else { continue };
            let (line, bits) = self.bits(entry.object, kind.address);
            let Some(words) = self.seen.as_mut_slice().get_mut(line..line + LINE) else { continue };
            bits.for_each(|(word, bit)| words[word] |= bit);
        }
        self.has_one = true;
    }

    /// Writes the types that grew: how many, then each with its number, how many of its objects are new, ways of some, and
    /// the blocks of some.
    ///
    /// # Safety
    /// As `Graph::walk`, right after it.
    pub unsafe fn push_grown(&self, out: &mut Pages<u8>, graph: &Graph, kinds: &mut Kinds, with: &Measuring<'_>) {
        let mut chosen = [0u32; 2 * MOST_GROWN];
        let count = if self.has_one { choose(kinds, &mut chosen) } else { 0 };
        out.push_u32(count as u32);
        let mut fresh = [const { Pages::<u32>::EMPTY }; 2 * MOST_GROWN];
        for (number, entry) in (0..).zip(graph.entries.as_slice()) {
            if entry.kind == FRAME {
                continue;
            }
            let Some(kind) = kinds.kinds.as_slice().get(entry.kind as usize) else { continue };
            if kind.place != 0 && !self.was_there(entry.object, kind.address) {
                fresh[kind.place as usize - 1].push(number);
            }
        }
        for (place, number) in chosen[..count].iter().enumerate() {
            let new = fresh[place].as_slice();
            let flags = kinds.kinds.as_slice()[*number as usize].flags;
            out.push_u32(*number);
            out.push_u32(new.len() as u32);
            // The last that were reached and the first, which are likely to be held by different ones.
            let mut samples = [0; SAMPLES];
            let mut sampled = 0;
            for candidate in [new.len().wrapping_sub(1), new.len() / 2, 0] {
                if candidate < new.len() && !samples[..sampled].contains(&new[candidate]) {
                    samples[sampled] = new[candidate];
                    sampled += 1;
                }
            }
            if new.is_empty() {
                // Its objects have grown themselves.
                // SAFETY: the caller's promise.
                sampled = unsafe { largest(graph, kinds, with, *number, &mut samples) };
            }
            let block = |entry: u32| {
                let object = graph.entries.as_slice()[entry as usize].object;
                allocators::filed_under(object.wrapping_sub(with.head(flags) as usize)) as u64
            };
            out.push_bytes(&[sampled as u8]);
            for sample in &samples[..sampled] {
                out.push_u64(block(*sample));
                // SAFETY: the caller's promise.
                unsafe { labels::push_way(out, graph, kinds, with, *sample) };
            }
            let step = new.len().div_ceil(MOST_BLOCKS).max(1);
            out.push_u32(new.len().div_ceil(step) as u32);
            for entry in new.iter().step_by(step) {
                out.push_u64(block(*entry));
            }
        }
        fresh.iter_mut().for_each(Pages::release);
    }
}

/// The largest objects of a type, the largest first; gives how many.
///
/// # Safety
/// As `Graph::walk`, right after it.
unsafe fn largest(
    graph: &Graph,
    kinds: &Kinds,
    with: &Measuring<'_>,
    number: u32,
    samples: &mut [u32; SAMPLES],
) -> usize {
    let kind = &kinds.kinds.as_slice()[number as usize];
    let mut sizes = [0; SAMPLES];
    let mut count = 0;
    for (place, entry) in (0u32..).zip(graph.entries.as_slice()).filter(|(_, entry)| entry.kind == number) {
        // SAFETY: a live object of this type, as the caller promises.
        let (mut bytes, mut place) = (unsafe { kind.bytes_of(entry.object, with) }, place);
        for rank in 0..SAMPLES {
            if rank >= count || bytes > sizes[rank] {
                core::mem::swap(&mut sizes[rank], &mut bytes);
                core::mem::swap(&mut samples[rank], &mut place);
                if rank >= count {
                    count += 1;
                    break;
                }
            }
        }
    }
    count
}

/// The numbers of the types that grew most, by bytes, then by number of objects; gives how many. Each knows its place.
fn choose(kinds: &mut Kinds, chosen: &mut [u32; 2 * MOST_GROWN]) -> usize {
    let mut count = 0;
    let by: [fn(&Kind) -> i64; 2] =
        [|kind| kind.bytes as i64 - kind.before.1 as i64, |kind| kind.count as i64 - kind.before.0 as i64];
    for growth in by {
        for _ in 0..MOST_GROWN {
            let candidates =
                (0u32..).zip(kinds.kinds.as_slice()).filter(|(_, kind)| kind.place == 0 && growth(kind) > 0);
            let Some((number, _)) = candidates.max_by_key(|(_, kind)| growth(kind)) else { break };
            chosen[count] = number;
            count += 1;
            kinds.kinds.as_mut_slice()[number as usize].place = count as u32;
        }
    }
    count
}
