//! Facts about the kernel and its modules: reads files, and draws no conclusions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Facts about the running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// As `uname -r` prints it; empty if unknown.
    pub(crate) release: String,
    /// The modules that are available.
    pub(crate) modules: Modules,
    /// The modules that are loaded or built in, as far as `/sys/module` lists them.
    pub(crate) running: BTreeSet<String>,
    /// `kernel.modules_disabled`: whether no module can be loaded until the next boot.
    pub(crate) is_locked: bool,
}

/// The modules of a kernel, by names with `_` for `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Modules {
    /// The kernel is built without loadable modules.
    Unsupported,
    /// The directory of modules cannot be read from here.
    Unseen,
    /// The modules in `modules.builtin` and `modules.dep`.
    Listed { built_in: BTreeSet<String>, loadable: BTreeSet<String> },
}

/// The directories of modules; the last one is NixOS's.
const DIRECTORIES: [&str; 3] =
    ["/lib/modules", "/usr/lib/modules", "/run/booted-system/kernel-modules/lib/modules"];

impl Kernel {
    /// Reads the facts.
    pub(crate) fn read() -> Self {
        let value = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let release = value("/proc/sys/kernel/osrelease");
        // A kernel that loads modules has this file, if `/proc` is whole.
        let loads_modules = release.is_empty() || fs::exists("/proc/modules").unwrap_or(true);
        let modules = if loads_modules { listed(&release) } else { Modules::Unsupported };
        let is_locked = value("/proc/sys/kernel/modules_disabled") == "1";
        Self { release, modules, running: running(), is_locked }
    }
}

fn listed(release: &str) -> Modules {
    let read = |directory: &str| {
        let directory = Path::new(directory).join(release);
        let names_in = |file| fs::read_to_string(directory.join(file)).map(|text| names(&text));
        let (loadable, built_in) = (names_in("modules.dep").ok()?, names_in("modules.builtin"));
        Some(Modules::Listed { built_in: built_in.unwrap_or_default(), loadable })
    };
    DIRECTORIES.into_iter().find_map(read).unwrap_or(Modules::Unseen)
}

fn running() -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir("/sys/module") else { return BTreeSet::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Parses the modules in lines such as `kernel/net/sched/sch_netem.ko.xz: kernel/…`.
fn names(listing: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let (path, _) = line.split_once(".ko")?;
        Some(path.rsplit('/').next()?.replace('-', "_"))
    };
    listing.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_in_both_kinds_of_listing() {
        let dep = "kernel/net/8021q/8021q.ko.xz: kernel/net/802/mrp.ko.xz kernel/net/802/garp.ko\n\
                   kernel/net/sched/sch_netem.ko:\nkernel/crypto/af-alg.ko.zst:\n\n";
        assert_eq!(Vec::from_iter(names(dep)), ["8021q", "af_alg", "sch_netem"]);
        let builtin = "kernel/drivers/net/tun.ko\nkernel/net/sched/sch_fq_codel.ko\n";
        assert_eq!(Vec::from_iter(names(builtin)), ["sch_fq_codel", "tun"]);
    }

    #[test]
    fn this_kernel_has_a_release() {
        let kernel = Kernel::read();
        assert!(kernel.release.starts_with(|first: char| first.is_ascii_digit()), "{kernel:?}");
    }
}
