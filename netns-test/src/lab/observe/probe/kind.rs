//! Kind of a NAT as a probe has found it, in the words of RFC 4787. Pure.

use std::fmt;
use std::net::IpAddr;

use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::model::{Filtering, Mapping};

/// Behaviour of the NAT in front of a node, as packets have shown it
/// ([`Lab::nat_kind`](crate::Lab::nat_kind)).
///
/// It equals a [`Nat`] with the same mapping, filtering, port preservation and hairpinning.
/// `Display` writes it in the words of RFC 4787.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatKind {
    /// Address of the node itself.
    pub inside: IpAddr,
    /// Addresses as which the servers saw the node, in order of appearance. Several of them are the
    /// pool of a NAT without paired pooling.
    pub external: Vec<IpAddr>,
    /// Dependence of external endpoints on the destination; `None` without translation.
    pub mapping: Option<Mapping>,
    /// Outside endpoints that may send to an endpoint of the node which has sent to another one.
    /// Without translation it is that of a firewall.
    pub filtering: Filtering,
    /// Treatment of a packet from the inside to an external endpoint.
    pub hairpinning: Hairpinning,
    /// True if external ports equal the inside ports. Without translation they do.
    pub port_preservation: bool,
}

/// Treatment of packets from the inside to an external endpoint of the same NAT (RFC 4787, section
/// 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hairpinning {
    /// They do not arrive.
    None,
    /// They arrive with an external source, which a NAT must use (REQ-9).
    ExternalSource,
    /// They arrive with the source that they had inside.
    InternalSource,
}

impl NatKind {
    /// Returns whether servers see other endpoints than the node's own.
    #[must_use]
    pub fn is_translated(&self) -> bool {
        self.mapping.is_some()
    }
}

impl PartialEq<Nat> for NatKind {
    fn eq(&self, nat: &Nat) -> bool {
        // An endpoint that has a mapping for each destination sends from a mapping that its peer
        // does not know: a filter by address and port drops that, hairpinned or not.
        let is_hidden = nat.mapping != Mapping::EndpointIndependent
            && nat.filtering == Filtering::AddressAndPortDependent;
        let is_hairpinned = self.hairpinning == Hairpinning::ExternalSource;
        self.mapping == Some(nat.mapping)
            && self.filtering == nat.filtering
            && self.port_preservation == nat.port_preservation
            && (is_hidden || is_hairpinned == nat.hairpinning)
    }
}

impl PartialEq<NatKind> for Nat {
    fn eq(&self, kind: &NatKind) -> bool {
        kind == self
    }
}

/// Writes `endpoint-independent mapping, address-dependent filtering, hairpinning, port
/// preservation, external address 203.0.113.7`.
impl fmt::Display for NatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filtering = match self.filtering {
            Filtering::EndpointIndependent => "endpoint-independent",
            Filtering::AddressDependent => "address-dependent",
            Filtering::AddressAndPortDependent => "address- and port-dependent",
        };
        let Some(mapping) = self.mapping else {
            return write!(f, "no NAT, {filtering} filtering, address {}", self.inside);
        };
        let mapping = match mapping {
            Mapping::EndpointIndependent => "endpoint-independent",
            Mapping::AddressDependent => "address-dependent",
            Mapping::AddressAndPortDependent => "address- and port-dependent",
        };
        write!(f, "{mapping} mapping, {filtering} filtering, {}", self.hairpinning)?;
        let no = if self.port_preservation { "" } else { "no " };
        write!(f, ", {no}port preservation, external address")?;
        let external: Vec<String> = self.external.iter().map(IpAddr::to_string).collect();
        write!(f, "{} {}", if external.len() > 1 { "es" } else { "" }, external.join(", "))
    }
}

impl fmt::Display for Hairpinning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no hairpinning",
            Self::ExternalSource => "hairpinning",
            Self::InternalSource => "hairpinning with the internal source",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> NatKind {
        NatKind {
            inside: [192, 168, 1, 2].into(),
            external: vec![[203, 0, 113, 7].into()],
            mapping: Some(Mapping::EndpointIndependent),
            filtering: Filtering::AddressAndPortDependent,
            hairpinning: Hairpinning::None,
            port_preservation: true,
        }
    }

    #[test]
    fn a_kind_is_written_in_the_words_of_the_rfc() {
        let home = home();
        assert_eq!(
            home.to_string(),
            "endpoint-independent mapping, address- and port-dependent filtering, no hairpinning, \
             port preservation, external address 203.0.113.7"
        );
        let pool = vec![[203, 0, 113, 7].into(), [203, 0, 113, 8].into()];
        let hairpinning = Hairpinning::InternalSource;
        let mapping = Some(Mapping::AddressDependent);
        let pooled = NatKind { external: pool, hairpinning, mapping, ..home.clone() };
        let pooled = NatKind { port_preservation: false, ..pooled };
        assert_eq!(
            pooled.to_string(),
            "address-dependent mapping, address- and port-dependent filtering, hairpinning with \
             the internal source, no port preservation, external addresses 203.0.113.7, \
             203.0.113.8"
        );
        let filtering = Filtering::EndpointIndependent;
        let open = NatKind { mapping: None, filtering, ..home };
        assert!(!open.is_translated());
        assert_eq!(open.to_string(), "no NAT, endpoint-independent filtering, address 192.168.1.2");
    }

    #[test]
    fn a_kind_equals_the_nat_with_its_words() {
        let home = home();
        assert_eq!(home, Nat::home());
        assert_eq!(Nat::home(), home);
        assert_ne!(home, Nat::home().hairpinning(true));
        assert_ne!(home, Nat::home().port_preservation(false));
        assert_ne!(home, Nat::full_cone());
        assert_ne!(NatKind { mapping: None, ..home.clone() }, Nat::home());
        let internal = NatKind { hairpinning: Hairpinning::InternalSource, ..home.clone() };
        assert_ne!(internal, Nat::home().hairpinning(true));
        let mapping = Some(Mapping::AddressAndPortDependent);
        let symmetric = NatKind { mapping, port_preservation: false, ..home };
        assert_eq!(symmetric, Nat::symmetric());
        assert_eq!(symmetric, Nat::symmetric().hairpinning(true));
    }
}
