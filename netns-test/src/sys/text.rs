//! Texts that the kernel writes for each read, as in `/proc`. Pure.

/// Returns the value of a field in a text that has a line for each: `Uid:` of
/// `/proc/self/status`.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}
