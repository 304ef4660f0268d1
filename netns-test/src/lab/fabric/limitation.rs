//! What the nodes of a lab do without, where the kernel refuses a step that a lab can do without.

use std::sync::Mutex;

use crate::isolation::{IsolationMode, isolation};
use crate::lab::fabric::stdio;
use crate::sys::lock::lock;

/// What one node does without, as the words before and after its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limitation {
    before: &'static str,
    after: String,
}

/// How many nodes are named that do without the same.
const NAMED: usize = 3;

impl Limitation {
    pub(crate) fn new(before: &'static str, after: String) -> Self {
        Self { before, after }
    }
}

/// Prints what these nodes do without; in the body of a test, what has not been told before.
pub(crate) fn tell<'a>(nodes: impl Iterator<Item = (&'a str, &'a [Limitation])>) {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut new = sentences(nodes);
    if isolation().mode() != IsolationMode::Outside {
        let mut told = lock(&TOLD);
        new.retain(|sentence| !told.contains(sentence));
        told.extend(new.iter().cloned());
    }
    let lines = new.iter().map(|sentence| format!("netns-test: not isolated: {sentence}\n"));
    // Where stderr cannot be written, the lab can still be asked.
    stdio::print(&[String::new(), lines.collect()]);
}

/// One for each thing that is lacking, in the order in which they are found.
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
    fn what_several_lack_is_told_once() {
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
