//! Linker sections of the test binary, and the macros that fill them: the tables of tests and of
//! module options, the marks of the versions of this crate, the constructors of the program.
//!
//! A static of the test binary is in the fork server as well, which is a copy of the same image.
//!
//! # Safety
//!
//! Besides `sys` and `premain.rs`, this is the only file with `unsafe`: it reads tables that the
//! linker has laid out. Two sections keep their names and the layout of their entries in every
//! version of this crate: the code of the constructors (`netns_test_premain`) and the marks
//! (`netns_test_marks`).
#![expect(unsafe_code, reason = "reads what the linker has laid out")]

use std::ffi::{c_char, c_int};
use std::ops::Range;
use std::sync::atomic::AtomicU32;

use crate::registry::case::{Case, Entry};
use crate::registry::options::DefaultsEntry;

/// Puts a test into the table of tests and runs it.
///
/// The number in the section's name is the version of the layout of its entries: a binary may hold
/// two versions of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __case {
    (@returns) => {
        false
    };
    (@returns Value) => {
        true
    };
    (@begins) => {
        $crate::__rt::Begins::AtOnce
    };
    (@begins $begins:ident) => {
        $crate::__rt::Begins::$begins
    };
    (
        name: $name:expr, options: { $($options:tt)* },
        should_panic: $should_panic:ident $(($expected:expr))?,
        $(returns: $returns:ident,)? $(begins: $begins:ident,)? body: $body:expr $(,)?
    ) => {{
        static CASE: $crate::__rt::Case = $crate::__rt::Case {
            module: $crate::__rt::module_path!(),
            name: $name,
            options: $crate::__options!($($options)*),
            should_panic: $crate::__rt::ShouldPanic::$should_panic $(($expected))?,
            returns: $crate::__case!(@returns $($returns)?),
            begins: $crate::__case!(@begins $($begins)?),
            body: $body,
        };
        #[used]
        #[unsafe(link_section = "netns_test_cases_3")]
        static ENTRY: $crate::__rt::Entry = $crate::__rt::Option::Some(&CASE);
        $crate::__rt::run(&ENTRY)
    }};
}

/// Builds the options of a test or of a module.
#[doc(hidden)]
#[macro_export]
macro_rules! __options {
    ($($option:ident: $kind:ident::$value:ident $(($argument:expr))?),* $(,)?) => {
        $crate::__rt::Options {
            $($option: $crate::__rt::Option::Some(
                $crate::__rt::$kind::$value $(($argument))?
            ),)*
            ..$crate::__rt::Options::NONE
        }
    };
}

/// Puts the options of a module into the table of options. The constant exists for its name: a
/// second `defaults!` in a module does not compile.
#[doc(hidden)]
#[macro_export]
macro_rules! __defaults {
    ($($options:tt)*) => {
        #[doc(hidden)]
        const _NETNS_TEST_DEFAULTS: () = {
            static DEFAULTS: $crate::__rt::Defaults = $crate::__rt::Defaults {
                module: $crate::__rt::module_path!(),
                options: $crate::__options!($($options)*),
            };
            #[used]
            #[unsafe(link_section = "netns_test_defaults_1")]
            static ENTRY: $crate::__rt::DefaultsEntry = $crate::__rt::Option::Some(&DEFAULTS);
        };
    };
}

/// Keeps the section from being empty: the linker names the ends of those that exist.
#[used]
#[unsafe(link_section = "netns_test_cases_3")]
static SENTINEL: Entry = None;

/// Keeps the section of module options from being empty.
#[used]
#[unsafe(link_section = "netns_test_defaults_1")]
static DEFAULTS_SENTINEL: DefaultsEntry = None;

/// Mark of this version of the crate; [`versions`](crate::registry::versions) has the flags.
#[used]
#[unsafe(link_section = "netns_test_marks")]
pub(crate) static MARK: AtomicU32 = AtomicU32::new(0);

/// A constructor as the C library calls it. musl passes no arguments, which does no harm.
pub(crate) type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

unsafe extern "C" {
    static __start_netns_test_cases_3: u8;
    static __stop_netns_test_cases_3: u8;
    static __start_netns_test_defaults_1: u8;
    static __stop_netns_test_defaults_1: u8;
    static __start_netns_test_premain: u8;
    static __stop_netns_test_premain: u8;
    static __start_netns_test_marks: AtomicU32;
    static __stop_netns_test_marks: AtomicU32;
    static __init_array_start: Option<Constructor>;
    static __init_array_end: Option<Constructor>;
}

/// Returns the table of tests. One entry is the sentinel.
pub(crate) fn cases() -> &'static [Entry] {
    let (start, end) =
        (&raw const __start_netns_test_cases_3, &raw const __stop_netns_test_cases_3);
    // SAFETY: the linker puts the two symbols at the ends of the section, which holds only `Entry`
    // values.
    unsafe { between(start.cast(), end.cast()) }
}

/// Returns the test at position `index` of the table.
pub(crate) fn case(index: usize) -> Option<&'static Case> {
    cases().get(index).copied().flatten()
}

/// Returns the table of module options. One entry is the sentinel.
pub(crate) fn defaults() -> &'static [DefaultsEntry] {
    let (start, end) =
        (&raw const __start_netns_test_defaults_1, &raw const __stop_netns_test_defaults_1);
    // SAFETY: the linker puts the two symbols at the ends of the section, which holds only
    // `DefaultsEntry` values.
    unsafe { between(start.cast(), end.cast()) }
}

/// Returns the marks of all versions of this crate.
pub(crate) fn marks() -> &'static [AtomicU32] {
    let (start, end) = (&raw const __start_netns_test_marks, &raw const __stop_netns_test_marks);
    // SAFETY: the linker puts the two symbols at the ends of the section, which holds only atomics
    // of this type.
    unsafe { between(start, end) }
}

/// Returns the constructors of the program in the order in which the C library calls them; `None`
/// is padding.
pub(crate) fn constructors() -> &'static [Option<Constructor>] {
    let (start, end) = (&raw const __init_array_start, &raw const __init_array_end);
    // SAFETY: the linker puts the two symbols at the ends of `.init_array`, which holds pointers to
    // functions, or null.
    unsafe { between(start, end) }
}

/// Returns the addresses of the code of the constructors of every version of this crate, which
/// distinguish them from other constructors.
pub(crate) fn premain_code() -> Range<usize> {
    let (start, end) =
        (&raw const __start_netns_test_premain, &raw const __stop_netns_test_premain);
    start as usize..end as usize
}

/// Returns the values from `start` up to `end`.
///
/// # Safety
///
/// Both must be ends of one section that holds only values of type `T`, as long as the process
/// lives.
unsafe fn between<T>(start: *const T, end: *const T) -> &'static [T] {
    let length = (end as usize - start as usize) / size_of::<T>();
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(start, length) }
}
