//! Names of functions in the output of debuggers. Pure.

/// Crates that are not the user's: the standard library, runtimes, locks, this library.
const LIBRARIES: [&str; 13] = [
    "alloc",
    "core",
    "crossbeam_channel",
    "futures_core",
    "futures_executor",
    "futures_util",
    "lock_api",
    "mio",
    "netns_test",
    "parking_lot",
    "parking_lot_core",
    "std",
    "tokio",
];

/// libtest.
const TEST: &str = "test";

/// Most letters of a name that is shown.
const MOST: usize = 120;

pub(super) fn is_of_library(name: &str) -> bool {
    name == TEST || LIBRARIES.contains(&name)
}

/// Returns the name without the arguments that gdb prints after it: `f (x=...)`.
pub(super) fn without_arguments(call: &str) -> &str {
    let Some(inner) = call.strip_suffix(')') else { return call };
    let mut depth = 1;
    for (at, letter) in inner.char_indices().rev() {
        match letter {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return call[..at].strip_suffix(' ').unwrap_or(call);
        }
    }
    call
}

/// Returns the crate in which a function is; none for one of C, or for one of a type without a
/// path, whose trait has none either.
pub(super) fn crate_of(name: &str) -> Option<&str> {
    if let Some(rest) = name.strip_prefix("_R") {
        // The name of the crate is the first one, after the crate's hash.
        return identifiers(rest).into_iter().next();
    }
    let name = name.strip_prefix('_').filter(|name| name.starts_with('$')).unwrap_or(name);
    let (of_type, of_trait) = match name.split_once(" as ").or(name.split_once("$u20$as$u20$")) {
        Some((of_type, of_trait)) => (of_type, Some(of_trait)),
        None => (name, None),
    };
    first_path(of_type).or_else(|| first_path(of_trait?))
}

/// Returns the first part of a path of several parts.
fn first_path(text: &str) -> Option<&str> {
    let mut text = text;
    for start in ["<", "$LT$", "&", "$RF$", "*", "$BP$", "(", "[", "mut ", "const ", "dyn ", " "] {
        while let Some(rest) = text.strip_prefix(start) {
            text = rest;
        }
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let is_path = ["::", "[", ".."].iter().any(|next| rest.starts_with(next));
    Some(name).filter(|name| is_path && !name.is_empty())
}

/// Returns a name as it is read best: without the parameters of types, and hashes.
pub(super) fn shown(name: &str) -> String {
    let name = match name.strip_prefix("_R") {
        Some(rest) => identifiers(rest).join("::"),
        None => without_parameters(&without_hash(&plain(name))),
    };
    once(&name).chars().take(MOST).collect()
}

/// Returns whether a function is one that the attribute makes, in that of the test.
pub(super) fn is_of_attribute(name: &str) -> bool {
    shown(name).contains("::CASE")
}

/// Returns the name without its last part if that is the one before it: the attribute puts the
/// test's function into one of the same name.
fn once(name: &str) -> &str {
    let mut parts = name.rsplitn(3, "::");
    match (parts.next(), parts.next()) {
        (Some(last), Some(before)) if last == before && parts.next().is_some() => {
            &name[..name.len() - last.len() - 2]
        }
        _ => name,
    }
}

/// Returns the identifiers of a mangled name (RFC 2603): each has its length before it. What is
/// between them, as the kinds of types, is left out.
fn identifiers(mangled: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = mangled;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        // The hash of a crate and other numbers in base 62 are ended by `_`.
        if letter == 's' || letter == 'B' {
            rest = after.split_once('_').map_or("", |(_, rest)| rest);
            continue;
        }
        let end = rest.find(|one: char| !one.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, text) = rest.split_at(end);
        let Ok(length) = digits.parse::<usize>() else {
            rest = after;
            continue;
        };
        let text = text.strip_prefix('_').unwrap_or(text);
        if length > 0 {
            let Some(name) = text.get(..length) else { break };
            found.push(name);
        }
        rest = &text[length.min(text.len())..];
    }
    found
}

/// Replaces the signs of older mangled names.
fn plain(name: &str) -> String {
    let signs = [
        ("_$", "$"),
        ("$LT$", "<"),
        ("$GT$", ">"),
        ("$RF$", "&"),
        ("$BP$", "*"),
        ("$LP$", "("),
        ("$RP$", ")"),
        ("$C$", ","),
        ("$u20$", " "),
        ("$u7b$", "{"),
        ("$u7d$", "}"),
        ("$u5b$", "["),
        ("$u5d$", "]"),
        ("..", "::"),
    ];
    if !name.contains('$') {
        return name.to_owned();
    }
    signs.iter().fold(name.to_owned(), |name, (sign, meaning)| name.replace(sign, meaning))
}

/// Removes the hashes of a function (`::h…`) and of crates (`std[…]`).
fn without_hash(name: &str) -> String {
    let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|one| one.is_ascii_hexdigit());
    let end = name.rsplit_once("::h").filter(|(_, hash)| is_hash(hash));
    let mut rest = end.map_or(name, |(name, _)| name);
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        rest = match after.split_once(']') {
            Some((hash, after)) if !hash.is_empty() && hash.bytes().all(is_hexadecimal) => after,
            _ => {
                out.push('[');
                after
            }
        };
    }
    out + rest
}

fn is_hexadecimal(one: u8) -> bool {
    one.is_ascii_hexdigit()
}

/// Removes `<…>` after a name, and keeps that at the beginning of a path.
fn without_parameters(name: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    let mut before = ' ';
    for letter in name.chars() {
        let is_parameter = before.is_alphanumeric() || matches!(before, '_' | '}');
        match letter {
            '<' if depth > 0 || is_parameter => depth += 1,
            '>' if depth > 0 && before != '-' => depth -= 1,
            _ if depth == 0 => out.push(letter),
            _ => {}
        }
        before = letter;
    }
    out.replace("::::", "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_without_parameters_and_hashes() {
        for (name, expected) in [
            ("a::inner::hdcaa330d02be6759", "a::inner"),
            ("<std[e28293b1aa0f68bd]::Mutex>::lock", "<std::Mutex>::lock"),
            ("shop::wait<shop::main::{closure_env#0}, fn() -> u8>", "shop::wait"),
            ("<shop::A<u8> as shop::B>::run", "<shop::A as shop::B>::run"),
            (
                "_$LT$shop..A$u20$as$u20$shop..B$GT$::run::h887da9f6be170ecf",
                "<shop::A as shop::B>::run",
            ),
            ("_RNvNtCsjrHSEGnQ3l9_4shop3lan4wait", "shop::lan::wait"),
            ("_RNvMNtCs1_4shop3lanNtB2_6Client4wait", "shop::lan::Client::wait"),
            ("_R99x", ""),
            ("lan::works::works", "lan::works"),
            ("lan::lan", "lan::lan"),
        ] {
            assert_eq!(shown(name), expected, "{name}");
        }
    }

    #[test]
    fn the_crate_of_a_function_is_that_of_its_type_or_trait() {
        for (name, expected) in [
            ("std::thread::sleep", Some("std")),
            ("<alloc::boxed::Box<F> as core::ops::FnOnce<()>>::call_once", Some("alloc")),
            ("<&mut shop::Client as core::future::Future>::poll", Some("shop")),
            ("<T as shop::Wait>::wait", Some("shop")),
            ("_$LT$T$u20$as$u20$core..Into$GT$::into::h0", Some("core")),
            ("<std[e28293b1aa0f68bd]::Mutex>::lock", Some("std")),
            ("_RNvNtCsjrHSEGnQ3l9_3std6thread5sleep", Some("std")),
            ("clock_nanosleep@@GLIBC_2.17", None),
            ("main", None),
            ("", None),
        ] {
            assert_eq!(crate_of(name), expected, "{name}");
        }
    }

    #[test]
    fn arguments_follow_the_name() {
        assert_eq!(without_arguments("f<fn(), ()> (x=..., y=(1))"), "f<fn(), ()>");
        assert_eq!(without_arguments("f"), "f");
        assert_eq!(without_arguments("f)"), "f)");
    }
}
