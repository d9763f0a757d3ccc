//! Where an interpreter's functions and data are, if the program or a library that it is linked with has one.
//!
//! Not asked of `dlsym`: for what is not there it keeps an error, which the program would find unless `dlerror` takes it
//! away, and `dlerror` translates its text under a lock of the C library. Our first moment can be an allocation inside of
//! just that lock (a constructor that calls `bindtextdomain`), which is then released twice: the next who wants it waits for
//! ever. So these are weak references, which the dynamic linker fills in when it loads us, from the same objects in the
//! same order; what is missing stays zero, without an error.

use core::arch::global_asm;
use core::ptr::NonNull;

macro_rules! symbols {
    ($($name:ident)*) => {
        /// What is looked for, under the interpreter's own names.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy)]
        pub enum Symbol { $($name),* }

        const COUNT: usize = [$(Symbol::$name),*].len();

        // In the part of our data that is read-only once it has been relocated.
        global_asm!(
            ".pushsection .data.rel.ro.heaptide_interpreter_symbols, \"aw\"",
            ".balign 8",
            ".globl heaptide_interpreter_symbols",
            ".hidden heaptide_interpreter_symbols",
            "heaptide_interpreter_symbols:",
            $(concat!(".weak ", stringify!($name)), concat!(".8byte ", stringify!($name)),)*
            ".popsection",
        );
    };
}

// In the order of the enumeration, which the table shares.
symbols! {
    PyBytes_Type
    PyCFunction_Type
    PyCode_Type
    PyGILState_GetThisThreadState
    PyLong_Type
    PyMem_GetAllocator
    PyMem_SetAllocator
    PyThreadState_GetUnchecked
    PyUnicode_Type
    Py_GetVersion
    Py_Version
    _PyEval_EvalFrameDefault
    _PyRuntime
    _PyThreadState_UncheckedGet
    _Py_MergeZeroLocalRefcount
}

unsafe extern "C" {
    static heaptide_interpreter_symbols: [usize; COUNT];
}

/// Address of a function or of data of the interpreter; `None` if there is none.
pub fn symbol(symbol: Symbol) -> Option<NonNull<u8>> {
    // SAFETY: the table above, one word for each; the dynamic linker has written it before any of our code runs, and
    // nobody writes to it afterwards.
    let table = unsafe { &heaptide_interpreter_symbols };
    NonNull::new(table[symbol as usize] as *mut u8)
}
