//! Words in the rings that no shim wrote, through the real collector. Whatever they are, there is a whole capture, and its
//! events give the answers that the collector counted.

use heaptide_analyze::Capture;
use heaptide_analyze::instants::Span;
use heaptide_analyze::profile::{Options, Profile};
use heaptide_format::capture::Row;
use heaptide_format::capture::summary::Amount;
use heaptide_record::session::nonsense::Rings;
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

thread_local! {
    /// One for all inputs, and the file that the captures are written to.
    static RINGS: RefCell<(Rings, File)> = RefCell::new({
        let path = std::env::temp_dir().join(format!("heaptide-fuzz-words-{}.bin", std::process::id()));
        let options = || { let mut options = File::options(); options.read(true).write(true).create(true).truncate(true); options };
        let file = options().open(&path).expect("a file for the capture");
        std::fs::remove_file(&path).expect("its name is not needed");
        (Rings::new().expect("shared memory"), file)
    });
}

/// Records the input and compares.
pub fn nonsense_is_recorded(input: &[u8]) {
    let bytes: Vec<u8> = RINGS.with_borrow_mut(|(rings, file)| {
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).expect("an empty file");
        rings.record(input, file.try_clone().expect("a descriptor")).expect("a recording");
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).expect("the capture");
        bytes
    });
    let kept = Capture::from_bytes(bytes).expect("a capture");
    assert_eq!(kept.ends_early, None);
    let mut temporary = kept.replay(Span::Whole, 0, (), &mut |_| {}).expect("it has events").temporary;
    temporary.retain(|(_, _, amount)| *amount != Amount::default());
    temporary.sort_by_key(|(image, stack, _)| (*image, *stack));
    let mut rows: Vec<Row> = kept.account.rows.clone();
    rows.retain(|row| row.temporary != Amount::default());
    rows.sort_by_key(|row| (row.image, row.stack));
    let rows: Vec<_> = rows.iter().map(|row| (row.image, row.stack, row.temporary)).collect();
    assert_eq!(temporary, rows);
    for options in [Options::default(), Options { temporary_within: 5, ..Options::default() }] {
        Profile::of(&kept, &options, &mut |_| {}).expect("a profile");
    }
}
