//! Realms: the parts of a lab that have one address space in a family. NATs are the borders
//! between them. Pure.
//!
//! Segments that routers join are one realm, unless a NAT translates between them: its outside is
//! in another realm than its inside. A realm sees itself and the realms outside of it, never those
//! inside. All segments that are inside of no NAT are the outermost realm, which is number 0.

use std::collections::{HashMap, VecDeque};

use crate::lab::plan::union_find::UnionFind;
use crate::lab::topology::nat::model::Ipv6Nat;

/// Border between an interface and the others of its router, in one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Border {
    /// None: packets are routed as they are.
    Open,
    /// Packets to this interface are translated.
    Translated,
    /// No packets pass.
    Closed,
}

impl Border {
    /// Returns the border that a NAT makes at its outside interface.
    pub(crate) fn of(ipv6: Ipv6Nat, is_ipv4: bool) -> Self {
        match ipv6 {
            _ if is_ipv4 => Self::Translated,
            Ipv6Nat::Routed => Self::Open,
            Ipv6Nat::Masquerade | Ipv6Nat::Prefix { .. } => Self::Translated,
            Ipv6Nat::Blocked => Self::Closed,
        }
    }
}

/// Interfaces of a node: their segments and borders.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    pub(crate) is_router: bool,
    pub(crate) ports: Vec<(usize, Border)>,
}

impl Ports {
    /// Returns the segments on the inside of the borders.
    fn inside(&self) -> impl Iterator<Item = usize> + '_ {
        let inside = self.ports.iter().filter(|(_, border)| *border == Border::Open);
        inside.map(|(segment, _)| *segment)
    }
}

/// Realms of one family.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Realms {
    /// Realm of each segment.
    of: Vec<usize>,
    /// Number of NATs from a realm to one that it sees; empty if there is only one realm.
    steps: Vec<Vec<Option<u32>>>,
    /// Sets of realms that some node sees together, without repetition.
    together: Vec<Vec<bool>>,
    /// Routers whose NAT does not separate its inside from its outside.
    bypassed: Vec<usize>,
}

impl Realms {
    /// Returns one realm of all segments.
    pub(crate) fn one(segments: usize) -> Self {
        let (steps, together) = (Vec::new(), vec![vec![true]]);
        Self { of: vec![0; segments], steps, together, bypassed: Vec::new() }
    }

    /// Finds the realms of segments; `nodes` are the nodes with addresses.
    pub(crate) fn new(segments: usize, nodes: &[Ports]) -> Self {
        let is_border = |(_, border): &(usize, Border)| *border != Border::Open;
        if !nodes.iter().any(|node| node.is_router && node.ports.iter().any(is_border)) {
            return Self::one(segments);
        }
        let mut joined = UnionFind::new(segments);
        let mut is_routed = vec![false; segments];
        for node in nodes.iter().filter(|node| node.is_router) {
            for &(segment, _) in &node.ports {
                is_routed[segment] = true;
            }
            let inside: Vec<usize> = node.inside().collect();
            for pair in inside.windows(2) {
                joined.union(pair[0], pair[1]);
            }
        }
        let roots = joined.into_roots();
        let mut work = Work { roots, numbers: HashMap::new(), borders: Vec::new() };
        work.borders(nodes);
        let (steps, bypassed) = closure(work.numbers.len() + 1, &work.borders);
        let of: Vec<usize> = work.roots.iter().map(|root| work.number(*root)).collect();
        let is_seen = |row: &Vec<Option<u32>>| row.iter().map(Option::is_some).collect();
        let together = steps.iter().map(is_seen).collect();
        let mut realms = Self { of, together, steps, bypassed };
        realms.take_unrouted(&is_routed, &work.roots, nodes);
        realms.add_nodes(nodes);
        realms
    }

    /// Adds what nodes in several realms see together.
    fn add_nodes(&mut self, nodes: &[Ports]) {
        for node in nodes {
            let mut own: Vec<usize> = node.ports.iter().map(|(at, _)| self.of[*at]).collect();
            own.sort_unstable();
            own.dedup();
            let seen = |realm: usize| own.iter().any(|one| self.sees(*one, realm));
            let set: Vec<bool> = (0..self.count()).map(seen).collect();
            if own.len() > 1 && !self.together.contains(&set) {
                self.together.push(set);
            }
        }
    }

    /// Puts segments without routers into the realm of their nodes, if that is one.
    fn take_unrouted(&mut self, is_routed: &[bool], roots: &[usize], nodes: &[Ports]) {
        let mut routed_roots = vec![false; roots.len()];
        for (segment, root) in roots.iter().enumerate() {
            routed_roots[*root] |= is_routed[segment];
        }
        let is_known = |segment: usize| routed_roots[roots[segment]];
        let mut candidates: HashMap<usize, Vec<usize>> = HashMap::new();
        for node in nodes {
            let known = node.ports.iter().filter(|(segment, _)| is_known(*segment));
            let known: Vec<usize> = known.map(|(segment, _)| self.of[*segment]).collect();
            for (segment, _) in node.ports.iter().filter(|(segment, _)| !is_known(*segment)) {
                candidates.entry(*segment).or_default().extend(&known);
            }
        }
        for (segment, known) in candidates {
            let is_outermost = |one: &&usize| known.iter().all(|other| self.sees(*other, **one));
            self.of[segment] = known.iter().find(is_outermost).copied().unwrap_or(0);
        }
    }

    /// Returns the realm of a segment.
    pub(crate) fn of(&self, segment: usize) -> usize {
        self.of.get(segment).copied().unwrap_or(0)
    }

    /// Returns whether packets can be sent from one realm to another one without a mapping.
    pub(crate) fn sees(&self, from: usize, to: usize) -> bool {
        self.steps(from, to).is_some()
    }

    /// Returns the least number of NATs on a way from one realm to another one that it sees.
    pub(crate) fn steps(&self, from: usize, to: usize) -> Option<u32> {
        match self.steps.get(from) {
            Some(row) => row[to],
            None => (from == to).then_some(0),
        }
    }

    /// Returns the sets of realms that some node sees together.
    pub(crate) fn together(&self) -> &[Vec<bool>] {
        &self.together
    }

    /// Returns whether some node sees both realms.
    pub(crate) fn are_together(&self, one: usize, two: usize) -> bool {
        one == two || self.together.iter().any(|set| set[one] && set[two])
    }

    /// Returns the number of realms.
    pub(crate) fn count(&self) -> usize {
        self.steps.len().max(1)
    }

    /// Returns the routers whose NAT does not separate its inside from its outside.
    pub(crate) fn bypassed(&self) -> &[usize] {
        &self.bypassed
    }
}

/// A NAT between two realms.
#[derive(Clone, Copy, Debug)]
struct Crossing {
    router: usize,
    inside: usize,
    outside: usize,
    border: Border,
}

struct Work {
    /// First segment of the set of each segment.
    roots: Vec<usize>,
    /// Numbers of the sets that are inside of a NAT.
    numbers: HashMap<usize, usize>,
    borders: Vec<Crossing>,
}

impl Work {
    fn borders(&mut self, nodes: &[Ports]) {
        let mut found = Vec::new();
        for (router, node) in nodes.iter().enumerate().filter(|(_, node)| node.is_router) {
            let Some(inside) = node.inside().next().map(|segment| self.roots[segment]) else {
                continue;
            };
            for &(segment, border) in node.ports.iter().filter(|(_, one)| *one != Border::Open) {
                let next = self.numbers.len() + 1;
                self.numbers.entry(inside).or_insert(next);
                found.push((router, inside, self.roots[segment], border));
            }
        }
        let crossing = |(router, inside, outside, border)| {
            let [inside, outside] = [inside, outside].map(|root| self.number(root));
            Crossing { router, inside, outside, border }
        };
        self.borders = found.into_iter().map(crossing).collect();
    }

    fn number(&self, root: usize) -> usize {
        self.numbers.get(&root).copied().unwrap_or(0)
    }
}

/// Number of NATs between realms, by the inner and the outer one.
type Steps = Vec<Vec<Option<u32>>>;

/// Returns which realms see which, and the routers that can be passed by.
fn closure(count: usize, borders: &[Crossing]) -> (Steps, Vec<usize>) {
    let reached = |from: usize, is_followed: &dyn Fn(&Crossing) -> bool| {
        let mut reached = vec![None; count];
        let mut queue = VecDeque::from([(from, 0)]);
        while let Some((at, steps)) = queue.pop_front() {
            for next in borders.iter().filter(|one| one.inside == at && is_followed(one)) {
                if reached[next.outside].is_none() {
                    reached[next.outside] = Some(steps + 1);
                    queue.push_back((next.outside, steps + 1));
                }
            }
        }
        reached
    };
    let outwards: Steps = (0..count).map(|from| reached(from, &|_| true)).collect();
    let is_bypassed =
        |one: &&Crossing| one.inside == one.outside || outwards[one.outside][one.inside].is_some();
    let bypassed = borders.iter().filter(is_bypassed).map(|one| one.router);
    let mut bypassed: Vec<usize> = bypassed.collect();
    bypassed.dedup();
    let is_open = |one: &Crossing| one.border != Border::Closed;
    let mut steps: Steps = (0..count).map(|from| reached(from, &is_open)).collect();
    for (at, row) in steps.iter_mut().enumerate() {
        row[at] = Some(0);
    }
    (steps, bypassed)
}
