//! A table of live blocks by address: the one place of the collector that is as large as the program's heap.
//!
//! Every event looks an address up, and the table of a large heap lies in no cache: a look-up would wait for memory each
//! time. So the events to come are announced ([`Blocks::prefetch`]), and their places are on the way when they are
//! needed. That needs a table whose places are known, which std's does not tell: open addressing, linear probing, no
//! tombstones (a removal moves what follows back).
//!
//! Memory: a place is 24 bytes. A table is at least 55 in 100 full once it has grown beyond [`SMALL`], which is 44 bytes a
//! block at most. It grows by an eighth at a time, so that what is held twice meanwhile is 4 bytes a block more.

use std::mem::MaybeUninit;

/// What is kept of each block. `V` is small and copied.
#[derive(Clone, Copy, Debug)]
struct Place<V> {
    /// 0: the place is free. No block lies there.
    address: u64,
    value: V,
}

/// Values by address.
#[derive(Debug)]
pub struct Blocks<V> {
    /// The first bits of an address's hash say in which part it is. They grow one by one.
    parts: [Part<V>; PARTS],
}

const PART_BITS: u32 = 3;
const PARTS: usize = 1 << PART_BITS;

impl<V> Default for Blocks<V> {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| Part { places: Vec::new(), len: 0 }) }
    }
}

impl<V: Copy + Default> Blocks<V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        let places = self.parts.iter().flat_map(|part| &part.places);
        places.filter(|place| place.address != 0).map(|place| &place.value)
    }

    /// All of them with their addresses, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        let places = self.parts.iter().flat_map(|part| &part.places);
        places.filter(|place| place.address != 0).map(|place| (place.address, &place.value))
    }

    /// Whether the table is too large for a processor's own caches: then [`Self::prefetch`] pays.
    pub fn is_large(&self) -> bool {
        self.parts.iter().map(|part| part.places.len()).sum::<usize>() * size_of::<Place<V>>() > 1 << 20
    }

    /// `address` will be asked for soon.
    #[inline(always)]
    pub fn prefetch(&self, address: u64) {
        let part = &self.parts[part_of(address)];
        if !part.places.is_empty() {
            prefetch(&part.places[part.home(address)]);
        }
    }

    /// Puts a value at `address`, which is not 0; gives the one that was there.
    #[inline]
    pub fn insert(&mut self, address: u64, value: V) -> Option<V> {
        self.parts[part_of(address)].insert(address, value)
    }

    /// The value at `address`, which is not 0; as an error a new one, without content, if there was none.
    #[inline]
    pub fn place(&mut self, address: u64) -> Result<&mut V, &mut V> {
        self.parts[part_of(address)].place(address)
    }

    /// Takes the value at `address` out.
    #[inline]
    pub fn remove(&mut self, address: u64) -> Option<V> {
        self.parts[part_of(address)].remove(address)
    }
}

/// Depends on all bits of the address above the last four, to which allocators align.
#[inline(always)]
fn hash(address: u64) -> u64 {
    (address >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[inline(always)]
fn part_of(address: u64) -> usize {
    (hash(address) >> (u64::BITS - PART_BITS)) as usize
}

#[derive(Debug)]
struct Part<V> {
    places: Vec<Place<V>>,
    len: usize,
}

const FIRST_CAPACITY: usize = 128;
/// Up to so many places a part grows to twice its size, which is faster; from there on by three tenths, which wastes less.
const SMALL: usize = 8 * 1024;

impl<V: Copy + Default> Part<V> {
    #[inline]
    fn insert(&mut self, address: u64, value: V) -> Option<V> {
        match self.place(address) {
            Ok(old) => Some(std::mem::replace(old, value)),
            Err(new) => {
                *new = value;
                None
            }
        }
    }

    #[inline]
    fn place(&mut self, address: u64) -> Result<&mut V, &mut V> {
        debug_assert_ne!(address, 0);
        // At most 72 in 100 full: a probe then looks at two or three places on average.
        if self.len * 32 >= self.places.len() * 23 {
            self.grow();
        }
        let mut at = self.home(address);
        loop {
            let found = self.places[at].address;
            if found == address {
                return Ok(&mut self.places[at].value);
            }
            if found == 0 {
                self.len += 1;
                let place = &mut self.places[at];
                place.address = address;
                return Err(&mut place.value);
            }
            at = self.next(at);
        }
    }

    #[inline]
    fn remove(&mut self, address: u64) -> Option<V> {
        if self.len == 0 || address == 0 {
            return None;
        }
        let mut at = self.home(address);
        loop {
            let place = &self.places[at];
            if place.address == address {
                break;
            }
            if place.address == 0 {
                return None;
            }
            at = self.next(at);
        }
        let value = self.places[at].value;
        self.close(at);
        self.len -= 1;
        Some(value)
    }

    /// Empties a place, and moves what was put behind it for want of it: no search may meet a gap before its goal.
    #[inline]
    fn close(&mut self, mut gap: usize) {
        // How many places behind `from`, around the end.
        let places = self.places.len();
        let behind = |from: usize, to: usize| if to >= from { to - from } else { to + places - from };
        let mut at = gap;
        loop {
            at = self.next(at);
            let Place { address, .. } = self.places[at];
            if address == 0 {
                break;
            }
            // Whether the gap lies on the way from its home to where it is.
            if behind(self.home(address), at) >= behind(gap, at) {
                self.places[gap] = self.places[at];
                gap = at;
            }
        }
        self.places[gap].address = 0;
    }

    #[inline(always)]
    fn home(&self, address: u64) -> usize {
        // The next 32 bits of the hash, as a fraction of the places.
        let fraction = hash(address) << PART_BITS >> 32;
        ((fraction * self.places.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.places.len() { 0 } else { at + 1 }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let capacity = match self.places.len() {
            places if places < SMALL => (places * 2).max(FIRST_CAPACITY),
            places => places / 10 * 13,
        };
        let mut places = Vec::with_capacity(capacity);
        prefer_huge_pages(places.spare_capacity_mut());
        places.resize(capacity, Place { address: 0, value: V::default() });
        let old = std::mem::replace(&mut self.places, places);
        self.len = 0;
        for Place { address, value } in old.into_iter().filter(|place| place.address != 0) {
            self.insert(address, value);
        }
    }
}

/// Asks the kernel for large pages behind memory that is about to be written: with small ones, finding out where a page
/// lies takes longer than fetching what lies there. It may decline.
fn prefer_huge_pages<T>(memory: &mut [MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    const HUGE_PAGE: usize = 2 << 20;
    let start = (memory.as_ptr() as usize).next_multiple_of(PAGE);
    let bytes = (memory.as_ptr_range().end as usize).saturating_sub(start) & !(PAGE - 1);
    if bytes >= 2 * HUGE_PAGE {
        // SAFETY: whole pages of memory that is ours, whose content the advice does not change.
        unsafe { libc::madvise(start as *mut libc::c_void, bytes, libc::MADV_HUGEPAGE) };
    }
}

/// Asks the processor to fetch the memory of a value.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64; a prefetch of any address has no effect that the program could see.
    unsafe {
        std::arch::x86_64::_mm_prefetch(std::ptr::from_ref(value).cast(), std::arch::x86_64::_MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_block_costs_48_bytes_at_most() {
        let mut table = Blocks::<[u64; 2]>::default();
        for block in 0..3_000_000_u64 {
            table.insert(0x7F00_0000_0000 + block * 48, [block; 2]);
            if block < 200_000 {
                continue;
            }
            let bytes = |part: &Part<[u64; 2]>| part.places.capacity() as u64 * 24;
            let held: u64 = table.parts.iter().map(bytes).sum();
            // And what a part holds twice while it grows.
            let twice = table.parts.iter().map(bytes).max().unwrap() * 3 / 4;
            assert!(held + twice <= 48 * block + (1 << 20), "{held} + {twice} bytes for {block} blocks");
        }
    }

    /// The same operations on both, with addresses that come again and again and collide.
    #[test]
    fn it_holds_what_a_hash_map_holds() {
        let (mut table, mut map) = (Blocks::default(), HashMap::new());
        let mut random = 12_345_u64;
        for step in 0..300_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let address = (((random >> 33) % 5_000 + 1) * 16) << (random >> 60);
            match random >> 62 {
                0 | 1 => assert_eq!(table.insert(address, step), map.insert(address, step)),
                _ => assert_eq!(table.remove(address), map.remove(&address)),
            }
            assert_eq!(table.len(), map.len());
        }
        let (mut found, mut expected): (Vec<_>, Vec<_>) = (table.values().collect(), map.values().collect());
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        for address in map.keys().copied().collect::<Vec<_>>() {
            assert_eq!(table.remove(address), map.remove(&address));
        }
        assert_eq!((table.len(), table.remove(16), table.remove(0)), (0, None, None));
    }
}
