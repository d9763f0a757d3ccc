//! The mappings of a process, as `/proc/PID/smaps` has them.

/// A mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// It can be read, written or executed.
    pub accessible: bool,
    /// It can be executed.
    pub executable: bool,
    /// It is shared, not private.
    pub shared: bool,
    /// It belongs to a file.
    pub inode: u64,
    /// The file, or what the kernel calls it; empty: nothing.
    pub name: String,
    /// Resident bytes.
    pub rss: u64,
    /// Those, of shared ones a part.
    pub pss: u64,
    /// Bytes that are swapped out.
    pub swapped: u64,
    /// It is left out of core dumps, which the tracer's own memory is.
    pub not_dumped: bool,
}

/// All mappings, in the order of their addresses. What is not understood is left out.
pub fn parse(text: &str) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        // Fields begin with a capital letter, mappings with a hexadecimal digit in lower case.
        if !line.starts_with(|c: char| c.is_ascii_uppercase()) {
            mappings.extend(head(line));
            continue;
        }
        let (Some(mapping), Some((field, value))) = (mappings.last_mut(), line.split_once(':')) else { continue };
        let kilobytes = || value.trim().strip_suffix(" kB").and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        match field {
            "Rss" => mapping.rss = kilobytes() * 1024,
            "Pss" => mapping.pss = kilobytes() * 1024,
            "Swap" => mapping.swapped = kilobytes() * 1024,
            "VmFlags" => mapping.not_dumped = value.split_ascii_whitespace().any(|flag| flag == "dd"),
            _ => {}
        }
    }
    mappings
}

/// "from-to rights offset device inode      name".
fn head(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let rights = words.next()?.as_bytes();
    let inode = words.nth(2)?.parse().ok()?;
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        accessible: rights.iter().take(3).any(|right| *right != b'-'),
        executable: rights.get(2) == Some(&b'x'),
        shared: rights.get(3) == Some(&b's'),
        inode,
        name: words.next().unwrap_or_default().trim_start().to_owned(),
        ..Mapping::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_as_the_kernel_writes_them() {
        let text = "\
55598e4c5000-55598e4c7000 r-xp 00000000 fe:00 247282                     /usr/bin/a b (deleted)
Size:                  8 kB
Rss:                   8 kB
Pss:                   2 kB
Swap:                  0 kB
VmFlags: rd mr mw me
7f0000000000-7f0000100000 rw-p 00000000 00:00 0
Rss:                 100 kB
Pss:                 100 kB
Swap:                 12 kB
VmFlags: rd wr mr mw me nr dd
7f0000100000-7f0000101000 ---p 00000000 00:00 0
7f0000101000-7f0000102000 rw-s 00000000 00:01 77                         /memfd:heaptide (deleted)
";
        let [object, anonymous, guard, shared] = &parse(text)[..] else { panic!("four mappings") };
        assert_eq!((object.start, object.end), (0x5555_8e4c_5000 + 0x4_0000_0000, 0x5555_8e4c_7000 + 0x4_0000_0000));
        assert_eq!((object.executable, object.inode, &*object.name), (true, 247_282, "/usr/bin/a b (deleted)"));
        assert_eq!((object.rss, object.pss, object.not_dumped), (8192, 2048, false));
        assert_eq!(
            (anonymous.rss, anonymous.swapped, anonymous.not_dumped, &*anonymous.name),
            (102_400, 12_288, true, "")
        );
        assert!(!guard.accessible && anonymous.accessible);
        assert_eq!((shared.shared, shared.inode, &*shared.name), (true, 77, "/memfd:heaptide (deleted)"));
    }
}
