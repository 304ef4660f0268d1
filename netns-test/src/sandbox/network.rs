//! The network of a sandbox: `lo`, up, and nothing else.

use std::io;

use super::Identity;
use crate::error::Failure;
use crate::sys::{errno, fds, ifreq};
use crate::userns::Maps;

/// Brings `lo` up and sets the sysctls that bodies rely on.
pub(super) fn set_up(identity: &Identity, limitations: &mut Vec<String>) -> Result<(), Failure> {
    let mut note = |path: &str, result: io::Result<()>| {
        if let Err(error) = result {
            limitations.push(format!("write {path}: {}", errno::describe(&error)));
        }
    };
    // A host may hand "no IPv6" on to new namespaces; a kernel without it has no such file.
    for (path, value) in [
        ("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"),
        // Addresses are usable at once: there is nobody to have a duplicate.
        ("/proc/sys/net/ipv6/conf/default/accept_dad", "0"),
    ] {
        note(path, if_there_is(path, value));
    }
    let path = "/proc/sys/net/ipv4/ping_group_range";
    note(path, allow_ping(path, identity));
    ifreq::loopback_up().map_err(|error| errno::failure("ioctl SIOCSIFFLAGS", "lo", &error))
}

fn if_there_is(path: &str, value: &str) -> io::Result<()> {
    match fds::write_file(path, value.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Lets every group of the sandbox ping; the range must be made of mapped ids.
fn allow_ping(path: &str, identity: &Identity) -> io::Result<()> {
    let own = format!("{0} {0}", identity.gid);
    if matches!(identity.maps, Maps::All { .. }) {
        let all = fds::write_file(path, b"0 2147483647");
        if all.is_ok() {
            return all;
        }
    }
    fds::write_file(path, own.as_bytes())
}
