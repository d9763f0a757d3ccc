//! Call frame information: what an object's `.eh_frame` says about a place in its code, found through the search table of
//! `.eh_frame_hdr` and translated to a [`Rule`]. Read where the loader has mapped it; gimli decodes it, with all it
//! needs on the stack.
//!
//! Understood are the forms that compilers write for code that has made a call: a register and an offset, the two
//! expressions of functions that align their stack, and that of procedure linkage tables. Everything else is [`Kind::Unknown`], hence a cut, never a guess.
//! Sources: System V ABI for x86-64 (figure 3.36, section 3.7), Linux Standard Base (`.eh_frame_hdr`), DWARF 5 (6.4).

use super::modules::Module;
use super::rules::{FRAME_POINTER, Kind, Rule, STACK_POINTER, flag};
use crate::arch::{self, RETURN_REGISTER, SAVED, STACK_REGISTER};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, Format, NativeEndian, Operation, Register,
    RegisterRule, UnwindContext, UnwindContextStorage, UnwindExpression, UnwindSection, UnwindTableRow,
};

type Bytes = EndianSlice<'static, NativeEndian>;

/// Room for the rules of all general registers and the return address (aarch64: of those that functions preserve), and for
/// the initial rules and one remembered row beside the current one; compilers do not nest these. Whoever needs more has a
/// cut stack.
struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); if cfg!(target_arch = "aarch64") { 24 } else { 17 }];
    type Stack = [UnwindTableRow<usize, Self>; 3];
}

type Context = UnwindContext<usize, Storage>;

/// Room for a decoder's state: 1.3 KiB, which would be much on a signal handler's stack of a few KiB.
struct Room {
    state: AtomicU32,
    context: UnsafeCell<MaybeUninit<Context>>,
}

// SAFETY: `context` is touched only by who has set `state` to `TAKEN`.
unsafe impl Sync for Room {}

/// Values of [`Room::state`].
const EMPTY: u32 = 0;
const FILLED: u32 = 1;
const TAKEN: u32 = 2;

/// For so many threads at the same time; further ones take it from their stacks. A child that is forked while a room is
/// taken has one less.
static ROOMS: [Room; 4] =
    [const { Room { state: AtomicU32::new(EMPTY), context: UnsafeCell::new(MaybeUninit::uninit()) } }; 4];

/// Does something with a decoder's state, whatever it was used for before.
fn with_context<R>(action: impl FnOnce(&mut Context) -> R) -> R {
    for room in &ROOMS {
        let before = room.state.swap(TAKEN, Ordering::Acquire);
        if before == TAKEN {
            continue;
        }
        // SAFETY: the room is ours until its state is `FILLED` again; there is no second reference.
        let context = unsafe { &mut *room.context.get() };
        if before == EMPTY {
            fill(context);
        }
        // SAFETY: whoever had the room first has filled it.
        let result = action(unsafe { context.assume_init_mut() });
        room.state.store(FILLED, Ordering::Release);
        return result;
    }
    on_the_stack(action)
}

/// Not inlined, as the next one: what it needs on the stack is given back before the decoder begins.
#[cold]
#[inline(never)]
fn fill(context: &mut MaybeUninit<Context>) {
    context.write(UnwindContext::new_in());
}

#[cold]
#[inline(never)]
fn on_the_stack<R>(action: impl FnOnce(&mut Context) -> R) -> R {
    action(&mut UnwindContext::new_in())
}

/// The rule for an instruction of a module that is on the calling thread's stack, and the range of the function's part that
/// it is in. `None` if the module says nothing about it.
pub fn rule(module: &Module, address: usize) -> Option<(Rule, (usize, usize))> {
    let (header, segment_end) = search_table(module)?;
    // SAFETY: `search_table`: inside a readable segment of a module that stays mapped while it is on this stack.
    let bytes = |from: usize| -> Option<Bytes> {
        let length = segment_end.checked_sub(from)?;
        // SAFETY: as above.
        Some(EndianSlice::new(unsafe { core::slice::from_raw_parts(from as *const u8, length) }, NativeEndian))
    };
    let bases = BaseAddresses::default().set_eh_frame_hdr(header as u64);
    let table = EhFrameHdr::from(bytes(header)?).parse(&bases, 8).ok()?;
    let start = table.eh_frame_ptr().direct().ok()? as usize;
    // Linkers put both sections into one segment, the table first or second.
    if start >= segment_end || segment_end - start > 1 << 31 {
        return None;
    }
    let bases = bases.set_eh_frame(start as u64);
    let mut section = EhFrame::from(bytes(start)?);
    section.set_address_size(8);
    let entry = table.table()?.fde_for_address(&section, &bases, address as u64, EhFrame::cie_from_offset).ok()?;
    let range = (entry.initial_address() as usize, entry.end_address() as usize);
    if entry.is_signal_trampoline() {
        return Some((Rule::of(Kind::Signal), range));
    }
    let rule = with_context(|context| {
        let row = entry.unwind_info_for_address(&section, &bases, context, address as u64).ok()?;
        Some(translated(row, &section, address).unwrap_or(Rule::of(Kind::Unknown)))
    })?;
    Some((rule, range))
}

fn translated(row: &UnwindTableRow<usize, Storage>, section: &EhFrame<Bytes>, address: usize) -> Option<Rule> {
    let mut rule = Rule::of(Kind::Caller);
    match row.register(Register(RETURN_REGISTER)) {
        Some(RegisterRule::Undefined) => return Some(Rule::of(Kind::Outermost)),
        Some(RegisterRule::Offset(offset)) => rule.link = words(offset)?,
        None | Some(RegisterRule::SameValue) if cfg!(target_arch = "aarch64") => {}
        _ => return None,
    }
    let (register, offset) = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => (*register, *offset),
        CfaRule::Expression(expression) => match linkage(expression, section, address) {
            Some(place) => place,
            None => {
                rule.flags |= flag::LOADED;
                place(expression, section, true)?
            }
        },
    };
    rule.base = base(register)?;
    rule.offset = i32::try_from(offset).ok()?;
    let mut by_frame_pointer = None;
    for (slot, number) in rule.saved.iter_mut().zip(SAVED) {
        let (place, is_relative_to_frame_pointer) = match row.register(Register(number)) {
            None | Some(RegisterRule::SameValue) => continue,
            // As good as unchanged: nobody who needs the value could have it.
            Some(RegisterRule::Undefined) => continue,
            Some(RegisterRule::Offset(offset)) => (offset, false),
            Some(RegisterRule::Expression(expression)) => {
                let (register, offset) = place(&expression, section, false)?;
                if base(register) != Some(FRAME_POINTER as u8) {
                    return None;
                }
                (offset, true)
            }
            Some(_) => return None,
        };
        if *by_frame_pointer.get_or_insert(is_relative_to_frame_pointer) != is_relative_to_frame_pointer {
            return None;
        }
        // 0 says that nothing is saved: that place is said by the smallest number instead.
        *slot = match words(place)? {
            0 => i16::MIN,
            words => words,
        };
    }
    if by_frame_pointer == Some(true) {
        rule.flags |= flag::BY_FRAME_POINTER;
    }
    Some(rule)
}

fn base(register: Register) -> Option<u8> {
    if register.0 == STACK_REGISTER {
        return Some(STACK_POINTER);
    }
    SAVED.iter().position(|number| *number == register.0).map(|place| place as u8)
}

fn words(offset: i64) -> Option<i16> {
    if offset % 8 != 0 { None } else { i16::try_from(offset / 8).ok().filter(|words| *words != i16::MIN) }
}

/// The register and offset that an expression names: of a place, or of one whose content is wanted if it is `loaded`.
fn place(expression: &UnwindExpression<usize>, section: &EhFrame<Bytes>, loaded: bool) -> Option<(Register, i64)> {
    let encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };
    let mut operations = expression.get(section).ok()?.operations(encoding);
    let Some(Operation::RegisterOffset { register, offset, .. }) = operations.next().ok()? else { return None };
    if loaded && !matches!(operations.next().ok()?, Some(Operation::Deref { size: 8, space: false, .. })) {
        return None;
    }
    operations.next().ok()?.is_none().then_some((register, offset))
}

/// What linkers say of the whole procedure linkage table: its entries are alike, and a word has been pushed behind a
/// certain instruction of each. `base + offset + ((pc & mask >= behind) << shift)`.
fn linkage(expression: &UnwindExpression<usize>, section: &EhFrame<Bytes>, address: usize) -> Option<(Register, i64)> {
    use Operation::{And, Ge, Plus, RegisterOffset, Shl, UnsignedConstant};
    let encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };
    let mut operations = expression.get(section).ok()?.operations(encoding);
    let mut next = || operations.next().ok().flatten();
    let RegisterOffset { register, offset, .. } = next()? else { return None };
    let RegisterOffset { register: Register(RETURN_REGISTER), offset: 0, .. } = next()? else { return None };
    let (UnsignedConstant { value: mask }, And) = (next()?, next()?) else { return None };
    let (UnsignedConstant { value: behind }, Ge) = (next()?, next()?) else { return None };
    let (UnsignedConstant { value: shift @ 0..8 }, Shl, Plus) = (next()?, next()?, next()?) else { return None };
    let pushed = i64::from(address as u64 & mask >= behind) << shift;
    if next().is_some() { None } else { Some((register, offset + pushed)) }
}

/// Whether the address, for which there is no unwind data, lies in code at which execution begins without a caller: that
/// of a program or of the dynamic linker, where the kernel jumps to, which is written by hand; or that at which a
/// coroutine's function arrives when it returns. No call left that return address (no call stands before it), and it is
/// a function's first instruction: that is how makecontext(3) arranges it.
pub fn is_outermost(module: &Module, address: usize) -> bool {
    /// Longer than any such code: dozens of bytes in glibc and musl.
    const ENTRY_BYTES: usize = 128;
    let Some((segments, entry_point)) = program_headers(module) else { return false };
    let begins = entry_point.wrapping_add(segments.bias);
    if entry_point != 0 && (begins..begins + ENTRY_BYTES).contains(&address) {
        return true;
    }
    let following = address + 1;
    rule(module, following).is_some_and(|(_, range)| range.0 == following)
        && !arch::is_behind_call(following, module.start)
}

/// Address of the module's `.eh_frame_hdr`, and the end of the segment it lies in. From its program headers, as the loader
/// has mapped them.
fn search_table(module: &Module) -> Option<(usize, usize)> {
    const LOAD: u32 = 1;
    const EH_FRAME: u32 = 0x6474_e550;
    let (segments, _) = program_headers(module)?;
    let (_, _, header, _) = segments.find(|(kind, ..)| *kind == EH_FRAME)?;
    let segment = segments.find(|(kind, _, address, length)| {
        *kind == LOAD && (*address..address.saturating_add(*length)).contains(&header)
    })?;
    let loaded = |address: usize| address.wrapping_add(segments.bias);
    Some((loaded(header), loaded(segment.2.wrapping_add(segment.3))))
}

/// The segments of a loaded object: type, offset in the file, address, bytes in memory.
struct Segments {
    /// Where the table of their headers is mapped.
    table: usize,
    count: usize,
    /// What is added to the addresses in the file.
    bias: usize,
}

impl Segments {
    fn find(&self, wanted: impl Fn(&(u32, usize, usize, usize)) -> bool) -> Option<(u32, usize, usize, usize)> {
        // SAFETY: `program_headers`: the whole table lies in what the kernel has listed as readable, of a module that stays
        // mapped while it is on this stack.
        let read = |at: usize| -> u64 { unsafe { (at as *const u64).read_unaligned() } };
        (0..self.count)
            .map(|index| self.table + index * ENTRY_BYTES)
            .map(|at| (read(at) as u32, read(at + 8) as usize, read(at + 16) as usize, read(at + 40) as usize))
            .find(wanted)
    }
}

const ENTRY_BYTES: usize = 56;

/// A module's segments, and the address in its file at which execution begins; 0 for one that is no program.
fn program_headers(module: &Module) -> Option<(Segments, usize)> {
    const HEADER_BYTES: usize = 64;
    const LOAD: u32 = 1;
    let (start, end) = module.header;
    if end - start < HEADER_BYTES {
        return None;
    }
    // SAFETY: `read` is asked for places between `start` and `end` only, which the kernel has listed as readable, of a
    // module that stays mapped while it is on this stack.
    let read = |at: usize| -> u64 { unsafe { ((start + at) as *const u64).read_unaligned() } };
    // Magic, 64 bits.
    if read(0) & 0xFF_FFFF_FFFF != 0x02_464C_457F {
        return None;
    }
    let (entry_point, table, count) = (read(24) as usize, read(32) as usize, read(56) as usize & 0xFFFF);
    if table >= 1 << 20 || table + count * ENTRY_BYTES > end - start {
        return None;
    }
    let mut segments = Segments { table: start + table, count, bias: 0 };
    let first = segments.find(|(kind, offset, ..)| *kind == LOAD && *offset == 0)?;
    segments.bias = start.wrapping_sub(first.2 & !0xFFF);
    Some((segments, entry_point))
}
