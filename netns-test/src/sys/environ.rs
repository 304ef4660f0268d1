//! The environment of a process, replaced as a whole.

use std::ffi::{CString, c_char};

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// Makes `variables` (each `NAME=value`) the environment, for the C library and for
/// `std::env` alike. The strings live as long as the process.
///
/// For a freshly forked process that has one thread.
pub(crate) fn replace(variables: Vec<CString>, _: &super::process::SingleThreaded) {
    let mut pointers: Vec<*const c_char> = Vec::with_capacity(variables.len() + 1);
    for variable in variables {
        pointers.push(variable.into_raw());
    }
    pointers.push(std::ptr::null());
    let block: &'static [*const c_char] = pointers.leak();
    // SAFETY: one thread, so nobody reads `environ` meanwhile; the block is terminated by
    // a null pointer and, like its strings, never freed.
    unsafe { environ = block.as_ptr() };
}

/// The environment block, as constructors are given it.
pub(crate) fn pointer() -> *const *const c_char {
    // SAFETY: reads a pointer that only `replace` and the C library write; callers are
    // processes with one thread.
    unsafe { environ }
}
