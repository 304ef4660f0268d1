//! Panics as the panic hook sees them: of code before a test's function, and their texts.

use std::any::Any;
use std::io;
use std::panic;
use std::thread;

use crate::error::panic_text;
use crate::evidence::log;

/// Calls `action` with the message of each panic of the calling thread until `is_over`, instead of
/// the panic hook.
///
/// This hook stays installed, so that any thread can end the interception, and a hook that is set
/// later is not lost.
pub(crate) fn intercept_until(
    is_over: fn() -> bool,
    action: impl Fn(&str) + Send + Sync + 'static,
) {
    let thread = thread::current().id();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == thread && !is_over() {
            action(&message(info.payload()));
        } else {
            before(info);
        }
    }));
}

/// Records each panic of the process in its log, after the present hook. The calling thread is the
/// test's.
pub(crate) fn watch() {
    if !log::is_kept() {
        return;
    }
    let (before, test) = (panic::take_hook(), thread::current().id());
    panic::set_hook(Box::new(move |info| {
        before(info);
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        log::panicked(&message(info.payload()), &place, name, thread.id() == test);
    }));
}

/// Returns the text of a panic.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    panic_text(payload).unwrap_or("a panic with a value that is no text").to_owned()
}

/// Converts the message of a panic into an error: the kernel's, if the message has its number as
/// `Display` or `Debug` of an [`io::Error`] write it.
pub(crate) fn error_of(message: &str) -> io::Error {
    let after = |mark| message.rsplit_once(mark).map(|(_, rest)| rest);
    let rest = after("(os error ").or_else(|| after("Os { code: ")).unwrap_or_default();
    let digits = rest.split_once(|c: char| !c.is_ascii_digit()).map_or("", |(digits, _)| digits);
    match digits.parse() {
        Ok(number) => io::Error::from_raw_os_error(number),
        Err(_) => io::Error::other(message.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::errno;

    #[test]
    fn the_number_of_an_error_is_read_from_its_text() {
        let number = |text: &str| error_of(text).raw_os_error();
        let [shown, debugged] = [errno::EAGAIN, errno::EMFILE];
        let text = format!("OS can't spawn worker thread: no (os error {shown})");
        assert_eq!(number(&text), Some(shown));
        let text = format!("no runtime: Os {{ code: {debugged}, kind: Uncategorized }}");
        assert_eq!(number(&text), Some(debugged));
        assert_eq!(number("(os error x)"), None);
        assert_eq!(error_of("a reason").to_string(), "a reason");
    }
}
