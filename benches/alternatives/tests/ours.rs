//! This library.

#[macro_use]
mod common;

macro_rules! test {
    ($body:expr, $($name:ident)*) => {
        $(#[netns_test::netns_test] fn $name() { $body })*
    };
}

all! { test }
