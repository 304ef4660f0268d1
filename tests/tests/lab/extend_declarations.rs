//! Extensions by a topology that lacks or changes declarations of the lab's topology.

use netns_test::lab::MacvlanMode;
use netns_test::{Lab, LinkId, NodeId, Topology, netns_test};
use netns_test_tests::Said as _;

use crate::net::{Mesh, connection};
use crate::oracle;

/// Two hosts on a router, and the links to them.
struct Base {
    net: Topology,
    nodes: [NodeId; 3],
    links: [LinkId; 2],
}

fn base() -> Base {
    let mut net = Topology::new();
    let (a, b, router) = (net.host("a"), net.host("b"), net.router("router"));
    let links = [net.link(a, router).id(), net.link(b, router).id()];
    Base { net, nodes: [a, b, router], links }
}

type Declaration = fn(&mut Topology, [NodeId; 3], [LinkId; 2]);

/// Each declaration that can be added to nodes, with the object of the error if it is missing.
const DECLARATIONS: [(&str, Declaration); 7] = [
    ("sysctl net.ipv4.tcp_syn_retries of a", |net, [a, ..], _| {
        net.node(a).sysctl("net.ipv4.tcp_syn_retries", 3);
    }),
    ("sysctl net/ipv4/conf/eth0/arp_ignore of b", |net, [_, b, _], _| {
        net.node(b).sysctl("net/ipv4/conf/eth0/arp_ignore", 1);
    }),
    ("route to 198.51.100.0/24 of a", |net, [a, _, router], _| {
        net.node(a).route("198.51.100.0/24", router);
    }),
    ("default route of b", |net, [_, b, router], _| {
        net.node(b).default_route(router);
    }),
    ("route to 224.0.0.0/4 of a", |net, [a, ..], links| {
        net.node(a).route("224.0.0.0/4", links[0]);
    }),
    ("address 203.0.113.1/32 on lo of a", |net, [a, ..], _| {
        net.node(a).addr("lo", "203.0.113.1/32");
    }),
    ("the lab", |net, _, _| {
        net.host("lone");
    }),
];

/// Declares all but one.
fn all_but(base: &Base, missing: Option<usize>) -> Topology {
    let mut net = base.net.clone();
    for (at, (_, declare)) in DECLARATIONS.iter().enumerate() {
        if missing != Some(at) {
            declare(&mut net, base.nodes, base.links);
        }
    }
    net
}

#[netns_test]
fn a_missing_declaration_is_refused_by_name() -> netns_test::Result<()> {
    let base = base();
    let whole = all_but(&base, None);
    let mut lab = whole.build()?;
    let before = lab.snapshot()?.stable();
    for (missing, (object, _)) in DECLARATIONS.iter().enumerate() {
        let error = lab.extend(&all_but(&base, Some(missing)));
        let message = error.expect_err(object).said();
        assert!(message.starts_with(&format!("extend {object}: ")), "{object}: {message}");
        assert_eq!(lab.snapshot()?.stable(), before, "{object}");
        assert_eq!(lab.plan(), &whole.plan()?, "{object}");
    }
    lab.extend(&whole)?;
    oracle::check(&lab);
    Ok(())
}

fn read(lab: &Lab, node: NodeId, path: &str) -> String {
    let path = format!("/proc/sys/net/{path}");
    lab[node].run(|| std::fs::read_to_string(path)).unwrap().trim_end().to_owned()
}

/// The last declaration of a sysctl applies, also if its value was declared before.
#[netns_test]
fn a_sysctl_gets_an_earlier_value_again() -> netns_test::Result<()> {
    let Base { mut net, nodes: [a, ..], .. } = base();
    net.node(a).sysctl("net.ipv4.tcp_syn_retries", 3).sysctl("net.ipv4.tcp_syn_retries", 4);
    let mut lab = net.build()?;
    assert_eq!(read(&lab, a, "ipv4/tcp_syn_retries"), "4");
    net.node(a).sysctl("net.ipv4.tcp_syn_retries", 3);
    lab.extend(&net)?;
    assert_eq!(read(&lab, a, "ipv4/tcp_syn_retries"), "3");
    Ok(())
}

/// A write to `all` changes the interfaces, too: declared values of interfaces apply again.
#[netns_test]
fn a_sysctl_of_all_interfaces_keeps_those_of_one() -> netns_test::Result<()> {
    let Base { mut net, nodes: [a, ..], .. } = base();
    net.node(a).sysctl("net.ipv6.conf.eth0.forwarding", 0);
    let mut lab = net.build()?;
    net.node(a).sysctl("net.ipv6.conf.all.forwarding", 1);
    lab.extend(&net)?;
    for lab in [lab, net.build()?] {
        let read = ["eth0", "all"].map(|of| read(&lab, a, &format!("ipv6/conf/{of}/forwarding")));
        assert_eq!(read, ["0", "1"]);
    }
    Ok(())
}

#[netns_test]
fn a_lab_without_nodes_is_extended() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let mut lab = net.build()?;
    lab.extend(&net)?;
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b);
    lab.extend(&net.clone())?;
    Mesh::new(&lab, &[a, b]).all_pairs_talk();
    let mut other = Topology::new();
    let (x, y) = (other.host("a"), other.host("b"));
    other.link(x, y);
    let stranger = "extend the lab: it was not built from this topology";
    assert_eq!(lab.extend(&other).unwrap_err().said(), stranger);
    assert_eq!(lab.extend(&Topology::new()).unwrap_err().said(), stranger);
    assert_eq!(Topology::new().build()?.extend(&other).unwrap_err().said(), stranger);
    Ok(())
}

/// Ids are those of a topology and of its clones, older and newer.
#[netns_test]
fn clones_share_their_ids() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let a = net.host("a");
    let older = net.clone();
    let b = net.host("b");
    let link = net.link(a, b).id();
    let mut lab = older.build()?;
    assert_eq!(lab[a].name(), "a");
    lab.extend(&net)?;
    assert_eq!((lab[a].name(), lab[b].name()), ("a", "b"));
    let newer = net.clone();
    drop((net, older));
    lab.extend(&newer)?;
    lab[link].down()?;
    lab[link].up()?;
    Mesh::new(&lab, &[a, b]).all_pairs_talk();
    Ok(())
}

/// A link that was moved is not where the topology has it.
#[netns_test]
fn additions_to_a_moved_interface_are_refused() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let [one, two] = ["one", "two"].map(|name| net.switch(name));
    let [a, b, c] = ["a", "b", "c"].map(|name| net.host(name));
    let plug = net.link(a, one).addrs("10.0.0.1/24", ()).id();
    let cable = net.link(b, one).addrs("10.0.0.2/24", ()).id();
    net.link(c, two);
    let mut lab = net.build()?;
    // `eth0` of `a` is in another segment, and that of `b` is on `c` as `eth1`.
    lab.move_link(plug, one, two)?;
    lab.move_link(cable, b, c)?;
    let before = lab.snapshot()?.stable();
    let additions: [(&str, Declaration); 6] = [
        ("eth0 of a", |net, [a, ..], [plug, _]| {
            net.node(a).addr(plug, "10.0.0.77/24");
        }),
        ("eth0 of b", |net, [_, b, _], _| {
            net.node(b).addr("eth0", "10.0.0.77/24");
        }),
        ("eth0 of a", |net, [a, ..], [plug, _]| {
            net.node(a).vlan(plug, 7, ());
        }),
        ("eth0 of b", |net, [_, b, _], [_, cable]| {
            net.node(b).vlan(cable, 7, ());
        }),
        ("eth0 of b", |net, [_, b, _], [_, cable]| {
            net.node(b).macvlan(cable, "mv0", MacvlanMode::Bridge, ());
        }),
        ("eth0 of b", |net, [_, b, _], _| {
            net.node(b).sysctl("net.ipv4.conf.eth0.arp_ignore", 1);
        }),
    ];
    for (at, (object, declare)) in additions.iter().enumerate() {
        let mut more = net.clone();
        declare(&mut more, [a, b, c], [plug, cable]);
        let message = lab.extend(&more).expect_err(object).said();
        let expected = format!("extend {object}: its link has been moved");
        assert!(message.starts_with(&expected), "{at}: {message}");
        assert_eq!(lab.snapshot()?.stable(), before, "{at}");
    }
    // Additions elsewhere are made, also to the node that has the link now.
    net.node(c).addr("lo", "203.0.113.1/32");
    lab.extend(&net)?;
    drop(connection(&lab, a, c, "203.0.113.1".parse().unwrap()));
    Ok(())
}

/// A clone that declares a node anew has another id for it, which the lab would not know.
#[netns_test]
fn an_equal_declaration_of_another_clone_is_refused() -> netns_test::Result<()> {
    let Base { net, nodes: [a, ..], .. } = base();
    let declare = |mut net: Topology| {
        let c = net.host("c");
        net.link(a, c);
        (net, c)
    };
    let ((own, c), (other, theirs)) = (declare(net.clone()), declare(net.clone()));
    assert_eq!(own, other);
    let mut lab = own.build()?;
    let message = lab.extend(&other).unwrap_err().said();
    let expected = "extend the lab: a clone of its topology has declared equal nodes or links anew";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(lab[c].name(), "c");
    let unknown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lab[theirs].name()));
    let message = *unknown.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("this node is not in the lab"), "{message}");
    lab.extend(&own.clone())
}
