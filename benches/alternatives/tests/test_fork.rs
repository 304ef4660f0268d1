//! `test-fork`: a process, without a namespace.

#[macro_use]
mod common;

macro_rules! test {
    ($body:expr, $($name:ident)*) => {
        $(#[test_fork::test] fn $name() { $body })*
    };
}

all! { test }
