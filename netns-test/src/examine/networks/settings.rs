//! Counters and settings of the network that the calling thread is in, from `/proc`.

use std::io::ErrorKind::NotFound;
use std::os::fd::OwnedFd;

use crate::evidence::facts::network::{Network, Setting};
use crate::examine::gap;
use crate::examine::networks::{FILE, counters};
use crate::sys::fds::limited;

/// Settings of the network.
const WHOLE: [&str; 3] =
    ["net/ipv4/ip_forward", "net/ipv4/ip_local_port_range", "net/ipv4/ip_unprivileged_port_start"];

/// Settings of each interface, of `all` and of `default`.
const EACH: [(&str, &[&str]); 2] =
    [("net/ipv4/conf", &["rp_filter"]), ("net/ipv6/conf", &["forwarding", "disable_ipv6"])];

/// Most interfaces whose settings are read.
const MOST: usize = 64;

/// Reads counters that are not 0.
pub(super) fn counters(proc: &OwnedFd, network: &mut Network) {
    for file in ["snmp", "netstat", "snmp6"] {
        match limited::read_text_in(proc, &format!("self/net/{file}"), FILE) {
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
    for name in WHOLE {
        setting(proc, name.to_owned(), network);
    }
    for (place, names) in EACH {
        let (interfaces, more) = match limited::first_names_in(proc, &format!("sys/{place}"), MOST)
        {
            Ok(interfaces) => interfaces,
            Err(error) if error.kind() == NotFound => continue,
            Err(error) => {
                network.gaps.push(gap(&format!("/proc/sys/{place}"), &error));
                continue;
            }
        };
        for interface in &interfaces {
            for name in names {
                setting(proc, format!("{place}/{interface}/{name}"), network);
            }
        }
        if more {
            network.gaps.push(format!("/proc/sys/{place}: only {MOST} interfaces were read"));
        }
    }
}

fn setting(proc: &OwnedFd, name: String, network: &mut Network) {
    match limited::read_text_in(proc, &format!("sys/{name}"), 4 << 10) {
        Ok(value) => {
            let value = value.trim().replace('\t', " ");
            network.settings.push(Setting { name, value });
        }
        Err(error) if error.kind() == NotFound => {}
        Err(error) => network.gaps.push(gap(&format!("/proc/sys/{name}"), &error)),
    }
}
