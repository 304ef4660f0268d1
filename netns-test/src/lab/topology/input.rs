//! Arguments of the builders: texts and values of several types. A text that cannot be parsed is
//! stored as its error, so that `Topology::plan` reports it together with all other errors. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addr::cidr::{Cidr, CidrError, Subnet};
use crate::addr::mac::{Mac, MacError};
use crate::lab::topology::id::{LinkId, NodeId};

/// An address with its prefix length: a text (`"10.0.0.1/24"`), a [`Cidr`], or a pair of address
/// and prefix length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddrArg(pub(crate) Result<Cidr, CidrError>);

/// A subnet: a text (`"10.0.0.0/24"`), a [`Subnet`], or a pair of its lowest address and prefix
/// length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetArg(pub(crate) Result<Subnet, CidrError>);

/// An Ethernet address: a text (`"02:00:00:00:00:01"`), a [`Mac`], or six octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacArg(pub(crate) Result<Mac, MacError>);

/// Next hop of a route: an address or its text, a node with an address on a segment of the route's
/// owner, or a link of the owner. A link means that the destination is on the link itself, without
/// a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via(pub(crate) Gateway);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    Address(IpAddr),
    Node(NodeId),
    Link(LinkId),
    /// A text that is not an address.
    Text(String),
}

/// An interface of a node: a link that ends there, or the interface's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceArg(pub(crate) InterfaceSelector);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceSelector {
    Link(LinkId),
    Name(String),
}

/// Addresses of an interface: none (`()`), one, or an array, a `Vec` or a slice of them.
pub trait IntoAddrs {
    /// Returns the addresses in order; the first of each family is the primary one.
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

/// Implements `From` for a text and for the parsed value.
macro_rules! from_text_or_value {
    ($argument:ident, $value:ident) => {
        impl From<&str> for $argument {
            fn from(text: &str) -> Self {
                Self(text.parse())
            }
        }

        impl From<String> for $argument {
            fn from(text: String) -> Self {
                Self(text.parse())
            }
        }

        impl From<$value> for $argument {
            fn from(value: $value) -> Self {
                Self(Ok(value))
            }
        }
    };
}

from_text_or_value!(AddrArg, Cidr);
from_text_or_value!(SubnetArg, Subnet);
from_text_or_value!(MacArg, Mac);

/// Implements the conversions from a type of address, alone and with a prefix length.
macro_rules! from_address {
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

from_address!(IpAddr, Ipv4Addr, Ipv6Addr);

/// Implements `IntoAddrs` for a type that holds one address.
macro_rules! one_address {
    ($($argument:ty),*) => {$(
        impl IntoAddrs for $argument {
            fn into_addrs(self) -> Vec<AddrArg> {
                vec![self.into()]
            }
        }
    )*};
}

one_address!(&str, String, Cidr, AddrArg);

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

impl From<LinkId> for InterfaceArg {
    fn from(link: LinkId) -> Self {
        Self(InterfaceSelector::Link(link))
    }
}

impl From<&str> for InterfaceArg {
    fn from(name: &str) -> Self {
        Self(InterfaceSelector::Name(name.to_owned()))
    }
}

impl From<String> for InterfaceArg {
    fn from(name: String) -> Self {
        Self(InterfaceSelector::Name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_text_a_value_or_a_pair() {
        let pair = (Ipv4Addr::new(10, 0, 0, 1), 24);
        let expected = vec![AddrArg(Ok("10.0.0.1/24".parse().unwrap()))];
        assert_eq!(().into_addrs(), []);
        assert_eq!("10.0.0.1/24".into_addrs(), expected);
        assert_eq!("10.0.0.1/24".to_owned().into_addrs(), expected);
        assert_eq!(pair.into_addrs(), expected);
        assert_eq!([pair].into_addrs(), expected);
        assert_eq!(vec!["10.0.0.1/24"].into_addrs(), expected);
        assert_eq!(["10.0.0.1/24"].as_slice().into_addrs(), expected);
        assert!(matches!(&"10.0.0.1".into_addrs()[..], [AddrArg(Err(_))]));
    }
}
