//! Lays out a description as steps, each with its object for errors. All memory is allocated here,
//! before the fork.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::diagnose;
use crate::diagnose::{Step, Witness};
use crate::error::{Error, Failure};
use crate::isolate;
use crate::sandbox::description::{Placed, Sandbox};
use crate::sandbox::ids::Ids;
use crate::sys::launch::{Action, FileSystem, Keep, Plan};
use crate::sys::mount::mount_api;
use crate::sys::net::devconf;
use crate::sys::process::{ALL_NAMESPACES, Namespace};
use crate::sys::{errno, fds, mount};
use crate::userns::Caller;

/// A plan, with the object of each of its steps for errors.
#[derive(Debug)]
pub(crate) struct LaidOut {
    pub(crate) plan: Arc<Plan>,
    pub(crate) objects: Vec<String>,
    /// The display form of the network that is joined; empty if none is.
    pub(crate) network: String,
    /// The directory that becomes the root, a path of the caller.
    pub(crate) rootfs: Option<PathBuf>,
    pub(crate) caller: Caller,
}

/// Lays out a program that begins in `directory`, a path of the sandbox, and has `passed`.
pub(crate) fn lay_out(
    sandbox: &Sandbox,
    directory: Option<&Path>,
    passed: &Arc<Vec<OwnedFd>>,
) -> Result<LaidOut, Error> {
    let caller = Caller::read()
        .map_err(|failure| diagnose::with_cause(failure, Step::Proc, &Witness::default()))?;
    let network = sandbox.shared_network()?;
    let ids = match network {
        Some(_) => Ids::shared(sandbox.user, &sandbox.ranges, &caller)?,
        None => Ids::new(sandbox.user, &sandbox.ranges, &caller)?,
    };
    let is_made =
        |one: &Namespace| network.is_none() || !matches!(one, Namespace::User | Namespace::Net);
    let namespaces = ALL_NAMESPACES.into_iter().filter(is_made).collect();
    let mut steps = Steps::default();
    steps.all(sandbox, network.is_none().then_some(&ids))?;
    let network_name = network.map(ToString::to_string).unwrap_or_default();
    let network = network.map(|one| one.as_fd().try_clone_to_owned()).transpose();
    let failed = |error| errno::failure("duplicate", &*network_name, &error);
    let network: Option<OwnedFd> = network.map_err(failed)?;
    let directory = directory.map(|path| text("chdir", path)).transpose()?;
    let Ids { maps, person, .. } = ids;
    let own_session = !sandbox.shares_session;
    let steps_to_do = steps.actions;
    let passed = Arc::clone(passed);
    let plan = Plan {
        network,
        namespaces,
        maps,
        steps: steps_to_do,
        person,
        directory,
        passed,
        own_session,
    };
    let plan = Arc::new(plan);
    let (objects, rootfs) = (steps.objects, sandbox.rootfs.clone());
    Ok(LaidOut { plan, objects, network: network_name, rootfs, caller })
}

#[derive(Default)]
struct Steps {
    actions: Vec<Action>,
    objects: Vec<String>,
}

const NOTHING_SPECIAL: u64 = mount_api::NO_SUID | mount_api::NO_DEV | mount_api::NO_EXEC;

impl Steps {
    /// Adds all steps. `own` is `Some` if the program has a network namespace of its own.
    fn all(&mut self, sandbox: &Sandbox, own: Option<&Ids>) -> Result<(), Failure> {
        self.add("the mounts of the program", Action::MakePrivate);
        if let Some(rootfs) = &sandbox.rootfs {
            let object = rootfs.display().to_string();
            let is_directory = fs::metadata(rootfs)
                .map_err(|error| errno::failure("take as root", &*object, &error))?
                .is_dir();
            if !is_directory {
                return Err(Failure::new("take as root", object, "it is no directory"));
            }
            self.add(object, Action::Root(whole("rootfs", rootfs)?));
        }
        let is_root = |path: &Path| path == Path::new("/");
        let placed = || sandbox.mounts.iter();
        if placed().any(|one| matches!(one, Placed::ReadOnly(path) if is_root(path))) {
            self.add("/, read-only", Action::ReadOnly(CString::default()));
        }
        match sandbox.rootfs {
            Some(_) => self.devices(),
            None => self.name_services()?,
        }
        self.kernel_file_systems(sandbox.rootfs.is_none());
        if let Some(ids) = own {
            self.sysctls(ids);
        }
        for one in placed() {
            self.placed(one)?;
        }
        if let Some(name) = &sandbox.hostname {
            self.add(String::from_utf8_lossy(name), Action::Hostname(name.clone()));
        }
        if own.is_some() {
            self.add("lo", Action::Loopback);
        }
        if let Some(rootfs) = &sandbox.rootfs {
            self.add(format!("to {}", rootfs.display()), Action::Pivot);
        }
        Ok(())
    }

    fn add(&mut self, object: impl Into<String>, action: Action) {
        self.objects.push(object.into());
        self.actions.push(action);
    }

    fn mount(&mut self, file_system: FileSystem) {
        let kind = file_system.kind.to_string_lossy();
        let inside = file_system.inside.to_string_lossy();
        let object = format!("{kind} on /{inside}");
        self.add(object, Action::FileSystem(file_system));
    }

    /// Adds `/proc` and `/sys`; with `groups`, `/sys` shows the caller's control groups.
    fn kernel_file_systems(&mut self, groups: bool) {
        self.mount(FileSystem {
            kind: c"proc",
            options: &[],
            attributes: NOTHING_SPECIAL,
            inside: c"proc".into(),
            keep: Some(Keep::Proc),
        });
        let groups = groups && mount::is_mount_point(Path::new("/sys/fs/cgroup"));
        self.add("sysfs on /sys", Action::Sys { groups });
    }

    /// Adds a minimal `/dev`, as containers have it.
    fn devices(&mut self) {
        self.mount(FileSystem {
            kind: c"tmpfs",
            options: &[(c"mode", c"0755")],
            attributes: mount_api::NO_SUID | mount_api::NO_EXEC,
            inside: c"dev".into(),
            keep: Some(Keep::Dev),
        });
        for (name, source) in DEVICES {
            // Some containers lack some of these.
            if Path::new(source.to_str().unwrap_or_default()).exists() {
                let object = source.to_string_lossy().into_owned();
                self.add(object, Action::Device { name, source });
            }
        }
        for (name, target) in LINKS {
            let object = format!("/dev/{}", name.to_string_lossy());
            self.add(object, Action::Link { name, target });
        }
        for (name, mode) in [(c"pts", 0o755), (c"shm", 0o1777)] {
            let object = format!("/dev/{}", name.to_string_lossy());
            self.add(object, Action::Directory(name, mode));
        }
        self.mount(FileSystem {
            kind: c"devpts",
            options: &[(c"ptmxmode", c"0666"), (c"mode", c"0620")],
            attributes: mount_api::NO_SUID | mount_api::NO_EXEC,
            inside: c"dev/pts".into(),
            keep: None,
        });
    }

    fn name_services(&mut self) -> Result<(), Failure> {
        for (directory, files) in isolate::name_services() {
            let object = format!("an empty directory on {}", directory.display());
            let named =
                files.into_iter().map(|(name, content)| Ok((text("create", &name)?, content)));
            let files = named.collect::<Result<_, Failure>>()?;
            self.add(object, Action::Cover { inside: inside("cover", &directory)?, files });
        }
        Ok(())
    }

    /// Adds the sysctls that bodies of tests have, too.
    fn sysctls(&mut self, ids: &Ids) {
        let object = "the kernel's defaults to net.ipv4.conf and net.ipv6.conf";
        self.add(object, Action::Defaults(devconf::known()));
        let all = [
            (c"sys/net/ipv6/conf/all/disable_ipv6", vec![b"0".to_vec()]),
            // Without DAD, addresses are usable at once. The network has no other node to conflict
            // with.
            (c"sys/net/ipv6/conf/default/accept_dad", vec![b"0".to_vec()]),
            (c"sys/net/ipv4/ping_group_range", ids.groups.clone()),
        ];
        for (path, texts) in all {
            let object = format!("/proc/{}", path.to_string_lossy());
            self.add(object, Action::Sysctl { path, texts });
        }
    }

    fn placed(&mut self, one: &Placed) -> Result<(), Failure> {
        match one {
            Placed::Bind { host, inside: at } => {
                let action =
                    Action::Bind { source: whole("bind", host)?, inside: inside("bind", at)? };
                fs::symlink_metadata(host)
                    .map_err(|error| errno::failure("bind", host.display().to_string(), &error))?;
                self.add(format!("{} on {}", host.display(), at.display()), action);
            }
            Placed::Tmpfs(at) => self.mount(FileSystem {
                kind: c"tmpfs",
                options: &[(c"mode", c"1777")],
                attributes: mount_api::NO_SUID | mount_api::NO_DEV,
                inside: inside("mount tmpfs on", at)?,
                keep: None,
            }),
            Placed::ReadOnly(at) => {
                let at_name = format!("{}, read-only", at.display());
                let at = inside("make read-only", at)?;
                // The root has been done first.
                if !at.is_empty() {
                    self.add(at_name, Action::ReadOnly(at));
                }
            }
        }
        Ok(())
    }
}

const DEVICES: [(&CStr, &CStr); 6] = [
    (c"null", c"/dev/null"),
    (c"zero", c"/dev/zero"),
    (c"full", c"/dev/full"),
    (c"random", c"/dev/random"),
    (c"urandom", c"/dev/urandom"),
    (c"tty", c"/dev/tty"),
];

const LINKS: [(&CStr, &CStr); 5] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
];

/// Checks a path of the sandbox, and removes its leading slash.
fn inside(step: &str, path: &Path) -> Result<CString, Failure> {
    let refused = |reason| Failure::new(step, format!("{}", path.display()), reason);
    if !path.is_absolute() {
        return Err(refused("a path of the sandbox begins with a slash"));
    }
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(refused("a path of the sandbox has no `..` in it"));
    }
    text(step, &parts.collect::<PathBuf>())
}

/// A path of the caller's, whole.
fn whole(step: &str, path: &Path) -> Result<CString, Failure> {
    let object = path.display().to_string();
    let whole = std::path::absolute(path).map_err(|error| errno::failure(step, object, &error))?;
    text(step, &whole)
}

fn text(step: &str, path: &Path) -> Result<CString, Failure> {
    let object = path.display().to_string();
    fds::c_path(path).map_err(|_| Failure::new(step, object, "a path has no NUL byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_sandbox_are_looked_up_in_its_root() {
        let path = |path: &str| inside("bind", Path::new(path));
        assert_eq!(path("/").unwrap(), CString::default());
        assert_eq!(path("//a/./b/").unwrap().as_c_str(), c"a/b");
        let error = path("a").unwrap_err().to_string();
        assert_eq!(error, "bind a: a path of the sandbox begins with a slash");
        assert!(path("/a/../b").unwrap_err().to_string().contains("has no `..` in it"));
        assert!(path("/a\0b").unwrap_err().to_string().contains("NUL"));
    }

    #[test]
    fn every_step_has_a_name() {
        let sandbox = Sandbox::new()
            .rootfs("/usr")
            .hostname("name")
            .bind("/etc/hosts", "/etc/hosts")
            .tmpfs("/tmp")
            .read_only("/")
            .read_only("/etc");
        let laid_out = lay_out(&sandbox, None, &Arc::default()).unwrap();
        assert_eq!(laid_out.objects.len(), laid_out.plan.steps.len());
        let at = |object: &str| laid_out.objects.iter().position(|one| one == object).unwrap();
        // Or what must be written to could not be.
        assert!(at("/usr") < at("/, read-only"));
        assert!(at("/, read-only") < at("tmpfs on /dev"));
        assert!(at("proc on /proc") < at("/etc/hosts on /etc/hosts"));
        assert!(at("/etc/hosts on /etc/hosts") < at("/etc, read-only"));
        assert_eq!(at("to /usr"), laid_out.objects.len() - 1);
    }
}
