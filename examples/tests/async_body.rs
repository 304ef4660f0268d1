//! `async fn` tests. The runtime is the one `#[tokio::test]` would make.

use std::io;
use std::time::Duration;

use netns_test::netns_test;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Instant, sleep};

#[netns_test(timeout = "5s")]
async fn echoes_over_ipv6() -> io::Result<()> {
    let listener = TcpListener::bind("[::1]:7").await?;
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await?;
        let (mut from, mut to) = client.split();
        tokio::io::copy(&mut from, &mut to).await
    });

    let mut client = TcpStream::connect("[::1]:7").await?;
    client.write_all(b"hello").await?;
    client.shutdown().await?;
    let mut echo = String::new();
    client.read_to_string(&mut echo).await?;
    assert_eq!(echo, "hello");
    assert_eq!(server.await.expect("the server does not panic")?, 5);
    Ok(())
}

#[netns_test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leads_out() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    // An address of the internet; here there is no route to it.
    let refused = socket.connect("1.1.1.1:53").await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::NetworkUnreachable);
    Ok(())
}

#[netns_test(start_paused = true)]
async fn a_day_passes_at_once() {
    let start = Instant::now();
    sleep(Duration::from_secs(86_400)).await;
    assert!(start.elapsed() >= Duration::from_secs(86_400));
}
