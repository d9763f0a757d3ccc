//! Any bytes as a capture.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| heaptide_fuzz::every_report(bytes));
