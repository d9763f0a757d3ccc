//! A capture without what it tells of the one who recorded it: arguments, paths, names, the time. Its numbers stay what
//! they are, in every report.
//!
//! Block by block from the source into the copy, in bounded memory: what it holds is the definitions, as a reader does.
//! Events, keyframes and samples are numbers, and are copied as they stand. Every text is written anew for each thing that
//! it is the name of, so that a text which is both a path and a name is treated as either; texts that nothing uses are
//! left out, as are blocks of kinds that are not known. What a name becomes is in [`pseudonyms`].

pub mod pseudonyms;

use crate::error::CaptureError;
use crate::frames::FrameKind;
use crate::reader::{EndsEarly, MetadataBudget, Reason, check_header};
use crate::source::Source;
use crate::symbols::is_start;
use heaptide_format::capture::census::Holding;
use heaptide_format::capture::header::{self, HEADER_BYTES, TRAILER_BYTES};
use heaptide_format::capture::{
    BlockKind, BlockRead, Censuses, Definitions, Footer, FrameDef, IndexEntry, MAX_BLOCK_BYTES, Marks, MemoryMaps,
    NamedCall, NamedFrame, NativeNames, ReadError, RunInfo, UnseenAllocators, block, encode_meta,
};
use heaptide_format::ids::{FrameId, ModuleId, StringId};
pub use pseudonyms::Key;
use pseudonyms::Pseudonyms;
use rustc_hash::{FxHashMap, FxHashSet};
use std::io::Write;

/// What becomes of the paths of source files, objects and programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// They stay.
    Keep,
    /// Directories get pseudonyms. What files are called stays, and packages as they are installed.
    Base,
    /// Files and packages get pseudonyms too. Those of the standard library and of the system stay.
    Anonymize,
}

/// What becomes of the names of functions, classes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// They stay.
    Keep,
    /// They get pseudonyms, except those of the standard library's and the system's code; marks are numbered.
    Anonymize,
}

/// What is left out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// See there. A build id goes with the path of its object.
    pub paths: Paths,
    /// See there. Threads lose their names with either: the system calls the first after its program.
    pub names: Names,
    /// Keep the arguments of the command and of all processes, as they are; else only the programs stay.
    pub arguments: bool,
    /// Keep when the run began. Times within the run always stay.
    pub start: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Stripped {
    /// Where and why the source was not read further, if not to its end; the copy ends there too.
    pub ends_early: Option<EndsEarly>,
    /// Native places whose names the capture does not hold, in objects whose paths were changed: nobody can look them up.
    pub nameless: usize,
    /// Blocks of kinds that only newer versions know, which were left out.
    pub unknown_blocks: usize,
}

/// Writes a copy of the capture to `out`. It begins anew for each process that reads one, so `source` can be at hand
/// without having been opened as a capture.
///
/// # Errors
/// Those of reading and writing; [`CaptureError::Read`] if it is no capture, or ends before its first block does.
pub fn strip(source: &Source, options: Options, key: Key, out: &mut dyn Write) -> Result<Stripped, CaptureError> {
    check_header(source)?;
    let mut strip = Strip::new(source, options, key, out);
    strip.write(&header::header())?;
    let ends_early = strip.blocks()?;
    let nameless = strip.nameless();
    Ok(Stripped { ends_early, nameless, unknown_blocks: strip.unknown_blocks })
}

/// What a text is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Path,
    /// Of a Python function.
    Function,
    /// Stays: code that everybody has.
    Public,
    Thread,
    Argument,
    /// Of a native function.
    Native,
}

struct Strip<'s> {
    source: &'s Source,
    out: &'s mut dyn Write,
    options: Options,
    words: Pseudonyms,
    budget: MetadataBudget,
    /// Bytes written.
    offset: u64,
    /// Where the blocks of the source have gone.
    moved: FxHashMap<u64, u64>,
    /// Texts of the source.
    strings: Vec<String>,
    /// Texts of the copy: what they are of, and how many there are.
    renamed: FxHashMap<(Role, StringId), StringId>,
    renamed_count: u32,
    /// By module: its path.
    modules: Vec<StringId>,
    /// By frame: the module of a native one.
    frames: Vec<Option<ModuleId>>,
    /// Native frames of these are named in the capture, or have no name.
    named: FxHashSet<ModuleId>,
    unknown_blocks: usize,
    /// Marks so far.
    marks: u32,
}

impl<'s> Strip<'s> {
    fn new(source: &'s Source, options: Options, key: Key, out: &'s mut dyn Write) -> Self {
        Self {
            source,
            out,
            options,
            words: Pseudonyms::new(key),
            budget: MetadataBudget::of(source),
            offset: 0,
            moved: FxHashMap::default(),
            strings: Vec::new(),
            renamed: FxHashMap::default(),
            renamed_count: 0,
            modules: Vec::new(),
            frames: Vec::new(),
            named: FxHashSet::default(),
            unknown_blocks: 0,
            marks: 0,
        }
    }

    /// All blocks, and the trailer if there is a footer. Gives where and why the source ends early.
    fn blocks(&mut self) -> Result<Option<EndsEarly>, CaptureError> {
        let mut buffer = Vec::new();
        let mut offset = HEADER_BYTES as u64;
        // Those are written when all definitions are known; the last may be in the footer.
        let mut native_names = Vec::new();
        let reason = loop {
            if offset == self.source.len() {
                break Reason::NoFooter;
            }
            let stepped = self.step(offset, &mut buffer, &mut native_names);
            match stepped {
                Ok((bytes, Some(BlockKind::Footer))) => {
                    offset += bytes;
                    let whole = self.source.len() == offset + TRAILER_BYTES as u64;
                    let reason = Reason::Read(ReadError::Truncated { offset, inside: "the trailer" });
                    return Ok((!whole).then_some(EndsEarly { offset, reason, complete: true }));
                }
                Ok((bytes, _)) => offset += bytes,
                Err(CaptureError::Read(error)) if offset > HEADER_BYTES as u64 => break Reason::Read(error),
                Err(error) => return Err(error),
            }
        };
        if offset == HEADER_BYTES as u64 {
            return Err(ReadError::Truncated { offset, inside: "its first block" }.into());
        }
        self.native_names(&native_names)?;
        Ok(Some(EndsEarly { offset, reason, complete: false }))
    }

    /// The block at this place of the source: how long it is there, and what.
    fn step(
        &mut self,
        offset: u64,
        buffer: &mut Vec<u8>,
        native_names: &mut Vec<u64>,
    ) -> Result<(u64, Option<BlockKind>), CaptureError> {
        let block = self.source.block(offset, buffer)?;
        let (bytes, kind) = (block.bytes, block.kind);
        match kind {
            Some(BlockKind::NativeNames) => native_names.push(offset),
            Some(BlockKind::Footer) => self.footer(&block, native_names)?,
            Some(BlockKind::Events | BlockKind::Keyframe | BlockKind::Samples) => {
                // Nothing in these but numbers; the block is in the buffer as it stands in the file.
                self.moved.insert(offset, self.offset);
                self.write(buffer)?;
            }
            Some(_) => {
                let content = self.definitions(&block)?;
                self.block(&block, &content)?;
            }
            None => self.unknown_blocks += 1,
        }
        Ok((bytes, kind))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        self.out.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Writes what takes the place of a block.
    fn block(&mut self, of: &BlockRead<'_>, content: &[u8]) -> Result<(), CaptureError> {
        let Some(kind) = of.kind else { return Ok(()) };
        // Pseudonyms of very short names are longer than these; only a block made to be has so many.
        if content.len() > MAX_BLOCK_BYTES {
            let what = format!("it would be {} bytes with pseudonyms", content.len());
            return Err(ReadError::BadBlock { offset: of.offset, what }.into());
        }
        let mut bytes = Vec::new();
        block::write(&mut bytes, kind, content);
        self.moved.insert(of.offset, self.offset);
        self.write(&bytes)
    }

    /// The content of a block that says more than events do.
    fn definitions(&mut self, block: &BlockRead<'_>) -> Result<Vec<u8>, CaptureError> {
        Ok(match block.kind {
            Some(BlockKind::Run) => {
                let run = self.budget.meta(block)?;
                encode_meta(&self.run(run))
            }
            Some(BlockKind::Definitions) => {
                let definitions = self.budget.meta(block)?;
                encode_meta(&self.renamed(definitions, block.offset)?)
            }
            Some(BlockKind::Marks) => {
                let mut marks: Marks = self.budget.meta(block)?;
                for mark in marks.marks.iter_mut().filter(|_| self.options.names == Names::Anonymize) {
                    self.marks += 1;
                    mark.name = format!("mark {}", self.marks);
                }
                encode_meta(&marks)
            }
            // Numbers alone.
            Some(BlockKind::MemoryMaps) => encode_meta(&self.budget.meta::<MemoryMaps>(block)?),
            Some(BlockKind::Census) => {
                let mut censuses: Censuses = self.budget.meta(block)?;
                self.census(&mut censuses);
                encode_meta(&censuses)
            }
            _ => {
                let mut unseen: UnseenAllocators = self.budget.meta(block)?;
                for found in &mut unseen.found {
                    found.path = self.words.path(&found.path, self.options.paths).into_owned();
                }
                encode_meta(&unseen)
            }
        })
    }

    /// Keys of dicts are data, and go in any case, unless the dict is one of names. Types have the names of modules in them,
    /// and other labels are those of variables: these get pseudonyms with either option.
    fn census(&mut self, censuses: &mut Censuses) {
        let Options { names, paths, .. } = self.options;
        let all = names == Names::Anonymize || paths == Paths::Anonymize;
        // What has no module is builtin, or an attempt to seem so.
        let of_type = |words: &mut Pseudonyms, name: &mut String| {
            if all && name.contains('.') {
                *name = words.function(name, Names::Anonymize).into_owned();
            }
        };
        for census in &mut censuses.censuses {
            census.types.iter_mut().for_each(|of| of_type(&mut self.words, &mut of.name));
            for grown in &mut census.grown {
                of_type(&mut self.words, &mut grown.name);
                for way in &mut grown.holders {
                    for at in 0..way.len() {
                        let of_names = way.get(at + 1).is_some_and(|owner| owner.holding == Holding::Namespace);
                        let hop = &mut way[at];
                        // An index of a list says nothing, one of a dict is a key.
                        let is_key = match hop.holding {
                            Holding::Key => !of_names,
                            Holding::Index => hop.of_type != "list" && hop.of_type != "tuple",
                            _ => false,
                        };
                        of_type(&mut self.words, &mut hop.of_type);
                        if all {
                            hop.name = self.words.function(&hop.name, Names::Anonymize).into_owned();
                        }
                        match hop.holding {
                            Holding::Index if !is_key => {}
                            Holding::KeyOfType => of_type(&mut self.words, &mut hop.label),
                            _ if all || is_key => {
                                hop.label = self.words.whole(&hop.label, Names::Anonymize).into_owned();
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    fn run(&mut self, mut run: RunInfo) -> RunInfo {
        if !self.options.arguments {
            run.command.truncate(1);
            for program in &mut run.command {
                *program = self.words.path(program, self.options.paths).into_owned();
            }
        }
        if !self.options.start {
            run.started_unix = 0;
        }
        run
    }

    /// Takes in definitions, and gives those of the copy.
    fn renamed(&mut self, mut more: Definitions, offset: u64) -> Result<Definitions, CaptureError> {
        self.strings.append(&mut more.strings);
        let mut texts = Texts { strip: self, fresh: Vec::new(), offset };
        for code in &mut more.codes {
            let public = is_public(texts.of(code.file)?);
            code.name = texts.text(if public { Role::Public } else { Role::Function }, code.name)?;
            code.file = texts.text(Role::Path, code.file)?;
        }
        for module in &mut more.modules {
            texts.strip.modules.push(module.path);
            let path = texts.text(Role::Path, module.path)?;
            if texts.changes_path(module.path)? {
                module.build_id.clear();
            }
            module.path = path;
        }
        for image in &mut more.images {
            if texts.strip.options.arguments {
                for argument in &mut image.arguments {
                    *argument = texts.text(Role::Argument, *argument)?;
                }
            } else {
                image.arguments.truncate(1);
                for program in &mut image.arguments {
                    *program = texts.text(Role::Path, *program)?;
                }
            }
            image.program = texts.text(Role::Path, image.program)?;
        }
        for (_, name) in &mut more.thread_names {
            *name = texts.text(Role::Thread, *name)?;
        }
        more.strings = texts.fresh;
        self.frames.extend(more.frames.iter().map(|frame| match frame {
            FrameDef::Native { module, .. } => Some(*module),
            FrameDef::Python { .. } | FrameDef::Unknown { .. } => None,
        }));
        Ok(more)
    }

    /// The native names blocks at these places of the source. One that is damaged is left out, as a reader leaves it out.
    fn native_names(&mut self, places: &[u64]) -> Result<(), CaptureError> {
        let mut buffer = Vec::new();
        for offset in places {
            let block = self.source.block(*offset, &mut buffer)?;
            let renamed = self.budget.meta(&block).and_then(|names| self.natively_renamed(names, *offset));
            match renamed {
                Ok(names) => self.block(&block, &encode_meta(&names))?,
                Err(CaptureError::Read(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn natively_renamed(&mut self, names: NativeNames, offset: u64) -> Result<NativeNames, CaptureError> {
        let bad = || ReadError::BadBlock { offset, what: "a name of a native frame that is not there".into() };
        let mut known: FxHashMap<(Role, u32), u32> = FxHashMap::default();
        let mut fresh = Vec::new();
        let mut frames = Vec::with_capacity(names.frames.len());
        for NamedFrame { frame, calls } in names.frames {
            let public = self.is_public_frame(frame).ok_or_else(bad)?;
            let mut place = |role: Role, place: u32| -> Result<u32, ReadError> {
                if let Some(known) = known.get(&(role, place)) {
                    return Ok(*known);
                }
                let text = names.strings.get(place as usize).ok_or_else(bad)?;
                fresh.push(renamed(&mut self.words, self.options, role, text));
                known.insert((role, place), fresh.len() as u32 - 1);
                Ok(fresh.len() as u32 - 1)
            };
            let calls = calls.into_iter().map(|call| {
                // The capture has the places of its frames anyway.
                let start = names.strings.get(call.function as usize).is_some_and(|text| is_start(text));
                let function = place(if public || start { Role::Public } else { Role::Native }, call.function)?;
                Ok(NamedCall { function, file: place(Role::Path, call.file)?, line: call.line })
            });
            frames.push(NamedFrame { frame, calls: calls.collect::<Result<_, ReadError>>()? });
        }
        self.named.extend(&names.modules);
        Ok(NativeNames { modules: names.modules, strings: fresh, frames })
    }

    /// Whether everybody has the object that a native frame is in; `None` if there is no such frame.
    fn is_public_frame(&self, frame: FrameId) -> Option<bool> {
        let module = (*self.frames.get(frame.index())?)?;
        let path = self.strings.get(self.modules.get(module.index())?.index())?;
        Some(pseudonyms::is_public_object(path))
    }

    /// The footer, the native names before it, and the trailer.
    fn footer(&mut self, block: &BlockRead<'_>, native_names: &[u64]) -> Result<(), CaptureError> {
        let mut footer: Footer = self.budget.meta(block)?;
        footer.definitions = self.renamed(footer.definitions, block.offset)?;
        self.native_names(native_names)?;
        let moved = &self.moved;
        let entry = |entry: IndexEntry| Some(IndexEntry { offset: *moved.get(&entry.offset)?, ..entry });
        footer.index = footer.index.into_iter().filter_map(entry).collect();
        let offset = self.offset;
        self.block(block, &encode_meta(&footer))?;
        self.write(&header::trailer(offset))
    }

    fn nameless(&self) -> usize {
        let changed = |module: &ModuleId| {
            let path = self.modules.get(module.index()).and_then(|path| self.strings.get(path.index()));
            path.is_some_and(|path| !path.starts_with('[') && changes(self.options.paths, path))
        };
        let lost: FxHashSet<ModuleId> = (0..self.modules.len() as u32)
            .map(ModuleId)
            .filter(|module| !self.named.contains(module) && changed(module))
            .collect();
        self.frames.iter().flatten().filter(|module| lost.contains(module)).count()
    }
}

/// The texts of one block of definitions.
struct Texts<'t, 's> {
    strip: &'t mut Strip<'s>,
    /// Those that the block defines in the copy.
    fresh: Vec<String>,
    offset: u64,
}

impl Texts<'_, '_> {
    fn of(&self, id: StringId) -> Result<&str, ReadError> {
        let what = || "a definition that names a text that is not there".into();
        let text = self.strip.strings.get(id.index());
        text.map(String::as_str).ok_or_else(|| ReadError::BadBlock { offset: self.offset, what: what() })
    }

    /// The text of the copy for what this one is the name of.
    fn text(&mut self, role: Role, id: StringId) -> Result<StringId, ReadError> {
        if let Some(known) = self.strip.renamed.get(&(role, id)) {
            return Ok(*known);
        }
        let text = self.of(id)?.to_owned();
        let strip = &mut *self.strip;
        self.fresh.push(renamed(&mut strip.words, strip.options, role, &text));
        let fresh = StringId(strip.renamed_count);
        strip.renamed_count += 1;
        strip.renamed.insert((role, id), fresh);
        Ok(fresh)
    }

    fn changes_path(&self, id: StringId) -> Result<bool, ReadError> {
        Ok(changes(self.strip.options.paths, self.of(id)?))
    }
}

fn renamed(words: &mut Pseudonyms, options: Options, role: Role, text: &str) -> String {
    match role {
        Role::Path => words.path(text, options.paths),
        Role::Function => words.function(text, options.names),
        Role::Native => words.whole(text, options.names),
        Role::Thread if options.paths == Paths::Anonymize => words.whole(text, Names::Anonymize),
        Role::Thread => words.whole(text, options.names),
        Role::Public | Role::Argument => text.into(),
    }
    .into_owned()
}

/// Whether a path gets another.
fn changes(paths: Paths, path: &str) -> bool {
    // Which words these are does not matter.
    Pseudonyms::new(Key::new(b"any")).path(path, paths) != path
}

/// Whether everybody has the Python code of this file.
fn is_public(file: &str) -> bool {
    match FrameKind::of_python(file) {
        FrameKind::Stdlib => true,
        // Python's own, unless it is of a program that was frozen as a whole.
        FrameKind::Interpreter => !changes(Paths::Anonymize, file),
        _ => false,
    }
}
