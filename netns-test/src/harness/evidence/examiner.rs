//! Init's part in the evidence of a test: it follows the log of the body, keeps the networks of its
//! labs, and has a child of its own, the examiner, look at processes and networks.
//!
//! The examiner is apart, so that a crash or a hang of it costs the evidence, and not the verdict.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::env;
use crate::env::Escape;
use crate::evidence::code::Fact as _;
use crate::evidence::facts::artifact::Artifact;
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::link::Way;
use crate::evidence::facts::network::{AttemptKind, Network};
use crate::evidence::facts::stacks::Stacks;
use crate::evidence::facts::topology::LabFacts;
use crate::evidence::facts::{Facts, Look, Reason};
use crate::evidence::links::Links;
use crate::evidence::record::{Networks, Record};
use crate::examine;
use crate::examine::pin;
use crate::examine::pin::Pin;
use crate::examine::recorder::Recorder;
use crate::examine::subject::Subject;
use crate::harness::evidence::own_network::OwnNetwork;
use crate::harness::evidence::parts;
use crate::harness::evidence::sockets::Sockets;
use crate::sys::fds;
use crate::sys::process;
use crate::sys::process::{Pid, Side, SingleThreaded, progress};
use crate::sys::shared_log::SharedLog;

/// Time limit of a look that a panicking thread waits for.
pub(super) const AT_PANIC: Duration = Duration::from_millis(300);

/// Time limit of a look that only the verdict waits for.
const AT_END: Duration = Duration::from_secs(2);

/// Time limit of a debugger after a time limit. gdb reads all debug information first: 5 to 8
/// seconds for 170 MB, which a program with tokio has in cargo's default profile.
const DEBUGGER: Duration = Duration::from_secs(10);

const NO_PROC: &str = "there is no /proc of the test's own";

/// Most looks that are kept.
const MOST_LOOKS: usize = 4;

/// The evidence that init has collected.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    log: SharedLog,
    alone: &'a SingleThreaded,
    body: Pid,
    /// Place in the log up to which it was read.
    place: usize,
    /// Number of the last question that was answered.
    answered: u32,
    is_look_wanted: bool,
    has_artifacts: bool,
    events: Vec<Event>,
    labs: Vec<LabFacts>,
    links: Links,
    /// Networks of the lab that was built last.
    pins: Vec<Pin>,
    /// Recorder of init's network, which is the test's, and the inode of that network.
    recorder: Option<(u64, Recorder)>,
    sockets: Sockets,
    looks: Vec<Look>,
    /// The stacks at the time limit. The log was not read since then.
    stacks: Option<Stacks>,
    /// Time at which the limit was over.
    ended: Option<Duration>,
    gaps: Vec<String>,
}

impl<'a> Evidence<'a> {
    pub(crate) fn new(
        log: SharedLog,
        (body, own): (Pid, OwnNetwork),
        alone: &'a SingleThreaded,
    ) -> Self {
        Self {
            log,
            alone,
            body,
            place: 0,
            answered: 0,
            is_look_wanted: false,
            has_artifacts: false,
            events: Vec::new(),
            labs: Vec::new(),
            links: Links::default(),
            pins: Vec::new(),
            recorder: own.recorder,
            sockets: Sockets::default(),
            looks: Vec::new(),
            stacks: None,
            ended: None,
            gaps: own.gap.into_iter().collect(),
        }
    }

    /// Reads what is new in the log, if the body has woken init or asks for a look, and looks at
    /// the test then. `proc` is the PID namespace's `/proc`.
    pub(crate) fn follow(&mut self, is_woken: bool, proc: Option<&OwnedFd>) {
        let asked = self.log.asked();
        if !is_woken && asked == self.answered {
            return;
        }
        self.read(proc);
        if asked != self.answered {
            if std::mem::take(&mut self.is_look_wanted) {
                self.look(Reason::Panic, proc);
            }
            self.answered = asked;
            self.log.answer(asked);
        }
    }

    /// Looks at a test whose time is over.
    pub(crate) fn at_time_limit(&mut self, proc: Option<&OwnedFd>) {
        self.ended = Some(progress::now());
        self.read(proc);
        self.look(Reason::TimeLimit, proc);
        self.read(proc);
        self.stacks = self.stacks(progress::now() + DEBUGGER);
    }

    /// Looks at what is left of a test whose process has ended, and returns all evidence.
    pub(crate) fn finish(mut self, began: Option<Duration>, proc: Option<&OwnedFd>) -> Facts {
        self.read(proc);
        while let Some(next) = self.log.skip_open(self.place) {
            self.place = next;
            self.read(proc);
        }
        if self.looks.is_empty() {
            self.look(Reason::End, proc);
        }
        let pins = std::mem::take(&mut self.pins);
        self.drain(&pins);
        if let Some((inode, recorder)) = self.recorder.take() {
            self.note_late(inode, &recorder);
        }
        // The record may be among those that are lost.
        let has_artifacts = self.has_artifacts || self.log.lost() > 0;
        let artifacts = if has_artifacts { self.artifacts() } else { Vec::new() };
        Facts {
            began,
            ended: self.ended.unwrap_or_else(progress::now),
            events: self.events,
            lost: self.log.lost(),
            labs: self.labs,
            looks: self.looks,
            gaps: self.gaps,
            artifacts,
            stacks: self.stacks,
        }
    }

    pub(super) fn body(&self) -> Pid {
        self.body
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(super) fn labs(&self) -> &[LabFacts] {
        &self.labs
    }

    pub(super) fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// Reads the files of the test itself, by a child.
    fn artifacts(&mut self) -> Vec<Artifact> {
        let answer = self.of_child(AT_END, |pipe, latest| {
            parts::write(pipe, |report| examine::artifacts(latest, report));
        });
        let (bytes, end) = answer.unwrap_or_else(|error| (Vec::new(), Err(error)));
        let (mut found, is_whole) = parts::all::<Artifact>(&bytes);
        for one in found.iter().filter(|one| !one.problem.is_empty()) {
            self.gap(&format!("artifact {}: {}", one.path, one.problem));
        }
        if !is_whole {
            let reason = end.err().map_or("its process has died".into(), |end| end.to_string());
            self.gap(&format!("the artifacts: {reason}"));
        }
        found.retain(|one| one.problem.is_empty());
        found
    }

    pub(super) fn read(&mut self, proc: Option<&OwnedFd>) {
        if self.stacks.is_some() {
            return;
        }
        let (records, place) = self.log.read(self.place);
        self.place = place;
        for record in records {
            match Record::decoded(&record) {
                Some(Record::Event(event)) => self.events.push(event),
                Some(Record::Lab(built)) => {
                    self.labs.retain(|other| other.number != built.number);
                    self.labs.push(built);
                }
                Some(Record::Networks(networks)) => self.keep(&networks, proc),
                Some(Record::Socket(socket)) => self.sockets.take(self.body, &socket),
                Some(Record::Look) => self.is_look_wanted = true,
                Some(Record::Artifacts) => self.has_artifacts = true,
                Some(Record::Link(link)) => self.links.add(link),
                Some(Record::Impairments(link)) => link.apply(&mut self.labs),
                None => self.gap("a record of the test's log cannot be read"),
            }
        }
    }

    /// Takes hold of the networks of a lab, and lets all others go.
    fn keep(&mut self, networks: &Networks, proc: Option<&OwnedFd>) {
        let mut before = std::mem::take(&mut self.pins);
        let Some(proc) = proc else { return self.gap(NO_PROC) };
        for node in &networks.nodes {
            let place = before.iter().position(|pin| pin.inode == node.inode);
            let pin = match place {
                Some(place) => Ok(Some(before.swap_remove(place))),
                None if networks.may_be_kept => Pin::take(proc, self.body, node),
                None => Ok(Some(Pin::note(node))),
            };
            match pin {
                Ok(pin) => self.pins.extend(pin),
                Err(error) => self.gap(&format!("the network of {}: {error}", node.node)),
            }
        }
        self.drain(&before);
        self.record_in_new_ones();
    }

    fn drain(&mut self, pins: &[Pin]) {
        for pin in pins {
            if let Some(recorder) = &pin.recorder {
                self.note_late(pin.inode, recorder);
            }
        }
    }

    /// Adds what a flight recorder has kept since the last look. Sockets that were closed since may
    /// have been closed by the end of the test.
    fn note_late(&mut self, inode: u64, recorder: &Recorder) {
        let Some(look) = self.looks.last_mut() else { return };
        let mut attempts = recorder.read();
        attempts.retain(|one| one.kind != AttemptKind::Closed || look.reason == Reason::End);
        let attempts = Some(attempts);
        let network = Network { inode, attempts, ..Network::default() };
        look.join(Look { networks: vec![network], ..Look::default() });
    }

    /// Starts the flight recorder in the networks that have none.
    fn record_in_new_ones(&mut self) {
        match pin::record(&mut self.pins, env::escape() == Escape::Trace) {
            Ok(refused) => refused.iter().for_each(|text| self.gap(text)),
            Err(error) => self.gap(&format!("the flight recorder: {error}")),
        }
    }

    fn gap(&mut self, text: &str) {
        if !self.gaps.iter().any(|gap| gap == text) {
            self.gaps.push(text.to_owned());
        }
    }

    fn look(&mut self, reason: Reason, proc: Option<&OwnedFd>) {
        let limit = if reason == Reason::Panic { AT_PANIC } else { AT_END };
        self.look_within(limit, reason, proc);
    }

    /// Looks at processes and networks by a child, and keeps the look or the reason for its lack.
    pub(super) fn look_within(&mut self, limit: Duration, reason: Reason, proc: Option<&OwnedFd>) {
        let Some(proc) = proc else { return self.gap(NO_PROC) };
        match self.examined((reason, limit), proc) {
            Ok(look) => {
                self.looks.push(Look { ways: self.ways(), ..look });
                // The first one, and the last ones.
                if self.looks.len() > MOST_LOOKS {
                    self.looks.remove(1);
                }
            }
            Err(error) => self.gap(&missing(reason, &error)),
        }
    }

    /// Forks a child that looks, and returns the parts that it reports in time.
    fn examined(
        &self,
        (reason, limit): (Reason, Duration),
        proc: &OwnedFd,
    ) -> std::io::Result<Look> {
        let (bytes, end) = self.of_child(limit, |pipe, latest| {
            let subject = Subject { thread: self.panicked(), ..self.subject(reason, proc) };
            parts::write(pipe, |report| examine::look(&subject, latest, report));
        })?;
        let (mut look, is_whole) = parts::read(&bytes);
        match end {
            Err(error) if look == Look::default() => return Err(error),
            Err(error) => look.gaps.push(missing(reason, &error)),
            Ok(()) if !is_whole => {
                look.gaps.push(missing(reason, &std::io::Error::other("its process has died")));
            }
            Ok(()) => {}
        }
        look.is_cut |= !is_whole;
        look.reason = reason;
        Ok(look)
    }

    /// Calls `work` in a child, with a pipe for its answer and the time at which it should stop.
    /// Returns the bytes that it has written within `limit`, and the error if these are not all.
    pub(super) fn of_child(
        &self,
        limit: Duration,
        work: impl FnOnce(BorrowedFd<'_>, Duration),
    ) -> std::io::Result<(Vec<u8>, std::io::Result<()>)> {
        let start = progress::now();
        let deadline = start + limit;
        let (answer, theirs) = fds::pipe()?;
        let Side::Parent(child) = process::fork_aside(self.alone)? else {
            // The rest of the time is for the step that it is in then, and for its answer.
            work(theirs.as_fd(), start + limit * 4 / 5);
            process::exit_now(0)
        };
        drop(theirs);
        let (bytes, end) = parts::read_until(&answer, deadline);
        end_child(child, deadline + AT_PANIC);
        Ok((bytes, end))
    }

    /// Returns what a child looks at: everything, without a thread that comes first.
    pub(super) fn subject<'b>(&'b self, reason: Reason, proc: &'b OwnedFd) -> Subject<'b> {
        let (body, pins, own) = (self.body, &self.pins[..], self.recorder.as_ref());
        Subject { reason, proc, body, pins, own, thread: 0, reads_recorders: true }
    }

    /// Returns the state of the links.
    pub(super) fn ways(&self) -> Vec<Way> {
        self.links.ways(&self.labs, |at| self.log.number(at))
    }

    /// Returns the thread that has panicked last; 0 for none.
    fn panicked(&self) -> u32 {
        let mut panics = self.events.iter().rev().filter(|event| event.kind == EventKind::Panic);
        panics.next().map_or(0, |event| event.thread)
    }
}

/// Kills a child whose answer has arrived or is late, and reaps it. Killed, it ends at once, unless
/// it waits for the kernel; then it ends with init.
fn end_child(child: Pid, deadline: Duration) {
    process::kill(child);
    while process::end_of(child).is_ok_and(|end| end.is_none()) && progress::now() < deadline {
        std::thread::sleep(Duration::from_micros(100));
    }
    if process::end_of(child).is_ok_and(|end| end.is_some()) {
        process::reap_aside(child);
    }
}

/// Returns the sentence about a look that is missing, or that is not whole.
fn missing(reason: Reason, error: &std::io::Error) -> String {
    let reason = reason.word();
    match error.kind() {
        std::io::ErrorKind::TimedOut => format!("the look at the {reason}: the time was over"),
        _ => format!("the look at the {reason}: {error}"),
    }
}
