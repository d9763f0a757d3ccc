//! Allocators whose blocks were not recorded, and how much memory that may be.
//!
//! Of the growth of an image's resident memory (its own, not that of files) from its beginning to its highest, this is
//! taken off: what recorded blocks can hold at the most, what Python's arenas can, and the writable data of its
//! objects. What is left is in mappings, if so much was mapped; the rest nothing explains. So an allocator is blamed for
//! less than it has, never for what is explained otherwise.

use heaptide_format::capture::summary::Amount;
use heaptide_format::capture::{Growth, UnseenAllocator, UnseenAllocators};
use heaptide_format::ids::ImageIndex;
use rustc_hash::{FxHashMap, FxHashSet};

/// Beside each recorded block the C library may spend this much more: its header, and rounding up to the next chunk.
const BESIDE_A_BLOCK: u64 = 32;
/// Below this, and below an eighth of the growth, what is not explained is stacks, fragments and tables.
const LEAST: u64 = 16 << 20;
const LEAST_PART: u64 = 8;

/// What a capture says of allocators that were not seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Them, in the order in which they were found.
    pub found: Vec<UnseenAllocator>,
    /// The growth of images that have one; none in a recording that was not finished.
    pub growth: Vec<Growth>,
    /// Objects that were not looked at.
    pub unread: u64,
}

/// What the growth of images is made of, in bytes. Each image at its own highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// How much resident memory grew.
    pub growth: u64,
    /// At least so much of it is in mappings, or was got by `brk`: these were recorded, the blocks inside were not.
    pub in_mappings: u64,
    /// At least so much of it is explained by nothing that was live.
    pub by_nothing: u64,
}

impl Explained {
    /// Whether so much is unexplained that it should be known before a figure is trusted.
    pub fn is_significant(&self) -> bool {
        let rest = self.in_mappings + self.by_nothing;
        rest >= LEAST && rest >= self.growth / LEAST_PART
    }

    fn of(growth: &Growth) -> Self {
        let grown = growth.highest.saturating_sub(growth.first);
        let Amount { bytes, count } = growth.blocks;
        let blocks = bytes.saturating_add(count.saturating_mul(BESIDE_A_BLOCK));
        let explained = blocks.saturating_add(growth.arenas).saturating_add(growth.writable);
        let rest = grown.saturating_sub(explained);
        let in_mappings = rest.min(growth.mappings);
        Self { growth: grown, in_mappings, by_nothing: rest - in_mappings }
    }
}

impl Unseen {
    /// Takes in a block. Images that are not defined in the end are not known yet: see [`Unseen::keep_known`].
    pub(crate) fn extend(&mut self, block: UnseenAllocators) {
        self.found.extend(block.found);
        self.growth.extend(block.growth);
        self.unread = self.unread.saturating_add(u64::from(block.unread));
    }

    /// Forgets what is of images beyond the first `images`: in a capture that was cut they may have no definition.
    pub(crate) fn keep_known(&mut self, images: usize) {
        self.found.retain(|found| found.image.index() < images);
        self.growth.retain(|growth| growth.image.index() < images);
    }

    /// Them, of these images alone; what is in several of them once, with the number of images.
    pub fn objects(&self, images: &[ImageIndex]) -> Vec<(&UnseenAllocator, u64)> {
        let images: FxHashSet<ImageIndex> = images.iter().copied().collect();
        let mut places: FxHashMap<(&str, &str), usize> = FxHashMap::default();
        let mut objects: Vec<(&UnseenAllocator, u64)> = Vec::new();
        for found in self.found.iter().filter(|found| images.contains(&found.image)) {
            let place = *places.entry((&found.path, &found.allocator)).or_insert(objects.len());
            match objects.get_mut(place) {
                Some((_, count)) => *count += 1,
                None => objects.push((found, 1)),
            }
        }
        objects
    }

    /// What the growth of each of these images is made of that has such an allocator, in the order of the images.
    pub fn explained(&self, images: &[ImageIndex]) -> Vec<(ImageIndex, Explained)> {
        let by_image: FxHashMap<ImageIndex, &Growth> =
            self.growth.iter().map(|growth| (growth.image, growth)).collect();
        images.iter().filter_map(|image| Some((*image, Explained::of(by_image.get(image)?)))).collect()
    }

    /// The images of these of whose memory such allocators may hold a significant part, and what they come to.
    pub fn significant(&self, images: &[ImageIndex]) -> (Vec<ImageIndex>, Explained) {
        let mut sum = Explained::default();
        let mut chosen = Vec::new();
        for (image, explained) in self.explained(images).into_iter().filter(|(_, one)| one.is_significant()) {
            sum.growth = sum.growth.saturating_add(explained.growth);
            sum.in_mappings = sum.in_mappings.saturating_add(explained.in_mappings);
            sum.by_nothing = sum.by_nothing.saturating_add(explained.by_nothing);
            chosen.push(image);
        }
        (chosen, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::ids::Nanos;

    const MIB: u64 = 1 << 20;

    fn grown(to: u64) -> Growth {
        Growth { first: 10 * MIB, highest: 10 * MIB + to, highest_at: Nanos(1), ..Growth::default() }
    }

    fn check(growth: Growth, in_mappings: u64, by_nothing: u64, is_significant: bool) {
        let explained = Explained::of(&growth);
        assert_eq!((explained.in_mappings, explained.by_nothing), (in_mappings, by_nothing), "{growth:?}");
        assert_eq!(explained.is_significant(), is_significant, "{growth:?}");
    }

    #[test]
    fn blocks_arenas_and_data_explain_before_mappings_do() {
        // 100 - 30 - 32 - 5 - 3 = 30 are left, of which mappings may be 20.
        let blocks = Amount { bytes: 30 * MIB, count: MIB };
        let growth = Growth { blocks, arenas: 5 * MIB, writable: 3 * MIB, mappings: 20 * MIB, ..grown(100 * MIB) };
        check(growth, 20 * MIB, 10 * MIB, true);
        // A reservation of a gigabyte of which 30 MiB are touched.
        check(Growth { mappings: 1024 * MIB, ..growth }, 30 * MIB, 0, true);
        check(Growth { blocks: Amount { bytes: 99 * MIB, count: 0 }, ..growth }, 0, 0, false);
    }

    #[test]
    fn little_is_nobodys_fault() {
        check(grown(16 * MIB - 1), 0, 16 * MIB - 1, false);
        check(grown(16 * MIB), 0, 16 * MIB, true);
        // An eighth of 160 is 20.
        let mostly = |rest: u64| Growth { blocks: Amount { bytes: 160 * MIB - rest, count: 0 }, ..grown(160 * MIB) };
        check(mostly(20 * MIB - 1), 0, 20 * MIB - 1, false);
        check(mostly(20 * MIB), 0, 20 * MIB, true);
    }

    #[test]
    fn memory_that_shrank_has_not_grown() {
        check(Growth { first: 5, highest: 3, ..Growth::default() }, 0, 0, false);
        let all = Growth { first: 0, highest: u64::MAX, blocks: Amount { bytes: u64::MAX, count: 9 }, ..grown(0) };
        check(all, 0, 0, false);
    }
}
