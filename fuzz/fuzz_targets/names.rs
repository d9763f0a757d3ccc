//! Any texts as names, in every report.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| heaptide_fuzz::names::names_stay_text(input));
