//! Counters and settings of the network that the calling thread is in, from `/proc`.

use std::io::ErrorKind::NotFound;
use std::os::fd::OwnedFd;

use crate::evidence::facts::network::{Network, Setting};
use crate::examine::gaps::{FILE, gap};
use crate::examine::networks::counters;
use crate::sys::fds;
use crate::sys::fds::limited;

/// A directory of `/proc/sys` whose settings are read.
struct Family {
    path: &'static str,
    /// Settings of the network.
    whole: &'static [&'static str],
    /// Settings of each interface, of `all` and of `default`, below `conf`.
    each: &'static [&'static str],
}

const FAMILIES: [Family; 2] = [
    Family {
        path: "net/ipv4",
        whole: &["ip_forward", "ip_local_port_range", "ip_unprivileged_port_start"],
        each: &["rp_filter"],
    },
    Family { path: "net/ipv6", whole: &[], each: &["forwarding", "disable_ipv6"] },
];

/// Most interfaces whose settings are read, with `all` and `default`.
const MOST: usize = 64;

/// Reads counters that are not 0.
pub(super) fn counters(proc: &OwnedFd, network: &mut Network) {
    for file in ["snmp", "netstat", "snmp6"] {
        match limited::read_text_in(proc, &format!("thread-self/net/{file}"), FILE) {
            Ok(text) if file == "snmp6" => network.counters.extend(counters::of_lines(&text)),
            Ok(text) => network.counters.extend(counters::of_groups(&text)),
            // The kernel has no IPv6.
            Err(error) if error.kind() == NotFound && file == "snmp6" => {}
            Err(error) => network.gaps.push(gap(&format!("/proc/net/{file}"), &error)),
        }
    }
}

/// Reads settings. One that the kernel does not have is left out.
pub(super) fn settings(proc: &OwnedFd, network: &mut Network) {
    for family in &FAMILIES {
        // The kernel searches such a directory among those of all networks of the machine, so it is
        // looked up once.
        match fds::open_in(proc, &format!("sys/{}", family.path)) {
            Ok(place) => family.read(&place, network),
            Err(error) if error.kind() == NotFound => {}
            Err(error) => network.gaps.push(gap(&format!("/proc/sys/{}", family.path), &error)),
        }
    }
}

impl Family {
    fn read(&self, place: &OwnedFd, network: &mut Network) {
        for name in self.whole {
            self.setting(place, name, network);
        }
        let (interfaces, more) = match limited::first_names_in(place, "conf", MOST) {
            Ok(interfaces) => interfaces,
            Err(error) => {
                return network.gaps.push(gap(&format!("/proc/sys/{}/conf", self.path), &error));
            }
        };
        for interface in &interfaces {
            for name in self.each {
                self.setting(place, &format!("conf/{interface}/{name}"), network);
            }
        }
        if more {
            let path = self.path;
            network.gaps.push(format!("/proc/sys/{path}/conf: only {MOST} interfaces were read"));
        }
    }

    fn setting(&self, place: &OwnedFd, name: &str, network: &mut Network) {
        let path = format!("{}/{name}", self.path);
        match limited::read_text_in(place, name, 4 << 10) {
            Ok(value) => {
                let value = value.trim().replace('\t', " ");
                network.settings.push(Setting { name: path, value });
            }
            Err(error) if error.kind() == NotFound => {}
            Err(error) => network.gaps.push(gap(&format!("/proc/sys/{path}"), &error)),
        }
    }
}
