//! Domain names as texts: their form, and why a text is none. Pure.

/// Longest name in bytes, without a dot at its end: 255 in a message (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;

/// Longest label in bytes.
const LONGEST_LABEL: usize = 63;

/// Returns a name in lower case without a dot at its end; the root is empty. The error is the
/// reason for which the text is no name, with advice.
pub(crate) fn canonical(text: &str) -> Result<String, &'static str> {
    if text == "." {
        return Ok(String::new());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        Err("it is empty; give a name, or `.` for the root")
    } else if !name.is_ascii() {
        Err("it has a character outside of ASCII; write the label in Punycode, as `xn--...`")
    } else if name.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
        Err("it has white space, a control character or a backslash; give another")
    } else if name.len() > LONGEST_NAME {
        Err("it is longer than 253 bytes; give a shorter one")
    } else if name.split('.').any(str::is_empty) {
        Err("it has an empty label; write one dot between labels")
    } else if name.split('.').any(|label| label.len() > LONGEST_LABEL) {
        Err("a label of it is longer than 63 bytes; give a shorter one")
    } else {
        Ok(name.to_ascii_lowercase())
    }
}

/// Returns the name of a record or a pattern of names, where `*` may be the first label.
pub(crate) fn owner(text: &str) -> Result<String, &'static str> {
    let name = canonical(text)?;
    if name.strip_prefix('*').unwrap_or(&name).contains('*') || is_prefix(&name) {
        return Err("`*` stands for labels as the whole first label only; write `*.example.com`");
    }
    Ok(name)
}

/// Returns whether the first label only begins with `*`.
fn is_prefix(name: &str) -> bool {
    name.strip_prefix('*').is_some_and(|rest| !rest.is_empty() && !rest.starts_with('.'))
}

/// Returns whether a canonical name is `zone` or below it.
pub(crate) fn is_in(name: &str, zone: &str) -> bool {
    zone.is_empty()
        || name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Returns the name above a canonical one; none for the root.
pub(crate) fn parent(name: &str) -> Option<&str> {
    match name.split_once('.') {
        Some((_, rest)) => Some(rest),
        None if name.is_empty() => None,
        None => Some(""),
    }
}

/// Returns the text of a canonical name: the root is a dot.
pub(crate) fn text(name: &str) -> &str {
    if name.is_empty() { "." } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for (text, name) in [
            ("Example.COM.", "example.com"),
            ("a", "a"),
            (".", ""),
            ("_sip._tcp.x", "_sip._tcp.x"),
            ("*.x", "*.x"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(name), "{text}");
        }
        let longest = [&"a".repeat(63)[..]; 4].join(".");
        assert!(canonical(&longest).is_err());
        assert!(canonical(&longest[2..]).is_ok());
        assert!(canonical(&format!("{}.", &longest[2..])).is_ok());
        for bad in ["", "..", "a..b", ".a", "a b", "a\tb", "a\\.b", "é.fr", &"a".repeat(64)] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_is_a_whole_first_label() {
        for good in ["*", "*.a", "a"] {
            assert!(owner(good).is_ok(), "{good}");
        }
        for bad in ["a.*", "*a.b", "a*.b", "*.*.a", "**"] {
            assert!(owner(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_in_a_zone_by_whole_labels() {
        assert!(is_in("a.example.com", "example.com") && is_in("example.com", "example.com"));
        assert!(is_in("a", "") && is_in("", ""));
        assert!(!is_in("badexample.com", "example.com") && !is_in("com", "example.com"));
        assert_eq!(parent("a.b"), Some("b"));
        assert_eq!([parent("b"), parent("")], [Some(""), None]);
    }
}
