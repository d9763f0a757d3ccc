//! `parse`: every record of a capture as a line of text or of JSON, with the numbers of the file.

use crate::json::Plain;
use crate::units::visible;
use heaptide_analyze::records::Record;
use heaptide_format::capture::events::{Event, KeyframeImage};
use heaptide_format::capture::{Definitions, FrameDef, NamedCall, NativeNames, ReadError};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Names and values, in the order in which they are written.
macro_rules! fields {
    ($($name:literal: $value:expr),* $(,)?) => { &[$(($name, json!($value))),*] };
}

/// Writes records; keeps count of what definitions number.
#[derive(Debug)]
pub struct Printer<'o, W: Write> {
    out: &'o mut W,
    as_json: bool,
    counts: [u64; 7],
}

impl<'o, W: Write> Printer<'o, W> {
    /// Lines of JSON, or of text.
    pub fn new(out: &'o mut W, as_json: bool) -> Self {
        // Stacks count from 1.
        Self { out, as_json, counts: [0, 0, 0, 0, 1, 0, 0] }
    }

    /// Writes what stands at byte `offset` of the file. Gives the damage that was met among events, if any.
    ///
    /// # Errors
    /// Those of writing.
    pub fn record(&mut self, offset: u64, record: Record<'_>) -> io::Result<Option<ReadError>> {
        match record {
            Record::Header(version) => self.line("header", fields![ "format": version.to_string() ])?,
            Record::Run(run) => self.line("run", fields![ "offset": offset, "run": run ])?,
            Record::Definitions(definitions) => self.definitions(offset, definitions)?,
            Record::Events(events) => {
                self.line("events", fields![ "offset": offset ])?;
                for event in events {
                    match event {
                        Ok(event) => self.event(event)?,
                        Err(error) => return Ok(Some(error)),
                    }
                }
            }
            Record::Keyframe(image) => self.keyframe(offset, &image)?,
            Record::Samples(samples) => {
                for point in samples.points {
                    self.line("sample", fields!["time_ns": point.time, "live": point.live, "live_high": point.live_high, "rss": point.rss])?;
                }
            }
            Record::UnseenAllocators(unseen) => {
                self.line("unseen_allocators", fields!["offset": offset, "unread": unseen.unread])?;
                for found in unseen.found {
                    self.line(
                        "unseen_allocator",
                        fields!["image": found.image, "path": found.path,
                        "allocator": found.allocator, "evidence": found.evidence],
                    )?;
                }
                for growth in unseen.growth {
                    self.line(
                        "growth",
                        fields!["image": growth.image, "first": growth.first, "highest": growth.highest,
                        "highest_at": growth.highest_at, "blocks": growth.blocks, "mappings": growth.mappings,
                        "arenas": growth.arenas, "writable": growth.writable],
                    )?;
                }
            }
            Record::Marks(marks) => {
                for mark in marks.marks {
                    self.line(
                        "mark",
                        fields!["offset": offset, "name": mark.name, "origin": mark.origin, "image": mark.image,
                        "time_ns": mark.time, "event": mark.event, "live": mark.live, "rss": mark.rss],
                    )?;
                }
            }
            Record::MemoryMaps(maps) => {
                for look in maps.looks {
                    self.line(
                        "look",
                        fields!["offset": offset, "reason": look.reason, "time_ns": look.time, "event": look.event,
                        "processes": look.processes],
                    )?;
                }
            }
            Record::Censuses(censuses) => {
                for census in censuses.censuses {
                    self.line("census", fields!["offset": offset, "census": census])?;
                }
            }
            Record::Footer(footer) => {
                self.definitions(offset, footer.definitions)?;
                for entry in footer.index {
                    self.line("index", fields!["kind": entry.kind, "offset": entry.offset, "first_event": entry.first_event, "time_ns": entry.time, "live": entry.live])?;
                }
                for row in footer.rows {
                    self.line("row", fields!["image": row.image, "stack": row.stack, "allocated": row.allocated, "at_peak": row.at_peak,
                        "at_image_peak": row.at_image_peak, "leaked": row.leaked, "temporary": row.temporary,
                        "temporary_1": row.temporary_1])?;
                }
                for (image, totals) in footer.images.iter().enumerate() {
                    self.line("image_totals", fields![ "image": image, "totals": totals ])?;
                }
                for point in footer.timeline {
                    self.line("timeline", fields!["time_ns": point.time, "live": point.live, "live_high": point.live_high, "rss": point.rss])?;
                }
                self.line("footer", fields![ "offset": offset, "status": footer.status, "totals": footer.totals ])?;
            }
            Record::NativeNames(names) => self.native_names(offset, &names)?,
            Record::Unknown => self.line("unknown", fields![ "offset": offset ])?,
        }
        Ok(None)
    }

    fn next(&mut self, which: usize) -> u64 {
        self.counts[which] += 1;
        self.counts[which] - 1
    }

    fn definitions(&mut self, offset: u64, definitions: Definitions) -> io::Result<()> {
        self.line("definitions", fields![ "offset": offset ])?;
        for text in definitions.strings {
            let id = self.next(0);
            self.line("string", fields![ "id": id, "text": text ])?;
        }
        for code in definitions.codes {
            let id = self.next(1);
            self.line(
                "code",
                fields![ "id": id, "name": code.name, "file": code.file, "first_line": code.first_line ],
            )?;
        }
        for module in definitions.modules {
            let id = self.next(2);
            let build_id: String = module.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
            self.line("module", fields![ "id": id, "path": module.path, "build_id": build_id ])?;
        }
        for frame in definitions.frames {
            let id = self.next(3);
            match frame {
                FrameDef::Python { code, line, column } => {
                    self.line("frame", fields!["id": id, "code": code, "line": line, "column": column])?;
                }
                FrameDef::Native { module, offset } => {
                    self.line("frame", fields!["id": id, "module": module, "file_offset": offset])?;
                }
                FrameDef::Unknown { address } => self.line("frame", fields!["id": id, "address": address])?,
            }
        }
        for node in definitions.nodes {
            let id = self.next(4);
            self.line("stack", fields![ "id": id, "parent": node.parent, "frame": node.frame ])?;
        }
        for image in definitions.images {
            let id = self.next(5);
            self.line("image", fields![ "id": id, "image": image ])?;
        }
        for thread in definitions.threads {
            let id = self.next(6);
            self.line("thread", fields![ "id": id, "image": thread.image, "tid": thread.tid ])?;
        }
        for (thread, name) in definitions.thread_names {
            self.line("thread_name", fields![ "thread": thread, "name": name ])?;
        }
        Ok(())
    }

    fn native_names(&mut self, offset: u64, names: &NativeNames) -> io::Result<()> {
        self.line("native_names", fields![ "offset": offset, "modules": names.modules ])?;
        // A number that leads nowhere is shown as an empty text.
        let text = |place: u32| names.strings.get(place as usize).map_or("", String::as_str);
        for frame in &names.frames {
            let call = |call: &NamedCall| json!({ "function": text(call.function), "file": text(call.file), "line": call.line });
            let calls: Vec<Value> = frame.calls.iter().map(call).collect();
            self.line("named_frame", fields![ "frame": frame.frame, "calls": calls ])?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Thread(thread) => self.line("on_thread", fields![ "thread": thread ]),
            Event::Clock(time) => self.line("clock", fields![ "time_ns": time ]),
            Event::Allocated { allocator, size, stack } => {
                self.line("allocated", fields![ "size": size, "stack": stack, "allocator": allocator.name() ])
            }
            Event::Freed { slot } => self.line("freed", fields![ "slot": slot ]),
            Event::Reallocated { slot, allocator, size, stack } => self.line(
                "reallocated",
                fields![ "slot": slot, "size": size, "stack": stack, "allocator": allocator.name() ],
            ),
            Event::Shrunk { slot, bytes } => self.line("shrunk", fields![ "slot": slot, "bytes": bytes ]),
            Event::FreedUnknown => self.line("freed_unknown", fields![]),
            Event::ImageEnded(image) => self.line("image_ended", fields![ "image": image ]),
            Event::ProgramEnded(image) => self.line("program_ended", fields![ "image": image ]),
        }
    }

    fn keyframe(&mut self, offset: u64, image: &KeyframeImage) -> io::Result<()> {
        let head =
            fields![ "offset": offset, "image": image.image, "slots_used": image.used, "live": image.blocks.len() ];
        self.line("keyframe", head)?;
        for block in &image.blocks {
            self.line(
                "live",
                fields![ "slot": block.slot, "size": block.size, "stack": block.stack,
                        "allocator": block.allocator.name() ],
            )?;
        }
        Ok(())
    }

    /// One record with these fields, in this order.
    fn line(&mut self, record: &str, fields: &[(&str, Value)]) -> io::Result<()> {
        if self.as_json {
            let mut out = Plain(&mut *self.out);
            write!(out, "{{\"record\":\"{record}\"")?;
            for (name, value) in fields {
                write!(out, ",\"{name}\":{value}")?;
            }
            return writeln!(out, "}}");
        }
        write!(self.out, "{record}")?;
        for (name, value) in fields {
            match value {
                // As Rust writes it: nothing that could steer a terminal is left.
                Value::String(text) => write!(self.out, " {name}={text:?}")?,
                other => write!(self.out, " {name}={}", visible(&other.to_string()))?,
            }
        }
        writeln!(self.out)
    }
}
