//! HTTP/2 (RFC 9113) by `h2`, without TLS.

use std::net::IpAddr;

use h2::RecvStream;
use http::{Request, Response};
use netns_test::lab::Impairment;
use tokio::net::{TcpListener, TcpSocket};

use crate::site::{ANSWER, REQUEST, Site, bytes, over_both};

/// Sends a request with a body and receives the answer, over both families at once.
pub(crate) async fn over(impairment: Impairment) {
    over_both(impairment, exchange).await;
}

async fn exchange(site: &Site, address: IpAddr) {
    let to = (address, 80).into();
    let listener = site.lab[site.server].run(|| std::net::TcpListener::bind(to)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let server = tokio::spawn(serve(TcpListener::from_std(listener).unwrap()));

    let socket = || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = site.lab[site.client].run(socket).unwrap();
    let stream = socket.connect(to).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = Request::post("http://server/").body(()).unwrap();
    let (answer, mut upload) = sender.send_request(request, false).unwrap();
    upload.send_data(bytes(REQUEST).into(), true).unwrap();
    let answer = answer.await.unwrap();
    assert!(body(answer.into_body()).await == bytes(ANSWER));
    // The connection ends with its last user.
    drop((sender, upload));
    connection.await.unwrap().unwrap();
    server.await.unwrap();
}

async fn serve(listener: TcpListener) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    let answer = tokio::spawn(async move {
        assert!(body(request.into_body()).await == bytes(REQUEST));
        let mut answer = respond.send_response(Response::new(()), false).unwrap();
        answer.send_data(bytes(ANSWER).into(), true).unwrap();
    });
    // There is no other request; this sends and receives until the client closes.
    assert!(connection.accept().await.is_none());
    answer.await.unwrap();
}

async fn body(mut body: RecvStream) -> Vec<u8> {
    let mut got = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        got.extend_from_slice(&part);
    }
    got
}
