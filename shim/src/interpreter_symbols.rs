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
    PyBaseObject_Type
    PyBytes_Type
    PyCFunction_NewEx
    PyCFunction_Type
    PyCode_Type
    PyDict_Next
    PyDict_Type
    PyErr_Clear
    PyErr_Occurred
    PyFunction_Type
    PyGC_Disable
    PyGC_Enable
    PyGILState_GetThisThreadState
    PyImport_GetModuleDict
    PyImport_ImportModule
    PyInterpreterState_Main
    PyInterpreterState_ThreadHead
    PyList_Type
    PyLong_AsSsize_t
    PyLong_FromLong
    PyLong_Type
    PyMem_GetAllocator
    PyMem_SetAllocator
    PyMethodDescr_Type
    PyModule_GetDict
    PyModule_Type
    PyObject_CallMethod
    PyThreadState_GetUnchecked
    PyType_GetDict
    PyUnicode_InternFromString
    PyUnicode_Type
    PyUnstable_GC_VisitObjects
    Py_AddPendingCall
    Py_DecRef
    Py_GetVersion
    Py_IncRef
    Py_IsInitialized
    Py_Version
    _PyDict_SizeOf
    _PyEval_AddPendingCall
    _PyEval_EvalFrameDefault
    _PyRuntime
    _PyThreadState_UncheckedGet
    _Py_MergeZeroLocalRefcount
    _Py_NoneStruct
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
