//! How much growth is too much: `5%`, `10MB`, or both together, `5%,1MB`.

use crate::threshold::parse_size;
use heaptide_analyze::diff::Sides;
use heaptide_report::units::{count, signed_share, size};
use std::str::FromStr;

/// Growth that is still allowed. It is exceeded if all that was given is.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// As it was typed.
    text: String,
    /// Bytes.
    bytes: Option<u64>,
    /// Percent of what there was.
    percent: Option<f64>,
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut allowed = Self { text: text.trim().to_owned(), bytes: None, percent: None };
        for part in text.split(',').map(str::trim) {
            let is_new = match part.strip_suffix('%') {
                Some(number) => {
                    let percent =
                        number.trim().parse().ok().filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
                    allowed.percent.replace(percent.ok_or("a percentage is a number from 0 on, such as 5%")?).is_none()
                }
                None => allowed
                    .bytes
                    .replace(parse_size(part).map_err(|error| format!("{error}; or a percentage: 5%"))?)
                    .is_none(),
            };
            if !is_new {
                return Err("give one percentage, one size, or one of each: 5%,1MB".to_owned());
            }
        }
        Ok(allowed)
    }
}

impl Allowed {
    /// Whether this is more. From nothing every growth is more than any percentage.
    pub fn is_exceeded(&self, sides: &Sides) -> bool {
        let growth = sides.growth();
        let in_bytes = self.bytes.is_none_or(|bytes| growth > i128::from(bytes));
        let in_percent = self.percent.is_none_or(|percent| growth as f64 > sides.before.bytes as f64 * percent / 100.0);
        growth > 0 && in_bytes && in_percent
    }

    /// What is said then; `what` grew.
    pub fn message(&self, what: &str, sides: &Sides) -> String {
        let growth = u64::try_from(sides.growth()).unwrap_or_default();
        let share = match sides.before.bytes {
            0 => String::new(),
            before => format!(", {}", signed_share(sides.growth(), before)),
        };
        let (from, to) = (size(sides.before.bytes), size(sides.after.bytes));
        let bytes = format!("{} ({} bytes{share})", size(growth), count(growth));
        format!("{what} grew by {bytes} from {from} to {to}, more than --fail-on-growth {} allows", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::capture::summary::Amount;

    fn exceeded(limit: &str, before: u64, after: u64) -> bool {
        let sides = Sides { before: Amount { bytes: before, count: 1 }, after: Amount { bytes: after, count: 1 } };
        limit.parse::<Allowed>().unwrap().is_exceeded(&sides)
    }

    #[test]
    fn in_percent_in_bytes_and_both() {
        assert!(!exceeded("5%", 1_000, 1_050));
        assert!(exceeded("5%", 1_000, 1_051));
        assert!(exceeded("0.5%", 1_000, 1_006));
        assert!(!exceeded("1kB", 1_000, 2_000));
        assert!(exceeded("1kB", 1_000, 2_001));
        // Both have to be exceeded.
        assert!(!exceeded("5%,1kB", 1_000, 1_900));
        assert!(!exceeded("1kB, 5%", 1_000_000, 1_002_000));
        assert!(exceeded("5%,1kB", 10_000, 11_001));
    }

    #[test]
    fn from_nothing_and_to_less() {
        assert!(exceeded("500%", 0, 1));
        assert!(!exceeded("1kB", 0, 1_000));
        assert!(!exceeded("0%", 1_000, 1_000));
        assert!(!exceeded("0", 1_000, 10));
        assert!(exceeded("0", 1_000, 1_001));
    }

    #[test]
    fn limits_that_mean_nothing() {
        for text in ["", "%", "-5%", "NaN%", "inf%", "5%,6%", "1kB,2kB", "5%,", "five"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
