//! Bodies of other users than the caller, and bodies with subordinate ids.

#[path = "users/another.rs"]
mod another;
#[path = "users/subordinate.rs"]
mod subordinate;
