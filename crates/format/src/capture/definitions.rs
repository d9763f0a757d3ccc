//! What the numbers in events stand for. Each list continues those of the definitions blocks before it: the n-th entry
//! over all of them has number n (stacks count from 1).

use crate::ids::{CodeId, FrameId, ImageIndex, ModuleId, Nanos, StackId, StringId, ThreadIndex};
use serde::{Deserialize, Serialize};

/// The content of a definitions block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Definitions {
    /// Texts, lossily converted to UTF-8 where they were not.
    pub strings: Vec<String>,
    /// Python code objects.
    pub codes: Vec<CodeDef>,
    /// Native objects.
    pub modules: Vec<ModuleDef>,
    /// Frames.
    pub frames: Vec<FrameDef>,
    /// Stacks, parents before children.
    pub nodes: Vec<NodeDef>,
    /// Images.
    pub images: Vec<ImageDef>,
    /// Threads.
    pub threads: Vec<ThreadDef>,
    /// Names that threads were given since; the last one counts.
    pub thread_names: Vec<(ThreadIndex, StringId)>,
}

impl Definitions {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// A Python function, module body, class body, lambda or comprehension: what has a code object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeDef {
    /// Qualified name from 3.11 on, plain name before.
    pub name: StringId,
    /// `co_filename`.
    pub file: StringId,
    /// Line of the `def` (or `class`, `lambda`, first statement).
    pub first_line: u32,
}

/// A mapped native object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModuleDef {
    /// Path as the target saw it.
    pub path: StringId,
    /// GNU build id; empty if it has none or the file could not be read.
    pub build_id: Vec<u8>,
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FrameDef {
    /// A place in a code object.
    Python {
        /// The code object.
        code: CodeId,
        /// Line in the code's file, from 1; that of the `def` if the frame had not begun.
        line: u32,
        /// First column of the expression, in bytes of UTF-8 from 1; 0 where the interpreter keeps none (before 3.11).
        column: u32,
    },
    /// A return address in a native object.
    Native {
        /// The object.
        module: ModuleId,
        /// Return address as an offset in the object's file (not a virtual address of its program headers).
        offset: u64,
    },
    /// A return address that lay in no mapped object.
    Unknown {
        /// The address as it was in the process.
        address: u64,
    },
}

/// A stack: a frame called from another stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeDef {
    /// The calling stack; [`StackId::EMPTY`] for an outermost frame.
    pub parent: StackId,
    /// The innermost frame.
    pub frame: FrameId,
}

/// How an image came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageOrigin {
    /// A program was executed (or the run's command was started).
    Exec,
    /// A traced process forked.
    Fork,
}

/// One program in one process, between exec and exec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDef {
    /// Process id.
    pub pid: u32,
    /// The image that forked it, or that was in the process before; `None` for the first, or if it is not known.
    pub parent: Option<ImageIndex>,
    /// How it came to be.
    pub origin: ImageOrigin,
    /// Path of the program.
    pub program: StringId,
    /// Its arguments, the program's name first.
    pub arguments: Vec<StringId>,
    /// Interpreter version, `major << 8 | minor`; 0 if it is no Python or one whose stacks cannot be read.
    pub python: u16,
    /// When the collector first heard of it.
    pub started: Nanos,
}

/// A thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadDef {
    /// The image it belongs to.
    pub image: ImageIndex,
    /// The kernel's thread id.
    pub tid: u32,
}
