//! Where a task keeps its name, and a frame its first local: one row per version, also for debug builds.
//!
//! `tests/python_offsets.rs` compares the rows with the headers (the frame) and with what lies in the memory of every
//! interpreter that it finds (the task, whose structure only Modules/_asynciomodule.c has).

/// A row. Offsets are in bytes.
#[derive(Debug)]
pub struct Layout {
    /// `major << 8 | minor`.
    pub version: u16,
    /// Frame: its first local. From 3.14 on a reference with a tag, see `offsets::local`.
    pub first_local: usize,
    /// Bytes of a task. Another number, and no names are read.
    pub task: usize,
    /// Task: its name, a str; from 3.12 on an int until somebody asks for the name that asyncio makes up.
    pub task_name: usize,
}

static ROWS: [Layout; 8] = [
    Layout { version: 0x0308, first_local: 360, task: 144, task_name: 120 },
    Layout { version: 0x0309, first_local: 360, task: 184, task_name: 160 },
    Layout { version: 0x030A, first_local: 352, task: 192, task_name: 168 },
    Layout { version: 0x030B, first_local: 72, task: 176, task_name: 144 },
    Layout { version: 0x030C, first_local: 72, task: 176, task_name: 144 },
    Layout { version: 0x030D, first_local: 72, task: 144, task_name: 128 },
    Layout { version: 0x030E, first_local: 80, task: 168, task_name: 136 },
    Layout { version: 0x030F, first_local: 80, task: 168, task_name: 136 },
];

/// The row of a version (`major << 8 | minor`).
pub fn of_version(version: u16) -> Option<&'static Layout> {
    ROWS.iter().find(|row| row.version == version)
}
