//! The decoders of events and keyframes alone. What they accept must come out the same when it is written again: so
//! nothing is read that a writer could not have meant.

use heaptide_format::capture::events::{Event, EventBlock, EventReader, KeyframeImage};

/// Any bytes as the content of an events block, and of a keyframe.
pub fn decode_again(content: &[u8]) {
    if let Ok(reader) = EventReader::new(content, 0) {
        let events: Vec<Event> = reader.map_while(Result::ok).collect();
        // Each event has at least a byte of its own.
        assert!(events.len() <= content.len(), "{} events in {} bytes", events.len(), content.len());
        let mut block = EventBlock::default();
        events.iter().for_each(|event| block.push(*event));
        let mut written = Vec::new();
        block.finish(&mut written);
        let again: Result<Vec<Event>, _> = EventReader::new(&written, 0).expect("what was written").collect();
        assert_eq!(again.as_deref(), Ok(&events[..]));
    }
    let mut rest = content;
    while let Some(image) = KeyframeImage::read(&mut rest) {
        assert!(image.blocks.len() <= content.len());
        let mut written = Vec::new();
        image.write(&mut written);
        let again = KeyframeImage::read(&mut &written[..]).expect("what was written");
        assert_eq!((again.image, again.used, again.blocks), (image.image, image.used, image.blocks));
        if rest.is_empty() {
            break;
        }
    }
}
