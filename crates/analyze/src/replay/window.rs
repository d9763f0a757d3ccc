//! Where the window of a replay begins and ends, and the places in it that somebody wants to be told of.

use super::{Recent, Replay, Watch};
use crate::instants::Position;
use heaptide_format::capture::events::Event;

/// Where a replay stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before the window.
    #[default]
    Before,
    Within,
    /// Nothing more is to be read.
    Behind,
}

impl<W: Watch> Replay<W> {
    /// Tells the watch when these places are reached, in their order, which must be that of the run; at most
    /// [`MOST_STOPS`]. They divide the window into parts, and each block knows in which it came.
    pub fn with_stops(mut self, stops: &[Position]) -> Self {
        self.stops.extend(stops.iter().take(MOST_STOPS).rev());
        self
    }

    /// Whether the end of the window was reached, so that no more events are wanted.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Behind
    }

    /// Begins and ends the window where this event, which comes next and is not of a block, lies behind its beginning or
    /// its end.
    pub(super) fn stops_before(&mut self, event: Event) -> bool {
        self.stop_where(|replay, position| replay.is_before(position, event))
    }

    /// The same for an event of a block.
    #[cold]
    pub(super) fn stops_before_block(&mut self) -> bool {
        self.stop_where(Self::is_before_block)
    }

    fn stop_where(&mut self, is_before: impl Fn(&Self, Position) -> bool) -> bool {
        if self.stage == Stage::Before && is_before(self, self.from) {
            self.begin();
        }
        while self.stage == Stage::Within && self.stops.last().is_none_or(|stop| is_before(self, *stop)) {
            self.stop();
        }
        self.next_stop = match (self.stage, self.stops.last()) {
            (Stage::Before, _) => least_events(self.from),
            (Stage::Within, Some(stop)) => least_events(*stop),
            _ => 0,
        };
        self.stage == Stage::Behind
    }

    /// The next stop, or the end of the window, is reached.
    fn stop(&mut self) {
        self.stops.pop();
        if self.stops.is_empty() {
            self.stage = Stage::Behind;
            return;
        }
        self.part += 1;
        self.watch.reached();
    }

    /// Whether a position lies before an event that is not of a block, all events before it having been replayed.
    fn is_before(&self, position: Position, event: Event) -> bool {
        match position {
            Position::Time(time) => matches!(event, Event::Clock(now) if now > time),
            Position::Event { count, live, time } => {
                let events = self.tally.events();
                let counts = match event {
                    Event::Thread(_) => false,
                    Event::Clock(now) => now > time,
                    // A process that ended at the same place: before it or after it? The live bytes tell.
                    _ => self.tally.live().bytes == live,
                };
                events > count || events == count && counts
            }
            Position::Start | Position::End | Position::Peak { .. } => self.is_before_block(position),
        }
    }

    /// The same for an event of a block, whichever.
    fn is_before_block(&self, position: Position) -> bool {
        match position {
            Position::Start => true,
            // Only a clock can be later.
            Position::End | Position::Time(_) => false,
            Position::Event { count, .. } => self.tally.events() >= count,
            Position::Peak { live, time } => self.now > time || self.now == time && self.tally.live().bytes == live,
        }
    }

    /// The window begins here.
    pub(super) fn begin(&mut self) {
        self.stage = Stage::Within;
        self.now = self.now.max(self.from.time(self.now));
        self.tally.clock(self.now);
        self.tally.begin_window();
        self.temporary.clear();
        self.part = 1;
        self.watch.begins(self.now, self.tally.live().bytes);
        for block in self.images.iter().flat_map(|image| &image.blocks) {
            if !block.is_none() && block.allocator().is_heap() {
                self.watch.was_there(*block);
            }
        }
        self.threads.iter_mut().for_each(|thread| thread.recent = Recent::default());
    }
}

/// How many events there are at least before an event of a block that lies behind this position.
fn least_events(position: Position) -> u64 {
    match position {
        Position::Start | Position::Peak { .. } => 0,
        Position::Event { count, .. } => count,
        Position::Time(_) | Position::End => u64::MAX,
    }
}

/// Most stops of a replay: blocks know their part in 10 bits, of which 1023 is no part.
pub const MOST_STOPS: usize = 1020;
