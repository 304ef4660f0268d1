//! The requests that add and remove routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{
    RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use crate::addr::cidr::Subnet;
use crate::netlink::Request;

/// The position of a new route among those to the same destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Replaces the one with the same metric, if there is one.
    Instead,
    /// Before all others, which stay. In IPv6 the metric determines the order.
    Before { metric: Option<u32> },
}

/// Adds a route.
pub(crate) fn add(
    object: String,
    destination: Subnet,
    (via, index): (Option<IpAddr>, Option<u32>),
    rank: Rank,
) -> Request {
    let mut message = route_message(destination, via, index);
    let flags = match rank {
        Rank::Instead => NLM_F_CREATE | NLM_F_REPLACE,
        Rank::Before { metric: None } => NLM_F_CREATE,
        Rank::Before { metric: Some(metric) } => {
            message.attributes.push(RouteAttribute::Priority(metric));
            NLM_F_CREATE | NLM_F_REPLACE
        }
    };
    Request::new("add", object, RouteNetlinkMessage::NewRoute(message), flags)
}

/// Adds a route that discards packets without an error to their sender.
pub(crate) fn add_black_hole(object: String, destination: Subnet) -> Request {
    let mut message = route_message(destination, None, None);
    message.header.kind = RouteType::BlackHole;
    message.header.scope = RouteScope::Universe;
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    Request::new("add", object, RouteNetlinkMessage::NewRoute(message), flags)
}

/// Removes the route to a destination, with any next hop and of any origin.
pub(crate) fn remove(object: String, destination: Subnet) -> Request {
    let mut message = route_message(destination, None, None);
    message.header.scope = RouteScope::NoWhere;
    message.header.protocol = RouteProtocol::Unspec;
    message.header.kind = RouteType::Unspec;
    Request::new("remove", object, RouteNetlinkMessage::DelRoute(message), 0)
}

fn route_message(destination: Subnet, via: Option<IpAddr>, index: Option<u32>) -> RouteMessage {
    let prefix = destination.prefix();
    match destination.network() {
        IpAddr::V4(network) => {
            let mut builder =
                RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(network, prefix);
            if let Some(index) = index {
                builder = builder.output_interface(index);
            }
            match via {
                Some(IpAddr::V4(via)) => builder.gateway(via).build(),
                Some(IpAddr::V6(via)) => builder.via(via).build(),
                None => builder.scope(RouteScope::Link).build(),
            }
        }
        IpAddr::V6(network) => {
            let mut builder =
                RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(network, prefix);
            if let Some(index) = index {
                builder = builder.output_interface(index);
            }
            match via {
                Some(IpAddr::V6(via)) => builder.gateway(via).build(),
                _ => builder.build(),
            }
        }
    }
}
