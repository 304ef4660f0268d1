//! A property: a lab that is built in parts, by `build` and any number of `extend`, equals the lab
//! that is built of the whole topology. The topologies are random, each from its own seed.

use std::fmt::Write as _;
use std::time::Duration;

use netns_test::lab::{Impairment, Snapshot};
use netns_test::{Lab, LinkId, NodeId, Topology, netns_test};
use netns_test_tests::{LIMIT, eventually};

use crate::net::topology;

const TOPOLOGIES: u64 = 30;

/// Numbers of the generator `splitmix64`.
struct Random(u64);

impl Random {
    /// Returns a number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let below = (mixed ^ (mixed >> 31)) % u64::try_from(limit).unwrap();
        usize::try_from(below).unwrap()
    }
}

/// Topology that is being declared, and its declarations as text.
struct Growing {
    net: Topology,
    /// Each node that has been declared, and whether it is a switch.
    nodes: Vec<(NodeId, bool)>,
    /// Nodes that have a link with each other and no switch between them.
    pairs: Vec<[usize; 2]>,
    /// Each link that has been declared, its nodes, and whether it can be impaired later.
    links: Vec<(LinkId, [usize; 2], bool)>,
    text: String,
}

impl Growing {
    fn new() -> Self {
        let (nodes, pairs, links) = (Vec::new(), Vec::new(), Vec::new());
        Self { net: topology(), nodes, pairs, links, text: String::new() }
    }

    /// Makes the next declaration: a node, most often with a link to an older one, a link, or a
    /// setting.
    fn declare(&mut self, random: &mut Random) {
        match random.below(7) {
            0..=2 => self.add_node(random),
            6 if !self.links.is_empty() => self.impair(random),
            3 if self.nodes.len() > 1 => {
                let (a, b) = (random.below(self.nodes.len()), random.below(self.nodes.len()));
                // A second path between switches is a loop of Ethernet.
                if a != b && !(self.nodes[a].1 && self.nodes[b].1) {
                    self.add_link(random, a, b);
                }
            }
            _ if !self.nodes.is_empty() => self.add_setting(random),
            _ => {}
        }
    }

    fn add_node(&mut self, random: &mut Random) {
        let number = self.nodes.len();
        let name = format!("n{number}");
        let (id, kind) = match random.below(4) {
            0 => (self.net.switch(name), "switch"),
            1 => (self.net.router(name), "router"),
            _ => (self.net.host(name), "host"),
        };
        writeln!(self.text, "{kind} n{number}").unwrap();
        self.nodes.push((id, kind == "switch"));
        if number > 0 && random.below(8) > 0 {
            let other = random.below(number);
            self.add_link(random, other, number);
        }
    }

    fn add_link(&mut self, random: &mut Random, a: usize, b: usize) {
        let mut link = self.net.link(self.nodes[a].0, self.nodes[b].0);
        let option = match random.below(6) {
            0 => {
                link = link.mtu(1400);
                " mtu 1400"
            }
            1 => {
                link = link.name(format!("link{a}-{b}"));
                " with a name"
            }
            2 if !self.nodes[a].1 && !self.nodes[b].1 => {
                link = link.ipv4_only();
                " of IPv4"
            }
            _ => "",
        };
        let (impaired, can_be) = match random.below(4) {
            0 => {
                link = link.impairable();
                (", impairable", true)
            }
            1 => {
                link = link.impair(Impairment::wifi_bad());
                (", of wifi_bad", true)
            }
            _ => ("", false),
        };
        self.links.push((link.id(), [a, b], can_be));
        if !self.nodes[a].1 && !self.nodes[b].1 {
            self.pairs.push([a, b]);
        }
        writeln!(self.text, "link n{a} n{b}{option}{impaired}").unwrap();
    }

    /// Changes the impairments of a link that was declared before. Most of these links can be
    /// impaired; a direct veth pair cannot.
    fn impair(&mut self, random: &mut Random) {
        let (link, nodes, can_be) = self.links[random.below(self.links.len())];
        if !can_be && random.below(10) > 0 {
            return;
        }
        let delay = Duration::from_millis(random.below(50) as u64);
        let impairment = Impairment::new().delay(delay).rate("100mbit");
        let from = match random.below(3) {
            2 => {
                self.net.impair(link, impairment);
                String::new()
            }
            end => {
                self.net.impair_from(link, self.nodes[nodes[end]].0, impairment);
                format!(" from n{}", nodes[end])
            }
        };
        let [a, b] = nodes;
        writeln!(self.text, "impair n{a} n{b}{from}: delay {delay:?}").unwrap();
    }

    fn add_setting(&mut self, random: &mut Random) {
        let at = random.below(self.nodes.len());
        let (id, is_switch) = self.nodes[at];
        let unique = self.text.lines().count();
        let node = self.net.node(id);
        let setting = match random.below(3) {
            _ if is_switch => return,
            0 => {
                let _described = node.addr("lo", format!("203.0.113.{unique}/32").as_str());
                format!("address 203.0.113.{unique}/32")
            }
            1 => {
                let neighbour = self.pairs.iter().find(|pair| pair.contains(&at));
                let Some([a, b]) = neighbour else { return };
                let via = if *a == at { *b } else { *a };
                let _described =
                    node.route(format!("198.51.{unique}.0/24").as_str(), self.nodes[via].0);
                format!("route 198.51.{unique}.0/24 via n{via}")
            }
            _ => {
                let _described = node.sysctl("net.ipv4.tcp_syn_retries", unique % 100 + 1);
                format!("sysctl {}", unique % 100 + 1)
            }
        };
        writeln!(self.text, "node n{at}: {setting}").unwrap();
    }
}

/// Returns the state of a lab: its snapshot, and what the snapshot does not have.
fn state(lab: &Lab, links: &[(LinkId, [usize; 2], bool)]) -> (Snapshot, Vec<[String; 2]>, String) {
    let files = ["/etc/hosts", "/proc/sys/net/ipv4/tcp_syn_retries"];
    let of_node = |node: &netns_test::Node| {
        node.run(|| files.map(|path| std::fs::read_to_string(path).unwrap_or_default()))
    };
    let links = links.iter().take(lab.plan().links().len());
    let impairments: Vec<_> = links.map(|(link, ..)| lab[*link].impairments().ok()).collect();
    let files = lab.nodes().map(of_node).collect();
    (lab.snapshot().unwrap().stable(), files, format!("{impairments:?}"))
}

/// Builds the topology of a seed in parts and as a whole; returns how many extensions were made.
fn equals_build(seed: u64) -> usize {
    let mut random = Random(seed);
    let mut growing = Growing::new();
    let mut lab: Option<Lab> = None;
    // Of the last part that was not refused.
    let mut built = topology();
    let mut extensions = 0;
    for _ in 0..4 {
        for _ in 0..=random.below(4) {
            growing.declare(&mut random);
        }
        // A lab of no node has nothing to be extended.
        if growing.nodes.is_empty() {
            continue;
        }
        let Ok(plan) = growing.net.plan() else { break };
        let Some(running) = &mut lab else {
            lab = Some(growing.net.build().unwrap());
            continue;
        };
        growing.text.push_str("-- extend\n");
        if let Err(refused) = running.extend(&growing.net) {
            // What renumbers an interface that is there may be refused, and impairments of a direct
            // veth pair. Nothing else.
            let refused = refused.to_string();
            let is_direct = refused.contains("it was built as a direct veth pair");
            let is_expected = is_direct || refused.contains("would change");
            assert!(is_expected, "seed {seed}\n{}{refused}", growing.text);
            assert_ne!(running.plan(), &plan);
            break;
        }
        extensions += 1;
        built = growing.net.clone();
        assert_eq!(running.plan(), &plan, "seed {seed}\n{}", growing.text);
    }
    if extensions > 0 {
        let (parts, whole) = (lab.unwrap(), built.build().unwrap());
        let what = format!("equal labs, seed {seed}\n{}", growing.text);
        eventually(LIMIT, &what, || {
            let links = &growing.links;
            let (parts, whole) = (state(&parts, links), state(&whole, links));
            if parts == whole { Ok(()) } else { Err(Box::new((parts, "of the whole:", whole))) }
        });
    }
    extensions
}

#[netns_test]
fn extending_in_any_split_equals_building_the_whole() {
    let extensions: usize = (0..TOPOLOGIES).map(equals_build).sum();
    // Refusals are few.
    assert!(extensions > 45, "{extensions} extensions only");
}
