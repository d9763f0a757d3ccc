//! Which part of a run: `--at`, `--from` and `--to`, with errors that help on.

use crate::exit::CliError;
use crate::input::{USAGE, shown};
use heaptide_analyze::Capture;
use heaptide_analyze::instants::{Instant, NoInstant, Span};
use heaptide_report::units::{time, visible};
use std::path::Path;

/// What was typed.
#[derive(clap::Args, Debug)]
pub struct SpanArgs {
    /// Show what was live at this instant: a time after the start (12.5s, 500ms, 2m), a part of the run (50%), peak, or
    /// mark:NAME (the second of that name is mark:NAME#2)
    #[arg(long, value_name = "INSTANT", value_parser = Instant::parse, conflicts_with_all = ["from", "to"])]
    at: Option<Instant>,
    /// Look only at what happened from this instant on
    #[arg(long, value_name = "INSTANT", value_parser = Instant::parse)]
    from: Option<Instant>,
    /// Look only at what happened until this instant
    #[arg(long, value_name = "INSTANT", value_parser = Instant::parse)]
    to: Option<Instant>,
}

impl SpanArgs {
    /// What was typed for `--from` and `--to`, each as an instant of its own: by default the start and the end.
    pub fn two_instants(&self, path: &Path, capture: &Capture) -> Result<Option<[Span; 2]>, CliError> {
        if self.at.is_some() || (self.from.is_none() && self.to.is_none()) {
            return Ok(None);
        }
        let at = |instant: &Option<Instant>, default: Instant| {
            let position = instant.as_ref().unwrap_or(&default).in_capture(capture);
            position.map(Span::At).map_err(|error| no_instant(path, capture, &error))
        };
        // Backwards is an error too.
        self.of(path, capture)?;
        Ok(Some([at(&self.from, Instant::Start)?, at(&self.to, Instant::End)?]))
    }

    /// Whether it is an instant.
    pub fn is_instant(&self) -> bool {
        self.at.is_some()
    }

    /// The part of this capture.
    pub fn of(&self, path: &Path, capture: &Capture) -> Result<Span, CliError> {
        let span = match (&self.at, &self.from, &self.to) {
            (Some(at), _, _) => at.in_capture(capture).map(Span::At),
            (None, None, None) => return Ok(Span::Whole),
            (None, from, to) => {
                Span::between(from.as_ref().unwrap_or(&Instant::Start), to.as_ref().unwrap_or(&Instant::End), capture)
            }
        };
        span.map_err(|error| no_instant(path, capture, &error))
    }
}

/// What to tell the user of an instant that a capture does not have.
pub fn no_instant(path: &Path, capture: &Capture, error: &NoInstant) -> CliError {
    let advice = match error {
        NoInstant::Outside { duration, .. } => format!("; choose one up to {}", time(*duration)),
        NoInstant::Backwards { .. } => "; exchange --from and --to".into(),
        NoInstant::NotSoOften { .. } => String::new(),
        NoInstant::NoMark { known, .. } if known.is_empty() && capture.ends_early.is_some() => {
            "; it has no marks up to where it can be read".into()
        }
        NoInstant::NoMark { known, .. } if known.is_empty() => {
            "; it has no marks, set some with `heaptide mark` or `heaptide_mark`".into()
        }
        NoInstant::NoMark { name, known } => {
            let near: Vec<String> = near(name, known).into_iter().map(visible).collect();
            match near.is_empty() {
                true => format!("; it has {}", listed(known)),
                false => format!("; did you mean mark:{}?", near.join(" or mark:")),
            }
        }
    };
    CliError::new(USAGE, format!("{}: {error}{advice}", shown(path)))
}

/// Names with fewer letters in common are not meant: `tock` for `tick` has 0.85, `afterload` for `before load` 0.71.
const LEAST_LIKE: f64 = 0.8;

/// Names that somebody may have meant, the nearest first.
fn near<'k>(name: &str, known: &'k [String]) -> Vec<&'k str> {
    let distance = |other: &str| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let mut near: Vec<(f64, &str)> = known.iter().map(|other| (distance(other), &**other)).collect();
    near.retain(|(likeness, _)| *likeness > LEAST_LIKE);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Most names in a message.
const MOST_LISTED: usize = 10;

fn listed(names: &[String]) -> String {
    let mut list: Vec<String> = names.iter().take(MOST_LISTED).map(|name| visible(name)).collect();
    if names.len() > MOST_LISTED {
        list.push(format!("{} more", names.len() - MOST_LISTED));
    }
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["after load", "before load", "flush"].map(String::from);
        assert_eq!(near("afterload", &known), ["after load"]);
        assert_eq!(near("Flush", &known), ["flush"]);
        assert_eq!(near("befor load", &known), ["before load"]);
        assert_eq!(near("x", &known), [""; 0]);
    }
}
