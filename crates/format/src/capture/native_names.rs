//! Names of native frames, found when the objects were at hand (`heaptide symbolize`), so that a capture reads the same
//! where they are not.

use crate::ids::{FrameId, ModuleId};
use serde::{Deserialize, Serialize};

/// The content of a native names block. A capture has any number of them; of a frame that is
/// named twice the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeNames {
    /// Objects that were read: a frame of one of these that has no names here has none.
    pub modules: Vec<ModuleId>,
    /// Texts of this block: functions and files.
    pub strings: Vec<String>,
    /// Frames with names, in order of their numbers.
    pub frames: Vec<NamedFrame>,
}

/// The functions that stand at the place of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFrame {
    /// The frame, a native one.
    pub frame: FrameId,
    /// Its functions, outermost first: all but the first are inlined.
    pub calls: Vec<NamedCall>,
}

/// A function at a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCall {
    /// Its name, demangled: a place in [`NativeNames::strings`].
    pub function: u32,
    /// Its source file, likewise; an empty text if it is not known.
    pub file: u32,
    /// The line in it, from 1: of the place itself in the last function, in the others of the next one's call; 0 if it is
    /// not known.
    pub line: u32,
}
