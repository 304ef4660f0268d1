//! Exact faults on a link that is in use: rules, each with a guard that lifts it.

use std::fmt;

use crate::error::{Failure, Result, located};
use crate::lab::impair::passage::Direction;
use crate::lab::impair::rule::action::Action;
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::rules::{Rule, RuleCounts, RuleId};
use crate::lab::run::link::Link;
use crate::lab::topology::NodeId;

/// Rule of a link, which holds until this is dropped ([`Link::add_rule`]).
#[must_use = "dropped at once, it lifts the rule at once"]
pub struct LinkRule<'lab> {
    link: &'lab Link,
    text: String,
    /// Rule of each direction that it is for.
    ids: Vec<(Direction, RuleId)>,
}

/// Exact faults, on a link that declares impairments, or that the topology declares
/// [`impairable`](crate::lab::LinkSpec::impairable).
impl Link {
    /// Adds a rule to both directions: does `action` to those of the packets that match `packet`
    /// which `which` chooses. Each direction counts its packets by itself. The first rule that
    /// chooses a packet decides, in the order in which they were added.
    ///
    /// When this returns, the rule holds for each packet that the link receives. It holds until the
    /// guard is dropped. A panic of a closure of `packet` makes the lab's drop panic.
    ///
    /// # Errors
    ///
    /// A link that is a direct veth pair; a rule that can never choose a packet, with the reasons.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, wan: netns_test::LinkId) -> netns_test::Result<()> {
    /// use netns_test::lab::{Action, Packet, Which};
    ///
    /// let third = Which::all().nth(3);
    /// let rule = lab[wan].add_rule(Packet::tcp().syn_ack(), third, Action::Duplicate(1))?;
    /// // Connect three times.
    /// assert_eq!(rule.hits(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn add_rule(&self, packet: Packet, which: Which, action: Action) -> Result<LinkRule<'_>> {
        located(self.add_to(&Direction::BOTH, Rule { packet, which, action }))
    }

    /// Adds a rule as [`add_rule`](Self::add_rule) does, for packets from `node`, which the link
    /// ends at.
    ///
    /// # Errors
    ///
    /// As [`add_rule`](Self::add_rule); a node that is at neither end.
    #[track_caller]
    pub fn add_rule_from(
        &self,
        node: NodeId,
        packet: Packet,
        which: Which,
        action: Action,
    ) -> Result<LinkRule<'_>> {
        let end = self.end_at("add a rule to", node);
        let rule = Rule { packet, which, action };
        located(end.and_then(|end| self.add_to(&[Direction::BOTH[end]], rule)))
    }

    /// Adds a rule that [drops](Action::Drop) packets, silently.
    ///
    /// # Errors
    ///
    /// As [`add_rule`](Self::add_rule).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, wan: netns_test::LinkId) -> netns_test::Result<()> {
    /// use netns_test::lab::{Packet, Which};
    ///
    /// // A path whose routers send no ICMP error.
    /// let hole = lab[wan].drop_matching(Packet::any().longer_than(1400), Which::all())?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn drop_matching(&self, packet: Packet, which: Which) -> Result<LinkRule<'_>> {
        self.add_rule(packet, which, Action::Drop)
    }

    fn add_to(&self, ways: &[Direction], rule: Rule) -> Result<LinkRule<'_>> {
        self.check_impairable()?;
        let mistakes = rule.mistakes();
        if !mistakes.is_empty() {
            let object = format!("{rule}, to {}", self.label());
            return Err(Failure::new("add the rule", object, mistakes.join("; ")).into());
        }
        let text = rule.to_string();
        let ids = self.model("add a rule to", |model, now, _| {
            let add = |&way: &Direction| (way, model.rules(way).add(rule.clone(), now));
            ways.iter().map(add).collect()
        })?;
        self.note(&format!("rule added: {text}"));
        Ok(LinkRule { link: self, text, ids })
    }
}

impl LinkRule<'_> {
    /// Returns the number of packets that the rule has chosen.
    ///
    /// # Panics
    ///
    /// On the thread of the links, which calls the closures of rules.
    #[must_use]
    #[track_caller]
    pub fn hits(&self) -> u64 {
        self.counts().hits
    }

    /// Returns the number of packets that have matched while the rule could choose one.
    ///
    /// # Panics
    ///
    /// As [`hits`](Self::hits).
    #[must_use]
    #[track_caller]
    pub fn matched(&self) -> u64 {
        self.counts().matched
    }

    #[track_caller]
    fn counts(&self) -> RuleCounts {
        let counts = self.link.model("read a rule of", |model, _, _| {
            let of_way = |(way, id): &(Direction, RuleId)| model.rules(*way).counts(*id);
            sum(self.ids.iter().filter_map(of_way).collect())
        });
        match counts {
            Ok(counts) => counts,
            Err(error) => panic!("{error}"),
        }
    }
}

fn sum(all: Vec<RuleCounts>) -> RuleCounts {
    all.into_iter().fold(RuleCounts::default(), |sum, one| RuleCounts {
        matched: sum.matched + one.matched,
        hits: sum.hits + one.hits,
    })
}

impl Drop for LinkRule<'_> {
    fn drop(&mut self) {
        let lifted = self.link.model("lift a rule of", |model, _, _| {
            let of_way = |(way, id): &(Direction, RuleId)| model.rules(*way).remove(*id);
            sum(self.ids.iter().filter_map(of_way).collect())
        });
        // Without a model there is no rule any more.
        if let Ok(RuleCounts { matched, hits }) = lifted {
            let text = &self.text;
            self.link
                .note(&format!("rule lifted: {text}; {matched} packets matched, {hits} chosen"));
        }
    }
}

/// `LinkRule(drop TCP, SYN|ACK set: packet 3)`
impl fmt::Debug for LinkRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkRule({})", self.text)
    }
}
