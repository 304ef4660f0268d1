//! Names of files and directories that every file system and every archive accepts. Pure.

/// Most bytes of a name.
const MOST: usize = 100;

/// Returns a name of the characters `[A-Za-z0-9._-]` for `text`, in which `::` becomes `--`. A name
/// that was changed in another way ends in a hash of `text`.
pub(crate) fn safe(text: &str) -> String {
    let parts = text.replace("::", "--");
    let is_safe =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let name: String =
        parts.chars().map(|letter| if is_safe(letter) { letter } else { '_' }).collect();
    if name == parts && !name.is_empty() && !name.starts_with('.') && name.len() <= MOST {
        return name;
    }
    let name = name.trim_start_matches('.');
    let hash = format!("-{:08x}", hash(text));
    format!("{}{hash}", &name[..name.len().min(MOST - hash.len())])
}

/// Returns the hash FNV-1a, which is the same in every version and on every machine.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_stay_readable() {
        assert_eq!(safe("a::b::works"), "a--b--works");
        assert_eq!(safe("netns-test_1.0"), "netns-test_1.0");
    }

    #[test]
    fn other_names_are_safe_and_differ() {
        let long = "x".repeat(300);
        let names = ["", ".", "..", "a/b", "a_b", "a b", "../../etc", ".hidden", "é", "\0", &long];
        let safe: Vec<String> = names.iter().map(|name| safe(name)).collect();
        for (name, text) in safe.iter().zip(names) {
            let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
            assert!(name.chars().all(is_safe) && !name.starts_with('.'), "{text:?}: {name}");
            assert!(!name.is_empty() && name.len() <= MOST, "{text:?}: {name}");
            assert_eq!(safe.iter().filter(|other| *other == name).count(), 1, "{text:?}: {name}");
        }
    }
}
