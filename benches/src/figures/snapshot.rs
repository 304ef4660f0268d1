//! Figures of looks at a lab: a snapshot of each node, and a wait that finds its socket at once.

use std::error::Error;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Lab, Topology};

use crate::figures::evidence::within;
use crate::floor::sockets;
use crate::floor::sockets::Listed;
use crate::measure::figure::{Figure, Work, timed};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Size of the buffer of a dump: the most that the kernel sends at once.
const BUFFER: usize = 32 << 10;

/// Port of the only socket.
const PORT: u16 = 80;

/// Returns the figures.
pub(crate) fn figures() -> Result<Vec<Figure>> {
    Ok(vec![
        of_nodes("a node of a snapshot of 2", 2, 300)?,
        of_nodes("a node of a snapshot of 50", 50, 50)?,
        of_nodes("a node of a snapshot of 200", 200, 20)?,
        beside_files("a node of a snapshot of 2", 2, 30)?,
        beside_limit("a node of a snapshot of 2", 2, 100)?,
        beside_limit("a node of a snapshot of 200", 200, 20)?,
        wait(300)?,
        wait_beside_files(30)?,
    ])
}

/// Compares a snapshot with the dumps of sockets alone, for each node.
fn of_nodes(name: &'static str, nodes: u32, rounds: usize) -> Result<Figure> {
    let watched = Rc::new(Watched::new(nodes)?);
    Ok(Figure {
        name,
        floor_name: "sock_diag dumps",
        target: Some(4.0),
        batch: nodes,
        rounds,
        work: snapshots(&watched),
        floor: dumps(&watched, Listed::All),
    })
}

/// Compares a snapshot with the files of `/proc` for sockets alone, for each node.
fn beside_files(name: &'static str, nodes: u32, rounds: usize) -> Result<Figure> {
    let watched = Rc::new(Watched::new(nodes)?);
    Ok(Figure {
        name,
        floor_name: "`/proc/net/{tcp,udp}{,6}`",
        target: Some(1.0),
        batch: nodes,
        rounds,
        work: snapshots(&watched),
        floor: files(&watched),
    })
}

/// Compares a snapshot with the longest time that it may take, for each node.
fn beside_limit(name: &'static str, nodes: u32, rounds: usize) -> Result<Figure> {
    let watched = Rc::new(Watched::new(nodes)?);
    let limit = ("0.5 ms, the limit", Duration::from_micros(500));
    Ok(within(name, limit, (nodes, rounds), snapshots(&watched)))
}

/// Compares a wait that finds its socket at the first look with the dumps of that look.
fn wait(rounds: usize) -> Result<Figure> {
    let watched = Rc::new(Watched::new(2)?);
    Ok(Figure {
        name: "a wait for a socket that listens",
        floor_name: "sock_diag dumps",
        target: None,
        batch: 2,
        rounds,
        work: waits(&watched),
        floor: dumps(&watched, Listed::Services),
    })
}

/// Compares the same wait with the files of `/proc`.
fn wait_beside_files(rounds: usize) -> Result<Figure> {
    let watched = Rc::new(Watched::new(2)?);
    let work = files(&watched);
    Ok(wait(rounds)?.beside("`/proc/net/{tcp,udp}{,6}`", work))
}

/// Lab with a listener on each node, and a socket for dumps in each network.
struct Watched {
    lab: Lab,
    sockets: Vec<OwnedFd>,
    _listeners: Vec<TcpListener>,
}

impl Watched {
    fn new(nodes: u32) -> Result<Self> {
        let mut net = Topology::new();
        let router = net.router("router");
        for number in 1..nodes {
            let host = net.host(format!("h{number}"));
            net.link(host, router);
        }
        let lab = net.build()?;
        let (mut sockets, mut listeners) = (Vec::new(), Vec::new());
        for node in lab.nodes() {
            sockets.push(node.run(sockets::open)?);
            listeners.push(node.run(|| TcpListener::bind(("0.0.0.0", PORT)))?);
        }
        Ok(Self { lab, sockets, _listeners: listeners })
    }
}

fn snapshots(watched: &Rc<Watched>) -> Work {
    let watched = Rc::clone(watched);
    Box::new(move |_| {
        let (mut seen, time) = timed(1, || watched.lab.snapshot());
        let seen = seen.pop().expect("timed once")?;
        if seen.nodes.iter().any(|node| node.sockets.len() != 1 || node.routes.is_empty()) {
            return Err(format!("a socket is not seen:\n{seen}").into());
        }
        Ok(time)
    })
}

fn waits(watched: &Rc<Watched>) -> Work {
    let watched = Rc::clone(watched);
    Box::new(move |_| {
        let wait = || -> Result<()> {
            let mut nodes = watched.lab.nodes();
            Ok(nodes.try_for_each(|node| node.wait(WAIT_LIMIT).listening(PORT))?)
        };
        let (mut ended, time) = timed(1, wait);
        ended.pop().expect("timed once")?;
        Ok(time)
    })
}

fn dumps(watched: &Rc<Watched>, listed: Listed) -> Work {
    let watched = Rc::clone(watched);
    let mut buffer = vec![0; BUFFER];
    Box::new(move |_| {
        let mut all = || -> Result<usize> {
            let mut each = watched.sockets.iter();
            Ok(each.try_fold(0, |count, socket| {
                Ok::<_, std::io::Error>(count + sockets::dump(socket, listed, &mut buffer)?)
            })?)
        };
        let (mut counts, time) = timed(1, &mut all);
        let count = counts.pop().expect("timed once")?;
        let is_right = count == watched.sockets.len();
        if is_right { Ok(time) } else { Err(format!("{count} sockets are seen").into()) }
    })
}

fn files(watched: &Rc<Watched>) -> Work {
    let watched = Rc::clone(watched);
    Box::new(move |_| {
        let read = || -> Result<()> {
            let mut nodes = watched.lab.nodes();
            Ok(nodes.try_for_each(|node| node.run(sockets::read_files).map(drop))?)
        };
        let (mut ended, time) = timed(1, read);
        ended.pop().expect("timed once")?;
        Ok(time)
    })
}
