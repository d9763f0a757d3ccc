//! A profile in the file formats of other tools, a module for each. Every module says which specification it follows, how
//! a profile's fields map to it, and what is lost.
//!
//! Names in formats that are looked at ([`pprof`], [`speedscope`], [`gprof2dot`] …) are made harmless as in our own
//! reports, see [`crate::units::visible`]; formats that are read by programs ([`rows`]) have them as they are. Stacks are
//! written as they are met: nothing here holds a second copy of the tree.

pub mod dhat;
pub mod firefox;
pub mod gprof2dot;
pub mod heaptrack;
pub mod parquet;
pub mod pprof;
mod protobuf;
pub mod rows;
pub mod speedscope;

use crate::context::Context;
use crate::units::visible;
use heaptide_analyze::CaptureError;
use heaptide_analyze::call_tree::NodeId;
use heaptide_analyze::frames::Frame;
use heaptide_analyze::profile::{Amounts, Metric, Profile};
use std::io;

/// What is exported.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// The capture, and what to know of it.
    pub context: &'a Context<'a>,
    /// Its call tree.
    pub profile: &'a Profile,
    /// What was asked for: formats of one metric have it alone, the others begin with it.
    pub metric: Metric,
    /// Most other allocations between a temporary block and its release.
    pub within: u32,
}

/// Why an export was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The events that it needs could not be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// What stands for a stack without any frame.
pub(crate) const NO_STACK: &str = "[no stack]";
/// What stands for a function that has neither a name nor a file.
const UNKNOWN: &str = "[unknown]";

/// A stack with what it did. `None`: all stacks without any frame.
pub(crate) type Stack = (Option<NodeId>, Amounts);

impl<'a> Export<'a> {
    /// Of a metric that the profile has: of an instant there is but one.
    pub fn new(context: &'a Context<'a>, profile: &'a Profile, metric: Metric, within: u32) -> Self {
        let metric = match profile.metrics.contains(&metric) {
            true => metric,
            false => profile.metrics.first().copied().unwrap_or(metric),
        };
        Self { context, profile, metric, within }
    }

    /// The stacks that did anything in one of these metrics, callers before callees; what has no frame comes last.
    pub(crate) fn stacks(self, metrics: &[Metric]) -> impl Iterator<Item = Stack> {
        let bare = [(None, self.profile.bare)];
        let stacks = self.profile.nodes().map(move |node| (Some(node), self.profile.own[node.index()]));
        stacks.chain(bare).filter(move |(_, own)| {
            metrics.iter().map(|metric| own.of(*metric)).any(|amount| amount.bytes > 0 || amount.count > 0)
        })
    }

    /// Numbers of the frames of a stack, innermost first. What has no frame has the number behind all of them.
    pub(crate) fn frames(self, stack: Option<NodeId>) -> impl Iterator<Item = u32> {
        let none = stack.is_none().then_some(self.profile.frames.len() as u32);
        stack.into_iter().flat_map(move |node| self.profile.tree.path(node)).chain(none)
    }
}

/// A function's name, never empty.
pub(crate) fn function(frame: &Frame) -> String {
    let name = [&*frame.function, &*frame.file].into_iter().find(|name| !name.is_empty());
    visible(name.unwrap_or(UNKNOWN))
}
