//! Port mapping of a running router: what was asked, and changes of what is served.

use crate::error::{Failure, Result, located};
use crate::lab::change::nat::NodeNat;
use crate::lab::port_mapping::model::PortMappingRequest;
use crate::lab::topology::PortMapping;

impl NodeNat<'_> {
    /// Returns what hosts have asked by PCP, NAT-PMP and UPnP since the build, in order, with the
    /// answers. Restarts and power cuts do not end the list.
    ///
    /// # Errors
    ///
    /// A node without NAT.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, home: netns_test::NodeId) -> netns_test::Result<()> {
    /// for request in lab[home].nat().requests()? {
    ///     // NAT-PMP 192.168.1.1:40000: map tcp 80 to 8080 for 60 s: 203.0.113.1:8080 for 60 s
    ///     println!("{request}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn requests(&self) -> Result<Vec<PortMappingRequest>> {
        located(self.planned("list").map(|()| self.node.live().mapper.requests()))
    }

    /// Replaces the port mapping that the router serves, with its fault. Mappings and leases stay,
    /// as far as a protocol is served.
    ///
    /// # Errors
    ///
    /// As [`Node::set_nat`](crate::Node::set_nat).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, home: netns_test::NodeId) -> netns_test::Result<()> {
    /// use netns_test::lab::{PortMapping, PortMappingFault};
    ///
    /// let refusing = PortMapping::all().fault(PortMappingFault::Refuse);
    /// lab[home].nat().set_port_mapping(refusing)?;
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "it is built for the call")]
    #[track_caller]
    pub fn set_port_mapping(&self, protocols: PortMapping) -> Result<()> {
        let node = self.node;
        located(node.redeclare(&format!("{protocols} set"), |topology| {
            let links = topology.outside_links(node.position());
            let link = node.only_link("set", &links, "set_nat_on")?;
            topology.set_port_mapping((node.position(), link), &protocols);
            Ok(())
        }))
    }

    fn planned(&self, step: &str) -> Result<()> {
        let planned = self.node.with_rules();
        let none = || -> Failure { self.node.no_nat(step) };
        if planned.nats.is_empty() { Err(none().into()) } else { Ok(()) }
    }
}
