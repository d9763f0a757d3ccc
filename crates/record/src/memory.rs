//! What the resident memory of a process consists of: its mappings, each laid to somebody's account, and in those that
//! allocators use page by page what of them live blocks cover. When to look is the session's business.
//!
//! One reading of `/proc/PID/smaps` gives how much of each mapping is resident; all parts together are that, to the byte.
//! `/proc/PID/pagemap` says which pages. The live blocks are those that the collector has read of: a process that goes on
//! meanwhile is a round ahead of them.

mod area;
mod maps;

use crate::heap::Heap;
use area::{Area, PAGE, Parts};
use heaptide_format::allocator::Allocator;
use heaptide_format::capture::{Part, ProcessMemory};
use heaptide_format::ids::ImageIndex;
use maps::Mapping;
use std::collections::HashSet;
use std::fs::{self, File};

/// The heaps that glibc makes beside the first begin at multiples of this (`HEAP_MAX_SIZE`, 64-bit).
const HEAP_ALIGNMENT: u64 = 64 << 20;
/// Blocks of at most so many bytes come from Python's own allocator, larger ones from malloc (`SMALL_REQUEST_THRESHOLD`).
const MOST_OF_OBJECT: u64 = 512;
/// Longest piece of memory without rights in front of a stack that is taken for its guard: glibc's is a page.
const MOST_OF_GUARD: u64 = 64 << 10;
/// What allocators that take the place of glibc's are called: their heads and roundings are others.
const OTHER_ALLOCATORS: [&str; 4] = ["jemalloc", "tcmalloc", "mimalloc", "snmalloc"];

/// A process to look at.
pub struct Subject<'a> {
    /// Its process id.
    pub pid: u32,
    /// Its image.
    pub image: ImageIndex,
    /// Its live blocks.
    pub heap: &'a Heap,
    /// It has a Python interpreter.
    pub is_python: bool,
    /// It was forked: its parent's blocks in it are not known.
    pub forked: bool,
    /// An address on the stack of each of its threads that was traced.
    pub stacks: Vec<u64>,
}

/// Looks at it. `None` if it is gone, or may not be looked at.
pub fn look(subject: &Subject<'_>) -> Option<ProcessMemory> {
    let text = fs::read(format!("/proc/{}/smaps", subject.pid)).ok()?;
    let mappings = maps::parse(&String::from_utf8_lossy(&text));
    let pagemap = File::open(format!("/proc/{}/pagemap", subject.pid)).ok();
    let sum = |of: fn(&Mapping) -> u64| mappings.iter().map(of).sum::<u64>();
    let rss = sum(|mapping| mapping.rss);
    if rss == 0 {
        // It has ended meanwhile.
        return None;
    }
    let mut areas: Vec<Area<'_>> =
        mappings.iter().filter(|mapping| mapping.rss > 0 && is_private_memory(mapping)).map(area_of).collect();
    let is_glibc = !mappings.iter().any(|mapping| OTHER_ALLOCATORS.iter().any(|name| mapping.name.contains(name)));
    let (live, blocks) = fill(&mut areas, &mappings, subject, is_glibc);

    let objects: HashSet<&str> =
        mappings.iter().filter(|mapping| mapping.executable).map(|mapping| mapping.name.as_str()).collect();
    let (mut parts, mut by_page, mut arenas): (Parts, _, _) = (Parts::default(), true, 0);
    let mut areas = areas.iter().peekable();
    for (place, mapping) in mappings.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| &mappings[before]);
        let after = mappings.get(place + 1);
        arenas += u32::from(is_arena(mapping, after));
        match areas.next_if(|area| area.mapping.start == mapping.start) {
            Some(area) => {
                let rest = rest_of(area, subject, before, after, &objects);
                by_page &= area.settle(pagemap.as_ref(), rest, &mut parts) || !area.is_used();
            }
            None => parts[part_of(mapping, &objects) as usize] += mapping.rss,
        }
    }
    let parts = Part::ALL.into_iter().zip(parts).filter(|(_, bytes)| *bytes > 0).collect();
    let (pss, swapped) = (sum(|mapping| mapping.pss), sum(|mapping| mapping.swapped));
    Some(ProcessMemory { image: subject.image, rss, pss, swapped, live, blocks, arenas, by_page, parts })
}

fn area_of(mapping: &Mapping) -> Area<'_> {
    Area::new(mapping, mapping.name == "[heap]" || is_in_heap(mapping))
}

/// Memory that an allocator or the program may have asked for. `[anon:…]` has been given a name by the program.
fn is_private_memory(mapping: &Mapping) -> bool {
    let nameless = mapping.name.is_empty() || mapping.name == "[heap]" || mapping.name.starts_with("[anon:");
    nameless && !mapping.shared && mapping.inode == 0 && !mapping.not_dumped
}

/// Puts what was recorded into the areas. Gives live bytes and blocks.
fn fill(areas: &mut [Area<'_>], mappings: &[Mapping], subject: &Subject<'_>, is_glibc: bool) -> (u64, u64) {
    let (mut live, mut count) = (0u64, 0);
    let mut last = 0;
    for (address, size, allocator) in subject.heap.live_blocks() {
        live = live.saturating_add(size);
        count += 1;
        let Some(area) = find(areas, &mut last, address) else { continue };
        let asked = (address, address + size);
        let is_object = is_of_python(allocator) && size <= MOST_OF_OBJECT && !area.may_be_heap;
        if is_object {
            area.objects += 1;
            area.add(asked, (address, address + size.max(1).next_multiple_of(16)));
        } else if is_glibc && address % PAGE == 16 && !area.may_be_heap {
            // A block with pages of its own: a head of two words, and the rest of the last page.
            area.add(asked, (address - 16, (address + size).next_multiple_of(PAGE)));
        } else {
            area.blocks += 1;
            // A word in front, in all a multiple of two words, four at least.
            let taken = if is_glibc { (size + 8).next_multiple_of(16).max(32) - 8 } else { size };
            area.add(asked, (address - if is_glibc { 8 } else { 0 }, address + taken));
        }
    }
    for (start, end, allocator, like_an_arena) in subject.heap.live_pieces() {
        let is_python_arena = allocator == Allocator::Mmap && like_an_arena && subject.is_python;
        let mapping = &mappings.get(mappings.partition_point(|mapping| mapping.end <= start));
        let is_shared = mapping.is_some_and(|mapping| mapping.shared && mapping.start <= start);
        // What is a part of its own here is not among the bytes that could be requested and not resident.
        if allocator.is_heap() && !is_python_arena && !is_shared {
            live = live.saturating_add(end - start);
            count += 1;
        }
        // A mapping may have been cut into several since, or lie with others in one.
        let first = areas.partition_point(|area| area.mapping.end <= start);
        for area in areas[first..].iter_mut().take_while(|area| area.mapping.start < end) {
            match allocator {
                _ if is_python_arena => area.add_arena(start, end),
                Allocator::Mmap | Allocator::Brk => area.add((start, end), (start, end)),
                Allocator::MmapStack => area.add_stack(start, end),
                _ => {}
            }
        }
    }
    (live, count)
}

/// The area in which an address lies. Blocks that are met one after the other mostly lie in the same one.
fn find<'f, 'a>(areas: &'f mut [Area<'a>], last: &mut usize, address: u64) -> Option<&'f mut Area<'a>> {
    let holds = |area: &Area<'_>| (area.mapping.start..area.mapping.end).contains(&address);
    if !areas.get(*last).is_some_and(holds) {
        *last = areas.partition_point(|area| area.mapping.end <= address);
    }
    areas.get_mut(*last).filter(|area| (area.mapping.start..area.mapping.end).contains(&address))
}

fn is_of_python(allocator: Allocator) -> bool {
    // The raw domain is malloc.
    allocator.number() >= Allocator::PyMemMalloc.number()
}

/// Whether this is the used part of one of glibc's further heaps: it begins at a multiple of their size, and what is reserved
/// for its growth follows.
fn is_arena(mapping: &Mapping, after: Option<&Mapping>) -> bool {
    let next = mapping.start.saturating_add(HEAP_ALIGNMENT);
    is_in_heap(mapping)
        && (mapping.end == next
            || after.is_some_and(|after| after.start == mapping.end && !after.accessible && after.end <= next))
}

/// Whether it may be.
fn is_in_heap(mapping: &Mapping) -> bool {
    mapping.start.is_multiple_of(HEAP_ALIGNMENT) && mapping.end - mapping.start <= HEAP_ALIGNMENT
}

/// Whose those bytes of an area are that no block covers.
fn rest_of(
    area: &Area<'_>,
    subject: &Subject<'_>,
    before: Option<&Mapping>,
    after: Option<&Mapping>,
    objects: &HashSet<&str>,
) -> Part {
    let mapping = area.mapping;
    let kept = if subject.forked { Part::Inherited } else { Part::Kept };
    if mapping.name == "[heap]" || is_arena(mapping, after) {
        return kept;
    }
    if area.objects > 0 {
        return Part::PythonArenas;
    }
    if area.blocks > 0 {
        return kept;
    }
    let has_stack = subject.stacks.iter().any(|stack| (mapping.start..mapping.end).contains(stack));
    let touches = |before: &&Mapping| before.end == mapping.start;
    let is_guard =
        |before: &Mapping| !before.accessible && before.inode == 0 && before.end - before.start <= MOST_OF_GUARD;
    let before = before.filter(touches);
    if !area.is_used() && (has_stack || before.is_some_and(is_guard)) {
        return Part::Stacks;
    }
    // Variables without a value in the file.
    if before.is_some_and(|before| before.inode != 0 && objects.contains(before.name.as_str())) {
        return Part::Objects;
    }
    Part::Anonymous
}

/// Whose a mapping is that is not looked at more closely.
fn part_of(mapping: &Mapping, objects: &HashSet<&str>) -> Part {
    let name = mapping.name.as_str();
    let base = name.strip_suffix(" (deleted)").unwrap_or(name).rsplit('/').next().unwrap_or_default();
    match () {
        () if mapping.not_dumped && mapping.inode == 0 && !mapping.shared => Part::Tracer,
        () if base == "memfd:heaptide" || base.starts_with("libheaptide") || base.starts_with("heaptide-") => {
            Part::Tracer
        }
        () if name.starts_with("[stack") => Part::Stacks,
        // [vdso] and the like.
        () if name.starts_with('[') => Part::Objects,
        () if objects.contains(name) => Part::Objects,
        () if mapping.shared && is_memory(name) => Part::Shared,
        () if mapping.inode != 0 && !is_memory(name) => Part::Files,
        () if mapping.shared => Part::Shared,
        () => Part::Anonymous,
    }
}

/// Whether a file is but memory: what shared memory is made of.
fn is_memory(name: &str) -> bool {
    ["/dev/shm/", "/dev/zero", "/memfd:", "/SYSV", "/anon_hugepage"].iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(start: u64, end: u64, name: &str) -> Mapping {
        Mapping {
            start,
            end,
            accessible: true,
            name: name.into(),
            inode: u64::from(name.contains('/')),
            ..Mapping::default()
        }
    }

    #[test]
    fn mappings_are_known_by_their_names() {
        let objects = HashSet::from(["/usr/lib/libc.so.6", ""]);
        let check = |name: &str, shared, part| {
            let mapping = Mapping { shared, ..mapping(0x1000, 0x2000, name) };
            assert_eq!(part_of(&mapping, &objects), part, "{name}");
        };
        check("/usr/lib/libc.so.6", false, Part::Objects);
        check("[vdso]", false, Part::Objects);
        check("[stack]", false, Part::Stacks);
        check("/usr/lib/locale/C.utf8/LC_CTYPE", false, Part::Files);
        check("/var/data", true, Part::Files);
        check("/dev/shm/one", true, Part::Shared);
        check("/dev/zero (deleted)", true, Part::Shared);
        check("/SYSV00000000 (deleted)", true, Part::Shared);
        check("/memfd:heaptide (deleted)", true, Part::Tracer);
        check("/home/me/.cache/heaptide/libheaptide-0123456789abcdef.so", false, Part::Tracer);
    }

    #[test]
    fn a_further_heap_of_glibc_is_known_by_its_place() {
        let heap = mapping(0x7F00_0000_0000, 0x7F00_0002_1000, "");
        let reserved = Mapping { accessible: false, ..mapping(0x7F00_0002_1000, 0x7F00_0400_0000, "") };
        assert!(is_arena(&heap, Some(&reserved)));
        assert!(!is_arena(&heap, Some(&Mapping { accessible: true, ..reserved.clone() })));
        assert!(!is_arena(&mapping(0x7F00_0000_1000, 0x7F00_0002_1000, ""), Some(&reserved)));
    }
}
