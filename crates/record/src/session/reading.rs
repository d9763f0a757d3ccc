//! Reading records: all rings of an image in the order of their stamps, and what each record does to the heap, the
//! account and the dictionary. Where the words come from is in `session.rs`.

use super::Session;
use super::blobs::{code_of, collect};
use crate::capture::CaptureWriter;
use crate::dictionary::Dictionary;
use crate::image::{Image, Mapped, Ring};
use crate::stacks::Node;
use crate::{heap, merge};
use heaptide_analyze::tally::Tally;
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::MarkOrigin;
use heaptide_format::capture::definitions::FrameDef;
use heaptide_format::capture::events::Event;
use heaptide_format::ids::ImageIndex;
use heaptide_format::wire::{
    BlobKind, FAILED, RANGE, Reallocator, WIDE, definition, is_event, kind, kind_of, low_of, sub_of,
};

/// Words of one ring that are read before the capture and the clock are looked at again.
const BATCH: usize = 16 * 1024;
/// Words that are looked at ahead of the record that is read: some ten records, each of which takes a tenth of what
/// memory takes to answer.
const AHEAD: usize = 32;

impl Session {
    /// Reads every record stamped `due` or earlier, and those without stamp.
    pub(super) fn read_all(&mut self, due: u64) {
        loop {
            // In the order in which they began: a parent before its child, a program before the one that took its place.
            let is_unknown = |ring: &Ring| !ring.is_empty() && !self.by_number.contains_key(&ring.image);
            let mut unknown: Vec<usize> =
                (0..self.rings.len()).filter(|index| is_unknown(&self.rings[*index])).collect();
            unknown.sort_by_key(|index| self.rings[*index].image);
            let mut announced = false;
            for index in unknown {
                if !self.by_number.contains_key(&self.rings[index].image) {
                    announced |= self.read_announcement(index);
                }
            }
            // Whoever waited for the end of a process goes on after it: what the dead held is gone before what others did
            // since is read.
            self.end_dead_images();
            let mut numbers: Vec<u32> = (self.rings.iter().filter(|ring| !ring.is_empty()))
                .map(|ring| ring.image)
                .filter(|number| self.by_number.contains_key(number))
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            for number in numbers {
                self.read_image(number, due);
            }
            if !announced {
                return;
            }
        }
    }

    /// Reads the rings of one image in the order of their stamps.
    pub(super) fn read_image(&mut self, number: u32, due: u64) {
        let Some(&image) = self.by_number.get(&number) else { return };
        self.begin_threads(number, image);
        let members: Vec<usize> = (0..self.rings.len())
            .filter(|&index| self.rings[index].image == number && !self.rings[index].is_empty())
            .collect();
        if let [only] = members[..] {
            while self.read_ring(only, image, due) {}
            return;
        }
        // Where each ring stands. Only that of the ring that was read changes.
        let mut heads: Vec<(u64, usize)> = (members.into_iter())
            .filter_map(|index| merge::next_stamp(&self.rings[index]).map(|stamp| (stamp, index)))
            .collect();
        // The ring whose next record is the earliest, and up to where it may be read: the next ring's record.
        while let Some(place) = (0..heads.len()).min_by_key(|place| heads[*place].0) {
            let (stamp, index) = heads[place];
            if stamp > due {
                return;
            }
            let others = heads.iter().enumerate().filter(|(other, _)| *other != place);
            let limit = others.map(|(_, (stamp, _))| *stamp).min().unwrap_or(u64::MAX).min(due);
            while self.read_ring(index, image, limit) {}
            match merge::next_stamp(&self.rings[index]) {
                // A ring that was read to a limit stands behind it, so the loop ends.
                Some(stamp) => heads[place].0 = stamp,
                None => drop(heads.swap_remove(place)),
            }
        }
    }

    /// Reads a batch of records of a ring, up to those stamped `due`. False if there is nothing more to read.
    fn read_ring(&mut self, index: usize, image: usize, due: u64) -> bool {
        let ring = &mut self.rings[index];
        let mut words = std::mem::take(&mut ring.words);
        let (mut at, end) = (ring.at, words.len());
        let stop = (at + BATCH).min(end);
        let mut held_back = false;
        let mut ahead = if self.images[image].heap.is_large() { ring.ahead.max(at) } else { end };
        while at < stop {
            while ahead < end.min(at + AHEAD) {
                ahead += self.announce(image, &words[ahead..]);
            }
            let rest = &words[at..];
            let Some(length) = merge::length(rest) else {
                // A record that is cut cannot be: they are published whole. A target has overwritten its ring.
                self.inconsistent += 1;
                words.truncate(at);
                break;
            };
            let record = &rest[..length];
            if let Some(stamp) = merge::stamp(record) {
                if stamp > due {
                    held_back = true;
                    break;
                }
                self.rings[index].last_stamp = stamp;
            }
            self.read_record(index, image, record);
            at += length;
        }
        let more = at < words.len() && !held_back;
        let ring = &mut self.rings[index];
        ring.words = words;
        ring.at = at;
        ring.ahead = ahead;
        if self.writer.as_ref().is_some_and(CaptureWriter::is_full) {
            self.flush();
        }
        more
    }

    /// Has the memory fetched that the first of these records will need. Gives its length.
    #[inline]
    fn announce(&self, image: usize, words: &[u64]) -> usize {
        // A record that is cut is found out when it is read.
        let Some(length) = merge::length(words) else { return words.len() };
        if !matches!(kind_of(words[0]), kind::DEFINITION | kind::UNMAPPED) {
            self.images[image].heap.prefetch(low_of(words[0]));
        }
        length
    }

    #[inline]
    fn read_record(&mut self, index: usize, image: usize, record: &[u64]) {
        let first = record[0];
        let (record_kind, sub, low) = (kind_of(first), sub_of(first), low_of(first));
        if record_kind == kind::DEFINITION {
            return self.define(index, image, record);
        }
        let block = |ring: &mut Ring, dictionary: &mut Dictionary, tally: &mut Tally, image: ImageIndex| {
            let word = record[1];
            let size = if word as u32 == WIDE { record[2].min(heap::MOST_BYTES) } else { word & u64::from(u32::MAX) };
            let row = ring.stacks.row((word >> 32) as usize, dictionary, |stack| tally.row(image, stack));
            (size, row)
        };
        let Self { rings, images, tally, writer, dictionary, .. } = self;
        let ring = &mut rings[index];
        let Some(thread) = ring.thread else { return };
        if is_event(first) {
            ring.published.read();
        }
        let Image { heap, index: image, .. } = &mut images[image];
        let mut recent = ring.recent;
        macro_rules! context {
            () => {
                heap::Context {
                    tally,
                    thread: thread.0,
                    recent: &mut recent,
                    sink: |event| {
                        if let Some(writer) = writer {
                            writer.event(thread, event);
                        }
                    },
                }
            };
        }
        match record_kind {
            kind::ALLOCATED | kind::ALLOCATED_STAMPED => {
                let (size, row) = block(ring, dictionary, tally, *image);
                let Some(allocator) = Allocator::from_number(sub as u8) else { return };
                heap.allocated(&mut context!(), allocator, low, size, row);
            }
            kind::FREED | kind::FREED_STAMPED => heap.freed(&mut context!(), low),
            kind::REALLOC_BEGIN if sub & RANGE != 0 => ring.pending = heap.remapping(low, record[1]),
            kind::REALLOC_BEGIN => ring.pending = heap.reallocating(low),
            kind::REALLOC_END if sub & FAILED != 0 => heap.reallocation_failed(std::mem::take(&mut ring.pending)),
            kind::REALLOC_END => {
                let (size, row) = block(ring, dictionary, tally, *image);
                let Some(reallocator) = Reallocator::from_number((sub >> 2) as u8) else { return };
                let pending = std::mem::take(&mut ring.pending);
                heap.reallocated(&mut context!(), pending, reallocator.allocator(), low, size, row);
            }
            _ => heap.unmapped(&mut context!(), low, record[1]),
        }
        rings[index].recent = recent;
    }

    fn define(&mut self, index: usize, image: usize, record: &[u64]) {
        let Self { rings, images, dictionary, .. } = self;
        let ring = &mut rings[index];
        let (low, word) = (low_of(record[0]), record.get(1).copied().unwrap_or(0));
        match sub_of(record[0]) {
            definition::PYTHON_NODE => {
                let (parent, is_entry) = (low as u32, word & definition::ENTRY != 0);
                let code = ring.codes.get(((word & !definition::ENTRY) >> 32) as usize);
                let node = match code {
                    Some(&code) => {
                        let frame = dictionary.python_frame(code, word as u32 as i32);
                        Node::Frame { parent, frame, meets: is_entry }
                    }
                    // A damaged ring: the frame is left out.
                    None => Node::Empty,
                };
                ring.stacks.define(node);
            }
            definition::NATIVE_NODE => {
                let (parent, evaluates) = (word as u32, word & definition::EVALUATION != 0);
                let frame = match images[image].locate(low) {
                    Some((module, offset)) => FrameDef::Native { module, offset },
                    None => FrameDef::Unknown { address: low },
                };
                ring.stacks.define(Node::Frame { parent, frame: dictionary.frame(frame), meets: evaluates });
            }
            definition::PAIR_NODE => ring.stacks.define(Node::Pair { native: low as u32, python: word as u32 }),
            definition::BLOB => {
                if let Some((kind, blob)) = collect(ring, record) {
                    self.read_blob(index, image, kind, &blob);
                }
            }
            definition::FINALIZING => {
                self.unseen.look(&images[image]);
                let image = images[image].index;
                self.tally.program_ended(image);
                self.write(|writer| {
                    writer.mark(Event::ProgramEnded(image));
                    Ok(())
                });
            }
            definition::MARK => match self.rings[index].mark.take() {
                Some(name) => {
                    let image = self.images[image].index;
                    self.set_mark(&name, MarkOrigin::Program, Some(image));
                }
                // A damaged ring: a mark without a name before it.
                None => self.inconsistent += 1,
            },
            _ => self.inconsistent += 1,
        }
    }

    fn read_blob(&mut self, index: usize, image: usize, kind: BlobKind, blob: &[u8]) {
        match kind {
            BlobKind::Code => {
                let code = code_of(&mut self.dictionary, blob);
                self.rings[index].codes.push(code);
            }
            BlobKind::Module => {
                let Some((head, path)) = blob.split_first_chunk::<24>() else { return };
                let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
                let module = self.dictionary.module(&String::from_utf8_lossy(path));
                let mapped = Mapped { end: number(8), file_offset: number(16), module };
                self.images[image].map_module(number(0), mapped);
            }
            BlobKind::ThreadName => {
                let name = String::from_utf8_lossy(blob).into_owned();
                self.rings[index].rename(name, &mut self.dictionary);
            }
            BlobKind::Mark => self.rings[index].mark = Some(blob.to_vec()),
            BlobKind::Census => self.read_census(image, blob),
            // Read before by `read_announcement`.
            BlobKind::Image => {}
        }
    }
}
