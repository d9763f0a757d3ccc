//! A recording of words that nobody checked, for fuzzing: the rings hold what a target that has gone mad, or means harm,
//! could write there. Everything behind the rings is the real session.

use super::Session;
use crate::capture::CaptureWriter;
use crate::rings::Shared;
use heaptide_format::capture::RunInfo;
use heaptide_format::shared::{RING_WORDS, RingHeader, ring_state};
use heaptide_format::wire::{BlobKind, blob_word};
use std::fs::File;
use std::io;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rings that the input can write to.
const RINGS: usize = 4;
/// No process has this number: what is asked of it has no answer.
const NOBODY: u32 = 0x7FFF_FFFF;

/// Shared memory that one recording after the other uses: what is mapped for one is never unmapped.
pub struct Rings(Shared);

impl Rings {
    /// Makes it.
    ///
    /// # Errors
    /// What the kernel says if it has no memory file or no address space for it.
    pub fn new() -> io::Result<Self> {
        Shared::create(0, 0, 0).map(Self)
    }

    /// Records what `input` writes to the rings, to `file`: pieces of a head (bits 0–1 the ring, 2–3 the image, 4 a new
    /// thread begins, 5 the image is announced, 6 the ring's end is moved by the first word), a number of words and the
    /// words. After each the collector has its turn.
    ///
    /// # Errors
    /// What the file says.
    pub fn record(&mut self, mut input: &[u8], file: File) -> io::Result<()> {
        let shared = self.0.again()?;
        let control = shared.control();
        control.rings_used.store(RINGS as u32, Ordering::Release);
        let mut session = Session::new(shared, CaptureWriter::new(file, &RunInfo::default())?);
        for index in 0..RINGS {
            let header = self.0.header(index)?;
            claim(header, index as u32 + 1);
            header.read.store(0, Ordering::Relaxed);
            header.written.store(0, Ordering::Relaxed);
            self.0.control().ring_states[index].store(ring_state::CLAIMED, Ordering::Release);
        }
        while let Some(([head, count], rest)) = input.split_first_chunk::<2>() {
            let (words, rest) = rest.split_at(rest.len().min(usize::from(*count) * 8));
            input = rest;
            let header = self.0.header(usize::from(head & 3))?;
            if head & 16 != 0 {
                claim(header, u32::from(head >> 2 & 3) + 1);
            }
            if head & 32 != 0 {
                announce(header);
            }
            let mut words = words.chunks(8).map(|bytes| {
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                u64::from_le_bytes(word)
            });
            if head & 64 != 0 {
                header.written.fetch_add(words.next().unwrap_or(0), Ordering::Release);
            }
            words.for_each(|word| write(header, word));
            session.round();
        }
        session.finish(ExitStatus::default(), &mut |_| {});
        Ok(())
    }
}

fn claim(header: &'static RingHeader, image: u32) {
    header.image.store(image, Ordering::Relaxed);
    header.pid.store(NOBODY, Ordering::Relaxed);
    header.thread.store(NOBODY, Ordering::Relaxed);
    header.claims.fetch_add(1, Ordering::Release);
}

/// Says that the ring's image is `/bin/app`, executed, of Python 3.11.
fn announce(header: &'static RingHeader) {
    let mut blob = vec![0, 0, 0, 0, 0, 11, 3];
    for text in [&b"/bin/app"[..], b"app\0"] {
        blob.extend_from_slice(&(text.len() as u32).to_le_bytes());
        blob.extend_from_slice(text);
    }
    write(header, blob_word(BlobKind::Image, blob.len(), true));
    for bytes in blob.chunks(8) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        write(header, u64::from_le_bytes(word));
    }
}

fn write(header: &'static RingHeader, word: u64) {
    let written = header.written.load(Ordering::Relaxed);
    let place = (written & (RING_WORDS as u64 - 1)) as usize;
    // SAFETY: the ring's words follow its header page, `RING_WORDS` of them, and are mapped as long as the program runs
    // (`Rings` is made by `Shared::create`).
    unsafe { (*std::ptr::from_ref(header).add(1).cast::<AtomicU64>().add(place)).store(word, Ordering::Relaxed) };
    header.written.store(written.wrapping_add(1), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_analyze::Capture;
    use heaptide_analyze::instants::Span;
    use heaptide_format::capture::summary::Amount;

    /// What fuzzing found, smallest inputs; `fuzz/src/words.rs` asks the same of any. Each harms its own trace only.
    #[test]
    fn words_that_were_found_do_no_harm() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/words");
        let mut inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty());
        let scratch = tempfile::tempdir().unwrap();
        let mut rings = Rings::new().unwrap();
        for input in inputs {
            let path = scratch.path().join("run.bin");
            rings.record(&std::fs::read(&input).unwrap(), File::create(&path).unwrap()).unwrap();
            let capture = Capture::open(&path, &mut |_| {}).unwrap();
            assert_eq!(capture.ends_early, None, "{}", input.display());
            let mut replayed = capture.replay(Span::Whole, 0, (), &mut |_| {}).unwrap().temporary;
            replayed.sort_by_key(|(image, stack, _)| (*image, *stack));
            let rows = capture.account.rows.iter().map(|row| (row.image, row.stack, row.temporary));
            let mut counted: Vec<_> = rows.filter(|(_, _, amount)| *amount != Amount::default()).collect();
            counted.sort_by_key(|(image, stack, _)| (*image, *stack));
            assert_eq!(replayed, counted, "{}", input.display());
        }
    }
}
