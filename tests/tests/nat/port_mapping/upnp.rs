//! UPnP: by the client `igd-next`, and by requests of odd clients.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};

use igd_next::PortMappingProtocol::UDP;
use netns_test::lab::{NodeId, PortMapping, PortMappingProtocol};
use netns_test::{Lab, netns_test};

use super::lan::{self, Lan, inside_of, search};
use crate::home::{PATIENCE, udp};

#[netns_test]
fn a_peer_reaches_a_leased_port_and_not_before_or_after() {
    let (lab, lan) = lan::with(PortMapping::new().upnp());
    let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
    lan.send(&lab, 8000, "before");
    let gateway = search(&lab, lan.laptop).unwrap();
    assert_eq!(gateway.addr, SocketAddr::new(lan.gateway(&lab).into(), 5000));
    let on = &lab[lan.laptop];
    assert_eq!(on.run(|| gateway.get_external_ip()).unwrap(), lan.outside(&lab, 0).ip());
    lan.add_port(&lab, lan.laptop, (8000, 7000), 600).unwrap();
    lan.assert_arrives(&lab, 8000, &server, "leased");
    let entry = on.run(|| gateway.get_generic_port_mapping_entry(0)).unwrap();
    assert_eq!((entry.external_port, entry.internal_port), (8000, 7000));
    assert_eq!(entry.internal_client, inside_of(&lab, lan.laptop).to_string());
    assert_eq!(entry.port_mapping_description, "a test");
    assert!((1..=600).contains(&entry.lease_duration) && entry.enabled);
    assert!(on.run(|| gateway.get_generic_port_mapping_entry(1)).is_err());
    let [only] = &lan.leases(&lab)[..] else { panic!("{:?}", lan.leases(&lab)) };
    assert_eq!(only.leased_by, Some(PortMappingProtocol::Upnp));
    on.run(|| gateway.remove_port(UDP, 8000)).unwrap();
    assert!(on.run(|| gateway.remove_port(UDP, 8000)).is_err());
    lan.send(&lab, 8000, "after");
    let own = SocketAddr::new(inside_of(&lab, lan.laptop), 7000);
    let any = on.run(|| gateway.add_any_port(UDP, own, 0, "any")).unwrap();
    lan.assert_arrives(&lab, any, &server, "again");
    let requests = lan.requests(&lab);
    assert_eq!(requests[0], "UPnP: discover: done");
    assert_eq!(requests[1], "UPnP: external address: 203.0.113.1");
    let refused = "UPnP: unmap udp 8000: refused, code 714".to_owned();
    assert!(requests.contains(&refused), "{requests:?}");
}

/// Sends a request in pieces, and returns what comes until the end of the connection.
fn talk(lab: &Lab, (lan, host): (&Lan, NodeId), pieces: &[&str]) -> String {
    let to = SocketAddr::new(IpAddr::V4(lan.gateway(lab)), 5000);
    let mut stream = lab[host].run(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).unwrap();
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Body of a call of an action.
fn body(action: &str, arguments: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<SOAP-ENV:Envelope \
         xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\"><SOAP-ENV:Body><m:{action} \
         xmlns:m=\"urn:schemas-upnp-org:service:WANIPConnection:1\">{arguments}</m:{action}>\
         </SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )
}

const ACTION: &str = "SOAPACTION: \"urn:schemas-upnp-org:service:WANIPConnection:1#";

#[netns_test]
fn odd_clients() {
    let (lab, lan) = lan::with(PortMapping::all());
    let talk = |pieces: &[&str]| talk(&lab, (&lan, lan.laptop), pieces);
    let address = "<NewExternalIPAddress>203.0.113.1</NewExternalIPAddress>";
    let body = body("GetExternalIPAddress", "");
    let (half, rest) = body.split_at(body.len() / 2);
    let length = body.len();
    // Byte by byte, with headers in lower case, and HTTP/1.0.
    let slow = format!("POST /control/ip HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}");
    let bytes: Vec<String> = slow.chars().map(String::from).collect();
    let text = talk(&bytes.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(text.contains(address), "{text}");
    // In chunks, on a connection that stays open for a second request.
    let head = "POST /control/ip HTTP/1.1\r\nTransfer-Encoding: chunked\r\n";
    let chunks = format!("{:x}\r\n{half}\r\n{:x};x\r\n{rest}\r\n0\r\n\r\n", half.len(), rest.len());
    let action = format!("{ACTION}GetExternalIPAddress\"\r\n");
    let end = "GET /ip.xml HTTP/1.1\r\nConnection: close\r\n\r\n";
    let text = talk(&[head, &action, "\r\n", &chunks, end]);
    assert!(text.contains(address) && text.contains("<name>AddPortMapping</name>"), "{text}");
    // A client that waits.
    let head = format!(
        "POST http://192.168.1.3:5000/control/ip?x HTTP/1.1\r\nExpect: 100-continue\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    let text = talk(&[&head, &body]);
    assert!(text.contains(address), "{text}");
    // Mistakes.
    for (request, status) in [
        ("GET /nothing HTTP/1.0\r\n\r\n", "404"),
        ("SUBSCRIBE /event HTTP/1.0\r\n\r\n", "501"),
        ("PUT / HTTP/1.0\r\n\r\n", "405"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let text = talk(&[request]);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
    // A client that goes away in the middle.
    let to = SocketAddr::new(IpAddr::V4(lan.gateway(&lab)), 5000);
    drop(lab[lan.laptop].run(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap());
    assert!(talk(&[end]).contains("AddPortMapping"));
}

#[netns_test]
fn errors_of_actions() {
    let (lab, lan) = lan::with(PortMapping::all());
    let call = |action: &str, arguments: &str| {
        let body = body(action, arguments);
        let head = format!(
            "POST /control/ip HTTP/1.0\r\n{ACTION}{action}\"\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let text = talk(&lab, (&lan, lan.laptop), &[&head, &body]);
        let code = text.split_once("<errorCode>").map(|(_, rest)| rest[..3].to_owned());
        code.unwrap_or(text)
    };
    let key = |host: &str, port: &str| {
        format!(
            "<NewRemoteHost>{host}</NewRemoteHost><NewExternalPort>{port}</NewExternalPort>\
             <NewProtocol>UDP</NewProtocol>"
        )
    };
    let rest = "<NewInternalPort>7000</NewInternalPort><NewInternalClient>192.168.1.1\
                </NewInternalClient><NewEnabled>1</NewEnabled><NewLeaseDuration>0\
                </NewLeaseDuration>";
    assert_eq!(call("Nonsense", ""), "401");
    assert_eq!(call("AddPortMapping", ""), "402");
    assert_eq!(call("AddPortMapping", &(key("", "x") + rest)), "402");
    assert_eq!(call("AddPortMapping", &(key("", "0") + rest)), "716");
    assert_eq!(call("AddPortMapping", &(key("203.0.113.2", "8000") + rest)), "726");
    assert_eq!(call("GetSpecificPortMappingEntry", &key("", "8000")), "714");
    assert!(call("AddPortMapping", &(key("", "8000") + rest)).starts_with("HTTP/1.1 200 "));
    let entry = call("GetSpecificPortMappingEntry", &key("", "8000"));
    assert!(entry.contains("<NewLeaseDuration>0</NewLeaseDuration>"), "{entry}");
    assert!(call("GetStatusInfo", "").contains("Connected"));
    assert_eq!(lan.leases(&lab).len(), 1);
}
