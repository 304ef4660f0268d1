//! Programs in namespaces of their own: a sandbox as a value, and commands that start in it.

pub(crate) mod child;
pub(crate) mod command;
pub(crate) mod errors;
pub(crate) mod ids;
pub(crate) mod steps;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::sandbox::child::SandboxChild;
pub use crate::sandbox::command::SandboxCommand;
pub use crate::sandbox::ids::SandboxUser;
pub use crate::userns::IdRange;

use crate::error::{Error, Result};
use crate::netns::NetNs;
use crate::sandbox::ids::Ranges;

/// Where programs run: with user, network, mount, PID, UTS and IPC namespaces of their own, as a
/// [`netns_test`](crate::netns_test) body has them.
///
/// A sandbox is a description. Nothing is done before a [`command`](Self::command) of it is
/// started; each start gets namespaces of its own, with `lo` up, a `/proc` and a `/sys` that show
/// them, and mounts that the caller does not see. The caller stays where it is, needs no rights
/// where the machine lets ordinary users make namespaces, and may have many threads.
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
    hostname: Option<Vec<u8>>,
    rootfs: Option<PathBuf>,
    mounts: Vec<Placed>,
    user: SandboxUser,
    ranges: Ranges,
    network: Option<Result<Arc<NetNs>>>,
    shares_session: bool,
}

/// What is mounted after the rest, in order.
#[derive(Clone, Debug)]
enum Placed {
    Bind { host: PathBuf, inside: PathBuf },
    Tmpfs(PathBuf),
    ReadOnly(PathBuf),
}

impl Sandbox {
    /// Namespaces of its own, the caller's files, the caller's user, no other network than `lo`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hostname, of at most 64 bytes; the caller's unless it is set (`uts_namespaces(7)`).
    pub fn hostname(mut self, name: impl AsRef<OsStr>) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        self.hostname = Some(name.as_ref().as_bytes().to_owned());
        self
    }

    /// Has `directory`, with what is mounted below it, be the root (`pivot_root(2)`). Nothing else of
    /// the caller's files is seen, but what is [bound](Self::bind).
    ///
    /// It must have the directories `/proc`, `/sys` and `/dev`, which are covered by new ones; the
    /// last has `null`, `zero`, `full`, `random`, `urandom`, `tty`, terminals of its own and `shm`.
    /// Nothing is written to the directory but by the program.
    ///
    /// No descriptor of the caller's leads out, since the program has none but the standard streams and
    /// those that are [passed](SandboxCommand::pass_fd).
    ///
    /// Without this, the program sees the caller's files, with the sockets of name services below
    /// `/run` (systemd-resolved, nscd, nslcd, Avahi) covered: they answer from another network.
    pub fn rootfs(mut self, directory: impl AsRef<Path>) -> Self {
        self.rootfs = Some(directory.as_ref().to_owned());
        self
    }

    /// Shows what is at `host`, a path of the caller's, with the mounts below it, at `inside`, an
    /// absolute path of the sandbox, where a directory, or for a file a file, must be.
    ///
    /// This, [`tmpfs`](Self::tmpfs) and [`read_only`](Self::read_only) are done in the order of the
    /// calls. No symbolic link at `inside` leads out of the [`rootfs`](Self::rootfs).
    pub fn bind(mut self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        let (host, inside) = (host.as_ref().to_owned(), inside.as_ref().to_owned());
        self.mounts.push(Placed::Bind { host, inside });
        self
    }

    /// Puts an empty file system in memory at `inside`, a directory of the sandbox that everybody
    /// may write to (mode 1777).
    pub fn tmpfs(mut self, inside: impl AsRef<Path>) -> Self {
        self.mounts.push(Placed::Tmpfs(inside.as_ref().to_owned()));
        self
    }

    /// Forbids the program to write to `inside`, an absolute path of the sandbox, and to what is
    /// mounted below it (Linux 5.12).
    ///
    /// For `/` this is done first: `/proc`, `/sys`, `/dev` and what is bound stay as they are.
    ///
    /// This prevents accidents. A program that is [`Root`](SandboxUser::Root) or
    /// [`Caller`](SandboxUser::Caller) may mount as it likes in there, and so undo it; it binds
    /// [`Ids`](SandboxUser::Ids).
    pub fn read_only(mut self, inside: impl AsRef<Path>) -> Self {
        self.mounts.push(Placed::ReadOnly(inside.as_ref().to_owned()));
        self
    }

    /// Who the program is; [`SandboxUser::Caller`] unless it is set.
    pub fn user(mut self, user: SandboxUser) -> Self {
        self.user = user;
        self
    }

    /// Which ids there are (`user_namespaces(7)`), at most 340 ranges of each kind.
    ///
    /// A caller that may not map them itself has them mapped by `newuidmap` and `newgidmap`
    /// (package `uidmap` or `shadow-utils`), as far as `/etc/subuid` and `/etc/subgid` have given
    /// them to it. Unless this or [`subordinate_ids`](Self::subordinate_ids) is called there is
    /// one id, the caller's own; a caller with `CAP_SETUID`, `CAP_SETGID` and `CAP_SETFCAP` keeps
    /// all of its ids as they are.
    pub fn id_maps(
        mut self,
        uids: impl IntoIterator<Item = IdRange>,
        gids: impl IntoIterator<Item = IdRange>,
    ) -> Self {
        let (uids, gids) = (uids.into_iter().collect(), gids.into_iter().collect());
        self.ranges = Ranges::Given { uids, gids };
        self
    }

    /// Has all ids that `/etc/subuid` and `/etc/subgid` give to the caller be ids of the sandbox,
    /// from 0 on, besides the caller's own, which is that of the [`user`](Self::user).
    pub fn subordinate_ids(mut self) -> Self {
        self.ranges = Ranges::Subordinate;
        self
    }

    /// Has programs be in the network `namespace`, which they share with others, rather than in one
    /// of their own.
    ///
    /// That takes `CAP_SYS_ADMIN` over it and in the caller's own user namespace. So the program
    /// stays in that user namespace, and may do to the network what the caller may.
    pub fn netns(mut self, namespace: &NetNs) -> Self {
        self.network = Some(namespace.try_clone().map(Arc::new));
        self
    }

    /// Leaves programs in the caller's session, with its terminal: for a shell, or whatever a person
    /// talks to.
    ///
    /// The program can then signal the caller's process group (`kill(0, …)`), since it belongs to it,
    /// and write into the terminal's input where the kernel lets it (`TIOCSTI`, `ioctl_tty(2)`).
    /// Signals to the group reach it more than once.
    pub fn share_terminal(mut self) -> Self {
        self.shares_session = true;
        self
    }

    /// A command that starts `program` in the sandbox. A name without a slash is looked for in the
    /// `PATH` of the program's environment, in the sandbox's root.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> SandboxCommand {
        SandboxCommand::new(self.clone(), program.as_ref())
    }

    /// The network that is shared, if there is one.
    fn shared_network(&self) -> Result<Option<&NetNs>, Error> {
        match &self.network {
            None => Ok(None),
            Some(Ok(namespace)) => Ok(Some(namespace)),
            Some(Err(error)) => Err(error.clone()),
        }
    }
}
