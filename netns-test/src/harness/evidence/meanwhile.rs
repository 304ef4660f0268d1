//! Texts about a test that has not ended: those that are printed while it runs, and the last ones,
//! if the test runner has gone.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use crate::env;
use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::{Facts, Look, Reason};
use crate::examine;
use crate::examine::subject::Subject;
use crate::explain;
use crate::harness::evidence::examiner::{AT_PANIC, Evidence};
use crate::harness::evidence::parts;
use crate::harness::protocol::last_words::LastWords;
use crate::report::make;
use crate::report::text;
use crate::report::text::Occasion;
use crate::sys::fds;
use crate::sys::process::progress;

/// Time for the last look and a debugger after the runner has gone. The server waits longer.
const AT_END_OF_RUN: Duration = Duration::from_millis(900);

/// A test that still runs.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) name: String,
    pub(crate) began: Duration,
    pub(crate) occasion: Occasion,
}

impl Evidence<'_> {
    /// Makes a child look at a test that still runs. Returns its text about that, or nothing if it
    /// has none in time.
    pub(crate) fn so_far(&mut self, test: &Slow, proc: Option<&OwnedFd>) -> Vec<u8> {
        self.read(proc);
        let Some(proc) = proc else { return Vec::new() };
        self.text_of(|latest| {
            let subject = self.subject(Reason::TimeLimit, proc);
            let subject = Subject { reads_recorders: false, ..subject };
            let mut found = None;
            examine::look(&subject, latest, &mut |part| parts::join(&mut found, part));
            let look = found.map(|look| Look { ways: self.ways(), ..look });
            let facts = self.facts(test, look.into_iter().collect());
            short(test, &facts)
        })
    }

    /// Looks at a test whose runner has gone, and sends the server what it waits for: first what
    /// the user sees, then the whole report.
    pub(crate) fn at_end_of_run(
        &mut self,
        test: &Slow,
        proc: Option<&OwnedFd>,
        mut send: impl FnMut(&LastWords),
    ) {
        let end = progress::now() + AT_END_OF_RUN;
        self.read(proc);
        self.look_within(AT_PANIC, Reason::TimeLimit, proc);
        let mut facts = self.facts(test, self.looks().to_vec());
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        send(&LastWords::Said(text(self.text_of(|_| short(test, &facts)))));
        facts.stacks = self.stacks(end);
        let report =
            text(self.text_of(|_| make::interrupted(&ending(test, &facts), &facts, test.occasion)));
        if !report.is_empty() {
            send(&LastWords::Report { test: test.name.clone(), text: report });
        }
    }

    /// Returns what a child writes that calls `make` with the time at which it should stop; nothing
    /// if that is not all in time.
    fn text_of(&self, make: impl FnOnce(Duration) -> String) -> Vec<u8> {
        let answer = self.of_child(AT_PANIC, |pipe, latest| {
            drop(fds::write_all(pipe.as_fd(), make(latest).as_bytes()));
        });
        match answer {
            Ok((bytes, Ok(()))) => bytes,
            Ok((_, Err(_))) | Err(_) => Vec::new(),
        }
    }

    fn facts(&self, test: &Slow, looks: Vec<Look>) -> Facts {
        let (events, labs) = (self.events().to_vec(), self.labs().to_vec());
        let (began, ended) = (Some(test.began), progress::now());
        Facts { began, ended, events, labs, looks, ..Facts::default() }
    }
}

fn ending(test: &Slow, facts: &Facts) -> Ending {
    let after = facts.ended.saturating_sub(test.began);
    Ending { kind: EndKind::TimedOut, after, ..make::named(test.name.clone()) }
}

fn short(test: &Slow, facts: &Facts) -> String {
    let ending = ending(test, facts);
    let causes = explain::causes(&ending, facts);
    let of_run = (test.occasion, env::test_run().is_utf8);
    text::so_far(&ending, facts, &causes, of_run).join("\n")
}
