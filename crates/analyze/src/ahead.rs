//! Blocks of events and keyframes for a replay: read, checked, unpacked and decoded on a second thread, ahead of the thread
//! that replays them.
//!
//! What goes from one thread to the other is a [`Piece`]: half a block of events as a rule, or a keyframe. There are
//! [`PIECES`] of them, which go round: the reader fills one, the replay takes what is in it and gives it back. So what is read
//! ahead is at most that many batches, of at most 2 MiB each (half a MiB in what programs do), and keyframes of
//! [`LARGE_KEYFRAME`]; while a larger one is looked at, nothing is read. Pieces come in the order of the file, each with the
//! damage that ends it, so a replay does not know who read.
//!
//! The reader ends when the replay does: it finds nobody to take a piece, or nobody to give one back.

use crate::error::CaptureError;
use crate::source::Source;
use heaptide_format::capture::batch::{Batch, BatchReader};
use heaptide_format::capture::{BlockKind, ReadError};
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;

/// Who reads the blocks of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// A second thread, where there is a processor for it and enough to read.
    #[default]
    AsItPays,
    /// A second thread, unless none can be started.
    Ahead,
    /// The thread that replays.
    Alone,
}

/// Pieces that go round: one is filled, one is replayed, two lie between, so that neither waits for the other's
/// slower moments.
const PIECES: usize = 4;
/// A keyframe of more bytes is not read ahead of.
const LARGE_KEYFRAME: usize = 1 << 20;
/// A replay of fewer blocks is over before a second thread would help: a block takes some 3 ms, a thread 0.1.
const FEW_BLOCKS: usize = 4;

/// What is replayed at a time.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// Where its block begins in the file.
    pub offset: u64,
    /// Where its block ends; 0 if that is not known, as it is damaged.
    pub next: u64,
    pub content: Content,
    /// Some events of the block, if that is its content.
    pub batch: Batch,
    /// Of the keyframe, if that is its content.
    pub keyframe: Vec<u8>,
    /// Nothing can be read behind its content.
    pub damage: Option<CaptureError>,
    /// The block ends with it.
    pub is_last: bool,
}

impl Piece {
    /// Nothing is left in it but memory to use again.
    fn emptied(self) -> Self {
        let Self { mut batch, mut keyframe, .. } = self;
        batch.clear();
        keyframe.clear();
        keyframe.shrink_to(LARGE_KEYFRAME);
        Self { batch, keyframe, ..Self::default() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Content {
    /// Damage alone.
    #[default]
    Nothing,
    Events,
    Keyframe,
}

/// Shows the blocks at these bytes of the file, piece by piece and in this order, to `visit`, until that has seen damage or
/// enough.
pub(crate) fn each_piece<I>(
    source: &Source,
    offsets: I,
    reading: Reading,
    visit: &mut dyn FnMut(&mut Piece) -> ControlFlow<()>,
) where
    I: Iterator<Item = u64> + Clone + Send,
{
    let pays = || {
        offsets.clone().take(FEW_BLOCKS).count() == FEW_BLOCKS
            && thread::available_parallelism().is_ok_and(|n| n.get() > 1)
    };
    let is_ahead = match reading {
        Reading::AsItPays => pays(),
        Reading::Ahead => true,
        Reading::Alone => false,
    };
    if !is_ahead || ahead(source, offsets.clone(), visit).is_err() {
        let mut reader =
            Reader::new(source, |mut piece: Piece| visit(&mut piece).is_continue().then(|| piece.emptied()));
        // `None`: enough was seen.
        let _ = reader.blocks(offsets, Piece::default());
    }
}

/// The same by a second thread.
///
/// # Errors
/// Those of starting it; nothing was shown then.
fn ahead(
    source: &Source,
    offsets: impl Iterator<Item = u64> + Send,
    visit: &mut dyn FnMut(&mut Piece) -> ControlFlow<()>,
) -> std::io::Result<()> {
    thread::scope(|scope| {
        let (hand_over, handed_over) = mpsc::sync_channel::<Piece>(PIECES);
        let (give_back, given_back) = mpsc::sync_channel::<Piece>(PIECES);
        let read = move || {
            let mut free: Vec<Piece> = (1..PIECES).map(|_| Piece::default()).collect();
            let mut reader = Reader::new(source, |piece: Piece| {
                let wanted = if piece.keyframe.len() > LARGE_KEYFRAME { PIECES } else { 1 };
                hand_over.send(piece).ok()?;
                while free.len() < wanted {
                    free.push(given_back.recv().ok()?.emptied());
                }
                free.pop()
            });
            let _ = reader.blocks(offsets, Piece::default());
        };
        thread::Builder::new().name("reader".into()).spawn_scoped(scope, read)?;
        // Our ends of both are dropped where this ends, also by a panic, before the reader is waited for: it ends then too.
        for mut piece in handed_over {
            if visit(&mut piece).is_break() {
                break;
            }
            // A reader that has read all wants none back, while pieces of it are still to be seen.
            let _ = give_back.send(piece);
        }
        Ok(())
    })
}

/// Fills pieces and hands them over.
struct Reader<'s, H> {
    source: &'s Source,
    /// The block as it stands in the file.
    stored: Vec<u8>,
    /// Its content, of a block of events.
    events: Vec<u8>,
    /// Takes a piece, and gives another or the same; `None` if no more is wanted.
    hand_over: H,
}

impl<'s, H: FnMut(Piece) -> Option<Piece>> Reader<'s, H> {
    fn new(source: &'s Source, hand_over: H) -> Self {
        Self { source, stored: Vec::new(), events: Vec::new(), hand_over }
    }

    fn blocks(&mut self, mut offsets: impl Iterator<Item = u64>, piece: Piece) -> Option<Piece> {
        offsets.try_fold(piece, |piece, offset| self.block(offset, piece))
    }

    /// A block, in as many pieces as it needs. Damage is the last that is handed over.
    fn block(&mut self, offset: u64, mut piece: Piece) -> Option<Piece> {
        piece.offset = offset;
        let content = match self.unpack(&mut piece) {
            Ok(Content::Events) => BatchReader::new(&self.events, offset).map(Some).map_err(CaptureError::from),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        };
        let mut reader = match content {
            Ok(Some(reader)) => reader,
            Ok(None) => {
                (piece.content, piece.is_last) = (Content::Keyframe, true);
                return (self.hand_over)(piece);
            }
            Err(error) => return self.damaged(piece, error),
        };
        let next = piece.next;
        loop {
            (piece.offset, piece.next, piece.content) = (offset, next, Content::Events);
            if let Err(error) = reader.read(&mut piece.batch) {
                return self.damaged(piece, error.into());
            }
            let is_last = reader.is_done();
            piece.is_last = is_last;
            piece = (self.hand_over)(piece)?;
            if is_last {
                return Some(piece);
            }
        }
    }

    /// What the block holds, unpacked: events into `self`, a keyframe into the piece.
    fn unpack(&mut self, piece: &mut Piece) -> Result<Content, CaptureError> {
        let block = self.source.block(piece.offset, &mut self.stored)?;
        let (into, content) = match block.kind {
            Some(BlockKind::Events) => (&mut self.events, Content::Events),
            Some(BlockKind::Keyframe) => (&mut piece.keyframe, Content::Keyframe),
            _ => {
                let what = "the index calls it events, but it is not".into();
                return Err(ReadError::BadBlock { offset: piece.offset, what }.into());
            }
        };
        block.unpack_into(into)?;
        piece.next = piece.offset + block.bytes;
        Ok(content)
    }

    fn damaged(&mut self, mut piece: Piece, error: CaptureError) -> Option<Piece> {
        (piece.damage, piece.is_last) = (Some(error), true);
        (self.hand_over)(piece)?;
        None
    }
}
