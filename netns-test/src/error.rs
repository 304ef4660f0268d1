//! The error type of this crate: step, object, the kernel's reason, and, if known, the cause and a
//! fix.

use std::any::Any;
use std::fmt;
use std::panic::Location;

/// A step that failed.
///
/// `Display` writes the step, the object, the kernel's reason, and a fix if one is known, as in
/// `mount /proc: EPERM (Operation not permitted)`. `Debug` writes the same text, because the test
/// runner prints an `Err` by it. The last line of an error of a lab is the location of the call
/// that failed: `at tests/failover.rs:12:9`.
#[derive(Clone)]
pub struct Error(Box<Located>);

/// Failure and location of the call. Errors are equal if their failures are.
#[derive(Clone)]
struct Located {
    failure: Failure,
    at: Option<&'static Location<'static>>,
}

/// A result with the [`Error`] of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Failed step, with all that its text contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Step: `mount`, `write`, `clone`.
    pub(crate) step: String,
    /// Object of the step: a path, the namespaces, the test's process.
    pub(crate) object: String,
    /// Reason: `EPERM (Operation not permitted)`.
    pub(crate) reason: String,
    /// Errno, if the reason is the kernel's.
    pub(crate) errno: Option<i32>,
    /// Lines of advice; empty if there is none, or the diagnosis has it.
    pub(crate) remedy: Vec<String>,
    /// Cause behind the kernel's reason.
    pub(crate) diagnosis: Option<Box<Diagnosis>>,
    pub(crate) kind: Kind,
}

/// Kind of an error, by which callers distinguish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Other,
    /// The limit of a wait is exceeded.
    Timeout,
    /// A node is powered off, or was so during the call.
    PoweredOff,
}

/// Cause of a kernel's refusal, with evidence from files of this machine, and fixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// Anchor in `docs/ENVIRONMENTS.md`.
    pub(crate) topic: String,
    /// Cause as a sentence, without a full stop.
    pub(crate) cause: String,
    /// Evidence: a file and its value, or a call and its result.
    pub(crate) evidence: Vec<(String, String)>,
    /// Fix until the next reboot.
    pub(crate) until_reboot: Option<String>,
    /// Permanent fix; several lines if it is a file.
    pub(crate) lasting: Option<String>,
}

/// Address of the document with the causes.
const DOCUMENTS: &str = "https://github.com/netns-test/netns-test/blob/main/docs/ENVIRONMENTS.md";

impl Failure {
    /// Creates a failure without advice.
    pub(crate) fn new(
        step: impl Into<String>,
        object: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let (step, object, reason) = (step.into(), object.into(), reason.into());
        let (remedy, kind) = (Vec::new(), Kind::Other);
        Self { step, object, reason, errno: None, remedy, diagnosis: None, kind }
    }

    /// Sets the kind.
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

    /// Returns the failure in one line, with the cause if it is known.
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
    /// Returns the errno of the reason, as [`std::io::Error::raw_os_error`] does, or `None` if the
    /// reason is not the kernel's.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.failure.errno
    }

    /// Returns whether the limit of a wait was exceeded. The awaited state may still be reached
    /// later.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.failure.kind == Kind::Timeout
    }

    /// Returns whether a node of a lab is powered off, or was so during the call.
    #[must_use]
    pub fn is_powered_off(&self) -> bool {
        self.0.failure.kind == Kind::PoweredOff
    }

    /// Returns the location of the call that failed, if it is known, as for the methods of a lab.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.0.at
    }

    /// Adds that a node was powered off during the call.
    #[cfg(feature = "lab")]
    pub(crate) fn by_power_cut(mut self, line: impl Into<String>) -> Self {
        self.0.failure.remedy.push(line.into());
        self.0.failure.kind = Kind::PoweredOff;
        self
    }

    /// Sets the location of the call.
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

/// For the `?` of a test that calls the standard library besides this crate. The text is unchanged.
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

/// For tests that return a [`std::io::Result`]. The kind is that of the errno; `raw_os_error` is
/// `None`. Converted back, the result is the original error.
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

/// Sets the location of an error to the caller of the calling function, which must be
/// `#[track_caller]`.
#[cfg(feature = "lab")]
#[track_caller]
pub(crate) fn located<T>(result: Result<T>) -> Result<T> {
    let place = Location::caller();
    result.map_err(|error| error.at(place))
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self(Box::new(Located { failure, at: None }))
    }
}

#[cfg(feature = "lab")]
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.0.failure
    }
}

impl Diagnosis {
    /// Creates a diagnosis without evidence.
    pub(crate) fn new(topic: &str, cause: impl Into<String>) -> Self {
        let (topic, cause) = (topic.to_owned(), cause.into());
        Self { topic, cause, evidence: Vec::new(), until_reboot: None, lasting: None }
    }

    /// Adds evidence.
    #[must_use]
    pub(crate) fn shown_by(mut self, file: impl Into<String>, value: impl Into<String>) -> Self {
        self.evidence.push((file.into(), value.into()));
        self
    }

    /// Sets the fix until the next reboot.
    #[must_use]
    pub(crate) fn until_reboot(mut self, fix: impl Into<String>) -> Self {
        self.until_reboot = Some(fix.into());
        self
    }

    /// Sets the permanent fix.
    #[must_use]
    pub(crate) fn for_good(mut self, fix: impl Into<String>) -> Self {
        self.lasting = Some(fix.into());
        self
    }
}

/// Writes the lines below those of the failure, each after a newline.
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

/// Returns the message of a panic, if it is a text.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
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
    fn an_io_error_keeps_its_text() {
        let missing = || std::fs::File::open("/no/such/file").unwrap_err();
        let (original, error) = (missing(), Error::from(missing()));
        assert!(error.raw_os_error().is_some());
        let expected = (original.to_string(), original.raw_os_error());
        assert_eq!((error.to_string(), error.raw_os_error()), expected);
    }

    #[test]
    fn a_diagnosis_lists_cause_evidence_and_fixes() {
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
