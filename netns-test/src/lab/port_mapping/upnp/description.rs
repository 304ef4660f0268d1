//! Descriptions of the device and its services, as XML. Pure.

use crate::lab::port_mapping::upnp::xml::escaped;

pub(super) const DEVICES: [&str; 3] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:WANDevice:1",
    "urn:schemas-upnp-org:device:WANConnectionDevice:1",
];

pub(super) const SERVICES: [&str; 2] = [
    "urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
];

/// Paths of the services: control, and description, in the order of [`SERVICES`].
pub(super) const CONTROLS: [&str; 2] = ["/control/common", "/control/ip"];
const SCPDS: [&str; 2] = ["/common.xml", "/ip.xml"];

/// Arguments of an action, with the state variable that each is about.
type Arguments = &'static [(&'static str, &'static str)];

/// An action of a service: name, arguments in, arguments out.
pub(super) type Action = (&'static str, Arguments, Arguments);

const REMOTE: (&str, &str) = ("NewRemoteHost", "RemoteHost");
const EXTERNAL: (&str, &str) = ("NewExternalPort", "ExternalPort");
const PROTOCOL: (&str, &str) = ("NewProtocol", "PortMappingProtocol");
const INTERNAL: (&str, &str) = ("NewInternalPort", "InternalPort");
const CLIENT: (&str, &str) = ("NewInternalClient", "InternalClient");
const ENABLED: (&str, &str) = ("NewEnabled", "PortMappingEnabled");
const TEXT: (&str, &str) = ("NewPortMappingDescription", "PortMappingDescription");
const LEASE: (&str, &str) = ("NewLeaseDuration", "PortMappingLeaseDuration");

/// Actions of `WANCommonInterfaceConfig:1`.
const COMMON: &[Action] = &[(
    "GetCommonLinkProperties",
    &[],
    &[
        ("NewWANAccessType", "WANAccessType"),
        ("NewLayer1UpstreamMaxBitRate", "Layer1UpstreamMaxBitRate"),
        ("NewLayer1DownstreamMaxBitRate", "Layer1DownstreamMaxBitRate"),
        ("NewPhysicalLinkStatus", "PhysicalLinkStatus"),
    ],
)];

/// Actions of `WANIPConnection:1`.
const IP: &[Action] = &[
    (
        "GetConnectionTypeInfo",
        &[],
        &[
            ("NewConnectionType", "ConnectionType"),
            ("NewPossibleConnectionTypes", "PossibleConnectionTypes"),
        ],
    ),
    (
        "GetStatusInfo",
        &[],
        &[
            ("NewConnectionStatus", "ConnectionStatus"),
            ("NewLastConnectionError", "LastConnectionError"),
            ("NewUptime", "Uptime"),
        ],
    ),
    (
        "GetNATRSIPStatus",
        &[],
        &[("NewRSIPAvailable", "RSIPAvailable"), ("NewNATEnabled", "NATEnabled")],
    ),
    (
        "GetGenericPortMappingEntry",
        &[("NewPortMappingIndex", "PortMappingNumberOfEntries")],
        &[REMOTE, EXTERNAL, PROTOCOL, INTERNAL, CLIENT, ENABLED, TEXT, LEASE],
    ),
    (
        "GetSpecificPortMappingEntry",
        &[REMOTE, EXTERNAL, PROTOCOL],
        &[INTERNAL, CLIENT, ENABLED, TEXT, LEASE],
    ),
    ("AddPortMapping", &[REMOTE, EXTERNAL, PROTOCOL, INTERNAL, CLIENT, ENABLED, TEXT, LEASE], &[]),
    ("DeletePortMapping", &[REMOTE, EXTERNAL, PROTOCOL], &[]),
    ("GetExternalIPAddress", &[], &[("NewExternalIPAddress", "ExternalIPAddress")]),
];

/// Actions of each service.
pub(super) const ACTIONS: [&[Action]; 2] = [COMMON, IP];

/// Types of state variables that are no strings.
const TYPES: [(&str, &str); 11] = [
    ("ExternalPort", "ui2"),
    ("InternalPort", "ui2"),
    ("PortMappingNumberOfEntries", "ui2"),
    ("PortMappingEnabled", "boolean"),
    ("RSIPAvailable", "boolean"),
    ("NATEnabled", "boolean"),
    ("PortMappingLeaseDuration", "ui4"),
    ("Uptime", "ui4"),
    ("Layer1UpstreamMaxBitRate", "ui4"),
    ("Layer1DownstreamMaxBitRate", "ui4"),
    ("LastConnectionError", "string"),
];

/// Returns a document by its path.
pub(super) fn document(path: &str, node: &str) -> Option<String> {
    if path == "/description.xml" || path == "/" {
        return Some(root(node));
    }
    SCPDS.iter().position(|one| *one == path).map(|at| service(ACTIONS[at]))
}

/// Returns the unique name of the device of a node: the same for the same name of the node.
pub(crate) fn unique(node: &str) -> String {
    // FNV-1a.
    let hash = |start: u64| {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        node.bytes().fold(start, step)
    };
    let (high, low) = (hash(0xcbf2_9ce4_8422_2325), hash(0x9747_b28c_8422_2325));
    format!(
        "{:08x}-{:04x}-5{:03x}-a{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

fn root(node: &str) -> String {
    let uuid = unique(node);
    let service = |at: usize, id: &str| {
        let (kind, control, scpd) = (SERVICES[at], CONTROLS[at], SCPDS[at]);
        format!(
            "<serviceList><service><serviceType>{kind}</serviceType>\
             <serviceId>urn:upnp-org:serviceId:{id}</serviceId><SCPDURL>{scpd}</SCPDURL>\
             <controlURL>{control}</controlURL><eventSubURL>/event</eventSubURL></service>\
             </serviceList>"
        )
    };
    let device = |at: usize, inside: &str| {
        let (kind, name) = (DEVICES[at], escaped(node));
        format!(
            "<device><deviceType>{kind}</deviceType><friendlyName>{name}</friendlyName>\
             <manufacturer>netns-test</manufacturer><modelName>{name}</modelName>\
             <UDN>uuid:{uuid}</UDN>{inside}</device>"
        )
    };
    let connection = device(2, &service(1, "WANIPConn1"));
    let inside = format!("{}<deviceList>{connection}</deviceList>", service(0, "WANCommonIFC1"));
    let wan = device(1, &inside);
    let gateway = device(0, &format!("<deviceList>{wan}</deviceList>"));
    format!(
        "<?xml version=\"1.0\"?>\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\"><specVersion>\
         <major>1</major><minor>0</minor></specVersion>{gateway}</root>\n"
    )
}

fn service(actions: &[Action]) -> String {
    let mut variables: Vec<&str> = Vec::new();
    let mut text = String::from(
        "<?xml version=\"1.0\"?>\n<scpd xmlns=\"urn:schemas-upnp-org:service-1-0\"><specVersion>\
         <major>1</major><minor>0</minor></specVersion><actionList>",
    );
    for (name, into, out) in actions {
        text.push_str(&format!("<action><name>{name}</name><argumentList>"));
        let arguments = into.iter().map(|one| (one, "in"));
        for ((argument, variable), direction) in arguments.chain(out.iter().map(|one| (one, "out")))
        {
            text.push_str(&format!(
                "<argument><name>{argument}</name><direction>{direction}</direction>\
                 <relatedStateVariable>{variable}</relatedStateVariable></argument>"
            ));
            if !variables.contains(variable) {
                variables.push(variable);
            }
        }
        text.push_str("</argumentList></action>");
    }
    text.push_str("</actionList><serviceStateTable>");
    for variable in variables {
        let of_type = TYPES.iter().find(|(name, _)| *name == variable);
        let kind = of_type.map_or("string", |(_, kind)| kind);
        text.push_str(&format!(
            "<stateVariable sendEvents=\"no\"><name>{variable}</name><dataType>{kind}</dataType>\
             </stateVariable>"
        ));
    }
    text.push_str("</serviceStateTable></scpd>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::port_mapping::upnp::xml::Element;

    #[test]
    fn the_device_has_both_services() {
        let root = Element::parse(&document("/description.xml", "a & b").unwrap()).unwrap();
        let inner = |one: &Element| -> Element {
            one.child("deviceList").and_then(|list| list.child("device")).unwrap().clone()
        };
        let gateway = root.child("device").unwrap().clone();
        assert_eq!(gateway.child("friendlyName").unwrap().text, "a & b");
        let (wan, connection) = (inner(&gateway), inner(&inner(&gateway)));
        for (device, kind) in [(&wan, SERVICES[0]), (&connection, SERVICES[1])] {
            let service = device.child("serviceList").unwrap().child("service").unwrap();
            assert_eq!(service.child("serviceType").unwrap().text, kind);
            let scpd = &service.child("SCPDURL").unwrap().text;
            let scpd = Element::parse(&document(scpd, "").unwrap()).unwrap();
            assert!(!scpd.child("actionList").unwrap().children.is_empty());
        }
        assert_eq!(document("/other.xml", ""), None);
        assert_ne!(unique("home"), unique("office"));
        assert_eq!(unique("home").len(), 36);
    }
}
