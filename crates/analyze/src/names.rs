//! The definitions of a capture, joined and checked: every number in them leads somewhere, and no stack to itself.
//!
//! What they mean to a reader (function, line, kind of code) is in [`crate::frames`].

use crate::frames::shortened;
use crate::symbols::{Call, Chain};
use heaptide_format::capture::definitions::{CodeDef, Definitions, FrameDef, ImageDef, ModuleDef, NodeDef, ThreadDef};
use heaptide_format::capture::{NativeNames, ReadError};
use heaptide_format::ids::{CodeId, FrameId, ImageIndex, ModuleId, StackId, StringId, ThreadIndex};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// All definitions of a capture so far.
#[derive(Clone, Debug, Default)]
pub struct Names {
    strings: Vec<String>,
    codes: Vec<CodeDef>,
    modules: Vec<ModuleDef>,
    frames: Vec<FrameDef>,
    nodes: Vec<NodeDef>,
    images: Vec<ImageDef>,
    threads: Vec<ThreadDef>,
    thread_names: Vec<(ThreadIndex, StringId)>,
    embedded: Embedded,
}

/// Names of native frames that stand in the capture.
#[derive(Clone, Debug, Default)]
struct Embedded {
    modules: FxHashSet<ModuleId>,
    chains: FxHashMap<FrameId, Chain>,
}

impl Names {
    /// Continues the lists by those of the block at byte `offset` of the file.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] if a number in them leads nowhere; the lists are then as they were.
    pub fn extend(&mut self, more: Definitions, offset: u64) -> Result<(), ReadError> {
        if let Some(what) = self.fault(&more) {
            return Err(ReadError::BadBlock {
                offset,
                what: format!("a definition that names {what} that is not there"),
            });
        }
        self.strings.extend(more.strings);
        self.codes.extend(more.codes);
        self.modules.extend(more.modules);
        self.frames.extend(more.frames);
        self.nodes.extend(more.nodes);
        self.images.extend(more.images);
        self.threads.extend(more.threads);
        self.thread_names.extend(more.thread_names);
        Ok(())
    }

    /// Takes in embedded names, once all definitions are there.
    ///
    /// # Errors
    /// [`ReadError::BadBlock`] if a number in them leads nowhere, or not to a native frame; nothing is then taken in.
    pub fn embed(&mut self, names: &NativeNames, offset: u64) -> Result<(), ReadError> {
        let text = |place: u32| (place as usize) < names.strings.len();
        let native = |frame: FrameId| matches!(self.frames.get(frame.index()), Some(FrameDef::Native { .. }));
        let sound = names.modules.iter().all(|module| module.index() < self.modules.len())
            && names.frames.iter().all(|frame| {
                native(frame.frame) && frame.calls.iter().all(|call| text(call.function) && text(call.file))
            });
        if !sound {
            return Err(ReadError::BadBlock { offset, what: "a name of a native frame that is not there".into() });
        }
        let strings: Vec<Arc<str>> = names.strings.iter().map(|text| shortened(text)).collect();
        self.embedded.modules.extend(&names.modules);
        for frame in &names.frames {
            let calls = frame.calls.iter().map(|call| Call {
                function: strings[call.function as usize].clone(),
                file: strings[call.file as usize].clone(),
                line: call.line,
            });
            self.embedded.chains.insert(frame.frame, calls.collect());
        }
        Ok(())
    }

    /// The functions at the place of a native frame, outermost first, as the capture itself names them: `None` if it says
    /// nothing of the frame's object, empty if there is no name to be had.
    pub fn embedded(&self, id: FrameId) -> Option<&[Call]> {
        let FrameDef::Native { module, .. } = self.frame(id) else { return None };
        match self.embedded.chains.get(&id) {
            Some(chain) => Some(chain),
            None => self.embedded.modules.contains(&module).then_some(&[]),
        }
    }

    /// Whether the capture names the places of this object itself.
    pub fn has_embedded_module(&self, module: ModuleId) -> bool {
        self.embedded.modules.contains(&module)
    }

    /// What in `more` is referred to but not there.
    fn fault(&self, more: &Definitions) -> Option<&'static str> {
        let strings = self.strings.len() + more.strings.len();
        let [codes, modules] = [self.codes.len() + more.codes.len(), self.modules.len() + more.modules.len()];
        let [frames, images] = [self.frames.len() + more.frames.len(), self.images.len() + more.images.len()];
        let threads = self.threads.len() + more.threads.len();
        let text = |id: StringId| id.index() < strings;
        let texts = more.codes.iter().all(|code| text(code.name) && text(code.file))
            && more.modules.iter().all(|module| text(module.path))
            && more.images.iter().all(|image| text(image.program) && image.arguments.iter().all(|a| text(*a)))
            && more.thread_names.iter().all(|(_, name)| text(*name));
        if !texts {
            return Some("a text");
        }
        let frame = |frame: &FrameDef| match frame {
            FrameDef::Python { code, .. } => code.index() < codes,
            FrameDef::Native { module, .. } => module.index() < modules,
            FrameDef::Unknown { .. } => true,
        };
        if !more.frames.iter().all(frame) {
            return Some("a code object or module");
        }
        if !more.nodes.iter().all(|node| node.frame.index() < frames) {
            return Some("a frame");
        }
        // A node's own number is one more than its place. Parents come first, so no path has a loop.
        let first = self.nodes.len() as u64 + 1;
        if !more.nodes.iter().zip(first..).all(|(node, own)| u64::from(node.parent.0) < own) {
            return Some("a calling stack");
        }
        if !more.threads.iter().all(|thread| thread.image.index() < images) {
            return Some("a process");
        }
        let named = more.thread_names.iter().all(|(thread, _)| thread.index() < threads);
        (!named).then_some("a thread")
    }

    /// A text.
    ///
    /// # Panics
    /// This and the others by number: if the number is none of this capture's.
    pub fn text(&self, id: StringId) -> &str {
        &self.strings[id.index()]
    }

    /// A code object.
    pub fn code(&self, id: CodeId) -> &CodeDef {
        &self.codes[id.index()]
    }

    /// A native object.
    pub fn module(&self, id: ModuleId) -> &ModuleDef {
        &self.modules[id.index()]
    }

    /// A frame.
    pub fn frame(&self, id: FrameId) -> FrameDef {
        self.frames[id.index()]
    }

    /// A stack; `None` for the empty one.
    pub fn node(&self, id: StackId) -> Option<NodeDef> {
        id.index().checked_sub(1).map(|place| self.nodes[place])
    }

    /// Whether this stack is the empty one or defined.
    pub fn has_stack(&self, id: StackId) -> bool {
        id.index() <= self.nodes.len()
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// How many stacks there are, the empty one not counted.
    pub fn stacks(&self) -> usize {
        self.nodes.len()
    }

    /// All images, by [`ImageIndex`].
    pub fn images(&self) -> &[ImageDef] {
        &self.images
    }

    /// An image, if it is defined.
    pub fn image(&self, id: ImageIndex) -> Option<&ImageDef> {
        self.images.get(id.index())
    }

    /// A thread, if it is defined.
    pub fn thread(&self, id: ThreadIndex) -> Option<&ThreadDef> {
        self.threads.get(id.index())
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// The name that the thread had last, if it had any. Costs a search.
    pub fn thread_name(&self, id: ThreadIndex) -> Option<&str> {
        let (_, name) = self.thread_names.iter().rev().find(|(thread, _)| *thread == id)?;
        Some(self.text(*name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(parent: u32, frame: u32) -> NodeDef {
        NodeDef { parent: StackId(parent), frame: FrameId(frame) }
    }

    fn fault(definitions: Definitions) -> Option<String> {
        match Names::default().extend(definitions, 99) {
            Ok(()) => None,
            Err(ReadError::BadBlock { offset: 99, what }) => Some(what),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_that_lead_nowhere_are_refused() {
        let frames = vec![FrameDef::Unknown { address: 1 }];
        assert_eq!(
            fault(Definitions { frames: frames.clone(), nodes: vec![node(0, 0), node(1, 0)], ..Default::default() }),
            None
        );
        let own_parent = Definitions { frames: frames.clone(), nodes: vec![node(1, 0)], ..Default::default() };
        assert_eq!(fault(own_parent).unwrap(), "a definition that names a calling stack that is not there");
        let no_frame = Definitions { frames, nodes: vec![node(0, 1)], ..Default::default() };
        assert_eq!(fault(no_frame).unwrap(), "a definition that names a frame that is not there");
        let code = CodeDef { name: StringId(0), file: StringId(1), first_line: 1 };
        let no_text = Definitions { strings: vec!["f".into()], codes: vec![code], ..Default::default() };
        assert_eq!(fault(no_text).unwrap(), "a definition that names a text that is not there");
    }
}
