//! Two hosts behind a NAT each.

mod punching;
mod theory;
