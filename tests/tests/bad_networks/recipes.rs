//! The recipes of docs/BAD-NETWORKS.md.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use netns_test::lab::{Impairment, Packet, Schedule};
use netns_test::{Topology, netns_test};

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(40);

#[netns_test]
fn a_download_over_a_bad_wifi() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (laptop, point, server) = (net.host("laptop"), net.router("point"), net.host("server"));
    let air = net.link(laptop, point).impair(Impairment::wifi_bad()).id();
    net.link(point, server);
    let lab = net.build()?;

    let listener = lab[server].run(|| TcpListener::bind("[::]:80")).unwrap();
    lab[server].spawn_thread(move || {
        let mut connection = listener.accept().unwrap().0;
        connection.write_all(&[7; 100_000]).unwrap();
    });
    let mut got = Vec::new();
    let mut connection = lab[laptop].run(|| TcpStream::connect("server:80")).unwrap();
    connection.read_to_end(&mut got).unwrap();
    assert!(got == [7; 100_000]);
    println!("{}", lab[air].stats()?);
    for lost in lab[air].losses()? {
        println!("{lost:?}");
    }
    Ok(())
}

#[netns_test]
fn a_question_waits_behind_an_upload() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let uplink = Impairment::new().rate("1mbit").queue_bytes(250_000);
    net.link(client, server).impair_from(client, uplink);
    let lab = net.build()?;

    let to = (lab[server].ipv4(), 7);
    let near = lab[client].run(|| UdpSocket::bind("0.0.0.0:8")).unwrap();
    let far = lab[server].run(|| UdpSocket::bind(to)).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 1500];
    // The first packet waits for an Ethernet address.
    near.send_to(b"hello", to).unwrap();
    far.recv(&mut buffer).unwrap();

    let start = Instant::now();
    for _ in 0..100 {
        near.send_to(&[0; 1250], to).unwrap();
    }
    near.send_to(b"question", to).unwrap();
    while far.recv(&mut buffer).unwrap() != b"question".len() {}
    // The upload, 125,000 bytes without headers, takes a second.
    assert!(start.elapsed() >= 1000 * MS);
    Ok(())
}

#[netns_test]
fn a_connection_over_a_satellite() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (ship, shore) = (net.host("ship"), net.host("shore"));
    net.link(ship, shore).impair(Impairment::geo_satellite());
    let lab = net.build()?;
    let _listener = lab[shore].run(|| TcpListener::bind("[::]:80")).unwrap();
    let start = Instant::now();
    lab[ship].run(|| TcpStream::connect("shore:80")).unwrap();
    // A limit of half a second, as for a program on a local network, would be too short.
    assert!(start.elapsed() >= 744 * MS);
    Ok(())
}

#[netns_test]
fn an_upload_over_dsl() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (home, provider) = (net.host("home"), net.host("provider"));
    // The first direction of a condition is that from the subscriber.
    net.link(home, provider).impair(Impairment::dsl());
    let lab = net.build()?;
    let listener = lab[provider].run(|| TcpListener::bind("[::]:80")).unwrap();
    let start = Instant::now();
    let mut near = lab[home].run(|| TcpStream::connect("provider:80")).unwrap();
    let mut far = listener.accept().unwrap().0;
    let upload = std::thread::spawn(move || near.write_all(&[7; 50_000]).unwrap());
    let mut got = Vec::new();
    far.read_to_end(&mut got).unwrap();
    upload.join().unwrap();
    assert!(got == [7; 50_000]);
    // 384 kbit/s are 48,000 bytes a second. The download would take 270 ms.
    assert!(start.elapsed() >= 1000 * MS);
    Ok(())
}

#[netns_test]
fn large_packets_vanish() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let wan = net.link(client, server).impairable().id();
    let lab = net.build()?;
    let listener = lab[server].run(|| TcpListener::bind("[::]:80")).unwrap();
    let hole = lab[wan].on(Packet::any().longer_than(1400)).from(server).drop()?;

    // A connection and small messages come through, which is what misleads people.
    let mut near = lab[client].run(|| TcpStream::connect("server:80")).unwrap();
    let mut far = listener.accept().unwrap().0;
    let mut buffer = [0; 20_000];
    far.write_all(b"hello").unwrap();
    near.read_exact(&mut buffer[..5]).unwrap();
    far.write_all(&[7; 20_000]).unwrap();
    near.set_read_timeout(Some(300 * MS)).unwrap();
    assert_eq!(near.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(hole.hits() > 0);
    drop(hole); // The path is repaired.
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    near.read_exact(&mut buffer).unwrap();
    Ok(())
}

#[netns_test]
fn a_transfer_outlives_a_flapping_link() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, router, server) = (net.host("client"), net.router("router"), net.host("server"));
    net.link(client, router);
    let wan = net.link(router, server).impair(Impairment::new().rate("2mbit")).id();
    let lab = net.build()?;
    let listener = lab[server].run(|| TcpListener::bind("[::]:80")).unwrap();
    let mut near = lab[client].run(|| TcpStream::connect("server:80")).unwrap();
    let mut far = listener.accept().unwrap().0;

    // Three times down for 50 ms, with 150 ms between.
    let flaps = Schedule::new().flap(wan, 50 * MS, 50 * MS, 150 * MS, 3);
    let running = lab.start_schedule(&flaps)?;
    let upload = std::thread::spawn(move || near.write_all(&[7; 150_000]).unwrap());
    let mut got = Vec::new();
    far.read_to_end(&mut got).unwrap();
    upload.join().unwrap();
    running.wait()?;
    assert!(got == [7; 150_000]);
    Ok(())
}

#[netns_test]
fn a_follower_is_heard_and_hears_nothing() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (leader, follower) = (net.host("leader"), net.host("follower"));
    net.link(leader, follower);
    let lab = net.build()?;
    let [at_leader, at_follower] = [leader, follower].map(|node| {
        let socket = lab[node].run(|| UdpSocket::bind((lab[node].ipv4(), 7))).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    });
    let [to_leader, to_follower] = [&at_leader, &at_follower].map(|end| end.local_addr().unwrap());
    let mut buffer = [0; 8];

    let cut = lab.partition_one_way(&[leader], &[follower])?;
    at_leader.send_to(b"lost", to_follower).unwrap();
    at_follower.send_to(b"vote", to_leader).unwrap();
    at_leader.recv(&mut buffer).unwrap();
    cut.heal()?;
    at_leader.send_to(b"append", to_follower).unwrap();
    let length = at_follower.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"append");
    Ok(())
}

#[netns_test]
fn answers_wait_until_they_are_released() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let wan = net.link(client, server).impairable().id();
    let lab = net.build()?;
    let listener = lab[server].run(|| TcpListener::bind("[::]:80")).unwrap();
    let mut near = lab[client].run(|| TcpStream::connect("server:80")).unwrap();
    let mut far = listener.accept().unwrap().0;
    let mut buffer = [0; 3];

    // The requests arrive, the answers do not: the client cannot know what was done.
    lab[wan].hold_from(server)?;
    near.write_all(b"put").unwrap();
    far.read_exact(&mut buffer).unwrap();
    far.write_all(b"ok!").unwrap();
    near.set_read_timeout(Some(300 * MS)).unwrap();
    assert_eq!(near.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    lab[wan].release()?;
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    near.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"ok!");
    Ok(())
}

#[netns_test]
fn the_third_connection_is_slow() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let wan = net.link(client, server).impairable().id();
    let lab = net.build()?;
    let _listener = lab[server].run(|| TcpListener::bind("[::]:80")).unwrap();
    let lost = lab[wan].on(Packet::tcp().source_port(80).syn_ack()).nth(3).drop()?;
    for hits in [0, 0, 1, 1] {
        // The kernel sends the SYN again after a second.
        lab[client].run(|| TcpStream::connect("server:80")).unwrap();
        assert_eq!(lost.hits(), hits);
    }
    Ok(())
}
