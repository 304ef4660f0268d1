//! Addresses, ports and descriptors that could not be had. Pure.

use std::net::SocketAddr;

use crate::evidence::facts::network::{Network, Protocol, Socket, SocketState};
use crate::evidence::facts::process::Process;
use crate::explain::cause::{Cause, Certainty};
use crate::explain::scene::{Scene, node_name, process_name};
use crate::explain::sockets::{is_server, plain};
use crate::explain::target::Target;
use crate::explain::trouble::{self, Trouble};

/// Share of the ports for outgoing connections that counts as all: others find no free one soon.
const MOST_PORTS: f64 = 0.95;

/// Least number of descriptors from which on not all of a process may have been read.
const MOST_READ: usize = 1500;

pub(crate) fn causes(scene: &Scene<'_>, _targets: &[Target<'_>]) -> Vec<Cause> {
    let found = match scene.trouble {
        Trouble::AddrInUse => in_use(scene),
        Trouble::AddrNotAvailable => exhausted(scene).or_else(|| not_own(scene)),
        Trouble::TooManyFiles => too_many_files(scene),
        _ => None,
    };
    found.into_iter().collect()
}

/// Explains EADDRINUSE: by the address, if the message has it, else by what is bound on the node.
fn in_use(scene: &Scene<'_>) -> Option<Cause> {
    let is_unix = scene.statement.contains("Unix") || unix_path(scene.message).is_some();
    if is_unix {
        return Some(path_in_use(scene));
    }
    let wanted = trouble::addresses(scene.message);
    let wanted = (wanted.len() == 1).then(|| wanted[0]);
    let said = protocol(scene);
    let is_taken = |socket: &&Socket| {
        let Some(local) = socket.local else { return false };
        if said.is_some_and(|said| said != socket.protocol) {
            return false;
        }
        match wanted {
            Some(wanted) => overlaps(local, wanted),
            None => is_server(socket),
        }
    };
    let owner = wanted.and_then(|wanted| scene.owner(wanted.ip(), scene.node));
    let node = scene.node.or(owner);
    let networks = scene.networks.iter().filter(|one| node.is_none_or(|node| one.node == node));
    let mut all: Vec<(&Network, &Socket)> = networks
        .flat_map(|network| {
            let taken = network.sockets.iter().filter(is_taken);
            taken.map(move |socket| (network, socket))
        })
        .collect();
    // A socket that listens says more than a connection that it has accepted.
    all.sort_by_key(|(_, socket)| !is_server(socket));
    let (network, socket) = all.first()?;
    let (local, node) = (socket.local?, node_name(&network.node));
    let who = scene.holder(socket.inode).unwrap_or_else(|| "a socket of no process".to_owned());
    // That a UDP socket has the number does not keep TCP from it, nor the other way round.
    let is_meant = said.is_some() || socket.protocol == Protocol::Tcp;
    let is_sure =
        wanted.is_some() && scene.node.or(owner).is_some() && is_server(socket) && is_meant;
    if let Some(cause) = perhaps_unix(scene, wanted.is_some()) {
        return Some(cause);
    }
    let state = socket.state.word();
    let text = if is_server(socket) {
        format!("port {} on {node} is in use by {who}", local.port())
    } else {
        format!("port {} on {node} is in use by a connection ({state})", local.port())
    };
    let proof = format!("{who} has {} {local} open ({state})", socket.protocol.word());
    let others = all.len() - 1;
    let mut cause = Cause::new(Certainty::if_sure(is_sure), text).shown_by(proof);
    if wanted.is_none() && others > 0 {
        cause =
            cause.shown_by(format!("{others} more are bound; the error does not name the port"));
    }
    Some(
        cause
            .try_to("bind port 0 and pass the number on, or end what has the port first")
            .socket(socket.inode)
            .on(&network.node),
    )
}

/// Returns the protocol of the socket that was to be bound, if the statement says it.
fn protocol(scene: &Scene<'_>) -> Option<Protocol> {
    let has = |word: &str| scene.statement.contains(word);
    match (has("TcpListener") || has("TcpSocket"), has("UdpSocket")) {
        (true, false) => Some(Protocol::Tcp),
        (false, true) => Some(Protocol::Udp),
        _ => None,
    }
}

/// Explains EADDRINUSE of a UNIX socket: its path exists, be there a socket or not.
fn path_in_use(scene: &Scene<'_>) -> Cause {
    let named = unix_path(scene.message).or_else(|| unix_path(scene.statement));
    let mut bound = scene.networks.iter().flat_map(|network| &network.sockets).filter(|one| {
        one.protocol == Protocol::Unix && named.is_some_and(|path| one.path.ends_with(path))
    });
    let path = named.unwrap_or("the socket");
    let cause = Cause::likely(format!("the path of the UNIX socket exists already: {path}"));
    let cause = match (named, bound.next()) {
        (_, Some(socket)) => {
            let who = scene.holder(socket.inode).unwrap_or_else(|| "a socket".to_owned());
            cause.shown_by(format!("{who} is bound to {}", socket.path)).socket(socket.inode)
        }
        (Some(path), None) => {
            cause.shown_by(format!("no open socket is bound to {path}: a file is left of one"))
        }
        (None, None) => cause.shown_by("bind(2) refuses a path that exists"),
    };
    cause.try_to("remove the file before the bind, or take a path of the test's own directory")
}

/// Explains an EADDRINUSE that may be of a UNIX socket as well, as the test has some with a path.
fn perhaps_unix(scene: &Scene<'_>, is_named: bool) -> Option<Cause> {
    let is_inet = ["TcpListener", "UdpSocket", "TcpSocket", "Socket::new"];
    if is_named || is_inet.iter().any(|word| scene.statement.contains(word)) {
        return None;
    }
    let body = scene.body()?;
    let is_bound = |socket: &&Socket| {
        let is_own = || body.descriptors.iter().any(|one| one.socket() == Some(socket.inode));
        socket.protocol == Protocol::Unix && !socket.path.is_empty() && is_own()
    };
    let mut sockets = scene.networks.iter().flat_map(|network| &network.sockets);
    let socket = sockets.find(is_bound)?;
    Some(
        Cause::likely("the address is in use: a port, or the path of a UNIX socket")
            .shown_by(format!("the test is bound to {}; the error names no address", socket.path))
            .try_to(
                "compare the address with the list of sockets; remove the file of a UNIX socket before \
                 its bind",
            )
            .socket(socket.inode),
    )
}

/// Returns the path of a socket that a text names.
fn unix_path(text: &str) -> Option<&str> {
    let mut words = text.split(|c: char| c.is_whitespace() || "\"'`(),;<>{}=".contains(c));
    let is_path = |word: &&str| word.starts_with('/') && word.len() > 1 && !word.starts_with("//");
    let word = words.find(is_path)?;
    Some(word.trim_end_matches(['.', ':', '!', '?']))
}

/// Explains EADDRNOTAVAIL for an address of another node.
fn not_own(scene: &Scene<'_>) -> Option<Cause> {
    let wanted = *trouble::addresses(scene.message).first()?;
    let node = scene.node?;
    let owner = scene.owner(wanted.ip(), None);
    if owner == Some(node) || wanted.ip().is_unspecified() || wanted.ip().is_loopback() {
        return None;
    }
    let proof = match owner {
        Some(owner) => format!("{} is an address of {}", wanted.ip(), node_name(owner)),
        None => format!("no node has {}", wanted.ip()),
    };
    Some(
        Cause::new(Certainty::Certain, format!("{node} does not have the address {}", wanted.ip()))
            .shown_by(proof)
            .try_to(format!("bind an address of {node}, or 0.0.0.0 or [::]"))
            .on(node),
    )
}

/// Explains EADDRNOTAVAIL of a connection: no port is free.
fn exhausted(scene: &Scene<'_>) -> Option<Cause> {
    let networks =
        scene.networks.iter().filter(|network| scene.node.is_none_or(|node| network.node == node));
    for network in networks {
        let Some((low, high)) = range(network) else { continue };
        let is_in = |socket: &&Socket| {
            socket.local.is_some_and(|local| (low..=high).contains(&local.port()))
        };
        let used: Vec<&Socket> = network.sockets.iter().filter(is_in).collect();
        let mut ports: Vec<u16> = used.iter().filter_map(|one| Some(one.local?.port())).collect();
        ports.sort_unstable();
        ports.dedup();
        let size = usize::from(high - low) + 1;
        if (ports.len() as f64) < size as f64 * MOST_PORTS {
            continue;
        }
        let waiting = used.iter().filter(|one| one.state == SocketState::TimeWait).count();
        let node = node_name(&network.node);
        return Some(
            Cause::new(
                Certainty::if_sure(ports.len() == size),
                format!(
                    "{node} has no free port for a connection: {} of {size} are in use",
                    ports.len()
                ),
            )
            .shown_by(format!("net.ipv4.ip_local_port_range is {low} to {high}"))
            .shown_by(format!("{waiting} of the sockets are in TIME-WAIT, for a minute each"))
            .try_to("keep connections open and reuse them, or widen net.ipv4.ip_local_port_range")
            .on(&network.node),
        );
    }
    None
}

fn range(network: &Network) -> Option<(u16, u16)> {
    let setting = network.setting("net/ipv4/ip_local_port_range")?;
    let mut words = setting.split_whitespace().map(str::parse);
    let (low, high) = (words.next()?.ok()?, words.next()?.ok()?);
    (low <= high && low > 0).then_some((low, high))
}

/// Explains EMFILE.
fn too_many_files(scene: &Scene<'_>) -> Option<Cause> {
    let is_full = |process: &&Process| {
        let limit = process.open_files.unwrap_or(u64::MAX);
        // What failed may have closed a few. Only so many are read.
        let count = process.descriptors.len();
        count as u64 + limit / 50 + 2 >= limit || count >= MOST_READ
    };
    let mut full = scene.processes.iter().filter(is_full);
    let process = full.next()?;
    let (count, limit) = (process.descriptors.len(), process.open_files?);
    let is_whole = (count as u64) + limit / 50 + 2 >= limit;
    let who = process_name(process);
    let is_sure = full.next().is_none() && process.is_body && is_whole;
    let more = if is_whole { "" } else { "more than " };
    Some(
        Cause::new(
            Certainty::if_sure(is_sure),
            format!("{who} has {more}{count} files open, and may have {limit}"),
        )
        .shown_by(format!("its descriptors: {}", kinds(scene, process)))
        .try_to("close what is no longer used, or raise the limit: `ulimit -n` (RLIMIT_NOFILE)"),
    )
}

/// Returns the number of descriptors of each kind: `900 tcp socket CLOSE-WAIT, 3 pipe`.
fn kinds(scene: &Scene<'_>, process: &Process) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for descriptor in &process.descriptors {
        let kind = match descriptor.socket() {
            Some(inode) => socket_kind(scene, inode),
            None => match descriptor.target.split_once([':', ']']) {
                Some(("pipe", _)) => "pipe".to_owned(),
                Some(("anon_inode", rest)) => rest.trim_matches(['[', ']']).to_owned(),
                _ => "file".to_owned(),
            },
        };
        match counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let parts = counts.iter().take(4).map(|(kind, count)| format!("{count} {kind}"));
    parts.collect::<Vec<_>>().join(", ")
}

fn socket_kind(scene: &Scene<'_>, inode: u64) -> String {
    let mut all = scene.networks.iter().flat_map(|network| &network.sockets);
    all.find(|socket| socket.inode == inode).map_or_else(
        || "socket".to_owned(),
        |socket| format!("{} socket {}", socket.protocol.word(), socket.state.word()),
    )
}

/// Returns whether two sockets cannot be bound to both addresses.
fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (plain(one.ip()), plain(other.ip()));
    let is_any = a.is_unspecified() || b.is_unspecified();
    one.port() == other.port() && (a == b || is_any)
}

#[cfg(test)]
mod tests {
    use crate::evidence::facts::network::SocketState;
    use crate::evidence::facts::process::Descriptor;
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::Sample;

    const IN_USE: &str = "Os { code: 98, kind: AddrInUse, message: \"\" }";

    #[test]
    fn a_port_in_use_names_who_has_it() {
        let mut sample = Sample::pair();
        sample.socket("server", 1, "0.0.0.0:8080", "");
        let guess = sample.clone().panics(IN_USE);
        let cause = guess.says(Likely, "port 8080 on server is in use by the test");
        assert_eq!(cause.sockets, [1]);
        let named = "bind 10.0.0.2:8080: Address already in use (os error 98)";
        sample.clone().panics(named).says(Certain, "port 8080 on server is in use by the test");
        let mut udp = sample.clone();
        udp.datagrams("server", 2, "0.0.0.0:9090");
        let mut udp = udp.panics("bind 10.0.0.2:9090: Address already in use (os error 98)");
        udp.says(Likely, "port 9090 on server is in use by the test");
        udp.ending.statement = "UdpSocket::bind(to).unwrap();".into();
        udp.says(Certain, "port 9090 on server is in use by the test");
        udp.ending.statement = "TcpListener::bind(to).unwrap();".into();
        udp.does_not_say("in use");
        let other = "bind 10.0.0.1:8080: Address already in use (os error 98)";
        sample.panics(other).does_not_say("in use");
    }

    #[test]
    fn a_path_in_use_is_no_port() {
        let mut sample = Sample::pair();
        sample.socket("server", 1, "0.0.0.0:80", "");
        let mut named =
            sample.clone().panics("bind /tmp/x.sock: Address already in use (os error 98)");
        let cause = named.says(Likely, "the path of the UNIX socket exists already: /tmp/x.sock");
        assert!(cause.proof[0].contains("a file is left"), "{cause:?}");
        named.does_not_say("port 80");
        named.unix("server", 2, "/tmp/x.sock");
        let cause = named.says(Likely, "the path of the UNIX socket exists already: /tmp/x.sock");
        assert_eq!(cause.sockets, [2]);
        let mut sample = sample.panics(IN_USE);
        sample.ending.statement = "UnixListener::bind(&path).unwrap();".into();
        sample.says(Likely, "the path of the UNIX socket exists already");
        sample.ending.statement = String::new();
        sample.says(Likely, "port 80 on server is in use");
        sample.unix("server", 2, "/tmp/x.sock");
        sample.says(Likely, "a port, or the path of a UNIX socket");
        sample.ending.statement = "TcpListener::bind(to).unwrap();".into();
        sample.says(Likely, "port 80 on server is in use");
    }

    #[test]
    fn an_address_of_another_node_is_found() {
        let mut sample = Sample::pair();
        sample.thread("client", 5, "futex", None);
        sample.panic_on("client", 5, 10_500, "bind 10.0.0.2:80: Cannot assign (os error 99)");
        sample.ending.message = "node client: bind 10.0.0.2:80: Cannot assign (os error 99)".into();
        let cause = sample.says(Certain, "client does not have the address 10.0.0.2");
        assert_eq!(cause.proof, ["10.0.0.2 is an address of server"]);
    }

    #[test]
    fn ports_are_exhausted_only_if_all_are_in_use() {
        let mut sample = Sample::pair();
        sample.set("client", "net/ipv4/ip_local_port_range", "1024\t1027");
        for port in 1024..1027 {
            let local = format!("10.0.0.1:{port}");
            sample.socket("client", 0, &local, "10.0.0.2:80").state = SocketState::TimeWait;
        }
        let message = "Cannot assign requested address (os error 99)";
        sample.clone().panics(message).does_not_say("no free port");
        sample.socket("client", 1, "10.0.0.1:1027", "10.0.0.2:80");
        sample.panics(message).says(Certain, "client has no free port for a connection: 4 of 4");
    }

    #[test]
    fn the_limit_of_descriptors_is_compared_with_their_number() {
        let message = "Os { code: 24, kind: Uncategorized, message: \"Too many open files\" }";
        let mut sample = Sample::pair().panics(message);
        sample.body().open_files = Some(64);
        let pipe =
            |number| Descriptor { number, target: "pipe:[4]".into(), ..Descriptor::default() };
        sample.body().descriptors = (0..20).map(pipe).collect();
        sample.does_not_say("files open");
        sample.body().descriptors = (0..64).map(pipe).collect();
        let cause = sample.says(Certain, "the test has 64 files open, and may have 64");
        assert_eq!(cause.proof, ["its descriptors: 64 pipe"]);
    }
}
