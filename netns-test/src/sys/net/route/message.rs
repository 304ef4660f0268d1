//! The layout of netlink messages and their attributes (netlink(7)). Pure.

/// The length of a `nlmsghdr`, which every message begins with.
pub(crate) const HEADER: usize = 16;

/// Takes the next whole message from `bytes`.
pub(crate) fn next<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let message = bytes.get(..length).filter(|message| message.len() >= HEADER)?;
    *bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some(message)
}

/// Returns the type of a message.
pub(crate) fn kind(message: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(*message.get(4..)?.first_chunk()?))
}

/// Finds the value of an attribute.
pub(crate) fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = u16::from_ne_bytes(*attributes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// Appends an attribute: length, kind, value, padded to four bytes.
pub(crate) fn put(attributes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = (4 + value.len()) as u16;
    attributes.extend([length.to_ne_bytes(), kind.to_ne_bytes()].as_flattened());
    attributes.extend_from_slice(value);
    attributes.resize(attributes.len().next_multiple_of(4), 0);
}
