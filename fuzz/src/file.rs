//! Bytes as a file, read as the command line reads it: by seeking, its length taken once. So it can be told what happens
//! when the file is cut while it is read, as it is if somebody records to the same name meanwhile.

use heaptide_analyze::profile::{Options, Profile};
use heaptide_analyze::records::walk;
use heaptide_analyze::source::Source;
use heaptide_analyze::{Capture, CaptureError};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

thread_local! {
    /// One file for all inputs.
    static FILE: RefCell<(PathBuf, File)> = RefCell::new({
        let path = std::env::temp_dir().join(format!("heaptide-fuzz-{}.bin", std::process::id()));
        let file = File::create(&path).expect("a file for the capture");
        (path, file)
    });
}

/// The last two bytes say where the file is cut after it was opened (of 65 536 parts of its length); the rest is the file.
pub fn read_and_cut(input: &[u8]) {
    let Some((bytes, cut)) = input.split_last_chunk::<2>() else { return };
    let cut = bytes.len() as u64 * u64::from(u16::from_le_bytes(*cut)) / 65_536;
    FILE.with_borrow_mut(|(path, file)| {
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).expect("an empty file");
        file.write_all(bytes).expect("a file of that length");
        let from_file = Capture::open(path, &mut |_| {});
        let from_memory = Capture::from_bytes(bytes.to_vec());
        match (&from_file, &from_memory) {
            (Ok(file), Ok(memory)) => {
                assert_eq!(file.ends_early, memory.ends_early);
                assert_eq!(file.account.totals, memory.account.totals);
                assert_eq!(file.account.rows, memory.account.rows);
            }
            (Err(CaptureError::Read(file)), Err(CaptureError::Read(memory))) => assert_eq!(file, memory),
            other => panic!("{other:?}"),
        }
        let source = Source::open(path).expect("the file is there");
        file.set_len(cut).expect("a shorter file");
        // What was opened gives what answers it can.
        if let Ok(capture) = from_file {
            let _ = Profile::of(&capture, &Options { temporary_within: 3, ..Options::default() }, &mut |_| {});
        }
        let _ = walk::<()>(&source, &mut |_, _| Ok(()), &mut |_| {});
    });
}
