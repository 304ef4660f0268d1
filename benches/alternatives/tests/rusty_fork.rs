//! `rusty-fork`: a process, without a namespace.

// Its macro calls itself by its bare name.
#[macro_use]
extern crate rusty_fork;
#[macro_use]
mod common;

macro_rules! test {
    ($body:expr, $($name:ident)*) => {
        rusty_fork_test! { $(#[test] fn $name() { $body })* }
    };
}

all! { test }
