//! What a capture does not hold: contents of memory, of files, of streams, and the environment. The program has a word
//! everywhere that no path, name or argument contains; it must not be in the capture, packed or unpacked.

use crate::support::Scratch;
use crate::traced::fixture;
use heaptide_analyze::source::Source;
use heaptide_format::capture::HEADER_BYTES;
use std::process::{Command, Stdio};

const WORD: &str = "Xq7secretWORDz9";

/// All blocks of a capture, unpacked, one after the other.
fn unpacked(path: &std::path::Path) -> Vec<u8> {
    let source = Source::open(path).unwrap();
    let (mut all, mut buffer) = (Vec::new(), Vec::new());
    let mut offset = HEADER_BYTES as u64;
    // The trailer is no block.
    while let Ok(block) = source.block(offset, &mut buffer) {
        all.extend(block.unpack().unwrap());
        offset += block.bytes;
    }
    assert_eq!(source.len() - offset, 20, "blocks up to the trailer");
    all
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

#[test]
fn no_contents_and_no_environment() {
    for options in
        [&[][..], &["--python-allocators"], &["--native"], &["--aggregate"], &["--native", "--python-allocators"]]
    {
        let scratch = Scratch::new();
        scratch.file("told.txt", format!("{WORD}-in-a-file\n").as_bytes());
        scratch.file("input.txt", format!("{WORD}-on-stdin\n").as_bytes());
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" run -q -o run.bin \"$@\" < input.txt > output.txt"]);
        command.arg(env!("CARGO_BIN_EXE_heaptide")).args(options).args(["--", "python3"]);
        command.arg(fixture("../hostile/secrets.py")).arg("told.txt").stdin(Stdio::null());
        command.env("SECRET_WORD", WORD).env("API_TOKEN", format!("{WORD}-token")).env(format!("{WORD}_NAME"), "1");
        scratch.run(&mut command).exits(0);
        assert!(scratch.read("output.txt").contains(WORD), "the program had the word");
        let capture = std::fs::read(scratch.path("run.bin")).unwrap();
        let content = unpacked(&scratch.path("run.bin"));
        // The search does find what is there: the file's name, an argument, a function's name (not in every mode).
        assert!(holds(&content, b"secrets.py") && holds(&content, b"told.txt"), "{options:?}");
        let utf16: Vec<u8> = WORD.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf32: Vec<u8> = WORD.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        let reversed: Vec<u8> = WORD.bytes().rev().collect();
        for (form, word) in
            [("as it is", WORD.as_bytes()), ("UTF-16", &utf16), ("UTF-32", &utf32), ("reversed", &reversed)]
        {
            assert!(!holds(&content, word) && !holds(&capture, word), "{options:?}: the word is there, {form}");
        }
        // Nor the names and values of any other variable that is long enough to be told from a path.
        for (name, value) in std::env::vars() {
            let assignment = format!("{name}={value}");
            assert!(!holds(&content, assignment.as_bytes()), "{options:?}: {name} is there");
        }
        assert!(!holds(&content, b"LD_PRELOAD") && !holds(&content, b"HEAPTIDE_SHARED"), "{options:?}");
    }
}
