//! Folded stacks: `frame;frame;frame bytes`, one stack a line, for the flame graph tools of others.

use crate::context::{frame, short_file};
use crate::units::visible;
use heaptide_analyze::frames::Frame;
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_format::capture::summary::Amount;
use std::borrow::Cow;
use std::io::{self, Write};

/// Writes one metric. Outermost frame first; `inverted`: innermost first, so that a flame graph of it grows from the
/// allocations. As long as the stacks are: for a deep recursion that is the square of its depth.
///
/// # Errors
/// Those of writing.
pub fn write(profile: &Profile, metric: Metric, inverted: bool, out: &mut dyn Write) -> io::Result<()> {
    write_within(Limits { most_frames: usize::MAX, least_bytes: 0, unit: 1 }, profile, metric, inverted, out)
}

/// How much of the stacks is of interest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Only the first so many frames of each stack, at least one.
    pub most_frames: usize,
    /// What has less with all it called is its caller's; not where the innermost frame comes first.
    pub least_bytes: u64,
    /// Bytes that are written as one.
    pub unit: u64,
}

/// The same within these limits.
///
/// # Errors
/// Those of writing.
pub(crate) fn write_within(
    limits: Limits,
    profile: &Profile,
    metric: Metric,
    inverted: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let labels = Labels::of(&profile.frames);
    let own = match inverted {
        true => profile.own(metric),
        false => of_outermost(limits, profile, metric),
    };
    let mut frames: Vec<u32> = Vec::new();
    for (node, own) in profile.nodes().zip(own).filter(|(_, own)| own.bytes > 0) {
        frames.clear();
        frames.extend(profile.tree.path(node).take(if inverted { limits.most_frames } else { usize::MAX }));
        if !inverted {
            frames.reverse();
        }
        for (index, frame) in frames.iter().enumerate() {
            let separator = if index > 0 { ";" } else { "" };
            write!(out, "{separator}{}", labels.get(*frame))?;
        }
        writeln!(out, " {}", own.bytes / limits.unit)?;
    }
    let bare = profile.bare.of(metric).bytes;
    if bare > 0 {
        writeln!(out, "[no stack] {}", bare / limits.unit)?;
    }
    Ok(())
}

/// Own amounts by node, those of nodes beyond the limits given to their callers.
fn of_outermost(limits: Limits, profile: &Profile, metric: Metric) -> Vec<Amount> {
    let mut own = profile.own(metric);
    let totals = profile.tree.totals(&own);
    let nodes = profile.tree.nodes();
    let mut depths: Vec<usize> = Vec::with_capacity(nodes.len());
    for node in nodes {
        depths.push(node.parent.map_or(1, |parent| depths[parent.index()] + 1));
    }
    // Callees stand behind their callers, so what they give has been given to them before.
    for (index, node) in nodes.iter().enumerate().rev() {
        let is_beyond = depths[index] > limits.most_frames || totals[index].bytes < limits.least_bytes;
        if let (true, Some(parent)) = (is_beyond, node.parent) {
            let amount = std::mem::take(&mut own[index]);
            own[parent.index()] += amount;
        }
    }
    own
}

/// Frames in words, made once as far as that needs no more than [`MOST_LABEL_BYTES`].
pub(crate) struct Labels<'f> {
    frames: &'f [Frame],
    made: Vec<String>,
}

/// Far more than the names of any program.
const MOST_LABEL_BYTES: usize = 64 << 20;

impl<'f> Labels<'f> {
    /// Of these.
    pub(crate) fn of(frames: &'f [Frame]) -> Self {
        let mut left = MOST_LABEL_BYTES;
        let made = frames.iter().map_while(|frame| {
            let label = label(frame);
            left = left.checked_sub(label.len())?;
            Some(label)
        });
        Self { frames, made: made.collect() }
    }

    /// That of the frame with this place in the list.
    pub(crate) fn get(&self, frame: u32) -> Cow<'_, str> {
        match self.made.get(frame as usize) {
            Some(label) => Cow::Borrowed(label),
            None => Cow::Owned(label(&self.frames[frame as usize])),
        }
    }
}

/// A frame without the character that separates frames. Lines of native code are not known, their object is.
fn label(place: &Frame) -> String {
    let text = frame(place).replace(';', ":");
    let text = if text.is_empty() { visible(&short_file(place.kind, &place.file)) } else { text };
    // At the start of a line that would be a comment, and its stack missing from a picture.
    match text.strip_prefix("# ") {
        Some(rest) => format!("\\u{{23}} {rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_analyze::frames::{FrameKind, KnownBy};

    #[test]
    fn separators_and_line_ends_in_names_do_no_harm() {
        let frame = Frame {
            function: "a;b\nc".into(),
            file: "/app/x;y.py".into(),
            object: "".into(),
            line: 7,
            first_line: 0,
            kind: FrameKind::Project,
            known_by: KnownBy::Name,
            source: None,
        };
        assert_eq!(label(&frame), "a:b\\u{a}c (/app/x:y.py:7)");
        let frame = Frame { function: "#".into(), ..frame };
        assert_eq!(label(&frame), "\\u{23} (/app/x:y.py:7)");
    }
}
