//! Captures that were finished, cut, damaged and hostile: the same answers, a clear end, or an error.

use crate::support::recording::Recording;
use heaptide_analyze::profile::{Metric, Options, Profile};
use heaptide_analyze::suppressions::Suppressions;
use heaptide_analyze::{Capture, CaptureError};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::{
    BlockKind, Growth, HEAD_BYTES, ReadError, TRAILER_BYTES, UnseenAllocator, UnseenAllocators, block, encode_meta,
    header,
};
use heaptide_format::ids::{ImageIndex, ThreadIndex};
use proptest::prelude::*;

const APP: &str = "/app/app.py";

/// Two processes, two threads in the first, every kind of event, several blocks and a keyframe.
fn recording() -> Recording {
    let mut recording = Recording::new();
    let main = recording.stack(&[("<module>", APP, 1), ("main", APP, 10)]);
    let load = recording.stack(&[("<module>", APP, 1), ("load", APP, 20)]);
    let a = recording.allocate(main, 40_000);
    recording.sample(1_000_000);
    let b = recording.allocate(load, 12_345);
    recording.clock_ms(5);
    recording.free(a);
    let grown = recording.allocate(load, 100);
    recording.flush();
    recording.reallocate(grown, main, 300);
    recording.thread(ImageIndex(0));
    let map = recording.allocate_by(Allocator::Mmap, main, 8192);
    recording.shrink(map, 4096);
    recording.allocate_by(Allocator::MmapFile, main, 1 << 30);
    recording.keyframe();
    let temporary = recording.allocate(main, 7);
    recording.free(temporary);
    let other = recording.process(4_001, 0);
    recording.thread(other);
    let native = recording.native(Default::default(), "/nowhere/libx.so", 0x1234);
    recording.allocate(native, 500);
    recording.clock_ms(20);
    let unseen = |image| UnseenAllocator {
        image,
        path: "/opt/liba.so".into(),
        allocator: "jemalloc".into(),
        evidence: "_rjem_mallctlbymib".into(),
    };
    // The last is of an image that nobody defines.
    let found = vec![unseen(ImageIndex(0)), unseen(other), unseen(ImageIndex(2))];
    recording.unseen(&UnseenAllocators { found, ..UnseenAllocators::default() });
    let growth = Growth { image: other, highest: 64 << 20, mappings: 30 << 20, ..Growth::default() };
    recording.unseen(&UnseenAllocators { growth: vec![growth], unread: 2, ..UnseenAllocators::default() });
    recording.end(other);
    recording.flush();
    recording.switch(ThreadIndex(0));
    recording.free(b);
    recording.sample(2_000_000);
    recording.allocate(load, 1_000);
    recording
}

#[test]
fn allocators_that_were_not_seen_are_those_of_known_images() {
    let capture = Capture::from_bytes(recording().finish()).unwrap();
    let both = [ImageIndex(0), ImageIndex(1)];
    let found: Vec<_> = capture.unseen.found.iter().map(|found| found.image).collect();
    assert_eq!((found, capture.unseen.unread), (both.to_vec(), 2));
    // One object, in both.
    let objects: Vec<u64> = capture.unseen.objects(&both).iter().map(|(_, images)| *images).collect();
    assert_eq!(objects, [2]);
    assert_eq!(capture.unseen.objects(&[]).len(), 0);
    let (images, explained) = capture.unseen.significant(&both);
    assert_eq!((images, explained.in_mappings, explained.by_nothing), (vec![ImageIndex(1)], 30 << 20, 34 << 20));
}

#[test]
fn finished_and_unfinished_give_the_same_answers() {
    let finished = Capture::from_bytes(recording().finish()).unwrap();
    let unfinished = Capture::from_bytes(recording().unfinished()).unwrap();
    assert_eq!(finished.account, unfinished.account);
    assert_eq!(finished.timeline, unfinished.timeline);
    assert_eq!(finished.run, unfinished.run);
    assert_eq!(finished.unseen, unfinished.unseen);
    // 40 000 + 12 345, before the first is freed.
    assert_eq!(finished.account.totals.peak.bytes, 52_345);
    // 300 of the realloc, 4 096 of the map, 500 of the other process, 1 000 at the end.
    assert_eq!(finished.account.totals.leaked.bytes, 5_896);
    assert_eq!((finished.status, unfinished.status), (Some(3), None));
    assert_eq!(finished.ends_early, None);
    let end = recording().unfinished().len();
    assert_eq!(
        unfinished.ends_early.unwrap().to_string(),
        format!("ends early at byte {end}: the recording was not finished; the report covers what is before")
    );
}

#[test]
fn cut_at_any_byte_it_is_an_error_or_ends_early() {
    let whole = recording().finish();
    let first_event_block = 200;
    for end in 0..whole.len() {
        match Capture::from_bytes(whole[..end].to_vec()) {
            Ok(capture) => {
                let ends_early = capture.ends_early.expect("it was cut");
                assert!(ends_early.offset <= end as u64, "cut at {end}: {ends_early}");
                assert_eq!(ends_early.complete, end >= whole.len() - TRAILER_BYTES, "cut at {end}: {ends_early}");
            }
            Err(CaptureError::Read(error)) => assert!(end < first_event_block, "cut at {end}: {error}"),
            Err(other) => panic!("cut at {end}: {other}"),
        }
    }
}

#[test]
fn any_flipped_bit_is_noticed_or_harmless() {
    let whole = recording().finish();
    let answers = Capture::from_bytes(whole.clone()).unwrap().account;
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match Capture::from_bytes(damaged) {
            // A finished capture does not look at its events.
            Ok(capture) => assert!(capture.ends_early.is_some() || capture.account == answers, "bit {bit}"),
            Err(CaptureError::Read(_)) => {}
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
}

#[test]
fn a_damaged_footer_is_answered_from_the_events() {
    let mut damaged = recording().finish();
    let footer = recording().unfinished().len();
    damaged[footer + HEAD_BYTES] ^= 1;
    let capture = Capture::from_bytes(damaged).unwrap();
    assert_eq!(capture.account, Capture::from_bytes(recording().finish()).unwrap().account);
    assert_eq!(
        capture.ends_early.unwrap().to_string(),
        format!(
            "ends early at byte {footer}: the checksum of a block does not match; the report covers what is before"
        )
    );
}

#[test]
fn an_aggregated_capture_answers_all_but_what_needs_events() {
    let mut recording = Recording::aggregate();
    let main = recording.stack(&[("main", APP, 10)]);
    recording.allocate(main, 12_345);
    let capture = Capture::from_bytes(recording.finish()).unwrap();
    assert_eq!(capture.account.totals.peak.bytes, 12_345);
    let options = Options { temporary_within: 2, ..Options::default() };
    assert!(matches!(Profile::of(&capture, &options, &mut |_| {}), Err(CaptureError::NoEvents)));
}

#[test]
fn a_process_has_its_own_peak() {
    let capture = Capture::from_bytes(recording().finish()).unwrap();
    let of = |pid| Profile::of(&capture, &Options { pid, ..Options::default() }, &mut |_| {});
    let peak = |pid| of(pid).unwrap().total.of(Metric::Peak).bytes;
    assert_eq!((peak(None), peak(Some(4_000)), peak(Some(4_001))), (52_345, 52_345, 500));
    let Err(CaptureError::NoSuchProcess { pid: 5, known }) = of(Some(5)) else { panic!("there is none") };
    assert_eq!(known, [4_000, 4_001]);
    let native = of(Some(4_001)).unwrap();
    assert_eq!(&*native.frames[0].function, "libx.so+0x1234");
}

#[test]
fn temporary_with_any_number_between() {
    let mut recording = Recording::new();
    let main = recording.stack(&[("main", APP, 10)]);
    let blocks = [1, 10, 100, 1_000].map(|size| recording.allocate(main, size));
    blocks.into_iter().rev().for_each(|block| recording.free(block));
    let capture = Capture::from_bytes(recording.finish()).unwrap();
    let temporary = |within| {
        let options = Options { temporary_within: within, ..Options::default() };
        Profile::of(&capture, &options, &mut |_| {}).unwrap().total.of(Metric::Temporary).bytes
    };
    assert_eq!([0, 1, 2, 3, 1_000].map(temporary), [1_000, 1_100, 1_110, 1_111, 1_111]);
}

/// A small file must not unpack to what fills a machine.
#[test]
fn metadata_out_of_proportion_is_refused() {
    let mut file = header::header().to_vec();
    block::write(&mut file, BlockKind::Run, &encode_meta(&heaptide_format::capture::RunInfo::default()));
    // 8 million empty texts: 32 kB packed, 200 MB as strings.
    let mut content = vec![253, 0, 0x12, 0x7A, 0, 0, 0, 0, 0];
    content.resize(8_000_009, 0);
    block::write(&mut file, BlockKind::Definitions, &content);
    let capture = Capture::from_bytes(file).unwrap();
    assert_eq!(
        capture.ends_early.unwrap().reason,
        heaptide_analyze::reader::Reason::Read(ReadError::BadBlock {
            offset: 39,
            what: "more metadata than a file of this length can hold".into()
        })
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, with_header: bool) {
        let bytes = if with_header { [&header::header()[..], &bytes].concat() } else { bytes };
        let _ = Capture::from_bytes(bytes);
    }

    /// Blocks whose checksums are right but whose content is anything.
    #[test]
    fn no_blocks_make_it_panic(
        blocks in prop::collection::vec((0usize..7, prop::collection::vec(any::<u8>(), 0..200)), 0..6),
        trailer: bool,
    ) {
        const KINDS: [BlockKind; 7] = [
            BlockKind::Run, BlockKind::Definitions, BlockKind::Events,
            BlockKind::Keyframe, BlockKind::Samples, BlockKind::Footer, BlockKind::UnseenAllocators,
        ];
        let mut file = recording().unfinished();
        let mut last = 0;
        for (kind, content) in blocks {
            last = file.len() as u64;
            block::write(&mut file, KINDS[kind], &content);
        }
        if trailer {
            file.extend_from_slice(&header::trailer(last));
        }
        if let Ok(capture) = Capture::from_bytes(file) {
            let _ = Profile::of(&capture, &Options { temporary_within: 3, ..Options::default() }, &mut |_| {});
        }
    }

    /// One byte of one block's content changed and the checksum made right again.
    #[test]
    fn no_forged_block_makes_it_panic(place: prop::sample::Index, value: u8) {
        let whole = recording().finish();
        let mut file = header::header().to_vec();
        let mut blocks = Vec::new();
        let mut rest = &whole[header::HEADER_BYTES..];
        while rest.len() > TRAILER_BYTES {
            let read = block::BlockRead::parse(rest, 0).unwrap();
            blocks.push((read.kind.unwrap(), read.unpack().unwrap()));
            rest = &rest[read.bytes as usize..];
        }
        let mut at = place.index(blocks.iter().map(|(_, content)| content.len()).sum());
        let mut last = 0;
        for (kind, content) in &mut blocks {
            if at < content.len() {
                content[at] = value;
            }
            at = at.wrapping_sub(content.len());
            last = file.len() as u64;
            block::write(&mut file, *kind, content);
        }
        file.extend_from_slice(&header::trailer(last));
        if let Ok(capture) = Capture::from_bytes(file) {
            let profile = Profile::of(&capture, &Options::default(), &mut |_| {}).unwrap();
            heaptide_analyze::leaks::Leaks::of(&profile, &Suppressions::builtin());
            heaptide_analyze::sites::by_group(&profile, Metric::Peak, heaptide_analyze::sites::By::Module);
            heaptide_analyze::tree::outline(&profile, Metric::Peak, 1);
        }
    }
}
