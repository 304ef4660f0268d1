//! `gateflow`: a user and a network namespace.

#[macro_use]
mod common;

macro_rules! test {
    ($body:expr, $($name:ident)*) => {
        $(#[gateflow::isolated_net] fn $name() { $body })*
    };
}

all! { test }
