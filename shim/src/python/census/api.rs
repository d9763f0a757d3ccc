//! The interpreter's functions and types that a census needs, found by weak references.
//!
//! They are called under the GIL, by the thread that runs the census or (the first group) asks for it. Once objects are
//! walked only those of the last group are, beside `__sizeof__` functions: none of them runs Python code or releases an
//! object that was there, and the cyclic collector is stopped, so no object dies meanwhile.

use crate::interpreter_symbols::{Symbol, symbol};
use core::ffi::{c_char, c_int, c_long, c_void};

/// An object, or null.
pub type Object = *mut c_void;
/// `visitproc`, and the callback of `PyUnstable_GC_VisitObjects`.
pub type Visit = unsafe extern "C" fn(Object, *mut c_void) -> c_int;
/// `traverseproc`.
pub type Traverse = unsafe extern "C" fn(Object, Visit, *mut c_void) -> c_int;
/// `PyCFunction`.
pub type Method = unsafe extern "C" fn(Object, Object) -> Object;
/// What a pending call calls.
pub type Called = unsafe extern "C" fn(*mut c_void) -> c_int;

/// A function of the interpreter with this type, if there is one.
///
/// # Safety
/// `F` is the type of a pointer to a function with the signature that the interpreter's headers give.
unsafe fn function<F: Copy>(which: Symbol) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    let address = symbol(which)?.as_ptr();
    // SAFETY: an address of a function, as long as a pointer to one; the type is the caller's promise.
    Some(unsafe { core::mem::transmute_copy(&address) })
}

macro_rules! api {
    (functions { $($(#[$doc:meta])* $field:ident = $symbol:ident: $type:ty;)* } types { $($known:ident = $object:ident;)* }) => {
        /// See the module. Functions are named as in the interpreter, without prefix.
        pub struct Api {
            $($(#[$doc])* pub $field: $type,)*
            $(pub $known: usize,)*
            /// Asks for a call by any thread of an interpreter (3.12 on), not only by the main one.
            pub add_pending_anywhere: Option<unsafe extern "C" fn(Object, Called, *mut c_void, c_int) -> c_int>,
            /// From 3.12 on; before, the collector's lists are walked.
            pub visit_tracked: Option<unsafe extern "C" fn(Visit, *mut c_void)>,
            /// From 3.10 on: stop the cyclic collector, and let it go on; each gives whether it was on.
            pub stop_collector: Option<unsafe extern "C" fn() -> c_int>,
            pub start_collector: Option<unsafe extern "C" fn() -> c_int>,
            /// From 3.12 on, where static types do not have their dicts themselves: a new reference.
            pub type_dict: Option<unsafe extern "C" fn(usize) -> Object>,
            pub dict_size: Option<unsafe extern "C" fn(Object) -> isize>,
        }

        impl Api {
            /// `None` if a function is missing that every version has.
            pub fn find() -> Option<Self> {
                Some(Self {
                    // SAFETY: the types are those of the headers of 3.8 to 3.15.
                    $($field: unsafe { function(Symbol::$symbol) }?,)*
                    $($known: symbol(Symbol::$object)?.as_ptr() as usize,)*
                    // SAFETY: as above, of 3.12 to 3.15; before, the parameters are others, and it is not called.
                    add_pending_anywhere: unsafe { function(Symbol::_PyEval_AddPendingCall) },
                    // SAFETY: as above.
                    visit_tracked: unsafe { function(Symbol::PyUnstable_GC_VisitObjects) },
                    // SAFETY: as above.
                    stop_collector: unsafe { function(Symbol::PyGC_Disable) },
                    // SAFETY: as above.
                    start_collector: unsafe { function(Symbol::PyGC_Enable) },
                    // SAFETY: as above.
                    type_dict: unsafe { function(Symbol::PyType_GetDict) },
                    // SAFETY: as above.
                    dict_size: unsafe { function(Symbol::_PyDict_SizeOf) },
                })
            }
        }
    };
}

api! {
    functions {
        is_initialized = Py_IsInitialized: unsafe extern "C" fn() -> c_int;
        main_interpreter = PyInterpreterState_Main: unsafe extern "C" fn() -> Object;
        add_pending_call = Py_AddPendingCall: unsafe extern "C" fn(Called, *mut c_void) -> c_int;

        import = PyImport_ImportModule: unsafe extern "C" fn(*const c_char) -> Object;
        new_function = PyCFunction_NewEx: unsafe extern "C" fn(*const c_void, Object, Object) -> Object;
        call_method = PyObject_CallMethod: unsafe extern "C" fn(Object, *const c_char, *const c_char, ...) -> Object;
        intern = PyUnicode_InternFromString: unsafe extern "C" fn(*const c_char) -> Object;
        long = PyLong_FromLong: unsafe extern "C" fn(c_long) -> Object;
        increase = Py_IncRef: unsafe extern "C" fn(Object);

        decrease = Py_DecRef: unsafe extern "C" fn(Object);
        error_occurred = PyErr_Occurred: unsafe extern "C" fn() -> Object;
        clear_error = PyErr_Clear: unsafe extern "C" fn();
        /// Of an exact int.
        long_value = PyLong_AsSsize_t: unsafe extern "C" fn(Object) -> isize;
        dict_next = PyDict_Next: unsafe extern "C" fn(Object, *mut isize, *mut Object, *mut Object) -> c_int;
        module_dict = PyModule_GetDict: unsafe extern "C" fn(Object) -> Object;
        modules = PyImport_GetModuleDict: unsafe extern "C" fn() -> Object;
        first_thread = PyInterpreterState_ThreadHead: unsafe extern "C" fn(Object) -> Object;
    }
    types {
        none = _Py_NoneStruct;
        base_object = PyBaseObject_Type;
        dict = PyDict_Type;
        list = PyList_Type;
        long_type = PyLong_Type;
        text = PyUnicode_Type;
        module = PyModule_Type;
        function = PyFunction_Type;
        method_descriptor = PyMethodDescr_Type;
    }
}

impl Api {
    /// The entries of a dict: key and value, in order. Runs no code; the dict must not change meanwhile.
    ///
    /// # Safety
    /// `dict` is null or a live dict, and the calling thread holds the GIL.
    pub unsafe fn entries(&self, dict: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut at = 0isize;
        core::iter::from_fn(move || {
            if dict == 0 {
                return None;
            }
            let (mut key, mut value): (Object, Object) = (core::ptr::null_mut(), core::ptr::null_mut());
            // SAFETY: a live dict, by the caller's promise; places for the position and two borrowed references.
            let more = unsafe { (self.dict_next)(dict as Object, &raw mut at, &raw mut key, &raw mut value) };
            (more != 0).then_some((key as usize, value as usize))
        })
    }
}
