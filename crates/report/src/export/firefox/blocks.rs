//! What a thread did: allocations with their releases, and the bytes that the call tree opens with.

use super::millis;
use super::tables::{stack, write_column, write_list};
use crate::export::Export;
use heaptide_analyze::spans::Lived;
use heaptide_format::ids::Nanos;
use std::io::{self, Write};

pub(super) fn write_samples(export: Export<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut stacks: Vec<_> = export.stacks(&[export.metric]).collect();
    stacks.retain(|(_, own)| own.of(export.metric).bytes > 0);
    let at = millis(export.profile.peak_at);
    write!(out, "{{\"weightType\":\"bytes\",\"length\":{},", stacks.len())?;
    write_column("stack", stacks.iter().map(|(node, _)| stack(export, *node)), out)?;
    write_column("time", stacks.iter().map(|_| at), out)?;
    write!(out, "\"weight\":")?;
    write_list(stacks.iter().map(|(_, own)| own.of(export.metric).bytes), out)?;
    write!(out, "}}")
}

/// Allocations and releases in the order of time.
pub(super) fn write_lived(export: Export<'_>, lived: &[Lived], out: &mut dyn Write) -> io::Result<()> {
    // An allocation stands before its release, which may be at the same time.
    let mut order: Vec<(Nanos, usize, bool)> = Vec::with_capacity(lived.len() * 2);
    for (place, one) in lived.iter().enumerate() {
        order.push((one.from, place, false));
        order.extend(one.to.map(|to| (to, place, true)));
    }
    order.sort_unstable_by_key(|(time, place, is_release)| (*time, *is_release, *place));
    let tid = |one: &Lived| export.context.capture.names.thread(one.owner.thread).map_or(0, |thread| thread.tid);
    write!(out, "{{\"weightType\":\"bytes\",\"length\":{},", order.len())?;
    write_column("time", order.iter().map(|(time, ..)| millis(*time)), out)?;
    let weight = |(_, place, is_release): &(Nanos, usize, bool)| {
        let bytes = i64::try_from(lived[*place].amount.bytes).unwrap_or(i64::MAX);
        if *is_release { -bytes } else { bytes }
    };
    write_column("weight", order.iter().map(weight), out)?;
    write_column("stack", order.iter().map(|(_, place, _)| stack(export, lived[*place].owner.node)), out)?;
    write_column("memoryAddress", order.iter().map(|(_, place, _)| place + 1), out)?;
    write!(out, "\"threadId\":")?;
    write_list(order.iter().map(|(_, place, _)| tid(&lived[*place])), out)?;
    write!(out, "}}")
}

/// Without events: the bytes of each stack.
pub(super) fn write_unbalanced(export: Export<'_>, is_first: bool, out: &mut dyn Write) -> io::Result<()> {
    if !is_first {
        return write!(out, "{{\"weightType\":\"bytes\",\"length\":0,\"time\":[],\"weight\":[],\"stack\":[]}}");
    }
    write_samples(export, out)
}
