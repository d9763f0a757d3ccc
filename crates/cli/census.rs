//! `run --census`: when Python objects are counted.

use heaptide_format::ids::Nanos;
use heaptide_record::CensusOptions;

/// What one word of `--census 10s,peak` asks for. All include the census at exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So often.
    Every(Nanos),
    /// When live bytes are higher than ever.
    Peak,
    /// When a mark is set.
    Marks,
    /// At exit only.
    Exit,
}

/// The least time between two: a census of a large program takes a second.
const LEAST: f64 = 0.01;

/// `10s`, `500ms`, `2m`, `1h`, `peak`, `marks` or `exit`.
pub fn parse(text: &str) -> Result<When, String> {
    match text {
        "peak" => return Ok(When::Peak),
        "marks" => return Ok(When::Marks),
        "exit" => return Ok(When::Exit),
        _ => {}
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("a time like 10s, 500ms, 2m or 1h, or one of peak, marks, exit".into()),
    };
    let seconds: f64 = number.parse().map_err(|_| format!("{number:?} is no number"))?;
    let seconds = seconds * factor;
    match (LEAST..=1e9).contains(&seconds) {
        true => Ok(When::Every(Nanos((seconds * 1e9) as u64))),
        false => Err("at least 10ms".into()),
    }
}

/// All that was asked for; `None` for nothing. Of several periods the shortest.
pub fn options(asked: &[When]) -> Option<CensusOptions> {
    if asked.is_empty() {
        return None;
    }
    let mut options = CensusOptions::default();
    for when in asked {
        match when {
            When::Every(period) => options.period = Some(options.period.map_or(*period, |other| other.min(*period))),
            When::Peak => options.at_peak = true,
            When::Marks => options.at_marks = true,
            When::Exit => {}
        }
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse("10s"), Ok(When::Every(Nanos(10_000_000_000))));
        assert_eq!(parse("0.5s"), Ok(When::Every(Nanos(500_000_000))));
        assert_eq!(parse("250ms"), Ok(When::Every(Nanos(250_000_000))));
        assert_eq!(parse("2m"), Ok(When::Every(Nanos(120_000_000_000))));
        assert_eq!(parse("1h"), Ok(When::Every(Nanos(3_600_000_000_000))));
        assert_eq!(parse("peak"), Ok(When::Peak));
        for wrong in ["", "10", "s", "-1s", "1ms", "10 s", "1e3s", "..s", "never"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_add_up() {
        let options = options(&[When::Every(Nanos(7)), When::Exit, When::Every(Nanos(5)), When::Marks]);
        assert_eq!(options, Some(CensusOptions { period: Some(Nanos(5)), at_peak: false, at_marks: true }));
        assert_eq!(super::options(&[]), None);
    }
}
