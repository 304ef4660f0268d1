//! The kernel's network configuration, over netlink: the sole owner of `rtnetlink`.
//!
//! What the kernel refuses is told in its own words where it has any: the error number alone
//! does not tell a type of device that it lacks from one that it cannot make here.

pub(crate) mod link;
pub(crate) mod nftables;
pub(crate) mod qdisc;

use futures_util::StreamExt as _;
use rtnetlink::Handle;
use rtnetlink::packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    NlasIterator,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::AsyncSocket as _;

use crate::error::Failure;
use crate::sys::errno;

/// What a failure names when not even the socket for asking the kernel could be had.
pub(crate) const SOCKET: &str = "a netlink socket";

/// The length of a `nlmsghdr`, which all messages begin with.
const HEADER: usize = 16;

/// A connection to the network namespace that it was opened in.
#[derive(Clone, Debug)]
pub(crate) struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Connects to the calling thread's network namespace. The tokio runtime that this runs on
    /// carries the messages, so it must have I/O and go on as long as the connection is used.
    pub(crate) async fn open() -> Result<Self, Failure> {
        let (mut connection, handle, _) =
            rtnetlink::new_connection().map_err(|error| errno::failure("open", SOCKET, &error))?;
        // Otherwise a connection that has ended looks like a request that is done.
        connection.set_forward_ack(true);
        let socket = connection.socket_mut().socket_mut();
        // Answers that hold the kernel's words, and not the request again. Before Linux 4.12
        // there is only the number, which `words_of` can tell.
        socket.set_cap_ack(true).and_then(|()| socket.set_ext_ack(true)).ok();
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Has `request` carried out; gives what the kernel sent before its acknowledgement.
    async fn ask(
        &self,
        step: &str,
        object: &str,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        let mut message = NetlinkMessage::from(request);
        // An acknowledgement ends the answer even if the rest of it is not understood.
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let no_answer = || Failure::new(step, object, "netlink gives no answer");
        let mut answers = self.handle.clone().request(message).map_err(|_| no_answer())?;
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            let flags = answer.header.flags;
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => found.push(message),
                NetlinkPayload::Error(end) if end.code.is_none() => return Ok(found),
                NetlinkPayload::Error(refusal) => {
                    return Err(refused(step, object, &refusal, flags));
                }
                _ => return Err(no_answer()),
            }
        }
        Err(no_answer())
    }
}

/// The failure that an answer other than "done" stands for.
fn refused(step: &str, object: &str, refusal: &ErrorMessage, flags: u16) -> Failure {
    let mut failure = errno::failure(step, object, &refusal.to_io());
    if let Some(words) = words_of(refusal, flags) {
        failure.reason = format!("{}: {words}", failure.reason);
    }
    failure
}

/// What the kernel says besides the number.
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

/// A netlink attribute: length, kind, value, padded to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("attributes of ours are short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroI32;

    use super::*;

    fn refusal(attributes: &[u8]) -> ErrorMessage {
        let mut message = ErrorMessage::default();
        message.code = NonZeroI32::new(-95);
        message.header = [&[0; HEADER], attributes].concat();
        message
    }

    #[test]
    fn the_kernels_words_follow_its_number() {
        let answer = refusal(&attribute(1, b"Unknown device type\0"));
        let failure = refused("add", "link a (dummy)", &answer, NLM_F_ACK_TLVS);
        assert_eq!(failure.errno, Some(95));
        assert!(failure.reason.starts_with("EOPNOTSUPP ("), "{failure}");
        assert!(failure.reason.ends_with("): Unknown device type"), "{failure}");
    }

    #[test]
    fn a_number_alone_is_told_alone() {
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

    #[test]
    fn attributes_are_padded_but_their_length_is_not() {
        let bytes = attribute(7, b"abcde");
        assert_eq!(bytes.len(), 12);
        assert_eq!(bytes[..2], 9_u16.to_ne_bytes());
        assert_eq!(bytes[2..4], 7_u16.to_ne_bytes());
        assert_eq!(bytes[4..], *b"abcde\0\0\0");
    }
}
