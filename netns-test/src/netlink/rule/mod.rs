//! Rules, which select the table that a packet's route is looked up in (ip-rule(8)).

pub(crate) mod list;
pub(crate) mod requests;

pub(crate) use crate::netlink::rule::list::{Rule, leads_to, name_of_table};
pub(crate) use crate::netlink::rule::requests::{block, make_room_for_blocks};
