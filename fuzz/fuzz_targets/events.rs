//! Any bytes as the content of an events block and of a keyframe.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| heaptide_fuzz::events::decode_again(input));
