//! DHAT: the JSON that valgrind's `dh_view.html` shows, file version 2.
//!
//! There is no specification; fields and what must be there are those of valgrind's `dhat/dh_view.js` (3.19), and of
//! <https://docs.rs/dhat>, which writes the same.
//!
//! | DHAT | heaptide |
//! |---|---|
//! | `tb`, `tbk` | *allocated*: bytes and blocks |
//! | `tl` | lifetimes of the blocks, added up, in microseconds; each is exact to 131 µs |
//! | `mb`, `mbk` | the most bytes that the stack had live at a time, and its blocks then |
//! | `gb`, `gbk`, `tg` | *peak*: what is live at the instant of most live bytes, and when that is |
//! | `eb`, `ebk` | *leaked*; DHAT calls it "at t-end". Of a Python program that is when its interpreter begins to finalize |
//! | `te` | how long the run took, or the part of it that is shown |
//! | `fs`, `ftbl` | the stack, innermost frame first: `function (file:line)` |
//! | `bkacc` | false: reads and writes of memory are not recorded |
//!
//! Lifetimes need the events. From a capture without them, and of an instant, `bklt` is false: then there is one amount for
//! each stack, that of the metric that was asked for, in `tb` and `tbk`, and `verb` says which it is.
//!
//! Lost: threads, the timeline, temporary allocations (a short average lifetime tells of them), objects and packages.

use super::{Export, ExportError, NO_STACK};
use crate::context::{frame, short_file};
use crate::units::visible;
use heaptide_analyze::instants::Span;
use heaptide_analyze::lives::{Life, lives};
use heaptide_analyze::profile::Metric;
use heaptide_analyze::reader::Progress;
use heaptide_format::ids::Nanos;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Lifetimes up to this many microseconds are short; the collector looks at the time every millisecond.
const SHORT: u64 = 1_000;

/// Writes it; `progress` is told of the replay.
///
/// # Errors
/// Those of writing and of the replay.
pub fn write(export: Export<'_>, progress: &mut dyn FnMut(Progress), out: &mut dyn Write) -> Result<(), ExportError> {
    let (context, profile) = (export.context, export.profile);
    let with_lifetimes = !context.capture.run.aggregate && !matches!(profile.span, Span::At(_));
    let lives = match with_lifetimes {
        true => Some(lives(context.capture, profile, context.pid, progress)?),
        false => None,
    };
    write_with(export, lives.as_deref(), out)?;
    Ok(())
}

fn write_with(export: Export<'_>, lives: Option<&[Life]>, out: &mut dyn Write) -> io::Result<()> {
    let (context, profile) = (export.context, export.profile);
    let duration = context.capture.account.totals.duration;
    let (from, to) = match profile.span {
        Span::Between(from, to) => (from.time(duration), to.time(duration)),
        _ => (Nanos(0), duration),
    };
    let micros = |time: Nanos| time.0.saturating_sub(from.0) / 1_000;
    let first = context.capture.names.images().first().map_or(0, |image| image.pid);
    let mut head = Map::new();
    let mut set = |key: &str, value: Value| head.insert(key.to_owned(), value);
    set("dhatFileVersion", 2.into());
    set("mode", "heap".into());
    set("verb", if lives.is_some() { "Allocated" } else { verb(export) }.into());
    set("bklt", lives.is_some().into());
    set("bkacc", false.into());
    set("tu", "µs".into());
    set("Mtu", "s".into());
    set("tuth", SHORT.into());
    set("cmd", context.command().into());
    set("pid", context.pid.unwrap_or(first).into());
    set("tg", micros(profile.peak_at).into());
    set("te", micros(to).into());
    let head = Value::Object(head).to_string();
    write!(out, "{},\"ftbl\":[\"[root]\"", head.strip_suffix('}').unwrap_or_default())?;
    for place in &profile.frames {
        let text = frame(place);
        let text = if text.is_empty() { visible(&short_file(place.kind, &place.file)) } else { text };
        write!(out, ",{}", json!(text))?;
    }
    write!(out, ",{}],\"pps\":[", json!(NO_STACK))?;
    let wanted: &[Metric] = match lives {
        Some(_) => &[Metric::Allocated, Metric::Peak, Metric::Leaked],
        None => &[export.metric],
    };
    let mut separator = "";
    for (stack, own) in export.stacks(wanted) {
        let total = own.of(wanted[0]);
        write!(out, "{separator}{{\"tb\":{},\"tbk\":{}", total.bytes, total.count)?;
        separator = ",\n";
        if let Some(lives) = lives {
            let life = lives[stack.map_or(profile.own.len(), |node| node.index())];
            let [peak, left] = [Metric::Peak, Metric::Leaked].map(|metric| own.of(metric));
            write!(out, ",\"tl\":{},\"mb\":{},\"mbk\":{}", life.lifetimes / 1_000, life.most.bytes, life.most.count)?;
            write!(out, ",\"gb\":{},\"gbk\":{}", peak.bytes, peak.count)?;
            write!(out, ",\"eb\":{},\"ebk\":{}", left.bytes, left.count)?;
        }
        write!(out, ",\"fs\":[")?;
        for (index, frame) in export.frames(stack).enumerate() {
            // 0 is the root.
            write!(out, "{}{}", if index > 0 { "," } else { "" }, frame + 1)?;
        }
        write!(out, "]}}")?;
    }
    writeln!(out, "]}}")
}

/// What was done to the bytes, where there is one amount alone.
fn verb(export: Export<'_>) -> &'static str {
    match (export.profile.span, export.metric) {
        (Span::At(_), _) => "Live at that instant",
        (_, Metric::Peak) => "Live at the peak",
        (_, Metric::Leaked) => "Leaked",
        (_, Metric::Allocated) => "Allocated",
        (_, Metric::Temporary) => "Allocated temporarily",
        (_, Metric::ByteSeconds) => "Byte-seconds",
    }
}
