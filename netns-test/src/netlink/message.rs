//! The layout of netlink messages (netlink(7)). Pure.

/// The length of a `nlmsghdr`, which all messages begin with.
pub(crate) const HEADER: usize = 16;

/// A message: its header, and its body padded to four bytes.
pub(crate) fn framed(kind: u16, flags: u16, number: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).expect("messages of ours are short");
    let head = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes()].concat();
    let mut bytes = [&head[..], &number.to_ne_bytes(), &[0; 4], body].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Splits a datagram into its messages, each with its header.
pub(crate) fn raw(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some(length) = bytes.first_chunk().map(|first| u32::from_ne_bytes(*first) as usize) {
        let Some(own) = bytes.get(..length).filter(|own| own.len() >= HEADER) else { break };
        found.push(own);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// A netlink attribute: length, kind, value, padded to four bytes.
#[cfg(any(feature = "lab", feature = "doctor", test))]
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("attributes of ours are short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_their_length_is_not() {
        let bytes = attribute(7, b"abcde");
        assert_eq!(bytes.len(), 12);
        assert_eq!(bytes[..2], 9_u16.to_ne_bytes());
        assert_eq!(bytes[2..4], 7_u16.to_ne_bytes());
        assert_eq!(bytes[4..], *b"abcde\0\0\0");
    }
}
