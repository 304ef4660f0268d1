//! Groups the attributes in a source text by item, in any layout. Uses the lexical rules of Rust,
//! not its grammar. Pure.

use std::ops::Range;

/// Returns the attributes of a file as byte ranges, in groups with only comments between them.
pub(crate) fn groups(text: &str) -> Vec<Vec<Range<usize>>> {
    let mut groups = vec![Vec::new()];
    let mut at = 0;
    while at < text.len() {
        let (piece, end) = next(text, at);
        let group = groups.last_mut().expect("the first group exists");
        match piece {
            Piece::Space => {}
            Piece::Attribute => group.push(at..end),
            Piece::Other if group.is_empty() => {}
            Piece::Other => groups.push(Vec::new()),
        }
        at = end;
    }
    groups
}

/// Returns the paths in an attribute, each as segments: one, or those that a `cfg_attr` may add.
pub(crate) fn paths(attribute: &str) -> Vec<Vec<String>> {
    let open = attribute.find('[').map_or(0, |open| open + 1);
    paths_of_meta(attribute[open..].trim_end().trim_end_matches(']'))
}

fn paths_of_meta(meta: &str) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_:#$".contains(c);
    let end = meta.find(|c| !is_path(c)).unwrap_or(meta.len());
    let (path, rest) = meta.split_at(end);
    let path: String = path.chars().filter(|c| !c.is_whitespace()).collect();
    if path == "cfg_attr" {
        let inside = rest.trim().trim_start_matches('(').trim_end_matches(')');
        return split(inside).into_iter().skip(1).flat_map(paths_of_meta).collect();
    }
    vec![path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()]
}

/// Splits a text at the commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut at, mut depth) = (Vec::new(), 0, 0, 0_usize);
    while at < text.len() {
        let (_, end) = next(text, at);
        match &text[at..end] {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                parts.push(&text[start..at]);
                start = end;
            }
            _ => {}
        }
        at = end;
    }
    parts.push(&text[start..]);
    parts
}

enum Piece {
    /// White space or a comment.
    Space,
    Attribute,
    /// A literal, a name, or one other character.
    Other,
}

/// Returns the piece of `text` at `at`, and its end.
fn next(text: &str, at: usize) -> (Piece, usize) {
    let rest = &text[at..];
    let first = rest.chars().next().unwrap_or(' ');
    let (piece, length) = if first.is_whitespace() {
        (Piece::Space, first.len_utf8())
    } else if rest.starts_with("//") {
        (Piece::Space, rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        (Piece::Space, block_comment(rest))
    } else if let Some(length) = attribute(rest) {
        (Piece::Attribute, length)
    } else if first == '"' {
        (Piece::Other, string(rest, 1))
    } else if first == '\'' {
        (Piece::Other, quote(rest))
    } else if is_name(first) {
        (Piece::Other, name_or_literal(rest))
    } else {
        (Piece::Other, first.len_utf8())
    };
    (piece, at + length)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the length of `#[..]`, or `None` if there is none.
fn attribute(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('#')?.trim_start();
    if !inside.starts_with('[') {
        return None;
    }
    let mut at = text.len() - inside.len();
    let mut depth = 0_usize;
    while at < text.len() {
        // An attribute inside is a part of this one.
        let end = if text[at..].starts_with('#') { at + 1 } else { next(text, at).1 };
        match &text[at..end] {
            "[" | "(" | "{" => depth += 1,
            "]" | ")" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = end;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Returns the length of a block comment, which may be nested.
fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Returns the end of a string whose content begins at `at`.
fn string(text: &str, at: usize) -> usize {
    let mut is_escaped = false;
    for (offset, c) in text[at..].char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + offset + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns the length of a character literal, or of the quote before a lifetime.
fn quote(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let at = at + escaped.len_utf8();
            text[at..].find('\'').map_or(text.len(), |end| at + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Returns the length of a name, a number, or a literal with a prefix such as `br#`.
fn name_or_literal(text: &str) -> usize {
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    match name {
        "r" | "br" | "cr" if rest[hashes..].starts_with('"') => {
            let close = format!("\"{}", "#".repeat(hashes));
            let inside = end + hashes + 1;
            text[inside..].find(&close).map_or(text.len(), |at| inside + at + close.len())
        }
        "b" | "c" if rest.starts_with('"') => string(text, end + 1),
        "b" if rest.starts_with('\'') => end + quote(rest),
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::{groups, paths};

    fn texts(source: &str) -> Vec<Vec<&str>> {
        let groups = groups(source).into_iter().filter(|group| !group.is_empty());
        groups.map(|group| group.into_iter().map(|range| &source[range]).collect()).collect()
    }

    #[test]
    fn attributes_of_one_item_are_together_in_every_layout() {
        assert_eq!(
            texts("#[a] #[b]\nfn x() {}\n#[c] fn y() {}"),
            [vec!["#[a]", "#[b]"], vec!["#[c]"]]
        );
        let source = "#[a] // note ]\n/** doc\n/* ] */ #[no] */\n# [ b(\n  \"]\", ']', '\\'', [x]) ]\n\n/// #[no]\n#[c]";
        assert_eq!(texts(source), [vec!["#[a]", "# [ b(\n  \"]\", ']', '\\'', [x]) ]", "#[c]"]]);
    }

    #[test]
    fn literals_and_lifetimes_hide_nothing() {
        let source = "r##\"#[no]\"# \"##; \"\\\"#[no]\"; b'\"'; b\"#[no]\"; '\"'; fn f<'a>(x: &'a str) {} r#fn; 1u8 #![no]\n#[a]";
        assert_eq!(texts(source), [vec!["#[a]"]]);
    }

    #[test]
    fn unterminated_pieces_are_ignored() {
        for source in ["#[a", "#[a(\"", "/* #[a]", "\"#[a]", "r#\"#[a]", "'\\", "'", "#", "ä#[ä"]
        {
            assert_eq!(texts(source), Vec::<Vec<&str>>::new(), "{source}");
        }
    }

    #[test]
    fn paths_of_attributes() {
        let joined = |attribute| -> Vec<String> {
            paths(attribute).into_iter().map(|path| path.join("::")).collect()
        };
        assert_eq!(joined("#[test]"), ["test"]);
        assert_eq!(joined("# [ :: core :: prelude::v1 :: test ]"), ["core::prelude::v1::test"]);
        assert_eq!(joined("#[case::one(1, 2)]"), ["case::one"]);
        assert_eq!(joined("#[ignore = \"x\"]"), ["ignore"]);
        assert_eq!(joined("#[$any]"), ["$any"]);
        assert_eq!(
            joined("#[cfg_attr(all(unix, x = \",\"), test, cfg_attr(any(), a::b(c, d)))]"),
            ["test", "a::b"]
        );
    }
}
