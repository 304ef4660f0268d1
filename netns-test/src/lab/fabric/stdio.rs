//! Output on the test's stdout and stderr.

use std::panic;

/// Prints one text to stdout and one to stderr. Returns whether that succeeded: `print!` panics
/// where the stream is closed, and a lab goes on without it.
///
/// The macros are used since the standard library's test harness captures their output, from every
/// thread that a test has started.
pub(crate) fn print([out, err]: &[String; 2]) -> bool {
    let both = || {
        if !out.is_empty() {
            print!("{out}");
        }
        if !err.is_empty() {
            eprint!("{err}");
        }
    };
    panic::catch_unwind(both).is_ok()
}
