//! Tests of turmoil. A partition of this crate is silent, and lasts for TCP until it is healed: the
//! kernel sends lost bytes again.

use netns_test::lab::{Action, Impairment, Packet};
use netns_test::{Topology, netns_test};

use crate::net::{Ends, MS, Pair, assert_silent, both, has_seen, take};

#[netns_test]
fn hold_release_peers() -> netns_test::Result<()> {
    let pair = Pair::new(Impairment::new());
    for ends in pair.both() {
        for ends in [ends, ends.reversed()] {
            let [near, far] = ends.sockets();
            pair.wan().hold()?;
            near.send(b"held").unwrap();
            assert_silent(&far);
            pair.wan().release()?;
            assert_eq!(take(&far), b"held");
        }
    }
    Ok(())
}

#[netns_test]
fn hold_all() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let switch = net.switch("switch");
    let [a, b, c] = ["a", "b", "c"].map(|name| {
        let host = net.host(name);
        net.link(host, switch);
        host
    });
    net.impairable_links();
    let lab = net.build()?;
    let pairs = [(a, b), (b, c), (c, a)].map(|(from, to)| both(&lab, from, to)).concat();
    let sockets: Vec<_> = pairs.into_iter().map(Ends::sockets).collect();
    lab.links().try_for_each(|link| link.hold())?;
    sockets.iter().for_each(|[near, _]| assert_eq!(near.send(b"held").unwrap(), 4));
    sockets.iter().for_each(|[_, far]| assert_silent(far));
    lab.links().try_for_each(|link| link.release())?;
    sockets.iter().for_each(|[_, far]| assert_eq!(take(far), b"held"));
    Ok(())
}

/// Messages wait one by one, and the test chooses when each arrives.
#[netns_test]
fn manual_message_delivery() -> netns_test::Result<()> {
    let pair = Pair::new(Impairment::new());
    for ends in pair.both() {
        let [near, far] = ends.sockets();
        let gate = pair.wan().on(Packet::udp().payload_contains("vote")).apply(Action::Hold)?;
        for (round, count) in ["vote 1", "vote 2", "vote 3"].into_iter().zip(1..) {
            near.send(round.as_bytes()).unwrap();
            near.send(b"news").unwrap();
            assert_eq!(take(&far), b"news");
            has_seen(&gate, count);
            // It lets go what waits; the rule holds the next one.
            pair.wan().release()?;
            assert_eq!(take(&far), round.as_bytes());
        }
    }
    Ok(())
}

#[netns_test]
fn partition_peers_oneway() -> netns_test::Result<()> {
    let pair = Pair::new(Impairment::new());
    for ends in pair.both() {
        let [near, far] = ends.sockets();
        let cut = pair.lab.partition_one_way(&[pair.client], &[pair.server])?;
        near.send(b"lost").unwrap();
        far.send(b"there").unwrap();
        assert_eq!(take(&near), b"there");
        assert_silent(&far);
        cut.heal()?;
        near.send(b"healed").unwrap();
        assert_eq!(take(&far), b"healed");
    }
    Ok(())
}

/// Cuts of both directions are made and healed in turns; each holds by itself.
#[netns_test]
fn partition_peers_oneway_many_cases() -> netns_test::Result<()> {
    let Pair { lab, client, server, .. } = &Pair::new(Impairment::new());
    for ends in both(lab, *client, *server) {
        let [near, far] = ends.sockets();
        let check = |forth: bool, back: bool| {
            near.send(b"forth").unwrap();
            far.send(b"back").unwrap();
            for (socket, text, is_open) in [(&far, "forth", forth), (&near, "back", back)] {
                if is_open {
                    assert_eq!(take(socket), text.as_bytes());
                } else {
                    assert_silent(socket);
                }
            }
        };
        check(true, true);
        let forth = lab.partition_one_way(&[*client], &[*server])?;
        check(false, true);
        let back = lab.partition_one_way(&[*server], &[*client])?;
        check(false, false);
        forth.heal()?;
        check(true, false);
        // A cut of both directions covers the one of one direction.
        let all = lab.partition(&[*client], &[*server])?;
        check(false, false);
        all.heal()?;
        check(true, false);
        back.heal()?;
        check(true, true);
        lab.partition_one_way(&[*client], &[*server])?;
        lab.heal()?;
        check(true, true);
    }
    Ok(())
}

#[netns_test]
fn override_link_latency() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let switch = net.switch("switch");
    let [(client, _), (near, _), (far, wire)] = ["client", "near", "far"].map(|name| {
        let host = net.host(name);
        (host, net.link(host, switch).id())
    });
    net.impairable_links();
    let lab = net.build()?;
    lab[wire].set_impairment(Impairment::new().delay(20 * MS))?;
    for (to_near, to_far) in both(&lab, client, near).into_iter().zip(both(&lab, client, far)) {
        assert!(to_far.round_trip() >= 40 * MS);
        to_near.is_faster_than(40 * MS);
    }
    Ok(())
}

mod udp {
    use netns_test::lab::{Impairment, Packet};
    use netns_test::netns_test;

    use crate::net::{MS, Pair, assert_silent, has_seen, take, watch};

    #[netns_test]
    fn bulk_transfer() {
        let pair = Pair::new(Impairment::new().loss("10%").delay(10 * MS).jitter(5 * MS));
        for ends in pair.both() {
            let arrived = ends.flood(pair.wan(), 300);
            assert!((240..295).contains(&arrived.len()), "{}", arrived.len());
            assert!(arrived.is_sorted());
        }
    }

    #[netns_test]
    fn hold_and_release() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        for ends in pair.both() {
            ends.round_trip();
            let [near, far] = ends.sockets();
            let seen = watch(pair.wan(), Packet::udp());
            pair.wan().hold()?;
            (0..3).for_each(|number| assert_eq!(near.send(&[number]).unwrap(), 1));
            has_seen(&seen, 3);
            assert_silent(&far);
            pair.wan().release()?;
            assert_eq!([0, 1, 2].map(|_| take(&far)), [[0], [1], [2]]);
        }
        Ok(())
    }
}

mod tcp {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::thread;

    use netns_test::lab::{Impairment, Packet};
    use netns_test::{Topology, netns_test};

    use crate::net::{
        Ends, MS, PATIENCE, Pair, assert_idle, assert_silent, both, fill, has_seen, take, watch,
    };

    /// A SYN is on its way when the partition begins, and is lost.
    #[netns_test]
    fn network_partitions_during_connect() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        for ends in pair.both() {
            ends.round_trip();
            let listener = ends.listener();
            let to = listener.local_addr().unwrap();
            let syn = watch(pair.wan(), Packet::tcp().syn());
            pair.wan().hold()?;
            thread::scope(|scope| -> netns_test::Result<()> {
                let connecting = scope.spawn(|| ends.connect(to, 500 * MS));
                has_seen(&syn, 1);
                let cut = pair.lab.partition(&[pair.client], &[pair.server])?;
                pair.wan().release()?;
                let failed = connecting.join().unwrap().unwrap_err();
                assert_eq!(failed.kind(), ErrorKind::TimedOut);
                cut.heal()
            })?;
            ends.connection_to(&listener);
        }
        Ok(())
    }

    /// A client that has left before its SYN arrives resets what the listener answers.
    #[netns_test]
    fn client_hangup_on_connect() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        for ends in pair.both() {
            ends.round_trip();
            let listener = ends.listener();
            let syn = watch(pair.wan(), Packet::tcp().syn());
            pair.wan().hold()?;
            let gone = ends.connect(listener.local_addr().unwrap(), 100 * MS).unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::TimedOut);
            has_seen(&syn, 1);
            pair.wan().release()?;
            // The next connection is the first one that the listener accepts.
            let [near, far] = ends.connection_to(&listener);
            assert_eq!(near.local_addr().unwrap(), far.peer_addr().unwrap());
            listener.set_nonblocking(true).unwrap();
            assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        Ok(())
    }

    #[netns_test]
    fn hold_and_release_once_connected() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        for ends in pair.both() {
            let [near, far] = &mut ends.connection();
            for (from, to) in [(&*near, &*far), (&*far, &*near)] {
                let (mut from, mut to) = (from, to);
                pair.wan().hold()?;
                from.write_all(b"held").unwrap();
                assert_idle(to);
                pair.wan().release()?;
                let mut got = [0; 4];
                to.read_exact(&mut got).unwrap();
                assert_eq!(&got, b"held");
            }
        }
        Ok(())
    }

    /// A client whose SYN is held does not keep another one from being accepted.
    #[netns_test]
    fn accept_front_of_line_blocking() -> netns_test::Result<()> {
        let mut net = Topology::new();
        let (switch, server) = (net.switch("switch"), net.host("server"));
        let (first, second) = (net.host("first"), net.host("second"));
        let wire = net.link(first, switch).impairable().id();
        net.link(second, switch);
        net.link(server, switch);
        let lab = net.build()?;
        for (first, second) in both(&lab, first, server).into_iter().zip(both(&lab, second, server))
        {
            first.round_trip();
            let listener = first.listener();
            let to = listener.local_addr().unwrap();
            let syn = watch(&lab[wire], Packet::tcp().syn());
            lab[wire].hold()?;
            thread::scope(|scope| {
                let held = scope.spawn(|| first.connect(to, PATIENCE).unwrap());
                has_seen(&syn, 1);
                let [near, far] = second.connection_to(&listener);
                assert_eq!(near.local_addr().unwrap(), far.peer_addr().unwrap());
                lab[wire].release().unwrap();
                let near = held.join().unwrap();
                let (_, from) = listener.accept().unwrap();
                assert_eq!(near.local_addr().unwrap(), from);
            });
        }
        Ok(())
    }

    /// A message that has left before the hold begins on a later link.
    #[netns_test]
    fn network_hold_holds_inflight_messages() -> netns_test::Result<()> {
        let mut net = Topology::new();
        let (client, router, server) = (net.host("client"), net.router("r"), net.host("server"));
        let links =
            [(client, router), (router, server)].map(|(a, b)| net.link(a, b).impairable().id());
        let lab = net.build()?;
        let [access, wan] = links.map(|link| &lab[link]);
        for ends in both(&lab, client, server) {
            let [mut near, mut far] = ends.connection();
            let seen = [access, wan].map(|link| watch(link, Packet::tcp().data()));
            access.hold()?;
            near.write_all(b"message").unwrap();
            has_seen(&seen[0], 1);
            wan.hold()?;
            access.release()?;
            has_seen(&seen[1], 1);
            assert_idle(&far);
            wan.release()?;
            far.read_exact(&mut [0; 7]).unwrap();
        }
        Ok(())
    }

    #[netns_test]
    fn tcp_write_backpressure_on_hold() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        for ends in pair.both() {
            let [mut near, far] = ends.connection();
            pair.wan().hold()?;
            near.set_write_timeout(Some(50 * MS)).unwrap();
            let written = fill(&mut near);
            assert_idle(&far);
            pair.wan().release()?;
            near.set_write_timeout(Some(PATIENCE)).unwrap();
            finish(near, far, written);
        }
        Ok(())
    }

    #[netns_test]
    fn tcp_try_write_returns_would_block_when_full() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        for ends in pair.both() {
            let [mut near, far] = ends.connection();
            pair.wan().hold()?;
            near.set_nonblocking(true).unwrap();
            let written = fill(&mut near);
            assert!(written > 0);
            assert_eq!(near.write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
            pair.wan().release()?;
            near.set_nonblocking(false).unwrap();
            finish(near, far, written);
        }
        Ok(())
    }

    /// Writes a last byte, which waits for room, and reads that and all before it.
    fn finish(mut near: std::net::TcpStream, mut far: std::net::TcpStream, written: usize) {
        thread::scope(|scope| {
            scope.spawn(move || near.write_all(b"x").unwrap());
            let mut got = Vec::new();
            far.read_to_end(&mut got).unwrap();
            assert_eq!(got.len(), written + 1);
        });
    }

    /// Sends a datagram, begins a partition while it is on its way, and checks that it is lost.
    fn lose_in_flight(pair: &Pair, ends: Ends<'_>, is_one_way: bool) -> netns_test::Result<()> {
        ends.round_trip();
        let [near, far] = ends.sockets();
        let (client, server) = ([pair.client], [pair.server]);
        let seen = watch(pair.wan(), Packet::udp());
        pair.wan().hold()?;
        near.send(b"lost").unwrap();
        has_seen(&seen, 1);
        let cut = if is_one_way {
            pair.lab.partition_one_way(&client, &server)?
        } else {
            pair.lab.partition(&client, &server)?
        };
        pair.wan().release()?;
        if is_one_way {
            far.send(b"back").unwrap();
            assert_eq!(take(&near), b"back");
        }
        assert_silent(&far);
        cut.heal()?;
        near.send(b"healed").unwrap();
        assert_eq!(take(&far), b"healed");
        Ok(())
    }

    #[netns_test]
    fn network_partition_oneway_drops_inflight_messages() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        pair.both().into_iter().try_for_each(|ends| lose_in_flight(&pair, ends, true))
    }

    #[netns_test]
    fn network_partition_drops_inflight_messages() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        pair.both().into_iter().try_for_each(|ends| lose_in_flight(&pair, ends, false))
    }

    /// The writer waits if its bytes are lost, and if their acknowledgements are.
    #[netns_test]
    fn tcp_backpressure_with_oneway_partition() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        let (client, server) = ([pair.client], [pair.server]);
        for ends in pair.both() {
            for (from, to) in [(&client, &server), (&server, &client)] {
                let [mut near, far] = ends.connection();
                let cut = pair.lab.partition_one_way(from, to)?;
                near.set_nonblocking(true).unwrap();
                let written = fill(&mut near);
                cut.heal()?;
                near.set_nonblocking(false).unwrap();
                finish(near, far, written);
            }
        }
        Ok(())
    }
}
