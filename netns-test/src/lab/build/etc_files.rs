//! The files for name lookups on nodes: `/etc/hosts` with all nodes, and a resolver configuration
//! without a name server. They are mounted over those of the machine, in the mounts of the lab
//! only.

use std::ffi::CStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::diagnose;
use crate::error::Failure;
use crate::isolation::{IsolationMode, isolation};
use crate::lab::fabric::on_thread;
use crate::sys::lock::lock;
use crate::sys::mount::mount_api;
use crate::sys::ns::ns_set::Place;
use crate::sys::process;
use crate::sys::process::{Namespace, Pid};
use crate::sys::{errno, fds, mount};

/// Content of `/etc/resolv.conf`. Without a name server the C library asks 127.0.0.1, where a
/// program of the node may listen.
const RESOLVER: &str = "# This network has no name server.\n";

/// Mounts the files in the mount namespace of the calling thread.
pub(crate) fn put(hosts: &str) -> Result<(), Failure> {
    let failed =
        |step| move |error: io::Error| diagnose::explain(step, "the files of a lab", &error);
    mount::make_all_private()
        .or_else(|_| mount::make_all_private_around())
        .map_err(failed("make private"))?;
    let store = mount_api::new_mount(
        c"tmpfs",
        &[(c"mode", c"0755")],
        mount_api::NO_SUID | mount_api::NO_DEV,
    )
    // The kernel makes a mount namespace for it.
    .map_err(|error| {
        diagnose::explain_unshare("mount", "the files of a lab", &[Namespace::Mount], &error)
    })?;
    let files = [
        (c"hosts", c"etc/hosts", Some(hosts.to_owned())),
        (c"resolv.conf", c"etc/resolv.conf", Some(RESOLVER.to_owned())),
        (c"nsswitch.conf", c"etc/nsswitch.conf", switch()),
    ];
    for (name, _, content) in &files {
        if let Some(content) = content {
            let written = mount_api::write_new(store.as_fd(), name, content.as_bytes(), 0o644);
            written.map_err(failed("write"))?;
        }
    }
    // Only a file with a path can be mounted. `/sys` is free for that: each node mounts its own
    // there later.
    let root = fds::open_place(Path::new("/")).map_err(failed("open"))?;
    let sys = mount_api::open_inside(root.as_fd(), c"sys").map_err(failed("open"))?;
    mount_api::attach(&store, sys.as_fd()).map_err(failed("mount"))?;
    for (name, place, content) in &files {
        if content.is_some() {
            cover(&root, &store, name, place)?;
        }
    }
    mount::detach(Path::new("/sys")).map_err(failed("umount"))
}

/// Replaces the content of a file. A concurrent reader never sees an empty file.
pub(crate) fn rewrite(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// Files that a lab has mounted over those of its caller. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Covered {
    number: u32,
    owner: Pid,
}

/// Mount over `/etc/hosts`, shared by all labs that have the caller as a node: its content is that
/// of the last lab. A second one over `/etc/nsswitch.conf` is the same for all.
#[derive(Debug)]
struct Cover {
    /// Mount namespace, by device and inode.
    mounts: (u64, u64),
    place: Place,
    file: PathBuf,
    switch: Option<PathBuf>,
    texts: Vec<(u32, String)>,
}

static COVERS: Mutex<Vec<Cover>> = Mutex::new(Vec::new());

const HOSTS: &str = "/etc/hosts";
const SWITCH: &str = "/etc/nsswitch.conf";

/// Mounts files over those of the caller if it is the body of a test. In any other process that
/// would change the machine's.
pub(crate) fn put_for_local(hosts: &str) -> Result<Option<Covered>, Failure> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if isolation().mode() == IsolationMode::Outside {
        return Ok(None);
    }
    let failed =
        |step| move |error: io::Error| errno::failure(step, format!("{HOSTS} of the test"), &error);
    let link = fs::metadata("/proc/thread-self/ns/mnt").map_err(failed("find the mounts of"))?;
    let mounts = (link.dev(), link.ino());
    let (owner, number) = (process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut covers = lock(&COVERS);
    if let Some(cover) = covers.iter_mut().find(|cover| cover.mounts == mounts) {
        fs::write(&cover.file, hosts).map_err(failed("write"))?;
        cover.texts.push((number, hosts.to_owned()));
    } else {
        let place = Place::own().map_err(failed("find the mounts of"))?;
        // The body has a `/run` of its own. If the kernel refused that, it does without.
        let path = |name: &str| Path::new("/run").join(format!(".{name}-{owner}-{number}"));
        let (file, other) = (path("hosts"), path("nsswitch"));
        put_over(HOSTS, &file, hosts)?;
        let switch = switch().map(|text| put_over(SWITCH, &other, &text).map(|()| other));
        let switch = switch.transpose().inspect_err(|_| drop(take_away(HOSTS, &file)))?;
        let texts = vec![(number, hosts.to_owned())];
        covers.push(Cover { mounts, place, file, switch, texts });
    }
    Ok(Some(Covered { number, owner }))
}

/// Writes a file and mounts it over another one.
fn put_over(target: &str, file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |step| move |error| errno::failure(step, format!("{target} of the test"), &error);
    fs::write(file, text).map_err(failed("write"))?;
    // The file is not unlinked: the kernel mounts nothing on an unlinked file, and nodes mount
    // theirs on this one.
    let mounted = mount::bind(file, Path::new(target));
    mounted.inspect_err(|_| drop(fs::remove_file(file))).map_err(failed("mount"))
}

/// Removes the file, and its mount at `target` if it is the topmost one: the test may have mounted
/// another file over it.
fn take_away(target: &str, file: &Path) -> io::Result<()> {
    let identity = |path: &Path| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    if identity(Path::new(target))? == identity(file)? {
        mount::detach(Path::new(target))?;
    }
    fs::remove_file(file)
}

impl Cover {
    /// Writes the content of the last remaining lab, or removes the mounts if there is none.
    fn update(&self) -> io::Result<()> {
        // The calling thread may be in other namespaces.
        on_thread::in_place(&self.place, "lab", || match self.texts.last() {
            Some((_, text)) => rewrite(&self.file, text),
            None => {
                let switch = self.switch.iter();
                let taken = switch.map(|file| take_away(SWITCH, file));
                taken.fold(take_away(HOSTS, &self.file), Result::and)
            }
        })?
    }
}

impl Covered {
    /// Replaces the content for this lab.
    pub(crate) fn change(&self, hosts: &str) -> io::Result<()> {
        let mut covers = lock(&COVERS);
        for cover in covers.iter_mut() {
            let own = cover.texts.iter_mut().find(|(number, _)| *number == self.number);
            if let Some((_, text)) = own {
                hosts.clone_into(text);
                cover.update()?;
            }
        }
        Ok(())
    }
}

impl Drop for Covered {
    fn drop(&mut self) {
        // A forked child of the test has a copy of this.
        if process::id() != self.owner {
            return;
        }
        let mut covers = lock(&COVERS);
        for cover in covers.iter_mut() {
            let before = cover.texts.len();
            cover.texts.retain(|(number, _)| *number != self.number);
            if cover.texts.len() != before {
                // If the kernel refuses it, the mount ends with the test.
                drop(cover.update());
            }
        }
        covers.retain(|cover| !cover.texts.is_empty());
    }
}

/// Mounts the file `name` of `store` over the one at `place`, if that exists.
fn cover(
    root: &std::os::fd::OwnedFd,
    store: &std::os::fd::OwnedFd,
    name: &CStr,
    place: &CStr,
) -> Result<(), Failure> {
    let object = format!("/{}", place.to_string_lossy());
    let failed = |step| {
        let object = object.as_str();
        move |error: io::Error| diagnose::explain(step, object, &error)
    };
    let target = match mount_api::open_inside(root.as_fd(), place) {
        Ok(target) => target,
        // Without `/etc/hosts` no node would be found. A program works without the other files.
        Err(error) if error.kind() == io::ErrorKind::NotFound && name != c"hosts" => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let advice = "a lab mounts the names of its nodes over that file: make an empty one";
            return Err(failed("open")(error).advise(advice));
        }
        Err(error) => return Err(failed("open")(error)),
    };
    let file = mount_api::open_in(store, name).map_err(failed("open"))?;
    let copy = mount_api::copy_of(file.as_fd()).map_err(failed("open_tree"))?;
    mount_api::attach(&copy, target.as_fd()).map_err(failed("mount"))
}

/// Sources of host names: files, then a name server. On some machines other services are asked
/// first, and they answer from another network. An unreachable name server is a temporary failure
/// for `getaddrinfo` (`EAI_AGAIN`), which clients retry. The last source, the files once more,
/// turns it into "no such name".
const SOURCES: &str = "hosts: files dns files\n";

/// Returns the machine's `/etc/nsswitch.conf` with these sources of host names, or none if the
/// machine has no such file.
fn switch() -> Option<String> {
    let text = fs::read_to_string("/etc/nsswitch.conf").ok()?;
    let is_of_hosts = |line: &str| {
        let rest = line.trim_start().strip_prefix("hosts");
        rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    let kept = text.lines().filter(|line| !is_of_hosts(line)).map(|line| format!("{line}\n"));
    Some(kept.chain([SOURCES.to_owned()]).collect())
}
