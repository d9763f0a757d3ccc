//! The events of a part of a run as steps of a profile: which of its nodes gets a block, which gives one back.
//!
//! For who writes or draws them one after the other, in the words of a report: named stacks instead of rows, and told for
//! each release whether the block had leaked. What is known after the last step is in [`crate::profile`] already.

use crate::call_tree::NodeId;
use crate::error::CaptureError;
use crate::profile::Profile;
use crate::reader::{Capture, Progress};
use crate::replay::{Block, Gone, Watch};
use crate::tally::RowId;
use heaptide_format::capture::ReadError;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, Nanos, StackId, ThreadIndex};
use rustc_hash::FxHashMap;

/// Whose a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its stack, of the profile; `None`: a stack without frames.
    pub node: Option<NodeId>,
    /// The process image.
    pub image: ImageIndex,
    /// The thread that allocated it; none of the capture's for what came before the keyframe at which the replay began.
    pub thread: ThreadIndex,
}

/// What happens next. Only heap is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is now this time. The first step, and whenever the collector looked.
    Clock(Nanos),
    /// A block that is live when the part of the run begins.
    WasThere(Owner, u64),
    /// A block of this size came to life.
    Came(Owner, u64),
    /// A block, or a part of one, was released.
    Went(Owner, Released),
    /// The process is gone and its block with it, or the part of the run ends and it is live.
    Left(Owner, Released),
    /// The process is gone, and what it left has been told.
    Ended(ImageIndex),
}

/// What was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// Bytes, and 1 block; 0 blocks for a part of a mapping.
    pub amount: Amount,
    /// When the block came to life, to [`crate::replay::Born::UNIT`].
    pub born: Nanos,
    /// It is in what leaked: it came in this part of the run and was live when its program ended.
    pub leaked: bool,
}

/// Replays the part of the run that the profile is of, for one process or all (`None`), and tells `step` of everything. Gives
/// the damage that it ended at, if it did so early.
///
/// # Errors
/// As [`Capture::replay`].
pub fn steps(
    capture: &Capture,
    profile: &Profile,
    pid: Option<u32>,
    progress: &mut dyn FnMut(Progress),
    step: impl FnMut(Step),
) -> Result<Option<ReadError>, CaptureError> {
    let images = capture.names.images();
    let chosen = images.iter().map(|image| pid.is_none_or(|pid| image.pid == pid)).collect();
    let ended = vec![false; images.len()];
    let watch = Stepping { profile, chosen, rows: Vec::new(), ended, late: FxHashMap::default(), step };
    Ok(capture.replay(profile.span, 0, watch, progress)?.damage)
}

struct Stepping<'a, F> {
    profile: &'a Profile,
    /// By image.
    chosen: Vec<bool>,
    /// By [`RowId`].
    rows: Vec<(ImageIndex, Option<NodeId>)>,
    /// By image: its program has ended.
    ended: Vec<bool>,
    /// Live blocks that came when their program had ended, by row and size: these have not leaked. Which of several that are
    /// alike a release is of makes no difference.
    late: FxHashMap<(RowId, u64), u64>,
    step: F,
}

impl<F: FnMut(Step)> Stepping<'_, F> {
    fn owner(&self, block: Block) -> Option<Owner> {
        let (image, node) = self.rows[block.row().0 as usize];
        let is_chosen = self.chosen.get(image.index()) == Some(&true);
        is_chosen.then_some(Owner { node, image, thread: block.thread() })
    }

    fn released(&mut self, block: Block, amount: Amount, image: ImageIndex) -> Released {
        let key = (block.row(), block.bytes());
        let is_late = match self.late.get_mut(&key) {
            Some(left) if amount.count > 0 => {
                *left -= 1;
                if *left == 0 {
                    self.late.remove(&key);
                }
                true
            }
            _ => false,
        };
        // What came before the window is nobody's leak.
        let leaked = self.ended[image.index()] && !is_late && block.part() > 0;
        Released { amount, born: block.born().time(), leaked }
    }
}

impl<F: FnMut(Step)> Watch for Stepping<'_, F> {
    fn row(&mut self, _: RowId, image: ImageIndex, stack: StackId) {
        self.rows.push((image, self.profile.places.get(stack.index()).copied().flatten()));
    }

    fn begins(&mut self, now: Nanos, _live: u64) {
        (self.step)(Step::Clock(now));
    }

    fn was_there(&mut self, block: Block) {
        if let Some(owner) = self.owner(block) {
            (self.step)(Step::WasThere(owner, block.bytes()));
        }
    }

    fn clock(&mut self, now: Nanos) {
        (self.step)(Step::Clock(now));
    }

    fn came(&mut self, block: Block, _live: u64) {
        let Some(owner) = self.owner(block) else { return };
        if self.ended[owner.image.index()] {
            *self.late.entry((block.row(), block.bytes())).or_default() += 1;
        }
        (self.step)(Step::Came(owner, block.bytes()));
    }

    fn went(&mut self, block: Block, gone: Gone, _live: u64) {
        let Some(owner) = self.owner(block) else { return };
        let released = self.released(block, gone.amount(), owner.image);
        (self.step)(Step::Went(owner, released));
    }

    fn program_ended(&mut self, image: ImageIndex) {
        self.ended[image.index()] = true;
    }

    fn image_ended(&mut self, image: ImageIndex) {
        if self.chosen.get(image.index()) == Some(&true) {
            (self.step)(Step::Ended(image));
        }
    }

    fn left(&mut self, block: Block) {
        let Some(owner) = self.owner(block) else { return };
        let released = self.released(block, Amount { bytes: block.bytes(), count: 1 }, owner.image);
        (self.step)(Step::Left(owner, released));
    }
}
