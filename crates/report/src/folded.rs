//! Folded stacks: `frame;frame;frame bytes`, one stack a line, for the flame graph tools of others.

use crate::context::{frame, short_file};
use crate::units::visible;
use heaptide_analyze::frames::Frame;
use heaptide_analyze::profile::{Metric, Profile};
use std::io::{self, Write};

/// Writes one metric. Outermost frame first; `inverted`: innermost first, so that a flame graph of it grows from the
/// allocations.
///
/// # Errors
/// Those of writing.
pub fn write(profile: &Profile, metric: Metric, inverted: bool, out: &mut dyn Write) -> io::Result<()> {
    let labels: Vec<String> = profile.frames.iter().map(label).collect();
    let mut frames: Vec<u32> = Vec::new();
    for (node, own) in profile.nodes().zip(profile.own(metric)).filter(|(_, own)| own.bytes > 0) {
        frames.clear();
        frames.extend(profile.tree.path(node));
        if !inverted {
            frames.reverse();
        }
        for (index, frame) in frames.iter().enumerate() {
            let separator = if index > 0 { ";" } else { "" };
            write!(out, "{separator}{}", labels[*frame as usize])?;
        }
        writeln!(out, " {}", own.bytes)?;
    }
    let bare = profile.bare.of(metric).bytes;
    if bare > 0 {
        writeln!(out, "[no stack] {bare}")?;
    }
    Ok(())
}

/// A frame without the character that separates frames. Lines of native code are not known, their object is.
fn label(place: &Frame) -> String {
    let text = frame(place).replace(';', ":");
    if text.is_empty() { visible(&short_file(place.kind, &place.file)) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_analyze::frames::FrameKind;

    #[test]
    fn separators_and_line_ends_in_names_do_no_harm() {
        let frame = Frame {
            function: "a;b\nc".into(),
            file: "/app/x;y.py".into(),
            line: 7,
            kind: FrameKind::Project,
            nameless: false,
        };
        assert_eq!(label(&frame), "a:b\\u{a}c (/app/x:y.py:7)");
    }
}
