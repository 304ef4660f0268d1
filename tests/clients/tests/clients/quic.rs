//! QUIC (RFC 9000) by `quinn`.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;

use netns_test::lab::Impairment;
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::{ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};

use crate::site::{ANSWER, REQUEST, Site, bytes, over_both};

/// Certificate of `server`, signed by itself and valid for a hundred years:
/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server
/// -addext subjectAltName=DNS:server -addext basicConstraints=critical,CA:FALSE -days 36500`.
const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.der");

/// Private key of the certificate, by `openssl pkcs8 -topk8 -nocrypt`.
const KEY: &[u8] = include_bytes!("tls/key.der");

/// Sends bytes on a stream and receives others, over both families at once.
pub(crate) async fn over(impairment: Impairment) {
    over_both(impairment, exchange).await;
}

async fn exchange(site: &Site, address: IpAddr) {
    let to = (address, 443).into();
    let socket = site.lab[site.server].run(|| UdpSocket::bind(to)).unwrap();
    let server = tokio::spawn(serve(endpoint(socket, Some(server_config()))));

    let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = site.lab[site.client].run(|| UdpSocket::bind((any, 0))).unwrap();
    let endpoint = endpoint(socket, None);
    let connecting = endpoint.connect_with(client_config(), to, "server").unwrap();
    let connection = connecting.await.unwrap();
    let (mut sender, mut receiver) = connection.open_bi().await.unwrap();
    sender.write_all(&bytes(REQUEST)).await.unwrap();
    sender.finish().unwrap();
    assert!(receiver.read_to_end(2 * ANSWER).await.unwrap() == bytes(ANSWER));
    connection.close(0_u8.into(), b"");
    // Until then the endpoint answers what comes late.
    server.await.unwrap();
    drop(endpoint);
}

async fn serve(endpoint: Endpoint) {
    let connection = endpoint.accept().await.unwrap().await.unwrap();
    let (mut sender, mut receiver) = connection.accept_bi().await.unwrap();
    assert!(receiver.read_to_end(2 * REQUEST).await.unwrap() == bytes(REQUEST));
    sender.write_all(&bytes(ANSWER)).await.unwrap();
    sender.finish().unwrap();
    // Until the client has acknowledged the answer, or closed the connection.
    drop(sender.stopped().await);
}

fn endpoint(socket: UdpSocket, config: Option<ServerConfig>) -> Endpoint {
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new(EndpointConfig::default(), config, socket, runtime).unwrap()
}

fn server_config() -> ServerConfig {
    let key = PrivatePkcs8KeyDer::from(KEY);
    ServerConfig::with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key.into()).unwrap()
}

fn client_config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(CERTIFICATE)).unwrap();
    ClientConfig::with_root_certificates(Arc::new(roots)).unwrap()
}
