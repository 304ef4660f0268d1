//! Splits Rust source into comments, string literals and names, and Markdown into its prose.

/// A part of a file that is read as prose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The line of its first character, from 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// The kinds of prose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Adjacent `///` lines, on a function if `true`.
    Doc(bool),
    /// Adjacent `//!` or `//` lines, or a block comment.
    Comment,
    /// The content of a string literal.
    Literal,
    /// An identifier, with its underscores as spaces.
    Name,
    /// A paragraph of Markdown.
    Paragraph,
}

/// Splits Rust source. Code blocks of doc comments are left out.
pub(crate) fn of_rust(source: &str) -> Vec<Piece> {
    let chars: Vec<char> = source.chars().collect();
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let (length, piece) = next(rest);
        let text: String = rest[..length].iter().collect();
        if let Some((kind, content)) = piece {
            push(&mut pieces, Piece { line, kind, text: content });
        }
        line += text.matches('\n').count();
        at += length;
    }
    mark_functions(source, &mut pieces);
    for piece in &mut pieces {
        if matches!(piece.kind, Kind::Doc(_) | Kind::Comment) {
            piece.text = without_code_blocks(&piece.text);
        }
    }
    pieces
}

/// Splits Markdown into paragraphs, rows of tables and items of lists, without its code blocks.
pub(crate) fn of_markdown(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut is_new = true;
    for (index, line) in without_code_blocks(text).lines().enumerate() {
        if line.trim().is_empty() {
            is_new = true;
            continue;
        }
        match pieces.last_mut() {
            Some(last) if !is_new && !line.trim_start().starts_with(['-', '|', '#']) => {
                last.text = format!("{} {}", last.text, line.trim());
            }
            _ => pieces.push(Piece {
                line: index + 1,
                kind: Kind::Paragraph,
                text: line.trim().to_owned(),
            }),
        }
        is_new = false;
    }
    pieces
}

/// Adds a piece, or its text to the comment that it continues.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    let is_comment = |kind| matches!(kind, Kind::Doc(_) | Kind::Comment);
    if let Some(last) = pieces.last_mut() {
        let next_line = last.line + last.text.lines().count();
        if is_comment(piece.kind) && last.kind == piece.kind && piece.line == next_line {
            last.text = format!("{}\n{}", last.text, piece.text);
            return;
        }
    }
    pieces.push(piece);
}

/// The length of the token at the start, and its kind and content if it is prose.
fn next(chars: &[char]) -> (usize, Option<(Kind, String)>) {
    let line = || chars.iter().position(|&c| c == '\n').unwrap_or(chars.len());
    let text = |from: usize, to: usize| chars[from..to].iter().collect::<String>();
    match chars {
        ['/', '/', '/', ..] => (line(), Some((Kind::Doc(false), text(3, line())))),
        ['/', '/', '!', ..] => (line(), Some((Kind::Comment, text(3, line())))),
        ['/', '/', ..] => (line(), Some((Kind::Comment, text(2, line())))),
        ['/', '*', ..] => {
            let end = chars.windows(2).skip(2).position(|w| w == ['*', '/']);
            let end = end.map_or(chars.len(), |end| end + 4);
            (end, Some((Kind::Comment, text(2, end))))
        }
        ['\'', '\\', ..] => {
            let end = chars[3..].iter().position(|&c| c == '\'').map_or(chars.len(), |e| e + 4);
            (end, None)
        }
        ['\'', _, '\'', ..] => (3, None),
        _ => string(chars).map_or_else(
            || word(chars),
            |(length, content)| (length, Some((Kind::Literal, content))),
        ),
    }
}

/// A name, or one other character.
fn word(chars: &[char]) -> (usize, Option<(Kind, String)>) {
    let length = chars.iter().take_while(|&&c| c.is_alphanumeric() || c == '_').count();
    if length == 0 {
        return (1, None);
    }
    let name: String = chars[..length].iter().collect();
    (length, Some((Kind::Name, name.replace('_', " "))))
}

/// The length and the content of the string literal at the start.
fn string(chars: &[char]) -> Option<(usize, String)> {
    let prefix = chars.iter().take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    let is_raw = chars[..prefix].contains(&'r');
    let hashes = chars[prefix..].iter().take_while(|&&c| is_raw && c == '#').count();
    let start = prefix + hashes + 1;
    if prefix > 2 || chars.get(start - 1) != Some(&'"') {
        return None;
    }
    let (mut at, mut content) = (start, String::new());
    while at < chars.len() {
        let is_close = chars[at] == '"'
            && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        match chars[at..] {
            ['\\', '\n', ..] if !is_raw => {
                let spaces = chars[at + 2..].iter().take_while(|c| c.is_whitespace()).count();
                at += 2 + spaces;
            }
            ['\\', 'n', ..] if !is_raw => (at, _) = (at + 2, content.push('\n')),
            ['\\', escaped, ..] if !is_raw => (at, _) = (at + 2, content.push(escaped)),
            _ if is_close => return Some((at + 1 + hashes, content)),
            [c, ..] => (at, _) = (at + 1, content.push(c)),
            [] => break,
        }
    }
    Some((chars.len(), content))
}

/// Marks the doc comments that are followed by a function, past its attributes.
fn mark_functions(source: &str, pieces: &mut [Piece]) {
    let lines: Vec<&str> = source.lines().collect();
    for piece in pieces.iter_mut().filter(|piece| piece.kind == Kind::Doc(false)) {
        let after = piece.line - 1 + piece.text.lines().count();
        let item = lines[after.min(lines.len())..]
            .iter()
            .map(|line| line.trim())
            .find(|line| !line.starts_with('#') && !line.starts_with("//"));
        let is_function = item.is_some_and(|item| {
            let head = item.split(['{', '=']).next();
            head.is_some_and(|head| head.split_whitespace().any(|word| word == "fn"))
        });
        piece.kind = Kind::Doc(is_function);
    }
}

/// Replaces code blocks by empty lines, so that lines keep their numbers.
fn without_code_blocks(text: &str) -> String {
    let mut is_code = false;
    let mut kept = String::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        if !is_code && !is_fence {
            kept.push_str(line);
        }
        kept.push('\n');
        is_code ^= is_fence;
    }
    kept.pop();
    kept
}
