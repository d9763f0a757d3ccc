//! Names places in an object, for comparison with other tools: see `compare_names.py` beside it.
//!
//!     name_places OBJECT < offsets        byte offsets in the file, one a line, hexadecimal
//!
//! Prints for each a line: the functions from the innermost outwards, `function@file:line`, separated by tabs.

use heaptide_analyze::symbols::{self, Request, Settings, Symbols};
use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).expect("an object");
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    // Return addresses are looked up one byte back.
    let offsets: Vec<u64> =
        text.split_whitespace().map(|word| u64::from_str_radix(word, 16).expect("an offset") + 1).collect();
    let build_id = std::env::args().nth(2).unwrap_or_default();
    let byte = |at| u8::from_str_radix(&build_id[at..at + 2], 16).expect("a build id");
    let build_id = (0..build_id.len()).step_by(2).map(byte).collect();
    let settings = Settings { debug_directories: vec!["/usr/lib/debug".into()], ..Settings::default() };
    let request = Request { path, build_id, ran_at: u64::MAX, offsets };
    let answers = symbols::resolve(vec![request], &settings);
    let [Symbols::Found(chains)] = &answers[..] else { panic!("{answers:?}") };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for chain in chains {
        let calls = chain.iter().rev().map(|call| format!("{}@{}:{}", call.function, call.file, call.line));
        writeln!(out, "{}", calls.collect::<Vec<_>>().join("\t"))?;
    }
    Ok(())
}
