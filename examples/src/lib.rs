//! Isolated tests at work on real programs; the files in `tests/` are made to be copied.
//!
//! | file | shows |
//! |---|---|
//! | `same_port.rs` | two tests that hold the same port at the same time |
//! | `veth.rs` | `ip` builds a second host and a cable to it |
//! | `http.rs` | an HTTP server on port 80 and its client |
//! | `async_body.rs` | `async fn` tests, on tokio |
//!
//! `ci/example` runs them all.
