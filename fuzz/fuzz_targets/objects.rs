//! Any bytes as a native object.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| heaptide_fuzz::every_name(bytes));
