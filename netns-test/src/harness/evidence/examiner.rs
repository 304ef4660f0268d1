//! Init's part in the evidence of a test: it follows the log of the body, keeps the networks of its
//! labs, and has a child of its own, the examiner, look at processes and networks.
//!
//! The examiner is apart, so that a crash or a hang of it costs the evidence, and not the verdict.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use crate::evidence::code::Fact as _;
use crate::evidence::facts::event::Event;
use crate::evidence::facts::lab::LabFacts;
use crate::evidence::facts::network::Network;
use crate::evidence::facts::{Facts, Look, Reason};
use crate::evidence::record::{Networks, NodeNetwork, Record};
use crate::examine;
use crate::examine::Sources;
use crate::examine::pin;
use crate::examine::pin::Pin;
use crate::examine::recorder::Recorder;
use crate::sys::fds;
use crate::sys::fds::Until;
use crate::sys::process;
use crate::sys::process::{Pid, Side, SingleThreaded, progress};
use crate::sys::shared_log::SharedLog;

/// Time limit of a look that a panicking thread waits for.
const AT_PANIC: Duration = Duration::from_millis(300);

/// Time limit of a look that only the verdict waits for.
const AT_END: Duration = Duration::from_secs(2);

const NO_PROC: &str = "there is no /proc of the test's own";

/// Most bytes of one look.
const MOST: usize = 16 << 20;

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
    events: Vec<Event>,
    labs: Vec<LabFacts>,
    /// Networks of the lab that was built last, and those of them that init holds.
    networks: Vec<NodeNetwork>,
    pins: Vec<Pin>,
    /// Recorder of the test's own network.
    recorder: Option<Recorder>,
    looks: Vec<Look>,
    gaps: Vec<String>,
}

impl<'a> Evidence<'a> {
    pub(crate) fn new(log: SharedLog, body: Pid, alone: &'a SingleThreaded) -> Self {
        Self {
            log,
            alone,
            body,
            place: 0,
            answered: 0,
            is_look_wanted: false,
            events: Vec::new(),
            labs: Vec::new(),
            networks: Vec::new(),
            pins: Vec::new(),
            recorder: Recorder::start().ok(),
            looks: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Reads what is new in the log, and looks at the test if the body has asked for it. `proc` is
    /// the PID namespace's `/proc`.
    pub(crate) fn follow(&mut self, proc: Option<&OwnedFd>) {
        let asked = self.log.asked();
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
        self.read(proc);
        self.look(Reason::TimeLimit, proc);
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
        for pin in std::mem::take(&mut self.pins) {
            self.note_late(pin.inode, pin.recorder.as_ref());
        }
        let own = self.recorder.take();
        self.note_late(0, own.as_ref());
        Facts {
            began,
            ended: progress::now(),
            events: self.events,
            lost: self.log.lost(),
            labs: self.labs,
            looks: self.looks,
            gaps: self.gaps,
        }
    }

    fn read(&mut self, proc: Option<&OwnedFd>) {
        let (records, place) = self.log.read(self.place);
        self.place = place;
        for record in records {
            match Record::decoded(&record) {
                Some(Record::Event(event)) => self.events.push(event),
                Some(Record::Lab(lab)) => {
                    self.labs.retain(|other| other.number != lab.number);
                    self.labs.push(lab);
                }
                Some(Record::Networks(networks)) => self.keep(networks, proc),
                Some(Record::Look) => self.is_look_wanted = true,
                None => self.gap("a record of the test's log cannot be read"),
            }
        }
    }

    /// Takes hold of the networks of a lab, and lets all others go.
    fn keep(&mut self, networks: Networks, proc: Option<&OwnedFd>) {
        let mut before = std::mem::take(&mut self.pins);
        let Some(proc) = proc else { return self.gap(NO_PROC) };
        for node in &networks.nodes {
            let place = before.iter().position(|pin| pin.inode == node.inode);
            let pin = match place {
                Some(place) => Ok(Some(before.swap_remove(place))),
                None if networks.may_be_kept => Pin::take(proc, self.body, node),
                None => Ok(None),
            };
            match pin {
                Ok(pin) => self.pins.extend(pin),
                Err(error) => self.gap(&format!("the network of {}: {error}", node.node)),
            }
        }
        before.iter().for_each(|pin| self.note_late(pin.inode, pin.recorder.as_ref()));
        self.networks = networks.nodes;
        self.record_in_new_ones();
    }

    /// Adds what a flight recorder has kept since the last look at its network, which is node 0 for
    /// the test's own.
    fn note_late(&mut self, inode: u64, recorder: Option<&Recorder>) {
        let (Some(look), Some(recorder)) = (self.looks.last_mut(), recorder) else { return };
        let is_it = |network: &&mut Network| match inode {
            0 => network.node.is_empty(),
            _ => network.inode == inode,
        };
        let Some(network) = look.networks.iter_mut().find(is_it) else { return };
        network.attempts.get_or_insert_default().extend(recorder.read());
    }

    /// Starts the flight recorder in the networks that have none.
    fn record_in_new_ones(&mut self) {
        let new = self.pins.iter_mut().filter(|pin| pin.recorder.is_none());
        if let Err(error) = pin::record(new) {
            self.gap(&format!("the flight recorder: {error}"));
        }
    }

    /// Returns the networks of nodes that init does not hold, as long as the test's process lives.
    fn passing(&self, proc: &OwnedFd) -> Vec<Pin> {
        let is_held = |node: &NodeNetwork| self.pins.iter().any(|pin| pin.inode == node.inode);
        let others = self.networks.iter().filter(|node| !is_held(node));
        others.filter_map(|node| Pin::take(proc, self.body, node).ok().flatten()).collect()
    }

    fn gap(&mut self, text: &str) {
        if !self.gaps.iter().any(|gap| gap == text) {
            self.gaps.push(text.to_owned());
        }
    }

    /// Has a child look at processes and networks.
    fn look(&mut self, reason: Reason, proc: Option<&OwnedFd>) {
        let Some(proc) = proc else { return self.gap(NO_PROC) };
        match self.examined(reason, proc) {
            Ok(look) => self.looks.push(look),
            Err(error) => {
                self.gap(&format!("the look at the {reason}: {error}", reason = reason.word()))
            }
        }
    }

    fn examined(&self, reason: Reason, proc: &OwnedFd) -> std::io::Result<Look> {
        let limit = if reason == Reason::Panic { AT_PANIC } else { AT_END };
        let deadline = progress::now() + limit;
        let (answer, theirs) = fds::pipe()?;
        let Side::Parent(child) = process::fork_aside(self.alone)? else {
            let passing = if reason == Reason::End { Vec::new() } else { self.passing(proc) };
            let pins: Vec<&Pin> = self.pins.iter().chain(&passing).collect();
            let sources =
                Sources { proc, body: self.body, pins: &pins, own: self.recorder.as_ref() };
            let look = examine::look(reason, &sources);
            let written = fds::write_all(theirs.as_fd(), &look.encoded());
            process::exit_now(i32::from(written.is_err()))
        };
        drop(theirs);
        let bytes = read_until(&answer, deadline);
        process::kill(child);
        // Killed, it ends at once, unless it waits for the kernel; then it ends with init.
        let reaped = deadline + AT_PANIC;
        while process::end_of(child).is_ok_and(|end| end.is_none()) && progress::now() < reaped {
            std::thread::sleep(Duration::from_micros(100));
        }
        if process::end_of(child).is_ok_and(|end| end.is_some()) {
            process::reap_aside(child);
        }
        Look::decoded(&bytes?).ok_or_else(|| std::io::Error::other("it was cut short"))
    }
}

/// Reads up to the end of the pipe.
///
/// # Errors
///
/// `TimedOut` after the deadline.
fn read_until(pipe: &OwnedFd, deadline: Duration) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let left = deadline.saturating_sub(progress::now());
        let ready = fds::wait(&[Until::Readable(pipe.as_fd())], Some(left))?;
        if !ready[0].readable && !ready[0].hung_up {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        match fds::read_available(pipe, &mut buffer)? {
            Some(0) => return Ok(bytes),
            Some(count) => bytes.extend_from_slice(&buffer[..count]),
            None => {}
        }
        if bytes.len() > MOST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
    }
}
