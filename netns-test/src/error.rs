//! The one kind of error: which step, on what object, the kernel's reason, what to do.

use std::fmt;

/// A step of the harness that failed, told so that a person can act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was tried: `mount`, `write`, `clone`.
    pub(crate) step: String,
    /// On what: a path, the namespaces, the test's process.
    pub(crate) object: String,
    /// The kernel's reason: `EPERM (Operation not permitted)`.
    pub(crate) reason: String,
    /// The number behind the reason, while the failure is in the process it occurred in.
    pub(crate) errno: Option<i32>,
    /// What helps here, as lines; empty if unknown.
    pub(crate) remedy: Vec<String>,
}

impl Failure {
    /// A failed step, with no advice yet.
    pub(crate) fn new(
        step: impl Into<String>,
        object: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let (step, object, reason) = (step.into(), object.into(), reason.into());
        Self { step, object, reason, errno: None, remedy: Vec::new() }
    }

    /// Adds a line of advice.
    #[must_use]
    pub(crate) fn advise(mut self, line: impl Into<String>) -> Self {
        self.remedy.push(line.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.step, self.object, self.reason)?;
        for line in &self.remedy {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_step_object_reason_and_advice() {
        let failure = Failure::new("mount", "/proc", "EPERM (Operation not permitted)")
            .advise("cause: it is masked");
        assert_eq!(
            failure.to_string(),
            "mount /proc: EPERM (Operation not permitted)\n  cause: it is masked"
        );
    }
}
