//! The environment of a process, replaced as a whole.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// The strings and block of `environ`. A test may change it, and under valgrind the C library
/// clears it at exit. Without this pointer leak checkers would report them as lost.
static STRINGS: AtomicPtr<CString> = AtomicPtr::new(ptr::null_mut());
static BLOCK: AtomicPtr<*const c_char> = AtomicPtr::new(ptr::null_mut());

/// Makes `variables` (each `NAME=value`) the environment, for the C library and for
/// `std::env` alike. The strings live as long as the process.
///
/// For a freshly forked process that has one thread.
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

/// The environment block, as constructors are given it.
pub(crate) fn pointer() -> *const *const c_char {
    // SAFETY: reads a pointer that only `replace` and the C library write; callers are
    // processes with one thread.
    unsafe { environ }
}
