//! Where things are that only a census reads: one row per version, printed by `fixtures/c/python_offsets.c` as those of
//! [`super::super::offsets`] are, and compared by the same test.

/// Where the lists of the cyclic collector are; each is four words in front of the next, the last is the permanent one.
#[derive(Clone, Copy, Debug)]
pub enum Generations {
    /// 3.8: in `_PyRuntime`.
    Runtime { young: usize, permanent: usize },
    /// 3.9 to 3.11: in the interpreter's state.
    Interpreter { young: usize, permanent: usize },
    /// The interpreter shows what is in them.
    Shown,
}

/// How a code object names its locals.
#[derive(Clone, Copy, Debug)]
pub enum LocalNames {
    /// Up to 3.10: three tuples, in the order of the slots: locals, cells, free variables.
    Apart { locals: usize, cells: usize, free: usize },
    /// One tuple for all slots, and two ints: how many there are, how many of them, the last ones, are free variables.
    Together { names: usize, count: usize, free: usize },
}

/// Where an instance keeps its attributes if it has no dict for them.
#[derive(Clone, Copy, Debug)]
pub enum InlineValues {
    /// Up to 3.10: it has one.
    Never,
    /// 3.11: a word four words in front of the object points to them.
    FourBefore,
    /// 3.12: a word three words in front, less one.
    ThreeBefore,
    /// Since 3.13: behind the object, after a head of one word.
    Behind,
}

/// A row. Offsets are in bytes.
#[derive(Debug)]
pub struct Layout {
    /// `major << 8 | minor`.
    pub version: u16,
    pub generations: Generations,
    /// 3.8, `_PyRuntime`: not zero once pending calls are refused, with a message.
    pub finishing: Option<usize>,
    /// Heap type: its qualified name.
    pub qualified_name: usize,
    /// Heap type: the keys that its instances share.
    pub shared_keys: usize,
    pub inline_values: InlineValues,
    /// `tp_flags`: what makes an object two words longer in front.
    pub long_head: usize,
    /// Tuple: its items.
    pub tuple_items: usize,
    /// Function: its code, its qualified name, its closure.
    pub function_code: usize,
    pub function_name: usize,
    pub function_closure: usize,
    /// Frame: its first slot.
    pub frame_slots: usize,
    pub local_names: LocalNames,
}

/// The same in all versions. `PyThreadState`: the next one, and the interpreter.
pub const THREAD_NEXT: usize = 8;
pub const THREAD_INTERPRETER: usize = 16;
/// Type: `tp_basicsize`, `tp_itemsize`, `tp_traverse`, `tp_members`, `tp_base`, `tp_dict`, `tp_dictoffset`, `tp_is_gc`.
pub const TYPE_BASIC_SIZE: usize = 32;
pub const TYPE_ITEM_SIZE: usize = 40;
pub const TYPE_TRAVERSE: usize = 184;
pub const TYPE_MEMBERS: usize = 240;
pub const TYPE_BASE: usize = 256;
pub const TYPE_DICT: usize = 264;
pub const TYPE_DICT_OFFSET: usize = 288;
pub const TYPE_IS_GC: usize = 328;
/// Type: `tp_mro`, a tuple.
pub const TYPE_ORDER: usize = 344;
/// Method descriptor: its `PyMethodDef`, which has the function at 8 and the flags at 16.
pub const DESCRIPTOR_METHOD: usize = 40;
/// List: pointer to the items, and for how many there is room.
pub const LIST_ITEMS: usize = 24;
pub const LIST_ROOM: usize = 32;
/// `PyMemberDef`: its length, its type and its offset.
pub const MEMBER_BYTES: usize = 40;
pub const MEMBER_TYPE: usize = 8;
pub const MEMBER_OFFSET: usize = 16;
/// Keys of a dict: binary logarithm of the bytes of the index, number of entries, the index, behind which entries stand.
pub const KEYS_INDEX_BYTES: usize = 9;
pub const KEYS_KIND: usize = 10;
pub const KEYS_USED: usize = 24;
pub const KEYS_INDEX: usize = 32;

const PYTHON_3_8: Layout = Layout {
    version: 0x0308,
    generations: Generations::Runtime { young: 368, permanent: 448 },
    finishing: Some(600),
    qualified_name: 864,
    shared_keys: 872,
    inline_values: InlineValues::Never,
    long_head: 0,
    tuple_items: 24,
    function_code: 16,
    function_name: 104,
    function_closure: 48,
    frame_slots: 360,
    local_names: LocalNames::Apart { locals: 72, cells: 88, free: 80 },
};

const PYTHON_3_9: Layout = Layout {
    version: 0x0309,
    generations: Generations::Interpreter { young: 640, permanent: 720 },
    finishing: None,
    qualified_name: 856,
    shared_keys: 864,
    ..PYTHON_3_8
};

const PYTHON_3_10: Layout = Layout {
    version: 0x030A,
    qualified_name: 864,
    shared_keys: 872,
    function_code: 48,
    function_name: 40,
    function_closure: 72,
    frame_slots: 352,
    ..PYTHON_3_9
};

const PYTHON_3_11: Layout = Layout {
    version: 0x030B,
    generations: Generations::Interpreter { young: 672, permanent: 752 },
    inline_values: InlineValues::FourBefore,
    long_head: 1 << 4,
    frame_slots: 72,
    local_names: LocalNames::Together { names: 96, count: 76, free: 92 },
    ..PYTHON_3_10
};

const PYTHON_3_12: Layout = Layout {
    version: 0x030C,
    generations: Generations::Shown,
    qualified_name: 872,
    shared_keys: 880,
    inline_values: InlineValues::ThreeBefore,
    long_head: 1 << 3 | 1 << 4,
    local_names: LocalNames::Together { names: 96, count: 72, free: 88 },
    ..PYTHON_3_11
};

const PYTHON_3_13: Layout = Layout { version: 0x030D, inline_values: InlineValues::Behind, ..PYTHON_3_12 };

const PYTHON_3_14: Layout = Layout { version: 0x030E, tuple_items: 32, frame_slots: 80, ..PYTHON_3_13 };

const PYTHON_3_15: Layout = Layout { version: 0x030F, qualified_name: 880, shared_keys: 888, ..PYTHON_3_14 };

static ROWS: [Layout; 8] =
    [PYTHON_3_8, PYTHON_3_9, PYTHON_3_10, PYTHON_3_11, PYTHON_3_12, PYTHON_3_13, PYTHON_3_14, PYTHON_3_15];

/// The row of a version (`major << 8 | minor`).
pub fn of_version(version: u16) -> Option<&'static Layout> {
    ROWS.iter().find(|row| row.version == version)
}
