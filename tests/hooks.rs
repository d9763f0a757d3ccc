//! The allocation entry points: each recorded once, with what it asked for, and its release.

use crate::traced::{Traced, announce, compiled, fixture};
use heaptide_format::allocator::Allocator;
use std::path::Path;

/// What each function of entry_points.c asks for.
const ENTRY_POINTS: [(&str, &str, u64); 9] = [
    ("by_malloc", "malloc", 10_001),
    ("by_calloc", "calloc", 10_010),
    ("by_realloc", "realloc", 10_003),
    ("by_reallocarray", "reallocarray", 10_050),
    ("by_posix_memalign", "posix_memalign", 10_005),
    ("by_aligned_alloc", "aligned_alloc", 10_048),
    ("by_memalign", "memalign", 10_007),
    ("by_valloc", "valloc", 10_008),
    ("by_pvalloc", "pvalloc", 10_009),
];

#[test]
fn every_entry_point_is_recorded_once() {
    let run = Traced::program("entry_points.c").record();
    for (function, allocator, bytes) in ENTRY_POINTS {
        assert_eq!(run.story(function), [format!("{allocator} {bytes}")]);
        assert_eq!(run.allocated(function), (bytes, 1));
        assert_eq!(run.at_exit(function), (bytes, 1));
    }
}

#[test]
fn every_block_finds_its_release() {
    let run = Traced::program("entry_points.c").args(["free"]).record();
    for (function, allocator, bytes) in ENTRY_POINTS {
        assert_eq!(run.story(function), [format!("{allocator} {bytes}"), format!("free {bytes}")]);
        assert_eq!((run.bytes_at_peak(function), run.bytes_at_exit(function)), (bytes, 0));
    }
}

#[test]
fn blocks_of_no_bytes_are_blocks() {
    let run = Traced::program("zero_sizes.c").record();
    for name in ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"] {
        assert_eq!(run.story(&format!("zero_{name}")), [format!("{name} 0"), "free 0".into()]);
        assert_eq!(run.allocated(&format!("zero_{name}")), (0, 1));
    }
}

#[test]
fn calls_that_fail_record_nothing() {
    let run = Traced::program("failures.c").record();
    assert_eq!(run.stdout(), "11 refused, 7\n");
    assert_eq!(run.story("block"), ["malloc 12345"]);
    assert_eq!(run.story("fails"), [""; 0]);
    assert_eq!(run.at_exit("block"), (12_345, 1));
}

#[test]
fn reallocations() {
    let run = Traced::program("reallocs.c").record();
    assert_eq!(run.stdout(), "in place\nmoved\n");
    assert_eq!(run.story("to_nothing"), ["malloc 701", "free 701"]);
    assert_eq!(run.story("in_place"), ["malloc 1001", "realloc 1001 > 1008"]);
    assert_eq!(run.story("moves"), ["malloc 2001", "malloc 2002", "realloc 2001 > 200001"]);
    assert_eq!(run.story("same_size"), ["malloc 3001", "realloc 3001 > 3001"]);
    assert_eq!(run.story("shrinks"), ["calloc 4001", "reallocarray 4001 > 56", "free 56"]);
    // From the first `realloc` of null, 50 events, the last to 5 000 bytes.
    let story = run.story("grows_often");
    assert_eq!((story.len(), &*story[0], &*story[49]), (50, "realloc 100", "realloc 4900 > 5000"));
    assert_eq!(run.at_exit("grows_often"), (5_000, 1));
    // The block goes over to the function that reallocates it.
    assert_eq!(run.story("begins"), ["malloc 6001"]);
    assert_eq!(run.story("takes_over"), ["realloc 6001 > 6002"]);
    assert_eq!((run.at_exit("begins"), run.at_exit("takes_over")), ((0, 0), (6_002, 1)));
}

#[test]
fn cxx_new_and_delete() {
    let run = Traced::program("cxx_new.cpp").record();
    run.exits(0);
    let count = |bytes| run.of_size(bytes).len();
    assert_eq!([count(11_111), count(22_222), count(4_160)], [1; 3]);
    assert_eq!([1, 2, 4, 8].map(|elements| count(elements * 1_237)), [1; 4]);
    // Freed: the two at the start and the vector's four.
    let freed = |bytes: u64| run.story(&run.of_size(bytes)[0].function).contains(&format!("free {bytes}"));
    assert_eq!(
        [11_111, 22_222, 1_237, 2_474, 4_948, 9_896, 4_160].map(freed),
        [true, true, true, true, true, true, false]
    );
    assert_eq!(run.of_size(11_111)[0].function, "operator new(unsigned long)");
}

#[test]
fn a_programs_own_operator_new() {
    let run = Traced::program("own_new.cpp").record();
    assert_eq!(run.story("operator new(unsigned long)"), ["malloc 33349", "malloc 44460", "free 44460"]);
}

#[test]
fn parts_of_mappings() {
    let run = Traced::program("mappings.c").record();
    let stories: [(&str, &[&str]); 12] = [
        ("whole", &["mmap 28672", "free 28672"]),
        ("tail", &["mmap 24576", "unmap 8192"]),
        ("middle", &["mmap 40960", "unmap 8192"]),
        ("holes", &["mmap 45056", "unmap 4096", "unmap 4096", "unmap 4096", "unmap 4096", "unmap 4096"]),
        ("spanning", &["mmap 16384", "mmap 16384", "mmap 16384", "free 16384", "free 16384", "free 16384"]),
        ("grows", &["mmap 16384", "mmap 16384 > 32768"]),
        ("shrinks", &["mmap 36864", "mmap 36864 > 8192"]),
        ("moves", &["mmap 12288", "mmap 12288 > 12288"]),
        ("odd", &["mmap 5000", "free 5000"]),
        ("fixed", &["mmap 20480", "unmap 8192", "mmap 8192"]),
        ("fails", &["mmap 4096"]),
        // The reservations of `spanning` and `moves`, given back and replaced.
        ("map", &["mmap (reserved) 81920", "free 81920", "mmap (reserved) 12288", "free 12288"]),
    ];
    for (function, story) in stories {
        assert_eq!(run.story(function), story, "{function}");
    }
    // In pages: tail 4, middle 8, holes 6, grows 8, shrinks 2, moves 3, fixed 3 + 2, fails 1.
    let left = ["whole", "tail", "middle", "holes", "spanning", "grows", "shrinks", "moves", "odd", "fixed", "fails"]
        .map(|function| run.at_exit(function));
    let pages = |pages: u64, blocks| (pages * 4_096, blocks);
    let expected = [(0, 0), (4, 1), (8, 1), (6, 1), (0, 0), (8, 1), (2, 1), (3, 1), (0, 0), (5, 2), (1, 1)];
    assert_eq!(left, expected.map(|(count, blocks)| pages(count, blocks)));
}

#[test]
fn kinds_of_mappings_are_told_apart() {
    let run = Traced::program("mapping_kinds.c").record();
    assert_eq!(run.at_peak("anonymous"), (503_808, 1));
    assert!(run.totals().peak.bytes < 1 << 20, "only the anonymous mapping is heap: {:?}", run.totals().peak);
    for function in ["file", "reserved", "stack", "growing"] {
        assert_eq!(run.allocated(function), (0, 0), "{function}");
    }
    assert_eq!(run.story("file"), ["mmap (file) 314572800"]);
    assert_eq!(run.story("reserved"), ["mmap (reserved) 1073741824", "free 1073741824"]);
    assert_eq!(run.story("stack"), ["mmap (stack) 8388608"]);
    assert_eq!(run.story("growing"), ["mmap (stack) 65536"]);
    assert_eq!(run.totals().other_mappings_peak, 1_396_768_768);
    assert_eq!((run.totals().other_mappings.bytes, run.totals().other_mappings.count), (323_026_944, 3));
}

#[test]
fn the_programs_own_break() {
    let run = Traced::program("brk.c").record();
    assert_eq!(run.story("up"), ["brk 12288", "unmap 8192"]);
    assert_eq!(run.story("twice"), ["brk 20480", "free 20480"]);
    assert_eq!((run.at_exit("up"), run.at_exit("twice")), ((4_096, 1), (0, 0)));
}

#[test]
fn libraries_come_and_go() {
    // One after the other, at the same address: what one of them allocated is not the other's.
    let library = |function: &str, size: &str| {
        let flags = ["-shared", "-fPIC", &format!("-DFUNCTION={function}"), &format!("-DSIZE={size}")];
        compiled("library.c", &format!("_{function}.so"), &flags)
    };
    let run = Traced::program("loads.c").args([library("in_first", "23456"), library("in_second", "34567")]).record();
    let mut places: Vec<&str> = std::str::from_utf8(&run.stdout).unwrap().lines().collect();
    assert_eq!(places.len(), 6);
    places.dedup();
    assert_eq!(places.len(), 1, "the libraries were meant to share an address");
    assert_eq!(run.story("in_first"), ["malloc 23456"; 3]);
    assert_eq!(run.story("in_second"), ["malloc 34567"; 3]);
}

#[test]
fn before_main_and_after() {
    let run = Traced::program("early_late.c").record();
    for (function, bytes) in [
        ("before_main", 1_111),
        ("at_exit", 2_222),
        ("thread_ends", 3_333),
        ("on_signal", 4_444),
        ("after_exit", 5_555),
    ] {
        assert_eq!(run.story(function), [format!("malloc {bytes}")]);
        assert_eq!(run.at_exit(function), (bytes, 1));
    }
    assert_eq!(run.story("thread"), ["malloc 1777", "free 1777"]);
}

/// The user's allocator is found by the program's own look-up, and its blocks are counted once.
fn check_preloaded(library: &Path, function: &str, says: &str) {
    let run = Traced::program("which_allocator.c").args([function]).env("LD_PRELOAD", library.as_os_str()).record();
    assert_eq!(run.stdout(), format!("{}\n{says}", library.display()));
    assert_eq!(run.story("hundred"), vec!["malloc 23457"; 100]);
    assert_eq!(run.story("one"), ["malloc 34567", "free 34567"]);
    assert_eq!(run.at_exit("hundred"), (2_345_700, 100));
    // What the allocator does for itself is none of the program's: no mapping in which its blocks would count again.
    let mapped: u64 = [Allocator::Mmap, Allocator::Brk]
        .map(|allocator| run.totals().allocators[usize::from(allocator.number())].bytes)
        .iter()
        .sum();
    assert!(mapped < 2_345_700, "{mapped} bytes of mappings");
}

#[test]
fn an_allocator_of_the_users_own_stays_in_use() {
    let bump = compiled("bump.c", ".so", &["-shared", "-fPIC"]);
    check_preloaded(&bump, "bump_owns", "its own\n");
}

#[test]
fn an_allocator_that_forwards_counts_once() {
    let forwarding = compiled("forwarding.c", ".so", &["-shared", "-fPIC"]);
    check_preloaded(&forwarding, "forwarded", "");
}

#[test]
fn installed_allocators_stay_in_use() {
    for (name, function) in [("libjemalloc.so.2", "mallctl"), ("libtcmalloc_minimal.so.4", "tc_version")] {
        let directories = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
        match directories.map(|directory| Path::new(directory).join(name)).iter().find(|path| path.exists()) {
            Some(path) => check_preloaded(path, function, ""),
            None => announce(&format!("skipped: no {name} on this machine")),
        }
    }
}

#[test]
fn fixtures_are_small() {
    for entry in std::fs::read_dir(fixture("")).unwrap() {
        let path = entry.unwrap().path();
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 30, "{}: {lines} lines", path.display());
    }
}
