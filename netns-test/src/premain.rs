//! What linker and loader know of a test binary: the table of its tests, the constructor
//! that forks the server before `main`, and the constructors that come after it.
//!
//! # Safety
//!
//! The only file besides `sys` with `unsafe`: it reads tables that the linker has laid out.
//!
//! # Life before main
//!
//! The constructor runs first of all (priority `early`), when the process has one thread
//! and no other constructor of the program has started any. In the runner the C library
//! goes on with the other constructors and `main`. The server stays as it was forked: the
//! other constructors (loggers, allocators, LLVM's coverage runtime, which writes the
//! counters at exit) run in each body, see [`run_later_constructors`].
//!
//! # Two versions in one binary
//!
//! Each has a constructor and a server of its own, and none may fork its server in a body of the
//! other. So each version has a mark in a section that all of them share: two sections keep their
//! names and the layout of their entries in every version, that of the constructors' code and that
//! of the marks.
#![expect(unsafe_code, reason = "reads what the linker has laid out, before main")]

use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::harness;
use crate::harness::{Case, Defaults};
use crate::sys::process::SingleThreaded;
use crate::sys::process::environ;

/// The name of the section with the tests. It says which layout its entries have: a binary
/// may hold two versions of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __case {
    (@begins) => {
        $crate::__rt::Begins::AtOnce
    };
    (@begins $begins:ident) => {
        $crate::__rt::Begins::$begins
    };
    (
        name: $name:expr, options: { $($options:tt)* },
        should_panic: $should_panic:ident $(($expected:expr))?,
        $(begins: $begins:ident,)? body: $body:expr $(,)?
    ) => {{
        static CASE: $crate::__rt::Case = $crate::__rt::Case {
            module: $crate::__rt::module_path!(),
            name: $name,
            options: $crate::__options!($($options)*),
            should_panic: $crate::__rt::ShouldPanic::$should_panic $(($expected))?,
            begins: $crate::__case!(@begins $($begins)?),
            body: $body,
        };
        #[used]
        #[unsafe(link_section = "netns_test_cases_3")]
        static ENTRY: $crate::__rt::Entry = $crate::__rt::Option::Some(&CASE);
        $crate::__rt::run(&ENTRY)
    }};
}

/// The options of a test or of a module.
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

/// Puts the options of a module into the table of them. The constant is there for its name, which
/// a module has once.
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

/// A place in the table of tests; `None` only for the sentinel.
pub type Entry = Option<&'static Case>;

/// A place in the table of what modules say; `None` only for the sentinel.
pub type DefaultsEntry = Option<&'static Defaults>;

/// Keeps the section from being empty: the linker names the ends of those that exist.
#[used]
#[unsafe(link_section = "netns_test_cases_3")]
static SENTINEL: Entry = None;

/// As above, for the other table.
#[used]
#[unsafe(link_section = "netns_test_defaults_1")]
static DEFAULTS_SENTINEL: DefaultsEntry = None;

/// What the versions of this crate in the binary tell each other: [`HAS_RUN`], [`SERVES`].
#[used]
#[unsafe(link_section = "netns_test_marks")]
static MARK: AtomicU32 = AtomicU32::new(0);

/// The constructor of that version has run.
const HAS_RUN: u32 = 1;

/// This process is that version's server, or has been forked from it.
const SERVES: u32 = 2;

/// How many versions' constructors had run before this one's.
static BEFORE: OnceLock<usize> = OnceLock::new();

/// A constructor as the C library calls it (musl: without arguments, which does no harm).
type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

unsafe extern "C" {
    static __start_netns_test_cases_3: u8;
    static __stop_netns_test_cases_3: u8;
    static __start_netns_test_defaults_1: u8;
    static __stop_netns_test_defaults_1: u8;
    /// The code of [`fork_server`], in a section of its own so that it can be told from
    /// other constructors; of every version.
    static __start_netns_test_premain: u8;
    static __stop_netns_test_premain: u8;
    static __start_netns_test_marks: AtomicU32;
    static __stop_netns_test_marks: AtomicU32;
    static __init_array_start: Option<Constructor>;
    static __init_array_end: Option<Constructor>;
}

#[ctor::ctor(unsafe, priority = early, body(link_section = "netns_test_premain"))]
fn fork_server() {
    let before = marks().iter().filter(|mark| mark.load(Ordering::Relaxed) != 0).count();
    let _first = BEFORE.set(before);
    MARK.store(HAS_RUN, Ordering::Relaxed);
    if !serves_another() && cases().iter().any(Option::is_some) {
        // SAFETY: the harness uses the token only when it has counted one thread. Init starts none, and
        // the server waits for the end of those that it starts before it forks; a body starts some, but
        // no longer forks by the token then.
        let alone = unsafe { SingleThreaded::new() };
        harness::start(&alone);
    }
}

/// Notes that this process is the server.
pub(crate) fn note_server() {
    MARK.fetch_or(SERVES, Ordering::Relaxed);
}

/// Whether this process is the server of another version, or has been forked from it.
pub(crate) fn serves_another() -> bool {
    let others = marks().iter().filter(|&mark| !std::ptr::eq(mark, &raw const MARK));
    others.into_iter().any(|mark| mark.load(Ordering::Relaxed) & SERVES != 0)
}

/// The marks of all versions.
fn marks() -> &'static [AtomicU32] {
    let (start, end) = (&raw const __start_netns_test_marks, &raw const __stop_netns_test_marks);
    // SAFETY: the linker puts the two symbols at the ends of the section, which holds nothing but
    // atomics of this type.
    unsafe { between(start, end) }
}

/// Lets `work` fork, in a program that has started no thread.
///
/// An error is what was found instead of one thread.
#[cfg(feature = "doctor")]
pub(crate) fn alone<T>(
    work: impl FnOnce(&SingleThreaded) -> T,
) -> Result<T, std::io::Result<usize>> {
    match crate::sys::process::thread_count() {
        Ok(1) => {}
        other => return Err(other),
    }
    // SAFETY: there is one thread, this one; the doctor, whose main function this is called
    // from, starts none besides it.
    let alone = unsafe { SingleThreaded::new() };
    Ok(work(&alone))
}

/// Every test of this binary; one entry is the sentinel's.
pub(crate) fn cases() -> &'static [Entry] {
    let (start, end) =
        (&raw const __start_netns_test_cases_3, &raw const __stop_netns_test_cases_3);
    // SAFETY: the linker puts the two symbols at the ends of the section, which holds
    // nothing but `Entry` values.
    unsafe { between(start.cast(), end.cast()) }
}

/// What the modules of this binary say of their tests; one entry is the sentinel's.
pub(crate) fn defaults() -> &'static [DefaultsEntry] {
    let (start, end) =
        (&raw const __start_netns_test_defaults_1, &raw const __stop_netns_test_defaults_1);
    // SAFETY: the linker puts the two symbols at the ends of the section, which holds
    // nothing but `DefaultsEntry` values.
    unsafe { between(start.cast(), end.cast()) }
}

/// Calls the constructors that come after [`fork_server`], as the C library would have
/// done if the process had not been forked there. Other versions' are left out: they fork servers.
pub(crate) fn run_later_constructors(_: &SingleThreaded) {
    let &Arguments(argv) = ARGUMENTS.get_or_init(arguments);
    let argc = c_int::try_from(argv.len() - 1).unwrap_or(0);
    let all = constructors();
    let ours = |&(_, constructor): &(usize, &Option<_>)| constructor.is_some_and(is_ours);
    let own = all.iter().enumerate().filter(ours).nth(BEFORE.get().copied().unwrap_or(0));
    let later = own.map_or(&[][..], |(own, _)| &all[own + 1..]);
    for &constructor in later.iter().flatten().filter(|&&c| !is_marker(c) && !is_ours(c)) {
        constructor(argc, argv.as_ptr(), environ::pointer());
    }
}

fn constructors() -> &'static [Option<Constructor>] {
    let (start, end) = (&raw const __init_array_start, &raw const __init_array_end);
    // SAFETY: the linker puts the two symbols at the ends of `.init_array`, which holds
    // pointers to functions (null where padded).
    unsafe { between(start, end) }
}

fn is_ours(constructor: Constructor) -> bool {
    let (start, end) =
        (&raw const __start_netns_test_premain, &raw const __stop_netns_test_premain);
    (start as usize..end as usize).contains(&(constructor as usize))
}

/// Old linkers end the array with -1.
fn is_marker(constructor: Constructor) -> bool {
    constructor as usize == usize::MAX
}

/// `argc` and `argv` of the later constructors.
static ARGUMENTS: OnceLock<Arguments> = OnceLock::new();

/// Copies that live as long as the process, ended by a null pointer.
struct Arguments(&'static [*const c_char]);

// SAFETY: nobody writes to what they point to.
unsafe impl Send for Arguments {}
// SAFETY: as above.
unsafe impl Sync for Arguments {}

/// Reads the arguments for all processes that are forked from here.
pub(crate) fn note_arguments() {
    ARGUMENTS.get_or_init(arguments);
}

/// From `/proc`: the standard library does not know them before `main` with every C library.
fn arguments() -> Arguments {
    let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let mut pointers: Vec<*const c_char> = line
        .split_inclusive(|&byte| byte == 0)
        .filter_map(|argument| CString::from_vec_with_nul(argument.to_vec()).ok())
        .map(|argument| argument.into_raw().cast_const())
        .collect();
    pointers.push(std::ptr::null());
    Arguments(pointers.leak())
}

/// The values from `start` up to `end`.
///
/// # Safety
///
/// Both must be ends of one section that holds only values of type `T`, for ever.
unsafe fn between<T>(start: *const T, end: *const T) -> &'static [T] {
    let length = (end as usize - start as usize) / size_of::<T>();
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(start, length) }
}
