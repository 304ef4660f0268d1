//! The namespaces of the nodes, made by threads that end when that is done.

use std::fs;
use std::io;
use std::iter;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Failure, Result};
use crate::lab::build::{etc_files, sysctls};
use crate::lab::fabric::limitation;
use crate::lab::fabric::limitation::Limitation;
use crate::lab::fabric::node::Made;
use crate::lab::fabric::on_thread;
use crate::lab::plan::{NodePlan, Plan};
use crate::lab::topology::NodeKind;
use crate::netlink::Netlink;
use crate::sys::mount;
use crate::sys::mount::Sys;
use crate::sys::ns::ns_set;
use crate::sys::ns::ns_set::Place;
use crate::sys::process::credentials;
use crate::sys::{errno, process};

/// Makes those of the nodes from a place on, in the order of the plan. The calling thread stays where it
/// is.
pub(crate) fn make(plan: &Plan, from: usize) -> Result<Vec<Made>> {
    let nodes = &plan.nodes()[from..];
    let local = nodes.iter().position(|node| node.kind == NodeKind::Local);
    // In the caller's own place.
    let mut local = local.map(|at| Ok::<_, Failure>((at, own(&nodes[at])?))).transpose()?;
    let made = on_thread::fresh(|| base(plan, nodes))?;
    let all = made.into_iter().zip(nodes).enumerate().map(|(at, (made, node))| {
        made.or_else(|| local.take_if(|local| local.0 == at).map(|local| local.1))
            .ok_or_else(|| Failure::new("make", node.name.clone(), "nobody did").into())
    });
    let all = all.collect::<Result<Vec<_>>>()?;
    let names = nodes.iter().map(|node| node.name.as_str());
    limitation::tell(names.zip(&all).map(|(name, made)| (name, made.limitations.as_slice())));
    Ok(all)
}

/// Makes those of one node, which is not the caller's own.
pub(crate) fn make_one(plan: &Plan, node: usize) -> Result<Made> {
    let made = on_thread::fresh(|| {
        let base = base_of(plan)?;
        node_of(&plan.nodes()[node], &base)
    })?;
    let name = plan.nodes()[node].name.as_str();
    limitation::tell(iter::once((name, made.limitations.as_slice())));
    Ok(made)
}

/// On a thread of its own: mounts from which those of the hosts are copied, then the hosts.
fn base(plan: &Plan, nodes: &[NodePlan]) -> Result<Vec<Option<Made>>, Failure> {
    let base = base_of(plan)?;
    let (next, made) = (AtomicUsize::new(0), nodes.iter().map(|_| Mutex::new(None)));
    let made: Vec<_> = made.collect();
    let work = || -> Result<(), Failure> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(node) = nodes.get(at) else { return Ok(()) };
            if node.kind != NodeKind::Local {
                let one = node_of(node, &base);
                let one = one.inspect_err(|_| next.store(nodes.len(), Ordering::Relaxed))?;
                *made[at].lock().expect("nobody panics with it") = Some(one);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4).min(nodes.len());
    thread::scope(|scope| {
        // Where there may be no more threads, those that there are do the work.
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).filter_map(start).collect();
        let own = work();
        let ended = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.fold(own, Result::and)
    })?;
    Ok(made.into_iter().map(|one| one.into_inner().expect("nobody panics with it")).collect())
}

/// The calling thread's, with the files of the lab.
fn base_of(plan: &Plan) -> Result<Place, Failure> {
    let failed = |step| move |error: io::Error| errno::failure(step, "the mounts of a lab", &error);
    ns_set::unshare_mounts().map_err(|error| {
        let advice =
            "a lab is built in the body of a #[netns_test], under `unshare -Urnm`, or by root";
        failed("unshare")(error).advise(advice)
    })?;
    etc_files::put(plan.hosts_text())?;
    Place::own().map_err(failed("open"))
}

/// One node's, on a thread that goes back to `base` then.
fn node_of(node: &NodePlan, base: &Place) -> Result<Made, Failure> {
    let failed = |step: &'static str, what: &'static str| {
        let object = format!("{what} of {}", node.name);
        move |error: io::Error| errno::failure(step, object, &error)
    };
    unshare_patiently().map_err(|error| {
        limits(&error).fold(failed("unshare", "the namespaces")(error), Failure::advise)
    })?;
    if let Some(hostname) = &node.hostname {
        let set = credentials::set_hostname(hostname.as_bytes());
        set.map_err(failed("sethostname", "the hostname"))?;
    }
    let mut limitations: Vec<Limitation> = own_sys().into_iter().collect();
    limitations.extend(allow_ping());
    limitations.extend(sysctls::set_up(node)?);
    let netlink = Netlink::open()?;
    let place = Place::own().map_err(failed("open", "the namespaces"))?;
    base.enter_mounts().map_err(failed("setns", "back from the mounts"))?;
    Ok(Made { place, netlink, limitations })
}

/// Namespaces count against a limit until the kernel has taken them down, a moment after the last one
/// who held them has gone.
fn unshare_patiently() -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let start = Instant::now();
    loop {
        match ns_set::unshare_all() {
            Err(error) if is_limit(&error) && start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// What may be behind the error, as advice.
fn limits(error: &io::Error) -> impl Iterator<Item = String> + use<> {
    let kinds = ["net", "mnt", "uts"].into_iter().filter(|_| is_limit(error));
    let paths = kinds.map(|kind| format!("/proc/sys/user/max_{kind}_namespaces"));
    let paths = paths.collect::<Vec<_>>().into_iter();
    paths.filter_map(|path| {
        let value = fs::read_to_string(&path).ok()?;
        Some(format!("limit: {path} = {}", value.trim()))
    })
}

fn is_limit(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(errno::is_shortage_of_namespaces)
}

/// The caller's own, which is `node` of the plan.
fn own(node: &NodePlan) -> Result<Made, Failure> {
    let failed = |error: io::Error| errno::failure("open", "the caller's network", &error);
    let whole = Place::own().map_err(failed)?;
    // Under `unshare -Urn`, mounts and hostname are an outer user namespace's: nobody may come back to
    // them, and who comes from another host keeps what it has there.
    let entered = on_thread::scoped("lab", || whole.enter().is_ok(), || ());
    let can_be_entered = entered.map_err(failed)?.unwrap_or(false);
    let place = if can_be_entered { whole } else { Place::own_network().map_err(failed)? };
    Ok(Made { place, netlink: Netlink::open()?, limitations: sysctls::lacking(node) })
}

/// Lets every user of the lab ping, or its own group where that is the only one that the caller has
/// (icmp(7)). Where neither can be set, `ping` needs its usual rights.
fn allow_ping() -> Option<Limitation> {
    let path = "/proc/sys/net/ipv4/ping_group_range";
    let (_, own) = process::effective_ids();
    let written =
        fs::write(path, "0 2147483647").or_else(|_| fs::write(path, format!("{own} {own}")));
    let lacks = |error| format!("needs root: write {path}: {}", errno::describe(&error));
    written.err().map(|error| Limitation::new("ping on", lacks(error)))
}

/// Mounts on `/sys` that of the network of the calling thread. Some containers forbid it.
fn own_sys() -> Option<Limitation> {
    let (lacks, error) = match mount::own_sys() {
        Sys::Whole => return None,
        Sys::ReadOnly(error) => ("is read-only", error),
        Sys::Refused(error) => ("shows the caller's interfaces", error),
    };
    let after = format!("{lacks}: mount sysfs: {}", errno::describe(&error));
    Some(Limitation::new("/sys of", after))
}
