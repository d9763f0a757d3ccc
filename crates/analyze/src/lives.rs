//! How each stack of a profile lived: the most it had live at a time, and how long its blocks lived in all.

use crate::call_tree::NodeId;
use crate::error::CaptureError;
use crate::profile::Profile;
use crate::reader::{Capture, Progress};
use crate::steps::{Step, steps};
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::Nanos;

/// A stack's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// The most bytes that it had live at a time, and its blocks then (the first such time).
    pub most: Amount,
    /// The lifetimes of its blocks that came in the part of the run, added up, in nanoseconds; of those that were live at
    /// its end up to there. Each is exact to [`crate::replay::Born::UNIT`].
    pub lifetimes: u128,
    live: Amount,
}

impl Life {
    fn gets(&mut self, bytes: u64) {
        self.live += Amount { bytes, count: 1 };
        if self.live.bytes > self.most.bytes {
            self.most = self.live;
        }
    }
}

/// Of each node of the profile, by its number, and behind them of what has no frame. Costs a replay of the events.
///
/// # Errors
/// As [`Capture::replay`].
pub fn lives(
    capture: &Capture,
    profile: &Profile,
    pid: Option<u32>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Life>, CaptureError> {
    let mut lives = vec![Life::default(); profile.own.len() + 1];
    let place = |node: Option<NodeId>| node.map_or(profile.own.len(), NodeId::index);
    let mut now = Nanos(0);
    let mut begin = None;
    steps(capture, profile, pid, progress, |step| match step {
        Step::Clock(time) => {
            begin.get_or_insert(time);
            now = time;
        }
        Step::Ended(_) => {}
        Step::WasThere(owner, bytes) | Step::Came(owner, bytes) => lives[place(owner.node)].gets(bytes),
        Step::Went(owner, released) | Step::Left(owner, released) => {
            let life = &mut lives[place(owner.node)];
            life.live.bytes = life.live.bytes.saturating_sub(released.amount.bytes);
            life.live.count = life.live.count.saturating_sub(released.amount.count);
            // What was there before lived in the part of the run since that began.
            let born = released.born.max(begin.unwrap_or_default());
            if released.amount.count > 0 {
                life.lifetimes += u128::from(now.0.saturating_sub(born.0));
            }
        }
    })?;
    Ok(lives)
}
