//! Any words in the rings that the collector reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| heaptide_fuzz::words::nonsense_is_recorded(input));
