//! Tests of gateflow. Its delay is on `lo`; here it is on a link of the test's own network, or of a
//! node that the test enters.

use netns_test::lab::Impairment;
use netns_test::{Topology, netns_test};

use crate::net::{MS, both};

/// A delay and a loss are declared where the test begins, in place of the attribute.
#[netns_test]
fn isolated_net_accepts_chaos_parameters() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (own, server) = (net.local(), net.host("server"));
    let wire = net.link(own, server).impair(Impairment::new().delay(20 * MS).loss("1%")).id();
    let lab = net.build()?;
    let [forth, _] = lab[wire].impairments()?;
    assert_eq!(forth.to_string(), "loss 1%, delay 20ms");
    assert!(both(&lab, own, server)[0].datagrams(1, 100) >= 20 * MS);
    Ok(())
}

mod sandbox {
    use std::io::{Read as _, Write as _};
    use std::net::{IpAddr, TcpListener, TcpStream};
    use std::time::Instant;

    use netns_test::lab::Impairment;
    use netns_test::{Topology, netns_test};

    use crate::net::MS;

    /// The test itself, without a call of the lab, talks over the slow link.
    #[netns_test]
    fn sandbox_chaos_applies_real_kernel_delay() -> netns_test::Result<()> {
        let mut net = Topology::new();
        let (own, server) = (net.local(), net.host("server"));
        net.link(own, server).impair(Impairment::new().delay(50 * MS));
        let lab = net.build()?;
        let listener = lab[server].run(|| TcpListener::bind("[::]:80")).unwrap();
        for to in [IpAddr::from(lab[server].ipv4()), lab[server].ipv6().into()] {
            let start = Instant::now();
            let mut near = TcpStream::connect((to, 80)).unwrap();
            near.write_all(b"hello").unwrap();
            listener.accept().unwrap().0.read_exact(&mut [0; 5]).unwrap();
            assert!(start.elapsed() >= 150 * MS);
        }
        Ok(())
    }
}

mod netns {
    use std::net::UdpSocket;
    use std::time::Instant;

    use netns_test::lab::Impairment;
    use netns_test::{Topology, netns_test};

    use crate::net::{MS, PATIENCE, take};

    /// A thread enters the network of the node, and has its slow link.
    #[netns_test]
    fn fork_and_enter_with_chaos_applies_real_kernel_delay() -> netns_test::Result<()> {
        let mut net = Topology::new();
        let (client, server) = (net.host("client"), net.host("server"));
        net.link(client, server).impair(Impairment::new().delay(50 * MS));
        let lab = net.build()?;
        let to = (lab[server].ipv4(), 7);
        let far = lab[server].run(|| UdpSocket::bind(to)).unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        let inside = lab[client].enter()?;
        let near = UdpSocket::bind("0.0.0.0:0").unwrap();
        let start = Instant::now();
        near.send_to(b"hello", to).unwrap();
        assert_eq!(take(&far), b"hello");
        assert!(start.elapsed() >= 50 * MS);
        drop(inside);
        Ok(())
    }
}
