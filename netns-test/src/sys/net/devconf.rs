//! Resets the settings of interfaces (`net.ipv4.conf`, `net.ipv6.conf`) to the kernel's defaults.
//!
//! A new network namespace can begin with other values. The kernel copies them from the machine's
//! first network namespace or from the caller's, as `net.core.devconf_inherit_init_net` says: from
//! the first one with 1 (IPv4 also with 0), from the caller's with 3. So a new network on a machine
//! with Docker forwards packets, and one on a machine with systemd filters them by source.
//!
//! Reading all settings takes as long as creating a network. So a process reads them once, and its
//! children inherit the result.
//!
//! These functions run between fork and exec, so they do not allocate memory, except for the names
//! in messages.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::OnceLock;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// Settings of a new network that differ from the kernel's defaults: one bit for each, in the order
/// of [`settings`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Altered(pub(crate) [u64; WORDS]);

/// Number of words that have a bit for each setting.
pub(crate) const WORDS: usize = 4;

/// Settings that differ in each new network of this machine, once they are known.
static KNOWN: OnceLock<Altered> = OnceLock::new();

/// Name of a setting and its default.
type Setting = (&'static CStr, &'static [u8]);

/// Directories of settings below `/proc`, with the settings in each.
const DIRECTORIES: [(&CStr, &[&[Setting]]); 5] = [
    (c"sys/net/ipv4/conf/all", &[IPV4, POLICY, &[(c"accept_source_route", b"0")]]),
    (c"sys/net/ipv4/conf/default", &[IPV4, POLICY, &[(c"accept_source_route", b"1")]]),
    // The kernel creates `lo` with the network, from `default`, except for its policies.
    (c"sys/net/ipv4/conf/lo", &[IPV4, &[(c"accept_source_route", b"1")]]),
    (c"sys/net/ipv6/conf/all", &[IPV6]),
    (c"sys/net/ipv6/conf/default", &[IPV6]),
];

/// Defaults of net/ipv4/devinet.c. `forwarding` comes first, since a write to it changes others.
const IPV4: &[Setting] = &[
    (c"forwarding", b"0"),
    (c"accept_local", b"0"),
    (c"accept_redirects", b"1"),
    (c"arp_accept", b"0"),
    (c"arp_announce", b"0"),
    (c"arp_evict_nocarrier", b"1"),
    (c"arp_filter", b"0"),
    (c"arp_ignore", b"0"),
    (c"arp_notify", b"0"),
    (c"bc_forwarding", b"0"),
    (c"bootp_relay", b"0"),
    (c"drop_gratuitous_arp", b"0"),
    (c"drop_unicast_in_l2_multicast", b"0"),
    (c"force_igmp_version", b"0"),
    (c"igmpv2_unsolicited_report_interval", b"10000"),
    (c"igmpv3_unsolicited_report_interval", b"1000"),
    (c"ignore_routes_with_linkdown", b"0"),
    (c"log_martians", b"0"),
    (c"medium_id", b"0"),
    (c"promote_secondaries", b"0"),
    (c"proxy_arp", b"0"),
    (c"proxy_arp_pvlan", b"0"),
    (c"route_localnet", b"0"),
    (c"rp_filter", b"0"),
    (c"secure_redirects", b"1"),
    (c"send_redirects", b"1"),
    (c"shared_media", b"1"),
    (c"src_valid_mark", b"0"),
    (c"tag", b"0"),
];

/// Policies, which the kernel sets differently for `lo`.
const POLICY: &[Setting] = &[(c"disable_policy", b"0"), (c"disable_xfrm", b"0")];

/// Defaults of net/ipv6/addrconf.c that are the same in every kernel, except for settings that
/// sandboxes and labs set themselves.
const IPV6: &[Setting] = &[
    (c"forwarding", b"0"),
    (c"accept_ra", b"1"),
    (c"accept_ra_defrtr", b"1"),
    (c"accept_ra_from_local", b"0"),
    (c"accept_ra_min_hop_limit", b"1"),
    (c"accept_ra_mtu", b"1"),
    (c"accept_ra_pinfo", b"1"),
    (c"accept_ra_rt_info_max_plen", b"0"),
    (c"accept_ra_rt_info_min_plen", b"0"),
    (c"accept_ra_rtr_pref", b"1"),
    (c"accept_redirects", b"1"),
    (c"accept_source_route", b"0"),
    (c"accept_untracked_na", b"0"),
    (c"addr_gen_mode", b"0"),
    (c"autoconf", b"1"),
    (c"dad_transmits", b"1"),
    (c"disable_policy", b"0"),
    (c"drop_unicast_in_l2_multicast", b"0"),
    (c"drop_unsolicited_na", b"0"),
    (c"enhanced_dad", b"1"),
    (c"force_mld_version", b"0"),
    (c"force_tllao", b"0"),
    (c"hop_limit", b"64"),
    (c"ignore_routes_with_linkdown", b"0"),
    (c"keep_addr_on_down", b"0"),
    (c"max_addresses", b"16"),
    (c"max_desync_factor", b"600"),
    (c"mldv1_unsolicited_report_interval", b"10000"),
    (c"mldv2_unsolicited_report_interval", b"1000"),
    (c"mtu", b"1280"),
    (c"ndisc_notify", b"0"),
    (c"ndisc_tclass", b"0"),
    (c"optimistic_dad", b"0"),
    (c"proxy_ndp", b"0"),
    (c"router_probe_interval", b"60"),
    (c"router_solicitation_delay", b"1"),
    (c"router_solicitation_interval", b"4"),
    (c"seg6_enabled", b"0"),
    (c"suppress_frag_ndisc", b"1"),
    (c"temp_prefered_lft", b"86400"),
    (c"temp_valid_lft", b"604800"),
    (c"use_oif_addrs_only", b"0"),
    (c"use_optimistic", b"0"),
    (c"use_tempaddr", b"0"),
];

/// Setting that could not be written, by its position among all.
#[derive(Debug)]
pub(crate) struct Refused {
    at: usize,
    pub(crate) error: io::Error,
}

impl Refused {
    /// Returns the path of the setting's file.
    pub(crate) fn path(&self) -> String {
        let (directory, (name, _)) = settings().nth(self.at).unwrap_or((c"", (c"", b"")));
        format!("/proc/{}/{}", directory.to_string_lossy(), name.to_string_lossy())
    }
}

/// Takes over the differences that another process has found.
pub(crate) fn learn(altered: Altered) {
    // If they are set already, they are the same.
    let _ = KNOWN.set(altered);
}

/// Returns the known differences, if a network has been compared already.
pub(crate) fn known() -> Option<Altered> {
    KNOWN.get().copied()
}

/// Resets the new network of the calling thread to the kernel's defaults, through the open `/proc`.
/// The first call of a process reads all settings to find the differences.
pub(crate) fn restore(proc: &OwnedFd) -> Result<Altered, Refused> {
    let altered = *KNOWN.get_or_init(|| look(proc));
    write(proc, altered).map(|()| altered)
}

/// Returns the settings that differ. One that does not exist or cannot be read counts as equal.
pub(crate) fn look(proc: &OwnedFd) -> Altered {
    let mut altered = Altered::default();
    each(proc, |at, directory, (name, default)| {
        let mut buffer = [0; 24];
        let file =
            nix::fcntl::openat(directory, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
        let length = file.and_then(|file| nix::unistd::read(file, &mut buffer));
        let differs = length.is_ok_and(|length| buffer[..length].trim_ascii_end() != default);
        altered.0[at / 64] |= u64::from(differs) << (at % 64);
        Ok(())
    })
    .unwrap_or(());
    altered
}

/// Writes the defaults of the settings that differ. Continues after an error; returns the first.
pub(crate) fn write(proc: &OwnedFd, altered: Altered) -> Result<(), Refused> {
    if altered == Altered::default() {
        return Ok(());
    }
    each(proc, |at, directory, (name, default)| {
        if altered.0[at / 64] >> (at % 64) & 1 == 0 {
            return Ok(());
        }
        match crate::sys::mount::mount_api::write_in(directory, name, default) {
            // The kernel lacks the setting.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        }
    })
}

/// Calls `work` for each setting, even after a failure. Returns the first failure.
fn each(
    proc: &OwnedFd,
    mut work: impl FnMut(usize, &OwnedFd, Setting) -> io::Result<()>,
) -> Result<(), Refused> {
    let (mut at, mut result) = (0, Ok(()));
    for (path, lists) in DIRECTORIES {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::openat(proc.as_fd(), path, flags, Mode::empty());
        for setting in lists.iter().copied().flatten() {
            if let Ok(directory) = &directory {
                let done = work(at, directory, *setting);
                result = result.and(done.map_err(|error| Refused { at, error }));
            }
            at += 1;
        }
    }
    result
}

/// Returns all settings, each with its directory.
fn settings() -> impl Iterator<Item = (&'static CStr, Setting)> {
    DIRECTORIES.into_iter().flat_map(|(directory, lists)| {
        lists.iter().copied().flatten().map(move |setting| (directory, *setting))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn proc() -> OwnedFd {
        crate::sys::fds::open_place(Path::new("/proc")).unwrap()
    }

    #[test]
    fn there_is_a_bit_for_each() {
        assert!(settings().count() <= 64 * WORDS, "{}", settings().count());
    }

    /// In a network of its own, which unshare(1) makes.
    #[test]
    fn every_setting_that_was_altered_is_restored() {
        let own = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new("unshare");
        command.arg("-Urn").arg(own).args(["--exact", "--ignored", "--test-threads=1"]);
        let output = command.arg("sys::net::devconf::tests::alters_and_restores").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    #[ignore = "run by every_setting_that_was_altered_is_restored"]
    fn alters_and_restores() {
        let all = |look: &mut dyn FnMut(&str, &str)| {
            for (directory, (name, default)) in settings() {
                let (directory, name) = (directory.to_str().unwrap(), name.to_str().unwrap());
                look(&format!("/proc/{directory}/{name}"), std::str::from_utf8(default).unwrap());
            }
        };
        let proc = proc();
        write(&proc, look(&proc)).unwrap();
        let mut count = 0;
        all(&mut |path, default| {
            // One of them is not a default, and taken.
            let others = ["1", "2", "0", "1500"].into_iter().filter(|other| *other != default);
            let mut others = others.filter(|other| fs::write(path, other).is_ok());
            count += usize::from(others.next().is_some());
        });
        assert!(count > 100, "{count} settings could be altered");
        let altered = restore(&proc).unwrap();
        assert!(altered.0.iter().map(|word| word.count_ones()).sum::<u32>() > 90, "{altered:?}");
        all(&mut |path, default| {
            let now = fs::read_to_string(path);
            assert!(now.as_ref().map_or(true, |now| now.trim() == default), "{path}: {now:?}");
        });
        assert_eq!(look(&proc), Altered::default());
        assert_eq!(known(), Some(altered));
    }

    #[test]
    fn what_is_refused_is_named() {
        let at = settings().position(|(_, (name, _))| name == c"rp_filter").unwrap();
        let refused = Refused { at, error: io::ErrorKind::NotFound.into() };
        assert_eq!(refused.path(), "/proc/sys/net/ipv4/conf/all/rp_filter");
    }
}
