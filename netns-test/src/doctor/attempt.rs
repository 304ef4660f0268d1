//! One sandbox, set up as for a test by a child process, which reports each step.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use crate::bytes::{Reader, Writer};
use crate::diagnose;
use crate::diagnose::{Step, Witness};
use crate::doctor::features;
use crate::error::Failure;
use crate::isolate;
use crate::isolate::{Entry, Identity, Mode, Setting, Transcript};
use crate::probe::TrialOutcome;
use crate::sys::fds;
use crate::sys::fds::Until;
use crate::sys::net::devconf::Altered;
use crate::sys::process;
use crate::sys::process::signals;
use crate::sys::process::{Side, SingleThreaded, Status};
use crate::userns::Caller;

/// The longest time for an attempt. To load a dozen kernel modules takes seconds on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The result of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) mode: Mode,
    pub(crate) steps: Vec<Entry>,
    /// The reason for which it failed.
    pub(crate) failure: Option<Failure>,
    /// The features of the kernel, as they work in the sandbox.
    pub(crate) features: Vec<Feature>,
}

/// A feature of the kernel that labs use, as sent from the child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: String,
    /// The use that a lab makes of it.
    pub(crate) what_for: String,
    pub(crate) missing: Option<Missing>,
}

/// The reason for which a feature cannot be used, with advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) reason: String,
    /// The kernel module that is missing, if that is the reason.
    pub(crate) module: Option<String>,
    pub(crate) advice: String,
}

/// Sets up a sandbox of this mode, and tries the features in it.
pub(crate) fn make(mode: &Mode, caller: &Caller, alone: &SingleThreaded) -> Attempt {
    let mut transcript = Transcript::default();
    let report = begin(mode, caller, alone, &mut transcript);
    let mut attempt =
        Attempt { mode: mode.clone(), steps: transcript.0, failure: None, features: Vec::new() };
    match report {
        Ok(report) => {
            attempt.steps.extend(report.steps);
            attempt.failure = report.outcome.explained();
            attempt.features = report.features;
        }
        Err(failure) => attempt.failure = Some(failure),
    }
    attempt
}

/// The report of the process in the sandbox.
#[derive(Debug, PartialEq, Eq)]
struct ChildReport {
    steps: Vec<Entry>,
    outcome: TrialOutcome,
    features: Vec<Feature>,
}

fn begin(
    mode: &Mode,
    caller: &Caller,
    alone: &SingleThreaded,
    transcript: &mut Transcript,
) -> Result<ChildReport, Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    let identity = Identity::new(Setting::CALLER, caller, mode)?;
    let (go, start) = fds::pipe().map_err(step("pipe", "to the sandbox"))?;
    let (ours, theirs) = fds::pipe().map_err(step("pipe", "from the sandbox"))?;
    let side = process::fork_into(alone, mode.namespaces())
        .map_err(|error| diagnose::explain_clone(alone, mode.namespaces(), &error))?;
    let Side::Parent(pid) = side else { inside(&identity, mode, &go, &theirs) };
    let names: Vec<_> = mode.namespaces().iter().map(|namespace| namespace.name()).collect();
    transcript.done(format!("clone with new namespaces: {}", names.join(", ")));
    let written = identity.maps.write_for(pid).map_err(|failure| {
        diagnose::with_cause(failure, Step::Maps { of_root: false }, &Witness::default())
    });
    if written.is_ok() {
        drop(fds::write_once(start.as_fd(), b"g"));
    }
    drop((go, start, theirs));
    let report = read_to_the_end(&ours);
    if report.is_err() {
        process::kill(pid);
    }
    let status = process::reap_aside(pid);
    written?;
    if status == Some(Status::Signaled(signals::SYS)) {
        return Err(diagnose::killed_by_filter());
    }
    let report = report.map_err(step("wait", "for the sandbox"))?;
    let lost = || Failure::new("set up", "a sandbox", "its process ended without a report");
    ChildReport::decode(&report).ok_or_else(lost)
}

fn read_to_the_end(pipe: &OwnedFd) -> io::Result<Vec<u8>> {
    let (mut report, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let ready = fds::wait(&[Until::Readable(pipe.as_fd())], Some(LIMIT))?;
        if !ready.iter().any(|ready| ready.readable || ready.hung_up) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match fds::read_available(pipe, &mut buffer)? {
            Some(0) => return Ok(report),
            Some(length) => report.extend_from_slice(&buffer[..length]),
            None => {}
        }
    }
}

/// Runs in the process in the sandbox.
fn inside(identity: &Identity, mode: &Mode, go: &OwnedFd, parent: &OwnedFd) -> ! {
    let ready = process::die_with_parent()
        .and_then(|()| fds::close_all_except(&[0, 1, 2, go.as_raw_fd(), parent.as_raw_fd()]));
    let mut byte = [0];
    if ready.is_err() || !matches!(fds::read_available(go, &mut byte), Ok(Some(1))) {
        process::exit_now(1);
    }
    let mut transcript = Transcript::default();
    let numbering = isolate::number_next_process();
    let set_up = isolate::set_up(identity, mode, &mut transcript)
        .and_then(|_proc| isolate::try_loopback())
        .and_then(|()| isolate::use_loopback());
    transcript.0.extend(numbering.0);
    let (outcome, features) = match set_up {
        Err(refused) => (TrialOutcome::from(refused), Vec::new()),
        Ok(()) => {
            transcript.done("bind and connect on 127.0.0.1");
            (
                TrialOutcome::Allowed(Altered::default()),
                features::examine().into_iter().map(Feature::from).collect(),
            )
        }
    };
    let report = ChildReport { steps: transcript.0, outcome, features }.encode();
    let sent = report.chunks(4096).try_for_each(|part| fds::write_once(parent.as_fd(), part));
    process::exit_now(i32::from(sent.is_err()))
}

impl ChildReport {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(&self.outcome.encode()).u32(self.steps.len() as u32);
        for Entry { step, limitation } in &self.steps {
            out.bytes(step.as_bytes()).texts(limitation.as_slice());
        }
        out.u32(self.features.len() as u32);
        for Feature { name, what_for, missing } in &self.features {
            out.texts(&[name.clone(), what_for.clone()]);
            match missing {
                None => out.u32(0),
                Some(Missing { reason, module, advice }) => {
                    out.u32(1).texts(&[reason.clone(), advice.clone()]).texts(module.as_slice())
                }
            };
        }
        out.0
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let outcome = TrialOutcome::decode(input.bytes()?)?;
        let steps = (0..input.u32()?)
            .map(|_| {
                let step = String::from_utf8_lossy(input.bytes()?).into_owned().into();
                Some(Entry { step, limitation: input.texts()?.pop() })
            })
            .collect::<Option<_>>()?;
        let features =
            (0..input.u32()?).map(|_| Feature::read(&mut input)).collect::<Option<_>>()?;
        input.end(Self { steps, outcome, features })
    }
}

impl Feature {
    fn read(input: &mut Reader<'_>) -> Option<Self> {
        let [name, what_for] = <[String; 2]>::try_from(input.texts()?).ok()?;
        let missing = if input.flag()? {
            let [reason, advice] = <[String; 2]>::try_from(input.texts()?).ok()?;
            Some(Missing { reason, module: input.texts()?.pop(), advice })
        } else {
            None
        };
        Some(Self { name, what_for, missing })
    }
}

impl From<features::Feature> for Feature {
    fn from(feature: features::Feature) -> Self {
        let features::Feature { name, what_for, result } = feature;
        let missing = result.err().map(|features::Missing { reason, module, advice }| Missing {
            reason,
            module: module.map(str::to_owned),
            advice,
        });
        Self { name: name.to_owned(), what_for: what_for.to_owned(), missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_round_trip() {
        let missing = |module: Option<&str>| Missing {
            reason: "add link: EOPNOTSUPP".into(),
            module: module.map(str::to_owned),
            advice: "sudo modprobe dummy".into(),
        };
        let feature = |missing| Feature { name: "dummy".into(), what_for: "it".into(), missing };
        let report = ChildReport {
            steps: vec![
                Entry { step: "mount proc".into(), limitation: None },
                Entry { step: "mount sysfs".into(), limitation: Some("EPERM".into()) },
            ],
            outcome: TrialOutcome::Allowed(Altered::default()),
            features: vec![
                feature(None),
                feature(Some(missing(None))),
                feature(Some(missing(Some("dummy")))),
            ],
        };
        let bytes = report.encode();
        assert_eq!(ChildReport::decode(&bytes), Some(report));
        assert_eq!(ChildReport::decode(&bytes[..bytes.len() - 1]), None);
    }
}
