//! Censuses: how many Python objects of each type there were at an instant of a run, which of the types had grown, and who
//! held what was new of them.

use crate::ids::{ImageIndex, Nanos, StackId};
use serde::{Deserialize, Serialize};

/// The content of a census block. Its list continues those of the blocks before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Censuses {
    /// In the order in which they were made.
    pub censuses: Vec<Census>,
}

/// One census of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// The image.
    pub image: ImageIndex,
    /// Why it was made.
    pub reason: CensusReason,
    /// When it was read.
    pub time: Nanos,
    /// Events of the run before it, as read.
    pub event: u64,
    /// Live bytes of the whole process tree then.
    pub live: u64,
    /// Objects, all types together.
    pub objects: u64,
    /// Their bytes, as `sys.getsizeof` counts them.
    pub bytes: u64,
    /// How long the program stood still for it.
    pub cost: Nanos,
    /// Private bytes that the tracer held in the program for it, all but a few of them only meanwhile.
    pub own_bytes: u64,
    /// There were more objects than it could keep: all numbers are too low.
    pub cut: bool,
    /// Types whose numbers are not those of the image's census before (0 of both: there are none any more); in the first, all.
    pub types: Vec<TypeCount>,
    /// Types that have grown since the image's census before: the most, by bytes and by number. None in the first.
    pub grown: Vec<GrownType>,
}

/// Why a census was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CensusReason {
    /// A period was over.
    Period,
    /// The program had ended.
    Exit,
    /// A mark was set.
    Mark,
    /// Live bytes were higher than ever.
    Peak,
}

/// The objects of a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeCount {
    /// `module.qualified name`; builtin ones without module. Types of the same name are one.
    pub name: String,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A type that has grown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrownType {
    /// As in [`TypeCount`].
    pub name: String,
    /// Objects that were not there in the census before, also where others have gone.
    pub new: u64,
    /// Of some of these, the way to a root. Without new objects: of the largest.
    pub holders: Vec<Vec<Hop>>,
    /// So many of the new ones had their blocks looked up.
    pub looked_up: u64,
    /// Where blocks of those were allocated, the most first. What is missing has no block that was recorded.
    pub stacks: Vec<(StackId, u64)>,
}

/// One object on the way from an object to what holds it in the end. The first is the object itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// Its type, as in [`TypeCount`]; empty: a frame of a thread.
    pub of_type: String,
    /// What it is called, if it is a module, a class, a function or a frame (its function); else empty.
    pub name: String,
    /// How it holds the one before.
    pub holding: Holding,
    /// See there.
    pub label: String,
}

/// How an object holds another, and what the label says then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holding {
    /// Not known. No label.
    Unknown,
    /// The first hop, which holds nothing. No label.
    Itself,
    /// Item of a list or tuple, or of a dict under an int: the number.
    Index,
    /// Item of a dict under a str: the key.
    Key,
    /// Item of a dict under something else: the key's type.
    KeyOfType,
    /// It is a key of the dict. No label.
    IsKey,
    /// Attribute of an instance that has no dict for it, a slot, a field of a C type: its name.
    Attribute,
    /// The dict of the names of a module, a class or an instance. No label.
    Namespace,
    /// Local variable of a frame: its name.
    Local,
    /// The cells of a function, one of which leads on: the variable's name.
    Closure,
}
