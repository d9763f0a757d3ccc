//! Replays whose blocks a second thread reads: they say what replays say that read their blocks themselves, of damaged
//! captures and of windows that end early too, and end when they should.

use crate::support::recording::Recording;
use crate::windows::Story;
use heaptide_analyze::instants::{Position, Span};
use heaptide_analyze::replay::{Block, Gone, Watch};
use heaptide_analyze::tally::RowId;
use heaptide_analyze::{Capture, CaptureError, Reading};
use heaptide_format::capture::summary::Amount;
use heaptide_format::capture::{BlockKind, block, header, varint};
use heaptide_format::ids::{ImageIndex, Nanos, StackId};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

const APP: &str = "/app/app.py";

/// All that a watch is told, in its order.
#[derive(Default)]
struct Log(Vec<String>);

macro_rules! log {
    ($($method:ident($($name:ident: $kind:ty),*);)*) => {
        impl Watch for Log {
            $(fn $method(&mut self, $($name: $kind),*) {
                self.0.push(format!("{} {:?}", stringify!($method), ($($name,)*)));
            })*
        }
    };
}

log! {
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

/// All that a replay says and tells on its way.
fn told(capture: &mut Capture, reading: Reading, span: Span, stops: &[Position]) -> Vec<String> {
    capture.set_reading(reading);
    let mut progress = Vec::new();
    let log = &mut |step: heaptide_analyze::reader::Progress| progress.push(step.done);
    let replayed = capture.replay_with_stops((span, stops), 1, Log::default(), log).expect("it has events");
    let mut told = replayed.watch.0;
    told.push(format!("{:?} {:?} {:?}", replayed.account, replayed.temporary, replayed.damage));
    told.push(format!("{progress:?}"));
    told
}

/// The same file with the contents of its blocks changed, and checksums that are right. It has no footer.
fn forged(file: &[u8], forge: &mut dyn FnMut(BlockKind, &mut Vec<u8>)) -> Vec<u8> {
    let mut forged = file[..header::HEADER_BYTES].to_vec();
    let mut rest = &file[header::HEADER_BYTES..];
    while !rest.is_empty() {
        let read = block::BlockRead::parse(rest, 0).unwrap();
        let (kind, mut content) = (read.kind.unwrap(), read.unpack().unwrap());
        forge(kind, &mut content);
        block::write(&mut forged, kind, &content);
        rest = &rest[read.bytes as usize..];
    }
    forged
}

#[derive(Clone, Debug)]
enum Damage {
    None,
    /// A byte of the file is another.
    Flipped(prop::sample::Index, u8),
    /// A byte of what the blocks of events hold is another.
    Forged(prop::sample::Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::None),
        (any::<prop::sample::Index>(), 1u8..).prop_map(|(place, value)| Damage::Flipped(place, value)),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(place, value)| Damage::Forged(place, value)),
    ]
}

fn damaged(story: Story, finished: bool, damage: &Damage) -> Vec<u8> {
    let mut file = if finished { story.finish() } else { story.unfinished() };
    match damage {
        Damage::None => file,
        Damage::Flipped(place, value) => {
            *place.get_mut(&mut file[header::HEADER_BYTES..]) ^= value;
            file
        }
        Damage::Forged(..) if finished => file,
        Damage::Forged(place, value) => {
            let mut bytes = 0;
            forged(&file, &mut |kind, content| bytes += content.len() * usize::from(kind == BlockKind::Events));
            let mut at = place.index(bytes.max(1));
            forged(&file, &mut |kind, content| {
                if kind == BlockKind::Events {
                    if let Some(byte) = content.get_mut(at) {
                        *byte = *value;
                    }
                    at = at.wrapping_sub(content.len());
                }
            })
        }
    }
}

proptest! {
    #[test]
    fn two_threads_say_what_one_says(
        steps in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..200),
        finished: bool,
        damage in damage(),
        (from_ms, to_ms) in (0u64..80, 0u64..200),
        (from_event, to_event) in (0u64..60, 0u64..150),
    ) {
        let file = damaged(Story::of(&steps), finished, &damage);
        // Damage may leave nothing to open.
        let Ok(mut capture) = Capture::from_bytes(file) else { return Ok(()) };
        let time = |ms| Position::Time(Nanos(ms * 1_000_000));
        let event = |count| Position::Event { count, live: 100, time: Nanos(from_ms * 1_000_000) };
        let spans = [
            Span::Whole,
            Span::Between(time(from_ms), time(to_ms)),
            Span::Between(event(from_event), event(to_event)),
            Span::At(time(to_ms)),
        ];
        let stops = [event(from_event), time(to_ms)];
        for span in spans {
            for stops in [&stops[..], &[]] {
                let alone = told(&mut capture, Reading::Alone, span, stops);
                for reading in [Reading::Ahead, Reading::AsItPays] {
                    prop_assert_eq!(told(&mut capture, reading, span, stops), alone.clone());
                }
            }
        }
    }
}

/// Ten blocks of 1000 events each, a keyframe behind the fifth; a second each.
fn ten_blocks() -> Recording {
    let mut recording = Recording::new();
    let main = recording.stack(&[("main", APP, 10)]);
    for block in 0..10 {
        recording.clock_ms(block * 1_000);
        (0..1_000).for_each(|_| _ = recording.allocate(main, 77));
        if block == 4 {
            recording.keyframe();
        }
        recording.flush();
    }
    recording
}

/// Where the blocks of events begin, and how long each is.
fn event_blocks(file: &[u8]) -> Vec<(u64, u64)> {
    let mut at = header::HEADER_BYTES;
    let mut blocks = Vec::new();
    while let Ok(block) = block::BlockRead::parse(&file[at..], 0) {
        if block.kind == Some(BlockKind::Events) {
            blocks.push((at as u64, block.bytes));
        }
        at += block.bytes as usize;
    }
    blocks
}

#[test]
fn damage_ends_a_replay_where_it_is() {
    let mut file = ten_blocks().finish();
    let blocks = event_blocks(&file);
    assert_eq!(blocks.len(), 10);
    let seventh = blocks[6].0;
    file[seventh as usize + 20] ^= 1;
    let mut capture = Capture::from_bytes(file).unwrap();
    for reading in [Reading::Ahead, Reading::Alone] {
        capture.set_reading(reading);
        let mut done = Vec::new();
        let replayed = capture.replay(Span::Whole, 0, (), &mut |progress| done.push(progress.done)).unwrap();
        // Six blocks and the keyframe.
        assert_eq!(done.len(), 7);
        assert_eq!(done[6], seventh);
        assert_eq!(replayed.account.totals.allocated, Amount { bytes: 6_000 * 77, count: 6_000 });
        let damage = replayed.damage.unwrap().to_string();
        assert_eq!(damage, format!("damaged at byte {seventh}: the checksum of a block does not match"));
        // The end of this window would be seen at the next clock, which is the damaged block's.
        let until = Span::Between(Position::Start, Position::Time(Nanos(5_500_000_000)));
        let replayed = capture.replay(until, 0, (), &mut |_| {}).unwrap();
        assert_eq!(replayed.account.totals.allocated.count, 6_000);
        let damage = replayed.damage.map(|damage| damage.to_string());
        assert_eq!(damage, Some(format!("damaged at byte {seventh}: the checksum of a block does not match")));
        // This one's is seen before.
        let until = Span::Between(Position::Start, Position::Time(Nanos(4_500_000_000)));
        assert_eq!(capture.replay(until, 0, (), &mut |_| {}).unwrap().damage, None);
    }
}

/// 150 000 events in a block: three batches. The last event is none.
#[test]
fn damage_in_a_later_batch_of_a_block_is_found_behind_the_events_before_it() {
    let mut recording = Recording::new();
    let main = recording.stack(&[("main", APP, 10)]);
    (0..150_000).for_each(|_| _ = recording.allocate(main, 7));
    let file = forged(&recording.unfinished(), &mut |kind, content| {
        if kind == BlockKind::Events {
            let mut columns = &content[..];
            let symbols = varint::take(&mut columns).unwrap() as usize;
            (0..5).for_each(|_| _ = varint::take(&mut columns));
            let at = content.len() - columns.len() + symbols - 1;
            content[at] = 0x7F;
        }
    });
    let offset = event_blocks(&file)[0].0;
    let mut capture = Capture::from_bytes(file).unwrap();
    for reading in [Reading::Ahead, Reading::Alone] {
        capture.set_reading(reading);
        let mut done = Vec::new();
        let replayed = capture.replay(Span::Whole, 0, (), &mut |progress| done.push(progress.done)).unwrap();
        assert_eq!(replayed.account.totals.allocated, Amount { bytes: 149_999 * 7, count: 149_999 });
        assert_eq!(replayed.damage.unwrap().to_string(), format!("damaged at byte {offset}: an event that is none"));
        assert_eq!(done, []);
        // A window that ends in the first batch does not get there.
        let until = Position::Event { count: 10, live: 70, time: Nanos(0) };
        let replayed = capture.replay(Span::Between(Position::Start, until), 0, (), &mut |_| {}).unwrap();
        assert_eq!((replayed.account.totals.allocated.count, replayed.damage), (10, None));
    }
}

/// Keyframes of more than a megabyte are not read ahead of.
#[test]
fn large_keyframes_come_in_their_order() {
    let mut recording = Recording::new();
    let main = recording.stack(&[("main", APP, 10)]);
    (0..300_000).for_each(|_| _ = recording.allocate(main, 70_000));
    for _ in 0..3 {
        recording.keyframe();
        let block = recording.allocate(main, 5);
        recording.free(block);
    }
    let mut capture = Capture::from_bytes(recording.finish()).unwrap();
    for reading in [Reading::Ahead, Reading::Alone] {
        capture.set_reading(reading);
        let replayed = capture.replay(Span::Whole, 0, (), &mut |_| {}).unwrap();
        assert_eq!((replayed.damage, replayed.account.totals.tracer.inconsistent), (None, 0));
        assert_eq!(replayed.account.totals.allocated.count, 300_003);
        assert_eq!(replayed.account.totals.leaked.count, 300_000);
    }
}

/// A bug of a watch is told as one, however much there is to read still.
#[test]
fn a_watch_that_panics_does_not_hang() {
    struct Panics(usize);
    impl Watch for Panics {
        fn came(&mut self, _: Block, _: u64) {
            self.0 += 1;
            assert!(self.0 < 1_500, "the 1500th block");
        }
    }
    let mut capture = Capture::from_bytes(ten_blocks().finish()).unwrap();
    capture.set_reading(Reading::Ahead);
    let replay = || drop(capture.replay(Span::Whole, 0, Panics(0), &mut |_| {}));
    let panicked = catch_unwind(AssertUnwindSafe(replay)).unwrap_err();
    assert_eq!(panicked.downcast_ref::<&str>(), Some(&"the 1500th block"));
}

/// The file is cut after it was opened: what is left is replayed.
#[test]
fn a_file_that_shrinks_is_read_up_to_its_end() {
    let file = ten_blocks().finish();
    let blocks = event_blocks(&file);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.bin");
    std::fs::write(&path, &file).unwrap();
    let mut capture = Capture::open(&path, &mut |_| {}).unwrap();
    let cut = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    cut.set_len(blocks[3].0 + 20).unwrap();
    for reading in [Reading::Ahead, Reading::Alone] {
        capture.set_reading(reading);
        let replayed = capture.replay(Span::Whole, 0, (), &mut |_| {}).unwrap();
        assert_eq!(replayed.account.totals.allocated.count, 3_000);
        let damage = replayed.damage.unwrap().to_string();
        assert_eq!(damage, format!("the file ends early, at byte {}, inside a block", blocks[3].0));
    }
}

#[test]
fn a_pipe_is_no_capture() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let opened = Capture::open(path.as_ref(), &mut |_| {});
    assert!(matches!(opened, Err(CaptureError::Io(error)) if error.kind() == std::io::ErrorKind::NotSeekable));
}
