//! A private mapping without a file, page by page: what blocks lie in it, and which of its pages are resident.

use super::maps::Mapping;
use heaptide_format::capture::memory_maps::Part;
use std::fs::File;
use std::os::unix::fs::FileExt;

pub const PAGE: u64 = 4096;
/// Larger mappings (16 GiB) are not looked at by page: what is asked for of them would be 32 MiB.
const MOST_PAGES: u64 = 4 << 20;
/// Bit of an entry of `/proc/PID/pagemap`: the page is resident.
const PRESENT: u64 = 1 << 63;

/// What is known of a page beside the bytes of blocks in it.
const ARENA: u8 = 1;
const STACK: u8 = 2;

/// A mapping and what was recorded in it.
pub struct Area<'a> {
    /// The mapping.
    pub mapping: &'a Mapping,
    /// Bytes that blocks on each page were asked for, and those with the allocator's head and rounding. Empty as long as
    /// there are none, and if the mapping is too large.
    bytes: Vec<[u16; 2]>,
    kinds: Vec<u8>,
    /// The same of the whole mapping.
    all: [u64; 2],
    /// It may be a heap of glibc's, by its name or its place.
    pub may_be_heap: bool,
    /// Blocks of the malloc family that do not have a mapping of their own.
    pub blocks: u64,
    /// Blocks of Python's allocator.
    pub objects: u64,
}

/// Resident bytes by part.
pub type Parts = [u64; Part::ALL.len()];

impl<'a> Area<'a> {
    /// Nothing is known of it.
    pub fn new(mapping: &'a Mapping, may_be_heap: bool) -> Self {
        Self { mapping, bytes: Vec::new(), kinds: Vec::new(), all: [0; 2], may_be_heap, blocks: 0, objects: 0 }
    }

    /// Makes room for what is known of its pages.
    fn begin(&mut self) {
        let pages = (self.mapping.end - self.mapping.start) / PAGE;
        if self.kinds.is_empty() && pages <= MOST_PAGES {
            self.bytes.resize(pages as usize, [0; 2]);
            self.kinds.resize(pages as usize, 0);
        }
    }

    /// In it are these bytes that the program asked for, for which the allocator took those.
    pub fn add(&mut self, asked: (u64, u64), took: (u64, u64)) {
        self.begin();
        let (base, end) = (self.mapping.start, self.mapping.end);
        // Most blocks lie on one page.
        if base <= took.0 && took.0 <= asked.0 && asked.0 < asked.1 && asked.1 <= took.1 && took.1 <= end {
            let page = (took.0 - base) / PAGE;
            if (took.1 - 1 - base) / PAGE == page
                && let Some(bytes) = self.bytes.get_mut(page as usize)
            {
                for (which, length) in [asked.1 - asked.0, took.1 - took.0].into_iter().enumerate() {
                    self.all[which] = self.all[which].saturating_add(length);
                    bytes[which] = bytes[which].saturating_add(length as u16);
                }
                return;
            }
        }
        let inside = |(start, end): (u64, u64)| {
            let start = start.max(base) - base;
            (start, end.min(self.mapping.end).saturating_sub(base).max(start))
        };
        for (which, (start, end)) in [inside(asked), inside(took)].into_iter().enumerate() {
            self.all[which] = self.all[which].saturating_add(end - start);
            let mut at = start;
            while at < end {
                let next = end.min((at / PAGE + 1) * PAGE);
                if let Some(bytes) = self.bytes.get_mut((at / PAGE) as usize) {
                    bytes[which] = bytes[which].saturating_add((next - at) as u16);
                }
                at = next;
            }
        }
    }

    /// In it is an arena of Python's allocator.
    pub fn add_arena(&mut self, start: u64, end: u64) {
        self.mark(start, end, ARENA);
    }

    /// In it is a stack that the program has mapped.
    pub fn add_stack(&mut self, start: u64, end: u64) {
        self.mark(start, end, STACK);
    }

    fn mark(&mut self, start: u64, end: u64, kind: u8) {
        self.begin();
        let from = (start.max(self.mapping.start) - self.mapping.start) / PAGE;
        let to = end.min(self.mapping.end).saturating_sub(self.mapping.start).div_ceil(PAGE);
        for page in from..to {
            if let Some(known) = self.kinds.get_mut(page as usize) {
                *known |= kind;
            }
        }
    }

    /// Whether anything was recorded in it.
    pub fn is_used(&self) -> bool {
        self.all != [0; 2] || self.kinds.iter().any(|kind| *kind != 0)
    }

    /// Adds its resident bytes to the parts: what is no block's is `rest`. Altogether it is what the kernel says is resident
    /// of the mapping, whatever has changed between. Gives whether that was told by page.
    pub fn settle(&self, pagemap: Option<&File>, rest: Part, parts: &mut Parts) -> bool {
        let mut its = [0; Part::ALL.len()];
        let by_page = pagemap.is_some_and(|pagemap| self.by_page(pagemap, rest, &mut its));
        if !by_page {
            its = [0; Part::ALL.len()];
            let requested = self.all[0].min(self.mapping.rss);
            let slack = self.all[1].saturating_sub(self.all[0]).min(self.mapping.rss - requested);
            its[Part::Requested as usize] = requested;
            its[Part::Slack as usize] = slack;
            its[rest as usize] += self.mapping.rss - requested - slack;
        }
        // Pages of zeros that were only read are there and not resident; others came or went while this looked.
        let mut over = its.iter().sum::<u64>().saturating_sub(self.mapping.rss);
        let in_order = [rest, Part::PythonArenas, Part::Stacks, Part::Slack, Part::Requested];
        for part in in_order {
            let less = over.min(its[part as usize]);
            its[part as usize] -= less;
            over -= less;
        }
        its[rest as usize] += self.mapping.rss - its.iter().sum::<u64>().min(self.mapping.rss);
        parts.iter_mut().zip(its).for_each(|(part, bytes)| *part += bytes);
        by_page
    }

    fn by_page(&self, pagemap: &File, rest: Part, parts: &mut Parts) -> bool {
        if self.bytes.is_empty() {
            return false;
        }
        let mut buffer = [0; 8 * 4096];
        let first = self.mapping.start / PAGE;
        let mut page = 0;
        while page < self.bytes.len() {
            let wanted = ((self.bytes.len() - page) * 8).min(buffer.len());
            if pagemap.read_exact_at(&mut buffer[..wanted], (first + page as u64) * 8).is_err() {
                return false;
            }
            for entry in buffer[..wanted].chunks_exact(8) {
                // Eight bytes each.
                if u64::from_ne_bytes(entry.try_into().unwrap_or_default()) & PRESENT != 0 {
                    self.page(page, rest, parts);
                }
                page += 1;
            }
        }
        true
    }

    /// A page that is resident.
    fn page(&self, page: usize, rest: Part, parts: &mut Parts) {
        let [requested, taken] = self.bytes[page].map(u64::from);
        let requested = requested.min(PAGE);
        let taken = taken.clamp(requested, PAGE);
        let (kind, left) = (self.kinds[page], PAGE - taken);
        parts[Part::Requested as usize] += requested;
        parts[Part::Slack as usize] += taken - requested;
        let part = match () {
            () if kind & ARENA != 0 => Part::PythonArenas,
            () if kind & STACK != 0 => Part::Stacks,
            () => rest,
        };
        parts[part as usize] += left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rss_pages: u64, expected: [(Part, u64); 3]) {
        let mapping = Mapping { start: 0x10_0000, end: 0x10_4000, rss: rss_pages * PAGE, ..Mapping::default() };
        let mut area = Area::new(&mapping, false);
        // 24 bytes that take 32, and 5000 that take 5008, over a page's end.
        area.add((0x10_0010, 0x10_0028), (0x10_0008, 0x10_0028));
        area.add((0x10_0030, 0x10_0030 + 5000), (0x10_0028, 0x10_0028 + 5008));
        let mut parts = [0; Part::ALL.len()];
        assert!(!area.settle(None, Part::Kept, &mut parts));
        assert_eq!(expected.map(|(part, _)| (part, parts[part as usize])), expected);
        assert_eq!(parts.iter().sum::<u64>(), mapping.rss);
    }

    #[test]
    fn parts_add_up_to_what_is_resident() {
        check(2, [(Part::Requested, 5024), (Part::Slack, 16), (Part::Kept, 8192 - 5040)]);
        check(1, [(Part::Requested, 4096), (Part::Slack, 0), (Part::Kept, 0)]);
        check(0, [(Part::Requested, 0), (Part::Slack, 0), (Part::Kept, 0)]);
    }
}
