//! Keyframes: what the events before them left, to check them by or to begin at.

use super::block::NOBODY;
use super::{Block, Born, ImageBlocks, Replay, Watch};
use crate::names::Names;
use heaptide_format::capture::ReadError;
use heaptide_format::capture::events::{KeyframeImage, SlotTable};
use heaptide_format::capture::varint;
use heaptide_format::ids::Nanos;

/// A keyframe may have so many slots for each live block, and so many beside: 96 MiB.
const MOST_SLOTS_PER_LIVE: u64 = 16;
const MOST_FREE_SLOTS: u64 = 4 << 20;

impl<W: Watch> Replay<W> {
    /// Passes the unpacked content of the keyframe at byte `offset` of the file: from there on, the writer took free
    /// slots in ascending order.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] if it does not hold the blocks that are live by the events before it.
    pub fn keyframe(&mut self, mut content: &[u8], offset: u64) -> Result<(), ReadError> {
        let bad = |what: &str| ReadError::BadBlock { offset, what: what.to_owned() };
        while !content.is_empty() {
            let mut head = content;
            let [image, _, count] = [(); 3].map(|()| varint::take(&mut head).unwrap_or(u64::MAX));
            let known = usize::try_from(image).ok().and_then(|index| self.images.get(index));
            let live = known.map_or(0, |image| image.blocks.iter().filter(|block| !block.is_none()).count() as u64);
            // Only what our own events say is believed: claimed numbers would cost memory.
            if count != live {
                return Err(bad("a keyframe that is not what the events before it left"));
            }
            let frame = KeyframeImage::read(&mut content).ok_or_else(|| bad("a keyframe that is none"))?;
            let Some(image) = self.images.get_mut(frame.image.index()) else { continue };
            let live = image.blocks.iter().zip(0u32..).filter(|(block, _)| !block.is_none()).map(|(_, slot)| slot);
            if frame.used != image.slots.used() || !live.clone().eq(frame.blocks.iter().map(|block| block.slot.0)) {
                return Err(bad("a keyframe that is not what the events before it left"));
            }
            image.slots = SlotTable::after_keyframe(live, frame.used);
        }
        Ok(())
    }

    /// Begins at the keyframe at byte `offset` of the file, which came after so many events at this time.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] if it is none, or if most of the slots it names are free: an index by slot would be out of
    /// proportion. Nothing has been replayed then, and another beginning may be tried.
    pub fn begin_at(
        &mut self,
        mut content: &[u8],
        offset: u64,
        names: &Names,
        (events, now): (u64, Nanos),
    ) -> Result<(), ReadError> {
        let bad = |what: &str| ReadError::BadBlock { offset, what: what.to_owned() };
        let mut frames: Vec<KeyframeImage> = Vec::new();
        while !content.is_empty() {
            let frame = KeyframeImage::read(&mut content).ok_or_else(|| bad("a keyframe that is none"))?;
            let is_defined = names.image(frame.image).is_some()
                && frame.blocks.iter().all(|block| names.has_stack(block.stack))
                && frames.last().is_none_or(|last| last.image < frame.image);
            if !is_defined {
                return Err(bad("a keyframe of what is not defined"));
            }
            frames.push(frame);
        }
        let slots: u64 = frames.iter().map(|frame| u64::from(frame.used)).sum();
        let live: u64 = frames.iter().map(|frame| frame.blocks.len() as u64).sum();
        if slots > live.saturating_mul(MOST_SLOTS_PER_LIVE) + MOST_FREE_SLOTS {
            return Err(bad("a keyframe with almost no live blocks"));
        }
        self.now = now;
        self.tally.begin_at(events, now);
        for frame in frames {
            let image = frame.image;
            if self.images.len() <= image.index() {
                self.images.resize_with(image.index() + 1, ImageBlocks::default);
            }
            self.images[image.index()].slots =
                SlotTable::after_keyframe(frame.blocks.iter().map(|block| block.slot.0), frame.used);
            for live in frame.blocks {
                let row = self.row(image, live.stack);
                // Whose it is and when it came is not known: nobody's, at the beginning.
                let block = Block::new(Block::packed(live.size, live.allocator, 0), (row, NOBODY), 0, Born::default());
                self.tally.was_there(row, live.allocator, block.bytes());
                self.put(live.slot, image, block);
            }
        }
        Ok(())
    }
}
