//! Numbers that must not be mixed, each a type of its own.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u32);

        impl $name {
            /// The place in the table of such things.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A text in the capture's table of strings, counted from 0.
    StringId
    /// A Python function by content (same file, name and first line: same id), counted from 0.
    CodeId
    /// A mapped native object, counted from 0.
    ModuleId
    /// A frame: a place in a code object or in a module, counted from 0.
    FrameId
    /// A stack: a node of the trie of all stacks, counted from 1. 0 is the empty stack, which every other begins with.
    StackId
    /// One program in one process between exec and exec, counted from 0 in the order in which the collector met them.
    ImageIndex
    /// A thread of an image, counted from 0 over all images.
    ThreadIndex
    /// A live block of an image: a place that is taken by an allocation and given back by its release. See
    /// [`crate::capture::events`].
    Slot
}

impl StackId {
    /// The stack without frames.
    pub const EMPTY: Self = Self(0);
}

/// Nanoseconds since the start of the run, by the collector's monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The same in seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }
}
