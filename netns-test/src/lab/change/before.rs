//! What a node has before it is extended, so that it has the same when that is refused half way.

use std::fs;

use super::growth::NodeGrowth;
use crate::error::Result;
use crate::lab::host::{Here, Host};
use crate::netlink::tables::{Address, Again};
use crate::netlink::{Netlink, Request, requests};

/// Its addresses and routes, and those of its sysctls that are to change.
#[derive(Debug)]
pub(super) struct Before<'lab> {
    host: &'lab Host,
    addresses: Vec<Address>,
    routes: Vec<Again>,
    /// Paths with their values.
    sysctls: Vec<(String, String)>,
}

impl<'lab> Before<'lab> {
    pub(super) fn of(host: &'lab Host, here: &Here, grown: &NodeGrowth) -> Result<Self> {
        let path = |name: &str| {
            let name = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
            format!("/proc/sys/{name}")
        };
        let paths: Vec<String> = grown.sysctls.iter().map(|(name, _)| path(name)).collect();
        let values = |paths: Vec<String>| -> Vec<(String, String)> {
            // One that is not there yet is of an interface that is new.
            let known = paths.into_iter().filter_map(|path| {
                let value = fs::read_to_string(&path).ok()?;
                Some((path, value.trim().to_owned()))
            });
            known.collect()
        };
        let sysctls = if paths.is_empty() { Vec::new() } else { host.run(|| values(paths)) };
        let (addresses, routes) = (here.netlink.addresses()?, here.netlink.added_routes()?);
        Ok(Self { host, addresses, routes, sysctls })
    }

    /// Takes away what is there besides, and puts back what is not there any more; before that does what
    /// `first` asks for. What is refused is left.
    pub(super) fn restore(&self, netlink: &Netlink, first: &[Request]) {
        let ask = |request: Request| drop(netlink.ask_all(&[request]));
        first.iter().cloned().for_each(ask);
        let there = netlink.addresses().unwrap_or_default();
        for new in there.iter().filter(|one| !self.addresses.contains(one)) {
            let object = new.address.to_string();
            ask(requests::no_address(object, new.index, new.address, new.prefix));
        }
        let routes = netlink.added_routes().unwrap_or_default();
        for new in routes.iter().filter(|route| !self.routes.contains(route)) {
            ask(new.remove());
        }
        for lost in self.routes.iter().filter(|route| !routes.contains(route)) {
            ask(lost.add());
        }
        if !self.sysctls.is_empty() {
            self.host.run(|| {
                self.sysctls.iter().for_each(|(path, value)| drop(fs::write(path, value)));
            });
        }
    }
}
