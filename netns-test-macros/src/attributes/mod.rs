//! The other attributes on the function.
//!
//! | module | content |
//! |---|---|
//! | `role` | which attributes make tests, and which belong on the body |
//! | `source`, `scan` | the attributes around `#[netns_test]` in the source text |
//! | `above` | a test attribute above `#[netns_test]`, which the compiler does not show |
//! | `below` | a `#[case]` below it, which shows that `rstest` assigned it to one case alone |

pub(crate) mod above;
pub(crate) mod below;
pub(crate) mod role;
pub(crate) mod scan;
pub(crate) mod source;
