//! Declared impairments as the topology stores them. Pure.

use std::time::Duration;

use crate::lab::topology::quantity::{PatternArg, ProbabilityArg, RateArg};

/// Units by which TCP data is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossUnit {
    /// Slots of the byte stream, as long as a full segment on the link. A segment is lost if a slot
    /// that begins in it is lost. The same bytes are lost for all sizes of writes.
    #[default]
    Slot,
    /// Segments, by their first byte: for small messages whose boundaries are the same in each run.
    Segment,
}

/// Limit of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueLimit {
    /// Bytes of frames.
    Bytes(u64),
    /// Frames.
    Packets(u64),
}

/// Declared impairments of one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OneWay {
    pub(crate) loss: Loss,
    pub(crate) loss_unit: LossUnit,
    pub(crate) shares_bursts: bool,
    pub(crate) includes_neighbours: bool,
    pub(crate) corrupt: ProbabilityArg,
    pub(crate) duplicate: ProbabilityArg,
    pub(crate) rate: Option<RateArg>,
    pub(crate) burst: Option<u64>,
    pub(crate) overhead: Option<i32>,
    pub(crate) queue: Option<QueueLimit>,
    pub(crate) mark_above: Option<u64>,
    pub(crate) drops_ect: bool,
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) reorder: Option<ProbabilityArg>,
    pub(crate) reorder_gap: Option<u32>,
}

/// Declared loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Loss {
    #[default]
    None,
    Independent(ProbabilityArg),
    /// Average loss, and mean number of packets that are lost in a row.
    Bursts {
        loss: ProbabilityArg,
        length: Length,
    },
    /// The four parameters of `loss gemodel` of `tc-netem(8)`: p, r, 1-h, 1-k.
    GilbertElliott([ProbabilityArg; 4]),
    Pattern(PatternArg),
}

/// Declaration of a link about impairments.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LinkImpairments {
    /// Impairments from each end on; `None` if the direction declares none.
    pub(crate) from: [Option<OneWay>; 2],
    /// True if impairments can be set while the link is in use.
    pub(crate) is_impairable: bool,
    /// True if the frames at both ends are recorded.
    pub(crate) is_captured: bool,
    /// True if the ends have no offloads.
    pub(crate) has_no_offloads: bool,
    /// Nodes that `impair_from` names and that are at neither end; `None` for the id of another
    /// topology.
    pub(crate) strays: Vec<Option<usize>>,
}

/// Mean length of a burst in packets, as it was passed. A value equals itself, NaN too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length(pub(crate) f64);

impl PartialEq for Length {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}
