//! The record OPT of EDNS(0) (RFC 6891, section 6.1). Pure.
//!
//! The crate `simple-dns` has version and code at other bits of it than the RFC.

use crate::lab::dns::answer::Code;

/// Type of the record.
const OPT: [u8; 2] = [0, 41];

/// Words of a client by EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    /// Size of messages by UDP that it takes.
    pub(crate) size: u16,
    pub(crate) version: u8,
}

/// Error of a message whose records cannot be read, or that has a second OPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Returns the OPT of a message whose records begin at `at`.
pub(crate) fn find(bytes: &[u8], at: usize) -> Result<Option<Edns>, Broken> {
    let count = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let (others, additional) = (count(6) + count(8), count(10));
    let (mut at, mut found) = (at, None);
    for number in 0..others + additional {
        let name = at;
        at = end_of_name(bytes, at).ok_or(Broken)?;
        let fixed: [u8; 10] =
            bytes.get(at..at + 10).and_then(|all| all.try_into().ok()).ok_or(Broken)?;
        let [kind @ .., size_high, size_low, _, version, _, _, length_high, length_low] = fixed;
        at += 10 + usize::from(u16::from_be_bytes([length_high, length_low]));
        if at > bytes.len() {
            return Err(Broken);
        }
        if kind == OPT {
            if found.is_some() || number < others || bytes[name] != 0 {
                return Err(Broken);
            }
            let size = u16::from_be_bytes([size_high, size_low]);
            found = Some(Edns { size, version });
        }
    }
    Ok(found)
}

/// Adds an OPT to a message that has none, with the high bits of its code, and the size of messages
/// that its sender takes.
pub(crate) fn add(message: &mut Vec<u8>, code: Code, size: u16) {
    let Some([high, low]) = message.get(10..12) else { return };
    let count = u16::from_be_bytes([*high, *low]).saturating_add(1);
    message[10..12].copy_from_slice(&count.to_be_bytes());
    let high_bits = u8::from(code == Code::BadVers);
    message.push(0);
    message.extend(OPT);
    message.extend(size.to_be_bytes());
    message.extend([high_bits, 0, 0, 0, 0, 0]);
}

/// Returns where a name ends that may refer to an earlier one.
fn end_of_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + length,
            0xC0..=0xFF => return (at + 2 <= bytes.len()).then_some(at + 2),
            _ => return None,
        }
    }
}
