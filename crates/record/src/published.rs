//! What a target has published in a ring against what has been read of it: a loss can be anywhere between, and is counted
//! here, never silent.
//!
//! The target counts an event right after it has published it ([`RingHeader::events`]). A kill between the two leaves one
//! event more than was counted, for each thread; never one less.

use crate::merge;
use heaptide_format::shared::RingHeader;
use heaptide_format::wire::is_event;
use std::sync::atomic::Ordering;

/// The two counts of a ring, over all threads that ever had it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Published {
    counted: u64,
    read: u64,
}

impl Published {
    /// Looks how many events have been published: before the words are taken, which those counted then are among, and when
    /// nobody writes any more.
    pub fn look(&mut self, header: &RingHeader) {
        self.counted = header.events.load(Ordering::Acquire);
    }

    /// An event has been read.
    #[inline(always)]
    pub fn read(&mut self) {
        self.read += 1;
    }

    /// Events that were published and neither read nor are in `unread`, the words that were taken and not read: zero, unless
    /// events were lost. The ring starts afresh from here, with its next thread.
    pub fn settle(&mut self, unread: &[u64]) -> u64 {
        let missing = self.counted.saturating_sub(self.read + events_in(unread));
        self.read = self.counted;
        missing
    }
}

/// The events among whole records.
fn events_in(mut words: &[u64]) -> u64 {
    let mut events = 0;
    while let Some(length) = merge::length(words) {
        events += u64::from(is_event(words[0]));
        words = &words[length..];
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::wire::{FAILED, definition, kind, word0};

    /// Five were published, three of them read; of the others one waits, with records between that are no events.
    #[test]
    fn what_is_neither_read_nor_waiting_is_missing() {
        let waiting = [
            word0(kind::DEFINITION, definition::FINALIZING, 0),
            0,
            word0(kind::REALLOC_BEGIN, 0, 16),
            word0(kind::REALLOC_END, FAILED, 0),
            0,
            word0(kind::FREED, 0, 16),
        ];
        let mut published = Published { counted: 5, read: 0 };
        (0..3).for_each(|_| published.read());
        assert_eq!(published.clone().settle(&waiting), 1);
        assert_eq!(published.settle(&[]), 2);
        assert_eq!(published.settle(&[]), 0);
    }

    /// Killed after an event was published and before it was counted; the ring's next thread does not hide a loss by it.
    #[test]
    fn one_more_than_counted_hides_nothing() {
        let mut published = Published { counted: 2, read: 3 };
        assert_eq!(published.settle(&[]), 0);
        published.counted = 4;
        published.read();
        assert_eq!(published.settle(&[]), 1);
    }
}
