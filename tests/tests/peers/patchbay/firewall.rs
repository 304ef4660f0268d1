//! Firewalls of routers, without NAT, over both families.

use netns_test::lab::{Firewall, FirewallAction, FirewallDirection, Traffic};
use netns_test::netns_test;

use crate::behind::Office;

#[netns_test]
fn corporate_blocks_udp() {
    let office = Office::new(|_| Firewall::corporate());
    for ends in office.both() {
        office.udp_is_dropped(ends, 5000);
        office.udp_passes(ends, 53);
        office.tcp_passes(ends, 443);
        office.tcp_is_dropped(ends, 22);
    }
}

/// Before the guest has logged in, all but the portal is blocked.
#[netns_test]
fn captive_portal_blocks_udp() {
    let office = Office::new(|server| {
        let portal = Traffic::tcp(80).to(server);
        Firewall::new().allow_out(portal).deny_out().deny_in()
    });
    for ends in office.both() {
        for port in [53, 443, 5000] {
            office.udp_is_dropped(ends, port);
        }
        office.tcp_passes(ends, 80);
    }
}

#[netns_test]
fn custom_selective() {
    let office = Office::new(|_| Firewall::new().allow_out(Traffic::udp(5000)).deny_out());
    for ends in office.both() {
        office.udp_passes(ends, 5000);
        office.udp_is_dropped(ends, 5001);
        office.tcp_is_dropped(ends, 5000);
    }
}

/// Checks that the inside talks to the outside, and the outside not to the inside.
fn blocks_inbound(office: &Office) {
    for ends in office.both() {
        // With an answer.
        office.udp_passes(ends, 5000);
        office.tcp_passes(ends, 5000);
        office.udp_is_dropped(ends.reversed(), 5000);
        office.tcp_is_dropped(ends.reversed(), 5000);
    }
}

#[netns_test]
fn block_inbound_drops_unsolicited() {
    blocks_inbound(&Office::new(|_| Firewall::home()));
}

#[netns_test]
fn custom_block_inbound() {
    let (way, all) = (FirewallDirection::In, Traffic::any());
    blocks_inbound(&Office::new(|_| Firewall::new().rule(way, all, FirewallAction::Drop)));
}

#[netns_test]
fn runtime_change() -> netns_test::Result<()> {
    let office = Office::new(|_| Firewall::new());
    let router = &office.lab[office.office];
    let no_udp =
        Firewall::new().rule(FirewallDirection::Out, Traffic::all_udp(), FirewallAction::Drop);
    let uplink = office.uplink;
    for _ in 0..2 {
        office.both().into_iter().for_each(|ends| office.udp_passes(ends, 5000));
        router.set_firewall(no_udp.clone().outside(uplink))?;
        for ends in office.both() {
            office.udp_is_dropped(ends, 5000);
            office.tcp_passes(ends, 5000);
        }
        router.remove_firewall()?;
    }
    Ok(())
}
