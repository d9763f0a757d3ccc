//! pprof: `profile.proto`, packed by gzip, for `go tool pprof`, Grafana, Speedscope and others.
//!
//! <https://github.com/google/pprof/blob/main/proto/profile.proto>
//!
//! | pprof | heaptide |
//! |---|---|
//! | sample types | those of Go's heap profiles: `alloc_objects`, `alloc_space` are *allocated*; `inuse_objects`, `inuse_space` are *peak*, with `--leaks` *leaked*, of an instant *live* (and nothing is allocated); with `--temporary` and `--byte-seconds` those as well |
//! | `default_sample_type` | the bytes of the metric that was asked for |
//! | sample | a stack, innermost frame first; what has no frame is in a function `[no stack]` |
//! | location | a frame, by name: function, file, line, object. Addresses are not kept. Functions that were inlined are locations of their own, as a profile has them |
//! | function | name (of one that has none where it begins in which object), file and first line; `system_name` is the same, mangled names are not kept |
//! | mapping | the command first, which readers take for the name of the program; then each object of native code, all said to have names already, so that nobody looks for them. Python frames have none |
//! | `time_nanos`, `duration_nanos` | when the run began, how long it took |
//! | `comment` | command, which *inuse* it is, totals, warnings |
//!
//! Lost: threads, the timeline, the kind of a frame and its package.

use super::protobuf::Message;
use super::{Export, NO_STACK, function};
use crate::context::{headline, short_file};
use crate::units::visible;
use flate2::Compression;
use flate2::write::GzEncoder;
use heaptide_analyze::frames::{Frame, KnownBy};
use heaptide_analyze::instants::Span;
use heaptide_analyze::profile::Metric;
use std::collections::HashMap;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::sync::Arc;

// Fields of the messages that are used more than once.
const SAMPLE_TYPE: u32 = 1;
const SAMPLE: u32 = 2;
const MAPPING: u32 = 3;
const LOCATION: u32 = 4;
const FUNCTION: u32 = 5;
const STRING_TABLE: u32 = 6;

/// Writes it.
///
/// # Errors
/// Those of writing.
pub fn write(export: Export<'_>, out: &mut dyn Write) -> io::Result<()> {
    // Small writes would each be a call of the compressor.
    let mut out = BufWriter::with_capacity(1 << 16, GzEncoder::new(out, Compression::default()));
    let mut texts = Texts::default();
    let mut message = Message::default();
    let values = values(export);
    for (bytes, count, _) in &values {
        for (name, unit) in [count, bytes] {
            message.message(SAMPLE_TYPE, &value_type(&mut texts, name, unit));
        }
    }
    let metrics: Vec<Metric> = values.iter().map(|(_, _, metric)| *metric).collect();
    for (stack, own) in export.stacks(&metrics) {
        let mut sample = Message::default();
        sample.numbers(1, export.frames(stack).map(|frame| u64::from(frame) + 1));
        let amounts = metrics.iter().map(|metric| own.of(*metric));
        // They are signed there.
        sample.numbers(
            2,
            amounts.flat_map(|amount| [amount.count, amount.bytes]).map(|value| value.min(i64::MAX as u64)),
        );
        message.message(SAMPLE, &sample);
        out.write_all(&message.take())?;
    }
    write_places(export, &mut texts, &mut message, &mut out)?;
    let context = export.context;
    let run = &context.capture.run;
    message.number(9, run.started_unix.saturating_mul(1_000_000_000));
    message.number(10, context.capture.account.totals.duration.0);
    let default = values.iter().find(|(_, _, metric)| *metric == export.metric).or(values.first());
    message.message(11, &value_type(&mut texts, "space", "bytes"));
    message.number(12, 1);
    let comments = comments(export);
    message.numbers(13, comments.iter().map(|comment| texts.number(comment)));
    message.number(14, default.map_or(0, |((name, _), _, _)| texts.number(name)));
    texts.write(&mut message, &mut out)?;
    out.into_inner().map_err(IntoInnerError::into_error)?.finish()?.flush()
}

type Name = (&'static str, &'static str);

/// Which values each sample has: names and units of bytes and blocks.
fn values(export: Export<'_>) -> Vec<(Name, Name, Metric)> {
    let in_use = match (export.profile.span, export.metric) {
        (Span::Whole | Span::Between(..), Metric::Leaked) => Metric::Leaked,
        _ => Metric::Peak,
    };
    let mut values = Vec::new();
    if export.profile.metrics.contains(&Metric::Allocated) {
        values.push((("alloc_space", "bytes"), ("alloc_objects", "count"), Metric::Allocated));
    }
    values.push((("inuse_space", "bytes"), ("inuse_objects", "count"), in_use));
    match export.metric {
        Metric::Temporary => {
            values.push((("temporary_space", "bytes"), ("temporary_objects", "count"), Metric::Temporary));
        }
        Metric::ByteSeconds => {
            let (bytes, blocks) = (("byte_seconds", "byte-seconds"), ("block_seconds", "block-seconds"));
            values.push((bytes, blocks, Metric::ByteSeconds));
        }
        _ => {}
    }
    values
}

/// For people: what a reader of the profile has to know.
fn comments(export: Export<'_>) -> Vec<String> {
    let context = export.context;
    let mut comments = vec![format!("heaptide {}: {}", context.capture.run.heaptide, context.command())];
    if let Some(pid) = context.pid {
        comments.push(format!("process {pid} alone"));
    }
    for (_, (name, _), metric) in values(export) {
        let what = name.split('_').next().unwrap_or(name);
        comments.push(format!("{what} is {}", headline(export.profile, metric, export.within)));
    }
    comments.extend(context.warnings.iter().map(|warning| format!("warning: {warning}")));
    comments
}

fn value_type(texts: &mut Texts, name: &str, unit: &str) -> Message {
    let mut message = Message::default();
    message.number(1, texts.number(name));
    message.number(2, texts.number(unit));
    message
}

/// Locations, the functions they are in, and the objects these are in. A location has the number of its frame, counted
/// from 1; one more is that of what has no frame.
fn write_places(export: Export<'_>, texts: &mut Texts, message: &mut Message, out: &mut dyn Write) -> io::Result<()> {
    let mut functions: HashMap<(&str, &str, u32), u64> = HashMap::new();
    let mut mappings: HashMap<&Arc<str>, u64> = HashMap::new();
    let program = export.context.capture.run.command.first().map_or("", String::as_str);
    write_mapping(1, program, texts, message);
    for (id, frame) in (1..).zip(&export.profile.frames) {
        let known = mappings.len() as u64 + 2;
        let mapping = match frame.object.is_empty() {
            true => 0,
            false => *mappings.entry(&frame.object).or_insert_with_key(|object| {
                write_mapping(known, object, texts, message);
                known
            }),
        };
        let known = functions.len() as u64 + 1;
        let in_function = *functions.entry((&frame.function, &frame.file, frame.first_line)).or_insert_with(|| {
            write_function(known, frame, texts, message);
            known
        });
        write_location(id, mapping, in_function, u64::from(frame.line), message);
        out.write_all(&message.take())?;
    }
    let no_function = functions.len() as u64 + 1;
    let mut none = Message::default();
    none.number(1, no_function);
    none.number(2, texts.number(NO_STACK));
    none.number(3, texts.number(NO_STACK));
    message.message(FUNCTION, &none);
    write_location(export.profile.frames.len() as u64 + 1, 0, no_function, 0, message);
    out.write_all(&message.take())
}

fn write_mapping(id: u64, object: &str, texts: &mut Texts, message: &mut Message) {
    let mut mapping = Message::default();
    mapping.number(1, id);
    mapping.number(5, texts.number(&visible(object)));
    // Functions, files, lines and inlined frames are as well known as they will be.
    (7..=10).for_each(|field| mapping.number(field, 1));
    message.message(MAPPING, &mapping);
}

fn write_function(id: u64, frame: &Frame, texts: &mut Texts, message: &mut Message) {
    let name = match frame.known_by {
        // pprof puts together what has one name, and functions of several objects begin alike.
        KnownBy::Start { .. } => format!("{} in {}", function(frame), short_file(frame.kind, &frame.object)),
        _ => function(frame),
    };
    let name = texts.number(&name);
    let mut function = Message::default();
    function.number(1, id);
    function.number(2, name);
    function.number(3, name);
    function.number(4, texts.number(&visible(&frame.file)));
    function.number(5, u64::from(frame.first_line));
    message.message(FUNCTION, &function);
}

fn write_location(id: u64, mapping: u64, function: u64, number: u64, message: &mut Message) {
    let mut line = Message::default();
    line.number(1, function);
    line.number(2, number);
    let mut location = Message::default();
    location.number(1, id);
    location.number(2, mapping);
    location.message(4, &line);
    message.message(LOCATION, &location);
}

/// The table of strings, whose first is the empty one.
struct Texts {
    known: HashMap<Box<str>, u64>,
    /// In the order of their numbers.
    all: Vec<Box<str>>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { known: HashMap::from([("".into(), 0)]), all: vec!["".into()] }
    }
}

impl Texts {
    fn number(&mut self, text: &str) -> u64 {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = self.all.len() as u64;
        self.known.insert(text.into(), number);
        self.all.push(text.into());
        number
    }

    fn write(&self, message: &mut Message, out: &mut dyn Write) -> io::Result<()> {
        for text in &self.all {
            message.bytes(STRING_TABLE, text.as_bytes());
            out.write_all(&message.take())?;
        }
        Ok(())
    }
}
