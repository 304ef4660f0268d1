//! Bodies of other users than the caller, and bodies with subordinate ids.

mod another;
mod subordinate;
