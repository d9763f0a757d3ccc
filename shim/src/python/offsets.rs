//! Where things are in CPython's structures: one row per version.
//!
//! The rows are what `fixtures/c/python_offsets.c` prints when it is compiled against the headers of that version
//! (patch releases do not move these fields); `tests/python_offsets.rs` compares the two for every interpreter it finds.

/// A row. Offsets are in bytes.
#[derive(Debug)]
pub struct Offsets {
    /// `major << 8 | minor`.
    pub version: u16,
    /// `_PyRuntime`: not null once finalization has begun.
    pub runtime_finalizing: usize,
    /// `PyThreadState`: the innermost frame, or the structure that has it.
    pub thread_frame: usize,
    /// In 3.11 and 3.12 `thread_frame` leads to a `_PyCFrame`, which has the frame here.
    pub cframe_frame: Option<usize>,
    /// Frame: the calling frame.
    pub frame_previous: usize,
    /// Frame: the code object. From 3.14 on a reference whose lowest bits are a tag, see [`executable`].
    pub frame_code: usize,
    /// Frame: `f_lasti` (an int) up to 3.10, then a pointer to the instruction.
    pub frame_instruction: usize,
    /// Frame: its owner, a char, and the value from which on it is the interpreter's own entry frame, which is not shown.
    pub entry_frame: Option<(usize, u8)>,
    /// Code: its first instruction, which the pointer above is relative to. `None`: `f_lasti` counts from 0.
    pub code_first_instruction: Option<usize>,
    /// Code: the qualified name if there is one, else the name.
    pub code_name: usize,
    /// Code: the file name.
    pub code_file: usize,
    /// Code: the first line, an int.
    pub code_first_line: usize,
    /// Code: `co_linetable`, or `co_lnotab` before 3.10.
    pub code_line_table: usize,
    /// Str, ASCII only: the characters. (Length at 16, state at 32 in all versions.)
    pub ascii_data: usize,
    /// Str, other: the characters.
    pub compact_data: usize,
    /// Where frames keep their evaluation stack. `None`: not in a way that [`super::marks`] can use.
    pub evaluation: Option<Evaluation>,
    /// Where the interpreter says itself what stands above; `None` before 3.13.
    pub report: Option<Report>,
}

/// The interpreter's own report, `_Py_DebugOffsets` at the start of `_PyRuntime`: words of 8 bytes in parts, one for each
/// structure, which begin with the structure's size. Here the index of each part's first word.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// `_PyRuntimeState`.
    pub runtime: usize,
    /// `PyThreadState`.
    pub thread: usize,
    /// `_PyInterpreterFrame`.
    pub frame: usize,
    /// `PyCodeObject`.
    pub code: usize,
    /// `PyObject`.
    pub object: usize,
    /// `PyTypeObject`.
    pub kind: usize,
    /// `PyBytesObject`.
    pub bytes: usize,
    /// `PyUnicodeObject`.
    pub text: usize,
}

/// A frame's evaluation stack, in versions where a Python function calls another without a C function between.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// Frame: an int, the number of slots in use (locals included), -1 while the frame runs; or, if `top_is_pointer`, a
    /// pointer to the slot behind those, null while the frame runs.
    pub top: usize,
    /// See `top`.
    pub top_is_pointer: bool,
    /// Frame: the slots.
    pub slots: usize,
    /// Frame: a char, who owns it; 0 the thread, 1 a generator.
    pub owner: usize,
    /// Frame: a bool, whether it was called from C, where no entry frame stands between the two.
    pub is_entry: Option<usize>,
    /// Code: an int, slots for locals.
    pub code_locals: usize,
    /// Code: an int, further slots at most.
    pub code_stack_size: usize,
}

/// Str: number of characters.
pub const STR_LENGTH: usize = 16;
/// Str: bit field; bits 2–4 are the bytes per character, bit 5 compact, bit 6 ASCII.
pub const STR_STATE: usize = 32;
/// Bytes: number of bytes.
pub const BYTES_LENGTH: usize = 16;
/// Bytes: the bytes.
pub const BYTES_DATA: usize = 32;
/// Object: its type. The count of references before it is 8 bytes in all these builds (not in those with
/// `Py_TRACE_REFS`, nor in free-threaded ones).
pub const OBJECT_TYPE: usize = 8;
/// Object, from 3.12 on: the lower half of the count of references of one that lives for ever is at least this.
pub const IMMORTAL: u32 = 1 << 30;
/// Object of variable size: the number of its items. Code (3.11 on): its length in code units.
pub const VARIABLE_SIZE: usize = 16;
/// Type: its name, a C string.
pub const TYPE_NAME: usize = 24;
/// Type: `tp_flags`, an unsigned long.
pub const TYPE_FLAGS: usize = 168;
/// Type: `tp_dealloc`.
pub const TYPE_DEALLOC: usize = 48;

/// 3.8.
pub const PYTHON_3_8: Offsets = Offsets {
    version: 0x0308,
    runtime_finalizing: 16,
    thread_frame: 24,
    cframe_frame: None,
    frame_previous: 24,
    frame_code: 32,
    frame_instruction: 104,
    entry_frame: None,
    code_first_instruction: None,
    code_name: 112,
    code_file: 104,
    code_first_line: 40,
    code_line_table: 120,
    ascii_data: 48,
    compact_data: 72,
    report: None,
    evaluation: None,
};

/// 3.9.
pub const PYTHON_3_9: Offsets = Offsets { version: 0x0309, ..PYTHON_3_8 };

/// 3.10.
pub const PYTHON_3_10: Offsets = Offsets { version: 0x030A, frame_instruction: 96, ..PYTHON_3_8 };

/// 3.11.
pub const PYTHON_3_11: Offsets = Offsets {
    version: 0x030B,
    runtime_finalizing: 24,
    thread_frame: 56,
    cframe_frame: Some(8),
    frame_previous: 48,
    frame_code: 32,
    frame_instruction: 56,
    entry_frame: None,
    code_first_instruction: Some(184),
    code_name: 128,
    code_file: 112,
    code_first_line: 72,
    code_line_table: 136,
    ascii_data: 48,
    compact_data: 72,
    report: None,
    evaluation: Some(Evaluation {
        top: 64,
        top_is_pointer: false,
        slots: 72,
        owner: 69,
        is_entry: Some(68),
        code_locals: 76,
        code_stack_size: 68,
    }),
};

/// 3.12.
pub const PYTHON_3_12: Offsets = Offsets {
    version: 0x030C,
    runtime_finalizing: 24,
    thread_frame: 56,
    cframe_frame: Some(0),
    frame_previous: 8,
    frame_code: 0,
    frame_instruction: 56,
    entry_frame: Some((70, 3)),
    code_first_instruction: Some(192),
    code_name: 128,
    code_file: 112,
    code_first_line: 68,
    code_line_table: 136,
    ascii_data: 40,
    compact_data: 56,
    report: None,
    evaluation: Some(Evaluation {
        top: 64,
        top_is_pointer: false,
        slots: 72,
        owner: 70,
        is_entry: None,
        code_locals: 72,
        code_stack_size: 64,
    }),
};

/// 3.13.
pub const PYTHON_3_13: Offsets = Offsets {
    version: 0x030D,
    runtime_finalizing: 608,
    thread_frame: 72,
    cframe_frame: None,
    code_first_instruction: Some(200),
    report: Some(Report { runtime: 3, thread: 19, frame: 28, code: 34, object: 44, kind: 46, bytes: 64, text: 67 }),
    ..PYTHON_3_12
};

/// 3.14.
pub const PYTHON_3_14: Offsets = Offsets {
    version: 0x030E,
    runtime_finalizing: 784,
    entry_frame: Some((74, 3)),
    code_first_instruction: Some(208),
    evaluation: Some(Evaluation {
        top: 64,
        top_is_pointer: true,
        slots: 80,
        owner: 74,
        is_entry: None,
        code_locals: 72,
        code_stack_size: 64,
    }),
    report: Some(Report { runtime: 3, thread: 22, frame: 31, code: 39, object: 50, kind: 52, bytes: 74, text: 77 }),
    ..PYTHON_3_13
};

/// 3.15.
pub const PYTHON_3_15: Offsets = Offsets {
    version: 0x030F,
    runtime_finalizing: 912,
    // Its compiler for machine code may keep the innermost slots in registers, results of calls among them.
    evaluation: None,
    report: Some(Report { runtime: 3, thread: 22, frame: 39, code: 47, object: 58, kind: 60, bytes: 86, text: 89 }),
    ..PYTHON_3_14
};

static ROWS: [Offsets; 8] =
    [PYTHON_3_8, PYTHON_3_9, PYTHON_3_10, PYTHON_3_11, PYTHON_3_12, PYTHON_3_13, PYTHON_3_14, PYTHON_3_15];

/// The object that a frame's code field refers to: 3.14 and later keep two bits of their own in it (`_PyStackRef`,
/// `Py_TAG_BITS`: who counts the reference). Objects lie at multiples of 8, so this changes nothing in other versions.
#[inline(always)]
pub fn executable(reference: usize) -> usize {
    reference & !3
}

/// The object that a frame's local refers to; 0: none. 3.14 and later keep the same two bits in it: the lower one says who
/// counts the reference, and alone it stands for null; with the higher one it is no object (`Py_INT_TAG`: a number,
/// `Py_TAG_INVALID`). In other versions it is an address, which has neither.
#[inline(always)]
pub fn local(reference: usize) -> usize {
    if reference & 2 == 0 { reference & !1 } else { 0 }
}

/// The row of a version (`major << 8 | minor`).
pub fn of_version(version: u16) -> Option<&'static Offsets> {
    ROWS.iter().find(|row| row.version == version)
}
