//! What the numbers in events stand for: strings, codes, modules, frames, stacks, each known by content, so that the
//! same function in two threads or processes is one. New entries gather until the capture writes them.

use crate::lines::{LineTable, Position};
use heaptide_format::capture::definitions::{CodeDef, Definitions, FrameDef, ImageDef, ModuleDef, NodeDef, ThreadDef};
use heaptide_format::ids::{CodeId, FrameId, ImageIndex, ModuleId, StackId, StringId, ThreadIndex};
use object::read::elf::ElfFile64;
use object::{Object, ReadCache};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

/// A code object as the shim announced it. Several may be one function: of the same name, file and first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeObject(u32);

/// The dictionary of a run.
#[derive(Debug, Default)]
pub struct Dictionary {
    strings: FxHashMap<String, StringId>,
    codes: FxHashMap<CodeDef, CodeId>,
    /// Code objects as they were announced, and where they stand in `code_objects`.
    known_objects: FxHashMap<(CodeId, Rc<LineTable>), CodeObject>,
    code_objects: Vec<(CodeId, Rc<LineTable>)>,
    modules: FxHashMap<StringId, ModuleId>,
    frames: FxHashMap<FrameDef, FrameId>,
    nodes: FxHashMap<NodeDef, StackId>,
    images: u32,
    threads: u32,
    fresh: Definitions,
}

impl Dictionary {
    /// The definitions since the last call.
    pub fn take_fresh(&mut self) -> Definitions {
        std::mem::take(&mut self.fresh)
    }

    /// The number of a text.
    pub fn string(&mut self, text: &str) -> StringId {
        if let Some(id) = self.strings.get(text) {
            return *id;
        }
        let id = StringId(self.strings.len() as u32);
        self.strings.insert(text.to_owned(), id);
        self.fresh.strings.push(text.to_owned());
        id
    }

    /// The number of a code object: of its function, and of how its instructions lie in the file.
    pub fn code_object(&mut self, code: CodeDef, lines: LineTable) -> CodeObject {
        let next = CodeId(self.codes.len() as u32);
        let id = *self.codes.entry(code).or_insert_with_key(|code| {
            self.fresh.codes.push(code.clone());
            next
        });
        let object = CodeObject(self.code_objects.len() as u32);
        let key = (id, Rc::new(lines));
        match self.known_objects.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                self.code_objects.push(vacant.key().clone());
                *vacant.insert(object)
            }
        }
    }

    /// The frame of an instruction of a code object.
    pub fn python_frame(&mut self, object: CodeObject, instruction: i32) -> FrameId {
        let (code, lines) = &self.code_objects[object.0 as usize];
        let Position { line, column } = lines.position(instruction);
        let frame = FrameDef::Python { code: *code, line, column };
        self.frame(frame)
    }

    /// The number of a native object. Its build id is read from the file the first time.
    pub fn module(&mut self, path: &str) -> ModuleId {
        let path_id = self.string(path);
        let next = ModuleId(self.modules.len() as u32);
        *self.modules.entry(path_id).or_insert_with(|| {
            self.fresh.modules.push(ModuleDef { path: path_id, build_id: build_id(path).unwrap_or_default() });
            next
        })
    }

    /// The number of a frame.
    pub fn frame(&mut self, frame: FrameDef) -> FrameId {
        let next = FrameId(self.frames.len() as u32);
        *self.frames.entry(frame).or_insert_with(|| {
            self.fresh.frames.push(frame);
            next
        })
    }

    /// The number of a stack.
    pub fn stack(&mut self, parent: StackId, frame: FrameId) -> StackId {
        let node = NodeDef { parent, frame };
        // 0 is the empty stack.
        let next = StackId(self.nodes.len() as u32 + 1);
        *self.nodes.entry(node).or_insert_with(|| {
            self.fresh.nodes.push(node);
            next
        })
    }

    /// The number of a new image.
    pub fn image(&mut self, image: ImageDef) -> ImageIndex {
        self.fresh.images.push(image);
        self.images += 1;
        ImageIndex(self.images - 1)
    }

    /// The number of a new thread.
    pub fn thread(&mut self, thread: ThreadDef) -> ThreadIndex {
        self.fresh.threads.push(thread);
        self.threads += 1;
        ThreadIndex(self.threads - 1)
    }

    /// Notes a thread's name.
    pub fn name_thread(&mut self, thread: ThreadIndex, name: &str) {
        let name = self.string(name);
        self.fresh.thread_names.push((thread, name));
    }
}

/// The GNU build id of an ELF file, without reading more of it than its notes.
fn build_id(path: &str) -> Option<Vec<u8>> {
    let file = std::fs::File::open(path).ok()?;
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<object::Endianness, _>::parse(&cache).ok()?;
    elf.build_id().ok().flatten().map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_has_one_number() {
        let mut dictionary = Dictionary::default();
        let name = dictionary.string("work");
        let code = |first_line| CodeDef { name, file: name, first_line };
        // 3.8: each pair of bytes is as many bytes of code and lines.
        let lines = |lines| LineTable { python: 0x0308, first_line: 1, bytes: vec![2, lines] };
        let [a, again, edited, other] =
            [(1, 5), (1, 5), (1, 6), (2, 5)].map(|(first, second)| dictionary.code_object(code(first), lines(second)));
        assert_eq!((a, again, edited, other), (CodeObject(0), CodeObject(0), CodeObject(1), CodeObject(2)));
        let frame = dictionary.python_frame(a, 4);
        // The same line, whichever code object says so; another instruction of the same line.
        assert_eq!(dictionary.python_frame(again, 6), frame);
        assert_ne!(dictionary.python_frame(edited, 4), frame);
        let outer = dictionary.stack(StackId::EMPTY, frame);
        assert_eq!(outer, StackId(1));
        assert_eq!(dictionary.stack(outer, frame), StackId(2));
        assert_eq!(dictionary.stack(StackId::EMPTY, frame), StackId(1));
        let fresh = dictionary.take_fresh();
        assert_eq!((fresh.strings.len(), fresh.codes.len(), fresh.frames.len(), fresh.nodes.len()), (1, 2, 2, 2));
        assert!(dictionary.take_fresh().is_empty());
    }

    #[test]
    fn a_module_has_the_build_id_of_its_file() {
        let me = std::env::current_exe().unwrap();
        let mut dictionary = Dictionary::default();
        dictionary.module("/nowhere/lib.so");
        dictionary.module(me.to_str().unwrap());
        let modules = dictionary.take_fresh().modules;
        assert_eq!(modules[0].build_id, []);
        assert!(modules.len() == 2);
    }
}
