//! What was left at the end, as the page has it.

use crate::context::headline_in;
use crate::html::{Curve, Judging, LeaksSection, MOST_SITES, MOST_STACKS, SiteColumns, SiteStack};
use crate::units::page_size;
use heaptide_analyze::Capture;
use heaptide_analyze::instants::Span;
use heaptide_analyze::leaks::{Leak, Leaks, Origin};
use heaptide_analyze::profile::{Metric, Profile};
use heaptide_analyze::suppressions::Suppressions;
use heaptide_format::capture::summary::Amount;
use std::collections::HashMap;

/// The sites of a profile's leaks, for a page of that profile. `newest` is the share of the time that was left out when they
/// were judged, if they were.
pub fn leaks_section(
    capture: &Capture,
    profile: &Profile,
    leaks: &Leaks,
    suppressions: &Suppressions,
    newest: f64,
) -> LeaksSection {
    let (shown, left_out) = leaks.sites.split_at(leaks.sites.len().min(MOST_SITES));
    let rest: Amount = left_out.iter().map(|leak| leak.amount).sum();
    let parts = shown.iter().find_map(|leak| Some(leak.judged.as_ref()?.curve.len()));
    let from = match profile.span {
        Span::Between(from, _) => from.time(capture.account.totals.duration).0,
        Span::Whole | Span::At(_) => 0,
    };
    let mut sites = SiteColumns::default();
    for (leak, (stacks, mut nodes)) in shown.iter().zip(stacks_of(profile, leaks, shown)) {
        push(&mut sites, leak);
        sites.stacks.push(stacks);
        sites.stack_count.push(nodes.len() as u64);
        nodes.sort_unstable();
        sites.nodes.push(nodes);
    }
    let origin = |origin: Origin| {
        let amount = leaks.of_origin(origin);
        (origin.name(), amount.bytes, amount.count)
    };
    let suppressed = |(place, amount): &(usize, Amount)| {
        let pattern = &suppressions.patterns()[*place];
        (pattern.text.clone(), pattern.is_builtin, amount.bytes, amount.count)
    };
    LeaksSection {
        headline: headline_in(profile, Metric::Leaked, 0, page_size),
        judged: parts.map(|parts| Judging { newest, from_ns: from, step_ns: leaks.step.0, parts }),
        origins: Origin::ALL.into_iter().map(origin).collect(),
        suppressed: leaks.suppressed.iter().map(suppressed).collect(),
        left_out: (left_out.len() as u64, rest.bytes, rest.count),
        sites,
    }
}

fn push(sites: &mut SiteColumns, leak: &Leak) {
    sites.node.push(leak.node.0);
    // The order of `Origin::ALL` is that of the enum.
    sites.origin.push(leak.origin as usize);
    sites.bytes.push(leak.amount.bytes);
    sites.blocks.push(leak.amount.count);
    let judged = leak.judged.as_ref();
    sites.verdict.push(judged.map(|judged| judged.judgement.verdict.name()));
    sites.score.push(judged.map_or(0, |judged| judged.judgement.score));
    sites.bytes_per_second.push(judged.map_or(0.0, |judged| judged.bytes_per_second));
    sites.bytes_per_1000_events.push(judged.map_or(0.0, |judged| judged.bytes_per_1000_events));
    let garbage = judged.map(|judged| judged.garbage).unwrap_or_default();
    sites.garbage_bytes.push(garbage.bytes);
    sites.garbage_blocks.push(garbage.count);
    sites.highest.push(judged.map_or(0, |judged| judged.highest));
    sites.curve.push(judged.map(|judged| Curve::of(&judged.curve)).unwrap_or_default());
}

/// For each of these sites its largest stacks, and the innermost nodes of all.
fn stacks_of(profile: &Profile, leaks: &Leaks, sites: &[Leak]) -> Vec<(Vec<SiteStack>, Vec<u32>)> {
    let nodes = profile.tree.nodes();
    let places: HashMap<(u32, Origin), usize> =
        sites.iter().zip(0..).map(|(site, place)| ((nodes[site.node.index()].frame, site.origin), place)).collect();
    let all_sites = profile.sites();
    let mut found = vec![(Vec::new(), Vec::new()); sites.len()];
    // The largest first.
    for stack in &leaks.stacks {
        let site = all_sites[stack.node.index()];
        let Some(place) = places.get(&(nodes[site.index()].frame, stack.origin)) else { continue };
        let (stacks, nodes) = &mut found[*place];
        if stacks.len() < MOST_STACKS {
            stacks.push((stack.node.0, stack.amount.bytes, stack.amount.count));
        }
        nodes.push(stack.node.0);
    }
    found
}
