//! A flame graph as SVG, drawn by inferno: for places where a page cannot go.

use crate::context::{Context, headline};
use crate::folded::{self, Limits};
use heaptide_analyze::profile::{Metric, Profile};
use inferno::flamegraph::{self, Direction, color::BasicPalette, color::Palette};
use std::io::{self, Write};

/// Frames narrower than this many percent of the picture are not drawn: less than a tenth of a pixel.
const LEAST_PERCENT: f64 = 0.01;

/// Writes one metric. `inverted`: stacks begin at the allocations and grow downwards.
///
/// # Errors
/// Those of writing; inferno's own are passed on as [`io::ErrorKind::Other`].
pub fn write(
    context: &Context<'_>,
    profile: &Profile,
    metric: Metric,
    temporary_within: u32,
    inverted: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut options = flamegraph::Options::default();
    options.title = headline(profile, metric, temporary_within);
    options.subtitle = Some(context.command());
    options.notes = context.warnings.join("; ");
    options.count_name = "bytes".into();
    options.colors = Palette::Basic(BasicPalette::Mem);
    options.hash = true;
    options.min_width = LEAST_PERCENT;
    options.direction = if inverted { Direction::Inverted } else { Direction::Straight };
    let unit = unit(profile, metric);
    options.factor = unit as f64;
    let mut lines = stacks(profile, metric, inverted, unit)?;
    if lines.is_empty() {
        // inferno takes a graph without stacks for an error.
        lines.extend_from_slice(b"nothing 1\n");
    }
    let mut out = Attentive { out, failure: None };
    let drawn = flamegraph::from_reader(&mut options, &lines[..], &mut out);
    match out.failure {
        Some(failure) => Err(failure),
        None => drawn.map_err(|error| io::Error::other(error.to_string())),
    }
}

/// Keeps what went wrong in writing: inferno makes text of it, and a closed pipe is no failure, nor a full disk any.
struct Attentive<'w> {
    out: &'w mut dyn Write,
    failure: Option<io::Error>,
}

impl Attentive<'_> {
    fn noting<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|failure| {
            let kind = failure.kind();
            self.failure = Some(failure);
            kind.into()
        })
    }
}

impl Write for Attentive<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.noting(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.noting(flushed)
    }
}

/// Bytes that inferno is to count as one. It adds up in 64 bits and panics beyond, where a damaged capture can lead; an
/// honest one has bytes counted one by one.
fn unit(profile: &Profile, metric: Metric) -> u64 {
    let stacks = profile.own(metric).into_iter().chain([profile.bare.of(metric)]);
    let sum: u128 = stacks.map(|amount| u128::from(amount.bytes)).sum();
    u64::try_from((sum >> 62) + 1).unwrap_or(u64::MAX)
}

/// What inferno is given at most. It wants all stacks at once: of a recursion of 10 000 calls that each hold a block,
/// they are gigabytes.
const MOST_BYTES: usize = 16 << 20;

/// Folded stacks, whole if there is room for that, else their first frames: no picture is a thousand frames high.
fn stacks(profile: &Profile, metric: Metric, inverted: bool, unit: u64) -> io::Result<Vec<u8>> {
    // Too narrow to be drawn: no need to name them.
    let least_bytes = (profile.total.of(metric).bytes as f64 * LEAST_PERCENT / 100.0) as u64;
    for most_frames in [usize::MAX, 2048, 512, 128, 32, 8, 1] {
        let mut lines = Bounded(Vec::new());
        match folded::write_within(Limits { most_frames, least_bytes, unit }, profile, metric, inverted, &mut lines) {
            Ok(()) => return Ok(lines.0),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, "there are too many stacks for a picture"))
}

/// Bytes, up to [`MOST_BYTES`] of them.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
