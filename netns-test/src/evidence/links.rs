//! The links of a test that pass the engine, as its log names them, and their state. Pure.

use crate::evidence::facts::link::{NUMBERS, VERSION, Way};
use crate::evidence::facts::topology::LabFacts;
use crate::evidence::record::LinkNumbers;

/// Most looks at the numbers of a direction that change meanwhile.
const TRIES: usize = 100;

/// Places of the numbers of links.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<LinkNumbers>);

impl Links {
    /// Adds a link. It takes the place of an earlier one at its position in its lab.
    pub(crate) fn add(&mut self, link: LinkNumbers) {
        self.0.retain(|one| (one.lab, one.link) != (link.lab, link.link));
        self.0.push(link);
    }

    /// Returns the directions of the links of the last lab that have had packets. `number` reads
    /// the number at a place.
    pub(crate) fn ways(&self, labs: &[LabFacts], number: impl Fn(usize) -> u64) -> Vec<Way> {
        let lab = labs.last().map_or(0, |lab| lab.number);
        let of_lab = self.0.iter().filter(|link| link.lab == lab);
        let both = of_lab.flat_map(|link| [false, true].map(|is_back| (link, is_back)));
        let way = |(link, is_back): (&LinkNumbers, bool)| {
            let first = link.first as usize + usize::from(is_back) * NUMBERS;
            let number = |at| number(first.saturating_add(at));
            Way::of_numbers((link.lab, link.link, is_back), &numbers(number))
        };
        both.map(way).filter(|way| way.received > 0).collect()
    }
}

/// Returns the numbers of a direction. Those of flows are left out if they change all the time.
fn numbers(number: impl Fn(usize) -> u64) -> [u64; NUMBERS] {
    for _ in 0..TRIES {
        let version = number(VERSION);
        let numbers = std::array::from_fn(&number);
        if version % 2 == 0 && number(VERSION) == version {
            return numbers;
        }
    }
    Way::without_flows(std::array::from_fn(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_link_at_a_position_counts() {
        let labs = [1, 2].map(|number| LabFacts { number, ..LabFacts::default() });
        let mut links = Links::default();
        for (lab, first) in [(1, 0), (2, 100), (2, 200)] {
            links.add(LinkNumbers { lab, link: 0, first });
        }
        let ways = links.ways(&labs, |at| if at == 200 + NUMBERS { 7 } else { 0 });
        let expected = Way { lab: 2, is_back: true, received: 7, ..Way::default() };
        assert_eq!(ways, [expected]);
    }

    #[test]
    fn numbers_that_are_being_written_name_no_flow() {
        let at_rest = numbers(|_| 2);
        assert_eq!(at_rest, [2; NUMBERS]);
        let looks = std::cell::Cell::new(0);
        let being_written = numbers(|at| {
            looks.set(looks.get() + 1);
            if at == VERSION { looks.get() } else { 2 }
        });
        let way = Way::of_numbers((1, 2, false), &being_written);
        assert_eq!((way.received, way.others, way.flows.len(), way.last), (2, 1, 0, None));
        assert_eq!(numbers(|_| 3)[0], 3);
    }
}
