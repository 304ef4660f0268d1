//! Rules on the packets of a link that is in use: exact faults.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use crate::error::{Failure, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::fabric::hub::Hub;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::passage::Direction;
use crate::lab::impair::rule::action::Action;
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::rules::{Rule, RuleCounts, RuleId};
use crate::lab::plan::diff;
use crate::lab::run::link::Link;
use crate::lab::topology::NodeId;

/// A rule that is about to be added to a link; [`Link::on`] returns it.
#[derive(Clone, Debug)]
#[must_use = "a rule is added by `drop` or `apply`"]
pub struct RuleSpec<'a> {
    link: &'a Link,
    packet: Packet,
    which: Which,
    from: Option<NodeId>,
}

/// A rule on the packets of a link. It is removed when this is dropped, so bind it to a variable
/// with a name: `let _ = ...`, or a statement without `let`, removes it at once. Packets that it
/// holds are let go by [`Link::release`].
///
/// # Panics
///
/// The drop panics, so that the test fails, if a condition ([`Packet::when`]) of the link's rules
/// has panicked.
#[must_use = "the rule ends when this is dropped"]
pub struct LinkRule {
    hub: Arc<Hub>,
    is: Arc<Named>,
    /// The rule of each direction.
    ids: [Option<RuleId>; 2],
}

/// A rule by name.
struct Named {
    link: usize,
    /// Name of the link in messages.
    label: String,
    /// Text of the rule.
    text: String,
    /// Number of the rule on the timeline.
    number: u64,
}

/// Number of the next rule of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Link {
    /// Begins a rule on the packets that match, on a link that is impaired, or is declared
    /// [`impairable`](crate::lab::LinkSpec::impairable). Rules come before all impairments, and the
    /// first one that chooses a packet decides.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(
    /// #     lab: netns_test::Lab,
    /// #     [client, server]: [netns_test::NodeId; 2],
    /// #     wan: netns_test::LinkId,
    /// # ) -> netns_test::Result<()> {
    /// use netns_test::lab::{Action, Packet};
    ///
    /// // The third SYN-ACK is lost.
    /// let lost = lab[wan].on(Packet::tcp().syn_ack()).nth(3).drop()?;
    /// // A path MTU black hole: large packets of the server vanish.
    /// let hole = lab[wan].on(Packet::any().longer_than(1400)).from(server).drop()?;
    /// // Each request is answered by "port unreachable".
    /// let closed = lab[wan]
    ///     .on(Packet::udp().destination_port(53))
    ///     .apply(Action::Unreachable(netns_test::lab::Unreachable::Port))?;
    /// // ...
    /// assert_eq!(lost.hits(), 1);
    /// drop(hole); // Large packets pass again.
    /// # drop(closed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on(&self, packet: Packet) -> RuleSpec<'_> {
        RuleSpec { link: self, packet, which: Which::all(), from: None }
    }

    /// Drops the packets that match: [`on`](Self::on) and [`drop`](RuleSpec::drop).
    ///
    /// # Errors
    ///
    /// As [`RuleSpec::apply`].
    #[track_caller]
    pub fn drop_matching(&self, packet: Packet) -> Result<LinkRule> {
        self.on(packet).drop()
    }
}

impl RuleSpec<'_> {
    /// Limits the rule to packets from `node`, which the link ends at: all that the node sends to
    /// the link, also those that it forwards. [`Packet::from`] compares the source address.
    pub fn from(self, node: NodeId) -> Self {
        Self { from: Some(node), ..self }
    }

    /// Chooses some of the packets that match, in place of an earlier choice. They are counted in
    /// each direction by itself, so that `nth(3)` can act twice unless the rule is limited to one.
    pub fn which(self, which: Which) -> Self {
        Self { which, ..self }
    }

    /// Chooses one packet, the `n`th that matches, from 1; [`Which::nth`].
    pub fn nth(self, n: u64) -> Self {
        Self { which: self.which.nth(n), ..self }
    }

    /// Chooses the `n`th packet that matches and is no retransmission, from 1; [`Which::nth_new`].
    pub fn nth_new(self, n: u64) -> Self {
        Self { which: self.which.nth_new(n), ..self }
    }

    /// Chooses the first `n` packets that match; [`Which::first`].
    pub fn first(self, n: u64) -> Self {
        Self { which: self.which.first(n), ..self }
    }

    /// Chooses each `n`th packet that matches; [`Which::every`].
    pub fn every(self, n: u64) -> Self {
        Self { which: self.which.every(n), ..self }
    }

    /// Chooses the packets with the first `n` bytes of a stream; [`Which::first_bytes`].
    pub fn first_bytes(self, n: u64) -> Self {
        Self { which: self.which.first_bytes(n), ..self }
    }

    /// Counts the packets of each flow by itself; [`Which::per_flow`].
    pub fn per_flow(self) -> Self {
        Self { which: self.which.per_flow(), ..self }
    }

    /// Chooses packets only within this time from now on; [`Which::until`].
    pub fn until(self, duration: Duration) -> Self {
        Self { which: self.which.until(duration), ..self }
    }

    /// Adds the rule, which drops the packets.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    #[track_caller]
    pub fn drop(self) -> Result<LinkRule> {
        self.apply(Action::Drop)
    }

    /// Adds the rule. It holds for each packet that the link receives after this returns.
    ///
    /// # Errors
    ///
    /// A link that is a direct veth pair; a node that is at neither end of it; a rule that can
    /// never act, such as one on the source port of an ICMP packet.
    #[track_caller]
    pub fn apply(self, action: Action) -> Result<LinkRule> {
        located(self.add(action))
    }

    fn add(self, action: Action) -> Result<LinkRule> {
        let Self { link, packet, which, from } = self;
        let (rule, label) = (Rule { packet, which, action }, link.label());
        let mistakes = rule.mistakes();
        if !mistakes.is_empty() {
            return Err(Failure::new("add a rule to", label, mistakes.join("; ")).into());
        }
        let end = from.map(|node| link.end_at("add a rule to", node)).transpose()?;
        let direct = || diff::not_impairable("add a rule to", &label);
        let hub = Arc::clone(link.fabric().hub.as_ref().ok_or_else(direct)?);
        let (text, number) = (rule.to_string(), NEXT.fetch_add(1, Ordering::Relaxed));
        let named = Named { link: link.position(), label: label.clone(), text, number };
        let (named, reported) = (Arc::new(named), Arc::new(Once::new()));
        let ids = hub.with(link.position(), ("add a rule to", &label), |model, now, _| {
            Direction::BOTH.map(|direction| {
                let is_meant = end.is_none_or(|end| end == direction.index());
                let id = is_meant.then(|| model.rules(direction).add(rule.clone(), now))?;
                let (named, reported) = (Arc::clone(&named), Arc::clone(&reported));
                let report = move || reported.call_once(|| named.note("rule acts", "acts", &[]));
                model.rules(direction).at_first(id, report);
                Some(id)
            })
        })?;
        named.note("rule added", "added", &[]);
        Ok(LinkRule { hub, is: named, ids })
    }
}

impl LinkRule {
    /// Returns the number of packets that the rule has acted on so far.
    ///
    /// # Panics
    ///
    /// Panics if the lab has ended.
    #[must_use]
    #[track_caller]
    pub fn hits(&self) -> u64 {
        self.counts().map(|counts| counts.hits).sum()
    }

    /// Returns the number of packets that have matched so far, also those that were not chosen.
    /// After the last packet that the rule can choose, none is counted.
    ///
    /// # Panics
    ///
    /// Panics if the lab has ended.
    #[must_use]
    #[track_caller]
    pub fn matched(&self) -> u64 {
        self.counts().map(|counts| counts.matched).sum()
    }

    #[track_caller]
    fn counts(&self) -> impl Iterator<Item = RuleCounts> {
        let counts = self.model(|model| {
            self.each().map(|(direction, id)| model.rules(direction).counts(id)).collect::<Vec<_>>()
        });
        match counts {
            Ok(counts) => counts.into_iter().flatten(),
            Err(error) => panic!("{error}"),
        }
    }

    fn each(&self) -> impl Iterator<Item = (Direction, RuleId)> {
        let both = Direction::BOTH.into_iter().zip(self.ids);
        both.filter_map(|(direction, id)| Some((direction, id?)))
    }

    fn model<T>(&self, work: impl FnOnce(&mut EmulatedLink) -> T) -> Result<T> {
        self.hub.with(self.is.link, ("use the rules of", &self.is.label), |model, _, _| work(model))
    }
}

impl Named {
    /// Notes what has become of the rule in the log of the test.
    fn note(&self, words: &str, state: &str, details: &[(&str, u64)]) {
        log::note(|| {
            let text = format!("{} {words}: {}", self.label, self.text);
            let event = Event::of(EventKind::Link, "", text).with("link", self.link);
            let event = event.with("of", &self.label).with("rule", &self.text);
            let event = event.with("number", self.number).with("state", state);
            details.iter().fold(event, |event, (name, value)| event.with(name, value))
        });
    }
}

impl fmt::Debug for LinkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkRule({}: {})", self.is.label, self.is.text)
    }
}

impl Drop for LinkRule {
    fn drop(&mut self) {
        let removed = self.model(|model| {
            let counts = self.each().map(|(direction, id)| model.rules(direction).remove(id));
            let counts: Vec<RuleCounts> = counts.flatten().collect();
            // While the thread panics, the end of the lab reports it.
            let ways = Direction::BOTH.into_iter().filter(|_| !thread::panicking());
            let panics = ways.map(|direction| model.rules(direction).take_panic());
            // Each direction has the same conditions.
            (counts, panics.collect::<Vec<_>>().into_iter().flatten().next())
        });
        // The rules end with the lab.
        let Ok((counts, panic)) = removed else { return };
        let hits: u64 = counts.iter().map(|counts| counts.hits).sum();
        let matched: u64 = counts.iter().map(|counts| counts.matched).sum();
        let words = match hits {
            0 => "rule removed, which never acted".to_owned(),
            1 => "rule removed, which acted on 1 packet".to_owned(),
            _ => format!("rule removed, which acted on {hits} packets"),
        };
        self.is.note(&words, "removed", &[("hits", hits), ("matched", matched)]);
        if let Some(panic) = panic {
            panic!("a condition of {} has panicked: {panic}", self.is.label);
        }
    }
}
