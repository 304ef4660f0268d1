//! A network with a neighbour (`network = "lan"`): `eth0` in the sandbox is one end of a veth pair.
//! The other end is in a network namespace without processes.
//!
//! The kernel there answers ARP, neighbour solicitations and ping. There is no default route
//! through it: a TCP connection to the outside would fail only after a second, when the SYN is
//! retransmitted. (The ICMP error for the first SYN arrives while `connect(2)` still locks the
//! socket, and is lost.)

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::isolate::Transcript;
use crate::isolate::network::{groups_of_ipv4, is_so, set_if_there};
use crate::sys::errno;
use crate::sys::fds;
use crate::sys::fds::Until;
use crate::sys::net::ifreq;
use crate::sys::net::route::{Change, End, LOOPBACK, Refusal, Requests, Socket};
use crate::sys::ns::nsfs;

/// Name of both ends of the veth pair.
const NAME: &str = "eth0";

/// Index of the neighbour's end. The ends must have different indexes: the kernel does not
/// recognise a veth pair with equal ones, and reports its carrier up to a second late (link watch).
const THERE: u32 = 1000;

/// Time limit for the link to become operational, which usually takes about 10 ms.
const LIMIT: Duration = Duration::from_secs(10);

/// Returns the addresses of one end.
const fn addresses(host: u8) -> [(IpAddr, u8); 3] {
    let last = host as u16;
    [
        (IpAddr::V4(Ipv4Addr::new(192, 168, 1, host)), 24),
        (IpAddr::V6(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, last)), 64),
        (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last)), 64),
    ]
}

const OF_NEIGHBOUR: [(IpAddr, u8); 3] = addresses(1);
const OF_TEST: [(IpAddr, u8); 3] = addresses(2);

const fn mac(host: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, host]
}

/// Network namespace of a neighbour. The descriptor keeps it alive, and no body inherits it.
#[derive(Debug)]
pub(crate) struct Neighbour {
    own: OwnedFd,
    there: OwnedFd,
}

/// Requests, each with its step and object for errors.
#[derive(Default)]
struct Steps {
    requests: Requests,
    names: Vec<(&'static str, String)>,
}

/// End of the veth pair, with the changes that the kernel has reported.
struct Side {
    socket: Socket,
    whose: &'static str,
    has_ipv6: bool,
    seen: Vec<Change>,
}

impl Neighbour {
    /// Creates the namespace, and returns to the caller's own. The calling thread must be the only
    /// one of its process.
    pub(crate) fn new() -> io::Result<Self> {
        let own = nsfs::own_network()?;
        nsfs::unshare_network()?;
        let there = nsfs::own_network();
        nsfs::enter_network(&own)?;
        Ok(Self { there: there?, own })
    }

    /// Creates the veth pair. Returns the descriptor that keeps the neighbour alive.
    pub(crate) fn connect(self, transcript: &mut Transcript) -> Result<OwnedFd, Failure> {
        let enter = |network: &OwnedFd| {
            nsfs::enter_network(network)
                .map_err(|error| errno::failure("setns", "a network of the test", &error))
        };
        let mut here = Side::open("the test")?;
        enter(&self.there)?;
        let there = self.set_up_there(transcript);
        enter(&self.own)?;
        let mut there = there?;
        let socket =
            ifreq::socket().map_err(|error| errno::failure("socket", "AF_INET", &error))?;
        let index = ifreq::index_of(&socket, NAME)
            .map_err(|error| errno::failure("ioctl SIOCGIFINDEX", NAME, &error))?;
        let mut steps = Steps::default();
        steps.end(index, &OF_TEST, here.has_ipv6);
        for route in groups_of_ipv4(index, OF_TEST[0].0, None) {
            steps.requests.route(&route);
            steps.names.push(("add", format!("route to {}/{} on {NAME}", route.to.0, route.to.1)));
        }
        here.perform(&steps)?;
        here.wait(index, &OF_TEST)?;
        there.wait(THERE, &OF_NEIGHBOUR)?;
        transcript.done(format!("add {NAME} and a neighbour"));
        Ok(self.there)
    }

    /// Sets up the neighbour's end. The calling thread is in its namespace.
    fn set_up_there(&self, transcript: &mut Transcript) -> Result<Side, Failure> {
        let ipv6 = "/proc/sys/net/ipv6/conf/all/disable_ipv6";
        if !is_so(ipv6, "0") {
            let set = set_if_there(ipv6, "0");
            transcript.note(format!("write {ipv6} of the neighbour"), "it has no IPv6", set);
        }
        let mut side = Side::open("the neighbour")?;
        let mut steps = Steps::default();
        steps.cable(&self.own);
        steps.end(THERE, &OF_NEIGHBOUR, side.has_ipv6);
        side.perform(&steps)?;
        Ok(side)
    }
}

impl Steps {
    fn cable(&mut self, test: &OwnedFd) {
        self.requests.up(LOOPBACK);
        self.names.push(("set up", "lo of the neighbour".into()));
        let near = End { name: NAME, mac: mac(1), index: Some(THERE) };
        let far = End { name: NAME, mac: mac(2), index: None };
        self.requests.veth(near, far, test.as_fd());
        self.names.push(("add", format!("link {NAME} (veth), which `network = \"lan\"` takes")));
    }

    fn end(&mut self, index: u32, addresses: &[(IpAddr, u8)], has_ipv6: bool) {
        if has_ipv6 {
            self.requests.no_link_local(index);
            self.names.push(("set", format!("addr_gen_mode of {NAME}")));
        }
        self.requests.up(index);
        self.names.push(("set up", format!("link {NAME}")));
        for own in addresses.iter().filter(|own| own.0.is_ipv4() || has_ipv6) {
            self.requests.address(index, *own);
            self.names.push(("add", format!("address {}/{} to {NAME}", own.0, own.1)));
        }
    }
}

impl Steps {
    /// Converts a refusal to a failure.
    fn refused(&self, refusal: Refusal) -> Failure {
        let unknown = ("ask", "netlink".to_owned());
        let (step, object) = self.names.get(refusal.place).unwrap_or(&unknown);
        let mut failure = errno::failure(step, object, &refusal.error);
        if let Some(words) = refusal.words {
            failure.reason = format!("{}: {words}", failure.reason);
        }
        if failure.errno != Some(errno::EOPNOTSUPP) || !object.contains("(veth)") {
            return failure;
        }
        failure
            .advise(
                "cause: this kernel has no veth: it is not built in, and its module is not there",
            )
            .advise("fix until reboot: sudo modprobe veth")
            .advise("fix that lasts: echo veth | sudo tee /etc/modules-load.d/netns-test.conf")
    }
}

impl Side {
    /// Opens the socket in the calling thread's namespace.
    fn open(whose: &'static str) -> Result<Self, Failure> {
        let socket = Socket::open_to_changes()
            .map_err(|error| errno::failure("open", "a netlink socket", &error))?;
        let has_ipv6 = is_so("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0");
        Ok(Self { socket, whose, has_ipv6, seen: Vec::new() })
    }

    fn perform(&mut self, steps: &Steps) -> Result<(), Failure> {
        let asked = self.socket.ask(&steps.requests, |change| self.seen.push(change));
        let asked = asked.map_err(|error| errno::failure("send", "netlink requests", &error))?;
        asked.map_err(|refusal| steps.refused(refusal))
    }

    /// Waits until the interface carries packets, and packets to its addresses arrive.
    fn wait(&mut self, index: u32, addresses: &[(IpAddr, u8)]) -> Result<(), Failure> {
        let has_ipv6 = self.has_ipv6;
        let arrives = addresses.iter().filter(|own| own.0.is_ipv6() && has_ipv6);
        let arrives = arrives.map(|own| Change::Arrives(own.0));
        let mut awaited: Vec<_> = arrives.chain([Change::Carries(index)]).collect();
        let deadline = Instant::now() + LIMIT;
        let failed = |error| errno::failure("wait for", format!("{NAME} of the test"), &error);
        loop {
            awaited.retain(|change| !self.seen.contains(change));
            let left = deadline.saturating_duration_since(Instant::now());
            match awaited.first() {
                None => return Ok(()),
                Some(late) if left == Duration::ZERO => {
                    let reason = match late {
                        Change::Carries(_) => "it carries no packets".to_owned(),
                        Change::Arrives(own) => format!("packets to {own} do not arrive"),
                    };
                    let reason = format!("{reason} after {} s", LIMIT.as_secs());
                    let object = format!("{NAME} of {}", self.whose);
                    return Err(Failure::new("wait for", object, reason));
                }
                Some(_) => {}
            }
            fds::wait(&[Until::Readable(self.socket.descriptor())], Some(left)).map_err(failed)?;
            self.socket.changes(|change| self.seen.push(change)).map_err(failed)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_veth_is_explained() {
        let (own, _other) = fds::pipe().unwrap();
        let mut steps = Steps::default();
        steps.cable(&own);
        let error = || io::Error::from_raw_os_error(errno::EOPNOTSUPP);
        let words = Some("Unknown device type".to_owned());
        let text = steps.refused(Refusal { place: 1, error: error(), words }).to_string();
        let begins = "add link eth0 (veth), which `network = \"lan\"` takes: EOPNOTSUPP (";
        assert!(text.starts_with(begins) && text.contains("): Unknown device type\n"), "{text}");
        assert!(text.contains("sudo modprobe veth"), "{text}");
        let other = steps.refused(Refusal { place: 0, error: error(), words: None }).to_string();
        assert!(other.starts_with("set up lo of the neighbour: ") && !other.contains("modprobe"));
    }

    #[test]
    fn each_end_has_addresses_of_both_families() {
        let shown = OF_TEST.map(|(own, prefix)| format!("{own}/{prefix}"));
        assert_eq!(shown, ["192.168.1.2/24", "fd00:1::2/64", "fe80::2/64"]);
        assert!(OF_TEST.iter().all(|own| !OF_NEIGHBOUR.contains(own)));
    }
}
