//! The lines of source around the place of a panic.

use std::path::Path;

use crate::sys::fds::folder;

/// Most bytes of a source file.
const MOST: usize = 4 << 20;

/// Lines of source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// Number of the line of the panic.
    pub(crate) line: usize,
    /// Lines with their numbers.
    pub(crate) lines: Vec<(usize, String)>,
    /// The statement of the panic, up to its line.
    pub(crate) statement: String,
}

/// Most lines of a statement.
const STATEMENT: usize = 12;

/// Reads the lines at `place`, which is `file:line:column`. The compiler has run in the package's
/// directory `manifest` or above it.
pub(crate) fn at(place: &str, manifest: Option<&Path>) -> Option<Excerpt> {
    let (file, line) = split(place)?;
    // A process of the test may have written the place: nothing but source is shown.
    if Path::new(file).extension()? != "rs" {
        return None;
    }
    let here = std::env::current_dir().ok();
    let bases = manifest.into_iter().chain(here.as_deref());
    let mut files = bases.flat_map(Path::ancestors).map(|base| base.join(file));
    let text = files.find_map(|file| read(&file))?;
    excerpt(&text, line)
}

/// Splits a place into the file and the number of the line.
fn split(place: &str) -> Option<(&str, usize)> {
    let (rest, _column) = place.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?))
}

fn read(file: &Path) -> Option<String> {
    let bytes = folder::read_regular(file, MOST).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the line, and the two before it.
fn excerpt(text: &str, line: usize) -> Option<Excerpt> {
    let first = line.saturating_sub(2).max(1);
    let lines = text.lines().enumerate().map(|(at, text)| (at + 1, text.to_owned()));
    let lines: Vec<_> = lines.skip(first - 1).take((line + 1).saturating_sub(first)).collect();
    let statement = statement(text, line);
    (lines.last()?.0 == line).then_some(Excerpt { line, lines, statement })
}

/// Returns the lines of the statement that a line belongs to, up to this line.
fn statement(text: &str, line: usize) -> String {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let is_end = |line: &&str| {
        let line = line.split("//").next().unwrap_or_default().trim();
        line.is_empty() || line.ends_with([';', '{', '}', ','])
    };
    let before = lines[..lines.len().saturating_sub(1)].iter().rev();
    let count = before.take_while(|line| !is_end(line)).take(STATEMENT).count();
    lines[lines.len().saturating_sub(count + 1)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_and_two_before_it_are_shown() {
        let numbers = |line| {
            excerpt("a\nb\nc\nd\n", line)
                .map(|found| found.lines.iter().map(|(number, _)| *number).collect::<Vec<_>>())
        };
        assert_eq!(numbers(4), Some(vec![2, 3, 4]));
        assert_eq!(numbers(2), Some(vec![1, 2]));
        assert_eq!(numbers(5), None);
        assert_eq!(numbers(0), None);
    }

    #[test]
    fn a_statement_begins_after_the_one_before() {
        let text = "let a = 1;\nlet b = c\n    .d()\n    .unwrap();\nif b {\n    e(b);\n";
        assert_eq!(statement(text, 4), "let b = c\n    .d()\n    .unwrap();");
        assert_eq!(statement(text, 1), "let a = 1;");
        assert_eq!(statement(text, 6), "    e(b);");
        assert_eq!(statement(text, 9), "    e(b);");
    }

    #[test]
    fn only_source_is_read() {
        assert_eq!(at("/etc/passwd:1:1", None), None);
        assert_eq!(at("a.rs:1", None), None);
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = at("netns-test/src/report/source.rs:1:1", Some(manifest)).unwrap();
        assert!(found.lines[0].1.starts_with("//! The lines of source"));
    }
}
