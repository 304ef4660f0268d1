//! What a rule does to one packet. Pure.

use std::time::Duration;

/// Result of the rules for one packet.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Judgement {
    pub(crate) fate: Fate,
    /// Packets that the link makes itself.
    pub(crate) injected: Vec<Injected>,
    /// Number and text of the rule, if it drops the packet.
    pub(crate) by: String,
}

/// Way of a packet after the rules.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Fate {
    /// On to the next stage, unchanged: no rule has chosen it.
    #[default]
    Pass,
    /// Not further.
    Drop,
    /// Into the packets that are held, behind the earlier ones.
    Hold,
    /// On, and sent later by this time than without the rule.
    Delay(Duration),
    /// On, together with this number of copies.
    Duplicate(u32),
    /// On, as these bytes.
    Replace(Vec<u8>),
}

/// A frame as on the wire that the link makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Injected {
    pub(crate) bytes: Vec<u8>,
    /// True if it goes to the sender of the packet, against its direction.
    pub(crate) is_answer: bool,
}
