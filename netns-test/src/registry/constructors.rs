//! The constructors of the program that come after the one of this crate: loggers, allocators, the
//! coverage runtime of LLVM, which writes its counters at exit.
//!
//! The server is forked before they run. So each body runs them, as the C library would have done
//! if the process had not been forked.

use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;

use crate::registry::sections::{self, Constructor};
use crate::registry::versions;
use crate::sys::process::{SingleThreaded, environ};

/// Calls the later constructors. Those of other versions of this crate are left out: they fork
/// servers.
pub(crate) fn run_later(_: &SingleThreaded) {
    let arguments = ARGUMENTS.get_or_init(read_arguments);
    // Constructors may keep the pointers, which are valid until the process ends.
    let pointers = arguments.iter().map(|argument| argument.as_ptr());
    let argv = Vec::leak(pointers.chain([std::ptr::null::<c_char>()]).collect());
    let argc = c_int::try_from(arguments.len()).unwrap_or(0);
    for constructor in later(sections::constructors()) {
        constructor(argc, argv.as_ptr(), environ::pointer());
    }
}

/// Returns the constructors after this version's in `all`, which is the `.init_array`.
fn later(all: &[Option<Constructor>]) -> impl Iterator<Item = Constructor> + '_ {
    let is_ours =
        |constructor: Constructor| sections::premain_code().contains(&(constructor as usize));
    let ours = all.iter().enumerate().filter(move |(_, entry)| entry.is_some_and(is_ours));
    let own = ours.map(|(index, _)| index).nth(versions::position());
    let later = own.map_or(&[][..], |own| &all[own + 1..]);
    later.iter().copied().flatten().filter(move |&entry| !is_marker(entry) && !is_ours(entry))
}

/// Returns whether the entry is the -1 with which old linkers end the array.
fn is_marker(constructor: Constructor) -> bool {
    constructor as usize == usize::MAX
}

/// `argv` of the later constructors.
static ARGUMENTS: OnceLock<Vec<CString>> = OnceLock::new();

/// Reads the arguments for all processes that are forked from this one.
pub(crate) fn note_arguments() {
    ARGUMENTS.get_or_init(read_arguments);
}

/// Reads the arguments from `/proc`: not with every C library does the standard library know them
/// before `main`.
fn read_arguments() -> Vec<CString> {
    let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let arguments = line.split_inclusive(|&byte| byte == 0);
    arguments.filter_map(|argument| CString::from_vec_with_nul(argument.to_vec()).ok()).collect()
}
