use super::*;
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::definitions::{Definitions, FrameDef, ImageDef, ImageOrigin, NodeDef, ThreadDef};
use heaptide_format::capture::events::EventBlock;
use heaptide_format::ids::{FrameId, Nanos, StringId};

/// Two images; threads 0 and 1 belong to the first, thread 2 to the second; stacks 1 to 3.
fn names() -> Names {
    let image = |pid| ImageDef {
        pid,
        parent: None,
        origin: ImageOrigin::Exec,
        program: StringId(0),
        arguments: Vec::new(),
        python: 0,
        started: Nanos(0),
    };
    let mut names = Names::default();
    let definitions = Definitions {
        strings: vec!["program".into()],
        frames: vec![FrameDef::Unknown { address: 1 }],
        nodes: vec![NodeDef { parent: StackId(0), frame: FrameId(0) }; 3],
        images: vec![image(7), image(8)],
        threads: [0, 0, 1].map(|image| ThreadDef { image: ImageIndex(image), tid: 1 }).to_vec(),
        ..Definitions::default()
    };
    names.extend(definitions, 0).unwrap();
    names
}

fn content(events: &[Event]) -> Vec<u8> {
    let mut block = EventBlock::default();
    events.iter().for_each(|event| block.push(*event));
    let mut content = Vec::new();
    block.finish(&mut content);
    content
}

fn replayed(within: u32, events: &[Event]) -> Replay {
    let mut replay = Replay::new(within);
    replay.events(&content(events), 0, &names()).unwrap();
    replay
}

fn thread(index: u32) -> Event {
    Event::Thread(ThreadIndex(index))
}

fn allocated(size: u64, stack: u32) -> Event {
    Event::Allocated { allocator: Allocator::Malloc, size, stack: StackId(stack) }
}

fn freed(slot: u32) -> Event {
    Event::Freed { slot: Slot(slot) }
}

fn amount(bytes: u64, count: u64) -> Amount {
    Amount { bytes, count }
}

#[test]
fn slots_are_of_an_image() {
    // Both images have a slot 0; each frees its own.
    let account =
        replayed(0, &[thread(0), allocated(100, 1), thread(2), allocated(7, 1), freed(0), thread(1), allocated(20, 2)])
            .finish()
            .0;
    assert_eq!(account.totals.leaked, amount(120, 2));
    assert_eq!(account.totals.peak, amount(120, 2));
    assert_eq!(account.images[1].peak, amount(7, 1));
    assert_eq!(account.totals.tracer.inconsistent, 0);
}

#[test]
fn an_ended_image_leaves_its_slots() {
    let account =
        replayed(0, &[thread(0), allocated(100, 1), Event::ImageEnded(ImageIndex(0)), freed(0), allocated(5, 1)])
            .finish()
            .0;
    assert_eq!(account.totals.tracer.inconsistent, 1);
    assert_eq!(account.images[0].leaked, amount(100, 1));
}

#[test]
fn a_realloc_keeps_its_slot_and_changes_its_stack() {
    let realloc = Event::Reallocated { slot: Slot(0), allocator: Allocator::Realloc, size: 300, stack: StackId(2) };
    let account = replayed(0, &[thread(0), allocated(100, 1), realloc]).finish().0;
    assert_eq!(account.rows[0].leaked, amount(0, 0));
    assert_eq!(account.rows[0].temporary, amount(100, 1));
    assert_eq!(account.rows[1].leaked, amount(300, 1));
    assert_eq!(account.totals.allocated, amount(400, 2));
    assert_eq!(account.totals.peak, amount(300, 1));
}

#[test]
fn temporary_within_any_number() {
    // a (10), b (20), c (30), then a freed: two others between. Then d (40) is freed by another thread.
    let events = [
        thread(0),
        allocated(10, 1),
        allocated(20, 1),
        allocated(30, 2),
        freed(0),
        allocated(40, 3),
        thread(1),
        freed(0),
    ];
    assert_eq!(replayed(1, &events).temporary(), []);
    assert_eq!(replayed(2, &events).temporary(), [(ImageIndex(0), StackId(1), amount(10, 1))]);
}

#[test]
fn releases_of_nothing_are_counted_not_believed() {
    let shrunk = Event::Shrunk { slot: Slot(3), bytes: 9 };
    let realloc =
        Event::Reallocated { slot: Slot(u32::MAX), allocator: Allocator::Realloc, size: 9, stack: StackId(0) };
    let account = replayed(0, &[thread(0), freed(u32::MAX), shrunk, realloc]).finish().0;
    assert_eq!((account.totals.tracer.inconsistent, account.totals.peak), (3, amount(0, 0)));
}

#[test]
fn events_of_what_is_not_defined_are_refused() {
    let refused = |events: &[Event]| Replay::new(0).events(&content(events), 5, &names()).unwrap_err().to_string();
    assert_eq!(refused(&[thread(3)]), "damaged at byte 5: an event of a thread that is not defined");
    assert_eq!(refused(&[allocated(1, 1)]), "damaged at byte 5: an event of a thread that is not defined");
    assert_eq!(refused(&[thread(0), allocated(1, 4)]), "damaged at byte 5: an event of a stack that is not defined");
    assert_eq!(
        refused(&[Event::ImageEnded(ImageIndex(2))]),
        "damaged at byte 5: an event of a process that is not defined"
    );
}

#[test]
fn a_keyframe_resets_the_order_of_free_slots() {
    use heaptide_format::capture::events::{KeyframeImage, LiveBlock};
    let mut replay = replayed(
        0,
        &[thread(0), allocated(1, 1), allocated(2, 1), allocated(3, 1), allocated(4, 1), freed(0), freed(2)],
    );
    let block = |slot, size| LiveBlock { slot: Slot(slot), allocator: Allocator::Malloc, size, stack: StackId(1) };
    let keyframe = KeyframeImage { image: ImageIndex(0), used: 4, blocks: vec![block(1, 2), block(3, 4)] };
    let mut content_ = Vec::new();
    keyframe.write(&mut content_);
    replay.keyframe(&content_, 0).unwrap();
    // Without the keyframe the next one would be in slot 2.
    replay.events(&content(&[thread(0), allocated(500, 2), freed(0)]), 0, &names()).unwrap();
    assert_eq!(replay.finish().0.totals.leaked, amount(6, 2));

    let mut replay = replayed(0, &[thread(0), allocated(1, 1)]);
    assert!(replay.keyframe(&content_, 8).is_err());
}
