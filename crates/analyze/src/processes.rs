//! The processes of a run: who began whom, and what each had of the peak of all together.

use crate::Capture;
use heaptide_format::capture::definitions::ImageDef;
use heaptide_format::capture::summary::{Amount, ImageTotals};

/// One process, or one of the programs that a process ran one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    /// Its definition.
    pub image: &'a ImageDef,
    /// Its numbers.
    pub totals: ImageTotals,
    /// What it had live at the one instant at which all processes together had the most.
    pub at_peak: Amount,
    /// How many processes above it began one another: 0 for the first.
    pub depth: usize,
}

/// All processes, each after the one that began it and before what that one began later.
pub fn outline(capture: &Capture) -> Vec<Process<'_>> {
    let (images, totals) = (capture.names.images(), &capture.account.images);
    let mut at_peak = vec![Amount::default(); images.len()];
    for row in &capture.account.rows {
        if let Some(amount) = at_peak.get_mut(row.image.index()) {
            amount.bytes = amount.bytes.saturating_add(row.at_peak.bytes);
            amount.count = amount.count.saturating_add(row.at_peak.count);
        }
    }
    let order = in_order(images).into_iter();
    order
        .map(|(index, depth)| Process {
            image: &images[index],
            totals: totals.get(index).copied().unwrap_or_default(),
            at_peak: at_peak[index],
            depth,
        })
        .collect()
}

/// Places of the images with their depth.
fn in_order(images: &[ImageDef]) -> Vec<(usize, usize)> {
    let mut children = vec![Vec::new(); images.len()];
    let mut pending = Vec::new();
    // From the last on, so that the first lies on top.
    for (index, image) in images.iter().enumerate().rev() {
        // Whoever is not defined before its child is no parent: nothing goes round in circles.
        match image.parent.map(|parent| parent.index()).filter(|parent| *parent < index) {
            Some(parent) => children[parent].push(index),
            None => pending.push((index, 0)),
        }
    }
    let mut order = Vec::new();
    while let Some((index, depth)) = pending.pop() {
        order.push((index, depth));
        pending.extend(children[index].iter().map(|child| (*child, depth + 1)));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::capture::definitions::ImageOrigin;
    use heaptide_format::ids::{ImageIndex, Nanos, StringId};

    fn image(parent: Option<u32>) -> ImageDef {
        ImageDef {
            pid: 1,
            parent: parent.map(ImageIndex),
            origin: ImageOrigin::Fork,
            program: StringId(0),
            arguments: Vec::new(),
            python: 0,
            started: Nanos(0),
        }
    }

    #[test]
    fn children_stand_below_their_parents() {
        let images = [None, Some(0), Some(0), Some(1), None, Some(2)].map(image);
        assert_eq!(in_order(&images), [(0, 0), (1, 1), (3, 2), (2, 1), (5, 2), (4, 0)]);
    }

    #[test]
    fn parents_that_are_none_do_no_harm() {
        let images = [Some(1), Some(0), Some(2), Some(99)].map(image);
        assert_eq!(in_order(&images), [(0, 0), (1, 1), (2, 0), (3, 0)]);
    }
}
