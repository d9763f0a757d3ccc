//! Censuses: when one is due, what a target says of one, and what is written of that.
//!
//! The target counts anew each time; what has not changed since its census before is left out here. The blocks of new
//! objects are looked up at once: they are live as long as the ring has not been read further.

use super::Session;
use crate::heap::Heap;
use heaptide_analyze::tally::Tally;
use heaptide_format::capture::census::{Census, CensusReason, GrownType, Holding, Hop, TypeCount};
use heaptide_format::ids::{ImageIndex, Nanos, StackId};
use heaptide_format::shared::option;
use heaptide_format::wire::census::{AT_EXIT, CUT, FRAME, Via};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::sync::atomic::Ordering;

/// When censuses are made, besides at exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CensusOptions {
    /// Time between two; `None`: not by the clock.
    pub period: Option<Nanos>,
    /// When live bytes are a tenth higher than at any census before.
    pub at_peak: bool,
    /// When a mark is set.
    pub at_marks: bool,
}

/// Shortest time between two that the peak asks for.
const PEAK_PAUSE: u64 = 1_000_000_000;
/// Live bytes below this are no peak to look at.
const LEAST_PEAK: u64 = 1 << 20;
/// Stacks that are told of a type that grew.
const MOST_STACKS: usize = 10;

/// What the session knows of censuses.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    options: CensusOptions,
    /// Why each was asked for.
    requests: Vec<CensusReason>,
    last: u64,
    /// The highest peak at one.
    highest: u64,
    /// The numbers of each image's types in its last one.
    counts: FxHashMap<ImageIndex, FxHashMap<String, (u64, u64)>>,
    /// Those that are to be written.
    ready: Vec<Census>,
}

impl Schedule {
    pub(super) fn new(options: Option<CensusOptions>) -> Self {
        Self { options: options.unwrap_or_default(), ..Self::default() }
    }
}

impl Session {
    /// Asks all targets for a census. Does nothing if the run has none, or (of marks) not for this reason.
    pub(super) fn request_census(&mut self, reason: CensusReason) {
        let control = self.shared.control();
        if control.options & option::CENSUS == 0 || (reason == CensusReason::Mark && !self.census.options.at_marks) {
            return;
        }
        self.census.requests.push(reason);
        self.census.last = self.now.0;
        self.census.highest = self.tally.peak().0.bytes;
        control.census.store(self.census.requests.len() as u32, Ordering::Release);
    }

    /// Looks whether one is due.
    pub(super) fn schedule_census(&mut self) {
        let (now, Schedule { options, last, highest, .. }) = (self.now.0, &self.census);
        if options.period.is_some_and(|period| now >= last + period.0) {
            return self.request_census(CensusReason::Period);
        }
        let (peak, live) = (self.tally.peak().0.bytes, self.tally.live().bytes);
        if options.at_peak
            && now >= last + PEAK_PAUSE
            && peak >= LEAST_PEAK.max(highest + highest / 10)
            && live >= peak - peak / 10
        {
            self.request_census(CensusReason::Peak);
        }
    }

    /// Takes in what a target says of one.
    pub(super) fn read_census(&mut self, image: usize, blob: &[u8]) {
        let at = (self.now, self.tally.events(), self.tally.live().bytes);
        let Self { images, tally, census, .. } = self;
        let image = &mut images[image];
        let read = Reader(blob).census(census, image.index, at, &mut image.heap, tally);
        match read {
            Some(made) => self.census.ready.push(made),
            None => self.inconsistent += 1,
        }
    }

    /// Writes those that have been read. Their stacks are defined before them.
    pub(super) fn write_censuses(&mut self) {
        if self.census.ready.is_empty() {
            return;
        }
        self.flush();
        let censuses = std::mem::take(&mut self.census.ready);
        self.write(|writer| writer.censuses(censuses));
    }
}

/// What is left of a blob.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes().map(|[byte]: [u8; 1]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = u16::from_le_bytes(self.bytes()?);
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// `None` if the blob is not what it must be.
    fn census(
        mut self,
        schedule: &mut Schedule,
        image: ImageIndex,
        (time, event, live): (Nanos, u64, u64),
        heap: &mut Heap,
        tally: &Tally,
    ) -> Option<Census> {
        let (number, flags) = (self.u32()?, self.u32()? as u8);
        let (objects, bytes, cost, own_bytes) = (self.u64()?, self.u64()?, Nanos(self.u64()?), self.u64()?);
        let types = self.u32()?;
        let mut names = Vec::new();
        let mut counts: FxHashMap<String, (u64, u64)> = FxHashMap::default();
        for _ in 0..types {
            let (count, bytes, name) = (self.u64()?, self.u64()?, self.text()?);
            let sum = counts.entry(name.clone()).or_default();
            *sum = (sum.0.saturating_add(count), sum.1.saturating_add(bytes));
            names.push(name);
        }
        let mut grown = Vec::new();
        for _ in 0..self.u32()? {
            grown.push(self.grown(&names, heap, tally)?);
        }
        let before = schedule.counts.insert(image, counts).unwrap_or_default();
        let now = &schedule.counts[&image];
        let gone = before.keys().filter(|name| !now.contains_key(*name)).map(|name| (name, (0, 0)));
        let changed = now.iter().map(|(name, amount)| (name, *amount));
        let mut types: Vec<TypeCount> =
            (changed.filter(|(name, amount)| before.get(*name) != Some(amount)).chain(gone))
                .map(|(name, (count, bytes))| TypeCount { name: name.clone(), count, bytes })
                .collect();
        types.sort_by(|a, b| a.name.cmp(&b.name));
        let asked = (number as usize).checked_sub(1).and_then(|place| schedule.requests.get(place).copied());
        let reason = match flags & AT_EXIT != 0 {
            true => CensusReason::Exit,
            false => asked.unwrap_or(CensusReason::Period),
        };
        let cut = flags & CUT != 0;
        Some(Census { image, reason, time, event, live, objects, bytes, cost, own_bytes, cut, types, grown })
    }

    fn grown(&mut self, names: &[String], heap: &mut Heap, tally: &Tally) -> Option<GrownType> {
        let name = names.get(self.u32()? as usize)?.clone();
        let new = u64::from(self.u32()?);
        let mut holders = Vec::new();
        for _ in 0..self.u8()? {
            let _block = self.u64()?;
            let hops = self.u8()?;
            holders.push((0..hops).map(|_| self.hop(names)).collect::<Option<Vec<Hop>>>()?);
        }
        let looked_up = u64::from(self.u32()?);
        let mut stacks: FxHashMap<StackId, u64> = FxHashMap::default();
        for _ in 0..looked_up {
            if let Some(row) = heap.row_of(self.u64()?) {
                *stacks.entry(tally.stack(row)).or_default() += 1;
            }
        }
        let mut stacks: Vec<(StackId, u64)> = stacks.into_iter().collect();
        stacks.sort_by_key(|(stack, count)| (Reverse(*count), *stack));
        stacks.truncate(MOST_STACKS);
        Some(GrownType { name, new, holders, looked_up, stacks })
    }

    fn hop(&mut self, names: &[String]) -> Option<Hop> {
        let of_type = match self.u32()? {
            FRAME => String::new(),
            number => names.get(number as usize)?.clone(),
        };
        let (name, via, label) = (self.text()?, Via::from_number(self.u8()?), self.text()?);
        let holding = match via {
            Via::Unknown => Holding::Unknown,
            Via::Itself => Holding::Itself,
            Via::Index => Holding::Index,
            Via::Key => Holding::Key,
            Via::KeyOfType => Holding::KeyOfType,
            Via::IsKey => Holding::IsKey,
            Via::Attribute => Holding::Attribute,
            Via::Namespace => Holding::Namespace,
            Via::Local => Holding::Local,
            Via::Closure => Holding::Closure,
        };
        Some(Hop { of_type, name, holding, label })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.as_bytes());
    }

    /// What a target says of these types; the first grew by two objects, which `CACHE` of a module holds.
    fn blob(flags: u32, types: &[(&str, u64, u64)], grown: bool) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend([1u32, flags].map(u32::to_le_bytes).concat());
        out.extend([11u64, 600, 5_000_000, 4096].map(u64::to_le_bytes).concat());
        out.extend((types.len() as u32).to_le_bytes());
        for (name, count, bytes) in types {
            out.extend([*count, *bytes].map(u64::to_le_bytes).concat());
            text(&mut out, name);
        }
        out.extend(u32::from(grown).to_le_bytes());
        if grown {
            out.extend([0u32, 2].map(u32::to_le_bytes).concat());
            out.push(1);
            out.extend(0x1000u64.to_le_bytes());
            out.push(2);
            for (kind, name, via, label) in [(0u32, "", Via::Itself, ""), (FRAME, "main", Via::Local, "own")] {
                out.extend(kind.to_le_bytes());
                text(&mut out, name);
                out.push(via as u8);
                text(&mut out, label);
            }
            out.extend(2u32.to_le_bytes());
            out.extend([0x1000u64, 0x2000].map(u64::to_le_bytes).concat());
        }
        out
    }

    fn read(schedule: &mut Schedule, blob: &[u8]) -> Option<Census> {
        let at = (Nanos(7), 70, 700);
        Reader(blob).census(schedule, ImageIndex(3), at, &mut Heap::default(), &Tally::new())
    }

    #[test]
    fn only_what_has_changed_is_written() {
        let mut schedule = Schedule { requests: vec![CensusReason::Peak], ..Schedule::default() };
        let first = read(&mut schedule, &blob(4, &[("a.A", 10, 480), ("str", 1, 120)], false)).unwrap();
        assert_eq!((first.reason, first.objects, first.bytes, first.types.len()), (CensusReason::Peak, 11, 600, 2));
        assert_eq!((first.cost, first.own_bytes, first.cut), (Nanos(5_000_000), 4096, false));
        let types = [("a.A", 5, 240), ("str", 1, 120), ("a.A", 7, 336), ("b.B", 1, 16)];
        let second = read(&mut schedule, &blob(u32::from(AT_EXIT | CUT), &types, true)).unwrap();
        assert_eq!((second.reason, second.cut), (CensusReason::Exit, true));
        let changed: Vec<_> = second.types.iter().map(|of| (of.name.as_str(), of.count, of.bytes)).collect();
        // Two classes of one name are one.
        assert_eq!(changed, [("a.A", 12, 576), ("b.B", 1, 16)]);
        let grown = &second.grown[0];
        assert_eq!((grown.name.as_str(), grown.new, grown.looked_up, grown.stacks.len()), ("a.A", 2, 2, 0));
        assert_eq!((grown.holders[0][1].of_type.as_str(), grown.holders[0][1].holding), ("", Holding::Local));
        let third = read(&mut schedule, &blob(0, &[("str", 1, 120)], false)).unwrap();
        let gone: Vec<_> = third.types.iter().map(|of| (of.name.as_str(), of.count)).collect();
        assert_eq!(gone, [("a.A", 0), ("b.B", 0)]);
    }

    #[test]
    fn a_blob_cut_anywhere_is_none() {
        let whole = blob(0, &[("a.A", 10, 480), ("str", 1, 120)], true);
        assert!(read(&mut Schedule::default(), &whole).is_some());
        for end in 0..whole.len() {
            assert!(read(&mut Schedule::default(), &whole[..end]).is_none(), "{end}");
        }
    }
}
