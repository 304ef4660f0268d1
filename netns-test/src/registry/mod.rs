//! The tests of a binary: the case of each, the options of its module, and the linker sections in
//! which they are found.

pub(crate) mod case;
pub(crate) mod constructors;
pub(crate) mod effective;
pub(crate) mod options;
pub(crate) mod sections;
pub(crate) mod versions;
