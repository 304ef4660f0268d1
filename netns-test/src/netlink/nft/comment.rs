//! Comments of rules, as nft(8) stores them. Pure.

/// Longest text that nft(8) shows.
#[cfg(feature = "lab")]
const LONGEST: usize = 127;

/// Type of a rule's number, which nft(8) ignores.
#[cfg(feature = "lab")]
const NUMBER: u8 = 0x4e;

/// Encodes a comment, of which the end may be cut off, and a number: type, length, value.
#[cfg(feature = "lab")]
pub(super) fn comment(text: &str, number: Option<u32>) -> Vec<u8> {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let bytes = &text.as_bytes()[..end];
    let number = number.map(|number| [&[NUMBER, 4], &number.to_be_bytes()[..]].concat());
    [&[0, bytes.len() as u8 + 1], bytes, &[0], &number.unwrap_or_default()].concat()
}

/// Decodes the comment in the data that a program has stored with a rule.
pub(crate) fn comment_in(data: &[u8]) -> Option<String> {
    let [0, length, rest @ ..] = data else { return None };
    let text = rest.get(..usize::from(*length))?;
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    Some(String::from_utf8_lossy(&text[..end]).into_owned())
}

/// Decodes the number after a comment.
#[cfg(feature = "lab")]
pub(crate) fn number_in(data: &[u8]) -> Option<u32> {
    let [0, length, rest @ ..] = data else { return None };
    let [NUMBER, 4, number @ ..] = rest.get(usize::from(*length)..)? else { return None };
    Some(u32::from_be_bytes(number.try_into().ok()?))
}
