//! Any bytes as a file, read as the command line does, and cut meanwhile.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| heaptide_fuzz::file::read_and_cut(input));
