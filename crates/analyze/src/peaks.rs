//! What each site means to the peak: how far it would fall without it.

use crate::call_tree::NodeId;
use crate::error::CaptureError;
use crate::profile::{Metric, Profile};
use crate::reader::{Capture, Progress};
use crate::without::{Peak, Without};
use heaptide_format::capture::summary::Amount;

/// A site and the peak without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SitePeak {
    /// A node of the site, see [`Profile::sites`].
    pub node: NodeId,
    /// What it has at the peak.
    pub at_peak: Amount,
    /// The peak of everything else.
    pub without: Peak,
}

impl SitePeak {
    /// By how much the peak, of so many bytes, would fall.
    pub fn falls_by(&self, peak: u64) -> u64 {
        peak.saturating_sub(self.without.bytes)
    }
}

/// All sites without which the peak of the whole process tree would be lower, the most important first. Costs a replay of
/// the events of the part of the run that the profile is of.
///
/// # Errors
/// As [`Capture::replay`].
pub fn by_site(
    capture: &Capture,
    profile: &Profile,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<SitePeak>, CaptureError> {
    let groups = profile.grouped_by_site();
    let site = |node: &NodeId| SitePeak { node: *node, at_peak: Amount::default(), without: Peak::default() };
    let mut found: Vec<SitePeak> = groups.sites.iter().map(site).collect();
    for (group, at_peak) in groups.of_node.iter().zip(profile.own(Metric::Peak)) {
        found[*group as usize].at_peak += at_peak;
    }
    let group_of = profile.by_stack(|node| Some(groups.of_node[node.index()]));
    let replayed = capture.replay(profile.span, 0, Without::new(&group_of, found.len()), progress)?;
    let peak = replayed.account.totals.peak.bytes;
    for (site, without) in found.iter_mut().zip(replayed.watch.finish()) {
        site.without = without;
    }
    found.retain(|site| site.falls_by(peak) > 0);
    found.sort_by_key(|site| (std::cmp::Reverse((site.falls_by(peak), site.at_peak.bytes)), site.node));
    Ok(found)
}
