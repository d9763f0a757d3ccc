//! The part of the page's data that is about Python objects by type, at each census of the run.
//!
//! It is written as it stands here. `assets/data_types.js` reads it.

use serde::Serialize;

/// What the censuses of a run say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TypesSection {
    /// The frames of the stacks below, which are others than those of the call tree.
    pub frames: TypeFrames,
    /// The processes that had censuses, at least one.
    pub processes: Vec<ProcessTypes>,
}

/// Columns, one value for each frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TypeFrames {
    /// Name of the function.
    pub function: Vec<String>,
    /// Its source file; empty: not known.
    pub file: Vec<String>,
    /// Line in it, from 1; 0: not known.
    pub line: Vec<u32>,
}

/// The censuses of one process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProcessTypes {
    /// Which; a process that executed another program is there twice.
    pub pid: u32,
    /// Its censuses, the earliest first, at least one.
    pub censuses: CensusColumns,
    /// Its types.
    pub types: TypeColumns,
    /// What is known of objects that were new, for some of the types.
    pub new: Vec<NewObjects>,
    /// Types that are not in the page: those that grew least.
    pub left_out: usize,
}

/// Columns, one value for each census.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CensusColumns {
    /// Why it was made: "period", "exit", "mark" or "peak".
    pub reason: Vec<&'static str>,
    /// When, in nanoseconds after the start of the run.
    pub time_ns: Vec<u64>,
    /// Objects of all types.
    pub objects: Vec<u64>,
    /// Their bytes.
    pub bytes: Vec<u64>,
    /// For how long the program stood still, in nanoseconds.
    pub cost_ns: Vec<u64>,
    /// Bytes that the tracer held for it.
    pub own_bytes: Vec<u64>,
    /// It does not have all objects.
    pub cut: Vec<bool>,
}

/// Columns, one value for each type: those that grow steadily first, then by growth.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TypeColumns {
    /// `module.qualified name`.
    pub name: Vec<String>,
    /// It grows steadily.
    pub steady: Vec<bool>,
    /// The censuses at which its numbers changed, ascending; before the first there were no objects.
    pub at: Vec<Vec<usize>>,
    /// Objects from then on, as many.
    pub objects: Vec<Vec<u64>>,
    /// Their bytes, likewise.
    pub bytes: Vec<Vec<u64>>,
}

/// New objects of a type.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NewObjects {
    /// Which type: its place in the columns.
    pub of: usize,
    /// At which census.
    pub census: usize,
    /// How many were new since the one before; 0: there were none, and what is told is told of the largest.
    pub count: u64,
    /// So many had their blocks looked up.
    pub looked_up: u64,
    /// How they are held: whether the way ends where Python begins, and its steps from the object outwards.
    pub holders: Vec<(bool, Vec<String>)>,
    /// Where those looked up were allocated: how many, and the frames, innermost first.
    pub stacks: Vec<(u64, Vec<u32>)>,
}

/// Most types of a process in a page.
pub const MOST_TYPES: usize = 2000;

impl TypesSection {
    /// Says what is wrong with it, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        let frames = self.frames.function.len();
        if self.frames.file.len() != frames || self.frames.line.len() != frames {
            return Err("the frames of the types have not one value each".to_owned());
        }
        for ProcessTypes { pid, censuses, types, new, .. } in &self.processes {
            let taken = censuses.reason.len();
            let of_census = [
                censuses.time_ns.len(),
                censuses.objects.len(),
                censuses.bytes.len(),
                censuses.cost_ns.len(),
                censuses.own_bytes.len(),
                censuses.cut.len(),
            ];
            if taken == 0 || of_census.iter().any(|length| *length != taken) {
                return Err(format!("the censuses of process {pid} have not one value each"));
            }
            let count = types.name.len();
            let of_type = [types.steady.len(), types.at.len(), types.objects.len(), types.bytes.len()];
            let changes = types.at.iter().zip(&types.objects).zip(&types.bytes);
            let equal = |((at, objects), bytes): ((&Vec<usize>, &Vec<u64>), &Vec<u64>)| {
                at.len() == objects.len() && at.len() == bytes.len() && at.iter().all(|at| *at < taken)
            };
            if of_type.iter().any(|length| *length != count) || !changes.into_iter().all(equal) {
                return Err(format!("the types of process {pid} have not one value each"));
            }
            let known = |new: &NewObjects| {
                let mut of_stacks = new.stacks.iter().flat_map(|stack| &stack.1);
                new.of < count && new.census < taken && of_stacks.all(|frame| (*frame as usize) < frames)
            };
            if !new.iter().all(known) {
                return Err(format!("the new objects of process {pid} are of nothing"));
            }
        }
        Ok(())
    }
}
