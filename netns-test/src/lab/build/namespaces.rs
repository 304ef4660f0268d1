//! The namespaces of nodes, created by threads that end afterwards.

use std::fs;
use std::io;
use std::iter;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::diagnose;
use crate::error::{Failure, Result};
use crate::lab::build::etc_files::names::Names;
use crate::lab::build::etc_files::own::{self, Kept};
use crate::lab::build::{etc_files, sysctls};
use crate::lab::fabric::limitation;
use crate::lab::fabric::limitation::Limitation;
use crate::lab::fabric::node::{Made, NodeFiles, Texts};
use crate::lab::fabric::on_thread;
use crate::lab::plan::{NodePlan, Plan};
use crate::lab::topology::NodeKind;
use crate::netlink::Netlink;
use crate::sys::lock::lock;
use crate::sys::mount;
use crate::sys::mount::Sys;
use crate::sys::ns::ns_set;
use crate::sys::ns::ns_set::Place;
use crate::sys::process::{Namespace, credentials};
use crate::sys::{errno, process};

/// Creates the namespaces of the nodes from the position `from` on, in the order of the plan. The
/// calling thread keeps its own.
pub(crate) fn make(plan: &Plan, names: &Names, from: usize) -> Result<Vec<Made>> {
    let nodes = &plan.nodes()[from..];
    let local = nodes.iter().position(|node| node.kind == NodeKind::Local);
    // The caller's own node has the namespaces of the calling thread.
    let mut local = local.map(|at| Ok::<_, Failure>((at, of_caller(&nodes[at])?))).transpose()?;
    let made = on_thread::fresh(|| create_all(nodes, (names, from)))?;
    let all = made.into_iter().zip(nodes).enumerate().map(|(at, (made, node))| {
        made.or_else(|| local.take_if(|local| local.0 == at).map(|local| local.1))
            .ok_or_else(|| Failure::new("make", node.name.clone(), "no thread created it").into())
    });
    let all = all.collect::<Result<Vec<_>>>()?;
    let names = nodes.iter().map(|node| node.name.as_str());
    limitation::print(names.zip(&all).map(|(name, made)| (name, made.limitations.as_slice())));
    Ok(all)
}

/// Creates the namespaces that follow `old` ones of a node, which is not the caller's own. It keeps
/// its files.
pub(crate) fn make_next(plan: &Plan, names: &Names, node: usize, old: &Made) -> Result<Made> {
    let made = on_thread::fresh(|| {
        let (base, name) = (enter_base()?, plan.nodes()[node].name.as_str());
        let failed = |error| diagnose::explain("setns", &format!("the mounts of {name}"), &error);
        old.place.enter_mounts().map_err(failed)?;
        let kept = own::keep(&plan.nodes()[node], old)?;
        base.enter_mounts().map_err(failed)?;
        create(&plan.nodes()[node], &base, names.at(node), Some(kept))
    })?;
    let name = plan.nodes()[node].name.as_str();
    limitation::print(iter::once((name, made.limitations.as_slice())));
    Ok(made)
}

/// Creates a mount namespace with the files of the lab, then the nodes, which copy it. Returns none
/// for the caller's own node. The calling thread is new.
fn create_all(
    nodes: &[NodePlan],
    (names, from): (&Names, usize),
) -> Result<Vec<Option<Made>>, Failure> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let base = enter_base()?;
    let (next, made) = (AtomicUsize::new(0), nodes.iter().map(|_| Mutex::new(None)));
    let made: Vec<_> = made.collect();
    let work = || -> Result<(), Failure> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(node) = nodes.get(at) else { return Ok(()) };
            if node.kind != NodeKind::Local {
                let one = create(node, &base, names.at(from + at), None);
                let one = one.inspect_err(|_| next.store(nodes.len(), Ordering::Relaxed))?;
                *lock(&made[at]) = Some(one);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4).min(nodes.len());
    thread::scope(|scope| {
        // If a thread is refused, the others do its work.
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).filter_map(start).collect();
        let own = work();
        let ended = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.fold(own, Result::and)
    })?;
    Ok(made
        .into_iter()
        .map(|one| one.into_inner().expect("no thread panics with the lock"))
        .collect())
}

/// Moves the calling thread to a new mount namespace, which nodes copy.
fn enter_base() -> Result<Place, Failure> {
    const MOUNTS: &str = "the mounts of a lab";
    ns_set::unshare_mounts().map_err(|error| {
        let failure = limited(MOUNTS, &[Namespace::Mount], &error);
        if failure.diagnosis.is_some() {
            return failure;
        }
        let advice =
            "a lab is built in the body of a #[netns_test], under `unshare -Urnm`, or by root";
        failure.advise(advice)
    })?;
    etc_files::put()?;
    Place::own().map_err(|error| diagnose::explain("open", MOUNTS, &error))
}

/// Creates the namespaces of one node. The calling thread returns to the mounts of `base`
/// afterwards.
fn create(
    node: &NodePlan,
    base: &Place,
    texts: &Texts,
    kept: Option<Kept>,
) -> Result<Made, Failure> {
    let failed = |step: &'static str, what: &'static str| {
        let object = format!("{what} of {}", node.name);
        move |error: io::Error| diagnose::explain(step, &object, &error)
    };
    patiently(ns_set::unshare_all).map_err(|error| {
        let object = format!("the namespaces of {}", node.name);
        limited(&object, &[Namespace::Net, Namespace::Mount, Namespace::Uts], &error)
    })?;
    if let Some(hostname) = &node.hostname {
        let set = credentials::set_hostname(hostname.as_bytes());
        set.map_err(failed("sethostname", "the hostname"))?;
    }
    let files = Mutex::new(own::put(node, texts, kept)?);
    let mut limitations: Vec<Limitation> = own_sys().into_iter().collect();
    limitations.extend(allow_ping());
    limitations.extend(sysctls::set_up(node)?);
    let netlink = Netlink::open()?;
    let place = Place::own().map_err(failed("open", "the namespaces"))?;
    base.enter_mounts().map_err(failed("setns", "back from the mounts"))?;
    Ok(Made { place, netlink, limitations, files })
}

/// Moves the calling thread to a new network, which errors call `object`.
pub(crate) fn unshare_network(object: &str) -> Result<(), Failure> {
    patiently(ns_set::unshare_network).map_err(|error| limited(object, &[Namespace::Net], &error))
}

/// Unshares namespaces. At a limit it retries for two seconds, since the kernel
/// destroys unused namespaces, which count, a moment later.
fn patiently(unshare: fn() -> io::Result<()>) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let start = Instant::now();
    loop {
        match unshare() {
            Err(error) if is_limit(&error) && start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Explains that namespaces were refused, with the limit that is reached or the filter.
fn limited(object: &str, kinds: &[Namespace], error: &io::Error) -> Failure {
    diagnose::explain_unshare("unshare", object, kinds, error)
}

fn is_limit(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(errno::is_shortage_of_namespaces)
}

/// Returns the namespaces of the caller, which is `node` of the plan.
fn of_caller(node: &NodePlan) -> Result<Made, Failure> {
    let failed = |error: io::Error| errno::failure("open", "the caller's network", &error);
    let whole = Place::own().map_err(failed)?;
    // Under `unshare -Urn`, mounts and hostname belong to an outer user namespace, so that no
    // thread can return to them. A thread that comes from another node keeps the mounts and the
    // hostname of that.
    let entered = on_thread::scoped("lab", || whole.enter().is_ok(), || ());
    let can_be_entered = entered.map_err(failed)?.unwrap_or(false);
    let place = if can_be_entered { whole } else { Place::own_network().map_err(failed)? };
    // Its files are those of `etc_files::local`.
    let files = Mutex::new(NodeFiles::of(Texts::default()));
    Ok(Made { place, netlink: Netlink::open()?, limitations: sysctls::lacking(node), files })
}

/// Allows ping for all users, or for the caller's group if that is the only one it has (icmp(7)).
/// If both are refused, `ping` needs its usual rights.
fn allow_ping() -> Option<Limitation> {
    let path = "/proc/sys/net/ipv4/ping_group_range";
    let (_, own) = process::effective_ids();
    let written =
        fs::write(path, "0 2147483647").or_else(|_| fs::write(path, format!("{own} {own}")));
    let lacks = |error| format!("needs root: write {path}: {}", errno::describe(&error));
    written.err().map(|error| Limitation::new("ping on", lacks(error)))
}

/// Mounts a sysfs of the calling thread's network on `/sys`. Some containers forbid it.
fn own_sys() -> Option<Limitation> {
    let (lacks, error) = match mount::own_sys() {
        Sys::Whole => return None,
        Sys::ReadOnly(error) => ("is read-only", error),
        Sys::Refused(error) => ("shows the caller's interfaces", error),
    };
    let after = format!("{lacks}: mount sysfs: {}", errno::describe(&error));
    Some(Limitation::new("/sys of", after))
}
