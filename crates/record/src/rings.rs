//! The collector's side of the shared memory. All unsafe code of shared access is here, behind safe functions.

use heaptide_format::ring;
use heaptide_format::shared::{
    self, Control, LAYOUT, MAGIC, MAX_RINGS, RINGS_PER_SLAB, RingHeader, SLAB_BYTES, ring_state,
};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// The shared memory of a run.
pub struct Shared {
    file: File,
    control: NonNull<Control>,
    /// Slabs mapped so far.
    slabs: Vec<NonNull<u8>>,
}

impl Shared {
    /// Makes the shared memory of a new run with these [`shared::option`] bits, this [`Control::max_depth`] and
    /// [`Control::native_depth`].
    ///
    /// # Errors
    /// What the kernel says if it has no memory file or no address space for it.
    pub fn create(options: u32, max_depth: u32, native_depth: u32) -> io::Result<Self> {
        let (file, rings) = memory_file()?;
        let control = map(&file, 0, shared::CONTROL_BYTES)?.cast::<Control>();
        let mut this = Self { file, control, slabs: Vec::new() };
        // SAFETY: zeroed memory of its size, which no target knows of yet.
        let fields = unsafe { this.control.as_mut() };
        fields.magic = MAGIC;
        fields.layout = LAYOUT;
        fields.options = options;
        fields.max_depth = max_depth;
        fields.native_depth = native_depth;
        fields.collector_pid = std::process::id();
        fields.next_image = 1.into();
        fields.stamps = 1.into();
        for state in &mut fields.ring_states[rings..] {
            *state = ring_state::ABSENT.into();
        }
        Ok(this)
    }

    /// The same memory for another session, when the one before is over.
    #[cfg(any(test, feature = "nonsense"))]
    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, control: self.control, slabs: self.slabs.clone() })
    }

    /// Path by which targets of the same user open it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// The control area.
    pub fn control(&self) -> &Control {
        // SAFETY: mapped as long as `self`; fields that targets change are atomics.
        unsafe { self.control.as_ref() }
    }

    /// Rings that were ever claimed: all are below this.
    pub fn rings_used(&self) -> usize {
        (self.control().rings_used.load(Ordering::Acquire) as usize).min(MAX_RINGS)
    }

    /// State of ring `index`.
    pub fn state(&self, index: usize) -> u32 {
        self.control().ring_states[index].load(Ordering::Acquire)
    }

    /// Whether ring `index` is some thread's, and its header too.
    pub fn is_in_use(&self, index: usize) -> bool {
        matches!(self.state(index), ring_state::CLAIMED | ring_state::EXITING | ring_state::RELEASED)
    }

    /// Frees ring `index` for another thread. Its words must have been taken.
    pub fn free(&self, index: usize) {
        self.control().ring_states[index].store(ring_state::FREE, Ordering::Release);
    }

    /// The header of ring `index`, which must be below [`Self::rings_used`].
    ///
    /// # Errors
    /// What the kernel says if there is no address space for its slab.
    pub fn header(&mut self, index: usize) -> io::Result<&'static RingHeader> {
        let slab = index / RINGS_PER_SLAB;
        while self.slabs.len() <= slab {
            let offset = shared::ring_offset(self.slabs.len() * RINGS_PER_SLAB);
            self.slabs.push(map(&self.file, offset, SLAB_BYTES)?);
        }
        let offset = index % RINGS_PER_SLAB * shared::RING_BYTES;
        // SAFETY: inside the slab, which is never unmapped; only atomics in it are used.
        Ok(unsafe { self.slabs[slab].add(offset).cast::<RingHeader>().as_ref() })
    }
}

/// The target's side, for tests.
#[cfg(test)]
impl Shared {
    /// A thread of an image of this process claims ring `index`.
    pub fn claim(&mut self, index: usize, image: u32) {
        let header = self.header(index).expect("a ring");
        header.image.store(image, Ordering::Relaxed);
        header.pid.store(std::process::id(), Ordering::Relaxed);
        header.claims.fetch_add(1, Ordering::Release);
        self.control().rings_used.fetch_max(index as u32 + 1, Ordering::AcqRel);
        self.control().ring_states[index].store(ring_state::CLAIMED, Ordering::Release);
    }

    /// The thread that has claimed ring `index` publishes these words, for which there is room.
    pub fn publish(&mut self, index: usize, words: &[u64]) {
        use heaptide_format::shared::RING_WORDS;
        use std::os::unix::fs::FileExt;
        let header = self.header(index).expect("a ring");
        let written = header.written.load(Ordering::Relaxed);
        assert!(written + words.len() as u64 <= header.read.load(Ordering::Acquire) + RING_WORDS as u64, "no room");
        let at = written as usize & (RING_WORDS - 1);
        let (first, rest) = words.split_at(words.len().min(RING_WORDS - at));
        for (at, words) in [(at, first), (0, rest)] {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let place = shared::ring_offset(index) + size_of::<RingHeader>() + at * 8;
            self.file.write_all_at(&bytes, place as u64).expect("written");
        }
        header.written.store(written + words.len() as u64, Ordering::Release);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A target that goes on finds it stopped; our own mapping stays, headers are handed out as `'static`.
        self.control().stopped.store(1, Ordering::Release);
    }
}

/// The file behind the shared memory, and how many rings have room in it.
fn memory_file() -> io::Result<(File, usize)> {
    // SAFETY: the name ends with NUL.
    let descriptor = unsafe { libc::memfd_create(c"heaptide".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        // Refused by a filter of system calls.
        let refused = io::Error::last_os_error();
        return ordinary_file().ok_or(refused);
    }
    // SAFETY: opened just now, nobody else's.
    let file = unsafe { File::from_raw_fd(descriptor) };
    // Sparse: a ring costs memory once it is written. The limit on the size of files holds for this one too.
    let mut rings = MAX_RINGS;
    loop {
        match with_highest_file_limit(|| file.set_len(shared::ring_offset(rings) as u64)) {
            Ok(()) => return Ok((file, rings)),
            Err(error) if error.kind() != io::ErrorKind::FileTooLarge || rings == 1 => return Err(error),
            Err(_) => rings /= 2,
        }
    }
}

/// Does something under the hard limit on the size of files, which the soft one may be below: that is meant for what a
/// program writes to a disk.
pub(crate) fn with_highest_file_limit<R>(action: impl FnOnce() -> R) -> R {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a live structure, which is written.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } == 0;
    let set = |limit: libc::rlimit| {
        if known {
            // SAFETY: a live structure, which is read.
            unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        }
    };
    set(libc::rlimit { rlim_cur: limit.rlim_max, ..limit });
    let result = action();
    set(limit);
    result
}

/// Without memory files: a file in memory or on a disk whose name is removed at once, with few rings. Their room is
/// reserved: a file system that is full when a ring is written would kill the target.
fn ordinary_file() -> Option<(File, usize)> {
    let directories = ["/dev/shm".into(), std::env::temp_dir()];
    let mut files = directories.iter().filter_map(|directory| {
        let path = directory.join(format!("heaptide-{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path).ok()?;
        std::fs::remove_file(&path).ok()?;
        let rings = [64, 16, 4].into_iter().find(|rings| {
            let bytes = shared::ring_offset(*rings) as libc::off_t;
            // SAFETY: a live descriptor and plain numbers.
            unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) == 0 }
        })?;
        Some((file, rings))
    });
    files.next()
}

pub(crate) fn map(file: &File, offset: usize, bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: the kernel chooses unused addresses.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            offset as libc::off_t,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))
}

/// Takes what a ring holds below `written`, appends it to `words` and gives the room back.
pub fn take(header: &'static RingHeader, written: u64, words: &mut Vec<u64>) {
    // SAFETY: `Shared::header` gave it, which never unmaps; the collector reads rings in one thread alone.
    if unsafe { ring::take(NonNull::from(header), written, words) } {
        wake(&header.waiting);
    }
}

fn wake(word: &std::sync::atomic::AtomicU32) {
    // SAFETY: the kernel uses the address of a live word as a key.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// Has the collector look at once, as a target does whose ring is full.
pub(crate) fn ring_doorbell(control: &Control) {
    control.doorbell.fetch_add(1, Ordering::SeqCst);
    wake(&control.doorbell);
}

/// Sleeps until a target rings the doorbell (counted up from `seen`) or the time is over.
pub fn wait_for_doorbell(control: &Control, seen: u32, nanoseconds: i64) {
    let timeout = libc::timespec { tv_sec: 0, tv_nsec: nanoseconds };
    // SAFETY: the kernel reads a live word and a live timeout.
    unsafe { libc::syscall(libc::SYS_futex, control.doorbell.as_ptr(), libc::FUTEX_WAIT, seen, &raw const timeout) };
}

/// A stamp that is later than those of all events published so far, and not later than any stamp taken afterwards.
#[cfg(target_arch = "x86_64")]
pub fn stamp(_: &Control) -> u64 {
    // SAFETY: user mode may read the counter; see the shim's `arch`.
    unsafe {
        std::arch::x86_64::_mm_mfence();
        std::arch::x86_64::_mm_lfence();
        let stamp = std::arch::x86_64::_rdtsc();
        std::arch::x86_64::_mm_lfence();
        stamp
    }
}

/// As above, where stamps come from a shared counter.
#[cfg(not(target_arch = "x86_64"))]
pub fn stamp(control: &Control) -> u64 {
    control.stamps.load(Ordering::SeqCst)
}
