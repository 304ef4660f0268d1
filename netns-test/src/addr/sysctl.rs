//! Names of sysctls of a network namespace.
//!
//! Pure.

use std::fmt;

/// A sysctl, named by its path below `/proc/sys`: `net/ipv4/ip_forward`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sysctl(String);

impl Sysctl {
    /// Reads a name as sysctl(8) does: `net.ipv4.ip_forward` and `net/ipv4/ip_forward` are the same.
    /// A name with a slash is a path, in which dots are parts of interface names.
    pub(crate) fn new(name: &str) -> Self {
        Self(if name.contains('/') { name.to_owned() } else { name.replace('.', "/") })
    }

    /// Reads a name and checks that it is one of a network namespace.
    ///
    /// # Errors
    ///
    /// The reason why it is none.
    pub(crate) fn checked(name: &str) -> Result<Self, &'static str> {
        let is_part = |byte: u8| byte.is_ascii_graphic() || byte >= 0x80;
        let mut parts = name.split(['.', '/']);
        if parts.clone().any(str::is_empty) {
            Err("a part of it is empty (`..`, or a dot at an end); give its name as sysctl(8) does")
        } else if parts.next() != Some("net") || parts.next().is_none() {
            Err("only those below `net.` are the node's own; give one of these")
        } else if !name.bytes().all(is_part) {
            Err("it has white space or a control character; give its name as sysctl(8) does")
        } else {
            Ok(Self::new(name))
        }
    }

    /// Returns the sysctl `name` of an interface for IPv6. `all` and `default` are interfaces, too.
    pub(crate) fn of_ipv6(interface: &str, name: &str) -> Self {
        Self(format!("net/ipv6/conf/{interface}/{name}"))
    }

    /// Returns the path of the file: `/proc/sys/net/ipv4/ip_forward`.
    pub(crate) fn path(&self) -> String {
        format!("/proc/sys/{}", self.0)
    }

    /// Returns the parts of the name: `net`, `ipv4`, `ip_forward`.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.0.split('/').collect()
    }
}

/// `/proc/sys/net/ipv4/ip_forward`
impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/proc/sys/{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_slashes_separate_parts() {
        for name in ["net.ipv4.ip_forward", "net/ipv4/ip_forward"] {
            assert_eq!(Sysctl::new(name).path(), "/proc/sys/net/ipv4/ip_forward");
        }
        let of_vlan = Sysctl::new("net/ipv4/conf/eth0.10/rp_filter");
        assert_eq!(of_vlan.parts(), ["net", "ipv4", "conf", "eth0.10", "rp_filter"]);
    }

    #[test]
    fn only_sysctls_of_the_network_are_accepted() {
        for name in ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.10/rp_filter"] {
            assert!(Sysctl::checked(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "net",
            "net.",
            "kernel.panic",
            "net..x",
            "net/../kernel/panic",
            "/net/x",
            "net.a b",
        ] {
            assert!(Sysctl::checked(name).is_err(), "{name}");
        }
    }
}
