//! Any bytes as the steps of a program, whose account is kept and replayed.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| heaptide_fuzz::replay::answers_agree(input));
