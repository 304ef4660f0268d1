//! Features that the kernel has refused to nodes, and that a lab can do without.

use std::sync::Mutex;

use crate::isolation::{IsolationMode, isolation};
use crate::lab::fabric::stdio;
use crate::sys::lock::lock;

/// Refused feature of one node, as the texts before and after the node's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limitation {
    before: &'static str,
    after: String,
}

/// Number of nodes that a sentence names.
const NAMED: usize = 3;

impl Limitation {
    pub(crate) fn new(before: &'static str, after: String) -> Self {
        Self { before, after }
    }
}

/// Prints the limitations of these nodes. In the body of a test, each sentence is printed once.
pub(crate) fn print<'a>(nodes: impl Iterator<Item = (&'a str, &'a [Limitation])>) {
    static PRINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut new = sentences(nodes);
    if isolation().mode() != IsolationMode::Outside {
        let mut printed = lock(&PRINTED);
        new.retain(|sentence| !printed.contains(sentence));
        printed.extend(new.iter().cloned());
    }
    let lines = new.iter().map(|sentence| format!("netns-test: not isolated: {sentence}\n"));
    // If stderr is closed, `Lab::limitations` still returns them.
    stdio::print(&[String::new(), lines.collect()]);
}

/// Returns one sentence for each limitation, in the order in which they are found.
pub(crate) fn sentences<'a>(
    nodes: impl Iterator<Item = (&'a str, &'a [Limitation])>,
) -> Vec<String> {
    let mut found: Vec<(&Limitation, Vec<&str>)> = Vec::new();
    for (name, limitations) in nodes {
        for limitation in limitations {
            match found.iter_mut().find(|(known, _)| *known == limitation) {
                Some((_, names)) => names.push(name),
                None => found.push((limitation, vec![name])),
            }
        }
    }
    let sentence = |(Limitation { before, after }, names): (&Limitation, Vec<&str>)| {
        format!("{before} {} {after}", joined(&names))
    };
    found.into_iter().map(sentence).collect()
}

/// `a`, `a and b`, `a, b, c and 7 more`
fn joined(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] if names.len() <= NAMED => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", names[..NAMED].join(", "), names.len() - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_all_nodes_with_a_limitation() {
        let sys = Limitation::new("/sys of", "is read-only: EPERM".into());
        let ping = Limitation::new("ping on", "needs root: EROFS".into());
        let (both, one) = ([sys.clone(), ping], [sys]);
        let few: [(&str, &[Limitation]); 3] = [("a", &both), ("b", &one), ("c", &[])];
        assert_eq!(
            sentences(few.into_iter()),
            ["/sys of a and b is read-only: EPERM", "ping on a needs root: EROFS"]
        );
        let many = ["a", "b", "c", "d", "e"].map(|name| (name, one.as_slice()));
        assert_eq!(
            sentences(many[..3].iter().copied()),
            ["/sys of a, b and c is read-only: EPERM"]
        );
        assert_eq!(sentences(many.into_iter()), ["/sys of a, b, c and 2 more is read-only: EPERM"]);
    }
}
