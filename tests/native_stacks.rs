//! Native stacks (`--native`), exact in every shape that they take. Each program tells its own stacks as glibc's
//! backtrace(3) finds them, and what was recorded is compared with that frame by frame; some stacks stand here literally.

use crate::native::{CUT, Stacks, built, program};
use std::collections::BTreeSet;

/// Ways to compile that make other frames of the same functions.
const FLAVOURS: [(&str, &[&str]); 4] = [
    ("_O0", &["-O0", "-fno-omit-frame-pointer"]),
    ("_O0_bare", &["-O0", "-fomit-frame-pointer"]),
    ("_O2", &["-O2", "-fomit-frame-pointer"]),
    ("_O3", &["-O3", "-fno-omit-frame-pointer", "-fno-pie", "-no-pie"]),
];

#[test]
fn chains_of_calls() {
    for (kind, flags) in FLAVOURS {
        let stacks = Stacks::agreed(program("chains.c", kind, flags).options(["--native-depth", "4000"]));
        assert_eq!(stacks.from("main", 10_001), "main > chain > take");
        assert_eq!(stacks.from("main", 10_030), "main > chain*30 > take");
        assert_eq!(stacks.from("main", 10_300), "main > chain*300 > take");
        assert_eq!(stacks.from("main", 13_000), "main > chain*3000 > take");
        assert_eq!(stacks.count(13_000), 2);
        let mutual = ["main > even > odd > even > odd > take", "main > odd > even > odd > even > take"];
        assert_eq!(stacks.all_from("main", 11_003), mutual.map(str::to_owned).into());
        assert_eq!(stacks.from("main", 12_001), "main > places*31 > take");
        assert_eq!(stacks.from("main", 12_002), "main > places*31 > left > take");
        assert_eq!(stacks.from("main", 12_003), "main > places*31 > right > left > take");
        assert_eq!(stacks.from("main", 12_004), "main > places*31 > chain*3 > take");
        assert_eq!(stacks.count(12_005), 3);
    }
}

/// The whole stack, from the program's entry on.
#[test]
fn stacks_begin_where_the_program_does() {
    let stacks = Stacks::agreed(program("chains.c", "_O2", FLAVOURS[2].1).options(["--native-depth", "4000"]));
    assert_eq!(stacks.from("", 10_001), "_start > [libc] > main > chain > take");
}

/// The innermost frames, as many as asked for, and what stands for the others.
#[test]
fn stacks_are_cut_where_asked() {
    let whole = Stacks::agreed(program("chains.c", "_O2", FLAVOURS[2].1).options(["--native-depth", "4000"]));
    let cut = Stacks::of(program("chains.c", "_O2", FLAVOURS[2].1).options(["--native-depth", "20"]).record());
    assert_eq!(cut.from("main", 10_001), "main > chain > take");
    assert_eq!(cut.from("main", 10_030), format!("{CUT} > chain*19 > take"));
    assert_eq!(cut.from("main", 13_000), format!("{CUT} > chain*19 > take"));
    for size in [10_030, 10_300, 13_000, 12_003] {
        let expected: Vec<Vec<String>> = whole.places(size).0.iter().map(|stack| stack[..20].to_vec()).collect();
        let found: Vec<Vec<String>> = cut.places(size).0.iter().map(|stack| stack[..20].to_vec()).collect();
        assert_eq!(found, expected);
        assert!(cut.places(size).0.iter().all(|stack| stack.len() == 21 && stack[20] == CUT));
    }
}

#[test]
fn frames_of_every_shape() {
    let with_vectors: &[&str] = &["-O2", "-mavx2", "-fstack-clash-protection"];
    let own = FLAVOURS.iter().copied().chain([("_O2_guarded", &["-O2", "-fstack-protector-all"][..])]);
    let wide = [("_O2_avx2", with_vectors), ("_O0_avx2", &["-O0", "-mavx2"])];
    let able = std::arch::is_x86_feature_detected!("avx2");
    for (kind, flags) in own.chain(wide.into_iter().filter(|_| able)) {
        let stacks = Stacks::agreed(program("shapes.c", kind, flags));
        let of = |size, rest: &str| {
            let both = ["pointed", "unpointed"].map(|caller| format!("main > {caller} > all > {rest}take"));
            assert_eq!(stacks.all_from("main", size), both.into(), "{size} in {kind}");
        };
        of(13_001, "by_alloca > ");
        of(13_002, "by_array > ");
        of(13_003, "aligned > ");
        of(13_004, "aligned_alloca > ");
        of(13_005, "vectors > ");
        of(13_006, "large > ");
        of(13_007, "registers > ");
        of(13_008, "arguments > ");
        of(13_009, "partly > seldom > ");
        of(13_010, "nests > through > nested.0 > ");
        of(13_011, "ends_in_a_call > leaves > ");
        of(13_012, "follows > ");
        assert_eq!((stacks.count(13_001), stacks.count(13_002)), (4 * 3, 4 * 4));
    }
}

#[test]
fn calls_that_leave_no_frame() {
    let stacks = Stacks::agreed(program("tail_calls.c", "", &["-O2"]));
    assert_eq!(stacks.from("main", 14_001), "main > first > kept > take");
    assert_eq!(stacks.from("main", 14_002), "main > first > kept > take");
    assert_eq!(stacks.from("main", 14_003), "main > first > take");
    assert_eq!(stacks.from("main", 14_004), "main > first > kept > take");
}

#[test]
fn exceptions() {
    for (kind, flags) in FLAVOURS {
        let stacks = Stacks::agreed(program("exceptions.cpp", kind, flags));
        let times = |name: &str, times: usize| if times == 1 { name.to_owned() } else { format!("{name}*{times}") };
        for depth in [1, 30, 300] {
            let expected = format!("main > catches > {} > throws > take", times("plain", depth));
            assert_eq!(stacks.from("main", 15_000 + depth as u64), expected);
        }
        let both = ["catches", "unwinds"].map(|function| format!("main > {function} > take"));
        assert_eq!(stacks.all_from("main", 15_401), both.clone().into());
        assert_eq!(stacks.all_from("main", 15_402), both.into());
        // Each frame's destructor with the frames above it gone: from the innermost to the outermost.
        let left: BTreeSet<String> =
            (1..=30).map(|left| format!("main > unwinds > {} > Guard::~Guard > take", times("passes", left))).collect();
        assert_eq!(stacks.all_from("main", 15_400), left);
        assert_eq!(stacks.count(15_400), 3 + 30);
        assert_eq!(stacks.from("main", 15_403), "main > returns > Guard::~Guard > take");
        assert_eq!(stacks.from("main", 15_500), "main > catches_again > throws_on > take");
        assert_eq!(stacks.from("main", 15_501), "main > catches_again > take");
        // The exceptions themselves, each as deep as its throw.
        let thrown = stacks.all_from("main", 4_128);
        assert!(thrown.contains("main > catches > plain*30 > throws > [libstdc++]"), "{thrown:#?}");
        assert_eq!(thrown.len(), 3 + 2 + 1);
    }
}

#[test]
fn jumps_out_of_stacks() {
    for (kind, flags) in FLAVOURS {
        let stacks = Stacks::agreed(program("jumps.c", kind, flags));
        assert_eq!(stacks.from("main", 16_001), "main > lands > take");
        assert_eq!(stacks.from("main", 16_002), "main > lands > after > take");
        assert_eq!(stacks.from("main", 16_430), "main > lands > other*30 > take");
        assert_eq!(stacks.from("main", 16_700), "main > lands > other*300 > take");
        assert_eq!((stacks.count(16_001), stacks.count(16_003)), (5, 5));
    }
}

#[test]
fn signal_handlers() {
    for (kind, flags) in FLAVOURS {
        let stacks = Stacks::agreed(program("handlers.c", kind, flags));
        let raised = ["main > works", "main > deep*31 > works"];
        assert_eq!(
            stacks.all_from("main", 17_002),
            raised.map(|raised| format!("{raised} > [libc] > on_second > take")).into()
        );
        let from_both = raised.map(|raised| {
            ["", "on_second > [libc] > "].map(|above| format!("{raised} > [libc] > {above}on_first > take"))
        });
        assert_eq!(stacks.all_from("main", 17_001), from_both.into_iter().flatten().collect());
        assert_eq!(stacks.count(17_001), 6);
        assert_eq!(
            stacks.all_from("main", 17_003),
            raised.map(|raised| format!("{raised} > [libc] > on_other_stack > take")).into()
        );
        // `forbidden` was interrupted before its first instruction.
        let fault = "main > survives > begins_with_a_fault > forbidden > [libc] > on_fault > take";
        assert_eq!(stacks.from("main", 17_004), fault);
        assert_eq!(stacks.from("main", 17_005), "main > survives > faults > [libc] > on_middle > take");
        assert_eq!((stacks.from("main", 17_006), stacks.count(17_006)), ("main > survives > take".into(), 2));
        let stopped =
            ["lower", "upper"].map(|function| format!("main > pads > {function} > stops > [libc] > on_stop > take"));
        assert_eq!((stacks.all_from("main", 17_009), stacks.count(17_009)), (stopped.into(), 4 * 4 * 2));
        let overflow = stacks.from("thread", 17_007);
        let (frames, rest) = overflow["thread > overflows*".len()..].split_once(' ').expect("more frames");
        // 60 KiB of frames of 1 000 bytes and some.
        assert!((50..=60).contains(&frames.parse::<u32>().unwrap()), "{overflow}");
        assert_eq!(rest, "> [libc] > on_overflow > take");
        assert_eq!(stacks.from("thread", 17_008), "thread > take");
    }
}

/// What unwinding needs of a stack that is not its own.
#[test]
fn handlers_with_little_stack() {
    let stacks = Stacks::of(program("small_stack.c", "", &["-O2"]).record());
    assert_eq!((stacks.run.stdout(), stacks.run.status.code()), ("alive\n".into(), Some(0)));
    assert_eq!(stacks.from("main", 28_001), "main > [libc] > handler");
}

#[test]
fn interrupted_at_any_instruction() {
    for (kind, flags) in FLAVOURS {
        let stacks = Stacks::agreed(program("interrupted.c", kind, flags).args(["work"]));
        assert_eq!(stacks.count(18_001), 200);
        let names = stacks.all_from("main", 18_001);
        // At least where it is most of the time.
        assert!(names.iter().all(|stack| stack.starts_with("main > work")), "{names:#?}");
        assert!(names.iter().all(|stack| stack.ends_with(" > [libc] > on_timer > take")), "{names:#?}");
        assert!(names.len() > 5, "{names:#?}");
    }
}

#[test]
fn interrupted_in_the_kernels_own_code() {
    let stacks = Stacks::agreed(program("interrupted.c", "_O2", FLAVOURS[2].1).args(["clock"]));
    let names = stacks.all_from("main", 18_001);
    assert!(names.contains("main > clocks > [libc] > [vdso] > [libc] > on_timer > take"), "{names:#?}");
}

/// Most signals come while the thread is in malloc or in the hook. What a handler does then is not recorded; the rest is
/// exact, and so are the stacks of the program afterwards.
#[test]
fn interrupted_while_it_allocates() {
    let program = program("interrupted.c", "_O2", FLAVOURS[2].1).args(["heap"]);
    for verify in ["0", "1"] {
        let stacks = Stacks::of(program.clone().env("HEAPTIDE_VERIFY", verify).record());
        assert!(!stacks.run.stderr().contains("VERIFY"), "{}", stacks.run.stderr());
        let (found, told) = stacks.places(18_002);
        // A mapping's size is what was asked for.
        assert!((1..=200).contains(&found.len()), "{} of {}", found.len(), told.len());
        for stack in found {
            assert!(told.iter().any(|told| told[..] == stack[1..]), "never told: {stack:#?}");
        }
        let of_blocks: BTreeSet<String> =
            (1..3000).filter(|size| stacks.count(*size) > 0).flat_map(|size| stacks.all_from("heap", size)).collect();
        let own = of_blocks.iter().filter(|stack| stack.starts_with("heap > blocks")).count();
        assert_eq!(own, 17, "{of_blocks:#?}");
    }
}

#[test]
fn threads_with_small_stacks() {
    let stacks = Stacks::agreed(program("threads.c", "", &["-O2"]));
    assert_eq!(stacks.from("thread", 1_337), "thread > descend*8 > fill");
    assert_eq!(stacks.count(1_337), 10_000);
    assert_eq!((stacks.from("thread", 19_001), stacks.count(19_001)), ("thread > descend*8 > take".into(), 100));
    assert_eq!((stacks.from("thread", 19_002), stacks.count(19_002)), ("thread > take".into(), 50));
    assert_eq!(stacks.from("", 19_002), "[libc] > thread > take");
}

#[test]
fn coroutines() {
    for (kind, flags) in FLAVOURS {
        let stacks = Stacks::agreed(program("coroutines.c", kind, flags));
        let levels: BTreeSet<String> = (1..=6)
            .map(|depth| if depth == 1 { "runs > level > take".into() } else { format!("runs > level*{depth} > take") })
            .collect();
        assert_eq!(stacks.all_from("runs", 20_100), levels);
        assert_eq!(stacks.count(20_100), 12);
        assert_eq!(stacks.from("main", 20_201), "[libc] > short_lived > take");
        assert_eq!(stacks.from("main", 20_202), "[libc] > next_one > take");
        assert_eq!(stacks.from("main", 20_301), "main > take");
    }
}

/// The same addresses, other functions with other frames.
#[test]
fn libraries_that_take_anothers_place() {
    let library = |name: &str, bytes: u32| {
        let (name_is, frame_is) = (format!("-DNAME={name}"), format!("-DFRAME={bytes}"));
        built("plugin.c", &format!("_{name}.so"), &["-shared", "-fPIC", "-fcf-protection=none", &name_is, &frame_is])
    };
    let stacks =
        Stacks::agreed(program("reloads.c", "", &["-O2"]).args([library("first_one", 304), library("other_one", 400)]));
    assert_eq!(stacks.run.stdout().matches("same place").count(), 5, "the loader chose other places");
    let of = |name: &str| format!("main > uses > entry > {name}*5 > called > take");
    assert_eq!(stacks.all_from("main", 21_001), [of("first_one"), of("other_one")].into());
    assert_eq!(stacks.count(21_001), 18);
}

#[test]
fn blocks_made_while_a_call_is_resolved() {
    let library = built("lazy_library.c", ".so", &["-shared", "-fPIC", "-O2"]);
    let stacks = Stacks::agreed(program("lazy.c", "", &["-O2", "-rdynamic", "-Wl,-z,lazy", library.to_str().unwrap()]));
    assert_eq!(stacks.from("main", 22_001), "main > calls > [ld-linux-x86-64] > resolve > take");
    assert_eq!(stacks.from("main", 22_002), "main > calls > implementation > take");
    assert_eq!(stacks.from("main", 22_003), "main > calls > implementation > take");
}

#[test]
fn before_main_and_after_it() {
    let library = built("early_late.c", "_library.so", &["-shared", "-fPIC", "-O2", "-DLIBRARY"]);
    let stacks = Stacks::agreed(program("early_late.c", "", &["-O2", library.to_str().unwrap()]));
    assert_eq!(stacks.from("", 23_006), "[ld-linux-x86-64] > library_early > take");
    assert_eq!(stacks.from("", 23_001), "_start > [libc] > early > take");
    assert_eq!(stacks.from("", 23_002), "_start > [libc] > main > take");
    assert_eq!(stacks.from("", 23_003), "_start > [libc] > at_exit > take");
    assert_eq!(stacks.from("", 23_004), "_start > [libc] > [ld-linux-x86-64] > late > take");
    assert_eq!(stacks.from("", 23_005), "[libc] > at_thread_exit > take");
    assert_eq!(stacks.from("", 23_007), "_start > [libc] > [ld-linux-x86-64] > library_late > take");
}

/// What has no unwind data ends the stack, visibly; the frames of those that have stay exact.
#[test]
fn code_without_unwind_data() {
    let stacks = Stacks::agreed_but_for_cuts(program("assembly.c", "", &["-O2"]), &[24_001, 24_004]);
    assert_eq!(stacks.from("main", 24_001), "[cut] > without_data > called > take");
    assert_eq!(stacks.from("main", 24_002), "main > runs > with_data > called > take");
    assert_eq!(stacks.from("main", 24_003), "main > runs > with_expression > called > take");
    assert_eq!(stacks.from("main", 24_004), "[cut] > nowhere > called > take");
    assert_eq!(stacks.from("main", 24_005), "main > take");
    assert_eq!((stacks.from("main", 24_006), stacks.count(24_006)), ("[cut] > nowhere".into(), 3));
    stacks.run.heaptide("tree run.bin").exits(0).shows("[native stack cut]");
    assert!(stacks.run.totals().tracer.cut_stacks >= 9, "{}", stacks.run.totals().tracer.cut_stacks);
}

/// Without the table that is searched, unwind data cannot be found: glibc's own unwinder finds nothing either.
#[test]
fn programs_without_a_search_table() {
    let program = program("threads.c", "_no_table", &["-O2", "-Wl,--no-eh-frame-hdr"]);
    let stacks = Stacks::agreed_but_for_cuts(program, &[19_001, 19_002]);
    assert_eq!(stacks.from("main", 19_002), "[cut] > take");
    assert_eq!(stacks.from("main", 1_337), "[cut] > fill");
}

#[test]
fn processes() {
    let stacks = Stacks::agreed(program("children.c", "", &["-O2"]));
    assert_eq!(
        stacks.all_from("main", 25_002),
        ["main > forks*6 > take".into(), "main > forks*6 > deeper > take".into()].into()
    );
    assert_eq!(
        stacks.all_from("main", 25_003),
        ["main > forks*6 > take".into(), "main > executes > take".into()].into()
    );
    assert_eq!((stacks.from("main", 25_004), stacks.count(25_004)), ("main > deeper > take".into(), 2));
    assert_eq!(stacks.from("thread", 25_005), "thread > deeper > take");
}

#[test]
fn through_the_c_library() {
    let stacks = Stacks::agreed(program("through_libraries.c", "", &["-O2"]));
    for (size, function) in
        [(26_001, "compares"), (26_002, "searches"), (26_003, "once"), (26_004, "objects"), (26_005, "destroys")]
    {
        assert_eq!(stacks.from("main", size), format!("main > calls > [libc] > {function} > take"));
    }
    assert_eq!(stacks.from("main", 26_101), "main > allocates > [libc]");
    for size in [26_201, 26_301, 26_401] {
        assert_eq!(stacks.from("main", size), "main > allocates");
    }
}
