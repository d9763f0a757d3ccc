//! Images and threads as they come and go: announced by their first record, ended with their process, or by the program
//! that takes its place.

use super::Session;
use super::blobs::{Announcement, collect};
use crate::dictionary::Dictionary;
use crate::image::{Image, Ring};
use crate::process::{self, Watched};
use crate::{heap, merge};
use heaptide_format::capture::definitions::{ImageDef, ImageOrigin, ThreadDef};
use heaptide_format::capture::events::Event;
use heaptide_format::ids::{ImageIndex, StackId};
use heaptide_format::shared::{RingHeader, ring_state};
use heaptide_format::wire::{BlobKind, blob_parts, definition, kind, kind_of, sub_of};
use std::cmp::Reverse;
use std::sync::atomic::Ordering;

impl Session {
    /// Reads the first record of an image that is not known yet, if it stands in this ring and is whole. False if not.
    pub(super) fn read_announcement(&mut self, index: usize) -> bool {
        let number = self.rings[index].image;
        let ring = &mut self.rings[index];
        let words = std::mem::take(&mut ring.words);
        let found = merge::length(&words[ring.at..]).and_then(|length| {
            let record = &words[ring.at..ring.at + length];
            let is_announcement = kind_of(record[0]) == kind::DEFINITION
                && sub_of(record[0]) == definition::BLOB
                && blob_parts(record[0]).0 == BlobKind::Image as u8;
            is_announcement.then(|| {
                ring.at += length;
                collect(ring, record)
            })?
        });
        ring.words = words;
        match found {
            Some((_, blob)) => {
                self.add_image(number, index, &blob);
                true
            }
            None => false,
        }
    }

    fn add_image(&mut self, number: u32, ring: usize, blob: &[u8]) {
        let pid = self.rings[ring].header.pid.load(Ordering::Relaxed);
        let Some(announcement) = Announcement::parse(blob) else {
            self.inconsistent += 1;
            return;
        };
        // A program that was executed in a process takes the place of the one before. That one's announcement may be found
        // later: then it has ended already.
        let same_process = self.images.iter().position(|image| image.pid == pid && !image.ended);
        let is_over = same_process.is_some_and(|other| self.images[other].number > number);
        let before = same_process.filter(|_| !is_over);
        if let Some(before) = before {
            self.end_image(before);
        }
        let parent = match announcement.forked {
            true => self.by_number.get(&announcement.parent).copied(),
            false => before.or_else(|| {
                // A short-lived one may be gone by now; what it said itself is inside its own pid namespace.
                let parent = process::parent(pid).unwrap_or(announcement.parent);
                self.images.iter().rposition(|image| image.pid == parent)
            }),
        };
        let (program, program_path, arguments): (_, _, Vec<_>) = match parent {
            // A forked child runs what its parent does, and does not say so again.
            Some(parent) if announcement.forked => {
                let parent = &self.images[parent];
                (parent.program, parent.program_path.clone(), parent.arguments.clone())
            }
            _ => (
                self.dictionary.string(&announcement.program),
                announcement.program,
                announcement.arguments.iter().map(|text| self.dictionary.string(text)).collect(),
            ),
        };
        let python = announcement.python;
        let parent = parent.map(|parent| self.images[parent].index);
        let index = self.dictionary.image(ImageDef {
            pid,
            parent,
            origin: if announcement.forked { ImageOrigin::Fork } else { ImageOrigin::Exec },
            program,
            arguments: arguments.clone(),
            python,
            started: self.now,
        });
        self.by_number.insert(number, self.images.len());
        self.images.push(Image {
            index,
            number,
            pid,
            program,
            program_path,
            arguments,
            heap: heap::Heap::default(),
            modules: Default::default(),
            process: Watched::new(pid),
            parent,
            is_python: python != 0,
            forked: announcement.forked,
            ended: false,
        });
        // The image is in the account even if it never allocates.
        self.tally.row(index, StackId::EMPTY);
        for ring in &mut self.rings {
            if ring.image == number {
                begin_thread(ring, index, &mut self.dictionary);
            }
        }
        if is_over {
            self.end_image(self.images.len() - 1);
        }
    }

    /// Ends the images whose processes have ended: of those that are found at once, children before their parents, who may
    /// have waited for them, and else the older before the younger.
    pub(super) fn end_dead_images(&mut self) {
        let living: Vec<usize> = (0..self.images.len()).filter(|image| !self.images[*image].ended).collect();
        let processes: Vec<&Watched> = living.iter().map(|image| &self.images[*image].process).collect();
        let ended = process::which_ended(&processes);
        let mut dead: Vec<usize> =
            living.into_iter().zip(ended).filter_map(|(image, ended)| ended.then_some(image)).collect();
        dead.sort_by_key(|image| Reverse(self.ancestors(*image)));
        for image in dead {
            self.end_image(image);
        }
    }

    /// How many images led to this one.
    fn ancestors(&self, image: usize) -> usize {
        std::iter::successors(self.images[image].parent, |parent| self.images.get(parent.index())?.parent).count()
    }

    /// Reads the rest of an image's rings and ends it. Its process has ended or executes another program: nothing
    /// will be written any more.
    fn end_image(&mut self, image: usize) {
        let number = self.images[image].number;
        for _ in 0..2 {
            for index in 0..self.shared.rings_used() {
                // By what the ring itself says: its thread may have begun since the last round, where another image's was.
                let is_its = |header: &RingHeader| header.image.load(Ordering::Relaxed) == number;
                if self.shared.is_in_use(index) && self.shared.header(index).is_ok_and(is_its) {
                    self.take(index);
                }
            }
            self.begin_threads(number, image);
            self.tick();
            self.read_image(number, u64::MAX);
        }
        for index in 0..self.rings.len() {
            if self.rings[index].image != number {
                continue;
            }
            let ring = &mut self.rings[index];
            // A reallocation under way has no end any more.
            ring.pending = heap::Pending::None;
            // A ring that was given back before may be another image's by now, which the next round will find out. The state
            // is looked at first: whoever has claimed it has counted that up before.
            let is_in_use = self.shared.is_in_use(index);
            let is_still_its = ring.header.claims.load(Ordering::Acquire) == ring.claims;
            if is_in_use && is_still_its && ring.is_empty() {
                self.free(index);
            }
        }
        self.images[image].ended = true;
        self.images[image].process.forget();
        self.inconsistent += std::mem::take(&mut self.images[image].heap).inconsistent;
        let index = self.images[image].index;
        self.unseen.ended(index);
        self.tally.image_ended(index);
        self.write(|writer| {
            writer.mark(Event::ImageEnded(index));
            Ok(())
        });
    }

    /// Gives the threads of an image that have begun since their numbers.
    pub(super) fn begin_threads(&mut self, number: u32, image: usize) {
        let index = self.images[image].index;
        for ring in &mut self.rings {
            if ring.image == number && ring.thread.is_none() {
                begin_thread(ring, index, &mut self.dictionary);
            }
        }
    }

    /// Takes the rings back whose threads said that they were about to end, and have.
    pub(super) fn release_ended(&mut self) {
        for index in 0..self.rings.len() {
            if self.shared.state(index) == ring_state::EXITING {
                self.release_if_ended(index);
            }
        }
    }

    /// What is done once a second: names of threads, rings of threads that ended without saying so.
    pub(super) fn chores(&mut self) {
        for index in 0..self.rings.len() {
            if self.shared.state(index) == ring_state::CLAIMED && !self.release_if_ended(index) {
                note_name(&mut self.rings[index], &mut self.dictionary);
            }
        }
    }

    fn release_if_ended(&mut self, index: usize) -> bool {
        let header = self.rings[index].header;
        if self.rings[index].claims != header.claims.load(Ordering::Acquire) {
            // A new claim, of which no word has been read.
            return false;
        }
        let of = |header: &RingHeader| (header.pid.load(Ordering::Relaxed), header.thread.load(Ordering::Relaxed));
        let (pid, thread) = of(header);
        // The number may have gone to a new thread, which has a ring of its own then.
        let has_successor = || {
            (0..self.rings.len()).any(|other| {
                other != index
                    && self.shared.state(other) == ring_state::CLAIMED
                    && of(self.rings[other].header) == (pid, thread)
            })
        };
        let state = self.shared.state(index);
        // A ring that was taken back from a thread that lives would be read no more, and the thread would wait for ever.
        let is_gone = || !process::has_thread(pid, thread) && (self.rings[index].seen || state == ring_state::EXITING);
        let ended = is_gone() || (state == ring_state::EXITING && has_successor());
        if ended {
            self.shared.control().ring_states[index].store(ring_state::RELEASED, Ordering::Release);
        }
        ended
    }
}

fn begin_thread(ring: &mut Ring, image: ImageIndex, dictionary: &mut Dictionary) {
    let tid = ring.header.thread.load(Ordering::Relaxed);
    ring.thread = Some(dictionary.thread(ThreadDef { image, tid }));
    note_name(ring, dictionary);
}

fn note_name(ring: &mut Ring, dictionary: &mut Dictionary) {
    let (pid, tid) = (ring.header.pid.load(Ordering::Relaxed), ring.header.thread.load(Ordering::Relaxed));
    if let Some(name) = process::thread_name(pid, tid) {
        ring.seen = true;
        ring.rename(name, dictionary);
    }
}
