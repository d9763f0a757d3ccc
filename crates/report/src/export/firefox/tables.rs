//! The tables that all threads share: stacks, frames, functions, packages, files, strings.

use super::{CATEGORIES, inside};
use crate::export::{Export, NO_STACK, function};
use crate::units::visible;
use heaptide_analyze::call_tree::NodeId;
use heaptide_analyze::frames::FrameKind;
use heaptide_analyze::packages::owners;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, Write};

/// Stacks, frames, functions, packages, files and strings.
pub(super) fn write_shared(export: Export<'_>, texts: &mut Texts, out: &mut dyn Write) -> io::Result<()> {
    let profile = export.profile;
    let (nodes, frames) = (profile.tree.nodes(), &profile.frames);
    let all = frames.len() + 1;
    write!(out, "\"stackTable\":{{\"length\":{},", nodes.len() + 1)?;
    let none = [frames.len() as u32];
    write_column("frame", nodes.iter().map(|node| node.frame).chain(none), out)?;
    write!(out, "\"prefix\":")?;
    let prefix = nodes.iter().map(|node| node.parent.map_or("null".to_owned(), |parent| parent.0.to_string()));
    write_list(prefix.chain(["null".to_owned()]), out)?;
    // One function for all lines of it.
    let mut functions: HashMap<(&str, &str), usize> = HashMap::new();
    let mut of_frame: Vec<usize> = Vec::with_capacity(all);
    let [mut names, mut sources, mut resources, mut lines] = [(); 4].map(|()| Vec::<String>::new());
    let [mut files, mut packages] = [(); 2].map(|()| Numbers::default());
    for (frame, owner) in frames.iter().zip(owners(frames)) {
        let next = functions.len();
        let number = *functions.entry((&frame.function, &frame.file)).or_insert(next);
        of_frame.push(number);
        if number < next {
            continue;
        }
        names.push(texts.number(&function(frame)).to_string());
        let or_none = |text: &str, numbers: &mut Numbers, none: &str, texts: &mut Texts| match text {
            "" => none.to_owned(),
            text => numbers.number(texts.number(&visible(text))).to_string(),
        };
        sources.push(or_none(&frame.file, &mut files, "null", texts));
        resources.push(or_none(&owner.package, &mut packages, "-1", texts));
        lines.push(if frame.first_line > 0 { frame.first_line.to_string() } else { "null".into() });
    }
    of_frame.push(functions.len());
    names.push(texts.number(NO_STACK).to_string());
    sources.push("null".into());
    resources.push("-1".into());
    lines.push("null".into());
    write!(out, "}},\"frameTable\":{{\"length\":{all},")?;
    write_column("address", std::iter::repeat_n(-1, all), out)?;
    write_column("inlineDepth", std::iter::repeat_n(0, all), out)?;
    let category = |kind| CATEGORIES.iter().position(|(known, ..)| *known == kind).unwrap_or(CATEGORIES.len() - 1);
    let kinds = frames.iter().map(|frame| frame.kind).chain([FrameKind::Unknown]);
    write_column("category", kinds.map(category), out)?;
    write_column("subcategory", std::iter::repeat_n(0, all), out)?;
    write_column("func", &of_frame, out)?;
    for name in ["nativeSymbol", "innerWindowID", "column"] {
        write_column(name, std::iter::repeat_n("null", all), out)?;
    }
    write!(out, "\"line\":")?;
    let line = frames.iter().map(|frame| if frame.line > 0 { frame.line.to_string() } else { "null".into() });
    write_list(line.chain(["null".to_owned()]), out)?;
    let all = names.len();
    write!(out, "}},\"funcTable\":{{\"length\":{all},")?;
    write_column("name", names, out)?;
    write_column("source", sources, out)?;
    write_column("resource", resources, out)?;
    write_column("lineNumber", lines, out)?;
    write_column("isJS", std::iter::repeat_n(false, all), out)?;
    write_column("relevantForJS", std::iter::repeat_n(false, all), out)?;
    write!(out, "\"columnNumber\":")?;
    write_list(std::iter::repeat_n("null", all), out)?;
    let (packages, files) = (packages.all, files.all);
    let tables = json!({
        "resourceTable": {
            "length": packages.len(),
            "lib": vec![Value::Null; packages.len()],
            "name": packages,
            "host": vec![Value::Null; packages.len()],
            // A library.
            "type": vec![1; packages.len()],
        },
        "nativeSymbols": { "length": 0, "libIndex": [], "address": [], "name": [], "functionSize": [] },
        "sources": {
            "length": files.len(),
            "id": vec![Value::Null; files.len()],
            "filename": files,
            "startLine": vec![1; files.len()],
            "startColumn": vec![1; files.len()],
            "sourceMapURL": vec![Value::Null; files.len()],
        },
        "stringArray": texts.all,
    });
    write!(out, "}},{}", inside(&tables))
}

/// The number of a stack: of its node; what has no frame is behind them.
pub(super) fn stack(export: Export<'_>, node: Option<NodeId>) -> usize {
    node.map_or(export.profile.tree.nodes().len(), NodeId::index)
}

/// A list of numbers, or of whatever is written so.
pub(super) fn write_list<T: std::fmt::Display>(
    values: impl IntoIterator<Item = T>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "[")?;
    let mut separator = "";
    for value in values {
        write!(out, "{separator}{value}")?;
        separator = ",";
    }
    write!(out, "]")
}

/// A list of numbers with a name.
pub(super) fn write_column<T: std::fmt::Display>(
    name: &str,
    values: impl IntoIterator<Item = T>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "\"{name}\":")?;
    write_list(values, out)?;
    write!(out, ",")
}

/// Strings, each once.
#[derive(Default)]
pub(super) struct Texts {
    known: HashMap<String, usize>,
    all: Vec<String>,
}

impl Texts {
    pub(super) fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        self.known.insert(text.to_owned(), self.all.len());
        self.all.push(text.to_owned());
        self.all.len() - 1
    }
}

/// Numbers of strings, each once.
#[derive(Default)]
pub(super) struct Numbers {
    known: HashMap<usize, usize>,
    all: Vec<usize>,
}

impl Numbers {
    fn number(&mut self, text: usize) -> usize {
        let next = self.all.len();
        let number = *self.known.entry(text).or_insert(next);
        if number == next {
            self.all.push(text);
        }
        number
    }
}
