//! The features of the kernel that a lab can use. Each is created and deleted again, since that is
//! the only reliable check: the kernel loads most of the modules on demand.

pub(crate) mod advice;
pub(crate) mod kernel;

use crate::doctor::features::advice::Part;
use crate::doctor::features::kernel::Kernel;
use crate::error::Failure;
use crate::netlink;
use crate::netlink::Netlink;
use crate::netlink::link::{Kind, Link, MacVlanMode, New};
use crate::netlink::nft::table::Table;
use crate::netlink::qdisc;
use crate::netlink::qdisc::Qdisc;
use crate::sys::net::tun;

/// A feature, and whether it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    /// Its usual name.
    pub(crate) name: &'static str,
    /// The use that a lab makes of it.
    pub(crate) what_for: &'static str,
    /// The result of creating and deleting it.
    pub(crate) result: Result<(), Missing>,
}

/// The reason for which a feature does not work, with advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Step, object and the kernel's reason.
    pub(crate) reason: String,
    /// The kernel module that is missing; none for another cause.
    pub(crate) module: Option<&'static str>,
    /// Advice in the imperative.
    pub(crate) advice: String,
}

/// Tries every feature in the network namespace of the calling thread, and leaves no link, qdisc
/// or table behind there.
///
/// For a process that is in fresh user and network namespaces; it needs no other thread.
pub(crate) fn examine() -> Vec<Feature> {
    let kernel = Kernel::read();
    let feature = |(known, result): (&Known, Result<(), Failure>)| Feature {
        name: known.name,
        what_for: known.what_for,
        result: result.map_err(|failure| missing(known, &failure, &kernel)),
    };
    KNOWN.iter().zip(try_all()).map(feature).collect()
}

fn missing(known: &Known, failure: &Failure, kernel: &Kernel) -> Missing {
    let part = match failure.object.as_str() {
        netlink::SOCKET => Part::Socket,
        tun::DEVICE => Part::Device,
        A_BASE => Part::Base,
        _ => Part::Feature,
    };
    let (module, advice) = advice::advice(known.module, (part, failure.errno), kernel);
    Missing { reason: failure.summary(), module, advice }
}

struct Known {
    name: &'static str,
    module: &'static str,
    what_for: &'static str,
    trial: Trial,
}

/// The object to create and delete.
#[derive(Clone, Copy)]
enum Trial {
    Link(Kind<'static>),
    /// A link on top of the one with this index.
    On(fn(u32) -> Kind<'static>),
    Qdisc(Qdisc),
    Table,
    Tun,
}

const fn known(
    name: &'static str,
    module: &'static str,
    what_for: &'static str,
    trial: Trial,
) -> Known {
    Known { name, module, what_for, trial }
}

#[rustfmt::skip]
const KNOWN: [Known; 16] = [
    known("veth", "veth", "a cable between two hosts", Trial::Link(CABLE)),
    known("bridge", "bridge", "a switch", Trial::Link(BRIDGE)),
    known("VLAN", "8021q", "several networks on one cable (802.1Q)",
        Trial::On(|lower| Kind::Vlan { lower, vid: 7 })),
    known("VXLAN", "vxlan", "an Ethernet network over UDP",
        Trial::Link(Kind::Vxlan { vni: 7, local: None, remote: None, port: 4789 })),
    known("macvlan", "macvlan", "several MAC addresses on one link",
        Trial::On(|lower| Kind::Macvlan { lower, mode: MacVlanMode::Bridge })),
    known("ipvlan", "ipvlan", "several hosts behind one MAC address",
        Trial::On(|lower| Kind::Ipvlan { lower })),
    known("dummy", "dummy", "a link that leads nowhere", Trial::Link(Kind::Dummy)),
    known("WireGuard", "wireguard", "encrypted tunnels", Trial::Link(Kind::Wireguard)),
    known("VRF", "vrf", "several routing tables in one router",
        Trial::Link(Kind::Vrf { table: 7 })),
    known("ifb", "ifb", "queueing of incoming packets", Trial::Link(Kind::Ifb)),
    known("netem", "sch_netem", "delay, loss, duplicates and reordering",
        Trial::Qdisc(Qdisc::Netem { limit: 1000 })),
    known("tbf", "sch_tbf", "the rate of a link",
        Trial::Qdisc(Qdisc::Tbf { rate: 125_000, burst: 1600, limit: 3000 })),
    known("htb", "sch_htb", "a rate shared among classes", Trial::Qdisc(Qdisc::Htb)),
    known("fq_codel", "sch_fq_codel", "fair and short queues", Trial::Qdisc(Qdisc::FqCodel)),
    known("nf_tables", "nf_tables", "firewalls and NAT", Trial::Table),
    known("TUN", "tun", "programs that carry packets themselves", Trial::Tun),
];

/// Names for what is tried, in a namespace that has no others of this kind.
const NAME: &str = "doctor0";
const BASE: &str = "doctor1";
const CABLE: Kind<'static> = Kind::Veth { peer: New::named("doctor2"), there: None };
const BRIDGE: Kind<'static> = Kind::Bridge { stp: false };

fn try_all() -> Vec<Result<(), Failure>> {
    let netlink = Netlink::open();
    KNOWN.iter().map(|known| known.trial.carry_out(netlink.as_ref())).collect()
}

impl Trial {
    fn carry_out(self, netlink: Result<&Netlink, &Failure>) -> Result<(), Failure> {
        let netlink = || netlink.map_err(Failure::clone);
        match self {
            Trial::Link(kind) => add_and_delete(netlink()?, kind),
            Trial::On(kind) => {
                let base = base(netlink()?)?;
                let result = add_and_delete(netlink()?, kind(base.index()));
                result.and(base.delete(netlink()?))
            }
            Trial::Qdisc(qdisc) => {
                let base = base(netlink()?)?;
                let result = put_and_remove(netlink()?, qdisc, &base);
                result.and(base.delete(netlink()?))
            }
            Trial::Table => Table::add(NAME)?.delete(),
            // The kernel deletes it when its descriptor is closed.
            Trial::Tun => tun::create(NAME).map(drop),
        }
    }
}

fn add_and_delete(netlink: &Netlink, kind: Kind<'_>) -> Result<(), Failure> {
    Link::add(netlink, NAME, kind)?.delete(netlink)
}

fn put_and_remove(netlink: &Netlink, qdisc: Qdisc, base: &Link) -> Result<(), Failure> {
    qdisc.add(netlink, base)?;
    qdisc::delete(netlink, base)
}

/// The object of a failure to add a link for trials.
const A_BASE: &str = "a link to try it on";

/// Adds a link to try features on. `lo` does not do, since it takes no VLAN.
fn base(netlink: &Netlink) -> Result<Link, Failure> {
    for kind in [CABLE, Kind::Dummy, BRIDGE] {
        if let Ok(link) = Link::add(netlink, BASE, kind) {
            return Ok(link);
        }
    }
    Err(Failure::new("find", A_BASE, "neither veth, dummy nor bridge can be added"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};
    use std::{env, fs};

    use super::*;
    use crate::sys::errno::EEXIST;

    /// Runs [`in_fresh_namespaces`] where it belongs.
    #[test]
    fn what_works_is_what_works_for_other_programs() {
        let name = "doctor::features::tests::in_fresh_namespaces";
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net"])
            .arg(env::current_exe().unwrap())
            .args(["--exact", name, "--include-ignored", "--test-threads=1"])
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let is_passed = output.status.success() && stdout.contains("1 passed");
        assert!(is_passed, "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    #[ignore = "needs new namespaces, in which the test above runs it"]
    fn in_fresh_namespaces() {
        let links = links();
        assert_eq!(links.len(), 1, "these are not fresh: {links:?}");
        let features = examine();
        assert_eq!(self::links(), links, "links are left over");
        for (feature, known) in features.iter().zip(KNOWN) {
            println!("{}: {:?}", feature.name, feature.result);
            if let Err(missing) = &feature.result {
                assert!(missing.module.is_none_or(|module| module == known.module));
                assert!(!missing.advice.is_empty() && missing.reason.contains(": "));
            }
        }
        a_table_is_there_until_it_is_deleted(&features);
        let checked = OTHERS.map(|(name, _)| name);
        let is_checked = |feature: &&Feature| feature.name != "nf_tables";
        assert_eq!(Vec::from_iter(features.iter().filter(is_checked).map(|f| f.name)), checked);
        let base = |kind| run("ip", &format!("link add base type {kind}")).status.success();
        let has_base = ["veth", "dummy", "bridge"].into_iter().any(base);
        println!("something to try links and qdiscs on: {has_base}");
        for (name, command) in OTHERS {
            let feature = features.iter().find(|feature| feature.name == name).unwrap();
            let (program, arguments) = command.split_once(' ').unwrap();
            let works = run(program, arguments).status.success();
            assert_eq!(feature.result.is_ok(), works, "{command}: {feature:?}");
            // Some kinds cannot exist beside another.
            let undo = if program == "tc" { "qdisc del dev base root" } else { "link del other1" };
            run(program, undo);
        }
    }

    fn a_table_is_there_until_it_is_deleted(features: &[Feature]) {
        let known = features.iter().find(|feature| feature.name == "nf_tables").unwrap();
        if known.result.is_err() {
            assert!(Table::add(NAME).is_err());
            return;
        }
        let table = Table::add(NAME).unwrap();
        assert_eq!(Table::add(NAME).unwrap_err().errno, Some(EEXIST));
        table.delete().unwrap();
        Table::add(NAME).unwrap().delete().unwrap();
    }

    /// How iproute2 makes them, all but `nf_tables`.
    const OTHERS: [(&str, &str); 15] = [
        ("veth", "ip link add other1 type veth peer name other2"),
        ("bridge", "ip link add other1 type bridge"),
        ("VLAN", "ip link add other1 link base type vlan id 9"),
        ("VXLAN", "ip link add other1 type vxlan id 9 dstport 4789"),
        ("macvlan", "ip link add other1 link base type macvlan mode bridge"),
        ("ipvlan", "ip link add other1 link base type ipvlan mode l2"),
        ("dummy", "ip link add other1 type dummy"),
        ("WireGuard", "ip link add other1 type wireguard"),
        ("VRF", "ip link add other1 type vrf table 9"),
        ("ifb", "ip link add other1 type ifb"),
        ("netem", "tc qdisc add dev base root netem delay 1ms"),
        ("tbf", "tc qdisc add dev base root tbf rate 1mbit burst 1600 limit 3000"),
        ("htb", "tc qdisc add dev base root htb"),
        ("fq_codel", "tc qdisc add dev base root fq_codel"),
        ("TUN", "ip tuntap add other1 mode tun"),
    ];

    fn links() -> Vec<String> {
        let table = fs::read_to_string("/proc/self/net/dev").unwrap();
        let names = table.lines().filter_map(|line| line.split_once(':'));
        names.map(|(name, _)| name.trim().to_owned()).collect()
    }

    fn run(program: &str, arguments: &str) -> Output {
        let path = format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command.env("PATH", path).args(arguments.split(' ')).output().unwrap()
    }
}
