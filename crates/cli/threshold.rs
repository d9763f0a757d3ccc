//! Sizes as people type them: `10MB`, `1.5 GiB`, `4096`.

/// Bytes. `kB`, `MB`, `GB`, `TB` count by 1000; `KiB`, `MiB` … and the bare letters `K`, `M` … by 1024; without a unit
/// it is bytes. Case does not matter.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim().to_ascii_lowercase());
    let number: f64 = number.parse().map_err(|_| "a size is a number and a unit, such as 10MB or 1.5GiB".to_owned())?;
    let factor = match unit.as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1u64 << 40,
        _ => return Err(format!("unknown unit {unit:?}: use B, kB, MB, GB, TB, KiB, MiB, GiB or TiB")),
    };
    // Saturates at 2^64, which no program reaches.
    Ok((number * factor as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_as_people_type_them() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("10MB", 10_000_000),
            ("10 mb", 10_000_000),
            ("1GiB", 1 << 30),
            ("1.5K", 1536),
            ("2kB", 2000),
            ("7b", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1.2.3", "10 parsecs", "é"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
