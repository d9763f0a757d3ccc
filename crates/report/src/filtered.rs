//! What a filter left out, so that no figure passes for all there is.

use crate::context::Style;
use crate::units::{count, size, visible};
use heaptide_analyze::filter::{Filter, Pattern};
use heaptide_format::capture::summary::Amount;
use serde::Serialize;
use std::io::{self, Write};

/// A filter that was applied.
#[derive(Clone, Debug)]
pub struct Filtered<'f> {
    /// Which.
    pub filter: &'f Filter,
    /// What is not in the figures: of which side (empty if there is only one) how much, in the metric of the report.
    pub left_out: Vec<(&'static str, Amount)>,
}

impl Filtered<'_> {
    /// The options, as they were typed, and what is not in the figures, which are of this: one sentence each.
    pub fn sentences(&self, what: &str) -> [String; 2] {
        let mut options: Vec<String> = Vec::new();
        for (option, patterns) in [("--include", &self.filter.include), ("--exclude", &self.filter.exclude)] {
            options.extend(patterns.iter().map(|pattern| format!("{option} {}", visible(&pattern.to_string()))));
        }
        options.extend(self.filter.any_frame.then(|| "--any-frame".to_owned()));
        let sides = self.left_out.iter().map(|(side, amount)| {
            let side = if side.is_empty() { String::new() } else { format!("{side} ") };
            format!("{side}{} in {} blocks", size(amount.bytes), count(amount.count))
        });
        let sides: Vec<String> = sides.collect();
        [format!("filtered by {}", options.join(" ")), format!("left out of {what}: {}", sides.join(", "))]
    }

    /// A line each.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_text(&self, what: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
        self.sentences(what).iter().try_for_each(|sentence| writeln!(out, "{}", style.dim(sentence)))
    }
}

/// The same as data; `left_out` is what the report makes of it.
#[derive(Debug, Serialize)]
pub(crate) struct JsonFilter<L> {
    include: Vec<String>,
    exclude: Vec<String>,
    any_frame: bool,
    left_out: L,
}

impl<L: Serialize> JsonFilter<L> {
    pub(crate) fn new(filter: &Filter, left_out: L) -> Self {
        let texts = |patterns: &[Pattern]| patterns.iter().map(Pattern::to_string).collect();
        Self { include: texts(&filter.include), exclude: texts(&filter.exclude), any_frame: filter.any_frame, left_out }
    }
}
