//! Memory over time, as plots draw it: what was looked at while recording, and the peak, which as a rule was between two looks.

use heaptide_analyze::reader::Capture;
use heaptide_format::capture::summary::Sample;

/// The samples of a capture in the order of time, with one for its peak if none has as much. Resident memory was not looked at then:
/// it is that of the sample before.
pub(crate) fn with_peak(capture: &Capture) -> Vec<Sample> {
    let totals = &capture.account.totals;
    let mut samples = capture.timeline.clone();
    if !samples.is_empty() && samples.iter().all(|sample| sample.live < totals.peak.bytes) {
        let after = samples.partition_point(|sample| sample.time <= totals.peak_at);
        let rss = after.checked_sub(1).map_or(0, |before| samples[before].rss);
        samples
            .insert(after, Sample { time: totals.peak_at, live: totals.peak.bytes, live_high: totals.peak.bytes, rss });
    }
    samples
}
