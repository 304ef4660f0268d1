//! Advice for a feature that is missing, from the error and the kernel's modules. Pure.

use crate::doctor::features::kernel::{Kernel, Modules};
use crate::sys::errno::{
    EACCES, EAFNOSUPPORT, ENODEV, ENOENT, ENXIO, EOPNOTSUPP, EPERM, EPROTONOSUPPORT,
};
use crate::sys::net::tun::DEVICE;

/// The part of a trial that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The netlink socket could not be opened.
    Socket,
    /// No interface could be added to try the feature on.
    Base,
    /// The device of TUN could not be opened.
    Device,
    /// The kernel refused the feature itself.
    Feature,
}

/// Returns the module that is missing, if that is the cause, and advice.
pub(crate) fn advice(
    module: &'static str,
    (part, errno): (Part, Option<i32>),
    kernel: &Kernel,
) -> (Option<&'static str>, String) {
    let Some(code) = errno else {
        let text = if part == Part::Base { NEEDS_A_BASE } else { REPORT };
        return (None, text.to_owned());
    };
    let on_device = part == Part::Device;
    let is_loadable = place(module, kernel) == Place::Loadable;
    match code {
        // For the device and the socket, the code has its own meaning.
        EACCES if on_device => (None, format!("sudo chmod 0666 {DEVICE}")),
        EPERM if on_device => (None, container_device()),
        ENOENT if on_device && !is_loadable => {
            (None, format!("{}; elsewhere sudo modprobe {module}", container_device()))
        }
        EPERM | EACCES | EAFNOSUPPORT if part == Part::Socket => (None, FILTERED.to_owned()),
        EPERM | EACCES => (None, NO_RIGHTS.to_owned()),
        EOPNOTSUPP | ENOENT | EPROTONOSUPPORT | EAFNOSUPPORT | ENODEV | ENXIO => {
            absent(module, kernel)
        }
        _ => (None, REPORT.to_owned()),
    }
}

const FILTERED: &str = "run it outside of the sandbox: a seccomp filter or a security module \
                        forbids netlink sockets";
const NEEDS_A_BASE: &str = "see to veth first";
const NO_RIGHTS: &str = "see to the isolation first: this process has no rights over its network";
const REPORT: &str = "unknown; please report this, with `uname -a` and the kind of machine or \
                      container";

fn container_device() -> String {
    format!("in a container: docker run --device={DEVICE}")
}

/// The availability of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Part of the running kernel.
    Running,
    /// In a file that the kernel can load.
    Loadable,
    /// In a file, but `kernel.modules_disabled` is set.
    Locked,
    /// Not installed; this command installs the package with more modules.
    InPackage(&'static str),
    /// Not part of this kernel.
    Nowhere,
    /// Not part of this kernel, which cannot load modules.
    Unsupported,
    /// Unknown: the module files cannot be read from here.
    Unknown,
}

fn place(module: &str, kernel: &Kernel) -> Place {
    if kernel.running.contains(module) {
        return Place::Running;
    }
    match &kernel.modules {
        Modules::Unsupported => Place::Unsupported,
        Modules::Unseen => Place::Unknown,
        Modules::Listed { built_in, .. } if built_in.contains(module) => Place::Running,
        Modules::Listed { loadable, .. } if !loadable.contains(module) => {
            package(&kernel.release).map_or(Place::Nowhere, Place::InPackage)
        }
        Modules::Listed { .. } if kernel.is_locked => Place::Locked,
        Modules::Listed { .. } => Place::Loadable,
    }
}

/// Returns the command that installs the modules that a distribution packages separately.
fn package(release: &str) -> Option<&'static str> {
    let ends_with_any = |flavours: &[&str]| {
        flavours.iter().any(|flavour| release.strip_suffix(flavour).is_some_and(is_ubuntus))
    };
    if ends_with_any(&["-generic", "-azure", "-aws", "-gcp", "-gke", "-oracle", "-ibm", "-raspi"]) {
        Some("apt-get install linux-modules-extra-$(uname -r)")
    } else if release.contains(".el") || release.contains(".fc") {
        Some("dnf install kernel-modules-extra-$(uname -r)")
    } else {
        None
    }
}

/// Returns whether `version` is one of Ubuntu's kernels: `6.8.0-1021`.
fn is_ubuntus(version: &str) -> bool {
    let (_, build) = version.rsplit_once('-').unwrap_or_default();
    !build.is_empty() && build.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns module and advice for a feature that the kernel does not know.
fn absent(module: &'static str, kernel: &Kernel) -> (Option<&'static str>, String) {
    let release = &kernel.release;
    let text = match place(module, kernel) {
        // The module is present, so it is not the cause.
        Place::Running => return (None, REPORT.to_owned()),
        Place::Loadable => format!(
            "sudo modprobe {module}; the kernel has not done so by itself, so /etc/modprobe.d or \
             a security module may forbid it"
        ),
        Place::Locked => format!(
            "load {module} at the next start (echo {module} | sudo tee \
             /etc/modules-load.d/{module}.conf): the kernel loads no modules until then \
             (kernel.modules_disabled = 1)"
        ),
        Place::InPackage(install) => format!("sudo {install} && sudo modprobe {module}"),
        Place::Nowhere => {
            format!("take another kernel: this one ({release}) is built without {module}")
        }
        Place::Unsupported => format!(
            "take another kernel: this one ({release}) is built without {module}, and cannot \
             load modules"
        ),
        Place::Unknown => format!(
            "sudo modprobe {module} on the machine itself: the modules of its kernel ({release}) \
             are not to be seen from here, as in a container"
        ),
    };
    (Some(module), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::errno::EINVAL;

    fn kernel(release: &str) -> Kernel {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Kernel {
            release: release.to_owned(),
            modules: Modules::Listed { built_in: set(&["tun"]), loadable: set(&["sch_tbf"]) },
            running: set(&["veth"]),
            is_locked: false,
        }
    }

    /// The advice for a qdisc that a kernel does not know.
    fn unknown_to(kernel: &Kernel, module: &'static str) -> (Option<&'static str>, String) {
        advice(module, (Part::Feature, Some(ENOENT)), kernel)
    }

    #[test]
    fn a_module_in_a_file_is_loaded() {
        let debian = kernel("6.1.0-56-amd64");
        for code in [ENOENT, EOPNOTSUPP, EPROTONOSUPPORT, ENODEV, ENXIO, EAFNOSUPPORT] {
            let (module, text) = advice("sch_tbf", (Part::Feature, Some(code)), &debian);
            assert_eq!(module, Some("sch_tbf"));
            assert!(text.starts_with("sudo modprobe sch_tbf; "), "{text}");
        }
        let locked = Kernel { is_locked: true, ..debian };
        let (module, text) = unknown_to(&locked, "sch_tbf");
        assert_eq!(module, Some("sch_tbf"));
        assert!(text.contains("kernel.modules_disabled = 1"), "{text}");
    }

    #[test]
    fn a_module_in_no_file_is_in_a_package_or_in_another_kernel() {
        let ubuntus = "sudo apt-get install linux-modules-extra-$(uname -r)";
        let red_hats = "sudo dnf install kernel-modules-extra-$(uname -r)";
        for (release, install) in [
            ("6.8.0-1021-azure", ubuntus),
            ("6.8.0-45-generic", ubuntus),
            ("5.14.0-427.13.1.el9_4.x86_64", red_hats),
            ("6.9.5-200.fc40.x86_64", red_hats),
        ] {
            let expected = format!("{install} && sudo modprobe sch_netem");
            assert_eq!(unknown_to(&kernel(release), "sch_netem"), (Some("sch_netem"), expected));
        }
        for release in ["6.1.0-56-amd64", "6.12.1-generic", "6.6.87.2-microsoft-standard-WSL2"] {
            let (module, text) = unknown_to(&kernel(release), "sch_netem");
            assert_eq!(module, Some("sch_netem"));
            assert!(text.ends_with(&format!("({release}) is built without sch_netem")), "{text}");
        }
    }

    #[test]
    fn without_a_list_of_modules_it_says_so() {
        let unseen = Kernel { modules: Modules::Unseen, ..kernel("6.8.0-1021-azure") };
        let (module, text) = unknown_to(&unseen, "sch_netem");
        assert_eq!(module, Some("sch_netem"));
        assert!(text.starts_with("sudo modprobe sch_netem on the machine itself"), "{text}");
        let none = Kernel { modules: Modules::Unsupported, ..kernel("6.18.44") };
        let (module, text) = unknown_to(&none, "sch_netem");
        assert_eq!(module, Some("sch_netem"));
        assert!(text.ends_with("built without sch_netem, and cannot load modules"), "{text}");
    }

    #[test]
    fn a_module_that_is_there_is_not_the_cause() {
        for module in ["veth", "tun"] {
            let refused = (Part::Feature, Some(EOPNOTSUPP));
            assert_eq!(advice(module, refused, &kernel("6.8.0-1021-azure")), (None, REPORT.into()));
        }
    }

    #[test]
    fn other_refusals_have_other_causes() {
        let debian = kernel("6.1.0-56-amd64");
        let loadable = Kernel {
            modules: Modules::Listed { built_in: [].into(), loadable: ["tun".to_owned()].into() },
            ..debian.clone()
        };
        let table = [
            (&debian, Part::Device, EACCES, None, "sudo chmod 0666 /dev/net/tun"),
            (&debian, Part::Device, EPERM, None, "docker run --device=/dev/net/tun"),
            (&debian, Part::Device, ENOENT, None, "docker run --device=/dev/net/tun"),
            (&loadable, Part::Device, ENOENT, Some("tun"), "sudo modprobe tun"),
            (&loadable, Part::Device, ENODEV, Some("tun"), "sudo modprobe tun"),
            (&loadable, Part::Socket, EPERM, None, "forbids netlink sockets"),
            (&loadable, Part::Socket, EAFNOSUPPORT, None, "forbids netlink sockets"),
            (&loadable, Part::Socket, EPROTONOSUPPORT, Some("tun"), "sudo modprobe tun"),
            (&loadable, Part::Feature, EPERM, None, "see to the isolation first"),
            (&loadable, Part::Feature, EINVAL, None, "please report"),
        ];
        for (kernel, part, code, module, expected) in table {
            let (found, text) = advice("tun", (part, Some(code)), kernel);
            assert_eq!(found, module, "{part:?} {code}");
            assert!(text.contains(expected), "{part:?} {code}: {text}");
        }
        let no_base = advice("tun", (Part::Base, None), &debian);
        assert_eq!(no_base, (None, NEEDS_A_BASE.to_owned()));
        let unanswered = advice("tun", (Part::Feature, None), &debian);
        assert_eq!(unanswered, (None, REPORT.to_owned()));
    }
}
