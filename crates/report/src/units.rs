//! Numbers for people. The only place that says how a size, a count, a share or a time is written.

use heaptide_format::ids::Nanos;

/// Bytes in binary units: `512 B`, `1.5 KiB`, `12.1 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be written as 1024.0.
    while value >= 1023.95 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Bytes in binary units with three significant digits, as the page's script writes them (`humanBytes` in `assets/words.js`), so that one
/// page has one rule: `512 B`, `1.28 KiB`, `12.1 MiB`, `114 MiB`.
pub fn page_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    // 1023.5 would be written as 1024.
    while u128::from(bytes) * 2 >= (2047 << (10 * unit)) && unit < UNITS.len() - 1 {
        unit += 1;
    }
    // In thousandths, which no limit lies between.
    let value = (u128::from(bytes) * 1000) >> (10 * unit);
    let digits = match value {
        _ if unit == 0 => 0,
        99_950.. => 0,
        9_995.. => 1,
        _ => 2,
    };
    // To the nearest; of two the larger one.
    let ten = 10_u128.pow(digits);
    let rounded = ((u128::from(bytes) * ten * 2) >> (10 * unit)).div_ceil(2);
    let number = match (rounded / ten, rounded % ten) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole}.{part:0width$}", width = digits as usize).trim_end_matches('0').to_owned(),
    };
    format!("{number} {}", UNITS[unit])
}

/// A difference of bytes with its sign: `+1.5 KiB`, `-12 B`, `0 B`.
pub fn signed_size(bytes: i128) -> String {
    signed(bytes, size)
}

/// A difference of counts with its sign: `+1,234`, `-5`, `0`.
pub fn signed_count(count: i128) -> String {
    signed(count, self::count)
}

fn signed(value: i128, unsigned: fn(u64) -> String) -> String {
    let sign = match value.signum() {
        1 => "+",
        -1 => "-",
        _ => "",
    };
    // A difference of two 64-bit numbers fits 64 bits and a sign.
    format!("{sign}{}", unsigned(u64::try_from(value.unsigned_abs()).unwrap_or(u64::MAX)))
}

/// A number in groups of three: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent with one decimal: `12.3%`; of nothing, `0.0%`.
pub fn share(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{percent:.1}%")
}

/// A change in percent of what there was, with its sign: `+12.3%`, `-4.0%`; from nothing, `new`.
pub fn signed_share(growth: i128, before: u64) -> String {
    match (growth, before) {
        (0, _) => "0.0%".to_owned(),
        (_, 0) => "new".to_owned(),
        _ => format!("{:+.1}%", growth as f64 * 100.0 / before as f64),
    }
}

/// A time span: `0.4 ms`, `12.3 s`, `3 min 05 s`, `2 h 03 min`.
pub fn time(nanos: Nanos) -> String {
    let seconds = nanos.seconds();
    let whole = nanos.0 / 1_000_000_000;
    match whole {
        0 => format!("{:.1} ms", seconds * 1e3),
        1..60 => format!("{seconds:.2} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// Text from a capture, made harmless for a terminal: what would move the cursor or turn the writing round is shown by
/// its number.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a terminal or an editor would act on a character instead of showing it: it moves the cursor, ends a line, turns the
/// writing round or takes no room.
pub(crate) fn acts(c: char) -> bool {
    let turns_or_hides = matches!(
        c,
        '\u{AD}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    );
    c.is_control() || turns_or_hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(signed_size(-1536), "-1.5 KiB");
        assert_eq!(signed_size(12), "+12 B");
        assert_eq!(signed_count(-1234), "-1,234");
        assert_eq!(signed_count(0), "0");
    }

    /// `tests/page/range.test.js` has the same of the script.
    #[test]
    fn sizes_of_the_page() {
        let cases = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (1_152, "1.13 KiB"),
            (1_311, "1.28 KiB"),
            (1_536, "1.5 KiB"),
            (10_234, "9.99 KiB"),
            (10_235, "10 KiB"),
            (104_805_171, "99.9 MiB"),
            (104_805_172, "100 MiB"),
            (119_432_806, "114 MiB"),
            (1_048_063, "1023 KiB"),
            (1_048_064, "1 MiB"),
            (3 << 50, "3 PiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(page_size(bytes), text);
        }
    }

    #[test]
    fn counts_shares_and_times() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([share(1, 3), share(0, 0), share(7, 7)], ["33.3%", "0.0%", "100.0%"]);
        let changes = [(1, 3), (-1, 4), (0, 5), (7, 0)].map(|(growth, before)| signed_share(growth, before));
        assert_eq!(changes, ["+33.3%", "-25.0%", "0.0%", "new"]);
        let times = [400_000, 1_500_000_000, 185_000_000_000, 7_380_000_000_000].map(|nanos| time(Nanos(nanos)));
        assert_eq!(times, ["0.4 ms", "1.50 s", "3 min 05 s", "2 h 03 min"]);
    }

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(visible("a\x1b[31mb\n\u{202e}c é <lambda>"), "a\\u{1b}[31mb\\u{a}\\u{202e}c é <lambda>");
    }
}
