//! Messages: queries as questions, and answers as bytes (RFC 1035, section 4). Pure.
//!
//! The crate `simple-dns` reads the name of a question, and writes answers. It refuses questions of
//! types that it does not know, which a server has to answer, so the type is read here.

use simple_dns::rdata::{A, AAAA, CNAME, MX, NS, NULL, PTR, RData, SOA, SRV, TXT};
use simple_dns::{
    CLASS, CharacterString, Name, Packet, PacketFlag, QCLASS, QTYPE, Question as Asked, RCODE,
    ResourceRecord, SimpleDnsError, TYPE,
};

use crate::lab::dns::answer::{Answer, Code, Line, Question};
use crate::lab::dns::edns;
use crate::lab::dns::edns::Edns;
use crate::lab::plan::dns::record::Data;
use crate::lab::topology::Transport;
use crate::lab::topology::dns::record::RecordType;

/// Length of the header.
pub(crate) const HEADER: usize = 12;

/// Most bytes of an answer by UDP to a client without EDNS (RFC 1035, section 4.2.1).
const PLAIN: usize = 512;

/// Most bytes of an answer by UDP.
const MOST_UDP: usize = 4_096;

/// Size of messages by UDP that the server says it takes from clients, and from other servers.
const OWN_SIZE: u16 = 1_232;
const MOST_SIZE: u16 = 4_096;

/// Most bytes of a message by TCP.
const MOST_TCP: usize = 65_535;

/// Seconds of a SOA that no client uses: refresh, retry, expire.
const SOA_TIMES: [i32; 3] = [3_600, 600, 86_400];

/// A query that can be answered.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) id: u16,
    pub(crate) question: Question,
    /// The name as it was asked, with its case.
    name: Name<'static>,
    class: QCLASS,
    edns: Option<Edns>,
    /// True if the client wants the server to ask others (RD).
    pub(crate) wants_recursion: bool,
    /// True if the client checks signatures itself (CD).
    checks: bool,
}

/// Result of [`parse`].
#[derive(Clone, Debug)]
pub(crate) enum Parsed {
    Query(Query),
    /// A message that is answered without being understood.
    Bad(Vec<u8>, Code),
    /// A message that is not answered: it is none, or an answer.
    Nothing,
}

/// Answer as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_truncated: bool,
}

/// Reads a message that has come to a server.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let Some(header) = bytes.get(..HEADER) else { return Parsed::Nothing };
    if header[2] & 0x80 != 0 {
        return Parsed::Nothing;
    }
    let bad = |code| Parsed::Bad(bare(header, code), code);
    if header[2] & 0x78 != 0 {
        return bad(Code::NotImp);
    }
    if header[4..6] != [0, 1] {
        return bad(Code::FormErr);
    }
    let Some(end) = end_of_name(bytes) else { return bad(Code::FormErr) };
    let Some([type_high, type_low, class_high, class_low]) = bytes.get(end..end + 4) else {
        return bad(Code::FormErr);
    };
    let record_type = RecordType(u16::from_be_bytes([*type_high, *type_low]));
    let class = match u16::from_be_bytes([*class_high, *class_low]) {
        1 => QCLASS::CLASS(CLASS::IN),
        255 => QCLASS::ANY,
        _ => return bad(Code::Refused),
    };
    let Ok(edns) = edns::find(bytes, end + 4) else { return bad(Code::FormErr) };
    let name = &bytes[HEADER..end];
    // A message of one question that the crate knows.
    let known = [&[0; 5][..], &[1, 0, 0, 0, 0, 0, 0], name, &[0, 1, 0, 1]].concat();
    let Ok(packet) = Packet::parse(&known) else { return bad(Code::FormErr) };
    let Some(asked) = packet.questions.first() else { return bad(Code::FormErr) };
    let name = asked.qname.clone().into_owned();
    Parsed::Query(Query {
        id: u16::from_be_bytes([header[0], header[1]]),
        question: Question { name: canonical(&name), record_type },
        name,
        class,
        edns,
        wants_recursion: header[2] & 1 != 0,
        checks: header[3] & 0x10 != 0,
    })
}

impl Query {
    /// Returns whether the client speaks a version of EDNS that does not exist.
    pub(crate) fn has_bad_version(&self) -> bool {
        self.edns.is_some_and(|edns| edns.version != 0)
    }

    /// Returns most bytes of an answer.
    pub(crate) fn room(&self, transport: Transport) -> usize {
        match (transport, self.edns) {
            (Transport::Tcp, _) => MOST_TCP,
            (Transport::Udp, None) => PLAIN,
            (Transport::Udp, Some(edns)) => usize::from(edns.size).clamp(PLAIN, MOST_UDP),
        }
    }

    /// Writes an answer in at most `room` bytes. What has no room is left out: first the additional
    /// records, then all, with the flag TC.
    pub(crate) fn write(&self, answer: &Answer, recurses: bool, room: usize) -> Written {
        let whole = self.bytes(answer, recurses, false);
        if let Some(bytes) = whole.as_ref().ok().filter(|bytes| bytes.len() <= room) {
            return Written { bytes: bytes.clone(), is_truncated: false };
        }
        if whole.is_err() {
            return self.write_code(Code::ServFail, recurses);
        }
        let mut less = answer.clone();
        if answer.referral.is_none() {
            less.additional.clear();
            if let Some(bytes) =
                self.bytes(&less, recurses, false).ok().filter(|one| one.len() <= room)
            {
                return Written { bytes, is_truncated: false };
            }
        }
        let mut less = Answer { answers: Vec::new(), ..less };
        (less.authority, less.additional) = (Vec::new(), Vec::new());
        let bytes = self.bytes(&less, recurses, true).unwrap_or_default();
        Written { bytes, is_truncated: true }
    }

    /// Writes an answer of no records with the flag TC.
    pub(crate) fn write_truncated(&self, recurses: bool) -> Written {
        let bytes = self.bytes(&Answer::default(), recurses, true).unwrap_or_default();
        Written { bytes, is_truncated: true }
    }

    fn write_code(&self, code: Code, recurses: bool) -> Written {
        let bytes = self.bytes(&Answer::of(code), recurses, false).unwrap_or_default();
        Written { bytes, is_truncated: false }
    }

    fn bytes(
        &self,
        answer: &Answer,
        recurses: bool,
        is_truncated: bool,
    ) -> Result<Vec<u8>, SimpleDnsError> {
        let mut packet = Packet::new_reply(self.id);
        for (flag, is_set) in [
            (PacketFlag::AUTHORITATIVE_ANSWER, answer.is_authoritative),
            (PacketFlag::TRUNCATION, is_truncated),
            (PacketFlag::RECURSION_DESIRED, self.wants_recursion),
            (PacketFlag::RECURSION_AVAILABLE, recurses),
            (PacketFlag::CHECKING_DISABLED, self.checks),
        ] {
            if is_set {
                packet.set_flags(flag);
            }
        }
        *packet.rcode_mut() = match answer.code {
            // The other bits of the code of a version are in EDNS.
            Code::NoError | Code::BadVers => RCODE::NoError,
            Code::FormErr => RCODE::FormatError,
            Code::ServFail => RCODE::ServerFailure,
            Code::NxDomain => RCODE::NameError,
            Code::NotImp => RCODE::NotImplemented,
            Code::Refused => RCODE::Refused,
        };
        let asked = asked_type(self.question.record_type);
        packet.questions.push(Asked::new(self.name.clone(), asked, self.class, false));
        let lines = |lines| self.records(lines);
        packet.answers = lines(&answer.answers)?;
        packet.name_servers = lines(&answer.authority)?;
        packet.additional_records = lines(&answer.additional)?;
        let mut bytes = packet.build_bytes_vec_compressed()?;
        if self.edns.is_some() {
            edns::add(&mut bytes, answer.code, OWN_SIZE);
        }
        Ok(bytes)
    }

    fn records<'a>(&self, lines: &'a [Line]) -> Result<Vec<ResourceRecord<'a>>, SimpleDnsError> {
        let record = |line: &'a Line| {
            // With the case of the question, so that it is compressed too.
            let name = match line.name == self.question.name {
                true => self.name.clone(),
                false => Name::new(&line.name)?,
            };
            Ok(ResourceRecord::new(name, CLASS::IN, line.ttl, data(&line.data)?))
        };
        lines.iter().map(record).collect()
    }
}

fn data(data: &Data) -> Result<RData<'_>, SimpleDnsError> {
    Ok(match data {
        Data::Address(std::net::IpAddr::V4(address)) => RData::A(A::from(*address)),
        Data::Address(std::net::IpAddr::V6(address)) => RData::AAAA(AAAA::from(*address)),
        // A store resolves it.
        Data::Node(_) => return Err(SimpleDnsError::InvalidDnsPacket),
        Data::Cname(target) => RData::CNAME(CNAME(Name::new(target)?)),
        Data::Mx(preference, host) => {
            RData::MX(MX { preference: *preference, exchange: Name::new(host)? })
        }
        Data::Ns(host) => RData::NS(NS(Name::new(host)?)),
        Data::Ptr(target) => RData::PTR(PTR(Name::new(target)?)),
        Data::Soa { host, serial, minimum } => {
            let [refresh, retry, expire] = SOA_TIMES;
            let (mname, rname) = (Name::new(host)?, Name::new("hostmaster.internal")?);
            let (serial, minimum) = (*serial, *minimum);
            RData::SOA(SOA { mname, rname, serial, refresh, retry, expire, minimum })
        }
        Data::Srv { priority, weight, port, target } => {
            let (priority, weight, port) = (*priority, *weight, *port);
            RData::SRV(SRV { priority, weight, port, target: Name::new(target)? })
        }
        Data::Txt(strings) => {
            let mut txt = TXT::new();
            for one in strings {
                txt.add_char_string(CharacterString::new(one)?);
            }
            RData::TXT(txt)
        }
        Data::Other(number, bytes) if bytes.is_empty() => RData::Empty(TYPE::from(*number)),
        Data::Other(number, bytes) => RData::NULL(*number, NULL::new(bytes)?),
    })
}

/// Writes a question to another server.
pub(crate) fn question(id: u16, question: &Question) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    let name = Name::new(&question.name).ok()?;
    let class = QCLASS::CLASS(CLASS::IN);
    packet.questions.push(Asked::new(name, asked_type(question.record_type), class, false));
    let mut bytes = packet.build_bytes_vec().ok()?;
    edns::add(&mut bytes, Code::NoError, MOST_SIZE);
    Some(bytes)
}

/// Reads the answer of another server to a question. None if it is no answer to that, or none that
/// can be read whole.
pub(crate) fn read_answer(bytes: &[u8], id: u16, question: &Question) -> Option<Answer> {
    let header = bytes.get(..HEADER)?;
    // An answer (QR), not truncated (TC), with one question.
    if header[..2] != id.to_be_bytes() || header[2] & 0x82 != 0x80 || header[4..6] != [0, 1] {
        return None;
    }
    let end = end_of_name(bytes)?;
    if bytes.get(end..end + 2)? != question.record_type.0.to_be_bytes() {
        return None;
    }
    let mut known = bytes.to_vec();
    known.get_mut(end..end + 4)?.copy_from_slice(&[0, 1, 0, 1]);
    let packet = Packet::parse(&known).ok()?;
    if canonical(&packet.questions.first()?.qname) != question.name {
        return None;
    }
    let lines =
        |all: &[ResourceRecord<'_>]| -> Option<Vec<Line>> { all.iter().map(line).collect() };
    Some(Answer {
        code: match header[3] & 15 {
            0 => Code::NoError,
            3 => Code::NxDomain,
            5 => Code::Refused,
            _ => Code::ServFail,
        },
        is_authoritative: header[2] & 4 != 0,
        answers: lines(&packet.answers)?,
        authority: lines(&packet.name_servers)?,
        additional: lines(&packet.additional_records)?,
        ..Answer::default()
    })
}

fn line(record: &ResourceRecord<'_>) -> Option<Line> {
    let data = match &record.rdata {
        RData::A(A { address }) => Data::Address(std::net::Ipv4Addr::from(*address).into()),
        RData::AAAA(AAAA { address }) => Data::Address(std::net::Ipv6Addr::from(*address).into()),
        RData::CNAME(CNAME(target)) => Data::Cname(canonical(target)),
        RData::MX(MX { preference, exchange }) => Data::Mx(*preference, canonical(exchange)),
        RData::NS(NS(host)) => Data::Ns(canonical(host)),
        RData::PTR(PTR(target)) => Data::Ptr(canonical(target)),
        RData::SOA(SOA { mname, serial, minimum, .. }) => {
            Data::Soa { host: canonical(mname), serial: *serial, minimum: *minimum }
        }
        RData::SRV(SRV { priority, weight, port, target }) => {
            let (priority, weight, port) = (*priority, *weight, *port);
            Data::Srv { priority, weight, port, target: canonical(target) }
        }
        // As bytes, which are the end of a message that has this record alone.
        other => {
            let mut packet = Packet::new_reply(0);
            packet.answers.push(ResourceRecord::new(
                Name::new("").ok()?,
                CLASS::IN,
                0,
                other.clone(),
            ));
            let bytes = packet.build_bytes_vec().ok()?;
            Data::Other(other.type_code().into(), bytes.get(HEADER + 11..)?.to_vec())
        }
    };
    Some(Line { name: canonical(&record.name), ttl: record.ttl, data })
}

fn asked_type(record_type: RecordType) -> QTYPE {
    match record_type {
        RecordType::ANY => QTYPE::ANY,
        RecordType(number) => QTYPE::TYPE(TYPE::from(number)),
    }
}

/// Returns where the name of the first question ends. A question has no other name to refer to.
fn end_of_name(bytes: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length > 63 || at - HEADER > 255 {
            return None;
        }
        if length == 0 {
            return Some(at);
        }
    }
}

/// Returns the name in lower case. A byte that no name of a text has is escaped.
fn canonical(name: &Name<'_>) -> String {
    let label = |label: &[u8]| {
        let byte = |byte: &u8| match byte {
            b'.' | b'\\' => format!("\\{byte:03}"),
            byte if byte.is_ascii_graphic() => char::from(byte.to_ascii_lowercase()).to_string(),
            byte => format!("\\{byte:03}"),
        };
        label.iter().map(byte).collect::<String>()
    };
    name.as_bytes().map(label).collect::<Vec<_>>().join(".")
}

/// Returns a header alone with this code, as an answer to a message with this one.
fn bare(header: &[u8], code: Code) -> Vec<u8> {
    let code = match code {
        Code::NotImp => 4,
        Code::Refused => 5,
        _ => 1,
    };
    let mut bytes = vec![0; HEADER];
    bytes[..2].copy_from_slice(&header[..2]);
    // The operation, and the wish for recursion.
    bytes[2] = 0x80 | header[2] & 0x79;
    bytes[3] = code;
    bytes
}
