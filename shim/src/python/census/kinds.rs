//! The types that a census meets: what each is called, how its objects are measured, how many there are now and were
//! the last time.

use super::super::codes::{read, text};
use super::super::offsets::{self, Offsets};
use super::api::{Api, Method, Object, Traverse};
use super::layout::{self, Layout};
use super::text::Texts;
use crate::memory::Pages;
use core::ffi::CStr;

/// Bits of `tp_flags`.
pub const HEAP_TYPE: usize = 1 << 9;
const HAVE_GC: usize = 1 << 14;
pub const IS_STR: usize = 1 << 28;
pub const IS_LIST: usize = 1 << 25;
pub const IS_TUPLE: usize = 1 << 26;
pub const IS_DICT: usize = 1 << 29;
pub const IS_TYPE: usize = 1 << 31;
/// Bytes of the head that the cyclic collector puts in front of an object, and of what stands in front of that.
const GC_HEAD: u64 = 16;
const LONG_HEAD: u64 = 16;
/// `METH_NOARGS`.
const NO_ARGUMENTS: i32 = 4;

/// How an object of a type is measured, so that it comes out as `sys.getsizeof` says.
#[derive(Clone, Copy)]
enum Measure {
    /// All have this length, plus so much for each item.
    Plain { bytes: u64, item: u64 },
    /// A list: the room for its items.
    List { bytes: u64 },
    /// A dict: the interpreter has a function for it.
    Dict { head: u64 },
    /// A str: in one piece if it is ASCII only, else as the method says.
    Text { head: u64, method: Option<Method> },
    /// Its `__sizeof__`, which is a C function without arguments, and what that leaves out.
    Method { method: Method, head: u64 },
}

/// A type.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Kind {
    pub address: usize,
    pub flags: usize,
    /// Not null if its objects can hold others.
    traverse: Option<Traverse>,
    /// Says of an object whether it has the collector's head; null: all have.
    is_gc: Option<unsafe extern "C" fn(Object) -> core::ffi::c_int>,
    measure: Measure,
    /// Where its name stands in the names, and how long it is.
    pub name: (u32, u32),
    pub count: u64,
    pub bytes: u64,
    /// In the census before.
    pub before: (u64, u64),
    /// Place among those that grew, plus 1; 0: it did not, or not enough to be looked at.
    pub place: u32,
}

/// All types of a census.
#[derive(Default)]
pub struct Kinds {
    table: Pages<u32>,
    pub kinds: Pages<Kind>,
    pub names: Pages<u8>,
}

/// What measuring needs beside a type.
pub struct Measuring<'a> {
    pub api: &'a Api,
    pub offsets: &'a Offsets,
    pub layout: &'a Layout,
    /// The text `__sizeof__`, and what `object` has under that name.
    pub method_name: Object,
    pub plain: Option<Method>,
}

fn hash(address: usize) -> usize {
    (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(24) as usize
}

impl Measuring<'_> {
    /// The C function without arguments that is a type's `__sizeof__`. `None` if that is something else.
    ///
    /// # Safety
    /// `kind` is a live type, and the calling thread holds the GIL.
    pub unsafe fn method(&self, kind: usize) -> Option<Method> {
        // Not by the interpreter's own look-up: that forgets other names for ours, and their blocks would be released unseen.
        // SAFETY: the order in which a type's names are looked for, a tuple of types.
        let found = unsafe {
            let order: usize = read(kind, layout::TYPE_ORDER);
            let length = if order == 0 { 0 } else { read::<isize>(order, offsets::VARIABLE_SIZE).max(0) as usize };
            (0..length).find_map(|place| self.own_method(read(order, self.layout.tuple_items + 8 * place)))?
        };
        // SAFETY: a live object has a type.
        if unsafe { read::<usize>(found, offsets::OBJECT_TYPE) } != self.api.method_descriptor {
            return None;
        }
        // SAFETY: a method descriptor has a definition, which lives as long.
        let (function, flags): (usize, i32) = unsafe {
            let definition = read::<usize>(found, layout::DESCRIPTOR_METHOD);
            (read(definition, 8), read(definition, 16))
        };
        // SAFETY: so many arguments the definition says that it takes; not null in a definition with a name.
        (flags == NO_ARGUMENTS && function != 0).then(|| unsafe { core::mem::transmute::<usize, Method>(function) })
    }

    /// What a type itself has as its `__sizeof__`: borrowed, alive as long as the type has it.
    ///
    /// # Safety
    /// As [`Self::method`].
    unsafe fn own_method(&self, kind: usize) -> Option<usize> {
        // SAFETY: a live type; its dict, or null.
        let dict = unsafe { read::<usize>(kind, layout::TYPE_DICT) };
        if dict != 0 {
            // SAFETY: that dict. The name is the one object that all types have it under.
            return unsafe { self.named(dict) };
        }
        // SAFETY: a new reference to the dict of a static type, which the interpreter has.
        let dict = unsafe { self.api.type_dict?(kind) };
        if dict.is_null() {
            return None;
        }
        // SAFETY: as above.
        let found = unsafe { self.named(dict as usize) };
        // SAFETY: ours; it is not the last.
        unsafe { (self.api.decrease)(dict) };
        found
    }

    /// # Safety
    /// `dict` is a live dict, and the calling thread holds the GIL.
    unsafe fn named(&self, dict: usize) -> Option<usize> {
        // SAFETY: the caller's promise.
        let found = unsafe { self.api.entries(dict) }.find(|(key, _)| *key == self.method_name as usize);
        found.map(|(_, value)| value)
    }

    /// # Safety
    /// As [`Self::method`].
    unsafe fn of_type(&self, kind: usize, flags: usize) -> Measure {
        let head = self.head(flags);
        // SAFETY: fields of a live type.
        let (basic, item): (isize, isize) =
            unsafe { (read(kind, layout::TYPE_BASIC_SIZE), read(kind, layout::TYPE_ITEM_SIZE)) };
        let plain = Measure::Plain { bytes: head + basic.max(0) as u64, item: item.max(0) as u64 };
        // SAFETY: the caller's promise.
        let method = unsafe { self.method(kind) };
        if kind == self.api.list {
            return Measure::List { bytes: head + basic.max(0) as u64 };
        }
        if kind == self.api.dict && self.api.dict_size.is_some() {
            return Measure::Dict { head };
        }
        if kind == self.api.text {
            return Measure::Text { head: self.offsets.ascii_data as u64, method };
        }
        match method {
            Some(method) if Some(method as usize) != self.plain.map(|plain| plain as usize) => {
                Measure::Method { method, head }
            }
            // `object.__sizeof__`, or one that the program wrote: that is not asked.
            _ => plain,
        }
    }

    /// What stands in front of an object of a type with these flags.
    pub fn head(&self, flags: usize) -> u64 {
        let gc = if flags & HAVE_GC != 0 { GC_HEAD } else { 0 };
        gc + if flags & self.layout.long_head != 0 { LONG_HEAD } else { 0 }
    }
}

impl Kind {
    /// The function that shows what an object holds; `None` if it holds nothing that the collector knows.
    ///
    /// # Safety
    /// `object` is a live object of this type.
    pub unsafe fn traverse(&self, object: usize) -> Option<Traverse> {
        let traverse = self.traverse?;
        // SAFETY: what `PyObject_IS_GC` does.
        let is_gc = self.is_gc.is_none_or(|is_gc| unsafe { is_gc(object as Object) } != 0);
        is_gc.then_some(traverse)
    }

    /// Bytes of an object, as `sys.getsizeof` gives them.
    ///
    /// # Safety
    /// As [`Self::traverse`], and the calling thread holds the GIL.
    pub unsafe fn bytes_of(&self, object: usize, with: &Measuring<'_>) -> u64 {
        // A static type has no collector's head.
        // SAFETY: the caller's promise.
        let headless = self.is_gc.is_some_and(|is_gc| unsafe { is_gc(object as Object) } == 0);
        let less = if headless && with.layout.version < 0x030B { GC_HEAD } else { 0 };
        let own = match self.measure {
            Measure::Plain { bytes, item: 0 } => bytes,
            Measure::Plain { bytes, item } => {
                // SAFETY: an object of variable size has its number of items there; negative only in an int, which is
                // measured by its method.
                let items: isize = unsafe { read(object, offsets::VARIABLE_SIZE) };
                bytes + item * items.unsigned_abs() as u64
            }
            Measure::List { bytes } => {
                // SAFETY: a list.
                let room: isize = unsafe { read(object, layout::LIST_ROOM) };
                bytes + 8 * room.max(0) as u64
            }
            Measure::Dict { head } => {
                // SAFETY: a dict; reads fields.
                let bytes = with.api.dict_size.map_or(0, |size| unsafe { size(object as Object) });
                head + bytes.max(0) as u64
            }
            // SAFETY: a str.
            Measure::Text { head, method } => unsafe { text_bytes(object, head, method, with) },
            // SAFETY: an object of the type whose method it is.
            Measure::Method { method, head } => head + unsafe { asked(object, method, with) },
        };
        own.saturating_sub(less)
    }
}

/// # Safety
/// `object` is a live str, and the calling thread holds the GIL.
unsafe fn text_bytes(object: usize, head: u64, method: Option<Method>, with: &Measuring<'_>) -> u64 {
    // SAFETY: fields of a str.
    let (length, state): (usize, u32) =
        unsafe { (read(object, offsets::STR_LENGTH), read(object, offsets::STR_STATE)) };
    let in_one_piece = state >> 5 & 1 == 1 && state >> 6 & 1 == 1;
    // Up to 3.11 it may have its characters a second time, as `wchar_t`.
    // SAFETY: as above; that word is part of the head.
    let twice = with.layout.version < 0x030C && unsafe { read::<usize>(object, 40) } != 0;
    match method {
        // SAFETY: a str.
        Some(method) if !in_one_piece || twice => unsafe { asked(object, method, with) },
        _ => head + length as u64 + 1,
    }
}

/// # Safety
/// `object` is a live object that has this method, and the calling thread holds the GIL.
unsafe fn asked(object: usize, method: Method, with: &Measuring<'_>) -> u64 {
    // SAFETY: a C function that is given the object it belongs to, and no arguments.
    let result = unsafe { method(object as Object, core::ptr::null_mut()) };
    if result.is_null() {
        // SAFETY: takes away the error that came of it.
        unsafe { (with.api.clear_error)() };
        return 0;
    }
    // SAFETY: a new reference; every object has a type there.
    let is_int = unsafe { read::<usize>(result as usize, offsets::OBJECT_TYPE) } == with.api.long_type;
    // SAFETY: an int.
    let bytes = if is_int { unsafe { (with.api.long_value)(result) } } else { 0 };
    if bytes < 0 {
        // SAFETY: as above; of an int that is too large.
        unsafe { (with.api.clear_error)() };
    }
    // SAFETY: ours.
    unsafe { (with.api.decrease)(result) };
    bytes.max(0) as u64
}

impl Kinds {
    /// None.
    pub const EMPTY: Self = Self { table: Pages::EMPTY, kinds: Pages::EMPTY, names: Pages::EMPTY };

    /// Bytes it holds.
    pub fn memory(&self) -> usize {
        self.table.bytes() + self.kinds.bytes() + self.names.bytes()
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        self.table.release();
        self.kinds.release();
        self.names.release();
    }

    /// A type's number. `None` if there is no memory.
    ///
    /// # Safety
    /// `address` is a live type, and the calling thread holds the GIL.
    #[inline]
    pub unsafe fn number(&mut self, address: usize, with: &Measuring<'_>, before: &Kinds) -> Option<u32> {
        let found = self.find(address);
        if let Ok(number) = found {
            return Some(number);
        }
        // SAFETY: the caller's promise.
        unsafe { self.add(address, with, before) }
    }

    fn find(&self, address: usize) -> Result<u32, usize> {
        let table = self.table.as_slice();
        let mask = table.len().wrapping_sub(1);
        let mut place = hash(address) & mask;
        while let Some(&number) = table.get(place) {
            if number == 0 {
                return Err(place);
            }
            if self.kinds.as_slice()[number as usize - 1].address == address {
                return Ok(number - 1);
            }
            place = (place + 1) & mask;
        }
        Err(0)
    }

    #[cold]
    unsafe fn add(&mut self, address: usize, with: &Measuring<'_>, before: &Kinds) -> Option<u32> {
        if self.kinds.len() * 2 >= self.table.len() {
            let wanted = (self.table.len() * 2).max(2048);
            self.table.truncate(0);
            self.table.resize_zeroed(wanted).then_some(())?;
            for number in 0..self.kinds.len() {
                let place = self.find(self.kinds.as_slice()[number].address).err()?;
                self.table.as_mut_slice()[place] = number as u32 + 1;
            }
        }
        // SAFETY: fields of a live type.
        let (flags, traverse, is_gc): (usize, Option<Traverse>, Option<_>) = unsafe {
            (
                read(address, offsets::TYPE_FLAGS),
                read(address, layout::TYPE_TRAVERSE),
                read(address, layout::TYPE_IS_GC),
            )
        };
        let start = self.names.len();
        // SAFETY: the caller's promise.
        unsafe { push_name(&mut self.names, address, flags, with) };
        let name = (start as u32, (self.names.len() - start) as u32);
        let kind = Kind {
            address,
            flags,
            traverse: traverse.filter(|_| flags & HAVE_GC != 0),
            is_gc,
            // SAFETY: the caller's promise.
            measure: unsafe { with.of_type(address, flags) },
            name,
            count: 0,
            bytes: 0,
            before: before.amount(address, self.name_bytes(name)),
            place: 0,
        };
        let place = self.find(address).err()?;
        self.kinds.push(kind).then_some(())?;
        self.table.as_mut_slice()[place] = self.kinds.len() as u32;
        Some(self.kinds.len() as u32 - 1)
    }

    /// The name, in UTF-8.
    pub fn name_bytes(&self, (start, length): (u32, u32)) -> &[u8] {
        self.names.as_slice().get(start as usize..(start + length) as usize).unwrap_or_default()
    }

    /// How many objects of a type there were and their bytes: by its address and its name, because types die.
    fn amount(&self, address: usize, name: &[u8]) -> (u64, u64) {
        match self.find(address) {
            Ok(number) => {
                let kind = &self.kinds.as_slice()[number as usize];
                if self.name_bytes(kind.name) == name { (kind.count, kind.bytes) } else { (0, 0) }
            }
            Err(_) => (0, 0),
        }
    }
}

/// `module.qualified name` of a class, what the type calls itself if it is static.
///
/// # Safety
/// As [`Kinds::number`].
pub unsafe fn push_name(out: &mut Pages<u8>, address: usize, flags: usize, with: &Measuring<'_>) {
    if flags & HEAP_TYPE == 0 {
        // SAFETY: a type's name is a C string.
        let name = unsafe { CStr::from_ptr(read::<*const core::ffi::c_char>(address, offsets::TYPE_NAME)) };
        out.push_bytes(name.to_bytes().strip_prefix(b"builtins.").unwrap_or(name.to_bytes()));
        return;
    }
    // SAFETY: the dict of a heap type, or null.
    let dict = unsafe { read::<usize>(address, layout::TYPE_DICT) };
    // SAFETY: as above.
    let module = unsafe { with.api.entries(dict) }.find_map(|(key, value)| {
        // SAFETY: live objects that the dict holds.
        unsafe { (is_text(key) && text(key, with.offsets).0 == b"__module__" && is_text(value)).then_some(value) }
    });
    if let Some(module) = module {
        // SAFETY: a str.
        let module = unsafe { text(module, with.offsets) };
        if module.0 != b"builtins" {
            out.push_text(module);
            out.push_bytes(b".");
        }
    }
    // SAFETY: a heap type has a qualified name, which is a str.
    unsafe {
        let name: usize = read(address, with.layout.qualified_name);
        out.push_text(text(name, with.offsets));
    }
}

/// Whether an object is a str.
///
/// # Safety
/// It is live.
pub unsafe fn is_text(object: usize) -> bool {
    // SAFETY: every object has a type, every type flags.
    unsafe { read::<usize>(read(object, offsets::OBJECT_TYPE), offsets::TYPE_FLAGS) & IS_STR != 0 }
}
