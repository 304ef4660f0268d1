//! The trouble that a test ran into, as the text of its failure says it. Pure.

use std::net::SocketAddr;

/// Kind of a failed operation, by the kernel's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Refused,
    /// Of a connection that was not answered, or of an operation with a time limit of its own.
    TimedOut,
    /// Of a socket with a read or write timeout; or one that does not block.
    WouldBlock,
    HostUnreachable,
    NetworkUnreachable,
    AddrInUse,
    AddrNotAvailable,
    /// ECONNRESET, EPIPE, ECONNABORTED, or an end of file in the middle.
    Reset,
    /// A name was not found.
    Unresolved,
    /// EMFILE
    TooManyFiles,
    /// EMSGSIZE
    TooLong,
    /// EPERM or EACCES, as a packet filter on the own node or a route `prohibit` returns them.
    Denied,
    /// The time limit of the test.
    TimeLimit,
    /// Anything else, as a failed assertion.
    Other,
}

/// ECONNREFUSED on most machines.
pub(crate) const REFUSED: i32 = 111;

/// ECONNRESET on most machines.
pub(crate) const RESET: i32 = 104;

/// Words of an error, and its number on most machines.
const ERRORS: [(Trouble, &[&str], &[i32]); 12] = [
    (
        Trouble::Unresolved,
        &[
            "failed to lookup address information",
            "Name or service not known",
            "Name does not resolve",
            "failure in name resolution",
            "dns error",
        ],
        &[],
    ),
    (Trouble::TooManyFiles, &["Too many open files", "No file descriptors available"], &[24]),
    (Trouble::Refused, &["ConnectionRefused", "Connection refused"], &[REFUSED]),
    (Trouble::HostUnreachable, &["HostUnreachable", "No route to host"], &[113]),
    (Trouble::NetworkUnreachable, &["NetworkUnreachable", "Network is unreachable"], &[101]),
    (Trouble::AddrInUse, &["AddrInUse", "Address already in use", "Address in use"], &[98]),
    (
        Trouble::AddrNotAvailable,
        &["AddrNotAvailable", "Cannot assign requested address", "Address not available"],
        &[99],
    ),
    (
        Trouble::Reset,
        &[
            "ConnectionReset",
            "Connection reset",
            "BrokenPipe",
            "Broken pipe",
            "ConnectionAborted",
            "UnexpectedEof",
            "failed to fill whole buffer",
            "early eof",
        ],
        &[RESET, 32, 103],
    ),
    (Trouble::TooLong, &["Message too long", "Message too large"], &[90]),
    (Trouble::WouldBlock, &["WouldBlock", "Resource temporarily unavailable"], &[11]),
    (
        Trouble::TimedOut,
        &[
            "TimedOut",
            "timed out",
            "Operation timed out",
            "deadline has elapsed",
            "Elapsed(())",
            "`Err` value: Timeout",
        ],
        &[110],
    ),
    (
        Trouble::Denied,
        &["PermissionDenied", "Operation not permitted", "Permission denied"],
        &[1, 13],
    ),
];

/// Way in which a message says its trouble. The better one is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The number of the kernel's error, or the kind of an `std::io::Error`.
    Error,
    /// A text of the standard library, the C library or tokio.
    Library,
    /// Words, which the test may have chosen itself.
    Words,
}

/// Texts of errors that have neither number nor kind.
const TEXTS: [&str; 10] = [
    "failed to lookup address information",
    "Name or service not known",
    "Name does not resolve",
    "failure in name resolution",
    "failed to fill whole buffer",
    "early eof",
    "deadline has elapsed",
    "Elapsed(())",
    "dns error",
    "timed out waiting on channel",
];

/// Texts of the standard library that end a message: of a connection that was not made in time, and
/// of a channel (`RecvTimeoutError`).
const LAST: [&str; 2] = ["connection timed out", "`Err` value: Timeout"];

/// Reads the trouble from the message of a panic or of an error.
pub(crate) fn of(message: &str) -> (Trouble, Source) {
    let number = number(message);
    let by_number = ERRORS.iter().find(|(_, _, numbers)| {
        has_usual_numbers() && number.is_some_and(|number| numbers.contains(&number))
    });
    if let Some((trouble, ..)) = by_number {
        return (*trouble, Source::Error);
    }
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let Some((trouble, words, _)) = ERRORS.iter().find(|(_, words, _)| has(words)) else {
        return (Trouble::Other, Source::Words);
    };
    let is_kind = |word: &&str| {
        let of_error =
            [format!("kind: {word},"), format!("kind: {word} "), format!("Kind({word})")];
        of_error.iter().any(|text| message.contains(text))
    };
    let is_text = has(&TEXTS) || LAST.iter().any(|text| message.ends_with(text));
    let source = match () {
        () if words.iter().any(is_kind) => Source::Error,
        () if is_text => Source::Library,
        () => Source::Words,
    };
    (*trouble, source)
}

/// Returns the addresses that a message names.
pub(crate) fn addresses(message: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for address in words(message).filter_map(|word| word.parse().ok()) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// Returns what a message names in the form `name:port`, where the name is no address.
pub(crate) fn named_ports(message: &str) -> Vec<(String, u16)> {
    let parts = words(message).filter_map(|word| {
        let (name, port) = word.rsplit_once(':')?;
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        (is_name && !name.ends_with(".rs")).then_some((name.to_owned(), port.parse().ok()?))
    });
    parts.collect()
}

/// Returns the error number, as `Display` or `Debug` of `std::io::Error` write it.
pub(crate) fn number(message: &str) -> Option<i32> {
    let after = |mark| message.split_once(mark).map(|(_, rest)| rest);
    let rest = after("(os error ").or_else(|| after("Os { code: "))?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Returns whether numbers of errors are the usual ones here. On mips and sparc most differ.
const fn has_usual_numbers() -> bool {
    !cfg!(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))
}

/// Returns the words of a message, without quotes and the like around them.
fn words(message: &str) -> impl Iterator<Item = &str> {
    message
        .split(|c: char| c.is_whitespace() || "\"'`(),;<>{}=".contains(c))
        .map(|word| word.trim_end_matches(['.', ':', '!', '?', ']']).trim_start_matches('/'))
        .flat_map(|word| [word, word.rsplit_once("//").map_or("", |(_, rest)| rest)])
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_reason_is_read_from_messages() {
        let samples = [
            (
                "called `Result::unwrap()` on an `Err` value: Os { code: 111, kind: \
                 ConnectionRefused, message: \"Connection refused\" }",
                Trouble::Refused,
            ),
            ("connect: Connection refused (os error 111)", Trouble::Refused),
            ("Os { code: 11, kind: WouldBlock, message: \"\" }", Trouble::WouldBlock),
            ("connection timed out", Trouble::TimedOut),
            ("Error { kind: TimedOut, message: \"deadline has elapsed\" }", Trouble::TimedOut),
            ("Os { code: 113, kind: HostUnreachable, message: \"\" }", Trouble::HostUnreachable),
            ("No route to host (os error 113)", Trouble::HostUnreachable),
            ("Os { code: 24, kind: Uncategorized, message: \"\" }", Trouble::TooManyFiles),
            (
                "failed to lookup address information: Name or service not known",
                Trouble::Unresolved,
            ),
            ("Message too long (os error 90)", Trouble::TooLong),
            ("Kind(UnexpectedEof)", Trouble::Reset),
            ("assertion `left == right` failed\n  left: 111\n right: 113", Trouble::Other),
        ];
        for (message, trouble) in samples {
            assert_eq!(of(message).0, trouble, "{message}");
        }
    }

    #[test]
    fn words_of_the_test_are_no_error_of_the_kernel() {
        let samples = [
            ("timed out waiting for vote", Source::Words),
            ("the peer said Connection refused", Source::Words),
            ("assertion `left == right` failed\n  left: ConnectionRefused", Source::Words),
            ("Connection refused (os error 111)", Source::Error),
            ("Kind(UnexpectedEof)", Source::Error),
            ("Custom { kind: TimedOut, error: \"x\" }", Source::Error),
            ("Custom { kind: Other, error: \"timed out\" }", Source::Words),
            ("vote: deadline has elapsed", Source::Library),
            ("connect: connection timed out", Source::Library),
            ("called `Result::unwrap()` on an `Err` value: Timeout", Source::Library),
            ("connection timed out by the proxy", Source::Words),
        ];
        for (message, source) in samples {
            assert_eq!(of(message).1, source, "{message}");
        }
    }

    #[test]
    fn addresses_are_read_from_messages() {
        let read = |text| addresses(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(read("connect to 10.0.0.2:8080: Connection refused"), ["10.0.0.2:8080"]);
        assert_eq!(read("(http://10.0.0.2:80)"), ["10.0.0.2:80"]);
        assert_eq!(read("no [fd00::1]:53, but 10.0.0.2:x"), ["[fd00::1]:53"]);
        assert_eq!(read("tests/lan.rs:31:10"), Vec::<String>::new());
        assert_eq!(named_ports("connect server:8080: refused"), [("server".into(), 8080)]);
        assert_eq!(named_ports("panicked at lan.rs:31"), []);
    }
}
