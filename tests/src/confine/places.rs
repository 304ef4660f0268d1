//! What is mounted where, and what is seen of it: chroots, and the `/proc` and `/sys` of
//! containers.

use std::fs;
use std::path::Path;

use super::steps::{Mount, Step};
use super::{Confinement, Who, c_string};

/// Directory for a new root; the child covers its content.
const PLACES: [&str; 4] = ["/mnt", "/media", "/srv", "/opt"];

/// Files of `/proc` that Docker covers, where the kernel has them.
const COVERED: [&str; 4] = ["/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"];

/// Directories of `/proc` that Docker makes read-only, where the kernel has them.
const READ_ONLY: [&str; 4] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"];

impl Confinement {
    /// Mounts of its own, which it may change: root by right, a user because a user
    /// namespace is its own. The capabilities over that end with the program's start.
    #[must_use]
    pub fn mounts(self) -> Self {
        if self.owns_mounts {
            return self;
        }
        match self.who {
            Who::Root => self.then(Step::Namespaces(libc::CLONE_NEWNS)),
            Who::User => self.own_user_namespace(libc::CLONE_NEWNS),
        }
        .private_mounts()
    }

    /// As [`Self::mounts`], for a user that is root of its user namespace and so keeps the
    /// capabilities.
    #[must_use]
    pub fn mounts_as_root(self) -> Self {
        self.user_namespace((0, 0), libc::CLONE_NEWNS).private_mounts()
    }

    /// A root directory that is no mount point, below one; what it shows is the real root's.
    ///
    /// # Panics
    ///
    /// Panics if `/` cannot be listed, or nothing can be mounted anywhere.
    #[must_use]
    pub fn chroot(self) -> Self {
        let place = place();
        let root = format!("{place}/root");
        let mut new = self.mounts().tmpfs(place).then(Step::Directory(c_string(&root)));
        for entry in fs::read_dir("/").expect("a list of /").flatten() {
            let (path, target) = (entry.path(), Path::new(&root).join(entry.file_name()));
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_symlink() {
                let Ok(content) = fs::read_link(&path) else { continue };
                new = new.then(Step::Symlink(c_string(content), c_string(&target)));
            } else if kind.is_dir() {
                new = new.then(Step::Directory(c_string(&target)));
                if path != Path::new(place) {
                    new = new.bind(&path, &target);
                }
            }
        }
        new.root(&root)
    }

    /// The same, with nothing in `/dev`.
    ///
    /// # Panics
    ///
    /// Panics if `/` cannot be listed, or nothing can be mounted anywhere.
    #[must_use]
    pub fn chroot_without_devices(self) -> Self {
        // The new root shows what is mounted here.
        self.empty_dev().chroot()
    }

    /// Nothing in `/dev`.
    #[must_use]
    pub fn empty_dev(self) -> Self {
        self.mounts().tmpfs("/dev")
    }

    /// A root directory that is a mount point.
    ///
    /// # Panics
    ///
    /// Panics if nothing can be mounted anywhere.
    #[must_use]
    pub fn chroot_into_mount_point(self) -> Self {
        let place = place();
        self.mounts().bind("/", place).root(place)
    }

    /// Nothing in `/run`.
    #[must_use]
    pub fn empty_run(self) -> Self {
        self.mounts().tmpfs("/run")
    }

    /// Nothing in `/proc`.
    #[must_use]
    pub fn no_proc(self) -> Self {
        self.mounts().tmpfs("/proc")
    }

    /// `/proc` as Docker leaves it: parts of it covered, parts read-only.
    #[must_use]
    pub fn proc_of_docker(self) -> Self {
        let mut own = self.mounts().only_instance("proc", "/proc");
        for path in COVERED.into_iter().filter(|path| Path::new(path).exists()) {
            own = own.bind("/dev/null", path);
        }
        for path in READ_ONLY.into_iter().filter(|path| Path::new(path).exists()) {
            own = own.bind(path, path).read_only(path);
        }
        own
    }

    /// A `/proc` that cannot be written.
    #[must_use]
    pub fn read_only_proc(self) -> Self {
        self.mounts().bind("/proc", "/proc").read_only("/proc")
    }

    /// A `/sys` that cannot be written.
    #[must_use]
    pub fn read_only_sys(self) -> Self {
        self.mounts().only_instance("sysfs", "/sys").read_only("/sys")
    }

    /// A `/sys` of which a part is covered.
    #[must_use]
    pub fn covered_sys(self) -> Self {
        self.mounts().only_instance("sysfs", "/sys").tmpfs("/sys/firmware")
    }

    /// Covers every other place where the kernel's file system `kind` is mounted as a whole,
    /// as below the chroot of another container: what can be seen anywhere may be mounted again.
    fn only_instance(self, kind: &str, place: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("a list of mounts");
        let others = mounts.lines().filter_map(|line| {
            let (mount, file_system) = line.split_once(" - ")?;
            let fields: Vec<&str> = mount.split(' ').collect();
            let [root, point] = *fields.get(3..5)? else { return None };
            let is_whole = root == "/" && file_system.split(' ').next() == Some(kind);
            (is_whole && point != place).then(|| unescaped(point))
        });
        others.fold(self, |own, point| own.tmpfs(&point))
    }

    fn private_mounts(mut self) -> Self {
        self.owns_mounts = true;
        self.mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE)
    }

    pub(super) fn tmpfs(self, target: &str) -> Self {
        self.mount("none", target, "tmpfs", 0)
    }

    /// With what is mounted below: without that, the kernel refuses it to users.
    fn bind(self, source: impl AsRef<Path>, target: impl AsRef<Path>) -> Self {
        self.mount(source, target, "", libc::MS_BIND | libc::MS_REC)
    }

    fn read_only(self, target: &str) -> Self {
        // What the real one has of these a user may not take away.
        let kept = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | kept;
        self.mount("none", target, "", flags)
    }

    fn mount(
        self,
        source: impl AsRef<Path>,
        target: impl AsRef<Path>,
        kind: &str,
        flags: libc::c_ulong,
    ) -> Self {
        let (source, target) = (c_string(source.as_ref()), c_string(target.as_ref()));
        self.then(Step::Mount(Mount { source, target, kind: c_string(kind), flags }))
    }

    /// The caller's directory is the same one there.
    fn root(self, path: &str) -> Self {
        let directory = std::env::current_dir().expect("a working directory");
        let directory = Step::WorkingDirectory(c_string(directory));
        self.then(Step::Root(c_string(path))).then(directory)
    }
}

/// One of [`PLACES`] that nothing of the tests is in.
fn place() -> &'static str {
    let directory = std::env::current_dir().expect("a working directory");
    let program = std::env::current_exe().expect("the path of this program");
    let used = [directory, program, std::env::temp_dir()];
    let is_free = |place: &&str| {
        Path::new(place).is_dir() && !used.iter().any(|path| path.starts_with(place))
    };
    PLACES.into_iter().find(is_free).expect("a directory to mount a new root at")
}

/// A path of `mountinfo`, where four characters are written as octal numbers.
fn unescaped(path: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(path.to_owned(), |path, (escape, plain)| path.replace(escape, plain))
}
