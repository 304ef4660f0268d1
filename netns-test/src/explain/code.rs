//! Expressions of the user's language, as advice quotes them. Pure.

/// Returns an expression about a node or link. `of` makes it from a variable, which has the name of
/// the node or link if a variable can.
pub(crate) fn about(kind: &str, name: &str, of: impl FnOnce(&str) -> String) -> String {
    let is_variable = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !KEYWORDS.contains(&name);
    if is_variable {
        return format!("`{}`", of(name));
    }
    format!("`{}` for the {kind} {name}", of(kind))
}

/// Keywords that are as long as names of nodes and links may be.
const KEYWORDS: [&str; 12] =
    ["as", "box", "do", "final", "impl", "in", "loop", "macro", "match", "mod", "priv", "self"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_variable_is_quoted_apart() {
        let up = |name: &str| format!("lab[{name}].up()");
        assert_eq!(about("link", "lan", up), "`lab[lan].up()`");
        let other = "`lab[link].up()` for the link client to server";
        assert_eq!(about("link", "client to server", up), other);
        assert_eq!(about("node", "nat-b", up), "`lab[node].up()` for the node nat-b");
        assert_eq!(about("node", "match", up), "`lab[node].up()` for the node match");
    }
}
