//! Sysctls of the caller's own network. Some write others, too, or take addresses and routes: all of that
//! is noted, and taken back when the lab ends.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::error::Failure;
use crate::lab::fabric::own_network::of_kernel;
use crate::lab::fabric::own_network::undo::Journal;
use crate::netlink::Netlink;

/// Writes a sysctl in the network of the calling thread, which `netlink` speaks to. The inner error is
/// the kernel's; the outer one says that nothing has been written.
pub(crate) fn write(
    (path, value): (&str, &str),
    netlink: &Netlink,
    journal: &Journal,
) -> Result<io::Result<()>, Failure> {
    check(path, value, netlink)?;
    let mut written = Ok(());
    journal.around(
        netlink,
        |_| false,
        || {
            let (own, others) = (fs::read_to_string(path), others(path));
            written = fs::write(path, value);
            for (other, before) in others {
                let is_changed = fs::read_to_string(&other).is_ok_and(|after| after != before);
                if is_changed && other.as_os_str() != path {
                    journal.write(other.display().to_string(), before.trim().to_owned());
                }
            }
            // It is written back before the others.
            if let (Ok(own), Ok(())) = (own, &written) {
                journal.write(path.to_owned(), own.trim().to_owned());
            }
            Ok::<_, Failure>(())
        },
    )?;
    Ok(written)
}

/// Refuses what takes routes or addresses that only the kernel can make.
fn check(path: &str, value: &str, netlink: &Netlink) -> Result<(), Failure> {
    let takes = ["forwarding", "disable_ipv6"].iter().any(|name| path.ends_with(name));
    if !takes || !path.contains("/ipv6/conf/") || value.trim() == "0" {
        return Ok(());
    }
    let (all, of_kernel) = (netlink.belongings()?, of_kernel::Routes::read());
    let lost = all.0.iter().find_map(|one| Some((one, of_kernel.reason(one)?)));
    lost.map_or(Ok(()), |(one, why)| {
        let reason = format!("the kernel removes {one}, and {why}: the lab could not give it back");
        let failure = Failure::new("write", format!("{path} of the caller's network"), reason);
        Err(failure.advise("set it before the lab is built, or on another node"))
    })
}

/// What a sysctl of all interfaces, or of an interface, can change besides, with its values.
fn others(path: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    if !path.contains("/conf/") && !path.ends_with("/ip_forward") {
        return found;
    }
    let entries = |path: &str| fs::read_dir(path).into_iter().flatten().flatten();
    for family in ["/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf"] {
        for interface in entries(family) {
            for file in entries(&interface.path().display().to_string()) {
                if let Ok(text) = fs::read_to_string(file.path()) {
                    found.insert(file.path(), text);
                }
            }
        }
    }
    if let Ok(text) = fs::read_to_string("/proc/sys/net/ipv4/ip_forward") {
        found.insert("/proc/sys/net/ipv4/ip_forward".into(), text);
    }
    found
}
