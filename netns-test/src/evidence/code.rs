//! Facts as bytes, for the way from a test's processes to the runner, and as JSON. Pure.
//!
//! Both forms of a struct follow from the list of its fields. A test body may write anywhere, so a
//! reader checks what it reads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::bytes::{Reader, Writer};
use crate::evidence::json::Json;

/// A value with a form as bytes, and one in JSON.
pub(crate) trait Fact: Sized {
    fn write(&self, out: &mut Writer);

    /// Reads what [`write`](Self::write) has written. Returns `None` for other bytes.
    fn read(input: &mut Reader<'_>) -> Option<Self>;

    fn json(&self, out: &mut Json);

    /// Returns the value of a field that was not set.
    fn none() -> Self;

    /// Returns the form as bytes.
    fn encoded(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.write(&mut out);
        out.0
    }

    /// Reads the whole of `bytes`.
    fn decoded(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let value = Self::read(&mut input)?;
        input.end(value)
    }
}

/// Writes a field of an object.
pub(crate) fn field(out: &mut Json, name: &str, value: &impl Fact) {
    out.key(name);
    value.json(out);
}

/// Declares a struct of facts.
macro_rules! facts {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$of:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct $name { $($(#[$of])* pub(crate) $field: $type,)* }

        impl $crate::evidence::code::Fact for $name {
            fn write(&self, out: &mut $crate::bytes::Writer) {
                let Self { $($field,)* } = self;
                $($crate::evidence::code::Fact::write($field, out);)*
            }

            fn read(input: &mut $crate::bytes::Reader<'_>) -> Option<Self> {
                Some(Self { $($field: $crate::evidence::code::Fact::read(input)?,)* })
            }

            fn json(&self, out: &mut $crate::evidence::json::Json) {
                let Self { $($field,)* } = self;
                out.object(|out| {
                    $($crate::evidence::code::field(out, stringify!($field), $field);)*
                });
            }

            fn none() -> Self {
                Self { $($field: $crate::evidence::code::Fact::none(),)* }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $crate::evidence::code::Fact::none()
            }
        }
    };
}

/// Declares an enum of facts, each with the word that stands for it in texts and JSON. The first is
/// the default.
macro_rules! words {
    ($(#[$meta:meta])* enum $name:ident {
        $($(#[$of:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum $name { $($(#[$of])* $variant,)* }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the word that stands for it in texts.
            pub(crate) const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ALL[0]
            }
        }

        impl $crate::evidence::code::Fact for $name {
            fn write(&self, out: &mut $crate::bytes::Writer) {
                out.u32(*self as u32);
            }

            fn read(input: &mut $crate::bytes::Reader<'_>) -> Option<Self> {
                Self::ALL.get(input.u32()? as usize).copied()
            }

            fn json(&self, out: &mut $crate::evidence::json::Json) {
                out.text(self.word());
            }

            fn none() -> Self {
                Self::default()
            }
        }
    };
}

pub(crate) use {facts, words};

/// Implements [`Fact`] for integers that fit `$wide`, an integer of 64 bits.
macro_rules! integers {
    ($wide:ty: $($type:ty),*) => {$(
        impl Fact for $type {
            fn write(&self, out: &mut Writer) {
                out.u64(<$wide>::from(*self) as u64);
            }

            fn read(input: &mut Reader<'_>) -> Option<Self> {
                <$type>::try_from(input.u64()? as $wide).ok()
            }

            fn json(&self, out: &mut Json) {
                out.number(i128::from(*self));
            }

            fn none() -> Self {
                0
            }
        }
    )*};
}

integers!(u64: u8, u16, u32, u64);
integers!(i64: i32, i64);

impl Fact for bool {
    fn write(&self, out: &mut Writer) {
        out.u32((*self).into());
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        input.flag()
    }

    fn json(&self, out: &mut Json) {
        out.word(if *self { "true" } else { "false" });
    }

    fn none() -> Self {
        false
    }
}

/// Bytes of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content(pub(crate) Vec<u8>);

impl Fact for Content {
    fn write(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(Self(input.bytes()?.to_vec()))
    }

    /// Only their number.
    fn json(&self, out: &mut Json) {
        out.number(self.0.len() as i128);
    }

    fn none() -> Self {
        Self::default()
    }
}

impl Fact for String {
    fn write(&self, out: &mut Writer) {
        out.bytes(self.as_bytes());
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(Self::from_utf8_lossy(input.bytes()?).into_owned())
    }

    fn json(&self, out: &mut Json) {
        out.text(self);
    }

    fn none() -> Self {
        Self::new()
    }
}

impl Fact for Duration {
    fn write(&self, out: &mut Writer) {
        out.u64(u64::try_from(self.as_nanos()).unwrap_or(u64::MAX));
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(Self::from_nanos(input.u64()?))
    }

    /// In nanoseconds.
    fn json(&self, out: &mut Json) {
        out.number(i128::try_from(self.as_nanos()).unwrap_or(i128::MAX));
    }

    fn none() -> Self {
        Self::ZERO
    }
}

/// Implements [`Fact`] for values with a text that can be parsed.
macro_rules! texts {
    ($($type:ty = $none:expr),*) => {$(
        impl Fact for $type {
            fn write(&self, out: &mut Writer) {
                self.to_string().write(out);
            }

            fn read(input: &mut Reader<'_>) -> Option<Self> {
                String::read(input)?.parse().ok()
            }

            fn json(&self, out: &mut Json) {
                out.text(&self.to_string());
            }

            fn none() -> Self {
                $none
            }
        }
    )*};
}

const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

texts!(IpAddr = UNSPECIFIED, SocketAddr = SocketAddr::new(UNSPECIFIED, 0));

impl<T: Fact> Fact for Option<T> {
    fn write(&self, out: &mut Writer) {
        self.is_some().write(out);
        self.iter().for_each(|value| value.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        if input.flag()? { T::read(input).map(Some) } else { Some(None) }
    }

    fn json(&self, out: &mut Json) {
        match self {
            None => out.word("null"),
            Some(value) => value.json(out),
        }
    }

    fn none() -> Self {
        None
    }
}

impl<T: Fact> Fact for Vec<T> {
    fn write(&self, out: &mut Writer) {
        out.u32(u32::try_from(self.len()).unwrap_or(u32::MAX));
        self.iter().for_each(|value| value.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        // Not allocated ahead: the number may be anything.
        (0..input.u32()?).map(|_| T::read(input)).collect()
    }

    fn json(&self, out: &mut Json) {
        out.array(|out| {
            for value in self {
                out.item();
                value.json(out);
            }
        });
    }

    fn none() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    facts! {
        /// A sample with a field of each type.
        struct Sample {
            number: i32,
            flag: bool,
            text: String,
            time: Duration,
            address: Option<SocketAddr>,
            list: Vec<u16>,
            colour: Colour,
        }
    }

    words! {
        /// A sample.
        enum Colour {
            Red = "red",
            Green = "green",
        }
    }

    fn sample() -> Sample {
        Sample {
            number: -3,
            flag: true,
            text: "a \"b\"\n".into(),
            time: Duration::from_micros(7),
            address: Some("[fe80::1]:80".parse().unwrap()),
            list: vec![1, 2],
            colour: Colour::Green,
        }
    }

    #[test]
    fn facts_round_trip() {
        let bytes = sample().encoded();
        assert_eq!(Sample::decoded(&bytes), Some(sample()));
        for length in 0..bytes.len() {
            assert_eq!(Sample::decoded(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Sample::decoded(&[bytes.as_slice(), &[0]].concat()), None);
    }

    #[test]
    fn a_large_number_of_items_needs_that_many_bytes() {
        assert_eq!(Vec::<String>::decoded(&[0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn the_json_has_the_names_of_the_fields() {
        let mut json = Json::default();
        sample().json(&mut json);
        let text = r#"{"number":-3,"flag":true,"text":"a \"b\"\n","time":7000,"address":"[fe80::1]:80","list":[1,2],"colour":"green"}"#;
        assert_eq!(json.finish(), text);
    }
}
