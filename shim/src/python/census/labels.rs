//! The way from an object to a root in words: what each holder is called, and under which name, key or index it holds the
//! one before. Looked for only for the few objects that are reported, in the interpreter's structures and by functions
//! that run no Python code.

use super::super::codes::{read, text};
use super::super::offsets::{self, executable, local};
use super::graph::{self, Entry, FRAME, Graph, ROOT};
use super::kinds::{HEAP_TYPE, IS_DICT, IS_LIST, IS_TUPLE, IS_TYPE, Kinds, Measuring, is_text, push_name};
use super::layout::{self, InlineValues, LocalNames};
use super::text::{MOST_BYTES, Texts};
use crate::memory::Pages;
use core::ffi::{CStr, c_char};
use heaptide_format::wire::census::Via;

/// Most holders of a way; further ones are left out.
const MOST_HOPS: usize = 64;
/// Attributes that instances share keys for, at most (`SHARED_KEYS_MAX_SIZE`).
const MOST_INLINE: usize = 30;
/// Types of a class's bases that are looked through.
const MOST_BASES: usize = 64;
/// Kind of keys that instances share.
const SPLIT_KEYS: u8 = 2;

/// Writes the way of an entry: the number of hops, then each with its type, its name, how it holds the one before, and the
/// label.
///
/// # Safety
/// As [`Graph::walk`], for the graph that it made, right after it.
pub unsafe fn push_way(out: &mut Pages<u8>, graph: &Graph, kinds: &Kinds, with: &Measuring<'_>, entry: u32) {
    let entries = graph.entries.as_slice();
    let mut hops = [0u32; MOST_HOPS];
    let mut count = 0;
    let mut at = entry;
    while at != ROOT && count < MOST_HOPS {
        hops[count] = at;
        count += 1;
        at = entries[at as usize].parent;
    }
    out.push_bytes(&[count as u8]);
    let mut index = None;
    for (place, hop) in hops[..count].iter().enumerate() {
        let holder = entries[*hop as usize];
        let flags = kinds.kinds.as_slice().get(holder.kind as usize).map_or(0, |kind| kind.flags);
        out.push_u32(holder.kind);
        // SAFETY: the caller's promise: all entries are live.
        unsafe {
            push_short(out, |out| name(out, holder, flags, with));
            let before = place.checked_sub(1).map(|before| entries[hops[before] as usize]);
            let (edge, next) = match before {
                None => (Edge { via: Via::Itself, label: Label::None }, None),
                Some(held) => find(holder, flags, held.object, index, with),
            };
            index = next;
            out.push_bytes(&[edge.via as u8]);
            push_short(out, |out| edge.label.push(out, with));
        }
    }
}

/// A text with its length in front.
fn push_short(out: &mut Pages<u8>, write: impl FnOnce(&mut Pages<u8>)) {
    let start = out.len();
    out.push_bytes(&[0, 0]);
    write(out);
    let length = out.len().saturating_sub(start + 2).min(usize::from(u16::MAX)) as u16;
    if let Some(place) = out.as_mut_slice().get_mut(start..start + 2) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// A label as it lies in memory.
#[derive(Clone, Copy)]
enum Label {
    None,
    /// A str, or what else is a key: an int, else its type.
    Object(usize),
    Bytes(*const c_char),
    Index(usize),
}

impl Label {
    unsafe fn push(self, out: &mut Pages<u8>, with: &Measuring<'_>) {
        match self {
            Self::None => {}
            Self::Index(index) => out.push_decimal(index as i64),
            // SAFETY: the name of a member of a type, a C string that lives as long as the type.
            Self::Bytes(name) => out.push_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()),
            // SAFETY: a live object; of an exact int the value is read.
            Self::Object(object) => unsafe {
                let kind: usize = read(object, offsets::OBJECT_TYPE);
                if is_text(object) {
                    out.push_text(text(object, with.offsets));
                } else if kind == with.api.long_type {
                    let value = (with.api.long_value)(object as _);
                    if value == -1 && !(with.api.error_occurred)().is_null() {
                        (with.api.clear_error)();
                        return out.push_bytes(b"int");
                    }
                    out.push_decimal(value as i64);
                } else {
                    push_name(out, kind, read(kind, offsets::TYPE_FLAGS), with);
                }
            },
        }
    }
}

struct Edge {
    via: Via,
    label: Label,
}

impl Edge {
    const UNKNOWN: Self = Self { via: Via::Unknown, label: Label::None };

    fn of_key(key: usize, with: &Measuring<'_>) -> Self {
        // SAFETY: a key of a live dict.
        let (is_text, is_int) =
            unsafe { (is_text(key), read::<usize>(key, offsets::OBJECT_TYPE) == with.api.long_type) };
        let via = match (is_text, is_int) {
            (true, _) => Via::Key,
            (_, true) => Via::Index,
            _ => Via::KeyOfType,
        };
        Self { via, label: Label::Object(key) }
    }
}

/// What a holder is called: a module, a function, a class, a frame's function. Nothing for others.
unsafe fn name(out: &mut Pages<u8>, holder: Entry, flags: usize, with: &Measuring<'_>) {
    let Entry { object, kind, .. } = holder;
    // SAFETY: live objects of these types, whose fields are read; names are str.
    unsafe {
        if kind == FRAME {
            let code = executable(read(object, with.offsets.frame_code));
            return out.push_text(text(read(code, with.offsets.code_name), with.offsets));
        }
        if flags & IS_TYPE != 0 {
            return push_name(out, object, read(object, offsets::TYPE_FLAGS), with);
        }
        let own: usize = read(object, offsets::OBJECT_TYPE);
        if own == with.api.function {
            return out.push_text(text(read(object, with.layout.function_name), with.offsets));
        }
        if own == with.api.module {
            let known = graph::name_of_root(with.api, object).filter(|name| is_text(*name));
            let name = known.or_else(|| own_name(object, with));
            if let Some(name) = name {
                out.push_text(text(name, with.offsets));
            }
            return;
        }
        if is_frame_object(own, with) {
            let code: usize = read(object, with.offsets.frame_code);
            out.push_text(text(read(code, with.offsets.code_name), with.offsets));
        }
    }
}

/// `__name__` of a module that nobody has in `sys.modules`.
unsafe fn own_name(module: usize, with: &Measuring<'_>) -> Option<usize> {
    // SAFETY: a live module's dict, its entries, and str among them.
    unsafe {
        let dict = (with.api.module_dict)(module as _) as usize;
        let is_name = |key: usize| is_text(key) && text(key, with.offsets).0 == b"__name__";
        with.api.entries(dict).find_map(|(key, value)| (is_name(key) && is_text(value)).then_some(value))
    }
}

/// Up to 3.10, where a frame object has its slots itself.
unsafe fn is_frame_object(kind: usize, with: &Measuring<'_>) -> bool {
    // SAFETY: a type's name is a C string.
    matches!(with.layout.local_names, LocalNames::Apart { .. })
        && unsafe { CStr::from_ptr(read::<*const c_char>(kind, offsets::TYPE_NAME)) } == c"frame"
}

/// How `holder` holds `held`; `index` is where in that (a tuple) the one before stands. Gives the index for the next hop.
unsafe fn find(
    holder: Entry,
    flags: usize,
    held: usize,
    index: Option<usize>,
    with: &Measuring<'_>,
) -> (Edge, Option<usize>) {
    let Entry { object, kind, .. } = holder;
    // SAFETY: live objects by the promise of `push_way`; each is asked only for what its type has.
    unsafe {
        if kind == FRAME {
            let code = executable(read(object, with.offsets.frame_code));
            return (slot(object, code, held, with), None);
        }
        let own: usize = read(object, offsets::OBJECT_TYPE);
        if flags & IS_LIST != 0 {
            let (items, length): (usize, isize) =
                (read(object, layout::LIST_ITEMS), read(object, offsets::VARIABLE_SIZE));
            return indexed(items, length, held);
        }
        if flags & IS_TUPLE != 0 {
            return indexed(object + with.layout.tuple_items, read(object, offsets::VARIABLE_SIZE), held);
        }
        if flags & IS_DICT != 0 {
            return (key_of(object, held, with).unwrap_or(Edge::UNKNOWN), None);
        }
        if own == with.api.module && (with.api.module_dict)(object as _) as usize == held {
            return (Edge { via: Via::Namespace, label: Label::None }, None);
        }
        if flags & IS_TYPE != 0 && read::<usize>(object, layout::TYPE_DICT) == held {
            return (Edge { via: Via::Namespace, label: Label::None }, None);
        }
        if own == with.api.function
            && read::<usize>(object, with.layout.function_closure) == held
            && let Some(name) = free_variable(read(object, with.layout.function_code), index.unwrap_or(0), with)
        {
            return (Edge { via: Via::Closure, label: Label::Object(name) }, None);
        }
        if is_frame_object(own, with) {
            return (slot(object, read(object, with.offsets.frame_code), held, with), None);
        }
        (attribute(object, own, held, with), None)
    }
}

unsafe fn indexed(items: usize, length: isize, held: usize) -> (Edge, Option<usize>) {
    // SAFETY: so many items stand there.
    let place = (0..length.max(0) as usize).find(|place| unsafe { read::<usize>(items, 8 * place) } == held);
    match place {
        Some(place) => (Edge { via: Via::Index, label: Label::Index(place) }, Some(place)),
        None => (Edge::UNKNOWN, None),
    }
}

unsafe fn key_of(dict: usize, held: usize, with: &Measuring<'_>) -> Option<Edge> {
    // SAFETY: a live dict.
    let found = unsafe { with.api.entries(dict) }.find(|(key, value)| *value == held || *key == held)?;
    Some(if found.1 == held { Edge::of_key(found.0, with) } else { Edge { via: Via::IsKey, label: Label::None } })
}

/// The variable of a frame.
unsafe fn slot(frame: usize, code: usize, held: usize, with: &Measuring<'_>) -> Edge {
    // SAFETY: a frame and its code; names are tuples of str, one for each slot.
    unsafe {
        let count = match with.layout.local_names {
            LocalNames::Together { count, .. } => read::<i32>(code, count).max(0) as usize,
            LocalNames::Apart { locals, cells, free } => {
                [locals, cells, free].into_iter().map(|names| length(read(code, names))).sum()
            }
        };
        let place = (0..count).find(|slot| local(read(frame, with.layout.frame_slots + 8 * slot)) == held);
        match place.and_then(|place| name_of_slot(code, place, with)) {
            Some(name) => Edge { via: Via::Local, label: Label::Object(name) },
            None => Edge::UNKNOWN,
        }
    }
}

unsafe fn name_of_slot(code: usize, mut place: usize, with: &Measuring<'_>) -> Option<usize> {
    // SAFETY: as in `slot`.
    unsafe {
        match with.layout.local_names {
            LocalNames::Together { names, .. } => item(read(code, names), place, with),
            LocalNames::Apart { locals, cells, free } => {
                for names in [locals, cells, free] {
                    let names: usize = read(code, names);
                    if place < length(names) {
                        return item(names, place, with);
                    }
                    place -= length(names);
                }
                None
            }
        }
    }
}

/// The name of a function's free variable.
unsafe fn free_variable(code: usize, index: usize, with: &Measuring<'_>) -> Option<usize> {
    // SAFETY: as in `slot`.
    unsafe {
        match with.layout.local_names {
            LocalNames::Apart { free, .. } => item(read(code, free), index, with),
            LocalNames::Together { names, count, free } => {
                let (count, free): (i32, i32) = (read(code, count), read(code, free));
                item(read(code, names), usize::try_from(count - free).ok()? + index, with)
            }
        }
    }
}

/// Length of a tuple; 0 of none.
unsafe fn length(tuple: usize) -> usize {
    // SAFETY: null or a live tuple.
    if tuple == 0 { 0 } else { unsafe { read::<isize>(tuple, offsets::VARIABLE_SIZE) }.max(0) as usize }
}

unsafe fn item(tuple: usize, place: usize, with: &Measuring<'_>) -> Option<usize> {
    // SAFETY: null or a live tuple, which has so many items.
    unsafe { (place < length(tuple)).then(|| read(tuple, with.layout.tuple_items + 8 * place)) }
}

/// How an instance holds something: as its dict, as an attribute without one, as a slot or another member of its type.
unsafe fn attribute(object: usize, kind: usize, held: usize, with: &Measuring<'_>) -> Edge {
    // SAFETY: an instance of this type, laid out as the type's fields say.
    unsafe {
        let flags: usize = read(kind, offsets::TYPE_FLAGS);
        let namespace = Edge { via: Via::Namespace, label: Label::None };
        let dict: isize = read(kind, layout::TYPE_DICT_OFFSET);
        if dict > 0 && read::<usize>(object, dict as usize) == held {
            return namespace;
        }
        // The word in which instances have had their dict since 3.11, whatever stands in front of it.
        let is_managed = flags & with.layout.long_head & 1 << 4 != 0;
        if is_managed {
            if read::<usize>(object - 24, 0) == held {
                return namespace;
            }
            if let Some(name) = inline_attribute(object, kind, held, with) {
                return Edge { via: Via::Attribute, label: Label::Object(name) };
            }
        }
        let mut class = kind;
        for _ in 0..MOST_BASES {
            if class == 0 {
                break;
            }
            let mut member: usize = read(class, layout::TYPE_MEMBERS);
            while member != 0 && read::<usize>(member, 0) != 0 {
                let (sort, place): (i32, isize) =
                    (read(member, layout::MEMBER_TYPE), read(member, layout::MEMBER_OFFSET));
                // `T_OBJECT` and `T_OBJECT_EX`.
                if matches!(sort, 6 | 16) && place > 0 && read::<usize>(object, place as usize) == held {
                    return Edge { via: Via::Attribute, label: Label::Bytes(read(member, 0)) };
                }
                member += layout::MEMBER_BYTES;
            }
            class = read(class, layout::TYPE_BASE);
        }
        Edge::UNKNOWN
    }
}

/// The name of an attribute that an instance has without a dict.
unsafe fn inline_attribute(object: usize, kind: usize, held: usize, with: &Measuring<'_>) -> Option<usize> {
    // SAFETY: an instance of a class whose instances have their attributes so; the values are in the order of the keys
    // that the class's instances share, of which at most 30 are.
    unsafe {
        let flags: usize = read(kind, offsets::TYPE_FLAGS);
        let values: usize = match with.layout.inline_values {
            InlineValues::Never => return None,
            InlineValues::FourBefore => read(object - 32, 0),
            InlineValues::ThreeBefore => {
                let word: usize = read(object - 24, 0);
                if word & 1 == 0 {
                    return None;
                }
                word + 1
            }
            // `Py_TPFLAGS_INLINE_VALUES`; the fourth byte of the head says whether they are in use.
            InlineValues::Behind if flags & 1 << 2 != 0 => {
                let basic: isize = read(kind, layout::TYPE_BASIC_SIZE);
                let head = object + basic.max(0) as usize;
                if read::<u8>(head, 3) == 0 {
                    return None;
                }
                head + 8
            }
            InlineValues::Behind => return None,
        };
        if values == 0 || flags & HEAP_TYPE == 0 {
            return None;
        }
        let keys: usize = read(kind, with.layout.shared_keys);
        if keys == 0 || read::<u8>(keys, layout::KEYS_KIND) != SPLIT_KEYS {
            return None;
        }
        let used: isize = read(keys, layout::KEYS_USED);
        let entries = keys + layout::KEYS_INDEX + (1usize << (read::<u8>(keys, layout::KEYS_INDEX_BYTES) & 31));
        let place =
            (0..(used.max(0) as usize).min(MOST_INLINE)).find(|place| read::<usize>(values, 8 * place) == held)?;
        let name: usize = read(entries, 16 * place);
        (name != 0).then_some(name)
    }
}

const _: () = assert!(MOST_BYTES < u16::MAX as usize);
