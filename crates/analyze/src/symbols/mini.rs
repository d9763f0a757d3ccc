//! The small symbol table that some distributions leave in stripped objects: an object of its own with the functions that
//! are not exported, packed by xz in the section `.gnu_debugdata` ("MiniDebugInfo").

use lzma_rust2::XzReader;
use object::{Object, ObjectSection};
use std::io::Read;

/// Most bytes that it may unpack to. Those of the largest libraries have some megabytes.
const MOST_BYTES: u64 = 64 << 20;

/// Most memory that unpacking may take, in KiB: as much as for what `xz -9` packs.
const MOST_MEMORY_KIB: u32 = 80 << 10;

/// The bytes of the object that is packed in this one; `None` if there is none or it is damaged.
pub fn unpacked(object: &object::File<'_>) -> Option<Vec<u8>> {
    let section = object.section_by_name(".gnu_debugdata")?;
    let mut bytes = Vec::new();
    let reader = XzReader::new_mem_limit(section.data().ok()?, false, MOST_MEMORY_KIB);
    reader.take(MOST_BYTES + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MOST_BYTES).then_some(bytes)
}
