//! Text of programs in a form that a terminal shows as it is. Pure.

/// Returns `text` without characters that a terminal acts on, that are not seen, or that change the
/// order of others; without `is_utf8` in ASCII. They are written as in Rust's literals.
pub(crate) fn escape(text: &str, is_utf8: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ' '..='~' => out.push(letter),
            '\t' => out.push_str("  "),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ if letter.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
            _ if is_utf8 && !is_hidden(letter) => out.push(letter),
            _ => out.push_str(&format!("\\u{{{:x}}}", u32::from(letter))),
        }
    }
    out
}

/// Returns whether a character outside of ASCII is a control character, is not seen, or changes the
/// direction of the text.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202f}'
                | '\u{205f}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{fff0}'..='\u{fffc}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{e0000}'..
        )
}

/// Returns the number of columns of escaped text.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Cuts escaped text to a number of columns, at least 4, with dots for what is cut.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(3);
    let kept = text.chars().take_while(|letter| match left.checked_sub(columns(*letter)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    kept.collect::<String>() + "..."
}

/// Splits escaped text into lines of at most `most` columns, at spaces where there are some.
pub(crate) fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > most {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.into_iter().map(|line| cut(&line, most)).filter(|line| !line.is_empty()).collect()
}

fn columns(letter: char) -> usize {
    let is_wide = matches!(
        letter,
        '\u{1100}'..='\u{115e}'
            | '\u{231a}'..='\u{231b}'
            | '\u{23e9}'..='\u{23f3}'
            | '\u{25fd}'..='\u{27bf}'
            | '\u{2b1b}'..='\u{2b55}'
            | '\u{2e80}'..='\u{a4cf}'
            | '\u{a960}'..='\u{a97f}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{fe10}'..='\u{fe6f}'
            | '\u{ff00}'..='\u{ffe6}'
            | '\u{16fe0}'..='\u{1b2ff}'
            | '\u{1f000}'..='\u{3fffd}'
    );
    1 + usize::from(is_wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_program_reaches_the_terminal() {
        assert_eq!(escape("a\u{1b}[31mb\u{7}", true), "a\\x1b[31mb\\x07");
        assert_eq!(escape("\u{9b}2J", true), "\\u{9b}2J");
        assert_eq!(escape("a\u{202e}b\u{2066}", true), "a\\u{202e}b\\u{2066}");
        assert_eq!(escape("a\nb\tc\r", true), "a\\nb  c\\r");
        assert_eq!(escape("é😀", true), "é😀");
        assert_eq!(escape("é", false), "\\u{e9}");
    }

    #[test]
    fn long_text_is_cut_by_columns() {
        assert_eq!(cut("abcdefgh", 8), "abcdefgh");
        assert_eq!(cut("abcdefghi", 8), "abcde...");
        assert_eq!(cut("漢字漢字漢", 8), "漢字...");
        assert_eq!(width("漢a"), 3);
    }

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 8), ["abcde...", "k"]);
        assert_eq!(wrap("", 8), Vec::<String>::new());
    }
}
