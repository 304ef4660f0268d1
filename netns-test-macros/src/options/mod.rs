//! The options of the attribute.
//!
//! | module | content |
//! |---|---|
//! | `args` | the options of one use, and which of them go together |
//! | `argument` | one option as written, `name = value`, and how its value is read |
//! | `user` | the value of the option `user` |

pub(crate) mod args;
pub(crate) mod argument;
pub(crate) mod user;
