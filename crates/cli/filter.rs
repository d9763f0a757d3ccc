//! Which stacks to look at: options that several reports have.

use heaptide_analyze::filter::{Filter, Pattern};

/// What was typed.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub struct FilterArgs {
    /// Only stacks whose innermost frame is like this: a file (src/*.py), FILE:LINE, function:NAME, module:NAME or
    /// package:NAME, with * ? [a-z]; can be given several times, one has to fit
    #[arg(long, value_name = "PATTERN")]
    include: Vec<Pattern>,
    /// No stacks whose innermost frame is like this; can be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<Pattern>,
    /// Look for the patterns in all frames of a stack
    #[arg(long)]
    any_frame: bool,
}

impl FilterArgs {
    /// What it means; `None`: keep everything.
    pub fn filter(&self) -> Option<Filter> {
        let filter = Filter { include: self.include.clone(), exclude: self.exclude.clone(), any_frame: self.any_frame };
        (!filter.is_empty()).then_some(filter)
    }
}
