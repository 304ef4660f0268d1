//! What may have killed a process of the harness, which does nothing of the user's. Pure.

use crate::sys::process::Status;
use crate::sys::process::signals;

/// Returns the possible reason as the end of a sentence, or nothing.
pub(crate) fn of_harness(status: Status) -> &'static str {
    let Status::Signaled(signal) = status else { return "" };
    match signals::name(signal).as_str() {
        "SIGSEGV" | "SIGBUS" => ": its stack may be too small; raise `ulimit -s` (RLIMIT_STACK)",
        "SIGKILL" => ": by another process, or by the kernel's OOM killer",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_a_possible_reason() {
        assert!(of_harness(Status::Signaled(11)).contains("ulimit -s"));
        assert!(of_harness(Status::Signaled(9)).contains("OOM killer"));
        assert_eq!(of_harness(Status::Exited(1)), "");
    }
}
