//! Five nodes that know of each other by gossip (SWIM, the crate `foca`), each on a host of its own. The
//! first of them that is in touch with most of the five leads. The network is split, and healed.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use foca::{
    AccumulatingRuntime, Config, Foca, Identity, NoCustomBroadcast, PeriodicParams, PostcardCodec,
};
use netns_test::{NodeId, Topology, netns_test};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

const NODES: usize = 5;

/// A node, and how often it has come back from the dead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Id {
    address: SocketAddr,
    life: u32,
}

impl Identity for Id {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        Some(Self { life: self.life + 1, ..self.clone() })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        self.life > other.life
    }
}

#[netns_test]
async fn elects_again_when_the_network_is_split() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let router = net.router("router");
    let hosts: Vec<_> = (1..=NODES).map(|number| net.host(format!("node{number}"))).collect();
    for &host in &hosts {
        net.link(host, router);
    }
    let lab = net.build()?;
    let address = |host| SocketAddr::new(lab.plan().address_of(host).expect("one"), 7946);
    // The first one must be there to be found.
    let bind = |&host: &NodeId| lab[host].run(|| std::net::UdpSocket::bind(address(host)));
    let sockets = hosts.iter().map(bind).collect::<std::io::Result<Vec<_>>>()?;
    let nodes = hosts.iter().zip(sockets).map(|(&host, socket)| {
        let (says, leader) = watch::channel(None);
        lab[host].spawn(node(socket, address(hosts[0]), says));
        leader
    });
    let mut nodes: Vec<_> = nodes.collect();
    let [first, third] = [hosts[0], hosts[2]].map(address);

    // The first one leads, for all of them.
    for node in &mut nodes {
        node.wait_for(|leader| *leader == Some(first)).await.unwrap();
    }
    // Two of five are not enough; the others have another leader.
    lab.partition(&hosts[..2], &hosts[2..])?;
    for (number, node) in nodes.iter_mut().enumerate() {
        let expected = (number >= 2).then_some(third);
        node.wait_for(|leader| *leader == expected).await.unwrap();
    }
    lab.heal()?;
    for node in &mut nodes {
        node.wait_for(|leader| *leader == Some(first)).await.unwrap();
    }
    Ok(())
}

/// Runs without an end, and reports the leader whenever it changes.
async fn node(
    socket: std::net::UdpSocket,
    seed: SocketAddr,
    says: watch::Sender<Option<SocketAddr>>,
) {
    socket.set_nonblocking(true).unwrap();
    let socket = UdpSocket::from_std(socket).unwrap();
    let own = socket.local_addr().unwrap();
    let (set, mut timers) = mpsc::unbounded_channel();
    let random = SmallRng::seed_from_u64(RandomState::new().hash_one(own));
    let id = Id { address: own, life: 0 };
    let mut foca: Foca<Id, _, _, NoCustomBroadcast> =
        Foca::new(id, config(), random, PostcardCodec);
    let mut todo = AccumulatingRuntime::new();
    if own != seed {
        foca.announce(Id { address: seed, life: 0 }, &mut todo).unwrap();
    }
    let mut buffer = [0; 1500];
    loop {
        while let Some((to, data)) = todo.to_send() {
            // Who is cut off from the others gets errors for an answer.
            drop(socket.send_to(&data, to.address).await);
        }
        while let Some((after, timer)) = todo.to_schedule() {
            let set = set.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                drop(set.send(timer));
            });
        }
        while todo.to_notify().is_some() {}
        let mut members: BTreeSet<_> =
            foca.iter_members().map(|member| member.id().address).collect();
        members.insert(own);
        let leader = members.first().filter(|_| members.len() > NODES / 2).copied();
        says.send_if_modified(|said| std::mem::replace(said, leader) != leader);
        tokio::select! {
            // An error means that the peer does not run.
            received = socket.recv(&mut buffer) => if let Ok(length) = received {
                drop(foca.handle_data(&buffer[..length], &mut todo));
            },
            timer = timers.recv() => drop(foca.handle_timer(timer.unwrap(), &mut todo)),
        }
    }
}

/// For a network without delay: ten times as fast as in a machine room.
fn config() -> Config {
    let mut config = Config::new_lan(NonZeroU32::new(NODES as u32).expect("not 0"));
    config.probe_period = Duration::from_millis(100);
    config.probe_rtt = Duration::from_millis(50);
    config.suspect_to_down_after = Duration::from_millis(300);
    config.remove_down_after = Duration::from_secs(60);
    let often = |milliseconds| PeriodicParams {
        frequency: Duration::from_millis(milliseconds),
        num_members: NonZeroUsize::new(3).expect("not 0"),
    };
    config.periodic_announce_to_down_members = Some(often(200));
    config.periodic_gossip = Some(often(50));
    config
}
