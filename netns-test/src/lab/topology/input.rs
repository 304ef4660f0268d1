//! What callers hand to the builders: texts and values of several types. A text that cannot be
//! read is kept, so that `Topology::plan` can report it together with all other mistakes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addr::cidr::{Cidr, CidrError, Subnet};
use crate::addr::mac::{Mac, MacError};
use crate::lab::topology::{LinkId, NodeId};

/// One address with its prefix length, as given: a text, a [`Cidr`], or a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddrArg(pub(crate) Result<Cidr, CidrError>);

/// A subnet as given: a text, a [`Subnet`], or a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetArg(pub(crate) Result<Subnet, CidrError>);

/// An Ethernet address as given: a text, a [`Mac`], or six octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacArg(pub(crate) Result<Mac, MacError>);

/// Where a route leads: an address, a text that is one, a node that has an address on a link of
/// the route's owner, or such a link itself: what lies in the destination is on that then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via(pub(crate) Gateway);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    Address(IpAddr),
    Node(NodeId),
    Link(LinkId),
    /// No address, in the words of the caller.
    Text(String),
}

/// An interface of a node: a link that ends there, or the interface's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface(pub(crate) Which);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Link(LinkId),
    Name(String),
}

/// Addresses of an interface: none (`()`), one, or an array, a `Vec` or a slice of them.
pub trait IntoAddrs {
    /// The addresses in order; the first of each family is the primary one.
    fn into_addrs(self) -> Vec<AddrArg>;
}

impl IntoAddrs for () {
    fn into_addrs(self) -> Vec<AddrArg> {
        Vec::new()
    }
}

impl<T: Into<AddrArg>, const N: usize> IntoAddrs for [T; N] {
    fn into_addrs(self) -> Vec<AddrArg> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<AddrArg>> IntoAddrs for Vec<T> {
    fn into_addrs(self) -> Vec<AddrArg> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<AddrArg> + Clone> IntoAddrs for &[T] {
    fn into_addrs(self) -> Vec<AddrArg> {
        self.iter().cloned().map(Into::into).collect()
    }
}

/// The ways to give one address or subnet.
macro_rules! given {
    ($given:ident, $value:ident) => {
        impl From<&str> for $given {
            fn from(text: &str) -> Self {
                Self(text.parse())
            }
        }

        impl From<String> for $given {
            fn from(text: String) -> Self {
                Self(text.parse())
            }
        }

        impl From<$value> for $given {
            fn from(value: $value) -> Self {
                Self(Ok(value))
            }
        }
    };
}

given!(AddrArg, Cidr);
given!(SubnetArg, Subnet);
given!(MacArg, Mac);

macro_rules! pairs {
    ($($address:ident),*) => {$(
        impl From<($address, u8)> for AddrArg {
            fn from((address, prefix): ($address, u8)) -> Self {
                Self(Cidr::new(address, prefix))
            }
        }

        impl From<($address, u8)> for SubnetArg {
            fn from((network, prefix): ($address, u8)) -> Self {
                Self(Subnet::new(network, prefix))
            }
        }

        impl IntoAddrs for ($address, u8) {
            fn into_addrs(self) -> Vec<AddrArg> {
                vec![self.into()]
            }
        }

        impl From<$address> for Via {
            fn from(address: $address) -> Self {
                Self(Gateway::Address(address.into()))
            }
        }
    )*};
}

pairs!(IpAddr, Ipv4Addr, Ipv6Addr);

macro_rules! single {
    ($($given:ty),*) => {$(
        impl IntoAddrs for $given {
            fn into_addrs(self) -> Vec<AddrArg> {
                vec![self.into()]
            }
        }
    )*};
}

single!(&str, String, Cidr, AddrArg);

impl From<[u8; 6]> for MacArg {
    fn from(octets: [u8; 6]) -> Self {
        Self(Mac::new(octets))
    }
}

impl From<NodeId> for Via {
    fn from(node: NodeId) -> Self {
        Self(Gateway::Node(node))
    }
}

impl From<LinkId> for Via {
    fn from(link: LinkId) -> Self {
        Self(Gateway::Link(link))
    }
}

impl From<&str> for Via {
    fn from(text: &str) -> Self {
        Self(text.parse().map_or_else(|_| Gateway::Text(text.to_owned()), Gateway::Address))
    }
}

impl From<String> for Via {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<LinkId> for Interface {
    fn from(link: LinkId) -> Self {
        Self(Which::Link(link))
    }
}

impl From<&str> for Interface {
    fn from(name: &str) -> Self {
        Self(Which::Name(name.to_owned()))
    }
}

impl From<String> for Interface {
    fn from(name: String) -> Self {
        Self(Which::Name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_in_many_forms() {
        let loopback = (Ipv4Addr::new(10, 0, 0, 1), 24);
        let expected = vec![AddrArg(Ok("10.0.0.1/24".parse().unwrap()))];
        assert_eq!(().into_addrs(), []);
        assert_eq!("10.0.0.1/24".into_addrs(), expected);
        assert_eq!("10.0.0.1/24".to_owned().into_addrs(), expected);
        assert_eq!(loopback.into_addrs(), expected);
        assert_eq!([loopback].into_addrs(), expected);
        assert_eq!(vec!["10.0.0.1/24"].into_addrs(), expected);
        assert_eq!(["10.0.0.1/24"].as_slice().into_addrs(), expected);
        assert!(matches!(&"10.0.0.1".into_addrs()[..], [AddrArg(Err(_))]));
    }
}
