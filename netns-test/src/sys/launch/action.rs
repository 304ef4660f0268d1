//! The steps that set up a program's namespaces: each is a few system calls on memory that was laid
//! out before the fork.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use crate::sys::launch::refusal::{Call, Refusal, Refused as _};
use crate::sys::mount::mount_api;
use crate::sys::net::devconf;
use crate::sys::net::devconf::Altered;
use crate::sys::net::ifreq;
use crate::sys::process::credentials;
use crate::sys::{fds, mount};

/// One step. Paths are those of the program, without the slash that they begin with: they are
/// looked up in its root.
#[derive(Debug)]
pub(crate) enum Action {
    /// Makes all mounts private.
    MakePrivate,
    /// Makes the directory at this path of the caller the root for the following steps.
    Root(CString),
    /// Mounts a new instance of a file system.
    FileSystem(FileSystem),
    /// Mounts a new `/sys`, with the caller's control groups if it has some below its own:
    /// programs size their thread pools by them.
    Sys {
        groups: bool,
    },
    /// Binds a path of the caller to a path of the program.
    Bind {
        source: CString,
        inside: CString,
    },
    /// Makes this path and the mounts below it read-only.
    ReadOnly(CString),
    /// Mounts a tmpfs with these files over a directory.
    Cover {
        inside: CString,
        files: Vec<(CString, Vec<u8>)>,
    },
    /// Makes a directory in the new `/dev`, with this mode.
    Directory(&'static CStr, u32),
    /// Makes a symbolic link in the new `/dev`.
    Link {
        name: &'static CStr,
        target: &'static CStr,
    },
    /// Binds a device of the caller (at the path `source`) into the new `/dev`.
    Device {
        name: &'static CStr,
        source: &'static CStr,
    },
    /// Writes the first of these texts that the kernel accepts to a file of the new `/proc`.
    Sysctl {
        path: &'static CStr,
        texts: Vec<Vec<u8>>,
    },
    /// Resets the sysctls of interfaces to the kernel's defaults, by the new `/proc`: those that
    /// are known to differ, or those that are found to.
    Defaults(Option<Altered>),
    Hostname(Vec<u8>),
    /// Brings `lo` up.
    Loopback,
    /// Changes to the new root, and unmounts the caller's.
    Pivot,
}

/// A file system to be mounted.
#[derive(Debug)]
pub(crate) struct FileSystem {
    pub(crate) kind: &'static CStr,
    pub(crate) options: &'static [(&'static CStr, &'static CStr)],
    pub(crate) attributes: u64,
    pub(crate) inside: CString,
    /// The role of the file system in later steps, if it has one.
    pub(crate) keep: Option<Keep>,
}

/// A file system that later steps use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Proc,
    Dev,
}

/// The state that the steps share.
pub(crate) struct Stage {
    root: OwnedFd,
    proc: Option<OwnedFd>,
    dev: Option<OwnedFd>,
}

type Done = Result<(), Refusal>;

impl Stage {
    pub(crate) fn new() -> Result<Self, Refusal> {
        let root = fds::open_place(Path::new("/")).on(Call::OpenPlace)?;
        Ok(Self { root, proc: None, dev: None })
    }

    pub(crate) fn perform(&mut self, action: &Action) -> Done {
        match action {
            Action::MakePrivate => self.make_private(),
            Action::Root(path) => self.take_root(path),
            Action::FileSystem(file_system) => self.mount(file_system),
            Action::Sys { groups } => self.mount_sys(*groups),
            Action::Bind { source, inside } => self.bind(source, inside),
            Action::ReadOnly(inside) => self.make_read_only(inside),
            Action::Cover { inside, files } => self.cover(inside, files),
            Action::Directory(name, mode) => {
                mount_api::new_directory(part(&self.dev)?, name, *mode).on(Call::NewDirectory)
            }
            Action::Link { name, target } => {
                mount_api::new_link(part(&self.dev)?, name, target).on(Call::NewLink)
            }
            Action::Device { name, source } => self.add_device(name, source),
            Action::Sysctl { path, texts } => self.set(path, texts),
            Action::Defaults(known) => {
                let proc = part(&self.proc)?;
                let altered = known.unwrap_or_else(|| devconf::look(proc));
                devconf::write(proc, altered).map_err(|refused| refused.error).on(Call::Write)
            }
            Action::Hostname(name) => credentials::set_hostname(name).on(Call::Hostname),
            Action::Loopback => {
                let socket = ifreq::socket().on(Call::Socket)?;
                ifreq::loopback_up(&socket).on(Call::Loopback)
            }
            Action::Pivot => self.pivot(),
        }
    }

    fn make_private(&mut self) -> Done {
        let made = mount::make_all_private().or_else(|_| mount::make_all_private_around());
        made.on(Call::MakePrivate)?;
        // A root that was opened in another mount namespace cannot be copied.
        self.root = fds::open_place(Path::new("/")).on(Call::OpenPlace)?;
        Ok(())
    }

    fn take_root(&mut self, path: &CStr) -> Done {
        let root = mount_api::copy(path).on(Call::CopyTree)?;
        let place = mount_api::open_inside(self.root.as_fd(), path).on(Call::OpenPlace)?;
        mount_api::attach(&root, place.as_fd()).on(Call::Attach)?;
        self.root = root;
        Ok(())
    }

    fn mount(&mut self, file_system: &FileSystem) -> Done {
        let FileSystem { kind, options, attributes, inside, keep } = file_system;
        let place = mount_api::open_inside(self.root.as_fd(), inside).on(Call::OpenPlace)?;
        let new = new_mount(kind, options, *attributes)?;
        mount_api::attach(&new, place.as_fd()).on(Call::Attach)?;
        match keep {
            Some(Keep::Proc) => self.proc = Some(new),
            Some(Keep::Dev) => self.dev = Some(new),
            None => {}
        }
        Ok(())
    }

    /// Mounts `/sys`, read-only if the kernel refuses a writable one, as in a container whose
    /// `/sys` is read-only.
    fn mount_sys(&self, groups: bool) -> Done {
        let place = mount_api::open_inside(self.root.as_fd(), c"sys").on(Call::OpenPlace)?;
        let groups =
            groups.then(|| mount_api::copy(c"/sys/fs/cgroup").on(Call::CopyTree)).transpose()?;
        let attributes = mount_api::NO_SUID | mount_api::NO_DEV | mount_api::NO_EXEC;
        let new = new_mount(c"sysfs", &[], attributes).or_else(|refused| {
            new_mount(c"sysfs", &[], attributes | mount_api::READ_ONLY).map_err(|_| refused)
        })?;
        mount_api::attach(&new, place.as_fd()).on(Call::Attach)?;
        let Some(groups) = groups else { return Ok(()) };
        let place =
            mount_api::open_inside(self.root.as_fd(), c"sys/fs/cgroup").on(Call::OpenPlace)?;
        mount_api::attach(&groups, place.as_fd()).on(Call::Attach)
    }

    fn bind(&self, source: &CStr, inside: &CStr) -> Done {
        let source = mount_api::copy(source).on(Call::CopyTree)?;
        let place = mount_api::open_inside(self.root.as_fd(), inside).on(Call::OpenPlace)?;
        mount_api::attach(&source, place.as_fd()).on(Call::Attach)
    }

    /// Binds a read-only copy over the path, since the path may be a part of a mount.
    fn make_read_only(&mut self, inside: &CStr) -> Done {
        if inside.is_empty() {
            return mount_api::make_read_only(self.root.as_fd()).on(Call::ReadOnly);
        }
        let place = mount_api::open_inside(self.root.as_fd(), inside).on(Call::OpenPlace)?;
        let copy = mount_api::copy_of(place.as_fd()).on(Call::CopyTree)?;
        mount_api::make_read_only(copy.as_fd()).on(Call::ReadOnly)?;
        mount_api::attach(&copy, place.as_fd()).on(Call::Attach)
    }

    fn cover(&self, inside: &CStr, files: &[(CString, Vec<u8>)]) -> Done {
        let place = mount_api::open_inside(self.root.as_fd(), inside).on(Call::OpenPlace)?;
        let new =
            new_mount(c"tmpfs", &[(c"mode", c"0755")], mount_api::NO_SUID | mount_api::NO_DEV)?;
        for (name, content) in files {
            mount_api::write_new(new.as_fd(), name, content, 0o644).on(Call::Write)?;
        }
        mount_api::attach(&new, place.as_fd()).on(Call::Attach)
    }

    fn add_device(&self, name: &CStr, source: &CStr) -> Done {
        let device = mount_api::copy(source).on(Call::CopyTree)?;
        let place = mount_api::new_file(part(&self.dev)?.as_fd(), name).on(Call::NewFile)?;
        mount_api::attach(&device, place.as_fd()).on(Call::Attach)
    }

    /// Writes a sysctl. A missing file belongs to a feature that this kernel lacks, and is ignored.
    fn set(&self, path: &CStr, texts: &[Vec<u8>]) -> Done {
        let proc = part(&self.proc)?;
        let mut result = Ok(());
        for text in texts {
            result = mount_api::write_in(proc, path, text);
            match &result {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
                Err(_) => {}
                Ok(()) => break,
            }
        }
        result.on(Call::Write)
    }

    fn pivot(&self) -> Done {
        fds::change_directory(&self.root).on(Call::ChangeDirectory)?;
        mount_api::pivot().on(Call::Pivot)?;
        mount_api::detach_here().on(Call::Detach)?;
        fds::leave_directory().on(Call::ChangeDirectory)
    }
}

/// A mount of a new file system, attached nowhere.
fn new_mount(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> Result<OwnedFd, Refusal> {
    let file_system = mount_api::open_kind(kind).on(Call::OpenKind)?;
    for (key, value) in options {
        mount_api::configure(&file_system, key, value).on(Call::Configure)?;
    }
    mount_api::create(&file_system).on(Call::Create)?;
    mount_api::mount_of(&file_system, attributes).on(Call::Mount)
}

/// A file system that an earlier step of the plan has mounted.
fn part(kept: &Option<OwnedFd>) -> Result<&OwnedFd, Refusal> {
    let missing = || Refusal::new(Call::OpenPlace, &nix::errno::Errno::ENOENT.into());
    kept.as_ref().ok_or_else(missing)
}
