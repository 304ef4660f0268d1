//! An empty table of nftables, by which the doctor sees whether the kernel has them.

use crate::error::Failure;
use crate::netlink::nft::batch::Batch;
use crate::netlink::nft::socket::Nft;
use crate::sys::errno;

/// A table of family `inet`. It exists until it is deleted, or its namespace ends.
#[derive(Debug)]
pub(crate) struct Table {
    name: String,
}

impl Table {
    /// Adds an empty table to the calling thread's network namespace.
    pub(crate) fn add(name: &str) -> Result<Self, Failure> {
        let mut batch = Batch::new(name);
        batch.add_new_table();
        commit(batch)?;
        Ok(Self { name: name.to_owned() })
    }

    /// Deletes it, with all that it holds.
    pub(crate) fn delete(self) -> Result<(), Failure> {
        let mut batch = Batch::new(&self.name);
        batch.delete_table();
        commit(batch)
    }
}

fn commit(batch: Batch) -> Result<(), Failure> {
    let nft = Nft::connect();
    let mut nft = nft.map_err(|error| errno::failure("open", "a netlink socket", &error))?;
    batch.commit(&mut nft)
}
