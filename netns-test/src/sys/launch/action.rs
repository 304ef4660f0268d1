//! The steps that make a place for a program, each a few system calls on memory that was laid out
//! before the fork.

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
    /// Cuts the mounts off from the caller's.
    MakePrivate,
    /// Has the directory at this path of the caller's be the root of what follows.
    Root(CString),
    /// Mounts a new instance of a file system.
    FileSystem(FileSystem),
    /// Mounts a new `/sys`, with the caller's control groups if it has some below its own:
    /// programs size their thread pools by them.
    Sys {
        groups: bool,
    },
    /// Puts what is at a path of the caller's at a path of the program's as well.
    Bind {
        source: CString,
        inside: CString,
    },
    /// Forbids to write at this path and below.
    ReadOnly(CString),
    /// Covers a directory with one that has these files.
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
    /// Puts one of the caller's devices (by its name, and by its path) into the new `/dev`.
    Device {
        name: &'static CStr,
        source: &'static CStr,
    },
    /// Writes the first of these texts that is taken to a file of the new `/proc`.
    Sysctl {
        path: &'static CStr,
        texts: Vec<Vec<u8>>,
    },
    /// Writes the kernel's own settings of interfaces, by the new `/proc`: those that are known to
    /// differ, or those that do.
    Defaults(Option<Altered>),
    Hostname(Vec<u8>),
    /// Brings `lo` up.
    Loopback,
    /// Leaves the caller's mounts for the new root.
    Pivot,
}

/// A file system to be mounted.
#[derive(Debug)]
pub(crate) struct FileSystem {
    pub(crate) kind: &'static CStr,
    pub(crate) options: &'static [(&'static CStr, &'static CStr)],
    pub(crate) attributes: u64,
    pub(crate) inside: CString,
    /// Whether later steps speak of it.
    pub(crate) keep: Option<Keep>,
}

/// A file system that later steps speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Proc,
    Dev,
}

/// What the steps work on.
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

    /// Where a container's `/sys` is read-only, only a read-only one can be had.
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

    /// By a copy of what is there, mounted on itself: what is there may be a part of a mount.
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

    /// A file that is not there belongs to something that this kernel does not have.
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
