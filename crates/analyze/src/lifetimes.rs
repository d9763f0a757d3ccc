//! How long blocks live: a histogram of all, and of each site.

use crate::call_tree::NodeId;
use crate::error::CaptureError;
use crate::histories::NO_GROUP;
use crate::profile::{Profile, SiteGroups};
use crate::reader::{Capture, Progress};
use crate::replay::{Block, Gone, Watch};
use crate::tally::RowId;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, Nanos, StackId};

/// Classes of lifetimes: the first under a millisecond, each further one up to ten times as long; then the blocks that were
/// live to the end, however long that was.
pub const CLASSES: usize = 8;
/// The class of what was live when its program ended, or at the end of the window.
pub const TO_THE_END: usize = CLASSES - 1;

/// Blocks and bytes by how long they lived. A reallocation ends one block and begins another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes(pub [Amount; CLASSES]);

impl Lifetimes {
    /// Shortest lifetime of a class in nanoseconds, and the one that is too long for it; `None`: there is no limit, or it is
    /// [`TO_THE_END`].
    pub fn limits(class: usize) -> (u64, Option<u64>) {
        let from = |class: usize| 1_000_000u64 * 10u64.pow(class as u32) / 10;
        match class {
            TO_THE_END => (0, None),
            0 => (0, Some(1_000_000)),
            _ => (from(class), (class + 1 < TO_THE_END).then(|| from(class + 1))),
        }
    }

    /// All of them.
    pub fn total(&self) -> Amount {
        self.0.into_iter().sum()
    }

    /// The class that half of the blocks are in or before; of none the first.
    pub fn median(&self) -> usize {
        let half = self.total().count.div_ceil(2);
        let mut sum = 0;
        self.0
            .iter()
            .position(|amount| {
                sum += amount.count;
                sum >= half
            })
            .unwrap_or(0)
    }

    fn add(&mut self, class: usize, bytes: u64) {
        self.0[class] += Amount { bytes, count: 1 };
    }
}

/// A site and how long its blocks live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteLifetimes {
    /// A node of the site, see [`Profile::sites`].
    pub node: NodeId,
    /// Its blocks.
    pub lifetimes: Lifetimes,
}

#[derive(Debug)]
struct Watching<'g> {
    group_of: &'g [u32],
    groups: Vec<Lifetimes>,
    all: Lifetimes,
    rows: Vec<(u32, ImageIndex)>,
    /// By image: its program has ended.
    over: Vec<bool>,
    now: Nanos,
}

impl Watching<'_> {
    fn count(&mut self, block: Block, class: usize) {
        self.all.add(class, block.bytes());
        if let Some(group) = self.groups.get_mut(self.rows[block.row().0 as usize].0 as usize) {
            group.add(class, block.bytes());
        }
    }
}

impl Watch for Watching<'_> {
    fn row(&mut self, _: RowId, image: ImageIndex, stack: StackId) {
        self.rows.push((self.group_of.get(stack.index()).copied().unwrap_or(NO_GROUP), image));
    }

    fn begins(&mut self, now: Nanos, _live: u64) {
        self.now = now;
    }

    fn clock(&mut self, now: Nanos) {
        self.now = now;
    }

    fn went(&mut self, block: Block, gone: Gone, _live: u64) {
        // What a program leaves was counted when it ended. A part of a mapping is no block.
        let image = self.rows[block.row().0 as usize].1;
        if gone.blocks == 0 || self.over.get(image.index()) == Some(&true) {
            return;
        }
        let lived = self.now.0.saturating_sub(block.born().time().0);
        let class = (0..TO_THE_END - 1).find(|class| Lifetimes::limits(*class).1.is_some_and(|end| lived < end));
        self.count(block, class.unwrap_or(TO_THE_END - 1));
    }

    fn leaked(&mut self, block: Block) {
        self.count(block, TO_THE_END);
    }

    fn program_ended(&mut self, image: ImageIndex) {
        if self.over.len() <= image.index() {
            self.over.resize(image.index() + 1, false);
        }
        self.over[image.index()] = true;
    }
}

/// Lifetimes of all blocks, and those of each site, the one that allocated most blocks first. Of a window, of the blocks that
/// were released in it, or came in it. Costs a replay of the events.
///
/// # Errors
/// As [`Capture::replay`].
pub fn of(
    capture: &Capture,
    profile: &Profile,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Lifetimes, Vec<SiteLifetimes>), CaptureError> {
    let SiteGroups { sites, of_node } = profile.grouped_by_site();
    let group_of = profile.by_stack(|node| Some(of_node[node.index()]));
    let watch = Watching {
        group_of: &group_of,
        groups: vec![Lifetimes::default(); sites.len()],
        all: Lifetimes::default(),
        rows: Vec::new(),
        over: Vec::new(),
        now: Nanos(0),
    };
    let Watching { groups, all, .. } = capture.replay(profile.span, 0, watch, progress)?.watch;
    let mut found: Vec<SiteLifetimes> =
        sites.into_iter().zip(groups).map(|(node, lifetimes)| SiteLifetimes { node, lifetimes }).collect();
    found.retain(|site| site.lifetimes != Lifetimes::default());
    found.sort_by_key(|site| {
        let total = site.lifetimes.total();
        (std::cmp::Reverse((total.count, total.bytes)), site.node)
    });
    Ok((all, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_each_other() {
        let limits: Vec<_> = (0..CLASSES).map(Lifetimes::limits).collect();
        let ms = |ms: u64| ms * 1_000_000;
        assert_eq!(limits[0], (0, Some(ms(1))));
        assert_eq!(limits[1], (ms(1), Some(ms(10))));
        assert_eq!(limits[5], (ms(10_000), Some(ms(100_000))));
        assert_eq!(limits[6], (ms(100_000), None));
        assert_eq!(limits[TO_THE_END], (0, None));
    }

    #[test]
    fn the_median_is_where_half_of_the_blocks_are() {
        let mut lifetimes = Lifetimes::default();
        assert_eq!(lifetimes.median(), 0);
        (0..3).for_each(|_| lifetimes.add(1, 10));
        (0..2).for_each(|_| lifetimes.add(TO_THE_END, 10_000));
        assert_eq!(lifetimes.median(), 1);
        (0..2).for_each(|_| lifetimes.add(TO_THE_END, 10_000));
        assert_eq!(lifetimes.median(), TO_THE_END);
    }
}
