//! Changes of the firewall of a running node, and its counters.

use crate::error::{Failure, Result, located};
use crate::lab::nat;
use crate::lab::nat::model::FirewallCounter;
use crate::lab::run::node::Node;
use crate::lab::topology::Firewall;

impl Node {
    /// Puts a firewall on the node, in place of the one that it has, all at once. A connection that
    /// it does not let pass ends: none of its packets pass from now on. The others continue, also
    /// those of TCP that were opened before a first firewall.
    ///
    /// The firewall stays when the node is powered off and on, and when the lab is extended, unless
    /// the extended topology declares another one than before.
    ///
    /// # Errors
    ///
    /// All mistakes that [`plan`](crate::Topology::plan) finds in the topology with this firewall.
    /// A kernel without nftables; a node that is powered off. After an error all is as before.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, office: netns_test::NodeId) -> netns_test::Result<()> {
    /// use netns_test::lab::Firewall;
    ///
    /// lab[office].set_firewall(Firewall::corporate())?;
    /// for rule in lab[office].firewall_rules()? {
    ///     println!("{rule}"); // firewall of office: allow out tcp 80, 443: 12 packets
    /// }
    /// lab[office].remove_firewall()?;
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "it is built for the call")]
    #[track_caller]
    pub fn set_firewall(&self, firewall: Firewall) -> Result<()> {
        located(self.redeclare("firewall set", |topology| {
            topology.set_firewall(self.position(), Some(&firewall));
            Ok(())
        }))
    }

    /// Removes the firewall of the node. One that has none is no error.
    ///
    /// # Errors
    ///
    /// As [`set_firewall`](Self::set_firewall).
    #[track_caller]
    pub fn remove_firewall(&self) -> Result<()> {
        located(self.redeclare("firewall removed", |topology| {
            topology.set_firewall(self.position(), None);
            Ok(())
        }))
    }

    /// Returns the rules of the firewall in their order, also those for what no rule decides, with
    /// the number of packets and bytes that each has matched.
    ///
    /// # Errors
    ///
    /// A node without firewall, or powered off; a request that the kernel refuses.
    #[track_caller]
    pub fn firewall_rules(&self) -> Result<Vec<FirewallCounter>> {
        located(self.try_firewall_rules())
    }

    fn try_firewall_rules(&self) -> Result<Vec<FirewallCounter>> {
        let _links = self.fabric().links.lock();
        let planned = self.with_rules();
        if planned.firewall.is_none() {
            let object = format!("the firewall of {}", self.name());
            let failure = Failure::new("list", object, "it has none");
            return Err(failure.advise("put one on it with `set_firewall`").into());
        }
        self.on_rules(&planned, nat::firewall_counters)
    }
}
