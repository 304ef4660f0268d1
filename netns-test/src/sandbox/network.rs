//! The network of a sandbox: `lo`, up, and nothing else.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use super::{Identity, Part, Refused, Transcript};
use crate::error::Failure;
use crate::sys::{errno, fds, ifreq};
use crate::userns::Maps;

/// Brings `lo` up and sets the sysctls that bodies rely on.
pub(super) fn set_up(identity: &Identity, transcript: &mut Transcript) -> Result<(), Refused> {
    // A host may hand "no IPv6" on to new namespaces, for all interfaces or for new ones; what is
    // written for all holds for new ones, too.
    let conf = "/proc/sys/net/ipv6/conf";
    let paths = ["all", "default"].map(|name| format!("{conf}/{name}/disable_ipv6"));
    // What is so already is not written: the kernel takes its lock on all networks for that, and has
    // the writer spin until it is free.
    let are_so = paths.iter().all(|path| is_so(path, "0"));
    let result = if are_so { Ok(()) } else { set_if_there(&paths[0], "0") };
    let step = format!("write {}", paths[0]);
    transcript.note(step, "there is no IPv6 if the host has turned it off", result);
    // Addresses are usable at once: there is nobody to have a duplicate.
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
    // Who may not even ask is refused by a filter.
    ifreq::loopback_flags(&socket).map_err(refused(Part::Sockets, "ioctl SIOCGIFFLAGS", "lo"))?;
    ifreq::loopback_up(&socket).map_err(refused(Part::Loopback, "ioctl SIOCSIFFLAGS", "lo"))?;
    transcript.done("bring lo up");
    Ok(())
}

/// Binds to 127.0.0.1 and connects to it, without a packet: what the test finds is as new.
pub(super) fn try_loopback() -> Result<(), Failure> {
    let failed = |step| move |error: io::Error| errno::failure(step, "127.0.0.1", &error);
    ifreq::listen().map_err(|(step, error)| failed(step)(error))?;
    let anywhere = (Ipv4Addr::LOCALHOST, 0);
    let socket = UdpSocket::bind(anywhere).map_err(failed("bind a UDP socket to"))?;
    let own = socket.local_addr().map_err(failed("getsockname"))?;
    socket.connect(own).map_err(failed("connect a UDP socket to"))
}

/// Sends a byte over a TCP connection to 127.0.0.1.
#[cfg(feature = "doctor")]
pub(super) fn use_loopback() -> Result<(), Failure> {
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

/// Whether the value is written, or there is nothing to write it to.
fn set_if_there(path: &str, value: &str) -> io::Result<()> {
    match fds::write_file(path, value.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn is_so(path: &str, value: &str) -> bool {
    fds::read_small(path).is_ok_and(|now| now.trim_end() == value)
}

/// Lets every group of the sandbox ping; the range must be made of mapped ids.
fn allow_ping(path: &str, identity: &Identity) -> io::Result<()> {
    let own = format!("{0} {0}", identity.gid);
    if !matches!(identity.maps, Maps::One { .. }) {
        let all = fds::write_file(path, b"0 2147483647");
        if all.is_ok() {
            return all;
        }
    }
    fds::write_file(path, own.as_bytes())
}
