//! The one kind of error: which step, on what object, the kernel's reason, and, where it is
//! known, the cause behind that with what to do.

use std::fmt;
use std::panic::Location;

/// A step that failed: what was tried, on what object, the kernel's reason, and what helps where
/// that is known. All of it is in its text; `Debug` gives the same, since that is what a test
/// runner prints of an `Err`. The last line of an error of a lab is the place of the call that failed:
/// `at tests/failover.rs:12:9`.
#[derive(Clone)]
pub struct Error(Box<Told>);

/// A failure, and the place in the caller's source from which the step was asked for. That makes no
/// difference between two errors.
#[derive(Clone)]
struct Told {
    failure: Failure,
    at: Option<&'static Location<'static>>,
}

/// A result whose error tells the step, the object and the reason.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A step of the harness that failed, told so that a person can act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was tried: `mount`, `write`, `clone`.
    pub(crate) step: String,
    /// On what: a path, the namespaces, the test's process.
    pub(crate) object: String,
    /// The kernel's reason: `EPERM (Operation not permitted)`.
    pub(crate) reason: String,
    /// The number behind the reason, if the kernel gave one.
    pub(crate) errno: Option<i32>,
    /// What helps, as lines; empty if unknown or told by the diagnosis.
    pub(crate) remedy: Vec<String>,
    /// What is behind the kernel's reason here.
    pub(crate) diagnosis: Option<Box<Diagnosis>>,
    pub(crate) kind: Kind,
}

/// What callers tell errors apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Other,
    /// The time for a wait is over.
    Timeout,
    /// A node is, or was meanwhile, powered off.
    PoweredOff,
}

/// Why the kernel refused, by what files of this machine say, and what helps here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// The place in `docs/ENVIRONMENTS.md` that has more on it.
    pub(crate) topic: String,
    /// One sentence, without a full stop.
    pub(crate) cause: String,
    /// What shows it: a file and its value, a call and its result.
    pub(crate) evidence: Vec<(String, String)>,
    /// What helps until the machine starts again.
    pub(crate) until_reboot: Option<String>,
    /// What helps for good; several lines where it is a file.
    pub(crate) lasting: Option<String>,
}

/// Where the documents of this version are read.
const DOCUMENTS: &str = "https://github.com/netns-test/netns-test/blob/main/docs/ENVIRONMENTS.md";

impl Failure {
    /// A failed step, with no advice yet.
    pub(crate) fn new(
        step: impl Into<String>,
        object: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let (step, object, reason) = (step.into(), object.into(), reason.into());
        let (remedy, kind) = (Vec::new(), Kind::Other);
        Self { step, object, reason, errno: None, remedy, diagnosis: None, kind }
    }

    /// Makes it one of this kind.
    #[cfg(feature = "lab")]
    #[must_use]
    pub(crate) fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Adds a line of advice.
    #[must_use]
    pub(crate) fn advise(mut self, line: impl Into<String>) -> Self {
        self.remedy.push(line.into());
        self
    }

    /// What failed, in one line, with the cause if that is known.
    pub(crate) fn summary(&self) -> String {
        let Self { step, object, reason, .. } = self;
        match &self.diagnosis {
            Some(diagnosis) if !diagnosis.cause.starts_with("unknown") => {
                format!("{step} {object}: {reason}: {}", diagnosis.cause)
            }
            _ => format!("{step} {object}: {reason}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.step.is_empty() {
            write!(f, "{} {}: ", self.step, self.object)?;
        }
        f.write_str(&self.reason)?;
        if let Some(diagnosis) = &self.diagnosis {
            write!(f, "{diagnosis}")?;
        }
        for line in &self.remedy {
            write!(f, "\n  {line}")?;
        }
        if let Some(diagnosis) = &self.diagnosis {
            write!(f, "\n  more: {DOCUMENTS}#{}", diagnosis.topic)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl Error {
    /// The kernel's number for the reason, as `std::io::Error::raw_os_error` gives it; none if it
    /// was not the kernel that refused.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.failure.errno
    }

    /// Whether a wait has ended since its time was over: what it waited for may still come.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.failure.kind == Kind::Timeout
    }

    /// Whether a node of a lab is powered off, or was so meanwhile.
    #[must_use]
    pub fn is_powered_off(&self) -> bool {
        self.0.failure.kind == Kind::PoweredOff
    }

    /// The call in the caller's source that has failed, where that is known: of what a lab does.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.0.at
    }

    /// Has it say that a node was powered off meanwhile.
    #[cfg(feature = "lab")]
    pub(crate) fn by_power_cut(mut self, line: impl Into<String>) -> Self {
        self.0.failure.remedy.push(line.into());
        self.0.failure.kind = Kind::PoweredOff;
        self
    }

    /// Has it name that place.
    #[cfg(feature = "lab")]
    pub(crate) fn at(mut self, place: &'static Location<'static>) -> Self {
        self.0.at = Some(place);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.failure.fmt(f)?;
        self.0.at.map_or(Ok(()), |at| write!(f, "\n  at {at}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.0.failure == other.0.failure
    }
}

impl Eq for Error {}

impl std::error::Error for Error {}

/// For the `?` of a test that does its own input and output beside what this crate does; the text
/// is the error's own.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(own) => return own,
            Err(error) => error,
        };
        let errno = error.raw_os_error();
        Failure { errno, ..Failure::new("", "", error.to_string()) }.into()
    }
}

/// For tests that return a [`std::io::Result`]. The kind is that of the kernel's reason, whose number it
/// does not have; on its way back it is this error again.
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.raw_os_error() {
            Some(errno) => Self::from_raw_os_error(errno).kind(),
            None if error.is_timeout() => std::io::ErrorKind::TimedOut,
            None => std::io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Has an error name the caller of the function that calls this, which is to be `#[track_caller]`, too.
#[cfg(feature = "lab")]
#[track_caller]
pub(crate) fn located<T>(result: Result<T>) -> Result<T> {
    let place = Location::caller();
    result.map_err(|error| error.at(place))
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self(Box::new(Told { failure, at: None }))
    }
}

#[cfg(feature = "lab")]
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.0.failure
    }
}

impl Diagnosis {
    /// A cause, with nothing to show for it yet.
    pub(crate) fn new(topic: &str, cause: impl Into<String>) -> Self {
        let (topic, cause) = (topic.to_owned(), cause.into());
        Self { topic, cause, evidence: Vec::new(), until_reboot: None, lasting: None }
    }

    /// Adds what shows it.
    #[must_use]
    pub(crate) fn shown_by(mut self, file: impl Into<String>, value: impl Into<String>) -> Self {
        self.evidence.push((file.into(), value.into()));
        self
    }

    /// Sets what helps until the machine starts again.
    #[must_use]
    pub(crate) fn until_reboot(mut self, fix: impl Into<String>) -> Self {
        self.until_reboot = Some(fix.into());
        self
    }

    /// Sets what helps for good.
    #[must_use]
    pub(crate) fn for_good(mut self, fix: impl Into<String>) -> Self {
        self.lasting = Some(fix.into());
        self
    }
}

/// Lines that go below the failure's, each with the newline before it.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  cause: {}", self.cause)?;
        for (file, value) in &self.evidence {
            write!(f, "\n    {file} = {value}")?;
        }
        let lasting = if self.until_reboot.is_some() { "fix that lasts" } else { "fix" };
        let fixes = [("fix until reboot", &self.until_reboot), (lasting, &self.lasting)];
        for (label, fix) in fixes {
            match fix.as_deref() {
                Some(fix) if fix.contains('\n') => {
                    write!(f, "\n  {label}:")?;
                    for line in fix.lines() {
                        write!(f, "\n    {line}")?;
                    }
                }
                Some(fix) => write!(f, "\n  {label}: {fix}")?,
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_step_object_reason_and_advice() {
        let failure = Failure::new("mount", "/proc", "EPERM (Operation not permitted)")
            .advise("ask the administrator");
        assert_eq!(
            failure.to_string(),
            "mount /proc: EPERM (Operation not permitted)\n  ask the administrator"
        );
        assert_eq!(failure.summary(), "mount /proc: EPERM (Operation not permitted)");
        let (text, error) = (failure.to_string(), Error::from(failure));
        assert_eq!([error.to_string(), format!("{error:?}")], [text.clone(), text]);
    }

    #[test]
    fn an_error_of_input_and_output_is_told_as_it_is() {
        let original = std::io::Error::from_raw_os_error(2);
        let error = Error::from(std::io::Error::from_raw_os_error(2));
        assert_eq!((error.to_string(), error.raw_os_error()), (original.to_string(), Some(2)));
    }

    #[test]
    fn a_diagnosis_tells_cause_evidence_and_fixes() {
        let diagnosis = Diagnosis::new("topic", "a file says no")
            .shown_by("/a/file", "0")
            .until_reboot("write 1")
            .for_good("one line\nanother line");
        let mut failure = Failure::new("clone", "user namespace", "EPERM");
        failure.diagnosis = Some(Box::new(diagnosis.clone()));
        assert_eq!(
            failure.advise("to skip").to_string(),
            format!(
                "clone user namespace: EPERM\n  cause: a file says no\n    /a/file = 0\n  \
                 fix until reboot: write 1\n  fix that lasts:\n    one line\n    another line\n  \
                 to skip\n  more: {DOCUMENTS}#topic"
            )
        );
        let only = Diagnosis { until_reboot: None, ..diagnosis }.for_good("stop it");
        assert!(only.to_string().ends_with("\n  fix: stop it"));
    }
}
