//! The names of nodes in `/etc/hosts`. All nodes have one file, until some of them need another
//! one: on the two sides of a NAT, names have different addresses.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use crate::diagnose;
use crate::error::{Failure, Result};
use crate::lab::build::etc_files::{HOSTS, on_sys, rewrite, store};
use crate::lab::fabric::node::{HostsFile, Made};
use crate::lab::fabric::on_thread;
use crate::lab::plan::Plan;
use crate::sys::lock::lock;
use crate::sys::mount::mount_api;
use crate::sys::ns::ns_set;
use crate::sys::{errno, fds};

/// Contents of `/etc/hosts` of each node, by position. Equal ones are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(Vec<Arc<str>>);

impl Names {
    pub(crate) fn of(plan: &Plan) -> Self {
        let (mut known, mut all): (Vec<Arc<str>>, Vec<Arc<str>>) = (Vec::new(), Vec::new());
        for node in 0..plan.nodes().len() {
            let text = plan.hosts_text_of(node);
            let shared = known.iter().find(|one| ***one == *text).cloned();
            all.push(shared.unwrap_or_else(|| {
                let new: Arc<str> = Arc::from(&*text);
                known.push(Arc::clone(&new));
                new
            }));
        }
        Self(all)
    }

    /// Returns the text of a node.
    pub(crate) fn at(&self, node: usize) -> &Arc<str> {
        &self.0[node]
    }

    /// Returns whether all nodes have the same text.
    pub(crate) fn are_alike(&self) -> bool {
        self.0.windows(2).all(|two| Arc::ptr_eq(&two[0], &two[1]))
    }

    /// Writes the text of a node, called `name`, to its file, which is not the caller's own.
    pub(crate) fn give(&self, node: usize, (name, made): (&str, &Made)) -> Result<(), Failure> {
        let (text, mut hosts) = (self.at(node), lock(&made.hosts));
        if hosts.text == *text {
            return Ok(());
        }
        if hosts.is_own || self.are_alike() {
            on_thread::within(&made.place, name, || {
                let failed = |error| {
                    diagnose::explain_shortage("write", &format!("{HOSTS} of {name}"), &error)
                };
                rewrite(Path::new(HOSTS), text).map_err(failed)
            })?;
        } else {
            on_thread::within(&made.place, name, || {
                put_at_once(name, text, || {
                    // The other threads of the node still see its `/sys`.
                    let failed = |error| errno::failure("setns", format!("back to {name}"), &error);
                    made.place.enter_mounts().map_err(failed)
                })
            })?;
            hosts.is_own = true;
        }
        hosts.text = Arc::clone(text);
        Ok(())
    }
}

/// Mounts a file of its own over `/etc/hosts` of the node `name`, which has no `/sys` yet. The
/// calling thread is in its mounts.
pub(crate) fn put_own(name: &str, text: &Arc<str>) -> Result<HostsFile, Failure> {
    put(name, text, || Ok(()))?;
    Ok(HostsFile { text: Arc::clone(text), is_own: true })
}

/// Does the same for a node that is in use. `back` moves the calling thread to its mounts again.
fn put_at_once(
    name: &str,
    text: &str,
    back: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    ns_set::unshare_mounts()
        .map_err(|error| errno::failure("unshare", format!("the mounts of {name}"), &error))?;
    put(name, text, back)
}

fn put(name: &str, text: &str, back: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |step| {
        move |error: io::Error| diagnose::explain(step, &format!("{HOSTS} of {name}"), &error)
    };
    let store = store()?;
    let written = mount_api::write_new(store.as_fd(), c"hosts", text.as_bytes(), 0o644);
    written.map_err(failed("write"))?;
    let root = || fds::open_place(Path::new("/")).map_err(failed("open"));
    let file: OwnedFd = on_sys(&root()?, &store, || {
        let file = mount_api::open_in(&store, c"hosts").map_err(failed("open"))?;
        mount_api::copy_of(file.as_fd()).map_err(failed("open_tree"))
    })?;
    back()?;
    let place = mount_api::open_inside(root()?.as_fd(), c"etc/hosts").map_err(failed("open"))?;
    mount_api::attach(&file, place.as_fd()).map_err(failed("mount"))
}
