//! Python objects by type, as the page has them.

use crate::context::Context;
use crate::html::{CensusColumns, MOST_TYPES, NewObjects, ProcessTypes, TypeColumns, TypeFrames, TypesSection};
use crate::types::{OfImage, Stacks, of_context, reason};
use heaptide_analyze::types::TypeGrowth;

/// What the censuses of a capture say; `None` if it has none.
pub fn types_section(context: &Context<'_>) -> Option<TypesSection> {
    let (images, stacks) = of_context(context);
    if images.is_empty() {
        return None;
    }
    let mut frames = TypeFrames::default();
    for frame in stacks.frames() {
        frames.function.push(frame.function.as_ref().into());
        frames.file.push(frame.file.as_ref().into());
        frames.line.push(frame.line);
    }
    Some(TypesSection { frames, processes: images.iter().map(|image| process(image, &stacks)).collect() })
}

fn process(OfImage { pid, types }: &OfImage, stacks: &Stacks<'_>) -> ProcessTypes {
    let mut censuses = CensusColumns::default();
    for taken in &types.taken {
        censuses.reason.push(reason(taken.reason));
        censuses.time_ns.push(taken.time.0);
        censuses.objects.push(taken.objects);
        censuses.bytes.push(taken.bytes);
        censuses.cost_ns.push(taken.cost.0);
        censuses.own_bytes.push(taken.own_bytes);
        censuses.cut.push(taken.cut);
    }
    let mut columns = TypeColumns::default();
    let mut new = Vec::new();
    let shown = &types.types[..types.types.len().min(MOST_TYPES)];
    for (of, growth) in shown.iter().enumerate() {
        columns.name.push(growth.name.clone());
        columns.steady.push(growth.is_steady());
        columns.at.push(growth.changes.iter().map(|(at, _)| *at).collect());
        columns.objects.push(growth.changes.iter().map(|(_, counted)| counted.count).collect());
        columns.bytes.push(growth.changes.iter().map(|(_, counted)| counted.bytes).collect());
        new.extend(new_objects(of, growth, stacks));
    }
    ProcessTypes { pid: *pid, censuses, types: columns, new, left_out: types.types.len() - shown.len() }
}

fn new_objects(of: usize, growth: &TypeGrowth, stacks: &Stacks<'_>) -> Option<NewObjects> {
    let new = growth.new.as_ref()?;
    Some(NewObjects {
        of,
        census: new.census,
        count: new.count,
        looked_up: new.looked_up,
        holders: new.holders.iter().map(|way| (way.is_rooted, way.steps.clone())).collect(),
        stacks: new.stacks.iter().map(|(stack, count)| (*count, stacks.places(*stack).collect())).collect(),
    })
}
