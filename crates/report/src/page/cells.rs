//! The cells of a page: its nodes by thread and by the function that was called. Those of a course are of stacks, of which several
//! may be one node, and there may be more of them than a page can hold: a server that has a thread for each request has all its
//! stacks once for each of them. Then only the threads that allocated the most are told apart.

use crate::html::PageCell;
use heaptide_analyze::course::Course;
use heaptide_analyze::profile::Profile;
use heaptide_format::ids::{ImageIndex, ThreadIndex};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Cells beyond which threads are put together: with some rows for each there would be more than a page has room for.
const MOST_CELLS: usize = 100_000;
/// Threads that are told apart then.
const APART: usize = 32;

/// The cells of a course, as a page numbers them.
pub(super) struct Cells {
    pub(super) images: Vec<ImageIndex>,
    /// Places in `images`, and `None` for the others of that image.
    pub(super) threads: Vec<(u32, Option<ThreadIndex>)>,
    pub(super) allocators: Vec<&'static str>,
    pub(super) cells: Vec<PageCell>,
    /// By place in [`Course::cells`]: its place in `cells`.
    pub(super) places: Vec<u32>,
}

impl Cells {
    /// Of a course and the profile of the same run; `bare` is the node of what has no stack.
    pub(super) fn of(course: &Course, profile: &Profile, bare: Option<u32>) -> Self {
        let all = Self::with_threads(course, profile, bare, |_| true);
        if all.cells.len() <= MOST_CELLS || all.threads.len() <= APART {
            return all;
        }
        let together = small_threads(course);
        Self::with_threads(course, profile, bare, |thread| !together.contains(&thread))
    }

    fn with_threads(
        course: &Course,
        profile: &Profile,
        bare: Option<u32>,
        is_apart: impl Fn((ImageIndex, ThreadIndex)) -> bool,
    ) -> Self {
        let mut images = Numbered::<ImageIndex>::default();
        let mut threads = Numbered::<(u32, Option<ThreadIndex>)>::default();
        let mut allocators = Numbered::<&'static str>::default();
        let mut cells = Numbered::<PageCell>::default();
        // Stacks that differ only in instructions of one line are one node.
        let places = course.cells.iter().map(|cell| {
            let node = profile.places.get(cell.stack.index()).copied().flatten().map(|node| node.0).or(bare);
            let image = images.number(cell.image);
            let thread = Some(cell.thread).filter(|thread| is_apart((cell.image, *thread)));
            cells.number(PageCell {
                // What has no stack has a node if there is any such.
                node: node.unwrap_or(u32::MAX),
                thread: Some(threads.number((image, thread))),
                allocator: Some(allocators.number(cell.allocator.name()) as u8),
            })
        });
        let places = places.collect();
        Self { images: images.all, threads: threads.all, allocators: allocators.all, cells: cells.all, places }
    }
}

/// All threads but those that allocated the most bytes and those that are the only one left of their image. In a window there is also
/// one that stands for all that allocated before; nothing was allocated by it.
fn small_threads(course: &Course) -> HashSet<(ImageIndex, ThreadIndex)> {
    let mut allocated = HashMap::<(ImageIndex, ThreadIndex), u64>::new();
    for flow in &course.flows {
        let cell = &course.cells[flow.cell as usize];
        let sum = allocated.entry((cell.image, cell.thread)).or_default();
        *sum = sum.saturating_add(flow.allocated.bytes);
    }
    let mut threads: Vec<_> = allocated.into_iter().collect();
    // Of equal ones those that came first, so that the same capture always gives the same page.
    threads.sort_unstable_by_key(|((image, thread), bytes)| (Reverse(*bytes), image.index(), thread.index()));
    let others = &threads[APART.min(threads.len())..];
    let mut of_image = HashMap::<ImageIndex, usize>::new();
    others.iter().for_each(|((image, _), _)| *of_image.entry(*image).or_default() += 1);
    others.iter().map(|(thread, _)| *thread).filter(|(image, _)| of_image[image] > 1).collect()
}

/// Things in the order in which they were first met, each with its number.
struct Numbered<T> {
    numbers: HashMap<T, u32>,
    all: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), all: Vec::new() }
    }
}

impl<T: Copy + Eq + Hash> Numbered<T> {
    fn number(&mut self, thing: T) -> u32 {
        *self.numbers.entry(thing).or_insert_with(|| {
            self.all.push(thing);
            self.all.len() as u32 - 1
        })
    }
}
