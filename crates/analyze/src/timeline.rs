//! A timeline of bounded length: when it is full, neighbours are joined in pairs, so long runs get coarser, not longer.

use heaptide_format::capture::summary::Sample;

/// Points kept at most. A screen is not wider, and 4096 points of 32 bytes are small beside any capture.
pub const MOST_POINTS: usize = 4096;

/// Samples of a run, thinned as they come.
#[derive(Clone, Debug)]
pub struct Timeline {
    points: Vec<Sample>,
    /// Samples that one point stands for.
    width: u32,
    /// Samples in the last point.
    filled: u32,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { points: Vec::new(), width: 1, filled: 1 }
    }
}

impl Timeline {
    /// Appends a sample, later than all before.
    pub fn push(&mut self, sample: Sample) {
        if self.filled < self.width
            && let Some(last) = self.points.last_mut()
        {
            *last = joined(*last, sample);
            self.filled += 1;
            return;
        }
        if self.points.len() == MOST_POINTS {
            self.points = self.points.chunks_exact(2).map(|pair| joined(pair[0], pair[1])).collect();
            self.width = self.width.saturating_mul(2);
        }
        self.points.push(sample);
        self.filled = 1;
    }

    /// The points, in order of time.
    pub fn into_points(self) -> Vec<Sample> {
        self.points
    }
}

/// The later of two neighbours; the highest values of both, so that no peak is thinned away.
fn joined(earlier: Sample, later: Sample) -> Sample {
    Sample {
        time: later.time,
        live: later.live,
        live_high: later.live_high.max(earlier.live_high),
        rss: later.rss.max(earlier.rss),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::ids::Nanos;

    #[test]
    fn no_peak_is_thinned_away() {
        let mut timeline = Timeline::default();
        for time in 0..20_000u64 {
            let rss = if time == 7_777 { 99 } else { 1 };
            let live_high = if time == 12_345 { 500 } else { 2 };
            timeline.push(Sample { time: Nanos(time), live: time, live_high, rss });
        }
        let points = timeline.into_points();
        // 20 000 samples need a width of 8: 2500 points.
        assert_eq!(points.len(), 2500);
        assert_eq!(points.iter().map(|point| point.live_high).max(), Some(500));
        assert_eq!(points.iter().map(|point| point.rss).max(), Some(99));
        assert_eq!(points.last().map(|point| point.time), Some(Nanos(19_999)));
        assert!(points.is_sorted_by_key(|point| point.time));
    }
}
