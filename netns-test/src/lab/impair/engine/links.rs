//! The links of an engine, and the interfaces of the hub that are their ends. Pure.

use std::collections::HashMap;

use crate::lab::impair::emulated::{EmulatedLink, Seen};
use crate::lab::impair::passage::Direction;

/// Link of an engine, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(super) usize);

/// A link with the indexes of its inner ends in the hub: what arrives at end 0 leaves at end 1.
#[derive(Debug)]
pub(crate) struct LinkPorts {
    /// Name in messages.
    pub(crate) name: String,
    pub(crate) indexes: [u32; 2],
    pub(crate) link: EmulatedLink,
    pub(crate) observer: Option<Box<dyn Observe>>,
}

/// Something that sees each change of a link's state.
pub(crate) trait Observe: std::fmt::Debug + Send {
    fn see(&self, direction: Direction, seen: Seen<'_>);
}

/// Most links that a message names.
const NAMED: usize = 3;

#[derive(Debug, Default)]
pub(crate) struct Links {
    links: Vec<LinkPorts>,
    /// Frames that each link has received.
    frames: Vec<u64>,
    /// Links that may have changed since they were shown to their observers.
    changed: Vec<usize>,
    /// Link and direction of the frames from each interface.
    ports: HashMap<u32, (usize, Direction)>,
}

impl Links {
    pub(crate) fn add(&mut self, link: LinkPorts) -> Slot {
        let number = self.links.len();
        for direction in Direction::BOTH {
            self.ports.insert(link.indexes[direction.index()], (number, direction));
        }
        self.links.push(link);
        self.frames.push(0);
        Slot(number)
    }

    /// Sets the index of the end of a link.
    pub(crate) fn set_index(&mut self, Slot(number): Slot, end: usize, index: u32) {
        let before = std::mem::replace(&mut self.links[number].indexes[end], index);
        // Another end may have got the old index already.
        if self.ports.get(&before) == Some(&(number, Direction::BOTH[end])) {
            self.ports.remove(&before);
        }
        self.ports.insert(index, (number, Direction::BOTH[end]));
    }

    /// Returns the link whose end is the interface, its number, and the direction of a frame from
    /// there. Counts the frame.
    pub(crate) fn take(&mut self, interface: u32) -> Option<(usize, Direction, &mut EmulatedLink)> {
        let (number, direction) = *self.ports.get(&interface)?;
        self.frames[number] += 1;
        self.note_changed(number);
        Some((number, direction, &mut self.links[number].link))
    }

    /// Shows the directions that may have changed to the observers of their links.
    pub(crate) fn show_changed(&mut self) {
        self.changed.sort_unstable();
        self.changed.dedup();
        for number in self.changed.drain(..) {
            let LinkPorts { link, observer, .. } = &mut self.links[number];
            let Some(observer) = observer else { continue };
            for direction in Direction::BOTH {
                if let Some(seen) = link.take_changed(direction) {
                    observer.see(direction, seen);
                }
            }
        }
    }

    fn note_changed(&mut self, number: usize) {
        // Frames come in runs.
        if self.changed.last() != Some(&number) {
            self.changed.push(number);
        }
    }

    /// Returns the number of links.
    pub(crate) fn count(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn name(&self, number: usize) -> &str {
        &self.links[number].name
    }

    /// Returns the number of frames of all links, and the links that have received most of them.
    pub(crate) fn busiest(&self) -> (u64, String) {
        let mut all: Vec<usize> = (0..self.links.len()).filter(|at| self.frames[*at] > 0).collect();
        all.sort_by_key(|at| std::cmp::Reverse(self.frames[*at]));
        let text = |at: &usize| format!("{} {}", self.name(*at), self.frames[*at]);
        let named: Vec<String> = all.iter().take(NAMED).map(text).collect();
        (self.frames.iter().sum(), named.join(", "))
    }

    pub(crate) fn link(&mut self, number: usize) -> &mut EmulatedLink {
        self.note_changed(number);
        &mut self.links[number].link
    }

    /// Returns the index of the interface that sends the frames of a direction.
    pub(crate) fn far_end(&self, number: usize, direction: Direction) -> u32 {
        self.links[number].indexes[direction.reversed().index()]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::lab::impair::frame::samples::Sample;
    use crate::lab::impair::hash::Seed;
    use crate::lab::impair::offload::Offload;
    use crate::lab::impair::passage::Arrival;
    use crate::lab::plan::impairment::ImpairmentPlan;

    /// Counts what it sees of each direction.
    #[derive(Clone, Debug, Default)]
    struct Watcher(Arc<Mutex<[u32; 2]>>);

    impl Observe for Watcher {
        fn see(&self, direction: Direction, _: Seen<'_>) {
            self.0.lock().unwrap()[direction.index()] += 1;
        }
    }

    #[test]
    fn a_direction_is_shown_if_it_has_changed() {
        let (mut links, watcher) = (Links::default(), Watcher::default());
        let plans = [ImpairmentPlan::default(), ImpairmentPlan::default()];
        let link = EmulatedLink::new(Seed(0), "link", plans, 1500);
        let observer: Option<Box<dyn Observe>> = Some(Box::new(watcher.clone()));
        links.add(LinkPorts { name: "link".to_owned(), indexes: [1, 2], link, observer });
        let shown = |links: &mut Links| {
            links.show_changed();
            std::mem::take(&mut *watcher.0.lock().unwrap())
        };
        links.link(0);
        assert_eq!(shown(&mut links), [1, 1], "the first time");
        links.link(0);
        assert_eq!(shown(&mut links), [0, 0]);
        let frame = Sample::udp(b"x").build();
        for index in [2, 2, 1] {
            let (_, direction, link) = links.take(index).unwrap();
            let arrival = Arrival { bytes: &frame, offload: Offload::default(), at: 0 };
            link.pass(direction, arrival, &mut Vec::new());
            let expected = if index == 1 { [1, 0] } else { [0, 1] };
            assert_eq!(shown(&mut links), expected);
        }
    }

    #[test]
    fn an_interface_that_was_made_anew_takes_the_place_of_the_old_one() {
        let mut links = Links::default();
        let link = |indexes: [u32; 2]| {
            let plans = [ImpairmentPlan::default(), ImpairmentPlan::default()];
            let name = format!("link {}", indexes[0]);
            let link = EmulatedLink::new(Seed(0), "link", plans, 1500);
            LinkPorts { name, indexes, link, observer: None }
        };
        let [first, second] = [[1, 2], [3, 4]].map(|indexes| links.add(link(indexes)));
        let of = |links: &mut Links, index| links.take(index).map(|(number, way, _)| (number, way));
        assert_eq!(of(&mut links, 4), Some((1, Direction::Back)));
        assert_eq!(links.far_end(1, Direction::Back), 3);
        links.set_index(first, 1, 5);
        assert_eq!((of(&mut links, 2), of(&mut links, 5)), (None, Some((0, Direction::Back))));
        // The kernel has used the index 5 again.
        links.set_index(second, 0, 5);
        links.set_index(first, 1, 6);
        assert_eq!(of(&mut links, 5), Some((1, Direction::Forth)));
        assert_eq!((links.far_end(0, Direction::Forth), links.far_end(1, Direction::Back)), (6, 5));
        // A frame of an unknown interface is none.
        assert_eq!(links.busiest(), (3, "link 3 2, link 1 1".to_owned()));
    }
}
