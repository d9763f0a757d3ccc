//! Replays of a part of a capture: from the keyframe before it, which the index leads to, up to its end.

use crate::ahead::{Content, each_piece};
use crate::error::CaptureError;
use crate::instants::{Position, Span};
use crate::reader::{Capture, Progress};
use crate::replay::{Replay, Watch};
use crate::tally::Account;
use heaptide_format::capture::summary::{Amount, IndexEntry};
use heaptide_format::capture::{BlockKind, ReadError};
use heaptide_format::ids::{ImageIndex, StackId};
use std::ops::ControlFlow;

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed<W> {
    /// The account of the window.
    pub account: Account,
    /// Who watched.
    pub watch: W,
    /// What was freed within the number of other allocations that was asked for.
    pub temporary: Vec<(ImageIndex, StackId, Amount)>,
    /// Damage that the replay ended at, before its window did.
    pub damage: Option<ReadError>,
}

impl Capture {
    /// Replays the events of a part of the run, telling `progress` after each block, and `watch` of every block of memory.
    /// Temporary is what was freed with at most `within` other allocations of its thread between. A damaged capture is
    /// replayed up to where it can be read.
    ///
    /// # Errors
    /// [`CaptureError::NoEvents`] for a capture recorded without events; [`CaptureError::Io`].
    pub fn replay<W: Watch>(
        &self,
        span: Span,
        within: u32,
        watch: W,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Replayed<W>, CaptureError> {
        self.replay_with_stops((span, &[]), within, watch, progress)
    }

    /// The same, and `watch` is told when these places within the span are reached, see [`Replay::with_stops`].
    ///
    /// # Errors
    /// As [`Capture::replay`].
    pub fn replay_with_stops<W: Watch>(
        &self,
        (span, stops): (Span, &[Position]),
        within: u32,
        watch: W,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Replayed<W>, CaptureError> {
        if self.run.aggregate {
            return Err(CaptureError::NoEvents);
        }
        let (from, to) = span.ends();
        let mut replay = Replay::between(from, to, within, watch).with_stops(stops);
        let begin = self.begin(&mut replay, from)?;
        let wanted = [BlockKind::Events, BlockKind::Keyframe].map(|kind| kind as u8);
        let entries = self.index[begin..].iter().filter(|entry| wanted.contains(&entry.kind));
        let mut ended = None;
        each_piece(self.source(), entries.map(|entry| entry.offset), self.reading, &mut |piece| {
            let replayed = match piece.content {
                Content::Events => replay.batch(&piece.batch, piece.offset, &self.names),
                Content::Keyframe => replay.keyframe(&piece.keyframe, piece.offset),
                Content::Nothing => Ok(()),
            };
            let is_done = replay.is_done();
            ended = match replayed {
                Err(error) => Some(error.into()),
                // Behind the window nothing is damage.
                Ok(()) => piece.damage.take().filter(|_| !is_done),
            };
            if ended.is_none() && (piece.is_last || is_done) {
                progress(Progress { done: piece.next, total: self.source().len() });
            }
            if ended.is_some() || is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let damage = match ended {
            None => None,
            Some(CaptureError::Read(error)) => Some(error),
            Some(error) => return Err(error),
        };
        let temporary = replay.temporary();
        let (account, watch) = replay.finish();
        Ok(Replayed { account, watch, temporary, damage })
    }

    /// Puts the replay where the last keyframe before its window is, if there is one. Gives the place in the index of what
    /// comes next.
    fn begin<W: Watch>(&self, replay: &mut Replay<W>, from: Position) -> Result<usize, CaptureError> {
        let is_before = |entry: &IndexEntry| match from {
            Position::Start => false,
            Position::Time(time) => entry.time <= time,
            // A process that ended at the same place, which is no event that is counted, may be between.
            Position::Event { count, live, .. } => {
                entry.first_event < count || entry.first_event == count && entry.live == live
            }
            // In the round of the peak it may be before it or behind it.
            Position::Peak { time, .. } => entry.time < time,
            Position::End => true,
        };
        let keyframes = self.index.iter().enumerate().rev();
        let keyframes = keyframes.filter(|(_, entry)| entry.kind == BlockKind::Keyframe as u8 && is_before(entry));
        let mut buffer = Vec::new();
        for (place, entry) in keyframes {
            let at = (entry.first_event, entry.time);
            let begun = self.source().block(entry.offset, &mut buffer).and_then(|block| {
                if block.kind != Some(BlockKind::Keyframe) {
                    let what = "the index calls it a keyframe, but it is not".into();
                    return Err(ReadError::BadBlock { offset: entry.offset, what }.into());
                }
                Ok(replay.begin_at(&block.unpack()?, entry.offset, &self.names, at)?)
            });
            match begun {
                Ok(()) => return Ok(place + 1),
                // The one before will do, or the beginning.
                Err(CaptureError::Read(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }
}
