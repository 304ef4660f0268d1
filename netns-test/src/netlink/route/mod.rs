//! Routes (ip-route(8)).

pub(crate) mod list;
pub(crate) mod requests;

pub(crate) use crate::netlink::route::list::{Hop, LOCAL, MAIN, Route};
pub(crate) use crate::netlink::route::requests::{Rank, add, add_black_hole, remove};
