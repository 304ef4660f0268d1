//! A writer of JSON (RFC 8259). Pure.
//!
//! Own code, so that the isolation alone needs no further crate.

/// A text that grows.
#[derive(Debug, Default)]
pub(crate) struct Json {
    text: String,
    /// Whether the next key or item comes after another one.
    follows: bool,
}

impl Json {
    /// Writes an object, whose keys and values `fields` writes.
    pub(crate) fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.around(('{', '}'), fields);
    }

    /// Writes an array, whose items `items` writes.
    pub(crate) fn array(&mut self, items: impl FnOnce(&mut Self)) {
        self.around(('[', ']'), items);
    }

    /// Writes the key of the next value of an object.
    pub(crate) fn key(&mut self, name: &str) {
        self.item();
        self.text(name);
        self.text.push(':');
    }

    /// Begins the next item of an array.
    pub(crate) fn item(&mut self) {
        if std::mem::replace(&mut self.follows, true) {
            self.text.push(',');
        }
    }

    /// Writes a string.
    pub(crate) fn text(&mut self, value: &str) {
        self.text.push('"');
        for letter in value.chars() {
            match letter {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                control if control < ' ' => {
                    self.text.push_str(&format!("\\u{:04x}", u32::from(control)));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    /// Writes a number.
    pub(crate) fn number(&mut self, value: i128) {
        self.text.push_str(&value.to_string());
    }

    /// Writes `true`, `false` or `null`.
    pub(crate) fn word(&mut self, value: &str) {
        self.text.push_str(value);
    }

    /// Returns the text.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn around(&mut self, (open, close): (char, char), content: impl FnOnce(&mut Self)) {
        self.text.push(open);
        let before = std::mem::replace(&mut self.follows, false);
        content(self);
        self.follows = before;
        self.text.push(close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_values_are_separated() {
        let mut json = Json::default();
        json.object(|json| {
            json.key("a");
            json.array(|json| {
                for number in [1, 2] {
                    json.item();
                    json.number(number);
                }
            });
            json.key("b");
            json.object(|_| {});
            json.key("c\u{1}\\");
            json.word("null");
        });
        assert_eq!(json.finish(), r#"{"a":[1,2],"b":{},"c\u0001\\":null}"#);
    }
}
