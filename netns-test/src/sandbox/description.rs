//! The description of a sandbox: the public builder.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::netns::NetNs;
use crate::sandbox::ids::{Ranges, SandboxUser};
use crate::userns::IdRange;

/// A set of namespaces for programs to run in: user, network, mount, PID, UTS and IPC, as a
/// [`netns_test`](crate::netns_test) body has them.
///
/// A sandbox is a description: nothing is created before a [`command`](Self::command) of it is
/// started. Each start creates new namespaces, with `lo` up, a `/proc` and a `/sys` that show them,
/// and mounts that the caller does not see. The caller is not moved and may have many threads. It
/// needs no privileges where the machine lets ordinary users create user namespaces.
///
/// The program has process id 2. Process 1 is a small init, which ends with the program and takes
/// every other process of the sandbox with it.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use netns_test::{Sandbox, SandboxUser, netns_test};
///
/// #[netns_test]
/// fn a_program_of_its_own() -> netns_test::Result<()> {
///     let sandbox = Sandbox::new().hostname("blue").user(SandboxUser::Root);
///     let output = sandbox.command("sh").args(["-c", "hostname; id -u; echo $$"]).output()?;
///     assert_eq!(output.stdout, b"blue\n0\n2\n");
///     Ok(())
/// }
/// # }
/// ```
///
/// Linux 5.6 or later is needed, and 5.12 for [`read_only`](Self::read_only).
#[derive(Clone, Debug, Default)]
#[must_use = "a sandbox does nothing before a command of it is started"]
pub struct Sandbox {
    pub(crate) hostname: Option<Vec<u8>>,
    pub(crate) rootfs: Option<PathBuf>,
    pub(crate) mounts: Vec<Placed>,
    pub(crate) user: SandboxUser,
    pub(crate) ranges: Ranges,
    pub(crate) network: Option<Result<Arc<NetNs>>>,
    pub(crate) shares_session: bool,
}

/// A mount that the description asks for. They are mounted last, in order.
#[derive(Clone, Debug)]
pub(crate) enum Placed {
    Bind { host: PathBuf, inside: PathBuf },
    Tmpfs(PathBuf),
    ReadOnly(PathBuf),
}

impl Sandbox {
    /// Returns a sandbox with the caller's files and user, and a network that has `lo` only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the hostname, of at most 64 bytes (`uts_namespaces(7)`). Default: the caller's.
    pub fn hostname(mut self, name: impl AsRef<OsStr>) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        self.hostname = Some(name.as_ref().as_bytes().to_owned());
        self
    }

    /// Makes `directory`, with the mounts below it, the root (`pivot_root(2)`). The program sees no
    /// other files of the caller, except those that are [bound](Self::bind).
    ///
    /// It must have the directories `/proc`, `/sys` and `/dev`. New ones are mounted over them; the
    /// new `/dev` has `null`, `zero`, `full`, `random`, `urandom`, `tty`, its own `pts` and `shm`.
    /// Only the program writes to the directory.
    ///
    /// The program inherits the standard streams and the descriptors that are
    /// [passed](crate::SandboxCommand::pass_fd), and no others, so none leads out of the root by
    /// accident.
    ///
    /// Without a `rootfs`, the program sees the caller's files. The sockets of name services below
    /// `/run` (systemd-resolved, nscd, nslcd, Avahi) are hidden, because they answer from another
    /// network.
    pub fn rootfs(mut self, directory: impl AsRef<Path>) -> Self {
        self.rootfs = Some(directory.as_ref().to_owned());
        self
    }

    /// Mounts the caller's file or directory `host`, with the mounts below it, at `inside`, an
    /// absolute path of the sandbox. A file (or a directory) must exist there to be mounted on.
    ///
    /// [`bind`](Self::bind), [`tmpfs`](Self::tmpfs) and [`read_only`](Self::read_only) take effect
    /// in the order of the calls. No symbolic link at `inside` leads out of the
    /// [`rootfs`](Self::rootfs).
    pub fn bind(mut self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        let (host, inside) = (host.as_ref().to_owned(), inside.as_ref().to_owned());
        self.mounts.push(Placed::Bind { host, inside });
        self
    }

    /// Mounts an empty tmpfs at `inside`, a directory of the sandbox. Every user may write to it
    /// (mode 1777).
    pub fn tmpfs(mut self, inside: impl AsRef<Path>) -> Self {
        self.mounts.push(Placed::Tmpfs(inside.as_ref().to_owned()));
        self
    }

    /// Makes `inside`, an absolute path of the sandbox, and the mounts below it read-only (Linux
    /// 5.12).
    ///
    /// For `/` it takes effect first: `/proc`, `/sys`, `/dev` and binds remain writable.
    ///
    /// It prevents accidents only. A program that is [`Root`](SandboxUser::Root) or
    /// [`Caller`](SandboxUser::Caller) has the capability to remount, and so to undo it. It binds
    /// [`Ids`](SandboxUser::Ids) with a uid other than 0.
    pub fn read_only(mut self, inside: impl AsRef<Path>) -> Self {
        self.mounts.push(Placed::ReadOnly(inside.as_ref().to_owned()));
        self
    }

    /// Sets the user of the program. Default: [`SandboxUser::Caller`].
    pub fn user(mut self, user: SandboxUser) -> Self {
        self.user = user;
        self
    }

    /// Sets the id maps of the user namespace (`user_namespaces(7)`), at most 340 ranges of each
    /// kind.
    ///
    /// For a caller without the capability to map them, `newuidmap` and `newgidmap` (package
    /// `uidmap` or `shadow-utils`) write the maps, if `/etc/subuid` and `/etc/subgid` assign the
    /// ids to the caller. Default: the caller's own id only; all ids, unchanged, for a caller with
    /// `CAP_SETUID`, `CAP_SETGID` and `CAP_SETFCAP`.
    pub fn id_maps(
        mut self,
        uids: impl IntoIterator<Item = IdRange>,
        gids: impl IntoIterator<Item = IdRange>,
    ) -> Self {
        let (uids, gids) = (uids.into_iter().collect(), gids.into_iter().collect());
        self.ranges = Ranges::Given { uids, gids };
        self
    }

    /// Maps all ids that `/etc/subuid` and `/etc/subgid` assign to the caller, from 0 on. The
    /// caller's own id is mapped to that of the [`user`](Self::user).
    pub fn subordinate_ids(mut self) -> Self {
        self.ranges = Ranges::Subordinate;
        self
    }

    /// Runs programs in the existing network `namespace`, instead of a new one.
    ///
    /// To join it takes `CAP_SYS_ADMIN` over the namespace and in the caller's user namespace. The
    /// program stays in that user namespace, and has the caller's rights over the network.
    pub fn netns(mut self, namespace: &NetNs) -> Self {
        self.network = Some(namespace.try_clone().map(Arc::new));
        self
    }

    /// Leaves programs in the caller's session, with its terminal: for a shell and other
    /// interactive programs.
    ///
    /// The program then belongs to the caller's process group and can signal it (`kill(0, …)`). It
    /// can write into the terminal's input where the kernel allows that (`TIOCSTI`,
    /// `ioctl_tty(2)`). A signal to the group may reach the program more than once.
    pub fn share_terminal(mut self) -> Self {
        self.shares_session = true;
        self
    }

    /// Returns the network namespace to join, if one is set.
    pub(crate) fn shared_network(&self) -> Result<Option<&NetNs>, Error> {
        match &self.network {
            None => Ok(None),
            Some(Ok(namespace)) => Ok(Some(namespace)),
            Some(Err(error)) => Err(error.clone()),
        }
    }
}
