//! Sysctls of the caller's own network. A write to one can change others, and remove addresses and
//! routes. All of that is recorded, and undone when the lab ends.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::addr::sysctl::Sysctl;
use crate::error::Failure;
use crate::lab::fabric::own_network::of_kernel;
use crate::lab::fabric::own_network::undo::Journal;
use crate::netlink::Netlink;

/// Writes a sysctl in the network of the calling thread, which is that of `netlink`. The inner error
/// is the kernel's. The outer one means that nothing was written.
pub(crate) fn write(
    (name, value): (&Sysctl, &str),
    netlink: &Netlink,
    journal: &Journal,
) -> Result<io::Result<()>, Failure> {
    check(name, value, netlink)?;
    let (path, mut written) = (name.path(), Ok(()));
    journal.around(
        netlink,
        |_| false,
        || {
            let (own, others) = (fs::read_to_string(&path), others(&path));
            written = fs::write(&path, value);
            for (other, before) in others {
                let is_changed = fs::read_to_string(&other).is_ok_and(|after| after != before);
                if is_changed && other.as_os_str() != path.as_str() {
                    journal.write(other.display().to_string(), before.trim().to_owned());
                }
            }
            // The end of the lab writes in the opposite order: this one before the others.
            if let (Ok(own), Ok(())) = (own, &written) {
                journal.write(path.clone(), own.trim().to_owned());
            }
            Ok::<_, Failure>(())
        },
    )?;
    Ok(written)
}

/// Refuses a sysctl that removes routes or addresses which only the kernel can create.
fn check(name: &Sysctl, value: &str, netlink: &Netlink) -> Result<(), Failure> {
    let path = name.path();
    let removes = ["forwarding", "disable_ipv6"].iter().any(|end| path.ends_with(end));
    let removes = removes && path.contains("/ipv6/conf/") && value.trim() != "0";
    if !removes {
        return Ok(());
    }
    let (all, of_kernel) = (netlink.belongings()?, of_kernel::Routes::read());
    let lost = all.0.iter().find_map(|one| Some((one, of_kernel.reason(one)?)));
    lost.map_or(Ok(()), |(one, why)| {
        let reason = format!("the kernel removes {one}, and {why}: the lab could not restore it");
        let failure = Failure::new("write", format!("{name} of the caller's network"), reason);
        Err(failure.advise("set it before the lab is built, or on another node"))
    })
}

/// Returns the sysctls that a write to one of all interfaces, or of one interface, can change, with
/// their values.
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
