//! The live blocks of one image: which block an address means, and what that does to the account and the capture.
//!
//! Blocks of the malloc family and of Python's allocators are found by their address. Mappings are ranges, which can be
//! given back in parts: all that is left of one `mmap` is one block with one slot.

use crate::blocks::Blocks;
use heaptide_analyze::tally::{Recent, RowId, Tally};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::events::{Event, KeyframeImage, LiveBlock, SlotTable};
use heaptide_format::ids::{ImageIndex, Slot, StackId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Where a block came from and what it is filed under. Small: there is one per live block.
#[derive(Clone, Copy, Debug, Default)]
pub struct Block {
    /// Size in bits 0–47, the low bits of the thread's number above.
    size_and_thread: u64,
    row: RowId,
    /// Slot in bits 0–26, allocator above.
    slot_and_allocator: u32,
}

const SIZE_BITS: u32 = 48;
/// Most bytes of a block. Larger ones do not exist (user addresses have 47 bits): whoever reads a size cuts it to this, so
/// that what is written of a block is what it is released with.
pub const MOST_BYTES: u64 = (1 << SIZE_BITS) - 1;
const SLOT_BITS: u32 = 27;

impl Block {
    fn new(size: u64, thread: u32, row: RowId, slot: Slot, allocator: Allocator) -> Self {
        // 2^27 live blocks of one image would be 6 GB of ours. Beyond, the slot saturates; see `Heap::allocated`.
        Self {
            size_and_thread: size.min(MOST_BYTES) | u64::from(thread) << SIZE_BITS,
            row,
            slot_and_allocator: slot.0 | u32::from(allocator.number()) << SLOT_BITS,
        }
    }

    fn size(self) -> u64 {
        self.size_and_thread & MOST_BYTES
    }

    fn slot(self) -> Slot {
        Slot(self.slot_and_allocator & ((1 << SLOT_BITS) - 1))
    }

    fn allocator(self) -> Allocator {
        Allocator::from_number((self.slot_and_allocator >> SLOT_BITS) as u8).unwrap_or(Allocator::Malloc)
    }

    fn is_of(self, thread: u32) -> bool {
        (self.size_and_thread >> SIZE_BITS) as u16 == thread as u16
    }
}

/// A piece of a mapping, without the bytes of its last page that were not asked for.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    end: u64,
    slot: Slot,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    /// Bytes left of it over all pieces.
    bytes: u64,
    row: RowId,
    allocator: Allocator,
    /// It came with the length of an arena of Python's own allocator.
    like_an_arena: bool,
}

/// Live bytes of mappings that are heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anonymous {
    /// Anonymous mappings and what `brk` gave.
    pub mappings: u64,
    /// Mappings of the length of an arena of Python's own allocator. They are not in `mappings`.
    pub arenas: u64,
}

/// 256 KiB up to Python 3.9, 1 MiB since. No allocator that is told in `unseen` asks for so little at a time.
const ARENAS: [u64; 2] = [256 << 10, 1 << 20];

/// What a reallocation that has begun took out of the heap.
#[derive(Clone, Debug, Default)]
pub enum Pending {
    /// Nothing is begun.
    #[default]
    None,
    /// A block; `None` if it was not known.
    Block(u64, Option<Block>),
    /// The pieces of mappings that lay in a range.
    Range(Vec<(u64, Piece)>),
}

/// Who does it, and where events go.
pub struct Context<'a, S> {
    /// The account.
    pub tally: &'a mut Tally,
    /// The number of the thread, over all images.
    pub thread: u32,
    /// Its last allocations.
    pub recent: &'a mut Recent,
    /// Takes the events of the capture.
    pub sink: S,
}

/// The live blocks of an image.
#[derive(Debug, Default)]
pub struct Heap {
    blocks: Blocks<Block>,
    pieces: BTreeMap<u64, Piece>,
    mappings: FxHashMap<u32, Mapping>,
    anonymous: Anonymous,
    slots: SlotTable,
    /// Addresses that were handed out twice without a release between, and blocks that could not be kept.
    pub inconsistent: u64,
}

impl Heap {
    /// Number of live blocks.
    pub fn len(&self) -> usize {
        self.blocks.len() + self.mappings.len()
    }

    /// Whether nothing is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Address, size and allocator of each live block that is no mapping, in no order.
    pub fn live_blocks(&self) -> impl Iterator<Item = (u64, u64, Allocator)> {
        self.blocks.iter().map(|(address, block)| (address, block.size(), block.allocator()))
    }

    /// From, to and allocator of each piece of a live mapping, by address, and whether it came with the length of an arena of
    /// Python's own allocator.
    pub fn live_pieces(&self) -> impl Iterator<Item = (u64, u64, Allocator, bool)> {
        self.pieces.iter().filter_map(|(start, piece)| {
            let mapping = self.mappings.get(&piece.slot.0)?;
            Some((*start, piece.end, mapping.allocator, mapping.like_an_arena))
        })
    }

    /// What of the live bytes are mappings.
    pub fn anonymous(&self) -> Anonymous {
        self.anonymous
    }

    /// A block came to life at `address`.
    #[inline]
    pub fn allocated<S: FnMut(Event)>(
        &mut self,
        cx: &mut Context<'_, S>,
        allocator: Allocator,
        address: u64,
        size: u64,
        row: RowId,
    ) {
        if allocator.is_mapping() {
            return self.mapped(cx, allocator, address, size, row);
        }
        // Nothing lies at address 0: a target says so that writes nonsense.
        if self.slots.used() >= 1 << SLOT_BITS || address == 0 {
            self.inconsistent += 1;
            return;
        }
        let slot = match self.blocks.place(address) {
            Err(place) => {
                let slot = self.slots.take();
                *place = Block::new(size, cx.thread, row, slot, allocator);
                slot
            }
            Ok(old) => {
                // Its release was lost.
                self.inconsistent += 1;
                let old = *old;
                self.gone(cx, old);
                let slot = self.slots.take();
                self.blocks.insert(address, Block::new(size, cx.thread, row, slot, allocator));
                slot
            }
        };
        self.came(cx, allocator, size, row, slot);
    }

    /// Where the block at `address` was allocated; `None` if none is known there.
    pub fn row_of(&mut self, address: u64) -> Option<RowId> {
        if address == 0 {
            return None;
        }
        let block = self.blocks.remove(address)?;
        self.blocks.insert(address, block);
        Some(block.row)
    }

    /// Whether [`Self::prefetch`] pays: there are many blocks.
    pub fn is_large(&self) -> bool {
        self.blocks.is_large()
    }

    /// The block at `address` will be asked for soon.
    #[inline(always)]
    pub fn prefetch(&self, address: u64) {
        self.blocks.prefetch(address);
    }

    #[inline]
    fn came<S: FnMut(Event)>(
        &mut self,
        cx: &mut Context<'_, S>,
        allocator: Allocator,
        size: u64,
        row: RowId,
        slot: Slot,
    ) {
        cx.recent.allocated(slot.0);
        cx.tally.allocated(row, allocator, size);
        (cx.sink)(Event::Allocated { allocator, size, stack: cx.tally.stack(row) });
    }

    /// The block at `address` is released.
    #[inline]
    pub fn freed<S: FnMut(Event)>(&mut self, cx: &mut Context<'_, S>, address: u64) {
        match self.blocks.remove(address) {
            Some(block) => self.gone(cx, block),
            None => unknown(cx),
        }
    }

    #[inline]
    fn gone<S: FnMut(Event)>(&mut self, cx: &mut Context<'_, S>, block: Block) {
        let (slot, allocator, size) = (block.slot(), block.allocator(), block.size());
        note_temporary(cx, block);
        cx.tally.freed(block.row, allocator, size);
        self.slots.give(slot);
        (cx.sink)(Event::Freed { slot });
    }

    /// A reallocation of the block at `address` begins: it leaves the heap until the end is known.
    #[inline]
    pub fn reallocating(&mut self, address: u64) -> Pending {
        Pending::Block(address, self.blocks.remove(address))
    }

    /// A remapping of a range begins.
    pub fn remapping(&mut self, address: u64, length: u64) -> Pending {
        Pending::Range(self.take_range(address, length))
    }

    /// The reallocation failed: all is as before.
    pub fn reallocation_failed(&mut self, pending: Pending) {
        match pending {
            Pending::Block(address, Some(block)) => drop(self.blocks.insert(address, block)),
            Pending::Range(pieces) => self.pieces.extend(pieces),
            Pending::Block(_, None) | Pending::None => {}
        }
    }

    /// The reallocation ended with a block at `address`, or (0) as a release.
    #[inline]
    pub fn reallocated<S: FnMut(Event)>(
        &mut self,
        cx: &mut Context<'_, S>,
        pending: Pending,
        allocator: Allocator,
        address: u64,
        size: u64,
        row: RowId,
    ) {
        let old = match pending {
            Pending::Block(_, old) => old,
            Pending::Range(pieces) => return self.remapped(cx, &pieces, address, size, row),
            Pending::None => None,
        };
        let Some(old) = old else {
            unknown(cx);
            if address != 0 {
                self.allocated(cx, allocator, address, size, row);
            }
            return;
        };
        if address == 0 {
            return self.gone(cx, old);
        }
        let slot = old.slot();
        note_temporary(cx, old);
        cx.recent.allocated(slot.0);
        cx.tally.reallocated((old.row, old.allocator(), old.size()), (row, allocator, size));
        (cx.sink)(Event::Reallocated { slot, allocator, size, stack: cx.tally.stack(row) });
        if let Some(lost) = self.blocks.insert(address, Block::new(size, cx.thread, row, slot, allocator)) {
            self.inconsistent += 1;
            self.gone(cx, lost);
        }
    }

    fn mapped<S: FnMut(Event)>(
        &mut self,
        cx: &mut Context<'_, S>,
        allocator: Allocator,
        address: u64,
        size: u64,
        row: RowId,
    ) {
        // What lies there still has been replaced (MAP_FIXED by someone we do not see).
        self.cut(cx, address, size);
        let slot = self.slots.take();
        self.pieces.insert(address, Piece { end: address.saturating_add(size), slot });
        let like_an_arena = ARENAS.contains(&size);
        self.mappings.insert(slot.0, Mapping { bytes: size, row, allocator, like_an_arena });
        self.anonymous.change(allocator, like_an_arena, size, 0);
        self.came(cx, allocator, size, row, slot);
    }

    /// A range is unmapped: whole mappings, parts of some, or nothing of ours.
    pub fn unmapped<S: FnMut(Event)>(&mut self, cx: &mut Context<'_, S>, address: u64, length: u64) {
        if !self.cut(cx, address, length) {
            unknown(cx);
        }
    }

    /// Takes a range out of all mappings. False if none had a part in it.
    fn cut<S: FnMut(Event)>(&mut self, cx: &mut Context<'_, S>, address: u64, length: u64) -> bool {
        let pieces = self.take_range(address, length);
        for (start, piece) in &pieces {
            self.shrink(cx, piece.slot, piece.end - start);
        }
        !pieces.is_empty()
    }

    /// Takes the pieces out that lie in a range, cut to it; the mappings keep their bytes.
    fn take_range(&mut self, address: u64, length: u64) -> Vec<(u64, Piece)> {
        let end = address.saturating_add(length);
        let mut taken = Vec::new();
        while let Some((start, piece)) = self.last_piece_before(end).filter(|(_, piece)| piece.end > address) {
            self.pieces.remove(&start);
            if piece.end > end {
                self.pieces.insert(end, Piece { end: piece.end, slot: piece.slot });
            }
            if start < address {
                self.pieces.insert(start, Piece { end: address, slot: piece.slot });
            }
            taken.push((start.max(address), Piece { end: piece.end.min(end), slot: piece.slot }));
        }
        taken
    }

    fn last_piece_before(&self, end: u64) -> Option<(u64, Piece)> {
        self.pieces.range(..end).next_back().map(|(start, piece)| (*start, *piece))
    }

    fn shrink<S: FnMut(Event)>(&mut self, cx: &mut Context<'_, S>, slot: Slot, bytes: u64) {
        let Some(mapping) = self.mappings.get_mut(&slot.0) else { return };
        let Mapping { row, allocator, like_an_arena, .. } = *mapping;
        self.anonymous.change(allocator, like_an_arena, 0, bytes.min(mapping.bytes));
        if bytes < mapping.bytes {
            mapping.bytes -= bytes;
            cx.tally.shrunk(row, allocator, bytes);
            (cx.sink)(Event::Shrunk { slot, bytes });
            return;
        }
        let left = mapping.bytes;
        self.mappings.remove(&slot.0);
        cx.tally.freed(row, allocator, left);
        self.slots.give(slot);
        (cx.sink)(Event::Freed { slot });
    }

    /// `mremap` of the pieces that [`Self::remapping`] took out, to `address`.
    fn remapped<S: FnMut(Event)>(
        &mut self,
        cx: &mut Context<'_, S>,
        old: &[(u64, Piece)],
        address: u64,
        size: u64,
        row: RowId,
    ) {
        let whole = match old {
            [(start, piece)] => {
                let bytes = self.mappings.get(&piece.slot.0).map_or(0, |mapping| mapping.bytes);
                (piece.end - start == bytes).then_some(*piece)
            }
            _ => None,
        };
        let Some(piece) = whole else {
            // Nothing that is known, or a part of a mapping: what is cut off dies, and a new mapping begins.
            let first = old.first().and_then(|(_, piece)| self.mappings.get(&piece.slot.0));
            let allocator = first.map_or(Allocator::Mmap, |mapping| mapping.allocator);
            for (start, piece) in old {
                self.shrink(cx, piece.slot, piece.end - start);
            }
            return self.mapped(cx, allocator, address, size, row);
        };
        self.cut(cx, address, size);
        self.pieces.insert(address, Piece { end: address.saturating_add(size), slot: piece.slot });
        let Some(mapping) = self.mappings.get_mut(&piece.slot.0) else { return };
        let before = (mapping.row, mapping.allocator, mapping.bytes);
        self.anonymous.change(mapping.allocator, mapping.like_an_arena, size, mapping.bytes);
        *mapping = Mapping { bytes: size, row, ..*mapping };
        cx.tally.reallocated(before, (row, before.1, size));
        let stack = cx.tally.stack(row);
        (cx.sink)(Event::Reallocated { slot: piece.slot, allocator: before.1, size, stack });
    }

    /// All live blocks, for a keyframe. From here on slots are handed out as [`SlotTable::after_keyframe`] says.
    pub fn keyframe(&mut self, image: ImageIndex, stack_of: impl Fn(RowId) -> StackId) -> KeyframeImage {
        let small = self.blocks.values().map(|block| LiveBlock {
            slot: block.slot(),
            allocator: block.allocator(),
            size: block.size(),
            stack: stack_of(block.row),
        });
        let mapped = self.mappings.iter().map(|(slot, mapping)| LiveBlock {
            slot: Slot(*slot),
            allocator: mapping.allocator,
            size: mapping.bytes,
            stack: stack_of(mapping.row),
        });
        let mut blocks: Vec<LiveBlock> = small.chain(mapped).collect();
        blocks.sort_unstable_by_key(|block| block.slot);
        let used = self.slots.used();
        self.slots = SlotTable::after_keyframe(blocks.iter().map(|block| block.slot.0), used);
        KeyframeImage { image, used, blocks }
    }
}

impl Anonymous {
    /// A mapping of this kind got and lost these bytes. What is not heap does not count.
    fn change(&mut self, allocator: Allocator, like_an_arena: bool, got: u64, lost: u64) {
        if allocator.is_heap() {
            let part = if like_an_arena { &mut self.arenas } else { &mut self.mappings };
            // What a target that writes nonsense claims may add up to anything.
            *part = part.wrapping_add(got).wrapping_sub(lost);
        }
    }
}

fn unknown<S: FnMut(Event)>(cx: &mut Context<'_, S>) {
    cx.tally.freed_unknown();
    (cx.sink)(Event::FreedUnknown);
}

#[inline]
fn note_temporary<S: FnMut(Event)>(cx: &mut Context<'_, S>, block: Block) {
    if block.is_of(cx.thread)
        && let Some(between) = cx.recent.freed(block.slot().0)
    {
        cx.tally.temporary(block.row, block.allocator(), block.size(), between);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_analyze::tally::Account;

    const IMAGE: ImageIndex = ImageIndex(0);

    /// Runs `action` on an empty heap; gives the account and the events.
    fn run(action: impl FnOnce(&mut Heap, &mut Context<'_, &mut dyn FnMut(Event)>, RowId)) -> (Account, Vec<Event>) {
        let (mut tally, mut recent, mut events) = (Tally::new(), Recent::default(), Vec::new());
        let row = tally.row(IMAGE, StackId(1));
        let mut sink = |event| events.push(event);
        let mut cx =
            Context { tally: &mut tally, thread: 0, recent: &mut recent, sink: &mut sink as &mut dyn FnMut(Event) };
        action(&mut Heap::default(), &mut cx, row);
        (tally.finish(), events)
    }

    fn leaked(account: &Account) -> (u64, u64) {
        (account.totals.leaked.bytes, account.totals.leaked.count)
    }

    #[test]
    fn a_hole_in_a_mapping_leaves_one_block_of_the_rest() {
        let (account, events) = run(|heap, cx, row| {
            heap.allocated(cx, Allocator::Mmap, 0x10_0000, 0x5000, row);
            heap.unmapped(cx, 0x10_1000, 0x1000);
            heap.unmapped(cx, 0x10_3000, 0x1000);
        });
        assert_eq!(leaked(&account), (0x3000, 1));
        assert_eq!(events[1..], [0x1000, 0x1000].map(|bytes| Event::Shrunk { slot: Slot(0), bytes }));
    }

    #[test]
    fn one_unmap_may_span_several_mappings_and_gaps() {
        let (account, _) = run(|heap, cx, row| {
            for start in [0x10_0000, 0x20_0000, 0x30_0000] {
                heap.allocated(cx, Allocator::Mmap, start, 0x2000, row);
            }
            heap.unmapped(cx, 0x10_1000, 0x20_0000);
        });
        // The upper page of the first and the whole second are gone, and the lower page of the third.
        assert_eq!(leaked(&account), (0x2000, 2));
    }

    /// 2048 bytes asked for, a page unmapped.
    #[test]
    fn the_rest_of_the_last_page_does_not_count() {
        let (account, events) = run(|heap, cx, row| {
            heap.allocated(cx, Allocator::Mmap, 0x10_0000, 2048, row);
            heap.unmapped(cx, 0x10_0000, 4096);
        });
        assert_eq!(leaked(&account), (0, 0));
        assert_eq!(events[1], Event::Freed { slot: Slot(0) });
        assert_eq!(account.totals.peak.bytes, 2048);
    }

    #[test]
    fn a_failed_realloc_leaves_the_old_block() {
        let (account, _) = run(|heap, cx, row| {
            heap.allocated(cx, Allocator::Malloc, 0x100, 77, row);
            let pending = heap.reallocating(0x100);
            heap.reallocation_failed(pending);
        });
        assert_eq!(leaked(&account), (77, 1));
    }

    #[test]
    fn realloc_to_nothing_is_a_release() {
        let (account, events) = run(|heap, cx, row| {
            heap.allocated(cx, Allocator::Malloc, 0x100, 77, row);
            let pending = heap.reallocating(0x100);
            heap.reallocated(cx, pending, Allocator::Realloc, 0, 0, row);
        });
        assert_eq!(leaked(&account), (0, 0));
        assert_eq!(events[1], Event::Freed { slot: Slot(0) });
    }

    #[test]
    fn realloc_keeps_the_slot_whether_it_moves_or_not() {
        let (account, events) = run(|heap, cx, row| {
            heap.allocated(cx, Allocator::Malloc, 0x100, 77, row);
            for (address, size) in [(0x100, 99), (0x900, 1000)] {
                let pending = heap.reallocating(0x100);
                heap.reallocated(cx, pending, Allocator::Realloc, address, size, row);
            }
        });
        assert_eq!(leaked(&account), (1000, 1));
        assert!(events[1..].iter().all(|event| matches!(event, Event::Reallocated { slot: Slot(0), .. })));
    }

    #[test]
    fn mremap_moves_a_mapping_and_its_size() {
        let (account, events) = run(|heap, cx, row| {
            heap.allocated(cx, Allocator::Mmap, 0x10_0000, 0x1000, row);
            let pending = heap.remapping(0x10_0000, 0x1000);
            heap.reallocated(cx, pending, Allocator::Mmap, 0x50_0000, 0x9000, row);
            heap.unmapped(cx, 0x10_0000, 0x1000);
            heap.unmapped(cx, 0x50_0000, 0x1000);
        });
        assert_eq!(leaked(&account), (0x8000, 1));
        assert_eq!(account.totals.freed_unknown, 1);
        assert!(matches!(events[1], Event::Reallocated { size: 0x9000, .. }));
    }

    #[test]
    fn mappings_that_are_heap_are_counted_apart() {
        run(|heap, cx, row| {
            let check = |heap: &Heap, mappings, arenas| {
                assert_eq!(heap.anonymous(), Anonymous { mappings, arenas });
            };
            heap.allocated(cx, Allocator::Malloc, 0x100, 77, row);
            heap.allocated(cx, Allocator::MmapFile, 0x10_0000, 0x5000, row);
            heap.allocated(cx, Allocator::MmapReserved, 0x20_0000, 0x5000, row);
            heap.allocated(cx, Allocator::Mmap, 0x30_0000, 0x5000, row);
            heap.allocated(cx, Allocator::Mmap, 0x40_0000, 256 << 10, row);
            heap.allocated(cx, Allocator::Mmap, 0x50_0000, 1 << 20, row);
            check(heap, 0x5000, (256 << 10) + (1 << 20));
            heap.unmapped(cx, 0x30_1000, 0x1000);
            heap.unmapped(cx, 0x40_0000, 256 << 10);
            check(heap, 0x4000, 1 << 20);
            // It keeps its kind when it grows.
            let pending = heap.remapping(0x50_0000, 1 << 20);
            heap.reallocated(cx, pending, Allocator::Mmap, 0x90_0000, 3 << 20, row);
            check(heap, 0x4000, 3 << 20);
            heap.unmapped(cx, 0, 1 << 40);
            check(heap, 0, 0);
        });
    }

    #[test]
    fn an_address_given_twice_loses_the_first_block() {
        let (account, events) = run(|heap, cx, row| {
            heap.allocated(cx, Allocator::Malloc, 0x100, 10, row);
            heap.allocated(cx, Allocator::Malloc, 0x100, 20, row);
            assert_eq!(heap.inconsistent, 1);
        });
        assert_eq!(leaked(&account), (20, 1));
        assert_eq!(events[1], Event::Freed { slot: Slot(0) });
    }
}
