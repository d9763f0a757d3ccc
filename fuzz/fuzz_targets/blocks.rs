//! Any content in whole blocks: past the checksums, into the decoders and what believes them.

#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let capture = heaptide_fuzz::wrapped(content);
    // For a find: the capture itself, to keep among the fixtures.
    if let Some(file) = std::env::var_os("HEAPTIDE_WRAPPED") {
        std::fs::write(file, &capture).expect("the file can be written");
    }
    heaptide_fuzz::every_report(&capture);
});
