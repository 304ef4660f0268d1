//! A reader of small XML documents: elements by their local names, and their texts. Pure.

/// Deepest element.
const DEEPEST: usize = 32;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Name without prefix.
    pub(super) name: String,
    /// Text without that of the children.
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// Parses a document. Returns none for one that is not well-formed, or has a document type,
    /// which could define entities.
    pub(super) fn parse(document: &str) -> Option<Self> {
        let mut rest = document.trim_start_matches('\u{feff}');
        let mut open: Vec<Self> = Vec::new();
        loop {
            let start = rest.find('<')?;
            let (text, tag) = rest.split_at(start);
            match open.last_mut() {
                Some(parent) => parent.text.push_str(&unescaped(text)?),
                None if text.trim().is_empty() => {}
                None => return None,
            }
            if let Some(inside) = tag.strip_prefix("<!--") {
                rest = &inside[inside.find("-->")? + 3..];
            } else if let Some(inside) = tag.strip_prefix("<![CDATA[") {
                let end = inside.find("]]>")?;
                open.last_mut()?.text.push_str(&inside[..end]);
                rest = &inside[end + 3..];
            } else if let Some(inside) = tag.strip_prefix("<?") {
                rest = &inside[inside.find("?>")? + 2..];
            } else if tag.starts_with("<!") {
                return None;
            } else if let Some(inside) = tag.strip_prefix("</") {
                let end = inside.find('>')?;
                let element = open.pop()?;
                if local(inside[..end].trim()) != element.name {
                    return None;
                }
                rest = &inside[end + 1..];
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Some(element),
                }
            } else {
                let end = end_of_tag(tag)?;
                let inside = &tag[1..end];
                rest = &tag[end + 1..];
                let (inside, is_empty) = match inside.strip_suffix('/') {
                    Some(inside) => (inside, true),
                    None => (inside, false),
                };
                let name = local(inside.split_whitespace().next()?).to_owned();
                let element = Self { name, ..Self::default() };
                if open.len() == DEEPEST {
                    return None;
                }
                match open.last_mut() {
                    _ if !is_empty => open.push(element),
                    Some(parent) => parent.children.push(element),
                    None => return Some(element),
                }
            }
        }
    }

    /// Returns the first child with this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|one| one.name == name)
    }
}

/// Returns the text with the characters escaped that are markup.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Returns the position of the end of a tag, which is not in the value of an attribute.
fn end_of_tag(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in tag.char_indices() {
        match quote {
            None if character == '>' => return Some(at),
            None if ['"', '\''].contains(&character) => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ => {}
        }
    }
    None
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn unescaped(text: &str) -> Option<String> {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, after) = after.split_once(';')?;
        let number = entity.strip_prefix('#').map(|number| match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
            None => number.parse(),
        });
        plain.push(match (number, entity) {
            (Some(number), _) => char::from_u32(number.ok()?)?,
            (None, "amp") => '&',
            (None, "lt") => '<',
            (None, "gt") => '>',
            (None, "quot") => '"',
            (None, "apos") => '\'',
            _ => return None,
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_tree_of_local_names() {
        let text = "\u{feff}<?xml version='1.0'?>\n<!-- c > --><s:A x='>' y=\"'\">\
                    <u:b xmlns:u=\"urn\">1 &lt; &#50;&#x33;&amp;</u:b><c/> <d ></d>\
                    <e><![CDATA[<&>]]></e></s:A>";
        let root = Element::parse(text).unwrap();
        assert_eq!(root.name, "A");
        let names: Vec<&str> = root.children.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["b", "c", "d", "e"]);
        let of = |name| root.child(name).map(|one| one.text.as_str());
        assert_eq!([of("b"), of("c"), of("e")], [Some("1 < 23&"), Some(""), Some("<&>")]);
        assert_eq!(unescaped(&escaped("<\"&'>")).as_deref(), Some("<\"&'>"));
    }

    #[test]
    fn what_is_not_well_formed_is_nothing() {
        let deep = "<a>".repeat(40);
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a",
            "<a>&x;</a>",
            "<a>&#xd800;</a>",
            "</a>",
            "<>",
            "<a>&</a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<!-- ",
            "<a><![CDATA[",
            &deep,
        ] {
            assert_eq!(Element::parse(text), None, "{text}");
        }
    }
}
