//! Rust's words and signs with their lines, without comments, literals and test code. Knows as
//! much of the language as the rules need.

/// A word or a sign; `::` is one sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The tokens of `source`, without items under `#[cfg(test)]`.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    without_tests(&all(source))
}

fn all(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = match literal_or_comment(&chars[at..]) {
            Some(length) => at + length,
            None => {
                let end = at + word(&chars[at..]);
                if !chars[at].is_whitespace() {
                    found.push(Token { line, text: chars[at..end].iter().collect() });
                }
                end
            }
        };
        line += chars[at..end].iter().filter(|&&c| c == '\n').count();
        at = end;
    }
    found
}

/// The length of the word or sign at the start.
fn word(chars: &[char]) -> usize {
    if chars.starts_with(&[':', ':']) {
        return 2;
    }
    chars.iter().take_while(|&&c| c.is_alphanumeric() || c == '_').count().max(1)
}

/// The length of the literal, lifetime or comment at the start, if there is one.
fn literal_or_comment(chars: &[char]) -> Option<usize> {
    let to_end = |found: Option<usize>| found.unwrap_or(chars.len());
    match chars {
        ['/', '/', ..] => Some(to_end(chars.iter().position(|&c| c == '\n'))),
        ['/', '*', ..] => Some(block_comment(chars)),
        ['\'', '\\', ..] => Some(3 + to_end(chars[3..].iter().position(|&c| c == '\'')) + 1),
        ['\'', _, '\'', ..] => Some(3),
        ['\'', rest @ ..] => Some(1 + word(rest)),
        _ => string(chars),
    }
}

fn block_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string at the start: `"…"`, `b"…"`, `c"…"`, `r#"…"#`, `br"…"`.
fn string(chars: &[char]) -> Option<usize> {
    let prefix = chars.iter().take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    let raw = chars[..prefix].contains(&'r');
    let hashes = chars[prefix..].iter().take_while(|&&c| raw && c == '#').count();
    let start = prefix + hashes + 1;
    if prefix > 2 || chars.get(start - 1) != Some(&'"') {
        return None;
    }
    let mut at = start;
    while at < chars.len() {
        let closed = chars[at] == '"'
            && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        match chars[at] {
            '\\' if !raw => at += 2,
            _ if closed => return Some(at + 1 + hashes),
            _ => at += 1,
        }
    }
    Some(chars.len())
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_test = tokens.len() - at >= CFG_TEST.len()
            && tokens[at..].iter().zip(CFG_TEST).all(|(token, text)| token.text == text);
        if is_test {
            at = end_of_item(tokens, at + CFG_TEST.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Returns the end of the item that begins at `at`: after its `;`, or after its last brace.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        at += 1;
        match text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(text, ";" | "}") {
            let is_import = tokens.get(at).is_some_and(|token| token.text == ";");
            return at + usize::from(is_import);
        }
    }
    at
}

#[test]
fn only_code_is_left() {
    let source = r##"//! unsafe
        /* unsafe /* unsafe */ unsafe */ fn a<'b>(c: &'b str) -> char { 'x'; '\''; '\u{1}' }
        const D: &str = "unsafe \" unsafe"; const E: &str = r#"unsafe " unsafe"#;
        #[cfg(test)] #[allow(x)] mod tests { fn f() { unsafe {} } }
        #[cfg(test)] use g::{unsafe};
        h::i"##;
    let texts: Vec<String> = tokens(source).into_iter().map(|token| token.text).collect();
    assert!(!texts.iter().any(|text| text == "unsafe"), "{texts:?}");
    assert_eq!(texts[texts.len() - 3..], ["h", "::", "i"]);
    assert_eq!(tokens(source).last().map(|token| token.line), Some(6));
}
