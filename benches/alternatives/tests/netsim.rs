//! `netsim`: a user, a network and a UTS namespace of a thread.

#[macro_use]
mod common;

macro_rules! test {
    ($body:expr, $($name:ident)*) => {
        $(#[test] #[netsim::isolate] fn $name() { $body })*
    };
}

all! { test }
