//! Plain tests: the cost of libtest, and the tests that nextest runs under `unshare`.

#[macro_use]
mod common;

macro_rules! test {
    ($body:expr, $($name:ident)*) => {
        $(#[test] fn $name() { $body })*
    };
}

all! { test }
