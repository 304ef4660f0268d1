//! The network of a sandbox: `lo`, up, with routes for multicast groups, and nothing else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

use crate::error::Failure;
use crate::isolate::{Identity, Part, Refused, Transcript};
use crate::sys::net::devconf;
use crate::sys::net::devconf::Altered;
use crate::sys::net::ifreq;
use crate::sys::net::route;
use crate::sys::net::route::{Kind, Requests, Route, Table};
use crate::sys::{errno, fds};
use crate::userns::Maps;

/// Brings `lo` up, and sets the sysctls that bodies rely on.
pub(crate) fn set_up(identity: &Identity, transcript: &mut Transcript) -> Result<(), Refused> {
    restore_defaults(transcript);
    // A new namespace may inherit a disabled IPv6 from the host, in `all` or in `default`. A write
    // to `all` sets `default`, too.
    let conf = "/proc/sys/net/ipv6/conf";
    let paths = ["all", "default"].map(|name| format!("{conf}/{name}/disable_ipv6"));
    // A correct value is not written again: for a write the kernel takes the RTNL lock, and the
    // writer spins until it is free.
    let are_so = paths.iter().all(|path| is_so(path, "0"));
    let result = if are_so { Ok(()) } else { set_if_there(&paths[0], "0") };
    let step = format!("write {}", paths[0]);
    transcript.note(step, "there is no IPv6 if the host has turned it off", result);
    // Without DAD, addresses are usable at once. The network has no other node to conflict with.
    let path = format!("{conf}/default/accept_dad");
    let result = match set_if_there(&path, "0") {
        Err(_) if is_so(&path, "0") => Ok(()),
        other => other,
    };
    transcript.note(format!("write {path}"), "IPv6 addresses take a second to be usable", result);
    let path = "/proc/sys/net/ipv4/ping_group_range";
    let result = allow_ping(path, identity);
    transcript.note("write /proc/sys/net/ipv4/ping_group_range", "ping needs root", result);
    let refused = |part, step, object: &'static str| {
        move |error: io::Error| Refused { part, failure: errno::failure(step, object, &error) }
    };
    let socket = ifreq::socket().map_err(refused(Part::Sockets, "socket", "AF_INET"))?;
    // A filter refuses even the query; the next step needs a capability.
    ifreq::loopback_flags(&socket).map_err(refused(Part::Sockets, "ioctl SIOCGIFFLAGS", "lo"))?;
    ifreq::loopback_up(&socket).map_err(refused(Part::Loopback, "ioctl SIOCSIFFLAGS", "lo"))?;
    transcript.done("bring lo up");
    let without = "multicast and broadcast need a route of the test's own";
    transcript.note("add routes for multicast and broadcast on lo", without, groups_on_lo());
    Ok(())
}

/// Adds the routes with which a body joins groups and sends to them without naming an interface, as
/// with a default route.
///
/// Every other route has precedence: those of IPv4 are in a table that is looked up after `main`,
/// and all have the highest metric.
fn groups_on_lo() -> io::Result<()> {
    let source = Ipv4Addr::LOCALHOST.into();
    let mut requests = Requests::default();
    groups_of_ipv4(route::LOOPBACK, source, Some(u32::MAX)).for_each(|own| requests.route(&own));
    requests.route(&Route {
        // The kernel makes a route of any other kind on `lo` unreachable.
        kind: Kind::Local,
        table: Table::Local,
        to: (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8),
        device: route::LOOPBACK,
        source: Some(Ipv6Addr::LOCALHOST.into()),
        metric: Some(u32::MAX),
    });
    match route::Socket::open()?.ask(&requests, |_| {})? {
        // The IPv6 route, on a kernel without IPv6.
        Err(refusal) if refusal.place == 2 && !has_ipv6() => Ok(()),
        other => other.map_err(|refusal| refusal.error),
    }
}

/// Returns the routes for IPv4 multicast and limited broadcast over an interface. (The kernel adds
/// the IPv6 multicast route itself, except for `lo`.)
pub(crate) fn groups_of_ipv4(
    device: u32,
    source: IpAddr,
    metric: Option<u32>,
) -> impl Iterator<Item = Route> {
    let groups = (Kind::Multicast, (Ipv4Addr::new(224, 0, 0, 0).into(), 4));
    let everybody = (Kind::Broadcast, (Ipv4Addr::BROADCAST.into(), 32));
    let table = Table::Default;
    [groups, everybody].into_iter().map(move |(kind, to)| Route {
        kind,
        table,
        to,
        device,
        source: Some(source),
        metric,
    })
}

fn has_ipv6() -> bool {
    is_so("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0")
}

/// Resets the sysctls of interfaces to the kernel's defaults, if the host has passed others on.
fn restore_defaults(transcript: &mut Transcript) {
    // Without a `/proc` no sysctl can be written, which the next steps report.
    let Ok(proc) = fds::open_place(Path::new("/proc")) else { return };
    match devconf::restore(&proc) {
        Ok(altered) if altered == Altered::default() => {}
        Ok(_) => transcript.done("write the kernel's defaults to net.ipv4.conf and net.ipv6.conf"),
        Err(refused) => {
            let step = format!("write {}", refused.path());
            transcript.note(
                step,
                "interfaces have settings of the host",
                Err::<(), _>(refused.error),
            );
        }
    }
}

/// Binds to 127.0.0.1 and connects to it, without sending a packet, so that all counters stay 0.
pub(crate) fn try_loopback() -> Result<(), Failure> {
    let failed = |step| move |error: io::Error| errno::failure(step, "127.0.0.1", &error);
    ifreq::listen().map_err(|(step, error)| failed(step)(error))?;
    let anywhere = (Ipv4Addr::LOCALHOST, 0);
    let socket = UdpSocket::bind(anywhere).map_err(failed("bind a UDP socket to"))?;
    let own = socket.local_addr().map_err(failed("getsockname"))?;
    socket.connect(own).map_err(failed("connect a UDP socket to"))
}

/// Sends a byte over a TCP connection to 127.0.0.1.
#[cfg(feature = "doctor")]
pub(crate) fn use_loopback() -> Result<(), Failure> {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    let failed = |step| move |error: io::Error| errno::failure(step, "127.0.0.1", &error);
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed("bind a TCP socket to"))?;
    let address = listener.local_addr().map_err(failed("getsockname"))?;
    let mut client = TcpStream::connect(address).map_err(failed("connect a TCP socket to"))?;
    let (mut server, _) = listener.accept().map_err(failed("accept a connection to"))?;
    client.write_all(b"n").map_err(failed("send over"))?;
    server.read_exact(&mut [0]).map_err(failed("receive over"))
}

/// Writes a value, unless the file does not exist.
pub(crate) fn set_if_there(path: &str, value: &str) -> io::Result<()> {
    match fds::write_file(path, value.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

pub(crate) fn is_so(path: &str, value: &str) -> bool {
    fds::read_small(path).is_ok_and(|now| now.trim_end() == value)
}

/// Lets every group of the sandbox open ping sockets. The range must consist of mapped ids.
fn allow_ping(path: &str, identity: &Identity) -> io::Result<()> {
    let own = format!("{0} {0}", identity.gid);
    let all = match &identity.maps {
        Maps::One { .. } => None,
        Maps::All { .. } | Maps::Callers => Some(2_147_483_647),
        Maps::Subordinate { gids, .. } => {
            gids.iter().filter_map(|range| range.inside.checked_add(range.count - 1)).max()
        }
    };
    if let Some(last) = all {
        let all = fds::write_file(path, format!("0 {last}").as_bytes());
        if all.is_ok() {
            return all;
        }
    }
    fds::write_file(path, own.as_bytes())
}
