//! The floor of a lab: for each host new namespaces, a veth pair and two addresses, by as few
//! system calls as possible.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::thread;
use std::time::Duration;

use crate::floor::calls::{check, open};
use crate::floor::message::{
    ADDRESS, Body, INFO, INFO_DATA, INFO_KIND, LOCAL, Message, NAME, NET_NS_FD, PEER,
};

/// First interface index, above those of the tunnels that some kernels put into each network.
const INDEX: u32 = 32;

/// The namespaces of one host, and a socket in its network.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) network: OwnedFd,
    _mounts: OwnedFd,
    _hostname: OwnedFd,
    netlink: OwnedFd,
}

/// Makes `count` hosts, each with a veth pair to one more host, which is the first of the result.
pub(crate) fn star(count: u32) -> io::Result<Vec<Node>> {
    on_a_thread(move || {
        let mut hosts = vec![Node::new()?];
        for number in 0..count {
            let host = Node::new()?;
            let [_, _, high, low] = number.to_be_bytes();
            let high_6 = u16::try_from(number).map_err(io::Error::other)?;
            let addresses =
                [[10, high, low, 1].into(), Ipv6Addr::new(0xfd00, high_6, 0, 0, 0, 0, 0, 1).into()];
            host.cable_to(&hosts[0], number, addresses)?;
            hosts.push(host);
        }
        Ok(hosts)
    })
}

/// Makes two hosts with a veth pair between them.
pub(crate) fn pair(addresses: [[IpAddr; 2]; 2]) -> io::Result<[Node; 2]> {
    on_a_thread(move || {
        let pair = [Node::new()?, Node::new()?];
        pair[0].cable_to(&pair[1], 0, addresses[0])?;
        pair[1].ask(&[vec![up(INDEX + 1)], addresses_of(INDEX + 1, addresses[1])].concat())?;
        Ok(pair)
    })
}

/// Waits until the kernel has freed all released networks. The kernel frees them in order, so the
/// end of a veth pair into a last network disappears after all others.
pub(crate) fn wait_until_all_are_gone() -> io::Result<()> {
    const LAST: &CStr = c"last";
    on_a_thread(|| {
        let own = open(c"/proc/thread-self/ns/net")?;
        let last = Node::new()?;
        last.ask(&[cable(&own, 0, "last")])
    })?;
    // SAFETY: reads a C string.
    while unsafe { libc::if_nametoindex(LAST.as_ptr()) } != 0 {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Runs `work` on a temporary thread, since it moves its thread into new namespaces.
fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    thread::spawn(work).join().expect("it does not panic")
}

impl Node {
    /// Makes the namespaces, and moves the calling thread into them.
    fn new() -> io::Result<Self> {
        let all = libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWUTS;
        // SAFETY: touches no memory.
        check(unsafe { libc::unshare(all) })?;
        // SAFETY: makes a descriptor.
        let netlink = check(unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
        })?;
        // SAFETY: the descriptor is new and has no other owner.
        let netlink = unsafe { OwnedFd::from_raw_fd(netlink) };
        Ok(Self {
            network: open(c"/proc/thread-self/ns/net")?,
            _mounts: open(c"/proc/thread-self/ns/mnt")?,
            _hostname: open(c"/proc/thread-self/ns/uts")?,
            netlink,
        })
    }

    /// Makes a veth pair to another host, and adds the addresses of this end.
    fn cable_to(&self, other: &Self, number: u32, addresses: [IpAddr; 2]) -> io::Result<()> {
        let cable = cable(&other.network, INDEX + 1 + number, &format!("eth{number}"));
        self.ask(&[vec![cable], addresses_of(INDEX, addresses)].concat())
    }

    /// Sends all requests at once, and reads the answers.
    fn ask(&self, messages: &[Message]) -> io::Result<()> {
        let bytes: Vec<u8> = messages.iter().flat_map(Message::bytes).copied().collect();
        let fd = self.netlink.as_raw_fd();
        // SAFETY: the kernel reads this many bytes, which live through the call.
        let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent == -1 {
            return Err(io::Error::last_os_error());
        }
        let mut open = messages.len();
        let mut buffer = [0_u8; 8192];
        while open > 0 {
            // SAFETY: the kernel writes at most the length of the buffer.
            let length = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
            open -= Message::acknowledged(&buffer[..length])?;
        }
        Ok(())
    }
}

/// Builds the request for a veth pair whose peer is in namespace `there`, with a name and an index,
/// which the kernel chooses if it is 0.
fn cable(there: &OwnedFd, index: u32, name: &str) -> Message {
    let peer = Body::of_link(index, false)
        .with(NAME, format!("{name}\0").as_bytes())
        .with(NET_NS_FD, &there.as_raw_fd().to_ne_bytes());
    let data = Body::default().with(PEER, peer.bytes());
    let info = Body::default().with(INFO_KIND, b"veth\0").with(INFO_DATA, data.bytes());
    let near = Body::of_link(INDEX, true).with(NAME, b"eth0\0").with(INFO, info.bytes());
    Message::new_link(&near)
}

fn up(index: u32) -> Message {
    Message::new_link_state(&Body::of_link(index, true))
}

fn addresses_of(index: u32, addresses: [IpAddr; 2]) -> Vec<Message> {
    let message = |address: IpAddr| {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let body = Body::of_address(index, address).with(LOCAL, &octets).with(ADDRESS, &octets);
        Message::new_address(&body)
    };
    addresses.map(message).to_vec()
}
