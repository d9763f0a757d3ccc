//! Which line of a function after is which line of it before.
//!
//! A line is known by how far it is from the first line of its function, and by what stands in it, if both sides' source
//! files could be read. In this order, what is matched is out of it:
//!
//! 1. by text: lines of which both sides have equally many, one after the other;
//! 2. by distance, unless the texts are known and differ;
//! 3. by text: the others, as far as both sides have them;
//! 4. by distance: the line was edited.
//!
//! The body of a module begins at its first line, so without source text an insertion moves all lines below it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A line of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number in the file; 0 if not known.
    pub(super) number: u32,
    /// Which of the functions of this name in the file it is in, in the order of their lines; and how far below its first
    /// line. Of native code, whose first lines are not known, the line's number.
    pub(super) place: (usize, i64),
    /// What stands there, if that is known.
    pub(super) text: Option<Arc<str>>,
}

/// For numbers of lines before, those after; both in ascending order, each number once.
pub(super) fn match_lines(before: &[Line], after: &[Line]) -> BTreeMap<u32, u32> {
    let mut lines =
        Matching { before, after, open: [vec![true; before.len()], vec![true; after.len()]], found: BTreeMap::new() };
    lines.by_text(|before, after| before == after);
    lines.by_place(|before, after| match (&before.text, &after.text) {
        (Some(before), Some(after)) => before == after,
        _ => true,
    });
    lines.by_text(|_, _| true);
    lines.by_place(|_, _| true);
    lines.found
}

struct Matching<'l> {
    before: &'l [Line],
    after: &'l [Line],
    open: [Vec<bool>; 2],
    found: BTreeMap<u32, u32>,
}

impl Matching<'_> {
    fn by_text(&mut self, enough: impl Fn(usize, usize) -> bool) {
        let mut by_text: BTreeMap<Arc<str>, [Vec<usize>; 2]> = BTreeMap::new();
        for (side, lines) in [self.before, self.after].into_iter().enumerate() {
            for (place, line) in lines.iter().enumerate().filter(|(place, _)| self.open[side][*place]) {
                if let Some(text) = &line.text {
                    by_text.entry(text.clone()).or_default()[side].push(place);
                }
            }
        }
        for [before, after] in by_text.into_values().filter(|[before, after]| enough(before.len(), after.len())) {
            before.into_iter().zip(after).for_each(|(before, after)| self.pair(before, after));
        }
    }

    fn by_place(&mut self, fits: impl Fn(&Line, &Line) -> bool) {
        let mut places: BTreeMap<(usize, i64), usize> = BTreeMap::new();
        for (place, line) in self.after.iter().enumerate().filter(|(place, _)| self.open[1][*place]) {
            places.entry(line.place).or_insert(place);
        }
        for (place, line) in self.before.iter().enumerate() {
            if let Some(other) = places.get(&line.place).copied()
                && self.open[0][place]
                && self.open[1][other]
                && fits(line, &self.after[other])
            {
                self.pair(place, other);
            }
        }
    }

    fn pair(&mut self, before: usize, after: usize) {
        (self.open[0][before], self.open[1][after]) = (false, false);
        self.found.insert(self.before[before].number, self.after[after].number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a function as `number` or `number=text`, the first line is that given; pairs of numbers.
    fn check(before: (i64, &str), after: (i64, &str), expected: &[(u32, u32)]) {
        let side = |(first, text): (i64, &str)| -> Vec<Line> {
            let line = |word: &str| {
                let (number, text) = word.split_once('=').map_or((word, None), |(n, text)| (n, Some(text.into())));
                let number: u32 = number.parse().unwrap();
                Line { number, place: (0, i64::from(number) - first), text }
            };
            text.split(' ').map(line).collect()
        };
        let found: Vec<(u32, u32)> = match_lines(&side(before), &side(after)).into_iter().collect();
        assert_eq!(found, expected);
        let back: BTreeMap<u32, u32> =
            match_lines(&side(after), &side(before)).into_iter().map(|(b, a)| (a, b)).collect();
        assert_eq!(back.into_iter().collect::<Vec<_>>(), expected, "the other way round");
    }

    #[test]
    fn a_function_that_moved() {
        check((10, "11 12 15"), (30, "31 32 35"), &[(11, 31), (12, 32), (15, 35)]);
        check((10, "11=a 12=b"), (30, "31=a 32=b"), &[(11, 31), (12, 32)]);
    }

    #[test]
    fn a_line_that_was_inserted() {
        // Between; one side only has allocations there.
        check((1, "2=a 3=b"), (1, "2=a 3=new 4=b"), &[(2, 2), (3, 4)]);
        // Known by nothing but its place.
        check((1, "2 3"), (1, "2 3 4"), &[(2, 2), (3, 3)]);
        // Two lines of one text, two lines further down: not the second with the first.
        check((1, "3=t 5=t"), (1, "5=t 7=t"), &[(3, 5), (5, 7)]);
    }

    #[test]
    fn a_line_that_was_edited() {
        check((1, "2=load(1) 3=b"), (1, "2=load(2) 3=b"), &[(2, 2), (3, 3)]);
        // One side's source is not there.
        check((1, "2=a 3=b"), (1, "2 3"), &[(2, 2), (3, 3)]);
    }

    #[test]
    fn what_only_one_side_has_stays_alone() {
        check((1, "2=a 3=b"), (1, "2=a 9=c"), &[(2, 2)]);
    }
}
