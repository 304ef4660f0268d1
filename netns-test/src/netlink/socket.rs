//! A socket for requests to the kernel, and the answers to them.

use std::sync::Mutex;

use rtnetlink::packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    NlasIterator,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::Socket;
use rtnetlink::sys::protocols::NETLINK_ROUTE;

use crate::error::Failure;
#[cfg(feature = "lab")]
use crate::netlink::message::framed;
use crate::netlink::message::{HEADER, raw};
use crate::sys::errno;
use crate::sys::lock::lock;
use crate::sys::process::caps;
use crate::sys::process::caps::Caps;

/// The object of a failure to open a netlink socket.
pub(crate) const SOCKET: &str = "a netlink socket";

/// The most requests in one message: their answers must fit into the socket's buffer.
#[cfg(feature = "lab")]
const AT_ONCE: usize = 64;

/// A connection to the network namespace that it was opened in, which any thread can use.
#[derive(Debug)]
pub(crate) struct Netlink {
    /// The socket, locked for one exchange at a time.
    pub(crate) socket: Mutex<Conversation>,
}

#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) socket: Socket,
    pub(crate) number: u32,
}

/// A request to the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) step: &'static str,
    pub(crate) object: String,
    message: Message,
    flags: u16,
}

#[derive(Clone, Debug)]
enum Message {
    Typed(RouteNetlinkMessage),
    /// The type and the body, as the kernel has sent them.
    #[cfg(feature = "lab")]
    Raw(u16, Vec<u8>),
}

impl Request {
    pub(crate) fn new(
        step: &'static str,
        object: impl Into<String>,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Self {
        Self { step, object: object.into(), message: Message::Typed(message), flags }
    }

    /// Creates a request of type `kind` with `body` as bytes.
    #[cfg(feature = "lab")]
    pub(crate) fn raw(
        step: &'static str,
        object: String,
        kind: u16,
        body: Vec<u8>,
        flags: u16,
    ) -> Self {
        Self { step, object, message: Message::Raw(kind, body), flags }
    }
}

impl Netlink {
    /// Connects to the calling thread's network namespace.
    pub(crate) fn open() -> Result<Self, Failure> {
        let failed = |error| errno::failure("open", SOCKET, &error);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
        socket.bind_auto().map_err(failed)?;
        socket.set_non_blocking(true).map_err(failed)?;
        // Answers with the kernel's text, and without a copy of the request. Before Linux 4.12
        // there is only the number, which `words_of` recognises.
        socket.set_cap_ack(true).and_then(|()| socket.set_ext_ack(true)).ok();
        Ok(Self { socket: Mutex::new(Conversation { socket, number: 0 }) })
    }

    /// Sends all of `requests`, in order, and returns the first error. Requests after it may have
    /// been carried out, too.
    #[cfg(feature = "lab")]
    pub(crate) fn ask_all(&self, requests: &[Request]) -> Result<(), Failure> {
        let mut talk = lock(&self.socket);
        requests.chunks(AT_ONCE).try_for_each(|some| talk.ask(some).map(drop))
    }

    /// Turns offloads of the interface called `name` off, by their names in ethtool(8). `object` is
    /// its name in errors.
    #[cfg(feature = "lab")]
    pub(crate) fn turn_off(
        &self,
        (name, object): (&str, &str),
        offloads: &[&str],
    ) -> Result<(), Failure> {
        use std::os::fd::AsFd as _;
        let talk = lock(&self.socket);
        let done = crate::sys::net::ethtool::turn_off(talk.socket.as_fd(), name, offloads);
        done.map_err(|error| errno::failure("turn off", format!("offloads of {object}"), &error))
    }

    /// Sends one request, and returns the messages before its acknowledgement.
    pub(crate) fn ask(
        &self,
        step: &'static str,
        object: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        let mut talk = lock(&self.socket);
        talk.ask(&[Request::new(step, object, message, flags)])
    }

    /// Lists all objects of a kind.
    #[cfg(feature = "lab")]
    pub(crate) fn list(
        &self,
        object: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        self.ask("list", object, message, rtnetlink::packet_core::NLM_F_DUMP)
    }
}

impl Conversation {
    fn ask(&mut self, requests: &[Request]) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        let first = self.number.wrapping_add(1);
        let bytes = self.bytes_of(requests);
        let (mut found, mut open, mut refusal) = (Vec::new(), requests.len(), None);
        let of = |number: u32| requests.get(number.wrapping_sub(first) as usize);
        let failed = |error: &std::io::Error| {
            let request = requests.first().expect("there is one");
            errno::failure(request.step, &*request.object, error)
        };
        self.socket.send(&bytes, 0).map_err(|error| failed(&error))?;
        while open > 0 {
            let (answers, _) = self.socket.recv_from_full().map_err(|error| failed(&error))?;
            for answer in messages(&answers) {
                let Some(request) = of(answer.header.sequence_number) else { continue };
                match answer.payload {
                    NetlinkPayload::InnerMessage(message) => found.push(message),
                    NetlinkPayload::Done(_) => open -= 1,
                    NetlinkPayload::Error(end) if end.code.is_none() => open -= 1,
                    NetlinkPayload::Error(end) => {
                        open -= 1;
                        let failure =
                            || refused(request.step, &request.object, &end, answer.header.flags);
                        refusal.get_or_insert_with(failure);
                    }
                    _ => {}
                }
            }
        }
        refusal.map_or(Ok(found), Err)
    }

    /// The requests, one after the other, each with a number of its own.
    fn bytes_of(&mut self, requests: &[Request]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for request in requests {
            self.number = self.number.wrapping_add(1);
            // An acknowledgement ends the answer even if the rest of it is not understood.
            let flags = NLM_F_REQUEST | NLM_F_ACK | request.flags;
            let mut message = match &request.message {
                Message::Typed(message) => NetlinkMessage::from(message.clone()),
                #[cfg(feature = "lab")]
                Message::Raw(kind, body) => {
                    bytes.extend(framed(*kind, flags, self.number, body));
                    continue;
                }
            };
            message.header.flags = flags;
            message.header.sequence_number = self.number;
            message.finalize();
            let start = bytes.len();
            bytes.resize((start + message.buffer_len()).next_multiple_of(4), 0);
            message.serialize(&mut bytes[start..]);
        }
        bytes
    }
}

/// The messages of a datagram; one that is not understood is left out.
fn messages(bytes: &[u8]) -> Vec<NetlinkMessage<RouteNetlinkMessage>> {
    raw(bytes).into_iter().flat_map(NetlinkMessage::deserialize).collect()
}

/// Converts an error answer to a failure.
fn refused(step: &str, object: &str, refusal: &ErrorMessage, flags: u16) -> Failure {
    let mut failure = errno::failure(step, object, &refusal.to_io());
    if let Some(words) = words_of(refusal, flags) {
        failure.reason = format!("{}: {words}", failure.reason);
    }
    let has_right = || caps::effective().is_ok_and(|caps| caps.contains(Caps::NET_ADMIN));
    if failure.errno == Some(errno::EPERM) && !has_right() {
        return failure.advise(
            "the caller has no CAP_NET_ADMIN; the body of a #[netns_test] has it, and what runs \
             under `unshare -Urnm`",
        );
    }
    failure
}

/// Returns the kernel's text in an error.
fn words_of(refusal: &ErrorMessage, flags: u16) -> Option<String> {
    /// `NLMSGERR_ATTR_MSG`
    const WORDS: u16 = 1;
    if flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    // After the header of the request, which is all of it that is sent back.
    let attributes = NlasIterator::new(refusal.header.get(HEADER..)?);
    let words = attributes.flatten().find(|attribute| attribute.kind() == WORDS)?;
    let text = String::from_utf8_lossy(words.value()).trim_end_matches('\0').to_owned();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroI32;

    use super::*;
    use crate::netlink::message::attribute;

    fn refusal(attributes: &[u8]) -> ErrorMessage {
        let mut message = ErrorMessage::default();
        message.code = NonZeroI32::new(-errno::EOPNOTSUPP);
        message.header = [&[0; HEADER], attributes].concat();
        message
    }

    #[test]
    fn the_kernels_words_follow_its_number() {
        let answer = refusal(&attribute(1, b"Unknown device type\0"));
        let failure = refused("add", "link a (dummy)", &answer, NLM_F_ACK_TLVS);
        assert_eq!(failure.errno, Some(errno::EOPNOTSUPP));
        assert!(failure.reason.starts_with("EOPNOTSUPP ("), "{failure}");
        assert!(failure.reason.ends_with("): Unknown device type"), "{failure}");
    }

    #[test]
    fn an_error_without_text_has_only_its_number() {
        let without = refusal(&[]);
        let with_others = refusal(&attribute(2, &[0; 4]));
        // The request itself, sent back: not to be read as words.
        let whole = refusal(&attribute(1, b"ifinfomsg"));
        for (answer, flags) in
            [(without, NLM_F_ACK_TLVS), (with_others, NLM_F_ACK_TLVS), (whole, 0)]
        {
            let failure = refused("add", "link a (dummy)", &answer, flags);
            assert!(failure.reason.ends_with(')'), "{failure}");
        }
    }
}
