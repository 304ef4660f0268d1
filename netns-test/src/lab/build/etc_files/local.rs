//! The files over those of a caller that is a node: the body of a test.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Failure;
use crate::isolation::{IsolationMode, isolation};
use crate::lab::build::etc_files::{HOSTS, rewrite, switch};
use crate::lab::fabric::on_thread;
use crate::sys::lock::lock;
use crate::sys::ns::ns_set::Place;
use crate::sys::process;
use crate::sys::process::Pid;
use crate::sys::{errno, mount};

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

const SWITCH: &str = "/etc/nsswitch.conf";

/// Mounts files over those of the caller if it is the body of a test. In any other process that
/// would change the machine's.
pub(crate) fn put(hosts: &str) -> Result<Option<Covered>, Failure> {
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
