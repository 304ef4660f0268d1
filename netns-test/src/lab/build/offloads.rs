//! Offloads that the ends of a link do not have, by their names in ethtool(8). The settings of an
//! interface stay when it moves to another network.

use crate::lab::impair::engine::takes_udp_segmentation;
use crate::lab::plan::LinkPlan;

/// Offloads of a link whose frames are to be as on a wire. Others need them, and go with them.
const ALL: [&str; 5] = [
    "tx-checksum-ip-generic",
    "tx-generic-segmentation",
    "tx-scatter-gather",
    "tx-udp-segmentation",
    "rx-gro",
];

/// Segmentations of tunnels and others that a packet socket cannot describe
/// (`virtio_net_hdr_from_skb` of `linux/virtio_net.h`): the kernel would drop such frames.
const OF_TUNNELS: [&str; 9] = [
    "tx-gre-segmentation",
    "tx-gre-csum-segmentation",
    "tx-ipxip4-segmentation",
    "tx-ipxip6-segmentation",
    "tx-udp_tnl-segmentation",
    "tx-udp_tnl-csum-segmentation",
    "tx-sctp-segmentation",
    "tx-checksum-sctp",
    "tx-gso-list",
];

/// Returns the offloads that are turned off at the ends of a link.
pub(crate) fn unwanted(link: &LinkPlan) -> Vec<&'static str> {
    let mut all = Vec::new();
    if link.impairments.is_some() {
        all.extend(OF_TUNNELS);
        if !takes_udp_segmentation() {
            all.push("tx-udp-segmentation");
        }
    }
    if !link.offloads {
        all.extend(ALL);
    }
    all
}
