//! Rules for the names of nodes, links and interfaces. Pure.
//!
//! Each function returns the reason for which a name is refused, with advice, or `None` for a valid
//! name.

/// Longest name of an interface in bytes: the kernel's `IFNAMSIZ` without the NUL.
const LONGEST_INTERFACE: usize = 15;

/// Longest hostname in bytes: the kernel's `HOST_NAME_MAX`.
const LONGEST_HOSTNAME: usize = 64;

/// Names of the loopback address, alone or as the last label of a name (RFC 6761).
const LOOPBACK: [&str; 3] = ["localhost", "localhost4", "localhost6"];

/// Domains of such a name in the `/etc/hosts` of some systems.
const DOMAINS: [&str; 3] = ["localdomain", "localdomain4", "localdomain6"];

/// Other names in the `/etc/hosts` of Debian, Fedora, SUSE, BSD and of a lab.
const RESERVED: [&str; 15] = [
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allnodes",
    "ip6-allrouters",
    "ip6-allhosts",
    "ipv6-localhost",
    "ipv6-loopback",
    "ipv6-localnet",
    "ipv6-mcastprefix",
    "ipv6-allnodes",
    "ipv6-allrouters",
    "ipv6-allhosts",
    "broadcasthost",
];

/// Returns whether the last two labels are those of `localhost.localdomain`.
fn is_loopback(name: &str) -> bool {
    let mut parts = name.rsplit('.').map(str::to_ascii_lowercase);
    let is_one =
        |part: Option<String>, all: &[&str]| part.is_some_and(|part| all.contains(&&*part));
    is_one(parts.next(), &DOMAINS) && is_one(parts.next(), &LOOPBACK)
}

/// Checks the name of a node: a host name of RFC 1123 that programs do not read as an address.
pub(crate) fn hostname(name: &str) -> Option<&'static str> {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    let hex = last.strip_prefix("0x").unwrap_or("-");
    if name.is_empty() {
        Some("it is empty; give one")
    } else if name.len() > LONGEST_HOSTNAME {
        Some("it is longer than the 64 bytes of a hostname; give a shorter one")
    } else if name.split('.').any(|label| label.is_empty() || label.len() > 63) {
        Some("the parts between its dots are not 1 to 63 bytes long; give another")
    } else if !name.split('.').all(is_label) {
        Some("a hostname has letters, digits and inner hyphens only; give another")
    } else if last.bytes().all(|byte| byte.is_ascii_digit())
        || hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        Some("programs read it as an address; let a letter begin its last part")
    } else if LOOPBACK.contains(&last.as_str()) || is_loopback(name) {
        Some("it is a name of the loopback address; give another")
    } else if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        Some("/etc/hosts of many systems has it for another address; give another")
    } else {
        None
    }
}

/// Checks the name of a link.
pub(crate) fn link(name: &str) -> Option<&'static str> {
    let is_refused = name.is_empty() || name.chars().any(char::is_control);
    is_refused.then_some("it is empty or has a control character; give another")
}

/// Checks the name of an interface: the kernel has to accept it, and `lo` exists already.
pub(crate) fn interface(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty; give a name, or leave it out")
    } else if name.len() > LONGEST_INTERFACE {
        Some("it is longer than 15 bytes; give a shorter one")
    } else if name.contains(['/', ':', '%']) {
        Some("the kernel accepts no `/`, `:` and `%` in it; give another")
    } else if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("the kernel accepts no white space in it; give another")
    } else if matches!(name, "." | ".." | "all" | "default" | "lo") {
        Some("it has a special meaning in the kernel; give another")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_are_those_of_rfc_1123() {
        for name in ["a", "server", "db-1.example", "3com", "xn--bcher-kva", "a.0b"] {
            assert_eq!(hostname(name), None, "{name}");
        }
        let long = "a".repeat(64);
        let refused =
            ["", "-a", "a-", "a_b", "a b", "a..b", "a.", "10", "a.10", "0x", "0x7f", "é", &long];
        for name in refused.into_iter().chain(["localhost", "LOCALHOST", "my.localhost"]) {
            assert!(hostname(name).is_some(), "{name}");
        }
    }

    #[test]
    fn names_of_interfaces_are_those_of_the_kernel() {
        for name in ["eth0", "eth0.100", "123456789012345", "wg-é", "a@b"] {
            assert_eq!(interface(name), None, "{name}");
        }
        let refused =
            ["", "1234567890123456", "a/b", "a:b", "a%d", "a b", "a\tb", ".", "..", "all"];
        for name in refused.into_iter().chain(["default", "lo", "eeeeeeeeeeeeeeé"]) {
            assert!(interface(name).is_some(), "{name}");
        }
    }
}
