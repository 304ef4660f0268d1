//! A cause of a failure. Pure.

/// A cause, with its proof and what to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) certainty: Certainty,
    /// One sentence, without a full stop: `nothing on server listens on 10.0.0.2:8080`.
    pub(crate) text: String,
    /// Sentences that show it.
    pub(crate) proof: Vec<String>,
    /// Sentences about things to try, in the imperative.
    pub(crate) remedy: Vec<String>,
    /// Inodes of the sockets that it refers to.
    pub(crate) sockets: Vec<u64>,
    /// Positions in [`Facts::events`](crate::evidence::facts::Facts::events) that it refers to.
    pub(crate) events: Vec<usize>,
    /// Names of the nodes that it refers to.
    pub(crate) nodes: Vec<String>,
}

/// Whether the facts leave another reading. The better one is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Certainty {
    Certain,
    Likely,
}

impl Certainty {
    /// Returns `Certain` if `holds`.
    pub(crate) const fn if_sure(holds: bool) -> Self {
        if holds { Self::Certain } else { Self::Likely }
    }

    /// Returns the word that stands for it in texts.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
        }
    }
}

impl Cause {
    pub(crate) fn new(certainty: Certainty, text: impl Into<String>) -> Self {
        Self {
            certainty,
            text: text.into(),
            proof: Vec::new(),
            remedy: Vec::new(),
            sockets: Vec::new(),
            events: Vec::new(),
            nodes: Vec::new(),
        }
    }

    pub(crate) fn likely(text: impl Into<String>) -> Self {
        Self::new(Certainty::Likely, text)
    }

    #[must_use]
    pub(crate) fn shown_by(mut self, proof: impl Into<String>) -> Self {
        self.proof.push(proof.into());
        self
    }

    #[must_use]
    pub(crate) fn shown_by_all(mut self, proof: impl IntoIterator<Item = String>) -> Self {
        self.proof.extend(proof);
        self
    }

    #[must_use]
    pub(crate) fn try_to(mut self, remedy: impl Into<String>) -> Self {
        self.remedy.push(remedy.into());
        self
    }

    #[must_use]
    pub(crate) fn socket(mut self, inode: u64) -> Self {
        if inode != 0 && !self.sockets.contains(&inode) {
            self.sockets.push(inode);
        }
        self
    }

    #[must_use]
    pub(crate) fn event(mut self, position: usize) -> Self {
        if !self.events.contains(&position) {
            self.events.push(position);
        }
        self
    }

    #[must_use]
    pub(crate) fn on(mut self, node: &str) -> Self {
        if !node.is_empty() && !self.nodes.iter().any(|known| known == node) {
            self.nodes.push(node.to_owned());
        }
        self
    }
}
