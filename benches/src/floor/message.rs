//! Requests to rtnetlink(7) as bytes.

use std::io;
use std::net::IpAddr;

/// linux/rtnetlink.h
const NEW_LINK: u16 = 16;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;

/// `IFLA_*` of `linux/if_link.h`, and attributes nested in them.
pub(crate) const NAME: u16 = 3;
pub(crate) const INFO: u16 = 18;
pub(crate) const INFO_KIND: u16 = 1;
pub(crate) const INFO_DATA: u16 = 2;
pub(crate) const PEER: u16 = 1;
pub(crate) const NET_NS_FD: u16 = 28;

/// `IFA_*` of `linux/if_addr.h`.
pub(crate) const ADDRESS: u16 = 1;
pub(crate) const LOCAL: u16 = 2;

/// `IFA_F_NODAD`: no duplicate address detection.
const NO_DAD: u8 = 2;

/// The length of a `struct nlmsghdr`.
const HEADER: usize = 16;

/// Content of a message after its header, or of an attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(Vec<u8>);

/// Request with `NLM_F_ACK`.
#[derive(Clone, Debug)]
pub(crate) struct Message(Vec<u8>);

impl Body {
    /// Begins with a `struct ifinfomsg`.
    pub(crate) fn of_link(index: u32, up: bool) -> Self {
        let flags = if up { libc::IFF_UP } else { 0 }.to_ne_bytes();
        Self([[0; 4], index.to_ne_bytes(), flags, flags].concat())
    }

    /// Begins with a `struct ifaddrmsg`.
    pub(crate) fn of_address(index: u32, address: IpAddr) -> Self {
        let (family, prefix) = match address {
            IpAddr::V4(_) => (libc::AF_INET, 24),
            IpAddr::V6(_) => (libc::AF_INET6, 64),
        };
        let family = u8::try_from(family).expect("a small number");
        Self([&[family, prefix, NO_DAD, 0], &index.to_ne_bytes()[..]].concat())
    }

    /// Adds an attribute.
    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).expect("it is short");
        self.0.extend(length.to_ne_bytes().into_iter().chain(kind.to_ne_bytes()));
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Message {
    pub(crate) fn new_link(body: &Body) -> Self {
        Self::new(NEW_LINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, body)
    }

    pub(crate) fn new_link_state(body: &Body) -> Self {
        Self::new(SET_LINK, 0, body)
    }

    pub(crate) fn new_address(body: &Body) -> Self {
        Self::new(NEW_ADDRESS, libc::NLM_F_CREATE | libc::NLM_F_EXCL, body)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn new(kind: u16, flags: i32, body: &Body) -> Self {
        let flags = flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        let flags = u16::try_from(flags).expect("they are 16 bits").to_ne_bytes();
        let length = u32::try_from(HEADER + body.0.len()).expect("it is short").to_ne_bytes();
        Self([&length[..], &kind.to_ne_bytes(), &flags, &[0; 8], &body.0].concat())
    }

    /// Returns the number of acknowledged requests, or the first error.
    pub(crate) fn acknowledged(mut answers: &[u8]) -> io::Result<usize> {
        let mut count = 0;
        while let Some(first) = answers.first_chunk::<20>() {
            let [a, b, c, d, .., e, f, g, h] = *first;
            let (length, error) =
                (u32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h]));
            if error != 0 {
                return Err(io::Error::from_raw_os_error(-error));
            }
            count += 1;
            let length = usize::try_from(length).map_err(io::Error::other)?;
            answers = answers.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(count)
    }
}
