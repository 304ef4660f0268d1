//! Tables of nftables, over a netlink protocol of its own that `rtnetlink` does not speak:
//! changes come in batches, which are carried out as a whole (`linux/netfilter/nfnetlink.h`).

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NLMSG_ERROR, NetlinkBuffer,
};
use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use rtnetlink::sys::{Socket, SocketAddr};

use crate::error::Failure;
use crate::netlink::SOCKET;
use crate::netlink::message::{HEADER, attribute};
use crate::sys::errno;

/// A table of family `inet`. It exists until it is deleted, or its namespace ends.
#[derive(Debug)]
pub(crate) struct Table {
    name: String,
}

impl Table {
    /// Adds an empty table to the calling thread's network namespace.
    pub(crate) fn add(name: &str) -> Result<Self, Failure> {
        change("add", name, NEW_TABLE, NLM_F_CREATE | NLM_F_EXCL)?;
        Ok(Self { name: name.to_owned() })
    }

    /// Deletes it, with all that it holds.
    pub(crate) fn delete(self) -> Result<(), Failure> {
        change("delete", &self.name, DELETE_TABLE, 0)
    }
}

/// `NFNL_SUBSYS_NFTABLES`
const NFTABLES: u16 = 10;
/// `NFT_MSG_NEWTABLE`
const NEW_TABLE: u16 = NFTABLES << 8;
/// `NFT_MSG_DELTABLE`
const DELETE_TABLE: u16 = NFTABLES << 8 | 2;
/// `NFNL_MSG_BATCH_BEGIN`
const BEGIN: u16 = 0x10;
/// `NFNL_MSG_BATCH_END`
const END: u16 = 0x11;
/// `NFPROTO_INET`
const INET: u8 = 1;

fn change(step: &str, name: &str, kind: u16, flags: u16) -> Result<(), Failure> {
    let object = format!("nftables table inet {name}");
    let failed = |error| errno::failure(step, &object, &error);
    let socket =
        Socket::new(NETLINK_NETFILTER).map_err(|error| errno::failure("open", SOCKET, &error))?;
    // The answer can be received when the request has been sent, so there is no wait.
    socket.set_non_blocking(true).map_err(failed)?;
    socket.send_to(&batch(kind, flags, name), &SocketAddr::new(0, 0), 0).map_err(failed)?;
    loop {
        let (answer, _) = socket.recv_from_full().map_err(failed)?;
        match code(&answer) {
            Some(0) => return Ok(()),
            Some(code) => {
                return Err(failed(std::io::Error::from_raw_os_error(code.saturating_neg())));
            }
            None => {}
        }
    }
}

/// Returns the code of an answer that ends a request: 0 for success.
fn code(answer: &[u8]) -> Option<i32> {
    let message = NetlinkBuffer::new_checked(answer).ok()?;
    let code = message.payload().first_chunk()?;
    (message.message_type() == NLMSG_ERROR).then(|| i32::from_ne_bytes(*code))
}

/// A batch of one change to the table `name`.
fn batch(kind: u16, flags: u16, name: &str) -> Vec<u8> {
    /// `NFTA_TABLE_NAME`
    const NAME: u16 = 1;
    let name = attribute(NAME, format!("{name}\0").as_bytes());
    let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    [
        message(BEGIN, NLM_F_REQUEST, 0, NFTABLES, &[]),
        message(kind, flags, INET, 0, &name),
        message(END, NLM_F_REQUEST, 0, NFTABLES, &[]),
    ]
    .concat()
}

/// A message with a `nfgenmsg`: family, version, and a number that is the subsystem's in the
/// messages around a batch.
fn message(kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    let payload = [&[family, 0, high, low], attributes].concat();
    let mut bytes = vec![0; HEADER];
    bytes.extend(payload);
    let length = u32::try_from(bytes.len()).expect("messages of ours are short");
    let mut header = NetlinkBuffer::new(&mut bytes);
    header.set_length(length);
    header.set_message_type(kind);
    header.set_flags(flags);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_three_messages_of_whole_words() {
        let bytes = batch(NEW_TABLE, NLM_F_CREATE, "abc");
        let mut kinds = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let message = NetlinkBuffer::new_checked(rest).unwrap();
            assert_eq!(message.length() % 4, 0);
            kinds.push((message.message_type(), message.flags() & NLM_F_ACK));
            rest = &rest[message.length() as usize..];
        }
        assert_eq!(kinds, [(BEGIN, 0), (NEW_TABLE, NLM_F_ACK), (END, 0)]);
        assert_eq!(bytes[16..20], [0, 0, 0, 10]);
    }

    #[test]
    fn answers_are_distinguished_from_other_messages() {
        let answer = |kind, code: i32| {
            let mut bytes = message(kind, 0, 0, 0, &[]);
            bytes[HEADER..].copy_from_slice(&code.to_ne_bytes());
            bytes
        };
        assert_eq!(code(&answer(NLMSG_ERROR, 0)), Some(0));
        assert_eq!(code(&answer(NLMSG_ERROR, -errno::EOPNOTSUPP)), Some(-errno::EOPNOTSUPP));
        assert_eq!(code(&answer(NEW_TABLE, 0)), None);
        assert_eq!(code(&[]), None);
    }
}
