//! Without anything: what libtest costs, and what nextest runs under `unshare`.

#[macro_use]
mod common;

macro_rules! test {
    ($body:expr, $($name:ident)*) => {
        $(#[test] fn $name() { $body })*
    };
}

all! { test }
