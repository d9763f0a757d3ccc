//! What memory costs over time: bytes of each row, times how long they were live.

use crate::replay::{Block, Gone, Watch};
use crate::tally::RowId;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, Nanos, StackId};

/// Adds up the area under each row's live bytes, to the collector's clock.
#[derive(Debug, Default)]
pub struct ByteSeconds {
    now: u64,
    rows: Vec<Area>,
}

#[derive(Clone, Copy, Debug)]
struct Area {
    image: ImageIndex,
    stack: StackId,
    live: Amount,
    /// Up to here the sums are right, in nanoseconds.
    since: u64,
    byte_nanos: u128,
    block_nanos: u128,
}

impl ByteSeconds {
    /// The row as it is now, its sums brought up to date.
    fn settled(&mut self, row: RowId) -> &mut Area {
        let area = &mut self.rows[row.0 as usize];
        let elapsed = u128::from(self.now.saturating_sub(area.since));
        area.byte_nanos += u128::from(area.live.bytes) * elapsed;
        area.block_nanos += u128::from(area.live.count) * elapsed;
        area.since = self.now;
        area
    }

    /// For each row: bytes times seconds, and blocks times seconds, rounded to whole ones.
    pub fn rows(&self) -> impl Iterator<Item = (ImageIndex, StackId, Amount)> {
        let seconds = |nanos: u128| u64::try_from((nanos + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX);
        self.rows.iter().map(move |area| {
            let amount = Amount { bytes: seconds(area.byte_nanos), count: seconds(area.block_nanos) };
            (area.image, area.stack, amount)
        })
    }
}

impl Watch for ByteSeconds {
    fn row(&mut self, _: RowId, image: ImageIndex, stack: StackId) {
        let (since, live) = (self.now, Amount::default());
        self.rows.push(Area { image, stack, live, since, byte_nanos: 0, block_nanos: 0 });
    }

    fn begins(&mut self, now: Nanos, _live: u64) {
        self.now = now.0;
        self.rows.iter_mut().for_each(|area| area.since = now.0);
    }

    fn was_there(&mut self, block: Block) {
        self.rows[block.row().0 as usize].live += Amount { bytes: block.bytes(), count: 1 };
    }

    fn clock(&mut self, now: Nanos) {
        self.now = now.0;
    }

    fn came(&mut self, block: Block, _live: u64) {
        self.settled(block.row()).live += Amount { bytes: block.bytes(), count: 1 };
    }

    fn went(&mut self, block: Block, gone: Gone, _live: u64) {
        self.settled(block.row()).live -= gone.amount();
    }

    fn left(&mut self, block: Block) {
        self.settled(block.row()).live -= Amount { bytes: block.bytes(), count: 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_times_how_long_they_were_live() {
        let mut area = ByteSeconds::default();
        let second = |seconds: f64| Nanos((seconds * 1e9) as u64);
        area.begins(second(1.0), 0);
        let row = RowId(0);
        let [small, large] = [100, 1000].map(|bytes| Block::of_row(row, bytes));
        area.row(row, ImageIndex(0), StackId(1));
        area.came(small, 100);
        area.clock(second(3.0));
        area.came(large, 1100);
        area.clock(second(3.5));
        area.went(small, Gone { bytes: 100, blocks: 1, temporary: false }, 1000);
        area.clock(second(10.0));
        area.left(large);
        // 100 for 2.5 s, 1000 for 7 s.
        let expected = Amount { bytes: 7_250, count: 10 };
        assert_eq!(area.rows().collect::<Vec<_>>(), [(ImageIndex(0), StackId(1), expected)]);
    }
}
