//! Comments of rules, as nft(8) stores them. Pure.

/// Longest text that nft(8) shows.
#[cfg(feature = "lab")]
const LONGEST: usize = 127;

/// Encodes a comment: type, length, text.
#[cfg(feature = "lab")]
pub(super) fn comment(text: &str) -> Vec<u8> {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let bytes = &text.as_bytes()[..end];
    [&[0, bytes.len() as u8 + 1], bytes, &[0]].concat()
}

/// Decodes the comment in the data that a program has stored with a rule.
pub(crate) fn comment_in(data: &[u8]) -> Option<String> {
    let [0, length, rest @ ..] = data else { return None };
    let text = rest.get(..usize::from(*length))?;
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    Some(String::from_utf8_lossy(&text[..end]).into_owned())
}
