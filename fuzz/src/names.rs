//! Texts as names of everything that has one, and what the reports make of them: in the page and the picture no markup is
//! of them, in text no character steers a terminal.

use heaptide_analyze::Capture;
use heaptide_analyze::diff::Diff;
use heaptide_analyze::leaks::Leaks;
use heaptide_analyze::profile::{Metric, Options, Profile};
use heaptide_analyze::records::walk;
use heaptide_analyze::sites::By;
use heaptide_analyze::source::Source;
use heaptide_analyze::suppressions::Suppressions;
use heaptide_format::capture::definitions::{
    CodeDef, Definitions, FrameDef, ImageDef, ImageOrigin, ModuleDef, NodeDef, ThreadDef,
};
use heaptide_format::capture::summary::{Amount, Footer, ImageTotals, Row, RunInfo, Totals};
use heaptide_format::capture::unseen::{UnseenAllocator, UnseenAllocators};
use heaptide_format::capture::{BlockKind, NamedCall, NamedFrame, NativeNames, block, encode_meta, header};
use heaptide_format::ids::{CodeId, FrameId, ImageIndex, ModuleId, Nanos, StackId, StringId, ThreadIndex};
use heaptide_report::parse::Printer;
use heaptide_report::{Context, Style, diff, folded, html, leaks, page, stats, summary, svg, tree};
use quick_xml::events::Event;
use std::io::{self, Write};
use std::sync::OnceLock;

/// The input as texts: each two bytes of length, of which a tenth bit makes it a thousand times as long, then as many.
fn texts(mut input: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((head, rest)) = input.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*head));
        let (text, rest) = rest.split_at(rest.len().min(length & 0x1FF));
        input = rest;
        let text = String::from_utf8_lossy(text).into_owned();
        texts.push(if length & 0x200 != 0 { text.repeat(1000) } else { text });
        if texts.len() == 40 {
            break;
        }
    }
    texts
}

/// A capture in which each text is a command, a function, a file, an object, a program, an argument, a thread, an
/// allocator, a native function and its file. Every stack holds 1 000 bytes.
fn capture_of(texts: &[String]) -> Vec<u8> {
    let count = texts.len() as u32;
    let all = || (0..count).map(StringId);
    let run = RunInfo {
        heaptide: "0.1.0".into(),
        command: texts.to_vec(),
        // No file is older: none is read.
        started_unix: 0,
        architecture: "x86_64".into(),
        ..RunInfo::default()
    };
    let file_of = |name: StringId| StringId((name.0 + 1) % count);
    let python = |code| FrameDef::Python { code: CodeId(code), line: code + 1, column: 0 };
    let native = |module| FrameDef::Native { module: ModuleId(module), offset: u64::from(module) + 16 };
    // Stacks: each Python frame called from the one before, the native ones from the outermost.
    let nodes = (0..2 * count)
        .map(|frame| NodeDef { parent: StackId(if frame < count { frame } else { 0 }), frame: FrameId(frame) });
    let definitions = Definitions {
        strings: texts.to_vec(),
        codes: all().map(|name| CodeDef { name, file: file_of(name), first_line: 1 }).collect(),
        modules: all().map(|path| ModuleDef { path, build_id: vec![1, 2, 3] }).collect(),
        frames: (0..count).map(python).chain((0..count).map(native)).collect(),
        nodes: nodes.collect(),
        images: all()
            .map(|program| ImageDef {
                pid: 4_000 + program.0,
                parent: None,
                origin: ImageOrigin::Exec,
                program,
                arguments: all().collect(),
                python: 0x30B,
                started: Nanos(0),
            })
            .collect(),
        threads: (0..count).map(|image| ThreadDef { image: ImageIndex(image), tid: 4_000 + image }).collect(),
        thread_names: all().map(|name| (ThreadIndex(name.0), name)).collect(),
    };
    // Every other native frame is named in the capture.
    let named = (0..count).step_by(2).map(|frame| NamedFrame {
        frame: FrameId(count + frame),
        calls: vec![NamedCall { function: frame, file: file_of(StringId(frame)).0, line: 7 }],
    });
    let names =
        NativeNames { modules: (0..count).map(ModuleId).collect(), strings: texts.to_vec(), frames: named.collect() };
    let found = texts.iter().zip(0..).map(|(text, image)| UnseenAllocator {
        image: ImageIndex(image),
        path: text.clone(),
        allocator: text.clone(),
        evidence: text.clone(),
    });
    let unseen = UnseenAllocators { found: found.collect(), ..UnseenAllocators::default() };
    let amount = Amount { bytes: 1_000, count: 1 };
    let row = |stack| Row {
        image: ImageIndex(stack % count),
        stack: StackId(stack + 1),
        allocated: amount,
        at_peak: amount,
        at_image_peak: amount,
        leaked: amount,
        temporary: amount,
        temporary_1: amount,
    };
    let footer = Footer {
        definitions: Definitions::default(),
        totals: Totals { peak: amount, ..Totals::new() },
        images: vec![ImageTotals::default(); texts.len()],
        rows: (0..2 * count).map(row).collect(),
        ..Footer::default()
    };
    let mut file = header::header().to_vec();
    let mut index = Vec::new();
    let blocks = [
        (BlockKind::Run, encode_meta(&run)),
        (BlockKind::Definitions, encode_meta(&definitions)),
        (BlockKind::UnseenAllocators, encode_meta(&unseen)),
        (BlockKind::NativeNames, encode_meta(&names)),
    ];
    for (kind, content) in blocks {
        let (kind_number, offset) = (kind as u8, file.len() as u64);
        index.push(super::IndexEntry { kind: kind_number, offset, first_event: 0, time: Nanos(0), live: 0 });
        block::write(&mut file, kind, &content);
    }
    let offset = file.len() as u64;
    block::write(&mut file, BlockKind::Footer, &encode_meta(&Footer { index, ..footer }));
    file.extend_from_slice(&header::trailer(offset));
    file
}

/// What a report writes, or its first 4 MiB.
fn text_of(report: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Vec<u8> {
    struct Most(Vec<u8>);
    impl Write for Most {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() + bytes.len() > 4 << 20 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut out = Most(Vec::new());
    match report(&mut out) {
        Err(error) if error.kind() != io::ErrorKind::StorageFull => panic!("{error}"),
        _ => out.0,
    }
}

/// No character but the end of a line that a terminal would act on or that turns writing round.
fn check_plain(what: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let acts = |c: char| {
        c != '\n'
            && (c.is_control()
                || matches!(c, '\u{61C}' | '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'))
    };
    if let Some(at) = text.find(acts) {
        panic!("{what}: {:?}", &text[at..].chars().take(20).collect::<String>());
    }
}

/// The page without what is of the capture: the data, and the title in its two places.
fn frame_of(page: &str) -> String {
    const START: &str = "<script type=\"application/octet-stream\" id=\"data\">";
    let start = page.find(START).expect("the data begin") + START.len();
    let length = page[start..].find("</script>").expect("the data end");
    let data = &page[start..start + length];
    assert!(!data.contains(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c))), "the data are Base64");
    let mut rest = format!("{}{}", &page[..start], &page[start + length..]);
    for (before, after) in [("<title>", "</title>"), ("<h1 id=\"title\">", "</h1>")] {
        let start = rest.find(before).expect("a title") + before.len();
        let length = rest[start..].find(after).expect("the title ends");
        assert!(!rest[start..start + length].contains('<'), "{}", &rest[start..start + length]);
        rest.replace_range(start..start + length, "");
    }
    rest
}

fn page_of(capture: &Capture, profile: &Profile) -> String {
    let context = Context::new("run.bin", capture, Some(profile), None);
    let page = page::of_profile(&context, profile, None, Metric::Peak, 1);
    let mut out = Vec::new();
    html::write(&page, &mut out).expect("a page without contradictions");
    String::from_utf8(out).expect("UTF-8")
}

/// What the page is around the data, by a capture of one plain name.
fn plain_frame() -> &'static str {
    static FRAME: OnceLock<String> = OnceLock::new();
    FRAME.get_or_init(|| {
        let capture = Capture::from_bytes(capture_of(&["plain".to_owned()])).expect("a capture");
        let profile = Profile::of(&capture, &Options::default(), &mut |_| {}).expect("a profile");
        frame_of(&page_of(&capture, &profile))
    })
}

/// The picture is XML, of the elements that inferno draws with, one script among them, and no address.
fn check_picture(picture: &[u8]) {
    let text = std::str::from_utf8(picture).expect("UTF-8");
    let mut reader = quick_xml::Reader::from_str(text);
    let mut scripts = 0;
    loop {
        let element = match reader.read_event().expect("well-formed") {
            Event::Eof => break,
            Event::Start(element) | Event::Empty(element) => element,
            Event::CData(_) | Event::Text(_) | Event::GeneralRef(_) | Event::End(_) => continue,
            Event::Comment(_) | Event::Decl(_) | Event::DocType(_) => continue,
            other => panic!("{other:?}"),
        };
        let name = element.name();
        let known: [&[u8]; 9] = [b"svg", b"g", b"rect", b"text", b"title", b"style", b"script", b"defs", b"stop"];
        let known = known.contains(&name.as_ref()) || name.as_ref() == b"linearGradient";
        assert!(known, "an element {:?}", String::from_utf8_lossy(name.as_ref()));
        scripts += usize::from(name.as_ref() == b"script");
        for attribute in element.attributes() {
            let attribute = attribute.expect("a whole attribute");
            let key = attribute.key.as_ref();
            let acts = key.starts_with(b"on") && !(key == b"onload" && name.as_ref() == b"svg");
            assert!(!acts && !key.ends_with(b"href"), "an attribute {:?}", String::from_utf8_lossy(key));
        }
    }
    assert_eq!(scripts, 1);
    // XML has no way to say these at all: a browser refuses the whole picture.
    let no_xml = |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    assert!(!text.contains(no_xml));
}

/// Writes every report of a capture with these names.
pub fn names_stay_text(input: &[u8]) {
    let texts = texts(input);
    if texts.is_empty() {
        return;
    }
    let bytes = capture_of(&texts);
    let capture = Capture::from_bytes(bytes.clone()).expect("a capture");
    if capture.ends_early.is_some() || capture.damaged_names {
        // The same text a thousand times packs better than anything that was ever recorded, and is refused for that.
        return;
    }
    let profile = Profile::of(&capture, &Options::default(), &mut |_| {}).expect("a profile");
    assert_eq!(frame_of(&page_of(&capture, &profile)), plain_frame());
    let context = Context::new("run.bin", &capture, Some(&profile), None);
    let style = Style::default();
    let picture = text_of(|out| svg::write(&context, &profile, Metric::Peak, 1, false, out));
    if picture.len() < 3 << 20 {
        check_picture(&picture);
    }
    for by in [By::Package, By::Module, By::File, By::Function, By::Line] {
        let options = summary::Options {
            metric: Metric::Peak,
            temporary_within: 1,
            by,
            limit: None,
            by_total: true,
            filtered: None,
        };
        check_plain("summary", &text_of(|out| summary::write_text(&context, &profile, &options, style, out)));
    }
    let outline = tree::Options { metric: Metric::Peak, temporary_within: 1, least_percent: 0.0, all_frames: true };
    check_plain("tree", &text_of(|out| tree::write_text(&context, &profile, &outline, style, out)));
    check_plain("folded", &text_of(|out| folded::write(&profile, Metric::Peak, true, out)));
    let found = Leaks::of(&profile, &Suppressions::builtin());
    let list = leaks::Options { limit: None, all: true, newest: 0.1 };
    check_plain("leaks", &text_of(|out| leaks::write_text(&context, &profile, &found, &list, style, out)));
    check_plain("stats", &text_of(|out| stats::write_text(&context, &profile, None, style, out)));
    let nothing = Profile { metrics: Metric::ALL.to_vec(), ..Profile::default() };
    let between = Diff::of(&nothing, &profile);
    let changes = diff::Options { metric: Metric::Peak, by: None, by_total: false, limit: None, filtered: None };
    check_plain("diff", &text_of(|out| diff::write_text(&context, &context, &between, &changes, style, out)));
    let source = Source::from_bytes(bytes);
    for as_json in [false, true] {
        check_plain(
            "parse",
            &text_of(|mut out| {
                let mut printer = Printer::new(&mut out, as_json);
                let print = &mut |offset, record: heaptide_analyze::records::Record<'_>| {
                    printer.record(offset, record).map(|_| ())
                };
                match walk(&source, print, &mut |_| {}) {
                    Err(heaptide_analyze::records::Stop::Visitor(error)) => Err(error),
                    _ => Ok(()),
                }
            }),
        );
    }
}
