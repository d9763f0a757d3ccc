//! Who looks on while events are replayed, and what is told.

use super::Block;
use crate::tally::RowId;
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, Nanos, StackId};

/// What somebody wants to know of blocks beside the account. Only of blocks that are heap.
pub trait Watch {
    /// A stack of an image that allocates for the first time; rows are numbered from 0 in this order.
    fn row(&mut self, _row: RowId, _image: ImageIndex, _stack: StackId) {}
    /// The window begins at this time, with so many live bytes. Blocks that came before it are told by [`Watch::was_there`].
    fn begins(&mut self, _now: Nanos, _live: u64) {}
    /// A block that is live when the window begins.
    fn was_there(&mut self, _block: Block) {}
    /// It is now this time.
    fn clock(&mut self, _now: Nanos) {}
    /// One of the places that were asked for is reached, see [`Replay::with_stops`].
    fn reached(&mut self) {}
    /// A block came to life; `live` bytes of all images then.
    fn came(&mut self, _block: Block, _live: u64) {}
    /// A block, or a part of one, was released; `live` bytes of all images then.
    fn went(&mut self, _block: Block, _gone: Gone, _live: u64) {}
    /// A block was reallocated: one goes and one comes, at once.
    fn reallocated(&mut self, old: Block, gone: Gone, new: Block, live: u64) {
        self.went(old, gone, live);
        self.came(new, live);
    }
    /// The code of this program has ended, after what it leaked was told; its interpreter, if any, is torn down.
    fn program_ended(&mut self, _image: ImageIndex) {}
    /// The last collection of cyclic garbage of this image's interpreter begins.
    fn collects(&mut self, _image: ImageIndex) {}
    /// It is over: what of the leaked was released between was garbage.
    fn collected(&mut self, _image: ImageIndex) {}
    /// This image is no more, after what it left was told.
    fn image_ended(&mut self, _image: ImageIndex) {}
    /// The window ends: what is told from now on as left is live at its end.
    fn ends(&mut self) {}
    /// A block was live when its program ended, so it leaked.
    fn leaked(&mut self, _block: Block) {}
    /// A block was live at the very end of its image, or of the window.
    fn left(&mut self, _block: Block) {}
}

/// What of a block was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its bytes, or those of a part of a mapping.
    pub bytes: u64,
    /// 1; 0 for a part of a mapping.
    pub blocks: u64,
    /// It was temporary: released by the thread that allocated it, with at most so many other allocations of that thread
    /// between as the replay was made for.
    pub temporary: bool,
}

impl Gone {
    /// As an amount.
    pub fn amount(self) -> Amount {
        Amount { bytes: self.bytes, count: self.blocks }
    }
}

/// Nothing.
impl Watch for () {}

/// Both are told of everything.
macro_rules! forward {
    ($($method:ident($($name:ident: $kind:ty),*);)*) => {
        impl<A: Watch, B: Watch> Watch for (A, B) {
            $(#[inline] fn $method(&mut self, $($name: $kind),*) {
                self.0.$method($($name),*);
                self.1.$method($($name),*);
            })*
        }

        impl<W: Watch> Watch for Option<W> {
            $(#[inline] fn $method(&mut self, $($name: $kind),*) {
                if let Some(watch) = self {
                    watch.$method($($name),*);
                }
            })*
        }
    };
}

forward! {
    row(row: RowId, image: ImageIndex, stack: StackId);
    begins(now: Nanos, live: u64);
    was_there(block: Block);
    clock(now: Nanos);
    reached();
    came(block: Block, live: u64);
    went(block: Block, gone: Gone, live: u64);
    reallocated(old: Block, gone: Gone, new: Block, live: u64);
    program_ended(image: ImageIndex);
    collects(image: ImageIndex);
    collected(image: ImageIndex);
    image_ended(image: ImageIndex);
    ends();
    leaked(block: Block);
    left(block: Block);
}
