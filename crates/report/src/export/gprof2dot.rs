//! The JSON format of gprof2dot (`gprof2dot -f json`), which draws a graph of who calls whom.
//!
//! <https://github.com/jrfonseca/gprof2dot/blob/main/schema.json>, version 0
//!
//! | gprof2dot | heaptide |
//! |---|---|
//! | `functions` | functions by name and file: `name`, and the file (of native code its object) as `module` |
//! | `events` | the stacks that have bytes in the metric that was asked for, innermost frame first, and their bytes |
//! | `costs` | what these bytes are |
//!
//! Lost: lines, which it has no field for; numbers of blocks; all metrics but one.

use super::{Export, NO_STACK, function};
use crate::context::title_within;
use crate::units::visible;
use heaptide_analyze::profile::Metric;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::io::{self, Write};

/// Writes it.
///
/// # Errors
/// Those of writing.
pub fn write(export: Export<'_>, out: &mut dyn Write) -> io::Result<()> {
    let title = title_within(export.profile, export.metric, export.within);
    let unit = if export.metric == Metric::ByteSeconds { "byte-seconds" } else { "bytes" };
    write!(out, "{{\"version\":0,\"costs\":{},\"functions\":[", json!([{ "description": title, "unit": unit }]))?;
    let mut known: HashMap<(&str, &str), usize> = HashMap::new();
    let mut functions: Vec<usize> = Vec::with_capacity(export.profile.frames.len() + 1);
    for frame in &export.profile.frames {
        let next = known.len();
        let number = *known.entry((&frame.function, frame.loaded_from())).or_insert(next);
        functions.push(number);
        if number < next {
            continue;
        }
        let mut fields = Map::from_iter([("name".to_owned(), Value::from(function(frame)))]);
        if !frame.loaded_from().is_empty() {
            fields.insert("module".to_owned(), visible(frame.loaded_from()).into());
        }
        write!(out, "{},", Value::Object(fields))?;
    }
    functions.push(known.len());
    write!(out, "{}],\"events\":[", json!({ "name": NO_STACK }))?;
    let mut is_first = true;
    for (stack, own) in export.stacks(&[export.metric]) {
        let bytes = own.of(export.metric).bytes;
        if bytes == 0 {
            continue;
        }
        let separator = if std::mem::take(&mut is_first) { "" } else { "," };
        write!(out, "{separator}{{\"cost\":[{bytes}],\"callchain\":[")?;
        for (index, frame) in export.frames(stack).enumerate() {
            write!(out, "{}{}", if index > 0 { "," } else { "" }, functions[frame as usize])?;
        }
        write!(out, "]}}")?;
    }
    writeln!(out, "]}}")
}
