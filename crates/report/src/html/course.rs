//! The course of a run in the page's data, see the table in [`super::data`].

use super::PageCourse;
use heaptide_analyze::course::{Flow, Life};
use heaptide_format::capture::summary::Amount;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct CourseData {
    instants: InstantColumns,
    peaks_at: HighestColumns,
    lives: LifeColumns,
    late: LifeColumns,
    flows: PartColumns<u64>,
    brief: PartColumns<u64>,
    peaks: PartColumns<i64>,
    leaked: LeakedColumns,
}

#[derive(Serialize)]
struct InstantColumns {
    nanos: Vec<u64>,
    live: Vec<u64>,
    mark: Vec<i64>,
}

#[derive(Serialize)]
struct HighestColumns {
    bytes: Vec<u64>,
    nanos: Vec<u64>,
}

#[derive(Serialize)]
struct LifeColumns {
    cell: Vec<u32>,
    born: Vec<i16>,
    died: Vec<i16>,
    bytes: Vec<u64>,
    counts: Vec<u64>,
}

#[derive(Serialize)]
struct PartColumns<T> {
    cell: Vec<u32>,
    part: Vec<i16>,
    bytes: Vec<T>,
    counts: Vec<T>,
}

#[derive(Serialize)]
struct LeakedColumns {
    cell: Vec<u32>,
    born: Vec<i16>,
    bytes: Vec<u64>,
    counts: Vec<u64>,
}

/// In columns.
pub(super) fn course_data(course: &PageCourse) -> CourseData {
    let some = |amount: &Amount| *amount != Amount::default();
    let lives = |amount: fn(&Life) -> Amount| {
        let rows: Vec<(&Life, Amount)> =
            course.lives.iter().map(|life| (life, amount(life))).filter(|(_, amount)| some(amount)).collect();
        LifeColumns {
            cell: rows.iter().map(|(life, _)| life.cell).collect(),
            born: rows.iter().map(|(life, _)| life.born).collect(),
            died: rows.iter().map(|(life, _)| life.died).collect(),
            bytes: rows.iter().map(|(_, amount)| amount.bytes).collect(),
            counts: rows.iter().map(|(_, amount)| amount.count).collect(),
        }
    };
    let flows = |amount: fn(&Flow) -> Amount| {
        let rows: Vec<(&Flow, Amount)> =
            course.flows.iter().map(|flow| (flow, amount(flow))).filter(|(_, amount)| some(amount)).collect();
        PartColumns {
            cell: rows.iter().map(|(flow, _)| flow.cell).collect(),
            part: rows.iter().map(|(flow, _)| flow.part).collect(),
            bytes: rows.iter().map(|(_, amount)| amount.bytes).collect(),
            counts: rows.iter().map(|(_, amount)| amount.count).collect(),
        }
    };
    CourseData {
        instants: InstantColumns {
            nanos: course.instants.iter().map(|instant| instant.nanos).collect(),
            live: course.instants.iter().map(|instant| instant.live).collect(),
            mark: course.instants.iter().map(|instant| instant.mark.map_or(-1, i64::from)).collect(),
        },
        peaks_at: HighestColumns {
            bytes: course.peaks_at.iter().map(|peak| peak.bytes).collect(),
            nanos: course.peaks_at.iter().map(|peak| peak.at.0).collect(),
        },
        lives: lives(|life| life.amount),
        late: lives(|life| life.temporary),
        flows: flows(|flow| flow.allocated),
        brief: flows(|flow| flow.temporary),
        peaks: PartColumns {
            cell: course.peaks.iter().map(|peak| peak.cell).collect(),
            part: course.peaks.iter().map(|peak| peak.part).collect(),
            bytes: course.peaks.iter().map(|peak| peak.bytes).collect(),
            counts: course.peaks.iter().map(|peak| peak.count).collect(),
        },
        leaked: LeakedColumns {
            cell: course.leaked.iter().map(|leaked| leaked.cell).collect(),
            born: course.leaked.iter().map(|leaked| leaked.born).collect(),
            bytes: course.leaked.iter().map(|leaked| leaked.amount.bytes).collect(),
            counts: course.leaked.iter().map(|leaked| leaked.amount.count).collect(),
        },
    }
}
