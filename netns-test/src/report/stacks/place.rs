//! Places of functions in the output of debuggers: a file and a line. Pure.

use super::function::is_of_library;

/// Returns file and line, as `tests/lan.rs:31`; empty if the text is something else.
pub(super) fn parse(text: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit());
    let Some((file, last)) = text.trim().rsplit_once(':') else { return String::new() };
    if !is_number(last) {
        return String::new();
    }
    match file.rsplit_once(':') {
        // A column follows.
        Some((file, line)) if is_number(line) => format!("{file}:{line}"),
        _ => format!("{file}:{last}"),
    }
}

/// Returns the last parts of a path.
pub(super) fn shown(place: &str) -> String {
    if !place.starts_with('/') {
        return place.to_owned();
    }
    let parts: Vec<&str> = place.split('/').collect();
    parts[parts.len().saturating_sub(3)..].join("/")
}

/// Returns whether a source file is of a crate that others wrote for all, or of this one. Functions
/// that are inlined have no path in `debug = "line-tables-only"`, only a place.
pub(super) fn is_in_library(place: &str) -> bool {
    is_standard(place)
        || is_own(place)
        || registry_crate(place).is_some_and(|name| is_of_library(&name))
}

/// Returns whether a source file is of the standard library: as it was compiled, or from the
/// component rust-src.
fn is_standard(place: &str) -> bool {
    let crates = ["alloc", "backtrace", "core", "panic_unwind", "std", "test"];
    let is_relative = place
        .strip_prefix("library/")
        .is_some_and(|rest| rest.split_once('/').is_some_and(|(name, _)| crates.contains(&name)));
    is_relative || place.starts_with("/rustc/") || place.contains("/rustlib/src/rust/library/")
}

/// Returns whether a source file is of this crate.
fn is_own(place: &str) -> bool {
    let Some(own) = file!().strip_suffix("report/stacks/place.rs") else { return false };
    let own = own.rsplit_once("../").map_or(own, |(_, own)| own).trim_start_matches('/');
    place.starts_with(own) || place.contains(&format!("/{own}"))
}

/// Returns the crate of a source file from a registry:
/// `…/registry/src/<index>/tokio-1.43.0/src/task.rs`.
fn registry_crate(place: &str) -> Option<String> {
    let (_, rest) = place.split_once("/registry/src/")?;
    let directory = rest.split('/').nth(1)?;
    let is_version = |at: &usize| directory[at + 1..].starts_with(|one: char| one.is_ascii_digit());
    let (end, _) = directory.match_indices('-').find(|(at, _)| is_version(at))?;
    Some(directory[..end].replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_libraries_are_known() {
        for place in [
            "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs:581",
            "library/std/src/thread/functions.rs:289",
            "/rustc/5980/compiler/rustc_x/src/lib.rs:1",
            "/home/a/.rustup/toolchains/stable/lib/rustlib/src/rust/library/std/src/rt.rs:206",
            "/home/a/.cargo/registry/src/index-1949cf8c/tokio-1.43.0/src/task/mod.rs:3",
            "/home/a/.cargo/registry/src/index-1949cf8c/futures-util-0.3.31-rc.1/src/lib.rs:3",
            "/home/a/netns-test/src/harness/child/test_thread.rs:119",
            &format!("{}:9", file!()),
        ] {
            assert!(is_in_library(place), "{place}");
        }
        for place in [
            "",
            "tests/lan.rs:31",
            "/home/a/shop/library/src/lib.rs:3",
            "library/src/lib.rs:3",
            "library/shop/src/lib.rs:3",
            "/home/a/.cargo/registry/src/index-1949cf8c/shop-0.1.0/src/lib.rs:3",
            "/home/a/.cargo/registry/src/index-1949cf8c/shop/src/lib.rs:3",
            "/home/a/.cargo/registry/src/",
            "/home/a/netns-test/tests/lan.rs:3",
        ] {
            assert!(!is_in_library(place), "{place}");
        }
    }

    #[test]
    fn a_column_is_left_out() {
        assert_eq!(parse(" a/b.rs:3:7"), "a/b.rs:3");
        assert_eq!(parse("a/b.rs:3"), "a/b.rs:3");
        assert_eq!(parse("a/b.rs"), "");
        assert_eq!(shown("/home/a/shop/src/a.rs:6"), "shop/src/a.rs:6");
    }
}
