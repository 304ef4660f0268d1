//! The environment of a process: read and replaced as a whole.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// Strings and block to which `environ` points. These pointers keep them reachable for leak
/// checkers: a test may change `environ`, and under valgrind the C library clears it at exit.
static STRINGS: AtomicPtr<CString> = AtomicPtr::new(ptr::null_mut());
static BLOCK: AtomicPtr<*const c_char> = AtomicPtr::new(ptr::null_mut());

/// Replaces the environment by `variables` (each `NAME=value`), for the C library and `std::env`.
/// The strings are never freed. The process must have one thread.
pub(crate) fn replace(variables: Vec<CString>, _: &crate::sys::process::SingleThreaded) {
    let strings = variables.leak();
    let pointers = strings.iter().map(|string| string.as_ptr());
    let block = pointers.chain([ptr::null()]).collect::<Vec<_>>().leak();
    STRINGS.store(strings.as_mut_ptr(), Ordering::Relaxed);
    BLOCK.store(block.as_mut_ptr(), Ordering::Relaxed);
    // SAFETY: there is one thread, so no other one reads `environ` meanwhile; the block is
    // terminated by a null pointer and, like its strings, never freed.
    unsafe { environ = block.as_ptr() };
}

/// Returns the environment block in the form in which constructors receive it.
pub(crate) fn pointer() -> *const *const c_char {
    // SAFETY: reads a pointer that only `replace` and the C library write; callers are
    // processes with one thread.
    unsafe { environ }
}
