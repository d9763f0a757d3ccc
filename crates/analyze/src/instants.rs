//! Instants and windows of a run, as people name them, and the places among its events that they mean.

use crate::reader::Capture;
use heaptide_format::capture::Mark;
use heaptide_format::ids::Nanos;

/// A place among the events of a capture, between two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// Before the first.
    #[default]
    Start,
    /// Behind all that happened until this time: to the collector's round.
    Time(Nanos),
    /// Behind so many events, where so many bytes are live, at this time: a mark.
    Event {
        /// Events before it, as the index of the file counts them.
        count: u64,
        /// Live bytes there. Ends of processes are no events that are counted: this tells those before it from those behind.
        live: u64,
        /// When.
        time: Nanos,
    },
    /// Where so many bytes are live at this time for the first time: the peak.
    Peak {
        /// Live bytes.
        live: u64,
        /// When.
        time: Nanos,
    },
    /// Behind the last.
    End,
}

impl Position {
    /// When that is, in a run of this length.
    pub fn time(self, duration: Nanos) -> Nanos {
        match self {
            Self::Start => Nanos(0),
            Self::Time(time) | Self::Event { time, .. } | Self::Peak { time, .. } => time,
            Self::End => duration,
        }
    }
}

/// An instant, as it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Instant {
    /// Before the first event.
    Start,
    /// The end of the run: what is live there is what the program that ended last had when it did.
    End,
    /// The instant of most live bytes of the whole process tree.
    Peak,
    /// So long after the start.
    After(Nanos),
    /// This part of the run, from 0 to 1.
    Part(f64),
    /// The n-th mark of this name, counted from 1.
    Mark(String, usize),
}

/// Why a capture has no such instant, or no such window.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoInstant {
    /// It lies behind the end of the run.
    #[error("{:.3} s is outside of the run, which took {:.3} s", asked.seconds(), duration.seconds())]
    Outside {
        /// What was asked for.
        asked: Nanos,
        /// Length of the run.
        duration: Nanos,
    },
    /// No mark has this name.
    #[error("there is no mark {name:?}")]
    NoMark {
        /// What was asked for.
        name: String,
        /// The marks that there are, in their order.
        known: Vec<String>,
    },
    /// The mark was not set so often.
    #[error("the mark {name:?} was set {times} times only")]
    NotSoOften {
        /// Its name.
        name: String,
        /// How often.
        times: usize,
    },
    /// A window that ends before it begins.
    #[error("the window ends before it begins: from {:.3} s to {:.3} s", from.seconds(), to.seconds())]
    Backwards {
        /// Its beginning.
        from: Nanos,
        /// Its end.
        to: Nanos,
    },
}

impl Instant {
    /// Understands `12.5s`, `500ms`, `2m`, `1h`, `12.5` (seconds), `50%`, `start`, `end`, `peak`, `mark:NAME` and, where a
    /// mark was set several times, `mark:NAME#2`.
    ///
    /// # Errors
    /// A sentence that says what would be understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "start" => return Ok(Self::Start),
            "end" => return Ok(Self::End),
            "peak" => return Ok(Self::Peak),
            _ => {}
        }
        if let Some(name) = text.strip_prefix("mark:") {
            let (name, number) = match name.rsplit_once('#').map(|(name, number)| (name, number.parse::<usize>())) {
                Some((name, Ok(number))) if number > 0 => (name, number),
                _ => (name, 1),
            };
            return Ok(Self::Mark(name.to_owned(), number));
        }
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let advice = || {
            "an instant is a time after the start (12.5s, 500ms, 2m, 1h), a part of the run (50%), start, end, peak, or mark:NAME".to_owned()
        };
        let number: f64 = number.parse().map_err(|_| advice())?;
        let seconds = match unit {
            "%" if number <= 100.0 => return Ok(Self::Part(number / 100.0)),
            "" | "s" => number,
            "ns" => number / 1e9,
            "us" | "µs" => number / 1e6,
            "ms" => number / 1e3,
            "m" | "min" => number * 60.0,
            "h" => number * 3600.0,
            _ => return Err(advice()),
        };
        // Saturates at 584 years.
        Ok(Self::After(Nanos((seconds * 1e9).round() as u64)))
    }

    /// Where that is in this capture.
    ///
    /// # Errors
    /// See [`NoInstant`].
    pub fn in_capture(&self, capture: &Capture) -> Result<Position, NoInstant> {
        let totals = &capture.account.totals;
        let duration = totals.duration;
        match self {
            Self::Start => Ok(Position::Start),
            Self::End => Ok(Position::End),
            Self::Peak => Ok(Position::Peak { live: totals.peak.bytes, time: totals.peak_at }),
            Self::Part(part) => Ok(Position::Time(Nanos((duration.0 as f64 * part) as u64))),
            Self::After(asked) if *asked > duration => Err(NoInstant::Outside { asked: *asked, duration }),
            Self::After(time) => Ok(Position::Time(*time)),
            Self::Mark(name, number) => mark(&capture.marks, name, *number),
        }
    }
}

fn mark(marks: &[Mark], name: &str, number: usize) -> Result<Position, NoInstant> {
    // A name may end with a number itself.
    let whole = format!("{name}#{number}");
    if let Some(mark) = marks.iter().find(|mark| mark.name == whole) {
        return Ok(position(mark));
    }
    let mut named = marks.iter().filter(|mark| mark.name == name);
    match named.clone().nth(number - 1) {
        Some(mark) => Ok(position(mark)),
        None if named.next().is_some() => {
            let times = marks.iter().filter(|mark| mark.name == name).count();
            Err(NoInstant::NotSoOften { name: name.to_owned(), times })
        }
        None => {
            let mut known: Vec<String> = Vec::new();
            for mark in marks {
                if !known.contains(&mark.name) {
                    known.push(mark.name.clone());
                }
            }
            Err(NoInstant::NoMark { name: name.to_owned(), known })
        }
    }
}

/// Where a mark is.
pub fn position(mark: &Mark) -> Position {
    Position::Event { count: mark.event, live: mark.live, time: mark.time }
}

/// A part of a run, or an instant of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    /// All of it: the answers of the footer.
    #[default]
    Whole,
    /// What was live at an instant.
    At(Position),
    /// What happened between two.
    Between(Position, Position),
}

impl Span {
    /// Between two instants of a capture.
    ///
    /// # Errors
    /// See [`NoInstant`].
    pub fn between(from: &Instant, to: &Instant, capture: &Capture) -> Result<Self, NoInstant> {
        let positions = (from.in_capture(capture)?, to.in_capture(capture)?);
        let duration = capture.account.totals.duration;
        let times = (positions.0.time(duration), positions.1.time(duration));
        let is_backwards = match positions {
            (Position::Event { count: from, .. }, Position::Event { count: to, .. }) => from > to,
            _ => times.0 > times.1,
        };
        match is_backwards {
            true => Err(NoInstant::Backwards { from: times.0, to: times.1 }),
            false => Ok(Self::Between(positions.0, positions.1)),
        }
    }

    /// Where it begins and where it ends; an instant twice.
    pub fn ends(self) -> (Position, Position) {
        match self {
            Self::Whole => (Position::Start, Position::End),
            Self::At(position) => (position, position),
            Self::Between(from, to) => (from, to),
        }
    }

    /// In words, to be put behind an amount: empty for the whole run, else `at 12.500 s` or `from 10.000 s to 60.000 s`.
    pub fn words(self) -> String {
        let time = |position: Position| match position {
            Position::Start => "the start".to_owned(),
            Position::End => "the end".to_owned(),
            Position::Time(time) => format!("{:.3} s", time.seconds()),
            Position::Event { time, .. } => format!("the mark at {:.3} s", time.seconds()),
            Position::Peak { time, .. } => format!("the peak ({:.3} s)", time.seconds()),
        };
        match self {
            Self::Whole => String::new(),
            Self::At(position) => format!("at {}", time(position)),
            Self::Between(from, to) => format!("from {} to {}", time(from), time(to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::capture::MarkOrigin;

    #[test]
    fn instants_as_people_name_them() {
        let after = |nanos| Ok(Instant::After(Nanos(nanos)));
        assert_eq!(Instant::parse("12.5s"), after(12_500_000_000));
        assert_eq!(Instant::parse("12.5"), after(12_500_000_000));
        assert_eq!(Instant::parse("500ms"), after(500_000_000));
        assert_eq!(Instant::parse("2m"), after(120_000_000_000));
        assert_eq!(Instant::parse("0"), after(0));
        assert_eq!(Instant::parse("50%"), Ok(Instant::Part(0.5)));
        assert_eq!(Instant::parse("mark:after load"), Ok(Instant::Mark("after load".into(), 1)));
        assert_eq!(Instant::parse("mark:tick#3"), Ok(Instant::Mark("tick".into(), 3)));
        assert_eq!(Instant::parse("mark:c#"), Ok(Instant::Mark("c#".into(), 1)));
        for text in ["", "s", "12 parsecs", "-1s", "101%", "Peak", "1.2.3s"] {
            assert!(Instant::parse(text).unwrap_err().contains("mark:NAME"), "{text}");
        }
    }

    #[test]
    fn marks_are_found_by_name_and_number() {
        let mark_at = |name: &str, event| Mark {
            name: name.into(),
            origin: MarkOrigin::Program,
            image: None,
            time: Nanos(event * 10),
            event,
            live: 7,
            rss: 0,
        };
        let marks = [mark_at("tick", 1), mark_at("tick", 2), mark_at("tick#2", 3), mark_at("done", 4)];
        let count = |name, number| match mark(&marks, name, number) {
            Ok(Position::Event { count, .. }) => Ok(count),
            Ok(_) => unreachable!(),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(count("tick", 1), Ok(1));
        // That is what it is called.
        assert_eq!(count("tick", 2), Ok(3));
        assert_eq!(count("done", 1), Ok(4));
        assert_eq!(count("tick", 3), Err("the mark \"tick\" was set 2 times only".into()));
        assert_eq!(
            mark(&marks, "tock", 1),
            Err(NoInstant::NoMark { name: "tock".into(), known: vec!["tick".into(), "tick#2".into(), "done".into()] })
        );
    }
}
