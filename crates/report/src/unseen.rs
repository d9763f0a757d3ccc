//! Allocators whose blocks were not recorded, in words: the warnings of every report, and the section of `stats`.

use crate::context::Style;
use crate::table::Table;
use crate::units::{count, size, visible};
use heaptide_analyze::Capture;
use heaptide_analyze::unseen::Explained;
use heaptide_format::capture::UnseenAllocator;
use heaptide_format::ids::ImageIndex;
use serde::Serialize;
use std::io::{self, Write};

/// Objects that a warning names; `stats` names all.
const MOST_NAMED: usize = 4;

/// What to know before trusting the figures of these images; none if no such allocator held much.
pub fn warnings(capture: &Capture, images: &[ImageIndex]) -> Vec<String> {
    let unseen = &capture.unseen;
    let mut warnings = Vec::new();
    let (images, explained) = unseen.significant(images);
    if !images.is_empty() {
        let objects = unseen.objects(&images);
        let mut names: Vec<String> = objects.iter().take(MOST_NAMED).map(|(object, _)| name(object)).collect();
        if objects.len() > MOST_NAMED {
            names.push(format!("{} more", count((objects.len() - MOST_NAMED) as u64)));
        }
        let are = if objects.len() == 1 { "is" } else { "are" };
        let whose = match images.len() {
            1 => String::new(),
            several => format!(" of {} processes", count(several as u64)),
        };
        let parts = [
            (explained.in_mappings, "is in mappings whose blocks were not seen"),
            (explained.by_nothing, "is not explained by what was recorded"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(bytes, _)| *bytes > 0)
            .map(|(bytes, what)| format!("{} {what}", size(*bytes)))
            .collect();
        warnings.push(format!(
            "{} {are} not traced: of {} by which RSS{whose} grew, {}",
            names.join(", "),
            size(explained.growth),
            parts.join(", ")
        ));
    }
    if unseen.unread > 0 {
        let objects = count(unseen.unread);
        warnings.push(format!("{objects} objects were not searched for allocators that cannot be traced"));
    }
    warnings
}

/// `jemalloc in libarrow.so`.
fn name(object: &UnseenAllocator) -> String {
    let file = object.path.rsplit('/').next().unwrap_or(&object.path);
    format!("{} in {}", visible(&object.allocator), visible(file))
}

/// Writes the section of `stats`: each allocator, and the growth of the images that have one. Nothing if there is none.
/// At most `limit` of both.
///
/// # Errors
/// Those of writing.
pub fn write_text(
    capture: &Capture,
    images: &[ImageIndex],
    limit: usize,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let objects = capture.unseen.objects(images);
    if objects.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", style.bold("Allocators that are not traced"))?;
    let mut table = Table::new(&["processes", "allocator", "known by", "object"]);
    for (object, processes) in objects.into_iter().take(limit) {
        let [allocator, evidence, path] = [&object.allocator, &object.evidence, &object.path].map(|text| visible(text));
        table.push([count(processes), allocator, evidence, path]);
    }
    table.write(style, out)?;
    let explained = capture.unseen.explained(images);
    if explained.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&["pid", "RSS grew", "in mappings", "not explained"]);
    for (image, Explained { growth, in_mappings, by_nothing }) in explained.into_iter().take(limit) {
        let pid = capture.names.image(image).map_or(0, |image| image.pid);
        table.push([pid.to_string(), size(growth), size(in_mappings), size(by_nothing)]);
    }
    table.write(style, out)
}

/// The same for `stats --json`.
#[derive(Debug, Serialize)]
pub struct JsonUnseen<'a> {
    found: Vec<JsonFound<'a>>,
    growth: Vec<JsonGrowth>,
    objects_not_searched: u64,
}

#[derive(Debug, Serialize)]
struct JsonFound<'a> {
    pid: u32,
    object: &'a str,
    allocator: &'a str,
    evidence: &'a str,
}

#[derive(Debug, Serialize)]
struct JsonGrowth {
    pid: u32,
    growth_bytes: u64,
    in_mappings_bytes: u64,
    not_explained_bytes: u64,
    significant: bool,
}

impl<'a> JsonUnseen<'a> {
    /// Of these images of this capture.
    pub fn new(capture: &'a Capture, images: &[ImageIndex]) -> Self {
        let pid = |image| capture.names.image(image).map_or(0, |image| image.pid);
        let of_images: std::collections::HashSet<&ImageIndex> = images.iter().collect();
        let found =
            capture.unseen.found.iter().filter(|found| of_images.contains(&found.image)).map(|found| JsonFound {
                pid: pid(found.image),
                object: &found.path,
                allocator: &found.allocator,
                evidence: &found.evidence,
            });
        let growth = capture.unseen.explained(images).into_iter().map(|(image, explained)| JsonGrowth {
            pid: pid(image),
            growth_bytes: explained.growth,
            in_mappings_bytes: explained.in_mappings,
            not_explained_bytes: explained.by_nothing,
            significant: explained.is_significant(),
        });
        Self { found: found.collect(), growth: growth.collect(), objects_not_searched: capture.unseen.unread }
    }
}
