//! The part of the page's data that is about leaks: the sites, what is said of each, and how its live bytes went.
//!
//! It is written as it stands here, in columns: each field of [`SiteColumns`] has one value for each site, the largest site first.
//! `assets/data_leaks.js` reads it. What the verdicts mean is the analysis's; the words for them are the page's.

use serde::Serialize;

/// What was live at the end of the run, or of the part of it that the page is of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LeaksSection {
    /// What it is, in words: "memory live at the end: 1.2 MiB in 7 blocks".
    pub headline: String,
    /// How the sites were judged; `None`: they were not.
    pub judged: Option<Judging>,
    /// Who left how much: its word in data, bytes, blocks. What has no stack is in it, what is suppressed is not.
    pub origins: Vec<(&'static str, u64, u64)>,
    /// What is not among the sites because it is known: the pattern, whether it is a built-in one, bytes, blocks.
    pub suppressed: Vec<(String, bool, u64, u64)>,
    /// Smaller sites that are not in the page: how many, their bytes, their blocks.
    pub left_out: (u64, u64, u64),
    /// The others.
    pub sites: SiteColumns,
}

/// How sites were judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judging {
    /// Share of the time, from 0 to 1, that was left out at its end.
    pub newest: f64,
    /// Where the curves begin, in nanoseconds after the start of the program.
    pub from_ns: u64,
    /// Nanoseconds of a part of the curves; at least 1.
    pub step_ns: u64,
    /// Parts of a curve; at least 1.
    pub parts: usize,
}

/// One value for each site.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SiteColumns {
    /// One of its nodes in the page's call tree: gives the frame.
    pub node: Vec<u32>,
    /// Who left it: index in [`LeaksSection::origins`].
    pub origin: Vec<usize>,
    /// Bytes that were left.
    pub bytes: Vec<u64>,
    /// Blocks that were left.
    pub blocks: Vec<u64>,
    /// The verdict's word in data; `None`: it was not judged. All sites or none are.
    pub verdict: Vec<Option<&'static str>>,
    /// For a leak, from 1 to 100; else 0.
    pub score: Vec<u8>,
    /// Bytes a second by which it grew.
    pub bytes_per_second: Vec<f64>,
    /// Bytes for each thousand events of the run by which it grew.
    pub bytes_per_1000_events: Vec<f64>,
    /// Bytes that were cyclic garbage, of those left.
    pub garbage_bytes: Vec<u64>,
    /// Blocks likewise.
    pub garbage_blocks: Vec<u64>,
    /// Most bytes that it had at once; 0 if it was not judged.
    pub highest: Vec<u64>,
    /// The least live bytes in each part of the time, as the parts in which they change and what they are from then on:
    /// 0 before the first.
    pub curve: Vec<Curve>,
    /// Its largest stacks: innermost node, bytes, blocks. [`MOST_STACKS`] at most.
    pub stacks: Vec<Vec<SiteStack>>,
    /// How many stacks it has.
    pub stack_count: Vec<u64>,
    /// The innermost nodes of all its stacks, ascending: what of it came when is known by node.
    pub nodes: Vec<Vec<u32>>,
}

/// A stack of a site: its innermost node in the page's call tree, the bytes and the blocks that it left.
pub type SiteStack = (u32, u64, u64);

/// Most sites in a page.
pub const MOST_SITES: usize = 2000;
/// Most stacks of a site.
pub const MOST_STACKS: usize = 5;

/// Live bytes over time, by their changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curve {
    /// Parts in which they change, ascending.
    pub at: Vec<usize>,
    /// What they are from then on, as many.
    pub bytes: Vec<u64>,
}

impl Curve {
    /// Of the bytes in each part.
    pub fn of(bytes: &[u64]) -> Self {
        let mut curve = Self::default();
        let mut last = 0;
        for (part, &bytes) in bytes.iter().enumerate() {
            if bytes != last {
                curve.at.push(part);
                curve.bytes.push(bytes);
                last = bytes;
            }
        }
        curve
    }
}

impl LeaksSection {
    /// Says what is wrong with it in a page of this many nodes, if anything.
    pub(super) fn check(&self, nodes: usize) -> Result<(), String> {
        let sites = &self.sites;
        let count = sites.node.len();
        let lengths = [
            sites.origin.len(),
            sites.bytes.len(),
            sites.blocks.len(),
            sites.verdict.len(),
            sites.score.len(),
            sites.bytes_per_second.len(),
            sites.bytes_per_1000_events.len(),
            sites.garbage_bytes.len(),
            sites.garbage_blocks.len(),
            sites.highest.len(),
            sites.curve.len(),
            sites.stacks.len(),
            sites.stack_count.len(),
            sites.nodes.len(),
        ];
        if lengths.iter().any(|length| *length != count) {
            return Err("the sites of the leaks have not one value each".to_owned());
        }
        let stacks = sites.stacks.iter().flatten().map(|stack| stack.0);
        let all = sites.nodes.iter().flatten().copied();
        if sites.node.iter().copied().chain(stacks).chain(all).any(|node| node as usize >= nodes) {
            return Err("a site of the leaks has no node".to_owned());
        }
        if sites.origin.iter().any(|origin| *origin >= self.origins.len()) {
            return Err("a site of the leaks was left by nobody".to_owned());
        }
        let rates = sites.bytes_per_second.iter().chain(&sites.bytes_per_1000_events);
        if rates.chain(self.judged.iter().map(|judged| &judged.newest)).any(|rate| !rate.is_finite()) {
            return Err("a rate of the leaks is not a number".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_its_changes() {
        let curve = |bytes: &[u64]| {
            let Curve { at, bytes } = Curve::of(bytes);
            (at, bytes)
        };
        assert_eq!(curve(&[0, 0, 7, 7, 12, 12, 0]), (vec![2, 4, 6], vec![7, 12, 0]));
        assert_eq!(curve(&[5, 5]), (vec![0], vec![5]));
        assert_eq!(curve(&[0, 0]), (vec![], vec![]));
    }
}
