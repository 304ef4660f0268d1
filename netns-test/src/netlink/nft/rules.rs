//! Rules of nftables that drop or reject packets, and how many they have (nft(8),
//! `linux/netfilter/nf_tables.h`).

use std::io;
use std::net::IpAddr;

use crate::netlink::attr::{address, attributes};
use crate::netlink::nft::NFTABLES;
use crate::netlink::nft::comment::comment_in;
use crate::netlink::nft::socket::{HEAD, Nft};

/// A rule that counts packets and drops or rejects them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dropping {
    /// `inet filter`
    pub(crate) table: String,
    pub(crate) chain: String,
    /// The rule in the words of nft(8), as far as it is understood.
    pub(crate) text: String,
    /// `drop`, `reject`
    pub(crate) verdict: &'static str,
    pub(crate) packets: u64,
}

/// `NFT_MSG_GETRULE`
const GET: u16 = NFTABLES | 7;

/// Lists such rules of the calling thread's network namespace. A kernel without nftables loads the
/// module for that, if it has one.
pub(crate) fn dropping() -> io::Result<Vec<Dropping>> {
    let found = Nft::connect()?.dump(GET, &[0; HEAD])?;
    Ok(found.iter().filter_map(|body| rule(body)).collect())
}

/// Parses a rule. Returns none for one that has dropped nothing.
fn rule(body: &[u8]) -> Option<Dropping> {
    let (head, rest) = body.split_at_checked(HEAD)?;
    let (mut table, mut chain, mut expressions) = (String::new(), String::new(), Words::default());
    let mut comment = None;
    for one in attributes(rest) {
        match one.kind {
            1 => table = text(one.value),
            2 => chain = text(one.value),
            4 => attributes(one.value).iter().for_each(|one| expressions.take(one.value)),
            7 => comment = comment_in(one.value),
            _ => {}
        }
    }
    let (verdict, packets) =
        (expressions.verdict?, expressions.packets.filter(|count| *count > 0)?);
    let table = format!("{} {table}", family(head[0]));
    expressions.words.extend(comment.map(|text| format!("comment {text:?}")));
    Some(Dropping { table, chain, text: expressions.words.join(" "), verdict, packets })
}

/// The expressions of a rule, one after the other.
#[derive(Default)]
struct Words {
    words: Vec<String>,
    /// Value that was loaded for the next comparison.
    loaded: Option<Loaded>,
    packets: Option<u64>,
    verdict: Option<&'static str>,
}

/// A value of a packet.
#[derive(Clone)]
struct Loaded {
    name: String,
    form: Form,
}

/// How a value is shown.
#[derive(Clone, Copy)]
enum Form {
    Address,
    Number,
    Protocol,
    Text,
    Bytes,
}

impl Words {
    fn take(&mut self, expression: &[u8]) {
        let all = attributes(expression);
        let value = |kind: u16| all.iter().find(|one| one.kind == kind).map(|one| one.value);
        let name = value(1).map(text).unwrap_or_default();
        let data = attributes(value(2).unwrap_or_default());
        let field = |kind: u16| data.iter().find(|one| one.kind == kind).map(|one| one.value);
        let number = |kind: u16| field(kind).and_then(big).unwrap_or(0);
        match name.as_str() {
            "counter" => {
                let packets = number(2);
                self.packets = Some(packets);
                self.words.push(format!("counter packets {packets}"));
            }
            "meta" => self.loaded = Some(meta(number(2))),
            "payload" => self.loaded = Some(payload(number(2), number(3), number(4))),
            "cmp" => {
                let value = field(3).and_then(|data| {
                    attributes(data).iter().find(|one| one.kind == 1).map(|one| one.value)
                });
                self.compare(number(2), value.unwrap_or_default());
            }
            "immediate" => self.immediate(field(2).unwrap_or_default()),
            "reject" => {
                self.verdict = Some("reject");
                let with = if number(1) == 1 { "reject with tcp reset" } else { "reject" };
                self.words.push(with.to_owned());
            }
            // What iptables-nft writes.
            "target" if field(1).map(text).as_deref() == Some("REJECT") => {
                self.verdict = Some("reject");
                self.words.push("reject".to_owned());
            }
            "lookup" => {
                let loaded = self.loaded.take().map(|one| one.name).unwrap_or_default();
                let set = field(1).map(text).unwrap_or_default();
                self.words.push(format!("{loaded} @{set}").trim_start().to_owned());
            }
            "match" => {
                let name = field(1).map(text).unwrap_or_default();
                self.words.push(format!("[{name}]"));
            }
            other => self.words.push(format!("[{other}]")),
        }
    }

    fn compare(&mut self, operator: u64, value: &[u8]) {
        let sign = ["", "!= ", "< ", "<= ", "> ", ">= "].get(operator as usize).unwrap_or(&"? ");
        let Some(Loaded { name, form }) = self.loaded.take() else {
            return self.words.push("[cmp]".to_owned());
        };
        self.words.push(format!("{name} {sign}{}", shown(form, value)));
    }

    fn immediate(&mut self, data: &[u8]) {
        let verdict = attributes(data).into_iter().find(|one| one.kind == 2);
        let Some(verdict) = verdict else { return };
        let codes = attributes(verdict.value);
        let code = codes.iter().find(|one| one.kind == 1).and_then(|one| one.value.first_chunk());
        // `NF_DROP`
        if code.map(|code| i32::from_be_bytes(*code)) == Some(0) {
            self.verdict = Some("drop");
            self.words.push("drop".to_owned());
        }
    }
}

/// By `enum nft_meta_keys`.
fn meta(key: u64) -> Loaded {
    let (name, form) = match key {
        3 => ("meta mark", Form::Bytes),
        4 => ("iif", Form::Bytes),
        5 => ("oif", Form::Bytes),
        6 => ("iifname", Form::Text),
        7 => ("oifname", Form::Text),
        15 => ("meta nfproto", Form::Number),
        16 => ("meta l4proto", Form::Protocol),
        _ => ("meta ?", Form::Bytes),
    };
    Loaded { name: name.to_owned(), form }
}

/// By the headers of IPv4, IPv6, TCP and UDP.
fn payload(base: u64, offset: u64, length: u64) -> Loaded {
    let (name, form) = match (base, offset, length) {
        (1, 12, 4) => ("ip saddr", Form::Address),
        (1, 16, 4) => ("ip daddr", Form::Address),
        (1, 9, 1) => ("ip protocol", Form::Protocol),
        (1, 8, 16) => ("ip6 saddr", Form::Address),
        (1, 24, 16) => ("ip6 daddr", Form::Address),
        (2, 0, 2) => ("th sport", Form::Number),
        (2, 2, 2) => ("th dport", Form::Number),
        _ => {
            let base = ["ll", "nh", "th"].get(base as usize).unwrap_or(&"?");
            let name = format!("@{base},{},{}", offset.saturating_mul(8), length.saturating_mul(8));
            return Loaded { name, form: Form::Bytes };
        }
    };
    Loaded { name: name.to_owned(), form }
}

fn shown(form: Form, value: &[u8]) -> String {
    let bytes = || crate::netlink::attr::hex(value);
    match form {
        Form::Address => address(value).map_or_else(bytes, |address: IpAddr| address.to_string()),
        Form::Number => big(value).map_or_else(bytes, |number| number.to_string()),
        Form::Protocol => match value {
            [1] => "icmp".to_owned(),
            [6] => "tcp".to_owned(),
            [17] => "udp".to_owned(),
            [58] => "ipv6-icmp".to_owned(),
            other => big(other).map_or_else(bytes, |number| number.to_string()),
        },
        Form::Text => format!("\"{}\"", text(value)),
        Form::Bytes => bytes(),
    }
}

/// Parses a number in network byte order.
fn big(value: &[u8]) -> Option<u64> {
    let fits = (1..=8).contains(&value.len());
    fits.then(|| value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::netlink::message::{HEADER, attribute, framed};
    use crate::sys::net::netlink;

    fn expression(name: &str, fields: &[(u16, &[u8])]) -> Vec<u8> {
        let data: Vec<u8> =
            fields.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect();
        let name = attribute(1, format!("{name}\0").as_bytes());
        attribute(1, &[name, attribute(2, &data)].concat())
    }

    fn body(expressions: &[Vec<u8>]) -> Vec<u8> {
        let names = [attribute(1, b"filter\0"), attribute(2, b"input\0")].concat();
        [&[1, 0, 0, 0], &names[..], &attribute(4, &expressions.concat())].concat()
    }

    fn comparison(value: &[u8]) -> Vec<u8> {
        let data = attribute(1, value);
        expression("cmp", &[(1, &[0, 0, 0, 1]), (2, &[0; 4]), (3, &data)])
    }

    fn counter(packets: u64) -> Vec<u8> {
        expression("counter", &[(1, &[0; 8]), (2, &packets.to_be_bytes())])
    }

    fn verdict(code: i32) -> Vec<u8> {
        let data = attribute(2, &attribute(1, &code.to_be_bytes()));
        expression("immediate", &[(1, &[0; 4]), (2, &data)])
    }

    #[test]
    fn a_rule_has_the_words_of_nft() {
        let protocol = expression("meta", &[(1, &[0, 0, 0, 1]), (2, &[0, 0, 0, 16])]);
        let port = [(2, [0, 0, 0, 2]), (3, [0, 0, 0, 2]), (4, [0, 0, 0, 2])];
        let port: Vec<(u16, &[u8])> =
            port.iter().map(|(kind, value)| (*kind, &value[..])).collect();
        let all = [
            protocol,
            comparison(&[6]),
            expression("payload", &port),
            comparison(&[0x1f, 0x90]),
            counter(3),
            verdict(0),
        ];
        let expected = Dropping {
            table: "inet filter".to_owned(),
            chain: "input".to_owned(),
            text: "meta l4proto tcp th dport 8080 counter packets 3 drop".to_owned(),
            verdict: "drop",
            packets: 3,
        };
        assert_eq!(rule(&body(&all)), Some(expected));
        let bytes = body(&all);
        (0..bytes.len()).for_each(|length| drop(rule(&bytes[..length])));
    }

    #[test]
    fn only_rules_that_have_dropped_are_found() {
        assert_eq!(rule(&body(&[counter(0), verdict(0)])), None);
        assert_eq!(rule(&body(&[counter(3), verdict(1)])), None);
        assert_eq!(rule(&body(&[verdict(0)])), None);
        let rejects = rule(&body(&[counter(1), expression("reject", &[(1, &[0, 0, 0, 1])])]));
        let rejects = rejects.unwrap();
        assert_eq!((rejects.verdict, rejects.packets), ("reject", 1));
        assert_eq!(rejects.text, "counter packets 1 reject with tcp reset");
        let unknown = rule(&body(&[expression("log", &[]), counter(1), verdict(0)])).unwrap();
        assert_eq!(unknown.text, "[log] counter packets 1 drop");
    }

    /// Returns a message with an `nfgenmsg`: family, version, and a number.
    fn message(kind: u16, flags: u16, head: [u8; 4], attributes: &[Vec<u8>]) -> Vec<u8> {
        framed(kind, flags, 0, &[&head[..], &attributes.concat()].concat())
    }

    /// Adds a table with a chain for received packets, which counts and drops them.
    fn drop_all() -> io::Result<()> {
        /// `NLM_F_REQUEST`, `NLM_F_CREATE`, `NLM_F_APPEND`
        const ADD: u16 = 0x1 | 0x400 | 0x800;
        let (table, chain) = (b"filter\0", b"input\0");
        let hook = [attribute(1, &1_u32.to_be_bytes()), attribute(2, &[0; 4])].concat();
        let names = |kinds: [u16; 2]| [attribute(kinds[0], table), attribute(kinds[1], chain)];
        let inet = [1, 0, 0, 0];
        let of_chain = [&names([1, 3])[..], &[attribute(4, &hook), attribute(7, b"filter\0")]];
        let of_rule = [counter(0), verdict(0)].concat();
        let of_rule = [&names([1, 2])[..], &[attribute(4, &of_rule)]];
        let batch = [
            message(0x10, 1, [0, 0, 0, 10], &[]),
            message(10 << 8, ADD, inet, &[attribute(1, table)]),
            message(10 << 8 | 3, ADD, inet, &of_chain.concat()),
            message(10 << 8 | 6, ADD, inet, &of_rule.concat()),
            message(0x11, 1, [0, 0, 0, 10], &[]),
        ];
        let socket = netlink::open(12)?;
        netlink::send(socket.as_fd(), &batch.concat())?;
        let mut buffer = vec![0; 4096];
        match netlink::receive(socket.as_fd(), &mut buffer) {
            // Without an error there is no answer.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                let code = i32::from_ne_bytes(buffer[HEADER..HEADER + 4].try_into().unwrap());
                Err(io::Error::from_raw_os_error(code.saturating_neg()))
            }
        }
    }

    #[test]
    fn a_rule_of_the_kernel_is_found() {
        let found = std::thread::spawn(|| {
            // Without the right to do so, or without nftables, there is nothing to list.
            crate::sys::ns::nsfs::unshare_network().ok()?;
            let lo = crate::sys::net::ifreq::socket().unwrap();
            crate::sys::net::ifreq::loopback_up(&lo).unwrap();
            drop_all().ok()?;
            let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let before = dropping().unwrap();
            receiver.send_to(b"a", receiver.local_addr().unwrap()).unwrap();
            Some((before, dropping().unwrap()))
        });
        let Some((before, after)) = found.join().unwrap() else { return };
        assert_eq!(before, []);
        let expected = Dropping {
            table: "inet filter".to_owned(),
            chain: "input".to_owned(),
            text: "counter packets 1 drop".to_owned(),
            verdict: "drop",
            packets: 1,
        };
        assert_eq!(after, [expected]);
    }
}
