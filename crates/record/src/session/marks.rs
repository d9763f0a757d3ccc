//! Marks: set by a program (through its ring or by mail), by somebody outside (by mail), or because a limit was passed. What
//! the mailbox is, is in `heaptide_format::mailbox`.

use super::{Limit, Notice, Session};
use heaptide_format::capture::census::CensusReason;
use heaptide_format::capture::{Mark, MarkOrigin};
use heaptide_format::ids::ImageIndex;
use heaptide_format::mailbox::{Answer, Letter, NAME_BYTES, SLOTS, STALE_NANOS, Whose};

/// Marks that are kept before they are written: a program may set them in a loop.
const MOST_KEPT: usize = 4096;

/// What the session knows of marks.
#[derive(Default)]
pub(super) struct Marking {
    /// Set in this round, not written yet.
    fresh: Vec<Mark>,
    /// Taken out of the mailbox, to be set at the end of the round.
    letters: [Option<Letter>; SLOTS],
    /// Slots of the mailbox as they stood when they changed last, and when that was seen.
    slots: [(u64, u64); SLOTS],
    /// Limits, and whether RSS has passed each.
    limits: Vec<(Limit, bool)>,
    /// Resident bytes as last sampled.
    rss: u64,
    notices: Vec<Notice>,
}

impl Marking {
    /// What is to be told since this was asked last.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

impl Session {
    /// From here on it is told when these are passed.
    pub(super) fn watch_limits(&mut self, limits: &[Limit]) {
        for limit in limits {
            if self.marks.limits.iter().all(|(known, _)| known.bytes != limit.bytes) {
                self.marks.limits.push((limit.clone(), false));
            }
        }
        self.marks.limits.sort_unstable_by_key(|(limit, _)| limit.bytes);
        self.tally.watch(limits.iter().map(|limit| limit.bytes).collect());
    }

    /// Sets a mark here: after all that has been read, before all that will be.
    pub(super) fn set_mark(&mut self, name: &[u8], origin: MarkOrigin, image: Option<ImageIndex>) -> Answer {
        self.note_crossings();
        let (event, live) = (self.tally.events(), self.tally.live().bytes);
        let mark = self.mark(text(name), origin, image, event, live);
        let answer = Answer { time: mark.time.0, event, live, rss: mark.rss };
        self.keep(mark);
        self.request_census(CensusReason::Mark);
        answer
    }

    fn mark(&self, name: String, origin: MarkOrigin, image: Option<ImageIndex>, event: u64, live: u64) -> Mark {
        Mark { name, origin, image, time: self.now, event, live, rss: self.marks.rss }
    }

    fn keep(&mut self, mark: Mark) {
        self.marks.fresh.push(mark);
        if self.marks.fresh.len() >= MOST_KEPT {
            self.write_marks();
        }
    }

    /// Writes the marks that have been set.
    pub(super) fn write_marks(&mut self) {
        self.note_crossings();
        if !self.marks.fresh.is_empty() {
            let marks = std::mem::take(&mut self.marks.fresh);
            self.looks.marks += marks.len() as u32;
            self.write(|writer| writer.marks(marks));
        }
    }

    /// Marks the events by which live bytes have passed a limit.
    fn note_crossings(&mut self) {
        for crossing in self.tally.take_crossings() {
            let limits = self.marks.limits.iter().map(|(limit, _)| limit);
            let Some(limit) = limits.clone().find(|limit| limit.bytes == crossing.limit) else { continue };
            let limit = limit.text.clone();
            let name = format!("alert: live {limit}");
            let mark = self.mark(name, MarkOrigin::Alert, None, crossing.events, crossing.live);
            self.marks.notices.push(Notice::Alert { limit, is_rss: false, mark: mark.clone() });
            self.marks.fresh.push(mark);
        }
    }

    /// So many bytes are resident now.
    pub(super) fn rss_is(&mut self, resident: u64) {
        self.marks.rss = resident;
        let passed = |(limit, told): &&mut (Limit, bool)| !told && limit.bytes < resident;
        while let Some((limit, told)) = self.marks.limits.iter_mut().find(passed) {
            *told = true;
            let limit = limit.text.clone();
            self.note_crossings();
            let name = format!("alert: RSS {limit}");
            let (event, live) = (self.tally.events(), self.tally.live().bytes);
            let mark = self.mark(name, MarkOrigin::Alert, None, event, live);
            self.marks.notices.push(Notice::Alert { limit, is_rss: true, mark: mark.clone() });
            self.keep(mark);
        }
    }

    /// Resident bytes as last sampled.
    pub(super) fn resident(&self) -> u64 {
        self.marks.rss
    }

    /// Takes the marks out of the mailbox that are to be set at the end of this round, and frees slots whose owners are dead.
    pub(super) fn take_letters(&mut self) {
        let mailbox = &self.shared.control().mailbox;
        if mailbox.has_post() {
            mailbox.take(&mut self.marks.letters);
        }
        let words = mailbox.words();
        for ((slot, word), (known, since)) in words.into_iter().enumerate().zip(&mut self.marks.slots) {
            if word != *known {
                (*known, *since) = (word, self.now.0);
            } else if self.now.0 - *since > STALE_NANOS {
                mailbox.free_stale(slot, word);
            }
        }
    }

    /// Sets them, writes all marks of the round, and answers.
    pub(super) fn set_marks(&mut self) {
        let letters = std::mem::take(&mut self.marks.letters);
        if letters.iter().flatten().any(|letter| matches!(letter.whose(), Whose::Process(_))) {
            // Somebody waits to be told.
            self.sample();
        }
        let mut answers = [const { None }; SLOTS];
        for (letter, answer) in letters.iter().flatten().zip(&mut answers) {
            let (origin, image) = match letter.whose() {
                Whose::Image(number) => (MarkOrigin::Program, self.by_number.get(&number).copied()),
                // Of several programs of one process the one that runs.
                Whose::Process(pid) => {
                    (MarkOrigin::Outside, self.images.iter().rposition(|image| image.pid == pid && !image.ended))
                }
            };
            let image = image.map(|image| self.images[image].index);
            *answer = Some(self.set_mark(letter.name(), origin, image));
        }
        self.write_marks();
        for (letter, answer) in letters.iter().flatten().zip(answers.into_iter().flatten()) {
            self.shared.control().mailbox.answer(letter, answer);
        }
    }
}

/// A name as text. Where it was cut in the middle of a character, that is left out.
fn text(name: &[u8]) -> String {
    let whole = match std::str::from_utf8(name) {
        Err(error) if name.len() == NAME_BYTES && error.error_len().is_none() => &name[..error.valid_up_to()],
        _ => &name[..name.len().min(NAME_BYTES)],
    };
    String::from_utf8_lossy(whole).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_any_bytes() {
        assert_eq!(text(b"after load"), "after load");
        assert_eq!(text(b"a\xFFb\n"), "a\u{FFFD}b\n");
        // 199 bytes and the first of two of a letter: cut before it. Elsewhere half a letter is no text.
        let mut name = vec![b'x'; 199];
        name.push(0xC3);
        assert_eq!(text(&name), "x".repeat(199));
        assert_eq!(text(b"caf\xC3"), "caf\u{FFFD}");
        assert_eq!(text(&[b'y'; 300]).len(), 200);
    }
}
