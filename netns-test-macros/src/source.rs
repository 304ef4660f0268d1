//! The source text around our attribute, for what the compiler has expanded before it calls us and
//! does not show. Since Rust 1.88 a macro may ask where it stands; the text tells the rest. When in
//! doubt we say nothing.

use std::fs;

use proc_macro2::Span;

/// The text of the file that `attribute` stands in, and its line there (the first is 1). `None`
/// from an older compiler, and if there is no file.
///
/// What `macro_rules!` makes stands in the text of that macro. What a procedural macro makes
/// stands, in most cases, where that macro is called, so the line may be another attribute's.
pub(crate) fn around(attribute: Span) -> Option<(String, usize)> {
    let source = fs::read_to_string(attribute.local_file()?).ok()?;
    Some((source, attribute.start().line))
}

/// Whether this line, without the space around it, is between an attribute and its item: one
/// attribute or more, a comment, or nothing.
pub(crate) fn belongs_to_item(line: &str) -> bool {
    line.is_empty() || line.starts_with("//") || (line.starts_with("#[") && line.ends_with(']'))
}
