//! The rules of prose, and a sample for each that breaks it.

use super::pieces::{Kind, Piece, of_markdown, of_rust};

/// The longest line of a comment.
const COLUMNS: usize = 100;

/// First words that no doc comment has: it begins with a verb or with a noun for the item.
const FIRST: [&str; 10] =
    ["What", "Where", "Who", "Whom", "Whose", "Those", "That of", "Gives", "Has", "Have"];

/// Words that say less than the plain one, in comments, literals and names.
const BANNED: [(&str, &str); 15] = [
    ("nobody", "no process, no caller, nothing"),
    ("somebody", "another process, the user"),
    ("by hand", "static, explicit, manual"),
    ("stands", "is"),
    ("stands on", "depends on"),
    ("told", "reported, passed"),
    ("tell", "report"),
    ("tells", "reports"),
    ("leave word", "record"),
    ("leaves word", "records"),
    ("gives", "returns, assigns"),
    ("all the same", "nevertheless"),
    ("no more", "no longer"),
    ("for ever", "forever, without a limit"),
    ("what there is of", "the noun"),
];

/// Phrases that hold a banned one and are plain.
const PLAIN: [&str; 3] = ["no more than", "stands for", "user nobody"];

/// Returns what breaks a rule in a Rust file, as `line: rule`.
pub(crate) fn check_rust(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in source.lines().enumerate() {
        if is_too_long(line) {
            found.push((index + 1, format!("a comment has at most {COLUMNS} columns")));
        }
    }
    for piece in of_rust(source) {
        first_word(&piece, &mut found);
        banned(&piece, &mut found);
    }
    lines(found)
}

/// Returns what breaks a rule in a Markdown file, as `line: rule`.
pub(crate) fn check_markdown(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    of_markdown(text).iter().for_each(|piece| banned(piece, &mut found));
    lines(found)
}

type Found = Vec<(usize, String)>;

fn lines(mut found: Found) -> Vec<String> {
    found.sort();
    found.into_iter().map(|(line, rule)| format!("{line}: {rule}")).collect()
}

/// Returns whether this is a comment that could be wrapped and is not: a row of a table and an
/// address cannot.
fn is_too_long(line: &str) -> bool {
    let Some(comment) = line.trim_start().strip_prefix("//") else { return false };
    let text = comment.trim_start_matches(['/', '!']).trim_start();
    let can_wrap = !text.starts_with('|') && text.split_whitespace().nth(1).is_some();
    can_wrap && line.chars().count() > COLUMNS
}

fn first_word(piece: &Piece, found: &mut Found) {
    let Kind::Doc(is_function) = piece.kind else { return };
    let begins = |first: &&&str| {
        let rest = piece.text.trim_start().strip_prefix(**first);
        rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    let whether = is_function.then_some(&"Whether");
    if let Some(first) = FIRST.iter().chain(whether).find(begins) {
        found.push((piece.line, format!("a doc comment does not begin with `{first}`")));
    }
}

fn banned(piece: &Piece, found: &mut Found) {
    // A literal of one word is data: the name of a user, a key.
    if piece.kind == Kind::Literal && !piece.text.trim().contains(' ') {
        return;
    }
    let text = words(&without_code(&piece.text));
    let text = PLAIN.iter().fold(text, |text, plain| text.replace(&format!(" {plain} "), " "));
    for (phrase, plain) in BANNED {
        if text.contains(&format!(" {phrase} ")) {
            let rule = format!("`{phrase}` is not plain: {plain}");
            found.push((piece.line, rule));
        }
    }
}

/// Removes code between backticks, and single words in quotes.
fn without_code(text: &str) -> String {
    let text: Vec<&str> = text.split('`').step_by(2).collect();
    let text = text.join(" ` ");
    let parts: Vec<&str> = text.split('"').collect();
    let is_outside = |at: usize| at == 0 || at == parts.len() - 1;
    let kept = (0..parts.len()).filter(|&at| is_outside(at) || parts[at].contains(' '));
    kept.map(|at| parts[at]).collect::<Vec<_>>().join(" \" ")
}

/// Returns the words in lower case, each between single spaces.
fn words(text: &str) -> String {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    let words: Vec<String> = parts.filter(|p| !p.is_empty()).map(str::to_lowercase).collect();
    format!(" {} ", words.join(" "))
}

#[test]
fn samples_break_each_rule() {
    for first in FIRST {
        let source = format!("/// {first} the item.\nstruct S;\n");
        let rule = format!("1: a doc comment does not begin with `{first}`");
        assert!(check_rust(&source).contains(&rule), "{first}");
        assert_eq!(check_rust(&format!("/// {first}ly.\nstruct S;\n")).len(), 0, "{first}");
    }
    for (phrase, _) in BANNED {
        let (first, rest) = phrase.split_at(1);
        for source in [
            format!("/// It {phrase} it.\nstruct S;\n"),
            format!("//! {}{rest}, it is\n", first.to_uppercase()),
            format!("// one {}\n// two\n", phrase.replacen(' ', "\n// ", 1)),
            format!("/* {phrase} */"),
            format!("let message = \"it {phrase} {{x}}\\n\";"),
            format!("let message = r#\"it {phrase} {{x}}\"#;"),
            format!("fn it_{}_now() {{}}", phrase.replace(' ', "_")),
        ] {
            assert!(check_rust(&source).iter().any(|rule| rule.contains(phrase)), "{source}");
        }
        let document = format!("# Title\n\ntext\n{phrase} text\n");
        assert!(check_markdown(&document).iter().any(|rule| rule.starts_with("3: ")), "{phrase}");
    }
    let long = format!("    // {} end\n", "x".repeat(90));
    assert_eq!(check_rust(&long), [format!("1: a comment has at most {COLUMNS} columns")]);
    assert_eq!(check_rust("/// Whether it is so.\n#[must_use]\npub(crate) fn f() {}\n").len(), 1);
}

#[test]
fn plain_samples_pass() {
    for source in [
        "/// Whether it is so.\nis_so: bool,\n",
        "/// Returns what it has.\nfn f() {}\n",
        "/// ```\n/// // nobody\n/// ```\nfn f() {}\n",
        "/// The user `nobody`, as in \"nobody\".\nfn f() {}\n",
        "let user = \"nobody\";\n",
        "// The standard library, no more than 4 KiB.\n",
        "let c = '\"'; let d = '\\''; fn f<'a>(x: &'a str) {} // plain\n",
        "/// | a table cannot be wrapped, so its rows may be as long as they have to be, as here, where it is long |\n",
    ] {
        assert_eq!(check_rust(source), Vec::<String>::new(), "{source}");
    }
    assert_eq!(check_markdown("```sh\nnobody\n```\n`nobody`\n"), Vec::<String>::new());
}

#[test]
fn lines_are_counted() {
    let source =
        "//! One.\n\nfn f() {\n    // nobody\n    let x = \"two\n    lines\";\n    // told\n}\n";
    let found = check_rust(source);
    assert_eq!(found.iter().map(|rule| &rule[..2]).collect::<Vec<_>>(), ["4:", "7:"]);
    assert_eq!(check_markdown("a\n\n```\nb\n```\n\ntold\n")[0][..2], *"7:");
}
