//! The namespaces of the nodes, made by threads that end when that is done.

use std::fs;
use std::io;
use std::iter;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::files;
use crate::error::{Diagnosis, Failure, Result};
use crate::lab::limitations::{self, Limitation};
use crate::lab::plan::{NodePlan, Plan};
use crate::lab::topology::NodeKind;
use crate::netlink::Netlink;
use crate::sys::mount::{self, Sys};
use crate::sys::place::{self, Place};
use crate::sys::{errno, person, process};

/// A node's namespaces, and a connection to speak to the network in.
#[derive(Debug)]
pub(in crate::lab) struct Made {
    pub(in crate::lab) place: Place,
    pub(in crate::lab) netlink: Netlink,
    /// What the node does without.
    pub(in crate::lab) limitations: Vec<Limitation>,
}

/// Makes those of the nodes from a place on, in the order of the plan. The calling thread stays where it
/// is.
pub(in crate::lab) fn make(plan: &Plan, from: usize) -> Result<Vec<Made>> {
    let nodes = &plan.nodes()[from..];
    let local = nodes.iter().position(|node| node.kind == NodeKind::Local);
    // In the caller's own place.
    let mut local = local.map(|at| Ok::<_, Failure>((at, own()?))).transpose()?;
    let made = on_a_thread(|| base(plan, nodes))?;
    let all = made.into_iter().zip(nodes).enumerate().map(|(at, (made, node))| {
        made.or_else(|| local.take_if(|local| local.0 == at).map(|local| local.1))
            .ok_or_else(|| Failure::new("make", node.name.clone(), "nobody did").into())
    });
    let all = all.collect::<Result<Vec<_>>>()?;
    let names = nodes.iter().map(|node| node.name.as_str());
    limitations::tell(names.zip(&all).map(|(name, made)| (name, made.limitations.as_slice())));
    Ok(all)
}

/// Makes those of one node, which is not the caller's own.
pub(in crate::lab) fn make_one(plan: &Plan, node: usize) -> Result<Made> {
    let made = on_a_thread(|| {
        let base = base_of(plan)?;
        node_of(&plan.nodes()[node], &base)
    })?;
    let name = plan.nodes()[node].name.as_str();
    limitations::tell(iter::once((name, made.limitations.as_slice())));
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
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
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
    place::unshare_mounts().map_err(|error| {
        let advice =
            "a lab is built in the body of a #[netns_test], under `unshare -Urnm`, or by root";
        failed("unshare")(error).advise(advice)
    })?;
    files::put(plan.hosts_text())?;
    Place::own().map_err(failed("open"))
}

/// Gives what `work` gives.
pub(super) fn on_a_thread<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("lab".into()).spawn_scoped(scope, work);
        let thread =
            thread.map_err(|error| errno::failure("start", "a thread of a lab", &error))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
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
        let set = person::set_hostname(hostname.as_bytes());
        set.map_err(failed("sethostname", "the hostname"))?;
    }
    let mut limitations = Vec::new();
    if node.kind != NodeKind::Switch {
        limitations.extend(own_sys());
    }
    write_common(node, None)?;
    limitations.extend(allow_ping());
    if node.kind == NodeKind::Host {
        // A machine that forwards hands that on to new namespaces.
        let path = "net/ipv4/ip_forward";
        let written = fs::write(format!("/proc/sys/{path}"), "0");
        written.map_err(|error| refused(node, path, &error))?;
    }
    set(node, sysctls_of(node, false))?;
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
        match place::unshare_all() {
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

fn own() -> Result<Made, Failure> {
    let failed = |error: io::Error| errno::failure("open", "the caller's network", &error);
    let whole = Place::own().map_err(failed)?;
    // Under `unshare -Urn`, mounts and hostname are an outer user namespace's: nobody may come back to
    // them, and who comes from another host keeps what it has there.
    let can_be_entered = thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, || whole.enter().is_ok());
        thread.map_err(failed).map(|thread| thread.join().unwrap_or(false))
    })?;
    let place = if can_be_entered { whole } else { Place::own_network().map_err(failed)? };
    Ok(Made { place, netlink: Netlink::open()?, limitations: Vec::new() })
}

/// What every node has: addresses that are usable at once, IPv6 also where the machine has turned
/// it off, and addresses that stay when an interface goes down and up again.
const COMMON: [(&str, &str, &str); 3] = [
    ("all", "disable_ipv6", "0"),
    ("default", "accept_dad", "0"),
    ("all", "keep_addr_on_down", "1"),
];

/// Sets what every node has, in the network of the calling thread: for all interfaces, or for one.
pub(super) fn write_common(node: &NodePlan, interface: Option<&str>) -> Result<(), Failure> {
    for (all, name, value) in COMMON {
        let path = format!("net/ipv6/conf/{}/{name}", interface.unwrap_or(all));
        // A kernel without IPv6 has no such file.
        let written = fs::write(format!("/proc/sys/{path}"), value);
        if written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            written.map_err(|error| refused(node, &path, &error))?;
        }
    }
    Ok(())
}

/// Sets those sysctls of a node that name one of these interfaces, which are there now.
pub(in crate::lab) fn set_of_interfaces(
    node: &NodePlan,
    place: &Place,
    interfaces: &[&str],
) -> Result<()> {
    let all = sysctls_of(node, true);
    let wanted: Vec<_> =
        all.filter(|(path, _)| names_one(path, |part| interfaces.contains(&part))).collect();
    set_there(node, place, wanted)
}

/// Sets these sysctls of a node.
pub(in crate::lab) fn set_sysctls(
    node: &NodePlan,
    place: &Place,
    sysctls: &[(String, String)],
) -> Result<()> {
    let all = sysctls.iter().map(|(name, value)| (path_of(name), value.as_str()));
    set_there(node, place, all.collect())
}

fn set_there(node: &NodePlan, place: &Place, sysctls: Vec<(String, &str)>) -> Result<()> {
    if sysctls.is_empty() {
        return Ok(());
    }
    on_a_thread(|| {
        let failed = |error: io::Error| {
            errno::failure("setns", format!("to the network of {}", node.name), &error)
        };
        place.enter().map_err(failed)?;
        set(node, sysctls.into_iter())
    })?;
    Ok(())
}

/// Sets sysctls in the network of the calling thread.
fn set(
    node: &NodePlan,
    mut sysctls: impl Iterator<Item = (String, impl AsRef<str>)>,
) -> Result<(), Failure> {
    sysctls.try_for_each(|(path, value)| {
        let written = fs::write(format!("/proc/sys/{path}"), value.as_ref());
        written.map_err(|error| refused(node, &path, &error))
    })
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

/// The plan's own of a node, as paths below `/proc/sys`.
pub(super) fn sysctls_of(
    node: &NodePlan,
    of_interfaces: bool,
) -> impl Iterator<Item = (String, &str)> {
    let all = node.sysctls.iter().map(|(name, value)| (path_of(name), value.as_str()));
    let is_name = |part: &str| node.interfaces.iter().any(|interface| interface.name == part);
    all.filter(move |(path, _)| names_one(path, is_name) == of_interfaces)
}

pub(super) fn refused(node: &NodePlan, path: &str, error: &io::Error) -> Failure {
    let path = path.trim_start_matches("/proc/sys/");
    let failure = errno::failure("write", format!("/proc/sys/{path} of {}", node.name), error);
    let is_locked = error.kind() == io::ErrorKind::ReadOnlyFilesystem;
    Failure { diagnosis: is_locked.then(|| Box::new(locked_sysctls())), ..failure }
}

fn locked_sysctls() -> Diagnosis {
    let cause = "/proc/sys is read-only here, as in many containers, and hosts need sysctls";
    let fix = "Docker: --security-opt systempaths=unconfined --user 1000:1000\n\
               Podman: --security-opt unmask=ALL";
    Diagnosis::new("masked-proc", cause).for_good(fix)
}

/// `net.ipv4.ip_forward` and `net/ipv4/ip_forward` are the same (sysctl(8)).
pub(super) fn path_of(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { name.replace('.', "/") }
}

/// Whether a part of the path is the name of an interface.
fn names_one(path: &str, is_name: impl Fn(&str) -> bool) -> bool {
    path.split('/').any(is_name)
}
