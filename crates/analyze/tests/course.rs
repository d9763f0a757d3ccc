//! The course of a run, or of a window: what it says of any window between two of its instants is what a replay of that
//! window says.

use crate::windows::Story;
use heaptide_analyze::Capture;
use heaptide_analyze::course::{Course, Division};
use heaptide_analyze::instants::{Position, Span};
use heaptide_format::capture::summary::Amount;
use heaptide_format::ids::{ImageIndex, StackId};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Peak, leaked, allocated and temporary of each row.
type Rows = BTreeMap<(ImageIndex, StackId), [Amount; 4]>;

/// What a replay of the window says.
fn replayed(capture: &Capture, from: Position, to: Position) -> Rows {
    let replayed = capture.replay(Span::Between(from, to), 1, (), &mut |_| {}).unwrap();
    let mut rows = Rows::new();
    for row in &replayed.account.rows {
        let amounts = rows.entry((row.image, row.stack)).or_default();
        (amounts[0], amounts[1], amounts[2]) = (row.at_peak, row.leaked, row.allocated);
    }
    for (image, stack, amount) in replayed.temporary {
        rows.entry((image, stack)).or_default()[3] += amount;
    }
    rows.retain(|_, amounts| *amounts != [Amount::default(); 4]);
    rows
}

/// What the course says of the window between two of its instants. The page adds up the same (assets/course.js).
fn added_up(course: &Course, from: usize, to: usize) -> Rows {
    let parts = from..to;
    let mut sums = vec![[Amount::default(); 4]; course.cells.len()];
    let highest = parts.clone().rev().max_by_key(|part| course.peaks_at[*part].bytes);
    for (sums, live) in sums.iter_mut().zip(course.live_at(highest.unwrap_or(from))) {
        sums[0] = live;
    }
    for peak in course.peaks.iter().filter(|peak| Some(peak.part as usize) == highest) {
        let at_peak = &mut sums[peak.cell as usize][0];
        at_peak.bytes = at_peak.bytes.checked_add_signed(peak.bytes).expect("not less than nothing");
        at_peak.count = at_peak.count.checked_add_signed(peak.count).expect("not less than nothing");
    }
    let ended = |cell: u32| course.ended[course.cells[cell as usize].image.index()];
    let (from, to) = (from as i16, to as i16);
    for life in &course.lives {
        let (born, died) = (life.born, life.died);
        if born >= from && born < to && died >= to && ended(life.cell).is_none_or(|ended| ended >= to) {
            sums[life.cell as usize][1] += life.amount;
        }
        if born >= from && died < to {
            sums[life.cell as usize][3] += life.temporary;
        }
    }
    for leaked in &course.leaked {
        if leaked.born >= from && ended(leaked.cell).is_some_and(|end| (from..to).contains(&end)) {
            sums[leaked.cell as usize][1] += leaked.amount;
        }
    }
    for flow in course.flows.iter().filter(|flow| parts.contains(&(flow.part as usize))) {
        sums[flow.cell as usize][2] += flow.allocated;
        sums[flow.cell as usize][3] += flow.temporary;
    }
    let mut rows = Rows::new();
    for (cell, amounts) in course.cells.iter().zip(sums) {
        let row = rows.entry((cell.image, cell.stack)).or_default();
        row.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
    }
    rows.retain(|_, amounts| *amounts != [Amount::default(); 4]);
    rows
}

/// Parts between its ends and regular times.
fn regular_parts(course: &Course) -> usize {
    course.instants.iter().filter(|instant| instant.mark.is_none()).count() - 1
}

/// Every answer of the course, of the run or window between these places, beside that of a replay; of these windows, and of
/// all. `most`: rows that it is limited to in the end.
fn check(
    capture: &Capture,
    (start, end): (Position, Position),
    windows: &[(prop::sample::Index, prop::sample::Index)],
    division: Division,
    most: usize,
) -> Result<Course, TestCaseError> {
    let span = if (start, end) == (Position::Start, Position::End) { Span::Whole } else { Span::Between(start, end) };
    let (mut course, ()) = Course::of(capture, (span, division), None, 1, (), &mut |_| {}).unwrap();
    let unlimited = course.clone();
    prop_assert_eq!(&course.damage, &None);
    for limited in [false, true] {
        if limited {
            course.limit(most, 0);
            prop_assert!(course.rows() <= most || regular_parts(&course) == 1);
        }
        prop_assert_eq!(course.instants.len(), course.parts() + 1);
        let of = |(from, to): &(prop::sample::Index, prop::sample::Index)| {
            let (from, to) = (from.index(course.parts() + 1), to.index(course.parts() + 1));
            (from.min(to), from.max(to))
        };
        for (from, to) in windows.iter().map(of).filter(|(from, to)| from < to).chain([(0, course.parts())]) {
            let [start, end] = [from, to].map(|instant| course.instants[instant].position);
            prop_assert_eq!(added_up(&course, from, to), replayed(capture, start, end), "{} to {}", from, to);
        }
        for (place, instant) in course.instants.iter().enumerate().take(course.parts()) {
            let live: Amount = course.live_at(place).into_iter().sum();
            prop_assert_eq!(live.bytes, instant.live);
        }
        // Each cell's own sums are those of the window that is all.
        let mut rows = Rows::new();
        for (cell, amounts) in course.cells.iter().zip(course.whole()) {
            let row = rows.entry((cell.image, cell.stack)).or_default();
            row.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
        }
        rows.retain(|_, amounts| *amounts != [Amount::default(); 4]);
        prop_assert_eq!(rows, replayed(capture, start, end));
    }
    Ok(unlimited)
}

proptest! {
    #[test]
    fn any_window_of_it_is_what_a_replay_says(
        steps in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..200),
        windows in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 3),
        most in 0usize..200,
        rows in 0usize..200,
        rows_of_a_cell in 0usize..4,
    ) {
        let capture = Capture::from_bytes(Story::of(&steps).finish()).unwrap();
        let whole = (Position::Start, Position::End);
        let course = check(&capture, whole, &windows, Division::FINE, most)?;
        // Parts that are put together while there are more to come are those that would be put together in the end.
        let roughly = check(&capture, whole, &windows, Division { rows, rows_of_a_cell, ..Division::FINE }, most)?;
        let mut limited = course.clone();
        limited.limit(0, regular_parts(&roughly));
        prop_assert_eq!(&limited, &roughly);
        // Within one of its windows, there are as many instants again.
        let instant = |index: &prop::sample::Index| index.index(course.parts() + 1);
        let (from, to) = (instant(&windows[0].0), instant(&windows[0].1));
        let [start, end] = [from.min(to), from.max(to)].map(|place| course.instants[place].position);
        if start != end {
            check(&capture, (start, end), &windows, Division::FINE, most)?;
        }
    }
}
