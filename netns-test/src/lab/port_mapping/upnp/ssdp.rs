//! Messages of SSDP, by which clients find devices (UPnP Device Architecture 1.0, section 1). Pure.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::lab::port_mapping::upnp::SERVER;
use crate::lab::port_mapping::upnp::description::{DEVICES, SERVICES};
use crate::lab::port_mapping::upnp::http::Head;

/// Group and port of searches.
pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
pub(crate) const PORT: u16 = 1900;

/// Returns the target of a search, if a datagram is one.
pub(crate) fn search(bytes: &[u8]) -> Option<String> {
    // Some clients leave the last empty line out.
    let closed = [bytes, b"\r\n\r\n"].concat();
    let (head, _) = Head::parse(&closed)?;
    let [method, target, ..] = head.first.as_slice() else { return None };
    let is_search = method.eq_ignore_ascii_case("M-SEARCH") && target == "*";
    let man = head.header("man").unwrap_or_default().trim_matches('"');
    let is_search = is_search && man.eq_ignore_ascii_case("ssdp:discover");
    head.header("st").filter(|_| is_search).map(str::to_owned)
}

/// Returns the responses to a search: one for each device and service that it means.
pub(crate) fn responses(target: &str, device: &str, at: SocketAddrV4) -> Vec<Vec<u8>> {
    let own = format!("uuid:{device}");
    let typed = DEVICES.iter().chain(&SERVICES).map(|kind| (*kind).to_owned());
    let all = ["upnp:rootdevice".to_owned(), own.clone()].into_iter().chain(typed);
    let meant = all.filter(|one| target == "ssdp:all" || target == one);
    let response = |kind: String| {
        let name = if kind == own { own.clone() } else { format!("{own}::{kind}") };
        let text = format!(
            "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: \
             http://{at}/description.xml\r\nSERVER: {SERVER}\r\nST: {kind}\r\nUSN: {name}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        text.into_bytes()
    };
    meant.map(response).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";

    #[test]
    fn searches_of_all_sorts() {
        for text in [
            format!(
                "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\n\
                 MX: 2\r\nST: {TARGET}\r\n\r\n"
            ),
            format!("m-search * http/1.1\nst:{TARGET}\nman:ssdp:discover"),
        ] {
            assert_eq!(search(text.as_bytes()).as_deref(), Some(TARGET), "{text}");
        }
        for text in [
            "NOTIFY * HTTP/1.1\r\nNT: x\r\n\r\n",
            "M-SEARCH * HTTP/1.1\r\nST: x\r\n\r\n",
            "M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\n\r\n",
            "",
        ] {
            assert_eq!(search(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_response_for_each_thing_that_is_meant() {
        let at = "192.168.1.2:5000".parse().unwrap();
        let texts = |target: &str| -> Vec<String> {
            let all = responses(target, "1234", at).into_iter();
            all.map(|one| String::from_utf8(one).unwrap()).collect()
        };
        let [only] = &texts(TARGET)[..] else { panic!() };
        assert!(only.contains("\r\nLOCATION: http://192.168.1.2:5000/description.xml\r\n"));
        assert!(only.contains(&format!("\r\nST: {TARGET}\r\nUSN: uuid:1234::{TARGET}\r\n")));
        assert!(texts("uuid:1234")[0].contains("\r\nUSN: uuid:1234\r\n"));
        assert_eq!(texts("ssdp:all").len(), 2 + DEVICES.len() + SERVICES.len());
        assert_eq!(texts("urn:schemas-upnp-org:device:MediaServer:1"), [""; 0]);
    }
}
