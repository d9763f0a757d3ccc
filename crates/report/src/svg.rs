//! A flame graph as SVG, drawn by inferno: for places where a page cannot go.

use crate::context::{Context, headline};
use crate::folded;
use heaptide_analyze::profile::{Metric, Profile};
use inferno::flamegraph::{self, Direction, color::BasicPalette, color::Palette};
use std::io::{self, Write};

/// Frames narrower than this many percent of the picture are not drawn: less than a tenth of a pixel.
const LEAST_PERCENT: f64 = 0.01;

/// Writes one metric. `inverted`: stacks begin at the allocations and grow downwards.
///
/// # Errors
/// Those of writing; inferno's are passed on as [`io::ErrorKind::Other`].
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
    let mut lines = Vec::new();
    folded::write(profile, metric, inverted, &mut lines)?;
    if lines.is_empty() {
        // inferno takes a graph without stacks for an error.
        lines.extend_from_slice(b"nothing 1\n");
    }
    flamegraph::from_reader(&mut options, &lines[..], out).map_err(|error| io::Error::other(error.to_string()))
}
