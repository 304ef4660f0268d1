//! Figures of the lab: the time to build one, and the throughput and latency of its links.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use netns_test::{NetNs, Topology};

use crate::floor::lab;
use crate::measure::figure::{Figure, timed};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Size of one write.
const MIB: usize = 1 << 20;

/// Compares the build of a lab, `hosts` around one router, with the bare calls for the same. The
/// clean-up is not in the measured time.
pub(crate) fn build(name: &'static str, hosts: u32, target: Option<f64>, rounds: usize) -> Figure {
    Figure {
        name,
        floor_name: "`unshare`, a veth pair, two addresses",
        target,
        batch: hosts,
        rounds,
        work: Box::new(|count| {
            let net = star(count);
            let (mut built, time) = timed(1, || net.build());
            let lab = built.pop().expect("timed once")?;
            // The last node has the address of the plan.
            let last = lab.nodes().last().expect("the lab is not empty");
            let address = lab.plan().nodes().last().expect("the lab is not empty").addresses[0];
            last.run(|| TcpListener::bind((address, 0)))?;
            drop(lab);
            lab::wait_until_all_are_gone()?;
            Ok(time)
        }),
        floor: Box::new(|count| {
            let (mut made, time) = timed(1, || lab::star(count));
            let hosts = made.pop().expect("timed once")?;
            let last = hosts.last().expect("the lab is not empty").network.try_clone()?;
            let [_, _, high, low] = (count - 1).to_be_bytes();
            listen(&NetNs::try_from(last)?, Ipv4Addr::new(10, high, low, 1).into())?;
            drop(hosts);
            lab::wait_until_all_are_gone()?;
            Ok(time)
        }),
    }
}

/// Compares the time of a MiB over a TCP connection between two hosts.
pub(crate) fn throughput() -> Result<Figure> {
    let [lab, bare] = [Connection::of_lab()?, Connection::of_a_pair()?];
    let transfer = |mut line: Connection| {
        move |count: u32| -> Result<Duration> {
            let total = count as usize * MIB;
            let mut buffer = vec![0; MIB];
            let (near, far) = (&mut line.near, &mut line.far);
            let start = Instant::now();
            thread::scope(|scope| {
                let sending = scope.spawn(move || {
                    let piece = vec![7; MIB];
                    (0..count).try_for_each(|_| near.write_all(&piece))
                });
                let mut left = total;
                while left > 0 {
                    let most = left.min(MIB);
                    match far.read(&mut buffer[..most])? {
                        0 => return Err("the connection has ended".into()),
                        length => left -= length,
                    }
                }
                sending.join().expect("it does not panic")?;
                Ok::<_, Box<dyn Error>>(())
            })?;
            Ok(start.elapsed())
        }
    };
    Ok(Figure {
        name: "TCP over a link of a lab, a MiB",
        floor_name: "over a veth pair",
        target: Some(1.03),
        batch: 32,
        rounds: 300,
        work: Box::new(transfer(lab)),
        floor: Box::new(transfer(bare)),
    })
}

/// Compares the round-trip time of a byte over a TCP connection between two hosts.
pub(crate) fn round_trip() -> Result<Figure> {
    let [lab, bare] = [Connection::of_lab()?, Connection::of_a_pair()?];
    let ping = |mut line: Connection| {
        let mut far = line.far.try_clone().expect("a descriptor is free");
        // The thread ends with the connection.
        thread::spawn(move || {
            let mut byte = [0];
            while far.read_exact(&mut byte).and_then(|()| far.write_all(&byte)).is_ok() {}
        });
        move |count: u32| -> Result<Duration> {
            let start = Instant::now();
            for number in 0..count {
                let [byte, ..] = number.to_le_bytes();
                let mut answer = [0];
                line.near.write_all(&[byte])?;
                line.near.read_exact(&mut answer)?;
                if answer != [byte] {
                    return Err("another answer".into());
                }
            }
            Ok(start.elapsed())
        }
    };
    Ok(Figure {
        name: "a round trip over a link of a lab",
        floor_name: "over a veth pair",
        target: Some(1.03),
        batch: 200,
        rounds: 500,
        work: Box::new(ping(lab)),
        floor: Box::new(ping(bare)),
    })
}

fn star(hosts: u32) -> Topology {
    let mut net = Topology::new();
    let router = net.router("router");
    for number in 0..hosts {
        let host = net.host(format!("h{number}"));
        net.link(host, router);
    }
    net
}

/// Connection between two hosts, and the owner of the hosts.
struct Connection {
    near: TcpStream,
    far: TcpStream,
    _hosts: Box<dyn std::any::Any>,
}

impl Connection {
    fn of_lab() -> Result<Self> {
        let mut net = Topology::new();
        let (near, far) = (net.host("near"), net.host("far"));
        net.link(near, far);
        let lab = net.build()?;
        let address = lab.plan().address_of(far).ok_or("no address")?;
        let listener = lab[far].run(|| TcpListener::bind((address, 0)))?;
        let target = listener.local_addr()?;
        let near = lab[near].run(|| TcpStream::connect(target))?;
        Self::new(near, &listener, lab)
    }

    fn of_a_pair() -> Result<Self> {
        let both = |last: u8| -> [IpAddr; 2] {
            let low = u16::from(last);
            [[10, 0, 0, last].into(), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, low).into()]
        };
        let hosts = lab::pair([both(1), both(2)])?;
        let [near, far] = [hosts[0].network.try_clone()?, hosts[1].network.try_clone()?];
        let listener = listen(&NetNs::try_from(far)?, both(2)[0])?;
        let target: SocketAddr = listener.local_addr()?;
        let guard = NetNs::try_from(near)?.enter()?;
        let near = TcpStream::connect(target)?;
        drop(guard);
        Self::new(near, &listener, hosts)
    }

    fn new(near: TcpStream, listener: &TcpListener, hosts: impl std::any::Any) -> Result<Self> {
        let (far, _) = listener.accept()?;
        for end in [&near, &far] {
            end.set_nodelay(true)?;
        }
        Ok(Self { near, far, _hosts: Box::new(hosts) })
    }
}

fn listen(network: &NetNs, address: IpAddr) -> Result<TcpListener> {
    let guard = network.enter()?;
    let listener = TcpListener::bind((address, 0))?;
    drop(guard);
    Ok(listener)
}
